"""Entanglement distillation: fewer pairs, better ones.

What one round does, by which protocol, is in `channels.entanglement.rounds`.

Several rounds are arranged in one of two ways. `nested`: round r takes two pairs that both passed
r - 1 rounds, so n rounds take 2^n pairs if all goes well, and a memory for one waiting pair of each
level. `pumping`: every round takes the kept pair and a fresh one, n + 1 pairs and a single waiting
pair. A failed round loses what went into it, and that is made again from fresh pairs.

*The process in time* (`distill`). A memory slot makes its pairs one after another. A round begins as
soon as its second pair is there; it happens when both ends have done their gates, its outcome is known at both ends
`Scheme.outcome_ps` later, and only then does the slot go on.
All halves that wait decay meanwhile: those of a fresh pair from its emission on, those of a distilled
pair from the round that made it. Success is drawn with the probability that the two pairs, decayed
as they are by then, have for it. What one delivered pair takes depends neither on the hour nor on
other deliveries, so all deliveries of a batch are simulated side by side, each wave one fresh pair in
every one that is not finished, and are put one after another afterwards (`serve_slots`). That is
exact for this process: no mean values, no approximation of waiting times. What the process itself
leaves out: fresh pairs tried for while an outcome is under way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.generation import Times, check_clock, latest, serve_slots
from ketwire.channels.entanglement.heralding import Scheme, fresh_elements, mean_ps
from ketwire.channels.entanglement.pairs import (
    Constant,
    Floats,
    check_memory,
    decayed_bell,
    decayed_elements,
    diagonal,
    dimmed,
    elements,
    elements_of_bell,
)
from ketwire.channels.entanglement.rounds import (
    AS_THEY_ARE,
    PERFECT_ENDS,
    Ends,
    Method,
    Order,
    best_order,
    gates_ps,
    one_round,
)
from ketwire.channels.timing import CLOCK_END_PS
from ketwire.errors import ScenarioError
from ketwire.quantum.grid import significant_one, snap

Arrangement = Literal["nested", "pumping"]

MAX_ROUNDS = 8
_MAX_PAIRS_PER_PLANNED = 100  # chance alone never takes so many; rounds that decay has made fail may


# Schedules and what they are expected to cost


@dataclass(frozen=True)
class Schedule:
    """How many rounds, of which protocol, arranged how.

    cutoff_attempts: the waiting pair is given up where the next one takes more attempts than that, which then waits in
        its place; None: never. Of one round alone

    Raises:
        ValueError: a value that is no schedule; the message starts with the field's name.
    """

    rounds: int = 1
    protocol: Method = "dejmps"
    arrangement: Arrangement = "nested"
    cutoff_attempts: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds: {self.rounds!r} given, expected a number from 1 to {MAX_ROUNDS}")
        for name, choices in (("protocol", Method), ("arrangement", Arrangement)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ValueError(f"{name}: {value!r} given, expected {' or '.join(get_args(choices))}")
        if self.protocol == "epl" and self.rounds != 1:
            raise ValueError(f"rounds: {self.rounds} given, expected 1 with the protocol epl, which is for fresh pairs")

        if self.cutoff_attempts is not None and (self.cutoff_attempts < 1 or self.rounds != 1):
            expected = "expected a number from 1 up, with one round"
            raise ValueError(f"cutoff_attempts: {self.cutoff_attempts} given with {self.rounds} round(s), {expected}")

    @property
    def memories(self) -> int:
        """Pairs that one slot holds at once: those that wait, and the one being made."""
        return self.rounds + 1 if self.arrangement == "nested" else 2


class Plan(NamedTuple):
    """What one good pair is expected to take and to be, with memories that do not decay.

    pairs, outcomes: expected fresh pairs, and expected rounds, failed ones included
    time_ps: expected time, from the first attempt until the last outcome is known
    success: float64, shape (rounds,): probability that each round succeeds
    bell:    float64, shape (4,): Bell diagonal of the good pair
    orders:  int64, shape (rounds, 4): of the Bell labels in each round of DEJMPS (`rounds.best_order`)
    """

    pairs: float
    outcomes: float
    time_ps: float
    success: Floats
    bell: Floats
    orders: Order


def plan(scheme: Scheme, schedule: Schedule, ends: Ends = PERFECT_ENDS) -> Plan:
    """Expected cost of one good pair.

    Exact for memories that do not decay. Where they do, rounds fail more often and pairs come out
    worse than planned: `distill` says by how much.
    """
    fresh = elements(scheme.state())
    six, pairs, outcomes = fresh, 1.0, 0.0
    success, orders = np.empty(schedule.rounds), np.tile(AS_THEY_ARE, (schedule.rounds, 1))
    # A pair that comes too late for the one before it waits in its place: that is given up.
    tries, p = schedule.cutoff_attempts, scheme.success_probability
    late = 0.0 if tries is None or p >= 1.0 else math.exp(tries * math.log1p(-p))
    for number in range(schedule.rounds):
        nested = schedule.arrangement == "nested"
        other = six if nested else fresh
        if schedule.protocol == "dejmps":
            orders[number] = best_order(diagonal(six), diagonal(other))
        success[number], six = one_round(schedule.protocol, six, other, ends, orders[number])
        second = 1.0 / (1.0 - late)
        pairs = ((1.0 + second) * pairs if nested else pairs + second) / success[number]
        outcomes = ((2.0 * outcomes if nested else outcomes) + 1.0) / success[number]
    round_ps = gates_ps(schedule.protocol, ends) + scheme.outcome_ps
    time_ps = pairs * mean_ps(scheme) + outcomes * round_ps
    return Plan(pairs, outcomes, time_ps, success, diagonal(six), orders)


# The process in time


class Distilled(NamedTuple):
    """Good pairs, in the order of the requests.

    herald_ps:  int64, shape (k,), when each is known to be good
    release_ps: int64, shape (k,), when each is consumed and its slot free again
    made_ps:    int64, shape (k,), when its last round happened: its halves wait from then on
    elements:   float64, shape (k, 6), what it was at `made_ps`: see `pairs.elements`
    pairs:      int64, shape (k,), fresh pairs that each took
    attempts:   int64, shape (k,), attempts that those took
    making_ps:  int64, shape (k,), how long its slot worked for each
    free_ps:    int64, shape (slots,), when each slot is free in the end
    """

    herald_ps: Times
    release_ps: Times
    made_ps: Times
    elements: Floats
    pairs: Times
    attempts: Times
    making_ps: Times
    free_ps: Times


def distill(
    ready_ps: Times,
    scheme: Scheme,
    schedule: Schedule,
    slots: int,
    free_ps: Times,
    *,
    t1_ps: Constant,
    t2_ps: Constant,
    rng: np.random.Generator,
    ends: Ends = PERFECT_ENDS,
    use_ps: int = 0,
    per_attempt: float = 0.0,
) -> Distilled:
    """Make k good pairs: `heralding.generate` with distillation, as the head of this module says.

    Args:
        ready_ps, slots, free_ps, use_ps: as for `generate`; a slot is what works on one good pair at a time.
        scheme: how fresh pairs are made.
        t1_ps, t2_ps: time constants of the memories, as for `pairs.decay_pairs`.
        ends: what works on the halves of the pairs at each end.
        per_attempt: x for coherences of a waiting pair that shrink by e^-x with each attempt of its slot, of both ends.

    Raises:
        ScenarioError: the pairs would, or could well, take beyond the end of the clock; or they decay
            so fast that rounds fail far more often than planned.
        ValueError: time constants that no memory has.
    """
    check_memory(t1_ps, t2_ps)
    planned = plan(scheme, schedule, ends)
    latest_ps = latest(ready_ps, free_ps)
    check_clock(latest_ps, len(ready_ps), slots, planned.time_ps + use_ps)
    bench = _Bench(len(ready_ps), scheme, schedule, _Memory(t1_ps, t2_ps), per_attempt, ends, planned.orders, rng)
    bench.run(most_pairs=int(planned.pairs * _MAX_PAIRS_PER_PLANNED))
    # Rounds that fail for decay take longer than planned, so now with the times that it took.
    taken_ps = float(bench.clock_ps.sum(dtype=np.float64))
    check_clock(latest_ps, len(ready_ps), slots, taken_ps / max(1, len(ready_ps)) + use_ps)
    herald_ps, release_ps, free_after_ps = serve_slots(ready_ps, bench.clock_ps, slots, free_ps, use_ps)
    made_ps = herald_ps - scheme.outcome_ps
    cost = bench.pairs, bench.attempts, bench.clock_ps
    return Distilled(herald_ps, release_ps, made_ps, bench.elements, *cost, free_after_ps)


Which = NDArray[np.int64]


class _Memory(NamedTuple):
    t1_ps: Constant
    t2_ps: Constant


class _Bench:
    """All deliveries of a batch side by side, each with a clock of its own that starts at 0.

    Waiting pairs stand in shelves: with `nested` one a level, with `pumping` a single one whose level
    is counted. A pair on a shelf is kept as `elements`, as of the time when its halves began to wait.
    """

    def __init__(
        self, count: int, scheme: Scheme, schedule: Schedule, memory: _Memory, per_attempt: float, ends: Ends,
        orders: Order, rng: np.random.Generator,
    ) -> None:  # fmt: skip
        self._scheme, self._schedule, self._memory, self._rng = scheme, schedule, memory, rng
        self._work, self._orders = partial(one_round, schedule.protocol, ends=ends), orders
        self._gates_ps = gates_ps(schedule.protocol, ends)
        self._fresh = fresh_elements(scheme, *memory)
        shelves = schedule.rounds if schedule.arrangement == "nested" else 1
        self._held = np.zeros((shelves, count), dtype=np.bool_)
        self._elements = np.empty((shelves, count, 6))
        self._since_ps = np.empty((shelves, count), dtype=np.int64)
        self._tried = np.zeros((shelves, count), dtype=np.int64)  # attempts before it waited
        self._per_attempt = per_attempt
        self._level = np.zeros(count, dtype=np.int64)
        self.clock_ps = np.zeros(count, dtype=np.int64)
        self.pairs = np.zeros(count, dtype=np.int64)
        self.attempts = np.zeros(count, dtype=np.int64)
        self.elements = np.empty((count, 6))

    def run(self, most_pairs: int) -> None:
        """One fresh pair for every delivery that is not finished, until all are.

        Raises:
            ScenarioError: one of them takes more than `most_pairs`, or beyond the end of the clock.
        """
        step = self._nest if self._schedule.arrangement == "nested" else self._pump
        open_: Which = np.arange(len(self.clock_ps))
        for _ in range(most_pairs):
            if not len(open_):
                return
            tried = self._rng.geometric(significant_one(self._scheme.success_probability), size=len(open_))
            self.attempts[open_] += tried
            self.clock_ps[open_] += tried * self._scheme.attempt_ps + self._scheme.lag_ps
            if self.clock_ps[open_].max() >= CLOCK_END_PS:
                break
            self.pairs[open_] += 1
            open_ = open_[~step(open_)]
        if len(open_):
            raise ScenarioError(
                f"{self._schedule.rounds} round(s) of {self._schedule.protocol} made no good pair from "
                f"{int(self.pairs[open_].max())} pairs, expected at most {most_pairs}, and before the clock's "
                "2^62 ps (53 days): pairs decay while they wait; use fewer rounds or better memories"
            )

    def _nest(self, which: Which) -> NDArray[np.bool_]:
        """Bring the fresh pairs of `which` as high as they get; bool, shape of `which`: is it finished."""
        done = np.zeros(len(which), dtype=np.bool_)
        place: Which = np.arange(len(which))
        six, since_ps = self._newcomers(which)
        for level in range(self._schedule.rounds):
            waits = self._waits(level, which)
            self._shelve(level, which[~waits], six[~waits], since_ps[~waits])
            which, place = which[waits], place[waits]
            if not len(which):
                return done
            passed, six, since_ps = self._round(level, which, six[waits], since_ps[waits], self._orders[level])
            which, place = which[passed], place[passed]
        self.elements[which] = six
        done[place] = True
        return done

    def _pump(self, which: Which) -> NDArray[np.bool_]:
        """Use the fresh pairs of `which` on the waiting ones; bool, shape of `which`: is it finished."""
        done = np.zeros(len(which), dtype=np.bool_)
        six, since_ps = self._newcomers(which)
        waits = self._waits(0, which)
        self._shelve(0, which[~waits], six[~waits], since_ps[~waits])
        self._level[which[~waits]] = 0
        orders = self._orders[self._level[which[waits]]]
        passed, better, since_ps = self._round(0, which[waits], six[waits], since_ps[waits], orders)
        place = np.flatnonzero(waits)[passed]
        survivors = which[place]
        self._shelve(0, survivors, better, since_ps)
        self._level[survivors] += 1
        finished = self._level[survivors] == self._schedule.rounds
        self.elements[survivors[finished]] = better[finished]
        done[place[finished]] = True
        return done

    def _waits(self, shelf: int, which: Which) -> NDArray[np.bool_]:
        """Of which of `which` a pair waits on the shelf, and not for too long; bool, shape of `which`."""
        waits = self._held[shelf, which]
        if self._schedule.cutoff_attempts is not None:
            waits = waits & (self.attempts[which] - self._tried[shelf, which] <= self._schedule.cutoff_attempts)
        return np.asarray(waits)

    def _newcomers(self, which: Which) -> tuple[Floats, Times]:
        """Elements of the fresh pairs, and since when they wait: from their emission on."""
        six = np.broadcast_to(self._fresh, (len(which), 6))
        return six, self.clock_ps[which] - self._scheme.age_ps

    def _shelve(self, shelf: int, which: Which, six: Floats, since_ps: Times) -> None:
        self._held[shelf, which] = True
        self._elements[shelf, which] = six
        self._since_ps[shelf, which] = since_ps
        self._tried[shelf, which] = self.attempts[which]

    def _round(
        self, shelf: int, which: Which, six: Floats, since_ps: Times, order: Order
    ) -> tuple[NDArray[np.bool_], Floats, Times]:
        """A round from now on, on the shelved pairs and the ones given, and the wait for its outcome.

        Returns:
            passed: bool, shape of `which`; and of those that passed, elements and since when
            they wait.
        """
        now_ps = self.clock_ps[which] + self._gates_ps
        kept = self._aged(self._elements[shelf, which], now_ps - self._since_ps[shelf, which])
        kept = dimmed(kept, self.attempts[which] - self._tried[shelf, which], self._per_attempt)
        spent = self._aged(six, now_ps - since_ps)
        success, better = self._work(kept, spent, order=order)
        passed = self._rng.random(len(which)) < snap(success)
        self._held[shelf, which] = False
        self.clock_ps[which] = now_ps + self._scheme.outcome_ps
        return passed, better[passed], now_ps[passed]

    def _aged(self, six: Floats, waited_ps: Times) -> Floats:
        if self._schedule.protocol == "epl":
            return decayed_elements(six, waited_ps, waited_ps, *self._memory)
        return elements_of_bell(decayed_bell(six, waited_ps, waited_ps, *self._memory))
