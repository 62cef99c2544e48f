"""A fiber's ledger: one JSON line per message that it carried, in the order of its sessions.

A run that goes on from a checkpoint takes back the lines that came after it, and writes them again.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from ketwire.channels.link import Record
from ketwire.errors import PartyFailed
from ketwire.nodes.session import Run


class Ledger:
    """The ledger of one fiber, a file that is made where there is none."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.owner = owner
        self.path = ledger_path(folder, owner)
        self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        self._placed = False

    def begin(self, session: int, octets: int | None) -> None:
        """Go on after the first `octets` octets, as a checkpoint says; else after all earlier sessions."""
        if octets is None and self._placed:
            return
        self._placed = True
        end = self._end_before(session) if octets is None else octets
        self._file.truncate(end)
        self._file.seek(end)

    def note(self, session: int, record: Record) -> None:
        """Raises:
        PartyFailed: the disk is full, say.
        """
        line = json.dumps({"session": session, **record._asdict()})
        try:
            self._file.write(line.encode() + b"\n")
        except OSError as error:
            raise self._failed(error) from None

    def mark(self) -> int:
        """Make sure that what was noted lasts; answers with the length of the file.

        Raises:
            PartyFailed: the disk is full, say.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from None
        return self._file.tell()

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _end_before(self, session: int) -> int:
        """Where the first line of `session` or a later one begins; a torn line ends the file too."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            try:
                if json.loads(line)["session"] >= session:
                    break
            except (ValueError, KeyError, TypeError):
                break
            end += len(line)
        return end

    def _failed(self, error: OSError) -> PartyFailed:
        return PartyFailed(self.owner, f"ledger: {self.path}: {error.strerror or error}")


def ledger_path(folder: Path, owner: str) -> Path:
    return folder / f"ledger-{owner}.jsonl"


def read_records(folder: Path, run: Run, index: int) -> list[Record]:
    """What all fibers noted of session `index`."""
    records = []
    for link in run.links:
        with ledger_path(folder, link.name).open(encoding="utf-8") as lines:
            entries = [json.loads(line) for line in lines]
        records += [
            Record(**{name: entry[name] for name in Record._fields}) for entry in entries if entry["session"] == index
        ]
    return records
