"""What a run of the kind `advantage` came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Finding, Part, Rival, RunResult, Summary

Claim = Literal["proved", "proved for qubits alone", "not shown", "not scored"]


class Cost(Part):
    """What one instance cost on the wire, the mean over instances: until its copies had arrived, retries included."""

    qubits_emitted: float = Field(description="qubits put on fibers, photons of pairs included")
    qubits_delivered: float = Field(description="qubits that arrived")
    ebits: float = Field(description="entangled pairs that were used up")
    payload_bits: float = Field(description="classical bits that parties sent each other")
    control_bits: float = Field(description="classical bits of heralds, reports and outcomes of Bell measurements")
    virtual_time_ps: float = Field(description="the time of the run over instances")
    qubits_with_input: float = Field(
        description="qubits emitted in states of the inputs, those lost included; over pairs those that arrived, as "
        "photons of pairs carry nothing of an input"
    )
    whole: float = Field(
        description="what is compared with a bound in bits: qubits emitted in states of the inputs, or over pairs the "
        "pairs used up in their place, and all classical bits"
    )


class Bound(Part):
    """What any classical protocol needs, as far as it is proved."""

    at_score: float | None = Field(description="the score it is asked for: that of the run less 5 standard errors")
    bits: float | None = Field(description="bits an instance that every one-way protocol of that score needs, at least")
    margin_bits: float | None = Field(description="bits less the whole cost of an instance; null without a constant")
    margin_qubits: float | None = Field(description="bits less the qubits with an input alone")
    achieved_bits: float | None = Field(
        default=None,
        description="bits with which shared random states reach the score and 5 standard errors more, by their closed "
        "form; null beyond 960 bits",
    )
    form: str | None = Field(default=None, description="how the least cost grows, where no constant is proved")
    source: str = Field(description="who proved it")
    assumes: str | None = Field(default=None, description="for which protocols it holds")


class AdvantageFinding(Finding):
    """A rival, on the first instances."""

    instances: int = Field(description="that it ran on")
    score: float | None = Field(description="its mean score there; null where inputs were not at hand")
    standard_error: float | None = Field(description="of the score")
    bits_per_instance: float = Field(description="payload and control bits over instances")
    expected_score: float | None = Field(default=None, description="its closed form, where one is known")


class AdvantageSummary(Emitted, Summary):
    """A task with a proved classical cost."""

    task: str = Field(description="which")
    qubits: int = Field(description="n")
    instances: int = Field(description="of which each has fresh inputs")
    score: float | None = Field(
        description="the mean over instances; null where the judge has not the inputs of all owners"
    )
    standard_error: float | None = Field(description="of the score, from the spread over instances")
    right: float | None = Field(default=None, description="share of right answers, where answers are right or wrong")
    cost: Cost = Field(description="of one instance")
    bound: Bound = Field(description="what is proved of classical protocols")
    margin_bits: float | None = Field(description="that of the bound: above 0 where the advantage is proved")
    claim: Claim = Field(description="what the run shows")
    rivals: Mapping[str, AdvantageFinding] = Field(description="the classical rivals, by session")


class AdvantageRival(Rival, AdvantageFinding):
    """With its session's figures."""


class AdvantageResult(RunResult, AdvantageSummary):
    """The kind `advantage`."""

    rivals: Mapping[str, AdvantageRival] = Field(description="the classical rivals, by session")

    def remarks(self) -> list[str]:
        if self.score is None or self.standard_error is None:
            return []
        right = "" if self.right is None else f", right in {self.right:.4f}"
        return [f"score {self.score:.4f} ± {self.standard_error:.4f} over {self.instances:,} instances{right}."]
