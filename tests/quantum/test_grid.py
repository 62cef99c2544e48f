"""Rounding to grids, and products of matrices that no kernel can change."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from ketwire.quantum.grid import (
    exponential,
    gram,
    isometry,
    product,
    rough_product,
    significant,
    significant_one,
    slice_bits,
    sliced,
    snap,
)


def test_snap_takes_each_value_to_the_nearest_multiple() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(-4, 4, 1000)
    for bits in (0, 12, 40):
        found = snap(values, bits)
        assert (found * 2.0**bits == np.rint(values * 2.0**bits)).all()
        assert (np.abs(found - values) <= 2.0 ** -(bits + 1)).all()
        assert (snap(found, bits) == found).all()


def test_snap_takes_what_rounding_left_of_zero_to_a_positive_zero() -> None:
    found = snap([-1e-17, 1e-17, -0.0])
    assert not found.any() and not np.signbit(found).any()


def test_snap_keeps_numbers_that_are_beyond_its_grid() -> None:
    for value in (1e300, -1e300, 2.0**60 + 2.0**10, math.inf, -math.inf):
        assert snap(value) == value


def test_one_number_is_rounded_as_many_are() -> None:
    """Ties included, which go to the even neighbour."""
    rng = np.random.default_rng(4)
    random = np.ldexp(rng.random(500), rng.integers(-300, 300, 500))
    ties = (2.0**39 + np.arange(20) + 0.5) * 2.0**-45
    values = np.concatenate([random, ties, -ties, [0.0, 1.0, 0.5, 5e-324]])
    assert [significant_one(value) for value in values.tolist()] == significant(values).tolist()


def test_significant_keeps_numbers_of_any_size_to_its_bits() -> None:
    rng = np.random.default_rng(2)
    values = rng.uniform(1, 2, 200) * 2.0 ** rng.integers(-200, 200, 200)
    found = significant(values, 20)
    assert (np.abs(found / values - 1) <= 2.0**-20).all()
    assert (significant(values * (1 + 2e-16), 20) == found).all()
    assert significant(0.0) == 0.0


@pytest.mark.parametrize(("m", "k", "n"), [(3, 1, 4), (5, 64, 7), (4, 1500, 6)])
def test_a_product_is_right(m: int, k: int, n: int) -> None:
    rng = np.random.default_rng(k)
    left, right = rng.standard_normal((m, k)) * 37.0, rng.standard_normal((k, n)) * 1e-3
    exact = [[float(sum(map(Fraction.__mul__, map(Fraction, row), map(Fraction, column)), Fraction(0)))
              for column in right.T.tolist()] for row in left.tolist()]  # fmt: skip
    scale = np.abs(left).max() * np.abs(right).max()
    assert np.abs(product(left, right) - np.array(exact)).max() <= 1e-12 * k**0.5 * scale


def test_a_product_of_counts_is_exact() -> None:
    rng = np.random.default_rng(3)
    counts, values = rng.integers(0, 1 << 20, (50, 512)), rng.integers(-8, 9, (512, 3))
    assert (product(counts.astype(np.float64), values / 16) * 16 == counts @ values).all()


def test_a_product_has_the_same_bits_in_whatever_order_it_is_summed() -> None:
    """The order of the inner index stands for the kernel: a plain product changes with it, this one does not."""
    rng = np.random.default_rng(4)
    left, right = rng.standard_normal((40, 700)), rng.standard_normal((700, 40))
    found, plain, moved = product(left, right), left @ right, False
    rough = rough_product(sliced(left, slice_bits(700)), sliced(right, slice_bits(700)))
    for _ in range(4):
        order = rng.permutation(700)
        assert np.array_equal(product(left[:, order], right[order]), found)
        cut = sliced(left[:, order], slice_bits(700)), sliced(right[order], slice_bits(700))
        assert np.array_equal(rough_product(*cut), rough)
        assert np.array_equal(gram(right[order]), product(right.T, right))
        moved |= not np.array_equal(left[:, order] @ right[order], plain)
    assert moved


def test_the_exponential_is_right_to_a_few_units() -> None:
    values = np.concatenate([np.linspace(-708, 709, 20_001), np.linspace(-1, 1, 2001), [0.0]])
    found, wanted = exponential(values), np.exp(values)
    assert (np.abs(found - wanted) <= 4 * np.spacing(wanted)).all() and found[-1] == 1.0
    assert exponential([-1e9, -math.inf]).max() <= 5e-324 and exponential(1e9) == math.inf


@pytest.mark.parametrize(("m", "n", "least"), [(5, 5, 1.0), (40, 8, 1e-3), (9, 1, 1.0)])
def test_an_isometry_is_the_polar_factor(m: int, n: int, least: float) -> None:
    rng = np.random.default_rng(m)
    left, _, right = np.linalg.svd(rng.standard_normal((m, n)), full_matrices=False)
    rows = (left * np.geomspace(30.0 * least, 30.0, n)) @ right
    assert np.abs(isometry(rows) - left @ right).max() <= 1e-9 / least


def test_an_isometry_of_rows_that_do_not_span_is_refused() -> None:
    with pytest.raises(ValueError, match="expected such as do"):
        isometry(np.array([[1.0, 0.0], [2.0, 0.0]]))


def test_a_product_of_nothing_and_of_infinities() -> None:
    assert product(np.zeros((2, 0)), np.zeros((0, 3))).tolist() == [[0.0] * 3] * 2
    assert product(np.zeros((2, 2)), np.ones((2, 1))).tolist() == [[0.0]] * 2
    assert product(np.array([[np.inf]]), np.array([[2.0]]))[0, 0] == np.inf
