"""The coordinator's child processes: started, watched and ended; none is ever left behind.

A child's output, standard output and standard error alike, comes through one pipe. It goes on to our standard error,
each line with the child's name before, since our standard output takes results alone. The end of that pipe is also
how a child's death is noticed, at once and without polling. Children have their own process group, so a Ctrl-C at the
terminal reaches the coordinator alone, which then stops them in order. They are forked by the nursery
(`nodes.processes.nursery`); one with an interpreter of its own (`nodes.processes.interpreters`) is started from here.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import PartyFailed, tell, warn
from ketwire.nodes.checkpoints.folders import private
from ketwire.nodes.processes.interpreters import ONE_THREAD, command, environment

NURSERY = "ketwire.nodes.processes.nursery"
LAST_LINES = 12
STOP_S = 1.0
BIRTH_S = 30.0
DYING_S = 2.0  # for news of a death whose signs are there
REAP_EVERY_S = 0.02
LONGEST_LINE = 65_536  # in octets; a longer one is told in pieces
READS_AT_ONCE = 16  # of one child's output, so that one that prints without end does not keep us from the others


def _ending(code: int) -> str:
    """How a process ended: its exit code, or a signal's number below zero."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"was killed by signal {-code}"


def _state(pid: int | None) -> str:
    """What the system says of a process that has not ended as far as we know."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2][:1]
    except OSError:
        return "gone"
    return {"T": "stopped", "t": "stopped by a debugger", "Z": "dead"}.get(letter, "alive, but silent")


class Child:
    """One child process: our ends of its pipes, and what the nursery has said of it."""

    def __init__(self, name: str, orders: int, output: int, log: Path | None) -> None:
        self.name = name
        self.orders: int | None = orders
        self.output = output
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self.pid: int | None = None
        self.status: int | None = None
        self.is_ours = False  # and not the nursery's, which would tell of its death
        self._begun = b""  # of a line that has not ended
        os.set_blocking(output, False)
        self._log: FileIO | None = None
        if log is not None:
            with self._logging():
                self._log = FileIO(log, "ab", opener=private)

    def read(self) -> bool:
        """Take in what it has printed, and print it to standard error; False at the end, when it is dead."""
        for _ in range(READS_AT_ONCE):
            try:
                octets = os.read(self.output, 65_536)
            except BlockingIOError:
                return True
            if not octets:
                self._tell([self._begun] if self._begun else [])
                self._begun = b""
                return False
            if self._log is not None:
                with self._logging():
                    self._log.write(octets)
            *lines, self._begun = (self._begun + octets).split(b"\n")
            if len(self._begun) > LONGEST_LINE:
                lines, self._begun = [*lines, self._begun], b""
            self._tell(lines)
        return True

    def _tell(self, lines: Sequence[bytes]) -> None:
        """Pass on what it printed, each line with its name before."""
        told = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
        self.lines.extend(told)
        if told:
            tell("\n".join(f"{self.name}: {line}" for line in told))

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """A log that cannot be written, on a full disk say, ends with a word; the run does not."""
        try:
            yield
        except OSError as error:
            self._log = None
            warn(f"{self.name}: log: {error.strerror or error}; nothing more of what it prints is kept")

    def obituary(self) -> str:
        """How it died and what it said last."""
        code = os.waitstatus_to_exitcode(self.status) if self.status is not None else None
        how = f"is {_state(self.pid)}" if code is None else _ending(code)
        said = "; its last lines: " + " | ".join(self.lines) if self.lines else "; it had printed nothing"
        return f"process {self.pid} {how}{said}"

    def reap(self) -> None:
        """Learn of the death of a child that is ours."""
        if self.is_ours and self.pid is not None and self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # our parent ignores SIGCHLD, so how it ended is not known
                pid, status = self.pid, 0
            self.status = status if pid else None

    def kill(self) -> None:
        if self.pid is not None and self.status is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Close its orders: a child without orders leaves at once."""
        if self.orders is not None:
            os.close(self.orders)
            self.orders = None

    def close(self) -> None:
        """Release the pipes of a dead child, keeping its last output."""
        self.dismiss()
        self.read()
        os.close(self.output)
        if self._log is not None:
            self._log.close()


class Children:
    """All children of one coordinator, watched through its poller."""

    def __init__(self, poller: zmq.Poller) -> None:
        self._poller = poller
        self._children: dict[int, Child] = {}
        self._unborn: deque[Child] = deque()
        self._forked: dict[int, Child] = {}
        self._heard = b""
        self._channel, theirs = socket.socketpair()
        self._nursery = subprocess.Popen(
            command(sys.executable, "-m", NURSERY, str(theirs.fileno()), json.dumps(sys.path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if sys.__stderr__ is None else 2,  # ours takes results alone
            env={**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"},
            pass_fds=(theirs.fileno(),),
            process_group=0,
        )
        theirs.close()
        poller.register(self._channel.fileno(), zmq.POLLIN)

    def start(
        self, name: str, orders: Mapping[str, Any], log: Path | None = None, python: str | None = None
    ) -> None:
        """Start a child that follows `orders`: forked, or in an interpreter of its own, `python`.

        Raises:
            PartyFailed: there is no such interpreter any more.
        """
        (orders_in, orders_out), (output_in, output_out) = os.pipe(), os.pipe()
        child = Child(name, orders_out, output_in, log)
        self._children[output_in] = child
        self._poller.register(output_in, zmq.POLLIN)
        try:
            if python is None:
                self._fork(child, orders_in, output_out)
            else:
                self._spawn(child, orders_in, output_out, python)
        finally:
            os.close(orders_in)
            os.close(output_out)
        with suppress(BrokenPipeError), os.fdopen(os.dup(orders_out), "wb") as pipe:
            pipe.write(json.dumps(orders).encode() + b"\n")

    def _fork(self, child: Child, orders: int, output: int) -> None:
        self._unborn.append(child)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [orders, output]))
        with suppress(BrokenPipeError, ConnectionError):  # A dead nursery is found out below.
            self._channel.sendmsg([b"+"], [rights])

    def _spawn(self, child: Child, orders: int, output: int, python: str) -> None:
        dup2 = os.POSIX_SPAWN_DUP2
        actions = [(dup2, orders, 0), (dup2, output, 1), (dup2, output, 2)]
        arguments = command(python, "-m", "ketwire.nodes.processes.child")
        try:
            child.pid = os.posix_spawn(python, arguments, environment(), file_actions=actions, setpgroup=0)
        except OSError as error:
            raise PartyFailed(child.name, f"{python}: {error.strerror}") from None
        child.is_ours = True

    def check(self, events: Mapping[Any, int]) -> None:
        """Read the output of those that said something.

        Raises:
            PartyFailed: one has died.
        """
        if self._channel.fileno() in events:
            self._hear()
        for descriptor in events:
            child = self._children.get(descriptor) if isinstance(descriptor, int) else None
            if child is not None and not child.read():
                self._await(lambda child=child: child.status is not None, BIRTH_S)
                raise PartyFailed(child.name, child.obituary(), died=True)

    def explained(self, error: BaseException) -> BaseException:
        """How a child ended, where `error` is that its connection did, which may show first."""
        if not isinstance(error, PartyFailed) or not error.died:
            return error
        child = next((each for each in self._children.values() if each.name == error.party), None)
        if child is None or f"process {child.pid} " in str(error):
            return error
        with suppress(PartyFailed):
            self._await(lambda: child.status is not None, DYING_S)
        with suppress(OSError):
            child.read()
        return PartyFailed(child.name, f"{error}: {child.obituary()}", died=True)

    def end(self, patience_s: float = STOP_S) -> None:
        """Wait a moment for those that were told to stop, then kill the rest."""
        children = self._children.values()

        def gone() -> bool:
            return all(child.status is not None for child in children)

        try:
            with suppress(PartyFailed):
                self._await(gone, patience_s)
        finally:
            for child in children:
                child.dismiss()
                child.kill()
            with suppress(PartyFailed):
                self._await(gone, patience_s)
            self._poller.unregister(self._channel.fileno())
            self._channel.close()
            self._nursery.kill()
            self._nursery.wait()
            for child in children:
                self._poller.unregister(child.output)
                child.close()
            self._children.clear()

    def _await(self, reached: Any, patience_s: float) -> None:
        """Listen to the nursery until `reached`, or no longer than `patience_s`; reap our own meanwhile."""
        until = time.monotonic() + patience_s
        while (left := until - time.monotonic()) > 0:
            ours = [child for child in self._children.values() if child.is_ours and child.status is None]
            for child in ours:
                child.reap()
            if reached():
                return
            self._channel.settimeout(min(left, REAP_EVERY_S) if ours else left)
            with suppress(TimeoutError):
                self._hear()

    def _hear(self) -> None:
        try:
            octets = self._channel.recv(4096)
        except ConnectionError:
            octets = b""
        if not octets:
            with suppress(subprocess.TimeoutExpired):
                self._nursery.wait(DYING_S)
            code = self._nursery.returncode
            how = "is gone" if code is None else _ending(code)
            told = f"process {self._nursery.pid}, which forks the parties, {how}"
            raise PartyFailed("nursery", told, died=True)
        *lines, self._heard = (self._heard + octets).split(b"\n")
        for line in lines:
            word, pid, *status = line.decode().split()
            if word == "born":
                born = self._unborn.popleft()
                born.pid = int(pid)
                self._forked[born.pid] = born
            elif (child := self._forked.get(int(pid))) is not None:
                child.status = int(status[0])
