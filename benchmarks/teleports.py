"""Single teleportations in a stream: one qubit a message, inline, beside SQUANCH in the same run.

    python -m benchmarks teleports [--rounds 11]

teleports: Alice prepares one copy of one qubit, sends it over a link that teleports, and Bob measures it, a thousand
times one after the other, each with a message of its own, in processor time. SQUANCH's: its agents Alice and Bob, as
in its manual, teleport as many qubits of a `QStream` over channels, gate by gate; the time is that of their two
processes. Both check that each comes out as it was prepared. Without SQUANCH (make test-peers installs it) the figure
is left out, and the table says so.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.physics import processor_s
from benchmarks.report import Figure, Measure, rounds_of
from benchmarks.startup import processor_s as children_s
from ketwire.channels.copies import Copies
from ketwire.channels.line import Line
from ketwire.channels.presets import fiber
from ketwire.channels.transports import Teleport
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Link, Run, Session
from ketwire.protocols.node import Loader, Node, Outcome
from ketwire.quantum.observables import Projector

TELEPORTS = 1000
ONE = np.ones(1, dtype=np.int64)
NONE = np.zeros(1, dtype=np.int64)


@dataclass(frozen=True)
class Times:
    """How often Alice sends."""

    times: int


@dataclass(frozen=True)
class Seen(Outcome):
    """How often Bob found it."""

    seen: int


class Teleporting:
    """Alice sends |1> again and again; Bob counts how often he finds it."""

    Slice, Outcome = Times, Seen
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Times, load: Loader) -> None:
        self.told = slice

    async def run(self, node: Node) -> Seen:
        state, seen, kept = np.array([[0, 1]], dtype=np.complex128), 0, Projector(0)
        for _ in range(self.told.times):
            if node.name == "alice":
                await node.send("bob", node.prepare(state, ONE))
            else:
                seen += int(node.measure(await node.receive("alice", Copies), kept, NONE, 1)[0, 1])
        return Seen(seen)


def ours() -> None:
    line = Line(fiber("telecom-fiber", length_km=1.0), transport=Teleport(scheme="double-click"))
    slices = dict.fromkeys(("alice", "bob"), Times(TELEPORTS))
    session = Session("teleports", "quantum", "benchmarks.teleports:Teleporting", slices)
    (result,) = run_inline(Run(7, ("alice", "bob"), (Link(("alice", "bob"), line, line),), (session,)))
    assert result.outcomes["bob"].seen == TELEPORTS == result.totals.ebits


def theirs() -> None:
    """Its agents, each a process of its own, with a quantum and a classical channel between them."""
    from squanch import CNOT, Agent, H, QStream, X, Z

    class Alice(Agent):  # type: ignore[misc]
        def run(self) -> None:
            for system in self.qstream:
                sent, near, far = system.qubits
                X(sent)
                H(near)
                CNOT(near, far)
                self.qsend(bob, far)
                CNOT(sent, near)
                H(sent)
                self.csend(bob, [sent.measure(), near.measure()])

    class Bob(Agent):  # type: ignore[misc]
        def run(self) -> None:
            seen = 0
            for _ in self.qstream:
                far = self.qrecv(alice)
                phase, flip = self.crecv(alice)
                if flip:
                    X(far)
                if phase:
                    Z(far)
                seen += int(far.measure())
            self.output(seen)

    stream, output = QStream(3, TELEPORTS), Agent.shared_output()
    alice, bob = Alice(stream, output), Bob(stream, output)
    alice.qconnect(bob)
    alice.cconnect(bob)
    for agent in (alice, bob):
        agent.start()
    for agent in (alice, bob):
        agent.join()
    assert output["Bob"] == TELEPORTS


def with_children_s(action: Callable[[], object], repeats: int) -> float:
    """Processor time of this process and of those that `action` starts and waits for."""
    return processor_s(action, repeats) if action is ours else children_s(action, repeats)


def measure(rounds: int) -> list[Figure]:
    if importlib.util.find_spec("squanch") is None:
        print("teleports: SQUANCH is not installed (make test-peers); its figure is left out", file=sys.stderr)
        return []
    taken = rounds_of({"ours": ours, "theirs": theirs}, rounds, measure=with_children_s)
    return [taken.figure("teleports: one by one over SQUANCH's, CPU", "ours", "theirs", 1.0, "ms")]


MEASURES: dict[str, Measure] = {"teleports": measure}
