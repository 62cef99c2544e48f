"""Sums of floats: rounded once, so that no Python and no order of the terms gives another one."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ketwire.channels.sums import exact_sum
from tests.protocols.test_repeaters import loaded, scenario


@given(st.lists(st.floats(-1e300, 1e300), max_size=8))
def test_the_sum_is_the_exact_one_rounded_once(values: list[float]) -> None:
    assert exact_sum(iter(values)) == float(sum(map(Fraction, values)))


def test_what_no_float_holds_is_infinite() -> None:
    assert exact_sum([1e308, 1e308]) == exact_sum([math.inf, 1.0]) == math.inf
    assert math.isnan(exact_sum([math.inf, -math.inf]))


def test_a_chain_is_as_long_as_its_hops() -> None:
    """0.1, 0.2 and 0.3 km: added one after another, and rounded each time, they are 0.6000000000000001."""
    data = scenario(3)
    for link, km in zip(data["links"], (0.1, 0.2, 0.3), strict=False):
        link["length_km"] = km
    assert [way.fiber.length_km for _, _, way in loaded(data).network().links[-1].directions()] == [0.6, 0.6]
