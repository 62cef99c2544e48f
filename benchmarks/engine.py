"""How long one layer takes in either engine, in passes over the state.

    python benchmarks/engine.py [--rounds 31]

The layer is n R_y, n R_z and n-1 CZ in a chain: new angles in every call, arrays in and out (`out=`). A
pass is `numpy.multiply(state, c, out=state)`. Pass and engines take turns within a round, so that what
else the machine does falls on all of them; the 10th percentile of the rounds is reported.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is imported

import argparse
import time
from collections.abc import Callable

import numpy as np

from ketwire.quantum.circuits import Circuit
from ketwire.quantum.encodings import amplitude_encode
from ketwire.quantum.engine import apply
from ketwire.quantum.layers import entangler, rotations

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


def measure(rows: int, qubits: int, rounds: int) -> dict[str, float]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds, 11 or more")
    rounds = max(parser.parse_args().rounds, 11)
    print(" rows   n    pass us   fused us   numpy us  fused/pass  numpy/fused")
    for rows, qubits in SHAPES:
        took = measure(rows, qubits, rounds)
        microseconds = " ".join(f"{1e6 * took[name]:>10.1f}" for name in ("pass", "fused", "numpy"))
        ratios = f"{took['fused'] / took['pass']:>11.1f} {took['numpy'] / took['fused']:>12.1f}"
        print(f"{rows:>5} {qubits:>3} {microseconds} {ratios}")


if __name__ == "__main__":
    main()
