"""The classical lane of one direction: a server that sends bits at the bandwidth of a fiber.

Bits queue in the order in which they are ready. What was scheduled keeps its times, because it has been delivered
with them; what comes later in the program takes the time that is free from its own readiness on, if need be in
several stretches. So a message that is handed over now does not wait for the outcomes of Bell measurements that
will be made later.

Free time is a coordinate of its own: f(t) = t less the busy time before t. In it the lane is a server with nothing
scheduled, so `timing.serve` finds a whole batch with one cumulative maximum, and the answer is mapped back.

Stretches that end before the first of a batch is ready cannot change its times. A batch costs what it holds itself and
what is scheduled after its first message is ready, however much the lane has carried before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, serve
from ketwire.errors import ScenarioError

Times = NDArray[np.int64]

NONE: Times = np.zeros(0, dtype=np.int64)
MOST_STRETCHES = 1 << 14
"""Busy stretches that are remembered, the last ones. A lane that is short of time has few, since they join."""


class ClassicalLane:
    """The server. Its state is the stretches of time in which it is busy.

    Without a bandwidth, bits take no time: they leave when they are ready, and nothing is remembered.

    name: the direction it belongs to, for messages of errors
    """

    def __init__(self, fiber: Fiber, name: str = "") -> None:
        self.name = name
        self._fiber = fiber
        self._limited = fiber.bandwidth_bps is not None
        self._begins: Times = NONE  # of the stretches, ascending
        self._ends: Times = NONE

    def forget(self, now_ps: int) -> None:
        """Drop the stretches that end by `now_ps`: nothing is ready before it from now on."""
        if len(self._ends) and self._ends.item(0) <= now_ps:
            over = int(self._ends.searchsorted(now_ps, "right"))
            self._begins, self._ends = self._begins[over:], self._ends[over:]

    def send(self, ready_ps: int, bits: int) -> int:
        """When one message has left.

        Raises:
            ScenarioError: it would not have left before the end of the clock.
        """
        return self._one(ready_ps, bits) if self._limited else ready_ps

    def serve(self, ready_ps: Times, bits: int | NDArray[np.int64]) -> Times:
        """When each of a batch of messages has left.

        Args:
            ready_ps: int64, shape (k,), when each is ready, in any order; they are served in order of readiness,
                and those that are ready together in the order given.
            bits: of each of them; or int64, shape (k,), each for itself.

        Returns:
            int64, shape (k,); the array `ready_ps` itself where bits take no time.

        Raises:
            ScenarioError: they would not have left before the end of the clock.
        """
        if not self._limited or not len(ready_ps):
            return ready_ps
        if len(ready_ps) == 1 and isinstance(bits, int):
            return np.array([self._one(ready_ps.item(0), bits)])
        return self._all(ready_ps, bits)

    def _one(self, ready_ps: int, bits: int) -> int:
        """`send` where bits take time."""
        if self._last_ps > ready_ps:
            return self._all(np.array([ready_ps]), bits).item(0)
        done_ps = ready_ps + self._fiber.sending_ps(bits)
        self._keep_clock(done_ps)
        if self._last_ps == ready_ps:
            self._ends[-1] = done_ps
        elif done_ps > ready_ps:
            self._put(len(self._ends), np.array([ready_ps]), np.array([done_ps]))
        return done_ps

    @property
    def _last_ps(self) -> int:
        """When the last of what is scheduled has left; -1 where nothing is."""
        return self._ends.item(-1) if len(self._ends) else -1

    def _all(self, ready_ps: Times, bits: int | NDArray[np.int64]) -> Times:
        """`serve` where bits take time."""
        if (ready_ps[1:] >= ready_ps[:-1]).all():
            return self._in_order(ready_ps, self._service_ps(ready_ps, bits))
        order = ready_ps.argsort(kind="stable")
        in_order_ps = ready_ps[order]
        left_ps = np.empty_like(ready_ps)
        service_ps = self._service_ps(in_order_ps, bits[order] if isinstance(bits, np.ndarray) else bits)
        left_ps[order] = self._in_order(in_order_ps, service_ps)
        return left_ps

    def snapshot(self) -> list[list[int]]:
        """[begins, ends] of the busy stretches, as JSON values: for a checkpoint."""
        return [self._begins.tolist(), self._ends.tolist()]

    def restore(self, saved: Any) -> None:
        """Be as `snapshot` found it."""
        self._begins, self._ends = (np.array(times_ps, dtype=np.int64) for times_ps in saved)

    def _in_order(self, ready_ps: Times, service_ps: int | Times) -> Times:
        """The same for messages in order of readiness, each of which keeps the lane for so long."""
        first = int(self._ends.searchsorted(ready_ps[0]))  # one that ends there touches what begins then
        if first == len(self._ends):  # the most frequent case: all of it is free
            free_ps = serve(ready_ps, service_ps, 0)
            self._keep(first, free_ps - service_ps, free_ps)
            return free_ps
        begins, ends = self._begins[first:], self._ends[first:]
        before = _from_zero((ends - begins).cumsum())  # busy time before each stretch, and after the last one
        turn = begins - before[:-1]  # the free time at which each stretch stands
        begun = begins.searchsorted(ready_ps, "right")
        free = np.maximum(ready_ps - before[begun], _from_zero(turn)[begun])
        done = serve(free, service_ps, 0)
        begin = done - service_ps
        # The last time with so much free time before it, when the lane is free; of the end the first.
        begin_ps = begin + before[turn.searchsorted(begin, "right")]
        # Where no bit is sent, the message has left when its turn comes.
        done_ps: Times = np.maximum(done + before[turn.searchsorted(done, "left")], begin_ps)
        begins, ends = np.concatenate([begins, begin_ps]), np.concatenate([ends, done_ps])
        order = begins.argsort(kind="stable")
        self._keep(first, begins[order], np.maximum.accumulate(ends[order]))
        return done_ps

    def _service_ps(self, ready_ps: Times, bits: int | NDArray[np.int64]) -> int | Times:
        """How long each, in order of readiness, keeps the lane busy.

        Refuses what could pass the end of the clock, before any array is made.
        """
        latest_ps = max(ready_ps.item(-1), self._last_ps)
        if isinstance(bits, int):
            service_ps = self._fiber.sending_ps(bits)
            self._keep_clock(latest_ps + len(ready_ps) * service_ps)
            return service_ps
        sizes, place, counts = np.unique(bits, return_inverse=True, return_counts=True)
        takes_ps = [self._fiber.sending_ps(size) for size in sizes.tolist()]
        self._keep_clock(latest_ps + sum(map(int.__mul__, takes_ps, counts.tolist())))
        return np.array(takes_ps, dtype=np.int64)[place]

    def _keep_clock(self, latest_ps: int) -> None:
        if latest_ps >= CLOCK_END_PS:
            raise ScenarioError(
                f"{self.name}: bits at bandwidth_bps = {self._fiber.bandwidth_bps:g} would be under way until "
                f"{latest_ps / PS_PER_S:.1e} s of virtual time, expected less than the clock's 2^62 ps (53 days)"
            )

    def _keep(self, first: int, begins_ps: Times, ends_ps: Times) -> None:
        """Remember these stretches in the place of those from `first` on; those that touch become one.

        Both ascend.
        """
        if len(begins_ps) > 2 * MOST_STRETCHES:  # look at no more, unless so many of these touch that more are needed
            last_begins_ps, last_ends_ps = begins_ps[-2 * MOST_STRETCHES :], ends_ps[-2 * MOST_STRETCHES :]
            enough = np.count_nonzero(last_begins_ps[1:] > last_ends_ps[:-1]) >= MOST_STRETCHES
            begins_ps, ends_ps = (last_begins_ps, last_ends_ps) if enough else (begins_ps, ends_ps)
        apart = np.ones(len(begins_ps) + 1, dtype=np.bool_)
        np.greater(begins_ps[1:], ends_ps[:-1], out=apart[1:-1])
        self._put(first, begins_ps[apart[:-1]], ends_ps[apart[1:]])

    def _put(self, first: int, begins_ps: Times, ends_ps: Times) -> None:
        """The same of stretches that do not touch; of many the last are kept."""
        if first:
            begins_ps = np.concatenate([self._begins[:first], begins_ps])
            ends_ps = np.concatenate([self._ends[:first], ends_ps])
        self._begins, self._ends = begins_ps[-MOST_STRETCHES:], ends_ps[-MOST_STRETCHES:]


def _from_zero(values: Times) -> Times:
    """The same with a zero before them."""
    padded = np.zeros(len(values) + 1, dtype=np.int64)
    padded[1:] = values
    return padded
