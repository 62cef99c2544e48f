"""Hand models of published experiments: what their parameters give, worked out without any code of ketwire.

Optics by counting photons: each end sends one or none, each is detected with its own probability, and one detector of
two clicks. Rates are success over the time of an attempt.
"""

from __future__ import annotations

import math
from typing import NamedTuple

KM_S = 1 / 2e5
"""Of light in glass, a kilometre."""


class Hand(NamedTuple):
    """hz: pairs a second. state: fidelity, of what the row says. sigma: of it, by fitted parameters."""

    hz: float | None
    state: float | None
    sigma: float = 0.0


def one_click(seen: dict[int, float], dark: float, bunched: float) -> float:
    """Probability that one detector of two clicks, for so many photons there with these probabilities."""
    alone = {0: 2 * dark, 1: 1.0, 2: bunched}
    return (1 - dark) * sum(chance * alone[count] for count, chance in seen.items())


def single(
    alpha: float, etas: tuple[float, float], dark: float, visibility: float, phase_deg: float = 0.0, doubles: float = 0
) -> tuple[float, float]:
    """Success and fidelity of single clicks: memories are bright with probability alpha, and then send a photon."""
    a, b = etas
    bunched = (1 + visibility) / 2
    nothing = (1 - alpha) ** 2 * one_click({0: 1.0}, dark, bunched)
    odd = [alpha * (1 - alpha) * one_click({0: 1 - eta, 1: eta}, dark, bunched) for eta in etas]
    both = {0: (1 - a) * (1 - b), 1: a + b - 2 * a * b, 2: a * b}
    bright = alpha**2 * one_click(both, dark, bunched)
    overlap = math.sqrt(visibility) * (1 - doubles) * math.exp(-math.radians(phase_deg) ** 2 / 2)
    coherent = 2 * alpha * (1 - alpha) * (1 - dark) * math.sqrt(a * b) * overlap
    success = nothing + sum(odd) + bright
    return success, (sum(odd) + coherent) / 2 / success


def humphreys(alpha: float) -> Hand:
    success, state = single(alpha, (3.5e-4, 3.5e-4), 5e-7, 0.9, 15.0, 0.04)
    return Hand(success / 5.5e-6, state)


def humphreys_every_100_ms() -> Hand:
    """A mean over the attempt that succeeds; what is not coherent (α = 0.15) stays, what is decays at 5 Hz."""
    success, state = single(0.15, (3.5e-4, 3.5e-4), 5e-7, 0.9, 15.0, 0.04)
    _, incoherent = single(0.15, (3.5e-4, 3.5e-4), 5e-7, 0.9, 15.0, 1.0)
    tries, whole = int(0.1 / 5.5e-6), 0.0
    for attempt in range(1, tries + 1):
        waited_s = 0.1 - attempt * 5.5e-6 + 0.002 * KM_S
        kept = incoherent + (state - incoherent) * math.exp(-5 * waited_s)
        whole += success * (1 - success) ** (attempt - 1) * kept
    return Hand(10.0, whole + (1 - success) ** tries / 4)


def stolk(attempt_s: float, rest_s: float = 0.0) -> Hand:
    """Two sides of 5.6 and 5.2 dB, of the same efficiency e: alpha e (10^-.56 + 10^-.52) = 7.2e-6.

    rest_s: from the end of the attempt that succeeds to its herald, of attempts that do not wait
    """
    losses = 10**-0.56, 10**-0.52
    efficiency = 7.2e-6 / 0.25 / sum(losses)
    success, state = single(0.25, (efficiency * losses[0], efficiency * losses[1]), 0.0, 0.9)
    return Hand(1 / (attempt_s / success + rest_s), state)


def van_leent(km: float) -> Hand:
    """The visibility follows from 0.830(10) at 6 km, so an error of it is one here."""
    success = 1.22e-6 * 10 ** (0.22 * (33 - km) / 10)
    attempt_s = km / 2 * KM_S + 20.6e-6

    def kept(length_km: float) -> float:
        return math.exp(-2 * length_km * KM_S / 330e-6)

    state = 0.5 + (0.830 - 0.5) * kept(km) / kept(6)
    return Hand(0.406 * success / attempt_s, state, 0.010 * kept(km) / kept(6))


def sequence_ions() -> Hand:
    eta = 0.018 * 0.9 * 10 ** (-0.22 * 0.5 / 10)
    return Hand(4 * eta**2 / 2 / KM_S, 1.0)


def werner(fidelity: float) -> float:
    """What is left of a perfect pair in a Werner state, beside white noise."""
    return (4 * fidelity - 1) / 3


def four_hops(kept_by_a_swap: float = 1.0) -> Hand:
    return Hand(None, (1 + 3 * werner(0.95) ** 4 * kept_by_a_swap**3) / 4)


def sequence_chain() -> Hand:
    """A gate that keeps 0.937, and two bits that are each read wrongly in one of 200."""
    right = 1 - 2 * 0.005
    return Hand(None, (1 + werner(0.86) ** 2 * 0.937 * (2 * right + right**2)) / 4)


def swapped(fidelity: float, kept_by_the_swap: float, coherence: float) -> float:
    """Of two equal Werner pairs, of which one half has dephased."""
    return (1 + werner(fidelity) ** 2 * kept_by_the_swap * (1 + 2 * coherence)) / 4


def krutyanskiy(most: int = 10_000, power: int = 1) -> Hand:
    """Two links that try at once, each with 0.018 in 1.31 ms; the first pair waits, at most so many attempts."""
    success = 0.018
    waits = range(min(most, 10_000) + 1)
    chances = [(1 if wait == 0 else 2) * success * (1 - success) ** wait / (2 - success) for wait in waits]
    kept = sum(chance * math.exp(-((wait * 1.31 / 62) ** power)) for wait, chance in zip(waits, chances, strict=True))
    return Hand(None, swapped(0.96, werner(0.95), kept / sum(chances)))


def pompili() -> Hand:
    """The second pair comes after n attempts of 5.5 us, 450 at most, while the first one fades as exp(-n / 1800)."""
    success = 7 * 5.5e-6
    chances = [success * (1 - success) ** (n - 1) for n in range(1, 451)]
    kept = sum(chance * math.exp(-n * 5.5e-6 / 0.0099) for n, chance in enumerate(chances, start=1)) / sum(chances)
    return Hand(None, swapped(0.81, 0.97, kept))


def kalb() -> Hand:
    """A round of EPL keeps the pairs in which one end is bright, with the square of their coherence."""
    return Hand(None, (1 + 0.9) / 2)


HANDS: dict[str, Hand] = {
    "humphreys-2018-fast": humphreys(0.3),
    "humphreys-2018-good": humphreys(0.05),
    "humphreys-2018-every-100ms": humphreys_every_100_ms(),
    "stephenson-2020": Hand(182.0, (1 + 0.88) / 2),
    "innsbruck-2022": Hand(4e-5 / 350e-6, 0.938**2 + (1 - 0.938) ** 2 / 3),
    "stolk-2024": stolk(30 * KM_S),
    "stolk-2024-no-wait": stolk(10e-6, 140e-6),
    **{f"van-leent-2022-{km}km": van_leent(km) for km in (6, 11, 23, 33)},
    "main-2025-pair": Hand(9.7, 0.9689),
    "sequence-ions-1km": sequence_ions(),
    "four-hops-of-werner-0.95": four_hops(),
    "four-hops-2%-a-swap": four_hops(0.98),
    "sequence-siv-chain": sequence_chain(),
    "krutyanskiy-2023-cut": krutyanskiy(60),
    "krutyanskiy-2023-no-cut": krutyanskiy(),
    "krutyanskiy-2023-gaussian": krutyanskiy(power=2),
    "pompili-2021": pompili(),
    "hermans-2022": Hand(0.0085, (2 * 0.61 + 1) / 3),
    "kalb-2017": kalb(),
}
