"""An eavesdropper in the fiber: density matrices, closed forms, what she gets and what nobody sees of her."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels import eve as eve_module
from ketwire.channels.copies import Copies, join
from ketwire.channels.eve import BeamSplitter, InterceptResend
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.line_values import line_of, told
from ketwire.channels.link import Delivery, Direction
from ketwire.channels.messages import Answers
from ketwire.channels.parts import Memory, Noise
from ketwire.channels.planning.budget import Crossing, path_survival, refusal
from ketwire.channels.transports import Coded, Teleport
from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Link
from ketwire.quantum import pauli_bases
from ketwire.quantum.layers import haar_state
from ketwire.quantum.noise.kraus import Kraus
from ketwire.quantum.noise.trajectories import density_channel
from tests.kit import LOOK, Threads, receive, scripted, send

KEY = b"e" * 32
GLASS = Fiber(length_km=2.0, loss_db_per_km=0.5, p_init=0.1, detector_efficiency=0.9, emission_rate_hz=1e6)
SURE = 4.5  # standard errors


def batch(states: np.ndarray, row: Any) -> Copies:
    row = np.asarray(row, dtype=np.int64)
    return Copies(states, row, np.zeros(len(row), dtype=np.int64), np.zeros(len(row), dtype=np.bool_))


def listened(line: Line, states: np.ndarray, copies: int, key: bytes = KEY) -> tuple[Delivery, Direction]:
    direction = Direction("a->b", line, key)
    return direction.carry(batch(states, np.arange(copies) % len(states)), 0), direction


def got(direction: Direction) -> dict[str, Any]:
    assert direction.intercepted is not None
    return direction.intercepted


def near(count: float, trials: float, p: float) -> bool:
    return abs(count - trials * p) <= SURE * np.sqrt(trials * p * (1 - p)) + 1e-9


# ---------------------------------------------------------------- bases


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_a_product_state_gives_its_own_bits_in_its_own_bases(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bases, bits = rng.integers(0, 3, (50, n)), rng.integers(0, 2, (50, n))
    states = pauli_bases.product_states(bases, bits)
    assert np.abs(np.linalg.norm(states, axis=1) - 1).max() < 1e-12
    row = rng.integers(0, 50, 200)
    assert (pauli_bases.measure(states, row, bases[row], rng) == bits[row]).all()


def test_outcomes_follow_the_state_in_any_bases() -> None:
    """Against projectors built one by one, with Pauli matrices as the only source."""
    rng = np.random.default_rng(3)
    states = haar_state(2, rng, rows=2)
    sigma = {"z": [[1, 0], [0, -1]], "x": [[0, 1], [1, 0]], "y": [[0, -1j], [1j, 0]]}
    copies = 40_000
    for a, b in itertools.product(range(3), repeat=2):
        row = np.arange(copies) % 2
        bits = pauli_bases.measure(states, row, np.tile([a, b], (copies, 1)), rng)
        for r, first, second in itertools.product(range(2), repeat=3):
            halves = [(np.eye(2) + (-1) ** bit * np.array(sigma["zxy"[c]])) / 2 for c, bit in ((a, first), (b, second))]
            p = np.vdot(states[r], np.kron(*halves) @ states[r]).real
            assert near(((bits[row == r] == [first, second]).all(axis=1)).sum(), copies / 2, p)


def test_many_copies_in_many_bases_are_measured_in_parts() -> None:
    rng = np.random.default_rng(4)
    bases, bits = rng.integers(0, 3, (2000, 10)), rng.integers(0, 2, (2000, 10))
    states = pauli_bases.product_states(bases, bits)
    assert states.size > 4 * pauli_bases.CHUNK_AMPLITUDES
    order = rng.permutation(2000)
    assert (pauli_bases.measure(states, order, bases[order], rng) == bits[order]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pauli_bases.product_states(np.array([[3]]), np.array([[0]])), "bases: 3 to 3 given"),
        (lambda: pauli_bases.product_states(np.array([[0]]), np.array([[2]])), "bits: 2 to 2 given"),
        (lambda: pauli_bases.product_states(np.zeros((1, 2), int), np.zeros((2, 1), int)), "bits: shape"),
        (lambda: pauli_bases.measure(np.eye(2, dtype=complex), np.zeros(3, int), np.zeros((3, 2), int), None), "bases"),  # type: ignore[arg-type]
        (lambda: pauli_bases.product_states(np.zeros((1, 1)), np.zeros((1, 1), int)), "expected integers"),
    ],
)
def test_wrong_codes_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------- intercept and resend


def oracle(state: np.ndarray, share: float, choices: tuple[int, ...]) -> np.ndarray:
    """(1 - s) rho + s M(rho), M on every qubit: dephasing in a basis, averaged over her bases."""
    rho = np.outer(state, state.conj())
    vectors = pauli_bases.EIGENVECTORS
    projectors = np.array([[np.outer(vectors[c, b], vectors[c, b].conj()) for b in (0, 1)] for c in choices])
    kraus = Kraus(projectors.reshape(-1, 2, 2) / np.sqrt(len(choices)))
    seen = density_channel(rho[None], kraus, range(len(state).bit_length() - 1))[0]
    return np.asarray((1 - share) * rho + share * seen)


@pytest.mark.parametrize("basis", ["z", "x", "y", "random", "random-xyz"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_what_arrives_is_on_average_what_the_density_matrix_says(basis: Any, n: int) -> None:
    copies, share = 60_000, 0.6
    state = haar_state(n, np.random.default_rng(n))
    delivery, _ = listened(Line(GLASS, eve=InterceptResend(share, basis)), state, copies)
    assert isinstance(delivery.message, Copies)
    states, row, _, lost = delivery.message.take()
    weights = np.bincount(row[~lost], minlength=len(states))
    total = weights.sum()
    mean = np.einsum("r,ri,rj->ij", weights, states, states.conj()) / total
    outer = np.einsum("ri,rj->rij", states, states.conj())
    expected = oracle(state[0], share, eve_module._CHOICES[basis])
    for part in (np.real, np.imag):
        second = np.einsum("r,rij->ij", weights, part(outer) ** 2) / total
        spread = np.sqrt(np.maximum(second - part(mean) ** 2, 0) / total)
        assert (np.abs(part(mean) - part(expected)) <= SURE * spread + 1e-9).all()
    assert np.abs(expected - np.outer(state, state.conj())).max() > 0.05, "she would not have been seen"


@pytest.mark.parametrize(
    ("decoys", "basis", "rate"),
    [
        ((0, 1), "random", 1 / 4),  # she guesses half of the bases, and a wrong one is wrong half of the time
        ((0, 1), "z", 1 / 4),
        ((0, 1), "y", 1 / 2),
        ((0, 1, 2), "random-xyz", 1 / 3),
        ((0, 1), "random-xyz", 1 / 3),
        ((0, 1, 2), "random", 1 / 3),
        ((0,), "z", 0.0),
    ],
)
def test_she_leaves_the_errors_of_the_closed_forms(decoys: tuple[int, ...], basis: Any, rate: float) -> None:
    rng = np.random.default_rng(11)
    copies, n, share = 30_000, 2, 0.4
    bases, bits = rng.choice(decoys, (copies, n)), rng.integers(0, 2, (copies, n))
    states = pauli_bases.product_states(bases, bits)
    delivery, direction = listened(Line(eve=InterceptResend(share, basis)), states, copies)
    assert isinstance(delivery.message, Copies)
    arrived, row, _, _ = delivery.message.take()
    errors = pauli_bases.measure(arrived, row, bases, rng) != bits
    for qubit in range(n):
        assert near(errors[:, qubit].sum(), copies, share * rate)
    # The qubits of a copy share their fate: she has all of them or none.
    assert near(errors.all(axis=1).sum(), copies, share * rate**2)
    assert near(got(direction)["copies"], copies, share)


def test_copies_that_she_saw_alike_share_a_row_again() -> None:
    delivery, _ = listened(Line(eve=InterceptResend(0.5, "x")), haar_state(3, np.random.default_rng(5)), 5000)
    assert isinstance(delivery.message, Copies)
    states, row, _, _ = delivery.message.take()
    assert len(states) <= 1 + 2**3 and len(np.unique(row)) == len(states)
    assert not delivery.untouched


def test_her_strings_are_those_of_the_copies_that_she_had_whole() -> None:
    """Lost afterwards or not: the mean of what she saw is the state, and counts add up."""
    copies, share = 40_000, 0.5
    state = haar_state(2, np.random.default_rng(6))
    delivery, direction = listened(Line(GLASS, eve=InterceptResend(share, "z")), state, copies)
    told_of = got(direction)
    whole = told_of["whole_copies"]
    assert sum(told_of["strings"].values()) == whole and told_of["strings_beyond"] == 0
    assert near(whole, copies, share * 0.9**2)  # what is lost on coupling in never reaches her
    # Half of the time a binomial of two photons at 0.9, else none: mean 0.9, variance 0.9 a copy.
    assert abs(told_of["photons"] - 0.9 * copies) < SURE * np.sqrt(0.9 * copies)
    for index, name in enumerate(["zz:00", "zz:01", "zz:10", "zz:11"]):
        assert near(told_of["strings"][name], whole, abs(state[0, index]) ** 2)
    assert delivery.lost.sum() > 0.3 * copies


def test_memory_decays_also_for_copies_that_only_she_gets() -> None:
    """|1> decays while it waits for the emitter; the fiber then loses every copy that she has seen."""
    line = Line(
        Fiber(length_km=100.0, loss_db_per_km=0.5, emission_rate_hz=1e6), (), Memory(t1_ps=2e9), Memory(),
        eve=InterceptResend(1.0, "z"),
    )  # fmt: skip
    copies = 4000
    delivery, direction = listened(line, np.array([[0, 1]], dtype=complex), copies)
    assert delivery.lost.mean() > 0.99
    expected = np.exp(-np.arange(copies) * 1e6 / 2e9)
    ones = got(direction)["strings"]["z:1"]
    assert abs(ones - expected.sum()) < SURE * np.sqrt((expected * (1 - expected)).sum())


def test_more_strings_than_are_told_apart_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eve_module, "MOST_STRINGS", 10)
    _, direction = listened(Line(eve=InterceptResend(1.0)), haar_state(4, np.random.default_rng(7)), 3000)
    told_of = got(direction)
    assert len(told_of["strings"]) == 10 and told_of["strings_beyond"] > 1000
    assert sum(told_of["strings"].values()) + told_of["strings_beyond"] == 3000


def test_more_states_than_a_message_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eve_module, "MOST_AMPLITUDES", 16 * 100)
    with pytest.raises(ScenarioError, match=r"makes \d+ different states of 16 amplitudes .* at most 100"):
        listened(Line(eve=InterceptResend(1.0)), haar_state(4, np.random.default_rng(7)), 3000)


# ---------------------------------------------------------------- beam splitter


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_a_beam_splitter_takes_its_share_and_leaves_the_rest_alone(share: float) -> None:
    copies, n = 30_000, 3
    state = haar_state(n, np.random.default_rng(8))
    line = Line(GLASS, eve=BeamSplitter(share))
    delivery, direction = listened(line, state, copies)
    survival = GLASS.survival * (1 - share)
    assert line.survival(n) == pytest.approx(survival**n)
    assert near((~delivery.lost).sum(), copies, survival**n)
    assert near(delivery.record.qubits_delivered, copies * n, survival)
    told_of = got(direction)
    assert near(told_of["photons"], copies * n, 0.9 * share)
    assert near(told_of["whole_copies"], copies, (0.9 * share) ** n)
    assert near(told_of["copies"], copies, 1 - (1 - 0.9 * share) ** n)
    assert delivery.untouched and isinstance(delivery.message, Copies)
    assert (delivery.message.take().states == state).all()


@pytest.mark.parametrize("seed", range(3))
def test_in_place_of_the_loss_nothing_shows(seed: int) -> None:
    """The parties' view is the very same, draw for draw: times, losses, states, heralds."""
    key, copies, n = bytes([seed]) * 32, 20_000, 2
    state = haar_state(n, np.random.default_rng(9))
    alone, _ = listened(Line(GLASS), state, copies, key)
    tapped, direction = listened(Line(GLASS, eve=BeamSplitter(replaces_loss=True)), state, copies, key)
    assert (alone.lost == tapped.lost).all() and alone.record == tapped.record
    assert alone.herald_ps == tapped.herald_ps and tapped.untouched
    ours, theirs = (delivery.message.take() for delivery in (alone, tapped))  # type: ignore[union-attr]
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))
    # What she holds is what the glass alone would have lost, of what entered it.
    glass = 10 ** (-0.1)
    assert near(got(direction)["photons"], copies * n, 0.9 * (1 - glass))


def test_in_place_of_the_loss_is_the_same_law_for_another_key() -> None:
    """Not only the same draws: whoever draws anew finds losses of the fiber's own law, copy by copy."""
    copies, n = 50_000, 2
    line = Line(GLASS, eve=BeamSplitter(replaces_loss=True))
    for key, eve in ((b"1" * 32, None), (b"2" * 32, line.eve)):
        delivery, _ = listened(replace(line, eve=eve), haar_state(n, np.random.default_rng(10)), copies, key)
        assert near((~delivery.lost).sum(), copies, GLASS.survival**n)
        assert near(delivery.record.qubits_delivered, copies * n, GLASS.survival)


def test_a_lossless_fiber_gives_her_nothing_in_place_of_loss() -> None:
    delivery, direction = listened(Line(eve=BeamSplitter(replaces_loss=True)), np.eye(1, 4, dtype=complex), 100)
    assert not delivery.lost.any() and got(direction)["photons"] == 0


def test_the_budget_knows_what_she_takes() -> None:
    crossing = Crossing("a-b", Line(GLASS, eve=BeamSplitter(0.5)), 4)
    assert path_survival([crossing]) == pytest.approx((GLASS.survival / 2) ** 4)
    assert crossing.coupling == pytest.approx((GLASS.coupling / 2) ** 4)
    assert "attempts" in (refusal([crossing], 10**6) or "")
    everything = Crossing("a-b", Line(GLASS, eve=BeamSplitter(1.0)), 1)
    assert "an eavesdropper takes every photon" in (refusal([everything], 1) or "")


# ---------------------------------------------------------------- streams, travel, runtimes


def test_what_she_chooses_does_not_change_with_the_fiber_around_her() -> None:
    """Which copies, in which bases: told by z errors on |0..0> alone, so look at her counts and strings."""
    state, copies = np.eye(1, 4, dtype=complex), 4000
    plain, noisy = Line(Fiber()), Line(Fiber(length_km=3.0, emission_rate_hz=1e6), (Noise("depolarizing", 0.2),))
    eve = InterceptResend(0.3, "random")
    strings = []
    for line in (plain, noisy, replace(plain, fiber=Fiber(length_km=5.0, loss_db_per_km=1.0))):
        _, direction = listened(replace(line, eve=eve), state, copies)
        told_of = got(direction)
        by_basis: dict[str, int] = {}
        for name, count in told_of["strings"].items():
            by_basis[name[:2]] = by_basis.get(name[:2], 0) + count
        strings.append((told_of["copies"], by_basis))
    assert strings[0] == strings[1] == strings[2]


def test_a_larger_share_adds_to_a_smaller_one_and_loss_stays_the_same() -> None:
    state = haar_state(2, np.random.default_rng(12))
    changed = []
    for share in (0.0, 0.2, 0.6):
        delivery, _ = listened(Line(GLASS, eve=InterceptResend(share)), state, 2000)
        assert isinstance(delivery.message, Copies)
        states, row, _, lost = delivery.message.take()
        changed.append(~lost & (np.abs(states[row] @ state[0].conj()) < 1 - 1e-9))
        assert (lost == listened(Line(GLASS), state, 2000)[0].lost).all()
    assert not changed[0].any() and (changed[1] <= changed[2]).all() and changed[2].sum() > changed[1].sum() > 0


LINES = {
    "resend": Line(GLASS, (Noise("depolarizing", 0.05),), Memory(t2_ps=1e9), eve=InterceptResend(0.5, "random-xyz")),
    "splitter": Line(GLASS, eve=BeamSplitter(0.3)),
    "in place": Line(GLASS, eve=BeamSplitter(replaces_loss=True)),
}


@pytest.mark.parametrize("name", LINES)
def test_a_line_with_her_travels_as_json(name: str) -> None:
    assert line_of(json.loads(json.dumps(told(LINES[name])))) == LINES[name]


@pytest.mark.parametrize("name", LINES)
def test_one_transcript_and_the_same_intercepted_everywhere(name: str) -> None:
    scripts = {
        "alice": [send("bob", "copies", 60, qubits=3), LOOK, send("bob", "answers"), receive("bob", "copies")],
        "bob": [receive("alice", "copies", keep=True), receive("alice", "answers"), send("alice", "copies", 40)],
    }
    run = scripted(scripts)
    run = replace(run, links=(Link(("alice", "bob"), LINES[name], replace(LINES[name], sender=Memory())),))
    inline = run_inline(run)[0]
    assert set(inline.eve) == {"alice->bob", "bob->alice"} and inline.eve["alice->bob"] != inline.eve["bob->alice"]
    for other in (Threads(run).conduct()[0], *([run_processes(run)[0]] if name == "resend" else [])):
        assert other.transcript_sha256 == inline.transcript_sha256
        assert other.eve == inline.eve
    one = replace(run, links=(Link(("alice", "bob"), LINES[name], Line(GLASS)),))
    forward = run_inline(one)[0]
    # Alone in her direction she gets the same: nothing is shared with the other one.
    assert forward.eve == {"alice->bob": inline.eve["alice->bob"]}


def test_she_reads_every_classical_bit() -> None:
    direction = Direction("a->b", Line(GLASS, eve=BeamSplitter(0.1)), KEY)
    direction.carry(Answers(np.array([1, 2, 3]), 5), 0)
    assert got(direction)["bits"] == 15
    assert Direction("a->b", Line(GLASS), KEY).intercepted is None


# ---------------------------------------------------------------- copies, parted and joined


def test_parting_and_joining_keep_every_copy() -> None:
    states = haar_state(2, np.random.default_rng(13), rows=3)
    row, lost = np.array([0, 1, 2, 0, 1]), np.array([False, True, False, False, True])
    whole = Copies(states, row, np.arange(5, dtype=np.int64), lost)
    chosen = np.array([True, False, False, True, True])
    first, second = whole.part(chosen)
    with pytest.raises(LocalProtocolError, match="moves"):
        whole.take()
    assert len(first) == 3 and len(second) == 2
    back = join([first, second], np.array([0, 3, 4, 1, 2])).take()
    assert (back.states[back.row] == states[row]).all()
    assert (back.ready_ps == np.arange(5)).all() and (back.lost == lost).all()


@pytest.mark.parametrize("order", [[0, 0], [0], [0, 1, 2], [0, 2]])
def test_no_order_clones_or_drops_a_copy(order: list[int]) -> None:
    with pytest.raises(LocalProtocolError, match="each is there once"):
        join([batch(np.eye(1, 2, dtype=complex), [0, 0])], np.array(order))


# ---------------------------------------------------------------- refusals

WRONG: list[tuple[Any, str]] = [
    (lambda: InterceptResend(1.1), r"share: 1\.1 given"),
    (lambda: InterceptResend(float("nan")), "share: nan given"),
    (lambda: InterceptResend(0.1, "w"), "basis: 'w' given"),  # type: ignore[arg-type]
    (BeamSplitter, "share: None given without"),
    (lambda: BeamSplitter(0.1, True), r"share: 0\.1 together with"),
    (lambda: BeamSplitter(-0.1), "share: "),
    (lambda: Line(GLASS, transport=Teleport(), eve=BeamSplitter(0.1)), "eve: .* nothing of a register is in flight"),
    (lambda: Line(GLASS, transport=Coded(), eve=InterceptResend(0.1)), "eve: .* a code's loss"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_nobody_can_do_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
