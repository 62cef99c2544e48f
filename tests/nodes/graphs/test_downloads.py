"""Downloads, with what a server would answer: where files go, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs import downloads
from ketwire.nodes.graphs.shelf import load_set
from tests.nodes.graphs.test_rawfiles import written

DATASETS = SimpleNamespace(TUDataset=SimpleNamespace(url="https://tu"), Planetoid=SimpleNamespace(url="https://cited"))
TEXTS = {"A": "1, 2\n2, 1\n", "graph_indicator": "1\n1\n", "graph_labels": "1\n", "node_labels": "0\n1\n"}


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, bytes]) -> None:
    monkeypatch.setattr(downloads, "fetched", answers.__getitem__)


def zipped(called: str, texts: dict[str, str]) -> bytes:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        for part, text in texts.items():
            archive.writestr(f"{called}/{called}_{part}.txt", text)
        archive.writestr("../outside.txt", "no")
    return octets.getvalue()


def test_graphs_of_dortmund(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"https://tu/IMDB-BINARY.zip": zipped("IMDB-BINARY", TEXTS)})
    path = downloads.download(DATASETS, "IMDB-B", tmp_path / "data")
    assert path == tmp_path / "data" / "IMDB-BINARY" / "IMDB-BINARY_A.txt"
    assert load_set(tmp_path / "data", "IMDB-B").edges.tolist() == [[0, 1]]
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_citation_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    answers = {f"https://cited/{path.name.replace('tiny', 'cora')}": path.read_bytes() for path in tmp_path.iterdir()}
    answering(monkeypatch, answers)
    assert downloads.download(DATASETS, "Cora", tmp_path / "data") == tmp_path / "data" / "ind.cora.npz"
    assert load_set(tmp_path / "data", "Cora").nodes == 6


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"<html>", "File is not a zip file"),
        (zipped("S", {"A": ""}), "an archive without S/S_graph_indicator.txt"),
    ],
)
def test_other_answers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, told: str) -> None:
    answering(monkeypatch, {"https://tu/S.zip": answer})
    with pytest.raises(ScenarioError, match=f"S: {told}"):
        downloads.download(DATASETS, "S", tmp_path)


def test_a_server_must_prove_who_it_is(tmp_path: Path) -> None:
    plain: Any = SimpleNamespace(TUDataset=SimpleNamespace(url="http://tu"))
    with pytest.raises(ScenarioError, match="no https address"):
        downloads.download(plain, "S", tmp_path)


@pytest.mark.gnn
def test_torch_geometric_has_addresses() -> None:
    datasets = pytest.importorskip("torch_geometric.datasets", reason="torch_geometric is not installed (extra gnn)")
    assert datasets.TUDataset.url.startswith("https://") and datasets.Planetoid.url.startswith("https://")
