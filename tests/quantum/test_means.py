"""Intervals of means, beside printed tables and scipy."""

from __future__ import annotations

import pytest

from ketwire.quantum.means import t_quantile


@pytest.mark.parametrize(
    ("freedom", "two_sided_95"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (9, 2.26216), (30, 2.04227)]
)
def test_quantiles_are_those_of_printed_tables(freedom: int, two_sided_95: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(two_sided_95, abs=1e-5)


@pytest.mark.long  # scipy takes seconds to load
@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 10, 29, 30, 199, 1000])
@pytest.mark.parametrize("probability", [0.5, 0.75, 0.95, 0.975, 0.995, 0.9999])
def test_quantiles_of_student_s_t(freedom: int, probability: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9, abs=1e-12)
