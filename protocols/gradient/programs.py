"""All partial derivatives of the loss of a circuit that many parties hold, each estimated by its owner.

`GradientParty`: for each visit of the path whose unitary has parameters, in order, one stream brings the
copies of |Φ> that the estimator asks for to the owner (`protocols.gradient.features`), who then reads its derivatives
from them. Nothing else is said: no party but the owner learns a derivative. Copies follow from the promise and
from the few numbers of its unitary that each owner tells before the start (`protocols.gradient.outline`).

`ShiftParty`: the rival without |Φ>, two whole inferences for each gate with a parameter (`protocols.gradient.shifts`).

Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 2; THEORY of this project, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ketwire.channels.copies import States
from ketwire.protocols.gradient.agreement import Agreement, made_estimator, public_numbers
from ketwire.protocols.gradient.features import FeatureStage, Route, Share, reader_at, share_of, with_flags
from ketwire.protocols.gradient.shifts import run_shifted
from ketwire.protocols.inference import input_state
from ketwire.protocols.node import Figures, Json, Loader, Node, Outcome, Shape, Slice
from ketwire.protocols.repeaters import Supplies, chain_plans
from ketwire.protocols.stream import Stage, StreamPlan, Tally, run_stream
from ketwire.quantum.gradients.estimation import Demand
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.parameter_shift import shift_plan


class _Party:
    """What one party holds, and the streams of a session: `values` has what is public, and its own layers."""

    def __init__(self, slice: Slice, load: Loader) -> None:
        self.values = slice.values
        share = share_of(slice.values, load)
        self.segments = {visit: frozen(segment, share.trainable[visit]) for visit, segment in share.segments.items()}
        self.share = Share(share.path, share.qubits, share.projector, self.segments)
        bare, flags = int(slice.values["qubits"]), int(slice.values["flags"])
        self.inputs: States | None = None
        if "input" in slice.values:
            self.inputs = with_flags(input_state(slice.values["input"], bare, load), flags)
        self.shapes = {"qubits": Shape(bare, "protocol.qubits")}
        self.supplies = Supplies()
        for visit in self.mine:
            self.shapes |= public_numbers(self.values, self.segments[visit].circuit, visit)

    @property
    def mine(self) -> list[int]:
        """This party's visits with parameters."""
        return [visit for visit, segment in self.segments.items() if segment.circuit.parameter_count]

    def stream(self, told: Mapping[str, Json], route: Route, copies: int) -> StreamPlan:
        """The stream over a route: `told` has its survival and its chains."""
        values = self.values
        return StreamPlan(
            route.parties,
            told["survival"],
            told["certain"],
            copies,
            items=1,
            qubits=route.qubits,
            max_batch_octets=values["max_batch_octets"],
            budget_attempts=values["budget_attempts"],
            shared=told["shared"],
            chains=chain_plans(told.get("chains", ())),
            sizes=route.sizes,
            window=values["window"],
            margin=values["margin"],
            round_copies=told["round_copies"],
        )


class GradientParty(_Party):
    """Any party of a session that estimates from copies of |Φ>."""

    async def run(self, node: Node) -> Outcome | None:
        told: dict[str, Any] = {}
        arrays = {}
        agreed = Agreement.of(self.values, node.public)
        for values in self.values["routes"]:
            visit = int(values["visit"])
            route = Route(self.share.path, visit, self.share.qubits)
            plan = self.stream(values, route, agreed.copies[visit])
            if not plan.has_part(node.name):
                continue
            estimator = made_estimator(self.values["estimator"], agreed.groups.get(visit))
            reader = reader_at(node, self.share, route, estimator, 1, plan.want)
            stage = FeatureStage(self.share, route, self.inputs, reader)
            tally = await run_stream(node, plan, stage if node.name in plan.path else None, self.supplies)
            if self.share.path[visit] == node.name:
                estimate = stage.read(node, 1, estimator, agreed.promise)
                arrays[f"gradient-{visit}"] = estimate.values[0]
                asked = agreed.numbers[visit]
                assert isinstance(asked, Demand)
                used = {"held": plan.want, "used": int(estimate.used[0])}
                emitted = {"attempted": int(tally.attempted[0]), "needed": tally.needed}
                # A copy says of a derivative a number between -sums and sums: public, and 1/2 for one rotation.
                told[str(visit)] = {**used, **emitted, "range": 2.0 * asked.sums}
        return Figures({"visits": told} if told else {}, arrays, known_ps=node.read_ps) if told or arrays else None


class ShiftParty(_Party):
    """Any party of a session of shifted inferences."""

    async def run(self, node: Node) -> Outcome | None:
        agreed, path = Agreement.of(self.values, node.public), self.share.path
        # The last visit is where |Φ> would turn: the register's way there is the whole path, without an ancilla.
        route = Route(path, len(path) - 1, self.share.qubits)
        streams = {visit: self.stream(self.values["whole"], route, copies) for visit, copies in agreed.copies.items()}
        if not next(iter(streams.values())).has_part(node.name):
            return None
        plans = {visit: shift_plan(self.segments[visit]) for visit in self.mine}
        attempted, needed = 0, 0.0

        async def stream(visit: int, stage: Stage | None) -> Tally:
            nonlocal attempted, needed
            tally = await run_stream(node, streams[visit], stage, self.supplies)
            attempted += int(tally.attempted[0])
            needed += tally.needed
            return tally

        found = await run_shifted(node, self.share, self.inputs, 1, agreed.runs, agreed.copies, plans, stream)
        copies = {visit: agreed.copies[visit] * agreed.runs[visit] for visit in plans}
        told = {str(visit): {"held": count, "used": count} for visit, count in copies.items()}
        gradients = {f"gradient-{visit}": values[0] for visit, values in found.items()}
        # The last party has its outcomes when they are read; the others when they are told.
        known_ps = node.read_ps if node.name == path[-1] else None
        values = {"visits": told, "attempted": attempted, "needed": needed} if told else {}
        return Figures(values, gradients, known_ps=known_ps) if told else None
