"""Parties on hosts of their own: network namespaces on one bridge, as containers are, and a cable that is pulled."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STEPS = ("train-breast-cancer", "--set", "protocol.steps=40", "--set", "protocol.checkpoint_every=4")
HOSTS = {"coordinator": 1, "alice": 2, "bob": 3, "alice-bob": 4}
SEPARATED_S = 40.0  # longer than the silence after which either side gives a connection up


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Hosts:
    """A namespace for each party and one for the bridge between them; nothing outside is touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.spaces = {name: f"ketwire-{os.getpid()}-{number}" for name, number in {"bridge": 0, **HOSTS}.items()}
        self.address = "198.18.0.1:5600"

    def build(self) -> None:
        bridge = self.spaces["bridge"]
        for space in self.spaces.values():
            ip("netns", "add", space)
        ip("-n", bridge, "link", "add", "bridge", "type", "bridge")
        ip("-n", bridge, "link", "set", "bridge", "up")
        for name, number in HOSTS.items():
            space = self.spaces[name]
            ip("-n", bridge, "link", "add", f"host{number}", "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", bridge, "link", "set", f"host{number}", "master", "bridge", "up")
            ip("-n", space, "addr", "add", f"198.18.0.{number}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")

    def cable(self, name: str, state: str) -> None:
        ip("-n", self.spaces["bridge"], "link", "set", f"host{HOSTS[name]}", state)

    def start(self, name: str) -> None:
        told = ["--keys", "keys", "--checkpoints", f"kept-{name}"]
        if name == "coordinator":
            argv = [name, *STEPS, "--json", "--bind", self.address]
        else:
            role = ["fiber", name, "--bind", "198.18.0.4:0"] if name == "alice-bob" else ["node", name]
            argv = [*role, "--coordinator", self.address]
        with (self.folder / f"{name}.out").open("ab") as out, (self.folder / f"{name}.err").open("ab") as err:
            self.running[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.spaces[name], sys.executable, "-m", "ketwire.scenarios.cli", *argv, *told],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip

    def until_checkpoint(self, name: str, after: int = 0) -> int:
        """The step of the newest checkpoint of `name`, once it is beyond `after`."""
        until_s = time.monotonic() + 60
        while time.monotonic() < until_s:
            steps = [int(path.name.split(".")[2]) for path in self.folder.glob(f"kept-{name}/{name}.0.*.npz")]
            if max(steps, default=0) > after:
                return max(steps)
            time.sleep(0.05)
        raise AssertionError((self.folder / f"{name}.err").read_text())

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and `ip`")
    made = Hosts(tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.close()


def ketwire(folder: Path, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ketwire.scenarios.cli", *argv], cwd=folder, check=True, capture_output=True
    )
    return done.stdout.decode()


@pytest.mark.long
def test_a_host_that_dies_and_one_that_is_cut_off_change_nothing(hosts: Hosts) -> None:
    """The fiber is killed and started again; then Alice's cable is out for longer than anybody believes in her."""
    folder = hosts.folder
    ketwire(folder, "keys", "keys", STEPS[0])
    for name in HOSTS:
        hosts.start(name)
    step = hosts.until_checkpoint("alice")
    hosts.running["alice-bob"].send_signal(signal.SIGKILL)
    assert hosts.running["alice-bob"].wait(10) == -signal.SIGKILL
    hosts.start("alice-bob")
    hosts.until_checkpoint("alice", after=step)
    hosts.cable("alice", "down")
    time.sleep(SEPARATED_S)
    hosts.cable("alice", "up")
    codes = {name: process.wait(120) for name, process in hosts.running.items()}
    assert codes == dict.fromkeys(HOSTS, 0), {name: (folder / f"{name}.err").read_text() for name in HOSTS}
    said = (folder / "coordinator.err").read_text()
    for name in ("alice-bob", "alice"):  # who is back before its death is noticed comes in its own place
        told = (
            rf"^ketwire: {name}: its connection (is gone|broke, or another .*); everybody goes on from checkpoint \d+$"
        )
        assert re.search(told, said, re.MULTILINE), said
    told = json.loads((folder / "coordinator.out").read_text())
    whole = json.loads(ketwire(folder, "run", *STEPS, "--inline", "--json"))
    assert {**told, "wall_s": 0} == {**whole, "wall_s": 0}
