"""Scores of a run, its costs, and what both show beside the bounds: all that follows a run, in one place.

A score takes the inputs of both owners. Only the judge that is given their data finds one; without, outcomes and costs
are all that there is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.nodes.session import SessionResult
from ketwire.protocols.advantage import bounds
from ketwire.scenarios.kinds.advantage.models import AdvantageFinding, Bound, Claim, Cost
from ketwire.scenarios.kinds.advantage.sessions import dealt, public_of
from ketwire.scenarios.kinds.advantage.spec import FingerprintSpec, OneWaySpec, XebSpec
from ketwire.scenarios.kinds.interface import Judge

SAFETY = 5.0
"""Standard errors that a score is lowered by before a bound is asked."""


class Scored(NamedTuple):
    """A mean score, its standard error, and the share of right answers where answers are right or wrong."""

    score: float
    standard_error: float
    right: float | None


def scored(spec: OneWaySpec | FingerprintSpec, result: SessionResult, judge: Judge) -> Scored | None:
    """What a session scored, the protocol's or a rival's; None where the judge has not the inputs."""
    if isinstance(spec, FingerprintSpec):
        decisions = result.outcomes[spec.referee].decisions
        equal = dealt(spec, judge.network)[2][: len(decisions)]
        return _mean(np.where(decisions == equal, 1.0, -1.0)[:, None], True)
    if not {spec.sender, spec.receiver} <= judge.data.keys():
        return None
    outcomes = result.outcomes[spec.receiver].outcomes
    task = public_of(spec, len(outcomes)).made()
    found = task.judged(judge.data[spec.sender], judge.data[spec.receiver], outcomes)
    return _mean(found, spec.task in ("hidden-matching", "consumable"))


def _mean(scores: NDArray[np.float64], decides: bool) -> Scored:
    """Over instances, each the mean over its copies; scores: (instances, copies).

    decides: they are 1 and -1. Where hardly any is wrong the standard error is that of one wrong instance, as none
    among R says no more than that about one in R is.
    """
    each = scores.mean(axis=1)
    score = math.fsum(each.tolist()) / len(each)
    error = float(each.std(ddof=1)) / math.sqrt(len(each))
    error = max(error, 2.0 / len(each)) if decides else error
    return Scored(score, error, (1 + score) / 2 if decides else None)


def cost_of(result: SessionResult, instances: int) -> Cost:
    """What an instance cost on the wire."""
    totals = result.totals
    carried = [each for each in result.directions.values() if each.copies]
    bare = sum(each.qubits_sent for each in carried if not each.ebits)
    arrived = sum(each.qubits_delivered for each in carried if each.ebits)
    bits = totals.payload_bits + totals.control_bits
    return Cost(
        qubits_emitted=totals.qubits_sent / instances,
        qubits_delivered=totals.qubits_delivered / instances,
        ebits=totals.ebits / instances,
        payload_bits=totals.payload_bits / instances,
        control_bits=totals.control_bits / instances,
        virtual_time_ps=result.virtual_time_ps / instances,
        qubits_with_input=(bare + arrived) / instances,
        whole=(bare + totals.ebits + bits) / instances,
    )


def bound_of(spec: OneWaySpec | FingerprintSpec, found: Scored | None, cost: Cost) -> Bound:
    """What is proved of classical protocols that score as well as the run surely does."""
    if spec.task not in ("xeb", "hidden-matching"):
        form, source = bounds.ASYMPTOTIC[spec.task]
        return Bound(at_score=None, bits=None, margin_bits=None, margin_qubits=None, form=form, source=source)
    xeb = isinstance(spec, XebSpec)
    source = bounds.XEB_SOURCE if xeb else bounds.MATCHING_SOURCE
    if found is None:
        return Bound(
            at_score=None, bits=None, margin_bits=None, margin_qubits=None, source=source, assumes=bounds.ASSUMPTIONS
        )
    sure, most = found.score - SAFETY * found.standard_error, found.score + SAFETY * found.standard_error
    achieved = bounds.random_states_bits(spec.qubits, most)
    bits = (bounds.xeb_bits if xeb else bounds.matching_bits)(spec.qubits, sure)
    return Bound(
        at_score=sure,
        bits=bits,
        margin_bits=bits - cost.whole,
        margin_qubits=bits - cost.qubits_with_input,
        achieved_bits=achieved if xeb and achieved < bounds.MOST_BITS else None,
        source=source,
        assumes=bounds.ASSUMPTIONS,
    )


def claim_of(found: Scored | None, bound: Bound) -> Claim:
    if found is None:
        return "not scored"
    if bound.margin_bits is not None and bound.margin_bits > 0:
        return "proved"
    return "proved for qubits alone" if bound.margin_qubits is not None and bound.margin_qubits > 0 else "not shown"


def verdict_of(claim: Claim, found: Scored | None, cost: Cost, bound: Bound, beside: str) -> str:
    """The claim in words. beside: what else is to be said of the task."""
    if found is None:
        return "not scored: a score takes the inputs of both owners, and the judge was not given their data."
    if bound.bits is None:
        return f"not shown: no explicit constant. Known: {bound.form} ({bound.source}).{beside}"
    bits, qubits = cost.payload_bits + cost.control_bits, cost.qubits_with_input
    paid = f"{cost.whole - bits:.4g} ebits" if cost.ebits else f"{qubits:.4g} qubits"
    paid += f" and {bits:.4g} bits, {cost.whole:.4g} in all" if bits else ""
    alone = f" ({qubits:.4g} qubits alone)" if cost.ebits or bits else ""
    needs = f"{bound.bits:.4g} bits that any one-way classical protocol needs for a score of {bound.at_score:.4f}"
    told = f"{claim}: an instance cost {paid}{alone} against {needs}"
    achieved = f" Shared random states reach it with {bound.achieved_bits:.4g}." if bound.achieved_bits else ""
    return f"{told} ({bound.source}).{achieved}{beside}"


def finding(spec: OneWaySpec | FingerprintSpec, result: SessionResult, judge: Judge) -> AdvantageFinding:
    """What a rival came to, on the instances that it ran on."""
    found, few = scored(spec, result, judge), spec.rival_instances
    told = AdvantageFinding(
        estimate=None if found is None else found.score,
        instances=few,
        score=None if found is None else found.score,
        standard_error=None if found is None else found.standard_error,
        bits_per_instance=(result.totals.payload_bits + result.totals.control_bits) / few,
    )
    expected = _expected(spec, result.name)
    return told if expected is None else told.with_more(expected_score=expected)


def _expected(spec: OneWaySpec | FingerprintSpec, name: str) -> float | None:
    """The closed form of a rival's score, where one is known."""
    if isinstance(spec, XebSpec):
        return bounds.random_states_score(spec.qubits, int(name.split("-")[2]))
    return 1.0 if name in ("grid", "raw") else None


