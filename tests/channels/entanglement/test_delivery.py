"""Pairs at deadlines against a loop over attempts, and against sums by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from ketwire.channels.entanglement.delivery import Delivery, deliver
from ketwire.channels.entanglement.heralding import SingleClick
from ketwire.channels.entanglement.pairs import bell_diagonal, decayed_bell
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.parts import Memory
from ketwire.channels.planning.fidelity import arrived
from ketwire.channels.planning.making import making
from ketwire.channels.transports import Teleport
from ketwire.errors import ScenarioError
from ketwire.scenarios.api import run
from ketwire.scenarios.schema.links import Link

US = 1_000_000
SCHEME = SingleClick((0.1, 0.1), delay_ps=10 * US, visibility=0.8, alpha=0.2)  # p = 0.038, an attempt in 10 us
HALF = (0.5, 0.0, 0.0, 0.5)
DELIVERY = Delivery(305 * US, HALF)  # thirty attempts fit
CONSTANTS = {"t1_ps": math.inf, "t2_ps": (400.0 * US, 900.0 * US)}


def test_a_qubit_uses_what_is_handed_over_first() -> None:
    """Two slots, in turn: 0 at 1, 1 at 1, 0 at 2, 1 wanted at 3.2 periods so at 4, 0 at 3, 1 at 5."""
    every = DELIVERY.every_ps
    ready = np.array([0, 0, 10, int(3.2 * every), 20, 30])
    zeros = np.zeros(2, dtype=np.int64)
    got = deliver(ready, SCHEME, DELIVERY, 2, zeros, rng=np.random.default_rng(1), **CONSTANTS)
    assert (got.release_ps // every).tolist() == [1, 1, 2, 4, 3, 5] and not (got.release_ps % every).any()
    assert got.free_ps.tolist() == [3 * every, 5 * every]
    begun = got.release_ps - got.making_ps
    assert begun.tolist() == [0, 0, every, int(3.2 * every), 2 * every, 4 * every]
    at_once = np.zeros(1, dtype=np.int64)
    again = deliver(at_once, SCHEME, DELIVERY, 2, got.free_ps, rng=np.random.default_rng(1), **CONSTANTS)
    assert again.release_ps.tolist() == [4 * every]


def by_attempts(count: int, rng: np.random.Generator) -> tuple[list[float], float, float]:
    """Fidelity of what each period hands over, attempt by attempt; and how many are pairs, and took attempts."""
    state = bell_diagonal(SCHEME.state())
    found, made, tried = [], 0, 0
    for _ in range(count):
        now_ps = 0
        while now_ps + SCHEME.attempt_ps <= DELIVERY.every_ps:
            now_ps += SCHEME.attempt_ps
            tried += 1
            if rng.random() < SCHEME.success_probability:
                waited = DELIVERY.every_ps - now_ps + 10 * US
                kept = math.exp(-waited / (400.0 * US) - waited / (900.0 * US))
                even, odd = state[0] + state[3], state[0] - state[3]
                found.append((even + kept * odd) / 2)
                made += 1
                break
        else:
            found.append(HALF[0])
    return found, made / count, tried / count


def test_what_is_handed_over_is_that_of_a_loop_over_attempts() -> None:
    count = 4000
    zeros = np.zeros(count, dtype=np.int64)
    got = deliver(zeros, SCHEME, DELIVERY, 1, zeros[:1], rng=np.random.default_rng(2), **CONSTANTS)
    ours = decayed_bell(got.elements, got.waits_ps, got.waits_ps, **CONSTANTS)[:, 0]
    loop, made, tried = by_attempts(count, np.random.default_rng(3))
    deviation = math.hypot(ours.std(), np.std(loop)) / math.sqrt(count)
    assert abs(ours.mean() - np.mean(loop)) <= 4.5 * deviation
    assert abs(ours.mean() - DELIVERY.bell(SCHEME, **CONSTANTS)[0]) <= 4.5 * ours.std() / math.sqrt(count)
    assert abs(got.made.mean() - made) <= 4.5 * math.sqrt(made * (1 - made) * 2 / count)
    assert abs(got.made.mean() - DELIVERY.made(SCHEME)) <= 4.5 * math.sqrt(made * (1 - made) / count)
    assert abs(got.attempts.mean() - tried) <= 4.5 * got.attempts.std() * math.sqrt(2 / count)


def test_the_mean_is_a_sum_over_attempts() -> None:
    p, state = SCHEME.success_probability, bell_diagonal(SCHEME.state())
    whole = np.zeros(4)
    for attempt in range(1, 31):
        waited = np.array([305 * US - attempt * 10 * US + 10 * US])
        aged = decayed_bell(np.array(elements_by_hand(state)), waited, waited, **CONSTANTS)[0]
        whole += p * (1 - p) ** (attempt - 1) * aged
    whole += (1 - p) ** 30 * np.array(HALF)
    np.testing.assert_allclose(DELIVERY.bell(SCHEME, **CONSTANTS), whole, atol=1e-12)
    # Millions of attempts are summed in stretches.
    slow = SingleClick((1e-5, 1e-5), delay_ps=1000, alpha=0.05)
    many = Delivery(2_500_000_000).bell(slow, math.inf, math.inf)
    made = 1 - (1 - slow.success_probability) ** 2_500_000
    np.testing.assert_allclose(many, made * bell_diagonal(slow.state()) + (1 - made) / 4, atol=1e-9)


def elements_by_hand(bell: Any) -> list[float]:
    even, odd = (bell[0] + bell[3]) / 2, (bell[1] + bell[2]) / 2
    return [even, odd, odd, even, (bell[0] - bell[3]) / 2, (bell[2] - bell[1]) / 2]


LINK: dict[str, Any] = {
    "fiber": "ideal", "transport": "teleport", "scheme": "single-click", "alpha": 0.2, "visibility": 0.8,
    "p_init": 0.9, "length_km": 2.0, "deliver": {"every_s": 3.05e-4, "fallback": {"phi_plus": 0.5, "phi_minus": 0.5}},
}  # fmt: skip


def scenario(nodes: dict[str, Any], copies: int = 1500) -> dict[str, Any]:
    angle = 1.5707963267948966
    layers = [
        {"at": "alice", "layer": "rotations", "axes": ["y"], "entangle": "none", "angles": {"values": [angle]}},
        {"at": "bob", "layer": "rotations", "axes": ["y"], "entangle": "none", "angles": {"values": [-angle]}},
    ]
    return {
        "seed": 3, "nodes": {"alice": nodes, "bob": nodes}, "links": [{"between": ["alice", "bob"], **LINK}],
        "protocol": {
            "kind": "inference", "qubits": 1, "start": "alice", "copies": copies, "dense_state": None, "layers": layers,
        },
    }  # fmt: skip


@pytest.mark.parametrize("nodes", [{}, {"t2_s": 4e-4}])
def test_runs_and_results_have_it(nodes: dict[str, Any]) -> None:
    """Every copy takes one period. A state along X comes out right as often as a pair is Φ+ or Ψ+."""
    result = run(scenario(nodes), check=True, latency=True)
    assert result.virtual_time_ps == 1500 * 305 * US + 10 * US
    memory = Memory(t2_ps=400.0 * US) if nodes else Memory()
    line = Link(between=("alice", "bob"), **LINK)._transport()
    assert isinstance(line, Teleport)
    whole = Line(Fiber(2.0, p_init=0.9), (), memory, memory, line)
    bell = DELIVERY.bell(SCHEME, *(memory.constants[0], memory.constants[1]))
    made = making(whole)
    assert result.pairs["alice-bob"].told() == made._asdict()
    assert made.fidelity == pytest.approx(bell[0]) and made.pairs_hz == pytest.approx(1 / 3.05e-4)
    assert result.noisy is not None
    # The qubit waits in bob's memory for the outcome of its Bell measurement, 10 us.
    kept = math.exp(-10 / 400) if nodes else 1.0
    expected = 0.5 + (bell[0] + bell[2] - 0.5) * kept
    assert abs(result.noisy.expectation - expected) <= 4.5 * result.noisy.standard_error + 1e-9
    assert result.noisy.standard_error > 0 if nodes else result.noisy.standard_error == 0
    pairs = result.ebits / 1500
    assert abs(pairs - DELIVERY.made(SCHEME)) <= 4.5 * math.sqrt(pairs * (1 - pairs) / 1500)
    assert result.latency is not None and result.latency.causes["delivery"] == 1500 * 305 * US
    came = arrived(whole, 1, 1, np.random.default_rng(4))
    whole_fidelity = bell[0] * (1 + kept) / 2 + bell[3] * (1 - kept) / 2
    assert abs(came.fidelity - whole_fidelity) <= 4.5 * came.error + 1e-9
    assert came.busy_ps == 305 * US
    assert came.pairs == pytest.approx(DELIVERY.made(SCHEME), abs=4.5 * 0.5 / math.sqrt(2000))


def test_processes_are_told_and_give_the_same() -> None:
    small = scenario({"t2_s": 4e-4}, copies=20)
    assert run(small).transcript_sha256 == run(small, processes=True).transcript_sha256
    line = Link(between=("alice", "bob"), **LINK)
    made = Line(line.physics(), transport=line._transport())
    assert line_of(json.loads(json.dumps(told(made)))) == made
    again = Link.model_validate_json(json.dumps(line.model_dump(mode="json")), strict=True)
    assert again._transport() == line._transport()


def test_a_bell_measurement_that_leaves_no_time_to_try_is_refused_by_the_key() -> None:
    slow = scenario({"readout_s": 3e-4})
    with pytest.raises(ScenarioError, match=r"links.0.deliver: .* expected every_s of at least 0.00031, so that an at"):
        run(slow)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"deliver": {"every_s": 9e-6}}, "expected every_s of at least 1e-05, so that an attempt fits"),
        ({"deliver": {"every_s": 1e-3, "fallback": {"phi_plus": 0.5}}}, "expected a fallback whose weights sum to 1"),
        ({"distill": {"rounds": 1}}, "expected nothing here with distill"),
    ],
)
def test_impossible_deadlines_are_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Link(between=("alice", "bob"), **{**LINK, **told})
