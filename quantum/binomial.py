"""How many two-valued outcomes tell a probability to epsilon: by the binomial law itself instead of a bound on it.

X of K independent outcomes are 1, each with probability p, and X / K is the estimate of p. It is off where
|X/K - p| > epsilon. How likely that is depends on p; a promise must hold for the worst p (`worst_error`).

**The worst p is found exactly.** Between two neighbouring points of the form k/K + epsilon or k/K - epsilon the
values of X that are within epsilon of p do not change; call them a..b. With Y ~ Binomial(K - 1, p),
d/dp P(a <= X <= b) = K (P(Y = a-1) - P(Y = b)), which changes its sign once, from + to -. So the probability to be
off is largest in the limit towards an end of such an interval, and of the two limits at an end the larger one is
that where a value is just lost. Just above p = k/K + epsilon that is P(X <= k) + P(X > k + m), m = floor(2 K epsilon);
just below k/K - epsilon it is the same by symmetry. These are at most K numbers.
Source: Chen, J. Stat. Plan. Inference 141 (2011) 2622 (arXiv 0707.2113).

**Not monotone.** `worst_error` rises and falls with K, as m jumps: 390 outcomes keep (0.05, 0.05) and 399 do not.
`count_for` is the least K that keeps the promise itself; its caller must take exactly as many.

**Outcomes of different probabilities** with mean p, as on links whose noise differs from copy to copy, are within
epsilon at least as often, if K epsilon >= 1. Source: Hoeffding, Ann. Math. Stat. 27 (1956) 713, theorem 5.

**Machines agree.** epsilon is taken as the decimal number that it prints as, and what is compared with delta is first
raised by `MARGIN`, far above what rounding does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ketwire.quantum.arrays import Floats, Integers

WILSON = 1.959963984540054  # the normal quantile of 95 %, two-sided

MOST_EXACT = 1 << 16
"""Where `enough_for` is above this number of outcomes, it is the answer: 1% above the exact one or less."""

MOST_STEPS = 10_000

BELOW_ONE = 1.0 - 2.0**-53

MARGIN = 1e-8
"""Relative, of probabilities; logarithms of factorials up to 2^16! are right to 1e-9."""


@lru_cache(maxsize=4096)
def count_for(epsilon: float, delta: float, parts: int = 1) -> int:
    """The least number K of outcomes with which a probability is known to epsilon with confidence 1 - delta.

    parts: K is a multiple of it. More than one: outcomes may have as many different probabilities, whose mean is
    estimated. Above `MOST_EXACT` it is `enough_for`.

    ValueError unless epsilon > 0 and 0 < delta < 1.
    """
    if not (epsilon > 0 and 0 < delta < 1):
        raise ValueError(f"epsilon, delta: {epsilon}, {delta} given, expected above 0, and between 0 and 1")
    enough = enough_for(epsilon, delta, parts)
    if enough > MOST_EXACT:
        return enough
    counts = np.arange(parts, enough + 1, parts)
    if parts > 1:
        counts = counts[counts * epsilon >= 1.0]
    # Most are ruled out by one p, near 1/2, first by a lower bound and then by the law.
    ends = _Ends.near_half(counts, epsilon)
    ends = ends.where(ends.bounds()[0] <= delta)
    for count in ends.counts[ends.errors() <= delta].tolist():
        if worst_error(count, epsilon) * (1.0 + MARGIN) <= delta:
            return int(count)
    return enough


def enough_for(epsilon: float, delta: float, parts: int = 1) -> int:
    """The least multiple of `parts` for which erfc(√(2K) (epsilon - 1/K)) <= delta: it keeps the promise for any p.

    P(X <= k) <= Φ(-√(2K D(x || p))) with x = (k+1)/K < p and D the relative entropy of two coins, and
    D(x || p) >= 2 (x - p)². About 3/2 of 1/epsilon outcomes more than are needed.
    Source: Zubkov and Serov, Theory Probab. Appl. 57 (2013) 539 (arXiv 1207.3838); Pinsker's inequality.
    """

    def keeps(count: int) -> bool:
        return _erfc_bound(count, epsilon) * (1.0 + MARGIN) <= delta

    low, high = 0, 1
    while not keeps(high * parts):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle * parts) else (middle, high)
    return high * parts


def _erfc_bound(count: int, epsilon: float) -> float:
    return math.erfc(math.sqrt(2.0 * count) * (epsilon - 1.0 / count)) if count * epsilon > 1.0 else 1.0


def worst_error(count: int, epsilon: float) -> float:
    """The supremum over p of P(|X/K - p| > epsilon) for X ~ Binomial(K, p), K = count; below 2^17."""
    ends = _Ends.of(count, epsilon)
    if not len(ends.lost):
        return 0.0
    least, most = ends.bounds()
    return float(ends.where(most >= least.max()).errors().max())


@lru_cache(maxsize=256)
def accuracy_of(count: int, delta: float) -> float:
    """The least epsilon to which K = count outcomes tell a probability with confidence 1 - delta.

    Rounded up by 1e-4 of it at most. 1 where they tell nothing. Above `MOST_EXACT` outcomes that of `enough_for`.
    """

    def keeps(epsilon: float) -> bool:
        error = worst_error(count, epsilon) if count <= MOST_EXACT else _erfc_bound(count, epsilon)
        return error * (1.0 + MARGIN) <= delta

    low, high = 0.0, 1.0
    while high - low > 1e-4 * high:
        middle = (low + high) / 2.0
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


@dataclass(frozen=True, eq=False)
class _Ends:
    """Points just above p = k/K + epsilon < 1, each for a number K of outcomes of its own.

    counts: K. lost: k. above: the X that are too large are those with K - X <= above; negative for none. p: where.
    """

    counts: Integers
    lost: Integers
    above: Integers
    p: Floats

    @classmethod
    def of(cls, count: int, epsilon: float) -> _Ends:
        """All of one K."""
        top, bottom = Fraction(repr(float(epsilon))).as_integer_ratio()
        lost = np.arange(-(-count * (bottom - top) // bottom), dtype=np.int64)
        above = count - lost - _width(count, top, bottom) - 1
        return cls(np.full(len(lost), count), lost, above, np.minimum(lost / count + epsilon, BELOW_ONE))

    @classmethod
    def near_half(cls, counts: Integers, epsilon: float) -> _Ends:
        """For each K one point with p near 1/2, of those that have any."""
        top, bottom = Fraction(repr(float(epsilon))).as_integer_ratio()
        counts = counts[[count * (bottom - top) > 0 for count in counts.tolist()]]
        widths = np.array([_width(count, top, bottom) for count in counts.tolist()], dtype=np.int64)
        lost = np.maximum(counts - widths, 0) // 2
        return cls(counts, lost, counts - lost - widths - 1, lost / counts + epsilon)

    def where(self, chosen: NDArray[np.bool_]) -> _Ends:
        return _Ends(self.counts[chosen], self.lost[chosen], self.above[chosen], self.p[chosen])

    def bounds(self) -> tuple[Floats, Floats]:
        """Bounds on `errors` from below and above, by Zubkov and Serov, loosened by `MARGIN`."""
        least, most = (
            _normal(self.counts, self.lost + more, self.p)
            + np.where(self.above >= 0, _normal(self.counts, self.above + more, 1.0 - self.p), 0.0)
            for more in (0, 1)
        )
        return least * (1.0 - MARGIN), most * (1.0 + MARGIN)

    def errors(self) -> Floats:
        """P(X <= k) + P(X > k + floor(2 K epsilon))."""
        below = _tail(self.counts, self.lost, self.p)
        above = _tail(self.counts, np.maximum(self.above, 0), 1.0 - self.p)
        return below + np.where(self.above >= 0, above, 0.0)


def _width(count: int, top: int, bottom: int) -> int:
    """floor(2 K epsilon), at most K; epsilon = top / bottom."""
    return min(2 * count * top // bottom, count)


def _normal(counts: Integers, at: Integers, p: Floats) -> Floats:
    """Φ(-√(2K D(at/K || p))) where at/K is below p, and 1/2 elsewhere."""
    x = np.clip(at / counts, 0.0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(x > 0, x * np.log(x / p), 0.0) + (1.0 - x) * np.log((1.0 - x) / (1.0 - p))
    nats = np.where(x < p, counts * np.maximum(divergence, 0.0), 0.0)
    return np.array([math.erfc(math.sqrt(each)) / 2.0 for each in nats.tolist()])


def _tail(counts: Integers, at: Integers, p: Floats) -> Floats:
    """P(X <= at), 0 <= at < K p: its largest term times a continued fraction.

    P(X <= k) = I_{1-p}(K-k, k+1), the incomplete beta function, by its fraction (DLMF 8.17.22), evaluated by the
    method of Lentz; below the mean it converges in some √K steps at most.
    """
    factorials = _log_factorials(int(counts.max(initial=1)).bit_length())
    ways = factorials[counts] - factorials[at] - factorials[counts - at]
    term = np.exp(ways + at * np.log(p) + (counts - at) * np.log1p(-p))
    x, a, b = 1.0 - p, (counts - at).astype(np.float64), at + 1.0
    c, d = np.ones(len(p)), 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    fraction, m, step = d, 0, np.full(len(p), 2.0)
    while (np.abs(step - 1.0) > 1e-13).any() and m < MOST_STEPS:
        m += 1
        for up in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            c, d = 1.0 + up / c, 1.0 / (1.0 + up * d)
            step = c * d
            fraction = fraction * step
    return np.asarray(term * p * fraction)


@lru_cache(maxsize=4)
def _log_factorials(bits: int) -> Floats:
    """ln k! for k below 2**bits."""
    return np.array([math.lgamma(k + 1.0) for k in range(1 << bits)])


def wilson_interval(accuracy: float, decisions: int | None) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of right decisions; the share itself where their number is not known."""
    if decisions is None:
        return accuracy, accuracy
    spread = WILSON**2 / decisions
    middle = (accuracy + spread / 2) / (1 + spread)
    half = WILSON / (1 + spread) * math.sqrt(accuracy * (1 - accuracy) / decisions + spread / 4 / decisions)
    # The share is inside except for rounding, which puts it outside where it is 0 or 1.
    return min(max(0.0, middle - half), accuracy), max(min(1.0, middle + half), accuracy)
