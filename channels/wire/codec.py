"""Commands to ZeroMQ frames and back (docs/wire.md, section 3).

`encode` and `decode` are pure functions. Remote octets raise `RemoteProtocolError` subclasses and
nothing else, and nothing is allocated by a size that was not checked. A command that cannot be
encoded is our own fault: `LocalProtocolError`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.wire import carried, carried_classical, carried_pairs, control, signals
from ketwire.channels.wire.arrays import (
    DIGEST_OCTETS,
    Octets,
    check_states,
    checked,
    read_arrays,
    size_of,
    verify_states,
    write_array,
)
from ketwire.channels.wire.carried import read_quiet, write_quiet
from ketwire.channels.wire.frames import (
    DEFAULT_LIMITS,
    Carry,
    Command,
    Frame,
    Limits,
    command_of,
)
from ketwire.channels.wire.refusals import (
    BadSignature,
    DigestMismatch,
    MalformedHeader,
    OversizedFrame,
    TruncatedFrame,
    UnknownCommand,
    WrongVersion,
)
from ketwire.errors import LocalProtocolError

__all__ = [
    "Octets",
    "Prelude",
    "check_states",
    "checked",
    "decode",
    "encode",
    "encode_quiet",
    "read_body",
    "read_prelude",
    "verify_states",
]

SIGNATURE = b"\xceket"
VERSION = 1
RUN_OCTETS = 16
_DIGEST_FLAG = 1
_HEAD = SIGNATURE + bytes([VERSION])
_FIXED = struct.Struct("<5sBBBIQ16s")
_FIXED_OCTETS = _FIXED.size
_FIELDS = struct.Struct("<5xBBBIQ16s")  # the same without its head
_CODES = {int(command): command for command in Command}

Body = tuple[bytes, list[NDArray[Any]]]


class Prelude(NamedTuple):
    """What the first frame says; `digest` is whether the message carries a SHA-256."""

    command: Command
    digest: bool
    arrays: int
    session: int
    sequence: int
    run: bytes


# --- writing ---------------------------------------------------------------------------------------


def encode(
    frame: Frame,
    *,
    run: bytes,
    session: int,
    sequence: int,
    digest: bool,
    limits: Limits = DEFAULT_LIMITS,
) -> list[Octets]:
    """The frames of one message. Copies in it are consumed; large arrays go out as views.

    Raises:
        LocalProtocolError: a field is out of bounds, or the message over a limit.
    """
    command = command_of(frame)
    assert len(run) == RUN_OCTETS
    try:
        body, arrays = _write_body(command, frame, limits)
        if len(arrays) > limits.max_arrays:
            raise LocalProtocolError(f"{len(arrays)} arrays, at most {limits.max_arrays} travel")
        flags = _DIGEST_FLAG if digest else 0
        fixed = _FIXED.pack(_HEAD, command, flags, len(arrays), session, sequence, run)
    except struct.error as error:
        raise LocalProtocolError(f"{command.name} has a field out of bounds: {error}") from None
    known = frame.states_digest if type(frame) is Carry else None
    frames: list[Octets] = [fixed, body]
    for array in arrays:
        described, octets = write_array(array, digest, known)
        known = None
        body += described
        frames.append(octets)
    frames[1] = body
    if digest:
        frames[0] = fixed + hashlib.sha256(fixed + body).digest()
    _check_sizes(frames, limits, LocalProtocolError)
    return frames


def encode_quiet(carry: Carry, run: bytes, session: int, sequence: int, limits: Limits) -> list[Octets] | None:
    """The frames of small quiet copies, without digest; None for all else, and then nothing is consumed."""
    copies = carry.message
    assert isinstance(copies, Copies)
    quiet = write_quiet(copies.held, copies.fresh, carry.time_ps, limits)
    if quiet is None:
        return None
    copies.take_as_held()
    return [_FIXED.pack(_HEAD, Command.COPIES, 0, 1, session, sequence, run), *quiet]


def _write_body(command: Command, frame: Frame, limits: Limits) -> Body:
    carrier = _CARRIED_WRITERS.get(command)
    if carrier is not None:
        return carrier(frame, limits)
    signal = _SIGNALS.get(command)
    if signal is not None:
        return signal[0](frame, limits), []
    return control.write_control(command, frame, limits)  # type: ignore[arg-type]


_CARRIED_WRITERS: dict[Command, Callable[[Any, Limits], Body]] = {
    Command.COPIES: carried.write_copies,
    Command.PACKED: carried_classical.write_packed,
    Command.ANSWERS: carried_classical.write_answers,
    Command.ARRIVALS: carried_classical.write_arrivals,
    Command.RECEIPT: carried.write_receipt,
    Command.PAIRS: carried_pairs.write_pairs,
    Command.RELEASED: carried_pairs.write_released,
}
_SIGNALS: dict[Command, tuple[Callable[[Any, Limits], bytes], Callable[[bytes, Limits], Frame]]] = {
    Command.HELLO: (signals.write_hello, signals.read_hello),
    Command.WELCOME: (signals.write_welcome, signals.read_welcome),
    Command.READ: (signals.write_read, signals.read_read),
    Command.CREDIT: (signals.write_credit, signals.read_credit),
    Command.REFUSED: (signals.write_refused, signals.read_refused),
    Command.MARK: (signals.write_mark, signals.read_mark),
}

# --- reading ---------------------------------------------------------------------------------------


def decode(
    frames: Sequence[Octets], *, limits: Limits = DEFAULT_LIMITS, verify_states: bool = True
) -> tuple[Prelude, Frame]:
    """Prelude and command of one message; states are a read-only view of their frame.

    `verify_states` false leaves the digest of a states frame to the next receiver (a relay).

    Raises:
        RemoteProtocolError: the message is refused; the class says why.
    """
    prelude = read_prelude(frames, limits=limits)
    return prelude, read_body(prelude, frames, limits=limits, verify_states=verify_states)


def decode_quiet(
    frames: Sequence[Octets], run: bytes, session: int, sequence: int, limits: Limits
) -> Carry | None:
    """Small quiet copies of just this place in the dialogue, without digest; None for all else.

    Its prelude is known in advance, so one comparison stands for all checks of its fields.
    """
    if len(frames) != 3 or frames[0] != _FIXED.pack(_HEAD, Command.COPIES, 0, 1, session, sequence, run):
        return None
    header = frames[1]
    return read_quiet(header, frames[2], limits) if type(header) is bytes else None


def read_prelude(frames: Sequence[Octets], *, limits: Limits = DEFAULT_LIMITS) -> Prelude:
    """The first frame alone, with every size and the digest of the header checked.

    Raises:
        RemoteProtocolError: the message is refused; the class says why.
    """
    if len(frames) > 2 + limits.max_arrays:
        raise OversizedFrame(f"{len(frames)} frames, at most {2 + limits.max_arrays} are taken")
    if not frames:
        raise TruncatedFrame("a message without a prelude")
    _check_sizes(frames, limits, OversizedFrame)
    first = frames[0] if type(frames[0]) is bytes else bytes(frames[0])
    if first[:5] != _HEAD or len(first) < _FIXED_OCTETS:
        _refuse_head(first)
    code, flags, arrays, session, sequence, run = _FIELDS.unpack_from(first)
    command = _CODES.get(code)
    if command is None:
        raise UnknownCommand(f"no command has the code 0x{code:02X}")
    if flags & ~_DIGEST_FLAG:
        raise MalformedHeader(f"unknown flags 0x{flags:02X}")
    if len(frames) == 2 + arrays and not flags and len(first) == _FIXED_OCTETS:
        return Prelude(command, False, arrays, session, sequence, run)
    if len(frames) < 2 + arrays:
        raise TruncatedFrame(f"{len(frames)} frames, the prelude says {2 + arrays}")
    if len(frames) > 2 + arrays:
        raise MalformedHeader(f"{len(frames) - 2 - arrays} frames trail the message")
    _check_header(first, frames[1], bool(flags))
    return Prelude(command, bool(flags), arrays, session, sequence, run)


def _refuse_head(first: bytes) -> NoReturn:
    if len(first) < len(_HEAD):
        raise TruncatedFrame(f"a prelude of {len(first)} octets")
    if first[:4] != SIGNATURE:
        raise BadSignature("a message that does not begin as a ketwire message")
    if first[4] != VERSION:
        raise WrongVersion(f"version {first[4]} of the wire protocol, this side speaks {VERSION}")
    raise TruncatedFrame(f"a prelude of {len(first)} octets, it has {_FIXED_OCTETS}")


def _check_header(first: bytes, header: Octets, digest: bool) -> None:
    expected = _FIXED_OCTETS + (DIGEST_OCTETS if digest else 0)
    if len(first) < expected:
        raise TruncatedFrame(f"a prelude of {len(first)} octets, its flags say {expected}")
    if len(first) > expected:
        raise MalformedHeader(f"{len(first) - expected} octets trail the prelude")
    if digest:
        found = hashlib.sha256(first[:_FIXED_OCTETS] + bytes(header)).digest()
        if not hmac.compare_digest(found, first[_FIXED_OCTETS:]):
            raise DigestMismatch("prelude and header differ from their digest")


def _check_sizes(
    frames: Sequence[Octets], limits: Limits, fault: type[OversizedFrame] | type[LocalProtocolError]
) -> None:
    total = 0
    for frame in frames:
        total += len(frame) if type(frame) is bytes else size_of(frame)
    if total <= limits.small_octets:
        return
    sizes = [size_of(frame) for frame in frames]
    if max(sizes) > limits.max_frame_octets:
        raise fault(f"a frame of {max(sizes)} octets, at most {limits.max_frame_octets} travel")
    if sum(sizes) > limits.max_message_octets:
        raise fault(f"a message of {sum(sizes)} octets, at most {limits.max_message_octets} travel")
    if len(sizes) > 1 and sizes[1] > limits.max_header_octets + limits.max_json_octets:
        raise fault(f"a header of {sizes[1]} octets is over the limit")


def read_body(
    prelude: Prelude,
    frames: Sequence[Octets],
    *,
    limits: Limits = DEFAULT_LIMITS,
    verify_states: bool = True,
) -> Frame:
    """The command itself, once `read_prelude` has passed the same frames.

    Raises:
        RemoteProtocolError: the message is refused; the class says why.
    """
    header, command = frames[1] if type(frames[1]) is bytes else bytes(frames[1]), prelude.command
    if command is Command.COPIES and len(frames) == 3 and not prelude.digest:
        quiet = read_quiet(header, frames[2], limits)
        if quiet is not None:
            return quiet
    if command in _CARRIED_READERS:
        return _read_carried(prelude, header, frames, limits, verify_states)
    if command in control.SCHEMAS:
        size = control.control_size(header, limits)
        arrays, _ = read_arrays(header, size, frames[2:], prelude.digest, limits)
        return control.read_control(command, header[:size], arrays, limits)
    if len(header) > limits.max_header_octets:
        raise OversizedFrame(f"a header of {len(header)} octets, over {limits.max_header_octets}")
    if prelude.arrays:
        raise MalformedHeader(f"{command.name} has no arrays")
    return _SIGNALS[command][1](header, limits)


def _read_carried(
    prelude: Prelude, header: bytes, frames: Sequence[Octets], limits: Limits, verify_states: bool
) -> Frame:
    size, reader = _CARRIED_READERS[prelude.command]
    if len(header) < size:
        raise TruncatedFrame(f"{prelude.command.name} with a body of {len(header)} octets, it has {size}")
    if len(header) > limits.max_header_octets:
        raise OversizedFrame(f"a header of {len(header)} octets, over {limits.max_header_octets}")
    unverified = 0 if prelude.command is Command.COPIES and not verify_states else -1
    arrays, digests = read_arrays(header, size, frames[2:], prelude.digest, limits, unverified=unverified)
    return reader(header, arrays, digests, limits)


_CARRIED_READERS: dict[Command, tuple[int, Callable[..., Frame]]] = {
    Command.COPIES: (carried.COPIES.size, carried.read_copies),
    Command.PACKED: (carried_classical.PACKED.size, carried_classical.read_packed),
    Command.ANSWERS: (carried_classical.ANSWERS.size, carried_classical.read_answers),
    Command.ARRIVALS: (carried_classical.ARRIVALS.size, carried_classical.read_arrivals),
    Command.RECEIPT: (carried.RECEIPT.size, carried.read_receipt),
    Command.PAIRS: (carried_pairs.PAIRS.size, carried_pairs.read_pairs),
    Command.RELEASED: (carried_pairs.RELEASED.size, carried_pairs.read_released),
}
