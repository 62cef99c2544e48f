"""Axes span a grid, and what is wrong with one is told in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import ScenarioError
from ketwire.scenarios.studies.axes import Grid, grid
from ketwire.scenarios.studies.files import study_of
from tests.studies import refused, written


def spanned(*axes: dict[str, Any]) -> Grid:
    return grid(study_of({"base": "digits", "axes": [*axes]}, "s.yaml").axes, "s.yaml")


def told(cells: Any) -> list[tuple[Any, dict[str, Any]]]:
    return [(cell.labels, {change.key: change.value for change in cell.changes}) for cell in cells]


def test_axes_multiply_and_the_last_is_the_fastest() -> None:
    found = spanned({"key": "a.b", "values": [1, 2]}, {"key": "c", "values": ["x", "y"]})
    assert found.names == ("a.b", "c")
    assert told(found.cells)[:3] == [
        ((1, "x"), {"a.b": 1, "c": "x"}), ((1, "y"), {"a.b": 1, "c": "y"}), ((2, "x"), {"a.b": 2, "c": "x"})
    ]  # fmt: skip


def test_zip_goes_side_by_side_and_combines_with_product() -> None:
    side = {"zip": [{"key": "a", "values": [1, 2]}, {"key": "b", "values": [3, 4]}]}
    assert [cell.labels for cell in spanned(side, {"key": "c", "values": [5, 6]}).cells] == [
        (1, 3, 5), (1, 3, 6), (2, 4, 5), (2, 4, 6)
    ]  # fmt: skip
    product = {"product": [{"key": "a", "values": [1, 2]}, {"key": "b", "values": [3, 4]}]}
    both = {"zip": [product, {"key": "c", "values": [5, 6, 7, 8]}]}
    assert [cell.labels for cell in spanned(both).cells] == [(1, 3, 5), (1, 4, 6), (2, 3, 7), (2, 4, 8)]


def test_ranges_have_their_ends_and_whole_numbers() -> None:
    assert [cell.labels[0] for cell in spanned({"key": "a", "linspace": [0, 1, 5]}).cells] == [0, 0.25, 0.5, 0.75, 1]
    found = [cell.labels[0] for cell in spanned({"key": "a", "geomspace": [1, 1000, 4]}).cells]
    assert found == [1, 10, 100, 1000] and all(type(value) is int for value in found)
    assert [cell.labels[0] for cell in spanned({"key": "a", "linspace": [5, 1, 3]}).cells] == [5, 3, 1]


def test_a_value_may_set_several_keys_and_several_keys_may_have_one_value() -> None:
    found = spanned({"name": "way", "values": [{"a.b": 1, "c": 2}, {"topology": {"chain": 5}}], "labels": ["x", 7]})
    assert told(found.cells) == [(("x",), {"a.b": 1, "c": 2}), ((7,), {"topology": {"chain": 5}})]
    found = spanned({"keys": ["nodes.a.hardware", "nodes.b.hardware"], "presets": ["ideal", "trapped-ion"]})
    assert told(found.cells)[1] == (("trapped-ion",), {f"nodes.{each}.hardware": "trapped-ion" for each in "ab"})


def test_rows_have_facts_beside_what_they_set() -> None:
    rows = [
        {"facts": {"who": "x", "found": 0.5}, "set": {"a.b": 1}},
        {"facts": {"who": "y", "found": "-"}, "set": {"c": 2}},
    ]
    found = spanned({"rows": rows})
    assert found.names == ("who", "found")
    assert told(found.cells) == [(("x", 0.5), {"a.b": 1}), (("y", "-"), {"c": 2})]
    assert spanned({"rows": [{"facts": {"who": "x"}, "set": {"a": 1}}]}).names == ("who",)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ([{"rows": []}], "s.yaml: axes.0.rows: [] given, expected at least 1 entry"),
        ([{"rows": [{"facts": {"who": "x"}}]}], "s.yaml: axes.0.rows.0.set: missing"),
        (
            [{"rows": [{"facts": {"who": "x"}, "set": {"a": 1}}], "name": "n"}],
            's.yaml: axes.0.name: "n" given, expected nothing beside rows',
        ),
        (
            [{"rows": [{"facts": {"who": "x"}, "set": {"a": 1}}, {"facts": {"whom": "y"}, "set": {"a": 2}}]}],
            's.yaml: axes.0.rows.1.facts: ["whom"] given, expected the columns of the first row: who',
        ),
        ([{"key": "a", "values": []}], "s.yaml: axes.0.values: [] given, expected at least 1 entry"),
        ([{"key": "a", "geomspace": [-1, 10, 3]}],
         "s.yaml: axes.0.geomspace.0: -1.0 given, expected a value above 0"),
        ([{"key": "a", "linspace": [1, 1, 3]}],
         "s.yaml: axes.0.linspace.1: 1.0 given, expected another value than the first"),
        ([{"key": "a", "linspace": [1, 2, 1]}],
         "s.yaml: axes.0.linspace.2: 1 given, expected a count from 2 to 100000"),
        ([{"key": "a", "values": [1]}, {"key": "a", "values": [2]}],
         "s.yaml: axes.1: name 'a' given, which axes.0 has; expected another"),
        ([{"key": "a", "values": [1]}, {"key": "a", "name": "b", "values": [2]}],
         "s.yaml: axes.1: key a given, which axes.0 sets; expected it once"),
        ([{"key": "a", "values": [1, 2, 1]}], "s.yaml: axes.0: 1 given twice, expected each value once"),
        ([{"zip": [{"key": "a", "values": [1, 2]}, {"key": "b", "values": [1]}]}],
         "s.yaml: axes.0.zip.1: 1 values given beside 2, expected as many"),
        ([{"name": "x", "values": [3]}],
         "s.yaml: axes.0.values.0: 3 given, expected a mapping from dotted keys to values, or key beside"),
        ([{"key": "a", "values": [1, 2], "labels": ["x"]}], "s.yaml: axes.0.labels: 1 labels given, expected 2"),
        ([{"key": "a..b", "values": [1]}],
         "s.yaml: axes.0: key 'a..b' given, expected a dotted key: links.0.length_km"),
        ([{"key": "seed", "values": [1]}],
         "s.yaml: axes.0: name 'seed' given, expected another than point, repeat, seed, status, reason"),
        ([{"key": "a"}],
         "s.yaml: axes.0.values: null given, expected one of values, linspace, geomspace, presets, zip, product"),
        ([{"key": "links.0.length_km", "presets": ["ideal"]}],
         's.yaml: axes.0.presets: ["ideal"] given, expected values instead, as links.0.length_km is no fiber and no '
         "hardware"),
        ([{"key": "a", "valeus": [1]}], "did you mean values?"),
        ([{"key": "a", "linspace": [0, 1, 2000]}, {"key": "b", "linspace": [0, 1, 2000]}],
         "s.yaml: axes: 4,000,000 points given, expected at most 1,000,000"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_axis(axes: list[dict[str, Any]], expected: str) -> None:
    with pytest.raises(ScenarioError) as error:
        spanned(*axes)
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ([{"key": "links.0.length_km", "values": [1, -5]}, {"key": "protocol.copies", "values": [10, 20]}],
         "axes.0 (links.0.length_km): value -5 at point 2 (links.0.length_km=-5, protocol.copies=10): "
         "links.0.length_km: -5"),
        ([{"key": "links.0.lenght_km", "values": [1]}],
         "axes.0 (links.0.lenght_km): value 1 at point 0 (links.0.lenght_km=1): links.0.lenght_km: unknown key"),
        ([{"key": "links.7.length_km", "values": [1]}], "axes.0 (links.7.length_km): value 1 at point 0"),
        ([{"key": "protocol.copies", "geomspace": [10, 100, 3]}],
         "axes.0 (protocol.copies): value 31.6227766017 at point 1"),
        ([{"name": "way", "values": [{"links.0.transport": "boat"}]}],
         "axes.0 (way): value boat at point 0 (way=boat)"),
        ([{"key": "protocol.start", "values": ["carol"]}], "axes.0 (protocol.start): value carol at point 0"),
    ],
)  # fmt: skip
def test_a_point_that_is_not_valid_is_named_before_anything_runs(
    axes: list[dict[str, Any]], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, axes=axes)
    line = refused(capfd, path, "--out", str(tmp_path / "out"))
    assert line.startswith(f"{path}: {expected}") and not (tmp_path / "out").exists()


def test_labels_alone_are_a_column_beside_the_axes_of_a_zip() -> None:
    both = {"zip": [{"key": "a", "values": [1, 2]}, {"name": "level", "labels": ["low", "low"]}]}
    assert told(spanned(both).cells) == [((1, "low"), {"a": 1}), ((2, "low"), {"a": 2})]
    twice = {"zip": [{"name": "x", "labels": [1, 1]}, {"name": "y", "labels": [2, 2]}]}
    with pytest.raises(ScenarioError, match=r"s.yaml: axes: point x=1, y=2 given twice, expected each point once"):
        spanned(twice)
