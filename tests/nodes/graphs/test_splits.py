"""Folds are those of scikit-learn; random splits have their shares."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.nodes.graphs.sets import NO_LABEL
from ketwire.nodes.graphs.splits import FOLDS, folds, random_split


@pytest.mark.long  # scikit-learn takes seconds to load
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("graphs", [47, 188, 501])
def test_folds_are_those_of_scikit_learn(classes: int, graphs: int) -> None:
    from sklearn.model_selection import StratifiedKFold

    labels = np.random.default_rng(graphs).integers(0, classes, graphs)
    found = folds(labels)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels)
    for fold, (_, tested) in enumerate(splits):
        assert np.array_equal(np.flatnonzero(found == fold), tested)


def test_folds_are_those_that_scikit_learn_drew_before() -> None:
    labels = np.array([each * 7 % 5 > 2 for each in range(34)], np.int64)
    drawn = [3, 6, 1, 9, 3, 0, 5, 9, 4, 6, 6, 8, 0, 2, 2, 9, 1, 2, 0, 7, 2, 7, 8, 4, 3, 3, 8, 1, 1, 5, 0, 7, 4, 5]
    assert folds(labels).tolist() == drawn


def test_too_few_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="labels: 12 graphs given, expected 10 of one class, as many as folds"):
        folds(np.arange(12) % 2)
    with pytest.raises(ValueError, match="labels: 0 graphs given"):
        folds(np.zeros(0, np.int64))


def test_random_splits_have_three_shares_of_the_labelled_nodes() -> None:
    labels = np.where(np.arange(120) % 6 == 0, NO_LABEL, np.arange(120) % 5)
    split = random_split(labels, 3)
    parts = (split.train, split.validation, split.test)
    assert [len(part) for part in parts] == [60, 20, 20]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(labels != NO_LABEL))
    assert not np.array_equal(split.train, random_split(labels, 4).train)
    assert np.array_equal(split.train, random_split(labels, 3).train)
    with pytest.raises(ValueError, match="labels: 4 nodes with a label given, expected at least 5"):
        random_split(np.array([0, 1, NO_LABEL, 1, 1]), 0)
