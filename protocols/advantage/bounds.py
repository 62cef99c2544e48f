"""What is proved of classical protocols: least messages in bits, and what a protocol that is known achieves.

Everything here is a closed form or the root of one, with its source; nothing is measured. N = 2^n.

**Linear cross-entropy** (Kretschmer, Grewal, DeCross, Gerber, Gilmore, Gresh, Hunter-Jones, Mayer, Neyenhuis, Hayes and
Aaronson, arXiv 2509.07255, restated from their published program). Alice has a Haar-random state, Bob a uniformly
random Clifford. An m-bit message scores at most the minimum over a > 1 of `_score_at_most`.

**Hidden matching** (Bar-Yossef, Jayram and Kerenidis, STOC 2004; constants as in the program above). An m-bit message
is right more often than a guess by 2 Pr - 1 <= 2 (m + 1) / √(N - 1).

Both are one-way, for messages from Alice to Bob, and hold whatever randomness both share.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

XEB_SOURCE = "Kretschmer et al., arXiv 2509.07255"
MATCHING_SOURCE = "Bar-Yossef, Jayram and Kerenidis, STOC 2004; constants of arXiv 2509.07255"
ASSUMPTIONS = (
    "one-way messages with shared randomness; fresh instances; heralds of lost copies go backwards, do not depend on "
    "inputs, and are counted"
)
ASYMPTOTIC = {
    "fourier-sampling": (
        "of the order of 2^n bits, two-way, with shared randomness", "Montanaro, Quantum 3, 154 (2019)",
    ),
    "fingerprint": (
        "of the order of the root of N bits in simultaneous messages with private randomness alone; with shared "
        "randomness a constant number does",
        "Buhrman, Cleve, Watrous and de Wolf, PRL 87, 167902 (2001)",
    ),
    "consumable": (
        "N bits once serve all questions, and n qubits one: the advantage ends near N/n questions",
        "Gilboa, Jain and McClean, arXiv 2409.08495",
    ),
}  # fmt: skip
"""What is known of the other tasks, and who says so: no constants are."""
MOST_BITS = 960.0
"""Beyond it 2^m and the tails that it multiplies leave the range of floats: a bound is then given as this many."""
_LN2 = math.log(2.0)


# ---------------------------------------------------------------- linear cross-entropy


def xeb_score_at_most(qubits: int, bits: float) -> float:
    """The largest score that a one-way protocol of so many bits can have, by the bound."""
    return _least(lambda log: _score_at_most(qubits, bits, 1.0 + math.exp(log)), -4.0, 6.0)


def xeb_bits(qubits: int, score: float) -> float:
    """Bits that any one-way protocol of this score needs, at least; 0 where it needs none, at most MOST_BITS."""
    return _root(lambda bits: xeb_score_at_most(qubits, bits), score, MOST_BITS)


def _score_at_most(qubits: int, bits: float, a: float) -> float:
    A, B = _constants(qubits)
    gamma = a * math.exp(1 / a) / (a + 1) + 2 / (math.e * (a**3 - a)) - 1
    edge, entropy = gamma * A**2 / B**2, bits * _LN2
    if entropy >= edge:
        t = a * B * (entropy + edge)
        return t + a * B
    t = 2 * a * A * math.sqrt(entropy * gamma)
    tail = math.erfc(t / (2 * math.sqrt(gamma) * a * A)) - math.erfc(math.sqrt(edge))
    many = math.exp(entropy)
    return t + many * math.sqrt(math.pi * gamma) * a * A * tail + many * a * B * math.exp(-edge)


@lru_cache(maxsize=32)
def _constants(qubits: int) -> tuple[float, float]:
    """A and B of the bound."""
    N = 1 << qubits
    logs, product = [], 0.0
    for t in range(1, qubits + 3):
        if t >= 2:  # i = t - 2 is the newest factor of the product over i < t - 1
            product += math.log((1 + 2 ** (t - 2)) / (N + 2 ** (t - 2)))
            logs.append(product / t)
    return math.sqrt(2 / (N + 1)), math.exp(min(logs))


def random_states_score(qubits: int, bits: float) -> float:
    """The score of the best of 2^bits shared random states, of which Bob answers the likeliest outcome.

    (H_N - 1) (1 - N/(N-1) ∫_0^1 (1 - u^(N-1))^(2^bits) du), H_N the harmonic number (arXiv 2509.07255, which has
    e^(-2^bits u^(N-1)) there, the same for many states).
    """
    N = 1 << qubits
    harmonic = float(np.sum(1.0 / np.arange(1, N + 1)))
    s, many = 1.0 / (N - 1), 2.0**bits
    if bits < 20:  # a beta function
        integral = math.exp(math.lgamma(many + 1) + math.lgamma(1 + s) - math.lgamma(many + 1 + s))
    else:
        integral = many**-s * math.gamma(1 + s)
    return (harmonic - 1) * (1 - N / (N - 1) * integral)


def random_states_bits(qubits: int, score: float) -> float:
    """Bits with which shared random states reach a score; at most MOST_BITS."""
    return _root(lambda bits: random_states_score(qubits, bits), score, MOST_BITS)


# ---------------------------------------------------------------- hidden matching


def matching_bits(qubits: int, score: float) -> float:
    """Bits that any one-way protocol needs which is right with a probability of (1 + score)/2, at least."""
    return max(0.0, score * math.sqrt((1 << qubits) - 1) / 2 - 1)


# ---------------------------------------------------------------- numbers


def _least(value: Callable[[float], float], low: float, high: float) -> float:
    """The least value between two ends: the best of a grid, then golden sections around it."""
    places = np.linspace(low, high, 41)
    values = [value(float(each)) for each in places]
    best = int(np.argmin(values))
    low, high = float(places[max(best - 1, 0)]), float(places[min(best + 1, len(places) - 1)])
    share = (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - share * (high - low), low + share * (high - low)
        if value(left) < value(right):
            high = right
        else:
            low = left
    return min(value((low + high) / 2), values[best])


def _root(grows: Callable[[float], float], goal: float, most: float) -> float:
    """Where a function that grows reaches the goal, from 0 to `most`."""
    if grows(0.0) >= goal:
        return 0.0
    if grows(most) < goal:
        return most
    low, high = 0.0, most
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) >= goal else (middle, high)
    return high
