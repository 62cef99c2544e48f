"""The program's options, and what several of its commands do with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ketwire.errors import tell
from ketwire.scenarios.runs.output import aside, say

if TYPE_CHECKING:
    from ketwire.scenarios.load import Loaded, Read
    from ketwire.scenarios.runs.launch import Options, Runtime

BAD_INPUT, FAILED, INTERRUPTED = 2, 3, 130

app = typer.Typer(
    name="ketwire",
    help="Distributed quantum inference over simulated lossy fibers, one process per party.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of the commands too
)

NAME_HELP = "A packaged scenario, or a YAML file."
Name = Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help=NAME_HELP)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value: links.0.length_km=25. Repeatable."),
]
Seed = Annotated[
    str | None, typer.Option("--seed", metavar="NUMBER", help="Instead of the scenario's own seed.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write a run folder, new or empty.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Progress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="Tell on standard error how far the run is; else only on a terminal, and not with --json.",
    ),
]
Keys = Annotated[Path, typer.Option("--keys", metavar="DIR", help="The folder that `ketwire keys` wrote.")]
MountedKeys = Annotated[
    bool,
    typer.Option("--mounted-keys", help="A container engine mounted the secret, with an owner and mode of its choice."),
]
LogStyle = Literal["text", "json"]
Log = Annotated[
    LogStyle, typer.Option("--log", help="What standard error is: lines of text, or a JSON object a line.")
]
Ready = Annotated[
    Path | None,
    typer.Option("--ready", metavar="FILE", help="A file that is there while registered: for health checks."),
]
Coordinator = Annotated[
    str, typer.Option("--coordinator", metavar="HOST:PORT", help="Where the run's coordinator listens.")
]
Bind = Annotated[str, typer.Option("--bind", metavar="HOST:PORT", help="Where to listen; port 0: any free one.")]
Advertise = Annotated[
    str | None, typer.Option("--advertise", metavar="HOST:PORT", help="The address to tell, instead of the bound one.")
]
Checkpoints = Annotated[
    Path | None,
    typer.Option("--checkpoints", metavar="DIR", help="A folder of its own for checkpoints: the run survives deaths."),
]
Wait = Annotated[
    float, typer.Option("--wait-s", metavar="S", help="How long to wait for the coordinator; inf: without limit.")
]


def load_scenario(scenario: str, sets: list[str] | None, seed: str | None) -> Loaded:
    from ketwire.scenarios.load import load  # noqa: PLC0415

    with aside():
        loaded = load(scenario, [*(sets or ()), *([] if seed is None else [f"seed={seed}"])])
    _warn(loaded)
    return loaded


def _warn(found: Read) -> None:
    if alone := found.unlinked():
        from ketwire.scenarios.schema.strict import some  # noqa: PLC0415

        tell(f"ketwire: warning: {found.origin}: nodes without a link: {some(alone)}")


def begin_log(style: LogStyle, name: str) -> None:
    if style == "json":
        from ketwire.nodes.processes.logs import as_json  # noqa: PLC0415

        as_json(name)


def shown(progress: bool | None, as_json: bool) -> bool | None:
    return False if progress is None and as_json else progress


def look_at(scenario: str, sets: list[str] | None, seed: str | None) -> Read:
    """As `load_scenario`, for commands that execute nothing of a scenario's."""
    from ketwire.scenarios.load import look  # noqa: PLC0415

    with aside():
        found = look(scenario, [*(sets or ()), *([] if seed is None else [f"seed={seed}"])])
    _warn(found)
    return found


def report(loaded: Loaded, runtime: Runtime, options: Options, as_json: bool) -> None:
    from ketwire.scenarios.runs.launch import launch  # noqa: PLC0415
    from ketwire.scenarios.runs.table import print_table, table_text  # noqa: PLC0415

    with aside():
        result = launch(loaded, runtime, options)
    failed = result.afterwards_failed
    try:
        if as_json:
            print_json(result.told())
        elif sys.stdout is not None and sys.stdout.isatty():
            print_table(result)
        else:
            say(table_text(result))
        if result.latency is not None and not as_json:
            from ketwire.scenarios.runs.latency import latency_text  # noqa: PLC0415

            say(latency_text(result.latency))
    except OSError:  # the code that watches the output reports it
        if not failed:
            raise
    for each in failed:
        tell(f"ketwire: the run is over, but {each.step} failed: {each.message}")
    if failed:
        raise typer.Exit(FAILED)


def print_json(told: dict[str, Any]) -> None:
    say(json.dumps(told, allow_nan=False))
