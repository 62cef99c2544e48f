"""Heralding against a simulation of the optics, and pairs in time against a loop over events."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.channels.entanglement import pairs
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.heralding import (
    DoubleClick,
    Scheme,
    SingleClick,
    dark_count_probability,
    double_click,
    single_click,
)
from ketwire.channels.entanglement.laboratory import half_survival
from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S
from ketwire.errors import ScenarioError

Matrix = NDArray[Any]

fractions = st.floats(0.0, 1.0)
etas = st.floats(1e-3, 1.0)
darks = st.floats(0.0, 0.5)

# The optics, by creation operators. Modes: detector + and detector - in the wave packet of a, both
# again in what b's packet has besides, and the photons that a and b lose.
MODES = 6
FLIP_BOTH = np.fliplr(np.eye(4))
FLIP_B = np.kron(np.eye(2), [[0, 1], [1, 0]])
SIGN_A = np.kron(np.diag([1, -1]), np.eye(2))


def photon_of_a(eta: float) -> Matrix:
    here = math.sqrt(eta / 2)
    return np.array([here, here, 0, 0, math.sqrt(1 - eta), 0])


def photon_of_b(eta: float, overlap: float) -> Matrix:
    alike, other = math.sqrt(eta / 2) * overlap, math.sqrt(eta / 2) * math.sqrt(1 - overlap**2)
    return np.array([alike, -alike, other, -other, 0, math.sqrt(1 - eta)])


def click_operators(eta: float, dark: float, visibility: float) -> dict[int, list[Matrix]]:
    """For a click of detector + (1) or - (-1) alone: what it does to the memories, per photon pattern."""
    a, b = photon_of_a(eta), photon_of_b(eta, math.sqrt(visibility))
    amplitudes: dict[tuple[int, ...], Matrix] = {}

    def add(photons: list[int], memories: int, amplitude: float) -> None:
        pattern = tuple(photons.count(mode) for mode in range(MODES))
        amplitudes.setdefault(pattern, np.zeros(4))[memories] += amplitude

    add([], 0b00, 1.0)
    for mode in range(MODES):
        add([mode], 0b10, a[mode])
        add([mode], 0b01, b[mode])
    for one, other in itertools.product(range(MODES), repeat=2):
        add([one, other], 0b11, a[one] * b[other])
    found: dict[int, list[Matrix]] = {1: [], -1: []}
    for pattern, diagonal in amplitudes.items():
        norm = math.sqrt(math.prod(math.factorial(n) for n in pattern))
        plus, minus = pattern[0] + pattern[2], pattern[1] + pattern[3]
        for sign, clicked, silent in ((1, plus, minus), (-1, minus, plus)):
            probability = (1.0 if clicked else dark) * (0.0 if silent else 1.0 - dark)
            found[sign].append(math.sqrt(probability) * norm * np.diag(diagonal))
    return found


def conditional(operators: list[Matrix], rho: Matrix) -> Matrix:
    return np.asarray(sum(k @ rho @ k.T for k in operators))


def corrected(rho: Matrix, sign: int) -> Matrix:
    fix = FLIP_B @ (SIGN_A if sign < 0 else np.eye(4))
    return np.asarray(fix @ rho @ fix.T)


def single_click_by_optics(eta: float, dark: float, visibility: float, alpha: float) -> Matrix:
    memory = np.array([math.sqrt(1 - alpha), math.sqrt(alpha)])
    ket = np.kron(memory, memory)
    clicks = click_operators(eta, dark, visibility)
    return np.asarray(sum(corrected(conditional(clicks[s], np.outer(ket, ket)), s) for s in (1, -1)))


def double_click_by_optics(eta: float, dark: float, visibility: float) -> Matrix:
    clicks = click_operators(eta, dark, visibility)
    total = np.zeros((4, 4))
    for first, second in itertools.product((1, -1), repeat=2):
        rho = FLIP_BOTH @ conditional(clicks[first], np.full((4, 4), 0.25)) @ FLIP_BOTH
        total += corrected(conditional(clicks[second], rho), first * second)
    return total


@given(eta=etas, dark=darks, visibility=fractions, alpha=st.floats(1e-3, 0.999))
@settings(max_examples=40, deadline=None)
def test_single_click_is_what_the_optics_do(eta: float, dark: float, visibility: float, alpha: float) -> None:
    scheme = SingleClick(etas=(eta, eta), dark_count=dark, visibility=visibility, alpha=alpha)
    joint = single_click_by_optics(eta, dark, visibility, alpha)
    assert scheme.success_probability == pytest.approx(np.trace(joint), rel=1e-12)
    np.testing.assert_allclose(scheme.state(), joint / np.trace(joint), atol=1e-12)
    is_a_state(scheme)


@given(eta=etas, dark=darks, visibility=fractions)
@settings(max_examples=40, deadline=None)
def test_double_click_is_what_the_optics_do(eta: float, dark: float, visibility: float) -> None:
    scheme = DoubleClick(etas=(eta, eta), dark_count=dark, visibility=visibility)
    joint = double_click_by_optics(eta, dark, visibility)
    assert scheme.success_probability == pytest.approx(np.trace(joint), rel=1e-12)
    np.testing.assert_allclose(scheme.state(), joint / np.trace(joint), atol=1e-12)
    is_a_state(scheme)


def is_a_state(scheme: Scheme) -> None:
    rho = scheme.state()
    assert 0.0 < scheme.success_probability <= 1.0
    assert rho.shape == (4, 4) and rho.dtype == np.complex128
    assert np.trace(rho).real == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(rho, rho.conj().T)
    assert np.linalg.eigvalsh(rho).min() > -1e-12
    bell = pairs.bell_diagonal(rho)
    assert np.all(bell > -1e-12) and np.all(bell < 1 + 1e-12)


def test_small_values_give_the_formulas_of_the_literature() -> None:
    for alpha in (1e-3, 1e-2):
        single = SingleClick(etas=(1e-4, 1e-4), alpha=alpha)
        assert single.success_probability == pytest.approx(2 * alpha * 1e-4, rel=1e-3)
        assert pairs.fidelity(single.state()) == pytest.approx(1 - alpha, abs=2e-6)
        # What is missing is both memories bright: |10> after the X on half b, and not smeared out.
        assert single.state()[2, 2].real == pytest.approx(alpha, abs=2e-6)
        assert single.state()[1, 1] == 0.0
    double = DoubleClick(etas=(0.3, 0.3))
    assert double.success_probability == pytest.approx(0.3**2 / 2, rel=1e-12)
    assert pairs.fidelity(double.state()) == pytest.approx(1.0)
    # Visibility V costs the overlap once per photon: √V of one, V of two.
    assert pairs.fidelity(DoubleClick(etas=(0.3, 0.3), visibility=0.8).state()) == pytest.approx(0.9)
    faint = SingleClick(etas=(1e-4, 1e-4), visibility=0.81, alpha=1e-6)
    assert pairs.fidelity(faint.state()) == pytest.approx(0.95, abs=1e-5)


def test_dark_heralds_leave_separable_pairs() -> None:
    """Where nearly every herald is false no entanglement is left: the partial transpose is positive."""
    faint = (1e-9, 1e-9)
    for scheme in (SingleClick(faint, dark_count=1e-2, alpha=0.2), DoubleClick(faint, dark_count=1e-2)):
        rho = scheme.state().reshape(2, 2, 2, 2).transpose(0, 3, 2, 1).reshape(4, 4)
        assert np.linalg.eigvalsh(rho).min() > -1e-9
        assert pairs.fidelity(scheme.state()) <= 0.5
    dark = 1e-2
    assert DoubleClick((1e-9, 1e-9), dark_count=dark).success_probability == pytest.approx((2 * dark * (1 - dark)) ** 2)


def test_an_attempt_lasts_until_its_herald_or_for_the_emission() -> None:
    assert SingleClick((0.1, 0.1), delay_ps=70, period_ps=40, alpha=0.1).attempt_ps == 70
    assert DoubleClick((0.1, 0.1), delay_ps=70, period_ps=90).attempt_ps == 90
    long = Fiber(20.0, 0.2, p_init=0.1, detector_efficiency=0.8, emission_rate_hz=1e6)
    assert half_survival(long) == pytest.approx(0.9 * 0.8 * 10**-0.2)
    single = single_click(long, 0.05, 1e-7, 0.9)
    assert single == SingleClick((half_survival(long),) * 2, 10**8, 10**6, 1e-7, 0.9, alpha=0.05)
    assert (single.attempt_ps, single.age_ps) == (10**8, 10**8)  # 20 km at 2e5 km/s
    near = Fiber(0.02, emission_rate_hz=1e6)
    assert double_click(near).attempt_ps == 2 * 10**6 and double_click(near).age_ps == 10**5


def test_dark_counts_of_a_window() -> None:
    assert dark_count_probability(10.0, 1e6) == pytest.approx(1e-5, rel=1e-5)
    assert dark_count_probability(1e12, 1e6) == 1.0 and dark_count_probability(0.0, 1e6) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingleClick((0.1, 0.0), alpha=0.1), "etas: 0.0 given, expected a number above 0 to 1"),
        (lambda: SingleClick((0.1, 0.1), alpha=1.0), "alpha: 1.0 given, expected a number above 0 and below 1"),
        (lambda: SingleClick((0.1, 0.1), alpha=math.nan), "alpha: nan given"),
        (lambda: DoubleClick((1.1, 0.1)), "etas: 1.1 given"),
        (lambda: DoubleClick((0.1, 0.1), delay_ps=-1), "delay_ps: -1 given, expected a time from 0"),
        (lambda: DoubleClick((0.1, 0.1), period_ps=CLOCK_END_PS), "period_ps: 4611686018427387904 given"),
        (lambda: DoubleClick((0.1, 0.1), dark_count=1.0), "dark_count: 1.0 given, expected a number from 0 and below"),
        (lambda: DoubleClick((0.1, 0.1), visibility=-0.1), "visibility: -0.1 given, expected a number from 0 to 1"),
        (lambda: Given(0.0, 0.9), "rate_hz: 0.0 given, expected a number above 0"),
        (lambda: Given(math.inf, 0.9), "rate_hz: inf given"),
        (lambda: Given(10.0, 1.2), "fidelity: 1.2 given"),
        (lambda: Given(10.0, 0.9, 0.0), "success_probability: 0.0 given"),
        (lambda: Given(1e9, 0.9, 1e-3), "rate_hz: 1000000000.0 given, expected pairs a second from 2.2e-10 to 1e+06"),
    ],
)
def test_impossible_links_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


# Limits


def entropy(rho: Matrix) -> float:
    weights = np.linalg.eigvalsh(rho)
    weights = weights[weights > 1e-15]
    return float(-(weights * np.log2(weights)).sum())


def delivered(scheme: Scheme) -> float:
    """Coherent information per attempt, S(B) - S(AB)."""
    rho = scheme.state()
    half_b = np.einsum("ijik->jk", rho.reshape(2, 2, 2, 2))
    return scheme.success_probability * (entropy(half_b) - entropy(rho))


ALPHAS = (0.01, 0.03, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.5)


@pytest.mark.parametrize("length_km", [0.0, 1.0, 10.0, 50.0, 150.0, 300.0])
@pytest.mark.parametrize("dark", [0.0, 1e-6])
def test_no_scheme_beats_the_limit_with_one_station(length_km: float, dark: float) -> None:
    fiber = Fiber(length_km, 0.2)
    eta = 10 ** (-0.02 * length_km)
    limit = -math.log2(1 - math.sqrt(eta)) if eta < 1 else math.inf
    for visibility in (1.0, 0.9):
        assert delivered(double_click(fiber, dark, visibility)) < limit
        for alpha in ALPHAS:
            assert delivered(single_click(fiber, alpha, dark, visibility)) < limit


def test_single_click_beats_the_line_without_stations_far_away() -> None:
    best = max(delivered(single_click(Fiber(150.0, 0.2), alpha)) for alpha in ALPHAS)
    assert best / -math.log2(1 - 1e-3) == pytest.approx(2.5, abs=0.1)
    assert delivered(double_click(Fiber(150.0, 0.2))) < -math.log2(1 - 1e-3)


# Pairs in time


def by_events(ready: list[int], attempts: Matrix, attempt_ps: int, free: list[int]) -> tuple[list[int], ...]:
    """One pair after another: begin, herald, release."""
    slots, heralds, releases = list(free), [], []
    for i, (wanted, tried) in enumerate(zip(ready, attempts, strict=True)):
        heralds.append(slots[i % len(slots)] + int(tried) * attempt_ps)
        releases.append(max(heralds[-1], wanted))
        slots[i % len(slots)] = releases[-1]
    return heralds, releases, slots


@given(
    ready=st.lists(st.integers(0, 5000), max_size=40),
    free=st.lists(st.integers(0, 3000), min_size=1, max_size=7),
    eta=st.floats(0.05, 1.0),
    period_ps=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_pairs_in_time_are_what_a_loop_makes_of_them(
    ready: list[int], free: list[int], eta: float, period_ps: int, seed: int
) -> None:
    scheme = SingleClick((eta, eta), period_ps=period_ps, alpha=0.4)
    wanted, slots_free = np.array(ready, dtype=np.int64), np.array(free, dtype=np.int64)
    made = generate(wanted, scheme, len(free), slots_free, np.random.default_rng(seed))
    heralds, releases, slots = by_events(ready, made.attempts, period_ps, free)
    for array in made:
        assert array.dtype == np.int64
    assert made.herald_ps.tolist() == heralds
    assert made.release_ps.tolist() == releases
    assert made.free_ps.tolist() == slots
    assert np.all(made.attempts >= 1) and len(made.attempts) == len(ready)
    assert wanted.tolist() == ready and slots_free.tolist() == free  # inputs are left alone
    # In two batches, of which the first fills its rounds, the same happens.
    rng = np.random.default_rng(seed)
    cut = len(ready) // 2 // len(free) * len(free)
    one = generate(wanted[:cut], scheme, len(free), slots_free, rng)
    two = generate(wanted[cut:], scheme, len(free), one.free_ps, rng)
    assert [*one.herald_ps, *two.herald_ps] == heralds and two.free_ps.tolist() == slots


@pytest.mark.parametrize(
    "scheme",
    [SingleClick((0.3, 0.3), 10, alpha=0.2), DoubleClick((0.05, 0.05)), DoubleClick((1.0, 1.0)), Given(182.0, 0.94)],
)
def test_attempts_are_geometric(scheme: Scheme) -> None:
    count, p = 100_000, scheme.success_probability
    zeros = np.zeros(count, dtype=np.int64)
    attempts = generate(zeros, scheme, 4, zeros[:4], np.random.default_rng(5)).attempts
    deviation = math.sqrt(1 - p) / p
    assert abs(attempts.mean() - 1 / p) <= 4 * deviation / math.sqrt(count)
    first = (attempts == 1).mean()
    assert abs(first - p) <= 4 * math.sqrt(p * (1 - p) / count)
    # The fourth moment of a geometric variable is about 9 squared variances.
    assert attempts.var() == pytest.approx(deviation**2, rel=4 * math.sqrt(8 / count))


def test_a_given_rate_is_met_and_slots_multiply_it() -> None:
    scheme = Given(rate_hz=182.0, fidelity=0.94, success_probability=0.01)
    np.testing.assert_array_equal(scheme.state(), pairs.werner(0.94))
    assert scheme.age_ps == 0
    count = 40_000
    for slots in (1, 8):
        ready, free = np.zeros(count, dtype=np.int64), np.zeros(slots, dtype=np.int64)
        made = generate(ready, scheme, slots, free, np.random.default_rng(6))
        spent_s = made.free_ps.sum() / PS_PER_S
        assert abs(spent_s * 182 / count - 1) <= 4 / math.sqrt(count)
        assert made.free_ps.max() / PS_PER_S == pytest.approx(count / 182 / slots, rel=0.06)


def test_pairs_wait_for_what_consumes_them() -> None:
    """With certain heralds every time is known: 3 pairs in 2 slots, attempts of 10 ps."""
    certain = Given(rate_hz=1e8, fidelity=1.0, success_probability=1.0)
    ready, free = np.array([50_000, 0, 0]), np.array([0, 5_000])
    made = generate(ready, certain, 2, free, np.random.default_rng(0))
    assert made.herald_ps.tolist() == [10_000, 15_000, 60_000]  # the third begins when the first is gone
    assert made.release_ps.tolist() == [50_000, 15_000, 60_000]
    assert made.free_ps.tolist() == [60_000, 15_000]


def test_runs_beyond_the_clock_are_refused_before_anything_is_drawn() -> None:
    scheme = SingleClick((1e-3, 1e-3), delay_ps=10**8, alpha=1e-3)  # a pair takes 50 s
    free = np.zeros(1, dtype=np.int64)
    rng = np.random.default_rng(8)
    with pytest.raises(ScenarioError, match=r"10000000 pairs in 1 memory slot\(s\) take about .* 2\^62 ps"):
        generate(np.zeros(10_000_000, dtype=np.int64), scheme, 1, free, rng)
    with pytest.raises(ScenarioError, match=r"2\^62 ps"):
        generate(np.array([CLOCK_END_PS - 1]), scheme, 1, free, rng)
    assert rng.bit_generator.state == np.random.default_rng(8).bit_generator.state
    assert len(generate(np.zeros(0, dtype=np.int64), scheme, 1, free, rng).attempts) == 0
    made = generate(np.zeros(1000, dtype=np.int64), scheme, 1, free, rng)
    assert 0 < made.free_ps[0] < CLOCK_END_PS
