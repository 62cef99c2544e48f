"""Graph files of a topology: GraphML and GML, read by networkx, which is an extra (`graphs`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.strict import MAX_LINKS, MAX_NODES, NODE_NAME

Attributes = dict[str, Any]
MAX_OCTETS = 8 << 20
_READERS = {".graphml": "parse_graphml", ".gml": "parse_gml"}
_OF_THE_FORMAT = ("id", "key")
"""What these formats number edges by."""


@dataclass(frozen=True)
class Graph:
    """Nodes by name and edges with their ends, each with what the graph itself says of it; and the graph's file."""

    nodes: dict[str, Attributes]
    edges: list[tuple[str, str, Attributes]]
    origin: str = ""


def read_graph(name: str, base: str) -> Graph:
    """The graph of a file, at most 8 MiB.

    Args:
        name: its path, from the folder `base`.

    Raises:
        ScenarioError: "topology.file: ...", what is wrong with it.
    """
    reader = _READERS.get(Path(name).suffix)
    if reader is None:
        raise ScenarioError(f"topology.file: {name!r} given, expected a name that ends in {' or '.join(_READERS)}")
    text = _text(name, Path(base) / Path(name).expanduser())
    try:
        import networkx  # noqa: PLC0415
    except ImportError:
        told = "expected the extra graphs (pip install 'ketwire[graphs]')"
        raise ScenarioError(f"topology.file: {name!r} given, which networkx reads; {told}") from None
    try:
        read = getattr(networkx, reader)(text)
    except Exception as error:  # a parser of text from elsewhere may raise anything
        told = " ".join((str(error) or "nothing more is known").split())[:200]
        raise _refused(name, f"{type(error).__name__}: {told}", f"a graph in {Path(name).suffix[1:]}") from None
    return _checked(read, name)


def _text(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except (OSError, ValueError) as error:
        raise _refused(name, getattr(error, "strerror", None) or str(error), "a file that can be read") from None
    if len(octets) > MAX_OCTETS:
        raise _refused(name, f"more than {MAX_OCTETS} octets", "at most 8 MiB")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(name, f"octet {error.start} is no text", "UTF-8") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _refused(name, "a document type", "none: entities can stand for a text without end")
    return text


def _checked(read: Any, name: str) -> Graph:
    """Nodes and edges of a graph of networkx."""
    nodes, links = read.number_of_nodes(), read.number_of_edges()
    if not (2 <= nodes <= MAX_NODES and 1 <= links <= MAX_LINKS):
        told = f"{nodes} node(s) and {links} edge(s)"
        raise _refused(name, told, f"2 to {MAX_NODES} nodes and 1 to {MAX_LINKS} edges")
    for each in read.nodes:
        if not (isinstance(each, str) and re.fullmatch(NODE_NAME, each)):
            raise _refused(name, f"node {each!r}", f"a name of the form {NODE_NAME}")
    of_nodes, of_links = (read.graph.get(f"{of}_default", {}) for of in ("node", "edge"))
    edges: list[tuple[str, str, Attributes]] = []
    for a, b, attributes in read.edges(data=True):
        if a == b:
            raise _refused(name, f"an edge from {a} to itself", "two different nodes")
        own = {key: each for key, each in {**of_links, **attributes}.items() if key not in _OF_THE_FORMAT}
        edges.append((a, b, own))
        if "between" in own:
            raise _refused(name, f"between at {a}-{b}", "no such key: the graph says what a link joins")
    return Graph({each: {**of_nodes, **attributes} for each, attributes in read.nodes(data=True)}, edges, name)


def _refused(name: str, given: str, expected: str) -> ScenarioError:
    return ScenarioError(f"topology.file: {name}: {given}, expected {expected}")
