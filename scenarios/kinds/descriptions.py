"""The rival that sends angles (`description`): where it can run, who collects, and what each party is told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session
from ketwire.protocols.paths import visits_at
from ketwire.quantum.layers import givens
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.layer_specs import Givens, Hadamards, Rotations
from ketwire.scenarios.kinds.paths import layers_of

DESCRIPTION_BITS = (8,)


class _Plan(NamedTuple):
    """Who collects, how many angles each party has, and how the layers of others look, by visit."""

    collector: str
    angles: dict[str, int]
    others: dict[int, list[Any]]


def description_sessions(
    spec: InferenceSpec,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    slices: Mapping[str, Any],
    program: str,
) -> list[Session]:
    """A session for each width: those that the scenario asks for, else 8 bits where it can run.

    slices: a dataclass for each party, with all that it is told but `bits`, `collector`, `angles` and `others`.

    Raises:
        ScenarioError: the scenario asks for it, and it cannot run.
    """
    plan, wanted = _plan(spec, path, visits), spec.description
    if isinstance(plan, str):
        if wanted:
            raise ScenarioError(f"protocol.description: {wanted} given, expected [] or null, as {plan}")
        return []
    sessions = []
    for bits in DESCRIPTION_BITS if wanted is None else wanted:
        told: dict[str, Any] = {"bits": bits, "collector": plan.collector, "angles": plan.angles}
        own = {party: replace(slice, **told) for party, slice in slices.items()}
        own[plan.collector] = replace(own[plan.collector], others=plan.others)
        sessions.append(Session(f"description-{bits}-bit", "rival", program, own))
    return sessions


def _plan(spec: InferenceSpec, path: Sequence[str], visits: Sequence[Sequence[int]]) -> _Plan | str:
    """The plan, or why there is none."""
    parties = list(dict.fromkeys(path))
    if len(parties) == 1:
        return "the register never leaves its node"
    owned = {party: [index for visit in visits_at(path, party) for index in visits[visit]] for party in parties}
    counts = {party: angles_of(spec, owned[party]) for party in parties}
    if path[0] in counts and spec.input is not None:
        counts[path[0]] = None  # the input is no angle
    private = [party for party in parties if counts[party] is None]
    if len(private) > 1:
        return f"{' and '.join(private)} hold more than angles, and one node alone can have all"
    # The one whose own is dearest collects, the last of equal ones: it need not tell anybody.
    sizes = {party: math.inf if count is None else count for party, count in counts.items()}
    collector = max(reversed([*parties, path[-1]]), key=lambda party: (sizes[party], party == path[-1]))
    told = {party: count or 0 for party, count in counts.items()}
    others: dict[int, list[Any]] = {}
    for party in parties:
        if party != collector:
            others |= layers_of(party, path, visits, lambda index: blank(spec, index))
    return _Plan(collector, told, others)


def angles_of(spec: Any, indices: Sequence[int]) -> int | None:
    """How many angles these layers of a spec have; None where one holds anything else."""
    count = 0
    for index in indices:
        layer = spec.layers[index]
        if isinstance(layer, Rotations):
            count += layer.sublayers * len(layer.axes) * spec.qubits
        elif isinstance(layer, Givens):
            count += givens(layer.first or spec.qubits, layer.sublayers, layer.distances).parameter_count
        elif not isinstance(layer, Hadamards):
            return None
    return count


def blank(spec: Any, index: int) -> dict[str, Any]:
    """How a layer of angles or of none looks, which is public, without what is in it."""
    layer = spec.layers[index].model_dump(mode="json", exclude={"angles"})
    return {**layer, "angles": {"random": "angles"}, "key": f"protocol.layers.{index}"}
