"""What counts say about probabilities: exact binomial tails, and the bounds that follow from them.

Everything here holds for every number of trials; nothing is a normal approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MOST_FRACTIONS = 100_000  # convergents of the continued fraction; about the root of the trials is enough
TINY = 1e-300
BISECTIONS = 60


def at_least(successes: int, trials: int, p: float) -> float:
    """P(X >= successes) for X binomial: the regularised incomplete beta function I_p(k, n - k + 1)."""
    if successes <= 0:
        return 1.0
    if successes > trials or p <= 0.0:
        return 0.0
    return 1.0 if p >= 1.0 else _incomplete_beta(successes, trials - successes + 1, p)


def at_most(successes: int, trials: int, p: float) -> float:
    """P(X <= successes) for X binomial."""
    return at_least(trials - successes, trials, 1.0 - p)


def clopper_pearson(successes: int, trials: int, delta: float) -> tuple[float, float]:
    """An interval that holds the probability of a success with confidence 1 - delta at least.

    Source: Clopper and Pearson, Biometrika 26 (1934) 404. Without trials it is all of [0, 1].
    """
    low, high = 0.0, 1.0
    if successes > 0:
        low = _root(lambda p: at_least(successes, trials, p) < delta / 2)
    if successes < trials:
        high = _root(lambda p: at_most(successes, trials, p) > delta / 2)
    return low, high


def hoeffding_radius(trials: int, delta: float) -> float:
    """How far the mean of independent numbers from [0, 1] is off, at most, with confidence 1 - delta.

    Source: Hoeffding, J. Am. Stat. Assoc. 58 (1963) 13. Never above 1, which says nothing.
    """
    return min(1.0, math.sqrt(math.log(2.0 / delta) / (2.0 * trials))) if trials else 1.0


@dataclass(frozen=True)
class Findings:
    """What decoys and losses showed.

    decoys, failed: decoy copies that were measured, and those with an error in any qubit
    wrong: qubits in error, over all decoys
    emitted, arrived: copies of the first round, which was planned before anything was seen
    """

    decoys: int = 0
    failed: int = 0
    wrong: int = 0
    emitted: int = 0
    arrived: int = 0

    def disturbed(self, failure: float, delta: float) -> bool:
        """Whether more decoys failed than the link's own noise explains.

        failure: probability that a decoy fails without an eavesdropper, copies being independent. Then
        this is wrong with probability delta at most: more failures come up less often than that.
        Qubits of one copy are not independent (a copy is measured whole or not at all), so copies are
        what is counted here.
        """
        return self.failed > 0 and at_least(self.failed, self.decoys, failure) <= delta

    def starved(self, survival: float, delta: float) -> bool:
        """Whether fewer copies arrived than the fiber's own loss explains; wrong with probability delta at most."""
        return self.arrived < self.emitted and at_most(self.arrived, self.emitted, survival) <= delta


def _root(above: Callable[[float], bool]) -> float:
    """Where `above`, true on the left alone, turns false on [0, 1]."""
    left, right = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (left + right) / 2.0
        left, right = (middle, right) if above(middle) else (left, middle)
    return (left + right) / 2.0


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) by its continued fraction, DLMF 8.17.22, which converges fast left of the mean."""
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return min(1.0, math.exp(front) / a / _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of DLMF 8.17.22, by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for step in range(1, MOST_FRACTIONS):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / (1.0 + term * d or TINY)
        c = 1.0 + term / c or TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            return value
    raise AssertionError(f"no limit of the continued fraction for a = {a}, b = {b}, x = {x}")
