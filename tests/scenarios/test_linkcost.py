"""`ketwire link`: its figures are those of runs, and of closed forms where there are some."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.distill import Schedule
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Gates, Memory, Noise
from ketwire.channels.planning.fidelity import arrived, average_fidelity
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.errors import ScenarioError
from ketwire.quantum.noise.kraus import decay, decay_diagonal
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.scenarios import cli
from ketwire.scenarios.linkcost import Question, answer, cost
from ketwire.scenarios.linktext import answer_text

GLASS = Fiber(length_km=2.0, loss_db_per_km=0.2, emission_rate_hz=1e6)
RNG = np.random.default_rng(0)


PAULI_STATES = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [1, 1j], [1, -1j]], dtype=np.complex128)
PAULI_STATES /= np.linalg.norm(PAULI_STATES, axis=1, keepdims=True)


def overlaps(line: Line, kets: np.ndarray, row: np.ndarray, key: bytes) -> np.ndarray:
    """How much of its state each fresh copy that arrives still has, after a crossing of a run's own machine."""
    copies = len(row)
    batch = Copies(kets, row, np.zeros(copies, np.int64), np.zeros(copies, np.bool_), fresh=True)
    delivery = Direction("a->b", line, key).carry(batch, 0)
    assert isinstance(delivery.message, Copies)
    states, now, _, lost = delivery.message.take()
    return np.abs(np.einsum("ki,ki->k", kets[row].conj(), states[now])[~lost]) ** 2


NOISY = Line(GLASS, (Noise("depolarizing", 0.1), Noise("amplitude-damping", 0.2)))
TWO = (Memory(t1_ps=3e8, t2_ps=2e8), Memory(t2_ps=5e8))
CASES: dict[str, Line] = {
    "noisy": NOISY,
    "coded": Line(GLASS, (Noise("depolarizing", 0.05),), *TWO, Coded(code="[[5,1,3]]", gate_ps=10_000_000)),
    "teleport": Line(GLASS, (), *TWO, Teleport(visibility=0.9)),
    "single click": Line(GLASS, (), *TWO, Teleport(scheme="single-click", alpha=0.2)),
    "distilled": Line(GLASS, (), *TWO, Teleport(visibility=0.8, distillation=Schedule(1))),
    "measured": Line(GLASS, transport=Teleport(scheme="given", rate_hz=1e5, fidelity=0.8)),
}


@pytest.mark.parametrize("name", CASES)
def test_fidelities_are_those_of_a_run(name: str) -> None:
    """One qubit, over Pauli eigenstates, which average to all states: F_avg = (2 F + 1) / 3.

    No copy waits for another: emission takes no time, and each pair has a slot.
    """
    copies = 20_000
    line = replace(CASES[name], fiber=replace(GLASS, emission_rate_hz=None))
    if isinstance(line.transport, Teleport):
        line = replace(line, transport=replace(line.transport, memory_slots=copies))
    found = overlaps(line, PAULI_STATES, np.arange(copies) % 6, b"k" * 32)
    came = arrived(line, 1, 1, np.random.default_rng(1))
    assert abs(found.mean() - average_fidelity(came.fidelity, 1)) < 4.5 * (0.5 / math.sqrt(len(found)) + came.error)
    assert came.fidelity < 0.97, "a fidelity of one would agree with anything"


def test_qubits_of_a_register_wait_together() -> None:
    """Three qubits through one slot: products of Pauli eigenstates average to the product over qubits of
    (2 F_i + 1) / 3, here with dephasing memories, whose F_i depend on how long all of them took: a qubit waits from
    the first of the pairs to the last, at one end or the other, and until the last outcome has arrived."""
    line = Line(GLASS, (), Memory(t2_ps=4e8), Memory(t2_ps=4e8), Teleport())
    rng, runs = np.random.default_rng(5), 400
    found = []
    for number in range(runs):
        first, second, third = PAULI_STATES[rng.integers(6, size=3)]
        ket = np.kron(np.kron(first, second), third)[None]
        found.append(overlaps(line, ket, np.zeros(1, np.int64), number.to_bytes(32, "little"))[0])
    scheme = line.transport.pairs(line)  # type: ignore[union-attr]
    attempts = np.random.default_rng(2).geometric(scheme.success_probability, size=(20_000, 2)).sum(axis=1)
    kept = np.exp(-(attempts * scheme.attempt_ps + GLASS.delay_ps) / 4e8) * np.exp(-2 * scheme.age_ps / 4e8)
    whole = float((((1 + kept) / 2) ** 3).mean())
    came = arrived(line, 3, 1, np.random.default_rng(1))
    assert abs(came.fidelity - whole) < 4.5 * came.error + 0.005
    product = float((((2 * (1 + kept) / 2 + 1) / 3) ** 3).mean())
    assert abs(np.mean(found) - product) < 4.5 * np.std(found) / math.sqrt(runs)


def test_closed_forms() -> None:
    werner = Line(GLASS, transport=Teleport(scheme="given", rate_hz=10.0, fidelity=0.9))
    assert arrived(werner, 4, 1, RNG).fidelity == pytest.approx(0.9**4)
    # Three crossings: depolarizing with 1 - p = (4 F - 1) / 3 each.
    p = (4 * 0.9 - 1) / 3
    assert arrived(werner, 2, 3, RNG).fidelity == pytest.approx(((1 + 3 * p**3) / 4) ** 2)
    assert arrived(Line(GLASS), 8, 5, RNG).fidelity == 1.0
    assert average_fidelity(0.9, 1) == pytest.approx((2 * 0.9 + 1) / 3)
    flips = Line(GLASS, (Noise("bit-flip", 0.1),), transport=Coded(code="qpc(1,1)"))
    assert arrived(flips, 3, 2, RNG).fidelity == pytest.approx((0.9**2 + 0.1**2) ** 3)


def test_spare_qubits_of_a_block_do_not_count() -> None:
    """Three qubits in blocks of two: one block and the half of another."""
    line = Line(GLASS, (Noise("depolarizing", 0.05),), transport=Coded(code="[[4,2,2]]"))
    channel = Coded(code="[[4,2,2]]").found().logical_channel(line.fiber.survival, line.flight)
    expected = channel.weights[0] * channel.marginal(0)[0]
    assert arrived(line, 3, 1, RNG).fidelity == pytest.approx(float(expected))


def test_kraus_noise_over_crossings_is_that_of_the_density_matrix() -> None:
    line = Line(GLASS, (Noise("amplitude-damping", 0.2), Noise("dephasing", 0.1)))
    channel = line.channel()
    assert channel is not None
    bell = np.zeros(4, dtype=complex)
    bell[[0, 3]] = math.sqrt(0.5)
    rho = np.outer(bell, bell)[None]
    for _ in range(3):
        rho = density_channel(rho, channel, [0])
    assert arrived(line, 1, 3, RNG).fidelity == pytest.approx(float((bell @ rho[0] @ bell).real))


def test_decay_s_diagonal_is_that_of_the_channel() -> None:
    memory = Memory(t1_ps=3e6, t2_ps=4e6)
    kraus = decay(2e6, 3e6, 4e6)
    paulis = [np.eye(2), [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]]
    transfer = [sum(np.trace(p @ k @ p @ k.conj().T).real for k in kraus.operators) / 2 for p in map(np.array, paulis)]
    assert decay_diagonal(2_000_000, *memory.constants) == pytest.approx(transfer)


# ---------------------------------------------------------------- times and counts


def streamed(line: Line, qubits: int, copies: int) -> tuple[float, Any]:
    """Time a copy that arrives, and the ledger, of so many copies sent at once."""
    state = np.eye(1, 1 << qubits, dtype=np.complex128)
    batch = Copies(state, np.zeros(copies, np.int64), np.zeros(copies, np.int64), np.zeros(copies, np.bool_))
    delivery = Direction("a->b", line, b"k" * 32).carry(batch, 0)
    return delivery.arrival_ps / (copies - int(delivery.lost.sum())), delivery.record


@pytest.mark.parametrize(
    ("transport", "fiber"),
    [
        (Direct(), GLASS),
        (Coded(code="[[4,2,2]]", gate_ps=1000), GLASS),
        (Teleport(visibility=0.9), GLASS),
        (Teleport(scheme="single-click", alpha=0.1, memory_slots=4), GLASS),
        (Teleport(scheme="given", rate_hz=1e4, fidelity=0.8, distillation=Schedule(1)), GLASS),
        (Teleport(scheme="given", rate_hz=1e5, fidelity=0.8), replace(GLASS, bandwidth_bps=1e4)),
        (
            Teleport(scheme="given", rate_hz=1e4, fidelity=0.8, distillation=Schedule(1)),
            replace(GLASS, bandwidth_bps=1e5, classical_delay_s=3e-5),
        ),
    ],
    ids=["direct", "coded", "double", "single", "distilled", "slow bits", "distilled, slow bits"],
)
def test_times_photons_and_pairs_are_those_of_a_stream(transport: Any, fiber: Fiber) -> None:
    compare_with_a_stream(Line(fiber, transport=transport))


@pytest.mark.parametrize("distillation", [None, Schedule(2), Schedule(1, "epl")])
def test_gates_on_pairs_take_as_long_as_in_a_stream(distillation: Schedule | None) -> None:
    """Of Bell measurements, which keep slots busy, of rounds, and of corrections."""
    transport = Teleport(scheme="single-click", alpha=0.2, memory_slots=2, distillation=distillation)
    gates = Gates(10**7, 10**8, 2 * 10**8, 0.01, 0.05, (0.01, 0.04)), Gates(10**8, 10**7, 10**8, 0.05, 0.02)
    line = Line(GLASS, transport=transport, sender_gates=gates[0], receiver_gates=gates[1])
    compare_with_a_stream(line)
    perfect = Line(GLASS, transport=transport)
    assert line.time_ps(1) > 1.02 * perfect.time_ps(1)


def compare_with_a_stream(line: Line) -> None:
    transport, qubits, copies = line.transport, 4, 4000
    time_ps, record = streamed(line, qubits, copies)
    told = cost("x", line, qubits, copies, 1)
    survived = copies * line.survival(qubits)
    # Sums of some 4,000 waits or losses: 4.5 standard errors of a relative 1.3 / sqrt(4000), pairs' own included.
    near = pytest.approx(1.0, abs=4.5 * 1.3 / math.sqrt(copies))
    assert told.time_ps is not None and time_ps / told.time_ps == near
    if told.photons is not None:
        assert record.qubits_sent / survived / told.photons == near
    else:
        assert transport.scheme == "given"  # type: ignore[union-attr]
    assert record.ebits / copies == pytest.approx(told.ebits, rel=0.05)


def test_outcomes_queue_while_the_receiver_s_qubits_decay() -> None:
    """Perfect pairs come at once; three outcomes of two bits at 1 kbit/s take 6 ms, and processing one."""
    fiber = Fiber(length_km=20.0, bandwidth_bps=1e3, classical_delay_s=1e-3)
    transport = Teleport(scheme="given", rate_hz=1e6, fidelity=1.0, memory_slots=3)
    line = Line(fiber, (), Memory(), Memory(t2_ps=1e10), transport, receiver_message_ps=10**9)
    coherent = math.exp(-(6e-3 + 1e-4 + 1e-3 + 1e-3) / 1e-2)
    assert arrived(line, 3, 1, RNG).fidelity == pytest.approx(((1 + coherent) / 2) ** 3, rel=1e-3)
    back = replace(line, receiver_message_ps=0, sender_message_ps=10**9)
    there = math.exp(-(6e-3 + 1e-4 + 1e-3) / 1e-2)
    # The pairs for the way back are made at once: their halves wait in that memory until the register is whole.
    assert arrived(back, 3, 2, RNG).fidelity == pytest.approx(((1 + there * there) / 2) ** 3, rel=1e-3)
    told = cost("x", line, 3, 1000, 1)
    assert told.time_ps == pytest.approx(6e9 + (6e9 + 1e8 + 2e9) / 1000)
    assert line.latency_ps(3) == 6 * 10**9 + 10**8 + 2 * 10**9


def test_crossings_multiply_losses_and_share_machines() -> None:
    """Three crossings with survival p: 1/p^3 begin the first, 1/p^2 the second, 1/p the third."""
    line = Line(GLASS)
    p = line.survival(2)
    told = cost("x", line, 2, 10**9, 3)
    assert told.success == pytest.approx(p**3) and told.attempts == pytest.approx(p**-3)
    assert told.photons == pytest.approx(2 * (p**-3 + p**-2 + p**-1))
    assert told.time_ps == pytest.approx((p**-3 + p**-1) * line.time_ps(2), rel=1e-6)


def test_what_no_float_holds_is_none() -> None:
    told = cost("x", Line(Fiber(length_km=1000.0, loss_db_per_km=0.2, emission_rate_hz=1e6)), 20, 1, 1)
    assert told.success == 0.0 and told.attempts is told.photons is told.time_ps is None
    assert told.refused is not None


def test_distillation_that_never_succeeds_is_refused_and_no_crash() -> None:
    found = answer(Question("trapped-ion", 50.0, qubits=2, t2_s=1e-4))
    bad = [each for each in found.costs if each.time_ps is None or each.refused]
    assert bad and all(each.fidelity <= 1.0 for each in found.costs)


# ---------------------------------------------------------------- the answer and the command


def test_the_recommended_is_the_fastest_of_the_truest_that_would_run() -> None:
    for question in (Question("telecom-fiber", 10.0), Question("oxford-2025"), Question("trapped-ion", 25.0)):
        found = answer(question)
        most = max(each.fidelity for each in found.costs if each.refused is None)
        alike = [each for each in found.costs if each.refused is None and each.fidelity >= most - 0.001]
        assert found.recommended is not None and found.recommended in alike
        assert found.recommended.time_ps == min(each.time_ps or 0 for each in alike)
    for question, kind in (
        (Question("telecom-fiber", 1.0, qubits=2), "direct"),
        (Question("telecom-fiber", 10.0), "coded"),
        (Question("telecom-fiber", 60.0), "teleport"),
    ):
        assert answer(question).recommended.kind == kind  # type: ignore[union-attr]


RECOMMENDED = [
    ("telecom-fiber --length 2", "take coded [[4,2,2]]: the fastest within 0.001 of the highest fidelity."),
    ("ideal --length 1", "take direct: the fastest within 0.001 of the highest fidelity, with the fewest photons."),
    ("oxford-2025", "take teleport, measured, distilled: the highest fidelity, no other within 0.001 of it."),
]


@pytest.mark.parametrize(("asked", "line"), RECOMMENDED)
def test_one_transport_is_recommended_and_why(asked: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["link", *asked.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [told for told in lines if told.startswith("take ")] == [line]
    assert not any(word in told for told in lines for word in ("fastest:", "best fidelity:", "next is"))


def test_where_one_alone_would_run_it_is_recommended() -> None:
    found = answer(Question("telecom-fiber", 10.0))
    refused = [replace(each, refused="too much") for each in found.costs[1:]]
    only = replace(found, costs=(found.costs[0], *refused))
    assert "\ntake direct: a run of any other would be refused.\n" in answer_text(only)
    none = replace(found, costs=tuple(replace(each, refused="too much") for each in found.costs))
    assert none.recommended is None and "\ntake " not in answer_text(none)


def test_a_transport_that_a_run_refuses_is_refused_here() -> None:
    """At 10 km and n = 8 a run of 2,000 copies over three crossings needs too many attempts."""
    direct = answer(Question("telecom-fiber", 10.0, copies=2000, crossings=3)).costs[0]
    assert direct.refused is not None and "above budget_attempts" in direct.refused
    assert answer(Question("telecom-fiber", 10.0, copies=2000, crossings=1)).costs[0].refused is None


def test_memories_are_the_preset_s_unless_said_otherwise() -> None:
    assert Question("trapped-ion", 5.0).memory() == Memory(t2_ps=0.085 * PS_PER_S, gaussian=True)
    assert Question("trapped-ion", 5.0, t2_s=math.inf).memory() == Memory()
    assert Question("color-center", 5.0, t2_s=math.inf).memory() == Memory(t1_ps=3600.0 * PS_PER_S)
    held = answer(Question("trapped-ion", 5.0, t2_s=math.inf)).costs[-2]
    decayed = answer(Question("trapped-ion", 5.0)).costs[-2]
    assert held.fidelity > decayed.fidelity and held.fidelity_error == 0.0 < decayed.fidelity_error


@pytest.mark.parametrize(
    "argv", [("telecom-fiber", "--length", "10"), ("color-center", "--length", "300"), ("harvard-2024",)]
)
def test_the_table_is_narrow_and_aligned(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["link", *argv]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    ends = {found.end() for line in lines if (found := re.search(r" [01]\.[0-9]{4}(?=$|  refused)", line))}
    assert len(ends) == 1, "the fidelities stand one below the other"
    assert any(line.startswith("arrives: ") for line in lines)


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["link", "trapped-ion", "--length", "25", "--slots", "8", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["preset"] == "trapped-ion" and told["length_km"] == 25 and told["slots"] == 8
    assert told["t1_s"] is None and told["t2_s"] == pytest.approx(0.085)
    assert told["recommended"] in [each["transport"] for each in told["transports"]]


def test_the_same_question_has_the_same_answer() -> None:
    question = Question("trapped-ion", 5.0, qubits=3)
    assert answer_text(answer(question)) == answer_text(answer(question))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("rope",), "link: 'rope' given, expected a preset: ideal, telecom-fiber"),
        (("traped-ion",), "color-center, trapped-ion; did you mean trapped-ion?"),
        (("telecom-fiber",), "link: length_km: missing, expected km, as telecom-fiber has no length of its own"),
        (("telecom-fiber", "--length", "-1"), "link: length_km: -1.0 given, expected a number from 0 to 1e+06"),
        (("trapped-ion", "--length", "1e6"), "link: length_km: 1000000.0 given, expected a fiber that a photon can"),
        (("trapped-ion", "--length", "0"), "link: length_km: 0.0 given, expected a length"),
        (("oxford-2025", "--qubits", "0"), "link: qubits: 0 given, expected a number from 1 to 26"),
        (("oxford-2025", "--copies", "0"), "link: copies: 0 given, expected a number from 1 to 1000000000"),
        (("oxford-2025", "--crossings", "101"), "link: crossings: 101 given, expected a number from 1 to 100"),
        (("oxford-2025", "--alpha", "1"), "link: alpha: 1.0 given, expected a number above 0 and below 1"),
        (("oxford-2025", "--slots", "0"), "link: slots: 0 given, expected a number from 1 to 1000000"),
        (("oxford-2025", "--t1-s", "1", "--t2-s", "3"), "link: t2_s: 3.0 given, expected at most 2 T1"),
        (("oxford-2025", "--t2-s", "-3"), "link: t2_s: -3.0 given, expected a finite number above 0"),
        (("oxford-2025", "--length", "nan"), "link: length_km: "),
        (("oxford-2025", "--length", "ten"), "ketwire: link: Invalid value for '--length'"),
    ],
)
def test_bad_questions_are_one_line(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["link", *argv]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err


def test_the_documentation_shows_what_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "links.md").read_text()
    printed = answer_text(answer(Question("telecom-fiber", 10.0, qubits=4, crossings=3)))
    assert "\n".join(f"    {line}" for line in printed.splitlines()) in page


def test_questions_are_checked_when_they_are_made() -> None:
    with pytest.raises(ScenarioError):
        Question("rope")
