"""How far a run is: a live bar on a terminal, or a table of all parties; else lines now and then if asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from ketwire.errors import ScenarioError
from ketwire.scenarios.runs.board import live

if TYPE_CHECKING:
    from rich.progress import Progress as LiveBars
    from rich.progress import TaskID

    from ketwire.nodes.session import Progress

FIRST_LINE_S = 2.0
BETWEEN_LINES_S = 5.0
_BETWEEN_DRAWS_S = 0.1


@contextmanager
def watch(
    asked: bool | None, file: TextIO | None = None, board: Sequence[tuple[str, Sequence[str]]] | None = None
) -> Iterator[Progress | None]:
    """A callback for a runtime while it runs; None where progress is not shown.

    Args:
        asked: whether to show anything; None: on a terminal.
        file: where to; standard error as a rule.
        board: the sessions, each with its parties, for a table of all parties, which takes a terminal.

    Raises:
        ScenarioError: a table is asked for where there is no terminal.
    """
    file = file or sys.stderr
    if board is not None:
        if file is None or not file.isatty():
            raise ScenarioError("--watch: standard error is no terminal, expected one; else take --progress")
        with live(file, board) as progress:
            yield progress
    elif file is None or not (file.isatty() if asked is None else asked):
        yield None
    elif file.isatty():
        with _bars(file) as progress:
            yield progress
    else:
        yield Lines(file)


class Lines:
    """Plain lines, the first after two seconds, then one every five at most."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._next_s = time.monotonic() + FIRST_LINE_S

    def __call__(
        self, session: str, party: str, done: int, total: int, label: str, clock_ps: int, found: str
    ) -> None:
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + BETWEEN_LINES_S
        with suppress(OSError):  # it cannot be written, and the run goes on
            told = f"{session}: {party}: {done:,} of {total:,} {label}".rstrip() + (f", {found}" if found else "")
            print(told, file=self._file, flush=True)


@contextmanager
def _bars(file: TextIO) -> Iterator[Progress]:
    """One bar per session and party, drawn at most ten times a second; rich loads with the first.

    A run that is over within the first moments never pays for it.
    """
    begun_s = time.monotonic()
    state = _Bars(file)

    def progress(session: str, party: str, done: int, total: int, label: str, clock_ps: int, found: str) -> None:
        if time.monotonic() - begun_s >= _BETWEEN_DRAWS_S:
            with suppress(OSError):
                state.draw(session, party, done, total, label)

    try:
        yield progress
    finally:
        with suppress(OSError):
            state.stop()


class _Bars:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._live: LiveBars | None = None
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def draw(self, session: str, party: str, done: int, total: int, label: str) -> None:
        live = self._live = self._live or self._begin()
        key, told = (session, party), f"{session}: {party} {label}".rstrip()
        if key not in self._tasks:
            self._tasks[key] = live.add_task(told, total=total)
        live.update(self._tasks[key], completed=done, total=total, description=told)

    def _begin(self) -> LiveBars:
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn  # noqa: PLC0415
        from rich.progress import Progress as LiveBars  # noqa: PLC0415

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        live = LiveBars(*columns, console=Console(file=self._file), transient=True, refresh_per_second=10)
        live.start()
        return live

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
