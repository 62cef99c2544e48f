"""Means of few values: their deviation, and their interval by Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean_of(values: Sequence[float]) -> float:
    """Exactly the value where all are the same one."""
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Of at least two values, with n - 1."""
    mean = mean_of(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def half_width(values: Sequence[float], confidence: float) -> float:
    """Of the interval of the mean of at least two values, by Student's t."""
    return t_quantile(0.5 + confidence / 2, len(values) - 1) * deviation(values) / math.sqrt(len(values))


def t_quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution, for a probability of at least 1/2, to about twelve digits."""
    low, high = 0.0, 1.0
    while _t_below(high, freedom) < probability:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _t_below(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _t_below(t: float, freedom: int) -> float:
    """P(T <= t) of Student's t for t of at least 0, by the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    angle = math.atan2(t, math.sqrt(freedom))
    sine, cosine2 = math.sin(angle), math.cos(angle) ** 2
    odd = freedom % 2 == 1
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for step in range(freedom // 2):
        total += term
        index = 2 * step + (2 if odd else 1)
        term *= cosine2 * index / (index + 1)
    two_sided = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + two_sided / 2
