"""What a run of the kind `graph` came to."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Finding, Numbers, Reference, Rival, Rows, RunResult, Summary


class GraphFinding(Finding):
    """A rival that sent features, sums of them, or signs."""

    test_accuracy: float | None = Field(default=None, description="share of right decisions")
    bits_per_decision: float = Field(description="payload and control bits over decisions")


class GraphSummary(Emitted, Summary):
    """Logits and decisions of a graph network."""

    ran: bool = Field(description="whether copies were sent; not where they would pass the budget")
    not_run: str = Field(default="", description="why no copies were sent")
    logits: Rows = Field(default=[], description="by item, less their mean where eigenbases were measured")
    answers: Numbers = Field(default=[], description="by decision: the class, or 1 for yes and 0 for no")
    decisions: int = Field(description="how many there are")
    test_accuracy: float | None = Field(description="share of right ones, if any were made")
    agreement: float | None = Field(
        default=None, description="share of decisions that are those of the central forward pass, with --check"
    )
    accuracy_change: float | None = Field(
        default=None, description="test_accuracy less that of the central forward pass, with --check"
    )
    copies_per_item: int = Field(description="measured copies of each register, K")
    registers: Numbers = Field(description="qubits of the register of each item")
    alpha: Numbers = Field(description="α of each item: what T' is divided by, or the root of a form's norm")
    sizes: Numbers = Field(description="||x'|| of each item, the constant included")
    constants: Numbers = Field(description="the constant s of each item")
    epsilon: Numbers = Field(description="by item, what logits are off by at most, by Hoeffding's bound")
    delta: float = Field(description="with which probability epsilon fails at most")
    qubits_per_decision: float = Field(description="qubits sent over decisions")
    bits_per_decision: float = Field(description="classical bits beside them, over decisions")
    ebits_per_decision: float = Field(description="entangled pairs that were used up, over decisions")
    rivals: Mapping[str, GraphFinding] = Field(description="the classical rivals, by session")


class GraphReference(Reference):
    """What the central forward pass says, and how many copies its decisions take without noise."""

    central_accuracy: float | None = Field(default=None, description="share of its decisions that are right")
    central_answers: Numbers = Field(default=[], description="by decision: the class, or 1 for yes and 0 for no")
    copies_needed: Numbers = Field(
        default=[], description="by decision: copies at which it is the central one with probability 0.95; or null"
    )
    copies_95: float | None = Field(default=None, description="copies that are enough for 95% of the decisions")
    copies_median: float | None = Field(default=None, description="copies that are enough for half of them")
    qubits_95: float | None = Field(default=None, description="qubits of a decision at copies_95, on a perfect link")
    alpha_median: float | None = Field(default=None, description="α, the median over items")
    size_median: float | None = Field(default=None, description="||x'||, the median over items")


class GraphRival(Rival, GraphFinding):
    """With its session's figures."""


class GraphResult(RunResult, GraphSummary, GraphReference):
    """The kind `graph`."""

    rivals: Mapping[str, GraphRival] = Field(description="the classical rivals, by session")

    def remarks(self) -> list[str]:
        """Copies, α and norms; and with --check what the decisions take."""
        lines = [] if self.ran else [f"not run: {self.not_run}."]
        lines.append(
            f"{registers_text(self.copies_per_item, len(self.registers))} of {_range(self.registers, 'g')} qubits; "
            f"α {_range(self.alpha)}, ||x'|| {_range(self.sizes)}; logits off by at most {_range(self.epsilon)} "
            f"with probability {1 - self.delta:g}."
        )
        if self.central_accuracy is not None and not self.copies_needed:
            same = "" if self.agreement is None else f"; {self.agreement:.3f} of the decisions are the same"
            lines.append(f"the head that is learnt without shot noise is right in {self.central_accuracy:.3f}{same}.")
        if self.copies_needed:
            enough = "no number of" if self.copies_95 is None else f"{self.copies_95:,.0f}"
            same = "" if self.agreement is None else f"; {self.agreement:.3f} of the decisions are the same"
            lines.append(
                f"the forward pass in one place is right in {self.central_accuracy:.3f}{same}; {enough} copies of "
                "each register are enough for 95% of the decisions, each with probability 0.95."
            )
        return lines


def registers_text(copies: int, registers: int) -> str:
    """So many copies of each of so many registers, in words."""
    return f"{copies:,} copies of " + ("one register" if registers == 1 else f"each of {registers:,} registers")


def _range(numbers: Numbers, form: str = ".3g") -> str:
    known = [each for each in numbers if each is not None]
    if not known:
        return "?"
    low, high = (format(each, form) for each in (min(known), max(known)))
    return low if low == high else f"{low} to {high}"
