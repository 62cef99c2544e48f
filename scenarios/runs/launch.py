"""One run of a scenario, from its sessions to its result and its folder."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ketwire.errors import Deadlock, LocalProtocolError, PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.session import COORDINATOR, Progress, Run, SessionResult
from ketwire.scenarios.load import Loaded, from_file
from ketwire.scenarios.runs.afterwards import Afterwards
from ketwire.scenarios.runs.progress import watch
from ketwire.scenarios.runs.resumable import ResumableDirectory
from ketwire.scenarios.runs.rundir import RunDirectory
from ketwire.scenarios.runs.telling import Telling

if TYPE_CHECKING:
    from ketwire.scenarios.kinds.result import RunResult

FAILURES = (PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError)
"""What ends a run with exit code 3."""


class Runtime(Protocol):
    """What carries out a run: the runtimes of ketwire.nodes with the rest of their options bound."""

    def __call__(
        self, run: Run, progress: Progress | None, ledger: bool, base: str, out: Path | None
    ) -> list[SessionResult]: ...


@dataclass(frozen=True)
class Options:
    """What the user asked for beside the scenario.

    progress: whether to tell how far the run is; None: if standard error is a terminal.
    watch: show a table of all parties on the terminal instead.
    latency: tell where the virtual time went.
    by_hand: parties and fibers are started elsewhere, so that no ledger comes back from them.
    data: by party the folder with its data, of parties started by hand, for scores that need their inputs.
    resume: the folder of the run that is to go on, instead of `out`.
    ledger: keep one record per message in the result, also where no folder takes them.
    """

    out: Path | None = None
    check: bool = False
    progress: bool | None = None
    by_hand: bool = False
    data: Mapping[str, str] = field(default_factory=dict)
    resume: ResumableDirectory | None = None
    ledger: bool = False
    watch: bool = False
    latency: bool = False


def launch(loaded: Loaded, runtime: Runtime, options: Options) -> RunResult:
    """Run a scenario and answer with its result, after writing the folder if one is asked for.

    The result is of a type that its kind declares. What fails after the run stands in it under `afterwards_failed`.

    Raises:
        ScenarioError: the user's input is wrong, the data that parties load included.
        PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError: the run failed.
    """
    folder: RunDirectory | None = options.resume
    try:
        run = loaded.run(options.by_hand)
        if folder is None:
            folder = _new_folder(loaded, run, options)
        after = _carry_out(loaded, run, runtime, options, None if folder is None else folder.path)
        if folder is not None:
            _write(folder, after, None if options.by_hand else after.results)
        told = after.told()
        if options.ledger and not any(each.records_lost for each in after.results):
            told.keep_records([(each.name, record) for each in after.results for record in each.records])
        return told
    except FAILURES as error:
        if folder is not None:
            with suppress(OSError):  # a disk that is full may have no room for the error either
                folder.fail(error_object(error))
        raise
    except ScenarioError:
        if folder is not None:
            folder.refuse()
        raise
    finally:
        if folder is not None:
            folder.discard()


def _new_folder(loaded: Loaded, run: Run, options: Options) -> RunDirectory | None:
    """The folder that is asked for; one that a run can go on from where its programs await checkpoints."""
    if options.out is None:
        return None
    if options.by_hand or not any(session.restartable for session in run.sessions):
        return RunDirectory(options.out, loaded.resolved())
    return ResumableDirectory(options.out, loaded)


def _write(folder: RunDirectory, after: Afterwards, results: Sequence[SessionResult] | None) -> None:
    """Write the run's folder; what cannot be written is noted in the result.

    Args:
        results: sessions with their records, for ledger and trace; None where there are none.
    """
    if results is not None:
        with after.step("ledger"), _having_room(folder):
            folder.write_ledger(_recorded(results))
        with after.step("trace"), _having_room(folder):
            folder.write_trace(_recorded(results))
    with after.step("out"), _having_room(folder):
        folder.finish(after.told().told())


def _recorded(results: Sequence[SessionResult]) -> Sequence[SessionResult]:
    """Raises:
    PartyFailed: a fiber could not write its ledger.
    """
    for result in results:
        if result.records_lost is not None:
            raise PartyFailed(COORDINATOR, result.records_lost)
    return results


@contextmanager
def _having_room(folder: RunDirectory) -> Iterator[None]:
    """Raises:
    PartyFailed: the disk is full, say.
    """
    try:
        yield
    except OSError as error:
        told = f"result: {folder.target}: {error.strerror or error}; expected a folder with room for ledger and trace"
        raise PartyFailed(COORDINATOR, told) from None


def error_object(error: BaseException) -> dict[str, Any]:
    """What --json and a failed run's result.json say of an error."""
    party = getattr(error, "party", None)
    return {"error": {"kind": type(error).__name__, "party": party, "message": str(error)}}


def _carry_out(loaded: Loaded, run: Run, runtime: Runtime, options: Options, out: Path | None) -> Afterwards:
    """The run, and all that follows it but the folder."""
    with from_file(loaded.origin):
        begun_s = time.perf_counter()
        sessions = [(session.name, run.parties) for session in run.sessions]
        with watch(options.progress, board=sessions if options.watch else None) as shown:
            progress = shown if out is None else Telling(out, sessions, shown)
            recorded = options.ledger or (out is not None and not options.by_hand)
            results = runtime(run, progress, recorded, loaded.base, out)
        wall_s = time.perf_counter() - begun_s
    data = loaded.network().loaders(options.data) if options.by_hand else None
    after = Afterwards(loaded, run, results, wall_s, data)
    if options.latency:
        after.locate()
    after.summarise()
    if options.check:
        after.refer()
    after.compare()
    after.judge()
    return after
