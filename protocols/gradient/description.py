"""The rival of gradients that sends angles: one party, the collector, works all derivatives out alone.

All other parties send it their angles, b bits each (`ketwire.protocols.descriptions`). It differentiates exactly, with
its own part of the circuit as it is and the angles of others as they came, and tells each owner its own derivatives.
Those by angles of rotations lie between -1/2 and 1/2, so that no scale is sent. The collector needs to know how the
layers of others look, though not what is in them, so these are rotations and Hadamard gates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States
from ketwire.channels.messages import Packed
from ketwire.protocols.announce import announce
from ketwire.protocols.descriptions import gathered, pack_answers, unknown_angles, unpack_answers
from ketwire.protocols.gradient.features import Share, exact_derivatives, input_of, share_of
from ketwire.protocols.gradient.programs import Gradients
from ketwire.protocols.layers import Part
from ketwire.protocols.node import Json, Loader, Node, Shape

Floats = NDArray[np.float64]
@dataclass(frozen=True)
class DescriptionSlice:
    """A party's part of the circuit, and the plan.

    angles, derivatives: how many each party has, and wants; others: to the collector, how the layers of others look
    largest: a public bound of a derivative of a probability: ½ for each rotation that one angle feeds
    """

    part: Part
    bits: int
    collector: str
    angles: dict[str, int]
    derivatives: dict[str, int]
    largest: float
    others: dict[int, list[Json]] | None = None


class DescriptionParty:
    """Any party: it sends its angles to `collector` and hears its derivatives, or is the one that has all angles."""

    Slice, Outcome = DescriptionSlice, Gradients

    def __init__(self, slice: DescriptionSlice, load: Loader) -> None:
        part = slice.part
        self._bits, self._collector = slice.bits, slice.collector
        self._angles, self._derivatives, self._largest = slice.angles, slice.derivatives, slice.largest
        self._share = share_of(part, load)
        self.shapes = {"qubits": Shape(part.qubits, "protocol.qubits")}
        self._others: Share | None = None
        self._inputs: States | None = None
        if slice.others is not None:
            self._others = share_of(replace(part, visits=slice.others), unknown_angles)
            # An input that another party holds is |0...0>.
            self._inputs = input_of(replace(part, starts=True), load)

    async def run(self, node: Node) -> Gradients | None:
        path, collector, bits = self._share.path, self._collector, self._bits
        heard = await gathered(node, path, self._angles, bits, self._own_angles, collector)
        found = self._worked_out(heard) if node.name == collector else {}
        for party, count in self._derivatives.items():
            if party == collector or not count:
                continue
            mine = None
            if node.name == collector:
                theirs = [values for visit, values in found.items() if path[visit] == party]
                mine = pack_answers(np.concatenate(theirs), bits, self._largest, signed=True)
            told = await announce(node, path, collector, mine, Packed, target=party)
            if node.name == party:
                assert told is not None
                found = self._by_visit(unpack_answers(told, bits, count, self._largest, signed=True))
        own = {visit: values for visit, values in found.items() if path[visit] == node.name and len(values)}
        return Gradients(own) if own else None

    def _own_angles(self) -> Floats:
        """In the order of this party's visits."""
        return np.concatenate([segment.values for _, segment in sorted(self._share.segments.items())])

    def _worked_out(self, heard: dict[str, Floats]) -> dict[int, Floats]:
        """All derivatives by visit, from everybody's angles."""
        others, inputs = self._others, self._inputs
        assert others is not None and inputs is not None
        for visit, segment in sorted(others.segments.items()):
            party = others.path[visit]
            angles, heard[party] = np.split(heard.get(party, np.zeros(0)), [len(segment.values)])
            others.with_parameters(visit, angles)
        return exact_derivatives([self._share, others], inputs)

    def _by_visit(self, derivatives: Floats) -> dict[int, Floats]:
        """This party's derivatives, cut by its visits."""
        visits = sorted(self._share.trainable)
        ends = np.cumsum([self._share.trainable[visit].sum() for visit in visits])
        return dict(zip(visits, np.split(derivatives, ends[:-1]), strict=True))
