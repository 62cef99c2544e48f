"""What a run of the kind `subspace` came to, by task."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Finding, Part, Reference, Rival, RunResult, Summary

# ---------------------------------------------------------------- the task classify


class ClassifyFinding(Finding):
    """A rival that sent vectors or class subspaces."""

    test_accuracy: float = Field(description="share of right decisions on the sender's vectors")
    bits_per_decision: float = Field(description="payload and control bits over decisions")
    form: str | None = Field(default=None, description="how vectors were sent: dense or sparse")
    classifier: str | None = Field(default=None, description="the receiver's, the best in cross-validation")
    cross_validation: float | None = Field(default=None, description="its share of right decisions there")


class ClassifySummary(Emitted, Summary):
    """The sender's vectors were classified by the receiver's training data."""

    qubits_per_decision: float = Field(description="qubits sent over decisions")
    qubits_delivered_per_decision: float = Field(description="qubits that arrived over decisions")
    decisions: int = Field(description="vectors that were classified")
    test_accuracy: float = Field(description="share of right decisions on them")
    baseline_accuracy: float = Field(description="that of the rival that sends vectors at most bits")
    rivals: Mapping[str, ClassifyFinding] = Field(description="the classical rivals, by session")


class ClassifyReference(Reference):
    """What the same decisions come to without shot noise."""

    exact_accuracy: float | None = Field(default=None, description="of the measurement with unlimited copies")
    nearest_subspace_accuracy: float | None = Field(default=None, description="of the exact nearest class subspace")


class ClassifyRival(Rival, ClassifyFinding):
    """With its session's figures."""


class ClassifyResult(RunResult, ClassifySummary, ClassifyReference):
    """The kind `subspace`, task `classify`."""

    rivals: Mapping[str, ClassifyRival] = Field(description="the classical rivals, by session")


# ---------------------------------------------------------------- the task promise


class PromiseFinding(Finding):
    """A rival at one size."""

    accuracy: float = Field(description="share of right decisions")
    bits_per_decision: float = Field(description="payload and control bits over decisions")
    bits_for_one_decision: int | None = Field(
        default=None, description="of a description, which serves all decisions alike"
    )


class Size(Part):
    """The task at one size."""

    n: int = Field(description="qubits")
    N: int = Field(description="entries of a vector")
    qubits_per_decision: float = Field(description="qubits sent over decisions")
    bits_per_decision: float = Field(description="classical bits beside them, heralds and reports on lossy fibers")
    accuracy: float = Field(description="share of right decisions")
    rivals: dict[str, PromiseFinding] = Field(description="the classical rivals at this size, by name")


class PromiseSummary(Emitted, Summary):
    """Vectors inside or outside of half spaces that a judge dealt."""

    accuracy: float = Field(description="share of right decisions, the mean over sizes")
    sizes: list[Size] = Field(description="a row for each size")
    rivals: Mapping[str, PromiseFinding] = Field(description="the classical rivals, by session")


class PromiseReference(Reference):
    """What the same decisions come to without shot noise."""

    exact_accuracy: float | None = Field(default=None, description="expected from the exact probabilities, of one copy")


class PromiseRival(Rival, PromiseFinding):
    """With its session's figures."""


class PromiseResult(RunResult, PromiseSummary, PromiseReference):
    """The kind `subspace`, task `promise`."""

    rivals: Mapping[str, PromiseRival] = Field(description="the classical rivals, by session")
