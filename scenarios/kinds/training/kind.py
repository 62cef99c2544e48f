"""The kind `training`: a circuit whose layers belong to many parties, trained on the wire."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ketwire.channels.planning.budget import Crossing, path_survival, refusal, round_copies
from ketwire.channels.planning.representation import differing
from ketwire.channels.streams import derive_key
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Run, Session, SessionResult
from ketwire.protocols.gradient.agreement import Agreement
from ketwire.protocols.gradient.features import Route
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.training.data import Schedule
from ketwire.protocols.training.holding import Holding
from ketwire.protocols.training.rivals import decided_by, train_alone
from ketwire.scenarios.kinds.descriptions import DESCRIPTION_BITS, angles_of, blank
from ketwire.scenarios.kinds.imperfect import gates_err, refuse_unstated
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.layer_specs import Hadamards, Rotations
from ketwire.scenarios.kinds.margin import margin_of
from ketwire.scenarios.kinds.paths import chains_of, layer_values, layers_of, route_of
from ketwire.scenarios.kinds.routes import crossings_of, flags_of
from ketwire.scenarios.kinds.training.models import TrainingReference, TrainingResult, TrainingSummary
from ketwire.scenarios.kinds.training.results import baseline, summary
from ketwire.scenarios.kinds.training.spec import TrainingSpec

PROGRAMS = {
    "training": "training",
    "backprop": "training/backprop",
    "raw-data": "training/raw-data",
    "description": "training/description",
}


class Training(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = TrainingSpec
    Result = TrainingResult

    def sessions(self, spec: TrainingSpec, network: Network) -> Sequence[Session]:
        path, visits = _path(spec, network)
        _refuse_frozen(spec)
        refuse_unstated(spec.estimator, [path[visit] for visit in _trained(spec, visits)], network.hardware)
        common = _common(spec, network, path, visits)
        sessions = [_session("training", spec, network, path, visits, common)]
        for bits in spec.rivals.backprop:
            name = f"backprop-{bits}-bit"
            sessions.append(_session(name, spec, network, path, visits, {**common, "bits": bits}))
        for bits in _description_bits(spec):
            told = {**common, "bits": bits, "angles": _angles(spec, path, visits)}
            sessions.append(_session(f"description-{bits}-bit", spec, network, path, visits, told))
        for bits in spec.rivals.raw:
            told = {"path": path, "qubits": spec.qubits, "constant": spec.data.constant, "bits": bits}
            sessions.append(_raw_session(f"raw-data-{bits}-bit", spec, network, path, told))
        return sessions

    def check(self, spec: TrainingSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        """A batch that there are rows for, and the budget of each stream: of a step, of validations, of the end."""
        if session.role != "quantum":
            return
        path, _ = _path(spec, network)
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
        _check_memory(spec, path, rows, public["test rows"], batch)
        asked: list[tuple[int | None, int, int, str]] = [(None, spec.loss_copies, batch, "loss_copies")]
        asked += [(None, spec.test_copies, max(rows, public["test rows"]), "test_copies")]
        asking = session.slices[path[0]].values["agreed"]
        agreed = Agreement.of(asking, public)
        agreed.refuse_few(asking)
        if spec.adaptive is not None and spec.adaptive.most < (needed := max(agreed.copies.values())):
            raise ScenarioError(
                f"protocol.adaptive.most: {spec.adaptive.most} given, expected at least the {needed} copies that the "
                "promise asks for"
            )
        asked += _of_gradients(spec, agreed, batch)
        if spec.validation is not None:
            asked += [(None, spec.validation.copies, kept, "validation.copies")]
        for visit, copies, samples, key in asked:
            needed = samples if spec.estimator == "exact" else copies * samples
            reason = refusal(_crossings(spec, network, path, visit), needed, int(spec.budget_attempts))
            if reason is not None:
                raise ScenarioError(f"protocol.{key}: {reason}")

    def summarise(self, spec: TrainingSpec, results: Sequence[SessionResult], judge: Judge) -> TrainingSummary:
        path, visits = _path(spec, judge.network)
        return summary(spec, path, sum(bool(indices) for indices in visits), results, judge)

    def exact(self, spec: TrainingSpec, network: Network, loaders: Mapping[str, Loader]) -> TrainingReference:
        """The same training with exact gradients, in one place: its losses and its accuracy."""
        whole, last, states = self._in_one_place(spec, network, loaders)
        assert last.objective is not None and last.labels is not None
        labels, schedule = last.labels.of, last.schedule(len(states["train"]))
        losses = train_alone(whole, last.objective, labels["train"], states["train"], schedule, spec.steps)
        right = decided_by(whole, last.objective, states["test"]) == labels["test"]
        return TrainingReference(
            exact_losses=list(losses),
            exact_test_accuracy=float(right.mean()),
            baseline_accuracy=baseline(spec, loaders[spec.start], network),
        )

    def retraced(
        self, spec: TrainingSpec, network: Network, run: Run, results: Sequence[SessionResult]
    ) -> TrainingReference:
        """What running the quantum session once more shows: each step's gradient beside the exact one."""
        from ketwire.scenarios.kinds.training.check import Whole, gradient_errors  # noqa: PLC0415

        whole, last, states = self._in_one_place(spec, network, network.loaders())
        errors = gradient_errors(run, results[0], Whole(whole, last, states["train"]), network.base)
        return TrainingReference(gradient_error=errors)

    def _in_one_place(
        self, spec: TrainingSpec, network: Network, loaders: Mapping[str, Loader]
    ) -> tuple[Holding, Holding, dict[str, Any]]:
        """Who holds everybody's layers, who judges, and the samples' states by part."""
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
        return whole, last, states


def _path(spec: TrainingSpec, network: Network) -> tuple[list[str], list[list[int]]]:
    """The party at each visit, and the indices of the layers that it applies there."""
    as_inference: Any = spec  # what a route needs of a spec, `start` and `layers`, both kinds have
    path, visits = route_of(as_inference, network)
    if len(path) == 1:
        raise ScenarioError(
            f"protocol.layers: all at {path[0]} given, which holds the samples; expected some at another node"
        )
    return path, visits


def _refuse_frozen(spec: TrainingSpec) -> None:
    """Refuse a `trainable` that names what has no angles, or nobody's."""
    able = sorted(spec.with_angles)
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


def _check_memory(spec: TrainingSpec, path: Sequence[str], train: int, test: int, batch: int) -> None:
    """Refuse registers that this machine cannot hold.

    The encoded rows stay with their owner; with the flags they go out once more, of the larger part all at once,
    when all is over. Every party has a few messages in hand, of |Φ> with a qubit more, and an owner a batch of it.
    """
    wide = 16 << (spec.qubits + flags_of(spec.layers))
    needs = (train + test) * (16 << spec.qubits) + 2 * max(train, test) * wide
    needs += 2 * (batch + 4 * len(set(path))) * wide
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needs > installed:
        raise ScenarioError(
            f"protocol.qubits: {spec.qubits} given, which takes about {needs / 2**30:.3g} GiB for {train + test} rows "
            f"and {len(set(path))} parties; expected registers that fit the {installed / 2**30:.3g} GiB of this machine"
        )


def _description_bits(spec: TrainingSpec) -> Sequence[int]:
    """Widths of the angles that are described.

    Raises:
        ScenarioError: it is asked for, and a layer that would have to be sent holds more than angles.
    """
    private = [
        index for index, layer in enumerate(spec.layers)
        if layer.at != spec.start and not isinstance(layer, Rotations | Hadamards)
    ]  # fmt: skip
    asked = spec.rivals.description
    if asked and private:
        raise ScenarioError(
            f"protocol.rivals.description: {asked} given, expected [] or null, as layers.{private[0]} holds more than "
            f"angles and would have to be sent to {spec.start}"
        )
    return () if private else DESCRIPTION_BITS if asked is None else asked


def _angles(spec: TrainingSpec, path: Sequence[str], visits: Sequence[Sequence[int]]) -> dict[str, int]:
    """How many angles each party but the first has, which describe what it does."""
    counts = dict.fromkeys(path[1:], 0)
    counts.pop(path[0], None)
    for party, indices in zip(path, visits, strict=True):
        if party in counts:
            counts[party] += angles_of(spec, indices) or 0
    return counts


def _trained(spec: TrainingSpec, visits: Sequence[Sequence[int]]) -> list[int]:
    """Visits with angles that move."""
    return [visit for visit, indices in enumerate(visits) if spec.moving & set(indices)]


def _crossings(spec: TrainingSpec, network: Network, path: Sequence[str], visit: int | None) -> list[Crossing]:
    """What a register of an inference crosses, or that of |Φ> for a visit."""
    parties, sizes = _way(spec, path, visit)
    return crossings_of(network, parties, sizes)


def _way(spec: TrainingSpec, path: Sequence[str], visit: int | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The party at each visit of such a register, and its qubits on each crossing."""
    qubits = spec.qubits + flags_of(spec.layers)
    if visit is None:
        return tuple(path), (qubits,) * (len(path) - 1)
    route = Route(tuple(path), visit, qubits)
    return route.parties, route.sizes


def _common(
    spec: TrainingSpec, network: Network, path: Sequence[str], visits: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """What is public."""
    trained = _trained(spec, visits)
    passages: dict[str, list[Crossing]] = {"forward": _crossings(spec, network, path, None)}
    passages |= {str(visit): _crossings(spec, network, path, visit) for visit in trained}
    crossings = [crossing for each in passages.values() for crossing in each]
    parties = {name: _way(spec, path, None if name == "forward" else int(name))[0] for name in passages}
    hardware = {party: network.hardware[party] for party in path if party in network.hardware}
    return {
        "path": list(path),
        "qubits": spec.qubits,
        "flags": flags_of(spec.layers),
        "trained": trained,
        "schedule_key": derive_key(network.workload, "shared randomness", "batches").hex(),
        "agreed": {
            "estimator": {"name": spec.estimator},
            "copies": 1 if spec.estimator == "exact" else spec.copies,
            "epsilon": spec.epsilon,
            "delta": spec.delta,
            "derived": trained,
        },
        "chains": {name: chains_of(parties[name], each).get("chains", []) for name, each in passages.items()},
        "margin": margin_of(spec.margin),
        "round_copies": {name: round_copies(each) for name, each in passages.items()},
        "survivals": {name: path_survival(each) for name, each in passages.items()},
        "shared_rows": differing(crossings, hardware) is None and not gates_err(hardware.values()),
        "optimiser": _optimiser(spec),
        "validation": spec.validation.model_dump(mode="json") if spec.validation is not None else None,
        "adaptive": spec.adaptive.model_dump(mode="json") if spec.adaptive is not None else None,
        "budget_attempts": int(spec.budget_attempts),
        **{name: getattr(spec, name) for name in _PLAIN},
    }


def _optimiser(spec: TrainingSpec) -> dict[str, Any]:
    """Its settings as `ketwire.protocols.training.optimisers` names them: a schedule by the steps that it takes."""
    settings = spec.optimiser.model_dump(mode="json")
    falls = settings.pop("schedule") == "cosine"
    return {**settings, "horizon": spec.steps if falls else None}


def _of_gradients(spec: TrainingSpec, agreed: Agreement, batch: int) -> list[tuple[int | None, int, int, str]]:
    """What a step's derivatives take: the visit whose |Φ> it is, copies of each of so many samples, and their key."""
    counted = [(agreed.copies, "copies")]
    if spec.adaptive is not None:
        counted.append((dict.fromkeys(agreed.copies, spec.adaptive.most), "adaptive.most"))
    if not agreed.runs:
        return [(visit, each[visit], batch, key) for each, key in counted for visit in each]
    # Shifted runs go the way of an inference, whosoever's angles they shift.
    totals = ((sum(each[visit] * runs for visit, runs in agreed.runs.items()), key) for each, key in counted)
    return [(None, copies, batch, key) for copies, key in totals]


def _repeaters(common: Mapping[str, Any]) -> list[str]:
    """Who makes pairs for the registers and never has one."""
    chains = [chain["nodes"][1:-1] for chain in common["chains"]["forward"] if chain is not None]
    return [name for name in dict.fromkeys(name for nodes in chains for name in nodes) if name not in common["path"]]


_PLAIN = (
    "steps",
    "batch",
    "estimator",
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
    if kind == "training":
        slices |= {repeater: Slice({**common, "visits": {}}) for repeater in _repeaters(common)}
    if kind == "description":
        # How the layers look is public, what is in them is not: the first party is told the first alone.
        others = {
            str(visit): [{**_told(spec, network, index), **blank(spec, index)} for index in indices]
            for visit, indices in enumerate(visits)
            if path[visit] != path[0]
        }
        start = slices[path[0]].values
        objective = spec.objective.model_dump(mode="json")
        slices[path[0]] = Slice({**start, "visits": {**start["visits"], **others}, "objective": objective})
    role: Literal["quantum", "rival"] = "quantum" if kind == "training" else "rival"
    return Session(name, role, PROGRAMS[kind], slices, restartable=kind != "description")


def _raw_session(
    name: str, spec: TrainingSpec, network: Network, path: Sequence[str], told: Mapping[str, Any]
) -> Session:
    """The samples cross and no layer matters: parties have data and labels alone."""
    slices = {party: Slice() for party in network.parties}
    for party in dict.fromkeys(path):
        slices[party] = Slice({**told, **_data_values(spec, network, party, path)})
    return Session(name, "rival", PROGRAMS["raw-data"], slices)


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
    return Slice({**common, "visits": mine, **_data_values(spec, network, party, path)})


def _data_values(spec: TrainingSpec, network: Network, party: str, path: Sequence[str]) -> dict[str, Any]:
    """Where samples or labels are, at the parties that have them."""
    values: dict[str, Any] = {}
    if party == path[0]:
        parts = {part: getattr(spec.data, part).located(network.base) for part in ("train", "test")}
        values["data"] = {**parts, "standardise": spec.data.standardise, "constant": spec.data.constant}
    if party == path[-1]:
        values["labels"] = {part: getattr(spec.labels, part).located(network.base) for part in ("train", "test")}
        values["objective"] = spec.objective.model_dump(mode="json")
    return values


def _told(spec: TrainingSpec, network: Network, index: int) -> dict[str, Any]:
    """One layer for its owner's slice."""
    as_inference: Any = spec
    flag = flags_of(spec.layers, before=index)
    return {**layer_values(as_inference, network, index), "trainable": index in spec.moving, "flag": flag}


