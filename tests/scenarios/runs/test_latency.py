"""`--latency`: what a result, the table and the figures tell of the critical path, also of runs in processes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import ketwire as kw
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Run, SessionResult
from ketwire.nodes.times.segments import CAUSES
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.result import CopyTimes, Latency
from ketwire.scenarios.runs.latency import latency_text
from ketwire.scenarios.runs.launch import Options, launch

NAME = "two-layer-inference"
SMALL = ("--set", "protocol.epsilon=0.1", "--set", "protocol.dense_state=", "--set", "protocol.description=")
FEW = {"protocol.epsilon": 0.1, "protocol.dense_state": None, "protocol.description": None}


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.execute(argv) == 0
    return capsys.readouterr().out


def test_the_causes_of_a_result_add_up_and_change_nothing_else() -> None:
    timed, plain = kw.run(NAME, FEW, latency=True), kw.run(NAME, FEW)
    assert plain.latency is None and "latency" not in plain.told()
    latency = timed.latency
    assert latency is not None
    assert sum(latency.causes.values()) == timed.virtual_time_ps == latency.path[-1].to_ps
    assert set(latency.causes) <= set(CAUSES)
    copies = latency.copies["inference"]
    assert copies.copies == timed.copies and 0 < copies.p50_ps <= copies.p95_ps <= copies.p99_ps < timed.virtual_time_ps
    assert copies.p99_ps <= copies.first_ps + timed.virtual_time_ps
    told = timed.told()
    assert Latency.model_validate(told.pop("latency")) == latency
    told["wall_s"] = 0.0
    assert told == {**plain.told(), "wall_s": 0.0}
    assert timed.ledger().equals(plain.ledger())


def test_a_copy_takes_its_bins_and_its_flight() -> None:
    """One crossing, one copy under way at a time: preparation to readout is the same for each, to the picosecond."""
    scenario = {
        "seed": 1, "nodes": {"a": {}, "b": {}},
        "links": [{"between": ["a", "b"], "fiber": "ideal", "length_km": 2.0, "emission_rate_hz": 1e6}],
        "protocol": {"kind": "inference", "qubits": 2, "start": "a", "copies": 5, "window": 1, "dense_state": None,
                     "layers": [{"at": "a", "layer": "hadamards"}, {"at": "b", "layer": "hadamards"}]},
    }  # fmt: skip
    latency = kw.run(scenario, latency=True).latency
    assert latency is not None
    copies = latency.copies["inference"]
    once_ps = 2 * 1_000_000 + 10_000_000
    assert (copies.p50_ps, copies.p99_ps, copies.first_ps, copies.copies) == (once_ps, once_ps, once_ps, 5)
    assert latency.causes == {"emission": 5 * 2_000_000, "flight": 5 * 10_000_000, "window": 4 * 10_000_000}
    assert [each.cause for each in latency.path[:3]] == ["emission", "flight", "window"]
    assert latency.path[0].counts == {"bins": 2} and latency.path[1].counts == {"crossings": 1}


def test_the_table_names_each_cause_with_its_share(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "run", NAME, "--inline", "--latency", *SMALL)
    table = out[out.index("Where ") :].splitlines()
    result: Any = json.loads(printed(capsys, "run", NAME, "--inline", "--latency", "--json", *SMALL))
    causes = result["latency"]["causes"]
    shown = [line.split("  ")[1].strip() for line in table[1 : 1 + len(causes)]]
    assert shown == sorted(causes, key=lambda cause: -causes[cause])
    assert "copies from preparation to readout: p50 " in table[-1] and "the first result after" in table[-1]


def test_a_run_without_durations_says_so() -> None:
    """Neither length nor rates: all happens at time 0."""
    copies = CopyTimes(p50_ps=0, p95_ps=0, p99_ps=0, copies=1, first_ps=0)
    assert latency_text(Latency(path=[], causes={}, copies={"s": copies})).splitlines() == [
        "No virtual time passed.",
        "s: 1 copy from preparation to readout: p50 0 s, p95 0 s, p99 0 s; the first result after 0 s",
    ]


def test_a_run_in_processes_has_the_same_path(tmp_path: Path) -> None:
    inline = kw.run(NAME, FEW, latency=True)
    processes = kw.run(NAME, FEW, latency=True, processes=True, out=tmp_path / "run")
    assert processes.latency is not None and processes.latency == inline.latency
    trace = (tmp_path / "run" / "trace.json").read_text()
    assert '"emitter to bob"' in trace and '"memory"' in trace


def test_another_transcript_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run whose sessions went otherwise, the one in this process says nothing; the result says so."""

    def otherwise(run: Run, *more: Any) -> list[SessionResult]:
        return run_inline(replace(run, seed=run.seed + 1), *more)

    result = launch(kw.Scenario.load(NAME).replace(FEW).loaded(), otherwise, Options(progress=False, latency=True))
    assert result.latency is None and [each.step for each in result.afterwards_failed] == ["latency"]
    assert "expected the same transcript" in result.afterwards_failed[0].message


def test_a_study_records_causes() -> None:
    base = yaml.safe_load(kw.Scenario.load(NAME).replace(FEW).to_yaml())
    axes = [{"key": "links.0.length_km", "values": [5, 10]}]
    outcome = kw.study({"base": base, "axes": axes, "record": ["latency.causes.flight", "virtual_time_ps"]})
    flights_ps = [*outcome.frame()["latency.causes.flight"]]
    assert all(ps > 0 and ps % (km * 5_000_000) == 0 for ps, km in zip(flights_ps, (5, 10), strict=True))


@pytest.mark.long
def test_a_figure_has_the_causes_and_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    printed(capsys, "run", NAME, "--inline", "--latency", "--out", str(tmp_path / "run"), *SMALL)
    assert "wrote" in printed(capsys, "plot", str(tmp_path / "run"))
    text = (tmp_path / "run" / "figure.svg").read_text()
    assert "Where the time went" in text and "Critical path" in text
