"""Samples, labels, and which of them make a step's batch.

The start party holds the samples, the last the labels, which are public. That both mean the same rows is
in the scenario's hands; how they are split, and in which order they are taken, follows from a public key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.streams import stream
from ketwire.errors import ScenarioError
from ketwire.protocols.gradient.features import with_flags
from ketwire.protocols.loaded import labels_of, rows_of
from ketwire.protocols.node import Json, Loader, Shape
from ketwire.protocols.training.objectives import Objective
from ketwire.quantum.encodings import amplitude_encode

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
States = NDArray[np.complex128]

PARTS = ("train", "test")


class Schedule:
    """Which rows of the training part are validated on, and which are in the batch of each step.

    Args:
        key: public; the order of each epoch follows from it.
        rows: how many the training part has.
        batch: samples of a step, None for all. Each epoch takes every row once; its last batch may be smaller.
        share: of the rows that are kept for validation.
    """

    def __init__(self, key: bytes, rows: int, batch: int | None, share: float = 0.0) -> None:
        order = stream(key, "validation").permutation(rows)
        kept = round(share * rows)
        if kept >= rows or (share > 0 and kept == 0):
            raise ScenarioError(
                f"protocol.validation.share: {share} given, expected one that leaves some of {rows} rows on either side"
            )
        self.validation: Integers = np.sort(order[:kept]).astype(np.int64)
        self.training: Integers = np.sort(order[kept:]).astype(np.int64)
        self._key = key
        self._batch = min(batch or len(self.training), len(self.training))

    @property
    def batches(self) -> int:
        """How many make an epoch."""
        return -(-len(self.training) // self._batch)

    def batch(self, step: int) -> Integers:
        """The rows of the training part that step `step`, from 0 up, takes."""
        epoch, number = divmod(step, self.batches)
        if self.batches == 1:
            return self.training
        order = stream(self._key, "epoch", epoch).permutation(self.training)
        return np.asarray(order[number * self._batch : (number + 1) * self._batch])


@dataclass(frozen=True)
class Data:
    """Where the samples are, by part, and what is done to them."""

    train: Json
    test: Json
    standardise: bool = False
    constant: float | None = None


class Samples:
    """The start party's rows, float64, by part: standardised, with a constant, as they will be encoded."""

    def __init__(self, data: Data, qubits: int, load: Loader) -> None:
        keys = {part: f"protocol.data.{part}" for part in PARTS}
        loaded = [rows_of(key, load(key, getattr(data, part))["values"]) for part, key in keys.items()]
        if loaded[0].shape[1] != loaded[1].shape[1]:
            raise ScenarioError(
                f"protocol.data.test: rows of {loaded[1].shape[1]} entries given, expected {loaded[0].shape[1]}, "
                "as in the training part"
            )
        if data.standardise:
            loaded = standardised(*loaded)
        if data.constant is not None:
            loaded = [np.column_stack([rows, np.full(len(rows), data.constant)]) for rows in loaded]
        self.rows: dict[str, Floats] = dict(zip(PARTS, loaded, strict=True))
        self.entries = loaded[0].shape[1]
        if self.entries > 1 << qubits:
            raise ScenarioError(
                f"protocol.qubits: {qubits} given, expected at least {(self.entries - 1).bit_length()} for rows of "
                f"{self.entries} entries"
            )
        for part, rows in self.rows.items():
            _refuse_zeros(rows, part)
        self._qubits = qubits
        self.shapes = {f"{part} rows": Shape(len(rows), f"protocol.data.{part}") for part, rows in self.rows.items()}

    @cached_property
    def encoded(self) -> dict[str, States]:
        """By part; made when the rows are first needed, and so after somebody has looked whether there is room."""
        return {part: encode(rows, self._qubits, part) for part, rows in self.rows.items()}

    def states(self, part: str, rows: Integers, flags: int) -> States:
        """|x> of some rows, with `flags` qubits in |0> after each."""
        return with_flags(self.encoded[part][rows], flags)


def standardised(train: Floats, test: Floats) -> list[Floats]:
    """Both parts, less the training part's mean, over its spread; columns without any spread there are left out."""
    with np.errstate(over="ignore", invalid="ignore"):  # looked at below
        spread = train.std(axis=0)
        # Entries that are all alike need not have a spread of zero: their mean is rounded.
        informative = (train.max(axis=0) > train.min(axis=0)) & (spread > 0)
        if not informative.any():
            raise ScenarioError("protocol.data.standardise: true given for rows that are all alike, expected false")
        mean = train[:, informative].mean(axis=0)
        made = [(rows[:, informative] - mean) / spread[informative] for rows in (train, test)]
    if not all(np.isfinite(rows).all() for rows in (spread, *made)):
        raise ScenarioError("protocol.data.standardise: true given for numbers whose squares pass the largest double, "
                            "expected false or smaller numbers")  # fmt: skip
    return made


def encode(rows: Floats, qubits: int, part: str) -> States:
    """The amplitude encoding of rows padded with zeros, complex128, shape (rows, 2**qubits)."""
    _refuse_zeros(rows, part)
    padded = np.zeros((len(rows), 1 << qubits))
    padded[:, : rows.shape[1]] = rows
    return np.asarray(amplitude_encode(padded)[0])


def _refuse_zeros(rows: Floats, part: str) -> None:
    zero = np.flatnonzero(~rows.any(axis=1))
    if len(zero):
        raise ScenarioError(f"protocol.data.{part}: row {zero[0]} is all zero, expected vectors with a direction")


@dataclass(frozen=True)
class Judging:
    """The objective, with its settings, and at the party that judges where the labels are, by part."""

    objective: Json
    train: Json = None
    test: Json = None


class Labels:
    """The judge's labels, by part, as the objective wants them; float64, shape (rows,)."""

    def __init__(self, judging: Judging, objective: Objective, load: Loader) -> None:
        self.of: dict[str, Floats] = {}
        self.shapes: dict[str, Shape] = {}
        classes: NDArray[Any] | None = None
        for part in PARTS:
            key = f"protocol.labels.{part}"
            arrays = load(key, getattr(judging, part))
            labels = labels_of(key, arrays)
            if labels.ndim != 1:
                told = f"labels of shape {list(labels.shape)} given, expected a flat list of them, or label_column"
                raise ScenarioError(f"{key}: {told}")
            if objective.two_valued:
                classes = _two_values(key, labels) if classes is None else classes
                labels = _signs(key, labels, classes)
            self.of[part] = labels.astype(np.float64)
            self.shapes[f"{part} rows"] = Shape(len(labels), key)


def joined_shapes(samples: Samples | None, labels: Labels | None) -> dict[str, Shape]:
    """The public shapes of a party's samples and labels.

    Raises:
        ScenarioError: it has both, and not one label for each row; no other check would notice.
    """
    shapes: dict[str, Shape] = {}
    for held in (samples, labels):
        for name, shape in (held.shapes if held is not None else {}).items():
            other = shapes.setdefault(name, shape)
            if other.value != shape.value:
                told = f"{shape.value} labels given, expected {other.value}, one for each row"
                raise ScenarioError(f"{shape.origin}: {told}")
    return shapes


def are_classes(names: NDArray[Any]) -> bool:
    """Whether these values of labels are two or more classes: two of any kind, or whole numbers."""
    return len(names) == 2 or (len(names) > 2 and bool((names == np.rint(names)).all()))


def _two_values(key: str, labels: NDArray[Any]) -> NDArray[Any]:
    classes = np.unique(labels)
    if len(classes) != 2:
        raise ScenarioError(f"{key}: labels of {len(classes)} values given, expected two values")
    return classes


def _signs(key: str, labels: NDArray[Any], classes: NDArray[Any]) -> Floats:
    unknown = np.flatnonzero(~np.isin(labels, classes))
    if len(unknown):  # where it is, and not what it is: the labels are their owner's
        raise ScenarioError(f"{key}: label {unknown[0]} is none of the training part, expected one of its two values")
    return np.where(labels == classes[1], 1.0, -1.0)
