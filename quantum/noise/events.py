"""At which of many copies errors happen: cost is that of the errors, hardly that of the copies.

Chances are rounded to 40 significant bits before anything is drawn with them (see `grid`).
"""

import math
from collections.abc import Iterator

import numpy as np

from ketwire.quantum.arrays import Floats, Integers
from ketwire.quantum.grid import significant, significant_one

CHUNK_PHOTONS = 1 << 20  # of one step over copies: bounds the memory of the errors drawn


def hits(places: int, chance: float, rng: np.random.Generator) -> Integers:
    """Which of `places` something happens at, each with the same chance: ascending, int64.

    Jumps from one to the next by geometric gaps, so the cost is that of the hits.
    """
    chance = significant_one(chance)
    if chance <= 0.0:
        return np.zeros(0, dtype=np.int64)
    size = int(places * chance + 4 * math.sqrt(places * chance)) + 8
    found: list[Integers] = []
    last = -1
    while last < places:
        gaps = np.minimum(rng.geometric(chance, size), places + 1)  # their sum must not overflow
        found.append(last + np.cumsum(gaps))
        last = int(found[-1][-1])
    places_hit = np.concatenate(found) if len(found) > 1 else found[0]
    return places_hit[: places_hit.searchsorted(places)]


def _chunks_of_copies(copies: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, CHUNK_PHOTONS // width)
    for start in range(0, copies, step):
        yield start, min(step, copies - start)


def pauli_errors(
    edges: Floats, copies: int, n: int, rng: np.random.Generator
) -> Iterator[tuple[Integers, Integers, Integers]]:
    """(copy, qubit, which of X, Y, Z as 1, 2, 3) of every error, ascending, a part at a time.

    Candidates come at the highest rate of all; the uniform number that decides between X, Y and Z
    also thins them out to the rate of their own copy and qubit.
    """
    highest = significant_one(float(edges[..., 2].max(initial=0.0)))
    for start, count in _chunks_of_copies(copies, n):
        place = hits(count * n, highest, rng)
        if len(place) == 0:
            continue
        uniform = highest * rng.random(len(place))
        copy, qubit = start + place // n, place % n
        own = significant(edges[copy if len(edges) > 1 else 0, qubit if edges.shape[1] > 1 else 0])
        kind = np.where(uniform < own[..., 0], 1, np.where(uniform < own[..., 1], 2, 3))
        real = uniform < own[..., 2]
        yield copy[real], qubit[real], kind[real]


def event_masks(chances: Floats, bits: Integers, copies: int, rng: np.random.Generator) -> Integers:
    """For each copy the sum of those of `bits` at which an event happened, int64, shape (copies,)."""
    masks = np.zeros(copies, dtype=np.int64)
    highest = significant_one(float(chances.max(initial=0.0)))
    for start, count in _chunks_of_copies(copies, len(bits)):
        place = hits(count * len(bits), highest, rng)
        copy = start + place // len(bits)
        if chances.ndim:
            real = highest * rng.random(len(place)) < significant(chances[copy])
            place, copy = place[real], copy[real]
        mark(masks, copy, bits[place % len(bits)])
    return masks


def mark(masks: Integers, copy: Integers, bits: Integers) -> None:
    """masks[copy] |= bits, for ascending copies that may come again."""
    if len(copy):
        starts = np.flatnonzero(np.diff(copy, prepend=-1))
        masks[copy[starts]] |= np.bitwise_or.reduceat(bits, starts)
