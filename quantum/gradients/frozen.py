"""A unitary of whose parameters some are wanted and the others are constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.segments import Segment


def frozen(segment: Segment, moves: ArrayLike) -> Segment:
    """The same unitary, fed by the parameters that may move alone; the others become fixed angles.

    moves: bool, (parameter_count,). So estimators measure nothing for derivatives that are not needed.
    ValueError for another shape, and for a gate whose many slots are not all of one sort.
    """
    chosen = np.asarray(moves, dtype=np.bool_)
    if chosen.shape != (segment.circuit.parameter_count,):
        raise ValueError(f"moves: shape {list(chosen.shape)} given, expected ({segment.circuit.parameter_count},)")
    slot_of = np.cumsum(chosen) - 1
    gates = tuple(_fixed(gate, segment, chosen, slot_of) for gate in segment.circuit.gates)
    return Segment(Circuit(segment.qubits, gates, int(chosen.sum())), segment.values[chosen])


def _fixed(gate: Gate, segment: Segment, chosen: np.ndarray, slot_of: np.ndarray) -> Gate:
    if not gate.slots:
        return gate
    moving = chosen[list(gate.slots)]
    if moving.all():
        return replace(gate, slots=tuple(int(slot_of[slot]) for slot in gate.slots))
    if moving.any():
        raise ValueError(f"gate {gate.name!r} on qubits {gate.qubits}: some of its slots move, expected all or none")
    if gate.name == "phases":
        angles = gate.scale * gate.data() * segment.values[list(gate.slots)]
        return Gate("diagonal", gate.qubits, payload=np.exp(1j * angles))
    return replace(gate, slots=(), scale=1.0, offset=gate.angle(segment.values))
