"""What bodies of carried messages are checked for, on both sides, and how masks of losses are packed.

Readers trust nothing and raise `RemoteProtocolError`, that is `THEIRS`; writers raise `LocalProtocolError`, `OURS`,
for the same faults.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.wire.arrays import UINT8
from ketwire.channels.wire.frames import Limits
from ketwire.channels.wire.refusals import MalformedHeader, OversizedFrame
from ketwire.errors import LocalProtocolError

TIME_END_PS = 1 << 62
Body = tuple[bytes, list[NDArray[Any]]]

# What a fault is called: ours is a bug, theirs a malformed or an oversized frame.
Faults = tuple[type[Exception], type[Exception]]
OURS: Faults = (LocalProtocolError, LocalProtocolError)
THEIRS: Faults = (MalformedHeader, OversizedFrame)


def check_time(time_ps: int, faults: Faults = OURS) -> None:
    """Raise unless a time is before the clock's end; `faults` says whose error it is."""
    if not 0 <= time_ps < TIME_END_PS:
        raise faults[0](f"time {time_ps} ps is outside of 0 .. 2^62 - 1")


def check_times(times_ps: NDArray[np.int64], faults: Faults) -> None:
    """All of them before the clock's end."""
    if len(times_ps) and not (times_ps.min() >= 0 and times_ps.max() < TIME_END_PS):
        raise faults[0]("a ready time is outside of 0 .. 2^62 - 1 ps")


def check_entries(count: int, limits: Limits, faults: Faults) -> None:
    """No more of them than a classical message holds."""
    if count > limits.max_entries:
        raise faults[1](f"{count} entries, at most {limits.max_entries} are taken")


def expect(array: NDArray[Any], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array, which must be of this type and shape; otherwise it is malformed."""
    if (array.dtype is not dtype and array.dtype != dtype) or array.shape != shape:
        raise MalformedHeader(f"array {array.dtype} {array.shape} where {dtype} {shape} belongs")
    return array


def expect_arrays(arrays: list[NDArray[Any]], count: int) -> None:
    """As many arrays as the body says."""
    if len(arrays) != count:
        raise MalformedHeader(f"{len(arrays)} arrays where {count} belong")


def check_sizes(count: int, rows: int, qubits: int, limits: Limits, faults: Faults) -> None:
    """Copies and states that a message may have, and a state where there is a copy."""
    if qubits > limits.max_qubits or rows > limits.max_rows or count > limits.max_copies:
        raise faults[1](
            f"{count} copies of {rows} states of {qubits} qubits, at most {limits.max_copies}, "
            f"{limits.max_rows} and {limits.max_qubits} are taken"
        )
    if count and not rows:
        raise faults[0](f"{count} copies of no state")


def pack_lost(lost: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A bit a copy, the first the least of its octet."""
    return np.packbits(lost, bitorder="little")


def unpack_lost(mask: NDArray[Any], count: int) -> NDArray[np.bool_]:
    """What `pack_lost` packed: bool, shape (count,), with one loss or more."""
    expect(mask, UINT8, ((count + 7) // 8,))
    if not np.count_nonzero(mask):
        raise MalformedHeader("a mask of losses without a loss")
    if count % 8 and mask[-1] >> (count % 8):
        raise MalformedHeader("a mask of losses with a bit beyond its copies")
    return np.unpackbits(mask, count=count, bitorder="little").view(np.bool_)
