"""Subspaces: one per class, with the measurement that tells them apart.

**Class subspaces.** A class is held as the span of the leading right singular vectors of its
unit-normalised training vectors (uncentred: rays, not points, are what a quantum state knows). The
exact decision is argmax_c ||P_c x||^2 with P_c the projector on the span (Watanabe's CLAFIC, 1967).

**One measurement with C outcomes.** Bob has K copies of |x> and no amplitudes. Three ways are here:

- `exclusion_blocks`: E_c = (1 - P_c) / mu and a remainder, the class with the *fewest* counts wins.
  Nearest-subspace exactly as K grows. It is what C two-outcome measurements {P_c, 1 - P_c} on K / C
  copies each do, bundled: a copy says something about one class only, and most copies say nothing.
- `pretty_good_blocks`: E_c = S^-1/2 P_c S^-1/2 with S = sum P_c (Hausladen and Wootters 1994), the
  class with the most counts wins. Built for one copy, and biased as K grows.
- `discriminating_blocks`: starts near the pretty good measurement and descends, on Bob's training
  data alone, on the Gaussian bound of the error probability of "most counts win" with K copies.
  Every copy speaks about all classes at once. The rule is then argmax_c <x|E_c|x>: a quadratic
  classifier of the same form as nearest-subspace, but not the same operator.

Where no entry is negative, the computational basis with x_j estimated by sqrt(counts_j / K) does as
well or better; but Alice could draw those samples herself and send them as classical bits, so it is
a classical protocol in disguise and not offered here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.quantum.grid import Sliced, exponential, isometry, product, rough_product, slice_bits, sliced, snap

Real = NDArray[np.float64]
Indices = NDArray[np.int64]

_RANK_TOLERANCE = 1e-9
_PROJECTOR_BITS = 22  # kernels differ by 1e-16 in an entry, on average: one in 1e9 falls on another point of this grid
_SPREAD = 0.05  # norm of the rows that a measurement to be tuned starts with beside those of the class subspaces


# ---------------------------------------------------------------- class subspaces


def unit_rows(vectors: Real) -> Real:
    """The rows of `vectors`, shape (rows, N), scaled to norm 1.

    Raises:
        ScenarioError: an entry is not finite, or a row is all zero.
    """
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ScenarioError("vectors: expected a table of finite numbers")
    largest = np.abs(vectors).max(axis=1, initial=0.0)
    if not largest.all():
        row = int(np.flatnonzero(largest == 0)[0])
        raise ScenarioError(f"vectors: row {row} is all zero, expected a number other than 0 in each row")
    # Scaled by their largest entry first, so that squares neither overflow nor vanish.
    scaled = vectors / largest[:, None]
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1)[:, None], dtype=np.float64)


def class_subspaces(vectors: Real, labels: Indices, components: int) -> Real:
    """Orthonormal bases of the class subspaces, shape (classes, components, N).

    vectors: (rows, N), any norm but zero. labels: (rows,), integers 0..classes-1.

    Raises:
        ScenarioError: labels do not fit, or a class spans fewer than `components` dimensions.
    """
    units = unit_rows(vectors)
    if labels.shape != (len(units),) or not np.issubdtype(labels.dtype, np.integer) or not len(labels):
        raise ScenarioError(f"labels: expected one integer for each of the {len(units)} vectors")
    if labels.min() < 0:
        raise ScenarioError(f"labels: {int(labels.min())} is below 0, expected 0..classes-1")
    if not 1 <= components < units.shape[1]:
        raise ScenarioError(f"components: {components}, expected 1..{units.shape[1] - 1}")
    found = nested_subspaces(units, labels, (components,))[0]
    if isinstance(found, str):
        raise ScenarioError(f"components: {components}, but class {found}; expected fewer components")
    return found


def nested_subspaces(units: Real, labels: Indices, dimensions: Sequence[int]) -> list[Real | str]:
    """For each number of dimensions the bases of `class_subspaces`, from one decomposition a class.

    units: (rows, N), of norm 1. labels: (rows,), integers 0..classes-1.

    Returns:
        Shape (classes, dimension, N) each; where a class does not span so many, what is wrong with it.
    """
    bases: list[list[Real]] = [[] for _ in dimensions]
    wrong: dict[int, str] = {}
    for name in range(int(labels.max()) + 1):
        members = units[labels == name]
        wide = [place for place, dimension in enumerate(dimensions) if len(members) >= dimension]
        singular, right = np.zeros(0), np.zeros((0, units.shape[1]))
        if wide:
            _, singular, right = np.linalg.svd(members, full_matrices=False)
        for place, dimension in enumerate(dimensions):
            if place not in wide:
                wrong.setdefault(place, f"{name} has {len(members)} training vectors")
            elif singular[dimension - 1] < _RANK_TOLERANCE * singular[0]:
                wrong.setdefault(place, f"{name} spans fewer dimensions")
            elif place not in wrong:
                bases[place].append(_basis(right[:dimension].T @ right[:dimension], dimension))
    return [wrong[place] if place in wrong else np.stack(of) for place, of in enumerate(bases)]


def _basis(projector: Real, rank: int) -> Real:
    """An orthonormal basis of the range of a projector, (rank, N), that its numbers to 2^-22 alone determine.

    Singular vectors are determined up to signs, and where singular values are equal up to a rotation; which of
    them a decomposition answers with depends on the kernel. So: Cholesky's decomposition of the projector, the
    largest pivot first, and the nearest orthonormal rows.
    """
    rest, rows = snap(projector, _PROJECTOR_BITS), []
    for _ in range(rank):
        pivot = int(np.argmax(np.diagonal(rest)))
        rows.append(rest[pivot] / math.sqrt(rest[pivot, pivot]))
        rest = rest - rows[-1][:, None] * rows[-1]
    return np.ascontiguousarray(isometry(np.stack(rows, axis=1)).T)


def projectors(bases: Real) -> Real:
    """P_c = V_c^T V_c, shape (classes, N, N)."""
    return np.asarray(bases.transpose(0, 2, 1) @ bases, dtype=np.float64)


def affinities(bases: Real, vectors: Real) -> Real:
    """||P_c x||^2 / ||x||^2, shape (rows, classes)."""
    return probabilities(bases, unit_rows(vectors))


def nearest(bases: Real, vectors: Real) -> Indices:
    """The exact decision argmax_c ||P_c x||^2, shape (rows,); ties go to the lowest class."""
    return decide(affinities(bases, vectors))


def decide(counts: NDArray[Any]) -> Indices:
    """The class with the most counts, over the last axis; ties go to the lowest class.

    Counts of a measurement by exclusion are handed over negated and without the remainder. Probabilities are
    compared to 2^-40: those that differ in their last bits alone are equal.
    """
    return np.asarray(np.argmax(snap(counts), axis=-1), dtype=np.int64)


# ---------------------------------------------------------------- measurements of the class


def probabilities(blocks: Real, units: Real) -> Real:
    """Outcome probabilities ||B_c x||^2 of unit rows x, shape (rows, outcomes).

    blocks: (outcomes, rank, N). units: (rows, N).
    """
    outcomes, rank, dimension = blocks.shape
    amplitudes = units @ blocks.reshape(outcomes * rank, dimension).T
    return np.asarray((amplitudes**2).reshape(len(units), outcomes, rank).sum(axis=2), dtype=np.float64)


def exclusion_blocks(bases: Real) -> Real:
    """Blocks of E_c = (1 - P_c) / mu and of the remainder last, shape (classes + 1, N, N).

    mu = classes - (least eigenvalue of sum P_c), the smallest that leaves the remainder positive.
    Fewest counts win.
    """
    classes, _, dimension = bases.shape
    P = projectors(bases)
    total = P.sum(axis=0)
    mu = classes - float(np.linalg.eigvalsh(total)[0])
    against = (np.eye(dimension) - P) / math.sqrt(mu)  # 1 - P is its own square
    remainder = _root((total - (classes - mu) * np.eye(dimension)) / mu)
    return np.concatenate([against, remainder[None]])


def pretty_good_blocks(bases: Real) -> Real:
    """Blocks of the square-root measurement of the P_c, shape (classes, N, N). Most counts win.

    Directions that no class subspace touches are shared out evenly.
    """
    classes, _, dimension = bases.shape
    values, vectors = np.linalg.eigh(projectors(bases).sum(axis=0))
    seen = values > _RANK_TOLERANCE
    inverse_root = (vectors[:, seen] / np.sqrt(values[seen])) @ vectors[:, seen].T
    blind = np.eye(dimension) - vectors[:, seen] @ vectors[:, seen].T
    return np.stack([_root(inverse_root @ P @ inverse_root + blind / classes) for P in projectors(bases)])


def discriminating_blocks(
    bases: Real, vectors: Real, labels: Indices, *, copies: int = 100, steps: int = 150, rate: float = 0.008
) -> Real:
    """Blocks (classes, rank, N) of the C-outcome measurement tuned on the training data.

    Minimises, by gradient descent on the manifold of measurements (sum B_c^T B_c = 1), the training
    mean of sum_{d != y} Phi(-m_d / s_d): m_d = p_y - p_d is the margin of the true class y, and
    s_d^2 = (p_y + p_d - m_d^2) / copies the variance of its estimate from `copies` counts. So it is
    the union bound of the probability that "most counts win" errs, in the Gaussian limit. The step
    falls linearly to 0 over the second half. Deterministic, and the same on every processor: 150 steps
    would make 1e-4 of last bits.

    bases: of `class_subspaces`. vectors, labels: the training data. copies: how many copies a
    decision the measurement is tuned for; it serves well a decade up and down.
    """
    units = unit_rows(vectors)
    blocks = _start(bases)
    classes, rank, dimension = blocks.shape
    rows = blocks.reshape(classes * rank, dimension)
    momentum, scale, fast, slow = np.zeros_like(rows), 0.0, 1.0, 1.0
    truth = np.eye(classes)[labels]
    factors = sliced(units, slice_bits(dimension)), sliced(units, slice_bits(len(units)))
    for step in range(1, steps + 1):
        gradient = _bound_gradient(rows, factors, truth, copies)
        both = product(rows.T, gradient)
        gradient -= product(rows, both + both.T) / 2  # along the manifold
        momentum = 0.9 * momentum + 0.1 * gradient
        scale = 0.99 * scale + 0.01 * float((gradient**2).mean())
        fast, slow = 0.9 * fast, 0.99 * slow
        # One scale for all entries (not Adam's one each): the step must stay a tangent vector.
        size = rate * min(1.0, 2 * (1 - step / steps)) / (1 - fast)
        rows = isometry(rows - size * momentum / (math.sqrt(scale / (1 - slow)) + 1e-12))
    return rows.reshape(classes, rank, dimension)


def _bound_gradient(rows: Real, units: tuple[Sliced, Sliced], truth: Real, copies: int) -> Real:
    """Gradient of the union bound with respect to the stacked blocks, shape of `rows`.

    units: the training vectors, sliced for sums over their entries, and over the vectors.
    """
    (count, classes), (across, along) = truth.shape, units
    amplitudes = rough_product(across, sliced(rows.T, slice_bits(rows.shape[1]))).reshape(count, classes, -1)
    p = (amplitudes**2).sum(axis=2)
    right = (p * truth).sum(axis=1, keepdims=True)
    margin = right - p
    # A variance: the rough products leave a probability that is 1 a little above it, and a variance below 0.
    spread = np.sqrt(np.clip(right + p - margin**2, 0, None) / copies + 1e-9)
    density = exponential(-0.5 * (margin / spread) ** 2) / math.sqrt(2 * math.pi) * (1 - truth)
    bend = 0.5 * margin / spread**3 / copies  # through the spread
    slope = density * (1 / spread + bend * (1 + 2 * margin))
    slope -= truth * (density * (1 / spread - bend * (1 - 2 * margin))).sum(axis=1, keepdims=True)
    weighted = (amplitudes * slope[:, :, None]).reshape(count, -1)
    return np.asarray(2 / count * rough_product(sliced(weighted.T, slice_bits(count)), along), dtype=np.float64)


def _start(bases: Real) -> Real:
    """The pretty good measurement of the class subspaces, to each of which some directions of its own are added.

    Rows that are zero have no gradient, so a block would keep the rank of its subspace forever. The directions
    are axes, dealt out to the classes in turn, short, and enough to touch every direction: blocks (classes, rank, N).
    """
    classes, components, dimension = bases.shape
    more = max(16 - components, math.ceil(dimension / classes))
    axes = _SPREAD * np.eye(dimension)[np.arange(classes * more).reshape(more, classes).T % dimension]
    blocks = np.concatenate([bases, axes], axis=1)
    rank = components + more
    return isometry(blocks.reshape(classes * rank, dimension)).reshape(classes, rank, dimension)


def _root(positive: Real) -> Real:
    values, vectors = np.linalg.eigh(positive)
    return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T, dtype=np.float64)
