"""What a party of a training holds; the quantum protocol and its rivals start from the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.protocols.gradient.features import Share, parties_with_parameters, share_of
from ketwire.protocols.layers import LARGEST_ANGLE, Part, looks_of
from ketwire.protocols.node import Json, Loader, State
from ketwire.protocols.training.data import Data, Judging, Labels, Samples, Schedule, joined_shapes
from ketwire.protocols.training.objectives import Objective, objective
from ketwire.protocols.training.optimisers import OPTIMISERS, Optimiser
from ketwire.protocols.training.optimisers import State as Moments
from ketwire.quantum.grid import snap

Floats = NDArray[np.float64]

GRADIENT_BITS = 32
"""Behind the point, of a gradient that moves parameters and of derivatives of losses: 2e-10, far below shot noise."""


@dataclass(frozen=True)
class Validation:
    """Which share of the training rows is kept back, every how many steps it is looked at, and when training stops."""

    share: float
    every: int
    copies: int
    patience: int


@dataclass(frozen=True)
class Model:
    """What a party of a training has, and the public plan of it, for every way of training.

    trained: visits with parameters that move, anybody's. batch: samples of a step, None for all
    optimiser: its `name` and settings. data: at the start party. judging: at the party that judges
    training: SHA-256 that tells this training from others, public
    """

    part: Part
    trained: tuple[int, ...]
    schedule_key: str
    batch: int | None
    validation: Validation | None
    optimiser: Json
    training: str
    data: Data | None = None
    judging: Judging | None = None


class Holding:
    """One party's share of the circuit with its optimiser and, by its place, samples or labels."""

    def __init__(self, model: Model, load: Loader) -> None:
        self.model = model
        self.path, self.flags, self.trained = model.part.path, model.part.flags, model.trained
        self.last = len(self.path) - 1
        self.share: Share = share_of(model.part, load)
        self.mine = sorted(set(parties_with_parameters(self.share)) & set(self.trained))
        self.moments: dict[int, Moments] = {}
        self.optimiser: Optimiser = OPTIMISERS[model.optimiser["name"]](
            **{key: value for key, value in model.optimiser.items() if key != "name"}
        )
        for visit in self.mine:
            self.moments[visit] = self.optimiser.start(len(self.parameters(visit)))
        self.samples, self.objective, self.labels = held_data(model.data, model.judging, model.part.qubits, load)
        self.shapes = joined_shapes(self.samples, self.labels)

    def schedule(self, rows: int) -> Schedule:
        """Which rows each step takes, the same at every party."""
        share = self.model.validation.share if self.model.validation is not None else 0.0
        return Schedule(bytes.fromhex(self.model.schedule_key), rows, self.model.batch, share)

    def parameters(self, visit: int) -> Floats:
        return self.share.segments[visit].values

    def move(self, visit: int, gradient: Floats) -> None:
        """One step of the optimiser for one of this party's visits; what is frozen stays where it is.

        The gradient is rounded to 2^-32 first. One that was estimated from outcomes has the same bits on every
        processor, one that was computed from amplitudes has not.

        Raises:
            ScenarioError: angles leave every reasonable range, as with a rate that is far too large.
        """
        moves = self.share.trainable[visit]
        before, gradient = self.parameters(visit), np.where(moves, snap(gradient, GRADIENT_BITS), 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # looked at below
            after, moments = self.optimiser.update(before, gradient, self.moments[visit])
        far = np.flatnonzero(moves & ~(np.abs(after) <= LARGEST_ANGLE))
        if len(far):
            raise ScenarioError(
                f"protocol.optimiser.rate: {self.optimiser.rate:g} given, which takes an angle to {after[far[0]]:.3g} "
                f"rad in step {moments.steps}: the training diverges; expected a smaller rate"
            )
        self.moments[visit] = moments
        self.share.with_parameters(visit, np.where(moves, after, before))

    @cached_property
    def _loaded(self) -> dict[str, NDArray[np.uint8]]:
        """SHA-256 of what this party has loaded and never moves, by where the scenario names it.

        It stays in the party's own part of a checkpoint: files and functions may change between two starts.
        """
        told = {"layers": hashlib.sha256(), "data": hashlib.sha256(), "labels": hashlib.sha256()}
        for visit, segment in sorted(self.share.segments.items()):
            still = segment.values[~self.share.trainable[visit]]
            told["layers"].update(f"{visit} {segment.circuit.parameter_count}".encode() + still.tobytes())
            for gate in segment.circuit.gates:
                told["layers"].update(repr(gate).encode() + (b"" if gate.payload is None else gate.payload.tobytes()))
        for key, parts in (("data", self.samples and self.samples.rows), ("labels", self.labels and self.labels.of)):
            for part, numbers in (parts or {}).items():
                told[key].update(f"{part} {numbers.shape}".encode() + numbers.tobytes())
        return {key: np.frombuffer(digest.digest(), np.uint8) for key, digest in told.items()}

    def saved(self) -> dict[str, NDArray[Any]]:
        """Parameters and moments by name, for a checkpoint, and what tells whether all else is as it was."""
        told: dict[str, NDArray[Any]] = {f"loaded {key}": digest for key, digest in self._loaded.items()}
        for visit in self.mine:
            told[f"parameters {visit}"] = self.parameters(visit)
            told[f"moments {visit}"] = self.moments[visit].moments
        return told

    def restore(self, arrays: Mapping[str, NDArray[Any]], steps: int) -> None:
        """Go on from what `saved` answered with.

        Raises:
            ScenarioError: data, labels or layers are not those that the checkpoint was taken with.
        """
        for visit in self.mine:
            saved, own = arrays[f"parameters {visit}"], self.parameters(visit)
            if saved.shape != own.shape:
                raise ScenarioError(
                    f"protocol.layers: {len(own)} parameters at visit {visit}, but {len(saved)} in the checkpoint; "
                    "expected the layers that it was taken with"
                )
            self.share.with_parameters(visit, saved)
            self.moments[visit] = Moments(steps, arrays[f"moments {visit}"])
        for key, digest in self._loaded.items():
            if not np.array_equal(arrays.get(f"loaded {key}", []), digest):
                raise ScenarioError(
                    f"protocol.{key}: something else given than when checkpoint {steps} was taken, expected what was "
                    "loaded then"
                )

    def take_in(self, other: Holding) -> None:
        """Have another party's visits too: for a reference in one place, which no party could compute."""
        self.share.segments |= other.share.segments
        self.share.trainable |= other.share.trainable
        self.moments |= other.moments
        self.mine = sorted({*self.mine, *other.mine})

    def kept(self) -> State:
        """The angles of this party's layers, frozen ones included, and how each looks: for its own use later."""
        looks: dict[str, Json] = {}
        angles: dict[str, Floats] = {}
        for visit, specs in self.model.part.visits.items():
            ends = np.cumsum(self.share.counts[visit])[:-1]
            for spec, own in zip(specs, np.split(self.parameters(visit), ends), strict=True):
                if len(own):
                    layer = spec["key"].rpartition(".")[2]
                    looks[layer], angles[layer] = looks_of(spec, self.model.part.qubits), own
        return State({"training": self.model.training, "layers": looks}, angles)

    def digest(self) -> str:
        """SHA-256 of all parameters of this party, by visit: two runs can be compared, and nothing is told."""
        told = hashlib.sha256()
        for visit in sorted(self.share.segments):
            told.update(self.parameters(visit).astype("<f8").tobytes())
        return told.hexdigest()


def held_data(
    data: Data | None, judging: Judging | None, qubits: int, load: Loader
) -> tuple[Samples | None, Objective | None, Labels | None]:
    """A party's samples, its objective and its labels, where it has them."""
    samples = Samples(data, qubits, load) if data is not None else None
    if judging is None:
        return samples, None, None
    judge = objective(judging.objective)
    return samples, judge, Labels(judging, judge, load) if judging.train is not None else None
