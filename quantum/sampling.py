"""Drawing measurement outcomes, without a loop over copies; the same ones on every processor.

The last bits of a probability that is computed from amplitudes depend on the kernel. A uniform number
rarely falls between two values so close, but NumPy's algorithms change at certain values: a binomial
number is drawn in one way where p <= 1/2 and mirrored above, so 1/2 ± 1e-16 gives two samples that have
nothing in common. So what meets a random number is rounded before, to k / 2^40 with an integer k.

Which probabilities are rounded matters where outcomes are drawn one after another. Equal probabilities
that are rounded each by itself may come out unequal by 2^-40, and a conditional probability of exactly
1/2 with them. Here each draw divides the copies of a set of outcomes between its two halves, and the
probability of that division is rounded: k of 2^40 go to one half, 2^40 - k to the other. All rational
conditional probabilities of a denominator up to 2^39 are far from the middle between two grid points, so
the error never moves them; any other value moves by one grid point with a probability of about 1e-4, and
that changes a draw of K copies with a probability of about K 2^-40. The distribution drawn from differs
from the given one by at most 2^-40 in each division.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats, Integers
from ketwire.quantum.grid import PROBABILITY_BITS, snap

SUM_TOLERANCE = 1e-9


def _checked(probabilities: ArrayLike) -> Floats:
    table = np.asarray(probabilities, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise ValueError(f"probabilities: found shape {table.shape}, expected (rows, outcomes)")
    right = np.abs(table.sum(axis=1) - 1) <= SUM_TOLERANCE
    if not (right.all() and table.min(initial=0.0) >= 0):
        wrong = ~(right & (table >= 0).all(axis=1))
        raise ValueError(f"probabilities: row {int(np.argmax(wrong))} is no distribution, "
                         "expected numbers from 0 up that sum to 1")
    return table


def sample(probabilities: ArrayLike, counts: ArrayLike, rng: np.random.Generator) -> Integers:
    """How often each outcome came up in counts[row] draws from each row: (rows, outcomes), int64.

    Binomial draws divide each row's copies between the halves of its outcomes, then between their halves
    and so on, so the cost does not grow with the number of copies.
    """
    table = _checked(probabilities)
    draws = np.asarray(counts)
    if draws.shape != (len(table),) or draws.dtype.kind not in "iu" or draws.min(initial=0) < 0:
        raise ValueError(f"counts: found {draws.dtype} of shape {draws.shape}, "
                         f"expected ({len(table)},) integers from 0 up")
    sums, copies = _sums_of_halves(table), int(draws.sum())
    counts_of = draws.astype(np.int64)[:, None]
    for halves in sums[-2::-1]:
        first, second = halves[:, 0::2], halves[:, 1::2]
        counts_of = counts_of[:, : first.shape[1]]  # beyond stands the 0 beside an odd one
        divided = np.zeros((*first.shape, 2), dtype=np.int64)
        if first.size > copies:  # none are drawn from no copies: to pass over these takes a part of the time
            some = counts_of > 0
            divided[some, 0] = rng.binomial(counts_of[some], split(first[some], second[some]))
        else:
            divided[:, :, 0] = rng.binomial(counts_of, split(first, second))
        np.subtract(counts_of, divided[:, :, 0], out=divided[:, :, 1])
        counts_of = divided.reshape(len(table), -1)
    return np.ascontiguousarray(counts_of[:, : table.shape[1]])


def split(first: Floats, second: Floats) -> Floats:
    """first / (first + second), the probability with which a copy goes to the first of two, as k / 2^40.

    Any shape; 0 where both are 0.
    """
    total = first + second
    share = np.divide(first, total, out=np.zeros(total.shape), where=total > 0)
    # `snap`, in place: a share is neither negative nor beyond the grid.
    share *= 2.0**PROBABILITY_BITS
    np.rint(share, out=share)
    share *= 2.0**-PROBABILITY_BITS
    return share


def _sums_of_halves(table: Floats) -> list[Floats]:
    """The table, then the sums of its pairs, of pairs of pairs and so on to one column; an odd one out is beside 0."""
    levels = [table]
    while levels[-1].shape[1] > 1:
        if levels[-1].shape[1] % 2:
            levels[-1] = np.pad(levels[-1], ((0, 0), (0, 1)))
        levels.append(levels[-1][:, 0::2] + levels[-1][:, 1::2])
    return levels


def successes(trials: int, chance: float, count: int, rng: np.random.Generator) -> Integers:
    """How many of a few trials of this chance succeed, again and again: (count,), int64.

    By inverting the cumulative distribution, a uniform number and as many comparisons as trials for each. NumPy's
    binomial numbers of so few trials are the same, and take a loop with divisions for each.

    trials: from 1 to 127. chance: from 0 to 1, rounded (`grid.significant_one`).
    """
    rarer = min(chance, 1.0 - chance)
    weight = math.exp(trials * math.log(1.0 - rarer))  # of so many of the rarer events, from none on
    uniform, edge = rng.random(count), 0.0
    rare = np.zeros(count, dtype=np.int8)
    for one in range(trials):
        edge += weight
        rare += uniform > edge
        weight *= (trials - one) / (one + 1) * rarer / (1.0 - rarer)
    found = rare.astype(np.int64)
    return found if rarer == chance else trials - found


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
    edges = snap(edges / edges[:, -1:])
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
