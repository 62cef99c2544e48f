"""Halves that are given up: a pair at a repeater that has waited too long for the other one is thrown away.

A repeater holds a half of the pair that came and a half of its next hop's own pair, and swaps when both are there. With
a cut-off (`held.Cutoff`) neither waits for longer than it says:

- The hop's own pair is given up when the one that comes is not there in time. One bit tells the node at the other end,
  and when it knows of it the hop tries again.
- The pair that came is given up when the hop makes none in time. Its lane is dead from then on, and goes on as such:
  further waves make others (`protocols.repeaters`).

A limit in attempts is the time that so many of the hop take for which a half waits, from when the half is there and the
hop tries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import NEVER_PS, Cutoff
from ketwire.errors import ScenarioError

Times = NDArray[np.int64]

MOST_GIVEN_UP = 100_000  # pairs of one lane in one wave


class InTime(NamedTuple):
    """What became of lanes whose pairs had come, int64 or bool, shape (lanes,).

    begin_ps: when the attempts began that made the hop's own pair in the end, or were given up
    herald_ps: when that pair was there; or when its lane was given up
    lost: the lanes that were given up, dead ones whose hop had no pair yet among them
    attempts: of all pairs of the lane, those of pairs that were given up too
    renewed: how many pairs of the lane were given up
    """

    begin_ps: Times
    herald_ps: Times
    lost: NDArray[np.bool_]
    attempts: Times
    renewed: Times


def in_time(
    held_ps: Times,
    dead: NDArray[np.bool_],
    begin_ps: Times,
    limits: Cutoff,
    attempt_ps: int,
    make: Callable[[Times], Times],
    tell: Callable[[Times], Times],
) -> InTime:
    """Pairs of a hop for pairs that came, with cut-offs.

    Args:
        held_ps: int64, shape (lanes,), when the pair that came stands, or is known to be dead: nothing waits for that.
        dead: bool, shape (lanes,), which are.
        begin_ps: int64, shape (lanes,), when the hop can begin to try.
        attempt_ps: of the hop.
        make: how many attempts a pair takes in each of some slots, of which it gets when they begin.
        tell: when the other end knows of what the sender knows from these times on.

    Raises:
        ScenarioError: so many pairs are given up that the run would not end.
    """
    begin_ps, attempts = begin_ps.copy(), make(begin_ps)
    herald_ps, renewed = begin_ps + attempts * attempt_ps, np.zeros_like(begin_ps)
    for _ in range(MOST_GIVEN_UP):
        late = np.flatnonzero(held_ps - herald_ps > limits.own_ps)
        if not len(late):
            break
        begin_ps[late] = tell(herald_ps[late] + limits.own_ps)
        tried = make(begin_ps[late])
        attempts[late] += tried
        herald_ps[late] = begin_ps[late] + tried * attempt_ps
        renewed[late] += 1
    else:
        raise ScenarioError(
            f"links: cutoff_s: a repeater gave up {MOST_GIVEN_UP:,} pairs in a row before another hop had one, "
            "expected a longer cut-off, or hops that are about as fast"
        )
    waits_ps = np.where(dead, 0, min(limits.held_ps, NEVER_PS - int(held_ps.max(initial=0))))
    tries_ps = min(limits.trying_ps, NEVER_PS - int(np.maximum(held_ps, begin_ps).max(initial=0)))
    given_up_ps = np.minimum(held_ps + waits_ps, np.maximum(held_ps, begin_ps) + tries_ps)
    lost = herald_ps > given_up_ps
    unmade = herald_ps[lost] - np.maximum(given_up_ps[lost], begin_ps[lost])
    attempts[lost] -= unmade // attempt_ps  # one that is under way counts
    herald_ps[lost] = given_up_ps[lost]
    return InTime(begin_ps, herald_ps, lost, attempts, renewed)


def chance_in_time(limits: Cutoff, attempt_ps: int, success: float, in_turn: bool, notice_ps: int = 0) -> float:
    """How likely a pair that came is not given up, about: for plans.

    notice_ps: what passes before the hop tries.

    Of a hop that works all the time a pair is there already where it spends its time on keeping one.
    """
    tries = max(0, min(limits.held_ps - notice_ps, limits.trying_ps) // attempt_ps)
    made = -float(np.expm1(tries * np.log1p(-min(success, 1.0 - 1e-12))))
    if in_turn:
        return made
    kept_ps, making_ps = float(limits.own_ps), attempt_ps / success
    return (kept_ps + making_ps * made) / (kept_ps + making_ps)
