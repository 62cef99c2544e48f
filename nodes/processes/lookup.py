"""Look names up where the answer may take long: a process that waits for it can still be stopped.

The resolver cannot be interrupted, and where no name server answers it takes ten seconds and more. So it is asked in a
thread of its own, which is left behind when the process ends. ZeroMQ is told numbers alone, since its own thread would
ask the resolver whenever it connects, and could not be stopped meanwhile either.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ketwire.nodes.processes.addresses import Address, AddressError

AGAIN_S = 0.5
MOVED_S = 5.0


class _Lookup:
    """One question to the resolver."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.found: Address | None = None
        self.error: AddressError | None = None
        self.done = threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def _ask(self) -> None:
        try:
            self.found = self.address.resolved()
        except AddressError as error:
            self.error = error
        self.done.set()


def resolved(address: Address, until_s: float = 0.0, absent: Callable[[AddressError], None] | None = None) -> Address:
    """The same with a number for its host; asks again until one is found.

    Args:
        until_s: by the monotonic clock; asks at least once.
        absent: is told once that there is none yet.

    Raises:
        AddressError: the name does not resolve on this machine.
    """
    if address.is_number:
        return address.resolved()
    while True:
        lookup = _Lookup(address)
        lookup.done.wait()
        if lookup.found is not None:
            return lookup.found
        assert lookup.error is not None
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise lookup.error
        if absent is not None:
            absent(lookup.error)
            absent = None
        threading.Event().wait(min(AGAIN_S, left_s))


class Moves:
    """Whether a name has come to stand for another address, asked now and then while no process there answers."""

    def __init__(self, address: Address, was: Address) -> None:
        self._address, self._was = address, was
        self._lookup: _Lookup | None = None
        self._next_s = time.monotonic() + MOVED_S

    def __call__(self) -> bool:
        """Answers at once, from what the resolver has said so far."""
        if self._address.is_number:
            return False
        if self._lookup is None and time.monotonic() >= self._next_s:
            self._lookup = _Lookup(self._address)
        if self._lookup is None or not self._lookup.done.is_set():
            return False
        found, self._lookup = self._lookup.found, None
        self._next_s = time.monotonic() + MOVED_S
        return found is not None and found != self._was
