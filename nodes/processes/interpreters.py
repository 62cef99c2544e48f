"""Whether each fiber of a run can be what it is asked to be, found out before anything is started.

A link names an engine, and may name the Python interpreter that its fiber's process is to run in: an
engine with demands of its own (NetSquid: numpy below 2, Python 3.12 at most) is then needed nowhere else.
Such an interpreter needs a ketwire of this version; it is asked once, by a short program of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from ketwire import __version__
from ketwire.channels.engines import engine
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Link, Run

OLDEST_PYTHON = (3, 11)
PATIENCE_S = 60.0
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_OLDEST = ".".join(map(str, OLDEST_PYTHON))
_PROBE = f"""\
import json, sys
told = {{"python": list(sys.version_info[:2])}}
if sys.version_info[:2] >= {OLDEST_PYTHON}:
    try:
        import ketwire, ketwire.nodes.processes.child, ketwire.nodes.processes.fiber
        from ketwire.channels.engines import engine
        told.update(ketwire=ketwire.__version__, lack=engine(sys.argv[1]).lack())
    except ImportError as error:
        told["missing"] = str(error)
print()
print(json.dumps(told))
"""


def environment() -> dict[str, str]:
    """The environment of a child that an interpreter of its own runs."""
    return {**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"}


def command(python: str, *arguments: str) -> list[str]:
    """A command of this interpreter that imports nothing from the working directory."""
    return [python, "-P", *arguments]


def check_fibers(run: Run, inline: bool) -> dict[str, str]:
    """Look whether every fiber has its engine, and an interpreter that can be it.

    Args:
        inline: the fibers are no processes, so that their engines are needed in this one. An
            interpreter that a link names is looked at anyway: a scenario is good or bad in
            every way of running it.

    Returns:
        The interpreter's path by link, for links that name one.

    Raises:
        ScenarioError: "links.I.engine: ..." or "links.I.python: ...", and what was expected.
    """
    found: dict[str, str] = {}
    told: dict[tuple[str, str], str | None] = {}
    for index, link in enumerate(run.links):
        for name in _engines(link):
            if link.python is None or inline:
                lack = None if name == "builtin" else engine(name).lack()
                if lack is not None:
                    raise ScenarioError(
                        f"links.{index}.engine: {name!r} given for {link.name}, expected one that works here: {lack}"
                    )
            if link.python is not None:
                found[link.name] = _path(link.python, index, link.name)
                asked = (found[link.name], name)
                if asked not in told:
                    told[asked] = _fault(*asked)
                if (fault := told[asked]) is not None:
                    raise _refusal(link.python, index, link.name, fault)
    return found


def refuse_interpreters(run: Run) -> None:
    """Refuse links that name an interpreter, where fibers are started by hand.

    Raises:
        ScenarioError: one does.
    """
    for index, link in enumerate(run.links):
        if link.python is not None:
            raise ScenarioError(
                f"links.{index}.python: {link.python!r} given for {link.name}, expected nothing here: a fiber that "
                "is started by hand runs in the interpreter that it is started with"
            )


def _engines(link: Link) -> Iterable[str]:
    return sorted({line.engine for _, _, line in link.directions()})


def _refusal(python: str, index: int, name: str, fault: str) -> ScenarioError:
    return ScenarioError(f"links.{index}.python: {python!r} given for {name}, expected {fault}")


def _path(python: str, index: int, name: str) -> str:
    """The interpreter's path. No link is followed: a venv is found by the path that names it."""
    path = shutil.which(python)
    if path is None:
        raise _refusal(python, index, name, "a Python interpreter that exists and can be started")
    return os.path.abspath(path)


def _fault(path: str, engine_name: str) -> str | None:
    """What is wrong with an interpreter, as what was expected of it; None where nothing is."""
    told = _asked(path, engine_name)
    if isinstance(told, str):
        return told
    version = ".".join(str(part) for part in told["python"])
    if "missing" in told:
        return f"an interpreter that has ketwire {__version__} installed ({told['missing']})"
    if "ketwire" not in told:
        return f"Python {_OLDEST} or later, this one is {version}"
    if told["ketwire"] != __version__:
        return f"an interpreter with ketwire {__version__}, this one has {told['ketwire']}"
    if told["lack"] is not None:
        return f"an interpreter with the engine {engine_name}: {told['lack']}"
    return None


def _asked(path: str, engine_name: str) -> dict[str, Any] | str:
    """What an interpreter says of itself, or what it is expected to be where it says nothing of use."""
    try:
        done = subprocess.run(
            command(path, "-c", _PROBE, engine_name),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, env=environment(), check=False,
        )  # fmt: skip
        told = json.loads(done.stdout.decode("utf-8", "replace").splitlines()[-1])
    except subprocess.TimeoutExpired:
        return f"a Python interpreter that answers within {PATIENCE_S:.0f} s"
    except (OSError, ValueError, IndexError):
        told = None
    whole = isinstance(told, dict) and isinstance(told.get("python"), list)
    return told if whole else f"a Python interpreter, {_OLDEST} or later"
