"""Packed bodies of classical messages: PACKED, ANSWERS and ARRIVALS (docs/wire.md, section 4.1)."""

from __future__ import annotations

import math
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import COUNT_BITS, MAX_BITS_PER_ENTRY, Answers, Arrivals, Packed
from ketwire.channels.wire.arrays import INT64, UINT8, UINT32
from ketwire.channels.wire.carried_checks import (
    OURS,
    THEIRS,
    Body,
    Faults,
    check_entries,
    check_time,
    expect,
    expect_arrays,
)
from ketwire.channels.wire.frames import Carry, Limits
from ketwire.channels.wire.refusals import MalformedHeader

PACKED = Struct("<qIBBHdQ")
ANSWERS = Struct("<qIB")
ARRIVALS = Struct("<qIB")

_POSITIONS = 1  # form bit of PACKED


def write_packed(carry: Carry, limits: Limits) -> Body:
    packed = carry.message
    assert isinstance(packed, Packed)
    check_time(carry.time_ps)
    _check_packed(packed, limits, OURS)
    arrays: list[NDArray[Any]] = [packed.codes]
    if packed.positions is not None:
        arrays.append(packed.positions.astype(UINT32, copy=False))
    form = _POSITIONS if packed.positions is not None else 0
    fields = (carry.time_ps, packed.count, packed.bits_per_entry, form, 0, packed.scale, packed.length)
    return PACKED.pack(*fields), arrays


def read_packed(
    body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits
) -> Carry:
    time_ps, count, bits, form, zero, scale, length = PACKED.unpack_from(body)
    if form & ~_POSITIONS or zero:
        raise MalformedHeader("PACKED with unknown form bits, or padding that is not zero")
    check_time(time_ps, THEIRS)
    _check_bits(bits, THEIRS)
    expect_arrays(arrays, 2 if form else 1)
    codes = expect(arrays[0], UINT8, ((count * bits + 7) // 8,))
    positions = expect(arrays[1], UINT32, (count,)) if form else None
    packed = Packed(count, bits, scale, length, codes, positions)
    _check_packed(packed, limits, THEIRS)
    return Carry(packed, time_ps)


def _check_packed(packed: Packed, limits: Limits, faults: Faults) -> None:
    check_entries(packed.count, limits, faults)
    if not math.isfinite(packed.scale):
        raise faults[0](f"scale {packed.scale} is not finite")
    spare = -packed.count * packed.bits_per_entry % 8
    if spare and packed.codes[-1] & ((1 << spare) - 1):
        raise faults[0]("codes with a bit beyond their entries")
    if packed.positions is None:
        if packed.length != packed.count:
            raise faults[0](f"a dense vector of {packed.length} entries with {packed.count} codes")
        return
    if not 1 <= packed.length <= 1 << 32:
        raise faults[0](f"a sparse vector of {packed.length} entries, expected 1 to 2^32")
    positions = packed.positions
    if packed.count and not (positions[-1] < packed.length and np.all(positions[1:] > positions[:-1])):
        raise faults[0]("positions that do not grow, or lie beyond the vector")


def write_answers(carry: Carry, limits: Limits) -> Body:
    answers = carry.message
    assert isinstance(answers, Answers)
    check_time(carry.time_ps)
    _check_bits(answers.bits_per_entry, OURS)
    check_entries(len(answers.values), limits, OURS)
    body = ANSWERS.pack(carry.time_ps, len(answers.values), answers.bits_per_entry)
    return body, [answers.values.astype(INT64, copy=False)]


def read_answers(
    body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits
) -> Carry:
    time_ps, count, bits = ANSWERS.unpack_from(body)
    check_time(time_ps, THEIRS)
    _check_bits(bits, THEIRS)
    check_entries(count, limits, THEIRS)
    expect_arrays(arrays, 1)
    return Carry(Answers(expect(arrays[0], INT64, (count,)), bits), time_ps)


def write_arrivals(carry: Carry, limits: Limits) -> Body:
    arrivals = carry.message
    assert isinstance(arrivals, Arrivals)
    check_time(carry.time_ps)
    counts = arrivals.counts.astype(INT64, copy=False)
    _check_counts(counts, arrivals.bits, limits, OURS)
    return ARRIVALS.pack(carry.time_ps, len(counts), arrivals.bits), [counts]


def read_arrivals(
    body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits
) -> Carry:
    time_ps, count, bits = ARRIVALS.unpack_from(body)
    check_time(time_ps, THEIRS)
    expect_arrays(arrays, 1)
    counts = expect(arrays[0], INT64, (count,))
    _check_counts(counts, bits, limits, THEIRS)
    return Carry(Arrivals(counts, bits), time_ps)


def _check_counts(counts: NDArray[np.int64], bits: int, limits: Limits, faults: Faults) -> None:
    check_entries(len(counts), limits, faults)
    if not 1 <= bits <= COUNT_BITS:
        raise faults[0](f"counts of {bits} bits, expected 1 to {COUNT_BITS}")
    if len(counts) and not (counts.min() >= 0 and counts.max() < 1 << bits):
        raise faults[0](f"a count outside of 0 .. 2^{bits} - 1")


def _check_bits(bits_per_entry: int, faults: Faults) -> None:
    if not 1 <= bits_per_entry <= MAX_BITS_PER_ENTRY:
        raise faults[0](f"{bits_per_entry} bits an entry, expected 1 to {MAX_BITS_PER_ENTRY}")
