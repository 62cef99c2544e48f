"""What the coordinator keeps of a run that can be restarted: which run, what is committed, what is done.

    run.json                    the run's name, drawn at random, and a fingerprint of what it is to do
    commit.SESSION.STEP.json    everybody holds their part of this checkpoint: the SHA-256 of each part
    result.SESSION.npz          what came of a session that is over; it is not run again
    done.SESSION.json           the SHA-256 of that

A checkpoint counts from the moment that its commit is renamed into place. The last two are kept: where
a part of the last one is damaged, the run goes on from the one before. The coordinator never reads a
part; the process that wrote it does, and says whether it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ketwire import __version__
from ketwire.channels.line_values import told as told_line
from ketwire.channels.transcript import Chain
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.checkpoints.archive import Broken, load, pack, sha256, write
from ketwire.nodes.checkpoints.folders import check_private, lock
from ketwire.nodes.checkpoints.keeping import KEPT, not_written
from ketwire.nodes.checkpoints.sealed import seal, unseal
from ketwire.nodes.session import COORDINATOR, Run, SessionResult, Totals
from ketwire.nodes.trampoline import outcome_of
from ketwire.protocols.typed import Told, told

_COMMIT = re.compile(r"commit\.(\d{1,10})\.(\d{1,20})\.json")


class Commit(NamedTuple):
    """A checkpoint that everybody holds; parts maps each node and fiber to the SHA-256 of its file."""

    session: int
    step: int
    parts: Mapping[str, str]


class Journal:
    """The coordinator's own files of a run, in a folder that is made where there is none.

    Args:
        durable: files must outlast the machine's fall, and not the processes' alone.

    Raises:
        ScenarioError: the folder holds another run, is in use or open to other users, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path, run: Run, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self.faults: list[str] = []  # of commits that could not be read
        self._sessions = run.sessions
        self._owners = {*run.parties, *(link.name for link in run.links)}
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            check_private(folder, "checkpoints")
            self._lock = self._lock_folder()
        except OSError as error:
            raise _unusable(folder, error) from None
        try:
            self.run = self._identify(run)
            self.finished = self._read_results()
        except (OSError, Broken, RemoteProtocolError) as error:
            self.close()
            raise _unusable(folder, error) from None

    def close(self) -> None:
        """Let others have the folder."""
        os.close(self._lock)

    def _lock_folder(self) -> int:
        """Two coordinators over one folder would undo each other's files."""
        descriptor = lock(self.folder)
        if descriptor is None:
            raise ScenarioError(f"checkpoints: {self.folder} is in use, expected a run that nobody runs")
        return descriptor

    def _identify(self, run: Run) -> str:
        """The name of the run that this folder is of."""
        path, fingerprint = self.folder / "run.json", fingerprint_of(run)
        if not path.exists():
            if any(_COMMIT.fullmatch(other.name) for other in self.folder.iterdir()):
                raise Broken(f"{path}: missing, expected the name of the run")
            name = os.urandom(16).hex()
            write(path, seal({"run": name, "fingerprint": fingerprint}))
            return name
        value = unseal(path, {"run": str, "fingerprint": str})
        if value["fingerprint"] != fingerprint:
            raise Broken(f"{path}: of another run, expected one of this scenario, seed and version")
        named: str = value["run"]
        return named

    def _read_results(self) -> list[SessionResult]:
        """What came of the sessions that are over; they run one after another."""
        results = []
        for index, session in enumerate(self._sessions):
            path = self.folder / f"done.{index}.json"
            if not path.exists():
                break
            value = unseal(path, {"run": str, "sha256": str})
            if value["run"] != self.run:
                raise Broken(f"{path}: of another run, expected a session of this one")
            values, arrays = load(self.folder / f"result.{index}.npz", value["sha256"])
            results.append(_result(session.program, values, arrays))
        return results

    def choose(
        self, session: int, faults_of: Callable[[Commit], Sequence[str]], warn: Callable[[str], None]
    ) -> Commit | None:
        """The newest checkpoint whose parts are all whole; None where none was committed.

        Args:
            faults_of: asks the owners what is wrong with their parts.
            warn: is told what is damaged where an older one serves.

        Raises:
            ScenarioError: there are some, and none is whole.
        """
        faults: list[str] = []
        for commit in self.commits(session):
            found = faults_of(commit)
            if not found:
                for fault in (*self.faults, *faults):
                    warn(f"{fault}; going on from checkpoint {commit.step}")
                return commit
            faults += found
        if self.faults or faults:
            raise ScenarioError(f"checkpoints: {[*self.faults, *faults][0]}; no other checkpoint is whole")
        return None

    def commits(self, session: int) -> list[Commit]:
        """What is committed of a session, newest first; `faults` says what could not be read."""
        self.faults, whole = [], []
        for step in self._steps(session):
            path = self._path(session, step)
            try:
                value = unseal(path, {"run": str, "session": int, "step": int, "parts": dict})
                if (value["run"], value["session"], value["step"]) != (self.run, session, step):
                    raise Broken(f"{path}: of another run or step, expected step {step} of this one")
                if value["parts"].keys() != self._owners:
                    raise Broken(f"{path}: with parts of others, expected those of {', '.join(sorted(self._owners))}")
                whole.append(Commit(session, step, value["parts"]))
            except Broken as error:
                self.faults.append(str(error))
        return whole

    def commit(self, session: int, step: int, parts: Mapping[str, str]) -> None:
        """Everybody holds their part.

        Raises:
            PartyFailed: the commit cannot be written.
        """
        value = {"run": self.run, "session": session, "step": step, "parts": dict(parts)}
        self._write(self._path(session, step), seal(value))
        self._forget(session, KEPT)

    def finish(self, index: int, result: SessionResult) -> None:
        """A session is over: keep what came of it, drop its commits.

        Raises:
            PartyFailed: the result cannot be written.
            LocalProtocolError: a program returned what JSON and arrays cannot hold.
        """
        try:
            octets = pack(*_values(result))
        except ValueError as error:
            raise LocalProtocolError(f"{result.name}: outcome: {error}") from None
        self._write(self.folder / f"result.{index}.npz", octets)
        self._write(self.folder / f"done.{index}.json", seal({"run": self.run, "sha256": sha256(octets)}))
        self.finished.append(result)
        self._forget(index, 0)

    def _steps(self, session: int) -> list[int]:
        """The committed steps of a session, newest first.

        Raises:
            PartyFailed: the folder is gone.
        """
        try:
            found = [_COMMIT.fullmatch(path.name) for path in self.folder.iterdir()]
        except OSError as error:
            raise not_written(COORDINATOR, self.folder, error) from None
        return sorted((int(match[2]) for match in found if match and int(match[1]) == session), reverse=True)

    def _forget(self, session: int, keep: int) -> None:
        for step in self._steps(session)[keep:]:
            with suppress(OSError):  # one too many does no harm
                self._path(session, step).unlink()

    def _path(self, session: int, step: int) -> Path:
        return self.folder / f"commit.{session}.{step}.json"

    def _write(self, path: Path, octets: bytes) -> None:
        try:
            write(path, octets, self.durable)
        except OSError as error:
            raise not_written(COORDINATOR, path, error) from None


def _unusable(folder: Path, error: OSError | Broken | RemoteProtocolError) -> ScenarioError:
    if not isinstance(error, OSError):
        return ScenarioError(f"checkpoints: {error}")
    return ScenarioError(f"checkpoints: {folder}: {error.strerror or error}, expected a folder that can be written")


def fingerprint_of(run: Run) -> str:
    """SHA-256 over all that decides what a run computes, the data that its parties load aside.

    It stays with the coordinator: a party that knew it could try out what another party's values are.
    """
    links = [[link.ends, told_line(link.forward), told_line(link.backward), link.credit_octets, link.name, link.carries]
             for link in run.links]  # fmt: skip
    sessions = [
        [each.name, each.role, each.program, each.restartable, {who: _digest(own) for who, own in each.told.items()}]
        for each in run.sessions
    ]
    hardware = [asdict(run.hardware_of(party)) for party in run.parties]
    text = json.dumps([__version__, run.seed, run.workload, run.parties, links, sessions, hardware], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(own: Told) -> list[Any]:
    arrays = {
        name: [str(array.dtype), array.shape, sha256(np.ascontiguousarray(array).tobytes())]
        for name, array in own.arrays.items()
    }
    return [own.values, arrays]


def _values(result: SessionResult) -> tuple[dict[str, Any], dict[str, Any]]:
    """A result as values and arrays; its records stay in the fibers' ledgers."""
    outcomes = {party: told(outcome, f"outcome of {party}") for party, outcome in result.outcomes.items()}
    values = {
        "name": result.name,
        "role": result.role,
        "outcomes": {party: own.values for party, own in outcomes.items()},
        "clocks_ps": result.clocks_ps,
        "directions": {name: totals._asdict() for name, totals in result.directions.items()},
        "chains": [list(chain) for chain in result.chains],
        "eve": result.eve,
    }
    arrays = {f"{party}/{name}": array for party, own in outcomes.items() for name, array in own.arrays.items()}
    return values, arrays


def _result(program: str, values: dict[str, Any], arrays: dict[str, Any]) -> SessionResult:
    """The result of a session of `program`, of which `_values` told."""
    outcomes = {}
    for party, own in values["outcomes"].items():
        head = f"{party}/"
        theirs = {name[len(head) :]: array for name, array in arrays.items() if name.startswith(head)}
        outcomes[party] = outcome_of(program, own, theirs)
    return SessionResult(
        values["name"],
        values["role"],
        outcomes,
        values["clocks_ps"],
        {name: Totals(**totals) for name, totals in values["directions"].items()},
        tuple(Chain(*chain) for chain in values["chains"]),
        eve=values["eve"],
    )
