"""Options and folders that cannot serve: one line that names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.processes.by_hand import serve_coordinator, serve_node
from ketwire.nodes.processes.given import Given
from ketwire.nodes.processes.security import write_keys
from ketwire.nodes.session import COORDINATOR
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.resumable import ResumableDirectory


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ipc://localhost:5555", "begins with ipc://"),
        ("host", "has no port"),
        ("host:70000", "has no port from [01] to 65535"),
    ],
)
def test_an_address_is_refused_under_the_option_that_it_was_given_for(address: str, told: str, tmp_path: Path) -> None:
    loaded = load("two-layer-inference")
    run = loaded.run()
    write_keys(tmp_path / "keys", [*run.parties, *(link.name for link in run.links), COORDINATOR])
    told = rf"{address}: {told}, expected HOST:PORT or \[IPv6\]:PORT$"
    with pytest.raises(ScenarioError, match=f"^--coordinator: {told}"):
        serve_node(run.parties[0], Given(tmp_path / "keys"), address)
    with pytest.raises(ScenarioError, match=f"^--bind: {told}"):
        serve_coordinator(run, Given(tmp_path / "keys"), address)


def test_a_folder_without_room_for_logs_is_refused(tmp_path: Path) -> None:
    """It was a traceback."""
    loaded: Any = load("train-digits")
    ResumableDirectory(tmp_path / "run", loaded).claim.release()  # as where its process ends
    (tmp_path / "run" / "logs").rmdir()
    (tmp_path / "run" / "logs").write_text("")
    with pytest.raises(ScenarioError, match=r"^--resume: '.*logs' given: File exists, expected a folder that can be"):
        ResumableDirectory.reopen(tmp_path / "run")
