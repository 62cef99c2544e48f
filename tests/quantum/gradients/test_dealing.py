"""Draws without putting back: their law, below numpy's bound and beyond it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ketwire.quantum.gradients import dealing
from ketwire.quantum.gradients.dealing import draw_copies, hypergeometric
from ketwire.quantum.gradients.estimation import Held

SMALL = [(3, 5, 4), (40, 60, 30), (60, 40, 30), (60, 40, 97), (1, 500, 250), (500, 1, 250), (200, 300, 2), (9, 9, 9)]


@pytest.mark.parametrize(("good", "bad", "number"), SMALL)
def test_rejection_has_the_law_of_the_urn(good: int, bad: int, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numpy could draw as well: 6,000 draws against the exact probabilities."""
    monkeypatch.setattr(dealing, "MOST_AT_ONCE", 0)
    rng = np.random.default_rng(good)
    drawn = np.array([hypergeometric(good, bad, number, rng) for _ in range(6000)])
    law = stats.hypergeom(good + bad, good, number)
    assert drawn.min() >= max(0, number - bad) and drawn.max() <= min(good, number)
    values, seen = np.unique(drawn, return_counts=True)
    common = 6000 * law.pmf(values) >= 5
    expected = 6000 * law.pmf(values[common])
    rest = 6000 - seen[common].sum()
    squares = ((seen[common] - expected) ** 2 / expected).sum()
    if (left := 6000 - expected.sum()) > 5:
        squares += (rest - left) ** 2 / left
    assert stats.chi2.sf(squares, max(common.sum() - 1, 1)) > 1e-4


@pytest.mark.parametrize(("good", "bad", "number"), [(0, 7, 3), (7, 0, 3), (7, 5, 0), (7, 5, 12)])
def test_what_leaves_no_choice_is_no_chance(
    good: int, bad: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "MOST_AT_ONCE", 0)
    found = hypergeometric(good, bad, number, np.random.default_rng(1))
    assert found == {0: 0, 3: 3 if bad == 0 else 0, 12: 7}[number]


def test_more_copies_than_numpy_draws_from_are_dealt_all_the_same() -> None:
    """Mean K n / N and variance n K/N (1 - K/N) (N - n)/(N - 1) of 10^10 copies, where numpy raises a ValueError."""
    counts, number = np.array([10**9, 4 * 10**9, 5 * 10**9]), 2 * 10**9
    with pytest.raises(ValueError, match="less than 1000000000"):
        np.random.default_rng(2).multivariate_hypergeometric(counts, number, method="marginals")
    rng = np.random.default_rng(2)
    drawn = np.array([draw_copies(counts, number, rng) for _ in range(2000)])
    assert (drawn.sum(axis=1) == number).all()
    share = counts / 10**10
    spread = np.sqrt(number * share * (1 - share) * 0.8)
    assert (np.abs(drawn.mean(axis=0) - number * share) < 4.5 * spread / math.sqrt(2000)).all()
    assert np.abs(drawn.std(axis=0) / spread - 1).max() < 0.08


def test_mixed_copies_beyond_the_bound_are_dealt_to_parts() -> None:
    states = np.eye(2, dtype=np.complex128)
    held = Held(states, np.array([10**9, 10**9 + 1]), np.zeros(2, dtype=np.int64))
    dealt = held.deal(3, np.random.default_rng(3))
    assert (dealt.sum(axis=0) == held.counts).all() and (dealt >= 0).all()
    assert sorted(dealt.sum(axis=1)) == [666666667, 666666667, 666666667]


def test_rows_of_each_sample_are_found_by_one_sort() -> None:
    rng = np.random.default_rng(8)
    samples = rng.permutation(np.concatenate([np.arange(5), rng.integers(0, 5, 20)]))
    held = Held(np.ones((25, 2), dtype=np.complex128), np.ones(25, dtype=np.int64), samples)
    assert [rows.tolist() for rows in held.rows_by_sample] == [
        np.flatnonzero(samples == at).tolist() for at in range(5)
    ]
