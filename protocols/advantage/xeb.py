"""Distributed linear cross-entropy: Alice sends a Haar-random state, Bob turns it by a random Clifford and measures.

The score is 2^n |<z|C|ψ>|² - 1: (N - 1)/(N + 1) in the mean without noise, 0 for outcomes that know nothing of ψ. If
the state arrives with a mean fidelity f it is (N f - 1)/(N + 1) (arXiv 2509.07255).
"""

from __future__ import annotations

import numpy as np

from ketwire.protocols.advantage.task import Complexes, Floats, Integers, Table, Task
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.cliffords import Cliffords, random_cliffords
from ketwire.quantum.gates import Gate
from ketwire.quantum.layers import haar_states


class Xeb(Task):
    """The task `xeb`."""

    def draw_sent(self, rng: np.random.Generator, rows: int) -> Table:
        return Table(haar_states(self.qubits, rng, rows))

    def draw_held(self, rng: np.random.Generator, rows: int) -> Cliffords:
        return random_cliffords(self.qubits, rows, rng)

    def states(self, sent: Table) -> Complexes:
        return sent.rows

    def circuit(self) -> Circuit:
        """The first half of the normal form: n (n - 1) two-qubit gates at most.

        What follows the Hadamards maps outcomes to outcomes, which costs no gate.
        """
        pairs = [(a, b) for a in range(self.qubits) for b in range(a + 1, self.qubits)]
        gates = [Gate("s", (q,)) for q in range(self.qubits)]
        gates += [Gate(name, pair) for name in ("cz", "cnot") for pair in pairs]
        gates += [Gate("h", (q,)) for q in range(self.qubits)]
        return Circuit(self.qubits, tuple(gates))

    def laws(self, states: Complexes, held: Cliffords, ranks: Integers) -> Floats:
        return held.probabilities(states)

    def scores(self, sent: Table, held: Cliffords, ranks: Integers, outcomes: Integers) -> Floats:
        return np.asarray(self.size * held.probability(sent.rows, outcomes) - 1.0)

    def expected(self, p: float) -> float:
        entangled = (1 - 0.75 * p) ** self.qubits
        fidelity = (self.size * entangled + 1) / (self.size + 1)
        return (self.size * fidelity - 1) / (self.size + 1)
