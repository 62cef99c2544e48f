"""What a scenario says under `protocol` for the kind `training`."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from ketwire.channels.copies import MAX_COPIES, MAX_QUBITS
from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.scenarios.kinds.inference.spec import refuse_hopeless, refuse_widths
from ketwire.scenarios.kinds.layer_specs import Gates, Givens, Layer, OpenQasm, Rotations
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.kinds.routes import check_pairs, check_width
from ketwire.scenarios.schema.model import NodeName, Strict, wrong
from ketwire.scenarios.schema.sources import FileSource, RandomSource, Samples

ESTIMATORS = ("exact", "direct", "commuting", "random-coordinate", "classical-shadows", "tomography",
              "shadow-tomography", "parameter-shift")  # fmt: skip
SHOTS = ("direct", "commuting", "random-coordinate", "parameter-shift")
Bits = Annotated[int, Field(ge=2, le=EXACT_BITS)]


class Data(Strict):
    """The start node's samples, one a row."""

    train: Samples
    test: Samples
    standardise: bool = Field(True, description="less the training part's mean, over its spread; blank columns go")
    constant: float | None = Field(1.0, description="public; appended to each row, so that a rule has an offset")


class Labels(Strict):
    """The judge's labels, which are public; the last node of the path is told them."""

    train: Samples
    test: Samples


class SquaredLoss(Strict):
    """(z - y)², z = <Z0>, y = -1 or 1."""

    loss: Literal["squared"] = "squared"


class LogisticLoss(Strict):
    """ln(1 + exp(-y (scale z + bias)))."""

    loss: Literal["logistic"]
    scale: float = Field(5.0, gt=0)
    bias: float = 0.0


class OwnLoss(Strict):
    """A user's own class: ketwire.protocols.training.objectives.Objective says what it must have."""

    loss: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="module:Name")
    settings: dict[str, Any] = Field({}, description="what it is made with")

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        for name, value in self.settings.items():
            if not _is_json(value):
                raise wrong(f"settings.{name}", value, "finite numbers, texts, and lists and mappings of them")
        return self


def _holds_labels(rows: Samples, labels: Samples) -> bool:
    """Whether a table's column of labels may be one of the features too: the scenario excludes none."""
    if not (isinstance(rows, FileSource) and isinstance(labels, FileSource)):
        return False
    column = labels.label_column
    return rows.path == labels.path and column is not None and rows.label_column is None and rows.reads(column)


def _is_json(value: Any) -> bool:
    """Whether a slice can carry it: NaN and the infinities are no JSON, nor are integers beyond 64 bits."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    return all(map(_is_json, value)) if isinstance(value, list) else True


def _loss(given: Any) -> str:
    name = given.get("loss", "squared") if isinstance(given, dict) else getattr(given, "loss", None)
    return "own" if isinstance(name, str) and ":" in name else str(name)


Objective = Annotated[
    Annotated[SquaredLoss, Tag("squared")] | Annotated[LogisticLoss, Tag("logistic")] | Annotated[OwnLoss, Tag("own")],
    Discriminator(
        _loss,
        custom_error_type="objective",
        custom_error_message="an objective with loss squared, logistic or module:Name",
    ),
]


class _Optimiser(Strict):
    """What all optimisers can be told."""

    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="of the rate; cosine falls to 0 over all steps, along half a period"
    )


class SGD(_Optimiser):
    name: Literal["sgd"]
    rate: float = Field(gt=0)


class Momentum(_Optimiser):
    name: Literal["momentum"]
    rate: float = Field(gt=0)
    decay: float = Field(0.9, ge=0, lt=1)


class Adam(_Optimiser):
    name: Literal["adam"]
    rate: float = Field(0.05, gt=0)
    first_decay: float = Field(0.9, ge=0, lt=1)
    second_decay: float = Field(0.999, ge=0, lt=1)
    floor: float = Field(1e-8, gt=0)


def _named(given: Any) -> str:
    return "all" if given == "all" else "list" if isinstance(given, list) else "other"


Trainable = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[list[Annotated[int, Field(strict=True)] | NodeName], Tag("list")],
    Discriminator(_named, custom_error_type="trainable", custom_error_message="all, or a list of nodes and layers"),
]
Optimiser = Annotated[SGD | Momentum | Adam, Field(discriminator="name")]


class Adaptive(Strict):
    """More copies when a gradient would drown in shot noise; the number is announced, 32 bits a link."""

    ratio: float = Field(0.5, ge=1e-6, le=1e6, description="standard error of a gradient over its size, at most")
    most: int = Field(1024, ge=1, le=MAX_COPIES, description="copies of a sample and visit that are never passed")


class Validation(Strict):
    """Part of the training rows is kept back; training stops when the loss on them stops to fall."""

    share: float = Field(0.2, gt=0, lt=1)
    every: int = Field(10, ge=1, le=10**9, description="steps between two of them")
    patience: int = Field(3, ge=1, le=10**9, description="validations without a new least loss that end the training")
    copies: int = Field(256, ge=1, le=MAX_COPIES, description="of each sample")


class Rivals(Strict):
    """The classical rivals; an empty list for none."""

    backprop: list[Bits] = Field([16], description="amplitudes and their gradients at these bits a number")
    raw: list[Bits] = Field(
        [8], description="samples at these bits an entry; the last node uses the best classifier for them"
    )
    description: list[Bits] | None = Field(
        None,
        description="the labels, and the angles of all but the start node at these bits each, which then trains alone; "
        "null for 8 where these nodes hold angles alone",
    )

    @model_validator(mode="after")
    def _widths(self) -> Self:
        for name in ("backprop", "raw", "description"):
            refuse_widths(name, getattr(self, name) or [], 2)
        return self


class TrainingSpec(Strict):
    """Train a circuit whose layers many nodes hold, on samples that one of them holds."""

    kind: Literal["training"]
    qubits: int = Field(ge=1, le=MAX_QUBITS - 1, description="of the register, without flags and ancilla")
    start: NodeName = Field(description="the node that holds the samples and prepares the registers")
    data: Data
    labels: Labels
    layers: list[Layer] = Field(min_length=1, max_length=1000, description="in the order of their application")
    trainable: Trainable = Field("all", description="whose angles move: nodes, or layers counted from 0")
    objective: Objective = SquaredLoss()
    estimator: str = Field("commuting", description="of gradients: " + ", ".join(ESTIMATORS))
    copies: int | None = Field(
        None, ge=1, le=MAX_COPIES, description="of a sample's |Φ> at each visit that trains, or in each shifted run"
    )
    epsilon: float | None = Field(
        None, gt=0, le=1e6, description="of a sample's derivatives of the probability, not copies"
    )
    delta: float | None = Field(None, gt=0, lt=1, description="probability that any is off by more")
    loss_copies: int = Field(32, ge=1, le=MAX_COPIES, description="of a sample at each step, for its <Z0>")
    test_copies: int = Field(256, ge=1, le=MAX_COPIES, description="of a sample when all is over")
    adaptive: Adaptive | None = None
    optimiser: Optimiser = Adam(name="adam")  # type: ignore[call-arg]
    steps: int = Field(ge=1, le=1_000_000)
    batch: int | None = Field(None, ge=1, description="samples of a step; all of them where there is none")
    validation: Validation | None = None
    window: int | None = Field(None, ge=1, le=10**9, description="copies under way at once; null for no such limit")
    margin: Margin = "auto"
    derivative_bits: Bits = Field(16, description="of each outer derivative that is told")
    checkpoint_every: int = Field(10, ge=1, le=10**9, description="steps between two checkpoints")
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, le=1e18, description="emitted copies a stream may need"
    )
    max_batch_octets: int = Field(MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies")
    rivals: Rivals = Rivals()  # type: ignore[call-arg]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_pairs(self.qubits, self.layers)
        check_width(self.qubits, self.layers, ancilla=self.estimator != "parameter-shift")
        if self.estimator not in ESTIMATORS:
            raise wrong("estimator", self.estimator, f"one of {', '.join(ESTIMATORS)}")
        given = (self.copies is not None, self.epsilon is not None, self.delta is not None)
        allowed = {(False, False, False)} if self.estimator == "exact" else {(True, False, False), (False, True, True)}
        if given not in allowed:
            expected = "none, as estimator exact needs none" if self.estimator == "exact" else (
                "either copies alone, or epsilon and delta")
            raise wrong("copies", self.copies, expected)
        refuse_hopeless(self.epsilon, self.delta)
        if self.estimator not in (*SHOTS, "exact") and self.epsilon is None:
            raise wrong("copies", self.copies, f"epsilon and delta, which {self.estimator} cannot do without")
        if 52 < self.derivative_bits < EXACT_BITS:
            raise wrong("derivative_bits", self.derivative_bits, "2 to 52, or 64")
        if self.adaptive is not None and self.estimator not in SHOTS:
            raise wrong("adaptive", self.adaptive, f"null, or one of the estimators {', '.join(SHOTS)}")
        if self.adaptive is not None and self.copies is not None and self.adaptive.most < self.copies:
            raise wrong("adaptive.most", self.adaptive.most, f"the {self.copies} copies that are the least, or more")
        if self.data.constant == 0:
            raise wrong("data.constant", 0, "a number other than zero, or null")
        for part in ("train", "test"):
            if _holds_labels(getattr(self.data, part), labels := getattr(self.labels, part)):
                expected = f"{labels.label_column!r} as in labels.{part}, or the rows would hold their own labels"
                raise wrong(f"data.{part}.label_column", None, expected)
            if isinstance(getattr(self.labels, part), RandomSource):
                raise wrong(f"labels.{part}", "random", "labels of the samples, which nobody draws")
        return self

    @property
    def with_angles(self) -> set[int]:
        """The layers that have angles."""
        return {
            index
            for index, layer in enumerate(self.layers)
            if isinstance(layer, Rotations | Givens | OpenQasm | Gates) and layer.angles is not None
        }

    @property
    def moving(self) -> set[int]:
        """The layers whose angles move."""
        whole = self.with_angles
        if self.trainable == "all":
            return whole
        named = set(self.trainable)
        return {index for index in whole if index in named or self.layers[index].at in named}
