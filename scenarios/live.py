"""The page of a run that is under way."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.load import look
from ketwire.scenarios.reports.elements import element, table
from ketwire.scenarios.reports.page import page, scrolled, section
from ketwire.scenarios.reports.sections import network_section
from ketwire.scenarios.reports.units import time_text
from ketwire.scenarios.runs.telling import PROGRESS

HEADS = ("session", "party", "phase", "virtual clock", "so far")
LAST_FINDINGS = 30


def progress_page(run: Path) -> str:
    """How far each party is, what was found so far, and the network; a browser is to load it again.

    Raises:
        ScenarioError: the run is over meanwhile, or matplotlib is not installed.
    """
    file = run / PROGRESS
    try:
        told = json.loads(file.read_bytes())
        at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        parties = [_party(each) for each in told["parties"]]
        findings = [(session, party, f"{label} {done:,}", found)
                    for session, party, label, done, found in told["findings"][: -LAST_FINDINGS - 1 : -1]]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "is none of this version"
        raise ScenarioError(f"{file}: {reason}, expected the folder of a run that is under way") from None
    read = look(str(run / "scenario.yaml"))
    waits = element("p", "No party has told of anything yet.") if not parties else scrolled(table(HEADS, parties))
    sections = [
        section("state", "Under way", element("p", f"Last heard of at {at:%H:%M:%S} UTC."), waits),
        section("findings", "Found so far", *([scrolled(table(("session", "party", "at", "found"), findings))]
                                              if findings else [])),
        network_section(read.scenario),
    ]  # fmt: skip
    shown = [each for each in sections if each.inner]
    return page(run.name.lstrip(".").rpartition(".")[0] or run.name, "a run that is under way", shown, live=True)


def _party(told: dict[str, Any]) -> tuple[str, ...]:
    return told["session"], told["party"], told["phase"], time_text(told["clock_ps"]), told["found"]
