"""What `ketwire link` prints: the costs as a table, which transport to take, and why."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from ketwire.channels.timing import PS_PER_S
from ketwire.scenarios.linkcost import ALIKE, Answer, Cost, time_of
from ketwire.scenarios.reports.units import time_text

HEAD = ("", "arrives", "registers", "photons", "ebits", "time", "fidelity", "")
WIDTH = 100


def answer_text(answer: Answer) -> str:
    """Title, table, recommendation, notes."""
    rows = [HEAD, *(_row(cost) for cost in answer.costs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    outer = (0, len(HEAD) - 1)
    table = [
        "  ".join(
            cell.ljust(width) if column in outer else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([_title(answer), *table, *_told(answer)])


def _title(answer: Answer) -> str:
    asked, constants = answer.question, answer.memory.constants
    times = [f"{name} {time_text(round(t))}" for name, t in zip(("T1", "T2"), constants, strict=True) if t < 1e30]
    crossings = "1 crossing" if asked.crossings == 1 else f"{asked.crossings} crossings"
    shape = " (a Gaussian decay)" if answer.memory.gaussian else ""
    held = f", memories with {' and '.join(times)}{shape}" if times else ""
    return f"{asked.preset}, {answer.length_km:g} km: one register of {asked.qubits} qubit(s), {crossings}{held}"


def _row(cost: Cost) -> tuple[str, ...]:
    """Everything for one register that arrives; a refusal in its place where nothing would."""
    if cost.attempts is None and cost.success == 0.0 and cost.fidelity == 0.0:
        return (cost.transport, *("-",) * 6, "refused")
    return (
        cost.transport,
        _number(cost.success),
        _number(cost.attempts),
        "unknown" if cost.photons is None and cost.attempts is not None else _number(cost.photons),
        _number(cost.ebits),
        "> 1e296 s" if cost.time_ps is None else _time_text(cost.time_ps),
        f"{cost.fidelity:.4f}",
        "refused" if cost.refused else "",
    )


def _time_text(time_ps: float) -> str:
    return f"{time_ps / PS_PER_S:.1e} s" if time_ps >= 1e5 * PS_PER_S else time_text(round(time_ps))


def _number(value: float | None) -> str:
    if value is None:
        return "> 1e308"
    if value == 0 or 1e-3 <= value < 10:
        return f"{value:.3g}"
    return f"{value:,.0f}" if 10 <= value < 1e6 else f"{value:.1e}"


def _told(answer: Answer) -> Iterator[str]:
    take = answer.recommended
    pairs = {
        cost.transport.removesuffix(", distilled"): (cost.pairs, cost.attempt_ps)
        for cost in answer.costs if cost.pairs is not None and cost.attempt_ps is not None
    }  # fmt: skip
    if take is None:
        yield f"none brings {answer.question.copies:,} registers over within the budget of a run:"
        yield from _indented(f"{answer.costs[-1].transport}: {answer.costs[-1].refused}")
    else:
        yield from _indented(f"take {take.transport}: {_why(answer, take)}.")
    yield from _indented(
        "arrives: the probability that a register that is sent arrives; registers, photons, ebits, time: what each "
        f"one that arrives takes, in a stream of {answer.question.copies:,}; fidelity: entanglement fidelity of the "
        "first one that arrives; refused: a run of this would not start."
    )
    for label, (made, attempt_ps) in pairs.items():
        yield from _indented(
            f"{label}: a fresh pair has a fidelity of {made.fidelity:.4f} at its herald; an attempt takes "
            f"{_time_text(attempt_ps)} and succeeds with {_number(made.success_probability)}; {_number(made.pairs_hz)} "
            "pairs a second."
        )
    for note in answer.notes:
        yield from _indented(f"note: {note}.")


def _indented(text: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False)


def _why(answer: Answer, take: Cost) -> str:
    if len(answer.viable) == 1:
        return "a run of any other would be refused"
    if len(answer.alike) == 1:
        return f"the highest fidelity, no other within {ALIKE:g} of it"
    as_fast = [cost for cost in answer.alike if time_of(cost) == time_of(take)]
    photons = ", with the fewest photons" if len(as_fast) > 1 else ""
    return f"the fastest within {ALIKE:g} of the highest fidelity{photons}"
