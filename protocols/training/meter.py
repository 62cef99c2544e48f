"""What a training step costs a party: a meter around its node, and the table of all steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.protocols.node import Node, Outcome, Stock
from ketwire.protocols.stream import Tally
from ketwire.quantum.gradients.estimation import Estimate

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class Cost:
    """What one party's messages cost on their links, as the ledger has it, and what its registers took.

    circuits: applications of a circuit to one copy
    registers_held, qubits_held: most living registers, and qubits of them, that were in the party's hands at
        once, in the order of its program: the batch that it works on, from when it came or was prepared until
        all of it was handed to a link or measured, and what is kept to be read together
    """

    qubits_emitted: int = 0
    qubits_delivered: int = 0
    ebits: int = 0
    bits: int = 0
    circuits: int = 0
    registers_held: int = 0
    qubits_held: int = 0


@dataclass
class Meter:
    """A node that counts what passes; programs work with `node` and never see a difference."""

    inner: Node
    total: Cost = field(default_factory=Cost)
    _kept: dict[int, int] = field(default_factory=dict)
    """Registers that wait to be read, by their qubits."""

    @property
    def node(self) -> Node:
        return cast(Node, self)

    def taken(self) -> Cost:
        """What was counted since the last call."""
        cost, self.total = self.total, Cost()
        return cost

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def prepare(self, states: Any, counts: Any, *, mixed: bool = False) -> Copies:
        return self._in_hand(self.inner.prepare(states, counts, mixed=mixed))

    def apply(self, circuit: Any, copies: Copies, parameters: Floats) -> Copies:
        if circuit.gates:
            self.total.circuits += copies.living_count
        return self.inner.apply(circuit, copies, parameters)

    def attach(self, copies: Copies) -> Copies:
        return self._in_hand(self.inner.attach(copies))

    def collect(self, copies: Copies, groups: Any, keep: Any) -> Stock:
        qubits = copies.qubits
        stock = self.inner.collect(copies, groups, keep)
        self._kept[qubits] = self._kept.get(qubits, 0) + len(stock)
        return stock

    def examine(self, stocks: Sequence[Stock], samples: int, procedure: Any, *, peek: bool = False) -> Estimate:
        self._kept.clear()
        return self.inner.examine(stocks, samples, procedure, peek=peek)

    async def send(self, peer: str, message: Any) -> Any:
        receipt = await self.inner.send(peer, message)
        spent, total = receipt.spent, self.total
        total.qubits_emitted += spent.qubits_sent
        total.qubits_delivered += spent.qubits_delivered
        total.ebits += spent.ebits
        total.bits += spent.bits
        return receipt

    async def receive(self, peer: str, kind: Callable[..., Any]) -> Any:
        message = await self.inner.receive(peer, cast(Any, kind))
        return self._in_hand(message) if isinstance(message, Copies) else message

    def _in_hand(self, copies: Copies) -> Copies:
        """Note what is held now that the party has this batch; it has handed on the one before."""
        alive, total = copies.living_count, self.total
        total.registers_held = max(total.registers_held, alive + sum(self._kept.values()))
        kept = sum(count * qubits for qubits, count in self._kept.items())
        total.qubits_held = max(total.qubits_held, alive * copies.qubits + kept)
        return copies


SUMMED = ("qubits_emitted", "qubits_delivered", "ebits", "bits", "circuits")
"""Of these a step's figure is the sum over parties."""
HELD = ("registers_held", "qubits_held")
"""Of these it is the largest of any party."""
COLUMNS = ("qubits_emitted", "qubits_delivered", "bits", "circuits", "copies", "clock_ps", "ebits", *HELD)


@dataclass(frozen=True)
class Counts:
    """Copies emitted at the start, as many as were needed in the mean, and measured; samples; readings of |Φ>."""

    emitted: int
    needed: float
    measured: int
    samples: int
    readings: int


@dataclass(frozen=True)
class Course(Outcome):
    """What a party noted of each step, `COLUMNS`, shape (steps, columns); and the party that judges, (steps,) losses
    and (validations, 2) losses and accuracies."""

    costs: NDArray[np.int64]
    losses: NDArray[np.float64] | None = None
    validations: NDArray[np.float64] | None = None


class Series:
    """What a party notes of each step: its costs, its clock, and at the last party losses and validations.

    Beside them, so far: copies emitted at the start, as many as were needed in the mean, and measured; samples of
    batches, copies of |Φ> that were read.
    """

    def __init__(self, most: int) -> None:
        self.steps = 0
        self.copies = 0
        self.needed = 0.0
        self.measured = 0
        self.samples = 0
        self.readings = 0
        self.losses: list[float] = []
        self.validations: list[tuple[float, float]] = []
        self._table = np.zeros((most, len(COLUMNS)), dtype=np.int64)

    def count(self, tally: Tally, wanted: int) -> None:
        """Put down a stream, and how many copies of each sample are measured."""
        self.copies += int(tally.attempted.sum())
        self.needed += tally.needed
        self.measured += wanted * len(tally.attempted)

    def close(self, step: int, cost: Cost, clock_ps: int) -> None:
        """Put down a step's costs; `copies` is the sum so far, as the clock is."""
        figures = {**vars(cost), "copies": self.copies, "clock_ps": clock_ps}
        self._table[step] = [figures[column] for column in COLUMNS]
        self.steps = step + 1

    @property
    def counts(self) -> Counts:
        return Counts(self.copies, self.needed, self.measured, self.samples, self.readings)

    def arrays(self) -> dict[str, Any]:
        """The fields of a `Course`."""
        told: dict[str, Any] = {"costs": self._table[: self.steps]}
        if self.losses:
            told["losses"] = np.array(self.losses)
            told["validations"] = np.array(self.validations).reshape(-1, 2)
        return told

    def restore(self, arrays: Mapping[str, NDArray[Any]], counts: Counts) -> None:
        """Go on from what `arrays` and `counts` told."""
        steps = self.steps = len(arrays["costs"])
        self.copies, self.needed, self.measured = counts.emitted, counts.needed, counts.measured
        self.samples, self.readings = counts.samples, counts.readings
        self._table[:steps] = arrays["costs"]
        self.losses = arrays["losses"].tolist() if "losses" in arrays else []
        if "validations" in arrays:
            self.validations = [(loss, accuracy) for loss, accuracy in arrays["validations"].tolist()]
