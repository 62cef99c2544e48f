"""A circuit together with its parameters: what one party applies at one visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.circuits import Circuit, checked_parameters
from ketwire.quantum.engines.dispatch import EngineName, apply


@dataclass(frozen=True, eq=False)
class Segment:
    """A unitary U of the distributed circuit (THEORY §2).

    parameters: (circuit.parameter_count,), finite. ValueError where they are not.
    """

    circuit: Circuit
    parameters: Sequence[float] | Floats = ()

    def __post_init__(self) -> None:
        values = np.array(checked_parameters(self.circuit, self.parameters))
        values.flags.writeable = False
        object.__setattr__(self, "parameters", values)

    @property
    def qubits(self) -> int:
        return self.circuit.qubits

    @property
    def values(self) -> Floats:
        """The parameters as an array."""
        return np.asarray(self.parameters)

    def apply(self, states: Complexes, engine: EngineName = "numpy") -> Complexes:
        """U ψ for each row of (rows, 2**n); a new array."""
        return apply_long(self.circuit, states, self.values, engine)


MOST_GATES = 256


@lru_cache(maxsize=64)
def pieces(circuit: Circuit) -> tuple[Circuit, ...]:
    """The circuit in runs of at most MOST_GATES gates, all fed by the whole vector of parameters.

    The time to find an engine's plan grows with the square of a circuit's length.
    """
    if len(circuit.gates) <= MOST_GATES:
        return (circuit,)
    starts = range(0, len(circuit.gates), MOST_GATES)
    runs = (circuit.gates[start : start + MOST_GATES] for start in starts)
    return tuple(Circuit(circuit.qubits, run, circuit.parameter_count) for run in runs)


def apply_long(circuit: Circuit, states: Complexes, parameters: Floats, engine: EngineName = "numpy") -> Complexes:
    """`apply`, piece by piece: for circuits of thousands of gates."""
    for piece in pieces(circuit):
        states = apply(piece, states, parameters, engine)
    return states
