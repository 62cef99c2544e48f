"""What runs when a scenario from elsewhere is looked at or run: nothing of the working directory, and what is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ketwire import modules
from ketwire.scenarios import cli
from ketwire.scenarios.load import load
from tests.hands import Hands, hands
from tests.kit import place, rarely

__all__ = ["hands"]

SCENARIO: dict[str, Any] = {
    "seed": 7,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 1}],
    "protocol": {
        "kind": "inference", "qubits": 1, "start": "alice", "layers": [{"at": "bob", "layer": "hadamards"}],
        "copies": 100, "dense_state": None,
    },
}  # fmt: skip
MARKED = "import pathlib\npathlib.Path(__file__ + '.ran').touch()\n"
GATES = MARKED + "from ketwire.quantum.gates import Gate\ndef ansatz(qubits):\n    return [Gate('h', (0,))]\n"
KIND = MARKED + """\
from dataclasses import dataclass
from typing import Literal
from ketwire.nodes.session import Session
from ketwire.protocols.node import Outcome
from ketwire.scenarios.kinds import interface
from ketwire.scenarios.kinds.result import Reference, Summary
from ketwire.scenarios.schema.model import Strict
from .helper import ESTIMATE

@dataclass(frozen=True)
class Slice:
    pass

@dataclass(frozen=True)
class Told(Outcome):
    estimate: float
    module: str

class Party:
    Slice, Outcome = Slice, Told
    def __init__(self, slice, load):
        self.shapes = {}
    async def run(self, node):
        return Told(ESTIMATE, type(self).__module__)

class Spec(Strict):
    kind: Literal["json:Kind"]

class Kind(interface.Kind):
    Spec = Spec
    def sessions(self, spec, network):
        return [Session("own", "quantum", "json:Party", {})]
    def summarise(self, spec, results, judge):
        return Summary(estimate=results[0].outcomes["bob"].estimate, copies=0)
    def exact(self, spec, network, loaders):
        return Reference(exact=ESTIMATE)
"""
NAMES = ("json", "re", "select", "array", "typer", "pydantic", "zmq", "yaml")


def wrote(folder: Path, **protocol: Any) -> Path:
    """A scenario in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(json.dumps({**SCENARIO, "protocol": protocol or SCENARIO["protocol"]}))
    return folder


def with_layer(**layer: Any) -> dict[str, Any]:
    return {**SCENARIO["protocol"], "layers": [{"at": "bob", **layer}]}


def ran(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".ran") for path in folder.glob("*.ran"))


COMMANDS = {
    "command": [str(Path(sys.executable).with_name("ketwire"))],
    "module": [sys.executable, "-m", "ketwire"],
}


@pytest.mark.parametrize("command", rarely(COMMANDS, but="module"))
def test_no_process_imports_a_file_of_the_working_directory(command: str, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(MARKED + f"raise SystemExit('{name}')\n")
    wrote(tmp_path)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [*COMMANDS[command], "run", "s.yaml", "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and json.loads(done.stdout)["qubits_sent"] > 0
    assert ran(tmp_path) == []


@pytest.mark.parametrize("how", rarely(["--inline", "--plaintext"], but="--inline"))
def test_a_file_of_ketwire_s_own_name_takes_the_place_of_nothing(
    how: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As beside a scenario in the folder that holds a clone."""
    wrote(tmp_path)
    (tmp_path / "ketwire").mkdir()
    (tmp_path / "ketwire" / "__init__.py").write_text(MARKED)
    assert cli.execute(["run", str(tmp_path / "s.yaml"), how, "--json"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and json.loads(out)["qubits_sent"] > 0 and ran(tmp_path / "ketwire") == []


@pytest.mark.parametrize("how", rarely(["--inline", "--plaintext"], but="--inline"))
def test_a_module_is_taken_from_the_scenario_s_folder_and_shadows_nothing(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its name is that of a module which ketwire itself uses, and it has a module of its own beside it."""
    folder, away = wrote(tmp_path / "there", kind="json:Kind"), tmp_path / "away"
    away.mkdir()
    (folder / "json.py").write_text(KIND)
    (folder / "helper.py").write_text("ESTIMATE = 0.25\n")
    (away / "json.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(away)
    before = list(sys.path)
    assert cli.execute(["run", "../there/s.yaml", how, "--json", "--check"]) == 0
    out, err = capfd.readouterr()
    told = f"../there/s.yaml executes what is not of this installation: {folder}/json.py (protocol.kind)"
    assert err == f"ketwire: {told}\n" and json.loads(out)["estimate"] == json.loads(out)["exact"] == 0.25
    assert sys.path == before and sys.modules["json"] is json and hasattr(json, "dumps")


@pytest.mark.long  # processes by command
def test_parties_that_are_started_by_hand_take_modules_from_their_base(hands: Hands, tmp_path: Path) -> None:
    there = wrote(tmp_path / "there", kind="json:Kind")
    (there / "json.py").write_text(KIND)
    (there / "helper.py").write_text("ESTIMATE = 0.25\n")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong one')\n")  # where all are started
    assert cli.execute(["keys", str(tmp_path / "keys"), str(there / "s.yaml")]) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    to = ("--coordinator", address, "--keys", "keys")
    running = [
        hands.start(tmp_path, "coordinator", "there/s.yaml", "--json", "--bind", address, "--keys", "keys"),
        hands.start(tmp_path, "fiber", "alice-bob", *to),
        *(hands.start(tmp_path, "node", name, "--base", "there", *to) for name in ("alice", "bob")),
    ]
    assert [hand.ended() for hand in running] == [0] * 4, [hand.err for hand in running]
    assert json.loads(running[0].out)["estimate"] == 0.25
    told = f"there/s.yaml executes what is not of this installation: {there}/json.py (protocol.kind)"
    assert f"ketwire: {told}" in running[0].err.splitlines()


def test_each_folder_has_modules_of_its_own(tmp_path: Path) -> None:
    found = []
    for number in range(2):
        folder = wrote(tmp_path / str(number), kind="json:Kind")
        (folder / "json.py").write_text(KIND)
        (folder / "helper.py").write_text(f"ESTIMATE = {number}\n")
        loaded = load(str(folder / "s.yaml"))
        found.append(loaded.kind.exact(None, loaded.network(), {}).exact)
    assert found == [0, 1]


def test_what_raises_in_the_folder_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = wrote(tmp_path / "there", kind="json:Kind")
    (folder / "json.py").write_text(KIND.replace("return Told(", "return ESTIMATE  # ("))
    (folder / "helper.py").write_text("ESTIMATE = 0.25\n")
    assert cli.execute(["run", str(folder / "s.yaml"), "--inline"]) == 3
    assert "ketwire: alice: json: float returned, expected Told or None\n" in capfd.readouterr().err
    (folder / "helper.py").write_text("import coins\n")
    modules.settle(None)
    again = tmp_path / "again"
    folder.rename(again)
    assert cli.execute(["run", str(again / "s.yaml"), "--inline"]) == 2
    fault = f"({place(str(again / 'helper.py'), 'coins')}: ModuleNotFoundError: No module named 'coins')"
    assert fault in capfd.readouterr().err


OWN = {
    "kind": ({"kind": "own:Kind"}, "protocol.kind"),
    "callable": (with_layer(layer="gates", callable="own:ansatz"), "protocol.layers.0.callable"),
    "loss": (
        {
            "kind": "training", "qubits": 1, "start": "alice", "steps": 1, "copies": 20, "loss_copies": 8,
            "test_copies": 8, "rivals": {"backprop": [], "raw": []}, "estimator": "commuting",
            "optimiser": {"name": "sgd", "rate": 0.1}, "objective": {"loss": "own:Loss"},
            "data": {part: {"values": [[1, 2], [3, 4]]} for part in ("train", "test")},
            "labels": {part: {"values": [0, 1]} for part in ("train", "test")},
            "layers": [{"at": "bob", "layer": "rotations", "angles": {"random": "angles"}}],
        },
        "protocol.objective.loss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", OWN)
@pytest.mark.parametrize("command", ["validate s.yaml", "show s.yaml", "show s.yaml --seed 3", "keys keys s.yaml"])
def test_commands_that_run_nothing_execute_nothing(
    where: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not with the folder on the path either, as `python -m` and PYTHONPATH put it there."""
    wrote(tmp_path, **OWN[where][0])
    (tmp_path / "own.py").write_text(MARKED)
    (tmp_path / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/python.ran\n")
    (tmp_path / "python").chmod(0o755)
    data = json.loads((tmp_path / "s.yaml").read_text())
    data["links"][0]["python"] = "./python"
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.execute(command.split()) == 0, capfd.readouterr().err
    out, err = capfd.readouterr()
    assert err == "" and ran(tmp_path) == []
    if command.startswith("validate"):
        unchecked = "protocol not checked, since that would execute the module of its kind"
        assert (unchecked in out) == (where == "kind") and out.count("\n") == 1


@pytest.mark.parametrize("where", OWN)
def test_run_says_what_it_executes_before_it_does(
    where: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, key = wrote(tmp_path / "there", **OWN[where][0]), OWN[where][1]
    (folder / "own.py").write_text("print('executed')\n" + GATES)
    (folder / "python").write_text(f"#!/bin/sh\ntouch {folder}/python.ran\n")
    (folder / "python").chmod(0o755)
    data = json.loads((folder / "s.yaml").read_text())
    data["links"][0]["python"] = "./python"
    (folder / "s.yaml").write_text(json.dumps(data))
    assert cli.execute(["run", str(folder / "s.yaml"), "--inline"]) == 2
    told, *rest = capfd.readouterr().err.splitlines()
    assert told == (
        f"ketwire: {folder}/s.yaml executes what is not of this installation: "
        f"{folder}/python (links.0.python), {folder}/own.py ({key})"
    )
    assert ran(folder) == (["own.py"] if where == "kind" else ["python"])
    assert "executed" in rest if where == "kind" else "links.0.python: " in rest[-1]


@pytest.mark.long  # processes by command
def test_what_is_installed_is_not_announced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kind = "ketwire.scenarios.kinds.inference.kind:Inference"
    data = json.loads((wrote(tmp_path, **{**SCENARIO["protocol"], "kind": kind}) / "s.yaml").read_text())
    data["links"][0]["python"] = sys.executable
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    assert cli.execute(["run", str(tmp_path / "s.yaml"), "--json"]) == 0
    assert capfd.readouterr().err == ""


def test_a_function_of_the_folder_makes_gates(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = wrote(tmp_path / "there", **with_layer(layer="gates", callable="own:ansatz"))
    (folder / "own.py").write_text(GATES)
    told = []
    for how in ("--inline", "--plaintext"):
        assert cli.execute(["run", str(folder / "s.yaml"), how, "--json"]) == 0
        told.append({**json.loads(capfd.readouterr().out), "wall_s": 0})
    assert told[0] == told[1]
