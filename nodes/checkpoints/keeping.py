"""Checkpoints as their owners keep them: one file per party and per fiber, which only its owner reads.

    OWNER.SESSION.STEP.npz      what one node or fiber was at a step: written by its own process, 0600

A party's file holds its parameters, so it stays where it was written; the coordinator (`nodes.checkpoints.journal`)
is told its SHA-256. The last two that were committed are kept.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ketwire.channels.wire.frames import Saved
from ketwire.errors import LocalProtocolError, PartyFailed, ScenarioError
from ketwire.nodes.checkpoints.archive import Broken, Content, load, pack, sha256, write

KEPT = 2


class Keeper:
    """The checkpoints of one owner in a run.

    Args:
        folder: where they lie; it exists.
        owner: the node or fiber that they belong to.
        run: the name of the run, drawn at its start; files of other runs are refused.
        durable: files must outlast the machine's fall, and not the processes' alone.
    """

    def __init__(self, folder: Path, owner: str, run: str, durable: bool) -> None:
        self.folder = folder
        self.owner = owner
        self.run = run
        self.durable = durable
        self._committed: deque[tuple[int, int]] = deque(maxlen=KEPT)

    def path(self, session: int, step: int) -> Path:
        return self.folder / f"{self.owner}.{session}.{step}.npz"

    def save(
        self, session: int, step: int, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> str:
        """Write what the owner is at `step`; answers with the file's SHA-256.

        Raises:
            LocalProtocolError: the program's state is too large.
            PartyFailed: the file cannot be written.
        """
        head = {"run": self.run, "owner": self.owner, "session": session, "step": step}
        try:
            octets = pack({**head, "saved": values}, arrays)
        except ValueError as error:
            raise LocalProtocolError(f"{self.owner}: checkpoint {step}: {error}") from None
        path = self.path(session, step)
        try:
            write(path, octets, self.durable)
        except OSError as error:
            raise not_written(self.owner, path, error) from None
        return sha256(octets)

    def load(self, session: int, step: int, digest: str) -> Content:
        """What the owner was at `step`.

        Raises:
            Broken: the file is not what was committed.
        """
        path = self.path(session, step)
        values, arrays = load(path, digest)
        head = {"run": self.run, "owner": self.owner, "session": session, "step": step}
        if values.keys() != {*head, "saved"} or any(values[key] != head[key] for key in head):
            raise Broken(f"{path}: of another run, owner or step, expected {self.owner}'s of step {step}")
        return Content(values["saved"], arrays)

    def commit(self, session: int, step: int) -> None:
        """All hold their part of this checkpoint, or go on from it: drop what is older than the last two."""
        if (session, step) not in self._committed:
            self._committed.append((session, step))
        if len(self._committed) == KEPT:  # where a run goes on, the checkpoint before may be one of the two
            self._forget()

    def clear(self) -> None:
        """The run is over: drop all of them."""
        self._committed.clear()
        self._forget()

    def _forget(self) -> None:
        """Drop all that is not committed.

        Raises:
            PartyFailed: the folder is gone.
        """
        pattern = re.compile(rf"\.?{re.escape(self.owner)}\.(\d+)\.(\d+)\.npz(\.new)?")
        try:
            paths = list(self.folder.iterdir())
        except OSError as error:
            raise not_written(self.owner, self.folder, error) from None
        for path in paths:
            match = pattern.fullmatch(path.name)
            if match and (match[3] or (int(match[1]), int(match[2])) not in self._committed):
                with suppress(OSError):
                    path.unlink()


def keeper_of(folder: Path | None, owner: str, job: Mapping[str, Any] | None) -> Keeper | None:
    """What keeps the checkpoints of a party, as its job says; None in a run that has none.

    Raises:
        ScenarioError: the run has checkpoints and this party no folder for them, or the other way round.
    """
    if job is None and folder is not None:
        raise ScenarioError(f"--checkpoints: {folder} given for {owner}, expected one for the coordinator as well")
    if job is None or folder is None:
        if job is not None:
            raise ScenarioError(f"--checkpoints: none given for {owner}, expected a folder: the coordinator has one")
        return None
    return Keeper(folder, owner, job["run"], job["durable"])


def held(keeper: Keeper | None, job: Mapping[str, Any] | None) -> Iterator[Saved]:
    """What the owner holds of the checkpoints that its job names, and what is wrong with it."""
    if keeper is None or job is None:
        return
    for session, step, digest in job["commits"]:
        fault = None
        try:
            keeper.load(session, step, digest)
        except Broken as error:
            fault = str(error)
        yield Saved(session, step, digest, fault)


def not_written(owner: str, path: Path, error: OSError) -> PartyFailed:
    """A disk that is full, say: one line, and the run can go on later from the last good checkpoint."""
    told = error.strerror or str(error)
    gone = isinstance(error, FileNotFoundError)
    rest = "expected a folder that stays there while the run lasts" if gone else "the last good checkpoint stays"
    return PartyFailed(owner, f"checkpoint: {path}: {told}; {rest}")
