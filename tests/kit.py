"""What several test modules share: runs built in a line or two, and a whole run as threads."""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import zmq

from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.presets import fiber
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.processes.control import Credentials
from ketwire.nodes.processes.coordinator import Coordinator
from ketwire.nodes.processes.fiber import FiberProcess
from ketwire.nodes.processes.node import NodeProcess
from ketwire.nodes.processes.security import new_keys
from ketwire.nodes.processes.sockets import Endpoint
from ketwire.nodes.session import Link, Run, Session, SessionResult
from ketwire.protocols.typed import told
from tests.programs import Script, Stepping

TELECOM = fiber("telecom-fiber", length_km=2.0)
IDEAL = Fiber()
Acts = list[dict[str, Any]]


def scripted(
    scripts: Mapping[str, Acts],
    links: Sequence[tuple[str, str]] = (("alice", "bob"),),
    physics: Fiber = TELECOM,
    seed: int = 7,
    program: str = "tests.programs:ScriptParty",
    credit_octets: int = 1 << 28,
    sessions: int = 1,
    restartable: bool = False,
) -> Run:
    """A run whose parties follow scripts (tests/programs.py)."""
    slices = {party: Script(script) for party, script in scripts.items()}
    return Run(
        seed,
        tuple(scripts),
        tuple(Link.over(ends, physics, credit_octets) for ends in links),
        tuple(Session(f"s{index}", "quantum", program, slices, restartable) for index in range(sessions)),
    )


def parallel(run: Run) -> Run:
    """The same run with a link of bits beside each link, which then carries qubits."""
    slow = replace(TELECOM, length_km=40.0)
    links = [
        each
        for link in run.links
        for each in (
            replace(link, carries="qubits"),
            replace(Link.over(link.ends, slow, link.credit_octets), label="_".join(link.ends), carries="bits"),
        )
    ]
    return replace(run, links=tuple(links))


def stepping(
    ring: Sequence[str] = ("alice", "bob"),
    steps: int = 4,
    checkpoints: bool = True,
    die: Mapping[str, Mapping[str, Any]] | None = None,
    physics: Fiber | Line = TELECOM,
    seed: int = 7,
    sessions: int = 1,
    restartable: bool = True,
    hardware: Hardware | None = None,
    **values: Any,
) -> Run:
    """A run of `StepParty` (tests/programs.py): parties in a ring, checkpoints after every step."""
    common = {"ring": tuple(ring), "steps": steps, "checkpoints": checkpoints, "copies": 40, **values}
    slices = {party: Stepping(**common, die=(die or {}).get(party)) for party in ring}
    links = [(a, b) for k, a in enumerate(ring) for b in [ring[(k + 1) % len(ring)]]][: 1 if len(ring) == 2 else None]
    line = physics if isinstance(physics, Line) else Line(physics)
    return Run(
        seed,
        tuple(ring),
        tuple(Link(ends, line, line) for ends in links),
        tuple(
            Session(f"s{index}", "quantum", "tests.programs:StepParty", slices, restartable)
            for index in range(sessions)
        ),
        hardware={} if hardware is None else dict.fromkeys(ring, hardware),
    )


def send(peer: str, what: str, size: int = 8, qubits: int = 2) -> dict[str, Any]:
    return {"op": "send", "peer": peer, "what": what, "size": size, "qubits": qubits}


def receive(peer: str, what: str, keep: bool = False) -> dict[str, Any]:
    return {"op": "receive", "peer": peer, "what": what, "keep": keep}


LOOK = {"op": "look"}


class SlowLane:
    """A classical lane of plain integers and fractions, one message and one stretch after the other."""

    def __init__(self, bandwidth_bps: float | None) -> None:
        self.bandwidth_bps = bandwidth_bps
        self.busy: list[tuple[int, int]] = []

    def takes_ps(self, bits: int) -> int:
        if self.bandwidth_bps is None:
            return 0
        return math.ceil(Fraction(bits) * 10**12 / Fraction(self.bandwidth_bps))

    def serve(self, ready_ps: Sequence[int], bits: Sequence[int]) -> list[int]:
        """When each has left; whoever was ready first goes first, in what earlier calls have left free."""
        done, last, taken = [0] * len(ready_ps), 0, list[tuple[int, int]]()
        for each in sorted(range(len(ready_ps)), key=lambda each: ready_ps[each]):
            last, left = max(last, ready_ps[each]), self.takes_ps(bits[each])
            for begin, end in [*self.busy, (1 << 80, 1 << 80)]:
                if last < begin and left:
                    step = min(left, begin - last)
                    taken.append((last, last + step))
                    last, left = last + step, left - step
                if self.bandwidth_bps is not None and begin <= last < end and (left or not bits[each]):
                    last = end
            done[each] = last
        self.busy = sorted([*self.busy, *taken])
        return done


def checkpoint(step: int) -> dict[str, Any]:
    return {"op": "checkpoint", "step": step}


ANNOUNCED = re.compile(r"^ketwire: \S+ executes what is not of this installation: .*\n", re.MULTILINE)


def shown(outcome: Any) -> Any:
    """An outcome as it can be compared."""
    values, arrays = told(outcome)
    return values, {name: array.tolist() for name, array in arrays.items()}


def unannounced(err: str) -> str:
    """Standard error without the line that names what a scenario executes."""
    return ANNOUNCED.sub("", err, count=1)


def place(file: str, text: str) -> str:
    """FILE:LINE of the first line of a file that holds `text`, as errors name it."""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, start=1) if text in line)
    return f"{file.removeprefix(os.getcwd() + os.sep)}:{number}"


def on_loopback(socket: Any) -> str:
    """Bind a socket to a free port without a gate before it; its address."""
    return f"127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


class Threads:
    """A whole run in this process: every party a thread with sockets of its own, CURVE included.

    For tests that must see what processes would hide. `watch(name, frames)` is called for every
    message that the party `name` hands to a socket.
    """

    def __init__(self, run: Run, base: str = ".", journal: Journal | None = None) -> None:
        self.checkpoints = None if journal is None else journal.folder
        self.context = zmq.Context()
        names = (*run.parties, *(link.name for link in run.links))
        self.keys = {name: new_keys() for name in names}
        own = new_keys()
        self.coordinator = Coordinator(
            self.context, run, own, {name: pair.public for name, pair in self.keys.items()}, journal=journal
        )
        self.endpoint = Endpoint(on_loopback(self.coordinator.socket), own.public)
        self.threads = [threading.Thread(target=self._party, args=(run, name, base), name=name) for name in names]
        self.errors: dict[str, BaseException] = {}

    def credentials(self, name: str, role: str) -> Credentials:
        return Credentials(name, role, self.coordinator.run_id, self.endpoint, self.keys[name])

    def _party(self, run: Run, name: str, base: str) -> None:
        context = zmq.Context()
        role = "node" if name in run.parties else "fiber"
        credentials = self.credentials(name, role)
        party: Any = (
            NodeProcess(context, credentials, base, self.checkpoints)
            if role == "node"
            else FiberProcess(context, credentials, on_loopback, checkpoints=self.checkpoints)
        )
        try:
            party.run()
        except Exception as error:
            self.errors[name] = error
            party.control.fail(error)
        finally:
            context.destroy(linger=0)

    def conduct(self) -> list[SessionResult]:
        for thread in self.threads:
            thread.start()
        try:
            return self.coordinator.conduct()
        finally:
            self.coordinator.stop("over")
            for thread in self.threads:
                thread.join(10)
            self.context.destroy(linger=0)


def recording(monkeypatch: Any) -> list[tuple[str, list[bytes]]]:
    """Record (thread name, frames) of every message that any party of this process sends."""
    from ketwire.nodes.processes import control, coordinator, sockets
    from ketwire.nodes.processes import fiber as fiber_process
    from ketwire.nodes.processes import node as node_process

    recorded: list[tuple[str, list[bytes]]] = []
    original: Callable[..., None] = sockets.send

    def spy(socket: Any, frames: Sequence[Any]) -> None:
        recorded.append((threading.current_thread().name, [bytes(memoryview(frame)) for frame in frames]))
        original(socket, frames)

    for module in (control, coordinator, fiber_process, node_process):
        monkeypatch.setattr(module, "send", spy)
    return recorded


def rarely(values: Iterable[Any], but: Any) -> list[Any]:
    """Parameters of a test, marked long all but `but`: one of them, or a tuple of some."""
    kept = but if isinstance(but, tuple) else (but,)
    made = [value if value in kept else pytest.param(value, marks=pytest.mark.long) for value in values]
    assert sum(value in kept for value in made) == len(kept)
    return made
