"""Whatever arrives, it is refused by name and the connection lives on; or it was a good message."""

from __future__ import annotations

import inspect
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Cutoff, Held, Order, Pairs, Released
from ketwire.channels.entanglement.pairs import elements_of_bell
from ketwire.channels.messages import Answers, Arrivals, Packed, Spent
from ketwire.channels.parts import Gates
from ketwire.channels.wire import frames as f
from ketwire.channels.wire import refusals
from ketwire.channels.wire.arrays import check_states, checked
from ketwire.channels.wire.codec import decode, encode, verify_states
from ketwire.channels.wire.connection import Connection, Role
from ketwire.errors import LocalProtocolError, RemoteProtocolError

RUN = bytes(range(100, 116))
OTHER_RUN = bytes(16)
NAMED = {
    kind
    for _, kind in inspect.getmembers(refusals, inspect.isclass)
    if issubclass(kind, RemoteProtocolError) and kind is not RemoteProtocolError
}
QUICK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def random_copies(rng: np.random.Generator) -> Copies:
    """A batch with or without rows to tell apart, an arithmetic progression of times, and losses."""
    qubits, count = int(rng.integers(0, 4)), int(rng.integers(0, 20))
    rows = int(rng.integers(1, 4)) if count else int(rng.integers(0, 2))
    states = rng.normal(size=(rows, 1 << qubits)) + 1j * rng.normal(size=(rows, 1 << qubits))
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    if rng.random() < 0.3:
        states = 0.5 * np.einsum("ri,rj->rij", states, states.conj()) + 0.5 * np.eye(1 << qubits) / (1 << qubits)
    if rng.random() < 0.5:
        ready = int(rng.integers(1 << 60)) + int(rng.integers(-1000, 1000)) * np.arange(count)
    else:
        ready = rng.integers(0, 1 << 62, count)
    lost = rng.random(count) < rng.choice([0.0, 0.3, 1.0])
    row = rng.integers(0, max(rows, 1), count)
    return Copies(states, row, np.abs(ready).astype(np.int64), lost)


def random_packed(rng: np.random.Generator) -> Packed:
    count, bits = int(rng.integers(0, 9)), int(rng.integers(1, 65))
    codes = np.packbits(rng.integers(0, 2, count * bits).astype(np.uint8))
    if rng.random() < 0.5:
        return Packed(count, bits, float(rng.normal()), count, codes)
    length = int(rng.integers(count + 1, 1 << 20))
    positions = np.sort(rng.choice(length, count, replace=False)).astype(np.uint32)
    return Packed(count, bits, 0.0, length, codes, positions)


def random_pairs(rng: np.random.Generator) -> Pairs:
    """A batch that stands, with an order or without, or one that only begins."""
    count = int(rng.integers(0, 9))
    order = Order(rng.integers(0, 1 << 62, count), bool(rng.integers(2)))
    if rng.random() < 0.3:
        return Pairs(None, order)
    bell = rng.dirichlet(np.ones(4), count)
    since, waited = rng.integers(0, 1 << 61, (2, count))
    t1 = float(rng.choice([np.inf, 1e12]))
    lost = rng.random(count) < 0.3
    far = Gates(*rng.integers(0, 1 << 62, 3).tolist(), *rng.random(2).tolist(), (0.1, float(rng.random())))
    held = Held(
        elements_of_bell(bell), since + waited, since, lost, (t1, 1e12), int(rng.integers(1 << 62)),
        far if rng.random() < 0.5 else Gates(),
    )  # fmt: skip
    if rng.random() < 0.5:
        order = order._replace(limits=Cutoff(*rng.integers(0, 1 << 62, 3).tolist()))
    if rng.random() < 0.5:
        return Pairs(held, None)
    return Pairs(held, order._replace(distill=rng.choice([None, "bbpssw", "dejmps"])))


def random_message(rng: np.random.Generator) -> Any:
    kind = rng.integers(6)
    if kind == 4:
        return random_pairs(rng)
    if kind == 5:
        return Released(rng.integers(0, 1 << 62, int(rng.integers(0, 9))))
    if kind == 0:
        return random_packed(rng)
    if kind == 1:
        return Answers(rng.integers(-(1 << 63), 1 << 63, int(rng.integers(0, 9))), int(rng.integers(1, 65)))
    if kind == 2:
        bits = int(rng.integers(1, 33))
        return Arrivals(rng.integers(0, 1 << bits, int(rng.integers(0, 9))), bits)
    return random_copies(rng)


def random_spent(rng: np.random.Generator) -> Spent:
    return Spent(*rng.integers(0, 1 << 62, 4).tolist())


def random_data_frame(rng: np.random.Generator) -> Any:
    """What a fiber may say to a node whose connection is open and that has sent message 1."""
    kind = rng.integers(7)
    if kind == 6:
        return f.Mark(int(rng.integers(1 << 62)))
    if kind == 0 and rng.random() < 0.3:
        done_ps = rng.integers(0, 1 << 62, 3)
        return f.Receipt(1, int(rng.integers(1 << 62)), np.zeros(0, bool), done_ps, random_spent(rng))
    if kind == 0:
        lost = rng.random(int(rng.integers(0, 40))) < 0.5
        return f.Receipt(1, int(rng.integers(1 << 62)), lost, None, random_spent(rng))
    if kind == 1:
        return f.Credit(int(rng.integers(1, 1 << 62)))
    if kind == 2:
        return f.Refused("WrongRun", "x" * int(rng.integers(0, 30)))
    return f.Carry(random_message(rng), int(rng.integers(1 << 62)))


def open_node(digest: bool) -> tuple[Connection, Connection]:
    """A node and its fiber, greeted; the node has sent message 1."""
    node, fiber = (Connection(role, RUN, digest=digest) for role in (Role.NODE, Role.FIBER))
    fiber.receive(node.send(f.Hello("alice")))
    node.receive(fiber.send(f.Welcome(1000)))
    fiber.receive(node.send(f.Carry(Arrivals(np.zeros(1, np.int64)), 0)))
    return node, fiber


def snapshot(connection: Connection) -> dict[str, Any]:
    return {key: set(v) if isinstance(v, set) else v for key, v in vars(connection).items()}


def flip(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    sizes = np.array([len(frame) for frame in frames])
    number = int(rng.choice(np.flatnonzero(sizes)))
    octets = bytearray(frames[number])
    octets[rng.integers(len(octets))] ^= 1 << int(rng.integers(8))
    return [*frames[:number], bytes(octets), *frames[number + 1 :]]


def cut(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    sizes = np.array([len(frame) for frame in frames])
    number = int(rng.choice(np.flatnonzero(sizes)))
    return [*frames[:number], frames[number][: rng.integers(sizes[number])], *frames[number + 1 :]]


def lengthen(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    number = int(rng.integers(len(frames)))
    extra = rng.bytes(int(rng.integers(1, 40)))
    return [*frames[:number], frames[number] + extra, *frames[number + 1 :]]


def drop(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    number = int(rng.integers(len(frames)))
    return frames[:number] + frames[number + 1 :]


def add(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    return [*frames, rng.bytes(int(rng.integers(40)))]


def noise(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    return [rng.bytes(int(rng.integers(0, 120))) for _ in range(rng.integers(0, 6))]


def noise_within(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    """A good signature and version, then noise."""
    return [frames[0][:5] + rng.bytes(31), *(rng.bytes(int(rng.integers(80))) for _ in frames[1:])]


def wrong_version(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    return [frames[0][:4] + bytes([int(rng.integers(2, 256))]) + frames[0][5:], *frames[1:]]


def huge(frames: list[bytes], rng: np.random.Generator) -> list[bytes]:
    """Any four octets of the header at their greatest."""
    if len(frames[1]) < 4:
        return cut(frames, rng)
    start = int(rng.integers(len(frames[1]) - 3))
    header = frames[1][:start] + b"\xff\xff\xff\xff" + frames[1][start + 4 :]
    return [frames[0], header if header != frames[1] else header + b"\xff", *frames[2:]]


MUTATIONS = (flip, flip, flip, cut, lengthen, drop, add, noise, noise_within, wrong_version, huge)


def test_damaged_messages_are_refused_by_name_and_change_nothing() -> None:
    """Ten thousand of them at least, which is counted here."""
    refused = 0

    @settings(QUICK, max_examples=250)
    @given(seed=st.integers(0, 2**32 - 1))
    def every_damage_is_refused(seed: int) -> None:
        nonlocal refused
        refused += refuse_all(seed)

    every_damage_is_refused()
    assert refused >= 10_000


def refuse_all(seed: int) -> int:
    """Damage one good message in every way, five times; how many were refused. Then it is taken after all."""
    refused = 0
    rng = np.random.default_rng(seed)
    node, fiber = open_node(digest=True)
    good = [bytes(frame) for frame in fiber.send(random_data_frame(rng))]
    before = snapshot(node)
    for _ in range(5):
        for mutate in MUTATIONS:
            with pytest.raises(RemoteProtocolError) as caught:
                node.receive(mutate(good, rng))
            assert caught.type in NAMED
            assert snapshot(node) == before
            refused += 1
    node.receive(good)
    assert node.last_received == before["_last_received"] + 1
    return refused


@settings(QUICK, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), digest=st.booleans())
def test_displaced_messages_are_refused_by_their_right_name(seed: int, digest: bool) -> None:
    """Whole and vouched for, but of another run, session, number, or not to be said here."""
    rng = np.random.default_rng(seed)
    node, fiber = open_node(digest)
    awaited = fiber.last_sent + 1

    def message(**changes: Any) -> list[Any]:
        place = {"run": RUN, "session": 0, "sequence": awaited} | changes
        return encode(f.Carry(random_message(rng), 0), digest=digest, **place)

    before = snapshot(node)
    displaced: list[tuple[type[Exception], list[Any]]] = [
        (refusals.WrongRun, message(run=OTHER_RUN)),
        (refusals.EarlyFrame, message(session=int(rng.integers(1, 1 << 32)))),
        (refusals.ReplayedFrame, message(sequence=int(rng.integers(awaited)))),
        (refusals.OutOfOrderFrame, message(sequence=awaited + int(rng.integers(1, 1 << 62)))),
        (
            refusals.IllegalCommand,
            encode(f.Hello("eve"), run=RUN, session=0, sequence=awaited, digest=digest),
        ),
        (refusals.IllegalCommand, encode(f.Stop("eve"), run=RUN, session=0, sequence=awaited, digest=digest)),
        (
            refusals.IllegalCommand,
            encode(f.Receipt(7, 0, np.zeros(0, bool)), run=RUN, session=0, sequence=awaited, digest=digest),
        ),
    ]
    for kind, frames in displaced:
        with pytest.raises(kind):
            node.receive(frames)
        assert snapshot(node) == before
    node.receive(message())
    with pytest.raises(refusals.ReplayedFrame):
        node.receive(message())


@settings(QUICK, max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
def test_without_digests_damage_is_refused_by_name_or_legal(seed: int) -> None:
    """No other exception, no warning, whatever is in the message; what is legal can be sent again."""
    rng = np.random.default_rng(seed)
    good = [
        bytes(frame) for frame in encode(random_data_frame(rng), run=RUN, session=0, sequence=0, digest=False)
    ]
    for _ in range(4):
        for mutate in MUTATIONS:
            damaged = mutate(good, rng)
            try:
                prelude, frame = decode(damaged)
            except RemoteProtocolError as error:
                assert type(error) in NAMED
                continue
            place = {"run": prelude.run, "session": prelude.session, "sequence": prelude.sequence}
            decode(encode(frame, digest=False, **place))


def test_with_digests_every_flipped_bit_is_refused() -> None:
    rng = np.random.default_rng(5)
    for make in (random_copies, random_packed):
        for _ in range(3):
            frames = encode(f.Carry(make(rng), 5), run=RUN, session=1, sequence=2, digest=True)
            good = [bytes(frame) for frame in frames]
            for number, frame in enumerate(good):
                for bit in range(8 * len(frame)):
                    octets = bytearray(frame)
                    octets[bit // 8] ^= 1 << bit % 8
                    with pytest.raises(RemoteProtocolError):
                        decode([*good[:number], bytes(octets), *good[number + 1 :]])


def test_a_stripped_digest_is_refused_where_one_is_demanded() -> None:
    node, _ = open_node(digest=True)
    with pytest.raises(refusals.DigestMismatch):
        node.receive(encode(f.Credit(1), run=RUN, session=0, sequence=1, digest=False))


def test_sizes_are_refused_before_anything_is_allocated_by_them() -> None:
    def body(count: int, rows: int, qubits: int) -> bytes:
        states = struct.pack("<BBQQ", 7, 2, rows, 1 << qubits)
        return struct.pack("<IIBBHqqq", count, rows, qubits, 0, 0, 0, 0, 0) + states

    prelude = bytes(
        encode(f.Carry(Arrivals(np.zeros(1, np.int64)), 0), run=RUN, session=0, sequence=0, digest=False)[0]
    )
    prelude = prelude[:5] + b"\x03" + prelude[6:]
    state = np.array([1, 0], np.complex128).tobytes()
    decode([prelude, body(1, 1, 1), state])
    for count, rows, qubits, kind in [
        (0xFFFFFFFF, 1, 1, refusals.OversizedFrame),
        (1, 0xFFFFFFFF, 26, refusals.TruncatedFrame),
        (1, 1, 63, refusals.TruncatedFrame),
        (1, 0, 1, refusals.MalformedHeader),
    ]:
        with pytest.raises(kind):
            decode([prelude, body(count, rows, qubits), state])
    with pytest.raises(refusals.OversizedFrame):  # empty, yet its strides would not fit
        decode([prelude, body(0, 0, 63), b""])
    with pytest.raises(refusals.OversizedFrame):
        decode([prelude, body(1, 1, 1), state], limits=f.Limits(max_frame_octets=31))
    with pytest.raises(refusals.OversizedFrame):
        decode([prelude, body(1, 1, 1), state], limits=f.Limits(max_message_octets=100))
    with pytest.raises(refusals.OversizedFrame):
        decode([prelude, body(1, 1, 1), *[b""] * 40])


@pytest.mark.parametrize(
    ("row", "times", "lost"),
    [
        ([0, 2], [5, 8], None),  # no such row
        ([0, 1], [-1, 8], None),
        ([0, 1], [0, 1 << 62], None),
    ],
)
def test_bad_indices_and_times_are_refused_on_both_sides(row: Any, times: Any, lost: Any) -> None:
    def batch(row: Any, times: Any) -> Copies:
        return Copies(np.eye(2, dtype=complex), np.array(row), np.array(times), np.zeros(len(row), bool))

    place = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    with pytest.raises(LocalProtocolError):
        encode(f.Carry(batch(row, times), 0), **place)
    frames = [bytes(frame) for frame in encode(f.Carry(batch([0, 1, 1], [9, 5, 6]), 0), **place)]
    decode(frames)
    indices, ready = np.array([*row, 0], np.uint32), np.array([*times, 3], np.int64)
    with pytest.raises(refusals.MalformedHeader):
        decode([*frames[:3], indices.tobytes(), ready.tobytes()])


def test_states_are_checked_by_the_last_receiver() -> None:
    good = np.array([[0.6, 0.8j], [1, 0]], np.complex128)
    check_states(good)
    check_states(np.empty((0, 4), np.complex128))
    assert len(checked(Copies(good, np.zeros(3, int), np.arange(3), np.zeros(3, bool)))) == 3
    for value in (np.nan, np.inf, 1e200, 0.6 + 3e-6, 0.0):
        bad = good.copy()
        bad[0, 0] = value
        with pytest.raises(refusals.BadStates):
            check_states(bad)
    check_states(good * (1 + 5e-7))


def test_density_matrices_are_checked_by_the_last_receiver() -> None:
    good = np.array([[[0.5, -0.25j], [0.25j, 0.5]], [[1, 0], [0, 0]]], np.complex128)
    check_states(good)
    check_states(np.empty((0, 4, 4), np.complex128))
    check_states(np.array([[[1 + 5e-7, 0], [0, -5e-7]]], np.complex128))
    assert checked(Copies(good, np.zeros(3, int), np.arange(3), np.zeros(3, bool))).mixed
    wrong = [
        ([[0.5, 0], [0, 0.5 + 3e-6]], "matrix 1 has trace 1.000003, expected 1"),
        ([[0.5, 0.1], [0.1 + 3e-6, 0.5]], "differs from its adjoint by 3e-06"),
        ([[0.5, 0.1j], [0.1j, 0.5]], "differs from its adjoint by 0.2"),
        ([[1.5, 0], [0, -0.5]], "matrix 1 has the eigenvalue -0.5, expected none below 0"),
        ([[0.5, 0.5 + 3e-6], [0.5 + 3e-6, 0.5]], "matrix 1 has the eigenvalue -3e-06"),
        ([[np.nan, 0], [0, 1]], "1 density matrices are off"),
        ([[0.5, np.inf], [np.inf, 0.5]], "1 density matrices are off"),
        ([[1e200, 0], [0, 1e200]], "1 density matrices are off"),
    ]
    for matrix, message in wrong:
        bad = good.copy()
        bad[1] = matrix
        with pytest.raises(refusals.BadStates, match=message):
            check_states(bad)


def test_mixed_copies_are_refused_where_their_form_does_not_fit() -> None:
    place = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    batch = Copies(np.eye(4, dtype=complex)[None] / 4, np.zeros(2, int), np.arange(2), np.zeros(2, bool))
    frames = [bytes(frame) for frame in encode(f.Carry(batch, 0), **place)]
    decode(frames)
    with pytest.raises(refusals.OversizedFrame, match="mixed states of 2 qubits, at most 1 are taken"):
        decode(frames, limits=f.Limits(max_mixed_qubits=1))

    def changed(form: int, qubits: int, dimensions: tuple[int, ...]) -> list[bytes]:
        body = struct.pack("<IIBBH", 2, 1, qubits, form, 0) + frames[1][12:36]
        shape = struct.pack(f"<BB{len(dimensions)}Q", 7, len(dimensions), *dimensions)
        return [frames[0], body + shape, frames[2]]

    decode(changed(8, 2, (1, 4, 4)))
    decode(changed(0, 4, (1, 16)))
    for form, qubits, dimensions, kind in [
        (0, 2, (1, 4, 4), refusals.MalformedHeader),  # a matrix where a pure state belongs
        (8, 4, (1, 16), refusals.MalformedHeader),  # and the other way round
        (8, 2, (1, 2, 8), refusals.MalformedHeader),
        (8, 2, (1, 16, 1), refusals.MalformedHeader),
        (8, 2, (4, 4), refusals.MalformedHeader),
        (24, 2, (1, 4, 4), refusals.MalformedHeader),  # a form bit that nobody knows
        (10, 2, (1, 4, 4), refusals.MalformedHeader),  # losses, but no array of them
        (8, 9, (1, 4, 4), refusals.OversizedFrame),
    ]:
        with pytest.raises(kind):
            decode(changed(form, qubits, dimensions))


def test_a_relay_forwards_states_that_it_does_not_verify() -> None:
    states = np.array([[0.6, 0.8]], np.complex128)
    batch = Copies(states, np.zeros(4, int), np.arange(4), np.zeros(4, bool))
    frames = encode(f.Carry(batch, 1), run=RUN, session=0, sequence=0, digest=True)
    damaged = [*frames[:2], flip([bytes(frames[2])], np.random.default_rng(1))[0]]
    with pytest.raises(refusals.DigestMismatch):
        decode(damaged)

    def relayed(frames: list[Any]) -> list[Any]:
        _, carry = decode(frames, verify_states=False)
        assert isinstance(carry, f.Carry) and isinstance(carry.message, Copies)
        row_times = carry.message.take()
        onward = Copies(row_times.states, row_times.row, row_times.ready_ps + 50, row_times.lost)
        return encode(f.Carry(onward, 51, carry.states_digest), run=RUN, session=0, sequence=9, digest=True)

    _, carry = decode(relayed(frames))
    assert isinstance(carry, f.Carry) and isinstance(carry.message, Copies)
    parts = carry.message.take()
    assert np.array_equal(parts.states, states) and not parts.states.flags.writeable
    assert parts.ready_ps.tolist() == [50, 51, 52, 53]
    with pytest.raises(refusals.DigestMismatch):  # found one hop later
        decode(relayed(damaged))
    _, touched = decode(damaged, verify_states=False)
    assert isinstance(touched, f.Carry)
    with pytest.raises(refusals.DigestMismatch):  # or by a relay about to change them
        verify_states(touched)
    _, whole = decode(frames, verify_states=False)
    assert isinstance(whole, f.Carry)
    assert verify_states(whole).states_digest is None


@pytest.mark.parametrize("step", [1 << 62, (1 << 64) - 1])
def test_a_mark_beyond_all_steps_is_refused(step: int) -> None:
    good = [bytes(frame) for frame in encode(f.Mark(5), run=RUN, session=0, sequence=0, digest=False)]
    with pytest.raises(refusals.MalformedHeader):
        decode([good[0], struct.pack("<Q", step)])


GOOD_PAIRS = Held(
    np.array([[0.5, 0, 0, 0.5, 0.5, 0], [0.25, 0.25, 0.25, 0.25, 0.25, -0.25]]),
    np.array([9, 9]),
    np.array([8, 9]),
    np.zeros(2, bool),
    (np.inf, 2.5),
    7,
)


def with_state(place: tuple[int, int], value: float) -> Held:
    state = GOOD_PAIRS.elements.copy()
    state[place] = value
    return GOOD_PAIRS._replace(elements=state)


@pytest.mark.parametrize(
    ("held", "kind"),
    [
        (with_state((0, 0), np.nan), refusals.BadStates),
        (with_state((0, 4), np.inf), refusals.BadStates),
        (with_state((0, 0), 0.6), refusals.BadStates),  # the trace
        (with_state((0, 4), 0.51), refusals.BadStates),  # the coherence
        (with_state((1, 5), 0.26), refusals.BadStates),
        (with_state((1, 5), np.nan)._replace(lost=np.array([False, True])), refusals.BadStates),  # also of the dead
        (GOOD_PAIRS._replace(ready_ps=np.array([9, -1])), refusals.MalformedHeader),
        (GOOD_PAIRS._replace(since_ps=np.array([10, 9])), refusals.MalformedHeader),
        (GOOD_PAIRS._replace(far_ps=(1.0, 2.5)), refusals.MalformedHeader),
        (GOOD_PAIRS._replace(far_ps=(0.0, 0.0)), refusals.MalformedHeader),
        (GOOD_PAIRS._replace(far_ps=(np.inf, np.nan)), refusals.MalformedHeader),
        (GOOD_PAIRS._replace(span_ps=-1), refusals.MalformedHeader),
    ],
)
def test_pairs_that_cannot_be_are_refused_on_both_sides(held: Held, kind: type[Exception]) -> None:
    place = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    good = [bytes(frame) for frame in encode(f.Carry(Pairs(GOOD_PAIRS, None), 0), **place)]
    dead = Pairs(GOOD_PAIRS._replace(lost=np.array([False, True])), None)
    lossy = [bytes(frame) for frame in encode(f.Carry(dead, 0), **place)]
    with pytest.raises(LocalProtocolError):
        encode(f.Carry(Pairs(held, None), 0), **place)
    whole = lossy if held.lost.any() else good
    body = struct.pack("<qIBBHqdd", 0, 2, 3 if held.lost.any() else 1, 0, 0, held.span_ps, *held.far_ps)
    arrays = [held.elements.tobytes(), held.ready_ps.tobytes(), held.since_ps.tobytes()]
    with pytest.raises(kind):
        decode([whole[0], body + whole[1][len(body) :], *arrays, *whole[5:]])


@pytest.mark.parametrize(
    ("form", "protocol", "zero"),
    [(0, 0, 0), (2, 0, 0), (4 + 2, 0, 0), (1 + 8, 0, 0), (16 + 1, 0, 0), (1, 0, 1), (1, 1, 0), (4, 2, 0), (5, 3, 0)],
)
def test_forms_of_pairs_that_say_nothing_are_refused(form: int, protocol: int, zero: int) -> None:
    place = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    good = [bytes(frame) for frame in encode(f.Carry(Pairs(GOOD_PAIRS, None), 0), **place)]
    body = struct.pack("<qIBBHqdd", 0, 2, form, protocol, zero, 7, np.inf, 2.5)
    with pytest.raises(refusals.MalformedHeader):
        decode([good[0], body + good[1][len(body) :], *good[2:]])


def test_more_pairs_than_the_limit_are_refused() -> None:
    place = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    few = f.Limits(max_copies=1)
    for message in (Pairs(GOOD_PAIRS, None), Pairs.none_yet(np.zeros(2, np.int64)), Released(np.zeros(2, np.int64))):
        frames = encode(f.Carry(message, 0), **place)
        with pytest.raises(refusals.OversizedFrame):
            decode(frames, limits=few)
    with pytest.raises(LocalProtocolError):
        encode(f.Carry(Pairs(GOOD_PAIRS, None), 0), limits=few, **place)


@pytest.mark.parametrize(
    ("place", "octet", "kind"),
    [
        (0, 0x00, refusals.BadSignature),
        (4, 0x02, refusals.WrongVersion),
        (5, 0x00, refusals.UnknownCommand),
        (5, 0x02, refusals.TruncatedFrame),  # WELCOME has eight octets of body, this one five
        (6, 0x02, refusals.MalformedHeader),
        (6, 0x01, refusals.TruncatedFrame),  # a digest announced and not there
        (7, 0x01, refusals.TruncatedFrame),
    ],
)
def test_each_field_of_the_prelude_is_refused_by_its_own_name(
    place: int, octet: int, kind: type[Exception]
) -> None:
    good = [bytes(frame) for frame in encode(f.Hello("eve!"), run=RUN, session=0, sequence=0, digest=False)]
    decode(good)
    prelude = bytearray(good[0])
    prelude[place] = octet
    with pytest.raises(kind):
        decode([bytes(prelude), good[1]])
