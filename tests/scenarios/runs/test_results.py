"""The result object, the table and its verdict, progress, and the run's folder."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import Field, ValidationError

from ketwire.channels.records import Record
from ketwire.channels.transcript import Chain
from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.nodes.session import SessionResult, Totals
from ketwire.scenarios.kinds.result import Finding, Reference, Rival, RunResult, Summary, plain, result_types
from ketwire.scenarios.reports.units import time_text
from ketwire.scenarios.runs import progress
from ketwire.scenarios.runs.results import Counted, run_result
from ketwire.scenarios.runs.rundir import RunDirectory
from ketwire.scenarios.runs.table import print_table, table_text, verdict

HEAD = {"scenario": "demo", "seed": 7, "protocol": "echo"}


def session(
    name: str, role: Any, totals: Totals, clock_ps: int = 5_000_000, digest: str = "00"
) -> SessionResult:
    records = (
        Record("a->b", 0, "copies", 1_000_000, 5_000_000, 3, 12, 10, 0, 0, 3),
        Record("b->a", 0, "answers", 5_000_000, 5_000_001, 0, 0, 0, 0, 8, 0),
    )
    directions = {"a->b": totals, "b->a": Totals(messages=1, payload_bits=8)}
    return SessionResult(
        name, role, {}, {"a": 1, "b": clock_ps}, directions, (Chain("a->b", 1, digest),), records
    )


QUANTUM = session("echo", "quantum", Totals(1, 3, 12, 10, 0, 0, 3))
RIVAL = session("raw", "rival", Totals(1, payload_bits=640, control_bits=2), clock_ps=7)


class Asked(Summary):
    epsilon: float = Field(default=0.0, description="as asked")


class AskedResult(RunResult, Asked):
    pass


def made(summary: Summary | None, *results: SessionResult, exact: Any = None) -> RunResult:
    references = [] if exact is None else [Reference(exact=exact)]
    return run_result(AskedResult, Counted.of(HEAD, results or (QUANTUM, RIVAL), 0.25), summary, references)


def told(summary: Summary | None, *results: SessionResult, exact: Any = None) -> dict[str, Any]:
    return made(summary, *results, exact=exact).told()


def test_the_result_has_the_wires_figures() -> None:
    result = told(
        Asked(estimate=0.5, epsilon=0.1, rivals={"raw": Finding(estimate=0.75)}), exact=0.7
    )
    expected = {
        **HEAD, "estimate": 0.5, "exact": 0.7, "copies": 3, "qubits_sent": 12, "qubits_delivered": 10,
        "payload_bits": 8, "control_bits": 3, "virtual_time_ps": 5_000_000, "wall_s": 0.25,
        "epsilon": 0.1, "ebits": 0,
        "transcript_sha256": QUANTUM.transcript_sha256,
    }  # fmt: skip
    assert {key: result[key] for key in expected} == expected
    assert math.isclose(result["error"], 0.2)
    rival = result["rivals"]["raw"]
    assert rival["bits"] == 650 and rival["payload_bits"] == 648 and rival["control_bits"] == 2
    assert rival["virtual_time_ps"] == 7 and rival["estimate"] == 0.75 and math.isclose(rival["error"], 0.05)
    assert [each["name"] for each in result["sessions"]] == ["echo", "raw"]
    assert result["sessions"][0]["directions"]["a->b"]["qubits_delivered"] == 10
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_what_is_not_known_is_null() -> None:
    result = told(None)
    assert (
        result["estimate"] is result["exact"] is result["error"] is result["rivals"]["raw"]["error"] is None
    )


def test_the_kind_says_how_many_copies_were_measured_and_nothing_else_of_the_wire() -> None:
    assert told(Summary(copies=2))["copies"] == 2
    with pytest.raises(LocalProtocolError, match="a kind may not give figures of raw: ketwire counts these"):
        told(Summary(rivals={"raw": Rival.model_construct(bits=1)}))
    with pytest.raises(LocalProtocolError, match="rivals that did not run: ghost"):
        told(Summary(rivals={"ghost": Finding()}))
    whole = made(Summary(estimate=1))
    with pytest.raises(LocalProtocolError, match="RunResult returned, expected parts of one of RunResult, AskedResult"):
        told(whole)
    slipped = Summary().model_copy(update={"qubits_sent": 0, "wall_s": 0.0})
    assert (told(slipped)["qubits_sent"], told(slipped)["wall_s"]) == (12, 0.25)


@pytest.mark.parametrize("name", ["qubits_sent", "wall_s", "sessions", "afterwards_failed"])
def test_a_kinds_part_has_no_field_that_ketwire_counts(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Summary(**{name: 1})
    with pytest.raises(TypeError, match=f"^a kind may not give {name}: ketwire counts these$"):
        type("Forged", (Summary,), {"__annotations__": {name: int}, "__module__": __name__})


@pytest.mark.parametrize("name", ["remarks", "counted", "of_session"])
def test_a_kinds_part_has_no_field_that_hides_a_method_of_results(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} given as a field, expected a name that no method of results has$"):
        type("Hiding", (Summary,), {"__annotations__": {name: int}, "__module__": __name__})


def test_a_result_is_of_the_type_that_has_what_was_told() -> None:
    assert type(made(None)) is type(made(Summary())) is RunResult and type(made(Asked())) is AskedResult
    assert not hasattr(made(None), "epsilon")
    with pytest.raises(ValidationError, match="frozen"):
        made(Asked()).qubits_sent = 1  # type: ignore[misc]


def test_results_derive_from_ketwires_model_first() -> None:
    assert result_types(AskedResult | RunResult) == (AskedResult, RunResult)
    backwards = type("Backwards", (Asked, RunResult), {"__module__": __name__})
    for wrong in (dict, Asked, backwards):
        with pytest.raises(TypeError, match="expected models that derive from RunResult first"):
            result_types(wrong)


def test_several_quantum_sessions_are_summed() -> None:
    other = session("echo-2", "quantum", Totals(1, 3, 12, 10, 0, 0, 3), digest="11")
    result = told(None, QUANTUM, other, RIVAL)
    assert result["qubits_sent"] == 24 and result["copies"] == 6 and result["virtual_time_ps"] == 10_000_000
    hashes = {told(None, *results)["transcript_sha256"] for results in ((QUANTUM, other), (QUANTUM,), (other,))}
    assert len(hashes) == 3


@pytest.mark.parametrize(
    ("estimate", "exact", "error"),
    [
        (1, 3, 2),
        ([1, 2], [1, 4.5], 2.5),
        ([1], [1, 2], None),
        (1, [1], None),
        (None, 1, None),
        (math.nan, 1, None),
        (np.array([1.0, math.inf]), [1, 2], None),
        (np.array([1, 2]), np.array([1, 4.5]), 2.5),
        ([], [], None),
    ],
)
def test_the_error_is_the_largest_distance(estimate: Any, exact: Any, error: Any) -> None:
    assert told(Summary(estimate=estimate), exact=exact)["error"] == error


def test_plain_values_are_json() -> None:
    value = {
        "a": np.arange(3),
        2: np.float64("nan"),
        "c": (math.inf, np.int64(3), np.bool_(True)),
    }
    assert plain(value) == {"a": [0, 1, 2], "2": None, "c": [None, 3, True]}
    assert json.dumps(plain(value), allow_nan=False)


def against(bits: int, qubits: int = 100, **told_of: Any) -> str:
    rival = Rival.model_construct(bits=bits, **told_of.pop("rival", {}))
    counts = {"qubits_sent": qubits, "payload_bits": 0, "control_bits": 0, "ebits": 0, "verdict": "", **told_of}
    return verdict(RunResult.model_construct(rivals={"raw": rival}, **counts))


def test_the_verdict_names_the_winner_and_the_factor() -> None:
    assert (
        against(1000)
        == "quantum wins on communication by a factor of 10: 100 qubits against 1,000 bits of raw."
    )
    assert (
        against(40)
        == "the classical rival raw wins on communication by a factor of 2.5: 40 bits against 100 qubits."
    )
    assert against(100) == "quantum and the classical rival raw tie on communication: 100 qubits, 100 bits."
    assert "without sending anything" in against(0)
    assert "by a factor of 1,000,000" in against(100_000_000)
    assert "against 100 qubits and 7 bits" in against(50, payload_bits=4, control_bits=3)


def test_pairs_whose_photons_nobody_counted_are_communication() -> None:
    """Registers that cross by pairs at a measured rate send no photons that are known, and are not for nothing."""
    won = "120 entangled pairs and 240 bits"
    assert against(1000, qubits=0, ebits=120, control_bits=240).endswith(f"2.78: {won} against 1,000 bits of raw.")
    assert "the classical rival raw wins" in against(300, qubits=0, ebits=120, control_bits=240)
    assert against(1000, ebits=90).endswith("by a factor of 10: 100 qubits against 1,000 bits of raw.")


def test_the_table_says_how_many_pairs_were_used_up() -> None:
    result = made(None, session("echo", "quantum", Totals(1, 3, 12, 10, 7, 0, 3)), RIVAL)
    assert "\n7 entangled pairs were used up (ebits); the qubits sent are their photons" in table_text(result)
    result = made(None, session("echo", "quantum", Totals(1, 3, 0, 10, 7, 0, 3)), RIVAL)
    assert "how many photons they took is not known" in table_text(result)
    assert "entangled" not in table_text(made(None, QUANTUM, RIVAL))


def test_the_kinds_own_verdict_comes_first() -> None:
    assert against(1, verdict="nobody wins.") == "nobody wins."


def test_several_quantum_sessions_have_a_row_each() -> None:
    other = session("echo-2", "quantum", Totals(1, 3, 24, 20, 0, 0, 3))
    rows = table_text(made(None, QUANTUM, other, RIVAL)).splitlines()[2:6]
    assert [row.split("  ")[0] for row in rows] == ["echo", "echo-2", "quantum, all", "raw"]
    assert [row.split("  ")[-1].strip() for row in rows[:2]] == ["5 us", "5 us"]
    assert "36" in rows[2].split() and "24" in rows[1].split()


def test_a_rival_that_did_worse_does_not_win() -> None:
    nobody = "nobody wins: no rival that ran was as accurate; rivals with more bits would decide. "
    assert against(1, rival={"comparable": False}) == f"{nobody}Quantum took 100 qubits."
    assert against(1, test_accuracy=0.9, rival={"accuracy": 0.88}).startswith(nobody)
    won = "the classical rival raw wins on communication by a factor of 100: 1 bits against 100 qubits, at an accuracy "
    close = against(1, test_accuracy=0.9, decisions=300, rival={"test_accuracy": 0.88})
    assert close == f"{won}of 0.900 (quantum) and 0.880."
    assert against(1, test_accuracy=0.9, decisions=3000, rival={"test_accuracy": 0.88}).startswith(nobody)


def test_a_rival_that_did_better_decides_only_if_it_sent_less() -> None:
    won = against(99, test_accuracy=0.71, decisions=400, rival={"accuracy": 1.0})
    assert won.startswith("the classical rival raw wins")
    told = against(101, test_accuracy=0.71, decisions=400, rival={"accuracy": 1.0})
    assert told.startswith("nobody wins: raw was more accurate and sent more; more copies, or a rival")


@pytest.mark.parametrize(
    ("time_ps", "text"),
    [(0, "0 s"), (5, "5 ps"), (1500, "1.5 ns"), (50_000_000, "50 us"), (2 * 10**12, "2 s")],
)
def test_virtual_times_have_units(time_ps: int, text: str) -> None:
    assert time_text(time_ps) == text


def test_the_table_is_aligned_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rivals = {"raw": Finding(estimate=0.5, error=0.01)}
    result = made(Summary(test_accuracy=0.93, baseline_accuracy=0.95, rivals=rivals))
    title, head, quantum, rival, sentence = table_text(result).splitlines()
    assert title == "demo: echo, seed 7, 0.25 s" and sentence.endswith(".")
    for column, cells in (
        ("qubits sent", ("12", "0")),
        ("control bits", ("3", "2")),
        ("payload bits", ("8", "648")),
    ):
        end = head.index(column) + len(column)
        assert [row[:end].split()[-1] for row in (quantum, rival)] == list(cells)
    assert quantum.endswith("accuracy 0.930 (baseline 0.950)") and rival.endswith("0.5, off by 0.01")
    monkeypatch.setenv("COLUMNS", "40")
    print_table(result)
    assert capsys.readouterr().out == table_text(result) + "\n"
    monkeypatch.setenv("COLUMNS", "160")
    print_table(result)
    drawn = capsys.readouterr().out
    assert "0.5, off by 0.01" in " ".join(drawn.split()) and "payload bits" in " ".join(drawn.split())


def test_progress_lines_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now_s[0])
    file = io.StringIO()
    with progress.watch(True, file) as watch:
        assert watch is not None
        for done in range(120):
            now_s[0] += 0.125
            watch("echo", "bob", done, 120, "copies", 0, "")
    assert file.getvalue() == "".join(f"echo: bob: {n} of 120 copies\n" for n in (15, 55, 95))
    for asked in (False, None):
        with progress.watch(asked, file) as nothing:
            assert nothing is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_BETWEEN_DRAWS_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with progress.watch(False, file) as nothing:
        assert nothing is None
    with progress.watch(None, file) as watch:
        assert watch is not None
        watch("echo", "bob", 3, 120, "copies [of x]", 0, "")
    assert "bob copies [of x]" in file.getvalue() and "3/120" in file.getvalue()


def test_a_run_folder_is_whole(tmp_path: Path) -> None:
    folder = RunDirectory(tmp_path / "deep" / "run", "seed: 7\n")
    (folder.path / "logs" / "alice.log").write_text("hello")
    (folder.path / "ledger-a-b.jsonl").write_text("{}\n")
    assert list(folder.target.iterdir()) == []
    folder.write_ledger([QUANTUM, RIVAL])
    folder.write_trace([QUANTUM, RIVAL])
    folder.finish({"estimate": 1.0})
    assert sorted(p.name for p in folder.target.iterdir()) == [
        "ledger.jsonl", "logs", "result.json", "scenario.yaml", "trace.json"
    ]  # fmt: skip
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["run"]
    lines = [json.loads(line) for line in (folder.target / "ledger.jsonl").read_text().splitlines()]
    assert [(line["session"], line["direction"]) for line in lines] == [
        ("echo", "a->b"), ("echo", "b->a"), ("raw", "a->b"), ("raw", "b->a")
    ]  # fmt: skip
    assert json.loads((folder.target / "result.json").read_text()) == {"estimate": 1.0}


def test_a_run_folder_may_be_there_if_it_is_empty(tmp_path: Path) -> None:
    target = tmp_path / "run"
    target.mkdir()
    RunDirectory(target, "").finish({})
    with pytest.raises(ScenarioError, match="expected a new or an empty folder"):
        RunDirectory(target, "")
    with pytest.raises(ScenarioError, match="expected a new or an empty folder"):
        RunDirectory(target / "result.json", "")
    with pytest.raises(ScenarioError, match="expected a folder that can be written"):
        RunDirectory(target / "result.json" / "run", "")


def test_a_mount_point_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*paths: Any) -> None:
        raise OSError("busy")

    target = tmp_path / "run"
    target.mkdir()
    folder = RunDirectory(target, "")
    monkeypatch.setattr("ketwire.scenarios.runs.rundir.os.rename", busy)
    monkeypatch.setattr("ketwire.scenarios.runs.rundir.shutil.move", lambda a, b: Path(a).replace(b))
    folder.finish({})
    assert (target / "result.json").exists() and [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_discarded_folder_leaves_nothing(tmp_path: Path) -> None:
    RunDirectory(tmp_path / "run", "").discard()
    assert list(tmp_path.iterdir()) == []
