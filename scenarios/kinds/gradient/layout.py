"""What a gradient's scenario alone says of its circuit on its network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ketwire.channels.eve import InterceptResend
from ketwire.channels.hardware import Hardware
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.planning.representation import differing, expected_rows
from ketwire.protocols.gradient.features import Route
from ketwire.protocols.layers import Part
from ketwire.protocols.stream import Passage, StreamPlan
from ketwire.scenarios.kinds.gradient.spec import GradientSpec
from ketwire.scenarios.kinds.imperfect import gates_err
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.layer_specs import Contraction
from ketwire.scenarios.kinds.margin import margin_of
from ketwire.scenarios.kinds.paths import layer_values, part_of, passage_of, route_of
from ketwire.scenarios.kinds.routes import crossings_of, flags_of


@dataclass(frozen=True, eq=False)
class Layout:
    """What a scenario alone says of a circuit on its network: the way of the register, and whose angles move where."""

    spec: GradientSpec
    network: Network
    path: tuple[str, ...]
    visits: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, spec: GradientSpec, network: Network) -> Layout:
        path, visits = route_of(spec, network)
        return cls(spec, network, tuple(path), tuple(map(tuple, visits)))

    @cached_property
    def derived(self) -> list[int]:
        """Visits with angles that may move, for each of which there is a |Phi>."""
        return [visit for visit, layers in enumerate(self.visits) if any(map(self.moves, layers))]

    def moves(self, index: int) -> bool:
        """Whether the derivatives by a layer's angles are wanted."""
        layer = self.spec.layers[index]
        return getattr(layer, "trainable", False) and getattr(layer, "angles", None) is not None

    def route(self, visit: int) -> Route:
        return Route(self.path, visit, self.spec.total_qubits)

    @property
    def whole(self) -> Route:
        """The way of an inference: there, and not back."""
        return self.route(len(self.path) - 1)

    def crossings(self, route: Route) -> list[Crossing]:
        return crossings_of(self.network, route.parties, route.sizes)

    @cached_property
    def is_noisy(self) -> bool:
        """Whether a copy meets noise other than loss on the way of some |Phi>, or its readout errs."""
        nodes = self.hardware
        owners = {self.path[visit] for visit in self.derived}
        last = {self.path[-1]} if any(each.name == "parameter-shift" for each in self.spec.estimators) else set()
        errs = any(node.p_gate1 or node.p_gate2 for node in nodes.values())
        errs |= any(nodes[party].p_prepare for party in owners | {self.path[0]} if party in nodes)
        errs |= any(nodes[party].p_readout for party in owners | last if party in nodes)
        return errs or any(
            differing(crossings, self.hardware) is not None
            or expected_rows(crossings, 2) > 1.0
            or any(isinstance(each.line.eve, InterceptResend) for each in crossings)
            for crossings in (self.crossings(self.route(visit)) for visit in self.derived)
        )

    @property
    def hardware(self) -> dict[str, Hardware]:
        """Of the parties on the path that are not perfect."""
        return {party: self.network.hardware[party] for party in self.path if party in self.network.hardware}

    def passage(self, route: Route) -> Passage:
        return passage_of(route.parties, self.crossings(route))

    @cached_property
    def plan(self) -> StreamPlan:
        """Of a whole inference; parties agree on its copies."""
        spec = self.spec
        return StreamPlan(
            self.path,
            self.passage(self.whole),
            want=1,
            items=1,
            qubits=spec.total_qubits,
            max_batch_octets=spec.max_batch_octets,
            margin=margin_of(spec.margin),
            budget_attempts=int(spec.budget_attempts),
            # A copy that met errors of its own has a state of its own.
            shared=not gates_err(self.hardware.values()),
            window=spec.window,
        )

    def part(self, party: str) -> Part:
        """What a party is told of the circuit: its own layers, contractions with the flag that each has."""
        return part_of(self.spec, self.network, party, self.path, self.visits, self.spec.flags, self._layer)

    def _layer(self, index: int) -> dict[str, Any]:
        values = layer_values(self.spec, self.network, index)
        if isinstance(self.spec.layers[index], Contraction):
            values["flag"] = flags_of(self.spec.layers, before=index)
        return values
