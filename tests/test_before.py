"""Results and transcripts equal those from before the package was restructured (data/before.json).

`python -m tests.test_before` writes that file anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ketwire.nodes.inline import run_inline
from tests.causal_runs import RUNS
from tests.test_packaged import NAMES, REFUSED, TRAININGS

BEFORE = Path(__file__).parent / "data" / "before.json"
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
PACKAGED = [(name, seed) for name in (*NAMES, *REFUSED) for seed in ((1, 2, 3) if name in TRAININGS else (None,))]
RANDOM = [(family, seed) for family in RUNS for seed in range(2 if family == "training" else 8)]


def packaged(name: str, seed: int | None) -> Any:
    """The result of a packaged scenario without wall times, or the words of the refusal."""
    command = [sys.executable, "-m", "ketwire", "run", name, "--inline", "--json"]
    if name in TRAININGS:
        command += ["--set", "protocol.steps=2"]
    if seed is not None:
        command += ["--seed", str(seed)]
    done = subprocess.run(command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"exit": done.returncode, "told": done.stderr.strip().splitlines()[-1:]}
    result = json.loads(done.stdout)
    del result["wall_s"]
    return result


def drawn(family: str, seed: int) -> Any:
    """Transcripts and times of a random run."""
    results = run_inline(RUNS[family][0](seed))
    return [[each.name, each.transcript_sha256, each.virtual_time_ps, each.links_idle_ps] for each in results]


@pytest.mark.long
@pytest.mark.parametrize(("name", "seed"), PACKAGED)
def test_packaged_scenarios_give_what_they_gave(name: str, seed: int | None) -> None:
    assert packaged(name, seed) == json.loads(BEFORE.read_text())[f"{name} {seed}"]


@pytest.mark.long
@pytest.mark.parametrize(("family", "seed"), RANDOM)
def test_random_runs_give_what_they_gave(family: str, seed: int) -> None:
    assert drawn(family, seed) == json.loads(BEFORE.read_text())[f"{family} {seed}"]


if __name__ == "__main__":
    found = {f"{name} {seed}": packaged(name, seed) for name, seed in PACKAGED}
    found |= {f"{family} {seed}": drawn(family, seed) for family, seed in RANDOM}
    BEFORE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
