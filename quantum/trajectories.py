"""Noise on a batch of copies that share their states: one trajectory drawn for each copy.

A batch is `states` (rows, 2**n) and `row` (copies,), the state that each copy is in. Copies that met
the same errors on the same old row go on sharing one row, so a batch costs as much as it holds distinct
histories, not copies. Every function returns a new (states, row) without rows that no copy is in; where
nothing happened it returns *its own arguments*. Qubit 0 is the most significant bit of an index.
Which copies were lost is not known here: pass the `row` of those alive.

Averaged over trajectories, copies are in the state that `density_channel` gives exactly.
"""

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.kraus import Kraus, pauli
from ketwire.quantum.sampling import outcomes_in_order

SUM_TOLERANCE = 1e-9
CHUNK_AMPLITUDES = 1 << 14  # of one step over states: a quarter of a mebibyte, so that it stays in the cache
CHUNK_PHOTONS = 1 << 20  # of one step over copies: bounds the memory of the errors drawn
LEAST_CHANCE = 1e-15  # of a branch: what is below is rounding, and uniform numbers are no finer
Batch = tuple[Complexes, Integers]


def apply_paulis(states: Complexes, row: Integers, weights: ArrayLike, rng: np.random.Generator) -> Batch:
    """Draw a Pauli error for each qubit of each copy.

    weights: probabilities of I, X, Y, Z, shape (4,), or (n, 4) by qubit, or (copies, n, 4) by copy and
        qubit; in the latter two an axis of length 1 stands for all.

    The time spent grows with the errors drawn and the rows made, and but lightly with the copies.
    ValueError where the weights are no distributions or shapes do not fit.
    """
    states, row, n = _checked_batch(states, row)
    edges = _edges(weights, len(row), n)
    x, z = np.zeros_like(row), np.zeros_like(row)
    for copy, qubit, kind in _pauli_errors(edges, len(row), n, rng):
        bit = np.int64(1) << (n - 1 - qubit)
        _mark(x, copy, np.where(kind < 3, bit, 0))
        _mark(z, copy, np.where(kind > 1, bit, 0))
    return apply_masks(states, row, x, z)


def apply_masks(states: Complexes, row: Integers, x: Integers, z: Integers) -> Batch:
    """Errors that are drawn already: Z on the bits z[k] of the index, then X on the bits x[k], of copy k.

    x, z: int64, shape (copies,), from 0 to 2**n - 1. Copies of one row with the same errors share a row.
    """
    n = states.shape[1].bit_length() - 1
    hit = np.flatnonzero(x | z)
    if len(hit) == 0:
        return _compact(states, row)
    old, x, z = row[hit], x[hit], z[hit]
    # What was done to a state comes first, so that most runs of rows need not all of it.
    done = 2 * (x > 0) + (z > 0)
    first, place = _distinct((done, 4), (old, len(states)), (x, 1 << n), (z, 1 << n))
    batch, new = _branch_off(states, row, hit, place, len(first))
    for chunk in _row_chunks(*new.shape):
        pick = first[chunk]
        _fill(new[chunk], states, old[pick], x[pick])
        if z[pick].any():
            _flip_signs(new[chunk], z[pick])
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
        return _compact(states, row)
    damping, flipping = _chances("gamma", gamma, len(row)), _chances("p_z", p_z, len(row))
    jumps = _event_masks(damping, bits, len(row), rng)
    candidates = np.flatnonzero(jumps)
    jumps[candidates] &= _basis_states(states, row[candidates], rng)
    flips = _event_masks(flipping, bits, len(row), rng) & ~jumps  # after its jump a qubit is |0>
    hit = np.flatnonzero((jumps | flips != 0) | (damping > 0))
    if len(hit) == 0:
        return _compact(states, row)
    strengths, strength = np.unique(np.broadcast_to(damping, row.shape)[hit], return_inverse=True)
    old, x, z = row[hit], jumps[hit], flips[hit]
    done = 2 * (x > 0) + (z > 0)  # first, as in `apply_paulis`
    columns = (old, len(states)), (strength, len(strengths)), (x, 1 << n), (z, 1 << n)
    first, place = _distinct((done, 4), *columns)
    batch, new = _branch_off(states, row, hit, place, len(first))
    kept, noisy = np.sqrt(1 - strengths), int(bits.sum())
    for chunk in _row_chunks(*new.shape):
        pick = first[chunk]
        _fill(new[chunk], states, old[pick], x[pick])
        # A |1> is scaled by √(1-γ), with a sign where it was flipped, and is gone where it jumped.
        _contract(new[chunk], kept if len(kept) == 1 else kept[strength[pick]], noisy)
        if x[pick].any():
            _forget_ones(new[chunk], x[pick])
        if z[pick].any():
            _flip_signs(new[chunk], z[pick])
        _normalise(new[chunk])
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
    states, row = _compact(states, row)
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


# What happens to which copy.


def hits(places: int, chance: float, rng: np.random.Generator) -> Integers:
    """Which of `places` something happens at, each with the same chance: ascending, int64.

    Jumps from one to the next by geometric gaps, so the cost is that of the hits.
    """
    if chance <= 0.0:
        return np.zeros(0, dtype=np.int64)
    size = int(places * chance + 4 * np.sqrt(places * chance)) + 8
    found: list[Integers] = []
    last = -1
    while last < places:
        gaps = np.minimum(rng.geometric(chance, size), places + 1)  # their sum must not overflow
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    places_hit = np.concatenate(found)
    return places_hit[: np.searchsorted(places_hit, places)]


def _chunks_of_copies(copies: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, CHUNK_PHOTONS // width)
    for start in range(0, copies, step):
        yield start, min(step, copies - start)


def _pauli_errors(
    edges: Floats, copies: int, n: int, rng: np.random.Generator
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """(copy, qubit, which of X, Y, Z as 1, 2, 3) of every error, ascending, a part at a time.

    Candidates come at the highest rate of all; the uniform number that decides between X, Y and Z
    also thins them out to the rate of their own copy and qubit.
    """
    highest = float(edges[..., 2].max(initial=0.0))
    for start, count in _chunks_of_copies(copies, n):
        place = hits(count * n, highest, rng)
        if len(place) == 0:
            continue
        uniform = highest * rng.random(len(place))
        copy, qubit = start + place // n, place % n
        own = edges[copy if len(edges) > 1 else 0, qubit if edges.shape[1] > 1 else 0]
        kind = np.where(uniform < own[..., 0], 1, np.where(uniform < own[..., 1], 2, 3))
        real = uniform < own[..., 2]
        yield copy[real], qubit[real], kind[real]


def _event_masks(chances: Floats, bits: Integers, copies: int, rng: np.random.Generator) -> Integers:
    """For each copy the sum of those of `bits` at which an event happened, int64, shape (copies,)."""
    masks = np.zeros(copies, dtype=np.int64)
    highest = float(chances.max(initial=0.0))
    for start, count in _chunks_of_copies(copies, len(bits)):
        place = hits(count * len(bits), highest, rng)
        copy = start + place // len(bits)
        if chances.ndim:
            real = highest * rng.random(len(place)) < chances[copy]
            place, copy = place[real], copy[real]
        _mark(masks, copy, bits[place % len(bits)])
    return masks


def _mark(masks: Integers, copy: Integers, bits: Integers) -> None:
    """masks[copy] |= bits, for ascending copies that may come again."""
    if len(copy):
        starts = np.flatnonzero(np.diff(copy, prepend=-1))
        masks[copy[starts]] |= np.bitwise_or.reduceat(bits, starts)


def _basis_states(states: Complexes, row: Integers, rng: np.random.Generator) -> Integers:
    """For each copy the index of a basis state, drawn from the populations of its row."""
    if len(row) < len(states):
        states, row = _compact(states, row)
    drawn = np.zeros(len(row), dtype=np.int64)
    step = max(1, 4 * CHUNK_AMPLITUDES // states.shape[1])  # many calls a block: not too small
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


# Which rows that makes.


def _distinct(*columns: tuple[Integers, int]) -> tuple[Integers, Integers]:
    """Group by several columns, each given with a bound that its values stay below.

    Returns (index of one member of each group, group of each member); groups are sorted.
    """
    key, span = columns[0]
    for values, bound in columns[1:]:
        if span * bound >= 1 << 62:
            unique, key = np.unique(key, return_inverse=True)
            span = len(unique)
        key, span = key * bound + values, span * bound
    if span > 8 * len(key):
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        return first, group
    seen = np.zeros(span, dtype=np.bool_)
    seen[key] = True
    group = (np.cumsum(seen) - 1)[key]
    first = np.empty(int(seen.sum()), dtype=np.int64)
    first[group] = np.arange(len(key))
    return first, group


def _compact(states: Complexes, row: Integers) -> Batch:
    """Drop the rows that no copy is in; the same arrays if there are none, or no copies."""
    used = np.bincount(row, minlength=len(states)) > 0
    if used.all() or len(row) == 0:
        return states, row
    return states[used], (np.cumsum(used) - 1)[row]


def _branch_off(
    states: Complexes, row: Integers, hit: Integers, place: Integers, groups: int
) -> tuple[Batch, Complexes]:
    """Move copy hit[k] to new row place[k] of `groups`, whose states the caller then fills in.

    Returns the batch and, as a view of it, the new rows.
    """
    rows, size = states.shape
    quiet = np.bincount(row, minlength=rows) - np.bincount(row[hit], minlength=rows) > 0
    kept = int(quiet.sum())
    fresh = np.empty((kept + groups, size), dtype=np.complex128)
    np.take(states, np.flatnonzero(quiet), axis=0, out=fresh[:kept], mode="clip")  # a third of the time of compress
    moved = (np.cumsum(quiet) - 1)[row]
    moved[hit] = kept + place
    return (fresh, moved), fresh[kept:]


def _row_chunks(rows: int, size: int) -> Iterator[slice]:
    """Cut (rows, size) into runs of rows that fit the cache, or single rows where none does."""
    step = max(1, CHUNK_AMPLITUDES // size)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _columns(size: int) -> Iterator[slice]:
    width = min(size, CHUNK_AMPLITUDES)
    for start in range(0, size, width):
        yield slice(start, start + width)


def _fill(out: Complexes, states: Complexes, old: Integers, x: Integers) -> None:
    """out[r] = X^x[r] states[old[r]], that is its amplitude i is number i xor x."""
    rows, size = out.shape
    if not x.any():
        np.take(states, old, axis=0, out=out, mode="clip")
        return
    base = (old * size) | x  # no carries: x is below size, a power of two
    for columns in _columns(size):
        index = np.arange(columns.start, columns.stop) ^ base[:, None]
        if rows == 1 or columns.stop - columns.start == size:
            np.take(states.reshape(-1), index, out=out[:, columns], mode="clip")
        else:
            out[:, columns] = states.reshape(-1)[index]


def _flip_signs(states: Complexes, z: Integers) -> None:
    """states[r] = Z^z[r] states[r] in place."""
    for columns in _columns(states.shape[1]):
        inside = (columns.stop - columns.start).bit_length() - 1
        low, high = inside // 2, inside - inside // 2
        left = _signs(high)[z >> low & (1 << high) - 1]
        # The bits above are the same in all of these columns: they flip whole rows.
        above = _bits_of(z & columns.start, columns.start.bit_length()).sum(axis=1)
        left *= 1.0 - 2.0 * (above % 2)[:, None]
        right = _signs(low)[z & (1 << low) - 1]
        states[:, columns] *= (left[:, :, None] * right[:, None, :]).reshape(len(states), -1)


def _contract(states: Complexes, kept: Floats, noisy: int) -> None:
    """states[r, i] *= kept[r] ** (how many bits i has of `noisy`) in place; one `kept` may stand for all rows."""
    for columns in _columns(states.shape[1]):
        counts = _counts(columns.stop - columns.start, noisy)
        above = (columns.start & noisy).bit_count()
        powers = kept[:, None] ** np.arange(above, above + int(counts.max()) + 1)
        states[:, columns] *= powers[:, counts]


def _forget_ones(states: Complexes, x: Integers) -> None:
    """states[r, i] = 0 in place where i has a bit of x[r]."""
    for columns in _columns(states.shape[1]):
        states[:, columns] *= (np.arange(columns.start, columns.stop) & x[:, None]) == 0


@cache
def _signs(bits: int) -> Floats:
    """(-1) to the number of bits that z and i share, for z and i of few bits: (2**bits, 2**bits)."""
    signs = np.ones((1, 1))
    for _ in range(bits):
        signs = np.block([[signs, signs], [signs, -signs]])
    return signs


@lru_cache(maxsize=64)
def _counts(width: int, noisy: int) -> Integers:
    """How many bits each i below `width` has of `noisy`."""
    bits = _bits_of(np.arange(width) & noisy, width.bit_length() - 1)
    return np.asarray(bits.sum(axis=1), dtype=np.int64)


def _bits_of(masks: Integers, n: int) -> Floats:
    """The bits of each mask, qubit 0 first, shape (masks, n)."""
    return (masks[:, None] >> np.arange(n - 1, -1, -1) & 1).astype(np.float64)


def _normalise(states: Complexes) -> None:
    assert states.flags.c_contiguous
    parts = states.view(np.float64)
    parts *= 1 / np.sqrt(_squares(states))[:, None]


def _squares(states: Complexes) -> Floats:
    """Squared norm of each row."""
    parts = np.ascontiguousarray(states).view(np.float64)
    return np.asarray(np.einsum("ri,ri->r", parts, parts))


def _branch_on(
    states: Complexes, row: Integers, operators: Complexes, bit: int, rng: np.random.Generator
) -> Batch:
    """One qubit of `apply_channel`, the one of this bit of the index."""
    rows, size = states.shape
    branch = outcomes_in_order(_branch_chances(states, operators, bit), row, rng)
    first, group = _distinct((branch, len(operators)), (row, rows))
    old, taken = row[first], branch[first]
    fresh = np.empty((len(first), size), dtype=np.complex128)
    is_one = (np.arange(size) & bit > 0).astype(np.int64)
    for k, K in enumerate(operators):
        low, high = np.searchsorted(taken, (k, k + 1))
        # Amplitude i takes K_ii of itself and K_ij of its partner, in which the qubit is the other way.
        same, partner = K.diagonal()[is_one], K[[0, 1], [1, 0]][is_one]
        for chunk in _row_chunks(high - low, size):
            out, source = fresh[low:high][chunk], old[low:high][chunk]
            flipped = np.full(len(source), 0 if same.any() else bit)
            _fill(out, states, source, flipped)
            out *= same if same.any() else partner
            if same.any() and partner.any():
                other = np.empty_like(out)
                _fill(other, states, source, np.full(len(source), bit))
                out += partner * other
            _normalise(out)
    return fresh, group


def _branch_chances(states: Complexes, operators: Complexes, bit: int) -> Floats:
    """||K_k ψ||² for each row and branch, shape (rows, k), from the reduced state of the qubit."""
    effects = np.einsum("kji,kjl->kil", operators.conj(), operators)
    index = np.arange(states.shape[1])
    at_zero, at_one = index[index & bit == 0], index[index & bit > 0]
    chances = np.empty((len(states), len(operators)))
    for chunk in _row_chunks(*states.shape):
        zero, one = states[chunk].take(at_zero, axis=1), states[chunk].take(at_one, axis=1)
        part = np.outer(_squares(zero), effects[:, 0, 0].real)
        part += np.outer(_squares(one), effects[:, 1, 1].real)
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
    if len(row) and (row.min() < 0 or row.max() >= len(states)):
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
