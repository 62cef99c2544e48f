"""Settings by set and variant."""

from __future__ import annotations

import json

import pytest

from ketwire.nodes.central.settings import graph_settings, node_settings, told
from ketwire.protocols.graph.operators import Hops


def test_settings_of_a_listed_set() -> None:
    found = graph_settings("MUTAG", "reference", None)
    assert found.hops == (Hops("raw", 1), Hops("rw", 8), Hops("gcn", 6), Hops("ppr", 5))
    assert (found.hidden, found.norm, found.batch, found.epochs) == (256, "batch", 128, 350)
    assert graph_settings("PTC", "reference", None).hops[0] == Hops("rw", 2)
    assert graph_settings("NCI1", "released", "batch").norm == "batch"


def test_a_set_that_nobody_published_has_settings_in_both_variants() -> None:
    assert graph_settings("MINE", "reference", None) == graph_settings("MINE", "released", None)
    with pytest.raises(ValueError, match="settings: reference given, expected released for COLLAB"):
        graph_settings("COLLAB", "reference", None)


def test_settings_of_nodes_follow_the_split() -> None:
    assert (node_settings("Cora", False).hidden, node_settings("Cora", True).hidden) == (512, 64)
    assert node_settings("MINE", False).rate == 1e-3


def test_settings_come_back_from_json() -> None:
    for found in (told(graph_settings("PTC", "reference", None)), told(node_settings("Cora", False))):
        assert json.loads(json.dumps(found)) == found
