"""The machine of the transport `teleport`: memory slots that make pairs, and registers that use them up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.channels.entanglement.delivery import deliver
from ketwire.channels.entanglement.distill import distill
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.heralding import fresh_elements
from ketwire.channels.entanglement.local import crossing_weights
from ketwire.channels.entanglement.pairs import bell_diagonal, decayed_bell
from ketwire.channels.lane import ClassicalLane
from ketwire.channels.line import Line
from ketwire.channels.machines import Draw, Passage, Times, hold_drawn
from ketwire.channels.timing import waits
from ketwire.channels.transports import Teleport
from ketwire.channels.ways import Paired
from ketwire.quantum.noise.representations import apply_paulis, unharmed


class TeleportMachine:
    """Memory slots that make pairs, which registers consume qubit by qubit, in order."""

    def __init__(self, line: Line, transport: Teleport) -> None:
        self.line, self.transport = line, transport
        self.scheme = transport.pairs(line)
        self.free_ps: Times = np.zeros(transport.memory_slots, dtype=np.int64)
        self.number = 0  # of pairs so far: the next one's slot
        self.lane = ClassicalLane(line.fiber)

    @cached_property
    def remembers(self) -> bool:
        """Whether neither memory decays."""
        return self.line.sender.is_perfect and self.line.receiver.is_perfect

    @property
    def _delivers(self) -> bool:
        """Whether pairs are handed over at deadlines."""
        return self.scheme is not None and self.transport.delivery is not None

    @cached_property
    def fresh(self) -> NDArray[np.float64]:
        """`elements` of a pair as its scheme makes it, `age_ps` before its herald, float64, shape (6,)."""
        (t1_a, t2_a), (t1_b, t2_b) = self.line.sender.constants, self.line.receiver.constants
        return fresh_elements(self.scheme, (t1_a, t1_b), (t2_a, t2_b))

    @cached_property
    def fresh_weights(self) -> NDArray[np.float64]:
        """The Pauli channel through such a pair that has not decayed, float64, shape (4,).

        Where pairs are handed over at deadlines it is the mean over those that were made and the others.
        """
        if self._delivers:
            return crossing_weights(self.transport.pair_bell(self.line), self.line)
        return crossing_weights(bell_diagonal(self.scheme.state()), self.line)

    @property
    def busy_until_ps(self) -> int:
        return int(self.free_ps.max())

    def snapshot(self) -> dict[str, Any]:
        return {"free_ps": self.free_ps.tolist(), "number": self.number}

    def restore(self, saved: Mapping[str, Any]) -> None:
        free_ps = np.array(saved["free_ps"], dtype=np.int64)
        if free_ps.shape != self.free_ps.shape:
            raise ValueError(f"free_ps: {len(free_ps)} slots given, expected {len(self.free_ps)}")
        self.free_ps, self.number = free_ps, int(saved["number"])

    def carry(
        self, states: States, row: Times, ready_ps: Times, turn_ps: Times, fresh: bool, draw: Draw
    ) -> Passage:
        copies, qubits = len(row), states.shape[1].bit_length() - 1
        way, waits_ps, six, pairs, attempts = self._pairs(np.repeat(turn_ps, qubits), draw("pairs"))
        # The outcome of each Bell measurement travels to the receiver, which holds the qubit until it is corrected.
        way = way._replace(left_ps=self.lane.serve(way.outcome_ps, 2))
        corrected_ps = way.left_ps.reshape(copies, qubits) + self.line.corrected_ps
        arrival_ps = corrected_ps.max(axis=1, initial=0)
        if copies:
            weights = self._weights(six, waits_ps, copies)
            if self.remembers:
                states, row = _crossed(states, row, weights, draw)
            else:
                bell_ps = self.line.sender_gates.bell_ps
                gone_ps = way.release_ps.reshape(copies, qubits) + bell_ps
                # A fresh register exists from when the first of its pairs is there; the others let it wait.
                held = waits(gone_ps, gone_ps, arrival_ps[:, None], None if fresh else ready_ps[:, None], bell_ps)
                states, row = hold_drawn(self.line.sender, states, row, held.sender_ps, draw, "memory")
                states, row = _crossed(states, row, weights, draw)
                states, row = hold_drawn(self.line.receiver, states, row, held.receiver_ps, draw, "waiting")
        photons = 0 if isinstance(self.scheme, Given) else 2 * attempts
        crossed = copies * qubits
        lost = np.zeros(copies, dtype=np.bool_)
        return Passage(states, row, arrival_ps, lost, photons, crossed, pairs, 2 * crossed, way)

    def _weights(self, six: NDArray[np.float64], waits_ps: Times, copies: int) -> NDArray[np.float64]:
        """The Pauli channel that each qubit of each copy meets, (copies, n, 4), or one for all of them, (4,)."""
        if self.remembers and (six.ndim == 1 or self._delivers):  # all are as the scheme makes them
            return self.fresh_weights
        (t1_a, t2_a), (t1_b, t2_b) = self.line.sender.constants, self.line.receiver.constants
        bell = decayed_bell(six, waits_ps, waits_ps, (t1_a, t1_b), (t2_a, t2_b))
        return crossing_weights(bell, self.line).reshape(copies, -1, 4)

    def _pairs(
        self, ready_ps: Times, rng: np.random.Generator
    ) -> tuple[Paired, Times, NDArray[np.float64], int, int]:
        """A pair for each qubit: its times, how long it waited until it was used, what it was, and what all cost."""
        # Slots go on in turn where the batch before ended.
        turn, gates = self.number % len(self.free_ps), self.line.sender_gates
        free_ps = _from(self.free_ps, turn)
        self.number += len(ready_ps)
        if self._delivers:
            return self._delivered(ready_ps, free_ps, turn, rng)
        if self.transport.distillation is None:
            made = generate(ready_ps, self.scheme, len(free_ps), free_ps, rng, gates.bell_whole_ps)
            since_ps, six = made.herald_ps - self.scheme.age_ps, self.fresh
            pairs, attempts_ps = len(ready_ps), made.attempts * self.scheme.attempt_ps
            making_ps = attempts_ps + self.scheme.lag_ps
        else:
            (t1_a, t2_a), (t1_b, t2_b) = self.line.sender.constants, self.line.receiver.constants
            good = distill(
                ready_ps, self.scheme, self.transport.distillation, len(free_ps), free_ps,
                t1_ps=(t1_a, t1_b), t2_ps=(t2_a, t2_b), ends=self.line.ends, use_ps=gates.bell_whole_ps, rng=rng,
                per_attempt=self.line.per_attempt,
            )  # fmt: skip
            since_ps, six, pairs = good.made_ps, good.elements, int(good.pairs.sum())
            made, making_ps = good, good.making_ps  # type: ignore[assignment]
            attempts_ps = good.attempts * self.scheme.attempt_ps
        self.free_ps = _from(made.free_ps, len(free_ps) - turn)
        outcome_ps = made.release_ps + gates.bell_whole_ps
        way = Paired(ready_ps, making_ps, attempts_ps, made.release_ps, outcome_ps, outcome_ps, len(free_ps))
        return way, made.release_ps + gates.bell_ps - since_ps, six, pairs, int(made.attempts.sum())


    def _delivered(
        self, ready_ps: Times, free_ps: Times, turn: int, rng: np.random.Generator
    ) -> tuple[Paired, Times, NDArray[np.float64], int, int]:
        """The same with pairs that are handed over at deadlines."""
        delivery, gates = self.transport.delivery, self.line.sender_gates
        assert delivery is not None
        (t1_a, t2_a), (t1_b, t2_b) = self.line.sender.constants, self.line.receiver.constants
        got = deliver(
            ready_ps, self.scheme, delivery, len(free_ps), free_ps,
            t1_ps=(t1_a, t1_b), t2_ps=(t2_a, t2_b), rng=rng, use_ps=gates.bell_whole_ps,
        )  # fmt: skip
        self.free_ps = _from(got.free_ps, len(free_ps) - turn)
        outcome_ps, at_once_ps = got.release_ps + gates.bell_whole_ps, np.zeros_like(ready_ps)
        way = Paired(ready_ps, got.making_ps, at_once_ps, got.release_ps, outcome_ps, outcome_ps, len(free_ps))
        return way, got.waits_ps + gates.bell_ps, got.elements, int(got.made.sum()), int(got.attempts.sum())


def _crossed(states: States, row: Times, weights: NDArray[np.float64], draw: Draw) -> tuple[States, Times]:
    """The errors that qubits meet, with a stream that is made only where it is drawn from."""
    if weights.ndim == 1 and not weights[1:].any():
        return unharmed(states, row)
    return apply_paulis(states, row, weights, draw("noise"))


def _from(values: Times, place: int) -> Times:
    """The same values, those before `place` behind the others; the same array where none is."""
    return np.concatenate([values[place:], values[:place]]) if place % len(values) else values
