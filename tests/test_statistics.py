"""What a run promises about its estimate: (epsilon, delta), no bias, and the variance of K coin tosses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ketwire.channels.fiber import Fiber
from tests.scenarios.kinds.inference.test_sampling import (
    Layers,
    carried_out,
    exact,
    network,
    rotations,
    spec_of,
    summary,
)

EPSILON, DELTA = 0.1, 0.1
LOSSY = Fiber(length_km=1.0, loss_db_per_km=0.2, detector_efficiency=0.8, emission_rate_hz=25e6)
LAYERS: Layers = [rotations(at, np.random.default_rng(ord(at)).uniform(0, 6, 4).tolist()) for at in "ba"]
HALVING = {"at": "a", "layer": "contraction", "matrix": {"values": np.diag([0.9, 0.5, 0.7, 0.3]).tolist()}}


def estimates(seeds: range, physics: Fiber, layers: Layers) -> tuple[NDArray[np.float64], float, int]:
    """The estimate of every seed, the exact value, and the copies behind each."""
    spec = spec_of(layers, 2, copies=None, epsilon=EPSILON, delta=DELTA)
    found = []
    for seed in seeds:
        on = network(physics, seed=seed)
        found.append(summary(spec, on, carried_out(spec, on))["estimate"])
    return np.array(found), exact(spec, network(physics)), spec.measured_copies


def judge(found: NDArray[np.float64], p: float, copies: int, spread: tuple[float, float]) -> None:
    outside = int((np.abs(found - p) > EPSILON).sum())
    assert stats.binomtest(outside, len(found), DELTA, alternative="greater").pvalue > 1e-3
    assert abs(found.mean() - p) < 4 * math.sqrt(p * (1 - p) / copies / len(found))
    assert spread[0] < found.var() / (p * (1 - p) / copies) < spread[1]


@pytest.mark.parametrize(
    ("physics", "layers"),
    [
        (Fiber(), LAYERS),
        pytest.param(LOSSY, LAYERS, marks=pytest.mark.long),
        pytest.param(LOSSY, [LAYERS[0], HALVING, *LAYERS], marks=pytest.mark.long),
    ],
    ids=["quiet", "lossy", "contraction"],
)
def test_two_hundred_estimates_keep_their_promise(physics: Fiber, layers: Layers) -> None:
    found, p, copies = estimates(range(200), physics, layers)
    assert 0.05 < p < 0.95 and len(set(found.tolist())) > 10
    judge(found, p, copies, (0.75, 1.3))


@pytest.mark.long
@pytest.mark.parametrize("physics", [Fiber(), LOSSY], ids=["quiet", "lossy"])
def test_four_thousand_estimates_keep_their_promise(physics: Fiber) -> None:
    found, p, copies = estimates(range(4_000), physics, [LAYERS[0], HALVING, *LAYERS])
    judge(found, p, copies, (0.905, 1.095))
    # K tosses of a coin, not merely their mean and variance.
    tosses = np.rint(found * copies).astype(int)
    low, high = stats.binom.ppf([0.02, 0.98], copies, p).astype(int)
    cut = np.clip(tosses, low, high) - low
    table = stats.binom.pmf(np.arange(low, high + 1), copies, p)
    table[0], table[-1] = stats.binom.cdf(low, copies, p), stats.binom.sf(high - 1, copies, p)
    seen = np.bincount(cut, minlength=high - low + 1)
    assert stats.chisquare(seen, table / table.sum() * len(found)).pvalue > 1e-4
