"""Packed bodies of PAIRS and RELEASED (docs/wire.md, section 4.1). See `carried_checks` for who raises what."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import Cutoff, Held, Order, Pairs, Released
from ketwire.channels.parts import Gates
from ketwire.channels.wire.arrays import INT64
from ketwire.channels.wire.carried_checks import (
    OURS,
    THEIRS,
    Body,
    Faults,
    check_entries,
    check_time,
    check_times,
    expect,
    expect_arrays,
    pack_lost,
    unpack_lost,
)
from ketwire.channels.wire.frames import Carry, Limits
from ketwire.channels.wire.refusals import BadStates, MalformedHeader
from ketwire.errors import LocalProtocolError

PAIRS = Struct("<qIBBHqdd")
RELEASED = Struct("<qI")

_HELD, _LOST, _ORDER, _NOTICE, _GATES, _LIMITS = 1, 2, 4, 8, 16, 32  # form bits of PAIRS
_PROTOCOLS: tuple[Any, ...] = (None, "bbpssw", "dejmps")
_FLOAT64 = np.dtype("<f8")
_TOLERANCE = 1e-6  # of the trace and positivity of a pair


def write_pairs(carry: Carry, limits: Limits) -> Body:
    """Consumes the pairs."""
    pairs = carry.message
    assert isinstance(pairs, Pairs)
    count = len(pairs)
    _check_count(count, limits, OURS)
    check_time(carry.time_ps)
    held, order = pairs.take()
    arrays: list[NDArray[Any]] = []
    form = protocol = span_ps = 0
    far_ps = (0.0, 0.0)
    if held is not None:
        form |= _HELD
        far_ps, span_ps = held.far_ps, held.span_ps
        _check_held(held, OURS)
        arrays += [held.elements, held.ready_ps, held.since_ps]
        if held.lost.any():
            form |= _LOST
            arrays.append(pack_lost(held.lost))
        if held.attempt_ps or not held.far.are_perfect:
            form |= _GATES
            arrays += _pack_gates(held.far, held.attempt_ps)
    if order is not None:
        form |= _ORDER | (_NOTICE if order.on_notice else 0)
        protocol = _PROTOCOLS.index(order.distill)
        check_times(order.begin_ps, OURS)
        arrays.append(order.begin_ps)
        if order.limits is not None:
            form |= _LIMITS
            arrays.append(np.array(order.limits, dtype=np.int64))
    return PAIRS.pack(carry.time_ps, count, form, protocol, 0, span_ps, *far_ps), arrays


def read_pairs(body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits) -> Carry:
    """Pairs, their states a read-only view of their frame."""
    time_ps, count, form, protocol, zero, span_ps, far_t1, far_t2 = PAIRS.unpack_from(body)
    check_time(time_ps, THEIRS)
    _check_count(count, limits, THEIRS)
    if zero or form & ~(_HELD | _LOST | _ORDER | _NOTICE | _GATES | _LIMITS) or not form & (_HELD | _ORDER):
        raise MalformedHeader("PAIRS with unknown form bits, with nothing in it, or padding that is not zero")
    if (form & (_LOST | _GATES) and not form & _HELD) or (form & _NOTICE and not form & _ORDER):
        raise MalformedHeader("PAIRS with dead pairs or far gates where none stand, or a notice without an order")
    if form & _LIMITS and form & (_HELD | _ORDER) != _HELD | _ORDER:
        raise MalformedHeader("PAIRS with a cut-off where nothing stands, or without an order")
    if protocol >= len(_PROTOCOLS) or (protocol and form & (_HELD | _ORDER) != _HELD | _ORDER):
        raise MalformedHeader(f"PAIRS to be distilled by {protocol}, where nothing is, or by an unknown protocol")
    counts = {_HELD: 3, _LOST: 1, _GATES: 2, _ORDER: 1, _LIMITS: 1}
    expect_arrays(arrays, sum(count for bit, count in counts.items() if form & bit))
    left = iter(arrays)
    held = order = None
    if form & _HELD:
        six = expect(next(left), _FLOAT64, (count, 6))
        ready_ps, since_ps = (expect(next(left), INT64, (count,)).astype(np.int64) for _ in range(2))
        lost = unpack_lost(next(left), count) if form & _LOST else np.zeros(count, np.bool_)
        far, attempt_ps = _unpack_gates(next(left), next(left)) if form & _GATES else (Gates(), 0)
        held = Held(six, ready_ps, since_ps, lost, (far_t1, far_t2), span_ps, far, attempt_ps)
        _check_held(held, THEIRS)
    elif span_ps or far_t1 or far_t2:
        raise MalformedHeader("PAIRS that do not stand, with a far memory or a span")
    if form & _ORDER:
        begin_ps = expect(next(left), INT64, (count,)).astype(np.int64)
        check_times(begin_ps, THEIRS)
        order_limits = None
        if form & _LIMITS:
            waits_ps = expect(next(left), INT64, (3,))
            check_times(waits_ps, THEIRS)
            order_limits = Cutoff(*waits_ps.tolist())
        order = Order(begin_ps, bool(form & _NOTICE), _PROTOCOLS[protocol], order_limits)
    return Carry(Pairs(held, order), time_ps)


def _pack_gates(gates: Gates, attempt_ps: int) -> list[NDArray[Any]]:
    """Their durations and that of an attempt, and their errors."""
    times_ps = [gates.gate1_ps, gates.gate2_ps, gates.readout_ps, attempt_ps]
    return [np.array(times_ps, dtype=np.int64), np.array([gates.p_gate1, gates.p_gate2, *gates.p_readout])]


def _unpack_gates(times_ps: NDArray[Any], errors: NDArray[Any]) -> tuple[Gates, int]:
    times_ps, errors = expect(times_ps, INT64, (4,)), expect(errors, _FLOAT64, (4,))
    check_times(times_ps, THEIRS)
    if not ((errors >= 0.0) & (errors <= 1.0)).all():
        raise THEIRS[0]("gates with errors that are no probabilities, expected numbers from 0 to 1")
    (gate1_ps, gate2_ps, readout_ps, attempt_ps), (p_gate1, p_gate2, p01, p10) = times_ps.tolist(), errors.tolist()
    return Gates(gate1_ps, gate2_ps, readout_ps, p_gate1, p_gate2, (p01, p10)), attempt_ps


def write_released(carry: Carry, limits: Limits) -> Body:
    """Notices of free memories."""
    released = carry.message
    assert isinstance(released, Released)
    check_time(carry.time_ps)
    _check_count(len(released.free_ps), limits, OURS)
    check_times(released.free_ps, OURS)
    return RELEASED.pack(carry.time_ps, len(released.free_ps)), [released.free_ps.astype(INT64, copy=False)]


def read_released(body: bytes, arrays: list[NDArray[Any]], digests: list[bytes | None], limits: Limits) -> Carry:
    """Notices of free memories, in an array of their own."""
    time_ps, count = RELEASED.unpack_from(body)
    check_time(time_ps, THEIRS)
    _check_count(count, limits, THEIRS)
    expect_arrays(arrays, 1)
    free_ps = expect(arrays[0], INT64, (count,)).astype(np.int64)
    check_times(free_ps, THEIRS)
    return Carry(Released(free_ps), time_ps)


def _check_count(count: int, limits: Limits, faults: Faults) -> None:
    check_entries(count, limits, faults)
    if count > limits.max_copies:
        raise faults[1](f"{count} pairs, at most {limits.max_copies} are taken")


def _check_held(held: Held, faults: Faults) -> None:
    """Times of this clock, a memory that can be, and, except for dead pairs, states."""
    check_times(held.ready_ps, faults)
    check_times(held.since_ps, faults)
    check_time(held.span_ps, faults)
    if (held.since_ps > held.ready_ps).any():
        raise faults[0]("a pair whose decay is accounted for beyond the time when it stands")
    t1, t2 = held.far_ps
    # Infinite where a memory holds forever.
    if not (t1 > 0.0 and 0.0 < t2 <= 2.0 * t1):
        raise faults[0](f"a memory with T1 = {t1} ps and T2 = {t2} ps, expected T2 above 0 and at most 2 T1")
    bad = np.flatnonzero(~(_are_states(held.elements) | held.lost))
    if len(bad) or not np.isfinite(held.elements).all():
        raise (LocalProtocolError if faults is OURS else BadStates)(f"{len(bad)} pairs are in no state")


def _are_states(six: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Trace one and no negative eigenvalue, as far as the six elements tell; bool, shape (count,)."""
    with np.errstate(all="ignore"):
        p00, p01, p10, p11, phi, psi = six.T
        whole = np.abs(p00 + p01 + p10 + p11 - 1.0) <= _TOLERANCE
        positive = (six[:, :4] >= -_TOLERANCE).all(axis=1)
        coherent = (phi**2 <= p00 * p11 + _TOLERANCE) & (psi**2 <= p01 * p10 + _TOLERANCE)
    return np.asarray(whole & positive & coherent)


