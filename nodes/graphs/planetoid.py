"""Citation networks in the format of Planetoid, as arrays without pickle: `ind.NAME.npz`.

Members x, tx, allx as CSR parts (`allx_data`, `allx_indices`, `allx_indptr`, `allx_shape`), one-hot labels y, ty, ally,
`graph_keys`, `graph_indptr`, `graph_neighbors`, and `test_index`, the lines of `ind.NAME.test.index`. Row i of
allx is of node i; row i of tx is of node `test_index[i]`. Nodes in neither have no features and no label. The public
split: the nodes of x are trained on, the next 500 validate, `test_index` is tested.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import NO_LABEL, GraphSet, Ints, Split, rows_to_one, undirected
from ketwire.nodes.npyfiles import read_archive
from ketwire.protocols.graph.operators import sparse

VALIDATION = 500
MAX_OCTETS = 1 << 32


def archive(folder: Path, name: str) -> Path:
    """The file of a set: FOLDER/ind.NAME.npz, NAME in lower case."""
    return folder / f"ind.{name.lower()}.npz"


def read_planetoid(path: Path, name: str) -> GraphSet:
    """A set of one graph with its public split; the rows of its features sum to 1.

    Raises:
        ScenarioError: it cannot be read, or has another form.
    """
    try:
        return assembled(name, read_archive(path, MAX_OCTETS))
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, zipfile.BadZipFile,
            NotImplementedError) as error:  # fmt: skip
        told = " ".join(str(getattr(error, "strerror", None) or error).split())[:100]
        raise ScenarioError(f"{path}: {told}, expected a citation network: see docs/graph-networks.md") from None


def assembled(name: str, parts: Mapping[str, Any]) -> GraphSet:
    """A set of the members of its archive.

    Raises:
        ValueError, KeyError, IndexError, TypeError: they do not fit together.
    """
    keys = np.asarray(parts["graph_keys"], np.int64)
    nodes, tested = len(keys), np.asarray(parts["test_index"], np.int64)
    if not np.array_equal(np.sort(keys), np.arange(nodes)):
        raise ValueError(f"graph_keys: {nodes} nodes that are not 0 to {nodes - 1}")
    allx, tx = (_csr(parts, each) for each in ("allx", "tx"))
    trained, rows = len(parts["y"]), np.concatenate((np.arange(allx.shape[0]), tested))
    if len(np.unique(rows)) != len(rows) or rows.min() < 0 or rows.max() >= nodes:
        raise ValueError("test_index: nodes that are in allx too, or not in the graph")
    stacked = sparse().vstack([allx, tx], format="coo")
    features = sparse().csr_array((stacked.data, (rows[stacked.coords[0]], stacked.coords[1])),
                                  shape=(nodes, allx.shape[1]))  # fmt: skip
    one_hot = np.concatenate((np.asarray(parts["ally"]), np.asarray(parts["ty"])))
    labels = np.full(nodes, NO_LABEL)
    labels[rows] = np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), NO_LABEL)
    split = Split(np.arange(trained), np.arange(trained, trained + VALIDATION), np.sort(tested))
    member = np.zeros(nodes, np.int64)
    return GraphSet(name, "node", rows_to_one(features), _edges(parts, keys), member, 1, labels,
                    one_hot.shape[1], split)  # fmt: skip


def _edges(parts: Mapping[str, Any], keys: Ints) -> Ints:
    """From lists of neighbours, with duplicates and self-loops, to edges."""
    near = np.asarray(parts["graph_neighbors"], np.int64)
    edges = np.stack((np.repeat(keys, np.diff(parts["graph_indptr"])), near), axis=1)
    if edges.size and not 0 <= edges.min() <= edges.max() < len(keys):
        raise ValueError("graph_neighbors: a node that is not in the graph")
    return undirected(edges)


def _csr(parts: Mapping[str, Any], name: str) -> Any:
    data, indices, indptr, shape = (parts[f"{name}_{part}"] for part in ("data", "indices", "indptr", "shape"))
    rows, columns = (int(each) for each in shape)
    return sparse().csr_array((data, indices, indptr), shape=(rows, columns))
