"""Peers without a key: whom they reach, what they can make a process hold, and that runs end well beside them."""

from __future__ import annotations

import os
import random
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from ketwire.channels.wire.refusals import OversizedFrame, TruncatedFrame
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.checkpoints import folders
from ketwire.nodes.processes import children
from ketwire.nodes.processes import run as process
from ketwire.nodes.processes.addresses import Address
from ketwire.nodes.processes.gate import STRANGERS, gate
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.processes.security import Doorman, new_keys
from ketwire.nodes.processes.sockets import (
    LARGEST_OCTETS,
    PIECE_OCTETS,
    Endpoint,
    bind,
    dealer,
    endpoint_at,
    octets_of,
    receive,
    router,
    send,
)
from tests.kit import on_loopback, rarely, scripted
from tests.kit import receive as take
from tests.kit import send as give
from tests.strangers import crowd, held_mib, listening, listens

PIECE = PIECE_OCTETS
LOOPBACK = Address("127.0.0.1", 0)
SCENARIO = "two-layer-inference"

# ---------------------------------------------------------------- frames in pieces


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 1, 3 * PIECE, 3 * PIECE + 7])
def test_large_frames_come_whole_through_a_socket_that_takes_small_ones(size: int) -> None:
    context = zmq.Context()
    pair, own = new_keys(), new_keys()
    doorman = Doorman(context, {pair.public: "alice"})
    binder = router(context, own)
    caller = dealer(context, Endpoint(on_loopback(binder), own.public), pair, "alice")
    frames = [b"small", np.random.default_rng(1).bytes(size), b"", np.arange(size, dtype=np.uint8).data]
    send(caller, frames)
    until_s = time.monotonic() + 10
    while not (came := receive(binder)) and time.monotonic() < until_s:
        doorman.answer()
        time.sleep(0.005)
    assert [bytes(frame) for frame in octets_of(came[1:])] == [bytes(frame) for frame in frames]
    assert max(len(frame) for frame in came) <= PIECE < LARGEST_OCTETS == binder.maxmsgsize == caller.maxmsgsize
    joined = octets_of(came[1:])[1]
    assert isinstance(joined, bytes) if size < PIECE else joined.readonly
    context.destroy(linger=0)


@pytest.mark.parametrize(
    ("sizes", "refusal"),
    [([5, PIECE], TruncatedFrame), ([PIECE, PIECE], TruncatedFrame), ([PIECE + 1], OversizedFrame)],
)
def test_pieces_that_are_no_frame_are_refused(sizes: list[int], refusal: type[Exception]) -> None:
    with pytest.raises(refusal, match="piece"):
        octets_of([zmq.Frame(bytes(size)) for size in sizes])


# ---------------------------------------------------------------- runs on one machine


LONG_TALK = {
    "alice": [give("bob", "answers"), take("bob", "answers")] * 5,
    "bob": [take("alice", "answers"), give("alice", "answers")] * 5,
}


@pytest.mark.parametrize("plaintext", [False, True])
def test_a_run_on_one_machine_listens_on_no_port(
    plaintext: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: dict[int, list[int]] = {}
    places: set[Path] = set()
    original = children.Children.check

    def check(self: children.Children, events: Mapping[Any, int]) -> None:
        original(self, events)
        pids = [os.getpid(), *(child.pid for child in self._children.values() if child.pid is not None)]
        for pid in pids:
            ports.setdefault(pid, []).extend(listening(pid))
        found = [path for path in tmp_path.iterdir() if path.name.startswith(folders.PREFIX)]
        places.update(found)
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o700 for path in found)

    monkeypatch.setattr(children.Children, "check", check)
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    run_processes(scripted(LONG_TALK), plaintext=plaintext)
    assert len(ports) == 4 and not any(ports.values())
    assert len(places) == 1 and not any(path.exists() for path in places)


def test_sockets_lie_in_tmp_where_the_folder_for_temporary_files_has_too_long_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(folders.tempfile, "tempdir", str(long))
    run_processes(scripted(LONG_TALK))
    assert not any(long.iterdir())
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ScenarioError, match="No such file or directory, expected a folder for temporary files"):
        run_processes(scripted(LONG_TALK))


def test_a_folder_of_sockets_that_goes_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(process, "_socket", lambda place, index: f"ipc://{place / 'gone' / str(index)}")
    with pytest.raises(PartyFailed, match="No such file or directory, expected the folder of this run's sockets"):
        run_processes(scripted(LONG_TALK))
    assert not any(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("number", rarely(["SIGHUP", "SIGTERM", "SIGKILL"], but="SIGTERM"))
def test_the_folder_of_sockets_goes_with_a_run_that_a_signal_ends(number: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    told = subprocess.Popen(
        [sys.executable, "-m", "ketwire", "run", "digits", "--json"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until_s = time.monotonic() + 30
        while not [*tmp_path.glob(f"{folders.PREFIX}*/[1-9]")]:  # a fiber listens
            assert time.monotonic() < until_s and told.poll() is None
            time.sleep(0.01)
    finally:
        told.send_signal(getattr(signal, number))
        told.wait(30)
    until_s = time.monotonic() + 10
    while any(tmp_path.glob(f"{folders.PREFIX}*")):
        assert time.monotonic() < until_s, [*tmp_path.iterdir()]
        time.sleep(0.02)


# ---------------------------------------------------------------- parties that are started by hand


class ByHand:
    """A run of which each party is a process of its own, within `limit` descriptors."""

    def __init__(self, folder: Path, limit: int, *options: str) -> None:
        self.folder, self.limit, self.options = folder, limit, options
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        subprocess.run([*KETWIRE, "keys", "keys", SCENARIO], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def start(self, name: str) -> subprocess.Popen[bytes]:
        if name == "coordinator":
            argv = [name, SCENARIO, "--bind", self.address, *self.options]
        else:
            argv = ["fiber" if "-" in name else "node", name, "--coordinator", self.address]
        with (self.folder / f"{name}.err").open("wb") as said:
            self.processes[name] = subprocess.Popen(
                [*within(self.limit), *KETWIRE, *argv, "--keys", "keys"], cwd=self.folder, stdout=said, stderr=said
            )
        return self.processes[name]

    def said(self) -> dict[str, str]:
        return {name: (self.folder / f"{name}.err").read_text() for name in self.processes}

    def codes(self, patience_s: float) -> dict[str, int | None]:
        until_s = time.monotonic() + patience_s
        while any(each.poll() is None for each in self.processes.values()) and time.monotonic() < until_s:
            time.sleep(0.05)
        return {name: each.poll() for name, each in self.processes.items()}

    def end(self) -> None:
        for each in self.processes.values():
            each.kill()
            each.wait()


KETWIRE = (sys.executable, "-m", "ketwire")


def within(limit: int) -> list[str]:
    """What starts a command so that it has no more than so many descriptors."""
    return ["bash", "-c", f'ulimit -n {limit} && exec "$@"', "bash"]


def beside(folder: Path, count: int, limit: int, habit: Any, patience_s: float = 60.0) -> dict[str, Any]:
    """A run by hand that ends well though strangers hold the ports of coordinator and fiber from the start."""
    hand = ByHand(folder, limit)
    try:
        with ExitStack() as stack:
            begun_s, crowds, grown = time.monotonic(), [], 0
            for name in ("coordinator", "alice-bob"):
                port = listens(hand.start(name).pid)
                crowds.append(stack.enter_context(crowd(port, count, habit)))
            time.sleep(1.0)  # so that they are there before anybody else
            before = {name: held_mib(each.pid) for name, each in hand.processes.items()}
            if habit == "streams":
                time.sleep(3.0)
                grown = max(held_mib(each.pid) - before[name] for name, each in hand.processes.items())
            for name in ("alice", "bob"):
                hand.start(name)
            codes = hand.codes(patience_s)
            assert codes == dict.fromkeys(codes, 0), hand.said()
            told = {"connections": sum(each.comes for each in crowds), "mib_grown": grown}
            sent = sum(each.octets for each in crowds) >> 20
            return {**told, "mib_sent": sent, "seconds": round(time.monotonic() - begun_s, 1)}
    finally:
        hand.end()


@pytest.mark.long  # a hundred connections, with their time limits
def test_a_gate_lets_few_strangers_in_and_passes_on_what_a_peer_says(tmp_path: Path) -> None:
    """400 connections, most of them idle; then a message of many pieces comes through in both directions."""
    context = zmq.Context()
    pair, own = new_keys(), new_keys()
    doorman = Doorman(context, {pair.public: "alice"})
    binder = router(context, own)
    with gate(LOOPBACK) as held:
        bind(binder, held.inner, "alice-bob")
        port = held.address.port
        with crowd(port, 200, "silent"), crowd(port, 200, "greets"):
            caller = dealer(context, endpoint_at(held.address, own.public), pair, "alice")
            frames = [b"hello", random.Random(1).randbytes(5_000_000)]
            send(caller, frames)
            until_s = time.monotonic() + 30
            while not (came := receive(binder)) and time.monotonic() < until_s:
                doorman.answer()
                time.sleep(0.001)
            assert [bytes(frame) for frame in octets_of(came[1:])] == frames
            send(binder, [came[0].bytes, *frames])
            assert caller.poll(20_000)
            assert [bytes(frame) for frame in octets_of(receive(caller))] == frames
        context.destroy(linger=0)


@pytest.mark.long  # processes by command
def test_a_gate_ends_whoever_is_one_too_many_and_whoever_waits() -> None:
    with gate(LOOPBACK) as held:
        ends = [socket.create_connection((held.address.host, held.address.port), 5) for _ in range(STRANGERS + 10)]
        for end in ends:
            end.settimeout(20)
        assert [end.recv(1) for end in ends] == [b""] * len(ends)  # the last of them when their time is over
        for end in ends:
            end.close()


# ---------------------------------------------------------------- few descriptors


def limited(limit: int, *argv: str, soft: bool = False) -> subprocess.CompletedProcess[str]:
    command = within(limit)
    if soft:
        command[2] = command[2].replace("-n", "-S -n")
    return subprocess.run([*command, *KETWIRE, *argv], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("limit", rarely([12, 20, 30], but=20))
def test_a_run_with_too_few_descriptors_is_refused_in_one_line(limit: int) -> None:
    done = limited(limit, "run", SCENARIO)
    told = f"ulimit -n: {limit} file descriptors allowed, expected 33 or more for 3 processes"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ketwire: {SCENARIO}.yaml: {told}\n")


@pytest.mark.parametrize("argv", [("node", "alice"), ("fiber", "alice-bob")])
def test_a_party_with_too_few_descriptors_is_refused_in_one_line(argv: tuple[str, str], tmp_path: Path) -> None:
    done = limited(20, *argv, "--keys", str(tmp_path), "--coordinator", "127.0.0.1:1")
    told = f"ulimit -n: 20 file descriptors allowed, expected 32 or more for {argv[1]}"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ketwire: {told}\n")


@pytest.mark.long  # processes by command
def test_a_run_raises_a_low_limit_to_what_it_needs_and_needs_no_more(tmp_path: Path) -> None:
    assert limited(16, "run", SCENARIO, "--json", soft=True).returncode == 0
    out = str(tmp_path / "out")
    short = ("--set", "protocol.steps=3", "--set", "protocol.rivals={backprop: [], raw: []}")
    kept = ("--set", "protocol.checkpoint_every=1")
    done = limited(33, "run", "train-breast-cancer", *short, *kept, "--json", "--out", out)
    assert done.returncode == 0, done.stderr


@pytest.mark.long  # processes by command
def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        told = rf"^--bind: 127\.0\.0\.1:{port}: Address already in use, expected a free address of this machine$"
        with pytest.raises(ScenarioError, match=told), gate(Address("127.0.0.1", port)):
            pass


@pytest.mark.long  # processes by command
def test_what_strangers_stream_is_not_held(tmp_path: Path) -> None:
    """100 connections announce 2^31 - 1 octets each and stream; each comes again when it is cut off."""
    hand = ByHand(tmp_path, 256)
    try:
        pid = hand.start("coordinator").pid
        port = listens(pid)
        before = held_mib(pid)
        with crowd(port, 100, "streams") as strangers:
            until_s = time.monotonic() + 20
            while strangers.comes < 500 and time.monotonic() < until_s:
                time.sleep(0.05)
                assert held_mib(pid) - before < 16
        assert strangers.comes >= 500
    finally:
        hand.end()


@pytest.mark.long
@pytest.mark.parametrize("habit", ["silent", "greets", "streams"])
@pytest.mark.parametrize(("count", "limit"), [(400, 256), (1500, 1024)])
def test_runs_by_hand_end_well_beside_strangers_that_come_again(
    habit: str, count: int, limit: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    told = beside(tmp_path, count, limit, habit, 120.0)
    assert told["mib_grown"] < 16
    record_property("counts", f"{2 * count} strangers, {habit}, {limit} descriptors: {told}")
