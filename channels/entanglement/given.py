"""Pairs that are known by what was measured of them: their rate and their state."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ketwire.channels.entanglement.heralding import check_probability, check_time
from ketwire.channels.entanglement.pairs import Rho, from_bell, werner
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S


@dataclass(frozen=True)
class Given:
    """Pairs at a measured rate and of a measured state: for experiments known by these alone.

    rate_hz: heralded pairs per second of one memory slot that is never blocked
    fidelity: of a Werner pair; bell: Bell diagonal of the pair, in its place
    success_probability: of one attempt; it spreads the times between heralds like those of an
        experiment (nearly exponential where it is small) without changing the rate
    outcome_ps: from a round of distillation until both ends know its outcome

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    rate_hz: float
    fidelity: float | None
    success_probability: float = 1e-3
    outcome_ps: int = 0
    bell: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_hz) and self.rate_hz > 0.0):
            raise ValueError(f"rate_hz: {self.rate_hz!r} given, expected a number above 0")
        if self.fidelity is not None:
            check_probability("fidelity", self.fidelity)
        check_probability("success_probability", self.success_probability, above_zero=True)
        check_time("outcome_ps", self.outcome_ps)
        if not 1000 <= self.success_probability / self.rate_hz * PS_PER_S < CLOCK_END_PS:
            # Below a nanosecond the rounding to whole picoseconds would change the rate by 1e-3.
            fastest_hz = self.success_probability / 1000 * PS_PER_S
            raise ValueError(
                f"rate_hz: {self.rate_hz!r} given, expected pairs a second from "
                f"{self.success_probability / CLOCK_END_PS * PS_PER_S:.2g} to {fastest_hz:.2g} (at a success "
                f"probability of {self.success_probability:g}, an attempt lasts from 1 ns to 2^62 ps)"
            )

    @cached_property
    def attempt_ps(self) -> int:
        """What gives the rate."""
        return round(self.success_probability / self.rate_hz * PS_PER_S)

    @property
    def lag_ps(self) -> int:
        return 0

    @property
    def age_ps(self) -> int:
        """Nothing: the state was measured on heralded pairs."""
        return 0

    @property
    def older_ps(self) -> tuple[int, int]:
        return 0, 0

    def state(self) -> Rho:
        """The state that was measured; complex128, shape (4, 4)."""
        if self.bell is not None:
            return from_bell(np.array(self.bell))
        assert self.fidelity is not None
        return werner(self.fidelity)
