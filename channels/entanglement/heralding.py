"""How entangled pairs are made over a fiber: attempts and heralds. `channels.entanglement.generation` has their times.

Two nodes, L apart, each send a photon entangled with a memory to a station in the middle. Clicks
there herald a pair of memories. One attempt takes until the herald is back, L/2v + L/2v = L/v and what
classical equipment adds to it, or the emission period where that is longer. At its herald a pair is as old
as its photons' journey and the herald's, and its halves have decayed for so long already (`age_ps`).
`channels.entanglement.laboratory` says what laboratories have beside that: times of attempts, a station off the
middle, emitters that err.

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
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from ketwire.channels.entanglement.laboratory import IDEAL, Laboratory, check_fiber
from ketwire.channels.entanglement.pairs import Constant, Floats, Rho, decayed_elements, elements
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
    def lag_ps(self) -> int:
        """From the end of the attempt that succeeds to its herald, where the next ones do not wait for it."""

    @property
    def age_ps(self) -> int:
        """How long the halves of a pair have been in memory when its herald arrives, the younger one at least."""

    @property
    def older_ps(self) -> tuple[int, int]:
        """How much longer than that each half has been in memory, the sender's first; one of them is 0."""

    @property
    def outcome_ps(self) -> int:
        """From a round of distillation until both ends know its outcome."""

    def state(self) -> Rho:
        """The heralded pair as the photons left it; complex128, shape (4, 4)."""


@dataclass(frozen=True)
class _Midpoint(ABC):
    """What both schemes with a station in the middle need.

    etas: probability that a photon of each end arrives at the station and would be detected, sender first
    delay_ps: of a classical bit from end to end; as long as a photon to the station and the herald back
    period_ps: shortest time between two attempts of an emitter
    dark_count: probability of a dark count, per detector and window
    visibility: of Hong-Ou-Mandel interference, |<a|b>|²
    handling_ps: what an outcome of distillation takes beside delay_ps, to be sent and to be processed
    older_ps: see `Laboratory.older_ps`
    laboratory: how attempts follow each other, and what emitters do
    """

    etas: tuple[float, float]
    delay_ps: int = 0
    period_ps: int = 0
    dark_count: float = 0.0
    visibility: float = 1.0
    handling_ps: int = 0
    older_ps: tuple[int, int] = (0, 0)
    laboratory: Laboratory = IDEAL

    def __post_init__(self) -> None:
        for eta in self.etas:
            check_probability("etas", eta, above_zero=True)
        check_time("delay_ps", self.delay_ps)
        check_time("period_ps", self.period_ps)
        check_time("handling_ps", self.handling_ps)
        check_probability("dark_count", self.dark_count, below_one=True)
        check_probability("visibility", self.visibility)
        own = self.laboratory
        if own.wait_for_herald and own.attempt_ps is not None and own.attempt_ps < self.herald_ps:
            raise ValueError(
                f"attempt_ps: {own.attempt_ps!r} given, expected at least {self.herald_ps / PS_PER_S:g} s, which the "
                "herald takes, or wait_for_herald: false"
            )
        if not own.wait_for_herald and (self.period_ps if own.attempt_ps is None else own.attempt_ps) >= self.herald_ps:
            raise ValueError("wait_for_herald: false given, expected true, as no attempt ends before its herald")

    @cached_property
    def herald_ps(self) -> int:
        """From the first emission of an attempt until both ends know what the station saw."""
        return self.delay_ps + max(self.older_ps)

    @cached_property
    def attempt_ps(self) -> int:
        """As the laboratory says; else photon to the station and herald back, or the emission period."""
        own = self.laboratory
        whole_ps = self.period_ps if own.attempt_ps is None else own.attempt_ps
        if own.wait_for_herald:
            whole_ps = max(whole_ps, self.herald_ps)
        return whole_ps if own.duty_cycle == 1.0 else round(whole_ps / own.duty_cycle)

    @cached_property
    def lag_ps(self) -> int:
        return 0 if self.laboratory.wait_for_herald else max(0, self.herald_ps - self.attempt_ps)

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
    def _one_emitted(self) -> tuple[float, float]:
        """Probability of exactly one click when one of the nodes emitted: the sender, or the receiver."""
        none, one, _ = self._clicks
        first, second = (eta * one + (1.0 - eta) * none for eta in self.etas)
        return first, second

    @property
    def _two_emitted(self) -> float:
        """Probability of exactly one click when both nodes emitted."""
        none, one, two = self._clicks
        a, b = self.etas
        return (1.0 - a) * (1.0 - b) * none + (a * (1.0 - b) + b * (1.0 - a)) * one + a * b * two

    @property
    def _both_ways(self) -> float:
        """Amplitude that a photon of one end would be detected, by that of the other."""
        return math.sqrt(self.etas[0] * self.etas[1])

    @abstractmethod
    def fresh(self) -> Rho:
        """The heralded pair of emitters that make no errors but those of `coherence`."""

    def state(self) -> Rho:
        """The heralded pair; complex128, shape (4, 4)."""
        return self.laboratory.depolarized(self.fresh())


@dataclass(frozen=True)
class SingleClick(_Midpoint):
    """One photon heralds: both memories in √(1-α)|0> + √α|1, photon>, one click.

    p ≈ 2 α eta and F ≈ 1 - α while both are small; what is missing is mostly |bright, bright>,
    which stands as such in the state (as |10>, after the X on half b).

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    alpha: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_probability("alpha", self.alpha, above_zero=True, below_one=True)

    @cached_property
    def success_probability(self) -> float:
        """Exactly one click, over all photon numbers."""
        dark_dark, sender_bright, receiver_bright, bright_bright = self._weights
        return dark_dark + (sender_bright + receiver_bright) + bright_bright

    @property
    def _weights(self) -> tuple[float, float, float, float]:
        """Joint probabilities of the herald and |00>, |10>, |01>, |11> of the memories."""
        alpha, (none, _, _) = self.alpha, self._clicks
        first, second = self._one_emitted
        return (
            (1.0 - alpha) ** 2 * none,
            alpha * (1.0 - alpha) * first,
            alpha * (1.0 - alpha) * second,
            alpha**2 * self._two_emitted,
        )

    def fresh(self) -> Rho:
        """The heralded pair; complex128, shape (4, 4).

        Only a detected photon leaves the two paths coherent, by the overlap √visibility of their
        wave packets; a lost one that a dark count replaced leaves which node had sent it behind.
        """
        dark_dark, sender_bright, receiver_bright, bright_bright = self._weights
        _, one, _ = self._clicks
        coherence = self.alpha * (1.0 - self.alpha) * self._both_ways * one * math.sqrt(self.visibility)
        coherence *= self.laboratory.coherence * self.laboratory.phase_coherence
        return _herald((receiver_bright, sender_bright), dark_dark, bright_bright, coherence)


@dataclass(frozen=True)
class DoubleClick(_Midpoint):
    """Two photons herald (Barrett-Kok): |+>|+>, emit, flip both memories, emit again; a click in each round.

    p ≈ eta² / 2. `period_ps` is that of a whole attempt, both rounds.

    Raises:
        ValueError: a value that no link can have; the message starts with the field's name.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.laboratory.phase_noise_deg:
            given = self.laboratory.phase_noise_deg
            raise ValueError(f"phase_noise_deg: {given!r} given, expected nothing for the scheme double-click: two "
                             "clicks cancel the phase")  # fmt: skip

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
        first, second = self._one_emitted
        return first * second / 4.0, none * self._two_emitted / 4.0

    def fresh(self) -> Rho:
        """The heralded pair; complex128, shape (4, 4). Two photons, so the overlap counts twice."""
        odd, even = self._weights
        _, one, _ = self._clicks
        coherence = (self._both_ways * one * self.laboratory.coherence) ** 2 * self.visibility / 4.0
        return _herald((odd, odd), even, even, coherence)


def single_click(
    fiber: Fiber,
    alpha: float,
    dark_count: float = 0.0,
    visibility: float = 1.0,
    handling_ps: int = 0,
    laboratory: Laboratory = IDEAL,
) -> SingleClick:
    """`SingleClick` with a station on `fiber`."""
    check_fiber(fiber, windows=1)
    return SingleClick(
        laboratory.survivals(fiber), fiber.classical_ps, fiber.bin_ps, dark_count, visibility, handling_ps,
        laboratory.older_ps(fiber), laboratory, alpha=alpha,
    )  # fmt: skip


def double_click(
    fiber: Fiber,
    dark_count: float = 0.0,
    visibility: float = 1.0,
    handling_ps: int = 0,
    laboratory: Laboratory = IDEAL,
) -> DoubleClick:
    """`DoubleClick` with a station on `fiber`; an attempt takes two emissions."""
    check_fiber(fiber, windows=2)
    return DoubleClick(
        laboratory.survivals(fiber), fiber.classical_ps, 2 * fiber.bin_ps, dark_count, visibility, handling_ps,
        laboratory.older_ps(fiber), laboratory,
    )  # fmt: skip


def fresh_elements(scheme: Scheme, t1_ps: Constant, t2_ps: Constant) -> Floats:
    """`elements` of a pair as it was `age_ps` before its herald; float64, shape (6,).

    A half that was in its memory before that has decayed there by then.

    Args:
        t1_ps, t2_ps: time constants of the memories, as for `pairs.decay_pairs`.
    """
    six = elements(scheme.state())
    if not any(scheme.older_ps):
        return six
    a_ps, b_ps = (np.array([each], dtype=np.int64) for each in scheme.older_ps)
    waited: Floats = decayed_elements(six[None], a_ps, b_ps, t1_ps, t2_ps)[0]
    return waited


def mean_ps(scheme: Scheme) -> float:
    """Expected time from the begin of the first attempt until a pair is heralded."""
    return scheme.attempt_ps / scheme.success_probability + scheme.lag_ps


def dark_count_probability(rate_hz: float, window_ps: float) -> float:
    """Of at least one dark count of a detector within a window, 1 - e^(-rate window)."""
    return -math.expm1(-rate_hz * window_ps / PS_PER_S)


def _herald(odd: tuple[float, float], dark_dark: float, bright_bright: float, coherence: float) -> Rho:
    """The normalized pair from joint probabilities, after the X on half b.

    odd: of |01> and of |10>; coherence: between these two.
    """
    rho = np.zeros((4, 4), dtype=np.complex128)
    rho[0, 0], rho[3, 3] = odd
    rho[0, 3] = rho[3, 0] = coherence
    rho[1, 1], rho[2, 2] = dark_dark, bright_bright
    return rho / (odd[0] + odd[1] + dark_dark + bright_bright)


def check_probability(name: str, value: float, above_zero: bool = False, below_one: bool = False) -> None:
    """Raises:
    ValueError: it is none; the message starts with its name.
    """
    low = value > 0.0 if above_zero else value >= 0.0
    high = value < 1.0 if below_one else value <= 1.0
    if not (low and high):
        bounds = f"{'above' if above_zero else 'from'} 0 {'and below' if below_one else 'to'} 1"
        raise ValueError(f"{name}: {value!r} given, expected a number {bounds}")


def check_time(name: str, value: int) -> None:
    """Raises:
    ValueError: it is no time that the clock has; the message starts with its name.
    """
    if not 0 <= value < CLOCK_END_PS:
        raise ValueError(f"{name}: {value!r} given, expected a time from 0 to 2^62 ps")
