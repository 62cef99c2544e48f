"""Files of graph networks come back as they were, and others are refused in one line."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.archive import Format, pack, unpack
from ketwire.nodes.graphs.modelfile import FORMAT, read_graph_model, write_graph_model
from ketwire.protocols.graph.model import logits
from tests.protocols.graph.test_model import EDGES, FEATURES, model


@pytest.mark.parametrize("task", ["node", "graph"])
@pytest.mark.parametrize("norm", [False, True])
def test_a_model_comes_back(tmp_path: Path, task: str, norm: bool) -> None:
    made = replace(model(task, norm=norm and task == "graph"), settings={"set": "MUTAG", "fold": 0})
    write_graph_model(tmp_path / "m.npz", made)
    read = read_graph_model(tmp_path / "m.npz")
    assert (read.hops, read.settings) == (made.hops, made.settings)
    assert np.array_equal(logits(read, EDGES, FEATURES), logits(made, EDGES, FEATURES))
    assert stat.S_IMODE((tmp_path / "m.npz").stat().st_mode) == 0o600
    with np.load(tmp_path / "m.npz", allow_pickle=False) as file:
        assert "head" in file.files


def test_entries_that_fit_are_kept_in_half_the_space(tmp_path: Path) -> None:
    made = model("node")
    made = replace(made, weights=made.weights.astype(np.float32).astype(np.float64))
    write_graph_model(tmp_path / "m.npz", made)
    arrays = unpack((tmp_path / "m.npz").read_bytes(), FORMAT).arrays
    assert arrays["weights"].dtype == np.float32 and arrays["shift"].dtype == np.float64
    assert np.array_equal(read_graph_model(tmp_path / "m.npz").weights, made.weights)


def changed(octets: bytes, form: Format = FORMAT, **new: Any) -> bytes:
    values, arrays = unpack(octets, FORMAT)
    values = {**values, **{key: value for key, value in new.items() if not isinstance(value, np.ndarray)}}
    arrays = {**arrays, **{key: value for key, value in new.items() if isinstance(value, np.ndarray)}}
    return pack(values, arrays, form)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ({"form": Format("ketwire-graph-model", 2)}, "version 2, expected ketwire-graph-model 1"),
        ({"task": "edge"}, "task: 'edge' given, expected node or graph"),
        ({"hops": [["cheb", 2]]}, "operator: 'cheb' given"),
        ({"hops": "raw"}, "hops or settings of another form"),
        ({"more": 1}, "a head or arrays other than those of a graph network"),
        ({"gain": np.ones(5)}, "a head or arrays other than those of a graph network"),
        ({"head": np.zeros((5, 3), np.int64)}, "arrays that are not float32 or float64"),
        ({"head": np.zeros((6, 3))}, "head: shape"),
        ({"shift": np.full(5, np.inf)}, "shift: an entry that is not finite given"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, new: dict[str, Any], told: str) -> None:
    path = tmp_path / "m.npz"
    write_graph_model(path, model("graph"))
    path.write_bytes(changed(path.read_bytes(), **new))
    with pytest.raises(ScenarioError, match=told) as found:
        read_graph_model(path)
    assert str(found.value).startswith(str(path)) and "\n" not in str(found.value)
    assert "expected a graph network that `ketwire gnn train` has kept" in str(found.value)


def test_a_missing_file_and_no_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file or directory, expected a graph network"):
        read_graph_model(tmp_path / "none.npz")
    (tmp_path / "m.npz").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ScenarioError, match="no archive"):
        read_graph_model(tmp_path / "m.npz")
