"""Copies: the unit on the wire.

K copies of a register are an array of *distinct* states plus, per copy, the row of its state, the
time at which it is ready, and whether it was lost. Copies that met the same errors share a row, so
ten thousand copies over a quiet link are one row. Which row a copy has is its syndrome: programs
never see it.

Fresh copies are those that their maker has not sent yet. It prepares each just in time: `ready_ps` is
then the earliest time at which it could be whole, and waiting for its turn costs it nothing.

States move, they are never copied: whatever sends, transforms or measures a batch takes it with
`take`, and a batch that was taken raises when it is used again (no-cloning, held at run time).
"""

from __future__ import annotations

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
    """A batch of copies of one register, in emission order. Used once.

    fresh: they have not crossed a link since they were prepared.
    """

    __slots__ = ("_count", "_parts", "_qubits", "fresh")

    def __init__(
        self,
        states: States,
        row: NDArray[np.int64],
        ready_ps: NDArray[np.int64],
        lost: NDArray[np.bool_],
        fresh: bool = False,
    ) -> None:
        # Every message makes a batch or two: own invariants are checked with as few calls as will do.
        _, size = states.shape
        qubits: int = size.bit_length() - 1
        count = len(row)
        assert size == 1 << qubits and len(ready_ps) == len(lost) == count
        self._parts: Parts | None = Parts(states, row, ready_ps, lost)
        self._count = count
        self._qubits = qubits
        self.fresh = fresh

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

    def restore(self, parts: Parts) -> None:
        """Give back what was taken, worked on by the node that holds it; as many copies of as many qubits."""
        assert self._parts is None
        assert len(parts.row) == self._count and parts.states.shape[1] == 1 << self._qubits
        self._parts = parts

    def _held(self) -> Parts:
        if self._parts is None:
            raise LocalProtocolError(
                f"these {self._count} copies of {self._qubits} qubits were sent, transformed or measured "
                "before: a quantum state moves, it cannot be used twice"
            )
        return self._parts
