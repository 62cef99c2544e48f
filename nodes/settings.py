"""Copies measured in different settings: each is taken through the circuit of its own, then its law is found.

Copies of one row that go through one circuit go on together, so the work is that of the distinct states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import States, chosen_rows
from ketwire.protocols.node import Setting
from ketwire.quantum.circuits import Circuit

Integers = NDArray[np.int64]
Run = Callable[[Circuit, States, Integers], tuple[States, Integers]]


class Turned(NamedTuple):
    """The copies of one setting, right before its observable is measured.

    which: int64, (k,), their places in the batch. row: int64, (k,), the state that each is in.
    """

    which: Integers
    states: States
    row: Integers


def turned(
    settings: Sequence[Setting], states: States, row: Integers, choice: Integers, run: Run, peek: bool
) -> list[Turned]:
    """For each setting its copies, after its circuit.

    choice: the setting of each copy. run: takes copies through a circuit. peek: every copy goes through all
    settings, which no laboratory can do.
    """
    found: list[Turned | None] = [None] * len(settings)
    sharing: dict[int, list[int]] = {}
    for number, setting in enumerate(settings):
        sharing.setdefault(id(setting.circuit), []).append(number)
    for numbers in sharing.values():
        which = np.arange(len(row)) if peek else np.flatnonzero(np.isin(choice, numbers))
        after, place = _run_some(settings[numbers[0]].circuit, states, row[which], run)
        for number in numbers:
            mine = np.arange(len(which)) if peek else np.flatnonzero(choice[which] == number)
            found[number] = Turned(which[mine], after, place[mine])
    return [each for each in found if each is not None]


def _run_some(circuit: Circuit, states: States, row: Integers, run: Run) -> tuple[States, Integers]:
    if len(row) == 0:
        return states[:0], row
    used, place = np.unique(row, return_inverse=True)
    return run(circuit, chosen_rows(states, used), place)
