"""What a program holds beside copies: receipts, choices of copies, and copies kept to be measured together."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, InStep, States
from ketwire.channels.messages import NOTHING_SPENT, Spent
from ketwire.errors import LocalProtocolError
from ketwire.protocols.node import Kept


class Clock(Protocol):
    """The node that holds them. Looking at them moves its clock."""

    def advance(self, time_ps: int) -> None: ...


class HeraldReceipt:
    """The fiber's answer to a send. Looking at it moves the node's clock to the herald."""

    def __init__(
        self,
        node: Clock,
        lost: NDArray[np.bool_],
        herald_ps: int,
        done_ps: NDArray[np.int64] | None = None,
        spent: Spent = NOTHING_SPENT,
    ) -> None:
        self.spent = spent
        self._node, self._lost, self._herald_ps = node, lost, herald_ps
        self._done_ps = done_ps

    @property
    def lost(self) -> NDArray[np.bool_]:
        self._node.advance(self._herald_ps)
        return self._lost

    @property
    def done_ps(self) -> NDArray[np.int64]:
        if self._done_ps is None:
            raise LocalProtocolError("a receipt of something else than pairs says of no memory when it is free")
        return self._done_ps


class FirstLiving:
    """Of each group of a batch the first so many living copies. See `ketwire.protocols.node.Kept`.

    groups: ascending
    chosen: how many of each group, for the machine itself: reading it moves no clock
    """

    def __init__(
        self, node: Clock, copies: Copies, groups: NDArray[np.int64], most: NDArray[np.int64]
    ) -> None:
        living = copies.living
        self._node, self._known_ps = node, copies.last_ps
        self._came = np.bincount(groups[living], minlength=len(most))
        self.chosen = np.minimum(self._came, most)
        before = np.cumsum(self._came) - self._came
        # Of each copy how many living ones of its group come before it: those beyond `most` change nothing.
        rank = np.cumsum(living) - living - before[groups]
        self._decided: NDArray[np.bool_] | None = rank < most[groups]
        self._mask = living & self._decided
        self._rank = rank
        self._decided_ps = self._latest(copies)

    def _latest(self, copies: Copies) -> int:
        if self._decided is None or not self._decided.any():
            return 0
        held = copies.held
        if isinstance(held, InStep):
            return held.first_ps + held.step_ps * int(np.flatnonzero(self._decided)[-1])
        return int(held.ready_ps[self._decided].max())

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Which copies are chosen, bool, shape (copies,), for accounts; reading it moves no clock."""
        return self._mask

    @property
    def taken(self) -> NDArray[np.int64]:
        self._node.advance(self._decided_ps)
        return self.chosen

    @property
    def came(self) -> NDArray[np.int64]:
        self._node.advance(self._known_ps)
        return self._came

    def take(self, copies: Copies) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """Hand over which copies are kept, on which copies that depends, and each copy's rank; bool, bool, int64.

        Raises:
            LocalProtocolError: the choice was used before, or copies have died since it was made.
        """
        decided, self._decided = self._decided, None
        if decided is None:
            raise LocalProtocolError("a choice of copies was used before: it is for one batch")
        mask, rank = self._mask, self._rank
        if len(copies) != len(mask) or (mask & ~copies.living).any():
            raise LocalProtocolError("a choice of copies made for another batch, or before a flag was measured")
        del self._mask, self._rank  # a batch's worth of memory
        return mask, decided, rank


def taken(keep: Kept, copies: Copies) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    assert isinstance(keep, FirstLiving)
    return keep.take(copies)


class Collected:
    """Copies kept for a measurement of many: distinct states, how many of each, of which sample."""

    def __init__(self, states: States, counts: NDArray[np.int64], samples: NDArray[np.int64]) -> None:
        self._parts: tuple[States, NDArray[np.int64], NDArray[np.int64]] | None = (states, counts, samples)
        self._count = int(counts.sum())

    def __len__(self) -> int:
        return self._count

    def take(self) -> tuple[States, NDArray[np.int64], NDArray[np.int64]]:
        """Hand over (states, counts, samples).

        Raises:
            LocalProtocolError: they were measured before.
        """
        parts, self._parts = self._parts, None
        if parts is None:
            raise LocalProtocolError(f"these {self._count} copies were measured before: they cannot be used twice")
        return parts
