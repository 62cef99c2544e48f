"""Distributed inference: estimate the loss <phi| P0 |phi> of a circuit whose layers many parties hold.

|phi> = A_L B_L ... A_1 B_1 |psi(x)>: the register goes from owner to owner, each applies its own
layers, the last measures whether qubit 0 is |0>. As many measured copies
as the binomial law asks for (`quantum.binomial`) give the loss to epsilon with confidence 1 - delta, at n qubits
a crossing and a copy; what the classical rival sends is the state itself, 2 N numbers a crossing.
Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.errors import ScenarioError
from ketwire.protocols.layers import Part, Step, build_layers
from ketwire.protocols.loaded import vector_of
from ketwire.protocols.node import Kept, Loader, Node, Outcome, Shape
from ketwire.protocols.stream import Batch, StreamPlan, run_stream
from ketwire.quantum.encodings import amplitude_encode
from ketwire.quantum.observables import Projector


class Owned:
    """What one party holds of the circuit: its layers by visit and, at the first party, the input."""

    def __init__(self, part: Part, load: Loader) -> None:
        self.path, self.qubits = part.path, part.qubits
        self.shapes = {"qubits": Shape(self.qubits, "protocol.qubits")}
        self.steps: dict[int, list[Step]] = {
            visit: build_layers(specs, self.qubits, load) for visit, specs in part.visits.items()
        }
        self.input = input_state(part.input, self.qubits, load) if part.starts else None


def input_state(source: dict[str, Any] | None, qubits: int, load: Loader) -> NDArray[np.complex128]:
    """|psi(x)>: the amplitude encoding of the input vector, or |0...0>; shape (1, 2**qubits)."""
    size = 1 << qubits
    if source is None:
        return np.eye(1, size, dtype=np.complex128)
    key = "protocol.input"
    if "random" in source:
        source = {**source, "shape": [size]}
    vector = vector_of(load(key, source)["values"])
    if vector.ndim != 1 or len(vector) > size:
        raise ScenarioError(f"{key}: shape {list(vector.shape)} given, expected a vector of at most {size} entries")
    padded = np.zeros(size, dtype=vector.dtype)
    padded[: len(vector)] = vector
    try:
        states, _ = amplitude_encode(padded)
    except ValueError as error:
        raise ScenarioError(f"{key}: {error}") from None
    return np.atleast_2d(states)


@dataclass(frozen=True)
class InferenceSlice:
    """A party's part of the circuit, and the stream."""

    part: Part
    plan: StreamPlan


@dataclass(frozen=True)
class Counted(Outcome):
    """What the last party counted: |0> on qubit 0, copies measured, emitted, and to be emitted in the mean."""

    zeros: int
    copies: int
    attempted: int
    needed: float
    representation: Literal["trajectories", "density"]


class InferenceParty:
    """Any party of the distributed circuit: roles differ only in the slice that they hold."""

    Slice, Outcome = InferenceSlice, Counted

    def __init__(self, slice: InferenceSlice, load: Loader) -> None:
        self._owned = Owned(slice.part, load)
        self._plan = slice.plan
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> Counted | None:
        if not self._plan.has_part(node.name):
            return None
        tally = await run_stream(node, self._plan, self, words=_estimate_text)
        if tally.counts is None:
            return None
        zeros, ones = (int(count) for count in tally.counts[0])
        kind: Literal["trajectories", "density"] = "density" if self._plan.mixed else "trajectories"
        return Counted(zeros, zeros + ones, int(tally.attempted[0]), tally.needed, kind, known_ps=node.read_ps)

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._owned.input is not None
        return node.prepare(self._owned.input, batch.counts, mixed=self._plan.mixed)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        for step in self._owned.steps.get(visit, ()):
            copies = step.on_copies(node, copies)
        return copies

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        return node.measure(copies, Projector(0), groups, 1, keep)


def _estimate_text(counts: NDArray[np.int64]) -> str:
    zeros, ones = counts[0].tolist()
    return f"estimate {zeros / (zeros + ones):.4g}" if zeros + ones else ""
