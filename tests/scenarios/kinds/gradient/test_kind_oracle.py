"""Random circuits on chains and rings: the kind `gradient` beside state vectors and finite differences.

The oracle shares nothing with ketwire but the conventions of the documentation: qubit 0 is the most significant,
R_P(θ) = exp(-i θ P / 2), a contraction multiplies by its matrix, as only its flag's |0> counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.nodes.inline import run_inline
from ketwire.quantum.gates import Gate
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import load
from tests.kit import rarely

Matrix = NDArray[np.complex128]
AXES: dict[str, Matrix] = {
    "x": np.array([[0, 1], [1, 0]], dtype=np.complex128),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1, -1]).astype(np.complex128),
}
HADAMARD: Matrix = (AXES["x"] + AXES["z"]) / np.sqrt(2)
PAIRS: dict[str, Matrix] = {
    "cz": np.diag([1, 1, 1, -1]).astype(np.complex128),
    "cnot": np.eye(4, dtype=np.complex128)[[0, 1, 3, 2]],
}
ENTANGLERS = ("none", "cz-chain", "cz-ring", "cnot-chain", "cnot-ring")


def turned(generator: Matrix, angle: float) -> Matrix:
    return np.asarray(np.cos(angle / 2) * np.eye(len(generator)) - 1j * np.sin(angle / 2) * generator)


def on(n: int, small: Matrix, qubits: Sequence[int]) -> Matrix:
    """The matrix of a gate on some of n qubits, entry by entry."""
    places = [n - 1 - qubit for qubit in qubits]
    made = np.zeros((1 << n, 1 << n), dtype=np.complex128)
    for column in range(1 << n):
        told = int("".join(str(column >> place & 1) for place in places), 2)
        rest = column & ~sum(1 << place for place in places)
        for row in range(len(small)):
            bits = f"{row:0{len(places)}b}"
            found = rest | sum(int(bit) << place for bit, place in zip(bits, places, strict=True))
            made[found, column] = small[row, told]
    return made


def own(n: int) -> list[Gate]:
    """A layer of an owner's own: parameters used twice, with factors, one gate on two qubits."""
    return [Gate("rxy", (0, n - 1), (0,), 1.5, 0.3), Gate("h", (0,)), Gate("rz", (n - 1,), (1,)),
            Gate("ry", (0,), (0,), -0.5), Gate("phase", (0,), (1,), 2.0), Gate("cnot", (n - 1, 0))]  # fmt: skip


def own_matrix(n: int, angles: NDArray[np.float64]) -> Matrix:
    a, b = angles
    steps = [(turned(np.kron(AXES["x"], AXES["y"]), 1.5 * a + 0.3), (0, n - 1)), (HADAMARD, (0,)),
             (turned(AXES["z"], b), (n - 1,)), (turned(AXES["y"], -0.5 * a), (0,)),
             (np.diag([1, np.exp(2j * b)]), (0,)), (PAIRS["cnot"], (n - 1, 0))]  # fmt: skip
    made: Matrix = np.eye(1 << n, dtype=np.complex128)
    for gate, qubits in steps:
        made = on(n, gate, qubits) @ made
    return made


@dataclass
class Layer:
    """What the scenario says, its angles, and its matrix for other angles."""

    said: dict[str, Any]
    angles: NDArray[np.float64]
    matrix: Callable[[NDArray[np.float64]], Matrix]


def rotations(n: int, rng: np.random.Generator) -> Layer:
    axes, sublayers = rng.choice(list("xyz"), size=rng.integers(1, 4)).tolist(), int(rng.integers(1, 3))
    entangle = str(rng.choice(ENTANGLERS))
    edges = [(q, q + 1) for q in range(n - 1)] + [(n - 1, 0)] * (n > 2 and entangle.endswith("ring"))
    order = [(axis, q) for _ in range(sublayers) for axis in axes for q in range(n)]

    def matrix(angles: NDArray[np.float64]) -> Matrix:
        made: Matrix = np.eye(1 << n, dtype=np.complex128)
        for number, (axis, q) in enumerate(order):
            made = on(n, turned(AXES[axis], angles[number]), (q,)) @ made
            if (number + 1) % (len(axes) * n) == 0 and entangle != "none":
                for edge in edges:
                    made = on(n, PAIRS[entangle.partition("-")[0]], edge) @ made
        return made

    said = {"layer": "rotations", "axes": axes, "sublayers": sublayers, "entangle": entangle}
    return Layer(said, rng.uniform(0, 6, len(order)), matrix)


def constant(n: int, kind: str, rng: np.random.Generator) -> Layer:
    """A layer without angles."""
    size = 1 << n
    numbers = rng.normal(size=(size, size))
    vector = numbers[0]
    signs = np.sign(vector)
    orthogonal, contracting = np.linalg.qr(numbers)[0], numbers / np.linalg.norm(numbers, 2) / 1.1
    matrix, said = {
        "phases": (np.diag(np.exp(1j * vector)), {"values": vector}),
        "unitary": (orthogonal, {"matrix": orthogonal}),
        "signs": (np.diag(signs), {"signs": signs}),
        "householder": (np.eye(size) - 2 * np.outer(vector, vector) / (vector @ vector), {"vector": vector}),
        "contraction": (contracting, {"matrix": contracting}),
    }[kind]
    told = {"layer": kind, **{name: {"values": value.tolist()} for name, value in said.items()}}
    return Layer(told, np.zeros(0), lambda angles: np.asarray(matrix, dtype=np.complex128))


def circuit(n: int, rng: np.random.Generator) -> list[Layer]:
    """Two layers with angles, one of them frozen or not, and others between."""
    mine = Layer({"layer": "gates", "callable": f"{__name__}:own"}, rng.uniform(0, 6, 2),
                 lambda angles: own_matrix(n, angles))  # fmt: skip
    others = rng.choice(["phases", "unitary", "signs", "householder", "contraction"], size=2, replace=False)
    layers = [rotations(n, rng), mine, rotations(n, rng), *(constant(n, str(kind), rng) for kind in others)]
    for layer in layers:
        if len(layer.angles):
            layer.said |= {"angles": {"values": layer.angles.tolist()}, "trainable": bool(rng.random() < 0.8)}
    layers[0].said["trainable"] = True
    return [layers[index] for index in rng.permutation(len(layers))]


def loss(layers: Sequence[Layer], angles: Sequence[NDArray[np.float64]], state: Matrix) -> float:
    for layer, own_angles in zip(layers, angles, strict=True):
        state = layer.matrix(own_angles) @ state
    return float((np.abs(state[: len(state) // 2]) ** 2).sum())


def differences(layers: Sequence[Layer], state: Matrix) -> NDArray[np.float64]:
    """All wanted derivatives, by differences of fourth order."""
    h, found = 1e-3, []
    for index, layer in enumerate(layers):
        for number in range(len(layer.angles) if layer.said.get("trainable") else 0):
            at = []
            for step in (-2, -1, 1, 2):
                angles = [other.angles.copy() for other in layers]
                angles[index][number] += step * h
                at.append(loss(layers, angles, state))
            found.append((at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * h))
    return np.array(found)


@pytest.mark.parametrize("seed", rarely(range(6), but=(1, 3)))
def test_every_estimator_tells_the_derivatives_of_the_circuit(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    n, names = int(rng.integers(2, 4)), ["a", "b", "c", "d"][: rng.integers(2, 5)]
    is_ring = len(names) > 2 and bool(rng.integers(2))
    ends = [*pairwise(names), *([(names[-1], names[0])] if is_ring else [])]
    layers = circuit(n, rng)
    place = 0
    for layer in layers:  # a walk along the links
        place += int(rng.integers(-1, 2))
        place = place % len(names) if is_ring else min(max(place, 0), len(names) - 1)
        layer.said["at"] = names[place]
    vector = rng.normal(size=rng.integers(1, (1 << n) + 1))
    protocol = {"kind": "gradient", "qubits": n, "start": names[0], "input": {"values": vector.tolist()},
                "copies": 4000, "layers": [layer.said for layer in layers], "dense_state": {"bits": [64]},
                "estimators": ["exact", "commuting", "direct", "parameter-shift"]}  # fmt: skip
    fiber = {"fiber": "telecom-fiber", "length_km": 0.02, "detector_efficiency": 0.99}
    links = [{"between": each, **fiber} for each in ends]
    told = {"seed": seed, "nodes": {name: {} for name in names}, "links": links, "protocol": protocol}
    (tmp_path / "random.json").write_text(json.dumps(told), encoding="utf-8")
    loaded = load(str(tmp_path / "random.json"))
    results = run_inline(loaded.run())
    said = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()
    state = np.zeros(1 << n, dtype=np.complex128)
    state[: len(vector)] = vector / np.linalg.norm(vector)
    expected = differences(layers, state)
    assert np.abs(np.array(said["estimators"]["exact"]["estimate"]) - expected).max() < 1e-8
    assert np.abs(np.array(said["rivals"]["dense-state-64-bit"]["estimate"]) - expected).max() < 1e-8
    for name in ("commuting", "direct", "parameter-shift"):
        assert np.abs(np.array(said["estimators"][name]["estimate"]) - expected).max() < 0.4, name
