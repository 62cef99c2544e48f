"""What the judge knows of a question to a graph network: its items, their sizes, and what is right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.nodes.graphs import folders
from ketwire.nodes.graphs.splits import folds
from ketwire.protocols.graph.carried import graph_arrays, graphs_of
from ketwire.protocols.graph.heads import Learning
from ketwire.protocols.graph.measuring import contrasts
from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.planted import planted_graphs, planted_labels, planted_model
from ketwire.protocols.graph.questions import Graphs, Question, radius_of
from ketwire.protocols.graph.sides import DATA, MODEL, Public
from ketwire.scenarios.kinds.graph.spec import Ask, GraphSpec, PlantedData
from ketwire.scenarios.kinds.interface import Network

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frame:
    """The graphs, network and labels of a scenario, and the sources from which parties load them."""

    spec: GraphSpec
    graphs: Graphs
    model: GraphModel
    labels: Integers
    question: Question
    data_source: dict[str, Any]
    model_source: dict[str, Any]
    learnt: int = 0
    """So many of the first items are learnt from, and not decided."""

    @cached_property
    def public(self) -> Public:
        """What all parties know.

        Raises:
            ScenarioError: a register is larger than any that can be sent, or empty.
        """
        spec, width = self.spec, self.graphs.features.shape[1]
        if self.model.weights.shape[1] != width:
            raise ScenarioError(f"{MODEL}: a network of {self.model.weights.shape[1]} features given, expected one of "
                                f"{width}, as the nodes have")  # fmt: skip
        sizes = tuple(len(item.inside) for item in self.graphs.items(self.question))
        public = Public(tuple(spec.owners), spec.network, spec.decider, self.question, sizes, width, spec.copies,
                        spec.measurement)  # fmt: skip
        largest = max(range(len(sizes)), key=lambda item: sizes[item])
        if (qubits := public.qubits(largest)) > MAX_QUBITS:
            raise ScenarioError(f"protocol.ask: item {largest} of {sizes[largest]} nodes takes {qubits} qubits, "
                                f"expected at most {MAX_QUBITS}")  # fmt: skip
        return public

    @property
    def observables(self) -> int:
        """In how many an item is measured."""
        return len(contrasts(self.model.classes)) if self.spec.measurement == "eigenbasis" else 1

    @cached_property
    def pairs(self) -> list[tuple[int, int]] | None:
        """The pairs of classes that are compared; None where each item has a class."""
        asked = self.spec.ask
        return list(combinations(range(self.model.classes), 2)) if asked is not None and asked.pairs else None

    def answers(self, logits: Any) -> Integers:
        """Decisions from logits, shape (items, classes): the classes, or for each pair of each item 1 or 0."""
        if self.pairs is None:
            return np.asarray(np.argmax(logits, axis=1), dtype=np.int64)
        return np.array([int(item[i] > item[j]) for item in logits for i, j in self.pairs])

    @cached_property
    def right(self) -> Integers:
        """What is right, in the form of `answers`."""
        if self.pairs is None:
            return self.labels[[each[0] for each in self.question.which[self.learnt :]]]
        counts = [np.bincount(self.labels[each], minlength=self.model.classes) for each in self.question.which]
        return np.array([int(count[i] > count[j]) for count in counts for i, j in self.pairs])

    @property
    def learning(self) -> Learning | None:
        """What the owner of the head learns from."""
        if self.spec.learn is None:
            return None
        labels = self.labels[[each[0] for each in self.question.which[: self.learnt]]]
        return Learning(labels, self.model.classes, self.spec.learn.decay)

    def accuracy(self, logits: Any) -> float:
        return float((self.answers(logits) == self.right).mean())


def frame_of(spec: GraphSpec, network: Network) -> Frame:
    """The judge's view.

    Raises:
        ScenarioError: data or model are missing, or do not fit the question.
    """
    if isinstance(spec.data, PlantedData):
        return _planted(spec, network)
    data, model = spec.data.located(network.base)
    try:
        found = folders.read_set(Path(data["folder"]), data["set"])
    except ScenarioError as error:
        raise ScenarioError(f"{DATA}.folder: {error}") from None
    try:
        trained = folders.read_model(Path(model["graph_model"]))
    except ScenarioError as error:
        raise ScenarioError(f"{DATA}.model: {error}") from None
    if trained.task != found.task:
        raise ScenarioError(f"{DATA}.model: a network over {trained.task}s given, expected one over {found.task}s")
    graphs = graphs_of(graph_arrays(found.features.tocsr(), found.edges, found.member))
    assert spec.ask is not None
    form, which = _asked(spec.ask, found, network)
    known: list[list[int]] = []
    if spec.learn is not None:
        known = [[int(each)] for each in np.flatnonzero(folds(found.labels) != spec.ask.fold)]
    question = Question(form, [*known, *which], radius_of(trained))
    return Frame(spec, graphs, trained, found.labels, question, data, model, len(known))


def _asked(ask: Ask, found: Any, network: Network) -> tuple[Any, list[list[int]]]:
    """The form of a question, and what it asks of each item."""
    task = "graph" if ask.fold is not None or ask.graphs is not None else "node"
    if found.task != task:
        raise ScenarioError(f"protocol.ask: a question about {task}s given, expected one about {found.task}s")
    if ask.fold is not None:
        tested = np.flatnonzero(folds(found.labels) == ask.fold)
        if ask.first is not None and ask.first > len(tested):
            most = f"at most {len(tested)}, the graphs of the fold"
            raise ScenarioError(f"protocol.ask.first: {ask.first} given, expected {most}")
        return "graphs", [[int(each)] for each in tested[: ask.first]]
    if ask.graphs is not None:
        return "graphs", [[each] for each in ask.graphs]
    if ask.nodes is not None:
        return "nodes", [[each] for each in ask.nodes]
    assert ask.pairs is not None
    return "means", _node_sets(ask, found, network)


def _node_sets(ask: Ask, found: Any, network: Network) -> list[list[int]]:
    assert ask.pairs is not None
    if ask.pairs.nodes is not None:
        tested = np.array(ask.pairs.nodes)
    elif found.public is not None:
        tested = found.public.test
    else:
        raise ScenarioError("protocol.ask.pairs.nodes: null given, expected nodes, as the set has no published split")
    if ask.pairs.subsets is None:
        return [tested.tolist()]
    key = derive_key(network.workload, "subsets of nodes")
    size = max(len(tested) // 2, 1)
    return [
        sorted(stream(key, "subset", number).choice(tested, size, replace=False).tolist())
        for number in range(ask.pairs.subsets)
    ]


def _planted(spec: GraphSpec, network: Network) -> Frame:
    assert isinstance(spec.data, PlantedData)
    dealt = {**spec.data.planted.model_dump(), "key": derive_key(network.workload, "planted graphs").hex()}
    source = {"planted": dealt}
    question = Question("graphs", [[each] for each in range(spec.data.planted.graphs)], 1)
    return Frame(spec, planted_graphs(dealt), planted_model(dealt), planted_labels(dealt), question, source, source)
