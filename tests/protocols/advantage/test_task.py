"""Tasks of one message against their definitions, worked out entry by entry, and closed forms against all errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ketwire.protocols.advantage.consumable import Consumable
from ketwire.protocols.advantage.fourier_sampling import FourierSampling
from ketwire.protocols.advantage.hidden_matching import HiddenMatching, signs_of
from ketwire.protocols.advantage.inputs import Inputs, block_of, own_key
from ketwire.protocols.advantage.task import Table, Task
from ketwire.protocols.advantage.xeb import Xeb
from ketwire.quantum.gates import PAULI


def test_hidden_matching_measures_the_two_states_of_each_edge() -> None:
    task, rng = HiddenMatching(3), np.random.default_rng(1)
    states = rng.normal(size=(7, 8)) + 1j * rng.normal(size=(7, 8))
    states /= np.linalg.norm(states, axis=1)[:, None]
    held = Table(np.arange(1, 8)[:, None])
    laws = task.laws(states, held, np.zeros(7, dtype=np.int64))
    assert np.allclose(laws.sum(axis=1), 1.0)
    for row, shift in enumerate(range(1, 8)):
        lead = 1 << shift.bit_length() - 1
        for i in range(8):
            if i & lead:
                continue
            for sign, outcome in ((1, i), (-1, i | lead)):
                amplitude = (states[row, i] + sign * states[row, i ^ shift]) / np.sqrt(2)
                assert laws[row, outcome] == pytest.approx(abs(amplitude) ** 2)


def test_a_right_answer_scores_one_and_a_wrong_one_minus_one() -> None:
    task = HiddenMatching(2)
    sent, held = Table(np.array([[0, 1, 1, 0]], dtype=np.uint8)), Table(np.array([[3]]))
    scores = [float(task.scores(sent, held, np.array([0]), np.array([outcome]))[0]) for outcome in range(4)]
    assert scores == [1.0, 1.0, -1.0, -1.0]  # edges {0, 3} and {1, 2} have parity 0; bit 2 of an outcome is the answer


def test_copies_of_consumable_data_have_matchings_of_their_own() -> None:
    task = Consumable(3, 4)
    held = task.draw_held(np.random.default_rng(2), 5)
    assert held.rows.shape == (5, 4)
    assert np.array_equal(task.asked(held.of(np.array([2, 2])), np.array([3, 1])), held.rows[2, [3, 1]])
    assert task.break_even == 8 / 3


def test_fourier_samples_have_the_squared_transform_of_the_product() -> None:
    task, rng = FourierSampling(3), np.random.default_rng(3)
    sent, held = task.draw_sent(rng, 6), task.draw_held(rng, 6)
    product = (-1.0) ** (sent.rows ^ held.rows)
    table = np.array([[(-1) ** bin(x & z).count("1") for x in range(8)] for z in range(8)])
    transform = product @ table.T / 8
    ranks = np.zeros(6, dtype=np.int64)
    assert np.allclose(task.laws(task.states(sent), held, ranks), transform**2)
    for z in range(8):
        scores = task.scores(sent, held, ranks, np.full(6, z))
        assert np.allclose(scores, 8 * transform[:, z] ** 2 - 1)


def errors(qubits: int, p: float) -> list[tuple[float, np.ndarray]]:
    """Every Pauli error on all qubits with its probability, where each is depolarized with probability p."""
    found = []
    for letters in itertools.product("IXYZ", repeat=qubits):
        chance = float(np.prod([1 - 0.75 * p if letter == "I" else 0.25 * p for letter in letters]))
        operator = np.eye(1)
        for letter in letters:
            operator = np.kron(operator, PAULI[letter])
        found.append((chance, operator))
    return found


def mean_score(task: Task, sent: Any, held: Any, p: float) -> float:
    """Over these instances, all errors and all outcomes."""
    states, rows = task.states(sent), len(task.states(sent))
    ranks, total = np.zeros(rows, dtype=np.int64), 0.0
    scores = np.stack([task.scores(sent, held, ranks, np.full(rows, z)) for z in range(task.size)], axis=1)
    for chance, operator in errors(task.qubits, p):
        total += chance * float((task.laws(states @ operator.T, held, ranks) * scores).sum(axis=1).mean())
    return total


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_closed_forms_are_the_mean_over_all_inputs_and_errors(p: float) -> None:
    """Of two qubits: 16 words against 3 matchings, 16 functions against 16."""
    bits = np.array(list(itertools.product([0, 1], repeat=4)), dtype=np.uint8)
    matching, fourier = HiddenMatching(2), FourierSampling(2)
    words, shifts = np.repeat(bits, 3, axis=0), np.tile(np.arange(1, 4), 16)[:, None]
    assert mean_score(matching, Table(words), Table(shifts), p) == pytest.approx(matching.expected(p))
    first, second = np.repeat(bits, 16, axis=0), np.tile(bits, (16, 1))
    assert mean_score(fourier, Table(first), Table(second), p) == pytest.approx(fourier.expected(p))


@pytest.mark.parametrize("p", [0.0, 0.2])
def test_the_closed_form_of_cross_entropy(p: float) -> None:
    """Over all errors and outcomes, and many states and Cliffords: six standard errors."""
    task, rng, rows = Xeb(2), np.random.default_rng(5), 8000
    sent, held = task.draw_sent(rng, rows), task.draw_held(rng, rows)
    each = [mean_score(task, sent.of(part), held.of(part), p) for part in np.array_split(np.arange(rows), 20)]
    assert abs(np.mean(each) - task.expected(p)) < 6 * np.std(each) / np.sqrt(20)
    assert Xeb(12).expected(0.0) == pytest.approx(4095 / 4097)
    assert Xeb(12).expected(0.0912) == pytest.approx(0.427, abs=5e-4)


def test_inputs_are_those_of_their_instances_in_any_batch() -> None:
    def drawn(rng: np.random.Generator, rows: int) -> Table:
        return Table(rng.integers(0, 1 << 60, rows))

    items = np.arange(0, 3000, 7)
    whole, parted = Inputs(b"k" * 32, drawn, 256), Inputs(b"k" * 32, drawn, 256)

    def of(inputs: Inputs[Table], some: np.ndarray) -> np.ndarray:
        found = np.zeros(len(some), dtype=np.int64)
        for part, table in inputs.of(some):
            found[part] = table.rows
        return found

    expected = of(whole, items)
    assert len(set(expected.tolist())) == len(items)
    again = np.concatenate([of(parted, some) for some in np.array_split(items, 5)[::-1]][::-1])
    assert np.array_equal(expected, again)
    assert np.array_equal(of(whole, np.array([7, 7, 14])), expected[[1, 1, 2]])
    assert block_of(256) == 1024 and block_of(1 << 14) == 16


def test_an_owners_key_is_its_own_source() -> None:
    asked = []

    def load(key: str, source: dict[str, Any]) -> dict[str, np.ndarray]:
        asked.append((key, source))
        return {"values": np.where(np.arange(256) % 2, 1.0, -1.0)}

    assert own_key(load, "protocol.sender") == bytes([0x55]) * 32
    assert asked == [("protocol.sender", {"random": "signs", "shape": [256]})]


def test_signs_are_unit_vectors() -> None:
    assert np.allclose(signs_of(np.array([[0, 1, 1, 0]], dtype=np.uint8)), [[0.5, -0.5, -0.5, 0.5]])
