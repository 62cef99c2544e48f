"""What a process tells on standard error, as JSON lines for a collector of logs."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any

PROGRAM = "ketwire: "


class JsonLines:
    """A text file in whose place each line becomes one JSON object: time (UTC), name, text.

    All that is written there becomes lines of JSON, a user's own `print` and a traceback too.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name, self._rest = file, name, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._tell(line)
        return len(text)

    def flush(self) -> None:
        """Lines are told when they are whole."""
        self._file.flush()

    def isatty(self) -> bool:
        return False

    def _tell(self, line: str) -> None:
        text = line.removeprefix(PROGRAM).removeprefix(f"{self._name}: ")
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"time": time, "name": self._name, "text": text}) + "\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def as_json(name: str) -> None:
    """From now on standard error is JSON lines of `name`."""
    if sys.stderr is not None:
        sys.stderr = JsonLines(sys.stderr, name)
