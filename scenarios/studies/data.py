"""What a study came to: its rows in the order of the grid, statistics over repeats, and the commands behind them.

`read_study` has all of it from a folder; nothing is resolved or run for that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ketwire.channels.timing import PS_PER_S
from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.schema.yamltext import parse, read
from ketwire.scenarios.studies.axes import Cell, grid, plain_label
from ketwire.scenarios.studies.files import study_of
from ketwire.scenarios.studies.folder import STUDY, Row, Rows, many_values, read_owner, read_points, read_rows
from ketwire.scenarios.studies.record import flat
from ketwire.scenarios.studies.running import repeats_needed
from ketwire.scenarios.studies.spec import Figure, Label, Study
from ketwire.scenarios.studies.statistics import Spread, done_by, spread

if TYPE_CHECKING:
    from pandas import DataFrame

    from ketwire.scenarios.studies.prepare import Prepared

TIME = "virtual_time_ps"
SUMMARY = ("field", *Spread._fields)


class PointKey(NamedTuple):
    """Of a point what its rows and commands need. labels: one for each axis."""

    identity: str
    workload_seed: int
    labels: Sequence[Label]


@dataclass(frozen=True)
class StudyData:
    """A study and the runs of it that are over.

    axes: their names. points: in the order of the grid. fields: that were recorded, in the order of rows' values.
    """

    study: Study
    name: str
    axes: list[str]
    points: list[PointKey]
    fields: list[str]
    rows: Rows

    @property
    def figures(self) -> list[Figure]:
        """How the study asks to be drawn; else the time, or the first recorded field, over the first axis."""
        if self.study.figures:
            return self.study.figures
        if not self.axes:
            return []
        y = TIME if TIME in self.fields else self.fields[0]
        others: list[str | None] = [*self.axes[1:3], None, None]
        return [Figure(x=self.axes[0], y=y, hue=others[0], facet=others[1])]  # type: ignore[call-arg]

    @cached_property
    def runs(self) -> list[tuple[int, int, Row]]:
        """(index of the point, repeat, row) of each run that the table has, in the order of the grid."""
        rows, all_alike = self.rows, range(self.study.repeats) if self.study.until is None else None
        with many_values():
            return [
                (index, repeat, row)
                for index, (point, _, _) in enumerate(self.points)
                for repeat in all_alike or range(repeats_needed(self.study, self.fields, point, rows))
                if (row := rows.get((point, repeat))) is not None
            ]

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """The table by column: axes, repeat, seed, status, reason, and the recorded fields, mappings opened."""
        heads = (*self.axes, "repeat", *Row._fields[:3], *self.fields)
        with many_values():
            lines = [(*self.points[index].labels, repeat, *row[:3], *row.values) for index, repeat, row in self.runs]
            columns = [list(column) for column in zip(*lines, strict=True)] or [[] for _ in heads]
        found = dict(zip(heads[: -len(self.fields)], columns, strict=False))
        for field, values in zip(self.fields, columns[-len(self.fields) :], strict=True):
            found |= _opened(field, values)
        return found

    def recorded(self) -> list[str]:
        """The columns of recorded fields."""
        return [*self.columns][len(self.axes) + 4 :]

    def of_point(self, column: str) -> dict[int, list[Any]]:
        """By point the values of a column in the runs that are done, without those that are null."""
        found: dict[int, list[Any]] = {}
        if column not in self.columns:
            return found
        for (index, _, row), value in zip(self.runs, self.columns[column], strict=True):
            if (row.status == "done" or column == "status") and value is not None:
                found.setdefault(index, []).append(value)
        return found

    def spreads(self, column: str) -> dict[int, Spread]:
        """By point the statistics of a column of numbers."""
        return {
            index: spread([float(value) for value in values])
            for index, values in self.of_point(column).items() if all(map(is_number, values))
        }  # fmt: skip

    @cached_property
    def summary(self) -> list[tuple[Any, ...]]:
        """For each point and column of numbers a row: labels, then SUMMARY. Deadlines are fields of their own."""
        by_column: dict[str, Mapping[int, Sequence[Any]]] = {name: self.spreads(name) for name in self.recorded()}
        for deadline_s in self.study.deadlines_s:
            by_column[f"done by {_exactly(deadline_s)} s"] = self._by_deadline(deadline_s)
        found = []
        for index, point in enumerate(self.points):
            for column, spreads in by_column.items():
                if index in spreads:
                    found.append((*point.labels, column, *spreads[index]))
        return found

    def _by_deadline(self, deadline_s: float) -> dict[int, Sequence[Any]]:
        """By point the share of runs whose result was there by then. A failed run has none; a refused one is no run."""
        times: dict[int, list[float | None]] = {}
        at = self.fields.index(TIME)
        for index, _, row in self.runs:
            if row.status != "refused":
                times.setdefault(index, []).append(row.values[at] if row.status == "done" else None)
        found: dict[int, Sequence[Any]] = {}
        for index, each in times.items():
            share, low, high = done_by(each, round(deadline_s * PS_PER_S))
            found[index] = (len(each), share, None, low, high, None, None, None)
        return found

    def frame(self) -> DataFrame:
        """The table as a data frame of pandas.

        Raises:
            ScenarioError: pandas is not installed.
        """
        made: DataFrame = extra("pandas", "studies", "frame").DataFrame(self.columns)
        return made

    def summary_frame(self) -> DataFrame:
        """The statistics as a data frame.

        Raises:
            ScenarioError: pandas is not installed.
        """
        heads = [*self.axes, *SUMMARY]
        made: DataFrame = extra("pandas", "studies", "summary_frame").DataFrame(self.summary, columns=heads)
        return made

    @cached_property
    def _cells(self) -> list[Cell]:
        return grid(self.study.axes, self.name).cells

    def command(self, point: int, repeat: int = 0) -> list[str]:
        """The words of the command that runs a repeat of a point alone, in the folder of the study.

        The scenario is the base: a packaged name, a file, or base.yaml, which a folder has of a base without either.

        Raises:
            ScenarioError: the study has no such point, or the table no such run.
        """
        if point not in range(len(self.points)):
            raise ScenarioError(f"{self.name}: point {point} given, expected one from 0 to {len(self.points) - 1}")
        key, study = self.points[point], self.study
        if (row := self.rows.get((key.identity, repeat))) is None:
            raise ScenarioError(f"{self.name}: repeat {repeat} of point {point} given, expected one of the table")
        words = ["ketwire", "run", study.base if isinstance(study.base, str) else "base.yaml", "--inline"]
        changes = [(change.key, change.value) for change in self._cells[point].changes]
        for name, value in (*changes, ("seed", row.seed), ("workload_seed", key.workload_seed)):
            words += ["--set", f"{name}={json.dumps(value, ensure_ascii=False)}"]
        return words + ["--check"] * study.check

    def told(self, point: int) -> str:
        """A point for messages: `links.0.length_km=5, transport=direct`."""
        labels = self.points[point].labels
        return ", ".join(f"{name}={plain_label(label)}" for name, label in zip(self.axes, labels, strict=True))


def _exactly(number: float) -> str:
    """A number with as few digits as tell it from every other."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


def is_number(value: Any) -> bool:
    """Whether a value of the table is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _opened(field: str, values: list[Any]) -> dict[str, list[Any]]:
    """The columns of a field: one, or one for each value in its mappings."""
    if not {dict, list} & {*map(type, values)}:
        return {field: values}
    opened = [dict(flat(field, value)) for value in values]
    names = dict.fromkeys(chain.from_iterable(opened))
    if len(names) > 1:
        names.pop(field, None)  # of runs without a result, which have no mapping
    return {name: [each.get(name) for each in opened] for name in names}


def points_told(prepared: Prepared) -> Iterator[list[Any]]:
    """The points as points.json has them."""
    for point in prepared.points.all:
        yield [point.identity, point.workload_seed, point.labels]


def _keys(told: Sequence[Sequence[Any]]) -> list[PointKey]:
    return [*map(PointKey._make, told)]


def data_of(prepared: Prepared, rows: Rows) -> StudyData:
    """What a study came to so far."""
    points = _keys([*points_told(prepared)])
    return StudyData(
        prepared.given.study, prepared.given.name, [*prepared.grid.names], points, prepared.fields, rows
    )


def read_study(folder: str | Path) -> StudyData:
    """A study, its rows and how it asks to be drawn, from its folder.

    Raises:
        ScenarioError: it is no folder of a study.
    """
    folder = Path(folder)
    owner = read_owner(folder, "study")
    origin = str(folder / STUDY)
    study = study_of(parse(read(folder / STUDY, origin, "study"), origin), origin)
    with many_values():
        axes, points = read_points(folder)
        keys = _keys(points)
    return StudyData(study, owner.name, axes, keys, owner.fields, read_rows(folder, len(owner.fields)))
