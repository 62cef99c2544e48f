"""A graph network over the network: owners of nodes load one register, the owner of the network measures it.

1. Norms (`protocols.graph.norms`). Owners tell sums of squares along the register's way; the owner of the network
   chooses the constant s and tells ||x'||² back.
2. Copies of each item. The first owner prepares its amplitudes and leaves the rest on the place of the constant; each
   other turns that into its own part (`protocols.graph.loading`); at the owner of the network the register is measured
   (`protocols.graph.measuring`).
3. The head. Where another party has it, the owner of the network tells it how often each hidden unit came up and
   what an outcome counts. The owner of the head has the activation too. It may learn its head from the first items,
   whose labels it knows (`protocols.graph.heads`).

Logits, which are the outcome, are public.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.graph.heads import Learning, fitted
from ketwire.protocols.graph.loading import first_state, turn
from ketwire.protocols.graph.measuring import offset, outcome_values, pooled, promise
from ketwire.protocols.graph.norms import Norms, exchange_norms
from ketwire.protocols.graph.sides import Owned, Side
from ketwire.protocols.graph.transform import squares_of
from ketwire.protocols.node import Kept, Loader, Node, Observable, Outcome
from ketwire.protocols.numbers import EXACT_BITS, receive_numbers, send_numbers
from ketwire.protocols.repeaters import Supplies
from ketwire.protocols.stream import Batch, StreamPlan, run_stream
from ketwire.quantum.circuits import Circuit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DELTA = 0.05
"""The promise ε of an item's logits fails with this probability at most."""
NO_PARAMETERS = np.zeros(0)


@dataclass(frozen=True)
class GraphSlice:
    """A party's side, and a stream for each item: for none where the copies pass the budget.

    observables: that an item is measured in, each on its share of the copies.
    learning: at the owner of the head, where it learns that from the first items and decides the others.
    """

    side: Side
    streams: tuple[StreamPlan, ...]
    observables: int
    learning: Learning | None = None


@dataclass(frozen=True)
class GraphOutcome(Outcome):
    """What the owner of the network tells, what the owner of the head tells, or both where they are one.

    logits: shape (decided items, classes), less their mean where eigenbases were measured; None where no copies ran.
    epsilon: by decided item, what logits are off by at most; both of the head's owner.
    alpha, sizes, constants: α, ||x'|| and s by item; attempted: copies that were emitted; needed: in the mean;
    measured; all of the network's owner.
    """

    logits: NDArray[np.float64] | None = None
    epsilon: NDArray[np.float64] | None = None
    alpha: NDArray[np.float64] | None = None
    sizes: NDArray[np.float64] | None = None
    constants: NDArray[np.float64] | None = None
    attempted: int = 0
    needed: float = 0.0
    measured: int = 0


class GraphParty:
    """Any party: an owner of nodes, of the network, of the head, several of these, a repeater, or none."""

    Slice, Outcome = GraphSlice, GraphOutcome

    def __init__(self, slice: GraphSlice, load: Loader) -> None:
        self._told, self._public = slice, slice.side.public
        self._owned = Owned(slice.side, load)
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> GraphOutcome | None:
        public, found = self._public, None
        if node.name in public.path:
            found = await self._along(node)
        elif any(plan.has_part(node.name) for plan in self._told.streams):
            await self._carried(node, None)
        if node.name == public.head != public.network:
            return await self._hear_counts(node)
        return found

    # ------------------------------------------------------------ the register's way

    async def _along(self, node: Node) -> GraphOutcome | None:
        """At a party of the way; at its end, what came of it."""
        public = self._public
        norms = await exchange_norms(node, public, self._owned)
        counts, attempted, needed = await self._carried(node, norms)
        if node.name != public.network:
            return None
        known_ps = node.read_ps or None
        told = GraphOutcome(
            alpha=norms.alpha, sizes=np.sqrt(norms.whole), constants=norms.constants, attempted=attempted,
            needed=needed, measured=sum(int(each.sum()) for own in counts for each in own), known_ps=known_ps,
        )  # fmt: skip
        if public.head != public.network:
            await self._tell_counts(node, norms, counts)
            return told
        return replace(told, **self._decided(norms, counts))

    async def _carried(self, node: Node, norms: Norms | None) -> tuple[list[list[Integers]], int, float]:
        """All copies: outcome counts by item and observable, at the end of the way; emitted, and in the mean."""
        counts: list[list[Integers]] = []
        attempted, needed, supplies = 0, 0.0, Supplies()
        for item, plan in enumerate(self._told.streams):
            observables: list[Any] = [None] * self._told.observables
            if norms is not None and node.name == self._public.network:
                observables = self._observables(item, norms)
            counts.append([])
            for observable in observables:
                stage = None if norms is None else self._stage(node, item, observable, norms)
                tally = await run_stream(node, plan, stage, supplies)
                attempted, needed = attempted + int(tally.attempted.sum()), needed + tally.needed
                if tally.counts is not None:
                    counts[-1].append(tally.counts[0])
        return counts, attempted, needed

    def _stage(self, node: Node, item: int, observable: Observable | None, norms: Norms) -> _Stage:
        public = self._public
        place = public.sizes[item] * public.features
        rows = self._owned.own_rows(node.name, item)
        part = np.zeros(1 << public.qubits(item))
        if rows is not None:
            part[:place] = rows.reshape(-1)
        left = float(norms.constants[item]) if node.name == public.network else norms.left(item)
        return _Stage(part, left, place, public.path[0] == node.name, observable, self._told.streams[item].mixed)

    def _observables(self, item: int, norms: Norms) -> list[Observable]:
        constant, size = float(norms.constants[item]), norms.size(item)
        readouts = self._owned.readouts
        if self._public.measurement == "eigenbasis":
            return list(readouts.spectra(item, constant, size).observables)
        return [readouts.histogram(item, constant, size, float(norms.alpha[item]))]

    # ------------------------------------------------------------ logits

    def _decided(self, norms: Norms, counts: Sequence[Sequence[Integers]]) -> dict[str, Any]:
        """Logits and epsilon where one party has network and head."""
        public = self._public
        if public.measurement == "block-encoding":
            factors = norms.alpha**2 * norms.whole
            return self._from_histograms(factors, [own[0] for own in counts])
        logits, epsilon = [], []
        for item in range(public.items):
            spectra = self._owned.readouts.spectra(item, float(norms.constants[item]), norms.size(item))
            values = spectra.values()
            share = max(public.copies // len(values), 1)
            epsilon.append(max(promise(each, share, DELTA / len(values)) for each in values))
            if counts:
                logits.append(spectra.logits([each / each.sum() for each in counts[item]]))
        return {"logits": np.array(logits) if logits else None, "epsilon": np.array(epsilon)}

    def _from_histograms(self, factors: Floats, counts: Sequence[Integers]) -> dict[str, Any]:
        """Logits and epsilon from what an outcome counts, (α ||x'||)² by item, and from histograms."""
        model, public, learning = self._owned.model, self._public, self._told.learning
        assert model is not None
        squares, logits, epsilon = squares_of(model), [], []
        head, bias, first = model.head, model.head_bias, 0
        if learning is not None and counts:
            first = len(learning.labels)
            units = [pooled(squares, factors[item], public.pooled_rows(item), counts[item]) for item in range(first)]
            head, bias = fitted(np.array(units), learning)
        for item in range(first, public.items):
            values = outcome_values(squares, head, factors[item])
            epsilon.append(promise(values, public.copies, DELTA))
            if counts:
                shares = counts[item] / counts[item].sum()
                logits.append(shares @ values + offset(squares, head, bias, public.pooled_rows(item)))
        return {"logits": np.array(logits) if logits else None, "epsilon": np.array(epsilon)}

    async def _tell_counts(self, node: Node, norms: Norms, counts: Sequence[Sequence[Integers]]) -> None:
        head = self._public.head
        await send_numbers(node, head, norms.alpha**2 * norms.whole, EXACT_BITS)
        for own in counts:
            await node.send(head, Answers(own[0], self._count_bits))

    async def _hear_counts(self, node: Node) -> GraphOutcome:
        public, model = self._public, self._owned.model
        assert model is not None
        factors = await receive_numbers(node, public.network, public.items)
        counts, units = [], len(model.head) + 1
        for _ in self._told.streams:
            heard = (await node.receive(public.network, Answers)).values
            if heard.shape != (units,) or heard.min() < 0 or heard.sum() != public.copies:
                raise RemoteProtocolError(
                    f"{public.network} told {len(heard)} counts of {heard.sum()} copies, expected {units} of "
                    f"{public.copies}"
                )
            counts.append(heard)
        return GraphOutcome(**self._from_histograms(factors, counts))

    @property
    def _count_bits(self) -> int:
        return self._public.copies.bit_length()


class _Stage:
    """What one party of the way does to copies of one item.

    part: its amplitudes over the register, before norming. left: the norm of what others load, at `place`.
    """

    def __init__(
        self, part: Floats, left: float, place: int, first: bool, observable: Observable | None, mixed: bool
    ) -> None:
        self._state = first_state(part, left, place)[None] if first else None
        self._turn: Circuit | None = None if first else turn(part, left, place)
        self._observable, self._mixed = observable, mixed

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._state is not None
        return node.prepare(self._state, batch.counts, mixed=self._mixed)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies if self._turn is None else node.apply(self._turn, copies, NO_PARAMETERS)

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        assert self._observable is not None
        return node.measure(copies, self._observable, groups, 1, keep)
