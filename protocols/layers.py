"""A party's layers: from the names and sources of its slice to circuits with their parameters.

Every layer of THEORY's section on the distributed circuit has a name here. What a layer holds
(angles, matrices, vectors) is loaded by its owner alone.

    rotations    axes (letters of x, y, z), sublayers, entangle; angles: source
    givens       first (qubits, None for all), sublayers, distances; angles: source
    phases       exp(i lambda_j x_j) on basis state j; values: source of 2**qubits numbers
    unitary      matrix: source, (2**qubits, 2**qubits); an orthogonal matrix is one
    signs        a diagonal of +1 and -1; signs: source of 2**qubits of them
    hadamards    one on every qubit
    householder  1 - 2 v v^T, vector: source
    contraction  matrix: source with norm at most 1; its flag is measured at once
    openqasm     program: a .qasm file; angles: source, a value for each input
    gates        callable: module:name of the owner's own function of the number of qubits, which returns a
                 circuit or a list of gates; angles: source, a value for each parameter
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.errors import ScenarioError, quoting
from ketwire.modules import find
from ketwire.protocols.loaded import vector_of
from ketwire.protocols.node import Json, Loader, Node
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit, Contraction, joined
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import Gate


@dataclass(frozen=True)
class Part:
    """One party's part of a distributed circuit, as its slice tells it.

    path: the party at each visit. qubits: of the register. flags: qubits beside it, one for each contraction that
        stays coherent
    visits: its own layers by visit, as `build_layers` takes them
    starts: whether it prepares the register; input: the source of the vector that it encodes then, None for |0...0>
    """

    path: tuple[str, ...]
    qubits: int
    flags: int = 0
    visits: dict[int, list[Json]] = field(default_factory=dict)
    starts: bool = False
    input: Json = None


@dataclass(frozen=True)
class Step:
    """A circuit with its parameters, or a contraction."""

    operation: Circuit | Contraction
    parameters: NDArray[np.float64]

    def on_copies(self, node: Node, copies: Copies) -> Copies:
        """Apply it at a node; consumes `copies`."""
        if isinstance(self.operation, Contraction):
            return node.contract(self.operation.matrix, copies)
        return node.apply(self.operation, copies, self.parameters)

    def on_vector(self, vector: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Apply it to a vector that need not have norm one; complex128, shape (2**qubits,)."""
        if isinstance(self.operation, Contraction):
            return np.asarray(self.operation.matrix @ vector)
        return np.asarray(apply(self.operation, vector[None, :], self.parameters)[0])


NO_PARAMETERS = np.zeros(0)
LARGEST_ANGLE = 1e9
"""In radians. Doubles that large lie 1e-7 apart, so that few digits of an angle are left of larger ones."""


def build_layers(specs: Sequence[dict[str, Json]], qubits: int, load: Loader) -> list[Step]:
    """The steps of consecutive layers of one party; each spec holds its `key` in the scenario.

    Raises:
        ScenarioError: what a layer holds does not fit the register.
    """
    steps: list[Step] = []
    for spec in specs:
        try:
            steps.append(_BUILDERS[spec["layer"]](spec, qubits, load))
        except ValueError as error:
            raise ScenarioError(f"{spec['key']}: {error}") from None
    merged: list[Step] = []
    for unitary, group in groupby(steps, lambda step: isinstance(step.operation, Circuit)):
        stretch = list(group)
        merged += [_as_one(stretch)] if unitary else stretch
    return merged


def _as_one(steps: Sequence[Step]) -> Step:
    """Unitary steps as one."""
    circuits = [step.operation for step in steps if isinstance(step.operation, Circuit)]
    return steps[0] if len(steps) == 1 else Step(joined(circuits), np.concatenate([step.parameters for step in steps]))


def _rotations(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    circuit = layers.rotations(qubits, spec["axes"])
    if spec["entangle"] != "none":
        circuit = circuit + layers.entangler(qubits, spec["entangle"])
    circuit = joined([circuit] * spec["sublayers"])
    return Step(circuit, _held(spec, "angles", (circuit.parameter_count,), qubits, load))


def _givens(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    width = spec["first"] or qubits
    circuit = layers.givens(width, spec["sublayers"], spec["distances"]).on(qubits, range(width))
    return Step(circuit, _held(spec, "angles", (circuit.parameter_count,), qubits, load))


def _phases(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    values = _held(spec, "values", (1 << qubits,), qubits, load)
    return Step(layers.diagonal(np.exp(1j * values)), NO_PARAMETERS)


def _unitary(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    return Step(layers.dense(_held(spec, "matrix", (1 << qubits,) * 2, qubits, load, complex_too=True)), NO_PARAMETERS)


def _signs(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    return Step(layers.sign_diagonal(_held(spec, "signs", (1 << qubits,), qubits, load)), NO_PARAMETERS)


def _hadamards(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    return Step(layers.hadamards(qubits), NO_PARAMETERS)


def _householder(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    return Step(layers.householder(_held(spec, "vector", (1 << qubits,), qubits, load)), NO_PARAMETERS)


def _contraction(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    return Step(Contraction(_held(spec, "matrix", (1 << qubits,) * 2, qubits, load, complex_too=True)), NO_PARAMETERS)


def _openqasm(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    from ketwire.protocols.openqasm.reader import circuit_of  # noqa: PLC0415

    octets = load(f"{spec['key']}.program", spec["program"])["values"].tobytes()
    try:
        text = octets.decode("utf-8-sig")  # editors put a byte order mark first, which is no part of the program
    except UnicodeDecodeError as error:
        told = f"octet {error.start} is no UTF-8, expected an OpenQASM 3 program in UTF-8"
        raise ScenarioError(f"{spec['key']}.program: {told}") from None
    try:
        circuit = circuit_of(text)
    except ValueError as error:
        # The message names what stands in the program, which is its owner's secret.
        refusal = ScenarioError(f"{spec['key']}: {error}")
        line = re.match(r"line \d+(, column \d+)?: ", str(error))
        refusal.abroad = f"{spec['key']}: {line[0] if line else ''}expected OpenQASM 3 as its owner is told"
        raise refusal from None
    return _fed(spec, _fitting(circuit, qubits), load)


def _gates(spec: dict[str, Json], qubits: int, load: Loader) -> Step:
    try:
        made = find(spec["callable"])(qubits)
    except (Exception, SystemExit) as error:

        def refusal(told: str) -> ScenarioError:
            given = f"{spec['key']}.callable: {spec['callable']!r} given"
            return ScenarioError(f"{given}, expected a function of the number of qubits ({told})")

        raise quoting(refusal, error, spec["callable"].partition(":")[0]) from error
    if not isinstance(made, Circuit):
        gates = list(made) if isinstance(made, list | tuple) else [made]
        if not all(isinstance(gate, Gate) for gate in gates):
            raise ScenarioError(f"{spec['key']}.callable: {type(made).__name__} returned, expected a circuit or gates")
        slots = [slot for gate in gates for slot in gate.slots]
        made = Circuit(qubits, tuple(gates), 1 + max(slots, default=-1))
    return _fed(spec, _fitting(made, qubits), load)


def _fitting(circuit: Circuit, qubits: int) -> Circuit:
    if circuit.qubits != qubits:
        raise ValueError(f"a circuit of {circuit.qubits} qubits given, expected {qubits}")
    return circuit


def _fed(spec: dict[str, Json], circuit: Circuit, load: Loader) -> Step:
    """A circuit with the parameters that the layer's `angles` hold."""
    count = circuit.parameter_count
    if spec["angles"] is None and count:
        raise ScenarioError(f"{spec['key']}.angles: missing required key, expected {count} values")
    if spec["angles"] is not None and not count:
        raise ScenarioError(f"{spec['key']}.angles: values given, expected none: nothing reads a parameter")
    return Step(circuit, _held(spec, "angles", (count,), circuit.qubits, load) if count else NO_PARAMETERS)


_BUILDERS: dict[str, Callable[[dict[str, Json], int, Loader], Step]] = {
    "rotations": _rotations,
    "givens": _givens,
    "phases": _phases,
    "unitary": _unitary,
    "signs": _signs,
    "hadamards": _hadamards,
    "householder": _householder,
    "contraction": _contraction,
    "openqasm": _openqasm,
    "gates": _gates,
}


def looks_of(spec: dict[str, Json], qubits: int) -> dict[str, Json]:
    """How a layer looks without what its owner alone has: a model trained for it fits no other layer."""
    others = ("key", "at", "trainable", "flag")
    told = {name: value for name, value in spec.items() if name not in others and not isinstance(value, dict)}
    return {**told, "qubits": qubits}


def _check_looks(key: str, trained: dict[str, Json], wanted: dict[str, Json]) -> None:
    """Raises:
    ScenarioError: angles were trained for another layer.
    """
    for name in dict.fromkeys((*wanted, *trained)):
        there, here = trained.get(name), wanted.get(name)
        if there != here:
            told = f"{name} {json.dumps(there)} of the layer that was trained"
            raise ScenarioError(f"{key}: {told}, expected {json.dumps(here)} as in this one")


def _held(
    spec: dict[str, Json], name: str, shape: tuple[int, ...], qubits: int, load: Loader, complex_too: bool = False
) -> NDArray[Any]:
    """Load what a layer holds and check its shape; `random` sources are told the shape they need."""
    key, source = f"{spec['key']}.{name}", spec[name]
    if "trained" in source:
        source = {"layer": int(spec["key"].rpartition(".")[2]), **source}
    if "random" in source:
        if source.get("shape", list(shape)) != list(shape):
            raise ScenarioError(f"{key}.shape: {source['shape']} given, expected {list(shape)}, or nothing")
        source = {**source, "shape": list(shape)}
    found = load(key, source)
    values = found["values"]
    if "looks" in found:
        _check_looks(key, json.loads(found["looks"].tobytes()), looks_of(spec, qubits))
    if len(shape) == 1:
        values = vector_of(values)
    if values.shape != shape:
        raise ScenarioError(f"{key}: shape {list(values.shape)} given, expected {list(shape)}")
    if np.iscomplexobj(values) and not complex_too:
        raise ScenarioError(f"{key}: complex numbers given, expected real ones")
    if name == "angles" and np.abs(values).max() > LARGEST_ANGLE:
        at = [int(index) for index in np.unravel_index(np.abs(values).argmax(), shape)]
        raise ScenarioError(f"{key}: an angle at {at} that is too large given, expected at most {LARGEST_ANGLE:g} rad")
    return values.astype(np.complex128 if complex_too else np.float64)


