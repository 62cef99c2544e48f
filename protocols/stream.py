"""Streams of copies: how K measured copies of each item get through a path that loses some.

A party that wants K measured copies streams about K / p of them and does not wait for heralds: a barrier
per loss would be slow, and its times would be wrong. The last party measures the first K of each item in
emission order, as they come. Surplus copies are emitted and carried too, and are discarded where
they arrive. When the last time bin of the round has passed, the last party tells the others what is
missing; the next round follows from that, and all parties work it out alike (`protocols.retries`).

Every party of the path runs `run_stream` with the same plan and its own stage. Items are what is to
be measured K times each (the images of a test set, say); a batch holds whole or partial items in
order, so the position of a copy tells its item and nothing else needs to be sent.

Where a crossing goes over a chain of repeaters, these run the stream too: they have no visit, see no
copy, and make the pairs that each batch needs (`protocols.repeaters`), in the order of the crossings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_COPIES, Copies
from ketwire.channels.messages import Arrivals
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.protocols.node import Kept, Node
from ketwire.protocols.paths import Hop, by_party, visits_at
from ketwire.protocols.repeaters import ChainPlan, Supplies, Supply, hops_to_repeaters
from ketwire.protocols.retries import ROUND_COPIES, Retries

OCTETS_PER_COPY = 13  # row, ready time and loss bit
MAX_BATCH_OCTETS = 1 << 24
BUDGET_ATTEMPTS = 10_000_000


@dataclass(frozen=True)
class Passage:
    """How copies come through the crossings of a way.

    survival: probability that a copy survives all of them
    certain:  nothing can be lost or fail, so no party needs to report
    round_copies: how many copies could be emitted while a round waits for word of the last one
    chains:   the chain of repeaters of each crossing, None where it has none; empty for none at all
    """

    survival: float
    certain: bool
    round_copies: float = ROUND_COPIES
    chains: tuple[ChainPlan | None, ...] = ()


@dataclass(frozen=True)
class StreamPlan:
    """The public plan of a stream. In a slice it may be one that parties fill in, or change, for each stream.

    path:     party at each visit, first to last; neighbours differ, each step is one crossing
    want:     measured copies per item
    items:    how many items
    qubits:   of the register
    margin:   copies beyond those that are missing, see `protocols.retries`; None for `auto`
    budget_attempts: how many emitted copies a run may need. The first round is checked against it
              before the run; top-ups may go to twice of it, then the stream gives up
    mixed:    the states are density matrices
    shared:   all copies of an item are expected to share a state, or but a few; if not, batches are
              cut for a state a copy
    sizes:    qubits on each crossing, where registers grow on their way; empty for `qubits` on all
    window:   copies that may be under way at once: the next are emitted when the last party has said that
              those before came or died; None for no such limit
    """

    path: tuple[str, ...]
    passage: Passage
    want: int
    items: int
    qubits: int
    max_batch_octets: int = MAX_BATCH_OCTETS
    margin: float | None = None
    budget_attempts: int = BUDGET_ATTEMPTS
    mixed: bool = False
    shared: bool = True
    sizes: tuple[int, ...] = ()
    window: int | None = None

    def arriving(self, visit: int) -> int:
        """Qubits of the register that comes to a visit, or that is prepared there."""
        return self.sizes[visit - 1] if self.sizes and visit else self.qubits

    def along(self, path: tuple[str, ...], sizes: tuple[int, ...], passage: Passage, want: int) -> StreamPlan:
        """The plan of a stream that goes another way."""
        return replace(self, path=path, sizes=sizes, passage=passage, want=want)

    def retries(self) -> Retries:
        """Its rounds, before the first."""
        return Retries(self.want, self.items, self.passage.survival, self.margin, self.passage.round_copies)

    @property
    def widest(self) -> int:
        """Qubits of the register where it is largest."""
        return max((self.qubits, *self.sizes))

    def has_part(self, party: str) -> bool:
        """Whether this party is on the path, or a repeater of one of its chains."""
        return party in self.path or any(chain is not None and party in chain.nodes for chain in self.passage.chains)


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
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        """At the last visit: outcome counts per item, int64, shape (items, outcomes)."""
        ...


class Tally(NamedTuple):
    """What a party knows at the end.

    attempted: copies emitted of each item. counts: at the last party, outcome counts. needed: copies that had to
    be emitted in the mean, K/p of each item.
    """

    attempted: NDArray[np.int64]
    counts: NDArray[np.int64] | None
    needed: float


async def run_stream(
    node: Node,
    plan: StreamPlan,
    stage: Stage | None,
    supplies: Supplies | None = None,
    words: Callable[[NDArray[np.int64]], str] = lambda counts: "",
) -> Tally:
    """Carry `plan.want` measured copies of every item through this node's part of the path.

    A repeater, which no copy visits, has no stage. To run many streams over chains of repeaters, give
    the same `supplies` to all of them. `words` says what the outcome counts so far come to, for reports of progress.

    Raises:
        ScenarioError: so few copies come through (a contraction's flag fires, say) that the budget ends.
        RemoteProtocolError: a peer sent or reported what the plan excludes.
    """
    arrived = np.zeros(plan.items, dtype=np.int64)  # right at the last party
    retries = plan.retries()
    counts: NDArray[np.int64] | None = None
    most = 0
    parts = supplies_of(plan, node.name, supplies or Supplies())
    while not retries.done:
        taken, choices = np.zeros(plan.items, dtype=np.int64), list[Kept]()
        done = int(retries.attempted.sum())
        attempts = retries.emit()
        total = done + sum(attempts.tolist())
        most = most or 2 * max(plan.budget_attempts, total)
        if total > most:
            raise ScenarioError(
                f"protocol.budget_attempts: {plan.budget_attempts} given, but of {done} emitted "
                f"copies {retries.known} came through, and {total} would be needed for {plan.want} of "
                "every item; expected contractions that let more through, or a larger budget"
            )
        for batch in batches(attempts, plan):
            measured = await _carry(node, plan, stage, batch, arrived + taken, parts)
            if measured is not None:
                choices.append(measured[0])
                taken += measured[0].taken
                counts = measured[1] if counts is None else counts + measured[1]
            done += int(batch.counts.sum())
            if plan.window is not None and node.name in plan.path:
                await _acknowledge(node, plan, batch, 0 if measured is None else int(measured[0].came.sum()))
            node.progress(done, total, "copies emitted", "" if counts is None else words(counts))
        if plan.passage.certain:
            break
        for choice in choices:  # looking waits for the last time bin of the round
            arrived = arrived + choice.came
        await _share(node, plan, retries, arrived)
    return Tally(retries.attempted, counts, retries.needed)


async def _carry(
    node: Node,
    plan: StreamPlan,
    stage: Stage | None,
    batch: Batch,
    arrived: NDArray[np.int64],
    supplies: Sequence[Supply | None],
) -> tuple[Kept, NDArray[np.int64]] | None:
    """One batch through this node's visits; at the last party what was measured, and outcome counts per item."""
    last = len(plan.path) - 1
    emitted = int(batch.counts.sum())
    for visit in range(last + 1) if supplies else visits_at(plan.path, node.name):
        here = plan.path[visit] == node.name
        if here:
            assert stage is not None
            copies = await _at(node, plan, stage, batch, visit)
        supply = supplies[visit] if supplies and visit < last else None
        if supply is not None:
            await supply.provide(node, emitted * plan.arriving(visit + 1))
        if not here:
            continue
        if visit < last:
            await node.send(plan.path[visit + 1], copies)
            continue
        assert stage is not None
        groups = np.repeat(batch.items, batch.counts)
        keep = node.keep(copies, groups, np.maximum(plan.want - arrived, 0))
        return keep, stage.measure(node, copies, groups, keep)
    return None


async def _at(node: Node, plan: StreamPlan, stage: Stage, batch: Batch, visit: int) -> Copies:
    """The copies of a batch as they leave one of this node's visits."""
    if visit == 0:
        copies = stage.prepare(node, batch)
    else:
        copies = await node.receive(plan.path[visit - 1], Copies)
    qubits = plan.arriving(visit)
    if len(copies) != batch.counts.sum() or copies.qubits != qubits or copies.mixed != plan.mixed:
        kind = "mixed" if plan.mixed else "pure"
        told = f"{copies} came where {batch.counts.sum()} of {qubits} qubits in {kind} states were planned"
        raise (RemoteProtocolError if visit else LocalProtocolError)(told)
    return stage.transform(node, visit, copies)


def supplies_of(plan: StreamPlan, party: str, supplies: Supplies) -> list[Supply | None]:
    """This party's part in the chain of each crossing, if there are chains; crossings one way over one share it."""
    return [None if chain is None else supplies.part(chain, party) for chain in plan.passage.chains]


async def _acknowledge(node: Node, plan: StreamPlan, batch: Batch, came: int) -> None:
    """Tell every party of the path that a window's copies are no longer under way: backwards along it."""
    bits = int(batch.counts.sum()).bit_length()
    for listener, teller in _own_reports(plan.path, ()).get(node.name, ()):
        if listener == node.name:
            heard = await node.receive(teller, Arrivals)
            if heard.counts.shape != (1,) or heard.bits != bits:
                raise RemoteProtocolError(f"{teller} reported {len(heard.counts)} numbers of one planned")
            came = int(heard.counts[0])
        elif teller == node.name:
            await node.send(listener, Arrivals(np.array([came]), bits, "window"))


async def _share(node: Node, plan: StreamPlan, retries: Retries, arrived: NDArray[np.int64]) -> None:
    """Tell every party of the path, and every repeater, what is missing: backwards, each once."""
    question = retries.question()
    values, source = question.answer(np.maximum(plan.want - arrived, 0)), node.name
    for listener, teller in _own_reports(plan.path, plan.passage.chains).get(node.name, ()):
        if listener == node.name:
            heard, source = await node.receive(teller, Arrivals), teller
            if heard.bits != question.bits:
                raise RemoteProtocolError(f"{teller} reported at {heard.bits} bits an item, expected {question.bits}")
            values = heard.counts
            retries.told(question, values, source)
        elif teller == node.name:
            await node.send(listener, Arrivals(values, question.bits, "round"))
    if source == node.name:
        retries.told(question, values, source)


def report_hops(path: Sequence[str], chains: Sequence[ChainPlan | None] = ()) -> list[tuple[str, str]]:
    """(listener, teller) in order, so that each party hears from one that has heard, over a link.

    A party's last visit is followed by a later party's; going backwards, that one knows already. The
    repeaters of a chain hear last, one from the other, from the end that is its origin on.
    """
    last_visit = {party: visit for visit, party in enumerate(path)}
    order = sorted(last_visit.items(), key=lambda entry: -entry[1])
    hops = [(party, path[visit + 1]) for party, visit in order[1:]]
    return hops + [(listener, teller) for teller, listener in hops_to_repeaters(path, chains)]


@lru_cache(maxsize=64)
def _own_reports(path: tuple[str, ...], chains: tuple[ChainPlan | None, ...]) -> Mapping[str, tuple[Hop, ...]]:
    return by_party(report_hops(path, chains))


def batches(attempts: NDArray[np.int64], plan: StreamPlan) -> Iterator[Batch]:
    """Cut a round into batches of at most `max_batch_octets`, or of two states, if that is more.

    A second state's worth of octets is room for copies: large states would cross one by one without.
    """
    state_octets = 16 << plan.widest * (2 if plan.mixed else 1)
    copy_octets = OCTETS_PER_COPY + (0 if plan.shared else state_octets)
    most_octets = max(plan.max_batch_octets, state_octets + max(state_octets, copy_octets))
    most_copies = MAX_COPIES if plan.window is None else min(plan.window, MAX_COPIES)
    items = np.flatnonzero(attempts)
    counts = attempts[items]
    # Whole items are taken by a search in the sums over items, and not one by one.
    octets, copies = (counts * copy_octets + state_octets).cumsum(), counts.cumsum()
    at, left = 0, int(counts[0]) if len(items) else 0  # copies that are left of the first item
    while at < len(items):
        room, places = most_octets - state_octets - left * copy_octets, most_copies - left
        end = at
        if room >= 0 and places >= 0:
            whole = octets.searchsorted(octets[at] + room, "right"), copies.searchsorted(copies[at] + places, "right")
            end = int(min(whole))
        taken = counts[at:end].copy()
        if end > at:
            taken[0] = left
            room, places = room - int(octets[end - 1] - octets[at]), places - int(copies[end - 1] - copies[at])
            left = int(counts[end]) if end < len(items) else 0
        else:
            room, places = most_octets, most_copies
        part = min((room - state_octets) // copy_octets, places) if end < len(items) else 0
        if part > 0:  # as much of the next item as there is room for
            taken, left = np.append(taken, part), left - part
        yield Batch(items[at : at + len(taken)], taken)
        at = end
