"""What one party of a path tells all others, or one of them: classical messages along the path's links.

Every message goes from neighbour to neighbour and is counted on each link that it crosses. Who tells whom
follows from the path alone, so that all parties work out the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

from ketwire.channels.messages import Answers, Packed
from ketwire.protocols.node import Node
from ketwire.protocols.paths import Hop, by_party
from ketwire.protocols.repeaters import ChainPlan, hops_to_repeaters

M = TypeVar("M", Packed, Answers)
Relay = tuple[str, str | None, str | None]
"""Whose message it is, from whom it comes (None: this party), to whom it goes on (None: this party keeps it)."""


def hops_from(path: Sequence[str], origin: str) -> list[tuple[str, str]]:
    """(teller, listener) in order: each party of the path hears once, from one that knows, over a link.

    Breadth first, so by the fewest links.
    """
    neighbours: dict[str, list[str]] = {party: [] for party in path}
    for a, b in pairwise(path):
        neighbours[a].append(b)
        neighbours[b].append(a)
    hops: list[tuple[str, str]] = []
    heard, queue = {origin}, [origin]
    for teller in queue:
        for listener in neighbours[teller]:
            if listener not in heard:
                heard.add(listener)
                queue.append(listener)
                hops.append((teller, listener))
    return hops


def way(path: Sequence[str], origin: str, target: str) -> list[tuple[str, str]]:
    """The (teller, listener) pairs that lead from `origin` to `target`, in order."""
    told_by = {listener: teller for teller, listener in hops_from(path, origin)}
    hops: list[tuple[str, str]] = []
    while target != origin:
        hops.append((told_by[target], target))
        target = told_by[target]
    return hops[::-1]


@lru_cache(maxsize=8)
def relayed(
    path: tuple[str, ...], counts: tuple[tuple[str, int], ...], target: str
) -> Mapping[str, Sequence[Relay]]:
    """What each party does when all that have something, one after another, tell it to `target`.

    counts: how much each party has, in the order in which they tell.
    """
    found: dict[str, list[Relay]] = {}
    for origin in (party for party, count in counts if count and party != target):
        tellers: list[str | None] = [None]
        for teller, listener in way(path, origin, target):
            found.setdefault(teller, []).append((origin, tellers[-1], listener))
            tellers.append(teller)
        found.setdefault(target, []).append((origin, tellers[-1], None))
    return found


@lru_cache(maxsize=64)
def _own_hops(
    path: tuple[str, ...], origin: str, target: str | None, chains: tuple[ChainPlan | None, ...]
) -> Mapping[str, tuple[Hop, ...]]:
    hops = hops_from(path, origin) if target is None else way(path, origin, target)
    return by_party(hops + hops_to_repeaters(path, chains))


async def announce(
    node: Node,
    path: Sequence[str],
    origin: str,
    message: M | None,
    kind: type[M],
    target: str | None = None,
    chains: Sequence[ChainPlan | None] = (),
) -> M | None:
    """Tell every party of the path, or `target` alone, what `origin` has to say; it alone has a message.

    With `chains` their repeaters hear it too, after the path. Returns the message at a party that has heard or
    passed it, None elsewhere.
    """
    for teller, listener in _own_hops(tuple(path), origin, target, tuple(chains)).get(node.name, ()):
        if listener == node.name:
            message = await node.receive(teller, kind)
        elif teller == node.name:
            assert message is not None
            await node.send(listener, message)
    return message
