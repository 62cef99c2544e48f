"""Addresses: what is one, what is announced, and what is told of those that cannot serve."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.processes import node as node_process
from ketwire.nodes.processes.addresses import Address, AddressError
from ketwire.nodes.processes.control import Credentials
from ketwire.nodes.processes.fiber import FiberProcess
from ketwire.nodes.processes.gate import gate
from ketwire.nodes.processes.security import new_keys
from ketwire.nodes.processes.sockets import Endpoint
from ketwire.scenarios import cli
from tests.hands import ROOT, STEPS, Hand, Hands, hands
from tests.kit import Threads, on_loopback, rarely, scripted, unannounced

__all__ = ["hands"]
FORM = "expected HOST:PORT or [IPv6]:PORT"
NOWHERE = "nowhere.invalid"  # a name that RFC 6761 keeps from resolving
SIGNS = st.text("abcXYZ019_", min_size=1, max_size=20)
HYPHENS = st.builds("{}-{}".format, SIGNS, SIGNS)
LAST = st.text("abcXYZ_", min_size=1, max_size=9)  # a number here would make it an IPv4 address
NAMES = st.builds(lambda labels, last: ".".join([*labels, last]), st.lists(SIGNS | HYPHENS, max_size=3), LAST)
HOSTS = NAMES | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)


@given(HOSTS.filter(lambda host: host not in ("0.0.0.0", "::")), st.integers(1, 65_535))
def test_an_address_is_what_its_text_says(host: str, port: int) -> None:
    address = Address(host, port)
    assert Address.parse(str(address)) == address
    assert Address.parse(str(address), binds=True) == address


@given(st.text() | st.text("[]:.*-_%/0123456789abcxf"), st.booleans())
def test_any_other_text_is_refused_in_one_line(text: str, binds: bool) -> None:
    try:
        address = Address.parse(text, binds=binds)
    except AddressError as error:
        assert str(error).isprintable() and str(error).endswith(f", {FORM}")
    else:
        assert Address.parse(str(address), binds=binds) == address


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("localhost", "has no port"),
        (":5600", "has no host"),
        ("tcp://localhost:5600", "begins with tcp://"),
        ("ipc:///tmp/socket", "begins with ipc://"),
        ("::1:5600", "has more than one colon and no brackets"),
        ("[::1]", "has no port behind its brackets"),
        ("[::1]5600", "has no port behind its brackets"),
        ("[::g]:5600", "holds no IPv6 address in its brackets"),
        ("[fe80::1%eth0]:5600", "holds no IPv6 address in its brackets"),
        ("[127.0.0.1]:5600", "holds no IPv6 address in its brackets"),
        ("127.1:5600", "ends like an IPv4 address and is none"),
        ("256.1.1.1:5600", "ends like an IPv4 address and is none"),
        ("0x7f.0x1:5600", "ends like an IPv4 address and is none"),
        ("-host:5600", "has no name of letters, digits, '-', '_' and '.' for its host"),
        ("a..b:5600", "has no name of letters, digits, '-', '_' and '.' for its host"),
        ("höst:5600", "has no name of letters, digits, '-', '_' and '.' for its host"),
        ("a b:5600", "has no name of letters, digits, '-', '_' and '.' for its host"),
        ("host:", "has no port from 1 to 65535"),
        ("host:0", "has no port from 1 to 65535"),
        ("host:65536", "has no port from 1 to 65535"),
        ("host:+1", "has no port from 1 to 65535"),
        ("host:٣", "has no port from 1 to 65535"),
        ("*:5600", "* is every address of a machine, which can be bound but not reached"),
        ("0.0.0.0:5600", "0.0.0.0 is every address of a machine, which can be bound but not reached"),
        ("[::0]:5600", ":: is every address of a machine, which can be bound but not reached"),
    ],
)
def test_what_is_wrong_is_said(text: str, told: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    assert str(caught.value) == f"{text}: {told}, {FORM}"


@pytest.mark.parametrize("text", ["*:0", "0.0.0.0:5600", "[::]:0", "my_host:0", "[::1]:5600"])
def test_what_is_bound_may_be_every_address_and_any_free_port(text: str) -> None:
    assert str(Address.parse(text, binds=True)) == text


def test_a_name_with_addresses_of_both_kinds_is_reached_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who listens at 0.0.0.0 has no other, and who listens at every address has both."""
    both = [(socket.AF_INET6, 1, 6, "", ("::1", 5600, 0, 0)), (socket.AF_INET, 1, 6, "", ("127.0.0.1", 5600))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both)
    assert Address("both", 5600).resolved() == Address("127.0.0.1", 5600)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: both[:1])
    assert Address("six", 5600).resolved() == Address("::1", 5600)


@pytest.mark.parametrize("host", rarely(["127.0.0.1", "localhost", "0.0.0.0", "*"], but="localhost"))
def test_who_binds_any_free_port_learns_which_and_keeps_the_name(host: str) -> None:
    with gate(Address(host, 0)) as held:
        assert held.address.host == host and held.address.port > 0
        socket.create_connection(("127.0.0.1", held.address.port)).close()


@pytest.mark.parametrize("every", rarely(["*", "::"], but="*"))
def test_every_address_is_those_of_both_kinds(every: str, ipv6: None) -> None:
    with gate(Address(every, 0)) as held:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, held.address.port)).close()


@pytest.mark.long
def test_every_address_is_those_of_ipv4_where_there_is_no_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with gate(Address("*", 0)) as held:
        socket.create_connection(("127.0.0.1", held.address.port)).close()
        with pytest.raises(OSError):
            socket.create_connection(("::1", held.address.port))


@pytest.fixture
def ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


class ByHand:
    """A coordinator, two nodes and their fiber, each a command."""

    def __init__(self, hands: Hands, folder: Path) -> None:
        self.hands, self.folder = hands, folder
        (folder / "steps.yaml").write_text(STEPS)
        assert cli.execute(["keys", str(folder / "keys"), str(folder / "steps.yaml")]) == 0

    def start(self, *argv: str, **options: Any) -> Hand:
        return self.hands.start(self.folder, *argv, "--keys", "keys", **options)

    def conduct(self, *options: str) -> Hand:
        return self.start("coordinator", "steps.yaml", "--json", *options)

    def join(self, address: str, *fiber: str) -> dict[str, Hand]:
        """The parties; options are the fiber's."""
        where = ("--coordinator", address)
        nodes = {name: self.start("node", name, *where) for name in ("alice", "bob")}
        return {**nodes, "alice-bob": self.start("fiber", "alice-bob", *where, *fiber)}


def address_of(coordinator: Hand) -> str:
    """Where it says that parties may join."""
    until_s, said = time.monotonic() + 30, coordinator.output.with_suffix(".err")
    pattern = r"^ketwire: coordinator: waiting for parties at (.*)\n"
    while not said.exists() or (found := re.search(pattern, said.read_text(), re.MULTILINE)) is None:
        assert time.monotonic() < until_s, coordinator.err
        time.sleep(0.01)
    return found[1]


def codes(running: dict[str, Hand]) -> dict[str, int]:
    return {name: hand.ended() for name, hand in running.items()}


@pytest.fixture
def by_hand(hands: Hands, tmp_path: Path) -> Iterator[ByHand]:
    yield ByHand(hands, tmp_path)
    hands.ask("end", None)


@pytest.mark.long
def test_a_run_over_ipv6(by_hand: ByHand, ipv6: None) -> None:
    coordinator = by_hand.conduct("--bind", "[::1]:0")
    address = address_of(coordinator)
    assert address.startswith("[::1]:")
    running = {**by_hand.join(address, "--bind", f"[::1]:{free_port()}"), "coordinator": coordinator}
    assert codes(running) == dict.fromkeys(running, 0), {name: hand.err for name, hand in running.items()}


@pytest.mark.long  # processes by command
def test_a_run_whose_addresses_are_announced_as_names(by_hand: ByHand) -> None:
    """They are bound to every address of the machine, which nobody can be told."""
    ports = free_port(), free_port()
    told = f"localhost:{ports[0]}"
    coordinator = by_hand.conduct("--bind", f"0.0.0.0:{ports[0]}", "--advertise", told)
    assert address_of(coordinator) == told
    fiber = ("--bind", f"0.0.0.0:{ports[1]}", "--advertise", f"localhost:{ports[1]}")
    running = {**by_hand.join(told, *fiber), "coordinator": coordinator}
    assert codes(running) == dict.fromkeys(running, 0), {name: hand.err for name, hand in running.items()}


@pytest.mark.long  # processes by command
def test_a_coordinator_at_any_free_port_keeps_it(by_hand: ByHand) -> None:
    """Alice dies at her second checkpoint; who comes back finds the coordinator where it was."""
    faults = [{"file": "alice.0.2.npz", "at": 1, "how": "kill", "once": str(by_hand.folder / "struck")}]
    coordinator = by_hand.conduct("--bind", "127.0.0.1:0", "--checkpoints", "kept-coordinator")
    where = ("--coordinator", address_of(coordinator))
    running = {"coordinator": coordinator}
    for role, name in (("node", "bob"), ("fiber", "alice-bob")):
        running[name] = by_hand.start(role, name, *where, "--checkpoints", f"kept-{name}")
    alice = ("node", "alice", *where, "--checkpoints", "kept-alice")
    assert by_hand.start(*alice, faults=faults).ended() == -9
    running["alice"] = by_hand.start(*alice)
    assert codes(running) == dict.fromkeys(running, 0), {name: hand.err for name, hand in running.items()}


@pytest.mark.long
def test_a_name_that_does_not_resolve_is_refused_by_whom_it_is_announced_to(by_hand: ByHand) -> None:
    coordinator = by_hand.conduct("--bind", "127.0.0.1:0")
    there = f"{NOWHERE}:{free_port()}"
    fiber = ("--bind", f"127.0.0.1:{free_port()}", "--advertise", there)
    running = {**by_hand.join(address_of(coordinator), *fiber), "coordinator": coordinator}
    ended = codes(running)
    assert ended["coordinator"] == 2 and ended["alice-bob"] == 3 and 2 in (ended["alice"], ended["bob"])
    told = rf"(alice|bob): alice-bob announced {there}: does not resolve on this machine \(.*\), expected a name that"
    assert re.match(rf"ketwire: steps.yaml: {told}", coordinator.err.splitlines()[-1])
    said = running["alice-bob"].err.splitlines()[-1]
    assert re.match(rf"ketwire: coordinator: the run ended early: {told}", said)
    refused = next(name for name in ("alice", "bob") if ended[name] == 2)
    assert re.match(rf"ketwire: {told}", running[refused].err.splitlines()[-1])


@pytest.mark.long  # processes by command
def test_a_port_in_use_is_told_on_both_sides(by_hand: ByHand) -> None:
    coordinator = by_hand.conduct("--bind", "127.0.0.1:0")
    address = address_of(coordinator)
    second = by_hand.conduct("--bind", f"tcp://{address}")  # as options once had to be written
    assert second.ended() == 2
    told = f"--bind: {address}: Address already in use, expected a free address of this machine"
    assert unannounced(second.err) == f"ketwire: steps.yaml: {told}\n"
    fiber = by_hand.join(f"tcp://{address}", "--bind", address)["alice-bob"]
    assert fiber.ended() == coordinator.ended() == 2
    assert fiber.err.splitlines()[-1] == f"ketwire: alice-bob: {told}"
    assert coordinator.err.splitlines()[-1] == f"ketwire: steps.yaml: alice-bob: {told}"


FIBER = ("fiber", "alice-bob", "--coordinator", "127.0.0.1:5600")
CONDUCT = ("coordinator", "steps.yaml", "--bind")
NEEDS_PORT = "whose port is any free one, expected a --bind HOST:PORT with a fixed port beside it"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((*FIBER, "--host", "10.0.0.1"), "fiber: --host is gone, expected --advertise HOST:PORT, with --bind "),
        ((*FIBER, "--bind", "0.0.0.0:5601"), "--bind: 0.0.0.0:5601: is every address of this machine, expected --adv"),
        ((*FIBER, "--bind", f"{NOWHERE}:1"), f"alice-bob: --bind: {NOWHERE}:1: does not resolve on this machine ("),
        ((*FIBER, "--bind", "192.0.2.77:5601"), "alice-bob: --bind: 192.0.2.77:5601: Cannot assign requested address"),
        ((*FIBER, "--bind", "5601"), f"--bind: 5601: has no port, {FORM}"),
        ((*FIBER, "--advertise", "a:0"), f"--advertise: a:0: has no port from 1 to 65535, {FORM}"),
        (
            (*FIBER, "--advertise", "a_b:5601"),
            f"--advertise: a_b:5601: given with --bind 127.0.0.1:0, {NEEDS_PORT}",
        ),
        ((*CONDUCT, "*:0", "--advertise", "a:1"), f"steps.yaml: --advertise: a:1: given with --bind *:0, {NEEDS_PORT}"),
        ((*CONDUCT, f"{NOWHERE}:1"), f"steps.yaml: --bind: {NOWHERE}:1: does not resolve on this machine ("),
        ((*FIBER[:3], f"{NOWHERE}:1", "--wait-s", "0.1"), f"--coordinator: {NOWHERE}:1: does not resolve on this "),
        (("node", "alice", "--coordinator", "*:1"), "--coordinator: *:1: * is every address of a machine, which can b"),
    ],
)
def test_what_cannot_be_bound_told_or_reached_is_one_line(
    argv: tuple[str, ...], told: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ketwire.nodes.processes.control.LAST_WORDS_S", 0.1)  # there is no coordinator
    (tmp_path / "steps.yaml").write_text(STEPS)
    assert cli.execute(["keys", "keys", "steps.yaml"]) == 0
    capfd.readouterr()
    assert cli.execute([*argv, "--keys", "keys"]) == 2
    lines = unannounced(capfd.readouterr().err).splitlines()
    said = [line for line in lines if ": waiting for the coordinator at " not in line and "; asking again" not in line]
    assert len(said) == 1 and said[0].startswith(f"ketwire: {told}")


@pytest.mark.parametrize(
    ("announced", "told"),
    [
        ("tcp://127.0.0.1:1", "begins with tcp://"),
        ("ipc:///tmp/socket", "begins with ipc://"),
        ("127.0.0.1:1\n", "has no port from 1"),
    ],
)
def test_what_is_announced_and_no_address_is_refused(announced: str, told: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(FiberProcess, "_bind", lambda fiber: announced)
    with pytest.raises(ScenarioError, match=r"^(alice|bob): alice-bob announced .*: " + told):
        Threads(scripted({"alice": [], "bob": []})).conduct()


def test_a_fiber_that_is_not_where_it_says_is_named(monkeypatch: Any) -> None:
    """It was a silent wait without end."""
    elsewhere = free_port()

    def mistaken(fiber: FiberProcess) -> str:
        on_loopback(fiber.socket)
        return f"127.0.0.1:{elsewhere}"

    monkeypatch.setattr(FiberProcess, "_bind", mistaken)
    monkeypatch.setattr(node_process, "FIBER_WAIT_S", 0.2)
    told = f"^no word from alice-bob at 127.0.0.1:{elsewhere} within 0.2 s, expected a fiber that has this link's key$"
    with pytest.raises(PartyFailed, match=told) as caught:
        Threads(scripted({"alice": [], "bob": []})).conduct()
    assert caught.value.party in ("alice", "bob") and not caught.value.died


def test_who_hears_nobody_at_all_blames_no_fiber() -> None:
    """A node that is cut off waits for its coordinator's silence to end it, and may join again."""
    context, pair = zmq.Context(), new_keys()
    credentials = Credentials("bob", "node", bytes(16), Endpoint("127.0.0.1:1", pair.public), pair)
    node = node_process.NodeProcess(context, credentials, ".")
    peer: Any = SimpleNamespace(credit_octets=0, fiber="alice-bob at 127.0.0.1:1")
    node.peers["alice"] = peer
    assert node._is_welcome(0.0) is False
    node.control._heard_s = time.monotonic()
    with pytest.raises(PartyFailed, match=r"^no word from alice-bob at 127\.0\.0\.1:1 within 30 s, "):
        node._is_welcome(0.0)
    peer.credit_octets = 1
    assert node._is_welcome(0.0)
    context.destroy(linger=0)


IN_A_NAMESPACE = """
set -e
mount --bind hosts /etc/hosts
run() { "$PYTHON" -m ketwire.scenarios.cli "$@" --keys keys & }
run coordinator steps.yaml --json --bind the_coordinator:$PORT >told
run fiber alice-bob --coordinator the_coordinator:$PORT --bind the_fiber:0
run node alice --coordinator the_coordinator:$PORT
run node bob --coordinator the_coordinator:$PORT
for job in $(jobs -p); do wait $job; done
"""


@pytest.mark.long
def test_names_with_underscores_are_names(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost the_coordinator\n127.0.0.1 the_fiber\n")
    private = ["unshare", "--mount", "bash", "-c"]
    trial = "mount --bind hosts /etc/hosts && getent hosts the_fiber"
    if os.geteuid() or shutil.which("unshare") is None or subprocess.run([*private, trial], cwd=tmp_path).returncode:
        pytest.skip("names of one's own need root and a mount namespace")
    (tmp_path / "steps.yaml").write_text(STEPS)
    assert cli.execute(["keys", str(tmp_path / "keys"), str(tmp_path / "steps.yaml")]) == 0
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHON": sys.executable, "PORT": str(free_port()), "PYTHONPATH": path}
    done = subprocess.run([*private, IN_A_NAMESPACE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ketwire: alice: waiting for the coordinator at the_coordinator:" in done.stderr
    assert json.loads((tmp_path / "told").read_text())["protocol"]
