"""The tables of a study as files: points.csv, summary.csv, points.parquet; and as text for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.reports.units import time_text
from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import SUMMARY, StudyData, is_number
from ketwire.scenarios.studies.spec import Label
from ketwire.scenarios.studies.statistics import spread

MOST_SHOWN = 40
"""Points that the text shows."""
WIDE = 30
"""Characters of a label; an axis with a longer one is told below the table."""


def points_csv(data: StudyData) -> str:
    """The table of all runs. Numbers are written so that they are read back exactly; null is an empty cell."""
    return _csv(data.columns, zip(*data.columns.values(), strict=True))


def summary_csv(data: StudyData) -> str:
    """The table of statistics over repeats."""
    return _csv((*data.axes, *SUMMARY), data.summary)


def _csv(heads: Iterable[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, bool | float) else value


def points_parquet(data: StudyData) -> bytes:
    """The same table in Parquet. A column of values of several types holds them as text.

    Raises:
        ScenarioError: pyarrow is not installed.
    """
    pyarrow, parquet = (extra(name, "studies", "points.parquet") for name in ("pyarrow", "pyarrow.parquet"))
    table = pyarrow.table({name: pyarrow.array(_of_one_type(values)) for name, values in data.columns.items()})
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    octets: bytes = sink.getvalue().to_pybytes()
    return octets


def _of_one_type(values: list[Any]) -> list[Any]:
    types = {type(value) for value in values if value is not None}
    if types <= {int} and any(abs(value) >= 2**63 for value in values if value is not None):
        return [None if value is None else float(value) for value in values]
    if types <= {int, float}:
        return [None if value is None else float(value) for value in values] if float in types else values
    return values if len(types) == 1 else [None if value is None else plain_label(value) for value in values]


def tables(data: StudyData) -> Mapping[str, str | bytes]:
    """The files by name; Parquet where pyarrow is installed."""
    found: dict[str, str | bytes] = {"points.csv": points_csv(data), "summary.csv": summary_csv(data)}
    try:
        found["points.parquet"] = points_parquet(data)
    except ScenarioError:
        return found
    return found


def study_text(data: StudyData) -> str:
    """A line for each point: its labels, how many runs are done, and what its table or its figures show of it."""
    drawn = (name for each in data.figures for name in (each.z, each.y, each.hue, each.x) if name)
    shown = list(dict.fromkeys(data.study.table or drawn))
    columns = [name for name in shown if name in data.columns and name not in data.axes] or data.recorded()[:2]
    values = {column: _texts(data, column) for column in columns}
    status = data.of_point("status")
    wide = told_below(data.axes, [point.labels for point in data.points])
    places = [at for at, name in enumerate(data.axes) if name not in wide]
    heads = (*(data.axes[at] for at in places), "runs", *(column.removesuffix("_ps") for column in columns))
    rows = [heads]
    for index, point in enumerate(data.points[:MOST_SHOWN]):
        found = status.get(index, [])
        done = found.count("done")
        runs = f"{done}" if done == len(found) else f"{done} of {len(found)}"
        told = (values[column].get(index, "") for column in columns)
        rows.append((*(plain_label(point.labels[at]) for at in places), runs, *told))
    widths = [max(len(row[at]) for row in rows) for at in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if len(data.points) > MOST_SHOWN:
        lines.append(f"... and {len(data.points) - MOST_SHOWN:,} more points")
    return "\n".join([*lines, *_reasons(data), *_notes(data, wide)])


def told_below(axes: Sequence[str], labels: Sequence[Sequence[Label]]) -> list[str]:
    """The axes whose labels are too long for a column of a text; the first one never is."""
    return [
        name for at, name in enumerate(axes)
        if at and max((len(plain_label(each[at])) for each in labels), default=0) > WIDE
    ]  # fmt: skip


def _notes(data: StudyData, wide: Sequence[str]) -> Iterator[str]:
    """For each point a paragraph with the labels of those axes."""
    for point in data.points[:MOST_SHOWN] if wide else ():
        yield f"\n{plain_label(point.labels[0])}"
        for name in wide:
            label = point.labels[data.axes.index(name)]
            if label is not None:
                yield from wrap(f"{name}: {plain_label(label)}", 110, initial_indent="  ", subsequent_indent="    ")


def _texts(data: StudyData, column: str) -> dict[int, str]:
    """By point the mean with the half width of its interval, or how often each text came up."""
    found = {}
    for index, values in data.of_point(column).items():
        if all(map(is_number, values)):
            each = spread([float(value) for value in values])
            half = "" if each.low is None else f" +- {_number(column, each.mean - each.low)}"
            found[index] = f"{_number(column, each.mean)}{half}"
        else:
            counts = {plain_label(value): values.count(value) for value in values}
            found[index] = ", ".join(text if len(counts) == 1 else f"{text} {n}x" for text, n in counts.items())
    return found


def _number(column: str, value: float) -> str:
    return time_text(round(value)) if column.endswith("_ps") else f"{value:.5g}"


def _reasons(data: StudyData) -> list[str]:
    """A line for each reason why runs are not done, with the first point of it."""
    first: dict[tuple[str, str], tuple[int, int]] = {}
    for index, _, row in data.runs:
        if row.status != "done":
            at, count = first.get((row.status, row.reason), (index, 0))
            first[row.status, row.reason] = (at, count + 1)
    lines = [f"{status}, {count} run{'s' * (count > 1)}, the first at {data.told(at) or 'the only point'}: {reason}"
             for (status, reason), (at, count) in first.items()]  # fmt: skip
    return lines[:5] + ([f"... and {len(lines) - 5} more reasons"] if len(lines) > 5 else [])
