"""Gates, circuits and both engines against PennyLane and against closed forms."""

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit, Contraction, contract, joined
from ketwire.quantum.engines.dispatch import apply, choose_engine, predict_work
from ketwire.quantum.engines.plan import Local
from ketwire.quantum.gates import FIXED, ROTATIONS, Gate

TOLERANCE = 1e-12
ENGINES = ("numpy", "fused")
PARAMETERS = 5
ONE = [*"hxyzst", "sdg", "tdg", "rx", "ry", "rz"]
TWO = ["cz", "cnot", *sorted(name for name in ROTATIONS if len(name) == 3)]
EVERY = [*ONE, *TWO, "phase", "dense", "diagonal", "phases", "householder"]


@cache
def pennylane() -> Any:
    import pennylane

    return pennylane


def random_gate(name: str, qubits: int, rng: np.random.Generator) -> Gate:
    most = min(qubits, 2 if name == "phase" else 3)
    k = 1 if name in ONE else 2 if name in TWO else int(rng.integers(1, most + 1))
    on = tuple(int(q) for q in rng.permutation(qubits)[:k])
    if name in FIXED:
        return Gate(name, on)
    slot, scale, offset = int(rng.integers(PARAMETERS)), float(rng.normal()), float(rng.normal())
    if name in ROTATIONS or name == "phase":
        return Gate(name, on, (slot,) if rng.random() < 0.8 else (), scale, offset)
    if name == "dense":
        return Gate(name, on, payload=layers.random_unitary(k, rng))
    if name == "diagonal":
        return Gate(name, on, payload=np.exp(1j * rng.normal(size=2**k)))
    if name == "phases":
        slots = (slot,) if rng.random() < 0.5 else tuple(int(s) for s in rng.integers(PARAMETERS, size=2**k))
        return Gate(name, on, slots, scale, payload=rng.normal(size=2**k))
    return Gate(name, on, payload=layers.haar_state(k, rng)[0])


def random_circuit(qubits: int, length: int, rng: np.random.Generator) -> Circuit:
    names = [name for name in EVERY if qubits > 1 or name not in TWO]
    gates = [random_gate(names[rng.integers(len(names))], qubits, rng) for _ in range(length)]
    return Circuit(qubits, tuple(gates), PARAMETERS)


def theirs(gate: Gate, parameters: np.ndarray) -> Any:
    """The same gate in PennyLane, from its own definitions."""
    qml, wires = pennylane(), gate.qubits
    if gate.name in FIXED:
        plain = {"h": qml.Hadamard, "x": qml.PauliX, "y": qml.PauliY, "z": qml.PauliZ, "s": qml.S, "t": qml.T,
                 "cz": qml.CZ, "cnot": qml.CNOT}
        if gate.name in plain:
            return plain[gate.name](wires=wires)
        return qml.adjoint(plain[gate.name[0]](wires=wires))
    values = parameters[list(gate.slots)]
    data = gate.payload
    if data is not None:
        if gate.name in ("diagonal", "phases"):
            entries = data if gate.name == "diagonal" else np.exp(1j * gate.scale * data * values)
            return qml.DiagonalQubitUnitary(entries, wires=wires)
        matrix = data if gate.name == "dense" else np.eye(len(data)) - 2 * np.outer(data, data.conj())
        return qml.QubitUnitary(matrix, wires=wires)
    angle = gate.scale * values[0] + gate.offset if gate.slots else gate.offset
    if gate.name == "phase":
        return (qml.PhaseShift if len(wires) == 1 else qml.ControlledPhaseShift)(angle, wires=wires)
    return qml.PauliRot(angle, gate.name[1:].upper(), wires=wires)


def their_state(circuit: Circuit, parameters: np.ndarray, state: np.ndarray) -> np.ndarray:
    qml = pennylane()
    operations = [qml.StatePrep(state, wires=range(circuit.qubits))]
    operations += [theirs(gate, parameters) for gate in circuit.gates]
    script = qml.tape.QuantumScript(operations, [qml.state()])
    return np.asarray(qml.device("default.qubit", wires=circuit.qubits).execute(script))


def gap(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left - right).max())


@pytest.mark.parametrize("name", EVERY)
def test_each_gate_equals_pennylane(name: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(2):
        gate = random_gate(name, 3, rng)
        parameters, states = rng.normal(size=PARAMETERS), layers.haar_state(3, rng, 2)
        circuit = Circuit(3, (gate,), PARAMETERS)
        theirs_is = their_state(circuit, parameters, states[0])
        expected = states @ circuit.unitary(parameters).T
        assert gap(expected[0], theirs_is) < TOLERANCE
        for engine in ENGINES:
            assert gap(apply(circuit, states, parameters, engine), expected) < TOLERANCE


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 7), rows=st.sampled_from([1, 2, 9]), seed=st.integers(0, 10**6))
def test_random_circuits_equal_pennylane_in_both_engines(qubits: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    circuit = random_circuit(qubits, 25, rng)
    parameters, states = rng.uniform(-9, 9, size=PARAMETERS), layers.haar_state(qubits, rng, rows)
    expected = their_state(circuit, parameters, states[-1])
    for engine in ENGINES:
        result = apply(circuit, states, parameters, engine)
        assert result.flags.c_contiguous and result.dtype == np.complex128
        assert gap(result[-1], expected) < TOLERANCE
        assert gap(apply(circuit.inverse(), result, parameters, engine), states) < TOLERANCE


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 5), seed=st.integers(0, 10**6))
def test_the_matrix_of_a_circuit_is_unitary_and_its_own_story(qubits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = random_circuit(qubits, 8, rng), random_circuit(qubits, 8, rng)
    p, q = rng.normal(size=PARAMETERS), rng.normal(size=PARAMETERS)
    U, V = first.unitary(p), second.unitary(q)
    assert gap(U @ U.conj().T, np.eye(2**qubits)) < TOLERANCE
    assert gap((first + second).unitary(np.concatenate([p, q])), V @ U) < TOLERANCE
    assert gap(first.then(second, share_parameters=True).unitary(p), second.unitary(p) @ U) < TOLERANCE
    assert gap(first.inverse().unitary(p), U.conj().T) < TOLERANCE
    moved = first.on(qubits + 1, range(1, qubits + 1))
    assert gap(moved.unitary(p), np.kron(np.eye(2), U)) < TOLERANCE


SHAPES = [(1, 3), (9, 3), (1, 11), (1, 12), (1, 13), (1, 15), (33, 8), (9, 10), (40, 11),
          *(pytest.param(*shape, marks=pytest.mark.long) for shape in ((2, 17), (1, 18)))]  # fmt: skip


@pytest.mark.parametrize(("rows", "qubits"), SHAPES)
@pytest.mark.parametrize("kind", ["ring", "all"])
def test_engines_agree_where_their_blocks_and_tables_change(rows: int, qubits: int, kind: str) -> None:
    rng = np.random.default_rng(qubits)
    circuit = layers.hardware_efficient(qubits, 2, "xyz", "cz-ring")
    if kind == "all":  # more pairs across the halves of the index than the tables have variants for
        pairs = [(a, b) for a in range(min(qubits, 12)) for b in range(a + 1, qubits)]
        gates = [Gate("rzz", pair, (i % 7,), 0.1 + i) for i, pair in enumerate(pairs)]
        circuit = circuit + Circuit(qubits, tuple(gates), 7) + layers.rotations(qubits, "y")
    parameters, states = rng.normal(size=circuit.parameter_count), layers.haar_state(qubits, rng, rows)
    kept = states.copy()
    one, two = (apply(circuit, states, parameters, engine) for engine in ENGINES)
    assert gap(one, two) < TOLERANCE
    assert np.array_equal(states, kept)
    assert np.abs(np.linalg.norm(one, axis=1) - 1).max() < TOLERANCE
    # Independent of the plan: gate by gate.
    reference = Circuit(qubits, circuit.gates[: 3 * qubits + 2], circuit.parameter_count)
    expected = states[:1]
    for gate in reference.gates:
        expected = one_gate(gate, expected, parameters)
    assert gap(apply(reference, states[:1], parameters, "fused"), expected) < TOLERANCE


@pytest.mark.parametrize("qubits", [5, 12, 15])
def test_the_fused_engine_rotates_single_qubits_and_gives_the_same_bits_wherever_its_arrays_begin(qubits: int) -> None:
    rng = np.random.default_rng(qubits)
    states, room = layers.haar_state(qubits, rng), np.empty((2, 2**qubits + 4), dtype=np.complex128)
    for qubit in range(qubits):
        circuit = layers.rotations(1, "yz").on(qubits, [qubit])
        expected = apply(circuit, states, [0.7, -0.4])
        for place in range(4):
            source, out = (part[None, place : place + 2**qubits] for part in room)
            source[:] = states
            assert gap(apply(circuit, source, [0.7, -0.4], "fused", out), expected) < TOLERANCE
            assert out.tobytes() == apply(circuit, states, [0.7, -0.4], "fused").tobytes()


def one_gate(gate: Gate, states: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    n, k = states.shape[1].bit_length() - 1, len(gate.qubits)
    tensor = states.reshape((2,) * n)
    matrix = gate.matrix(parameters).reshape((2,) * (2 * k))
    moved = np.tensordot(matrix, tensor, axes=(range(k, 2 * k), gate.qubits))
    return np.moveaxis(moved, range(k), gate.qubits).reshape(1, -1)


@pytest.mark.parametrize("engine", ENGINES)
def test_angles_at_which_a_rotation_swaps_or_does_nothing(engine: Any) -> None:
    rng = np.random.default_rng(3)
    circuit, states = layers.rotations(6, "y"), layers.haar_state(6, rng, 3)
    for angle in (0.0, np.pi, -np.pi, 2 * np.pi, 3 * np.pi, 1e-300, 1e6 * np.pi):
        angles = np.full(6, angle)
        assert gap(apply(circuit, states, angles, engine), states @ circuit.unitary(angles).T) < TOLERANCE


@pytest.mark.parametrize("engine", ENGINES)
def test_layers_have_their_closed_forms(engine: Any) -> None:
    rng = np.random.default_rng(5)
    n, N = 5, 32
    zero = np.zeros((1, N), dtype=np.complex128)
    zero[0, 0] = 1
    assert gap(apply(layers.hadamards(n), zero, engine=engine), np.full((1, N), N**-0.5)) < TOLERANCE
    ghz = layers.hadamards(1).on(n, [0]) + layers.entangler(n, "cnot-chain")
    expected = np.zeros((1, N))
    expected[0, [0, N - 1]] = 0.5**0.5
    assert gap(apply(ghz, zero, engine=engine), expected) < TOLERANCE

    vector = rng.normal(size=N) + 1j * rng.normal(size=N)
    for x in (vector, np.eye(N)[3], -np.eye(N)[0] + 0j, vector * np.arange(N)):
        unit = x / np.linalg.norm(x)
        assert gap(apply(layers.prepare(x), zero, engine=engine)[0], unit) < TOLERANCE
        assert gap(apply(layers.prepare(x).inverse(), unit[None], engine=engine), zero) < TOLERANCE
        assert gap(apply(layers.householder(x), unit[None], engine=engine)[0], -unit) < TOLERANCE
    part = Gate("prepare", (3, 1), payload=vector[:4] / np.linalg.norm(vector[:4]))
    assert gap(part.matrix()[:, 0], part.data()) < TOLERANCE

    states, data = layers.haar_state(n, rng, 2), rng.normal(size=N)
    weights = rng.normal(size=N)
    assert gap(apply(layers.diagonal_phases(data), states, weights, engine),
               states * np.exp(1j * data * weights)) < TOLERANCE
    assert gap(apply(layers.diagonal_phases(data, shared=True), states, [0.3], engine),
               states * np.exp(0.3j * data)) < TOLERANCE
    signs = layers.random_signs(n, rng)
    assert gap(apply(signs, apply(signs, states, engine=engine), engine=engine), states) == 0
    Q = np.linalg.qr(rng.normal(size=(N, N)))[0]
    assert gap(apply(layers.dense(Q), states, engine=engine), states @ Q.T) < TOLERANCE
    flips = [(-1) ** sum((i >> b & 1) & (i >> (b + 1) % n & 1) for b in range(n)) for i in range(N)]
    assert gap(apply(layers.entangler(n, "cz-ring"), states, engine=engine), states * flips) < TOLERANCE
    assert layers.couplings(4, "xy", ring=True).parameter_count == 4


def test_a_circuit_without_gates_returns_a_copy() -> None:
    states = layers.haar_state(2, np.random.default_rng(0))
    result = apply(Circuit(2, ()), states)
    assert np.array_equal(result, states) and not np.shares_memory(result, states)
    assert apply(layers.hadamards(2), np.empty((0, 4), dtype=np.complex128)).shape == (0, 4)


@pytest.mark.parametrize("qubits", [2, 6, 17])
@pytest.mark.parametrize("engine", ENGINES)
def test_result_is_written_where_asked(qubits: int, engine: Any) -> None:
    rng = np.random.default_rng(9)
    rotations = layers.hardware_efficient(qubits, 2)
    states, out = layers.haar_state(qubits, rng, 2), np.full((2, 2**qubits), np.nan + 0j)
    kept = states.copy()
    for circuit in (rotations, rotations + layers.entangler(qubits, "cnot-chain"), Circuit(qubits, ())):
        angles = rng.normal(size=circuit.parameter_count)
        assert apply(circuit, states, angles, engine, out=out) is out
        assert np.array_equal(states, kept)
        assert gap(out, apply(circuit, states, angles, engine)) < TOLERANCE


def test_rows_do_not_change_one_another() -> None:
    rng = np.random.default_rng(8)
    circuit = layers.hardware_efficient(5, 2)
    angles, states = rng.normal(size=circuit.parameter_count), layers.haar_state(5, rng, 130)
    for engine in ENGINES:
        whole = apply(circuit, states, angles, engine)
        assert gap(whole[57:58], apply(circuit, states[57:58], angles, engine)) < TOLERANCE


def test_choice_of_engine_follows_the_work_alone() -> None:
    circuit = layers.hardware_efficient(10, 4)
    assert predict_work(circuit, 200) > predict_work(circuit, 100) > predict_work(Circuit(10, ()), 100) == 0
    assert choose_engine(predict_work(circuit, 1)) == "numpy"
    assert choose_engine(10**6 * predict_work(circuit, 1)) == "fused"


def test_numba_is_loaded_only_when_asked_for() -> None:
    program = ("import sys, numpy\n"
               "from ketwire.quantum import layers, sampling, observables\n"
               "from ketwire.quantum.engines import dispatch\n"
               "from ketwire.quantum.noise import density\n"
               "states = layers.haar_state(3, numpy.random.default_rng(0))\n"
               "dispatch.apply(layers.hadamards(3), states)\n"
               "assert 'numba' not in sys.modules\n")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_fused_engine_is_numpy_s_where_numba_may_not_compile() -> None:
    """NUMBA_DISABLE_JIT=1 is how one debugs or measures coverage, and changes no result."""
    program = ("import numpy\n"
               "from ketwire.quantum import layers\n"
               "from ketwire.quantum.engines.dispatch import apply\n"
               "rng = numpy.random.default_rng(0)\n"
               "circuit = layers.hardware_efficient(4, 2)\n"
               "angles, states = rng.normal(size=circuit.parameter_count), layers.haar_state(4, rng, 3)\n"
               "one, other = (apply(circuit, states, angles, name) for name in ('numpy', 'fused'))\n"
               "assert numpy.array_equal(one, other)\n")
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(qubits=st.integers(1, 4), norm=st.sampled_from([0, 1e-9, 0.3, 0.999999, 1]), seed=st.integers(0, 999))
def test_dilation_is_unitary_and_its_block_is_the_contraction(qubits: int, norm: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    N = 2**qubits
    M = rng.normal(size=(N, N)) + 1j * rng.normal(size=(N, N))
    M *= norm / np.linalg.norm(M, 2)
    contraction = Contraction(M)
    U = contraction.coherent
    assert gap(U @ U.conj().T, np.eye(2 * N)) < TOLERANCE
    assert gap(U[:N, :N], M) < TOLERANCE and gap(U[N:, N:], -M.conj().T) < TOLERANCE
    # Measured at once = the dilation, then the flag read as 0.
    states = layers.haar_state(qubits, rng, 3)
    kept, success = contract(states, M)
    flagged = np.concatenate([states, np.zeros_like(states)], axis=1)
    branch = apply(contraction.circuit(), flagged)[:, :N]
    assert gap(success, np.linalg.norm(branch, axis=1) ** 2) < TOLERANCE
    assert gap(kept * np.sqrt(success)[:, None], branch) < TOLERANCE
    again, odds = contraction.contract(states)
    assert np.array_equal(again, kept) and np.array_equal(odds, success)


SHARED = np.eye(2, dtype=np.complex128)
BAD = {
    "unknown name": lambda: Gate("foo", (0,)),
    "repeated qubit": lambda: Gate("cz", (1, 1)),
    "wrong number of qubits": lambda: Gate("rx", (0, 1), (0,)),
    "two slots": lambda: Gate("rx", (0,), (0, 1)),
    "negative slot": lambda: Gate("rx", (0,), (-1,)),
    "infinite scale": lambda: Gate("rx", (0,), (0,), scale=float("inf")),
    "stray payload": lambda: Gate("h", (0,), payload=np.eye(2)),
    "no payload": lambda: Gate("dense", (0,)),
    "not unitary": lambda: Gate("dense", (0,), payload=np.ones((2, 2))),
    "not of unit modulus": lambda: Gate("diagonal", (0,), payload=np.array([1.0, 2.0])),
    "not a unit vector": lambda: Gate("householder", (0,), payload=np.array([1.0, 1.0])),
    "NaN payload": lambda: Gate("phases", (0,), (0,), payload=np.array([np.nan, 1.0])),
    "missing qubit": lambda: Circuit(2, (Gate("h", (2,)),)),
    "missing parameter": lambda: Circuit(2, (Gate("rx", (0,), (0,)),)),
    "no qubits": lambda: Circuit(0, ()),
    "negative parameters": lambda: Circuit(1, (), -1),
    "sizes differ": lambda: Circuit(1, ()) + Circuit(2, ()),
    "wrong places": lambda: Circuit(2, ()).on(3, [0]),
    "parameters": lambda: apply(layers.rotations(2), np.ones((1, 4)) / 2, [1.0]),
    "NaN parameters": lambda: apply(layers.rotations(2, "x"), np.ones((1, 4)) / 2, [1.0, np.nan]),
    "shape": lambda: apply(layers.hadamards(2), np.ones((1, 8))),
    "engine": lambda: apply(layers.hadamards(2), np.ones((1, 4)) / 2, engine="gpu"),  # type: ignore[arg-type]
    "out shape": lambda: apply(layers.hadamards(1), np.eye(2), out=np.empty((1, 2), dtype=np.complex128)),
    "out dtype": lambda: apply(layers.hadamards(1), np.eye(2), out=np.empty((2, 2))),  # type: ignore[arg-type]
    "out shared": lambda: apply(layers.hadamards(1), SHARED, out=SHARED),
    "negative rows": lambda: predict_work(layers.hadamards(1), -1),
    "NaN work": lambda: choose_engine(float("nan")),
    "axis": lambda: layers.rotations(2, "w"),
    "pauli pair": lambda: layers.couplings(2, "zq"),
    "entangler": lambda: layers.entangler(2, "cz-star"),
    "no sublayer": lambda: layers.hardware_efficient(2, 0),
    "signs": lambda: layers.sign_diagonal([1.0, 0.5]),
    "length": lambda: layers.diagonal([1.0, 1.0, 1.0]),
    "dense shape": lambda: layers.dense(np.ones(4)),
    "prepare two": lambda: layers.prepare(np.ones((2, 2))),
    "norm above one": lambda: Contraction(2 * np.eye(2)),
    "contraction shape": lambda: Contraction(np.ones((2, 3)) / 9),
    "NaN contraction": lambda: Contraction(np.full((2, 2), np.nan)),
    "contract shape": lambda: contract(np.ones((1, 4)) / 2, np.eye(2)),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line(case: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        BAD[case]()  # type: ignore[no-untyped-call]
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what a plan costs


def planning_calls(sublayers: int) -> int:
    """Calls of Python functions and of built-in ones until a plan is made."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    one = layers.rotations(6, "yz") + layers.entangler(6, "cz-ring")
    sys.setprofile(count)
    try:
        circuit = joined([one] * sublayers)
        for step in circuit.steps:
            assert isinstance(step, Local) and len(step.phases) == len(step.diagonals)
    finally:
        sys.setprofile(None)
    return counted


def test_a_plan_costs_in_proportion_to_its_gates() -> None:
    planning_calls(4)  # tables that all layers share
    once, twice = planning_calls(40), planning_calls(80)
    assert twice < 2.1 * once and twice / 80 < 3000


def test_a_layer_is_planned_from_its_own_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all terms of a plan, each is looked at in one layer."""
    seen: list[int] = []
    phases = Local._phases

    def counted(local: Local, layer: int, terms: Any) -> Any:
        seen.extend(terms.tolist())
        return phases(local, layer, terms)

    monkeypatch.setattr(Local, "_phases", counted)
    (step,) = joined([layers.rotations(4, "xy") + layers.entangler(4)] * 7).steps
    assert isinstance(step, Local) and len(step.phases) == step.layers
    assert sorted(seen) == list(range(len(step.targets)))


@pytest.mark.parametrize("name", ["dense", "diagonal", "ry", "cz"])
def test_a_gate_that_moves_is_checked_where_it_goes(name: str) -> None:
    gate = random_gate(name, 4, np.random.default_rng(1))
    there = [7, 5, 6, 4]
    moved = gate.shifted(there, 3)
    assert moved.qubits == tuple(there[q] for q in gate.qubits) and moved.slots == tuple(s + 3 for s in gate.slots)
    assert moved.payload is gate.payload and moved is not gate
    if len(gate.qubits) > 1:
        with pytest.raises(ValueError, match="expected one or more distinct qubits"):
            gate.shifted([2, 2, 2, 2])
    with pytest.raises(ValueError, match="expected one or more distinct qubits"):
        gate.shifted([-1, -2, -3, -4])
