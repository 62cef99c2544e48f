"""Compose files: who meets whom on which network, who sees which key and file. What an engine makes of them is
tried in tests/compose."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml

from ketwire.scenarios import cli

ROOT = Path(__file__).parents[2]
PROFILES = ("digits=digits", "repeaters=repeater-chain-100km", "eve=eavesdropper", "training=train-breast-cancer")
OWN = """\
seed: 1
nodes: {keys: {}, bob_2: {}}
links: [{between: [keys, bob_2], fiber: telecom-fiber, length_km: 1}]
protocol:
  kind: subspace
  task: classify
  sender: keys
  receiver: bob_2
  vectors: {path: data/mine.csv}
  training: {path: ../theirs.npy}
  training_labels: {path: data/theirs-labels.npy}
  labels: {path: data/labels.npy}
  quantiser: {low: 0, high: 1, relative: false}
  components: 1
  copies: 10
"""


def composed(*argv: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.execute(["compose", *argv]) == 0, capsys.readouterr().err
    found: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return found


def met(services: Mapping[str, Any]) -> set[frozenset[str]]:
    """Which services share a network."""
    joined = {name: set(service.get("networks", ())) for name, service in services.items()}
    return {frozenset(pair) for pair in itertools.combinations(joined, 2) if joined[pair[0]] & joined[pair[1]]}


def ring(count: int) -> str:
    names = [f"n{index}" for index in range(count)]
    links = ", ".join(
        f"{{between: [{a}, {b}], fiber: telecom-fiber, length_km: 1}}" for a, b in zip(names, names[1:] + names[:1])  # noqa: B905
    )
    nodes = ", ".join(f"{name}: {{}}" for name in names)
    layers = ", ".join(f"{{at: {name}, layer: hadamards}}" for name in names)
    protocol = f"{{kind: inference, qubits: 2, start: n0, copies: 10, layers: [{layers}]}}"
    return f"seed: 1\nnodes: {{{nodes}}}\nlinks: [{links}]\nprotocol: {protocol}\n"


def test_the_repositorys_own_file_is_what_the_command_writes(tmp_path: Path) -> None:
    assert cli.execute(["compose", *PROFILES, "-o", str(tmp_path / "compose.yaml")]) == 0
    assert (tmp_path / "compose.yaml").read_text() == (ROOT / "compose.yaml").read_text()
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    profiles = [pair.partition("=")[0] for pair in PROFILES]
    assert {tuple(service["profiles"]) for service in services.values()} == {(name,) for name in profiles}
    assert all(name.startswith(f"{service['profiles'][0]}-") for name, service in services.items())
    assert (ROOT / ".env").read_text() == "COMPOSE_PROFILES=digits\n"


@pytest.mark.parametrize("name", ["digits", "repeater-chain-100km", "ring-of-three", "train-breast-cancer"])
def test_a_party_meets_its_fibers_and_the_coordinator_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    services = composed(name, capsys=capsys)["services"]
    fibers = {service for service in services if "-" in service}
    parties = set(services) - fibers - {"keys", "coordinator", "page"}
    expected = {frozenset((fiber, end)) for fiber in fibers for end in fiber.split("-")}
    expected |= {frozenset(("coordinator", each)) for each in parties | fibers}
    assert met(services) == expected


def test_a_ring_of_sixteen_has_a_small_subnet_for_each_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ring.yaml").write_text(ring(16))
    networks = composed(str(tmp_path / "ring.yaml"), capsys=capsys)["networks"]
    assert len(networks) == 16 + 16 + 32 and all(each["internal"] for each in networks.values())
    told = [each["ipam"]["config"][0]["subnet"] for each in networks.values()]
    subnets = [ip_network(each.replace("${KETWIRE_SUBNET:-10.213}", "10.213")) for each in told]
    assert {subnet.prefixlen for subnet in subnets} == {29}
    assert not any(a.overlaps(b) for a, b in itertools.combinations(subnets, 2))


def test_nobody_has_more_privileges_than_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    services = composed("train-breast-cancer", capsys=capsys)["services"]
    page = services.pop("page")
    assert page["ports"] == ["127.0.0.1:${KETWIRE_PORT:-8000}:8000"] and page["user"] == "10001:10001"
    assert page["profiles"] == ["page"] and page["volumes"] == ["runs:/runs:ro"], "it is started where it is asked for"
    for name, service in services.items():
        assert service["read_only"] and service["init"] and service["cap_drop"] == ["ALL"] and service["mem_limit"]
        assert service["security_opt"] == ["no-new-privileges:true"] and "ports" not in service
        assert ("runs:/runs" in service["volumes"]) == (name == "coordinator")
        assert (service["user"], service.get("cap_add")) == (
            ("0:0", ["CHOWN"]) if name == "keys" else ("10001:10001", None)
        )
        assert ("healthcheck" in service) == (name != "keys")
        assert service.get("restart") == (None if name in ("keys", "coordinator") else "on-failure:3")
    assert services["keys"]["network_mode"] == "none"


def test_each_sees_its_own_secret_key_alone(capsys: pytest.CaptureFixture[str]) -> None:
    services = composed("ring-of-three", capsys=capsys)["services"]
    for name, service in services.items():
        if name != "keys":
            assert service["volumes"] == [f"keys.{name}:/keys:ro"]
    assert services["keys"]["volumes"] == [f"keys.{name}:/keys/{name}" for name in services if name != "keys"] or (
        set(services["keys"]["volumes"]) == {f"keys.{name}:/keys/{name}" for name in services if name != "keys"}
    )


def test_a_file_is_mounted_into_its_owners_container_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node may be called keys, too."""
    folder = tmp_path / "a $5 scenario"
    (folder / "data").mkdir(parents=True)
    (folder / "own.yaml").write_text(OWN)
    for name in ("data/theirs-labels.npy", "data/labels.npy", "../theirs.npy"):
        np.save(folder / name, np.zeros(4))
    (folder / "data/mine.csv").write_text("1,2\n")
    services = composed(str(folder / "own.yaml"), capsys=capsys)["services"]
    assert set(services) == {"keys.once", "keys", "bob_2", "keys-bob_2", "coordinator"}
    assert services["bob_2"]["hostname"] == "bob-2"
    files = {
        name: {
            each["target"]: each["source"].replace("$$", "$")
            for each in service["volumes"] if isinstance(each, dict) and each["read_only"]
        }
        for name, service in services.items()
    }  # fmt: skip
    scenario = {"/scenario/own.yaml": f"{folder}/own.yaml"}
    assert files == {
        "keys.once": scenario,
        "coordinator": {**scenario, "/scenario/data/labels.npy": f"{folder}/data/labels.npy"},
        "keys": {"/data/data/mine.csv": f"{folder}/data/mine.csv"},
        "bob_2": {
            "/theirs.npy": f"{tmp_path}/theirs.npy", "/data/data/theirs-labels.npy": f"{folder}/data/theirs-labels.npy"
        },
        "keys-bob_2": {},
    }  # fmt: skip
    assert services["coordinator"]["command"][1] == "/scenario/own.yaml"


def test_a_module_of_the_scenarios_folder_goes_to_all_who_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "your-own-protocol.md").read_text()
    for language, name in (("python", "coin.py"), ("yaml", "coin.yaml")):
        (tmp_path / name).write_text(page.partition(f"```{language}\n")[2].partition("```")[0])
    services = composed(str(tmp_path / "coin.yaml"), capsys=capsys)["services"]
    there = {name: [each["target"] for each in service["volumes"] if isinstance(each, dict)]
             for name, service in services.items()}  # fmt: skip
    assert there["coordinator"] == ["/scenario/coin.yaml", "/scenario/coin.py"]
    assert there["alice"] == there["bob"] == ["/data/coin.py"] and there["alice-bob"] == []


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["digits", "subspace"], "compose: several scenarios given, expected PROFILE=SCENARIO for each"),
        (["A=digits"], "compose: profile 'A' given, expected small letters and digits"),
        (["digits", "-o", "/no/where/x"], "-o: /no/where/x: No such file or directory, expected a file that can be"),
        (["own.yaml"], "own.yaml: path 'data/mine.csv' given, expected a file: "),
    ],
)
def test_what_cannot_be_composed_is_one_line(
    argv: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(OWN)
    assert cli.execute(["compose", *argv]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"ketwire: {told}") and err.count("\n") == 1


def test_what_the_manifest_for_kubernetes_runs_are_commands_of_ketwire() -> None:
    """Each job's arguments are parsed as the program parses them; nothing is run."""
    program: Any = typer.main.get_command(cli.app)
    jobs = [
        each for each in yaml.safe_load_all((ROOT / "docker" / "kubernetes.yaml").read_text()) if each["kind"] == "Job"
    ]
    assert {job["metadata"]["name"] for job in jobs} == {"coordinator", "alice-bob", "alice", "bob"}
    for job in jobs:
        name, *arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
        context = program.commands[name].make_context(name, arguments)
        assert context.params["mounted_keys"] and str(context.params["keys"]) == "/keys"
        (secret,) = [v["secret"] for v in job["spec"]["template"]["spec"]["volumes"] if "secret" in v]
        assert secret["secretName"] == f"keys-{job['metadata']['name']}"
