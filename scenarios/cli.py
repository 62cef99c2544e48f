"""The command line.

Exit codes: 0 done; 2 bad input, one line on standard error; 3 a party failed, a deadlock, a broken protocol,
something failed after the run (its result is printed all the same), or what was to be printed could not be;
130 interrupted. Whatever may run code of a user's own stands `aside`, so that standard output takes results alone.
Commands import what they need when they run, since each start of the program pays for imports.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from ketwire import __version__
from ketwire.errors import KetwireError, ScenarioError, tell
from ketwire.scenarios.output import aside, say, watched

if TYPE_CHECKING:
    from ketwire.scenarios.launch import Options, Runtime
    from ketwire.scenarios.load import Loaded, Read
    from ketwire.scenarios.output import Output

BAD_INPUT, FAILED, INTERRUPTED = 2, 3, 130
UNREAD = 141  # as a shell says of a command that SIGPIPE ended

# Typer has its click on board or beside it, by version; this finds the exceptions in both.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="ketwire",
    help="Distributed quantum inference over simulated lossy fibers, one process per party.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},  # of the commands too
)

_NAME = "A packaged scenario, or a YAML file."
Name = Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help=_NAME)]
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
    float, typer.Option("--wait-s", metavar="S", help="How long to wait for the coordinator; inf: for ever.")
]


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
    if isinstance(output.fault, BrokenPipeError):  # `| head`: whoever read had enough, and needs no word of it
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
    scenario: Annotated[str | None, typer.Argument(metavar="NAME_OR_FILE", help=_NAME)] = None,
    *,
    sets: Set = None,
    seed: Seed = None,
    inline: Annotated[bool, typer.Option("--inline", help="All parties in this process.")] = False,
    out: Out = None,
    as_json: Json = False,
    progress: Progress = None,
    check: Annotated[bool, typer.Option("--check", help="Compute the exact value too.")] = False,
    plaintext: Annotated[bool, typer.Option("--plaintext", help="No encryption between processes.")] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="DIR", help="Go on with the unfinished run of this folder.")
    ] = None,
) -> None:
    """Run a scenario, a process per party and fiber, and compare it with its classical rivals."""
    from ketwire.scenarios.launch import Options  # noqa: PLC0415

    if inline and plaintext:
        raise ScenarioError("--plaintext: given with --inline, which has no wire; expected one of them")
    if resume is not None:
        from ketwire.scenarios.resumable import ResumableDirectory  # noqa: PLC0415

        if scenario is not None or sets or seed is not None or out is not None:
            raise ScenarioError("--resume: given with a scenario, --set, --seed or --out; expected the folder alone")
        with aside():
            folder, loaded = ResumableDirectory.reopen(resume)
        options = Options(None, check, _shown(progress, as_json), resume=folder)
    elif scenario is None:
        raise ScenarioError("ketwire run: Missing argument 'NAME_OR_FILE' (expected it, or --resume DIR)")
    else:
        loaded, options = _load(scenario, sets, seed), Options(out, check, _shown(progress, as_json))
    _report(loaded, runtime_of(inline, plaintext), options, as_json)


@app.command(name="list")
def list_scenarios() -> None:
    """List the packaged scenarios."""
    from ketwire.scenarios.load import packaged, read  # noqa: PLC0415
    from ketwire.scenarios.yamltext import parse  # noqa: PLC0415

    found = packaged()
    width = max(map(len, found), default=0)
    for name, path in found.items():
        description = parse(read(path, path.name), path.name).get("description", "")
        say(f"{name.ljust(width)}  {' '.join(description.split())}".rstrip())


@app.command()
def show(scenario: Name, sets: Set = None, seed: Seed = None) -> None:
    """Print a scenario as it is written; with --set or --seed as it is resolved, defaults and all."""
    from ketwire.scenarios.load import find, read  # noqa: PLC0415

    if sets or seed is not None:
        found = _look(scenario, sets, seed)
        with aside():
            text = found.resolved()
        say(text, end="")
    else:
        path, origin = find(scenario)
        _look(scenario, None, None)
        say(read(path, origin), end="")


@app.command()
def validate(scenario: Name, sets: Set = None, seed: Seed = None) -> None:
    """Check a scenario, its budgets included, without running it, reading its data or executing modules it names."""
    from ketwire.scenarios.load import Loaded  # noqa: PLC0415

    loaded = _look(scenario, sets, seed)
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
def schema() -> None:
    """Print the JSON Schema of scenarios, all installed kinds included."""
    import json  # noqa: PLC0415

    from ketwire.scenarios.kinds import find_kind, kind_names  # noqa: PLC0415
    from ketwire.scenarios.schema import scenario_model  # noqa: PLC0415

    with aside():
        model = scenario_model([find_kind(name).Spec for name in kind_names()])
        told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    say(json.dumps(told, indent=2))


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, to paste.")] = None,
) -> None:
    """List the presets, or print one as a piece of a scenario, with the sources of its numbers."""
    from ketwire.scenarios.presettext import fragment, listed  # noqa: PLC0415

    say(listed() if name is None else fragment(name), end="")


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
        _print_json(found.told())
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


@app.command()
def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write the key files.")],
    scenario: Name,
) -> None:
    """Write a key pair for every party, fiber and the coordinator: NAME.key (secret) and NAME.pub."""
    from ketwire.nodes.security import write_keys  # noqa: PLC0415

    network = _look(scenario, None, None).network()
    names = [*network.parties, *(link.name for link in network.links), "coordinator"]
    write_keys(directory, names)
    say(f"{directory}: keys of {', '.join(names)}")


@app.command()
def coordinator(
    scenario: Name,
    *,
    keys: Keys,
    bind: Bind,
    advertise: Advertise = None,
    sets: Set = None,
    seed: Seed = None,
    out: Out = None,
    as_json: Json = False,
    progress: Progress = None,
    checkpoints: Checkpoints = None,
    rejoin_s: Annotated[
        float | None,
        typer.Option("--rejoin-s", metavar="S", help="How long to wait for a party that died, 60; 0: not at all."),
    ] = None,
) -> None:
    """Coordinate a run whose parties and fibers are started by hand, on any machines."""
    from ketwire.nodes.serve import serve_coordinator  # noqa: PLC0415
    from ketwire.scenarios.launch import Options  # noqa: PLC0415

    loaded = _load(scenario, sets, seed)

    def runtime(run: Any, progress: Any, ledger: bool, base: str, out: Path | None) -> Any:
        return serve_coordinator(run, keys, bind, advertise, progress, None, checkpoints, rejoin_s)

    options = Options(out, progress=_shown(progress, as_json), by_hand=True)
    _report(loaded, runtime, options, as_json)


@app.command()
def node(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    keys: Keys,
    coordinator: Coordinator,
    base: Annotated[str, typer.Option("--base", metavar="DIR", help="Where its data paths and modules start.")] = ".",
    checkpoints: Checkpoints = None,
    wait_s: Wait = 60.0,
) -> None:
    """Be one party of a run: `ketwire node alice`."""
    from ketwire.modules import settle  # noqa: PLC0415
    from ketwire.nodes.serve import serve_node  # noqa: PLC0415

    settle(base)
    with aside():
        serve_node(name, keys, coordinator, base, checkpoints, wait_s)


@app.command()
def fiber(
    link: Annotated[str, typer.Argument(metavar="A-B")],
    keys: Keys,
    coordinator: Coordinator,
    bind: Bind = "127.0.0.1:0",
    advertise: Advertise = None,
    checkpoints: Checkpoints = None,
    wait_s: Wait = 60.0,
) -> None:
    """Be one fiber of a run: `ketwire fiber alice-bob`."""
    from ketwire.nodes.serve import serve_fiber  # noqa: PLC0415

    with aside():
        serve_fiber(link, keys, coordinator, bind, advertise, checkpoints=checkpoints, wait_s=wait_s)


def runtime_of(inline: bool, plaintext: bool) -> Runtime:
    """The runtime that the options name."""
    if inline:
        from ketwire.nodes.inline import run_inline  # noqa: PLC0415

        return run_inline
    from ketwire.nodes.process import run_processes  # noqa: PLC0415

    return lambda run, progress, ledger, base, out: run_processes(run, progress, ledger, base, out, plaintext)


def _load(scenario: str, sets: list[str] | None, seed: str | None) -> Loaded:
    from ketwire.scenarios.load import load  # noqa: PLC0415

    with aside():
        loaded = load(scenario, [*(sets or ()), *([] if seed is None else [f"seed={seed}"])])
    _warn(loaded)
    return loaded


def _warn(found: Read) -> None:
    if alone := found.unlinked():
        tell(f"ketwire: warning: {found.origin}: nodes without a link: {', '.join(alone)}")


def _shown(progress: bool | None, as_json: bool) -> bool | None:
    return False if progress is None and as_json else progress


def _look(scenario: str, sets: list[str] | None, seed: str | None) -> Read:
    """As `_load`, for commands that execute nothing of a scenario's."""
    from ketwire.scenarios.load import look  # noqa: PLC0415

    with aside():
        found = look(scenario, [*(sets or ()), *([] if seed is None else [f"seed={seed}"])])
    _warn(found)
    return found


def _report(loaded: Loaded, runtime: Runtime, options: Options, as_json: bool) -> None:
    from ketwire.scenarios.launch import launch  # noqa: PLC0415
    from ketwire.scenarios.results import FAILED_KEY  # noqa: PLC0415
    from ketwire.scenarios.table import print_table, table_text  # noqa: PLC0415

    with aside():
        result = launch(loaded, runtime, options)
    failed = result.get(FAILED_KEY, ())
    try:
        if as_json:
            _print_json(result)
        elif sys.stdout is not None and sys.stdout.isatty():
            print_table(result)
        else:
            say(table_text(result))
    except OSError:  # told by whoever watches the output
        if not failed:
            raise
    for each in failed:
        tell(f"ketwire: the run is over, but {each['step']} failed: {each['message']}")
    if failed:
        raise typer.Exit(FAILED)


def _print_json(told: dict[str, Any]) -> None:
    import json  # noqa: PLC0415

    say(json.dumps(told, allow_nan=False))


def _usage(error: Any) -> str:
    """What is wrong with the command line, in one line."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "ketwire"
    if command == "ketwire fiber" and getattr(error, "option_name", None) == "--host":
        return f"{command}: --host is gone, expected --advertise HOST:PORT, with --bind HOST:PORT where to listen"
    return f"{command}: {' '.join(error.format_message().split())} (expected as in {command} --help)"


def _failed(error: BaseException, as_json: bool) -> int:
    """Say what went wrong; answers with the exit code that it has."""
    if isinstance(error, _UsageError):
        error = ScenarioError(_usage(error))
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        error = KeyboardInterrupt("interrupted")
    elif not isinstance(error, KetwireError):
        import traceback  # noqa: PLC0415

        traceback.print_exception(error)
    code = BAD_INPUT if isinstance(error, ScenarioError) else FAILED
    code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else code
    if as_json:
        from ketwire.scenarios.launch import error_object  # noqa: PLC0415

        with suppress(OSError):  # told by whoever watches the output
            _print_json(error_object(error))
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
