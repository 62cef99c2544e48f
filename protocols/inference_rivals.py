"""Classical rivals of inference: the state at every crossing, or what describes the circuit.

- `DenseStateParty`: every crossing carries the whole state, at b bits a number. The sender says in one bit whether
  the state is real; of a real one only real parts are sent. At one bit a number is its sign, and the scale their mean
  magnitude.
- `DescriptionParty`: all parties but one send their angles, b bits each, to that one, which works the loss out alone.
  It needs to know how their layers look, though not what is in them, so these are rotations and Hadamard gates.

Another one, for a single crossing, is `ketwire.protocols.sketch`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Answers, Packed
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.protocols.announce import announce
from ketwire.protocols.codes import pack_bits
from ketwire.protocols.descriptions import gathered, pack_answers, unknown_angles, unpack_answers
from ketwire.protocols.inference import Owned, input_state
from ketwire.protocols.layers import Part, Step, build_layers
from ketwire.protocols.node import Json, Loader, Node, Outcome
from ketwire.protocols.numbers import messages_of, pack_numbers, receive_numbers
from ketwire.protocols.paths import visits_at
from ketwire.quantum.grid import significant, snap

Floats = NDArray[np.float64]
Vector = NDArray[np.complex128]

SCALE_BITS = 30  # that the scale of signs is rounded to
TINY = 1e-100  # amplitudes whose squares might be no numbers any more: signs alone halve them at many a crossing


@dataclass(frozen=True)
class DenseStateSlice:
    """A party's part of the circuit; bits of a number; whether contractions are `coherent`."""

    part: Part
    bits: int
    coherent: bool = False


@dataclass(frozen=True)
class LossFound(Outcome):
    """The loss, at the party that works it out or hears it last."""

    loss: float


class DenseStateParty:
    """Any party: it carries the amplitudes on.

    A contraction leaves the vector shorter; the last party divides by its norm, as post-selection does, unless
    the protocol keeps contractions coherent (`coherent`).
    """

    Slice: ClassVar[type[DenseStateSlice]] = DenseStateSlice
    Outcome: ClassVar[type[LossFound]] = LossFound

    def __init__(self, slice: DenseStateSlice, load: Loader) -> None:
        self._owned = Owned(slice.part, load)
        self._bits, self._coherent = slice.bits, slice.coherent
        self.shapes = self._owned.shapes

    def start(self) -> Vector:
        """The input's amplitudes, at the party that holds it; shape (2**qubits,)."""
        assert self._owned.input is not None
        return np.asarray(self._owned.input[0])

    def carry(self, visit: int, vector: Vector) -> Vector:
        """What this party's layers at a visit make of the amplitudes."""
        return carried(self._owned.steps.get(visit, []), vector)

    def loss(self, vector: Vector) -> float:
        """Probability of |0> on qubit 0, given that no flag fired; with it where contractions are coherent.

        Raises:
            ScenarioError: the contractions, or too few bits, left nothing of the vector.
        """
        largest = float(np.abs(vector).max())
        if not self._coherent and 0.0 < largest < TINY:
            vector = vector / largest
        norm = 1.0 if self._coherent else float(np.linalg.norm(vector))
        if not norm > 0.0:
            raise ScenarioError("protocol.layers: the contractions leave nothing, expected some of the state")
        zero = float(np.linalg.norm(vector[: len(vector) // 2]))
        return (zero / norm) ** 2

    async def run(self, node: Node) -> LossFound | None:
        path, outcome = self._owned.path, None
        for visit in visits_at(path, node.name):
            vector = self.start() if visit == 0 else await self._hear(node, path[visit - 1])
            vector = self.carry(visit, vector)
            if visit < len(path) - 1:
                await self._tell(node, path[visit + 1], vector)
            else:
                outcome = LossFound(self.loss(vector))
        return outcome

    async def _tell(self, node: Node, peer: str, vector: Vector) -> None:
        real = is_real(vector)
        await tell_whether(node, peer, real)
        numbers = np.ascontiguousarray(vector.real) if real else vector.view(np.float64)
        for part in messages_of(len(numbers)):
            pack = pack_signs if self._bits == 1 else pack_numbers
            await node.send(peer, pack(numbers[part], self._bits))

    async def _hear(self, node: Node, peer: str) -> Vector:
        size = 1 << self._owned.qubits
        if await hear_whether(node, peer):
            return (await receive_numbers(node, peer, size)).astype(np.complex128)
        return (await receive_numbers(node, peer, 2 * size)).view(np.complex128)


def carried(steps: list[Step], vector: Vector) -> Vector:
    """What layers make of amplitudes that need not have norm one."""
    for step in steps:
        vector = step.on_vector(vector)
    return vector


def is_real(vector: Vector) -> bool:
    """Whether all imaginary parts are zero except for rounding."""
    return not snap(vector.imag).any()


async def tell_whether(node: Node, peer: str, fact: bool) -> None:
    """One bit."""
    await node.send(peer, Answers(np.array([int(fact)]), 1))


async def hear_whether(node: Node, peer: str) -> bool:
    """What `tell_whether` told.

    Raises:
        RemoteProtocolError: something else came.
    """
    values = (await node.receive(peer, Answers)).values
    if values.shape != (1,) or values[0] not in (0, 1):
        raise RemoteProtocolError(f"{peer} said {values.tolist()}, expected one bit")
    return bool(values[0])


def pack_signs(numbers: Floats, bits: int) -> Packed:
    """Signs and, as the scale, the mean magnitude: of all scales the one with the least square error."""
    scale = float(significant(np.abs(numbers).mean(), SCALE_BITS)) or 1.0
    codes = (snap(numbers) >= 0).astype(np.uint64)
    return Packed(len(codes), bits, -scale, len(codes), pack_bits(codes, bits))


@dataclass(frozen=True)
class DescriptionSlice(DenseStateSlice):
    """Who collects, how many angles each party has, and to the collector how the layers of others look, by visit."""

    collector: str = ""
    angles: dict[str, int] = field(default_factory=dict)
    others: dict[int, list[Json]] = field(default_factory=dict)


class DescriptionParty(DenseStateParty):
    """Any party: it sends its angles to `collector`, or is the one that has them all."""

    Slice = DescriptionSlice

    def __init__(self, slice: DescriptionSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._collector, self._counts, self._others = slice.collector, slice.angles, slice.others

    async def run(self, node: Node) -> LossFound | None:
        path, collector = self._owned.path, self._collector
        heard = await gathered(node, path, self._counts, self._bits, self._angles, collector)
        told = None
        if node.name == collector:
            loss = self._worked_out(heard)
            if collector == path[-1]:
                return LossFound(loss)
            told = pack_answers(np.array([loss]), self._bits, 1.0)
        if collector != path[-1]:
            told = await announce(node, path, collector, told, Packed, target=path[-1])
            if node.name == path[-1]:
                assert told is not None
                return LossFound(float(unpack_answers(told, self._bits, 1, 1.0)[0]))
        return None

    def _angles(self) -> Floats:
        """This party's, in the order of its visits."""
        steps = [step for _, steps in sorted(self._owned.steps.items()) for step in steps]
        return np.concatenate([step.parameters for step in steps])

    def _worked_out(self, heard: dict[str, Floats]) -> float:
        """The loss, from everybody's angles. An input that another party holds is |0...0>."""
        owned, vector = self._owned, self._first()
        for visit, party in enumerate(owned.path):
            if party == self._collector:
                vector = self.carry(visit, vector)
                continue
            for step in build_layers(self._others.get(visit, []), owned.qubits, unknown_angles):
                angles, heard[party] = np.split(heard.get(party, np.zeros(0)), [len(step.parameters)])
                vector = Step(step.operation, angles).on_vector(vector)
        return self.loss(vector)

    def _first(self) -> Vector:
        owned = self._owned
        return self.start() if owned.input is not None else input_state(None, owned.qubits, unknown_angles)[0]
