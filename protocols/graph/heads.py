"""A head that its owner learns from measured histograms: ridge regression on pooled hidden units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learning:
    """Of which items the owner of the head knows the labels, and how it learns from them.

    labels: of the first items, in their order, int64 from 0; the others are decided. Of the head's owner alone.
    classes: how many labels there are. decay: see `fitted`.
    """

    labels: NDArray[np.int64]
    classes: int
    decay: float


def fitted(units: Floats, learning: Learning) -> tuple[Floats, Floats]:
    """The head that is nearest to the labels as 0 and 1, in the mean square, with a penalty on its size.

    Units are taken less their mean over their spread, and the penalty is `decay` times their number for each item.

    Args:
        units: pooled hidden units of the items with labels, shape (items, units).

    Returns:
        The head, shape (units, classes), and its bias, (classes,).
    """
    items, width = units.shape
    mean, spread = units.mean(axis=0), units.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (units - mean) / spread
    wanted = np.eye(learning.classes)[learning.labels]
    shares = wanted.mean(axis=0)
    near = scaled @ scaled.T / width + learning.decay * items * np.eye(items)
    head = scaled.T @ np.linalg.solve(near, wanted - shares) / width / spread[:, None]
    return head, np.asarray(shares - mean @ head)
