"""Iterative amplitude estimation: a probability to epsilon by O(1/epsilon) uses of its circuit.

With <Π> = a = sin²θ, θ in [0, π/2], a shot that runs k Grover steps (reflections about Π and about the input,
each with the circuit and its inverse) succeeds with probability sin²((2k+1) θ). The estimation is a pure state
machine: it says how many shots with how many steps it wants, and is told how many succeeded; what provides the
shots is not its business.

From the interval known of θ it finds the largest K = 4k + 2 for which all of it lies in one half turn, so that
cos Kθ = 1 - 2 p can be inverted; K at least doubles from one power to the next, so at most T = ⌈log2(π / (4 epsilon))⌉
+ 1 powers occur below the cap. Each power may fail with probability delta / T, its j-th look at the hits with
delta / (T j (j+1)); a look takes the interval of p that Chernoff's bound m KL(hits/m || p) <= ln(2/α) leaves (union
bound over looks: no bound is used twice). Where the powers are capped, shots at the cap go on until the interval is
narrow enough. Source: Grinko, Gacon, Zoufal and Woerner 2021 (arXiv 1912.05559); the split of delta is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

FIRST_SHOTS = 64
GROWTH = 1.5  # of the shots at a power from one look to the next
RATIO = 2  # K grows by this much at least


def success_probability(theta: float, power: int) -> float:
    """sin²((2k+1) θ) of a shot with k = `power` Grover steps."""
    return math.sin((2 * power + 1) * theta) ** 2


@dataclass(frozen=True)
class Shots:
    """What is asked for: `count` shots with `power` Grover steps each, 2 power + 1 uses of the circuit a shot."""

    power: int
    count: int


@dataclass(frozen=True)
class AmplitudeEstimation:
    """a to epsilon with probability 1 - delta, no shot with more than `most_power` Grover steps.

    most_power: None for no cap; 0 samples plainly. ValueError where the numbers make no promise.
    """

    epsilon: float
    delta: float
    most_power: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 0.5:
            raise ValueError(f"epsilon: {self.epsilon} given, expected a number between 0 and 1/2")
        if not 0 < self.delta < 1:
            raise ValueError(f"delta: {self.delta} given, expected a number between 0 and 1")
        if self.most_power is not None and self.most_power < 0:
            raise ValueError(f"most_power: {self.most_power} given, expected 0 or more")

    @property
    def powers(self) -> int:
        """T: how many different powers may occur."""
        uncapped = math.ceil(math.log2(math.pi / (4 * self.epsilon))) + 1
        if self.most_power is None:
            return uncapped
        return min(uncapped, math.floor(math.log2(2 * self.most_power + 1)) + 1)

    def start(self) -> Progress:
        """Nothing known yet."""
        return Progress(self, 0.0, math.pi / 2)


@dataclass(frozen=True)
class Progress:
    """Where an estimation stands; `told` gives the next.

    low, high: the interval of θ that is left. power, shots, hits, looks: at the present power.
    uses: of the circuit or its inverse so far. All are plain numbers, so a checkpoint may hold them.
    """

    settings: AmplitudeEstimation
    low: float
    high: float
    power: int = 0
    shots: int = 0
    hits: int = 0
    looks: int = 0
    uses: int = 0

    @property
    def interval(self) -> tuple[float, float]:
        """Of a: holds it with probability 1 - delta over the whole run."""
        return math.sin(self.low) ** 2, math.sin(self.high) ** 2

    @property
    def done(self) -> bool:
        """Whether the middle of the interval is within epsilon of all of it."""
        low, high = self.interval
        return high - low <= 2 * self.settings.epsilon

    @property
    def estimate(self) -> float:
        """The middle of the interval."""
        return sum(self.interval) / 2

    @property
    def request(self) -> Shots:
        """The shots wanted next. ValueError where none are."""
        if self.done:
            raise ValueError("request: the estimation is done, expected no more shots")
        count = FIRST_SHOTS if self.shots == 0 else math.ceil(self.shots * (GROWTH - 1))
        return Shots(self.power, count)

    def told(self, hits: int) -> Progress:
        """What is known once `hits` of the shots requested succeeded. ValueError for an impossible number."""
        count = self.request.count
        if not 0 <= hits <= count:
            raise ValueError(f"hits: {hits} given, expected 0 to {count}")
        moved = replace(self, shots=self.shots + count, hits=self.hits + hits, looks=self.looks + 1,
                        uses=self.uses + count * (2 * self.power + 1))
        return moved._narrowed()._at_best_power()

    def _narrowed(self) -> Progress:
        share = self.settings.delta / (self.settings.powers * self.looks * (self.looks + 1))
        least, most = chernoff_interval(self.hits, self.shots, share)
        turns = 4 * self.power + 2  # K: p = (1 - cos Kθ) / 2
        half = _half_turn(turns, self.low, self.high)
        assert half is not None
        angles = [math.acos(1 - 2 * p) for p in (least, most)]
        if half % 2:
            angles = [math.pi - angle for angle in reversed(angles)]
        low, high = ((half * math.pi + angle) / turns for angle in angles)
        # Where the two intervals miss each other one of them is wrong, which delta allows for.
        low, high = max(self.low, low), min(self.high, high)
        return replace(self, low=low, high=high) if low <= high else replace(self, low=high, high=high)

    def _at_best_power(self) -> Progress:
        if self.done:
            return self
        power = next_power(self.power, self.low, self.high, self.settings.most_power)
        return self if power == self.power else replace(self, power=power, shots=0, hits=0, looks=0)


def next_power(power: int, low: float, high: float, most_power: int | None = None) -> int:
    """The largest k that keeps Kθ, K = 4k + 2, within a half turn, if K at least doubles; otherwise `power` itself."""
    most = math.floor(math.pi / (high - low)) if high > low else 0
    if most_power is not None:
        most = min(most, 4 * most_power + 2)
    turns = most - (most - 2) % 4
    while turns >= RATIO * (4 * power + 2):
        if _half_turn(turns, low, high) is not None:
            return (turns - 2) // 4
        turns -= 4
    return power


def _half_turn(turns: int, low: float, high: float) -> int | None:
    """h where K low and K high both lie in [hπ, (h+1)π], or None."""
    half = math.floor(turns * (low + high) / 2 / math.pi)
    slack = 1e-12 * turns
    fits = half * math.pi <= turns * low + slack and turns * high - slack <= (half + 1) * math.pi
    return half if fits else None


def chernoff_interval(hits: int, shots: int, failure: float) -> tuple[float, float]:
    """All p with shots · KL(hits/shots || p) <= ln(2/failure): misses the true p with that probability at most."""
    limit, seen = math.log(2 / failure) / shots, hits / shots
    return _solved(seen, 0.0, limit), _solved(seen, 1.0, limit)


def _solved(seen: float, end: float, limit: float) -> float:
    """Where KL(seen || p) passes the limit between `seen` and `end`, by bisection, rounded outwards."""
    inner, outer = seen, end
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if divergence(seen, middle) > limit else (middle, outer)
    return outer


def divergence(q: float, p: float) -> float:
    """KL(q || p) of two coins, in nats."""
    total = 0.0
    for share, other in ((q, p), (1 - q, 1 - p)):
        if share > 0:
            total += math.inf if other <= 0 else share * math.log(share / other)
    return total
