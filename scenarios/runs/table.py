"""The final table: the quantum protocol beside its classical rivals, and who wins.

A terminal gets it drawn by rich; everything else gets aligned plain text, without importing rich.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ketwire.scenarios.kinds.bias import bias_lines
from ketwire.scenarios.kinds.verdict import Rival, Standing, Winner, by_accuracy, by_promise, decided, undecided
from ketwire.scenarios.runs.results import counted, failed_steps
from ketwire.scenarios.runs.steptext import step_lines

HEAD = ("", "qubits sent", "delivered", "payload bits", "control bits", "virtual time", "result")

JUDGED_BY = ("summarise", "compared", "table")
"""Steps after the run without which nobody can say who won."""

SHOWN_CHARACTERS = 160
"""Of what one party's program returned, where no summary tells of it."""

_UNITS = ((10**12, "s"), (10**9, "ms"), (10**6, "us"), (10**3, "ns"), (1, "ps"))


def table_text(result: Mapping[str, Any]) -> str:
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


def print_table(result: Mapping[str, Any]) -> None:
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


def verdict(result: Mapping[str, Any]) -> str:
    """One sentence: who wins on communication among runs that are as accurate (`scenarios.kinds.verdict`), by what
    factor.

    Quantum communication is the qubits emitted (pairs used up, where nobody knows what photons they took)
    and the classical bits beside them; a rival's is its bits. A rival that says `comparable: False` counts as less
    accurate. A protocol whose sessions are no rivals of each other (many sizes, say) says `verdict` itself. Where what
    decides failed after the run, nobody wins.
    """
    if missing := [step for step in JUDGED_BY if step in failed_steps(result)]:
        return f"no verdict, as {missing[0]} failed; quantum took {_spoken(result)}."
    if isinstance(result.get("verdict"), str):
        return str(result["verdict"])
    quantum = _qubits(result) + result["payload_bits"] + result["control_bits"]
    rivals = [Rival(name, told["bits"], _standing(result, told)) for name, told in result["rivals"].items()]
    winner, rival = decided(quantum, rivals)
    if winner is Winner.NOBODY or rival is None:
        return f"{undecided(rival, bool(rivals), 'more copies')}. Quantum took {_spoken(result)}."
    bits, beside = int(rival.cost), _accuracies(result, result["rivals"][rival.name])
    if winner is Winner.TIE:
        return f"quantum and the classical {rival.name} tie on communication: {_spoken(result)}, {bits:,} bits{beside}."
    by = _factor(max(bits, quantum), min(bits, quantum))
    if winner is Winner.CLASSICAL:
        said = f"{bits:,} bits against {_spoken(result)}{beside}"
        return f"the classical {rival.name} wins on communication{by}: {said}."
    return f"quantum wins on communication{by}: {_spoken(result)} against {bits:,} bits of {rival.name}{beside}."


def _standing(result: Mapping[str, Any], rival: Mapping[str, Any]) -> Standing:
    if rival.get("comparable") is False or result.get("comparable") is False:
        return by_promise(result.get("comparable") is not False, rival.get("comparable") is not False)
    quantum, classical = _accuracy(result), _accuracy(rival)
    if quantum is None or classical is None:
        return Standing.SAME
    return by_accuracy(quantum, classical, result.get("decisions"))


def _accuracies(result: Mapping[str, Any], rival: Mapping[str, Any]) -> str:
    quantum, classical = _accuracy(result), _accuracy(rival)
    if quantum is None or classical is None:
        return ""
    return f", at an accuracy of {quantum:.3f} (quantum) and {classical:.3f}"


def remarks(result: Mapping[str, Any]) -> list[str]:
    """What is said between the table and its verdict."""
    lines = [*idle_lines(result), *pair_lines(result), *bias_lines(result), *step_lines(result, time_text)]
    assumed = [f"assumption: {result['assumption']}."] if result.get("assumption") else []
    return [*lines, *spoils(result), *assumed, *_outcomes(result)]


def idle_lines(result: Mapping[str, Any]) -> list[str]:
    """When the links are idle, where that is later than the result to the digits that the table shows."""
    idle, known = (time_text(result[key]) for key in ("links_idle_ps", "virtual_time_ps"))
    return [] if idle == known else [f"The links are idle after {idle}, when the last copy and report has arrived."]


def _outcomes(result: Mapping[str, Any]) -> list[str]:
    """A line on what each party's program returned, for a result that the kind could not summarise."""
    if "summarise" not in failed_steps(result):
        return []
    lines = []
    for session, parties in result.get("outcomes", {}).items():
        for party, outcome in parties.items():
            told = json.dumps(outcome, ensure_ascii=False)
            rest = " ..." if len(told) > SHOWN_CHARACTERS else ""
            lines.append(f"{session}, {party}: {told[:SHOWN_CHARACTERS]}{rest}")
    return lines


def _showable(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The result, or if the table cannot show what the kind makes of it, what ketwire itself counted."""
    return counted(result) if "table" in failed_steps(result) else result


def spoils(result: Mapping[str, Any]) -> list[str]:
    """A line on each direction of each session that an eavesdropper listened in: what she got."""
    lines = []
    for session in result.get("sessions", ()):
        for direction, got in result.get("eve", {}).get(session["name"], {}).items():
            copies = session["directions"][direction]["copies"]
            what = [_spoils_of_copies(got, copies)] if copies else []
            what += [f"read all {got['bits']:,} classical bits"] if got["bits"] else []
            if what:
                lines.append(f"Eve, {direction}, {session['name']}: {'; '.join(what)}.")
    return lines


def _spoils_of_copies(got: Mapping[str, Any], copies: int) -> str:
    photons = f"{got['photons']:,} photons of {got['copies']:,} of {copies:,} copies"
    if got["attack"] == "intercept-resend":
        return f"measured {photons} and sent on what she saw"
    return f"holds {photons}, {got['whole_copies']:,} of these whole"


def time_text(time_ps: int) -> str:
    """A virtual time in the unit that suits it."""
    for size, unit in _UNITS:
        if abs(time_ps) >= size:
            return f"{time_ps / size:.4g} {unit}"
    return "0 s"


def _title(result: Mapping[str, Any]) -> str:
    seeds = f"seed {result['seed']}"
    if "workload_seed" in result:
        seeds += f", workload seed {result['workload_seed']}"
    return f"{result['scenario']}: {result['protocol']}, {seeds}, {result['wall_s']:.2f} s"


def _rows(result: Mapping[str, Any]) -> Sequence[tuple[str, ...]]:
    """One row for quantum, each of its sessions before it where it has several, one for each rival."""
    quantum = [each for each in result.get("sessions", ()) if each["role"] == "quantum"]
    told = result.get("estimators", {})  # what a session came to, where a kind says it for each
    parts = [_row(each["name"], {**each, **told.get(each["name"], {})}) for each in quantum] if len(quantum) > 1 else []
    # Sums over sessions that each came to something of their own came to nothing themselves.
    whole = _row("quantum, all", {**result, "estimate": None} if told else result) if parts else _row("quantum", result)
    return [*parts, whole, *(_row(name, rival) for name, rival in result["rivals"].items())]


def _row(name: str, of: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (of[key] for key in ("qubits_sent", "qubits_delivered", "payload_bits", "control_bits"))
    return (name, *(f"{count:,}" for count in counts), time_text(of["virtual_time_ps"]), _outcome(of))


def _outcome(of: Mapping[str, Any]) -> str:
    """Accuracy or estimate, as the protocol has it."""
    accuracy = _accuracy(of)
    if accuracy is not None:
        baseline = of.get("baseline_accuracy")
        return f"accuracy {accuracy:.3f}" + (f" (baseline {baseline:.3f})" if baseline is not None else "")
    estimate, error = of.get("estimate"), of.get("error")
    if isinstance(estimate, list):
        text = f"{len(estimate)} estimates"
    else:
        text = "" if estimate is None else f"{estimate:.5g}" if isinstance(estimate, float) else str(estimate)
    return text + (f", off by {error:.2g}" if isinstance(error, float | int) and text else "")


def _accuracy(of: Mapping[str, Any]) -> float | None:
    value = of.get("test_accuracy", of.get("accuracy"))
    return value if isinstance(value, int | float) else None


def _factor(large: int, small: int) -> str:
    if not small:
        return " without sending anything"
    factor = large / small
    return f" by a factor of {factor:.3g}" if factor < 1000 else f" by a factor of {factor:,.0f}"


def _spoken(result: Mapping[str, Any]) -> str:
    bits = result["payload_bits"] + result["control_bits"]
    what = "qubits" if result["qubits_sent"] == _qubits(result) else "entangled pairs"
    return f"{_qubits(result):,} {what}" + (f" and {bits:,} bits" if bits else "")


def _qubits(result: Mapping[str, Any]) -> int:
    """Pairs at a measured rate come without a number of photons; each of them is one qubit sent, at least."""
    return int(max(result["qubits_sent"], result.get("ebits", 0)))


def pair_lines(result: Mapping[str, Any]) -> list[str]:
    """A line on the pairs that were used up, where any were."""
    ebits = result.get("ebits", 0)
    if not ebits:
        return []
    if not result["qubits_sent"]:
        return [f"{ebits:,} entangled pairs were used up (ebits); how many photons they took is not known."]
    return [f"{ebits:,} entangled pairs were used up (ebits); the qubits sent are their photons, failed ones included."]
