"""The coordinator's own child processes: started, watched and ended; none is ever left behind.

A child's output goes through one pipe, whose end of file is also how its death is noticed, at once
and without polling. Children have their own process group, so a Ctrl-C at the terminal reaches the
coordinator alone, which then stops them in order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import PartyFailed

LAST_LINES = 12
STOP_S = 1.0
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Child:
    """One child process."""

    def __init__(self, name: str, orders: Mapping[str, Any], log: Path | None) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ketwire.nodes.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"},
            process_group=0,
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self._log = log.open("ab") if log is not None else None
        with suppress(BrokenPipeError):  # Had it died at birth, its output would say why.
            self.process.stdin.write(json.dumps(orders).encode() + b"\n")
            self.process.stdin.flush()

    def read(self) -> bool:
        """Take in what it has printed; False at the end, when it is dead."""
        while True:
            try:
                octets = os.read(self.output, 65_536)
            except BlockingIOError:
                return True
            if not octets:
                return False
            if self._log is not None:
                self._log.write(octets)
            self.lines.extend(octets.decode("utf-8", "replace").splitlines())

    def obituary(self) -> str:
        """How it died and what it said last."""
        code = self.process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        said = "; its last lines: " + " | ".join(self.lines) if self.lines else "; it had printed nothing"
        return f"process {self.process.pid} {how}{said}"

    def kill(self) -> None:
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def close(self) -> None:
        """Release the pipes of a dead child, keeping its last output."""
        self.read()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


class Children:
    """All children of one coordinator, watched through its poller."""

    def __init__(self, poller: zmq.Poller) -> None:
        self._poller = poller
        self._children: dict[int, Child] = {}

    def start(self, name: str, orders: Mapping[str, Any], log: Path | None = None) -> None:
        child = Child(name, {**orders, "path": sys.path}, log)
        self._children[child.output] = child
        self._poller.register(child.output, zmq.POLLIN)

    def check(self, events: Mapping[Any, int]) -> None:
        """Read the output of those that said something.

        Raises:
            PartyFailed: one has died.
        """
        for descriptor in events:
            child = self._children.get(descriptor) if isinstance(descriptor, int) else None
            if child is not None and not child.read():
                raise PartyFailed(child.name, child.obituary())

    def end(self, patience_s: float = STOP_S) -> None:
        """Wait a moment for those that were told to stop, then kill the rest."""
        until = time.monotonic() + patience_s
        children = self._children.values()
        try:
            for child in children:
                with suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(0.0, until - time.monotonic()))
        finally:
            for child in children:
                child.kill()
                self._poller.unregister(child.output)
                child.close()
            self._children.clear()
