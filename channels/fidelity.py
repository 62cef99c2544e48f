"""How well a register arrives, and what its crossing takes: a line's description worked out, not run.

*Which fidelity.* The entanglement fidelity: the register is maximally entangled with another that
stays, and F is the fidelity of both together given that the register arrived. The fidelity averaged
over pure states follows from it (`average_fidelity`).

*How.* Every crossing here is, qubit by qubit or block by block, a Pauli channel between stretches of
decay in memories. In the Pauli basis a Pauli channel is diagonal and decay is lower triangular with
the diagonal (1, e^(-t/T2), e^(-t/T2), e^(-t/T1)), so diagonals multiply, and F is the mean of the
product's diagonal. Only noise that is no Pauli channel is carried as Kraus operators.

*When.* A register is prepared when its turn comes: it does not wait for those before it, as the late
copies of a batch do that is prepared at once. Waiting times of pairs are drawn by the very functions
that a run draws them with, so fidelities with memories that decay have a standard error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.heralding import Scheme
from ketwire.channels.line import Coded, Line, Memory, Teleport

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

SAMPLES = 2000
"""Registers that are drawn where memories decay: F is known to 0.011 at worst."""

# Which Pauli (row) anticommutes with which error (column): the diagonal of a Pauli channel in the Pauli basis.
_SIGNS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], dtype=np.float64)


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
    back = replace(
        line, sender=line.receiver, receiver=line.sender,
        sender_message_ps=line.receiver_message_ps, receiver_message_ps=line.sender_message_ps,
    )  # fmt: skip
    lines = [(line, back)[crossing % 2] for crossing in range(crossings)]
    if isinstance(line.transport, Teleport):
        perfect = line.sender.is_perfect and line.receiver.is_perfect
        return _teleported(line, line.transport, qubits, crossings) if perfect else _drawn(lines, qubits, rng)
    whole = _coded(lines, line.transport, qubits) if isinstance(line.transport, Coded) else _direct(line, crossings)
    return Arrived(whole if isinstance(line.transport, Coded) else whole**qubits, 0.0, line.time_ps(qubits))


def average_fidelity(fidelity: float, qubits: int) -> float:
    """Over all pure states of the register, from its entanglement fidelity: (d F + 1) / (d + 1)."""
    return (2.0**qubits * fidelity + 1.0) / (2.0**qubits + 1.0)


def _direct(line: Line, crossings: int) -> float:
    """Of one photon; it flies off as soon as its register is made and is used as soon as it is there."""
    channel = line.channel()
    if channel is None:
        return 1.0
    if channel.pauli_weights is not None:
        weights: Floats = np.asarray(channel.pauli_weights)
        return float(((_SIGNS @ weights) ** crossings).mean())
    whole = np.linalg.matrix_power(channel.superoperator(), crossings)
    return float(np.trace(whole).real / 4.0)


def _coded(lines: Sequence[Line], transport: Coded, qubits: int) -> float:
    """Of all blocks, those not full among them: a block's spare qubits hold nothing."""
    code = transport.found()
    width = code.qubits_per_block
    weights = code.logical_channel(lines[0].fiber.survival, lines[0].flight).weights
    signs: Floats = _SIGNS
    for _ in range(width - 1):
        signs = np.asarray(np.kron(signs, _SIGNS), dtype=np.float64)
    encoding_ps = np.array(code.encode_layers * transport.gate_ps, dtype=np.int64)
    diagonal = (signs @ weights).reshape((4,) * width) ** len(lines)
    for line in lines:
        kept = decay_diagonal(encoding_ps, line.sender)
        for qubit in range(width):
            diagonal = diagonal * kept.reshape([4 if axis == qubit else 1 for axis in range(width)])
    full, rest = divmod(qubits, width)
    last = diagonal[(slice(None),) * rest + (0,) * (width - rest)].mean()
    return float(diagonal.mean() ** full * last)


def _teleported(line: Line, transport: Teleport, qubits: int, crossings: int) -> Arrived:
    """With memories that hold for ever: in closed form."""
    from ketwire.channels.distill import plan  # noqa: PLC0415
    from ketwire.channels.pairs import pauli_of_teleportation  # noqa: PLC0415

    scheme = transport.pairs(line)
    weights: Floats = pauli_of_teleportation(transport.pair_bell(line))
    fidelity = float(((_SIGNS @ weights) ** crossings).mean()) ** qubits
    pairs = 1.0 if transport.distillation is None else plan(scheme, transport.distillation).pairs
    attempts = pairs / scheme.success_probability
    return Arrived(fidelity, 0.0, line.time_ps(qubits), qubits * pairs, qubits * attempts)


def _drawn(lines: Sequence[Line], qubits: int, rng: np.random.Generator) -> Arrived:
    """With memories that decay: over drawn registers, each with memory slots of its own."""
    from ketwire.channels.pairs import pauli_of_teleportation  # noqa: PLC0415

    diagonal = np.ones((SAMPLES, qubits, 4))
    costs = np.zeros(3)
    for line in lines:
        made = _pairs(line, qubits, rng)
        # Outcomes of a register's Bell measurements leave one after the other, in the order of readiness.
        after_ps = np.arange(qubits, 0, -1) * line.fiber.sending_ps(2)
        left_ps = (np.sort(made.used_ps, axis=1) + after_ps).max(axis=1, keepdims=True)
        arrival_ps = left_ps + line.message_ps
        diagonal *= pauli_of_teleportation(made.bell) @ _SIGNS
        diagonal *= decay_diagonal(made.used_ps, line.sender)
        diagonal *= decay_diagonal(arrival_ps - made.used_ps, line.receiver)
        costs += np.array([made.busy_ps, made.pairs, made.attempts]) * qubits / len(lines)
    fidelities = diagonal.mean(axis=2).prod(axis=1)
    busy_ps, pairs, attempts = costs
    return Arrived(float(fidelities.mean()), float(fidelities.std() / math.sqrt(SAMPLES)), busy_ps, pairs, attempts)


class _Made(NamedTuple):
    """Pairs for drawn registers: when each is used and what it then is, (samples, qubits, ...); means a pair."""

    used_ps: Times
    bell: Floats
    busy_ps: float
    pairs: float
    attempts: float


def _pairs(line: Line, qubits: int, rng: np.random.Generator) -> _Made:
    """Registers side by side, wanted at 0: slot s of register r is slot r * slots + s of one large bench."""
    from ketwire.channels.distill import distill  # noqa: PLC0415
    from ketwire.channels.generation import generate  # noqa: PLC0415
    from ketwire.channels.pairs import decayed_bell, elements, elements_of_bell  # noqa: PLC0415

    assert isinstance(line.transport, Teleport)
    transport = line.transport
    slots = min(transport.memory_slots, qubits)
    rounds = -(-qubits // slots)
    bench = SAMPLES * slots
    ready_ps, free_ps = np.zeros(rounds * bench, dtype=np.int64), np.zeros(bench, dtype=np.int64)
    (t1_a, t2_a), (t1_b, t2_b) = line.sender.constants, line.receiver.constants
    constants = {"t1_ps": (t1_a, t1_b), "t2_ps": (t2_a, t2_b)}
    scheme: Scheme = transport.pairs(line)
    if transport.distillation is None:
        fresh = generate(ready_ps, scheme, bench, free_ps, rng)
        used_ps, end_ps = fresh.release_ps, fresh.free_ps
        since_ps, six = fresh.herald_ps - scheme.age_ps, elements(scheme.state())
        pairs, attempts = 1.0, float(fresh.attempts.mean())
    else:
        good = distill(ready_ps, scheme, transport.distillation, bench, free_ps, rng=rng, **constants)
        used_ps, end_ps = good.release_ps, good.free_ps
        since_ps, six = good.made_ps, elements_of_bell(good.bell)
        pairs, attempts = float(good.pairs.mean()), float(good.attempts.mean())
    waited_ps = used_ps - since_ps
    bell = decayed_bell(six, waited_ps, waited_ps, **constants)

    def by_register(values: NDArray[np.generic]) -> NDArray[np.generic]:
        turned = values.reshape(rounds, SAMPLES, slots, -1).swapaxes(0, 1)
        return turned.reshape(SAMPLES, rounds * slots, -1)[:, :qubits]

    busy_ps = float(end_ps.mean()) / rounds / transport.memory_slots
    return _Made(by_register(used_ps)[..., 0], by_register(bell), busy_ps, pairs, attempts)  # type: ignore[arg-type]


def decay_diagonal(waited_ps: Times, memory: Memory) -> Floats:
    """What waiting leaves of I, X, Y, Z; int64 (...) in, float64 (..., 4) out."""
    t1_ps, t2_ps = memory.constants
    relaxed, dephased = np.exp(-waited_ps / t1_ps), np.exp(-waited_ps / t2_ps)
    return np.stack([np.ones_like(relaxed), dephased, dephased, relaxed], axis=-1)
