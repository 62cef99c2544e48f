"""Statistics over repeats, beside scipy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.scenarios.studies.statistics import done_by, half_width, spread, t_quantile


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


def test_a_spread_is_that_of_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0]
    found = spread(values)
    assert found.mean == pytest.approx(np.mean(values)) and found.deviation == pytest.approx(np.std(values, ddof=1))
    assert [found.p50, found.p95, found.p99] == pytest.approx(np.percentile(values, [50, 95, 99]))
    assert found.low is not None and found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(half_width(values, 0.95))
    one = spread([2.0])
    assert (one.mean, one.deviation, one.low, one.high, one.p99) == (2.0, None, None, None, 2.0)
    assert spread(list(reversed(values))) == found


def test_a_share_of_deadlines_counts_failed_runs_as_late() -> None:
    share, low, high = done_by([1.0, 2.0, 3.0, None], 2.0)
    assert share == 0.5 and 0 < low < 0.5 < high < 1
    assert done_by([None], 1e12)[0] == 0.0
