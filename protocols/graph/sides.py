"""What the parties of the kind `graph` are given, and what each makes of its own source when it loads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.protocols.graph.carried import graphs_of, model_of
from ketwire.protocols.graph.measuring import Forms, Histogram, Spectra
from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.planted import planted_graphs, planted_model
from ketwire.protocols.graph.questions import Graphs, Item, Question, register
from ketwire.protocols.graph.transform import Squares, Transform, squares_of
from ketwire.protocols.node import Json, Loader, Shape

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Measurement = Literal["block-encoding", "eigenbasis"]

DATA, MODEL = "protocol.data", "protocol.model"


@dataclass(frozen=True)
class Public:
    """What all parties know.

    owners: of nodes, in the order of their nodes. network: who has operators and weights, and measures.
    head: who has the last linear map, and decides. sizes: nodes in the register of each item. features: D.
    copies: measured copies of each item.
    """

    owners: tuple[str, ...]
    network: str
    head: str
    question: Question
    sizes: tuple[int, ...]
    features: int
    copies: int
    measurement: Measurement = "block-encoding"

    @property
    def path(self) -> tuple[str, ...]:
        """The register's way: through the owners of nodes, to the owner of the network, who is the last to load."""
        return (*(owner for owner in self.owners if owner != self.network), self.network)

    def qubits(self, item: int) -> int:
        return register(self.sizes[item], self.features)

    @property
    def items(self) -> int:
        return len(self.sizes)

    def pooled_rows(self, item: int) -> float:
        """What the asked rows of an item count together."""
        return float(self.sizes[item]) if self.question.form == "graphs" else 1.0


@dataclass(frozen=True)
class Side:
    """What one party has: the source of the graphs, at owners of nodes and of the network; of the network, at its
    owner and that of the head."""

    public: Public
    data: Json = None
    model: Json = None


class Owned:
    """What a party has loaded. Of the features it keeps those of its own nodes."""

    def __init__(self, side: Side, load: Loader) -> None:
        self.public = side.public
        self.graphs = None if side.data is None else load_graphs(side.data, load)
        self.model = None if side.model is None else load_model(side.model, load)
        self.items = [] if self.graphs is None else self.graphs.items(self.public.question)
        self.shapes = {}
        if self.graphs is not None:
            self.shapes["features"] = Shape(self.graphs.features.shape[1], DATA)
            self.shapes["nodes"] = Shape(sum(len(item.inside) for item in self.items), DATA)
        if self.model is not None:
            self.shapes["features"] = Shape(self.model.weights.shape[1], MODEL)
            if self.graphs is not None:
                _ = self.readouts  # refuses a network that cannot be measured

    def owned_by(self, party: str, item: int) -> Integers:
        """The places of the nodes that a party has."""
        owners = self.public.owners
        if party not in owners:
            return np.zeros(0, dtype=np.int64)
        return self.items[item].owned(owners.index(party), len(owners))

    def own_rows(self, party: str, item: int) -> Floats | None:
        """What this party loads of an item: (V, D) with zeros where others have theirs; None at no owner of nodes."""
        if party not in self.public.owners:
            return None
        assert self.graphs is not None
        places = self.owned_by(party, item)
        rows = np.zeros((len(self.items[item].inside), self.public.features))
        rows[places] = self.graphs.rows(self.items[item].inside[places])
        return rows

    @cached_property
    def readouts(self) -> Readouts:
        """At the owner of the network."""
        assert self.model is not None and self.graphs is not None
        return Readouts(self.model, self.graphs, self.items, self.public)


class Readouts:
    """How each item is measured, made again whenever it is asked for: a large T' is not kept."""

    def __init__(self, model: GraphModel, graphs: Graphs, items: Sequence[Item], public: Public) -> None:
        self._model, self._graphs, self._items, self._public = model, graphs, items, public
        self._forms = public.measurement == "eigenbasis"
        self.squares: Squares | None = None
        if not self._forms:
            try:
                self.squares = squares_of(model)
            except ValueError as error:
                raise ScenarioError(f"{MODEL}: {error}") from None
        elif not model.is_quadratic:
            raise ScenarioError(f"{MODEL}: {model.activation} or a layer normalisation given, expected degree-2 or "
                                "none without one")  # fmt: skip

    def choose(self, item: int, size: float) -> tuple[float, float]:
        """s and α of an item with ||x|| = size."""
        if self._forms:
            forms = self._made_forms(item)
            constant = forms.best_constant(size)
            return constant, Spectra(forms, constant, math.hypot(size, constant), self._model.classes).alpha
        transform = self._transform(item)
        constant = transform.constant(size)
        return constant, transform.scale(constant)

    def histogram(self, item: int, constant: float, size: float, alpha: float) -> Histogram:
        """Of block-encoding; size: ||x'||."""
        assert self.squares is not None
        return Histogram(self._transform(item), self.squares, constant, size, alpha)

    def spectra(self, item: int, constant: float, size: float) -> Spectra:
        """Of eigenbases; size: ||x'||."""
        return Spectra(self._made_forms(item), constant, size, self._model.classes)

    def direct(self, item: int) -> Transform:
        """T of an item, with the shifts as its offsets."""
        return self._graphs.transform(self._model, self._public.question.form, self._items[item], np.zeros(1))

    def _transform(self, item: int) -> Transform:
        assert self.squares is not None
        return self._graphs.transform(self._model, self._public.question.form, self._items[item], self.squares.offset)

    def _made_forms(self, item: int) -> Forms:
        try:
            return Forms(self._model, self.direct(item))
        except ValueError as error:
            raise ScenarioError(f"protocol.{error}") from None


def load_graphs(source: dict[str, Json], load: Loader) -> Graphs:
    """A party's graphs, from a file or as the judge deals them."""
    if "planted" in source:
        return planted_graphs(source["planted"])
    return graphs_of(load(DATA, source))


def load_model(source: dict[str, Json], load: Loader) -> GraphModel:
    """A party's network, from a file or as the judge deals it."""
    if "planted" in source:
        return planted_model(source["planted"])
    return model_of(load(MODEL, source))
