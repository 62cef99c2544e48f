"""Classifiers for a party that receives rows: nearest subspace, multinomial logistic regression, nearest neighbours.

A party that is sent rows, rounded to some bits an entry, may do with them what it likes. `chosen` trains every
classifier here on the training rows, keeps the one that is right most often in cross-validation on these rows alone,
and trains that one on all of them. Nothing else is looked at: no row that is to be classified, and no label of one.

Decisions must not depend on the kernels of the linear algebra library, whose last digits differ from processor to
processor. So intermediate values are rounded to a grid that is far coarser than these digits (`snap`) before
anything is compared or iterated on, distances are sums of integers, and ties go to the lowest number.

- *Nearest subspace*: argmax_c ||P_c x||² / ||x||², P_c the projector on the leading singular vectors of class c.
- *Logistic regression*: softmax(x W) with the penalty ||W||² / 2, intercepts free, on standardised columns. A fixed
  number of Newton steps, each solved by conjugate gradients and shortened where the loss would grow.
- *Nearest neighbours*: the most frequent class of the k nearest training rows, of columns as they are or standardised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ketwire.quantum import subspaces
from ketwire.quantum.grid import snap

Real = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 5
MOST_ROWS = 1 << 12
"""Training rows that are cross-validated on at most, evenly spread over all; the chosen one is trained on all."""

COMPONENTS = (1, 2, 4, 8)
NEIGHBOURS = (1, 3, 5, 9)

GRID_BITS = 20  # of weights, losses and scores that are compared: 1e-6, kernels differ by some 1e-13
NEWTON_STEPS = 12
CONJUGATE_STEPS = 30
STEP_LENGTHS = (1.0, 0.5, 0.25, 0.125, 0.0)
PENALTY = 1.0

KEY_BITS = 62  # of an int64 that holds a squared distance and the number of a row
BLOCK_ENTRIES = 1 << 22  # distances at once: 32 MiB


class Model(Protocol):
    """A trained classifier in one or more variants."""

    def decide(self, rows: Real) -> Integers:
        """Classes, 0 upwards, of rows of shape (rows, entries); int64, shape (variants, rows)."""
        ...


class Family(NamedTuple):
    """Variants of a classifier that are trained together: their names, and how.

    train: from rows, float64, shape (rows, entries), and their classes, int64, shape (rows,), of so many
    """

    names: tuple[str, ...]
    train: Callable[[Real, Integers, int], Model]


class Chosen(NamedTuple):
    """The classifier that was best in cross-validation, trained on all rows."""

    name: str
    right: int
    """How many of `judged` left-out rows it had right."""
    judged: int
    decide: Callable[[Real], Integers]
    """From rows, shape (rows, entries), to classes, int64, shape (rows,)."""


def chosen(rows: Real, classes: Integers, components: Sequence[int] = COMPONENTS) -> Chosen:
    """The best classifier for rows like these.

    rows: float64, shape (rows, entries), as they were received. classes: int64, shape (rows,), 0 upwards.
    components: dimensions of class subspaces to try, rising.
    """
    count = int(classes.max()) + 1
    families = _families(components)
    spread = np.arange(len(rows)) if len(rows) <= MOST_ROWS else np.arange(MOST_ROWS) * len(rows) // MOST_ROWS
    folds = _folds(classes[spread])
    right = [np.zeros(len(family.names), dtype=np.int64) for family in families]
    for fold in range(FOLDS):
        kept, left = spread[folds != fold], spread[folds == fold]
        if not len(kept) or not len(left):
            continue
        for place, family in enumerate(families):
            decided = family.train(rows[kept], classes[kept], count).decide(rows[left])
            right[place] += (decided == classes[left]).sum(axis=1)
    scores = np.concatenate(right)
    place = int(scores.argmax())  # the first of the best
    for family in families:
        if place < len(family.names):
            break
        place -= len(family.names)
    model, variant = family.train(rows, classes, count), place
    return Chosen(family.names[place], int(scores.max()), len(spread), lambda asked: model.decide(asked)[variant])


def _folds(classes: Integers) -> Integers:
    """Which fold each row is left out in: the rows of each class are dealt in turn, shape (rows,)."""
    order = np.argsort(classes, kind="stable")
    folds = np.empty(len(classes), dtype=np.int64)
    folds[order] = np.arange(len(classes)) % FOLDS
    return folds


def _families(components: Sequence[int]) -> tuple[Family, ...]:
    """In the order in which a tie is decided."""
    dimensions = tuple(components)
    near = tuple(f"nearest of {k}" if k > 1 else "nearest neighbour" for k in NEIGHBOURS)
    return (
        Family(("logistic regression",), LogisticRegression.train),
        Family(
            tuple(f"nearest subspace of {d} dimensions" if d > 1 else "nearest line" for d in dimensions),
            lambda rows, classes, count: Subspaces.train(rows, classes, count, dimensions),
        ),
        Family(near, lambda rows, classes, count: Neighbours.train(rows, classes, count, standardised=False)),
        Family(
            tuple(f"{name}, standardised" for name in near),
            lambda rows, classes, count: Neighbours.train(rows, classes, count, standardised=True),
        ),
    )


class Scaling(NamedTuple):
    """Columns less their mean, over their spread; columns without spread become 0."""

    mean: Real
    inverse_spread: Real

    @classmethod
    def of(cls, rows: Real) -> Scaling:
        spread = rows.std(axis=0)
        informative = (rows.max(axis=0) > rows.min(axis=0)) & (spread > 0)
        return cls(rows.mean(axis=0), np.where(informative, 1.0 / np.where(informative, spread, 1.0), 0.0))

    def __call__(self, rows: Real) -> Real:
        return np.asarray((rows - self.mean) * self.inverse_spread)


def _grid(values: Real) -> Real:
    return snap(values, GRID_BITS)


# ---------------------------------------------------------------- nearest subspace


@dataclass(frozen=True, eq=False)
class Subspaces:
    """For each number of dimensions the bases of the class subspaces, shape (classes, dimensions, entries).

    None where a class spans fewer dimensions.
    """

    bases: tuple[Real | None, ...]

    @classmethod
    def train(cls, rows: Real, classes: Integers, count: int, dimensions: tuple[int, ...]) -> Subspaces:
        filled = rows.any(axis=1)  # rounding may leave nothing of a row
        rows, classes = rows[filled], classes[filled]
        if not len(rows) or np.bincount(classes, minlength=count).min() == 0:
            return cls((None,) * len(dimensions))
        fitting = [dimension for dimension in dimensions if dimension < rows.shape[1]]
        found = subspaces.nested_subspaces(subspaces.unit_rows(rows), classes, fitting)
        bases = [None if isinstance(each, str) else each for each in found]
        return cls((*bases, *(None,) * (len(dimensions) - len(fitting))))

    def decide(self, rows: Real) -> Integers:
        decided = np.full((len(self.bases), len(rows)), -1, dtype=np.int64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        units = rows / np.where(norms > 0, norms, 1.0)
        for place, bases in enumerate(self.bases):
            if bases is not None:
                decided[place] = _grid(subspaces.probabilities(bases, units)).argmax(axis=1)
        return decided


# ---------------------------------------------------------------- logistic regression


@dataclass(frozen=True, eq=False)
class LogisticRegression:
    """Weights of shape (entries + 1, classes), the last row the intercepts."""

    scaling: Scaling
    weights: Real

    @classmethod
    def train(cls, rows: Real, classes: Integers, count: int) -> LogisticRegression:
        scaling = Scaling.of(rows)
        # A row for each entry, and for each class below: sums over few classes are then sums of long rows.
        inputs = np.ascontiguousarray(np.column_stack([scaling(rows), np.ones(len(rows))]).T)
        truth = np.ascontiguousarray(np.eye(count)[:, classes])
        weights = np.zeros((count, len(inputs)))
        for _ in range(NEWTON_STEPS):
            scores = weights @ inputs
            step = _newton_step(inputs, truth, weights, scores)
            moves = step @ inputs
            losses = _grid(np.array([
                _loss(scores - length * moves, truth, weights - length * step) for length in STEP_LENGTHS
            ]))  # fmt: skip
            moved = _grid(weights - STEP_LENGTHS[int(losses.argmin())] * step)
            if np.array_equal(moved, weights):
                break
            weights = moved
        return cls(scaling, np.ascontiguousarray(weights.T))

    def decide(self, rows: Real) -> Integers:
        scores = np.column_stack([self.scaling(rows), np.ones(len(rows))]) @ self.weights
        return np.asarray(_grid(scores).argmax(axis=1)[None, :], dtype=np.int64)


def _softmax(scores: Real) -> Real:
    """Of scores (classes, rows)."""
    raised = np.exp(scores - scores.max(axis=0))
    return np.asarray(raised / raised.sum(axis=0))


def _loss(scores: Real, truth: Real, weights: Real) -> float:
    """-log likelihood + penalty / 2 ||weights without intercepts||²."""
    top = scores.max(axis=0)
    logs = top + np.log(np.exp(scores - top).sum(axis=0))
    return float((logs - (scores * truth).sum(axis=0)).sum() + PENALTY / 2 * (weights[:, :-1] ** 2).sum())


def _newton_step(inputs: Real, truth: Real, weights: Real, scores: Real) -> Real:
    """Hessian^-1 gradient by conjugate gradients, shape of `weights`.

    inputs: (entries + 1, rows), the last of them ones. truth, scores: (classes, rows); the scores are weights @ inputs.
    weights: (classes, entries + 1). All intercepts shifted alike change nothing, so the Hessian is singular along
    that; the gradient has no part there.
    """
    shares, across = _softmax(scores), inputs.T
    penalty = np.full(len(inputs), PENALTY)
    penalty[-1] = 0.0

    def hessian(direction: Real) -> Real:
        moved = direction @ inputs
        moved *= shares
        moved -= shares * moved.sum(axis=0)
        return np.asarray(moved @ across + penalty * direction)

    residual = (shares - truth) @ across + penalty * weights
    step, direction, size = np.zeros_like(weights), residual, float((residual**2).sum())
    least = 1e-10 * size  # an inexact solution: the next step makes up for what is left
    for _ in range(CONJUGATE_STEPS):
        if size <= least:
            break
        turned = hessian(direction)
        curvature = float((direction * turned).sum())
        if curvature <= 0:  # every share is 0 or 1 to rounding
            break
        length = size / curvature
        step = step + length * direction
        residual = residual - length * turned
        before, size = size, float((residual**2).sum())
        direction = residual + size / before * direction
    return np.asarray(step)


# ---------------------------------------------------------------- nearest neighbours


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Training rows as integers in float64, whose squared distances are exact in any order of summation."""

    scaling: Scaling | None
    scale: float
    most: float
    points: Real
    truth: Real

    @classmethod
    def train(cls, rows: Real, classes: Integers, count: int, standardised: bool) -> Neighbours:
        scaling = Scaling.of(rows) if standardised else None
        scaled = rows if scaling is None else scaling(rows)
        # entries (2 most)^2 < 2^50, and beside a row's number it fits in KEY_BITS.
        bits = min(50, KEY_BITS - len(rows).bit_length()) - 2 - rows.shape[1].bit_length()
        most = float(1 << max(bits // 2, 1))
        largest = float(np.abs(scaled).max(initial=0.0)) or 1.0
        made = cls(scaling, most / largest, most, np.empty((0, 0)), np.eye(count)[classes])
        return cls(scaling, made.scale, most, made._integers(scaled), made.truth)

    def _integers(self, scaled: Real) -> Real:
        return np.asarray(np.rint(np.clip(scaled * self.scale, -self.most, self.most)))

    def decide(self, rows: Real) -> Integers:
        ks = [min(k, len(self.points)) for k in NEIGHBOURS]
        decided = np.empty((len(ks), len(rows)), dtype=np.int64)
        step = max(1, BLOCK_ENTRIES // len(self.points))
        for first in range(0, len(rows), step):
            nearest = self._nearest(rows[first : first + step], max(ks))
            votes = self.truth[nearest].cumsum(axis=1)
            for place, k in enumerate(ks):
                decided[place, first : first + step] = votes[:, k - 1].argmax(axis=1)
        return decided

    def _nearest(self, rows: Real, k: int) -> Integers:
        """The numbers of the k nearest training rows, nearest first, the lower of equally near ones first."""
        asked = self._integers(rows if self.scaling is None else self.scaling(rows))
        squares = (asked**2).sum(axis=1)[:, None] + (self.points**2).sum(axis=1)[None, :]
        distances = (squares - 2.0 * (asked @ self.points.T)).astype(np.int64)
        keys = (distances << len(self.points).bit_length()) + np.arange(len(self.points))
        least = np.sort(np.partition(keys, k - 1, axis=1)[:, :k], axis=1)
        return np.asarray(least & ((1 << len(self.points).bit_length()) - 1))
