"""The program of `processes`: two parties that send one small batch of copies back and forth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ketwire.channels.copies import Copies
from ketwire.protocols.node import Loader, Node, Outcome


@dataclass(frozen=True)
class Trips:
    """There and back, so often, with copies of so many qubits."""

    trips: int
    copies: int
    qubits: int


class PingPong:
    """Alice begins."""

    Slice, Outcome = Trips, Outcome
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Trips, load: Loader) -> None:
        self.told = slice

    async def run(self, node: Node) -> None:
        told = self.told
        if node.name == "alice":
            states = np.eye(1, 1 << told.qubits, dtype=np.complex128)
            copies = node.prepare(states, np.array([told.copies]))
            for _ in range(told.trips):
                await node.send("bob", copies)
                copies = await node.receive("bob", Copies)
            return
        for _ in range(told.trips):
            await node.send("alice", await node.receive("alice", Copies))
