"""Angles as what describes a model: b bits each, on a public grid, so that no scale is sent.

A rotation by an angle and by that angle plus 2π differ by a sign of the whole state alone, so angles are taken modulo
2π and rounded to one of 2^b equally spaced ones. All parties send theirs to one, the collector. What it works out from
them it answers on a public grid too, with eight bits more: a step of that grid is a 256th of what an angle's step can
be worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.announce import relayed
from ketwire.protocols.codes import pack_bits, quantise, restore, unpack_bits
from ketwire.protocols.node import Json, Node
from ketwire.protocols.numbers import EXACT_BITS, MAX_QUANTISED_BITS, pack_numbers, unpack_numbers

Floats = NDArray[np.float64]
TURN = 2.0 * math.pi
FINER_BITS = 8  # of an answer, beyond those of an angle


async def gathered(
    node: Node,
    path: Sequence[str],
    counts: Mapping[str, int],
    bits: int,
    angles: Callable[[], Floats],
    collector: str,
) -> dict[str, Floats]:
    """The angles of all parties, except its own, at the collector; nothing elsewhere.

    counts: how many angles each party has, in the order in which they tell. angles: this party's, shape (count,).
    """
    heard: dict[str, Floats] = {}
    for origin, teller, listener in relayed(tuple(path), tuple(counts.items()), collector).get(node.name, ()):
        told = pack_angles(angles(), bits) if teller is None else await node.receive(teller, Packed)
        if listener is not None:
            await node.send(listener, told)
        else:
            heard[origin] = unpack_angles(told, bits, counts[origin])
    return heard


def unknown_angles(key: str, source: dict[str, Json]) -> dict[str, NDArray[Any]]:
    """A loader for layers of others: zeros stand for their angles until they are told."""
    return {"values": np.zeros(source["shape"])}


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


def pack_answers(values: Floats, bits: int, scale: float, signed: bool = False) -> Packed:
    """What follows from angles of `bits` bits, float64, shape (count,), as a message.

    scale: the public bound of the magnitudes. signed: whether values may be negative.
    """
    if bits == EXACT_BITS:
        return pack_numbers(values, bits)
    width = answer_bits(bits)
    return Packed(len(values), width, 0.0, len(values), pack_bits(quantise(values, width, scale, signed), width))


def unpack_answers(message: Packed, bits: int, count: int, scale: float, signed: bool = False) -> Floats:
    """What `pack_answers` packed, shape (count,).

    Raises:
        RemoteProtocolError: not `count` numbers of as many bits.
    """
    width = answer_bits(bits)
    if (message.count, message.bits_per_entry) != (count, width) or message.positions is not None or message.scale:
        told = f"{message.count} numbers of {message.bits_per_entry} bits"
        raise RemoteProtocolError(f"{told} came as an answer, expected {count} of {width}")
    if bits == EXACT_BITS:
        return unpack_numbers(message, count)
    return restore(unpack_bits(message.codes, width, count), width, scale, signed)


def answer_bits(bits: int) -> int:
    """Of each number of an answer that follows from angles of `bits` bits."""
    return EXACT_BITS if bits == EXACT_BITS else min(bits + FINER_BITS, MAX_QUANTISED_BITS)
