"""What a point is: a hash over its resolved scenario, over what it reads, and over the revision of the physics."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ketwire.modules import outside
from ketwire.nodes.graphs.shelf import set_files
from ketwire.nodes.models import MODELS, model_files
from ketwire.scenarios.foreign import modules
from ketwire.scenarios.load import Loaded

PHYSICS_REVISION = 3
"""Raise it with every change after which a scenario and seed give other results: another transcript, virtual time,
count or estimate. Results of another revision are never mixed with those of this one. A test holds transcripts of each
revision (tests/data/physics_revisions.json) and fails where they change without it. Another default of a key is such a
change, since identities leave defaults out."""

WORDS = ("name", "description")
"""Keys of a scenario that no result depends on."""
_CHUNK = 1 << 20


class Identities:
    """Identities of many points. Each file is read once."""

    def __init__(self) -> None:
        self._files: dict[str, str | None] = {}
        self._modules: dict[str, set[str]] = {}

    def of(self, loaded: Loaded) -> tuple[str, str]:
        """The identity of a point, and a hash over its scenario alone, from which seeds follow.

        Raises:
            OSError: a file that it reads cannot be read.
        """
        # Without defaults, so that a key that is new gives no other seeds to scenarios that lack it.
        named = loaded.scenario.model_dump(mode="json", exclude_defaults=True)
        named["protocol"]["kind"] = loaded.kind_name
        scenario = digest({key: value for key, value in named.items() if key not in WORDS})
        read: dict[str, str | None] = {}
        for path in _paths(named["protocol"], loaded.base):
            read[path] = self._of_file(os.path.join(loaded.base, os.path.expanduser(path)))
        for path in loaded.kind.reads(loaded.scenario.protocol, loaded.base):
            read[os.path.relpath(path, loaded.base)] = self._of_file(path)
        for path in sorted(self._all_modules(named["protocol"], loaded.base)):
            read[f"module {os.path.relpath(path, loaded.base)}"] = self._of_file(path)
        return digest({"scenario": scenario, "reads": read, "revision": PHYSICS_REVISION}), scenario

    def _of_file(self, path: str) -> str | None:
        """Over the content of a file; None where there is none, which the run then refuses."""
        if path not in self._files:
            self._files[path] = _hashed(path) if os.path.isfile(path) else None
        return self._files[path]

    def _all_modules(self, protocol: Mapping[str, Any], base: str) -> set[str]:
        """The files of a user's modules, and of those modules of the user that they import."""
        found: set[str] = set()
        left = modules(protocol, base)
        while left:
            path = left.pop()
            if path not in found:
                found.add(path)
                if path not in self._modules:
                    self._modules[path] = set(_imported(path, base))
                left += self._modules[path]
        return found


def digest(told: Any) -> str:
    """SHA-256 over a value of JSON, keys in alphabetical order."""
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _hashed(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while octets := file.read(_CHUNK):
            found.update(octets)
    return found.hexdigest()


def _paths(protocol: Any, base: str) -> Iterator[str]:
    """The files of all sources below `protocol`: `path`, models of what is `trained`, sets of `graphs`; from `base`."""
    if isinstance(protocol, dict):
        for key, below in protocol.items():
            if key == "path" and isinstance(below, str):
                yield below
            elif key == "trained" and isinstance(below, str):
                for file in model_files(os.path.join(base, os.path.expanduser(below))):
                    yield below if below.endswith(".npz") else os.path.join(below, MODELS, file.name)
            elif key == "graphs" and isinstance(folder := protocol.get("folder"), str):
                for file in set_files(Path(base, os.path.expanduser(folder)), str(below)):
                    yield os.path.relpath(file, base)
            else:
                yield from _paths(below, base)
    elif isinstance(protocol, list):
        for below in protocol:
            yield from _paths(below, base)


def _imported(path: str, base: str) -> Iterator[str]:
    """The files of a user's modules that a module imports, as its text says; nothing is executed."""
    folder = os.path.dirname(path)
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return  # the run says so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            stem = [] if node.module is None else [node.module]
            names = [".".join((*stem, alias.name)) for alias in node.names] + stem
        else:
            continue
        for name in names:
            for place in (folder, base) if name else ():
                if (file := outside(name, place)) is not None and os.path.isfile(file):
                    yield file
