"""Topologies: the nodes and links that a shape or a graph file stands for, and what is refused of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import networkx
import pytest

from ketwire.errors import ScenarioError
from ketwire.scenarios import cli
from ketwire.scenarios.load import Loaded, load
from ketwire.scenarios.schema.graphfile import MAX_OCTETS
from ketwire.scenarios.schema.yamltext import parse

LINK = {"fiber": "telecom-fiber", "length_km": 5}
LAYERS = [{"at": "n1", "layer": "hadamards"}]
PROTOCOL = {"kind": "inference", "qubits": 1, "start": "n0", "layers": LAYERS, "copies": 5}


def written(folder: Path, topology: Any, **others: Any) -> str:
    path = folder / "net.yaml"
    path.write_text(json.dumps({"seed": 1, "topology": topology, "protocol": PROTOCOL, **others}))
    return str(path)


def loaded(folder: Path, sets: tuple[str, ...] = (), **topology: Any) -> Loaded:
    found = load(written(folder, {"link": LINK, **topology}), sets)
    assert isinstance(found, Loaded)
    return found


def ends(found: Loaded) -> list[tuple[str, str]]:
    return [link.ends for link in found.network().links]


def refused(folder: Path, topology: Any, *sets: str, **others: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        load(written(folder, topology, **others), sets)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder / 'net.yaml'}: ")


def graph(folder: Path, *edges: tuple[str, str, dict[str, Any]], **nodes: dict[str, Any]) -> str:
    made = networkx.Graph()
    for name, attributes in nodes.items():
        made.add_node(name, **attributes)
    for a, b, attributes in edges:
        made.add_edge(a, b, **attributes)
    networkx.write_graphml(made, folder / "net.graphml")
    return "net.graphml"


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("topology", "count", "pairs"),
    [
        ({"chain": 3}, 3, [(0, 1), (1, 2)]),
        ({"ring": 4}, 4, [(0, 1), (1, 2), (2, 3), (3, 0)]),
        ({"star": 4}, 4, [(0, 1), (0, 2), (0, 3)]),
        ({"grid": [2, 3]}, 6, [(0, 1), (0, 3), (1, 2), (1, 4), (2, 5), (3, 4), (4, 5)]),
    ],
)
def test_a_shape_is_its_nodes_and_links(tmp_path: Path, topology: Any, count: int, pairs: Any) -> None:
    found = loaded(tmp_path, **topology)
    assert found.network().parties == tuple(f"n{number}" for number in range(count))
    assert ends(found) == [(f"n{a}", f"n{b}") for a, b in pairs]


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 4), (5, 2)])
def test_a_grid_is_the_grid_of_networkx(tmp_path: Path, rows: int, columns: int) -> None:
    expected = networkx.grid_2d_graph(rows, columns)
    names = {(row, column): f"n{row * columns + column}" for row in range(rows) for column in range(columns)}
    found = {frozenset(each) for each in ends(loaded(tmp_path, grid=[rows, columns]))}
    assert found == {frozenset((names[a], names[b])) for a, b in expected.edges}


def test_single_links_and_nodes_differ_from_the_others(tmp_path: Path) -> None:
    found = loaded(tmp_path, ring=3, node={"t2_s": 2.0}, links={"n1-n0": {"length_km": 7}}, nodes={"n2": {"t2_s": 1.0}})
    assert [link.forward.fiber.length_km for link in found.network().links] == [7.0, 5.0, 5.0]
    assert [found.scenario.nodes[name].t2_s for name in ("n0", "n1", "n2")] == [2.0, 2.0, 1.0]


def test_the_command_line_changes_the_shape_and_then_what_it_stands_for(tmp_path: Path) -> None:
    found = loaded(tmp_path, ("links.3.length_km=2", "topology.ring=4", "topology.link.length_km=1"), ring=3)
    assert [link.forward.fiber.length_km for link in found.network().links] == [1.0, 1.0, 1.0, 2.0]


def test_it_runs_as_the_same_nodes_and_links_written_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `ketwire show` prints has nodes and links, and loads to the same run."""
    path = written(tmp_path, {"chain": 2, "link": LINK})
    assert cli.execute(["show", path]) == 0
    shown = tmp_path / "shown.yaml"
    shown.write_text(capsys.readouterr().out)
    told = parse(shown.read_text(), "shown")
    assert "topology" not in told and list(told["nodes"]) == ["n0", "n1"]
    again, once = load(str(shown)), load(path)
    assert (again.network().parties, again.network().links) == (once.network().parties, once.network().links)
    hashes = []
    for each in (path, str(shown)):
        assert cli.execute(["run", each, "--inline", "--json"]) == 0
        hashes.append(json.loads(capsys.readouterr().out)["transcript_sha256"])
    assert hashes[0] == hashes[1]


def test_the_schema_knows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "ring" in schema["properties"]["topology"]["properties"]
    assert not {"nodes", "links"} & set(schema["required"]) and schema["else"] == {"required": ["nodes", "links"]}


# ---------------------------------------------------------------- graph files


def test_a_graph_file_has_names_and_attributes(tmp_path: Path) -> None:
    file = graph(tmp_path, ("n1", "n0", {"length_km": 2.5}), ("n0", "ann", {"fiber": "ideal"}), ann={"t2_s": 3.0})
    found = loaded(tmp_path, file=file, links={"n0-ann": {"length_km": 1}})
    assert set(ends(found)) <= {("n0", "ann"), ("ann", "n0"), ("n1", "n0"), ("n0", "n1")}
    lengths = {frozenset(link.ends): link.forward.fiber.length_km for link in found.network().links}
    assert lengths == {frozenset({"n0", "n1"}): 2.5, frozenset({"n0", "ann"}): 1.0}
    assert found.scenario.nodes["ann"].t2_s == 3.0 and found.scenario.nodes["n0"].t2_s is None
    assert {link.fiber for link in found.scenario.links} == {"telecom-fiber", "ideal"}


def test_defaults_of_graphml_count(tmp_path: Path) -> None:
    """networkx keeps them apart from what single edges say."""
    made = networkx.Graph([("n0", "n1"), ("n1", "n2")])
    made["n0"]["n1"]["length_km"] = 3
    networkx.write_graphml(made, tmp_path / "net.graphml")
    text = (tmp_path / "net.graphml").read_text()
    key = text.index("/>", text.index('attr.name="length_km"'))
    (tmp_path / "net.graphml").write_text(text[:key] + "><default>4</default></key>" + text[key + 2 :])
    found = loaded(tmp_path, file="net.graphml")
    assert [link.forward.fiber.length_km for link in found.network().links] == [3.0, 4.0]


def test_gml_is_read_too(tmp_path: Path) -> None:
    networkx.write_gml(networkx.relabel_nodes(networkx.path_graph(3), "n{}".format), tmp_path / "net.gml")
    assert len(ends(loaded(tmp_path, file="net.gml"))) == 2


def test_without_networkx_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = graph(tmp_path, ("n0", "n1", {}))
    monkeypatch.setitem(sys.modules, "networkx", None)
    told = refused(tmp_path, {"file": file, "link": LINK})
    assert told.startswith("topology.file: 'net.graphml' given") and "pip install 'ketwire[graphs]'" in told


@pytest.mark.parametrize(
    ("edges", "told"),
    [
        ([("n0", "n0", {})], "1 node(s) and 1 edge(s), expected 2 to 10000 nodes"),
        ([("n0", "n1", {}), ("n1", "n1", {})], "an edge from n1 to itself, expected two different nodes"),
        ([("n0", "N1", {})], "node 'N1', expected a name of the form ^[a-z]"),
        ([("n0", "n1", {"between": "x"})], "between at n0-n1, expected no such key"),
        ([("n0", "n1", {"colour": "red"})], 'n0-n1.colour: unknown key, "red" given, expected one of between, fiber'),
        ([("n0", "n1", {"length_km": -2.0})], "n0-n1.length_km: -2.0 given, expected a number from 0 to 1e+06"),
    ],
)
def test_a_bad_graph_is_one_line_with_its_place(tmp_path: Path, edges: Any, told: str) -> None:
    said = refused(tmp_path, {"file": graph(tmp_path, *edges), "link": LINK})
    assert said.startswith(f"topology.file: net.graphml: {told}")


def test_a_second_edge_of_the_same_kind_between_two_nodes_is_refused(tmp_path: Path) -> None:
    networkx.write_graphml(networkx.MultiGraph([("n0", "n1"), ("n1", "n0")]), tmp_path / "net.graphml")
    said = refused(tmp_path, {"file": "net.graphml", "link": LINK})
    assert said.startswith("links.1.between: [\"n0\", \"n1\"] given, expected one link")
    networkx.write_graphml(networkx.DiGraph([("n0", "n1"), ("n1", "n0")]), tmp_path / "net.graphml")
    said = refused(tmp_path, {"file": "net.graphml", "link": LINK})
    assert said.startswith("links.1.between: [\"n1\", \"n0\"] given, expected one link")


LAUGHS = '<!DOCTYPE g [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><graphml>&b;</graphml>'


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (None, "No such file or directory, expected a file that can be read"),
        (b"<graphml", "ParseError: "),
        (b"", "ParseError: "),
        (b"\xff\xfe<\0", "octet 0 is no text, expected UTF-8"),
        (LAUGHS.encode(), "a document type, expected none"),
        (b" " * (MAX_OCTETS + 1), "more than 8388608 octets, expected at most 8 MiB"),
        (b'<graphml xmlns="http://graphml.graphdrawing.org/xmlns"/>', "NetworkXError: "),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, octets: bytes | None, told: str) -> None:
    if octets is not None:
        (tmp_path / "net.graphml").write_bytes(octets)
    assert refused(tmp_path, {"file": "net.graphml"}).startswith(f"topology.file: net.graphml: {told}")


# ---------------------------------------------------------------- bad values


@pytest.mark.parametrize(
    ("topology", "told"),
    [
        ({"chain": 1}, "topology.chain: 1 given, expected at least 2"),
        ({"ring": 2}, "topology.ring: 2 given, expected at least 3"),
        ({"star": 2}, "topology.star: 2 given, expected at least 3"),
        ({"grid": [1, 5]}, "topology.grid.0: 1 given, expected at least 2"),
        ({"grid": [3]}, "topology.grid.1: missing required key, expected a value"),
        ({"grid": [101, 100]}, "topology.grid: [101, 100] given, expected at most 10000 nodes"),
        ({"chain": 10_001}, "topology.chain: 10001 given, expected at most 10000"),
        ({"chain": "3"}, 'topology.chain: "3" given, expected a whole number'),
        ({"chain": 3, "star": 4}, "topology.star: 4 given, expected one of chain, ring, star, grid, file, and chain"),
        ({"cube": 3}, "topology.cube: unknown key, 3 given, expected one of chain, ring, star"),
        ({}, "topology: {} given, expected one of chain, ring, star, grid, file"),
        (None, "topology: null given, expected a mapping"),
        ({"file": "net.dot"}, "topology.file: 'net.dot' given, expected a name that ends in .graphml or .gml"),
        ({"chain": 3, "link": {"fibre": "x"}}, "topology.link.fiber: missing required key, expected a value"),
        ({"chain": 3, "link": {**LINK, "colour": 1}}, "topology.link.colour: unknown key, 1 given, expected one of b"),
        ({"chain": 3, "link": {**LINK, "between": 1}}, "topology.link.between: 1 given, expected no such key"),
        ({"chain": 3, "link": {"length_km": 1}}, "topology.link.fiber: missing required key, expected a value"),
        ({"chain": 3, "link": LINK, "links": {"n0-n2": {}}}, "topology.links.n0-n2: 'n0-n2' given, expected a link: n"),
        ({"chain": 3, "link": LINK, "links": {"n0": {}}}, "topology.links.n0: 'n0' given, expected a link: n0-n1, n1-"),
        ({"chain": 3, "links": {"n0-n1": {}, "n1-n0": {}}}, "topology.links.n1-n0: 'n1-n0' given beside n0-n1, expec"),
        (
            {"chain": 3, "link": LINK, "links": {"n1-n2": {"p_init": 2}}},
            "topology.links.n1-n2.p_init: 2.0 given, expected a number from 0 to 1",
        ),
        ({"chain": 3, "link": LINK, "nodes": {"n7": {}}}, "topology.nodes.n7: 'n7' given, expected a node: n0, n1, n2"),
        ({"chain": 3, "link": LINK, "nodes": {"n1": {"t2_s": 0}}}, "topology.nodes.n1.t2_s: 0 given, expected above 0"),
        ({"chain": 3, "link": LINK, "node": {"color": 1}}, "topology.node.color: unknown key, 1 given, expected one o"),
    ],
)  # fmt: skip
def test_bad_values_are_one_line_with_their_key(tmp_path: Path, topology: Any, told: str) -> None:
    assert refused(tmp_path, topology).startswith(told)


def test_a_fault_of_every_link_is_told_once(tmp_path: Path) -> None:
    said = refused(tmp_path, {"ring": 50, "link": {**LINK, "p_init": 2}})
    assert said == "topology.link.p_init: 2.0 given, expected a number from 0 to 1"


def test_a_change_after_the_expansion_is_told_by_its_own_key(tmp_path: Path) -> None:
    said = refused(tmp_path, {"ring": 5, "link": LINK}, "links.3.p_init=2")
    assert said == "links.3.p_init: 2.0 given, expected a number from 0 to 1"
    said = refused(tmp_path, {"ring": 5, "link": LINK}, "links.3={fiber: ideal}")
    assert said.startswith("links.3.between: missing required key")


@pytest.mark.parametrize("key", ["nodes", "links"])
def test_both_ways_to_say_it_are_refused(tmp_path: Path, key: str) -> None:
    said = refused(tmp_path, {"ring": 5, "link": LINK}, **{key: {"a": {}}})
    assert said == f'{key}: {{"a": {{}}}} given with topology, expected one of both'


def test_long_lists_of_names_are_cut(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        loaded(tmp_path, ("protocol.start=nobody",), ring=100).run()
    assert str(caught.value).endswith("expected a node: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11 and 88 more")


def test_nodes_without_a_link_are_not_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = graph(tmp_path, ("n0", "n1", {}), **{f"n{number}": {} for number in range(40)})
    assert cli.execute(["validate", written(tmp_path, {"file": file, "link": LINK})]) == 0
    assert capsys.readouterr().err.endswith("nodes without a link: n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, n12, n13 "
                                            "and 26 more\n")  # fmt: skip


@pytest.mark.long
def test_a_large_network_written_out_loads_again(tmp_path: Path) -> None:
    """All its numbers take more than a mebibyte."""
    once = loaded(tmp_path, ring=1500)
    (tmp_path / "again.yaml").write_text(once.resolved())
    assert (tmp_path / "again.yaml").stat().st_size > 1 << 20
    assert load(str(tmp_path / "again.yaml")).network().links == once.network().links
