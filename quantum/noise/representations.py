"""One interface to both representations: pure rows (rows, 2**n) and density matrices (rows, 2**n, 2**n).

Code that carries or computes with copies calls these and need not know which it holds. What is noise for
pure states is drawn, a trajectory a copy; for density matrices it is averaged exactly, and the generator
is left as it is. The choice is made once, where the copies are prepared, by the plan.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Array, Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.circuits import contract as contract_pure
from ketwire.quantum.engines.dispatch import apply, choose_engine, predict_work
from ketwire.quantum.noise import mixtures, trajectories
from ketwire.quantum.noise.kraus import Kraus
from ketwire.quantum.noise.mixtures import Measurement
from ketwire.quantum.noise.shared_rows import compact

Batch = tuple[Complexes, Integers]


def is_mixed(states: Complexes) -> bool:
    """Whether these are density matrices."""
    return states.ndim == 3


def apply_circuit(circuit: Circuit, states: Complexes, parameters: Sequence[float] | Floats) -> Complexes:
    """U ψ or U ρ U† of each row, by the engine that the plan makes worth it."""
    if is_mixed(states):
        work = predict_work(circuit, 2 * len(states) * states.shape[1])
        return mixtures.evolve(circuit, states, parameters, choose_engine(work))
    return apply(circuit, states, parameters, engine=choose_engine(predict_work(circuit, len(states))))


def contract(states: Complexes, M: Array | Contraction) -> tuple[Complexes, Floats]:
    """`circuits.contract`, or `mixtures.contract`: the rows whose flag did not fire, and their probabilities."""
    return mixtures.contract(states, M) if is_mixed(states) else contract_pure(states, M)


def probabilities(observable: Measurement, states: Complexes) -> Floats:
    """Of each outcome, shape (rows, outcomes)."""
    return mixtures.probabilities(observable, states) if is_mixed(states) else observable.probabilities(states)


def apply_paulis(states: Complexes, row: Integers, weights: ArrayLike, rng: np.random.Generator) -> Batch:
    """A Pauli channel on each qubit of each copy; arguments as for `trajectories.apply_paulis`."""
    if is_mixed(states):
        return mixtures.apply_paulis(states, row, weights)
    return trajectories.apply_paulis(states, row, weights, rng)


def unharmed(states: Complexes, row: Integers) -> Batch:
    """What `apply_paulis` makes of copies that no error can hit: it draws nothing."""
    return (states, row) if is_mixed(states) else compact(states, row)


def apply_decay(states: Complexes, row: Integers, gamma: Floats, p_z: Floats, rng: np.random.Generator) -> Batch:
    """Damping by γ, then dephasing by p_z on each qubit of each copy; both of shape (copies, n), or (1, n) for all."""
    if is_mixed(states):
        return mixtures.apply_decay(states, row, gamma, p_z)
    which = 0 if len(gamma) == 1 else slice(None)
    for qubit in range(gamma.shape[1]):
        states, row = trajectories.apply_decay(states, row, gamma[which, qubit], p_z[which, qubit], [qubit], rng)
    return states, row


def apply_channel(
    states: Complexes, row: Integers, kraus: Kraus, qubits: Sequence[int], rng: np.random.Generator
) -> Batch:
    """A channel on each of `qubits`; arguments as for `trajectories.apply_channel`."""
    if is_mixed(states):
        return mixtures.apply_channel(states, row, kraus, qubits)
    return trajectories.apply_channel(states, row, kraus, qubits, rng)
