"""Intervals of what was found: of estimates and of shares of right decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ketwire.quantum.binomial import wilson_interval


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def half_width(result: Mapping[str, Any]) -> float | None:
    """Of the interval of an estimate: what was promised, or two standard errors, told or of outcomes counted."""
    if result.get("epsilon") is not None:
        return float(result["epsilon"])
    if result.get("standard_error") is not None:
        return 2.0 * float(result["standard_error"])
    estimate, copies = result["estimate"], result.get("copies")
    if not copies or not 0.0 <= estimate <= 1.0:
        return None
    return 2.0 * math.sqrt(estimate * (1.0 - estimate) / copies)


def interval_name(result: Mapping[str, Any]) -> str:
    """What the half width is."""
    if result.get("epsilon") is not None:
        return f"± epsilon, kept with probability {1 - result['delta']:g}"
    return "± 2 standard errors"


def share_of(told: Mapping[str, Any]) -> float | None:
    """The share of right decisions, on the test part where there is one."""
    share = told.get("test_accuracy")
    return told.get("accuracy") if share is None else share


def accuracy_text(share: float, decisions: int | None) -> str:
    """A share with its 95% interval (Wilson), where the number of decisions is known."""
    if not decisions:
        return f"{share:.3f}"
    low, high = wilson_interval(share, decisions)
    return f"{share:.3f} (95% interval {low:.3f} to {high:.3f})"


def found_text(told: Mapping[str, Any], decisions: int | None = None) -> str:
    """What a protocol or a rival found, with its interval where it has one; empty where it found nothing.

    Args:
        told: its part of the result. decisions: how many a share of right ones was measured on.
    """
    share, estimate = share_of(told), told.get("estimate")
    if share is not None:
        return f"accuracy {accuracy_text(share, decisions)}"
    if isinstance(estimate, list):
        off = "" if told.get("error") is None else f", off by at most {told['error']:.2g}"
        has = told.get("epsilon") is not None
        promised = f", ± {told['epsilon']:g} with probability {1 - told['delta']:g}" if has else ""
        return f"{len(estimate)} estimates{promised}{off}"
    if not is_number(estimate):
        return ""
    half = half_width(told) if "copies" in told else None
    words = interval_name(told).removeprefix("± ").removeprefix("epsilon, kept ")
    name = "" if half is None else f" ± {half:.2g} ({words})"
    off = "" if told.get("error") is None else f", off by {told['error']:.2g}"
    return f"{estimate:.5g}{name}{off}"
