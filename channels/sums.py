"""Sums of floats that are the same on every Python.

The built-in `sum` carries what it rounds off along from Python 3.12 on, and did not before. What is planned, drawn
or printed may not hang on the interpreter: a run's fibers may have others than its coordinator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def exact_sum(values: Iterable[float]) -> float:
    """The sum of `values`, rounded once, the same in any order; infinite or nan where `math.fsum` would raise."""
    given = tuple(values)
    try:
        return math.fsum(given)
    except (OverflowError, ValueError):  # a step of it is out of range, or infinities cancel
        return float(sum(given))
