"""What is kept is not trained again, and what was trained otherwise is not taken for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.central.kept import is_kept, keep, kept_file
from tests.protocols.graph.test_model import model


def test_a_network_is_kept_under_its_fold_and_seed(tmp_path: Path) -> None:
    path = kept_file(tmp_path / "SET" / "reference", 3, 7)
    assert path.name == "fold-3-seed-7.npz" and kept_file(tmp_path, None, 7).name == "seed-7.npz"
    assert not is_kept(path, {"seed": 7})
    keep(path, replace(model("graph"), settings={"seed": 7, "fold": 3}))
    assert is_kept(path, {"seed": 7, "fold": 3})
    with pytest.raises(ScenarioError, match="trained with fold 3, expected 4; name another --out"):
        is_kept(path, {"fold": 4})


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "SET").write_text("")
    with pytest.raises(ScenarioError, match="expected a folder to write to"):
        keep(kept_file(tmp_path / "SET", 0, 0), model("graph"))
