"""Figures show the means, in the units of the fields, a panel for each facet."""

from __future__ import annotations

from pathlib import Path

import pytest

import ketwire as kw
from ketwire.scenarios.reports.figures import save
from ketwire.scenarios.studies.data import PointKey, StudyData
from ketwire.scenarios.studies.figures import draw, named
from ketwire.scenarios.studies.folder import Row
from ketwire.scenarios.studies.spec import Study
from tests.studies import LENGTHS, study_of


def test_fields_are_named_with_their_units() -> None:
    assert [named(name) for name in ("virtual_time_ps", "links.0.length_km", "winner")] == [
        "virtual time (s)", "length (km)", "winner"
    ]  # fmt: skip


def test_a_line_for_each_hue_and_a_panel_for_each_facet(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    copies = {"key": "protocol.copies", "name": "copies asked", "values": [10, 40]}
    figures = [{"x": "links.0.length_km", "y": "virtual_time_ps", "facet": "copies asked", "log": ["x", "y"]}]
    outcome = kw.study(study_of(axes=[LENGTHS, copies], repeats=3, figures=figures))
    panels = outcome.plot().axes
    assert [panel.get_title(loc="left").splitlines()[-1] for panel in panels] == [
        "copies asked: 10", "copies asked: 40"
    ]  # fmt: skip
    means = outcome.data.spreads("virtual_time_ps")
    for place, panel in enumerate(panels):
        line = panel.containers[0].lines[0]
        assert list(line.get_xdata()) == [1, 5] and panel.get_yscale() == "log"
        assert list(line.get_ydata()) == pytest.approx([means[place].mean / 1e12, means[2 + place].mean / 1e12])
    for name in ("a.svg", "b.svg"):
        save(draw(outcome.data), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_what_wins_where_is_a_map() -> None:
    pytest.importorskip("matplotlib")
    copies = {"key": "protocol.copies", "name": "asked", "values": [10, 40]}
    figures = [{"x": "links.0.length_km", "y": "asked", "hue": "winner"}]
    outcome = kw.study(study_of(axes=[LENGTHS, copies], figures=figures))
    (panel,) = outcome.plot().axes
    (line,) = panel.get_lines()
    assert line.get_label() in ("classical", "quantum", "tie", "nobody") and line.get_linestyle() == "None"
    assert sorted(zip(line.get_xdata(), line.get_ydata(), strict=True)) == [(1, 10), (1, 40), (5, 10), (5, 40)]


@pytest.mark.parametrize(("labels", "turned"), [(["a", "b"], 0), (["a" * 30, "b" * 30], 30)])
def test_long_names_along_an_axis_are_turned(labels: list[str], turned: int) -> None:
    pytest.importorskip("matplotlib")
    figures = [{"x": "place", "y": "virtual_time_ps"}]
    outcome = kw.study(study_of(axes=[{**LENGTHS, "name": "place", "labels": labels}], figures=figures))
    (panel,) = outcome.plot().axes
    assert [(tick.get_text(), tick.get_rotation()) for tick in panel.get_xticklabels()] == [
        (label, turned) for label in labels
    ]  # fmt: skip


def lines(shape: dict[str, list[list[float]]]) -> StudyData:
    """A study whose results are these: by name of a line, at each length the results of the repeats."""
    figure = {"x": "length", "y": "result", "hue": "kind"}
    repeats = max(len(each) for values in shape.values() for each in values)
    spec = Study(base="digits", axes=[], figures=[figure], repeats=repeats)  # type: ignore[call-arg, list-item]
    points = [PointKey(f"{name} {at}", 1, (at, name)) for name, values in shape.items() for at in range(len(values))]
    rows = {(f"{name} {at}", repeat): Row(1, "done", "", [value]) for name, values in shape.items()
            for at, each in enumerate(values) for repeat, value in enumerate(each)}  # fmt: skip
    return StudyData(spec, "lines", ["length", "kind"], points, ["result"], rows)


EVERYWHERE = {f"at {height}": [[height], [height], [height]] for height in range(8)}


@pytest.mark.parametrize(("shape", "beside"), [({"one": [[0], [0], [9]], "two": [[1], [1], [9]]}, False),
                                               (EVERYWHERE, True)])  # fmt: skip
def test_a_legend_lies_on_no_line(shape: dict[str, list[list[float]]], beside: bool) -> None:
    pytest.importorskip("matplotlib")
    drawing = draw(lines(shape))
    drawing.draw_without_rendering()
    [axes] = drawing.axes
    assert (axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1) == beside


def test_a_legend_names_lines_in_the_order_of_the_study() -> None:
    """Also where some have intervals and others none."""
    pytest.importorskip("matplotlib")
    [axes] = draw(lines({"spread": [[0, 1], [1, 2]], "sure": [[3, 3], [4, 4]]})).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["spread", "sure"]
