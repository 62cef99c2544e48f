"""One link as a pure function: what it loses, what it counts, what it leaves alone, what it notes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ketwire.channels.copies import Copies, join
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.link import Delivery, Direction
from ketwire.channels.messages import Answers, Arrivals, Classical, Packed
from ketwire.channels.presets import PRESETS, fiber
from ketwire.errors import LocalProtocolError
from ketwire.nodes.party import PartyNode
from ketwire.quantum import layers
from ketwire.quantum.observables import Projector

KEY = bytes(range(32))


def batch(count: int, qubits: int = 1, rows: int = 1, ready_ps: int = 0) -> Copies:
    rng = np.random.default_rng(count)
    states = layers.haar_state(qubits, rng, rows)
    row = rng.integers(0, rows, count)
    return Copies(states, row, np.full(count, ready_ps, dtype=np.int64), np.zeros(count, dtype=np.bool_))


def cross(directions: list[Direction], copies: Copies) -> list[Delivery]:
    """One batch over one direction after the other."""
    deliveries = []
    for direction in directions:
        deliveries.append(direction.carry(copies, 0))
        message = deliveries[-1].message
        assert isinstance(message, Copies)
        copies = message
    return deliveries


def in_4_sigma(hits: int, of: int, p: float) -> bool:
    return bool(abs(hits - of * p) <= 4 * np.sqrt(of * p * (1 - p)) + 1e-9)


@pytest.mark.parametrize("qubits", [1, 3, 8])
@pytest.mark.parametrize("crossings", [1, 3])
@pytest.mark.parametrize("length_km", [0.5, 5.0])
def test_a_copy_survives_with_eta_to_the_qubits_times_crossings(
    qubits: int, crossings: int, length_km: float
) -> None:
    physics = Fiber(length_km=length_km, loss_db_per_km=0.2, p_init=0.02, detector_efficiency=0.97)
    eta = 0.98 * 0.97 * 10 ** (-0.02 * length_km)
    assert physics.survival == pytest.approx(eta, rel=1e-12)
    count = 100_000
    directions = [Direction(f"{hop}->{hop + 1}", physics, bytes([hop]) * 32) for hop in range(crossings)]
    alive = count
    for hop, delivery in enumerate(cross(directions, batch(count, qubits)), start=1):
        record = delivery.record
        assert record.copies == count and record.qubits_sent == alive * qubits
        # A herald for every emitted copy, and for every other a bit that tells the receiver that it is dead.
        assert record.control_bits == count
        assert record.qubits_delivered <= record.qubits_sent
        assert in_4_sigma(record.qubits_delivered, record.qubits_sent, eta)
        alive = int((~delivery.lost).sum())
        assert alive * qubits <= record.qubits_delivered
        assert in_4_sigma(alive, count, eta ** (qubits * hop))


def test_what_arrives_of_a_copy_is_binomial() -> None:
    """Not only the mean: delivered qubits over many batches of one copy follow Binomial(n, eta)."""
    physics = Fiber(detector_efficiency=0.7)
    direction = Direction("a->b", physics, KEY)
    delivered = [direction.carry(batch(1, 4), 0).record.qubits_delivered for _ in range(4000)]
    expected = stats.binom.pmf(np.arange(5), 4, 0.7) * 4000
    assert stats.chisquare(np.bincount(delivered, minlength=5), expected).pvalue > 1e-3


def test_consecutive_batches_lose_other_copies() -> None:
    direction = Direction("a->b", Fiber(detector_efficiency=0.5), KEY)
    masks = [direction.carry(batch(64), 0).lost.tobytes() for _ in range(50)]
    assert len(set(masks)) == 50


def test_dead_copies_take_no_time_and_are_not_emitted_again() -> None:
    physics = Fiber(length_km=1.0, emission_rate_hz=1e9, detector_efficiency=0.9)
    states, row, ready_ps, lost = batch(100, 2).take()
    lost[::2] = True
    ready_ps[::2] = 77
    delivery = Direction("a->b", physics, KEY).carry(Copies(states, row, ready_ps, lost), 0)
    assert isinstance(delivery.message, Copies)
    parts = delivery.message.take()
    assert parts.lost[::2].all() and (parts.ready_ps[::2] == 5_000_000 + 77).all()
    # The first living one keeps its place until the dead one before it is known to be so.
    assert parts.ready_ps[1::2].tolist() == [5_000_000 + 77 + 2000 * (k + 1) for k in range(50)]
    assert delivery.record.qubits_sent == 100 and delivery.record.copies == 100
    assert delivery.record.control_bits == 100  # 50 notices to the receiver, and 50 heralds


def test_a_batch_of_dead_copies_costs_a_bit_each() -> None:
    direction = Direction("a->b", Fiber(length_km=1.0, emission_rate_hz=1e6, detector_efficiency=0.9), KEY)
    states, row, ready_ps, lost = batch(10).take()
    delivery = direction.carry(Copies(states, row, ready_ps, ~lost), 3)
    record = delivery.record
    assert (record.qubits_sent, record.qubits_delivered, record.control_bits) == (0, 0, 10)
    assert (record.arrival_ps, delivery.herald_ps) == (5_000_003, 3)  # who sent nothing waits for no herald
    assert direction.carry(batch(1), 0).arrival_ps == 1_000_000 + 5_000_000


def test_a_lossless_link_draws_nothing_heralds_nothing_and_keeps_all() -> None:
    delivery = Direction("a->b", Fiber(length_km=3.0), KEY).carry(batch(10, 3), 9)
    assert not delivery.lost.any() and delivery.herald_ps == 9
    assert delivery.record[6:] == (30, 30, 0, 0, 0)


@pytest.mark.parametrize("crossings", [1, 5])
def test_ten_thousand_copies_share_one_row(crossings: int) -> None:
    """Structure, not time: what crosses a link is one state, whatever the number of copies."""
    node = PartyNode("alice", KEY, {})
    copies = node.prepare(layers.haar_state(8, np.random.default_rng(0)), np.array([10_000]))
    for hop in range(crossings):
        copies = node.apply(layers.hadamards(8), copies, np.zeros(0))
        message = Direction(str(hop), Fiber(detector_efficiency=0.99), KEY).carry(copies, 0).message
        assert isinstance(message, Copies)
        copies = message
    assert copies.take().states.shape == (1, 256)


NO_PARAMETERS = np.zeros(0)
GROUPS = np.zeros(5, dtype=np.int64)
USES: dict[str, Callable[[PartyNode, Copies], Any]] = {
    "send": lambda node, copies: Direction("a->b", Fiber(), KEY).carry(copies, 0),
    "apply": lambda node, copies: node.apply(layers.hadamards(2), copies, NO_PARAMETERS),
    "contract": lambda node, copies: node.contract(np.eye(4, dtype=np.complex128), copies),
    "measure": lambda node, copies: node.measure(copies, Projector(0), GROUPS, 1),
    "alive": lambda node, copies: copies.alive,
    "take": lambda node, copies: copies.take(),
}


@pytest.mark.parametrize("second", USES)
@pytest.mark.parametrize("first", [use for use in USES if use != "alive"])
def test_copies_are_used_once(first: str, second: str) -> None:
    node, copies = PartyNode("alice", KEY, {}), batch(5, 2)
    assert copies.alive.all() and len(copies) == 5 and copies.qubits == 2
    USES[first](node, copies)
    with pytest.raises(LocalProtocolError, match=r"5 copies of 2 qubits were sent, .* before"):
        USES[second](node, copies)
    assert len(copies) == 5 and "consumed" in repr(copies)


def test_receipts_cannot_change_what_the_receiver_holds() -> None:
    delivery = Direction("a->b", Fiber(detector_efficiency=0.5), KEY).carry(batch(8), 0)
    with pytest.raises(ValueError, match="read-only"):
        delivery.lost[:] = True


def test_looking_at_a_herald_moves_the_clock_and_receiving_copies_does_not() -> None:
    from ketwire.nodes.holdings import HeraldReceipt

    node = PartyNode("alice", KEY, {})
    receipt = HeraldReceipt(node, np.zeros(2, dtype=np.bool_), 500)
    assert node.now_ps == 0
    assert receipt.lost.tolist() == [False, False] and node.now_ps == 500
    assert isinstance(node.accept(node.receive("bob", Copies), batch(1, ready_ps=900), 900), Copies)
    assert node.now_ps == 500
    node.accept(node.receive("bob", Answers), Answers(GROUPS, 1), 700)
    assert node.now_ps == 700


READY_PS = (10, 30, 90, 400, 700)


def some_lost(node: PartyNode) -> Copies:
    """Five copies as they come to a node; the second and the last are lost."""
    states, row, _, lost = batch(5).take()
    lost[[1, 4]] = True
    copies = Copies(states, row, np.array(READY_PS), lost)
    return node.accept(node.receive("bob", Copies), copies, READY_PS[-1])


@pytest.mark.parametrize(("most", "known_ps"), [(0, 0), (1, 10), (2, 90), (3, 400), (4, 700), (9, 700)])
def test_a_choice_of_copies_waits_for_what_it_depends_on(most: int, known_ps: int) -> None:
    """The first `most` living copies: for the last of them, or where there are fewer, for the last time bin."""
    node, groups = PartyNode("alice", KEY, {}), np.zeros(5, dtype=np.int64)
    copies = some_lost(node)
    keep = node.keep(copies, groups, np.array([most]))
    assert node.now_ps == 0
    counts = node.measure(copies, Projector(0), groups, 1, keep)
    assert counts.sum() == min(most, 3) and node.now_ps == node.read_ps == known_ps
    assert keep.taken.tolist() == [min(most, 3)] and node.now_ps == known_ps
    assert keep.came.tolist() == [3] and node.now_ps == READY_PS[-1] and node.read_ps == known_ps
    with pytest.raises(LocalProtocolError, match="a choice of copies was used before"):
        node.measure(some_lost(node), Projector(0), groups, 1, keep)


def test_a_choice_is_made_after_the_flags_that_kill_copies() -> None:
    node, groups = PartyNode("alice", KEY, {}), np.zeros(5, dtype=np.int64)
    copies = some_lost(node)
    keep = node.keep(copies, groups, np.array([5]))
    with pytest.raises(LocalProtocolError, match="before a flag was measured"):
        node.measure(node.contract(1e-6 * np.eye(2), copies), Projector(0), groups, 1, keep)


def test_each_group_is_chosen_from_for_itself() -> None:
    node, groups = PartyNode("alice", KEY, {}), np.array([0, 0, 1, 1, 1])
    copies = some_lost(node)
    keep = node.keep(copies, groups, np.array([1, 1]))
    counts = node.measure(copies, Projector(0), groups, 2, keep)
    assert counts.sum(axis=1).tolist() == [1, 1] and node.now_ps == 90
    assert keep.came.tolist() == [1, 2] and node.now_ps == 700


def test_counts_of_a_whole_batch_wait_for_its_last_loss() -> None:
    node = PartyNode("alice", KEY, {})
    counts = node.measure(some_lost(node), Projector(0), np.zeros(5, dtype=np.int64), 1)
    assert counts.sum() == 3 and node.now_ps == node.read_ps == 700


def test_looking_at_losses_moves_the_clock_of_the_holder() -> None:
    """However the batch came to be in the program's hands."""
    circuit, none = layers.hadamards(1), np.zeros(0)
    ways: list[Callable[[PartyNode, Copies], Copies]] = [
        lambda node, copies: copies,
        lambda node, copies: node.apply(circuit, copies, none),
        lambda node, copies: node.contract(np.eye(2), copies),
        lambda node, copies: node.attach(copies),
        lambda node, copies: copies.part(np.ones(5, dtype=np.bool_))[0],
        lambda node, copies: join([copies], np.arange(5)),
    ]
    for hardware in (Hardware(), Hardware(p_gate1=0.01)):
        for way in ways:
            node = PartyNode("alice", KEY, {}, hardware=hardware)
            copies = way(node, some_lost(node))
            assert copies.living.sum() == 3 and node.now_ps == 0
            assert copies.alive.sum() == 3 and node.now_ps == 700


# ---------------------------------------------------------------- transcript

Facts = dict[str, Any]


def copies_hash(sent_ps: int = 5, number: int = 0, **changed: Any) -> str:
    facts: Facts = {
        "states": np.eye(2, 4, dtype=np.complex128),
        "row": np.array([0, 1, 0, 1]),
        "ready_ps": np.array([1, 2, 3, 4]),
        "lost": np.array([False, False, True, False]),
        **changed,
    }
    direction = Direction("a->b", Fiber(), KEY)
    direction._number = number
    direction.carry(Copies(**facts), sent_ps)
    return direction.transcript.end().digest


def test_any_delivered_fact_of_copies_changes_the_hash() -> None:
    variants = [
        copies_hash(),
        copies_hash(sent_ps=6),
        copies_hash(number=1),
        copies_hash(ready_ps=np.array([1, 2, 3, 40])),
        copies_hash(ready_ps=np.array([40, 2, 3, 4])),
        copies_hash(lost=np.array([False, False, False, True])),
        copies_hash(lost=np.array([False, False, False, False])),
        copies_hash(row=np.array([1, 0, 0, 1])),
        copies_hash(states=np.eye(2, 8, dtype=np.complex128)),
        copies_hash(row=np.zeros(4, dtype=np.int64), states=np.eye(1, 4, dtype=np.complex128)),
    ]
    assert len(set(variants)) == len(variants)


@pytest.mark.parametrize("other", range(3))
def test_a_loss_bit_alone_changes_the_hash(other: int) -> None:
    """Same times, same number of losses, another copy: nothing but the mask tells them apart."""
    together = np.full(4, 9)
    assert copies_hash(ready_ps=together, lost=np.arange(4) == other) != copies_hash(
        ready_ps=together, lost=np.arange(4) == 3
    )


def test_amplitudes_do_not_change_the_hash() -> None:
    turned = layers.haar_state(2, np.random.default_rng(1), 2)
    assert copies_hash(states=turned) == copies_hash(states=turned * (1 + 1e-15)) == copies_hash()


def classical_hash(*messages: Classical, sent_ps: int = 0) -> str:
    direction = Direction("a->b", Fiber(bandwidth_bps=1e9), KEY)
    for message in messages:
        direction.carry(message, sent_ps)
    return direction.transcript.end().digest


def octets(*values: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.array(values, dtype=np.uint8)


def test_any_delivered_fact_of_classical_messages_changes_the_hash() -> None:
    places = np.array([3, 5], dtype=np.uint32)
    one, two = Answers(np.array([1, 2]), 8), Answers(np.array([2, 1]), 8)
    variants = [
        classical_hash(),
        classical_hash(one),
        classical_hash(two),
        classical_hash(one, sent_ps=1),
        classical_hash(Answers(np.array([1, 2]), 9)),
        classical_hash(Answers(np.array([1, 3]), 8)),
        classical_hash(Arrivals(np.array([1, 2]))),
        classical_hash(Arrivals(np.array([1, 2, 0]))),
        classical_hash(Arrivals(np.array([1, 2]), 2)),
        classical_hash(one, two),
        classical_hash(two, one),
        classical_hash(one, one),
        classical_hash(Packed(2, 8, 1.0, 2, octets(1, 2))),
        classical_hash(Packed(2, 8, 1.0, 2, octets(1, 3))),  # one payload bit
        classical_hash(Packed(2, 8, -1.0, 2, octets(1, 2))),
        classical_hash(Packed(1, 16, 1.0, 1, octets(1, 2))),
        classical_hash(Packed(2, 8, 1.0, 8, octets(1, 2), places)),
        classical_hash(Packed(2, 8, 1.0, 8, octets(1, 2), places + np.uint32(1))),
    ]
    assert len(set(variants)) == len(variants)


def test_outcomes_change_the_hash_of_the_node() -> None:
    digests = set()
    for counts in (np.array([[1, 2]]), np.array([[2, 1]]), np.array([[1], [2]])):
        for now_ps in (0, 1):
            node = PartyNode("alice", KEY, {})
            node.transcript.outcomes(now_ps, counts)
            digests.add(node.transcript.end().digest)
    assert len(digests) == 6


# ---------------------------------------------------------------- what a fiber can be


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("length_km", -1.0),
        ("length_km", float("nan")),
        ("loss_db_per_km", float("inf")),
        ("p_init", 1.5),
        ("detector_efficiency", -0.1),
        ("speed_km_per_s", 0.0),
        ("emission_rate_hz", float("nan")),
        ("bandwidth_bps", -3.0),
    ],
)
def test_impossible_fibers_are_refused_by_the_field_s_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        Fiber(**{field: value})


def test_presets_cite_their_numbers_and_can_be_changed() -> None:
    assert all(preset.source for preset in PRESETS.values())
    changed = fiber("telecom-fiber", length_km=10.0)
    assert changed.survival == pytest.approx(0.9 * 10**-0.2, rel=1e-12)
    assert (changed.delay_ps, changed.bin_ps) == (50_000_000, 40_000)
    assert PRESETS["telecom-fiber"].fiber.length_km == 0.0
    with pytest.raises(KeyError):
        fiber("no-such-fiber")
