"""Rows of states that copies share: which copies stay together, and new rows made in runs that fit the cache."""

from collections.abc import Iterator
from functools import cache, lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers

CHUNK_AMPLITUDES = 1 << 14  # of one step over states: a quarter of a mebibyte, so that it stays in the cache
Batch = tuple[Complexes, Integers]


def distinct(*columns: tuple[Integers, int]) -> tuple[Integers, Integers]:
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


def compact(states: Complexes, row: Integers) -> Batch:
    """Drop the rows that no copy is in; the same arrays if there are none, or no copies."""
    if len(row) == 0 or len(states) == 1:
        return states, row
    used = np.bincount(row, minlength=len(states)) > 0
    if used.all():
        return states, row
    return states[used], (np.cumsum(used) - 1)[row]


def branch_off(
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


def row_chunks(rows: int, size: int) -> Iterator[slice]:
    """Cut (rows, size) into runs of rows that fit the cache, or single rows where none does."""
    step = max(1, CHUNK_AMPLITUDES // size)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _columns(size: int) -> Iterator[slice]:
    width = min(size, CHUNK_AMPLITUDES)
    for start in range(0, size, width):
        yield slice(start, start + width)


def fill(out: Complexes, states: Complexes, old: Integers, x: Integers) -> None:
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


def flip_signs(states: Complexes, z: Integers) -> None:
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


def contract(states: Complexes, kept: Floats, noisy: int) -> None:
    """states[r, i] *= kept[r] ** (how many bits i has of `noisy`) in place; one `kept` may stand for all rows."""
    for columns in _columns(states.shape[1]):
        counts = _counts(columns.stop - columns.start, noisy)
        above = (columns.start & noisy).bit_count()
        powers = kept[:, None] ** np.arange(above, above + int(counts.max()) + 1)
        states[:, columns] *= powers[:, counts]


def forget_ones(states: Complexes, x: Integers) -> None:
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


def normalise(states: Complexes) -> None:
    """Every row to norm one, in place."""
    assert states.flags.c_contiguous
    parts = states.view(np.float64)
    parts *= 1 / np.sqrt(squares(states))[:, None]


def squares(states: Complexes) -> Floats:
    """Squared norm of each row."""
    parts = np.ascontiguousarray(states).view(np.float64)
    return np.asarray(np.einsum("ri,ri->r", parts, parts))
