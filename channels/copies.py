"""Copies: the unit on the wire.

K copies of a register are an array of *distinct* states plus, per copy, the row of its state, the
time at which it is ready, and whether it was lost. Copies that met the same errors share a row, so
ten thousand copies over a quiet link are one row. Which row a copy has is its syndrome: programs
never see it.

Fresh copies are those that their maker has not sent yet. It prepares each just in time: `ready_ps` is
then the earliest time at which it could be whole, and waiting for its turn costs it nothing.

States move, they are never copied: code that sends, transforms or measures a batch takes it with
`take`, and a batch that was taken raises when it is used again (no-cloning, held at run time).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import LocalProtocolError

States = NDArray[np.complex128]

MAX_QUBITS = 26  # one row of 26 qubits is a gibibyte; more does not fit a message
MAX_MIXED_QUBITS = 8  # a density matrix of eight qubits is a mebibyte
MAX_COPIES = 1 << 22  # of one message


class Parts(NamedTuple):
    """What `Copies.take` hands over.

    states:   complex128, shape (rows, 2**qubits), each row a unit vector; or, of mixed copies, shape
              (rows, 2**qubits, 2**qubits), each row a density matrix
    row:      int64, shape (count,), which state each copy is in
    ready_ps: int64, shape (count,), when each copy is whole at its holder
    lost:     bool, shape (count,), copies that died on the way; their ready time is that of the
              empty time bin in which the loss was heralded
    """

    states: States
    row: NDArray[np.int64]
    ready_ps: NDArray[np.int64]
    lost: NDArray[np.bool_]


class InStep(NamedTuple):
    """The plainest batch, told by its numbers: one state, none lost, one copy ready after the other.

    Most batches of a quiet network are such. To pass one on needs no arrays of it.

    states: complex128, shape (1, 2**qubits), or of one mixed state; the times are first_ps, first_ps + step_ps, ...
    """

    states: States
    copies: int
    first_ps: int
    step_ps: int

    def parts(self) -> Parts:
        """The same as arrays."""
        states, count, first_ps, step_ps = self
        # The first time beyond them fits 64 bits too: both ends are below 2^62.
        ready_ps = _arange(first_ps, first_ps + count * step_ps, step_ps, _INT64) if step_ps else None
        ready_ps = np.full(count, first_ps, _INT64) if ready_ps is None else ready_ps
        return Parts(states, np.zeros(count, _INT64), ready_ps, np.zeros(count, np.bool_))


_arange: Any = np.arange  # by position, which its stubs do not know: keywords take longer
_INT64 = np.dtype(np.int64)


class Copies:
    """A batch of copies of one register, in emission order. Used once.

    It holds arrays, or numbers where they say the same (`InStep`); code that takes arrays gets the same ones.

    Its states are pure, or all of them mixed: then the errors that copies met are averaged in a density
    matrix and not drawn copy by copy.

    fresh: they have not crossed a link since they were prepared
    owed: what their holder still has to do with them before anybody takes them
    watch: called with the virtual time at which what a program looks at is known; the holder's clock
    born_ps: int64, shape (count,), when each was prepared; None where nobody accounts for it
    """

    __slots__ = ("_count", "_held", "_mixed", "_qubits", "born_ps", "fresh", "owed", "watch")

    def __init__(
        self,
        states: States,
        row: NDArray[np.int64],
        ready_ps: NDArray[np.int64],
        lost: NDArray[np.bool_],
        fresh: bool = False,
    ) -> None:
        # Every message makes a batch or two: own invariants are checked with as few calls as will do.
        _, size, *columns = states.shape
        qubits: int = size.bit_length() - 1
        count = len(row)
        assert size == 1 << qubits and len(ready_ps) == len(lost) == count
        assert not columns or (columns == [size] and qubits <= MAX_MIXED_QUBITS)
        self._held: Parts | InStep | None = Parts(states, row, ready_ps, lost)
        self._count = count
        self._qubits = qubits
        self._mixed = bool(columns)
        self.fresh = fresh
        self.owed: Callable[[], object] | None = None
        self.watch: Callable[[int], object] | None = None
        self.born_ps: NDArray[np.int64] | None = None

    @classmethod
    def in_step(
        cls, states: States, count: int, first_ps: int, step_ps: int = 0, fresh: bool = False
    ) -> Copies:
        """`count` copies of one state, none lost, ready at first_ps, first_ps + step_ps, ..."""
        copies = cls.__new__(cls)
        copies._held = InStep(states, count, first_ps, step_ps)
        copies._count = count
        copies._qubits = states.shape[1].bit_length() - 1
        copies._mixed = states.ndim == 3
        copies.fresh = fresh
        copies.owed = None
        copies.watch = None
        copies.born_ps = None
        return copies

    @classmethod
    def of(cls, held: Parts | InStep, fresh: bool = False) -> Copies:
        """What `take_as_held` handed over, or something like it, as a batch again."""
        return cls.in_step(*held, fresh) if isinstance(held, InStep) else cls(*held, fresh)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        state = "consumed" if self._held is None else f"{len(self._held.states)} rows"
        state += " of mixed states" if self._mixed and self._held is not None else ""
        return f"<{self._count} copies of {self._qubits} qubits, {state}>"

    @property
    def qubits(self) -> int:
        """Qubits in one copy."""
        return self._qubits

    @property
    def mixed(self) -> bool:
        """Whether the states are density matrices."""
        return self._mixed

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which copies have arrived; bool, shape (count,).

        Looking moves the holder's clock to when the last copy has arrived, or its empty time bin has passed.
        """
        if self.watch is not None:
            self.watch(self.last_ps)
        return self.living

    @property
    def living(self) -> NDArray[np.bool_]:
        """The same for accounts and for the machine that holds them; programs may not decide by it."""
        held = self.held
        return np.ones(self._count, np.bool_) if isinstance(held, InStep) else ~held.lost

    @property
    def living_count(self) -> int:
        """How many have arrived: as `living`, for accounts."""
        held = self.held
        return self._count if isinstance(held, InStep) else self._count - int(np.count_nonzero(held.lost))

    @property
    def last_ps(self) -> int:
        """When it is known of all copies whether they arrived; 0 where there are none."""
        held = self.held
        if isinstance(held, InStep):
            return held.first_ps + held.step_ps * max(held.copies - 1, 0)
        return int(held.ready_ps.max(initial=0))

    @property
    def held(self) -> Parts | InStep:
        """What it holds, to be read only. To pass it on or to change it, take it."""
        held = self._held
        if held is None:
            raise LocalProtocolError(
                f"these {self._count} copies of {self._qubits} qubits were sent, transformed or measured "
                "before: a quantum state moves, it cannot be used twice"
            )
        return held

    def take(self) -> Parts:
        """Hand over the arrays and leave this batch consumed.

        Raises:
            LocalProtocolError: the batch was consumed before.
        """
        held = self.take_as_held()
        return held.parts() if isinstance(held, InStep) else held

    def delayed(self, delay_ps: int) -> Copies:
        """The same copies, all ready `delay_ps` later; consumes this batch."""
        held = self.take_as_held()
        if isinstance(held, InStep):
            return self.in_step(held.states, held.copies, held.first_ps + delay_ps, held.step_ps, self.fresh)
        return Copies(held.states, held.row, held.ready_ps + delay_ps, held.lost, self.fresh)

    def take_as_held(self) -> Parts | InStep:
        """The same in the form in which it is held, for callers that need no arrays."""
        if self.owed is not None:
            owed, self.owed = self.owed, None
            owed()
        held = self.held
        self._held = None
        return held

    def part(self, chosen: NDArray[np.bool_]) -> tuple[Copies, Copies]:
        """Part this batch into the chosen copies and the others, each in emission order; consumes it.

        chosen: bool, shape (count,).
        """
        states, row, ready_ps, lost = self.take()
        assert chosen.shape == row.shape and chosen.dtype == np.bool_
        fresh = self.fresh
        first, second = (Copies(states, row[pick], ready_ps[pick], lost[pick], fresh) for pick in (chosen, ~chosen))
        first.watch = second.watch = self.watch
        if self.born_ps is not None:
            first.born_ps, second.born_ps = self.born_ps[chosen], self.born_ps[~chosen]
        return first, second

    def restore(self, parts: Parts) -> None:
        """Give back what was taken, worked on by the node that holds it; as many copies of as many qubits."""
        assert self._held is None
        assert len(parts.row) == self._count and parts.states.shape[1] == 1 << self._qubits
        self._held = parts


def chosen_rows(states: States, rows: NDArray[np.int64]) -> States:
    """The states of these rows, distinct and ascending; the same array, not a copy, where these are all."""
    return states if len(rows) == len(states) else states[rows]


def join(batches: Sequence[Copies], order: NDArray[np.int64]) -> Copies:
    """One batch of several, in an order of its maker's choice; consumes them.

    order: int64, shape (copies of all batches,): which of them, counted through all batches, each copy of
        the new batch is. Each must come once.

    Raises:
        LocalProtocolError: a copy comes twice or never: states cannot be cloned.
    """
    fresh = all(batch.fresh for batch in batches)
    taken = [batch.take() for batch in batches]
    row = np.concatenate([parts.row for parts in taken])
    if order.shape != row.shape or not np.array_equal(np.sort(order), np.arange(len(row))):
        raise LocalProtocolError(f"an order that is no order of {len(row)} copies: each is there once")
    rows = [len(parts.states) for parts in taken]
    row += np.repeat(np.cumsum(rows) - rows, [len(parts.row) for parts in taken])
    ready_ps = np.concatenate([parts.ready_ps for parts in taken])[order]
    lost = np.concatenate([parts.lost for parts in taken])[order]
    joined = Copies(np.concatenate([parts.states for parts in taken]), row[order], ready_ps, lost, fresh)
    joined.watch = next((batch.watch for batch in batches if batch.watch is not None), None)
    born = [batch.born_ps for batch in batches if batch.born_ps is not None]
    if len(born) == len(batches):
        joined.born_ps = np.concatenate(born)[order]
    return joined
