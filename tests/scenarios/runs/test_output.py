"""Where standard output is a full disk, one line and exit code 3; where nobody reads it, no word; never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hands import Hands, hands

__all__ = ["hands"]
SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]
protocol: {kind: inference, qubits: 1, start: alice, layers: [{at: bob, layer: hadamards}], copies: 1}
"""
NO_ROOM = "ketwire: standard output: No space left on device; expected one that takes all that is printed"


COMMANDS = [
    "list",
    "show e.yaml",
    "schema",
    "link telecom-fiber --length 1",
    "--help",
    "run e.yaml --inline",
    "run e.yaml --json --inline",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "e.yaml").write_text(SCENARIO)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_what_finds_no_room_is_one_line(command: str, hands: Hands, folder: Path) -> None:
    run = hands.start(folder, *command.split(), stdout="/dev/full")
    assert (run.ended(), run.err) == (3, NO_ROOM + "\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_nobody_reads_ends_without_a_word_as_by_sigpipe(command: str, hands: Hands, folder: Path) -> None:
    run = hands.start(folder, *command.split(), stdout="")
    assert (run.ended(), run.err) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_program_says_so_whether_or_not_python_buffers(unbuffered: str, folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ketwire.scenarios.cli", "list"], stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=60, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (3, NO_ROOM + "\n")


def test_who_has_no_standard_output_wants_none(folder: Path) -> None:
    code = "import sys; sys.stdout = None; from ketwire.scenarios import cli; sys.exit(cli.execute(['list']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("stdout", ["/dev/full", ""], ids=["full", "unread"])
def test_bad_input_keeps_its_own_line_and_code(stdout: str, hands: Hands, folder: Path) -> None:
    run = hands.start(folder, "run", "none.yaml", "--json", stdout=stdout)
    told = "ketwire: none.yaml: No such file or directory, expected a scenario file that can be read"
    assert run.ended() == 2
    assert sorted(run.err.splitlines()) == sorted([told, NO_ROOM] if stdout else [told])


DESCRIBED = 'description: "µ – naïve ≥ 東"\n' + SCENARIO
CONSOLES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
SPELLED = {"ascii": "u - naive >= \\u6771", "latin-1": "µ - naïve >= \\u6771", "C": "u - naive >= \\u6771"}


def printed(console: str, folder: Path, *argv: str) -> subprocess.CompletedProcess[bytes]:
    ours = ("LC_", "LANG", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONCOERCECLOCALE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "ketwire.scenarios.cli", *argv],
        cwd=folder, env={**environment, **CONSOLES[console]}, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.mark.long  # processes by command
@pytest.mark.parametrize("console", CONSOLES)
def test_a_console_without_a_character_gets_a_plain_one(console: str, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text(DESCRIBED, encoding="utf-8")
    encoding = "latin-1" if console == "latin-1" else "ascii"
    shown, failed = printed(console, tmp_path, "show", "e.yaml"), printed(console, tmp_path, "run", "e–.yaml")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.decode(encoding) == DESCRIBED.replace("µ – naïve ≥ 東", SPELLED[console])
    assert failed.returncode == 2 and failed.stdout == b""
    line = failed.stderr.decode(encoding)
    assert line.startswith("ketwire: e") and line.count("\n") == 1 and (console == "C" or "e-.yaml" in line)


@pytest.mark.long
def test_what_is_printed_as_json_is_the_same_on_every_console(tmp_path: Path) -> None:
    (tmp_path / "µ–.yaml").write_text(SCENARIO)
    for console in ("ascii", "latin-1"):
        done = printed(console, tmp_path, "run", "µ–.yaml", "--inline", "--json")
        assert json.loads(done.stdout)["scenario"] == "µ–"


@pytest.mark.long  # processes by command
@pytest.mark.parametrize("console", ["ascii", "latin-1"])
def test_help_and_schema_print_everywhere(console: str, tmp_path: Path) -> None:
    for command in ("--help", "run -h", "schema", "presets", "list", "link telecom-fiber --length 3"):
        done = printed(console, tmp_path, *command.split())
        assert (done.returncode, done.stderr) == (0, b"") and done.stdout.isascii(), command
