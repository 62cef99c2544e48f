"""Expectations of a study, held against its results."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import StudyData, is_number
from ketwire.scenarios.studies.spec import Expect
from ketwire.scenarios.studies.statistics import spread

_COMPARED: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "equals": ("exactly", operator.eq), "below": ("below", operator.lt), "above": ("above", operator.gt),
    "at_most": ("at most", operator.le), "at_least": ("at least", operator.ge),
}  # fmt: skip


def unmet(data: StudyData) -> list[str]:
    """A line for each expectation and point that does not hold, in their order."""
    return [line for index, expect in enumerate(data.study.expect) for line in _unmet(data, index, expect)]


def _unmet(data: StudyData, index: int, expect: Expect) -> list[str]:
    name, wanted = expect.comparison
    words, holds = _COMPARED[name]
    values, lines = data.of_point(expect.field), []
    for at, point in enumerate(data.points):
        labels = dict(zip(data.axes, point.labels, strict=True))
        if any(plain_label(labels[axis]) != plain_label(label) for axis, label in expect.at.items()):
            continue
        found = _found(values.get(at, []))
        if not found or not all(_comparable(each, wanted) and holds(each, wanted) for each in found):
            told = ", ".join(map(plain_label, dict.fromkeys(found))) if found else "no result"
            where = data.told(at) or "the only point"
            lines.append(f"expect.{index}: {expect.field} is {told} at {where}, expected {words} {plain_label(wanted)}")
    return lines


def _found(values: list[Any]) -> list[Any]:
    """What is compared: of numbers their mean, of anything else each value."""
    if len(values) > 1 and all(map(is_number, values)):
        return [spread([float(value) for value in values]).mean]
    return values


def _comparable(value: Any, wanted: Any) -> bool:
    return is_number(value) == is_number(wanted)
