"""Packed bodies of COPIES, and of what answers a carried message: RECEIPT.

PACKED, ANSWERS and ARRIVALS are in `carried_classical`, PAIRS and RELEASED in `carried_pairs`.

A writer gives a body and its arrays, a reader takes both back (docs/wire.md, section 4.1). Readers
trust nothing and raise `RemoteProtocolError`; writers raise `LocalProtocolError` for the same faults
(`carried_checks`).
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, InStep, Parts
from ketwire.channels.messages import Spent
from ketwire.channels.wire.arrays import BOOL, COMPLEX128, COPY_BELOW_OCTETS, INT64, UINT32, Octets
from ketwire.channels.wire.carried_checks import (
    OURS,
    THEIRS,
    TIME_END_PS,
    Body,
    Faults,
    check_sizes,
    check_time,
    check_times,
    expect,
    expect_arrays,
    pack_lost,
    unpack_lost,
)
from ketwire.channels.wire.frames import Carry, Limits, Receipt
from ketwire.channels.wire.refusals import MalformedHeader
from ketwire.errors import LocalProtocolError

COST_END = 1 << 62  # sums of a few are within 64 bits
COPIES = Struct("<IIBBHqqq")
_QUIET = Struct("<IIBBHqqqBBQQ")  # COPIES with the description of its states
QUIET_OCTETS = 36 + _QUIET.size  # what such a message has beside its states
RECEIPT = Struct("<QqIBQQQQ")

_ndarray = np.ndarray
_arange: Any = np.arange  # by position, which its stubs do not know: keywords take longer

_READY, _LOST, _FRESH, _MIXED = 1, 2, 4, 8  # form bits of COPIES; _LOST of RECEIPT too
_DONE = 1  # form bit of RECEIPT


# --- COPIES, the common case -----------------------------------------------------------------------
# One row, none lost, times in step, no digest: most messages, and the ones whose cost is felt. Both
# functions return None for what they do not know to be whole and in bounds; the general case below
# then takes it, or says what is wrong with it. A process that was just woken runs with cold caches,
# where each call into numpy costs some microseconds, so there are few of them, and none twice.


def write_quiet(batch: Parts | InStep, fresh: bool, time_ps: int, limits: Limits) -> tuple[bytes, bytes] | None:
    """Header and states frame of small quiet copies."""
    if isinstance(batch, Parts):
        told = _in_step(batch)
        if told is None:
            return None
        batch = told
    states, count, first_ps, step_ps = batch
    if states.ndim != 2:
        return None
    rows, extent = states.shape
    size = 16 * extent
    if (
        rows != 1
        or not 2 <= count <= limits.max_copies
        or not 0 <= time_ps < TIME_END_PS
        or not 0 <= first_ps < TIME_END_PS
        or not 0 <= first_ps + step_ps * (count - 1) < TIME_END_PS
        or extent > 1 << limits.max_qubits
        or states.dtype is not COMPLEX128
        or size >= COPY_BELOW_OCTETS
        or size + QUIET_OCTETS > limits.small_octets
    ):
        return None
    qubits = extent.bit_length() - 1
    form = _FRESH if fresh else 0
    return _QUIET.pack(count, 1, qubits, form, 0, time_ps, first_ps, step_ps, 7, 2, 1, extent), states.tobytes()


def _in_step(parts: Parts) -> InStep | None:
    """The numbers that say the same as these arrays, if any do."""
    states, row, ready_ps, lost = parts
    count = len(row)
    # To look for an octet takes a third of the time of a reduction.
    if len(states) != 1 or count < 2 or ready_ps.dtype is not INT64 or b"\1" in lost.tobytes():
        return None
    first_ps, last_ps = ready_ps.item(0), ready_ps.item(-1)
    step_ps = (last_ps - first_ps) // (count - 1)
    if not (0 <= first_ps < TIME_END_PS and 0 <= last_ps < TIME_END_PS):
        return None
    same = _ramp(count, first_ps, step_ps).tobytes() == ready_ps.tobytes()
    return InStep(states, count, first_ps, step_ps) if same else None


def read_quiet(header: bytes, frame: Octets, limits: Limits) -> Carry | None:
    """Small quiet copies from header and states frame."""
    if type(frame) is not bytes or len(header) != _QUIET.size:
        return None
    count, rows, qubits, form, zero, time_ps, first_ps, step_ps, code, dims, one, extent = _QUIET.unpack(
        header
    )
    if (
        rows != 1
        or form & ~_FRESH
        or zero
        or qubits > limits.max_qubits
        or extent != 1 << qubits
        or len(frame) != extent * 16
        or len(frame) + QUIET_OCTETS > limits.small_octets
        or code != 7
        or dims != 2
        or one != 1
        or not 2 <= count <= limits.max_copies
        or not 0 <= time_ps < TIME_END_PS
        or not 0 <= first_ps < TIME_END_PS
        or not 0 <= first_ps + step_ps * (count - 1) < TIME_END_PS
    ):
        return None
    states: NDArray[np.complex128] = _ndarray((1, extent), COMPLEX128, frame)
    return Carry(Copies.in_step(states, count, first_ps, step_ps, form > 0), time_ps, None)


# --- COPIES ----------------------------------------------------------------------------------------


def write_copies(carry: Carry, limits: Limits) -> Body:
    """Consumes the copies."""
    copies = carry.message
    assert isinstance(copies, Copies)
    states, row, ready_ps, lost = copies.take()
    count, rows, qubits = len(row), len(states), copies.qubits
    check_sizes(count, rows, qubits, limits, OURS)
    if copies.mixed:
        _check_mixed(qubits, limits, OURS)
    check_time(carry.time_ps)
    if states.dtype != COMPLEX128 or ready_ps.dtype != INT64:
        raise LocalProtocolError(f"states of {states.dtype} or times of {ready_ps.dtype} do not travel")
    arrays: list[NDArray[Any]] = [states]
    form = (_FRESH if copies.fresh else 0) | (_MIXED if copies.mixed else 0)
    first_ps = step_ps = 0
    if rows > 1:
        _check_rows(row, rows, OURS)
        arrays.append(row.astype(UINT32))
    progression = _progression(ready_ps)
    if progression is None:
        check_times(ready_ps, OURS)
        form |= _READY
        arrays.append(ready_ps)
    else:
        first_ps, step_ps = progression
        _check_progression(count, first_ps, step_ps, OURS)
    if np.count_nonzero(lost):
        form |= _LOST
        arrays.append(pack_lost(lost))
    return COPIES.pack(count, rows, qubits, form, 0, carry.time_ps, first_ps, step_ps), arrays


def read_copies(
    body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits
) -> Carry:
    """The states are a read-only view of their frame; the other arrays are fresh."""
    count, rows, qubits, form, zero, time_ps, first_ps, step_ps = COPIES.unpack_from(body)
    if form & ~(_READY | _LOST | _FRESH | _MIXED) or zero:
        raise MalformedHeader("COPIES with unknown form bits, or padding that is not zero")
    check_sizes(count, rows, qubits, limits, THEIRS)
    if form & _MIXED:
        _check_mixed(qubits, limits, THEIRS)
    check_time(time_ps, THEIRS)
    expect_arrays(arrays, 1 + (rows > 1) + bool(form & _READY) + bool(form & _LOST))
    states = expect(arrays[0], COMPLEX128, (rows, *[1 << qubits] * (2 if form & _MIXED else 1)))
    left = iter(arrays[1:])
    if rows > 1:
        indices = expect(next(left), UINT32, (count,))
        _check_rows(indices, rows, THEIRS)
        row = indices.astype(np.int64)
    else:
        row = np.zeros(count, INT64)
    if form & _READY:
        if first_ps or step_ps:
            raise MalformedHeader("COPIES with ready times in two forms")
        ready_ps = expect(next(left), INT64, (count,)).astype(np.int64)
        check_times(ready_ps, THEIRS)
    else:
        _check_progression(count, first_ps, step_ps, THEIRS)
        ready_ps = _ramp(count, first_ps, step_ps)
    lost = unpack_lost(next(left), count) if form & _LOST else np.zeros(count, BOOL)
    return Carry(Copies(states, row, ready_ps, lost, bool(form & _FRESH)), time_ps, digests[0])


def _check_mixed(qubits: int, limits: Limits, faults: Faults) -> None:
    if qubits > limits.max_mixed_qubits:
        raise faults[1](f"mixed states of {qubits} qubits, at most {limits.max_mixed_qubits} are taken")


def _check_rows(row: NDArray[Any], rows: int, faults: Faults) -> None:
    if len(row) and not (row.min() >= 0 and row.max() < rows):
        raise faults[0](f"a copy is in none of the {rows} states")


def _progression(ready_ps: NDArray[np.int64]) -> tuple[int, int] | None:
    """(first, step) if the times are first, first + step, ..., else None. Hot: integers, no reductions."""
    count = len(ready_ps)
    if count < 2:
        return (ready_ps.item(0) if count else 0), 0
    first, last = ready_ps.item(0), ready_ps.item(-1)
    step = ready_ps.item(1) - first
    if last != first + step * (count - 1) or not (0 <= first < TIME_END_PS and 0 <= last < TIME_END_PS):
        return None
    return (first, step) if _ramp(count, first, step).tobytes() == ready_ps.tobytes() else None


def _ramp(count: int, first_ps: int, step_ps: int) -> NDArray[np.int64]:
    """All times and the first beyond them fit 64 bits: both ends are below 2^62 (`_check_progression`)."""
    if step_ps:
        ramp: NDArray[np.int64] = _arange(first_ps, first_ps + count * step_ps, step_ps, INT64)
        return ramp
    return np.full(count, first_ps, np.int64)


def _check_progression(count: int, first_ps: int, step_ps: int, faults: Faults) -> None:
    last_ps = first_ps + step_ps * (count - 1) if count else first_ps
    if not (0 <= first_ps < TIME_END_PS and 0 <= last_ps < TIME_END_PS):
        raise faults[0]("a ready time is outside of 0 .. 2^62 - 1 ps")
    if count < 2 and (step_ps or (first_ps and not count)):
        raise faults[0]("a step between ready times that do not exist")


# --- RECEIPT ---------------------------------------------------------------------------------------


def write_receipt(receipt: Receipt, limits: Limits) -> Body:
    check_time(receipt.herald_ps)
    _check_spent(receipt.spent, OURS)
    count = len(receipt.lost)
    check_sizes(count, 1, 0, limits, OURS)
    died = np.count_nonzero(receipt.lost) > 0
    arrays: list[NDArray[Any]] = [pack_lost(receipt.lost)] if died else []
    form = _LOST if died else 0
    if receipt.done_ps is not None:
        count, form = len(receipt.done_ps), _DONE
        if died:
            raise LocalProtocolError("a receipt of pairs that tells of lost copies")
        check_sizes(count, 1, 0, limits, OURS)
        check_times(receipt.done_ps, OURS)
        arrays = [receipt.done_ps]
    return RECEIPT.pack(receipt.of_sequence, receipt.herald_ps, count, form, *receipt.spent), arrays


def read_receipt(
    body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits
) -> Receipt:
    of_sequence, herald_ps, count, form, *costs = RECEIPT.unpack_from(body)
    spent = Spent(*costs)
    if form not in (0, _DONE, _LOST):
        raise MalformedHeader("RECEIPT with unknown form bits, or of copies and pairs at once")
    check_time(herald_ps, THEIRS)
    _check_spent(spent, THEIRS)
    check_sizes(count, 1, 0, limits, THEIRS)
    expect_arrays(arrays, 1 if form else 0)
    if form == _DONE:
        done_ps = expect(arrays[0], INT64, (count,))
        check_times(done_ps, THEIRS)
        return Receipt(of_sequence, herald_ps, np.zeros(0, np.bool_), done_ps, spent)
    lost = unpack_lost(arrays[0], count) if form else np.zeros(count, np.bool_)
    return Receipt(of_sequence, herald_ps, lost, None, spent)


def _check_spent(spent: Spent, faults: Faults) -> None:
    if not (min(spent) >= 0 and max(spent) < COST_END):
        raise faults[0](f"costs {tuple(spent)} of a message, expected each from 0 to 2^62 - 1")
