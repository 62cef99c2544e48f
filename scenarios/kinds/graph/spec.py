"""What a scenario says under `protocol` for the kind `graph`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, NonNegativeInt, Tag, model_validator

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.planning.budget import DEFAULT_BUDGET_ATTEMPTS
from ketwire.nodes.graphs.shelf import set_files
from ketwire.protocols.graph.sides import Measurement
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.scenarios.kinds.margin import Margin
from ketwire.scenarios.schema.strict import NodeName, Strict, wrong

Bits = Annotated[int, Field(ge=1, le=52)]
MOST_ITEMS = 2000
MOST_DEALT = 1 << 26
"""Features of all planted graphs together: 512 MiB."""


class SetData(Strict):
    """A set of graphs in a local folder, and a network that was trained on it."""

    folder: str = Field(min_length=1, description="where the set is; relative to the scenario file")
    set: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="its name, such as MUTAG or Cora")
    model: str = Field(pattern=r"\.npz$", description="the file of the network; relative to the scenario file")

    def located(self, base: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The sources of the graphs and of the network, as slices carry them; paths are taken from `base`."""
        folder, model = (
            os.path.abspath(os.path.join(base, os.path.expanduser(each))) if base else each
            for each in (self.folder, self.model)
        )
        return {"set": self.set, "folder": folder}, {"graph_model": model}

    def files(self, base: str) -> list[str]:
        """The network's file and those of the set; none of a set that is missing."""
        data, model = self.located(base)
        return [model["graph_model"], *map(str, set_files(Path(data["folder"]), self.set))]


class Planted(Strict):
    """Graphs and a network that the judge deals, with one margin at every size."""

    graphs: int = Field(ge=1, le=MOST_ITEMS, description="how many")
    nodes: int = Field(ge=2, le=1 << 16, multiple_of=2, description="of each graph")
    features: int = Field(ge=2, le=1 << 10, multiple_of=2, description="of each node")
    margin: float = Field(gt=0, le=1, description="by which the logits of a unit vector differ")

    @model_validator(mode="after")
    def _size(self) -> Self:
        each = self.nodes * self.features
        if each >= 1 << MAX_QUBITS:
            raise wrong("nodes", self.nodes, f"at most {((1 << MAX_QUBITS) - 1) // self.features}: a register has "
                        f"{MAX_QUBITS} qubits at most")  # fmt: skip
        if self.graphs * each > MOST_DEALT:
            raise wrong("graphs", self.graphs, f"at most {MOST_DEALT // each} of this size")
        return self


class PlantedData(Strict):
    """See `ketwire.protocols.graph.planted`."""

    planted: Planted


def _form(given: Any) -> str | None:
    """Which form the data have; errors name the forms on the way to a key."""
    if isinstance(given, SetData | PlantedData):
        return f"({type(given).__name__})"
    if not isinstance(given, dict):
        return None
    return "(PlantedData)" if "planted" in given else "(SetData)"


Data = Annotated[
    Annotated[SetData, Tag("(SetData)")] | Annotated[PlantedData, Tag("(PlantedData)")],
    Discriminator(_form, custom_error_type="data", custom_error_message="folder, set and model, or planted"),
]


class Subsets(Strict):
    """Is there more of one class than of another? A yes/no question for each pair of classes, about a set of nodes."""

    subsets: int | None = Field(None, ge=1, le=MOST_ITEMS, description="random halves of the nodes; null for all")
    nodes: list[NonNegativeInt] | None = Field(None, min_length=1, description="these; null for the tested ones")


class Ask(Strict):
    """What the network is asked: one of these keys."""

    fold: int | None = Field(None, ge=0, le=9, description="the graphs that are tested in this one of ten folds")
    graphs: list[NonNegativeInt] | None = Field(None, min_length=1, max_length=MOST_ITEMS, description="these graphs")
    nodes: list[NonNegativeInt] | None = Field(
        None, min_length=1, max_length=MOST_ITEMS, description="the class of each of these nodes of one graph"
    )
    pairs: Subsets | None = Field(None, description="which of two classes has more nodes, for each pair")
    first: int | None = Field(None, ge=1, description="so many of the fold's graphs; null for all")

    @model_validator(mode="after")
    def _one(self) -> Self:
        forms = ("fold", "graphs", "nodes", "pairs")
        given = [name for name in forms if getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(given[1] if given else "fold", getattr(self, given[1]) if given else None,
                        f"one of {', '.join(forms)}")  # fmt: skip
        if self.first is not None and self.fold is None:
            raise wrong("first", self.first, "nothing here, or a fold")
        for name in ("graphs", "nodes"):
            for index, number in enumerate(getattr(self, name) or []):
                if number in getattr(self, name)[:index]:
                    raise wrong(f"{name}.{index}", number, "each once")
        return self


class Learn(Strict):
    """The owner of the head learns it from histograms of the fold's other graphs, whose labels it knows."""

    decay: float = Field(0.01, gt=0, le=1e6, description="penalty on the head's size, for each graph and unit")


class GraphSpec(Strict):
    """Logits of a graph network as expectation values on a register that the owners of nodes load together."""

    kind: Literal["graph"]
    owners: list[NodeName] = Field(min_length=1, max_length=64, description="of nodes: each has a block of them")
    network: NodeName = Field(description="who has the hop operators and the weights, and measures")
    head: NodeName | None = Field(None, description="who has the last linear map, and decides; null for `network`")
    data: Data = Field(description="the graphs and the network")
    ask: Ask | None = Field(None, description="null for all graphs that are planted")
    measurement: Measurement = Field(
        "block-encoding", description="one histogram of hidden units, or the eigenbasis of each contrast of logits"
    )
    learn: Learn | None = Field(None, description="learn the head first; null for that of the network's file")
    copies: int = Field(ge=1, le=10**12, description="measured copies of each register")
    margin: Margin = "auto"
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, le=1e18,
        description="emitted copies that a run may need; beyond, nothing is sent and the result says so",
    )  # fmt: skip
    max_batch_octets: int = Field(MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies")
    features: Bits | None = Field(
        8, description="the rival that sends features, bits of an entry that is not coded exactly; null for none"
    )
    hops: list[Bits] = Field([], description="the rival that sends features summed by hop, for single nodes")
    sketch: list[Annotated[int, Field(ge=16, le=1 << 22)]] = Field(
        [], description="the rival that sends so many signs of shared random projections of each register"
    )
    code: list[Annotated[int, Field(ge=12, le=1 << 16, multiple_of=12)]] = Field(
        [], description="the rival that names the nearest of shared random directions in blocks, by so many bits"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for index, owner in enumerate(self.owners):
            if owner in self.owners[:index]:
                raise wrong(f"owners.{index}", owner, "each node once")
        if (self.ask is None) != isinstance(self.data, PlantedData):
            raise wrong("ask", None if self.ask is None else "a question",
                        "one for a set of a folder, and none for planted graphs")  # fmt: skip
        if self.measurement == "eigenbasis" and self.head not in (None, self.network):
            raise wrong("head", self.head, f"{self.network}: an eigenbasis takes weights and head at one owner")
        if self.learn is not None and (self.ask is None or self.ask.fold is None):
            raise wrong("learn", "a rule", "none, or a question about a fold, whose other graphs are learnt from")
        if self.learn is not None and self.measurement == "eigenbasis":
            raise wrong("measurement", self.measurement, "block-encoding, as histograms are learnt from")
        if self.hops and (self.ask is None or self.ask.nodes is None):
            raise wrong("hops", self.hops, "none, as sums by hop answer for single nodes alone")
        return self

    @property
    def decider(self) -> str:
        """Who has the head."""
        return self.network if self.head is None else self.head
