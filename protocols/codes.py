"""Classical rivals of a quantum message: quantised vectors, and codes with shared randomness.

**Vector in subspace** (Kremer 1995, Raz 1999). Alice holds a unit vector, Bob a half space H that
contains it or is orthogonal to it. Both hold the same random directions. Alice names the direction
nearest to her vector, Bob answers by which of H and its complement holds more of that direction. A
direction with overlap rho has rho^2 too much in the right half, against a spread of about
(2/N)^1/2, so rho^2 of order N^-1/2 decides, and b bits buy rho^2 of about 2 ln 2 b / N: b of order
N^1/2 bits are needed by this code.

- *single code*: the best of 2^b directions of the whole space. Its work is 2^b N, so b ends near 20.
- *block code*: the vector is cut into blocks, and each block has its own code word out of one
  common list. Work 2^(bits per block) N for every b, for a little less overlap per bit.

In both lists a direction and its negative count as two, so the work is half of what it seems. A
block's gain is not sent: for Haar-random vectors the best of many overlaps hardly varies, and the
bits are better spent on directions. The vector is taken to be spread over all blocks, as Haar
random ones are; where it need not be, rotate it first by shared signs and a Walsh-Hadamard
transform.

**Numbers.** A uniform quantiser: it rounds to the nearest of 2^b levels that include zero and both ends
of the range (where numbers are signed, two bits or more have a level less, and one bit is a sign). And
packing of codes of 1..64 bits into octets, big-endian, as `Packed` carries them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import LocalProtocolError, RemoteProtocolError
from ketwire.quantum.grid import PROBABILITY_BITS, snap

Real = NDArray[np.float64]
Codes = NDArray[np.int64]

MAX_CODE_BITS = 24
_CHUNK_ENTRIES = 1 << 21  # of a list of directions, and of the table of overlaps: 16 MiB each


# ---------------------------------------------------------------- single code


def encode_single(vectors: Real, bits: int, generator: np.random.Generator) -> Codes:
    """The index of the nearest of 2^bits shared random directions, shape (rows,).

    vectors: (rows, N). generator: the shared stream; the decoder needs one in the same state.
    The lowest bit of a code is the sign, the others number the direction.
    """
    rows, dimension = vectors.shape
    best = np.full(rows, -1.0)
    codes = np.zeros(rows, dtype=np.int64)
    for first, directions in _directions(bits, dimension, generator):
        span = max(1, _CHUNK_ENTRIES // len(directions))
        for top in range(0, rows, span):
            part = slice(top, top + span)
            overlaps = vectors[part] @ directions.T
            index = np.abs(overlaps).argmax(axis=1)
            value = overlaps[np.arange(len(index)), index]
            better = np.abs(value) > best[part]
            best[part] = np.where(better, np.abs(value), best[part])
            codes[part] = np.where(better, 2 * (first + index) + (value < 0), codes[part])
    return codes


def decode_single(codes: Codes, bits: int, dimension: int, generator: np.random.Generator) -> Real:
    """The unit directions that the codes name, shape (rows, dimension).

    Raises:
        RemoteProtocolError: a code is not among 0..2^bits - 1.
    """
    _check_codes(codes, bits)
    out = np.empty((len(codes), dimension))
    index = codes >> 1
    for first, directions in _directions(bits, dimension, generator):
        here = (index >= first) & (index < first + len(directions))
        out[here] = directions[index[here] - first]
    return np.asarray(out * (1 - 2 * (codes & 1))[:, None], dtype=np.float64)


def _directions(bits: int, dimension: int, generator: np.random.Generator) -> Iterator[tuple[int, Real]]:
    """2^(bits - 1) random unit directions in chunks, each with the number of its first."""
    if not 1 <= bits <= MAX_CODE_BITS:
        raise LocalProtocolError(f"a code of {bits} bits: expected 1..{MAX_CODE_BITS}")
    total = 1 << (bits - 1)
    span = max(1, _CHUNK_ENTRIES // dimension)
    for first in range(0, total, span):
        directions = generator.standard_normal((min(span, total - first), dimension))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        yield first, directions


# ---------------------------------------------------------------- block code


# (blocks, bits per block) by dimension. Longer words need fewer bits in all but double the work each;
# words stop at 16 bits (one or two) and 14 (more).
_PLANS = {
    4: (1, 5),
    8: (1, 6),
    16: (1, 8),
    32: (1, 11),
    64: (1, 16),
    128: (2, 12),
    256: (2, 16),
    512: (4, 12),
    1024: (5, 14),
    2048: (7, 14),
    4096: (10, 14),
}
_BITS_PER_ROOT = 2.1
_WORD_BITS = 13.5


@dataclass(frozen=True)
class BlockPlan:
    """How a vector of `dimension` entries is cut: `blocks` runs, `bits_per_block` bits for each.

    Runs are of equal length; the last is filled up with zeros where the division leaves a rest.
    """

    dimension: int
    blocks: int
    bits_per_block: int

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= self.dimension:
            raise LocalProtocolError(f"{self.blocks} blocks of a vector of {self.dimension} entries")
        if not 1 <= self.bits_per_block <= MAX_CODE_BITS:
            raise LocalProtocolError(f"bits_per_block is {self.bits_per_block}, expected 1..{MAX_CODE_BITS}")

    @property
    def bits(self) -> int:
        """Bits of one message."""
        return self.blocks * self.bits_per_block

    @property
    def length(self) -> int:
        """Entries of one block."""
        return math.ceil(self.dimension / self.blocks)


def default_plan(dimension: int) -> BlockPlan:
    """The plan for vectors of `dimension` entries: of those tried, the fewest bits at 95% correct or more.

    Beyond the table 2.1 dimension^1/2 bits, in words of about 14.
    """
    if dimension < 2:
        raise LocalProtocolError(f"dimension is {dimension}, expected 2 or more")
    if dimension in _PLANS:
        return BlockPlan(dimension, *_PLANS[dimension])
    bits = _BITS_PER_ROOT * math.sqrt(dimension)
    blocks = max(1, round(bits / _WORD_BITS))
    return BlockPlan(dimension, blocks, math.ceil(bits / blocks))


def encode_block(vectors: Real, plan: BlockPlan, generator: np.random.Generator) -> Codes:
    """The code of each block, shape (rows, blocks). `generator` is the shared stream."""
    rows, dimension = vectors.shape
    if dimension != plan.dimension:
        raise LocalProtocolError(f"vectors of {dimension} entries, but the plan is for {plan.dimension}")
    cut = _padded(vectors, plan).reshape(rows * plan.blocks, plan.length)
    return encode_single(cut, plan.bits_per_block, generator).reshape(rows, plan.blocks)


def decode_block(codes: Codes, plan: BlockPlan, generator: np.random.Generator) -> Real:
    """The unit directions that the codes name, shape (rows, dimension).

    Raises:
        RemoteProtocolError: wrong number of blocks, or a code out of range.
    """
    if codes.ndim != 2 or codes.shape[1] != plan.blocks:
        raise RemoteProtocolError(f"block codes of shape {codes.shape}, expected (rows, {plan.blocks})")
    flat = decode_single(codes.reshape(-1), plan.bits_per_block, plan.length, generator)
    whole = flat.reshape(len(codes), plan.blocks * plan.length)[:, : plan.dimension]
    return np.asarray(whole / np.linalg.norm(whole, axis=1, keepdims=True), dtype=np.float64)


def _padded(vectors: Real, plan: BlockPlan) -> Real:
    missing = plan.blocks * plan.length - plan.dimension
    return np.pad(vectors, ((0, 0), (0, missing))) if missing else vectors


def _check_codes(codes: Codes, bits: int) -> None:
    if codes.ndim != 1 or (len(codes) and not 0 <= codes.min() <= codes.max() < 1 << bits):
        raise RemoteProtocolError(f"codes out of range, expected 0..2^{bits} - 1")


# ---------------------------------------------------------------- quantiser


def quantise(values: Real, bits: int, scale: float, signed: bool = False) -> NDArray[np.uint64]:
    """Codes of the nearest of 2^bits levels from 0 to scale; same shape.

    Where signed there are 2^bits - 1 levels from -scale to scale, with zero among them; one bit is the sign
    alone, which zero has too: its levels are -scale and scale. Values outside the range are taken to its ends.
    Values are rounded to 2^-40 of the scale first, so that one halfway between two levels gets the same code
    on every processor; to 2^-(bits + 2) where that is finer.
    """
    top, middle = _levels(bits, scale, signed)
    position = snap(np.clip(values / scale, -1.0, 1.0), max(PROBABILITY_BITS, bits + 2))
    return np.asarray(np.clip(np.rint((top - middle) * position + middle), 0, top), dtype=np.uint64)


def restore(codes: NDArray[np.uint64], bits: int, scale: float, signed: bool = False) -> Real:
    """The levels that `quantise` chose; same shape, float64."""
    top, middle = _levels(bits, scale, signed)
    return np.asarray(scale * ((codes - middle) / (top - middle)), dtype=np.float64)


def _levels(bits: int, scale: float, signed: bool) -> tuple[float, float]:
    """The codes of `scale` and of zero; between two codes where a level of zero is missing."""
    # Above 52 bits a float64 no longer holds every level, and no value is that exact anyway.
    if not 1 <= bits <= 52:
        raise LocalProtocolError(f"a quantiser of {bits} bits: expected 1..52")
    if not (math.isfinite(scale) and scale > 0):
        raise LocalProtocolError(f"a quantiser of scale {scale}: expected a positive number")
    top = (1 << bits) - 1
    if not signed:
        return float(top), 0.0
    return (float(top - 1), float(top // 2)) if bits > 1 else (1.0, 0.5)


# ---------------------------------------------------------------- packing


def bits_for(values: int) -> int:
    """Bits that tell `values` things apart, at least one."""
    return max(1, math.ceil(math.log2(values)))


def pack_bits(codes: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Codes, any shape, in C order, most significant bit first, without gaps; zeros fill the last octet.

    Raises:
        LocalProtocolError: a code is negative or does not fit in `bits` bits.
    """
    _check_width(bits)
    if codes.size and (int(codes.min()) < 0 or int(codes.max()) >> bits):
        raise LocalProtocolError(f"a code does not fit in {bits} bits")
    octets = codes.astype(">u8").reshape(-1, 1).view(np.uint8)
    return np.packbits(np.unpackbits(octets, axis=1)[:, 64 - bits :])


def unpack_bits(octets: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint64]:
    """The `count` codes that `pack_bits` packed, shape (count,).

    Raises:
        RemoteProtocolError: not ceil(count * bits / 8) octets, or the fill is not zero.
    """
    _check_width(bits)
    if count < 0 or octets.shape != (-(-count * bits // 8),):
        raise RemoteProtocolError(f"{octets.size} octets do not hold {count} codes of {bits} bits")
    flat = np.unpackbits(octets)
    if flat[count * bits :].any():
        raise RemoteProtocolError("the fill of the last octet is not zero")
    wide = np.zeros((count, 64), dtype=np.uint8)
    wide[:, 64 - bits :] = flat[: count * bits].reshape(count, bits)
    return np.packbits(wide, axis=1).view(">u8").reshape(count).astype(np.uint64)


def _check_width(bits: int) -> None:
    if not 1 <= bits <= 64:
        raise LocalProtocolError(f"codes of {bits} bits: expected 1..64")
