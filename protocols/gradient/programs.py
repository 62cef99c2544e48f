"""All partial derivatives of the loss of a circuit that many parties hold, each estimated by its owner.

`GradientParty`: for each visit of the path whose unitary has parameters, in order, one stream brings the
copies of |Φ> that the estimator asks for to the owner (`protocols.gradient.features`), who then reads its derivatives
from them. Nothing else is said: no party but the owner learns a derivative. Copies follow from the promise and
from the few numbers of its unitary that each owner tells before the start (`protocols.gradient.outline`).

`ShiftParty`: the rival without |Φ>, two whole inferences for each gate with a parameter (`protocols.gradient.shifts`).

Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 2; THEORY of this project, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.gradient.agreement import Agreement, Terms, made_estimator, public_numbers
from ketwire.protocols.gradient.features import FeatureStage, Route, Share, input_of, reader_at, share_of
from ketwire.protocols.gradient.shifts import run_shifted
from ketwire.protocols.layers import Part
from ketwire.protocols.node import Loader, Node, Outcome, Shape
from ketwire.protocols.repeaters import Supplies
from ketwire.protocols.stream import Passage, Stage, StreamPlan, Tally, run_stream
from ketwire.quantum.gradients.estimation import Demand
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.parameter_shift import shift_plan


@dataclass(frozen=True)
class GradientSlice:
    """A party's part of the circuit, and the plan of a session.

    plan: of a whole inference; the stream of a visit is like it except for its way
    passages: of |Φ> to the owner of each visit, in order; empty where inferences are shifted
    """

    part: Part
    plan: StreamPlan
    terms: Terms
    passages: dict[int, Passage]


@dataclass(frozen=True)
class VisitTold:
    """What an owner tells of a visit: copies that came to be measured and those that were; of a stream of its own, how
    many copies were emitted and had to be, and the range of what a copy says of a derivative."""

    held: int
    used: int
    attempted: int | None = None
    needed: float | None = None
    range: float | None = None


@dataclass(frozen=True)
class Gradients(Outcome):
    """An owner's derivatives by visit, and copies; attempted, needed: of all shifted inferences together."""

    gradients: dict[int, NDArray[np.float64]]
    visits: dict[int, VisitTold] = field(default_factory=dict)
    attempted: int | None = None
    needed: float | None = None


class _Party:
    """What one party holds, and the streams of a session."""

    Slice, Outcome = GradientSlice, Gradients

    def __init__(self, slice: GradientSlice, load: Loader) -> None:
        self.told = slice
        share = share_of(slice.part, load)
        self.segments = {visit: frozen(segment, share.trainable[visit]) for visit, segment in share.segments.items()}
        self.share = Share(share.path, share.qubits, share.projector, self.segments)
        self.inputs = input_of(slice.part, load)
        self.shapes = {"qubits": Shape(slice.part.qubits, "protocol.qubits")}
        self.supplies = Supplies()
        for visit in self.mine:
            self.shapes |= public_numbers(slice.terms, self.segments[visit].circuit, visit)

    @property
    def mine(self) -> list[int]:
        """This party's visits with parameters."""
        return [visit for visit, segment in self.segments.items() if segment.circuit.parameter_count]


class GradientParty(_Party):
    """Any party of a session that estimates from copies of |Φ>."""

    async def run(self, node: Node) -> Gradients | None:
        told: dict[int, VisitTold] = {}
        gradients = {}
        agreed = Agreement.of(self.told.terms, node.public)
        for visit, passage in self.told.passages.items():
            route = Route(self.share.path, visit, self.share.qubits)
            plan = self.told.plan.along(route.parties, route.sizes, passage, agreed.copies[visit])
            if not plan.has_part(node.name):
                continue
            estimator = made_estimator(self.told.terms.estimator, agreed.groups.get(visit))
            reader = reader_at(node, self.share, route, estimator, 1, plan.want)
            stage = FeatureStage(self.share, route, self.inputs, reader)
            tally = await run_stream(node, plan, stage if node.name in plan.path else None, self.supplies)
            if self.share.path[visit] == node.name:
                estimate = stage.read(node, 1, estimator, agreed.promise)
                gradients[visit] = estimate.values[0]
                asked = agreed.numbers[visit]
                assert isinstance(asked, Demand)
                # A copy says of a derivative a number between -sums and sums: public, and 1/2 for one rotation.
                told[visit] = VisitTold(
                    plan.want, int(estimate.used[0]), int(tally.attempted[0]), tally.needed, 2.0 * asked.sums
                )
        return Gradients(gradients, told, known_ps=node.read_ps) if told else None


class ShiftParty(_Party):
    """Any party of a session of shifted inferences."""

    async def run(self, node: Node) -> Gradients | None:
        agreed, path = Agreement.of(self.told.terms, node.public), self.share.path
        if not self.told.plan.has_part(node.name):
            return None
        plans = {visit: shift_plan(self.segments[visit]) for visit in self.mine}
        attempted, needed = 0, 0.0

        async def stream(visit: int, stage: Stage | None) -> Tally:
            nonlocal attempted, needed
            plan = replace(self.told.plan, want=agreed.copies[visit])
            tally = await run_stream(node, plan, stage, self.supplies)
            attempted += int(tally.attempted[0])
            needed += tally.needed
            return tally

        found = await run_shifted(node, self.share, self.inputs, 1, agreed.runs, agreed.copies, plans, stream)
        if not plans:
            return None
        copies = {visit: agreed.copies[visit] * agreed.runs[visit] for visit in plans}
        told = {visit: VisitTold(count, count) for visit, count in copies.items()}
        gradients = {visit: values[0] for visit, values in found.items()}
        # The last party has its outcomes when they are read; the others when they are told.
        known_ps = node.read_ps if node.name == path[-1] else None
        return Gradients(gradients, told, attempted, needed, known_ps=known_ps)
