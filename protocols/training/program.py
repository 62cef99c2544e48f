"""Training over the network: each party moves its own parameters; no data and no parameters cross.

A step of one batch (THEORY §5), the same program at every party:

1. an inference of every sample in the batch: the last party's estimates of z = <Z0>, from which, with
   the public labels, come the batch's loss and its outer derivatives ∂loss/∂z;
2. for each visit with parameters that move, from the last to the first, copies of |Φ> for every sample: its
   owner's estimates of ∂z;
3. the last party tells all others the outer derivatives, some bits each;
4. each owner sums its estimates, weighted by them, and takes a step of its optimiser.

With parameter-shift there are no features: in 2, each gate with an angle that moves has two inferences of every
sample with that angle shifted, and the last party tells the owners their outcomes (`protocols.gradient.shifts`).

Features are under way before the outer derivatives are told, as only their reading needs these. Nothing
else crosses, except what a rule for copies or an early stop announces, in counted bits.

Repeaters run the same program with nothing on their hands: they make the pairs of every stream, hear what is
announced of copies and of the end, and take part in checkpoints.

How many copies a step takes: `copies` for each sample and visit, or as many as (epsilon, delta) ask of the
estimator, for each sample's derivatives of <Π>. With `adaptive` that is the least, and an owner whose
gradient would drown in shot noise announces more for the next step: V <= ratio² |g|² is to hold for a bound
V of its estimate's variance, |g|² taken less V (the norm test of Byrd, Chin, Nocedal and Wu 2012, with shots
in the place of samples).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Answers, Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.announce import announce
from ketwire.protocols.gradient.agreement import Agreement, public_numbers
from ketwire.protocols.gradient.features import FeatureStage, Route, reader_at, refuse_large
from ketwire.protocols.gradient.forward import ForwardStage
from ketwire.protocols.gradient.shifts import run_shifted
from ketwire.protocols.node import Loader, Node, Shape, State
from ketwire.protocols.numbers import pack_numbers, unpack_numbers
from ketwire.protocols.repeaters import Supplies
from ketwire.protocols.stream import Stage, StreamPlan, Tally, run_stream
from ketwire.protocols.training.data import Schedule
from ketwire.protocols.training.holding import GRADIENT_BITS, Holding
from ketwire.protocols.training.meter import Counts, Course, Meter, Series
from ketwire.protocols.training.plan import TrainingSlice
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Demand, half_ranges
from ketwire.quantum.gradients.estimators import estimator
from ketwire.quantum.gradients.features import blocks_of
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.parameter_shift import ParameterShift, ShiftPlan, shift_plan
from ketwire.quantum.grid import product, significant, snap
from ketwire.quantum.segments import Segment

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

GO_ON, BEST, STOP = 0, 1, 2
"""What the last party says after a validation: go on, these parameters are the best so far, stop."""

COPIES_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Trained(Course):
    """What a training came to.

    training, whole: copies until the last step, and all. judged: loss and accuracy by part, at the party that judges
    after: what came after the last step cost. trained_ps: when that ended
    """

    parameters_sha256: str
    steps: int
    decisions: int
    trained_ps: int
    training: Counts
    whole: Counts
    after: dict[str, int]
    judged: dict[str, tuple[float, float]]


class TrainingParty:
    """Any party of the training: roles differ only in the slice that they hold."""

    Slice, Outcome = TrainingSlice, Trained
    holding: type[Holding] = Holding

    def __init__(self, slice: TrainingSlice, load: Loader) -> None:
        self.slice = slice
        self.shapes: dict[str, Shape] = {}
        if slice.training is None:
            return
        self.told = told = slice.training
        self.held = self.holding(told.model, load)
        self.shapes = dict(self.held.shapes)
        self._estimator = estimator(told.terms.estimator["name"])
        self._wanted: dict[int, Circuit] = {}
        for visit in self.held.mine:
            segment = self._read(visit)
            if not isinstance(self._estimator, ParameterShift):
                refuse_large(self._estimator, segment, "protocol.estimator")
            self.shapes |= public_numbers(told.terms, segment.circuit, visit)
        self._best: dict[int, Floats] = {}
        self._best_loss, self._waited, self._stopped = math.inf, 0, False
        self._series = Series(slice.steps)
        self._supplies = Supplies()

    def _read(self, visit: int) -> Segment:
        """The unitary whose derivatives are read: of a shifted one those alone that are wanted.

        Its circuit is the same one at every step, so that plans are made of it once.
        """
        segment, moves = self.held.share.segments[visit], self.held.share.trainable[visit]
        if not self._is_shifted or moves.all():
            return segment
        if visit not in self._wanted:
            self._wanted[visit] = frozen(segment, moves).circuit
        return Segment(self._wanted[visit], segment.values[moves])

    @property
    def keeps_model(self) -> bool:
        """Whether this party has anything that is trained."""
        return self.slice.training is not None and bool(self.held.mine)

    @property
    def _is_shifted(self) -> bool:
        return isinstance(self._estimator, ParameterShift)

    # ------------------------------------------------------------ the program

    async def run(self, node: Node) -> Trained | None:
        steps, every = self.slice.steps, self.slice.checkpoint_every
        if self.slice.training is None:
            await look_on(node, steps, every)
            return None
        meter, held = Meter(node), self.held
        schedule = held.schedule(node.public["train rows"])
        self._agreed = Agreement.of(self.told.terms, node.public)
        self._want = dict(self._agreed.copies)
        for step in range(self._resume(node), steps):
            if not self._stopped:
                await self._step(meter.node, schedule, step)
                if self._is_due(step):
                    self._stopped = await self._validate(meter.node, schedule)
                self._series.close(step, meter.taken(), node.now_ps)
                losses = self._series.losses
                node.progress(step + 1, steps, "steps", f"loss {losses[-1]:.4g}" if losses else "")
            # After an early stop too: parties that only look on do not hear of it, and wait for everybody.
            if (step + 1) % every == 0:
                await node.checkpoint(step + 1, self._saved(step + 1))
        for visit, parameters in self._best.items():
            held.share.with_parameters(visit, parameters)
        if self.keeps_model:
            node.keep_model(held.kept())
        return await self._finish(meter, schedule)

    async def _step(self, node: Node, schedule: Schedule, step: int) -> None:
        """One batch, from its samples to new parameters."""
        held, rows = self.held, schedule.batch(step)
        self._series.samples += len(rows)
        z = await self._infer(node, "train", rows, self.told.loss_copies)
        estimates: dict[int, Floats | None] = {}
        if self._is_shifted:
            estimates |= await self._shifted(node, rows)
        else:
            for visit in reversed(held.trained):
                estimates[visit] = await self._derivatives(node, visit, rows)
        slopes = await self._outer(node, rows, z)
        asked: dict[int, int] = {}
        for visit in held.mine:
            values = estimates[visit]
            assert values is not None
            with np.errstate(over="ignore", invalid="ignore"):  # refused when it is to move anything
                gradient = 2.0 * product(slopes[None], values)[0] / len(rows)  # ∂<2Π - 1> = 2 ∂<Π>
            held.move(visit, gradient)
            asked[visit] = self._next_copies(visit, gradient, slopes)
        if self.told.adaptive is not None:
            await self._announce_copies(node, asked)

    async def _stream(self, node: Node, plan: StreamPlan, stage: Stage | None) -> Tally:
        tally = await run_stream(node, plan, stage if node.name in plan.path else None, self._supplies)
        self._series.count(tally, plan.want)
        return tally

    async def _infer(self, node: Node, part: str, rows: Integers, copies: int) -> Floats | None:
        """<2Π - 1> of some samples, at the last party; None elsewhere."""
        held, exact = self.held, self._estimator.name == "exact"
        samples = held.samples
        inputs = samples.states(part, rows, held.flags) if samples is not None else None
        stage = ForwardStage(held.share, len(rows), inputs, peek=exact)
        plan = replace(self.told.plan, want=1 if exact else copies, items=len(rows))
        tally = await self._stream(node, plan, stage)
        return stage.read(node, tally.counts) if tally.counts is not None else None

    async def _derivatives(self, node: Node, visit: int, rows: Integers) -> Floats | None:
        """∂<Π> of some training samples by the parameters of a visit, at its owner; None elsewhere."""
        held = self.held
        assert not isinstance(self._estimator, ParameterShift)
        route = Route(held.path, visit, held.share.qubits)
        inputs = held.samples.states("train", rows, held.flags) if held.samples is not None else None
        reader = reader_at(node, held.share, route, self._estimator, len(rows), self._want[visit])
        stage = FeatureStage(held.share, route, inputs, reader)
        plan = self.told.plan.along(route.parties, route.sizes, self.told.passages[visit], self._want[visit])
        plan = replace(plan, items=len(rows))
        await self._stream(node, plan, stage)
        self._series.readings += plan.want * len(rows)
        if visit not in held.mine:
            return None
        return stage.read(node, len(rows), self._estimator, self._agreed.promise).values

    async def _shifted(self, node: Node, rows: Integers) -> dict[int, Floats]:
        """∂<Π> of some training samples by the parameters of this party's visits, from shifted inferences."""
        held = self.held
        inputs = held.samples.states("train", rows, held.flags) if held.samples is not None else None
        plans: dict[int, ShiftPlan] = {visit: shift_plan(self._read(visit)) for visit in held.mine}
        runs = {visit: self._agreed.runs[visit] for visit in reversed(held.trained)}

        async def stream(visit: int, stage: Stage | None) -> Tally:
            return await self._stream(node, replace(self.told.plan, want=self._want[visit], items=len(rows)), stage)

        found = await run_shifted(node, held.share, inputs, len(rows), runs, self._want, plans, stream)
        estimates = {}
        for visit, values in found.items():
            moves = held.share.trainable[visit]
            estimates[visit] = np.zeros((len(rows), len(moves)))
            estimates[visit][:, moves] = values
        return estimates

    async def _outer(self, node: Node, rows: Integers, z: Floats | None) -> Floats:
        """The outer derivatives, which the last party tells all others."""
        held, bits = self.held, self.told.derivative_bits
        message: Packed | None = None
        if z is not None:
            assert held.objective is not None and held.labels is not None
            labels = held.labels.of["train"][rows]
            self._series.losses.append(float(held.objective.losses(z, labels).mean()))
            message = pack_numbers(snap(held.objective.slopes(z, labels), GRADIENT_BITS), bits)
        told = await announce(node, held.path, held.path[-1], message, Packed)
        if told is None:  # a repeater, who has nothing to weigh
            return np.zeros(0)
        return unpack_numbers(told, len(rows))

    # ------------------------------------------------------------ adaptive copies

    def _next_copies(self, visit: int, gradient: Floats, slopes: Floats) -> int:
        """Copies that the norm test asks for, from the gradient just estimated."""
        rule = self.told.adaptive
        if rule is None:
            return self._want[visit]
        bound = self._variance_bound(visit)
        one = 4.0 * bound * float(slopes @ slopes) / len(slopes) ** 2  # variance at one copy a sample
        signal = max(float(gradient @ gradient) - one / self._want[visit], one / self._want[visit])
        least = self._agreed.copies[visit]
        if one == 0.0:  # no sample has a slope: there is no gradient, and no noise that it could drown in
            return least
        return int(np.clip(math.ceil(significant(one / (rule.ratio ** 2 * signal))), least, rule.most))

    def _variance_bound(self, visit: int) -> float:
        """Of the estimates of one sample's derivatives of <Π> from one copy, summed over them."""
        if self._is_shifted:  # each a sum of ½ scale (mean - mean), of numbers in [0, 1]
            return float((shift_plan(self._read(visit)).scales ** 2).sum()) / 8
        blocks = blocks_of(self.held.share.segments[visit].circuit)
        one_by_one = self._estimator.name == "direct"  # otherwise each copy tells of a block, dealt out or drawn
        parts = Demand.of(blocks).readings if one_by_one else len(blocks)
        return parts * float(half_ranges(blocks)[1].sum())

    async def _announce_copies(self, node: Node, asked: dict[int, int]) -> None:
        assert self.told.adaptive is not None
        for visit in self.held.trained:
            mine = Answers(np.array([asked[visit]]), COPIES_BITS) if visit in asked else None
            limits = self._agreed.copies[visit], self.told.adaptive.most
            self._want[visit] = await self._told(node, self.held.path[visit], mine, *limits)

    async def _told(self, node: Node, origin: str, message: Answers | None, least: int, most: int) -> int:
        """One whole number from `least` to `most`, which `origin` tells all."""
        heard = await announce(node, self.held.path, origin, message, Answers, chains=self.told.plan.passage.chains)
        assert heard is not None
        if heard.values.shape != (1,) or not least <= heard.values[0] <= most:
            told = f"{origin} announced {heard.values.tolist()}, expected one number from {least} to {most}"
            raise RemoteProtocolError(told)
        return int(heard.values[0])

    # ------------------------------------------------------------ validation, end, checkpoints

    def _is_due(self, step: int) -> bool:
        validation = self.told.model.validation
        return validation is not None and (step + 1) % validation.every == 0

    async def _validate(self, node: Node, schedule: Schedule) -> bool:
        """An inference of the validation samples, on which the last party judges; True to stop."""
        held, rows, validation = self.held, schedule.validation, self.told.model.validation
        assert validation is not None
        z = await self._infer(node, "train", rows, validation.copies)
        verdict = None
        if z is not None:
            loss, accuracy = self._judged("train", rows, z)
            self._series.validations.append((loss, accuracy))
            self._waited = 0 if loss < self._best_loss else self._waited + 1
            self._best_loss = min(loss, self._best_loss)
            stop = self._waited >= validation.patience
            verdict = Answers(np.array([STOP if stop else GO_ON if self._waited else BEST]), 2)
        said = await self._told(node, held.path[-1], verdict, GO_ON, STOP)
        if said == BEST:
            self._best = {visit: held.parameters(visit) for visit in held.mine}
        return said == STOP

    def _judged(self, part: str, rows: Integers, z: Floats) -> tuple[float, float]:
        """Mean loss and accuracy, at the last party."""
        held = self.held
        assert held.objective is not None and held.labels is not None
        labels = held.labels.of[part][rows]
        right = held.objective.decide(z) == labels
        return float(snap(held.objective.losses(z, labels).mean())), float(right.mean())

    async def _finish(self, meter: Meter, schedule: Schedule) -> Trained:
        """Every part once more with the final parameters, and what there is to tell."""
        trained_ps = meter.node.now_ps
        counts = self._series.counts
        parts = {
            "train": ("train", schedule.training),
            "validation": ("train", schedule.validation),
            "test": ("test", np.arange(meter.node.public["test rows"])),
        }
        judged: dict[str, tuple[float, float]] = {}
        for name, (part, rows) in parts.items():
            if len(rows) == 0:
                continue
            z = await self._infer(meter.node, part, rows, self.told.test_copies)
            if z is not None:
                judged[name] = self._judged(part, rows, z)
        # The last party's result ends with its last inference; what the others have is final when training ends.
        known_ps = meter.node.read_ps if meter.node.name == self.held.path[-1] else trained_ps
        return Trained(
            **self._series.arrays(), parameters_sha256=self.held.digest(), steps=self._series.steps,
            decisions=meter.node.public["test rows"], trained_ps=trained_ps, training=counts,
            whole=self._series.counts, after=vars(meter.taken()), judged=judged, known_ps=known_ps,
        )  # fmt: skip

    def _saved(self, step: int) -> State:
        values = {
            "want": [[visit, copies] for visit, copies in self._want.items()],
            "best_loss": self._best_loss if math.isfinite(self._best_loss) else None,
            "waited": self._waited,
            "stopped": self._stopped,
            "counts": vars(self._series.counts),
        }
        best = {f"best {visit}": parameters for visit, parameters in self._best.items()}
        return State(values, {**self.held.saved(), **best, **self._series.arrays(), **self._supplies.saved()})

    def _resume(self, node: Node) -> int:
        """The step to begin with: 0, or where the last checkpoint was taken."""
        if node.restored is None:
            return 0
        step, state = node.restored.step, node.restored.state
        self._series.restore(state.arrays, Counts(**state.values["counts"]))
        self.held.restore(state.arrays, self._series.steps)
        self._supplies.restore(state.arrays)
        self._want = dict(state.values["want"])
        self._stopped = state.values["stopped"]
        told = state.values["best_loss"]
        self._best_loss, self._waited = math.inf if told is None else told, state.values["waited"]
        self._best = {
            visit: state.arrays[f"best {visit}"] for visit in self.held.mine if f"best {visit}" in state.arrays
        }
        return step


async def look_on(node: Node, steps: int, every: int) -> None:
    """A party that no register and no pair visits: it takes part in checkpoints alone."""
    begin = 0 if node.restored is None else node.restored.step
    for step in range(begin + 1, steps + 1):
        if step % every == 0:
            await node.checkpoint(step, State())
