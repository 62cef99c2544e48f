"""Hopeless runs are refused before they start, with the number and with advice that works."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing, path_survival, refusal
from ketwire.channels.transports import Teleport
from ketwire.protocols.stream import BUDGET_ATTEMPTS

STANDARD = Fiber(length_km=10.0, loss_db_per_km=0.2)


def path(qubits: int, crossings: int, fiber: Fiber | Line = STANDARD) -> list[Crossing]:
    return [Crossing("a-b", fiber, qubits)] * crossings


@pytest.mark.parametrize(
    ("qubits", "crossings", "attempts", "passes"),
    [(8, 1, 8e4, True), (6, 3, 8e6, True), (8, 3, 1.3e8, False)],
)
def test_two_thousand_copies_at_ten_kilometres(
    qubits: int, crossings: int, attempts: float, passes: bool
) -> None:
    """The table's three cases: K = 2000, 0.2 dB/km, no other loss."""
    hops = path(qubits, crossings)
    assert 2000 / path_survival(hops) == pytest.approx(attempts, rel=0.03)
    told = refusal(hops, 2000)
    assert (told is None) == passes
    if told is not None:
        assert "2000 measured copies need about 1.3e+08 attempts" in told
        assert "budget_attempts = 1.0e+07" in told and "shorten the fiber to 7.70 km" in told


@pytest.mark.long
@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.integers(1, 12), st.integers(1, 5), st.floats(0.01, 500.0), st.floats(0.01, 5.0), st.floats(0.5, 1.0),
    st.integers(1, 10**6), st.integers(1, 10**9),
)  # fmt: skip
def test_advised_lengths_are_accepted_and_longer_ones_are_not(
    qubits: int, crossings: int, length_km: float, loss: float, efficiency: float, copies: int, budget: int
) -> None:
    fiber = Fiber(length_km=length_km, loss_db_per_km=loss, detector_efficiency=efficiency)
    told = refusal(path(qubits, crossings, fiber), copies, budget)
    assume(told is not None)
    assert told is not None
    advised = re.search(r"shorten the fiber to ([0-9.]+) km", told)
    if advised is None:  # no length helps: even without the fiber there are too few
        assert copies / efficiency ** (qubits * crossings) > budget * (1 - 1e-9)
        return
    shorter = float(advised.group(1))
    assert 0 < shorter < length_km
    assert refusal(path(qubits, crossings, replace(fiber, length_km=shorter)), copies, budget) is None
    longer = replace(fiber, length_km=shorter * 1.1)
    assert longer.length_km > length_km or refusal(path(qubits, crossings, longer), copies, budget)


def test_fibers_of_several_lengths_are_shortened_alike() -> None:
    quiet = Fiber(length_km=1000.0)
    fibers = [replace(STANDARD, length_km=length) for length in (5.0, 40.0)]
    hops = [Crossing("x", fiber, 8) for fiber in (*fibers, quiet)]
    told = refusal(hops, 2000)
    assert told is not None and "3 crossing(s)" in told
    advised = re.search(r"shorten the fibers to ([0-9.]+)% of their lengths", told)
    assert advised is not None
    share = float(advised.group(1)) / 100

    def scaled(by: float) -> list[Crossing]:
        return [replace(hop, physics=replace(hop.fiber, length_km=hop.fiber.length_km * by)) for hop in hops]

    assert refusal(scaled(share), 2000) is None and refusal(scaled(share * 1.1), 2000) is not None


def test_fewer_copies_are_advised_where_no_length_is_to_blame() -> None:
    hops = path(8, 1, Fiber(p_init=0.9))
    told = refusal(hops, 2000)
    assert told is not None
    advised = re.search(r"ask for at most (\d+) copies", told)
    assert advised is None and "use fewer qubits" in told  # 0.1^8 of 10^7: not even one
    hops = path(3, 1, Fiber(p_init=0.9))
    told = refusal(hops, 20_000)
    assert told is not None
    advised = re.search(r"ask for at most (\d+) copies", told)
    assert advised is not None
    most = int(advised.group(1))
    assert refusal(hops, most) is None and refusal(hops, most + 2) is not None


def test_a_blocked_crossing_is_named_for_what_it_is() -> None:
    for dark in (Fiber(p_init=1.0), Fiber(detector_efficiency=0.0)):
        assert "no copy can arrive" in str(refusal([*path(2, 1), Crossing("b-c", dark, 2)], 1))


@pytest.mark.parametrize("length_km", [700.0, 5000.0, 1e6])
def test_hopeless_distances_are_refused_with_their_number(length_km: float) -> None:
    """Also where the chance of survival is below the smallest float."""
    told = refusal(path(8, 3, replace(STANDARD, length_km=length_km)), 2000)
    decades = round(0.02 * length_km * 24)
    assert told is not None and re.search(rf"need about 2\.0e\+{decades + 3} attempts", told)
    assert "shorten the fiber to 7.70 km" in told


def test_runs_beyond_the_clock_are_refused() -> None:
    """10^6 copies of 5 qubits in bins of a second are 5 10^6 s, beyond 2^62 ps = 4.6 10^6 s."""
    slow = Fiber(emission_rate_hz=1.0)
    told = refusal(path(5, 1, slow), 10**6)
    assert told is not None and "2^62 ps" in told and "5.0e+06 s" in told
    assert refusal(path(4, 1, slow), 10**6) is None
    far = Fiber(length_km=1e6, speed_km_per_s=0.1)
    assert "2^62 ps" in str(refusal(path(1, 1, far), 1))


def test_beyond_the_clock_too_the_advice_works_or_says_that_none_does() -> None:
    def pairs(length_km: float, dark_count: float = 1.4e-5, **of: Any) -> list[Crossing]:
        fiber = replace(STANDARD, length_km=length_km)
        return path(8, 3, Line(fiber, transport=Teleport(dark_count=dark_count, **of)))

    assert refusal(pairs(100.0), 2000) is None
    told = str(refusal(pairs(380.0, dark_count=1e-7), 2000))
    assert "2^62 ps" in told and "scheme: single-click with alpha: 0.1 on " in told
    assert refusal(pairs(380.0, dark_count=1e-7, scheme="single-click", alpha=0.1), 2000) is None
    # Dark counts herald in time, but no pairs; and a station midway sees nothing else from 1,000 km.
    for hopeless in (pairs(380.0, dark_count=1e-4), pairs(1000.0, dark_count=0.0)):
        assert "no other transport over the same fibers is in time" in str(refusal(hopeless, 2000))
        assert "via" in str(refusal(hopeless, 2000)) and "single-click" not in str(refusal(hopeless, 2000))
    # Bins of a second: pairs need but one of them.
    slow = path(5, 1, Fiber(length_km=1.0, loss_db_per_km=0.2, emission_rate_hz=1.0))
    assert "no other transport" in str(refusal(slow, 10**6))


def test_a_direction_used_twice_a_copy_counts_twice() -> None:
    """Two crossings of one emitter by each copy: its time, not that of one crossing."""
    slow = Fiber(emission_rate_hz=1.0)
    assert refusal(path(3, 1, slow), 10**6) is None
    assert "2^62 ps" in str(refusal(path(3, 2, slow), 10**6))


def test_nothing_that_crosses_nothing_is_refused() -> None:
    assert refusal([], 10**6) is None and path_survival([]) == 1.0


def test_streams_and_refusals_share_a_budget() -> None:
    from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS

    assert BUDGET_ATTEMPTS == DEFAULT_BUDGET_ATTEMPTS
