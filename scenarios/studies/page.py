"""The page of a study in Markdown, with its figure beside it: what docs/studies holds of each packaged study."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.reports.figures import save
from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import StudyData
from ketwire.scenarios.studies.expecting import held
from ketwire.scenarios.studies.figures import draw
from ketwire.scenarios.studies.files import Given
from ketwire.scenarios.studies.tables import study_text

MOST_OCTETS = 200
"""Of a study's name as the name of a file."""


def check_page(given: Given, folder: Path) -> None:
    """Whether a study can have a page in a folder, which is made; asked before anything runs.

    Raises:
        ScenarioError: matplotlib is not installed, there is nothing to draw, or the folder cannot take the page.
    """
    extra("matplotlib", "plots", "--page")
    if not given.study.axes and not given.study.figures:
        raise ScenarioError(f"--page: nothing to draw in {given.origin}, expected a study with an axis or with figures")
    name = given.name
    if "/" in name or not name.isprintable() or len(name.encode()) > MOST_OCTETS:
        raise ScenarioError(f"--page: the study's name is {name!r}, expected one that a file can have")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unwritable(folder, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))


def _unwritable(folder: Path, error: OSError) -> ScenarioError:
    return ScenarioError(f"--page: {folder}: {error.strerror or error}, expected a folder to write to")


def write_page(data: StudyData, folder: Path) -> None:
    """Write NAME.md and NAME.svg to a folder that `check_page` has looked at.

    Raises:
        ScenarioError: the folder cannot be written.
    """
    figure = draw(data)
    try:
        save(figure, folder / f"{data.name}.svg")
        (folder / f"{data.name}.md").write_text(page_text(data), encoding="utf-8")
    except OSError as error:
        raise _unwritable(folder, error) from None


def page_text(data: StudyData) -> str:
    """The page: what the study asks, its figure, a row for each point, and whether what is expected holds."""
    table = "\n".join(f"    {line}".rstrip() for line in study_text(data).splitlines())
    repeats = f"{data.study.repeats} run{'s' * (data.study.repeats > 1)} of each point"
    first = shlex.join(data.command(0))
    where = "" if isinstance(data.study.base, str) else ", in the folder that `--out` names"
    return f"""# {data.name}

{data.study.description}

![{data.name}]({data.name}.svg)

{repeats}; `+-` is half of the 95% interval of the mean. Made by

    ketwire study {data.name} --page docs/studies

{table}
{_expected(data)}
The first row alone, its first repeat{where}:

    {first}
"""


def _expected(data: StudyData) -> str:
    """What is expected and whether it holds; nothing where the study expects nothing."""
    lines = [
        (_place(data, each.at), each.field, f"{_short(each.found)}, expected {each.wanted}",
         "holds" if each.holds else "does not hold")
        for each in held(data)
    ]  # fmt: skip
    if not lines:
        return ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\nWhat must hold of the means:\n\n" + "".join(f"    {row}\n" for row in rows)


def _place(data: StudyData, at: int | None) -> str:
    """What the first axis calls a point; all: points that are compared together."""
    return "all" if at is None else plain_label(data.points[at].labels[0])


def _short(found: str) -> str:
    """A number to five digits, anything else as it is."""
    try:
        return f"{float(found):.5g}"
    except ValueError:
        return found
