"""Deaths and full disks at an exact moment: loaded by the processes of tests that put this folder on PYTHONPATH.

Nothing of ketwire knows of it. What `nodes.checkpoints.archive.write` and whoever tidies up after it ask of the
operating system is counted, from the opening of a file until the next is opened, and at one of these operations the
process (or another) is killed, or told that the disk is full. A write that meets its fate is half done.

    KETWIRE_FAULTS      JSON: a list of {file, at, how, once}: at operation `at` of the writing of `file`, unless
                        the file `once` is there. how: kill, kill-nursery, kill-coordinator, full
    KETWIRE_FAULTS_LOG  a file to which every operation is added, a line each: FILE OPERATION
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from typing import Any

FAULTS: list[dict[str, Any]] = json.loads(os.environ.get("KETWIRE_FAULTS", "[]"))
LOG = os.environ.get("KETWIRE_FAULTS_LOG")
_open, _fsync, _rename, _unlink, _fdopen = os.open, os.fsync, os.rename, os.unlink, os.fdopen


class Window:
    """The file that is being written, and how many operations that has taken so far."""

    file, count = "", 0


def parent_of(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def strike(how: str) -> None:
    if how == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    victims = {"kill": os.getpid, "kill-nursery": os.getppid, "kill-coordinator": lambda: parent_of(os.getppid())}
    os.kill(victims[how](), signal.SIGKILL)


def operation(name: str, half: Callable[[], Any] = lambda: None) -> None:
    """One operation is about to be done; `half` does a part of it."""
    if not Window.file:
        return
    if LOG is not None:
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"{Window.file} {name}\n")
    number, Window.count = Window.count, Window.count + 1
    for fault in FAULTS:
        if (fault["file"], fault["at"]) == (Window.file, number) and not os.path.exists(fault["once"]):
            os.close(_open(fault["once"], os.O_CREAT | os.O_WRONLY, 0o600))
            if fault["how"] in ("kill", "full"):  # whoever lives on writes the whole
                half()
            strike(fault["how"])


def opening(path: Any, *how: Any, **named: Any) -> int:
    name = os.path.basename(os.fspath(path))
    if isinstance(name, str) and name.startswith(".") and name.endswith(".new"):
        Window.file, Window.count = name[1 : -len(".new")], 0
        operation("open")
    elif how and how[0] & os.O_DIRECTORY:
        operation("open folder")
    return _open(path, *how, **named)


def syncing(descriptor: int) -> None:
    operation("fsync")
    _fsync(descriptor)


def renaming(old: Any, new: Any, **named: Any) -> None:
    operation("rename")
    _rename(old, new, **named)


def unlinking(path: Any, **named: Any) -> None:
    operation("unlink")
    _unlink(path, **named)


class Torn:
    """A file whose writes can end in the middle."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, octets: bytes) -> int:
        def half() -> None:
            self._file.write(octets[: len(octets) // 2])
            self._file.flush()

        operation("write", half)
        return int(self._file.write(octets))

    def __enter__(self) -> Torn:
        return self

    def __exit__(self, *raised: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def wrapping(descriptor: int, mode: str = "r", *how: Any, **named: Any) -> Any:
    file = _fdopen(descriptor, mode, *how, **named)
    return Torn(file) if mode == "wb" and Window.file else file


os.open, os.fsync, os.rename, os.unlink, os.fdopen = opening, syncing, renaming, unlinking, wrapping
