"""Presets of one's own, from a file beside the scenario and from installed packages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from ketwire.channels.presets import PRESETS
from ketwire.errors import ScenarioError
from ketwire.scenarios import cli
from ketwire.scenarios.load import load
from ketwire.scenarios.schema.ownpresets import GROUP, LINK_KEYS, NODE_KEYS, installed

OF_FIBER = {"length_km": {"value": 12.4, "source": "OTDR"}, "loss_db_per_km": {"value": 0.31, "source": "1550 nm"}}
MINE: dict[str, Any] = {
    "links": {
        "lab-fiber": {"summary": "between our laboratories", "source": "measured in spring", "figures": OF_FIBER},
        "lab-pairs": {
            "summary": "pairs between our laboratories",
            "source": "counted in spring",
            "figures": {
                **OF_FIBER,
                "transport": {"value": "teleport", "source": "memories"},
                "scheme": {"value": "given", "source": "known by its pairs"},
                "rate_hz": {"value": 30, "source": "counted"},
                "fidelity": {"value": 0.9, "source": "tomography"},
            },
            "memory": {"t2_s": {"value": 1, "source": "echo"}},
            "left_out": "dark counts",
        },
        "lab-code": {
            "summary": "blocks of four photons",
            "source": "planned",
            "figures": {
                "transport": {"value": "coded", "source": "planned"},
                "code": {"value": "[[4,2,2]]", "source": "planned"},
                "gate_s": {"value": 1e-6, "source": "planned"},
            },
        },
    },
    "nodes": {
        "lab-ions": {
            "source": "our trap",
            "figures": {"t2_s": {"value": 0.5, "source": "Ramsey"}, "p_gate2": {"value": 0.01, "source": "cycles"}},
        }
    },
}


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    installed.cache_clear()
    yield
    installed.cache_clear()


def scenario(folder: Path, link: dict[str, Any], node: dict[str, Any] | None = None, mine: Any = None) -> str:
    layers = [{"at": "bob", "layer": "hadamards"}]
    data = {
        "seed": 1,
        "nodes": {"alice": node or {}, "bob": {}},
        "links": [{"between": ["alice", "bob"], **link}],
        "protocol": {"kind": "inference", "qubits": 2, "start": "alice", "layers": layers, "copies": 5},
    }
    if mine is not None:
        (folder / "mine.yaml").write_text(json.dumps(mine))
        data["presets"] = "mine.yaml"
    path = folder / "demo.yaml"
    path.write_text(json.dumps(data))
    return str(path)


def refused(folder: Path, mine: Any, link: dict[str, Any] | None = None) -> str:
    path = scenario(folder, link or {"fiber": "ideal"}, mine=mine)
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def changed(*keys: str, value: Any) -> dict[str, Any]:
    """The good file with one change."""
    data = deepcopy(MINE)
    here = data
    for key in keys[:-1]:
        here = here.setdefault(key, {})
    here[keys[-1]] = value
    return data


def offer(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    found = [EntryPoint(name, value, GROUP) for name, value in points.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: found if group == GROUP else [])


# ---------------------------------------------------------------- what they do

WRITTEN_OUT = {
    "lab-fiber": {"length_km": 12.4, "loss_db_per_km": 0.31},
    "lab-pairs": {"length_km": 12.4, "transport": "teleport", "scheme": "given", "rate_hz": 30, "fidelity": 0.9},
    "lab-code": {"length_km": 3, "transport": "coded", "code": "[[4,2,2]]", "gate_s": 1e-6},
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_preset_is_its_numbers_written_out(tmp_path: Path, name: str) -> None:
    length = {} if "length_km" in MINE["links"][name]["figures"] else {"length_km": 3}
    named = load(scenario(tmp_path, {"fiber": name, **length}, {"hardware": "lab-ions"}, MINE)).network()
    plain = load(scenario(tmp_path, {"fiber": "ideal", **WRITTEN_OUT[name]}, {"t2_s": 0.5, "p_gate2": 0.01})).network()
    assert (named.links, named.hardware) == (plain.links, plain.hardware)


def test_a_scenario_overrides_them_and_drops_another_transports(tmp_path: Path) -> None:
    link = {"fiber": "lab-pairs", "transport": "direct", "length_km": 1}
    line = load(scenario(tmp_path, link, mine=MINE)).network().links[0].forward
    assert (line.transport.kind, line.fiber.length_km, line.fiber.loss_db_per_km) == ("direct", 1, 0.31)


def test_what_is_resolved_has_every_number(tmp_path: Path) -> None:
    """It still needs the file, and runs the same when the file says something else."""
    once = load(scenario(tmp_path, {"fiber": "lab-fiber"}, {"hardware": "lab-ions"}, MINE))
    (tmp_path / "again.yaml").write_text(once.resolved())
    other = changed("links", "lab-fiber", "figures", "loss_db_per_km", "value", value=3)
    other["nodes"]["lab-ions"]["figures"]["t2_s"]["value"] = 7
    (tmp_path / "mine.yaml").write_text(json.dumps(other))
    again = load(str(tmp_path / "again.yaml"))
    assert (again.network().links, again.network().hardware) == (once.network().links, once.network().hardware)


def test_a_readout_that_errs_on_one_side_and_a_gaussian_decay_can_be_said(tmp_path: Path) -> None:
    mine = changed("nodes", "lab-ions", "figures", "p_readout", value={"value": [0.1, 0.02], "source": "counts"})
    mine["nodes"]["lab-ions"]["figures"]["t2_shape"] = {"value": "gaussian", "source": "Ramsey"}
    loaded = load(scenario(tmp_path, {"fiber": "ideal"}, {"hardware": "lab-ions"}, mine))
    hardware = loaded.run().hardware_of("alice")
    assert hardware.misreads == (0.1, 0.02) and hardware.memory.gaussian
    (tmp_path / "again.yaml").write_text(loaded.resolved())
    assert load(str(tmp_path / "again.yaml")).run().hardware_of("alice") == hardware


def test_the_keys_are_those_of_numbers_alone() -> None:
    """None that names a file to execute, an engine, or another node."""
    assert not {"python", "engine", "via", "between", "fiber", "noise", "eve", "distill"} & LINK_KEYS
    assert set(PRESETS["trapped-ion"].figures) <= LINK_KEYS and {"t1_s", "p_readout", "message_s"} <= NODE_KEYS


# ---------------------------------------------------------------- what is refused

FIBER = ("links", "lab-fiber", "figures", "loss_db_per_km")


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        (changed(*FIBER, value=0.3), "links.lab-fiber.figures.loss_db_per_km: 0.3 given, expected a mapping"),
        (changed(*FIBER, value={"value": 1}), "links.lab-fiber.figures.loss_db_per_km.source: missing required key"),
        (changed(*FIBER, "source", value=" "), "links.lab-fiber.figures.loss_db_per_km.source: \" \" given, expected"),
        (changed(*FIBER, "value", value=-1), "links.lab-fiber.figures.loss_db_per_km: -1.0 given, expected a number"),
        (changed(*FIBER, "value", value="x"), 'links.lab-fiber.figures.loss_db_per_km: "x" given, expected a number'),
        (changed(*FIBER, "value", value=True), "links.lab-fiber.figures.loss_db_per_km: true given, expected a "),
        (changed(*FIBER[:2], "source", value=""), 'links.lab-fiber.source: "" given, expected'),
        (changed(*FIBER[:3], "colour", value={"value": 1, "source": "x"}), "links.lab-fiber.figures.colour: 'colour' "),
        (changed(*FIBER[:3], "python", value={"value": "x", "source": "x"}), "links.lab-fiber.figures.python: 'python"),
        (changed(*FIBER[:3], "rate_hz", value={"value": 1, "source": "x"}), "links.lab-fiber.figures.rate_hz: 1.0 giv"),
        (
            changed("links", "lab-pairs", "figures", "p_init", value={"value": 2, "source": "x"}),
            "links.lab-pairs.figures.p_init: 2.0 given, expected a number from 0 to 1",
        ),
        (
            changed("links", "lab-pairs", "memory", "t2_s", "value", value=-1),
            "links.lab-pairs.memory.t2_s: -1 given, expected above 0",
        ),
        (
            changed("links", "lab-pairs", "figures", "fidelity", "value", value=0.1),
            "links.lab-pairs.figures.fidelity: 0.1 given, expected 1/4",
        ),
        (changed("links", "Lab", value=MINE["links"]["lab-fiber"]), 'links.Lab: "Lab" given, expected text of the f'),
        (changed("nodes", "lab-ions", "figures", "t1_s", value=3), "nodes.lab-ions.figures.t1_s: 3 given, expected a "),
        (
            changed("nodes", "lab-ions", "figures", "p_gate2", "value", value=2),
            "nodes.lab-ions.figures.p_gate2: 2 given, expected at most 1",
        ),
        (
            changed("nodes", "lab-ions", "figures", "hardware", value={"value": "ideal", "source": "x"}),
            "nodes.lab-ions.figures.hardware: 'hardware' given, expected one of gate1_s",
        ),
        (changed("fibers", value={}), "fibers: unknown key, {} given, expected one of links, nodes"),
        ([1], "a list given, expected a mapping with links and nodes"),
        (
            changed("links", "telecom-fiber", value=MINE["links"]["lab-fiber"]),
            "links.telecom-fiber: 'telecom-fiber' given, expected another name, which ketwire itself has not taken",
        ),
        (
            changed("nodes", "trapped-ion", value=MINE["nodes"]["lab-ions"]),
            "nodes.trapped-ion: 'trapped-ion' given, expected another name, which ketwire itself has not taken",
        ),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line_with_its_key(tmp_path: Path, mine: Any, told: str) -> None:
    """Unless the scenario uses none of them, too."""
    assert refused(tmp_path, mine).startswith(f"presets: mine.yaml: {told}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(scenario(tmp_path, {"fiber": "ideal"}), ["presets=none.yaml"])
    told = "presets: none.yaml: No such file or directory, expected a file of presets that can be read"
    assert str(caught.value).endswith(told)


def test_unknown_names_are_told_with_all_that_are_known(tmp_path: Path) -> None:
    said = refused(tmp_path, MINE, {"fiber": "lab-rope"})
    assert said.startswith('links.0.fiber: "lab-rope" given, expected a preset: ideal, ') and "lab-code" in said


# ---------------------------------------------------------------- installed packages

NUMBER = {"value": 2.5, "source": "a data sheet"}
OFFERED = {
    "links": {"vendor-fiber": {"summary": "a fiber", "source": "a vendor", "figures": {"loss_db_per_km": NUMBER}}},
    "nodes": {"vendor-node": {"source": "a vendor", "figures": {"t2_s": NUMBER}}},
}
BROKEN = {"links": {"vendor-fiber": {"summary": "a fiber", "source": "a vendor", "figures": {"loss_db_per_km": 2.5}}}}


def test_an_installed_package_offers_presets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, vendor="test_ownpresets:OFFERED")
    found = load(scenario(tmp_path, {"fiber": "vendor-fiber", "length_km": 2}, {"hardware": "vendor-node"})).network()
    assert found.links[0].forward.fiber.loss_db_per_km == 2.5 and found.hardware["alice"].memory.t2_ps == 2.5e12
    assert cli.execute(["presets"]) == 0
    said = capsys.readouterr().out
    assert said.count("from: entry point vendor") == 2 and "ideal" in said
    assert cli.execute(["presets", "vendor-fiber"]) == 0
    assert "loss_db_per_km: 2.5  # a data sheet" in capsys.readouterr().out
    assert cli.execute(["presets", "vendor-node"]) == 0
    assert "    # t2_s: 2.5  # a data sheet\n" in capsys.readouterr().out
    assert cli.execute(["link", "vendor-fiber", "--length", "2", "--qubits", "1"]) == 0
    assert "vendor-fiber, 2 km" in capsys.readouterr().out


def test_nobody_is_asked_for_what_ketwire_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read what every installed package declares takes longer than to load a scenario."""

    def asked(group: str) -> list[EntryPoint]:
        assert group != GROUP
        return []

    monkeypatch.setattr("importlib.metadata.entry_points", asked)
    load(scenario(tmp_path, {"fiber": "telecom-fiber", "length_km": 1}, {"hardware": "trapped-ion"}))


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ("test_ownpresets:BROKEN", "links.vendor-fiber.figures.loss_db_per_km: 2.5 given, expected a mapping"),
        ("test_ownpresets:NOTHING", "'test_ownpresets:NOTHING' cannot be imported (AttributeError: "),
        ("nowhere_at_all:X", "'nowhere_at_all:X' cannot be imported (ModuleNotFoundError: "),
        ("test_ownpresets:GROUP", "a str given, expected a mapping with links and nodes"),
    ],
)
def test_a_package_s_bad_presets_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], point: str, told: str
) -> None:
    offer(monkeypatch, vendor=point)
    assert cli.execute(["presets"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ketwire: presets: entry point vendor: {told}") and said.count("\n") == 1


def test_names_are_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, vendor="test_ownpresets:OFFERED")
    said = refused(tmp_path, OFFERED)
    assert said == (
        "presets: mine.yaml: links.vendor-fiber: 'vendor-fiber' given, expected another name, "
        "which entry point vendor has not taken"
    )
    installed.cache_clear()
    offer(monkeypatch, vendor="test_ownpresets:OFFERED", other="test_ownpresets:OFFERED")
    with pytest.raises(ScenarioError, match=r"presets: entry point vendor: links.vendor-fiber: .* entry point other"):
        installed()


# ---------------------------------------------------------------- what is printed


def test_a_file_is_listed_with_its_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario(tmp_path, {}, mine=MINE)
    path = str(tmp_path / "mine.yaml")
    assert cli.execute(["presets", path]) == 0
    said = capsys.readouterr().out
    for name, preset in MINE["links"].items():
        assert f"  {name}" in said and preset["summary"] in said and f"source: {preset['source']}" in said
    assert "t2_s: 0.5, p_gate2: 0.01\n" in said and "source: our trap\n" in said and "telecom-fiber" not in said
    assert said.count(f"from: {path}") == 4
