"""The folder of a run that can go on after it was interrupted, killed, or failed.

It stands in its place from the start, unlike that of other runs, so that `ketwire run --resume DIR` finds
it. Until the run is over it holds what is needed to go on: the resolved scenario with its seed, launch.json
and the checkpoints. A result.json that tells of no error says that it is over; then the rest goes.

launch.json is sealed and holds the SHA-256 of scenario.yaml and of each result.json that may stand there; ledgers and
checkpoints have theirs in commits. Logs are not read again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError, warn
from ketwire.nodes.checkpoints.archive import MAX_OCTETS as LARGEST
from ketwire.nodes.checkpoints.archive import Broken, read, sha256, write
from ketwire.nodes.checkpoints.epochs import FOLDER
from ketwire.nodes.checkpoints.folders import check_private
from ketwire.nodes.checkpoints.sealed import seal, unseal
from ketwire.scenarios.load import Loaded, admit
from ketwire.scenarios.runs.rundir import Claim, RunDirectory, hold
from ketwire.scenarios.runs.telling import forget
from ketwire.scenarios.schema.yamltext import MAX_OCTETS, parse

FAILED_KEY = "afterwards_failed"
SCENARIO, LAUNCH, RESULT = "scenario.yaml", "launch.json", "result.json"


class ResumableDirectory(RunDirectory):
    """A folder that grows in its place. `path` and `target` are the same."""

    def __init__(self, target: Path, loaded: Loaded) -> None:
        """Begin one for a scenario.

        Raises:
            ScenarioError: it is there and not empty, or cannot be written.
        """
        self.fresh, self.refused = True, False
        self.path = self.target = target
        self.claim = Claim.of_new(target)
        text = loaded.resolved().encode()
        self._launch: dict[str, Any] = {"base": loaded.base, "scenario": sha256(text), "results": []}
        with self.claim.filling():
            try:
                (target / "logs").mkdir(mode=0o700)
                write(target / SCENARIO, text)
                write(target / LAUNCH, seal(self._launch))
            except OSError:
                self._empty()
                raise

    @classmethod
    def reopen(cls, target: Path) -> tuple[ResumableDirectory, Loaded]:
        """The folder of a run that is not over, and its scenario.

        Raises:
            ScenarioError: it holds none.
        """
        if not (target / LAUNCH).exists() and not (target / RESULT).exists():
            told = f"{str(target)!r} given, expected the folder of an unfinished run (ketwire run ... --out DIR)"
            raise ScenarioError(f"--resume: {told}")
        self = cls.__new__(cls)
        self.path = self.target = target
        self.fresh = self.refused = False
        try:
            held = hold(target)
        except OSError as error:
            raise _unwritable(target, error) from None
        if held is None:
            raise ScenarioError(f"--resume: {str(target)!r} given, which another run uses; expected one that is not")
        self.claim = Claim(target, held, made=False)
        with self.claim.kept():
            return self, self._read()

    def _read(self) -> Loaded:
        """The scenario of a folder that is gone on with."""
        origin = str(self.target / SCENARIO)
        try:
            check_private(self.target, "--resume")
            if not (self.target / LAUNCH).exists() and _is_finished(self.target / RESULT):
                raise _over(self.target)
            self._launch = unseal(self.target / LAUNCH, {"base": str, "scenario": str, "results": list})
            octets = _as_written(self.target / SCENARIO, [self._launch["scenario"]], MAX_OCTETS)
            if (self.target / RESULT).exists():
                _as_written(self.target / RESULT, self._launch["results"])
                if _is_finished(self.target / RESULT):
                    raise _over(self.target)
            data = parse(octets.decode(errors="replace"), origin)
            (self.target / "logs").mkdir(mode=0o700, exist_ok=True)
        except Broken as error:
            raise ScenarioError(f"--resume: {error}") from None
        except OSError as error:
            raise _unwritable(Path(error.filename or self.target), error) from None
        if not isinstance(data, dict):
            raise ScenarioError(f"--resume: {origin}: a {type(data).__name__}, expected a scenario")
        return admit(data, origin, self.target.name, self._launch["base"])

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, and drop what was needed to go on.

        Where something failed after the run that stays: going on then runs nothing, and does what follows again.
        """
        self._put_result(result)
        forget(self.path)
        if FAILED_KEY in result:
            return
        self._drop_parts()
        with suppress(OSError):  # inline runs have no logs
            (self.path / "logs").rmdir()
        (self.path / LAUNCH).unlink()
        shutil.rmtree(self.path / FOLDER, ignore_errors=True)

    def fail(self, error: Mapping[str, Any]) -> None:
        """Note the error, as far as there is room for it; the run can go on all the same."""
        with suppress(OSError):
            forget(self.path)
            self._put_result(error)

    def refuse(self) -> None:
        """The user's input was wrong: leave nothing of a run that had not committed anything."""
        self.refused = True
        if not self.fresh or any((self.path / FOLDER).glob("commit.*")) or any((self.path / FOLDER).glob("done.*")):
            return
        self._empty()

    def _empty(self) -> None:
        with suppress(FileNotFoundError):  # somebody was faster
            for entry in list(self.path.iterdir()):
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink()

    def discard(self) -> None:
        """Say how an unfinished run goes on, if it can as it is; what it needs for that stays."""
        if not self.refused and (self.path / LAUNCH).exists():
            warn(f"{self.target} is unfinished; go on with: ketwire run --resume {self.target}")
        self.claim.release()

    def _put_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json. Until it is in its place, the one before may stand there."""
        octets = json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._launch["results"] = [*self._launch["results"][-1:], sha256(octets)]
        write(self.path / LAUNCH, seal(self._launch))
        write(self.path / RESULT, octets)


def _unwritable(path: Path, error: OSError) -> ScenarioError:
    told = f"{str(path)!r} given: {error.strerror or error}"
    return ScenarioError(f"--resume: {told}, expected a folder that can be written")


def _over(target: Path) -> ScenarioError:
    return ScenarioError(f"--resume: {str(target)!r} given, whose run is over; expected one that is not")


def _as_written(path: Path, digests: Sequence[str], limit: int = LARGEST) -> bytes:
    """The octets of a file that has one of these SHA-256.

    Raises:
        Broken: it has another, or cannot be read.
    """
    octets = read(path, limit)
    if sha256(octets) not in digests:
        raise Broken(f"{path}: {len(octets)} octets of another SHA-256, expected the file as it was written")
    return octets


def _is_finished(path: Path) -> bool:
    """Whether there is a result, and neither an error alone nor one beside it."""
    try:
        result = json.loads(read(path))
        return "scenario" in result and FAILED_KEY not in result
    except (Broken, ValueError, TypeError):
        return False
