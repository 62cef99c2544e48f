"""Tables that a page's script shows, column by column; names are numbers, so that large tables stay small."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError

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


def ledger_columns(file: Path) -> tuple[list[dict[str, Any]], int] | None:
    """The columns of a ledger and how many rows the file has; None where there is no such file.

    Columns of numbers that are all 0 are left out.

    Raises:
        ScenarioError: it is no ledger.
    """
    try:
        with open(file, encoding="utf-8") as lines:
            rows = [_row(line, file, number) for number, line in enumerate(islice(lines, MOST_ROWS), start=1)]
            count = len(rows) + sum(1 for _ in lines)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "is no text"
        raise ScenarioError(f"{file}: {told}, expected the ledger of a run") from None
    columns: Iterable[tuple[Any, ...]] = zip(*rows, strict=True) if rows else ((),) * len(LEDGER)
    made = [column(key, *LEDGER[key], values) for key, values in zip(LEDGER, columns, strict=True)]
    return [each for each in made if each["kind"] != "count" or each["name"] == "number" or any(each["values"])], count


def _row(line: str, file: Path, number: int) -> tuple[Any, ...]:
    try:
        told = json.loads(line)
        row = (str(told["session"]), *(told[key] for key in Record._fields))
        if not all(type(told[key]) is int for key, (_, shown) in LEDGER.items() if shown != "name"):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ScenarioError(f"{file}: line {number}: expected a line of a ledger") from None
    return row
