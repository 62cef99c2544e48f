"""How entangled pairs are made over a fiber: attempts and heralds. `channels.entanglement.generation` has their times.

Two nodes, L apart, each send a photon entangled with a memory to a station in the middle. Clicks
there herald a pair of memories. One attempt takes until the herald is back, L/2v + L/2v = L/v and what
classical equipment adds to it, or the emission period where that is longer. At its herald a pair is as old
as its photons' journey and the herald's, and its halves have decayed for so long already (`age_ps`).

The station has a beam splitter and two threshold detectors: they click on one photon or more, or in
the dark. Exactly one click in a window is a herald; which of the detectors it was gives a sign that
a Z on one half removes. An X on half b then turns the heralded Ψ+ into Φ+, so every state here aims
at Φ+. `visibility` is the Hong-Ou-Mandel visibility |<a|b>|² of the two photons' wave packets.

Sources: Beukers et al., arXiv 2310.19878 (both schemes, rates, infidelities); Humphreys et al., arXiv
1712.07567 (single click, with the |bright, bright> part); Barrett and Kok, PRA 71, 060310 (2005)
(double click). The expressions with dark counts and finite visibility are worked out here, photon
number by photon number, and compared with a simulation of the optics by the tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from ketwire.channels.entanglement.pairs import Rho, werner
from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S


class Scheme(Protocol):
    """What a way to make pairs says about itself."""

    @property
    def success_probability(self) -> float:
        """Of one attempt, false heralds included."""

    @property
    def attempt_ps(self) -> int:
        """From the begin of one attempt to the begin of the next."""

    @property
    def age_ps(self) -> int:
        """How long the halves of a pair have been in memory when its herald arrives."""

    @property
    def outcome_ps(self) -> int:
        """From a round of distillation until both ends know its outcome."""

    def state(self) -> Rho:
        """The heralded pair as the photons left it; complex128, shape (4, 4)."""


@dataclass(frozen=True)
class _Midpoint:
    """What both schemes with a station in the middle need.

    eta_half: probability that a photon arrives at the station and would be detected
    delay_ps: of a classical bit from end to end; as long as a photon to the station and the herald back
    period_ps: shortest time between two attempts of an emitter
    dark_count: probability of a dark count, per detector and window
    visibility: of Hong-Ou-Mandel interference, |<a|b>|²
    handling_ps: what an outcome of distillation takes beside delay_ps, to be sent and to be processed
    """

    eta_half: float
    delay_ps: int = 0
    period_ps: int = 0
    dark_count: float = 0.0
    visibility: float = 1.0
    handling_ps: int = 0

    def __post_init__(self) -> None:
        _check_probability("eta_half", self.eta_half, above_zero=True)
        _check_time("delay_ps", self.delay_ps)
        _check_time("period_ps", self.period_ps)
        _check_time("handling_ps", self.handling_ps)
        _check_probability("dark_count", self.dark_count, below_one=True)
        _check_probability("visibility", self.visibility)

    @property
    def attempt_ps(self) -> int:
        """Photon to the midpoint and herald back, or the emission period."""
        return max(self.delay_ps, self.period_ps)

    @property
    def age_ps(self) -> int:
        """Since the emission."""
        return self.delay_ps

    @property
    def outcome_ps(self) -> int:
        return self.delay_ps + self.handling_ps

    @property
    def _clicks(self) -> tuple[float, float, float]:
        """Probability of exactly one click when 0, 1 or 2 photons are there to be detected.

        Two bunch on one detector with probability (1 + visibility) / 2 (Hong, Ou and Mandel 1987).
        """
        quiet = 1.0 - self.dark_count
        return 2.0 * self.dark_count * quiet, quiet, (1.0 + self.visibility) / 2.0 * quiet

    @property
    def _one_emitted(self) -> float:
        """Probability of exactly one click when one of the nodes emitted."""
        none, one, _ = self._clicks
        return self.eta_half * one + (1.0 - self.eta_half) * none

    @property
    def _two_emitted(self) -> float:
        """Probability of exactly one click when both nodes emitted."""
        none, one, two = self._clicks
        eta = self.eta_half
        return (1.0 - eta) ** 2 * none + 2.0 * eta * (1.0 - eta) * one + eta**2 * two


@dataclass(frozen=True)
class SingleClick(_Midpoint):
    """One photon heralds: both memories in √(1-α)|0> + √α|1, photon>, one click.

    p ≈ 2 α eta_half and F ≈ 1 - α while both are small; what is missing is mostly |bright, bright>,
    which stands as such in the state (as |10>, after the X on half b).

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    alpha: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_probability("alpha", self.alpha, above_zero=True, below_one=True)

    @cached_property
    def success_probability(self) -> float:
        """Exactly one click, over all photon numbers."""
        dark_dark, one_bright, bright_bright = self._weights
        return dark_dark + 2.0 * one_bright + bright_bright

    @property
    def _weights(self) -> tuple[float, float, float]:
        """Joint probabilities of the herald and |00>, |01> (or |10>), |11> of the memories."""
        alpha, (none, _, _) = self.alpha, self._clicks
        return (
            (1.0 - alpha) ** 2 * none,
            alpha * (1.0 - alpha) * self._one_emitted,
            alpha**2 * self._two_emitted,
        )

    def state(self) -> Rho:
        """The heralded pair; complex128, shape (4, 4).

        Only a detected photon leaves the two paths coherent, by the overlap √visibility of their
        wave packets; a lost one that a dark count replaced leaves which node had sent it behind.
        """
        dark_dark, one_bright, bright_bright = self._weights
        _, one, _ = self._clicks
        coherence = self.alpha * (1.0 - self.alpha) * self.eta_half * one * math.sqrt(self.visibility)
        return _herald(one_bright, dark_dark, bright_bright, coherence)


@dataclass(frozen=True)
class DoubleClick(_Midpoint):
    """Two photons herald (Barrett-Kok): |+>|+>, emit, flip both memories, emit again; a click in each round.

    p ≈ eta_half² / 2. `period_ps` is that of a whole attempt, both rounds.

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    @cached_property
    def success_probability(self) -> float:
        """Exactly one click in each of the rounds, over all photon numbers."""
        odd, even = self._weights
        return 2.0 * (odd + even)

    @property
    def _weights(self) -> tuple[float, float]:
        """Joint probabilities of the heralds and |01> (or |10>), |00> (or |11>) of the memories.

        Memories that agree emit two photons in one round and none in the other.
        """
        none, _, _ = self._clicks
        return self._one_emitted**2 / 4.0, none * self._two_emitted / 4.0

    def state(self) -> Rho:
        """The heralded pair; complex128, shape (4, 4). Two photons, so the overlap counts twice."""
        odd, even = self._weights
        _, one, _ = self._clicks
        return _herald(odd, even, even, (self.eta_half * one) ** 2 * self.visibility / 4.0)


@dataclass(frozen=True)
class Given:
    """Pairs at a measured rate and fidelity, as Werner states: for experiments known by these alone.

    rate_hz: heralded pairs per second of one memory slot that is never blocked
    success_probability: of one attempt; it spreads the times between heralds like those of an
        experiment (nearly exponential where it is small) without changing the rate
    outcome_ps: from a round of distillation until both ends know its outcome

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    rate_hz: float
    fidelity: float
    success_probability: float = 1e-3
    outcome_ps: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate_hz) and self.rate_hz > 0.0):
            raise ValueError(f"rate_hz: {self.rate_hz!r} given, expected a number above 0")
        _check_probability("fidelity", self.fidelity)
        _check_probability("success_probability", self.success_probability, above_zero=True)
        _check_time("outcome_ps", self.outcome_ps)
        if not 1000 <= self.success_probability / self.rate_hz * PS_PER_S < CLOCK_END_PS:
            # Below a nanosecond the rounding to whole picoseconds would change the rate by 1e-3.
            fastest_hz = self.success_probability / 1000 * PS_PER_S
            raise ValueError(
                f"rate_hz: {self.rate_hz!r} given, expected pairs a second from "
                f"{self.success_probability / CLOCK_END_PS * PS_PER_S:.2g} to {fastest_hz:.2g} (at a success "
                f"probability of {self.success_probability:g}, an attempt lasts from 1 ns to 2^62 ps)"
            )

    @property
    def attempt_ps(self) -> int:
        """What gives the rate."""
        return round(self.success_probability / self.rate_hz * PS_PER_S)

    @property
    def age_ps(self) -> int:
        """Nothing: the fidelity was measured on heralded pairs."""
        return 0

    def state(self) -> Rho:
        """The Werner state of this fidelity; complex128, shape (4, 4)."""
        return werner(self.fidelity)


def single_click(
    fiber: Fiber, alpha: float, dark_count: float = 0.0, visibility: float = 1.0, handling_ps: int = 0
) -> SingleClick:
    """`SingleClick` with a station in the middle of `fiber`."""
    check_fiber(fiber, windows=1)
    return SingleClick(
        half_survival(fiber), fiber.classical_ps, fiber.bin_ps, dark_count, visibility, handling_ps, alpha=alpha
    )


def double_click(
    fiber: Fiber, dark_count: float = 0.0, visibility: float = 1.0, handling_ps: int = 0
) -> DoubleClick:
    """`DoubleClick` with a station in the middle of `fiber`; an attempt takes two emissions."""
    check_fiber(fiber, windows=2)
    return DoubleClick(
        half_survival(fiber), fiber.classical_ps, 2 * fiber.bin_ps, dark_count, visibility, handling_ps
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


def dark_count_probability(rate_hz: float, window_ps: float) -> float:
    """Of at least one dark count of a detector within a window, 1 - e^(-rate window)."""
    return -math.expm1(-rate_hz * window_ps / PS_PER_S)


def _herald(odd: float, dark_dark: float, bright_bright: float, coherence: float) -> Rho:
    """The normalized pair from joint probabilities, after the X on half b.

    odd: of |01>, and as much of |10>; coherence: between these two.
    """
    rho = np.zeros((4, 4), dtype=np.complex128)
    rho[0, 0] = rho[3, 3] = odd
    rho[0, 3] = rho[3, 0] = coherence
    rho[1, 1], rho[2, 2] = dark_dark, bright_bright
    return rho / (2.0 * odd + dark_dark + bright_bright)


def _check_probability(name: str, value: float, above_zero: bool = False, below_one: bool = False) -> None:
    low = value > 0.0 if above_zero else value >= 0.0
    high = value < 1.0 if below_one else value <= 1.0
    if not (low and high):
        bounds = f"{'above' if above_zero else 'from'} 0 {'and below' if below_one else 'to'} 1"
        raise ValueError(f"{name}: {value!r} given, expected a number {bounds}")


def _check_time(name: str, value: int) -> None:
    if not 0 <= value < CLOCK_END_PS:
        raise ValueError(f"{name}: {value!r} given, expected a time from 0 to 2^62 ps")
