"""Folders of checkpoints and of sockets: each has one owner at a time, and only its user can read it.

A lock on the folder itself says that its owner lives; it goes with the process, however that ends. So a
temporary folder whose coordinator was killed outright can be told from others, and is removed: by the
children that it leaves behind, or else by the next run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ketwire.errors import ScenarioError

SOCKET_OCTETS = 107
"""Of the path of a socket; the system takes no longer one."""
SHORT = "/tmp"
PREFIX = "ketwire-"
MARKER = "temporary"
DYING_S = 1.0


def lock(folder: Path) -> int | None:
    """A descriptor that holds the folder for us alone; None where somebody else holds it.

    Raises:
        OSError: it is no folder that can be read.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def private(path: str, flags: int) -> int:
    """An opener for `open`: a file that it makes is its owner's alone."""
    return os.open(path, flags, 0o600)


def check_private(folder: Path, what: str) -> None:
    """Refuse a folder that others than its owner may read or write.

    Args:
        what: how the error calls it.

    Raises:
        ScenarioError: they may. OSError: there is none.
    """
    if folder.stat().st_mode & 0o077:
        raise ScenarioError(f"{what}: {folder} is open to other users; expected mode 0700 (chmod 700 {folder})")


@contextmanager
def own_folder(folder: Path | None) -> Iterator[None]:
    """For a party that is started by hand: its folder, made 0700 where there is none, is its alone meanwhile.

    Raises:
        ScenarioError: it cannot be written, is open to other users, or is somebody else's.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        check_private(folder, "--checkpoints")
        held = lock(folder)
        writable = os.access(folder, os.W_OK)
    except OSError as error:
        told = f"--checkpoints: {folder}: {error.strerror}, expected a folder that can be written"
        raise ScenarioError(told) from None
    if held is None:
        raise ScenarioError(f"--checkpoints: {folder} is in use, expected a folder of this party's own")
    try:
        if not writable:
            raise ScenarioError(f"--checkpoints: {folder}: Permission denied, expected a folder that can be written")
        yield
    finally:
        os.close(held)


def temporary_folder(where: str | None = None) -> Path:
    """A new one for what goes with its run; those of runs that were killed go first.

    where: the folder that it is made in; None: the system's folder for temporary files.
    """
    within = tempfile.gettempdir() if where is None else where
    for folder in Path(within).glob(f"{PREFIX}*"):
        discard_stray(folder)
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=within))


@contextmanager
def socket_folder(count: int) -> Iterator[Path]:
    """A folder for the sockets 0 to count - 1 of one run, 0700, which goes with it.

    It is in /tmp where the system's folder for temporary files has too long a path for sockets.

    Raises:
        ScenarioError: there is no folder for temporary files that can be written.
    """
    try:
        within = tempfile.gettempdir()
        longest = os.path.join(within, f"{PREFIX}{'x' * 8}", str(count))
        folder = temporary_folder(within if len(os.fsencode(longest)) <= SOCKET_OCTETS else SHORT)
        held = lock(folder)
        mark_temporary(folder)
    except OSError as error:
        told = f"{error.filename or 'TMPDIR'}: {error.strerror}, expected a folder for temporary files"
        raise ScenarioError(told) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if held is not None:
            os.close(held)


def mark_temporary(folder: Path) -> None:
    """Mark a folder as one to remove once no process holds it. The caller must hold it."""
    (folder / MARKER).touch(mode=0o600)


def discard_stray(folder: Path, patience_s: float = 0.0) -> None:
    """Remove a temporary folder whose owner is dead, and none of which that is not certain.

    It is this user's, 0700, no link, marked as temporary, and no process holds it. Where one does, the
    folder stays; `patience_s` is how long to look, for an owner that is only just dying.
    """
    until_s = time.monotonic() + patience_s
    with suppress(OSError):
        facts = folder.lstat()
        private = stat.S_ISDIR(facts.st_mode) and stat.S_IMODE(facts.st_mode) == 0o700
        if not private or facts.st_uid != os.getuid() or not (folder / MARKER).is_file():
            return
        while (held := lock(folder)) is None and time.monotonic() < until_s:
            time.sleep(0.02)
        if held is None:
            return
        try:
            # Under another name no process adds to it while it is emptied.
            gone = folder.with_name(f"{folder.name}.gone")
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
        finally:
            os.close(held)
