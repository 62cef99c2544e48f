"""Packed bodies without arrays: HELLO, WELCOME, READ, CREDIT, REFUSED, MARK (docs/wire.md, section 4.1)."""

from __future__ import annotations

from struct import Struct

from ketwire.channels.wire.control import clip, is_name
from ketwire.channels.wire.frames import Credit, Hello, Limits, Mark, Read, Refused, Welcome
from ketwire.channels.wire.refusals import MalformedHeader, OversizedFrame, TruncatedFrame
from ketwire.errors import LocalProtocolError

_U64 = Struct("<Q")
_U16 = Struct("<H")
_CREDIT_END = 1 << 62
_STEP_END = 1 << 62


def write_hello(frame: Hello, limits: Limits) -> bytes:
    return _pack_name(frame.name, limits)


def write_welcome(frame: Welcome, limits: Limits) -> bytes:
    if not 0 <= frame.credit_octets < _CREDIT_END:
        raise LocalProtocolError(f"a credit of {frame.credit_octets} octets")
    return _U64.pack(frame.credit_octets)


def write_read(frame: Read, limits: Limits) -> bytes:
    return _U64.pack(frame.of_sequence)


def write_credit(frame: Credit, limits: Limits) -> bytes:
    if not 0 < frame.octets < _CREDIT_END:
        raise LocalProtocolError(f"a credit of {frame.octets} octets")
    return _U64.pack(frame.octets)


def write_mark(frame: Mark, limits: Limits) -> bytes:
    if not 0 <= frame.step < _STEP_END:
        raise LocalProtocolError(f"a mark of step {frame.step}")
    return _U64.pack(frame.step)


def write_refused(frame: Refused, limits: Limits) -> bytes:
    text = clip(frame.text, limits).encode()
    return _pack_name(frame.error, limits) + _U16.pack(len(text)) + text


def _pack_name(name: str, limits: Limits) -> bytes:
    if not is_name(name, limits):
        raise LocalProtocolError(f"{name!r} is not a name of 1 to {limits.max_name_octets} printable octets")
    octets = name.encode()
    return bytes([len(octets)]) + octets


def read_hello(header: bytes, limits: Limits) -> Hello:
    name, end = _unpack_name(header, limits)
    _end_at(header, end)
    return Hello(name)


def read_refused(header: bytes, limits: Limits) -> Refused:
    error, start = _unpack_name(header, limits)
    if len(header) < start + _U16.size:
        raise TruncatedFrame("the header ends before a text")
    (size,) = _U16.unpack_from(header, start)
    start += _U16.size
    if size > limits.max_text_octets:
        raise OversizedFrame(f"a text of {size} octets, at most {limits.max_text_octets} are taken")
    _end_at(header, start + size)
    return Refused(error, _text(header[start:]))


def _unpack_name(header: bytes, limits: Limits) -> tuple[str, int]:
    if not header or len(header) < 1 + header[0]:
        raise TruncatedFrame("the header ends inside of a name")
    if header[0] > limits.max_name_octets:
        raise OversizedFrame(f"a name of {header[0]} octets, at most {limits.max_name_octets} are taken")
    end = 1 + header[0]
    name = _text(header[1:end])
    if not is_name(name, limits):
        raise MalformedHeader("a name that is empty or not printable")
    return name, end


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise MalformedHeader("text that is not UTF-8") from None


def _unpack_u64(header: bytes) -> int:
    _end_at(header, _U64.size)
    value: int = _U64.unpack(header)[0]
    return value


def _end_at(header: bytes, end: int) -> None:
    if len(header) < end:
        raise TruncatedFrame(f"a header of {len(header)} octets, it has {end}")
    if len(header) > end:
        raise MalformedHeader(f"{len(header) - end} octets trail the header")


def read_welcome(header: bytes, limits: Limits) -> Welcome:
    return Welcome(_credit(header, 0))


def read_read(header: bytes, limits: Limits) -> Read:
    return Read(_unpack_u64(header))


def read_credit(header: bytes, limits: Limits) -> Credit:
    return Credit(_credit(header, 1))


def read_mark(header: bytes, limits: Limits) -> Mark:
    step = _unpack_u64(header)
    if step >= _STEP_END:
        raise MalformedHeader(f"a mark of step {step}")
    return Mark(step)


def _credit(header: bytes, least: int) -> int:
    octets = _unpack_u64(header)
    if not least <= octets < _CREDIT_END:
        raise MalformedHeader(f"a credit of {octets} octets")
    return octets
