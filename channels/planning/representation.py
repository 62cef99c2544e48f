"""Which representation the copies of a run take, decided by its plan alone, before it starts.

Trajectories draw the errors of each copy, and copies that met the same ones share a row; density
matrices average over them, one row for all copies that met the same channels. So density pays where all
copies meet the same channels and would be torn into more trajectories than a density matrix has columns.

*How many trajectories.* The history h of a copy is what happened to each of its qubits at each crossing, a
product distribution π. Of K copies, a history is among the rows with probability 1 - (1 - π(h))^K, so
E[rows] = Σ_h 1 - (1 - π(h))^K = E_h~π [(1 - (1 - π(h))^K) / π(h)],
an expectation over ln π(h), which is a sum of independent terms: its distribution is convolved place by
place. That is exact for Pauli errors. How likely other operators act depends on the state, which no plan
knows; they are weighted as on a maximally mixed qubit, Tr(K†K) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_MIXED_QUBITS
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.eve import InterceptResend
from ketwire.channels.hardware import Hardware
from ketwire.channels.parts import Memory
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.transports import Coded, Direct, Teleport

Representation = Literal["trajectories", "density"]
Floats = NDArray[np.float64]

NO_NODES: Mapping[str, Hardware] = MappingProxyType({})
UNSHARED_OCTETS = 1 << 30  # of density matrices that no two copies share, in a whole run
_NEGLIGIBLE = 40.0  # nats below 1/K from which a history is that of one copy at most: then K histories are rows
_ALIKE = 1e-9  # nats within which two likelihoods are one
_MANY, _BIN = 1 << 16, 5e-3  # where there are more of them to sort, they are taken together in bins of so many nats


def chosen(
    crossings: Sequence[Crossing], qubits: int, copies: int, nodes: Mapping[str, Hardware] = NO_NODES
) -> Representation:
    """What `auto` stands for: density where it needs fewer columns than trajectories are expected to have rows.

    Args:
        crossings: of the path, in order.
        qubits: of the register.
        copies: that travel together, in one batch.
        nodes: hardware of the parties on the path, by name.
    """
    # There are no more trajectories than copies.
    torn = differing(crossings, nodes) or _intercepted(crossings) or _foreign(crossings)
    if qubits > MAX_MIXED_QUBITS or copies <= 1 << qubits or torn:
        return "trajectories"
    return "density" if expected_rows(crossings, copies, 1 << qubits) > 1 << qubits else "trajectories"


def refusal(
    crossings: Sequence[Crossing], qubits: int, copies: int, nodes: Mapping[str, Hardware] = NO_NODES
) -> str | None:
    """Why density matrices cannot carry `copies` measured copies, or None where they can."""
    if qubits > MAX_MIXED_QUBITS:
        return f"a register of {qubits} qubits, expected at most {MAX_MIXED_QUBITS}; or trajectories"
    intercepted = _intercepted(crossings)
    if intercepted is not None:
        return f"an eavesdropper on {intercepted} who measures copy by copy, expected none; or trajectories"
    foreign = _foreign(crossings)
    if foreign is not None:
        return f"{foreign}, whose engine carries pure states alone, expected the built-in one; or trajectories"
    where, octets = differing(crossings, nodes), copies * (16 << 2 * qubits)
    if where is not None and octets > UNSHARED_OCTETS:
        most = UNSHARED_OCTETS // (16 << 2 * qubits)
        return (
            f"copies that wait in the memories of {where}, each for a time of its own, and share no matrix: {copies} "
            f"of {qubits} qubits take {octets:.1e} octets, expected at most {UNSHARED_OCTETS:.1e} ({most} copies); "
            "or trajectories"
        )
    return None


def _foreign(crossings: Sequence[Crossing]) -> str | None:
    """The first link whose physics another engine does, None where there is none."""
    return next((each.link for each in crossings if each.line.engine != "builtin"), None)


def _intercepted(crossings: Sequence[Crossing]) -> str | None:
    """The first link on which somebody measures some of the copies, None where there is none."""
    return next((each.link for each in crossings if isinstance(each.line.eve, InterceptResend)), None)


def differing(crossings: Sequence[Crossing], nodes: Mapping[str, Hardware] = NO_NODES) -> str | None:
    """The first node or link whose channel differs from copy to copy, None where all copies meet the same ones.

    That is where a memory decays and copies wait in it for times of their own: for pairs, or for an
    emitter that takes time, or for one that takes none after random times on a link before. The first crossing
    is that of fresh copies, which wait for no emitter. How long a qubit waits while the others of its register
    leave and arrive is the same for all copies.
    """
    for name, hardware in nodes.items():  # copies wait for their turn, each as long as it takes
        if hardware.takes_time and not hardware.memory.is_perfect:
            return name
    random_times = any(isinstance(crossing.line.transport, Teleport | Chain) for crossing in crossings)
    for number, crossing in enumerate(crossings):
        line = crossing.line
        if isinstance(line.transport, Teleport | Chain):
            decays = not (line.sender.keeps_pairs and line.receiver.keeps_pairs)
            decays |= isinstance(line.transport, Chain) and not line.transport.remembers
        else:
            decays = number > 0 and not line.sender.is_perfect and (line.fiber.bin_ps > 0 or random_times)
        if decays:
            return crossing.link
    return None


def expected_rows(crossings: Sequence[Crossing], copies: int, enough: float = math.inf) -> float:
    """Expected number of distinct trajectories of `copies` copies that arrive, all channels being alike for them.

    Stops where the number passes `enough`, as more places only add to it.
    """
    logs, mass, rows = np.zeros(1), np.ones(1), float(copies > 0)
    lowest = -math.log(max(copies, 1)) - _NEGLIGIBLE
    for weights in _places(crossings):
        likely = weights[weights > 0.0]
        logs, mass = _convolved(logs, mass, likely, lowest)
        rows = float(mass @ (-np.expm1(copies * _log_other(logs)) / np.exp(logs)))
        if rows > enough:
            break
    return rows


def _log_other(logs: Floats) -> Floats:
    """ln(1 - π) from ln π, without cancellation at either end; finite where π is 1."""
    near = np.log(-np.expm1(np.minimum(logs, -1e-300)))
    return np.asarray(np.where(logs > -0.5, near, np.log1p(-np.exp(np.minimum(logs, -0.5)))))


def _convolved(logs: Floats, mass: Floats, weights: Floats, lowest: float) -> tuple[Floats, Floats]:
    """The distribution of ln π after one more place; `mass` is that of all histories of one ln π."""
    sums = np.maximum(logs[:, None] + np.log(weights), lowest).ravel()
    masses = (mass[:, None] * weights).ravel()
    if len(sums) > _MANY:
        # Many different branches would make more and more different sums, so they go into bins.
        merged: Floats = np.bincount(np.rint((sums - lowest) / _BIN).astype(np.int64), masses).astype(np.float64)
        filled = np.flatnonzero(merged)
        return np.asarray(lowest + filled * _BIN, dtype=np.float64), merged[filled]
    alike, which = np.unique(np.round(sums / _ALIKE), return_inverse=True)
    merged = np.bincount(which.ravel(), masses).astype(np.float64)
    return alike * _ALIKE, merged


def _places(crossings: Sequence[Crossing]) -> Iterator[Floats]:
    """For each place where something can happen to a copy, the probabilities of all that can happen."""
    from ketwire.channels.entanglement.local import crossing_weights  # noqa: PLC0415

    for crossing in crossings:
        line, qubits = crossing.line, crossing.qubits
        if isinstance(line.transport, Teleport | Chain):
            yield from [crossing_weights(line.transport.pair_bell(line), line)] * qubits
            continue
        assert isinstance(line.transport, Direct | Coded)
        held = line.transport.emission(line, qubits).waits()
        yield from _waiting(held.sender_ps[0], line.sender)
        if isinstance(line.transport, Coded):
            width, weights = line.transport.found().qubits_per_block, line.transport.channel(line).weights
            for start in range(0, qubits, width):
                used = min(width, qubits - start)
                yield weights.reshape(4**used, -1).sum(axis=1)
        else:
            channel = line.channel()
            if channel is not None:
                yield from [channel.branch_weights()] * qubits
        yield from _waiting(held.receiver_ps[0], line.receiver)


def _waiting(waits_ps: NDArray[np.int64], memory: Memory) -> Iterator[Floats]:
    """The places where qubits wait in a memory, each for so long."""
    if memory.is_perfect:
        return
    from ketwire.quantum.noise.kraus import decay  # noqa: PLC0415

    for wait_ps in waits_ps[waits_ps > 0].tolist():
        yield decay(wait_ps, *memory.constants).branch_weights()


def error_probability(crossings: Sequence[Crossing]) -> float:
    """Probability that a copy does not have the likeliest history. All copies meet the same channels.

    For a Pauli channel these are all histories with an error; other channels are weighted as in `expected_rows`, and
    what their likeliest operator does to a state is left out.
    """
    return 1.0 - math.prod(float(weights.max()) for weights in _places(crossings))
