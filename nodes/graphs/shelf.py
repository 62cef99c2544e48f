"""Sets by their names in a folder: which file of which format holds one.

    NAME/NAME.txt, NAME.txt                   the text format of DGCNN and GIN (`tu`)
    NAME/NAME_A.txt, NAME/raw/NAME_A.txt      that of TU Dortmund, as torch_geometric downloads it (`tu`)
    ind.NAME.npz                              a citation network (`planetoid`)
    NAME.npz, NAME.nodes.csv                  a user's own graph (`own`)

each in the folder itself, or in its folders `tu` and `planetoid`. A set that public sources call by several names is
found under all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.nodes.graphs.own import own_files, read_own
from ketwire.nodes.graphs.planetoid import archive, read_planetoid
from ketwire.nodes.graphs.sets import GraphSet
from ketwire.nodes.graphs.tu import part_files, read_parts, read_text, text_file

OTHER_NAMES = {
    "IMDB-B": ("IMDBBINARY", "IMDB-BINARY"), "IMDB-M": ("IMDBMULTI", "IMDB-MULTI"), "PTC": ("PTC_MR",),
    "REDDIT-B": ("REDDITBINARY", "REDDIT-BINARY"), "REDDIT-M": ("REDDITMULTI5K", "REDDIT-MULTI-5K"),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The files that hold a set, and how they are read, which raises ScenarioError where they have another form."""

    files: tuple[Path, ...]
    read: Callable[[], GraphSet]


def find_set(folder: Path, name: str) -> Found:
    """Where the set of this name is in a folder.

    Raises:
        ScenarioError: there is none.
    """
    if not folder.is_dir():
        raise ScenarioError(f"{folder}: no such folder, expected one with sets of graphs: see docs/graph-networks.md")
    for called in (name, *OTHER_NAMES.get(name, ())):
        for place in (folder, folder / "tu"):
            if (text := text_file(place, called)).is_file():
                return Found((text,), partial(read_text, text, name))
            for parts in (place / called, place / called / "raw"):
                if (parts / f"{called}_A.txt").is_file():
                    return Found(part_files(parts, called), partial(read_parts, parts, called, name))
        for place in (folder, folder / "planetoid"):
            if (cited := archive(place, called)).is_file():
                return Found((cited,), partial(read_planetoid, cited, name))
    if own := own_files(folder, name):
        return Found(own, partial(read_own, own, name))
    raise ScenarioError(f"{folder}: no set {name}, expected {name}/{name}.txt, {name}/{name}_A.txt, "
                        f"ind.{name.lower()}.npz, {name}.npz or {name}.nodes.csv in it")  # fmt: skip


def set_files(folder: Path, name: str) -> tuple[Path, ...]:
    """The files of the set of this name; none where it is missing."""
    try:
        return find_set(folder, name).files
    except ScenarioError:
        return ()


def load_set(folder: Path, name: str) -> GraphSet:
    """The set of this name in a folder.

    Raises:
        ScenarioError: there is none, or its file has another form.
    """
    return find_set(folder, name).read()
