"""Expectations of a study, held against its results."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import StudyData, is_number
from ketwire.scenarios.studies.spec import Expect
from ketwire.scenarios.studies.statistics import spread

_WORDS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "equals": ("exactly", operator.eq), "below": ("below", operator.lt), "above": ("above", operator.gt),
    "at_most": ("at most", operator.le), "at_least": ("at least", operator.ge),
}  # fmt: skip


class Held(NamedTuple):
    """An expectation at a point.

    number: of the expectation, from 0 up. at: of the point; None of all its points together. found: what the field is
    there, in words. wanted: in words.
    """

    number: int
    field: str
    at: int | None
    found: str
    wanted: str
    holds: bool


def held(data: StudyData) -> list[Held]:
    """Each expectation at each of its points, in their order."""
    return [each for index, expect in enumerate(data.study.expect) for each in _held(data, index, expect)]


def unmet(data: StudyData) -> list[str]:
    """A line for each expectation and point that does not hold, in their order."""
    return [
        f"expect.{each.number}: {each.field} is {each.found} at {_where(data, each.at)}, expected {each.wanted}"
        for each in held(data) if not each.holds
    ]  # fmt: skip


def _where(data: StudyData, at: int | None) -> str:
    return "all points together" if at is None else data.told(at) or "the only point"


def _held(data: StudyData, index: int, expect: Expect) -> Iterator[Held]:
    name, wanted = expect.comparison
    words, holds = _WORDS[name]
    for at, each in _values(data, expect):
        found = _found(each)
        as_wanted = bool(found) and all(_comparable(value, wanted) and holds(value, wanted) for value in found)
        told = ", ".join(map(plain_label, dict.fromkeys(found))) if found else "no result"
        yield Held(index, expect.field, at, told, f"{words} {plain_label(wanted)}", as_wanted)


def _values(data: StudyData, expect: Expect) -> Iterator[tuple[int | None, list[Any]]]:
    """The values of its field at each of its points, or of all of them together: none where a point has none."""
    values = data.of_point(expect.field)
    points = []
    for at, point in enumerate(data.points):
        labels = dict(zip(data.axes, point.labels, strict=True))
        if all(plain_label(labels[axis]) == plain_label(label) for axis, label in expect.at.items()):
            points.append(at)
    if not expect.together:
        yield from ((at, values.get(at, [])) for at in points)
        return
    means = [_found(values.get(at, [])) for at in points]
    yield None, [value for found in means for value in found] if all(means) else []


def _found(values: list[Any]) -> list[Any]:
    """What is compared: of numbers their mean, of anything else each value."""
    if len(values) > 1 and all(map(is_number, values)):
        return [spread([float(value) for value in values]).mean]
    return values


def _comparable(value: Any, wanted: Any) -> bool:
    return is_number(value) == is_number(wanted)
