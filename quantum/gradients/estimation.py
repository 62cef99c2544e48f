"""What every estimator of gradients shares: the promise, the copies held, and what comes of them.

A unitary's owner holds copies of |Φ> (see `features`). Estimators differ in what they measure on them and
in how many they need for the promise: with probability 1 - delta, every derivative to epsilon at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.binomial import count_for
from ketwire.quantum.gradients.dealing import draw_copies
from ketwire.quantum.gradients.features import Block
from ketwire.quantum.segments import Segment

MOST_SHUFFLED = 1 << 22
"""Copies that are dealt out one by one, in one go; more are drawn sample by sample, part by part."""


@dataclass(frozen=True)
class Promise:
    """Every one of `parameters` derivatives to epsilon, all of them with probability 1 - delta.

    parameters: of the whole circuit, of all owners: an owner of P_U of them may fail with probability
    delta P_U / parameters (union bound). ValueError where the numbers make no promise.
    """

    epsilon: float
    delta: float
    parameters: int

    def __post_init__(self) -> None:
        if not (self.epsilon > 0 and math.isfinite(self.epsilon)):
            raise ValueError(f"epsilon: {self.epsilon} given, expected a number above 0")
        if not 0 < self.delta < 1:
            raise ValueError(f"delta: {self.delta} given, expected a number between 0 and 1")
        if self.parameters < 1:
            raise ValueError(f"parameters: {self.parameters} given, expected 1 or more")

    @property
    def log_term(self) -> float:
        """ln(2 parameters / delta), of a union bound over two-sided errors."""
        return math.log(2 * self.parameters / self.delta)

    def share(self, count: int) -> float:
        """The probability with which an owner of `count` parameters may fail."""
        return min(self.delta, self.delta * count / self.parameters)


@dataclass(frozen=True, eq=False)
class Held:
    """Copies of |Φ> as their owner holds them: distinct states, how many of each, and of which sample.

    states: (rows, 2**(n+1)). counts: (rows,), copies in that state. samples: (rows,), from 0 up, none left
    out: the data sample whose gradient the row's copies tell of; a row each if not given. On a noisy
    link a sample has many rows, and the owner does not know which copy is in which. ValueError where
    shapes differ or a sample has no copies.
    """

    states: Complexes
    counts: Integers
    samples: Integers | None = None

    def __post_init__(self) -> None:
        rows = len(self.states)
        counts = np.asarray(self.counts)
        samples = np.arange(rows) if self.samples is None else np.asarray(self.samples)
        for name, given in (("counts", counts), ("samples", samples)):
            if given.shape != (rows,) or given.dtype.kind not in "iu" or (given < 0).any():
                raise ValueError(f"{name}: {given.dtype} of shape {list(given.shape)} given, "
                                 f"expected ({rows},) integers from 0 up")
        object.__setattr__(self, "counts", counts.astype(np.int64))
        object.__setattr__(self, "samples", samples.astype(np.int64))
        if rows == 0 or not (self.totals > 0).all():
            raise ValueError("counts: a sample without copies given, expected one copy or more of each sample")

    @classmethod
    def pure(cls, states: Complexes, copies: int) -> Held:
        """The same number of copies of each row, a sample a row."""
        return cls(states, np.full(len(states), copies))

    @property
    def of(self) -> Integers:
        """The sample of each row, (rows,)."""
        assert self.samples is not None
        return self.samples

    @property
    def rows_by_sample(self) -> list[Integers]:
        """The rows of each sample, ascending: one sort for all of them."""
        order = np.argsort(self.of, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.of))[:-1])

    @cached_property
    def totals(self) -> Integers:
        """Copies of each sample, (samples,)."""
        return np.bincount(self.of, self.counts).astype(np.int64)

    @property
    def is_pure(self) -> bool:
        """Whether no sample has more than one row."""
        return len(self.totals) == len(self.of)

    @cached_property
    def _runs(self) -> tuple[Integers, Integers] | None:
        """The rows, sample by sample, and where each begins; None where they stand like that, a row each."""
        if self.is_pure and (np.diff(self.of) == 1).all():
            return None
        order = np.argsort(self.of, kind="stable")
        return order, np.flatnonzero(np.diff(self.of[order], prepend=-1))

    def gather(self, of_rows: Floats | Integers) -> Floats:
        """Sums over each sample's rows: (rows, k) to (samples, k)."""
        given = np.asarray(of_rows, dtype=np.float64)
        if self._runs is None:
            return given
        order, begins = self._runs
        return np.add.reduceat(given[order], begins, axis=0)

    def deal(self, parts: int, rng: np.random.Generator) -> Integers:
        """Each sample's copies dealt evenly to `parts` uses, at random: (parts, rows).

        Where they do not come out even, the first parts get one more. ValueError where a part of a
        sample would get none.
        """
        totals = self.totals
        if totals.min() < parts:
            raise ValueError(f"counts: {totals.min()} copies of a sample given, expected {parts} or more")
        if self.is_pure:
            numbers = np.arange(parts)[:, None]
            return np.asarray(self.counts // parts + (numbers < self.counts % parts))
        if totals.sum() <= MOST_SHUFFLED:
            return self._shuffled(parts, rng)
        dealt = np.zeros((parts, len(self.counts)), dtype=np.int64)
        for rows, total in zip(self.rows_by_sample, totals, strict=True):
            left = self.counts[rows]
            for part in range(parts):
                taken = draw_copies(left, int(total // parts + (part < total % parts)), rng)
                dealt[part, rows] = taken
                left = left - taken
        return dealt

    def _shuffled(self, parts: int, rng: np.random.Generator) -> Integers:
        """`deal`, copy by copy, all samples at once: a sample's copies in a random order, cut into parts."""
        row = np.repeat(np.arange(len(self.counts)), self.counts)
        totals, sample = self.totals, self.of[row]
        # In a random order, then by sample; narrow integers are sorted in one pass an octet.
        order = np.argsort(rng.random(len(row)))
        order = order[np.argsort(sample.astype(np.min_scalar_type(len(totals)))[order], kind="stable")]
        begins = np.cumsum(totals) - totals
        place = np.arange(len(row)) - begins[sample[order]]
        each, larger = np.divmod(totals, parts)
        each, larger = each[sample[order]], larger[sample[order]]
        early = place < larger * (each + 1)
        part = np.where(early, place // (each + 1), larger + (place - larger * (each + 1)) // each)
        cells = np.bincount(part * len(self.counts) + row[order], minlength=parts * len(self.counts))
        return cells.reshape(parts, -1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Estimate:
    """values: (samples, parameter_count of U). used: (samples,), copies of |Φ> measured.

    drawn: int64, one axis, all outcomes that were drawn, in order, for a transcript (see `noted`); nothing where
    none were.
    """

    values: Floats
    used: Integers
    drawn: Integers = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


def noted(tallies: Iterable[Integers | Floats]) -> Integers:
    """Counts of outcomes as one vector: of each tally how many are not 0, where these stand in it, and they."""
    parts = [np.zeros(0, dtype=np.int64)]
    for tally in tallies:
        flat = np.ravel(tally).astype(np.int64)
        at = np.flatnonzero(flat)
        parts += [np.array([len(at)]), at, flat[at]]
    return np.concatenate(parts)


class Estimator(Protocol):
    """A way to read all derivatives of one unitary from copies of its |Φ>."""

    name: ClassVar[str]

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """Copies of |Φ> that keep the promise for the unitary that has these blocks, or asks for as much."""
        ...

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """What the copies held tell, however many they are."""
        ...


def half_ranges(blocks: Sequence[Block]) -> tuple[Floats, Floats]:
    """Σ_b r_pb and Σ_b r_pb² for each parameter p that blocks read, r_pb the largest value block b says.

    Both are (parameters,): the norm of O_p at most, and what bounds on the number of copies ask for.
    """
    slots = sorted({slot for block in blocks for slot in block.slots})
    column = {slot: index for index, slot in enumerate(slots)}
    sums, squares = np.zeros(len(slots)), np.zeros(len(slots))
    for block in blocks:
        at = [column[slot] for slot in block.slots]
        sums[at] += block.bounds
        squares[at] += block.bounds**2
    return sums, squares


@dataclass(frozen=True)
class Demand:
    """All that the formulas for copies ask of a unitary: numbers, and no gate or angle.

    So an owner may tell them to others, who then know as well how many copies come. ValueError where
    there is no such unitary.

    qubits: of |Φ>, the ancilla included. parameters: whose derivatives blocks read. blocks: of the unitary.
    readings: parameters, each counted once for each block that reads it. widest: max_pb r_pb. sums:
    max_p Σ_b r_pb. squares: max_p Σ_b r_pb². terms: how many blocks read each parameter, if that is the same
    number for all, every reading has the two values r_pb and -r_pb alone, and r_pb does not depend on b; otherwise 0.
    All 0 where nothing is to be read.
    """

    qubits: int
    parameters: int
    blocks: int
    readings: int
    widest: float
    sums: float
    squares: float
    terms: int

    def __post_init__(self) -> None:
        for name, given in vars(self).items():
            if not (given >= 0 and math.isfinite(given)):
                raise ValueError(f"{name}: {given} given, expected a number from 0 up")

    @classmethod
    def of(cls, asked: Asked) -> Demand:
        """What a unitary asks for that has these blocks."""
        if isinstance(asked, Demand):
            return asked
        if not asked:
            return cls(0, 0, 0, 0, 0.0, 0.0, 0.0, 0)
        sums, squares = half_ranges(asked)
        readings, widest = sum(len(block.slots) for block in asked), max(float(block.bounds.max()) for block in asked)
        largest = (float(sums.max()), float(squares.max()))
        return cls(asked[0].qubits, len(sums), len(asked), readings, widest, *largest, _terms(asked))


def _terms(blocks: Sequence[Block]) -> int:
    """`Demand.terms`."""
    ranges: dict[int, list[float]] = {}
    for block in blocks:
        if not (np.abs(block.values) == block.bounds).all():
            return 0
        for slot, bound in zip(block.slots, block.bounds.tolist(), strict=True):
            ranges.setdefault(slot, []).append(bound)
    alike = len({len(each) for each in ranges.values()}) == 1 and all(len(set(each)) == 1 for each in ranges.values())
    return len(next(iter(ranges.values()))) if alike else 0


Asked = Sequence[Block] | Demand
"""A unitary by its blocks, or by what its owner tells of them."""


def copies_each(blocks: Asked, promise: Promise) -> int:
    """K measurements of each part keep the promise, by a union bound over its P parameters.

    Where all readings have two values (`Demand.terms` = B), a derivative is 2 B r times the share of hits among
    B K outcomes, less a constant: K is the least that the binomial law allows for epsilon / (2 B r) and delta / P.
    Elsewhere Hoeffding's inequality for a sum over b of means of K numbers in [-r_pb, r_pb] gives
    K = 2 ln(2P/delta) max_p Σ_b r_pb² / epsilon².
    """
    asked = Demand.of(blocks)
    if asked.terms and asked.squares:
        each = promise.epsilon / (2 * math.sqrt(asked.terms * asked.squares))
        return count_for(each, promise.delta / promise.parameters, asked.terms) // asked.terms
    return math.ceil(2 * promise.log_term * asked.squares / promise.epsilon**2)
