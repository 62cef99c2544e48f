"""Which copies of a measurement are alike, and outcomes of those that are not: in bases of their own, or in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.nodes.holdings import Collected
from ketwire.protocols.advantage.bases import Bases
from ketwire.protocols.node import Stock
from ketwire.quantum.grid import snap
from ketwire.quantum.sampling import outcomes_in_order

Integers = NDArray[np.int64]
CHUNK_AMPLITUDES = 1 << 20
"""Of states that are worked on at once: 16 MiB."""


def tally(cells: Integers, end: int) -> tuple[Integers, Integers]:
    """The distinct cells, all from 0 to end - 1, in order, and how often each occurs."""
    if end > len(cells):
        return np.unique(cells, return_counts=True)
    # Counting takes a fraction of the time of sorting, where there are few cells to count into.
    occurs = np.bincount(cells, minlength=end)
    distinct = np.flatnonzero(occurs)
    return distinct, occurs[distinct]


def rows_of(cells: Integers, rows: int) -> tuple[Integers, Integers]:
    """The distinct rows that these cells are of, ascending, and which of those each is of."""
    if rows == 1:
        return np.zeros(min(len(cells), 1), dtype=np.int64), np.zeros(len(cells), dtype=np.int64)
    used, place = np.unique(cells % rows, return_inverse=True)
    return used, place


def in_bases(
    bases: Bases,
    states: States,
    row: Integers,
    items: Integers,
    ranks: Integers,
    spoil: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None,
    rng: np.random.Generator,
) -> Integers:
    """One outcome for each copy, measured in its own basis; int64, (copies,).

    row: the state that each copy is in. spoil: what gates and readouts that err make of the laws.
    """
    found = np.empty(len(row), dtype=np.int64)
    step = max(1, CHUNK_AMPLITUDES // states.shape[1])
    for first in range(0, len(row), step):
        some = slice(first, first + step)
        laws = bases.laws(states[row[some]], items[some], ranks[some])
        laws = laws if spoil is None else spoil(laws)
        found[some] = outcomes_in_order(laws, np.arange(len(laws)), rng)
    return found


def swap_tests(first: Sequence[Stock], second: Sequence[Stock], items: int, rng: np.random.Generator) -> Integers:
    """Swap tests on pairs of copies, one of each side; int64, (items, 2), how many passed and how many did not.

    A pair passes with probability (1 + |<a|b>|²)/2. Of an item, both sides have equally many copies; which of them make
    a pair is drawn.
    """
    (states_a, row_a, item_a), (states_b, row_b, item_b) = (_ordered(side, rng) for side in (first, second))
    assert np.array_equal(item_a, item_b)
    passed = np.empty(len(item_a), dtype=np.bool_)
    step = max(1, CHUNK_AMPLITUDES // states_a.shape[1])
    for begin in range(0, len(passed), step):
        some = slice(begin, begin + step)
        overlaps = np.einsum("pk,pk->p", states_a[row_a[some]].conj(), states_b[row_b[some]])
        chance = snap((1.0 + np.minimum(overlaps.real**2 + overlaps.imag**2, 1.0)) / 2)
        passed[some] = rng.random(len(chance)) < chance
    cells = 2 * item_a + ~passed
    return np.bincount(cells, minlength=2 * items).reshape(items, 2)


def _ordered(side: Sequence[Stock], rng: np.random.Generator) -> tuple[States, Integers, Integers]:
    """All states of a side, and of each copy its state and its item: item by item, in an order that is drawn."""
    parts = [stock.take() for stock in side if isinstance(stock, Collected)]
    states, counts, samples = (np.concatenate(each) for each in zip(*parts, strict=True))
    row = np.repeat(np.arange(len(states)), counts)
    order = np.lexsort((rng.random(len(row)), samples[row]))
    return states, row[order], samples[row[order]]
