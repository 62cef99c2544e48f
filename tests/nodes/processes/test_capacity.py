"""What a machine cannot hold is refused in one line, before any process starts."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from ketwire.nodes.processes import capacity
from ketwire.scenarios import cli


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*args: Any) -> None:
        raise AssertionError("a process was to start")

    monkeypatch.setattr("ketwire.nodes.processes.run.Children", started)


def scenario(folder: Path, **shape: Any) -> str:
    path = folder / "net.yaml"
    layers = [{"at": "n1", "layer": "hadamards"}]
    protocol = {"kind": "inference", "qubits": 1, "start": "n0", "copies": 5, "layers": layers, "dense_state": None}
    data = {"seed": 1, "topology": {**shape, "link": {"fiber": "ideal", "length_km": 1}}, "protocol": protocol}
    path.write_text(json.dumps(data))
    return str(path)


def refused(path: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.execute(["run", path]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err.partition("net.yaml: ")[2].strip()


@pytest.mark.usefixtures("nothing_starts")
def test_too_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(capacity, "free_octets", lambda: 128 * capacity.PROCESS_OCTETS)
    assert refused(scenario(tmp_path, ring=65), capsys) == (
        "nodes: 65 nodes and 65 links are 130 processes and take 1.52 GiB of memory, where 1.5 GiB are free; "
        "expected fewer, or --inline"
    )


@pytest.mark.usefixtures("nothing_starts")
def test_too_few_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(capacity, "free_threads", lambda: 100)
    said = refused(scenario(tmp_path, chain=20), capsys)
    assert said.startswith("nodes: 20 nodes and 19 links are 39 processes with 156 threads, where 100 more may start")


@pytest.mark.usefixtures("nothing_starts")
def test_too_few_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (100, 100))
    said = refused(scenario(tmp_path, chain=20), capsys)
    assert said.startswith("ulimit -n: 100 file descriptors allowed, expected 141 or more for 39 processes")


@pytest.mark.usefixtures("nothing_starts")
def test_too_many_links_of_one_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(scenario(tmp_path, star=1002), capsys)
    assert said == "links: 1001 of n0 given, expected at most 1000 of one node, or --inline"


def test_limits_of_control_groups_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the second and the first version, and of the groups above ours."""
    monkeypatch.setattr(capacity, "CGROUPS", tmp_path)
    told = [line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.split(":")[1] in ("", "memory")]
    folders = [tmp_path / line.split(":", 2)[1] / line.split(":", 2)[2].lstrip("/") for line in told]
    assert folders, "this machine has control groups"
    before = capacity.free_octets(), capacity.free_threads()
    folders[0].mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("memory.max", "1000000"), ("memory.current", "400000"), ("memory.stat", "anon 7\ninactive_file 50000\n"),
    ):  # fmt: skip
        (folders[0] / name).write_text(text)
    assert before[0] > 1_000_000 and capacity.free_octets() == 650_000
    root = tmp_path / told[0].split(":", 2)[1]
    for name, text in (("memory.limit_in_bytes", "500000"), ("memory.usage_in_bytes", "600000")):
        (root / name).write_text(text)
    assert capacity.free_octets() == 0, "the limit of the group above is passed"


def test_limits_of_the_user_count_but_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (77, 77))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert capacity.free_threads() == 77
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert capacity.free_threads() > 77


@pytest.mark.long
def test_a_ring_of_64_has_a_process_for_each_node_and_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = scenario(tmp_path, ring=64)
    hashes = []
    for options in ([], ["--inline"]):
        assert cli.execute(["run", path, "--json", *options]) == 0
        hashes.append(json.loads(capsys.readouterr().out)["transcript_sha256"])
    assert hashes[0] == hashes[1]
