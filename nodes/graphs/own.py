"""A user's own graph: arrays in `NAME.npz`, or two tables, `NAME.nodes.csv` and `NAME.edges.csv`.

    NAME.npz          features (V, D); edges (E, 2), node numbers from 0; labels (V,), whole numbers from 0, -1 for
                      a node without one; without labels no node has one. For many graphs: member (V,), the graph of
                      each node, ascending from 0, and labels (graphs,).
    NAME.nodes.csv    a row a node: its features, and in a column `label`, where there is one, its label.
    NAME.edges.csv    a row an edge: two node numbers from 0.

The first row of a table holds titles where one of its cells is no number.

Edges have no direction: duplicates count once, self-loops are dropped. Rows of features of a single graph are divided
by the sum of their absolute values, as those of citation networks are; a row of zeros stays one.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import NO_LABEL, GraphSet, Ints, rows_to_one, undirected
from ketwire.nodes.npyfiles import read_archive
from ketwire.nodes.tables import read_table
from ketwire.protocols.graph.operators import sparse

MAX_OCTETS = 1 << 32
MAX_TEXT_OCTETS = 1 << 28
_MEMBERS = {"features", "edges", "labels", "member"}


def own_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of a graph in a folder: one archive, or tables of nodes and of edges; none where neither is there."""
    archive, nodes = folder / f"{name}.npz", folder / f"{name}.nodes.csv"
    return (archive,) if archive.is_file() else (nodes, folder / f"{name}.edges.csv") if nodes.is_file() else ()


def read_own(files: tuple[Path, ...], name: str) -> GraphSet:
    """A set of one or many graphs.

    Args:
        files: as `own_files` finds them.

    Raises:
        ScenarioError: one cannot be read, or holds something else; names file and member.
    """
    told = ", ".join(path.name for path in files)
    try:
        arrays = _archive(files[0]) if len(files) == 1 else _tables(*files)
        return _assembled(name, arrays)
    except ScenarioError as error:
        raise ScenarioError(f"{files[0].parent}: {told}: {error}") from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise ScenarioError(f"{files[0].parent}: {told}: {reason}, expected a graph: "
                            "see docs/graph-networks.md") from None  # fmt: skip


def _archive(path: Path) -> dict[str, Any]:
    found = read_archive(path, MAX_OCTETS)
    if not {"features", "edges"} <= {*found} <= _MEMBERS:
        raise ScenarioError(f"members {', '.join(sorted(found))} given, expected features and edges, and where "
                            "they are needed labels and member")  # fmt: skip
    return found


def _tables(nodes: Path, edges: Path) -> dict[str, Any]:
    for path in (nodes, edges):
        if path.stat().st_size > MAX_TEXT_OCTETS:
            raise ValueError(f"{path.name}: more than {MAX_TEXT_OCTETS} octets")
    octets, lines = nodes.read_bytes(), edges.read_bytes()
    titles = _titles(octets)
    labelled = {"label_column": "label"} if "label" in titles else {}
    found = read_table(octets, {"header": bool(titles), **labelled})
    found["features"] = found.pop("values")
    named = {"header": bool(_titles(lines))}
    found["edges"] = read_table(lines, named)["values"] if lines.strip() else np.zeros((0, 2), np.int64)
    return found


def _titles(octets: bytes) -> list[str]:
    """The cells of the first row where one of them is no number, else none."""
    cells = [cell.strip(' "\r') for cell in re.split(r"[,;\t]", octets.decode("utf-8-sig").split("\n", 1)[0])]
    try:
        return [] if [float(cell) for cell in cells] else cells
    except ValueError:
        return cells


def _assembled(name: str, arrays: Mapping[str, Any]) -> GraphSet:
    features = np.asarray(arrays["features"])
    if features.ndim != 2 or 0 in features.shape or features.dtype.kind not in "biuf":
        raise ValueError(f"features: {features.dtype} of shape {features.shape} given, expected a row a node")
    features = features.astype(np.float64)
    if not np.isfinite(features).all():
        raise ValueError("features: an entry that is not finite given, expected finite numbers")
    nodes = len(features)
    edges = _whole("edges", arrays["edges"], (None, 2))
    if edges.size and not 0 <= edges.min() <= edges.max() < nodes:
        raise ValueError(f"edges: node {edges.max() if edges.max() >= nodes else edges.min()} given, "
                         f"expected 0 to {nodes - 1}")  # fmt: skip
    own = sparse().csr_array(features)
    if "member" not in arrays:
        labels = _whole("labels", arrays.get("labels", np.full(nodes, NO_LABEL)), (nodes,))
        return GraphSet(name, "node", rows_to_one(own), undirected(edges), np.zeros(nodes, np.int64), 1, labels,
                        _classes(labels, NO_LABEL))  # fmt: skip
    member, labels = _whole("member", arrays["member"], (nodes,)), _whole("labels", arrays.get("labels"), (None,))
    if (np.diff(member) < 0).any() or member[0] < 0 or member[-1] >= len(labels):
        raise ValueError(f"member: graphs out of order given, expected 0 to {len(labels) - 1}, ascending")
    classes = _classes(labels, 0)
    if (member[edges[:, 0]] != member[edges[:, 1]]).any():
        raise ValueError("edges: one between two graphs given, expected both nodes in one")
    return GraphSet(name, "graph", own, undirected(edges), member, len(labels), labels, classes)


def _whole(name: str, array: Any, shape: tuple[int | None, ...]) -> Ints:
    found = np.asarray(array)
    fits = found.ndim == len(shape) and all(want in (None, have) for have, want in zip(found.shape, shape, strict=True))
    if not fits or found.dtype.kind not in "iuf" or (found != np.rint(found)).any() or (abs(found) > 2**53).any():
        wanted = ", ".join("any" if each is None else str(each) for each in shape)
        raise ValueError(f"{name}: {found.dtype} of shape {found.shape} given, expected whole numbers, ({wanted})")
    return found.astype(np.int64)


def _classes(labels: Ints, least: int) -> int:
    if labels.min(initial=0) < least:
        raise ValueError(f"labels: {labels.min()} given, expected {least} and up")
    return int(labels.max(initial=0)) + 1
