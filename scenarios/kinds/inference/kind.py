"""The kind `inference`: a circuit whose layers belong to many parties, its loss estimated on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.inference_rivals import DenseStateParty, DenseStateSlice
from ketwire.protocols.node import Loader
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.scenarios.kinds.inference.models import AmplitudeResult, SamplingResult
from ketwire.scenarios.kinds.inference.sampling import Sampling
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.paths import part_of, route_of
from ketwire.scenarios.kinds.result import Reference, RunResult, Summary


class Estimation(Protocol):
    """A way to estimate the loss: `estimation` in the scenario names it. Each method is one of the kind's."""

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]: ...
    def check(self, spec: InferenceSpec, network: Network, session: Session) -> None: ...
    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], network: Network) -> Summary: ...
    def compared(self, spec: InferenceSpec, summary: Any, result: RunResult) -> Summary: ...
    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        """The quantum session as --check runs it once more, and whether all its copies end in the same state.

        None where outcomes are not drawn from the loss.
        """
        ...


def _estimation(spec: InferenceSpec) -> Estimation:
    if spec.estimation == "sampling":
        return Sampling()
    from ketwire.scenarios.kinds.inference.amplitude import Amplitude  # noqa: PLC0415

    return Amplitude()


class Inference(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = InferenceSpec
    Result = SamplingResult | AmplitudeResult

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]:
        return _estimation(spec).sessions(spec, network)

    def check(self, spec: InferenceSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        _estimation(spec).check(spec, network, session)

    def foreseen(self, spec: InferenceSpec, session: Session) -> Mapping[str, int]:
        """Nothing that `check` looks at is left to data."""
        return {"qubits": spec.qubits}

    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], judge: Judge) -> Summary:
        return _estimation(spec).summarise(spec, results, judge.network)

    def compared(self, spec: InferenceSpec, summary: Summary, result: RunResult) -> Summary:
        return _estimation(spec).compared(spec, summary, result)

    def exact(self, spec: InferenceSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        path, visits = route_of(spec, network)
        coherent = spec.estimation == "amplitude"
        parts = {party: part_of(spec, network, party, path, visits) for party in dict.fromkeys(path)}
        parties = {
            party: DenseStateParty(DenseStateSlice(part, EXACT_BITS, coherent), loaders[party])
            for party, part in parts.items()
        }
        vector = parties[path[0]].start()
        for visit, party in enumerate(path):
            vector = parties[party].carry(visit, vector)
        return Reference(exact=parties[path[-1]].loss(vector))

    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        return _estimation(spec).witness(spec, network, session)
