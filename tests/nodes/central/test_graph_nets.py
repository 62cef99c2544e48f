"""Networks over whole graphs, beside plain autograd over all nodes, and folded for inference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from ketwire.nodes.central.rows import Rows, rows_of
from ketwire.nodes.central.settings import GraphSettings
from ketwire.nodes.graphs.sets import GraphSet, undirected
from ketwire.protocols.graph.model import ACTIVATIONS, logits
from ketwire.protocols.graph.operators import Hops

torch = pytest.importorskip("torch", reason="torch is not installed (the extra gnn)")
pytestmark = pytest.mark.gnn
torch.set_num_threads(1)

SETTINGS = GraphSettings((Hops("raw", 1), Hops("ppr", 2)), 6, "batch", 8, 0.01, 1e-3, 0.0, 3)
TOLD: Any = lambda epoch, accuracy: None  # noqa: E731


def random_set(graphs: int = 30, seed: int = 5) -> GraphSet:
    """Graphs of 0 to 6 nodes, some of them alike; their class is whether a tag is there."""
    random = np.random.default_rng(seed)
    sizes = random.integers(0, 7, graphs)
    member = np.repeat(np.arange(graphs), sizes)
    tags = random.integers(0, 3, len(member))
    starts = np.concatenate(([0], np.cumsum(sizes)))
    edges = [(starts[g] + i, starts[g] + j) for g in range(graphs) for i in range(sizes[g]) for j in range(i)
             if random.random() < 0.5]  # fmt: skip
    labels = np.array([int((tags[member == graph] == 0).any()) for graph in range(graphs)])
    features = scipy.sparse.csr_array(np.eye(3)[tags])
    return GraphSet("S", "graph", features, undirected(np.array(edges)), member, graphs, labels, 2)


DATA = random_set()
ROWS = rows_of(DATA, SETTINGS.hops)


def folds_of(count: int) -> list[Any]:
    from ketwire.nodes.central.graph_nets import Fold

    tested = np.arange(DATA.graphs) % 10
    return [Fold("S", k, 3, np.flatnonzero(tested != k), np.flatnonzero(tested == k)) for k in range(count)]


def plain_loss(nets: Any, at: int, graphs: np.ndarray, values: dict[str, Any]) -> Any:
    """The loss of one network, node by node."""
    from ketwire.nodes.central.graph_nets import EPSILON

    rows = np.concatenate([np.arange(ROWS.begins[g], ROWS.begins[g + 1]) for g in graphs]).astype(int)
    place = np.concatenate([np.full(ROWS.begins[g + 1] - ROWS.begins[g], i) for i, g in enumerate(graphs)]).astype(int)
    times = ROWS.weights[rows].astype(int)
    rows, place = np.repeat(rows, times), np.repeat(place, times)
    z = torch.from_numpy(ROWS.values[rows] - nets.centre) @ values["weight"]
    if nets.by_batch:
        z = (z - z.mean(0)) / torch.sqrt(z.var(0, correction=0) + EPSILON)
    else:
        z = torch.nn.functional.layer_norm(z + values["bias"], (z.shape[1],), eps=EPSILON)
    z, curve = z * values["gain"] + values["offset"], values["curve"].reshape(-1)
    if nets.activation == "degree-2":
        z = curve[0] + curve[1] * z + curve[2] * z**2
    elif nets.activation == "prelu":
        z = torch.nn.functional.prelu(z, curve)
    pooled = torch.zeros(len(graphs), z.shape[1], dtype=z.dtype).index_add(0, torch.from_numpy(place), z)
    return torch.nn.functional.cross_entropy(pooled @ values["head"] + values["head_bias"][0],
                                             torch.from_numpy(DATA.labels[graphs]))  # fmt: skip


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("rows", [ROWS, Rows(ROWS.values, np.ones_like(ROWS.weights), ROWS.begins)])
@pytest.mark.parametrize("sparse_below", [0.0, 2.0])
def test_gradients_are_those_of_autograd(
    activation: str, norm: Any, rows: Rows, sparse_below: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ketwire.nodes.central import tables
    from ketwire.nodes.central.graph_nets import _Nets

    monkeypatch.setitem(globals(), "ROWS", rows)
    monkeypatch.setattr(tables, "SPARSE_BELOW", sparse_below)
    nets = _Nets(rows, DATA.labels, folds_of(2), replace(SETTINGS, norm=norm), activation)
    chosen = [np.array([3, 1, 8, 2, 20]), np.array([5, 7, 11])]
    names = ["weight", "gain", "offset", "head", "head_bias", *(["bias"] if norm == "layer" else []),
             *(["curve"] if activation != "none" else [])]  # fmt: skip
    before = [{name: getattr(nets, name)[at].detach().double().clone().requires_grad_() for name in (*names, "curve",
               "bias")} for at in range(2)]  # fmt: skip
    nets.step(nets.batch(chosen))
    for at in range(2):
        plain_loss(nets, at, chosen[at], before[at]).backward()
        for name in names:
            found, wanted = getattr(nets, name).grad[at].double(), before[at][name].grad
            assert torch.allclose(found, wanted, rtol=2e-4, atol=2e-5), (name, at)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_network_for_inference_answers_as_the_trained_one(activation: str, norm: Any) -> None:
    from ketwire.nodes.central.graph_nets import _Nets

    folds = folds_of(2)
    nets = _Nets(ROWS, DATA.labels, folds, replace(SETTINGS, norm=norm, dropout=0.2), activation)
    for chosen in nets.batches():
        nets.step(nets.batch(chosen))
    every = np.arange(DATA.graphs)
    answers = nets.logits(nets.batch([every, every])).numpy()
    for at in range(2):
        found = logits(nets.model(at), DATA.edges, DATA.features.toarray(), DATA.member, DATA.graphs)
        assert np.allclose(found, answers[at], rtol=1e-4, atol=1e-4)


def test_networks_side_by_side_are_those_of_each_alone_and_the_same_again() -> None:
    from ketwire.nodes.central.graph_nets import train_graphs

    folds = folds_of(3)
    together, again = (train_graphs(ROWS, DATA.labels, folds, SETTINGS, "degree-2", TOLD) for _ in range(2))
    for one, other in zip(together, again, strict=True):
        assert one.test_right == other.test_right and np.array_equal(one.model.weights, other.model.weights)
    alone = train_graphs(ROWS, DATA.labels, folds[1:2], SETTINGS, "degree-2", TOLD)[0]
    assert np.allclose(alone.model.weights, together[1].model.weights, rtol=1e-3, atol=1e-4)


def test_what_is_tested_decides_nothing() -> None:
    """Another test part, and other labels in it: the same network."""
    from ketwire.nodes.central.graph_nets import train_graphs

    fold = folds_of(1)[0]
    labels = DATA.labels.copy()
    labels[fold.test] = 1 - labels[fold.test]
    one = train_graphs(ROWS, DATA.labels, [fold], SETTINGS, "degree-2", TOLD)[0]
    other = train_graphs(ROWS, labels, [fold], SETTINGS, "degree-2", TOLD)[0]
    assert np.array_equal(one.model.weights, other.model.weights) and one.test_right != other.test_right


def test_a_batch_of_graphs_without_nodes_changes_no_statistics() -> None:
    from ketwire.nodes.central.graph_nets import _Nets

    nets = _Nets(ROWS, DATA.labels, folds_of(2), SETTINGS, "degree-2")
    empty = np.flatnonzero(np.diff(ROWS.begins) == 0)[:1]
    nets.step(nets.batch([empty, np.arange(5)]))
    assert (nets.mean[0] == 0).all() and (nets.variance[0] == 1).all() and (nets.mean[1] != 0).all()
    assert torch.isfinite(nets.weight).all() and torch.isfinite(nets.head_bias).all()


def test_it_learns() -> None:
    from ketwire.nodes.central.graph_nets import train_graphs

    found = train_graphs(ROWS, DATA.labels, folds_of(10), replace(SETTINGS, epochs=60), "degree-2", TOLD)
    assert sum(each.test_right[-1] for each in found) >= 0.9 * DATA.graphs
