"""A batch told by its numbers behaves as the same batch in arrays, wherever it goes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketwire.channels.copies import Copies, InStep, Parts
from ketwire.channels.fiber import Fiber
from ketwire.channels.link import Direction
from ketwire.channels.wire.codec import decode, encode
from ketwire.channels.wire.frames import Carry
from ketwire.errors import LocalProtocolError

STATE = np.array([[0.6, 0.0, 0.0, 0.8j]])

fibers = st.builds(
    Fiber,
    length_km=st.sampled_from([0.0, 1.0, 12.5]),
    emission_rate_hz=st.sampled_from([None, 25e6, 1e12]),
    loss_db_per_km=st.sampled_from([0.0, 0.0, 0.2]),
)
batches = st.builds(
    InStep,
    st.just(STATE),
    st.integers(1, 40),
    st.integers(0, 10_000_000),
    st.sampled_from([0, 1, 79_999, 80_000, 10**7]),
)


def same(one: Parts, other: Parts) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(one, other, strict=True))


@given(fiber=fibers, sent=st.lists(st.tuples(batches, st.integers(0, 10_000_000)), min_size=1, max_size=4))
def test_a_link_carries_numbers_as_it_carries_arrays(fiber: Fiber, sent: list[tuple[InStep, int]]) -> None:
    ours, oracle = (Direction("alice->bob", fiber, bytes(32)) for _ in range(2))
    for batch, sent_ps in sent:
        told = ours.carry(Copies.of(batch), sent_ps)
        full = oracle.carry(Copies(*batch.parts()), sent_ps)
        assert told.record == full.record
        assert (told.arrival_ps, told.herald_ps, told.untouched) == (full.arrival_ps, full.herald_ps, full.untouched)
        assert np.array_equal(told.lost, full.lost)
        assert isinstance(told.message, Copies) and isinstance(full.message, Copies)
        assert same(told.message.take(), full.message.take())
    assert ours.transcript.end() == oracle.transcript.end()


def test_over_a_quiet_fiber_no_arrays_travel() -> None:
    link = Direction("alice->bob", Fiber(length_km=1.0, emission_rate_hz=1e9), bytes(32))
    delivered = link.carry(Copies.in_step(STATE, 10_000, 5), 0).message
    assert isinstance(delivered, Copies)
    assert delivered.held == InStep(STATE, 10_000, 5 + 2_000 + 5_000_000, 2_000)


@given(batch=batches, digest=st.booleans())
def test_the_wire_takes_both_alike(batch: InStep, digest: bool) -> None:
    place = {"run": bytes(16), "session": 1, "sequence": 2, "digest": digest}
    octets = [
        [bytes(memoryview(frame).cast("B")) for frame in encode(Carry(copies, 7), **place)]  # type: ignore[arg-type]
        for copies in (Copies.of(batch), Copies(*batch.parts()))
    ]
    assert octets[0] == octets[1]
    _, carry = decode(octets[0])
    assert isinstance(carry, Carry) and isinstance(carry.message, Copies)
    assert same(carry.message.take(), batch.parts())


@given(batch=batches, delay_ps=st.integers(0, 10**9))
def test_delay(batch: InStep, delay_ps: int) -> None:
    parts = batch.parts()
    later = parts._replace(ready_ps=parts.ready_ps + delay_ps)
    assert same(Copies.of(batch).delayed(delay_ps).take(), later)
    assert same(Copies(*parts).delayed(delay_ps).take(), later)


def test_it_is_used_once() -> None:
    copies = Copies.in_step(STATE, 3, 0)
    assert copies.alive.all() and len(copies) == 3 and copies.qubits == 2
    copies.take()
    for use in (copies.take, copies.take_as_held, lambda: copies.alive, lambda: copies.delayed(1)):
        with pytest.raises(LocalProtocolError, match="cannot be used twice"):
            use()
