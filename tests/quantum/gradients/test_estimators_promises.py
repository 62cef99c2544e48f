"""Every sampled estimator over 200 seeds: no bias but what is stated, the promise kept at the copies claimed.

What the tests themselves may get wrong, for an estimator that is what it says: a promise is told broken with
probability 1e-3 at most (exact binomial test); a bias is told where a mean is off by 4.5 of its standard errors,
which chance does to one of 15 parameters with probability 1e-4 (as a normal law has it).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy import stats

from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.estimation import Held, Promise
from ketwire.quantum.gradients.estimators import FROM_FEATURES, NAMES, RandomCoordinate
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.features import blocks_of, contributions, phi
from ketwire.quantum.gradients.parameter_shift import ParameterShift, shift_plan
from ketwire.quantum.gradients.shadows import median_plan
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment
from tests.kit import rarely
from tests.quantum.gradients.test_exact import losses
from tests.quantum.test_circuits import gap

SEEDS = 200
DEVIATIONS = 4.5
SURE = 1e-3
SAMPLED = [name for name in NAMES if name != "exact"]
MEASURED = {**FROM_FEATURES, "by parameter": lambda: RandomCoordinate("parameter")}


@cache
def case() -> tuple[Segment, np.ndarray, np.ndarray, np.ndarray]:
    """A unitary of 15 parameters on 2 qubits, one of which feeds two gates; |Phi>; its exact derivatives.

    And the chance of a 1 in each of the shifted runs.
    """
    rng = np.random.default_rng(70)
    own = layers.hardware_efficient(2, 3, "yz", "cnot-chain") + layers.couplings(2, "xy") + layers.rotations(2, "x")
    twice = Circuit(2, (*own.gates, Gate("ry", (0,), (3,), 0.5)), own.parameter_count)
    U = Segment(twice, rng.uniform(0, 6, twice.parameter_count))
    V, mu = Segment(layers.rotations(2, "yx"), rng.normal(size=4)), layers.haar_state(2, rng)
    made, expected = phi(mu, U, [V]), exact_gradients([U, V], mu)[0][0]
    assert len(expected) == 15 and gap(contributions(U, made)[0], expected) < 1e-12
    plan = shift_plan(U)
    law = [losses([Segment(plan.circuit, angles), V], mu, Projector(0))[0] for angles in plan.angles]
    return U, made, expected, np.array(law)


def claimed(name: str, promise: Promise) -> int:
    circuit = case()[0].circuit
    if name == ParameterShift.name:
        return ParameterShift().copies([circuit], promise)
    return MEASURED[name]().copies(blocks_of(circuit), promise)


def errors(name: str, copies: int, promise: Promise) -> np.ndarray:
    """(SEEDS, P): what is off in each estimate, one a seed, each from as many copies."""
    U, made, expected, law = case()
    found = np.empty((SEEDS, len(expected)))
    for seed in range(SEEDS):
        rng = np.random.default_rng([seed, 71])
        if name == ParameterShift.name:
            found[seed] = shift_plan(U).gradient(rng.binomial(copies, law) / copies)
        else:
            found[seed] = MEASURED[name]().estimate(Held.pure(made, copies), U, promise, rng).values[0]
    return np.asarray(found - expected)


@cache
def at_the_copies_claimed(name: str, epsilon: float) -> tuple[np.ndarray, Promise]:
    promise = Promise(epsilon, 0.2, 15)
    copies = claimed(name, promise)
    assert copies > 0
    return errors(name, copies, promise), promise


FEW = {
    "direct": 160,
    "commuting": 80,
    "random-coordinate": 1,
    "by parameter": 3,
    "classical-shadows": 50,
    "parameter-shift": 20,
}
EPSILON = {  # such that 200 seeds take seconds
    "direct": 0.1,
    "commuting": 0.1,
    "random-coordinate": 0.1,
    "by parameter": 0.1,
    "classical-shadows": 0.3,
    "tomography": 0.4,
    "shadow-tomography": 0.15,
    "parameter-shift": 0.1,
}


def test_no_sampled_estimator_is_left_out() -> None:
    assert set(EPSILON) == {*SAMPLED, "by parameter"}
    assert set(FEW) == set(EPSILON) - {"tomography", "shadow-tomography"}


@pytest.mark.parametrize("name", rarely(FEW, but="classical-shadows"))
def test_two_hundred_seeds_show_no_bias(name: str) -> None:
    """However few the copies; of shadows one group's, a plain mean."""
    loose = Promise(0.5, 0.9, 1)
    assert median_plan(0.9)[0] == 1
    found = errors(name, FEW[name], loose)
    standard = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert standard.min() > 0
    assert (np.abs(found.mean(axis=0)) < DEVIATIONS * standard).all()


SLOWER = [pytest.param(name, marks=pytest.mark.long) for name in ("tomography", "shadow-tomography")]
SKEWED = ["classical-shadows", *SLOWER]


@pytest.mark.long
@pytest.mark.parametrize("name", SKEWED)
def test_two_hundred_seeds_show_a_bias_within_what_is_stated(name: str) -> None:
    """A median, a projection and a hypothesis that learns no more once it is near: epsilon."""
    found, promise = at_the_copies_claimed(name, EPSILON[name])
    standard = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert (np.abs(found.mean(axis=0)) + DEVIATIONS * standard < promise.epsilon).all()


@pytest.mark.long
def test_shadow_tomography_does_have_a_bias() -> None:
    """So the bound is not idle: it stops as soon as all is within epsilon."""
    found, _ = at_the_copies_claimed("shadow-tomography", EPSILON["shadow-tomography"])
    standard = found.std(axis=0, ddof=1) / np.sqrt(SEEDS)
    assert (np.abs(found.mean(axis=0)) > DEVIATIONS * standard).any()


def assert_kept(found: np.ndarray, promise: Promise) -> None:
    failed = int((np.abs(found).max(axis=1) > promise.epsilon).sum())
    assert stats.binomtest(failed, len(found), promise.delta, alternative="greater").pvalue > SURE


@pytest.mark.parametrize("name", rarely(EPSILON, but=("classical-shadows", "parameter-shift")))
def test_two_hundred_seeds_keep_the_promise_at_the_copies_claimed(name: str) -> None:
    assert_kept(*at_the_copies_claimed(name, EPSILON[name]))


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name == "tomography" else name for name in EPSILON]
)
def test_two_hundred_seeds_keep_a_closer_promise(name: str) -> None:
    promise = Promise(0.05 if name in ("direct", "commuting", "parameter-shift") else 0.1, 0.1, 15)
    assert_kept(errors(name, claimed(name, promise), promise), promise)


@pytest.mark.parametrize("name", ["commuting", "parameter-shift"])
def test_a_sixteenth_of_the_copies_does_not_keep_it(name: str) -> None:
    """The promise is none that any number of copies would keep."""
    promise = Promise(0.1, 0.2, 15)
    found = errors(name, claimed(name, promise) // 16, promise)
    failed = int((np.abs(found).max(axis=1) > promise.epsilon).sum())
    assert stats.binomtest(failed, SEEDS, promise.delta, alternative="greater").pvalue < SURE
