"""Two links between two nodes: one carries qubits, the other bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ketwire as kw
from ketwire.errors import Deadlock
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.scenarios import cli
from tests.kit import parallel, receive, scripted, send

QUBITS = {"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 5, "carries": "qubits"}
BITS = {"between": ["alice", "bob"], "name": "line", "fiber": "telecom-fiber", "length_km": 2, "carries": "bits",
        "bandwidth_bps": 1e6}  # fmt: skip
ROTATIONS = {"layer": "rotations", "angles": {"random": "angles"}}
USING: dict[str, Any] = {
    "name": "parallel", "seed": 3, "nodes": {"alice": {}, "bob": {}}, "links": [QUBITS, BITS],
    "protocol": {
        "kind": "inference", "qubits": 3, "start": "alice", "epsilon": 0.2, "delta": 0.1,
        "layers": [{"at": "alice", **ROTATIONS}, {"at": "bob", **ROTATIONS}],
    },
}  # fmt: skip


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["copies", "packed", "answers", "arrivals"])), max_size=10))
def test_qubits_and_bits_take_their_own_link(events: list[tuple[bool, str]]) -> None:
    scripts: dict[str, list[dict[str, Any]]] = {"alice": [], "bob": []}
    for swapped, what in events:
        sender, receiver = ("bob", "alice") if swapped else ("alice", "bob")
        scripts[sender].append(send(receiver, what))
        scripts[receiver].append(receive(sender, what))
    (result,) = run_inline(parallel(scripted(scripts, seed=5)), ledger=True)
    assert len(result.records) == len(events)
    for record in result.records:
        assert record.direction.endswith("@alice_bob") == (record.kind != "copies")


def test_processes_give_the_same_and_name_the_same_deadlock(tmp_path: Path) -> None:
    scripts = {
        "alice": [send("bob", "copies"), send("bob", "packed"), receive("bob", "answers"), send("bob", "copies")],
        "bob": [receive("alice", "packed"), receive("alice", "copies"), send("alice", "answers"),
                receive("alice", "copies")],
    }  # fmt: skip
    run = parallel(scripted(scripts))
    inline, processes = run_inline(run, ledger=True), run_processes(run, ledger=True, out=tmp_path)
    assert [each.transcript_sha256 for each in inline] == [each.transcript_sha256 for each in processes]
    assert inline[0].records == processes[0].records and inline[0].directions == processes[0].directions
    scripts["bob"].append(receive("alice", "answers"))
    for runtime in (run_inline, run_processes):
        with pytest.raises(Deadlock, match="bob waits for Answers from alice, who has finished"):
            runtime(parallel(scripted(scripts)))


def test_bits_overtake_qubits_and_take_the_time_of_their_line() -> None:
    result = kw.run(USING)
    ledger = result.ledger()
    told = ledger[ledger.direction == "bob->alice@line"].iloc[0]
    # 2 km of glass, and its bits at a million a second.
    assert told.arrival_ps - told.sent_ps == 10_000_000 + 1_000_000 * (told.payload_bits + told.control_bits)
    other = kw.run(USING, {"links.1.length_km": 1}).ledger()
    assert other[other.kind == "copies"].arrival_ps.iloc[0] == ledger[ledger.kind == "copies"].arrival_ps.iloc[0]
    again = other[other.direction == "bob->alice@line"].iloc[0]
    assert told.arrival_ps - told.sent_ps - (again.arrival_ps - again.sent_ps) == 5_000_000


def test_what_is_found_does_not_depend_on_the_line() -> None:
    one = {**USING, "links": [{key: value for key, value in QUBITS.items() if key != "carries"}]}
    first, second = kw.run(one, check=True), kw.run(USING, check=True)
    assert (first.estimate, first.exact, first.qubits_sent) == (second.estimate, second.exact, second.qubits_sent)
    assert first.virtual_time_ps == second.virtual_time_ps  # which ends with the last outcome


def test_a_resolved_scenario_runs_the_same(tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(kw.Scenario.of(USING).to_yaml())
    assert kw.run(tmp_path / "again.yaml").transcript_sha256 == kw.run(USING).transcript_sha256


def test_a_graph_file_may_have_both(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.MultiGraph()
    for link in (QUBITS, BITS):
        graph.add_edge(*link["between"], **{key: value for key, value in link.items() if key != "between"})
    networkx.write_graphml(graph, tmp_path / "net.graphml")
    told = {key: value for key, value in USING.items() if key not in ("nodes", "links")}
    (tmp_path / "net.yaml").write_text(json.dumps({**told, "topology": {"file": "net.graphml"}}))
    assert kw.run(tmp_path / "net.yaml").transcript_sha256 == kw.run(USING).transcript_sha256


@pytest.mark.parametrize(
    ("links", "told"),
    [
        ([QUBITS], "links.0.carries: 'qubits' given, expected all, or another link between alice and bob"),
        ([QUBITS, QUBITS, BITS], "links.1.between: .* expected one link between two nodes, or one that"),
        ([{**QUBITS, "carries": "all"}, BITS], "links.1.between: .* expected one link between two nodes, or one that"),
        ([QUBITS, {**BITS, "name": None}], "links.1.name: null given, expected a name of its own: alice-bob is"),
        ([QUBITS, {**BITS, "name": "bob"}], "links.1.name: .bob. given, expected a name of its own: bob is"),
        ([QUBITS, {**BITS, "p_init": 0.5}], "links.1.p_init: 0.5 given, expected nothing here, where a link"),
        ([QUBITS, {**BITS, "noise": [{"kind": "bit-flip", "probability": 0.1}]}], "links.1.noise: .*bits alone"),
        ([QUBITS, {**BITS, "transport": "teleport"}], "links.1.fiber: .*a fiber without a transport of its own"),
        ([BITS], "protocol.layers: the register goes from alice to bob, expected a link between them"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(links: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(kw.ScenarioError, match=told.replace("'qubits'", '"qubits"')):
        kw.run({**USING, "links": links})


def test_the_critical_path_and_the_message_sequence_know_both(tmp_path: Path) -> None:
    """A window makes the sender wait for acknowledgments, which come by the line."""
    slow = {"links.1.length_km": 200, "protocol.window": 10, "protocol.copies": 60, "protocol.epsilon": None,
            "protocol.delta": None}  # fmt: skip
    result = kw.run(USING, slow, latency=True, out=tmp_path / "run")
    assert result.latency is not None
    stretches = result.latency.path
    assert sum(each.to_ps - each.from_ps for each in stretches) == result.virtual_time_ps
    assert {each.where for each in stretches} >= {"alice->bob", "bob->alice@line"}
    assert kw.run(USING, slow).virtual_time_ps == result.virtual_time_ps
    assert cli.execute(["trace", str(tmp_path / "run")]) == 0
