"""Vector in subspace: the sender holds vectors, the receiver a measurement, and n = log2 N qubits cross.

Two tasks, one program:

- *promise* (Kremer 1995, Raz 1999). The sender's unit vector lies in the receiver's half space H or
  in its complement. The receiver turns H onto qubit 0 = |0> and measures that qubit: exact with one
  copy on a perfect channel, while any classical protocol, two-way too, needs of the order of N^(1/3) bits.
- *classify*. The receiver holds training data and one measurement with an outcome for each class; of
  K measured copies of a vector it keeps the counts, and the class with the most of them wins.

Why one measurement with many outcomes, and why this one: measured in docs/subspace.md. Two-outcome
measurements, one a class, see K / C copies each and need ten times as many copies; `exclusion` is
them bundled and no better; `discriminating` makes every copy speak about all classes at once.

The receiver's decisions are its outcome, and public. Answers and labels are the judge's alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.errors import ScenarioError
from ketwire.protocols.loaded import labels_of, rows_of
from ketwire.protocols.node import Kept, Loader, Node, Observable, Outcome, Shape
from ketwire.protocols.numbers import EXACT_BITS, receive_numbers, send_numbers
from ketwire.protocols.sides import OwnHalf, Side, SubspaceSlice
from ketwire.protocols.stream import Batch, StreamPlan, run_stream
from ketwire.quantum import half_spaces, layers, subspaces
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.encodings import amplitude_encode, qubits_for
from ketwire.quantum.observables import Povm, Projector

if TYPE_CHECKING:
    from ketwire.protocols.classifiers import Scaling

Real = NDArray[np.float64]
Integers = NDArray[np.int64]

VECTORS, TRAINING = "protocol.vectors", "protocol.training"
NO_PARAMETERS = np.zeros(0)
TUNED_SHARE = 1 / 3
"""A measurement for K copies is tuned on the training data for this share of K. Tuned for K itself it fits these data
too closely: a third is better by cross-validation on training parts (benchmarks/tuning.py, docs/subspace.md)."""


# ---------------------------------------------------------------- what the parties hold


class Vectors:
    """The sender's vectors, float64, shape (items, entries): dealt to it, or loaded from its source.

    A public constant may be appended to each, so that a rule through the origin has an offset.
    """

    def __init__(self, side: Side, load: Loader) -> None:
        assert side.own is not None
        self._constant = side.constant
        if side.own.dealt is not None:
            self.rows: Real = side.own.dealt
            origin = "protocol.trials"
        else:
            origin = VECTORS
            rows = rows_of(VECTORS, load(VECTORS, side.own.source)["values"])
            self.rows = _with_constant(VECTORS, rows, self._constant, refuse_zeros=not side.standardise)
        entries = self.rows.shape[1]
        self.shapes = {
            "entries": Shape(entries, origin),
            "qubits": Shape(qubits_for(entries), origin),
            "items": Shape(len(self.rows), origin),
        }

    def standardise(self, scaling: Scaling) -> None:
        """Less the mean of the receiver's training data, over their spread, once the receiver has told both.

        Raises:
            ScenarioError: nothing is left of a vector.
        """
        bare = self.rows if self._constant is None else self.rows[:, :-1]
        self.rows = _with_constant(VECTORS, _finite(VECTORS, scaling(bare)), self._constant)

    def encoded(self, items: Integers) -> NDArray[np.complex128]:
        """|x> for some of the vectors, shape (len(items), 2**qubits)."""
        return amplitude_encode(self.rows[items])[0]


class Holding(Protocol):
    """What the receiver holds, and the two ways it decides: from counted outcomes, or from amplitudes."""

    shapes: dict[str, Shape]

    def circuit(self) -> Circuit | None:
        """What the receiver does to the register before it measures."""
        ...

    def observable(self) -> Observable: ...

    def read(self, counts: NDArray[Any]) -> Integers:
        """Decisions from outcome counts, shape (items, outcomes), or from their expectations."""
        ...

    def decide(self, rows: Real) -> Integers:
        """Exact decisions on vectors, shape (items, entries), of any norm."""
        ...


class Half:
    """The receiver's private half space, as signs or as a dense matrix. Decides 1 for inside, 0 else."""

    def __init__(self, own: OwnHalf) -> None:
        self.half: half_spaces.HalfSpace
        if own.matrix is not None:
            self.half = half_spaces.DenseHalf(own.matrix)
        else:
            assert own.minus is not None
            self.half = half_of_signs(own.minus)
        entries, origin = self.half.dimension, "protocol.qubits"
        self.shapes = {"entries": Shape(entries, origin), "qubits": Shape(qubits_for(entries), origin)}

    def circuit(self) -> Circuit | None:
        if isinstance(self.half, half_spaces.DenseHalf):
            return layers.dense(self.half.matrix)
        assert isinstance(self.half, half_spaces.ProductHalf)
        turn = Circuit(qubits_for(self.half.dimension), ())
        for signs in self.half.signs:
            turn = turn + layers.sign_diagonal(signs) + layers.hadamards(turn.qubits)
        return turn

    def observable(self) -> Observable:
        return Projector(0)

    def read(self, counts: NDArray[Any]) -> Integers:
        return np.asarray(counts[:, 0] > counts[:, 1], dtype=np.int64)

    def decide(self, rows: Real) -> Integers:
        return np.asarray(half_spaces.share_inside(self.half, rows) > 0.5, dtype=np.int64)


def half_of_signs(minus: NDArray[np.bool_]) -> half_spaces.ProductHalf:
    """The product form from where its signs are -1, bool, shape (layers, N)."""
    return half_spaces.ProductHalf(np.where(minus, np.int8(-1), np.int8(1)))


class Classes:
    """The receiver's training data and the class subspaces that it makes of them. Decides for labels."""

    def __init__(self, side: Side, load: Loader) -> None:
        own = side.classes
        assert own is not None
        arrays = load(TRAINING, own.training)
        rows = rows_of(TRAINING, arrays["values"])
        self.scaling: Scaling | None = _scaling(rows) if side.standardise else None
        if self.scaling is not None:
            rows = _finite(TRAINING, self.scaling(rows))
        self.rows = _with_constant(TRAINING, rows, side.constant)
        told = own.training_labels
        key = TRAINING if told is None else f"{TRAINING}_labels"
        labels = _labels(
            key, arrays.get("labels") if told is None else labels_of(key, load(key, told)), len(self.rows)
        )
        self.names, self.labels = np.unique(labels, return_inverse=True)
        self._refuse_small_classes(key, own.components)
        try:
            self.bases = subspaces.class_subspaces(self.rows, self.labels, own.components)
        except ScenarioError as error:
            raise ScenarioError(f"protocol.{error}") from None
        self._measurement, self._copies = own.measurement, own.copies
        entries = self.rows.shape[1]
        self.shapes = {
            "entries": Shape(entries, TRAINING),
            "qubits": Shape(qubits_for(entries), TRAINING),
            "classes": Shape(len(self.names), key),
        }

    def _refuse_small_classes(self, key: str, components: int) -> None:
        members = np.bincount(self.labels)
        if len(members) < 2:
            raise ScenarioError(f"{key}: one class given, expected two or more")
        least = int(np.argmin(members))
        if members[least] < components:
            raise ScenarioError(
                f"protocol.components: {components} given, expected at most {members[least]}, "
                "the training vectors of the smallest class"
            )

    def circuit(self) -> Circuit | None:
        return None

    def observable(self) -> Observable:
        """Trains the measurement; the last outcome stands for amplitudes that padding leaves at zero."""
        size = 1 << qubits_for(self.rows.shape[1])
        blocks = _complete(MEASUREMENTS[self._measurement](self))
        padded = np.pad(blocks, ((0, 0), (0, 0), (0, size - blocks.shape[2])))
        padding = np.eye(size)[blocks.shape[2] :] if size > blocks.shape[2] else np.zeros((1, size))
        return Povm([*padded, padding])

    def discriminating(self) -> Real:
        tuned = max(1, round(TUNED_SHARE * self._copies))
        return subspaces.discriminating_blocks(self.bases, self.rows, self.labels, copies=tuned)

    def read(self, counts: NDArray[Any]) -> Integers:
        votes = counts[:, : len(self.names)]
        return np.asarray(self.names[subspaces.decide(-votes if self._measurement == "exclusion" else votes)])

    def decide(self, rows: Real) -> Integers:
        return np.asarray(self.names[subspaces.decide(subspaces.probabilities(self.bases, rows))])


MEASUREMENTS: dict[str, Callable[[Classes], Real]] = {
    "discriminating": Classes.discriminating,
    "pretty-good": lambda classes: subspaces.pretty_good_blocks(classes.bases),
    "exclusion": lambda classes: subspaces.exclusion_blocks(classes.bases),
}


def _complete(blocks: Real) -> Real:
    """Blocks whose elements sum to one to rounding, from blocks that nearly do.

    Directions that the class subspaces hardly touch (pixels that are always blank) cost digits: on the
    digits the pretty good measurement misses the identity by 1e-8.
    """
    rows = blocks.reshape(-1, blocks.shape[2])
    values, vectors = np.linalg.eigh(rows.T @ rows)
    assert np.abs(values - 1).max() < 1e-3
    return np.asarray(blocks @ ((vectors / np.sqrt(values)) @ vectors.T), dtype=np.float64)


def _scaling(rows: Real) -> Scaling:
    from ketwire.protocols.classifiers import Scaling  # noqa: PLC0415 (few scenarios ask for it)

    with np.errstate(over="ignore", invalid="ignore"):  # looked at below
        scaling = Scaling.of(rows)
        _finite(TRAINING, np.stack([*scaling, rows.std(axis=0)]))
    if not scaling.inverse_spread.any():
        raise ScenarioError("protocol.standardise: true given for training vectors that are all alike, expected false")
    return scaling


def _finite(key: str, numbers: Real) -> Real:
    if not np.isfinite(numbers).all():
        raise ScenarioError(
            f"protocol.standardise: true given for {key} with numbers whose squares pass the largest double, "
            "expected false or smaller numbers"
        )
    return numbers


def _with_constant(key: str, rows: Real, constant: float | None, refuse_zeros: bool = True) -> Real:
    """Vectors with the constant appended to each, if there is one."""
    if constant is not None:
        rows = np.column_stack([rows, np.full(len(rows), constant)])
    zero = np.flatnonzero(~rows.any(axis=1))
    if refuse_zeros and len(zero):
        raise ScenarioError(f"{key}: row {zero[0]} is all zero, expected vectors with a direction")
    if rows.shape[1] < 2:
        raise ScenarioError(f"{key}: vectors of one entry given, expected two or more")
    return rows


def _labels(key: str, labels: NDArray[Any] | None, count: int) -> Integers:
    if labels is None:
        raise ScenarioError(
            f"{key}: a source without labels given, expected one with them, or training_labels"
        )
    if labels.shape != (count,):
        raise ScenarioError(
            f"{key}: labels of shape {list(labels.shape)} given, expected one for each of {count} vectors"
        )
    if (labels != np.rint(labels)).any() or np.abs(labels).max() > 2**53:
        raise ScenarioError(f"{key}: labels that are no whole numbers given, expected whole numbers")
    return labels.astype(np.int64)


class Owned:
    """What one party holds: the sender has vectors, the receiver a holding, others nothing."""

    def __init__(self, side: Side, load: Loader) -> None:
        self.vectors = Vectors(side, load) if side.own is not None else None
        self.holding: Holding | None = None
        if side.half is not None:
            self.holding = Half(side.half)
        elif side.classes is not None:
            self.holding = Classes(side, load)
        held = self.vectors or self.holding
        self.shapes: dict[str, Shape] = held.shapes if held is not None else {}
        self._side = side

    async def standardise(self, node: Node) -> None:
        """Have the vectors standardised by the training data, where the scenario asks for it.

        The receiver tells the mean and the inverse spread of each column, 64 bits each: what the sender cannot know.
        """
        if not self._side.standardise:
            return
        if isinstance(self.holding, Classes):
            assert self.holding.scaling is not None
            told = np.concatenate(self.holding.scaling)
            await send_numbers(node, self._side.sender, told, EXACT_BITS)
        elif self.vectors is not None:
            from ketwire.protocols.classifiers import Scaling  # noqa: PLC0415

            width = node.public["entries"] - (self._side.constant is not None)
            heard = await receive_numbers(node, self._side.receiver, 2 * width)
            self.vectors.standardise(Scaling(heard[:width], heard[width:]))


# ---------------------------------------------------------------- the quantum protocol


@dataclass(frozen=True)
class Decided(Outcome):
    """The receiver's decision for each vector, and copies: emitted, measured, to be emitted in the mean."""

    decisions: NDArray[np.int64]
    attempted: int
    measured: int
    needed: float


class SubspaceParty:
    """Sender, receiver, repeater, or a party that only looks on: roles differ in the slice alone."""

    Slice, Outcome = SubspaceSlice, Decided

    def __init__(self, slice: SubspaceSlice, load: Loader) -> None:
        self._told = slice
        self._owned = Owned(slice.side, load)
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> Decided | None:
        plan = self._plan(node)
        if not plan.has_part(node.name):
            return None
        stage: _Sending | _Measuring | None = None  # at a repeater
        if self._owned.vectors is not None:
            stage = _Sending(self._owned.vectors)
        elif self._owned.holding is not None:
            stage = _Measuring(self._owned.holding)
        await self._owned.standardise(node)
        tally = await run_stream(node, plan, stage)
        if self._owned.holding is None or tally.counts is None:
            return None
        decisions = self._owned.holding.read(tally.counts)
        attempted, measured = int(tally.attempted.sum()), int(tally.counts.sum())
        return Decided(decisions, attempted, measured, tally.needed, known_ps=node.read_ps)

    def _plan(self, node: Node) -> StreamPlan:
        """One crossing; the loss of one qubit kills its copy."""
        qubits, items = node.public["qubits"], node.public["items"]
        return replace(self._told.plan, qubits=qubits, items=items, passage=self._told.passages[qubits - 1])


class _Sending:
    """The sender's stage: encodes one batch at a time."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def prepare(self, node: Node, batch: Batch) -> Copies:
        return node.prepare(self._vectors.encoded(batch.items), batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        raise AssertionError("the sender is never last")


class _Measuring:
    """The receiver's stage; a measurement that must be trained is so at its start."""

    def __init__(self, holding: Holding) -> None:
        self._circuit = holding.circuit()
        self._observable = holding.observable()

    def prepare(self, node: Node, batch: Batch) -> Copies:
        raise AssertionError("the receiver is never first")

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies if self._circuit is None else node.apply(self._circuit, copies, NO_PARAMETERS)

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        return node.measure(copies, self._observable, groups, node.public["items"], keep)
