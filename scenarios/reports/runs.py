"""Run folders, read for figures and pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.load import look
from ketwire.scenarios.reports.columns import ledger_columns
from ketwire.scenarios.reports.figures import FORMATS, draw, save
from ketwire.scenarios.reports.frames import COSTS
from ketwire.scenarios.reports.page import page
from ketwire.scenarios.reports.sections import sections_of

NEEDED = frozenset(
    {"scenario", "seed", "protocol", "estimate", "copies", "sessions", "rivals", "links_idle_ps", *COSTS}
)
"""Keys that a figure or a page of any result takes."""
OF_SESSIONS = frozenset({"name", "role", "messages", "directions", "transcript_sha256", *COSTS})
"""The same of each session."""


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


def run_page(run: Path) -> str:
    """The page of a run's folder.

    Raises:
        ScenarioError: it is no folder of a finished run, or matplotlib is not installed.
    """
    result = read_result(run)
    read = look(str(run / "scenario.yaml"))
    seeds = f"seed {result['seed']}"
    if result.get("workload_seed") is not None:
        seeds += f", workload seed {result['workload_seed']}"
    told = f"{result['protocol']}, {seeds}, {result.get('wall_s', 0.0):.2f} s on the machine that ran it"
    return page(result["scenario"], told, sections_of(result, read, ledger_columns(run)))


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
    if isinstance(told, dict) and "error" in told and "sessions" not in told:
        raise ScenarioError(f"{file}: tells of a run that failed, expected one that finished")
    if not isinstance(told, dict) or NEEDED - told.keys() or not _are_sessions(told["sessions"]):
        raise ScenarioError(f"{file}: is no result of a run, expected the folder of a finished run")
    return told


def _are_sessions(told: Any) -> bool:
    return isinstance(told, list) and all(isinstance(each, dict) and each.keys() >= OF_SESSIONS for each in told)
