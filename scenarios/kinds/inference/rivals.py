"""The classical rivals of an inference: which can run, their sessions, and which were as accurate.

Each is a key of the scenario: `dense_state`, `description`, `sketch`. The last two run where they can if the
scenario does not name them. They are refused where it asks for them and they cannot run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from ketwire.channels.streams import derive_key
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.inference_rivals import DenseStateSlice, DescriptionSlice
from ketwire.protocols.layers import Part
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.protocols.sketch import MOST_NUMBERS, SketchSlice, signs_for
from ketwire.scenarios.kinds.descriptions import description_sessions
from ketwire.scenarios.kinds.inference.models import Promise, SamplingSummary
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.layer_specs import Contraction

DELTA = 0.05
"""Of the promise that copies alone amount to."""


def rival_sessions(
    spec: InferenceSpec,
    network: Network,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    parts: Mapping[str, Part],
    coherent: bool = False,
) -> list[Session]:
    """The sessions of all rivals that can run.

    parts: of the circuit, by party. coherent: contractions' flags count as outcomes.

    Raises:
        ScenarioError: one that the scenario asks for cannot run.
    """

    sessions = []
    for bits in spec.dense_state.bits if spec.dense_state is not None else ():
        slices: dict[str, Any] = {party: DenseStateSlice(part, bits, coherent) for party, part in parts.items()}
        sessions.append(Session(f"dense-state-{bits}-bit", "rival", "inference/dense-state", slices))
    described = {party: DescriptionSlice(part, 0, coherent) for party, part in parts.items()}
    sessions += description_sessions(spec, path, visits, described, "inference/description")
    reason = _no_sketch(spec, path)
    if spec.sketch and reason is not None:
        raise ScenarioError(f"protocol.sketch: true given, expected false or null, as {reason}")
    if reason is None and spec.sketch is not False:
        epsilon, delta = promise_of(spec)
        key = derive_key(network.seed, "shared randomness", "sketch").hex()
        slices = {party: SketchSlice(part, 1, False, key, epsilon, delta) for party, part in parts.items()}
        sessions.append(Session("sketch", "rival", "inference/sketch", slices))
    return sessions


def loss_of(rival: SessionResult) -> float:
    """What a rival found."""
    (found,) = rival.outcomes.values()
    return float(found.loss)


def promise_of(spec: InferenceSpec) -> tuple[float, float]:
    """(epsilon, delta) that the copies keep: the scenario's, or the normal interval of so many at the worst p."""
    if spec.epsilon is not None and spec.delta is not None:
        return spec.epsilon, spec.delta
    return min(NormalDist().inv_cdf(1.0 - DELTA / 2.0) / (2.0 * math.sqrt(spec.measured_copies)), 0.5), DELTA


# ---------------------------------------------------------------- sketch


def _no_sketch(spec: InferenceSpec, path: Sequence[str]) -> str | None:
    """Why there is none; None where there can be one."""
    if len(path) != 2:
        return f"the register crosses {len(path) - 1} times, and a sketch is of one crossing"
    if any(isinstance(layer, Contraction) for layer in spec.layers):
        return "a layer is a contraction, and a sketch is of unitary ones"
    dimension = 2 << spec.qubits
    epsilon, delta = promise_of(spec)
    if epsilon < 1e-6 or (numbers := signs_for(epsilon, delta, dimension) * dimension) > MOST_NUMBERS:
        told = "" if epsilon < 1e-6 else f" ({numbers:.2g} of them)"
        return f"either side would draw more than {MOST_NUMBERS:.2g} numbers{told}"
    return None


# ---------------------------------------------------------------- who was as accurate


def reference(estimates: Mapping[str, float], exact: float | None) -> float | None:
    """The exact value, or what a rival found that works with numbers of full width; None where none did."""
    if exact is not None:
        return exact
    full = [name for name in estimates if name.endswith(f"-{EXACT_BITS}-bit")]
    return estimates[full[0]] if full else None


def as_accurate(estimates: Mapping[str, float], own: float, epsilon: float, exact: float | None) -> dict[str, bool]:
    """Which rivals are off by epsilon at most, from the reference, or where there is none from the quantum estimate.

    A sketch has as many signs as its promise takes, and keeps it as copies do.
    """
    truth = reference(estimates, exact)
    truth = own if truth is None else truth
    return {name: name == "sketch" or abs(found - truth) <= epsilon for name, found in estimates.items()}


def compared(spec: InferenceSpec, summary: SamplingSummary, exact: Any) -> SamplingSummary:
    """With what `comparable` is, of the quantum run and of its rivals: whether they keep the promise of the copies."""
    epsilon, delta = promise_of(spec)
    found: Any = summary.estimate
    estimates: dict[str, Any] = {name: rival.estimate for name, rival in summary.rivals.items()}
    kept = as_accurate(estimates, found, epsilon, exact)
    rivals = {name: rival.with_more(comparable=kept[name]) for name, rival in summary.rivals.items()}
    truth = reference(estimates, exact)
    own = truth is None or abs(found - truth) <= epsilon
    return summary.with_more(rivals=rivals, comparable=own, promise=Promise(epsilon=epsilon, delta=delta))
