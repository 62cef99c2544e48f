"""The commands that look at folders of runs and studies: plot, trace, diff, report, serve."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ketwire.errors import ScenarioError
from ketwire.scenarios.options import Advertise, Bind
from ketwire.scenarios.runs.output import aside, say

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]


def plot(
    run: Run,
    out: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="A .svg, .png or .pdf file; else figure.svg in RUN.")
    ] = None,
) -> None:
    """Draw a run: its network, what it found, its cost beside the rivals', where the time went. Needs `plots`."""
    from ketwire.scenarios.reports.runs import plot_run  # noqa: PLC0415

    say(f"wrote {plot_run(run, run / 'figure.svg' if out is None else out)}")


def trace(
    run: Run,
    *,
    follow: Annotated[
        str | None,
        typer.Option("--follow", metavar="PARTY:SESSION:NUMBER", help="One copy's way; its session runs once more."),
    ] = None,
    replay: Annotated[
        float | None,
        typer.Option("--replay", metavar="SPEED", help="As it happened, at so many virtual seconds in a second."),
    ] = None,
) -> None:
    """Print the messages of a run in their order: from, to, what, sent, arrived, cost."""
    from ketwire.scenarios.reports.ledger import read_ledger  # noqa: PLC0415
    from ketwire.scenarios.runs import sequence  # noqa: PLC0415

    if follow is not None and replay is not None:
        raise ScenarioError("--follow: given with --replay, expected one of them")
    if follow is not None:
        with aside():
            lines = list(sequence.follow_copy(run, sequence.target_of(follow)))
        say("\n".join(lines))
        return
    if replay is not None and not (math.isfinite(replay) and replay > 0):
        raise ScenarioError(f"--replay: {replay} given, expected a finite number above 0")
    messages = list(read_ledger(run))
    if replay is not None and messages:
        sequence.replay(messages, replay, say)
        return
    for line in sequence.sequence_lines(messages):
        say(line)
    if not messages:
        say("no messages")


def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run folder.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
) -> None:
    """Compare two runs: which inputs differ, and where cost and latency changed."""
    from ketwire.scenarios.runs.differences import difference_lines  # noqa: PLC0415

    say("\n".join(difference_lines(first, second)))


def report_page(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run or of a study.")],
    out: Annotated[
        Path | None, typer.Option("-o", metavar="FILE", help="A .html file; else report.html in DIR.")
    ] = None,
) -> None:
    """Write a run or a study as one HTML page that needs nothing else. Needs the extra `plots`."""
    from ketwire.scenarios.shelf import report  # noqa: PLC0415

    say(f"wrote {report(folder, out)}")


def serve(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with runs or studies below it.")],
    bind: Bind = "127.0.0.1:0",
    advertise: Advertise = None,
) -> None:
    """Serve the pages of all runs and studies below a folder, as they come. Needs the extra `plots`."""
    from ketwire.scenarios.reports.extras import extra  # noqa: PLC0415
    from ketwire.scenarios.serve import PageServer  # noqa: PLC0415

    extra("matplotlib", "plots", "serve")
    with PageServer(folder, bind, advertise) as server:
        say(f"serving {folder} at {server.url} until Ctrl-C")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
