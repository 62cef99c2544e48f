"""The command that runs something again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.load import look, packaged

if TYPE_CHECKING:
    from ketwire.scenarios.load import Read

MOST_CHANGES = 8
"""Keys that a command sets, up to which it names a packaged scenario."""


def command(read: Read, options: tuple[str, ...] = ()) -> tuple[str, bool]:
    """What to type, and whether that takes the scenario as a file: no packaged one says the same.

    Args:
        read: the scenario. options: beside it, `--check` say.
    """
    if (changes := packaged_changes(read)) is None:
        return shlex.join(["ketwire", "run", f"{file_stem(read.name)}.yaml", *options]), True
    return shlex.join(["ketwire", "run", read.name, *changes, *options]), False


def file_stem(name: str) -> str:
    """A name as that of a file: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "scenario"


def packaged_changes(read: Read) -> list[str] | None:
    """The options that make the packaged scenario of this name say the same; None where a few cannot."""
    if read.name not in packaged():
        return None
    there = look(read.name)
    ours, theirs = (dict(_leaves(each.scenario.model_dump(mode="json"))) for each in (read, there))
    changed = [key for key in ours.keys() | theirs.keys() if key != "name" and ours.get(key) != theirs.get(key)]
    if len(changed) > MOST_CHANGES or any(key not in ours for key in changed):
        return None
    sets = [f"{key}={json.dumps(ours[key])}" for key in sorted(changed) if key != "seed"]
    seed = ["--seed", str(ours["seed"])] if "seed" in changed else []
    try:
        same = look(read.name, sets, read.scenario.seed).resolved() == read.resolved()
    except ScenarioError:  # a key that can be read and not set, say
        return None
    return [*(part for each in sets for part in ("--set", each)), *seed] if same else None


def files_of(scenario: Mapping[str, Any]) -> list[str]:
    """The files that a resolved scenario reads, as it names them."""
    named = (str(value) for key, value in _leaves(scenario) if key.rpartition(".")[2] in ("path", "trained") and value)
    return list(dict.fromkeys(named))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no mapping and no list with something in it, by its dotted key."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for below, each in items:
            yield from _leaves(each, f"{key}.{below}" if key else str(below))
    else:
        yield key, value
