"""What whoever receives rows can make of them: beside scikit-learn, and the same on every kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.protocols import classifiers
from ketwire.protocols.classifiers import LogisticRegression, Neighbours, Scaling, Subspaces, chosen
from ketwire.quantum import subspaces

linear_model = pytest.importorskip("sklearn.linear_model")
neighbors = pytest.importorskip("sklearn.neighbors")


def clouds(seed: int, rows: int = 240, entries: int = 7, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussian clouds around means of their own, the columns of unequal size."""
    rng = np.random.default_rng(seed)
    index = rng.integers(0, classes, rows)
    index[:classes] = np.arange(classes)
    centres = np.random.default_rng(77).standard_normal((classes, entries))
    values = centres[index] + 0.8 * rng.standard_normal((rows, entries))
    return 5.0 + values * np.geomspace(0.1, 10, entries), index


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_logistic_regression_is_scikit_learns(classes: int) -> None:
    """To the grid, and up to what shifts all classes alike; two classes have one vector there, so half the penalty."""
    rows, index = clouds(1, classes=classes)
    ours = LogisticRegression.train(rows, index, classes)
    scaled = Scaling.of(rows)(rows)
    theirs = linear_model.LogisticRegression(C=2.0 if classes == 2 else 1.0, max_iter=10_000, tol=1e-11)
    theirs.fit(scaled, index)
    found = ours.weights - ours.weights.mean(axis=1, keepdims=True)
    if classes == 2:
        found = found[:, 1:] - found[:, :1]
        expected = np.vstack([theirs.coef_.T, theirs.intercept_])
    else:
        expected = np.vstack([theirs.coef_.T, theirs.intercept_])
        expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    fresh, _ = clouds(2, classes=classes)
    np.testing.assert_array_equal(ours.decide(fresh)[0], theirs.predict(Scaling.of(rows)(fresh)))


@pytest.mark.parametrize("standardised", [False, True])
def test_neighbours_are_scikit_learns(standardised: bool) -> None:
    """On integers, where distances tie often, the votes of ties aside: real rows have none."""
    rows, index = clouds(3)
    fresh, _ = clouds(4, rows=90)
    decided = Neighbours.train(rows, index, 3, standardised).decide(fresh)
    scaling = Scaling.of(rows) if standardised else (lambda given: given)
    for place, k in enumerate(classifiers.NEIGHBOURS):
        theirs = neighbors.KNeighborsClassifier(k, algorithm="brute").fit(scaling(rows), index)
        agree = decided[place] == theirs.predict(scaling(fresh))
        assert agree.mean() > 0.98  # integers of 2^-20 of the largest entry swap few neighbours


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 30), st.integers(1, 5))
def test_the_nearest_come_in_order_and_equally_near_ones_by_their_number(
    seed: int, asked: int, known: int, entries: int
) -> None:
    rng = np.random.default_rng(seed)
    rows, fresh = (rng.integers(-2, 3, (count, entries)).astype(float) for count in (known, asked))
    made = Neighbours.train(rows, np.zeros(known, dtype=np.int64), 1, standardised=False)
    k = min(known, 9)
    # Rows whose largest entry is 2 or less are integers beyond any rounding: distances are exact.
    exact = ((made._integers(fresh)[:, None] - made.points[None]) ** 2).sum(axis=2)
    expected = np.argsort(exact, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(made._nearest(fresh, k), expected)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, index = clouds(5)
    made = Neighbours.train(rows, index, 3, standardised=True)
    whole = made.decide(rows)
    monkeypatch.setattr(classifiers, "BLOCK_ENTRIES", 1000)
    np.testing.assert_array_equal(made.decide(rows), whole)


def test_subspaces_of_each_dimension_decide_as_nearest_subspace_does() -> None:
    rows, index = clouds(6, entries=12)
    decided = Subspaces.train(rows, index, 3, (1, 2, 4)).decide(rows)
    for place, dimension in enumerate((1, 2, 4)):
        bases = subspaces.class_subspaces(rows, index, dimension)
        np.testing.assert_array_equal(decided[place], subspaces.nearest(bases, rows))


def test_subspaces_that_there_are_none_of_decide_nothing() -> None:
    """A class with a single row spans one dimension; a class without any, none."""
    rows, index = np.eye(4), np.array([0, 0, 0, 1])
    decided = Subspaces.train(rows, index, 2, (1, 2)).decide(rows)
    assert decided[0].min() >= 0 and (decided[1] == -1).all()
    assert (Subspaces.train(rows, index, 3, (1, 2)).decide(rows) == -1).all()


def rays(seed: int, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two classes on two planes through the origin, either way: linear rules are blind to them."""
    rng = np.random.default_rng(seed)
    index = np.arange(rows) % 2
    planes = np.random.default_rng(8).standard_normal((2, 2, 6))
    values = np.einsum("rk,rke->re", rng.standard_normal((rows, 2)), planes[index])
    return values + 0.05 * rng.standard_normal(values.shape), index


def corners(seed: int, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Four clusters at the corners of a square, opposite ones of one class: only neighbours tell."""
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 2, (rows, 2))
    return 5.0 + places + 0.15 * rng.standard_normal((rows, 2)), (places[:, 0] + places[:, 1]) % 2


SUITED = [(clouds, "logistic regression"), (rays, "nearest subspace"), (corners, "nearest")]


@pytest.mark.parametrize(("deal", "name"), SUITED)
def test_cross_validation_finds_what_suits_the_rows(deal: object, name: str) -> None:
    rows, index = deal(9)  # type: ignore[operator]
    best = chosen(rows, index)
    assert best.name.startswith(name) and best.judged == len(rows)
    fresh, truth = deal(10)  # type: ignore[operator]
    # The left-out share and fresh rows: 5 standard deviations of their difference, 6e-7.
    found = (best.decide(fresh) == truth).mean()
    assert abs(found - best.right / best.judged) < 5 * np.sqrt(2 * 0.25 / len(rows))
    assert found > 0.8


def test_every_class_is_dealt_evenly_to_the_folds() -> None:
    index = np.array([0] * 11 + [1] * 4 + [2])
    folds = classifiers._folds(index)
    for members in range(3):
        counts = np.bincount(folds[index == members], minlength=classifiers.FOLDS)
        assert counts.max() - counts.min() <= 1


def test_more_rows_than_are_cross_validated_are_all_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "MOST_ROWS", 100)
    rows, index = rays(11, rows=260)
    best = chosen(rows, index)
    assert best.judged == 100
    bases = subspaces.class_subspaces(rows, index, int(best.name.split()[3]))
    np.testing.assert_array_equal(best.decide(rows), subspaces.nearest(bases, rows))


@pytest.mark.parametrize("rows", [np.ones((6, 3)), np.zeros((6, 3)), np.arange(6.0)[:, None] * [1, 0, 0]])
def test_rows_that_say_little_are_no_error(rows: np.ndarray) -> None:
    best = chosen(rows, np.array([0, 1, 0, 1, 0, 1]))
    assert set(best.decide(rows).tolist()) <= {0, 1}


KERNELS = """
import hashlib
import numpy as np
from ketwire.protocols.classifiers import LogisticRegression, chosen
rng = np.random.default_rng(3)
index = rng.integers(0, 4, 300)
rows = rng.integers(0, 16, (4, 37))[index] + np.rint(4 * rng.standard_normal((300, 37)))
weights = LogisticRegression.train(rows, index, 4).weights
best = chosen(rows, index)
decided = best.decide(rng.integers(0, 16, (500, 37)).astype(float))
print(best.name, best.right, hashlib.sha256(weights.tobytes() + decided.tobytes()).hexdigest())
"""


def test_kernels_agree_bit_for_bit() -> None:
    """Of OpenBLAS, which takes this variable; another library gives the same thing twice."""
    told = [
        subprocess.run(
            [sys.executable, "-c", KERNELS], env={**os.environ, "OPENBLAS_CORETYPE": kernel},
            capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for kernel in ("Haswell", "Prescott")
    ]  # fmt: skip
    assert told[0] == told[1] != ""
