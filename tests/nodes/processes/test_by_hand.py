"""Parties started by hand: checkpoints in folders of their own, deaths survived, and waiting that ends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from ketwire import __version__
from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import encode
from ketwire.errors import PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.processes import coordinator, members
from ketwire.nodes.processes.control import Control, Credentials, Taken
from ketwire.nodes.processes.security import new_keys
from ketwire.nodes.processes.sockets import Endpoint, dealer
from ketwire.nodes.processes.sockets import send as put
from ketwire.scenarios import cli
from tests.hands import STEPS, Hand, Hands, hands
from tests.kit import Threads, scripted, unannounced

__all__ = ["hands"]
CONDUCT = ("coordinator", "steps.yaml")
PARTIES = ("alice", "bob", "alice-bob")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scenario, everybody's keys, and what the inline runtime says."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "steps.yaml").write_text(STEPS)
    assert cli.execute(["keys", str(folder / "keys"), str(folder / "steps.yaml")]) == 0
    assert cli.execute(["run", str(folder / "steps.yaml"), "--inline", "--json", "--out", str(folder / "whole")]) == 0
    return folder


class Network:
    """A coordinator and its parties, each with a folder of its own."""

    def __init__(self, hands: Hands, prepared: Path, folder: Path) -> None:
        self.hands, self.folder = hands, folder
        self.whole = json.loads((prepared / "whole" / "result.json").read_text())
        for name in ("keys", "steps.yaml"):
            os.symlink(prepared / name, folder / name)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def start(self, name: str, *options: str, kept: bool = True, faults: Any = None) -> Hand:
        """One of them, over its folder."""
        if kept:
            options = ("--checkpoints", f"kept-{name}", *options)
        if name == "coordinator":
            argv = (name, "steps.yaml", "--json", "--bind", self.address, *options)
        else:
            role = "node" if name in ("alice", "bob") else "fiber"
            argv = (role, name, "--coordinator", self.address, *options)
        return self.hands.start(self.folder, *argv, "--keys", "keys", faults=faults)

    def start_all(self, *options: str, faults: dict[str, Any] | None = None, kept: bool = True) -> dict[str, Hand]:
        """Everybody; options are the coordinator's."""
        faults = faults or {}
        names = (*PARTIES, "coordinator")
        told = {name: options if name == "coordinator" else () for name in names}
        return {name: self.start(name, *told[name], faults=faults.get(name), kept=kept) for name in names}

    def assert_same_end(self, running: dict[str, Hand]) -> None:
        """All end well, with the result that nobody disturbed."""
        codes = {name: hand.ended() for name, hand in running.items()}
        assert codes == dict.fromkeys(running, 0), {name: hand.err for name, hand in running.items()}
        told = json.loads(running["coordinator"].out)
        assert {**told, "wall_s": 0} == {**self.whole, "wall_s": 0}
        for name in PARTIES:
            assert list((self.folder / f"kept-{name}").iterdir()) == []  # parameters lie about no longer

    def fault(self, file: str, at: int, how: str = "kill") -> list[dict[str, Any]]:
        return [{"file": file, "at": at, "how": how, "once": str(self.folder / f"struck-{file}")}]


@pytest.fixture
def network(hands: Hands, prepared: Path, tmp_path: Path) -> Iterator[Network]:
    yield Network(hands, prepared, tmp_path)
    hands.ask("end", None)


@pytest.mark.long  # processes by command
def test_a_death_ends_all_and_the_same_commands_go_on(network: Network) -> None:
    """Alice dies while she writes her third checkpoint, and nobody waits for her."""
    first = network.start_all("--rejoin-s", "0", faults={"alice": network.fault("alice.0.3.npz", 1)})
    codes = {name: hand.ended() for name, hand in first.items()}
    assert codes == {"alice": -9, "bob": 3, "alice-bob": 3, "coordinator": 3}
    assert json.loads(first["coordinator"].out)["error"]["party"] == "alice"
    said = first["coordinator"].err.splitlines()
    over = "the same commands over the same folders go on from checkpoint 2"
    assert said[-2:] == [
        f"ketwire: kept-coordinator: an unfinished run; {over}", "ketwire: alice: its connection is gone"
    ]  # fmt: skip
    assert first["bob"].err.splitlines()[-1].startswith("ketwire: coordinator: the run ended early: ")
    for name in (*PARTIES, "coordinator"):
        assert (network.folder / f"kept-{name}").stat().st_mode & 0o777 == 0o700
        files = list((network.folder / f"kept-{name}").iterdir())
        assert files and all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    owners = {path.name.partition(".")[0] for path in (network.folder / "kept-bob").iterdir()}
    assert owners == {"bob"}
    network.assert_same_end(network.start_all())


@pytest.mark.long
def test_a_fiber_that_comes_back_is_joined_by_the_others(network: Network) -> None:
    running = network.start_all(faults={"alice-bob": network.fault("alice-bob.0.3.npz", 2)})
    assert running["alice-bob"].ended() == -9
    running["alice-bob"] = network.start("alice-bob")
    network.assert_same_end(running)
    said = running["coordinator"].err
    assert "\nketwire: alice-bob: " in said and "; everybody goes on from checkpoint 2\n" in said
    assert "ketwire: bob: everybody begins again: " in running["bob"].err


@pytest.mark.long  # processes by command
def test_a_coordinator_that_comes_back_finds_all_others(network: Network) -> None:
    """It dies between the writing of a commit and its name."""
    running = network.start_all(faults={"coordinator": network.fault("commit.0.2.json", 3)})
    assert running["coordinator"].ended() == -9
    running["coordinator"] = network.start("coordinator")
    network.assert_same_end(running)
    for name in PARTIES:
        assert f"ketwire: {name}: the coordinator is gone; joining again, for 60 s" in running[name].err


@pytest.mark.long
def test_who_does_not_come_back_is_named(network: Network) -> None:
    running = network.start_all("--rejoin-s", "2", faults={"bob": network.fault("bob.0.2.npz", 0)})
    assert {name: hand.ended() for name, hand in running.items()} == {
        "alice": 3, "bob": -9, "alice-bob": 3, "coordinator": 3
    }  # fmt: skip
    assert running["coordinator"].err.splitlines()[-1] == "ketwire: bob: has not joined within 2 s"


@pytest.mark.long  # processes by command
def test_a_full_disk_is_told_and_a_folder_without_the_commit_is_named(network: Network) -> None:
    first = network.start_all(faults={"alice": network.fault("alice.0.4.npz", 1, "full")})
    assert [hand.ended() for hand in first.values()] == [3, 3, 3, 3]
    told = "checkpoint: kept-alice/alice.0.4.npz: No space left on device; the last good checkpoint stays"
    assert first["coordinator"].err.splitlines()[-1] == f"ketwire: alice: {told}"
    shutil.rmtree(network.folder / "kept-bob")
    second = network.start_all()
    assert {hand.ended() for hand in second.values()} == {2, 3}
    line = second["coordinator"].err.splitlines()[-1]
    assert line.startswith("ketwire: steps.yaml: checkpoints: bob: kept-bob/bob.0.3.npz: No such file or directory, ")
    assert line.endswith("; no other checkpoint is whole")


@pytest.mark.long  # processes by command
def test_checkpoints_are_everybodys_or_nobodys(network: Network) -> None:
    for kept, told in (
        ({*PARTIES, "coordinator"} - {"alice"}, "none given for alice, expected a folder: the coordinator has one"),
        ({"alice"}, "kept-alice given for alice, expected one for the coordinator as well"),
    ):
        running = {name: network.start(name, kept=name in kept) for name in (*PARTIES, "coordinator")}
        assert running["alice"].ended() == running["coordinator"].ended() == 2
        assert running["coordinator"].err.splitlines()[-1] == f"ketwire: steps.yaml: --checkpoints: {told}"
        # Who had not joined yet waits on, and would speak up for its successor at the next coordinator.
        network.hands.ask("end", None)


@pytest.mark.long
def test_nobody_waits_for_ever_for_a_coordinator(network: Network) -> None:
    waiting = [network.start(name, "--wait-s", "0.2", kept=False) for name in ("alice", "alice-bob")]
    for hand in waiting:
        assert hand.ended(10) == 3
        first, last = hand.err.splitlines()
        assert first.endswith(f": waiting for the coordinator at {network.address}, for 0.2 s")
        told = f"no word from {network.address} within 0.2 s, expected one that has this party's key"
        assert last == f"ketwire: coordinator: {told}"


@pytest.mark.long
def test_parties_without_checkpoints_end_with_their_coordinator(network: Network) -> None:
    """They are told at once, not after a silence. Alice kills it: it was started as the fourth."""
    die = {"alice": {"step": 2, "when": "after", "dead": str(network.folder / "dead"), "times": 1, "whom": 3}}
    running = network.start_all("--set", f"protocol.die={json.dumps(die)}", kept=False)
    assert running["coordinator"].ended() == -9
    for name in PARTIES:
        assert running[name].ended(10) == 3
        assert running[name].err.splitlines()[-1] == "ketwire: coordinator: the coordinator is gone"


@pytest.mark.long
def test_what_an_epoch_before_says_is_dropped_and_another_connection_is_a_death() -> None:
    """Alice's process of an epoch before speaks first, then one that joins, which dies when another has come."""
    run = Threads(scripted({"alice": [], "bob": []}))
    member, sockets = run.coordinator.members["alice"], []

    def say(frame: f.Frame, name: bytes, sequence: int) -> None:
        sockets.append(dealer(run.context, run.endpoint, run.keys["alice"], "alice"))
        put(sockets[-1], encode(frame, run=name, session=0, sequence=sequence, digest=True))

    now = run.coordinator.run_id
    say(f.Blocked(0, "send", "bob", {}, {}, {}), bytes(16), 17)
    until_s = time.monotonic() + 1.0
    run.coordinator._until(lambda: time.monotonic() > until_s)
    assert member.route is None
    say(f.Join("alice", "node", __version__, 1), now, 0)
    run.coordinator._until(lambda: member.route is not None)
    say(f.Join("alice", "node", __version__, 2), now, 0)
    run.coordinator._until(lambda: bool(member.rivals))
    sockets[1].close()
    with pytest.raises(PartyFailed, match="its connection is gone") as caught:
        run.coordinator._until(lambda: False)
    assert caught.value.party == "alice" and caught.value.died
    run.context.destroy(linger=0)


def test_whoever_joins_while_another_of_its_key_answers_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "RIVAL_S", 0.2)
    monkeypatch.setattr(coordinator, "PING_EVERY_S", 0.1)
    run = Threads(scripted({"alice": [], "bob": []}))
    member = run.coordinator.members["alice"]
    first = Control(run.context, run.credentials("alice", "node"))
    run.coordinator._until(lambda: member.route is not None)
    route = member.route
    second = Control(run.context, run.credentials("alice", "node"))
    run.coordinator._until(lambda: bool(member.rivals))
    run.coordinator._until(lambda: not member.rivals)
    with pytest.raises(Taken, match="another process is alice in this run already, and answers"):
        second.wait(f.Job)
    assert isinstance(first.wait(f.Job), f.Job) and member.route == route
    run.context.destroy(linger=0)


def test_whoever_gives_up_while_another_of_its_key_answers_keeps_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a second fiber does whose port the first one has."""
    monkeypatch.setattr(members, "RIVAL_S", 0.2)
    monkeypatch.setattr(coordinator, "PING_EVERY_S", 0.1)
    run = Threads(scripted({"alice": [], "bob": []}))
    member = run.coordinator.members["alice-bob"]
    first = Control(run.context, run.credentials("alice-bob", "fiber"))
    run.coordinator._until(lambda: member.route is not None)
    second = Control(run.context, run.credentials("alice-bob", "fiber"))
    run.coordinator._until(lambda: bool(member.rivals))
    run.coordinator._until(lambda: not member.rivals)
    second.fail(ScenarioError("its port is taken"))  # it was: Taken
    assert not second.has_job and isinstance(first.wait(f.Job), f.Job)
    run.context.destroy(linger=0)


@pytest.mark.long
@pytest.mark.parametrize("key", ["alice", "bob"])
def test_a_second_process_with_a_key_is_told_so_and_the_first_goes_on(key: str, network: Network) -> None:
    """Also where it has the key of another party than it says it is."""
    longer = ("--set", "protocol.steps=400")
    running = network.start_all(*longer)
    until_s = time.monotonic() + 30
    while not [*(network.folder / "kept-coordinator").glob("commit.*")] and time.monotonic() < until_s:
        time.sleep(0.01)
    shutil.copytree(network.folder / "keys", network.folder / "keys2")
    shutil.copy(network.folder / "keys" / f"{key}.key", network.folder / "keys2" / "alice.key")
    argv = ("node", "alice", "--coordinator", network.address, "--keys", "keys2", "--checkpoints", "kept-second")
    second = network.hands.start(network.folder, *argv)
    assert second.ended() == 2
    told = f"ketwire: another process is {key} in this run already, and answers; expected one process a key"
    assert second.err.splitlines()[1:] == [told]
    assert "goes on from" not in running["coordinator"].err
    if network.hands.ask("wait", [running["coordinator"].pid, 60]) is not None:
        assert {name: running[name].ended() for name in PARTIES} == dict.fromkeys(PARTIES, 0)
    assert "goes on from" not in running["coordinator"].err


@pytest.mark.parametrize("job", [{}, {"run": "0g" * 16}, {"run": "00"}, {"run": 7}])
def test_a_job_names_its_run(job: dict[str, Any]) -> None:
    context = zmq.Context()
    pair = new_keys()
    nowhere = Endpoint("127.0.0.1:1", pair.public)
    control = Control(context, Credentials("alice", "node", bytes(16), nowhere, pair))
    with pytest.raises(RemoteProtocolError, match="a job without the name of its run, 32 hexadecimal digits"):
        control._take(f.Job(job))
    control._take(f.Job({"run": "01" * 16}))
    assert control.run == bytes([1]) * 16 and control.has_job
    context.destroy(linger=0)


@pytest.mark.long
@pytest.mark.parametrize("attempt", range(10))
def test_whoever_is_killed_at_any_moment_and_started_again_the_run_ends_the_same(
    attempt: int, network: Network, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three deaths at random moments, of anybody, the coordinator included."""
    rng = random.Random(attempt)
    longer = ("--set", "protocol.steps=200", "--set", "protocol.size=20000")
    monkeypatch.chdir(network.folder)
    capfd.readouterr()
    assert cli.execute(["run", "steps.yaml", "--inline", "--json", *longer]) == 0
    network.whole = json.loads(capfd.readouterr().out)
    running = network.start_all(*longer)
    deaths = 0
    for _ in range(3):
        if network.hands.ask("wait", [running["coordinator"].pid, rng.uniform(0.3, 2.0)]) is not None:
            break  # it is over: nobody would hear who is started now
        victim = rng.choice([*running])
        with contextlib.suppress(ProcessLookupError):
            os.kill(running[victim].pid, signal.SIGKILL)
        if running[victim].ended() == 0:
            break
        deaths += 1
        running[victim] = network.start(victim, *(longer if victim == "coordinator" else ()))
    network.assert_same_end(running)
    assert deaths


@pytest.mark.long
def test_the_fourth_death_ends_the_run(network: Network) -> None:
    running = network.start_all(faults={"alice": network.fault("alice.0.2.npz", 1)})
    for _ in range(3):
        assert running["alice"].ended() == -9
        (network.folder / "struck-alice.0.2.npz").unlink()
        running["alice"] = network.start("alice", faults=network.fault("alice.0.2.npz", 1))
    assert {name: hand.ended() for name, hand in running.items()} == {
        "alice": -9, "bob": 3, "alice-bob": 3, "coordinator": 3
    }  # fmt: skip
    assert "3 deaths were survived before this one, expected no more" in running["coordinator"].err


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((*CONDUCT, "--rejoin-s", "3"), "steps.yaml: --rejoin-s: 3 given without --checkpoints, expected both"),
        ((*CONDUCT, "--rejoin-s", "-1", "--checkpoints", "k"), "steps.yaml: --rejoin-s: -1 given, expected seconds"),
        ((*CONDUCT, "--checkpoints", "no/where"), "steps.yaml: checkpoints: no/where: No such file or directory"),
        (
            (*CONDUCT, "--checkpoints", "k", "--set", "protocol.kept=false"),
            "steps.yaml: --checkpoints: k given, expected none: no session of this scenario has any",
        ),
        (("node", "alice", "--wait-s", "0"), "--wait-s: 0 given, expected seconds above 0, or inf"),
        (("fiber", "alice-bob", "--wait-s", "nan"), "--wait-s: nan given, expected seconds above 0, or inf"),
        (("node", "alice", "--checkpoints", "keys/alice.pub"), "--checkpoints: keys/alice.pub: "),
        (("node", "alice", "--checkpoints", "no/where"), "--checkpoints: no/where: No such file or directory"),
    ],
)
def test_what_cannot_serve_is_one_line(
    argv: tuple[str, ...], told: str, network: Network, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(network.folder)
    where = "--bind" if argv[0] == "coordinator" else "--coordinator"
    assert cli.execute([*argv, "--keys", "keys", where, network.address]) == 2
    said = unannounced(capfd.readouterr().err)
    assert said.startswith(f"ketwire: {told}") and said.count("\n") == 1
