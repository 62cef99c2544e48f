"""From axes to the cells of a grid: the labels of each cell, and what it changes in the base scenario."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.changes import Change
from ketwire.scenarios.schema.validation import shown
from ketwire.scenarios.studies.spec import Axis, Label, leaves

MAX_POINTS = 1_000_000
MAX_LABEL = 60
RESERVED = ("point", "repeat", "seed", "status", "reason")
"""Columns of the table that no axis and no field may have."""


class Cell(NamedTuple):
    """One cell of the grid: a label for each axis, and the changes that lead to it."""

    labels: tuple[Label, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Grid:
    """All cells in the order of the axes, the last axis fastest.

    names: of the axes. keys: by axis the dotted keys that its values set. said: by axis the key of the study file.
    """

    names: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    said: tuple[str, ...]
    cells: list[Cell]

    def told(self, labels: Sequence[Label]) -> str:
        """A cell for messages: `links.0.length_km=5, transport=direct`."""
        return ", ".join(f"{name}={plain_label(label)}" for name, label in zip(self.names, labels, strict=True))


def plain_label(label: Label) -> str:
    """A label as tables write it."""
    return label if isinstance(label, str) else json.dumps(label)


def grid(axes: Sequence[Axis], origin: str) -> Grid:
    """The grid that axes span; several multiply.

    Raises:
        ScenarioError: an axis is wrong in itself, or two axes do not go together; names the axis.
    """
    found = [(where, axis, _settings(axis, where, origin)) for where, axis in leaves(axes)]
    names = tuple(axis.name or axis.all_keys[0] for _, axis, _ in found)
    keys = tuple(tuple(dict.fromkeys(change.key for cell in cells for change in cell.changes)) for _, _, cells in found)
    said = tuple(where for where, _, _ in found)
    _refuse_twice(names, keys, said, origin)
    by_axis = {where: cells for where, _, cells in found}
    if (count := _count(axes, by_axis, "axes")) > MAX_POINTS:
        raise ScenarioError(f"{origin}: axes: {count:,} points given, expected at most {MAX_POINTS:,}")
    spanned = Grid(names, keys, said, _multiplied(axes, by_axis, "axes", origin))
    points: set[str] = set()
    for cell in spanned.cells:
        if (told := spanned.told(cell.labels)) in points:
            raise ScenarioError(f"{origin}: axes: point {told} given twice, expected each point once")
        points.add(told)
    return spanned


def _settings(axis: Axis, where: str, origin: str) -> list[Cell]:
    """The values of one axis, each as what it changes."""
    if axis.labels is not None and not axis.has_values:
        return [Cell((label,), ()) for label in axis.labels]
    if axis.presets is not None:
        values: list[Any] = [*axis.presets]
    elif axis.values is not None:
        values = axis.values
    else:
        values = spaced(axis)
    if axis.labels is not None:
        labels = list(axis.labels)
    else:
        labels = [_label(value, f"{origin}: {where}.values.{at}") for at, value in enumerate(values)]
    if len(labels) != len(values):
        raise ScenarioError(f"{origin}: {where}.labels: {len(labels)} labels given, expected {len(values)}")
    seen: set[str] = set()
    for label in map(plain_label, labels):
        # Side by side with another axis it may come again.
        if label in seen and ".zip." not in where and ".rows." not in where:
            raise ScenarioError(f"{origin}: {where}: {label} given twice, expected each value once")
        seen.add(label)
    named = f"{origin}: {where}"
    return [Cell((label,), _changes(axis, value, f"{named}.values.{at}", named))
            for at, (label, value) in enumerate(zip(labels, values, strict=True))]  # fmt: skip


def _changes(axis: Axis, value: Any, at: str, named: str) -> tuple[Change, ...]:
    if axis.all_keys:
        return tuple(Change(_key(key, named), value, f"{named} ({key})") for key in axis.all_keys)
    if not isinstance(value, dict) or not value:
        raise ScenarioError(f"{at}: {shown(value)} given, expected a mapping from dotted keys to values, or key beside")
    return tuple(Change(_key(key, at), each, f"{at} ({key})") for key, each in value.items())


def _key(key: str, where: str) -> str:
    if not all(key.split(".")):
        raise ScenarioError(f"{where}: key {key!r} given, expected a dotted key: links.0.length_km")
    return key


def _label(value: Any, where: str) -> Label:
    """How a value is called where no label is given."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, dict) and len(value) == 1:
        return _label(next(iter(value.values())), where)
    text = ", ".join(_told(each) for each in value.values()) if isinstance(value, dict) else json.dumps(value)
    if len(text) > MAX_LABEL:
        raise ScenarioError(f"{where}: {shown(value)} given, expected labels beside values of this length")
    return text


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def spaced(axis: Axis) -> list[int | float]:
    """The values of linspace or geomspace, to twelve digits; whole numbers as such."""
    given = axis.linspace or axis.geomspace
    assert given is not None
    first, last, count = given
    steps = [index / (count - 1) for index in range(count)]
    if axis.linspace is not None:
        found = [first + (last - first) * step for step in steps]
    else:
        found = [first * (last / first) ** step for step in steps]
    rounded = [float(f"{value:.12g}") for value in found]
    return [int(value) if value.is_integer() and math.fabs(value) < 2**53 else value for value in rounded]


def _refuse_twice(
    names: Sequence[str], keys: Sequence[Sequence[str]], said: Sequence[str], origin: str
) -> None:
    seen: dict[str, str] = {}
    for name, where in zip(names, said, strict=True):
        if name in RESERVED:
            raise ScenarioError(f"{origin}: {where}: name {name!r} given, expected another than {', '.join(RESERVED)}")
        if name in seen:
            raise ScenarioError(f"{origin}: {where}: name {name!r} given, which {seen[name]} has; expected another")
        seen[name] = where
    owners: dict[str, str] = {}
    for of_axis, where in zip(keys, said, strict=True):
        for key in of_axis:
            if key in owners:
                raise ScenarioError(f"{origin}: {where}: key {key} given, which {owners[key]} sets; expected it once")
        owners |= dict.fromkeys(of_axis, where)


def _count(axes: Sequence[Axis], found: dict[str, list[Cell]], where: str) -> int:
    return math.prod(_length(axis, found, f"{where}.{index}") for index, axis in enumerate(axes))


def _length(axis: Axis, found: dict[str, list[Cell]], where: str) -> int:
    if axis.zipped is not None:
        return _length(axis.zipped[0], found, f"{where}.{axis.combines_by}.0")
    return len(found[where]) if axis.product is None else _count(axis.product, found, f"{where}.product")


def _multiplied(axes: Sequence[Axis], found: dict[str, list[Cell]], where: str, origin: str) -> list[Cell]:
    parts = [_combined(axis, found, f"{where}.{index}", origin) for index, axis in enumerate(axes)]
    return [_joined(cells) for cells in itertools.product(*parts)]


def _combined(axis: Axis, found: dict[str, list[Cell]], where: str, origin: str) -> list[Cell]:
    if axis.product is not None:
        return _multiplied(axis.product, found, f"{where}.product", origin)
    if axis.zipped is None:
        return found[where]
    by = axis.combines_by
    parts = [_combined(each, found, f"{where}.{by}.{index}", origin) for index, each in enumerate(axis.zipped)]
    for index, part in enumerate(parts):
        if len(part) != len(parts[0]):
            told = f"{len(part)} values given beside {len(parts[0])}, expected as many"
            raise ScenarioError(f"{origin}: {where}.{by}.{index}: {told}")
    return [_joined(cells) for cells in zip(*parts, strict=True)]


def _joined(cells: Iterable[Cell]) -> Cell:
    """One cell of several that lie along different axes."""
    cells = tuple(cells)
    return Cell(tuple(itertools.chain.from_iterable(cell.labels for cell in cells)),
                tuple(itertools.chain.from_iterable(cell.changes for cell in cells)))  # fmt: skip
