"""What a trace and the critical path add to a run.

    python -m benchmarks notes [--rounds 11]

trace: the quantum session of `gradient-two-parties` with parameter shifts, inline, in processor time. It has many small
messages, so what a trace takes for each of them weighs most. The trace of its records, written to memory, over the run.
latency: the whole scenario, rivals included, run by `ketwire.run` with `latency=True` over the same without. session:
its quantum session alone, with notes of its times and its critical path, over that session without; for orientation.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace

import ketwire as kw
from benchmarks.report import Figure, Measure, rounds_of
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Run
from ketwire.nodes.times.timeline import run_timed
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.latency import latency_of
from ketwire.scenarios.runs.trace import write_trace

SCENARIO = "gradient-two-parties"


def session() -> Run:
    run = load(SCENARIO).run()
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
        "session": lambda: latency_of(run_timed(run)),
        "whole": lambda: kw.run(SCENARIO, progress=False),
        "latency": lambda: kw.run(SCENARIO, latency=True, progress=False),
    }
    taken = rounds_of(actions, rounds, measure=processor_s)
    return [
        taken.figure("trace: writing it over the run, CPU", "trace", "alone", 0.05, "ms"),
        taken.figure("latency: a run with its critical path over one without, CPU", "latency", "whole", 1.1, "ms"),
        taken.figure("latency: its quantum session over that session without, CPU", "session", "alone", None, "ms"),
    ]


MEASURES: dict[str, Measure] = {"notes": measure}
