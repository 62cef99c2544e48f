"""Copies: the unit on the wire.

K copies of a register are an array of *distinct* states plus, per copy, the row of its state, the
time at which it is ready, and whether it was lost. Copies that met the same errors share a row, so
ten thousand copies over a quiet link are one row. Which row a copy has is its syndrome: programs
never see it.

States move, they are never copied: whatever sends, transforms or measures a batch takes it with
`take`, and a batch that was taken raises when it is used again (no-cloning, held at run time).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import LocalProtocolError

States = NDArray[np.complex128]

MAX_QUBITS = 26  # one row of 26 qubits is a gibibyte; more does not fit a message
MAX_COPIES = 1 << 22  # of one message


class Parts(NamedTuple):
    """What `Copies.take` hands over.

    states:   complex128, shape (rows, 2**qubits), each row a unit vector
    row:      int64, shape (count,), which state each copy is in
    ready_ps: int64, shape (count,), when each copy is whole at its holder
    lost:     bool, shape (count,), copies that died on the way; their ready time is that of the
              empty time bin in which the loss was heralded
    """

    states: States
    row: NDArray[np.int64]
    ready_ps: NDArray[np.int64]
    lost: NDArray[np.bool_]


class Copies:
    """A batch of copies of one register, in emission order. Used once."""

    __slots__ = ("_count", "_parts", "_qubits")

    def __init__(
        self,
        states: States,
        row: NDArray[np.int64],
        ready_ps: NDArray[np.int64],
        lost: NDArray[np.bool_],
    ) -> None:
        # Every message makes a batch or two: own invariants are checked with as few calls as will do.
        _, size = states.shape
        qubits: int = size.bit_length() - 1
        count = len(row)
        assert size == 1 << qubits and len(ready_ps) == len(lost) == count
        self._parts: Parts | None = Parts(states, row, ready_ps, lost)
        self._count = count
        self._qubits = qubits

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        state = "consumed" if self._parts is None else f"{len(self._parts.states)} rows"
        return f"<{self._count} copies of {self._qubits} qubits, {state}>"

    @property
    def qubits(self) -> int:
        """Qubits in one copy."""
        return self._qubits

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Which copies have arrived so far; bool, shape (count,). Heralds announce it to the holder."""
        return ~self._held().lost

    def take(self) -> Parts:
        """Hand over the arrays and leave this batch consumed.

        Raises:
            LocalProtocolError: the batch was consumed before.
        """
        parts = self._parts
        if parts is None:
            return self._held()
        self._parts = None
        return parts

    def part(self, chosen: NDArray[np.bool_]) -> tuple[Copies, Copies]:
        """Part this batch into the chosen copies and the others, each in emission order; consumes it.

        chosen: bool, shape (count,).
        """
        states, row, ready_ps, lost = self.take()
        assert chosen.shape == row.shape and chosen.dtype == np.bool_
        first, second = (Copies(states, row[pick], ready_ps[pick], lost[pick]) for pick in (chosen, ~chosen))
        return first, second

    def _held(self) -> Parts:
        if self._parts is None:
            raise LocalProtocolError(
                f"these {self._count} copies of {self._qubits} qubits were sent, transformed or measured "
                "before: a quantum state moves, it cannot be used twice"
            )
        return self._parts


def join(batches: Sequence[Copies], order: NDArray[np.int64]) -> Copies:
    """One batch of several, in an order of its maker's choice; consumes them.

    order: int64, shape (copies of all batches,): which of them, counted through all batches, each copy of
        the new batch is. Each must come once.

    Raises:
        LocalProtocolError: a copy comes twice or never: states cannot be cloned.
    """
    taken = [batch.take() for batch in batches]
    row = np.concatenate([parts.row for parts in taken])
    if order.shape != row.shape or not np.array_equal(np.sort(order), np.arange(len(row))):
        raise LocalProtocolError(f"an order that is no order of {len(row)} copies: each is there once")
    rows = [len(parts.states) for parts in taken]
    row += np.repeat(np.cumsum(rows) - rows, [len(parts.row) for parts in taken])
    ready_ps = np.concatenate([parts.ready_ps for parts in taken])[order]
    lost = np.concatenate([parts.lost for parts in taken])[order]
    return Copies(np.concatenate([parts.states for parts in taken]), row[order], ready_ps, lost)
