"""Golden octets: one table drives writer and reader, whole, cut short, and with trailing octets."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Held, Order, Pairs, Released
from ketwire.channels.messages import Answers, Arrivals, Packed, Spent
from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import Prelude, decode, encode
from ketwire.channels.wire.refusals import MalformedHeader, TruncatedFrame
from ketwire.errors import RemoteProtocolError

RUN = bytes(range(16))
GOLDEN = Path(__file__).parents[2] / "data" / "wire_golden.txt"
Frames = list[bytes]


def read_golden(path: Path) -> dict[str, Frames]:
    """The messages of a golden file by name; its head explains the format."""
    vectors: dict[str, Frames] = {}
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("== "):
            frames: Frames = []
            assert line[3:] not in vectors
            vectors[line[3:]] = frames
        elif line.startswith("--"):
            frames.append(b"")
        elif line.startswith("| "):
            frames[-1] += line[2:].encode("ascii")
        elif octets := line.split("#")[0].strip():
            frames[-1] += bytes.fromhex(octets)
    return vectors


def copies(states: Any, row: Any, ready: Any, lost: Any, fresh: bool = False) -> Copies:
    return Copies(
        np.array(states, np.complex128),
        np.array(row, np.int64),
        np.array(ready, np.int64),
        np.array(lost, bool),
        fresh,
    )


def carry(message: Any, time_ps: int) -> f.Carry:
    return f.Carry(message, time_ps)


def i64(*values: int) -> Any:
    return np.array(values, np.int64)


def u8(*values: int) -> Any:
    return np.array(values, np.uint8)


OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# What each golden message says, as (session, sequence, a maker of the command): copies are used once.
MEANING: dict[str, tuple[int, int, Any]] = {
    "HELLO": (0, 0, lambda: f.Hello("alice")),
    "HELLO.utf8": (0, 0, lambda: f.Hello("zo\xebz")),
    "WELCOME": (0, 0, lambda: f.Welcome(67108864)),
    "COPIES": (
        258,
        3,
        lambda: carry(copies([[0.6, 0.8j]], [0] * 100, range(1000, 2000, 10), [False] * 100), 1000000),
    ),
    "COPIES.two-rows": (
        1,
        4,
        lambda: carry(
            copies(
                [[1], [-1]],
                [0, 1, 0, 1, 1, 1, 0, 0, 0],
                [5, 5, 6, 7, 8, 9, 10, 256, 4611686018427387903],
                [False, True, False, False, False, False, False, False, True],
            ),
            0,
        ),
    ),
    "COPIES.fresh": (1, 17, lambda: carry(copies([[-1]], [0, 0], [9, 9], [False] * 2, fresh=True), 0)),
    "COPIES.fresh-lost": (1, 18, lambda: carry(copies([[-1]], [0], [9], [True], fresh=True), 0)),
    "COPIES.none": (1, 5, lambda: carry(copies(np.empty((0, 8)), [], [], []), 42)),
    "COPIES.backwards": (1, 6, lambda: carry(copies([[1]], [0, 0, 0], [10, 6, 2], [True] * 3), 7)),
    "COPIES.digest": (1, 7, lambda: carry(copies([[0.6, 0.8]], [0], [400], [False]), 300)),
    "COPIES.mixed": (
        1,
        17,
        lambda: carry(
            copies([[[0.5, complex(0, -0.25)], [0.25j, 0.5]]], [0] * 3, [1000, 1010, 1020], [False, True, False]), 0
        ),
    ),
    "PACKED": (1, 8, lambda: carry(Packed(3, 5, 2.5, 3, u8(0x0F, 0xE2)), 2000)),
    "PACKED.sparse": (
        1,
        9,
        lambda: carry(Packed(2, 8, 0.0, 65536, u8(7, 255), np.array([3, 65535], np.uint32)), 0),
    ),
    "ANSWERS": (1, 10, lambda: carry(Answers(i64(3, -1), 2), 1)),
    "ARRIVALS": (1, 11, lambda: carry(Arrivals(i64(4294967295)), 2)),
    "ARRIVALS.positions": (1, 22, lambda: carry(Arrivals(i64(0, 1, 0), 1), 1000)),
    "RECEIPT": (1, 12, lambda: f.Receipt(3, 10**7, np.isin(np.arange(10), [0, 7, 9]), None, Spent(40, 31, 0, 266))),
    "RECEIPT.quiet": (1, 13, lambda: f.Receipt(8, 0, np.zeros(0, bool), None, Spent(bits=35))),
    "RECEIPT.pairs": (1, 18, lambda: f.Receipt(3, 5, np.zeros(0, bool), i64(7, 256), Spent(300, 0, 6, 4))),
    "PAIRS": (
        1,
        19,
        lambda: carry(
            Pairs(
                Held(
                    np.array([[0.5, 0, 0, 0.5, 0.5, 0], [0, 0, 0, 0, 2.5, 0]]),
                    i64(9, 4611686018427387903),
                    i64(8, 0),
                    np.array([False, True]),
                    (math.inf, 2.5),
                    10**6,
                ),
                Order(i64(1, 256), True, "dejmps"),
            ),
            10,
        ),
    ),
    "PAIRS.none-yet": (1, 20, lambda: carry(Pairs.none_yet(i64(5)), 0)),
    "RELEASED": (1, 21, lambda: carry(Released(i64(3, 4611686018427387903)), 2)),
    "READ": (1, 14, lambda: f.Read(0x0102030405060708)),
    "CREDIT": (1, 15, lambda: f.Credit(32)),
    "REFUSED": (1, 16, lambda: f.Refused("WrongRun", "why")),
    "MARK": (1, 17, lambda: f.Mark(513)),
    "JOIN": (0, 0, lambda: f.Join("alice", "node", "0.1.0", 77)),
    "JOB": (
        0,
        0,
        lambda: f.Job(
            {"n": 6, "p": 0.5}, {"x": np.array([[0.5], [-1.0]]), "mask": np.array([True, False, True])}
        ),
    ),
    "JOB.digest": (0, 1, lambda: f.Job({}, {"x": np.array(2**64 - 2, np.uint64)})),
    "READY": (0, 1, lambda: f.Ready("127.0.0.1:5555", {"x": [2]})),
    "READY.node": (0, 1, lambda: f.Ready(None, {})),
    "START": (0, 1, lambda: f.Start(1, {"alice-bob": "10.0.0.1:1"})),
    "DONE": (0, 2, lambda: f.Done(1, 4611686018427387903, {}, {"theta": np.array([2.5])})),
    "PROGRESS": (0, 3, lambda: f.Progress(1, 3, 2000, "copies", 7_000, "estimate 0.5")),
    "BLOCKED": (0, 4, lambda: f.Blocked(1, "receive", "bob", {"bob": 2}, {"bob": 0}, {"bob": 2})),
    "FAILED": (0, 5, lambda: f.Failed("Deadlock", 'a\nb "c"')),
    "END": (0, 6, lambda: f.End(1)),
    "SUMMARY": (0, 7, lambda: f.Summary(1, {"x": [True, None, -1, []]})),
    "STOP": (0, 8, lambda: f.Stop("done")),
    "PING": (0, 9, f.Ping),
    "SAVED": (0, 10, lambda: f.Saved(1, 3, OF_NOTHING)),
    "SAVED.fault": (0, 11, lambda: f.Saved(1, 3, OF_NOTHING, "missing")),
    "COMMIT": (0, 12, lambda: f.Commit(1, 3)),
}
VECTORS = read_golden(GOLDEN)
NAMES = sorted(VECTORS)


def facts(frame: Any) -> Any:
    """A command as plain comparable values; arrays with dtype, shape and octets."""
    if isinstance(frame, np.ndarray):
        return str(frame.dtype), frame.shape, frame.tobytes()
    if isinstance(frame, f.Carry):
        return "carry", frame.time_ps, facts(frame.message)
    if isinstance(frame, Copies):
        return frame.fresh, *(facts(part) for part in frame.take())
    if isinstance(frame, Pairs):
        return tuple(facts(part) for part in frame.take())
    if isinstance(frame, Mapping):
        return {key: facts(value) for key, value in frame.items()}
    if hasattr(frame, "__dataclass_fields__"):
        return type(frame).__name__, [facts(getattr(frame, key)) for key in frame.__dataclass_fields__]
    if hasattr(frame, "_fields"):
        return type(frame).__name__, [facts(value) for value in frame]
    return frame


def command_name(name: str) -> str:
    return name.split(".", maxsplit=1)[0]


def test_every_command_has_golden_octets_and_every_vector_a_meaning() -> None:
    assert {command_name(name) for name in VECTORS} == {command.name for command in f.Command}
    assert set(VECTORS) == set(MEANING)


@pytest.mark.parametrize("name", NAMES)
def test_writer_agrees_octet_for_octet(name: str) -> None:
    session, sequence, make = MEANING[name]
    digest = name.endswith(".digest")
    written = encode(make(), run=RUN, session=session, sequence=sequence, digest=digest)
    assert [bytes(frame).hex(" ") for frame in written] == [frame.hex(" ") for frame in VECTORS[name]]


@pytest.mark.parametrize("name", NAMES)
def test_reader_agrees(name: str) -> None:
    session, sequence, make = MEANING[name]
    prelude, frame = decode(VECTORS[name])
    command = f.Command[command_name(name)]
    arrays = len(VECTORS[name]) - 2
    assert prelude == Prelude(command, name.endswith(".digest"), arrays, session, sequence, RUN)
    assert facts(frame) == facts(make())


@pytest.mark.parametrize("name", NAMES)
def test_cut_short_anywhere_is_refused(name: str) -> None:
    vector = VECTORS[name]
    for number, frame in enumerate(vector):
        for size in range(len(frame)):
            with pytest.raises(RemoteProtocolError):
                decode([*vector[:number], frame[:size], *vector[number + 1 :]])
    for count in range(len(vector)):
        with pytest.raises(TruncatedFrame):
            decode(vector[:count])


@pytest.mark.parametrize("name", NAMES)
def test_trailing_octets_and_frames_are_refused(name: str) -> None:
    vector = VECTORS[name]
    for number, frame in enumerate(vector):
        for extra in (b"\x00", b"\xff", bytes(8)):
            with pytest.raises(RemoteProtocolError):
                decode([*vector[:number], frame + extra, *vector[number + 1 :]])
    for extra in (b"", b"\x00"):
        with pytest.raises(MalformedHeader):
            decode([*vector, extra])


def test_the_example_in_the_specification_decodes() -> None:
    """docs/wire.md, section 11, spelled out there with its run and its zeros in words."""
    page = (Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
    block = page.split("## 11. Golden octets")[1]
    lines = [line.strip() for line in block.splitlines() if line.startswith("    ")]
    text = re.sub("run, 16 octets", RUN.hex(" "), "\n".join(lines))
    octets = bytes.fromhex(re.sub("56 octets of zero", "00 " * 56, text))
    # 36 octets of prelude, 64 of header, 64 of states, one of losses.
    edges = [0, 36, 36 + 64, 36 + 64 + 64, len(octets)]
    parts = [octets[a:b] for a, b in itertools.pairwise(edges)]
    prelude, frame = decode(parts)
    assert (prelude.session, prelude.sequence) == (1, 3)
    assert facts(frame) == facts(carry(copies([[1, 0, 0, 0]], [0], [500], [True]), 500))
