"""One run of a study, in a worker or in this process: JSON comes in, JSON goes out."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from ketwire.errors import KetwireError, ScenarioError, one_line
from ketwire.modules import settle, settled
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.kinds.result import RunResult
from ketwire.scenarios.load import Draft, validate
from ketwire.scenarios.runs.launch import Options, Runtime, launch
from ketwire.scenarios.runs.output import aside
from ketwire.scenarios.runs.table import winner
from ketwire.scenarios.schema.changes import Change
from ketwire.scenarios.studies.points import POINT, without_point
from ketwire.scenarios.studies.record import WINNER, found

BETWEEN_LOOKS_S = 0.5


def run_task(task: dict[str, Any]) -> dict[str, Any]:
    """Run one repeat of a point in this process.

    Args:
        task: as `points.task` makes it.

    Returns:
        status: done, refused or failed; reason, empty where it is done; values of the fields, in their order; wall_s.
    """
    begun_s = time.perf_counter()
    before = settled()
    values: list[Any] = [None] * len(task["fields"])
    try:
        result = _result(task)
        values = _values(result, task["fields"])
        told = [f"{each.step}: {each.message}" for each in result.afterwards_failed]
        status, reason = "failed" if told else "done", "; ".join(told)
    except ScenarioError as error:
        status, reason = "refused", str(error)
    except KetwireError as error:
        status, reason = "failed", f"{error.party}: {error}" if error.party else str(error)
    except Exception as error:  # a fault of ours, or of a user's own code, costs this row alone
        status, reason = "failed", one_line(error, "ketwire")
    finally:
        settle(before)
    reason = " ".join(without_point(reason).split())
    return {"status": status, "reason": reason, "values": values, "wall_s": time.perf_counter() - begun_s}


def _result(task: dict[str, Any]) -> RunResult:
    base = Draft(task["data"], POINT, task["stem"], task["base"])
    latency = any(field.split(".")[0] == "latency" for field in task["fields"])
    with aside():
        settle(task["base"])
        loaded = validate(*base.finished([Change(key, value, f"{POINT}: {key}") for key, value in task["changes"]]))
        return launch(loaded, _runtime(latency), Options(check=task["check"], progress=False, latency=latency))


def _runtime(latency: bool) -> Runtime:
    """Inline, with notes of times where a field is of the critical path."""
    if not latency:
        return run_inline
    from ketwire.nodes.times.timeline import run_timed  # noqa: PLC0415

    return run_timed


def _values(result: RunResult, fields: list[str]) -> list[Any]:
    told = result.told()
    who = winner(result) if WINNER in fields else None
    return [(None if who is None else who.value) if field == WINNER else found(told, field) for field in fields]


def begin(parent: int) -> None:
    """For a worker process on this machine: leave Ctrl-C to the parent, and end with it.

    Args:
        parent: the process id of the study.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(ValueError):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def watch() -> None:
        idle = threading.Event()
        while os.getppid() == parent:
            idle.wait(BETWEEN_LOOKS_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
