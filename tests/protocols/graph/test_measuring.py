"""A logit is an expectation value: for random graphs, splits over owners, hop sets, heads and normalisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.protocols.graph.loading import first_state, turn
from ketwire.protocols.graph.measuring import (
    Forms,
    Histogram,
    Law,
    Spectra,
    copies_for_share,
    promise,
)
from ketwire.protocols.graph.model import GraphModel, logits
from ketwire.protocols.graph.questions import Graphs, Question, radius_of, register
from ketwire.protocols.graph.transform import Transform, squares_of
from ketwire.quantum.noise.representations import apply_circuit
from tests.protocols.graph.networks import GRAPH_HOPS, NODE_HOPS, random_graphs, random_model


def loaded(rows: Any, owners: list[int], constant: float, qubits: int) -> Any:
    """x' as several owners load it, one after another; rows: shape (V, D), owners: of each node."""
    size, place = 1 << qubits, rows.size
    parts = [np.where(np.array(owners)[:, None] == owner, rows, 0.0).reshape(-1) for owner in range(max(owners) + 1)]
    padded = [np.pad(part, (0, size - len(part))) for part in parts]
    whole = math.hypot(np.linalg.norm(rows), constant) ** 2
    behind = np.cumsum([part @ part for part in padded])
    rest = [math.sqrt(whole - before) for before in behind]
    states = first_state(padded[0], rest[0], place)[None]
    for part, left in zip(padded[1:], rest[1:], strict=True):
        circuit = turn(part, left, place)
        states = states if circuit is None else apply_circuit(circuit, states, np.zeros(0))
    return states


def case(seed: int, task: str, activation: str = "degree-2", classes: int = 3) -> tuple[GraphModel, Graphs, Question]:
    rng = np.random.default_rng(seed)
    features, hidden = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    sizes = [int(each) for each in rng.integers(1, 7, 2 if task == "graph" else 1)]
    graphs = random_graphs(rng, sizes, features)
    hops = (GRAPH_HOPS if task == "graph" else NODE_HOPS)[seed % 3]
    model = random_model(rng, task, hops, features, hidden, classes, activation)
    if task == "graph":
        return model, graphs, Question("graphs", [[0], [1]], radius_of(model))
    nodes = list(range(graphs.nodes))
    if seed % 2:
        return model, graphs, Question("nodes", [[node] for node in nodes], radius_of(model))
    return model, graphs, Question("means", [nodes[: len(nodes) // 2 + 1]], radius_of(model))


def central(model: GraphModel, graphs: Graphs, question: Question) -> Any:
    found = logits(model, graphs.edges, graphs.features, graphs.member, int(graphs.member.max()) + 1)
    return np.array([found[each].mean(axis=0) for each in question.which])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), task=st.sampled_from(["node", "graph"]), large=st.booleans(), split=st.data())
def test_one_histogram_gives_all_logits(seed: int, task: str, large: bool, split: Any) -> None:
    model, graphs, question = case(seed, task)
    squares, expected = squares_of(model), central(model, graphs, question)
    for item, wanted in zip(graphs.items(question), expected, strict=True):
        transform = graphs.transform(model, question.form, item, squares.offset)
        if large:
            transform.__dict__["dense"] = None
        rows = graphs.rows(item.inside)
        size = float(np.linalg.norm(rows))
        constant = transform.constant(size)
        owners = split.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
        states = loaded(rows, owners, constant, register(len(rows), rows.shape[1]))
        whole = np.append(rows.reshape(-1), constant)
        assert np.abs(states[0, : len(whole)] - whole / np.linalg.norm(whole)).max() < 1e-12
        readout = Histogram(transform, squares, constant, float(np.linalg.norm(whole)), transform.scale(constant))
        law = readout.law(states, model.head, model.head_bias)
        assert law.logits == pytest.approx(wanted, abs=1e-9 * max(1.0, np.abs(law.values[0]).max()))
        assert law.probabilities[0].min() >= 0.0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), task=st.sampled_from(["node", "graph"]), none=st.booleans(),
       classes=st.integers(2, 4))  # fmt: skip
def test_eigenbases_give_logits_less_their_mean(seed: int, task: str, none: bool, classes: int) -> None:
    model, graphs, question = case(seed, task, "none" if none else "degree-2", classes)
    expected = central(model, graphs, question)
    for item, wanted in zip(graphs.items(question), expected, strict=True):
        transform = graphs.transform(model, question.form, item, np.zeros(1))
        rows = graphs.rows(item.inside)
        forms = Forms(model, transform)
        constant = forms.best_constant(float(np.linalg.norm(rows)))
        states = loaded(rows, [0] * len(rows), constant, register(len(rows), rows.shape[1]))
        readout = Spectra(forms, constant, math.hypot(np.linalg.norm(rows), constant), classes)
        law = readout.law(states)
        scale = max(1.0, *(float(np.abs(each).max()) for each in law.values))
        assert law.logits == pytest.approx(wanted - wanted.mean(), abs=1e-9 * scale)
        assert readout.logits(list(law.probabilities)) == pytest.approx(law.logits, abs=1e-9 * scale)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), task=st.sampled_from(["node", "graph"]))
def test_alpha_is_never_below_the_norm(seed: int, task: str) -> None:
    model, graphs, question = case(seed, task)
    squares = squares_of(model)
    for item in graphs.items(question):
        transform = graphs.transform(model, question.form, item, squares.offset)
        constant = transform.constant(float(np.linalg.norm(graphs.rows(item.inside))))
        exact = norm_of(transform, constant)
        assert exact <= transform.scale(constant) <= exact * 1.01 + 1e-300 or exact == 0.0
        bounded = Transform(model, graphs.hopping(model, item), item.rows, transform.pool, squares.offset)
        bounded.__dict__["_gram"] = None
        if bounded.columns > 12:
            assert exact <= bounded.scale(constant) <= exact * 1.5


def norm_of(transform: Transform, constant: float) -> float:
    columns = transform.columns - 1
    maps = transform.images(np.eye(columns)).reshape(columns, -1)
    last = np.tile(transform.offset, len(transform.rows)) / constant
    return float(np.linalg.norm(np.vstack([maps, last]), 2)) * math.sqrt(transform.pool)


def test_the_adjoint_is_one() -> None:
    for seed in range(12):
        model, graphs, question = case(seed, "graph" if seed % 2 else "node")
        rng = np.random.default_rng(seed)
        for item in graphs.items(question):
            transform = graphs.transform(model, question.form, item, np.zeros(1))
            x = rng.standard_normal(transform.columns - 1)
            y = rng.standard_normal((len(item.rows), transform.units))
            left = float((transform.images(x[None])[0] * y).sum())
            assert left == pytest.approx(float(x @ transform.adjoint(y)), rel=1e-10, abs=1e-10)


def law_of(values: list[list[float]], chances: list[float]) -> Law:
    table = np.array(values)
    return Law((table,), (np.array(chances),), np.zeros(table.shape[1]))


def test_copies_are_the_least_that_keep_the_confidence() -> None:
    """Against drawn histograms: at K a decision is right with that confidence, at K/2 it is not."""
    law = law_of([[1.0, 0.0, 0.2], [0.0, 1.0, 0.1], [0.0, 0.0, 0.0]], [0.36, 0.32, 0.32])
    rng = np.random.default_rng(3)

    def right(copies: int) -> float:
        drawn = rng.multinomial(copies, law.probabilities[0], 20_000) @ law.values[0]
        return float((drawn.argmax(axis=1) == 0).mean())

    copies = int(law.copies_for_class(0.95))
    assert 0.94 < right(copies) < 0.97
    assert right(copies // 2) < 0.93
    assert law.copies_for_pair(0, 1, 0.95) <= copies
    assert law.copies_for_pair(0, 1, 0.5) == 1.0
    assert math.isinf(law_of([[1.0, 1.0]], [1.0]).copies_for_class(0.95))


def test_copies_for_a_share_leave_the_rest() -> None:
    assert copies_for_share([float(n) for n in range(1, 21)], 0.95) == 19.0
    assert copies_for_share([3.0, math.inf], 0.5) == 3.0
    assert copies_for_share([3.0, math.inf], 0.95) == math.inf


def test_the_promise_is_kept() -> None:
    law = law_of([[4.0, -2.0], [-1.0, 3.0], [0.0, 0.0]], [0.4, 0.4, 0.2])
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(200, law.probabilities[0], 4000) / 200 @ law.values[0]
    off = np.abs(drawn - law.logits).max(axis=1)
    assert (off > promise(law.values[0], 200, 0.05)).mean() <= 0.05


def test_what_is_no_quadratic_form_is_refused() -> None:
    rng = np.random.default_rng(0)
    model = random_model(rng, "graph", GRAPH_HOPS[1], 3, 2, 2, "none")
    with pytest.raises(ValueError, match="expected degree-2; or measurement: eigenbasis"):
        squares_of(model)


def test_an_item_without_nodes_or_features_has_the_logits_of_the_constant() -> None:
    rng = np.random.default_rng(5)
    model = random_model(rng, "graph", GRAPH_HOPS[0], 3, 4, 2)
    squares = squares_of(model)
    for sizes in ([0, 2], [3, 2]):
        graphs = random_graphs(rng, sizes, 3)
        graphs.features.data[:] = 0.0
        (item,) = graphs.items(Question("graphs", [[0]], 1))
        transform = graphs.transform(model, "graphs", item, squares.offset)
        constant = transform.constant(0.0)
        states = np.zeros((1, 1 << register(sizes[0], 3)), dtype=np.complex128)
        states[0, 3 * sizes[0]] = 1.0
        readout = Histogram(transform, squares, constant, constant, transform.scale(constant))
        law = readout.law(states, model.head, model.head_bias)
        wanted = logits(model, graphs.edges, graphs.features, graphs.member, 2)[0]
        assert law.logits == pytest.approx(wanted, abs=1e-9)
