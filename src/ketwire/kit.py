"""The stable surface for authors of protocols: everything that a program, a kind or a layer imports from ketwire.

`docs/your-own-protocol.md` says what each name is for. These names stay; where a module of ketwire has its classes is
promised nowhere else. No module of ketwire imports this one.

What needs pydantic is loaded when it is asked for, since the process of a party has no use for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ketwire.channels.copies import Copies, States, join
from ketwire.channels.messages import Answers, Arrivals, Message, Packed
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Link, Session, SessionResult
from ketwire.protocols.node import Json, Kept, Loader, Node, Observable, Outcome, Program, Receipt, Shape, State
from ketwire.protocols.stream import Batch, Stage, StreamPlan, Tally, run_stream
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.encodings import amplitude_encode, qubits_for
from ketwire.quantum.gates import Gate
from ketwire.quantum.observables import PauliString, Povm, Projector

if TYPE_CHECKING:
    from ketwire.scenarios.kinds.interface import Judge, Kind, Network
    from ketwire.scenarios.kinds.result import Finding, Numbers, Part, Reference, Rival, RunResult, Summary
    from ketwire.scenarios.schema.sources import Source
    from ketwire.scenarios.schema.strict import NodeName, Strict

_ON_DEMAND = {
    **dict.fromkeys(("Judge", "Kind", "Network"), "ketwire.scenarios.kinds.interface"),
    **dict.fromkeys(
        ("Finding", "Numbers", "Part", "Reference", "Rival", "RunResult", "Summary"), "ketwire.scenarios.kinds.result"
    ),
    "NodeName": "ketwire.scenarios.schema.strict",
    "Source": "ketwire.scenarios.schema.sources",
    "Strict": "ketwire.scenarios.schema.strict",
}

__all__ = [
    # programs
    "Node", "Program", "Loader", "Shape", "Outcome", "State", "Receipt", "Kept", "Json",
    # what they send
    "Copies", "States", "join", "Answers", "Packed", "Arrivals", "Message",
    # streams of copies through lossy paths
    "StreamPlan", "Stage", "Batch", "Tally", "run_stream",
    # mathematics
    "Gate", "Circuit", "Contraction", "Observable", "Projector", "PauliString", "Povm", "amplitude_encode",
    "qubits_for",
    # kinds
    "Kind", "Strict", "NodeName", "Source", "Network", "Link", "Session", "SessionResult", "Judge", "ScenarioError",
    # results
    "RunResult", "Summary", "Reference", "Finding", "Rival", "Part", "Numbers",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
