"""Draws do not depend on the last bits of amplitudes: what differs between kernels never reaches a random number."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.nodes.party import PartyNode
from ketwire.quantum import layers, pauli_bases
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.noise import kraus, trajectories
from ketwire.quantum.observables import Projector
from ketwire.quantum.sampling import outcomes_in_order, sample, split, successes

CASES = 100_000
CHUNK = 20_000


def perturbed(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each real and imaginary part moved by up to 4 units in the last place, zeros by as much as next to 1e-1."""
    parts = np.ascontiguousarray(states).view(np.float64)
    moved = parts + rng.integers(-4, 5, parts.shape) * np.spacing(np.maximum(np.abs(parts), 0.1))
    return moved.view(np.complex128).reshape(states.shape)


def some_states(rows: int, qubits: int, rng: np.random.Generator) -> np.ndarray:
    """Random states, and as many whose probabilities are 0, powers of 1/2, and halves of what has no short form."""
    states = layers.haar_state(qubits, rng, rows)
    fair = rng.integers(0, 3, (rows // 4, qubits))
    bits = rng.integers(0, 2, fair.shape)
    states[: rows // 4] = pauli_bases.product_states(fair, bits)
    # One qubit turned at random before others that are fair: conditional probabilities of 1/2 beside any others.
    half = states[rows // 4 : rows // 2]
    turned = layers.haar_state(1, rng, len(half))
    others = pauli_bases.product_states(fair[: len(half), 1:], bits[: len(half), 1:])
    half[:] = (turned[:, :, None] * others[:, None, :]).reshape(half.shape)
    return states


def both(draw, rng: np.random.Generator, qubits: int = 3):  # type: ignore[no-untyped-def]
    """What `draw` answers for states, and for the same states perturbed, from equal streams; in chunks."""
    for chunk in range(CASES // CHUNK):
        states = some_states(CHUNK, qubits, rng)
        seed = int(rng.integers(1 << 40))
        yield chunk, *(draw(each, np.random.default_rng(seed)) for each in (states, perturbed(states, rng)))


OBSERVABLES = {
    "projector": Projector(0),
    "flags": Projector(0, flags=(1, 2)),
    "joint": JointPaulis(((0, "Y"), (1, "X"), (2, "Z"))),
}


@pytest.mark.parametrize(
    ("name", "copies"),
    [("projector", 1), ("projector", 1000), ("flags", 1000), pytest.param("joint", 1000, marks=pytest.mark.long)],
)
def test_counts_of_perturbed_amplitudes_are_the_same(name: str, copies: int) -> None:
    observable = OBSERVABLES[name]

    def draw(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return sample(observable.probabilities(states), np.full(len(states), copies), rng)

    for chunk, one, other in both(draw, np.random.default_rng(copies)):
        assert np.array_equal(one, other), (chunk, np.flatnonzero((one != other).any(axis=1))[:3])


def test_a_fair_outcome_is_drawn_alike_on_either_side_of_one_half() -> None:
    """NumPy mirrors a binomial number whose probability is above 1/2."""
    drawn = [sample([[0.5 + e, 0.5 - e]], np.array([1000]), np.random.default_rng(1)) for e in (0.0, 1e-16, -1e-16)]
    assert np.array_equal(drawn[0], drawn[1]) and np.array_equal(drawn[0], drawn[2])


def test_bits_of_single_copies_are_the_same() -> None:
    def draw(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return pauli_bases.measure(states, np.arange(len(states)), np.tile([0, 1, 2], (len(states), 1)), rng)

    for _, one, other in both(draw, np.random.default_rng(2)):
        assert np.array_equal(one, other)


def test_flags_of_contractions_are_the_same() -> None:
    matrix = np.diag(np.sqrt([1, 0.5, 0.5, 0.25, 1, 0.5, 0.3, 0])).astype(np.complex128)

    def draw(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        node = PartyNode("a", rng.bytes(32), {})
        return node.contract(matrix, node.prepare(states, np.ones(len(states), dtype=np.int64))).take().lost

    for _, one, other in both(draw, np.random.default_rng(3)):
        assert np.array_equal(one, other)


HADAMARD = np.array([[1, 1], [1, -1]]) / np.sqrt(2)
DAMPED = kraus.Kraus(HADAMARD @ kraus.amplitude_damp(0.5).operators @ HADAMARD)
"""Damping along X: its branches depend on the state, and no shorter rule serves it."""


@pytest.mark.parametrize("channel", [DAMPED, kraus.damp_and_dephase(0.3, 0.1)])
def test_branches_of_trajectories_are_the_same(channel: kraus.Kraus) -> None:
    def draw(states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return trajectories.apply_channel(states, np.arange(len(states)), channel, [0, 2], rng)[1]

    for _, one, other in both(draw, np.random.default_rng(4)):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("outcomes", [1, 2, 3, 5, 11, 16])
def test_counts_follow_the_probabilities(outcomes: int) -> None:
    """Pearson's statistic of 400,000 copies, for outcomes of any number; its law is normal within 1% here.

    Six standard deviations are passed once in 1e8 seeds.
    """
    rng = np.random.default_rng(outcomes)
    p = rng.dirichlet(np.ones(outcomes), 3)
    counts = np.array([0, 200_000, 200_000])
    drawn = sample(p, counts, rng)
    assert drawn.shape == p.shape and (drawn.sum(axis=1) == counts).all()
    expected = p[1:] * counts[1:, None]
    statistic = float(((drawn[1:] - expected) ** 2 / expected).sum())
    free = 2 * (outcomes - 1)
    assert statistic <= free + 6 * max(2 * free, 1) ** 0.5 + 18


def test_a_pair_of_halves_shares_out_exactly() -> None:
    first, second = np.array([0.3, 1.0, 0.0, 0.0]), np.array([0.3, 1e-17, 1.0, 0.0])
    assert split(first, second).tolist() == [0.5, 1.0, 0.0, 0.0]


def test_outcomes_that_rounding_made_possible_are_never_drawn() -> None:
    p = np.array([[1e-17, 0.5, 1e-17, 0.5]])
    assert set(outcomes_in_order(p, np.zeros(10_000, dtype=np.int64), np.random.default_rng(5)).tolist()) == {1, 3}
    assert sample(p, np.array([10_000]), np.random.default_rng(5))[0, [0, 2]].tolist() == [0, 0]


@pytest.mark.parametrize("chance", [0.0, 1e-12, 0.3, 0.5, 0.7, 1.0 - 1e-9, 1.0])
@pytest.mark.parametrize("trials", [1, 2, 7, 24])
def test_successes_are_numpy_s_binomial_numbers(trials: int, chance: float) -> None:
    one, other = np.random.default_rng(trials), np.random.default_rng(trials)
    found = successes(trials, chance, 20_000, one)
    assert found.dtype == np.int64 and (found == other.binomial(trials, chance, size=20_000)).all()


def test_each_success_takes_one_uniform_number() -> None:
    """So a batch in two parts is the batch, and no draw depends on the chance."""
    whole, parts = np.random.default_rng(3), np.random.default_rng(3)
    both = [successes(5, 0.4, count, parts) for count in (10, 30)]
    assert np.concatenate(both).tolist() == successes(5, 0.4, 40, whole).tolist()
    assert len(successes(5, 0.4, 0, whole)) == 0
    assert whole.bit_generator.state == parts.bit_generator.state
