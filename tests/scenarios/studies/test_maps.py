"""Maps of a study: cells where their values are, the line of a value, and presets where they are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.scenarios.reports.figures import save
from ketwire.scenarios.studies.maps import Mark, place_of
from tests.studies import LENGTHS, refused, study_of, written

pytest.importorskip("matplotlib")
FIDELITIES: dict[str, Any] = {
    "name": "pair_fidelity", "key": "protocol.copies", "values": [50, 90], "labels": [0.5, 0.9],
}  # fmt: skip
MAP: dict[str, Any] = {"x": "links.0.length_km", "y": "pair_fidelity", "z": "qubits_sent", "log": ["x"]}


def axes_of(study: dict[str, Any]) -> list[Any]:
    return kw.study(study, progress=False).plot().axes


def test_cells_lie_around_their_values_and_say_them() -> None:
    panel, bar = axes_of(study_of(axes=[LENGTHS, FIDELITIES], record=["qubits_sent"], figures=[MAP]))
    [mesh] = [each for each in panel.collections if type(each).__name__ == "QuadMesh"]
    corners = mesh.get_coordinates()
    middle = math.sqrt(5)  # of 1 km and 5 km on a logarithmic axis
    assert corners[0, :, 0].tolist() == pytest.approx([5**-0.5, middle, 5 * middle])
    assert corners[:, 0, 1].tolist() == pytest.approx([0.3, 0.7, 1.1])
    values = mesh.get_array()
    assert {text.get_text() for text in panel.texts} == {f"{each:.3g}" for each in values.flatten().tolist()}
    assert values[1, 1] > values[0, 0]  # more copies over more losses
    assert (panel.get_xscale(), panel.get_xlabel(), panel.get_ylabel()) == ("log", "length (km)", "pair fidelity")
    assert bar.get_ylabel() == "qubits sent" and panel.get_title(loc="left") == "qubits sent over length (km)"


def test_points_without_a_value_are_left_blank() -> None:
    copies = {**FIDELITIES, "values": [50, 10**9]}
    panel, _ = axes_of(study_of(axes=[LENGTHS, copies], record=["qubits_sent"], figures=[MAP]))
    assert len(panel.texts) == 2


def test_the_contour_is_drawn_where_values_pass_it_and_presets_where_they_are(tmp_path: Path) -> None:
    marked = {**MAP, "contour": 200, "marks": ["innsbruck-230m", "delft-metro-2024", "telecom-fiber"]}
    lengths = {**LENGTHS, "values": [0.4, 5]}
    study = study_of(axes=[lengths, FIDELITIES], record=["qubits_sent"], figures=[marked, {**marked, "contour": 1e9}])
    outcome = kw.study(study, progress=False)
    with_line, without = (panel for panel in outcome.plot().axes if panel.get_title(loc="left"))
    lines = [[type(each).__name__ for each in panel.collections] for panel in (with_line, without)]
    assert [sum("Contour" in name for name in names) for names in lines] == [1, 0]
    assert {"innsbruck-230m", "delft-metro-2024"} & {text.get_text() for text in with_line.texts} == {"innsbruck-230m"}
    save(outcome.plot(), tmp_path / "map.svg")
    drawn = (tmp_path / "map.svg").read_text()
    assert "innsbruck-230m: 0.52 km, pair fidelity 0.881</" in drawn
    assert "links.0.length_km=0.4, pair_fidelity=0.9: " in drawn


def test_presets_above_or_below_a_map_are_at_its_edge_with_their_fidelity() -> None:
    labels = {**FIDELITIES, "labels": [0.6, 0.7]}
    figure = {**MAP, "marks": ["innsbruck-230m", "delft-metro-2024"]}
    lengths = {**LENGTHS, "values": [1, 20]}
    panel, _ = axes_of(study_of(axes=[lengths, labels], record=["qubits_sent"], figures=[figure]))
    marked = {text.get_text(): line for text, line in zip(panel.texts[-2:], panel.lines[-2:], strict=True)}
    assert {name: line.get_marker() for name, line in marked.items()} == {
        "innsbruck-230m (0.88)": "^", "delft-metro-2024 (0.53)": "v",
    }  # fmt: skip
    low, high = panel.get_ylim()
    assert all(low < line.get_ydata()[0] < high for line in marked.values())


def test_presets_lie_at_their_length_and_the_fidelity_of_their_pairs() -> None:
    assert place_of("delft-metro-2024") == Mark("delft-metro-2024", 25.0, 0.534)
    innsbruck = place_of("innsbruck-230m")
    assert innsbruck is not None and innsbruck.fidelity == pytest.approx(0.8811, abs=5e-5)
    assert place_of("telecom-fiber") is place_of("duke-2024") is None  # no pairs, no length


@pytest.mark.parametrize(("figure", "expected"), [
    ({"contour": 1.0, "z": None}, "figures.0.contour: 1.0 given, expected z beside it"),
    ({"marks": ["oxford-2025"], "z": None}, "figures.0.marks: "),
    ({"hue": "pair_fidelity"}, "figures.0.hue: \"pair_fidelity\" given, expected none beside z"),
    ({"marks": ["atlantis"]}, "figures.0.marks.0: \"atlantis\" given, expected a preset of links: ideal, "),
    ({"z": "qubits"}, "figures.0.z: 'qubits' given, expected an axis or a recorded field"),
])  # fmt: skip
def test_maps_that_make_no_sense_are_refused(
    figure: dict[str, Any], expected: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drawn = {key: value for key, value in {**MAP, **figure}.items() if value is not None}
    assert expected in refused(capfd, written(tmp_path, axes=[LENGTHS, FIDELITIES], figures=[drawn]))
