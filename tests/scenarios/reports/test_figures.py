"""Figures: which panels a result has, series that a grey print tells apart, the same octets for the same result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ketwire as kw
from ketwire.errors import ScenarioError
from ketwire.scenarios import cli
from ketwire.scenarios.reports.figures import draw, save
from ketwire.scenarios.reports.network import placed

pytest.importorskip("matplotlib")
FIGURES = {"qubits_sent": 60, "ebits": 0, "payload_bits": 7, "control_bits": 3}
RIVALS = {
    name: {**FIGURES, "estimate": 0.5, "test_accuracy": 0.8, "losses": [0.9, 0.4]} for name in ("raw", "dense", "code")
}
HEAD = {"scenario": "s", "seed": 1, "protocol": "p", **FIGURES, "copies": 100, "exact": None}
TRAINING = {**HEAD, "losses": [1.0, 0.5], "test_accuracy": 0.9, "decisions": 50, "estimate": None, "rivals": RIVALS}
ESTIMATE = {**HEAD, "estimate": 0.25, "exact": 0.3, "rivals": RIVALS}
GRADIENT = {
    **HEAD, "estimate": [0.1, 0.2], "exact": [0.1, 0.3], "parameters": 2, "rivals": {},
    "estimators": {name: {"estimate": [0.1, 0.2]} for name in ("direct", "commuting")},
}  # fmt: skip
SIZES = {**HEAD, "estimate": None, "rivals": {}, "sizes": [
    {"N": 4, "qubits_per_decision": 2, "rivals": {"raw": {"bits_per_decision": 4}}},
    {"N": 8, "qubits_per_decision": 3, "rivals": {"raw": {"bits_per_decision": 8}}},
]}  # fmt: skip
STRETCHES = [
    {"session": "s", "cause": cause, "where": where, "from_ps": 10 * k, "to_ps": 10 * k + 10, "counts": {}}
    for k, (cause, where) in enumerate([("emission", "a->b"), ("flight", "a->b"), ("gates", "b"), ("flight", "b->a")])
]
LATENCY = {**ESTIMATE, "virtual_time_ps": 40, "latency": {
    "path": STRETCHES, "causes": {"emission": 10, "flight": 20, "gates": 10}, "copies": {},
}}  # fmt: skip
PANELS = {
    "latency": (LATENCY, ["Estimate", "Cost beside the classical rivals", "Where the time went", "Critical path"]),
    "training": (TRAINING, ["Losses", "Accuracy on the test part", "Cost beside the classical rivals"]),
    "estimate": (ESTIMATE, ["Estimate", "Cost beside the classical rivals"]),
    "gradient": (GRADIENT, ["Derivatives", "Cost beside the classical rivals"]),
    "sizes": (SIZES, ["Growth with the size"]),
}


@pytest.mark.parametrize("name", PANELS)
def test_a_result_has_the_panels_of_what_it_tells(name: str) -> None:
    result, titles = PANELS[name]
    assert [axes.get_title(loc="left") for axes in draw(result).axes] == titles


@pytest.mark.parametrize("title", ["Estimate", "Accuracy on the test part"])
def test_what_was_found_stands_in_the_order_of_the_table(title: str) -> None:
    (panel,) = [axes for axes in draw(ESTIMATE if title == "Estimate" else TRAINING).axes
                if axes.get_title(loc="left") == title]  # fmt: skip
    names = [label.get_text() for _, label in sorted(zip(panel.get_yticks(), panel.get_yticklabels(), strict=True))]
    assert (names if panel.yaxis_inverted() else names[::-1]) == ["quantum", *RIVALS]


@pytest.mark.parametrize("name", PANELS)
def test_series_differ_in_marker_or_dash_as_well_as_in_colour(name: str) -> None:
    for axes in draw(PANELS[name][0]).axes:
        lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
        shapes = {(str(line.get_marker()), str(line._dash_pattern)) for line in lines}
        assert len(shapes) == len({str(line.get_color()) for line in lines}) == len(lines)


def test_the_bars_of_the_time_and_the_path_are_as_long_as_the_result_says() -> None:
    bars, gantt = draw(LATENCY).axes[2:]
    assert sorted(patch.get_width() for patch in bars.patches) == [10, 10, 20]
    spans = {tuple(path.get_extents().intervalx) for rows in gantt.collections for path in rows.get_paths()}
    assert spans == {(0, 10), (10, 20), (20, 30), (30, 40)}
    assert [label.get_text() for label in gantt.get_yticklabels()] == ["a->b", "b", "b->a"]
    assert [text.get_text() for text in gantt.get_legend().get_texts()] == ["emission", "flight", "gates"]


def test_an_interval_is_as_wide_as_was_promised() -> None:
    def ends(result: dict[str, Any]) -> list[float]:
        [axes] = [axes for axes in draw(result).axes if axes.get_title(loc="left") == "Estimate"]
        [bar, *_] = [each for each in axes.containers if each.has_xerr]
        return [float(x) for x, _ in bar.lines[2][0].get_segments()[0]]

    assert ends({**ESTIMATE, "epsilon": 0.1, "delta": 0.05}) == pytest.approx([0.15, 0.35])
    half = 2 * (0.25 * 0.75 / 100) ** 0.5
    assert ends(ESTIMATE) == pytest.approx([0.25 - half, 0.25 + half])


def test_the_same_result_gives_the_same_octets(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        save(draw(TRAINING), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_nodes_are_placed_by_the_shape_of_their_network() -> None:
    chain = placed({"b": ["a", "c"], "a": ["b"], "c": ["b"]})
    assert [chain[name] for name in "abc"] == [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)]
    star = placed({"m": ["a", "b", "c"], "a": ["m"], "b": ["m"], "c": ["m"]})
    assert star["m"] == (0.0, 0.0) and all(sum(x * x for x in star[name]) == pytest.approx(1) for name in "abc")
    ring = placed({"a": ["b", "d"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c", "a"]})
    assert len(set(ring.values())) == 4


def test_a_run_folder_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kw.run("ring-of-three", out=tmp_path / "run")
    assert cli.execute(["plot", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'run' / 'figure.svg'}\n"
    text = (tmp_path / "run" / "figure.svg").read_text()
    assert "0.5 km" in text and "Estimate" in text
    assert cli.execute(["plot", str(tmp_path / "run"), "-o", str(tmp_path / "f.png")]) == 0
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["nowhere"], "nowhere/result.json: No such file or directory, expected the folder of a finished run"),
        (["failed"], "failed/result.json: tells of a run that failed, expected one that finished"),
        (["failed", "-o", "f.gif"], "-o: f.gif given, expected a file that ends in .svg, .png, .pdf"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    argv: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "result.json").write_text(json.dumps({"error": {"kind": "PartyFailed"}}))
    assert cli.execute(["plot", *argv]) == 2
    assert capsys.readouterr().err == f"ketwire: {told}\n"


def test_without_matplotlib_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ScenarioError, match=r"plot: matplotlib is not installed, expected the extra plots: pip "):
        draw(ESTIMATE)


def test_a_run_in_which_nothing_is_sent_is_drawn_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    draw({**ESTIMATE, **dict.fromkeys(FIGURES, 0), "rivals": {}})
    assert not recwarn.list
