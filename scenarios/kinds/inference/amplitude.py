"""Inference with `estimation: amplitude`: what of the kind is different where copies bounce along the path.

How many Grover steps a copy may take: a shot with k steps tells of the angle as much as (2k+1)² shots without, and
takes 2k+1 times their crossings, so what it tells per qubit grows as (2k+1) p_k, p_k its survival. Where
`most_power` is not given, it is the k at which that is largest; where that is none, loss leaves nothing to gain and the
estimation is refused. Noise turns a shot into one of another law; (epsilon, delta) is promised as long as the whole
run meets an error with a probability of at most delta / 2, which is then taken out of delta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ketwire.channels.eve import InterceptResend
from ketwire.channels.hardware import Hardware
from ketwire.channels.planning.budget import Crossing, path_survival, refusal
from ketwire.channels.planning.representation import differing, error_probability
from ketwire.channels.sums import exact_sum
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.amplitude import AmplitudeSlice, SampledFound
from ketwire.protocols.stream import StreamPlan
from ketwire.quantum.amplitude import FIRST_SHOTS, AmplitudeEstimation
from ketwire.scenarios.kinds.inference.models import AmplitudeSummary
from ketwire.scenarios.kinds.inference.rivals import as_accurate, rival_sessions
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.layer_specs import Contraction
from ketwire.scenarios.kinds.margin import margin_of, retried
from ketwire.scenarios.kinds.paths import layer_values, part_of, passage_of, route_of
from ketwire.scenarios.kinds.result import Finding, RunResult
from ketwire.scenarios.kinds.routes import crossings_of, flags_of
from ketwire.scenarios.schema.sources import assumption

MOST_POWER = 10**6
NOISY_SHARE = 0.5
"""Of delta, that errors on the way may take up."""


class Amplitude:
    """See `ketwire.scenarios.kinds.inference.kind.Estimation`."""

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]:
        """The estimation; plain sampling to the same promise beside it, and the classical rivals."""
        path, visits = route_of(spec, network)
        there, back = _ways(spec, network, path)
        _check_parties(network, path, there, back)
        assert spec.epsilon is not None and spec.delta is not None
        most_power = _most_power(spec, there, back)
        noise = _noise(there, back, spec, most_power)
        flags, copies = flags_of(spec.layers), spec.measured_copies
        plan = StreamPlan(
            tuple(path),
            passage_of(path, there),
            copies,
            items=1,
            qubits=spec.qubits + flags,
            max_batch_octets=spec.max_batch_octets,
            margin=margin_of(spec.margin),
            budget_attempts=int(spec.budget_attempts),
        )
        told = partial(_told, spec, network)
        parts = {party: part_of(spec, network, party, path, visits, flags, told) for party in network.parties}
        delta = spec.delta * (1 - NOISY_SHARE) if noise else spec.delta
        common = (plan, passage_of(path[::-1], back), spec.epsilon, delta, most_power)
        slices = {party: AmplitudeSlice(part, *common) for party, part in parts.items()}
        made = [Session("amplitude", "quantum", "inference/amplitude", slices)]
        if not there or refusal(there, copies, int(spec.budget_attempts)) is None:
            made.append(Session("sampling", "rival", "inference/amplitude/sampling", slices))
        return [*made, *rival_sessions(spec, network, path, visits, parts, coherent=True)]

    def check(self, spec: InferenceSpec, network: Network, session: Session) -> None:
        """Refuse an estimation whose longest shots, about as many as it will take, pass the budget."""
        if session.name != "amplitude":
            return
        path, _ = route_of(spec, network)
        there, back = _ways(spec, network, path)
        power = _longest(spec, session.slices[path[0]].most_power)
        crossings = [*there, *[*back, *there] * power]
        reason = refusal(crossings, _shots(spec, power), int(spec.budget_attempts)) if crossings else None
        if reason is not None:
            raise ScenarioError(f"protocol.most_power: {_steps(power)}: {reason}; or fewer steps, or sampling")

    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], network: Network) -> AmplitudeSummary:
        assert spec.epsilon is not None and spec.delta is not None
        quantum, *rivals = results
        (found,) = quantum.outcomes.values()
        path, _ = route_of(spec, network)
        there, back = _ways(spec, network, path)
        requests = np.array(found.requests)
        noisy_shots = exact_sum(
            int(count) * error_probability([*there, *[*back, *there] * int(power)]) for power, count, _ in requests
        )
        summary = AmplitudeSummary(
            estimate=found.estimate,
            interval=[found.low, found.high],
            copies=int(requests[:, 1].sum()),
            **retried(found.attempted, found.needed),
            largest_power=int(requests[:, 0].max()),
            uses=found.uses,
            requests=found.requests,
            noisy_shots=noisy_shots,
            promise_holds=bool(noisy_shots <= NOISY_SHARE * spec.delta),
            epsilon=spec.epsilon,
            delta=spec.delta,
            rivals={rival.name: Finding(estimate=_estimate(rival)) for rival in rivals},
            **assumption(spec),
        )
        return summary.with_more(verdict=_verdict(quantum, rivals, summary))

    def compared(self, spec: InferenceSpec, summary: AmplitudeSummary, result: RunResult) -> AmplitudeSummary:
        return summary

    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        return None


def _estimate(rival: SessionResult) -> float:
    (found,) = rival.outcomes.values()
    return float(found.zeros / found.copies if isinstance(found, SampledFound) else found.loss)


def _verdict(quantum: SessionResult, rivals: Sequence[SessionResult], told: AmplitudeSummary) -> str:
    own = quantum.totals.qubits_sent
    took = f"amplitude estimation took {own:,} qubits with up to {_steps(told.largest_power)}"
    sampling = next((rival.totals.qubits_sent for rival in rivals if rival.name == "sampling"), None)
    if sampling is None:
        lines = [f"{took}; sampling to the same promise would pass the budget."]
    else:
        less = "more" if sampling < own else "less"
        factor = max(own, sampling) / max(min(own, sampling), 1)
        lines = [f"{took}, sampling to the same promise {sampling:,}: {factor:.3g} times {less}."]
    if not told.promise_holds:
        lines.append(f"{told.noisy_shots:.2g} shots met an error on average: epsilon is not promised.")
    classical = {rival.name: rival for rival in rivals if rival.name != "sampling"}
    estimates = {name: _estimate(rival) for name, rival in classical.items()}
    assert isinstance(told.estimate, float)
    kept = as_accurate(estimates, told.estimate, told.epsilon, None)
    able = [rival for name, rival in classical.items() if kept[name]]
    if able:
        best = min(able, key=lambda rival: rival.totals.payload_bits)
        lines.append(f"the classical {best.name} sent {best.totals.payload_bits:,} bits.")
    elif classical:
        lines.append("no classical rival that ran was as accurate.")
    return "\n".join(lines)


def _steps(power: int) -> str:
    return f"{power} Grover step" + ("s" if power != 1 else "")


# ---------------------------------------------------------------- the plan


def _ways(spec: InferenceSpec, network: Network, path: Sequence[str]) -> tuple[list[Crossing], list[Crossing]]:
    """The crossings of a register with its flags, there and back."""
    sizes = [spec.qubits + flags_of(spec.layers)] * (len(path) - 1)
    return crossings_of(network, path, sizes), crossings_of(network, path[::-1], sizes)


def _longest(spec: InferenceSpec, most_power: int | None) -> int:
    """The largest power that may come up: the cap, or what epsilon ends at."""
    assert spec.epsilon is not None
    ends = math.ceil(math.pi / (4 * spec.epsilon) / 2)
    return ends if most_power is None else min(most_power, ends)


def _shots(spec: InferenceSpec, power: int) -> int:
    """About how many shots with the largest power there will be: Hoeffding for an angle 2k+1 times as large."""
    assert spec.epsilon is not None and spec.delta is not None
    plain = math.log(2.0 / spec.delta) / (2.0 * spec.epsilon**2)
    return max(FIRST_SHOTS, math.ceil(plain / (2 * power + 1) ** 2))


def _most_power(spec: InferenceSpec, there: Sequence[Crossing], back: Sequence[Crossing]) -> int | None:
    """The cap on Grover steps; None where nothing is lost and none is asked for.

    Raises:
        ScenarioError: even one step is hopeless.
    """
    step = path_survival(there) * path_survival(back)
    if spec.most_power is not None or step == 1.0:
        return spec.most_power
    # (2k+1) step^k grows until its ratio (2k+1)/(2k-1) step falls below 1.
    best = math.floor((1 + step) / (1 - step) / 2) if step > 0 else 0
    if best < 1:
        raise ScenarioError(
            f"protocol.estimation: amplitude given, but a copy survives one Grover step with probability {step:.2g}, "
            "expected above 1/3, below which steps cost more than they tell: sampling, shorter fibers, or transport: "
            "teleport, which loses no copy"
        )
    return min(best, MOST_POWER)


def _noise(there: Sequence[Crossing], back: Sequence[Crossing], spec: InferenceSpec, most_power: int | None) -> float:
    """About how many shots of the whole run meet an error.

    Raises:
        ScenarioError: too many for a promise.
    """
    assert spec.epsilon is not None and spec.delta is not None
    power = _longest(spec, most_power)
    shot = error_probability([*there, *[*back, *there] * power])
    powers = AmplitudeEstimation(spec.epsilon, spec.delta, most_power).powers
    met = shot * (_shots(spec, power) + FIRST_SHOTS * powers)
    if met > NOISY_SHARE * spec.delta:
        raise ScenarioError(
            f"protocol.estimation: amplitude given, but a shot with {_steps(power)} meets an error on its way "
            f"with probability {shot:.2g}, so about {met:.2g} shots of the run do; expected at most delta/2 = "
            f"{NOISY_SHARE * spec.delta:.2g} for a promise: sampling, quieter links, or a smaller most_power"
        )
    return met


def _check_parties(network: Network, path: Sequence[str], there: Sequence[Crossing], back: Sequence[Crossing]) -> None:
    for party in dict.fromkeys(path):
        if not network.hardware.get(party, Hardware()).is_perfect:
            raise ScenarioError(
                f"nodes.{party}: imperfect hardware given, expected perfect hardware: amplitude estimation promises "
                "nothing for nodes that err, decay or take time; or estimation: sampling"
            )
    crossings = [*there, *back]
    for each in crossings:
        if isinstance(each.line.eve, InterceptResend) or differing([each]) is not None:
            raise ScenarioError(
                f"protocol.estimation: amplitude given over {each.link}, expected a link whose noise is the same for "
                "every copy, so that something can be promised; or sampling"
            )


def _told(spec: InferenceSpec, network: Network, index: int) -> dict[str, Any]:
    """A layer with its flag, if it has one."""
    return {**layer_values(spec, network, index), **_flag(spec, index)}


def _flag(spec: InferenceSpec, index: int) -> dict[str, int]:
    if not isinstance(spec.layers[index], Contraction):
        return {}
    return {"flag": flags_of(spec.layers, before=index)}
