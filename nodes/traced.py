"""A training run once more, inline, with everything that its owners keep to themselves laid open.

What a step's gradient was estimated from, and at which parameters, is known to nobody in a run: each owner
has its own part. --check runs the training's session again in one place. The same streams give the same
draws, so the parameters are those of the run, to the last bit; they are compared by their digests, and where
these differ (an engine that is not in this process) nothing is told. Per step the estimate g~ is set beside

    g    the exact gradient of the batch's loss at the very parameters of the step, without any noise
    g^   the gradient that the copies as they came would give if each told its expectation values: the
         estimator's own mean, with all noise in it and no shot noise of outcomes

so that g~ - g^ is what shots cost (with the rounding of derivatives that are told, and with a loss whose slope
at an estimate is no estimate of its slope), and g^ - g what noise does. No party of a run is told any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ketwire.nodes.inline import InlineSession, load_session
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Run, Session, SessionResult, agree
from ketwire.protocols.node import Loader, Node, Slice
from ketwire.protocols.training import TrainingParty
from ketwire.protocols.training_data import Schedule
from ketwire.protocols.training_holding import Holding
from ketwire.quantum.estimation import Estimate, Estimator, Held
from ketwire.quantum.estimators import FROM_FEATURES
from ketwire.quantum.parameter_shift import ParameterShift

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Owned(NamedTuple):
    """What the owner of a visit had at one step.

    parameters: float64, shape (p,), before the step; moves: bool, shape (p,), which of them may move
    gradient: float64, shape (p,), as estimated
    derivatives: float64, shape (samples, p): of <Π>, the mean over the copies as they came
    """

    parameters: Floats
    moves: NDArray[np.bool_]
    gradient: Floats
    derivatives: Floats


@dataclass
class Step:
    """One step, all parties together: the visits' owners, and <2Π - 1> as the copies that came would give it."""

    rows: Integers
    owned: dict[int, Owned] = field(default_factory=dict)
    z: Floats | None = None


class Collector:
    """Brings together what the parties put down of a step, and hands a whole step on."""

    def __init__(self, visits: int, finished: Callable[[Step], None]) -> None:
        self._visits, self._finished = visits, finished
        self._steps: dict[int, Step] = {}

    def put(self, step: int, rows: Integers, visit: int | None, told: Owned | Floats) -> None:
        """An owner's part of a visit, or the last party's z where `visit` is None."""
        entry = self._steps.setdefault(step, Step(rows))
        if isinstance(told, Owned):
            assert visit is not None
            entry.owned[visit] = told
        else:
            entry.z = told
        if entry.z is not None and len(entry.owned) == self._visits:
            self._finished(self._steps.pop(step))


class _Beside:
    """An estimator that also notes what the copies' expectation values give; it draws what the other draws."""

    def __init__(self, inner: Estimator) -> None:
        self._inner, self._exact = inner, FROM_FEATURES["exact"]()
        self.means: Floats | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def estimate(self, held: Held, *rest: Any) -> Estimate:
        self.means = self._exact.estimate(held, *rest).values  # it draws nothing
        return self._inner.estimate(held, *rest)


class _OpenHolding(Holding):
    """Notes the gradients that move it."""

    def __init__(self, values: Mapping[str, Any], load: Loader) -> None:
        super().__init__(values, load)
        self.moved: dict[int, tuple[Floats, Floats]] = {}

    def move(self, visit: int, gradient: Floats, *rest: Any) -> None:
        self.moved[visit] = self.parameters(visit).copy(), gradient
        super().move(visit, gradient, *rest)


class TracedNode(PartyNode):
    """A party's machine that notes of each item how likely outcome 0 was, over the copies that were measured."""

    def forget(self, items: int) -> None:
        self._likely, self._copies = np.zeros(items), np.zeros(items)

    def expected(self) -> Floats:
        """<2Π - 1> of each item since `forget`."""
        return np.asarray(2.0 * self._likely / self._copies - 1.0)

    def _outcomes(self, probabilities: Floats, copies: Integers, items: Integers) -> Integers:
        np.add.at(self._likely, items, copies * probabilities[:, 0])
        np.add.at(self._copies, items, copies)
        return super()._outcomes(probabilities, copies, items)


class TracedParty(TrainingParty):
    """A party that puts down what it knows of each step; it does nothing else that a `TrainingParty` does not."""

    holding = _OpenHolding
    collector: Collector
    _open: tuple[int, Integers] | None = None

    def __init__(self, slice: Slice, load: Loader) -> None:
        super().__init__(slice, load)
        if "visits" in self.values and not isinstance(self._estimator, ParameterShift):
            self._beside = _Beside(self._estimator)
            self._estimator = cast(Estimator, self._beside)

    async def _step(self, node: Node, schedule: Schedule, step: int) -> None:
        rows = schedule.batch(step)
        self._open = step, rows
        self._means: dict[int, Floats] = {}
        await super()._step(node, schedule, step)
        self._open = None
        held = cast(_OpenHolding, self.held)
        for visit, (parameters, gradient) in held.moved.items():
            told = Owned(parameters, held.share.trainable[visit], gradient, self._means[visit])
            self.collector.put(step, rows, visit, told)
        held.moved.clear()

    async def _infer(self, node: Node, part: str, rows: Integers, copies: int) -> Floats | None:
        cast(Any, node).forget(len(rows))
        z = await super()._infer(node, part, rows, copies)
        if z is not None and self._open is not None:  # a step's, and no validation
            exact = self._estimator.name == "exact"
            self.collector.put(*self._open, None, z if exact else cast(Any, node).expected())
        return z

    async def _derivatives(self, node: Node, visit: int, rows: Integers) -> Floats | None:
        values = await super()._derivatives(node, visit, rows)
        if values is not None:
            assert self._beside.means is not None
            self._means[visit], self._beside.means = self._beside.means, None
        return values


class _TracedSession(InlineSession):
    node_class = TracedNode


def retrace(run: Run, session: Session, collector: Collector, base: str = ".") -> SessionResult:
    """Run a training's session inline and put every step into `collector`.

    Raises:
        ScenarioError: bad data.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    opened = Session(session.name, session.role, f"{__name__}:TracedParty", session.slices, session.restartable)
    with threadpool_limits(limits=1):
        _, programs = load_session(run, opened, base)
        for program in programs.values():
            assert isinstance(program, TracedParty)
            program.collector = collector
        public = agree({party: program.shapes for party, program in programs.items()})
        return _TracedSession(run, opened, programs, public).finish()
