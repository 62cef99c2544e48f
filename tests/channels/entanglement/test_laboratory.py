"""Laboratories' links against optics photon by photon, Kraus operators, and a loop over attempts."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.distill import Schedule, distill
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.heralding import (
    DoubleClick,
    SingleClick,
    double_click,
    fresh_elements,
    mean_ps,
    single_click,
)
from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.entanglement.pairs import bell_diagonal, decayed_bell, diagonal, fidelity
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.transports import Teleport
from ketwire.scenarios.schema.chains import joined, line
from ketwire.scenarios.schema.laboratories import LABORATORY_KEYS
from ketwire.scenarios.schema.links import Link

Matrix = NDArray[Any]
PAULIS = [np.eye(2), np.fliplr(np.eye(2)), np.array([[0, -1j], [1j, 0]]), np.diag([1.0, -1.0])]
FLIP_BOTH, FLIP_B = np.kron(PAULIS[1], PAULIS[1]), np.kron(PAULIS[0], PAULIS[1])
SIGN_A = np.kron(PAULIS[3], PAULIS[0])
# Modes of one round: both detectors in the packet of a, both in what b's packet has besides, lost by a, lost by b,
# and the photons that a and b emit unseen beside their first.
MODES = 8
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(24)


def emitted(
    etas: tuple[float, float], overlap: float, doubles: float, phase: float
) -> tuple[dict[tuple[int, ...], complex], dict[tuple[int, ...], complex]]:
    """Of each node, when its memory is bright: amplitudes by the modes of the photons that it emits."""
    a, b = math.sqrt(etas[0] / 2), math.sqrt(etas[1] / 2)
    rest = math.sqrt(1 - overlap**2)
    of_a = {(0,): a, (1,): a, (4,): math.sqrt(1 - etas[0])}
    of_b = {(0,): b * overlap, (1,): -b * overlap, (2,): b * rest, (3,): -b * rest, (5,): math.sqrt(1 - etas[1])}
    turned = np.exp(1j * phase)
    once, twice = math.sqrt(1 - doubles), math.sqrt(doubles)

    def with_extra(photon: dict[tuple[int, ...], float], extra: int, by: complex) -> dict[tuple[int, ...], complex]:
        seen = {modes: amplitude * by for modes, amplitude in photon.items()}
        return {key: each * once for key, each in seen.items()} | {
            (*key, extra): each * twice for key, each in seen.items()
        }

    return with_extra(of_a, 6, 1.0), with_extra(of_b, 7, turned)


def herald_operators(
    etas: tuple[float, float], dark: float, visibility: float, doubles: float, phase: float
) -> dict[int, list[Matrix]]:
    """For a click of one detector alone: what it does to the memories, for each pattern of photons."""
    of_a, of_b = emitted(etas, math.sqrt(visibility), doubles, phase)
    amplitudes: dict[tuple[int, ...], Matrix] = {}
    nothing: dict[tuple[int, ...], complex] = {(): 1.0}
    for memories, (from_a, from_b) in enumerate(itertools.product((nothing, of_a), (nothing, of_b))):
        for one, other in itertools.product(from_a, from_b):
            pattern = tuple((one + other).count(mode) for mode in range(MODES))
            amplitudes.setdefault(pattern, np.zeros(4, dtype=complex))[memories] += from_a[one] * from_b[other]
    found: dict[int, list[Matrix]] = {1: [], -1: []}
    for pattern, amplitude in amplitudes.items():
        norm = math.sqrt(math.prod(math.factorial(n) for n in pattern))
        plus, minus = pattern[0] + pattern[2], pattern[1] + pattern[3]
        for sign, clicked, silent in ((1, plus, minus), (-1, minus, plus)):
            chance = (1.0 if clicked else dark) * (0.0 if silent else 1.0 - dark)
            found[sign].append(math.sqrt(chance) * norm * np.diag(amplitude))
    return found


def conditional(operators: list[Matrix], rho: Matrix) -> Matrix:
    return np.asarray(sum(k @ rho @ k.conj().T for k in operators))


def corrected(rho: Matrix, sign: int) -> Matrix:
    fix = FLIP_B @ (SIGN_A if sign < 0 else np.eye(4))
    return np.asarray(fix @ rho @ fix.T)


def single_by_optics(
    etas: tuple[float, float], dark: float, visibility: float, alpha: float, doubles: float, noise_deg: float
) -> Matrix:
    memory = np.array([math.sqrt(1 - alpha), math.sqrt(alpha)])
    ket = np.kron(memory, memory)
    total = np.zeros((4, 4), dtype=complex)
    for node, weight in zip(NODES, WEIGHTS / WEIGHTS.sum(), strict=True):
        operators = herald_operators(etas, dark, visibility, doubles, math.radians(noise_deg) * node)
        for sign in (1, -1):
            total += weight * corrected(conditional(operators[sign], np.outer(ket, ket)), sign)
    return total


def double_by_optics(
    etas: tuple[float, float], dark: float, visibility: float, doubles: float, phase: float
) -> Matrix:
    """With any phase between the two paths, which is the same in both rounds."""
    clicks = herald_operators(etas, dark, visibility, doubles, phase)
    total = np.zeros((4, 4), dtype=complex)
    for first, second in itertools.product((1, -1), repeat=2):
        rho = FLIP_BOTH @ conditional(clicks[first], np.full((4, 4), 0.25)) @ FLIP_BOTH
        total += corrected(conditional(clicks[second], rho), first * second)
    return total


def errors(pair_fidelity: float) -> Iterator[Matrix]:
    """Kraus operators of both memories whose pairs with their photons are Werner states of this fidelity."""
    weights = [pair_fidelity, *[(1 - pair_fidelity) / 3] * 3]
    for (p, a), (q, b) in itertools.product(zip(weights, PAULIS, strict=True), repeat=2):
        yield math.sqrt(p * q) * np.kron(a, b)


fractions, etas_, darks = st.floats(0.0, 1.0), st.floats(1e-3, 1.0), st.floats(0.0, 0.5)


@given(
    a=etas_, b=etas_, dark=darks, visibility=fractions, alpha=st.floats(1e-3, 0.999), doubles=fractions,
    noise_deg=st.floats(0.0, 90.0), emission=st.floats(0.25, 1.0),
)  # fmt: skip
@settings(max_examples=8, deadline=None)
def test_single_clicks_of_real_emitters_are_what_the_optics_do(
    a: float, b: float, dark: float, visibility: float, alpha: float, doubles: float, noise_deg: float, emission: float
) -> None:
    own = Laboratory(emission_fidelity=emission, phase_noise_deg=noise_deg, double_excitation=doubles)
    scheme = SingleClick((a, b), dark_count=dark, visibility=visibility, laboratory=own, alpha=alpha)
    joint = single_by_optics((a, b), dark, visibility, alpha, doubles, noise_deg)
    assert scheme.success_probability == pytest.approx(np.trace(joint).real, rel=1e-11)
    pair = conditional(list(errors(emission)), joint / np.trace(joint))
    np.testing.assert_allclose(scheme.state(), pair, atol=1e-11)


@given(
    a=etas_, b=etas_, dark=darks, visibility=fractions, doubles=fractions, phase=st.floats(0.0, 6.3),
    emission=st.floats(0.25, 1.0),
)  # fmt: skip
@settings(max_examples=15, deadline=None)
def test_double_clicks_of_real_emitters_are_what_the_optics_do(
    a: float, b: float, dark: float, visibility: float, doubles: float, phase: float, emission: float
) -> None:
    own = Laboratory(emission_fidelity=emission, double_excitation=doubles)
    scheme = DoubleClick((a, b), dark_count=dark, visibility=visibility, laboratory=own)
    joint = double_by_optics((a, b), dark, visibility, doubles, phase)
    assert scheme.success_probability == pytest.approx(np.trace(joint).real, rel=1e-11)
    pair = conditional(list(errors(emission)), joint / np.trace(joint))
    np.testing.assert_allclose(scheme.state(), pair, atol=1e-11)


def test_two_good_ions_make_the_pair_of_two_werner_states() -> None:
    """F_a F_b + (1 - F_a)(1 - F_b) / 3: .938 at each end gives .8811 (Innsbruck, 230 m)."""
    scheme = DoubleClick((1e-2, 1e-2), laboratory=Laboratory(emission_fidelity=0.938))
    assert fidelity(scheme.state()) == pytest.approx(0.938**2 + 0.062**2 / 3, abs=1e-12)


# ---------------------------------------------------------------- times


KM_PS = 5_000_000  # of light, at 2e5 km/s


def test_a_station_off_the_middle_takes_the_longer_side_there_and_back() -> None:
    fiber = Fiber(25.0, 0.2, p_init=0.5)
    scheme = single_click(fiber, 0.1, laboratory=Laboratory(station_km=15.0))
    assert scheme.etas == (pytest.approx(0.5 * 10**-0.3), pytest.approx(0.5 * 10**-0.2))
    assert scheme.attempt_ps == 30 * KM_PS
    assert (scheme.age_ps, scheme.older_ps) == (25 * KM_PS, (5 * KM_PS, 0))
    turned = Laboratory(station_km=15.0, side_loss_db=(5.6, 5.2), side_efficiency=(0.1, 0.2)).turned(25.0)
    assert turned == Laboratory(station_km=10.0, side_loss_db=(5.2, 5.6), side_efficiency=(0.2, 0.1))
    other = double_click(fiber, laboratory=turned)
    assert other.etas == (pytest.approx(0.2 * 10**-0.52), pytest.approx(0.1 * 10**-0.56))
    assert other.older_ps == (0, 5 * KM_PS)


def test_each_half_decays_from_its_own_emission_on() -> None:
    """Half a left 30 km of light before the herald, half b 25; then both wait for 7 more."""
    scheme = single_click(Fiber(25.0, 0.2), 0.2, laboratory=Laboratory(station_km=15.0))
    t1_ps, t2_ps = (9e8, 4e8), (3e8, 5e8)
    six = fresh_elements(scheme, t1_ps, t2_ps)
    waited = np.array([scheme.age_ps + 7 * KM_PS])
    found = decayed_bell(six, waited, waited, t1_ps, t2_ps)
    rho = scheme.state()
    for half, (t1, t2, km) in enumerate(zip(t1_ps, t2_ps, (37, 32), strict=True)):
        fallen, kept = -math.expm1(-km * KM_PS / t1), math.exp(-km * KM_PS / t2 + km * KM_PS / (2 * t1))
        damping = [np.diag([1.0, math.sqrt(1 - fallen)]), np.array([[0, math.sqrt(fallen)], [0, 0]])]
        dephasing = [math.sqrt((1 + kept) / 2) * PAULIS[0], math.sqrt((1 - kept) / 2) * PAULIS[3]]
        for operators in (damping, dephasing):
            wide = [np.kron(k, np.eye(2)) if half == 0 else np.kron(np.eye(2), k) for k in operators]
            rho = conditional(wide, rho)
    np.testing.assert_allclose(found[0], bell_diagonal(rho), atol=1e-12)


def by_attempts(attempt_ps: int, herald_ps: int, success: float, pairs: int, rng: np.random.Generator) -> list[int]:
    """When each pair is heralded in one memory slot, used at once; attempts one by one."""
    now_ps, heralds = 0, []
    for _ in range(pairs):
        while True:
            begun_ps, now_ps = now_ps, now_ps + attempt_ps
            if rng.random() < success:
                break
        now_ps = max(now_ps, begun_ps + herald_ps)
        heralds.append(now_ps)
    return heralds


@pytest.mark.parametrize(
    "own",
    [
        Laboratory(attempt_ps=200 * KM_PS),
        Laboratory(attempt_ps=2 * KM_PS, wait_for_herald=False),
        Laboratory(duty_cycle=0.4, station_km=6.0),
        Laboratory(attempt_ps=20 * KM_PS, wait_for_herald=False, duty_cycle=0.9, station_km=2.0),
    ],
)
def test_times_to_a_pair_are_those_of_a_loop_over_attempts(own: Laboratory) -> None:
    fiber, pairs = Fiber(22.0, 0.0, p_init=0.9), 2000
    scheme = single_click(fiber, 0.3, laboratory=own)
    herald_ps = max(22, 2 * max(own.station_km or 11, 22 - (own.station_km or 11))) * KM_PS
    attempt_ps = (own.attempt_ps or 0) if not own.wait_for_herald else max(own.attempt_ps or 0, herald_ps)
    assert scheme.herald_ps == herald_ps
    loop = by_attempts(round(attempt_ps / own.duty_cycle), round(herald_ps), scheme.success_probability, pairs,
                       np.random.default_rng(1))  # fmt: skip
    nothing = np.zeros(pairs, dtype=np.int64)
    made = generate(nothing, scheme, 1, nothing[:1], np.random.default_rng(2))
    steps = np.diff(made.herald_ps, prepend=0), np.diff(loop, prepend=0)
    assert steps[0].min() >= herald_ps and steps[1].min() >= herald_ps
    deviation = math.hypot(*(each.std() for each in steps)) / math.sqrt(pairs)
    assert abs(steps[0].mean() - steps[1].mean()) <= 4.5 * deviation
    assert abs(steps[0].mean() - mean_ps(scheme)) <= 4.5 * steps[0].std() / math.sqrt(pairs)


def test_a_given_rate_keeps_its_mean_with_any_attempt() -> None:
    own = Laboratory(attempt_ps=2_040_000_000)
    transport = Teleport(scheme="given", rate_hz=8.8, bell=(0.9, 0.05, 0.03, 0.02), laboratory=own)
    scheme = transport.pairs(Line(Fiber(25.0), transport=transport))
    assert isinstance(scheme, Given)
    assert scheme.success_probability == pytest.approx(0.018, rel=3e-3) and scheme.attempt_ps == 2_040_000_000
    assert mean_ps(scheme) == pytest.approx(1e12 / 8.8)
    np.testing.assert_allclose(bell_diagonal(scheme.state()), [0.9, 0.05, 0.03, 0.02])


def test_distilled_pairs_of_a_station_off_the_middle_decay_as_long_as_they_are() -> None:
    """With memories that forget the far half at once nothing is left to distil."""
    scheme = single_click(Fiber(20.0, 0.0, p_init=0.5), 0.3, laboratory=Laboratory(station_km=20.0))
    zeros = np.zeros(400, dtype=np.int64)
    far = {"t1_ps": (math.inf, math.inf), "t2_ps": (20 * KM_PS, math.inf)}
    good = distill(zeros, scheme, Schedule(), 400, zeros, rng=np.random.default_rng(3), **far)
    plain = distill(zeros, scheme, Schedule(), 400, zeros, rng=np.random.default_rng(3), t1_ps=math.inf, t2_ps=math.inf)
    # Half a of each is 40 km of light old where half b is 20.
    assert diagonal(good.elements)[:, 0].mean() < diagonal(plain.elements)[:, 0].mean() * 0.75


# ---------------------------------------------------------------- what a scenario says


ODD: dict[str, Any] = {
    "transport": "teleport", "scheme": "single-click", "alpha": 0.1, "length_km": 25.0, "station_km": 15.0,
    "side_loss_db": [5.6, 5.2], "side_efficiency": [0.1, 0.2], "duty_cycle": 0.4, "attempt_s": 2e-4,
    "emission_fidelity": 0.9, "phase_noise_deg": 15.0, "double_excitation": 0.04,
}  # fmt: skip


def test_sides_are_those_of_the_two_nodes_in_both_directions_and_in_chains() -> None:
    link = Link(between=("alice", "r"), fiber="telecom-fiber", **ODD)
    there = link.line(Hardware(), Hardware())
    back = link.line(Hardware(), Hardware(), "backward")
    assert isinstance(there.transport, Teleport) and isinstance(back.transport, Teleport)
    assert (there.transport.laboratory.station_km, back.transport.laboratory.station_km) == (15.0, 10.0)
    assert back.transport == there.transport.turned(there)
    assert there.transport.pairs(there).success_probability == back.transport.pairs(back).success_probability
    assert fidelity(there.transport.pairs(there).state()) == fidelity(back.transport.pairs(back).state())
    near = Link(between=("r", "bob"), fiber="telecom-fiber", transport="teleport", length_km=5.0)
    whole = Link(between=("alice", "bob"), fiber="telecom-fiber", transport="teleport", via=("r",))
    between = joined([link, near, whole])
    hardware = {name: Hardware() for name in ("alice", "r", "bob")}
    for ends, place in ((("alice", "bob"), 1), (("bob", "alice"), 0)):
        chain = line(between, whole, hardware, *ends).transport
        assert isinstance(chain, Chain)
        # Pairs grow from the receiver, so from bob the hop to alice comes last, and there r is its sender.
        hop = chain.hops[place].transport
        assert isinstance(hop, Teleport) and hop.laboratory.station_km == (10.0 if place else 15.0)


def test_a_process_is_told_the_whole_laboratory() -> None:
    made = Link(between=("alice", "bob"), fiber="telecom-fiber", **ODD).line(Hardware(), Hardware())
    assert line_of(json.loads(json.dumps(told(made)))) == made


def test_what_a_key_has_in_it_is_refused_beside_it_and_resolved_links_are_read_again() -> None:
    link = Link(between=("alice", "bob"), fiber="telecom-fiber", **ODD)
    resolved = link.model_dump(mode="json")
    assert {key: resolved[key] for key in ODD} == ODD
    assert (resolved["emission_rate_hz"], resolved["loss_db_per_km"], resolved["p_init"]) == (None, 0.0, 0.0)
    again = Link.model_validate_json(json.dumps(resolved), strict=True)
    assert again.line(Hardware(), Hardware()) == link.line(Hardware(), Hardware())
    assert not LABORATORY_KEYS & Link(between=("alice", "bob"), fiber="telecom-fiber").model_dump().keys()
    for key, value, has in (
        ("emission_rate_hz", 1e6, "attempt_s"), ("loss_db_per_km", 0.2, "side_loss_db"),
        ("p_init", 0.5, "side_efficiency"), ("detector_efficiency", 0.5, "side_efficiency"),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match=f"expected nothing here: {has} has it in it"):
            Link(between=("alice", "bob"), fiber="telecom-fiber", **ODD, **{key: value})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"attempt_ps": 10}, "attempt_ps: 10 given, expected at least 0.000125 s, which the herald takes, or wait_for"),
        ({"station_km": 26.0}, "station_km: 26.0 given, expected a place on the fiber, 0 to length_km, 25"),
        ({"side_loss_db": (-1.0, 0.0)}, "side_loss_db: [-1.0, 0.0] given, expected two of 0 to 1000 dB"),
        ({"side_efficiency": (0.0, 1.0)}, "side_efficiency: [0.0, 1.0] given, expected two probabilities above 0"),
        ({"wait_for_herald": False, "attempt_ps": 10**10}, "wait_for_herald: false given, expected true, as no att"),
        ({"emission_fidelity": 0.2}, "emission_fidelity: 0.2 given, expected a number from 0.25 to 1"),
        ({"duty_cycle": 0.0}, "duty_cycle: 0.0 given, expected a number from 1e-12 to 1"),
        ({"phase_noise_deg": 3.0}, "phase_noise_deg: 3.0 given, expected nothing for the scheme double-click"),
    ],
)
def test_impossible_laboratories_are_refused_by_name(own: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        double_click(Fiber(25.0, 0.2), laboratory=Laboratory(**own))
    assert str(caught.value).startswith(message)
