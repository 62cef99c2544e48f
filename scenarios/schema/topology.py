"""A `topology` of a scenario: a shape or a graph file, and the nodes and links that it stands for.

It is expanded before anything is checked, so all else knows nodes and links alone. Nodes are called n0, n1, ... or as
the graph file calls them. What is wrong with a node or link is told by the key under which the topology says it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.graphfile import Attributes, Graph, read_graph
from ketwire.scenarios.schema.strict import MAX_NODES, Strict, some, wrong
from ketwire.scenarios.schema.validation import Path, one_line, shown

SHAPES = ("chain", "ring", "star", "grid", "file")
Side = Annotated[int, Field(ge=2, le=MAX_NODES)]


class Topology(Strict):
    """Nodes and links by their shape: one of chain, ring, star, grid and file."""

    chain: int | None = Field(None, ge=2, le=MAX_NODES, description="so many nodes, each linked to the next")
    ring: int | None = Field(None, ge=3, le=MAX_NODES, description="a chain whose last node is linked to the first")
    star: int | None = Field(None, ge=3, le=MAX_NODES, description="so many nodes, n0 linked to each of the others")
    grid: tuple[Side, Side] | None = Field(None, description="rows and columns, numbered row by row")
    file: str | None = Field(
        None, min_length=1, max_length=4096, pattern=r"^[^\x00]+$",
        description="a graph in GraphML (.graphml) or GML (.gml), from the scenario's folder",
    )
    link: dict[str, Any] = Field({}, description="keys of every link")
    node: dict[str, Any] = Field({}, description="keys of every node")
    links: dict[str, dict[str, Any]] = Field({}, description="keys of single links, such as n0-n1")
    nodes: dict[str, dict[str, Any]] = Field({}, description="keys of single nodes, such as n0")

    @model_validator(mode="after")
    def _shaped(self) -> Self:
        given = [name for name in SHAPES if getattr(self, name) is not None]
        if not given:
            raise ValueError(f"expected one of {', '.join(SHAPES)}")
        if len(given) > 1:
            raise wrong(given[1], getattr(self, given[1]), f"one of {', '.join(SHAPES)}, and {given[0]} is given")
        if self.grid is not None and self.grid[0] * self.grid[1] > MAX_NODES:
            raise wrong("grid", list(self.grid), f"at most {MAX_NODES} nodes")
        for name, keys in (("link", self.link), *((f"links.{each}", keys) for each, keys in self.links.items())):
            if "between" in keys:
                raise wrong(f"{name}.between", keys["between"], "no such key: the topology says what a link joins")
        return self

    def count(self) -> int:
        """Nodes of a shape other than a file."""
        return self.grid[0] * self.grid[1] if self.grid is not None else self.chain or self.ring or self.star or 0

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The nodes, by number, that each link of a shape other than a file joins."""
        if self.grid is None:
            if self.star is not None:
                yield from ((0, leaf) for leaf in range(1, self.star))
                return
            yield from pairwise(range(self.count()))
            if self.ring is not None:
                yield self.ring - 1, 0
            return
        rows, columns = self.grid
        for node in range(rows * columns):
            if (node + 1) % columns:
                yield node, node + 1
            if node + columns < rows * columns:
                yield node, node + columns


class _Within(Strict):
    topology: Topology


@dataclass
class Said:
    """Under which key a scenario says what a node or link has that a topology stands for.

    places: by ("links", 3) or ("nodes", "n0"), and then by key, the path before that key
    """

    places: dict[Path, dict[str, Path]] = field(default_factory=dict)

    def path(self, path: Path) -> Path:
        """The path as the scenario's author knows it."""
        if len(path) < 3 or path[2] == "between" or path[:2] not in self.places:
            return path
        default: Path = ("topology", "link" if path[0] == "links" else "node")
        return (*self.places[path[:2]].get(str(path[2]), default), *path[2:])

    def set(self, key: str) -> None:
        """--set has changed this key after the expansion."""
        steps = key.split(".")
        for place in [each for each in self.places if [*map(str, each)][: len(steps)] == steps[:2]]:
            if len(steps) > 2:
                self.places[place][steps[2]] = place
            else:
                del self.places[place]


def expanded(data: dict[str, Any], origin: str, base: str) -> tuple[dict[str, Any], Said]:
    """The data of a scenario with nodes and links in place of a topology; as they are where there is none.

    Args:
        base: the scenario's folder, from which the path of a graph file starts.

    Raises:
        ScenarioError: one line with file, key, value and what was expected.
    """
    if "topology" not in data:
        return data, Said()
    for beside in ("nodes", "links"):
        if beside in data:
            raise ScenarioError(f"{origin}: {beside}: {shown(data[beside])} given with topology, expected one of both")
    topology = _checked(data["topology"], origin)
    try:
        graph = _graph(topology, base)
        nodes, links, said = _filled(topology, graph)
    except ScenarioError as error:
        raise ScenarioError(f"{origin}: {error}") from None
    found: dict[str, Any] = {}
    for key, value in data.items():
        found |= {"nodes": nodes, "links": links} if key == "topology" else {key: value}
    return found, said


def with_topology(schema: dict[str, Any]) -> None:
    """Let the JSON Schema of a scenario, changed in place, know that a topology may stand for nodes and links."""
    schema["properties"]["topology"] = {
        **Topology.model_json_schema(), "description": "a shape or a graph file, instead of nodes and links"
    }  # fmt: skip
    of_both = ["nodes", "links"]
    schema["required"] = [key for key in schema["required"] if key not in of_both]
    schema["if"] = {"required": ["topology"]}
    schema["then"] = {"properties": dict.fromkeys(of_both, False)}
    schema["else"] = {"required": of_both}


def _checked(given: Any, origin: str) -> Topology:
    told = {"topology": given}
    try:
        return _Within.model_validate_json(json.dumps(told), strict=True).topology
    except ValidationError as error:
        raise ScenarioError(f"{origin}: {one_line(error, told, _Within)}") from None


def _graph(topology: Topology, base: str) -> Graph:
    if topology.file is not None:
        return read_graph(topology.file, base)
    names = [f"n{number}" for number in range(topology.count())]
    return Graph({name: {} for name in names}, [(names[a], names[b], {}) for a, b in topology.pairs()])


def _filled(topology: Topology, graph: Graph) -> tuple[dict[str, Attributes], list[Attributes], Said]:
    """Nodes and links with all their keys: what every one has, then the graph's own, then those of single ones."""
    own = _own_links(topology.links, [(a, b) for a, b, _ in graph.edges])
    for name in topology.nodes:
        if name not in graph.nodes:
            raise ScenarioError(f"topology.nodes.{name}: {name!r} given, expected a node: {some(graph.nodes)}")
    said = Said()
    nodes = {}
    for name, attributes in graph.nodes.items():
        given = topology.nodes.get(name, {})
        nodes[name] = deepcopy({**topology.node, **attributes, **given})
        origin: Path = ("topology", f"file: {graph.origin}: {name}")
        said.places["nodes", name] = _places((attributes, origin), (given, ("topology", "nodes", name)))
    links = []
    for index, (a, b, attributes) in enumerate(graph.edges):
        key, given = own.get((a, b), ("", {}))
        links.append(deepcopy({"between": [a, b], **topology.link, **attributes, **given}))
        origin = ("topology", f"file: {graph.origin}: {a}-{b}")
        said.places["links", index] = _places((attributes, origin), (given, ("topology", "links", key)))
    return nodes, links, said


def _own_links(
    given: Mapping[str, Attributes], edges: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, Attributes]]:
    """What is said of single links, by their ends, each with the key that says it."""
    known = {f"{x}-{y}": (a, b) for a, b in edges for x, y in ((a, b), (b, a))}
    found: dict[tuple[str, str], tuple[str, Attributes]] = {}
    for key, attributes in given.items():
        if key not in known:
            names = some(f"{a}-{b}" for a, b in edges)
            raise ScenarioError(f"topology.links.{key}: {key!r} given, expected a link: {names}")
        ends = known[key]
        if ends in found:
            raise ScenarioError(f"topology.links.{key}: {key!r} given beside {found[ends][0]}, expected each link once")
        found[ends] = key, attributes
    return found


def _places(*given: tuple[Attributes, Path]) -> dict[str, Path]:
    return {key: path for attributes, path in given for key in attributes}
