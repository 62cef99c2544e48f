"""The folder of a study: a line for each finished run, written to its file before the next is told of.

    folder.json     whose results these are: the study's hash, the physics revision, its fields
    points.json     the points of the grid, in its order
    study.yaml      the study as it was resolved
    results.jsonl   a line for each run that is over
    times.jsonl     how long each took on its machine

A crash loses the runs that were under way; one of the whole machine also those of the last half second, as files are
synced at most twice a second. A torn last line is cut off when the folder is opened again. The folder is
0700, its files are 0600, and it belongs to one study at a time.
"""

from __future__ import annotations

import gc
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from ketwire.errors import KetwireError, ScenarioError
from ketwire.nodes.checkpoints.folders import private
from ketwire.scenarios.runs.rundir import hold

FOLDER, POINTS, RESULTS, TIMES, STUDY = "folder.json", "points.json", "results.jsonl", "times.jsonl", "study.yaml"
BETWEEN_SYNCS_S = 0.5
STATUSES = frozenset({"done", "refused", "failed", "died"})


class Row(NamedTuple):
    """What a run came to. status: done, refused, failed, or died: its worker died again and again.

    values: of the study's fields, in their order.
    """

    seed: int
    status: str
    reason: str
    values: list[Any]


Key = tuple[str, int]
"""Of a row: the identity of its point, and which repeat."""
Rows = dict[Key, Row]


class Owner(NamedTuple):
    """Whose results a folder holds. key: of the study, see `prepare.study_key`."""

    key: str
    revision: int
    name: str
    fields: list[str]


class StudyFolder:
    """The folder that a study writes. `rows` are the runs that are over."""

    def __init__(self, target: Path, owner: Owner) -> None:
        """Make it, or go on with it.

        Raises:
            ScenarioError: it holds something else, a study under way uses it, or it cannot be written.
        """
        self.target, self.owner = target, owner
        try:
            target.absolute().parent.mkdir(parents=True, exist_ok=True)
            held = hold(target)
        except OSError as error:
            raise _unwritable(target, error) from None
        if held is None:
            raise ScenarioError(f"--out: {str(target)!r} given, which a study under way uses; expected another folder")
        self._held = held
        self._files: list[int] = []
        self._synced_s = -math.inf
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        names = {path.name for path in self.target.iterdir()}
        if FOLDER in names:
            check_owner(self.target, self.owner, "--out")
        elif names - {f".{FOLDER}"}:
            raise ScenarioError(f"--out: {str(self.target)!r} given, expected a new folder, or one of this study")
        try:
            self.target.chmod(0o700)
            if FOLDER not in names:
                self.write(FOLDER, json.dumps(self.owner._asdict()))
            self.rows: Rows = read_rows(self.target, len(self.owner.fields))
            for name in (RESULTS, TIMES):
                self._files.append(_appending(self.target / name))
        except OSError as error:
            raise _unwritable(self.target, error) from None

    def write(self, name: str, text: str | bytes) -> None:
        """Write a file whole, after all rows are on the disk: it is the old one or the new one at any time.

        Raises:
            KetwireError: there is no room for it.
        """
        beside = self.target / f".{name}"
        octets = text.encode() if isinstance(text, str) else text
        with self.having_room():
            for rows in self._files:
                os.fsync(rows)
            try:
                with open(beside, "wb", opener=private) as file:
                    file.write(octets)
                    file.flush()
                    os.fsync(file.fileno())
                beside.rename(self.target / name)
            except OSError:
                beside.unlink(missing_ok=True)
                raise

    def add(self, key: Key, row: Row, wall_s: float | None) -> None:
        """Append a row and how long it took; in the file when this returns, so it outlives this process.

        Raises:
            KetwireError: there is no room for it.
        """
        if self.rows.get(key) == row:
            return
        point, repeat = key
        line = {"point": point, "repeat": repeat, **row._asdict()}
        with self.having_room():
            now_s = time.monotonic()
            sync = now_s >= self._synced_s + BETWEEN_SYNCS_S
            _append(self._files[0], line, sync=sync)
            if sync:
                self._synced_s = now_s
            if wall_s is not None:
                _append(self._files[1], {"point": point, "repeat": repeat, "wall_s": round(wall_s, 6)}, sync=False)
        self.rows[key] = row

    def take(self, rows: Rows) -> None:
        """Append the rows of another folder of the same study."""
        merge(self.rows, rows, str(self.target), lambda key, row: self.add(key, row, None))

    @contextmanager
    def having_room(self) -> Iterator[None]:
        """Raises:
        KetwireError: a file of the folder cannot be written.
        """
        try:
            yield
        except OSError as error:
            told = f"{self.target}: {error.strerror or error}, expected a folder with room for the results"
            raise KetwireError(f"study: {told}; what is in it is kept, and the same command goes on") from None

    def close(self) -> None:
        """Let others have the folder."""
        for file in self._files:
            with suppress(OSError):  # an interrupted study; one that ends has synced its rows before its tables
                os.fsync(file)
            os.close(file)
        self._files = []
        os.close(self._held)


def merge(rows: Rows, more: Rows, where: str, add: Any) -> None:
    """Add rows that are not there; a row of a worker that died gives way to any other.

    Raises:
        ScenarioError: both have the same run with different results.
    """
    for key, row in more.items():
        known = rows.get(key)
        if known is None or (known.status == "died" and row.status != "died"):
            add(key, row)
        elif known != row and "died" not in (known.status, row.status):
            told = f"repeat {key[1]} of point {key[0][:12]} has other results in two folders"
            raise ScenarioError(f"{where}: {told}, expected the same: was one of them made by a changed ketwire?")


def read_owner(folder: Path, option: str) -> Owner:
    """Whose results a folder holds.

    Raises:
        ScenarioError: it is no folder of a study.
    """
    try:
        told = json.loads((folder / FOLDER).read_bytes())
        owner = Owner(**told)
        texts = [owner.key, owner.name, *owner.fields]
        if not (isinstance(owner.fields, list) and isinstance(owner.revision, int)
                and all(isinstance(text, str) for text in texts)):  # fmt: skip
            raise ValueError("no folder of a study")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "is not of a study"
        raise ScenarioError(f"{option}: {folder / FOLDER}: {reason}, expected the folder of a study") from None
    return owner


def check_owner(folder: Path, owner: Owner, option: str) -> None:
    """Raises:
    ScenarioError: the folder holds results of another study, or of another revision of the physics.
    """
    there = read_owner(folder, option)
    if there.revision != owner.revision:
        told = f"holds results of physics revision {there.revision}, expected {owner.revision}, which this ketwire has"
        raise ScenarioError(f"{option}: {str(folder)!r} {told}")
    if there.key != owner.key:
        told = f"holds results of another study ({there.name}: other base, axes or fields), expected {owner.name}'s"
        raise ScenarioError(f"{option}: {str(folder)!r} {told}")


def read_rows(folder: Path, fields: int) -> Rows:
    """The rows of a folder. A torn last line is as if it were not there.

    Raises:
        ScenarioError: a line is none of a study's.
    """
    path = folder / RESULTS
    try:
        octets = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror or error}, expected results that can be read") from None
    whole = octets[: octets.rfind(b"\n") + 1]
    rows: Rows = {}
    with many_values():
        for key, row in _parsed(whole, path, fields):
            if key not in rows or rows[key].status == "died":
                rows[key] = row
    return rows


@contextmanager
def many_values() -> Iterator[None]:
    """For making many values that all stay: Python would search them for garbage again and again meanwhile."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.unfreeze()  # what was made is among the old values now, which are looked through last
            gc.enable()


def _parsed(octets: bytes, path: Path, fields: int) -> list[tuple[Key, Row]]:
    lines = octets.count(b"\n")
    with suppress(ValueError, TypeError, KeyError):  # all lines at once, which takes a third of the time
        told = from_json(b"[" + octets[:-1].replace(b"\n", b",") + b"]", allow_inf_nan=False)
        if len(told) == lines:
            return _rows(told, fields)
    found: list[tuple[Key, Row]] = []
    for number, line in enumerate(octets.splitlines(), start=1):
        try:
            found += _rows([from_json(line, allow_inf_nan=False)], fields)
        except (ValueError, TypeError, KeyError):
            raise ScenarioError(f"{path}: line {number}: no result of a run, expected one of this study") from None
    return found


_PARTS = {"point": str, "repeat": int, "seed": int, "status": str, "reason": str, "values": list}


def _rows(told: list[Any], fields: int) -> list[tuple[Key, Row]]:
    """Rows, looked at part by part and not one by one, which takes a quarter of the time.

    Raises:
        ValueError, TypeError, KeyError: one is none.
    """
    if not told:
        return []
    parts = [*zip(*map(itemgetter(*_PARTS), told), strict=True)]
    points, repeats, _, statuses, _, values = parts
    alike = all(set(map(type, part)) == {kind} for part, kind in zip(parts, _PARTS.values(), strict=True))
    if not alike or not STATUSES.issuperset(statuses) or set(map(len, values)) != {fields}:
        raise ValueError("no row")
    return [*zip(zip(points, repeats, strict=True), map(Row._make, zip(*parts[2:], strict=True)), strict=True)]


def _appending(path: Path) -> int:
    """A descriptor that appends to a file of lines, its torn last line cut off."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        size = os.fstat(file).st_size
        end = size
        while end and os.pread(file, 1, end - 1) != b"\n":
            end -= 1
        if end < size:
            os.ftruncate(file, end)
    except BaseException:
        os.close(file)
        raise
    return file


def _append(file: int, told: dict[str, Any], sync: bool) -> None:
    """Append a line whole or not at all."""
    octets = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    size = os.fstat(file).st_size
    try:
        written = 0
        while written < len(octets):
            written += os.write(file, octets[written:])
        if sync:
            os.fsync(file)
    except BaseException:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _unwritable(target: Path, error: OSError) -> ScenarioError:
    told = f"{str(target)!r} given: {error.strerror or error}"
    return ScenarioError(f"--out: {told}, expected a folder that can be written")


def read_points(folder: Path) -> tuple[list[str], list[Sequence[Any]]]:
    """The names of the axes, and of each point its identity and its labels, in the order of the grid.

    Raises:
        ScenarioError: the folder has none.
    """
    path = folder / POINTS
    try:
        told = from_json(path.read_bytes())
        axes, points = list(told["axes"]), list(told["points"])
        if any(len(each) != 3 or len(each[2]) != len(axes) for each in points):
            raise ValueError("no points")
        return axes, points
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = getattr(error, "strerror", None) or "is not of a study"
        raise ScenarioError(f"{path}: {reason}, expected the points of a study") from None
