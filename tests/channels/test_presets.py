"""Presets of links: every number has a source and changes a result, and a scenario may override each."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import HARDWARE, Hardware
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.messages import Arrivals
from ketwire.channels.parts import Memory
from ketwire.channels.planning.making import making
from ketwire.channels.presets import PRESETS, SCHEME_KEYS, Figure
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.quantum.layers import haar_state
from ketwire.scenarios import cli
from ketwire.scenarios.load import validate
from ketwire.scenarios.schema.known import Known
from ketwire.scenarios.schema.model import Link
from ketwire.scenarios.schema.presettext import fragment
from ketwire.scenarios.schema.yamltext import parse
from tests.kit import Threads, rarely

NAMES = list(PRESETS)
PERFECT = Hardware()


def link_of(name: str, **told: Any) -> Link:
    """A link of this preset, 5 km long where the preset says nothing of it."""
    if "length_km" not in PRESETS[name].figures:
        told = {"length_km": 5.0, **told}
    return Link(between=("alice", "bob"), fiber=name, **told)


def line_of(name: str, **told: Any) -> Line:
    return link_of(name, **told).line(PERFECT, PERFECT)


def memory_of(name: str) -> Memory:
    told = {key: each.value for key, each in PRESETS[name].memory.items()}
    gaussian = told.pop("t2_shape", "exponential") == "gaussian"
    return Memory(**{f"{key[:2]}_ps": float(value) * PS_PER_S for key, value in told.items()}, gaussian=gaussian)


def scenario(name: str, **told: Any) -> dict[str, Any]:
    link = {"between": ["alice", "bob"], "fiber": name, **told}
    if "length_km" not in PRESETS[name].figures:
        link = {"length_km": 5.0, **link}
    layers = [{"at": "bob", "layer": "hadamards"}]
    protocol = {"kind": "inference", "qubits": 1, "start": "alice", "layers": layers, "copies": 5}
    return {"seed": 1, "nodes": {"alice": {}, "bob": {}}, "links": [link], "protocol": protocol}


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(ScenarioError) as caught:
        validate(data, "x", "x", "/")
    return str(caught.value)


# ---------------------------------------------------------------- what presets are


def test_the_presets_are_there() -> None:
    assert set(NAMES) == {
        "ideal", "telecom-fiber", "oxford-2025", "oxford-2020", "duke-2024", "delft-2018-lab",
        "delft-metro-2024", "harvard-2024", "innsbruck-230m", "color-center", "trapped-ion",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_number_has_a_source_and_is_a_key_of_a_scenario(name: str) -> None:
    preset = PRESETS[name]
    assert preset.source and preset.summary
    assert set(preset.figures) < set(Link.model_fields) and set(preset.memory) <= {"t1_s", "t2_s", "t2_shape"}
    assert all(figure.source for figure in (*preset.figures.values(), *preset.memory.values()))


def test_laboratories_give_what_was_measured() -> None:
    """Rates, fidelities and lengths as published."""
    for name, rate_hz, fidelity, length_km in (
        ("oxford-2025", 9.7, 0.9689, 0.002),
        ("oxford-2020", 182.0, 0.94, 0.004),
        ("duke-2024", 250.0, 0.94, 5.0),  # no length of its own
        ("delft-metro-2024", 0.022, 0.534, 25.0),
    ):
        line = line_of(name)
        assert isinstance(line.transport, Teleport)
        assert line.time_ps(1) == pytest.approx(PS_PER_S / rate_hz)
        assert line.transport.pair_bell(line)[0] == pytest.approx(fidelity)
        assert line.fiber.length_km == length_km


def test_innsbruck_s_figures_come_out_of_the_scheme() -> None:
    """p = 4e-5 over 520 m, and F = 0.881 of two Werner states of 0.938; 0.882(+0.023, -0.060) was published."""
    made = making(line_of("innsbruck-230m"))
    assert made.success_probability == pytest.approx(4e-5, rel=1e-9)
    assert made.fidelity == pytest.approx(0.938**2 + 0.062**2 / 3)
    assert made.pairs_hz == pytest.approx(4e-5 / 350e-6)


def test_delft_s_figures_come_out_of_single_clicks() -> None:
    """By hand for faint photons, an attempt in 5.5 us: 2 α η + 2 dark counts. Published: 39 Hz and F = 0.60(2)."""
    made = making(line_of("delft-2018-lab"))
    alpha, eta, dark = 0.3, 3.5e-4, 5e-7
    success = 2 * alpha * eta + 2 * dark
    assert made.success_probability == pytest.approx(success, rel=1e-3)
    assert made.pairs_hz == pytest.approx(success / 5.5e-6, rel=1e-3)
    kept = math.sqrt(0.9) * 0.96 * math.exp(-(math.radians(15) ** 2) / 2)
    odd = 2 * alpha * (1 - alpha)
    assert made.fidelity == pytest.approx((odd * eta * (1 + kept) + odd * 2 * dark) / 2 / success, rel=1e-3)


def test_harvard_loses_17_decibels() -> None:
    assert line_of("harvard-2024", transport="direct").fiber.survival == pytest.approx(10**-1.7)


# ---------------------------------------------------------------- overriding them


def test_a_scenario_overrides_what_a_preset_says() -> None:
    link = link_of("trapped-ion", visibility=0.5, p_init=0.1, memory_slots=4)
    transport = link.line(PERFECT, PERFECT).transport
    assert transport == Teleport(dark_count=1.4e-5, visibility=0.5, memory_slots=4)
    assert link.physics() == Fiber(5.0, 0.25, 0.1, speed_km_per_s=214_000.0)


def test_another_transport_drops_what_the_preset_says_of_its_own() -> None:
    for name in NAMES:
        assert line_of(name, transport="direct").transport == Direct()
        assert line_of(name, transport="coded", code="[[4,2,2]]").transport == Coded(code="[[4,2,2]]")


def test_another_scheme_drops_what_means_nothing_for_it() -> None:
    given = line_of("trapped-ion", scheme="given", rate_hz=5.0, fidelity=0.9).transport
    assert given == Teleport(scheme="given", rate_hz=5.0, fidelity=0.9)
    assert line_of("oxford-2025", scheme="double-click").transport == Teleport()
    single = line_of("color-center", scheme="single-click", alpha=0.2).transport
    assert single == Teleport(scheme="single-click", alpha=0.2, dark_count=1.5e-7, visibility=0.9)


@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        ("trapped-ion", {"transport": "direct", "visibility": 0.9}, "visibility: 0.9 given, expected nothing here wi"),
        ("trapped-ion", {"rate_hz": 3}, "rate_hz: 3.0 given, expected nothing for the scheme double-click"),
        ("oxford-2025", {"scheme": "given", "dark_count": 0.1}, "dark_count: 0.1 given, expected nothing here"),
        ("oxford-2025", {"code": "[[5,1,3]]"}, 'code: "[[5,1,3]]" given, expected nothing here with transport'),
        ("oxford-2025", {"rate_hz": None}, "rate_hz: null given, expected a number for the scheme given"),
        ("telecom-fiber", {"rate_hz": 3}, "rate_hz: 3.0 given, expected nothing here with transport direct"),
        ("color-center", {"scheme": "single-click"}, "alpha: null given, expected a number for the scheme single"),
        ("oxford-2025", {"loss_db_per_km": 0.2}, "loss_db_per_km: 0.2 given, expected nothing here: the me"),
        ("harvard-2024", {"p_init": 0.5}, "p_init: 0.5 given, expected nothing here: the measured rate_hz"),
        ("duke-2024", {"emission_rate_hz": 1e6}, "emission_rate_hz: 1000000.0 given, expected nothing here"),
    ],
)
def test_what_the_user_wrote_is_still_refused(name: str, told: dict[str, Any], message: str) -> None:
    assert f"links.0.{message}" in refused(scenario(name, **told))


@pytest.mark.parametrize("name", NAMES)
def test_a_resolved_scenario_holds_every_number(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is resolved runs the same when the preset has become another."""
    loaded = validate(scenario(name), "x", "x", "/")
    resolved, links = parse(loaded.resolved(), "resolved"), loaded.network().links
    monkeypatch.setitem(PRESETS, name, PRESETS["ideal"])
    assert validate(resolved, "y", "y", "/").network().links == links


# ---------------------------------------------------------------- every parameter has an effect

SAMPLES = {"transport": "direct", "scheme": "double-click"}
NUDGE = {"length_km": 1.3, "speed_km_per_s": 0.9, "rate_hz": 1.1, "emission_rate_hz": 0.7, "bandwidth_bps": 0.5}
PARAMETERS = [(name, key) for name in NAMES for key in (*PRESETS[name].figures, *PRESETS[name].memory)]


def nudged(value: float | int | str, key: str) -> float | int | str:
    """A little beside the preset's value, and still physical."""
    if isinstance(value, str):
        other = "single-click" if value == "double-click" else SAMPLES[key]
        return other if value != other else "direct"
    if key in NUDGE or key in ("t1_s", "t2_s", "dark_count", "loss_db_per_km"):
        return value * NUDGE.get(key, 1.2)
    return value * 0.95


def crossing(line: Line) -> tuple[Any, ...]:
    """All that a result depends on, of a fixed batch and key: times, losses, states, counts, reports."""
    states = haar_state(2, np.random.default_rng(3))
    copies = 512
    batch = Copies(states, np.zeros(copies, np.int64), np.zeros(copies, np.int64), np.zeros(copies, np.bool_))
    direction = Direction("alice->bob", line, b"k" * 32)
    delivery = direction.carry(batch, 0)
    assert isinstance(delivery.message, Copies)
    states, row, ready_ps, lost = delivery.message.take()
    report = direction.carry(Arrivals(np.arange(3)), 0)
    whole = states[row][~lost]
    return whole.tobytes(), ready_ps.tobytes(), lost.tobytes(), delivery.record, report.arrival_ps


@pytest.mark.parametrize(("name", "key"), PARAMETERS)
def test_every_parameter_changes_a_result(name: str, key: str) -> None:
    preset, memory = PRESETS[name], memory_of(name)
    context: dict[str, Any] = {}
    if key in preset.memory:  # pairs so rare that all memories are empty by then would not tell
        context = {"p_init": 0.1} if "p_init" in preset.figures else {"rate_hz": 100.0}
    if key == "loss_db_per_km" and preset.figures.get("scheme", Figure("", "")).value == "given":
        context = {"transport": "direct"}  # a measured rate has the losses in it

    def found(memory: Memory, **told: Any) -> tuple[Any, ...]:
        return crossing(link_of(name, **{**context, **told}).line(Hardware(memory), Hardware(memory)))

    before = found(memory)
    assert found(memory) == before, "the same key gives the same crossing"
    if key == "t2_shape":
        after = found(replace(memory, gaussian=not memory.gaussian))
    elif key in preset.memory:
        after = found(replace(memory, **{f"{key[:2]}_ps": float(preset.memory[key].value) * 1.2 * PS_PER_S}))
    else:
        told = {key: nudged(preset.figures[key].value, key)}
        after = found(memory, **told, **({"alpha": 0.2} if "single-click" in told.values() else {}))
    assert after != before


@pytest.mark.parametrize("name", rarely(["trapped-ion", "oxford-2025", "innsbruck-230m"], but="oxford-2025"))
def test_a_preset_gives_one_transcript_everywhere(name: str) -> None:
    run = validate(scenario(name), "x", "x", "/").run()
    inline = run_inline(run)[0]
    assert Threads(run).conduct()[0].transcript_sha256 == inline.transcript_sha256
    if name == "trapped-ion":
        assert run_processes(run)[0].transcript_sha256 == inline.transcript_sha256
    assert inline.totals.ebits == 5 and inline.totals.qubits_delivered == 5


# ---------------------------------------------------------------- what is printed


@pytest.mark.parametrize("name", NAMES)
def test_a_fragment_is_a_valid_part_of_a_scenario(name: str) -> None:
    text = fragment(name, Known())
    told = parse(text, "fragment")
    data = scenario(name)
    data["nodes"] |= told.get("nodes", {})
    link = told["links"][0]
    data["links"] = [{"length_km": 5.0, **link} if "length_km" not in link else link]
    pasted = validate(data, "x", "x", "/").network().links[0]
    hardware = HARDWARE[name].hardware if name in HARDWARE else Hardware(memory_of(name))
    assert hardware.memory == memory_of(name), "a preset's link and hardware agree on the memory"
    assert pasted.forward == link_of(name).line(hardware, hardware)
    assert all(figure.source in text for figure in PRESETS[name].figures.values())


def test_the_command_lists_names_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["presets"]) == 0
    said = capsys.readouterr().out
    for name, preset in PRESETS.items():
        assert f"  {name}" in said and preset.summary in said and f"source: {preset.source}" in said
    assert max(map(len, said.splitlines())) <= 110
    assert cli.execute(["presets", "oxford-2025"]) == 0
    assert capsys.readouterr().out == fragment("oxford-2025", Known())


def test_an_unknown_preset_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["presets", "rope"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("ketwire: presets: 'rope' given, expected a preset: ideal, ")
    assert said.err.count("\n") == 1
    assert cli.execute(["presets", "traped-ion"]) == 2
    assert capsys.readouterr().err.endswith("; did you mean trapped-ion?\n")


def test_scheme_keys_are_those_of_teleport() -> None:
    own = {name.replace("_ps", "_s") for name in Laboratory.__dataclass_fields__} | set(Teleport.__dataclass_fields__)
    assert frozenset().union(*SCHEME_KEYS.values()) < own
