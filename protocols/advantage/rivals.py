"""Classical rivals of tasks of one message, on the same inputs over the same links. Shared randomness is a public key.

- `NamedStateParty` (`xeb`, `fourier-sampling`): 2^m shared random states; the sender names the one that is nearest to
  its own, and the receiver answers the likeliest outcome of that. Work 2^m N for each instance.
- `PlacesParty` (`hidden-matching`, `consumable`): the sender tells its bits at some places. `subset`: random ones,
  fresh for each instance; `grid`: those without low and those without high bits of their number, about 2 √N, which
  hold an edge of every matching {i, i ⊕ c}; `all`. Where no edge is among them the receiver guesses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.streams import stream
from ketwire.protocols.advantage.hidden_matching import HiddenMatching, leading
from ketwire.protocols.advantage.inputs import Inputs, block_of
from ketwire.protocols.advantage.program import OneMessage, Role
from ketwire.protocols.node import Loader, Node, Outcome, Shape
from ketwire.protocols.rivals import receive_codes, send_codes
from ketwire.quantum.grid import snap

Integers = NDArray[np.int64]
Places = Literal["subset", "grid", "all"]
OVERLAP_BITS = 40
PLACES_BLOCK = 256


@dataclass(frozen=True)
class RivalSlice:
    """What a party of a rival is given; shared_key: 64 hexadecimal digits.

    bits: of a message, of `named-state` and of `subset`.
    """

    role: Role
    public: OneMessage
    sender: str
    receiver: str
    shared_key: str
    bits: int = 0
    places: Places = "all"


@dataclass(frozen=True)
class Answered(Outcome):
    """The receiver's answers, int64, (instances, copies), as outcomes are."""

    outcomes: NDArray[np.int64]


class NamedStateParty:
    """The rival that names the best of shared random states."""

    Slice, Outcome = RivalSlice, Answered

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        self._told, self._task = slice, slice.public.made()
        self.shapes: dict[str, Shape] = {}
        self._sent = self._task.sender_inputs(load) if slice.role == "sender" else None
        self._held = self._task.receiver_inputs(load) if slice.role == "receiver" else None

    async def run(self, node: Node) -> Answered | None:
        told, instances = self._told, self._told.public.instances
        if self._sent is not None:
            named = self._nearest(self._sent)
            await send_codes(node, told.receiver, named[:, None], told.bits)
        if self._held is None:
            return None
        heard = await receive_codes(node, told.sender, instances, 1, told.bits)
        return Answered(self._answers(heard[:, 0].astype(np.int64), self._held)[:, None])

    def _shared(self, block: int) -> NDArray[np.complex128]:
        """A block of the shared states, drawn as the sender's own are."""
        rng = stream(bytes.fromhex(self._told.shared_key), "states", block)
        return self._task.states(self._task.draw_sent(rng, block_of(self._task.size)))

    def _nearest(self, inputs: Inputs[Any]) -> Integers:
        """Which shared state is nearest to each of the sender's; int64, (instances,)."""
        items = np.arange(self._told.public.instances)
        own = np.concatenate([self._task.states(sent) for _, sent in inputs.of(items)])
        best, named = np.full(len(own), -1.0), np.zeros(len(own), dtype=np.int64)
        many, step = 1 << self._told.bits, block_of(self._task.size)
        for block, first in enumerate(range(0, many, step)):
            shared = self._shared(block)[: many - first]
            overlaps = shared.conj() @ own.T
            near = snap(overlaps.real**2 + overlaps.imag**2, OVERLAP_BITS)
            place = np.argmax(near, axis=0)
            value = near[place, np.arange(len(own))]
            better = value > best
            best[better], named[better] = value[better], first + place[better]
        return named

    def _answers(self, named: Integers, inputs: Inputs[Any]) -> Integers:
        """The likeliest outcome of the named states; int64, (instances,)."""
        states = np.empty((len(named), self._task.size), dtype=np.complex128)
        step = block_of(self._task.size)
        for block in np.unique(named // step).tolist():
            mine = np.flatnonzero(named // step == block)
            states[mine] = self._shared(block)[named[mine] - block * step]
        found = np.empty(len(named), dtype=np.int64)
        for part, held in inputs.of(np.arange(len(named))):
            laws = self._task.laws(states[part], held, np.zeros(part.stop - part.start, dtype=np.int64))
            found[part] = np.argmax(snap(laws), axis=1)
        return found


class PlacesParty:
    """The rival that tells some of the sender's bits."""

    Slice, Outcome = RivalSlice, Answered

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        self._told, task = slice, slice.public.made()
        assert isinstance(task, HiddenMatching)
        self._task = task
        self.shapes: dict[str, Shape] = {}
        self._sent = task.sender_inputs(load) if slice.role == "sender" else None
        self._held = task.receiver_inputs(load) if slice.role == "receiver" else None

    async def run(self, node: Node) -> Answered | None:
        told, instances = self._told, self._told.public.instances
        answers = np.zeros((instances, told.public.copies), dtype=np.int64)
        rng = node.random("guess") if self._held is not None else None
        for first in range(0, instances, PLACES_BLOCK):
            items = np.arange(first, min(first + PLACES_BLOCK, instances))
            places = self._places(first // PLACES_BLOCK, len(items))
            if self._sent is not None:
                bits = np.concatenate([sent.rows for _, sent in self._sent.of(items)])
                await send_codes(node, told.receiver, np.take_along_axis(bits, places, axis=1), 1)
            if self._held is not None and rng is not None:
                heard = await receive_codes(node, told.sender, len(items), places.shape[1], 1)
                held = np.concatenate([held.rows for _, held in self._held.of(items)])
                answers[items] = self._answers(places, heard.astype(np.int64), held, rng)
        return Answered(answers) if self._held is not None else None

    def _places(self, block: int, rows: int) -> Integers:
        """The places of a block of instances, public; int64, (rows, places)."""
        size, qubits = self._task.size, self._task.qubits
        if self._told.places == "subset":
            draws = stream(bytes.fromhex(self._told.shared_key), "places", block).random((rows, size))
            return np.argsort(draws, axis=1, kind="stable")[:, : self._told.bits]
        if self._told.places == "grid":
            low = 1 << qubits // 2
            chosen = np.concatenate([np.arange(low), np.arange(low, size, low)])
        else:
            chosen = np.arange(size)
        return np.broadcast_to(chosen, (rows, len(chosen)))

    def _answers(self, places: Integers, bits: Integers, held: Integers, rng: np.random.Generator) -> Integers:
        """An answer to each question; int64, (rows, questions). held: the c of each question, of the same shape.

        Of all edges among the places the first is answered, in the order of places.
        """
        rows, size = len(places), self._task.size
        known = np.full((rows, size), -1, dtype=np.int8)
        np.put_along_axis(known, places, bits.astype(np.int8), axis=1)
        copies = self._told.public.copies
        answers, guesses = np.empty((rows, copies), dtype=np.int64), rng.integers(0, size, (rows, copies))
        every = np.arange(rows)
        for question in range(copies):
            shift = held[:, question if self._task.questions > 1 else 0]
            both = np.take_along_axis(known, places ^ shift[:, None], axis=1)
            place = np.argmax(both >= 0, axis=1)
            one, other = places[every, place], both[every, place]
            lead = leading(shift)
            end = np.where(one & lead, one ^ shift, one)
            parity = known[every, one] ^ other
            answers[:, question] = np.where(other >= 0, end | np.where(parity, lead, 0), guesses[:, question])
        return answers
