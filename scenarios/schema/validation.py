"""What pydantic found wrong with a scenario, told in one line: key, value, what was expected."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_MAX_SHOWN = 60
_MAX_NAMED = 10
"""How many places of errors a line names."""

_EXPECTED = {
    "missing": "a value",
    "finite_number": "a finite number",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "none_required": "null",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_pattern_mismatch": "text of the form {pattern}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}


def one_line(
    error: ValidationError, data: Any, model: type[BaseModel], said: Callable[[Path], Path] = lambda path: path
) -> str:
    """The first error as "PATH: GIVEN given, expected EXPECTED", then the places of at most nine others.

    Args:
        error: what `model` said of `data`.
        data: the dicts and lists that were validated.
        model: what they were validated as.
        said: from a path in `data` to the one under which its author said that.
    """
    details = _of_their_own(error.errors(include_url=False))
    distinct: dict[Path, tuple[Path, ErrorDetails]] = {}
    for detail in details:
        path = _path(detail, data)
        distinct.setdefault(said(path), (path, detail))
    name, (path, detail) = next(iter(distinct.items()))
    return _told(_name(name), path, detail, data, model) + _also([*distinct][1:])


def _also(paths: Sequence[Path]) -> str:
    """Where else something is wrong, for the end of a line."""
    if not paths:
        return ""
    named = ", ".join(_name(path) for path in paths[: _MAX_NAMED - 1])
    others = len(paths) - (_MAX_NAMED - 1)
    return f" (also wrong: {named}{f', and {others:,} more' if others > 0 else ''})"


def _name(path: Path) -> str:
    """A path with dots, cut in the middle where it is long."""
    name = ".".join(map(str, path)) or "the scenario"
    return name if len(name) <= 2 * _MAX_SHOWN else f"{name[:_MAX_SHOWN]}...{name[-_MAX_SHOWN:]}"


def constant(model: type[BaseModel], key: str) -> str | None:
    """The value that `model`, or each member of the union that it is, demands at `key`, if it does."""
    schema = model.model_json_schema()
    found = [node.get("properties", {}).get(key, {}) for node in _opened(schema, schema, {})]
    return next((str(node["const"]) for node in found if "const" in node), None)


def _of_their_own(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without complaints that a container is too short because what it held was refused."""

    above = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in above]


def shown(value: Any) -> str:
    """A value as an error shows it: JSON, cut after some sixty characters."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _plain(value: Any) -> Any:
    """A part of a scenario as its author wrote it, not as Python would."""
    return value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else repr(value)


def _told(key: str, path: Path, detail: ErrorDetails, data: Any, model: type[BaseModel]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "wrong":
        return f"{key}: {shown(context['given'])} given, expected {context['expected']}"
    if kind in ("missing", "lacking"):
        expected = context["expected"] if kind == "lacking" else _described(path, data, model)
        return f"{key}: missing required key, expected {expected}"
    if kind in ("union_tag_invalid", "union_tag_not_found") and "'" in context["discriminator"]:
        key = f"{key}.{context['discriminator'].strip(chr(39))}"
        if "tag" not in context:
            return f"{key}: missing required key, expected a value"
        return f"{key}: {shown(context['tag'])} given, expected one of {context['expected_tags']}"
    if kind == "extra_forbidden":
        given = shown(detail["input"])
        known = _neighbours(path, data, model)
        expected = f"one of {', '.join(known)}" if known else "no such key"
        return f"{key}: unknown key, {given} given, expected {expected}{meant(str(path[-1]), known)}"
    return f"{key}: {shown(detail['input'])} given, expected {_expected(detail)}"


def _expected(detail: ErrorDetails) -> str:
    template = _EXPECTED.get(detail["type"])
    if template is not None:
        told = template.format(**detail.get("ctx", {}))
        return told.replace(" 1 entries", " 1 entry")
    message = detail["msg"].removeprefix("Value error, ")
    for start in ("Input should be ", "Value should be ", "expected "):
        message = message.removeprefix(start)
    message = message.replace("\n", " ")
    return message.partition("expected ")[2] or message


def _path(detail: ErrorDetails, data: Any) -> Path:
    """Where the error is in the data: pydantic's own path without the tags of unions."""
    path: list[str | int] = []
    here = data
    loc = detail["loc"]
    for index, step in enumerate(loc):
        below, found = _below(here, step)
        if found:
            here = below
            path.append(step)
        elif index == len(loc) - 1 and detail["type"] == "missing":
            path.append(step)
    if detail["type"] in ("wrong", "lacking"):
        path += [int(part) if part.isdigit() else part for part in detail.get("ctx", {})["key"].split(".")]
    return tuple(path)


def _below(here: Any, step: str | int) -> tuple[Any, bool]:
    if isinstance(here, dict) and step in here:
        return here[step], True
    if isinstance(here, list) and isinstance(step, int) and 0 <= step < len(here):
        return here[step], True
    return None, False


def _neighbours(path: Path, data: Any, model: type[BaseModel]) -> list[str]:
    """The keys that are known where an unknown one was given."""
    known = [name for node in _nodes(path[:-1], data, model) for name in node.get("properties", {})]
    return list(dict.fromkeys(known))


def meant(key: str, known: Sequence[str]) -> str:
    """Which known key is like an unknown one. A long one is like none, and would take long to compare."""
    near = difflib.get_close_matches(key, known, n=1) if len(key) <= _MAX_SHOWN else ()
    return f"; did you mean {near[0]}?" if near and near[0] != key else ""


def preset_named(given: str, known: Iterable[str]) -> str:
    """What is expected where `given` is no preset's name."""
    names = tuple(known)
    return f"a preset: {', '.join(names)}{meant(given, names)}"


def _described(path: Path, data: Any, model: type[BaseModel]) -> str:
    """What a missing key is for, in the words of its field."""
    for node in _nodes(path, data, model):
        if "description" in node:
            return f"a value: {node['description']}".replace("\n", " ")
    return "a value"


def _nodes(path: Path, data: Any, model: type[BaseModel]) -> list[dict[str, Any]]:
    """The nodes of the model's JSON Schema that `path` may lead to, given what the data chose."""
    schema = model.model_json_schema()
    nodes, here = [schema], data
    for step in path:
        opened = [node for start in nodes for node in _opened(start, schema, here)]
        nodes = [below for node in opened for below in _steps(node, step)]
        here = _below(here, step)[0]
    return [node for start in nodes for node in _opened(start, schema, here)]


def _opened(node: dict[str, Any], schema: dict[str, Any], here: Any) -> Iterator[dict[str, Any]]:
    """The node with references followed and unions opened, less the members that the data is not."""
    branches: Sequence[dict[str, Any]] = node.get("oneOf") or node.get("anyOf") or node.get("allOf") or ()
    if "description" in node or not (branches or "$ref" in node):
        consts = {k: v["const"] for k, v in node.get("properties", {}).items() if "const" in v}
        if not isinstance(here, dict) or all(here.get(k, v) == v for k, v in consts.items()):
            yield {**node} if not (branches or "$ref" in node) else {"description": node["description"]}
    if "$ref" in node:
        yield from _opened(schema["$defs"][node["$ref"].rpartition("/")[2]], schema, here)
    for branch in branches:
        yield from _opened(branch, schema, here)


def _steps(node: dict[str, Any], step: str | int) -> Iterator[dict[str, Any]]:
    if isinstance(step, int):
        prefix = node.get("prefixItems", ())
        if step < len(prefix):
            yield prefix[step]
        elif isinstance(node.get("items"), dict):
            yield node["items"]
    elif step in node.get("properties", {}):
        yield node["properties"][step]
    elif isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
    else:
        yield from node.get("patternProperties", {}).values()
