"""What `ketwire doctor` looks at: whether this installation can run scenarios, and why not."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from ketwire.nodes.processes.interpreters import OLDEST_PYTHON
from ketwire.scenarios.kinds.interface import find_kind, kind_names
from ketwire.scenarios.load import packaged

NEEDED = ("numpy", "pyzmq", "pydantic", "pyyaml", "typer", "rich", "threadpoolctl")
OPTIONAL = ("numba", "scikit-learn")
PACKAGES = ("quantum", "channels", "protocols", "nodes", "scenarios", "scenarios.packaged")


class Finding(NamedTuple):
    """One thing looked at. `ok` is None where it is only told, not judged."""

    what: str
    ok: bool | None
    told: str


def findings() -> Iterator[Finding]:
    """Look at everything, one after another."""
    yield Finding("python", sys.version_info[:2] >= OLDEST_PYTHON, platform.python_version())
    yield from (_version(name, needed=True) for name in NEEDED)
    yield from (_version(name, needed=False) for name in OPTIONAL)
    yield from (_package(name) for name in PACKAGES)
    yield _tried("CURVE", _curve)
    yield _tried("loopback", _loopback)
    yield from (_tried(f"kind {name}", partial(_kind, name)) for name in kind_names())
    count = len(packaged())
    yield Finding("scenarios", count > 0, f"{count} packaged")
    yield Finding("cores", None, str(_cores()))


def _version(name: str, needed: bool) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False if needed else None, f"not installed (pip install {name})")


def _package(name: str) -> Finding:
    try:
        found = importlib.util.find_spec(f"ketwire.{name}") is not None
    except ImportError:
        found = False
    missing = "missing; a checkout needs its symbolic links (git config core.symlinks true)"
    return Finding(f"ketwire.{name}", found, "there" if found else missing)


def _tried(what: str, trial: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, trial())
    except Exception as error:
        return Finding(what, False, (str(error) or type(error).__name__).splitlines()[0])


def _curve() -> str:
    import zmq  # noqa: PLC0415

    if not zmq.has("curve"):
        raise RuntimeError("this libzmq has none; runs need --plaintext")
    zmq.curve_keypair()
    return f"libzmq {zmq.zmq_version()}"


def _loopback() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1)
        with socket.create_connection(listening.getsockname(), timeout=2):
            return "127.0.0.1 connects"


def _kind(name: str) -> str:
    kind = find_kind(name)
    return f"{type(kind).__module__}:{type(kind).__qualname__}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
