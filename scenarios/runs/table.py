"""The final table: the quantum protocol beside its classical rivals, and who wins.

A terminal gets it drawn by rich; everything else gets aligned plain text, without importing rich.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ketwire.scenarios.kinds.bias import bias_lines
from ketwire.scenarios.kinds.result import Figures, Finding, Intercepted, RunResult, Summary
from ketwire.scenarios.kinds.verdict import (
    Decision,
    Rival,
    Standing,
    Winner,
    by_accuracy,
    by_promise,
    decided,
    undecided,
)
from ketwire.scenarios.reports.units import time_text

HEAD = ("", "qubits sent", "delivered", "payload bits", "control bits", "virtual time", "result")

JUDGED_BY = ("summarise", "compared", "table")
"""Steps after the run without which the winner is not known."""

SHOWN_CHARACTERS = 160
"""Of what one party's program returned, where no summary tells of it."""


def table_text(result: RunResult) -> str:
    """The table as aligned plain text."""
    result = _showable(result)
    rows = [HEAD, *_rows(result)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, len(HEAD) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([_title(result), *lines, *remarks(result), verdict(result)])


def print_table(result: RunResult) -> None:
    """The table on a terminal."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    result = _showable(result)
    console = Console(highlight=False, markup=False)
    table = Table(title=_title(result), title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    for column, head in enumerate(HEAD):
        # Heads may wrap where the terminal is narrow, names and results may not.
        outer = column in (0, len(HEAD) - 1)
        table.add_column(head, justify="left" if outer else "right", no_wrap=outer)
    rows = _rows(result)
    for row in rows:
        table.add_row(*row)
    if _narrowest(rows) > console.width:
        console.print(table_text(result), soft_wrap=True)
    else:
        console.print(table)
        console.print("\n".join([*remarks(result), verdict(result)]))


def _narrowest(rows: Sequence[tuple[str, ...]]) -> int:
    """The columns that the table needs if its heads wrap between their words."""
    heads = [max((len(word) for word in head.split()), default=0) for head in HEAD]
    widths = [max(heads[column], *(len(row[column]) for row in rows)) for column in range(len(HEAD))]
    return sum(widths) + 2 * len(HEAD)


def verdict(result: RunResult) -> str:
    """One sentence: who wins on communication among runs that are as accurate (`scenarios.kinds.verdict`), by what
    factor.

    Quantum communication is the qubits emitted (pairs used up, where the number of photons is not known)
    and the classical bits beside them; a rival's is its bits. A rival that says `comparable: False` counts as less
    accurate. A protocol whose sessions are no rivals of each other (many sizes, say) says `verdict` itself. Where what
    decides failed after the run, nobody wins.
    """
    if missing := [step for step in JUDGED_BY if step in result.failed_steps()]:
        return f"no verdict, as {missing[0]} failed; quantum took {_spoken(result)}."
    if result.verdict:
        return result.verdict
    quantum = _qubits(result) + result.payload_bits + result.control_bits
    winner, rival = _decided(result)
    if winner is Winner.NOBODY or rival is None:
        return f"{undecided(rival, bool(result.rivals), 'more copies')}. Quantum took {_spoken(result)}."
    bits, beside = int(rival.cost), _accuracies(result, result.rivals[rival.name])
    if winner is Winner.TIE:
        who = f"quantum and the classical rival {rival.name} tie"
        return f"{who} on communication: {_spoken(result)}, {bits:,} bits{beside}."
    by = _factor(max(bits, quantum), min(bits, quantum))
    if winner is Winner.CLASSICAL:
        said = f"{bits:,} bits against {_spoken(result)}{beside}"
        return f"the classical rival {rival.name} wins on communication{by}: {said}."
    return f"quantum wins on communication{by}: {_spoken(result)} against {bits:,} bits of {rival.name}{beside}."


def winner(result: RunResult) -> Winner | None:
    """Who wins by the verdict of a whole result; None where its kind words that itself, or where a step failed."""
    if result.failed_steps() or verdict(result.model_copy(update={"verdict": ""})) != result.verdict:
        return None
    return _decided(result).winner


def _decided(result: RunResult) -> Decision:
    quantum = _qubits(result) + result.payload_bits + result.control_bits
    return decided(quantum, [Rival(name, each.bits, _standing(result, each)) for name, each in result.rivals.items()])


def _standing(result: RunResult, rival: Finding) -> Standing:
    if rival.comparable is False or result.comparable is False:
        return by_promise(result.comparable is not False, rival.comparable is not False)
    quantum, classical = _accuracy(result), _accuracy(rival)
    if quantum is None or classical is None:
        return Standing.SAME
    return by_accuracy(quantum, classical, result.decisions)


def _accuracies(result: RunResult, rival: Finding) -> str:
    quantum, classical = _accuracy(result), _accuracy(rival)
    if quantum is None or classical is None:
        return ""
    return f", at an accuracy of {quantum:.3f} (quantum) and {classical:.3f}"


def remarks(result: RunResult) -> list[str]:
    """What is said between the table and its verdict."""
    lines = [*idle_lines(result), *pair_lines(result), *bias_lines(result), *result.remarks()]
    assumed = [f"assumption: {result.assumption}."] if result.assumption else []
    return [*lines, *intercepted(result), *assumed, *_outcomes(result)]


def idle_lines(result: RunResult) -> list[str]:
    """When the links are idle, where that is later than the result to the digits that the table shows."""
    idle, known = time_text(result.links_idle_ps), time_text(result.virtual_time_ps)
    return [] if idle == known else [f"The links are idle after {idle}, when the last copy or report has arrived."]


def _outcomes(result: RunResult) -> list[str]:
    """A line on what each party's program returned, for a result that the kind could not summarise."""
    if "summarise" not in result.failed_steps():
        return []
    lines = []
    for session, parties in result.outcomes.items():
        for party, outcome in parties.items():
            told = json.dumps(outcome, ensure_ascii=False)
            rest = " ..." if len(told) > SHOWN_CHARACTERS else ""
            lines.append(f"{session}, {party}: {told[:SHOWN_CHARACTERS]}{rest}")
    return lines


def _showable(result: RunResult) -> RunResult:
    """The result, or if the table cannot show what the kind makes of it, what ketwire itself counted."""
    return result.counted() if "table" in result.failed_steps() else result


def intercepted(result: RunResult) -> list[str]:
    """A line on each direction of each session that an eavesdropper listened in: what she got."""
    lines = []
    for session in result.sessions:
        for direction, got in result.eve.get(session.name, {}).items():
            copies = session.directions[direction].copies
            what = [_intercepted_of_copies(got, copies)] if copies else []
            what += [f"read all {got.bits:,} classical bits"] if got.bits else []
            if what:
                lines.append(f"Eve, {direction}, {session.name}: {'; '.join(what)}.")
    return lines


def _intercepted_of_copies(got: Intercepted, copies: int) -> str:
    photons = f"{got.photons:,} photons of {got.copies:,} of {copies:,} copies"
    if got.attack == "intercept-resend":
        return f"measured {photons} and sent on what she saw"
    return f"holds {photons}, {got.whole_copies:,} of these whole"


def _title(result: RunResult) -> str:
    seeds = f"seed {result.seed}"
    if result.workload_seed is not None:
        seeds += f", workload seed {result.workload_seed}"
    return f"{result.scenario}: {result.protocol}, {seeds}, {result.wall_s:.2f} s"


def _rows(result: RunResult) -> Sequence[tuple[str, ...]]:
    """One row for quantum, each of its sessions before it where it has several, one for each rival."""
    quantum = [each for each in result.sessions if each.role == "quantum"]
    found = {each.name: result.of_session(each.name) for each in quantum}
    parts = [_row(each.name, each, found[each.name]) for each in quantum] if len(quantum) > 1 else []
    # Sums over sessions that each came to something of their own came to nothing themselves.
    apart = parts and any(each is not None for each in found.values())
    whole = _row("quantum, all" if parts else "quantum", result, None if apart else result)
    return [*parts, whole, *(_row(name, rival, rival) for name, rival in result.rivals.items())]


def _row(name: str, figures: Figures, found: Finding | None) -> tuple[str, ...]:
    counts = (figures.qubits_sent, figures.qubits_delivered, figures.payload_bits, figures.control_bits)
    shown = "" if found is None else _outcome(found)
    return (name, *(f"{count:,}" for count in counts), time_text(figures.virtual_time_ps), shown)


def _outcome(found: Finding) -> str:
    """Accuracy or estimate, as the protocol has it."""
    accuracy = _accuracy(found)
    if accuracy is not None:
        baseline = found.baseline_accuracy if isinstance(found, Summary) else None
        return f"accuracy {accuracy:.3f}" + (f" (baseline {baseline:.3f})" if baseline is not None else "")
    estimate, error = found.estimate, found.error
    if isinstance(estimate, list):
        text = f"{len(estimate)} estimates"
    else:
        text = "" if estimate is None else f"{estimate:.5g}" if isinstance(estimate, float) else str(estimate)
    return text + (f", off by {error:.2g}" if error is not None and text else "")


def _accuracy(found: Finding) -> float | None:
    return found.accuracy if found.test_accuracy is None else found.test_accuracy


def _factor(large: int, small: int) -> str:
    if not small:
        return " without sending anything"
    factor = large / small
    return f" by a factor of {factor:.3g}" if factor < 1000 else f" by a factor of {factor:,.0f}"


def _spoken(result: RunResult) -> str:
    bits = result.payload_bits + result.control_bits
    what = "qubits" if result.qubits_sent == _qubits(result) else "entangled pairs"
    return f"{_qubits(result):,} {what}" + (f" and {bits:,} bits" if bits else "")


def _qubits(result: RunResult) -> int:
    """Pairs at a measured rate come without a number of photons; each of them is one qubit sent, at least."""
    return max(result.qubits_sent, result.ebits)


def pair_lines(result: RunResult) -> list[str]:
    """A line on the pairs that were used up, where any were."""
    ebits = result.ebits
    if not ebits:
        return []
    if not result.qubits_sent:
        return [f"{ebits:,} entangled pairs were used up (ebits); how many photons they took is not known."]
    return [f"{ebits:,} entangled pairs were used up (ebits); the qubits sent are their photons, failed ones included."]
