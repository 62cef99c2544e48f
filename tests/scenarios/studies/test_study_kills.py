"""Studies and their workers are killed at random moments; what comes after is the same table."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from tests.studies import study_of, written

pytest.importorskip("joblib")
pytestmark = pytest.mark.long
STUDY: dict[str, Any] = {"axes": [{"key": "protocol.copies", "linspace": [10, 300, 30]}], "repeats": 4}
TABLES = ("points.csv", "summary.csv")


def started(path: str, out: Path, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ketwire", "study", path, "--out", str(out), *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ,
    )  # fmt: skip


def children(parent: int) -> list[int]:
    """The processes that a process started and that are there."""
    listed = subprocess.run(["ps", "--ppid", str(parent), "-o", "pid=,args="], capture_output=True, text=True)
    lines = [line.split(None, 1) for line in listed.stdout.splitlines()]
    return [int(pid) for pid, args in lines if "loky" in args and "resource_tracker" not in args]


def same(out: Path, whole: Path) -> bool:
    return all((out / name).read_bytes() == (whole / name).read_bytes() for name in TABLES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    kw.study(study_of(**STUDY), out=out)
    return out


@pytest.mark.parametrize("seed", range(3))
def test_a_study_that_is_killed_goes_on(seed: int, whole: Path, tmp_path: Path) -> None:
    path, out, draw = written(tmp_path, **STUDY), tmp_path / "out", random.Random(seed)
    kills = 0
    while kills < 4:
        process = started(path, out, "--jobs", "2")
        while process.poll() is None and not (out / "results.jsonl").exists():
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 4))
        workers = children(process.pid)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{each}").exists() for each in workers):
            assert time.monotonic() < deadline, "workers outlive their study"
            time.sleep(0.1)
        if process.returncode == 0:
            break
    assert started(path, out, "--jobs", "2").wait(timeout=300) == 0
    assert same(out, whole)


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_are_killed_cost_nothing(seed: int, whole: Path, tmp_path: Path) -> None:
    path, out, draw = written(tmp_path, **STUDY), tmp_path / "out", random.Random(seed)
    process = started(path, out, "--jobs", "2")
    for _ in range(3):
        time.sleep(draw.uniform(1, 4))
        if workers := children(process.pid):
            os.kill(draw.choice(workers), signal.SIGKILL)
    assert process.wait(timeout=300) == 0
    assert same(out, whole)
