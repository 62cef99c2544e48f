"""Exact mixed states of a batch of copies: what trajectories draw, averaged.

A batch is `rho` (rows, 2**n, 2**n), Hermitian matrices of trace 1, and `row` (copies,), the state that
each copy is in. Nothing is drawn: a channel maps each row to one other, so copies go on sharing a row
while they meet the same channels, and copies whose channels differ (by how long each of them waited,
say) get rows of their own. Every function returns new arrays without rows that no copy is in; where
nothing happens it returns *its own arguments*. Qubit 0 is the most significant bit of an index.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Array, Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit, Contraction, apply_matrix
from ketwire.quantum.engines.dispatch import EngineName, apply
from ketwire.quantum.noise.kraus import PAULIS, Kraus
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.quantum.observables import PauliString, Povm, Projector, tidy

SUM_TOLERANCE = 1e-9
CHUNK_ENTRIES = 1 << 16  # of one step over rows: a mebibyte
LEAST_SHARE = 1e-15  # of an eigenvector in a mixture: what is below is rounding
Batch = tuple[Complexes, Integers]


class Measurement(Protocol):
    """What `probabilities` needs of an observable."""

    @property
    def outcomes(self) -> int: ...

    def probabilities(self, states: Complexes) -> Floats: ...


def mixed(states: Complexes) -> Complexes:
    """|ψ><ψ| of each row of (rows, 2**n); shape (rows, 2**n, 2**n)."""
    return np.asarray(states[:, :, None] * states[:, None, :].conj())


# Circuits, contractions, measurements: alike for all copies of a row.


def evolve(
    circuit: Circuit,
    rho: Complexes,
    parameters: Sequence[float] | Floats | None = None,
    engine: EngineName = "numpy",
) -> Complexes:
    """U ρ U† for each row: the engine on all columns of ρ, then on those of (U ρ)†."""
    rows, size, _ = rho.shape
    columns = np.ascontiguousarray(rho.swapaxes(1, 2)).reshape(rows * size, size)
    half = apply(circuit, columns, parameters, engine).reshape(rho.shape)  # (U ρ)ᵀ
    columns = np.ascontiguousarray(half.swapaxes(1, 2)).conj().reshape(rows * size, size)
    return apply(circuit, columns, parameters, engine).reshape(rho.shape).conj()


def contract(rho: Complexes, M: Array | Contraction) -> tuple[Complexes, Floats]:
    """Apply M to each row and measure the flag of its dilation: (M ρ M† / p, p = Tr M ρ M†).

    p has shape (rows,). A row that cannot succeed is returned as zeros with probability 0. ValueError
    where M is no contraction or the shapes differ.
    """
    matrix = M.matrix if isinstance(M, Contraction) else Contraction(M).matrix
    if rho.ndim != 3 or rho.shape[1:] != matrix.shape:
        raise ValueError(f"contract: found states of shape {rho.shape}, expected (rows, {len(matrix)}, {len(matrix)})")
    images = matrix @ rho @ matrix.conj().T
    success = np.einsum("rii->r", images).real
    # What is smaller has no reciprocal.
    scale = np.divide(1.0, success, out=np.zeros_like(success), where=success > np.finfo(np.float64).tiny)
    return images * scale[:, None, None], np.clip(success, 0.0, 1.0)


def probabilities(observable: Measurement, rho: Complexes) -> Floats:
    """Probability of each outcome of any observable, shape (rows, outcomes).

    Outcomes are linear in ρ. The observables of `observables` are computed from ρ itself; any other is
    asked for the eigenvectors of ρ, weighted by their eigenvalues.
    """
    rows, size, _ = rho.shape
    if isinstance(observable, Projector):  # it depends on the populations alone
        populations = np.einsum("rii->ri", rho).real
        return observable.probabilities(np.sqrt(np.maximum(populations, 0.0)))
    if isinstance(observable, PauliString):
        columns = np.ascontiguousarray(rho.swapaxes(1, 2)).reshape(rows * size, size)
        images = observable.apply(columns).reshape(rho.shape)
        mean, trace = (np.einsum("rii->r", each).real for each in (images, rho))
        return tidy(np.stack([trace + mean, trace - mean], axis=1) / 2)
    if isinstance(observable, Povm):
        elements = observable.elements()
        if elements.shape[1] != size:
            raise ValueError(f"POVM: found states of {size} amplitudes, expected {elements.shape[1]}")
        raw = elements.reshape(-1, size * size) @ rho.swapaxes(1, 2).reshape(rows, size * size).T
        return tidy(raw.T.real)
    weights, vectors = np.linalg.eigh(rho)
    row, which = np.nonzero(weights > LEAST_SHARE)
    parts = observable.probabilities(np.ascontiguousarray(vectors[row, :, which]))
    total = np.zeros((rows, observable.outcomes))
    np.add.at(total, row, weights[row, which, None] * parts)
    return tidy(total)


# Channels: alike for all copies, or copy by copy.


def apply_paulis(rho: Complexes, row: Integers, weights: ArrayLike) -> Batch:
    """A Pauli channel on each qubit of each copy, exactly.

    weights: probabilities of I, X, Y, Z, shape (4,), or (n, 4) by qubit, or (copies, n, 4) by copy and
        qubit; in the latter two an axis of length 1 stands for all. Copies of one row with the same
        weights go on sharing a row.

    ValueError where the weights are no distributions or shapes do not fit.
    """
    n = _qubits(rho, row)
    table = _checked_weights(weights, len(row), n)
    if len(row) == 0 or (table[..., 0] >= 1.0).all():
        return rho, row
    rho, row, own = _separated(rho, row, table)
    i, x, y, z = np.moveaxis(own, -1, 0)
    populations = np.stack([i + z, x + y, x + y, i + z], axis=-1)
    _couple(rho, populations, np.stack([i - z, x - y], axis=-1))
    return rho, row


def apply_decay(rho: Complexes, row: Integers, gamma: ArrayLike, p_z: ArrayLike) -> Batch:
    """Amplitude damping by γ, then dephasing by p_z (`kraus.damp_and_dephase`), on each qubit of each copy.

    gamma, p_z: one number, or shape (copies, n) by copy and qubit; an axis of length 1 stands for all.
        Copies of one row with the same numbers go on sharing a row. ValueError where these are no
        probabilities.
    """
    n = _qubits(rho, row)
    damping, flipping = (_checked_chances(name, v, len(row), n) for name, v in (("gamma", gamma), ("p_z", p_z)))
    if len(row) == 0 or not (damping.any() or flipping.any()):
        return rho, row
    rho, row, own = _separated(rho, row, np.stack(np.broadcast_arrays(damping, flipping), axis=-1))
    lost, flip = own[..., 0], own[..., 1]
    populations = np.stack([np.ones_like(lost), lost, np.zeros_like(lost), 1.0 - lost], axis=-1)
    coherence = np.sqrt(1.0 - lost) * (1.0 - 2.0 * flip)
    _couple(rho, populations, np.stack([coherence, np.zeros_like(lost)], axis=-1))
    return rho, row


def apply_channel(rho: Complexes, row: Integers, kraus: Kraus, qubits: Sequence[int]) -> Batch:
    """The same channel on each of `qubits` of every copy: `trajectories.density_channel` of the rows in use."""
    _qubits(rho, row)
    if len(row) == 0:
        return rho, row
    rho, row = _used(rho, row)
    return density_channel(rho, kraus, qubits), row


def apply_joint_paulis(rho: Complexes, row: Integers, weights: Floats, qubits: Sequence[int]) -> Batch:
    """A Pauli channel on several qubits at once, whose errors may go together, the same for every copy.

    weights: shape (4**k,) for the k of `qubits`, a base-4 digit I, X, Y, Z a qubit, the first most
        significant; they sum to 1.
    """
    n, k = _qubits(rho, row), len(qubits)
    if weights.shape != (4**k,) or not (weights.min() >= 0 and abs(weights.sum() - 1) <= SUM_TOLERANCE):
        raise ValueError(f"weights: shape {weights.shape} given, expected ({4**k},) from 0 up that sum to 1")
    if len(row) == 0 or weights[0] >= 1.0:
        return rho, row
    rho, row = _used(rho, row)
    matrix = np.zeros((4**k, 4**k), dtype=np.complex128)
    for string in np.flatnonzero(weights):
        P = reduce(np.kron, PAULIS[[string >> 2 * (k - 1 - place) & 3 for place in range(k)]])
        matrix += weights[string] * np.kron(P, P.conj())
    places = (*qubits, *(n + qubit for qubit in qubits))
    return apply_matrix(matrix, places, rho.reshape(len(rho), -1)).reshape(rho.shape), row


def depolarize_jointly(rho: Complexes, p: float, qubits: Sequence[int]) -> Complexes:
    """Replace `qubits` of every row by the maximally mixed state with probability p; a new array."""
    rows, size, _ = rho.shape
    n, k = size.bit_length() - 1, len(qubits)
    axes = [1 + qubit for qubit in qubits] + [1 + n + qubit for qubit in qubits]
    apart = np.moveaxis(rho.reshape((rows,) + (2,) * 2 * n), axes, range(1, 2 * k + 1))
    joint = apart.reshape(rows, 1 << k, 1 << k, -1)
    averaged = np.asarray((1.0 - p) * joint, dtype=np.complex128)
    rest = np.einsum("raab->rb", joint) * (p / (1 << k))
    diagonal = np.arange(1 << k)
    averaged[:, diagonal, diagonal] += rest[:, None]
    back = np.moveaxis(averaged.reshape(apart.shape), range(1, 2 * k + 1), axes)
    return np.ascontiguousarray(back).reshape(rho.shape)


# Rows.


def _used(rho: Complexes, row: Integers) -> Batch:
    """Drop the rows that no copy is in; the same arrays if there are none."""
    used = np.bincount(row, minlength=len(rho)) > 0
    return (rho, row) if used.all() else (rho[used], (np.cumsum(used) - 1)[row])


def _separated(rho: Complexes, row: Integers, channels: Floats) -> tuple[Complexes, Integers, Floats]:
    """A row for each pair of an old row and a channel that some copy has: (fresh rows, row, channel of each).

    channels: shape (copies, ...), or (1, ...) for all. New rows are numbered by their first copies, not
        by the numbers in `channels`, whose last bits may differ between machines.
    """
    if (channels == channels[:1]).all():
        kept, row = _used(rho, row)
        return kept.copy() if kept is rho else kept, row, channels[:1]
    table = np.empty((len(row), 1 + channels[0].size), dtype=np.float64)
    table[:, 0] = row
    table[:, 1:] = channels.reshape(len(row), -1)
    table += 0.0  # no negative zeros: copies are told apart by octets
    keys = table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first = first[order]
    return rho[row[first]], rank[group.ravel()], channels[first]


def _couple(rho: Complexes, populations: Floats, coherences: Floats) -> None:
    """On each qubit of each row in place, a channel that keeps populations and coherences of the qubit apart.

    With ρ_ij the blocks in which the qubit is i on the left and j on the right: ρ_00 becomes
    a ρ_00 + b ρ_11 and ρ_11 becomes c ρ_00 + d ρ_11; ρ_01 becomes e ρ_01 + f ρ_10
    and ρ_10 becomes e ρ_10 + f ρ_01.

    populations: a, b, c, d, shape (rows or 1, n or 1, 4); coherences: e, f, shape (rows or 1, n or 1, 2).
    """
    rows, size, _ = rho.shape
    n = size.bit_length() - 1
    table = np.concatenate([populations, coherences], axis=-1)
    factors = np.broadcast_to(table, (rows, n, 6))[..., None, None, None, None]
    step = max(1, CHUNK_ENTRIES // size**2)  # all qubits of a few rows, while they are in the cache
    for start in range(0, rows, step):
        part = rho[start : start + step]
        for qubit in range(n):
            a, b, c, d, e, f = np.moveaxis(factors[start : start + step, qubit], 1, 0)
            outer, inner = 1 << qubit, size >> (qubit + 1)
            blocks = part.reshape(len(part), outer, 2, inner, outer, 2, inner)
            zero, one = blocks[:, :, 0, :, :, 0], blocks[:, :, 1, :, :, 1]
            upper, lower = blocks[:, :, 0, :, :, 1], blocks[:, :, 1, :, :, 0]
            zero[...], one[...] = a * zero + b * one, c * zero + d * one
            upper[...], lower[...] = e * upper + f * lower, e * lower + f * upper


# What is allowed in.


def _qubits(rho: Complexes, row: Integers) -> int:
    size: int = rho.shape[-1]
    if rho.shape != (len(rho), size, size) or rho.dtype != np.complex128 or size < 2 or size & (size - 1):
        raise ValueError(f"rho: {rho.dtype} of shape {rho.shape} given, "
                         "expected complex128 of (rows, 2**n, 2**n) with n >= 1")
    if row.ndim != 1 or (len(row) and (row.min() < 0 or row.max() >= len(rho))):
        raise ValueError(f"row: shape {row.shape} given, expected (copies,) of numbers from 0 to {len(rho) - 1}")
    return size.bit_length() - 1


def _checked_weights(weights: ArrayLike, copies: int, n: int) -> Floats:
    """As (copies or 1, n or 1, 4)."""
    given = np.asarray(weights, dtype=np.float64)
    table = given.reshape((1,) * (3 - given.ndim) + given.shape) if given.ndim <= 3 else given
    if table.ndim != 3 or table.shape[0] not in (1, copies) or table.shape[1] not in (1, n) or table.shape[2] != 4:
        raise ValueError(f"weights: shape {given.shape} given, expected (4,), ({n}, 4) or ({copies}, {n}, 4)")
    if not (table.min(initial=0.0) >= 0 and np.abs(table.sum(axis=2) - 1).max(initial=0.0) <= SUM_TOLERANCE):
        raise ValueError("weights: no distributions given, expected numbers from 0 up that sum to 1")
    return table


def _checked_chances(name: str, given: ArrayLike, copies: int, n: int) -> Floats:
    """As (copies or 1, n or 1)."""
    chances = np.asarray(given, dtype=np.float64)
    table = chances.reshape(1, 1) if chances.ndim == 0 else chances
    if table.ndim != 2 or table.shape[0] not in (1, copies) or table.shape[1] not in (1, n):
        raise ValueError(f"{name}: shape {chances.shape} given, expected () or ({copies}, {n})")
    if not (table.min(initial=0.0) >= 0 and table.max(initial=0.0) <= 1):
        raise ValueError(f"{name}: expected numbers from 0 to 1")
    return table
