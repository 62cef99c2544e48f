"""The kind `training`: a circuit whose layers belong to many parties, trained on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from ketwire.channels.budget import Crossing, path_survival, refusal
from ketwire.channels.representation import differing
from ketwire.channels.streams import derive_key
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.features import Route
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.training import copies_at
from ketwire.protocols.training_data import Schedule
from ketwire.protocols.training_holding import Holding
from ketwire.protocols.training_rivals import forwarded_accuracy, train_alone
from ketwire.scenarios.inference import Contraction, Hadamards, Rotations, layer_values, layers_of, route_of
from ketwire.scenarios.kinds import Judge, Network
from ketwire.scenarios.training_results import baseline, summary
from ketwire.scenarios.training_spec import TrainingSpec

PROGRAMS = {
    "training": "ketwire.protocols.training:TrainingParty",
    "backprop": "ketwire.protocols.training_rivals:BackpropParty",
    "raw-data": "ketwire.protocols.training_rivals:RawDataParty",
}
ERRORS = ("p_prepare", "p_gate1", "p_gate2", "p_readout")
PUBLIC_LAYERS = (Rotations, Hadamards)


class Training:
    """See `ketwire.scenarios.kinds.Kind`."""

    Spec = TrainingSpec

    def sessions(self, spec: TrainingSpec, network: Network) -> Sequence[Session]:
        path, visits = _path(spec, network)
        _refuse_frozen(spec)
        _refuse_imperfect(network, path)
        common = _common(spec, network, path, visits)
        sessions = [_session("training", spec, network, path, visits, common)]
        for bits in spec.rivals.backprop:
            name = f"backprop-{bits}-bit"
            sessions.append(_session(name, spec, network, path, visits, {**common, "bits": bits}))
        _refuse_private(spec)
        for bits in spec.rivals.raw:
            name = f"raw-data-{bits}-bit"
            sessions.append(_session(name, spec, network, path, visits, {**common, "bits": bits}))
        return sessions

    def check(self, spec: TrainingSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        """A batch that there are rows for, and the budget of each stream: of a step, of validations, of the end."""
        if session.role != "quantum":
            return
        path, visits = _path(spec, network)
        rows = public["train rows"]
        share = spec.validation.share if spec.validation is not None else 0.0
        schedule = Schedule(bytes(32), rows, spec.batch, share)
        trained_on, kept = len(schedule.training), len(schedule.validation)
        if spec.batch is not None and spec.batch > trained_on:
            raise ScenarioError(
                f"protocol.batch: {spec.batch} given, expected at most the {trained_on} rows that are trained on, or "
                "null for all of them"
            )
        batch = spec.batch or trained_on
        asked: list[tuple[int | None, int, int, str]] = [(None, spec.loss_copies, batch, "loss_copies")]
        asked += [(None, spec.test_copies, max(rows, public["test rows"]), "test_copies")]
        asked += [(visit, public[copies_at(visit)], batch, "copies") for visit in _trained(spec, visits)]
        if spec.validation is not None:
            asked += [(None, spec.validation.copies, kept, "validation.copies")]
        if spec.adaptive is not None:
            asked += [(visit, spec.adaptive.most, batch, "adaptive.most") for visit in _trained(spec, visits)]
        for visit, copies, samples, key in asked:
            needed = samples if spec.estimator == "exact" else copies * samples
            reason = refusal(_crossings(spec, network, path, visit), needed, int(spec.budget_attempts))
            if reason is not None:
                raise ScenarioError(f"protocol.{key}: {reason}")

    def summarise(self, spec: TrainingSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
        path, visits = _path(spec, judge.network)
        return summary(spec, path, sum(bool(indices) for indices in visits), results, judge)

    def exact(self, spec: TrainingSpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
        """The same training with exact gradients, in one place: its losses and its accuracy."""
        path, visits = _path(spec, network)
        common = _common(spec, network, path, visits)
        slices = {party: _slice(spec, network, party, path, visits, common) for party in dict.fromkeys(path)}
        held = {party: Holding(slices[party].values, loaders[party]) for party in slices}
        whole, last = held[path[0]], held[path[-1]]
        for other in held.values():
            whole.take_in(other)
        assert whole.samples is not None
        states = {
            part: whole.samples.states(part, np.arange(len(rows)), whole.flags)
            for part, rows in whole.samples.rows.items()
        }
        losses = train_alone(whole, last, states["train"], last.schedule(len(states["train"])), spec.steps)
        told = {"exact_losses": losses, "exact_test_accuracy": forwarded_accuracy(whole, last, states["test"], "test")}
        return {**told, "baseline_accuracy": baseline(spec, loaders[path[0]], network)}


def _path(spec: TrainingSpec, network: Network) -> tuple[list[str], list[list[int]]]:
    """The party at each visit, and the indices of the layers that it applies there."""
    as_inference: Any = spec  # what a route needs of a spec, `start` and `layers`, both kinds have
    path, visits = route_of(as_inference, network)
    if len(path) == 1:
        raise ScenarioError(
            f"protocol.layers: all at {path[0]} given, which holds the samples; expected some at another node"
        )
    for a, b in pairwise(path):
        link = network.link(a, b)
        assert link is not None
        if any(hasattr(line.transport, "via") for _, _, line in link.directions()):
            raise ScenarioError(
                f"protocol.layers: the register goes from {a} to {b}, whose link is a chain of repeaters; "
                "expected a link that joins them directly"
            )
    return path, visits


def _refuse_frozen(spec: TrainingSpec) -> None:
    """Refuse a `trainable` that names what has no angles, or nobody's."""
    able = [index for index, layer in enumerate(spec.layers) if isinstance(layer, Rotations)]
    if not able:
        raise ScenarioError("protocol.trainable: no layer has angles, expected one of rotations or more")
    if spec.trainable == "all":
        return
    owners = list(dict.fromkeys(spec.layers[index].at for index in able))
    for place, named in enumerate(spec.trainable):
        if named in spec.trainable[:place]:
            raise ScenarioError(f"protocol.trainable.{place}: {named!r} given a second time, expected each once")
        if named not in (*able, *owners):
            told = f"{', '.join(owners)}, or by number {', '.join(map(str, able))}"
            raise ScenarioError(
                f"protocol.trainable.{place}: {named!r} given, expected the owner of a layer with angles: {told}"
            )
    if not spec.trainable:
        raise ScenarioError("protocol.trainable: [] given, expected whose angles move")


def _refuse_imperfect(network: Network, path: Sequence[str]) -> None:
    """Estimators read perfectly, so nodes must, and what circuits err is not in their promise."""
    for party in dict.fromkeys(path):
        hardware = network.hardware.get(party)
        name = next((name for name in ERRORS if hardware is not None and getattr(hardware, name)), None)
        if name is not None:
            raise ScenarioError(
                f"nodes.{party}.{name}: {getattr(hardware, name):g} given, expected 0: "
                "training reads gradients on nodes without errors; a memory may decay"
            )


def _refuse_private(spec: TrainingSpec) -> None:
    private = [index for index, layer in enumerate(spec.layers) if not isinstance(layer, PUBLIC_LAYERS)]
    if spec.rivals.raw and private:
        raise ScenarioError(
            f"protocol.rivals.raw: {spec.rivals.raw} given, expected [], as layers.{private[0]} "
            "holds more than angles and cannot be sent as such"
        )


def _trained(spec: TrainingSpec, visits: Sequence[Sequence[int]]) -> list[int]:
    """Visits with angles that move."""
    return [visit for visit, indices in enumerate(visits) if spec.moving & set(indices)]


def _crossings(spec: TrainingSpec, network: Network, path: Sequence[str], visit: int | None) -> list[Crossing]:
    """What a register of an inference crosses, or that of |Φ> for a visit."""
    qubits = spec.qubits + _flags(spec)
    parties, sizes = tuple(path), (qubits,) * (len(path) - 1)
    if visit is not None:
        route = Route(parties, visit, qubits)
        parties, sizes = route.parties, route.sizes
    crossings = []
    for (sender, receiver), size in zip(pairwise(parties), sizes, strict=True):
        link = network.link(sender, receiver)
        assert link is not None
        line = next(line for a, b, line in link.directions() if (a, b) == (sender, receiver))
        crossings.append(Crossing(link.name, line, size))
    return crossings


def _flags(spec: TrainingSpec) -> int:
    return sum(isinstance(layer, Contraction) for layer in spec.layers)


def _common(
    spec: TrainingSpec, network: Network, path: Sequence[str], visits: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """What is public."""
    trained = _trained(spec, visits)
    passages: dict[str, list[Crossing]] = {"forward": _crossings(spec, network, path, None)}
    passages |= {str(visit): _crossings(spec, network, path, visit) for visit in trained}
    crossings = [crossing for each in passages.values() for crossing in each]
    hardware = {party: network.hardware[party] for party in path if party in network.hardware}
    layers = [spec.layers[index] for index in sorted(spec.moving)]
    parameters = sum(
        layer.sublayers * len(layer.axes) * spec.qubits for layer in layers if isinstance(layer, Rotations)
    )
    return {
        "path": list(path),
        "qubits": spec.qubits,
        "flags": _flags(spec),
        "trained": trained,
        "schedule_key": derive_key(network.seed, "shared randomness", "batches").hex(),
        # Estimators that count shots alone never look at the promise: any will do for them.
        "promise": {"epsilon": spec.epsilon or 1.0, "delta": spec.delta or 0.5, "parameters": parameters},
        "survivals": {name: path_survival(each) for name, each in passages.items()},
        "shared_rows": differing(crossings, hardware) is None,
        "optimiser": spec.optimiser.model_dump(mode="json"),
        "validation": spec.validation.model_dump(mode="json") if spec.validation is not None else None,
        "adaptive": spec.adaptive.model_dump(mode="json") if spec.adaptive is not None else None,
        "budget_attempts": int(spec.budget_attempts),
        **{name: getattr(spec, name) for name in _PLAIN},
    }


_PLAIN = (
    "steps",
    "batch",
    "estimator",
    "copies",
    "loss_copies",
    "test_copies",
    "window",
    "derivative_bits",
    "checkpoint_every",
    "max_batch_octets",
)


def _session(
    name: str,
    spec: TrainingSpec,
    network: Network,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    common: Mapping[str, Any],
) -> Session:
    beside = {"steps": spec.steps, "checkpoint_every": spec.checkpoint_every}
    slices = {party: Slice(beside) for party in network.parties}
    for party in dict.fromkeys(path):
        slices[party] = _slice(spec, network, party, path, visits, common)
    kind = next(kind for kind in PROGRAMS if name.startswith(kind))
    if kind == "raw-data":
        # How the layers look is public, what is in them is not: the last party is told the first alone.
        blank = {
            str(visit): [{**_told(spec, network, index), "angles": {"random": "angles"}} for index in indices]
            for visit, indices in enumerate(visits)
        }
        slices[path[-1]] = Slice({**slices[path[-1]].values, "all_visits": blank})
    role: Literal["quantum", "rival"] = "quantum" if kind == "training" else "rival"
    return Session(name, role, PROGRAMS[kind], slices, restartable=kind != "raw-data")


def _slice(
    spec: TrainingSpec,
    network: Network,
    party: str,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    common: Mapping[str, Any],
) -> Slice:
    """The public plan, a party's own layers, and samples or labels where it has them."""
    mine = layers_of(party, path, visits, lambda index: _told(spec, network, index))
    values: dict[str, Any] = {**common, "visits": mine}
    if party == path[0]:
        parts = {part: getattr(spec.data, part).located(network.base) for part in ("train", "test")}
        values["data"] = {**parts, "standardise": spec.data.standardise, "constant": spec.data.constant}
    if party == path[-1]:
        values["labels"] = {part: getattr(spec.labels, part).located(network.base) for part in ("train", "test")}
        values["objective"] = spec.objective.model_dump(mode="json")
    return Slice(values)


def _told(spec: TrainingSpec, network: Network, index: int) -> dict[str, Any]:
    """One layer for its owner's slice."""
    as_inference: Any = spec
    flag = sum(isinstance(layer, Contraction) for layer in spec.layers[:index])
    return {**layer_values(as_inference, network, index), "trainable": index in spec.moving, "flag": flag}


