"""A run on its virtual time, in Chrome's trace-event format: opens in Perfetto.

One process per session, one thread per direction of a link, one complete event per message, from
when its sender handed it over to when it had arrived whole. Timestamps are microseconds of virtual
time. (Trace Event Format, Google, the "JSON object format" with "X" and "M" events.)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult

PS_PER_US = 1_000_000


def write_trace(results: Sequence[SessionResult], file: TextIO) -> None:
    """Write the trace, an event a line."""
    file.write('{"displayTimeUnit": "ns", "traceEvents": [')
    for number, event in enumerate(trace_events(results)):
        file.write((",\n" if number else "\n") + json.dumps(event, allow_nan=False))
    file.write("\n]}\n")


def trace_events(results: Sequence[SessionResult]) -> Iterator[dict[str, Any]]:
    """The events of all sessions, each session's names first."""
    for pid, result in enumerate(results, start=1):
        threads = {name: tid for tid, name in enumerate(sorted(result.directions), start=1)}
        yield _name("process_name", pid, 0, f"{result.name} ({result.role})")
        for name, tid in threads.items():
            yield _name("thread_name", pid, tid, name)
        for record in result.records:
            yield {
                "name": record.kind,
                "cat": result.role,
                "ph": "X",
                "pid": pid,
                "tid": threads[record.direction],
                "ts": record.sent_ps / PS_PER_US,
                "dur": (record.arrival_ps - record.sent_ps) / PS_PER_US,
                "args": record._asdict(),
            }


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}
