"""The folder of a run that can go on after it was interrupted, killed, or failed.

It stands in its place from the start, unlike that of other runs, so that `ketwire run --resume DIR` finds
it. Until the run is over it holds what is needed to go on: the resolved scenario with its seed, launch.json
and the checkpoints. A result.json that tells of no error says that it is over; then the rest goes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.nodes.archive import Broken, read, write
from ketwire.nodes.epochs import FOLDER, warn
from ketwire.nodes.sealed import seal, unseal
from ketwire.scenarios.load import Loaded, admit
from ketwire.scenarios.results import FAILED_KEY
from ketwire.scenarios.rundir import RunDirectory, making, umask
from ketwire.scenarios.yamltext import MAX_OCTETS, parse

SCENARIO, LAUNCH, RESULT = "scenario.yaml", "launch.json", "result.json"


class ResumableDirectory(RunDirectory):
    """A folder that grows in its place. `path` and `target` are the same."""

    def __init__(self, target: Path, loaded: Loaded) -> None:
        """Begin one for a scenario.

        Raises:
            ScenarioError: it is there and not empty, or cannot be written.
        """
        self.made, self.fresh, self.refused = not target.exists(), True, False
        self.path = self.target = target
        with making(target):
            target.mkdir(exist_ok=True)
            (target / "logs").mkdir()
            self._put(SCENARIO, loaded.resolved())
            write(target / LAUNCH, seal({"base": loaded.base}))

    @classmethod
    def reopen(cls, target: Path) -> tuple[ResumableDirectory, Loaded]:
        """The folder of a run that is not over, and its scenario.

        Raises:
            ScenarioError: it holds none.
        """
        try:
            if not (target / LAUNCH).exists() and not (target / RESULT).exists():
                told = f"{str(target)!r} given, expected the folder of an unfinished run (ketwire run ... --out DIR)"
                raise ScenarioError(f"--resume: {told}")
            if _is_finished(target / RESULT):
                raise ScenarioError(f"--resume: {str(target)!r} given, whose run is over; expected one that is not")
            launch = unseal(target / LAUNCH, {"base": str})
            origin = str(target / SCENARIO)
            data = parse(read(target / SCENARIO, MAX_OCTETS).decode(errors="replace"), origin)
        except Broken as error:
            raise ScenarioError(f"--resume: {error}") from None
        if not isinstance(data, dict):
            raise ScenarioError(f"--resume: {origin}: a {type(data).__name__}, expected a scenario")
        self = cls.__new__(cls)
        self.path = self.target = target
        self.made = self.fresh = self.refused = False
        try:
            (target / "logs").mkdir(exist_ok=True)
        except OSError as error:
            given = f"--resume: {str(target / 'logs')!r} given: {error.strerror or error}"
            raise ScenarioError(f"{given}, expected a folder that can be written") from None
        return self, admit(data, origin, target.name, launch["base"])

    def finish(self, scenario: str, result: Mapping[str, Any]) -> None:
        """Write the result, and drop what was needed to go on.

        Where something failed after the run that stays: going on then runs nothing, and does what follows again.
        """
        self._put_result(result)
        if FAILED_KEY in result:
            return
        self._drop_parts()
        with suppress(OSError):  # inline runs have no logs
            (self.path / "logs").rmdir()
        (self.path / LAUNCH).unlink()
        shutil.rmtree(self.path / FOLDER, ignore_errors=True)

    def fail(self, scenario: str, error: Mapping[str, Any]) -> None:
        """Note the error, as far as there is room for it; the run can go on all the same."""
        with suppress(OSError):
            self._put_result(error)

    def refuse(self) -> None:
        """The user's input was wrong: leave nothing of a run that had not committed anything."""
        self.refused = True
        if not self.fresh or any((self.path / FOLDER).glob("commit.*")) or any((self.path / FOLDER).glob("done.*")):
            return
        for entry in list(self.path.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()
        if self.made:
            self.path.rmdir()

    def discard(self) -> None:
        """Say how an unfinished run goes on, if it can as it is; what it needs for that stays."""
        if not self.refused and (self.path / LAUNCH).exists():
            warn(f"{self.target} is unfinished; go on with: ketwire run --resume {self.target}")

    def _put_result(self, result: Mapping[str, Any]) -> None:
        text = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False)
        self._put(RESULT, text + "\n")

    def _put(self, name: str, text: str) -> None:
        """A file of the finished folder, for whoever may read such files."""
        write(self.path / name, text.encode())
        os.chmod(self.path / name, 0o666 & ~umask())


def _is_finished(path: Path) -> bool:
    """Whether there is a result, and neither an error alone nor one beside it."""
    try:
        result = json.loads(read(path))
        return "scenario" in result and FAILED_KEY not in result
    except (Broken, ValueError, TypeError):
        return False
