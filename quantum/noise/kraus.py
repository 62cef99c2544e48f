"""Noise on one qubit, as Kraus operators: ρ -> Σ_k K_k ρ K_k†, with Σ_k K_k† K_k = 1.

A `Kraus` is checked when it is made, so every `Kraus` is a channel. Channels that only mix
Pauli operators also carry their four weights: trajectories of such a channel do not depend on the
state, and two of them compose in closed form. The formula of each channel stands in the docstring of
the function that makes it (PHYSICS.md; Nielsen and Chuang, chapter 8). Times are picoseconds, rates
hertz.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Array, Complexes, Floats
from ketwire.quantum.gates import PAULI
from ketwire.quantum.noise.lifetimes import Gaussian, dephased

TOLERANCE = 1e-12
ALIKE = 1e-14  # two channels that differ by less are taken for the same
MOST_OPERATORS = 64
PS_PER_S = 10**12
# In the order I, X, Y, Z the product of two Paulis is, except for its phase, the one whose index is the
# XOR of theirs. Everything that speaks of weights keeps to this order.
PAULIS: Complexes = np.stack([PAULI[letter] for letter in "IXYZ"])
_XOR = np.arange(4)[:, None] ^ np.arange(4)
# Whether a Pauli (row) commutes with an error (column). Times the weights of a Pauli channel, these are the
# factors by which it shrinks I, X, Y and Z; times the factors, over 4, they are the weights again.
PAULI_SIGNS: Floats = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Kraus:
    """A channel on one qubit; equal only to itself.

    operators: complex128, shape (k, 2, 2), k from 1 to 64.
    pauli_weights: probabilities of I, X, Y, Z, shape (4,), or None for a channel that is no mixture of
        Paulis. Found where it is not given.

    Raises:
        ValueError: Σ K†K misses the identity, or the weights miss the operators, by more than 1e-12.
    """

    operators: Complexes
    pauli_weights: Floats | None = None

    def __post_init__(self) -> None:
        operators = np.array(self.operators, dtype=np.complex128)
        if operators.ndim != 3 or operators.shape[1:] != (2, 2) or not 1 <= len(operators) <= MOST_OPERATORS:
            raise ValueError(f"operators: shape {operators.shape} given, "
                             f"expected (k, 2, 2) with k from 1 to {MOST_OPERATORS}")
        if not np.isfinite(operators).all():
            raise ValueError("operators: NaN or infinity given, expected finite entries")
        error = np.abs(np.einsum("kji,kjl->il", operators.conj(), operators) - np.eye(2)).max()
        if not error <= TOLERANCE:
            raise ValueError(f"operators: given, expected a channel, whose K†K sum to the identity to {TOLERANCE:g} "
                             f"(these miss it by {error:.3g})")
        operators.flags.writeable = False
        object.__setattr__(self, "operators", operators)
        object.__setattr__(self, "pauli_weights", self._checked_weights())

    def _checked_weights(self) -> Floats | None:
        # The channel in the Pauli basis, ρ -> Σ χ_mn P_m ρ P_n: a mixture of Paulis has a diagonal χ.
        parts = np.einsum("mij,kji->km", PAULIS, self.operators) / 2
        chi = np.einsum("km,kn->mn", parts, parts.conj())
        if self.pauli_weights is None:
            if np.abs(chi - np.diag(np.diag(chi))).max() > ALIKE:
                return None
            weights = np.diag(chi).real / np.trace(chi).real
        else:
            weights = np.array(self.pauli_weights, dtype=np.float64)
            if weights.shape != (4,) or not np.abs(chi - np.diag(weights)).max() <= TOLERANCE:
                raise ValueError(f"pauli_weights: {weights.tolist()} given, expected those of the operators, "
                                 f"{np.diag(chi).real.tolist()}")
        weights.flags.writeable = False
        return np.asarray(weights)

    @property
    def is_pauli(self) -> bool:
        """Whether the channel is a mixture of I, X, Y and Z, to 1e-14."""
        return self.pauli_weights is not None

    @cached_property
    def damping(self) -> tuple[float, float] | None:
        """(γ, p_z) of a channel that is `damp_and_dephase` of these, else None."""
        matrix = self.superoperator()
        gamma = float(np.clip(matrix[0, 3].real, 0, 1))
        kept = math.sqrt(1 - gamma)
        p_z = 0.5 * (1 - matrix[1, 1].real / kept) if kept > 0 else 0.0
        if not -TOLERANCE <= p_z <= 1 + TOLERANCE:
            return None
        p_z = float(np.clip(p_z, 0, 1))
        error = np.abs(damp_and_dephase(gamma, p_z).superoperator() - matrix).max()
        return (gamma, p_z) if error <= ALIKE else None

    def branch_weights(self) -> Floats:
        """How likely trajectories take each branch on a maximally mixed qubit, shape (branches,).

        For a mixture of Paulis these are its weights, for every state. The branches are those of
        `trajectories.apply_channel`, which takes damping with dephasing as such.
        """
        if self.pauli_weights is not None:
            return self.pauli_weights
        operators = damp_and_dephase(*self.damping).operators if self.damping is not None else self.operators
        return np.asarray((np.abs(operators) ** 2).sum(axis=(1, 2)) / 2)

    def choi(self) -> Complexes:
        """Σ_ij |i><j| ⊗ Λ(|i><j|), shape (4, 4), trace 2; the channel's input comes first."""
        vectors = self.operators.transpose(0, 2, 1).reshape(-1, 4)
        return np.asarray(np.einsum("ki,kj->ij", vectors, vectors.conj()))

    def superoperator(self) -> Complexes:
        """Σ K ⊗ K*, shape (4, 4): acts on ρ written row by row."""
        pairs = np.einsum("kab,kcd->acbd", self.operators, self.operators.conj())
        return np.asarray(pairs.reshape(4, 4))

    def then(self, other: "Kraus") -> "Kraus":
        """This channel, then `other`, in at most four operators.

        Pauli weights meet in an XOR convolution; otherwise the products K' K are reduced to linearly
        independent ones through the eigenvectors of their Choi matrix.
        """
        if self.pauli_weights is not None and other.pauli_weights is not None:
            return _from_weights(other.pauli_weights[_XOR] @ self.pauli_weights)
        products = np.einsum("mij,kjl->mkil", other.operators, self.operators).reshape(-1, 2, 2)
        return Kraus(_independent(products))


def _independent(operators: Complexes) -> Complexes:
    """At most four operators of the same channel, orthogonal to each other."""
    vectors = operators.reshape(-1, 4)
    values, basis = np.linalg.eigh(np.einsum("ki,kj->ij", vectors, vectors.conj()))
    kept = values > np.finfo(np.float64).eps
    reduced = (basis[:, kept] * np.sqrt(values[kept])).T.reshape(-1, 2, 2)
    # Rounding must not add up over long chains: bring Σ K†K back to the identity.
    sizes, axes = np.linalg.eigh(np.einsum("kji,kjl->il", reduced.conj(), reduced))
    return np.asarray(reduced @ (axes / np.sqrt(sizes)) @ axes.conj().T)


def _from_weights(weights: Floats) -> Kraus:
    """The Pauli channel of four weights; Paulis that never happen are left out."""
    kept = weights > 0
    return Kraus(np.sqrt(weights[kept])[:, None, None] * PAULIS[kept], weights)


def _number(name: str, value: float, expected: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} given, expected {expected}") from None


def _probability(name: str, value: float) -> float:
    expected = "a number from 0 to 1"
    number = _number(name, value, expected)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name}: {number!r} given, expected {expected}")
    return number


def _lifetimes(t1_ps: float, t2_ps: float) -> tuple[float, float]:
    """(1/T1, the rate of pure dephasing 1/T2 - 1/(2 T1)) per picosecond."""
    expected = "a time above 0, or infinity"
    t1, t2 = _number("t1_ps", t1_ps, expected), _number("t2_ps", t2_ps, expected)
    for name, value in (("t1_ps", t1), ("t2_ps", t2)):
        if not value > 0:
            raise ValueError(f"{name}: {value!r} given, expected {expected}")
    if t2 > 2 * t1 * (1 + TOLERANCE):
        raise ValueError(f"t2_ps: {t2!r} given, expected at most 2 t1_ps = {2 * t1!r}, "
                         "since losing the energy alone dephases at the rate 1/(2 T1)")
    return 1 / t1, max(0.0, 1 / t2 - 1 / (2 * t1))


def probability_from_rate(rate_hz: float, time_ps: float) -> float:
    """1 - exp(-r t): the chance of at least one event of a Poisson process. ValueError below 0."""
    rate = _number("rate_hz", rate_hz, "a number from 0 up")
    time = _number("time_ps", time_ps, "a number from 0 up")
    for name, value in (("rate_hz", rate), ("time_ps", time)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: {value!r} given, expected a number from 0 up")
    return -math.expm1(-rate * (time / PS_PER_S))


def depolarize(p: float) -> Kraus:
    """√(1 - 3p/4) 1, √(p/4) X, √(p/4) Y, √(p/4) Z: ρ -> (1-p) ρ + p 1/2. ValueError outside [0, 1]."""
    quarter = _probability("p", p) / 4
    return _from_weights(np.array([1 - 3 * quarter, quarter, quarter, quarter]))


def dephase(p: float) -> Kraus:
    """√(1-p) 1, √p Z: ρ -> (1-p) ρ + p ZρZ. ValueError outside [0, 1]."""
    chance = _probability("p", p)
    return _from_weights(np.array([1 - chance, 0, 0, chance]))


def bit_flip(p: float) -> Kraus:
    """√(1-p) 1, √p X: ρ -> (1-p) ρ + p XρX. ValueError outside [0, 1]."""
    chance = _probability("p", p)
    return _from_weights(np.array([1 - chance, chance, 0, 0]))


def pauli(p_x: float, p_y: float, p_z: float) -> Kraus:
    """√(1 - p_x - p_y - p_z) 1, √p_x X, √p_y Y, √p_z Z. ValueError where these are no probabilities."""
    chances = [_probability(name, value) for name, value in (("p_x", p_x), ("p_y", p_y), ("p_z", p_z))]
    total = math.fsum(chances)
    if total > 1 + TOLERANCE:
        raise ValueError(f"p_x + p_y + p_z: {total!r} given, expected at most 1")
    weights = np.array([max(0.0, 1 - total), *chances])
    return _from_weights(weights / weights.sum())


def amplitude_damp(gamma: float) -> Kraus:
    """diag(1, √(1-γ)), √γ |0><1|: |1> decays to |0> with probability γ. ValueError outside [0, 1]."""
    return damp_and_dephase(gamma, 0.0)


def damp_and_dephase(gamma: float, p_z: float) -> Kraus:
    """√(1-p_z) A, √p_z Z A, √γ |0><1| with A = diag(1, √(1-γ)): damping by γ, then dephasing by p_z.

    ValueError outside [0, 1].
    """
    chance, flip = _probability("gamma", gamma), _probability("p_z", p_z)
    kept = math.sqrt(1 - chance)
    operators = np.array([
        [[math.sqrt(1 - flip), 0], [0, math.sqrt(1 - flip) * kept]],
        [[math.sqrt(flip), 0], [0, -math.sqrt(flip) * kept]],
        [[0, math.sqrt(chance)], [0, 0]],
    ])  # fmt: skip
    return Kraus(operators[operators.any(axis=(1, 2))])


def decay_parameters(times_ps: ArrayLike, t1_ps: float, t2_ps: float) -> tuple[Floats, Floats]:
    """(γ, p_Z) of T1/T2 memories after waiting `times_ps`, of any shape.

    γ = 1 - exp(-t/T1), p_Z = ½ (1 - exp(-t (1/T2 - 1/(2 T1)))), of a Gaussian T2 ½ (1 - exp(-(t/T2)²)); infinite T1
    and T2 mean: never.
    ValueError for times below 0 or not finite, lifetimes not above 0, T2 > 2 T1.
    """
    damping, dephasing = _lifetimes(t1_ps, t2_ps)
    times = np.asarray(times_ps, dtype=np.float64)
    wrong = ~((times >= 0) & np.isfinite(times))
    if wrong.any():
        raise ValueError(f"times_ps: {float(times[wrong][0])!r} given, expected finite times from 0 up")
    lost = (times / t2_ps) ** 2 if isinstance(t2_ps, Gaussian) else times * dephasing
    return np.asarray(-np.expm1(-times * damping)), np.asarray(-0.5 * np.expm1(-lost))


def decay_diagonal(times_ps: ArrayLike, t1_ps: float, t2_ps: float) -> Floats:
    """What waiting leaves of I, X, Y and Z: 1, e^(-t/T2), e^(-t/T2), e^(-t/T1); shape (..., 4) for times of (...).

    Of a Gaussian T2 see `lifetimes`.
    """
    times = np.asarray(times_ps, dtype=np.float64)
    relaxed, dimmed = np.exp(-times / t1_ps), np.exp(-dephased(times, t1_ps, t2_ps))
    return np.stack([np.ones_like(relaxed), dimmed, dimmed, relaxed], axis=-1)


def twirled_decay(relaxed: ArrayLike, dimmed: ArrayLike) -> Floats:
    """Pauli weights of decay in random Pauli frames: its Pauli twirl, exact without relaxation; shape (..., 4).

    relaxed, dimmed: t/T1 and t/T2 (`lifetimes.dephased`), summed over the memories that a qubit waits in, shape (...).
    """
    damped, blurred = -np.expm1(-np.asarray(relaxed)), -np.expm1(-np.asarray(dimmed))
    flips = damped / 4
    return np.stack([1 - blurred / 2 - flips, flips, flips, np.maximum(blurred / 2 - flips, 0.0)], axis=-1)


def composed(first: Floats, second: ArrayLike) -> Floats:
    """Pauli weights of a channel, shape (..., 4), followed by another, shape (4,)."""
    return np.asarray(first @ np.asarray(second)[_XOR])


def decay(time_ps: float, t1_ps: float, t2_ps: float) -> Kraus:
    """`damp_and_dephase` of the γ and p_Z that `decay_parameters` gives for one waiting time."""
    time = _number("time_ps", time_ps, "a time from 0 up")
    if not (math.isfinite(time) and time >= 0):
        raise ValueError(f"time_ps: {time!r} given, expected a finite time from 0 up")
    gamma, p_z = decay_parameters(time, t1_ps, t2_ps)
    return damp_and_dephase(float(gamma), float(p_z))


def general(operators: Iterable[Array]) -> Kraus:
    """Any K_k, each (2, 2), with Σ K†K = 1. ValueError where they are no channel."""
    given = [np.asarray(operator, dtype=np.complex128) for operator in operators]
    shapes = [operator.shape for operator in given]
    if not given or set(shapes) != {(2, 2)}:
        raise ValueError(f"operators: shapes {shapes[:4]} given, expected one or more of (2, 2)")
    return Kraus(np.stack(given))
