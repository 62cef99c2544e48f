"""A batch on its visit to the processor, and what is to be done with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.quantum.circuits import Circuit

Integers = NDArray[np.int64]
Batch = tuple[States, Integers]


class Task(NamedTuple):
    """One thing to do with every copy of a visit.

    duration_ps: how long it keeps the processor, a copy
    work: new (states, row) from old
    held: the registers decay meanwhile
    own_ps: what each of the copies that are served takes beside, in their order; then work lets them decay itself
    cause, circuit: for accounts of time, what it is; a flag is prepared, worked on and read
    """

    duration_ps: int
    work: Callable[[States, Integers], Batch]
    held: bool
    own_ps: Integers | None = None
    cause: Literal["preparation", "gates", "readout", "flag"] = "gates"
    circuit: Circuit | None = None


class Visit:
    """A batch at the processor, and what is to be done with it."""

    def __init__(self, copies: Copies, begun_ps: int) -> None:
        self.copies = copies
        self.begun_ps = begun_ps
        self.qubits = copies.qubits
        self.tasks: list[Task] = []

    @property
    def duration_ps(self) -> int:
        """How long any copy keeps the processor."""
        return sum(task.duration_ps for task in self.tasks)

    @property
    def own_ps(self) -> Integers | None:
        """What each copy takes beside that, where they differ; int64, shape (copies served,)."""
        return next((task.own_ps for task in self.tasks if task.own_ps is not None), None)
