"""Sets of graphs in text, in both formats, and files of another form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.shelf import load_set
from ketwire.nodes.graphs.tu import read_text

# A triangle with an isolated node beside it, a graph without nodes, and a self-loop with an edge that comes twice.
TEXT = """3
4 7
0 2 1 2
5 2 0 2
0 2 0 1
5 0
0 -1
2 7
0 3 0 1 1
0 1 0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "SET.txt"
    path.write_text(text)
    return path


def same(one: GraphSet, other: GraphSet) -> bool:
    arrays = ("edges", "member", "labels")
    equal = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
    return equal and np.array_equal(one.features.toarray(), other.features.toarray())


def test_a_set_in_one_file(tmp_path: Path) -> None:
    found = read_text(written(tmp_path, TEXT), "SET")
    assert (found.task, found.graphs, found.nodes, found.classes) == ("graph", 3, 6, 2)
    assert found.labels.tolist() == [1, 0, 1]
    assert found.member.tolist() == [0, 0, 0, 0, 2, 2]
    assert found.edges.tolist() == [[0, 1], [0, 2], [1, 2], [4, 5]]
    assert found.features.toarray().tolist() == [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [1, 0]]


def test_the_same_set_in_the_files_of_dortmund(tmp_path: Path) -> None:
    raw = tmp_path / "SET" / "raw"
    raw.mkdir(parents=True)
    parts = {"A": "1, 2\n2, 1\n1, 3\n3, 1\n2, 3\n3, 2\n5, 6\n6, 5\n5, 5\n", "graph_indicator": "1\n1\n1\n1\n3\n3\n",
             "graph_labels": "7\n-1\n7\n", "node_labels": "0\n5\n0\n5\n0\n0\n"}  # fmt: skip
    for part, text in parts.items():
        (raw / f"SET_{part}.txt").write_text(text)
    assert same(load_set(tmp_path, "SET"), read_text(written(tmp_path, TEXT), "SET"))


def test_one_tag_alone_gives_way_to_degrees(tmp_path: Path) -> None:
    found = read_text(written(tmp_path, "1\n3 0\n4 2 1 2\n4 1 0\n4 1 0\n"), "SET")
    assert found.features.toarray().tolist() == [[0, 1], [1, 0], [1, 0]]


def test_attributes_follow_tags(tmp_path: Path) -> None:
    found = read_text(written(tmp_path, "1\n2 0\n0 1 1 0.5 -2\n1 1 0 1e3 0\n"), "SET")
    assert found.features.toarray().tolist() == [[1, 0, 0.5, -2], [0, 1, 1000, 0]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("two\n", ":1: 'two' given, expected 1 whole number"),
        ("1\n1\n", ":2: '1' given, expected 2 whole numbers"),
        ("1\n-1 0\n", ":2: -1 nodes given, expected 0 to"),
        ("1\n1 0\n0\n", ":3: '0' given, expected a tag, a count and neighbours"),
        ("1\n2 0\n0 2 1\n0 0\n", ":3: 1 neighbours given, expected 2 from 0 to 1"),
        ("1\n2 0\n0 1 2\n0 0\n", ":3: 1 neighbours given, expected 1 from 0 to 1"),
        ("1\n1 0\n0 0 nan\n", ":3: 0 neighbours given, expected 0 from 0 to 0, then finite numbers"),
        ("1\n2 0\n0 0 1.5\n0 0\n", "nodes with different numbers of attributes given"),
        ("2\n1 0\n0 0\n", "ends early, expected as many graphs and nodes as it says"),
        ("1\n1 0\n0 0\n0 0\n", ":4: a line after the last graph given, expected none"),
    ],
)
def test_other_texts_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ScenarioError) as found:
        read_text(written(tmp_path, text), "SET")
    assert told in str(found.value) and "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("part", "text", "told"),
    [
        ("A", "1, 3\n", "SET_A.txt: an edge of a node that is not there given, expected 1 to 2"),
        ("A", "1 2 3\n", "SET_A.txt:1: '1 2 3' given, expected 2 whole numbers"),
        ("graph_indicator", "2\n1\n", "graphs out of order given, expected 1 to 1, ascending"),
        ("node_labels", "0\n", "1 tags given, expected 2, one a node"),
    ],
)
def test_other_files_of_dortmund_are_refused(tmp_path: Path, part: str, text: str, told: str) -> None:
    parts = {"A": "1, 2\n", "graph_indicator": "1\n1\n", "graph_labels": "0\n", "node_labels": "0\n1\n", part: text}
    (tmp_path / "SET").mkdir()
    for name, each in parts.items():
        (tmp_path / "SET" / f"SET_{name}.txt").write_text(each)
    with pytest.raises(ScenarioError) as found:
        load_set(tmp_path, "SET")
    assert told in str(found.value)
