"""Folders of checkpoints: each is one owner's at a time, and readable by nobody else.

A lock on the folder itself says that its owner lives; it goes with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ketwire.errors import ScenarioError


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


@contextmanager
def own_folder(folder: Path | None) -> Iterator[None]:
    """For a party that is started by hand: its folder, made 0700 where there is none, is its alone meanwhile.

    Raises:
        ScenarioError: it cannot be written, or is somebody else's.
    """
    if folder is None:
        yield
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
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
