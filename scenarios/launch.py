"""One run of a scenario, from its sessions to its result and its folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ketwire.errors import Deadlock, LocalProtocolError, PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.scenarios.kinds import Judge
from ketwire.scenarios.load import Loaded, from_file
from ketwire.scenarios.progress import watch
from ketwire.scenarios.results import result_object
from ketwire.scenarios.rundir import RunDirectory
from ketwire.scenarios.table import verdict

if TYPE_CHECKING:
    from ketwire.nodes.session import Progress, Run, SessionResult
    from ketwire.scenarios.resumable import ResumableDirectory

FAILURES = (PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError)
"""What ends a run with exit code 3."""


class Runtime(Protocol):
    """Whoever carries out a run; the runtimes of ketwire.nodes with the rest of their options bound."""

    def __call__(
        self, run: Run, progress: Progress | None, ledger: bool, base: str, out: Path | None
    ) -> list[SessionResult]: ...


@dataclass(frozen=True)
class Options:
    """What the user asked for beside the scenario.

    by_hand: parties and fibers are started elsewhere, so that no ledger comes back from them.
    resume: the folder of the run that is to go on, instead of `out`.
    """

    out: Path | None = None
    check: bool = False
    quiet: bool = False
    by_hand: bool = False
    resume: ResumableDirectory | None = None


def launch(loaded: Loaded, runtime: Runtime, options: Options) -> dict[str, Any]:
    """Run a scenario and answer with its result object, after writing the folder if one is asked for.

    Raises:
        ScenarioError: the user's input is wrong, the data that parties load included.
        PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError: the run failed.
    """
    run = loaded.run(options.by_hand)
    folder = options.resume or _new_folder(loaded, run, options)
    if folder is None:
        return _carry_out(loaded, run, runtime, options, None)[0]
    try:
        result, results = _carry_out(loaded, run, runtime, options, folder.path)
        _finish(folder, loaded, result, None if options.by_hand else results)
        return result
    except FAILURES as error:
        with suppress(OSError):  # a disk that is full may have no room for the error either
            folder.fail(loaded.resolved(), error_object(error))
        raise
    except ScenarioError:
        folder.refuse()
        raise
    finally:
        folder.discard()


def _new_folder(loaded: Loaded, run: Run, options: Options) -> RunDirectory | None:
    """The folder that is asked for; one that a run can go on from where its programs await checkpoints."""
    if options.out is None:
        return None
    if options.by_hand or not any(session.restartable for session in run.sessions):
        return RunDirectory(options.out)
    from ketwire.scenarios.resumable import ResumableDirectory  # noqa: PLC0415

    return ResumableDirectory(options.out, loaded)


def _finish(
    folder: RunDirectory, loaded: Loaded, result: dict[str, Any], results: Sequence[SessionResult] | None
) -> None:
    """Raises:
    PartyFailed: the disk is full, say.
    """
    from ketwire.nodes.security import COORDINATOR  # noqa: PLC0415

    try:
        folder.finish(loaded.resolved(), result, results)
    except OSError as error:
        told = f"result: {folder.target}: {error.strerror or error}; expected a folder with room for ledger and trace"
        raise PartyFailed(COORDINATOR, told) from None


def error_object(error: BaseException) -> dict[str, Any]:
    """What --json and a failed run's result.json say of an error."""
    party = getattr(error, "party", None)
    return {"error": {"kind": type(error).__name__, "party": party, "message": str(error)}}


def _carry_out(
    loaded: Loaded, run: Run, runtime: Runtime, options: Options, out: Path | None
) -> tuple[dict[str, Any], Sequence[SessionResult]]:
    kind, spec = loaded.kind, loaded.scenario.protocol
    with from_file(loaded.origin):
        begun_s = time.perf_counter()
        with watch(options.quiet) as progress:
            results = runtime(run, progress, out is not None and not options.by_hand, loaded.base, out)
        wall_s = time.perf_counter() - begun_s
        summary = kind.summarise(spec, results, Judge(loaded.network()))
        exact = _reference(loaded, run, results) if options.check else None
    head = {"scenario": loaded.name, "seed": run.seed, "protocol": loaded.kind_name}
    result = result_object(head, results, summary, exact, wall_s)
    compared = getattr(kind, "compared", None)
    if compared is not None:
        result |= compared(spec, result)
    return {**result, "verdict": verdict(result)}, results


def _reference(loaded: Loaded, run: Run, results: Sequence[SessionResult]) -> dict[str, Any]:
    """What --check compares with: the ideal value, and what kinds that run once more for it make of that."""
    from ketwire.scenarios.bias import bias  # noqa: PLC0415

    network = loaded.network()
    exact = loaded.kind.exact(loaded.scenario.protocol, network, network.loaders())
    retraced = getattr(loaded.kind, "retraced", None)
    again = {} if retraced is None else retraced(loaded.scenario.protocol, network, run, results)
    return {**exact, **bias(loaded, run, exact), **again}
