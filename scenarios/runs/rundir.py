"""A run's folder: the resolved scenario, result.json, ledger, trace and logs. Whole or not there.

It is written under another name beside its own and renamed at the end; until then an empty folder stands in its
place, which is locked. A run that failed leaves the same folder with its error for a result, since the logs say why;
one that was refused or interrupted leaves nothing. Runs with checkpoints are another matter
(`scenarios/runs/resumable.py`). The folder is 0700 and its files are 0600.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.folders import lock, private
from ketwire.scenarios.runs.telling import forget
from ketwire.scenarios.runs.trace import write_trace

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult


class RunDirectory:
    """A folder in the making. `path` is where a runtime may put ledgers and logs meanwhile."""

    def __init__(self, target: Path, scenario: str) -> None:
        """Make room for `target`.

        Args:
            scenario: the resolved scenario, YAML.

        Raises:
            ScenarioError: it is there and not empty, or cannot be written.
        """
        self.target, self.claim = target, Claim.of_new(target)
        with self.claim.filling():
            self.path = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))  # 0700
            try:
                (self.path / "logs").mkdir(mode=0o700)
            except OSError:
                self.path.rmdir()
                raise
        self._scenario = scenario
        with contextlib.suppress(OSError):  # for those who look on; `_publish` says where there is no room
            self._put("scenario.yaml", scenario)

    def write_ledger(self, results: Sequence[SessionResult]) -> None:
        """Write every message of all sessions, a line each."""
        told = json.JSONEncoder(allow_nan=False).encode  # json.dumps makes one for each line
        with self._whole("ledger.jsonl") as file:
            for session in results:
                for record in session.records:
                    line = {"session": session.name, **record._asdict()}
                    file.write(told(line) + "\n")

    def write_trace(self, results: Sequence[SessionResult]) -> None:
        with self._whole("trace.json") as file:
            write_trace(results, file)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result and put the folder in its place."""
        if (self.path / "ledger.jsonl").exists():  # otherwise the parts are all there is
            self._drop_parts()
        self._publish(result)

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[TextIO]:
        """A file that is written whole, or is not there."""
        path = self.path / name
        try:
            with open(path, "w", encoding="utf-8", opener=private) as file:
                yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _drop_parts(self) -> None:
        for part in self.path.glob("ledger-*.jsonl"):  # each fiber's own; all of it is in ledger.jsonl
            part.unlink()

    def fail(self, error: Mapping[str, Any]) -> None:
        """Leave what there is of a run that failed: its logs, its scenario, its error."""
        self._publish(error)

    def refuse(self) -> None:
        """The user's input was wrong: nothing is left, as `discard` comes next."""

    def discard(self) -> None:
        """Leave nothing that is not in its place."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.claim.release()

    def _put(self, name: str, text: str) -> None:
        with open(self.path / name, "w", encoding="utf-8", opener=private) as file:
            file.write(text)

    def _publish(self, result: Mapping[str, Any]) -> None:
        self._put("scenario.yaml", self._scenario)
        self._put("result.json", json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        forget(self.path)
        with contextlib.suppress(OSError):  # inline runs have no logs
            (self.path / "logs").rmdir()
        try:
            os.rename(self.path, self.target)  # onto an empty folder too
        except OSError:  # a mount point cannot be replaced, only filled; result.json comes last
            self.target.mkdir(exist_ok=True)
            for name in sorted(os.listdir(self.path), key=lambda name: name == "result.json"):
                shutil.move(str(self.path / name), str(self.target / name))
            self.path.rmdir()


class Claim:
    """A folder that is ours alone until `release`, or until this process ends, however it does.

    made: it was not there before.
    """

    def __init__(self, target: Path, held: int, made: bool) -> None:
        self.target, self.made = target, made
        self._held: int | None = held

    @classmethod
    def of_new(cls, target: Path) -> Claim:
        """One that --out names, which is there and empty then.

        Raises:
            ScenarioError: another run uses it, it is not empty, or it cannot be written.
        """
        made = not target.exists()
        if not made and not target.is_dir():
            raise _occupied(target)
        with _making(target):
            target.absolute().parent.mkdir(parents=True, exist_ok=True)
            held = hold(target)
        if held is None:
            raise ScenarioError(f"--out: {str(target)!r} given, which another run uses; expected a folder of its own")
        self = cls(target, held, made)
        with self.filling():
            if any(target.iterdir()):
                raise _occupied(target)
            target.chmod(0o700)  # one that was there
        return self

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Release it where the body raises anything."""
        try:
            yield
        except BaseException:
            self.release()
            raise

    @contextlib.contextmanager
    def filling(self) -> Iterator[None]:
        """For the first files.

        Raises:
            ScenarioError: they cannot be written; the folder is released.
        """
        with self.kept(), _making(self.target):
            yield

    def release(self) -> None:
        """Let others have the folder. One that we made, and that is empty, goes."""
        if self._held is None:
            return
        if self.made:
            with contextlib.suppress(OSError):
                self.target.rmdir()
        os.close(self._held)
        self._held = None


def hold(folder: Path) -> int | None:
    """A descriptor that holds this folder for us alone, made 0700 where there is none; None where another has it.

    Raises:
        OSError: it is no folder that can be read.
    """
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # its owner has just removed it
            if (held := lock(folder)) is None:
                return None
            if os.path.samestat(os.fstat(held), folder.stat()):
                return held
            os.close(held)  # of a folder in whose place another has come meanwhile


def _occupied(target: Path) -> ScenarioError:
    return ScenarioError(f"--out: {str(target)!r} given, expected a new or an empty folder")


@contextlib.contextmanager
def _making(target: Path) -> Iterator[None]:
    """Raises:
    ScenarioError: what is done to the folder at `target` cannot be done.
    """
    try:
        yield
    except OSError as error:
        told = f"{str(target)!r} given: {error.strerror or error}"
        raise ScenarioError(f"--out: {told}, expected a folder that can be written") from None
