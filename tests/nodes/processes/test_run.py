"""Processes that die, are interrupted, or are lied to: what must hold when things go wrong."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kit import rarely

LONG = """
seed: 3
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]
protocol:
  kind: inference
  qubits: 2
  start: alice
  copies: 3000000
  max_batch_octets: 4096
  layers: [{at: bob, layer: hadamards}, {at: alice, layer: hadamards}]
"""
ROLES = ["alice", "bob", "alice-bob"]


class Running:
    """`ketwire run` of a long scenario in a process of its own, with everything it may leave behind."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.temp, self.cwd, self.home = (folder / name for name in ("tmp", "cwd", "home"))
        for made in (self.temp, self.cwd, self.home):
            made.mkdir()
        scenario = folder / "long.yaml"
        scenario.write_text(LONG)
        # A script that runs the tests in its background, or nohup, ignores these, and processes inherit that.
        kept = signal.signal(signal.SIGINT, signal.default_int_handler)
        hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ketwire.scenarios.cli", "run", str(scenario), "--progress", *options],
                cwd=self.cwd,
                env={**os.environ, "TMPDIR": str(self.temp), "HOME": str(self.home)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,
            )
        finally:
            signal.signal(signal.SIGINT, kept)
            signal.signal(signal.SIGHUP, hang_up)

    def children(self, count: int = 3, patience_s: float = 60.0) -> list[int]:
        """Process ids of the parties, once all are there."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            nurseries = children_of(self.process.pid)
            found = children_of(nurseries[0]) if nurseries else []
            if len(found) >= count:
                self.nursery = nurseries[0]
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {count} children: {self.process.poll()} {self.process.stderr}")

    def wait_until_running(self) -> None:
        """Until the parties exchange messages: the first progress line."""
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert "copies" in line, line

    def end(self, patience_s: float) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=patience_s)
        return self.process.returncode, out, err

    def assert_nothing_left(self, children: list[int], patience_s: float = 0.0) -> None:
        until = time.monotonic() + patience_s
        mine = [*children, self.nursery]
        while any(alive(pid) for pid in mine) and time.monotonic() < until:
            time.sleep(0.02)
        assert [pid for pid in mine if alive(pid)] == []
        for folder in (self.temp, self.cwd, self.home):
            assert list(folder.iterdir()) == []

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture
def running(tmp_path: Path):  # type: ignore[no-untyped-def]
    run = Running(tmp_path)
    yield run
    run.close()


def kill_one(tmp_path: Path, victim: str, delay_s: float, options: tuple[str, ...] = ()) -> None:
    run = Running(tmp_path, *options)
    try:
        children = run.children()
        time.sleep(delay_s)
        os.kill(children[ROLES.index(victim)], signal.SIGKILL)
        began = time.monotonic()
        code, out, err = run.end(10)
        assert time.monotonic() - began < 5
        assert code == 3, (code, err)
        if options:
            error = json.loads(out)["error"]
            assert error["party"] == victim and error["kind"] == "PartyFailed"
        else:
            assert f"{victim}: process {children[ROLES.index(victim)]} was killed by SIGKILL" in err
            assert "Traceback" not in err
        run.assert_nothing_left(children)
    finally:
        run.close()


@pytest.mark.parametrize("victim", rarely(ROLES, but="alice-bob"))
def test_whoever_is_killed_is_named(tmp_path: Path, victim: str) -> None:
    kill_one(tmp_path, victim, random.Random(victim).uniform(0.0, 2.0))


@pytest.mark.long
@pytest.mark.parametrize("victim", ROLES)
@pytest.mark.parametrize("attempt", range(10))
def test_whoever_is_killed_is_named_at_any_moment(tmp_path: Path, victim: str, attempt: int) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    kill_one(tmp_path, victim, random.Random(seed).uniform(0.0, 3.0), ("--json",))


@pytest.mark.long
def test_children_of_a_killed_coordinator_leave(running: Running) -> None:
    children = running.children()
    running.wait_until_running()
    running.process.kill()
    running.process.wait()
    running.assert_nothing_left(children, patience_s=5)


@pytest.fixture
def writing(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A run that is to leave a folder, which it holds from the start, and fills a hidden one meanwhile."""
    run = Running(tmp_path, "--out", "run")
    yield run
    run.close()


@pytest.mark.parametrize("how", rarely([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], but=signal.SIGINT))
def test_an_interrupt_ends_all_within_two_seconds(writing: Running, how: signal.Signals) -> None:
    running = writing
    children = running.children()
    written, claimed = sorted(path.name for path in running.cwd.iterdir())  # an empty folder keeps its place
    assert written.startswith(".run.") and claimed == "run"
    running.wait_until_running()
    running.process.send_signal(how)
    began = time.monotonic()
    code, _, err = running.end(10)
    assert time.monotonic() - began < 2
    assert code == 130, err
    assert "Traceback" not in err
    running.assert_nothing_left(children)


@pytest.mark.parametrize("ignored", [False, True])
def test_a_hang_up_that_is_ignored_stays_so(ignored: bool, tmp_path: Path) -> None:
    """As under nohup; else a second one, from the shell after the terminal, does not disturb the unwinding."""
    code = (
        "import os, signal, sys\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})\n"
        "from ketwire.scenarios import cli\n"
        "def execute(argv):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        return 0\n"
        "    except KeyboardInterrupt:\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        return 130\n"
        "cli.execute = execute\n"
        "cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0 if ignored else 130, "")


def test_the_last_words_of_the_dead_are_shown(tmp_path: Path) -> None:
    from ketwire.errors import PartyFailed
    from ketwire.nodes.processes.run import run_processes
    from tests.kit import scripted

    run = scripted({"alice": [], "bob": []}, program="tests.programs:SuicidalParty")
    with pytest.raises(PartyFailed, match="SIGKILL; its last lines: these are my last words") as caught:
        run_processes(run)
    assert caught.value.party == "alice"


def test_secrets_are_not_in_arguments_or_environment(running: Running) -> None:
    """Orders and keys come through a pipe: arguments and environment of the parties are the nursery's,
    which are those of the coordinator and a few switches."""
    for pid in running.children():
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:-1]
        assert arguments[:3] == [b"-P", b"-m", b"ketwire.nodes.processes.nursery"] and arguments[3].isdigit()
        assert all(Path(entry).is_absolute() or entry == "" for entry in json.loads(arguments[4]))
        assert len(arguments) == 5
        pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")[:-1]
        environment = dict(pair.split("=", 1) for pair in pairs)
        ours = {*os.environ, "TMPDIR", "HOME", "PWD"}
        added = {name: value for name, value in environment.items() if name not in ours}
        assert added and all(len(value) < 40 for value in added.values()), sorted(added)


@pytest.mark.long
def test_a_killed_nursery_ends_the_run(running: Running) -> None:
    children = running.children()
    os.kill(running.nursery, signal.SIGKILL)
    code, _, err = running.end(10)
    assert code == 3 and "nursery" in err and "Traceback" not in err
    running.assert_nothing_left(children, patience_s=5)
