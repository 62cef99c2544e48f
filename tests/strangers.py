"""Peers without a key, for tests: what they connect to, what they say, how much that makes a process hold."""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
ANNOUNCED = b"\x06" + struct.pack(">Q", (1 << 31) - 1)

Habit = Literal["silent", "greets", "streams"]


def listening(pid: int) -> list[int]:
    """The TCP ports that a process listens on."""
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(descriptor))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in found]


def listens(pid: int, patience_s: float = 20.0) -> int:
    """The port of a process that is about to listen."""
    until_s = time.monotonic() + patience_s
    while not (ports := listening(pid)):
        assert time.monotonic() < until_s, "it does not listen"
        time.sleep(0.02)
    return ports[0]


def held_mib(pid: int) -> int:
    """The memory of a process, in MiB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


class Crowd:
    """So many connections to a port at a time; who is cut off comes again.

    comes: how many have come in all. octets: how many they have sent.
    """

    def __init__(self, port: int, count: int, habit: Habit) -> None:
        self._port, self._habit = port, habit
        self._selector = selectors.DefaultSelector()
        self._stop = False
        self.comes = self.octets = 0
        for _ in range(count):
            self._come()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _come(self) -> None:
        end = socket.socket()
        end.setblocking(False)
        with suppress(BlockingIOError):
            end.connect(("127.0.0.1", self._port))
        self._selector.register(end, selectors.EVENT_READ | selectors.EVENT_WRITE)
        self.comes += 1

    def _serve(self) -> None:
        while not self._stop:
            for key, events in self._selector.select(0.1):
                end = key.fileobj
                assert isinstance(end, socket.socket)
                try:
                    self._behave(end, events)
                except BlockingIOError:
                    continue
                except OSError:
                    self._selector.unregister(end)
                    end.close()
                    self._come()
            time.sleep(0.001)
        for key in [*self._selector.get_map().values()]:
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()

    def _behave(self, end: socket.socket, events: int) -> None:
        if events & selectors.EVENT_READ and not end.recv(4096):
            raise ConnectionError
        if events & selectors.EVENT_WRITE:
            first = self._selector.get_key(end).data is None
            if first and self._habit != "silent":
                self.octets += end.send(GREETING + (ANNOUNCED if self._habit == "streams" else b""))
            if self._habit == "streams":
                self.octets += end.send(bytes(1 << 16))
                self._selector.modify(end, selectors.EVENT_READ | selectors.EVENT_WRITE, True)
            else:
                self._selector.modify(end, selectors.EVENT_READ)

    def leave(self) -> None:
        self._stop = True
        self._thread.join(10)


@contextmanager
def crowd(port: int, count: int, habit: Habit) -> Iterator[Crowd]:
    made = Crowd(port, count, habit)
    try:
        yield made
    finally:
        made.leave()
