"""How far a study is: on a terminal a bar with the time left and the last result, else lines now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

from ketwire.scenarios.runs.progress import BETWEEN_LINES_S, FIRST_LINE_S

if TYPE_CHECKING:
    from ketwire.scenarios.studies.folder import Row
    from ketwire.scenarios.studies.points import Point
    from ketwire.scenarios.studies.prepare import Prepared
    from ketwire.scenarios.studies.running import Runs

MOST_CHARACTERS = 100


class Shown:
    """Tells nothing; the others tell what these are called with."""

    def __init__(self) -> None:
        self._prepared: Prepared | None = None
        self._runs: Runs | None = None
        self._done = 0
        self._begun_s = time.monotonic()

    def checked(self, done: int, total: int) -> None:
        """So many points are resolved and checked."""
        self.tell(done, total, "points checked")

    def begin(self, prepared: Prepared, runs: Runs) -> None:
        """The points are checked, and these runs are left."""
        self._prepared, self._runs, self._begun_s = prepared, runs, time.monotonic()

    def ran(self, point: Point, repeat: int, row: Row) -> None:
        """A run is over."""
        assert self._prepared is not None and self._runs is not None
        self._done += 1
        left = self._runs.left
        left_s = (time.monotonic() - self._begun_s) / self._done * left
        total = self._done + left
        self.tell(self._done, total, f"runs, {_span(left_s)} left; {last_text(self._prepared, point, repeat, row)}")

    def tell(self, done: int, total: int, text: str) -> None:
        """Show a state."""

    def end(self) -> None:
        """Nothing more comes."""


def last_text(prepared: Prepared, point: Point, repeat: int, row: Row) -> str:
    """The last result in a few words: its point, and the first recorded fields or why there are none."""
    where = prepared.grid.told(point.labels)
    named = zip(prepared.fields, row.values, strict=True)
    values = ", ".join(f"{name} {_short(value)}" for name, value in named if value is not None and value != {})
    told = values if row.status == "done" else f"{row.status}: {row.reason}"
    text = f"{where}, repeat {repeat}: {told}" if where else f"repeat {repeat}: {told}"
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else f"{value}"


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class Lines(Shown):
    """Plain lines, the first after two seconds, then one every five at most."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file, self._next_s = file, time.monotonic() + FIRST_LINE_S

    def tell(self, done: int, total: int, text: str) -> None:
        """Show a state, if the last line is some seconds old."""
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = now_s + BETWEEN_LINES_S
            with suppress(OSError):  # it cannot be written, and the study goes on
                print(f"{done:,} of {total:,} {text}", file=self._file, flush=True)


class Bar(Shown):
    """A bar on a terminal."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

        columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
        console = Console(file=file)
        self._live = Progress(*columns, console=console, transient=True, refresh_per_second=5)
        self._task = self._live.add_task("", total=None)
        self._live.start()

    def tell(self, done: int, total: int, text: str) -> None:
        """Show a state."""
        with suppress(OSError):
            self._live.update(self._task, completed=done, total=total, description=text)

    def end(self) -> None:
        """Take the bar away."""
        with suppress(OSError):
            self._live.stop()


@contextmanager
def watch(asked: bool | None, file: TextIO | None = None) -> Iterator[Shown]:
    """What shows how far a study is while it runs.

    Args:
        asked: whether to show anything; None: on a terminal. file: where to; standard error as a rule.
    """
    file = file or sys.stderr
    if file is None or not (file.isatty() if asked is None else asked):
        shown = Shown()
    else:
        shown = Bar(file) if file.isatty() else Lines(file)
    try:
        yield shown
    finally:
        shown.end()
