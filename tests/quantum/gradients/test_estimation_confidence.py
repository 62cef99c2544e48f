"""Where confidence goes: into the looks of amplitude estimation and the noisy tests of shadow tomography."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ketwire.protocols.amplitude import AmplitudeParty
from ketwire.quantum.amplitude import AmplitudeEstimation, Shots, chernoff_interval
from ketwire.quantum.gradients.estimation import Promise
from ketwire.quantum.gradients.shadow_tomography import Plan, ShadowTomography, disturbance
from tests.scenarios.kinds.inference.test_amplitude import SLIGHT, scenario

# ---------------------------------------------------------------- amplitude estimation


@pytest.mark.parametrize(("epsilon", "most_power", "powers"), [(0.01, None, 8), (0.01, 0, 1), (0.01, 3, 3)])
def test_looks_share_what_may_fail(epsilon: float, most_power: int | None, powers: int) -> None:
    """The j-th look at a power has delta / (T j (j+1)), which sums to delta over all looks and T powers."""
    progress = AmplitudeEstimation(epsilon, 0.1, most_power).start()
    shots, hits = 0, 0
    for look in (1, 2, 3):
        wanted = progress.request
        shots, hits = shots + wanted.count, hits + wanted.count // 2
        progress = progress.told(wanted.count // 2)
        least, most = chernoff_interval(hits, shots, 0.1 / (powers * look * (look + 1)))
        assert abs(progress.interval[0] - least) < 1e-12 and abs(progress.interval[1] - most) < 1e-12
        if progress.power:
            break


def test_a_power_begins_with_looks_of_its_own() -> None:
    progress = AmplitudeEstimation(0.01, 0.1).start()
    while not progress.power:
        progress = progress.told(progress.request.count // 4)
    assert (progress.looks, progress.shots, progress.hits) == (0, 0, 0)
    low, high = progress.low, progress.high
    turns, wanted = 4 * progress.power + 2, progress.request
    half = math.floor(turns * (low + high) / 2 / math.pi)
    told = progress.told(wanted.count // 2)
    least, most = chernoff_interval(wanted.count // 2, wanted.count, 0.1 / (8 * 2))
    angles = np.arccos(1 - 2 * np.array([least, most]))
    ends = np.sort((half * math.pi + (math.pi - angles if half % 2 else angles)) / turns)
    assert abs(told.low - max(low, ends[0])) < 1e-12 and abs(told.high - min(high, ends[1])) < 1e-12


def test_a_stream_of_shots_has_the_survival_of_all_its_crossings() -> None:
    """Two qubits, each through with 0.99, on 2k+1 crossings; and the budget that was given."""
    loaded = scenario("ba", link=SLIGHT, budget_attempts=4567)
    party = AmplitudeParty(loaded.run().sessions[0].slices["b"], loaded.network().loaders()["b"])
    for power in (0, 1, 4):
        plan = party.plan(Shots(power, 7))
        assert abs(plan.passage.survival - 0.99 ** (2 * (2 * power + 1))) < 1e-12
        assert (plan.want, plan.budget_attempts, len(plan.path)) == (7, 4567, 2 * power + 2)


# ---------------------------------------------------------------- shadow tomography


def one_round(q: float, runs: int) -> tuple[Plan, np.ndarray, np.ndarray]:
    """One operator Z/2 on a qubit with <(1+Z)/2> = q, and copies for one batch: who said yes, and the ledgers."""
    tool, promise = ShadowTomography(), Promise(0.3, 0.2, 1)
    plan = tool.plan(1, 1, 0.5, promise)
    ops, states = np.diag([0.5, -0.5]).astype(complex)[None], np.array([[math.sqrt(q), math.sqrt(1 - q)]], complex)
    rng, counts = np.random.default_rng(9), np.array([plan.batch])
    found = [tool.learn(ops, np.array([0.5]), states, counts, promise, rng) for _ in range(runs)]
    assert all(run.converged != run.updates for run in found)
    return plan, np.array([run.updates for run in found]), np.array([run.disturbance for run in found])


@pytest.mark.parametrize("q", [0.76, 0.775])
def test_a_test_says_yes_as_often_as_its_noisy_count_passes(q: float) -> None:
    """P(c + X >= m (1/2 + e) - a), c binomial and X exponential with mean s, for E and for 1 - E, one or the other."""
    plan, yes, ledgers = one_round(q, 1500)
    threshold = plan.batch * (0.5 + plan.gap) - plan.slack
    counts = np.arange(plan.batch + 1)
    says = [float(stats.binom.pmf(counts, plan.batch, p) @ np.minimum(1, np.exp((counts - threshold) / plan.scale)))
            for p in (q, 1 - q)]  # fmt: skip
    expected = 1 - (1 - says[0]) * (1 - says[1])
    assert 0.1 < expected < 0.95
    assert abs(yes.mean() - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 1500)
    # Where neither said yes, both have turned the batch; where the first said yes, none has.
    each = [disturbance(np.array([plan.batch]), np.array([[p]]), np.array([threshold]), plan.scale) for p in (q, 1 - q)]
    assert np.abs(ledgers[yes == 0] - sum(each)).max() < 1e-9
    assert {round(ledger, 9) for ledger in ledgers[yes == 1]} <= {0.0, *(round(one, 9) for one in each)}
