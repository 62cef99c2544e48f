"""The uniform measurement, and two estimators that measure every copy by it: shadows and tomography.

Its elements are D |v><v| dv with v uniform over all unit vectors of D amplitudes: what comes of measuring in
a basis drawn from the Haar measure. On |ψ> the outcome has |<v|ψ>|² ~ Beta(2, D - 1), and the rest of v is
uniform in the complement of ψ; so each outcome is drawn exactly, with no basis ever written down. As the
measure is a 3-design,

    ρ̂ = (D + 1) |v><v| - 1,    E ρ̂ = ρ,    Var Tr O ρ̂ <= (D+1)/(D+2) (Tr O² + 2 Tr ρ O²)   (Tr O = 0).

Source: Huang, Kueng and Preskill 2020 (arXiv 2002.08953); Guță, Kahn, Kueng and Tropp 2020 (arXiv 1809.11162).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import ClassVar

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.gradients.estimation import Asked, Demand, Estimate, Held, Promise
from ketwire.quantum.gradients.tangents import read_by, traces, unitary
from ketwire.quantum.segments import Segment

CHUNK = 1 << 16  # amplitudes of outcomes held at once, 1 MiB: they stay in the caches
MOST_QUBITS = 10  # with the ancilla: a mean outcome is a (2**n, 2**n) matrix
MOST_GROUPS = 99
NOTED_BITS = 20  # far fewer than last bits that differ between kernels could change
MOST_READ = 1 << 24  # numbers of matrices that are read together


def outcomes(states: Complexes, counts: Integers, rng: np.random.Generator) -> Iterator[Complexes]:
    """Outcomes v of the uniform measurement of counts[row] copies of each row, in chunks (copies, D).

    A vector's overall phase means nothing: <ψ|v> comes out real.
    """
    size = states.shape[1]
    ends = np.cumsum(counts)
    total = int(ends[-1])
    step = max(1, CHUNK // size)
    one = len(states) == 1
    for start in range(0, total, step):
        copies = min(step, total - start)
        measured = states if one else states[np.searchsorted(ends, np.arange(start, start + copies), side="right")]
        along = rng.beta(2, size - 1, copies)
        across = rng.standard_normal((copies, 2 * size))
        vectors = across.view(np.complex128)
        inside = vectors @ states[0].conj() if one else np.einsum("ci,ci->c", measured.conj(), vectors)
        weight = np.einsum("cf,cf->c", across, across) - (inside.real**2 + inside.imag**2)  # of what is across ψ
        scale = np.sqrt((1 - along) / weight)
        across *= scale[:, None]
        vectors += (np.sqrt(along) - inside * scale)[:, None] * measured
        yield vectors


def inversion(states: Complexes, counts: Integers, rng: np.random.Generator) -> Complexes:
    """Mean of ρ̂ over the outcomes of these copies: (D, D), Hermitian, of trace 1."""
    size = states.shape[1]
    total = np.zeros((size, size), dtype=np.complex128)
    for vectors in outcomes(states, counts, rng):
        total += vectors.T @ vectors.conj()
    return np.asarray((size + 1) / counts.sum() * total - np.eye(size))


def expectations(segment: Segment, matrices: Iterable[Complexes]) -> Floats:
    """Tr O_p ρ for every parameter p of U and each Hermitian (D, D) matrix: (any, P_U).

    Of each matrix as it comes nothing is kept but what tells of derivatives, 4**n numbers.
    """
    U, told = unitary(segment), []
    rows = (read_by(U, matrix) for matrix in matrices)
    while together := list(islice(rows, max(1, MOST_READ // U.size))):
        told.append(traces(segment, np.array(together)))
    return np.concatenate(told)


@lru_cache(maxsize=256)
def median_plan(failure: float) -> tuple[int, float]:
    """(groups, p): the median over groups fails with probability `failure` at most if each does with p.

    The median of an odd number of groups is off only where more than half of them are, so p solves
    P[Bin(groups, p) >= (groups + 1)/2] = failure; groups minimise groups / p, to which copies are
    proportional.
    """
    plans = ((groups, _tolerated(groups, failure)) for groups in range(1, MOST_GROUPS + 1, 2))
    return min(plans, key=lambda plan: plan[0] / plan[1])


def _tolerated(groups: int, failure: float) -> float:
    low, high = 0.0, 0.5
    k = np.arange(groups // 2 + 1, groups + 1)
    ways = np.array([math.comb(groups, int(above)) for above in k], dtype=np.float64)
    for _ in range(40):
        p = (low + high) / 2
        tail = float(ways @ (p**k * (1 - p) ** (groups - k)))
        low, high = (p, high) if tail <= failure else (low, p)
    return max(low, 1e-300)


def _checked_size(qubits: int, name: str) -> int:
    if qubits > MOST_QUBITS:
        raise ValueError(f"qubits: {qubits} with the ancilla given, expected at most {MOST_QUBITS} for {name}")
    return 1 << qubits


@dataclass(frozen=True)
class ClassicalShadows:
    """Median of means of Tr O_p ρ̂, the same copies for all parameters.

    ||O_p|| <= R_p = Σ_b r_pb gives Var <= (D + 1) R², (2^(n+1) + 1)/4 for rotations: no dependence on the
    blocks and log P alone, but D of them, so no advantage. Chebyshev's inequality for each group and
    `median_plan`: groups · (D + 1) R² / (p epsilon²) copies. Outcomes are sampled exactly; each group's mean
    is unbiased, their median within the promise.
    """

    name: ClassVar[str] = "classical-shadows"
    most_qubits: ClassVar[int] = MOST_QUBITS - 1

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """By Chebyshev's inequality, and the median over groups."""
        asked = Demand.of(blocks)
        if not asked.blocks:
            return 0
        size = _checked_size(asked.qubits, self.name)
        groups, p = median_plan(promise.delta / promise.parameters)
        return groups * math.ceil((size + 1) * asked.sums**2 / (p * promise.epsilon**2))

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """ValueError where a sample has fewer copies than there are groups."""
        _checked_size(segment.qubits + 1, self.name)
        groups, _ = median_plan(promise.delta / promise.parameters)
        dealt = held.deal(groups, rng)
        rows = held.rows_by_sample
        means = (inversion(held.states[of], portion[of], rng) for of in rows for portion in dealt)
        told = expectations(segment, means).reshape(len(rows), groups, -1)
        return _estimate(np.median(told, axis=1), held)


@dataclass(frozen=True)
class Tomography:
    """The whole state from the mean of ρ̂, projected to the nearest density matrix.

    With ||mean - ρ|| <= t (operator norm) and ρ of rank 1, the projection σ has ||σ - ρ||_1 <= 4 t: clipping
    eigenvalues moves each by t at most, so ||σ - ρ|| <= 2 t, and σ - ρ is traceless with one negative
    eigenvalue at most. So |Tr O_p (σ - ρ)| <= 4 R t. The matrix Bernstein inequality with ||E X²|| <= 2 D - 1
    and ||X|| <= D for X = ρ̂ - ρ asks for 2 (2 D - 1 + D t/3) ln(2 D / delta_U) / t² copies, t = epsilon / 4 R:
    no P in it. Copies on noisy links are mixed; the promise is for pure ones. Outcomes are sampled exactly.
    The projection biases the estimate, within the promise.
    """

    name: ClassVar[str] = "tomography"
    most_qubits: ClassVar[int] = MOST_QUBITS - 1

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """By the matrix Bernstein inequality."""
        asked = Demand.of(blocks)
        if not asked.blocks:
            return 0
        size = _checked_size(asked.qubits, self.name)
        t = promise.epsilon / (4 * asked.sums)
        failure = promise.share(asked.parameters)
        return math.ceil(2 * (2 * size - 1 + size * t / 3) / t**2 * math.log(2 * size / failure))

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """For each sample the derivatives of its reconstructed state."""
        _checked_size(segment.qubits + 1, self.name)
        rows = held.rows_by_sample
        found = (nearest_state(inversion(held.states[of], held.counts[of], rng)) for of in rows)
        return _estimate(expectations(segment, found), held)


def _estimate(values: Floats, held: Held) -> Estimate:
    """An estimate from outcomes that are vectors, not integers: in a transcript its values to 2^-20 stand for them."""
    return Estimate(values, held.totals, np.rint(np.ldexp(values, NOTED_BITS)).astype(np.int64).ravel())


def nearest_state(matrix: Complexes) -> Complexes:
    """The density matrix nearest in Frobenius norm to a Hermitian matrix (Smolin, Gambetta and Smith 2012).

    Its eigenvalues are those of the matrix, moved down by one number and cut at 0, so that they sum to 1.
    """
    values, vectors = np.linalg.eigh(matrix)
    falling = values[::-1]
    shifts = (np.cumsum(falling) - 1) / np.arange(1, len(falling) + 1)
    shift = shifts[np.flatnonzero(falling > shifts)[-1]]
    kept = np.clip(values - shift, 0.0, None)
    return np.asarray((vectors * kept) @ vectors.conj().T)
