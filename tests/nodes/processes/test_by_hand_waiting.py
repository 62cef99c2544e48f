"""Parties that wait: names that do not resolve yet, stops, files for health checks, and what the log says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.processes import lookup
from ketwire.nodes.processes.addresses import Address
from ketwire.nodes.processes.given import Given
from ketwire.nodes.processes.logs import JsonLines
from ketwire.nodes.processes.lookup import Moves, resolved
from ketwire.nodes.processes.security import new_keys, read_keys, read_public_key, write_split_keys
from ketwire.scenarios import cli
from tests.hands import STEPS, hands
from tests.nodes.processes.test_by_hand import Network, network, prepared

__all__ = ["hands", "network", "prepared"]
SILENT_RESOLVER = """\
import socket, time
def silent(*told, **how):
    time.sleep(60)
    raise socket.gaierror(-3, "Temporary failure in name resolution")
socket.getaddrinfo = silent
import sys
from ketwire.scenarios.cli import main
sys.argv = ["ketwire", *sys.argv[1:]]
main()
"""


def answers(monkeypatch: pytest.MonkeyPatch, *found: str | None) -> None:
    """The resolver answers with these in turn, and then with the last of them."""
    left = [*found]

    def ask(host: str, port: int, **how: Any) -> Any:
        address = left.pop(0) if len(left) > 1 else left[0]
        if address is None:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)


def test_a_name_that_does_not_resolve_yet_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "AGAIN_S", 0.01)
    answers(monkeypatch, None, None, "10.0.0.7")
    told: list[str] = []
    found = resolved(Address("server", 5600), time.monotonic() + 30, lambda error: told.append(str(error)))
    assert found == Address("10.0.0.7", 5600)
    assert len(told) == 1 and told[0].startswith("server:5600: does not resolve on this machine (Temporary failure")
    answers(monkeypatch, None)
    with pytest.raises(ValueError, match="does not resolve"):
        resolved(Address("server", 5600))


def test_an_address_is_no_question_to_the_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    for host in ("127.0.0.1", "::1", "*"):
        assert str(resolved(Address(host, 1)).host) == host
        assert not Moves(Address(host, 1), Address(host, 1))()
    assert threading.active_count() == before


def test_a_name_that_stands_for_another_address_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container has started again. Where it stands for none at the moment, nothing has changed."""
    monkeypatch.setattr(lookup, "MOVED_S", 0.0)
    answers(monkeypatch, "10.0.0.7", None, "10.0.0.8")
    moves = Moves(Address("server", 5600), Address("10.0.0.7", 5600))
    seen: list[bool] = []
    until_s = time.monotonic() + 30
    while not any(seen) and time.monotonic() < until_s:
        seen.append(moves())
    assert seen[-1]


@pytest.mark.long
def test_a_party_whose_resolver_is_silent_stops_at_once(network: Network) -> None:
    argv = ["node", "alice", "--keys", "keys", "--coordinator", "server:5600"]
    process = subprocess.Popen(
        [sys.executable, "-c", SILENT_RESOLVER, *argv], cwd=network.folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ketwire: alice: waiting for the coordinator at server:5600, for 60 s\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(50) == cli.INTERRUPTED  # before the resolver answers
    assert process.stderr.read() == "ketwire: interrupted\n"
    process.stderr.close()


def test_the_files_of_health_checks_are_there_while_parties_are_registered(network: Network) -> None:
    def is_there(name: str) -> bool:
        return (network.folder / f"ready-{name}").exists()

    (network.folder / "ready-alice").touch()  # of a process that was killed
    alice = network.start("alice", "--ready", "ready-alice", kept=False)
    until(lambda: alice.output.with_suffix(".err").exists() and "waiting for the coordinator" in alice.err)
    assert not is_there("alice")
    conductor = network.start("coordinator", "--ready", "ready-coordinator", kept=False)
    until(lambda: is_there("alice") and is_there("coordinator"))
    until(lambda: "ketwire: alice: registered with the coordinator\n" in alice.err)
    until(lambda: "ketwire: coordinator: alice has joined, 1 of 3\n" in conductor.err)
    rest = {name: network.start(name, kept=False) for name in ("bob", "alice-bob")}
    assert [hand.ended() for hand in (alice, conductor, *rest.values())] == [0] * 4
    assert not is_there("alice") and not is_there("coordinator")
    # With --json it was silent until the result.
    said = [line.removeprefix("ketwire: coordinator: ") for line in conductor.err.splitlines()]
    said = [line for line in said if "executes" not in line]
    result = json.loads(conductor.out)
    assert said[1] == "alice has joined, 1 of 3" and said[4:7] == [
        "all are ready", "session steps begins", f"session steps is over, transcript {result['transcript_sha256']}"
    ]  # fmt: skip


def until(reached: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def test_a_file_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"^--ready: .*/no/where: No such file or directory, expected a file that "):
        Given(tmp_path, ready=tmp_path / "no" / "where").set_ready()


def test_the_log_is_one_json_object_a_line(network: Network) -> None:
    hand = network.start("alice", "--wait-s", "0.2", "--log", "json", kept=False)
    assert hand.ended(30) == 3
    told = [json.loads(line) for line in hand.err.splitlines()]
    assert [set(each) for each in told] == [{"time", "name", "text"}] * 2
    assert [each["name"] for each in told] == ["alice"] * 2
    assert told[0]["text"] == f"waiting for the coordinator at {network.address}, for 0.2 s"
    assert told[1]["text"].startswith("coordinator: no word from ")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", told[0]["time"])


def test_what_a_users_own_code_prints_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JsonLines(sys.stderr, "bob")
    print("ketwire: bob: one", "two\n\nthr", sep="\n", end="", file=lines)
    print("ee", file=lines, flush=True)
    assert [json.loads(line)["text"] for line in capsys.readouterr().err.splitlines()] == ["one", "two", "three"]


# --- keys in folders of their own -------------------------------------------------------------------


def test_split_keys_are_what_each_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "steps.yaml").write_text(STEPS)
    argv = ["keys", str(tmp_path / "keys"), str(tmp_path / "steps.yaml"), "--split"]
    assert cli.execute(argv) == 0
    assert capsys.readouterr().out == f"{tmp_path}/keys: a folder for each of alice, bob, alice-bob, coordinator\n"
    found = {path.name: sorted(each.name for each in path.iterdir()) for path in (tmp_path / "keys").iterdir()}
    publics = [f"{name}.pub" for name in ("alice", "alice-bob", "bob", "coordinator")]
    assert found == {
        **{name: sorted([f"{name}.key", "coordinator.pub"]) for name in ("alice", "bob", "alice-bob")},
        "coordinator": sorted(["coordinator.key", *publics]),
    }
    for name in found:
        folder = tmp_path / "keys" / name
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
        assert read_public_key(tmp_path / "keys" / "coordinator", name) == read_keys(folder, name).public
        assert read_public_key(folder, "coordinator") == read_keys(tmp_path / "keys/coordinator", "coordinator").public
    # All there: a service that writes keys may run again.
    before = {path: path.read_text() for path in (tmp_path / "keys").rglob("*.*")}
    assert cli.execute(argv) == 0
    assert "already; they stay" in capsys.readouterr().out
    assert {path: path.read_text() for path in (tmp_path / "keys").rglob("*.*")} == before
    (tmp_path / "keys" / "bob" / "bob.key").unlink()
    assert cli.execute(argv) == 2
    told = capsys.readouterr().err
    assert told.endswith("/bob/bob.key does not; expected all keys of a run, or none\n") and told.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="to give files away needs root")
def test_secrets_can_be_given_to_another_user(tmp_path: Path) -> None:
    assert write_split_keys(tmp_path, ["alice"], "coordinator", owner=10001)
    for name in ("alice", "coordinator"):
        assert (tmp_path / name / f"{name}.key").stat().st_uid == 10001


def test_an_owner_needs_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["keys", str(tmp_path), "digits", "--owner", "1"]) == 2
    assert capsys.readouterr().err == "ketwire: --owner: 1 given without --split, expected both\n"


def test_a_mounted_secret_may_be_readable_and_not_writable(tmp_path: Path) -> None:
    pair = new_keys()
    path = tmp_path / "alice.key"
    path.write_text(f"{pair.public}\n{pair.secret}\n")
    for mode in (0o400, 0o440, 0o444, 0o644):
        path.chmod(mode)
        assert read_keys(tmp_path, "alice", mounted=True) == pair
    for mode in (0o660, 0o646):
        path.chmod(mode)
        with pytest.raises(ScenarioError, match="can be written by others"):
            read_keys(tmp_path, "alice", mounted=True)
