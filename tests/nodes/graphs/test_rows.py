"""Graphs as rows: hop features of each node at its place, no test graph among those trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.graphs import rows
from ketwire.nodes.graphs.rows import graph_rows, hops_of, part_of
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.shelf import load_set
from ketwire.nodes.graphs.splits import folds
from ketwire.protocols.graph.operators import Hops
from tests.scenarios.kinds.graph.sets import TAGS, write_molecules

HOPS = {"ppr": 1, "rw": 2}


@pytest.fixture
def small(tmp_path: Path) -> GraphSet:
    write_molecules(tmp_path)
    return load_set(tmp_path, "SMALL")


def test_each_node_has_its_hop_features_at_its_place(small: GraphSet) -> None:
    """Against products of dense matrices of each graph alone. Six nodes at most: eight places, 16 of hop and tag."""
    chosen = np.array([0, 7, 3])
    found = graph_rows(small, chosen, hops_of(HOPS))
    assert found.shape == (3, 16 * 8 - 1)
    for row, number in zip(found, chosen, strict=True):
        inside = np.flatnonzero(small.member == number)
        X, A = small.features[inside].toarray(), np.eye(len(inside))
        for first, second in small.edges[np.isin(small.edges[:, 0], inside)] - inside[0]:
            A[first, second] = A[second, first] = 1.0
        D = A.sum(axis=1)
        rw, gcn = A / D[:, None], A / np.sqrt(np.outer(D, D))
        expected = np.zeros((16, 8))
        for hop, plane in enumerate([X, rw @ X, rw @ rw @ X, 0.8 * gcn @ X + 0.2 * X]):
            expected[hop * TAGS : (hop + 1) * TAGS, : len(inside)] = plane.T
        assert row == pytest.approx(expected.reshape(-1)[:-1], abs=1e-14)
    assert hops_of(HOPS) == [Hops("rw", 2), Hops("ppr", 1)]


def test_parts_are_those_of_the_folds_and_share_no_graph(small: GraphSet) -> None:
    for fold in range(10):
        train, test = (part_of(small, fold, part) for part in ("train", "test"))
        assert np.array_equal(test, np.flatnonzero(folds(small.labels) == fold))
        assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(small.graphs))


def test_a_loader_answers_with_rows_and_labels(tmp_path: Path, small: GraphSet) -> None:
    source = {"graphs": "SMALL", "folder": str(tmp_path), "fold": 4, "part": "test", "hops": HOPS}
    found = make_loader("alice", b"", "")("protocol.data.test", source)
    tested = part_of(small, 4, "test")
    assert np.array_equal(found["values"], graph_rows(small, tested, hops_of(HOPS)))
    assert np.array_equal(found["labels"], small.labels[tested])
    for changed, told in (
        ({"folder": str(tmp_path / "none")}, "no such folder, expected one with sets of graphs"),
        ({"graphs": "OTHER"}, "no set OTHER"),
    ):
        with pytest.raises(ScenarioError, match=told) as refused:
            make_loader("alice", b"", "")("protocol.data.test", source | changed)
        assert str(refused.value).startswith("protocol.data.test: ") and "\n" not in str(refused.value)


def test_what_makes_no_rows_is_refused(small: GraphSet, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioError, match="SMALL given, a set of labelled nodes, expected one of labelled graphs"):
        part_of(replace(small, task="node"), 0, "train")
    with pytest.raises(ScenarioError, match="labels: 9 graphs given, expected 10 of one class, as many as folds"):
        part_of(small.chosen(np.arange(9)), 0, "train")
    monkeypatch.setattr(rows, "MAX_OCTETS", 1000)
    with pytest.raises(ScenarioError, match="20 rows of 127 entries given, expected fewer hops or a smaller set"):
        graph_rows(small, np.arange(20), hops_of(HOPS))
