"""Nodes that take time and make errors: against one copy at a time, density matrices and closed forms."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels import hardware as descriptions
from ketwire.channels.copies import Copies
from ketwire.channels.hardware import HARDWARE, Hardware, hardware_of, told
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.messages import Arrivals
from ketwire.channels.parts import Memory
from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run
from ketwire.protocols.node import Receive
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.gates import Gate
from ketwire.quantum.noise import mixtures
from ketwire.quantum.noise.density import DensityMatrix
from ketwire.quantum.noise.kraus import decay, depolarize
from ketwire.quantum.noise.lifetimes import dephased
from ketwire.quantum.noise.noisy import duration_ps, gate_error, two_qubit_gates
from ketwire.quantum.noise.readout import confusion
from ketwire.quantum.observables import PauliString, Povm, Projector
from ketwire.scenarios.load import load
from tests.kit import Threads

QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=60)
KEY = b"k" * 32
NONE = np.zeros(0)
COPIES = 30_000
EVERYTHING = Hardware(
    Memory(t1_ps=4e9, t2_ps=3e9), prepare_ps=2_000, gate1_ps=300, gate2_ps=700, readout_ps=5_000,
    p_prepare=0.03, p_gate1=0.02, p_gate2=0.05, p_readout=0.04,
)  # fmt: skip


def node(hardware: Hardware, key: bytes = KEY) -> PartyNode:
    return PartyNode("alice", key, {}, hardware=hardware)


def arrived(state: np.ndarray, ready_ps: Any, lost: Any = None) -> Copies:
    """Copies of one state as a link delivers them."""
    count = len(ready_ps)
    dead = np.zeros(count, bool) if lost is None else np.array(lost)
    return Copies(np.atleast_2d(state), np.zeros(count, np.int64), np.array(ready_ps, np.int64), dead)


def settled(alice: PartyNode, copies: Copies) -> tuple[np.ndarray, ...]:
    """What a send would hand to the link."""
    alice.send("bob", copies)
    return copies.take()


def density(parts: Any) -> np.ndarray:
    """The average state of the living copies."""
    states, row, _, lost = parts
    weights = np.bincount(row[~lost], minlength=len(states))
    return np.asarray(np.einsum("r,ri,rj->ij", weights, states, states.conj()) / weights.sum())


def assert_agrees(parts: Any, expected: DensityMatrix) -> None:
    """Every Pauli string's mean over trajectories within four standard errors of the density matrix's.

    A trajectory's own mean is between -1 and 1, so the variance is at most 1 - mean^2.
    """
    found, copies = density(parts), int((~parts[3]).sum())
    n = expected.qubits
    strings = [np.base_repr(k, 4).zfill(n) for k in range(1, 4**n)]
    operators = {s: circuit_of_string(s, n) for s in strings}
    for operator in operators.values():
        mean = expected.expectation(operator)
        z = (np.einsum("ij,ji->", operator, found).real - mean) / math.sqrt(max(1 - mean**2, 1e-6) / copies)
        assert abs(z) <= 4


def circuit_of_string(string: str, n: int) -> np.ndarray:
    gates = tuple(Gate("xyz"[int(k) - 1], (q,)) for q, k in enumerate(string) if k != "0")
    return Circuit(n, gates).unitary()


# ---------------------------------------------------------------- what gates count as, and how long they last


def test_a_great_gate_counts_as_its_decomposition() -> None:
    assert [two_qubit_gates("dense", n) for n in (1, 2, 3, 4)] == [0, 1, 20, 100]
    for n in range(3, 9):
        assert two_qubit_gates("dense", n) >= (4**n - 3 * n - 1) / 4, "below what is possible"
        assert two_qubit_gates("dense", n) == pytest.approx(23 / 48 * 4**n - 1.5 * 2**n + 4 / 3)
        assert two_qubit_gates("prepare", n) < two_qubit_gates("householder", n) < two_qubit_gates("dense", n)
    assert two_qubit_gates("diagonal", 3) == 6 and two_qubit_gates("phases", 4) == 14
    assert two_qubit_gates("prepare", 3) == two_qubit_gates("unprepare", 3) == 4
    assert gate_error("diagonal", 3, 0.3, 0.1) == pytest.approx(1 - 0.9**6)
    assert (gate_error("rx", 1, 0.3, 0.1), gate_error("cz", 2, 0.3, 0.1)) == (0.3, 0.1)


@st.composite
def circuits(draw: st.DrawFn) -> Circuit:
    qubits = draw(st.integers(1, 4))
    gates: list[Gate] = []
    for _ in range(draw(st.integers(0, 12))):
        width = draw(st.integers(1, min(3, qubits)))
        on = tuple(draw(st.permutations(range(qubits)))[:width])
        if width == 3:
            gates.append(Gate("diagonal", on, payload=np.ones(8)))
        else:
            gates.append(Gate(["ry", "cnot"][width - 1], on, offset=0.3 if width == 1 else 0.0))
    return Circuit(qubits, tuple(gates))


def duration_by_events(circuit: Circuit, gate1_ps: int, gate2_ps: int) -> int:
    """One gate at a time: begin it when the last of those before it on any of its qubits has ended."""
    intervals: list[tuple[set[int], int]] = []
    for gate in circuit.gates:
        begun = max((end for qubits, end in intervals if qubits & set(gate.qubits)), default=0)
        lasts = {1: gate1_ps, 2: gate2_ps, 3: 6 * gate2_ps}[len(gate.qubits)]
        intervals.append((set(gate.qubits), begun + lasts))
    return max((end for _, end in intervals), default=0)


@QUICK
@given(circuit=circuits(), gate1_ps=st.integers(0, 50), gate2_ps=st.integers(0, 50))
def test_circuits_last_as_long_as_one_gate_at_a_time_says(circuit: Circuit, gate1_ps: int, gate2_ps: int) -> None:
    assert duration_ps(circuit, gate1_ps, gate2_ps) == duration_by_events(circuit, gate1_ps, gate2_ps)


# ---------------------------------------------------------------- when copies are ready


class Bench:
    """The oracle: one processor, one copy at a time, in program order."""

    def __init__(self) -> None:
        self.free_ps = 0

    def serve(
        self, ready_ps: list[int], dropped: list[bool], begun_ps: int, service_ps: int, dead: list[bool]
    ) -> list[int]:
        """dead: of those dropped, which it passes over only when they are known to be dead."""
        done, passed_ps = [], 0
        for ready, drop, gone in zip(ready_ps, dropped, dead, strict=True):
            if gone:
                passed_ps = max(passed_ps, ready)
            if not drop:
                self.free_ps = max(self.free_ps, ready, begun_ps, passed_ps) + service_ps
            done.append(ready if drop else self.free_ps)
        self.free_ps = max(self.free_ps, passed_ps)
        return done


TIMES = st.integers(0, 2000)


@QUICK
@given(
    data=st.data(),
    prepare=st.integers(0, 40), gate1=st.integers(0, 30), gate2=st.integers(0, 30), readout=st.integers(1, 60),
)  # fmt: skip
def test_times_are_those_of_one_copy_at_a_time(
    data: st.DataObject, prepare: int, gate1: int, gate2: int, readout: int
) -> None:
    """Batches that are made, forwarded or measured, with losses, clocks that move, and times out of order."""
    alice = node(Hardware(prepare_ps=prepare, gate1_ps=gate1, gate2_ps=gate2, readout_ps=readout))
    bench, circuit = Bench(), layers.hadamards(3) + layers.entangler(3) + layers.diagonal(np.ones(8))
    gates_ps = gate1 + 2 * gate2 + 6 * gate2
    for _ in range(data.draw(st.integers(1, 3))):
        alice.advance(alice.now_ps + data.draw(st.integers(0, 500)))
        begun = alice.now_ps
        count = data.draw(st.integers(1, 6))
        what = data.draw(st.sampled_from(["make", "forward", "measure", "contract"]))
        if what == "make":
            ready, lost, service = [begun] * count, [False] * count, prepare + gates_ps
            copies = alice.prepare(np.eye(1, 8, dtype=complex), np.array([count]))
        else:
            ready = data.draw(st.lists(TIMES, min_size=count, max_size=count))
            lost = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
            service, copies = gates_ps, arrived(np.eye(8)[0], ready, lost)
        copies = alice.apply(circuit, copies, NONE)
        if what == "contract":
            copies = alice.contract(np.eye(8), copies)  # its flag never fires
            service += prepare + 100 * gate2 + readout
        if what != "measure":
            parts = settled(alice, copies)
            assert parts[2].tolist() == bench.serve(ready, lost, begun, service, lost) and parts[3].tolist() == lost
            continue
        most, groups = data.draw(st.integers(0, count)), np.zeros(count, np.int64)
        kept = [place for place in range(count) if not lost[place]][:most]
        dropped = [place not in kept for place in range(count)]
        counts = alice.measure(copies, Projector(0), groups, 1, alice.keep(copies, groups, np.array([most])))
        assert counts.sum() == len(kept)
        # The choice also waits for losses before the last copy that is kept; too few: for all of them.
        last = kept[-1] if len(kept) == most > 0 else count - 1 if most else -1
        dead = [lost[place] and place <= last for place in range(count)]
        done = bench.serve(ready, dropped, begun, service + readout, dead)
        waits = [ready[place] if dropped[place] else done[place] for place in range(last + 1)]
        assert alice.now_ps == max([begun, *waits])


def test_loading_a_vector_takes_its_gates() -> None:
    hardware = Hardware(prepare_ps=5, gate1_ps=7, gate2_ps=11)
    for n, loading in ((1, 7), (2, 11), (3, 44)):
        alice = node(hardware)
        loaded = settled(alice, alice.prepare(layers.haar_state(n, np.random.default_rng(0)), np.array([2])))
        assert loaded[2].tolist() == [5 + loading, 2 * (5 + loading)]
        basis = settled(alice, alice.prepare(np.eye(1, 2**n, dtype=complex), np.array([1])))
        assert basis[2].tolist() == [2 * (5 + loading) + 5]


def test_another_batch_or_a_moved_clock_ends_a_visit() -> None:
    """Copy 0 of the first batch has its second circuit after all copies of what came between."""
    hardware, turn = Hardware(gate1_ps=10), layers.hadamards(1)
    state = np.eye(2)[0]
    together, between, moved = node(hardware), node(hardware), node(hardware)
    first = together.apply(turn, together.apply(turn, arrived(state, [0, 0]), NONE), NONE)
    assert settled(together, first)[2].tolist() == [20, 40]
    first = between.apply(turn, arrived(state, [0, 0]), NONE)
    second = between.apply(turn, arrived(state, [0]), NONE)
    first = between.apply(turn, first, NONE)
    assert settled(between, second)[2].tolist() == [30] and settled(between, first)[2].tolist() == [40, 50]
    first = moved.apply(turn, arrived(state, [0, 0]), NONE)
    moved.advance(100)
    assert settled(moved, moved.apply(turn, first, NONE))[2].tolist() == [110, 120]


def test_the_end_of_the_clock_is_told_before_it_wraps() -> None:
    alice = node(Hardware(readout_ps=1 << 61))
    with pytest.raises(ScenarioError, match=r"nodes\.alice: 3 copies at 2\.3e\+06 s each"):
        alice.measure(arrived(np.eye(2)[0], [0, 0, 0]), Projector(0), np.zeros(3, np.int64), 1)


def test_copies_are_used_once_on_any_hardware() -> None:
    alice = node(EVERYTHING)
    copies = alice.prepare(np.eye(1, 2, dtype=complex), np.array([2]))
    alice.apply(layers.hadamards(1), copies, NONE)
    for again in (lambda: alice.apply(layers.hadamards(1), copies, NONE), lambda: alice.contract(np.eye(2), copies)):
        with pytest.raises(LocalProtocolError, match="used twice"):
            again()


# ---------------------------------------------------------------- errors against density matrices


def depolarized(rho: DensityMatrix, p: float, qubits: tuple[int, ...]) -> DensityMatrix:
    """(1-p) rho + p (those qubits maximally mixed), from one-qubit channels of strength 1 alone."""
    mixed = rho
    for qubit in qubits:
        mixed = mixed.apply_kraus(depolarize(1.0).operators, [qubit])
    return DensityMatrix((1 - p) * rho.matrix + p * mixed.matrix)


def every_layer(rng: np.random.Generator, n: int) -> Circuit:
    vector = rng.normal(size=2**n)
    parts = [
        layers.hardware_efficient(n, 1),
        layers.diagonal(np.exp(1j * rng.normal(size=2**n))),
        layers.householder(vector),
        layers.couplings(n, "xy"),
        layers.dense(layers.random_unitary(n, rng)),
    ]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole + part
    return whole


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("errors", [{"p_gate1": 0.05}, {"p_gate2": 0.004}, {"p_gate1": 0.03, "p_gate2": 0.02}])
def test_gate_errors_average_to_the_density_matrix(n: int, errors: dict[str, float]) -> None:
    rng = np.random.default_rng(n)
    circuit = every_layer(rng, n)
    parameters, state = rng.normal(size=circuit.parameter_count), layers.haar_state(n, rng)
    alice = node(Hardware(**errors))  # type: ignore[arg-type]
    copies = alice.apply(circuit, arrived(state, np.zeros(COPIES)), parameters)
    rho = DensityMatrix.from_states(state)
    for gate in circuit.gates:
        rho = rho.apply(Circuit(n, (gate,), circuit.parameter_count), parameters)
        p = gate_error(gate.name, len(gate.qubits), errors.get("p_gate1", 0.0), errors.get("p_gate2", 0.0))
        rho = depolarized(rho, p, gate.qubits)
    parts = settled(alice, copies)
    assert_agrees(parts, rho)
    assert len(parts[0]) < COPIES, "copies with the same errors share a row"


def test_a_circuit_without_an_error_is_the_noiseless_row() -> None:
    alice, rng = node(Hardware(p_gate2=1e-12)), np.random.default_rng(3)
    circuit = layers.hardware_efficient(4, 3)
    parameters, state = rng.normal(size=circuit.parameter_count), layers.haar_state(4, rng)
    parts = settled(alice, alice.apply(circuit, arrived(state, np.zeros(1000)), parameters))
    perfect = node(Hardware()).apply(circuit, arrived(state, np.zeros(1000)), parameters).take()
    assert parts[0].shape == (1, 16) and np.array_equal(parts[0], perfect[0])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_preparation_errors_in_closed_form(n: int) -> None:
    """Of |0..0> each qubit's <Z> is 1 - p, and strings of k letters Z have (1 - p)^k; a loaded vector is
    depolarized as a whole by its gates too."""
    p, p2 = 0.2, 0.03
    alice = node(Hardware(p_prepare=p, p_gate1=0.1, p_gate2=p2))
    parts = settled(alice, alice.prepare(np.eye(1, 2**n, dtype=complex), np.array([COPIES])))
    found = np.diagonal(density(parts)).real
    ones = np.array([bin(k).count("1") for k in range(2**n)])
    expected = (p / 2) ** ones * (1 - p / 2) ** (n - ones)
    assert np.abs((found - expected) / np.sqrt(expected * (1 - expected) / COPIES)).max() <= 4
    state = layers.haar_state(n, np.random.default_rng(n))
    rho = depolarized(DensityMatrix.from_states(state), gate_error("prepare", n, 0.1, p2), tuple(range(n)))
    for qubit in range(n):
        rho = depolarized(rho, p, (qubit,))
    assert_agrees(settled(alice, alice.prepare(state, np.array([COPIES]))), rho)


def test_a_vector_decays_while_it_is_loaded() -> None:
    memory = Memory(t1_ps=3e5, t2_ps=2e5)
    alice = node(Hardware(memory, prepare_ps=10**6, gate2_ps=20_000))
    state = layers.haar_state(3, np.random.default_rng(6))
    rho = DensityMatrix.from_states(state)
    for qubit in range(3):
        rho = rho.apply_kraus(decay(4 * 20_000, *memory.constants).operators, [qubit])
    assert_agrees(settled(alice, alice.prepare(state, np.array([COPIES]))), rho)


def test_readout_errors_in_closed_form() -> None:
    p, groups = 0.2, np.zeros(COPIES, np.int64)
    state = np.array([0.6, 0.8], dtype=complex)
    for observable, chance in ((Projector(0), 0.36), (PauliString("X"), 0.98)):
        zeros = node(Hardware(p_readout=p)).measure(arrived(state, groups), observable, groups, 1)[0, 0]
        expected = chance * (1 - p) + (1 - chance) * p
        assert abs(zeros - COPIES * expected) <= 4 * math.sqrt(COPIES * expected * (1 - expected))
    povm = Povm([np.eye(4)[[k]] for k in range(4)] + [np.zeros((1, 4))])  # five outcomes, three bits
    counts = node(Hardware(p_readout=p)).measure(arrived(np.eye(4)[2], groups), povm, groups, 1)[0]
    expected = flipped_bits(5, p)[2]
    assert np.abs((counts - COPIES * expected) / np.sqrt(COPIES * expected * (1 - expected))).max() <= 4


def flipped_bits(outcomes: int, p: float) -> np.ndarray:
    """P(reported | measured), flip pattern by flip pattern."""
    bits = math.ceil(math.log2(outcomes))
    table = np.zeros((outcomes, outcomes))
    for measured in range(outcomes):
        for flips in range(2**bits):
            chance = math.prod(p if flips >> bit & 1 else 1 - p for bit in range(bits))
            if measured ^ flips < outcomes:
                table[measured, measured ^ flips] += chance
            else:
                table[measured] += chance / outcomes
    return table


@QUICK
@given(outcomes=st.integers(1, 20), p=st.floats(0, 1))
def test_each_bit_of_an_outcome_flips_by_itself(outcomes: int, p: float) -> None:
    table = confusion(outcomes, p)
    assert (table >= 0).all() and np.allclose(table, flipped_bits(outcomes, p), rtol=0, atol=1e-14)
    assert np.array_equal(confusion(outcomes, 0.0), np.eye(outcomes))


def contraction_oracle(hardware: Hardware, M: np.ndarray, state: np.ndarray) -> tuple[float, DensityMatrix]:
    """P(the flag reads 0) and the state then, from the flag's density matrix and the dilation's."""
    n = len(state).bit_length() - 1
    flag = np.diag([1 - hardware.p_prepare / 2, hardware.p_prepare / 2])
    rho = DensityMatrix(np.kron(flag, np.outer(state, state.conj()))).apply(Contraction(M).circuit())
    rho = depolarized(rho, gate_error("dense", n + 1, hardware.p_gate1, hardware.p_gate2), tuple(range(n + 1)))
    size, p = 2**n, hardware.p_readout
    read = (1 - p) * rho.matrix[:size, :size] + p * rho.matrix[size:, size:]
    chance = float(np.trace(read).real)
    return chance, DensityMatrix(read / chance)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "errors", [{}, {"p_prepare": 0.2}, {"p_gate2": 0.01}, {"p_readout": 0.15}, {"p_gate2": 0.02, "p_readout": 0.1}]
)
def test_a_contraction_errs_in_its_flag_too(n: int, errors: dict[str, float]) -> None:
    hardware, rng = Hardware(Memory(t2_ps=1e18), **errors), np.random.default_rng(n)  # type: ignore[arg-type]
    M = rng.normal(size=(2**n, 2**n))
    M *= 0.9 / np.linalg.norm(M, 2)
    state = layers.haar_state(n, rng)[0]
    alice = node(hardware)
    parts = settled(alice, alice.contract(M, arrived(state, np.zeros(COPIES))))
    chance, rho = contraction_oracle(hardware, M, state)
    living = int((~parts[3]).sum())
    assert abs(living - COPIES * chance) <= 4 * math.sqrt(COPIES * chance * (1 - chance))
    assert_agrees(parts, rho)


@pytest.mark.parametrize("hardware", [EVERYTHING, Hardware(Memory(t1_ps=1e6))])
def test_what_a_contraction_leaves_nothing_of_is_dead_and_harms_nobody(hardware: Hardware) -> None:
    """Basis state 1 is in the kernel. On hardware that errs some copies of it survive, as unit vectors."""
    hardware = replace(hardware, gate2_ps=1_000)
    for only in (False, True):
        alice = node(hardware)
        copies = alice.prepare(np.eye(2, dtype=complex), np.array([0 if only else 500, 500]))
        states, _, _, lost = settled(alice, alice.contract(np.diag([1.0, 0.0]), copies))
        assert np.allclose(np.linalg.norm(states, axis=1), 1)
        assert lost[-500:].sum() > 350 and (only or lost[:500].sum() < 150)
        assert hardware.p_gate2 > 0 or lost[-500:].all()


def test_perfect_hardware_loads_no_processor() -> None:
    code = """if True:
        import sys
        from ketwire.channels.hardware import Hardware
        from ketwire.nodes.party import PartyNode
        PartyNode("alice", bytes(32), {}, hardware=Hardware())
        assert not {"ketwire.nodes.processor", "ketwire.quantum.noise.noisy"} & set(sys.modules)
        PartyNode("alice", bytes(32), {}, hardware=Hardware(p_gate1=0.1))
        assert "ketwire.nodes.processor" in sys.modules
        assert not {"numba", "scipy", "sklearn", "pydantic"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_registers_decay_while_they_wait_and_while_they_are_worked_on() -> None:
    """The third of three copies that arrive together waits for two; each then has its circuit's duration."""
    memory = Memory(t1_ps=3e3, t2_ps=2e3)
    hardware, circuit = Hardware(memory, gate1_ps=400), layers.hadamards(2)
    state, groups = layers.haar_state(2, np.random.default_rng(5)), COPIES // 3
    alice, come_ps = node(hardware), 1200 * np.repeat(np.arange(groups), 3)
    states, row, ready_ps, lost = settled(alice, alice.apply(circuit, arrived(state, come_ps), NONE))
    assert (ready_ps - come_ps).tolist() == [400, 800, 1200] * groups
    rho = DensityMatrix.from_states(state)
    for qubit in range(2):
        rho = rho.apply_kraus(decay(800, *memory.constants).operators, [qubit])
    rho = rho.apply(circuit)
    for qubit in range(2):
        rho = rho.apply_kraus(decay(400, *memory.constants).operators, [qubit])
    assert_agrees((states, row[2::3], ready_ps, lost[2::3]), rho)


def test_survivors_of_a_contraction_decay_while_their_flag_is_made_and_read() -> None:
    """The identity never fires the flag, and on three qubits with it takes the gates of a dense one."""
    memory, state = Memory(t1_ps=8e6, t2_ps=5e6), layers.haar_state(2, np.random.default_rng(6))
    hardware = Hardware(memory, prepare_ps=1_000, gate2_ps=30_000, readout_ps=500_000)
    lasts_ps = 1_000 + two_qubit_gates("dense", 3) * 30_000 + 500_000
    alice = node(hardware)
    come_ps = 10**7 * np.arange(COPIES)  # nobody waits for a turn
    states, row, ready_ps, lost = settled(alice, alice.contract(np.eye(4), arrived(state, come_ps)))
    assert not lost.any() and (ready_ps - come_ps == lasts_ps).all()
    rho = DensityMatrix.from_states(state)
    for qubit in range(2):
        rho = rho.apply_kraus(decay(lasts_ps, *memory.constants).operators, [qubit])
    assert_agrees((states, row, ready_ps, lost), rho)


def test_fresh_registers_wait_for_nobody() -> None:
    """A hundred in a row, each made when its turn comes: all decay for their own circuit alone."""
    memory = Memory(t2_ps=1e6)
    alice = node(Hardware(memory, prepare_ps=10_000, gate1_ps=200_000))
    copies = alice.prepare(np.eye(1, 2, dtype=complex), np.array([COPIES]))
    parts = settled(alice, alice.apply(layers.hadamards(1), copies, NONE))
    assert parts[2].tolist() == [210_000 * (k + 1) for k in range(COPIES)]
    rho = DensityMatrix.from_states(np.array([[1, 1]]) / math.sqrt(2))
    assert_agrees(parts, rho.apply_kraus(decay(200_000, *memory.constants).operators, [0]))


def test_registers_decay_until_the_program_turns_to_them() -> None:
    """Without a processor that takes time: what came at 0 and is sent on, or worked on, at 10^6 ps."""
    memory = Memory(t2_ps=1e6)
    state = np.array([[1, 1]], dtype=complex) / math.sqrt(2)
    rho = DensityMatrix.from_states(state).apply_kraus(decay(1e6, *memory.constants).operators, [0])
    for work in (False, True):
        alice, copies = node(Hardware(memory)), arrived(state, np.zeros(COPIES))
        alice.advance(1_000_000)
        if work:
            copies = alice.apply(Circuit(1, ()), copies, NONE)
        parts = settled(alice, copies)
        assert set(parts[2].tolist()) == {1_000_000}
        assert_agrees(parts, rho)


# ---------------------------------------------------------------- whole runs


NODES = {
    "hardware": "trapped-ion", "t1_s": 1.0, "prepare_s": 1e-5, "p_prepare": 0.01, "p_gate1": 0.005, "p_gate2": 0.02,
    "p_readout": 0.02,
}  # fmt: skip


def run_of(alice: dict[str, Any], bob: dict[str, Any], name: str = "two-layer-inference") -> Run:
    sets = [f"nodes.alice={json.dumps(alice)}", f"nodes.bob={json.dumps(bob)}", "protocol.dense_state=null"]
    sets += ["links.0.length_km=0.5", "protocol.epsilon=null", "protocol.delta=null", "protocol.copies=300"]
    return load(name, sets).run()


@pytest.mark.long
def test_inline_and_processes_give_one_transcript_and_hardware_another() -> None:
    run = run_of(NODES, {"hardware": "color-center", "gate2_s": 1e-4, "p_gate2": 0.01})
    inline = run_inline(run)[0]
    assert run_processes(run)[0].transcript_sha256 == inline.transcript_sha256
    assert Threads(run).conduct()[0].transcript_sha256 == inline.transcript_sha256
    ideal = run_inline(run_of({}, {}))[0]
    assert ideal.transcript_sha256 != inline.transcript_sha256
    assert ideal.virtual_time_ps < inline.virtual_time_ps


def test_contractions_give_one_transcript_too() -> None:
    matrix = {"values": np.diag(np.linspace(0.5, 1.0, 16)).tolist()}
    layer = {"at": "alice", "layer": "contraction", "matrix": matrix}
    sets = [f"nodes.alice={json.dumps(NODES)}", "nodes.bob={hardware: trapped-ion}", "protocol.dense_state=null"]
    sets += ["protocol.epsilon=null", "protocol.delta=null", "protocol.copies=60", "links.0.length_km=0"]
    run = load("two-layer-inference", [*sets, f"protocol.layers.1={json.dumps(layer)}"]).run()
    inline = run_inline(run)[0]
    assert Threads(run).conduct()[0].transcript_sha256 == inline.transcript_sha256


PERTURBED: dict[str, Any] = {
    "memory.t1_ps": 1.6e9, "memory.t2_ps": 4e8, "memory.gaussian": True,
    "prepare_ps": 2_500, "gate1_ps": 400, "gate2_ps": 900,
    "readout_ps": 6_000, "p_prepare": 0.2, "p_gate1": 0.2, "p_gate2": 0.3, "p_readout": 0.3,
    "message_ps": 700,
}  # fmt: skip


def whole(hardware: Hardware) -> tuple[list[list[int]], int, str]:
    """Counts, final clock and transcript of a program that does a little of everything."""
    alice = node(hardware)
    alice.accept(Receive("bob", Arrivals), Arrivals(np.array([1])), 0)
    copies = alice.prepare(np.eye(1, 8, dtype=complex), np.array([4000]))
    circuit = layers.hardware_efficient(3, 2)
    copies = alice.apply(circuit, copies, np.linspace(0, 3, circuit.parameter_count))
    alice.send("bob", copies)
    back = Direction("bob->alice", Line(), KEY).carry(copies, 0).message
    assert isinstance(back, Copies)
    back = alice.apply(layers.hadamards(3), back, NONE)
    counts = alice.measure(back, Projector(0), np.zeros(4000, np.int64), 1)
    return counts.tolist(), alice.now_ps, alice.transcript.end().digest


@pytest.mark.parametrize("name", PERTURBED)
def test_every_number_changes_what_comes_out(name: str) -> None:
    assert set(PERTURBED) == {f.name for f in fields(Hardware) if f.name != "memory"} | {
        f"memory.{f.name}" for f in fields(Memory) if f.name != "attempts"  # of halves of pairs alone
    }
    head, _, tail = name.partition(".")
    value = PERTURBED[name]
    changed = replace(EVERYTHING, **{head: replace(EVERYTHING.memory, **{tail: value}) if tail else value})
    counts, clock_ps, digest = whole(EVERYTHING)
    other_counts, other_ps, other_digest = whole(changed)
    assert digest != other_digest
    if name.endswith("_ps") and not tail:
        assert other_ps > clock_ps
    else:
        assert other_ps == clock_ps and other_counts != counts


# ---------------------------------------------------------------- descriptions and refusals


@pytest.mark.parametrize(
    "hardware", [*(preset.hardware for preset in HARDWARE.values()), EVERYTHING, Hardware(p_readout=(0.1, 0.2))]
)
def test_hardware_travels_as_json(hardware: Hardware) -> None:
    assert hardware_of(json.loads(json.dumps(told(hardware)))) == hardware


def test_presets_have_sources_and_the_published_numbers() -> None:
    assert HARDWARE["ideal"].hardware.is_perfect
    ion, center = HARDWARE["trapped-ion"], HARDWARE["color-center"]
    assert all("2207.10579" in preset.source for preset in (ion, center))
    assert ion.hardware == Hardware(
        Memory(t2_ps=0.085e12, gaussian=True), prepare_ps=36_000_000, gate1_ps=26_600_000, gate2_ps=107_000_000,
        readout_ps=1_500_000_000, p_gate1=0.02, p_gate2=0.1,
    )  # fmt: skip
    assert center.hardware == Hardware(
        Memory(t1_ps=3600e12, t2_ps=0.5e12), prepare_ps=300_000_000, gate1_ps=20_000_000, gate2_ps=500_000_000,
        readout_ps=3_700_000, p_prepare=0.02, p_gate1=0.01, p_gate2=0.06, p_readout=(0.07, 0.005),
    )  # fmt: skip
    time, t2 = 10e9, ion.hardware.memory.constants[1]
    assert math.exp(-dephased(time, math.inf, t2)) == pytest.approx(0.986, abs=5e-4), "after 10 ms, as published"


@pytest.mark.parametrize("name", HARDWARE)
def test_each_number_of_a_preset_has_a_source(name: str) -> None:
    preset, perfect = HARDWARE[name], Hardware()
    keys = (*descriptions.TIMES, *descriptions.ERRORS)
    said = {key for key in keys if getattr(preset.hardware, key) != getattr(perfect, key)}
    memory = preset.hardware.memory
    said |= {key for key in ("t1_ps", "t2_ps") if getattr(memory, key) is not None}
    shape = {"t2_shape"} if memory.gaussian else set()
    assert preset.sources.keys() == {key.replace("_ps", "_s") for key in said} | shape
    assert all(preset.sources.values())


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prepare_ps": -1}, "^prepare_ps: -1 given"),
    ({"gate1_ps": 0.5}, "^gate1_ps: 0.5 given, expected whole picoseconds"),
    ({"readout_ps": 1 << 62}, "^readout_ps: "),
    ({"p_gate2": 1.5}, "^p_gate2: 1.5 given, expected a probability"),
    ({"p_prepare": -0.1}, "^p_prepare: "),
    ({"p_readout": float("nan")}, "^p_readout: nan given"),
]


@pytest.mark.parametrize(("given_", "message"), WRONG)
def test_hardware_that_cannot_be_is_refused(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hardware(**given_)


REFUSED = [
    ("{hardware: abacus}", 'nodes.alice.hardware: "abacus" given, expected a preset: ideal, trapped-ion, color-center'),
    ("{hardware: traped-ion}", "trapped-ion, color-center; did you mean trapped-ion?"),
    ("{p_gate1: 1.5}", "nodes.alice.p_gate1: 1.5 given, expected at most 1"),
    ("{p_readout: -0.1}", "nodes.alice.p_readout: -0.1 given, expected at least 0"),
    ("{gate2_s: -1e-6}", "nodes.alice.gate2_s: -1e-06 given, expected at least 0"),
    ("{readout_s: 1.0e+7}", "nodes.alice.readout_s: 10000000.0 given, expected whole picoseconds"),
    ("{prepare_s: null}", "nodes.alice.prepare_s: null given, expected a number"),
    ("{t1_s: 1.0, t2_s: 3.0}", "nodes.alice.t2_s: 3.0 given, expected at most 2 T1"),
    ("{hardware: ideal, t2_shape: gaussian}", 'nodes.alice.t2_shape: "gaussian" given, expected t2_s beside it'),
    ("{hardware: trapped-ion, t1_s: 0.01}", "nodes.alice.t2_s: 0.085 given, expected at most 2 T1"),
    ("{t2_s: 0}", "nodes.alice.t2_s: 0 given, expected above 0"),
]


@pytest.mark.parametrize(("alice", "message"), REFUSED)
def test_nodes_that_cannot_be_are_refused_in_one_line(alice: str, message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        load("two-layer-inference", [f"nodes.alice={alice}"])
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_resolved_scenario_holds_all_numbers_and_loads_to_the_same(tmp_path: Any) -> None:
    sets = ["nodes.alice={hardware: trapped-ion, t2_s: null, gate1_s: 1.23e-5}", "nodes.bob={t1_s: 0.3}"]
    loaded = load("two-layer-inference", sets)
    path = tmp_path / "resolved.yaml"
    path.write_text(loaded.resolved())
    again = load(str(path))
    assert again.run().hardware == loaded.run().hardware
    ion = replace(HARDWARE["trapped-ion"].hardware, memory=Memory(), gate1_ps=12_300_000)
    assert loaded.run().hardware == {"alice": ion, "bob": Hardware(Memory(t1_ps=0.3e12))}
    assert again.scenario.nodes["alice"].model_fields_set > {"t1_s", "gate2_s", "p_readout"}


def test_density_matrices_meet_the_average_of_the_hardware_s_errors() -> None:
    """The same run in both representations: preparation, gates on one, two and more qubits, flag and readout."""
    hardware = Hardware(p_prepare=0.04, p_gate1=0.02, p_gate2=0.05, p_readout=0.03)
    rng = np.random.default_rng(5)
    circuit = layers.rotations(2, "yx") + layers.entangler(2, "cz-chain")
    shrink = 0.9 * layers.random_unitary(2, rng)
    wide = layers.rotations(3) + layers.entangler(3, "cnot-ring") + layers.dense(layers.random_unitary(3, rng))
    for gates, contracted in ((circuit, True), (wide, False)):
        state = layers.haar_state(gates.qubits, rng)
        angles = rng.uniform(0, 6, gates.parameter_count)
        shares = []
        for mixed, copies in ((False, 40_000), (True, 40_000)):
            alice = node(hardware, bytes([mixed] * 32))
            batch = alice.apply(gates, alice.prepare(state, np.array([copies]), mixed=mixed), angles)
            if contracted:
                batch = alice.contract(shrink, batch)
            alive = int(batch.alive.sum())
            counts = alice.measure(batch, Projector(0), np.zeros(copies, np.int64), 1)
            assert counts.sum() == alive
            shares.append((counts[0, 0] / alive, alive / copies))
        for first, second in zip(*shares, strict=True):
            spread = np.sqrt(2 * max(first * (1 - first), 1e-4) / 30_000)
            assert abs(first - second) <= 4.5 * spread


def test_joint_depolarizing_is_the_uniform_mixture_of_pauli_strings() -> None:
    rng = np.random.default_rng(3)
    rho = mixtures.mixed(layers.haar_state(3, rng, rows=2))
    for qubits in ((1,), (2, 0), (0, 1, 2)):
        weights = np.full(4 ** len(qubits), 0.3 / 4 ** len(qubits))
        weights[0] += 0.7
        oracle, _ = mixtures.apply_joint_paulis(rho, np.arange(2), weights, qubits)
        assert np.allclose(mixtures.depolarize_jointly(rho, 0.3, qubits), oracle, atol=1e-14)


@pytest.mark.parametrize("outcomes", [2, 8, 6, 32])
def test_a_one_and_a_zero_may_be_read_differently_well(outcomes: int) -> None:
    """The table of all patterns of flips, bit by bit; two values that are alike are one."""
    p01, p10 = 0.1, 0.3
    bits = (outcomes - 1).bit_length()
    law = np.random.default_rng(1).dirichlet(np.ones(outcomes))
    expected = np.zeros(1 << bits)
    for measured, reported in np.ndindex(outcomes, 1 << bits):
        chance = law[measured]
        for bit in range(bits):
            was, told_ = measured >> bit & 1, reported >> bit & 1
            wrong = p10 if was else p01
            chance *= 1 - wrong if was == told_ else wrong
        expected[reported] += chance
    expected = expected[:outcomes] + expected[outcomes:].sum() / outcomes
    np.testing.assert_allclose(law @ confusion(outcomes, (p01, p10)), expected, atol=1e-14)
    reports = node(Hardware(p_readout=(p01, p10)))._processor.reported(law[None])  # type: ignore[union-attr]
    np.testing.assert_allclose(reports[0], expected, atol=1e-14)
    assert Hardware(p_readout=(0.2, 0.2)) == Hardware(p_readout=0.2)


def test_single_bits_are_read_wrongly_by_what_they_were() -> None:
    alice = node(Hardware(p_readout=(0.1, 0.3)))
    bits = np.repeat([[0], [1]], 20_000, axis=0)
    read = alice._processor.reported_bits(bits)  # type: ignore[union-attr]
    for was, wrong in ((0, 0.1), (1, 0.3)):
        found = (read[bits == was] != was).mean()
        assert abs(found - wrong) < 4.5 * math.sqrt(wrong * (1 - wrong) / 20_000)
