"""The kind `graph`: logits against the central forward pass, over links as they are, and what is refused."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.modelfile import read_graph_model, write_graph_model
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.kinds.graph.frame import frame_of
from ketwire.scenarios.kinds.graph.reference import central
from tests.kit import Threads, rarely, recording
from tests.protocols.graph.networks import random_model
from tests.scenarios.kinds.graph.sets import HOPS, TAGS, result, scenario, write_citations, write_molecules

ASKS: dict[str, dict[str, Any]] = {
    "fold": {"fold": 1}, "graphs": {"graphs": [0, 3, 4]}, "nodes": {"nodes": [0, 12, 13]}, "pairs": {"pairs": {}},
    "subsets": {"pairs": {"subsets": 3}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_molecules(tmp_path)
    write_citations(tmp_path)
    return tmp_path


@pytest.mark.parametrize("measurement", ["block-encoding", "eigenbasis"])
@pytest.mark.parametrize("ask", sorted(ASKS))
def test_logits_are_those_of_the_central_pass_within_epsilon(folder: Path, ask: str, measurement: str) -> None:
    loaded = scenario(folder, ask=ASKS[ask], measurement=measurement, copies=30_000)
    told = result(loaded)
    frame = frame_of(loaded.scenario.protocol, loaded.network())
    wanted = central(frame)
    if measurement == "eigenbasis":
        wanted = wanted - wanted.mean(axis=1, keepdims=True)
    assert told["exact"] == pytest.approx(wanted.reshape(-1).tolist(), abs=1e-9)
    off = np.abs(np.array(told["logits"]) - wanted).max(axis=1)
    assert (off <= np.array(told["epsilon"])).all() and (off > 0).any()
    assert len(told["answers"]) == told["decisions"] == len(told["copies_needed"])
    enough = [needed is not None and needed <= 10_000 for needed in told["copies_needed"]]
    same = np.array(told["answers"]) == np.array(told["central_answers"])
    assert any(enough) and same[enough].mean() > 0.8
    assert told["agreement"] == same.mean()
    forms = {"block-encoding": 1, "eigenbasis": 1 if ask in ("fold", "graphs") else 3}[measurement]
    items = len(told["registers"])
    assert told["copies"] == items * forms * (30_000 // forms)
    assert told["qubits_sent"] == 2 * sum(told["registers"]) * forms * (30_000 // forms)


def test_another_owner_of_the_head_hears_counts_and_says_the_same(folder: Path) -> None:
    here, there = (result(scenario(folder, ask=ASKS["fold"], **more)) for more in ({}, {"head": "dave"}))
    assert there["logits"] == here["logits"] and there["epsilon"] == here["epsilon"]
    counts = len(here["registers"]) * (5 * (400).bit_length() + 64)  # four units and failures, and what they count
    assert there["payload_bits"] - here["payload_bits"] == counts


def test_owner_of_nodes_and_network_loads_last(folder: Path) -> None:
    """Nothing depends on who of the owners of nodes measures, but for the crossings."""
    told = [
        result(scenario(folder, ask=ASKS["nodes"], network=network, owners=owners, copies=100_000))
        for network, owners in (("bob", ["alice", "bob"]), ("alice", ["alice", "bob"]), ("bob", ["bob"]))
    ]
    for one in told:
        assert one["error"] <= max(one["epsilon"]) and one["exact"] == told[0]["exact"]
        assert one["alpha"] == told[0]["alpha"] and one["sizes"] == pytest.approx(told[0]["sizes"])
    crossings = [one["qubits_sent"] / sum(one["registers"]) / 100_000 for one in told]
    assert crossings == [1, 1, 0]


def test_a_lossy_link_costs_copies_and_noise_costs_logits(folder: Path) -> None:
    lossy = result(scenario(folder, {"fiber": "telecom-fiber", "length_km": 2}, ask=ASKS["graphs"]))
    assert lossy["copies"] == 400 * 3 and lossy["qubits_sent"] > 1.2 * lossy["qubits_delivered"] > 0
    noise = [{"kind": "depolarizing", "probability": 0.2}]
    ideal, noisy = (
        result(scenario(folder, {"fiber": "ideal", "length_km": 1, "noise": each}, ask=ASKS["graphs"], copies=20_000))
        for each in ([], noise)
    )
    assert ideal["error"] <= max(ideal["epsilon"])
    assert noisy["error"] > 2 * ideal["error"]


def test_copies_beyond_the_budget_are_not_sent_and_what_they_would_be_is_told(folder: Path) -> None:
    told = result(scenario(folder, ask=ASKS["graphs"], copies=10**9))
    assert not told["ran"] and "protocol.budget_attempts is 1e+07" in told["not_run"]
    assert told["qubits_sent"] == told["copies"] == 0 and "logits" not in told and told["test_accuracy"] is None
    assert told["alpha"] and told["copies_95"] > 0 and told["rivals"]["features"]["test_accuracy"] is not None
    elsewhere = result(scenario(folder, ask=ASKS["graphs"], copies=10**9, head="dave"))
    assert not elsewhere["ran"] and elsewhere["epsilon"] == told["epsilon"]
    alone = result(scenario(folder, ask={"graphs": [0]}, copies=10**9))
    assert told["not_run"].startswith("1,000,000,000 copies of each of 3 registers take about 3e+09 attempts")
    assert alone["not_run"].startswith("1,000,000,000 copies of one register take about 1e+09 attempts")


@pytest.mark.parametrize("copies", rarely([3 * 10**6, 10**8], but=3 * 10**6))
def test_many_copies_take_the_memory_of_a_batch(folder: Path, copies: int) -> None:
    loaded = scenario(folder, ask={"graphs": [3]}, copies=copies, budget_attempts=1e9)
    tracemalloc.start()
    told = result(loaded, check=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told["copies"] == copies and peak < 150e6


def test_frames_tell_neither_features_nor_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number of every party, as octets, against every frame but those of states; and inline does the same."""
    loaded = scenario(folder, ask=ASKS["nodes"], head="dave", features=None, copies=50)
    run = loaded.run()
    frame = frame_of(loaded.scenario.protocol, loaded.network())
    recorded = recording(monkeypatch)
    results = Threads(run).conduct()
    assert [each.transcript_sha256 for each in results] == [
        each.transcript_sha256 for each in run_inline(run, base=loaded.base)
    ]
    rows = frame.graphs.rows(np.arange(frame.graphs.nodes)).reshape(-1)
    secrets = {float(each) for each in (*rows, *frame.model.weights.reshape(-1), *frame.model.head.reshape(-1))}
    secrets = {each for each in secrets if not math.isclose(each * 8, round(each * 8))}  # not such as 0 and 1/2
    whole = b"\0".join(part for _, frames in recorded for part in frames)
    assert len(secrets) > 50 and len(recorded) > 20
    for number in secrets:
        assert np.array([number], ">f8").tobytes() not in whole and repr(number).encode() not in whole
        assert np.array([number]).tobytes() not in whole


def test_a_head_is_learnt_from_histograms_and_nears_the_one_without_shot_noise(folder: Path) -> None:
    """The fold of SMALL has two graphs; the other 18 are learnt from, and nothing of the file's head is used."""
    few, many = (
        result(scenario(folder, ask={"fold": 1}, learn={"decay": 0.01}, copies=copies)) for copies in (100, 300_000)
    )
    assert many["decisions"] == len(many["logits"]) == len(many["epsilon"]) == 2 and len(many["registers"]) == 20
    assert many["error"] < 0.05 < few["error"]
    assert many["agreement"] is not None and "copies_needed" not in many
    model = read_graph_model(folder / "graph.npz")
    write_graph_model(folder / "graph.npz", replace(model, head=-model.head, head_bias=model.head_bias + 3.0))
    frame = scenario(folder, ask={"fold": 1}, learn={"decay": 0.01}, copies=300_000, features=None)
    assert result(frame)["logits"] == many["logits"]


def test_one_copy_decides_otherwise_than_the_central_pass(folder: Path) -> None:
    model, asked = read_graph_model(folder / "graph.npz"), {"graphs": [*range(20)]}
    logits = np.array(result(scenario(folder, ask=asked, features=None))["exact"]).reshape(20, -1)
    middle = np.median(logits[:, 0] - logits[:, 1])  # so that either class is as frequent
    write_graph_model(folder / "graph.npz", replace(model, head_bias=model.head_bias - [middle, 0]))
    told = result(scenario(folder, ask={"graphs": [*range(15)]}, copies=1, features=None))
    assert told["accuracy_change"] == told["test_accuracy"] - told["central_accuracy"] != 0
    assert told["agreement"] < 1


def refusal(folder: Path, **protocol: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        run_inline(scenario(folder, **protocol).run(), base=str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ({"ask": {"fold": 0}, "data": {"folder": "nowhere", "set": "SMALL", "model": "graph.npz"}},
         "nowhere: no such folder, expected one with sets of graphs"),
        ({"ask": {"fold": 0}, "data": {"folder": ".", "set": "LARGE", "model": "graph.npz"}}, "no set LARGE, expected"),
        ({"ask": {"fold": 0}, "data": {"folder": ".", "set": "SMALL", "model": "none.npz"}}, "protocol.data.model"),
        ({"ask": {"fold": 0}, "data": {"folder": ".", "set": "SMALL", "model": "node.npz"}}, "a network over nodes"),
        ({"ask": {"fold": 0, "first": 3}}, "protocol.ask.first: 3 given, expected at most 2, the graphs of the fold"),
        ({"ask": {"graphs": [20]}}, "graph 20 given, expected one from 0 to 19"),
        ({"ask": {"nodes": [14]}}, "node 14 given, expected one from 0 to 13"),
        ({"ask": {"graphs": [1], "nodes": [1]}}, "expected one of fold, graphs, nodes, pairs"),
        ({"ask": {"graphs": [1, 1]}}, "protocol.ask.graphs.1: 1 given, expected each once"),
        ({}, "expected one for a set of a folder"),
        ({"ask": {"fold": 0}, "head": "dave", "measurement": "eigenbasis"}, "weights and head at one owner"),
        ({"ask": {"fold": 0}, "hops": [8]}, "protocol.hops"),
        ({"ask": {"graphs": [0]}, "learn": {}}, "protocol.learn"),
        ({"ask": {"fold": 0}, "learn": {}, "measurement": "eigenbasis"}, "as histograms are learnt from"),
        ({"ask": {"fold": 0}, "owners": ["alice", "alice"]}, 'protocol.owners.1: "alice" given, expected each node'),
        ({"ask": {"fold": 0}, "owners": ["alice", "eve"]}, "protocol.owners.1: 'eve' given, expected a node"),
        ({"ask": {"fold": 0}, "owners": ["alice"]}, "from alice to carol, expected a link"),
        ({"ask": {"fold": 0}, "head": "alice"}, "expected a node with a link to carol"),
        ({"data": {"planted": {"graphs": 99, "nodes": 64, "features": 14, "margin": 0.5}}, "sketch": [1 << 20]},
         "protocol.sketch.0: 1048576 given, expected at most"),
        ({"data": {"planted": {"graphs": 1, "nodes": 65536, "features": 1024, "margin": 0.5}}},
         "nodes: 65536 given, expected at most 65535: a register has 26 qubits at most"),
        ({"data": {"planted": {"graphs": 9, "nodes": 65536, "features": 512, "margin": 0.5}}},
         "graphs: 9 given, expected at most 2 of this size"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(folder: Path, protocol: dict[str, Any], told: str) -> None:
    assert told in refusal(folder, **protocol)


def test_networks_that_are_no_quadratic_forms_are_refused(folder: Path) -> None:
    rng = np.random.default_rng(0)
    model = random_model(rng, "graph", HOPS, TAGS, 2, 2)
    write_graph_model(folder / "graph.npz", replace(model, activation="prelu", coefficients=np.array([[0.2]])))
    assert "prelu given, expected degree-2" in refusal(folder, ask={"fold": 0})
    assert "prelu" in refusal(folder, ask={"fold": 0}, measurement="eigenbasis")


def test_a_network_of_other_features_is_refused(folder: Path) -> None:
    write_graph_model(folder / "graph.npz", random_model(np.random.default_rng(0), "graph", HOPS, TAGS + 1, 2, 2))
    assert f"a network of {TAGS + 1} features given, expected one of {TAGS}" in refusal(folder, ask={"fold": 0})


def test_a_graph_larger_than_any_register_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ketwire.scenarios.kinds.graph.frame.MAX_QUBITS", 3)
    told = refusal(folder, ask={"graphs": [0, 1, 2, 3]})
    assert "takes 4 qubits, expected at most 3" in told or "takes 5 qubits, expected at most 3" in told


def test_hops_of_an_empty_set_of_operators(folder: Path) -> None:
    write_graph_model(folder / "graph.npz", random_model(np.random.default_rng(0), "graph", (), TAGS, 3, 2))
    told = result(scenario(folder, ask=ASKS["graphs"], copies=50_000))
    assert told["error"] <= max(told["epsilon"])
