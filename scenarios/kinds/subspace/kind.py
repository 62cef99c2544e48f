"""The kind `subspace`: one crossing of log2 N qubits, and the classical messages that would do the same.

Task `promise`: the judge deals a half space to the receiver and vectors inside or outside of it to
the sender, and keeps the answers. Task `classify`: the sender's vectors, the receiver's training
data, the judge's labels. See `ketwire.protocols.subspace` and `ketwire.protocols.rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.result import Reference, Summary
from ketwire.scenarios.kinds.subspace.classify import (
    classify_exact,
    classify_sessions,
    classify_summary,
    labels_of_items,
)
from ketwire.scenarios.kinds.subspace.models import ClassifyResult, PromiseResult
from ketwire.scenarios.kinds.subspace.promise import promise_exact, promise_sessions, promise_summary
from ketwire.scenarios.kinds.subspace.spec import ClassifySpec, PromiseSpec, SubspaceSpec
from ketwire.scenarios.kinds.subspace.tasks import line_of


class Subspace(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = SubspaceSpec
    Result = ClassifyResult | PromiseResult

    def sessions(self, spec: SubspaceSpec, network: Network) -> Sequence[Session]:
        task = spec.root
        line = line_of(task, network)
        if isinstance(task, PromiseSpec):
            sessions = [
                each for qubits in task.qubits for each in promise_sessions(task, network, line, qubits)
            ]
        else:
            sessions = classify_sessions(task, network, line)
        return sorted(sessions, key=lambda session: session.role != "quantum")

    def check(
        self, spec: SubspaceSpec, network: Network, session: Session, public: Mapping[str, int]
    ) -> None:
        if session.role != "quantum":
            return
        task = spec.root
        crossing = Crossing(
            f"{task.sender}-{task.receiver}", line_of(task, network), public["qubits"]
        )
        reason = refusal([crossing], task.copies * public["items"], int(task.budget_attempts))
        if reason is not None:
            raise ScenarioError(f"protocol.copies: {reason}")
        if isinstance(task, ClassifySpec):
            labels_of_items(task, Judge(network), public["items"])

    def foreseen(self, spec: SubspaceSpec, session: Session) -> Mapping[str, int] | None:
        """The judge's hand is known; how many vectors of how many entries a source holds is not."""
        task = spec.root
        if not isinstance(task, PromiseSpec) or session.role != "quantum":
            return None
        return {"qubits": int(session.name.removeprefix("n")), "items": task.trials}

    def summarise(self, spec: SubspaceSpec, results: Sequence[SessionResult], judge: Judge) -> Summary:
        task = spec.root
        if isinstance(task, PromiseSpec):
            return promise_summary(task, results, judge)
        return classify_summary(task, results, judge)

    def exact(self, spec: SubspaceSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        task = spec.root
        if isinstance(task, PromiseSpec):
            return promise_exact(task, network)
        return classify_exact(task, network, loaders)
