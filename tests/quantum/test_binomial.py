"""How many two-valued outcomes a promise takes: against the binomial law summed up outcome by outcome."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ketwire.quantum.binomial import MOST_EXACT, accuracy_of, count_for, enough_for, worst_error

Floats = NDArray[np.float64]
TINY = 1e-7


def off(count: int, epsilon: float, p: Floats) -> Floats:
    """P(|X/K - p| > epsilon) for each p; an X that is off by epsilon itself is within it."""
    first, last = np.ceil(count * (p - epsilon - 1e-12)), np.floor(count * (p + epsilon + 1e-12))
    return np.asarray(stats.binom.cdf(first - 1, count, p) + stats.binom.sf(last, count, p))


def places(count: int, epsilon: float) -> Floats:
    """A grid of p, and both sides of each p at which a value of X begins or ceases to be off."""
    steps = np.arange(count + 1) / count
    ends = np.concatenate([steps - epsilon, steps + epsilon])
    p = np.concatenate([np.linspace(0, 1, 401), ends - TINY, ends + TINY])
    return np.unique(p[(p >= 0) & (p <= 1)])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 120), st.integers(1, 99))
def test_the_worst_p_is_found(count: int, hundredths: int) -> None:
    """No p of a grid, nor next to any jump, is worse; and one next to a jump is as bad."""
    epsilon = hundredths / 100
    worst = off(count, epsilon, places(count, epsilon)).max(initial=0.0)
    assert abs(worst_error(count, epsilon) - worst) < 1e-4


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0.1, 0.05), (0.1, 0.01), (0.2, 0.05), (0.3, 0.001), (0.15, 0.5), (0.7, 0.1)]
)
def test_it_is_the_least_number_that_keeps_the_promise(epsilon: float, delta: float) -> None:
    count = count_for(epsilon, delta)
    assert off(count, epsilon, places(count, epsilon)).max() <= delta
    for fewer in range(1, count):
        assert off(fewer, epsilon, places(fewer, epsilon)).max() > delta


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 0.05), (0.05, 0.05), (0.1, 0.01), (0.05, 0.01), (0.02, 0.05)])
def test_a_promise_costs_about_what_a_normal_law_asks_for(epsilon: float, delta: float) -> None:
    """K = z²/(4 epsilon²) and a little for whole numbers, where Hoeffding's inequality asks for nearly twice that."""
    normal = stats.norm.isf(delta / 2) ** 2 / (4 * epsilon**2)
    count = count_for(epsilon, delta)
    assert normal < count < normal + 1 / epsilon
    assert count < 0.66 * math.log(2 / delta) / (2 * epsilon**2)
    assert off(count, epsilon, places(count, epsilon)).max() <= delta


def test_half_as_many_as_hoeffding_s_would_break_the_promise() -> None:
    """At p = 1/2 all is well, since 36/90 is then off by 0.1 and no more. At any p nearby it is not."""
    assert off(90, 0.1, np.array([0.5]))[0] < 0.05 < off(90, 0.1, np.array([0.505]))[0]
    assert off(370, 0.05, np.array([0.5]))[0] > 0.05


def test_simulated_runs_at_the_worst_p_keep_it() -> None:
    """10^4 runs: the share that is off is within 4.5 standard errors of the law, and the law within delta."""
    rng = np.random.default_rng(8)
    for epsilon, delta in ((0.1, 0.05), (0.05, 0.01)):
        count = count_for(epsilon, delta)
        p = places(count, epsilon)
        worst = p[off(count, epsilon, p).argmax()]
        expected = worst_error(count, epsilon)
        share = np.mean(np.abs(rng.binomial(count, worst, 10_000) / count - worst) > epsilon)
        assert abs(share - expected) < 4.5 * math.sqrt(expected / 10_000) and expected <= delta


def test_more_outcomes_may_break_a_promise_that_fewer_keep() -> None:
    assert count_for(0.05, 0.05) == 390
    assert worst_error(390, 0.05) <= 0.05 < worst_error(399, 0.05)


def test_the_bound_for_large_numbers_keeps_the_promise_and_is_close() -> None:
    for epsilon, delta in ((0.1, 0.05), (0.02, 0.05), (0.01, 1e-6), (0.3, 0.2)):
        enough = enough_for(epsilon, delta)
        assert worst_error(enough, epsilon) <= delta
        assert count_for(epsilon, delta) <= enough <= count_for(epsilon, delta) + 2 / epsilon
    large = count_for(0.001, 0.05)
    assert large == enough_for(0.001, 0.05) > MOST_EXACT
    assert large < 1.003 * stats.norm.isf(0.025) ** 2 / (4 * 0.001**2)
    # At p = 1/2 + 1/(2K), in the middle between jumps, by the law itself.
    p = 0.5 + 0.5 / large
    X = math.floor(large * (p - 0.001))
    assert stats.binom.cdf(X - 1, large, p) + stats.binom.sf(large - X, large, p) <= 0.05


@pytest.mark.parametrize(("epsilon", "delta", "parts"), [(0.2, 0.1, 2), (0.15, 0.05, 4), (0.3, 0.01, 2)])
def test_outcomes_of_several_probabilities(epsilon: float, delta: float, parts: int) -> None:
    """K is a multiple of the parts, and the mean of their probabilities is known to epsilon, whatever these are."""
    count = count_for(epsilon, delta, parts)
    assert count % parts == 0 and worst_error(count, epsilon) <= delta
    assert count < count_for(epsilon, delta) + 1.5 / epsilon
    rng = np.random.default_rng(2)
    X = np.arange(count + 1)
    for each in (*rng.random((60, parts)), *np.clip(rng.normal(0.5, 0.05, (60, parts)), 0, 1)):
        law = np.ones(1)
        for p in each:
            law = np.convolve(law, stats.binom.pmf(np.arange(count // parts + 1), count // parts, p))
        assert law[np.abs(X / count - each.mean()) > epsilon + 1e-13].sum() <= delta


@pytest.mark.parametrize(("count", "delta"), [(1, 0.3), (20, 0.05), (400, 0.05), (3000, 1e-3)])
def test_the_accuracy_of_a_number_of_outcomes(count: int, delta: float) -> None:
    epsilon = accuracy_of(count, delta)
    assert worst_error(count, epsilon) <= delta < worst_error(count, epsilon * (1 - 2e-4))
    assert count_for(epsilon, delta) <= count


def test_epsilon_is_the_decimal_number_that_was_written() -> None:
    """2 · 5 · 0.3 is 3: X = 1, 2, 3 are within 0.3 of p just above 0.3, though the double 0.3 is below 3/10."""
    assert Fraction(0.3) < Fraction(3, 10)
    p = 0.3 + TINY
    within = stats.binom.pmf([1, 2, 3], 5, p).sum()
    assert abs(1 - within - off(5, 0.3, np.array([p]))[0]) < 1e-9
    assert abs(worst_error(5, 0.3) - off(5, 0.3, places(5, 0.3)).max()) < 1e-5


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.1), (-1.0, 0.1), (0.1, 0.0), (0.1, 1.0), (math.nan, 0.1)])
def test_numbers_that_promise_nothing_are_refused(epsilon: float, delta: float) -> None:
    with pytest.raises(ValueError, match="epsilon, delta: "):
        count_for(epsilon, delta)
