"""The kind `gradient`: all partial derivatives of a circuit that many parties hold, estimated on the wire."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from ketwire.channels.hardware import Hardware
from ketwire.channels.planning.budget import path_survival, refusal
from ketwire.channels.planning.representation import differing, expected_rows
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.gradient.agreement import NO_FRAME, Agreement, Terms, frame_fact, public_numbers, starts_of
from ketwire.protocols.gradient.dense_rival import DenseGradientSlice
from ketwire.protocols.gradient.description import DescriptionSlice
from ketwire.protocols.gradient.features import Route, exact_derivatives, input_of, share_of
from ketwire.protocols.gradient.outline import outline
from ketwire.protocols.gradient.programs import GradientSlice
from ketwire.protocols.node import Loader, Shape
from ketwire.quantum.gradients.parameter_shift import ParameterShift
from ketwire.scenarios.kinds.descriptions import angles_of, description_sessions
from ketwire.scenarios.kinds.gradient.layout import Layout
from ketwire.scenarios.kinds.gradient.models import GradientResult, GradientSummary
from ketwire.scenarios.kinds.gradient.report import compared, summary
from ketwire.scenarios.kinds.gradient.spec import AnyEstimator, GradientSpec
from ketwire.scenarios.kinds.imperfect import gates_err, refuse_unstated
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.layer_specs import Givens
from ketwire.scenarios.kinds.result import Reference

NOISY_COPIES = 1000
"""The noisy mean is the mean of this many copies, where the number of the reference's is not given."""


class Gradient(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = GradientSpec
    Result = GradientResult

    def sessions(self, spec: GradientSpec, network: Network) -> Sequence[Session]:
        layout = Layout.of(spec, network)
        _check_memory(layout)
        if not layout.derived:
            raise ScenarioError("protocol.layers: no trainable angles given, expected a parameter to derive by")
        for each in spec.estimators:
            refuse_unstated(each.name, [layout.path[visit] for visit in layout.derived], layout.hardware)
        parts = {party: layout.part(party) for party in network.parties}
        made = []
        for name, each in zip(spec.session_names(), spec.estimators, strict=True):
            shifted = each.name == ParameterShift.name
            passages = {} if shifted else {visit: layout.passage(layout.route(visit)) for visit in layout.derived}
            program = "gradient/parameter-shift" if shifted else "gradient"
            terms = _terms(layout, each)
            slices = {party: GradientSlice(part, layout.plan, terms, passages) for party, part in parts.items()}
            made.append(Session(name, "quantum", program, slices))
        return [*made, *_rivals(layout)]

    def check(self, spec: GradientSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if session.role != "quantum":
            return
        layout = Layout.of(spec, network)
        terms = next(iter(session.slices.values())).terms
        agreed, index = Agreement.of(terms, public), spec.session_names().index(session.name)
        own = f"protocol.estimators.{index}"
        if terms.blocks is not None:
            _check_blocks(own, terms.blocks, agreed, public)
        agreed.refuse_few(terms, f"{own}.copies" if spec.estimators[index].copies is not None else "protocol.copies")
        total = 0.0
        for route, copies in _streams(layout, agreed):
            crossings = layout.crossings(route)
            reason = refusal(crossings, copies, int(spec.budget_attempts)) if crossings else None
            if reason is not None:
                raise ScenarioError(f"protocol.copies: {session.name}: {reason}")
            total += copies / path_survival(crossings)
            _check_rows(layout, session.name, route, copies)
        if total > spec.budget_attempts:
            raise ScenarioError(
                f"protocol.budget_attempts: {spec.budget_attempts:.1e} given, but {session.name} needs about "
                f"{total:.1e} attempts for all of its states; expected as many, fewer copies or a larger epsilon"
            )

    def foreseen(self, spec: GradientSpec, session: Session) -> Mapping[str, int] | None:
        """Nothing that `check` looks at is left to data, except for what an owner alone knows of its own layers."""
        told: dict[str, Shape] = {"qubits": Shape(spec.qubits, "protocol.qubits")}
        if session.role != "quantum":
            return {"qubits": spec.qubits}
        for slice in session.slices.values():
            for visit, layers in slice.part.visits.items():
                circuit = outline(layers, spec.qubits, spec.flags)
                if circuit is None:
                    return None
                if circuit.parameter_count:
                    told |= public_numbers(slice.terms, circuit, visit)
        return {name: shape.value for name, shape in told.items()}

    def summarise(self, spec: GradientSpec, results: Sequence[SessionResult], judge: Judge) -> GradientSummary:
        return summary(spec, Layout.of(spec, judge.network), results)

    def compared(self, spec: GradientSpec, summary: GradientSummary, result: GradientResult) -> GradientSummary:
        """With errors, whether promises were kept, and who took least."""
        return compared(spec, summary, result)

    def exact(self, spec: GradientSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        layout = Layout.of(spec, network)
        parts = {party: layout.part(party) for party in dict.fromkeys(layout.path)}
        shares = [share_of(part, loaders[party]) for party, part in parts.items()]
        first = layout.path[0]
        inputs = input_of(parts[first], loaders[first])
        assert inputs is not None
        return Reference(exact=np.concatenate(list(exact_derivatives(shares, inputs).values())).tolist())


def _rivals(layout: Layout) -> list[Session]:
    """The classical sessions: states at each width, and angles where they describe the circuit."""
    spec = layout.spec
    made: list[Session] = []
    parts = {party: layout.part(party) for party in layout.network.parties}
    for bits in spec.dense_state.bits if spec.dense_state is not None else ():
        slices = {party: DenseGradientSlice(part, bits, min(layout.derived)) for party, part in parts.items()}
        made.append(Session(f"dense-state-{bits}-bit", "rival", "gradient/dense-state", slices))
    derivatives = _derivatives(layout)
    largest = 1.0 if any(isinstance(layer, Givens) for layer in spec.layers) else 0.5
    described = {party: DescriptionSlice(part, 0, "", {}, derivatives, largest) for party, part in parts.items()}
    return [*made, *description_sessions(spec, layout.path, layout.visits, described, "gradient/description")]


def _derivatives(layout: Layout) -> dict[str, int]:
    """How many derivatives by angles of rotations each party wants."""
    counts = dict.fromkeys(layout.path, 0)
    for party, indices in zip(layout.path, layout.visits, strict=True):
        counts[party] += angles_of(layout.spec, [index for index in indices if layout.moves(index)]) or 0
    return counts


# ---------------------------------------------------------------- copies


def _terms(layout: Layout, each: AnyEstimator) -> Terms:
    """What parties agree by on the copies of an estimator."""
    spec, copies = layout.spec, each.copies or layout.spec.copies
    if each.name == "exact":
        copies = each.copies or (NOISY_COPIES if layout.is_noisy else 1)
    blocks = getattr(each, "blocks", None)
    return Terms(each.settings, copies, spec.epsilon, spec.delta, tuple(layout.derived), blocks)


def _streams(layout: Layout, agreed: Agreement) -> list[tuple[Route, int]]:
    """Every stream of a session: its route and the copies that are to arrive."""
    if agreed.runs:
        return [(layout.whole, sum(agreed.copies[visit] * count for visit, count in agreed.runs.items()))]
    return [(layout.route(visit), copies) for visit, copies in agreed.copies.items()]


def _check_blocks(key: str, blocks: list[list[int]], agreed: Agreement, public: Mapping[str, int]) -> None:
    """Refuse explicit blocks that are no partition, or whose parameters share no frame."""
    count, starts = agreed.promise.parameters, starts_of(agreed.numbers)
    if sorted(number for block in blocks for number in block) != list(range(count)):
        raise ScenarioError(
            f"{key}.blocks: {blocks} given, expected each of the parameters 0 to {count - 1} once"
        )
    frames = {
        start + own: (visit, public[frame_fact(own, visit)])
        for visit, start in starts.items()
        for own in range(agreed.numbers[visit].parameters)
    }
    for index, block in enumerate(blocks):
        torn = next((number for number in block if frames[number][1] == NO_FRAME), None)
        if torn is not None:
            raise ScenarioError(
                f"{key}.blocks.{index}: parameter {torn} given, expected parameters of one frame each: it feeds gates "
                "in several"
            )
        other = next((number for number in block if frames[number] != frames[block[0]]), None)
        if other is not None:
            raise ScenarioError(
                f"{key}.blocks.{index}: parameters {block[0]} and {other} together given, expected "
                "parameters that share a frame: rotations of one layer about one axis, with no gate between"
            )


# ---------------------------------------------------------------- refusals


def _check_memory(layout: Layout) -> None:
    """Refuse registers that this machine cannot hold: see `scenarios.kinds.inference.kind`; |Phi> has a qubit more."""
    states = 4 * len(set(layout.path)) * (16 << (layout.spec.total_qubits + 1))
    dense = sum(hasattr(layer, "matrix") for layer in layout.spec.layers)
    needs = states + dense * 8 * (16 << 2 * layout.spec.qubits)
    if needs > _installed():
        raise ScenarioError(
            f"protocol.qubits: {layout.spec.qubits} given, with {layout.spec.flags} flags, which takes about "
            f"{needs / 2**30:.3g} GiB; expected a register that fits the {_installed() / 2**30:.3g} GiB of this machine"
        )


def _check_rows(layout: Layout, name: str, route: Route, copies: int) -> None:
    """Refuse noisy copies that their owner could not keep until all are there."""
    crossings = layout.crossings(route)
    if name.startswith("parameter-shift") or not crossings:
        return
    if not layout.hardware.get(layout.path[route.visit], Hardware()).reads_perfectly:
        return  # they are read when they come
    apart = differing(crossings, layout.hardware) is not None or gates_err(layout.hardware.values())
    rows = copies if apart else min(copies, math.ceil(expected_rows(crossings, copies, copies)))
    octets = 3 * rows * (16 << (route.qubits + 1))
    if octets > _installed() / 2:
        raise ScenarioError(
            f"protocol.copies: {name} keeps {copies} copies of {route.qubits + 1} qubits that noise tells apart, about "
            f"{octets / 2**30:.3g} GiB; expected fewer copies, a larger epsilon or less noise"
        )


def _installed() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
