"""The growth of copies with P: the measurement can be repeated and taken up again, the page shows what was found."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import growth
from benchmarks.growth import ESTIMATORS, Instance, Point, Settings, main, measured, read
from benchmarks.growth_fits import Points, fit, halfway, lnln, report, rounded, times
from ketwire.quantum import layers
from ketwire.quantum.gradients.features import phi
from ketwire.quantum.segments import Segment

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "growth.jsonl"
SETTINGS, FOUND = read(RESULTS)
KNOWN = {point.key: point for point in FOUND}


# ---------------------------------------------------------------- what is stored, what is shown


def test_the_page_shows_what_the_points_say() -> None:
    page = (ROOT / "docs" / "estimators.md").read_text().splitlines()
    lines = report(FOUND).splitlines()
    assert len(lines) > 60
    for line in lines:
        assert line in page


def test_the_figure_is_drawn_from_the_points() -> None:
    drawn = subprocess.run([sys.executable, ROOT / "docs" / "growth_in_p.py"], input=RESULTS.read_text(),
                           capture_output=True, text=True, check=True, timeout=60)  # fmt: skip
    assert drawn.stdout == (ROOT / "docs" / "growth-in-p.svg").read_text()


def test_half_of_the_updates_are_made_where_parameters_are_as_many_as_dimensions() -> None:
    """What the page says of where shadow tomography saturates."""
    points = Points(FOUND)
    page = " ".join((ROOT / "docs" / "estimators.md").read_text().split())
    halves = [halfway(points, qubits) for qubits in (3, 4, 5)]
    assert "at P = {:.0f}, {:.0f} and {:.0f} for n = 3, 4, 5".format(*halves) in page
    assert all(0.6 < half / 4**qubits < 1.2 for half, qubits in zip(halves, (3, 4, 5), strict=True))


def test_the_page_tells_the_bend_of_shadow_tomography_as_it_is() -> None:
    """The last decade's exponent over the first one's: measured, and of any power of ln P."""
    page = " ".join((ROOT / "docs" / "estimators.md").read_text().split())
    of = [Points(FOUND).of("shadow-tomography", qubits) for qubits in (3, 4, 5, 6)]
    bends = [fit(each, least=1000).exponent / fit(each, most=100).exponent for each in of]
    assert "{:.2f}, {:.2f}, {:.2f} and {:.2f} times for n = 3 to 6".format(*bends) in page
    logarithm = [replace(point, needed=round(1e9 * np.log(point.parameters) ** 3)) for point in of[0]]
    bend = fit(logarithm, least=1000).exponent / fit(logarithm, most=100).exponent
    assert f"has in the last decade {bend:.2f} times the exponent of the first" in page


def test_the_points_are_complete() -> None:
    points = Points(FOUND)
    assert points.qubits == [3, 4, 5, 6] and tuple(points.parameters) == growth.PARAMETERS
    for name in ESTIMATORS:
        for qubits in points.qubits:
            for parameters in points.parameters:
                assert len({point.seed for point in points.at(name, qubits, parameters)}) >= 3
    assert len(KNOWN) == len(FOUND)
    for point in FOUND:
        near = point.at / growth.NEAR <= point.needed <= point.at * growth.NEAR
        assert near if point.at else point.error < SETTINGS.epsilon


@pytest.mark.parametrize(
    "key",
    [
        ("direct", 3, 10, 0),
        ("commuting", 5, 30, 1),
        ("classical-shadows", 3, 30, 1),
        ("tomography", 4, 100, 0),
        ("shadow-tomography", 4, 100, 3),
    ],
)
def test_a_point_is_found_again_from_its_seed(key: tuple[str, int, int, int]) -> None:
    assert measured(SETTINGS, key) == KNOWN[key]


# ---------------------------------------------------------------- how it is measured


def test_an_instance_is_what_the_parties_would_make() -> None:
    case = Instance.drawn(3, 20, 4)
    rng = np.random.default_rng([4, 3, 20])
    assert case.segment.circuit.parameter_count == 20 == len(case.exact)
    assert (rng.uniform(0, 2 * np.pi, 20) == case.segment.values).all()
    V = Segment(layers.dense(layers.random_unitary(3, rng)))
    assert np.abs(case.phi - phi(layers.haar_state(3, rng), case.segment, [V])).max() < 1e-12


def test_a_measurement_is_taken_up_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--qubits", "2", "--most", "30", "--instances", "1", "--epsilon", "0.3"]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    main([*options, "--out", str(whole)])
    text = whole.read_text()
    assert len(text.splitlines()) == 1 + 2 * (len(ESTIMATORS) + 1)
    torn.write_text(text[: len(text) // 2])
    capsys.readouterr()
    main([*options, "--out", str(torn)])
    assert torn.read_text() == text
    progress = capsys.readouterr().err.splitlines()
    assert 0 < len(progress) < len(text.splitlines()) - 1
    with pytest.raises(SystemExit) as refused:
        main([*options, "--out", str(torn), "--noise", "3"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert refused.value.code == 2 and "noise=2.0) given, expected" in told and "noise=3.0" in told
    assert torn.read_text() == text


def test_copies_are_not_told_from_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """However wrong the guess, what is needed is measured near by; or nothing is told."""
    monkeypatch.setattr(growth, "GUESS", dict.fromkeys(growth.GUESS, 60.0))
    point = measured(Settings(), ("commuting", 3, 10, 0))
    usual = KNOWN["commuting", 3, 10, 0]
    assert point.at != usual.at and 0.5 < point.needed / usual.needed < 2
    monkeypatch.setattr(growth, "LOOKS", 1)
    with pytest.raises(RuntimeError, match="commuting: no number of copies found"):
        measured(Settings(), ("commuting", 3, 10, 0))


# ---------------------------------------------------------------- fits


def law(exponent: float, scatter: float, rng: np.random.Generator, each: int = 3) -> list[Point]:
    P = np.repeat(growth.PARAMETERS, each)
    needed = 1e6 * P**exponent * np.exp(scatter * rng.normal(size=len(P)))
    return [Point("direct", 3, int(p), 0, 0, round(n)) for p, n in zip(P, needed, strict=True)]


def test_a_power_is_found_and_told_from_a_logarithm() -> None:
    found = law(0.7, 0.0, np.random.default_rng(0))
    power, log = fit(found), fit(found, lnln)
    assert abs(power.exponent - 0.7) < 1e-6 and power.high - power.low < 1e-5
    assert power.misfit < 1e-5 and log.misfit > 0.2
    assert abs(fit(found, least=1000).exponent - 0.7) < 1e-6


def test_intervals_hold_what_they_say() -> None:
    rng = np.random.default_rng(1)
    fits = [fit(law(0.7, 0.3, rng)) for _ in range(400)]
    held = sum(each.low < 0.7 < each.high for each in fits)
    assert stats.binomtest(held, 400, 0.95).pvalue > 1e-3
    scatter = np.sqrt(np.mean([each.scatter**2 for each in fits]))
    assert abs(scatter / (0.3 / np.sqrt(3)) - 1) < 0.05


def test_figures_are_rounded_as_people_do() -> None:
    assert [rounded(value) for value in (577.4, 1594, 24_449, 2e7)] == ["577", "1,590", "2.4·10^4", "2·10^7"]
    assert [times(value) for value in (1.66, 12.4, 99.6, 5944)] == ["1.7", "12", "100", "5,940"]
