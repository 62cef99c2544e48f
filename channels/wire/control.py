"""JSON bodies of the control plane: strict in, canonical out (docs/wire.md, section 4.2).

One table, `SCHEMAS`, says which keys a command has and what each may hold; the keys are the fields of
its dataclass. A message that the table does not name is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from struct import Struct
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.wire.frames import (
    Blocked,
    Command,
    Commit,
    ControlFrame,
    Done,
    End,
    Failed,
    Job,
    Join,
    Json,
    Limits,
    Ping,
    Progress,
    Ready,
    Saved,
    Start,
    Stop,
    Summary,
)
from ketwire.channels.wire.refusals import MalformedHeader, OversizedFrame, TruncatedFrame
from ketwire.errors import KetwireError, LocalProtocolError

SIZE = Struct("<I")
_INT_MIN, _INT_END = -(1 << 63), 1 << 64
_COUNT_END = 1 << 62

Check = Callable[[Any, Limits], bool]


def _u32(value: Any, _: Limits) -> bool:
    return type(value) is int and 0 <= value <= 0xFFFFFFFF


def _count(value: Any, _: Limits) -> bool:
    return type(value) is int and 0 <= value < _COUNT_END


def is_name(value: Any, limits: Limits) -> bool:
    """Printable text that is not empty and within the limit."""
    return type(value) is str and value.isprintable() and 0 < len(value.encode()) <= limits.max_name_octets


def _text(value: Any, limits: Limits) -> bool:
    return type(value) is str and len(value.encode()) <= limits.max_text_octets


def _text_or_null(value: Any, limits: Limits) -> bool:
    return value is None or _text(value, limits)


def _digest(value: Any, _: Limits) -> bool:
    return type(value) is str and len(value) == 64 and not set(value) - set("0123456789abcdef")


def _object(value: Any, _: Limits) -> bool:
    return type(value) is dict


def _counts(value: Any, limits: Limits) -> bool:
    return type(value) is dict and all(is_name(k, limits) and _count(v, limits) for k, v in value.items())


def _names(value: Any, limits: Limits) -> bool:
    return type(value) is list and all(is_name(v, limits) for v in value) and len(set(value)) == len(value)


SCHEMAS: dict[Command, tuple[type[Any], dict[str, Check]]] = {
    Command.JOIN: (Join, {"name": is_name, "role": is_name, "version": is_name, "pid": _u32}),
    Command.JOB: (Job, {"job": _object, "arrays": _names}),
    Command.READY: (Ready, {"address": _text_or_null, "shapes": _object}),
    Command.START: (Start, {"session": _u32, "addresses": _object}),
    Command.DONE: (Done, {"session": _u32, "clock_ps": _count, "result": _object, "arrays": _names}),
    Command.PROGRESS: (
        Progress,
        {"session": _u32, "done": _count, "total": _count, "label": _text}
        | {"clock_ps": _count, "found": _text},
    ),
    Command.BLOCKED: (
        Blocked,
        {"session": _u32, "on": _text, "peer": _text}
        | {"sent": _counts, "received": _counts, "acknowledged": _counts},
    ),
    Command.FAILED: (Failed, {"kind": is_name, "message": _text}),
    Command.END: (End, {"session": _u32}),
    Command.SUMMARY: (Summary, {"session": _u32, "summary": _object}),
    Command.STOP: (Stop, {"reason": _text}),
    Command.PING: (Ping, {}),
    Command.SAVED: (Saved, {"session": _u32, "step": _count, "sha256": _digest, "fault": _text_or_null}),
    Command.COMMIT: (Commit, {"session": _u32, "step": _count}),
}
_CLIPPED = {
    (Command.FAILED, "message"), (Command.STOP, "reason"), (Command.PROGRESS, "label"), (Command.PROGRESS, "found"),
}  # fmt: skip


def clip(text: str, limits: Limits) -> str:
    """The end of `text` that fits: the last line of an error says what happened."""
    octets = text.encode(errors="replace")
    return octets[-limits.max_text_octets :].decode(errors="ignore") if octets else ""


def write_control(command: Command, frame: ControlFrame, limits: Limits) -> tuple[bytes, list[NDArray[Any]]]:
    """A control command as its JSON body and its arrays.

    Raises:
        LocalProtocolError: the command does not keep to its schema.
    """
    kind, schema = SCHEMAS[command]
    assert type(frame) is kind
    value = {key: getattr(frame, key) for key in schema}
    arrays: list[NDArray[Any]] = []
    if isinstance(frame, Job | Done):
        value["arrays"] = list(frame.arrays)
        arrays = [np.asarray(array) for array in frame.arrays.values()]
        if any(array.ndim > limits.max_dimensions for array in arrays):
            raise LocalProtocolError(f"an array of more than {limits.max_dimensions} dimensions")
    for key in schema:
        if (command, key) in _CLIPPED and type(value[key]) is str:
            value[key] = clip(value[key], limits)
    _check_value(value, limits, LocalProtocolError)
    _check_schema(command, value, limits, LocalProtocolError)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError) as error:
        raise LocalProtocolError(f"{command.name} does not go into JSON: {error}") from None
    body = text.encode()
    if len(body) > limits.max_json_octets:
        raise LocalProtocolError(f"JSON of {len(body)} octets, at most {limits.max_json_octets} travel")
    return SIZE.pack(len(body)) + body, arrays


def control_size(header: bytes, limits: Limits) -> int:
    """Octets of the body at the head of `header`."""
    if len(header) < SIZE.size:
        raise TruncatedFrame("the header ends before the size of its JSON body")
    (size,) = SIZE.unpack_from(header)
    if size > limits.max_json_octets:
        raise OversizedFrame(f"a JSON body of {size} octets, at most {limits.max_json_octets} are taken")
    if len(header) < SIZE.size + size:
        raise TruncatedFrame("the header ends inside of its JSON body")
    return SIZE.size + int(size)


def read_control(command: Command, body: bytes, arrays: list[NDArray[Any]], limits: Limits) -> ControlFrame:
    """A control command from its body (with the size before it) and its arrays.

    Raises:
        RemoteProtocolError: the body is not strict JSON, or not of the command's schema.
    """
    value = _parse(body[SIZE.size :], limits)
    _check_schema(command, value, limits, MalformedHeader)
    names = value.pop("arrays", [])
    if len(names) != len(arrays):
        raise MalformedHeader(f"{len(names)} names for {len(arrays)} arrays")
    kind, _ = SCHEMAS[command]
    if "arrays" in SCHEMAS[command][1]:
        value["arrays"] = dict(zip(names, arrays, strict=True))
    frame: ControlFrame = kind(**value)
    return frame


def _parse(octets: bytes, limits: Limits) -> Json:
    try:
        value = json.loads(
            octets.decode(),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise OversizedFrame("JSON nested too deep") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are kinds of it
        raise MalformedHeader(f"not strict JSON: {error}") from None
    _check_value(value, limits, MalformedHeader)
    if type(value) is not dict:
        raise MalformedHeader("a JSON body that is not an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise MalformedHeader("a JSON object with a key given twice")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedHeader(f"{name} is not JSON")


def _check_value(value: Any, limits: Limits, fault: type[KetwireError]) -> None:
    """Every scalar in bounds and the nesting within its limit; level by level, so it cannot recurse."""
    level: list[Any] = [value]
    for _ in range(limits.max_json_depth):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                for key in item:
                    if type(key) is not str:
                        raise fault(f"the JSON key {key!r} is not text")
                inner.extend(item)
                inner.extend(item.values())
            elif isinstance(item, list | tuple):
                inner.extend(item)
            else:
                _check_scalar(item, fault)
        if not inner:
            return
        level = inner
    if any(isinstance(item, dict | list | tuple) for item in level):
        raise (OversizedFrame if fault is MalformedHeader else fault)(
            f"JSON nested deeper than {limits.max_json_depth}"
        )
    for item in level:
        _check_scalar(item, fault)


def _check_scalar(item: Any, fault: type[KetwireError]) -> None:
    if isinstance(item, str):
        try:
            item.isascii() or item.encode()
        except UnicodeEncodeError:
            raise fault("JSON text with half of a surrogate pair") from None
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise fault("a JSON number that is not finite")
    elif isinstance(item, int):
        if not _INT_MIN <= item < _INT_END:
            raise fault("a JSON integer outside of -2^63 .. 2^64 - 1")
    elif item is not None:
        raise fault(f"{type(item).__name__} does not go into JSON")


def _check_schema(command: Command, value: Json, limits: Limits, fault: type[KetwireError]) -> None:
    _, schema = SCHEMAS[command]
    if value.keys() != schema.keys():
        raise fault(f"{command.name} has the keys {sorted(schema)}, not {sorted(value)}")
    for key, check in schema.items():
        if not check(value[key], limits):
            kind = check.__name__.removeprefix("is").strip("_").replace("_", " ")
            raise fault(f"{command.name}.{key} is not a {kind}, or out of bounds")
