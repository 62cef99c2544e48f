"""The two representations of one run: the same losses and times, trajectories that average to the density
matrix, estimates that agree; and who decides which of them runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.copies import Copies
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Delivery, Direction
from ketwire.channels.parts import Memory, Noise
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.planning.representation import chosen, differing, expected_rows
from ketwire.channels.transports import Coded, Teleport
from ketwire.channels.wire.arrays import check_states
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Link, Run, SessionResult
from ketwire.quantum.circuits import Contraction
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.layers import haar_state, hardware_efficient
from ketwire.quantum.noise import mixtures
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.noise.kraus import Kraus
from ketwire.quantum.noise.trajectories import apply_channel
from ketwire.quantum.observables import Projector
from ketwire.scenarios.kinds.inference.kind import Inference
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Judge, Network
from tests.channels.test_transports import GLASS, KEY, LINES, NOISES
from tests.kit import Threads, rarely

EXACT = 1e-12
LOSSY = replace(GLASS, loss_db_per_km=0.5)
CARRIERS = {
    **LINES,
    **{noise.kind: Line(LOSSY, (noise,)) for noise in NOISES},
    "noise in memories": Line(LOSSY, (Noise("dephasing", 0.1),), Memory(t1_ps=1e11, t2_ps=5e10), Memory()),
    "[[4,2,2]]": Line(LOSSY, (Noise("depolarizing", 0.1),), transport=Coded(code="[[4,2,2]]")),
    "coded in memories": Line(GLASS, (Noise("bit-flip", 0.05),), Memory(t1_ps=1e9), transport=Coded(gate_ps=10**7)),
}
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=40)


def batch(states: np.ndarray, copies: int, fresh: bool = False) -> Copies:
    return Copies(states, np.zeros(copies, np.int64), np.zeros(copies, np.int64), np.zeros(copies, np.bool_), fresh)


def carried(line: Line, states: np.ndarray, copies: int, fresh: bool) -> tuple[Delivery, Any]:
    delivery = Direction("a->b", line, KEY).carry(batch(states, copies, fresh), 0)
    assert isinstance(delivery.message, Copies)
    return delivery, delivery.message.take()


# ---------------------------------------------------------------- every transport, every noise


IN_MEMORIES = [name for name in CARRIERS if "memories" in name]


@pytest.mark.parametrize(("name", "fresh"), [*((n, True) for n in CARRIERS), *((n, False) for n in IN_MEMORIES)])
def test_trajectories_average_to_the_density_matrix_entry_by_entry(name: str, fresh: bool) -> None:
    """With the very same losses and arrival times, as both are drawn from streams of their own."""
    psi = haar_state(3, np.random.default_rng(1))
    copies = 20_000 if fresh and name not in ("teleport", "distilled") else 1500
    drawn, pure = carried(CARRIERS[name], psi, copies, fresh)
    exact, mixed = carried(CARRIERS[name], mixtures.mixed(psi), copies, fresh)
    assert np.array_equal(drawn.lost, exact.lost) and np.array_equal(pure.ready_ps, mixed.ready_ps)
    assert drawn.record == exact.record and drawn.herald_ps == exact.herald_ps
    alive = ~exact.lost
    assert alive.sum() > 300
    rows = np.bincount(pure.row[alive], minlength=len(pure.states))
    mean = np.einsum("r,ri,rj->ij", rows, pure.states, pure.states.conj()) / alive.sum()
    rows = np.bincount(mixed.row[alive], minlength=len(mixed.states))
    average = np.einsum("r,rij->ij", rows, mixed.states) / alive.sum()
    assert np.abs(mean - average).max() < 4.5 * 0.5 * np.sqrt(2.0) / np.sqrt(alive.sum())
    shared = fresh and differing([Crossing("a-b", CARRIERS[name], 3)]) is None
    assert len(mixed.states) == 1 or not shared
    if shared and len(pure.states) > 1:
        assert np.abs(average - mixtures.mixed(psi)[0]).max() > 1e-3, "this channel would not have been seen"


@QUICK
@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(sorted(CARRIERS)), qubits=st.integers(1, 3))
def test_states_stay_states_through_every_machine(seed: int, name: str, qubits: int) -> None:
    rng = np.random.default_rng(seed)
    direction = Direction("a->b", CARRIERS[name], seed.to_bytes(32, "little"))
    message: Any = batch(mixtures.mixed(haar_state(qubits, rng)), 12)
    for _ in range(3):
        message = direction.carry(message, 0).message
        assert message.mixed and message.qubits == qubits
    rho = message.take().states
    assert np.abs(np.einsum("rii->r", rho) - 1).max() < EXACT
    assert np.abs(rho - rho.conj().swapaxes(1, 2)).max() < EXACT
    assert np.linalg.eigvalsh(rho).min() > -EXACT
    check_states(rho)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.kind)
def test_a_whole_path_is_that_of_one_density_matrix(noise: Noise) -> None:
    """Prepared, worked on, carried, worked on, contracted and measured, to rounding."""
    rng = np.random.default_rng(2)
    psi, circuit = haar_state(2, rng), hardware_efficient(2, 2)
    angles = rng.uniform(0, 7, (2, circuit.parameter_count))
    M = Contraction(0.9 * np.diag([1, 0.5, 1, 0.3]) @ circuit.unitary(angles[0]))
    line = Line(GLASS, (noise,))
    node = PartyNode("a", KEY, {})
    copies: Any = node.prepare(psi, np.array([50]), mixed=True)
    copies = node.apply(circuit, copies, angles[0])
    copies = Direction("a->b", line, KEY).carry(copies, 0).message
    copies = node.contract(M.matrix, node.apply(circuit, copies, angles[1]))
    channel = line.channel()
    assert isinstance(channel, Kraus)
    rho = DensityMatrix.from_states(psi).apply(circuit, angles[0])
    for qubit in range(2):
        rho = rho.apply_kraus(list(channel.operators), [qubit])
    rho = rho.apply(circuit, angles[1])
    image = M.matrix @ rho.matrix @ M.matrix.conj().T
    parts = copies.take()
    assert len(parts.states) == 1
    assert np.abs(parts.states[0] - image / np.trace(image)).max() < EXACT
    chance = mixtures.probabilities(Projector(0), parts.states)[0, 0]
    assert abs(chance - (image[0, 0] + image[1, 1]).real / np.trace(image).real) < EXACT


@pytest.mark.parametrize("mixed", [False, True])
def test_dead_copies_are_in_a_state_too(mixed: bool) -> None:
    """A contraction may leave nothing of a row; it travels on with its dead copies, and receivers check it."""
    node = PartyNode("a", KEY, {})
    states = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=complex)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    for weak in (0.0, 1e-9, 1e-160, 1e-200):
        copies = node.prepare(states, np.array([30, 30, 30]), mixed=mixed)
        parts = node.contract(np.diag([weak, 1.0, 1.0, 0.5]), copies).take()
        assert parts.lost[:30].all() and not parts.lost[30:60].any() and 0 < parts.lost[60:].sum() < 30
        check_states(parts.states)


def test_a_node_makes_no_mixture_of_nine_qubits() -> None:
    with pytest.raises(LocalProtocolError, match="512 amplitudes"):
        PartyNode("a", KEY, {}).prepare(np.eye(1, 512, dtype=complex), np.array([1]), mixed=True)


# ---------------------------------------------------------------- whole runs

KIND = Inference()


def network(line: Line) -> Network:
    # The way back has its memory at the other end.
    back = replace(line, sender=line.receiver, receiver=line.sender)
    return Network(5, ("a", "b"), (Link(("a", "b"), line, back),), ".")


def spec_of(qubits: int = 2, **changed: Any) -> InferenceSpec:
    layers = [{"at": at, "layer": "rotations", "angles": {"random": "angles"}} for at in "abab"]
    given = {"kind": "inference", "qubits": qubits, "start": "a", "layers": layers, "copies": 4000}
    return InferenceSpec.model_validate({**given, "dense_state": {"bits": [8]}, "description": [], **changed})


def run_of(line: Line, spec: InferenceSpec) -> Run:
    on = network(line)
    return Run(on.seed, on.parties, on.links, tuple(KIND.sessions(spec, on)))


def told(line: Line, spec: InferenceSpec, results: list[SessionResult]) -> dict[str, Any]:
    return KIND.summarise(spec, results, Judge(network(line))).told()


def assert_agree(one: dict[str, Any], other: dict[str, Any]) -> None:
    p = (one["estimate"] + other["estimate"]) / 2
    spread = np.sqrt(p * (1 - p) * (1 / one["copies"] + 1 / other["copies"]))
    assert abs(one["estimate"] - other["estimate"]) <= 4 * spread


@pytest.mark.parametrize("name", CARRIERS)
def test_estimates_agree_and_rivals_do_not_care(name: str) -> None:
    line, found = CARRIERS[name], {}
    shared = differing([Crossing("a-b", line, 2)]) is None
    for representation in ("trajectories", "density"):
        spec = spec_of(2, representation=representation, copies=4000 if shared else 500)
        results = run_inline(run_of(line, spec))
        found[representation] = told(line, spec, results), results
    (drawn, by_drawing), (exact, by_averaging) = found["trajectories"], found["density"]
    assert drawn["representation"] == "trajectories" and exact["representation"] == "density"
    assert_agree(drawn, exact)
    # Where no matrix is shared, batches are smaller and draw from other streams.
    assert drawn["attempted_copies"] == exact["attempted_copies"] or not shared
    assert by_drawing[0].transcript_sha256 != by_averaging[0].transcript_sha256
    assert by_drawing[1].transcript_sha256 == by_averaging[1].transcript_sha256


@pytest.mark.parametrize(
    "name", rarely(["noisy", "memories", "teleport", "distilled", "coded", "[[4,2,2]]"], but="memories")
)
def test_one_transcript_everywhere(name: str) -> None:
    run = run_of(CARRIERS[name], spec_of(2, representation="density", copies=60))
    hashes = [result.transcript_sha256 for result in run_inline(run)]
    assert [result.transcript_sha256 for result in Threads(run).conduct()] == hashes
    if name in ("noisy", "teleport"):
        assert [result.transcript_sha256 for result in run_processes(run)] == hashes


def test_the_transcript_tells_the_representation() -> None:
    """On a quiet link, where nothing else differs."""
    results = {}
    for representation in ("trajectories", "density"):
        spec = spec_of(2, representation=representation, copies=100)
        results[representation] = run_inline(run_of(Line(GLASS), spec))[0]
    drawn, exact = results["trajectories"], results["density"]
    assert drawn.outcomes["b"].zeros == exact.outcomes["b"].zeros
    assert drawn.totals == exact.totals and drawn.clocks_ps == exact.clocks_ps
    assert drawn.transcript_sha256 != exact.transcript_sha256


def test_batches_are_cut_for_matrices() -> None:
    """Where no two copies share one, a message of 2^13 octets holds six of three qubits, at 1,037 each."""
    waiting = CARRIERS["memories"]
    spec = spec_of(3, representation="density", copies=200, max_batch_octets=1 << 13, dense_state=None)
    (result,) = run_inline(run_of(waiting, spec))
    assert result.totals.messages >= 3 * 200 / 6
    assert result.outcomes["b"].copies == 200
    tiny = spec_of(3, representation="density", copies=20, max_batch_octets=1024, dense_state=None)
    assert run_inline(run_of(waiting, tiny))[0].outcomes["b"].copies == 20


def test_pure_copies_are_refused_where_the_plan_says_mixed() -> None:
    run = run_of(Line(GLASS), spec_of(2, representation="density", copies=10, dense_state=None))
    session = run.sessions[0]
    slices = dict(session.slices)
    slices["a"] = replace(slices["a"], plan=replace(slices["a"].plan, mixed=False))
    run = replace(run, sessions=(replace(session, slices=slices),))
    with pytest.raises(RemoteProtocolError, match=r"1 rows> came where \d+ of 2 qubits in mixed states were planned"):
        run_inline(run)


# ---------------------------------------------------------------- the plan


def crossings(line: Line, qubits: int, count: int) -> list[Crossing]:
    return [Crossing("a-b", line, qubits)] * count


@pytest.mark.parametrize(
    ("name", "qubits", "count", "copies", "noise"),
    [
        ("depolarizing", 8, 3, 10_000, Noise("depolarizing", 0.13)),
        ("depolarizing", 8, 3, 1000, Noise("depolarizing", 0.01)),
        ("dephasing", 4, 5, 3000, Noise("dephasing", 0.1)),
        ("bit-flip", 2, 2, 500, Noise("bit-flip", 0.5)),
        ("kraus", 3, 2, 3000, NOISES[4]),
        ("amplitude-damping", 4, 2, 3000, Noise("amplitude-damping", 0.2)),
    ],
)
def test_rows_are_as_many_as_expected(name: str, qubits: int, count: int, copies: int, noise: Noise) -> None:
    """For Paulis within five standard errors, of which the variance of a sum of rare rows is a bound. Damping
    depends on the state, of which the plan knows nothing, and which layers keep changing."""
    line = Line(Fiber(), (noise,))
    channel = line.channel()
    assert isinstance(channel, Kraus)
    rng = np.random.default_rng(3)
    states, row = haar_state(qubits, rng), np.zeros(copies, np.int64)
    circuit = hardware_efficient(qubits, 1)
    for _ in range(count):
        states = apply(circuit, states, rng.uniform(0, 7, circuit.parameter_count))
        states, row = apply_channel(states, row, channel, range(qubits), rng)
    expected = expected_rows(crossings(line, qubits, count), copies)
    slack = 5 * np.sqrt(expected) if channel.is_pauli else 0.2 * expected
    assert abs(len(states) - expected) < slack
    assert expected_rows(crossings(line, qubits, count), copies, 3.0) > 3.0


def test_expected_rows_in_closed_form() -> None:
    """One qubit, one crossing: each of the four histories is among K copies with 1 - (1 - w)^K."""
    p, K = 0.3, 7
    weights = np.array([1 - 3 * p / 4, p / 4, p / 4, p / 4])
    found = expected_rows(crossings(Line(Fiber(), (Noise("depolarizing", p),)), 1, 1), K)
    assert found == pytest.approx((1 - (1 - weights) ** K).sum(), rel=1e-7)
    # Two crossings of two qubits by teleportation: all 256 products of the weights of a Werner pair.
    line = Line(GLASS, transport=Teleport(scheme="given", rate_hz=1e5, fidelity=0.7))
    one = np.array([0.7, 0.1, 0.1, 0.1])
    all_four = np.multiply.outer(np.multiply.outer(one, one), np.multiply.outer(one, one)).ravel()
    found = expected_rows(crossings(line, 2, 2), 500)
    assert found == pytest.approx((1 - (1 - all_four) ** 500).sum(), rel=1e-7)
    # A code of two qubits a block, three qubits: of the last block's second, nothing is seen.
    coded = CARRIERS["[[4,2,2]]"]
    joint = coded.transport.found().logical_channel(coded.fiber.survival, coded.flight).weights  # type: ignore[union-attr]
    both = np.multiply.outer(joint, joint.reshape(4, 4).sum(axis=1)).ravel()
    found = expected_rows(crossings(coded, 3, 1), 200)
    assert found == pytest.approx((1 - (1 - both) ** 200).sum(), rel=1e-7)
    # Where nothing ever befalls a copy, and where the one thing always does.
    flips = [Line(GLASS, (Noise("bit-flip", p),)) for p in (0.0, 1.0)]
    for line in (Line(GLASS), LINES["parity"], *flips):
        assert expected_rows(crossings(line, 8, 3), 10_000) == pytest.approx(1.0, rel=1e-7)
    assert expected_rows([], 5) == 1.0


def test_many_unlike_branches_take_no_longer() -> None:
    """64 operators a qubit: without merging there would be 10^9 unlike likelihoods. Rows are K copies at most."""
    shares = np.linspace(1.0, 2.0, 63) * 1e-3
    shares = np.array([1 - shares.sum(), *shares])
    # Rotations about z by unlike angles: no mixture of Paulis, no damping.
    operators = tuple(
        (((share**0.5, 0.0), (0.0, 0.0)), ((0.0, 0.0), (share**0.5 * np.cos(k), share**0.5 * np.sin(k))))
        for k, share in enumerate(shares.tolist())
    )
    line = Line(Fiber(), (Noise("kraus", operators=operators),))
    found = expected_rows(crossings(line, 8, 10), 300)
    assert 250 < found < 300


def test_auto_takes_density_where_trajectories_would_be_more() -> None:
    noisy = Line(Fiber(), (Noise("depolarizing", 0.13),))
    for line, qubits, copies, choice in [
        (noisy, 8, 10_000, "density"),  # 5,900 rows against 256 columns
        (noisy, 8, 200, "trajectories"),  # no more rows than copies
        (noisy, 9, 10_000, "trajectories"),
        (Line(Fiber(), (Noise("depolarizing", 0.001),)), 8, 10_000, "trajectories"),
        (Line(), 1, 10_000, "trajectories"),
        (replace(noisy, sender=Memory(t2_ps=1e12)), 4, 10_000, "density"),  # but nobody waits
        (replace(noisy, fiber=GLASS, sender=Memory(t2_ps=1e12)), 4, 10_000, "trajectories"),
        (LINES["single click"], 3, 10_000, "density"),
        (LINES["teleport"], 3, 10_000, "trajectories"),  # pairs wait, and decay
        (CARRIERS["[[4,2,2]]"], 4, 10_000, "density"),
    ]:
        assert chosen(crossings(line, qubits, 3), qubits, copies) == choice
        run = run_of(line, spec_of(qubits, copies=copies, dense_state=None))
        for slice in run.sessions[0].slices.values():
            assert slice.plan.mixed == (choice == "density")


def test_random_times_before_a_memory_without_a_bin_make_copies_differ() -> None:
    memory = Line(Fiber(length_km=1.0), (), Memory(t2_ps=1e12))
    teleport = Line(GLASS, transport=Teleport(scheme="given", rate_hz=1e5, fidelity=0.7))
    assert differing([Crossing("b-c", memory, 2)]) is None
    assert differing([Crossing("a-b", teleport, 2), Crossing("b-c", memory, 2)]) == "b-c"


def test_density_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"^protocol.representation: density given for a register of 9 qubits"):
        run_of(Line(GLASS), spec_of(9, representation="density"))
    many = spec_of(8, representation="density", copies=1025)
    with pytest.raises(ScenarioError, match=r"memories of a-b.* 1025 of 8 qubits take 1.1e\+09 octets.*1024 copies"):
        run_of(LINES["teleport"], many)
    assert run_of(LINES["teleport"], spec_of(8, representation="density", copies=1024))
    assert run_of(LINES["noisy"], many).sessions[0].slices["b"].plan.shared
    with pytest.raises(ValueError, match="representation"):
        spec_of(2, representation="tensor")
