"""What all parties know of everybody's layers: which gates on which qubits, and no angle, matrix or vector.

Copies, routes and shifted runs follow from it, so that they are public before anybody has loaded anything.
Where a layer holds numbers, others of no meaning stand in their place; what matters of a gate without
parameters is which qubits it touches and whether it is diagonal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.layers import build_layers
from ketwire.protocols.node import Json
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.frozen import frozen
from ketwire.quantum.segments import Segment


def outline(specs: Sequence[dict[str, Json]], bare: int, flags: int) -> Circuit:
    """The unitary of one visit as `share_of` will build it, fed by the parameters that may move.

    specs: layers as in a slice, whose `flag` says which flag qubit a contraction has.
    """
    total = bare + flags
    circuit, moves = Circuit(total, ()), np.zeros(0, dtype=np.bool_)
    for spec in specs:
        part = _stand_in(spec, bare, total)
        circuit = circuit.then(part)
        moves = np.concatenate([moves, np.full(part.parameter_count, bool(spec.get("trainable", True)))])
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
        spec = {**spec, "angles": {"random": "angles"}}  # of whatever shape the layer needs
    (step,) = build_layers([spec], bare, _zeros)
    assert isinstance(step.operation, Circuit)
    return step.operation.on(total, range(bare))


def _zeros(key: str, source: dict[str, Json]) -> dict[str, NDArray[np.float64]]:
    """Numbers of the shape that `build_layers` asks for."""
    return {"values": np.zeros(tuple(source["shape"]))}
