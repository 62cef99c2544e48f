"""Laws of gradients by means of their own: joint outcomes, copies from the inequalities, qubits on any network."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ketwire.errors import ScenarioError
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import PAULI, Gate
from ketwire.quantum.gradients import estimation
from ketwire.quantum.gradients.estimation import Held, Promise
from ketwire.quantum.gradients.estimators import FROM_FEATURES, RandomCoordinate
from ketwire.quantum.gradients.features import blocks_of
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.parameter_shift import ParameterShift
from ketwire.quantum.gradients.shadows import expectations, inversion, median_plan
from ketwire.quantum.segments import Segment
from ketwire.scenarios.kinds.gradient import kind as gradient
from ketwire.scenarios.kinds.gradient.models import Estimated, GradientSummary
from ketwire.scenarios.kinds.gradient.report import _radius, _sum, _verdict
from ketwire.scenarios.kinds.result import Finding
from tests.scenarios.kinds.gradient.test_kind import contraction, outcome, rotations, scenario

Matrix = NDArray[np.complex128]
LOOSE = Promise(0.5, 0.9, 1)


# ---------------------------------------------------------------- outcomes of one block, by density matrices


def kron(*parts: Matrix) -> Matrix:
    whole = np.eye(1, dtype=np.complex128)
    for part in parts:
        whole = np.kron(whole, part)
    return whole


def case() -> tuple[Segment, Matrix, Matrix]:
    """R_y on three qubits; |Φ> at random; its density matrix in the frame, where O_i = -½ Y ⊗ Y_i."""
    rng = np.random.default_rng(12)
    segment = Segment(layers.rotations(3, "y"), rng.uniform(0, 6, 3))
    made = layers.haar_state(4, rng)
    turns = [np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * PAULI["Y"] for angle in segment.values]
    frame = kron(np.diag([1, 0]).astype(complex), kron(*turns)) + np.kron(np.diag([0, 1]), np.eye(8))
    framed = frame @ made[0]
    return segment, made, np.outer(framed, framed.conj())


def letters(*on: int) -> Matrix:
    """Y on these of four qubits, the ancilla being 0."""
    return kron(*(PAULI["Y"] if qubit in on else np.eye(2) for qubit in range(4)))


def test_one_copy_tells_all_parameters_of_a_block_jointly() -> None:
    """Means, variances and covariances of 4,000 estimates from twelve copies are those of -½ Y ⊗ Y_i on one copy."""
    segment, made, rho = case()
    means = np.array([np.trace(rho @ letters(0, 1 + i)).real for i in range(3)]) / -2
    both = np.array([[np.trace(rho @ letters(*({1 + i} ^ {1 + j}))).real for j in range(3)] for i in range(3)]) / 4
    expected = (both - np.outer(means, means)) / 12
    assert np.abs(expected - np.diag(np.diag(expected))).max() > 3e-3  # they do depend on each other
    held = Held.pure(np.repeat(made, 4000, axis=0), 12)
    found = FROM_FEATURES["commuting"]().estimate(held, segment, LOOSE, np.random.default_rng(1)).values
    assert (np.abs(found.mean(axis=0) - means) < 4.5 * np.sqrt(np.diag(expected) / 4000)).all()
    assert np.abs(np.cov(found.T) - expected).max() < 5 * 0.25 / 12 * math.sqrt(2 / 4000)


def test_random_coordinates_are_drawn_for_each_copy_alone() -> None:
    """Of K copies, how many read a block is binomial: Var ĝ = (B E v² - g²) / K, more than with an even share."""
    rng = np.random.default_rng(3)
    segment = Segment(layers.hardware_efficient(2, 2), rng.uniform(0, 6, 8))
    made = layers.haar_state(3, rng)
    exact = FROM_FEATURES["exact"]().estimate(Held.pure(made, 1), segment, LOOSE, rng).values[0]
    blocks, copies, runs = len(blocks_of(segment.circuit)), 40, 8000
    found = RandomCoordinate().estimate(Held.pure(np.repeat(made, runs, axis=0), copies), segment, LOOSE, rng).values
    ratio = found.var(axis=0) / ((blocks / 4 - exact**2) / copies)
    assert (np.abs(ratio - 1) < 5 * math.sqrt(2 / runs)).all()
    even = (blocks * (1 / 4 - exact**2)) / (blocks / 4 - exact**2)
    assert even.min() < 1 - 8 * math.sqrt(2 / runs)  # and so an even share would show


def test_no_copy_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies that do not come out even, of pure and of mixed samples, few and many: each is dealt once."""
    rng = np.random.default_rng(4)
    pure = Held(np.zeros((2, 8)), np.array([11, 8]))
    mixed = Held(np.zeros((4, 8)), np.array([7, 4, 5, 3]), np.array([0, 0, 1, 1]))
    for held, most in ((pure, 1 << 22), (mixed, 1 << 22), (mixed, 0)):
        monkeypatch.setattr(estimation, "MOST_SHUFFLED", most)
        dealt = held.deal(3, rng)
        assert (dealt >= 0).all() and (dealt.sum(axis=0) == held.counts).all()
        assert np.ptp(np.array([held.gather(part[:, None])[:, 0] for part in dealt]), axis=0).max() <= 1


def test_large_deals_are_as_random_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten copies in one state and six in another, half of which are dealt to a part: the hypergeometric variance."""
    held = Held(np.zeros((2, 8)), np.array([10, 6]), np.array([0, 0]))
    for most in (1 << 22, 0):
        monkeypatch.setattr(estimation, "MOST_SHUFFLED", most)
        rng = np.random.default_rng(5)
        dealt = np.array([held.deal(2, rng)[:, 0] for _ in range(2000)])
        for part in dealt.T:
            assert abs(part.mean() - 5) < 5 * math.sqrt(1.0 / 2000)
            assert abs(part.var() / (8 * (10 / 16) * (6 / 16) * (8 / 15)) - 1) < 5 * math.sqrt(2 / 2000)


# ---------------------------------------------------------------- copies


def least(failure: Callable[[int], float], allowed: float) -> int:
    """The least K with failure(K) <= allowed, failure falling."""
    low, high = 0, 1
    while failure(high) > allowed:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if failure(middle) > allowed else (low, middle)
    return high


def worst(count: int, epsilon: float) -> float:
    """Of all p just above k/K + epsilon, where the values k+1 to k + 2 K epsilon are within epsilon of it."""
    k = np.arange(count)[np.arange(count) / count + epsilon < 1]
    p, width = k / count + epsilon, math.floor(2 * count * epsilon + 1e-9)
    return float((stats.binom.cdf(k, count, p) + stats.binom.sf(k + width, count, p)).max())


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 0.05), (0.02, 1e-3), (0.3, 0.4)])
def test_copies_are_the_least_that_the_inequalities_allow(epsilon: float, delta: float) -> None:
    """Twelve rotations on three qubits in four blocks; the promise is for 20 parameters, eight of them elsewhere.

    The binomial law summed at each p where it may be worst; and each of Bernstein's and the matrix Bernstein
    inequality as it is printed, solved for K by bisection.
    """
    circuit = layers.hardware_efficient(3, 2)
    blocks, promise = blocks_of(circuit), Promise(epsilon, delta, 20)
    B, D, a_parameter = 4, 16, delta / 20
    each = FROM_FEATURES["commuting"]().copies(blocks, promise) // B  # values 1 apart
    assert worst(each, epsilon) <= a_parameter < worst(each - 1, epsilon)
    assert FROM_FEATURES["commuting"]().copies(blocks, promise) == B * each
    assert FROM_FEATURES["direct"]().copies(blocks, promise) == 12 * each
    for unit, units in (("block", B), ("parameter", 12)):
        variance, most = units / 4, units / 2 + 1 / 2

        def bernstein(K: int, variance: float = variance, most: float = most) -> float:
            return 2 * math.exp(-K * epsilon**2 / 2 / (variance + most * epsilon / 3))

        assert RandomCoordinate(unit).copies(blocks, promise) == least(bernstein, a_parameter)  # type: ignore[arg-type]
    t = epsilon / 2  # ε/4R, R = 1/2

    def matrix(K: int) -> float:
        return 2 * D * math.exp(-K * t**2 / 2 / (2 * D - 1 + D * t / 3))

    assert FROM_FEATURES["tomography"]().copies(blocks, promise) == least(matrix, delta * 12 / 20)
    # (m+ - m-)/2 is a constant less than the mean of 2 K outcomes.
    shifted = ParameterShift().copies([circuit], promise)
    assert worst(2 * shifted, epsilon) <= a_parameter < worst(2 * shifted - 2, epsilon)


def test_shadows_take_the_groups_that_cost_least() -> None:
    """Chebyshev in a group of m copies, (D+1)/4 / (m ε²) = p, and more than half of the groups wrong with δ/P."""
    blocks, epsilon, allowed = blocks_of(layers.rotations(2, "yz")), 0.2, 0.1 / 4

    def tolerated(groups: int) -> float:
        def tail(p: float) -> float:
            above = range(groups // 2 + 1, groups + 1)
            return sum(math.comb(groups, k) * p**k * (1 - p) ** (groups - k) for k in above)

        low, high = 0.0, 0.5
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle) <= allowed else (low, middle)
        return low

    plans = [(groups / tolerated(groups), groups) for groups in range(1, 60, 2)]
    ratio, groups = min(plans)
    asked = FROM_FEATURES["classical-shadows"]().copies(blocks, Promise(epsilon, 0.1, 4))
    assert asked == groups * math.ceil(9 / 4 / (groups / ratio * epsilon**2))


def test_shadows_answer_by_the_median_and_tomography_by_a_state() -> None:
    """The same draws once more: groups of copies, their means, and what is made of these."""
    segment, made, _ = case()
    promise, held = Promise(0.5, 0.01, 3), Held.pure(made, 70)
    groups, _ = median_plan(0.01 / 3)
    assert groups > 2
    found = FROM_FEATURES["classical-shadows"]().estimate(held, segment, promise, np.random.default_rng(7)).values[0]
    rng = np.random.default_rng(7)
    each = expectations(segment, np.array([inversion(made, part, rng) for part in held.deal(groups, rng)]))
    assert np.abs(found - np.median(each, axis=0)).max() < 1e-12 < np.abs(found - each.mean(axis=0)).max()
    found = FROM_FEATURES["tomography"]().estimate(held, segment, promise, np.random.default_rng(8)).values[0]
    weights, vectors = np.linalg.eigh(inversion(made, held.counts, np.random.default_rng(8)))
    assert weights.min() < -0.1  # so that it is no state before it is projected
    shift = least_shift(weights)
    state = (vectors * np.clip(weights - shift, 0, None)) @ vectors.conj().T
    assert np.abs(found - expectations(segment, state[None])[0]).max() < 1e-9


def least_shift(weights: NDArray[np.float64]) -> float:
    """By how much eigenvalues move down so that the positive ones sum to 1, by bisection."""
    low, high = float(weights.min()) - 1, float(weights.max())
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(weights - middle, 0, None).sum() > 1 else (low, middle)
    return low


def test_an_owner_may_fail_as_often_as_it_has_parameters() -> None:
    assert Promise(0.1, 0.2, 10).share(3) == pytest.approx(0.06)
    assert Promise(0.1, 0.2, 10).share(10) == 0.2


# ---------------------------------------------------------------- gates with factors and offsets


def test_phases_are_read_as_evenly_as_rotations() -> None:
    """A multiple of the identity tells nothing and would only widen the values: a phase has ±½, as R_z has."""
    for gate in (Gate("phase", (0,), (0,)), Gate("phase", (0, 1), (0,)), Gate("rz", (0,), (0,))):
        (block,) = blocks_of(Circuit(2, (gate,), 1))
        assert block.bounds.tolist() == [0.5] and set(block.values.ravel()) == {-0.5, 0.5}
    levels = Gate("phases", (0, 1), (0,), 1.0, payload=np.array([0.0, 1.0, 2.0, 5.0]))
    (block,) = blocks_of(Circuit(2, (levels,), 1))
    assert sorted(set(block.values.ravel())) == [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]


def test_what_is_frozen_keeps_its_factor_and_offset() -> None:
    rng = np.random.default_rng(6)
    gates = (
        Gate("rx", (0,), (0,), 0.5, 0.3),
        Gate("ryz", (0, 1), (1,), -1.5, 0.2),
        Gate("phases", (0, 1), (2,), 0.7, payload=rng.normal(size=4)),
        Gate("phase", (1,), (0,), 2.0, -0.4),
    )
    whole = Segment(Circuit(2, gates, 3), rng.normal(size=3))
    states = layers.haar_state(2, rng, 3)
    for moves in ([False, False, False], [True, False, False], [False, True, True]):
        part = frozen(whole, moves)
        assert part.circuit.parameter_count == sum(moves)
        assert np.abs(part.apply(states) - whole.apply(states)).max() < 1e-12


# ---------------------------------------------------------------- qubits on the wire


def crossings(path: str) -> list[tuple[int, int]]:
    """(crossings without the ancilla, with it) of |Φ> for the unitary at each visit, by walking there and back."""
    walks = []
    for visit in range(len(path)):
        there, back = path[: visit + 1], path[visit:] + path[visit:-1][::-1]
        walks.append((len(there) - 1, len(back) - 1))
    return walks


NETWORKS = [
    ("ab", "bababa", "a", "abababa"),  # data at A, L = 3: a visit more, at which nothing is applied
    ("ab", "ba", "a", "aba"),
    ("abbccdda", "abcd", "a", "abcd"),  # a ring of four, once round but for its last link
    ("abbccdda", "dabc", "d", "dabc"),
    ("abbccd", "abcdcb", "a", "abcdcb"),  # a chain of four, and back
]


@pytest.mark.parametrize(("links", "owners", "start", "path"), NETWORKS)
@pytest.mark.parametrize("flags", [0, 1])
def test_qubits_are_those_of_walks_there_and_back(links: str, owners: str, start: str, path: str, flags: int) -> None:
    listed: list[dict[str, Any]] = [rotations(owner) for owner in owners]
    if flags:
        listed.insert(1, contraction(owners[0], 2))
    result = outcome(scenario(listed, links, start=start))
    n = 2 + flags
    skipped = path.index(owners[0]) if owners[0] != start else 0
    walks = crossings(path)[skipped:]
    assert result["qubits_sent"] == result["qubits_delivered"] == sum(a * n + b * (n + 1) for a, b in walks)
    assert result["copies"] == len(owners)


def test_a_window_makes_copies_wait() -> None:
    """Over 5 µs each way twelve copies, one by one, take three times as long as three at once, and as many qubits."""
    link = {"fiber": "ideal", "length_km": 1.0}
    found = [outcome(scenario("ba", link=link, copies=12, estimators=["commuting"], window=window))
             for window in (1, 3, None)]  # fmt: skip
    one, three, all_at_once = (result["virtual_time_ps"] for result in found)
    assert one > 2.5 * three > 2.5 * 3 * all_at_once
    assert len({result["qubits_sent"] for result in found}) == 1


# ---------------------------------------------------------------- who took least


def test_the_cheapest_is_named_and_pairs_count() -> None:
    dear, cheap = (
        Estimated.model_construct(qubits_sent=10, ebits=e, bits=3, promise_kept=None, estimate=[0.1], error=None)
        for e in (90, 5)
    )
    assert (_sum(dear), _sum(cheap)) == (103, 18)
    spec = scenario("ba").scenario.protocol
    rivals = {"dense-state-8-bit": Finding(estimate=[0.13]), "dense-state-64-bit": Finding(estimate=[0.12])}
    bits = {"dense-state-8-bit": 20, "dense-state-64-bit": 160}

    def verdict() -> str:
        estimators = {"direct": dear, "commuting": cheap}
        told = GradientSummary.model_construct(estimators=estimators, rivals=rivals, noisy=False)
        return _verdict(spec, told, bits)

    said = verdict()
    assert said.startswith("commuting took least, 10 qubits and 5 ebits and 3 bits; direct")
    assert "commuting wins on communication: 10 qubits and 5 ebits and 3 bits of commuting against 20 bits" in said
    rivals["dense-state-8-bit"] = Finding(estimate=[0.62])
    assert "against 160 bits of dense-state-64-bit (off by 0)" in verdict()
    rivals["dense-state-8-bit"], bits["dense-state-8-bit"] = Finding(estimate=[0.13]), 10
    assert "the classical rival dense-state-8-bit wins" in verdict()
    del rivals["dense-state-64-bit"]
    assert "nobody wins: how accurate the rivals are shows with --check" in verdict()


def test_parameters_are_counted_through_unitaries_of_unlike_sizes() -> None:
    """Two of one owner's, four of another's, two more: blocks of one's own choice are told apart by their numbers."""
    listed = [rotations("b", axes=["x"]), rotations("a"), rotations("b", axes=["y"])]
    fitting = [[1, 0], [2], [3], [5, 4], [6], [7]]
    result = outcome(scenario(listed, copies=400, estimators=[{"name": "commuting", "blocks": fitting}, "exact"]))
    own, exact = (result["estimators"][name]["estimate"] for name in ("commuting", "exact"))
    assert len(own) == 8 and np.abs(np.subtract(own, exact)).max() < 4.5 * 0.5 / math.sqrt(400 / 4)
    across = {"1 and 2": [[0], [1, 2], [3], [4, 5], [6, 7]], "5 and 6": [[0, 1], [2, 3], [4], [5, 6], [7]]}
    for pair, torn in across.items():
        with pytest.raises(ScenarioError, match=f"parameters {pair} together given"):
            outcome(scenario(listed, copies=400, estimators=[{"name": "commuting", "blocks": torn}]))


def test_the_radius_of_a_noisy_mean_is_hoeffding_s() -> None:
    """2 P exp(-2 K r² / w²) = delta for means of K numbers within w of each other, at the state where r is largest."""
    spec = scenario("ba", epsilon=0.1, delta=0.2).scenario.protocol

    def radius_of(first: float) -> float:
        told = Estimated.model_construct(
            copies_per_state={"0": 900, "1": 250}, range_per_state={"0": first, "1": 1.0}
        )
        return _radius(spec, GradientSummary.model_construct(parameters=8, estimators={"exact": told}))

    radius = radius_of(1.0)
    assert abs(2 * 8 * math.exp(-2 * 250 * radius**2) - 0.2) < 1e-9
    radius = radius_of(3.0)
    assert abs(2 * 8 * math.exp(-2 * 900 * radius**2 / 9) - 0.2) < 1e-9


def test_who_was_given_copies_has_promised_nothing() -> None:
    estimators = [{"name": "commuting", "copies": 4}, "direct", "exact"]
    told = outcome(scenario("ba", estimators=estimators))["estimators"]
    assert [told[name]["promised"] for name in ("commuting", "direct", "exact")] == [False, True, False]
    assert told["commuting"]["promise_kept"] is None and told["commuting"]["error"] > 0.1
    assert told["direct"]["promise_kept"]


def test_what_no_memory_holds_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 1 MiB: states of thirteen qubits, and thousands of copies that noise tells apart."""
    monkeypatch.setattr(gradient, "_installed", lambda: 1 << 20)
    with pytest.raises(ScenarioError, match=r"^test: protocol.qubits: 13 given, with 0 flags, which takes about"):
        scenario("ba", qubits=13).run()
    noisy = {"fiber": "ideal", "noise": [{"kind": "depolarizing", "probability": 0.2}]}
    for copies, fits in ((100, True), (8000, False)):
        loaded = scenario("ba", link=noisy, qubits=5, copies=copies, estimators=["commuting"])
        session = loaded.run().sessions[0]
        told = loaded.kind.foreseen(loaded.scenario.protocol, session)
        if fits:
            loaded.kind.check(loaded.scenario.protocol, loaded.network(), session, told)
            continue
        with pytest.raises(ScenarioError, match=r"^protocol.copies: commuting keeps 8000 copies of 6 qubits"):
            loaded.kind.check(loaded.scenario.protocol, loaded.network(), session, told)
