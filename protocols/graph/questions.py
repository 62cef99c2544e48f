"""What is asked of a graph network, and which nodes of whose graph that takes into a register.

An *item* is one register: a whole graph, or one graph's nodes from which hops lead to the asked ones. Each node of an
item belongs to one of the owners, in blocks: of V nodes of a graph and P owners, node i is of owner i P // V.
Which nodes an item has, and how many features, is public; features, edges and weights are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.operators import adjacency
from ketwire.protocols.graph.transform import Hopping, Transform
from ketwire.quantum.encodings import qubits_for

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Form = Literal["graphs", "nodes", "means"]
"""Whole graphs, single nodes, or means of logits over sets of nodes of a graph that is in the register whole."""


@dataclass(frozen=True)
class Question:
    """What is asked, as all parties know it.

    form: see `Form`. which: of each item the graphs (one) or nodes that are asked for.
    radius: how many hops lead to an asked node at most.
    """

    form: Form
    which: list[list[int]]
    radius: int


@dataclass(frozen=True, eq=False)
class Item:
    """inside: the nodes of the register by their numbers in the set, in its order. rows: places of the asked ones.

    order: the number of each node of the register among `among` nodes, by which it belongs to an owner.
    """

    inside: Integers
    rows: Integers
    order: Integers
    among: int

    def owned(self, owner: int, owners: int) -> Integers:
        """The places of the nodes that one of the owners has."""
        return np.flatnonzero(self.order * owners // max(self.among, 1) == owner)


@dataclass(frozen=True, eq=False)
class Graphs:
    """A set of graphs, as a party has loaded it: `ketwire.nodes.graphs.sets` says what the fields are."""

    features: Any
    edges: Integers
    member: Integers

    @property
    def nodes(self) -> int:
        return len(self.member)

    @cached_property
    def adjacency(self) -> Any:
        """Of all graphs together, without self-loops."""
        return adjacency(self.nodes, self.edges, self_loops=False)

    def items(self, question: Question) -> list[Item]:
        """The items of a question.

        Raises:
            ScenarioError: one asks for a graph or a node that is not there.
        """
        least = int(self.member.max(initial=-1)) + 1 if question.form == "graphs" else self.nodes
        for each in question.which:
            if (wrong := next((number for number in each if not 0 <= number < least), None)) is not None:
                what = "graph" if question.form == "graphs" else "node"
                raise ScenarioError(f"protocol.ask: {what} {wrong} given, expected one from 0 to {least - 1}")
        return [self._item(question, each) for each in question.which]

    def _item(self, question: Question, which: Sequence[int]) -> Item:
        if question.form == "graphs":
            inside = np.flatnonzero(self.member == which[0])
            places = np.arange(len(inside))
            return Item(inside, places, places, len(places))
        asked = np.array(which, dtype=np.int64)
        inside = np.arange(self.nodes) if question.form == "means" else self._reached(asked, question.radius)
        return Item(inside, np.searchsorted(inside, asked), inside, self.nodes)

    def _reached(self, asked: Integers, radius: int) -> Integers:
        near = np.zeros(self.nodes, dtype=np.bool_)
        near[asked] = True
        for _ in range(radius):
            grown = near | (self.adjacency @ near.astype(np.float64) > 0)
            if grown.sum() == near.sum():
                break
            near = grown
        return np.flatnonzero(near)

    def rows(self, nodes: Integers) -> Floats:
        """Features of some nodes, shape (len(nodes), D)."""
        return np.asarray(self.features[nodes].toarray(), dtype=np.float64)

    def hopping(self, model: GraphModel, item: Item) -> Hopping:
        """The hops of a model on the register of an item."""
        nodes = len(item.inside)
        if model.task == "graph":
            number = np.full(self.nodes, -1)
            number[item.inside] = np.arange(nodes)
            own = number[self.edges]
            edges = own[(own >= 0).all(axis=1)]
            return Hopping(adjacency(nodes, edges, self_loops=True), model.hops)
        return Hopping(self.adjacency, model.hops, item.inside)

    def transform(self, model: GraphModel, form: Form, item: Item, offset: Floats) -> Transform:
        """T of an item; offset: of the squares, by unit."""
        pool = 1.0 / len(item.rows) if form == "means" else 1.0
        return Transform(model, self.hopping(model, item), item.rows, pool, offset)


def radius_of(model: GraphModel) -> int:
    """How many hops lead to a node at most."""
    return max((each.count for each in model.hops), default=0)


def register(nodes: int, features: int) -> int:
    """The qubits of an item of so many nodes: an amplitude for each feature of each, and one for the constant."""
    return qubits_for(nodes * features + 1)
