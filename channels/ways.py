"""What machines tell of the times that pairs took: for accounts of time, which read it after the run.

A machine that makes pairs knows in which slot each was made, for how long, and when it was used. It hands the arrays
over that it has worked out anyway. All are int64, one entry a pair.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]


class Paired(NamedTuple):
    """The pairs of a batch of registers, qubit by qubit of copy by copy.

    wanted_ps: when each qubit could use its pair
    making_ps: how long its slot worked for the pair; attempts_ps: attempts alone, the rest is distillation
    release_ps: when it used it, as its Bell measurement began
    outcome_ps: when that was over: its outcome was known, and its slot free
    left_ps: when the outcome had left the sender
    slots: pair i was made in slot i mod slots, counted on from batch to batch; 0: pairs of a stock, made before
    """

    wanted_ps: Times
    making_ps: Times
    attempts_ps: Times
    release_ps: Times
    outcome_ps: Times
    left_ps: Times
    slots: int


class Grown(NamedTuple):
    """The pairs of a batch that a fiber extends, lane by lane.

    wanted_ps: when the sender knew that both memories were free, or all that began it was there
    noticed_ps: when the notice of that had left, where the far node needs one; else None
    first_ps: when attempts began
    begin_ps: when those began that made the fiber's own pair in the end; later where pairs were given up before
    attempts_ps: of that pair, its attempts alone, the rest is distillation
    held_ps: when the pair that came stood at the sender; None at the begin of a chain
    met_ps: when it and the fiber's own pair were there, so that the swap began; or when it was given up
    given_up: bool, which were
    done_ps: when the swap was over, and the sender's memories free again
    left_ps: when the outcome of the swap had left, of so many `bits`; None at the begin of a chain
    ready_ps: when the receiver knew that the pair stands, before any distillation of what has grown
    distilled: lanes 2 i and 2 i + 1 were then distilled, which leaves lane i
    """

    wanted_ps: Times
    noticed_ps: Times | None
    first_ps: Times
    begin_ps: Times
    attempts_ps: Times
    held_ps: Times | None
    met_ps: Times
    given_up: NDArray[np.bool_]
    done_ps: Times
    left_ps: Times | None
    bits: Times
    ready_ps: Times
    distilled: bool


Way = Paired | Grown
