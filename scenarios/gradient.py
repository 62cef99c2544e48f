"""The kind `gradient`: all partial derivatives of a circuit that many parties hold, estimated on the wire."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ketwire.channels.budget import Crossing, path_survival, refusal
from ketwire.channels.eve import InterceptResend
from ketwire.channels.hardware import Hardware
from ketwire.channels.representation import differing, expected_rows
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.features import Route, share_of, with_flags
from ketwire.protocols.gradient import made_estimator
from ketwire.protocols.inference import input_state
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.outline import outline
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.estimation import Promise
from ketwire.quantum.features import Block, blocks_of
from ketwire.quantum.frozen import frozen
from ketwire.quantum.gradients import exact_gradients
from ketwire.quantum.grouped import strangers
from ketwire.quantum.parameter_shift import ParameterShift
from ketwire.quantum.segments import Segment
from ketwire.scenarios.gradient_report import compared, summary
from ketwire.scenarios.gradient_spec import AnyEstimator, Commuting, GradientSpec
from ketwire.scenarios.imperfect import gates_err, refuse_unstated
from ketwire.scenarios.inference import Contraction, chains_of, layer_values, route_of
from ketwire.scenarios.kinds import Judge, Network

NOISY_COPIES = 1000
"""Whose mean is the noisy mean, where nobody says how many the reference is to have."""
UNPROMISED = Promise(0.5, 0.5, 1)
"""Told to estimators that are given copies and read no promise."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What is public of a circuit on its network: the way of the register, and the gates without their angles."""

    spec: GradientSpec
    network: Network
    path: tuple[str, ...]
    visits: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, spec: GradientSpec, network: Network) -> Layout:
        path, visits = route_of(spec, network)
        return cls(spec, network, tuple(path), tuple(map(tuple, visits)))

    def layers(self, visit: int) -> list[dict[str, Any]]:
        """The layers of a visit as their owner's slice has them; contractions with the flag that each has."""
        told = []
        for index in self.visits[visit]:
            values = layer_values(self.spec, self.network, index)
            if isinstance(self.spec.layers[index], Contraction):
                values["flag"] = sum(isinstance(layer, Contraction) for layer in self.spec.layers[:index])
            told.append(values)
        return told

    @cached_property
    def circuits(self) -> dict[int, Circuit]:
        """Outlines of the unitaries with parameters that may move, by visit."""
        made = {v: outline(self.layers(v), self.spec.qubits, self.spec.flags) for v in range(len(self.path))}
        return {visit: circuit for visit, circuit in made.items() if circuit.parameter_count}

    @property
    def parameters(self) -> int:
        return sum(circuit.parameter_count for circuit in self.circuits.values())

    @property
    def starts(self) -> dict[int, int]:
        """The number of the first parameter of each visit, counted through the circuit."""
        counts = [circuit.parameter_count for circuit in self.circuits.values()]
        return dict(zip(self.circuits, np.cumsum([0, *counts[:-1]]).tolist(), strict=True))

    @property
    def promise(self) -> Promise:
        if self.spec.epsilon is None or self.spec.delta is None:
            return UNPROMISED
        return Promise(self.spec.epsilon, self.spec.delta, self.parameters)

    def route(self, visit: int) -> Route:
        return Route(self.path, visit, self.spec.total_qubits)

    @property
    def whole(self) -> Route:
        """The way of an inference: there, and not back."""
        return self.route(len(self.path) - 1)

    def crossings(self, route: Route) -> list[Crossing]:
        found = []
        for (sender, receiver), qubits in zip(pairwise(route.parties), route.sizes, strict=True):
            link = self.network.link(sender, receiver)
            assert link is not None
            line = next(line for a, b, line in link.directions() if (a, b) == (sender, receiver))
            found.append(Crossing(link.name, line, qubits))
        return found

    @cached_property
    def is_noisy(self) -> bool:
        """Whether anything but loss befalls a copy on the way of some |Phi>, or its readout errs."""
        nodes = self.hardware
        owners = {self.path[visit] for visit in self.circuits}
        last = {self.path[-1]} if any(each.name == "parameter-shift" for each in self.spec.estimators) else set()
        errs = any(node.p_gate1 or node.p_gate2 for node in nodes.values())
        errs |= any(nodes[party].p_prepare for party in owners | {self.path[0]} if party in nodes)
        errs |= any(nodes[party].p_readout for party in owners | last if party in nodes)
        return errs or any(
            differing(crossings, self.hardware) is not None
            or expected_rows(crossings, 2) > 1.0
            or any(isinstance(each.line.eve, InterceptResend) for each in crossings)
            for crossings in (self.crossings(self.route(visit)) for visit in self.circuits)
        )

    @property
    def hardware(self) -> dict[str, Hardware]:
        """Of the parties on the path that are not perfect."""
        return {party: self.network.hardware[party] for party in self.path if party in self.network.hardware}

    def stream(self, route: Route, copies: int) -> dict[str, Any]:
        """The plan of one stream, as slices carry it."""
        crossings = self.crossings(route)
        survival = path_survival(crossings)
        return {
            "visit": route.visit,
            "copies": copies,
            "survival": survival,
            "certain": survival == 1.0,
            # A copy that met errors of its own has a state of its own.
            "shared": not gates_err(self.hardware.values()),
            **chains_of(route.parties, crossings),
        }


@lru_cache(maxsize=8)
def _blocks(circuit: Circuit) -> tuple[Block, ...]:
    return blocks_of(circuit)


class Gradient:
    """See `ketwire.scenarios.kinds.Kind`."""

    Spec = GradientSpec

    def sessions(self, spec: GradientSpec, network: Network) -> Sequence[Session]:
        layout = Layout.of(spec, network)
        _check_memory(layout)
        if not layout.circuits:
            raise ScenarioError("protocol.layers: no trainable rotations given, expected a parameter to derive by")
        for each in spec.estimators:
            refuse_unstated(each.name, [layout.path[visit] for visit in layout.circuits], layout.hardware)
        common = {
            "path": list(layout.path),
            "qubits": spec.qubits,
            "flags": spec.flags,
            "max_batch_octets": spec.max_batch_octets,
            "budget_attempts": int(spec.budget_attempts),
            "window": spec.window,
            "promise": {name: getattr(layout.promise, name) for name in ("epsilon", "delta", "parameters")},
        }
        made = []
        for index, (name, each) in enumerate(zip(spec.session_names(), spec.estimators, strict=True)):
            own = _shift_plan(layout, each) if each.name == "parameter-shift" else _feature_plan(layout, each, index)
            program = "ShiftParty" if each.name == "parameter-shift" else "GradientParty"
            slices = {party: _slice(layout, party, {**common, **own}) for party in network.parties}
            made.append(Session(name, "quantum", f"ketwire.protocols.gradient:{program}", slices))
        for bits in spec.dense_state.bits if spec.dense_state is not None else ():
            own = {"path": list(layout.path), "qubits": spec.qubits, "bits": bits, "first_owner": min(layout.circuits)}
            slices = {party: _slice(layout, party, own) for party in network.parties}
            program = "ketwire.protocols.gradient_rival:DenseGradientParty"
            made.append(Session(f"dense-state-{bits}-bit", "rival", program, slices))
        return made

    def check(self, spec: GradientSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if session.role != "quantum":
            return
        layout = Layout.of(spec, network)
        total = 0.0
        for route, copies in _streams(layout, session):
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

    def foreseen(self, spec: GradientSpec, session: Session) -> Mapping[str, int]:
        """Nothing that `check` looks at is left to data."""
        return {"qubits": spec.qubits}

    def summarise(self, spec: GradientSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
        return summary(spec, Layout.of(spec, judge.network), results)

    def compared(self, spec: GradientSpec, result: Mapping[str, Any]) -> dict[str, Any]:
        """Errors, whether promises were kept, and who took least."""
        return compared(spec, result)

    def exact(self, spec: GradientSpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
        layout = Layout.of(spec, network)
        public = {"path": list(layout.path), "qubits": spec.qubits, "flags": spec.flags}
        segments: dict[int, Segment] = {}
        for party in dict.fromkeys(layout.path):
            slice = _slice(layout, party, public)
            share = share_of(slice.values, loaders[party])
            segments |= {visit: frozen(each, share.trainable[visit]) for visit, each in share.segments.items()}
            if "input" in slice.values:
                inputs = with_flags(input_state(slice.values["input"], spec.qubits, loaders[party]), spec.flags)
        ordered = [segments[visit] for visit in sorted(segments)]
        found = exact_gradients(ordered, inputs, share.projector)
        return {"exact": np.concatenate([part[0] for part in found])}


def _slice(layout: Layout, party: str, common: Mapping[str, Any]) -> Slice:
    """What one party is given: the public plan, its own layers, and the input if it starts."""
    owned = [visit for visit, owner in enumerate(layout.path) if owner == party and layout.visits[visit]]
    values = {**common, "visits": {str(visit): layout.layers(visit) for visit in owned}}
    if party == layout.path[0]:
        source = layout.spec.input
        values["input"] = source.located(layout.network.base) if source is not None else None
    return Slice(values)


# ---------------------------------------------------------------- copies


def _feature_plan(layout: Layout, each: AnyEstimator, index: int) -> dict[str, Any]:
    """The streams of an estimator that reads |Phi>, one for each visit with parameters."""
    chosen = _groups(layout, each, f"protocol.estimators.{index}") if isinstance(each, Commuting) else {}
    routes = []
    for visit, circuit in layout.circuits.items():
        tool = made_estimator(each.settings, chosen.get(visit))
        copies = each.copies or layout.spec.copies
        if each.name == "exact":
            copies = each.copies or (NOISY_COPIES if layout.is_noisy else 1)
        copies = copies or tool.copies(_blocks(circuit), layout.promise)
        told = layout.stream(layout.route(visit), copies)
        routes.append(told | ({"groups": chosen[visit]} if chosen else {}))
    return {"estimator": each.settings, "routes": routes}


def _shift_plan(layout: Layout, each: AnyEstimator) -> dict[str, Any]:
    tool, circuits = ParameterShift(), list(layout.circuits.values())
    copies = each.copies or layout.spec.copies or tool.copies(circuits, layout.promise)
    runs = [[visit, tool.runs([circuit])] for visit, circuit in layout.circuits.items()]
    return {"runs": runs, "whole": layout.stream(layout.whole, copies)}


def _streams(layout: Layout, session: Session) -> list[tuple[Route, int]]:
    """Every stream of a session: its route and the copies that are to arrive."""
    values = next(iter(session.slices.values())).values
    if "runs" in values:
        return [(layout.whole, values["whole"]["copies"] * sum(count for _, count in values["runs"]))]
    return [(layout.route(told["visit"]), told["copies"]) for told in values["routes"]]


def _groups(layout: Layout, each: Commuting, key: str) -> dict[int, list[list[int]]]:
    """Explicit blocks as groups of each unitary's own parameters; empty where there are none.

    Raises:
        ScenarioError: they are no partition, or parameters of one block share no frame.
    """
    if each.blocks is None:
        return {}
    seen = sorted(number for block in each.blocks for number in block)
    if seen != list(range(layout.parameters)):
        raise ScenarioError(
            f"{key}.blocks: {each.blocks} given, expected each of the parameters 0 to {layout.parameters - 1} once"
        )
    groups: dict[int, list[list[int]]] = {visit: [] for visit in layout.circuits}
    for index, block in enumerate(each.blocks):
        visit = max(visit for visit, start in layout.starts.items() if start <= block[0])
        start, circuit = layout.starts[visit], layout.circuits[visit]
        others = [number for number in block if not start <= number < start + circuit.parameter_count]
        local = [number - start for number in block]
        pair = (local[0], others[0] - start) if others else strangers(_blocks(circuit), local)
        if pair is not None:
            raise ScenarioError(
                f"{key}.blocks.{index}: parameters {pair[0] + start} and {pair[1] + start} together given, expected "
                "parameters that share a frame: rotations of one layer about one axis, with no gate between"
            )
        groups[visit].append(local)
    return groups


# ---------------------------------------------------------------- refusals


def _check_memory(layout: Layout) -> None:
    """Refuse registers that this machine cannot hold: see `scenarios.inference`; |Phi> has a qubit more."""
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
