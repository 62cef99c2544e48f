"""Numbers with the same bits on every processor.

The last bits of a matrix product, a decomposition or an exponential depend on the kernel that computes
it: on the order of its sums, and on whether it fuses multiplications with additions. What decides
something (a draw, a level of a quantiser, a step of an iteration that amplifies differences) must not
depend on these bits. There are two ways:

- `snap` and `significant` round to a grid that is much coarser than the error. A value whose error is
  `error` falls on different points of a grid of step `step` with probability of about error / step, and
  never where the exact value is a point of the grid. Choose the step so that this probability, times the
  number of values, is small: for float64 values near 1 the error is about 1e-16 to 1e-15.
- `product` multiplies matrices without any rounding that depends on the order of sums. Together with
  +, -, *, / and sqrt on arrays of real numbers, and with sums along an axis, which IEEE 754 and NumPy
  define to the last bit, a whole computation has the same bits everywhere. `exponential` and `isometry`
  are made of these alone. `@`, `dot`, `einsum`, products of complex arrays, `numpy.linalg` and exp, log,
  sin, cos do not have the same bits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats

PROBABILITY_BITS = 40  # of a probability that something is drawn with
MOST_ROUNDS = 64  # of an iteration that makes singular values larger by half in each, and then converges
_LN2 = math.log(2.0)
_LN2_HIGH = 0.6931471803691238  # 32 bits
_LN2_LOW = 1.9082149292705877e-10


def snap(values: ArrayLike, bits: int = PROBABILITY_BITS) -> Floats:
    """The nearest multiples of 2**-bits; same shape, float64, no negative zeros.

    It changes a value by 2**-(bits + 1) at most, and numbers from 2**(52 - bits) up not at all.
    """
    given = np.asarray(values, dtype=np.float64)
    fine = np.abs(given) < 2.0 ** (52 - bits)
    if fine.all():
        return np.asarray(np.rint(given * 2.0**bits) * 2.0**-bits + 0.0)
    return np.asarray(np.where(fine, np.rint(np.where(fine, given, 0.0) * 2.0**bits) * 2.0**-bits, given) + 0.0)


def significant(values: ArrayLike, bits: int = PROBABILITY_BITS) -> Floats:
    """Each value rounded to `bits` significant bits; same shape, float64.

    For numbers of any size that are computed without cancellation, such as rates: it keeps what is tiny,
    and with it what rounding has left of an exact zero.
    """
    fraction, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(np.ldexp(snap(fraction, bits), exponent))


def significant_one(value: float) -> float:
    """`significant` of one finite number."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(round(math.ldexp(fraction, PROBABILITY_BITS)), exponent - PROBABILITY_BITS) + 0.0


def product(left: Floats, right: Floats) -> Floats:
    """The matrix product of (m, k) and (k, n), float64, with the same bits on every processor.

    Each factor is cut into two slices of so few bits that every product of slices, and every sum of these, is
    exact in any order of computation (Ozaki, Ogita, Oishi and Rump 2012). A slice has b = (53 - log2 k) / 2
    bits, and the result is exact to about k 2**-2b of the largest entries' product (1e-10 for k = 1,000); it takes
    three times as long as `@`. With one slice (`rough_product`) it is exact to k 2**-b (1e-4, in practice far better,
    as errors cancel), in the time of `@`. Integers below 2**b are multiplied exactly.
    """
    bits = slice_bits(left.shape[1])
    left_unit, right_unit = _unit(left, 2 * bits), _unit(right, 2 * bits)
    if left_unit is None or right_unit is None:
        return np.asarray(left @ right)
    left_high, left_low = _slices(left, bits, left_unit)
    right_high, right_low = _slices(right, bits, right_unit)
    mixed = left_high @ right_low + left_low @ right_high
    return _joined(left_high @ right_high, mixed, bits, left_unit, right_unit)


def gram(columns: Floats) -> Floats:
    """`product` of the transpose of (m, n) with the matrix itself: the same bits in half of the time."""
    bits = slice_bits(len(columns))
    unit = _unit(columns, 2 * bits)
    if unit is None:
        return np.asarray(columns.T @ columns)
    high, low = _slices(columns, bits, unit)
    mixed = high.T @ low
    return _joined(high.T @ high, mixed + mixed.T, bits, unit, unit)


class Sliced(NamedTuple):
    """A matrix to so many bits, counted from its largest entry: integers in float64, times a power of two."""

    values: Floats
    unit: float


def slice_bits(inner: int) -> int:
    """How many bits a slice may have where sums have `inner` terms."""
    return (53 - math.ceil(math.log2(max(inner, 1)))) // 2


def sliced(values: Floats, bits: int) -> Sliced:
    """A factor of `rough_product`; one that is not finite stays as it is."""
    unit = _unit(values, bits)
    if unit is None:
        return Sliced(values, 1.0)
    cut = values * (1.0 / unit)
    return Sliced(np.rint(cut, out=cut), unit)


def rough_product(left: Sliced, right: Sliced) -> Floats:
    """`product` with one slice, for factors that are used several times: `sliced` to `slice_bits` of the inner size."""
    found = left.values @ right.values
    found *= left.unit
    found *= right.unit
    return np.asarray(found)


def exponential(values: ArrayLike) -> Floats:
    """e to the values, to a few units in the last place; same shape, float64, the same bits on every processor."""
    given = np.clip(np.asarray(values, dtype=np.float64), -745.0, 710.0)
    times = np.rint(given / _LN2)
    # Two parts of ln 2, the first with zeros at its end: subtracting the multiple of it is exact.
    rest = (given - times * _LN2_HIGH) - times * _LN2_LOW
    series = np.ones_like(rest)
    for order in range(14, 0, -1):
        series *= rest / order
        series += 1.0
    with np.errstate(over="ignore"):
        return np.asarray(np.ldexp(series, times.astype(np.int32)))


def isometry(rows: Floats) -> Floats:
    """The nearest matrix with orthonormal columns, the polar factor, of (m, n), m >= n; the same bits everywhere.

    Newton and Schulz's iteration X <- X (3 - X^T X) / 2. ValueError where the rows do not span all columns, or so
    badly that it does not converge: a singular value below 1e-9 of the largest, about.
    """
    found, one = rows, np.eye(rows.shape[1])
    for _ in range(MOST_ROUNDS):
        square = gram(found)
        # No squared singular value is larger than a row's sum of magnitudes; it converges from all below 3.
        bound = float(np.abs(square).sum(axis=1).max())
        if bound >= 2.9:
            found = found * 2.0 ** -math.ceil(math.frexp(bound)[1] / 2)
            continue
        if np.abs(square - one).max() <= 1e-12 * len(rows):
            return found
        found = product(found, 1.5 * one - 0.5 * square)
    raise ValueError(f"isometry: rows that do not span {rows.shape[1]} dimensions given, expected such as do")


def _slices(values: Floats, bits: int, unit: float) -> tuple[Floats, Floats]:
    """Two parts of `bits` bits each, integers: 2**bits times the first and the second are the values over `unit`."""
    scaled = values * (1.0 / unit)  # products with powers of two are exact, and faster than ldexp
    high = scaled * 2.0**-bits
    np.rint(high, out=high)
    scaled -= high * 2.0**bits
    return high, np.rint(scaled, out=scaled)


def _joined(high: Floats, mixed: Floats, bits: int, left_unit: float, right_unit: float) -> Floats:
    """The products of slices as one product."""
    high *= 2.0**bits
    high += mixed
    high *= 2.0**bits * left_unit
    high *= right_unit
    return high


def _unit(values: Floats, bits: int) -> float | None:
    """The power of two of which the largest entry is less than 2**bits times; None where an entry is not finite."""
    largest = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if not math.isfinite(largest):
        return None
    return float(2.0 ** (max(math.frexp(largest)[1], -900) - bits))
