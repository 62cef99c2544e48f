"""Derivatives read together in groups that somebody else has chosen, instead of whole blocks.

Parameters can be read from one copy where they share a frame: where they are in one block (see `features`).
A block of many parameters may be read in several groups, each from copies of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ketwire.quantum.gradients.estimation import Asked, Estimate, Held, Promise, copies_each, noted
from ketwire.quantum.gradients.features import Block, blocks_of, sweep
from ketwire.quantum.sampling import sample
from ketwire.quantum.segments import Segment


def strangers(blocks: Sequence[Block], group: Sequence[int]) -> tuple[int, int] | None:
    """The first two parameters of a group that share no frame; None where all do."""
    at = {slot: number for number, block in enumerate(blocks) for slot in block.slots}
    return next(((group[0], slot) for slot in group[1:] if at[slot] != at[group[0]]), None)


@dataclass(frozen=True)
class Grouped:
    """`Commuting` with groups of its owner's choice.

    groups: the parameters of the unitary, each in one group, each feeding one block. Outcomes of a group
    are sampled jointly and exactly, and the estimate is unbiased.
    """

    groups: tuple[tuple[int, ...], ...]
    name: ClassVar[str] = "commuting"

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """Groups times `copies_each`."""
        return len(self.groups) * copies_each(blocks, promise)

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """ValueError for groups that are none of this unitary's, or fewer copies than groups."""
        blocks = blocks_of(segment.circuit)
        slots = sorted(slot for block in blocks for slot in block.slots)
        if sorted(slot for group in self.groups for slot in group) != slots:
            raise ValueError(f"groups: {self.groups} given, expected each of the parameters {slots} once")
        if (pair := next(filter(None, (strangers(blocks, group) for group in self.groups)), None)) is not None:
            raise ValueError(f"groups: parameters {pair[0]} and {pair[1]} together given, but they share no frame")
        result, tallies = np.zeros((len(held.totals), segment.circuit.parameter_count)), []
        dealt = held.deal(len(self.groups), rng)
        for block, framed in sweep(segment, held.states):
            law = block.observable.probabilities(framed)
            for group, portion in zip(self.groups, dealt, strict=True):
                if group[0] in block.slots:
                    tallies.append(held.gather(sample(law, portion, rng)))
                    read = block.read(tallies[-1])
                    result[:, group] = read[:, [block.slots.index(slot) for slot in group]]
        return Estimate(result, held.totals, noted(tallies))
