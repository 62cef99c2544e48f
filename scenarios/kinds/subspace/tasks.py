"""What both tasks of the kind `subspace` need: the line, their sessions, and figures of their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing, round_copies
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Slice
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.margin import margin_of, retried
from ketwire.scenarios.kinds.routes import line_between
from ketwire.scenarios.kinds.subspace.spec import ClassifySpec, Common, PromiseSpec
from ketwire.scenarios.schema.chains import plan_values
from ketwire.scenarios.schema.strict import some


def line_of(task: Common, network: Network) -> Line:
    """The physics from sender to receiver."""
    for key, party in (("sender", task.sender), ("receiver", task.receiver)):
        if party not in network.parties:
            raise ScenarioError(
                f"protocol.{key}: {party!r} given, expected a node: {some(network.parties)}"
            )
    if task.sender == task.receiver:
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected another node than the sender"
        )
    link = network.link(task.sender, task.receiver)
    if link is None:
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected a node with a link to {task.sender}"
        )
    if network.is_hop(task.sender, task.receiver):
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected a node with a link to {task.sender} over which "
            "no chain of repeaters makes its pairs"
        )
    return line_between(network, task.sender, task.receiver)


def session(
    task: PromiseSpec | ClassifySpec,
    network: Network,
    name: str,
    program: str,
    *,
    common: Mapping[str, Any],
    sender: Slice,
    receiver: Slice,
) -> Session:
    """One session: `common` is public, `sender` and `receiver` add what each owns, others have nothing."""
    public = {"task": task.task, "sender": task.sender, "receiver": task.receiver, **common}
    beside = public if "chains" in common else {"task": task.task}  # repeaters share the plan
    slices = {party: Slice({**beside, "role": "idle"}) for party in network.parties}
    for party, part, own in ((task.sender, "sender", sender), (task.receiver, "receiver", receiver)):
        slices[party] = Slice({"role": part, **public, **own.values}, own.arrays)
    role: Literal["quantum", "rival"] = "quantum" if program == "subspace" else "rival"
    return Session(name, role, program, slices)


def stream_values(task: Common, line: Line) -> dict[str, Any]:
    return {
        "copies": task.copies,
        "survivals": [line.survival(qubits) for qubits in range(1, MAX_QUBITS + 1)],
        "max_batch_octets": task.max_batch_octets,
        "budget_attempts": int(task.budget_attempts),
        "margin": margin_of(task.margin),
        "round_copies": [round_copies([Crossing("", line, qubits)]) for qubits in range(1, MAX_QUBITS + 1)],
        **({"chains": [chain]} if (chain := plan_values(line, task.sender, task.receiver)) is not None else {}),
    }


def decisions(result: SessionResult, task: Common) -> NDArray[np.int64]:
    return np.asarray(result.outcomes[task.receiver].arrays["decisions"], dtype=np.int64)


def accuracy(result: SessionResult, task: Common, answers: NDArray[np.int64]) -> float:
    return float((decisions(result, task) == answers).mean())


def bits_of(result: SessionResult) -> int:
    return result.totals.payload_bits + result.totals.control_bits


def quantum_figures(result: SessionResult, task: Common, items: int) -> dict[str, Any]:
    told = result.outcomes[task.receiver].values
    return {
        "copies": told["measured"],
        **retried(told["attempted"], told["needed"]),
        "qubits_per_decision": result.totals.qubits_sent / items,
        "qubits_delivered_per_decision": result.totals.qubits_delivered / items,
    }
