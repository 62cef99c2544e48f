"""Public sets, from where torch_geometric has them: raw text and raw arrays, and nothing that torch_geometric makes.

The files that torch_geometric makes of a set hold pickles, so they are neither made nor read here: it says where a set
is, and `tu` and `rawfiles` read what is there. Servers must prove who they are, which its own download does not ask.
"""

from __future__ import annotations

import io
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.archive import write
from ketwire.nodes.graphs.rawfiles import PARTS, converted
from ketwire.nodes.graphs.shelf import OTHER_NAMES

CITATIONS = ("Cora", "Citeseer", "Pubmed")
"""Citation networks; every other name is asked for at TU Dortmund."""
MAX_OCTETS = 1 << 31
BETWEEN_OCTETS_S = 60.0


def download(datasets: Any, name: str, folder: Path) -> Path:
    """Download a set to a folder, where `shelf.load_set` finds it; answers with its file.

    Args:
        datasets: the module torch_geometric.datasets.

    Raises:
        ScenarioError: there is no such set, or it cannot be had.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _citations(datasets, name, folder) if name in CITATIONS else _graphs(datasets, name, folder)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        told = " ".join(str(error).split())[:200]
        raise ScenarioError(f"{name}: {told}, expected a set that torch_geometric knows, a network, and a folder to "
                            "write to") from None  # fmt: skip


def _citations(datasets: Any, name: str, folder: Path) -> Path:
    raw = folder / "raw"
    raw.mkdir(exist_ok=True)
    for part in PARTS:
        file = f"ind.{name.lower()}.{part}"
        write(raw / file, fetched(f"{datasets.Planetoid.url}/{file}"))
    octets = io.BytesIO()
    np.savez_compressed(octets, **converted(raw, name))  # type: ignore[arg-type]
    path = folder / f"ind.{name.lower()}.npz"
    write(path, octets.getvalue())
    return path


def _graphs(datasets: Any, name: str, folder: Path) -> Path:
    called = next((each for each in OTHER_NAMES.get(name, ()) if "-" in each or "_" in each), name)
    place = folder / called
    place.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(fetched(f"{datasets.TUDataset.url}/{called}.zip"))) as archive:
        for part in ("graph_indicator", "graph_labels", "node_labels", "A"):
            member = f"{called}/{called}_{part}.txt"
            if part == "node_labels" and member not in archive.namelist():
                continue
            if member not in archive.namelist() or archive.getinfo(member).file_size > MAX_OCTETS:
                raise ValueError(f"an archive without {member}, or with too much of it")
            write(folder / member, archive.read(member))
    return place / f"{called}_A.txt"


def fetched(address: str) -> bytes:
    """What is at an address.

    Raises:
        OSError: it cannot be had. ValueError: it is no https address, or too much.
    """
    if not address.startswith("https://"):
        raise ValueError(f"{address[:100]}: no https address")
    with urllib.request.urlopen(address, timeout=BETWEEN_OCTETS_S) as answer:
        octets: bytes = answer.read(MAX_OCTETS + 1)
    if len(octets) > MAX_OCTETS:
        raise ValueError(f"{address}: more than {MAX_OCTETS} octets")
    return octets
