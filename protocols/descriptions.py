"""Angles as what describes a model: b bits each, on a public grid, so that no scale is sent.

A rotation by an angle and by that angle plus 2π differ by a sign of the whole state alone, so angles are taken modulo
2π and rounded to one of 2^b equally spaced ones.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.codes import pack_bits, unpack_bits
from ketwire.protocols.numbers import EXACT_BITS, pack_numbers, unpack_numbers

Floats = NDArray[np.float64]
TURN = 2.0 * math.pi


def pack_angles(angles: Floats, bits: int) -> Packed:
    """Angles in radians, float64, shape (count,), as a message of count * bits bits."""
    if bits == EXACT_BITS:
        return pack_numbers(angles, bits)
    levels = 1 << bits
    codes = np.rint(np.mod(angles, TURN) / TURN * levels).astype(np.uint64) % np.uint64(levels)
    return Packed(len(codes), bits, 0.0, len(codes), pack_bits(codes, bits))


def unpack_angles(message: Packed, bits: int, count: int) -> Floats:
    """The angles that `pack_angles` packed, shape (count,), from 0 up to 2π where they were rounded.

    Raises:
        RemoteProtocolError: not `count` angles of `bits` bits.
    """
    if (message.count, message.bits_per_entry) != (count, bits) or message.positions is not None or message.scale:
        raise RemoteProtocolError(
            f"{message.count} angles of {message.bits_per_entry} bits came, expected {count} of {bits}"
        )
    if bits == EXACT_BITS:
        return unpack_numbers(message, count)
    return np.asarray(unpack_bits(message.codes, bits, count) * (TURN / (1 << bits)), dtype=np.float64)
