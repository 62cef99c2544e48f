"""What carries registers: the transports of `channels.line` at work.

A machine has the state that one direction has, when its emitter or its memory slots are free, and gets
living copies alone. All randomness comes from streams that the direction names. Losses and waiting
times are drawn; so are errors on pure states, while mixed states meet their exact average.

Fresh copies are prepared just in time: their maker lets them begin when the first of their qubits can
leave, so until then nothing decays. While the others leave one after the other, what has not left yet
waits in the sender's memory and what has arrived in the receiver's (`timing.waits`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import InStep, States
from ketwire.channels.eve import Eavesdropper, InterceptResend
from ketwire.channels.lane import ClassicalLane
from ketwire.channels.line import Line
from ketwire.channels.parts import Memory
from ketwire.channels.timing import emission, serve, serve_in_step, waits
from ketwire.channels.transports import Coded, Teleport
from ketwire.channels.ways import Paired
from ketwire.quantum.grid import significant_one
from ketwire.quantum.sampling import successes

if TYPE_CHECKING:
    from ketwire.quantum.noise.kraus import Kraus

Times = NDArray[np.int64]
Draw = Callable[[str], np.random.Generator]


class Passage(NamedTuple):
    """What became of k living copies.

    states, row: as the receiver gets them; the same array objects that came in where nothing touched them
    arrival_ps:  int64, shape (k,), when each is whole at the receiver, or its loss is heralded there
    lost:        bool, shape (k,)
    qubits_sent: every photon emitted, those of failed attempts and of codes included
    qubits_delivered: `direct`: photons that arrived; otherwise the qubits of the registers that arrived
    ebits:       pairs consumed, those of distillation included
    control_bits: Bell outcomes, and heralds to the sender
    way: the times of the pairs, where there are any
    """

    states: States
    row: Times
    arrival_ps: Times
    lost: NDArray[np.bool_]
    qubits_sent: int
    qubits_delivered: int
    ebits: int
    control_bits: int
    way: Paired | None = None


class Machine(Protocol):
    """A transport of one direction at work."""

    @property
    def busy_until_ps(self) -> int:
        """When it is free again, for the last of what it carried so far."""
        ...

    def carry(
        self, states: States, row: Times, ready_ps: Times, turn_ps: Times, fresh: bool, draw: Draw
    ) -> Passage:
        """Carry living copies.

        ready_ps: int64, shape (copies,), since when each is there and decays; fresh ones do not
        turn_ps: int64, shape (copies,), from when on each can leave
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """All that it remembers, as JSON values."""
        ...

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Be as `snapshot` found it."""
        ...


class DirectMachine:
    """An emitter that puts one qubit in each time bin, 1/rate long, one register after the other.

    Qubits wait for their bin in the sender's memory, and for the last of their register in the receiver's. One
    lost qubit kills its copy: an empty bin at a known time, so the receiver knows at once.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.flight = line.channel()
        self.free_ps = 0
        self.eve = None if line.eve is None else Eavesdropper(line.eve, line.fiber)

    @property
    def busy_until_ps(self) -> int:
        return self.free_ps

    def snapshot(self) -> dict[str, Any]:
        return {"free_ps": self.free_ps, "eve": None if self.eve is None else self.eve.snapshot()}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.free_ps = int(saved["free_ps"])
        if self.eve is not None:
            self.eve.restore(saved["eve"])

    def carry_in_step(self, batch: InStep) -> InStep | None:
        """The same for a batch told by numbers, over a line that loses and touches nothing; None if it cannot be."""
        states, copies, first_ps, step_ps = batch
        service_ps = (states.shape[1].bit_length() - 1) * self.line.fiber.bin_ps
        done = serve_in_step(first_ps, step_ps, copies, service_ps, self.free_ps)
        if done is None:
            return None
        self.free_ps = done[0] + done[1] * (copies - 1)
        return InStep(states, copies, done[0] + self.line.fiber.delay_ps, done[1])

    def carry(
        self, states: States, row: Times, ready_ps: Times, turn_ps: Times, fresh: bool, draw: Draw
    ) -> Passage:
        fiber, copies = self.line.fiber, len(row)
        qubits = states.shape[1].bit_length() - 1
        service_ps = qubits * fiber.bin_ps
        done_ps = serve(turn_ps, service_ps, self.free_ps)
        if copies:
            self.free_ps = int(done_ps[-1])
        survival = self.line.photon_survival
        arrived = (
            np.full(copies, qubits)
            if survival >= 1.0
            else successes(qubits, significant_one(survival), copies, draw("loss"))
        )
        lost = arrived < qubits

        whole = np.flatnonzero(~lost) if self.line.touches_states else None
        passed = states
        if whole is not None:
            alike = fresh or self.line.sender.is_perfect
            held = emission(qubits, fiber.bin_ps).waits(None if alike else done_ps - service_ps - ready_ps)

            def leave(which: Times, purpose: str) -> tuple[States, Times]:
                waits_ps = held.sender_ps if alike else held.sender_ps[which]
                return _hold(self.line.sender, states, row[which], waits_ps, draw, purpose)

            batch = leave(whole, "memory")
            if self.eve is not None and isinstance(self.eve.attack, InterceptResend):
                batch = self.eve.resend(batch, arrived, whole, lambda gone: leave(gone, "eve memory"), draw)
            batch = disturb(*batch, self.flight, draw("noise"))
            passed, kept = _hold(self.line.receiver, *batch, held.receiver_ps, draw, "waiting")
            row = np.zeros_like(row)
            row[whole] = kept
        if self.eve is not None and not isinstance(self.eve.attack, InterceptResend):
            self.eve.tap(arrived, qubits, draw)
        heralds = copies if survival < 1.0 else 0
        arrival_ps = done_ps + fiber.delay_ps
        return Passage(passed, row, arrival_ps, lost, copies * qubits, int(arrived.sum()), 0, heralds)


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

    @cached_property
    def fresh(self) -> NDArray[np.float64]:
        """`elements` of a pair as its scheme makes it, float64, shape (6,)."""
        from ketwire.channels.entanglement.pairs import elements  # noqa: PLC0415

        return elements(self.scheme.state())

    @cached_property
    def fresh_weights(self) -> NDArray[np.float64]:
        """The Pauli channel through such a pair that has not decayed, float64, shape (4,)."""
        from ketwire.channels.entanglement.local import crossing_weights  # noqa: PLC0415
        from ketwire.channels.entanglement.pairs import bell_diagonal  # noqa: PLC0415

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
        from ketwire.channels.entanglement.heralding import Given  # noqa: PLC0415
        from ketwire.quantum.noise.representations import apply_paulis  # noqa: PLC0415

        copies, qubits = len(row), states.shape[1].bit_length() - 1
        way, waits_ps, six, pairs, attempts = self._pairs(np.repeat(turn_ps, qubits), draw("pairs"))
        # The outcome of each Bell measurement travels to the receiver, which holds the qubit until it is corrected.
        way = way._replace(left_ps=self.lane.serve(way.outcome_ps, 2))
        corrected_ps = way.left_ps.reshape(copies, qubits) + self.line.corrected_ps
        arrival_ps = corrected_ps.max(axis=1, initial=0)
        if copies:
            weights = self._weights(six, waits_ps, copies)
            if self.remembers:
                states, row = apply_paulis(states, row, weights, draw("noise"))
            else:
                bell_ps = self.line.sender_gates.bell_ps
                gone_ps = way.release_ps.reshape(copies, qubits) + bell_ps
                # A fresh register exists from when the first of its pairs is there; the others let it wait.
                held = waits(gone_ps, gone_ps, arrival_ps[:, None], None if fresh else ready_ps[:, None], bell_ps)
                states, row = _hold(self.line.sender, states, row, held.sender_ps, draw, "memory")
                states, row = apply_paulis(states, row, weights, draw("noise"))
                states, row = _hold(self.line.receiver, states, row, held.receiver_ps, draw, "waiting")
        photons = 0 if isinstance(self.scheme, Given) else 2 * attempts
        crossed = copies * qubits
        lost = np.zeros(copies, dtype=np.bool_)
        return Passage(states, row, arrival_ps, lost, photons, crossed, pairs, 2 * crossed, way)

    def _weights(self, six: NDArray[np.float64], waits_ps: Times, copies: int) -> NDArray[np.float64]:
        """The Pauli channel that each qubit of each copy meets, (copies, n, 4), or one for all of them, (4,)."""
        from ketwire.channels.entanglement.local import crossing_weights  # noqa: PLC0415
        from ketwire.channels.entanglement.pairs import decayed_bell  # noqa: PLC0415

        if self.remembers and six.ndim == 1:  # all are as the scheme makes them
            return self.fresh_weights
        (t1_a, t2_a), (t1_b, t2_b) = self.line.sender.constants, self.line.receiver.constants
        bell = decayed_bell(six, waits_ps, waits_ps, (t1_a, t1_b), (t2_a, t2_b))
        return crossing_weights(bell, self.line).reshape(copies, -1, 4)

    def _pairs(
        self, ready_ps: Times, rng: np.random.Generator
    ) -> tuple[Paired, Times, NDArray[np.float64], int, int]:
        """A pair for each qubit: its times, how long it waited until it was used, what it was, and what all cost."""
        from ketwire.channels.entanglement.distill import distill  # noqa: PLC0415
        from ketwire.channels.entanglement.generation import generate  # noqa: PLC0415

        # Slots go on in turn where the batch before ended.
        turn, gates = self.number % len(self.free_ps), self.line.sender_gates
        free_ps = _from(self.free_ps, turn)
        self.number += len(ready_ps)
        if self.transport.distillation is None:
            made = generate(ready_ps, self.scheme, len(free_ps), free_ps, rng, gates.bell_whole_ps)
            since_ps, six = made.herald_ps - self.scheme.age_ps, self.fresh
            pairs, making_ps = len(ready_ps), made.attempts * self.scheme.attempt_ps
            attempts_ps = making_ps
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


def _from(values: Times, place: int) -> Times:
    """The same values, those before `place` behind the others."""
    return np.concatenate([values[place:], values[:place]])


class CodedMachine:
    """An encoder, which works in parallel on registers that are ready, and the emitter behind it.

    Qubits are encoded just in time and decoded as soon as their block is whole: those of other blocks wait bare.
    What a block's photons meet while they wait for each other is in its logical channel.
    """

    def __init__(self, line: Line, transport: Coded) -> None:
        self.line, self.transport = line, transport
        self.code = transport.found()
        self.photon = transport.photon_weights(line)
        self.free_ps = 0

    @property
    def busy_until_ps(self) -> int:
        return self.free_ps

    def snapshot(self) -> dict[str, Any]:
        return {"free_ps": self.free_ps}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.free_ps = int(saved["free_ps"])

    def carry(
        self, states: States, row: Times, ready_ps: Times, turn_ps: Times, fresh: bool, draw: Draw
    ) -> Passage:
        copies, qubits = len(row), states.shape[1].bit_length() - 1
        blocks, fiber = self.transport.blocks(qubits), self.line.fiber
        photons = blocks * self.code.physical_per_block
        service_ps = photons * fiber.bin_ps
        turn = self.transport.emission(self.line, qubits)
        done_ps = serve(turn_ps + turn.lead_ps, service_ps, self.free_ps)
        if copies:
            self.free_ps = int(done_ps[-1])
        sample = self.code.sample(copies * blocks, fiber.survival, self.photon, draw("blocks"))
        lost = np.asarray(sample.failed.reshape(copies, blocks).any(axis=1))
        whole = np.flatnonzero(~lost)
        alike = fresh or self.line.sender.is_perfect
        held = turn.waits(None if alike else (done_ps - service_ps - ready_ps)[whole])
        states, kept = _hold(self.line.sender, states, row[whole], held.sender_ps, draw, "memory")
        logical = sample.logical.reshape(copies, blocks * self.code.qubits_per_block)  # of no copy at all, too
        states, kept = self._decode(states, kept, logical[whole, :qubits], draw)
        states, kept = _hold(self.line.receiver, states, kept, held.receiver_ps, draw, "waiting")
        row = np.zeros_like(row)
        row[whole] = kept
        arrival_ps = done_ps + fiber.delay_ps
        heralds = copies if self.line.survival(1) < 1.0 else 0
        return Passage(states, row, arrival_ps, lost, copies * photons, len(whole) * qubits, 0, heralds)

    def _decode(self, states: States, row: Times, logical: Times, draw: Draw) -> tuple[States, Times]:
        """What decoding leaves on registers that arrived: the errors drawn, or on mixed states their average.

        logical: int64, shape (copies, n), which Pauli each qubit met.
        """
        from ketwire.quantum.noise.mixtures import apply_joint_paulis  # noqa: PLC0415
        from ketwire.quantum.noise.representations import apply_paulis, is_mixed  # noqa: PLC0415

        if not is_mixed(states):
            # Certain weights put the errors on the states.
            return apply_paulis(states, row, np.eye(4)[logical], draw("noise")) if logical.any() else (states, row)
        channel, qubits = self.code.logical_channel(self.line.fiber.survival, self.photon), logical.shape[1]
        width = channel.qubits_per_block
        for start in range(0, qubits, width):
            # A last block may hold fewer qubits: the errors of its unused ones are summed over.
            here = range(start, min(start + width, qubits))
            weights = channel.weights.reshape(4 ** len(here), -1).sum(axis=1)
            states, row = apply_joint_paulis(states, row, weights, here)
        return states, row


def disturb(
    states: States, row: NDArray[np.int64], channel: Kraus | None, rng: np.random.Generator
) -> tuple[States, NDArray[np.int64]]:
    """A channel on every qubit of every copy; the same array objects where nothing happened."""
    if channel is None or len(row) == 0:
        return states, row
    from ketwire.quantum.noise.representations import apply_channel, apply_paulis  # noqa: PLC0415

    if channel.pauli_weights is not None:
        return apply_paulis(states, row, channel.pauli_weights, rng)
    qubits = states.shape[1].bit_length() - 1
    return apply_channel(states, row, channel, range(qubits), rng)


def _hold(
    memory: Memory, states: States, row: NDArray[np.int64], waits_ps: NDArray[np.int64], draw: Draw, purpose: str
) -> tuple[States, NDArray[np.int64]]:
    """`hold` with a stream that is made only where it is drawn from."""
    return (states, row) if memory.is_perfect else hold(memory, states, row, waits_ps, draw(purpose))


def hold(
    memory: Memory, states: States, row: NDArray[np.int64], waits_ps: NDArray[np.int64], rng: np.random.Generator
) -> tuple[States, NDArray[np.int64]]:
    """Let registers wait in a memory; the same array objects where nothing happened.

    waits_ps: int64, shape (copies, n), how long each qubit of each copy waits; an axis of length 1
        stands for all copies, or for all qubits.
    """
    if memory.is_perfect or len(row) == 0 or not waits_ps.any():
        return states, row
    from ketwire.quantum.noise.kraus import decay_parameters  # noqa: PLC0415
    from ketwire.quantum.noise.representations import apply_decay, apply_paulis  # noqa: PLC0415

    qubits = states.shape[1].bit_length() - 1
    gamma, p_z = decay_parameters(np.broadcast_to(waits_ps, (len(waits_ps), qubits)), *memory.constants)
    if not gamma.any():
        weights = np.zeros((*p_z.shape, 4))
        weights[..., 0], weights[..., 3] = 1.0 - p_z, p_z
        return apply_paulis(states, row, weights, rng)
    return apply_decay(states, row, gamma, p_z, rng)
