"""Statistics over repeats, beside scipy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.quantum.means import half_width
from ketwire.scenarios.studies.statistics import done_by, spread


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
