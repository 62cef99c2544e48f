"""What repeats of a point come to: mean, deviation, interval, percentiles, and the share done by a deadline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ketwire.quantum.binomial import wilson_interval
from ketwire.quantum.means import deviation, half_width, mean_of

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
    mean = mean_of(ordered)
    percentiles = [percentile(ordered, share) for share in (0.50, 0.95, 0.99)]
    if len(ordered) == 1:
        return Spread(1, mean, None, None, None, *percentiles)
    half = half_width(ordered, CONFIDENCE)
    return Spread(len(ordered), mean, deviation(ordered), mean - half, mean + half, *percentiles)


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
