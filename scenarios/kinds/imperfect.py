"""What nodes that err or take time mean for estimates of gradients: who can read there, and what is noisy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ketwire.channels.hardware import OF_READING, TIMES, Hardware
from ketwire.channels.timing import PS_PER_S
from ketwire.errors import ScenarioError

UNSTATED = ("classical-shadows", "tomography", "shadow-tomography")
"""Estimators that measure |Phi> in bases, or by tests, whose gates are not given."""


def refuse_unstated(estimator: str, owners: Iterable[str], hardware: Mapping[str, Hardware]) -> None:
    """Refuse owners of derivatives who would read imperfectly what has no stated circuit."""
    if estimator not in UNSTATED:
        return
    for party in owners:
        for name in OF_READING:
            given = getattr(hardware.get(party, Hardware()), name)
            if given:
                key, value = (name.replace("_ps", "_s"), given / PS_PER_S) if name in TIMES else (name, given)
                shown = f"{list(value)}" if isinstance(value, tuple) else f"{value:g}"
                raise ScenarioError(
                    f"nodes.{party}.{key}: {shown} given, expected none for the estimator {estimator}, whose "
                    "measurement has no stated circuit that could err or take time; direct, commuting, "
                    "random-coordinate and parameter-shift work on such nodes"
                )


def gates_err(hardware: Iterable[Hardware]) -> bool:
    """Whether copies that went one way can have met different errors of gates or preparations."""
    return any(each.p_prepare or each.p_gate1 or each.p_gate2 for each in hardware)
