"""The program of `processes`: two parties that send one small batch of copies back and forth."""

from __future__ import annotations

from typing import Any

import numpy as np

from ketwire.channels.copies import Copies
from ketwire.protocols.node import Loader, Node, Outcome, Slice


class PingPong:
    """`slice.values`: `trips` there and back, of `copies` copies of `qubits` qubits; Alice begins."""

    shapes: dict[str, Any] = {}

    def __init__(self, slice: Slice, load: Loader) -> None:
        self.values = slice.values

    async def run(self, node: Node) -> Outcome | None:
        values = self.values
        if node.name == "alice":
            states = np.eye(1, 1 << values["qubits"], dtype=np.complex128)
            copies = node.prepare(states, np.array([values["copies"]]))
            for _ in range(values["trips"]):
                await node.send("bob", copies)
                copies = await node.receive("bob", Copies)
            return None
        for _ in range(values["trips"]):
            await node.send("alice", await node.receive("alice", Copies))
        return None
