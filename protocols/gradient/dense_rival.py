"""The classical rival of gradients: the forward and the backward state shipped, 2 N numbers a crossing each.

Forward, every owner keeps what came to it, μ; backward goes λ = V† Π V U μ, without any ancilla or flag: a
contraction M is M, and its adjoint on the way back. Each owner has ∂<Π> = 2 Re <λ| ∂U |μ> for all its parameters
at once from these, and needs nothing further. The way back ends at the first visit with parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.gradient.programs import Gradients
from ketwire.protocols.inference import Owned
from ketwire.protocols.layers import Part, Step, build_layers
from ketwire.protocols.node import Json, Loader, Node
from ketwire.protocols.numbers import receive_numbers, send_numbers
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.gradients.features import contributions
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.segments import Segment, apply_long

Vector = NDArray[np.complex128]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Part:
    """One layer: a unitary fed by what may move, or a matrix."""

    unitary: Segment | None
    matrix: Vector | None

    @classmethod
    def of(cls, step: Step, moves: bool) -> _Part:
        if isinstance(step.operation, Contraction):
            return cls(None, step.operation.matrix)
        segment = Segment(step.operation, step.parameters)
        return cls(frozen(segment, np.full(len(step.parameters), moves)), None)

    def forward(self, vector: Vector) -> Vector:
        if self.unitary is not None:
            return np.asarray(self.unitary.apply(vector[None])[0])
        assert self.matrix is not None
        return np.asarray(self.matrix @ vector)

    def backward(self, vector: Vector) -> Vector:
        if self.unitary is not None:
            undone: Circuit = self.unitary.circuit.inverse()
            return np.asarray(apply_long(undone, vector[None], self.unitary.values)[0])
        assert self.matrix is not None
        return np.asarray(self.matrix.conj().T @ vector)

    def derivatives(self, before: Vector, after: Vector) -> Floats:
        """2 Re <after| ∂U |before> for every parameter."""
        if self.unitary is None or not self.unitary.circuit.parameter_count:
            return np.zeros(0)
        scale = float(np.linalg.norm(before) * np.linalg.norm(after))
        if scale == 0.0:
            return np.zeros(self.unitary.circuit.parameter_count)
        # A feature of unit norm, as `contributions` wants it, of the states before and after the unitary.
        pair = np.concatenate([before / np.linalg.norm(before), after / np.linalg.norm(after)]) / np.sqrt(2)
        return np.asarray(2 * scale * contributions(self.unitary, pair[None])[0])


@dataclass(frozen=True)
class DenseGradientSlice:
    """A party's part of the circuit; bits of a number; the first visit with parameters."""

    part: Part
    bits: int
    first_owner: int


class DenseGradientParty:
    """Any party: it carries the state on, and on the way back reads its derivatives."""

    Slice, Outcome = DenseGradientSlice, Gradients

    def __init__(self, slice: DenseGradientSlice, load: Loader) -> None:
        self._owned = Owned(replace(slice.part, visits={}), load)
        self._bits, self._first = slice.bits, slice.first_owner
        self._parts = {
            visit: [_part(spec, self._owned.qubits, load) for spec in specs]
            for visit, specs in slice.part.visits.items()
        }
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> Gradients | None:
        path, kept = self._owned.path, {}
        for visit, party in enumerate(path):
            if party == node.name:
                vector = await self._arriving(node, visit, path[visit - 1])
                kept[visit] = self._passed(visit, vector)
                if visit < len(path) - 1:
                    await self._send(node, path[visit + 1], kept[visit][-1])
        gradients: dict[int, Floats] = {}
        for visit in range(len(path) - 1, self._first - 1, -1):
            if path[visit] != node.name:
                continue
            if visit == len(path) - 1:
                dual = kept[visit][-1].copy()
                dual[len(dual) // 2 :] = 0.0
            else:
                dual = await self._receive(node, path[visit + 1])
            dual, found = self._back(visit, kept[visit], dual)
            if len(found):
                gradients[visit] = found
            if visit > self._first:
                await self._send(node, path[visit - 1], dual)
        return Gradients(gradients) if gradients else None

    async def _arriving(self, node: Node, visit: int, previous: str) -> Vector:
        if visit:
            return await self._receive(node, previous)
        assert self._owned.input is not None
        return np.asarray(self._owned.input[0])

    async def _receive(self, node: Node, peer: str) -> Vector:
        return np.asarray((await receive_numbers(node, peer, 2 << self._owned.qubits)).view(np.complex128))

    async def _send(self, node: Node, peer: str, vector: Vector) -> None:
        await send_numbers(node, peer, np.ascontiguousarray(vector).view(np.float64), self._bits)

    def _passed(self, visit: int, vector: Vector) -> list[Vector]:
        """The state before each layer of a visit, and after the last."""
        states = [vector]
        for part in self._parts.get(visit, ()):
            states.append(part.forward(states[-1]))
        return states

    def _back(self, visit: int, states: list[Vector], dual: Vector) -> tuple[Vector, Floats]:
        """λ before the visit's layers, and the derivatives by their parameters."""
        found: list[Floats] = [np.zeros(0)]
        for part, before in zip(reversed(self._parts.get(visit, ())), states[-2::-1], strict=True):
            found.append(part.derivatives(before, dual))
            dual = part.backward(dual)
        return dual, np.concatenate(found[::-1])


def _part(spec: dict[str, Json], qubits: int, load: Loader) -> _Part:
    (step,) = build_layers([spec], qubits, load)
    return _Part.of(step, bool(spec.get("trainable", True)))
