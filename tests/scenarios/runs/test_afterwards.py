"""A run that is over is never lost: what fails after it stands beside its result. And who is blamed for what."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.result import Figures
from ketwire.scenarios.load import load
from tests import mistakes
from tests.hands import Hands, hands
from tests.kit import place, rarely, unannounced
from tests.nodes.processes.test_by_hand import Network

__all__ = ["hands"]
SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 2}]
protocol: {kind: "tests.mistakes:Mistaken"}
"""
RAISED = place(mistakes.__file__, "# as asked")
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
HOW = ["--inline", "--plaintext"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the scenario is."""
    (tmp_path / "m.yaml").write_text(SCENARIO)
    return tmp_path


class Run:
    """What `ketwire run` came to."""

    def __init__(self, capfd: pytest.CaptureFixture[str], folder: Path, *argv: str, command: str = "run") -> None:
        capfd.readouterr()
        self.code = cli.execute([command, str(folder / "m.yaml"), *argv])
        self.out, self.err = capfd.readouterr()

    @property
    def told(self) -> Any:
        """The one object on standard output."""
        return json.loads(self.out)


def fails(*what: str) -> tuple[str, str]:
    return ("--set", f"protocol.fails=[{', '.join(what)}]")


def wrong(what: str) -> tuple[str, str]:
    return ("--set", f"protocol.wrong={what}")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result where nothing fails."""
    from ketwire.scenarios.runs.launch import Options, launch

    path = tmp_path_factory.mktemp("sound") / "m.yaml"
    path.write_text(SCENARIO)
    return launch(load(str(path)), cli.runtime_of(True, False, False), Options(check=True, progress=False)).told()


def same_figures(told: dict[str, Any], sound: dict[str, Any]) -> bool:
    def counted(result: dict[str, Any]) -> Any:
        names = {"scenario", "seed", "protocol", "sessions", *Figures.model_fields}
        rivals = {each: {name: rival[name] for name in rival if name in {"bits", *Figures.model_fields}}
                  for each, rival in result["rivals"].items()}  # fmt: skip
        return {name: result[name] for name in names}, rivals

    return bool(counted(told) == counted(sound))


# ---------------------------------------------------------------- the kind fails


@pytest.mark.parametrize("step", ["summarise", "exact", "witness", "retraced", "compared"])
def test_a_step_that_fails_after_the_run_stands_beside_the_result(
    step: str, folder: Path, capfd: pytest.CaptureFixture[str], sound: dict[str, Any]
) -> None:
    run = Run(capfd, folder, "--inline", "--json", "--check", "--out", str(folder / "out"), *fails(step))
    message = f"{RAISED}: LookupError: {step} went wrong"
    assert run.code == 3 and run.told["afterwards_failed"] == [
        {"step": step, "kind": "LookupError", "message": message}
    ]  # fmt: skip
    assert run.err.splitlines()[-1] == f"ketwire: the run is over, but {step} failed: {message}"
    assert "Traceback" not in run.err
    assert same_figures(run.told, sound)
    for key, of in {"estimate": "summarise", "exact": "exact", "retraced": "retraced", "compared": "compared"}.items():
        kept = of != step and not (of == "compared" and step == "summarise")
        assert run.told.get(key) == (sound[key] if kept else None)
    assert json.loads((folder / "out" / "result.json").read_text()) == run.told
    assert {"ledger.jsonl", "trace.json", "scenario.yaml"} < {path.name for path in (folder / "out").iterdir()}
    assert "quantum took 50 qubits" in run.told["verdict"] or step not in ("summarise", "compared")


@pytest.mark.parametrize(
    ("fault", "step", "message"),
    [
        ("nothing", "summarise", "NoneType returned, expected a Summary"),
        ("forged", "summarise", "qubits_sent: Extra inputs are not permitted"),
        ("mistyped", "summarise", "accuracy: Input should be a valid number"),
        ("foreign", "summarise", "Foreign returned, expected parts of one of RunResult, MistakenResult"),
        ("figures", "summarise", "a kind may not give figures of again: ketwire counts these"),
        ("ghost", "summarise", "a kind speaks of rivals that did not run: nobody"),
        ("unwritable", "summarise", "UnicodeEncodeError: "),
        ("huge", "summarise", "ValueError: Exceeds the limit"),
        ("exits", "summarise", "SystemExit: 0"),
        ("quiet", "summarise", "Quiet"),
        ("swindle", "compared", "a kind may not give figures of again: ketwire counts these"),
        ("table", "table", "ValueError: "),
    ],
)
def test_whatever_a_kind_does_with_a_result_what_was_counted_stays(
    fault: str, step: str, message: str, folder: Path, capfd: pytest.CaptureFixture[str], sound: dict[str, Any]
) -> None:
    run = Run(capfd, folder, "--inline", "--json", *fails(fault))
    (failed,) = run.told["afterwards_failed"]
    assert run.code == 3 and failed["step"] == step and message in failed["message"]
    assert same_figures(run.told, sound) and "no verdict" in run.told["verdict"]


@pytest.mark.parametrize("how", HOW)
def test_without_a_summary_costs_and_outcomes_are_told(
    how: str, folder: Path, capfd: pytest.CaptureFixture[str], sound: dict[str, Any]
) -> None:
    """Two steps fail, each with its line."""
    run = Run(capfd, folder, how, "--json", "--check", *fails("summarise", "exact"))
    assert run.code == 3 and [each["step"] for each in run.told["afterwards_failed"]] == ["summarise", "exact"]
    assert same_figures(run.told, sound) and {*Figures.model_fields} <= {*run.told}
    heads, many = sound["estimate"], {"dtype": "float64", "shape": [2000]}
    assert run.told["outcomes"]["tosses"]["alice"] == {
        "heads": heads, "few": [1, 2], "many": many,
    }  # fmt: skip
    assert run.told["outcomes"]["tosses"]["bob"]["arrived"] == sound["qubits_delivered"]


@pytest.mark.parametrize("fault", ["summarise", "table"])
def test_the_table_shows_what_is_left(fault: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(capfd, folder, "--inline", *fails(fault))
    _, _, quantum, rival, *rest = run.out.splitlines()
    assert run.code == 3 and quantum.split()[:2] == ["quantum", "50"] and rival.startswith("again")
    assert rest[-1].startswith(f"no verdict, as {fault} failed; quantum took 50 qubits and ")
    if fault == "summarise":
        assert rest[0].startswith('tosses, alice: {"heads": ')


def test_an_interrupt_is_no_failure_of_a_step(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(capfd, folder, "--inline", "--json", *fails("interrupted"))
    assert run.code == 130 and run.told["error"]["kind"] == "KeyboardInterrupt"


@pytest.mark.parametrize("stdout", ["/dev/full", ""], ids=["full", "unread"])
def test_it_is_told_where_nobody_takes_the_result(stdout: str, hands: Hands, folder: Path) -> None:
    run = hands.start(folder, "run", "m.yaml", "--inline", *fails("summarise"), stdout=stdout)
    assert run.ended() == 3
    told = [line for line in unannounced(run.err).splitlines() if line.startswith("ketwire: ")]
    assert told[0].startswith("ketwire: the run is over, but summarise failed: ")
    assert [line.split(":")[1] for line in told[1:]] == ([" standard output"] if stdout else [])


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("step", ["ledger", "trace"])
def test_a_file_for_which_there_is_no_room_costs_that_file_alone(
    step: str, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, sound: dict[str, Any]
) -> None:
    def full(*told: Any) -> Any:
        raise FULL

    where = {"ledger": "ketwire.channels.link.Record._asdict", "trace": "ketwire.scenarios.runs.trace._name"}[step]
    monkeypatch.setattr(where, full)
    out = folder / "out"
    run = Run(capfd, folder, "--inline", "--json", "--out", str(out))
    assert run.code == 3 and same_figures(run.told, sound)
    assert {each["step"] for each in run.told["afterwards_failed"]} == {step}
    expected = f"coordinator: result: {out}: No space left on device; expected a folder with room for ledger and trace"
    assert run.told["afterwards_failed"][0]["message"] == expected
    assert json.loads((out / "result.json").read_text()) == run.told
    left = {"ledger": "trace.json", "trace": "ledger.jsonl"}[step]
    assert {path.name for path in out.iterdir()} == {left, "result.json", "scenario.yaml"}


@pytest.mark.parametrize("kept", [False, True])
def test_a_result_that_cannot_be_written_is_printed(
    kept: bool, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*told: Any) -> None:
        raise FULL

    changed = ("--set", f"protocol.kept={kept}".lower())
    with monkeypatch.context() as patched:
        patched.setattr("ketwire.scenarios.runs.rundir.RunDirectory._publish", full)
        patched.setattr("ketwire.scenarios.runs.resumable.ResumableDirectory._put_result", full)
        run = Run(capfd, folder, "--inline", "--json", "--out", str(folder / "out"), *changed)
    assert run.code == 3 and [each["step"] for each in run.told["afterwards_failed"]] == ["out"]
    assert run.told["estimate"] is not None
    assert (folder / "out").exists() == kept
    if kept:  # the sessions are not run again
        monkeypatch.setattr(mistakes.Party, "run", None)
        capfd.readouterr()
        assert cli.execute(["run", "--resume", str(folder / "out"), "--inline", "--json"]) == 0
        again = json.loads(capfd.readouterr().out)
        assert {**again, "wall_s": 0} == {**without_failure(run.told), "wall_s": 0}


def without_failure(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != "afterwards_failed"}


@pytest.mark.parametrize("how", [*HOW[:1], pytest.param(HOW[1], marks=pytest.mark.long)])
def test_what_follows_a_run_with_checkpoints_can_be_done_again(
    how: str, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "out"
    kept = ("--set", "protocol.kept=true")
    run = Run(capfd, folder, how, "--json", "--check", "--out", str(out), *kept, *fails("exact"))
    assert run.code == 3 and json.loads((out / "result.json").read_text()) == run.told
    assert f"{out} is unfinished; go on with: ketwire run --resume {out}" in run.err
    ledger = (out / "ledger.jsonl").read_text()
    monkeypatch.setattr(mistakes, "MENDED", True)
    monkeypatch.setattr(mistakes.Party, "run", None)  # nothing is run again, by the inline runtime at least
    capfd.readouterr()
    assert cli.execute(["run", "--resume", str(out), how, "--json", "--check"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["exact"] == 25 and told["estimate"] == run.told["estimate"] and same_figures(told, run.told)
    assert (out / "ledger.jsonl").read_text() == ledger and not (out / "launch.json").exists()


# ---------------------------------------------------------------- programs and kinds are blamed


BLAMED = {
    "init": ("PartyFailed", f"{place(mistakes.__file__, '# in __init__')}: ValueError: built wrong"),
    "run": ("PartyFailed", f"{place(mistakes.__file__, '# in run')}: KeyError: 'nothing'"),
    "library": ("PartyFailed", f"{place(mistakes.__file__, 'json.loads(')}: JSONDecodeError: "),
    "exit": ("PartyFailed", f"{place(mistakes.__file__, 'SystemExit(0)')}: SystemExit: 0"),
    "consumed": ("LocalProtocolError", f"{place(mistakes.__file__, '# sent before')}: these 50 copies of 1 qubits"),
    "returned": ("LocalProtocolError", "tests.mistakes: dict returned, expected Tossed or None"),
    "numpy": ("LocalProtocolError", "tests.mistakes: outcome.heads: int64 given, expected int"),
    "shapes": ("LocalProtocolError", "tests.mistakes:Party: shapes: {'tosses': 3} given, expected a dict of Shape("),
}
SLOW = set(BLAMED) - {"run"}


@pytest.mark.parametrize(
    ("how", "what"),
    [("--inline", what) for what in BLAMED]
    + [pytest.param("--plaintext", what, marks=[pytest.mark.long] if what in SLOW else []) for what in BLAMED],
)
def test_a_program_that_raises_is_named_with_file_and_line(
    how: str, what: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kind, message = BLAMED[what]
    run = Run(capfd, folder, how, "--json", "--out", str(folder / "out"), *wrong(what))
    error = run.told["error"]
    assert run.code == 3 and (error["kind"], error["party"]) == (kind, "alice") and error["message"].startswith(message)
    assert run.err.splitlines()[-1] == f"ketwire: alice: {error['message']}" and "Traceback" not in run.err
    log = folder / "out" / "logs" / "alice.log"
    assert log.exists() == (how == "--plaintext")
    if log.exists():
        assert ("Traceback" in log.read_text()) == (kind == "PartyFailed")


def test_a_kind_that_raises_when_budgets_are_foreseen_is_bad_input(folder: Path) -> None:
    loaded = load(str(folder / "m.yaml"), ["protocol.fails=[foreseen]"])
    with pytest.raises(ScenarioError, match=r"expected a kind whose foreseen works \(.*: foreseen went wrong\)$"):
        loaded.check_foreseen(loaded.run())


@pytest.mark.parametrize("method", ["sessions", "check"])
def test_a_kind_that_raises_before_the_run_is_bad_input(
    method: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(capfd, folder, "--inline", *fails(method))
    assert run.code == 2 and run.out == "" and run.err.splitlines()[-1] == (
        f"ketwire: {folder / 'm.yaml'}: protocol.kind: 'tests.mistakes:Mistaken' given, expected a kind whose {method} "
        f"works ({RAISED}: LookupError: {method} went wrong)"
    )


def test_a_kind_whose_module_raises_is_bad_input(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "broken_kind.py").write_text("x = 1\ny = x / 0\n")
    sys.path.insert(0, str(folder))
    try:
        run = Run(capfd, folder, "--inline", "--set", "protocol.kind=broken_kind:Kind")
    finally:
        sys.path.remove(str(folder))
    assert run.code == 2 and f"({folder}/broken_kind.py:2: ZeroDivisionError: division by zero)" in run.err


# ---------------------------------------------------------------- slices and prints


def test_who_is_given_no_slice_has_one_of_defaults(folder: Path) -> None:
    run = load(str(folder / "m.yaml")).run()
    for runtime in (run_inline, run_processes):
        quantum, rival = runtime(run)
        assert quantum.outcomes["bob"].given == rival.outcomes["bob"].given == repr(mistakes.Mistake())


@pytest.mark.parametrize(
    ("what", "place_of", "words"),
    [
        ("slice", "# no dataclass", "tosses: slice of alice: dict given, expected a frozen dataclass"),
        ("field", "# no int", "tosses: slice of alice.printed: str given, expected int"),
    ],
)
def test_a_slice_of_another_type_is_bad_input(
    what: str, place_of: str, words: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run(capfd, folder, "--inline", *wrong(what))
    assert run.code == 2 and f"{place(mistakes.__file__, place_of)}: {words}" in run.err and "Traceback" not in run.err


@pytest.mark.parametrize("how", HOW)
def test_what_is_printed_goes_to_standard_error(how: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Kind and program alike, and however much: a pipe that is not read holds 64 KiB."""
    mistakes_in_children = "" if how == "--inline" else "alice: "
    sys.modules.pop("tests.mistakes", None)
    try:
        run = Run(capfd, folder, how, "--json", "--check", "--set", "protocol.printed=300000")
    finally:
        sys.modules["tests.mistakes"] = mistakes
    assert run.code == 0 and run.out.count("\n") == 1 and run.told["exact"] == 25
    lines = run.err.splitlines()
    assert {"the module is imported", "sessions is asked", "summarise is asked", "exact is asked"} <= {*lines}
    assert f"{mistakes_in_children}a party is built" in lines
    assert run.err.count("x") - run.err.count("exact") >= 300_000 and "bob runs" in run.err


@pytest.mark.parametrize("command", [("validate",), ("show", "--set", "seed=8")])
def test_commands_that_run_nothing_execute_no_module(
    command: tuple[str, ...], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sys.modules.pop("tests.mistakes", None)
    try:
        run = Run(capfd, folder, *command[1:], command=command[0])
        assert "tests.mistakes" not in sys.modules
    finally:
        sys.modules["tests.mistakes"] = mistakes
    assert run.code == 0 and run.err == "" and "tests.mistakes:Mistaken" in run.out


def test_where_standard_error_is_closed_nothing_comes_into_the_result(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", None)
        run = Run(capfd, folder, "--inline", "--json", *fails("summarise"))
    assert run.code == 3 and run.told["afterwards_failed"] and run.out.count("\n") == 1


def test_where_standard_output_is_closed_a_run_ends_well(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        run = Run(capfd, folder, "--inline")
    assert run.code == 0 and run.out == "" and "Traceback" not in run.err


# ---------------------------------------------------------------- by hand


@pytest.fixture
def network(hands: Hands, folder: Path) -> Iterator[Network]:
    prepared = folder / "prepared"
    prepared.mkdir()
    (prepared / "steps.yaml").write_text(SCENARIO)
    (prepared / "whole").mkdir()
    (prepared / "whole" / "result.json").write_text("{}")
    assert cli.execute(["keys", str(prepared / "keys"), str(prepared / "steps.yaml")]) == 0
    yield Network(hands, prepared, folder)
    hands.ask("end", None)


@pytest.mark.long
@pytest.mark.parametrize("what", rarely([None, "run", "init"], but="run"))
def test_parties_started_by_hand(what: str | None, network: Network) -> None:
    """No slice for bob, prints at each party's own standard error, and the party that raises is named to all."""
    running = network.start_all(*(wrong(what) if what else ()), kept=False)
    if what == "init":  # alice may raise before the others have joined: they are not told, and wait for a coordinator
        running = {name: running[name] for name in ("alice", "coordinator")}
    codes = {name: hand.ended() for name, hand in running.items()}
    told = json.loads(running["coordinator"].out)
    assert running["alice"].out == ""
    if (bob := running.get("bob")) is not None:
        assert bob.out == "" and "a party is built" in bob.err and "summarise is asked" not in bob.err
    if what is None:
        assert codes == dict.fromkeys(running, 0), {name: hand.err for name, hand in running.items()}
        assert told["estimate"] is not None and "summarise is asked" in running["coordinator"].err
        return
    assert codes == dict.fromkeys(running, 3)
    # What an exception says may be alice's data: she is told, and the others hear of its type and place.
    place_and_type, _, text = BLAMED[what][1].rpartition(": ")
    assert told["error"]["party"] == "alice" and told["error"]["message"].endswith(place_and_type)
    assert text not in running["coordinator"].err
    assert running["alice"].err.splitlines()[-1] == f"ketwire: alice: {told['error']['message']}: {text}"
    assert all("Traceback" not in hand.err for hand in running.values())


def test_runtimes_raise_the_same_error(folder: Path) -> None:
    run = load(str(folder / "m.yaml"), ["protocol.wrong=run"]).run()
    for runtime in (run_inline, run_processes):
        with pytest.raises(PartyFailed) as caught:
            runtime(run)
        assert (caught.value.party, str(caught.value)) == ("alice", BLAMED["run"][1])
