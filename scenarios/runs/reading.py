"""Results in run folders, checked before anything is read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds.result import SessionFigures
from ketwire.scenarios.reports.runs import read_result


def read_run(run: Path) -> dict[str, Any]:
    """The result of a finished run, whose sessions have all that results tell of them.

    Raises:
        ScenarioError: it is no folder of a finished run.
    """
    told = read_result(run)
    try:
        TypeAdapter(list[SessionFigures]).validate_python(told.get("sessions"))
    except ValidationError:
        raise ScenarioError(f"{run / 'result.json'}: is no result, expected the folder of a finished run") from None
    return told
