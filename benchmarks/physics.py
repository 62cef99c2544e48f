"""What batches save: sharing of states by copies, and losses drawn for a whole batch at once.

    python -m benchmarks physics [--rounds 11]

sharing: an inline run of two parties: prepare, apply a layer, carry over a quiet link, apply another,
measure; ten thousand copies of eight qubits against one.
photons: processor time to carry a million one-qubit copies over a lossy fiber (a bound in seconds, so
it depends on the machine).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, Measure, rounds_of
from ketwire.channels.copies import Copies
from ketwire.channels.link import Direction
from ketwire.channels.presets import fiber
from ketwire.nodes.inline import run_inline
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


def processor_s(action: Callable[[], object], repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        action()
    return (time.process_time() - start) / repeats


def measure_sharing(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        taken = rounds_of({"many": path(MANY, folder), "one": path(1, folder)}, rounds, 10)
    return [taken.figure("sharing: 10,000 copies over one copy", "many", "one", 2.0, "us")]


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


MEASURES: dict[str, Measure] = {"sharing": measure_sharing, "photons": measure_photons}
