"""Pairs at deadlines: every so often a pair is handed over, and another state where none was made in time.

Each memory slot works in periods of the same length, the first from 0 on. At the begin of a period it begins to try; a
pair that is heralded within the period waits, and decays, until its end. There it is handed over, and where no attempt
succeeded in time a fallback state is, which the ends prepare then. A qubit uses what is handed over first when it is
ready, and does not know which of both it was. What nobody wants is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S
from ketwire.quantum.grid import significant_one

if TYPE_CHECKING:
    from ketwire.channels.entanglement.heralding import Scheme
    from ketwire.channels.entanglement.pairs import Constant, Floats

Times = NDArray[np.int64]
MIXED = (0.25, 0.25, 0.25, 0.25)
_MOST_TERMS = 1 << 16


@dataclass(frozen=True)
class Delivery:
    """When pairs are handed over, and what takes the place of one that was not made.

    every_ps: from one to the next of a memory slot
    fallback: Bell diagonal of the state where none was made

    Raises:
        ValueError: times or weights that there are not; the message starts with `deliver`.
    """

    every_ps: int
    fallback: tuple[float, float, float, float] = MIXED

    def __post_init__(self) -> None:
        if not 1 <= self.every_ps < CLOCK_END_PS:
            raise ValueError("deliver: expected every_s from 1e-12 to below 2^62 ps (53 days)")
        if min(self.fallback) < 0.0 or abs(sum(self.fallback) - 1.0) > 1e-9:
            raise ValueError("deliver: expected a fallback whose weights sum to 1")

    def tries(self, scheme: Scheme, use_ps: int = 0) -> int:
        """How many attempts of a period are heralded within it.

        use_ps: how long the pair before keeps the slot from the begin of a period on

        Raises:
            ValueError: none is.
        """
        found = (self.every_ps - use_ps - scheme.lag_ps) // scheme.attempt_ps
        if found < 1:
            least_s = (use_ps + scheme.attempt_ps + scheme.lag_ps) / PS_PER_S
            raise ValueError(f"deliver: expected every_s of at least {least_s:g}, so that an attempt fits")
        return found

    def made(self, scheme: Scheme, use_ps: int = 0) -> float:
        """Probability that a pair is made in time."""
        return 1.0 - float((1.0 - scheme.success_probability) ** self.tries(scheme, use_ps))

    def bell(self, scheme: Scheme, t1_ps: Constant, t2_ps: Constant, use_ps: int = 0) -> Floats:
        """Bell diagonal of what is handed over, on average; float64, shape (4,).

        The time of the herald is summed over, attempt by attempt; of more than 2^16 attempts, by stretches of them.
        """
        from ketwire.channels.entanglement.heralding import fresh_elements  # noqa: PLC0415
        from ketwire.channels.entanglement.pairs import decayed_bell  # noqa: PLC0415

        tries = self.tries(scheme, use_ps)
        edges = np.unique(np.linspace(0, tries, min(tries, _MOST_TERMS) + 1).astype(np.int64))
        failing = (1.0 - scheme.success_probability) ** edges
        weights = failing[:-1] - failing[1:]
        last = (edges[1:] + edges[:-1] + 1) // 2
        waits_ps = self.every_ps - use_ps - scheme.lag_ps - last * scheme.attempt_ps + scheme.age_ps
        found = decayed_bell(fresh_elements(scheme, t1_ps, t2_ps), waits_ps, waits_ps, t1_ps, t2_ps)
        handed: Floats = weights @ found + (1.0 - weights.sum()) * np.array(self.fallback)
        return handed


class Delivered(NamedTuple):
    """What was handed over, in the order of the requests.

    release_ps: int64, shape (k,), when
    making_ps:  int64, shape (k,), since it was wanted and what its slot had handed over before was used up
    waits_ps:   int64, shape (k,), how old its halves are then, and 0 of a fallback
    elements:   float64, shape (k, 6): see `pairs.elements`, as of `waits_ps` before
    made:       bool, shape (k,), whether it is a pair
    attempts:   int64, shape (k,), in the period before
    free_ps:    int64, shape (slots,), when what each slot handed over last was used up
    """

    release_ps: Times
    making_ps: Times
    waits_ps: Times
    elements: Floats
    made: NDArray[np.bool_]
    attempts: Times
    free_ps: Times


def deliver(
    ready_ps: Times,
    scheme: Scheme,
    delivery: Delivery,
    slots: int,
    free_ps: Times,
    *,
    t1_ps: Constant,
    t2_ps: Constant,
    rng: np.random.Generator,
    use_ps: int = 0,
) -> Delivered:
    """Hand over k pairs or fallbacks; slot i mod slots serves request i.

    Args:
        ready_ps, slots, free_ps, use_ps: as for `generation.generate`.
        t1_ps, t2_ps: time constants of the memories, as for `pairs.decay_pairs`.

    Raises:
        ScenarioError: they would take beyond the end of the clock.
    """
    from ketwire.channels.entanglement.generation import check_clock, latest, serve_slots  # noqa: PLC0415
    from ketwire.channels.entanglement.heralding import fresh_elements  # noqa: PLC0415
    from ketwire.channels.entanglement.pairs import elements_of_bell  # noqa: PLC0415

    every_ps, count = delivery.every_ps, len(ready_ps)
    check_clock(latest(ready_ps, free_ps), count, slots, every_ps)
    periods = -(-ready_ps // every_ps), np.ones(count, dtype=np.int64)
    _, period, last = serve_slots(*periods, slots, np.maximum(-((use_ps - free_ps) // every_ps), 0))
    release_ps, tries = period * every_ps, delivery.tries(scheme, use_ps)
    before_ps = np.concatenate([free_ps, release_ps + use_ps])[:count]
    attempts: Times = rng.geometric(significant_one(scheme.success_probability), size=count)
    made = attempts <= tries
    waits_ps = np.where(made, every_ps - use_ps - scheme.lag_ps - attempts * scheme.attempt_ps + scheme.age_ps, 0)
    six = np.where(
        made[:, None], fresh_elements(scheme, t1_ps, t2_ps), elements_of_bell(np.array(delivery.fallback))
    )
    free_after_ps = np.where(last * every_ps + use_ps > free_ps, last * every_ps + use_ps, free_ps)
    return Delivered(
        release_ps, release_ps - np.maximum(ready_ps, before_ps), waits_ps, six, made, np.minimum(attempts, tries),
        free_after_ps,
    )  # fmt: skip
