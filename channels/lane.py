"""The classical lane of one direction: a server that sends bits at the bandwidth of a fiber.

Bits queue in the order in which they are ready. What was scheduled keeps its times, because it has been delivered
with them; what comes later in the program takes the time that is free from its own readiness on, if need be in
several stretches. So a message that is handed over now does not wait for the outcomes of Bell measurements that
will be made later.

Free time is a coordinate of its own: f(t) = t less the busy time before t. In it the lane is a server with nothing
scheduled, so `timing.serve` finds a whole batch with one cumulative maximum, and the answer is mapped back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, serve
from ketwire.errors import ScenarioError

Times = NDArray[np.int64]

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
        self._begins: Times = np.zeros(0, dtype=np.int64)
        self._ends: Times = np.zeros(0, dtype=np.int64)

    def forget(self, now_ps: int) -> None:
        """Drop the stretches that end by `now_ps`: nothing is ready before it from now on."""
        if len(self._ends) and self._ends[0] <= now_ps:
            over = int(np.searchsorted(self._ends, now_ps, "right"))
            self._begins, self._ends = self._begins[over:], self._ends[over:]

    def send(self, ready_ps: int, bits: int) -> int:
        """When one message has left.

        Raises:
            ScenarioError: it would not have left before the end of the clock.
        """
        if not self._limited:
            return ready_ps
        if len(self._ends):
            return int(self.serve(np.array([ready_ps]), bits)[0])
        done_ps = ready_ps + self._fiber.sending_ps(bits)
        self._keep_clock(done_ps)
        if done_ps > ready_ps:
            self._begins, self._ends = np.array([ready_ps]), np.array([done_ps])
        return done_ps

    def serve(self, ready_ps: Times, bits: int | NDArray[np.int64]) -> Times:
        """When each of a batch of messages has left.

        Args:
            ready_ps: int64, shape (k,), when each is ready, in any order; they are served in order of readiness,
                and those that are ready together in the order given.
            bits: of each of them; or int64, shape (k,), each for itself.

        Returns:
            int64, shape (k,); the very array `ready_ps` where bits take no time.

        Raises:
            ScenarioError: they would not have left before the end of the clock.
        """
        if not self._limited or not len(ready_ps):
            return ready_ps
        service_ps = self._service_ps(ready_ps, bits)
        if (ready_ps[1:] >= ready_ps[:-1]).all():
            return self._in_order(ready_ps, service_ps)
        order = np.argsort(ready_ps, kind="stable")
        left_ps = np.empty_like(ready_ps)
        in_order_ps = service_ps[order] if isinstance(service_ps, np.ndarray) else service_ps
        left_ps[order] = self._in_order(ready_ps[order], in_order_ps)
        return left_ps

    def snapshot(self) -> list[list[int]]:
        """[begins, ends] of the busy stretches, as JSON values: for a checkpoint."""
        return [self._begins.tolist(), self._ends.tolist()]

    def restore(self, saved: Any) -> None:
        """Be as `snapshot` found it."""
        self._begins, self._ends = (np.array(times_ps, dtype=np.int64) for times_ps in saved)

    def _in_order(self, ready_ps: Times, service_ps: int | Times) -> Times:
        """The same for messages in order of readiness, each of which keeps the lane for so long."""
        if not len(self._ends) or ready_ps[0] >= self._ends[-1]:  # the most frequent case: all of it is free
            done_ps = serve(ready_ps, service_ps, 0)
            self._join(done_ps - service_ps, done_ps)
            return done_ps
        before = np.cumsum(self._ends - self._begins)  # busy time up to the end of each stretch
        done = serve(self._to_free(ready_ps, before), service_ps, 0)
        begin_ps = self._from_free(done - service_ps, before, "right")
        # Where no bit is sent, the message has left when its turn comes.
        done_ps = np.maximum(self._from_free(done, before, "left"), begin_ps)
        self._join(begin_ps, done_ps)
        return done_ps

    def _service_ps(self, ready_ps: Times, bits: int | NDArray[np.int64]) -> int | Times:
        """How long each keeps the lane busy; refuses what could pass the end of the clock, before any array is made."""
        latest_ps = max(int(ready_ps.max()), int(self._ends[-1]) if len(self._ends) else 0)
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

    def _to_free(self, times_ps: Times, before: Times) -> Times:
        """Free time up to each of these times."""
        begun = np.searchsorted(self._begins, times_ps, "right")
        if not begun.any():
            return times_ps
        last = np.maximum(begun - 1, 0)
        busy_ps = before[last] - np.maximum(self._ends[last] - times_ps, 0)
        return times_ps - np.where(begun > 0, busy_ps, 0)

    def _from_free(self, free_ps: Times, before: Times, side: Any) -> Times:
        """The first time with so much free time before it (`left`), or the last (`right`), when the lane is free."""
        passed = np.searchsorted(self._ends - before, free_ps, side)
        return np.asarray(free_ps + np.concatenate([[0], before])[passed])

    def _join(self, begins_ps: Times, ends_ps: Times) -> None:
        """Remember new stretches, which contain old ones or lie apart from them; those that touch become one."""
        later = not len(self._begins) or begins_ps[0] >= self._ends[-1]
        if later and len(begins_ps) > 2 * MOST_STRETCHES:
            # Of many only the last are kept: look at no more, unless so many of these touch that more are needed.
            tail = slice(-2 * MOST_STRETCHES, None)
            apart = np.flatnonzero(begins_ps[tail][1:] > ends_ps[tail][:-1])
            if len(apart) >= MOST_STRETCHES:
                self._keep(begins_ps[tail], ends_ps[tail], apart)
                return
        begins = np.concatenate([self._begins, begins_ps])
        ends = np.concatenate([self._ends, ends_ps])
        if not later:
            order = np.argsort(begins, kind="stable")
            begins, ends = begins[order], np.maximum.accumulate(ends[order])
        self._keep(begins, ends, np.flatnonzero(begins[1:] > ends[:-1]))

    def _keep(self, begins: Times, ends: Times, apart: NDArray[np.int64]) -> None:
        """The last of these stretches, where those that `apart` does not part are one."""
        self._begins = begins[np.concatenate([[0], apart + 1])][-MOST_STRETCHES:]
        self._ends = ends[np.concatenate([apart, [len(ends) - 1]])][-MOST_STRETCHES:]
