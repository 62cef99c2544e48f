"""Run folders, read for figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.load import look
from ketwire.scenarios.reports.figures import FORMATS, draw, save


def plot_run(run: Path, out: Path) -> Path:
    """Draw the run of a folder; answers with the figure's file.

    Raises:
        ScenarioError: it is no folder of a finished run, the file cannot be written, or matplotlib is not installed.
    """
    if out.suffix.lower() not in FORMATS:
        raise ScenarioError(f"-o: {out} given, expected a file that ends in {', '.join(FORMATS)}")
    result = read_result(run)
    figure = draw(result, look(str(run / "scenario.yaml")).scenario)
    try:
        save(figure, out)
    except OSError as error:
        raise ScenarioError(f"-o: {out}: {error.strerror or error}, expected a file that can be written") from None
    return out


def read_result(run: Path) -> dict[str, Any]:
    """The result of a finished run, as its folder has it.

    Raises:
        ScenarioError: it is no folder of a finished run.
    """
    file = run / "result.json"
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no JSON"
        raise ScenarioError(f"{file}: {reason}, expected the folder of a finished run") from None
    if not isinstance(told, dict) or ("error" in told and "sessions" not in told):
        raise ScenarioError(f"{file}: tells of a run that failed, expected one that finished")
    return told
