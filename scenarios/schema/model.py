"""What a scenario file says, as types.

A scenario is a seed, nodes (`nodespec`), links between them (`linkspec`), and a protocol of some kind. The kind
decides what `protocol` holds, data included; `scenario_model` puts its `Spec` in. All models are frozen, forbid
unknown keys and infinite numbers, and refuse physics that no fiber can have.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from ketwire.scenarios.schema.chains import complaint, misplaced
from ketwire.scenarios.schema.links import Distillation, Link, NoiseSpec
from ketwire.scenarios.schema.listening import BeamSplitterSpec, InterceptResendSpec
from ketwire.scenarios.schema.nodes import Node
from ketwire.scenarios.schema.strict import MAX_LINKS, MAX_NODES, NodeName, Strict, lacking, some, wrong
from ketwire.scenarios.schema.topology import with_topology

__all__ = [
    "MAX_SEED",
    "RESERVED_NAMES",
    "BeamSplitterSpec",
    "Distillation",
    "InterceptResendSpec",
    "Link",
    "Node",
    "NodeName",
    "NoiseSpec",
    "Scenario",
    "Strict",
    "scenario_model",
    "wrong",
]

RESERVED_NAMES = frozenset({"coordinator", "judge"})
MAX_SEED = 2**63 - 1


def _known_nodes(nodes: Any) -> Any:
    if isinstance(nodes, dict):
        for name in nodes:
            if name in RESERVED_NAMES:
                raise wrong(name, name, "another name, this one is reserved")
    return nodes


class Scenario(Strict):
    """A scenario file, without what its kind adds: see `scenario_model`.

    A `topology` has become nodes and links before (`topology.expanded`).
    """

    model_config = ConfigDict(json_schema_extra=with_topology)

    name: str | None = Field(None, max_length=100, description="a short name; else the file's")
    description: str = Field("", max_length=2000, description="what it shows, in a sentence or two")
    seed: int = Field(ge=0, le=MAX_SEED, description="everything random follows from it")
    workload_seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="random data, parameters and batches follow from it instead; null: as seed"
    )
    nodes: Annotated[dict[NodeName, Node], BeforeValidator(_known_nodes)] = Field(
        min_length=2, max_length=MAX_NODES, description="the parties, by name"
    )
    links: tuple[Link, ...] = Field(min_length=1, max_length=MAX_LINKS, description="the fibers between them")
    presets: str | None = Field(
        None, min_length=1, max_length=4096, pattern=r"^[^\x00]+$",
        description="a file of your own presets, from the scenario's folder",
    )
    protocol: Any

    @model_validator(mode="after")
    def _joined(self) -> Self:
        for index, link in enumerate(self.links):
            for end, name in enumerate(link.between):
                if name not in self.nodes:
                    raise wrong(f"links.{index}.between.{end}", name, f"a node: {some(self.nodes)}")
            if link.lacks_length:
                raise lacking(f"links.{index}.length_km", f"a length in km, as {link.fiber} has none of its own")
        self._check_parallel()
        if (told := complaint(self.nodes, self.links)) is not None:
            raise wrong(f"links.{told[0]}", *told[1:])
        if (told := misplaced(self.nodes, self.links)) is not None:
            raise wrong(*told)
        self._check_ends()
        return self

    def _check_parallel(self) -> None:
        """Two nodes have one link, or one for qubits and one for bits; each has a name that nothing else has."""
        carried: set[tuple[frozenset[str], str]] = set()
        names = set(self.nodes)
        for index, link in enumerate(self.links):
            ends, own = frozenset(link.between), link.name or "-".join(link.between)
            for what in ("qubits", "bits") if link.carries == "all" else (link.carries,):
                if (ends, what) in carried:
                    expected = "one link between two nodes, or one that carries qubits and one that carries bits"
                    raise wrong(f"links.{index}.between", list(link.between), expected)
                carried.add((ends, what))
            if own in names:
                raise wrong(f"links.{index}.name", link.name, f"a name of its own: {own} is another link's or node's")
            names.add(own)
        for index, link in enumerate(self.links):
            if link.carries == "qubits" and (frozenset(link.between), "bits") not in carried:
                expected = f"all, or another link between {' and '.join(link.between)} that carries bits"
                raise wrong(f"links.{index}.carries", "qubits", expected)

    def _check_ends(self) -> None:
        """Whether codes can be worked out and deadlines kept with what is at both ends, which a link does not know."""
        for index, link in enumerate(self.links):
            if link.carried_by != "coded" and link.deliver is None:
                continue
            first, second = (self.nodes[name].physics() for name in link.between)
            try:
                link.line(first, second)
                link.line(second, first, "backward")
            except ValueError as error:
                key, given = ("code", link.code) if link.deliver is None else ("deliver", link.deliver.model_dump())
                raise wrong(f"links.{index}.{key}", given, str(error).partition("expected ")[2]) from None


class UncheckedSpec(BaseModel):
    """A protocol whose kind may not be asked, as that would execute it: any keys and values."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str


def scenario_model(specs: Sequence[type[BaseModel]]) -> type[Scenario]:
    """The model of scenarios whose protocol is one of `specs`, told apart by their `kind`."""
    return _model(tuple(specs))


@cache  # it takes much longer to build than to use
def _model(specs: tuple[type[BaseModel], ...]) -> type[Scenario]:
    assert specs, "a scenario needs a protocol of some kind"
    union: Any = reduce(or_, specs)
    if len(specs) > 1:
        union = Annotated[union, Field(discriminator="kind")]
    protocol = Field(description="what is run: its kind, and what that kind needs")
    model: type[Scenario] = create_model(
        "Scenario", __base__=Scenario, __doc__="A ketwire scenario.", protocol=(union, protocol)
    )
    return model
