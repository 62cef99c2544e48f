"""What no link may exceed with any equipment at its ends: capacities of lossy fibers and of erasures.

A fiber of transmission η carries at most -log2(1 - η) ebits a use if only its ends work on it
(Pirandola, Laurenza, Ottaviani, Banchi, Nat. Commun. 8, 15043 (2017)), and with m stations that
divide it evenly, each part of transmission η^(1/(m+1)), at most -log2(1 - η^(1/(m+1))) (Pirandola,
Commun. Phys. 2, 51 (2019)). A qubit that is erased with probability p carries 1 - p with two-way
messages and max(0, 1 - 2p) without (Bennett, DiVincenzo, Smolin, PRL 78, 3217 (1997)).

What a heralded pair is worth at least is its coherent information (hashing), so success probability
times that may pass none of these.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.pairs import Rho


def repeater_bound(transmission: float, stations: int = 0) -> float:
    """Ebits a use of a fiber, end to end, with `stations` midway; infinite for one that loses nothing.

    Raises:
        ValueError: no transmission, or a negative number of stations.
    """
    if not 0.0 <= transmission <= 1.0:
        raise ValueError(f"transmission: {transmission!r} given, expected a number from 0 to 1")
    if stations < 0:
        raise ValueError(f"stations: {stations!r} given, expected 0 or more")
    part = transmission ** (1 / (stations + 1))
    return math.inf if part >= 1.0 else -math.log1p(-part) / math.log(2.0)


def erasure_capacity(erased: float, two_way: bool) -> float:
    """Qubits that a qubit carries which is erased with probability `erased`, and heralded so.

    Raises:
        ValueError: no probability.
    """
    if not 0.0 <= erased <= 1.0:
        raise ValueError(f"erased: {erased!r} given, expected a number from 0 to 1")
    return 1.0 - erased if two_way else max(0.0, 1.0 - 2.0 * erased)


def entropy(weights: NDArray[np.float64]) -> float:
    """Of a distribution, in bits; rounding below 0 counts as 0."""
    some = weights[weights > 0.0]
    return float(-(some * np.log2(some)).sum())


def coherent_information(rho: Rho) -> float:
    """max(S(A), S(B)) - S(AB) of a pair, in ebits; negative where it is worth nothing this way.

    Args:
        rho: complex128, shape (4, 4), half a first.
    """
    whole = rho.reshape(2, 2, 2, 2)
    halves = (np.einsum("ikjk->ij", whole), np.einsum("kikj->ij", whole))
    return max(_entropy_of(half) for half in halves) - _entropy_of(rho)


def _entropy_of(rho: Rho) -> float:
    return entropy(np.asarray(np.linalg.eigvalsh(rho), dtype=np.float64))
