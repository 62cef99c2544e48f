"""What a training came to."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ketwire.scenarios.kinds.margin import Emitted
from ketwire.scenarios.kinds.result import Finding, Numbers, Part, Reference, Rival, Rows, RunResult, Summary
from ketwire.scenarios.reports.units import time_text

SHOWN = 6
"""Steps that the text shows, the first and the last among them."""


class PerStep(Part):
    """A number for each step: loss and costs. Costs are sums over parties, repeaters included; what is held is not."""

    loss: Numbers = Field(description="of the batch, before the step")
    qubits_emitted: list[int] = Field(description="qubits put on fibers, photons of pairs included")
    qubits_delivered: list[int] = Field(description="qubits that arrived")
    ebits: list[int] = Field(description="entangled pairs that were used up")
    bits: list[int] = Field(description="payload and control bits")
    circuits: list[int] = Field(description="applications of parties' circuits to registers")
    registers_held: list[int] = Field(description="registers at one party at a time, at most")
    qubits_held: list[int] = Field(description="qubits at one party at a time, at most")
    attempted_copies: list[int] = Field(description="copies that were emitted")
    virtual_time_ps: list[int] = Field(description="how much later the step ended than the one before")


class Overhead(Part):
    """Operations and memory beside back-propagation of the same model in one place."""

    circuit_applications: int = Field(description="applications of parties' circuits to registers, readings included")
    backprop_circuit_applications: int = Field(description="those of back-propagation")
    operations_factor: float = Field(description="the one over the other")
    registers_at_once: int = Field(description="registers at one party at a time, at most")
    qubits_at_once: int = Field(description="qubits at one party at a time, at most")
    qubits_of_a_register: int = Field(description="qubits of a register, with flags and an ancilla if there is one")
    backprop_numbers_at_once: int = Field(description="real numbers that back-propagation stores")


class GradientErrors(Part):
    """A number for each step: its gradient beside the exact one, in the 2-norm over the exact gradient's norm."""

    norm: Numbers = Field(description="of the exact gradient, as it is")
    largest: Numbers = Field(description="largest error of a derivative, as it is")
    relative: Numbers = Field(description="error of the gradient; null where the exact one is zero, as below")
    cosine: Numbers = Field(description="of the angle between the two")
    from_shots: Numbers = Field(description="error by finitely many copies")
    from_noise: Numbers = Field(description="error by noise")


class TrainingFinding(Finding):
    """A classical rival: its accuracy, and what it had sent by then."""

    training_bits: int = Field(description="bits that it sent, without what classifies the test part")
    ahead: float | None = Field(default=None, description="its test accuracy less that of the protocol")
    classifier: str | None = Field(default=None, description="of a rival that sends data: the best in cross-validation")
    cross_validation: float | None = Field(default=None, description="its share of right decisions there")
    losses: Numbers = Field(default=[], description="of a rival that takes steps: the loss of each")
    steps_to_same_loss: int | None = Field(
        default=None, description="steps until its loss was as low as the protocol's last"
    )
    bits_to_same_loss: int | None = Field(default=None, description="bits until then")
    per_step: PerStep | None = Field(default=None, description="its costs by step")


class TrainingSummary(Emitted, Summary):
    """Losses, accuracies and costs."""

    train_loss: float | None = Field(description="on the training part, after the last step")
    train_accuracy: float | None = Field(description="on the training part, after the last step")
    validation_loss: float | None = Field(description="on the part held back, of the parameters that were kept")
    validation_accuracy: float | None = Field(description="on the part held back, of the parameters that were kept")
    test_loss: float | None = Field(description="on the test part, after the last step")
    test_accuracy: float | None = Field(description="on the test part; null if labels are no classes")
    decisions: int = Field(description="rows that the test accuracy was measured on")
    steps: int = Field(description="steps that were taken")
    losses: Numbers = Field(description="the loss of each step")
    validations: Rows = Field(description="of each validation the loss and the accuracy")
    per_step: PerStep = Field(description="loss and costs by step")
    parameters_sha256: dict[str, str] = Field(description="over the parameters at the end, by party")
    overhead: Overhead = Field(description="beside back-propagation in one place")
    rivals: Mapping[str, TrainingFinding] = Field(description="the classical rivals, by session")


class TrainingReference(Reference):
    """The same training with exact gradients in one place, and how far each step's gradient was from the exact one."""

    exact_losses: Numbers = Field(default=[], description="the loss of each step")
    exact_test_accuracy: float | None = Field(default=None, description="on the test part, after the last step")
    baseline_accuracy: float | None = Field(
        default=None, description="what an ordinary classifier comes to on the same data"
    )
    gradient_error: GradientErrors | None = Field(
        default=None, description="by step; null where the run cannot be repeated"
    )


class TrainingRival(Rival, TrainingFinding):
    """With its session's figures."""


class TrainingResult(RunResult, TrainingSummary, TrainingReference):
    """The kind `training`."""

    rivals: Mapping[str, TrainingRival] = Field(description="the classical rivals, by session")

    def remarks(self) -> list[str]:
        """A line for some steps, and one on memory."""
        if "per_step" not in self.model_fields_set or not self.per_step.loss:
            return []
        lines = _step_table(self.per_step, self.gradient_error)
        if self.gradient_error is None and "gradient_error" in self.model_fields_set:
            lines.append("gradients are not compared: the run cannot be repeated in this process.")
        held = self.overhead
        lines.append(
            f"one node held at most {held.registers_at_once:,} registers ({held.qubits_at_once:,} qubits) at "
            f"a time; back-propagation in one place stores {held.backprop_numbers_at_once:,} numbers."
        )
        return lines


def _step_table(steps: PerStep, errors: GradientErrors | None) -> list[str]:
    """What some steps came to and cost, a line each."""
    count = len(steps.loss)
    shown = sorted({round(place * (count - 1) / (SHOWN - 1)) for place in range(SHOWN)})
    head = ("step", "loss", "copies", "qubits", "ebits", "bits", "virtual time")
    table = [head + (("gradient off by", "of which shots", "and noise") if errors else ())]
    for step in shown:
        costs = (each[step] for each in (steps.attempted_copies, steps.qubits_emitted, steps.ebits, steps.bits))
        row = (str(step + 1), f"{steps.loss[step]:.4f}", *(f"{cost:,}" for cost in costs))
        row += (time_text(steps.virtual_time_ps[step]),)
        if errors:
            row += tuple(_share(each[step]) for each in (errors.relative, errors.from_shots, errors.from_noise))
        table.append(row)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]


def _share(value: float | None) -> str:
    """An error as a share of the exact gradient's norm."""
    return "-" if value is None else "0 %" if value < 1e-9 else f"{100 * value:.3g} %"
