"""A fiber's ledger: one JSON line per message that it carried, in the order of its sessions.

The last line of each session holds the SHA-256 of all lines before it. A run that goes on from a checkpoint takes
back the lines that came after it, and writes them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from ketwire.channels.records import Record
from ketwire.errors import PartyFailed, ScenarioError, tell
from ketwire.nodes.session import Run

AS_WRITTEN = "the file as it was written"
_CHUNK = 1 << 20


class Place(NamedTuple):
    """A place in a ledger: how many octets come before it, and their SHA-256."""

    octets: int
    sha256: str


class Ledger:
    """The ledger of one fiber, a file of mode 0600 that is made where there is none.

    Args:
        vital: a run that can go on later ends where it cannot be written. Another loses no more than its ledger,
            which is told.

    Raises:
        ScenarioError: what stands in its place is no file that can be written.
    """

    def __init__(self, folder: Path, owner: str, vital: bool = True) -> None:
        self.owner = owner
        self._vital, self._lost = vital, False
        self.path = ledger_path(folder, owner)
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise _unusable(self.path, error.strerror or str(error), "a file that can be written") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _unusable(self.path, "no regular file", "a file that can be written")
        self._file = os.fdopen(descriptor, "r+b")
        self._digest = hashlib.sha256()
        self._octets = 0
        self._placed = False

    def begin(self, session: int, place: Place | None) -> None:
        """Go on at the place that a checkpoint names; otherwise after all earlier sessions.

        Raises:
            ScenarioError: what comes before is not what was noted: the result could not tell what was sent.
        """
        if place is None and self._placed:
            return
        self._placed = True
        self._file.seek(0)
        end = self._end_of(session) if place is None else self._at(place)
        self._file.seek(end)
        self._file.truncate(end)
        self._octets = end

    def note(self, session: int, record: Record) -> None:
        """Raises:
        PartyFailed: the disk is full, say.
        """
        self._write({"session": session, **record._asdict()})

    def end(self, session: int) -> None:
        """A session is over, and what was noted of it lasts.

        Raises:
            PartyFailed: the disk is full, say.
        """
        self._write({"session": session, "sha256": self._digest.hexdigest()})
        self.mark()

    def mark(self) -> Place:
        """Make sure that what was noted lasts.

        Raises:
            PartyFailed: the disk is full, say.
        """
        if not self._lost:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                self._fail(error)
        return Place(self._octets, self._digest.hexdigest())

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry).encode() + b"\n"
        if self._lost:
            return
        try:
            self._file.write(line)
        except OSError as error:
            self._fail(error)
        self._digest.update(line)
        self._octets += len(line)

    def _at(self, place: Place) -> int:
        """Read as far as a place."""
        left = place.octets
        while left and (octets := self._file.read(min(left, _CHUNK))):
            self._digest.update(octets)
            left -= len(octets)
        if left:
            raise _unusable(self.path, f"{place.octets - left} of {place.octets} octets", AS_WRITTEN)
        if self._digest.hexdigest() != place.sha256:
            raise _unusable(self.path, f"{place.octets} octets of another SHA-256", AS_WRITTEN)
        return place.octets

    def _end_of(self, session: int) -> int:
        """Read the sessions before this one; answers with where the last of them ends."""
        end = 0
        if session == 0:
            return end
        for line, number, is_last in _lines(self.path, self._file):
            end += len(line)
            self._digest.update(line)
            if is_last and number == session - 1:
                return end
        raise _unusable(self.path, f"no end of session {session - 1}", AS_WRITTEN)

    def _fail(self, error: OSError) -> None:
        told = f"ledger: {self.path}: {error.strerror or error}"
        if self._vital:
            raise PartyFailed(self.owner, told) from None
        self._lost = True
        tell(f"{told}; nothing more of it is written")


def ledger_path(folder: Path, owner: str) -> Path:
    return folder / f"ledger-{owner}.jsonl"


def read_records(folder: Path, run: Run) -> list[list[Record]]:
    """What all fibers noted, by session.

    Raises:
        ScenarioError: somebody has touched a ledger since.
    """
    records: list[list[Record]] = [[] for _ in run.sessions]
    for link in run.links:
        path, over = ledger_path(folder, link.name), 0
        try:
            with path.open("rb") as file:
                for line, session, is_last in _lines(path, file):
                    if is_last:
                        over += 1
                        continue
                    entry = json.loads(line)
                    records[session].append(Record(**{name: entry[name] for name in Record._fields}))
        except (OSError, ValueError, LookupError, TypeError) as error:
            told = getattr(error, "strerror", None) or "a line that is no record"
            raise _unusable(path, told, AS_WRITTEN) from None
        if over != len(run.sessions):
            raise _unusable(path, f"{over} of {len(run.sessions)} sessions", AS_WRITTEN)
    return records


def _lines(path: Path, file: IO[bytes] | Iterable[bytes]) -> Iterator[tuple[bytes, int, bool]]:
    """Each line with its session, and whether it is the last of that, which is compared with what came before.

    Raises:
        ScenarioError: a line is not as it was written.
    """
    digest, session = hashlib.sha256(), 0
    for line in file:
        try:
            entry = json.loads(line)
            number, told = entry["session"], entry.get("sha256")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise _unusable(path, "a line that is no record", AS_WRITTEN) from None
        if number != session or told not in (None, digest.hexdigest()) or not line.endswith(b"\n"):
            raise _unusable(path, f"lines of session {session} of another SHA-256", AS_WRITTEN)
        yield line, session, told is not None
        digest.update(line)
        session += told is not None


def _unusable(path: Path, what: str, expected: str) -> ScenarioError:
    return ScenarioError(f"ledger: {path}: {what}, expected {expected}")
