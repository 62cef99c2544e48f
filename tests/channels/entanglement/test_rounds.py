"""Rounds of distillation with errors at both ends, against density matrices of both pairs, gate by gate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.channels.entanglement import pairs
from ketwire.channels.entanglement.distill import Schedule, plan
from ketwire.channels.entanglement.given import Given
from ketwire.channels.entanglement.heralding import DoubleClick, SingleClick
from ketwire.channels.entanglement.rounds import (
    AS_THEY_ARE,
    Ends,
    bbpssw,
    best_order,
    dejmps,
    epl,
    errors_of,
    gates_ps,
)
from ketwire.channels.parts import Gates
from tests.channels.entanglement.chains_by_matrix import after_gate, cnot, depolarized, outcomes, x_on

Matrix = NDArray[Any]
ENDS: list[Ends] = [
    (Gates(p_gate1=0.1), Gates()),
    (Gates(p_gate2=0.2), Gates(p_gate2=0.1)),
    (Gates(p_readout=(0.02, 0.3)), Gates(p_readout=(0.15, 0.0))),
    (Gates(0, 0, 0, 0.04, 0.05, (0.1, 0.02)), Gates(0, 0, 0, 0.02, 0.15, (0.03, 0.12))),
]


def by_matrix(first: Matrix, second: Matrix, ends: Ends, wanted: list[tuple[int, int]], turns: bool) -> Any:
    """Success and what is left of a b (kept) and c d: gates, errors and readouts one after the other."""
    rho = np.kron(first, second)
    if turns:
        quarter = np.array([[1, -1j], [-1j, 1]]) / math.sqrt(2)
        for qubit in range(4):
            rho = after_gate(rho, quarter if qubit in (0, 2) else quarter.conj(), (qubit,))
            rho = depolarized(rho, (qubit,), ends[qubit % 2].p_gate1)
    for end in (0, 1):
        rho = cnot(rho, end, end + 2)
        rho = depolarized(rho, (end, end + 2), ends[end].p_gate2)
    return outcomes(rho, (2, 3), [each.p_readout for each in ends], wanted)


def random_bell(seed: int) -> Matrix:
    return np.random.default_rng(seed).dirichlet([2.0, 0.7, 0.7, 0.7], size=2)


AGREE = [(0, 0), (1, 1)]


@pytest.mark.parametrize("ends", ENDS)
def test_dejmps_with_errors(ends: Ends) -> None:
    first, second = random_bell(1)
    success, rho = by_matrix(pairs.from_bell(first), pairs.from_bell(second), ends, AGREE, turns=True)
    found = dejmps(first, second, errors_of(ends))
    assert found.success == pytest.approx(success, abs=1e-13)
    np.testing.assert_allclose(found.bell, pairs.bell_diagonal(rho), atol=1e-13)


@pytest.mark.parametrize("ends", ENDS)
def test_bbpssw_with_errors(ends: Ends) -> None:
    """Its twirls are gates on each half, whose errors a Werner state shows as depolarizing."""
    first, second = random_bell(2)
    rho = [pairs.werner(bell[0]) for bell in (first, second)]
    for end in (0, 1):
        rho = [depolarized(each, (end,), ends[end].p_gate1) for each in rho]
    success, rho = by_matrix(*rho, ends, AGREE, turns=False)
    found = bbpssw(first, second, errors_of(ends))
    assert found.success == pytest.approx(success, abs=1e-13)
    assert found.bell[0] == pytest.approx(pairs.fidelity(rho), abs=1e-13)


@pytest.mark.parametrize("ends", [(Gates(), Gates()), *ENDS])
def test_epl_with_errors(ends: Ends) -> None:
    """On pairs of single clicks as the memories are: without the X on half b that the frame of pairs has."""
    states = [SingleClick((0.5, 0.5), dark_count=0.03, visibility=0.8, alpha=alpha).state() for alpha in (0.3, 0.2)]
    states = [pairs.decay_pairs(rho, *[np.array([5])] * 2, 30.0, 20.0)[0] for rho in states]
    success, rho = by_matrix(*(x_on(rho, 1) for rho in states), ends, [(1, 1)], turns=False)
    found = epl(*(pairs.elements(each) for each in states), ends)
    assert found.success == pytest.approx(success, abs=1e-13)
    np.testing.assert_allclose(found.bell, pairs.elements(x_on(rho, 1)), atol=1e-13)


def test_epl_leaves_the_visibility_alone() -> None:
    """What is missing is |11> and the overlap: F = (1 + V) / 2, with the success of (1 - |11>)² / 2."""
    scheme = SingleClick((4e-4, 4e-4), visibility=0.9, alpha=0.3)
    planned = plan(scheme, Schedule(1, "epl"))
    bright = float(scheme.state()[2, 2].real)
    assert planned.bell[0] == pytest.approx(0.95, abs=1e-3)
    assert planned.success[0] == pytest.approx((1 - bright) ** 2 / 2, rel=1e-3)
    assert planned.pairs == pytest.approx(2 / planned.success[0])


# The order of Bell labels


def test_the_order_of_labels_is_the_best_there_is() -> None:
    """Among all permutations that leave Φ+, tried one by one."""
    for seed in range(20):
        first, second = random_bell(seed)
        order = best_order(first, second)
        tried = [
            float(dejmps(first[[0, *rest]], second[[0, *rest]]).bell[0])
            for rest in ([1, 2, 3], [1, 3, 2], [2, 1, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1])
        ]
        assert order[0] == 0 and sorted(order) == [0, 1, 2, 3]
        assert float(dejmps(first, second, order=order).bell[0]) == pytest.approx(max(tried), abs=1e-9)


def test_pairs_of_single_clicks_gain_from_it() -> None:
    """A raw fidelity of .682 falls to .677 as the labels are, and rises to .803 in order."""
    scheme = SingleClick((4e-4, 4e-4), visibility=0.9, alpha=0.3)
    raw = pairs.bell_diagonal(scheme.state())
    assert raw[0] == pytest.approx(0.682, abs=1e-3)
    assert dejmps(raw, raw).bell[0] == pytest.approx(0.677, abs=1e-3)
    assert plan(scheme, Schedule(1)).bell[0] == pytest.approx(0.803, abs=1e-3)


def test_labels_that_are_alike_stay_where_they_are() -> None:
    """Rounding chooses no order: nested rounds on Werner pairs and double clicks turn halves as Deutsch et al."""
    for scheme in (Given(1e3, 0.8), DoubleClick((0.3, 0.3), delay_ps=1, dark_count=1e-3, visibility=0.8)):
        assert plan(scheme, Schedule(3)).orders.tolist() == [AS_THEY_ARE.tolist()] * 3


def test_a_round_lasts_as_long_as_the_slower_end() -> None:
    ends = Gates(gate1_ps=5, gate2_ps=30), Gates(gate1_ps=20, gate2_ps=10)
    assert (gates_ps("dejmps", ends), gates_ps("bbpssw", ends), gates_ps("epl", ends)) == (35, 35, 30)
