"""What 10,000 instances of a provable advantage cost over their bare arithmetic.

    python -m benchmarks advantage

xeb: `xeb-12-qubits` with 10,000 instances and no rival, inline, its score included, over the same number of Haar
states, Cliffords applied and outcomes drawn in NumPy. One run takes many seconds, so the two take turns three times
whatever `--rounds` says; the seconds are those of the run that took least.
"""

from __future__ import annotations

import numpy as np

import ketwire as kw
from benchmarks.report import Figure, Measure, Rounds, seconds
from ketwire.quantum.cliffords import random_cliffords
from ketwire.quantum.layers import haar_states
from ketwire.quantum.sampling import outcomes_in_order

QUBITS, INSTANCES, BLOCK, TURNS = 12, 10_000, 64, 3
BOUND_S = 60.0


def bare() -> None:
    """The arithmetic alone, in blocks that fit a processor's cache."""
    rng, every = np.random.default_rng(1), np.arange(BLOCK)
    for _ in range(INSTANCES // BLOCK + 1):
        states = haar_states(QUBITS, rng, BLOCK)
        outcomes_in_order(random_cliffords(QUBITS, BLOCK, rng).probabilities(states), every, rng)


def run() -> None:
    kw.run("xeb-12-qubits", {"protocol.instances": INSTANCES, "protocol.random_states": []}, progress=False)


def measure(rounds: int) -> list[Figure]:
    """The run over its arithmetic, and its seconds."""
    kw.run("xeb-12-qubits", {"protocol.instances": 100, "protocol.random_states": []}, progress=False)  # imports
    taken: dict[str, list[float]] = {"run": [], "bare": []}
    for turn in range(TURNS):
        for name, action in ((("run", run), ("bare", bare)), (("bare", bare), ("run", run)))[turn % 2]:
            taken[name].append(seconds(action))
    what = f"{INSTANCES:,} instances of xeb, n = {QUBITS}"
    ratio = Rounds(taken).figure(f"{what}, over their arithmetic", "run", "bare", 3, "s")
    return [ratio, Figure(what, min(taken["run"]), BOUND_S, "s", "inline, with scores")]


MEASURES: dict[str, Measure] = {"xeb": measure}
