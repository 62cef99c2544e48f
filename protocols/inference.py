"""Distributed inference: estimate the loss <phi| P0 |phi> of a circuit whose layers many parties hold.

|phi> = A_L B_L ... A_1 B_1 |psi(x)>: the register goes from owner to owner, each applies its own
layers, the last measures whether qubit 0 is |0>. As many measured copies
as the binomial law asks for (`quantum.binomial`) give the loss to epsilon with confidence 1 - delta, at n qubits
a crossing and a copy; what the classical rival sends is the state itself, 2 N numbers a crossing.
Source: Gilboa, Michaeli, Soudry, McClean (arXiv 2310.07136), problem 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.errors import ScenarioError
from ketwire.protocols.layers import Step, build_layers
from ketwire.protocols.loaded import vector_of
from ketwire.protocols.node import Figures, Kept, Loader, Node, Outcome, Shape, Slice
from ketwire.protocols.repeaters import chain_plans
from ketwire.protocols.stream import BUDGET_ATTEMPTS, Batch, StreamPlan, run_stream
from ketwire.quantum.encodings import amplitude_encode
from ketwire.quantum.observables import Projector


class Owned:
    """What one party holds of the circuit: its layers by visit and, at the first party, the input."""

    def __init__(self, slice: Slice, load: Loader) -> None:
        values = slice.values
        self.path: list[str] = values["path"]
        self.qubits: int = values["qubits"]
        self.shapes = {"qubits": Shape(self.qubits, "protocol.qubits")}
        self.steps: dict[int, list[Step]] = {
            int(visit): build_layers(specs, self.qubits, load) for visit, specs in values["visits"].items()
        }
        self.input = input_state(values["input"], self.qubits, load) if "input" in values else None


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


class InferenceParty:
    """Any party of the distributed circuit: roles differ only in the slice that they hold."""

    def __init__(self, slice: Slice, load: Loader) -> None:
        self._owned = Owned(slice, load)
        self._values = slice.values
        self._mixed = slice.values["representation"] == "density"
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> Outcome | None:
        values = self._values
        plan = StreamPlan(
            tuple(self._owned.path),
            values["survival"],
            values["certain"],
            values["copies"],
            items=1,
            qubits=self._owned.qubits,
            max_batch_octets=values["max_batch_octets"],
            budget_attempts=values.get("budget_attempts", BUDGET_ATTEMPTS),
            mixed=self._mixed,
            shared=values["shared_rows"],
            chains=chain_plans(values.get("chains", ())),
            window=values.get("window"),
            margin=values["margin"],
            round_copies=values["round_copies"],
        )
        if not plan.has_part(node.name):
            return None
        tally = await run_stream(node, plan, self)
        if tally.counts is None:
            return None
        zeros, ones = (int(count) for count in tally.counts[0])
        told = {"zeros": zeros, "copies": zeros + ones, "attempted": int(tally.attempted[0]), "needed": tally.needed}
        return Figures({**told, "representation": values["representation"]}, known_ps=node.read_ps)

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._owned.input is not None
        return node.prepare(self._owned.input, batch.counts, mixed=self._mixed)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        for step in self._owned.steps.get(visit, ()):
            copies = step.on_copies(node, copies)
        return copies

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        return node.measure(copies, Projector(0), groups, 1, keep)
