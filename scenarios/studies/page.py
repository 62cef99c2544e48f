"""The page of a study in Markdown, with its figure beside it: what docs/studies holds of each packaged study."""

from __future__ import annotations

import shlex
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.figures import save
from ketwire.scenarios.studies.data import StudyData
from ketwire.scenarios.studies.figures import draw
from ketwire.scenarios.studies.tables import study_text


def write_page(data: StudyData, folder: Path) -> None:
    """Write NAME.md and NAME.svg to a folder.

    Raises:
        ScenarioError: matplotlib is not installed, there is nothing to draw, or the folder cannot be written.
    """
    figure = draw(data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(figure, folder / f"{data.name}.svg")
        (folder / f"{data.name}.md").write_text(page_text(data), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"--page: {folder}: {error.strerror or error}, expected a folder to write to") from None


def page_text(data: StudyData) -> str:
    """The page: what the study asks, its figure, and a row for each point."""
    table = "\n".join(f"    {line}" for line in study_text(data).splitlines())
    repeats = f"{data.study.repeats} run{'s' * (data.study.repeats > 1)} of each point"
    first = shlex.join(data.command(0))
    where = "" if isinstance(data.study.base, str) else ", in the folder that `--out` names"
    return f"""# {data.name}

{data.study.description}

![{data.name}]({data.name}.svg)

{repeats}; `+-` is half of the 95% interval of the mean. Made by

    ketwire study {data.name} --page docs/studies

{table}

The first row alone, its first repeat{where}:

    {first}
"""
