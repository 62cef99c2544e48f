"""Some steps of a training as text: what each came to and cost; all of them are in the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHOWN = 6
"""Steps that are shown, the first and the last among them."""


def step_lines(result: Mapping[str, Any], time_text: Any) -> list[str]:
    """A line for some steps, and one on memory; none for a result that has no steps.

    time_text: how a virtual time is told, from picoseconds
    """
    per_step, overhead = result.get("per_step"), result.get("overhead")
    if not per_step or not overhead or not per_step["loss"]:
        return []
    errors = result.get("gradient_error")
    count = len(per_step["loss"])
    shown = sorted({round(place * (count - 1) / (SHOWN - 1)) for place in range(SHOWN)})
    head = ("step", "loss", "copies", "qubits", "ebits", "bits", "virtual time")
    table = [head + (("gradient off by", "of which shots", "and noise") if errors else ())]
    for step in shown:
        costs = (per_step[name][step] for name in ("attempted_copies", "qubits_emitted", "ebits", "bits"))
        row = (str(step + 1), f"{per_step['loss'][step]:.4f}", *(f"{cost:,}" for cost in costs))
        row += (time_text(per_step["virtual_time_ps"][step]),)
        if errors:
            row += tuple(_share(errors[name][step]) for name in ("relative", "from_shots", "from_noise"))
        table.append(row)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    if errors is None and "gradient_error" in result:
        lines.append("gradients are not compared: the run cannot be repeated in this process.")
    lines.append(
        f"one node held at most {overhead['registers_at_once']:,} registers ({overhead['qubits_at_once']:,} qubits) at "
        f"a time; back-propagation in one place stores {overhead['backprop_numbers_at_once']:,} numbers."
    )
    return lines


def _share(value: float | None) -> str:
    """An error as a share of the exact gradient's norm."""
    return "-" if value is None else "0 %" if value < 1e-9 else f"{100 * value:.3g} %"
