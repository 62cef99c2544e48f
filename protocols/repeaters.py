"""Chains of repeaters: how end-to-end pairs get to a party that sends registers over a chain.

One crossing of a register over a chain needs pairs between its two ends. The pairs grow from the
*origin*, which will receive the register, through the repeaters to the *collector*, which sends it, so
that the party that is to teleport is the first to know that a pair stands. They grow in waves, one pair
a lane, and the feedback from wave to wave is the messages that really have to flow:

    origin     Pairs (none yet) ->   repeater   Pairs ->   ...   Pairs ->   collector
    origin         <- Released       repeater     <- Released    <- Released  collector
    origin         <- Released, over the link from end to end        <- Pairs, into its stock

A node that has swapped frees two memories in each lane: one of the hop behind it, whose far node it tells
(`Released`), and one of the hop before it, whose far node frees its own later and tells in turn. So a hop
begins its next wave when its receiver has swapped and its sender has heard of it. The two ends move a
finished pair into their storage, which frees their link memories: the collector when it knows that the
pair stands, the origin when it has heard so over the link from end to end; that one then has to tell its
neighbour before they can begin.

`parallel`: every hop tries as soon as its memories are free, at the first wave from the start on.
`sequential`: a hop begins once the pair from before is there and the far node has been told.

Where pairs are distilled on the way, or given up after a cut-off, some are lost, and all parties work out the same
further waves from the collector's count, which travels back along the chain. What parties exchange here
is public: pairs know nothing of the registers that will use them. The party that counts has waited until the
last pair was known, so in such a chain the registers of a batch leave when all of its pairs are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import Cutoff, Pairs, Released, Times
from ketwire.channels.messages import Arrivals
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.protocols.node import Node

MAX_ROUNDS = 64
_UNPROMISING = 1e-9  # below this chance of a lane to come through, a chain is given up


@dataclass(frozen=True)
class ChainPlan:
    """The public plan of a chain, for one direction of registers.

    nodes:   origin, repeaters, collector: in the direction in which pairs grow
    lanes:   end-to-end pairs of a wave, if none is lost
    folds:   per hop, how many of its lanes become one in the end: powers of two, none below the next
    in_turn: sequential generation
    distill: the protocol of distillation where folds halve
    success: probability that a lane comes through distillation and cut-offs
    limits:  how long halves wait at each repeater (`Cutoff`), from the origin on; empty without a cut-off
    """

    nodes: tuple[str, ...]
    lanes: int
    folds: tuple[int, ...]
    in_turn: bool
    distill: Literal["bbpssw", "dejmps"]
    success: float
    limits: tuple[tuple[int, int, int], ...] = ()

    def __post_init__(self) -> None:
        assert len(self.nodes) >= 3 and len(self.folds) == len(self.nodes) - 1 and self.lanes > 0

    @property
    def is_certain(self) -> bool:
        """No pair is ever lost, so no party needs to count."""
        return self.folds[0] == 1 and not self.limits

    def wave_sizes(self, wanted: int) -> Iterator[int]:
        """How many end-to-end pairs each wave is to make, so that `wanted` may be expected."""
        left = wanted if self.is_certain else math.ceil(wanted / max(self.success, _UNPROMISING))
        while left > 0:
            yield min(left, self.lanes)
            left -= self.lanes


class Supply:
    """One node's part in a chain that supplies one direction of a link, from its first wave to its last."""

    def __init__(self, plan: ChainPlan, name: str) -> None:
        self.plan = plan
        self._place = plan.nodes.index(name) if name in plan.nodes else None
        # When both memories of each lane on the hop before this node are free, as far as it knows.
        begins = self._place is not None and self._place < len(plan.folds)
        self._free_ps: Times = np.zeros(plan.lanes * self._fold if begins else 0, dtype=np.int64)

    @property
    def free_ps(self) -> Times:
        """All that is remembered from wave to wave; int64, shape (lanes of the hop before this node,)."""
        return self._free_ps.copy()

    def restore(self, free_ps: Times) -> None:
        assert free_ps.shape == self._free_ps.shape
        self._free_ps = free_ps.astype(np.int64)

    @property
    def _fold(self) -> int:
        """Lanes of the hop before this node for one end-to-end pair."""
        assert self._place is not None
        return (*self.plan.folds, 1)[self._place]

    @property
    def _fold_behind(self) -> int:
        assert self._place is not None and self._place > 0
        return self.plan.folds[self._place - 1]

    async def provide(self, node: Node, wanted: int) -> None:
        """Take part until the collector has `wanted` living pairs in the stock of its link.

        Raises:
            ScenarioError: so few pairs come through distillation that it would take too many rounds.
            RemoteProtocolError: a neighbour sent what the plan excludes.
        """
        if self._place is None:
            return
        living = 0
        for _ in range(MAX_ROUNDS):
            for size in self.plan.wave_sizes(wanted - living):
                living += await self._wave(node, size)
            if self.plan.is_certain:
                return
            living = await self._share(node, living)
            if living >= wanted:
                return
        key, expected = "distill_spans", "memories that keep pairs good enough for it, or fewer spans"
        if self.plan.limits:
            key, expected = "cutoff_s", "a longer cut-off, or faster hops"
        raise ScenarioError(
            f"links: {key}: of the pairs between {self.plan.nodes[0]} and {self.plan.nodes[-1]} only "
            f"{living} of {wanted} came through in {MAX_ROUNDS} rounds, expected {expected}"
        )

    async def _wave(self, node: Node, size: int) -> int:
        """One wave of `size` end-to-end pairs; at the collector, how many of them live."""
        assert self._place is not None
        if self._place == 0:
            await self._begin(node, size)
        elif self._place < len(self.plan.folds):
            await self._extend(node, size)
        else:
            return await self._collect(node, size)
        return 0

    async def _begin(self, node: Node, size: int) -> None:
        """The origin's part."""
        neighbour, collector, lanes = self.plan.nodes[1], self.plan.nodes[-1], size * self._fold
        await node.send(neighbour, Pairs.none_yet(self._free_ps[:lanes].copy()))
        freed = await _released(node, neighbour, lanes)
        stands = await _released(node, collector, size)
        self._free_ps[:lanes] = np.maximum(freed, np.repeat(stands, self._fold))

    async def _extend(self, node: Node, size: int) -> None:
        """A repeater's part."""
        assert self._place is not None
        behind, ahead = self.plan.nodes[self._place - 1], self.plan.nodes[self._place + 1]
        lanes, halves = size * self._fold, (*self.plan.folds, 1)[self._place + 1] < self._fold
        pairs = await self._incoming(node, behind, lanes)
        begin_ps = self._free_ps[:lanes]
        distill = self.plan.distill if halves else None
        limits = Cutoff(*self.plan.limits[self._place - 1]) if self.plan.limits else None
        sent = pairs.onward(begin_ps, in_turn=self.plan.in_turn, distill=distill, limits=limits)
        receipt = await node.send(ahead, sent)
        swapped_ps = receipt.done_ps
        # Lanes that became one here held two memories of the hop behind until the one that is left was used.
        await node.send(behind, Released(np.repeat(swapped_ps, self._fold_behind // self._fold)))
        self._free_ps[:lanes] = await _released(node, ahead, lanes)

    async def _collect(self, node: Node, size: int) -> int:
        """The collector's part: into storage, and into the stock of the link to the origin."""
        origin, behind = self.plan.nodes[0], self.plan.nodes[-2]
        pairs = await self._incoming(node, behind, size)
        await node.send(behind, Released(np.repeat(pairs.ready_ps, self._fold_behind)))
        receipt = await node.send(origin, pairs)
        # To count the living is to wait until the last of them is known.
        return size if self.plan.is_certain else size - int(np.count_nonzero(receipt.lost))

    async def _incoming(self, node: Node, behind: str, lanes: int) -> Pairs:
        pairs = await node.receive(behind, Pairs)
        if len(pairs) != lanes:
            raise RemoteProtocolError(f"{behind} sent {len(pairs)} pairs where {lanes} were planned")
        return pairs

    async def _share(self, node: Node, living: int) -> int:
        """The collector's count of living pairs, told from node to node back to the origin."""
        assert self._place is not None
        nodes, place = self.plan.nodes, self._place
        if place < len(nodes) - 1:
            counts = (await node.receive(nodes[place + 1], Arrivals)).counts
            if counts.shape != (1,):
                raise RemoteProtocolError(f"{nodes[place + 1]} reported {len(counts)} counts of pairs, expected one")
            living = int(counts[0])
        if place > 0:
            await node.send(nodes[place - 1], Arrivals(np.array([living]), about="round"))
        return living


class Supplies:
    """One node's parts in all chains of a session: what it knows of its memories outlasts a stream.

    Without that, the first wave of a stream would begin in memories which the last wave of the stream before
    still holds. It also outlasts a checkpoint: see `saved`.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Supply] = {}
        self._saved: dict[str, Times] = {}

    def part(self, plan: ChainPlan, name: str) -> Supply:
        """The node `name`'s part in a chain, the same one whenever it is asked for."""
        key = f"chain {plan.nodes[0]} {plan.nodes[-1]}"
        if key not in self._parts:
            self._parts[key] = Supply(plan, name)
            if key in self._saved:
                self._parts[key].restore(self._saved[key])
        assert self._parts[key].plan == plan
        return self._parts[key]

    def saved(self) -> dict[str, Times]:
        """When the memories of each chain are free, by a name of its own: for a checkpoint."""
        return self._saved | {key: part.free_ps for key, part in self._parts.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `saved` told, which may be among other arrays."""
        self._saved = {key: array for key, array in arrays.items() if key.startswith("chain ")}


def hops_to_repeaters(path: Sequence[str], chains: Sequence[ChainPlan | None]) -> list[tuple[str, str]]:
    """(teller, listener): each repeater hears once, from the end of its chain that is its origin on.

    The parties on the path have heard before.
    """
    hops, heard = [], set(path)
    for chain in chains:
        for teller, listener in pairwise(chain.nodes if chain is not None else ()):
            if listener not in heard:
                hops.append((teller, listener))
                heard.add(listener)
    return hops


async def _released(node: Node, peer: str, lanes: int) -> Times:
    free_ps = (await node.receive(peer, Released)).free_ps
    if len(free_ps) != lanes:
        raise RemoteProtocolError(f"{peer} released {len(free_ps)} memories where {lanes} were planned")
    return free_ps
