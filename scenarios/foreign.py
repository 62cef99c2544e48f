"""What a scenario executes that is not of this installation, found without executing any of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ketwire.modules import outside
from ketwire.scenarios.schema.links import interpreter

_KEYS = ("kind", "callable", "loss")
"""Under which a protocol names a module."""


def foreign(data: Mapping[str, Any], base: str) -> list[str]:
    """Each interpreter and module with the key that names it, such as "/home/me/coin.py (protocol.kind)".

    Args:
        data: what a scenario says, unchecked.
        base: the scenario's folder.
    """
    return [f"{path} ({key})" for key, path in (*_interpreters(data.get("links"), base), *_modules(data, base))]


def _interpreters(links: Any, base: str) -> Iterator[tuple[str, str]]:
    for index, link in enumerate(links if isinstance(links, list) else ()):
        python = link.get("python") if isinstance(link, dict) else None
        if isinstance(python, str):
            path = interpreter(python, base)
            path = shutil.which(path) or path
            if path != sys.executable:
                yield f"links.{index}.python", path


def modules(protocol: Mapping[str, Any], base: str) -> list[str]:
    """The files of the modules that a protocol names and that are not of this installation."""
    return [path for _, path in _modules({"protocol": protocol}, base)]


def _modules(data: Mapping[str, Any], base: str) -> Iterator[tuple[str, str]]:
    told = set()
    for key, target in _targets("protocol", data.get("protocol")):
        path = outside(target.partition(":")[0], os.path.abspath(base))
        if path is not None and path not in told:
            told.add(path)
            yield key, path


def _targets(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every `module:Name` below `value`, with its key."""
    if isinstance(value, dict):
        for name, below in value.items():
            if name in _KEYS and isinstance(below, str) and ":" in below:
                yield f"{key}.{name}", below
            else:
                yield from _targets(f"{key}.{name}", below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _targets(f"{key}.{index}", below)
