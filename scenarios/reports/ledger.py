"""The ledger of a run folder, message by message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError


class Told(NamedTuple):
    """A message of a run folder."""

    session: str
    record: Record


def read_ledger(run: Path) -> Iterator[Told]:
    """The messages of a run folder, session by session, as they were sent.

    Raises:
        ScenarioError: it has no ledger, or that is none.
    """
    file = run / "ledger.jsonl"
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _message(file, number, line)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise ScenarioError(f"{file}: {reason}, expected the ledger of a finished run") from None


def _message(file: Path, number: int, line: str) -> Told:
    try:
        values = json.loads(line)
        session, record = values.pop("session"), Record(**values)
    except (ValueError, TypeError, AttributeError, KeyError):
        raise ScenarioError(f"{file}: line {number} is no message, expected the ledger of a finished run") from None
    texts, numbers = (session, record.direction, record.kind), [*record[3:], record.number]
    if not all(isinstance(text, str) for text in texts) or not all(type(each) is int and each >= 0 for each in numbers):
        raise ScenarioError(f"{file}: line {number} is no message, expected the ledger of a finished run")
    return Told(session, record)
