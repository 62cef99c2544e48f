"""Networks over nodes: for inference, chosen by the validation nodes, and never by the test nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from ketwire.nodes.central.settings import NodeSettings
from ketwire.nodes.graphs.sets import GraphSet, Split, rows_to_one, undirected
from ketwire.protocols.graph.model import ACTIVATIONS, logits
from ketwire.protocols.graph.operators import Hops

torch = pytest.importorskip("torch", reason="torch is not installed (the extra gnn)")
pytestmark = pytest.mark.gnn
torch.set_num_threads(1)

SETTINGS = NodeSettings((Hops("sign", 2),), 8, 0.02, (0.1, 0.1), 30)


def random_graph() -> GraphSet:
    """Two groups of nodes that are joined among themselves, with words that the other group seldom has."""
    random = np.random.default_rng(2)
    labels = np.arange(60) % 2
    words = (random.random((60, 10)) < np.where(labels[:, None] == np.arange(10) % 2, 0.5, 0.1)).astype(float)
    pairs = random.integers(0, 30, (90, 2)) * 2 + random.integers(0, 2, 90)[:, None]
    split = Split(np.arange(20), np.arange(20, 40), np.arange(40, 60))
    return GraphSet("N", "node", rows_to_one(scipy.sparse.csr_array(words)), undirected(pairs), np.zeros(60, np.int64),
                    1, labels, 2, split)  # fmt: skip


DATA = random_graph()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_network_for_inference_answers_as_the_tested_one(activation: str) -> None:
    from ketwire.nodes.central.node_nets import Inputs, train_nodes

    assert DATA.public is not None
    validated: list[float] = []
    found = train_nodes(Inputs(DATA, DATA.public, SETTINGS), 1, activation, lambda epoch, each: validated.append(each))
    guessed = logits(found.model, DATA.edges, DATA.features).argmax(1)
    test, validation = DATA.public.test, DATA.public.validation
    assert (guessed[test] == DATA.labels[test]).mean() == pytest.approx(found.test_accuracy)
    assert (guessed[validation] == DATA.labels[validation]).mean() == pytest.approx(found.validation_accuracy)
    assert found.epoch == int(np.argmax(validated)) + 1 and found.test_accuracy >= 0.8
    assert found.model.coefficients.shape == (3, ACTIVATIONS[activation])


def test_what_is_tested_decides_nothing() -> None:
    from ketwire.nodes.central.node_nets import Inputs, train_nodes

    assert DATA.public is not None
    labels = DATA.labels.copy()
    labels[DATA.public.test] = 0
    data = [DATA, replace(DATA, labels=labels)]
    one, other = (train_nodes(Inputs(each, DATA.public, SETTINGS), 1, "degree-2", lambda *_: None) for each in data)
    assert np.array_equal(one.model.weights, other.model.weights) and one.test_accuracy != other.test_accuracy
