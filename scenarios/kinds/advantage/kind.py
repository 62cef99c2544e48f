"""The kind `advantage`: tasks whose classical cost has a proved lower bound, over simulated links.

The quantum session comes first, then its rivals on the first instances. Scores follow the run (`judging`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.advantage.consumable import Consumable
from ketwire.protocols.advantage.fingerprint import expected
from ketwire.protocols.node import Loader
from ketwire.scenarios.kinds.advantage.judging import bound_of, claim_of, cost_of, finding, scored, verdict_of
from ketwire.scenarios.kinds.advantage.models import AdvantageResult, AdvantageSummary
from ketwire.scenarios.kinds.advantage.sessions import (
    dealt,
    fingerprint_sessions,
    one_way_sessions,
    public_of,
    wanted,
    ways_of,
)
from ketwire.scenarios.kinds.advantage.spec import AdvantageSpec, ConsumableSpec, FingerprintSpec
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.margin import retried
from ketwire.scenarios.kinds.result import Reference


class Advantage(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = AdvantageSpec
    Result = AdvantageResult

    def sessions(self, spec: AdvantageSpec, network: Network) -> Sequence[Session]:
        task = spec.root
        ways = ways_of(task, network)
        if isinstance(task, FingerprintSpec):
            return fingerprint_sessions(task, network, ways)
        return one_way_sessions(task, network, ways)

    def check(self, spec: AdvantageSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if session.role != "quantum":
            return
        task = spec.root
        for path, line in ways_of(task, network).items():
            crossing = Crossing("-".join(path), line, task.qubits)
            reason = refusal([crossing], wanted(task) * task.instances, int(task.budget_attempts))
            if reason is not None:
                raise ScenarioError(f"protocol.instances: {reason}")

    def foreseen(self, spec: AdvantageSpec, session: Session) -> Mapping[str, int] | None:
        return {"qubits": spec.root.qubits, "items": spec.root.instances} if session.role == "quantum" else None

    def summarise(self, spec: AdvantageSpec, results: Sequence[SessionResult], judge: Judge) -> AdvantageSummary:
        task, [quantum, *rivals] = spec.root, results
        told = quantum.outcomes[task.referee if isinstance(task, FingerprintSpec) else task.receiver]
        found, cost = scored(task, quantum, judge), cost_of(quantum, task.instances)
        bound = bound_of(task, found, cost)
        claim = claim_of(found, bound)
        ways = 2 if isinstance(task, FingerprintSpec) else 1
        more: dict[str, Any] = {} if found is None or found.right is None else {"right": found.right}
        return AdvantageSummary(
            task=task.task,
            qubits=task.qubits,
            instances=task.instances,
            estimate=None if found is None else found.score,
            score=None if found is None else found.score,
            standard_error=None if found is None else found.standard_error,
            cost=cost,
            bound=bound,
            margin_bits=bound.margin_bits,
            claim=claim,
            copies=ways * wanted(task) * task.instances,
            **retried(told.attempted, told.needed),
            **more,
            rivals={result.name: finding(task, result, judge) for result in rivals},
            verdict=verdict_of(claim, found, cost, bound, self._beside(task, cost.qubits_with_input)),
        )

    def _beside(self, task: Any, qubits: float) -> str:
        if not isinstance(task, ConsumableSpec):
            return ""
        even = Consumable(task.qubits, task.questions).break_even
        return (
            f" Here {task.questions} questions cost {qubits:.4g} qubits, N bits are {1 << task.qubits}: without losses "
            f"the advantage ends at {even:.4g} questions."
        )

    def exact(self, spec: AdvantageSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        """The mean score without noise; of fingerprints, for the words that were dealt."""
        task = spec.root
        if isinstance(task, FingerprintSpec):
            first, second, _ = dealt(task, network)
            return Reference(exact=expected(first, second, task.qubits, task.copies))
        return Reference(exact=public_of(task, task.instances).made().expected(0.0))
