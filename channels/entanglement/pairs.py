"""Pairs of entangled qubits: what they are and what becomes of them, as functions on arrays.

A batch of pairs is complex128, shape (pairs, 4, 4): density matrices over |00>, |01>, |10>, |11>,
half a first. The Bell basis is ordered (Φ+, Ψ-, Ψ+, Φ-) throughout; Φ+ is the pair that everything
aims at, and the other three are Φ+ with Y, X and Z on one half. In this order the product of two
Paulis is the XOR of their indices.

*When to twirl.* A pair that is consumed, swapped or distilled counts by its Bell diagonal alone.
Before that it does not: damping leaves populations unequal and coherences alive, and a pair (or one
half's channel) reduced to its Bell diagonal between two stretches of decay comes out worse than it
is. With γ = 0.8 on both halves Φ+ keeps F = 0.52, and 0.36 if it is twirled in between. So carry the
4x4 state, or the six of its numbers that decay turns into a Bell diagonal (`elements`), and take the
diagonal at the end.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ketwire.quantum.noise.lifetimes import dephased

Rho = NDArray[np.complex128]
Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Constant = float | tuple[float, float]
"""A time constant in ps: of both halves, or of half a and of half b. math.inf means never."""

_CHUNK = 1 << 13  # pairs handled at once, so that the temporaries of one chunk stay in the cache
_FLIP_B = [1, 0, 3, 2]  # the basis after X on half b
_SIGN_B = np.outer([1.0, -1.0, 1.0, -1.0], [1.0, -1.0, 1.0, -1.0])  # what Z on half b does to a matrix
XOR = np.arange(4)[:, None] ^ np.arange(4)


# States and their Bell diagonals


def werner_bell(fidelity: ArrayLike) -> Floats:
    """Bell diagonals of Werner pairs: (F, e, e, e) with e = (1 - F) / 3.

    Args:
        fidelity: floats of any shape, to Φ+.

    Returns:
        float64, shape (..., 4).

    Raises:
        ValueError: a fidelity outside of [0, 1].
    """
    wanted = np.asarray(fidelity, dtype=np.float64)
    if not np.all((wanted >= 0.0) & (wanted <= 1.0)):
        raise ValueError(f"fidelity: {fidelity!r} given, expected numbers from 0 to 1")
    others = (1.0 - wanted) / 3.0
    return np.stack([wanted, others, others, others], axis=-1)


def werner(fidelity: ArrayLike) -> Rho:
    """Werner pairs of the given fidelity to Φ+; complex128, shape (..., 4, 4)."""
    return from_bell(werner_bell(fidelity))


def from_bell(bell: Floats) -> Rho:
    """The Bell-diagonal states with these weights; float64 (..., 4) in, complex128 (..., 4, 4) out."""
    phi_plus, psi_minus, psi_plus, phi_minus = np.moveaxis(bell, -1, 0)
    rho = np.zeros((*bell.shape[:-1], 4, 4), dtype=np.complex128)
    rho[..., 0, 0] = rho[..., 3, 3] = (phi_plus + phi_minus) / 2
    rho[..., 0, 3] = rho[..., 3, 0] = (phi_plus - phi_minus) / 2
    rho[..., 1, 1] = rho[..., 2, 2] = (psi_plus + psi_minus) / 2
    rho[..., 1, 2] = rho[..., 2, 1] = (psi_plus - psi_minus) / 2
    return rho


def bell_diagonal(rho: Rho) -> Floats:
    """Weights of (Φ+, Ψ-, Ψ+, Φ-) in each pair; complex128 (..., 4, 4) in, float64 (..., 4) out."""
    return diagonal(elements(rho))


def fidelity(rho: Rho) -> Floats:
    """<Φ+| rho |Φ+> of each pair; complex128 (..., 4, 4) in, float64 (...) out."""
    overlap: Floats = (rho[..., 0, 0].real + rho[..., 3, 3].real) / 2 + rho[..., 0, 3].real
    return overlap


def twirl(rho: Rho) -> Rho:
    """Each pair with only its Bell diagonal left: the same random Pauli on both halves does it.

    Only for pairs about to be consumed, swapped or distilled: see the head of this module.
    """
    return from_bell(bell_diagonal(rho))


def werner_twirl(bell: Floats) -> Floats:
    """Bell diagonals made equal except for Φ+, by random bilateral rotations; float64 (..., 4) both ways."""
    return werner_bell(np.clip(bell[..., 0], 0.0, 1.0))  # rounding may leave 1 + 2e-16


# Decay in memory


def decay_pairs(rho: Rho, time_a_ps: Times, time_b_ps: Times, t1_ps: Constant, t2_ps: Constant) -> Rho:
    """Pairs whose halves waited in memories: T1 damping and pure dephasing on each, in closed form.

    Per half, for t in a memory: γ = 1 - e^(-t/T1); coherences shrink by e^(-t/T2). It makes no
    difference in which order the two halves, or two stretches of waiting, are taken.

    Args:
        rho: complex128, shape (pairs, 4, 4), or (4, 4) for pairs that are all alike.
        time_a_ps, time_b_ps: int64, shape (pairs,), how long each half waited; not negative.
        t1_ps, t2_ps: time constants of the memories; T2 <= 2 T1.

    Returns:
        complex128, shape (pairs, 4, 4).

    Raises:
        ValueError: time constants that no memory has.
    """
    check_memory(t1_ps, t2_ps)
    pairs = len(time_a_ps)
    decayed: Rho = np.array(np.broadcast_to(rho, (pairs, 4, 4)))
    for waiting in _chunks(_waiting(time_a_ps, time_b_ps)):
        kept = _kept(time_a_ps[waiting], time_b_ps[waiting], t1_ps, t2_ps)
        # Element by element along rows of memory: the index of the pair comes last.
        some = np.ascontiguousarray(decayed[waiting].reshape(-1, 16).T).reshape(4, 4, -1)
        _decay(some, kept)
        decayed[waiting] = some.reshape(16, -1).T.reshape(-1, 4, 4)
    return decayed


class Shared(NamedTuple):
    """Pairs of which many are alike.

    states: complex128, shape (rows, 4, 4), the distinct states
    row:    int64, shape (pairs,), which of them each pair is in
    """

    states: Rho
    row: NDArray[np.int64]


def decay_shared(shared: Shared, time_a_ps: Times, time_b_ps: Times, t1_ps: Constant, t2_ps: Constant) -> Shared:
    """`decay_pairs` that touches only the pairs that waited: each of them gets a row of its own."""
    check_memory(t1_ps, t2_ps)
    waiting = _waiting(time_a_ps, time_b_ps)
    if not len(waiting):
        return shared
    fresh = decay_pairs(shared.states[shared.row[waiting]], time_a_ps[waiting], time_b_ps[waiting], t1_ps, t2_ps)
    row = shared.row.copy()
    row[waiting] = np.arange(len(shared.states), len(shared.states) + len(waiting))
    return Shared(np.concatenate([shared.states, fresh]), row)


def elements(rho: Rho) -> Floats:
    """The six numbers of a pair that its Bell diagonal depends on, now and after any decay.

    Returns:
        float64, shape (..., 6): the populations of |00>, |01>, |10>, |11> and the real parts of the
        coherences |00><11| and |01><10|.
    """
    six = np.empty((*rho.shape[:-2], 6))
    for level in range(4):
        six[..., level] = rho[..., level, level].real
    six[..., 4] = rho[..., 0, 3].real
    six[..., 5] = rho[..., 1, 2].real
    return six


def elements_of_bell(bell: Floats) -> Floats:
    """`elements` of Bell-diagonal pairs; float64 (..., 4) in, float64 (..., 6) out."""
    phi_plus, psi_minus, psi_plus, phi_minus = np.moveaxis(bell, -1, 0)
    even, odd = (phi_plus + phi_minus) / 2, (psi_plus + psi_minus) / 2
    return np.stack([even, odd, odd, even, (phi_plus - phi_minus) / 2, (psi_plus - psi_minus) / 2], axis=-1)


def decayed_bell(six: Floats, time_a_ps: Times, time_b_ps: Times, t1_ps: Constant, t2_ps: Constant) -> Floats:
    """Bell diagonals of pairs that waited: `bell_diagonal(decay_pairs(...))`, and nothing else of them.

    Args:
        six: float64, shape (pairs, 6), or (6,) for pairs that are all alike: their `elements`.
        time_a_ps, time_b_ps, t1_ps, t2_ps: as for `decay_pairs`.

    Returns:
        float64, shape (pairs, 4).

    Raises:
        ValueError: time constants that no memory has.
    """
    check_memory(t1_ps, t2_ps)
    pairs = len(time_a_ps)
    bell = np.empty((pairs, 4))
    bell[:] = diagonal(six)
    if _keep_all(t1_ps, t2_ps):
        return bell
    for waiting in _chunks(_waiting(time_a_ps, time_b_ps)):
        kept = _kept(time_a_ps[waiting], time_b_ps[waiting], t1_ps, t2_ps)
        bell[waiting] = _decayed_diagonal(six if six.ndim == 1 else six[waiting].T, kept)
    return bell


def decayed_elements(six: Floats, time_a_ps: Times, time_b_ps: Times, t1_ps: Constant, t2_ps: Constant) -> Floats:
    """`elements` of pairs that waited: of `decay_pairs(...)` those six numbers, which need no others.

    Args:
        six: float64, shape (pairs, 6): their `elements`.
        time_a_ps, time_b_ps, t1_ps, t2_ps: as for `decay_pairs`.

    Returns:
        float64, shape (pairs, 6).

    Raises:
        ValueError: time constants that no memory has.
    """
    check_memory(t1_ps, t2_ps)
    if _keep_all(t1_ps, t2_ps):
        return six.copy()
    s_a, s_b, g_a, g_b, c_a, c_b = _kept(time_a_ps, time_b_ps, t1_ps, t2_ps)
    p00, p01, p10, p11, phi, psi = six.T
    waited: Floats = np.empty((len(time_a_ps), 6))
    waited[:, 0] = p00 + g_b * p01 + g_a * p10 + g_a * g_b * p11
    waited[:, 1] = s_b * (p01 + g_a * p11)
    waited[:, 2] = s_a * (p10 + g_b * p11)
    waited[:, 3] = s_a * s_b * p11
    waited[:, 4] = c_a * c_b * phi
    waited[:, 5] = c_a * c_b * psi
    return waited


def dimmed(six: Floats, attempts: Times, per_attempt: float) -> Floats:
    """`elements` of pairs, (pairs, 6), after attempts, (pairs,), each of which shrinks coherences by e^-per_attempt."""
    if per_attempt == 0.0:
        return six
    left = six.copy()
    left[:, 4:] *= np.exp(-per_attempt * attempts)[:, None]
    return left


def check_memory(t1_ps: Constant, t2_ps: Constant) -> None:
    """Raises:
    ValueError: a time constant that is not above 0, or T2 above 2 T1.
    """
    for t1, t2 in zip(_both(t1_ps), _both(t2_ps), strict=True):
        for name, value in (("t1_ps", t1), ("t2_ps", t2)):
            if not value > 0.0:
                raise ValueError(f"{name}: {value!r} given, expected a time above 0")
        if t2 > 2.0 * t1:
            raise ValueError(f"t2_ps: {t2!r} given, expected at most twice t1_ps = {t1!r}")


def _both(constant: Constant) -> tuple[float, float]:
    return constant if isinstance(constant, tuple) else (constant, constant)


def _keep_all(t1_ps: Constant, t2_ps: Constant) -> bool:
    """Whether nothing decays in memories with these constants."""
    return all(map(math.isinf, (*_both(t1_ps), *_both(t2_ps))))


def _waiting(time_a_ps: Times, time_b_ps: Times) -> NDArray[np.int64]:
    either = time_a_ps if time_b_ps is time_a_ps else time_a_ps | time_b_ps
    waiting = np.flatnonzero(either)
    assert not len(waiting) or either[waiting].min() > 0  # an OR is negative if one of both is
    return waiting


def _chunks(indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [indices[start : start + _CHUNK] for start in range(0, len(indices), _CHUNK)]


class _Kept(NamedTuple):
    """Per pair what decay leaves: excited populations and coherences of half a and b, and what fell."""

    excited_a: Any  # an array, or 1.0 where no memory damps
    excited_b: Any
    fallen_a: Any
    fallen_b: Any
    coherent_a: Any
    coherent_b: Any


def _kept(time_a_ps: Times, time_b_ps: Times, t1_ps: Constant, t2_ps: Constant) -> _Kept:
    (t1_a, t1_b), (t2_a, t2_b) = _both(t1_ps), _both(t2_ps)
    fallen_a, fallen_b = _fallen(time_a_ps, t1_a), _fallen(time_b_ps, t1_b)
    return _Kept(
        1.0 - fallen_a,
        1.0 - fallen_b,
        fallen_a,
        fallen_b,
        1.0 if math.isinf(t2_a) else np.exp(-dephased(time_a_ps, t1_a, t2_a)),
        1.0 if math.isinf(t2_b) else np.exp(-dephased(time_b_ps, t1_b, t2_b)),
    )


def _fallen(time_ps: Times, t1_ps: float) -> Any:
    # -expm1 keeps the digits that 1 - exp would lose: an hour of T1 against a microsecond of waiting.
    return 0.0 if math.isinf(t1_ps) else -np.expm1(time_ps / -t1_ps)


def _decay(rho: Rho, kept: _Kept) -> None:
    """Decay in place of complex128, shape (4, 4, pairs)."""
    s_a, s_b, g_a, g_b, c_a, c_b = kept
    # Populations: what falls from above is added before what is above shrinks.
    rho[0, 0] += g_b * rho[1, 1] + g_a * rho[2, 2] + g_a * g_b * rho[3, 3]
    rho[1, 1] = s_b * (rho[1, 1] + g_a * rho[3, 3])
    rho[2, 2] = s_a * (rho[2, 2] + g_b * rho[3, 3])
    rho[3, 3] *= s_a * s_b
    # Coherences of half a, half b in |0> (0, 2) or |1> (1, 3); then the same for half b; then of both.
    rho[0, 2] = c_a * (rho[0, 2] + g_b * rho[1, 3])
    rho[1, 3] *= c_a * s_b
    rho[0, 1] = c_b * (rho[0, 1] + g_a * rho[2, 3])
    rho[2, 3] *= c_b * s_a
    rho[0, 3] *= c_a * c_b
    rho[1, 2] *= c_a * c_b
    for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        np.conjugate(rho[i, j], out=rho[j, i])


def _decayed_diagonal(six: Floats, kept: _Kept) -> Floats:
    """Bell diagonals (pairs, 4) of `elements` (6,) or (6, pairs), by the formulas of `_decay`."""
    s_a, s_b, g_a, g_b, c_a, c_b = kept
    p00, p01, p10, p11, phi, psi = six
    odd = (s_b * (p01 + g_a * p11) + s_a * (p10 + g_b * p11)) / 2
    even = (p00 + p01 + p10 + p11) / 2 - odd
    coherent = c_a * c_b
    phi, psi = coherent * phi, coherent * psi
    return np.stack(np.broadcast_arrays(even + phi, odd - psi, odd + psi, even - phi), axis=-1)


def diagonal(six: Floats) -> Floats:
    """Bell diagonals of pairs by their `elements`; float64 (..., 6) in, float64 (..., 4) out."""
    even, odd = (six[..., 0] + six[..., 3]) / 2, (six[..., 1] + six[..., 2]) / 2
    phi, psi = six[..., 4], six[..., 5]
    bell: Floats = np.empty((*six.shape[:-1], 4))
    bell[..., 0], bell[..., 1], bell[..., 2], bell[..., 3] = even + phi, odd - psi, odd + psi, even - phi
    return bell


# What pairs are used for


def pauli_of_teleportation(bell: Floats) -> Floats:
    """The Pauli channel that a qubit teleported through a pair goes through.

    Averaged over outcomes and corrected, it is exactly this for *any* pair (Bowen and Bose 2001).

    Args:
        bell: float64, shape (..., 4): the pair's Bell diagonal.

    Returns:
        float64, shape (..., 4): the probabilities of I, X, Y, Z.
    """
    # Rounding may leave a weight of nothing at -1e-17.
    return np.maximum(bell[..., [0, 2, 1, 3]], 0.0)


def swap(first: Rho, second: Rho) -> Rho:
    """Entanglement swapping: a-b and c-d become a-d by a Bell measurement on b and c.

    Averaged over outcomes, with the correction on d. That is half b teleported through the second
    pair, so the second counts by its Bell diagonal alone while the first keeps all of its state.
    (With the correction on a it is the other way round; the Bell diagonal is the same.)

    Args:
        first, second: complex128, shapes (..., 4, 4) that broadcast.

    Returns:
        complex128, shape (..., 4, 4): half a first, then d.
    """
    i, x, y, z = np.moveaxis(pauli_of_teleportation(bell_diagonal(second)), -1, 0)[..., None, None]
    flipped = first[..., _FLIP_B, :][..., _FLIP_B]
    swapped: Rho = i * first + x * flipped + (y * flipped + z * first) * _SIGN_B
    return swapped


def swap_elements(first: Floats, second: Floats) -> Floats:
    """`elements` after swapping: of `swap(first, second)` those six numbers, which need no others.

    Args:
        first: float64, shape (..., 6): `elements` of the pairs that keep all of their state.
        second: float64, shape (..., 4): Bell diagonals of the pairs that the Bell measurement uses up.

    Returns:
        float64, shape (..., 6).
    """
    weights = pauli_of_teleportation(second)
    i, x, y, z = (weights[..., pauli, None] for pauli in range(4))
    # X on half b exchanges |00> and |01>, |10> and |11>, and so the coherences; Z turns their signs.
    flipped = first.take([1, 0, 3, 2, 5, 4], axis=-1)
    swapped = (i + z) * first
    swapped += (x + y) * flipped
    swapped[..., 4:] = (i - z) * first[..., 4:] + (x - y) * flipped[..., 4:]
    return swapped


def swap_bell(first: Floats, second: Floats) -> Floats:
    """The Bell diagonal after swapping: the XOR convolution of two; float64 (..., 4) each."""
    return np.stack([(first * second[..., XOR[k]]).sum(axis=-1) for k in range(4)], axis=-1)
