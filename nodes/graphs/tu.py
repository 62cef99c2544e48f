"""Sets of graphs in text: the format of DGCNN and GIN (`NAME.txt`), and that of TU Dortmund (`NAME_A.txt` and others).

    NAME.txt                    the number of graphs; for each a line `nodes label`, then for each node a line
                                `tag m j1 ... jm [attributes]` with its m neighbours, numbered from 0 in the graph
    NAME_A.txt                  an edge `i, j` a line, nodes numbered from 1 through all graphs
    NAME_graph_indicator.txt    the graph of each node, from 1
    NAME_graph_labels.txt       the label of each graph
    NAME_node_labels.txt        the tag of each node, where there are tags

Features are tags one-hot, in ascending order of the tags, and then the attributes that NAME.txt has. A set whose nodes
all have one tag says nothing by it: its tags are the degrees of the nodes. An empty graph is a graph without nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import GraphSet, Ints, undirected
from ketwire.protocols.graph.operators import adjacency, sparse

MAX_OCTETS = 1 << 31
MAX_NODES = 1 << 26


def text_file(folder: Path, name: str) -> Path:
    """The file of a set in the format of DGCNN: FOLDER/NAME/NAME.txt, or FOLDER/NAME.txt."""
    below = folder / name / f"{name}.txt"
    return below if below.is_file() else folder / f"{name}.txt"


def read_text(path: Path, name: str) -> GraphSet:
    """A set in one file, NAME.txt.

    Raises:
        ScenarioError: it cannot be read, or has another form; names file and line.
    """
    lines = enumerate(_lines(path), 1)
    try:
        return _parsed(lines, path, name)
    except StopIteration:
        raise ScenarioError(f"{path}: ends early, expected as many graphs and nodes as it says") from None


def _parsed(lines: Iterator[tuple[int, str]], path: Path, name: str) -> GraphSet:
    number, line = next(lines)
    (graphs,) = _whole(path, number, line, 1)
    labels, sizes, tags = [], [], []
    edges: list[tuple[int, int]] = []
    extra: list[list[float]] = []
    first = 0
    for _ in range(graphs):
        number, line = next(lines)
        nodes, label = _whole(path, number, line, 2)
        if not 0 <= nodes <= MAX_NODES - first:
            raise ScenarioError(f"{path}:{number}: {nodes} nodes given, expected 0 to {MAX_NODES} in all graphs")
        for node in range(nodes):
            number, line = next(lines)
            tag, near, more = _node(path, number, line, nodes)
            tags.append(tag)
            edges += [(first + node, first + other) for other in near]
            extra.append(more)
        labels.append(label)
        sizes.append(nodes)
        first += nodes
    if (left := next(lines, None)) is not None:
        raise ScenarioError(f"{path}:{left[0]}: a line after the last graph given, expected none")
    if len({len(each) for each in extra}) > 1:
        raise ScenarioError(f"{path}: nodes with different numbers of attributes given, expected the same number")
    attributes = np.array(extra, dtype=np.float64).reshape(first, -1)
    return _set(name, np.array(sizes), np.array(tags), _pairs(edges), np.array(labels), attributes)


def _node(path: Path, number: int, line: str, nodes: int) -> tuple[int, list[int], list[float]]:
    """A node's tag, neighbours and attributes."""
    words = line.split()
    try:
        tag, count = int(words[0]), int(words[1])
        near, more = [int(word) for word in words[2 : 2 + count]], [float(word) for word in words[2 + count :]]
    except (ValueError, IndexError):
        raise ScenarioError(f"{path}:{number}: {line[:40]!r} given, expected a tag, a count and neighbours") from None
    if len(near) != count or any(not 0 <= other < nodes for other in near) or not np.isfinite(more).all():
        raise ScenarioError(f"{path}:{number}: {len(near)} neighbours given, expected {count} from 0 to {nodes - 1}, "
                            "then finite numbers")  # fmt: skip
    return tag, near, more


_PARTS = ("A", "graph_indicator", "graph_labels", "node_labels")


def part_files(folder: Path, called: str) -> tuple[Path, ...]:
    """The files of a set as TU Dortmund publishes it; the last need not be there."""
    return tuple(folder / f"{called}_{part}.txt" for part in _PARTS)


def read_parts(folder: Path, called: str, name: str) -> GraphSet:
    """A set in the files of TU Dortmund, CALLED_A.txt and others.

    Raises:
        ScenarioError: one cannot be read, or has another form.
    """
    of = dict(zip(_PARTS, part_files(folder, called), strict=True))
    member, labels = (_column(of[part]) for part in ("graph_indicator", "graph_labels"))
    graphs = len(labels)
    if (np.diff(member) < 0).any() or member.min(initial=1) < 1 or member.max(initial=0) > graphs:
        raise ScenarioError(f"{of['graph_indicator']}: graphs out of order given, expected 1 to {graphs}, ascending")
    edges = np.array([_whole(of["A"], number, line.replace(",", " "), 2)
                      for number, line in enumerate(_lines(of["A"]), 1)], np.int64).reshape(-1, 2) - 1  # fmt: skip
    if edges.size and not 0 <= edges.min() <= edges.max() < len(member):
        raise ScenarioError(f"{of['A']}: an edge of a node that is not there given, expected 1 to {len(member)}")
    tags = _column(of["node_labels"]) if of["node_labels"].exists() else np.zeros(len(member), np.int64)
    if len(tags) != len(member):
        raise ScenarioError(f"{of['node_labels']}: {len(tags)} tags given, expected {len(member)}, one a node")
    sizes = np.bincount(member - 1, minlength=graphs)
    return _set(name, sizes, tags, edges, labels, np.zeros((len(member), 0)))


def _set(name: str, sizes: Ints, tags: Ints, edges: Ints, labels: Ints, attributes: NDArray[np.float64]) -> GraphSet:
    edges, nodes = undirected(edges), int(sizes.sum())
    if len(np.unique(tags)) <= 1 and not attributes.size:
        tags = np.asarray(adjacency(nodes, edges, self_loops=True).sum(axis=1)).ravel().astype(np.int64)
    values, columns = np.unique(tags, return_inverse=True)
    one_hot = sparse().csr_array((np.ones(nodes), columns, np.arange(nodes + 1)), shape=(nodes, len(values)))
    features = sparse().hstack([one_hot, sparse().csr_array(attributes)], format="csr")
    found, numbered = np.unique(labels, return_inverse=True)
    member = np.repeat(np.arange(len(sizes)), sizes)
    return GraphSet(name, "graph", features, edges, member, len(sizes), numbered.astype(np.int64), len(found))


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_OCTETS:
            raise ScenarioError(f"{path}: more than {MAX_OCTETS} octets, expected fewer")
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "no ASCII text"
        raise ScenarioError(f"{path}: {told}, expected a set of graphs in text") from None
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _column(path: Path) -> Ints:
    return np.array([_whole(path, number, line, 1)[0] for number, line in enumerate(_lines(path), 1)], np.int64)


def _whole(path: Path, number: int, line: str, count: int) -> list[int]:
    try:
        found = [int(word) for word in line.split()]
    except ValueError:
        found = []
    if len(found) != count:
        raise ScenarioError(f"{path}:{number}: {line[:40]!r} given, expected {count} whole number{'s' * (count > 1)}")
    return found


def _pairs(edges: list[tuple[int, int]]) -> Ints:
    return np.array(edges, np.int64).reshape(-1, 2)
