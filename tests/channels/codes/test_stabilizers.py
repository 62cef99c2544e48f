"""Pauli strings as masks, stabilizer codes, and their decoder, against matrices and brute force."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.codes.erasure import code
from ketwire.channels.codes.stabilizers import Pauli, decode, parity_stabilizers, pauli, rank, stabilizer_code
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.gates import PAULI

strings = st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.text("IXYZ", min_size=n, max_size=n)] * 2))


def matrix(letters: str) -> np.ndarray:
    return reduce(np.kron, [PAULI[letter] for letter in letters])


def acted(letters: str, states: np.ndarray) -> np.ndarray:
    for qubit, letter in enumerate(letters):
        states = apply_matrix(PAULI[letter], (qubit,), states)
    return states


CODES = {
    "[[4,2,2]]": (code("[[4,2,2]]").stabilizers, 4, 2, 2),
    "[[5,1,3]]": (code("[[5,1,3]]").stabilizers, 5, 1, 3),
    "[[7,1,3]]": (code("[[7,1,3]]").stabilizers, 7, 1, 3),
    "qpc(2,2)": (parity_stabilizers(2, 2), 4, 1, 2),
    "qpc(2,3)": (parity_stabilizers(2, 3), 6, 1, 2),
    "qpc(3,2)": (parity_stabilizers(3, 2), 6, 1, 2),
    "shor": (parity_stabilizers(3, 3), 9, 1, 3),
}
all_codes = pytest.mark.parametrize("name", CODES)


# ---------------------------------------------------------------- strings


@given(strings)
def test_products_and_commutation_are_those_of_the_matrices(pair: tuple[str, str]) -> None:
    first, second = (pauli(letters) for letters in pair)
    A, B = (matrix(letters) for letters in pair)
    assert first.letters(len(pair[0])) == pair[0]
    assert first.weight == sum(letter != "I" for letter in pair[0])
    assert first.commutes(second) == np.allclose(A @ B, B @ A)
    product = matrix(first.times(second).letters(len(pair[0])))
    assert abs(np.trace(product.conj().T @ A @ B)) == pytest.approx(len(A))


@given(st.text("IXZ", min_size=1, max_size=5))
def test_the_masks_index_a_statevector(letters: str) -> None:
    string = pauli(letters)
    state = np.zeros(1 << len(letters))
    state[0] = 1.0
    assert abs((matrix(letters) @ state)[string.x]) == 1.0


@pytest.mark.parametrize("letters", ["", "XA", "xz", "X Z"])
def test_other_letters_are_refused(letters: str) -> None:
    with pytest.raises(ValueError, match="expected letters of I, X, Y, Z"):
        pauli(letters)


@given(st.lists(st.integers(0, 31), max_size=6))
def test_rank_counts_the_span(rows: list[int]) -> None:
    span = {0}
    for row in rows:
        span |= {row ^ other for other in span}
    assert 1 << rank(rows) == len(span)


# ---------------------------------------------------------------- codes


@all_codes
def test_codes_are_what_their_names_say(name: str) -> None:
    stabilizers, n, k, distance = CODES[name]
    assert (stabilizers.qubits, stabilizers.logical_qubits, stabilizers.distance) == (n, k, distance)
    probe = np.random.default_rng(1).standard_normal((1, 1 << n)) + 0j
    generators, logical_x, logical_z = (
        [string.letters(n) for string in group]
        for group in (stabilizers.generators, stabilizers.logical_x, stabilizers.logical_z)
    )
    for A, B in itertools.product(generators, generators + logical_x + logical_z):
        np.testing.assert_array_equal(acted(A, acted(B, probe)), acted(B, acted(A, probe)))
    for (i, X), (j, Z) in itertools.product(enumerate(logical_x), enumerate(logical_z)):
        sign = -1 if i == j else 1
        np.testing.assert_array_equal(acted(X, acted(Z, probe)), sign * acted(Z, acted(X, probe)))


@pytest.mark.parametrize("name", [name for name in CODES if name != "shor"])
def test_codes_have_the_dimension_of_their_qubits(name: str) -> None:
    """The trace of the projector; -1 among the products of generators would make it 0."""
    stabilizers, n, k, _ = CODES[name]
    projected = np.eye(1 << n, dtype=complex)
    for generator in stabilizers.generators:
        projected = (projected + acted(generator.letters(n), projected)) / 2
    assert np.trace(projected).real == pytest.approx(1 << k)


@all_codes
def test_tables_agree_with_single_strings(name: str) -> None:
    stabilizers, n, k, _ = CODES[name]
    rng = np.random.default_rng(5)
    for number in rng.integers(0, 4**n, 60):
        letters = "".join("IXYZ"[number >> 2 * (n - 1 - qubit) & 3] for qubit in range(n))
        string = pauli(letters)
        anticommuting = [not string.commutes(generator) for generator in stabilizers.generators]
        assert stabilizers.syndromes[number] == sum(bit << i for i, bit in enumerate(anticommuting))
        digits = [
            [0, 3, 1, 2][(not string.commutes(X)) + 2 * (not string.commutes(Z))]
            for X, Z in zip(stabilizers.logical_x, stabilizers.logical_z, strict=True)
        ]
        assert stabilizers.classes[number] == sum(digit * 4 ** (k - 1 - i) for i, digit in enumerate(digits))


@all_codes
def test_correctable_losses_are_those_without_a_logical_string_on_them(name: str) -> None:
    stabilizers, n, _, _ = CODES[name]
    numbers = np.flatnonzero((stabilizers.syndromes == 0) & (stabilizers.classes != 0))
    supports = np.zeros(len(numbers), dtype=np.int64)
    for qubit in range(n):
        supports |= ((numbers >> 2 * qubit & 3) != 0).astype(np.int64) << qubit
    for lost in range(1 << n):
        assert stabilizers.correctable(lost) == (not np.any(supports & ~lost == 0))


def test_any_two_of_five_losses_are_corrected_and_any_three_are_not() -> None:
    stabilizers = CODES["[[5,1,3]]"][0]
    assert all(stabilizers.correctable(lost) == (lost.bit_count() <= 2) for lost in range(32))


@pytest.mark.parametrize(
    ("generators", "logical_x", "logical_z"),
    [
        ("XX ZI", "", ""),  # anticommute
        ("ZZI ZZI", "XXX", "ZII"),  # dependent
        ("ZZ", "XX", "ZZ"),  # logical Z is a generator: commutes with its X
        ("ZZ", "XI", "ZI"),  # logical X meets the generator
        ("ZZ", "XX", ""),  # no partner
        ("ZZI", "XXX", "ZII"),  # one generator too few
        ("ZZ", "XXX", "ZII"),  # lengths
    ],
)
def test_what_is_no_code_is_refused(generators: str, logical_x: str, logical_z: str) -> None:
    with pytest.raises(ValueError, match="stabilizer code"):
        stabilizer_code(generators, logical_x, logical_z)


def test_large_codes_are_checked_but_not_listed() -> None:
    large = parity_stabilizers(12, 12)
    assert len(large.generators) == 143
    with pytest.raises(ValueError, match="144 qubits given"):
        _ = large.distance
    row = (1 << 12) - 1
    assert not large.correctable(row)  # every row must keep a photon
    spared = sum((row >> 1) << 12 * index for index in range(11))
    assert large.correctable(spared)  # and one row all of them
    assert not large.correctable(spared | 1 << 132)


# ---------------------------------------------------------------- decoder


@all_codes
def test_coset_weights_sum_what_single_strings_weigh(name: str) -> None:
    stabilizers, n, k, _ = CODES[name]
    weights = np.array([0.8, 0.11, 0.06, 0.03])
    lost = 0b101
    cosets = stabilizers.coset_weights(lost, weights)
    assert cosets.shape == (1 << (n - k), 4**k)
    assert cosets.sum() == pytest.approx(1.0, abs=1e-12)
    digits = np.arange(4**n)[:, None] >> 2 * np.arange(n) & 3
    letters = np.where(np.array([lost >> qubit & 1 for qubit in range(n)]), 0.25, weights[digits])
    for syndrome, logical in ((0, 0), (1, 2), (2, 1), ((1 << (n - k)) - 1, 3)):
        met = (stabilizers.syndromes == syndrome) & (stabilizers.classes == logical)
        assert cosets[syndrome, logical] == pytest.approx(letters[met].prod(axis=1).sum(), abs=1e-14)


def test_ties_are_broken_by_a_fair_die() -> None:
    """Two rows of one photon: a Z flip of either looks alike, so half of them stay."""
    failure, left = decode(parity_stabilizers(2, 1), 1.0, (0.9, 0.0, 0.0, 0.1))
    assert failure == 0.0
    np.testing.assert_allclose(left, [0.81 + 0.09, 0.0, 0.0, 0.09 + 0.01], atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["[[4,2,2]]", "[[5,1,3]]", "qpc(2,2)", "qpc(3,2)"]),
    st.floats(0, 1),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.1),
    st.booleans(),
)
def test_failures_and_what_is_left_are_all(name: str, survival: float, raw: list[float], detects: bool) -> None:
    weights = [weight / sum(raw) for weight in raw]
    failure, left = decode(CODES[name][0], survival, weights, detects)
    assert failure >= 0 and left.min() >= 0
    assert failure + left.sum() == pytest.approx(1.0, abs=1e-12)
    assert left[0] >= left.max() - 1e-12  # the likeliest class was undone


def test_a_single_error_is_undone_by_distance_three() -> None:
    for name in ("[[5,1,3]]", "[[7,1,3]]", "shor"):
        stabilizers, n, _, _ = CODES[name]
        p = 1e-6
        _, left = decode(stabilizers, 1.0, (1 - p, p / 3, p / 3, p / 3))
        assert 1.0 - left[0] < n * n * p * p


def test_masks_may_be_made_directly() -> None:
    assert Pauli(0b1100, 0b0110).letters(4) == "XYZI"
