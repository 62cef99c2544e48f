"""Fingerprints: a linear code, words that are dealt, and a referee that works in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.nodes.inline import run_inline
from ketwire.protocols.advantage import fingerprint
from ketwire.protocols.advantage.fingerprint import deal, encoded, expected, word_bits
from ketwire.scenarios.load import load


def test_the_code_is_linear_and_the_same_in_any_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, _ = deal(6, 50, np.random.default_rng(1))
    codes = encoded(first, 6)
    assert codes.shape == (50, 64) and first.shape == (50, word_bits(6)) == (50, 16)
    assert np.array_equal(codes ^ encoded(second, 6), encoded(first ^ second, 6))
    monkeypatch.setattr(fingerprint, "ENCODED_ROWS", 7)
    assert np.array_equal(encoded(first, 6), codes)


def test_half_of_the_words_are_equal_and_the_dealer_knows_which() -> None:
    first, second, equal = deal(5, 4000, np.random.default_rng(2))
    assert np.array_equal((first == second).all(axis=1), equal)
    assert abs(equal.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)


def test_the_expected_score_is_worked_out_pair_by_pair() -> None:
    first, second, equal = deal(4, 40, np.random.default_rng(3))
    signs = [(-1.0) ** encoded(words, 4) / 4 for words in (first, second)]
    passes = ((1 + (signs[0] * signs[1]).sum(axis=1) ** 2) / 2) ** 3
    assert expected(first, second, 4, 3) == pytest.approx(np.mean(np.where(equal, 2 * passes - 1, 1 - 2 * passes)))


def test_a_referee_that_keeps_few_copies_decides_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of five instances: lost copies are sent again in each."""
    monkeypatch.setattr(fingerprint, "BLOCK_AMPLITUDES", 5 * (8 << 5))
    loaded = load("fingerprint-referee", ["protocol.qubits=5", "protocol.instances=83"])
    results = run_inline(loaded.run())
    told = results[0].outcomes["carol"]
    network = loaded.network()
    from ketwire.scenarios.kinds.advantage.sessions import dealt

    _, _, equal = dealt(loaded.scenario.protocol.root, network)
    assert told.decisions[equal].all() and told.decisions[~equal].mean() < 0.2
    assert told.attempted > 2 * 8 * 83
