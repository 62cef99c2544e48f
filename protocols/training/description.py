"""The rival of training that sends what describes the model, instead of samples or registers.

All other parties send their angles to the start party, b bits each (`ketwire.protocols.descriptions`), and the last
one the labels of the training part, a bit each where there are two. The start party, which has the samples, trains
the whole model alone with exact gradients, from the angles as they came, and tells the last one its decisions on the
test part. It needs to know how the layers look, though not what is in them: rotations and Hadamard gates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.announce import announce
from ketwire.protocols.codes import pack_bits, unpack_bits
from ketwire.protocols.descriptions import gathered
from ketwire.protocols.node import Loader, Node, Outcome, Shape
from ketwire.protocols.numbers import EXACT_BITS, messages_of, pack_numbers, unpack_numbers
from ketwire.protocols.training.holding import Holding, Model
from ketwire.protocols.training.meter import Meter
from ketwire.protocols.training.rivals import decided_by, train_alone

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DescriptionSlice:
    """What a party on the path holds; bits of an angle, how many each party has, and the steps of the training."""

    model: Model | None = None
    bits: int = 0
    angles: dict[str, int] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True)
class Described(Outcome):
    """What a party had sent before the training; the losses, where it was; at the last party the accuracy."""

    bits: int
    losses: NDArray[np.float64] | None = None
    test_accuracy: float | None = None


class DescriptionParty:
    """Any party: it sends its angles, or is the start party, which trains."""

    Slice, Outcome = DescriptionSlice, Described

    def __init__(self, slice: DescriptionSlice, load: Loader) -> None:
        self.told = slice
        self.shapes: dict[str, Shape] = {}
        if slice.model is None:
            return
        # The start party has everybody's layers; what it draws for those of others is replaced by what it is told.
        self._held = Holding(slice.model, load)
        self._path, self._objective, self._labels = self._held.path, self._held.objective, self._held.labels
        self.shapes = self._held.shapes

    async def run(self, node: Node) -> Described | None:
        if self.told.model is None:
            return None
        meter, start = Meter(node), self._path[0]
        angles = partial(self._angles, node.name)
        heard = await gathered(meter.node, self._path, self.told.angles, self.told.bits, angles, start)
        for party, theirs in heard.items():
            self._take(party, theirs)
        labels = await self._ship(meter.node, "train", self._path[-1], start, self._own_labels("train"))
        bits = meter.taken().bits  # what is there now is enough to train
        decisions, losses, accuracy = None, None, None
        if node.name == start:
            assert labels is not None
            losses, decisions = self._train(labels)
        decisions = await self._ship(meter.node, "test", start, self._path[-1], decisions)
        truth = self._own_labels("test")
        if node.name == self._path[-1] and truth is not None and decisions is not None:
            accuracy = float((decisions == truth).mean())
        return Described(bits, None if losses is None else np.array(losses), accuracy)

    def _own_labels(self, part: str) -> Floats | None:
        return None if self._labels is None else self._labels.of[part]

    def _visits(self, party: str) -> list[int]:
        return [visit for visit in sorted(self._held.share.segments) if self._path[visit] == party]

    def _angles(self, party: str) -> Floats:
        return np.concatenate([self._held.parameters(visit) for visit in self._visits(party)])

    def _take(self, party: str, angles: Floats) -> None:
        for visit in self._visits(party):
            mine, angles = np.split(angles, [len(self._held.parameters(visit))])
            self._held.share.with_parameters(visit, mine)

    async def _ship(self, node: Node, part: str, origin: str, target: str, mine: Floats | None) -> Floats | None:
        """Labels or decisions, one for each row of a part, from one end of the path to the other; None between."""
        rows = node.public[f"{part} rows"]
        if origin == target:
            return mine
        told: list[Floats] = []
        for piece in messages_of(rows):
            message = None if mine is None else self._packed(mine[piece])
            heard = await announce(node, self._path, origin, message, Packed, target=target)
            if heard is None:
                return None
            if node.name == target:
                told.append(self._unpacked(heard, piece.stop - piece.start))
        return np.concatenate(told) if told else None

    def _packed(self, values: Floats) -> Packed:
        """Labels: a bit each where there are two, else at full width."""
        assert self._objective is not None
        if not self._objective.two_valued:
            return pack_numbers(values, EXACT_BITS)
        return Packed(len(values), 1, 0.0, len(values), pack_bits((values > 0).astype(np.uint64), 1))

    def _unpacked(self, heard: Packed, count: int) -> Floats:
        """What `_packed` packed.

        Raises:
            RemoteProtocolError: something else came.
        """
        assert self._objective is not None
        if not self._objective.two_valued:
            return unpack_numbers(heard, count)
        if (heard.count, heard.bits_per_entry) != (count, 1):
            told = f"{heard.count} labels of {heard.bits_per_entry} bits came"
            raise RemoteProtocolError(f"{told}, expected {count} of one bit")
        return np.asarray(2.0 * unpack_bits(heard.codes, 1, count) - 1.0)

    def _train(self, labels: Floats) -> tuple[list[float], Floats]:
        """The losses by step, and the decisions on the test part."""
        held = self._held
        assert held.samples is not None and self._objective is not None
        states = {
            part: held.samples.states(part, np.arange(len(rows)), held.flags)
            for part, rows in held.samples.rows.items()
        }
        schedule = held.schedule(len(states["train"]))
        losses = train_alone(held, self._objective, labels, states["train"], schedule, self.told.steps)
        return losses, decided_by(held, self._objective, states["test"])
