"""The public sets as their files have them: how many graphs, nodes, edges, classes and features."""

from __future__ import annotations

import numpy as np
import pytest

from ketwire.nodes.graphs.sets import NO_LABEL
from tests.datasets import public_set

GRAPHS = {
    "MUTAG": (188, 3371, 3721, [63, 125], 7), "PTC": (344, 8792, 8931, [192, 152], 19),
    "NCI1": (4110, 122747, 132753, [2053, 2057], 37), "PROTEINS": (1113, 43471, 81044, [663, 450], 3),
    "IMDB-B": (1000, 19773, 96531, [500, 500], 65), "IMDB-M": (1500, 19502, 98903, [500, 500, 500], 59),
}  # fmt: skip
NODES = {
    "Cora": (2708, 5278, 49216, 140, [351, 217, 418, 818, 426, 298, 180], [130, 91, 144, 319, 149, 103, 64], 0),
    "Citeseer": (3327, 4552, 105165, 120, [249, 590, 668, 701, 596, 508], [77, 182, 181, 231, 169, 160], 48),
}
SLOW = pytest.mark.gnn  # a second each


@pytest.mark.parametrize("name", ["MUTAG", *(pytest.param(name, marks=SLOW) for name in GRAPHS if name != "MUTAG")])
def test_sets_of_graphs(name: str) -> None:
    found, (graphs, nodes, edges, counts, width) = public_set(name), GRAPHS[name]
    assert (found.task, found.graphs, found.nodes, len(found.edges)) == ("graph", graphs, nodes, edges)
    assert np.bincount(found.labels).tolist() == counts and found.classes == len(counts)
    assert found.features.shape == (nodes, width) and (found.features.sum(axis=1) == 1).all()


@pytest.mark.parametrize("name", ["Cora", pytest.param("Citeseer", marks=SLOW)])
def test_citation_networks(name: str) -> None:
    found, (nodes, edges, entries, trained, counts, tested, alone) = public_set(name), NODES[name]
    assert (found.task, found.nodes, len(found.edges), found.features.nnz) == ("node", nodes, edges, entries)
    assert np.bincount(found.labels[found.labels != NO_LABEL]).tolist() == counts
    split = found.public
    assert split is not None and [len(split.train), len(split.validation), len(split.test)] == [trained, 500, 1000]
    assert np.bincount(found.labels[split.test]).tolist() == tested
    assert len(np.setdiff1d(np.arange(nodes), found.edges)) == alone
