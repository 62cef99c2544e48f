"""Layers from OpenQASM 3 programs and from Python callables."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.protocols.layers import build_layers
from ketwire.protocols.openqasm.gates import standard
from ketwire.protocols.openqasm.reader import circuit_of
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
H, S = (X + Z) / math.sqrt(2), np.diag([1, 1j])
CX, SWAP = under_control(X), np.eye(4)[[0, 2, 1, 3]]


def phase(angle: float) -> np.ndarray:
    return np.diag([1, np.exp(1j * angle)])


def under_zero(matrix: np.ndarray) -> np.ndarray:
    flip = np.kron(X, np.eye(len(matrix)))
    return np.asarray(flip @ under_control(matrix) @ flip)


def root(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """The principal power."""
    values, vectors = np.linalg.eig(matrix)
    return np.asarray(vectors @ np.diag(np.exp(exponent * 1j * np.angle(values))) @ np.linalg.inv(vectors))


CONVENTIONAL = np.exp(-0.5j * (B + C)) * TURN  # R_z(B) R_y(A) R_z(C)
# Phases as in stdgates.inc and the definitions of U and gphase (specification 3.1); seen under a control.
STANDARD: dict[str, np.ndarray] = {
    "id": np.eye(2), "x": X, "y": Y, "z": Z, "h": H, "s": S, "sdg": S.conj(), "t": phase(math.pi / 4),
    "tdg": phase(-math.pi / 4), "sx": np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2,
    "rx(0.3)": rotation(X, A), "ry(0.3)": rotation(Y, A), "rz(0.3)": rotation(Z, A),
    "p(0.3)": phase(A), "phase(0.3)": phase(A), "u1(0.3)": phase(A), "u3(0.3, 1.1, -0.7)": CONVENTIONAL,
    "u2(1.1, -0.7)": rotation(Z, B) @ rotation(Y, math.pi / 2) @ rotation(Z, C),
    "U(0.3, 1.1, -0.7)": np.exp(0.5j * A) * TURN,
    "cx": CX, "CX": CX, "cy": under_control(Y), "cz": under_control(Z), "ch": under_control(H), "swap": SWAP,
    "cp(0.3)": under_control(phase(A)), "cphase(0.3)": under_control(phase(A)),
    "crx(0.3)": under_control(rotation(X, A)), "cry(0.3)": under_control(rotation(Y, A)),
    "crz(0.3)": under_control(rotation(Z, A)), "cu(0.3, 1.1, -0.7, 0.9)": under_control(np.exp(0.9j) * TURN),
    "ccx": under_control(CX), "cswap": under_control(SWAP),
}  # fmt: skip
MODIFIED: dict[str, np.ndarray] = {
    "negctrl @ rx(0.3)": under_zero(rotation(X, A)), "ctrl(2) @ ry(0.3)": under_control(under_control(rotation(Y, A))),
    "ctrl @ negctrl @ h": under_control(under_zero(H)), "negctrl @ ctrl @ h": under_zero(under_control(H)),
    "negctrl(2) @ p(0.3)": under_zero(under_zero(phase(A))), "ctrl(3) @ x": under_control(under_control(CX)),
    "inv @ s": S.conj(), "inv @ ctrl @ U(0.3, 1.1, -0.7)": under_control(np.exp(0.5j * A) * TURN).conj().T,
    "ctrl @ inv @ sx": under_control(STANDARD["sx"].conj()), "pow(3) @ h": H, "pow(-2) @ s": Z,
    "pow(2) @ U(0.3, 1.1, -0.7)": np.exp(1j * A) * TURN @ TURN, "ctrl @ pow(0) @ sx": np.eye(4),
    "ctrl(2) @ crx(0.3)": under_control(under_control(under_control(rotation(X, A)))),
    "ctrl @ ctrl @ y": under_control(under_control(Y)), "ctrl(2) @ ch": under_control(under_control(under_control(H))),
    "ctrl @ negctrl @ cu(0.3, 1.1, -0.7, 0.9)": under_control(under_zero(under_control(np.exp(0.9j) * TURN))),
    "ctrl(3) @ gphase(0.3)": under_control(under_control(phase(A))),
    "pow(0.5) @ rx(0.3)": rotation(X, A / 2), "pow(-1.5) @ crz(0.3)": under_control(rotation(Z, -1.5 * A)),
    "pow(1/2) @ x": root(X, 0.5), "pow(1/3) @ y": root(Y, 1 / 3), "pow(-0.5) @ z": root(Z, -0.5),
    "pow(1/2) @ sx": root(X, 0.25), "pow(1/2) @ sdg": root(S.conj(), 0.5), "pow(1/2) @ cx": root(CX, 0.5),
    "pow(0.3) @ ctrl @ cy": under_control(under_control(root(Y, 0.3))), "ctrl @ gphase(0.3)": phase(A),
    "pow(0.5) @ ccx": under_control(under_control(root(X, 0.5))), "pow(1.5) @ ctrl @ gphase(0.2)": phase(A),
    "pow(2) @ inv @ pow(0.25) @ x": root(X, 0.5).conj(), "negctrl @ gphase(0.3)": np.diag([np.exp(1j * A), 1]),
}  # fmt: skip


def applied(gate: str, qubits: int) -> str:
    return f"{HEAD}qubit[{qubits}] q;\n{gate} {', '.join(f'q[{place}]' for place in range(qubits))};"


@pytest.mark.parametrize("gate", STANDARD)
def test_standard_gates_and_their_phases(gate: str) -> None:
    expected = STANDARD[gate]
    qubits = len(expected).bit_length() - 1
    assert up_to_phase(circuit_of(applied(gate, qubits)).unitary(), expected)
    # The phase of a gate is relative, and so seen, under one more control; within definitions as well.
    for under in (f"ctrl @ {gate}", f"ctrl @ inv @ inv @ {gate}"):
        assert up_to_phase(circuit_of(applied(under, qubits + 1)).unitary(), under_control(expected))


@pytest.mark.parametrize("gate", MODIFIED)
def test_modifiers(gate: str) -> None:
    expected = MODIFIED[gate]
    qubits = len(expected).bit_length() - 1
    assert up_to_phase(circuit_of(applied(gate, qubits)).unitary(), expected)
    assert up_to_phase(circuit_of(applied(f"negctrl @ {gate}", qubits + 1)).unitary(), under_zero(expected))


def test_phases_of_definitions_show_under_control() -> None:
    """gphase and the phase of U add up; inv and pow act on them; a definition of a standard gate replaces it."""
    text = HEAD + """
    gate turn(t) a { gphase(t); U(2 * t, 0, 0) a; inv @ gphase(0.25) ; }
    gate z a { ctrl @ gphase(0.5) a; }
    input float t;
    qubit[2] q;
    ctrl @ inv @ turn(t) q[0], q[1];
    ctrl @ pow(2) @ z q[0], q[1];
    """
    found = circuit_of(text).unitary([0.4])
    once = np.exp(1j * (0.4 + 0.4 - 0.25)) * rotation(Y, 0.8)
    assert up_to_phase(found, under_control(phase(1.0)) @ under_control(once.conj().T))


@pytest.mark.parametrize(
    ("program", "written_out"),
    [
        ("qubit a; qubit[2] q; cx a, q;", "qubit a; qubit[2] q; cx a, q[0]; cx a, q[1];"),
        ("qubit[2] q; qubit a; cx q, a;", "qubit[2] q; qubit a; cx q[0], a; cx q[1], a;"),
        ("qubit[3] q; qubit[2] r; ccx r, q[2], q[0];", "qubit[3] q; qubit[2] r; ccx r[0], q[2], q[0]; "
         "ccx r[1], q[2], q[0];"),
        ("qubit a; qubit[2] q; ctrl @ rx(0.4) a, q;", "qubit a; qubit[2] q; crx(0.4) a, q[0]; crx(0.4) a, q[1];"),
        ("qubit[2] q; ctrl @ gphase(0.4) q;", "qubit[2] q; p(0.4) q[0]; p(0.4) q[1];"),
        ("const int n = 2; const uint m = 2 * n - 1; qubit[m] q; x q[n];", "qubit[3] q; x q[2];"),
        ("const int n = 2; qreg q[n + 1]; ctrl(n) @ x q[0], q[1], q[2];", "qubit[3] q; ccx q[0], q[1], q[2];"),
    ],
)  # fmt: skip
def test_broadcasts_and_sizes_by_constants(program: str, written_out: str) -> None:
    found, expected = circuit_of(HEAD + program), circuit_of(HEAD + written_out)
    assert found.qubits == expected.qubits
    assert up_to_phase(found.unitary(), expected.unitary())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("qubit q;\n  x q q;", "line 2, column 7: 'q' given, expected "),
        ("qubit q;\nh q\n", "line 3, column 1: the program ends, expected '"),
        ("qubit q; rx(+1) q;", "line 1, column 13: '+' given, expected OpenQASM 3 there"),
        ("qubit q;\n x \"a;", "line 2, column 4: token recognition error at: "),
        ("qubit q;\n\n break;", "line 3, column 2: 'break' statement outside loop, expected an OpenQASM 3 program"),
        ("gate g a {\n x a;\n   foo a;\n}\nqubit q;\ng q;", "line 3, column 4: gate foo given, expected one of"),
        ("qubit q;\nctrl @ pow(0.5) @ h q, q;", "line 2, column 1: gate h on one qubit twice"),
        ("qubit[2] q;\nctrl @ pow(0.5) @ h q[0], q[1];", "line 2, column 8: pow(0.5) @ h given, expected a whole"),
        ("OPENQASM 2.0;\nqreg q[1];", "OPENQASM 2.0 given, expected version 3"),
    ],
)
def test_faults_name_line_and_column(text: str, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(told)):
        circuit_of(text)
    assert capfd.readouterr() == ("", "")


def test_damaged_programs_are_circuits_or_one_line() -> None:
    """A character lost, doubled or replaced, 80 times: no error but a ValueError of one line."""
    rng, refused = np.random.default_rng(5), 0
    for _ in range(80):
        place = int(rng.integers(len(PROGRAM)))
        with_what = ["", PROGRAM[place] * 2, str(rng.choice(list("@;[({$\"\\9\0é")))][int(rng.integers(3))]
        try:
            circuit_of(PROGRAM[:place] + with_what + PROGRAM[place + 1 :])
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and "expected" in str(error), str(error)
    assert refused > 25


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
        ("qubit q; bit c; c = measure q;", "ClassicalDeclaration given"),
        ("qubit q; reset q;", "QuantumReset given"),
        ("qubit q; for int i in [0:3] { x q; }", "ForInLoop given"),
        ("x q;", "qubit q given, expected one of none declared"),
        ("qubit[2] q; x q[2];", r"q\[2\] given, expected an index below 2"),
        ("qubit[2] q; cx q[0], q[0];", "gate cx on one qubit twice"),
        ("qubit[2] q; cx q[0];", "gate cx with 0 angles on 1 qubits, expected 0 on 2"),
        ("qubit q; frobnicate q;", "gate frobnicate given, expected one of"),
        ("qubit q; rx(theta) q;", "gate rx: theta given, expected an input or a constant"),
        ("input float a; input float b; qubit q; rx(a + a * b) q;", r"gate rx: \* in an angle, expected something lin"),
        ("input float a; qubit q; p(sin(a)) q;", "gate p: FunctionCall in an angle, expected numbers, inputs"),
        ("input float a; qubit q; rx(1 / 0) q;", "expected something linear in the inputs"),
        ("qubit q; rx(10 ** 400) q;", r"gate rx: 10 \*\* 400 given, expected a power that is a finite number"),
        ("qubit q; rx((-1) ** 0.5) q;", "expected a power that is a finite number"),
        ("qubit q; rx(1e999) q;", "infinite or NaN"),
        ("qubit[1e999] q;", "a number that is not whole"),
        ("input int a; qubit q;", "expected a float or an angle"),
        ("qubit q; ctrl @ x q;", "gate x on 1 qubits, expected 1 controls and then its own"),
        ("qubit q; ctrl(0) @ gphase(1) q;", r"ctrl\(0\) @ gphase given, expected one control or more"),
        ("qubit[2] q; ctrl(0.5) @ x q[0], q[1];", "a number that is not whole"),
        ("qubit[2] q; gphase(1) q[0];", "gate gphase with 1 angles on 1 qubits, expected 1 on 0"),
        ("input float a; qubit q; pow(a) @ rx(1) q;", "pow @ rx given, expected an exponent that is a finite number"),
        ("qubit q; pow(0.5) @ h q;", r"pow\(0.5\) @ h given, expected a whole exponent: others are known of"),
        ("qubit q; pow(1/2) @ inv @ x q;", r"pow\(0.5\) @ x given, expected a whole exponent, or pow @ right before"),
        ("gate flip a { x a; } qubit q; pow(0.5) @ flip q;", r"pow\(0.5\) @ flip given, expected a whole exponent"),
        ("gate x a { h a; } qubit q; pow(0.5) @ x q;", r"pow\(0.5\) @ x given, expected a whole exponent"),
        ("qubit q; pow(1e9) @ h q;", "more than 100000 gates"),
        ("qubit[30] q; ctrl(25) @ x " + ", ".join(f"q[{k}]" for k in range(26)) + ";", "arrays of"),
        ("qubit q; x[2ns] q;", "gate x with a duration given, expected none"),
        ("qubit[2] q; x q[0:1];", r"an index of q that is no number, expected one: q\[0\]"),
        ("qubit[2] q; x q[{0, 1}];", r"an index of q that is no number, expected one: q\[0\]"),
        ("qubit a; x a[0];", "an index of the single qubit a given, expected a alone"),
        ("qubit[1] a; qubit[2] q; cx a, q;", "registers of different sizes in one gate"),
        ("const int n = 2.5; qubit[n] q;", "a number that is not whole"),
        ("const uint n = -1; qubit q;", "-1 given for the uint n, expected 0 or more"),
        ("const bool n = true; qubit q;", "constant n given, expected an int, uint, float or angle"),
        ("gate flip a { x a[0]; } qubit q; flip q;", r"gate x in gate flip on an indexed qubit"),
        ("gate flip a { x b; } qubit q; flip q;", "gate x in gate flip on qubit b, expected one of a"),
        ("gate flip a, a { x a; } qubit[2] q; flip q[0], q[1];", "a given twice in gate flip"),
        ("qubit q; qubit[2] q; x q;", "q declared a second time, expected a name of its own"),
        ("input float t; input float t; qubit q; rx(t) q;", "t declared a second time"),
        ("const float pi = 3.0; qubit q; rx(pi) q;", "pi declared a second time"),
        ("gate flip a { x a; } gate flip a { z a; } qubit q; flip q;", "flip declared a second time"),
        (f"qubit q; rx({'9' * 400}) q;", "gate rx: a number beyond all bounds, expected a finite one"),
        ('include "other.inc"; qubit q;', "expected stdgates.inc"),
        ("gate loop a { loop a; } qubit q; loop q;", "defined by more than 64 others"),
        ("qubit[40] q;", "40 qubits declared"),
        ("", "no qubits declared"),
        ("qubit q; x q", "the program ends, expected '"),
    ],
)
def test_what_is_no_unitary_circuit_is_refused(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        circuit_of(HEAD + text)
    assert not text or re.match(r"line 3, column \d+: ", str(caught.value))


@pytest.mark.parametrize(("inmost", "told"), [("x a;", "more than 1000 gates"), ("", "more than 1000 gates")])
def test_definitions_that_double_are_refused_while_they_unfold(
    inmost: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 definitions of two each are 2**60 gates, or as many that do nothing: to find out would take for ever."""
    monkeypatch.setattr("ketwire.protocols.openqasm.unitaries.MOST_GATES", 1000)
    doubling = "".join(f"gate d{k + 1} a {{ d{k} a; d{k} a; }}\n" for k in range(60))
    with pytest.raises(ValueError, match=told):
        circuit_of(f"{HEAD}gate d0 a {{ {inmost} }}\n{doubling}qubit q; d60 q;")


def test_no_gate_of_that_name() -> None:
    with pytest.raises(ValueError, match="expected one of CX, U, ccx"):
        standard("nothing", (0,), [])


FILES: dict[str, tuple[bytes, np.ndarray]] = {
    "a byte order mark": (b"\xef\xbb\xbfOPENQASM 3.0;\nqubit[3] q;\nx q[0];\n", np.kron(X, np.eye(4))),
    "a qubit beside a register": (
        (HEAD + "qubit a;\nqubit[2] q;\ncx a, q;\n").encode(), under_control(np.kron(X, X))
    ),
    "standard gates": (
        (HEAD + "qubit[3] q;\nch q[0], q[1];\ncswap q[0], q[1], q[2];\ncu(0.3, 1.1, -0.7, 0.9) q[0], q[1];\n").encode(),
        np.kron(STANDARD["cu(0.3, 1.1, -0.7, 0.9)"], np.eye(2)) @ under_control(SWAP)
        @ np.kron(under_control(H), np.eye(2)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_its_unitary(name: str, tmp_path: Path) -> None:
    octets, expected = FILES[name]
    (tmp_path / "layer.qasm").write_bytes(octets)
    spec = {"layer": "openqasm", "key": "protocol.layers.0", "program": {"path": "layer.qasm"}, "angles": None}
    [step] = build_layers([spec], 3, make_loader("alice", bytes(32), str(tmp_path)))
    assert isinstance(step.operation, Circuit) and up_to_phase(step.operation.unitary(), expected)


def test_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "layer.qasm").write_bytes("qubit q;".encode("utf-16"))
    spec = {"layer": "openqasm", "key": "protocol.layers.0", "program": {"path": "layer.qasm"}, "angles": None}
    with pytest.raises(ScenarioError, match=r"protocol.layers.0.program: octet 0 is no UTF-8, expected"):
        build_layers([spec], 1, make_loader("alice", bytes(32), str(tmp_path)))


def gates_of_a_user(qubits: int) -> list[Gate]:
    return [Gate("ry", (qubit,), (qubit,)) for qubit in range(qubits)]


def wrong(qubits: int) -> Any:
    return 3


LOAD = make_loader("alice", bytes(32), ".")


def test_a_callable_gives_gates() -> None:
    spec = {
        "layer": "gates", "key": "protocol.layers.0", "callable": f"{__name__}:gates_of_a_user",
        "angles": {"values": [0.1, 0.2, 0.3]},
    }  # fmt: skip
    [step] = build_layers([spec], 3, LOAD)
    assert isinstance(step.operation, Circuit) and step.parameters.tolist() == [0.1, 0.2, 0.3]
    for name, told in (("wrong", "int returned"), ("nobody", "has no attribute"), ("PROGRAM", "not callable")):
        with pytest.raises(ScenarioError, match=told):
            build_layers([{**spec, "callable": f"{__name__}:{name}"}], 3, LOAD)
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
    assert rival.outcomes["bob"].loss == pytest.approx(expected.sum(), abs=1e-12)


@pytest.mark.parametrize(
    ("program", "changed", "told"),
    [
        (HEAD + "qubit[2] q; x q;", {"angles": None}, "protocol.layers.0: a circuit of 2 qubits given, expected 3"),
        (PROGRAM, {"angles": None}, "protocol.layers.0.angles: missing required key, expected 2 values"),
        (PROGRAM, {"angles": {"values": [1.0]}}, r"protocol.layers.0.angles: shape \[1\] given, expected \[2\]"),
        (HEAD + "qubit[3] q; x q;", {}, "protocol.layers.0.angles: values given, expected none"),
        (HEAD + "qubit[3] q; measure q;", {"angles": None}, r"protocol.layers.0: line 3, column 13: "),
        (PROGRAM, {"program": {"path": "none.qasm"}}, "no such file"),
    ],
)
def test_a_user_s_mistake_is_one_line(tmp_path: Path, program: str, changed: dict[str, Any], told: str) -> None:
    loaded = load(str(scenario(tmp_path, program, **changed)), [])
    with pytest.raises(ScenarioError, match=told) as caught:
        run_inline(loaded.run())
    assert "\n" not in str(caught.value)
