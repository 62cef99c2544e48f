"""Circuits on a few qubits that are applied over and over with the same parameters: as one matrix.

A stream of copies takes each batch through the same circuits, and most batches hold a few rows, so that nearly all of
their time is what each layer costs whatever it acts on. The first use of a circuit with its parameters runs it; the
second one makes its matrix, by running it on all basis states, and from then on a batch is one matrix product, where
that is predicted to take less time. Both ways agree to rounding.
"""

from dataclasses import dataclass

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.circuits import Circuit, checked_parameters
from ketwire.quantum.engine import apply, choose_engine, predict_product, predict_work

MOST_QUBITS = 6  # a matrix of 64 KiB
MOST_KEPT = 64


@dataclass
class _Seen:
    circuit: Circuit  # held, so that its identity is not given to another one
    transposed: Complexes | None = None


_seen: dict[tuple[int, bytes], _Seen] = {}


def apply_again(circuit: Circuit, states: Complexes, parameters: Floats) -> Complexes:
    """The circuit on each row of (rows, 2**n), as `engine.apply` without `out`, by the engine that is worth it."""
    work = predict_work(circuit, len(states))
    if circuit.qubits > MOST_QUBITS or work <= predict_product(circuit.qubits, len(states)):
        return apply(circuit, states, parameters, engine=choose_engine(work))
    values = checked_parameters(circuit, parameters)
    key = (id(circuit), values.tobytes())
    seen = _seen.get(key)
    if seen is None:
        if len(_seen) >= MOST_KEPT:
            _seen.clear()
        _seen[key] = _Seen(circuit)
        return apply(circuit, states, values)
    if seen.transposed is None:
        seen.transposed = apply(circuit, np.eye(1 << circuit.qubits, dtype=np.complex128), values)
    return np.asarray(states @ seen.transposed)
