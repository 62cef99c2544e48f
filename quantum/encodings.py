"""Amplitude encoding of classical vectors (THEORY §1)."""

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Array, Complexes, Floats


def qubits_for(length: int) -> int:
    """Qubits that hold `length` amplitudes: the least n >= 1 with 2**n >= length."""
    if length < 1:
        raise ValueError(f"qubits_for: found length {length}, expected 1 or more")
    return max(1, (int(length) - 1).bit_length())


def amplitude_encode(x: ArrayLike) -> tuple[Complexes, Floats]:
    """|x> = x / ||x|| for a vector or for each row of a matrix, padded with zeros to 2**n amplitudes.

    Returns states, (2**n,) or (rows, 2**n), and norms, () or (rows,). ValueError for what has no
    direction: nothing, NaN or infinity, or a row of zeros.
    """
    data = np.asarray(x)
    if data.ndim not in (1, 2) or data.size == 0:
        raise ValueError(f"amplitude encoding: found shape {data.shape}, "
                         "expected (length,) or (rows, length), not empty")
    if data.dtype.kind not in "biufc":
        raise ValueError(f"amplitude encoding: found dtype {data.dtype}, expected numbers")
    matrix = np.atleast_2d(data).astype(np.complex128)
    _refuse(np.asarray(~np.isfinite(matrix).all(axis=1)), "NaN or infinity", "finite entries")
    largest = np.maximum(np.abs(matrix.real), np.abs(matrix.imag)).max(axis=1)
    _refuse(largest == 0, "only zeros", "a nonzero entry")
    # Scaled by a power of two first, which is exact, so that squares neither overflow nor vanish.
    exponent = np.frexp(largest)[1]
    matrix.real = np.ldexp(matrix.real, -exponent[:, None])
    matrix.imag = np.ldexp(matrix.imag, -exponent[:, None])
    reduced = np.linalg.norm(matrix, axis=1)
    states = np.zeros((len(matrix), 2 ** qubits_for(matrix.shape[1])), dtype=np.complex128)
    states[:, : matrix.shape[1]] = matrix / reduced[:, None]
    with np.errstate(over="ignore"):  # a norm beyond float64 is infinity, and refused
        norms = np.ldexp(reduced, exponent)
    _refuse(~np.isfinite(norms), "a norm beyond float64", "a finite norm")
    return (states, norms) if data.ndim == 2 else (states[0], norms[0])


def _refuse(bad: Array, found: str, expected: str) -> None:
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(f"amplitude encoding: found {found} in row {row}, expected {expected}")
