"""All partial derivatives of the loss of a circuit that many parties hold, each estimated by its owner.

`GradientParty`: for each visit of the path whose unitary has parameters, in order, one stream brings the
copies of |Φ> that the estimator asks for to the owner (`protocols.features`), who then reads its derivatives
from them. Nothing else is said: no party but the owner learns a derivative. The plan is public, and so are
the copies of each |Φ>, which follow from the promise and from which gates there are.

`ShiftParty`: the rival without |Φ>, two whole inferences for each gate with a parameter. The gate's owner runs
its shifted circuit, everybody else knows from the plan how many runs there are. The party that measures ends
by telling each owner the outcomes of the owner's runs, over the links of the path.

Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 2; THEORY of this project, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.features import FeatureStage, Route, Share, run_circuit, share_of, with_flags
from ketwire.protocols.inference import input_state
from ketwire.protocols.node import Json, Loader, Node, Outcome, Shape, Slice
from ketwire.protocols.repeaters import Supplies, chain_plans
from ketwire.protocols.stream import Batch, StreamPlan, report_hops, run_stream
from ketwire.quantum.estimation import Estimator, Promise
from ketwire.quantum.estimators import FROM_FEATURES
from ketwire.quantum.frozen import frozen
from ketwire.quantum.grouped import Grouped
from ketwire.quantum.parameter_shift import ShiftPlan, shift_plan
from ketwire.quantum.segments import Segment


def made_estimator(values: Mapping[str, Json], groups: Sequence[Sequence[int]] | None = None) -> Estimator:
    """The estimator of a slice, `name` and settings; `groups` of one unitary's parameters, if it has any."""
    settings = dict(values)
    name = settings.pop("name")
    if groups is not None:
        return Grouped(tuple(map(tuple, groups)))
    return FROM_FEATURES[name](**settings)


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

    def stream(self, told: Mapping[str, Json], route: Route) -> StreamPlan:
        """The stream over a route: `told` has its copies, its survival and its chains."""
        values = self.values
        return StreamPlan(
            route.parties,
            told["survival"],
            told["certain"],
            told["copies"],
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
        promise = Promise(**self.values["promise"])
        for values in self.values["routes"]:
            visit = int(values["visit"])
            route = Route(self.share.path, visit, self.share.qubits)
            plan = self.stream(values, route)
            if not plan.has_part(node.name):
                continue
            stage = FeatureStage(self.share, route, self.inputs)
            tally = await run_stream(node, plan, stage if node.name in plan.path else None, self.supplies)
            if self.share.path[visit] == node.name:
                estimator = made_estimator(self.values["estimator"], values.get("groups"))
                estimate = stage.read(node, 1, estimator, promise)
                arrays[f"gradient-{visit}"] = estimate.values[0]
                measured = {"held": plan.want, "used": int(estimate.used[0]), "attempted": int(tally.attempted[0])}
                told[str(visit)] = measured
        return Outcome({"visits": told} if told else {}, arrays)


class ShiftStage:
    """One party's part in one inference, in which it may run another circuit at one visit."""

    def __init__(self, share: Share, inputs: States | None, replaced: Mapping[int, Segment]) -> None:
        self._share, self._inputs = share, inputs
        self._segments = {**share.segments, **replaced}

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._inputs is not None
        return node.prepare(self._inputs[batch.items], batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        segment = self._segments.get(visit)
        return copies if segment is None else run_circuit(node, segment.circuit, copies, segment.values)

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        return node.measure(copies, self._share.projector, groups, 1, keep)


class ShiftParty(_Party):
    """Any party of a session of shifted inferences; `runs` tells how many each visit's unitary has."""

    async def run(self, node: Node) -> Outcome:
        shape, runs = self.values["whole"], [(int(visit), int(count)) for visit, count in self.values["runs"]]
        path = self.share.path
        # The last visit is where |Φ> would turn: the register's way there is the whole path, without an ancilla.
        plan = self.stream(shape, Route(path, len(path) - 1, self.share.qubits))
        if not plan.has_part(node.name):
            return Outcome()
        plans = {visit: shift_plan(self.segments[visit]) for visit, _ in runs if path[visit] == node.name}
        zeros: dict[int, NDArray[np.int64]] = {visit: np.zeros(count, dtype=np.int64) for visit, count in runs}
        attempted = 0
        for visit, count in runs:
            for index in range(count):
                replaced = {visit: _shifted(plans[visit], index)} if visit in plans else {}
                stage = ShiftStage(self.share, self.inputs, replaced) if node.name in path else None
                tally = await run_stream(node, plan, stage, self.supplies)
                attempted += int(tally.attempted[0])
                if tally.counts is not None:
                    zeros[visit][index] = tally.counts[0, 0]
        heard = await _share_outcomes(node, path, runs, zeros, plan.want)
        gradients = {f"gradient-{visit}": plans[visit].gradient(heard[visit] / plan.want) for visit in plans}
        copies = {visit: plan.want * count for visit, count in runs if visit in plans}
        told = {str(visit): {"held": count, "used": count} for visit, count in copies.items()}
        return Outcome({"visits": told, "attempted": attempted} if told else {}, gradients)


def _shifted(plan: ShiftPlan, index: int) -> Segment:
    return Segment(plan.circuit, plan.angles[index])


async def _share_outcomes(
    node: Node,
    path: Sequence[str],
    runs: Sequence[tuple[int, int]],
    zeros: dict[int, NDArray[np.int64]],
    copies: int,
) -> dict[int, NDArray[np.int64]]:
    """Tell every owner how often each of its runs had the outcome that counts: backwards, over the path's links.

    What passes from party to party is what the listener needs, and those who hear from it.

    Raises:
        RemoteProtocolError: a peer told other numbers than the plan has.
    """
    hops = report_hops(path)
    needs = {party: {visit for visit, _ in runs if path[visit] == party} for party in path}
    for listener, teller in reversed(hops):
        if teller != path[-1]:
            needs[teller] |= needs[listener]
    bits = max(1, int(copies).bit_length())
    for listener, teller in hops:
        wanted = [(visit, count) for visit, count in runs if visit in needs[listener]]
        if not wanted or node.name not in (listener, teller):
            continue
        if teller == node.name:
            await node.send(listener, Answers(np.concatenate([zeros[visit] for visit, _ in wanted]), bits))
            continue
        values = (await node.receive(teller, Answers)).values
        if values.shape != (sum(count for _, count in wanted),) or ((values < 0) | (values > copies)).any():
            raise RemoteProtocolError(f"{teller} told other outcomes than {copies} copies of each run can have")
        ends = np.cumsum([count for _, count in wanted])[:-1]
        zeros |= {visit: part for (visit, _), part in zip(wanted, np.split(values, ends), strict=True)}
    return zeros
