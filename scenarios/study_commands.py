"""The command `ketwire study`: many runs of a scenario, over axes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ketwire.errors import ScenarioError, tell
from ketwire.scenarios.options import Json, Progress, print_json, shown
from ketwire.scenarios.runs.output import aside, say

if TYPE_CHECKING:
    from ketwire.scenarios.studies.files import Given
    from ketwire.scenarios.studies.outcome import StudyOutcome
    from ketwire.scenarios.studies.study import Options

Axes = Annotated[
    list[str] | None,
    typer.Option("--axis", metavar="KEY=VALUE,VALUE", help="An axis of a study of this scenario. Repeatable."),
]
Repeats = Annotated[int | None, typer.Option("--repeats", metavar="N", help="Runs of each point.")]
Engine = Annotated[
    Literal["local", "dask"], typer.Option("--engine", help="Processes of this machine, or dask.distributed.")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="tcp://HOST:PORT", help="Of dask; else one on loopback.")
]
Folder = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The folder of the study, new or to go on with.")
]
From = Annotated[
    list[Path] | None,
    typer.Option("--from", metavar="DIR", help="Take over results of this folder of the same study. Repeatable."),
]
Page = Annotated[
    Path | None, typer.Option("--page", metavar="DIR", help="Write the study's page and figure to this folder.")
]
UNMET = 1
"""The exit code where an expectation of the study does not hold."""


def study(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[FILE_OR_NAME]", help="A study's file or packaged name; with --axis a scenario's."),
    ] = None,
    *,
    axes: Axes = None,
    repeats: Repeats = None,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Worker processes.")] = 1,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    out: Folder = None,
    merged: From = None,
    page: Page = None,
    as_json: Json = False,
    progress: Progress = None,
) -> None:
    """Run a study, or what its folder lacks of it. Without a name: list the packaged studies."""
    if name is None:
        others = (axes, out, merged, page, scheduler, as_json)
        if any(others) or repeats is not None or jobs != 1 or engine != "local":
            raise ScenarioError("FILE_OR_NAME: not given, expected a study, or a scenario")
        _list()
        return
    from ketwire.scenarios.studies.outcome import asked  # noqa: PLC0415
    from ketwire.scenarios.studies.study import Options  # noqa: PLC0415

    options = Options(jobs, engine, scheduler, out, tuple(merged or ()), shown(progress, as_json))
    given = asked(name, _axes(axes or []), repeats)
    if page is not None:
        from ketwire.scenarios.studies.page import check_page  # noqa: PLC0415

        check_page(given, page)
    with aside():
        outcome = _concluded(given, options)
    data = outcome.data
    if page is not None:
        from ketwire.scenarios.studies.page import write_page  # noqa: PLC0415

        write_page(data, page)
    if as_json:
        rows = [dict(zip(data.columns, row, strict=True)) for row in zip(*data.columns.values(), strict=True)]
        print_json({"study": data.name, "unmet": outcome.unmet, "rows": rows})
    else:
        say(str(outcome))
    for line in outcome.unmet:
        tell(f"ketwire: {data.name}: {line}")
    if outcome.unmet:
        raise typer.Exit(UNMET)


def _concluded(given: Given, options: Options) -> StudyOutcome:
    from ketwire.scenarios.studies.outcome import conclude  # noqa: PLC0415

    try:
        return conclude(given, options)
    except KeyboardInterrupt:
        if options.out is not None:
            tell(f"ketwire: what is done is kept in {options.out}; the same command goes on")
        raise


def _list() -> None:
    from ketwire.scenarios.schema.yamltext import parse, read  # noqa: PLC0415
    from ketwire.scenarios.studies.files import packaged_studies  # noqa: PLC0415

    found = packaged_studies()
    width = max(map(len, found), default=0)
    for name, path in found.items():
        description = parse(read(path, path.name), path.name).get("description", "")
        say(f"{name.ljust(width)}  {' '.join(description.split())}".rstrip())


def _axes(texts: list[str]) -> dict[str, list[Any]]:
    """The axes of a command line by key.

    Raises:
        ScenarioError: one has another form, or a key comes twice.
    """
    from ketwire.scenarios.studies.files import axis_of  # noqa: PLC0415

    found: dict[str, list[Any]] = {}
    for text in texts:
        key, values = axis_of(text)
        if key in found:
            raise ScenarioError(f"--axis {key}: given twice, expected each key once")
        found[key] = values
    return found
