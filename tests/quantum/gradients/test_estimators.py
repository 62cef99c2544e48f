"""Estimators of gradients: the laws of what they sample, what they hold and refuse; promises are in their own file."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pytest
from scipy import stats

from ketwire.nodes.party import PartyNode
from ketwire.quantum import layers
from ketwire.quantum.binomial import worst_error
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.estimation import Demand, Estimate, Held, Promise, copies_each, half_ranges, noted
from ketwire.quantum.gradients.estimators import FROM_FEATURES, NAMES, RandomCoordinate, estimator
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.features import blocks_of, contributions, phi
from ketwire.quantum.gradients.parameter_shift import ParameterShift, Shifts, shift_plan
from ketwire.quantum.gradients.shadow_tomography import ShadowTomography, disturbance, operators
from ketwire.quantum.gradients.shadows import expectations, inversion, median_plan, nearest_state, outcomes
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment
from tests.quantum.gradients.test_exact import losses
from tests.quantum.test_circuits import PARAMETERS, gap, random_circuit

SAMPLED = ["direct", "commuting", "random-coordinate", "classical-shadows", "tomography", "shadow-tomography"]
RUNS = 200


@cache
def case() -> tuple[Segment, np.ndarray, np.ndarray]:
    """A unitary of 15 parameters on 2 qubits, one of which feeds two gates; |Phi>; its exact derivatives."""
    rng = np.random.default_rng(21)
    own = layers.hardware_efficient(2, 3, "yz", "cnot-chain") + layers.couplings(2, "xy") + layers.rotations(2, "x")
    twice = Circuit(2, (*own.gates, Gate("ry", (0,), (3,), 0.5)), own.parameter_count)
    U = Segment(twice, rng.uniform(0, 6, twice.parameter_count))
    V = Segment(layers.rotations(2, "yx"), rng.normal(size=4))
    mu = layers.haar_state(2, rng)
    made = phi(mu, U, [V])
    expected = contributions(U, made)
    assert gap(expected, exact_gradients([U, V], mu)[0]) < 1e-12
    return U, made, expected[0]


def runs(name: str, copies: int, promise: Promise, count: int = RUNS, seed: int = 1) -> np.ndarray:
    """(count, P) independent estimates, each from as many copies."""
    U, made, _ = case()
    held = Held.pure(np.repeat(made, count, axis=0), copies)
    result = estimator(name).estimate(held, U, promise, np.random.default_rng(seed))  # type: ignore[union-attr]
    assert result.values.shape == (count, U.circuit.parameter_count)
    assert (result.used <= copies).all() and (result.used > 0).all()
    return result.values


@pytest.mark.parametrize("name", ["direct", "commuting"])
def test_variance_is_that_of_two_valued_outcomes(name: str) -> None:
    U, _, expected = case()
    blocks = blocks_of(U.circuit)
    each = 40
    parts = len(blocks) if name == "commuting" else sum(len(block.slots) for block in blocks)
    found = runs(name, each * parts, Promise(0.1, 0.1, 15), 2000)
    single = [slot for slot in range(15) if slot != 3]  # parameter 3 feeds two blocks
    ratio = found.var(axis=0)[single] / ((0.25 - expected[single] ** 2) / each)
    assert (np.abs(ratio - 1) < 5 * np.sqrt(2 / 2000)).all()
    sums, squares = half_ranges(blocks)
    assert sums[3] == 0.75 and squares[3] == 0.25 + 0.0625
    assert copies_each(blocks, Promise(0.1, 0.1, 15)) == np.ceil(2 * np.log(300) * 0.3125 / 0.01)


@pytest.mark.long
def test_copies_on_noisy_links_are_their_mean() -> None:
    """Three states of one sample and two of another: what is estimated is the mean over copies."""
    U, rng = case()[0], np.random.default_rng(2)
    states = layers.haar_state(3, rng, 5)
    held = Held(states, np.array([300, 500, 200, 400, 600]), np.array([0, 0, 1, 0, 1]))
    share = np.array([[3 / 12, 5 / 12, 0, 4 / 12, 0], [0, 0, 2 / 8, 0, 6 / 8]])
    expected = share @ contributions(U, states)
    promise = Promise(0.5, 0.9, 1)
    assert gap(estimator("exact").estimate(held, U, promise, rng).values, expected) < 1e-12  # type: ignore[union-attr]
    for name in ("direct", "commuting", "random-coordinate", "classical-shadows"):
        tool = FROM_FEATURES[name]()
        found = np.array([tool.estimate(held, U, promise, rng).values for _ in range(60)])
        error = found.std(axis=0, ddof=1) / np.sqrt(60)
        assert (np.abs(found.mean(axis=0) - expected) < 5 * error).all(), name


def test_copies_are_dealt_without_loss() -> None:
    rng = np.random.default_rng(3)
    held = Held(np.zeros((4, 8)), np.array([7, 5, 11, 0]), np.array([0, 0, 1, 1]))
    for parts in (1, 3, 11):
        dealt = held.deal(parts, rng)
        assert dealt.shape == (parts, 4) and (dealt >= 0).all()
        assert dealt.sum(axis=0).tolist() == [7, 5, 11, 0]
        of_sample = np.stack([dealt[:, :2].sum(axis=1), dealt[:, 2:].sum(axis=1)])
        assert np.ptp(of_sample, axis=1).max() <= 1
    with pytest.raises(ValueError, match=r"^counts: 11 copies of a sample given, expected 12 or more"):
        held.deal(12, rng)


def test_random_coordinate_by_parameter_is_unbiased_too() -> None:
    U, made, expected = case()
    held = Held.pure(np.repeat(made, 4000, axis=0), 1)
    found = RandomCoordinate("parameter").estimate(held, U, Promise(0.1, 0.1, 15), np.random.default_rng(6)).values
    assert (np.abs(found.mean(axis=0) - expected) < 4.5 * found.std(axis=0) / np.sqrt(4000)).all()
    assert set(np.count_nonzero(found, axis=1)) == {1}
    promise = Promise(0.1, 0.1, 15)
    blocks = blocks_of(U.circuit)
    assert RandomCoordinate("parameter").copies(blocks, promise) > RandomCoordinate().copies(blocks, promise)


# ---------------------------------------------------------------- the uniform measurement


def drawn(state: np.ndarray, copies: int, seed: int) -> np.ndarray:
    return np.concatenate(list(outcomes(state, np.array([copies]), np.random.default_rng(seed))))


def test_uniform_outcomes_follow_their_law() -> None:
    state = layers.haar_state(3, np.random.default_rng(30))
    vectors = drawn(state, 4000, 31)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-12
    along = np.abs(vectors @ state[0].conj()) ** 2
    assert stats.kstest(along, stats.beta(2, 7).cdf).pvalue > 1e-3


def test_uniform_outcomes_are_those_of_haar_random_bases() -> None:
    """Measuring in an explicit Haar basis gives the same law of overlaps with any other state."""
    rng = np.random.default_rng(32)
    state, other = layers.haar_state(2, rng, 2)
    explicit = []
    for _ in range(3000):
        basis = layers.random_unitary(2, rng)
        weights = np.abs(basis.conj().T @ state) ** 2
        explicit.append(basis[:, rng.choice(4, p=weights / weights.sum())])
    ours = drawn(state[None], 3000, 33)
    for probe in (state, other):
        overlaps = [np.abs(vectors @ probe.conj()) ** 2 for vectors in (np.array(explicit), ours)]
        assert stats.ks_2samp(*overlaps).pvalue > 1e-3


def test_many_rows_in_many_chunks_are_measured_each() -> None:
    states = layers.haar_state(3, np.random.default_rng(34), 2)
    counts = np.array([9000, 3000])
    mean = inversion(states, counts, np.random.default_rng(35))
    rho = np.einsum("r,ri,rj->ij", counts / 12000, states, states.conj())
    assert abs(np.trace(mean) - 1) < 1e-9 and gap(mean, mean.conj().T) < 1e-12
    assert np.linalg.norm(mean - rho, 2) < 6 * np.sqrt(2 * 8 / 12000)


def test_the_variance_of_a_shadow_is_within_its_bound() -> None:
    U, made, expected = case()
    size, copies = 8, 3000
    vectors = drawn(made, copies, 36)
    _, ops = operators(U)
    told = (size + 1) * np.einsum("ci,pij,cj->cp", vectors.conj(), ops, vectors).real
    assert (np.abs(told.mean(axis=0) - expected) < 4.5 * told.std(axis=0) / np.sqrt(copies)).all()
    sums, _ = half_ranges(blocks_of(U.circuit))
    single = [slot for slot in range(15) if slot != 3]
    exact = (size + 1) / (size + 2) * (size / 4 + 0.5) - expected[single] ** 2  # an exact 3-design
    assert (np.abs(told.var(axis=0)[single] / exact - 1) < 0.25).all()
    assert (exact <= (size + 1) * sums[single] ** 2).all()


def test_expectations_are_traces_with_the_operators() -> None:
    U, rng = case()[0], np.random.default_rng(37)
    matrices = rng.normal(size=(3, 8, 8)) + 1j * rng.normal(size=(3, 8, 8))
    matrices = matrices + matrices.conj().swapaxes(1, 2)
    slots, ops = operators(U)
    assert slots.tolist() == list(range(15))
    assert gap(expectations(U, matrices), np.einsum("pij,mji->mp", ops, matrices).real) < 1e-10
    assert gap(np.linalg.norm(ops, 2, axis=(1, 2))[:3], np.full(3, 0.5)) < 1e-12


def test_the_nearest_state_is_a_state_and_nearest() -> None:
    rng = np.random.default_rng(38)
    for _ in range(20):
        noise = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
        matrix = (noise + noise.conj().T) * rng.uniform(0.01, 1)
        matrix += np.eye(4) * (1 - np.trace(matrix).real) / 4
        state = nearest_state(matrix)
        assert abs(np.trace(state) - 1) < 1e-12 and np.linalg.eigvalsh(state).min() > -1e-12
        assert gap(nearest_state(state), state) < 1e-12
        others = layers.haar_state(2, rng, 50)
        mixed = 0.1 * np.einsum("ri,rj->rij", others, others.conj()) + 0.9 * state
        assert (np.linalg.norm(mixed - matrix, axis=(1, 2)) >= np.linalg.norm(state - matrix) - 1e-12).all()


def test_the_median_fails_no_more_than_planned() -> None:
    for failure in (0.3, 0.01, 1e-5):
        groups, p = median_plan(failure)
        assert groups % 2 == 1 and 0 < p < 0.5
        assert stats.binom.sf(groups // 2, groups, p) <= failure * (1 + 1e-9)
        assert stats.binom.sf(groups // 2, groups, p * 1.001) > failure


# ---------------------------------------------------------------- shadow tomography


def test_a_run_says_what_it_used_and_stops_when_copies_run_out() -> None:
    U, made, expected = case()
    tool, promise = ShadowTomography(), Promise(0.15, 0.1, 15)
    sums, _ = half_ranges(blocks_of(U.circuit))
    _, ops = operators(U)
    plan = tool.plan(3, 15, float(sums.max()), promise)
    whole = np.array([tool.copies(blocks_of(U.circuit), promise)])
    run = tool.learn(ops, sums, made, whole, promise, np.random.default_rng(40))
    assert run.converged and run.used == (run.updates + 1) * plan.batch and 0 < run.updates < plan.rounds
    assert gap(np.einsum("pij,ji->p", ops, run.hypothesis).real, expected) < 0.15
    assert abs(np.trace(run.hypothesis) - 1) < 1e-12 and np.linalg.eigvalsh(run.hypothesis).min() >= 0
    few = tool.learn(ops, sums, made, np.array([2 * plan.batch + 1]), promise, np.random.default_rng(40))
    assert not few.converged and few.used == 2 * plan.batch and few.updates == 2


def test_updates_lower_the_relative_entropy_as_promised() -> None:
    """-<Phi| ln w |Phi> falls by e²/2 at least in every round that ends with a yes."""
    U, made, _ = case()
    sums, _ = half_ranges(blocks_of(U.circuit))
    _, ops = operators(U)
    tool, promise = ShadowTomography(), Promise(0.15, 0.1, 15)
    plan = tool.plan(3, 15, float(sums.max()), promise)
    entropies = []
    for rounds in range(12):  # the same run, cut off after each round
        run = tool.learn(ops, sums, made, np.array([rounds * plan.batch]), promise, np.random.default_rng(41))
        if run.updates < rounds:
            break
        values, vectors = np.linalg.eigh(run.hypothesis)
        entropies.append(-(np.abs(vectors.conj().T @ made[0]) ** 2 @ np.log(values)))
    assert len(entropies) > 3 and abs(entropies[0] - 3 * np.log(2)) < 1e-9
    assert (np.diff(entropies) < -(plan.gap**2) / 2).all()


def test_the_ledger_is_the_angle_of_the_disturbed_batch() -> None:
    """For m copies the batch's state over counts is known: compare angles, binomial law and all."""
    copies, scale = 4000, 40.0
    q = np.array([0.3, 0.5, 0.62])
    threshold = copies * q + np.array([150.0, 20.0, -10.0])
    expected = 0.0
    for probability, limit in zip(q, threshold, strict=True):
        counts = np.arange(copies + 1)
        amplitude = np.sqrt(stats.binom.pmf(counts, copies, probability))
        no = 1 - np.minimum(1, np.exp(-(limit - counts) / scale))
        after = np.sqrt(no) * amplitude
        cosine = amplitude @ after / np.linalg.norm(after)
        expected += np.sqrt(1 - cosine**2)
    assert abs(disturbance(np.array([copies]), q[None], threshold, scale) / expected - 1) < 0.05
    far = disturbance(np.array([copies]), q[None], threshold + 3000, scale)
    assert far < 1e-12


def test_shadow_tomography_knows_its_limits() -> None:
    with pytest.raises(ValueError, match=r"^noise: 0 given"):
        ShadowTomography(0)
    wide = blocks_of(layers.rotations(8, "y"))
    with pytest.raises(ValueError, match=r"^qubits: 9 with the ancilla given, expected at most 8"):
        ShadowTomography().copies(wide, Promise(0.1, 0.1, 8))


# ---------------------------------------------------------------- parameter shift


@pytest.mark.parametrize("seed", range(4))
def test_shifted_runs_give_the_gradient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = Circuit(3, random_circuit(3, 25, rng).gates, PARAMETERS)
    U, V = Segment(circuit, rng.normal(size=PARAMETERS)), Segment(layers.dense(layers.random_unitary(3, rng)))
    states = layers.haar_state(3, rng, 2)
    plan = shift_plan(U)
    runs_of = [losses([Segment(plan.circuit, angles), V], states, Projector(0)) for angles in plan.angles]
    assert len(runs_of) == ParameterShift().runs([circuit]) == 2 * len(plan.slots)
    assert gap(plan.gradient(np.array(runs_of)), exact_gradients([U, V], states)[0]) < 1e-12


def test_shifted_runs_keep_the_promise() -> None:
    """Coin tosses in place of the runs: 200 gradients at the copies claimed."""
    rng = np.random.default_rng(50)
    circuit = Circuit(2, (Gate("ry", (0,), (0,), 2.0), Gate("cz", (0, 1)), Gate("rx", (0,), (0,)),
                          Gate("ry", (1,), (1,))), 2)  # fmt: skip
    U, states, promise = Segment(circuit, [0.3, 1.1]), layers.haar_state(2, rng), Promise(0.1, 0.2, 2)
    plan, copies = shift_plan(U), ParameterShift().copies([circuit], promise)
    assert copies == np.ceil(np.log(20) * 5 / 0.04)
    law = np.array([losses([Segment(plan.circuit, angles)], states, Projector(0))[0] for angles in plan.angles])
    tossed = rng.binomial(copies, law[:, None], size=(6, RUNS)) / copies
    errors = np.abs(plan.gradient(tossed) - exact_gradients([U], states)[0]).max(axis=1)
    failed = int((errors > promise.epsilon).sum())
    assert stats.binomtest(failed, RUNS, promise.delta, alternative="greater").pvalue > 1e-3


def test_shifts_refuse_other_losses_than_those_of_their_runs() -> None:
    with pytest.raises(ValueError, match=r"^losses: shape \[3\] given, expected 4 runs"):
        shift_plan(Segment(layers.rotations(2, "y"), [0.1, 0.2])).gradient([1, 2, 3])


# ---------------------------------------------------------------- names and limits


def test_every_name_has_an_estimator() -> None:
    assert list(NAMES) == ["exact", *SAMPLED, "parameter-shift"]
    assert [estimator(name).name for name in NAMES] == list(NAMES)
    with pytest.raises(ValueError, match=r"^estimator: 'adjoint' given, expected one of exact, direct"):
        estimator("adjoint")


@pytest.mark.parametrize("name", ["exact", *SAMPLED])
def test_a_unitary_without_parameters_takes_no_copies(name: str) -> None:
    fixed, promise = Segment(layers.hadamards(2)), Promise(0.1, 0.1, 1)
    assert FROM_FEATURES[name]().copies(blocks_of(fixed.circuit), promise) == 0
    held = Held.pure(layers.haar_state(3, np.random.default_rng(0)), 400)
    assert FROM_FEATURES[name]().estimate(held, fixed, promise, np.random.default_rng(1)).values.shape == (1, 0)


@pytest.mark.parametrize(("field", "values"), [("epsilon", (0.0, 0.1, 1)), ("delta", (0.1, 1.0, 1)),
                                               ("parameters", (0.1, 0.1, 0))])  # fmt: skip
def test_empty_promises_are_refused(field: str, values: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        Promise(*values)


def test_what_is_held_must_fit() -> None:
    states = np.zeros((2, 8))
    with pytest.raises(ValueError, match=r"^counts: int64 of shape \[1\] given"):
        Held(states, np.array([1]))
    with pytest.raises(ValueError, match=r"^samples: float64 of shape \[2\] given"):
        Held(states, np.array([1, 1]), np.array([0.0, 1.0]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^counts: a sample without copies given"):
        Held(states, np.array([1, 1]), np.array([0, 2]))
    with pytest.raises(ValueError, match=r"^unit: 'gate' given"):
        RandomCoordinate("gate")  # type: ignore[arg-type]


def turning(*slots: int, scale: float = 1.0, extra: tuple[Gate, ...] = ()) -> Circuit:
    """One qubit that turns about Y and Z in turn, by the parameters named."""
    gates = (Gate("ry" if place % 2 else "rz", (0,), (slot,), scale=scale) for place, slot in enumerate(slots))
    return Circuit(2, (*gates, *extra), max(slots) + 1 + sum(len(gate.slots) for gate in extra))


@pytest.mark.parametrize(
    ("circuit", "terms"),
    [
        (turning(0, 1, 2), 1),
        (turning(0, 1, 0, 1), 2),
        (turning(0, 1, 0), 0),  # one parameter feeds two gates, another one
        (turning(0, scale=-3.0), 1),
    ],
)
def test_two_valued_readings_take_as_many_as_the_binomial_law_asks_for(circuit: Circuit, terms: int) -> None:
    """A derivative is 2 B r times a share of B K outcomes, or scale · G of 2 G K; elsewhere Hoeffding's inequality."""
    promise, blocks = Promise(0.25, 0.1, 5), blocks_of(circuit)
    demand, shifts = Demand.of(blocks), Shifts.of(circuit)
    assert demand.terms == shifts.terms == terms
    K, shifted = copies_each(blocks, promise), ParameterShift().copies([circuit], promise)
    if not terms:
        assert np.ceil(2 * promise.log_term * demand.squares / 0.25**2) == K
        assert shifted == np.ceil(promise.log_term * shifts.squares / (4 * 0.25**2))
        return
    width = terms * np.sqrt(shifts.squares / terms)
    for count, least in ((terms * K, terms), (2 * terms * shifted, 2 * terms)):
        assert worst_error(count, 0.25 / width) <= 0.1 / 5 < worst_error(count - least, 0.25 / width)


def test_a_reading_of_three_values_is_none_of_two() -> None:
    controlled_turn = Gate("phases", (0, 1), (1,), payload=np.array([0.0, 1.0, 2.0, 3.0]))
    assert Demand.of(blocks_of(turning(0, extra=(controlled_turn,)))).terms == 0


# ---------------------------------------------------------------- what a transcript gets to see


@pytest.mark.parametrize("name", SAMPLED)
def test_equal_outcomes_are_noted_alike_and_others_are_not(name: str) -> None:
    """Twenty streams: the same values where the same was drawn, and nowhere else."""
    U, made, _ = case()
    copies = 40_000 if name == "shadow-tomography" else 300
    made_of = [
        estimator(name).estimate(Held.pure(made, copies), U, Promise(1.5, 0.5, 15), np.random.default_rng(seed % 20))  # type: ignore[union-attr]
        for seed in range(40)
    ]
    for one, other in zip(made_of[:20], made_of[20:], strict=True):
        assert one.drawn.dtype == np.int64 and np.array_equal(one.drawn, other.drawn)
    for index, one in enumerate(made_of[:20]):
        for other in made_of[:index]:
            assert np.array_equal(one.values, other.values) or not np.array_equal(one.drawn, other.drawn)
    assert len({one.drawn.tobytes() for one in made_of}) > 1


def test_noted_counts_tell_which_outcomes_there_were() -> None:
    tallies = [np.array([[0, 3], [1, 0]]), np.array([[0.0, 0.0]])]
    assert noted(tallies).tolist() == [2, 1, 2, 3, 1, 0]
    assert noted([]).tolist() == []


def test_what_is_drawn_for_an_estimate_changes_the_hash_of_the_node() -> None:
    U, made, _ = case()
    hashes = {}
    for seed in range(3):
        node = PartyNode("a", bytes([seed]) * 32, {})
        copies, groups = node.prepare(made, np.array([40])), np.zeros(40, dtype=np.int64)
        stock = node.collect(copies, groups, node.keep(copies, groups, np.array([40])))
        told = node.examine([stock], 1, partial(_commuting, U))
        hashes[node.transcript.end().digest] = told.values.tobytes()
    assert len(hashes) == 3, "the same totals, and other outcomes"


def _commuting(U: Segment, held: Held, rng: np.random.Generator) -> Estimate:
    return FROM_FEATURES["commuting"]().estimate(held, U, Promise(0.1, 0.05, 15), rng)
