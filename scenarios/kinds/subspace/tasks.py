"""What both tasks of the kind `subspace` need: the line, their sessions, and figures of their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.sides import Side, SubspaceSlice
from ketwire.protocols.stream import StreamPlan
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.margin import margin_of, retried
from ketwire.scenarios.kinds.paths import passage_of
from ketwire.scenarios.kinds.routes import line_from
from ketwire.scenarios.kinds.subspace.spec import Common


def line_of(task: Common, network: Network) -> Line:
    """The physics from sender to receiver."""
    return line_from(network, "sender", task.sender, "receiver", task.receiver)


Sides = Mapping[str, Side]
"""What each party of a session has; others than sender and receiver own nothing."""


def sides_of(task: Common, network: Network, sender: Side, receiver: Side) -> Sides:
    """`sender` and `receiver` at these two, no data at the others."""
    idle = replace(sender, own=None)
    return {**dict.fromkeys(network.parties, idle), task.sender: sender, task.receiver: receiver}


def session(name: str, program: str, sides: Sides, made: Callable[[Side], Any]) -> Session:
    """One session; made: a party's slice from its side."""
    role: Literal["quantum", "rival"] = "quantum" if program == "subspace" else "rival"
    return Session(name, role, program, {party: made(side) for party, side in sides.items()})


def streamed(task: Common, line: Line) -> Callable[[Side], SubspaceSlice]:
    """The slices of a quantum session; how many items and qubits there are, its parties find out."""
    path = (task.sender, task.receiver)
    passages = tuple(passage_of(path, [Crossing("", line, qubits)]) for qubits in range(1, MAX_QUBITS + 1))
    plan = StreamPlan(
        path,
        passages[0],
        task.copies,
        items=1,
        qubits=1,
        max_batch_octets=task.max_batch_octets,
        margin=margin_of(task.margin),
        budget_attempts=int(task.budget_attempts),
    )
    return lambda side: SubspaceSlice(side, plan, passages)


def decisions(result: SessionResult, task: Common) -> NDArray[np.int64]:
    return np.asarray(result.outcomes[task.receiver].decisions)


def accuracy(result: SessionResult, task: Common, answers: NDArray[np.int64]) -> float:
    return float((decisions(result, task) == answers).mean())


def bits_of(result: SessionResult) -> int:
    return result.totals.payload_bits + result.totals.control_bits


def quantum_figures(result: SessionResult, task: Common, items: int) -> dict[str, Any]:
    told = result.outcomes[task.receiver]
    return {
        "copies": told.measured,
        **retried(told.attempted, told.needed),
        "qubits_per_decision": result.totals.qubits_sent / items,
        "qubits_delivered_per_decision": result.totals.qubits_delivered / items,
    }
