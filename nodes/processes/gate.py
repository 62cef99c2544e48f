"""A gate before a socket that listens on TCP: it lets only a few strangers in at a time.

libzmq takes every connection that comes, until the process has no descriptor left for anything else. So a process
that is started by hand listens at an ipc:// address in a folder of its own, and this process before it holds the
port. It passes octets on, either way, and looks at the first ones alone (docs/wire.md, section 9):

    greeting  from the stranger, 10 octets of it: before these come, libzmq hears nothing of the stranger
    welcome   from libzmq, which answers so to a stranger that knows the public key of this process
    ready     from libzmq, once ZAP has found the key of a peer: the connection is no stranger's any more

At most `STRANGERS` connections are strangers', fewer where descriptors are few. If one more comes, one of those
that are the least far goes, drawn by lot: so a peer with a key comes through sooner or later, however fast others
connect. A stranger has as long as libzmq gives a handshake. The gate holds no key.

It leaves when its standard input closes, as a party does. Run as `python -m ketwire.nodes.processes.gate`; its one
line of orders is JSON.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.folders import DYING_S, discard_stray, socket_folder
from ketwire.nodes.processes.addresses import IPC, Address, AddressError

STRANGERS = 48
DESCRIPTORS = 1024
GREETED, WELCOMED, KNOWN = 1, 2, 3
HANDSHAKE_S = 2.0
TAKEN_S = 2.0  # a gate of a process that was killed holds its port for a moment longer
CHUNK_OCTETS = 1 << 18
SIGNATURE_OCTETS = 10
GREETING_OCTETS = 64
WELCOME_OCTETS = 170  # with the two octets of its length
READY = b"\x05READY"
BACKLOG = 1024


class Pair:
    """A connection from outside, and the one to libzmq that it is passed on to.

    rank: how far its handshake is, 0 before its greeting.
    """

    def __init__(self, outer: socket.socket) -> None:
        self.outer = outer
        self.inner: socket.socket | None = None
        self.since_s = time.monotonic()
        self.rank = 0
        self.answered = b""  # what libzmq said first
        self.waiting: dict[socket.socket, memoryview] = {}  # what an end has not taken yet

    def ends(self) -> list[socket.socket]:
        return [self.outer] if self.inner is None else [self.outer, self.inner]

    def other(self, end: socket.socket) -> socket.socket:
        assert self.inner is not None
        return self.inner if end is self.outer else self.outer

    def look(self, octets: memoryview) -> None:
        """Learn from what libzmq answers how far the handshake is."""
        self.answered += bytes(octets[: GREETING_OCTETS + WELCOME_OCTETS + 16 - len(self.answered)])
        if len(self.answered) >= GREETING_OCTETS + WELCOME_OCTETS:
            self.rank = WELCOMED
            command = self.answered[GREETING_OCTETS + WELCOME_OCTETS :]
            if READY in (command[2:8], command[9:15]):  # after a length of one octet, or of eight
                self.rank, self.answered = KNOWN, b""


class Gate:
    """All connections of one port."""

    def __init__(self, listener: socket.socket, path: str) -> None:
        self._path = path
        self._listener = listener
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(0, selectors.EVENT_READ)
        self._pairs: dict[socket.socket, Pair] = {}
        self._strangers: set[Pair] = set()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = max(soft, DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        self._most = min(STRANGERS, limit // 4)  # two descriptors each, and as many for those who are none
        self._buffer = bytearray(CHUNK_OCTETS)

    def serve(self) -> None:
        """Serve until standard input closes, and then for as long as libzmq still says something, a second at most."""
        until_s = float("inf")
        while time.monotonic() < until_s and (self._pairs or until_s == float("inf")):
            for key, events in self._selector.select(0.2):
                end: Any = key.fileobj
                if end == 0:
                    until_s = time.monotonic() + DYING_S
                    self._dismiss()
                elif end is self._listener:
                    self._accept()
                elif (pair := self._pairs.get(end)) is not None:
                    self._serve(pair, end, events)
            self._expire()

    def _dismiss(self) -> None:
        """Let no new peer in, and end the connections of strangers."""
        self._selector.unregister(0)
        self._selector.unregister(self._listener)
        self._listener.close()
        for pair in [*self._strangers]:
            self._close(pair)

    def _accept(self) -> None:
        try:
            outer, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and self._strangers:
                self._evict()
            return
        outer.setblocking(False)
        outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._strangers) >= self._most:
            self._evict()
        pair = Pair(outer)
        self._strangers.add(pair)
        self._add(pair, outer)

    def _evict(self) -> None:
        """A stranger goes that is the least far with its handshake."""
        least = min(pair.rank for pair in self._strangers)
        self._close(random.choice([pair for pair in self._strangers if pair.rank == least]))

    def _expire(self) -> None:
        now_s = time.monotonic()
        for pair in [each for each in self._strangers if now_s - each.since_s > HANDSHAKE_S]:
            self._close(pair)

    def _add(self, pair: Pair, end: socket.socket) -> None:
        self._pairs[end] = pair
        self._selector.register(end, selectors.EVENT_READ)

    def _close(self, pair: Pair) -> None:
        self._strangers.discard(pair)
        for end in pair.ends():
            if self._pairs.pop(end, None) is not None and end in self._selector.get_map():
                self._selector.unregister(end)
            end.close()

    def _serve(self, pair: Pair, end: socket.socket, events: int) -> None:
        try:
            if pair.inner is None:
                self._greet(pair)
                return
            if events & selectors.EVENT_WRITE:
                self._drain(pair, end)
            if events & selectors.EVENT_READ and end in self._pairs:
                self._pass_on(pair, end)
        except BlockingIOError:
            return
        except OSError:
            self._close(pair)

    def _greet(self, pair: Pair) -> None:
        """The first octets from outside: libzmq hears of the stranger if they begin a greeting."""
        said = pair.outer.recv(SIGNATURE_OCTETS, socket.MSG_PEEK)
        if len(said) < SIGNATURE_OCTETS or said[0] != 0xFF or not said[-1] & 1:
            self._close(pair)
            return
        pair.inner = socket.socket(socket.AF_UNIX)
        pair.inner.setblocking(False)
        try:
            pair.inner.connect(self._path)
        except OSError:  # no process listens there yet, or no longer
            self._close(pair)
            return
        pair.rank = GREETED
        self._add(pair, pair.inner)

    def _pass_on(self, pair: Pair, end: socket.socket) -> None:
        size = end.recv_into(self._buffer)
        if not size:
            self._close(pair)
            return
        octets = memoryview(self._buffer)[:size]
        if pair.rank < KNOWN and end is pair.inner:
            pair.look(octets)
            if pair.rank == KNOWN:
                self._strangers.discard(pair)
        other = pair.other(end)
        sent = 0
        with suppress(BlockingIOError):
            sent = other.send(octets)
        if sent < size:  # nothing more is read from this end until the other has taken it
            pair.waiting[other] = memoryview(bytes(octets[sent:]))
            self._want(pair)

    def _drain(self, pair: Pair, end: socket.socket) -> None:
        rest = pair.waiting.pop(end)
        sent = end.send(rest)
        if sent < len(rest):
            pair.waiting[end] = rest[sent:]
        self._want(pair)

    def _want(self, pair: Pair) -> None:
        """Wait for what can be done: an end is read only while the other has taken all, written while it has not."""
        for end in pair.ends():
            wanted = 0 if pair.other(end) in pair.waiting else selectors.EVENT_READ
            if end in pair.waiting:
                wanted |= selectors.EVENT_WRITE
            if end in self._selector.get_map():
                if wanted:
                    self._selector.modify(end, wanted)
                else:
                    self._selector.unregister(end)
            elif wanted:
                self._selector.register(end, wanted)


class Opened(NamedTuple):
    """A port that is held: the address that was asked for, with its port, and what the process behind binds."""

    address: Address
    inner: str


@contextmanager
def gate(address: Address) -> Iterator[Opened]:
    """Hold an address of this machine with a gate, a process of its own, meanwhile.

    Raises:
        ScenarioError: it does not resolve, is taken, or is not of this machine.
    """
    from ketwire.nodes.processes.interpreters import (  # noqa: PLC0415 - not in the gate's process, which needs little
        command,
    )

    listener = _listener_at(address)
    with listener, socket_folder(1) as folder:
        inner = folder / "0"
        process = subprocess.Popen(
            command(sys.executable, "-m", "ketwire.nodes.processes.gate"),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(listener.fileno(),), process_group=0,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            orders = {"listener": listener.fileno(), "inner": str(inner), "stray": str(folder)}
            process.stdin.write(json.dumps(orders).encode() + b"\n")
            process.stdin.flush()
            yield Opened(replace(address, port=listener.getsockname()[1]), f"{IPC}{inner}")
        finally:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(2 * DYING_S)
            process.kill()
            process.wait()


def _listener_at(address: Address) -> socket.socket:
    """Raises:
    ScenarioError: as of `gate`.
    """
    try:
        return _listening(address.resolved())
    except AddressError as error:
        raise ScenarioError(f"--bind: {error}") from None
    except OSError as error:
        told = f"{address}: {os.strerror(error.errno or 0)}, expected a free address of this machine"
        raise ScenarioError(f"--bind: {told}") from None


def _listening(place: Address) -> socket.socket:
    host = place.host
    if host == "*":
        host = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"
    is_ipv6 = ":" in host
    listener = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # of every address, IPv4 ones too
        until_s = time.monotonic() + TAKEN_S
        while True:
            try:
                listener.bind((host, place.port))
                listener.listen(BACKLOG)
                return listener
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until_s:
                    raise
            time.sleep(0.02)
    except BaseException:
        listener.close()
        raise


def main() -> None:
    """What the gate's process does."""
    orders = json.loads(sys.stdin.buffer.readline())
    Gate(socket.socket(fileno=orders["listener"]), orders["inner"]).serve()
    discard_stray(Path(orders["stray"]), DYING_S)


if __name__ == "__main__":
    main()
