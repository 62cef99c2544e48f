"""`ketwire.kit`: the names that authors of protocols may rely on, and what they cost to import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ketwire import kit
from tests.test_startup import COORDINATOR_ALONE, NEVER

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "your-own-protocol.md").read_text()
PROMISED = {
    "Answers", "Arrivals", "Batch", "Circuit", "Contraction", "Copies", "Gate", "Json", "Judge", "Kept", "Kind", "Link",
    "Loader", "Message", "Network", "Node", "NodeName", "Observable", "Outcome", "Packed", "PauliString", "Povm",
    "Program", "Projector", "Receipt", "ScenarioError", "Session", "SessionResult", "Shape", "Source", "Stage",
    "State", "States", "StreamPlan", "Strict", "Tally", "amplitude_encode", "join", "qubits_for", "run_stream",
    "Finding", "Numbers", "Part", "Reference", "Rival", "RunResult", "Summary",
}  # fmt: skip
"""A name that goes breaks protocols of others."""


def test_its_names_are_those_promised() -> None:
    assert set(kit.__all__) == PROMISED and len(kit.__all__) == len(PROMISED)
    assert dir(kit) == sorted(PROMISED)
    assert all(getattr(kit, name) is not None for name in PROMISED)


def test_another_name_is_none_of_it() -> None:
    with pytest.raises(AttributeError, match=r"module 'ketwire.kit' has no attribute 'Strickt'"):
        _ = kit.Strickt
    with pytest.raises(ImportError, match=r"cannot import name 'Strickt' from 'ketwire.kit'"):
        from ketwire.kit import Strickt  # noqa: F401


def test_the_page_names_all_of_it_and_imports_nothing_else() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE.partition("## What to import")[2].partition("\n## ")[0], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert set(named) == PROMISED and len(named) == len(PROMISED)
    imports = re.findall(r"^ *(?:from|import) (ketwire\S*)", PAGE, re.MULTILINE)
    assert len(imports) >= 2 and set(imports) == {"ketwire.kit"}


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, ketwire.kit; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert {"ketwire", "numpy"} <= loaded
    assert not loaded & (NEVER | COORDINATOR_ALONE | {"zmq", "openqasm3", "netsquid"})


def test_no_module_of_ours_imports_it() -> None:
    imported = re.compile(r"^\s*(from ketwire import .*\bkit\b|(from|import) ketwire\.kit\b)", re.MULTILINE)
    assert imported.search("import os\n    from ketwire.kit import Gate\n")
    for folder in ("quantum", "channels", "protocols", "nodes", "scenarios", "src/ketwire"):
        assert [path for path in (ROOT / folder).rglob("*.py") if imported.search(path.read_text())] == []
