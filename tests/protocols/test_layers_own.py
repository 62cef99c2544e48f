"""Layers that their owners alone know, where gradients are taken: against PennyLane and products of matrices."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import SessionResult
from ketwire.protocols.gradient.outline import UNIT, derivable, facts, heard
from ketwire.protocols.layers import build_layers
from ketwire.protocols.openqasm.reader import circuit_of
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.estimation import Demand, Promise, copies_each
from ketwire.quantum.gradients.estimators import FROM_FEATURES
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.features import blocks_of, contributions, phi
from ketwire.quantum.gradients.parameter_shift import ParameterShift, Shifts, shift_plan
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, load
from tests.kit import place, unannounced
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt
from tests.protocols.openqasm.test_reader import HEAD
from tests.quantum.gradients.test_exact import differences
from tests.quantum.test_circuits import PARAMETERS, gap, pennylane, random_circuit

pytest.importorskip("openqasm3")
Data = dict[str, Any]

# ---------------------------------------------------------------- every gate has its right derivative

EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "a": lambda p: p[0],
    "2 * b - 0.3": lambda p: 2 * p[1] - 0.3,
    "a - c / 2": lambda p: p[0] - p[2] / 2,
    "-(b + 1)": lambda p: -(p[1] + 1),
    "0.7": lambda p: 0.7,
    "a + b + 3 * c - a / 4": lambda p: 0.75 * p[0] + p[1] + 3 * p[2],
}
GATES: dict[str, tuple[int, int, str]] = {
    "rx": (1, 1, "RX"), "ry": (1, 1, "RY"), "rz": (1, 1, "RZ"), "p": (1, 1, "PhaseShift"), "u2": (1, 2, "U2"),
    "U": (1, 3, "U3"), "h": (1, 0, "Hadamard"), "sx": (1, 0, "SX"), "cx": (2, 0, "CNOT"), "cy": (2, 0, "CY"),
    "swap": (2, 0, "SWAP"), "cp": (2, 1, "ControlledPhaseShift"), "crx": (2, 1, "CRX"), "cry": (2, 1, "CRY"),
    "crz": (2, 1, "CRZ"), "ccx": (3, 0, "Toffoli"),
}  # fmt: skip
INPUTS = "input float a; input angle b; input float c; qubit[3] q;\n"


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, list[str], list[int], bool]]:
    """Applications: gate, its angles, its qubits, whether it is undone."""
    chosen = draw(st.lists(st.sampled_from(sorted(GATES)), min_size=1, max_size=9))
    angles = st.sampled_from(sorted(EXPRESSIONS))
    return [
        (name, draw(st.lists(angles, min_size=GATES[name][1], max_size=GATES[name][1])),
         draw(st.permutations(range(3)))[: GATES[name][0]], draw(st.booleans()))
        for name in chosen
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:Output seems independent")  # theirs
@settings(max_examples=12, deadline=None, derandomize=True)
@given(programs(), st.integers(0, 1000))
def test_derivatives_of_openqasm_are_pennylane_s(program: Any, seed: int) -> None:
    """By the exact sweep, from |Phi>, and by shifted runs; two unitaries and a projector follow."""
    qml, rng = pennylane(), np.random.default_rng(seed)
    text = HEAD + INPUTS
    for name, angles, qubits, undone in program:
        told = f"({', '.join(angles)})" if angles else ""
        text += f"{'inv @ ' * undone}{name}{told} {', '.join(f'q[{qubit}]' for qubit in qubits)};\n"
    values, after, state = rng.normal(size=3), layers.random_unitary(3, rng), layers.haar_state(3, rng)

    @qml.qnode(qml.device("default.qubit", wires=3), diff_method="backprop")  # type: ignore[untyped-decorator]
    def loss(parameters: Any) -> object:
        qml.StatePrep(state[0], wires=range(3))
        for name, angles, qubits, undone in program:
            operation = getattr(qml, GATES[name][2])
            turns = [EXPRESSIONS[angle](parameters) for angle in angles]
            (qml.adjoint(operation) if undone else operation)(*turns, wires=qubits)
        qml.QubitUnitary(after, wires=range(3))
        return qml.expval(qml.Projector([0], wires=[0]))

    expected = np.asarray(qml.grad(loss)(qml.numpy.array(values, requires_grad=True)), dtype=np.float64)
    if expected.size == 0:
        expected = np.zeros(3)
    U, V = Segment(circuit_of(text), values), Segment(layers.dense(after))
    assert gap(exact_gradients([U, V], state)[0][0], expected) < 1e-10
    assert gap(contributions(U, phi(state, U, [V]))[0], expected) < 1e-10
    assert gap(by_shifts(U, V, state)[0], expected) < 1e-10


# Under modifiers; of each, what PennyLane has that does the same. U and u2 differ there by a phase, which shows.
MODIFIED: dict[str, tuple[int, Callable[[Any, Any], Any]]] = {
    "ctrl @ rx(2 * a - c)": (2, lambda qml, p: qml.CRX(2 * p[0] - p[2], [0, 1])),
    "negctrl @ ry(b)": (2, lambda qml, p: qml.ctrl(qml.RY(p[1], 1), 0, [0])),
    "ctrl @ crz(a + 0.2)": (3, lambda qml, p: qml.ctrl(qml.RZ(p[0] + 0.2, 2), [0, 1])),
    "ctrl @ negctrl @ rx(c - a)": (3, lambda qml, p: qml.ctrl(qml.RX(p[2] - p[0], 2), [0, 1], [1, 0])),
    "ctrl(2) @ gphase(b)": (2, lambda qml, p: qml.ControlledPhaseShift(p[1], [0, 1])),
    "ctrl @ inv @ cp(a)": (3, lambda qml, p: qml.ctrl(qml.PhaseShift(-p[0], 2), [0, 1])),
    "pow(-0.5) @ cry(b)": (2, lambda qml, p: qml.CRY(-0.5 * p[1], [0, 1])),
    "pow(3) @ ctrl(2) @ ry(c)": (3, lambda qml, p: qml.ctrl(qml.RY(3 * p[2], 2), [0, 1])),
    "ctrl @ sx": (2, lambda qml, p: qml.ctrl(qml.SX(1), 0)),
    "cu(a, b, -c, a - b)": (2, lambda qml, p: (
        qml.PhaseShift(p[0] - p[1], 0), qml.ctrl(qml.U3(p[0], p[1], -p[2], wires=1), 0))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:Output seems independent")  # theirs
@pytest.mark.parametrize("gate", MODIFIED)
def test_derivatives_under_modifiers_are_pennylane_s(gate: str) -> None:
    """A controlled rotation has three eigenvalues: a single shift of its angle would give another derivative."""
    qml, rng = pennylane(), np.random.default_rng(3)
    qubits, theirs = MODIFIED[gate]
    values, after, state = rng.normal(size=3), layers.random_unitary(3, rng), layers.haar_state(3, rng)

    @qml.qnode(qml.device("default.qubit", wires=3), diff_method="backprop")  # type: ignore[untyped-decorator]
    def loss(parameters: Any) -> object:
        qml.StatePrep(state[0], wires=range(3))
        theirs(qml, parameters)
        qml.QubitUnitary(after, wires=range(3))
        return qml.expval(qml.Projector([0], wires=[0]))

    text = f"{HEAD}{INPUTS}{gate} {', '.join(f'q[{place}]' for place in range(qubits))};"
    U, V = Segment(circuit_of(text), values), Segment(layers.dense(after))
    expected = np.asarray(qml.grad(loss)(qml.numpy.array(values, requires_grad=True)), dtype=np.float64)
    expected = expected if expected.size else np.zeros(3)
    assert abs(float(loss(values)) - float(Projector(0).expectation(V.apply(U.apply(state)))[0])) < 1e-12
    assert gap(exact_gradients([U, V], state)[0][0], expected) < 1e-10
    assert gap(contributions(U, phi(state, U, [V]))[0], expected) < 1e-10
    assert gap(by_shifts(U, V, state)[0], expected) < 1e-10


def by_shifts(U: Segment, V: Segment, states: np.ndarray) -> np.ndarray:
    plan = shift_plan(U)
    runs = [Projector(0).expectation(V.apply(Segment(plan.circuit, angles).apply(states))) for angles in plan.angles]
    return plan.gradient(np.array(runs).reshape(len(plan.angles), len(states)))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_derivatives_of_any_gates_are_differences(seed: int, qubits: int) -> None:
    """Every gate that a callable may return, parameters used often, one slot for each entry of a diagonal."""
    rng = np.random.default_rng(seed)
    U = Segment(random_circuit(qubits, 12, rng), rng.normal(size=PARAMETERS))
    V, states = Segment(layers.dense(layers.random_unitary(qubits, rng))), layers.haar_state(qubits, rng, 2)
    expected = differences([U, V], states, Projector(0), 0)
    assert gap(contributions(U, phi(states, U, [V])), expected) < 1e-7
    assert gap(by_shifts(U, V, states), expected) < 1e-7


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(sorted({*FROM_FEATURES} - {"exact"})), st.floats(0.05, 0.9))
def test_what_is_told_asks_for_as_many_copies_or_a_few_more(seed: int, name: str, epsilon: float) -> None:
    """Rounded up to multiples of 2^-32; never fewer copies than the unitary itself asks for."""
    circuit = random_circuit(3, 12, np.random.default_rng(seed))
    demand, tool, promise = Demand.of(blocks_of(circuit)), FROM_FEATURES[name](), Promise(epsilon, 0.1, 17)
    public = {fact: shape.value for fact, shape in facts(demand, 3).items()}
    told = heard(Demand, public, 3)
    assert Demand.of(told) is told and told.squares <= demand.squares + UNIT
    itself = tool.copies(blocks_of(circuit), promise)
    assert itself <= tool.copies(told, promise) <= itself + 2 + 1e-4 * itself
    shifts = heard(Shifts, {fact: shape.value for fact, shape in facts(Shifts.of(circuit), 0).items()}, 0)
    assert shifts.runs == ParameterShift().runs([circuit])
    itself = ParameterShift().copies([circuit], promise)
    assert itself <= ParameterShift().copies([shifts], promise) <= itself + 1


@pytest.mark.parametrize("wrong", [None, -1, 1.5, True])
def test_numbers_that_no_unitary_has_are_their_owner_s_fault(wrong: Any) -> None:
    circuit = layers.rotations(2, "yz")
    public = {fact: shape.value for fact, shape in facts(Demand.of(blocks_of(circuit)), 4).items()}
    assert heard(Demand, public, 4) == Demand.of(blocks_of(circuit))
    with pytest.raises(RemoteProtocolError, match="the owner of visit 4 told"):
        heard(Demand, {**public, "blocks at visit 4": wrong}, 4)
    with pytest.raises(RemoteProtocolError, match="told 0 parameters"):
        heard(Demand, {**public, "parameters at visit 4": 0}, 4)


# ---------------------------------------------------------------- scenarios with layers of both parties' own


PROGRAM = HEAD + """
input float a; input float b;
qubit[2] q;
h q;
U(a, 0.3, b - a) q[0];
crx(2 * a) q[0], q[1];
ry(b) q[1];
cx q[1], q[0];
"""
BOB = [0.7, 2.1, -0.4]
ALICE = [0.4, -1.3]


def ansatz(qubits: int) -> list[Gate]:
    """A parameter used twice, in frames of their own; a diagonal; dense gates between."""
    between = layers.random_unitary(qubits, np.random.default_rng(8))
    return [
        Gate("ry", (0,), (0,)),
        Gate("phases", (0, 1), (1,), payload=[0.0, 1.0, 0.5, -0.3]),
        Gate("dense", tuple(range(qubits)), payload=between),
        Gate("rzx", (0, 1), (0,), 1.3, 0.1),
        Gate("phase", (0, 1), (2,), -1.0),
    ]


def wide(qubits: int) -> Circuit:
    return layers.diagonal_phases(np.arange(1 << qubits), shared=True)


def idle(qubits: int) -> Circuit:
    return Circuit(qubits, (Gate("rx", (0,), (1,)), Gate("ry", (0,), (0,), 0.0)), 2)


def steep(qubits: int) -> list[Gate]:
    return [Gate("rx", (0,), (0,), 1e6)]


def cracks(qubits: int) -> list[Gate]:
    raise RuntimeError("no gates\ntoday")


def leaves(qubits: int) -> list[Gate]:
    print("good bye")
    raise SystemExit(5)


ALICES: Data = {"at": "alice", "layer": "openqasm", "program": {"path": "own.qasm"}, "angles": {"values": ALICE}}
BOBS: Data = {"at": "bob", "layer": "gates", "callable": f"{__name__}:ansatz", "angles": {"values": BOB}}
TURNS: Data = {"at": "bob", "layer": "rotations", "angles": {"values": [0.2, 1.4, -0.6, 2.2]}}
LAYERS = [BOBS, ALICES, TURNS]
LOSSY = {"fiber": "telecom-fiber", "length_km": 0.5}
IDEAL = {"fiber": "ideal"}
ROWS = [[1.0, 0.4], [-0.3, 1.0], [0.8, -0.5], [-1.0, 0.1], [0.2, 1.5], [1.4, -1.1]]
LABELS = [1, 0, 1, 0, 0, 1]


def scenario(
    folder: Path, kind: str, told: Sequence[Data] = LAYERS, link: Data = IDEAL, text: str = PROGRAM, **changed: Any
) -> Loaded:
    (folder / "own.qasm").write_text(text, encoding="utf-8")
    protocol: Data = {"kind": kind, "qubits": 2, "start": "alice", "layers": list(told)}
    if kind == "training":
        protocol |= {
            "data": {part: {"values": ROWS} for part in ("train", "test")} | {"constant": None, "standardise": False},
            "labels": {part: {"values": LABELS} for part in ("train", "test")},
            "estimator": "exact", "steps": 1, "optimiser": {"name": "sgd", "rate": 1.0}, "derivative_bits": 64,
            "rivals": {"backprop": [], "raw": [], "description": []},
        }  # fmt: skip
    else:
        protocol |= {"input": {"values": [1, 0.5, -0.2, 0.3]}, "dense_state": None}
    links = [{"between": ["alice", "bob"], **link}]
    data = {"seed": 3, "nodes": {"alice": {}, "bob": {}}, "links": links, "protocol": {**protocol, **changed}}
    (folder / "own.yaml").write_text(json.dumps(data), encoding="utf-8")
    return load(str(folder / "own.yaml"), [])


ALL = np.array([*BOB, *ALICE, *TURNS["angles"]["values"]])
INPUT = np.array([1, 0.5, -0.2, 0.3])
CIRCUITS = (
    Circuit(2, tuple(ansatz(2)), 3),
    circuit_of(PROGRAM),
    layers.rotations(2, "yz") + layers.entangler(2, "cz-ring"),
)


def probability(angles: np.ndarray, vectors: Any, circuits: Sequence[Circuit] = CIRCUITS) -> np.ndarray:
    """<P0> of each vector, by a product of the layers' matrices."""
    rows = np.zeros((len(np.atleast_2d(vectors)), 4), dtype=complex)
    rows[:, : np.shape(vectors)[-1]] = vectors
    rest = angles
    for circuit in circuits:
        rows = rows @ circuit.unitary(rest[: circuit.parameter_count]).T
        rest = rest[circuit.parameter_count :]
    return np.asarray((np.abs(rows[:, :2]) ** 2).sum(axis=1) / (np.abs(rows) ** 2).sum(axis=1))


def slopes(function: Callable[[np.ndarray], Any], at: np.ndarray = ALL) -> np.ndarray:
    return np.array([(function(at + step) - function(at - step)) / 2e-5 for step in 1e-5 * np.eye(len(at))]).ravel()


def summarised(loaded: Loaded, results: Sequence[SessionResult]) -> Data:
    return loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()


# ---------------------------------------------------------------- gradients

ESTIMATORS = ["exact", "direct", "commuting", "random-coordinate", "classical-shadows", "tomography", "parameter-shift"]


@pytest.mark.long
def test_every_estimator_keeps_its_promise_on_layers_of_one_s_own(tmp_path: Path) -> None:
    expected = slopes(lambda angles: probability(angles, INPUT))
    told = {"epsilon": 0.4, "delta": 0.1, "estimators": ESTIMATORS, "dense_state": {"bits": [64]}}
    loaded = scenario(tmp_path, "gradient", link=LOSSY, **told)
    found = summarised(loaded, run_inline(loaded.run()))
    assert found["parameters"] == 9
    for name, each in found["estimators"].items():
        error = float(np.abs(each["estimate"] - expected).max())
        assert error < (1e-9 if name == "exact" else 0.4), name
    assert np.abs(found["rivals"]["dense-state-64-bit"]["estimate"] - expected).max() < 1e-9
    network = loaded.network()
    exact = loaded.kind.exact(loaded.scenario.protocol, network, network.loaders()).exact
    assert np.abs(exact - expected).max() < 1e-9
    # Bob has 1 + 3 shifted gates and one parameter fed by two; of Alice U has three, crx two and ry one.
    assert found["estimators"]["parameter-shift"]["copies"] % 2 == 0


def test_shadow_tomography_learns_own_layers(tmp_path: Path) -> None:
    told: Data = {"epsilon": 0.9, "delta": 0.2, "estimators": ["shadow-tomography"], "budget_attempts": 1e12}
    loaded = scenario(tmp_path, "gradient", [BOBS, {**ALICES, "trainable": False}], **told)
    found = summarised(loaded, run_inline(loaded.run()))
    whole = slopes(lambda angles: probability(angles, INPUT, CIRCUITS[:2]), ALL[:5])
    expected = whole[:3]
    assert found["parameters"] == 3 and np.abs(found["estimate"] - expected).max() < 0.9


def test_copies_follow_from_the_parameters_of_all_owners(tmp_path: Path) -> None:
    """delta / P with P = 9, of which neither party has loaded more than its own."""
    told: Data = {"epsilon": 0.2, "delta": 0.1, "estimators": ["direct", "parameter-shift"]}
    loaded = scenario(tmp_path, "gradient", **told)
    found = summarised(loaded, run_inline(loaded.run()))["estimators"]
    promise, of = Promise(0.2, 0.1, 9), {"direct": [], "parameter-shift": []}  # type: ignore[var-annotated]
    widths: list[float] = []
    for number, layer in enumerate(LAYERS):
        [step] = build_layers([{**layer, "key": f"protocol.layers.{number}", **ROTATED}], 2, loader(tmp_path))
        assert isinstance(step.operation, Circuit)
        demand = Demand.of(blocks_of(step.operation))
        widths.append(2 * demand.sums)
        of["direct"].append(demand.readings * copies_each(demand, promise))
        shifts = Shifts.of(step.operation)
        of["parameter-shift"].append(2 * shifts.gates * ParameterShift().copies([shifts], promise))
    for name, copies in of.items():
        assert [found[name]["copies_per_state"][visit] for visit in "123"] == copies
    ranges = [found["direct"]["range_per_state"][visit] for visit in "123"]
    assert ranges == pytest.approx(widths) and max(widths) > 1.0  # gates turn by a multiple of a parameter


ROTATED = {"axes": ["y", "z"], "sublayers": 1, "entangle": "cz-ring"}  # what a rotation's slice says besides


def loader(folder: Path) -> Callable[[str, Data], dict[str, np.ndarray]]:
    def load_one(key: str, source: Data) -> dict[str, np.ndarray]:
        if "path" in source:
            return {"values": np.frombuffer((folder / source["path"]).read_bytes(), np.uint8)}
        return {"values": np.array(source["values"])}

    return load_one


def test_explicit_blocks_are_checked_against_what_owners_tell(tmp_path: Path) -> None:
    turns = {**BOBS, "callable": f"{__name__}:two_frames", "angles": {"values": [0.1, 0.2, 0.3]}}
    told_to_both = [turns, {**TURNS, "at": "alice"}]

    def run(blocks: list[list[int]], told: Sequence[Data]) -> Data:
        entry = {"name": "commuting", "blocks": blocks}
        loaded = scenario(tmp_path, "gradient", told, epsilon=0.3, delta=0.1, estimators=[entry, "exact"])
        return summarised(loaded, run_inline(loaded.run()))

    found = run([[1, 0], [2], [3, 4], [5], [6]], told_to_both)
    assert np.abs(np.subtract(found["estimate"], found["estimators"]["exact"]["estimate"])).max() < 0.3
    for blocks, told, said in (
        ([[0, 2], [1], [3, 4], [5], [6]], told_to_both, r"estimators.0.blocks.0: parameters 0 and 2 together given"),
        ([[0, 1], [2, 3], [4], [5], [6]], told_to_both, r"blocks.1: parameters 2 and 3 together given"),
        ([[0, 1], [2]], told_to_both, r"estimators.0.blocks: .* expected each of the parameters 0 to 6 once"),
        ([[0], [1], [2]], [BOBS], r"estimators.0.blocks.0: parameter 0 given, .* it feeds gates in several"),
    ):
        with pytest.raises(ScenarioError, match=said):
            run(blocks, told)


def two_frames(qubits: int) -> list[Gate]:
    return [Gate("ry", (0,), (0,)), Gate("ry", (1,), (1,)), Gate("rx", (0,), (2,))]


# ---------------------------------------------------------------- training


def training_slopes() -> np.ndarray:
    """Of the mean over all rows of (z - y)², by every angle."""
    labels = np.where(np.array(LABELS) == 1, 1.0, -1.0)

    return slopes(lambda angles: ((2 * probability(angles, ROWS) - 1 - labels) ** 2).mean())


def steps_of(loaded: Loaded) -> dict[int, np.ndarray]:
    """By how much one step moved each visit's angles."""
    from dataclasses import replace

    run = loaded.run()
    session = replace(run.sessions[0], program="tests.scenarios.kinds.training.test_kind:Telling")
    told = run_inline(replace(run, sessions=(session,)))[0].outcomes
    return {
        visit: array for outcome in told.values() for visit, array in outcome.parameters.items()
    }


def test_an_exact_step_is_that_of_differences(tmp_path: Path) -> None:
    expected = training_slopes()
    after = steps_of(scenario(tmp_path, "training"))
    assert np.abs(ALL - np.concatenate([after[1], after[2], after[3]]) - expected).max() < 1e-6
    frozen = steps_of(scenario(tmp_path, "training", trainable=["alice", 2]))
    assert np.abs(ALL[3:] - np.concatenate([frozen[2], frozen[3]]) - expected[3:]).max() < 1e-6
    assert len(frozen[1]) == 0  # constant: nobody moves, tells or reads what is not trained


@pytest.mark.long
@pytest.mark.parametrize(("estimator", "told"), [
    ("parameter-shift", {"copies": 2000}), ("parameter-shift", {"epsilon": 0.05, "delta": 0.1}),
    ("commuting", {"copies": 9000}),
    pytest.param("direct", {"copies": 20000}, marks=pytest.mark.long),
    pytest.param("random-coordinate", {"copies": 20000}, marks=pytest.mark.long),
    ("tomography", {"epsilon": 0.9, "delta": 0.3}),
])  # fmt: skip
def test_a_sampled_step_is_near_it(estimator: str, told: Data, tmp_path: Path) -> None:
    """Slopes are 2 (z - y) at most 4, derivatives of z twice those of <Pi>: six rows, thousands of copies."""
    expected = training_slopes()
    told = {**told, "estimator": estimator, "loss_copies": 20_000, "test_copies": 1, "budget_attempts": 1e9}
    after = steps_of(scenario(tmp_path, "training", link=LOSSY, **told))
    error = np.abs(ALL - np.concatenate([after[1], after[2], after[3]]) - expected).max()
    assert 1e-6 < error < 0.15


def test_shifted_runs_of_a_training_are_counted(tmp_path: Path) -> None:
    """2 runs of 7 copies of 6 rows for each gate that is fed; what is frozen has none; counts go to their owner."""
    told = {"estimator": "parameter-shift", "copies": 7, "loss_copies": 3, "test_copies": 2}
    loaded = scenario(tmp_path, "training", trainable=["alice"], **told)
    [result] = run_inline(loaded.run())
    gates = Shifts.of(circuit_of(PROGRAM)).gates
    copies = 6 * (3 + 2 * gates * 7)
    found = summarised(loaded, [result])
    assert gates == 1 + 2 + 2 + 1 and found["attempted_copies"] == copies + 2 * 6 * 2
    assert result.totals.qubits_sent == 3 * 2 * (copies + 2 * 6 * 2)  # three crossings; then both parts
    # Bob, who measures, tells Alice her runs' outcomes in 3 bits each, and the slopes.
    assert result.totals.payload_bits == 2 * gates * 6 * 3 + 6 * 64
    assert found["overhead"]["circuit_applications"] == 3 * copies


@pytest.mark.long
@pytest.mark.parametrize("kind", ["gradient", pytest.param("training", marks=pytest.mark.long)])
def test_inline_and_processes_give_one_transcript(kind: str, tmp_path: Path) -> None:
    told: Data = {"estimators": ["commuting", "parameter-shift"], "copies": 40, "dense_state": {"bits": [16]}}
    if kind == "training":
        told = {"estimator": "parameter-shift", "copies": 5, "loss_copies": 4, "test_copies": 2, "batch": 3, "steps": 2,
                "adaptive": {"most": 20}, "rivals": {"backprop": [16], "raw": [], "description": []},
                "trainable": [0, 1]}  # fmt: skip
    loaded = scenario(tmp_path, kind, link=LOSSY, **told)
    run = loaded.run()
    inline, apart = run_inline(run), run_processes(run)
    assert [each.transcript_sha256 for each in inline] == [each.transcript_sha256 for each in apart]
    first, second = (summarised(loaded, results) for results in (inline, apart))
    assert first == second


def test_an_interrupted_training_by_shifts_goes_on_to_the_same_angles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"estimator": "parameter-shift", "copies": 5, "loss_copies": 4, "test_copies": 2, "batch": 3, "steps": 3,
            "checkpoint_every": 1, "adaptive": {"most": 20}, "trainable": ["alice"]}  # fmt: skip
    loaded = scenario(tmp_path, "training", link=LOSSY, **told)
    run, out = loaded.run(), tmp_path / "out"
    out.mkdir()
    expected = run_inline(run)
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 2, Interrupted())
        run_inline(run, out=out)
    resumed = run_inline(run, out=out)
    assert [each.transcript_sha256 for each in resumed] == [each.transcript_sha256 for each in expected]
    ours, theirs = (summarised(loaded, results)["parameters_sha256"] for results in (resumed, expected))
    assert ours == theirs


def test_a_checkpoint_of_another_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario is the same, and so are angles that are drawn for as many parameters as there are."""
    drawn = [{**BOBS, "angles": {"random": "angles"}}, ALICES]
    loaded, out = scenario(tmp_path, "training", drawn, checkpoint_every=1, steps=3), tmp_path / "out"
    out.mkdir()
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 2, Interrupted())
        run_inline(loaded.run(), out=out)
    monkeypatch.setattr("tests.protocols.test_layers_own.ansatz", lambda qubits: ansatz_of_two())
    with pytest.raises(ScenarioError, match="2 parameters at visit 1, but 3 in the checkpoint"):
        run_inline(loaded.run(), out=out)


def ansatz_of_two() -> list[Gate]:
    return [Gate("ry", (0,), (0,)), Gate("rx", (1,), (1,))]


def test_shifted_runs_get_more_copies_where_their_gradient_drowns(tmp_path: Path) -> None:
    told: Data = {"estimator": "parameter-shift", "copies": 1, "loss_copies": 4, "test_copies": 1, "steps": 2}
    costs = []
    for adaptive in (None, {"ratio": 0.1, "most": 50}):
        loaded = scenario(tmp_path, "training", adaptive=adaptive, **told)
        costs.append(summarised(loaded, run_inline(loaded.run()))["per_step"]["attempted_copies"])
    assert costs[0][0] == costs[0][1] == costs[1][0] < costs[1][1] <= 6 * (4 + 2 * 100 * 50)


# ---------------------------------------------------------------- amplitude estimation


def test_amplitude_estimation_bounces_through_own_layers(tmp_path: Path) -> None:
    [expected] = probability(ALL, INPUT)
    told = {"estimation": "amplitude", "epsilon": 0.01, "delta": 0.01}
    loaded = scenario(tmp_path, "inference", **told)
    network = loaded.network()
    exact = loaded.kind.exact(loaded.scenario.protocol, network, network.loaders()).exact
    assert abs(exact - expected) < 1e-12
    assert abs(summarised(loaded, run_inline(loaded.run()))["estimate"] - expected) < 0.01


# ---------------------------------------------------------------- refusals


def own(name: str, **changed: Any) -> list[Data]:
    return [{**BOBS, "callable": f"{__name__}:{name}", "angles": {"values": [0.1]}, **changed}, ALICES]


REFUSED: list[tuple[Data, str]] = [
    ({"told": [BOBS, {**ALICES, "program": {"path": "none.qasm"}}]}, "protocol.layers.1.program.path: "),
    ({"text": HEAD + "input float a; input float b; qubit[2] q; rx(a * b) q;"},
     "protocol.layers.1: line 3, column 43: gate rx: * in an angle, expected something linear in the inputs"),
    ({"text": HEAD + "input float a; qubit[2] q; pow(0.5) @ h q[0]; rx(a) q[1];"}, "layers.1: line 3, column "),
    ({"text": HEAD + "qubit[3] q; h q;", "told": [BOBS, {**ALICES, "angles": None}]},
     "protocol.layers.1: a circuit of 3 qubits given, expected 2"),
    ({"told": [BOBS, {**ALICES, "angles": {"values": [1.0]}}]}, "layers.1.angles: shape [1] given, expected [2]"),
    ({"told": [{**BOBS, "angles": None}, ALICES]}, "protocol.layers.0.angles: missing required key, expected 3 values"),
    ({"told": own("cracks")}, f"protocol.layers.0.callable: '{__name__}:cracks' given, expected a function "
                              f"of the number of qubits ({place(__file__, 'raise Runtime')}: RuntimeError: no gates"),
    ({"told": own("BOBS")}, "protocol.layers.0.callable: "),
    ({"told": own("leaves")}, "good bye\nketwire: "),
    ({"told": own("scenario_of_nobody")}, "has no attribute"),
    ({"told": own("idle", angles={"values": [0.1, 0.2]})},
     "protocol.layers.0.angles: nothing depends on number 0, counted from 0; expected parameters that gates read"),
    ({"text": HEAD + "input float a; input float b; qubit[2] q; rx(a + b - b) q;"},
     "protocol.layers.1.angles: nothing depends on number 1"),
    ({"told": own("steep")}, "protocol.layers: angles of a gate are"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["gradient", "training"])
@pytest.mark.parametrize(("case", "said"), REFUSED, ids=range(len(REFUSED)))
def test_a_user_s_mistake_is_one_line_and_exit_code_two(
    kind: str, case: Data, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"estimators": ["direct"], "copies": 10} if kind == "gradient" else {"estimator": "direct", "copies": 100}
    scenario(tmp_path, kind, **{**told, **case})
    capsys.readouterr()
    assert cli.execute(["run", "--inline", str(tmp_path / "own.yaml")]) == 2
    out, err = capsys.readouterr()
    err = unannounced(err)
    assert out == "" and err.count("\n") == 1 + said.count("\n") and said in err


def test_a_gate_too_wide_to_be_read_is_refused_where_it_moves() -> None:
    key = {"layer": "gates", "key": "protocol.layers.2", "callable": f"{__name__}:wide"}
    spec = {**key, "angles": {"values": [0.3]}, "trainable": True}
    [step] = build_layers([spec], 13, loader(Path()))
    with pytest.raises(ScenarioError, match=r"^protocol.layers.2: gate 'phases' with a parameter on 13 qubits given"):
        derivable(spec, step)
    constant = derivable({**spec, "trainable": False}, step).operation
    assert isinstance(constant, Circuit) and constant.parameter_count == 0


@pytest.mark.parametrize("estimator", ["direct", "parameter-shift"])
@pytest.mark.parametrize("kind", ["gradient", "training"])
def test_budgets_are_refused_before_anything_runs(
    kind: str, estimator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Data = {"estimators": [estimator]} if kind == "gradient" else {"estimator": estimator}
    loaded = scenario(tmp_path, kind, link=LOSSY, epsilon=0.01, delta=0.1, budget_attempts=1e5, **told)
    assert loaded.check_foreseen(loaded.run()) == [estimator if kind == "gradient" else "training"]  # unseen so far
    monkeypatch.setattr("ketwire.nodes.inline.InlineSession", None, raising=True)
    with pytest.raises(ScenarioError, match=r"protocol.copies: .*\d+ measured copies need about .* attempts"):
        run_inline(loaded.run())


def test_the_rival_that_ships_rows_asks_for_no_layer(tmp_path: Path) -> None:
    """Programs and matrices stay with their owners: rows are classified by what suits them."""
    loaded = scenario(tmp_path, "training", rivals={"backprop": [], "raw": [8], "description": []})
    raw = next(each for each in loaded.run().sessions if each.name == "raw-data-8-bit")
    assert not any("layer" in repr(slice_) for slice_ in raw.slices.values())
