"""The kind `training`: a circuit whose layers belong to many parties, trained on the wire."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ketwire.channels.hardware import told as told_hardware
from ketwire.channels.line_values import told
from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.channels.planning.representation import differing
from ketwire.channels.streams import derive_key
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Run, Session, SessionResult
from ketwire.protocols.gradient.agreement import Agreement, Terms
from ketwire.protocols.gradient.features import Route
from ketwire.protocols.layers import Part
from ketwire.protocols.node import Loader
from ketwire.protocols.stream import StreamPlan
from ketwire.protocols.training.data import PARTS, Data, Judging, Schedule
from ketwire.protocols.training.description import DescriptionSlice
from ketwire.protocols.training.holding import Holding, Model, Validation
from ketwire.protocols.training.plan import Adaptive, TrainingSlice
from ketwire.protocols.training.plan import Training as Told
from ketwire.protocols.training.rivals import BackpropSlice, RawDataSlice, decided_by, train_alone
from ketwire.scenarios.kinds.descriptions import DESCRIPTION_BITS, angles_of, blank
from ketwire.scenarios.kinds.imperfect import gates_err, refuse_unstated
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.margin import margin_of
from ketwire.scenarios.kinds.paths import layer_values, layers_of, passage_of, route_of
from ketwire.scenarios.kinds.routes import crossings_of, flags_of
from ketwire.scenarios.kinds.training.models import TrainingReference, TrainingResult, TrainingSummary
from ketwire.scenarios.kinds.training.results import baseline, summary
from ketwire.scenarios.kinds.training.spec import TrainingSpec


class Training(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = TrainingSpec
    Result = TrainingResult

    def sessions(self, spec: TrainingSpec, network: Network) -> Sequence[Session]:
        path, visits = _path(spec, network)
        _refuse_frozen(spec)
        refuse_unstated(spec.estimator, [path[visit] for visit in _trained(spec, visits)], network.hardware)
        sessions = [_quantum_session(spec, network, path, visits)]
        models = {party: _model(spec, network, party, path, visits) for party in dict.fromkeys(path)}
        for bits in spec.rivals.backprop:
            slices: dict[str, Any] = {
                party: BackpropSlice(spec.steps, spec.checkpoint_every, bits, models.get(party))
                for party in network.parties
            }
            sessions.append(Session(f"backprop-{bits}-bit", "rival", "training/backprop", slices, restartable=True))
        described = {**models, path[0]: _described(spec, network, models[path[0]], path, visits)}
        for bits in _description_bits(spec):
            angles = _angles(spec, path, visits)
            slices = {party: DescriptionSlice(own, bits, angles, spec.steps) for party, own in described.items()}
            sessions.append(Session(f"description-{bits}-bit", "rival", "training/description", slices))
        for bits in spec.rivals.raw:
            slices = {
                party: RawDataSlice(tuple(path), spec.qubits, spec.data.constant, bits, own.data, own.judging)
                for party, own in models.items()
            }
            sessions.append(Session(f"raw-data-{bits}-bit", "rival", "training/raw-data", slices))
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
        asking = session.slices[path[0]].training.terms
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
        held = {
            party: Holding(_model(spec, network, party, path, visits), loaders[party]) for party in dict.fromkeys(path)
        }
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
    """Refuse a `trainable` that names neither a layer with angles nor an owner of one."""
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
        if layer.at != spec.start and angles_of(spec, [index]) is None
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


def _quantum_session(
    spec: TrainingSpec, network: Network, path: Sequence[str], visits: Sequence[Sequence[int]]
) -> Session:
    trained = _trained(spec, visits)
    ways = {visit: _way(spec, path, visit)[0] for visit in trained}
    crossings = {visit: _crossings(spec, network, path, visit) for visit in (None, *trained)}
    hardware = {party: network.hardware[party] for party in path if party in network.hardware}
    plan = StreamPlan(
        tuple(path),
        passage_of(path, crossings[None]),
        want=1,
        items=1,
        qubits=spec.qubits + flags_of(spec.layers),
        max_batch_octets=spec.max_batch_octets,
        margin=margin_of(spec.margin),
        budget_attempts=int(spec.budget_attempts),
        shared=differing([each for way in crossings.values() for each in way], hardware) is None
        and not gates_err(hardware.values()),
        window=spec.window,
    )
    training = partial(
        Told,
        plan=plan,
        passages={visit: passage_of(ways[visit], crossings[visit]) for visit in trained},
        terms=Terms(
            {"name": spec.estimator}, 1 if spec.estimator == "exact" else spec.copies, spec.epsilon, spec.delta,
            tuple(trained),
        ),
        loss_copies=spec.loss_copies,
        test_copies=spec.test_copies,
        derivative_bits=spec.derivative_bits,
        adaptive=None if spec.adaptive is None else Adaptive(spec.adaptive.ratio, spec.adaptive.most),
    )  # fmt: skip
    slices = {
        party: TrainingSlice(
            spec.steps,
            spec.checkpoint_every,
            training(_model(spec, network, party, path, visits)) if plan.has_part(party) else None,
        )
        for party in network.parties
    }
    return Session("training", "quantum", "training", slices, restartable=True)


def _model(
    spec: TrainingSpec, network: Network, party: str, path: Sequence[str], visits: Sequence[Sequence[int]]
) -> Model:
    """The public plan, a party's own layers, and samples or labels where it has them."""
    base, validation = network.base, spec.validation
    data = {part: getattr(spec.data, part).located(base) for part in PARTS}
    labels = {part: getattr(spec.labels, part).located(base) for part in PARTS}
    objective = spec.objective.model_dump(mode="json")
    mine = layers_of(party, path, visits, lambda index: _told(spec, network, index))
    return Model(
        Part(tuple(path), spec.qubits, flags_of(spec.layers), mine),
        tuple(_trained(spec, visits)),
        derive_key(network.workload, "shared randomness", "batches").hex(),
        spec.batch,
        None if validation is None else Validation(**validation.model_dump(mode="json")),
        _optimiser(spec),
        _training(spec, network),
        Data(**data, standardise=spec.data.standardise, constant=spec.data.constant) if party == path[0] else None,
        Judging(objective, **labels) if party == path[-1] else None,
    )


def _described(
    spec: TrainingSpec, network: Network, start: Model, path: Sequence[str], visits: Sequence[Sequence[int]]
) -> Model:
    """What the start party holds that trains alone: how the layers of others look, which is public, and no more."""
    others = {
        visit: [{**_told(spec, network, index), **blank(spec, index)} for index in indices]
        for visit, indices in enumerate(visits)
        if path[visit] != path[0]
    }
    part = replace(start.part, visits={**start.part.visits, **others})
    judging = start.judging or Judging(spec.objective.model_dump(mode="json"))
    return replace(start, part=part, judging=judging)


def _training(spec: TrainingSpec, network: Network) -> str:
    """SHA-256 of what decides how a training ends: the protocol, both seeds, the links and what its nodes are like."""
    links = [[link.name, *link.ends, link.carries, told(link.forward), told(link.backward)] for link in network.links]
    hardware = {party: told_hardware(each) for party, each in network.hardware.items()}
    whole = [spec.model_dump(mode="json"), network.seed, network.workload, network.parties, links, hardware]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


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
    # Shifted runs go the way of an inference, for the angles of every owner.
    totals = ((sum(each[visit] * runs for visit, runs in agreed.runs.items()), key) for each, key in counted)
    return [(None, copies, batch, key) for copies, key in totals]


def _told(spec: TrainingSpec, network: Network, index: int) -> dict[str, Any]:
    """One layer for its owner's slice."""
    as_inference: Any = spec
    flag = flags_of(spec.layers, before=index)
    return {**layer_values(as_inference, network, index), "trainable": index in spec.moving, "flag": flag}


