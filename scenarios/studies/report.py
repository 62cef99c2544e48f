"""A study as one HTML page: its figures, its points and runs, and the command that runs each alone."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ketwire.scenarios.reports.columns import MOST_ROWS, Shown, column
from ketwire.scenarios.reports.elements import Html, data, element
from ketwire.scenarios.reports.page import Section, copied, figure, page, section, without_script
from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import StudyData, is_number, read_study
from ketwire.scenarios.studies.expecting import unmet
from ketwire.scenarios.studies.figures import panels
from ketwire.scenarios.studies.folder import Row
from ketwire.scenarios.studies.running import repeats_needed

MOST_UNMET = 50
"""Expectations that do not hold, of which each has a line."""


def study_page(folder: Path, live: bool = False) -> str:
    """The page of a study's folder.

    Args:
        live: a browser is to load it again every few seconds while runs are missing.

    Raises:
        ScenarioError: it is no folder of a study, or matplotlib is not installed.
    """
    found = read_study(folder)
    asked = sum(repeats_needed(found.study, found.fields, point.identity, found.rows) for point in found.points)
    base = found.study.base if isinstance(found.study.base, str) else "a scenario of its own"
    sections = [
        _state(found, asked),
        _figures(found),
        *_tables(found),
        section("again", "Run it again", *_again(found, folder)),
    ]
    told = f"study of {base} over {', '.join(found.axes) or 'no axis'}"
    return page(found.name, told, [each for each in sections if each.inner], live and len(found.runs) < asked)


def _state(found: StudyData, asked: int) -> Section:
    """How many runs are over, how they ended, and which expectations do not hold."""
    ended = Counter(row.status for _, _, row in found.runs)
    runs = ", ".join(f"{count:,} {status}" for status, count in ended.items()) or "none is over"
    whole = len(found.runs) == asked
    facts = {
        "Runs": runs if whole else f"{runs}; {asked - len(found.runs):,} missing",
        "Points": f"{len(found.points):,}",
        "Repeats": f"{found.study.repeats:,}",
    }
    cards = (element("div", element("dt", name), element("dd", told), class_="card") for name, told in facts.items())
    wrong = unmet(found) if whole else []
    lines = [element("p", line, class_="warning") for line in wrong[:MOST_UNMET]]
    if len(wrong) > MOST_UNMET:
        lines.append(element("p", f"{len(wrong) - MOST_UNMET:,} more expectations do not hold."))
    held = element("p", "All expectations hold.") if whole and found.study.expect and not wrong else ""
    return section("state", "State", element("dl", *cards), *lines, held)


def _figures(found: StudyData) -> Section:
    drawn = [
        figure(f"figure-{at}", panel, f"figure {at + 1}") for at, panel in enumerate(panels(found))
    ] if found.runs else []  # fmt: skip
    return section("figures", "Figures", *([element("div", *drawn, class_="figures")] if drawn else []))


def _tables(found: StudyData) -> Iterable[Section]:
    """A row for each point, and one for each run where points have several."""
    told = "Choose a row to see the command that runs it alone, in the folder of the study."
    first = {index: (repeat, row) for index, repeat, row in reversed(found.runs)}
    rows = sorted(first)[:MOST_ROWS]
    commands = {index: _command(found, index, *first[index]) for index in rows}
    seeds = [str(first[index][1].seed) for index in rows]
    points = {"columns": _point_columns(found, rows), "commands": commands, "points": rows, "seeds": seeds}
    if rows:
        yield section("points", "Points", element("p", told), _placed("points-data", points))
    if len(found.runs) > len(rows):
        yield section("runs", "Runs", element("p", told), _placed("runs-data", {
            "columns": _run_columns(found),
            "commands": commands, "points": [index for index, _, _ in islice(found.runs, MOST_ROWS)],
            "seeds": [str(row.seed) for _, _, row in islice(found.runs, MOST_ROWS)],
        }))  # fmt: skip


def _placed(name: str, told: dict[str, Any]) -> Html:
    inner = (element("div", class_="table", data_table=name), data(name, told), without_script())
    return element("div", *inner)


def _run_columns(found: StudyData) -> list[dict[str, Any]]:
    """As the table of the study has them, what may be long last."""
    names = sorted(found.columns, key=lambda name: name == "reason")
    return [column(name, _head(name), *_shown(name, found.columns[name][:MOST_ROWS])) for name in names]


def _head(name: str) -> str:
    """Of a column; times have their unit beside them."""
    return name.removesuffix("_ps")


def _point_columns(found: StudyData, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Labels, how runs ended, and of each number its mean with the half width of its 95% interval."""
    made = [
        column(name, _head(name), *_shown(name, [found.points[index].labels[at] for index in rows]))
        for at, name in enumerate(found.axes)
    ]
    ended: dict[int, list[str]] = {}
    reasons: dict[int, str] = {}
    for index, _, row in found.runs:
        ended.setdefault(index, []).append(row.status)
        reasons[index] = reasons.get(index) or row.reason
    states = (", ".join(f"{count} {status}" for status, count in Counter(ended[index]).items()) for index in rows)
    made.append(column("status", "runs", "name", list(states)))
    for name in found.recorded():
        made += _recorded(found, name, rows)
    if any(reasons.values()):
        made.append(column("reason", "reason", "name", [reasons[index] for index in rows]))
    return made


def _recorded(found: StudyData, name: str, rows: Sequence[int]) -> list[dict[str, Any]]:
    """The columns of a recorded field: means and half widths of numbers, of anything else what came up."""
    spreads, values = found.spreads(name), found.of_point(name)
    if any(index in values and index not in spreads for index in rows):
        told = [", ".join(dict.fromkeys(map(plain_label, values.get(index, [])))) for index in rows]
        return [column(name, _head(name), "name", told)]
    shown = _kind(name)
    means = [spreads[index].mean if index in spreads else None for index in rows]
    halves = [
        spread.mean - spread.low if (spread := spreads.get(index)) is not None and spread.low is not None else None
        for index in rows
    ]
    made = [column(name, _head(name), shown, means)]
    return [*made, column(f"{name} half width", "±", shown, halves)] if any(halves) else made


def _kind(name: str) -> Shown:
    return "time" if name.endswith("_ps") else "number"


def _shown(name: str, values: Sequence[Any]) -> tuple[Shown, Sequence[Any]]:
    """How a column of the table is shown, and its values: numbers that a browser has exactly, or texts."""
    known = [value for value in values if value is not None]
    if known and all(is_number(value) and abs(value) < 2**53 for value in known):
        return _kind(name), values
    return "name", ["" if value is None else plain_label(value) for value in values]


def _command(found: StudyData, index: int, repeat: int, row: Row) -> tuple[str, str]:
    """The command of a point, before and after the seed of a run; that of one of its repeats is known."""
    words = found.command(index, repeat)
    at = words.index(f"seed={row.seed}")
    return f"{shlex.join(words[:at])} seed=", "".join(f" {shlex.quote(word)}" for word in words[at + 1 :])


def _again(found: StudyData, folder: Path) -> Iterable[Html]:
    name = folder.resolve().name
    yield copied(shlex.join(["ketwire", "study", f"{name}/study.yaml", "--out", name]))
    yield element("p", "Beside the folder of the study, this goes on with it.")
