"""Codes on the wire: what is sent comes back, in messages of bounded size, and nonsense is refused."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.messages import Answers, Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols import rivals
from ketwire.protocols.codes import pack_bits
from ketwire.protocols.rivals import Quantiser


class Wire:
    """A node whose sends are what it receives."""

    def __init__(self, *messages: Any) -> None:
        self.queue = deque(messages)
        self.bits = 0

    async def send(self, peer: str, message: Any) -> None:
        self.bits += message.payload_bits
        self.queue.append(message)

    async def receive(self, peer: str, kind: type[Any]) -> Any:
        message = self.queue.popleft()
        assert isinstance(message, kind)
        return message


def done(coroutine: Any) -> Any:
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def packed(codes: list[int], bits: int) -> Packed:
    return Packed(len(codes), bits, 0.0, len(codes), pack_bits(np.array(codes, dtype=np.uint64), bits))


tables = st.integers(0, 2**32).map(np.random.default_rng)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 12), st.integers(1, 20), st.integers(1, 9), st.integers(1, 60))
def test_codes_come_back_in_bounded_messages(rng: Any, rows: int, width: int, bits: int, most: int) -> None:
    codes = rng.integers(0, 1 << bits, (rows, width)).astype(np.uint64)
    wire = Wire()
    kept, rivals.MESSAGE_CODES = rivals.MESSAGE_CODES, most
    try:
        done(rivals.send_codes(wire, "bob", codes, bits))  # type: ignore[arg-type]
        assert wire.bits == rows * width * bits
        assert all(message.count <= max(most, width) for message in wire.queue)
        back = done(rivals.receive_codes(wire, "alice", rows, width, bits))  # type: ignore[arg-type]
    finally:
        rivals.MESSAGE_CODES = kept
    np.testing.assert_array_equal(back, codes)
    assert not wire.queue


@settings(max_examples=80, deadline=None)
@given(tables, st.integers(1, 12), st.integers(1, 40), st.integers(1, 8), st.floats(0, 1))
def test_sparse_codes_come_back_at_the_lowest_price(
    rng: Any, rows: int, width: int, bits: int, share: float
) -> None:
    signed = bool(rng.integers(2))
    quantiser = Quantiser(-1.0 if signed else 0.0, 1.0, False, bits)
    values = rng.uniform(quantiser.low, 1, (rows, width)) * (rng.random((rows, width)) < share)
    codes = quantiser.codes(values)
    wire = Wire()
    done(rivals.send_sparse(wire, "bob", codes, quantiser))  # type: ignore[arg-type]
    assert wire.bits == min(rivals.form_bits(codes, quantiser).values()) + rivals.FORM_BITS
    back, form = done(rivals.receive_sparse(wire, "alice", rows, width, quantiser))  # type: ignore[arg-type]
    np.testing.assert_array_equal(back, codes)
    assert form in rivals.FORMS and not wire.queue


@given(tables, st.integers(1, 30), st.floats(-9, 0), st.floats(0.1, 9), st.booleans())
def test_levels_are_within_half_a_step(rng: Any, bits: int, low: float, high: float, relative: bool) -> None:
    quantiser = Quantiser(low, high, relative, bits)
    values = rng.uniform(low, high, (5, 7))
    if relative:
        values[0] = 0
        largest = np.abs(values).max(axis=1, keepdims=True)
        wanted = np.clip(values / np.where(largest > 0, largest, 1), low, high)
    else:
        wanted = values
    step = (high - low) / ((1 << bits) - (2 if low < 0 and bits > 1 else 1))
    assert np.abs(quantiser.rows(quantiser.codes(values)) - wanted).max() <= step / 2 * (1 + 1e-6) + 1e-12


@given(st.integers(2, 30), st.floats(-9, -0.01), st.floats(0.01, 9))
def test_zero_inside_a_range_is_a_level(bits: int, low: float, high: float) -> None:
    quantiser = Quantiser(low, high, False, bits)
    ends = np.array([[low, 1e-17, -1e-17, 0.0, high]])
    codes = quantiser.codes(ends)
    assert (codes[0, 1:4] == quantiser.zero).all() and not quantiser.rows(codes)[0, 1:4].any()
    assert int(codes.min()) >= 0 and int(codes.max()) < 1 << bits


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([Answers(np.array([3]), 2)], "form"),
        ([Answers(np.array([0, 0]), 2)], "form"),
        ([Answers(np.array([0]), 2), packed([1] * 5, 4)], "5 codes"),
        ([Answers(np.array([0]), 2), packed([1] * 6, 3)], "3 bits"),
        (
            [Answers(np.array([2]), 2), packed([1, 3], 2), packed([3] * 4, 2)],
            "out of order or beyond",
        ),
        ([Answers(np.array([2]), 2), packed([2, 1], 2), packed([1, 0, 0], 2)], "out of order"),
        ([Answers(np.array([2]), 2), packed([1, 1], 2), packed([0, 3], 2)], "beyond 3"),
    ],
)
def test_nonsense_is_their_mistake(messages: list[Any], told: str) -> None:
    quantiser = Quantiser(0.0, 1.0, False, 4)
    coroutine = rivals.receive_sparse(Wire(*messages), "alice", 2, 3, quantiser)  # type: ignore[arg-type]
    with pytest.raises(RemoteProtocolError, match=told):
        coroutine.send(None)


def test_more_entries_than_a_vector_has_are_their_mistake() -> None:
    # Two bits count to 3, a vector of two entries has at most 2.
    messages = Answers(np.array([2]), 2), packed([3], 2)
    coroutine = rivals.receive_sparse(Wire(*messages), "alice", 1, 2, Quantiser(0.0, 1.0, False, 4))  # type: ignore[arg-type]
    with pytest.raises(RemoteProtocolError, match="3 entries of a vector of 2"):
        coroutine.send(None)


@pytest.mark.parametrize(("values", "bits"), [([0], 3), ([-1] * 4, 1), ([2] * 4, 1)])
def test_answers_that_are_none_are_their_mistake(values: list[int], bits: int) -> None:
    from ketwire.protocols.sides import DescriptionSlice, OwnHalf, Side

    side = Side("alice", "bob", half=OwnHalf(minus=np.zeros((2, 4), dtype=np.bool_)))
    party = rivals.DescriptionParty(DescriptionSlice(side, bits=1, layers=2), lambda key, source: {})
    wire: Any = Wire(Answers(np.array(values), bits))
    wire.public = {"items": 4, "entries": 4}
    wire.name = "bob"
    with pytest.raises(RemoteProtocolError, match="answered"):
        party.run(wire).send(None)
