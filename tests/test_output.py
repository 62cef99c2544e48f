"""Where standard output is a full disk or a pipe without a reader: one line, an exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]
protocol: {kind: inference, qubits: 1, start: alice, layers: [{at: bob, layer: hadamards}], copies: 1}
"""
NO_ROOM = "ketwire: standard output: No space left on device; expected one that takes all that is printed"
NO_READER = "ketwire: standard output: Broken pipe; expected one that takes all that is printed"


def ended(folder: Path, argv: list[str], pipe: bool, unbuffered: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose output nobody can take."""
    if pipe:
        reader, output = os.pipe()
        os.close(reader)
    else:
        output = os.open("/dev/full", os.O_WRONLY)
    (folder / "e.yaml").write_text(SCENARIO)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "ketwire.scenarios.cli", *argv], cwd=folder, stdout=output, stderr=subprocess.PIPE,
            text=True, timeout=60, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    finally:
        os.close(output)
    return done.returncode, done.stderr


COMMANDS = [
    "list",
    "show e.yaml",
    "schema",
    "link telecom-fiber --length 1",
    "--help",
    "run e.yaml",
    "run e.yaml --json --inline",
]


@pytest.mark.parametrize(
    ("command", "pipe", "unbuffered"),
    [
        *((command, number % 2 == 0, "") for number, command in enumerate(COMMANDS)),
        ("list", False, ""),
        ("list", True, "1"),
        ("run e.yaml --json --inline", False, "1"),
    ],
)
def test_what_cannot_be_printed_is_one_line(command: str, pipe: bool, unbuffered: str, tmp_path: Path) -> None:
    code, said = ended(tmp_path, command.split(), pipe, unbuffered)
    *progress, line = said.splitlines()  # on a busy machine a run tells how far it is
    assert (code, line) == (3, NO_READER if pipe else NO_ROOM)
    assert all(" copies emitted" in told for told in progress)


@pytest.mark.parametrize("pipe", [False, True])
def test_bad_input_keeps_its_own_line_and_code(pipe: bool, tmp_path: Path) -> None:
    code, said = ended(tmp_path, ["run", "none.yaml", "--json"], pipe, "")
    told = "ketwire: none.yaml: No such file or directory, expected a scenario file that can be read"
    assert code == 2 and sorted(said.splitlines()) == sorted([told, NO_READER if pipe else NO_ROOM])
