"""Measurements in bases that differ from copy to copy: what a node is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ketwire.quantum.circuits import Circuit


class Bases(Protocol):
    """A basis for each copy of each item, which their owner knows."""

    @property
    def gates(self) -> Circuit:
        """What a processor runs before the readout, at most: its time and its errors. `laws` has what the gates do."""
        ...

    def laws(
        self, states: NDArray[np.complex128], items: NDArray[np.int64], ranks: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """How likely each outcome is; float64, (copies, outcomes), each row sums to one.

        states: complex128, (copies, 2**n), of each copy; items: int64, (copies,), ascending; ranks: of each copy among
        those of its item, in emission order.
        """
        ...
