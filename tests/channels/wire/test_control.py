"""JSON bodies are strict: exact keys, exact types, no JSON that two parsers could read in two ways."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import decode, encode
from ketwire.channels.wire.control import SCHEMAS
from ketwire.channels.wire.refusals import MalformedHeader, OversizedFrame
from ketwire.errors import RemoteProtocolError

PLACE: dict[str, Any] = {"run": bytes(16), "session": 0, "sequence": 0, "digest": False}
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=100)
GOOD: dict[f.Command, Any] = {
    f.Command.JOIN: f.Join("alice", "node", "1", 5),
    f.Command.JOB: f.Job({"a": 1}),
    f.Command.READY: f.Ready(None, {}),
    f.Command.START: f.Start(1, {}),
    f.Command.DONE: f.Done(1, 5, {}),
    f.Command.PROGRESS: f.Progress(1, 2, 3, "x", 4, "y"),
    f.Command.BLOCKED: f.Blocked(1, "receive", "bob", {"bob": 1}, {}, {}),
    f.Command.FAILED: f.Failed("Oops", "x"),
    f.Command.END: f.End(1),
    f.Command.SUMMARY: f.Summary(1, {}),
    f.Command.STOP: f.Stop("x"),
    f.Command.PING: f.Ping(),
    f.Command.SAVED: f.Saved(1, 2, "0" * 64),
    f.Command.COMMIT: f.Commit(1, 2),
}


def told(command: f.Command, text: str | bytes) -> Any:
    """Decode a command whose JSON body is `text`."""
    body = text.encode() if isinstance(text, str) else text
    prelude = bytes(encode(GOOD[command], **PLACE)[0])
    return decode([prelude, struct.pack("<I", len(body)) + body])[1]


def body_of(command: f.Command) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(bytes(encode(GOOD[command], **PLACE)[1])[4:])
    return value


def test_every_control_command_is_in_the_table() -> None:
    assert set(SCHEMAS) == set(GOOD) == {command for command in f.Command if command >= 0x41}


@pytest.mark.parametrize("command", list(GOOD), ids=lambda command: command.name)
def test_missing_unknown_and_mistyped_keys_are_refused(command: f.Command) -> None:
    good = body_of(command)
    told(command, json.dumps(good))
    for key in good:
        with pytest.raises(MalformedHeader):
            told(command, json.dumps({k: v for k, v in good.items() if k != key}))
        for value in (1.0, True, [[]], -1, "\n" if key not in ("message", "label") else 0, {"\t": 0.5}):
            if isinstance(value, dict) and isinstance(good[key], dict) and command is not f.Command.BLOCKED:
                continue
            if value == "\n" and key in ("reason", "on", "peer", "address", "fault", "found"):
                continue
            with pytest.raises(MalformedHeader):
                told(command, json.dumps(good | {key: value}))
    with pytest.raises(MalformedHeader):
        told(command, json.dumps(good | {"extra": 1}))


@pytest.mark.parametrize(
    "job",
    [
        '{"a":1,"a":2}',
        '{"b":{"a":1,"a":1}}',
        '{"a":NaN}',
        '{"a":-Infinity}',
        '{"a":1e999}',
        '{"a":18446744073709551616}',
        '{"a":-9223372036854775809}',
        '{"a":' + "9" * 5000 + "}",
        '{"a":"\\ud800"}',
        '{"\\udfff":1}',
        '{"a":1,}',
        "{'a':1}",
        '{"a":01}',
        '{"a":"\t"}',
        "[]",
        "{}}",
        "{",
        "",
    ],
)
def test_what_is_not_strict_json_is_refused(job: str) -> None:
    with pytest.raises(MalformedHeader):
        told(f.Command.JOB, f'{{"job":{job},"arrays":[]}}')


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, " " * 64])
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(MalformedHeader):
        told(f.Command.SAVED, json.dumps({"session": 1, "step": 2, "sha256": digest, "fault": None}))


def test_octets_that_are_not_utf8_are_refused() -> None:
    for octets in (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80"):
        with pytest.raises(MalformedHeader):
            told(f.Command.STOP, b'{"reason":"' + octets + b'"}')
    with pytest.raises(MalformedHeader):
        told(f.Command.STOP, b'\xef\xbb\xbf{"reason":""}')


def nested(depth: int) -> str:
    return f'{{"job":{{"a":{"[" * (depth - 2)}{"]" * (depth - 2)}}},"arrays":[]}}'


def test_nesting_is_bounded() -> None:
    told(f.Command.JOB, nested(16))
    for depth in (17, 18, 500, 200_000):
        with pytest.raises(OversizedFrame):
            told(f.Command.JOB, nested(depth))


def test_size_of_json_is_bounded_before_it_is_parsed() -> None:
    frames = [bytes(frame) for frame in encode(GOOD[f.Command.STOP], **PLACE)]
    with pytest.raises(OversizedFrame):
        decode([frames[0], struct.pack("<I", (1 << 22) + 1) + frames[1][4:]])


def test_names_and_arrays_must_match() -> None:
    for names in ('["x"]', '["x","x"]', '[""]', "[1]"):
        with pytest.raises(MalformedHeader):
            told(f.Command.JOB, f'{{"job":{{}},"arrays":{names}}}')


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@QUICK
@given(value=st.dictionaries(st.text(max_size=4), VALUES, max_size=5))
def test_any_bounded_object_arrives(value: dict[str, Any]) -> None:
    _, frame = decode(encode(f.Summary(3, value), **PLACE))
    assert isinstance(frame, f.Summary) and frame.summary == value
    assert repr(sorted(frame.summary)) == repr(sorted(value))


@QUICK
@given(text=st.text(alphabet='{}[]",:0123456789.eE+-\\untrfalsd \n', max_size=40))
def test_any_text_is_refused_by_name_or_understood(text: str) -> None:
    try:
        told(f.Command.END, text)
    except RemoteProtocolError as error:
        assert type(error) is not RemoteProtocolError
