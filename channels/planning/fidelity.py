"""How well a register arrives, and what its crossing takes: a line's description worked out, not run.

*Which fidelity.* The entanglement fidelity: the register is maximally entangled with another that
stays, and F is the fidelity of both together given that the register arrived. The fidelity averaged
over pure states follows from it (`average_fidelity`).

*How.* Every crossing here is, qubit by qubit or block by block, a Pauli channel between stretches of
decay in memories. In the Pauli basis a Pauli channel is diagonal and decay is lower triangular with
the diagonal (1, e^(-t/T2), e^(-t/T2), e^(-t/T1)), so diagonals multiply, and F is the mean of the
product's diagonal. Only noise that is no Pauli channel is carried as superoperators.

*When.* As in a run of this one register, by the same rules (`timing.waits`). It is prepared just in time for its
first crossing; at the others it is there when it has arrived, and waits for what carries it on. No register is
before it, so the late copies of a batch may lose more fidelity: those that queue at a later crossing, and, with several
memory slots, those whose pairs come at different times. Waiting times of pairs are drawn by the same functions that a
run draws them with, so fidelities with memories that decay have a standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.delivery import deliver
from ketwire.channels.entanglement.distill import distill, plan
from ketwire.channels.entanglement.generation import generate
from ketwire.channels.entanglement.heralding import fresh_elements
from ketwire.channels.entanglement.local import crossing_weights
from ketwire.channels.entanglement.pairs import decayed_bell
from ketwire.channels.line import Line
from ketwire.channels.parts import Memory
from ketwire.channels.timing import Emission, waits
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.quantum.noise.kraus import PAULI_SIGNS, Kraus, decay, decay_diagonal

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

SAMPLES = 2000
"""Registers that are drawn where memories decay: F is known to 0.011 at worst."""

class Arrived(NamedTuple):
    """What one register of `qubits` is and took, once it has made all its crossings.

    fidelity, error: entanglement fidelity, and its standard error (0 where it is exact)
    busy_ps:  mean time that one crossing keeps the emitter, or the memory slots, of its direction
    pairs:    heralded pairs a crossing, those of distillation included
    attempts: attempts to make those, a crossing
    """

    fidelity: float
    error: float
    busy_ps: float
    pairs: float = 0.0
    attempts: float = 0.0


def arrived(line: Line, qubits: int, crossings: int, rng: np.random.Generator) -> Arrived:
    """A register after `crossings`, there and back in turn, given that it survives them.

    Raises:
        ScenarioError: pairs decay so fast that distillation makes none, or would pass the clock's end.
    """
    assert qubits > 0 and crossings > 0
    transport = line.transport
    back = replace(
        line, sender=line.receiver, receiver=line.sender,
        transport=transport.turned(line) if isinstance(transport, Teleport) else transport,
        sender_message_ps=line.receiver_message_ps, receiver_message_ps=line.sender_message_ps,
        sender_gates=line.receiver_gates, receiver_gates=line.sender_gates,
    )  # fmt: skip
    lines = [(line, back)[crossing % 2] for crossing in range(crossings)]
    if isinstance(line.transport, Teleport):
        perfect = line.sender.keeps_pairs and line.receiver.keeps_pairs
        if perfect:
            return _teleported(lines, line.transport, qubits)
        return _drawn(lines, line.transport.memory_slots, qubits, rng)
    work_out = _coded if isinstance(line.transport, Coded) else _direct
    return Arrived(work_out(lines, qubits), 0.0, line.time_ps(qubits))


def average_fidelity(fidelity: float, qubits: int) -> float:
    """Over all pure states of the register, from its entanglement fidelity: (d F + 1) / (d + 1)."""
    return (2.0**qubits * fidelity + 1.0) / (2.0**qubits + 1.0)


def _direct(lines: Sequence[Line], qubits: int) -> float:
    """Of all photons, each of which has a place of its own in the register's turn."""
    channel = lines[0].channel()
    if channel is not None and channel.pauli_weights is None:
        return _superoperated(lines, channel, qubits)
    flown: Floats = np.ones(4) if channel is None else PAULI_SIGNS @ np.asarray(channel.pauli_weights)
    diagonal = np.ones((qubits, 4))
    for line in lines:
        diagonal = diagonal * flown * _held(line, qubits)
    return float(diagonal.mean(axis=1).prod())


def _superoperated(lines: Sequence[Line], channel: Kraus, qubits: int) -> float:
    """The same where the noise in flight is no Pauli channel."""
    flown, whole = channel.superoperator(), 1.0
    held = [_emission(line, qubits).waits() for line in lines]
    for qubit in range(qubits):
        steps = []
        for line, (sender_ps, receiver_ps) in zip(lines, held, strict=True):
            before = decay(float(sender_ps[0, qubit]), *line.sender.constants).superoperator()
            after = decay(float(receiver_ps[0, qubit]), *line.receiver.constants).superoperator()
            steps += [before, flown, after]
        whole *= float(np.trace(reduce(lambda done, step: step @ done, steps)).real / 4.0)
    return whole


def _coded(lines: Sequence[Line], qubits: int) -> float:
    """Of all blocks, those not full among them: a block's spare qubits hold nothing."""
    transport = lines[0].transport
    assert isinstance(transport, Coded)
    width = transport.found().qubits_per_block
    signs: Floats = reduce(lambda whole, one: np.asarray(np.kron(whole, one)), [PAULI_SIGNS] * width)
    logical: Floats = np.ones(4**width)
    bare = np.ones((qubits, 4))
    for line in lines:
        logical = logical * (signs @ transport.channel(line).weights)
        bare = bare * _held(line, qubits)
    whole = 1.0
    for start in range(0, qubits, width):
        used = min(width, qubits - start)
        kept = reduce(np.multiply.outer, bare[start : start + used])
        here = logical.reshape((4,) * width)[(slice(None),) * used + (0,) * (width - used)]
        whole *= float((here * kept).mean())
    return whole


def _emission(line: Line, qubits: int) -> Emission:
    assert isinstance(line.transport, Direct | Coded)
    return line.transport.emission(line, qubits)


def _held(line: Line, qubits: int) -> Floats:
    """What the memories at both ends leave of each qubit while its register leaves and arrives; shape (n, 4)."""
    sender_ps, receiver_ps = _emission(line, qubits).waits()
    return _kept(sender_ps[0], line.sender) * _kept(receiver_ps[0], line.receiver)


def _kept(waited_ps: Times, memory: Memory) -> Floats:
    return decay_diagonal(waited_ps, *memory.constants)


def _teleported(lines: Sequence[Line], transport: Teleport, qubits: int) -> Arrived:
    """With memories that hold forever: in closed form."""
    line, scheme = lines[0], transport.pairs(lines[0])
    diagonal: Floats = np.ones(4)
    for each in lines:
        assert isinstance(each.transport, Teleport)
        diagonal = diagonal * (PAULI_SIGNS @ crossing_weights(each.transport.pair_bell(each), each))
    fidelity = float(diagonal.mean()) ** qubits
    pairs = 1.0 if transport.distillation is None else plan(scheme, transport.distillation, line.ends).pairs
    if transport.delivery is not None:
        # Attempts of a period end with success or with the period.
        pairs = transport.delivery.made(scheme, line.sender_gates.bell_whole_ps)
    attempts = pairs / scheme.success_probability
    return Arrived(fidelity, 0.0, line.time_ps(qubits), qubits * pairs, qubits * attempts)


def _drawn(lines: Sequence[Line], slots: int, qubits: int, rng: np.random.Generator) -> Arrived:
    """With memories that decay: over drawn registers, each with memory slots of its own."""
    diagonal = np.ones((SAMPLES, qubits, 4))
    costs = np.zeros(3)
    slots = min(slots, qubits * -(-len(lines) // 2))
    benches = [_Bench(np.zeros((SAMPLES, slots), dtype=np.int64)) for _ in range(2)]
    nothing, arrival_ps = np.zeros((SAMPLES, 1), dtype=np.int64), None
    for crossing, line in enumerate(lines):
        made = _pairs(line, qubits, benches[crossing % 2], nothing if arrival_ps is None else arrival_ps, rng)
        # Outcomes of a register's Bell measurements leave one after the other, in the order of readiness.
        gates = line.sender_gates
        outcomes_ps = np.sort(made.used_ps, axis=1) + gates.bell_whole_ps
        left_ps = outcomes_ps + np.arange(qubits, 0, -1) * line.fiber.sending_ps(2)
        whole_ps = left_ps.max(axis=1, keepdims=True) + line.corrected_ps
        gone_ps = made.used_ps + gates.bell_ps
        held = waits(gone_ps, gone_ps, whole_ps, arrival_ps, gates.bell_ps)
        diagonal *= crossing_weights(made.bell, line) @ PAULI_SIGNS
        diagonal *= _kept(held.sender_ps, line.sender) * _kept(held.receiver_ps, line.receiver)
        costs += np.array([made.busy_ps, made.pairs, made.attempts]) * qubits / len(lines)
        arrival_ps = whole_ps
    fidelities = diagonal.mean(axis=2).prod(axis=1)
    busy_ps, pairs, attempts = costs
    return Arrived(float(fidelities.mean()), float(fidelities.std() / math.sqrt(SAMPLES)), busy_ps, pairs, attempts)


class _Bench:
    """The memory slots of one direction, of drawn registers side by side.

    free_ps: int64, shape (samples, slots), when each slot is free
    turn: the slot that makes the next pair
    """

    def __init__(self, free_ps: Times) -> None:
        self.free_ps = free_ps
        self.turn = 0


class _Made(NamedTuple):
    """Pairs for drawn registers: when each begins to be used and what it then is, (samples, qubits, ...); means a pair.

    busy_ps: of a slot, for a pair, its use included
    """

    used_ps: Times
    bell: Floats
    busy_ps: float
    pairs: float
    attempts: float


def _pairs(line: Line, qubits: int, bench: _Bench, wanted_ps: Times, rng: np.random.Generator) -> _Made:
    """One pair for each qubit of each register, whose slots work in turn, as those of `machines.TeleportMachine`.

    Slot s of register r is slot r * slots + s of one large machine, which makes pairs in rounds, a slot a pair.

    wanted_ps: int64, shape (samples, 1), when each register is there
    """
    assert isinstance(line.transport, Teleport)
    transport = line.transport
    free_ps = np.roll(bench.free_ps, -bench.turn, axis=1)
    slots = min(free_ps.shape[1], qubits)  # of which the last round may leave some idle: their pairs are not used
    rounds = -(-qubits // slots)
    ready_ps = np.tile(np.repeat(wanted_ps[:, 0], slots), rounds)
    begin_ps = np.ascontiguousarray(free_ps[:, :slots]).ravel()
    (t1_a, t2_a), (t1_b, t2_b) = line.sender.constants, line.receiver.constants
    constants = {"t1_ps": (t1_a, t1_b), "t2_ps": (t2_a, t2_b)}
    gates = line.sender_gates
    herald_ps, used_ps, since_ps, six, pairs, attempts = _sourced(line, transport, ready_ps, begin_ps, rng)
    waited_ps = used_ps + gates.bell_ps - since_ps
    bell = decayed_bell(six, waited_ps, waited_ps, **constants)
    free_again_ps = used_ps + gates.bell_whole_ps
    begun_ps = np.concatenate([begin_ps, free_again_ps])[: len(herald_ps)]
    busy_ps = float((herald_ps - begun_ps).mean() + gates.bell_whole_ps) / transport.memory_slots
    if transport.delivery is not None:
        busy_ps = transport.delivery.every_ps / transport.memory_slots

    def by_register(values: NDArray[np.generic]) -> NDArray[np.generic]:
        turned = values.reshape(rounds, SAMPLES, slots, -1).swapaxes(0, 1)
        return turned.reshape(SAMPLES, rounds * slots, -1)[:, :qubits]

    used: Times = by_register(used_ps)[..., 0]  # type: ignore[assignment]
    free: Times = by_register(free_again_ps)[..., 0]  # type: ignore[assignment]
    # The last slots of all pairs of this register, in turn.
    last = np.arange(max(0, qubits - slots), qubits)
    free_ps[:, last % slots] = free[:, last]
    bench.free_ps = np.roll(free_ps, bench.turn, axis=1)
    bench.turn = (bench.turn + qubits) % free_ps.shape[1]
    return _Made(used, by_register(bell), busy_ps, pairs, attempts)  # type: ignore[arg-type]


def _sourced(
    line: Line, transport: Teleport, ready_ps: Times, begin_ps: Times, rng: np.random.Generator
) -> tuple[Times, Times, Times, Floats, float, float]:
    """Pairs as the link makes them: when each is there, when it is used, since when it waits, its elements; means."""
    (t1_a, t2_a), (t1_b, t2_b) = line.sender.constants, line.receiver.constants
    constants = {"t1_ps": (t1_a, t1_b), "t2_ps": (t2_a, t2_b)}
    scheme, use_ps, count = transport.pairs(line), line.sender_gates.bell_whole_ps, len(begin_ps)
    if transport.delivery is not None:
        got = deliver(ready_ps, scheme, transport.delivery, count, begin_ps, rng=rng, **constants, use_ps=use_ps)
        since_ps = got.release_ps - got.waits_ps
        means = float(got.made.mean()), float(got.attempts.mean())
        return got.release_ps, got.release_ps, since_ps, got.elements, *means
    if transport.distillation is None:
        fresh = generate(ready_ps, scheme, count, begin_ps, rng, use_ps)
        since_ps, six = fresh.herald_ps - scheme.age_ps, fresh_elements(scheme, **constants)
        return fresh.herald_ps, fresh.release_ps, since_ps, six, 1.0, float(fresh.attempts.mean())
    good = distill(
        ready_ps, scheme, transport.distillation, count, begin_ps, rng=rng, **constants,
        ends=line.ends, use_ps=use_ps, per_attempt=line.per_attempt,
    )  # fmt: skip
    means = float(good.pairs.mean()), float(good.attempts.mean())
    return good.herald_ps, good.release_ps, good.made_ps, good.elements, *means
