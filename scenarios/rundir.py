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
from typing import TYPE_CHECKING, Any

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

    def finish(
        self, scenario: str, result: Mapping[str, Any], results: Sequence[SessionResult] | None
    ) -> None:
        """Write everything and put the folder in its place.

        Args:
            scenario: the resolved scenario, YAML.
            result: the result object.
            results: sessions with their records, for ledger and trace; None where there are none.
        """
        if results is not None:
            self._write_ledger(results)
            self._drop_parts()
        self._publish(scenario, result)

    def _write_ledger(self, results: Sequence[SessionResult]) -> None:
        with (self.path / "ledger.jsonl").open("w", encoding="utf-8") as file:
            for session in results:
                for record in session.records:
                    line = {"session": session.name, **record._asdict()}
                    file.write(json.dumps(line, allow_nan=False) + "\n")
        with (self.path / "trace.json").open("w", encoding="utf-8") as file:
            write_trace(results, file)

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
