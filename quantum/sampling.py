"""Drawing measurement outcomes, without a loop over copies."""

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats, Integers

SUM_TOLERANCE = 1e-9


def _checked(probabilities: ArrayLike) -> Floats:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"probabilities: found shape {table.shape}, expected (rows, outcomes)")
    wrong = ~((table >= 0).all(axis=1) & (np.abs(table.sum(axis=1) - 1) <= SUM_TOLERANCE))
    if wrong.any():
        raise ValueError(f"probabilities: row {int(np.argmax(wrong))} is no distribution, "
                         "expected numbers from 0 up that sum to 1")
    return table


def sample(probabilities: ArrayLike, counts: ArrayLike, rng: np.random.Generator) -> Integers:
    """How often each outcome came up in counts[row] draws from each row: (rows, outcomes), int64.

    One multinomial draw a row, so the cost does not grow with the number of copies.
    """
    table = _checked(probabilities)
    draws = np.asarray(counts)
    if draws.shape != (len(table),) or draws.dtype.kind not in "iu" or (draws < 0).any():
        raise ValueError(f"counts: found {draws.dtype} of shape {draws.shape}, "
                         f"expected ({len(table)},) integers from 0 up")
    return rng.multinomial(draws, table / table.sum(axis=1, keepdims=True)).astype(np.int64)


def outcomes_in_order(probabilities: ArrayLike, rows: ArrayLike, rng: np.random.Generator) -> Integers:
    """One outcome for each copy, copy k being in state rows[k]: (copies,), int64.

    By inverting the cumulative distribution of each row: a binary search that all copies take in step.
    Outcomes of probability 0 are never drawn.
    """
    table = _checked(probabilities)
    which = np.asarray(rows)
    if which.ndim != 1 or which.dtype.kind not in "iu":
        raise ValueError(f"rows: found {which.dtype} of shape {which.shape}, expected a vector of integers")
    if which.size and (which.min() < 0 or which.max() >= len(table)):
        raise ValueError(f"rows: found {which.min()} to {which.max()}, expected 0 to {len(table) - 1}")
    edges = np.cumsum(table, axis=1)
    edges /= edges[:, -1:]
    uniform = rng.random(len(which))
    # The outcome is the first whose edge lies above the uniform number; the last edge is 1.
    first = np.zeros(len(which), dtype=np.int64)
    last = np.full(len(which), table.shape[1] - 1)
    for _ in range((table.shape[1] - 1).bit_length()):
        middle = (first + last) // 2
        beyond = edges[which, middle] <= uniform
        first = np.where(beyond, middle + 1, first)
        last = np.where(beyond, last, middle)
    return first
