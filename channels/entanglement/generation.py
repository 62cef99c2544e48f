"""Pairs in time: when each pair is there that a scheme makes in the memory slots of a link.

A slot makes one pair after another, and holds each until what will consume it is ready. All of a batch is solved at
once, by a cumulative maximum. What one attempt is, and how long it takes, is in `channels.entanglement.heralding`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.heralding import Scheme, mean_ps
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S
from ketwire.errors import ScenarioError
from ketwire.quantum.grid import significant_one

Times = NDArray[np.int64]


class Generated(NamedTuple):
    """Pairs that were made, in the order of the requests.

    herald_ps:  int64, shape (k,), when each is there
    release_ps: int64, shape (k,), when each is consumed and its slot free again
    attempts:   int64, shape (k,), how many each took
    free_ps:    int64, shape (slots,), when each slot is free in the end
    """

    herald_ps: Times
    release_ps: Times
    attempts: Times
    free_ps: Times


def generate(
    ready_ps: Times, scheme: Scheme, slots: int, free_ps: Times, rng: np.random.Generator, use_ps: int = 0
) -> Generated:
    """Make k pairs. Pair i uses memory slot i mod slots, one pair after another in each slot.

    A slot begins to try when its pair before is used up, `use_ps` after it was released, and a pair is released once
    it is heralded and what will consume it is ready. Slots try independently: an emitter that they share is not
    modelled. Attempts are drawn at once, from their geometric law.

    Args:
        ready_ps: int64, shape (k,), when each pair is wanted; not negative.
        scheme: how pairs are made.
        slots: how many memories work side by side.
        free_ps: int64, shape (slots,), when each slot may begin; not negative.
        use_ps: how long a pair keeps its slot from its release on.

    Raises:
        ScenarioError: the pairs would, or could well, take beyond the end of the clock.
    """
    p = scheme.success_probability
    check_clock(latest(ready_ps, free_ps), len(ready_ps), slots, mean_ps(scheme) + use_ps)
    attempts: Times = rng.geometric(significant_one(p), size=len(ready_ps))
    making_ps = attempts * scheme.attempt_ps + scheme.lag_ps
    herald_ps, release_ps, free_after_ps = serve_slots(ready_ps, making_ps, slots, free_ps, use_ps)
    return Generated(herald_ps, release_ps, attempts, free_after_ps)


def serve_slots(
    ready_ps: Times, making_ps: Times, slots: int, free_ps: Times, use_ps: int = 0
) -> tuple[Times, Times, Times]:
    """Slots that each make one pair after another and hold it until it is wanted.

    release_i = max(release_{i-slots} + making_i, ready_i). With the cumulative making times C of a
    slot it unrolls to release = C + max(free, max_{j<=i}(ready_j - C_j)): a cumulative maximum.
    Where a pair keeps its slot for `use_ps` after its release, the same holds of when it is used up, with all pairs
    made and wanted so much later.

    Args:
        ready_ps, making_ps: int64, shape (k,); pair i belongs to slot i mod slots.
        free_ps: int64, shape (slots,).

    Returns:
        When each pair is made and when it is released, int64 (k,), and when each slot is free, (slots,).
    """
    assert slots > 0 and len(free_ps) == slots
    if use_ps:
        made_ps, used_ps, free_after_ps = serve_slots(ready_ps + use_ps, making_ps + use_ps, slots, free_ps)
        return made_ps - use_ps, used_ps - use_ps, free_after_ps
    count = len(ready_ps)
    if count <= slots:  # a pair a slot, or none
        herald_ps = free_ps[:count] + making_ps
        release_ps = np.maximum(herald_ps, ready_ps)
        free_after_ps = free_ps.copy()
        free_after_ps[:count] = release_ps
        return herald_ps, release_ps, free_after_ps
    # One row a slot. Pairs that fill the last round up take no time and are wanted at 0, long ago.
    made = np.cumsum(_by_slot(making_ps, slots), axis=1)
    latest = _by_slot(ready_ps, slots) - made
    # Column j holds the state before pair j; the last one that after all.
    latest = np.concatenate([free_ps[:, None], latest], axis=1)
    np.maximum.accumulate(latest, axis=1, out=latest)
    herald_ps = (latest[:, :-1] + made).T.reshape(-1)[:count]
    release_ps = (latest[:, 1:] + made).T.reshape(-1)[:count]
    return herald_ps, release_ps, latest[:, -1] + made[:, -1]


def _by_slot(times_ps: Times, slots: int) -> Times:
    """(k,) in order of the requests -> (slots, rounds), zeros where the last round is not full."""
    rounds = -(-len(times_ps) // slots)
    padded = np.zeros(rounds * slots, dtype=np.int64)
    padded[: len(times_ps)] = times_ps
    return np.ascontiguousarray(padded.reshape(rounds, slots).T)


def latest(ready_ps: Times, free_ps: Times) -> int:
    """When the last pair is wanted and all slots are free: of requests that may be none, and slots."""
    return max(int(ready_ps.max(initial=0)), int(free_ps.max()))


def check_clock(latest_ps: int, count: int, slots: int, mean_ps: float) -> None:
    """Refuse pairs that could take beyond the clock, before any integer wraps.

    Args:
        latest_ps: see `latest`.
        count: how many pairs.
        mean_ps: expected time to make one pair.

    Raises:
        ScenarioError: the busiest slot's expected time, with a margin that chance passes less than
            once in 1e18 runs (times to a pair are nearly exponential), ends after 2^62 ps.
    """
    assert latest_ps >= 0
    rounds = -(-count // slots)
    margin = 10.0 * math.sqrt(rounds) + 45.0 if rounds else 0.0
    if latest_ps + (rounds + margin) * mean_ps >= CLOCK_END_PS:
        raise ScenarioError(
            f"{count} pairs in {slots} memory slot(s) take about {rounds * mean_ps / PS_PER_S:.1e} s "
            f"of virtual time, {mean_ps / PS_PER_S:.1e} s each; they could end beyond the clock's 2^62 ps "
            "(53 days), expected more slots, a shorter fiber, or fewer pairs"
        )
