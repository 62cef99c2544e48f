"""The way of a register through the parties, by the layers of a spec, and what each party is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from ketwire.channels.planning.budget import Crossing, path_survival, round_copies
from ketwire.errors import ScenarioError
from ketwire.protocols.layers import Part
from ketwire.protocols.paths import visits_at
from ketwire.protocols.stream import Passage
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.schema.chains import plan_of
from ketwire.scenarios.schema.strict import some


def route_of(spec: InferenceSpec, network: Network) -> tuple[list[str], list[list[int]]]:
    """The party at each visit, and the indices of the layers that it applies there."""
    path, visits = [spec.start], [[]]  # type: tuple[list[str], list[list[int]]]
    known = frozenset(network.parties)
    for index, layer in enumerate(spec.layers):
        if layer.at not in known:
            raise ScenarioError(
                f"protocol.layers.{index}.at: {layer.at!r} given, expected a node: {some(network.parties)}"
            )
        if layer.at != path[-1]:
            path.append(layer.at)
            visits.append([])
        visits[-1].append(index)
    if spec.start not in known:
        raise ScenarioError(f"protocol.start: {spec.start!r} given, expected a node: {some(network.parties)}")
    for a, b in pairwise(path):
        if network.link(a, b) is None:
            raise ScenarioError(f"protocol.layers: the register goes from {a} to {b}, expected a link between them")
        if network.is_hop(a, b):
            raise ScenarioError(
                f"protocol.layers: the register goes from {a} to {b}, expected another way: a chain of repeaters "
                "makes its pairs over that link"
            )
    return path, visits


def passage_of(path: Sequence[str], crossings: Sequence[Crossing], certain: bool = True) -> Passage:
    """How copies come through the crossings of a path; certain: only a crossing loses any."""
    chains = tuple(plan_of(each.line, *ends) for each, ends in zip(crossings, pairwise(path), strict=True))
    survival = path_survival(crossings)
    return Passage(survival, survival == 1.0 and certain, round_copies(crossings), chains if any(chains) else ())


def part_of(
    spec: InferenceSpec,
    network: Network,
    party: str,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    flags: int = 0,
    told: Callable[[int], dict[str, Any]] | None = None,
) -> Part:
    """One party's part of the circuit: its own layers, and the input if it starts.

    told: a layer by its number, as its owner is told it; `layer_values` where there is none.
    """
    mine = layers_of(party, path, visits, told or (lambda index: layer_values(spec, network, index)))
    starts = party == path[0]
    source = spec.input.located(network.base) if starts and spec.input is not None else None
    return Part(tuple(path), spec.qubits, flags, mine, starts, source)


def layers_of(
    party: str, path: Sequence[str], visits: Sequence[Sequence[int]], told: Callable[[int], dict[str, Any]]
) -> dict[int, list[Any]]:
    """A party's own layers by visit, each as `told` tells it from its index."""
    own = ((visit, visits[visit]) for visit in visits_at(path, party))
    return {visit: [told(index) for index in indices] for visit, indices in own if indices}


def layer_values(spec: InferenceSpec, network: Network, index: int) -> dict[str, Any]:
    """One layer for its owner's slice, sources located, with its key in the scenario."""
    layer = spec.layers[index]
    told = {
        name: value.located(network.base) if hasattr(value, "located") else value
        for name, value in ((name, getattr(layer, name)) for name in type(layer).model_fields)
    }
    return {**told, "key": f"protocol.layers.{index}"}
