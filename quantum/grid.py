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
  define to the last bit, a whole computation has the same bits everywhere. `@`, `dot`, `einsum`, products
  of complex arrays, `numpy.linalg` and exp, log, sin, cos do not.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Floats

PROBABILITY_BITS = 40  # of a probability that something is drawn with


def snap(values: ArrayLike, bits: int = PROBABILITY_BITS) -> Floats:
    """The nearest multiples of 2**-bits; same shape, float64, no negative zeros.

    It changes a value by 2**-(bits + 1) at most, and numbers from 2**(52 - bits) up not at all.
    """
    given = np.asarray(values, dtype=np.float64)
    fine = np.abs(given) < math.ldexp(1.0, 52 - bits)
    rounded = np.ldexp(np.rint(np.ldexp(np.where(fine, given, 0.0), bits)), -bits)
    return np.asarray(np.where(fine, rounded, given) + 0.0)


def significant(values: ArrayLike, bits: int = PROBABILITY_BITS) -> Floats:
    """Each value rounded to `bits` significant bits; same shape, float64.

    For numbers of any size that are computed without cancellation, such as rates: it keeps what is tiny,
    and with it what rounding has left of an exact zero.
    """
    fraction, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(np.ldexp(snap(fraction, bits), exponent))


def product(left: Floats, right: Floats) -> Floats:
    """The matrix product of (m, k) and (k, n), float64, with the same bits on every processor.

    Each factor is cut into two slices of so few bits that every product of slices, and every sum of
    these, is exact in whatever order it is computed (Ozaki, Ogita, Oishi and Rump 2012). The result is
    exact to about k 2**-2b of the largest entries' product, b = (53 - log2 k) / 2 the bits of a slice:
    to 1e-11 for k = 1,000. Integers below 2**b are multiplied exactly. It takes three times as long as `@`.
    """
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        return np.asarray(left @ right)
    bits = (53 - math.ceil(math.log2(max(left.shape[1], 1)))) // 2
    left_high, left_low = _slices(left, bits)
    right_high, right_low = _slices(right, bits)
    return np.asarray(left_high @ right_high + (left_high @ right_low + left_low @ right_high))


def _slices(values: Floats, bits: int) -> tuple[Floats, Floats]:
    """Two parts of `bits` bits each, counted from the largest entry, that add up to the values nearly."""
    _, exponent = np.frexp(np.abs(values).max(initial=0.0))
    high = np.ldexp(np.rint(np.ldexp(values, bits - exponent)), exponent - bits)
    low = np.ldexp(np.rint(np.ldexp(values - high, 2 * bits - exponent)), exponent - 2 * bits)
    return high, low
