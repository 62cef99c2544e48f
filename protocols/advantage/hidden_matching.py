"""Hidden matching: Alice has N bits, Bob a perfect matching of their places, and answers with the parity of one edge.

Alice sends Σ (-1)^(x_i) |i> / √N, Bob measures (|i> ± |j>)/√2 for the edges {i, j} of his matching: always right. His
matching is {i, i ⊕ c} for a private c other than 0. These N - 1 matchings share no edge and together have all edges,
which is what the bound uses (`bounds.matching_bits`), and each takes n - 1 controlled NOTs and a Hadamard gate at most.

An outcome is a number of n bits: without the highest bit of c it names i, and that bit is the answer x_i ⊕ x_j.
"""

from __future__ import annotations

import numpy as np

from ketwire.protocols.advantage.task import Complexes, Floats, Integers, Table, Task
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate


class HiddenMatching(Task):
    """The task `hidden-matching`: questions, the matchings of each instance, of which copy r is measured in number r.

    With one question all copies are measured in its matching.
    """

    def __init__(self, qubits: int, questions: int = 1) -> None:
        super().__init__(qubits)
        self.questions = self.held_entries = questions

    def draw_sent(self, rng: np.random.Generator, rows: int) -> Table:
        return Table(rng.integers(0, 2, (rows, self.size), dtype=np.uint8))

    def draw_held(self, rng: np.random.Generator, rows: int) -> Table:
        return Table(rng.integers(1, self.size, (rows, self.questions)))

    def states(self, sent: Table) -> Complexes:
        return signs_of(sent.rows)

    def circuit(self) -> Circuit:
        gates = [Gate("cnot", (0, q)) for q in range(1, self.qubits)]
        return Circuit(self.qubits, (*gates, Gate("h", (0,))))

    def laws(self, states: Complexes, held: Table, ranks: Integers) -> Floats:
        shifts = self.asked(held, ranks)[:, None]
        index = np.arange(self.size)
        lead = leading(shifts)
        rest = index & ~lead
        first = np.take_along_axis(states, rest, axis=1)
        second = np.take_along_axis(states, rest ^ shifts, axis=1)
        turned = np.where(index & lead, first - second, first + second)
        return np.asarray((turned.real**2 + turned.imag**2) / 2)

    def scores(self, sent: Table, held: Table, ranks: Integers, outcomes: Integers) -> Floats:
        """1 for a right answer, -1 for a wrong one."""
        shifts = self.asked(held, ranks)
        lead = leading(shifts)
        place, every = outcomes & ~lead, np.arange(len(outcomes))
        parity = sent.rows[every, place] ^ sent.rows[every, place ^ shifts]
        return np.where(parity == (outcomes & lead != 0), 1.0, -1.0)

    def expected(self, p: float) -> float:
        """Over all c: a qubit of c keeps its sign with 1 - p, another its place with 1 - p/2."""
        n = self.qubits
        return ((2 - 1.5 * p) ** n - (1 - 0.5 * p) ** n) / (self.size - 1)

    def asked(self, held: Table, ranks: Integers) -> Integers:
        """The c that each copy is asked of; int64, (rows,)."""
        return np.asarray(held.rows[np.arange(len(ranks)), ranks if self.questions > 1 else 0])


def leading(numbers: Integers) -> Integers:
    """The highest bit of each number above 0."""
    return np.asarray(1 << (np.frexp(numbers.astype(np.float64))[1] - 1).astype(np.int64))


def signs_of(bits: np.ndarray) -> Complexes:
    """Σ (-1)^(x_i) |i> / √N for each row of bits."""
    scale = bits.shape[1] ** -0.5
    return np.asarray(np.where(bits, -scale, scale), dtype=np.complex128)
