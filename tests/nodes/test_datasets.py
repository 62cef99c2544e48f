"""The data sets and their split beside scikit-learn's own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.nodes import datasets


@pytest.mark.parametrize("name", datasets.FILES)
def test_a_data_set_is_split_as_scikit_learn_splits_it(name: str) -> None:
    from sklearn import datasets as known
    from sklearn.model_selection import train_test_split

    load = {"digits": known.load_digits, "breast-cancer": known.load_breast_cancer}[name]
    features, labels = load(return_X_y=True)
    parts = train_test_split(features, labels, test_size=datasets.TEST_SHARE, random_state=0, stratify=labels)
    for ours, theirs in zip(datasets.split(name), parts, strict=True):
        assert ours.dtype == (np.float64 if ours.ndim == 2 else np.int64) and np.array_equal(ours, theirs)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=7), st.integers(0, 1000), st.floats(0.2, 0.6))
def test_classes_are_in_proportion_to_the_last_tie(counts: list[int], seed: int, share: float) -> None:
    from sklearn.model_selection import train_test_split

    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = np.arange(len(labels))
    if min(int(np.ceil(share * len(rows))), len(rows) - int(np.ceil(share * len(rows)))) < len(counts):
        return  # fewer rows than classes in a part: scikit-learn refuses
    ours = datasets._stratified(labels, share, np.random.RandomState(seed))
    theirs = train_test_split(rows, test_size=share, random_state=seed, stratify=labels)
    assert all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_reading_a_data_set_imports_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys; from ketwire.nodes.data import make_loader; "
        "load = make_loader('alice', bytes(32), '.'); load('protocol.data', {'dataset': 'digits', 'part': 'train'}); "
        "print(sorted({'sklearn', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
