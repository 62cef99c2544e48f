"""What a laboratory adds to click schemes: how attempts follow each other, where the station is, what emitters do.

A description, like `channels.parts`: frozen, checked when it is made, cheap to import. The schemes in
`channels.entanglement.heralding` make pairs by it. Without it an attempt takes what light and emission take, the
station is in the middle, and every memory emits one photon in a fixed phase.

*Emitters.* An excited memory and its photon are a Werner pair of fidelity `emission_fidelity`; that is a depolarizing
of the memory, at each end. With the probability `double_excitation` an excited memory emits one more photon, which
leaves unseen and tells which memory emitted: what is coherent between the two is multiplied by 1 - double_excitation
for each herald. The phase between the two paths has a Gaussian spread of `phase_noise_deg`, which multiplies the
coherence of single clicks by exp(-σ²/2); two clicks cancel it, as long as it is the same in both rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S

if TYPE_CHECKING:
    from ketwire.channels.entanglement.pairs import Rho


@dataclass(frozen=True)
class Laboratory:
    """How a laboratory makes attempts.

    attempt_ps: from the begin of one attempt to the begin of the next, initialisation included; None: as long as
        emission and herald take
    wait_for_herald: whether the next attempt begins only when the herald is back; otherwise each attempt has a
        memory of its own, which keeps its half until then
    duty_cycle: share of the time in which attempts are made; the time from one to the next is divided by it
    station_km: from the sender's end to the station; None: in the middle
    side_loss_db: of the fiber between each end and the station, sender first; None: by loss_db_per_km
    side_efficiency: probability that a photon of each end is collected, enters the fiber and would be detected, sender
        first; None: (1 - p_init) detector_efficiency
    emission_fidelity, phase_noise_deg, double_excitation: see the head of this module

    Raises:
        ValueError: a value that no laboratory has; the message starts with the field's name.
    """

    attempt_ps: int | None = None
    wait_for_herald: bool = True
    duty_cycle: float = 1.0
    station_km: float | None = None
    side_loss_db: tuple[float, float] | None = None
    side_efficiency: tuple[float, float] | None = None
    emission_fidelity: float = 1.0
    phase_noise_deg: float = 0.0
    double_excitation: float = 0.0

    def __post_init__(self) -> None:
        if self.attempt_ps is not None and not 1 <= self.attempt_ps < CLOCK_END_PS:
            raise ValueError(f"attempt_ps: {self.attempt_ps!r} given, expected from 1 ps to 2^62 ps (53 days)")
        for name, low, high in (
            ("duty_cycle", 1e-12, 1.0),
            ("emission_fidelity", 0.25, 1.0),
            ("phase_noise_deg", 0.0, 1e6),
            ("double_excitation", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: {value!r} given, expected a number from {low:g} to {high:g}")
        for db in self.side_loss_db or ():
            if not 0.0 <= db <= 1000.0:
                raise ValueError(f"side_loss_db: {list(self.side_loss_db or ())!r} given, expected two of 0 to 1000 dB")
        for efficiency in self.side_efficiency or ():
            if not 0.0 < efficiency <= 1.0:
                given = list(self.side_efficiency or ())
                raise ValueError(f"side_efficiency: {given!r} given, expected two probabilities above 0, at most 1")

    def turned(self, length_km: float) -> Self:
        """The same seen from the other end of a fiber of this length."""
        return replace(
            self,
            station_km=None if self.station_km is None else length_km - self.station_km,
            side_loss_db=None if self.side_loss_db is None else self.side_loss_db[::-1],
            side_efficiency=None if self.side_efficiency is None else self.side_efficiency[::-1],
        )

    def over(self, fiber: Fiber) -> Self:
        """The same over a fiber whose heralds may take longer than its attempts, which then take as long as these."""
        herald_ps = fiber.classical_ps + max(self.older_ps(fiber))
        if self.attempt_ps is None or not self.wait_for_herald or self.attempt_ps >= herald_ps:
            return self
        return replace(self, attempt_ps=None)

    @property
    def coherence(self) -> float:
        """What one detected photon leaves of the coherence between the two memories; its phase noise is left out."""
        return 1.0 - self.double_excitation

    @property
    def phase_coherence(self) -> float:
        """The mean of exp(i phase) over the phase noise, exp(-σ²/2)."""
        return math.exp(-(math.radians(self.phase_noise_deg) ** 2) / 2.0)

    def depolarized(self, rho: Rho) -> Rho:
        """A pair of ideal emitters as these emitters leave it; complex128, shape (4, 4), both ways."""
        if self.emission_fidelity == 1.0:
            return rho
        lost = 4.0 * (1.0 - self.emission_fidelity) / 3.0
        both = rho.reshape(2, 2, 2, 2)
        half = np.eye(2) / 2.0
        only_a, only_b = np.trace(both, axis1=1, axis2=3), np.trace(both, axis1=0, axis2=2)
        kept = 1.0 - lost
        one_lost = np.kron(only_a, half) + np.kron(half, only_b)
        pair: Rho = kept**2 * rho + kept * lost * one_lost + lost**2 * np.eye(4) / 4.0
        return pair

    def older_ps(self, fiber: Fiber) -> tuple[int, int]:
        """How much longer than L/v each half has been in memory when both ends know of the herald.

        Photons meet at the station, so the farther end emits first, and its herald comes back last.
        """
        if self.station_km is None:
            return 0, 0
        farther = 2.0 * self.station_km - fiber.length_km
        extra_ps = round(abs(farther) / fiber.speed_km_per_s * PS_PER_S)
        return (extra_ps, 0) if farther > 0 else (0, extra_ps)

    def survivals(self, fiber: Fiber) -> tuple[float, float]:
        """Probability that a photon of each end is detected, sender first.

        Raises:
            ValueError: of one end none ever is, or the station is not on the fiber; the message starts with a field.
        """
        station_km = fiber.length_km / 2.0 if self.station_km is None else self.station_km
        if not 0.0 <= station_km <= fiber.length_km:
            length = f"length_km, {fiber.length_km:g}"
            raise ValueError(f"station_km: {self.station_km!r} given, expected a place on the fiber, 0 to {length}")
        if self.station_km is None and self.side_loss_db is None and self.side_efficiency is None:
            half = half_survival(fiber)
            return half, half
        sides_km = station_km, fiber.length_km - station_km
        losses_db = self.side_loss_db or tuple(fiber.loss_db_per_km * km for km in sides_km)
        efficiencies = self.side_efficiency or (fiber.coupling, fiber.coupling)
        first, second = (each * 10.0 ** (-db / 10.0) for each, db in zip(efficiencies, losses_db, strict=True))
        if min(first, second) <= 0.0:
            half_survival(fiber)  # complains of the fiber's own
            raise ValueError(f"station_km: {station_km:g} given, expected a fiber that photons can cross on both sides")
        return first, second


def half_survival(fiber: Fiber) -> float:
    """Probability that a photon is collected, crosses half of the fiber, and is detected there.

    Raises:
        ValueError: none ever is; the message starts with the field of the fiber that is to blame.
    """
    half: float = 10.0 ** (-fiber.loss_db_per_km * fiber.length_km / 20.0)
    if half * fiber.coupling > 0.0:
        return half * fiber.coupling
    if fiber.p_init == 1.0:
        raise ValueError(f"p_init: {fiber.p_init!r} given, expected less than 1, or no pair is ever heralded")
    if fiber.detector_efficiency == 0.0:
        raise ValueError(
            f"detector_efficiency: {fiber.detector_efficiency!r} given, expected above 0, or no pair is ever heralded"
        )
    raise ValueError(
        f"length_km: {fiber.length_km!r} given, expected a fiber that a photon can cross half of, at "
        f"{fiber.loss_db_per_km:g} dB/km"
    )


def check_fiber(fiber: Fiber, windows: int = 0) -> None:
    """Raises:
    ValueError: light, classical bits, or as many emissions as an attempt has windows, take beyond the end of the
        clock; the message starts with the fiber's field.
    """
    if fiber.delay_ps >= CLOCK_END_PS:
        raise ValueError(
            f"length_km: {fiber.length_km!r} given, expected a fiber that light crosses in less than 2^62 ps (53 days)"
        )
    if fiber.classical_ps >= CLOCK_END_PS:
        raise ValueError(
            f"classical_delay_s: {fiber.classical_delay_s!r} given, expected bits that arrive in less than 2^62 ps"
        )
    if windows * fiber.bin_ps >= CLOCK_END_PS:
        raise ValueError(
            f"emission_rate_hz: {fiber.emission_rate_hz!r} given, expected an attempt of less than 2^62 ps (53 days)"
        )


IDEAL = Laboratory()
