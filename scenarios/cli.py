"""The command line.

Exit codes: 0 done; 1 an expectation of a study does not hold; 2 bad input, one line on standard error; 3 a party
failed, a deadlock, a broken protocol, something failed after the run (its result is printed all the same), or what was
to be printed could not be; 130 interrupted. All that may run a user's own code stands `aside`, so that standard output
takes results alone.
Commands import what they need when they run, since each start of the program pays for imports.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ketwire import __version__
from ketwire.errors import KetwireError, ScenarioError, tell
from ketwire.scenarios.folder_commands import diff, plot, report_page, serve, trace
from ketwire.scenarios.gnn_commands import gnn
from ketwire.scenarios.hand_commands import compose, coordinator, fiber, keys, node
from ketwire.scenarios.options import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    NAME_HELP,
    Json,
    Name,
    Out,
    Progress,
    Seed,
    Set,
    app,
    load_scenario,
    look_at,
    print_json,
    report,
    shown,
)
from ketwire.scenarios.runs.output import aside, say, watched
from ketwire.scenarios.study_commands import study

if TYPE_CHECKING:
    from ketwire.scenarios.kinds.interface import Kind
    from ketwire.scenarios.runs.launch import Runtime
    from ketwire.scenarios.runs.output import Output

UNREAD = 141  # as a shell says of a command that SIGPIPE ended

# Typer has its click on board or beside it, by version; this finds the exceptions in both.
_UsageError: Any = typer.BadParameter.__base__

def main() -> NoReturn:
    """The program `ketwire`."""
    # One BLAS thread, so that a run's figures do not depend on the machine. Pydantic's search for
    # plugins reads the whole installation; ketwire uses none.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup ignores it, which stays so
        signal.signal(signal.SIGHUP, _terminated)
    sys.exit(execute(sys.argv[1:]))


def execute(argv: Sequence[str]) -> int:
    """Run one command line; answers with its exit code."""
    with watched() as output:
        code = _executed(argv, output)
        unwritten = output.told()
    if unwritten is None:
        return code
    if isinstance(output.fault, BrokenPipeError):  # `| head`: the reader closed the pipe, which is no fault to report
        return code or UNREAD
    tell(f"ketwire: {unwritten}")
    return code or FAILED


def _executed(argv: Sequence[str], output: Output) -> int:
    try:
        command = typer.main.get_command(app)
        code = command.main(list(argv) or ["--help"], prog_name="ketwire", standalone_mode=False)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if output.fault is not None:
            return 0  # what failed is the telling
        if isinstance(error, SystemExit):
            raise
        return _failed(error, "--json" in argv)
    if code == INTERRUPTED:  # some versions of Typer turn Ctrl-C into a code by themselves
        return _failed(KeyboardInterrupt(), "--json" in argv)
    return code if isinstance(code, int) else 0


@app.callback(invoke_without_command=True)
def _program(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        say(f"ketwire {__version__}")


@app.command()
def run(
    scenario: Annotated[str | None, typer.Argument(metavar="NAME_OR_FILE", help=NAME_HELP)] = None,
    *,
    sets: Set = None,
    seed: Seed = None,
    inline: Annotated[bool, typer.Option("--inline", help="All parties in this process.")] = False,
    out: Out = None,
    as_json: Json = False,
    progress: Progress = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show each party on the terminal: its phase, virtual clock and findings.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Compute the exact value too.")] = False,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="No encryption between processes.")] = False,
    latency: Annotated[bool, typer.Option("--latency", help="Tell where the virtual time went.")] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the unfinished run of this folder.")
    ] = None,
) -> None:
    """Run a scenario, a process per party and fiber, and compare it with its classical rivals."""
    from ketwire.scenarios.runs.launch import Options  # noqa: PLC0415

    if inline and plaintext:
        raise ScenarioError("--plaintext: given with --inline, which has no wire; expected one of them")
    if watch and progress is False:
        raise ScenarioError("--watch: given with --no-progress, expected one of them")
    if resume is not None:
        from ketwire.scenarios.runs.resumable import ResumableDirectory  # noqa: PLC0415

        if scenario is not None or sets or seed is not None or out is not None:
            raise ScenarioError("--resume: given with a scenario, --set, --seed or --out; expected the folder alone")
        with aside():
            folder, loaded = ResumableDirectory.reopen(resume)
        options = Options(None, check, shown(progress, as_json), resume=folder, watch=watch, latency=latency)
    elif scenario is None:
        raise ScenarioError("NAME_OR_FILE: not given, expected a scenario, or --resume DIR")
    else:
        loaded = load_scenario(scenario, sets, seed)
        options = Options(out, check, shown(progress, as_json), watch=watch, latency=latency)
    report(loaded, runtime_of(inline, plaintext, latency and resume is None), options, as_json)


@app.command(name="list")
def list_scenarios() -> None:
    """List the packaged scenarios."""
    from ketwire.scenarios.load import packaged  # noqa: PLC0415
    from ketwire.scenarios.schema.yamltext import parse, read  # noqa: PLC0415

    found = packaged()
    width = max(map(len, found), default=0)
    for name, path in found.items():
        description = parse(read(path, path.name), path.name).get("description", "")
        say(f"{name.ljust(width)}  {' '.join(description.split())}".rstrip())


@app.command()
def show(scenario: Name, sets: Set = None, seed: Seed = None) -> None:
    """Print a scenario as it is written; with --set, --seed or a topology as it is resolved, defaults and all."""
    from ketwire.scenarios.load import find  # noqa: PLC0415
    from ketwire.scenarios.schema.yamltext import parse, read  # noqa: PLC0415

    found = look_at(scenario, sets, seed)
    path, origin = find(scenario)
    text = read(path, origin)
    if sets or seed is not None or "topology" in parse(text, origin):
        with aside():
            text = found.resolved()
    say(text, end="")


@app.command()
def validate(scenario: Name, sets: Set = None, seed: Seed = None) -> None:
    """Check a scenario, its budgets included, without running it, reading its data or executing modules it names."""
    from ketwire.scenarios.load import Loaded  # noqa: PLC0415

    loaded = look_at(scenario, sets, seed)
    over = f"{loaded.kind_name} over {len(loaded.scenario.nodes)} nodes and {len(loaded.scenario.links)} link(s)"
    if not isinstance(loaded, Loaded):
        told = "; protocol not checked, since that would execute the module of its kind"
        say(f"{loaded.origin}: valid: {over}{told}")
        return
    with aside():
        asked = loaded.run()
        unseen = loaded.check_foreseen(asked)
    sessions = ", ".join(session.name for session in asked.sessions)
    rest = f"; budgets not looked at, which depend on data: {', '.join(unseen)}" if unseen else ""
    say(f"{loaded.origin}: valid: {over}; sessions {sessions}{rest}")


@app.command()
def schema(
    result: Annotated[
        str | None, typer.Option("--result", metavar="KIND", help="Of this kind's results instead, as --json has them.")
    ] = None,
) -> None:
    """Print the JSON Schema of scenarios, all installed kinds included."""
    from ketwire.scenarios.kinds.interface import find_kind, kind_names  # noqa: PLC0415
    from ketwire.scenarios.kinds.result import result_schema  # noqa: PLC0415
    from ketwire.scenarios.schema.model import scenario_model  # noqa: PLC0415

    with aside():
        if result is None:
            found = scenario_model([find_kind(name).Spec for name in kind_names()]).model_json_schema()
        else:
            found = result_schema(_kind(result).Result)
    say(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=2))


def _kind(name: str) -> Kind:
    """The kind that --result names; module:Name is taken from this folder first.

    Raises:
        ScenarioError: there is none of this name.
    """
    from ketwire.modules import settle  # noqa: PLC0415
    from ketwire.scenarios.kinds.interface import find_kind  # noqa: PLC0415

    settle(os.curdir)
    try:
        return find_kind(name)
    except ScenarioError as error:
        raise ScenarioError(f"--result: {str(error).removeprefix('protocol.kind: ')}") from None


@app.command()
def presets(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME_OR_FILE]", help="One of them, to paste; or a file of presets.")
    ] = None,
) -> None:
    """List the presets or those of a file, or print one as a piece of a scenario, with the sources of its numbers."""
    from ketwire.scenarios.schema.presettext import presets_text  # noqa: PLC0415

    with aside():
        text = presets_text(name)
    say(text, end="")


@app.command()
def link(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="As ketwire presets lists them.")],
    *,
    length_km: Annotated[float | None, typer.Option("--length", metavar="KM", help="Instead of the preset's.")] = None,
    qubits: Annotated[int, typer.Option("--qubits", metavar="N", help="Of the register.")] = 8,
    copies: Annotated[int, typer.Option("--copies", metavar="K", help="Registers that shall arrive.")] = 1000,
    crossings: Annotated[int, typer.Option("--crossings", metavar="C", help="Of each, there and back.")] = 1,
    t1_s: Annotated[float | None, typer.Option("--t1-s", metavar="S", help="T1 of the memories; inf: none.")] = None,
    t2_s: Annotated[float | None, typer.Option("--t2-s", metavar="S", help="T2 of the memories; inf: none.")] = None,
    alpha: Annotated[float, typer.Option("--alpha", metavar="A", help="Bright-state population, single clicks.")] = 0.1,
    slots: Annotated[int, typer.Option("--slots", metavar="M", help="Memory slots that make pairs.")] = 1,
    as_json: Json = False,
) -> None:
    """Work out what one register costs on a link, by each transport, and which to take. Nothing is run."""
    from ketwire.scenarios.linkcost import Question, answer  # noqa: PLC0415
    from ketwire.scenarios.linktext import answer_text  # noqa: PLC0415

    found = answer(Question(preset, length_km, qubits, copies, crossings, t1_s, t2_s, alpha, slots))
    if as_json:
        print_json(found.told())
    else:
        say(answer_text(found))


@app.command()
def doctor() -> None:
    """Look whether this installation can run scenarios."""
    from ketwire.scenarios.doctor import findings  # noqa: PLC0415

    bad = 0
    for finding in findings():
        mark = {True: "ok  ", False: "BAD ", None: "    "}[finding.ok]
        say(f"{mark}{finding.what}: {finding.told}")
        bad += finding.ok is False
    say("all well" if not bad else f"{bad} thing(s) to mend")
    if bad:
        raise typer.Exit(FAILED)


app.command(name="report")(report_page)
app.add_typer(gnn)
for command in (plot, trace, diff, serve, study, keys, coordinator, node, fiber, compose):
    app.command()(command)


def runtime_of(inline: bool, plaintext: bool, timed: bool) -> Runtime:
    """The runtime that the options name."""
    if inline and timed:
        from ketwire.nodes.times.timeline import run_timed  # noqa: PLC0415

        return run_timed
    if inline:
        from ketwire.nodes.inline import run_inline  # noqa: PLC0415

        return run_inline
    from ketwire.nodes.processes.run import run_processes  # noqa: PLC0415

    return lambda run, progress, ledger, base, out: run_processes(run, progress, ledger, base, out, plaintext)


def _usage(error: Any) -> str:
    """What is wrong with the command line, in one line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "ketwire"
    told = f"{' '.join(error.format_message().split())} (expected as in {command} --help)"
    if command == "ketwire fiber" and getattr(error, "option_name", None) == "--host":
        told = "--host is gone, expected --advertise HOST:PORT, with --bind HOST:PORT where to listen"
    own = command.removeprefix("ketwire").strip()  # the line begins with the program's name already
    return f"{own}: {told}" if own else told


def _failed(error: BaseException, as_json: bool) -> int:
    """Say what went wrong; answers with the exit code that it has."""
    if isinstance(error, _UsageError):
        error = ScenarioError(_usage(error))
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        error = KeyboardInterrupt("interrupted")
    elif not isinstance(error, KetwireError):
        traceback.print_exception(error)
    code = BAD_INPUT if isinstance(error, ScenarioError) else FAILED
    code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else code
    if as_json:
        from ketwire.scenarios.runs.launch import error_object  # noqa: PLC0415

        with suppress(OSError):  # the code that watches the output reports it
            print_json(error_object(error))
    message = str(error) or type(error).__name__
    party = getattr(error, "party", None)
    told = f"{party}: {message}" if party else message
    tell(f"ketwire: {' '.join(told.split()) if code == BAD_INPUT else told}")
    return code


def _terminated(number: int, frame: object) -> None:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that children and half-written folders go."""
    if number == signal.SIGHUP:  # a closed terminal sends it more than once, which must not stop the unwinding
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
