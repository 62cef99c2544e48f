"""Scenarios in containers, in a real engine: the same results, who sees what, deaths, stops and mistakes."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zmq.utils import z85

from ketwire.scenarios import cli
from tests.compose.engine import IMAGE, ROOT, Project, build, docker, project
from tests.scenarios.test_compose import ring

pytestmark = [pytest.mark.compose, pytest.mark.usefixtures("image")]
IDLE = {"entrypoint": ["sh", "-c", "sleep 600", "sh"], "restart": "no", "healthcheck": {"disable": True}}
TRAINING = ("train-breast-cancer", "--set", "protocol.steps=40", "--set", "protocol.checkpoint_every=4")
PARTIES = ("alice", "bob", "alice-bob")


def shown(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """What a command prints."""
    capsys.readouterr()
    assert cli.execute([*argv]) == 0
    return capsys.readouterr().out


def alone(scenario: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The result of a scenario in one process."""
    told: dict[str, Any] = json.loads(shown(capsys, "run", scenario, "--inline", "--json"))
    return told


@pytest.fixture
def training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A file that says a short training with checkpoints."""
    (tmp_path / "training.yaml").write_text(shown(capsys, "show", *TRAINING))
    return str(tmp_path / "training.yaml")


# --- results ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["digits", "eavesdropper", "two-layer-inference"])
def test_results_are_those_of_one_process(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = alone(scenario, capsys)
    told = Project(tmp_path, scenario).compose("config", "--format", "json")
    command = json.loads(told)["services"]["coordinator"]["command"]
    with project(tmp_path, scenario, {"coordinator": {"command": [*command, "--json"]}}) as running:
        running.up()
        assert running.ended() == 0, running.log("coordinator")
        result = json.loads(running.out())
        # scikit-learn's logistic regression is not in the image.
        apart = {"wall_s": 0, **({"baseline_accuracy": None} if "baseline_accuracy" in whole else {})}
        assert {**result, **apart} == {**whole, **apart}
        assert running.transcript(result["session"] if "session" in result else _first(running)) == (
            whole["transcript_sha256"]
        )
        running.until(lambda: all(running.state(name)["Status"] == "exited" for name in PARTIES))
        assert [running.state(name)["ExitCode"] for name in PARTIES] == [0, 0, 0]


def _first(running: Project) -> str:
    (name, *_) = [line.split()[3] for line in running.log("coordinator") if line.endswith(" begins")]
    return name


def test_data_are_read_where_they_belong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "alice").mkdir()
    np.save(tmp_path / "alice" / "input.npy", np.arange(1.0, 5.0))
    (tmp_path / "own.yaml").write_text(
        "seed: 3\nnodes: {alice: {}, bob: {}}\nlinks: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]\n"
        "protocol: {kind: inference, qubits: 2, start: alice, input: {path: alice/input.npy}, copies: 100,\n"
        "  layers: [{at: bob, layer: hadamards}]}\n"
    )
    whole = alone(str(tmp_path / "own.yaml"), capsys)
    with project(tmp_path, str(tmp_path / "own.yaml"), {"bob": IDLE}) as running:
        running.up()
        running.until(lambda: bool(running.within("alice", "ls", "/tmp/ready", check=False)))
        assert running.within("alice", "ls", "/data/alice") == "input.npy"
        assert "can't open" in running.within("alice", "sh", "-c", "echo >> /data/alice/input.npy || echo can\\'t open")
        for other in ("bob", "alice-bob", "coordinator"):
            assert running.within(other, "sh", "-c", "ls /data 2>/dev/null || true") == ""
        running.files = running.files[:2]  # bob as he is
        running.up()
        assert running.ended() == 0, running.log("coordinator")
        assert running.transcript("inference") == whole["transcript_sha256"]


def test_a_ring_of_sixteen_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ring.yaml").write_text(ring(16))
    whole = alone(str(tmp_path / "ring.yaml"), capsys)
    with project(tmp_path, str(tmp_path / "ring.yaml")) as running:
        running.up()
        assert running.ended(patience_s=900) == 0, running.log("coordinator")
        assert running.transcript("inference") == whole["transcript_sha256"]


@pytest.mark.parametrize("first", ["coordinator", *PARTIES])
def test_whoever_is_started_first_the_run_is_the_same(
    first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = alone("two-layer-inference", capsys)
    order = [name for name in ("coordinator", *PARTIES) if name != first]
    random.Random(first).shuffle(order)
    with project(tmp_path, "two-layer-inference") as running:
        for name in (first, *order):
            running.up(name)
            running.until(lambda name=name: bool(running.log(name)))  # type: ignore[misc]
            time.sleep(2)
        assert running.ended() == 0, running.log("coordinator")
        assert running.transcript("inference") == whole["transcript_sha256"]


# --- who sees what ----------------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [("alice", "bob"), ("bob", "alice")])
def test_parties_do_not_reach_each_other(ends: tuple[str, str], tmp_path: Path) -> None:
    with project(tmp_path, "digits", dict.fromkeys(ends, IDLE)) as running:
        running.up()
        ids = [running.id(name) for name in (*ends, "alice-bob", "coordinator")]
        done = subprocess.run([str(ROOT / "docker" / "networks.sh"), *ids], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        one, other = ends
        lines = done.stdout.splitlines()
        assert [line.rpartition(": ")[2] for line in lines if line.startswith(f"network: {other} to ")] == [
            "connects", "connects"
        ]  # fmt: skip
        assert sorted(line.rpartition(": ")[2] for line in lines if line.startswith(f"network: {one} to ")) == [
            "connects", "connects", "does not resolve", "times out", "times out"
        ]  # fmt: skip
        assert docker("ps", "--filter", f"network=container:{ids[1]}", "--quiet") == ""


def test_each_has_its_own_secret_and_no_log_has_any(tmp_path: Path) -> None:
    with project(tmp_path, "two-layer-inference", {"bob": IDLE}) as running:
        running.up()
        running.until(lambda: len(running.log("coordinator")) >= 3)
        secrets = {}
        for name in ("coordinator", *PARTIES):
            found = running.within(name, "sh", "-c", "find / -name '*.key' -path '*keys*' 2>/dev/null; id -u").split()
            assert found == [f"/keys/{name}.key", "10001"]
            secrets[name] = running.within(name, "cat", f"/keys/{name}.key").split()[1]
            assert running.within(name, "sh", "-c", "touch /x /keys/x 2>/dev/null; ls /x 2>/dev/null || true") == ""
        running.files = running.files[:2]
        running.up()
        assert running.ended() == 0
        logs = running.compose("logs", "--no-color").encode()
        assert b"registered with the coordinator" in logs and len(set(secrets.values())) == 4
        for secret in secrets.values():
            raw = z85.decode(secret)
            for form in (secret.encode(), raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)):
                assert form not in logs


def test_health_is_whether_one_is_registered(tmp_path: Path) -> None:
    with project(tmp_path, "digits", {"bob": IDLE}) as running:
        running.up()
        for name in ("coordinator", "alice", "alice-bob"):
            running.until(lambda name=name: running.state(name)["Health"]["Status"] == "healthy")  # type: ignore[misc]
        running.compose("kill", "coordinator")
        running.until(lambda: running.state("alice")["Status"] != "running" or _again(running))


def _again(running: Project) -> bool:
    return any("waiting for the coordinator" in line for line in running.log("alice")[1:])


# --- deaths, stops, mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["alice", "bob", "alice-bob", "coordinator"])
def test_a_training_survives_any_death(
    victim: str, training: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = alone(training, capsys)
    with project(tmp_path, training) as running:
        running.up()
        running.until(
            lambda: "commit" in running.within("coordinator", "ls", "/checkpoints", check=False)
        )
        if victim == "coordinator":  # no restart policy: it would run once more after an end with an error
            running.compose("kill", "--signal", "KILL", victim)
            docker("start", running.id(victim))
        else:
            running.within(victim, "sh", "-c", "kill -KILL -1", check=False)
        assert running.ended() == 0, running.compose("logs")
        assert running.transcript("training") == whole["transcript_sha256"]
        if victim == "coordinator":
            assert any("begins after checkpoint" in line for line in running.log(victim))
        else:
            assert docker("inspect", "--format", "{{.RestartCount}}", running.id(victim)) == "1"


def test_a_fiber_that_dies_without_checkpoints_ends_the_run(tmp_path: Path) -> None:
    with project(tmp_path, "digits") as running:
        running.up()
        running.until(lambda: any("session classify begins" in line for line in running.log("coordinator")))
        running.within("alice-bob", "sh", "-c", "kill -KILL -1", check=False)
        assert running.ended() == 3
        assert running.log("coordinator")[-1] == "ketwire: alice-bob: its connection is gone"


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_stop_ends_every_service_by_itself(state: str, training: str, tmp_path: Path) -> None:
    """Without the engine's own SIGKILL, whose exit code is 137."""
    with project(tmp_path, training) as running:
        if state == "waiting":
            running.up(*PARTIES)
            running.until(lambda: all(running.log(name) for name in PARTIES))
        else:
            running.up()
            running.until(lambda: any("session training begins" in line for line in running.log("coordinator")))
        running.compose("stop")
        stopped = PARTIES if state == "waiting" else (*PARTIES, "coordinator")
        codes = {name: running.state(name)["ExitCode"] for name in stopped}
        assert set(codes.values()) <= {3, 130}, codes  # the coordinator may stop before a party, which is told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("coordinator:5601", r"(alice|bob): no word from alice-bob at coordinator:5601 within 30 s, expected a fib.*"),
        ("nowhere:5601", r".*(alice|bob): alice-bob announced nowhere:5601: does not resolve on this machine .*"),
    ],
)
def test_a_wrong_advertised_address_is_one_line(address: str, told: str, tmp_path: Path) -> None:
    fiber = ["fiber", "alice-bob", "--coordinator", "coordinator:5600", "--bind", "0.0.0.0:5601", "--keys", "/keys"]
    with project(tmp_path, "digits", {"alice-bob": {"command": [*fiber, "--advertise", address]}}) as running:
        running.up()
        assert running.ended(patience_s=60) in (2, 3)
        assert re.fullmatch(f"ketwire: {told}", running.log("coordinator")[-1])


def test_work_that_needs_numba_is_refused_before_anybody_starts(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text(
        "seed: 1\nnodes: {alice: {}, bob: {}}\nlinks: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]\n"
        "protocol: {kind: inference, qubits: 24, start: alice, copies: 10,\n"
        "  layers: [{at: bob, layer: rotations, sublayers: 20, angles: {random: angles}}]}\n"
    )
    with project(tmp_path, str(tmp_path / "large.yaml")) as running:
        running.up()
        assert running.ended() == 2
        assert running.log("coordinator")[-1].endswith("expected the extra fast (pip install 'ketwire[fast]')")
        assert not any("has joined, 3 of 3" in line and "begins" in line for line in running.log("coordinator"))


# --- what a user types ------------------------------------------------------------------------------


def run_script(*argv: str, **environment: str) -> subprocess.Popen[str]:
    told = {"KETWIRE": f"{Path(sys.executable).parent}/ketwire", "KETWIRE_IMAGE": IMAGE, "KETWIRE_SUBNET": "10.250"}
    return subprocess.Popen(
        [str(ROOT / "docker" / "compose.sh"), *argv], env={**os.environ, **told, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def left(name: str) -> str:
    parts = [docker(*words, "--quiet", "--filter", f"label=com.docker.compose.project={name}")
             for words in (("ps", "--all"), ("network", "ls"), ("volume", "ls"))]  # fmt: skip
    return "".join(parts)


@pytest.mark.parametrize("profile", ["digits", "repeaters", "eve", "training"])
def test_every_profile_runs(profile: str) -> None:
    process = run_script(PROFILE=profile, COMPOSE_PROJECT_NAME="ketwiretest-profile")
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, out + err
    assert out.count("times out") >= 2 and "\nquantum " in out and left("ketwiretest-profile") == ""


def test_ctrl_c_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], training: str) -> None:
    process = run_script(SCENARIO=training, COMPOSE_PROJECT_NAME="ketwiretest-stop")
    until_s = time.monotonic() + 240
    while "session training begins" not in _logs("ketwiretest-stop") and time.monotonic() < until_s:
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130 and left("ketwiretest-stop") == ""


def _logs(name: str) -> str:
    found = docker("ps", "--quiet", "--filter", f"label=com.docker.compose.project={name}",
                   "--filter", "label=com.docker.compose.service=coordinator")  # fmt: skip
    return "" if not found else subprocess.run(["docker", "logs", found], capture_output=True, text=True).stderr


def test_a_scenario_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("seed: 1\n")
    process = run_script(SCENARIO=str(tmp_path / "bad.yaml"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2 and out == "" and err.count("\n") == 1 and "bad.yaml: protocol: nothing" in err


# --- the image --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fast", "most"), [("0", 280e6), ("1", 480e6)])
def test_the_image_is_small_and_runs_as_nobody_in_particular(fast: str, most: float) -> None:
    build(f"{IMAGE}:sized", FAST=fast)
    assert int(docker("image", "inspect", "--format", "{{.Size}}", f"{IMAGE}:sized")) <= most
    assert docker("image", "inspect", "--format", "{{.Config.User}}", f"{IMAGE}:sized") == "10001:10001"
    assert "all well" in docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", f"{IMAGE}:sized", "doctor")


def test_machine_code_of_the_image_is_used_on_a_root_that_is_read_only() -> None:
    build(f"{IMAGE}:sized", FAST="1")
    program = (
        "import numpy; from ketwire.quantum import layers; from ketwire.quantum.engines import fused\n"
        "from ketwire.quantum.engines.dispatch import apply\n"
        "circuit = layers.hardware_efficient(5, 2)\n"
        "apply(circuit, layers.haar_state(5, numpy.random.default_rng(0), 3), numpy.ones(circuit.parameter_count),\n"
        "      'fused')\n"
        "print(sum(fused._run.stats.cache_hits.values()), sum(fused._run.stats.cache_misses.values()))\n"
    )
    told = docker("run", "--rm", "--read-only", "--entrypoint", "python", f"{IMAGE}:sized", "-c", program)
    assert told == "1 0"


def test_a_changed_module_leaves_the_layers_of_packages(tmp_path: Path) -> None:
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wheels = [str(path.relative_to(ROOT)) for path in (ROOT / "wheelhouse").glob("*")]
    names = "\0".join([*files.strip("\0").split("\0"), *wheels])
    subprocess.run(["tar", "--create", "--null", "--files-from=-", "--file", str(tmp_path / "tree.tar")],
                   input=names, cwd=ROOT, text=True, check=True)  # fmt: skip
    (tmp_path / "tree").mkdir()
    subprocess.run(["tar", "--extract", "--file", str(tmp_path / "tree.tar"), "--directory", str(tmp_path / "tree")],
                   check=True)  # fmt: skip
    module = tmp_path / "tree" / "quantum" / "grid.py"
    for text in ("", "\n# changed\n"):
        module.write_text(module.read_text() + text)
        said = build(f"{IMAGE}:changed", root=tmp_path / "tree")
    steps = dict(re.findall(r"^#(\d+) \[([^\]]+)\]", said, re.MULTILINE))
    cached = {steps[number] for number in re.findall(r"^#(\d+) CACHED$", said, re.MULTILINE) if number in steps}
    assert {step for step in cached if step.startswith("packages ")} == {
        step for step in steps.values() if step.startswith("packages ")
    } != set()
    assert any(step.startswith("installed ") and step not in cached for step in steps.values())
