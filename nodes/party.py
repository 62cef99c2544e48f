"""The machine under a program, without its input and output: registers, clock, randomness.

Both runtimes drive programs on the same `PartyNode`; they differ only in how they answer its three
effects. Nothing here touches a socket or a wall clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.channels.messages import Message
from ketwire.channels.streams import stream
from ketwire.channels.transcript import Chain, Transcript
from ketwire.errors import LocalProtocolError, RemoteProtocolError
from ketwire.nodes.archive import check_arrays, check_values
from ketwire.protocols.node import Checkpoint, Observable, Receive, Send, State
from ketwire.quantum.circuits import Circuit, contract
from ketwire.quantum.engine import apply, choose_engine, predict_work
from ketwire.quantum.sampling import sample

M = TypeVar("M", bound=Message)
MAX_STEP = (1 << 62) - 1


class HeraldReceipt:
    """The fiber's answer to a send. Looking at it moves the node's clock to the herald."""

    def __init__(self, node: PartyNode, lost: NDArray[np.bool_], herald_ps: int) -> None:
        self._node, self._lost, self._herald_ps = node, lost, herald_ps

    @property
    def lost(self) -> NDArray[np.bool_]:
        self._node.advance(self._herald_ps)
        return self._lost


def _tally(cells: NDArray[np.int64], end: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct cells, all from 0 to end - 1, in order, and how often each occurs."""
    if end > len(cells):
        return np.unique(cells, return_counts=True)
    # Counting takes a fraction of the time of sorting, where there are few cells to count into.
    occurs = np.bincount(cells, minlength=end)
    distinct = np.flatnonzero(occurs)
    return distinct, occurs[distinct]


class PartyNode:
    """One party's machine in one session. Implements `ketwire.protocols.node.Node`."""

    def __init__(
        self,
        name: str,
        key: bytes,
        public: Mapping[str, int],
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        self.name = name
        self.now_ps = 0
        self.public = public
        self.transcript = Transcript(name)
        self._key = key
        self._drawn: Counter[str] = Counter()
        self._progress = progress
        self.restored: Checkpoint | None = None
        self._step = -1

    def advance(self, time_ps: int) -> None:
        """Move the clock to `time_ps`, unless it is later already."""
        self.now_ps = max(self.now_ps, time_ps)

    def random(self, purpose: str) -> np.random.Generator:
        number = self._drawn[purpose]
        self._drawn[purpose] += 1
        return stream(self._key, purpose, number)

    def progress(self, done: int, total: int, label: str) -> None:
        if self._progress is not None:
            self._progress(done, total, label)

    def prepare(self, states: States, counts: NDArray[np.int64]) -> Copies:
        if len(states) == 1 and counts[0] > 0:
            return Copies.in_step(np.array(states, order="C"), int(counts[0]), self.now_ps)
        rows = np.repeat(np.arange(len(states), dtype=np.int64), counts)
        ready_ps = np.full(len(rows), self.now_ps, dtype=np.int64)
        return Copies(np.array(states, order="C"), rows, ready_ps, np.zeros(len(rows), dtype=np.bool_))

    def apply(self, circuit: Circuit, copies: Copies, parameters: NDArray[np.float64]) -> Copies:
        held = copies.take_as_held()
        engine = choose_engine(predict_work(circuit, len(held.states)))
        return Copies.of(held._replace(states=apply(circuit, held.states, parameters, engine=engine)))

    def contract(self, matrix: NDArray[np.complex128], copies: Copies) -> Copies:
        states, row, ready_ps, lost = copies.take()
        shrunk, success = contract(states, matrix)
        draws = self.random("flag").random(len(row))
        return Copies(shrunk, row, ready_ps, lost | (draws >= success[row]))

    def measure(
        self,
        copies: Copies,
        observable: Observable,
        groups: NDArray[np.int64],
        count: int,
        keep: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.int64]:
        states, row, ready_ps, lost = copies.take()
        mask = ~lost if keep is None else keep & ~lost
        chosen = slice(None) if mask.all() else mask
        # Copies of one item in one state are alike: one multinomial draw serves them all.
        cells, copies_in = _tally(groups[chosen] * len(states) + row[chosen], count * len(states))
        rows, place = np.unique(cells % len(states), return_inverse=True)
        counts = np.zeros((count, observable.outcomes), dtype=np.int64)
        if len(cells):
            probabilities = observable.probabilities(states[rows])
            drawn = sample(probabilities[place], copies_in, self.random("outcome"))
            np.add.at(counts, cells // len(states), drawn)
            self.advance(int(ready_ps[chosen].max()))
        self.transcript.outcomes(self.now_ps, counts)
        return counts

    def send(self, peer: str, message: Message) -> Send:
        return Send(peer, message)

    def receive(self, peer: str, kind: type[M]) -> Receive[M]:
        return Receive(peer, kind)

    def checkpoint(self, step: int, state: State) -> Checkpoint:
        if type(step) is not int or not self._step < step <= MAX_STEP:
            raise LocalProtocolError(f"{self.name}: checkpoint {step!r} after {self._step}; expected steps that grow")
        try:
            check_values(state.values)
            check_arrays(state.arrays)
        except ValueError as error:
            raise LocalProtocolError(f"{self.name}: checkpoint {step}: {error}") from None
        self._step = step
        return Checkpoint(step, state)

    def snapshot(self) -> dict[str, Any]:
        """All that this machine remembers, as JSON values: for a checkpoint."""
        return {"now_ps": self.now_ps, "drawn": dict(self._drawn), "chain": list(self.transcript.end())}

    def restore(self, saved: Mapping[str, Any], checkpoint: Checkpoint) -> None:
        """Be as `snapshot` found it, and tell the program where to go on."""
        self.now_ps = saved["now_ps"]
        self._drawn = Counter(saved["drawn"])
        self.transcript.restore(Chain(*saved["chain"]))
        self.restored, self._step = checkpoint, checkpoint.step

    def accept(self, effect: Receive[M], message: Message, arrival_ps: int) -> M:
        """The answer to a receive: checks the kind; a classical message moves the clock."""
        if not isinstance(message, effect.kind):
            raise RemoteProtocolError(
                f"{effect.peer} sent {type(message).__name__} where {self.name} expected {effect.kind.__name__}"
            )
        if not isinstance(message, Copies):
            self.advance(arrival_ps)
        return message


def check_drained(name: str, peer: str, unread: int, step: int, mark: int | None) -> None:
    """Raises what a runtime raises where `name` and `peer` do not meet at checkpoint `step` with nothing under way."""
    if mark != step:
        raise RemoteProtocolError(f"{peer} is at checkpoint {mark} where {name} is at {step}")
    if unread:
        raise LocalProtocolError(
            f"{name} has not received {unread} message(s) of {peer} at checkpoint {step}; "
            "expected a program that has received all that was sent before"
        )


def not_restartable(name: str) -> LocalProtocolError:
    """A program awaits a checkpoint where nobody said that it would."""
    return LocalProtocolError(f"{name} awaits a checkpoint in a session that is not restartable")
