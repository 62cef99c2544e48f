"""A campaign of attacks and accidents, with counts in its output (docs/security.md tells what was tried)."""

from __future__ import annotations

import collections
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ketwire.channels.wire.codec import decode
from ketwire.channels.wire.frames import Limits
from ketwire.errors import PartyFailed, RemoteProtocolError
from ketwire.nodes.processes import sockets
from ketwire.nodes.processes.run import run_processes
from tests.channels.wire.test_frames_golden import GOLDEN, read_golden
from tests.channels.wire.test_frames_malformed import MUTATIONS, NAMED
from tests.kit import receive, scripted, send
from tests.nodes.checkpoints.test_epochs import alive, children_of

TALK = {
    "alice": [send("bob", "answers"), receive("bob", "answers")] * 2000,
    "bob": [receive("alice", "answers"), send("alice", "answers")] * 2000,
}


Counted = Callable[[str, object], None]
"""pytest's record_property; what is recorded as `counts` is printed at the end (tests/conftest.py)."""


# ---------------------------------------------------------------- frames


LIMITS = Limits(max_copies=1 << 10, max_rows=1 << 10, max_entries=1 << 10)  # so that no legal message takes long


def damage(count: int) -> collections.Counter[str]:
    """Decode so many damaged messages of all commands; how each was answered."""
    good = [*read_golden(GOLDEN).values()]
    rng = np.random.default_rng(1)
    answers = collections.Counter[str]()
    for number in range(count):
        frames = MUTATIONS[number % len(MUTATIONS)](good[int(rng.integers(len(good)))], rng)
        try:
            decode(frames, limits=LIMITS)
            answers["legal"] += 1  # damage without a digest may be a message too
        except RemoteProtocolError as error:
            assert type(error) in NAMED
            answers[type(error).__name__] += 1
    return answers


def test_hostile_frames_are_refused_by_name() -> None:
    answers = damage(20_000)
    assert answers.total() == 20_000 and answers["legal"] < 5_000 and len(answers) > 6


@pytest.mark.long
def test_a_million_hostile_frames_are_refused_by_name(record_property: Counted) -> None:
    answers = damage(1_000_000)
    assert answers.total() == 1_000_000 and answers["legal"] < 250_000
    record_property("counts", f"hostile frames: {dict(answers.most_common())}")


# ---------------------------------------------------------------- deaths


NUMBERS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)


def struck(rng: random.Random) -> tuple[int, signal.Signals] | None:
    """Strike one process of a run at a random moment; None where the run was over before. Checks what is told."""
    found: list[tuple[int, signal.Signals]] = []
    over = threading.Event()

    def strike() -> None:
        while not over.is_set():
            nurseries = [pid for pid in children_of(os.getpid()) if alive(pid)]
            victims = [child for pid in nurseries for child in children_of(pid)]
            if len(victims) == 3:
                break
            time.sleep(0.001)
        if over.wait(rng.uniform(0.0, 1.0)):
            return
        victim, number = rng.choice(victims), rng.choice(NUMBERS)
        try:
            os.kill(victim, number)
        except ProcessLookupError:
            return
        found.append((victim, number))

    thread = threading.Thread(target=strike)
    thread.start()
    message = ""
    try:
        run_processes(scripted(TALK))
    except PartyFailed as error:
        message = str(error)
    finally:
        over.set()
        thread.join()
    if not found or not message:
        return None
    ((pid, number),) = found
    assert re.search(rf"process {pid} was killed by {number.name}\b", message), message
    return pid, number


@pytest.mark.kills
def test_two_hundred_kills_are_told_with_process_and_signal(record_property: Counted) -> None:
    rng = random.Random(200)
    counts = collections.Counter[str]()
    while counts.total() - counts["too late"] < 200:
        found = struck(rng)
        counts["too late" if found is None else found[1].name] += 1
    record_property("counts", f"kills: {dict(counts)}")


@pytest.mark.long
@pytest.mark.parametrize("name", ["alice", "alice-bob"])
def test_a_run_says_who_is_silent(name: str, tmp_path: Path, record_property: Counted) -> None:
    """A party that is stopped, and says nothing any more, without an end of its connection."""
    index = {"alice": 0, "alice-bob": 2}[name]
    pids: list[int] = []

    def stop() -> None:
        while not pids:
            victims = [child for pid in children_of(os.getpid()) for child in children_of(pid)]
            if len(victims) == 3:
                time.sleep(3.0)  # they have joined by then
                pids.append(sorted(victims)[index])
                os.kill(pids[0], signal.SIGSTOP)
            time.sleep(0.01)

    thread = threading.Thread(target=stop)
    thread.start()
    begun_s = time.monotonic()
    long = {party: script * 10 for party, script in TALK.items()}
    with pytest.raises(PartyFailed) as caught:
        run_processes(scripted(long))
    thread.join()
    assert caught.value.party == name and f"process {pids[0]} is stopped" in str(caught.value)
    took_s = time.monotonic() - begun_s
    assert took_s < 10 + (sockets.HEARTBEAT_MS + sockets.BINDER_PATIENCE_MS) / 1000 + 30  # and what is built before
    record_property("counts", f"SIGSTOP of {name}: told after {took_s:.0f} s: {caught.value}")


# ---------------------------------------------------------------- clocks


def faketime() -> str | None:
    """The library that fakes the time of a process, where it is installed."""
    places = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")
    found = [file for place in places for file in glob.glob(f"{place}/libfaketimeMT.so.1")]
    return found[0] if found else None


@pytest.mark.long
@pytest.mark.skipif(faketime() is None, reason="libfaketime is not installed")
def test_a_run_outlives_jumps_of_the_clock(tmp_path: Path, record_property: Counted) -> None:
    """The clock of the wall goes an hour forth, and two back, again and again."""
    jumps = tmp_path / "jumps"
    jumps.write_text("+0")
    environment = {
        **os.environ, "LD_PRELOAD": faketime() or "", "FAKETIME_TIMESTAMP_FILE": str(jumps), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    run = subprocess.Popen(
        [sys.executable, "-m", "ketwire", "run", "digits", "--json"], env=environment, stdout=subprocess.DEVNULL
    )
    count = 0
    try:
        while run.poll() is None:
            count += 1
            beside = tmp_path / "next"
            beside.write_text(("+1h", "-1h")[count % 2])
            shutil.move(beside, jumps)
            time.sleep(0.2)
    finally:
        run.kill()
    assert run.returncode == 0 and count > 3
    record_property("counts", f"jumps of the clock: {count}")
