"""Which graphs or nodes a model is trained on and tested on: ten folds of graphs, and random parts of nodes.

Folds are those of scikit-learn's StratifiedKFold(10, shuffle=True, random_state=0) over the order of the file, which
GIN's public code uses. They are drawn here with the same generator, so that inference needs no scikit-learn.
"""

from __future__ import annotations

import numpy as np

from ketwire.nodes.graphs.sets import NO_LABEL, Ints, Split

FOLDS = 10
TRAIN, VALIDATION = 0.6, 0.2
"""The shares of a random split; the rest is tested."""
LEAST = 5
"""Nodes with a label that a random split needs."""


def folds(labels: Ints) -> Ints:
    """The fold in which each graph is tested.

    Args:
        labels: from 0, shape (G,).

    Returns:
        int64 from 0 to FOLDS - 1, shape (G,).

    Raises:
        ValueError: no class has as many members as there are folds.
    """
    _, first, encoded = np.unique(labels, return_index=True, return_inverse=True)
    encoded = np.argsort(np.argsort(first))[encoded]  # classes in the order in which they come
    if not len(labels) or np.bincount(encoded).max() < FOLDS:
        raise ValueError(f"labels: {len(labels)} graphs given, expected {FOLDS} of one class, as many as folds")
    ordered = np.sort(encoded)
    classes = len(first)
    shares = [np.bincount(ordered[fold::FOLDS], minlength=classes) for fold in range(FOLDS)]
    random, found = np.random.RandomState(0), np.empty(len(labels), np.int64)
    for each in range(classes):
        own = np.repeat(np.arange(FOLDS), [share[each] for share in shares])
        random.shuffle(own)
        found[encoded == each] = own
    return found


def random_split(labels: Ints, seed: int) -> Split:
    """60% of the nodes with a label to train on, 20% to choose the epoch, and 20% to test.

    Args:
        labels: shape (V,); NO_LABEL for a node without one.
        seed: of the draw, 0 and up.

    Raises:
        ValueError: fewer than LEAST nodes have a label, so that a part would be empty.
    """
    order = np.random.RandomState(seed).permutation(np.flatnonzero(labels != NO_LABEL))
    if len(order) < LEAST:
        raise ValueError(f"labels: {len(order)} nodes with a label given, expected at least {LEAST}")
    first, second = round(TRAIN * len(order)), round((TRAIN + VALIDATION) * len(order))
    return Split(*(np.sort(part) for part in np.split(order, [first, second])))
