"""The packaged studies, and their pages in docs/studies."""

from __future__ import annotations

from pathlib import Path

import pytest

import ketwire as kw
from ketwire.scenarios import cli
from ketwire.scenarios.studies.axes import grid
from ketwire.scenarios.studies.files import packaged_studies, read_file
from ketwire.scenarios.studies.page import page_text
from tests.studies import study_of, written

DOCS = Path(__file__).parents[3] / "docs" / "studies"
NAMES = [
    "copies-vs-accuracy", "gnn-accuracy", "gnn-copies", "gnn-growth", "gnn-head", "gnn-noise", "hardware-race",
    "latency-vs-distance", "repeater-levels", "who-is-first", "window-vs-latency",
]  # fmt: skip
OF_DATA = ("gnn-accuracy", "gnn-copies", "gnn-head", "gnn-noise")
"""Those of trained networks, in the folders `datasets` and `models` of the working folder."""


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
    assert rows[0].split()[: len(spanned.names)] == [*spanned.names]
    cells = [" ".join(map(str, cell.labels)) for cell in spanned.cells]
    assert [" ".join(row.split()[: len(spanned.names)]) for row in rows[1 : len(cells) + 1]] == cells


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_pages_are_what_the_studies_say(name: str) -> None:
    if name in OF_DATA and not (Path("datasets").is_dir() and Path("models").is_dir()):
        pytest.skip(f"{name}: needs the folders datasets and models")
    outcome = kw.study(name, jobs=2)
    assert page_text(outcome.data) == (DOCS / f"{name}.md").read_text() and not outcome.unmet


def test_a_page_has_figure_table_and_commands(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")


    assert cli.execute(["study", written(tmp_path), "--page", str(tmp_path / "docs")]) == 0
    page = (tmp_path / "docs" / "small.md").read_text()
    assert page == page_text(kw.study(study_of(name="small")).data)
    assert "![small](small.svg)" in page and "    ketwire run base.yaml --inline --set links.0.length_km=1 " in page
    assert (tmp_path / "docs" / "small.svg").read_text().startswith("<?xml")
