"""Streams of copies: how K measured copies of each item get through a path that loses some.

Whoever wants K measured copies streams about K / p of them, with a margin, and does not wait for
heralds: a barrier per loss would be wrong timing as well as slow. The last party keeps the first K
of each item in emission order and tells the others how many came; only in the rare case that too
few arrived does a top-up follow, which all parties work out alike from that public count.

Every party of the path runs `run_stream` with the same plan and its own stage. Items are what is to
be measured K times each (the images of a test set, say); a batch holds whole or partial items in
order, so the position of a copy tells its item and nothing else needs to be sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Arrivals
from ketwire.errors import LocalProtocolError
from ketwire.protocols.node import Node

OCTETS_PER_COPY = 13  # row, ready time and loss bit
MAX_BATCH_OCTETS = 1 << 24
MAX_ROUNDS = 64
SHORTFALL_PROBABILITY = 1e-3  # of a top-up, over all items of a stream


@dataclass(frozen=True)
class StreamPlan:
    """The public plan of a stream.

    path:     party at each visit, first to last; neighbours differ, each step is one crossing
    survival: probability that a copy survives all crossings
    certain:  nothing can be lost or fail, so nobody needs to report
    want:     measured copies per item
    items:    how many items
    qubits:   of the register
    shortfall: how many items may be expected to need another round (a bound); the fewer, the more
              copies are emitted in vain
    """

    path: tuple[str, ...]
    survival: float
    certain: bool
    want: int
    items: int
    qubits: int
    max_batch_octets: int = MAX_BATCH_OCTETS
    shortfall: float = SHORTFALL_PROBABILITY


class Batch(NamedTuple):
    """A run of consecutive items and how many copies of each are emitted."""

    items: NDArray[np.int64]
    counts: NDArray[np.int64]


class Stage(Protocol):
    """What one party does to the copies at its visits."""

    def prepare(self, node: Node, batch: Batch) -> Copies:
        """At the first visit of the path: make the batch, item after item."""
        ...

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        """At every visit, the first and the last included; consumes `copies`."""
        ...

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """At the last visit: outcome counts per item, int64, shape (items, outcomes)."""
        ...


class Tally(NamedTuple):
    """What a party knows at the end: copies emitted per item and, at the last party, outcome counts."""

    attempted: NDArray[np.int64]
    counts: NDArray[np.int64] | None


async def run_stream(node: Node, plan: StreamPlan, stage: Stage) -> Tally:
    """Carry `plan.want` measured copies of every item through this node's part of the path."""
    arrived = np.zeros(plan.items, dtype=np.int64)
    attempted = np.zeros(plan.items, dtype=np.int64)
    counts: NDArray[np.int64] | None = None
    for _ in range(MAX_ROUNDS):
        attempts = next_attempts(plan, arrived, attempted)
        if not attempts.any():
            return Tally(attempted, counts)
        came = np.zeros(plan.items, dtype=np.int64)
        total = int(attempted.sum() + attempts.sum())
        for batch in batches(attempts, plan):
            measured = await _carry(node, plan, stage, batch, arrived + came)
            if measured is not None:
                came += measured[0]
                counts = measured[1] if counts is None else counts + measured[1]
            attempted[batch.items] += batch.counts
            node.progress(int(attempted.sum()), total, "copies emitted")
        arrived = await _share(node, plan, arrived + came)
    raise LocalProtocolError(f"{MAX_ROUNDS} rounds of top-ups did not bring {plan.want} copies of every item")


async def _carry(
    node: Node, plan: StreamPlan, stage: Stage, batch: Batch, arrived: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """One batch through this node's visits; at the last party (arrivals, outcome counts) per item."""
    last = len(plan.path) - 1
    for visit, party in enumerate(plan.path):
        if party != node.name:
            continue
        copies = stage.prepare(node, batch) if visit == 0 else await node.receive(plan.path[visit - 1], Copies)
        if len(copies) != batch.counts.sum() or copies.qubits != plan.qubits:
            raise LocalProtocolError(f"{copies} came where {batch.counts.sum()} of {plan.qubits} qubits were planned")
        copies = stage.transform(node, visit, copies)
        if visit < last:
            await node.send(plan.path[visit + 1], copies)
            continue
        groups = np.repeat(batch.items, batch.counts)
        keep, came = first_arrivals(copies.alive, groups, np.maximum(plan.want - arrived, 0))
        return came, stage.measure(node, copies, groups, keep)
    return None


async def _share(node: Node, plan: StreamPlan, arrived: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tell every party of the path what arrived: backwards along it, each party once."""
    if plan.certain:
        return np.full(plan.items, plan.want, dtype=np.int64)
    for listener, teller in report_hops(plan.path):
        if listener == node.name:
            arrived = (await node.receive(teller, Arrivals)).counts
            if arrived.shape != (plan.items,):
                raise LocalProtocolError(f"{teller} reported {len(arrived)} items where {plan.items} were planned")
        elif teller == node.name:
            await node.send(listener, Arrivals(arrived))
    return arrived


def report_hops(path: Sequence[str]) -> list[tuple[str, str]]:
    """(listener, teller) in order, so that each party hears from one that has heard, over a link.

    A party's last visit is followed by a later party's; going backwards, that one knows already.
    """
    last_visit = {party: visit for visit, party in enumerate(path)}
    order = sorted(last_visit.items(), key=lambda entry: -entry[1])
    return [(party, path[visit + 1]) for party, visit in order[1:]]


def next_attempts(
    plan: StreamPlan, arrived: NDArray[np.int64], attempted: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many copies of each item to emit next; int64, shape (items,). Zero where enough arrived.

    The first round trusts the path's survival. Later ones take what was seen so far, which also
    counts failures that only an owner could foretell (the flags of contractions).
    """
    missing = np.maximum(plan.want - arrived, 0)
    if plan.certain:
        return missing
    seen = (arrived + 1.0) / (attempted + 1.0 / plan.survival)
    p = np.minimum(seen, plan.survival)
    z = math.sqrt(2.0 * math.log(max(max(plan.items, 1) / plan.shortfall, 1.0)))
    # Smallest T with T p - z sqrt(T p (1 - p)) >= missing, a quadratic in sqrt(T).
    spread = z * np.sqrt(p * (1.0 - p))
    root = (spread + np.sqrt(spread**2 + 4.0 * p * missing)) / (2.0 * p)
    return np.where(missing > 0, np.ceil(root**2), 0).astype(np.int64)


def batches(attempts: NDArray[np.int64], plan: StreamPlan) -> Iterator[Batch]:
    """Cut a round into batches of at most `max_batch_octets` (or one state, if that is more)."""
    state_octets = 16 << plan.qubits
    items: list[int] = []
    counts: list[int] = []
    room = plan.max_batch_octets
    for item in np.flatnonzero(attempts):
        left = int(attempts[item])
        while left:
            fit = (room - state_octets) // OCTETS_PER_COPY
            if fit <= 0 and items:
                yield Batch(np.array(items), np.array(counts))
                items, counts, room = [], [], plan.max_batch_octets
                continue
            take = min(left, max(fit, 1))
            items.append(int(item))
            counts.append(take)
            room -= state_octets + take * OCTETS_PER_COPY
            left -= take
    if items:
        yield Batch(np.array(items), np.array(counts))


def first_arrivals(
    alive: NDArray[np.bool_], groups: NDArray[np.int64], room: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which copies to measure: the first room[g] living ones of each group, in emission order.

    `groups` is sorted. Returns (keep, arrivals per group).
    """
    came = np.bincount(groups[alive], minlength=len(room))
    before = np.cumsum(came) - came
    rank = np.cumsum(alive) - 1 - before[groups]
    return alive & (rank < room[groups]), came
