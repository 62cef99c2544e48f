"""Inference with `estimation: sampling`: every copy that arrives is measured."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ketwire.channels.copies import MAX_COPIES
from ketwire.channels.hardware import Hardware
from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.channels.planning.representation import Representation, chosen, differing
from ketwire.channels.planning.representation import refusal as density_refusal
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.inference import InferenceSlice
from ketwire.protocols.stream import OCTETS_PER_COPY, StreamPlan
from ketwire.scenarios.kinds.inference.models import SamplingSummary
from ketwire.scenarios.kinds.inference.rivals import compared, loss_of, rival_sessions
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.layer_specs import Contraction, Unitary
from ketwire.scenarios.kinds.margin import margin_of, retried
from ketwire.scenarios.kinds.paths import part_of, passage_of, route_of
from ketwire.scenarios.kinds.result import Finding, RunResult
from ketwire.scenarios.kinds.routes import crossings_of
from ketwire.scenarios.schema.sources import assumption

WITNESS_OCTETS = 1 << 26  # of density matrices that no two copies share, beyond which --check draws errors too


class Sampling:
    """See `ketwire.scenarios.kinds.inference.kind.Estimation`."""

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]:
        path, visits = route_of(spec, network)
        _check_memory(spec, path)
        crossings = _crossings(spec, network, path)
        hardware = {party: network.hardware[party] for party in path if party in network.hardware}
        representation = _representation(spec, crossings, hardware)
        plan = StreamPlan(
            tuple(path),
            passage_of(path, crossings, certain=not any(isinstance(x, Contraction) for x in spec.layers)),
            spec.measured_copies,
            items=1,
            qubits=spec.qubits,
            max_batch_octets=spec.max_batch_octets,
            margin=margin_of(spec.margin),
            budget_attempts=int(spec.budget_attempts),
            mixed=representation == "density",
            shared=representation == "trajectories" or differing(crossings, hardware) is None,
            window=spec.window,
        )
        parts = {party: part_of(spec, network, party, path, visits) for party in network.parties}
        slices = {party: InferenceSlice(part, plan) for party, part in parts.items()}
        sessions = [Session("inference", "quantum", "inference", slices)]
        return [*sessions, *rival_sessions(spec, network, path, visits, parts)]

    def check(self, spec: InferenceSpec, network: Network, session: Session) -> None:
        if session.role != "quantum":
            return
        path, _ = route_of(spec, network)
        crossings = _crossings(spec, network, path)
        reason = refusal(crossings, spec.measured_copies, int(spec.budget_attempts)) if crossings else None
        if reason is not None:
            raise ScenarioError(f"protocol.copies: {reason}")

    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], network: Network) -> SamplingSummary:
        quantum, *rivals = results
        (counts,) = quantum.outcomes.values()
        losses = {rival.name: loss_of(rival) for rival in rivals}
        return SamplingSummary(
            estimate=counts.zeros / counts.copies,
            copies=counts.copies,
            **retried(counts.attempted, counts.needed),
            representation=counts.representation,
            epsilon=spec.epsilon,
            delta=spec.delta,
            rivals={name: Finding(estimate=loss) for name, loss in losses.items()},
            **assumption(spec),
        )

    def compared(self, spec: InferenceSpec, summary: SamplingSummary, result: RunResult) -> SamplingSummary:
        return compared(spec, summary, result.exact)

    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        """The quantum session as --check runs it once more, and whether all its copies end in the same state.

        On density matrices where they fit and are few, as these average over all errors that copies draw.
        """
        path, _ = route_of(spec, network)
        crossings = _crossings(spec, network, path)
        hardware = {party: network.hardware[party] for party in path if party in network.hardware}
        quiet = not hardware and not any(each.line.touches_states for each in crossings)
        alike = differing(crossings, hardware) is None
        octets = 0 if alike else spec.measured_copies * (16 << 2 * spec.qubits)
        if quiet or octets > WITNESS_OCTETS or density_refusal(crossings, spec.qubits, spec.measured_copies, hardware):
            return session, quiet
        slices = {
            party: replace(slice, plan=replace(slice.plan, mixed=True, shared=alike))
            for party, slice in session.slices.items()
        }
        # Flags of a contraction that may be misread leave copies in different states.
        return replace(session, slices=slices), alike and not any(isinstance(x, Contraction) for x in spec.layers)


def _check_memory(spec: InferenceSpec, path: Sequence[str]) -> None:
    """Refuse registers that this machine cannot hold.

    A state is in memory about four times at each party (as it came, as it is worked on, as it goes, and
    in the socket), a dense matrix twice.
    """
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    states = 4 * len(set(path)) * (16 << spec.qubits)
    matrices = sum(isinstance(layer, Unitary | Contraction) for layer in spec.layers) * 2 * (16 << 2 * spec.qubits)
    if states + matrices > installed:
        raise ScenarioError(
            f"protocol.qubits: {spec.qubits} given, which takes about {(states + matrices) / 2**30:.3g} GiB for "
            f"{len(set(path))} parties; expected a register that fits the {installed / 2**30:.3g} GiB of this machine"
        )


def _crossings(spec: InferenceSpec, network: Network, path: Sequence[str]) -> list[Crossing]:
    return crossings_of(network, path, [spec.qubits] * (len(path) - 1))


def _representation(
    spec: InferenceSpec, crossings: Sequence[Crossing], hardware: Mapping[str, Hardware]
) -> Representation:
    """The representation that all parties are told; raises ScenarioError for density that does not fit."""
    if spec.representation == "auto":
        # Rows are shared within a batch alone.
        together = min(spec.measured_copies, MAX_COPIES, spec.max_batch_octets // OCTETS_PER_COPY)
        return chosen(crossings, spec.qubits, together, hardware)
    if spec.representation == "density":
        reason = density_refusal(crossings, spec.qubits, spec.measured_copies, hardware)
        if reason is not None:
            raise ScenarioError(f"protocol.representation: density given for {reason}")
    return spec.representation
