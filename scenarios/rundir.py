"""A run's folder: the resolved scenario, result.json, ledger, trace and logs. Whole or not there.

It is written under another name beside its own and renamed at the end. A run that failed leaves
the same folder with its error for a result, since the logs say why; one that was refused or
interrupted leaves nothing. Runs with checkpoints are another matter (`scenarios/resumable.py`).
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
from ketwire.scenarios.trace import write_trace

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult


class RunDirectory:
    """A folder in the making. `path` is where a runtime may put ledgers and logs meanwhile."""

    def __init__(self, target: Path) -> None:
        """Make room for `target`.

        Raises:
            ScenarioError: it is there and not empty, or cannot be written.
        """
        self.target = target
        with making(target):
            self.path = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
            self.path.chmod(0o777 & ~umask())
            (self.path / "logs").mkdir()

    def write_ledger(self, results: Sequence[SessionResult]) -> None:
        """Write every message of all sessions, a line each."""
        with self._whole("ledger.jsonl") as file:
            for session in results:
                for record in session.records:
                    line = {"session": session.name, **record._asdict()}
                    file.write(json.dumps(line, allow_nan=False) + "\n")

    def write_trace(self, results: Sequence[SessionResult]) -> None:
        with self._whole("trace.json") as file:
            write_trace(results, file)

    def finish(self, scenario: str, result: Mapping[str, Any]) -> None:
        """Write the rest and put the folder in its place.

        Args:
            scenario: the resolved scenario, YAML.
            result: the result object.
        """
        if (self.path / "ledger.jsonl").exists():  # else the parts are all there is
            self._drop_parts()
        self._publish(scenario, result)

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[TextIO]:
        """A file that is written whole, or is not there."""
        path = self.path / name
        try:
            with path.open("w", encoding="utf-8") as file:
                yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _drop_parts(self) -> None:
        for part in self.path.glob("ledger-*.jsonl"):  # each fiber's own; all of it is in ledger.jsonl
            part.unlink()

    def fail(self, scenario: str, error: Mapping[str, Any]) -> None:
        """Leave what there is of a run that failed: its logs, its scenario, its error."""
        self._publish(scenario, error)

    def refuse(self) -> None:
        """The user's input was wrong: nothing is left, as `discard` comes next."""

    def discard(self) -> None:
        """Leave nothing."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _publish(self, scenario: str, result: Mapping[str, Any]) -> None:
        (self.path / "scenario.yaml").write_text(scenario, encoding="utf-8")
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
        (self.path / "result.json").write_text(text + "\n", encoding="utf-8")
        with contextlib.suppress(OSError):  # inline runs have no logs
            (self.path / "logs").rmdir()
        try:
            os.rename(self.path, self.target)  # onto an empty folder too
        except OSError:  # a mount point cannot be replaced, only filled; result.json comes last
            self.target.mkdir(exist_ok=True)
            for name in sorted(os.listdir(self.path), key=lambda name: name == "result.json"):
                shutil.move(str(self.path / name), str(self.target / name))
            self.path.rmdir()


@contextlib.contextmanager
def making(target: Path) -> Iterator[None]:
    """For making a run's folder at `target`, or beside it: its parents are there.

    Raises:
        ScenarioError: it is there and not empty, or cannot be written.
    """
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ScenarioError(f"--out: {str(target)!r} given, expected a new or an empty folder")
        target.absolute().parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        told = f"{str(target)!r} given: {error.strerror or error}"
        raise ScenarioError(f"--out: {told}, expected a folder that can be written") from None


def umask() -> int:
    """This process's; asking sets it, so it is set again."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
