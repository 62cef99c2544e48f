"""What a run of the kind `gradient` came to: each estimator's cost, its error, and whether its promise was kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ketwire.channels.sums import exact_sum
from ketwire.nodes.session import SessionResult
from ketwire.protocols.gradient.programs import Gradients
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.scenarios.kinds.gradient.layout import Layout
from ketwire.scenarios.kinds.gradient.models import Estimated, GradientResult, GradientSummary
from ketwire.scenarios.kinds.gradient.spec import GradientSpec
from ketwire.scenarios.kinds.margin import retried
from ketwire.scenarios.kinds.result import Finding
from ketwire.scenarios.kinds.verdict import Rival, Winner, by_promise, decided, undecided
from ketwire.scenarios.schema.sources import assumption


def summary(spec: GradientSpec, layout: Layout, results: Sequence[SessionResult]) -> GradientSummary:
    """Everything that needs no exact gradient."""
    quantum = [result for result in results if result.role == "quantum"]
    # An owner that was given copies of its own has promised nothing.
    promised = [spec.epsilon is not None and each.copies is None and each.name != "exact" for each in spec.estimators]
    told = {
        name: _of_estimator(layout, result, epsilon)
        for name, result, epsilon in zip(spec.session_names(), quantum, promised, strict=True)
    }
    first = told[quantum[0].name]
    return GradientSummary(
        estimate=first.estimate,
        copies=sum(each.copies for each in told.values()),
        parameters=len(first.estimate),
        epsilon=spec.epsilon,
        delta=spec.delta,
        noisy=layout.is_noisy,
        estimators=told,
        rivals={
            result.name: Finding(estimate=_gradient(layout, result)) for result in results if result.role == "rival"
        },
        **assumption(spec),
    )


def _of_estimator(layout: Layout, result: SessionResult, promised: bool) -> Estimated:
    """Copies that came to be measured, those that were, and what the wire counted."""
    outcomes: list[Gradients] = list(result.outcomes.values())
    states = {visit: told for outcome in outcomes for visit, told in sorted(outcome.visits.items())}
    runs = [outcome for outcome in outcomes if outcome.attempted is not None][:1]
    streams: list[Any] = runs or list(states.values())
    totals = result.totals
    return Estimated(
        estimate=_gradient(layout, result),
        copies=sum(told.held for told in states.values()),
        copies_used=sum(told.used for told in states.values()),
        **retried(sum(told.attempted for told in streams), exact_sum(told.needed for told in streams)),
        copies_per_state={str(visit): states[visit].held for visit in sorted(states)},
        range_per_state={str(visit): states[visit].range for visit in sorted(states)},
        qubits_sent=totals.qubits_sent,
        ebits=totals.ebits,
        bits=totals.payload_bits + totals.control_bits,
        virtual_time_ps=result.virtual_time_ps,
        promised=promised,
    )


def _gradient(layout: Layout, result: SessionResult) -> list[Any]:
    """All derivatives in the order of the circuit, of all owners."""
    parts = {visit: part for outcome in result.outcomes.values() for visit, part in outcome.gradients.items()}
    return [each for visit in layout.derived for each in parts[visit].tolist()]


# ---------------------------------------------------------------- beside the exact gradient


def compared(spec: GradientSpec, summary: GradientSummary, result: GradientResult) -> GradientSummary:
    """With errors against `exact`, of --check or else of a session that read a quiet link's amplitudes."""
    exact, noisy = result.exact, summary.noisy
    reference = summary.estimators.get("exact")
    truth = exact if exact is not None else None if noisy or reference is None else reference.estimate
    estimators = {name: _judged(spec, each, truth, noisy) for name, each in summary.estimators.items()}
    rivals = {name: rival.with_more(error=_distance(rival.estimate, truth)) for name, rival in summary.rivals.items()}
    added: dict[str, Any] = {"estimators": estimators, "rivals": rivals}
    if noisy:
        # The mean over the reference's copies is an estimate of the noisy mean, the better the more there are.
        bias = None if reference is None else _distance(reference.estimate, exact)
        added["bias"] = bias
        added["bias_radius"] = _radius(spec, summary) if bias is not None else None
    if result.error is None and truth is not None:
        added["error"] = estimators[next(iter(estimators))].error
    made = summary.with_more(**added)
    return made.with_more(verdict=_verdict(spec, made, {name: rival.bits for name, rival in result.rivals.items()}))


def _judged(spec: GradientSpec, each: Estimated, truth: Any, noisy: bool) -> Estimated:
    """With its error, and whether its promise was kept."""
    error = _distance(each.estimate, truth)
    # With noise the promise is for the estimator's own mean, which is not known here.
    judged = each.promised and not noisy
    kept = error <= spec.epsilon if judged and error is not None and spec.epsilon is not None else None
    return each.with_more(error=error, promise_kept=kept)


def _distance(found: Any, truth: Any) -> float | None:
    """Max norm."""
    if found is None or truth is None:
        return None
    return float(np.abs(np.asarray(found) - np.asarray(truth)).max())


def _radius(spec: GradientSpec, summary: GradientSummary) -> float:
    """What the reference's means are off by, with probability delta (0.05 if none is given) at most.

    Hoeffding's inequality and a union bound over the derivatives, each copy's in the range of its state's owner.
    """
    reference = summary.estimators["exact"]
    ranges: dict[str, Any] = reference.range_per_state
    widest = max(ranges[visit] ** 2 / copies for visit, copies in reference.copies_per_state.items())
    delta = 0.05 if spec.delta is None else spec.delta
    return math.sqrt(math.log(2 * summary.parameters / delta) * widest / 2)


def _verdict(spec: GradientSpec, told_of: GradientSummary, bits: Mapping[str, int]) -> str:
    """bits: that each rival sent."""
    measured = {name: told for name, told in told_of.estimators.items() if name != "exact"}
    lines = []
    if measured:
        lines.append(_of_estimators(spec, measured))
    if told_of.noisy:
        bias = told_of.bias
        told = (
            "shows with --check beside the estimator exact"
            if bias is None
            else (f"is {bias:.2g}, give or take {told_of.bias_radius:.2g}")
        )
        lines.append(f"links or nodes are noisy: the promise is for each estimator's own mean, whose bias {told}.")
    if told_of.rivals and measured:
        lines.append(_winner(spec, measured, told_of.rivals, bits))
    return "\n".join(lines) or "the exact reference alone ran; nothing was estimated."


def _winner(
    spec: GradientSpec,
    measured: Mapping[str, Estimated],
    rivals: Mapping[str, Finding],
    bits: Mapping[str, int],
) -> str:
    """The cheapest estimator beside rivals that are as accurate: off by epsilon at most, or by no more than it is.

    Errors are those against the exact gradient. Where that was not asked for, a rival that ships states at full
    width has it; a rival that cannot be judged is not compared.
    """
    best = min(measured, key=lambda name: _sum(measured[name]))
    truth = next((told.estimate for name, told in rivals.items() if name.endswith(f"-{EXACT_BITS}-bit")), None)
    errors = {
        name: told.error if told.error is not None else _distance(told.estimate, truth)
        for name, told in rivals.items()
    }
    own = measured[best].error
    own = own if own is not None else _distance(measured[best].estimate, truth)
    most = spec.epsilon if spec.epsilon is not None else own

    def keeps(error: float | None) -> bool:
        return most is not None and error is not None and error <= most

    standings = [
        Rival(name, bits[name], by_promise(keeps(own), keeps(error))) for name, error in errors.items()
    ]
    winner, rival = decided(_sum(measured[best]), standings)
    if winner is Winner.NOBODY or rival is None:
        unknown = "nobody wins: how accurate the rivals are shows with --check"
        why = unknown if None in errors.values() else undecided(rival, bool(rivals), "more copies")
        return f"{why}. {best} took {_cost(measured[best])}."
    named = {Winner.QUANTUM: f"{best} wins", Winner.CLASSICAL: f"the classical rival {rival.name} wins"}
    who = named.get(winner, "a tie")
    beside = f"{int(rival.cost):,} bits of {rival.name} (off by {errors[rival.name]:.2g})"
    return f"{who} on communication: {_cost(measured[best])} of {best} against {beside}."


def _of_estimators(spec: GradientSpec, measured: Mapping[str, Estimated]) -> str:
    order = sorted(measured, key=lambda name: _sum(measured[name]))
    text = f"{order[0]} took least, {_cost(measured[order[0]])}"
    if len(order) > 1:
        text += "; " + ", ".join(f"{name} {_cost(measured[name])}" for name in order[1:])
    kept = {name: told.promise_kept for name, told in measured.items() if told.promise_kept is not None}
    if missed := [name for name, value in kept.items() if not value]:
        text += f"; epsilon = {spec.epsilon:g} was missed by {', '.join(missed)}"
    elif kept:
        text += f"; epsilon = {spec.epsilon:g} was kept by {'all' if len(kept) == len(measured) else ', '.join(kept)}"
    return text + "."


def _cost(told: Estimated) -> str:
    parts = [f"{told.qubits_sent:,} qubits"] if told.qubits_sent or not told.ebits else []
    parts += [f"{count:,} {name}" for name, count in (("ebits", told.ebits), ("bits", told.bits)) if count]
    return " and ".join(parts)


def _sum(told: Estimated) -> int:
    """Qubits emitted, entangled pairs used up and classical bits, a unit each."""
    return told.qubits_sent + told.ebits + told.bits
