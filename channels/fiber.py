"""The glass: what a fiber loses, how long light takes through it, how fast its ends can send.

A qubit survives with probability (1 - p_init) 10^(-alpha L / 10) times the efficiency of the detector
that heralds it, and arrives L/v after its time bin. A classical bit arrives L/v and `classical_delay_s`, the delay
of the equipment at the ends, after it has left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from ketwire.channels.timing import PS_PER_S

LIGHT_KM_PER_S = 299_792.458
SLOWEST = 1e-12  # of any speed or rate, so that every time is a finite number of picoseconds


@dataclass(frozen=True)
class Fiber:
    """The physics of one direction of a link. Rates of None mean: takes no time.

    Raises:
        ValueError: a value that no fiber can have; the message starts with the field's name.
    """

    length_km: float = 0.0
    loss_db_per_km: float = 0.0
    p_init: float = 0.0
    detector_efficiency: float = 1.0
    speed_km_per_s: float = 200_000.0
    emission_rate_hz: float | None = None
    bandwidth_bps: float | None = None
    classical_delay_s: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("length_km", 0.0, 1e6),
            ("loss_db_per_km", 0.0, 1e6),
            ("p_init", 0.0, 1.0),
            ("detector_efficiency", 0.0, 1.0),
            ("classical_delay_s", 0.0, 1e6),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: {value!r} given, expected a number from {low:g} to {high:g}")
        if self.speed_km_per_s > LIGHT_KM_PER_S:
            raise ValueError(
                f"speed_km_per_s: {self.speed_km_per_s!r} given, expected at most that of light, {LIGHT_KM_PER_S}"
            )
        for name in ("speed_km_per_s", "emission_rate_hz", "bandwidth_bps"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= SLOWEST):
                raise ValueError(f"{name}: {value!r} given, expected a number above 0, {SLOWEST:g} at least")

    @property
    def coupling(self) -> float:
        """Probability that one emitted qubit enters the fiber and, at its end, is heralded."""
        return (1.0 - self.p_init) * self.detector_efficiency

    @cached_property
    def survival(self) -> float:
        """Probability that one emitted qubit arrives and is heralded."""
        fiber: float = 10.0 ** (-self.loss_db_per_km * self.length_km / 10.0)
        return fiber * self.coupling

    @cached_property
    def delay_ps(self) -> int:
        """Propagation, L / v."""
        return round(self.length_km / self.speed_km_per_s * PS_PER_S)

    @cached_property
    def classical_ps(self) -> int:
        """From when a classical bit has left until it arrives."""
        return self.delay_ps + round(self.classical_delay_s * PS_PER_S)

    @cached_property
    def bin_ps(self) -> int:
        """One emission time bin."""
        return 0 if self.emission_rate_hz is None else round(PS_PER_S / self.emission_rate_hz)

    def sending_ps(self, bits: int) -> int:
        """How long `bits` keep the classical lane busy, rounded up."""
        if self.bandwidth_bps is None:
            return 0
        # In integers: a quotient of floats is a picosecond off from 2^53 ps on, and sooner where it is whole.
        above, below = self.bandwidth_bps.as_integer_ratio()
        return -(-bits * PS_PER_S * below // above)
