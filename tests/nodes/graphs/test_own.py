"""A user's own graph, as arrays and as tables, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import NO_LABEL
from ketwire.nodes.graphs.shelf import load_set

ARRAYS: dict[str, Any] = {
    "features": np.array([[1.0, 3.0], [0, 0], [-1, 1]]), "edges": np.array([[0, 1], [1, 0], [2, 2]]),
    "labels": np.array([1, NO_LABEL, 0]),
}  # fmt: skip


def saved(folder: Path, **changed: Any) -> Path:
    np.savez(folder / "mine.npz", **{key: value for key, value in {**ARRAYS, **changed}.items() if value is not None})
    return folder


def test_arrays_of_one_graph(tmp_path: Path) -> None:
    found = load_set(saved(tmp_path), "mine")
    assert found.features.toarray().tolist() == [[0.25, 0.75], [0, 0], [-0.5, 0.5]]
    assert (found.task, found.edges.tolist(), found.labels.tolist()) == ("node", [[0, 1]], [1, NO_LABEL, 0])
    assert (found.graphs, found.classes, found.public) == (1, 2, None)


def test_arrays_of_many_graphs(tmp_path: Path) -> None:
    found = load_set(saved(tmp_path, member=np.array([0, 0, 2]), labels=np.array([1, 0, 3])), "mine")
    assert (found.task, found.graphs, found.classes) == ("graph", 3, 4)
    assert found.features.toarray().tolist() == [[1, 3], [0, 0], [-1, 1]]


def test_a_graph_without_labels_and_edges(tmp_path: Path) -> None:
    found = load_set(saved(tmp_path, labels=None, edges=np.zeros((0, 2), np.int64)), "mine")
    assert found.labels.tolist() == [NO_LABEL] * 3 and found.edges.shape == (0, 2)


@pytest.mark.parametrize("label", [True, False])
def test_tables(tmp_path: Path, label: bool) -> None:
    title, cells = ("a,b,label", (",1", ",-1", ",0")) if label else ("a,b", ("", "", ""))
    rows = [f"{pair}{cell}" for pair, cell in zip(("1,3", "0,0", "-1,1"), cells, strict=True)]
    (tmp_path / "mine.nodes.csv").write_text("\n".join([title, *rows]) + "\n")
    (tmp_path / "mine.edges.csv").write_text("0,1\n1,0\n2,2\n")
    found = load_set(tmp_path, "mine")
    assert found.features.toarray().tolist() == [[0.25, 0.75], [0, 0], [-0.5, 0.5]]
    assert (found.edges.tolist(), found.labels.tolist()) == ([[0, 1]], [1, -1, 0] if label else [-1, -1, -1])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"features": np.zeros((0, 2))}, "features: float64 of shape (0, 2) given, expected a row a node"),
        ({"features": np.zeros(3)}, "features: float64 of shape (3,) given, expected a row a node"),
        ({"features": np.full((3, 2), np.nan)}, "features: an entry that is not finite given"),
        ({"edges": np.array([[0, 3]])}, "edges: node 3 given, expected 0 to 2"),
        ({"edges": np.array([[0, -1]])}, "edges: node -1 given, expected 0 to 2"),
        ({"edges": np.array([[0, 0.5]])}, "edges: float64 of shape (1, 2) given, expected whole numbers, (any, 2)"),
        ({"labels": np.array([0, 1])}, "labels: int64 of shape (2,) given, expected whole numbers, (3)"),
        ({"labels": np.array([0, -2, 0])}, "labels: -2 given, expected -1 and up"),
        ({"member": np.array([0, 1, 1]), "labels": np.array([0, -1])}, "labels: -1 given, expected 0 and up"),
        ({"member": np.array([1, 0, 0]), "labels": np.array([0, 1])}, "member: graphs out of order given"),
        ({"member": np.array([0, 1, 1]), "labels": np.array([0, 1])}, "edges: one between two graphs given"),
        ({"member": np.array([0, 0, 1]), "labels": None}, "labels: object of shape () given"),
        ({"edges": None}, "members features, labels given, expected features and edges"),
        ({"weights": np.ones(3)}, "members edges, features, labels, weights given"),
        ({"labels": np.array([None, 1, 2])}, "entries of type object, expected numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ScenarioError) as found:
        load_set(saved(tmp_path, **changed), "mine")
    assert told in str(found.value) and "mine.npz" in str(found.value) and "\n" not in str(found.value)


def test_tables_without_edges_or_with_words_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.nodes.csv").write_text("1,2\n3,4\n")
    with pytest.raises(ScenarioError, match="No such file"):
        load_set(tmp_path, "mine")
    (tmp_path / "mine.edges.csv").write_text("0,1\n1,b\n")
    with pytest.raises(ScenarioError, match=r"mine\.nodes\.csv, mine\.edges\.csv: line 2, column 1"):
        load_set(tmp_path, "mine")


def test_a_missing_set_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"no set mine, expected mine/mine\.txt"):
        load_set(tmp_path, "mine")
    with pytest.raises(ScenarioError, match="no such folder, expected one with sets of graphs"):
        load_set(tmp_path / "none", "mine")
