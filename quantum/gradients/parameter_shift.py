"""Gradients by shifted inferences: 2 runs of the whole circuit for each gate with a parameter.

A gate exp(-i θ D) with D of two eigenvalues one apart (all Pauli rotations, and phases) has

    ∂_θ <Π> = ½ ( <Π>(θ + π/2) - <Π>(θ - π/2) ).

θ = scale · parameter + offset brings the factor `scale`, and a parameter that feeds several gates the sum
over them, each shifted alone: so the plan runs a circuit in which every gate has an angle of its own. A
diagonal gate with many eigenvalues ("phases") is the product of one phase for each value of its payload, all
of which commute, and each of which is shifted alone.
Source: Mitarai et al. 2018 (arXiv 1803.00745), Schuld et al. 2019 (arXiv 1811.11184).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats, Integers
from ketwire.quantum.binomial import count_for
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.estimation import Promise
from ketwire.quantum.segments import Segment

SHIFT = np.pi / 2


@dataclass(frozen=True)
class Shifts:
    """All that others need to know of a unitary whose circuit is run with shifted angles.

    parameters: that feed gates. gates: with an angle, two runs each. squares: max_p Σ_g scale_g², the sum
    over the gates that parameter p feeds. terms: how many gates each parameter feeds, if that is the same number
    for all and the scales of one parameter's gates have one magnitude; otherwise 0.
    """

    parameters: int
    gates: int
    squares: float
    terms: int

    @classmethod
    def of(cls, circuit: Circuit | Shifts) -> Shifts:
        if isinstance(circuit, Shifts):
            return circuit
        rule = _Rule.of(circuit)
        sums = np.bincount(rule.slots, rule.scales**2)
        scales = [np.abs(rule.scales[rule.slots == slot]) for slot in np.unique(rule.slots)]
        alike = len({len(each) for each in scales}) == 1 and all((each == each[0]).all() for each in scales)
        terms = len(scales[0]) if alike else 0
        return cls(len(scales), len(rule.slots), float(sums.max(initial=0.0)), terms)

    @property
    def runs(self) -> int:
        return 2 * self.gates


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
    """The runs for every parameter of U."""
    rule = _Rule.of(segment.circuit)
    count = len(rule.slots)
    shifts = np.zeros((count, 2, count))
    shifts[np.arange(count), 0, np.arange(count)] = SHIFT
    shifts[np.arange(count), 1, np.arange(count)] = -SHIFT
    angles = rule.scales * segment.values[rule.slots] + rule.offsets
    return ShiftPlan(
        rule.circuit,
        shifts.reshape(2 * count, count) + angles,
        rule.slots,
        rule.scales,
        segment.circuit.parameter_count,
    )


@dataclass(frozen=True, eq=False)
class _Rule:
    """What of a plan does not depend on angles: each gate's angle is scales · parameters[slots] + offsets."""

    circuit: Circuit
    slots: Integers
    scales: Floats
    offsets: Floats

    @staticmethod
    @lru_cache(maxsize=64)
    def of(circuit: Circuit) -> _Rule:
        gates: list[Gate] = []
        turns: list[_Turn] = []
        for gate in circuit.gates:
            if not gate.slots:
                gates.append(gate)
            for turn in _turns(gate) if gate.slots else ():
                gates.append(replace(turn.gate, slots=(len(turns),), scale=1.0, offset=0.0))
                turns.append(turn)
        return _Rule(
            Circuit(circuit.qubits, tuple(gates), len(turns)),
            np.array([turn.slot for turn in turns], dtype=np.int64),
            np.array([turn.scale for turn in turns], dtype=np.float64),
            np.array([turn.offset for turn in turns], dtype=np.float64),
        )


class _Turn(NamedTuple):
    """A gate whose generator has two eigenvalues one apart, at the angle scale · parameters[slot] + offset."""

    gate: Gate
    slot: int
    scale: float
    offset: float


def _turns(gate: Gate) -> list[_Turn]:
    """A gate with a parameter as gates that the rule holds for, up to a global phase."""
    if gate.name != "phases":
        return [_Turn(gate, gate.slots[0], gate.scale, gate.offset)]
    payload, size = np.asarray(gate.data(), dtype=np.float64), len(gate.data())
    if len(gate.slots) == 1:
        payload = payload - payload[0]  # what all entries have in common is a global phase
    slots = np.array(gate.slots if len(gate.slots) == size else gate.slots * size)
    kinds = sorted({(slot, value) for slot, value in zip(slots.tolist(), payload.tolist(), strict=True) if value})
    return [
        _Turn(replace(gate, slots=(slot,), payload=(slots == slot) & (payload == value)), slot, gate.scale * value, 0.0)
        for slot, value in kinds
    ]


@dataclass(frozen=True)
class ParameterShift:
    """The rival that knows nothing of |Φ>: P parameters take 2 P (or more) estimated inferences."""

    name: ClassVar[str] = "parameter-shift"

    def runs(self, circuits: Sequence[Circuit | Shifts]) -> int:
        """Inferences with a circuit of their own, over all unitaries."""
        return sum(Shifts.of(circuit).runs for circuit in circuits)

    def copies(self, circuits: Sequence[Circuit | Shifts], promise: Promise) -> int:
        """Measured copies of each run that keep the promise.

        A derivative is a sum over its gates of ½ scale (mean - mean), of outcomes 0 and 1; the promise for all is
        kept by a union bound. With G gates of one scale (`Shifts.terms`) it is scale · G times the share of hits
        among 2 G K outcomes, less a constant: K is the least that the binomial law allows. Elsewhere Hoeffding's
        inequality gives K = ln(2P/delta) max_p Σ_g scale_g² / (4 epsilon²).
        """
        return max((_copies(Shifts.of(circuit), promise) for circuit in circuits), default=0)


def _copies(shifts: Shifts, promise: Promise) -> int:
    if shifts.terms and shifts.squares:
        each, parts = promise.epsilon / math.sqrt(shifts.terms * shifts.squares), 2 * shifts.terms
        return count_for(each, promise.delta / promise.parameters, parts) // parts
    return math.ceil(promise.log_term * shifts.squares / (4 * promise.epsilon**2))
