"""Noise on a batch of copies that share their states: one trajectory drawn for each copy.

A batch is `states` (rows, 2**n) and `row` (copies,), the state that each copy is in. Copies that met
the same errors on the same old row go on sharing one row, so a batch costs as much as it holds distinct
histories, not copies. Every function returns a new (states, row) without rows that no copy is in; where
nothing happened it returns *its own arguments*. Qubit 0 is the most significant bit of an index.
Which copies were lost is not known here: pass the `row` of those alive.

Averaged over trajectories, copies are in the state that `density_channel` gives exactly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.noise import shared_rows
from ketwire.quantum.noise.events import event_masks, pauli_errors
from ketwire.quantum.noise.kraus import Kraus, pauli
from ketwire.quantum.noise.shared_rows import (
    Batch,
    branch_off,
    compact,
    contract,
    distinct,
    fill,
    flip_signs,
    forget_ones,
    normalise,
    row_chunks,
    squares,
)
from ketwire.quantum.sampling import outcomes_in_order

SUM_TOLERANCE = 1e-9
LEAST_CHANCE = 1e-15  # of a branch: what is below is rounding, and uniform numbers are no finer


def apply_paulis(states: Complexes, row: Integers, weights: ArrayLike, rng: np.random.Generator) -> Batch:
    """Draw a Pauli error for each qubit of each copy.

    weights: probabilities of I, X, Y, Z, shape (4,), or (n, 4) by qubit, or (copies, n, 4) by copy and
        qubit; in the latter two an axis of length 1 stands for all.

    The time spent grows with the errors drawn and the rows made, and but lightly with the copies.
    ValueError where the weights are no distributions or shapes do not fit.
    """
    states, row, n = _checked_batch(states, row)
    edges = _edges(weights, len(row), n)
    # The copies that met errors, and their X and Z as bits of the index: nothing here is as long as the batch.
    parts = [_joined(copy, np.int64(1) << (n - 1 - qubit), kind)
             for copy, qubit, kind in pauli_errors(edges, len(row), n, rng) if len(copy)]  # fmt: skip
    if not parts:
        return compact(states, row)
    hit, x, z = (np.concatenate(each) for each in zip(*parts, strict=True)) if len(parts) > 1 else parts[0]
    return _move(states, row, hit, x, z)


def _joined(copy: Integers, bit: Integers, kind: Integers) -> tuple[Integers, Integers, Integers]:
    """Errors of ascending copies that may come again, as one X and one Z for each copy that has any."""
    starts = np.flatnonzero(np.diff(copy, prepend=-1))
    x, z = (np.bitwise_or.reduceat(np.where(which, bit, 0), starts) for which in (kind < 3, kind > 1))
    return copy[starts], x, z


def apply_masks(states: Complexes, row: Integers, x: Integers, z: Integers) -> Batch:
    """Errors that are drawn already: Z on the bits z[k] of the index, then X on the bits x[k], of copy k.

    x, z: int64, shape (copies,), from 0 to 2**n - 1. Copies of one row with the same errors share a row.
    """
    hit = np.flatnonzero(x | z)
    if len(hit) == 0:
        return compact(states, row)
    return _move(states, row, hit, x[hit], z[hit])


def _move(states: Complexes, row: Integers, hit: Integers, x: Integers, z: Integers) -> Batch:
    """`apply_masks` for errors of the copies `hit` alone."""
    n, old = states.shape[1].bit_length() - 1, row[hit]
    # What was done to a state comes first, so that most runs of rows need not all of it.
    done = 2 * (x > 0) + (z > 0)
    first, place = distinct((done, 4), (old, len(states)), (x, 1 << n), (z, 1 << n))
    batch, new = branch_off(states, row, hit, place, len(first))
    for chunk in row_chunks(*new.shape):
        pick = first[chunk]
        fill(new[chunk], states, old[pick], x[pick])
        if z[pick].any():
            flip_signs(new[chunk], z[pick])
    return batch


def apply_decay(
    states: Complexes,
    row: Integers,
    gamma: ArrayLike,
    p_z: ArrayLike,
    qubits: Sequence[int],
    rng: np.random.Generator,
) -> Batch:
    """Amplitude damping by γ, then dephasing by p_z (`kraus.damp_and_dephase`), on each of `qubits`.

    gamma, p_z: one number, or one for each copy, shape (copies,). Copies share a row if their old row,
        their γ, their jumps and their flips are the same; waiting times that differ share nothing.

    Both Kraus operators of the damping take basis states to basis states, so the pattern of jumps
    depends on the populations alone: P(J) = Σ_i |ψ_i|² Π_(q in J) γ i_q Π_(q not in J) (1 - γ i_q).
    It is that of a basis state i drawn from |ψ_i|², each 1 of which jumps with probability γ. So all
    qubits are drawn at once, and each new row is computed once.
    """
    states, row, n = _checked_batch(states, row)
    bits = _bits(qubits, n)
    if len(bits) == 0:
        return compact(states, row)
    damping, flipping = _chances("gamma", gamma, len(row)), _chances("p_z", p_z, len(row))
    jumps = event_masks(damping, bits, len(row), rng)
    candidates = np.flatnonzero(jumps)
    jumps[candidates] &= _basis_states(states, row[candidates], rng)
    flips = event_masks(flipping, bits, len(row), rng) & ~jumps  # after its jump a qubit is |0>
    hit = np.flatnonzero((jumps | flips != 0) | (damping > 0))
    if len(hit) == 0:
        return compact(states, row)
    strengths, strength = np.unique(np.broadcast_to(damping, row.shape)[hit], return_inverse=True)
    old, x, z = row[hit], jumps[hit], flips[hit]
    done = 2 * (x > 0) + (z > 0)  # first, as in `apply_paulis`
    columns = (old, len(states)), (strength, len(strengths)), (x, 1 << n), (z, 1 << n)
    first, place = distinct((done, 4), *columns)
    batch, new = branch_off(states, row, hit, place, len(first))
    kept, noisy = np.sqrt(1 - strengths), int(bits.sum())
    for chunk in row_chunks(*new.shape):
        pick = first[chunk]
        fill(new[chunk], states, old[pick], x[pick])
        # A |1> is scaled by √(1-γ), with a sign where it was flipped, and is gone where it jumped.
        contract(new[chunk], kept if len(kept) == 1 else kept[strength[pick]], noisy)
        if x[pick].any():
            forget_ones(new[chunk], x[pick])
        if z[pick].any():
            flip_signs(new[chunk], z[pick])
        normalise(new[chunk])
    return batch


def apply_channel(
    states: Complexes, row: Integers, kraus: Kraus, qubits: Sequence[int], rng: np.random.Generator
) -> Batch:
    """A channel on each of `qubits` in turn: copy by copy, branch k with probability ||K_k ψ||².

    Copies of one row that take the same branch share the new row. Pauli channels go to `apply_paulis`
    and damping with dephasing to `apply_decay`, which deal with all qubits at once.
    """
    states, row, n = _checked_batch(states, row)
    bits = _bits(qubits, n)
    if kraus.pauli_weights is not None:
        weights = np.tile([1.0, 0.0, 0.0, 0.0], (n, 1))
        weights[list(qubits)] = kraus.pauli_weights
        return apply_paulis(states, row, weights, rng)
    if kraus.damping is not None:
        return apply_decay(states, row, *kraus.damping, qubits, rng)
    if len(row) == 0:
        return states, row
    states, row = compact(states, row)
    for bit in bits.tolist():
        states, row = _branch_on(states, row, kraus.operators, bit, rng)
    return states, row


def density_channel(rho: Complexes, channel: Kraus | ArrayLike, qubits: Sequence[int]) -> Complexes:
    """The exact channel on each of `qubits` of each density matrix of (rows, 2**n, 2**n).

    channel: a `Kraus`, or Pauli weights (4,) for each of `qubits`, or (len(qubits), 4) in their order.
    """
    rho = np.asarray(rho, dtype=np.complex128)
    rows, size = rho.shape[0], rho.shape[-1]
    if rho.shape != (rows, size, size) or size < 2 or size & (size - 1):
        raise ValueError(f"rho: shape {rho.shape} given, expected (rows, 2**n, 2**n) with n >= 1")
    n = size.bit_length() - 1
    _bits(qubits, n)
    if isinstance(channel, Kraus):
        channels = [channel] * len(qubits)
    else:
        table = np.diff(_edges(channel, 1, len(qubits))[0], axis=-1, prepend=0.0)
        channels = [pauli(*one) for one in np.broadcast_to(table, (len(qubits), 3)).tolist()]
    flat = np.ascontiguousarray(rho).reshape(rows, size * size)
    for qubit, one in zip(qubits, channels, strict=True):
        flat = apply_matrix(one.superoperator(), (qubit, n + qubit), flat)
    return flat.reshape(rows, size, size)


def _basis_states(states: Complexes, row: Integers, rng: np.random.Generator) -> Integers:
    """For each copy the index of a basis state, drawn from the populations of its row."""
    if len(row) < len(states):
        states, row = compact(states, row)
    drawn = np.zeros(len(row), dtype=np.int64)
    step = max(1, 4 * shared_rows.CHUNK_AMPLITUDES // states.shape[1])  # many calls a block: not too small
    order = np.argsort(row, kind="stable") if len(states) > step else np.arange(len(row))
    for start in range(0, len(states), step):
        block = states[start : start + step]
        if len(states) > step:
            low, high = np.searchsorted(row, (start, start + step), sorter=order)
            copies = order[low:high]
        else:
            copies = order
        if len(copies):
            populations = block.real**2 + block.imag**2
            populations /= populations.sum(axis=1, keepdims=True)
            drawn[copies] = outcomes_in_order(populations, row[copies] - start, rng)
    return drawn


def _branch_on(
    states: Complexes, row: Integers, operators: Complexes, bit: int, rng: np.random.Generator
) -> Batch:
    """One qubit of `apply_channel`, the one of this bit of the index."""
    rows, size = states.shape
    branch = outcomes_in_order(_branch_chances(states, operators, bit), row, rng)
    first, group = distinct((branch, len(operators)), (row, rows))
    old, taken = row[first], branch[first]
    fresh = np.empty((len(first), size), dtype=np.complex128)
    is_one = (np.arange(size) & bit > 0).astype(np.int64)
    for k, K in enumerate(operators):
        low, high = np.searchsorted(taken, (k, k + 1))
        # Amplitude i takes K_ii of itself and K_ij of its partner, in which the qubit is the other way.
        same, partner = K.diagonal()[is_one], K[[0, 1], [1, 0]][is_one]
        for chunk in row_chunks(high - low, size):
            out, source = fresh[low:high][chunk], old[low:high][chunk]
            flipped = np.full(len(source), 0 if same.any() else bit)
            fill(out, states, source, flipped)
            out *= same if same.any() else partner
            if same.any() and partner.any():
                other = np.empty_like(out)
                fill(other, states, source, np.full(len(source), bit))
                out += partner * other
            normalise(out)
    return fresh, group


def _branch_chances(states: Complexes, operators: Complexes, bit: int) -> Floats:
    """||K_k ψ||² for each row and branch, shape (rows, k), from the reduced state of the qubit."""
    effects = np.einsum("kji,kjl->kil", operators.conj(), operators)
    index = np.arange(states.shape[1])
    at_zero, at_one = index[index & bit == 0], index[index & bit > 0]
    chances = np.empty((len(states), len(operators)))
    for chunk in row_chunks(*states.shape):
        zero, one = states[chunk].take(at_zero, axis=1), states[chunk].take(at_one, axis=1)
        part = np.outer(squares(zero), effects[:, 0, 0].real)
        part += np.outer(squares(one), effects[:, 1, 1].real)
        if effects[:, 0, 1].any():
            coherence = np.einsum("ri,ri->r", zero.conj(), one)
            part += 2 * np.outer(coherence, effects[:, 0, 1]).real
        chances[chunk] = part
    chances[chances < LEAST_CHANCE] = 0.0
    return np.asarray(chances / chances.sum(axis=1, keepdims=True))


# What is allowed in.


def _checked_batch(states: Complexes, row: Integers) -> tuple[Complexes, Integers, int]:
    size = states.shape[1] if states.ndim == 2 else 0
    if states.dtype != np.complex128 or size < 2 or size & (size - 1):
        raise ValueError(f"states: {states.dtype} of shape {states.shape} given, "
                         "expected complex128 of (rows, 2**n) with n >= 1")
    if row.ndim != 1 or row.dtype != np.int64:
        raise ValueError(f"row: {row.dtype} of shape {row.shape} given, expected int64 of (copies,)")
    if len(row) and row.view(np.uint64).max() >= len(states):  # as unsigned, what is below 0 is beyond everything
        raise ValueError(f"row: {row.min()} to {row.max()} given, expected 0 to {len(states) - 1}")
    return states, row, size.bit_length() - 1


def _bits(qubits: Sequence[int], n: int) -> Integers:
    """The bit of the index that each qubit is."""
    chosen = np.array(list(qubits), dtype=np.int64)
    if len(set(qubits)) != len(chosen) or (len(chosen) and (chosen.min() < 0 or chosen.max() >= n)):
        raise ValueError(f"qubits: {tuple(qubits)} given, expected distinct ones from 0 to {n - 1}")
    return np.int64(1) << (n - 1 - chosen)


def _chances(name: str, given: ArrayLike, copies: int) -> Floats:
    chances = np.asarray(given, dtype=np.float64)
    if chances.shape not in ((), (copies,)):
        raise ValueError(f"{name}: shape {chances.shape} given, expected () or ({copies},)")
    wrong: NDArray[np.bool_] = ~((chances >= 0) & (chances <= 1))
    if wrong.any():
        raise ValueError(f"{name}: {float(chances[wrong][0])!r} given, expected numbers from 0 to 1")
    return chances


def _edges(weights: ArrayLike, copies: int, n: int) -> Floats:
    """Checked weights as cumulative sums over X, Y, Z: (copies or 1, n or 1, 3)."""
    table = np.asarray(weights, dtype=np.float64)
    shape = (1,) * (3 - table.ndim) + table.shape
    if len(shape) != 3 or shape[0] not in (1, copies) or shape[1] not in (1, n) or shape[2] != 4:
        raise ValueError(f"weights: shape {table.shape} given, expected (4,), ({n}, 4) or ({copies}, {n}, 4)")
    table = table.reshape(shape)
    edges = np.empty((*shape[:2], 3))
    edges[..., 0] = table[..., 1]
    np.add(edges[..., 0], table[..., 2], out=edges[..., 1])
    np.add(edges[..., 1], table[..., 3], out=edges[..., 2])
    if not (table.min(initial=0.0) >= 0 and
            np.abs(edges[..., 2] + table[..., 0] - 1).max(initial=0.0) <= SUM_TOLERANCE):
        raise ValueError("weights: no distributions given, expected numbers from 0 up that sum to 1")
    return edges
