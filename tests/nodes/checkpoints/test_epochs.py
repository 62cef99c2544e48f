"""A run with checkpoints is the run without, and so is one that died, or was interrupted, on its way."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.eve import BeamSplitter, InterceptResend
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Memory
from ketwire.channels.transports import Coded, Teleport
from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import encode
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.refusals import WrongRun
from ketwire.errors import Deadlock, LocalProtocolError, PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.checkpoints import archive, journal
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processes import coordinator
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run, SessionResult
from ketwire.protocols.node import Checkpoint, Outcome, State
from ketwire.quantum.observables import Projector
from tests.kit import TELECOM, Threads, checkpoint, receive, recording, scripted, send, stepping
from tests.nodes.processes.test_run import alive, children_of
from tests.programs import Script

LINES = {
    "direct": Line(TELECOM),
    "memories": Line(TELECOM, (), Memory(t1_ps=1e9, t2_ps=5e8), Memory(t2_ps=1e8)),
    "teleport": Line(
        replace(TELECOM, bandwidth_bps=1e5), (), Memory(t2_ps=1e12), Memory(t2_ps=2e12),
        Teleport(memory_slots=3, visibility=0.9),
    ),
    "coded": Line(TELECOM, transport=Coded(code="[[5,1,3]]", gate_ps=1000)),
    "eve": Line(TELECOM, eve=InterceptResend(share=0.5)),
    "tapped": Line(TELECOM, eve=BeamSplitter(share=0.3)),
}
SLOW = Hardware(Memory(t1_ps=1e12, t2_ps=1e12), gate1_ps=10**6, readout_ps=10**8, prepare_ps=10**6, p_readout=0.01)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of ours loses its machine's power: this process does not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


pytestmark = pytest.mark.usefixtures("hasty")


def facts(results: list[SessionResult], records: bool = False) -> list[Any]:
    """All that must be equal to the last bit."""
    return [
        (
            result.name, result.transcript_sha256, result.chains, result.directions, result.clocks_ps,
            {party: (told.moves, told.clock, told.parameters.tobytes()) for party, told in result.outcomes.items()},
            result.records if records else (), result.eve,
        )
        for result in results
    ]  # fmt: skip


# ---------------------------------------------------------------- what a checkpoint changes: nothing


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_checkpoints_change_nothing(line: Line, tmp_path: Path) -> None:
    run = stepping(("alice", "bob", "carol"), physics=line)
    plain = facts(run_inline(stepping(("alice", "bob", "carol"), physics=line, checkpoints=False)))
    assert facts(run_inline(run)) == plain
    assert facts(run_inline(run, out=tmp_path)) == plain


@pytest.mark.parametrize("ring", [("alice", "bob"), ("alice", "bob", "carol")])
def test_processes_with_checkpoints_are_the_inline_runtime_without(ring: tuple[str, ...], tmp_path: Path) -> None:
    plain = facts(run_inline(stepping(ring, checkpoints=False, sessions=2), ledger=True), records=True)
    assert facts(run_processes(stepping(ring, sessions=2), out=tmp_path, ledger=True), records=True) == plain
    assert facts(run_inline(stepping(ring, sessions=2), out=tmp_path, ledger=True), records=True) == plain  # as kept


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_direction_goes_on_as_it_was(line: Line) -> None:
    """After any traffic, a fresh direction that is told the snapshot of another carries on as that one does."""
    import json

    def deep(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.tolist()
        if hasattr(value, "__dict__"):
            kinds = type(value).__mro__
            once = {name for kind in kinds for name, each in vars(kind).items() if isinstance(each, cached_property)}
            return {name: deep(part) for name, part in vars(value).items() if name not in once}
        return value

    rng = np.random.default_rng(5)
    party = PartyNode("alice", b"k", {})
    for messages in (0, 1, 5):
        one, other = (Direction("a->b", line, b"key") for _ in range(2))
        for _ in range(messages):
            one.carry(party.prepare(np.eye(1, 4, dtype=np.complex128), np.array([rng.integers(1, 9)])), 1000)
        other.restore(json.loads(json.dumps(one.snapshot())))
        assert deep(other) == deep(one)
        sent = [party.prepare(np.eye(1, 4, dtype=np.complex128), np.array([6])) for _ in range(2)]
        left, right = one.carry(sent[0], 2000), other.carry(sent[1], 2000)
        assert left.record == right.record and (left.lost == right.lost).all()
        assert one.transcript.end() == other.transcript.end()


def test_whatever_a_machine_remembers_is_saved() -> None:
    """Fields that are neither fixed nor in the snapshot would be forgotten by a restarted run."""
    fixed = {"name", "public", "_key", "_progress", "restored", "_step", "_message_ps", "_model"}
    node = PartyNode("alice", b"k", {}, hardware=SLOW)
    assert set(vars(node)) - fixed == {"now_ps", "read_ps", "transcript", "_drawn", "_processor"}
    assert set(node.snapshot()) == {"now_ps", "read_ps", "chain", "drawn", "processor_free_ps"}
    fixed = {"name", "hardware", "_random", "_contractions"}  # and no batch is on a visit
    assert set(vars(node._processor)) - fixed == {"free_ps", "_visit"}
    fixed = {"name", "line", "fiber", "_lossy", "_plain", "_key", "_onward_ps", "_back_ps", "_register_ps"}
    fixed |= {"eve", "_local_ps"}  # the machine's, the line's
    saved = {"transcript", "_machine", "_number", "_passed_ps", "_lane", "_heralds"}
    for line in LINES.values():
        direction = Direction("a->b", line, b"key")
        assert set(vars(direction)) - fixed == saved
        # The lane is the direction's.
        told = {"line", "flight", "transport", "scheme", "fresh", "code", "photon", "lane"}
        state = set(vars(direction._machine)) - told
        assert state == set(direction._machine.snapshot())
        if direction.eve is not None:
            got = set(vars(direction.eve)) - {"attack", "_fiber", "_reach", "_survival"}
            assert got == set(direction.eve.snapshot())


def test_other_machines_save_all_that_they_remember() -> None:
    import json

    from ketwire.channels.entanglement.held import Held, Pairs
    from ketwire.channels.entanglement.stock import StockMachine
    from ketwire.channels.netsquid_engine import NetSquidMachine

    line = LINES["direct"]
    netsquid, fresh = NetSquidMachine(line), NetSquidMachine(line)
    netsquid.free_ps = 77
    fresh.restore(json.loads(json.dumps(netsquid.snapshot())))
    assert vars(fresh) == vars(netsquid) and set(vars(netsquid)) == {"line", *netsquid.snapshot()}
    stock, other = StockMachine(line), StockMachine(line)
    for pairs in (2, 0):
        six = np.tile([0.5, 0.0, 0.0, 0.5, 0.1 + 0.2, 0.0], (pairs, 1))
        times = np.arange(pairs, dtype=np.int64)
        held = Held(six, times + 9, times + 8, times > 0, line.receiver.constants, 5)
        stock.store(Pairs(held, None))
    other.restore(json.loads(json.dumps(stock.snapshot(), allow_nan=False)))
    assert set(vars(stock)) == set(vars(other)) == {"line", "scheme", "lane", "_stock"}
    for one, two in zip(stock._stock, other._stock, strict=True):
        assert one.far_ps == two.far_ps and one.span_ps == two.span_ps
        for a, b in zip(one[:4], two[:4], strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    assert other.busy_until_ps == stock.busy_until_ps == 10


def test_a_node_goes_on_with_the_streams_that_it_has_not_drawn() -> None:
    one, other = (PartyNode("alice", b"key", {}) for _ in range(2))
    drawn = [one.random(purpose).random() for purpose in ("a", "a", "b")]
    one.advance(77)
    kept = Checkpoint(3, State({"x": 1}))
    other.restore(one.snapshot(), kept)
    assert other.now_ps == 77 and other.restored is kept
    assert [one.random(p).random() for p in "ab"] == [other.random(p).random() for p in "ab"]
    assert other.random("c").random() not in drawn
    with pytest.raises(LocalProtocolError, match="alice: checkpoint 3 after 3; expected steps that grow"):
        other.checkpoint(3, State())


# ---------------------------------------------------------------- interrupted and gone on


class Interrupted(Exception):
    pass


def interrupt(monkeypatch: pytest.MonkeyPatch, commits: int, error: BaseException) -> None:
    """Let `commits` commits be written, and raise before the next."""
    left = [commits]
    original = Journal.commit

    def commit(self: Journal, *which: Any) -> None:
        if not left[0]:
            raise error
        left[0] -= 1
        original(self, *which)

    monkeypatch.setattr(Journal, "commit", commit)


@pytest.mark.parametrize(
    ("line", "hardware"),
    [*((line, None) for line in LINES.values()), (LINES["memories"], SLOW)],
    ids=[*LINES, "hardware"],
)
@pytest.mark.parametrize("commits", [0, 1, 3, 5])
def test_an_interrupted_run_goes_on_to_the_same_end(
    commits: int, line: Line, hardware: Hardware | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stepping(sessions=2, physics=line, hardware=hardware)
    plain = facts(run_inline(run, ledger=True), records=True)
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, commits, Interrupted())
        run_inline(run, ledger=True, out=tmp_path)
    assert facts(run_inline(run, ledger=True, out=tmp_path), records=True) == plain


def test_processes_go_on_from_what_the_inline_runtime_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stepping(sessions=2, physics=LINES["eve"], hardware=SLOW)
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 6, Interrupted())
        run_inline(run, ledger=True, out=tmp_path)
    ledger = (tmp_path / "ledger-alice-bob.jsonl").read_text()
    assert '"session": 1' in ledger
    assert facts(run_processes(run, ledger=True, out=tmp_path), records=True) == facts(
        run_inline(run, ledger=True), records=True
    )
    assert (tmp_path / "ledger-alice-bob.jsonl").read_text().startswith(ledger[: len(ledger) // 2])


def test_a_session_that_is_over_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stepping(sessions=2)
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 4, Interrupted())
        run_inline(run, out=tmp_path)
    begun: list[str] = []
    results = run_inline(run, lambda session, *told: begun.append(session), out=tmp_path)
    assert set(begun) == {"s1"} and [result.name for result in results] == ["s0", "s1"]


# ---------------------------------------------------------------- deaths


def deadly(tmp_path: Path, step: int, when: str, times: int = 1, **who: int) -> dict[str, Any]:
    return {"step": step, "when": when, "dead": str(tmp_path / f"dead-{step}-{when}"), "times": times, **who}


@pytest.mark.long
def test_three_deaths_are_survived_each_in_an_epoch_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Alice dies after her first step, Bob before the checkpoint of his third, the fiber after the fourth."""
    runs: list[bytes] = []
    original = coordinator.Coordinator.__init__

    def spy(self: Any, *told: Any, **named: Any) -> None:
        original(self, *told, **named)
        runs.append(self.run_id)

    monkeypatch.setattr(coordinator.Coordinator, "__init__", spy)
    fiber = 2  # forked after the parties
    ring = ("alice", "bob")
    die = {"alice": deadly(tmp_path, 1, "before"), "bob": deadly(tmp_path, 3, "before")}
    first = run_processes(stepping(ring, die=die), ledger=True, out=made(tmp_path / "one"))
    plain = facts(run_inline(stepping(ring), ledger=True), records=True)
    assert facts(first, records=True) == plain
    third = {"bob": deadly(tmp_path, 4, "after", whom=fiber)}
    monkeypatch.setattr("tempfile.tempdir", str(made(tmp_path / "temp")))
    assert facts(run_processes(stepping(ring, die=third))) == facts(run_inline(stepping(ring)))
    assert not list((tmp_path / "temp").iterdir())
    assert len(runs) == len(set(runs)) == 5
    said = capfd.readouterr().err
    assert [line.split("; ")[-1] for line in said.splitlines()] == [
        "everybody goes on from the start of s0", "everybody goes on from checkpoint 2",
        "everybody goes on from checkpoint 4",
    ]  # fmt: skip
    assert [line.split()[1] for line in said.splitlines()] == ["alice:", "bob:", "alice-bob:"]


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.long
def test_the_fourth_death_ends_the_run_and_names_the_dead(tmp_path: Path) -> None:
    die = {"bob": deadly(tmp_path, 2, "before", times=9)}
    with pytest.raises(PartyFailed, match=r"SIGKILL.*3 deaths were survived before this one") as caught:
        run_processes(stepping(die=die), out=made(tmp_path / "out"))
    assert caught.value.party == "bob"
    assert (tmp_path / "dead-2-before").read_bytes() == b"xxxx"
    # By hand it can go on all the same.
    (tmp_path / "dead-2-before").write_bytes(b"x" * 9)
    assert facts(run_processes(stepping(die=die), out=tmp_path / "out")) == facts(run_inline(stepping()))


def test_a_death_in_a_session_without_checkpoints_ends_the_run(tmp_path: Path) -> None:
    die = {"bob": deadly(tmp_path, 2, "after")}
    with pytest.raises(PartyFailed, match="SIGKILL") as caught:
        run_processes(stepping(die=die, checkpoints=False, restartable=False))
    assert caught.value.party == "bob" and (tmp_path / "dead-2-after").read_bytes() == b"x"


def test_frames_of_an_epoch_before_are_refused_by_name() -> None:
    old, new = bytes(16), bytes([1] * 16)  # each epoch draws its own, as seen above
    node, fiber = Connection(Role.NODE, new), Connection(Role.FIBER, new)
    stale = encode(f.Hello("alice"), run=old, session=0, sequence=0, digest=True)
    with pytest.raises(WrongRun):
        fiber.receive(stale)
    fiber.receive(node.send(f.Hello("alice")))
    node.receive(fiber.send(f.Welcome(1)))
    with pytest.raises(WrongRun):
        fiber.receive(encode(f.Mark(3), run=old, session=0, sequence=1, digest=True))
    assert fiber.receive(node.send(f.Mark(3))) == f.Mark(3)


@contextlib.contextmanager
def killer(rng: random.Random, deaths: int, log: list[str]) -> Iterator[None]:
    """Kill one child of a nursery of ours at random moments, `deaths` times, while the body runs."""
    over = threading.Event()

    def work() -> None:
        while len(log) < deaths:
            if over.wait(rng.uniform(0.05, 0.8)):
                return
            nurseries = [pid for pid in children_of(os.getpid()) if alive(pid)]
            victims = [child for pid in nurseries for child in children_of(pid)]
            if victims:
                victim = rng.choice(victims)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    log.append(f"{time.monotonic():.3f}")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.long
@pytest.mark.parametrize("attempt", range(20))
def test_whoever_is_killed_at_any_moment_the_run_ends_the_same(attempt: int, tmp_path: Path) -> None:
    """Long states, so that many a death falls into the writing of a checkpoint."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    run = stepping(("alice", "bob", "carol"), steps=25, size=200_000, sessions=1 + attempt % 2)
    plain = facts(run_inline(run, ledger=True), records=True)
    log: list[str] = []
    with killer(random.Random(seed), 3, log):
        results = run_processes(run, ledger=True, out=tmp_path)
    assert facts(results, records=True) == plain
    assert log


def test_a_party_that_holds_what_nobody_asked_for_is_named(tmp_path: Path) -> None:
    import zmq

    run = stepping()
    kept = Journal(tmp_path / "kept", run)
    kept.commit(0, 3, dict.fromkeys(("alice", "bob", "alice-bob"), "0" * 64))
    for journal_, saved in ((None, f.Saved(0, 3, "0" * 64)), (kept, f.Saved(0, 4, "0" * 64)),
                            (kept, f.Saved(0, 3, "1" * 64))):  # fmt: skip
        context = zmq.Context()
        conductor = coordinator.Coordinator(context, run, None, {}, journal=journal_)
        with pytest.raises(PartyFailed, match=rf"holds a checkpoint {saved.step} that nobody asked for") as caught:
            conductor._save(conductor.members["bob"], saved)
        assert caught.value.party == "bob" and not caught.value.died
        context.destroy(linger=0)
    kept.commit(0, 4, dict.fromkeys(("alice", "eve", "alice-bob"), "0" * 64))
    assert [commit.step for commit in kept.commits(0)] == [3]
    assert "with parts of others, expected those of alice, alice-bob, bob" in kept.faults[0]


# ---------------------------------------------------------------- programs that go wrong


def pair(alice: list[dict[str, Any]], bob: list[dict[str, Any]], restartable: bool = True) -> Run:
    return scripted({"alice": alice, "bob": bob}, restartable=restartable)


def run_threads(run: Run) -> list[SessionResult]:
    """Over sockets, without the cost of processes."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return Threads(run, journal=Journal(Path(folder) / "kept", run)).conduct()


BOTH = pytest.mark.parametrize("runtime", [run_inline, run_threads])
CAME = [send("bob", "answers")]
TAKEN = [receive("alice", "answers")]


@BOTH
@pytest.mark.parametrize(
    ("alice", "bob", "alice_waits", "bob_waits"),
    [
        ([checkpoint(1)], [receive("alice", "answers")], "the others at checkpoint 1", "Answers from alice"),
        ([checkpoint(1)], [], "the others at checkpoint 1", None),
        (
            [checkpoint(1), checkpoint(2)], [checkpoint(1), receive("alice", "answers")],
            "the others at checkpoint 2", "Answers from alice",
        ),
    ],
)  # fmt: skip
def test_who_waits_at_a_checkpoint_for_ever_is_in_a_deadlock(
    runtime: Any, alice: Any, bob: Any, alice_waits: str, bob_waits: str | None
) -> None:
    with pytest.raises(Deadlock) as caught:
        runtime(pair(alice, bob))
    assert caught.value.waits == {"alice": alice_waits} | ({"bob": bob_waits} if bob_waits else {})


@BOTH
def test_who_has_saved_and_waits_for_one_far_away_is_in_a_deadlock(runtime: Any) -> None:
    """Dave, whom no link joins to the others, never comes to the checkpoint."""
    scripts = {
        "alice": [checkpoint(1)], "bob": [checkpoint(1)],
        "carol": [receive("dave", "answers")], "dave": [receive("carol", "answers")],
    }  # fmt: skip
    run = scripted(scripts, (("alice", "bob"), ("carol", "dave")), restartable=True)
    with pytest.raises(Deadlock) as caught:
        runtime(run)
    assert caught.value.waits == {
        "alice": "the others at checkpoint 1", "bob": "the others at checkpoint 1",
        "carol": "Answers from dave", "dave": "Answers from carol",
    }  # fmt: skip


@BOTH
def test_credit_and_deadlocks_are_counted_on_after_a_checkpoint(runtime: Any) -> None:
    flood = [send("bob", "answers", 100)] * 3
    back = [send("alice", "answers", 100)] * 3
    run = scripted(
        {"alice": [checkpoint(1), *flood], "bob": [checkpoint(1), *back]}, credit_octets=1000, restartable=True
    )
    with pytest.raises(Deadlock, match="alice waits for room to send to bob, who does not read"):
        runtime(run)


BAD = [
    (
        pair([*CAME, checkpoint(1)], [checkpoint(1), *TAKEN]), LocalProtocolError,
        r"bob has not received 1 message\(s\) of alice at checkpoint 1",
    ),
    (pair([checkpoint(1)], [checkpoint(2)]), RemoteProtocolError, "is at checkpoint . where .* is at"),
    (pair([checkpoint(1)], [checkpoint(1)], False), LocalProtocolError, "in a session that is not restartable"),
    (
        pair([checkpoint(1), checkpoint(1)], [checkpoint(1), checkpoint(1)]), LocalProtocolError,
        "checkpoint 1 after 1; expected steps that grow",
    ),
    (pair([checkpoint(-1)], [checkpoint(-1)]), LocalProtocolError, "expected steps that grow"),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize(("run", "error", "told"), BAD)
def test_misuse_is_told_alike(runtime: Any, run: Run, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        runtime(run)


class HoldingParty:
    """Comes to a checkpoint with a register at its processor."""

    Slice, Outcome = Script, Outcome
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Any, load: Any) -> None:
        pass

    async def run(self, node: Any) -> None:
        held = node.prepare(np.eye(1, 2, dtype=np.complex128), np.array([3]))
        await node.checkpoint(1, State())
        node.measure(held, Projector(0), np.zeros(3, dtype=np.int64), 1)


def test_a_register_at_the_processor_is_not_carried_over() -> None:
    run = scripted({"alice": [], "bob": []}, program=f"{__name__}:HoldingParty", restartable=True)
    with pytest.raises(LocalProtocolError, match="alice: checkpoint 1: a register is held, expected none"):
        run_inline(replace(run, hardware={"alice": SLOW}))


@pytest.mark.parametrize(
    ("values", "arrays", "told"),
    [
        ({"a": (1, 2)}, {}, "values: something given that JSON gives back otherwise"),
        ({1: "a"}, {}, "values: something given that JSON gives back otherwise"),
        ({"a": float("nan")}, {}, "values: Out of range float values"),
        ({"a": np.int64(3)}, {}, "values: Object of type int64 is not JSON serializable"),
        ({}, {"a": [1.0]}, "arrays: a of list given, expected an array of numbers"),
        ({}, {"a": np.array(["x"])}, "arrays: a of <U1 given"),
        ({}, {"a": np.array([None])}, "arrays: a of object given"),
    ],
)
def test_what_cannot_be_saved_is_the_programs_fault(
    values: Any, arrays: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.programs.State", lambda: State(values, arrays))
    with pytest.raises(LocalProtocolError, match="alice: checkpoint 1: " + told):
        run_inline(pair([checkpoint(1)], [checkpoint(1)]))


# ---------------------------------------------------------------- privacy, and full disks


def test_parameters_stay_in_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = recording(monkeypatch)
    run = stepping(steps=3)
    kept = Journal(tmp_path / "kept", run)
    Threads(run, journal=kept).conduct()
    for party in run.parties:
        path = tmp_path / "kept" / f"{party}.0.2.npz"
        assert path.stat().st_mode & 0o777 == 0o600
        secret = np.load(path)["0"].tobytes()
        assert len(secret) == 32
        assert not [who for who, frames in sent if any(secret in frame for frame in frames)]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def full(monkeypatch: pytest.MonkeyPatch, module: Any, writes: int) -> None:
    """The disk is full after so many files."""
    left = [writes]

    def write(path: Path, octets: bytes, durable: bool = True) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        archive.write(path, octets, durable)

    monkeypatch.setattr(module, "write", write)


@pytest.mark.parametrize("writes", [0, 1, 5, 7])
def test_a_full_disk_leaves_the_last_good_checkpoint(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ketwire.nodes.checkpoints import keeping as checkpoints

    run = stepping()
    with monkeypatch.context() as patched, pytest.raises(PartyFailed, match="No space left on device; the last good"):
        full(patched, checkpoints, writes)
        run_inline(run, out=tmp_path)
    assert len(list((tmp_path / "checkpoints").glob("commit.*"))) == min(writes // 3, 2)
    assert facts(run_inline(run, out=tmp_path)) == facts(run_inline(run))


def test_a_disk_too_full_for_the_commit_is_the_coordinators_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = stepping()
    with monkeypatch.context() as patched, pytest.raises(PartyFailed, match=r"commit\.0\.3\.json: No space") as caught:
        full(patched, journal, 3)  # run.json and two commits
        run_inline(run, out=tmp_path)
    assert caught.value.party == "coordinator" and not caught.value.died
    assert facts(run_inline(run, out=tmp_path)) == facts(run_inline(run))


# ---------------------------------------------------------------- one folder, one run


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    run_inline(stepping(), out=tmp_path)
    for other in (stepping(seed=8), stepping(steps=5), stepping(physics=replace(TELECOM, length_km=3.0))):
        with pytest.raises(ScenarioError, match=r"run\.json: of another run, expected one of this scenario"):
            run_inline(other, out=tmp_path)


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    run = stepping()
    first = Journal(tmp_path, run)
    with pytest.raises(ScenarioError, match="is in use, expected a run that nobody runs"):
        Journal(tmp_path, run)
    first.close()
    Journal(tmp_path, run).close()
