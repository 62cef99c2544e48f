"""Which of many copies fall to whom: draws without putting back, also of more copies than numpy's own take.

Numpy draws from populations below 10^9 alone. Beyond, a hypergeometric number X of `good` ones among `number` is
drawn by rejection: X ~ Bin(good, p), and it is taken with probability f(number - X) / max f, f the law
of Bin(bad, p), for the law of two binomials given their sum is hypergeometric for every p. With p = number over
all and good <= bad some 7 of 10 are taken. Logarithms of f by Loader's expansion about its mean, which keeps
its digits where factorials would cancel (C. Loader 2000, Fast and accurate computation of binomial probabilities).
"""

from __future__ import annotations

import math

import numpy as np

from ketwire.quantum.arrays import Integers

MOST_AT_ONCE = 10**9
"""Numpy's draws are from populations below this."""
_MOST_TRIES = 10_000  # each is taken with probability 1/2 or more


def draw_copies(counts: Integers, number: int, rng: np.random.Generator) -> Integers:
    """How many of each row are among `number` copies drawn at random without putting back: (rows,)."""
    if len(counts) == 1:
        return np.array([number])
    left, wanted = int(counts.sum()), number
    if left < MOST_AT_ONCE:
        return np.asarray(rng.multivariate_hypergeometric(counts, number, method="marginals"))
    drawn = np.zeros(len(counts), dtype=np.int64)
    for row, count in enumerate(counts.tolist()):
        left -= count
        drawn[row] = hypergeometric(count, left, wanted, rng)
        wanted -= int(drawn[row])
    return drawn


def hypergeometric(good: int, bad: int, number: int, rng: np.random.Generator) -> int:
    """How many good ones are among `number` drawn at random from so many good and bad ones."""
    assert 0 <= number <= good + bad
    if good + bad < MOST_AT_ONCE:
        return int(rng.hypergeometric(good, bad, number))
    if good > bad:
        return number - hypergeometric(bad, good, number, rng)
    if 2 * number > good + bad:  # those that are left behind are fewer, and as random
        return good - hypergeometric(good, bad, good + bad - number, rng)
    p = number / (good + bad)
    top = _log_binomial(min(math.floor((bad + 1) * p), bad), bad, p)
    for _ in range(_MOST_TRIES):
        found = int(rng.binomial(good, p))
        if found <= number and math.log1p(-rng.random()) <= _log_binomial(number - found, bad, p) - top:
            return found
    raise AssertionError("a draw that nearly always succeeds never did")


def _log_binomial(hits: int, tries: int, p: float) -> float:
    """ln P[Bin(tries, p) = hits], without the terms that no `hits` changes; 0 <= hits <= tries."""
    missed = tries - hits
    told = -_deviance(hits, tries * p) - _deviance(missed, tries * (1 - p))
    told -= _beyond_stirling(hits) + _beyond_stirling(missed)
    return told - (math.log(max(hits, 1)) + math.log(max(missed, 1))) / 2


def _deviance(seen: int, mean: float) -> float:
    """seen ln(seen / mean) + mean - seen, from 0 up."""
    if seen == 0:
        return mean
    off = (seen - mean) / mean
    return mean * ((1 + off) * math.log1p(off) - off)


def _beyond_stirling(n: int) -> float:
    """ln n! less (n + 1/2) ln n - n, whose limit is ln √2π; 0 at n = 0, where `_log_binomial` has no root."""
    if n == 0:
        return 0.0
    if n < 32:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n
    square = n * n
    return 0.5 * math.log(2 * math.pi) + (1 / 12 - (1 / 360 - 1 / (1260 * square)) / square) / n
