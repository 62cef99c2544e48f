"""Gradients by shifted inferences: 2 runs of the whole circuit for each gate with a parameter.

A gate exp(-i θ D) with D of two eigenvalues one apart (all Pauli rotations, and phases) has

    ∂_θ <Π> = ½ ( <Π>(θ + π/2) - <Π>(θ - π/2) ).

θ = scale · parameter + offset brings the factor `scale`, and a parameter that feeds several gates the sum
over them, each shifted alone: so the plan runs a circuit in which every gate has an angle of its own.
Source: Mitarai et al. 2018 (arXiv 1803.00745), Schuld et al. 2019 (arXiv 1811.11184).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats, Integers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.estimation import Promise
from ketwire.quantum.segments import Segment

SHIFT = np.pi / 2


@dataclass(frozen=True, eq=False)
class ShiftPlan:
    """What to run and how to combine it.

    circuit: in the place of U, its G parametrised gates with an angle each. angles: (2 G, G), the
    parameters of run 2 g with gate g's angle moved up, of run 2 g + 1 with it moved down. slots and
    scales, (G,): the parameter of U that feeds each gate, and its factor.
    """

    circuit: Circuit
    angles: Floats
    slots: Integers
    scales: Floats
    parameter_count: int

    def gradient(self, losses: ArrayLike) -> Floats:
        """(2 G, ...) of the runs' <Π>, exact or estimated, to (..., parameter_count)."""
        runs = np.asarray(losses, dtype=np.float64)
        if runs.ndim == 0 or len(runs) != len(self.angles):
            raise ValueError(f"losses: shape {list(runs.shape)} given, expected {len(self.angles)} runs")
        result = np.zeros((self.parameter_count, *runs.shape[1:]))
        np.add.at(result, self.slots, (self.scales / 2 * (runs[0::2] - runs[1::2]).T).T)
        return np.moveaxis(result, 0, -1)


def shift_plan(segment: Segment) -> ShiftPlan:
    """The runs for every parameter of U. ValueError for a gate that the rule does not hold for."""
    gates, angles = [], []
    slots, scales = _fed(segment.circuit)
    for gate in segment.circuit.gates:
        if gate.slots:
            angles.append(gate.angle(segment.values))
            gate = replace(gate, slots=(len(angles) - 1,), scale=1.0, offset=0.0)  # noqa: PLW2901
        gates.append(gate)
    count = len(angles)
    shifts = np.zeros((count, 2, count))
    shifts[np.arange(count), 0, np.arange(count)] = SHIFT
    shifts[np.arange(count), 1, np.arange(count)] = -SHIFT
    return ShiftPlan(
        Circuit(segment.qubits, tuple(gates), count),
        shifts.reshape(2 * count, count) + np.array(angles).reshape(count),
        slots,
        scales,
        segment.circuit.parameter_count,
    )


def _fed(circuit: Circuit) -> tuple[Integers, Floats]:
    """Slot and scale of each parametrised gate."""
    fed = [gate for gate in circuit.gates if gate.slots]
    for gate in fed:
        if not gate.pauli and gate.name != "phase":
            raise ValueError(f"gate {gate.name!r} on qubits {gate.qubits}: the shift rule holds for rotations "
                             "and phases alone")
    return np.array([gate.slots[0] for gate in fed], dtype=np.int64), np.array([gate.scale for gate in fed])


@dataclass(frozen=True)
class ParameterShift:
    """The rival that knows nothing of |Φ>: P parameters take 2 P (or more) estimated inferences."""

    name: ClassVar[str] = "parameter-shift"

    def runs(self, circuits: Sequence[Circuit]) -> int:
        """Inferences with a circuit of their own, over all unitaries."""
        return 2 * sum(len(_fed(circuit)[0]) for circuit in circuits)

    def copies(self, circuits: Sequence[Circuit], promise: Promise) -> int:
        """Measured copies of each run that keep the promise.

        A derivative is a sum over its gates of ½ scale (mean - mean), of numbers in [0, 1]: by Hoeffding's
        inequality and a union bound K = ln(2P/delta) max_p Σ_g scale_g² / (4 epsilon²).
        """
        most = 0.0
        for circuit in circuits:
            slots, scales = _fed(circuit)
            if len(slots):
                most = max(most, float(np.bincount(slots, scales**2).max()))
        return math.ceil(promise.log_term * most / (4 * promise.epsilon**2))
