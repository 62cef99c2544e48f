"""How networks are trained: the settings of published figures, by data set.

`reference` are settings under which small machines come to the published figures; `released` those of the public code
of arXiv 2310.07136, whose networks have few hidden units. Sets that are not listed have settings of their own here,
which nobody has published.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ketwire.protocols.graph.operators import Hops

START = {"degree-2": (0.01694, 0.5, 0.30784), "prelu": (0.25,), "none": ()}
"""The coefficients of each activation before the first step; all are trained."""
VARIANTS = ("reference", "released")
Norm = Literal["batch", "layer"]


@dataclass(frozen=True)
class GraphSettings:
    """Of a network over whole graphs.

    rate: of Adam, halved every 50 epochs. decay: of weights (L2). dropout: of the pooled hidden units.
    """

    hops: tuple[Hops, ...]
    hidden: int
    norm: Norm
    batch: int
    rate: float
    decay: float
    dropout: float
    epochs: int


@dataclass(frozen=True)
class NodeSettings:
    """Of a network over nodes. rate: of Adam. dropouts: of the inputs, and of the hidden units."""

    hops: tuple[Hops, ...]
    hidden: int
    rate: float
    dropouts: tuple[float, float]
    epochs: int


def told(settings: GraphSettings | NodeSettings) -> dict[str, Any]:
    """Settings as JSON has them."""
    values = asdict(settings)
    values["hops"] = [[each.operator, each.count] for each in settings.hops]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _hops(*counts: int) -> tuple[Hops, ...]:
    named = zip(("raw", "rw", "gcn", "ppr"), counts, strict=True)
    return tuple(Hops(name, count) for name, count in named if count)


_GRAPHS = {
    ("MUTAG", "reference"): GraphSettings(_hops(1, 8, 6, 5), 256, "batch", 128, 0.005, 0.0, 0.0, 350),
    ("PTC", "reference"): GraphSettings(_hops(0, 2, 10, 3), 128, "batch", 32, 0.003, 1e-7, 0.0, 350),
    ("PROTEINS", "reference"): GraphSettings(_hops(0, 6, 9, 8), 128, "batch", 32, 0.001, 1e-4, 0.1, 200),
    ("IMDB-B", "reference"): GraphSettings(_hops(1, 2, 3, 2), 64, "layer", 32, 0.01, 1e-4, 0.3, 200),
    ("IMDB-M", "reference"): GraphSettings(_hops(1, 2, 3, 2), 64, "batch", 32, 0.003, 1e-7, 0.3, 200),
    ("NCI1", "reference"): GraphSettings(_hops(2, 7, 10, 2), 264, "batch", 64, 0.01, 1e-4, 0.1, 350),
    ("MUTAG", "released"): GraphSettings(_hops(1, 8, 6, 5), 64, "batch", 128, 0.005, 0.0, 0.0, 350),
    ("PTC", "released"): GraphSettings(_hops(0, 2, 10, 3), 96, "batch", 32, 0.003, 1e-7, 0.0, 350),
    ("PROTEINS", "released"): GraphSettings(_hops(0, 6, 9, 8), 128, "batch", 32, 0.001, 1e-4, 0.1, 200),
    ("IMDB-B", "released"): GraphSettings(_hops(1, 7, 7, 10), 12, "layer", 32, 0.01, 1e-4, 0.3, 200),
    ("IMDB-M", "released"): GraphSettings(_hops(2, 8, 9, 7), 8, "batch", 32, 0.003, 1e-7, 0.3, 200),
    ("NCI1", "released"): GraphSettings(_hops(2, 7, 10, 2), 12, "layer", 64, 0.03, 1e-4, 0.1, 350),
    ("COLLAB", "released"): GraphSettings(_hops(0, 4, 8, 1), 148, "batch", 512, 0.05, 1e-8, 0.1, 350),
    ("REDDIT-B", "released"): GraphSettings(_hops(0, 9, 2, 9), 8, "batch", 64, 0.1, 0.0, 0.0, 350),
    ("REDDIT-M", "released"): GraphSettings(_hops(2, 10, 10, 1), 32, "layer", 1024, 0.003, 1e-5, 0.0, 350),
}
_OTHER_GRAPHS = GraphSettings(_hops(0, 2, 3, 2), 64, "batch", 32, 0.003, 1e-5, 0.1, 200)
_SIGN = (Hops("sign", 5),)
_NODES = {
    "Cora": NodeSettings(_SIGN, 512, 1e-3, (0.3, 0.4), 300),
    "Citeseer": NodeSettings(_SIGN, 64, 1e-3, (0.3, 0.4), 300),
}
_RANDOM_SPLIT = NodeSettings(_SIGN, 64, 5e-3, (0.3, 0.4), 300)
_OTHER_NODES = NodeSettings(_SIGN, 64, 1e-3, (0.3, 0.4), 300)


def graph_settings(name: str, variant: str, norm: Norm | None) -> GraphSettings:
    """The settings of a set of graphs; of one that is not listed the same for both variants.

    Args:
        norm: instead of the normalisation that they have.

    Raises:
        ValueError: the set is listed, and not in this variant.
    """
    found = _GRAPHS.get((name, variant))
    if found is None:
        others = [each for of, each in _GRAPHS if of == name]
        if others:
            raise ValueError(f"settings: {variant} given, expected {' or '.join(others)} for {name}")
        found = _OTHER_GRAPHS
    return found if norm is None else GraphSettings(**{**vars(found), "norm": norm})


def node_settings(name: str, random: bool) -> NodeSettings:
    """The settings of one graph; random: its nodes are split at random, not as published."""
    return _RANDOM_SPLIT if random else _NODES.get(name, _OTHER_NODES)
