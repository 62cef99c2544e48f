"""The modules that a scenario names as `module:Name`: kinds, programs, objectives, functions that return gates.

Such a module is a file of the scenario's folder (FOLDER/module.py, or the package FOLDER/module/), or else one that
Python finds by itself. A file of the folder is loaded by its path, as a part of a package that is made here for that
folder. So nothing is added to sys.path, and no file of the folder takes the place of a module that others import.
The package's name follows from the folder, and is the same in every process of a run.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from ketwire.errors import is_installed

_PREFIX = "scenario_"
_OWN = "ketwire"
"""No file of a folder stands for a module of ours, though it has our name."""


class _Home:
    """Of this process."""

    folder: str | None = None


def settle(folder: str | None) -> None:
    """From now on this process takes modules from `folder` first; None: from no folder."""
    _Home.folder = None if folder is None else os.path.abspath(folder)


def settled() -> str | None:
    """The folder that this process takes modules from first."""
    return _Home.folder


def find(target: str) -> Any:
    """What `module:Name` or `module:Name.part` names. The module is executed, if it is not loaded yet.

    Raises:
        Exception, SystemExit: what the module raises; ModuleNotFoundError or AttributeError where there is
            no such module or name.
    """
    module, _, attribute = target.partition(":")
    found: Any = _imported(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def shown(module: str) -> str:
    """A module's name as a scenario has it."""
    package, _, rest = module.partition(".")
    return rest if package.startswith(_PREFIX) and rest else module


def outside(module: str, folder: str) -> str | None:
    """The file that a module of this name would be loaded from for a scenario in `folder`; nothing is executed.

    Returns:
        Its path; None where it is of this installation, or where there is none.
    """
    top, *rest = module.split(".")
    if top == _OWN:
        return None
    if (file := _file(top, folder)) is not None:
        return _below(file, rest)
    try:
        spec = importlib.util.find_spec(top)  # of a name without dots: imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return None
    return None if is_installed(str(spec.origin)) else _below(str(spec.origin), rest)


def _imported(module: str) -> ModuleType:
    folder, top = _Home.folder, module.partition(".")[0]
    if folder is None or top == _OWN or _file(top, folder) is None:
        return importlib.import_module(module)
    package = _PREFIX + hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    if package not in sys.modules:
        made = ModuleType(package, f"The modules of {folder}.")
        made.__path__ = [folder]
        sys.modules[package] = made
    return importlib.import_module(f"{package}.{module}")


def _below(file: str, rest: list[str]) -> str:
    """The file of a module in the package that `file` begins; `file` itself where there is none."""
    if not rest:
        return file
    return _file(rest[-1], os.path.join(os.path.dirname(file), *rest[:-1])) or file


def _file(top: str, folder: str) -> str | None:
    """The file of a module or package without dots in its name, if the folder has one."""
    if not top.isidentifier():
        return None
    paths = [os.path.join(folder, top, "__init__.py"), os.path.join(folder, f"{top}.py")]  # as Python orders them
    return next((path for path in paths if os.path.isfile(path)), None)
