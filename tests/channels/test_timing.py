"""Virtual time: to the picosecond, queueing included, against simulations of one customer at a time."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.link import Direction
from ketwire.channels.messages import Answers
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, serve
from ketwire.errors import ScenarioError
from tests.kit import SlowLane

KEY = bytes(range(32))
times = st.integers(0, 1 << 61)
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


def one_by_one(ready_ps: list[int], service_ps: int, free_ps: int) -> list[int]:
    """Lindley's recursion as it is written in books."""
    done = []
    for ready in ready_ps:
        free_ps = max(ready, free_ps) + service_ps
        done.append(free_ps)
    return done


@QUICK
@given(st.lists(times, max_size=30), st.integers(0, 1 << 55), times)
def test_serve_is_the_recursion(ready_ps: list[int], service_ps: int, free_ps: int) -> None:
    done = serve(np.array(ready_ps, dtype=np.int64), service_ps, free_ps)
    assert done.dtype == np.int64
    assert done.tolist() == one_by_one(ready_ps, service_ps, free_ps)


def test_serve_reaches_the_end_of_the_clock() -> None:
    """The last tick that a run may use is computed, not wrapped."""
    service = (CLOCK_END_PS - 1) // 4
    assert serve(np.zeros(4, dtype=np.int64), service, 0)[-1] == 4 * service
    late = np.array([CLOCK_END_PS - 2, 0], dtype=np.int64)
    assert serve(late, 1, 0).tolist() == [CLOCK_END_PS - 1, CLOCK_END_PS]


def test_nobody_served() -> None:
    assert serve(np.zeros(0, dtype=np.int64), 5, 7).shape == (0,)


batches = st.tuples(
    st.just("copies"),
    st.integers(0, 10**12),  # sent
    st.lists(st.tuples(st.integers(0, 10**12), st.booleans()), max_size=12),  # (ready, dead before)
    st.integers(1, 4),  # qubits
)
classical = st.tuples(st.just("answers"), st.integers(0, 10**12), st.integers(0, 50), st.integers(1, 64))
fibers = st.builds(
    Fiber,
    length_km=st.sampled_from([0.0, 0.001, 0.3, 10.0, 123.456]),
    loss_db_per_km=st.sampled_from([0.0, 0.2]),
    p_init=st.sampled_from([0.0, 0.3, 1.0]),
    speed_km_per_s=st.sampled_from([200_000.0, 214_000.0]),
    emission_rate_hz=st.none() | st.floats(1e3, 1e12),
    bandwidth_bps=st.none() | st.floats(1.0, 1e12) | st.integers(1, 10**12),
)


class Clockwork:
    """A direction with one qubit and one bit at a time; nothing but Python's integers and fractions."""

    def __init__(self, fiber: Fiber) -> None:
        self.fiber = fiber
        self.emitter = self.passed = 0
        self.lane, self.heralds = SlowLane(fiber.bandwidth_bps), SlowLane(fiber.bandwidth_bps)
        light = Fraction(fiber.length_km) / Fraction(fiber.speed_km_per_s) * PS_PER_S
        self.delay = round(light)
        rate = fiber.emission_rate_hz
        self.bin = 0 if rate is None else round(Fraction(PS_PER_S) / Fraction(rate))

    def copies(self, sent: int, each: list[tuple[int, bool]], qubits: int) -> list[int]:
        arrivals = []
        notices = [max(ready, sent) for ready, dead in each if dead]
        told = iter(self.lane.serve(notices, [1] * len(notices)))
        for ready, dead in each:
            if dead:
                arrivals.append(next(told) + self.delay)
                self.passed = max(self.passed, ready)
                continue
            self.emitter = max(self.emitter, ready, sent, self.passed)
            for _ in range(qubits):
                self.emitter += self.bin
            arrivals.append(self.emitter + self.delay)
        return arrivals

    def answers(self, sent: int, bits: int) -> int:
        return self.lane.serve([sent], [bits])[0] + self.delay

    def heralded(self, arrivals: list[int]) -> int:
        return max(self.heralds.serve(arrivals, [1] * len(arrivals))) + self.delay


@settings(max_examples=120, deadline=None, derandomize=True)
@given(fibers, st.lists(batches | classical, max_size=6))
def test_arrivals_are_those_of_one_copy_after_the_other(fiber: Fiber, sent: list[Any]) -> None:
    direction, clockwork = Direction("a->b", fiber, KEY), Clockwork(fiber)
    lossy = fiber.survival < 1
    now_ps = 0
    for number, (kind, later_ps, what, size) in enumerate(sent):
        sent_ps = now_ps = now_ps + later_ps  # a sender's clock never goes back
        if kind == "copies":
            dead = np.array([d for _, d in what], dtype=np.bool_)
            ready = np.array([r for r, _ in what], dtype=np.int64)
            states = np.eye(1, 1 << size, dtype=np.complex128)
            delivery = direction.carry(
                Copies(states, np.zeros(len(what), dtype=np.int64), ready, dead), sent_ps
            )
            assert isinstance(delivery.message, Copies)
            parts = delivery.message.take()
            expected = clockwork.copies(sent_ps, what, size)
            assert parts.ready_ps.tolist() == expected and parts.ready_ps.dtype == np.int64
            live = [time for time, (_, gone) in zip(expected, what, strict=True) if not gone]
            assert delivery.arrival_ps == delivery.record.arrival_ps == max(expected, default=sent_ps)
            heralded = clockwork.heralded(live) if lossy and live else sent_ps
            # Of those that were dead before the sender knew when their time bins had passed.
            assert delivery.herald_ps == max([heralded, *(time for time, gone in what if gone)])
            assert delivery.record.control_bits == len(what) - (0 if lossy else len(live))
            assert np.array_equal(delivery.lost, parts.lost) and (parts.lost | ~dead).all()
        else:
            delivery = direction.carry(Answers(np.zeros(what, dtype=np.int64), size), sent_ps)
            assert delivery.arrival_ps == clockwork.answers(sent_ps, what * size)
        # Copies that are handed on before they are there leave when the first of them is, dead or alive.
        first = min((time for time, _ in what), default=0) if kind == "copies" else 0
        assert delivery.record.number == number and delivery.record.sent_ps == max(sent_ps, first)
        exact = (delivery.arrival_ps, delivery.herald_ps, *delivery.record[3:])
        assert all(type(figure) is int for figure in exact)


@pytest.mark.parametrize("metres", [0, 1, 7, 999, 10_000, 123_457])
def test_light_takes_five_nanoseconds_a_metre(metres: int) -> None:
    assert Fiber(length_km=metres / 1000).delay_ps == 5000 * metres


@pytest.mark.parametrize(("bits", "bandwidth"), [(10**9 + 1, 3.0), (2**53 + 1, 1e12), (7, 0.7), (1, 3)])
def test_sending_times_are_exact_beyond_the_precision_of_floats(bits: int, bandwidth: float) -> None:
    took = Fiber(bandwidth_bps=bandwidth).sending_ps(bits)
    exact = Fraction(bits) * PS_PER_S / Fraction(bandwidth)
    assert took - 1 < exact <= took


@pytest.mark.parametrize(
    ("fiber", "sent_ps"),
    [
        (Fiber(emission_rate_hz=1e-9), 0),  # a time bin of 30 years
        (Fiber(length_km=1e6, speed_km_per_s=1e-6), 0),
        (Fiber(emission_rate_hz=1.0), CLOCK_END_PS - 5),
        (Fiber(emission_rate_hz=1e-6, bandwidth_bps=1e-9), 0),
    ],
)
@pytest.mark.parametrize("kind", ["copies", "answers"])
def test_the_clock_never_passes_its_end(fiber: Fiber, sent_ps: int, kind: str) -> None:
    direction = Direction("a->b", fiber, KEY)
    message: Any = Answers(np.arange(3), 2)
    if kind == "copies":
        zeros = np.zeros(40, dtype=np.int64)
        message = Copies(np.eye(1, 2, dtype=np.complex128), zeros, zeros, zeros > 0)
    elif fiber.bandwidth_bps is None and fiber.length_km == 0:
        assert direction.carry(message, sent_ps).arrival_ps == sent_ps  # the emitter has no part in it
        return
    with pytest.raises(ScenarioError, match=r"^a->b: .* would be under way .* 2\^62 ps"):
        direction.carry(message, sent_ps)


def test_the_clock_s_end_itself_can_be_reached() -> None:
    zeros = np.zeros(3, dtype=np.int64)
    copies = Copies(np.eye(1, 2, dtype=np.complex128), zeros, zeros, zeros > 0)
    sent_ps = CLOCK_END_PS - 1 - 3 * PS_PER_S
    assert (
        Direction("a->b", Fiber(emission_rate_hz=1.0), KEY).carry(copies, sent_ps).arrival_ps
        == CLOCK_END_PS - 1
    )
