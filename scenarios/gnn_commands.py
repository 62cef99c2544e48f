"""The commands `ketwire gnn train` and `ketwire gnn download`: graph networks trained in one place, and their data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from ketwire.errors import ScenarioError, tell
from ketwire.scenarios.options import Progress
from ketwire.scenarios.runs.output import say

gnn = typer.Typer(
    name="gnn",
    help="Graph networks: data sets, and training in one place.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Activation = Annotated[
    Literal["degree-2", "prelu", "none"], typer.Option("--activation", help="Of the hidden units.")
]
MOST = 10_000
BETWEEN_LINES_S = 5.0


@gnn.command()
def train(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the data sets are.")],
    name: Annotated[str, typer.Argument(metavar="SET", help="MUTAG, Cora, or another one in the folder.")],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where models are kept, new or to go on with.")],
    activation: Activation = "degree-2",
    settings: Annotated[
        Literal["reference", "released"], typer.Option("--settings", help="Of networks over whole graphs.")
    ] = "reference",
    norm: Annotated[
        Literal["batch", "layer"] | None, typer.Option("--norm", help="Instead of the normalisation of the settings.")
    ] = None,
    split: Annotated[
        Literal["public", "random"], typer.Option("--split", help="Of the nodes of one graph; random: 60/20/20.")
    ] = "public",
    folds: Annotated[str, typer.Option("--folds", metavar="K,K-K", help="Of whole graphs: which to test on.")] = "0-9",
    seeds: Annotated[str, typer.Option("--seeds", metavar="S,S-S", help="One network for each.")] = "0",
    progress: Progress = None,
) -> None:
    """Train graph networks in one place, with torch, and keep each. What is kept already is not trained again."""
    from ketwire.nodes.graphs.shelf import load_set  # noqa: PLC0415
    from ketwire.scenarios.reports.extras import extra  # noqa: PLC0415

    extra("torch", "gnn", "ketwire gnn train")
    from ketwire.nodes.central import training  # noqa: PLC0415

    found = load_set(data, name)
    tested = _numbers("--folds", folds, 9) if found.task == "graph" else []
    variant = settings if found.task == "graph" else split
    asked = training.Asked(found, variant, norm, activation, tested, _numbers("--seeds", seeds, MOST), out)
    done = training.train(asked, _told(progress))
    say(f"{asked.folder}: {done} trained, {len(asked.seeds) * max(len(tested), 1) - done} kept before")


@gnn.command()
def download(
    name: Annotated[str, typer.Argument(metavar="SET", help="Cora, Citeseer, Pubmed, or a set of TU Dortmund.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to put it.")],
) -> None:
    """Download a public data set, by torch_geometric."""
    from ketwire.nodes.graphs.downloads import download as fetched  # noqa: PLC0415
    from ketwire.nodes.graphs.shelf import load_set  # noqa: PLC0415
    from ketwire.scenarios.reports.extras import extra  # noqa: PLC0415

    path = fetched(extra("torch_geometric.datasets", "gnn", "ketwire gnn download"), name, folder)
    found = load_set(folder, name)
    say(f"{path}: {found.graphs} graph(s), {found.nodes} nodes, {len(found.edges)} edges, {found.classes} classes")


def _told(progress: bool | None) -> Callable[[str, int, int, float], None]:
    """A line now and then, where progress is asked for, or on a terminal."""
    begun_s = time.monotonic()
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    next_s = begun_s

    def told(what: str, epochs: int, epoch: int, accuracy: float) -> None:
        nonlocal next_s
        if shown and (time.monotonic() >= next_s or epoch == epochs):
            next_s = time.monotonic() + BETWEEN_LINES_S
            tell(f"ketwire: {what}: epoch {epoch} of {epochs}, accuracy {accuracy:.3f}")

    return told


def _numbers(option: str, text: str, most: int) -> list[int]:
    """Numbers such as 0-2,5, each once.

    Raises:
        ScenarioError: it has another form.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > most:
            raise ScenarioError(f"{option}: {text} given, expected numbers from 0 to {most} such as 0-2,5")
        found += range(int(first), int(last or first) + 1)
    if not found or len(set(found)) != len(found):
        raise ScenarioError(f"{option}: {text} given, expected each number once")
    return found
