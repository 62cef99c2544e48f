"""YAML, the strict part of it that scenario files use.

Scalars follow the YAML 1.2 core schema (`no` is a string, `1e7` a number). Refused, each with one
line: duplicate keys, keys that are not strings, tags, merge keys (`<<`), several documents, nesting
beyond 64 levels, texts above 8 MiB, and aliases that stand for more than 1 MiB. The events come from
libyaml where it is there; what they mean is decided here, so no constructor of PyYAML ever runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ketwire.errors import ScenarioError

MAX_OCTETS = 8 << 20  # a scenario of ten thousand nodes, all its numbers written out
MAX_ALIASED_OCTETS = 1 << 20
MAX_DEPTH = 64
_MERGE = "<<"  # a key that merges mappings in YAML 1.1, where it is not quoted
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep, expected fewer"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_MAX_DIGITS = 4000  # int() refuses more than 4300 by default


def parse(text: str, origin: str) -> Any:
    """The value of one YAML document: dicts, lists, strings, numbers, booleans and None.

    Args:
        text: the document.
        origin: what errors call it, the file's name as a rule.

    Raises:
        ScenarioError: one line with origin, line number and what was expected.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_OCTETS:
        raise ScenarioError(f"{origin}: more than {MAX_OCTETS} octets given, expected at most 8 MiB of YAML")
    try:
        events = _events(text, origin)
        value = _Reader(events, origin).value(next(events), 1)
        if not isinstance(next(events), yaml.DocumentEndEvent) or not isinstance(
            following := next(events), yaml.StreamEndEvent
        ):
            raise ScenarioError(f"{origin}: line {_line(following)}: a second document, expected one")
    except yaml.YAMLError as error:
        raise ScenarioError(f"{origin}: {_told(error)}") from None
    except UnicodeError:
        raise ScenarioError(f"{origin}: characters that no text has given, expected UTF-8") from None
    return value


def read(path: Path, origin: str, what: str = "scenario file") -> str:
    """The text of a YAML file, at most 8 MiB; errors call it `origin`, and what it should be `what`.

    Raises:
        ScenarioError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ScenarioError(f"{origin}: {told}, expected a {what} that can be read") from None
    if len(octets) > MAX_OCTETS:
        raise ScenarioError(f"{origin}: more than {MAX_OCTETS} octets given, expected at most 8 MiB of YAML")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{origin}: octet {error.start} is no text, expected UTF-8") from None


def dump(value: Any) -> str:
    """The YAML text of a value, keys in their own order; `parse` reads it back to the same value."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return text


class _Dumper(_DUMPER):  # type: ignore[misc]
    """Quotes each string that would be read back as something else, and names nothing twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_str(dumper: Any, text: str) -> Any:
    style = None if _scalar(text) == text and text != _MERGE else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_str)


def _events(text: str, origin: str) -> Iterator[Any]:
    """The events of the text's document, stream and document start taken off."""
    events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
    next(events)
    if isinstance(next(events), yaml.StreamEndEvent):
        raise ScenarioError(f"{origin}: nothing in it, expected a YAML document")
    return events


class _Reader:
    """Makes values of the events of one document. An alias becomes a copy of what its anchor names."""

    def __init__(self, events: Iterator[Any], origin: str) -> None:
        self._events = events
        self._origin = origin
        self._anchored: dict[str, Any] = {}
        self._left = MAX_ALIASED_OCTETS

    def value(self, event: Any, depth: int) -> Any:
        """The value that begins with `event`, at most MAX_DEPTH levels deep."""
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, depth)
        if event.tag is not None and event.tag != "!":
            raise self._refused(event, f"tag {event.tag} given, expected a plain value")
        if depth > MAX_DEPTH:
            raise self._refused(event, _TOO_DEEP)
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event.value) if event.implicit[0] else event.value
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.value(item, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        else:
            value = self._mapping(depth)
        if event.anchor is not None:
            self._anchored[event.anchor] = value
        return value

    def _aliased(self, event: Any, depth: int) -> Any:
        if event.anchor not in self._anchored:
            raise self._refused(event, f"alias *{event.anchor} given, expected &{event.anchor} before it")
        value = self._anchored[event.anchor]
        height, octets = _measured(value)
        if depth + height - 1 > MAX_DEPTH:
            raise self._refused(event, _TOO_DEEP)
        self._left -= octets
        if self._left < 0:
            raise self._refused(
                event, f"alias *{event.anchor} given, expected aliases that stand for at most 1 MiB of YAML in all"
            )
        return _copied(value)

    def _mapping(self, depth: int) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self.value(event, depth + 1)
            if not isinstance(key, str):
                shown = key if isinstance(key, int | float | bool | None) else type(key).__name__
                raise self._refused(event, f"key {shown} given, expected a string")
            if key == _MERGE and getattr(event, "implicit", (False,))[0]:
                raise self._refused(event, "merge key << given, expected the keys that it stands for")
            if key in mapping:
                raise self._refused(event, f"key {key!r} given twice, expected once")
            mapping[key] = self.value(next(self._events), depth + 1)
        return mapping

    def _until(self, end: type) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield event

    def _refused(self, event: Any, told: str) -> ScenarioError:
        return ScenarioError(f"{self._origin}: line {_line(event)}: {told}")


def _measured(value: Any) -> tuple[int, int]:
    """Levels of a value, itself included, and how many octets it would take written out, about."""
    if isinstance(value, dict):
        below = [_measured(each) for each in value.values()]
        octets = sum(len(key) + 2 for key in value)
    elif isinstance(value, list):
        below, octets = [_measured(each) for each in value], 2
    else:
        return 1, len(str(value)) + 1
    return 1 + max((height for height, _ in below), default=0), octets + sum(size for _, size in below)


def _copied(value: Any) -> Any:
    """A copy, so that a change of one (--set) is none of the other."""
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _scalar(text: str) -> Any:
    """What a plain scalar means in the core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text)
        if _HEX.fullmatch(text):
            return int(text, 16)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def _line(event: Any) -> int:
    line: int = event.start_mark.line + 1
    return line


def _told(error: yaml.YAMLError) -> str:
    """PyYAML's complaint in one line."""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: {problem}, expected YAML" if mark else f"{problem}, expected YAML"
