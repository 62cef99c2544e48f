"""Who wins: accuracy first, then cost; against scipy's interval and by cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketwire.quantum.binomial import wilson_interval
from ketwire.scenarios.kinds.verdict import (
    Rival,
    Standing,
    Winner,
    by_accuracy,
    by_promise,
    decided,
    reaches,
    undecided,
)

stats = pytest.importorskip("scipy.stats")
SAME, BETTER, WORSE = Standing.SAME, Standing.BETTER, Standing.WORSE


@given(st.integers(1, 2000), st.data())
def test_the_interval_is_wilsons(decisions: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, decisions))
    low, high = wilson_interval(right / decisions, decisions)
    theirs = stats.binomtest(right, decisions).proportion_ci(0.95, "wilson")
    assert (low, high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))


def test_an_accuracy_of_nobody_knows_how_many_decisions_has_no_interval() -> None:
    assert wilson_interval(0.9, None) == (0.9, 0.9)
    assert by_accuracy(0.9, 0.9, None) is SAME and by_accuracy(0.9, 0.899, None) is WORSE


@given(st.integers(1, 500), st.data())
def test_standings_are_opposite_from_the_other_side(decisions: int, data: st.DataObject) -> None:
    a, b = (data.draw(st.integers(0, decisions)) / decisions for _ in range(2))
    opposite = {SAME: SAME, BETTER: WORSE, WORSE: BETTER}
    assert by_accuracy(a, b, decisions) is opposite[by_accuracy(b, a, decisions)]
    assert by_accuracy(a, a, decisions) is SAME


CASES = [
    ([], Winner.NOBODY, None),
    ([("a", 9, SAME)], Winner.CLASSICAL, "a"),
    ([("a", 10, SAME)], Winner.TIE, "a"),
    ([("a", 11, SAME)], Winner.QUANTUM, "a"),
    ([("a", 9, BETTER), ("b", 8, BETTER)], Winner.CLASSICAL, "b"),
    ([("a", 11, BETTER), ("b", 1, WORSE)], Winner.NOBODY, "a"),
    ([("a", 10, BETTER)], Winner.NOBODY, "a"),
    ([("a", 1, WORSE), ("b", 99, WORSE)], Winner.NOBODY, None),
    ([("a", 1, WORSE), ("b", 99, SAME)], Winner.QUANTUM, "b"),
    ([("a", 20, BETTER), ("b", 30, SAME)], Winner.QUANTUM, "b"),
]


@pytest.mark.parametrize(("rivals", "winner", "beside"), CASES)
def test_cost_decides_among_those_that_are_as_accurate(
    rivals: list[tuple[str, float, Standing]], winner: Winner, beside: str | None
) -> None:
    """The quantum run sent 10."""
    found = decided(10, [Rival(*rival) for rival in rivals])
    assert found.winner is winner and (found.rival.name if found.rival else None) == beside


def test_a_promise_is_kept_or_it_is_not() -> None:
    assert [by_promise(*kept) for kept in ((True, True), (False, True), (True, False), (False, False))] == [
        SAME, BETTER, WORSE, WORSE,
    ]  # fmt: skip
    assert reaches(0.94, 400, 0.95) and not reaches(0.90, 400, 0.95) and reaches(1.0, 1, 0.95)


def test_what_would_decide_is_said() -> None:
    assert undecided(None, False, "more copies") == "no classical rival ran"
    assert "rivals with more bits" in undecided(None, True, "more copies")
    assert "a was more accurate and sent more; more copies" in undecided(Rival("a", 1, BETTER), True, "more copies")
