"""Loading scenarios: good ones, every kind of bad one, changes by --set, round trips, kinds."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.presets import PRESETS
from ketwire.channels.transports import Teleport
from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds import interface as kinds
from ketwire.scenarios.load import Loaded, load, validate
from ketwire.scenarios.schema.changes import change_of, set_value
from ketwire.scenarios.schema.model import Link, scenario_model
from ketwire.scenarios.schema.validation import _of_their_own
from ketwire.scenarios.schema.yamltext import dump, parse

GOOD: dict[str, Any] = {
    "seed": 7,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 10}],
    "protocol": {"kind": "scenario_kinds:Echo", "start": "alice", "numbers": {"values": [1, 2, 3]}},
}


@pytest.fixture(autouse=True)
def _kinds_in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))


def written(folder: Path, data: Any) -> str:
    path = folder / "demo.yaml"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def refused(call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(ScenarioError) as error:
        call(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def changed(key: str, value: Any) -> dict[str, Any]:
    """The good scenario with one change."""
    data: dict[str, Any] = json.loads(json.dumps(GOOD))
    set_value(data, change_of(f"{key}={json.dumps(value)}", "test"))
    return data


def without(*keys: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(GOOD))
    here = data
    for key in keys[:-1]:
        here = here[key]
    del here[keys[-1]]
    return data


def test_a_good_scenario_becomes_a_run(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, GOOD))
    run = loaded.run()
    assert loaded.name == "demo" and run.seed == 7 and run.parties == ("alice", "bob")
    assert [session.role for session in run.sessions] == ["quantum", "rival"]
    assert run.links[0].forward == run.links[0].backward
    assert run.links[0].forward == Line(Fiber(10, 0.2, 0.0, 0.9, 200_000.0, 25e6, 1e9))


def test_the_seed_option_wins(tmp_path: Path) -> None:
    assert load(written(tmp_path, GOOD), ["seed=5"], seed=11).run().seed == 11


def test_links_take_every_field_of_a_fiber() -> None:
    lines = {"between", "name", "carries", "fiber", "transport", "noise", "code", "gate_s", "distill", "eve"}
    lines |= {"engine", "python", "deliver"}
    lines |= {field.name.replace("_ps", "_s") for field in fields(Chain) if field.name not in ("kind", "hops")}
    others = "kind", "distillation", "laboratory", "delivery"
    pairs = {field.name for field in fields(Teleport) if field.name not in others}
    pairs |= {field.name.replace("_ps", "_s") for field in fields(Laboratory)}
    assert set(Fiber.__dataclass_fields__) == set(Link.model_fields) - lines - pairs
    assert pairs < set(Link.model_fields)


BAD = [
    (changed("links.0.length_km", -3), "links.0.length_km: -3.0 given, expected a number from 0 to 1e+06"),
    (changed("links.0.length_km", None), "links.0.length_km: null given, expected a number"),
    (changed("links.0.length_km", "ten"), 'links.0.length_km: "ten" given, expected a number'),
    (changed("links.0.length_km", "10"), 'links.0.length_km: "10" given, expected a number'),
    (changed("links.0.p_init", 1.5), "links.0.p_init: 1.5 given, expected a number from 0 to 1"),
    (
        changed("links.0.emission_rate_hz", 0),
        "links.0.emission_rate_hz: 0.0 given, expected a number above 0",
    ),
    (
        changed("links.0.fiber", "rope"),
        'links.0.fiber: "rope" given, expected a preset: ideal, telecom-fiber',
    ),
    (changed("links.0.fiber", "telecom-fibre"), "trapped-ion; did you mean telecom-fiber?"),
    (
        changed("links.0.transport", "pigeon"),
        "links.0.transport: \"pigeon\" given, expected 'direct', 'teleport' or 'coded'",
    ),
    (
        changed("links.0.lenght_km", 3),
        "links.0.lenght_km: unknown key, 3 given, expected one of between, fiber, ",
    ),
    (
        changed("links.0.between", ["alice", "alice"]),
        'links.0.between: ["alice", "alice"] given, expected two',
    ),
    (
        changed("links.0.between", ["alice", "eve"]),
        'links.0.between.1: "eve" given, expected a node: alice, bob',
    ),
    (
        changed("links.0", {"between": ["alice", "bob"], "fiber": "telecom-fiber"}),
        "links.0.length_km: missing required key, expected a length in km, as telecom-fiber has none of its own",
    ),
    (
        changed("links.0", {"between": ["alice", "bob"], "fiber": "trapped-ion"}),
        "links.0.length_km: missing required key, expected a length, an emission_rate_hz or an attempt_s",
    ),
    (changed("links", GOOD["links"] * 2), 'links.1.between: ["alice", "bob"] given, expected one link'),
    (changed("links", []), "links: [] given, expected at least 1 entry"),
    (changed("links", {}), "links: {} given, expected a list"),
    (changed("nodes", {"alice": {}}), 'nodes: {"alice": {}} given, expected at least 2 entries'),
    (changed("nodes.Eve", {}), 'nodes.Eve: "Eve" given, expected text of the form ^[a-z]'),
    (changed("nodes.coordinator", {}), 'nodes.coordinator: "coordinator" given, expected another name'),
    (changed("nodes.alice.gates", 1), "nodes.alice.gates: unknown key, 1 given, expected one of hardware, t1_s"),
    (changed("seed", -1), "seed: -1 given, expected at least 0"),
    (changed("seed", "7"), 'seed: "7" given, expected a whole number'),
    (changed("seed", True), "seed: true given, expected a whole number"),
    (
        changed("extra", 1),
        "extra: unknown key, 1 given, expected one of name, description, seed, workload_seed, nodes, links",
    ),
    (
        changed("protocol.kind", "telepathy"),
        "protocol.kind: 'telepathy' given, expected one of ",
    ),
    (changed("protocol.kind", 5), "protocol.kind: 5 given, expected one of "),
    (
        changed("protocol.kind", "nowhere_at_all:Kind"),
        "protocol.kind: 'nowhere_at_all:Kind' given, expected module",
    ),
    (
        changed("protocol.kind", "scenario_kinds:Nothing"),
        "protocol.kind: 'scenario_kinds:Nothing' given, expected",
    ),
    (
        changed("protocol.kind", "scenario_kinds:Lookalike"),
        "protocol.kind: 'scenario_kinds:Lookalike' given, expected a class derived from Kind of "
        "ketwire.scenarios.kinds.interface, this one is not",
    ),
    (changed("protocol.kind", "scenario_kinds:Halved"), "sessions"),
    (
        changed("protocol.kind", "scenario_kinds:Misdeclared"),
        "protocol.kind: 'scenario_kinds:Misdeclared' given: Result: <class 'dict'> given, expected models that derive "
        "from RunResult first",
    ),
    (changed("protocol.kind", "scenario_kinds:Unspecified"), "expected a kind with a Spec, this one has none"),
    (changed("protocol", "echo"), 'protocol: "echo" given, expected a mapping with kind'),
    (changed("protocol.limit", 0), "protocol.limit: 0 given, expected at least 1"),
    (
        changed("protocol.numbers", {"valeus": [1]}),
        "expected a source with one of the keys path, values, random",
    ),
    (
        changed("protocol.numbers", {"path": "x.txt"}),
        'protocol.numbers.path: "x.txt" given, expected text of the f',
    ),
    (
        changed("protocol.numbers", {"random": "dice", "shape": [3]}),
        'protocol.numbers.random: "dice" given, expec',
    ),
    (
        changed("protocol.styles", [{"style": "plain", "volume": 0}]),
        "protocol.styles.0.volume: 0 given, expected",
    ),
    (changed("protocol.styles", [{"style": "loud"}]), "protocol.styles.0.style: "),
    (changed("protocol.styles", [{"hue": 1}]), "protocol.styles.0.style: missing required key, expected a value"),
    (
        changed("protocol.styles", [{"style": "fancy", "hue": 1, "colours": []}]),
        "styles.0.colours: [] given, expecte",
    ),
    (
        changed("protocol.styles", [{"style": "fancy", "hue": 1, "colours": ["x"]}]),
        "expected one of style, colours",
    ),
    (without("seed"), "seed: missing required key, expected a value: everything random follows from it"),
    (without("links", 0, "fiber"), "links.0.fiber: missing required key, expected a value: a preset"),  # type: ignore[arg-type]
    (without("protocol"), "protocol: missing required key, expected a mapping with kind"),
    (without("protocol", "kind"), "protocol.kind: missing required key, expected one of "),
    (
        without("protocol", "numbers"),
        "protocol.numbers: missing required key, expected a value: whole numbers to tell",
    ),
    ("- 1\n", "a list given, expected a mapping"),
    ("seed: 1\nseed: 2\n", "line 2: key 'seed' given twice"),
]


@pytest.mark.parametrize(("data", "message"), BAD, ids=[message[:60] for _, message in BAD])
def test_bad_scenarios_are_told_in_one_line(tmp_path: Path, data: Any, message: str) -> None:
    path = written(tmp_path, data)
    line = refused(load, path)
    assert line.startswith(f"{path}: ") and message in line


def test_infinite_physics_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    for word in (".inf", ".nan", "1e400"):
        line = refused(load, path, [f"links.0.loss_db_per_km={word}"])
        assert "links.0.loss_db_per_km: " in line and "expected a finite number" in line


def test_several_errors_are_the_first_and_places(tmp_path: Path) -> None:
    data = changed("seed", -1) | {"extra": 1, "more": 2}
    line = refused(load, written(tmp_path, data))
    assert line.endswith("seed: -1 given, expected at least 0 (also wrong: extra, more)")


def test_many_unknown_keys_are_ten_and_a_number(tmp_path: Path) -> None:
    text = dump(GOOD) + "".join(f"key{number}: 1\n" for number in range(60_000))
    line = refused(load, written(tmp_path, text))
    others = ", ".join(f"key{number}" for number in range(1, 10))
    assert line.partition(": ")[2].startswith("key0: unknown key, 1 given, expected one of name, description, ")
    assert line.endswith(f" (also wrong: {others}, and 59,990 more)")


def test_the_work_grows_with_the_number_of_errors_no_faster() -> None:
    class Counting(dict[str, Any]):
        read = 0

        def __getitem__(self, key: str) -> Any:
            Counting.read += 1
            return super().__getitem__(key)

    short = {"type": "too_short", "loc": ("layers",)}
    details: list[Any] = [Counting(short), *(Counting(type="missing", loc=("layers", n)) for n in range(1000))]
    assert _of_their_own(details) == details[1:]
    assert Counting.read < 5 * len(details)


def test_a_long_key_is_cut(tmp_path: Path) -> None:
    line = refused(load, written(tmp_path, GOOD | {"k" * 1000: 1, "l" * 1000: 2}))
    assert "also wrong" in line and len(line) < 700


MEANT = [
    ("links.0.lenght_km", 3, "; did you mean length_km?"),
    ("sead", 3, "; did you mean seed?"),
    ("protocol.nubmers", 3, "; did you mean numbers?"),
    ("nodes.alice.t1s", 1.0, "; did you mean t1_s?"),
    ("xyzzy", 3, "links, presets, protocol, topology"),
    ("seed" * 200, 3, "links, presets, protocol, topology"),
]


@pytest.mark.parametrize(("key", "value", "end"), MEANT, ids=[key[:20] for key, _, _ in MEANT])
def test_an_unknown_key_that_is_like_a_known_one(tmp_path: Path, key: str, value: Any, end: str) -> None:
    assert refused(load, written(tmp_path, changed(key, value))).endswith(end)


def test_a_protocol_that_does_not_fit_names_file_and_key(tmp_path: Path) -> None:
    path = written(tmp_path, changed("protocol.start", "carol"))
    assert refused(load(path).run) == f"{path}: protocol.start: 'carol' given, expected a node"


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "none.yaml")
    assert (
        refused(load, missing)
        == f"{missing}: No such file or directory, expected a scenario file that can be read"
    )
    assert "expected a scenario file that can be read" in refused(load, str(tmp_path) + "/")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"seed: \xff\xfe")
    assert refused(load, str(binary)).endswith("octet 6 is no text, expected UTF-8")
    binary.write_bytes(b"#" * (8 << 20) + b"\n")
    assert "expected at most 8 MiB" in refused(load, str(binary))
    monkeypatch.chdir(tmp_path)
    assert refused(load, "nothing").startswith("scenario: 'nothing' given, expected a file or one of ")
    assert refused(load, "digit").endswith("; did you mean digits?")


def test_packaged_scenarios_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is added to one starts from the working directory: its own folder is no place for a user's files."""
    written(tmp_path, GOOD)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("ketwire.scenarios.load.PACKAGED", tmp_path)
    loaded = load("demo")
    assert loaded.origin == "demo.yaml" and loaded.base == str(tmp_path / "here")


BAD_SETS = [
    ("length", "--set 'length' given, expected KEY=VALUE with a dotted key"),
    ("=3", "--set '=3' given, expected KEY=VALUE"),
    ("links..x=3", "--set 'links..x=3' given, expected KEY=VALUE"),
    (
        "links.1.length_km=3",
        "--set links.1.length_km: '1' given for the list links, expected an index from 0 to 0",
    ),
    ("links.-1.length_km=3", "'-1' given for the list links, expected an index from 0 to 0"),
    ("links.first.length_km=3", "'first' given for the list links, expected an index"),
    ("seed.x=3", "--set seed.x: 'x' given, but seed is 7, expected a key that exists"),
    (
        "linkz.0.length_km=3",
        'linkz: unknown key, {"0": {"length_km": 3}} given, expected one of name, description',
    ),
    ("links.0.lenght=3", "links.0.lenght: unknown key, 3 given, expected one of between"),
    (
        "protocol.volume=3",
        "protocol.volume: unknown key, 3 given, expected one of kind, start, numbers, limit",
    ),
    ("seed=[1", "--set seed: line 2: did not find"),
    ("seed=", "seed: null given, expected a whole number"),
]


SOURCES = [
    ({"random": "normal", "shape": [3]}, "values=[1, 2]", {"values": [1, 2]}),
    ({"path": "a.csv", "label_column": 2}, "random=signs", {"random": "signs"}),
    ({"path": "a.csv", "label_column": 2}, "path=b.csv", {"path": "b.csv", "label_column": 2}),
    ({"dataset": "digits", "part": "test"}, "path=a.npy", {"path": "a.npy"}),
    ({"values": [1]}, "dataset=digits", {"dataset": "digits"}),
    ({"values": [1]}, "shape=[2]", {"values": [1], "shape": [2]}),
    ({"at": "alice", "random": "x"}, "values=[1]", {"at": "alice", "random": "x", "values": [1]}),
    ({"a": 1}, "values=[1]", {"a": 1, "values": [1]}),
]


@pytest.mark.parametrize(("given", "change", "wanted"), SOURCES)
def test_a_changed_source_replaces_one_of_another_form(given: Any, change: str, wanted: Any) -> None:
    data = {"protocol": {"layers": [{"angles": given}]}}
    set_value(data, change_of(f"protocol.layers.0.angles.{change}", "test"))
    assert data["protocol"]["layers"][0]["angles"] == wanted


def test_a_file_s_two_sources_are_refused_as_such(tmp_path: Path) -> None:
    data = changed("protocol.numbers", {"values": [1], "random": "signs"})
    told = '{"values": [1], "random": "signs"} given, expected a source with one of the keys path, values'
    assert f"protocol.numbers: {told}" in refused(load, written(tmp_path, data))


@pytest.mark.parametrize("source", [{"values": [1]}, {"random": "signs"}, {"path": "a.npy"}])
def test_an_unknown_key_of_a_source_is_named(tmp_path: Path, source: Any) -> None:
    line = refused(load, written(tmp_path, changed("protocol.numbers", {**source, "pth": 3})))
    assert "protocol.numbers.pth: unknown key, 3 given, " in line


@pytest.mark.parametrize(("change", "message"), BAD_SETS, ids=[change for change, _ in BAD_SETS])
def test_bad_changes_are_told_in_one_line(tmp_path: Path, change: str, message: str) -> None:
    path = written(tmp_path, GOOD)
    line = refused(load, path, [change])
    assert line.startswith(f"{path}: ") and message in line


def test_changes_may_set_what_has_a_default(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, GOOD), ["protocol.limit=5", "links.0.emission_rate_hz=", "name=mine"])
    assert loaded.scenario.protocol.limit == 5 and loaded.name == "mine"
    assert loaded.network().links[0].forward.fiber.emission_rate_hz is None


KEYS = st.text("abcdefgh_", min_size=1, max_size=6)
BELOW = st.recursive(st.integers(), lambda b: st.lists(b, max_size=3) | st.dictionaries(KEYS, b, max_size=3))
TREES = st.dictionaries(KEYS, BELOW, min_size=1)


@settings(deadline=None, max_examples=30)
@given(TREES, st.data())
def test_a_change_changes_one_value_and_no_other(tree: dict[str, Any], data: st.DataObject) -> None:
    here, path = tree, []  # type: Any, list[str]
    while isinstance(here, dict | list) and len(here) and (not path or data.draw(st.booleans())):
        steps = list(here) if isinstance(here, dict) else range(len(here))
        step = data.draw(st.sampled_from(steps))
        path.append(str(step))
        here = here[step]
    value = data.draw(
        st.integers() | st.text("abc 12.:-{}[]'\"#", max_size=5) | st.lists(st.booleans(), max_size=3)
    )
    expected = json.loads(json.dumps(tree))
    below = expected
    for name in path[:-1]:
        below = below[int(name)] if isinstance(below, list) else below[name]
    below[int(path[-1]) if isinstance(below, list) else path[-1]] = value
    set_value(tree, change_of(f"{'.'.join(path)}={dump(value)}", "test"))
    assert tree == expected


LENGTHS = st.floats(0, 1e6) | st.integers(0, 10**6)
PLAIN = sorted(name for name, preset in PRESETS.items() if "transport" not in preset.figures)
QUIET_LINKS = st.fixed_dictionaries(
    {"fiber": st.sampled_from(PLAIN), "length_km": LENGTHS},
    optional={
        "p_init": st.floats(0, 1),
        "loss_db_per_km": st.floats(0, 1e6),
        "emission_rate_hz": st.none() | st.floats(1e-3, 1e12),
        "transport": st.just("direct"),
    },
)
# Presets that bring a transport: kept, or replaced by another with what it needs.
LAB_LINKS = st.builds(
    lambda name, length_km, others: {"fiber": name, "length_km": length_km, **others},
    st.sampled_from(sorted(set(PRESETS) - set(PLAIN))),
    st.floats(0.01, 100),
    st.sampled_from(
        [
            {},
            {"memory_slots": 3, "distill": {"rounds": 2}},
            {"transport": "direct"},
            {"transport": "coded", "code": "qpc(2,2)", "gate_s": 1e-6},
            {"scheme": "given", "rate_hz": 12.5, "fidelity": 0.75},
            {"scheme": "single-click", "alpha": 0.1},
            {"scheme": "double-click", "visibility": 0.5, "transport": None},
        ]
    ),
)
LINKS = QUIET_LINKS | LAB_LINKS
SCENARIOS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**63 - 1),
        "nodes": st.just({"a": {}, "b": {}, "c": {}}),
        "ab": LINKS,
        "bc": LINKS,
    },
    optional={"name": st.text(max_size=20), "description": st.text(st.characters(exclude_categories=["Cs"]))},
)


@settings(deadline=None, max_examples=30)
@given(SCENARIOS)
def test_a_resolved_scenario_loads_to_the_same_run(data: dict[str, Any]) -> None:
    links = [{"between": list(ends), **data.pop(ends)} for ends in ("ab", "bc")]
    protocol = {"kind": "scenario_kinds:Echo", "start": "b", "numbers": {"values": [1]}}
    first = validate({**data, "links": links, "protocol": protocol}, "first", "stem", "/")
    second = validate(parse(first.resolved(), "second"), "second", "other", "/")
    assert _facts(first) == _facts(second) and first.resolved() == second.resolved()


def _facts(loaded: Loaded) -> Any:
    return loaded.name, loaded.kind_name, loaded.network(), loaded.run().sessions


def test_relative_paths_start_from_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = written(tmp_path, changed("protocol.numbers", {"path": "data/x.npy"}))
    monkeypatch.chdir(tmp_path / "elsewhere")
    slices = load(path).run().sessions[0].slices
    assert slices["alice"].numbers == {"path": str(tmp_path / "data" / "x.npy")}
    assert slices["bob"].numbers is None
    by_hand = load(path).run(by_hand=True).sessions[0].slices
    assert by_hand["alice"].numbers == {"path": "data/x.npy"}


def test_kinds_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"inference", "subspace"} <= set(kinds.kind_names())
    point = EntryPoint("reply", "scenario_kinds:Echo", kinds.GROUP)
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda group: [point] if group == kinds.GROUP else []
    )
    assert kinds.kind_names() == ["reply"] and type(kinds.find_kind("reply")).__name__ == "Echo"


def test_the_spec_of_a_kind_may_be_a_union(tmp_path: Path) -> None:
    data = changed("protocol.kind", "scenario_kinds:Choir")
    loaded = load(written(tmp_path, data))
    assert loaded.scenario.protocol.root.start == "alice" and len(loaded.run().sessions) == 2
    assert parse(loaded.resolved(), "resolved")["protocol"]["kind"] == "scenario_kinds:Choir"
    line = refused(load, written(tmp_path, data), ["protocol.limit=0"])
    assert "protocol.limit: 0 given, expected at least 1" in line


def test_the_schema_of_several_kinds_tells_them_apart() -> None:
    from typing import Literal

    from scenario_kinds import EchoSpec

    class OtherSpec(EchoSpec):
        kind: Literal["other"]  # type: ignore[assignment]

    schema = scenario_model([EchoSpec, OtherSpec]).model_json_schema()
    assert set(schema["properties"]["protocol"]["discriminator"]["mapping"]) == {"echo", "other"}
    assert schema["additionalProperties"] is False and schema["required"] == ["seed", "protocol"]
    assert schema["else"] == {"required": ["nodes", "links"]}, "unless a topology is given"
