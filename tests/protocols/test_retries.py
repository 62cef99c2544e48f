"""How many copies a stream emits: the planned rounds against closed forms and against Monte Carlo of the rule."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ketwire.channels.fiber import Fiber
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.retries import MOST_SUMMED, NUMBER_BITS, Retries, planned, useful, weighed
from tests.protocols.test_stream import plan_of, streamed

GRID = [(1, 60, 0.9), (1, 60, 0.54), (1, 40, 0.35), (1, 20, 0.1), (3, 40, 0.7), (8, 40, 0.3), (40, 10, 0.5),
        (100, 1, 0.3), (1, 1, 0.2), (1000, 1, 0.6)]  # fmt: skip
"""(copies, items, p)."""


def run(retries: Retries, want: int, items: int, p: float, rng: np.random.Generator) -> tuple[int, int, int]:
    """A stream without a network: copies emitted, rounds, and bits of reports."""
    arrived, rounds, bits = np.zeros(items, dtype=np.int64), 0, 0
    while not retries.done:
        arrived += rng.binomial(retries.emit(), p)
        question = retries.question()
        rounds, bits = rounds + 1, bits + question.bits * len(question.items)
        retries.told(question, question.answer(np.maximum(want - arrived, 0)), "b")
    assert (arrived >= want).all()
    return int(retries.attempted.sum()), rounds, bits


def mean(want: int, items: int, p: float, margin: float | None, runs: int, **of: float) -> tuple[float, float]:
    """Of the copies emitted, over K/p of each item; and its standard error."""
    rng = np.random.default_rng(want + items)
    emitted = [run(Retries(want, items, p, margin, **of), want, items, p, rng)[0] for _ in range(runs)]
    scale = p / (want * items)
    return float(np.mean(emitted)) * scale, float(np.std(emitted)) * scale / math.sqrt(runs)


# ---------------------------------------------------------------- what is emitted in all


@pytest.mark.parametrize(("want", "items", "p"), GRID)
def test_without_a_margin_exactly_k_over_p_are_emitted_in_the_mean(want: int, items: int, p: float) -> None:
    """No copy arrives in vain. For all copies together: a negative binomial law, whose variance is known too."""
    runs = 40
    found, _ = mean(want, items, p, 0.0, runs)
    error = math.sqrt((1 - p) / (want * items * runs))
    assert abs(found - 1.0) < 4 * error + 1e-9


@pytest.mark.parametrize(("want", "items", "p"), GRID)
@pytest.mark.parametrize("round_copies", [1.0, 1000.0, 1e9])
def test_auto_emits_at_most_a_quarter_more_in_the_mean(want: int, items: int, p: float, round_copies: float) -> None:
    found, error = mean(want, items, p, None, 40, round_copies=round_copies)
    assert 1.0 - 4 * error <= found <= 1.25 + 4 * error


@pytest.mark.parametrize(("want", "items", "p"), GRID)
def test_auto_takes_fewer_rounds_than_no_margin_at_all(want: int, items: int, p: float) -> None:
    rng = np.random.default_rng(5)
    none, auto = (
        np.array([run(Retries(want, items, p, margin), want, items, p, rng)[1] for _ in range(20)])
        for margin in (0.0, None)
    )
    assert auto.mean() <= none.mean() + 4 * math.sqrt((auto.var() + none.var()) / 20) + 1e-9


def test_where_rounds_are_quick_auto_emits_hardly_a_margin() -> None:
    """The time of another round is weighed against copies: less of it, fewer copies."""
    counts = [weighed(1000, 0.3, round_copies) for round_copies in (0.0, 100.0, 1e3, 1e4, 1e6)]
    assert counts == sorted(counts) and counts[0] == math.ceil(1000 / 0.3) < counts[-1]


def test_the_weight_of_a_round_is_the_best_one() -> None:
    """T + R Φ(-z(T)) by brute force, where the bound of a quarter does not bind."""
    want, p, rounds = 500, 0.4, 2000.0
    T = np.arange(want, 3 * want)
    costs = T + rounds * stats.norm.sf((T * p - want) / math.sqrt(want * (1 - p)))
    inside = T * p >= want
    assert abs(weighed(want, p, rounds) - T[inside][costs[inside].argmin()]) <= 1


@pytest.mark.parametrize(("want", "items", "p", "margin"), [(1, 50, 0.4, None), (4, 30, 0.6, None), (3, 20, 0.5, 1.5)])
def test_streams_over_a_link_follow_the_rule(want: int, items: int, p: float, margin: float | None) -> None:
    """Whole streams against Monte Carlo of the rule: copies emitted, in the mean of 8, to 4 standard errors."""
    physics = Fiber(detector_efficiency=p, emission_rate_hz=1e9)
    plan = plan_of(survival=p, want=want, items=items, qubits=1, margin=margin, round_copies=500.0)
    made = [sum(streamed(plan, physics, seed=seed).outcomes["a"].attempted) for seed in range(8)]
    expected, error = mean(want, items, p, margin, 150, round_copies=500.0)
    scale = want * items / p
    assert abs(np.mean(made) - expected * scale) < 4 * scale * error * math.sqrt(150) * math.sqrt(1 / 8 + 1 / 150)


def test_a_margin_of_one_makes_up_for_the_losses_and_two_for_twice_as_many() -> None:
    """Rounded over all items together: 0.25 lost for each that arrives are ten copies for forty items, not forty."""
    missing = np.ones(40, dtype=np.int64)
    assert [int(planned(missing, 0.8, margin)[0].sum()) for margin in (0, 0.5, 1, 2)] == [40, 45, 50, 60]
    assert set(planned(missing, 0.8, 1.0)[0].tolist()) == {1, 2}
    assert planned(np.array([7, 0, 3]), 0.5, 0.0)[0].tolist() == [7, 0, 3]
    assert planned(np.array([7, 0, 3]), 0.5, 1.0)[0].tolist() == [14, 0, 6]


# ---------------------------------------------------------------- the bound of auto


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.integers(0, 600), st.floats(0.01, 0.999))
def test_the_useful_copies_are_those_of_the_binomial_law(missing: int, more: int, p: float) -> None:
    emitted = missing + more
    X = np.arange(emitted + 1)
    expected = stats.binom.pmf(X, emitted, p) @ np.minimum(X, missing)
    assert useful(emitted, missing, p) == pytest.approx(expected, rel=1e-9)


def test_beyond_what_is_summed_a_normal_law_is_as_good() -> None:
    missing, p = MOST_SUMMED + 1, 0.4
    emitted = round((missing + 30) / p)
    X = np.arange(emitted + 1)
    expected = stats.binom.pmf(X, emitted, p) @ np.minimum(X, missing)
    assert useful(emitted, missing, p) == pytest.approx(expected, abs=0.05)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 200), st.floats(0.01, 0.999))
def test_of_those_that_arrive_one_in_five_at_most_is_in_vain(missing: int, p: float) -> None:
    """And where the bound stops the weighing, one copy more would pass it."""
    emitted = weighed(missing, p, 1e12)
    assert emitted >= missing
    assert emitted * p <= 1.25 * useful(emitted, missing, p) * (1 + 1e-9)
    spread = math.sqrt(missing * (1 - p))
    z = math.sqrt(2 * math.log(1e12 * p / spread / math.sqrt(2 * math.pi)))
    if emitted < (missing + z * spread) / p - 1:
        assert (emitted + 1) * p > 1.25 * useful(emitted + 1, missing, p)


# ---------------------------------------------------------------- reports


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(1, 30),
    st.integers(1, 60),
    st.sampled_from([0.05, 0.3, 0.7, 0.95]),
    st.sampled_from([0.0, 1.0, 3.0, None]),
    st.floats(0.3, 1.0),
    st.integers(0, 1 << 30),
)
def test_a_round_s_report_is_one_bit_an_item_and_what_is_known_is_true(
    want: int, items: int, p: float, margin: float | None, foretold: float, seed: int
) -> None:
    """At most a bit an item, or one number; bounds hold what is missing; with no margin nothing arrives in vain."""
    rng, arrived = np.random.default_rng(seed), np.zeros(items, dtype=np.int64)
    retries = Retries(want, items, p, margin)
    while not retries.done:
        before = retries.least.copy()
        emitted = retries.emit()
        assert (emitted >= before).all() and ((emitted == before).all() or margin != 0.0)
        arrived += rng.binomial(emitted, p * foretold)
        missing = np.maximum(want - arrived, 0)
        assert margin != 0.0 or (arrived <= want).all()
        question = retries.question()
        assert question.bits * len(question.items) <= max(items, NUMBER_BITS)
        retries.told(question, question.answer(missing), "b")
        assert (retries.least <= missing).all() and (missing <= retries.most).all()


def test_positions_of_single_copies_are_one_bit_for_each_that_is_missing() -> None:
    """Later rounds speak of those alone that are still missing: n/p bits in all."""
    rng = np.random.default_rng(4)
    bits = [run(Retries(1, 1000, 0.7, 0.0), 1, 1000, 0.7, rng)[2] for _ in range(20)]
    assert abs(np.mean(bits) * 0.7 / 1000 - 1) < 4 * math.sqrt(0.3 / 20_000)


@pytest.mark.parametrize(
    ("values", "told"),
    [([0, 1], "of 2 items"), ([0, 1, 2], "other numbers"), ([0, -1, 0], "other numbers"), ([[0, 1, 0]], "of 1 items")],
)
def test_reports_that_cannot_be_true_are_refused(values: list[int], told: str) -> None:
    retries = Retries(1, 3, 0.5, 0.0)
    retries.emit()
    with pytest.raises(RemoteProtocolError, match=f"b reported {told}"):
        retries.told(retries.question(), np.array(values), "b")


# ---------------------------------------------------------------- losses that nobody foretold


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_what_was_seen_takes_the_place_of_what_was_foretold(share: float) -> None:
    """A contraction lets through a share of what the path does: at most 1.3 times K/p are emitted all the same."""
    rng, want, p = np.random.default_rng(3), 1000, 0.8
    emitted, rounds = np.mean([run(Retries(want, 1, p, None), want, 1, p * share, rng)[:2] for _ in range(40)], axis=0)
    assert emitted < 1.3 * want / (p * share) and rounds < 4


def test_over_all_items_together_chance_does_not_look_like_another_loss() -> None:
    """Ten items that have lost everything tell nothing: their estimates alone would double what is emitted."""
    retries = Retries(1, 1000, 0.5, None)
    retries.emit()
    question = retries.question()
    missing = np.zeros(1000, dtype=np.int64)
    missing[:510] = 1
    retries.told(question, missing, "b")
    assert retries.emit().sum() == 510 and retries.needed == 2000


def test_where_nothing_comes_more_and_more_are_emitted() -> None:
    retries, nothing = Retries(10, 1, 1.0, None), np.array([10])
    sizes = []
    for _ in range(6):
        sizes.append(int(retries.emit()[0]))
        retries.told(retries.question(), nothing, "b")
    assert all(later >= earlier for earlier, later in itertools.pairwise(sizes)) and sizes[-1] > 4 * sizes[0]


def test_all_parties_plan_alike() -> None:
    """From what was told alone: two accounts of the same reports are the same to the last copy."""
    rng, make = np.random.default_rng(1), partial(Retries, 9, 50, 0.4, None)
    last, first, arrived = make(), make(), np.zeros(50, dtype=np.int64)
    while not last.done:
        emitted = last.emit()
        assert (first.emit() == emitted).all()
        arrived += rng.binomial(emitted, 0.4)
        values = last.question().answer(np.maximum(9 - arrived, 0))
        for each in (first, last):
            each.told(each.question(), values, "b")
    assert first.done
