"""Private inputs of thousands of instances: drawn by their owner, block by block, when they are needed.

An owner draws a key of its own from its own source of randomness, and everything else from that: block k of its
instances from the stream of number k. So a batch of copies needs the memory of a few blocks and not of all instances,
copies that are emitted again are those of the same instance, and a judge that is given an owner's source finds the
same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.streams import stream
from ketwire.protocols.node import Loader

Integers = NDArray[np.int64]
BLOCK_ENTRIES = 1 << 18
"""Of the inputs of a block: 4 MiB of amplitudes, which are worked on in a processor's cache."""
MOST_BLOCK = 1024
SENDER, RECEIVER = "protocol.sender", "protocol.receiver"
"""The keys of a scenario that name the owners of inputs."""


class Rows(Protocol):
    """Inputs of some instances."""

    def of(self, rows: Integers) -> Rows:
        """Those of these rows."""
        ...


T = TypeVar("T", bound=Rows)


def own_key(load: Loader, where: str) -> bytes:
    """32 octets from the owner's own source of randomness, by the scenario's key that names the owner."""
    signs = load(where, {"random": "signs", "shape": [256]})["values"]
    return np.packbits(signs > 0).tobytes()


def block_of(entries: int) -> int:
    """Instances of a block, where an input has so many entries."""
    return max(1, min(MOST_BLOCK, BLOCK_ENTRIES // entries))


class Inputs(Generic[T]):
    """One owner's inputs of all instances.

    draw: makes the inputs of so many instances from a generator. entries: of one input, which fixes the blocks.
    """

    def __init__(self, key: bytes, draw: Callable[[np.random.Generator, int], T], entries: int) -> None:
        self._key, self._draw, self._block = key, draw, block_of(entries)
        self._last: tuple[int, T] | None = None

    def of(self, items: Integers) -> Iterator[tuple[slice, T]]:
        """The inputs of some instances, in parts: which of the items, and their inputs.

        items: int64, ascending; an instance may stand there more than once.
        """
        blocks = items // self._block
        begins = np.flatnonzero(np.diff(blocks, prepend=-1))
        for first, end in zip(begins.tolist(), [*begins[1:].tolist(), len(items)], strict=True):
            block = int(blocks[first])
            if self._last is None or self._last[0] != block:
                self._last = block, self._draw(stream(self._key, "inputs", block), self._block)
            yield slice(first, end), self._last[1].of(items[first:end] - block * self._block)  # type: ignore[misc]
