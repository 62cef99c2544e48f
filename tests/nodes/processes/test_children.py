"""How a process ended is told always: which it was, and by what; also where its connection shows it first."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ketwire.errors import PartyFailed
from ketwire.nodes.processes import children, coordinator
from ketwire.nodes.processes.children import Children
from ketwire.nodes.processes.coordinator import Coordinator
from ketwire.nodes.processes.run import run_processes
from tests.kit import receive, scripted, send

TALK = {
    "alice": [send("bob", "answers"), receive("bob", "answers")] * 40,
    "bob": [receive("alice", "answers"), send("alice", "answers")] * 40,
}


def striking(monkeypatch: pytest.MonkeyPatch, strike: Callable[[Children], None], watches: bool = True) -> None:
    """Strike once, when all have joined; with `watches` false no pipe tells of it, so that a connection must."""
    check, ping, born, done = Children.check, Coordinator._ping, list[Children](), list[bool]()

    def checked(self: Children, events: Mapping[Any, int]) -> None:
        born[:] = [self]
        if watches or not done:
            check(self, events)

    def pinged(self: Coordinator) -> None:
        if born and not done and all(member.route is not None for member in self.members.values()):
            done.append(True)
            strike(born[0])
        ping(self)

    monkeypatch.setattr(Children, "check", checked)
    monkeypatch.setattr(Coordinator, "_ping", pinged)
    monkeypatch.setattr(coordinator, "PING_EVERY_S", 0.05)


@pytest.mark.parametrize(("name", "number"), [("alice", signal.SIGKILL), ("alice-bob", signal.SIGTERM)])
@pytest.mark.parametrize("watches", [True, False])
def test_who_was_killed_and_by_what_is_told_whatever_shows_it_first(
    name: str, number: signal.Signals, watches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids: list[int] = []

    def strike(born: Children) -> None:
        (pid,) = (child.pid for child in born._children.values() if child.name == name)
        assert pid is not None
        pids.append(pid)
        os.kill(pid, number)

    striking(monkeypatch, strike, watches)
    with pytest.raises(PartyFailed) as caught:
        run_processes(scripted(TALK))
    assert caught.value.party == name
    assert re.search(rf"process {pids[0]} was killed by {number.name}; it had printed nothing", str(caught.value))


def test_the_nursery_s_end_is_told_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def strike(born: Children) -> None:
        pids.append(born._nursery.pid)
        born._nursery.kill()

    striking(monkeypatch, strike)
    with pytest.raises(PartyFailed, match=r"which forks the parties, was killed by SIGKILL") as caught:
        run_processes(scripted(TALK))
    assert str(caught.value).startswith(f"process {pids[0]}, ")


def test_a_signal_without_a_name_has_its_number() -> None:
    assert children._ending(-50) == "was killed by signal 50"
    assert children._ending(-9) == "was killed by SIGKILL" and children._ending(3) == "exited with code 3"


def test_a_process_that_is_stopped_is_told_as_that() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert children._state(process.pid) == "stopped"
        assert children._state(os.getpid()) == "alive, but silent"
    finally:
        process.kill()
        process.wait()
    assert children._state(process.pid) == children._state(None) == "gone"
