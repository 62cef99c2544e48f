"""Studies by dask.distributed: the same table as by one process, also where a worker is killed."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ketwire as kw
from ketwire.errors import ScenarioError
from ketwire.scenarios.studies import engines
from tests.studies import study_of

pytest.importorskip("distributed")
STUDY = {"axes": [{"key": "protocol.copies", "linspace": [10, 300, 30]}], "repeats": 4}


@contextmanager
def process(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    made = subprocess.Popen([sys.executable, "-m", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield made
    finally:
        if made.poll() is None:
            made.terminate()
        made.wait(timeout=30)


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A dask scheduler on the loopback interface, and its address."""
    file = folder / "scheduler.json"
    with process("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                 "--scheduler-file", str(file)):  # fmt: skip
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.2)
        yield json.loads(file.read_text())["address"]


def worker(address: str) -> tuple[str, ...]:
    return ("distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
            "--no-nanny")  # fmt: skip


@pytest.mark.long
def test_a_dask_worker_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    kw.study(study_of(**STUDY), out=tmp_path / "whole")
    with scheduler(tmp_path) as address, process(*worker(address)) as first, process(*worker(address)):
        (tmp_path / "s.json").write_text(json.dumps(study_of(name="study", **STUDY)))
        study = subprocess.Popen(
            [sys.executable, "-m", "ketwire", "study", str(tmp_path / "s.json"), "--engine", "dask", "--scheduler",
             address, "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        results = tmp_path / "out" / "results.jsonl"
        while study.poll() is None and not (results.exists() and results.read_bytes().count(b"\n") > 5):
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        _, err = study.communicate(timeout=200)
    assert study.returncode == 0, err
    assert err == ""
    for name in ("points.csv", "summary.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.long
def test_without_a_scheduler_there_is_a_cluster_on_loopback(tmp_path: Path) -> None:
    kw.study(study_of(repeats=2), out=tmp_path / "whole")
    kw.study(study_of(repeats=2), engine="dask", jobs=2, out=tmp_path / "out")
    assert (tmp_path / "out" / "points.csv").read_bytes() == (tmp_path / "whole" / "points.csv").read_bytes()


@pytest.mark.long
def test_a_scheduler_that_is_not_there_is_told() -> None:
    with pytest.raises(ScenarioError, match=r"--scheduler: tcp://127.0.0.1:9: .*expected a dask scheduler") as error:
        kw.study(study_of(), engine="dask", scheduler="tcp://127.0.0.1:9")
    assert "\n" not in str(error.value)


def test_warnings_of_dask_are_silent_while_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    told = logging.getLogger("distributed.client")
    with caplog.at_level(logging.WARNING, "distributed.client"):
        with engines._quiet():
            told.warning("a worker ended")
            told.error("lost")
        told.warning("again")
    assert [record.message for record in caplog.records] == ["lost", "again"]
