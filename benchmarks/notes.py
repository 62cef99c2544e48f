"""What a trace and the critical path add to a run.

    python -m benchmarks notes [--rounds 11]

trace: the quantum session of `gradient-two-parties` with parameter shifts, inline, in processor time. It has many small
messages, so what a trace takes for each of them weighs most. The trace of its records, written to memory, over the run.
latency: the same session with notes of its times, and its critical path found, over the run alone.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace

from benchmarks.report import Figure, Measure, rounds_of
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Run
from ketwire.nodes.times.timeline import run_timed
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.latency import latency_of
from ketwire.scenarios.runs.trace import write_trace


def session() -> Run:
    run = load("gradient-two-parties").run()
    return replace(run, sessions=tuple(each for each in run.sessions if each.name == "parameter-shift"))


def processor_s(action: Callable[[], object], repeats: int) -> float:
    """Processor time of a call."""
    start = time.process_time()
    for _ in range(repeats):
        action()
    return (time.process_time() - start) / repeats


def measure(rounds: int) -> list[Figure]:
    run = session()
    recorded = run_inline(run, ledger=True)
    actions: dict[str, Callable[[], object]] = {
        "alone": lambda: run_inline(run),
        "trace": lambda: write_trace(recorded, io.StringIO()),
        "latency": lambda: latency_of(run_timed(run)),
    }
    taken = rounds_of(actions, rounds, measure=processor_s)
    return [
        taken.figure("trace: writing it over the run, CPU", "trace", "alone", 0.05, "ms"),
        taken.figure("latency: a run with its critical path over one without, CPU", "latency", "alone", 1.1, "ms"),
    ]


MEASURES: dict[str, Measure] = {"notes": measure}
