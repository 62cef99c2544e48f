"""What repeats of a point come to: mean, deviation, interval, percentiles, and the share done by a deadline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ketwire.quantum.binomial import wilson_interval

CONFIDENCE = 0.95


class Spread(NamedTuple):
    """Of the values of one field at one point.

    deviation: of single values (n - 1). low, high: the 95 % interval of the mean by Student's t; None for one value.
    """

    runs: int
    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    p50: float
    p95: float
    p99: float


def spread(values: Sequence[float]) -> Spread:
    """The statistics of at least one value."""
    ordered = sorted(values)
    mean = _mean(ordered)
    percentiles = [percentile(ordered, share) for share in (0.50, 0.95, 0.99)]
    if len(ordered) == 1:
        return Spread(1, mean, None, None, None, *percentiles)
    half = half_width(ordered, CONFIDENCE)
    return Spread(len(ordered), mean, deviation(ordered), mean - half, mean + half, *percentiles)


def _mean(values: Sequence[float]) -> float:
    """Exactly the value where all are the same one."""
    return values[0] if min(values) == max(values) else math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """Of at least two values, with n - 1."""
    mean = _mean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def half_width(values: Sequence[float], confidence: float) -> float:
    """Of the interval of the mean of at least two values, by Student's t."""
    return t_quantile(0.5 + confidence / 2, len(values) - 1) * deviation(values) / math.sqrt(len(values))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share lies, between neighbours in proportion (as numpy's `linear`)."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


def done_by(times_ps: Sequence[float | None], deadline_ps: float) -> tuple[float, float, float]:
    """The share of runs whose result was there by a deadline, and its 95 % interval (Wilson).

    Args:
        times_ps: of each run when its result was there; None of a run that failed, which was not there by any.
    """
    share = sum(time is not None and time <= deadline_ps for time in times_ps) / len(times_ps)
    low, high = wilson_interval(share, len(times_ps))
    return share, low, high


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
