"""Who may speak, under which name, and what never crosses the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.channels.messages import Answers
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import (
    Carry,
    Frame,
    Hello,
    Join,
    Receipt,
    Start,
)
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.processes.security import KeyPair, new_keys, read_keys, read_public_key, write_keys
from ketwire.nodes.processes.sockets import Endpoint, dealer
from ketwire.nodes.processes.sockets import receive as take
from ketwire.nodes.processes.sockets import send as put
from ketwire.nodes.session import Run
from ketwire.protocols.node import Loader, Node, Outcome
from tests.kit import Threads, recording, scripted

PATIENCE_S = 10.0


class Speaker:
    """A node's end of the data plane, driven by hand: frames out, frames in."""

    def __init__(self, context: Any, endpoint: Endpoint, keys: KeyPair, run: bytes, name: str) -> None:
        self.socket = dealer(context, endpoint, keys, name)
        self.connection = Connection(Role.NODE, run)

    def say(self, frame: Frame) -> None:
        put(self.socket, self.connection.send(frame))

    def throw(self, frames: list[bytes]) -> None:
        """Octets as they are, past our own connection."""
        put(self.socket, frames)

    def hear(self, patience_s: float = PATIENCE_S) -> Any:
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if self.socket.poll(50):
                return self.connection.receive([frame.buffer for frame in take(self.socket)])
        return None


class FiberBench:
    """One fiber process as a thread, with this test as its coordinator and as both of its nodes."""

    def __init__(self) -> None:
        self.run = Threads(scripted({"alice": [], "bob": []}))
        self.run.threads[2].start()
        self.members = self.run.coordinator.members
        self.until(lambda: self.members["alice-bob"].ready)
        ready = self.members["alice-bob"].ready
        assert ready is not None and ready.address is not None
        self.address = ready.address
        self.endpoint = Endpoint(self.address, self.run.keys["alice-bob"].public)
        self.coordinator_say(Start(0, {"fibers": {}, "public": {}}))

    def coordinator_say(self, frame: Frame) -> None:
        self.run.coordinator._say(self.members["alice-bob"], frame)

    def until(self, reached: Any) -> None:
        self.run.coordinator._until(lambda: bool(reached()))

    def speaker(self, name: str, keys: KeyPair | None = None) -> Speaker:
        pair = keys if keys is not None else self.run.keys[name]
        return Speaker(self.run.context, self.endpoint, pair, self.run.coordinator.run_id, name)

    def close(self) -> None:
        self.run.coordinator.stop("over")
        self.run.threads[2].join(10)
        assert not self.run.threads[2].is_alive()
        self.run.context.destroy(linger=0)


@pytest.fixture
def bench() -> Iterator[FiberBench]:
    made = FiberBench()
    yield made
    made.close()


def answers(*values: int) -> Carry:
    return Carry(Answers(np.array(values, dtype=np.int64), 8), 0)


def greeted(bench: FiberBench, name: str) -> Speaker:
    speaker = bench.speaker(name)
    speaker.say(Hello(name))
    assert type(speaker.hear()).__name__ == "Welcome"
    return speaker


def test_a_fiber_lives_on_after_bad_frames(bench: FiberBench) -> None:
    """Bit flips, truncation, replay, foreign runs and plain noise: each refused by name, then all is well."""
    alice, bob = greeted(bench, "alice"), greeted(bench, "bob")
    rng = np.random.default_rng(5)
    refusals = []
    for _ in range(200):
        good = [bytes(memoryview(part)) for part in probe(alice).send(answers(1, 2, 3))]
        part = int(rng.integers(len(good)))
        octets = bytearray(good[part])
        octets[int(rng.integers(len(octets)))] ^= 1 << int(rng.integers(8))
        good[part] = bytes(octets)
        alice.throw(good if rng.random() < 0.7 else [rng.bytes(int(rng.integers(0, 80)))])
        refusals.append(alice.hear())
    assert {type(refusal).__name__ for refusal in refusals} == {"Refused"}
    assert len({refusal.error for refusal in refusals}) >= 3
    alice.say(answers(7, 8, 9))
    assert isinstance(alice.hear(), Receipt)
    delivered = bob.hear()
    assert delivered.message.values.tolist() == [7, 8, 9]


def probe(speaker: Speaker) -> Connection:
    """A copy of a speaker's connection, whose messages are as good as its own until one is taken."""
    import copy

    return copy.deepcopy(speaker.connection)


def test_a_replayed_frame_is_refused(bench: FiberBench) -> None:
    alice = greeted(bench, "alice")
    frames = [bytes(memoryview(part)) for part in alice.connection.send(answers(1))]
    alice.throw(frames)
    assert isinstance(alice.hear(), Receipt)
    alice.throw(frames)
    assert alice.hear().error == "ReplayedFrame"


def test_a_peer_without_a_known_key_is_turned_away_unread(bench: FiberBench) -> None:
    eve = bench.speaker("alice", new_keys())
    eve.say(Hello("alice"))
    assert eve.hear(1.0) is None
    party = greeted(bench, "alice")  # the rightful one is served all the same
    assert party.connection.state.name == "OPEN"


def test_a_known_key_cannot_speak_under_another_name(bench: FiberBench) -> None:
    """Bob says that he is Alice, and even takes her name as routing id: refused, and Alice is not touched."""
    alice = greeted(bench, "alice")
    impostor = Speaker(
        bench.run.context, bench.endpoint, bench.run.keys["bob"], bench.run.coordinator.run_id, "alice"
    )
    impostor.say(Hello("alice"))
    assert impostor.hear().error == "WrongName"
    alice.say(answers(5))
    assert isinstance(alice.hear(), Receipt)


def test_a_second_process_with_a_key_but_not_the_run_s_id_takes_no_route(bench: FiberBench) -> None:
    """Neither are the first one's messages sent to it, nor is the first told of what it has not said."""
    alice, bob = greeted(bench, "alice"), greeted(bench, "bob")
    second = Speaker(bench.run.context, bench.endpoint, bench.run.keys["alice"], bytes(16), "alice")
    second.say(Hello("alice"))
    assert second.hear(1.0) is None
    bob.say(answers(5))
    assert isinstance(bob.hear(), Receipt)
    assert alice.hear().message.values.tolist() == [5]
    assert second.hear(0.2) is None


def test_a_party_that_joins_as_another_ends_the_run() -> None:
    run = Threads(scripted({"alice": [], "bob": []}))
    credentials = run.credentials("bob", "node")
    connection = Connection(Role.PARTY, credentials.run)
    socket = dealer(run.context, run.endpoint, run.keys["bob"], "bob")
    put(socket, connection.send(Join("alice", "node", "0", 1)))
    with pytest.raises(PartyFailed, match="bob joined as node alice") as caught:
        run.coordinator._until(lambda: False)
    assert caught.value.party == "bob"
    run.context.destroy(linger=0)


def test_strangers_never_reach_the_coordinator() -> None:
    run = Threads(scripted({"alice": [], "bob": []}))
    socket = dealer(run.context, run.endpoint, new_keys(), "alice")
    put(socket, [b"anything"])
    until = time.monotonic() + PATIENCE_S
    assert run.coordinator.doorman is not None
    while not run.coordinator.doorman.refused and time.monotonic() < until:
        run.coordinator.doorman.answer()
        time.sleep(0.01)
    assert run.coordinator.doorman.refused >= 1
    assert not run.coordinator.socket.poll(100)
    run.context.destroy(linger=0)


# --- secrets stay at home ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Secret:
    """A party's own numbers, and whether it gives them away."""

    leak: bool
    own: NDArray[np.float64]


@dataclass(frozen=True)
class Entries(Outcome):
    """How many there are."""

    entries: int


class OwnerParty:
    """Alice and Bob each load data of their own and send each other something made of it, or it itself."""

    Slice, Outcome = Secret, Entries

    def __init__(self, slice: Secret, load: Loader) -> None:
        self.own, self.leak = slice.own, slice.leak
        self.shapes: dict[str, Any] = {}

    async def run(self, node: Node) -> Entries:
        peer = "bob" if node.name == "alice" else "alice"
        told = self.own.view(np.int64) if self.leak else np.array([len(self.own)])
        if node.name == "alice":
            await node.send(peer, Answers(told, 64))
            await node.receive(peer, Answers)
        else:
            await node.receive(peer, Answers)
            await node.send(peer, Answers(told, 64))
        return Entries(len(self.own))


def owned_run(leak: bool) -> tuple[Run, dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    data = {party: rng.standard_normal(40) for party in ("alice", "bob")}
    run = scripted({"alice": [], "bob": []}, program=f"{__name__}:OwnerParty")
    slices = {party: Secret(leak, data[party]) for party in data}
    session = type(run.sessions[0])("s0", "quantum", run.sessions[0].program, slices)
    return Run(run.seed, run.parties, run.links, (session,)), data


def leaks(recorded: list[tuple[str, list[bytes]]], data: dict[str, np.ndarray], coordinator: str) -> set[str]:
    """Whose numbers, as octets or as text, are in a frame that is not the JOB for their owner."""
    found = set()
    for sender, frames in recorded:
        whole = b"\0".join(frames)
        for owner, numbers in data.items():
            if sender == coordinator and numbers.tobytes() in whole:
                # The one legitimate frame: the owner's own slice, on its way to the owner.
                others = [other for name, other in data.items() if name != owner]
                if not any(number.tobytes() in whole for other in others for number in other):
                    continue
            if any(n.tobytes() in whole or repr(float(n)).encode() in whole for n in numbers):
                found.add(owner)
    return found


@pytest.mark.parametrize("leak", [False, True])
def test_nobody_s_numbers_leave_their_process(monkeypatch: pytest.MonkeyPatch, leak: bool) -> None:
    """Every frame of a run is recorded; only the program that leaks on purpose is caught."""
    run, data = owned_run(leak)
    recorded = recording(monkeypatch)
    Threads(run).conduct()
    assert len(recorded) > 20
    assert leaks(recorded, data, "MainThread") == ({"alice", "bob"} if leak else set())


# --- key files --------------------------------------------------------------------------------------


def test_key_files_are_private_and_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    write_keys(folder, ["alice", "coordinator"])
    assert oct((folder / "alice.key").stat().st_mode & 0o777) == "0o600"
    pair = read_keys(folder, "alice")
    assert read_public_key(folder, "alice") == pair.public and pair.secret not in repr(pair)
    with pytest.raises(ScenarioError, match=r"alice\.key exists"):
        write_keys(folder, ["alice"])
    os.chmod(folder / "alice.key", 0o644)
    with pytest.raises(ScenarioError, match="mode 0600"):
        read_keys(folder, "alice")
    with pytest.raises(ScenarioError, match=r"bob\.pub: No such file"):
        read_public_key(folder, "bob")


