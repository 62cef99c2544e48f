"""Other values for keys of a scenario's data: of the command line, of Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.yamltext import parse


class Change(NamedTuple):
    """Another value for a scenario's dotted key. `where`: how errors call it, the scenario's name before."""

    key: str
    value: Any
    where: str


def as_file(value: Any) -> Any:
    """A value of Python as a file would say it: arrays, tuples and ranges as lists, numbers as Python's."""
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): as_file(below) for key, below in value.items()}
    return [as_file(below) for below in value] if isinstance(value, list | tuple | range) else value


def change_of(change: str, origin: str) -> Change:
    """A change of the command line, KEY=VALUE, its value in YAML.

    Raises:
        ScenarioError: it has another form.
    """
    key, equals, text = change.partition("=")
    where = f"{origin}: --set {key}"
    if not equals or not all(key.split(".")):
        raise ScenarioError(f"{origin}: --set {change!r} given, expected KEY=VALUE with a dotted key")
    return Change(key, parse(text, where) if text.strip() else None, where)


def set_value(data: dict[str, Any], change: Change) -> None:
    """Change one value of a scenario's data in place.

    A key that is not there is set all the same, since it may have a default; the schema refuses
    those that it does not know. A key that leads a source (path, values, random, dataset) replaces
    a source of another form, as none has both.

    Raises:
        ScenarioError: its key leads nowhere.
    """
    steps, where = change.key.split("."), change.where
    here: Any = data
    for done, step in enumerate(steps):
        last = done == len(steps) - 1
        at = ".".join(steps[:done]) or "the scenario"
        if isinstance(here, list):
            here = _set_item(here, _index(here, step, at, where), change.value, last)
        elif isinstance(here, dict):
            here = _set_item(here, step, change.value, last)
        else:
            raise ScenarioError(f"{where}: {step!r} given, but {at} is {here!r}, expected a key that exists")


def _set_item(here: Any, step: str | int, value: Any, last: bool) -> Any:
    """Put the value where the path ends; otherwise go one step down, into a new mapping if need be."""
    if last:
        if isinstance(here, dict) and _replaces_source(here, str(step)):
            here.clear()
        here[step] = value
    elif isinstance(here, dict) and here.get(str(step)) is None:
        here[step] = {}
    return here[step]


def _replaces_source(here: dict[str, Any], key: str) -> bool:
    from ketwire.scenarios.schema.sources import is_other_source  # noqa: PLC0415

    return is_other_source(here, key)


def _index(here: list[Any], step: str, at: str, where: str) -> int:
    if re.fullmatch("[0-9]{1,6}", step) and int(step) < len(here):
        return int(step)
    expected = f"an index from 0 to {len(here) - 1}" if here else "no index, the list is empty"
    raise ScenarioError(f"{where}: {step!r} given for the list {at}, expected {expected}")
