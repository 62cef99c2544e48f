"""The dialogue: what the table allows passes at both ends, what it does not allow passes at neither."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.messages import Answers, Arrivals, Packed
from ketwire.channels.wire import frames as f
from ketwire.channels.wire.codec import encode
from ketwire.channels.wire.connection import TRANSITIONS, Connection, Direction, Role, State
from ketwire.channels.wire.refusals import EarlyFrame, IllegalCommand, OutOfOrderFrame, StaleFrame, WrongSession
from ketwire.errors import LocalProtocolError

RUN = bytes(range(16))
NONE = np.zeros(0, np.int64)
SAMPLES: dict[f.Command, Any] = {
    f.Command.HELLO: lambda: f.Hello("alice"),
    f.Command.WELCOME: lambda: f.Welcome(1000),
    f.Command.COPIES: lambda: f.Carry(Copies(np.ones((1, 1), complex), NONE, NONE, np.zeros(0, bool)), 0),
    f.Command.PACKED: lambda: f.Carry(Packed(0, 1, 0.0, 0, np.zeros(0, np.uint8)), 0),
    f.Command.ANSWERS: lambda: f.Carry(Answers(NONE, 1), 0),
    f.Command.ARRIVALS: lambda: f.Carry(Arrivals(NONE), 0),
    f.Command.PAIRS: lambda: f.Carry(Pairs.none_yet(NONE), 0),
    f.Command.RELEASED: lambda: f.Carry(Released(NONE), 0),
    f.Command.RECEIPT: lambda: f.Receipt(1, 0, np.zeros(0, bool)),
    f.Command.READ: lambda: f.Read(1),
    f.Command.CREDIT: lambda: f.Credit(5),
    f.Command.REFUSED: lambda: f.Refused("Oops", ""),
    f.Command.JOIN: lambda: f.Join("alice", "node", "1", 1),
    f.Command.JOB: lambda: f.Job({}),
    f.Command.READY: lambda: f.Ready(None, {}),
    f.Command.START: lambda: f.Start(4, {}),
    f.Command.DONE: lambda: f.Done(4, 0, {}),
    f.Command.PROGRESS: lambda: f.Progress(4, 0, 0, "", 0, ""),
    f.Command.BLOCKED: lambda: f.Blocked(4, "receive", "bob", {}, {}, {}),
    f.Command.FAILED: lambda: f.Failed("Oops", ""),
    f.Command.END: lambda: f.End(4),
    f.Command.SUMMARY: lambda: f.Summary(4, {}),
    f.Command.STOP: lambda: f.Stop("done"),
    f.Command.PING: f.Ping,
    f.Command.MARK: lambda: f.Mark(2),
    f.Command.SAVED: lambda: f.Saved(4, 2, "0" * 64),
    f.Command.COMMIT: lambda: f.Commit(4, 2),
}
ENDS = {
    Role.NODE: Role.FIBER,
    Role.FIBER: Role.NODE,
    Role.PARTY: Role.COORDINATOR,
    Role.COORDINATOR: Role.PARTY,
}
C, N, F, P = f.Command, Role.NODE, Role.FIBER, Role.PARTY
CO = Role.COORDINATOR
JOINED = [(P, C.JOIN)]
READY = [*JOINED, (CO, C.JOB), (P, C.READY)]
RUNNING = [*READY, (CO, C.START)]
OPEN = [(N, C.HELLO), (F, C.WELCOME)]
# One way into every state. In OPEN each side has said message 1, so READ and RECEIPT have what to name.
WAYS: dict[tuple[bool, State], list[tuple[Role, f.Command]]] = {
    (True, State.IDLE): [],
    (True, State.GREETED): OPEN[:1],
    (True, State.OPEN): [*OPEN, (N, C.ANSWERS), (F, C.ANSWERS)],
    (True, State.CLOSED): [OPEN[0], (F, C.REFUSED)],
    (False, State.IDLE): [],
    (False, State.JOINED): JOINED,
    (False, State.PREPARING): READY[:-1],
    (False, State.READY): READY,
    (False, State.RUNNING): RUNNING,
    (False, State.ENDING): [*RUNNING, (CO, C.END)],
    (False, State.FAILED): [*RUNNING, (P, C.FAILED)],
    (False, State.STOPPED): [*RUNNING, (CO, C.STOP)],
}


def pair(way: list[tuple[Role, f.Command]], data: bool) -> dict[Role, Connection]:
    """Two machines joined by a perfect link, led along `way`."""
    roles = (N, F) if data else (P, CO)
    ends = {role: Connection(role, RUN) for role in roles}
    for speaker, command in way:
        ends[ENDS[speaker]].receive(ends[speaker].send(SAMPLES[command]()))
    return ends


def snapshot(connection: Connection) -> dict[str, Any]:
    return {key: set(v) if isinstance(v, set) else v for key, v in vars(connection).items()}


def test_samples_and_ways_cover_everything() -> None:
    assert set(SAMPLES) == set(f.Command)
    states = {(role in (N, F), state) for role, state, _, _ in TRANSITIONS} | {(True, State.CLOSED)}
    assert states == set(WAYS)


@pytest.mark.parametrize(("data", "state"), list(WAYS), ids=str)
def test_what_the_table_says_holds_at_both_ends(data: bool, state: State) -> None:
    for speaker, command in itertools.product(list(Role), f.Command):
        if (speaker in (N, F)) != data:
            continue
        ends = pair(WAYS[data, state], data)
        sender, receiver = ends[speaker], ends[ENDS[speaker]]
        assert sender.state == receiver.state == state
        before = snapshot(sender), snapshot(receiver)
        after = TRANSITIONS.get((speaker, state, command, Direction.SENT))
        assert after == TRANSITIONS.get((ENDS[speaker], state, command, Direction.RECEIVED))
        if after is not None:
            received = receiver.receive(sender.send(SAMPLES[command]()))
            assert f.command_of(received) is command
            assert sender.state == receiver.state == after
            assert sender.last_sent == receiver.last_received == before[0]["_last_sent"] + 1
            continue
        with pytest.raises(LocalProtocolError):
            sender.send(SAMPLES[command]())
        forged = encode(
            SAMPLES[command](), run=RUN, session=0, sequence=receiver.last_received + 1, digest=True
        )
        with pytest.raises(IllegalCommand):
            receiver.receive(forged)
        assert (snapshot(sender), snapshot(receiver)) == before


def test_the_table_itself_by_hand() -> None:
    """Independent of `DIALOGUE`: who may open, who may stop, and that what is over is over."""
    firsts = {
        (role, command)
        for role, state, command, way in TRANSITIONS
        if state is State.IDLE and way is Direction.SENT
    }
    assert firsts == {(N, C.HELLO), (P, C.JOIN)}
    assert not [key for key in TRANSITIONS if key[1] is State.CLOSED]
    for role, state, command, way in TRANSITIONS:
        if state is State.STOPPED:
            assert (role, way) in ((P, Direction.SENT), (CO, Direction.RECEIVED))
        if command is C.STOP:
            assert (role, way) in ((CO, Direction.SENT), (P, Direction.RECEIVED))
    assert len(TRANSITIONS) % 2 == 0


def test_two_sessions_over_one_control_connection() -> None:
    ends = pair(READY, False)
    party, coordinator = ends[P], ends[CO]
    for session in (1, 2):
        party.receive(coordinator.send(f.Start(session, {})))
        coordinator.receive(party.send(f.Progress(session, 1, 2, "copies", 3, "")))
        with pytest.raises(LocalProtocolError):
            party.send(f.Done(session + 1, 0, {}))
        foreign = encode(f.Done(0, 0, {}), run=RUN, session=0, sequence=party.last_sent + 1, digest=True)
        with pytest.raises(WrongSession):
            coordinator.receive(foreign)
        coordinator.receive(party.send(f.Done(session, 5, {"a": 1}, {"x": np.zeros(3)})))
        assert party.state is coordinator.state is State.READY


@pytest.mark.parametrize("first", [C.FAILED, C.STOP])
def test_failed_and_stop_may_cross_what_was_just_said(first: f.Command) -> None:
    ends = pair(RUNNING, False)
    party, coordinator = ends[P], ends[CO]
    crossing = [party.send(SAMPLES[C.PROGRESS]()), party.send(SAMPLES[C.DONE]())]
    word = coordinator.send(SAMPLES[first]())
    for frames in crossing:
        coordinator.receive(frames)
    party.receive(word)
    assert party.state is coordinator.state


def test_both_may_fail_at_once() -> None:
    ends = pair(RUNNING, False)
    mine, yours = ends[P].send(SAMPLES[C.FAILED]()), ends[CO].send(SAMPLES[C.FAILED]())
    ends[P].receive(yours)
    ends[CO].receive(mine)
    ends[P].receive(ends[CO].send(f.Stop("failed")))
    assert ends[P].state is ends[CO].state is State.STOPPED


def test_a_party_says_what_it_holds_before_it_is_ready_and_of_the_running_session_afterwards() -> None:
    ends = pair(READY[:-1], False)
    party, coordinator = ends[P], ends[CO]
    for session in (0, 9):  # of any session: none is running
        coordinator.receive(party.send(f.Saved(session, 2, "0" * 64, "missing")))
    ends = pair(RUNNING, False)
    party, coordinator = ends[P], ends[CO]
    coordinator.receive(party.send(SAMPLES[C.SAVED]()))
    party.receive(coordinator.send(SAMPLES[C.COMMIT]()))
    with pytest.raises(LocalProtocolError):
        party.send(f.Saved(5, 2, "0" * 64))
    with pytest.raises(LocalProtocolError):
        coordinator.send(f.Commit(5, 2))
    foreign = encode(f.Commit(5, 2), run=RUN, session=0, sequence=coordinator.last_sent + 1, digest=True)
    with pytest.raises(WrongSession):
        party.receive(foreign)


def test_receipts_and_reads_name_what_is_outstanding_once() -> None:
    ends = pair(WAYS[True, State.OPEN], True)
    node, fiber = ends[N], ends[F]
    fiber.receive(node.send(f.Read(1)))
    node.receive(fiber.send(f.Receipt(1, 9, np.array([True, False]))))
    for speaker, listener, frame in (
        (node, fiber, f.Read(1)),
        (fiber, node, f.Receipt(1, 9, np.zeros(0, bool))),
    ):
        with pytest.raises(LocalProtocolError):
            speaker.send(frame)
        forged = encode(frame, run=RUN, session=0, sequence=listener.last_received + 1, digest=True)
        with pytest.raises(IllegalCommand):
            listener.receive(forged)


def test_a_new_session_drops_what_the_old_one_left_under_way() -> None:
    ends = pair(WAYS[True, State.OPEN], True)
    node, fiber = ends[N], ends[F]
    late = [fiber.send(f.Credit(5)), fiber.send(f.Receipt(1, 0, np.zeros(0, bool)))]
    fiber.session = 1
    fresh = fiber.send(f.Carry(Arrivals(NONE), 0))
    for _ in range(2):  # ahead of us: refused, and offered again it is refused again
        with pytest.raises(OutOfOrderFrame):
            node.receive(fresh)
    node.session = 1
    for frames in late:
        with pytest.raises(StaleFrame):
            node.receive(frames)
    node.receive(fresh)
    assert node.last_received == fiber.last_sent


def test_a_message_of_a_session_to_come_can_wait() -> None:
    ends = pair(WAYS[True, State.OPEN], True)
    node, fiber = ends[N], ends[F]
    fiber.session = 1
    fresh = fiber.send(f.Credit(5))
    before = snapshot(node)
    with pytest.raises(EarlyFrame):
        node.receive(fresh)
    with pytest.raises(EarlyFrame):
        node.peek(fresh)
    assert snapshot(node) == before
    node.session = 1
    assert node.peek(fresh).command is C.CREDIT
    assert node.receive(fresh) == f.Credit(5)


def test_misuse_raises() -> None:
    with pytest.raises(LocalProtocolError):
        Connection(N, b"short")
    with pytest.raises(LocalProtocolError):
        Connection(N, RUN).session = 1 << 32


def test_what_cannot_be_sent_spends_no_number() -> None:
    ends = pair(WAYS[True, State.OPEN], True)
    before = snapshot(ends[F])
    with pytest.raises(LocalProtocolError):
        ends[F].send(f.Credit(0))
    assert snapshot(ends[F]) == before
