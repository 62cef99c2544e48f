"""What batches save: sharing of states by copies, losses drawn for a whole batch at once, averaged noise.

    python -m benchmarks physics [--rounds 11]

sharing: an inline run of two parties: prepare, apply a layer, carry over a quiet link, apply another,
measure; ten thousand copies of eight qubits against one. And all derivatives of four layers over a quiet link,
by a hundred thousand copies of each state against a thousand.
photons: processor time to carry a million one-qubit copies over a lossy fiber (a bound in seconds, so
it depends on the machine).
density: an inline run of ten thousand copies over three noisy crossings, by density matrices against
trajectories: with noise for as many trajectories as a density matrix has columns, where `auto` changes from
one to the other, for two and four times as many, and with much noise.
trajectories: what noise on a crossing costs where copies share nothing. Thousands of distinct states, a copy
each, go through a party's segment (R_y, R_z and a CZ chain, twice), noise on every qubit, and a segment of the
other party; processor time for each row, over that of the two segments alone. Pauli noise is depolarizing
with p = 0.01, damping has gamma = 0.05; as many rows come out as went in. And the same batch from its preparation
to its measurement, by the nodes' own calls.
swaps: pairs at a repeater, each extended by its next hop, with gates and readouts that err over perfect ones.
metro: wall time of the packaged scenario metro-25km-teleport as processes, from the command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, Measure, rounds_of
from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Order, Pairs
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.machines import disturb
from ketwire.channels.parts import Gates, Noise
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.planning.representation import expected_rows
from ketwire.channels.presets import fiber
from ketwire.channels.transports import Teleport
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.layers import haar_state, hardware_efficient
from ketwire.quantum.observables import Projector
from ketwire.scenarios.load import load

QUBITS = 8
MANY = 10_000
PHOTONS = 1_000_000
KEY = bytes(32)


SCENARIO = """\
seed: 7
nodes: {{alice: {{}}, bob: {{}}}}
links:
  - {{between: [alice, bob], fiber: ideal, length_km: 10}}
protocol:
  kind: inference
  qubits: {qubits}
  start: alice
  layers:
    - {{at: alice, layer: rotations, angles: {{random: angles, shape: [{angles}]}}}}
    - {{at: bob, layer: rotations, angles: {{random: angles, shape: [{angles}]}}}}
  copies: {copies}
  dense_state: null
"""


def path(copies: int, folder: str) -> Callable[[], object]:
    """A whole inline run: Alice prepares and applies a layer, the fiber carries, Bob applies, measures."""
    scenario = Path(folder) / f"quiet-{copies}.yaml"
    text = SCENARIO.format(qubits=QUBITS, angles=2 * QUBITS, copies=copies)
    scenario.write_text(text, encoding="utf-8")
    run = load(str(scenario), []).run()

    def carry() -> None:
        (result,) = run_inline(run)
        assert result.directions["alice->bob"].copies == copies

    return carry


GRADIENT = """\
seed: 7
nodes: {{alice: {{}}, bob: {{}}}}
links: [{{between: [alice, bob], fiber: ideal, length_km: 1}}]
protocol:
  kind: gradient
  qubits: 6
  start: bob
  layers: [{layers}]
  estimators: [commuting]
  copies: {copies}
  dense_state: null
  description: []
"""


def gradient(copies: int, folder: str) -> Callable[[], object]:
    """A whole inline run of the kind `gradient`: both parties' derivatives from copies of |Phi>."""
    scenario = Path(folder) / f"gradient-{copies}.yaml"
    layers = ", ".join(f"{{at: {at}, layer: rotations, angles: {{random: angles}}}}" for at in ("bob", "alice") * 2)
    scenario.write_text(GRADIENT.format(layers=layers, copies=copies), encoding="utf-8")
    run = load(str(scenario), []).run()
    return lambda: run_inline(run)


def processor_s(action: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        action()
    return (time.process_time() - start) / repeats


def measure_sharing(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        taken = rounds_of({"many": path(MANY, folder), "one": path(1, folder)}, rounds, 10)
        counts = {name: gradient(copies, folder) for name, copies in (("many", 100_000), ("few", 1_000))}
        gradients = rounds_of(counts, rounds)
    return [
        taken.figure("sharing: 10,000 copies over one copy", "many", "one", 2.0, "us"),
        gradients.figure("sharing: gradients by 100,000 copies over 1,000", "many", "few", 3.0, "ms"),
    ]


def measure_photons(rounds: int) -> list[Figure]:
    lossy = fiber("telecom-fiber", length_km=10.0)
    state = np.eye(1, 2, dtype=np.complex128)

    def carry() -> None:
        arrays = (np.zeros(PHOTONS, np.int64), np.zeros(PHOTONS, np.int64), np.zeros(PHOTONS, np.bool_))
        delivery = Direction("alice->bob", lossy, KEY).carry(Copies(state, *arrays), 0)
        assert 0 < delivery.record.qubits_delivered < PHOTONS

    taken = rounds_of({"carry": carry}, rounds, measure=processor_s)
    best, worst = taken.best("carry"), max(taken.seconds["carry"])
    return [Figure("photons: a million through a lossy fiber", best, 1.0, "s", f"CPU; slowest round {worst:.2g} s")]


NOISY = """\
seed: 7
nodes: {{alice: {{}}, bob: {{}}}}
links:
  - {{between: [alice, bob], fiber: ideal, length_km: 10, noise: [{{kind: depolarizing, probability: {p!r}}}]}}
protocol:
  kind: inference
  qubits: {qubits}
  start: bob
  layers: [{layers}]
  copies: {copies}
  representation: {representation}
  dense_state: null
"""
MUCH_NOISE = 0.13


def noisy_path(qubits: int, p: float, representation: str, folder: str) -> Callable[[], object]:
    """A whole inline run over three crossings, each with depolarizing noise p on every qubit."""
    scenario = Path(folder) / f"noisy-{qubits}-{p}-{representation}.yaml"
    layers = ", ".join(f"{{at: {at}, layer: rotations, angles: {{random: angles}}}}" for at in ("bob", "alice") * 2)
    text = NOISY.format(qubits=qubits, p=p, layers=layers, copies=MANY, representation=representation)
    scenario.write_text(text, encoding="utf-8")
    run = load(str(scenario), []).run()
    return lambda: run_inline(run)


def noise_for(rows: int, qubits: int) -> float:
    """The depolarizing noise at which so many trajectories are expected."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        crossing = Crossing("alice-bob", Line(Fiber(), (Noise("depolarizing", middle),)), qubits)
        fewer = expected_rows([crossing] * 3, MANY) < rows
        low, high = (middle, high) if fewer else (low, middle)
    return round(high, 6)


def measure_density(rounds: int) -> list[Figure]:
    figures = []
    for qubits in (4, 8):
        rows = {noise_for(factor << qubits, qubits): f"{factor << qubits} rows" for factor in (1, 2, 4)}
        for p, where in {**rows, MUCH_NOISE: f"p = {MUCH_NOISE}"}.items():
            with tempfile.TemporaryDirectory() as folder:
                paths = {name: noisy_path(qubits, p, name, folder) for name in ("density", "trajectories")}
                taken = rounds_of(paths, rounds)
            bound = 1.0 if p == MUCH_NOISE and qubits == 8 else None
            told, spread = taken.told(*paths, "ms"), taken.spread(*paths)
            what = f"density over trajectories, n = {qubits}, {where}"
            figures.append(Figure(what, taken.ratio(*paths), bound, "x", told, spread))
    return figures


def crossing(qubits: int, rows: int, noise: tuple[Noise, ...]) -> Callable[[], object]:
    """Distinct states, a copy each, through one party's segment, a fiber's noise, and another's segment."""
    rng = np.random.default_rng(qubits)
    states, row = haar_state(qubits, rng, rows), np.arange(rows)
    segment = hardware_efficient(qubits, 2, entangler="cz-chain")
    angles = rng.uniform(-np.pi, np.pi, (2, segment.parameter_count))
    channel = Line(fiber("ideal"), noise).channel()

    def pass_on() -> None:
        sent = apply(segment, states, angles[0])
        received, _ = disturb(sent, row, channel, rng)
        assert len(apply(segment, received, angles[1])) == rows  # a copy a row: as many leave as came

    return pass_on


def batch(qubits: int, rows: int, noise: tuple[Noise, ...]) -> Callable[[], object]:
    """The same from preparation to measurement, by the nodes' own calls."""
    rng = np.random.default_rng(qubits)
    states, ones, items = haar_state(qubits, rng, rows), np.ones(rows, np.int64), np.arange(rows)
    segment = hardware_efficient(qubits, 2, entangler="cz-chain")
    angles = rng.uniform(-np.pi, np.pi, (2, segment.parameter_count))
    channel = Line(fiber("ideal"), noise).channel()

    def run() -> None:
        alice, bob = PartyNode("alice", KEY, {}), PartyNode("bob", KEY, {})
        parts = alice.apply(segment, alice.prepare(states, ones), angles[0]).take()
        noisy, row = disturb(parts.states, parts.row, channel, rng)
        copies = Copies(noisy, row, parts.ready_ps, parts.lost)
        counts = bob.measure(bob.apply(segment, copies, angles[1]), Projector(0), items, rows)
        assert counts.sum() == rows

    return run


def measure_trajectories(rounds: int) -> list[Figure]:
    figures = []
    for qubits, rows in ((6, 4096), (8, 4096), (10, 2048)):
        whole = {"quiet": batch(qubits, rows, ()), "pauli": batch(qubits, rows, (Noise("depolarizing", 0.01),))}
        taken = rounds_of(whole, max(rounds, 31), measure=processor_s)
        what = f"trajectories: pauli batch, prepared to measured, n = {qubits}"
        figures.append(taken.figure(what, "pauli", "quiet", 1.15, "ms"))
    noises = {"noiseless": (), "pauli": (Noise("depolarizing", 0.01),), "damping": (Noise("amplitude-damping", 0.05),)}
    for qubits, rows in ((6, 4096), (8, 4096), (10, 2048)):
        actions = {name: crossing(qubits, rows, noise) for name, noise in noises.items()}
        taken = rounds_of(actions, max(rounds, 31), measure=processor_s)
        for name, bound in (("pauli", 1.3), ("damping", 3.0)):
            what = f"trajectories: {name} crossing over quiet, n = {qubits}"
            figures.append(taken.figure(what, name, "noiseless", bound, "ms"))
    return figures


def swaps(gates: Gates) -> Callable[[], object]:
    """Pairs that stand at a repeater, each swapped with one of its next hop."""
    transport = Teleport(scheme="given", rate_hz=1e5, fidelity=0.9, memory_slots=MANY)
    line = Line(Fiber(length_km=1.0), transport=transport, sender_gates=gates)
    start = np.zeros(MANY, dtype=np.int64)
    first = Direction("a->r", line, b"a" * 32).carry(Pairs.none_yet(start), 0).message
    assert isinstance(first, Pairs)
    held, _ = first.take()

    def extend() -> None:
        Direction("r->b", line, b"b" * 32).carry(Pairs(held, Order(start, on_notice=False)), 0)

    return extend


def measure_swaps(rounds: int) -> list[Figure]:
    gates = {"erring": Gates(10, 10, 10, 0.01, 0.02, (0.01, 0.02)), "perfect": Gates()}
    taken = rounds_of({name: swaps(each) for name, each in gates.items()}, max(rounds, 31), measure=processor_s)
    return [taken.figure("swaps: 10,000 with errors over 10,000 without", "erring", "perfect", 1.5, "ms")]


def measure_metro(rounds: int) -> list[Figure]:
    command = [sys.executable, "-c", "from ketwire.scenarios.cli import main; main()", "run", "metro-25km-teleport"]

    def run() -> None:
        subprocess.run([*command, "--json"], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))

    taken = rounds_of({"run": run}, rounds)
    best, worst = taken.best("run"), max(taken.seconds["run"])
    return [Figure("metro: metro-25km-teleport as processes", best, 5.0, "s", f"wall; slowest round {worst:.2g} s")]


MEASURES: dict[str, Measure] = {
    "sharing": measure_sharing,
    "photons": measure_photons,
    "trajectories": measure_trajectories,
    "swaps": measure_swaps,
    "metro": measure_metro,
    "density": measure_density,
}
