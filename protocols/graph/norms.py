"""The norms that owners of one register need of each other: along its way, and back. No feature is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import RemoteProtocolError
from ketwire.protocols.graph.sides import Owned, Public
from ketwire.protocols.node import Node
from ketwire.protocols.numbers import EXACT_BITS, receive_numbers, send_numbers

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Norms:
    """Of each item, as one party of the way knows them, each shape (items,).

    so_far: the sum of squares of the features up to this party's own. whole: ||x'||². constants, alpha: s and α, at
    the owner of the network alone.
    """

    so_far: Floats
    whole: Floats
    constants: Floats
    alpha: Floats

    def left(self, item: int) -> float:
        """The norm of what others load after this party, the constant included."""
        return float(np.sqrt(max(self.whole[item] - self.so_far[item], 0.0)))

    def size(self, item: int) -> float:
        """||x'||."""
        return float(np.sqrt(self.whole[item]))


async def exchange_norms(node: Node, public: Public, owned: Owned) -> Norms:
    """At each party of the way: sums of squares go along it, ||x'||² comes back; 64 bits an item and crossing."""
    path, items = public.path, public.items
    place, last = path.index(node.name), len(path) - 1
    before = await receive_numbers(node, path[place - 1], items) if place else np.zeros(items)
    if (before < 0).any():
        raise RemoteProtocolError(f"{path[place - 1]} told sums of squares below zero")
    own = [owned.own_rows(node.name, item) for item in range(items)]
    so_far = before + np.array([0.0 if rows is None else float((rows**2).sum()) for rows in own])
    constants = alpha = np.zeros(0)
    if place < last:
        await send_numbers(node, path[place + 1], so_far, EXACT_BITS)
        whole = await receive_numbers(node, path[place + 1], items)
        if not (whole > so_far).all():
            raise RemoteProtocolError(f"{path[place + 1]} told norms below those of their parts")
    else:
        chosen = np.array([owned.readouts.choose(item, float(np.sqrt(each))) for item, each in enumerate(so_far)])
        constants, alpha = chosen.reshape(items, 2).T
        whole = so_far + constants**2
    if place:
        await send_numbers(node, path[place - 1], whole, EXACT_BITS)
    return Norms(so_far, whole, constants, alpha)
