"""Real numbers as classical messages of b bits an entry: how every classical rival pays for data.

Up to 52 bits a vector is quantised uniformly: its largest magnitude is sent as the scale (64 bits),
and the code of an entry is the nearest of 2**b equally spaced levels from -scale to scale,
or from 0 to scale where nothing is negative (then the scale's sign bit says so). At 64 bits the
entries are sent as they are, IEEE 754 numbers without a scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.protocols.codes import pack_bits, quantise, restore, unpack_bits

EXACT_BITS = 64


def pack_numbers(values: NDArray[np.float64], bits: int) -> Packed:
    """A vector as a message; `values` is float64, shape (count,)."""
    count = len(values)
    if bits == EXACT_BITS:
        codes = values.astype(">f8").view(np.uint8)
        return Packed(count, bits, 0.0, count, codes)
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    signed = bool((values < 0).any())
    codes = pack_bits(quantise(values, bits, scale, signed), bits)
    return Packed(count, bits, -scale if signed else scale, count, codes)


def unpack_numbers(message: Packed) -> NDArray[np.float64]:
    """The vector that `pack_numbers` packed, to the precision of its bits; float64, shape (count,)."""
    if message.bits_per_entry == EXACT_BITS:
        return message.codes.view(">f8").astype(np.float64)
    codes = unpack_bits(message.codes, message.bits_per_entry, message.count)
    return restore(codes, message.bits_per_entry, abs(message.scale), message.scale < 0)
