"""A training run once more, inline, with all that its owners keep to themselves made visible.

What a step's gradient was estimated from, and at which parameters, is known to no single party in a run: each owner
has its own part. --check runs the training's session again in one place. The same streams give the same
draws, so the parameters are those of the run, to the last bit; they are compared by their digests, and where
these differ (an engine that is not in this process) nothing is told. Per step the estimate g~ is set beside

    g    the exact gradient of the batch's loss at the parameters of the step, without any noise
    g^   the gradient that the copies as they came would give if each told its expectation values: the
         estimator's own mean, with all noise in it and no shot noise of outcomes, nor of the choice which copy
         is read how

Wherever outcomes are drawn a `TracedNode` notes what was to be expected of the same copies (`Noted`), and a party
makes of that what it makes of outcomes; so one rule serves losses, copies of |Phi> that are kept or read one by
one, and shifted inferences, whose outcomes the last party has and whose owner knows what they mean.

So g~ - g^ is what shots cost (with the rounding of derivatives that are told, and with a loss whose slope
at an estimate is no estimate of its slope), and g^ - g what noise does. No party of a run is told any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.channels.hardware import Hardware
from ketwire.nodes.holdings import FirstLiving
from ketwire.nodes.inline import InlineSession, load_session
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processor import Processor
from ketwire.nodes.session import Run, Session, SessionResult, agree
from ketwire.nodes.settings import Run as Through
from ketwire.nodes.settings import Turned, turned
from ketwire.nodes.threads import one_thread
from ketwire.protocols.node import Kept, Loader, Node, Observable, Procedure, Setting, Stock
from ketwire.protocols.stream import Stage, StreamPlan, Tally
from ketwire.protocols.training.data import Schedule
from ketwire.protocols.training.holding import Holding, Model
from ketwire.protocols.training.program import TrainingParty
from ketwire.quantum.gradients.estimation import Estimate, Held
from ketwire.quantum.gradients.features import contributions
from ketwire.quantum.gradients.parameter_shift import ParameterShift, ShiftPlan, shift_plan
from ketwire.quantum.gradients.readings import readings_of

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Owned(NamedTuple):
    """What the owner of a visit had at one step.

    parameters: float64, shape (p,), before the step; moves: bool, shape (p,), which of them may move
    gradient: float64, shape (p,), as estimated
    derivatives: float64, shape (samples, p): of <Π>, the mean over the copies as they came; or, of shifted
        inferences, how they follow from those by the parameters that move
    """

    parameters: Floats
    moves: NDArray[np.bool_]
    gradient: Floats
    derivatives: Floats | ShiftPlan


@dataclass
class Step:
    """One step, all parties together: the visits' owners, and what the last party was to expect.

    z: float64, shape (samples,), <2Π - 1> as the copies that came would give it. runs: by visit, <Π> of its
    shifted inferences alike, shape (runs, samples); empty where there are none.
    """

    rows: Integers
    owned: dict[int, Owned] = field(default_factory=dict)
    z: Floats | None = None
    runs: dict[int, Floats] = field(default_factory=dict)

    def derivatives(self, visit: int) -> Floats:
        """∂<Π> by all parameters of a visit, 0 by those that are not read; (samples, p)."""
        _, moves, _, told = self.owned[visit]
        if not isinstance(told, ShiftPlan):
            return told
        found = np.zeros((len(self.rows), len(moves)))
        found[:, moves] = told.gradient(self.runs[visit])
        return found


class Collector:
    """Brings together what the parties put down of a step, and hands a whole step on."""

    def __init__(self, visits: int, finished: Callable[[Step], None]) -> None:
        self._visits, self._finished = visits, finished
        self._steps: dict[int, Step] = {}

    def step(self, step: int, rows: Integers) -> Step:
        """Where every party puts down what it has of a step, if it has anything."""
        return self._steps.setdefault(step, Step(rows))

    def close(self, step: int) -> None:
        """A party has put down all that it has of a step."""
        entry = self._steps[step]
        if entry.z is not None and len(entry.owned) == self._visits:
            self._finished(self._steps.pop(step))

    @property
    def pending(self) -> int:
        """Steps of which somebody's part is missing."""
        return len(self._steps)


@dataclass
class Noted:
    """What was to be expected of the copies of one stream that were measured.

    tallies: for each setting how likely each outcome was, summed over copies, (items, outcomes); where copies
    have settings of their own, over all copies in each. held: the copies that were kept and measured together.
    """

    tallies: list[Floats] = field(default_factory=list)
    held: Held | None = None

    def forget(self) -> None:
        """A stream begins."""
        self.tallies, self.held = [], None

    def add(self, tallies: Sequence[Floats]) -> None:
        before = self.tallies or [np.zeros_like(tally) for tally in tallies]
        self.tallies = [one + more for one, more in zip(before, tallies, strict=True)]

    @property
    def first(self) -> Floats:
        """<Π> of each item, from whole inferences."""
        (tally,) = self.tallies
        return np.asarray(tally[:, 0] / tally.sum(axis=1))


class _TracedProcessor(Processor):
    """Takes its copies through all settings as well, with errors from streams of their own."""

    seen: Sequence[Turned] = ()

    def _turned(
        self, settings: Sequence[Setting], states: States, row: Integers, choice: Integers, run: Through, peek: bool
    ) -> list[Turned]:
        if not peek:
            drawn = self._random
            self._random = lambda purpose: drawn(f"expected {purpose}")
            self.seen = turned(settings, states, row, choice, run, True)
            self._random = drawn
        return super()._turned(settings, states, row, choice, run, peek)


class TracedNode(PartyNode):
    """A party's machine that notes what was to be expected, wherever it draws outcomes; it draws what others draw."""

    def __init__(self, *told: Any) -> None:
        super().__init__(*told)
        self.noted = Noted()
        self._laws: list[tuple[Integers, Floats]] = []

    def _build(self, hardware: Hardware) -> Processor:
        return _TracedProcessor(self.name, hardware, self.random)

    def _outcomes(self, probabilities: Floats, copies: Integers, items: Integers) -> Integers:
        self._laws.append((items, copies[:, None] * probabilities))
        return super()._outcomes(probabilities, copies, items)

    def measure(
        self,
        copies: Copies,
        observable: Observable,
        groups: Integers,
        count: int,
        keep: Kept | None = None,
    ) -> Integers:
        self._laws.clear()
        counts = super().measure(copies, observable, groups, count, keep)
        expected = np.zeros(counts.shape)
        for items, laws in self._laws:
            np.add.at(expected, items, laws)
        self.noted.add([expected])
        return counts

    def measure_in(
        self,
        settings: Sequence[Setting],
        parameters: Floats,
        choice: Integers,
        offset: Integers,
        copies: Copies,
        groups: Integers,
        keep: Kept,
        *,
        peek: bool = False,
    ) -> list[Floats]:
        assert isinstance(self._processor, _TracedProcessor)  # what is read perfectly is collected
        assert isinstance(keep, FirstLiving)
        mine = np.repeat(np.arange(len(choice)), keep.chosen)
        tallies = super().measure_in(settings, parameters, choice, offset, copies, groups, keep, peek=peek)
        if peek:
            self.noted.add(tallies)
            return tallies
        self.noted.add([
            self._counted(setting.observable, each, mine, len(choice), True)
            for setting, each in zip(settings, self._processor.seen, strict=True)
        ])  # fmt: skip
        self._processor.seen = ()
        return tallies

    def examine(
        self, stocks: Sequence[Stock], samples: int, procedure: Procedure, *, peek: bool = False
    ) -> Estimate:
        def noting(held: Held, rng: np.random.Generator) -> Estimate:
            self.noted.held = held
            return procedure(held, rng)

        return super().examine(stocks, samples, noting, peek=peek)


class _OpenHolding(Holding):
    """Notes the gradients that move it."""

    def __init__(self, model: Model, load: Loader) -> None:
        super().__init__(model, load)
        self.moved: dict[int, tuple[Floats, Floats]] = {}

    def move(self, visit: int, gradient: Floats, *rest: Any) -> None:
        self.moved[visit] = self.parameters(visit).copy(), gradient
        super().move(visit, gradient, *rest)


class TracedParty(TrainingParty):
    """A party that puts down what it knows of each step; it does nothing else that a `TrainingParty` does not."""

    holding = _OpenHolding
    collector: Collector
    _entry: Step | None = None
    """Of the step that is under way; None while validations and the last inferences are."""

    async def _step(self, node: Node, schedule: Schedule, step: int) -> None:
        # A party with nothing to put down may come when the step is told already, and would begin it again.
        tells = bool(self.held.mine) or node.name == self.held.path[-1]
        rows = schedule.batch(step)
        entry = self._entry = self.collector.step(step, rows) if tells else Step(rows)
        self._means: dict[int, Floats | ShiftPlan] = {}
        await super()._step(node, schedule, step)
        self._entry = None
        held = cast(_OpenHolding, self.held)
        for visit, (parameters, gradient) in held.moved.items():
            entry.owned[visit] = Owned(parameters, held.share.trainable[visit], gradient, self._means[visit])
        held.moved.clear()
        if tells:
            self.collector.close(step)

    async def _stream(self, node: Node, plan: StreamPlan, stage: Stage | None) -> Tally:
        _noted(node).forget()
        tally = await super()._stream(node, plan, stage)
        if tally.counts is not None and self._runs is not None:
            self._runs.append(_noted(node).first)
        return tally

    _runs: list[Floats] | None = None
    """<Π> of the shifted inferences so far, while there are any."""

    async def _infer(self, node: Node, part: str, rows: Integers, copies: int) -> Floats | None:
        z = await super()._infer(node, part, rows, copies)
        if z is not None and self._entry is not None:
            # Copies that were kept are looked at by `exact` alone, whose z is what was to be expected.
            self._entry.z = 2.0 * _noted(node).first - 1.0 if _noted(node).tallies else z
        return z

    async def _derivatives(self, node: Node, visit: int, rows: Integers) -> Floats | None:
        values = await super()._derivatives(node, visit, rows)
        if values is not None:
            self._means[visit] = self._mean(_noted(node), visit)
        return values

    def _mean(self, noted: Noted, visit: int) -> Floats:
        """∂<Π> of each sample, from what was to be expected."""
        assert not isinstance(self._estimator, ParameterShift)
        segment, held = self.held.share.segments[visit], noted.held
        if held is not None:
            weighted = held.gather(contributions(segment, held.states) * held.counts[:, None])
            return np.asarray(weighted / held.totals[:, None])
        # Every copy was looked at in every setting, so that nothing is at random here.
        readings = replace(readings_of(self._estimator, segment.circuit), at_random=False)
        return readings.estimate(noted.tallies, noted.tallies[0].sum(axis=1)).values

    async def _shifted(self, node: Node, rows: Integers) -> dict[int, Floats]:
        for visit in self.held.mine:
            self._means[visit] = shift_plan(self._read(visit))
        self._runs = []
        estimates = await super()._shifted(node, rows)
        runs, self._runs = iter(self._runs), None
        if node.name == self.held.path[-1]:
            assert self._entry is not None
            for visit in reversed(self.held.trained):
                self._entry.runs[visit] = np.array([next(runs) for _ in range(self._agreed.runs[visit])])
        return estimates


def _noted(node: Node) -> Noted:
    """Through the meter."""
    return cast(Noted, cast(Any, node).noted)


class _TracedSession(InlineSession):
    node_class = TracedNode


def retrace(run: Run, session: Session, collector: Collector, base: str = ".") -> SessionResult:
    """Run a training's session inline and put every step into `collector`.

    Raises:
        ScenarioError: bad data.
    """
    opened = Session(session.name, session.role, f"{__name__}:TracedParty", session.slices, session.restartable)
    with one_thread():
        _, programs = load_session(run, opened, base)
        for program in programs.values():
            assert isinstance(program, TracedParty)
            program.collector = collector
        public = agree({party: program.shapes for party, program in programs.items()})
        return _TracedSession(run, opened, programs, public).finish()
