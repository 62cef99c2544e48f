"""Arrays on the wire: raw little-endian elements in a frame of their own (docs/wire.md, section 3).

Views go out and views come in: an array is copied only where it is small, where it is not laid out
as the wire wants it, or where it arrived at an address that its dtype cannot be read from.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Sequence
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.wire.frames import Carry, Limits
from ketwire.channels.wire.refusals import (
    BadStates,
    DigestMismatch,
    MalformedHeader,
    OversizedFrame,
    TruncatedFrame,
)
from ketwire.errors import LocalProtocolError

Octets = bytes | memoryview

BOOL = np.dtype("?")
UINT8 = np.dtype("u1")
UINT32 = np.dtype("<u4")
INT64 = np.dtype("<i8")
COMPLEX128 = np.dtype("<c16")
DTYPES: dict[int, np.dtype[Any]] = {
    1: BOOL,
    2: UINT8,
    3: UINT32,
    4: np.dtype("<u8"),
    5: INT64,
    6: np.dtype("<f8"),
    7: COMPLEX128,
}
_CODES = {dtype: code for code, dtype in DTYPES.items()}

DIGEST_OCTETS = 32
_EXTENTS = [Struct(f"<{n}Q") for n in range(256)]
_DESCRIBED = [Struct(f"<BB{n}Q") for n in range(256)]
COPY_BELOW_OCTETS = 1 << 14  # a copy of so few octets is cheaper than a view of them

NORM_TOLERANCE = 1e-6


def size_of(frame: Octets) -> int:
    """Octets in a frame."""
    return len(frame) if type(frame) is bytes else memoryview(frame).nbytes


def write_array(array: NDArray[Any], digest: bool, known: bytes | None = None) -> tuple[bytes, Octets]:
    """An array's description and its octets; `known` is their SHA-256 where it is known already."""
    code = _CODES.get(array.dtype)
    if code is None:
        raise LocalProtocolError(f"arrays of {array.dtype} do not travel")
    octets = _octets(array)
    described = _DESCRIBED[array.ndim].pack(code, array.ndim, *array.shape)
    if digest:
        described += hashlib.sha256(octets).digest() if known is None else known
    return described, octets


def _octets(array: NDArray[Any]) -> Octets:
    if array.nbytes < COPY_BELOW_OCTETS:
        return array.tobytes()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def read_arrays(
    header: bytes,
    offset: int,
    frames: Sequence[Octets],
    digest: bool,
    limits: Limits,
    *,
    unverified: int = -1,
) -> tuple[list[NDArray[Any]], list[bytes | None]]:
    """The arrays that `header` describes from `offset` to its end, as read-only views, and their digests.

    The array numbered `unverified` is not compared with its digest.

    Raises:
        RemoteProtocolError: description and frame do not fit each other or the limits.
    """
    arrays: list[NDArray[Any]] = []
    digests: list[bytes | None] = []
    length = len(header)
    for number, frame in enumerate(frames):
        if length < offset + 2:
            raise TruncatedFrame("the header ends before the description of an array")
        dtype, dimensions = DTYPES.get(header[offset]), header[offset + 1]
        if dtype is None:
            raise MalformedHeader(f"no dtype has the code {header[offset]}")
        if dimensions > limits.max_dimensions:
            raise OversizedFrame(f"{dimensions} dimensions, at most {limits.max_dimensions} are taken")
        start, offset = offset + 2, offset + 2 + 8 * dimensions
        end = offset + DIGEST_OCTETS if digest else offset
        if length < end:
            raise TruncatedFrame("the header ends inside of the description of an array")
        shape = _EXTENTS[dimensions].unpack_from(header, start)
        _check_size(dtype, shape, frame)
        expected = None
        if digest:
            expected = header[offset:end]
            if number != unverified:
                verify(frame, expected)
        offset = end
        arrays.append(_view(frame, dtype, shape))
        digests.append(expected)
    if offset != length:
        raise MalformedHeader(f"{length - offset} octets trail the header")
    return arrays, digests


def _check_size(dtype: np.dtype[Any], shape: tuple[int, ...], frame: Octets) -> None:
    expected = math.prod(shape) * dtype.itemsize
    octets = size_of(frame)
    if octets < expected:
        raise TruncatedFrame(f"an array frame of {octets} octets, its description says {expected}")
    if octets > expected:
        raise MalformedHeader(f"{octets - expected} octets trail an array")


def _view(frame: Octets, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if 0 in shape:
        # numpy computes strides of empty arrays too, and may find them too large.
        if math.prod(extent for extent in shape if extent) > 0xFFFFFFFF:
            raise OversizedFrame("an empty array with extents beyond all limits")
        return np.empty(shape, dtype)
    array: NDArray[Any]
    if dtype is BOOL:
        octets = np.frombuffer(frame, UINT8)
        if octets.max() > 1:
            raise MalformedHeader("a bool that is neither 0 nor 1")
        array = octets.view(np.bool_).reshape(shape)
    else:
        array = np.ndarray(shape, dtype, frame)
    if type(frame) is not bytes:
        if not array.flags.aligned:
            array = array.copy()
        array.flags.writeable = False
    return array


def verify(frame: Octets, digest: bytes) -> None:
    """Raises:
    DigestMismatch: `digest` is not the SHA-256 of `frame`.
    """
    if not hmac.compare_digest(hashlib.sha256(frame).digest(), digest):
        raise DigestMismatch("the octets of an array differ from their digest")


def verify_states(carry: Carry) -> Carry:
    """`carry` again, its states compared with their digest: for a relay about to change them.

    The batch of copies is taken and built again, and `states_digest` left out.

    Raises:
        DigestMismatch: the states were changed since they were hashed.
    """
    if carry.states_digest is None or not isinstance(carry.message, Copies):
        return carry
    parts = carry.message.take()
    verify(_octets(parts.states), carry.states_digest)
    return Carry(Copies(*parts, carry.message.fresh), carry.time_ps)


def check_states(states: NDArray[np.complex128]) -> None:
    """Check what a receiving node is about to compute with; relays leave it to the last receiver.

    states: complex128, shape (rows, 2**qubits), or (rows, 2**qubits, 2**qubits) for density matrices

    Raises:
        BadStates: an amplitude is not finite, or a row's norm differs from 1 by more than 1e-6. Of density
            matrices: an entry is not finite, or trace, Hermiticity or positivity is off by as much.
    """
    if not states.size:
        return
    if states.ndim == 3:
        _check_mixed(states)
        return
    if len(states) == 1:
        # Small single rows are most of the traffic; a dot product is a tenth of what follows.
        norm = math.sqrt(abs(np.vdot(states, states)))
        if abs(norm - 1.0) <= NORM_TOLERANCE:
            return
    with np.errstate(all="ignore"):
        halves = states.view(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", halves, halves))
        bad = np.flatnonzero(~(np.abs(norms - 1.0) <= NORM_TOLERANCE))
    if len(bad):
        raise BadStates(f"{len(bad)} states are off; state {bad[0]} has norm {norms[bad[0]]:.9g}, expected 1")


def _check_mixed(states: NDArray[np.complex128]) -> None:
    with np.errstate(all="ignore"):
        traces = np.einsum("rii->r", states)
        skewed = np.abs(states - states.conj().swapaxes(1, 2)).max(axis=(1, 2))
        # What is not finite compares as false.
        good = (np.abs(traces - 1.0) <= NORM_TOLERANCE) & (skewed <= NORM_TOLERANCE)
    if not good.all():
        bad = np.flatnonzero(~good)
        raise BadStates(
            f"{len(bad)} density matrices are off; matrix {bad[0]} has trace {traces[bad[0]].real:.9g}, expected 1, "
            f"and differs from its adjoint by {skewed[bad[0]]:.3g}"
        )
    try:
        # Far cheaper than eigenvalues: a matrix has such a factor iff all of its eigenvalues are above 0.
        np.linalg.cholesky(states + NORM_TOLERANCE * np.eye(states.shape[1]))
    except np.linalg.LinAlgError:
        least = np.linalg.eigvalsh(states)[:, 0]
        raise BadStates(
            f"density matrix {least.argmin()} has the eigenvalue {least.min():.3g}, expected none below 0"
        ) from None


def checked(copies: Copies) -> Copies:
    """The same copies, consumed and built again, once `check_states` has passed their states."""
    parts = copies.take()
    check_states(parts.states)
    return Copies(*parts, copies.fresh)
