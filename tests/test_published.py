"""Measurements of published accuracies: each pair of a name and a seed is measured once, whatever interrupts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import published
from benchmarks.published import Point, main, near, report, version


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[published.Job]:
    """The jobs that were measured; what is measured for each is made up."""
    jobs: list[published.Job] = []

    def measured(job: published.Job) -> Point:
        jobs.append(job)
        return Point(*job, version(job[0]), {"test part": job[1] / 10})

    monkeypatch.setattr(published, "measured", measured)
    return jobs


def test_what_a_file_has_is_not_measured_again(tmp_path: Path, asked: list[published.Job]) -> None:
    out = tmp_path / "points.jsonl"
    command = ["digits", "--out", str(out), "--seeds"]
    assert main([*command, "2"]) == 0 and asked == [("digits", 1), ("digits", 2)]
    out.write_text(out.read_text() + '{"name":"digits","se')  # a line that an interruption cut short
    assert main([*command, "3"]) == 0 and asked[2:] == [("digits", 3)]
    assert [Point.of(line).seed for line in out.read_text().splitlines()] == [1, 2, 3]


def test_points_of_a_scenario_as_it_was_are_refused(
    tmp_path: Path, asked: list[published.Job], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "points.jsonl"
    out.write_text(Point("digits", 1, "0" * 16, {"test part": 0.9}).line() + "\n")
    with pytest.raises(SystemExit) as stopped:
        main(["digits", "--out", str(out)])
    assert stopped.value.code == 2 and "of version 0000000000000000 given" in capsys.readouterr().err and not asked


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (Point("no-such", 1, "0" * 16, {"test part": 0.9}).line(), "scenario: 'no-such' given, expected a file or one"),
        ('{"name":"digits"}', '{"name":"digits"} given, expected a point on each line'),
    ],
)
def test_a_file_of_something_else_is_refused_in_one_line(
    line: str, told: str, tmp_path: Path, asked: list[published.Job], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "points.jsonl"
    out.write_text(line + "\n")
    with pytest.raises(SystemExit) as stopped:
        main(["digits", "--out", str(out)])
    assert stopped.value.code == 2 and told in capsys.readouterr().err.splitlines()[-1]
    assert out.read_text() == line + "\n" and not asked


def test_the_report_tells_mean_and_deviation() -> None:
    told = report([Point("digits", seed, "", {"test part": value}) for seed, value in ((1, 0.9), (2, 1.0))])
    assert "2 seeds" in told and "mean 0.9500" in told and "standard deviation 0.0707" in told  # 0.1 / sqrt(2)


def test_the_file_of_the_pages_is_of_the_scenarios_as_they_are() -> None:
    file = Path(published.__file__).parent / "results" / "published.jsonl"
    points = [Point.of(line) for line in file.read_text().splitlines()]
    assert len({(point.name, point.seed) for point in points}) == len(points)
    assert all(point.version == version(point.name) for point in points)


def test_nearness_counts_samples_and_does_not_round() -> None:
    """164 of 171 right; two points below are 160.58: 161 are near, 160 are not, and 165 is better."""
    assert near([161 / 171, 160 / 171, 165 / 171], 164 / 171) == 2
    assert near([0.94], 0.96) == 1
