"""What all parties know of everybody's unitaries: numbers that their owners tell, and no gate, angle or matrix.

Copies, routes and shifted runs follow from them. Each owner tells them of its visits when it has loaded its
layers, as public facts; so a layer may be anything that its owner alone has, and everything is still agreed on, and
checked against the budget, before anything runs. How many copies a promise takes depends on the number of
parameters of the whole circuit, which no party knows alone: so what is told is what the formulas ask for
(`Demand`, `Shifts`), and everybody works out the same copies from the sum.

What is not a whole number is told in units of 2^-32, rounded up, so that the promise is kept; multiples of
1/2 and their squares, as of all rotations, stay what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.protocols.layers import Step, build_layers
from ketwire.protocols.node import Json, Shape
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit, joined
from ketwire.quantum.gradients.estimation import Demand, Promise
from ketwire.quantum.gradients.features import MOST_JOINT, blocks_of
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.parameter_shift import Shifts
from ketwire.quantum.segments import Segment

UNIT = 2.0**-32
UNPROMISED = 0.5
MOST = 1 << 62  # of a public fact
OWN = ("openqasm", "gates")
"""Layers whose gates their owner alone knows."""

Numbers = TypeVar("Numbers", bound=Demand | Shifts)


def facts(numbers: Demand | Shifts, visit: int) -> dict[str, Shape]:
    """What the owner of a visit tells of its unitary there.

    Raises:
        ScenarioError: a number is too large to be told.
    """
    told = {}
    for field in fields(numbers):
        value = getattr(numbers, field.name)
        whole = value if isinstance(value, int) else math.ceil(value / UNIT)
        if whole > MOST:
            raise ScenarioError(f"protocol.layers: angles of a gate are {math.sqrt(value):.2g} times a parameter; "
                                f"expected {math.sqrt(MOST * UNIT):.2g} times at most")  # fmt: skip
        told[_fact(field.name, visit)] = Shape(whole, "protocol.layers")
    return told


def heard(kind: type[Numbers], public: Mapping[str, int], visit: int) -> Numbers:
    """What all parties know of the unitary at a visit.

    Raises:
        RemoteProtocolError: its owner told no such numbers.
    """
    told: dict[str, Any] = {}
    for field in fields(kind):
        whole = public.get(_fact(field.name, visit))
        if type(whole) is not int or whole < (field.name == "parameters"):
            raise RemoteProtocolError(f"the owner of visit {visit} told {whole} {field.name}, expected a number")
        told[field.name] = whole if field.type == "int" else whole * UNIT
    return kind(**told)


def promise_of(epsilon: float | None, delta: float | None, numbers: Mapping[int, Demand | Shifts]) -> Promise:
    """The promise for all parameters of the circuit, of all owners; `numbers` of each visit that has any.

    Where copies are given instead, it has no meaning: code that has copies does not read it.
    """
    parameters = sum(each.parameters for each in numbers.values())
    return Promise(UNPROMISED if epsilon is None else epsilon, UNPROMISED if delta is None else delta, parameters)


def _fact(name: str, visit: int) -> str:
    return f"{name} at visit {visit}"


# ---------------------------------------------------------------- what may be derived by


def derivable(spec: Mapping[str, Json], step: Step) -> Step:
    """A layer as those want it who derive by its angles: one of its owner's own is constant where they do not move.

    Raises:
        ScenarioError: they move, and their derivatives cannot be read.
    """
    circuit = step.operation
    if spec["layer"] not in OWN or "trainable" not in spec or not isinstance(circuit, Circuit):
        return step
    if spec["trainable"]:
        _check_derivable(spec, circuit)
        return step
    constant = frozen(Segment(circuit, step.parameters), np.zeros(circuit.parameter_count, dtype=np.bool_))
    return Step(constant.circuit, constant.values)


def _check_derivable(spec: Mapping[str, Json], circuit: Circuit) -> None:
    """Refuse a gate with a parameter that is too wide to be read, and a parameter that nothing depends on."""
    for gate in circuit.gates:
        if gate.slots and len(gate.qubits) > MOST_JOINT:
            raise ScenarioError(
                f"{spec['key']}: gate {gate.name!r} with a parameter on {len(gate.qubits)} qubits given, expected at "
                f"most {MOST_JOINT}, or trainable: false"
            )
    moved = {
        slot for block in blocks_of(circuit) for slot, bound in zip(block.slots, block.bounds, strict=True) if bound
    }
    idle = next((slot for slot in range(circuit.parameter_count) if slot not in moved), None)
    if idle is not None:
        raise ScenarioError(
            f"{spec['key']}.angles: nothing depends on number {idle}, counted from 0; expected parameters that gates "
            "read, or trainable: false"
        )


# ---------------------------------------------------------------- before anybody has loaded anything


def outline(specs: Sequence[dict[str, Json]], bare: int, flags: int) -> Circuit | None:
    """The unitary of one visit as `share_of` will build it, fed by the parameters that may move.

    Where a layer holds numbers, others of no meaning stand in their place; what matters of a gate without
    parameters is which qubits it touches and whether it is diagonal. None where its owner alone knows a layer.

    specs: layers as in a slice, whose `flag` says which flag qubit a contraction has.
    """
    total = bare + flags
    if any(spec["layer"] in OWN for spec in specs):
        return None
    parts = [_stand_in(spec, bare, total) for spec in specs]
    circuit = joined([Circuit(total, ()), *parts])
    trainable = [bool(spec.get("trainable", True)) for spec in specs]
    moves = np.repeat(np.array(trainable, dtype=np.bool_), [part.parameter_count for part in parts])
    return frozen(Segment(circuit, np.zeros(circuit.parameter_count)), moves).circuit


def _stand_in(spec: dict[str, Json], bare: int, total: int) -> Circuit:
    kind = spec["layer"]
    if kind == "contraction":
        return layers.householder(np.ones(2 << bare)).on(total, (bare + int(spec["flag"]), *range(bare)))
    if kind in ("unitary", "householder"):
        return layers.householder(np.ones(1 << bare)).on(total, range(bare))
    if kind in ("signs", "phases"):
        return layers.sign_diagonal(np.ones(1 << bare)).on(total, range(bare))
    if "angles" in spec:
        spec = {**spec, "angles": {"random": "angles"}}  # of the shape that the layer needs
    (step,) = build_layers([spec], bare, _zeros)
    assert isinstance(step.operation, Circuit)
    return step.operation.on(total, range(bare))


def _zeros(key: str, source: dict[str, Json]) -> dict[str, NDArray[Any]]:
    """Numbers of the shape that `build_layers` asks for."""
    return {"values": np.zeros(tuple(source["shape"]))}
