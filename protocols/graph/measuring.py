"""How an item's register is measured, and what logits the counts come to.

- `Histogram`, coherent block-encoding: T'/α is one block of a unitary with ancillas. Where these say that it was
  applied, the hop and hidden unit are measured; else the outcome is a failure. One histogram serves all classes:
  unit u comes up with probability sum_v |(T' ψ)_(v,u)|²/α².
- `Spectra`, eigenbases: the owner of the network and of the head writes the quadratic form of each contrast of logits
  down and measures in its eigenbasis. Two classes have one contrast; of more each has one, and its share of the copies.

For both, values of outcomes over counts are logits in the mean: `Law` has what a decision's copies follow from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.model import GraphModel
from ketwire.protocols.graph.transform import Squares, Transform
from ketwire.quantum.observables import tidy

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Complexes = NDArray[np.complex128]

ALIKE = 1e-9
"""Eigenvalues that differ by less of the largest are one: which vectors span their space is no processor's choice."""
MOST_COLUMNS, MOST_ENTRIES = 4096, 1 << 26
"""Of a quadratic form that is diagonalised, and of the map that it is made of: 512 MiB."""


@dataclass(frozen=True, eq=False)
class Law:
    """How a readout of one copy is distributed: for each observable its outcomes' values and probabilities.

    values: for each observable shape (outcomes, contrasts); probabilities: (outcomes,). Each gets an equal share of K
    copies. Contrasts are logits, or logits less their mean; constant: what is added, shape (contrasts,).
    """

    values: tuple[Floats, ...]
    probabilities: tuple[Floats, ...]
    constant: Floats

    @property
    def logits(self) -> Floats:
        """In the mean, shape (classes,)."""
        return np.asarray(sum(p @ v for p, v in zip(self.probabilities, self.values, strict=True)) + self.constant)

    def deviation(self, first: int, second: int) -> float:
        """Of the difference of two logits, as K copies estimate it, times the square root of K."""
        total = 0.0
        for p, v in zip(self.probabilities, self.values, strict=True):
            x = v[:, first] - v[:, second]
            total += max(float(p @ x**2) - float(p @ x) ** 2, 0.0)
        return math.sqrt(total * len(self.values))

    def copies_for_pair(self, first: int, second: int, confidence: float) -> float:
        """Copies at which the sign of a difference is right with this probability, by the normal law; may be inf."""
        logits = self.logits
        return _copies([abs(float(logits[first] - logits[second]))], [self.deviation(first, second)], confidence)

    def copies_for_class(self, confidence: float) -> float:
        """Copies at which the largest logit is with this probability, by the normal law and a union bound."""
        logits = self.logits
        best = int(np.argmax(logits))
        others = [each for each in range(len(logits)) if each != best]
        return _copies([float(logits[best] - logits[each]) for each in others],
                       [self.deviation(best, each) for each in others], confidence)  # fmt: skip


def _copies(margins: list[float], deviations: list[float], confidence: float) -> float:
    """The least number of copies at which the sum of Φ(-m √K / σ) is at most 1 - confidence; at least 1."""
    if not margins:
        return 1.0
    if min(margins) <= 0.0:
        return math.inf
    normal = NormalDist()

    def wrong(copies: int) -> float:
        pairs = zip(margins, deviations, strict=True)
        return sum(normal.cdf(-m * math.sqrt(copies) / s) if s else 0.0 for m, s in pairs)

    low, high = 0, 1
    while wrong(high) > 1.0 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wrong(middle) > 1.0 - confidence else (low, middle)
    return float(high)


def copies_for_share(needed: list[float], share: float) -> float:
    """The least number of copies that is enough for this share of decisions."""
    return sorted(needed)[max(math.ceil(share * len(needed) - 1e-9), 1) - 1]


# ---------------------------------------------------------------- coherent block-encoding


class Histogram:
    """The measurement of hop and hidden unit: an observable with an outcome for each unit, and the last for failures.

    constant: s. size: ||x'||. alpha: no less than the norm of T' with this constant.
    """

    def __init__(self, transform: Transform, squares: Squares, constant: float, size: float, alpha: float) -> None:
        self._transform, self._squares = transform, squares
        self._constant, self.alpha = constant, alpha
        self.factor = (self.alpha * size) ** 2
        self.pooled_rows = len(transform.rows) * transform.pool
        self._last: tuple[Complexes, Floats] | None = None

    @property
    def outcomes(self) -> int:
        return self._transform.units + 1

    def probabilities(self, states: Complexes) -> Floats:
        """(rows, outcomes). Batches of one state come one after the other, so the last answer is kept."""
        if self._last is not None and np.array_equal(self._last[0], states):
            return self._last[1]
        found = self._transform.weights_of(states, self._constant) / self.alpha**2
        failed = np.maximum(1.0 - found.sum(axis=1), 0.0)
        self._last = states, tidy(np.column_stack([found, failed]))
        return self._last[1]

    def law(self, states: Complexes, head: Floats, bias: Floats) -> Law:
        """Of logits, on one ideal state, (1, 2**n)."""
        values = outcome_values(self._squares, head, self.factor)
        return Law((values,), (self.probabilities(states)[0],), offset(self._squares, head, bias, self.pooled_rows))


def outcome_values(squares: Squares, head: Floats, factor: float) -> Floats:
    """What each outcome of a histogram adds to each logit, shape (units + 1, classes); factor: (α ||x'||)²."""
    values = (squares.scale * factor)[:, None] * head
    return np.concatenate([values, np.zeros((1, head.shape[1]))])


def pooled(squares: Squares, factor: float, pooled_rows: float, counts: Integers) -> Floats:
    """Pooled hidden units from a histogram, the failures last, shape (units,); factor: (α ||x'||)²."""
    shares = counts[:-1] / counts.sum()
    return np.asarray(squares.scale * factor * shares + squares.constant * pooled_rows)


def offset(squares: Squares, head: Floats, bias: Floats, pooled_rows: float) -> Floats:
    """What is added to logits from a histogram, shape (classes,)."""
    return np.asarray(squares.constant * pooled_rows @ head + bias)


def promise(factors: Floats, copies: int, delta: float) -> float:
    """ε by Hoeffding: all logits are off by at most this with probability 1 - delta.

    factors: what each outcome adds to each logit, shape (outcomes, classes); the failure, of value 0, is one too.
    """
    spread = float((np.maximum(factors.max(axis=0), 0.0) - np.minimum(factors.min(axis=0), 0.0)).max())
    return spread * math.sqrt(math.log(2 * factors.shape[1] / delta) / (2 * copies))


# ---------------------------------------------------------------- eigenbases


class Spectrum:
    """An eigenbasis of a quadratic form: an observable whose outcomes are distinct eigenvalues.

    form: real and symmetric, shape (columns, columns); amplitudes beyond have the value 0.
    """

    def __init__(self, form: Floats) -> None:
        values, self._vectors = np.linalg.eigh(form)
        apart = np.diff(values) > ALIKE * max(float(np.abs(values).max(initial=0.0)), np.finfo(np.float64).tiny)
        self._starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
        lengths = np.diff([*self._starts, len(values)])
        self.values = np.append(np.add.reduceat(values, self._starts) / lengths, 0.0)

    @property
    def outcomes(self) -> int:
        return len(self.values)

    def probabilities(self, states: Complexes) -> Floats:
        """(rows, outcomes)."""
        columns = len(self._vectors)
        images = states[:, :columns] @ self._vectors
        found = np.add.reduceat(images.real**2 + images.imag**2, self._starts, axis=1)
        beyond = states[:, columns:]
        return tidy(np.column_stack([found, (beyond.real**2 + beyond.imag**2).sum(axis=1)]))


def contrasts(classes: int) -> Floats:
    """What is measured of logits, a row for each form: of two their difference, else each less their mean."""
    return np.array([[-1.0, 1.0]]) if classes == 2 else np.eye(classes) - 1.0 / classes


def from_contrasts(classes: int) -> Floats:
    """Logits less their mean from contrasts: shape (contrasts, classes)."""
    return np.array([[-0.5, 0.5]]) if classes == 2 else np.eye(classes)


class Forms:
    """The quadratic forms of the contrasts of an item's logits, and their constants.

    transform: with offsets of 0, so that its offsets are the shifts.

    Raises:
        ValueError: they are too large; one line.
    """

    def __init__(self, model: GraphModel, transform: Transform) -> None:
        if transform.entries > MOST_ENTRIES or transform.columns > MOST_COLUMNS:
            raise ValueError(f"measurement: eigenbasis given for forms of {transform.columns} columns, expected at "
                             f"most {MOST_COLUMNS} and few hidden units; or block-encoding")  # fmt: skip
        dense, rows = transform.written(), len(transform.rows)
        turned = contrasts(model.classes) @ model.head.T
        units = transform.units
        c0, c1, c2 = polynomial(model, units)
        offsets = np.tile(transform.offset, rows)
        self.forms, self.linear, self.square, constants = [], [], [], []
        for each in turned:
            a, b = (np.tile(each * c, rows) * transform.pool for c in (c2, c1))
            self.forms.append((dense * a) @ dense.T)
            self.linear.append(dense @ (a * offsets + b / 2))
            self.square.append(float(a @ offsets**2 + b @ offsets))
            constants.append(float(rows * transform.pool * (each @ c0)))
        self.constants = np.array(constants) + contrasts(model.classes) @ model.head_bias

    def whole(self, which: int, constant: float) -> Floats:
        """The form on (x, s): x'^T Q x' and the constants are the contrast."""
        size = len(self.forms[which])
        found = np.empty((size + 1, size + 1))
        found[:size, :size], found[size, size] = self.forms[which], self.square[which] / constant**2
        found[size, :size] = found[:size, size] = self.linear[which] / constant
        return found

    def best_constant(self, size: float) -> float:
        """The s at which the bound of the forms' norms times ||x'||² is least, for ||x|| = size."""
        if not size:
            return 1.0
        norms = [float(np.linalg.norm(form, 2)) for form in self.forms]
        sides = [float(np.linalg.norm(side)) for side in self.linear]
        tried = size * 2.0 ** np.arange(-6, 3, 0.25)

        def cost(s: float) -> float:
            each = zip(norms, sides, self.square, strict=True)
            return sum(math.hypot(q, 2 * side / s, square / s**2) for q, side, square in each) * (size**2 + s**2)

        return float(min(tried.tolist(), key=cost))


class Spectra:
    """The measurements of an item in the eigenbases of its forms; constant: s. size: ||x'||."""

    def __init__(self, forms: Forms, constant: float, size: float, classes: int) -> None:
        self.observables = [Spectrum(forms.whole(which, constant)) for which in range(len(forms.forms))]
        self.factor, self._constants, self._back = size**2, forms.constants, from_contrasts(classes)
        largest = max(float(np.abs(each.values).max()) for each in self.observables)
        self.alpha = math.sqrt(largest)

    def values(self) -> tuple[Floats, ...]:
        """What each outcome of each observable adds to each logit, times its share of copies."""
        return tuple(self.factor * each.values[:, None] * self._back[which]
                     for which, each in enumerate(self.observables))  # fmt: skip

    def logits(self, shares: list[Floats]) -> Floats:
        """Logits less their mean, from how often each outcome came up."""
        found = sum(share @ value for share, value in zip(shares, self.values(), strict=True))
        return np.asarray(found + self._constants @ self._back)

    def law(self, states: Complexes) -> Law:
        """On one ideal state, (1, 2**n)."""
        chances = tuple(each.probabilities(states)[0] for each in self.observables)
        return Law(self.values(), chances, self._constants @ self._back)


def polynomial(model: GraphModel, units: int) -> Floats:
    """c0, c1, c2 by unit, shape (3, units)."""
    if model.activation == "none":
        return np.repeat([[0.0], [1.0], [0.0]], units, axis=1)
    return np.repeat(model.coefficients, units // len(model.coefficients), axis=0).T
