"""The classical rivals of training, without a qubit.

- Back-propagation over the network. Each party computes on the amplitudes of every sample: forward, 2N
  numbers a sample and crossing (of contractions what they let through); back, as many again for the gradients
  by them, down to the first party whose parameters move. b bits a number, and at 64 bits gradients are exact.
  Model, samples, batches and optimiser are those of the quantum protocol.
- Raw data. The start party sends its samples, b bits an entry, to the last party, which has the labels and uses the
  best classifier that it finds in what arrived (`ketwire.protocols.classifiers`). A public constant is not sent.

The description of the model as a rival is in `ketwire.protocols.training.description`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.protocols.announce import announce
from ketwire.protocols.gradient.features import with_flags
from ketwire.protocols.node import Loader, Node, Outcome, Shape, State
from ketwire.protocols.numbers import (
    messages_of,
    pack_numbers,
    receive_numbers,
    send_numbers,
    unpack_numbers,
)
from ketwire.protocols.training.data import Data, Judging, Labels, Schedule, are_classes, joined_shapes
from ketwire.protocols.training.holding import Holding, Model, held_data
from ketwire.protocols.training.meter import Course, Meter, Series
from ketwire.protocols.training.objectives import Objective
from ketwire.protocols.training.program import look_on
from ketwire.quantum.gradients.exact import exact_gradients, reflected
from ketwire.quantum.gradients.features import contributions
from ketwire.quantum.segments import Segment, apply_long

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
States = NDArray[np.complex128]


@dataclass(frozen=True)
class BackpropSlice:
    """The steps, bits of a number, and what a party on the path holds."""

    steps: int
    checkpoint_every: int
    bits: int
    model: Model | None = None


@dataclass(frozen=True, kw_only=True)
class Backpropagated(Course):
    """What it came to; test_accuracy: at the party that judges."""

    parameters_sha256: str
    steps: int
    test_accuracy: float | None


class BackpropParty:
    """Any party of back-propagation over the network."""

    Slice, Outcome = BackpropSlice, Backpropagated

    def __init__(self, slice: BackpropSlice, load: Loader) -> None:
        self.told = slice
        self.shapes: dict[str, Shape] = {}
        if slice.model is not None:
            self.held = Holding(slice.model, load)
            self.shapes = dict(self.held.shapes)
            self._series = Series(slice.steps)

    async def run(self, node: Node) -> Backpropagated | None:
        if self.told.model is None:
            await look_on(node, self.told.steps, self.told.checkpoint_every)
            return None
        held, meter = self.held, Meter(node)
        schedule = held.schedule(node.public["train rows"])
        begin = 0
        if node.restored is not None:
            begin = node.restored.step
            held.restore(node.restored.state.arrays, begin)
            self._series.restore(node.restored.state.arrays, self._series.counts)
        for step in range(begin, self.told.steps):
            await self._step(meter.node, schedule.batch(step))
            self._series.close(step, meter.taken(), node.now_ps)
            if (step + 1) % self.told.checkpoint_every == 0:
                await node.checkpoint(step + 1, State({}, {**held.saved(), **self._series.arrays()}))
        inputs = await self._forward(meter.node, "test", np.arange(node.public["test rows"]))
        accuracy = None
        if held.objective is not None and held.labels is not None:
            decided = held.objective.decide(_expected(held, self._ends(inputs)))
            accuracy = float((decided == held.labels.of["test"]).mean())
        return Backpropagated(
            **self._series.arrays(), parameters_sha256=held.digest(), steps=self._series.steps, test_accuracy=accuracy
        )

    async def _step(self, node: Node, rows: Integers) -> None:
        held = self.held
        before = await self._forward(node, "train", rows)
        gradients = await self._backward(node, before, rows)
        for visit, gradient in gradients.items():
            held.move(visit, gradient)

    async def _forward(self, node: Node, part: str, rows: Integers) -> dict[int, States]:
        """The amplitudes before each of this party's visits; shape (samples, 2**n)."""
        held, before = self.held, {}
        for visit, party in enumerate(held.path):
            if party != node.name:
                continue
            if visit == 0:
                assert held.samples is not None
                before[0] = held.samples.states(part, rows, held.flags)
            else:
                before[visit] = await self._hear(node, held.path[visit - 1], len(rows))
            if visit < held.last:
                await self._tell(node, held.path[visit + 1], self._applied(visit, before[visit]))
        return before

    async def _backward(self, node: Node, before: dict[int, States], rows: Integers) -> dict[int, Floats]:
        """The batch's gradients by this party's parameters, by visit."""
        held, gradients = self.held, {}
        for visit in range(held.last, held.trained[0] - 1, -1):
            if held.path[visit] != node.name:
                continue
            if visit == held.last:
                back = self._first(before[visit], rows)
            else:
                back = await self._hear(node, held.path[visit + 1], len(rows))
            segment = held.share.segments.get(visit)
            if segment is not None:
                if visit in held.mine:
                    gradients[visit] = pulled(segment, before[visit], back)
                back = apply_long(segment.circuit.inverse(), back, segment.values)
            if visit > held.trained[0]:
                await self._tell(node, held.path[visit - 1], back)
        return gradients

    def _first(self, before: States, rows: Integers) -> States:
        """∂loss/∂(amplitudes at the end) up to a factor of 2: slope (2Π - 1) φ / samples, at the last party.

        With flags 2Π φ: the two differ by a multiple of φ, whose norm never changes while all of it is there.
        """
        held = self.held
        assert held.objective is not None and held.labels is not None
        ends, labels = self._applied(held.last, before), held.labels.of["train"][rows]
        z = _expected(held, ends)
        self._series.losses.append(float(held.objective.losses(z, labels).mean()))
        slopes = held.objective.slopes(z, labels) / len(rows)
        back = _twice_inside(held, ends) if held.flags else reflected(ends, held.share.projector)
        return np.asarray(slopes[:, None] * back)

    def _ends(self, before: dict[int, States]) -> States:
        return self._applied(self.held.last, before[self.held.last])

    def _applied(self, visit: int, states: States) -> States:
        segment = self.held.share.segments.get(visit)
        return states if segment is None else segment.apply(states)

    async def _tell(self, node: Node, peer: str, states: States) -> None:
        # The amplitudes with all flags in |0>: what left them never comes back to the loss.
        inside = np.ascontiguousarray(states[:, :: 1 << self.held.flags])
        await send_numbers(node, peer, inside.view(np.float64).reshape(-1), self.told.bits)

    async def _hear(self, node: Node, peer: str, samples: int) -> States:
        size = 1 << self.held.share.qubits - self.held.flags
        numbers = await receive_numbers(node, peer, 2 * size * samples)
        states = numbers.view(np.complex128).reshape(samples, size)
        return with_flags(states, self.held.flags)


def pulled(segment: Segment, before: States, back: States) -> Floats:
    """Σ_s 2 Re <λ_s| ∂U |μ_s>, the gradient by U's parameters; λ is behind U, neither has norm one.

    With the pair (μ, λ), normalised together, in the place of |Φ>.
    """
    pair = np.concatenate([before, back], axis=1)
    weight = np.linalg.norm(pair, axis=1) ** 2
    each = contributions(segment, pair / np.sqrt(weight)[:, None])
    return np.asarray(weight @ each)


def _twice_inside(held: Holding, ends: States) -> States:
    """2Π φ."""
    return np.asarray(ends + reflected(ends, held.share.projector))


def _expected(held: Holding, ends: States) -> Floats:
    """<2Π - 1>, of amplitudes that rounding may have left short of norm one, or too long.

    With flags, only amplitudes that were in all of them count, whose norm is what the contractions left.
    """
    inside = np.linalg.norm(_twice_inside(held, ends), axis=1) ** 2 / 4
    whole = 1.0 if held.flags else np.linalg.norm(ends, axis=1) ** 2
    return np.asarray(2.0 * np.minimum(inside / whole, 1.0) - 1.0)


def expected_of(circuit: Holding, states: States) -> Floats:
    """<2Π - 1> of samples' states, from all visits' layers, exactly."""
    return _expected(circuit, _through(circuit, states))


@dataclass(frozen=True)
class RawDataSlice:
    """The path, empty at who is not on it; bits of an entry; the constant that is not sent; samples or labels."""

    path: tuple[str, ...] = ()
    qubits: int = 0
    constant: float | None = None
    bits: int = 0
    data: Data | None = None
    judging: Judging | None = None


@dataclass(frozen=True)
class Classified:
    """What the last party makes of the rows; nothing where the labels are no classes."""

    classifier: str | None = None
    test_accuracy: float | None = None
    cross_validation: float | None = None


@dataclass(frozen=True)
class RawDataTold(Outcome):
    """What a party had sent before the test part, and at the last one what it made of all."""

    bits: int
    classified: Classified | None = None


class RawDataParty:
    """Any party of the rival that ships the samples to the last party."""

    Slice, Outcome = RawDataSlice, RawDataTold

    def __init__(self, slice: RawDataSlice, load: Loader) -> None:
        self.told = slice
        self.samples, _, self.labels = held_data(slice.data, slice.judging, slice.qubits, load)
        self.shapes = joined_shapes(self.samples, self.labels)
        if self.samples is not None:
            width = self.samples.entries - (slice.constant is not None)
            self.shapes["entries"] = Shape(width, "protocol.data.train")

    async def run(self, node: Node) -> RawDataTold | None:
        if not self.told.path:
            return None
        meter = Meter(node)
        train = await self._ship(meter.node, "train")
        bits = meter.taken().bits  # what is there now is enough to train
        test = await self._ship(meter.node, "test")
        if train is None or test is None or self.labels is None:
            return RawDataTold(bits)
        return RawDataTold(bits, self._classified(train, test, self.labels))

    async def _ship(self, node: Node, part: str) -> Floats | None:
        """A part's rows, from the start to the last party, over all links between them; None elsewhere."""
        path = self.told.path
        width, rows = node.public["entries"], node.public[f"{part} rows"]
        mine = None if self.samples is None else self.samples.rows[part][:, :width].reshape(-1)
        told: list[Floats] = []
        for piece in messages_of(width * rows):
            packed = None if mine is None else pack_numbers(mine[piece], self.told.bits)
            heard = await announce(node, path, path[0], packed, Packed, target=path[-1])
            if heard is None:
                return None
            told.append(unpack_numbers(heard, piece.stop - piece.start))
        return np.concatenate(told).reshape(rows, width)

    def _classified(self, train: Floats, test: Floats, labels: Labels) -> Classified:
        """What the last party does with it all. Labels that are no classes cannot be classified."""
        from ketwire.protocols.classifiers import chosen  # noqa: PLC0415 (the receiver of rows alone)

        names, classes = np.unique(labels.of["train"], return_inverse=True)
        if not are_classes(names):
            return Classified()
        if (constant := self.told.constant) is not None:
            train, test = (np.column_stack([rows, np.full(len(rows), constant)]) for rows in (train, test))
        best = chosen(train, classes.astype(np.int64))
        accuracy = float((names[best.decide(test)] == labels.of["test"]).mean())
        return Classified(best.name, accuracy, best.right / best.judged)


def _through(held: Holding, states: States) -> States:
    for visit in sorted(held.share.segments):
        states = held.share.segments[visit].apply(states)
    return states


def decided_by(circuit: Holding, objective: Objective, states: States) -> Floats:
    """The decisions on samples' states, from exact expectation values."""
    return objective.decide(expected_of(circuit, states))


def train_alone(
    circuit: Holding, objective: Objective, labels: Floats, states: States, schedule: Schedule, steps: int
) -> list[float]:
    """Train with exact gradients in one place; the loss of each step's batch before it.

    circuit: holds all visits, and its parameters move. labels, states: of all training rows.
    """
    losses = []
    visits = sorted(circuit.share.segments)
    for step in range(steps):
        rows = schedule.batch(step)
        z = expected_of(circuit, states[rows])
        losses.append(float(objective.losses(z, labels[rows]).mean()))
        slopes = objective.slopes(z, labels[rows])
        segments = [circuit.share.segments[visit] for visit in visits]
        gradients = exact_gradients(segments, states[rows], circuit.share.projector, 2.0 * slopes / len(rows))
        for visit, gradient in zip(visits, gradients, strict=True):
            if visit in circuit.mine:
                circuit.move(visit, gradient)
    return losses


