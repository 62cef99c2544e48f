"""Distillation against its circuits on four qubits, and its process in time against one party at a time."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.channels.entanglement import pairs
from ketwire.channels.entanglement.distill import Distilled, Schedule, distill, plan
from ketwire.channels.entanglement.generation import serve_slots
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.heralding import DoubleClick, Scheme, SingleClick
from ketwire.channels.entanglement.rounds import PERFECT_ENDS, Ends, bbpssw, dejmps, epl, errors_of, gates_ps
from ketwire.channels.parts import Gates
from ketwire.errors import ScenarioError

Matrix = NDArray[Any]
seeds = st.integers(0, 2**32 - 1)
ERRING = Gates(40, 200, 900, 0.03, 0.05, (0.02, 0.08)), Gates(70, 30, 1500, 0.01, 0.1, (0.04, 0.04))
FOREVER: dict[str, Any] = {"t1_ps": math.inf, "t2_ps": math.inf}


def kron(*factors: Matrix) -> Matrix:
    return reduce(np.kron, factors)


def bilateral_cnot() -> Matrix:
    """Qubits a b (kept) and c d (measured): CNOT from a to c and from b to d."""
    gate = np.zeros((16, 16))
    for index in range(16):
        a, b, c, d = (index >> shift & 1 for shift in (3, 2, 1, 0))
        gate[a << 3 | b << 2 | (c ^ a) << 1 | (d ^ b), index] = 1
    return gate


def round_by_circuit(first: Matrix, second: Matrix, quarter_turns: bool) -> tuple[float, Matrix]:
    """Success and kept pair of one round on density matrices."""
    rho = np.kron(first, second)
    if quarter_turns:
        at_a = np.array([[1, -1j], [-1j, 1]]) / math.sqrt(2)
        turn = kron(at_a, at_a.conj(), at_a, at_a.conj())
        rho = turn @ rho @ turn.conj().T
    cnot = bilateral_cnot()
    rho = cnot @ rho @ cnot.T
    kept = np.zeros((4, 4), dtype=complex)
    for outcome in (0, 1):
        onto = np.kron(np.eye(4), np.eye(4)[[3 * outcome]])
        kept += onto @ rho @ onto.T
    success = float(np.trace(kept).real)
    return success, kept / success


def random_bell(seed: int, count: int) -> Matrix:
    return np.random.default_rng(seed).dirichlet([1.5, 0.7, 0.7, 0.7], size=count)


# One round


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_dejmps_is_what_its_circuit_does(seed: int) -> None:
    first, second = random_bell(seed, 4), random_bell(seed + 1, 4)
    found = dejmps(first, second)
    for i in range(4):
        success, kept = round_by_circuit(pairs.from_bell(first[i]), pairs.from_bell(second[i]), True)
        assert found.success[i] == pytest.approx(success, abs=1e-13)
        np.testing.assert_allclose(pairs.from_bell(found.bell[i]), kept, atol=1e-13)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_bbpssw_is_what_its_circuit_does(seed: int) -> None:
    first, second = random_bell(seed, 4), random_bell(seed + 1, 4)
    found = bbpssw(first, second)
    for i in range(4):
        success, kept = round_by_circuit(pairs.werner(first[i, 0]), pairs.werner(second[i, 0]), False)
        assert found.success[i] == pytest.approx(success, abs=1e-13)
        assert found.bell[i, 0] == pytest.approx(pairs.fidelity(kept), abs=1e-13)
        assert len(set(found.bell[i, 1:])) == 1 and found.bell[i].sum() == pytest.approx(1.0)


def test_equal_pairs_follow_the_published_formulas() -> None:
    fidelity = np.linspace(0.0, 1.0, 41)
    e = (1 - fidelity) / 3
    werner = pairs.werner_bell(fidelity)
    success, bell = bbpssw(werner, werner)
    np.testing.assert_allclose(success, fidelity**2 + 2 * fidelity * e + 5 * e**2, atol=1e-15)
    np.testing.assert_allclose(bell[:, 0], (fidelity**2 + e**2) / success, atol=1e-15)
    a, b, c, d = random_bell(3, 50).T
    success, bell = dejmps(np.stack([a, b, c, d], -1), np.stack([a, b, c, d], -1))
    n = (a + b) ** 2 + (c + d) ** 2
    np.testing.assert_allclose(success, n, atol=1e-15)
    expected = np.stack([a**2 + b**2, 2 * c * d, c**2 + d**2, 2 * a * b], -1) / n[:, None]
    np.testing.assert_allclose(bell, expected, atol=1e-15)


def test_werner_pairs_gain_between_a_half_and_one_only() -> None:
    fidelity = np.array([0.25, 0.5, 1.0])
    same = bbpssw(pairs.werner_bell(fidelity), pairs.werner_bell(fidelity))
    np.testing.assert_allclose(same.bell[:, 0], fidelity, atol=1e-15)
    better = np.linspace(0.51, 0.99, 20)
    assert np.all(bbpssw(pairs.werner_bell(better), pairs.werner_bell(better)).bell[:, 0] > better)
    worse = np.linspace(0.26, 0.49, 20)
    assert np.all(bbpssw(pairs.werner_bell(worse), pairs.werner_bell(worse)).bell[:, 0] < worse)


def test_a_round_that_cannot_succeed_says_so() -> None:
    success, bell = dejmps(np.array([1.0, 0, 0, 0]), np.array([0, 0, 1.0, 0]))
    assert success == 0.0 and bell.tolist() == [0, 0, 0, 0]


# The process in time, one delivery at a time. Each is a generator that asks for attempts ("try") or
# for a number in [0, 1) ("draw"), and carries whole density matrices.


@dataclass
class Held:
    rho: Matrix
    since_ps: int
    tried: int = 0  # attempts before it waited


def done(schedule: Schedule, aged: list[Matrix], ends: Ends, order: Matrix) -> tuple[Any, Matrix]:
    """A round on two density matrices: its success and the pair that is left."""
    if schedule.protocol == "epl":
        success, six = epl(*(pairs.elements(rho) for rho in aged), ends)
        left = np.diag(six[:4]).astype(complex)
        left[0, 3] = left[3, 0] = six[4]
        left[1, 2] = left[2, 1] = six[5]
        return success, left
    bells = [pairs.bell_diagonal(rho) for rho in aged]
    errors = errors_of(ends)
    success, bell = bbpssw(*bells, errors) if schedule.protocol == "bbpssw" else dejmps(*bells, errors, order)
    return success, pairs.from_bell(bell)


def delivery(
    scheme: Any, schedule: Schedule, memory: tuple[float, float], ends: Ends, per_attempt: float
) -> Generator[str, Any, tuple[Any, ...]]:
    clock, used, tried = 0, 0, 0
    orders = plan(scheme, schedule, ends).orders
    stack: list[tuple[int, Held]] = []  # levels and pairs, the latest last
    while True:
        attempts = yield "try"
        clock, used, tried = clock + attempts * scheme.attempt_ps, used + 1, tried + attempts
        stack.append((0, Held(scheme.state(), clock - scheme.age_ps, tried)))
        late = schedule.cutoff_attempts is not None and attempts > schedule.cutoff_attempts
        if len(stack) > 1 and late:
            del stack[-2]
        while len(stack) > 1 and (schedule.arrangement == "pumping" or stack[-1][0] == stack[-2][0]):
            aged, clock = [], clock + gates_ps(schedule.protocol, ends)
            for _, held in stack[-2:]:
                waited = np.array([clock - held.since_ps])
                rho = pairs.decay_pairs(held.rho, waited, waited, *memory)[0]
                rho[~np.eye(4, dtype=bool)] *= math.exp(-per_attempt * (tried - held.tried))
                aged.append(rho)
            level = stack[-2][0]
            del stack[-2:]
            success, left = done(schedule, aged, ends, orders[level])
            passed = (yield "draw") < success
            made, clock = clock, clock + scheme.outcome_ps
            if not passed:
                break
            if level + 1 == schedule.rounds:
                return clock, made, pairs.elements(left), used, tried
            stack.append((level + 1, Held(left, made, tried)))
            if schedule.arrangement == "pumping":
                break


def one_after_another(
    count: int, scheme: Any, schedule: Schedule, memory: tuple[float, float], ends: Ends, rng: np.random.Generator,
    per_attempt: float = 0.0,
) -> list[tuple[Any, ...]]:
    """Deliveries served by the draws of `distill`: a wave of attempts, then of outcomes level by level."""
    running = {i: delivery(scheme, schedule, memory, ends, per_attempt) for i in range(count)}
    asks = {i: next(one) for i, one in running.items()}
    done: dict[int, tuple[Any, ...]] = {}

    def serve(which: list[int], answers: Any) -> None:
        for i, answer in zip(which, answers, strict=True):
            try:
                asks[i] = running[i].send(answer)
            except StopIteration as ended:
                done[i] = ended.value
                del asks[i]

    while asks:
        trying = list(asks)
        serve(trying, rng.geometric(scheme.success_probability, size=len(trying)).tolist())
        while drawing := [i for i, what in asks.items() if what == "draw"]:
            serve(drawing, rng.random(len(drawing)))
    return [done[i] for i in range(count)]


SCHEMES: dict[str, Scheme] = {
    "single": SingleClick((0.4, 0.4), delay_ps=1000, dark_count=1e-3, visibility=0.9, handling_ps=70, alpha=0.15),
    "double": DoubleClick((0.7, 0.7), delay_ps=300, period_ps=900, dark_count=1e-4, visibility=0.85),
    "given": Given(1e7, 0.8, 0.3, outcome_ps=2000),
}


@pytest.mark.parametrize("arrangement", ["nested", "pumping"])
@pytest.mark.parametrize("protocol", ["dejmps", "bbpssw"])
@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("name", SCHEMES)
def test_side_by_side_is_one_after_another(arrangement: Any, protocol: Any, rounds: int, name: str) -> None:
    """All times, counts and states, with memories that decay while pairs wait, and gates that take time and err."""
    compare(Schedule(rounds, protocol, arrangement), name, PERFECT_ENDS if rounds == 1 else ERRING)


@pytest.mark.parametrize("ends", [PERFECT_ENDS, ERRING])
def test_epl_side_by_side_is_one_after_another(ends: Ends) -> None:
    compare(Schedule(1, "epl"), "single", ends)


@pytest.mark.parametrize("arrangement", ["nested", "pumping"])
def test_pairs_that_wait_decay_with_attempts(arrangement: Any) -> None:
    compare(Schedule(2, "dejmps", arrangement), "double", ERRING, 0.03)
    compare(Schedule(1, "epl", arrangement), "single", ERRING, 0.05)


@pytest.mark.parametrize("name", ["single", "given"])
def test_a_pair_that_waits_for_too_many_attempts_is_given_up(name: str) -> None:
    """Side by side as one after another; and on average as planned."""
    schedule, count = Schedule(1, cutoff_attempts=2), 20_000
    compare(schedule, name, ERRING, 0.05)
    planned, found = plan(SCHEMES[name], schedule), run(SCHEMES[name], schedule, count)
    for mean, values in ((planned.pairs, found.pairs), (planned.time_ps, found.herald_ps)):
        assert abs(values.mean() - mean) <= 4 * values.std() / math.sqrt(count)
    assert planned.pairs > 1.1 * plan(SCHEMES[name], Schedule(1)).pairs


def compare(schedule: Schedule, name: str, ends: Ends, per_attempt: float = 0.0) -> None:
    scheme, rounds = SCHEMES[name], schedule.rounds
    memory = (4e5, 1e5)
    count, slots = 10, 3
    rng = np.random.default_rng(rounds)
    ready = np.random.default_rng(9).integers(0, 10**6, count)
    free = np.array([0, 70, 5000])
    found = distill(
        ready, scheme, schedule, slots, free, t1_ps=memory[0], t2_ps=memory[1], rng=np.random.default_rng(rounds),
        ends=ends, use_ps=300, per_attempt=per_attempt,
    )  # fmt: skip
    expected = one_after_another(count, scheme, schedule, memory, ends, rng, per_attempt)
    taken = np.array([one[0] for one in expected])
    heralds, releases, after = serve_slots(ready, taken, slots, free, 300)
    np.testing.assert_array_equal(found.herald_ps, heralds)
    np.testing.assert_array_equal(found.release_ps, releases)
    np.testing.assert_array_equal(found.free_ps, after)
    np.testing.assert_array_equal(found.made_ps, heralds - taken + [one[1] for one in expected])
    np.testing.assert_allclose(found.elements, [one[2] for one in expected], atol=1e-12)
    np.testing.assert_array_equal(found.pairs, [one[3] for one in expected])
    np.testing.assert_array_equal(found.attempts, [one[4] for one in expected])
    assert found.pairs.min() >= (2**rounds if schedule.arrangement == "nested" else rounds + 1)


def run(scheme: Any, schedule: Schedule, count: int, seed: int = 1, **memory: Any) -> Distilled:
    ready = np.zeros(count, dtype=np.int64)
    rng = np.random.default_rng(seed)
    return distill(ready, scheme, schedule, count, ready.copy(), **(memory or FOREVER), rng=rng)


@pytest.mark.parametrize("arrangement", ["nested", "pumping"])
@pytest.mark.parametrize("protocol", ["dejmps", "bbpssw"])
@pytest.mark.parametrize("rounds", [1, 3])
def test_plans_hold_on_average_without_decay(arrangement: Any, protocol: Any, rounds: int) -> None:
    schedule, count = Schedule(rounds, protocol, arrangement), 8_000
    for scheme in (SCHEMES["single"], SCHEMES["given"]):
        planned, found = plan(scheme, schedule), run(scheme, schedule, count)
        # A slot for each, free at once: every herald is the time that one delivery took.
        outcomes = (found.herald_ps - found.attempts * scheme.attempt_ps) / scheme.outcome_ps
        for mean, values in (
            (planned.pairs, found.pairs),
            (planned.outcomes, outcomes),
            (planned.time_ps, found.herald_ps),
            (planned.pairs / scheme.success_probability, found.attempts),
        ):
            assert abs(values.mean() - mean) <= 4 * values.std() / math.sqrt(count)
        expected = np.broadcast_to(planned.bell, (count, 4))
        np.testing.assert_allclose(pairs.diagonal(found.elements), expected, atol=1e-12)


def test_plans_follow_the_recursion() -> None:
    """Three nested rounds of BBPSSW on Werner pairs, with the published formulas by hand."""
    scheme = Given(100.0, 0.8, 1e-2, outcome_ps=10**6)
    fidelity, needed = 0.8, 1.0
    for _ in range(3):
        e = (1 - fidelity) / 3
        success = fidelity**2 + 2 * fidelity * e + 5 * e**2
        fidelity, needed = (fidelity**2 + e**2) / success, 2 * needed / success
    planned = plan(scheme, Schedule(3, "bbpssw", "nested"))
    assert planned.bell[0] == pytest.approx(fidelity) and planned.pairs == pytest.approx(needed)
    assert planned.success[-1] == pytest.approx(success)
    assert planned.time_ps == pytest.approx(needed / 100.0 * 1e12 + planned.outcomes * 1e6)


def test_one_round_is_alike_in_both_arrangements() -> None:
    for scheme in SCHEMES.values():
        found = [run(scheme, Schedule(1, "dejmps", how), 500, t1_ps=1e6, t2_ps=1e5) for how in ("nested", "pumping")]
        for nested, pumping in zip(*found, strict=True):
            np.testing.assert_array_equal(nested, pumping)
        assert plan(scheme, Schedule(1, "dejmps", "nested"))[:3] == plan(scheme, Schedule(1, "dejmps", "pumping"))[:3]


def test_decay_costs_fidelity_and_pairs() -> None:
    schedule, scheme, count = Schedule(2), SCHEMES["single"], 20_000
    quiet = run(scheme, schedule, count)
    noisy = run(scheme, schedule, count, t1_ps=1e6, t2_ps=3e4)
    bell = pairs.diagonal(noisy.elements)
    assert bell[:, 0].mean() < pairs.diagonal(quiet.elements)[:, 0].mean() - 0.02
    assert noisy.pairs.mean() > quiet.pairs.mean() + 4 * quiet.pairs.std() / math.sqrt(count)
    assert np.ptp(bell[:, 0]) > 0.01  # what each pair is depends on what its halves waited
    np.testing.assert_allclose(bell.sum(axis=1), 1.0, atol=1e-12)
    assert bell.min() >= 0.0


def test_pairs_are_replayed_from_the_seed_and_inputs_left_alone() -> None:
    ready, free = np.arange(40, dtype=np.int64) * 1000, np.zeros(2, dtype=np.int64)
    scheme, schedule = SCHEMES["double"], Schedule(2)
    args: tuple[Any, ...] = (ready, scheme, schedule, 2, free)
    found = [distill(*args, t1_ps=1e6, t2_ps=1e5, rng=np.random.default_rng(s)) for s in (3, 3, 4)]
    for one, again in zip(found[0], found[1], strict=True):
        np.testing.assert_array_equal(one, again)
    assert not np.array_equal(found[0].herald_ps, found[2].herald_ps)
    assert not free.any() and np.array_equal(ready, np.arange(40) * 1000)
    nothing = distill(ready[:0], *args[1:], **FOREVER, rng=np.random.default_rng(0))
    assert len(nothing.herald_ps) == 0 and nothing.elements.shape == (0, 6)


# Refusals


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rounds": 0}, "rounds: 0 given, expected a number from 1 to 8"),
        ({"rounds": 9}, "rounds: 9 given"),
        ({"protocol": "hashing"}, "protocol: 'hashing' given, expected bbpssw or dejmps or epl"),
        ({"protocol": "epl", "rounds": 2}, "rounds: 2 given, expected 1 with the protocol epl"),
        ({"cutoff_attempts": 5, "rounds": 2}, "cutoff_attempts: 5 given with 2 round(s), expected a number from 1 up"),
        ({"arrangement": "ring"}, "arrangement: 'ring' given, expected nested or pumping"),
    ],
)
def test_impossible_schedules_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schedule(**fields)
    assert str(caught.value).startswith(message)


def test_memories_and_clocks_are_checked_before_anything_is_drawn() -> None:
    rng = np.random.default_rng(2)
    ready = np.zeros(10**6, dtype=np.int64)
    with pytest.raises(ValueError, match="t2_ps"):
        distill(ready, SCHEMES["given"], Schedule(), 1, ready[:1], t1_ps=1.0, t2_ps=3.0, rng=rng)
    slow = Given(0.3, 0.9)
    with pytest.raises(ScenarioError, match=r"1000000 pairs in 1 memory slot\(s\)"):
        distill(ready, slow, Schedule(), 1, ready[:1], **FOREVER, rng=rng)
    assert rng.bit_generator.state == np.random.default_rng(2).bit_generator.state


def test_pairs_that_rot_while_they_wait_end_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four rounds of which every one fails half of the time, where the plan counts on clean pairs."""
    clean, schedule = Given(1e6, 1.0, 1.0), Schedule(4, "dejmps", "nested")
    assert plan(clean, schedule).pairs == pytest.approx(16.0)
    rotten = run(clean, schedule, 20, t1_ps=1e3, t2_ps=1e3)
    assert rotten.pairs.mean() > 100  # 2^4 / 0.5^4 = 256 are expected
    monkeypatch.setattr("ketwire.channels.entanglement.distill._MAX_PAIRS_PER_PLANNED", 2)
    with pytest.raises(ScenarioError, match=r"4 round\(s\) of dejmps .* 32 pairs, expected at most 32.* decay"):
        run(clean, schedule, 20, t1_ps=1e3, t2_ps=1e3)


def test_slots_hold_what_their_arrangement_needs() -> None:
    assert Schedule(3, arrangement="nested").memories == 4
    assert Schedule(3, arrangement="pumping").memories == 2
