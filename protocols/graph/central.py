"""A party beside whom a graph network was trained in one place: nothing is sent, and nothing is measured."""

from __future__ import annotations

from dataclasses import dataclass

from ketwire.protocols.node import Loader, Node, Outcome


@dataclass(frozen=True)
class CentralSlice:
    """A party is given nothing."""


@dataclass(frozen=True)
class Done(Outcome):
    """A party tells nothing."""


class CentralParty:
    """The program: it ends at once."""

    Slice, Outcome = CentralSlice, Done

    def __init__(self, slice: CentralSlice, load: Loader) -> None:
        self.shapes: dict[str, int] = {}

    async def run(self, node: Node) -> Done:
        """Nothing to do."""
        return Done()
