"""The kind `graph`: logits of a graph network, estimated on registers that the owners of nodes load together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ketwire.channels.planning.budget import Crossing, path_survival
from ketwire.channels.planning.representation import chosen, differing
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.graph.program import DELTA, GraphSlice
from ketwire.protocols.graph.sides import Public, Side
from ketwire.protocols.node import Loader
from ketwire.protocols.stream import OCTETS_PER_COPY, StreamPlan
from ketwire.scenarios.kinds.graph.frame import Frame, frame_of
from ketwire.scenarios.kinds.graph.models import GraphFinding, GraphReference, GraphResult, GraphSummary, registers_text
from ketwire.scenarios.kinds.graph.reference import reference
from ketwire.scenarios.kinds.graph.rivals import rival_sessions
from ketwire.scenarios.kinds.graph.spec import GraphSpec, PlantedData
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.margin import margin_of, retried
from ketwire.scenarios.kinds.paths import passage_of
from ketwire.scenarios.kinds.routes import crossings_of
from ketwire.scenarios.schema.strict import some


class Graph(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = GraphSpec
    Result = GraphResult

    def sessions(self, spec: GraphSpec, network: Network) -> Sequence[Session]:
        frame = frame_of(spec, network)
        public = frame.public
        _check_ways(spec, public, network)
        sides = sides_of(frame, network)
        streams = () if over_budget(frame, network) else tuple(
            _stream(spec, public, item, frame.observables, network) for item in range(public.items)
        )
        slices = {
            party: GraphSlice(side, streams, frame.observables, frame.learning if party == spec.decider else None)
            for party, side in sides.items()
        }
        return [Session("graph", "quantum", "graph", slices), *rival_sessions(frame, network, sides)]

    def reads(self, spec: GraphSpec, base: str) -> Sequence[str]:
        return [] if isinstance(spec.data, PlantedData) else spec.data.files(base)

    def foreseen(self, spec: GraphSpec, session: Session) -> Mapping[str, int]:
        """Nothing is left to look at: budgets decide what a session does."""
        return {}

    def summarise(self, spec: GraphSpec, results: Sequence[SessionResult], judge: Judge) -> GraphSummary:
        frame = frame_of(spec, judge.network)
        quantum, *rivals = results
        measured, decided = quantum.outcomes[spec.network], quantum.outcomes[spec.decider]
        decisions, totals = len(frame.right), quantum.totals
        ran = decided.logits is not None
        found: dict[str, Any] = {"comparable": False, "verdict": "no winner: no copies were sent."}
        if ran:
            found = {"logits": decided.logits, "answers": frame.answers(decided.logits),
                     "estimate": decided.logits.reshape(-1)}  # fmt: skip
        return GraphSummary(
            **found,
            **retried(measured.attempted, measured.needed),
            ran=ran,
            not_run=over_budget(frame, judge.network),
            test_accuracy=frame.accuracy(decided.logits) if ran else None,
            decisions=decisions,
            copies=measured.measured,
            copies_per_item=spec.copies,
            registers=[frame.public.qubits(item) for item in range(frame.public.items)],
            alpha=measured.alpha,
            sizes=measured.sizes,
            constants=measured.constants,
            epsilon=decided.epsilon,
            delta=DELTA,
            qubits_per_decision=totals.qubits_sent / decisions,
            bits_per_decision=(totals.payload_bits + totals.control_bits) / decisions,
            ebits_per_decision=totals.ebits / decisions,
            rivals={rival.name: _finding(frame, rival, decisions) for rival in rivals},
        )

    def exact(self, spec: GraphSpec, network: Network, loaders: Mapping[str, Loader]) -> GraphReference:
        return reference(frame_of(spec, network))

    def compared(self, spec: GraphSpec, summary: GraphSummary, result: GraphResult) -> GraphSummary:
        if not (summary.answers and result.central_answers):
            return summary
        same = [a == b for a, b in zip(summary.answers, result.central_answers, strict=True)]
        told, central = summary.test_accuracy, result.central_accuracy
        change = None if told is None or central is None else told - central
        return summary.with_more(agreement=sum(same) / len(same), accuracy_change=change)


def _finding(frame: Frame, rival: SessionResult, decisions: int) -> GraphFinding:
    logits = rival.outcomes[frame.spec.network].logits[frame.learnt :]
    bits = rival.totals.payload_bits + rival.totals.control_bits
    return GraphFinding(test_accuracy=frame.accuracy(logits), bits_per_decision=bits / decisions)


def sides_of(frame: Frame, network: Network) -> dict[str, Side]:
    """What each party has."""
    spec, public = frame.spec, frame.public
    sides = {}
    for party in network.parties:
        has_graphs = party in spec.owners or party == spec.network
        has_model = party in (spec.network, spec.decider)
        data, model = frame.data_source if has_graphs else None, frame.model_source if has_model else None
        sides[party] = Side(public, data, model)
    return sides


def _check_ways(spec: GraphSpec, public: Public, network: Network) -> None:
    """Refuse parties that are not there, and ways without a link."""
    named = [*((f"owners.{index}", owner) for index, owner in enumerate(spec.owners)), ("network", spec.network)]
    for key, party in (*named, ("head", spec.decider)):
        if party not in network.parties:
            raise ScenarioError(f"protocol.{key}: {party!r} given, expected a node: {some(network.parties)}")
    for a, b in pairwise(public.path):
        if network.link(a, b) is None or network.is_hop(a, b):
            raise ScenarioError(f"protocol.owners: the register goes from {a} to {b}, expected a link between them")
    if public.head != public.network and network.link(public.network, public.head) is None:
        raise ScenarioError(f"protocol.head: {public.head!r} given, expected a node with a link to {public.network}")


def _crossings(public: Public, item: int, network: Network) -> list[Crossing]:
    return crossings_of(network, public.path, [public.qubits(item)] * (len(public.path) - 1))


def over_budget(frame: Frame, network: Network) -> str:
    """Why no copies are sent, or an empty text."""
    spec, public = frame.spec, frame.public
    survivals = [path_survival(_crossings(public, item, network)) for item in range(public.items)]
    needed = sum(spec.copies / each if each else math.inf for each in survivals)
    if needed <= spec.budget_attempts:
        return ""
    return (
        f"{registers_text(spec.copies, public.items)} take about {needed:.3g} attempts, and "
        f"protocol.budget_attempts is {spec.budget_attempts:.3g}"
    )


def _stream(spec: GraphSpec, public: Public, item: int, observables: int, network: Network) -> StreamPlan:
    """The stream of one item, for each of its observables."""
    crossings, qubits = _crossings(public, item, network), public.qubits(item)
    hardware = {party: network.hardware[party] for party in public.path if party in network.hardware}
    want = max(spec.copies // observables, 1)
    together = min(want, spec.max_batch_octets // OCTETS_PER_COPY)
    mixed = chosen(crossings, qubits, together, hardware) == "density"
    return StreamPlan(
        public.path,
        passage_of(public.path, crossings),
        want,
        items=1,
        qubits=qubits,
        max_batch_octets=spec.max_batch_octets,
        margin=margin_of(spec.margin),
        budget_attempts=int(min(spec.budget_attempts, 1e18)),
        mixed=mixed,
        shared=not mixed or differing(crossings, hardware) is None,
    )
