"""How far each step's gradient was from the exact one, at the parameters that the step had. With --check alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.nodes.session import Run, SessionResult
from ketwire.nodes.traced import Collector, Step, retrace
from ketwire.protocols.training.holding import Holding
from ketwire.protocols.training.rivals import expected_of
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.scenarios.kinds.training.models import GradientErrors

Floats = NDArray[np.float64]


class Whole(NamedTuple):
    """A training in one place: who has all visits, who judges, and the training part's states."""

    circuit: Holding
    judged: Holding
    states: NDArray[np.complex128]


@dataclass
class Errors:
    """A row for each step so far: see `FIGURES`."""

    whole: Whole
    rows: list[list[float]] = field(default_factory=list)

    def take(self, step: Step) -> None:
        """Compare one step's gradient."""
        circuit, judged, _ = self.whole
        assert judged.objective is not None and judged.labels is not None and step.z is not None
        visits = sorted(step.owned)
        for visit in visits:
            circuit.share.with_parameters(visit, step.owned[visit].parameters)
        labels, states = judged.labels.of["train"][step.rows], self.whole.states[step.rows]
        weights = 2.0 * judged.objective.slopes(expected_of(circuit, states), labels) / len(labels)
        order = sorted(circuit.share.segments)
        segments = [circuit.share.segments[visit] for visit in order]
        found = dict(zip(order, exact_gradients(segments, states, circuit.share.projector, weights), strict=True))
        noisy = 2.0 * judged.objective.slopes(step.z, labels) / len(labels)
        parts = [(step.owned[visit], found[visit], step.derivatives(visit)) for visit in visits]
        self.rows.append(_compared(
            np.concatenate([exact[owned.moves] for owned, exact, _ in parts]),
            np.concatenate([(noisy @ mean)[owned.moves] for owned, _, mean in parts]),
            np.concatenate([owned.gradient[owned.moves] for owned, _, _ in parts]),
        ))  # fmt: skip


FIGURES = tuple(GradientErrors.model_fields)


def _compared(exact: Floats, mean: Floats, estimate: Floats) -> list[float]:
    """Figures of one step: all but `largest` in the 2-norm, errors over the exact gradient's norm.

    mean: what the copies as they came tell without shot noise. NaN where the exact gradient is zero.
    """
    norm, size = float(np.linalg.norm(exact)), float(np.linalg.norm(estimate))
    over = norm if norm > 0 else np.nan
    cosine = float(exact @ estimate) / (over * size) if size > 0 else np.nan
    relative, shots, noise = (
        float(np.linalg.norm(a - b)) / over for a, b in ((estimate, exact), (estimate, mean), (mean, exact))
    )
    return [norm, float(np.abs(estimate - exact).max()), relative, cosine, shots, noise]


def gradient_errors(
    run: Run, result: SessionResult, whole: Whole, base: str
) -> GradientErrors | None:
    """The figures of every step of a run that gave `result`; None if it cannot be run again to the same end.

    Raises:
        ScenarioError: data that cannot be read any more.
    """
    if any(line.engine != "builtin" for link in run.links for _, _, line in link.directions()):
        return None  # the engine may be in another interpreter alone
    errors = Errors(whole)
    again = retrace(run, run.sessions[0], Collector(len(whole.circuit.trained), errors.take), base)
    if _digests(again) != _digests(result):
        return None
    table = np.array(errors.rows).reshape(-1, len(FIGURES)).T.tolist()
    return GradientErrors(**dict(zip(FIGURES, table, strict=True)))


def _digests(result: SessionResult) -> dict[str, Any]:
    return {party: outcome.parameters_sha256 for party, outcome in result.outcomes.items()}
