"""Amplitude estimation: closed form of a shot, coverage, uses of the circuit, the cap."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketwire.quantum import layers
from ketwire.quantum.amplitude import (
    AmplitudeEstimation,
    Progress,
    chernoff_interval,
    divergence,
    next_power,
    success_probability,
)
from ketwire.quantum.gradients.exact import reflected
from ketwire.quantum.observables import Projector


def run(setting: AmplitudeEstimation, theta: float, rng: np.random.Generator) -> tuple[Progress, list[int]]:
    """A whole estimation with shots by the closed form, and the powers asked for."""
    progress, powers = setting.start(), [0]
    while not progress.done:
        shots = progress.request
        if shots.power != powers[-1]:
            powers.append(shots.power)
        progress = progress.told(int(rng.binomial(shots.count, success_probability(theta, shots.power))))
    return progress, powers


def test_a_shot_is_what_grover_steps_make_of_the_state() -> None:
    rng = np.random.default_rng(1)
    psi, projector = layers.haar_state(4, rng), Projector(1, (3,))
    theta = math.asin(math.sqrt(projector.expectation(psi)[0]))
    moving = psi.copy()
    for power in range(8):
        assert abs(projector.expectation(moving)[0] - success_probability(theta, power)) < 1e-12
        marked = -reflected(moving, projector)  # 1 - 2Π
        moving = 2 * (marked @ psi[0].conj())[:, None] * psi - marked  # 2|ψ><ψ| - 1


@pytest.mark.parametrize("most_power", [None, 0, 3])
@pytest.mark.parametrize("delta", [0.05, 0.4])
def test_the_promise_is_kept(delta: float, most_power: int | None) -> None:
    rng, failed, outside = np.random.default_rng(2), 0, 0
    setting = AmplitudeEstimation(0.03, delta, most_power)
    for a in np.concatenate([rng.random(190), [0.0, 1.0, 0.5, 0.25, 0.75, 1e-4, 1 - 1e-4, 0.1464, 0.8536, 0.01]]):
        progress, _ = run(setting, math.asin(math.sqrt(a)), rng)
        failed += abs(progress.estimate - a) > setting.epsilon
        low, high = progress.interval
        outside += not low - 1e-12 <= a <= high + 1e-12
    for count in (failed, outside):
        assert stats.binomtest(int(count), 200, delta, alternative="greater").pvalue > 1e-3


def test_powers_keep_to_their_number_their_cap_and_their_growth() -> None:
    rng = np.random.default_rng(3)
    for most_power in (None, 0, 1, 9):
        setting = AmplitudeEstimation(0.004, 0.1, most_power)
        for theta in rng.uniform(0, math.pi / 2, 25):
            progress, powers = run(setting, theta, rng)
            assert len(powers) <= setting.powers and max(powers) <= (1e9 if most_power is None else most_power)
            assert all(4 * b + 2 >= 2 * (4 * a + 2) for a, b in pairwise(powers))
            assert progress.uses >= progress.shots * (2 * powers[-1] + 1) > 0


def test_uses_grow_as_one_over_epsilon_and_sampling_as_its_square() -> None:
    rng = np.random.default_rng(4)
    thetas = rng.uniform(0.2, 1.4, 30)
    slopes = {}
    for most_power, epsilons in ((None, [0.03, 0.01, 0.003, 0.001, 0.0003]), (0, [0.1, 0.03, 0.01])):
        uses = [np.mean([run(AmplitudeEstimation(epsilon, 0.05, most_power), theta, rng)[0].uses for theta in thetas])
                for epsilon in epsilons]  # fmt: skip
        slopes[most_power] = np.polyfit(np.log(epsilons), np.log(uses), 1)[0]
    assert -1.2 < slopes[None] < -0.9
    assert -2.4 < slopes[0] < -1.9


@pytest.mark.long
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(shots=st.integers(1, 500), share=st.floats(0, 1), failure=st.floats(1e-6, 0.5))
def test_chernoff_intervals_hold_what_they_promise(shots: int, share: float, failure: float) -> None:
    hits = round(share * shots)
    low, high = chernoff_interval(hits, shots, failure)
    assert 0 <= low <= hits / shots <= high <= 1
    # Wider than the exact interval of Clopper and Pearson, so as sure as that one.
    exact = stats.binomtest(hits, shots).proportion_ci(1 - failure)
    assert low <= exact.low + 1e-9 and exact.high <= high + 1e-9
    if high < 1:
        assert abs(shots * divergence(hits / shots, high) - math.log(2 / failure)) < 1e-6


def test_the_next_power_keeps_to_a_half_turn() -> None:
    assert next_power(0, 0.0, math.pi / 2) == 0
    rng = np.random.default_rng(5)
    for _ in range(200):
        low = rng.uniform(0, 1.5)
        high = low + rng.uniform(1e-4, 0.07)
        power = next_power(0, low, high)
        if power:
            turns = 4 * power + 2
            assert math.floor(turns * low / math.pi) == math.floor(turns * high / math.pi)
            assert next_power(power, low, high) == power  # none twice as large can fit, or it had been found
        assert next_power(0, low, high, 0) == 0


def test_what_is_told_must_be_what_was_asked() -> None:
    start = AmplitudeEstimation(0.1, 0.1).start()
    with pytest.raises(ValueError, match=r"^hits: 65 given, expected 0 to 64"):
        start.told(65)
    progress = start
    while not progress.done:
        progress = progress.told(progress.request.count)
    assert progress.estimate > 0.85
    with pytest.raises(ValueError, match=r"^request: the estimation is done"):
        progress.told(0)
    assert start == AmplitudeEstimation(0.1, 0.1).start() and start.told(3) == start.told(3)


@pytest.mark.parametrize(("field", "values"), [("epsilon", (0.5, 0.1, None)), ("delta", (0.1, 0.0, None)),
                                               ("most_power", (0.1, 0.1, -1))])  # fmt: skip
def test_empty_promises_are_refused(field: str, values: tuple[float, float, int | None]) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        AmplitudeEstimation(*values)
