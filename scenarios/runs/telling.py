"""What a run tells while it is under way, in a file of its folder: `ketwire serve` shows it (`scenarios/shelf.py`)."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ketwire.nodes.checkpoints.folders import private
from ketwire.scenarios.runs.board import Board

if TYPE_CHECKING:
    from ketwire.nodes.session import Progress

PROGRESS = "progress.json"
BETWEEN_WRITES_S = 1.0
MOST_FINDINGS = 200
"""Findings that are kept, the last ones."""


class Telling:
    """A callback for a runtime: writes how far each party is, at most once a second.

    A file that cannot be written is no fault of the run, which goes on.
    """

    def __init__(self, folder: Path, sessions: Sequence[tuple[str, Sequence[str]]], also: Progress | None) -> None:
        """
        Args:
            folder: the run's. sessions: each with its parties, in their order.
            also: another callback that is told the same.
        """
        self._file, self._also, self._board = folder / PROGRESS, also, Board(sessions)
        self._findings: deque[tuple[str, str, str, int, str]] = deque(maxlen=MOST_FINDINGS)
        self._next_s = 0.0
        self._write()

    def __call__(
        self, session: str, party: str, done: int, total: int, label: str, clock_ps: int, found: str
    ) -> None:
        if self._also is not None:
            self._also(session, party, done, total, label, clock_ps, found)
        self._board.told(session, party, (label, done, total), clock_ps, found)
        if found:
            self._findings.append((session, party, label, done, found))
        if time.monotonic() >= self._next_s:
            self._write()

    def _write(self) -> None:
        self._next_s = time.monotonic() + BETWEEN_WRITES_S
        rows: list[dict[str, Any]] = [
            {"session": session, "party": party, "phase": row.phase, "clock_ps": row.clock_ps, "found": row.found}
            for (session, party), row in self._board.rows.items()
        ]
        new = self._file.with_suffix(".new")
        with suppress(OSError):
            with open(new, "w", encoding="utf-8", opener=private) as file:
                json.dump({"parties": rows, "findings": [*self._findings]}, file, ensure_ascii=False)
            os.replace(new, self._file)


def forget(folder: Path) -> None:
    """Remove the file: the run is over."""
    for name in (PROGRESS, Path(PROGRESS).with_suffix(".new").name):
        (folder / name).unlink(missing_ok=True)
