"""A fiber's ledger: one JSON line per message that it carried, in the order of its sessions.

A run that goes on from a checkpoint takes back the lines that came after it, and writes them again.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from ketwire.channels.records import Record
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.session import Run


class Ledger:
    """The ledger of one fiber, a file that is made where there is none.

    Raises:
        ScenarioError: what stands in its place is no file that can be written.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        self.owner = owner
        self.path = ledger_path(folder, owner)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise self._unusable(error.strerror or str(error), "a file that can be written") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise self._unusable("no regular file", "a file that can be written")
        self._file = os.fdopen(descriptor, "r+b")
        self._placed = False

    def begin(self, session: int, octets: int | None) -> None:
        """Go on after the first `octets` octets, as a checkpoint says; else after all earlier sessions.

        Raises:
            ScenarioError: these are not what was noted: the result could not tell what was sent.
        """
        if octets is None and self._placed:
            return
        self._placed = True
        end = self._end_before(session if octets is None else None)
        if octets is not None:
            if end < octets:
                raise self._unusable(f"whole lines for {end} of {octets} octets", "the file as it was written")
            end = octets
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

    def _end_before(self, session: int | None) -> int:
        """Where the first line of `session` or a later one begins; what is no record ends the file too."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            try:
                noted = json.loads(line)
                if session is not None and noted["session"] >= session:
                    break
            except (ValueError, KeyError, TypeError):
                break
            if not isinstance(noted, dict) or not line.endswith(b"\n"):
                break
            end += len(line)
        return end

    def _unusable(self, what: str, expected: str) -> ScenarioError:
        return ScenarioError(f"ledger: {self.path}: {what}, expected {expected}")

    def _failed(self, error: OSError) -> PartyFailed:
        return PartyFailed(self.owner, f"ledger: {self.path}: {error.strerror or error}")


def ledger_path(folder: Path, owner: str) -> Path:
    return folder / f"ledger-{owner}.jsonl"


def read_records(folder: Path, run: Run, index: int) -> list[Record]:
    """What all fibers noted of session `index`.

    Raises:
        ScenarioError: somebody has touched a ledger since.
    """
    records = []
    for link in run.links:
        path = ledger_path(folder, link.name)
        try:
            with path.open(encoding="utf-8") as lines:
                entries = [json.loads(line) for line in lines]
            records += [
                Record(**{name: entry[name] for name in Record._fields})
                for entry in entries
                if entry["session"] == index
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            told = getattr(error, "strerror", None) or "a line that is no record"
            raise ScenarioError(f"ledger: {path}: {told}, expected the file as it was written") from None
    return records
