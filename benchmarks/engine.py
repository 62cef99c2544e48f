"""How long one layer takes in either engine, in passes over the state.

    python -m benchmarks engine [--rounds 11]

The layer is n R_y, n R_z and n-1 CZ in a chain: new angles in every call, arrays in and out (`out=`). A
pass is `numpy.multiply(state, c, out=state)`. Pass and engines take turns within a round, so that what
else the machine does falls on all of them; the 10th percentile of the rounds is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.report import LEAST_ROUNDS, Figure, Measure, rounds_of
from ketwire.quantum.circuits import Circuit, joined
from ketwire.quantum.encodings import amplitude_encode
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.engines.plan import Local
from ketwire.quantum.layers import entangler, rotations

SUBLAYERS = 400
SHAPES = [(1, 12), (1, 16), (1, 20), (256, 6), (256, 8), (256, 10)]


def layer(qubits: int) -> Circuit:
    return rotations(qubits, ("y", "z")) + entangler(qubits, "cz-chain")


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Best of a few calls in a row: the caches are then as the call itself leaves them."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def measure_shape(rows: int, qubits: int, rounds: int) -> dict[str, float]:
    """10th percentile over rounds, in seconds, of a pass and of the layer in each engine."""
    rng = np.random.default_rng(7)
    circuit = layer(qubits)
    states, _ = amplitude_encode(rng.normal(size=(rows, 2**qubits)))
    scaled, factor, out = states.copy(), np.exp(0.3j), np.empty_like(states)
    angles = iter(rng.uniform(-np.pi, np.pi, size=(10**4, circuit.parameter_count)))
    calls: dict[str, Callable[[], object]] = {
        "pass": lambda: np.multiply(scaled, factor, out=scaled),
        "fused": lambda: apply(circuit, states, next(angles), engine="fused", out=out),
        "numpy": lambda: apply(circuit, states, next(angles), engine="numpy", out=out),
    }
    assert np.abs(apply(circuit, states, np.ones(2 * qubits), engine="fused")
                  - apply(circuit, states, np.ones(2 * qubits))).max() < 1e-12
    repeats = 5 if states.size <= 2**18 else 2
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            taken[name].append(seconds(call, repeats))
    return {name: float(np.percentile(values, 10)) for name, values in taken.items()}


def measure(rounds: int) -> list[Figure]:
    """One row at n = 12, 16, 20, a batch of 256 at n = 6, 8, 10."""
    figures = []
    for rows, qubits in SHAPES:
        took = measure_shape(rows, qubits, max(rounds, 31 if rows * 2**qubits <= 2**18 else LEAST_ROUNDS))
        where = f"n = {qubits}" if rows == 1 else f"{rows} rows, n = {qubits}"
        told = {name: f"{1e6 * value:.3g} us" for name, value in took.items()}
        bound, passes = (12.0 if rows == 1 else 8.0), took["fused"] / took["pass"]
        text = f"{told['fused']} over {told['pass']}"
        figures.append(Figure(f"engine: fused layer in passes, {where}", passes, bound, "", text))
        if rows == 1:
            text = f"{told['numpy']} over {told['fused']}"
            ratio = took["numpy"] / took["fused"]
            figures.append(Figure(f"engine: NumPy over fused, {where}", ratio, 4.0, "x", text))
    return figures


def plan(rounds: int) -> list[Figure]:
    """Joining 400 sublayers of 8 qubits and planning them, over applying them to one register."""
    sublayer, rng = layer(8), np.random.default_rng(7)
    ready, state = joined([sublayer] * SUBLAYERS), np.eye(1, 2**8, dtype=np.complex128)
    angles = rng.uniform(-np.pi, np.pi, ready.parameter_count)

    def planned() -> None:
        for step in joined([sublayer] * SUBLAYERS).steps:
            assert isinstance(step, Local) and len(step.phases) == step.layers

    actions = {"plan": planned, "apply": lambda: apply(ready, state, angles)}
    taken = rounds_of(actions, rounds, {"plan": 1, "apply": 5})
    return [taken.figure(f"plan: {SUBLAYERS} sublayers over applying them, n = 8", "plan", "apply", 20.0, "ms")]


MEASURES: dict[str, Measure] = {"engine": measure, "plan": plan}
