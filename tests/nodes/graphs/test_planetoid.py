"""Citation networks without pickle: order of the test nodes, nodes without features, duplicates and self-loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.planetoid import assembled, read_planetoid
from ketwire.nodes.graphs.sets import NO_LABEL
from ketwire.nodes.graphs.shelf import load_set

ALLX = np.array([[1, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
TX = np.array([[0, 1, 1], [1, 1, 1]], np.float32)


def parts(**changed: Any) -> dict[str, Any]:
    """Nodes 0 to 2 of allx, 5 and 3 of tx in this order, and 4 in neither, with a self-loop and an edge twice."""
    made: dict[str, Any] = {
        "y": np.eye(2)[[0]], "ally": np.eye(2)[[0, 1, 0]], "ty": np.eye(2)[[1, 0]], "test_index": np.array([5, 3]),
        "graph_keys": np.array([0, 1, 2, 3, 4, 5]), "graph_indptr": np.array([0, 3, 4, 5, 6, 7, 8]),
        "graph_neighbors": np.array([1, 1, 5, 0, 2, 3, 4, 0]),
    }  # fmt: skip
    for name, dense in (("x", ALLX[:1]), ("allx", ALLX), ("tx", TX)):
        csr = scipy.sparse.csr_array(dense)
        made |= {f"{name}_{part}": getattr(csr, part) for part in ("data", "indices", "indptr", "shape")}
    return made | changed


def test_a_set_is_assembled() -> None:
    found = assembled("Tiny", parts())
    assert found.features.toarray().tolist() == [[0.5, 0.5, 0], [0, 0, 1], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3],
                                                 [0, 0, 0], [0, 0.5, 0.5]]  # fmt: skip
    assert found.labels.tolist() == [0, 1, 0, 0, NO_LABEL, 1]
    assert found.edges.tolist() == [[0, 1], [0, 5]]
    assert found.public is not None and found.public.train.tolist() == [0] and found.public.test.tolist() == [3, 5]
    assert (found.task, found.nodes, found.graphs, found.classes) == ("node", 6, 1, 2)


def test_a_file_is_read_by_the_name_of_its_set(tmp_path: Path) -> None:
    (tmp_path / "planetoid").mkdir()
    np.savez(tmp_path / "planetoid" / "ind.tiny.npz", **parts())
    assert load_set(tmp_path, "Tiny").edges.tolist() == [[0, 1], [0, 5]]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"test_index": np.array([2, 5])}, "test_index: nodes that are in allx too, or not in the graph"),
        ({"test_index": np.array([3, 9])}, "test_index: nodes that are in allx too, or not in the graph"),
        ({"graph_keys": np.array([0, 1, 2, 3, 4, 6])}, "graph_keys: 6 nodes that are not 0 to 5"),
        ({"graph_neighbors": np.array([1, 1, 5, 0, 2, 3, 4, 9])}, "graph_neighbors: a node that is not in the graph"),
        ({"graph_keys": np.array([None])}, "entries of type object, expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    path = tmp_path / "ind.tiny.npz"
    np.savez(path, **parts(**changed))
    with pytest.raises(ScenarioError) as found:
        read_planetoid(path, "Tiny")
    assert told in str(found.value) and str(found.value).startswith(f"{path}: ") and "expected" in str(found.value)


def test_a_missing_member_and_no_archive_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ind.tiny.npz"
    np.savez(path, **{key: value for key, value in parts().items() if key != "ty"})
    with pytest.raises(ScenarioError, match="ty"):
        read_planetoid(path, "Tiny")
    path.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ScenarioError, match="expected a citation network"):
        read_planetoid(path, "Tiny")
