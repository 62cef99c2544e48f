"""Class subspaces and their measurements; random half spaces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.quantum import half_spaces
from ketwire.quantum import subspaces as sub
from ketwire.quantum.grid import slice_bits, sliced


def synthetic(seed: int = 0, classes: int = 4, dimension: int = 16, rows: int = 60):
    """Noisy members of random 3-dimensional class subspaces: vectors, labels."""
    rng = np.random.default_rng(seed)
    spans = rng.standard_normal((classes, 3, dimension))
    labels = np.arange(rows) % classes
    inner = rng.standard_normal((rows, 3))
    clean = np.einsum("rk,rkn->rn", inner, spans[labels])
    return clean + 0.3 * rng.standard_normal((rows, dimension)), labels


@pytest.fixture(scope="module")
def digits():
    """Handwritten digits: training vectors, test vectors, their labels."""
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    X, y = datasets.load_digits(return_X_y=True)
    return selection.train_test_split(X, y, test_size=0.3, random_state=0, stratify=y)


# ---------------------------------------------------------------- class subspaces


def test_a_noiseless_class_is_recovered():
    rng = np.random.default_rng(1)
    spans = rng.standard_normal((3, 2, 8))
    labels = np.repeat([0, 1, 2], 7)
    vectors = np.einsum("rk,rkn->rn", rng.standard_normal((21, 2)), spans[labels])
    bases = sub.class_subspaces(vectors, labels, 2)
    assert bases.shape == (3, 2, 8)
    for span, P in zip(spans, sub.projectors(bases), strict=True):
        expected = span.T @ np.linalg.inv(span @ span.T) @ span
        np.testing.assert_allclose(P, expected, atol=8 * 2.0**-22)  # eight entries a row, to 2^-23 each
    np.testing.assert_array_equal(sub.nearest(bases, vectors), labels)


def test_bases_do_not_depend_on_how_singular_vectors_are_chosen(monkeypatch):
    """Another sign, a rotation among the leading ones, and last bits: all that kernels may choose."""
    vectors, labels = synthetic()
    wanted = sub.class_subspaces(vectors, labels, 3)
    decompose, rng = np.linalg.svd, np.random.default_rng(7)

    def otherwise(members, full_matrices):
        left, values, right = decompose(members, full_matrices=full_matrices)
        right[:3] = np.linalg.qr(rng.standard_normal((3, 3)))[0] @ right[:3] * -1.0
        return left, values, right + 1e-16 * rng.standard_normal(right.shape)

    monkeypatch.setattr(np.linalg, "svd", otherwise)
    found = sub.class_subspaces(vectors, labels, 3)
    assert found.tobytes() == wanted.tobytes()
    tuned = sub.discriminating_blocks(found, vectors, labels, steps=5)
    np.testing.assert_allclose(np.einsum("crn,crm->nm", tuned, tuned), np.eye(16), atol=1e-10)


def test_components_maximise_the_captured_weight():
    vectors, labels = synthetic()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    bases = sub.class_subspaces(vectors, labels, 3)
    for name, basis in enumerate(bases):
        np.testing.assert_allclose(basis @ basis.T, np.eye(3), atol=1e-12)
        moments = np.linalg.eigvalsh(units[labels == name].T @ units[labels == name])
        captured = np.linalg.norm(units[labels == name] @ basis.T) ** 2
        assert captured == pytest.approx(moments[-3:].sum(), rel=1e-12)


def test_nearest_is_the_largest_projection_whatever_the_norm():
    vectors, labels = synthetic()
    bases = sub.class_subspaces(vectors, labels, 3)
    scales = np.random.default_rng(2).uniform(0.01, 100, size=(len(vectors), 1))
    by_hand = [max(range(4), key=lambda c, x=x: float(x @ bases[c].T @ bases[c] @ x)) for x in vectors]
    np.testing.assert_array_equal(sub.nearest(bases, vectors * scales), by_hand)


def test_ties_go_to_the_lowest_class():
    np.testing.assert_array_equal(sub.decide(np.array([[0, 3, 3], [2, 2, 2], [0, 0, 1]])), [1, 0, 2])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda x, y: (x * np.nan, y, 3), "finite"),
        (lambda x, y: (x * (np.arange(len(x)) != 5)[:, None], y, 3), "row 5"),
        (lambda x, y: (x, y[:-1], 3), "labels"),
        (lambda x, y: (x, y.astype(float), 3), "labels"),
        (lambda x, y: (x, y - 1, 3), "below 0"),
        (lambda x, y: (x, y, 0), "components"),
        (lambda x, y: (x, y, 16), "components"),
        (lambda x, y: (x, np.where(y == 2, 0, y), 3), "class 2"),
        (lambda x, y: (np.where((y == 1)[:, None], x[1], x), y, 3), "class 1 spans fewer"),
    ],
)
def test_bad_training_data_is_refused_by_name(change, word):
    vectors, labels = synthetic()
    with pytest.raises(ScenarioError, match=word):
        sub.class_subspaces(*change(vectors, labels))


# ---------------------------------------------------------------- measurements


def effects(blocks):
    return blocks.transpose(0, 2, 1) @ blocks


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 5), st.sampled_from([8, 16]), st.integers(1, 3))
def test_every_measurement_is_complete(seed, classes, dimension, components):
    vectors, labels = synthetic(seed, classes, dimension)
    bases = sub.class_subspaces(vectors, labels, components)
    for blocks in (
        sub.exclusion_blocks(bases),
        sub.pretty_good_blocks(bases),
        sub.discriminating_blocks(bases, vectors, labels, steps=5),
    ):
        np.testing.assert_allclose(effects(blocks).sum(axis=0), np.eye(dimension), atol=1e-10)
        np.testing.assert_allclose(
            sub.probabilities(blocks, sub.unit_rows(vectors)).sum(axis=1), 1, atol=1e-10
        )


def test_probabilities_are_expectations_of_the_effects():
    vectors, labels = synthetic()
    units = sub.unit_rows(vectors)
    blocks = sub.pretty_good_blocks(sub.class_subspaces(vectors, labels, 3))
    expected = np.einsum("rm,omn,rn->ro", units, effects(blocks), units)
    np.testing.assert_allclose(sub.probabilities(blocks, units), expected, atol=1e-12)


def test_exclusion_is_nearest_subspace_in_the_limit():
    vectors, labels = synthetic(rows=200)
    bases = sub.class_subspaces(vectors, labels, 3)
    p = sub.probabilities(sub.exclusion_blocks(bases), sub.unit_rows(vectors))
    np.testing.assert_array_equal(sub.decide(-p[:, :4]), sub.nearest(bases, vectors))
    ratio = p[:, :4] / (1 - sub.affinities(bases, vectors))
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-9)  # no class is favoured


def test_pretty_good_is_the_square_root_measurement():
    linalg = pytest.importorskip("scipy.linalg")
    vectors, labels = synthetic(classes=6)
    bases = sub.class_subspaces(vectors, labels, 3)
    P = sub.projectors(bases)
    inverse_root = linalg.inv(linalg.sqrtm(P.sum(axis=0)))
    np.testing.assert_allclose(
        effects(sub.pretty_good_blocks(bases)), inverse_root @ P @ inverse_root, atol=1e-9
    )


def test_directions_nobody_spans_are_shared_out_evenly():
    bases = np.eye(8)[:4].reshape(2, 2, 8)  # entries 4..7 belong to nobody
    p = sub.probabilities(sub.pretty_good_blocks(bases), np.eye(8))
    np.testing.assert_allclose(p, [[1, 0]] * 2 + [[0, 1]] * 2 + [[0.5, 0.5]] * 4, atol=1e-12)


def test_gradient_of_the_bound_against_finite_differences():
    special = pytest.importorskip("scipy.special")
    vectors, labels = synthetic()
    units, truth, copies = sub.unit_rows(vectors), np.eye(4)[labels], 50
    rng = np.random.default_rng(3)
    rows = np.linalg.qr(rng.standard_normal((24, 16)))[0]

    def bound(rows):
        p = ((units @ rows.T) ** 2).reshape(len(units), 4, 6).sum(axis=2)
        total = 0.0
        for mine, y in zip(p, labels, strict=True):
            for d in set(range(4)) - {int(y)}:
                margin = mine[y] - mine[d]
                total += special.ndtr(-margin / np.sqrt((mine[y] + mine[d] - margin**2) / copies + 1e-9))
        return total / len(units)

    factors = sliced(units, slice_bits(units.shape[1])), sliced(units, slice_bits(len(units)))
    gradient = sub._bound_gradient(rows, factors, truth, copies)
    for _ in range(5):
        way = rng.standard_normal(rows.shape)
        slope = (bound(rows + 1e-5 * way) - bound(rows - 1e-5 * way)) / 2e-5
        # Products in the gradient have 24 bits, counted from their largest entries.
        assert np.sum(gradient * way) == pytest.approx(slope, rel=1e-5, abs=1e-5)


def sampled_accuracy(p, labels, copies, rule=sub.decide, repeats=4):
    rng = np.random.default_rng(4)
    p = np.repeat(np.clip(p, 0, None), repeats, axis=0)
    counts = rng.multinomial(copies, p / p.sum(axis=1, keepdims=True))
    return float((rule(counts) == np.repeat(labels, repeats)).mean())


@pytest.mark.long
def test_digits_need_a_tenth_of_the_copies_of_exclusion(digits):
    train, test, y_train, y_test = digits
    bases = sub.class_subspaces(train, y_train, 10)
    assert (sub.nearest(bases, test) == y_test).mean() > 0.975
    units = sub.unit_rows(test)
    tuned = sub.probabilities(sub.discriminating_blocks(bases, train, y_train), units)
    against = sub.probabilities(sub.exclusion_blocks(bases), units)
    assert (sub.decide(tuned) == y_test).mean() > 0.975
    few = sampled_accuracy(tuned, y_test, 300)
    assert few > 0.965
    # Statistical error of either figure is 0.4 points; the gap at equal copies is 18.
    assert few > sampled_accuracy(against, y_test, 2000, lambda c: sub.decide(-c[:, :10])) - 0.01
    assert few > sampled_accuracy(against, y_test, 300, lambda c: sub.decide(-c[:, :10])) + 0.1


def test_tuning_is_deterministic():
    vectors, labels = synthetic()
    bases = sub.class_subspaces(vectors, labels, 3)
    one, two = (sub.discriminating_blocks(bases, vectors, labels, steps=20) for _ in range(2))
    np.testing.assert_array_equal(one, two)


# ---------------------------------------------------------------- half spaces


@pytest.mark.parametrize("qubits", [1, 2, 5, 9])
def test_walsh_hadamard_against_the_matrix(qubits):
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(qubits)
    rows = rng.standard_normal((300, 1 << qubits)) + 1j * rng.standard_normal((300, 1 << qubits))
    before = rows.copy()
    expected = rows @ linalg.hadamard(1 << qubits) / 2 ** (qubits / 2)
    np.testing.assert_allclose(half_spaces.walsh_hadamard(rows), expected, atol=1e-12)
    np.testing.assert_array_equal(rows, before)
    assert half_spaces.walsh_hadamard(rows.real).dtype == np.float64


def test_product_form_is_the_product_of_its_factors():
    half = half_spaces.product_half(16, np.random.default_rng(0), layers=3)
    W = half_spaces.walsh_hadamard(np.eye(16))
    U = np.eye(16)
    for sign in half.signs:
        U = W @ np.diag(sign.astype(float)) @ U
    rows = np.random.default_rng(1).standard_normal((5, 16)) * (1 + 2j)
    np.testing.assert_allclose(half.rotate(rows), rows @ U.T, atol=1e-12)
    np.testing.assert_allclose(half.rotate_back(rows), rows @ U, atol=1e-12)


@pytest.mark.parametrize("make", [half_spaces.haar_half, half_spaces.product_half])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), qubits=st.integers(1, 8))
def test_rotations_are_orthogonal_and_undo_each_other(make, seed, qubits):
    rng = np.random.default_rng(seed)
    half = make(1 << qubits, rng)
    rows = rng.standard_normal((7, half.dimension))
    turned = half.rotate(rows)
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-10)
    np.testing.assert_allclose(half.rotate_back(turned), rows, atol=1e-10)


@pytest.mark.parametrize("make", [half_spaces.haar_half, half_spaces.product_half])
def test_dealt_vectors_answer_the_question_with_certainty(make):
    rng = np.random.default_rng(5)
    half = make(64, rng)
    vectors, inside = half_spaces.deal(half, 500, rng)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(half_spaces.share_inside(half, vectors), inside, atol=1e-12)
    assert 200 < inside.sum() < 300  # a fair coin, 4.5 standard errors


def test_dealt_vectors_are_haar_random_inside_their_half():
    rng = np.random.default_rng(6)
    half = half_spaces.product_half(16, rng)
    vectors, inside = half_spaces.deal(half, 40_000, rng)
    basis = half.rotate_back(np.eye(16))
    for members, P in (
        (vectors[inside], basis[:8].T @ basis[:8]),
        (vectors[~inside], basis[8:].T @ basis[8:]),
    ):
        np.testing.assert_allclose(members.T @ members / len(members), P / 8, atol=0.01)
        # Fourth moment of a coordinate on the sphere in 8 dimensions: 3 / (8 * 10).
        fourth = ((members @ half.rotate_back(np.eye(16)).T) ** 4).sum(axis=0) / len(members)
        np.testing.assert_allclose(fourth[fourth > 1e-9], 3 / 80, atol=0.003)


def level_ratio(halves):
    """Mean ratio of neighbouring eigenvalue gaps in a quadrant of P: 0.53 for Haar, 0.39 if levels ignore
    each other, less where they coincide."""
    ratios = []
    for half in halves:
        quadrant = half.rotate_back(np.eye(half.dimension)[: half.dimension // 2])[:, : half.dimension // 2]
        gaps = np.diff(np.linalg.eigvalsh(quadrant.T @ quadrant)[1:-1])
        wider = np.maximum(np.maximum(gaps[1:], gaps[:-1]), 1e-300)  # exact coincidences count as 0
        ratios.append(np.minimum(gaps[1:], gaps[:-1]) / wider)
    return float(np.mean(ratios))


def test_enough_layers_repel_levels_like_haar_and_fewer_do_not():
    rng = np.random.default_rng(7)
    five = level_ratio([half_spaces.product_half(64, rng) for _ in range(60)])
    three = level_ratio([half_spaces.product_half(64, rng, layers=3) for _ in range(60)])
    haar = level_ratio([half_spaces.haar_half(64, rng) for _ in range(60)])
    # Standard error about 0.007 each.
    assert abs(five - haar) < 0.04
    assert three < haar - 0.08


@pytest.mark.parametrize("make", [half_spaces.haar_half, half_spaces.product_half])
def test_diagonal_of_the_projector_has_the_haar_variance(make):
    rng = np.random.default_rng(8)
    diagonals = []
    for _ in range(60):
        half = make(64, rng)
        diagonals.append(half_spaces.share_inside(half, np.eye(64)))
    # P_jj follows Beta(N/4, N/4), variance 1 / (2N + 4).
    assert np.var(diagonals) == pytest.approx(1 / 132, rel=0.12)
    assert np.mean(diagonals) == pytest.approx(0.5, abs=1e-9)  # trace N/2


@pytest.mark.parametrize(
    "call", [lambda rng: half_spaces.haar_half(12, rng), lambda rng: half_spaces.product_half(1, rng)]
)
def test_dimensions_are_powers_of_two(call):
    with pytest.raises(LocalProtocolError, match="power of two"):
        call(np.random.default_rng(0))


def test_no_layers_is_no_rotation():
    with pytest.raises(LocalProtocolError, match="layers"):
        half_spaces.product_half(8, np.random.default_rng(0), layers=0)
