"""A live view of a run on a terminal: how far each party is, its virtual clock, and what it has found so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from ketwire.scenarios.reports.units import time_text

if TYPE_CHECKING:
    from rich.table import Table

    from ketwire.nodes.session import Progress

HEADS = ("session", "party", "phase", "virtual clock", "so far")


@dataclass
class Row:
    """What a party has told: by label how far it is, its clock, and what it has found."""

    phases: dict[str, tuple[int, int]] = field(default_factory=dict)
    clock_ps: int = 0
    found: str = ""

    @property
    def phase(self) -> str:
        """In words: `steps 3 of 150, copies emitted 471 of 500`."""
        told = (f"{label} {done:,} of {total:,}" for label, (done, total) in self.phases.items())
        return ", ".join(told) or "waits"


class Board:
    """The rows of all sessions that have begun, the running one at the bottom."""

    def __init__(self, sessions: Sequence[tuple[str, Sequence[str]]]) -> None:
        """sessions: each with its parties, in their order."""
        self._parties = dict(sessions)
        self.rows: dict[tuple[str, str], Row] = {}

    def told(self, session: str, party: str, phase: tuple[str, int, int], clock_ps: int, found: str) -> None:
        """A party has told how far it is; phase: label, done, total."""
        if (session, party) not in self.rows:
            self.rows |= {(session, each): Row() for each in self._parties[session]}
        row = self.rows[(session, party)]
        row.phases[phase[0]] = phase[1:]
        row.clock_ps, row.found = clock_ps, found or row.found

    def table(self) -> Table:
        """The rows as rich draws them."""
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False)
        for head in HEADS:
            table.add_column(head, justify="right" if head == "virtual clock" else "left", no_wrap=head != "phase")
        for (session, party), row in list(self.rows.items()):  # parties tell while another thread draws
            cells = (session, party, row.phase, time_text(row.clock_ps), row.found)
            table.add_row(*map(Text, cells))  # no markup in them
        return table


@contextmanager
def live(file: TextIO, sessions: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Progress]:
    """The view on a terminal, while the run is under way; it is gone afterwards."""
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    board = Board(sessions)
    shown = Live(console=Console(file=file), get_renderable=board.table, refresh_per_second=10, transient=True)

    def progress(session: str, party: str, done: int, total: int, label: str, clock_ps: int, found: str) -> None:
        board.told(session, party, (label, done, total), clock_ps, found)

    with suppress(OSError):
        shown.start()
    try:
        yield progress
    finally:
        with suppress(OSError):
            shown.stop()
