"""The end-to-end link of a chain at work: a stock of finished pairs, and registers that use them up.

The sender hands over the pairs that it holds; the far end is told of each that it stands, L/v after
the sender knew. Qubits then consume living pairs in the order in which they were handed over. Both ends
store finished pairs, as many as a batch of copies needs; they decay there until they are used. Pairs
that a batch leaves over (its copies had died before) are dropped: older pairs are worse than fresh ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import Held, Pairs
from ketwire.channels.entanglement.teleporting import TeleportMachine
from ketwire.channels.lane import ClassicalLane
from ketwire.channels.line import Line
from ketwire.channels.machines import Times
from ketwire.channels.ways import Paired
from ketwire.errors import RemoteProtocolError

_ARRAYS: dict[str, tuple[Any, ...]] = {
    "elements": (np.float64, 6), "ready_ps": (np.int64,), "since_ps": (np.int64,), "lost": (np.bool_,)
}  # fmt: skip


class StockMachine(TeleportMachine):
    """Teleportation through pairs that others made: a `TeleportMachine` without a source of its own."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.scheme = None  # type: ignore[assignment]
        self.lane = ClassicalLane(line.fiber)
        self._stock: list[Held] = []

    @property
    def busy_until_ps(self) -> int:
        return max((int(held.ready_ps.max(initial=0)) for held in self._stock), default=0)

    def snapshot(self) -> dict[str, Any]:
        stock = [
            {name: getattr(held, name).tolist() for name in _ARRAYS} | {"span_ps": held.span_ps} for held in self._stock
        ]
        return {"stock": stock}

    def restore(self, saved: Mapping[str, Any]) -> None:
        far_ps, far = self.line.receiver.constants, self.line.receiver_gates  # as of every pair; JSON has no infinity
        self._stock = [
            Held(
                **{name: np.array(held[name], dtype).reshape(-1, *shape) for name, (dtype, *shape) in _ARRAYS.items()},
                far_ps=far_ps,
                span_ps=held["span_ps"],
                far=far,
                attempt_ps=0,
            )
            for held in saved["stock"]
        ]

    def store(self, pairs: Pairs) -> Held:
        """Take pairs over, and answer with what they are; consumes them.

        Raises:
            RemoteProtocolError: they stand nowhere, or were made for other memories than this link's.
        """
        held, _ = pairs.take()
        if held is None or (held.far_ps, held.far) != (self.line.receiver.constants, self.line.receiver_gates):
            raise RemoteProtocolError("expected pairs that stand between the two ends of this link")
        self._stock.append(held)
        return held

    def _pairs(
        self, ready_ps: Times, rng: np.random.Generator
    ) -> tuple[Paired, Times, NDArray[np.float64], int, int]:
        """See `TeleportMachine`; the pairs were counted where they were made. What is left over is dropped."""
        needed, stock = len(ready_ps), self._stock
        self._stock = []
        alive = np.concatenate([~held.lost for held in stock]) if stock else np.zeros(0, dtype=np.bool_)
        chosen = np.flatnonzero(alive)[:needed]
        if len(chosen) < needed:
            raise RemoteProtocolError(f"{needed} qubits were sent with {len(chosen)} living pairs in stock")
        if not needed:
            nothing = Paired(ready_ps, ready_ps, ready_ps, ready_ps, ready_ps, ready_ps, 0)
            return nothing, ready_ps, np.zeros((0, 6)), 0, 0
        stands_ps, since_ps = (np.concatenate([getattr(held, name) for held in stock])[chosen]
                               for name in ("ready_ps", "since_ps"))  # fmt: skip
        # Half a was the origin's, which receives the register; here half a is the sender's.
        six = np.concatenate([held.elements for held in stock])[chosen][:, [0, 2, 1, 3, 4, 5]]
        release_ps = np.maximum(stands_ps, ready_ps)
        nothing_ps, gates = np.zeros_like(ready_ps), self.line.sender_gates
        outcome_ps = release_ps + gates.bell_whole_ps
        way = Paired(ready_ps, nothing_ps, nothing_ps, release_ps, outcome_ps, outcome_ps, 0)
        return way, release_ps + gates.bell_ps - since_ps, six, 0, 0
