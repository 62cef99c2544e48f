"""What a task of one message is: what both owners draw, the state that is sent, how it is measured, and the score.

An instance is one input of the sender and one of the receiver. A score needs both, so no party knows it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.advantage.inputs import RECEIVER, SENDER, Inputs, own_key
from ketwire.protocols.node import Loader
from ketwire.quantum.circuits import Circuit

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Inputs as an array, one a row."""

    rows: NDArray[Any]

    def of(self, rows: Integers) -> Table:
        return Table(self.rows[rows])


class Task(ABC):
    """A task on n qubits. `sent` are inputs of the sender, `held` of the receiver, of some instances.

    held_entries: of the receiver's input of one instance.
    """

    def __init__(self, qubits: int) -> None:
        self.qubits, self.size = qubits, 1 << qubits
        self.held_entries = self.size

    @abstractmethod
    def draw_sent(self, rng: np.random.Generator, rows: int) -> Any: ...

    @abstractmethod
    def draw_held(self, rng: np.random.Generator, rows: int) -> Any: ...

    @abstractmethod
    def states(self, sent: Any) -> Complexes:
        """What the sender sends of each instance; (rows, 2**n)."""

    @cached_property
    def gates(self) -> Circuit:
        """What the receiver's processor runs before the readout, at most."""
        return self.circuit()

    @abstractmethod
    def circuit(self) -> Circuit: ...

    @abstractmethod
    def laws(self, states: Complexes, held: Any, ranks: Integers) -> Floats:
        """How likely each outcome is; (rows, 2**n). ranks: which copy of its instance each is, from 0 on."""

    @abstractmethod
    def scores(self, sent: Any, held: Any, ranks: Integers, outcomes: Integers) -> Floats:
        """The score of each outcome, float64, (rows,): 0 in the mean for outcomes that depend on nothing."""

    @abstractmethod
    def expected(self, p: float) -> float:
        """The mean score where each qubit is depolarized with probability p: replaced by the maximally mixed state.

        Over a Werner pair of fidelity F a qubit is depolarized with p = 4 (1 - F)/3.
        """

    def sender_inputs(self, load: Loader) -> Inputs[Any]:
        return Inputs(own_key(load, SENDER), self.draw_sent, self.size)

    def receiver_inputs(self, load: Loader) -> Inputs[Any]:
        return Inputs(own_key(load, RECEIVER), self.draw_held, self.held_entries)

    def judged(self, sender: Loader, receiver: Loader, outcomes: Integers) -> Floats:
        """The score of each outcome, for a judge that has the sources of both owners.

        outcomes: int64, (instances, copies). Returns float64 of that shape.
        """
        instances, copies = outcomes.shape
        items = np.repeat(np.arange(instances), copies)
        ranks = np.tile(np.arange(copies), instances)
        flat, found = outcomes.reshape(-1), np.empty(outcomes.size)
        sent, held = self.sender_inputs(sender), self.receiver_inputs(receiver)
        # Both have blocks of their own: the parts of one are cut again by those of the other.
        for part, one in sent.of(items):
            for within, other in held.of(items[part]):
                mine = slice(part.start + within.start, part.start + within.stop)
                rows = np.arange(within.start, within.stop)
                found[mine] = self.scores(one.of(rows), other, ranks[mine], flat[mine])
        return found.reshape(outcomes.shape)
