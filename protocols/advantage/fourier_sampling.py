"""Fourier sampling: Alice has f, Bob g, both N signs; z is wanted with probability ĥ(z)², h = f g.

Alice sends Σ f(x) |x> / √N, Bob multiplies by g, applies Hadamards and measures. The score is N ĥ(z)² - 1 with
ĥ(z) = Σ h(x) (-1)^(x·z) / N: 2 - 2/N in the mean without noise, 0 for uniform z (Montanaro, Quantum 3, 154, 2019).
"""

from __future__ import annotations

import numpy as np

from ketwire.protocols.advantage.hidden_matching import signs_of
from ketwire.protocols.advantage.task import Complexes, Floats, Integers, Table, Task
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.cliffords import parities
from ketwire.quantum.half_spaces import walsh_hadamard
from ketwire.quantum.layers import diagonal, hadamards


class FourierSampling(Task):
    """The task `fourier-sampling`. A bit of an input is 1 where the sign is -1."""

    def draw_sent(self, rng: np.random.Generator, rows: int) -> Table:
        return Table(rng.integers(0, 2, (rows, self.size), dtype=np.uint8))

    def draw_held(self, rng: np.random.Generator, rows: int) -> Table:
        return Table(rng.integers(0, 2, (rows, self.size), dtype=np.uint8))

    def states(self, sent: Table) -> Complexes:
        return signs_of(sent.rows)

    def circuit(self) -> Circuit:
        return diagonal(np.ones(self.size)) + hadamards(self.qubits)

    def laws(self, states: Complexes, held: Table, ranks: Integers) -> Floats:
        turned = walsh_hadamard(np.where(held.rows, -states, states))
        return np.asarray(turned.real**2 + turned.imag**2)

    def scores(self, sent: Table, held: Table, ranks: Integers, outcomes: Integers) -> Floats:
        minus = sent.rows ^ held.rows ^ parities(outcomes, self.qubits)
        sums = self.size - 2.0 * minus.sum(axis=1, dtype=np.int64)
        return np.asarray(sums**2 / self.size - 1.0)

    def expected(self, p: float) -> float:
        n = self.qubits
        return float(2 * (1 - 0.75 * p) ** n - 2 / self.size * (1 - 0.5 * p) ** n)
