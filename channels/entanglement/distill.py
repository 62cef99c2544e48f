"""Entanglement distillation: fewer pairs, better ones.

One round takes two pairs, a controlled NOT at each end from the kept pair to the other, a
measurement of the other at both ends, and one message each way; where the outcomes differ both pairs
are lost. `bbpssw` twirls its pairs to Werner states (Bennett et al. 1996), `dejmps` twirls them to
Bell-diagonal states and turns each end by a quarter about X first (Deutsch et al. 1996).

Several rounds are arranged in one of two ways. `nested`: round r takes two pairs that both passed
r - 1 rounds, so n rounds take 2^n pairs if all goes well, and a memory for one waiting pair of each
level. `pumping`: every round takes the kept pair and a fresh one, n + 1 pairs and a single waiting
pair. A failed round loses what went into it, and that is made again from fresh pairs.

*The process in time* (`distill`). A memory slot makes its pairs one after another. A round happens as
soon as its second pair is there; its outcome is known at both ends
`Scheme.outcome_ps` later, and only then does the slot go on.
All halves that wait decay meanwhile: those of a fresh pair from its emission on, those of a distilled
pair from the round that made it. Success is drawn with the probability that the two pairs, decayed
as they are by then, have for it. What one delivered pair takes depends neither on the hour nor on
other deliveries, so all deliveries of a batch are simulated side by side, each wave one fresh pair in
every one that is not finished, and are put one after another afterwards (`serve_slots`). That is
exact for this process: no mean values, no approximation of waiting times. What the process itself
leaves out: noise and duration of the local gates, and fresh pairs tried for while an outcome is
under way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.generation import Times, check_clock, latest, serve_slots
from ketwire.channels.entanglement.heralding import Scheme, fresh_elements, mean_ps
from ketwire.channels.entanglement.pairs import (
    Constant,
    Floats,
    bell_diagonal,
    check_memory,
    decayed_bell,
    elements_of_bell,
    werner_twirl,
)
from ketwire.channels.timing import CLOCK_END_PS
from ketwire.errors import ScenarioError
from ketwire.quantum.grid import significant_one, snap

Method = Literal["bbpssw", "dejmps"]
Arrangement = Literal["nested", "pumping"]

MAX_ROUNDS = 8
_MAX_PAIRS_PER_PLANNED = 100  # chance alone never takes so many; rounds that decay has made fail may


# One round


class Round(NamedTuple):
    """What a round does: float64 probability of success (...), and Bell diagonals after it (..., 4)."""

    success: Floats
    bell: Floats


def bbpssw(first: Floats, second: Floats) -> Round:
    """A round on pairs twirled to Werner states; equal ones give F' = (F² + e²) / (F² + 2Fe + 5e²).

    Args:
        first, second: float64, shapes (..., 4) that broadcast: Bell diagonals. e = (1 - F) / 3.
    """
    f_1, f_2 = first[..., 0], second[..., 0]
    e_1, e_2 = (1.0 - f_1) / 3.0, (1.0 - f_2) / 3.0
    good = f_1 * f_2 + e_1 * e_2
    success: Floats = good + f_1 * e_2 + e_1 * f_2 + 4.0 * e_1 * e_2
    kept = np.zeros((*success.shape, 4))
    kept[..., 0] = good / success
    return Round(success, werner_twirl(kept))


def dejmps(first: Floats, second: Floats) -> Round:
    """A round on Bell-diagonal pairs, equal or not.

    Args:
        first, second: float64, shapes (..., 4) that broadcast: Bell diagonals. A success that is
            impossible leaves weights of zero.
    """
    a_1, b_1, c_1, d_1 = np.moveaxis(first, -1, 0)
    a_2, b_2, c_2, d_2 = np.moveaxis(second, -1, 0)
    kept = np.stack(
        [a_1 * a_2 + b_1 * b_2, c_1 * d_2 + d_1 * c_2, c_1 * c_2 + d_1 * d_2, a_1 * b_2 + b_1 * a_2], axis=-1
    )
    success = kept.sum(axis=-1)
    return Round(success, kept / np.where(success > 0.0, success, 1.0)[..., None])


_ROUNDS = {"bbpssw": bbpssw, "dejmps": dejmps}


# Schedules and what they are expected to cost


@dataclass(frozen=True)
class Schedule:
    """How many rounds, of which protocol, arranged how.

    Raises:
        ValueError: a value that is no schedule; the message starts with the field's name.
    """

    rounds: int = 1
    protocol: Method = "dejmps"
    arrangement: Arrangement = "nested"

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ValueError(f"rounds: {self.rounds!r} given, expected a number from 1 to {MAX_ROUNDS}")
        for name, choices in (("protocol", Method), ("arrangement", Arrangement)):
            value = getattr(self, name)
            if value not in get_args(choices):
                raise ValueError(f"{name}: {value!r} given, expected {' or '.join(get_args(choices))}")

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
    """

    pairs: float
    outcomes: float
    time_ps: float
    success: Floats
    bell: Floats


def plan(scheme: Scheme, schedule: Schedule) -> Plan:
    """Expected cost of one good pair.

    Exact for memories that do not decay. Where they do, rounds fail more often and pairs come out
    worse than planned: `distill` says by how much.
    """
    fresh = bell_diagonal(scheme.state())
    bell, pairs, outcomes = fresh, 1.0, 0.0
    success = np.empty(schedule.rounds)
    for number in range(schedule.rounds):
        nested = schedule.arrangement == "nested"
        success[number], bell = _ROUNDS[schedule.protocol](bell, bell if nested else fresh)
        pairs = (2.0 * pairs if nested else pairs + 1.0) / success[number]
        outcomes = ((2.0 * outcomes if nested else outcomes) + 1.0) / success[number]
    time_ps = pairs * mean_ps(scheme) + outcomes * scheme.outcome_ps
    return Plan(pairs, outcomes, time_ps, success, bell)


# The process in time


class Distilled(NamedTuple):
    """Good pairs, in the order of the requests.

    herald_ps:  int64, shape (k,), when each is known to be good
    release_ps: int64, shape (k,), when each is consumed and its slot free again
    made_ps:    int64, shape (k,), when its last round happened: its halves wait from then on
    bell:       float64, shape (k, 4), Bell diagonal at `made_ps`; what it has become by a later time
                says `decayed_bell(elements_of_bell(bell), time - made_ps, ...)`
    pairs:      int64, shape (k,), fresh pairs that each took
    attempts:   int64, shape (k,), attempts that those took
    making_ps:  int64, shape (k,), how long its slot worked for each
    free_ps:    int64, shape (slots,), when each slot is free in the end
    """

    herald_ps: Times
    release_ps: Times
    made_ps: Times
    bell: Floats
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
) -> Distilled:
    """Make k good pairs: `heralding.generate` with distillation, as the head of this module says.

    Args:
        ready_ps, slots, free_ps: as for `generate`; a slot is what works on one good pair at a time.
        scheme: how fresh pairs are made.
        t1_ps, t2_ps: time constants of the memories, as for `pairs.decay_pairs`.

    Raises:
        ScenarioError: the pairs would, or could well, take beyond the end of the clock; or they decay
            so fast that rounds fail far more often than planned.
        ValueError: time constants that no memory has.
    """
    check_memory(t1_ps, t2_ps)
    planned = plan(scheme, schedule)
    latest_ps = latest(ready_ps, free_ps)
    check_clock(latest_ps, len(ready_ps), slots, planned.time_ps)
    bench = _Bench(len(ready_ps), scheme, schedule, _Memory(t1_ps, t2_ps), rng)
    bench.run(most_pairs=int(planned.pairs * _MAX_PAIRS_PER_PLANNED))
    # Rounds that fail for decay take longer than planned, so now with the times that it took.
    taken_ps = float(bench.clock_ps.sum(dtype=np.float64))
    check_clock(latest_ps, len(ready_ps), slots, taken_ps / max(1, len(ready_ps)))
    herald_ps, release_ps, free_after_ps = serve_slots(ready_ps, bench.clock_ps, slots, free_ps)
    made_ps = herald_ps - scheme.outcome_ps
    cost = bench.pairs, bench.attempts, bench.clock_ps
    return Distilled(herald_ps, release_ps, made_ps, bench.bell, *cost, free_after_ps)


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
        self, count: int, scheme: Scheme, schedule: Schedule, memory: _Memory, rng: np.random.Generator
    ) -> None:
        self._scheme, self._schedule, self._memory, self._rng = scheme, schedule, memory, rng
        self._fresh = fresh_elements(scheme, *memory)
        shelves = schedule.rounds if schedule.arrangement == "nested" else 1
        self._held = np.zeros((shelves, count), dtype=np.bool_)
        self._elements = np.empty((shelves, count, 6))
        self._since_ps = np.empty((shelves, count), dtype=np.int64)
        self._level = np.zeros(count, dtype=np.int64)
        self.clock_ps = np.zeros(count, dtype=np.int64)
        self.pairs = np.zeros(count, dtype=np.int64)
        self.attempts = np.zeros(count, dtype=np.int64)
        self.bell = np.empty((count, 4))

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
            waits = self._held[level, which]
            self._shelve(level, which[~waits], six[~waits], since_ps[~waits])
            which, place = which[waits], place[waits]
            if not len(which):
                return done
            passed, bell, since_ps = self._round(level, which, six[waits], since_ps[waits])
            which, place = which[passed], place[passed]
            six = elements_of_bell(bell)
        self.bell[which] = bell
        done[place] = True
        return done

    def _pump(self, which: Which) -> NDArray[np.bool_]:
        """Use the fresh pairs of `which` on the waiting ones; bool, shape of `which`: is it finished."""
        done = np.zeros(len(which), dtype=np.bool_)
        six, since_ps = self._newcomers(which)
        waits = self._held[0, which]
        self._shelve(0, which[~waits], six[~waits], since_ps[~waits])
        self._level[which[~waits]] = 0
        passed, bell, since_ps = self._round(0, which[waits], six[waits], since_ps[waits])
        place = np.flatnonzero(waits)[passed]
        survivors = which[place]
        self._shelve(0, survivors, elements_of_bell(bell), since_ps)
        self._level[survivors] += 1
        finished = self._level[survivors] == self._schedule.rounds
        self.bell[survivors[finished]] = bell[finished]
        done[place[finished]] = True
        return done

    def _newcomers(self, which: Which) -> tuple[Floats, Times]:
        """Elements of the fresh pairs, and since when they wait: from their emission on."""
        six = np.broadcast_to(self._fresh, (len(which), 6))
        return six, self.clock_ps[which] - self._scheme.age_ps

    def _shelve(self, shelf: int, which: Which, six: Floats, since_ps: Times) -> None:
        self._held[shelf, which] = True
        self._elements[shelf, which] = six
        self._since_ps[shelf, which] = since_ps

    def _round(self, shelf: int, which: Which, six: Floats, since_ps: Times) -> tuple[NDArray[np.bool_], Floats, Times]:
        """A round now, on the shelved pairs and the ones given, and the wait for its outcome.

        Returns:
            passed: bool, shape of `which`; and of those that passed, Bell diagonals and since when
            they wait.
        """
        now_ps = self.clock_ps[which]
        kept = self._aged(self._elements[shelf, which], now_ps - self._since_ps[shelf, which])
        spent = self._aged(six, now_ps - since_ps)
        success, bell = _ROUNDS[self._schedule.protocol](kept, spent)
        passed = self._rng.random(len(which)) < snap(success)
        self._held[shelf, which] = False
        self.clock_ps[which] += self._scheme.outcome_ps
        return passed, bell[passed], now_ps[passed]

    def _aged(self, six: Floats, waited_ps: Times) -> Floats:
        return decayed_bell(six, waited_ps, waited_ps, *self._memory)
