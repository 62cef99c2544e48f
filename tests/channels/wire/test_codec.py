"""What is sent is what is received, whatever the frames are held in; and how small it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Packed, Spent
from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import decode, encode
from ketwire.errors import LocalProtocolError

PLACE: dict[str, Any] = {"run": b"0123456789abcdef", "session": 7, "sequence": 1 << 40}
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=100)
TIMES = st.integers(0, (1 << 62) - 1)


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    qubits, count = draw(st.integers(0, 5)), draw(st.integers(0, 30))
    rows = draw(st.integers(1 if count else 0, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (rows, *[1 << qubits] * draw(st.integers(1, 2)))  # pure or mixed
    states = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    first, last = draw(TIMES), draw(TIMES)
    step = int(math.copysign(1, last - first)) * (abs(last - first) // max(count - 1, 1))
    even = [first + i * step for i in range(count)]
    ready = even if draw(st.booleans()) else draw(st.lists(TIMES, min_size=count, max_size=count))
    lost = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return states, rng.integers(0, max(rows, 1), count), np.array(ready, np.int64), np.array(lost, bool)


def unaligned(frame: Any) -> memoryview:
    """The same octets at an odd address, as a socket may hand them over."""
    return memoryview(bytearray(b"\0" + bytes(frame)))[1:]


@QUICK
@given(
    batch=batches(),
    fresh=st.booleans(),
    digest=st.booleans(),
    hold=st.sampled_from([bytes, memoryview, bytearray, unaligned]),
)
def test_copies_arrive_as_they_left(batch: Any, fresh: bool, digest: bool, hold: Any) -> None:
    frames = encode(f.Carry(Copies(*batch, fresh), 12), digest=digest, **PLACE)
    _, carry = decode([hold(frame) for frame in frames])
    assert isinstance(carry, f.Carry) and isinstance(carry.message, Copies)
    assert carry.time_ps == 12 and carry.message.fresh == fresh and (carry.states_digest is not None) == digest
    parts = carry.message.take()
    for sent, received in zip(batch, parts, strict=True):
        assert received.dtype == sent.dtype and received.shape == sent.shape
        assert received.tobytes() == sent.tobytes()
        assert received.flags.aligned
    assert parts.ready_ps.flags.writeable and parts.row.flags.writeable and parts.lost.flags.writeable


def test_mixed_copies_of_nine_qubits_do_not_travel() -> None:
    mixed = Copies(np.eye(4, dtype=complex)[None] / 4, np.zeros(2, int), np.arange(2), np.zeros(2, bool))
    with pytest.raises(LocalProtocolError, match="mixed states of 2 qubits, at most 1 are taken"):
        encode(f.Carry(mixed, 0), digest=False, limits=f.Limits(max_mixed_qubits=1), **PLACE)
    with pytest.raises(AssertionError):
        Copies(np.eye(512, dtype=complex)[None] / 512, np.zeros(2, int), np.arange(2), np.zeros(2, bool))


def quiet(qubits: int, count: int, states: Any = None) -> Copies:
    if states is None:
        states = np.zeros((1, 1 << qubits), np.complex128)
        states[0, 0] = 1
    return Copies(states, np.zeros(count, np.int64), 5 + 10 * np.arange(count), np.zeros(count, bool))


def test_ten_thousand_quiet_copies_cost_one_state_and_a_header() -> None:
    frames = encode(f.Carry(quiet(6, 10_000), 0), digest=False, **PLACE)
    assert [len(frame) for frame in frames] == [36, 54, 64 * 16]


def test_large_states_are_never_copied() -> None:
    states = np.zeros((1, 1 << 12), np.complex128)
    states[0, 0] = 1
    frames = encode(f.Carry(quiet(12, 3, states), 0), digest=True, **PLACE)
    assert np.shares_memory(np.frombuffer(frames[2], np.uint8), states)
    _, carry = decode(frames)
    assert isinstance(carry, f.Carry) and isinstance(carry.message, Copies)
    received = carry.message.take().states
    assert np.shares_memory(received, states) and not received.flags.writeable
    onward = Copies(received, np.zeros(3, int), np.arange(3), np.zeros(3, bool))
    relayed = encode(f.Carry(onward, 0, carry.states_digest), digest=True, **PLACE)
    assert np.shares_memory(np.frombuffer(relayed[2], np.uint8), states)


def test_sending_consumes() -> None:
    copies = quiet(1, 2)
    encode(f.Carry(copies, 0), digest=False, **PLACE)
    with pytest.raises(LocalProtocolError):
        encode(f.Carry(copies, 0), digest=False, **PLACE)


def job(**arrays: Any) -> f.Job:
    return f.Job({}, arrays)


@pytest.mark.parametrize(
    "frame",
    [
        f.Hello(""),
        f.Hello("a" * 65),
        f.Hello("new\nline"),
        f.Hello("\ud800"),
        f.Welcome(-1),
        f.Credit(0),
        f.Read(-1),
        f.Read(1 << 64),
        f.Receipt(0, -1, np.zeros(0, bool)),
        f.Receipt(0, 0, np.zeros(0, bool), None, Spent(ebits=-1)),
        f.Receipt(0, 0, np.zeros(0, bool), None, Spent(bits=1 << 62)),
        f.Carry(quiet(1, 1), 1 << 62),
        f.Carry(Packed(3, 8, float("nan"), 3, np.zeros(3, np.uint8)), 0),
        f.Carry(Packed(1, 5, 0.0, 1, np.array([255], np.uint8)), 0),
        f.Carry(Packed(2, 8, 0.0, 9, np.zeros(2, np.uint8), np.array([4, 4], np.uint32)), 0),
        f.Join("alice", "node", "1", -1),
        f.Job({"x": float("inf")}),
        f.Job({"x": 1 << 64}),
        f.Job({"x": object()}),
        f.Job({1: "x"}),
        f.Job({"x": "\udc00"}),
        f.Start(1 << 32, {}),
        f.Mark(-1),
        f.Mark(1 << 62),
        f.Saved(0, 0, "0" * 63),
        f.Saved(0, 1 << 62, "0" * 64),
        f.Commit(1 << 32, 0),
        f.Done(0, -1, {}),
        f.Progress(0, 1, True, "", 0, ""),
        f.Blocked(0, "receive", "bob", {"bob": -1}, {}, {}),
        job(x=np.zeros(3, np.complex64)),
        job(x=np.zeros((1, 1, 1, 1, 1))),
        job(**{f"x{i}": np.zeros(1) for i in range(33)}),
    ],
    ids=lambda frame: type(frame).__name__,  # a repr may hold an address, which differs by process
)
def test_what_the_wire_cannot_hold_is_our_fault(frame: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode(frame, digest=False, **PLACE)


def test_job_arrays_of_every_dtype_and_order_arrive() -> None:
    arrays = {
        "bool": np.array([[True, False]]),
        "u1": np.arange(3, dtype=np.uint8),
        "u4": np.arange(3, dtype=np.uint32),
        "u8": np.array([2**64 - 1], np.uint64),
        "i8": np.array(-5),
        "f8": np.arange(6.0).reshape(2, 3).T,
        "c16": np.arange(4)[::2] * 1j,
        "none": np.empty((3, 0)),
        "large": np.arange(40_000.0).reshape(200, 200).T,
    }
    _, received = decode(encode(f.Job({"deep": [[{"a": 1.5}]]}, arrays), digest=True, **PLACE))
    assert isinstance(received, f.Job) and received.job == {"deep": [[{"a": 1.5}]]}
    assert list(received.arrays) == list(arrays)
    for name, array in arrays.items():
        assert received.arrays[name].dtype == array.dtype
        assert np.array_equal(received.arrays[name], array) and received.arrays[name].shape == array.shape


def test_long_texts_keep_their_end() -> None:
    text = "x" * 20_000 + "\xe9" * 8191 + "?!"
    for make in (lambda t: f.Failed("Oops", t), lambda t: f.Refused("Oops", t)):
        _, frame = decode(encode(make(text), digest=False, **PLACE))
        received = frame.message if isinstance(frame, f.Failed) else frame.text  # type: ignore[union-attr]
        assert text.endswith(received) and len(received.encode()) == (1 << 14)
