"""Real numbers as classical messages of b bits an entry: how every classical rival pays for data.

Up to 52 bits a vector is quantised uniformly: its largest magnitude is sent as the scale (64 bits),
and the code of an entry is the nearest of equally spaced levels, 2**b of them from 0 to scale where nothing is
negative, else 2**b - 1 from -scale to scale, with zero among them (then the scale's sign bit says so). So that
every processor sends the same codes, the scale is rounded to 30 significant bits, and what rounding left of a
zero (below 2^-41 of the scale) is zero and has no sign. At 64 bits the
entries are sent as they are, IEEE 754 numbers without a scale. A long vector goes in several messages, each
with a scale of its own: one holds no more than 2^26 entries, and a state of 26 qubits has twice as many.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.codes import pack_bits, quantise, restore, unpack_bits
from ketwire.protocols.node import Node
from ketwire.quantum.grid import significant, snap

EXACT_BITS = 64
MAX_QUANTISED_BITS = 52
MESSAGE_NUMBERS = 1 << 22  # of one message
SCALE_BITS = 30  # of the scale, or two more than of an entry


def messages_of(count: int) -> Iterator[slice]:
    """The parts of a vector that are messages of their own: one for all but long vectors, and for none at all."""
    for first in range(0, max(count, 1), MESSAGE_NUMBERS):
        yield slice(first, min(first + MESSAGE_NUMBERS, count))


async def send_numbers(node: Node, peer: str, values: NDArray[np.float64], bits: int) -> None:
    """A vector, float64, shape (count,), in as many messages as it takes."""
    for part in messages_of(len(values)):
        await node.send(peer, pack_numbers(values[part], bits))


async def receive_numbers(node: Node, peer: str, count: int) -> NDArray[np.float64]:
    """What `send_numbers` sent, float64, shape (count,).

    Raises:
        RemoteProtocolError: as `unpack_numbers`.
    """
    heard = [unpack_numbers(await node.receive(peer, Packed), part.stop - part.start) for part in messages_of(count)]
    return heard[0] if len(heard) == 1 else np.concatenate(heard)


def pack_numbers(values: NDArray[np.float64], bits: int) -> Packed:
    """A vector as a message; `values` is float64, shape (count,)."""
    count = len(values)
    if bits == EXACT_BITS:
        codes = values.astype(">f8").view(np.uint8)
        return Packed(count, bits, 0.0, count, codes)
    scale = float(significant(np.abs(values).max(initial=0.0), max(SCALE_BITS, bits + 2))) or 1.0
    signed = bool((snap(values / scale) < 0).any())
    codes = pack_bits(quantise(values, bits, scale, signed), bits)
    return Packed(count, bits, -scale if signed else scale, count, codes)


def unpack_numbers(message: Packed, count: int) -> NDArray[np.float64]:
    """The vector that `pack_numbers` packed, to the precision of its bits; float64, shape (count,).

    Raises:
        RemoteProtocolError: not `count` numbers, or none that `pack_numbers` could have packed.
    """
    if message.count != count or message.positions is not None:
        raise RemoteProtocolError(f"{message.count} numbers came where {count} were awaited")
    if message.bits_per_entry == EXACT_BITS:
        values = message.codes.view(">f8").astype(np.float64)
        if not np.isfinite(values).all():
            raise RemoteProtocolError("NaN or infinity came where numbers were awaited")
        return values
    if message.bits_per_entry > MAX_QUANTISED_BITS or not 0.0 < abs(message.scale) < np.inf:
        told = f"{message.bits_per_entry} bits on a scale of {message.scale}"
        raise RemoteProtocolError(f"numbers at {told} came where numbers were awaited")
    codes = unpack_bits(message.codes, message.bits_per_entry, message.count)
    return restore(codes, message.bits_per_entry, abs(message.scale), message.scale < 0)
