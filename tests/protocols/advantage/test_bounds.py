"""The bounds give the published figures, and the achievable protocol achieves what its closed form says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ketwire.protocols.advantage import bounds
from ketwire.protocols.advantage.xeb import Xeb
from ketwire.quantum.layers import haar_state

WERNER = {
    6: [5.4, 4.8, 3.8, 3.0, 1.3],
    8: [20.6, 18.4, 14.5, 11.3, 5.5],
    10: [70.9, 62.2, 47.5, 35.7, 16.1],
    12: [233, 201, 147, 106, 43],
    14: [776, 655, 460, 317, 113],
}
"""Bits that the score over Werner pairs of fidelity 1, 0.99, 0.97, 0.95 and 0.9 needs, worked out independently."""


def test_the_published_experiment() -> None:
    """Score 0.427 ± 0.013 of twelve qubits: 62 bits are needed below it by 5 standard errors, 382 do above."""
    assert abs(bounds.xeb_bits(12, 0.427 - 5 * 0.013) - 61.5) < 0.1
    assert abs(bounds.random_states_bits(12, 0.427 + 5 * 0.013) - 381) < 1


@pytest.mark.parametrize("qubits", WERNER)
def test_bits_for_scores_over_pairs(qubits: int) -> None:
    for fidelity, bits in zip((1, 0.99, 0.97, 0.95, 0.9), WERNER[qubits], strict=True):
        score = Xeb(qubits).expected(4 * (1 - fidelity) / 3)
        assert abs(bounds.xeb_bits(qubits, score) - bits) < max(0.06, 0.005 * bits)


@pytest.mark.parametrize("qubits", [4, 8, 12, 14])
def test_a_bound_is_below_what_is_achieved_and_grows(qubits: int) -> None:
    needed = [bounds.xeb_bits(qubits, score) for score in np.linspace(0.05, 0.95, 10)]
    achieved = [bounds.random_states_bits(qubits, score) for score in np.linspace(0.05, 0.95, 10)]
    assert needed == sorted(needed) and achieved == sorted(achieved)
    assert all(low <= high for low, high in zip(needed, achieved, strict=True))
    assert bounds.xeb_bits(qubits, 0.0) == bounds.xeb_bits(qubits, -1.0) == 0.0


def test_the_score_of_shared_random_states_is_their_closed_form() -> None:
    """Drawn outright: the best of 2^m states, and its likeliest outcome. Six standard errors."""
    rng, qubits, runs = np.random.default_rng(1), 3, 6000
    own = haar_state(qubits, rng, runs)
    for bits in (0, 1, 4):
        shared = haar_state(qubits, rng, runs << bits).reshape(runs, 1 << bits, -1)
        overlaps = np.abs(np.einsum("rsk,rk->rs", shared.conj(), own)) ** 2
        best = shared[np.arange(runs), overlaps.argmax(axis=1)]
        answers = (np.abs(best) ** 2).argmax(axis=1)
        scores = 8 * np.abs(own[np.arange(runs), answers]) ** 2 - 1
        expected = bounds.random_states_score(qubits, bits)
        assert abs(scores.mean() - expected) < 6 * scores.std() / math.sqrt(runs)


def test_matchings_need_the_root_of_the_places() -> None:
    assert bounds.matching_bits(12, 1.0) == pytest.approx(math.sqrt(4095) / 2 - 1)
    assert bounds.matching_bits(4, 0.1) == 0.0
