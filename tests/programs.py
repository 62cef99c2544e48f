"""Programs for tests: scripts of sends and receives, and some that misbehave on purpose."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Answers, Arrivals, Packed
from ketwire.protocols.node import Json, Loader, Node, Outcome, State
from ketwire.quantum.observables import Projector

KINDS = {"copies": Copies, "packed": Packed, "answers": Answers, "arrivals": Arrivals}


@dataclass(frozen=True)
class Script:
    """What a party does, in order."""

    script: Json = ()


@dataclass(frozen=True)
class Seen(Outcome):
    """What a party saw, twice."""

    seen: list[int]
    clock: int
    again: NDArray[np.int64]


@dataclass(frozen=True)
class Stepping:
    """The plan of a ring of parties; `die`: a death that one of them brings about."""

    ring: tuple[str, ...]
    steps: int
    checkpoints: bool
    copies: int
    size: int = 4
    every: int = 1
    die: Json = None


@dataclass(frozen=True)
class Moved(Outcome):
    """Where a party's parameters came to."""

    moves: int
    clock: int
    parameters: NDArray[np.float64]


class ScriptParty:
    """Does what its slice lists, in order: send, receive, look at the last receipt, await a checkpoint.

    Every message is random, from the node's own stream; received copies are measured at once or
    sent on by the next send of copies.
    """

    Slice, Outcome = Script, Seen

    def __init__(self, slice: Script, load: Loader) -> None:
        self.script: list[dict[str, Any]] = slice.script
        self.shapes: dict[str, Any] = {}

    async def run(self, node: Node) -> Seen | None:
        held: list[Copies] = []
        seen: list[int] = []
        receipt = None
        for step in self.script:
            if step["op"] == "send":
                receipt = await node.send(step["peer"], self._message(node, step, held))
            elif step["op"] == "look":
                assert receipt is not None
                seen.append(int(receipt.lost.sum()))
            elif step["op"] == "checkpoint":
                await node.checkpoint(step["step"], State())
            else:
                message = await node.receive(step["peer"], KINDS[step["what"]])
                if isinstance(message, Copies) and step["keep"]:
                    held.append(message)
                elif isinstance(message, Copies):
                    groups = np.arange(len(message)) % 3
                    counts = node.measure(message, Projector(0), groups, 3)
                    seen += counts.ravel().tolist()
                elif isinstance(message, Answers):
                    seen += message.values.tolist()
        return Seen(seen, node.now_ps, np.array(seen, dtype=np.int64))

    def _message(self, node: Node, step: dict[str, Any], held: list[Copies]) -> Any:
        rng = node.random("script")
        size = step["size"]
        if step["what"] == "copies":
            if held:
                return held.pop(0)
            states = rng.standard_normal((2, 2 << step["qubits"])).view(np.complex128)
            states /= np.linalg.norm(states, axis=1, keepdims=True)
            return node.prepare(states, np.array([size, size // 2]))
        if step["what"] == "answers":
            return Answers(rng.integers(0, 1 << 20, size), 20)
        if step["what"] == "arrivals":
            return Arrivals(rng.integers(0, 1 << 20, size))
        octets = rng.integers(0, 256, math.ceil(size * 8 / 8), dtype=np.uint8)
        return Packed(size, 8, 0.0, size, octets)


class StepParty:
    """Steps that end in a checkpoint: a ring of parties exchanges copies and numbers, and learns from outcomes.

    In each step every party sends copies to its successor, measures those of its predecessor, tells it
    what it saw, and moves its own parameters by what it was told. Whoever is given `die` kills a process
    at that step, `before` or `after` the checkpoint, as often as the file `dead` lets it: its own, the
    one that was forked as number `whom`, or the coordinator's, which is -1.
    """

    Slice, Outcome = Stepping, Moved

    def __init__(self, slice: Stepping, load: Loader) -> None:
        self.plan = slice
        self.shapes: dict[str, Any] = {}

    async def run(self, node: Node) -> Moved:
        ring = self.plan.ring
        place = ring.index(node.name)
        after, before = ring[(place + 1) % len(ring)], ring[place - 1]
        parameters = node.random("start").standard_normal(self.plan.size)
        begun, moves = 0, 0
        if node.restored is not None:
            begun, moves = node.restored.step, node.restored.state.values["moves"]
            parameters = node.restored.state.arrays["parameters"]
        for step in range(begun + 1, self.plan.steps + 1):
            parameters, moved = await self._step(node, after, before, parameters)
            moves += moved
            self._die(step, "before")
            if self.plan.checkpoints and step % self.plan.every == 0:
                await node.checkpoint(step, State({"moves": moves}, {"parameters": parameters}))
            self._die(step, "after")
            node.progress(1, 1, f"step {step}")
        return Moved(moves, node.now_ps, parameters)

    async def _step(self, node: Node, after: str, before: str, parameters: Any) -> tuple[Any, int]:
        states = np.array([[math.cos(parameters[0]), math.sin(parameters[0])]], dtype=np.complex128)
        await node.send(after, node.prepare(states, np.array([self.plan.copies])))
        copies = await node.receive(before, Copies)
        seen = node.measure(copies, Projector(0), np.zeros(len(copies), dtype=np.int64), 1)
        await node.send(before, Answers(seen[0], 20))
        told = (await node.receive(after, Answers)).values
        noise = node.random("move").standard_normal(len(parameters))
        return parameters + 0.01 * (told[0] - told[1]) * noise, int(told.sum())

    def _die(self, step: int, when: str) -> None:
        die = self.plan.die
        if die is None or (die["step"], die["when"]) != (step, when):
            return
        with open(die["dead"], "ab") as dead:
            dead.write(b"x")
            if dead.tell() > die["times"]:
                return
        nursery = os.getppid()
        with open(f"/proc/{nursery}/task/{nursery}/children") as children:
            pids = sorted(map(int, children.read().split()))
        with open(f"/proc/{nursery}/stat") as stat:
            pids.append(int(stat.read().rpartition(")")[2].split()[1]))
        os.kill(pids[die["whom"]] if "whom" in die else os.getpid(), die.get("signal", signal.SIGKILL))


class SuicidalParty(ScriptParty):
    """Alice's process kills itself while Bob waits for her."""

    async def run(self, node: Node) -> Seen | None:
        if node.name == "alice":
            print("these are my last words", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        await node.receive("alice", Answers)
        return None


class SpyParty:
    """Uses copies twice."""

    @dataclass(frozen=True)
    class Slice:
        how: str

    Outcome = Outcome
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Slice, load: Loader) -> None:
        self.how = slice.how

    async def run(self, node: Node) -> None:
        if node.name == "bob":
            if self.how == "send twice":
                await node.receive("alice", Copies)
            return None
        copies = node.prepare(np.eye(1, 4, dtype=np.complex128), np.array([3]))
        if self.how == "send twice":
            await node.send("bob", copies)
            await node.send("bob", copies)
        else:
            node.measure(copies, Projector(0), np.zeros(3, dtype=np.int64), 1)
            node.measure(copies, Projector(0), np.zeros(3, dtype=np.int64), 1)
        return None
