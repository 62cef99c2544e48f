"""The command line: what it prints, its exit codes, and that bad input is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ketwire.scenarios import cli
from ketwire.scenarios.schema.yamltext import parse
from tests.kit import unannounced

TESTS = Path(__file__).parents[1]
SCENARIO = """\
# Two nodes and an echo.
description: an echo
seed: 7
nodes: {alice: {}, bob: {}}
links:
  - {between: [alice, bob], fiber: telecom-fiber, length_km: 10}
protocol:
  kind: scenario_kinds:Echo
  start: alice
  numbers: {values: [1, 2, 3]}
"""
DELAY_PS = 50_000_000


@pytest.fixture
def real_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A scenario file; runs are real."""
    monkeypatch.syspath_prepend(str(TESTS))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]))
    path = tmp_path / "echo.yaml"
    path.write_text(SCENARIO)
    return str(path)


@pytest.fixture
def scenario(real_scenario: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A scenario file, and a runtime that only pretends."""
    from scenario_kinds import pretend

    monkeypatch.setattr(cli, "runtime_of", lambda inline, plaintext, timed: pretend)
    return real_scenario


class Said:
    """What a command line came to."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def line(self) -> str:
        """The one line on standard error."""
        assert self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        return self.err[:-1]


@pytest.fixture
def ketwire(capfd: pytest.CaptureFixture[str]) -> Any:
    def call(*argv: str) -> Said:
        capfd.readouterr()
        code = cli.execute(argv)
        out, err = capfd.readouterr()
        return Said(code, out, unannounced(err))

    return call


def test_run_prints_a_table_and_a_verdict(ketwire: Any, scenario: str) -> None:
    said = ketwire("run", scenario, "--check")
    assert said.code == 0 and said.err == ""
    title, head, quantum, rival, verdict = said.out.splitlines()
    assert title.startswith("echo: scenario_kinds:Echo, seed 7, ") and "qubits sent" in head
    assert quantum.split()[:5] == ["quantum", "30", "25", "80", "10"] and quantum.endswith("6, off by 0")
    assert rival.split()[:5] == ["shout", "0", "0", "128", "0"] and rival.endswith("7, off by 1")
    assert verdict == (
        "quantum wins on communication by a factor of 1.07: 30 qubits and 90 bits against 128 bits of shout."
    )


def test_run_prints_one_object(ketwire: Any, scenario: str) -> None:
    said = ketwire("run", scenario, "--json", "--inline", "--seed", "9", "--set", "links.0.length_km=20")
    assert said.code == 0 and said.err == "" and said.out.count("\n") == 1
    result = json.loads(said.out)
    assert (result["scenario"], result["seed"], result["protocol"]) == ("echo", 9, "scenario_kinds:Echo")
    assert result["estimate"] == 6 and result["exact"] is None and result["error"] is None
    assert result["verdict"].startswith("quantum wins on communication by a factor of 1.07: ")
    assert result["virtual_time_ps"] == 4 * DELAY_PS and result["rivals"]["shout"]["bits"] == 128
    assert json.loads(ketwire("run", scenario, "--json", "--check").out)["exact"] == 6


def test_inline_and_processes_come_to_the_same(ketwire: Any, real_scenario: str, tmp_path: Path) -> None:
    runs = {}
    for how in ("--inline", "--plaintext"):
        said = ketwire("run", real_scenario, how, "--json", "--check", "--out", str(tmp_path / how))
        assert said.code == 0, said.err
        runs[how] = {**json.loads(said.out), "wall_s": 0}
    assert runs["--inline"] == runs["--plaintext"] and runs["--inline"]["error"] == 0
    assert (
        runs["--inline"]["virtual_time_ps"] > 2 * DELAY_PS
        and runs["--inline"]["rivals"]["shout"]["bits"] == 128
    )
    for part in ("ledger.jsonl", "trace.json", "scenario.yaml"):
        texts = [(tmp_path / how / part).read_text() for how in runs]
        assert texts[0] == texts[1] and len(texts[0]) > 200


def test_the_result_has_no_nan(ketwire: Any, scenario: str) -> None:
    said = ketwire("run", scenario, "--json", "--set", "protocol.goes_wrong=nan")
    assert json.loads(said.out, parse_constant=pytest.fail)["table"] == [1.0, None]


BAD_INPUT = [
    (("sing",), "No such command 'sing'"),
    (("run",), "NAME_OR_FILE: not given, expected a scenario, or --resume DIR"),
    (("run", "@", "--loud"), "ketwire: run: No such option: --loud"),
    (("run", "@", "--seed", "x"), '@: seed: "x" given, expected a whole number'),
    (("run", "@", "--seed", "-5"), "@: seed: -5 given, expected at least 0"),
    (("run", "none.yaml"), "none.yaml: No such file or directory, expected a scenario file"),
    (("run", "@", "--inline", "--plaintext"), "--plaintext: given with --inline"),
    (("run", "@", "--out", "@"), "--out: '@' given, expected a new or an empty folder"),
    (("run", "@", "--set", "protocol.limit=2"), "@: protocol.numbers: 3 of them given, expected at most 2"),
    (("run", "@", "--set", "protocol.start=eve"), "@: protocol.start: 'eve' given, expected a node"),
    (("run", "@", "--set", "protocol.numbers={path: no.npy}"), "no.npy: no such file, expected one that"),
    (("validate", "@", "--set", "links.0.p_init=2"), "@: links.0.p_init: 2.0 given, expected a number from"),
    (("show", "none"), "scenario: 'none' given, expected a file or one of "),
    (("keys", "out", "none"), "scenario: 'none' given, expected a file or one of "),
    (("node", "alice"), "ketwire: node: Missing option '--keys'"),
    (("fiber", "a-b", "--keys", "x"), "ketwire: fiber: Missing option '--coordinator'"),
    (("coordinator", "@", "--keys", "x"), "ketwire: coordinator: Missing option '--bind'"),
    (("run", "@", "--set", "seed"), "@: --set 'seed' given, expected KEY=VALUE"),
]  # @ is the scenario's file


@pytest.mark.parametrize(("argv", "message"), BAD_INPUT, ids=[" ".join(argv) for argv, _ in BAD_INPUT])
def test_bad_input_is_one_line_and_exit_code_2(
    ketwire: Any, scenario: str, argv: tuple[str, ...], message: str
) -> None:
    said = ketwire(*(word.replace("@", scenario) for word in argv))
    assert said.code == 2 and said.out == ""
    assert said.line.startswith("ketwire: ") and message.replace("@", scenario) in said.line


def test_no_command_prints_help(ketwire: Any) -> None:
    said = ketwire()
    assert said.code == 0 and "Usage: ketwire" in said.out
    assert ketwire("--help").out == said.out


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("party", ("PartyFailed", "bob", "exit code 9; last words: none")),
        (
            "deadlock",
            ("Deadlock", None, "deadlock: alice waits for copies of bob; bob waits for copies of alice"),
        ),
        ("remote", ("RemoteProtocolError", None, "bob sent rubbish")),
    ],
)
def test_a_failed_run_is_exit_code_3(
    ketwire: Any, scenario: str, tmp_path: Path, how: str, expected: tuple[str, str | None, str]
) -> None:
    kind, party, message = expected
    out = tmp_path / "run"
    said = ketwire("run", scenario, "--set", f"protocol.goes_wrong={how}", "--out", str(out))
    assert said.code == 3 and said.out == ""
    assert said.line == f"ketwire: {party + ': ' if party else ''}{message}"
    error = {"error": {"kind": kind, "party": party, "message": message}}
    assert json.loads((out / "result.json").read_text()) == error
    assert (out / "logs" / "alice.log").exists() and not (out / "trace.json").exists()
    said = ketwire("run", scenario, "--set", f"protocol.goes_wrong={how}", "--json")
    assert said.code == 3 and json.loads(said.out) == error


def test_a_bug_is_exit_code_3_with_its_traceback(ketwire: Any, scenario: str) -> None:
    said = ketwire("run", scenario, "--set", "protocol.goes_wrong=bug", "--json")
    assert said.code == 3 and "Traceback" in said.err and "ZeroDivisionError: oops" in said.err
    assert json.loads(said.out) == {"error": {"kind": "ZeroDivisionError", "party": None, "message": "oops"}}


def test_an_interrupted_run_leaves_nothing(ketwire: Any, scenario: str, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    said = ketwire("run", scenario, "--set", "protocol.goes_wrong=interrupt", "--out", str(tmp_path / "run"))
    assert said.code == 130 and said.err.strip() == "ketwire: interrupted"
    assert sorted(os.listdir(tmp_path)) == before


def test_bad_input_with_json_is_an_object_too(ketwire: Any, scenario: str) -> None:
    for argv in (("run", "none.yaml", "--json"), ("run", scenario, "--json", "--seed", "x")):
        said = ketwire(*argv)
        assert said.code == 2 and json.loads(said.out)["error"]["kind"] == "ScenarioError"
        assert said.line == "ketwire: " + json.loads(said.out)["error"]["message"]


def test_a_refused_run_leaves_no_folder(ketwire: Any, scenario: str, tmp_path: Path) -> None:
    before = sorted(os.listdir(tmp_path))
    said = ketwire("run", scenario, "--set", "protocol.limit=2", "--out", str(tmp_path / "run"))
    assert said.code == 2 and sorted(os.listdir(tmp_path)) == before


def test_a_run_folder_can_be_run_again(ketwire: Any, scenario: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = json.loads(ketwire("run", scenario, "--json", "--out", str(out)).out)
    assert json.loads((out / "result.json").read_text()) == first
    assert json.loads((out / "trace.json").read_text())["traceEvents"]
    assert len((out / "ledger.jsonl").read_text().splitlines()) == 6
    again = json.loads(ketwire("run", str(out / "scenario.yaml"), "--json").out)
    assert {**again, "wall_s": 0} == {**first, "wall_s": 0}


def test_show_keeps_comments_unless_something_changes(ketwire: Any, scenario: str) -> None:
    assert ketwire("show", scenario).out == SCENARIO
    said = ketwire("show", scenario, "--set", "links.0.p_init=0.25")
    resolved = parse(said.out, "shown")
    assert resolved["links"][0]["p_init"] == 0.25 and resolved["links"][0]["loss_db_per_km"] == 0.2
    asked = {"kind": "scenario_kinds:Echo", "start": "alice", "numbers": {"values": [1, 2, 3]}}
    assert resolved["protocol"] == asked  # as it is given: the kind was not asked


def test_validate_tells_what_would_run(ketwire: Any, scenario: str) -> None:
    said = ketwire("validate", scenario)
    assert said.code == 0 and said.out == (
        f"{scenario}: valid: scenario_kinds:Echo over 2 nodes and 1 link(s); protocol not checked, since that would "
        "execute the module of its kind\n"
    )


def test_list_tells_names_and_descriptions(
    ketwire: Any, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ketwire.scenarios.load.PACKAGED", Path(scenario).parent)
    assert ketwire("list").out == "echo  an echo\n"


def test_presets_tell_their_source(ketwire: Any) -> None:
    said = ketwire("presets")
    assert said.code == 0
    for name in ("telecom-fiber", "oxford-2025", "trapped-ion", "color-center"):
        assert name in said.out
    assert "nodes" in said.out and "2207.10579" in said.out


def test_version(ketwire: Any) -> None:
    from ketwire import __version__

    assert ketwire("--version").out == f"ketwire {__version__}\n"


def test_keys_are_written_for_everyone(ketwire: Any, scenario: str, tmp_path: Path) -> None:
    said = ketwire("keys", str(tmp_path / "keys"), scenario)
    assert said.code == 0
    names = ("alice", "alice-bob", "bob", "coordinator")
    assert sorted(os.listdir(tmp_path / "keys")) == sorted(
        f"{name}.{end}" for name in names for end in ("key", "pub")
    )
    assert all((tmp_path / "keys" / f"{name}.key").stat().st_mode & 0o777 == 0o600 for name in names)
    assert ketwire("keys", str(tmp_path / "keys"), scenario).code == 2


def python(code: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
        **options,
    )


HEAVY = ("numba", "scipy", "sklearn", "rich", "matplotlib", "torch", "pandas", "asyncio", "llvmlite")
TELL = "import sys; print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"


def loaded_by(argv: list[str]) -> set[str]:
    done = python(
        f"from ketwire.scenarios import cli; code = cli.execute({argv!r}); assert code == 0, code; {TELL}"
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_list_imports_next_to_nothing() -> None:
    assert not loaded_by(["list"]) & {*HEAVY, "numpy", "zmq"}


def test_a_trivial_run_imports_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text(SCENARIO)
    assert not loaded_by(["run", str(path), "--inline"]) & set(HEAVY)


def test_the_program_sets_one_blas_thread() -> None:
    code = "import sys, os\nfrom ketwire.scenarios import cli\n"
    code += "sys.argv = ['ketwire', '--version']\ntry: cli.main()\n"
    code += "finally: print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    assert python(code).stdout.splitlines()[-1] == "1 False"


def test_a_reader_that_leaves_brings_no_traceback(scenario: str) -> None:
    code = "import sys\nfrom ketwire.scenarios import cli\nsys.argv = ['ketwire', 'schema']\ncli.main()"
    reading = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reading.stdout is not None and reading.stderr is not None
    reading.stdout.close()
    assert "Traceback" not in reading.stderr.read()
    reading.wait(timeout=60)
    reading.stderr.close()


COMMANDS = ["", *sorted(command.name or command.callback.__name__ for command in cli.app.registered_commands)]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_takes_a_short_h(ketwire: Any, command: str) -> None:
    short, long = (ketwire(*command.split(), option) for option in ("-h", "--help"))
    assert (short.code, short.err) == (0, "") and short.out == long.out and "-h, --help" in short.out


@pytest.mark.parametrize(
    ("options", "told"), [((), False), (("--json",), False), (("--progress",), True), (("--json", "--progress"), True)]
)
def test_a_redirected_standard_error_gets_progress_where_it_is_asked_for(
    options: tuple[str, ...], told: bool, ketwire: Any, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scenario_kinds import pretend

    watched = []

    def runtime(run: Any, progress: Any, *more: Any) -> Any:
        watched.append(progress is not None)
        return pretend(run, progress, *more)

    monkeypatch.setattr(cli, "runtime_of", lambda inline, plaintext, timed: runtime)
    assert ketwire("run", scenario, *options).code == 0 and watched == [told]


@pytest.mark.parametrize("command", [("run",), ("run", "--json"), ("validate",), ("show",), ("show", "--seed", "3")])
def test_a_node_without_a_link_is_warned_of(ketwire: Any, scenario: str, command: tuple[str, ...]) -> None:
    plain = ketwire(command[0], scenario, *command[1:])
    Path(scenario).write_text(SCENARIO.replace("bob: {}", "bob: {}, carol: {}, dave: {}"))
    said = ketwire(command[0], scenario, *command[1:])
    assert (plain.code, plain.err, said.code) == (0, "", 0)
    assert said.line == f"ketwire: warning: {scenario}: nodes without a link: carol, dave"
