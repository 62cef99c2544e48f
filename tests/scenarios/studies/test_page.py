"""The packaged studies, and their pages in docs/studies."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

import ketwire as kw
from ketwire.scenarios import cli
from ketwire.scenarios.studies.axes import grid
from ketwire.scenarios.studies.files import packaged_studies, read_file
from ketwire.scenarios.studies.page import page_text
from ketwire.scenarios.studies.tables import MOST_SHOWN, study_text, told_below
from tests.studies import refused, study_of, written

DOCS = Path(__file__).parents[3] / "docs" / "studies"
NAMES = [
    "advantage-vs-n", "copies-vs-accuracy", "gnn-accuracy", "gnn-copies", "gnn-folds", "gnn-givens", "gnn-growth",
    "gnn-head", "gnn-noise", "hardware-race", "latency-vs-distance", "published-experiments", "repeater-levels",
    "who-is-first", "window-vs-latency", "xeb-advantage-map",
]  # fmt: skip
OF_DATA = ("gnn-accuracy", "gnn-copies", "gnn-folds", "gnn-givens", "gnn-head", "gnn-noise")
"""Those of data sets and trained networks, in the folders `datasets` and `models` of the working folder."""

LARGE = {"advantage-vs-n": [4, 6, 8], "xeb-advantage-map": [8]}
"""Studies that take minutes, and the numbers of qubits whose points do not."""


def test_they_are_listed_and_each_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["study"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES == [*packaged_studies()]
    assert {path.name for path in DOCS.iterdir()} == {f"{name}.{end}" for name in NAMES for end in ("md", "svg")}


@pytest.mark.parametrize("name", NAMES)
def test_each_is_valid_and_its_page_has_a_row_for_each_point(name: str) -> None:
    given = read_file(name)
    assert given.name == name and given.study.description
    spanned = grid(given.study.axes, name)
    page = (DOCS / f"{name}.md").read_text()
    rows = page.split("    ketwire study")[1].split("\n\n")[1].splitlines()
    below = told_below(spanned.names, [cell.labels for cell in spanned.cells])
    places = [at for at, name in enumerate(spanned.names) if name not in below]
    assert rows[0].split()[: len(places)] == [spanned.names[at] for at in places]
    cells = [" ".join(str(cell.labels[at]) for at in places) for cell in spanned.cells][:MOST_SHOWN]
    assert [" ".join(row.split())[: len(cell)] for row, cell in zip(rows[1:], cells, strict=False)] == cells
    assert all(f"    {cell.labels[0]}\n" in page for cell in spanned.cells) or not below
    told = " ".join(page.split())
    assert all(str(cell.labels[spanned.names.index(name)]) in told for name in below for cell in spanned.cells)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name not in LARGE])
def test_pages_are_what_the_studies_say(name: str) -> None:
    if name in OF_DATA and not (Path("datasets").is_dir() and Path("models").is_dir()):
        pytest.skip(f"{name}: needs the folders datasets and models")
    outcome = kw.study(name, jobs=2)
    assert page_text(outcome.data) == (DOCS / f"{name}.md").read_text() and not outcome.unmet


@pytest.mark.long
@pytest.mark.parametrize("name", LARGE)
def test_pages_of_large_studies_are_what_their_smaller_points_say(name: str) -> None:
    """Draws of points are independent, so a part of the points has the rows of the whole."""
    told = yaml.safe_load((files("ketwire.scenarios.packaged") / "studies" / f"{name}.yaml").read_text())
    [axis] = [axis for axis in told["axes"] if axis["name"] == "n"]
    axis["values"] = LARGE[name]
    del told["expect"]
    page = (DOCS / f"{name}.md").read_text().split("    ketwire study")[1].split("\n\n")[1]
    shown, said = (
        {tuple(row[: len(told["axes"])]): row for line in text.splitlines() if (row := line.split())}
        for text in (page, study_text(kw.study(told, jobs=2).data))
    )
    common = shown.keys() & said.keys()
    assert len(common) >= 11 and [key for key in common if shown[key] != said[key]] == []


def test_a_page_has_figure_table_and_commands(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")


    assert cli.execute(["study", written(tmp_path), "--page", str(tmp_path / "docs")]) == 0
    page = (tmp_path / "docs" / "small.md").read_text()
    assert page == page_text(kw.study(study_of(name="small")).data)
    assert "![small](small.svg)" in page and "    ketwire run base.yaml --inline --set links.0.length_km=1 " in page
    assert (tmp_path / "docs" / "small.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"name": "../small"}, "the study's name is '../small', expected one that a file can have"),
        ({"name": "\u20ac" * 70}, "expected one that a file can have"),
        ({"axes": []}, "nothing to draw in "),
        ({}, "page/below: Not a directory, expected a folder to write to"),
    ],
)
def test_a_page_that_cannot_be_is_refused_before_anything_runs(
    keys: dict[str, Any], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "page").write_text("")
    folder = tmp_path / ("pages" if keys else "page/below")
    line = refused(capfd, written(tmp_path, **keys), "--out", str(tmp_path / "out"), "--page", str(folder))
    assert line.startswith("--page: ") and told in line
    assert not (tmp_path / "out").exists()
