"""The extra `fast`: what needs numba is refused in one line where it is absent, before anything runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import ScenarioError
from ketwire.quantum.engines.dispatch import FUSED_WORTH, choose_engine
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.compiled import _part

ROOT = Path(__file__).parents[3]
LARGE = """\
seed: 1
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]
protocol:
  kind: inference
  qubits: QUBITS
  start: alice
  copies: 10
  description: []
  layers:
    - {at: bob, layer: rotations, sublayers: 20, angles: {random: angles}}
"""


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> Any:
        return None if name == "numba" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)


@pytest.mark.usefixtures("without_numba")
def test_work_that_asks_for_numba_is_refused_without_it() -> None:
    assert choose_engine(FUSED_WORTH) == "numpy"
    with pytest.raises(ScenarioError, match=r"numba is not installed, expected the extra fast"):
        choose_engine(2 * FUSED_WORTH)


@pytest.mark.usefixtures("without_numba")
@pytest.mark.parametrize("command", [["validate"], ["run", "--inline"], ["run"]], ids=" ".join)
def test_a_run_that_needs_it_is_refused_before_it_starts(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "large.yaml"
    file.write_text(LARGE.replace("QUBITS", "24"))
    assert cli.execute([*command, str(file)]) == cli.BAD_INPUT
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"ketwire: {file}: protocol.layers.0: bob: a circuit here is predicted to take ")
    assert told.err.endswith("expected the extra fast (pip install 'ketwire[fast]')\n") and told.err.count("\n") == 1


@pytest.mark.usefixtures("without_numba")
def test_a_run_that_does_not_need_it_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(LARGE.replace("QUBITS", "6"))
    assert cli.execute(["validate", str(file)]) == 0, capsys.readouterr().err


@pytest.mark.long  # it compiles twice
@pytest.mark.parametrize("writable", [True, False], ids=["written", "read-only"])
def test_a_cache_that_may_only_be_read_is_used(tmp_path: Path, writable: bool) -> None:
    """Its second user finds machine code, compiles nothing, and leaves the folder as it was."""
    program = (
        "import os, numpy\n"
        "from ketwire.quantum import layers\n"
        "from ketwire.quantum.engines import fused\n"
        "from ketwire.quantum.engines.dispatch import apply\n"
        "circuit = layers.hardware_efficient(5, 2)\n"
        "apply(circuit, layers.haar_state(5, numpy.random.default_rng(0), 3), numpy.ones(circuit.parameter_count),\n"
        "      'fused')\n"
        "stats = fused._run.stats\n"
        "print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))\n"
    )
    # Root may write whatever its mode says, so numba is told that it may not.
    refused = "from numba.core import caching\ncaching.CacheImpl._locator_classes[:] = []\n" if not writable else ""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "PATH": ""}
    made = [
        subprocess.run([sys.executable, "-c", text], env=environment, cwd=ROOT, capture_output=True, text=True)
        for text in (program, refused + program)
    ]
    assert [(each.returncode, each.stderr) for each in made] == [(0, ""), (0, "")]
    assert made[0].stdout.split()[0] == "0" and made[1].stdout.split()[0] != "0"
    assert made[1].stdout.split()[1] == "0"


def test_nothing_is_foreseen_of_a_slice_of_another_kind() -> None:
    assert _part(object()).visits == {}
