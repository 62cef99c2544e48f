"""Trained models: each party keeps its own, by every runtime, and reads it where it fits."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ketwire as kw
from ketwire.errors import PartyFailed
from ketwire.nodes.checkpoints.archive import pack
from ketwire.nodes.models import FORMAT, read_layer, write_model
from ketwire.protocols.node import State

LINK = {"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 0}
NODES = {"nodes": {"alice": {}, "bob": {}}, "links": [LINK]}
ROTATIONS = {"layer": "rotations", "axes": ["y"], "entangle": "none"}
TRAINING = {
    "name": "train", "seed": 4, **NODES,
    "protocol": {
        "kind": "training", "qubits": 2, "start": "alice", "steps": 2, "copies": 20, "loss_copies": 20,
        "test_copies": 20, "checkpoint_every": 1, "rivals": {"backprop": [], "raw": [], "description": []},
        "data": {part: {"values": [[1, 2, 0, 1], [0, 1, 3, 1]]} for part in ("train", "test")},
        "labels": {part: {"values": [0, 1]} for part in ("train", "test")},
        "objective": {"loss": "logistic"},
        "layers": [
            {"at": "alice", **ROTATIONS, "angles": {"random": "angles"}},
            {"at": "bob", "layer": "hadamards"},
            {"at": "bob", **ROTATIONS, "sublayers": 2, "angles": {"random": "angles"}},
        ],
    },
}  # fmt: skip
STATE = State({"training": "ab" * 32, "layers": {"3": {"layer": "rotations"}}}, {"3": np.array([0.5, -1.0])})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    kw.run(TRAINING, out=folder)
    return folder


def using(run: Path, **changed: Any) -> dict[str, Any]:
    """An inference with all layers as they were trained; changed: of the layer of Bob that has angles."""
    layers = [
        {"at": "alice", **ROTATIONS, "angles": {"trained": str(run)}},
        {"at": "bob", "layer": "hadamards"},
        {"at": "bob", **ROTATIONS, "sublayers": 2, "angles": {"trained": str(run)}, **changed},
    ]
    told = {"kind": "inference", "qubits": 2, "start": "alice", "epsilon": 0.1, "delta": 0.1, "layers": layers}
    return {"name": "use", "seed": 1, **NODES, "protocol": {**told, "input": {"values": [1, 2, 0, 1]}}}


def angles(run: Path, name: str) -> dict[str, Any]:
    with np.load(run / "models" / f"{name}.npz") as file:
        names = json.loads(file["head"].tobytes())["arrays"]
        return {each: file[str(number)] for number, each in enumerate(names)}


def test_each_keeps_its_own_angles_for_itself(run: Path) -> None:
    assert sorted(path.name for path in (run / "models").iterdir()) == ["alice.npz", "bob.npz"]
    alice, bob = angles(run, "alice"), angles(run, "bob")
    assert (list(alice), list(bob)) == (["0"], ["2"]) and (len(alice["0"]), len(bob["2"])) == (2, 4)
    for path in (run / "models", *(run / "models").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_what_was_trained_is_what_an_inference_computes_with(run: Path) -> None:
    told = using(run)
    plain = {**told, "protocol": {**told["protocol"], "layers": [dict(layer) for layer in told["protocol"]["layers"]]}}
    for index, name in ((0, "alice"), (2, "bob")):
        plain["protocol"]["layers"][index]["angles"] = {"values": angles(run, name)[str(index)].tolist()}
    first, second = kw.run(told, check=True), kw.run(plain, check=True)
    assert first.transcript_sha256 == second.transcript_sha256 and first.exact == second.exact


def test_a_training_goes_on_from_what_another_has_trained(run: Path, tmp_path: Path) -> None:
    sources = {f"protocol.layers.{index}.angles": {"trained": str(run)} for index in (0, 2)}
    kw.run(TRAINING, {**sources, "protocol.optimiser": {"name": "sgd", "rate": 1e-9}}, out=tmp_path / "next")
    for name in ("alice", "bob"):
        for layer, before in angles(run, name).items():
            assert np.abs(angles(tmp_path / "next", name)[layer] - before).max() < 1e-6


def test_processes_keep_the_same(run: Path, tmp_path: Path) -> None:
    kw.run(TRAINING, processes=True, out=tmp_path / "run")
    for name in ("alice", "bob"):
        assert all(np.array_equal(each, angles(tmp_path / "run", name)[key]) for key, each in angles(run, name).items())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"sublayers": 1}, r"protocol\.layers\.2\.angles: sublayers 2 of the layer that was trained, expected 1 as in"),
        ({"axes": ["z"]}, r'layers\.2\.angles: axes \["y"\] of the layer that was trained, expected \["z"\] as in'),
        ({"at": "alice", "sublayers": 2}, r"alice\.npz: no layer 2, expected one with angles of alice: 0$"),
    ],
)
def test_what_fits_another_layer_is_refused(run: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(kw.ScenarioError, match=told):
        kw.run(using(run, **changed))


def test_models_of_others_and_of_other_trainings_are_refused(run: Path, tmp_path: Path) -> None:
    kw.run(TRAINING, seed=5, out=tmp_path / "other")
    with pytest.raises(kw.ScenarioError, match=r"layers\.2\.angles: training = \d+, but \S+layers\.0"):
        kw.run(using(run, angles={"trained": str(tmp_path / "other")}))
    hers = {"trained": str(run / "models" / "alice.npz")}
    with pytest.raises(kw.ScenarioError, match=r"alice\.npz: trained by alice, expected a model of bob$"):
        kw.run(using(run, angles=hers))
    with pytest.raises(kw.ScenarioError, match=r"\.2\.angles\.trained: \S+bob\.npz: No such file or directory, exp"):
        kw.run(using(run, angles={"trained": str(tmp_path)}))
    with pytest.raises(kw.ScenarioError, match=r"^scenario: protocol\.input: .* one of the keys path, values"):
        kw.run(using(run), {"protocol.input": {"trained": str(run)}})


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"no zip", r"no archive"),
        (pack({"owner": "bob", **STATE.values}, STATE.arrays), r"format ketwire-archive version \d, expected ketwire"),
        (pack({"owner": "bob"}, {}, FORMAT), "a head without owner, training and layers"),
        (pack({"owner": "bob", **STATE.values}, {"4": np.zeros(2)}, FORMAT), "a head without owner, training"),
        (pack({"owner": "bob", **STATE.values}, {"3": np.array([np.nan])}, FORMAT), "no list of finite numbers"),
        (pack({"owner": "bob", **STATE.values, "training": "ab"}, STATE.arrays, FORMAT), "a head without owner"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_model_is_named(tmp_path: Path, octets: bytes, told: str) -> None:
    (tmp_path / "m.npz").write_bytes(octets)
    said = rf"^key: {tmp_path}/m\.npz: .*{told}.*, expected a model that a training has kept$"
    with pytest.raises(kw.ScenarioError, match=said):
        read_layer("key", str(tmp_path / "m.npz"), "bob", 3)


def test_a_flipped_octet_is_not_an_angle(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    write_model(path, "bob", STATE)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        try:
            found = read_layer("key", str(path), "bob", 3)
        except kw.ScenarioError:
            refused += 1
        else:  # a date, say, which nothing depends on
            assert np.array_equal(found["values"], STATE.arrays["3"])
    assert refused > len(whole) / 14


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PartyFailed, match=r"^model: \S+/no/where/bob\.npz: No such file or directory; expected a "):
        write_model(tmp_path / "no" / "where" / "bob.npz", "bob", STATE)


@pytest.mark.long  # processes by command
def test_a_party_started_by_hand_keeps_its_model_where_it_is_told(tmp_path: Path, run: Path) -> None:
    (tmp_path / "train.yaml").write_text(json.dumps(TRAINING))
    (tmp_path / "use.yaml").write_text(json.dumps(using(run, angles={"trained": "b.npz"})))
    for name in ("train", "use"):
        keys = [sys.executable, "-m", "ketwire", "keys", f"keys-{name}", f"{name}.yaml"]
        subprocess.run(keys, cwd=tmp_path, check=True)

    def by_hand(name: str, *alices: str) -> dict[str, tuple[int, str]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            at = f"127.0.0.1:{probe.getsockname()[1]}"
        commands = {
            "coordinator": ("coordinator", f"{name}.yaml", "--bind", at, "--json"),
            "fiber": ("fiber", "alice-bob", "--coordinator", at),
            "bob": ("node", "bob", "--coordinator", at, *(() if name == "use" else ("--model", "b.npz"))),
            "alice": ("node", "alice", "--coordinator", at, *alices),
        }
        running = {
            who: subprocess.Popen(
                [sys.executable, "-m", "ketwire", *argv, "--keys", f"keys-{name}"], cwd=tmp_path, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for who, argv in commands.items()
        }  # fmt: skip
        return {who: (each.wait(60), each.communicate()[1]) for who, each in running.items()}

    assert {code for code, _ in by_hand("train", "--model", "a.npz").values()} == {0}
    for name, layer in (("alice", 0), ("bob", 2)):
        mine = read_layer("key", str(tmp_path / f"{name[0]}.npz"), name, layer)["values"]
        assert np.array_equal(mine, angles(run, name)[str(layer)])
    refused = by_hand("use", "--model", "c.npz")
    code, said = refused["alice"]
    assert code == 2 and "--model: c.npz given, expected none: alice trains nothing" in said
