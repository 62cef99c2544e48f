"""What differs between two run folders: inputs by dotted key, costs and latency by session and direction."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.units import time_text
from ketwire.scenarios.runs.reading import read_run
from ketwire.scenarios.schema.yamltext import parse, read

Flat = Mapping[str, Any]
COSTS = ("qubits_sent", "qubits_delivered", "ebits", "payload_bits", "control_bits", "copies", "messages")
TIMES = ("virtual_time_ps", "links_idle_ps")
MISSING = "(missing)"
NOT_FOUND = (*COSTS, *TIMES, "scenario", "seed", "workload_seed", "protocol", "epsilon", "delta", "promise",
             "transcript_sha256", "sessions", "rivals", "latency", "afterwards_failed", "wall_s")  # fmt: skip
"""Of a result what is no finding: other parts of the comparison show it, or it is of the machine."""
MOST_CHARACTERS = 80
"""Of a value."""
SHARED = 40
"""Characters that two long texts may both begin with before what they share is left out."""


def difference_lines(first: Path, second: Path) -> list[str]:
    """What differs, old and new; one line where nothing does.

    Raises:
        ScenarioError: one is no folder of a finished run.
    """
    before, after = read_run(first), read_run(second)
    parts = {
        "inputs": _differing(_inputs(first), _inputs(second)),
        "cost": _changed(_costs(before), _costs(after)),
        "latency": _changed(_times(before), _times(after)),
        "found": _differing(_found(before), _found(after)),
    }
    lines = [f"{first} -> {second}"]
    for name, told in parts.items():
        found = list(told)
        lines += [f"{name}:", *(f"  {line}" for line in found)] if found else [f"{name}: the same"]
    same = _transcripts(before) == _transcripts(after)
    return [*lines, f"transcripts: {'the same' if same else 'different'}"]


def _inputs(run: Path) -> Flat:
    """The resolved scenario, by dotted key."""
    file = run / "scenario.yaml"
    told = parse(read(file, str(file)), str(file))
    if not isinstance(told, dict):
        raise ScenarioError(f"{file}: no scenario, expected the folder of a finished run")
    return dict(_flat(told))


def _found(result: Mapping[str, Any]) -> Flat:
    """What was found, by dotted key, whatever the kind calls it. Lists of mappings are tables of details."""
    told = {key: value for key, value in result.items() if key not in NOT_FOUND}
    return {key: value for key, value in _flat(told) if not key.endswith(".wall_s")}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Mappings, and lists of mappings, entry by entry; numbers in a list are one value."""
    if isinstance(value, dict) and value:
        for name, below in value.items():
            yield from _flat(below, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        for place, below in enumerate(value):
            yield from _flat(below, f"{key}.{place}")
    else:
        yield key, value


def _differing(before: Flat, after: Flat) -> Iterator[str]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key, MISSING), after.get(key, MISSING)
        if old != new or type(old) is not type(new):
            yield f"{key}: {' -> '.join(_shortened(_text(old), _text(new)))}"


def _text(value: Any) -> str:
    """A value in one line, as YAML and JSON spell it."""
    return " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())


def _shortened(old: str, new: str) -> Iterator[str]:
    """Two texts; long ones from the word on in which they differ."""
    unlike = (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1])
    shared = old[: next(unlike, min(len(old), len(new)))]
    cut = shared.rfind(" ") + 1 if len(shared) > SHARED and max(len(old), len(new)) > MOST_CHARACTERS else 0
    for text in (old, new):
        rest = f"...{text[cut:]}" if cut else text
        if len(rest) > MOST_CHARACTERS:  # numbers are shown whole or not at all
            rest = rest[: MOST_CHARACTERS - 3]
            rest = f"{rest[: rest.rfind(' ') + 1] or rest}..."
        yield rest


def _costs(result: Mapping[str, Any]) -> dict[str, int]:
    """What each session cost, and each direction in it."""
    found: dict[str, int] = {}
    for session in result["sessions"]:
        for where, counts in (("", session), *session["directions"].items()):
            name = " ".join(filter(None, (session["name"], where)))
            found |= {f"{name}: {key}": counts[key] for key in COSTS if key in counts}
    return found


def _times(result: Mapping[str, Any]) -> dict[str, int]:
    """When each session had its result and its links were idle; where it was asked for, the time by cause."""
    found = {f"{each['name']}: {key}": each[key] for each in result["sessions"] for key in TIMES}
    for each in (result.get("latency") or {}).get("path", ()):
        for key in (f"critical path, {each['cause']}", f"critical path, {each['cause']} at {each['where']}"):
            found[f"{key}_ps"] = found.get(f"{key}_ps", 0) + each["to_ps"] - each["from_ps"]
    return found


def _changed(before: Mapping[str, int], after: Mapping[str, int]) -> Iterator[str]:
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old != new:
            told = (MISSING if each is None else _number(key, each) for each in (old, new))
            share = f" ({100 * (new - old) / old:+.1f} %)" if old and new is not None else ""
            yield f"{key.removesuffix('_ps')}: {' -> '.join(told)}{share}"


def _number(key: str, value: int) -> str:
    return time_text(value) if key.endswith("_ps") else f"{value:,}"


def _transcripts(result: Mapping[str, Any]) -> dict[str, str]:
    return {each["name"]: each["transcript_sha256"] for each in result["sessions"]}
