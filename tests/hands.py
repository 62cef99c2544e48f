"""Commands started by hand, for tests: each a process of its own, without the cost of its imports.

A helper process imports everything once and forks a command at a word, as the nursery does for parties. It
leaves, with all that it has started, when its standard input closes.

    {"start": [ARGV, FOLDER, OUTPUT, FAULTS, STDOUT]}  answered by a process id
    {"wait": [PID, SECONDS]}                           answered by its exit code, or null while it lives
    {"end": null}                                      kill what is left
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ketwire.nodes.processes.interpreters import ONE_THREAD

ROOT = Path(__file__).parents[1]
STEPS = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 2}]
protocol: {kind: "tests.scenario_kinds:Steps", steps: 5}
"""
LOADED = [
    *(f"ketwire.nodes.processes.{name}" for name in ("by_hand", "child", "fiber", "node", "run")),
    "ketwire.nodes.inline",
    "ketwire.scenarios.kinds.inference.kind",
    "ketwire.scenarios.linktext",
    "ketwire.scenarios.load",
    *(f"ketwire.scenarios.runs.{name}" for name in ("launch", "resumable", "table")),
    "tests.programs",
    "tests.scenario_kinds",
    "yaml",
]


class Hand:
    """One command that was started."""

    def __init__(self, hands: Hands, pid: int, output: Path) -> None:
        self.hands, self.pid, self.output = hands, pid, output

    def ended(self, patience_s: float = 30.0) -> int:
        """Its exit code; a signal's number below zero."""
        code = self.hands.ask("wait", [self.pid, patience_s])
        assert code is not None, f"it has not ended: {self.err}"
        return int(code)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    @property
    def out(self) -> str:
        return self.output.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self.output.with_suffix(".err").read_text()


class Hands:
    """The helper process."""

    def __init__(self) -> None:
        here = os.environ.get("PYTHONPATH", "")
        path = os.pathsep.join([str(ROOT / "tests" / "faults"), str(ROOT), *([here] if here else [])])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},  # it forks, as the nursery does
        )  # fmt: skip
        self.count = 0

    def ask(self, what: str, told: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({what: told}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(
        self, folder: Path, *argv: str, faults: list[dict[str, Any]] | None = None, stdout: str | None = None
    ) -> Hand:
        """Start `ketwire ARGV` in `folder`.

        Args:
            faults: as of tests/faults/sitecustomize.py; its children meet them too.
            stdout: a file for its standard output; "": a pipe that nobody reads.
        """
        self.count += 1
        output = folder / str(self.count)
        pid = self.ask("start", [argv, str(folder), str(output), faults or [], stdout])
        return Hand(self, pid, output)

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def hands() -> Iterator[Hands]:
    made = Hands()
    yield made
    made.close()


def be(argv: list[str], folder: str, output: str, faults: list[dict[str, Any]], stdout: str | None) -> None:
    """Become a command, with its files and its faults. Never returns."""
    import sitecustomize

    from ketwire.scenarios import cli

    sitecustomize.FAULTS[:] = faults
    os.environ["KETWIRE_FAULTS"] = json.dumps(faults)
    os.chdir(folder)
    for descriptor, name in ((0, os.devnull), (1, output + ".out" if stdout is None else stdout), (2, output + ".err")):
        file = os.open(name, os.O_RDWR | os.O_CREAT, 0o600) if name else unread()
        os.dup2(file, descriptor)
        os.close(file)
    code = 1
    try:
        code = cli.execute(argv)
        sys.stdout.flush()
    except OSError:
        code = 120  # as Python itself does where the last flush fails
    finally:
        os._exit(code)


def unread() -> int:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def main() -> None:
    for name in LOADED:
        importlib.import_module(name)
    started: set[int] = set()

    def code_of(pid: int) -> int | None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended:
            return None
        started.remove(pid)
        return os.waitstatus_to_exitcode(status)

    def end() -> None:
        for pid in [*started]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        started.clear()

    for line in sys.stdin:
        asked = json.loads(line)
        answer: int | None = None
        if "start" in asked:
            answer = os.fork()
            if answer == 0:
                be(*asked["start"])
            started.add(answer)
        elif "end" in asked:
            end()
        else:
            pid, patience_s = asked["wait"]
            until = time.monotonic() + patience_s
            while (answer := code_of(pid)) is None and time.monotonic() < until:
                time.sleep(0.01)
        print(json.dumps(answer), flush=True)
    end()


if __name__ == "__main__":
    main()
