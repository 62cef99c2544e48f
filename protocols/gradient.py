"""All partial derivatives of the loss of a circuit that many parties hold, each estimated by its owner.

`GradientParty`: for each visit of the path whose unitary has parameters, in order, one stream brings the
copies of |Φ> that the estimator asks for to the owner (`protocols.features`), who then reads its derivatives
from them. Nothing else is said: no party but the owner learns a derivative. Copies follow from the promise and
from the few numbers of its unitary that each owner tells before the start (`protocols.outline`).

`ShiftParty`: the rival without |Φ>, two whole inferences for each gate with a parameter (`protocols.shifts`).

Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 2; THEORY of this project, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ketwire.channels.copies import States
from ketwire.protocols.features import FeatureStage, Route, Share, share_of, with_flags
from ketwire.protocols.inference import input_state
from ketwire.protocols.node import Json, Loader, Node, Outcome, Shape, Slice
from ketwire.protocols.outline import facts, heard, promise_of
from ketwire.protocols.repeaters import chain_plans
from ketwire.protocols.shifts import run_shifted
from ketwire.protocols.stream import Stage, StreamPlan, Tally, run_stream
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.estimation import Demand, Estimator, Promise
from ketwire.quantum.estimators import FROM_FEATURES
from ketwire.quantum.features import Block, blocks_of
from ketwire.quantum.frozen import frozen
from ketwire.quantum.grouped import Grouped
from ketwire.quantum.parameter_shift import ParameterShift, Shifts, shift_plan

NO_FRAME = -1
"""Told in the place of a block's number: a parameter feeds several blocks."""


def made_estimator(values: Mapping[str, Json], groups: Sequence[Sequence[int]] | None = None) -> Estimator:
    """The estimator of a slice, `name` and settings; `groups` of one unitary's parameters, if it has any."""
    settings = dict(values)
    name = settings.pop("name")
    if groups is not None:
        return Grouped(tuple(map(tuple, groups)))
    return FROM_FEATURES[name](**settings)


@dataclass(frozen=True)
class Agreement:
    """What all parties of a session work out alike from its public values and what owners told.

    copies: by visit, of its |Φ>, or of each of its shifted inferences. groups: explicit blocks, by visit, of its
    own parameters, counted from 0.
    """

    promise: Promise
    numbers: Mapping[int, Demand | Shifts]
    copies: Mapping[int, int]
    groups: Mapping[int, Sequence[Sequence[int]]]

    @classmethod
    def of(cls, values: Mapping[str, Json], public: Mapping[str, int]) -> Agreement:
        shifted = values["estimator"]["name"] == ParameterShift.name
        kind: type[Demand] | type[Shifts] = Shifts if shifted else Demand
        numbers = {int(told["visit"]): heard(kind, public, int(told["visit"])) for told in values["routes"]}
        promise = promise_of(values["epsilon"], values["delta"], numbers)
        groups = _groups(values.get("blocks"), numbers)
        copies = {}
        for visit, each in numbers.items():
            if values["copies"] is not None:
                copies[visit] = int(values["copies"])
            elif isinstance(each, Shifts):
                copies[visit] = ParameterShift().copies([each], promise)
            else:
                copies[visit] = made_estimator(values["estimator"], groups.get(visit)).copies(each, promise)
        return cls(promise, numbers, copies, groups)

    @property
    def runs(self) -> dict[int, int]:
        """Of shifted inferences, by visit."""
        return {visit: each.runs for visit, each in self.numbers.items() if isinstance(each, Shifts)}


def starts_of(numbers: Mapping[int, Demand | Shifts]) -> dict[int, int]:
    """The number of each visit's first parameter, counted through the circuit."""
    starts, count = {}, 0
    for visit, each in numbers.items():
        starts[visit] = count
        count += each.parameters
    return starts


def _groups(
    blocks: Sequence[Sequence[int]] | None, numbers: Mapping[int, Demand | Shifts]
) -> dict[int, list[list[int]]]:
    """Blocks of parameters counted through the circuit, as groups of each visit's own; of the visit of the first."""
    starts = starts_of(numbers)
    groups: dict[int, list[list[int]]] = {visit: [] for visit in numbers} if blocks is not None else {}
    for block in blocks or ():
        visit = max(visit for visit, start in starts.items() if start <= block[0])
        groups[visit].append([number - starts[visit] for number in block])
    return groups


def frame_fact(parameter: int, visit: int) -> str:
    """The name of the public fact which block reads a parameter; told where blocks are explicit."""
    return f"frame of parameter {parameter} at visit {visit}"


def frame_facts(blocks: Sequence[Block], visit: int) -> dict[str, Shape]:
    """The block that reads each parameter, by number, or `NO_FRAME` where there are several."""
    frames: dict[int, int] = {}
    for number, block in enumerate(blocks):
        for slot in block.slots:
            frames[slot] = NO_FRAME if slot in frames else number
    return {frame_fact(slot, visit): Shape(number, "protocol.layers") for slot, number in frames.items()}


def public_numbers(values: Mapping[str, Json], circuit: Circuit, visit: int) -> dict[str, Shape]:
    """What the owner of a visit tells of its unitary, for the estimator of the session."""
    if values["estimator"]["name"] == ParameterShift.name:
        return facts(Shifts.of(circuit), visit)
    blocks = blocks_of(circuit)
    frames = frame_facts(blocks, visit) if values.get("blocks") is not None else {}
    return {**facts(Demand.of(blocks), visit), **frames}


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
            chains=chain_plans(told.get("chains", ())),
            sizes=route.sizes,
            window=values["window"],
        )


class GradientParty(_Party):
    """Any party of a session that estimates from copies of |Φ>."""

    async def run(self, node: Node) -> Outcome:
        told: dict[str, Any] = {}
        arrays = {}
        agreed = Agreement.of(self.values, node.public)
        for values in self.values["routes"]:
            visit = int(values["visit"])
            route = Route(self.share.path, visit, self.share.qubits)
            plan = self.stream(values, route, agreed.copies[visit])
            if not plan.has_part(node.name):
                continue
            stage = FeatureStage(self.share, route, self.inputs)
            tally = await run_stream(node, plan, stage if node.name in plan.path else None)
            if self.share.path[visit] == node.name:
                estimator = made_estimator(self.values["estimator"], agreed.groups.get(visit))
                estimate = stage.read(node, 1, estimator, agreed.promise)
                arrays[f"gradient-{visit}"] = estimate.values[0]
                measured = {"held": plan.want, "used": int(estimate.used[0]), "attempted": int(tally.attempted[0])}
                told[str(visit)] = measured
        return Outcome({"visits": told} if told else {}, arrays)


class ShiftParty(_Party):
    """Any party of a session of shifted inferences."""

    async def run(self, node: Node) -> Outcome:
        agreed, path = Agreement.of(self.values, node.public), self.share.path
        # The last visit is where |Φ> would turn: the register's way there is the whole path, without an ancilla.
        route = Route(path, len(path) - 1, self.share.qubits)
        streams = {visit: self.stream(self.values["whole"], route, copies) for visit, copies in agreed.copies.items()}
        if not next(iter(streams.values())).has_part(node.name):
            return Outcome()
        plans = {visit: shift_plan(self.segments[visit]) for visit in self.mine}
        attempted = 0

        async def stream(visit: int, stage: Stage | None) -> Tally:
            nonlocal attempted
            tally = await run_stream(node, streams[visit], stage)
            attempted += int(tally.attempted[0])
            return tally

        found = await run_shifted(node, self.share, self.inputs, 1, agreed.runs, agreed.copies, plans, stream)
        copies = {visit: agreed.copies[visit] * agreed.runs[visit] for visit in plans}
        told = {str(visit): {"held": count, "used": count} for visit, count in copies.items()}
        gradients = {f"gradient-{visit}": values[0] for visit, values in found.items()}
        return Outcome({"visits": told, "attempted": attempted} if told else {}, gradients)
