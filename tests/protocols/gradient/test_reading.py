"""Owners whose nodes err and take time: against density matrices and times by hand, in gradients and in training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.hardware import Hardware
from ketwire.channels.parts import Memory
from ketwire.channels.timing import serve
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processes.run import run_processes
from ketwire.protocols.gradient.features import Route, Share, input_of, share_of
from ketwire.protocols.inference import input_state
from ketwire.protocols.node import Setting
from ketwire.protocols.training.meter import COLUMNS
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.controlled import beside, controlled
from ketwire.quantum.gradients import features
from ketwire.quantum.gradients.estimation import Estimator
from ketwire.quantum.gradients.estimators import Commuting, Direct, Exact, RandomCoordinate
from ketwire.quantum.gradients.features import Block, blocks_of, contributions
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.grouped import Grouped
from ketwire.quantum.gradients.readings import readings_of
from ketwire.quantum.gradients.shadows import ClassicalShadows
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.noise.kraus import decay
from ketwire.quantum.noise.mixtures import mixed
from ketwire.quantum.noise.noisy import gate_error, two_qubit_gates
from ketwire.quantum.noise.readout import confusion, misread
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment
from ketwire.scenarios.load import Loaded, load, validate
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt
from tests.nodes.test_processor import NONE, arrived, assert_agrees, depolarized, flipped_bits, node, settled
from tests.scenarios.kinds.gradient.test_kind import contraction, outcome, rotations, scenario
from tests.scenarios.kinds.training.test_kind import (
    ANGLES,
    LOSSY,
    ROWS,
    carried_out,
    network,
    outputs,
    run_of,
    spec_of,
    whole,
)

Data = dict[str, Any]
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=60)
ERRING = Hardware(p_prepare=0.04, p_gate1=0.01, p_gate2=0.03, p_readout=0.05)
OTHER = Hardware(p_prepare=0.02, p_gate1=0.015, p_gate2=0.02, p_readout=0.02)
KEYS = ("p_prepare", "p_gate1", "p_gate2", "p_readout")


def on(loaded: Loaded, **nodes: Any) -> Loaded:
    """The same scenario with these nodes, each a dictionary or hardware without times."""
    data = loaded.scenario.model_dump(mode="json", exclude_unset=True)
    for name, given_ in nodes.items():
        told = {key: getattr(given_, key) for key in KEYS} if isinstance(given_, Hardware) else given_
        data["nodes"][name] = told
    return validate(data, "test", "test", ".")


# ---------------------------------------------------------------- an oracle: the density matrix, gate by gate


def worked(rho: DensityMatrix, circuit: Circuit, parameters: Any, hardware: Hardware) -> DensityMatrix:
    """A circuit after each of whose gates its qubits are depolarized."""
    for gate in circuit.gates:
        rho = rho.apply(Circuit(circuit.qubits, (gate,), circuit.parameter_count), parameters)
        p = gate_error(gate.name, len(gate.qubits), hardware.p_gate1, hardware.p_gate2)
        rho = depolarized(rho, p, gate.qubits)
    return rho


def prepared(state: np.ndarray, hardware: Hardware) -> DensityMatrix:
    n = len(state).bit_length() - 1
    error = gate_error("prepare", n, hardware.p_gate1, hardware.p_gate2)
    rho = depolarized(DensityMatrix.from_states(state), error, tuple(range(n)))
    for qubit in range(n):
        rho = depolarized(rho, hardware.p_prepare, (qubit,))
    return rho


def attached(rho: DensityMatrix, hardware: Hardware) -> DensityMatrix:
    """|0> with the errors of its preparation, a Hadamard with its error, then the register."""
    zero = np.diag([1 - hardware.p_prepare / 2, hardware.p_prepare / 2]).astype(complex)
    wide = DensityMatrix(np.kron(zero, rho.matrix))
    return worked(wide, layers.hadamards(1).on(wide.qubits, [0]), (), hardware)


def read(rho: DensityMatrix, block: Block, parameters: Any, hardware: Hardware) -> np.ndarray:
    """What a block's outcomes, bits flipped, say on average of its derivatives."""
    qubits = [qubit for qubit, _ in block.observable.paulis]
    rho = worked(rho, block.frame, parameters, hardware)
    rho = worked(rho, block.observable.basis(rho.qubits), (), hardware)
    populations = np.diagonal(rho.matrix).real.reshape((2,) * rho.qubits)
    rest = tuple(qubit for qubit in range(rho.qubits) if qubit not in qubits)
    table = populations.sum(axis=rest).transpose(np.argsort(np.argsort(qubits))).reshape(-1)
    return np.asarray(table @ flipped_bits(len(table), hardware.p_readout) @ block.values)


def oracle(loaded: Loaded, hardware: Mapping[str, Hardware]) -> np.ndarray:
    """The mean of every estimator that reads |Φ>, of all derivatives."""
    run, network_ = loaded.run(), loaded.network()
    segments: dict[int, Segment] = {}
    for party, slice_ in run.sessions[0].slices.items():
        share: Share = share_of(slice_.part, network_.loaders()[party])
        segments |= {visit: frozen(each, share.trainable[visit]) for visit, each in share.segments.items()}
        if (inputs := input_of(slice_.part, network_.loaders()[party])) is not None:
            state = inputs[0]
    n, nodes = share.qubits, [hardware.get(party, Hardware()) for party in share.path]
    found = []
    for own in (visit for visit, segment in sorted(segments.items()) if segment.circuit.parameter_count):
        rho = prepared(state, nodes[0])
        for visit, at in enumerate(Route(share.path, own, n).stations):
            segment, turning = segments[at], len(share.path) - 1
            if visit == own:
                rho = attached(rho, nodes[at])
            if visit <= turning:
                gates = segment.circuit if visit < own else (controlled if visit == own else beside)(segment.circuit)
                rho = worked(rho, gates, segment.values, nodes[at])
            if visit == turning:
                rho = worked(rho, features.turn(n, share.projector), (), nodes[at])
            if visit >= turning and at > own:
                rho = worked(rho, beside(segment.circuit).inverse(), segment.values, nodes[at])
        derivatives = np.zeros(segments[own].circuit.parameter_count)
        for block in blocks_of(segments[own].circuit):
            derivatives[list(block.slots)] += read(rho, block, segments[own].values, nodes[own])
        found.append(derivatives)
    return np.concatenate(found)


# ---------------------------------------------------------------- readings


def every_sort(n: int, rng: np.random.Generator) -> Segment:
    circuit = layers.hardware_efficient(n, 2) + layers.couplings(n, "zx") + layers.rotations(n, "x")
    circuit = circuit + layers.diagonal_phases(rng.normal(size=2**n), True)
    return Segment(circuit, rng.uniform(0, 6, circuit.parameter_count))


def each_alone(circuit: Circuit) -> Grouped:
    return Grouped(tuple((slot,) for slot in range(circuit.parameter_count)))


TOOLS: list[Estimator] = [Exact(), Commuting(), Direct(), RandomCoordinate(), RandomCoordinate("parameter")]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: f"{tool.name}-{getattr(tool, 'unit', '')}")
@pytest.mark.parametrize("grouped", [False, True])
def test_readings_of_perfect_copies_have_the_exact_gradient_as_their_mean(tool: Estimator, grouped: bool) -> None:
    rng = np.random.default_rng(4)
    segment = every_sort(3, rng)
    if grouped:
        tool, segment = each_alone(layers.hardware_efficient(3, 2)), Segment(layers.hardware_efficient(3, 2), range(12))
    states = layers.haar_state(4, rng, 2)
    readings = readings_of(tool, segment.circuit)
    laws = [part.observable.probabilities(part_states(part.circuit, states, segment)) for part in readings.parts]
    # As many copies by each reading as there are readings, so that nobody's mean is over nothing.
    many = len(readings.parts)
    told = readings.estimate([many * law for law in laws], np.array([many**2] * 2)).values
    np.testing.assert_allclose(told, contributions(segment, states), atol=1e-12)


def part_states(circuit: Circuit, states: np.ndarray, segment: Segment) -> np.ndarray:
    return Segment(circuit, segment.values).apply(states)


def test_copies_are_dealt_evenly_and_not_in_turn() -> None:
    readings = readings_of(Direct(), layers.rotations(2, "y"))
    dealt = readings.choose(3, 11, np.random.default_rng(1))
    assert [np.bincount(row, minlength=2).tolist() for row in dealt] == [[6, 5]] * 3
    assert len({tuple(row) for row in dealt.tolist()}) == 3
    drawn = readings_of(RandomCoordinate(), layers.hardware_efficient(2, 1)).choose(4, 50_000, np.random.default_rng(1))
    assert np.abs(np.bincount(drawn.ravel()) - 100_000).max() < 5 * math.sqrt(200_000 / 4)


def test_what_has_no_stated_circuit_has_no_readings() -> None:
    with pytest.raises(ValueError, match=r"^estimator: 'classical-shadows' given, expected one with a circuit: direct"):
        readings_of(ClassicalShadows(), layers.rotations(2))


@QUICK
@given(bits=st.integers(0, 6), p=st.floats(0, 1), seed=st.integers(0, 99))
def test_bits_are_misread_as_the_table_says(bits: int, p: float, seed: int) -> None:
    law = np.random.default_rng(seed).dirichlet(np.ones(2**bits), size=3)
    np.testing.assert_allclose(misread(law, p), law @ confusion(2**bits, p), atol=1e-14)


def test_three_outcomes_are_no_bits() -> None:
    with pytest.raises(ValueError, match=r"^probabilities: 3 outcomes given"):
        misread(np.ones((1, 3)) / 3, 0.1)


@QUICK
@given(data=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12), free=st.integers(0, 60))
def test_a_server_with_services_of_different_lengths(data: list[tuple[int, int]], free: int) -> None:
    done, busy = [], free
    for ready, service in data:
        busy = max(ready, busy) + service
        done.append(busy)
    ready_ps, services = (np.array([each[k] for each in data], dtype=np.int64) for k in (0, 1))
    assert serve(ready_ps, services, free).tolist() == done


def in_settings(
    at: PartyNode, settings: list[Setting], parameters: NDArray[np.float64], choice: NDArray[np.int64], copies: Copies,
    most: int | None = None, *, peek: bool = False,
) -> list[NDArray[np.float64]]:  # fmt: skip
    """Measure the first `most` living copies of one item, the k-th of them in setting choice[k]."""
    groups = np.zeros(len(copies), np.int64)
    keep = at.keep(copies, groups, np.array([len(copies) if most is None else most]))
    return at.measure_in(settings, parameters, choice[None], groups[:1], copies, groups, keep, peek=peek)


@pytest.mark.parametrize("hardware", [ERRING, Hardware(p_gate2=0.1), Hardware(p_readout=0.1)])
def test_what_is_reported_is_the_density_matrix_s_to_rounding(hardware: Hardware) -> None:
    """Density matrices meet all errors on average: frame, basis and readout against the oracle, block by block."""
    rng = np.random.default_rng(7)
    segment = every_sort(2, rng)
    state = layers.haar_state(3, rng)
    readings = readings_of(Exact(), segment.circuit)
    alice, count = node(hardware), 3
    batch = Copies(mixed(state), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.bool_))
    made = [Setting(part.circuit, part.observable) for part in readings.parts]
    zeros = np.zeros(count, np.int64)
    laws = in_settings(alice, made, segment.values, zeros, batch, peek=True)
    expected = np.zeros(segment.circuit.parameter_count)
    for block in blocks_of(segment.circuit):
        told = read(DensityMatrix.from_states(state), block, segment.values, hardware)
        np.add.at(expected, list(block.slots), told)
    np.testing.assert_allclose(readings.estimate(laws, np.array([count])).values[0], expected, atol=1e-12)
    assert np.abs(expected - contributions(segment, state)[0]).max() > 0.01


# ---------------------------------------------------------------- whole gradients


COPIES = 8_000
CIRCUITS: dict[str, list[Data]] = {
    "two": [rotations("b", axes=["x", "y"]), rotations("a", entangle="cnot-chain")],
    "back and forth": [rotations("b"), rotations("a"), rotations("b", trainable=False), rotations("a")],
    "contraction": [rotations("b", axes=["y"]), contraction("a", 2), rotations("a", axes=["x"])],
}


@pytest.mark.parametrize(
    ("name", "a"), [*((name, ERRING) for name in CIRCUITS), ("two", Hardware())], ids=[*CIRCUITS, "perfect owner"]
)
def test_a_whole_gradient_is_that_of_density_matrices(name: str, a: Hardware) -> None:
    """Preparation, ancilla, controlled and plain gates, the turn, undoing, frames and readouts all err.

    A copy's value is between -r and r, r = 1/2 for one rotation, and times the number B of readings where one is
    drawn: means of K copies, K/B for each reading, are off by 4.5 standard errors at most.
    """
    tools = ["exact", "commuting", "direct", "random-coordinate"]
    loaded = on(scenario(CIRCUITS[name], estimators=tools, copies=COPIES), a=a, b=OTHER)
    expected = oracle(loaded, {"a": a, "b": OTHER})
    result = outcome(loaded)
    assert result["noisy"] and result["parameters"] == len(expected)
    quiet = np.array(result["exact"])
    assert np.abs(quiet - expected).max() > 4.5 * 0.5 / math.sqrt(COPIES)
    parts = {"exact": 1, "commuting": 2, "random-coordinate": 2, "direct": 4}
    for tool, told in result["estimators"].items():
        off = np.abs(np.array(told["estimate"]) - expected).max()
        assert off < 4.5 * 0.5 * math.sqrt(parts[tool] / COPIES), tool
        assert told["promise_kept"] is None
    assert abs(result["bias"] - np.abs(quiet - expected).max()) < result["bias_radius"]


def test_parameter_shift_differentiates_the_noisy_expectation() -> None:
    """Errors do not depend on angles, so two shifted runs of the noisy inference are its exact derivative."""
    loaded = on(scenario("ba", estimators=["parameter-shift"], copies=20_000), a=ERRING, b=OTHER)
    result = outcome(loaded)
    run, network_ = loaded.run(), loaded.network()
    shares = {party: share_of(run.sessions[0].slices[party].part, network_.loaders()[party]) for party in "ab"}
    state = input_state(run.sessions[0].slices["b"].part.input, 2, network_.loaders()["b"])
    nodes = {"a": ERRING, "b": OTHER}

    def expectation(angles: np.ndarray) -> float:
        rho = prepared(state[0], OTHER)
        for visit, party in enumerate("ba"):
            circuit = shares[party].segments[visit].circuit
            rho = worked(rho, circuit, angles[4 * visit : 4 * visit + 4], nodes[party])
        chance = float(np.diagonal(rho.matrix).real[:2].sum())
        return chance * (1 - ERRING.p_readout) + (1 - chance) * ERRING.p_readout

    angles = np.concatenate([shares[party].segments[visit].values for visit, party in enumerate("ba")])
    steps = np.pi / 2 * np.eye(8)
    expected = [(expectation(angles + step) - expectation(angles - step)) / 2 for step in steps]
    assert np.abs(np.array(result["estimate"]) - expected).max() < 4.5 / math.sqrt(8 * 20_000)
    assert result["noisy"] and np.abs(np.array(result["exact"]) - expected).max() > 0.04


COUNTS = {  # of gates on one and on two qubits
    "rx": (layers.rotations(1, "x"), (1, 1)),
    "rzz": (layers.couplings(2, "zz"), (3, 3)),
    "h": (layers.hadamards(1), (2, 1)),
    "cz": (layers.entangler(2, "cz-chain"), (0, 6)),
    "cnot": (layers.entangler(2, "cnot-chain"), (2, 6)),
    "dense": (layers.dense(np.eye(4)), (0, 20)),
    "diagonal": (layers.diagonal(np.ones(8)), (0, 14)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_a_circuit_under_control_counts_as_what_it_is_made_of(name: str) -> None:
    circuit, (ones, twos) = COUNTS[name]
    wide = controlled(circuit)
    sizes = [len(gate.qubits) for gate in wide.gates]
    assert sizes.count(1) == ones
    assert sum(two_qubit_gates(gate.name, size) for gate, size in zip(wide.gates, sizes, strict=True)) == twos


def test_the_turn_is_a_diagonal_on_the_ancilla_the_first_qubit_and_the_flags() -> None:
    for flags in range(4):
        (gate,) = features.turn(2 + flags, Projector(0, flags=tuple(range(2, 2 + flags)))).gates
        assert two_qubit_gates(gate.name, len(gate.qubits)) == (2 ** (2 + flags) - 2 if flags else 1)


# ---------------------------------------------------------------- what is noisy, and what is refused


NOISY = [
    ({"a": {"p_gate1": 0.01}}, True),
    ({"b": {"p_prepare": 0.01}}, True),
    ({"a": {"p_readout": 0.01}}, True),
    ({"a": {"gate1_s": 1e-6}}, False),
    ({"a": {"gate1_s": 1e-6, "t2_s": 1.0}}, True),
    ({"a": {"p_prepare": 0.0}}, False),
]


@pytest.mark.parametrize(("nodes", "noisy"), NOISY)
def test_a_result_is_noisy_where_nodes_alone_are(nodes: Data, noisy: bool) -> None:
    loaded = on(scenario("ba", estimators=["exact", {"name": "commuting", "copies": 40}]), **nodes)
    result = outcome(loaded)
    assert result["noisy"] is noisy and (result.get("bias") is not None) is noisy
    assert result["estimators"]["exact"]["copies_per_state"]["0"] == (1000 if noisy else 1)
    assert ("links or nodes are noisy" in result["verdict"]) is noisy
    assert noisy or result["estimators"]["exact"]["error"] < 1e-12


def test_who_never_reads_misreads_nothing() -> None:
    """b, whose layer does not move, only passes registers on; what it would misread does not matter."""
    nodes = {"b": {"p_readout": 0.3}}
    loaded = on(scenario([rotations("b", trainable=False), rotations("a")], estimators=["exact"]), **nodes)
    result = outcome(loaded)
    assert not result["noisy"] and result["error"] < 1e-12


@pytest.mark.parametrize("tool", ["classical-shadows", "tomography", "shadow-tomography"])
def test_what_has_no_stated_circuit_is_refused_at_owners_who_read_imperfectly(tool: str) -> None:
    for key, value in (("p_readout", 0.25), ("gate2_s", 1e-6)):
        with pytest.raises(ScenarioError) as refused:
            on(scenario("ba", estimators=["direct", tool]), a={key: value}).run()
        text = str(refused.value)
        assert text.startswith(f"test: nodes.a.{key}: {value:g} given, expected none for the estimator {tool}, whose")
        assert text.endswith("direct, commuting, random-coordinate and parameter-shift work on such nodes")
        assert "\n" not in text
    on(scenario("ba", estimators=[tool]), a={"p_prepare": 0.1}).run()
    on(scenario([rotations("b"), rotations("a", trainable=False)], estimators=[tool]), a={"p_readout": 0.1}).run()
    given_ = {"epsilon": 0.3, "delta": 0.1, "estimator": tool}
    with pytest.raises(ScenarioError, match=rf"^nodes.b.p_readout: 0.25 given, expected none for the estimator {tool}"):
        carried_out(spec_of(**given_), replace(network(), hardware={"b": Hardware(p_readout=0.25)}))


@pytest.mark.parametrize(("tool", "least"), [("direct", 4), ("commuting", 2)])
def test_fewer_copies_than_readings_is_one_line(tool: str, least: int) -> None:
    loaded = on(scenario("ba", copies=least - 1, estimators=[tool]), a=ERRING, b=ERRING)
    told = rf"^protocol.copies: {least - 1} given, expected {least} or more for estimator {tool}$"
    with pytest.raises(ScenarioError, match=told):
        run_inline(loaded.run())
    alone = {"name": "commuting", "blocks": [[number] for number in range(8)]}
    loaded = on(scenario("ba", copies=3, estimators=[alone]), a=ERRING, b=ERRING)
    with pytest.raises(ScenarioError, match=r"^protocol.copies: 3 given, expected 4 or more for estimator commuting$"):
        run_inline(loaded.run())


# ---------------------------------------------------------------- time


def test_a_qubit_that_is_attached_takes_time_and_errs_within_the_visit() -> None:
    """Three copies at once: each is prepared for, turned, and read before the next one gets its turn."""
    hardware = Hardware(prepare_ps=1_000, gate1_ps=30, readout_ps=500, p_prepare=0.1, p_gate1=0.05)
    state = layers.haar_state(2, np.random.default_rng(3))
    alice = node(hardware)
    copies = alice.attach(arrived(state, [7, 7, 7]))
    assert copies.qubits == 3
    settled(alice, copies := alice.apply(layers.rotations(3, "y"), copies, np.zeros(3)))
    assert copies.qubits == 3
    alice = node(hardware)
    alice.measure(alice.attach(arrived(state, [7, 7, 7])), Projector(0), np.zeros(3, np.int64), 1)
    assert alice.now_ps == 7 + 3 * (1_000 + 30 + 500)
    alice, many = node(hardware), np.zeros(30_000)
    expected = attached(DensityMatrix.from_states(state), hardware)
    assert_agrees(settled(alice, alice.attach(arrived(state, many))), expected)


def test_registers_decay_while_their_ancilla_is_made() -> None:
    memory = Memory(t1_ps=3e3, t2_ps=2e3)
    state = layers.haar_state(1, np.random.default_rng(3))
    alice = node(Hardware(memory, prepare_ps=700, gate1_ps=300))
    rho = DensityMatrix.from_states(state).apply_kraus(decay(700, *memory.constants).operators, [0])
    rho = attached(rho, Hardware())
    for qubit in range(2):
        rho = rho.apply_kraus(decay(300, *memory.constants).operators, [qubit])
    # Apart enough that none waits for another.
    assert_agrees(settled(alice, alice.attach(arrived(state, 10_000 * np.arange(30_000)))), rho)


def test_each_copy_takes_the_time_of_its_own_setting_and_decays_meanwhile() -> None:
    """Settings of 100 and of 300 ps and a readout of 10, copies ready at 0, 50, 900: done at 110, 420, 1010."""
    one, three = layers.rotations(1, "y"), layers.rotations(1, "yzy")
    angles = np.array([0.0, 0.0, 0.0])
    pair = [Setting(Circuit(1, one.gates, 3), Projector(0)), Setting(three, Projector(0))]
    hardware = Hardware(gate1_ps=100, readout_ps=10)
    alice = node(hardware)
    state = np.array([1, 0], dtype=complex)
    counts = in_settings(alice, pair, angles, np.array([0, 1, 0]), arrived(state, [0, 50, 900]))
    assert [each.tolist() for each in counts] == [[[2, 0]], [[1, 0]]] and alice.now_ps == 1010
    dead = arrived(state, [0, 50, 900], [False, True, False])
    counts = in_settings(alice, pair, angles, np.array([0, 1, 1]), dead, most=1)
    assert [each.tolist() for each in counts] == [[[1, 0]], [[0, 0]]] and alice.now_ps == 1010 + 110
    # A |1> that relaxes while its circuit runs, and for as long as it waits for the processor before.
    memory, many = Memory(t1_ps=400.0), 20_000
    alice = node(Hardware(memory, gate1_ps=100))
    excited = arrived(np.array([0, 1], dtype=complex), np.repeat(10_000 * np.arange(many // 2), 2))
    choice = np.tile([1, 0], many // 2)
    counts = in_settings(alice, pair, angles, choice, excited)
    # Angles are 0; the first of each pair has a setting of 300 ps, the second waits 300 and takes 100.
    for told, waited in zip(counts, (400, 300), strict=True):
        chance = math.exp(-waited / 400)
        assert abs(told[0, 1] - many / 2 * chance) < 4.5 * math.sqrt(many / 2 * chance * (1 - chance))


def test_a_perfect_node_measures_in_settings_too() -> None:
    state, zeros = layers.haar_state(2, np.random.default_rng(8)), np.zeros(40_000, np.int64)
    pair = [Setting(layers.hadamards(2), Projector(0)), Setting(Circuit(2, ()), Projector(1))]
    choice = np.arange(40_000) % 2
    laws, counts = (
        in_settings(PartyNode("alice", b"k" * 32, {}), pair, NONE, choice, arrived(state, zeros), peek=peek)
        for peek in (True, False)
    )
    for setting, law, count in zip(pair, laws, counts, strict=True):
        expected = setting.observable.probabilities(Segment(setting.circuit).apply(state))[0]
        np.testing.assert_allclose(law[0] / 40_000, expected, atol=1e-12)
        assert count.sum() == 20_000
        assert abs(count[0, 0] - 20_000 * expected[0]) < 4.5 * math.sqrt(20_000 * expected.prod())


def test_a_reading_that_would_pass_the_end_of_the_clock_is_refused() -> None:
    pair = [Setting(layers.hadamards(1), Projector(0)), Setting(Circuit(1, ()), Projector(0))]
    zeros = np.zeros(100, np.int64)
    for lasts_ps in (1 << 57, (1 << 62) - 1):
        alice = node(Hardware(gate1_ps=lasts_ps))
        batch = arrived(np.array([1, 0], dtype=complex), zeros)
        with pytest.raises(ScenarioError, match=r"^nodes.alice: 100 copies at .* s each keep it busy until .*53 days"):
            in_settings(alice, pair, NONE, np.arange(100) % 2, batch)


def test_virtual_time_of_a_gradient_by_hand() -> None:
    """One rotation each, one copy of each |Phi>, an ideal fiber of 1 km (5 µs); gates 1 and 10 µs, readout 100 µs.

    Of a's |Phi>: b's rotation 1; 5 of fiber; a makes its ancilla (Hadamard) 1, controls its rotation 1 + 10, the
    turn 10, the frame (x beside the rotation's own half 1, its controlled half 10, x 1), two gates for the Y of the
    ancilla beside the two for the Y of the rotation's qubit (2), and reads.
    Of b's: ancilla 1, controlled 11, fiber 5; a's rotation 1, the turn 10, undone 1; fiber 5; frame, letters, readout.
    """
    nodes = {"gate1_s": 1e-6, "gate2_s": 1e-5, "readout_s": 1e-4}
    one = [rotations(owner, axes=["y"], entangle="none") for owner in "ba"]
    loaded = scenario(one, link={"fiber": "ideal", "length_km": 1.0}, qubits=1, copies=1, estimators=["commuting"])
    data = loaded.scenario.model_dump(mode="json", exclude_unset=True)
    data["nodes"], data["protocol"]["input"] = {"a": nodes, "b": nodes}, None
    result = run_inline(validate(data, "test", "test", ".").run())[0]
    read_us = 12 + 2 + 100
    # b's state comes first; a's is begun by b when b's own was read.
    first = 1 + 11 + 5 + 1 + 10 + 1 + 5 + read_us
    second = first + 1 + 5 + 1 + 11 + 10 + read_us
    assert result.clocks_ps == {"b": first * 10**6, "a": second * 10**6}


# ---------------------------------------------------------------- training


def test_a_readout_shrinks_what_the_exact_reference_sees() -> None:
    """Only readouts err, of both owners: losses are those of (1 - 2p) z at the last party, before the first step."""
    p = 0.1
    on_them = replace(network(), hardware={"a": Hardware(p_readout=p), "b": Hardware(p_readout=0.2)})
    spec = spec_of(steps=1)
    found = run_inline(replace(run_of(spec, on_them), hardware=on_them.hardware))[0]
    labels = np.array(run_labels(spec))
    expected = (((1 - 2 * p) * outputs(ANGLES, ROWS) - labels) ** 2).mean()
    assert found.outcomes["a"].losses[0] == pytest.approx(expected, abs=1e-12)


def run_labels(spec: Any) -> list[float]:
    return [1.0 if label == 8 else -1.0 for label in spec.labels.train.values]


IMPERFECT = {
    "a": Hardware(Memory(t2_ps=1e10), 10**5, 10**5, 10**6, 10**6, 0.01, 0.002, 0.01, 0.02),
    "b": Hardware(gate2_ps=10**5, p_gate2=0.01, p_readout=0.01),
}
SHORT: Data = {"steps": 3, "batch": 3, "loss_copies": 4, "test_copies": 2}
TRAINED = [
    pytest.param({"estimator": "commuting", "copies": 6}, marks=pytest.mark.long),
    {"estimator": "random-coordinate", "copies": 3, "adaptive": {"ratio": 0.3, "most": 9}},
    pytest.param({"estimator": "direct", "copies": 5, "window": 20}, marks=pytest.mark.long),
]


@pytest.mark.parametrize("given_", TRAINED)
def test_a_training_on_imperfect_nodes_is_the_same_in_processes_and_after_a_checkpoint(
    given_: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(**given_, **SHORT, checkpoint_every=1)
    run = replace(run_of(spec, replace(network(LOSSY), hardware=IMPERFECT)), hardware=IMPERFECT)
    plain = whole(run_inline(run))
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 2, Interrupted())
        run_inline(run, out=tmp_path)
    assert whole(run_inline(run, out=tmp_path)) == plain
    if given_["estimator"] == "commuting":
        assert whole(run_processes(run)) == plain
        quiet = run_inline(replace(run, hardware={}))[0]
        assert quiet.transcript_sha256 != plain[0][0] and quiet.virtual_time_ps < max(plain[0][1].values())


METRO = {
    "kind": "training",
    "qubits": 2,
    "start": "bob",
    "data": {"train": {"values": ROWS.tolist()}, "test": {"values": ROWS[:3].tolist()}},
    "labels": {"train": {"values": [0, 1] * 6}, "test": {"values": [0, 1, 1]}},
    "layers": [rotations("bob", axes=["y"]), rotations("alice", axes=["y"])],
    "estimator": "commuting",
    "copies": 2,
    "loss_copies": 2,
    "test_copies": 2,
    "steps": 2,
    "batch": 2,
    "rivals": {"backprop": [], "raw": []},
}


def test_trapped_ions_25_km_apart_train_alike_inline_and_in_processes() -> None:
    """The link and the nodes of metro-25km-teleport, as they are packaged."""
    data = load("metro-25km-teleport").scenario.model_dump(mode="json", exclude_unset=True)
    loaded = validate({**data, "protocol": METRO}, "test", "test", ".")
    assert loaded.run().hardware["bob"].p_gate2 == 0.02
    run = loaded.run()
    inline, processes = run_inline(run), run_processes(run)
    assert whole(inline) == whole(processes)
    told = inline[0]
    assert len(told.outcomes["alice"].losses) == 2 and told.totals.ebits > 0
    # Bob reads two copies of both samples in each step, 1.5 ms each, before it ends.
    clocks = told.outcomes["bob"].costs[:, COLUMNS.index("clock_ps")]
    assert np.diff(clocks, prepend=0).min() > 4 * 1_500_000_000
