"""The live view: a row for each party, from runs in one process and in many."""

from __future__ import annotations

import io

import pytest

from ketwire.errors import ScenarioError
from ketwire.scenarios import cli
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.board import Board
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.runs.progress import watch


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_keep_what_was_told() -> None:
    board = Board([("training", ("alice", "bob")), ("raw", ("alice", "bob"))])
    board.told("training", "bob", ("steps", 1, 20), 5_000_000, "loss 0.5")
    board.told("training", "bob", ("copies emitted", 1_200, 1_500), 6_000_000, "")
    rows = {key: (row.phase, row.clock_ps, row.found) for key, row in board.rows.items()}
    assert rows == {
        ("training", "alice"): ("waits", 0, ""),
        ("training", "bob"): ("steps 1 of 20, copies emitted 1,200 of 1,500", 6_000_000, "loss 0.5"),
    }
    board.told("raw", "alice", ("[b]rows", 1, 2), 0, "")
    assert list(board.rows)[2:] == [("raw", "alice"), ("raw", "bob")]


def test_the_view_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    file = Terminal()
    with watch(None, file, board=[("echo", ("alice", "bob"))]) as progress:
        assert progress is not None
        progress("echo", "bob", 3, 120, "copies [of x]", 1_500_000, "estimate 0.25")
    drawn = " ".join(file.getvalue().split())
    assert "copies [of x] 3 of 120" in drawn and "1.5 us" in drawn and "estimate 0.25" in drawn and "waits" in drawn


@pytest.mark.parametrize("inline", [True, False])
def test_runs_tell_clocks_and_estimates(inline: bool) -> None:
    told = []

    def runtime(run, progress, ledger, base, out):  # type: ignore[no-untyped-def]
        return cli.runtime_of(inline, False, False)(run, lambda *said: told.append(said), ledger, base, out)

    result = launch(load("two-layer-inference"), runtime, Options())
    session, party, done, total, label, clock_ps, found = [each for each in told if each[6]][-1]
    assert (session, party, label, found) == ("inference", "alice", "copies emitted", f"estimate {result.estimate:.4g}")
    assert done == total and clock_ps == result.virtual_time_ps


def test_without_a_terminal_it_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ScenarioError, match="--watch: standard error is no terminal"), watch(None, io.StringIO(), []):
        pass
    assert cli.execute(["run", "two-layer-inference", "--inline", "--watch"]) == 2
    assert cli.execute(["run", "two-layer-inference", "--inline", "--watch", "--no-progress"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("--watch: ")[2] for line in lines] == [
        "standard error is no terminal, expected one; else take --progress",
        "given with --no-progress, expected one of them",
    ]
