"""Shared-randomness codes for vector in subspace, the quantiser, bit packing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.errors import LocalProtocolError, RemoteProtocolError
from ketwire.protocols import codes as rival
from ketwire.quantum import half_spaces
from ketwire.quantum import subspaces as sub


def shared(seed: int = 11) -> np.random.Generator:
    """The stream that both ends hold: call it once for each end."""
    return np.random.default_rng(seed)


def haar_rows(rows: int, dimension: int, seed: int = 0):
    return sub.unit_rows(np.random.default_rng(seed).standard_normal((rows, dimension)))


# ---------------------------------------------------------------- single code


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(1, 20), st.integers(0, 1000))
def test_a_code_names_the_nearest_of_all_directions(bits, dimension, seed):
    vectors = haar_rows(9, dimension, seed)
    every = rival.decode_single(np.arange(1 << bits), bits, dimension, shared(seed))
    np.testing.assert_allclose(np.linalg.norm(every, axis=1), 1, atol=1e-12)
    codes = rival.encode_single(vectors, bits, shared(seed))
    chosen = rival.decode_single(codes, bits, dimension, shared(seed))
    np.testing.assert_allclose((vectors * chosen).sum(axis=1), (vectors @ every.T).max(axis=1), atol=1e-12)


def test_chunks_do_not_show(monkeypatch):
    vectors = haar_rows(50, 12)
    whole = rival.encode_single(vectors, 9, shared())
    directions = rival.decode_single(whole, 9, 12, shared())
    monkeypatch.setattr(rival, "_CHUNK_ENTRIES", 12 * 7)
    np.testing.assert_array_equal(rival.encode_single(vectors, 9, shared()), whole)
    np.testing.assert_array_equal(rival.decode_single(whole, 9, 12, shared()), directions)


@pytest.mark.parametrize(("bits", "dimension"), [(1, 16), (6, 16), (9, 64)])
def test_overlap_of_the_best_direction_against_its_distribution(bits, dimension):
    stats = pytest.importorskip("scipy.stats")
    # cos^2 of two random directions is Beta(1/2, (N-1)/2); the best of 2^(bits-1) lines is its maximum.
    grid = np.linspace(0, 1, 20_001)
    tail = 1 - stats.beta(0.5, (dimension - 1) / 2).cdf(grid) ** (1 << (bits - 1))
    expected = float((tail[1:] + tail[:-1]).sum() * 0.5 * grid[1])
    found = []
    for seed in range(40):  # fresh lists: one list alone has its own mean
        vectors = haar_rows(200, dimension, seed)
        codes = rival.encode_single(vectors, bits, shared(seed + 1000))
        found.append(
            float(
                (
                    (vectors * rival.decode_single(codes, bits, dimension, shared(seed + 1000))).sum(axis=1)
                    ** 2
                ).mean()
            )
        )
    assert np.mean(found) == pytest.approx(expected, abs=5 * np.std(found) / math.sqrt(40) + 1e-4)


@pytest.mark.parametrize("code", [-1, 32])
def test_a_code_out_of_range_is_their_mistake(code):
    with pytest.raises(RemoteProtocolError, match="out of range"):
        rival.decode_single(np.array([0, code]), 5, 8, shared())


@pytest.mark.parametrize("bits", [0, 25])
def test_code_lengths_are_bounded(bits):
    with pytest.raises(LocalProtocolError, match=r"1\.\.24"):
        rival.encode_single(haar_rows(1, 4), bits, shared())


# ---------------------------------------------------------------- block code


def test_one_block_is_the_single_code():
    vectors = haar_rows(20, 16)
    plan = rival.BlockPlan(16, 1, 7)
    codes = rival.encode_block(vectors, plan, shared())
    single = rival.encode_single(vectors, 7, shared())
    np.testing.assert_array_equal(codes, single[:, None])
    np.testing.assert_allclose(
        rival.decode_block(codes, plan, shared()), rival.decode_single(single, 7, 16, shared()), atol=1e-15
    )


@pytest.mark.parametrize("blocks", [2, 3, 5, 16])
def test_blocks_are_coded_apart(blocks):
    vectors = haar_rows(20, 16)
    plan = rival.BlockPlan(16, blocks, 6)
    codes = rival.encode_block(vectors, plan, shared())
    assert codes.shape == (20, blocks) and codes.min() >= 0 and codes.max() < 64
    directions = rival.decode_block(codes, plan, shared())
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-12)
    other = vectors.copy()
    other[:, : plan.length] = vectors[::-1, : plan.length]
    changed = rival.encode_block(other, plan, shared())
    np.testing.assert_array_equal(changed[:, 1:], codes[:, 1:])
    np.testing.assert_array_equal(changed[:, 0], codes[::-1, 0])


def accuracy(half, plan, trials, rng):
    vectors, inside = half_spaces.deal(half, trials, rng)
    seed = int(rng.integers(1 << 40))
    directions = rival.decode_block(rival.encode_block(vectors, plan, shared(seed)), plan, shared(seed))
    return float(((half_spaces.share_inside(half, directions) > 0.5) == inside).mean())


@pytest.mark.parametrize(("dimension", "rounds"), [
    (4, 20), (16, 20), *(pytest.param(*case, marks=pytest.mark.long) for case in ((64, 8), (256, 5), (1024, 2))),
])  # fmt: skip
def test_default_plans_reach_95_percent(dimension, rounds):
    rng = np.random.default_rng(dimension)
    make = half_spaces.haar_half if dimension <= 64 else half_spaces.product_half
    plan = rival.default_plan(dimension)
    found = np.mean([accuracy(make(dimension, rng), plan, 400, rng) for _ in range(rounds)])
    assert found > 0.95 - 3 * math.sqrt(0.05 * 0.95 / (400 * rounds))
    assert plan.bits <= 2.5 * math.sqrt(dimension)


def test_half_the_bits_do_not():
    rng = np.random.default_rng(1)
    found = accuracy(half_spaces.product_half(256, rng), rival.BlockPlan(256, 3, 6), 2000, rng)
    assert 0.6 < found < 0.88


@pytest.mark.parametrize("dimension", [*(2**n for n in range(1, 17)), 3, 100, 1000])
def test_every_dimension_has_a_plan_of_bounded_work(dimension):
    plan = rival.default_plan(dimension)
    assert plan.dimension == dimension
    assert plan.blocks * plan.length >= dimension
    assert plan.bits_per_block <= 20
    assert plan.bits <= 2.1 * math.sqrt(dimension) + 2 * plan.blocks


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: rival.BlockPlan(8, 0, 4), LocalProtocolError),
        (lambda: rival.BlockPlan(8, 9, 4), LocalProtocolError),
        (lambda: rival.BlockPlan(8, 2, 0), LocalProtocolError),
        (lambda: rival.default_plan(1), LocalProtocolError),
        (
            lambda: rival.encode_block(haar_rows(2, 16), rival.BlockPlan(8, 2, 4), shared()),
            LocalProtocolError,
        ),
        (
            lambda: rival.decode_block(np.zeros((2, 3), np.int64), rival.BlockPlan(8, 2, 4), shared()),
            RemoteProtocolError,
        ),
        (
            lambda: rival.decode_block(np.full((2, 2), 16), rival.BlockPlan(8, 2, 4), shared()),
            RemoteProtocolError,
        ),
    ],
)
def test_misfits_are_refused(call, kind):
    with pytest.raises(kind):
        call()


# ---------------------------------------------------------------- quantiser


@given(st.integers(1, 52), st.floats(1e-3, 1e6), st.booleans(), st.lists(st.floats(-1, 1), min_size=1))
def test_levels_are_nearest_and_keep_their_codes(bits, scale, signed, fractions):
    values = np.array(fractions) * scale
    values = values if signed else np.abs(values)
    codes = rival.quantise(values, bits, scale, signed)
    assert codes.dtype == np.uint64 and int(codes.max()) < 1 << bits
    levels = rival.restore(codes, bits, scale, signed)
    step = (2 if signed else 1) * scale / ((1 << bits) - (2 if signed and bits > 1 else 1))
    assert np.abs(levels - values).max() <= step / 2 * (1 + 1e-9) + (2.0 ** -max(41, bits + 3) + 4e-16) * scale
    if bits <= 45:  # above, a level and its neighbour are within rounding of each other
        np.testing.assert_array_equal(rival.quantise(levels, bits, scale, signed), codes)


@pytest.mark.parametrize("bits", [2, 3, 8, 16, 52])
@pytest.mark.parametrize("signed", [True, False])
def test_zero_is_a_level_and_has_one_code(bits, signed):
    """Also what rounding may have left of it, of either sign."""
    codes = rival.quantise(np.array([0.0, -0.0, 1e-17, -1e-17]) * 0.7, bits, 0.7, signed)
    assert len(set(codes.tolist())) == 1
    assert rival.restore(codes[:1], bits, 0.7, signed) == 0.0


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8, 16])
@pytest.mark.parametrize("signed", [True, False])
def test_values_between_two_levels_keep_their_code_when_their_last_bits_move(bits, signed):
    rng = np.random.default_rng(bits)
    top = (1 << bits) - (2 if signed and bits > 1 else 1)
    low = -top if signed else 0
    halves = rng.integers(low, top, 2000) + np.array([0.0, 0.5])[:, None]
    for scale in (1.0, 1 / 3, np.sqrt(0.5)):
        values = (halves / top * scale).ravel()
        moved = values * (1 + rng.integers(-4, 5, values.shape) * 2.0**-53)
        assert (rival.quantise(moved, bits, scale, signed) == rival.quantise(values, bits, scale, signed)).all()


def test_quantiser_by_hand():
    values = np.array([-3.0, 0.0, 2.0, 3.0, 8.0, 13.0, 14.0, 16.0, 20.0])
    np.testing.assert_array_equal(rival.quantise(values, 2, 16.0), [0, 0, 0, 1, 2, 2, 3, 3, 3])
    np.testing.assert_allclose(rival.restore(np.arange(4, dtype=np.uint64), 2, 16.0), [0, 16 / 3, 32 / 3, 16])
    np.testing.assert_array_equal(
        rival.quantise(np.array([-9.0, -0.1, 0.1, 9.0]), 1, 2.0, signed=True), [0, 0, 1, 1]
    )
    np.testing.assert_allclose(rival.restore(np.array([0, 1], dtype=np.uint64), 1, 2.0, signed=True), [-2, 2])
    np.testing.assert_array_equal(
        rival.quantise(np.array([-9.0, -1.1, -0.9, 0.0, 0.9, 1.1, 9.0]), 2, 2.0, signed=True), [0, 0, 1, 1, 1, 2, 2]
    )
    np.testing.assert_allclose(rival.restore(np.arange(3, dtype=np.uint64), 2, 2.0, signed=True), [-2, 0, 2])


@pytest.mark.parametrize(
    ("bits", "scale"), [(0, 1.0), (53, 1.0), (2, 0.0), (2, -1.0), (2, math.inf), (2, math.nan)]
)
def test_impossible_quantisers_are_refused(bits, scale):
    with pytest.raises(LocalProtocolError, match="quantiser"):
        rival.quantise(np.ones(3), bits, scale)


# ---------------------------------------------------------------- packing


@given(st.data())
def test_packing_is_one_big_endian_number(data):
    bits = data.draw(st.integers(1, 64))
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=40))
    octets = rival.pack_bits(np.array(values, dtype=np.uint64), bits)
    text = "".join(format(v, f"0{bits}b") for v in values)
    text += "0" * (-len(text) % 8)
    assert octets.tobytes() == bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
    back = rival.unpack_bits(octets, bits, len(values))
    assert back.dtype == np.uint64 and back.tolist() == values


def test_packing_by_hand():
    np.testing.assert_array_equal(rival.pack_bits(np.array([1, 2, 3]), 3), [0b00101001, 0b10000000])
    assert rival.pack_bits(np.array([[5, 6]], dtype=np.int64), 8).tolist() == [5, 6]


@pytest.mark.parametrize(("codes", "bits"), [([4], 2), ([-1], 3), ([0], 0), ([0], 65)])
def test_codes_that_do_not_fit_are_our_mistake(codes, bits):
    with pytest.raises(LocalProtocolError):
        rival.pack_bits(np.array(codes), bits)


@pytest.mark.parametrize(
    ("octets", "bits", "count"), [([1], 8, 2), ([1, 2], 8, 1), ([], 1, 1), ([0b11], 3, 2), ([], 3, -1)]
)
def test_octets_that_do_not_hold_the_codes_are_their_mistake(octets, bits, count):
    with pytest.raises(RemoteProtocolError):
        rival.unpack_bits(np.array(octets, dtype=np.uint8), bits, count)
