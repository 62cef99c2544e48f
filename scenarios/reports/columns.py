"""Tables that a page's script shows, column by column; names are numbers, so that large tables stay small."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ketwire.scenarios.reports.ledger import read_ledger

Shown = Literal["name", "count", "time", "number"]
MOST_ROWS = 200_000
"""Of a ledger, which a page shows; the folder has them all."""
LEDGER: Mapping[str, tuple[str, Shown]] = {
    "session": ("session", "name"),
    "direction": ("direction", "name"),
    "number": ("number", "count"),
    "kind": ("kind", "name"),
    "sent_ps": ("sent", "time"),
    "arrival_ps": ("arrived", "time"),
    "copies": ("copies", "count"),
    "qubits_sent": ("qubits sent", "count"),
    "qubits_delivered": ("delivered", "count"),
    "ebits": ("ebits", "count"),
    "payload_bits": ("payload bits", "count"),
    "control_bits": ("control bits", "count"),
}
"""Of each key of a ledger's line how its column is headed, and how its values are shown."""


def column(name: str, label: str, shown: Shown, values: Sequence[Any]) -> dict[str, Any]:
    """One column as JSON.

    Args:
        name: by which the script knows it. label: its head.
        shown: name: texts; count: whole numbers; time: picoseconds; number: any others.
        values: one for each row; None where there is none.
    """
    made: dict[str, Any] = {"name": name, "label": label, "kind": shown}
    if shown != "name":
        return {**made, "values": list(values)}
    places: dict[Any, int] = {}
    coded = [places.setdefault("" if value is None else str(value), len(places)) for value in values]
    return {**made, "values": coded, "names": list(places)}


def ledger_columns(run: Path) -> tuple[list[dict[str, Any]], int] | None:
    """The columns of the ledger of a run's folder and how many rows that has; None where there is none.

    Columns of numbers that are all 0 are left out.

    Raises:
        ScenarioError: it is no ledger.
    """
    if not (run / "ledger.jsonl").exists():
        return None
    messages = read_ledger(run)
    rows = [(session, *record) for session, record in islice(messages, MOST_ROWS)]
    count = len(rows) + sum(1 for _ in messages)
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else ((),) * len(LEDGER)
    made = [column(key, *LEDGER[key], values) for key, values in zip(LEDGER, columns, strict=True)]
    return [each for each in made if each["kind"] != "count" or each["name"] == "number" or any(each["values"])], count
