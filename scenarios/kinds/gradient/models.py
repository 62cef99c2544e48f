"""What a run of the kind `gradient` came to."""

from __future__ import annotations

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Finding, Numbers, RunResult, Summary


class Estimated(Emitted, Finding):
    """What one estimator found, and what it took."""

    estimate: Numbers = Field(description="all partial derivatives, in the order of the circuit")
    copies: int = Field(description="copies that came to be measured")
    copies_used: int = Field(description="copies that were measured")
    copies_per_state: dict[str, int] = Field(description="copies that came to be measured, by visit of the register")
    range_per_state: dict[str, float | None] = Field(description="range of a copy's outcome, by visit of the register")
    qubits_sent: int = Field(description="qubits put on fibers, photons of pairs included")
    ebits: int = Field(description="entangled pairs that were used up")
    bits: int = Field(description="payload and control bits")
    virtual_time_ps: int = Field(description="when its gradient was known")
    promised: bool = Field(description="whether its copies were counted for epsilon and delta")
    promise_kept: bool | None = Field(
        default=None, description="whether it was off by epsilon at most; null if not judged"
    )


class GradientSummary(Summary):
    """All partial derivatives of a circuit, by each estimator; the estimate at the top is the first one's."""

    estimate: Numbers = Field(description="all partial derivatives, in the order of the circuit")
    copies: int = Field(description="copies that came to be measured, over all estimators")
    parameters: int = Field(description="how many derivatives there are")
    epsilon: float | None = Field(description="largest error that the scenario asks for")
    delta: float | None = Field(description="probability that one is off by more")
    noisy: bool = Field(description="whether links or nodes disturb copies, or readouts err")
    estimators: dict[str, Estimated] = Field(description="what each estimator came to, by session")
    bias: float | None = Field(
        default=None, description="distance of the noisy mean from the exact gradient, with --check"
    )
    bias_radius: float | None = Field(
        default=None, description="what the noisy mean is off by at most, as far as it is known"
    )


class GradientResult(RunResult, GradientSummary):
    """The kind `gradient`."""

    noisy: bool = Field(description="whether links or nodes disturb copies, or readouts err")
    estimate: Numbers = Field(description="all partial derivatives, in the order of the circuit")

    def of_session(self, name: str) -> Finding | None:
        return self.estimators.get(name)
