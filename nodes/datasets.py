"""The two data sets of scikit-learn that scenarios name, read from its files; scikit-learn itself is not imported.

Importing it takes a second of processor time in each process that reads a table. The split is that of
`sklearn.model_selection.train_test_split(..., random_state=0, stratify=labels)`, draw by draw: NumPy keeps the
streams of `RandomState` permanently. A test compares both.
"""

from __future__ import annotations

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TEST_SHARE = 0.3
FILES = {"digits": ("digits.csv.gz", 0), "breast-cancer": ("breast_cancer.csv", 1)}
"""By name: the file, and how many lines of it come before the numbers. The last column holds the labels."""


class Split(NamedTuple):
    """Features, float64, shape (rows, columns); labels, int64, shape (rows,)."""

    train: NDArray[np.float64]
    test: NDArray[np.float64]
    train_labels: NDArray[np.int64]
    test_labels: NDArray[np.int64]


@lru_cache
def split(name: str) -> Split:
    """A data set in two parts, with its classes in proportion; kept, as each session of a run asks.

    name: one of FILES.

    Raises:
        ImportError: scikit-learn is not installed, or has no such file.
    """
    table = _table(name)
    features, labels = table[:, :-1], table[:, -1].astype(np.int64)
    train, test = _stratified(labels, TEST_SHARE, np.random.RandomState(0))
    return Split(features[train], features[test], labels[train], labels[test])


def _table(name: str) -> NDArray[np.float64]:
    found = importlib.util.find_spec("sklearn")
    places = [] if found is None else found.submodule_search_locations or []
    file, heading = FILES[name]
    for place in places:
        path = Path(place) / "datasets" / "data" / file
        if path.is_file():
            octets = path.read_bytes()
            lines = (gzip.decompress(octets) if path.suffix == ".gz" else octets).decode("ascii").splitlines()
            return np.loadtxt(lines[heading:], delimiter=",", dtype=np.float64)
    raise ImportError(f"scikit-learn's {file} is not installed")


def _stratified(
    labels: NDArray[np.int64], share: float, random: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows are in the training part and which in the test part, each in random order.

    share: of the test part; the number of its rows is rounded up.
    """
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(place, kind="stable"), np.cumsum(counts)[:-1])
    tested = int(np.ceil(share * len(labels)))
    trained = _in_proportion(counts, len(labels) - tested, random)
    left = _in_proportion(counts - trained, tested, random)
    parts: tuple[list[Any], list[Any]] = ([], [])
    for members, first, second in zip(rows, trained, left, strict=True):
        shuffled = members[random.permutation(len(members))]
        parts[0].append(shuffled[:first])
        parts[1].append(shuffled[first : first + second])
    train, test = (random.permutation(np.concatenate(part)) for part in parts)
    return train, test


def _in_proportion(
    counts: NDArray[np.int64], total: int, random: np.random.RandomState
) -> NDArray[np.int64]:
    """So many of each class that they are `total`: largest remainders, ties drawn at random."""
    exact = counts / counts.sum() * total
    numbers = np.floor(exact)
    missing = int(total - numbers.sum())
    remainders = exact - numbers
    for remainder in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        tied = np.flatnonzero(remainders == remainder)
        drawn = random.choice(tied, size=min(len(tied), missing), replace=False)
        numbers[drawn] += 1
        missing -= len(drawn)
    return np.asarray(numbers, dtype=np.int64)
