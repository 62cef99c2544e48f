"""The program of tasks of one message: the sender's state of each instance crosses once, the receiver measures it.

Both draw their inputs themselves, so neither slices nor messages have any of them. Outcomes are the receiver's, and
public; a score takes both inputs (`task.Task.judged`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.protocols.advantage.consumable import Consumable
from ketwire.protocols.advantage.fourier_sampling import FourierSampling
from ketwire.protocols.advantage.hidden_matching import HiddenMatching
from ketwire.protocols.advantage.inputs import Inputs
from ketwire.protocols.advantage.task import Task
from ketwire.protocols.advantage.xeb import Xeb
from ketwire.protocols.node import Kept, Loader, Node, Outcome, Shape
from ketwire.protocols.stream import Batch, StreamPlan, run_stream
from ketwire.quantum.circuits import Circuit

Integers = NDArray[np.int64]
TaskName = Literal["xeb", "hidden-matching", "fourier-sampling", "consumable"]
Role = Literal["sender", "receiver", "other"]


@dataclass(frozen=True)
class OneMessage:
    """What is public of a task of one message. copies: of an instance; of `consumable`, its questions."""

    task: TaskName
    qubits: int
    instances: int
    copies: int

    def made(self) -> Task:
        if self.task == "consumable":
            return Consumable(self.qubits, self.copies)
        made: dict[str, type[Task]] = {
            "xeb": Xeb, "hidden-matching": HiddenMatching, "fourier-sampling": FourierSampling,
        }  # fmt: skip
        return made[self.task](self.qubits)


@dataclass(frozen=True)
class AdvantageSlice:
    """What a party is given: nothing of any input."""

    role: Role
    public: OneMessage
    plan: StreamPlan


@dataclass(frozen=True)
class Measured(Outcome):
    """The receiver's outcomes, int64, (instances, copies); copies emitted, and to be emitted in the mean."""

    outcomes: NDArray[np.int64]
    attempted: int
    needed: float


class AdvantageParty:
    """Sender, receiver, repeater, or a party that only looks on."""

    Slice, Outcome = AdvantageSlice, Measured

    def __init__(self, slice: AdvantageSlice, load: Loader) -> None:
        self._plan = slice.plan
        self._stage: _Sending | _Measuring | None = None
        task, public = slice.public.made(), slice.public
        self.shapes = {
            "qubits": Shape(public.qubits, "protocol.qubits"), "items": Shape(public.instances, "protocol.instances"),
        }  # fmt: skip
        if slice.role == "sender":
            self._stage = _Sending(task, task.sender_inputs(load))
        elif slice.role == "receiver":
            self._stage = _Measuring(task, task.receiver_inputs(load), public)

    async def run(self, node: Node) -> Measured | None:
        if not self._plan.has_part(node.name):
            return None
        tally = await run_stream(node, self._plan, self._stage)
        if not isinstance(self._stage, _Measuring):
            return None
        return Measured(self._stage.outcomes, int(tally.attempted.sum()), tally.needed, known_ps=node.read_ps)


class _Sending:
    """The sender's stage: prepares the states of one batch at a time."""

    def __init__(self, task: Task, inputs: Inputs[Any]) -> None:
        self._task, self._inputs = task, inputs

    def prepare(self, node: Node, batch: Batch) -> Copies:
        states = np.empty((len(batch.items), self._task.size), dtype=np.complex128)
        for part, sent in self._inputs.of(batch.items):
            states[part] = self._task.states(sent)
        return node.prepare(states, batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        raise AssertionError("the sender is never last")


class _Measuring:
    """The receiver's stage, and its bases.

    outcomes: int64, (instances, copies), filled batch by batch
    """

    def __init__(self, task: Task, inputs: Inputs[Any], public: OneMessage) -> None:
        self._task, self._inputs = task, inputs
        self._measured = np.zeros(public.instances, dtype=np.int64)
        self.outcomes = np.zeros((public.instances, public.copies), dtype=np.int64)

    def prepare(self, node: Node, batch: Batch) -> Copies:
        raise AssertionError("the receiver is never first")

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        items, ranks, outcomes = node.measure_each(self, self._measured, copies, groups, keep).T
        self.outcomes[items, ranks] = outcomes
        came = np.bincount(items, minlength=len(self._measured))
        self._measured += came
        return came[:, None]

    @property
    def gates(self) -> Circuit:
        return self._task.gates

    def laws(self, states: NDArray[np.complex128], items: Integers, ranks: Integers) -> NDArray[np.float64]:
        found = np.empty(states.shape)
        for part, held in self._inputs.of(items):
            found[part] = self._task.laws(states[part], held, ranks[part])
        return found
