"""Pairs between a far node and their holder, and the notice that memories are free again.

A chain of repeaters grows pairs from one end, the *origin*: each fiber that carries a batch of `Pairs`
makes them reach one node further (`channels.entanglement.extension`). Half a of a pair is at the origin, half b at
the party that holds the batch. A batch knows of each pair its state alone, as the six `elements` that decay,
swapping and distillation need; amplitudes of data are never in it. It says when each pair stands at its
holder, up to when its decay is accounted for, and which are dead; and, for the fiber that is to extend
it next, from when on that fiber's memories are free (`Order`). A batch of no pairs yet has only that.

States move: like `Copies`, a batch is used once. Lanes: pair i of a batch is in memory slot i of the two
memories that hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.parts import Gates
from ketwire.channels.timing import CLOCK_END_PS
from ketwire.errors import LocalProtocolError

Times = NDArray[np.int64]
SpanMethod = Literal["bbpssw", "dejmps"]
"""How pairs are distilled on their way."""

NEVER_PS = CLOCK_END_PS - 1


class Held(NamedTuple):
    """Pairs that stand between the origin and their holder.

    elements: float64, shape (count, 6): see `pairs.elements`, half a at the origin
    ready_ps: int64, shape (count,), when the holder knows that the pair stands, or that it is dead
    since_ps: int64, shape (count,), until when `elements` account for the decay of both halves
    lost:     bool, shape (count,), pairs that distillation failed to make
    far_ps:   (T1, T2) of the memory that holds half a; math.inf where it does not decay
    span_ps:  how long a bit takes from the origin to the holder, along the chain, where it need not queue
    far:      what works on half a at the origin
    attempt_ps: of the hop that brought them here, where the holder's halves decay with its attempts; else 0
    """

    elements: NDArray[np.float64]
    ready_ps: Times
    since_ps: Times
    lost: NDArray[np.bool_]
    far_ps: tuple[float, float]
    span_ps: int
    far: Gates = Gates()
    attempt_ps: int = 0


class Cutoff(NamedTuple):
    """How long the halves of one repeater wait for each other; `NEVER_PS` where nothing says.

    held_ps: the half of the pair that came, from when it stands
    trying_ps: the same half, from when it stands and the next hop tries
    own_ps: the half of that hop's own pair, from its herald
    """

    held_ps: int
    trying_ps: int
    own_ps: int


class Order(NamedTuple):
    """What the sender of pairs says to the fiber that is to extend them.

    begin_ps:  int64, shape (count,), when the sender knows that both memories of each lane are free
    on_notice: the node at the other end learns of it only from the sender, by one bit; without, both know
    distill:   distill the extended pairs two by two, lanes 2 i and 2 i + 1, by this protocol
    limits:    how long halves wait for each other at the sender, where that is limited
    """

    begin_ps: Times
    on_notice: bool
    distill: SpanMethod | None = None
    limits: Cutoff | None = None


class Pairs:
    """A batch of pairs, at least one of `held` and `order`. Used once.

    watch: called with the virtual time at which what a program looks at is known; the holder's clock
    """

    __slots__ = ("_count", "_held", "_order", "_taken", "watch")

    def __init__(self, held: Held | None, order: Order | None) -> None:
        counts = {len(part) for part in (held[:4] if held else ())} | ({len(order.begin_ps)} if order else set())
        assert len(counts) == 1
        self._count: int = counts.pop()
        self._held, self._order, self._taken = held, order, False
        self.watch: Callable[[int], object] | None = None

    @classmethod
    def none_yet(cls, begin_ps: Times) -> Self:
        """The begin of a chain at its origin, which says when its memories are free; int64, shape (count,)."""
        return cls(None, Order(begin_ps, on_notice=True))

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        what = "consumed" if self._taken else "standing" if self._held else "not begun"
        return f"<{self._count} pairs, {what}>"

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which pairs stand; bool, shape (count,).

        Looking moves the holder's clock to when that is known of the last of them.
        """
        held = self._standing()
        if self.watch is not None:
            self.watch(int(held.ready_ps.max(initial=0)))
        return ~held.lost

    @property
    def ready_ps(self) -> Times:
        """When the holder knows of each that it stands, or is dead; int64, shape (count,)."""
        return self._standing().ready_ps

    @property
    def held(self) -> Held:
        """What stands, to look at: for transcripts and for checks, which use no pair up."""
        return self._standing()

    @property
    def stands(self) -> bool:
        """Whether there are pairs yet, and not only the order for their first fiber."""
        return self._held is not None

    @property
    def order(self) -> Order | None:
        self._check()
        return self._order

    def onward(
        self, begin_ps: Times, *, in_turn: bool, distill: SpanMethod | None = None, limits: Cutoff | None = None
    ) -> Pairs:
        """The same pairs with an order for the next fiber; consumes these.

        Args:
            begin_ps: int64, shape (count,), from when on the memories of each lane are free.
            in_turn: the next fiber begins only once the pair is here, and its far node is told so.
            distill, limits: see `Order`.
        """
        held, _ = self.take()
        assert held is not None
        begin_ps = np.maximum(begin_ps, held.ready_ps) if in_turn else begin_ps
        return Pairs(held, Order(begin_ps, in_turn, distill, limits))

    def take(self) -> tuple[Held | None, Order | None]:
        """Hand over the parts and leave this batch consumed.

        Raises:
            LocalProtocolError: the batch was consumed before.
        """
        self._check()
        self._taken = True
        return self._held, self._order

    def _standing(self) -> Held:
        self._check()
        if self._held is None:
            raise LocalProtocolError("no pair of this batch stands yet: it only begins a chain")
        return self._held

    def _check(self) -> None:
        if self._taken:
            raise LocalProtocolError(
                f"these {self._count} pairs were sent or used before: a quantum state moves, it cannot be used twice"
            )


@dataclass(frozen=True, eq=False)
class Released:
    """Notices that memories are free again, one control bit each, sent when it is but not before they are handed over.

    free_ps: int64, shape (count,), by lane; on delivery, when the receiver knows
    """

    free_ps: Times

    @property
    def payload_bits(self) -> int:
        return 0

    @property
    def control_bits(self) -> int:
        return len(self.free_ps)
