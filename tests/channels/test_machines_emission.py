"""Decay while a register leaves and arrives, qubit by qubit: closed forms, and `ketwire link` beside runs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.distill import Schedule
from ketwire.channels.eve import InterceptResend
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Gates, Memory, Noise
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.planning.fidelity import arrived
from ketwire.channels.planning.representation import chosen, differing, expected_rows
from ketwire.channels.presets import PRESETS
from ketwire.channels.timing import emission
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.quantum.noise import mixtures
from ketwire.quantum.noise.kraus import PAULIS, decay, twirled_decay
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.scenarios.kinds.bias import bias
from ketwire.scenarios.linkcost import Question, _lines, answer
from ketwire.scenarios.load import load
from tests.kit import rarely

BIN_PS = 1_000_000
SLOW = Fiber(emission_rate_hz=1e6)
FADING = Memory(t2_ps=5e6)
EIGENSTATES = np.array([[1, 0], [0, 1], [1, 1], [1, -1], [1, 1j], [1, -1j]]) / np.sqrt([[1], [1], [2], [2], [2], [2]])


def sent(line: Line, kets: np.ndarray, row: np.ndarray, key: bytes = b"k" * 32) -> tuple[np.ndarray, np.ndarray]:
    """The density matrices of the fresh copies that arrive, and which copies these are."""
    copies = len(row)
    states = mixtures.mixed(kets.astype(np.complex128))
    batch = Copies(states, row, np.zeros(copies, np.int64), np.zeros(copies, np.bool_), fresh=True)
    delivery = Direction("a->b", line, key).carry(batch, 0)
    assert isinstance(delivery.message, Copies)
    rho, now, _, lost = delivery.message.take()
    return rho[now[~lost]], np.flatnonzero(~lost)


def plus(qubits: int, copies: int) -> Copies:
    none = np.zeros(copies, np.int64)
    ket = np.full((1, 1 << qubits), 2.0 ** (-qubits / 2), dtype=np.complex128)
    return Copies(ket, none, none, np.zeros(copies, np.bool_), fresh=True)


# ---------------------------------------------------------------- how long each qubit waits


@pytest.mark.parametrize(("qubits", "in_a_block", "photons"), [(1, 1, 1), (4, 1, 1), (5, 2, 4), (3, 1, 7), (4, 2, 4)])
def test_waits_are_those_of_a_walk_bin_by_bin(qubits: int, in_a_block: int, photons: int) -> None:
    """In each bin one photon leaves; a block is decoded at the end of its last bin, all wait for the last block."""
    lead_ps, clock, left, decoded = 300, 0, {}, {}
    blocks = [range(start, min(start + in_a_block, qubits)) for start in range(0, qubits, in_a_block)]
    for block in blocks:
        left |= dict.fromkeys(block, clock)
        clock += photons * BIN_PS
        decoded |= dict.fromkeys(block, clock)
    turn = emission(qubits, BIN_PS, in_a_block, photons, lead_ps)
    fresh, queued = turn.waits(), turn.waits(np.array([300, 1000]))
    for qubit in range(qubits):
        assert fresh.sender_ps[0, qubit] == left[qubit] + lead_ps
        assert queued.sender_ps[:, qubit].tolist() == [left[qubit] + 300, left[qubit] + 1000]
        assert fresh.receiver_ps[0, qubit] == queued.receiver_ps[0, qubit] == clock - decoded[qubit]


@pytest.mark.parametrize("sender", [Memory(), FADING, Memory(t1_ps=4e6, t2_ps=3e6)])
@pytest.mark.parametrize("receiver", [Memory(), Memory(t1_ps=7e6)])
@pytest.mark.parametrize("noise", [(), (Noise("amplitude-damping", 0.2),)])
def test_a_register_decays_bin_by_bin(sender: Memory, receiver: Memory, noise: tuple[Noise, ...]) -> None:
    line = Line(SLOW, noise, sender, receiver)
    ket = np.kron(np.kron([0.6, 0.8j], [0.8, -0.6]), [0.28, 0.96])[None]
    found, _ = sent(line, ket, np.zeros(40, np.int64))
    rho = mixtures.mixed(ket)
    for qubit in range(3):
        rho = density_channel(rho, decay(qubit * BIN_PS, *sender.constants), [qubit])
        if noise:
            rho = density_channel(rho, line.channel(), [qubit])  # type: ignore[arg-type]
        rho = density_channel(rho, decay((2 - qubit) * BIN_PS, *receiver.constants), [qubit])
    assert np.abs(found - rho).max() < 1e-12


def test_trajectories_of_a_register_that_relaxes_average_to_its_density_matrix() -> None:
    """Entries within 4.5 standard errors. All wait alike, so histories that are the same share a row."""
    line, copies = Line(SLOW, (), Memory(t1_ps=4e6, t2_ps=3e6), Memory(t1_ps=2e6)), 40_000
    ket = np.kron([0.6, 0.8j], [0.8, -0.6])[None].astype(np.complex128)
    none = np.zeros(copies, np.int64)
    message = Direction("a->b", line, b"k" * 32).carry(Copies(ket, none, none, none > 0, fresh=True), 0).message
    assert isinstance(message, Copies)
    states, row, _, _ = message.take()
    assert len(states) <= 12
    mean = np.einsum("r,ri,rj->ij", np.bincount(row), states, states.conj()) / copies
    exact, _ = sent(line, ket, np.zeros(1, np.int64))
    assert np.abs(mean - exact[0]).max() < 4.5 * 0.5 * math.sqrt(2.0 / copies)


def test_what_an_eavesdropper_resends_waits_at_the_receiver() -> None:
    """|111> measured in Z stays |111>; each qubit relaxes for two bins in all, at one end or the other."""
    memory = Memory(t1_ps=5e6)
    line, copies = Line(SLOW, (), memory, memory, eve=InterceptResend(1.0, "z")), 20_000
    none, ket = np.zeros(copies, np.int64), np.eye(1, 8, 7, dtype=np.complex128)
    message = Direction("a->b", line, b"k" * 32).carry(Copies(ket, none, none, none > 0, fresh=True), 0).message
    assert isinstance(message, Copies)
    states, row, _, _ = message.take()
    chance, found = math.exp(-2 * BIN_PS / 5e6) ** 3, (np.abs(states[row][:, 7]) ** 2).mean()
    assert abs(found - chance) < 4.5 * math.sqrt(chance * (1 - chance) / copies)


# ---------------------------------------------------------------- codes


def test_random_frames_make_relaxation_its_twirl() -> None:
    rho = mixtures.mixed(np.array([[0.6, 0.8j]]))[0]
    channel = decay(3e6, 4e6, 5e6)
    framed = [P @ density_channel((P @ rho @ P)[None], channel, [0])[0] @ P for P in PAULIS]
    weights = twirled_decay(3e6 / 4e6, 3e6 / 5e6)
    expected = sum(w * P @ rho @ P for w, P in zip(weights, PAULIS, strict=True))
    assert np.abs(np.mean(framed, axis=0) - expected).max() < 1e-12 and abs(weights.sum() - 1) < 1e-15


def test_photons_of_a_block_and_other_blocks_wait() -> None:
    """[[4,2,2]]: an odd number of Z is detected and the block is lost; of two, each of three pairs of strings is
    Z on the first logical qubit, on the second, or on both. Two blocks: a qubit waits bare while the other leaves."""
    line, copies = Line(SLOW, (), FADING, FADING, Coded(code="[[4,2,2]]")), 3000
    p = (1 - math.exp(-3 * BIN_PS / FADING.t2_ps)) / 2  # type: ignore[operator]
    q = 1 - p
    success = q**4 + 6 * q**2 * p**2 + p**4
    assert line.survival(4) == pytest.approx(success**2, abs=1e-12)
    found, which = sent(line, np.full((1, 16), 0.25), np.zeros(copies, np.int64))
    assert abs(len(which) - copies * success**2) < 4.5 * math.sqrt(copies * success**2 * (1 - success**2))
    flipped = (1 - math.exp(-4 * BIN_PS / FADING.t2_ps)) / 2  # type: ignore[operator]
    same, other = (q**4 + p**4) / success, 2 * q**2 * p**2 / success
    bare = [(1 - flipped) ** 2, flipped * (1 - flipped), flipped * (1 - flipped), flipped**2]
    block = same * bare[0] + other * sum(bare[1:])
    plus = np.full(16, 0.25)
    assert np.abs(np.einsum("i,kij,j->k", plus, found, plus) - block**2).max() < 1e-12


def test_each_photon_has_the_noise_of_its_place() -> None:
    """Behind one end that decays: photon p waits p bins at the sender, or m - 1 - p at the receiver."""
    transport = Coded(code="[[5,1,3]]")
    first = transport.photon_weights(Line(SLOW, (Noise("bit-flip", 0.1),), FADING, Memory(), transport))
    second = transport.photon_weights(Line(SLOW, (Noise("bit-flip", 0.1),), Memory(), FADING, transport))
    assert len(first) == 5 and first == second[::-1]
    for place, weights in enumerate(first):
        p = (1 - math.exp(-place * BIN_PS / 5e6)) / 2
        assert weights == pytest.approx((0.9 * (1 - p), 0.1 * (1 - p), 0.1 * p, 0.9 * p), abs=1e-15)
    alike = transport.photon_weights(Line(SLOW, (), FADING, FADING, transport))
    p = (1 - math.exp(-4 * BIN_PS / 5e6)) / 2
    assert alike == pytest.approx((1 - p, 0.0, 0.0, p), abs=1e-15) and alike[1] == 0.0


SCENARIO = """\
seed: 1
nodes: {alice: {t2_s: 1.0e-3}, bob: {t2_s: 1.0e-3}}
links: [{between: [alice, bob], fiber: ideal, length_km: 1, emission_rate_hz: 100.0}]
protocol:
  kind: inference
  qubits: 4
  start: alice
  copies: 200
  dense_state: null
  layers: [{at: alice, layer: hadamards}, {at: bob, layer: hadamards}]
"""


def noisy(path: Path, *settings: str) -> float:
    loaded = load(str(path), list(settings))
    run = loaded.run()
    run_inline(run)
    found = bias(loaded, run, 1.0).noisy
    assert found is not None
    return found.expectation


def scenario(folder: Path, text: str = SCENARIO) -> Path:
    path = folder / "own-emission.yaml"
    path.write_text(text)
    return path


def test_the_noisy_expectation_knows_of_own_emission(tmp_path: Path) -> None:
    """Qubit 0 measured: it waits three bins of 10 ms, in memories of 1 ms, and of 100 ms."""
    path = scenario(tmp_path)
    assert noisy(path) == pytest.approx((1 + math.exp(-30)) / 2, abs=1e-12)
    slow = [f"nodes.{name}.t2_s=0.1" for name in ("alice", "bob")]
    assert noisy(path, *slow) == pytest.approx((1 + math.exp(-0.3)) / 2, abs=1e-12)
    # It is first to leave: it waits at the receiver alone.
    assert noisy(path, slow[0], "nodes.bob.t2_s=null") == pytest.approx(1.0, abs=1e-12)
    assert noisy(path, "nodes.alice.t2_s=null", slow[1]) == pytest.approx((1 + math.exp(-0.3)) / 2, abs=1e-12)


def test_a_code_that_cannot_be_worked_out_between_these_memories_is_refused(tmp_path: Path) -> None:
    settings = ["links.0.transport=coded", 'links.0.code="qpc(3,4)"', "nodes.bob.t2_s=2e-3"]
    with pytest.raises(ScenarioError, match=r"links\.0\.code: .*qpc\(3,4\).* given, expected the same t1_s and t2_s"):
        load(str(scenario(tmp_path)), settings)
    assert load(str(scenario(tmp_path)), settings[:2]).run()


# ---------------------------------------------------------------- the plan


def test_copies_that_wait_alike_share_a_matrix() -> None:
    memory, copies = Line(SLOW, (), FADING, FADING), 10_000
    coded = replace(memory, transport=Coded(code="[[4,2,2]]"))
    for line in (memory, coded):
        assert differing([Crossing("a-b", line, 8)]) is None
        # At another crossing they come one by one, and may wait for the emitter.
        assert differing([Crossing("a-b", line, 8)] * 2) == "a-b"
    assert chosen([Crossing("a-b", memory, 8)], 8, copies) == "density"
    assert chosen([Crossing("a-b", replace(memory, fiber=Fiber()), 8)], 8, copies) == "trajectories"


@pytest.mark.parametrize("transport", [Direct(), Coded(code="[[5,1,3]]")])
def test_rows_are_as_many_as_expected(transport: Direct | Coded) -> None:
    """Within five standard errors, of which the variance of a sum of rare rows is a bound."""
    line, copies = Line(SLOW, (), Memory(t2_ps=2e7), Memory(t2_ps=2e7), transport), 3000
    message = Direction("a->b", line, b"k" * 32).carry(plus(4, copies), 0).message
    assert isinstance(message, Copies)
    expected = expected_rows([Crossing("a-b", line, 4)], copies)
    assert expected > 10 and abs(len(message.take().states) - expected) < 5 * math.sqrt(expected)


# ---------------------------------------------------------------- `ketwire link` beside runs


def reading(qubits: int) -> tuple[np.ndarray, np.ndarray]:
    """All products of Pauli eigenstates, and what to measure of each so that the mean is the entanglement fidelity.

    Of one qubit: with s the sign and σ the Pauli of the eigenstate, (1 + 3 s σ) / 4 = (3 |ψ><ψ| - 1) / 2. A mean
    over both signs leaves tr(σ Λ(σ)) / 2, so one over all six (1 + Σ_σ tr(σ Λ(σ)) / 2) / 4, which is F.
    """
    kets, effects = [], []
    for parts in product(EIGENSTATES, repeat=qubits):
        ket, effect = np.ones(1), np.ones((1, 1))
        for part in parts:
            ket = np.kron(ket, part)
            effect = np.kron(effect, (3 * np.outer(part, part.conj()) - np.eye(2)) / 2)
        kets.append(ket)
        effects.append(effect)
    return np.array(kets), np.array(effects)


def fidelity_of_a_run(line: Line, qubits: int, each: int) -> tuple[float, float]:
    """Entanglement fidelity of fresh registers that arrive over a run's own machine, and its standard error.

    Each of the product states is sent `each` times, in one stream.
    """
    kets, effects = reading(qubits)
    row = np.arange(len(kets) * each) % len(kets)
    rho, which = sent(line, kets, row)
    values = np.einsum("kij,kji->k", rho, effects[row[which]]).real
    counts = np.bincount(row[which], minlength=len(kets))
    assert counts.all(), "of some states nothing arrived"
    means = np.bincount(row[which], values, len(kets)) / counts
    spread = np.maximum(np.bincount(row[which], values**2, len(kets)) / counts - means**2, 0.0)
    return float(means.mean()), math.sqrt(float((spread / counts).sum())) / len(kets)


def preset_lines() -> dict[str, Line]:
    """Every preset by every transport that could carry a register over it, with memories that fade meanwhile."""
    found = {}
    for name, preset in PRESETS.items():
        question = Question(name, None if "length_km" in preset.figures else 10.0, qubits=2)
        for label, told in _lines(question):
            fiber = told.fiber
            if not isinstance(told.transport, Teleport):
                # Of registers that are lost nothing can be seen.
                fiber = replace(fiber, p_init=min(fiber.p_init, 0.1), length_km=1.0)
            line = replace(told, fiber=fiber)
            time_ps = max(line.time_ps(2), 1.0)
            fading = Memory(t1_ps=6 * time_ps, t2_ps=4 * time_ps)
            held = {"own": question.memory(), "fading": fading}
            found |= {
                f"{name}, {label}, {which}": replace(line, sender=memory, receiver=memory)
                for which, memory in held.items()
                if not (which == "own" and memory.is_perfect and not isinstance(line.transport, Teleport))
            }
    return found


PRESET_LINES = preset_lines()


@pytest.mark.parametrize("name", PRESET_LINES)
def test_link_and_run_agree(name: str) -> None:
    """Two fresh qubits. Without drawn waits exactly, else within 4.5 standard errors of both."""
    line = PRESET_LINES[name]
    # The slowest pairs would pass the end of the clock.
    mean, error = fidelity_of_a_run(line, 2, 60 if line.time_ps(2) < 1e15 else 10)
    came = arrived(line, 2, 1, np.random.default_rng(1))
    assert abs(mean - came.fidelity) < 4.5 * math.hypot(error, came.error) + 1e-9
    if not isinstance(line.transport, Teleport):
        assert came.error == 0.0 and error < 1e-8


def test_the_presets_say_something() -> None:
    """Of the lines above some lose much to their memories, and some of each transport do."""
    worst = dict.fromkeys((Direct, Coded, Teleport), 1.0)
    for line in PRESET_LINES.values():
        kind = type(line.transport)
        held = replace(line, sender=Memory(), receiver=Memory())
        here, ideal = (arrived(each, 2, 1, np.random.default_rng(1)).fidelity for each in (line, held))
        worst[kind] = min(worst[kind], here / ideal)  # type: ignore[index]
    assert max(worst.values()) < 0.9


GIVEN = Teleport(scheme="given", rate_hz=100.0, fidelity=0.95)
UNLIKE = Memory(t2_ps=4e10), Memory(t1_ps=3e10)
BRIEF = Memory(t2_ps=4e7), Memory(t1_ps=3e7)
LONE: dict[str, Line] = {
    "one slot": Line(Fiber(length_km=2.0), (), *UNLIKE, GIVEN),
    "many slots": Line(Fiber(length_km=2.0), (), *UNLIKE, replace(GIVEN, memory_slots=3)),
    "gates": Line(
        Fiber(length_km=2.0), (), *UNLIKE, replace(GIVEN, memory_slots=2, distillation=Schedule(1)),
        sender_gates=Gates(10**8, 10**9, 3 * 10**9, 0.02, 0.05, (0.01, 0.04)),
        receiver_gates=Gates(10**9, 10**8, 10**9, 0.05, 0.02, (0.03, 0.01)),
    ),
    "direct": Line(SLOW, (Noise("amplitude-damping", 0.05),), *BRIEF),
    "coded": Line(SLOW, (Noise("bit-flip", 0.02),), *BRIEF, Coded(code="[[5,1,3]]", gate_ps=10**6)),
}


@pytest.mark.parametrize("name", rarely(LONE, but=("one slot", "direct", "coded")))
def test_a_register_alone_fares_at_later_crossings_as_in_a_run(name: str) -> None:
    """There, back and there again, one register a run: it waits in memory where it is until it can go on."""
    line = LONE[name]
    back = replace(
        line, sender=line.receiver, receiver=line.sender,
        sender_gates=line.receiver_gates, receiver_gates=line.sender_gates,
    )  # fmt: skip
    kets, effects = reading(2)
    runs = len(kets) * (5 if isinstance(line.transport, Teleport) else 1)
    found = np.zeros(runs)
    for number in range(runs):
        which, nothing = number % len(kets), np.zeros(1, np.int64)
        state = mixtures.mixed(kets[which : which + 1].astype(complex))
        message = Copies(state, nothing, nothing, np.zeros(1, np.bool_), fresh=True)
        ways = [Direction("x", one, (2 * number + way).to_bytes(32, "little")) for way, one in enumerate((line, back))]
        for crossing in range(3):
            message = ways[crossing % 2].carry(message, 0).message  # type: ignore[assignment]
        rho, row, _, lost = message.take()
        assert not lost.any()
        found[number] = np.einsum("ij,ji->", rho[row[0]], effects[which]).real
    came = arrived(line, 2, 3, np.random.default_rng(1))
    if isinstance(line.transport, Teleport):
        error = float(found.std()) / math.sqrt(runs)
        assert abs(found.mean() - came.fidelity) < 4.5 * math.hypot(error, came.error) and error < 0.04
    else:
        assert found.mean() == pytest.approx(came.fidelity, abs=1e-12) and came.fidelity < 0.9


@pytest.mark.parametrize("distill", [False, True])
def test_a_whole_run_has_the_fidelity_that_link_tells(distill: bool, tmp_path: Path) -> None:
    """Trapped ions over 25 km, a Gaussian T2 of 85 ms: F = (1 + Σ_σ (2 P_σ - 1)) / 4 from the noisy expectations P_σ of
    the eigenstates of X, Y and Z, each averaged over 2,000 copies."""
    link = "trapped-ion, length_km: 25" + (", distill: {rounds: 1}" if distill else "")
    text = SCENARIO.replace("ideal, length_km: 1, emission_rate_hz: 100.0", link)
    text = text.replace("1.0e-3", "0.085, t2_shape: gaussian")
    text = text.replace("qubits: 4", "qubits: 1").replace("copies: 200", "copies: 2000\n  budget_attempts: 1.0e+18")
    half = math.pi / 2
    turns = {"x": ("y", half), "y": ("x", half), "z": ("z", 0.0)}
    whole = 1.0
    for axis, angle in turns.values():
        layers = ", ".join(
            f"{{at: {at}, layer: rotations, axes: [{axis}], entangle: none, angles: {{values: [{sign * angle}]}}}}"
            for at, sign in (("alice", 1), ("bob", -1))
        )
        start = text.index("layers:")
        whole += 2 * noisy(scenario(tmp_path, f"{text[:start]}layers: [{layers}]\n")) - 1
    told = {cost.transport: cost for cost in answer(Question("trapped-ion", 25.0, qubits=1)).costs}
    cost = told["teleport, double-click" + (", distilled" if distill else "")]
    # The register waits for L/v in all; pairs are used when they are there: nothing else is by chance but rounds.
    assert abs(whole / 4 - cost.fidelity) < 4.5 * math.hypot(cost.fidelity_error, 0.01 / math.sqrt(2000)) + 1e-6
