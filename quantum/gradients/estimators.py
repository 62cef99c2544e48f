"""Estimators that measure parameters or blocks one copy at a time, and the names of all estimators.

Source of the problem: Gilboa et al. (arXiv 2310.07136), problem 2; of reading commuting generators
together: Bowles, Wierichs and Park (arXiv 2306.14962). docs/estimators.md compares them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.gradients.estimation import Asked, Demand, Estimate, Estimator, Held, Promise, copies_each, noted
from ketwire.quantum.gradients.features import blocks_of, contributions, sweep
from ketwire.quantum.gradients.parameter_shift import ParameterShift
from ketwire.quantum.gradients.shadow_tomography import ShadowTomography
from ketwire.quantum.gradients.shadows import ClassicalShadows, Tomography
from ketwire.quantum.grid import product
from ketwire.quantum.sampling import sample
from ketwire.quantum.segments import Segment


@dataclass(frozen=True)
class Exact:
    """Expectation values of the copies held, without any sampling: the reference. It uses up no copies."""

    name: ClassVar[str] = "exact"

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """None."""
        return 0

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """Means over each sample's copies."""
        weighted = held.gather(contributions(segment, held.states) * held.counts[:, None])
        return Estimate(weighted / held.totals[:, None], np.zeros_like(held.totals))


@dataclass(frozen=True)
class Direct:
    """Each parameter from copies of its own: O(P log P / epsilon²) of them.

    The outcome is the value of O_p alone, two-valued for one rotation. A parameter that feeds several
    blocks takes copies for each. Every outcome is sampled exactly, and the estimate is unbiased.
    """

    name: ClassVar[str] = "direct"

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """Parameters times `copies_each`, counted once for each block that they feed."""
        return Demand.of(blocks).readings * copies_each(blocks, promise)

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """ValueError where a sample has fewer copies than there are parameters to measure."""
        result, tallies = _nothing(held, segment), list[Floats]()
        parts = sum(len(block.slots) for block in blocks_of(segment.circuit))
        if parts:
            dealt = held.deal(parts, rng)
            for part, (slot, law, values) in enumerate(single_laws(segment, held.states)):
                counts = held.gather(sample(law, dealt[part], rng))
                result[:, slot] += product(counts, values[:, None])[:, 0] / counts.sum(axis=1)
                tallies.append(counts)
        return Estimate(result, held.totals if parts else np.zeros_like(held.totals), noted(tallies))


@dataclass(frozen=True)
class Commuting:
    """Each block from copies of its own, all its parameters from each: O(blocks log P / epsilon²).

    Outcomes of a block are sampled jointly and exactly, and the estimate is unbiased.
    """

    name: ClassVar[str] = "commuting"

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """Blocks times `copies_each`."""
        return Demand.of(blocks).blocks * copies_each(blocks, promise)

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """ValueError where a sample has fewer copies than there are blocks."""
        result, tallies = _nothing(held, segment), list[Floats]()
        blocks = blocks_of(segment.circuit)
        if blocks:
            dealt = held.deal(len(blocks), rng)
            for portion, (block, framed) in zip(dealt, sweep(segment, held.states), strict=True):
                counts = held.gather(sample(block.observable.probabilities(framed), portion, rng))
                result[:, block.slots] += block.read(counts)
                tallies.append(counts)
        return Estimate(result, held.totals if blocks else np.zeros_like(held.totals), noted(tallies))


@dataclass(frozen=True)
class RandomCoordinate:
    """Each copy measures one of B blocks (or parameters) drawn at random, its values times B.

    Unbiased from a single copy, for stochastic gradient descent. The choices and the outcomes are sampled
    exactly. Of a copy, a parameter's value X has E X² <= B Σ_b r_pb² and |X - E X| <= B max r + Σ_b r_pb,
    so Bernstein's inequality asks for ln(2P/delta) (2 B Σ r² / epsilon² + 2 (B max r + Σ r) / (3 epsilon)).
    """

    unit: Literal["block", "parameter"] = "block"
    name: ClassVar[str] = "random-coordinate"

    def __post_init__(self) -> None:
        if self.unit not in ("block", "parameter"):
            raise ValueError(f"unit: {self.unit!r} given, expected 'block' or 'parameter'")

    def _units(self, blocks: Asked) -> int:
        asked = Demand.of(blocks)
        return asked.blocks if self.unit == "block" else asked.readings

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """By Bernstein's inequality and a union bound."""
        asked, units = Demand.of(blocks), self._units(blocks)
        spread = 2 * units * asked.squares / promise.epsilon**2
        return math.ceil(promise.log_term * (spread + 2 * (units * asked.widest + asked.sums) / (3 * promise.epsilon)))

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """Works for any number of copies from one up."""
        result, units = _nothing(held, segment), self._units(blocks_of(segment.circuit))
        tallies: list[Floats] = []
        if not units:
            return Estimate(result, np.zeros_like(held.totals))
        drawn = rng.multinomial(held.counts, np.full(units, 1 / units))
        scale = units / held.totals
        if self.unit == "block":
            for unit, (block, framed) in enumerate(sweep(segment, held.states)):
                counts = held.gather(sample(block.observable.probabilities(framed), drawn[:, unit], rng))
                result[:, block.slots] += scale[:, None] * product(counts, block.values)
                tallies.append(counts)
        else:
            for unit, (slot, law, values) in enumerate(single_laws(segment, held.states)):
                counts = held.gather(sample(law, drawn[:, unit], rng))
                result[:, slot] += product(counts, values[:, None])[:, 0] * scale
                tallies.append(counts)
        return Estimate(result, held.totals, noted(tallies))


def single_laws(segment: Segment, states: Complexes) -> Iterator[tuple[int, Floats, Floats]]:
    """For each block and each of its parameters: the slot, the law of what it says, and its values.

    The law is (rows, values); a rotation has the two values +1/2 and -1/2 times its scale.
    """
    for block, framed in sweep(segment, states):
        probabilities = block.observable.probabilities(framed)
        for column, slot in enumerate(block.slots):
            values, which = np.unique(block.values[:, column], return_inverse=True)
            law = np.zeros((len(states), len(values)))
            np.add.at(law.T, which, probabilities.T)
            yield slot, law, values


def _nothing(held: Held, segment: Segment) -> Floats:
    return np.zeros((len(held.totals), segment.circuit.parameter_count))


FROM_FEATURES: dict[str, type[Estimator]] = {
    estimator.name: estimator
    for estimator in (Exact, Direct, Commuting, RandomCoordinate, ClassicalShadows, Tomography, ShadowTomography)
}
NAMES = (*FROM_FEATURES, ParameterShift.name)


def estimator(name: str) -> Estimator | ParameterShift:
    """The estimator of this name with its usual settings. ValueError for a name that is none.

    All but `parameter-shift`, which needs whole inferences, work from copies of |Φ>.
    """
    if name == ParameterShift.name:
        return ParameterShift()
    if name not in FROM_FEATURES:
        raise ValueError(f"estimator: {name!r} given, expected one of {', '.join(NAMES)}")
    return FROM_FEATURES[name]()
