"""The kind `inference`: a circuit whose layers belong to many parties, its loss estimated on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.scenarios.kinds.inference.amplitude import Amplitude
from ketwire.scenarios.kinds.inference.sampling import Sampling
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Judge, Network
from ketwire.scenarios.kinds.paths import part_of, route_of


class Estimation(Protocol):
    """A way to estimate the loss: `estimation` in the scenario names it. Each method is one of the kind's."""

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]: ...
    def check(self, spec: InferenceSpec, network: Network, session: Session) -> None: ...
    def summarise(
        self, spec: InferenceSpec, results: Sequence[SessionResult], network: Network
    ) -> dict[str, Any]: ...
    def compared(self, spec: InferenceSpec, result: Mapping[str, Any]) -> dict[str, Any]: ...
    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        """The quantum session as --check runs it once more, and whether all its copies end in the same state.

        None where outcomes are not drawn from the loss.
        """
        ...


ESTIMATIONS: dict[str, Estimation] = {"sampling": Sampling(), "amplitude": Amplitude()}


class Inference:
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = InferenceSpec

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]:
        return ESTIMATIONS[spec.estimation].sessions(spec, network)

    def check(self, spec: InferenceSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        ESTIMATIONS[spec.estimation].check(spec, network, session)

    def foreseen(self, spec: InferenceSpec, session: Session) -> Mapping[str, int]:
        """Nothing that `check` looks at is left to data."""
        return {"qubits": spec.qubits}

    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
        return ESTIMATIONS[spec.estimation].summarise(spec, results, judge.network)

    def compared(self, spec: InferenceSpec, result: Mapping[str, Any]) -> dict[str, Any]:
        return ESTIMATIONS[spec.estimation].compared(spec, result)

    def exact(self, spec: InferenceSpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
        from ketwire.protocols.inference_rivals import DenseStateParty, DenseStateSlice  # noqa: PLC0415 (with --check alone)

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
        return {"exact": parties[path[-1]].loss(vector)}

    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        return ESTIMATIONS[spec.estimation].witness(spec, network, session)
