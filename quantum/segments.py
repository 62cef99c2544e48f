"""A circuit together with its parameters: what one party applies at one visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.circuits import Circuit, checked_parameters
from ketwire.quantum.engine import EngineName, apply


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
        return apply(self.circuit, states, self.values, engine)
