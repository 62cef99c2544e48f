"""The classical rivals of graph networks: what they answer, and each bit that they send."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.nodes.graphs.modelfile import write_graph_model
from ketwire.nodes.inline import run_inline
from ketwire.protocols.graph.operators import Hops
from ketwire.scenarios.kinds.graph.frame import frame_of
from ketwire.scenarios.kinds.graph.reference import central
from ketwire.scenarios.load import Loaded
from tests.protocols.graph.networks import random_model
from tests.scenarios.kinds.graph.sets import TAGS, scenario, write_citations, write_molecules


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_molecules(tmp_path)
    write_citations(tmp_path)
    return tmp_path


def found(loaded: Loaded) -> dict[str, tuple[Any, int]]:
    """Logits and bits of each rival."""
    results = run_inline(loaded.run(), base=loaded.base)
    return {
        each.name: (each.outcomes[loaded.scenario.protocol.network].logits, each.totals.payload_bits)
        for each in results if each.role == "rival"
    }  # fmt: skip


def wanted(loaded: Loaded) -> Any:
    return central(frame_of(loaded.scenario.protocol, loaded.network()))


@pytest.mark.parametrize("ask", [{"fold": 1}, {"nodes": [2, 9, 12]}, {"pairs": {}}], ids=str)
@pytest.mark.parametrize("owners", [["alice", "bob"], ["bob"], ["bob", "carol"]], ids=str)
def test_features_arrive_exactly_where_positions_say_all(folder: Path, ask: dict[str, Any], owners: list[str]) -> None:
    loaded = scenario(folder, ask=ask, owners=owners, copies=1, features=1)
    logits, bits = found(loaded)["features"]
    assert logits == pytest.approx(wanted(loaded), abs=1e-9)
    assert bits > 0


def test_one_hot_tags_cost_their_number_and_shares_their_positions(folder: Path) -> None:
    """Two bits for one of three tags, three for the form; alice's cross two links."""
    loaded = scenario(folder, ask={"graphs": [1, 2, 3]}, copies=1)
    frame = frame_of(loaded.scenario.protocol, loaded.network())
    items = frame.graphs.items(frame.question)
    nodes = [sum(len(item.owned(owner, 2)) for item in items) for owner in (0, 1)]
    assert found(loaded)["features"][1] == 2 * (3 + 2 * nodes[0]) + (3 + 2 * nodes[1])
    words = scenario(folder, ask={"pairs": {}}, owners=["bob"], copies=1)
    frame = frame_of(words.scenario.protocol, words.network())
    rows = frame.graphs.rows(np.arange(frame.graphs.nodes))
    assert found(words)["features"][1] == 3 + 3 * len(rows) + 3 * int((rows > 0).sum())


def test_numbers_are_coded_at_the_bits_of_an_entry() -> None:
    deal = {"planted": {"graphs": 6, "nodes": 4, "features": 4, "margin": 0.3}}
    coarse, fine = (scenario(Path("."), data=deal, copies=1, features=bits) for bits in (2, 40))
    exact = wanted(fine)
    assert np.abs(found(fine)["features"][0] - exact).max() < 1e-9
    assert np.abs(found(coarse)["features"][0] - exact).max() > 1e-3
    entries = 6 * 4 * 4 // 2
    assert found(fine)["features"][1] - found(coarse)["features"][1] == 3 * 38 * entries  # alice's cross two links


def test_sums_by_hop_answer_for_single_nodes(folder: Path) -> None:
    loaded = scenario(folder, ask={"nodes": [2, 9, 12]}, copies=1, hops=[4, 40])
    told = found(loaded)
    assert np.abs(told["hops-40-bit"][0] - wanted(loaded)).max() < 1e-9
    assert 1e-6 < np.abs(told["hops-4-bit"][0] - wanted(loaded)).max() < 1.0
    assert told["hops-4-bit"][1] < told["hops-40-bit"][1]


def test_a_sketch_is_unbiased_and_nears_the_logits_with_its_signs(folder: Path) -> None:
    rng = np.random.default_rng(4)
    write_graph_model(folder / "graph.npz", random_model(rng, "graph", (Hops("gcn", 1),), TAGS, 3, 2))
    loaded = scenario(folder, ask={"graphs": [3]}, copies=1, sketch=[64, 2048])
    exact = wanted(loaded)
    off = {}
    for name in ("sketch-64", "sketch-2048"):
        tries = []
        for seed in range(6):
            seeded = loaded.scenario.model_copy(update={"seed": seed})
            again = Loaded(loaded.origin, loaded.name, loaded.base, seeded, loaded.kind_name, loaded.kind)
            tries.append(found(again)[name][0])
        off[name] = np.array(tries) - exact
    spread = off["sketch-64"].std(axis=0) / np.sqrt(6)
    assert (np.abs(off["sketch-64"].mean(axis=0)) < 5 * spread + 1e-9).all()
    assert np.abs(off["sketch-2048"]).mean() < 0.5 * np.abs(off["sketch-64"]).mean()
    items, crossings = 1, 3
    assert found(loaded)["sketch-64"][1] == items * crossings * (64 + 64)


def test_a_code_names_directions_and_decides_as_the_features_do() -> None:
    deal = {"planted": {"graphs": 30, "nodes": 4, "features": 6, "margin": 0.8}}
    loaded = scenario(Path("."), data=deal, owners=["bob"], copies=1, code=[24, 96])
    told, right = found(loaded), wanted(loaded).argmax(axis=1)
    same = {name: (told[name][0].argmax(axis=1) == right).mean() for name in ("code-24", "code-96")}
    assert same["code-24"] > 0.7 and same["code-96"] > 0.95
    assert told["code-24"][1] == 30 * (64 + 24)


def test_owners_without_nodes_of_an_item_tell_nothing_of_it(folder: Path) -> None:
    """Graph 0 is a single node, which is alice's."""
    both = scenario(folder, ask={"graphs": [0]}, copies=1, sketch=[64], code=[24])
    alone = scenario(folder, ask={"graphs": [0]}, copies=1, sketch=[64], code=[24], owners=["bob"])
    for name in ("sketch", "code"):
        assert found(both)[name][1] == 2 * found(alone)[name][1]
