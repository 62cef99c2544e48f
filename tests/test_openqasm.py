"""Layers from OpenQASM 3 programs and from Python callables."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.nodes.process import run_processes
from ketwire.protocols.layers import build_layers
from ketwire.protocols.openqasm import circuit_of, standard
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.scenarios.load import load

pytest.importorskip("openqasm3")
HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def up_to_phase(found: np.ndarray, expected: np.ndarray) -> bool:
    at = np.unravel_index(np.argmax(np.abs(expected)), expected.shape)
    return bool(np.allclose(found * (expected[at] / found[at]), expected, atol=1e-12))


def under_control(matrix: np.ndarray) -> np.ndarray:
    size = len(matrix)
    return np.block([[np.eye(size), np.zeros((size, size))], [np.zeros((size, size)), matrix]])


def rotation(pauli: np.ndarray, angle: float) -> np.ndarray:
    return np.asarray(math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * pauli)


X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
A, B, C = 0.3, 1.1, -0.7
TURN = np.array([
    [math.cos(A / 2), -np.exp(1j * C) * math.sin(A / 2)],
    [np.exp(1j * B) * math.sin(A / 2), np.exp(1j * (B + C)) * math.cos(A / 2)],
])  # fmt: skip
MATRICES: dict[str, np.ndarray] = {
    "id q[0];": np.eye(2), "x q[0];": X, "y q[0];": Y, "z q[0];": Z, "h q[0];": (X + Z) / math.sqrt(2),
    "s q[0];": np.diag([1, 1j]), "sdg q[0];": np.diag([1, -1j]), "t q[0];": np.diag([1, np.exp(0.25j * math.pi)]),
    "tdg q[0];": np.diag([1, np.exp(-0.25j * math.pi)]), "sx q[0];": rotation(X, math.pi / 2),
    "rx(0.3) q[0];": rotation(X, A), "ry(0.3) q[0];": rotation(Y, A), "rz(0.3) q[0];": rotation(Z, A),
    "p(0.3) q[0];": np.diag([1, np.exp(1j * A)]), "u3(0.3, 1.1, -0.7) q[0];": TURN, "U(0.3, 1.1, -0.7) q[0];": TURN,
    "cx q[0], q[1];": under_control(X), "cy q[0], q[1];": under_control(Y), "cz q[0], q[1];": under_control(Z),
    "swap q[0], q[1];": np.eye(4)[[0, 2, 1, 3]], "cp(0.3) q[0], q[1];": np.diag([1, 1, 1, np.exp(1j * A)]),
    "crx(0.3) q[0], q[1];": under_control(rotation(X, A)), "cry(0.3) q[0], q[1];": under_control(rotation(Y, A)),
    "crz(0.3) q[0], q[1];": under_control(rotation(Z, A)),
    "ccx q[0], q[1], q[2];": under_control(under_control(X)),
    "inv @ s q[0];": np.diag([1, -1j]), "inv @ cy q[1], q[0];": np.eye(4),
}  # fmt: skip


@pytest.mark.parametrize("line", MATRICES)
def test_gates_have_their_matrices(line: str) -> None:
    expected = MATRICES[line]
    qubits = len(expected).bit_length() - 1
    found = circuit_of(f"{HEAD}qubit[{qubits}] q;\n{line}").unitary()
    if line == "inv @ cy q[1], q[0];":
        expected = np.eye(4, dtype=complex)
        expected[np.ix_([1, 3], [1, 3])] = Y
    assert up_to_phase(found, expected)


PROGRAM = HEAD + """
const float quarter = pi / 4;
input float alpha;
input angle[32] beta;
gate entangle(theta) a, b { h a; cx a, b; rz(2 * theta - quarter) b; inv @ h a; gphase(0.1); }
qubit first;
qubit[2] rest;
ry(alpha) first;
rx(-beta / 2 + quarter) rest;
barrier rest;
entangle(alpha) first, rest[1];
cx rest[0], rest[-1];
"""


def test_a_program_is_its_gates() -> None:
    circuit = circuit_of(PROGRAM)
    assert (circuit.qubits, circuit.parameter_count) == (3, 2)
    alpha, beta = 0.4, -1.3
    quarter = math.pi / 4
    by_hand = Circuit(3, (
        Gate("ry", (0,), offset=alpha), Gate("rx", (1,), offset=-beta / 2 + quarter),
        Gate("rx", (2,), offset=-beta / 2 + quarter), Gate("h", (0,)), Gate("cnot", (0, 2)),
        Gate("rz", (2,), offset=2 * alpha - quarter), Gate("h", (0,)), Gate("cnot", (1, 2)),
    ))  # fmt: skip
    assert np.allclose(circuit.unitary([alpha, beta]), by_hand.unitary(), atol=1e-12)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("qubit q; bit c; c = measure q;", "line 3: ClassicalDeclaration given"),
        ("qubit q; reset q;", "line 3: QuantumReset given"),
        ("qubit q; for int i in [0:3] { x q; }", "line 3: ForInLoop given"),
        ("x q;", "line 3: qubit q given, expected one of none declared"),
        ("qubit[2] q; x q[2];", r"line 3: q\[2\] given, expected an index below 2"),
        ("qubit[2] q; cx q[0], q[0];", "line 3: gate cx on one qubit twice"),
        ("qubit[2] q; cx q[0];", "line 3: gate cx with 0 angles on 1 qubits, expected 0 on 2"),
        ("qubit q; frobnicate q;", "line 3: gate frobnicate given, expected one of"),
        ("qubit q; rx(theta) q;", "line 3: gate rx: theta given, expected an input or a constant"),
        ("input float a; input float b; qubit q; rx(a + a * b) q;", r"gate rx: \* in an angle, expected something lin"),
        ("input float a; qubit q; p(sin(a)) q;", "gate p: FunctionCall in an angle, expected numbers, inputs"),
        ("input float a; qubit q; rx(1 / 0) q;", "expected something linear in the inputs"),
        ("qubit q; rx(10 ** 400) q;", r"gate rx: 10 \*\* 400 given, expected a power that is a finite number"),
        ("qubit q; rx((-1) ** 0.5) q;", "expected a power that is a finite number"),
        ("qubit q; rx(1e999) q;", "infinite or NaN"),
        ("qubit[1e999] q;", "a number that is not whole"),
        ("input int a; qubit q;", "expected a float or an angle"),
        ("qubit[2] q; ctrl @ x q[0], q[1];", "expected no modifier but inv"),
        ("qubit q; h q; ctrl @ gphase(pi) q; h q;", "line 3: ctrl @ gphase given, expected no modifier but inv"),
        ("gate flip a { ctrl @ gphase(pi) a; } qubit q; flip q;", "ctrl @ gphase given, expected no modifier but inv"),
        ("gate flip a { x a[0]; } qubit q; flip q;", r"line 3: gate x in gate flip on an indexed qubit"),
        ("gate flip a { x b; } qubit q; flip q;", "line 3: gate x in gate flip on qubit b, expected one of a"),
        ("gate flip a, a { x a; } qubit[2] q; flip q[0], q[1];", "line 3: a given twice in gate flip"),
        ("qubit q; qubit[2] q; x q;", "line 3: q declared a second time, expected a name of its own"),
        ("input float t; input float t; qubit q; rx(t) q;", "line 3: t declared a second time"),
        ("const float pi = 3.0; qubit q; rx(pi) q;", "line 3: pi declared a second time"),
        ("gate flip a { x a; } gate flip a { z a; } qubit q; flip q;", "line 3: flip declared a second time"),
        (f"qubit q; rx({'9' * 400}) q;", "line 3: gate rx: a number beyond all bounds, expected a finite one"),
        ('include "other.inc"; qubit q;', "expected stdgates.inc"),
        ("gate loop a { loop a; } qubit q; loop q;", "defined by more than 64 others"),
        ("qubit[40] q;", "40 qubits declared"),
        ("", "no qubits declared"),
        ("qubit q; x q", "expected an OpenQASM 3 program"),
    ],
)
def test_what_is_no_unitary_circuit_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        circuit_of(HEAD + text)


@pytest.mark.parametrize(("inmost", "told"), [("x a;", "more than 1000 gates"), ("", "more than 1000 gates")])
def test_definitions_that_double_are_refused_while_they_unfold(
    inmost: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 definitions of two each are 2**60 gates, or as many that do nothing: to find out would take for ever."""
    monkeypatch.setattr("ketwire.protocols.openqasm.MOST_GATES", 1000)
    doubling = "".join(f"gate d{k + 1} a {{ d{k} a; d{k} a; }}\n" for k in range(60))
    with pytest.raises(ValueError, match=told):
        circuit_of(f"{HEAD}gate d0 a {{ {inmost} }}\n{doubling}qubit q; d60 q;")


def test_no_gate_of_that_name() -> None:
    with pytest.raises(ValueError, match="expected one of CX, U, ccx"):
        standard("nothing", (0,), [])


def gates_of_a_user(qubits: int) -> list[Gate]:
    return [Gate("ry", (qubit,), (qubit,)) for qubit in range(qubits)]


def wrong(qubits: int) -> Any:
    return 3


LOAD = make_loader(bytes(32), ".")


def test_a_callable_gives_gates() -> None:
    spec = {
        "layer": "gates", "key": "protocol.layers.0", "callable": "tests.test_openqasm:gates_of_a_user",
        "angles": {"values": [0.1, 0.2, 0.3]},
    }  # fmt: skip
    [step] = build_layers([spec], 3, LOAD)
    assert isinstance(step.operation, Circuit) and step.parameters.tolist() == [0.1, 0.2, 0.3]
    for name, told in (("wrong", "int returned"), ("nobody", "has no attribute"), ("PROGRAM", "not callable")):
        with pytest.raises(ScenarioError, match=told):
            build_layers([{**spec, "callable": f"tests.test_openqasm:{name}"}], 3, LOAD)
    with pytest.raises(ScenarioError, match="expected 3 values"):
        build_layers([{**spec, "angles": None}], 3, LOAD)


def scenario(folder: Path, text: str = PROGRAM, **changed: Any) -> Path:
    (folder / "layer.qasm").write_text(text, encoding="utf-8")
    layer = {"at": "bob", "layer": "openqasm", "program": {"path": "layer.qasm"}, "angles": {"values": [0.4, -1.3]}}
    told = {
        "seed": 3, "nodes": {"alice": {}, "bob": {}}, "links": [{"between": ["alice", "bob"], "fiber": "ideal"}],
        "protocol": {
            "kind": "inference", "qubits": 3, "start": "alice", "copies": 400, "layers": [{**layer, **changed}],
        },
    }  # fmt: skip
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def test_a_run_with_a_program_of_bob_s(tmp_path: Path) -> None:
    loaded = load(str(scenario(tmp_path)), [])
    run = loaded.run()
    inline, processes = run_inline(run), run_processes(run)
    assert [each.transcript_sha256 for each in inline] == [each.transcript_sha256 for each in processes]
    expected = np.abs(circuit_of(PROGRAM).unitary([0.4, -1.3])[:4, 0]) ** 2
    rival = next(each for each in inline if each.name == "dense-state-64-bit")
    assert rival.outcomes["bob"].values["loss"] == pytest.approx(expected.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("program", "changed", "told"),
    [
        (HEAD + "qubit[2] q; x q;", {"angles": None}, "protocol.layers.0: a circuit of 2 qubits given, expected 3"),
        (PROGRAM, {"angles": None}, "protocol.layers.0.angles: nothing given, expected 2 values"),
        (PROGRAM, {"angles": {"values": [1.0]}}, r"protocol.layers.0.angles: shape \[1\] given, expected \[2\]"),
        (HEAD + "qubit[3] q; x q;", {}, "protocol.layers.0.angles: values given, expected none"),
        (HEAD + "qubit[3] q; measure q;", {"angles": None}, "protocol.layers.0: line 3: "),
        (PROGRAM, {"program": {"path": "none.qasm"}}, "no such file"),
    ],
)
def test_a_user_s_mistake_is_one_line(tmp_path: Path, program: str, changed: dict[str, Any], told: str) -> None:
    loaded = load(str(scenario(tmp_path, program, **changed)), [])
    with pytest.raises(ScenarioError, match=told) as caught:
        run_inline(loaded.run())
    assert "\n" not in str(caught.value)
