"""What a round trip costs between the real node and fiber processes, against a bare echo.

    python -m benchmarks processes [--rounds 11]

The time of a trip is (time of a run of 1,200 trips - time of a run of 200) / 1,000. It holds all that a
run does: programs, credits, receipts and reads (five messages each way where the echo has one), physics,
transcript, the check of the states that came in. No CURVE, no digests.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks import wire
from benchmarks.pingpong import Trips
from benchmarks.report import LEAST_ROUNDS, Figure, Measure, Rounds, seconds
from ketwire.channels.fiber import Fiber
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Link, Run, Session

FEW, MANY = 200, 1200


def trips_s(trips: int) -> float:
    """Wall time of a run of `trips` round trips, start and end included."""
    slices = dict.fromkeys(("alice", "bob"), Trips(trips, wire.SMALL_COPIES, wire.SMALL_QUBITS))
    session = Session("trips", "quantum", "benchmarks.pingpong:PingPong", slices)
    run = Run(7, ("alice", "bob"), (Link.over(("alice", "bob"), Fiber()),), (session,))
    start = time.perf_counter()
    run_processes(run, plaintext=True, digest=False)
    return time.perf_counter() - start


def measure(rounds: int) -> list[Figure]:
    taken: dict[str, list[float]] = {"bare": [], "trip": []}
    with wire.relay("bare", None) as bare:
        there, back = wire.bare_ends(*bare, wire.states_of(wire.SMALL_QUBITS))
        for _ in range(max(rounds, LEAST_ROUNDS)):
            taken["bare"].append(seconds(lambda: (there(), back()), 300))
            # The start of a process varies more than a thousand trips take; a difference below zero is noise.
            taken["trip"].append((trips_s(MANY) - trips_s(FEW)) / (MANY - FEW))
    done = Rounds(taken)
    middle = {name: float(np.median(values)) for name, values in taken.items()}
    told = f"medians: {1e6 * middle['trip']:.0f} us over {1e6 * middle['bare']:.0f} us"
    what = "processes: round trip over bare echo"
    return [Figure(what, middle["trip"] / middle["bare"], None, "x", told, done.spread("trip", "bare"))]


MEASURES: dict[str, Measure] = {"processes": measure}
