"""What the packaged scenario `digits` computes, as one plain NumPy script: the yardstick of `startup`.

    python benchmarks/arithmetic.py

It imports NumPy, pyzmq and pydantic, as the processes of a run do, and nothing of ketwire. The arithmetic is that of
the scenario, written as one writes it where neither bits on other processors nor times matter: class subspaces by one
decomposition a class, 150 steps of the measurement's descent with `@` and `exp`, draws of 300 copies, and for each
number of bits (1, 2, 8) the receiver's classifiers: five-fold cross-validation of subspaces of 1, 2, 4, 8 and 10
dimensions, logistic regression by the same Newton steps, and nearest neighbours, raw and standardised.
It prints the shares of digits that are decided rightly: by copies, and by the classifiers at each number of bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydantic  # noqa: F401
import zmq  # noqa: F401

TRAINING, COMPONENTS, COPIES, FOLDS = 1257, 10, 300, 5
DIMENSIONS, NEIGHBOURS = (1, 2, 4, 8, 10), (1, 3, 5, 9)
STEPS, RATE, TUNED = 150, 0.008, 100
NEWTON_STEPS, CONJUGATE_STEPS, LENGTHS = 12, 30, (1.0, 0.5, 0.25, 0.125, 0.0)


def subspaces(units: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """The right singular vectors of each class."""
    return [np.linalg.svd(units[labels == name], full_matrices=False)[2] for name in range(10)]


def unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def nearest_polar(rows: np.ndarray) -> np.ndarray:
    """Newton and Schulz's iteration for the polar factor."""
    one = np.eye(rows.shape[1])
    while True:
        square = rows.T @ rows
        bound = np.abs(square).sum(axis=1).max()
        if bound >= 2.9:
            rows = rows / np.sqrt(bound)
        elif np.abs(square - one).max() <= 1e-12 * len(rows):
            return rows
        else:
            rows = rows @ (1.5 * one - 0.5 * square)


def measurement(units: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The discriminating measurement: blocks (10, rank, 64)."""
    more = 7
    axes = 0.05 * np.eye(64)[np.arange(10 * more).reshape(more, 10).T % 64]
    bases = np.stack([right[:COMPONENTS] for right in subspaces(units, labels)])
    rows = nearest_polar(np.concatenate([bases, axes], axis=1).reshape(-1, 64))
    momentum, scale, truth = np.zeros_like(rows), 0.0, np.eye(10)[labels]
    for step in range(1, STEPS + 1):
        amplitudes = (units @ rows.T).reshape(len(units), 10, -1)
        p = (amplitudes**2).sum(axis=2)
        right = (p * truth).sum(axis=1, keepdims=True)
        margin = right - p
        spread = np.sqrt(np.clip(right + p - margin**2, 0, None) / TUNED + 1e-9)
        density = np.exp(-0.5 * (margin / spread) ** 2) / np.sqrt(2 * np.pi) * (1 - truth)
        bend = 0.5 * margin / spread**3 / TUNED
        slope = density * (1 / spread + bend * (1 + 2 * margin))
        slope -= truth * (density * (1 / spread - bend * (1 - 2 * margin))).sum(axis=1, keepdims=True)
        gradient = 2 / len(units) * (amplitudes * slope[:, :, None]).reshape(len(units), -1).T @ units
        both = rows.T @ gradient
        gradient -= rows @ (both + both.T) / 2
        momentum = 0.9 * momentum + 0.1 * gradient
        scale = 0.99 * scale + 0.01 * (gradient**2).mean()
        size = RATE * min(1.0, 2 * (1 - step / STEPS)) / (1 - 0.9**step)
        rows = nearest_polar(rows - size * momentum / (np.sqrt(scale / (1 - 0.99**step)) + 1e-12))
    return rows.reshape(10, -1, 64)


def by_copies(blocks: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    p = ((units @ blocks.reshape(-1, 64).T) ** 2).reshape(len(units), 10, -1).sum(axis=2)
    return rng.multinomial(COPIES, p / p.sum(axis=1, keepdims=True)).argmax(axis=1)


def by_subspaces(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    bases, units = subspaces(unit(rows), labels), unit(asked)
    weights = np.stack([(units @ right.T[:, :10]) ** 2 for right in bases]).cumsum(axis=2)
    return [weights[:, :, dimension - 1].argmax(axis=0) for dimension in DIMENSIONS]


def scaling(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = rows.std(axis=0)
    return rows.mean(axis=0), np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0)


def by_logistic_regression(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    mean, inverse = scaling(rows)
    inputs = np.column_stack([(rows - mean) * inverse, np.ones(len(rows))])
    truth, weights = np.eye(10)[labels], np.zeros((inputs.shape[1], 10))
    penalty = np.append(np.ones(inputs.shape[1] - 1), 0.0)[:, None]

    def loss(weights: np.ndarray) -> float:
        scores = inputs @ weights
        top = scores.max(axis=1)
        logs = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
        return float((logs - (scores * truth).sum(axis=1)).sum() + 0.5 * (weights[:-1] ** 2).sum())

    for _ in range(NEWTON_STEPS):
        scores = inputs @ weights
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = raised / raised.sum(axis=1, keepdims=True)
        residual = inputs.T @ (shares - truth) + penalty * weights
        step, direction, size = np.zeros_like(weights), residual, (residual**2).sum()
        least = 1e-10 * size
        for _ in range(CONJUGATE_STEPS):
            if size <= least:
                break
            moved = shares * (inputs @ direction)
            moved -= shares * moved.sum(axis=1, keepdims=True)
            turned = inputs.T @ moved + penalty * direction
            length = size / (direction * turned).sum()
            step, residual = step + length * direction, residual - length * turned
            before, size = size, (residual**2).sum()
            direction = residual + size / before * direction
        length = LENGTHS[int(np.argmin([loss(weights - length * step) for length in LENGTHS]))]
        moved = np.round(weights - length * step, 6)
        if np.array_equal(moved, weights):
            break
        weights = moved
    return [(np.column_stack([(asked - mean) * inverse, np.ones(len(asked))]) @ weights).argmax(axis=1)]


def by_neighbours(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    squares = (asked**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1) - 2 * asked @ rows.T
    most = max(NEIGHBOURS)
    near = np.argpartition(squares, most - 1, axis=1)[:, :most]
    near = np.take_along_axis(near, np.take_along_axis(squares, near, axis=1).argsort(axis=1), axis=1)
    votes = np.eye(10)[labels[near]].cumsum(axis=1)
    return [votes[:, k - 1].argmax(axis=1) for k in NEIGHBOURS]


def by_scaled_neighbours(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    mean, inverse = scaling(rows)
    return by_neighbours((rows - mean) * inverse, labels, (asked - mean) * inverse)


FAMILIES = (by_logistic_regression, by_subspaces, by_neighbours, by_scaled_neighbours)


def by_the_best(rows: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Decisions of the classifier that cross-validation prefers."""
    folds = np.empty(len(rows), dtype=np.int64)
    folds[labels.argsort(kind="stable")] = np.arange(len(rows)) % FOLDS
    right = [np.zeros(1), np.zeros(5), np.zeros(4), np.zeros(4)]
    for fold in range(FOLDS):
        kept, left = folds != fold, folds == fold
        for place, family in enumerate(FAMILIES):
            decided = np.stack(family(rows[kept], labels[kept], rows[left]))
            right[place] += (decided == labels[left]).sum(axis=1)
    best = int(np.argmax([scores.max() for scores in right]))
    return FAMILIES[best](rows, labels, asked)[int(right[best].argmax())]


def quantised(rows: np.ndarray, bits: int) -> np.ndarray:
    most = 2**bits - 1
    return np.rint(np.clip(rows / 16.0, 0, 1) * most) * (16.0 / most) if bits > 1 else np.where(rows >= 8, 12.0, 4.0)


def main(table: Path) -> None:
    told = np.load(table)
    rows, labels = told["rows"], told["labels"]
    train, test = slice(None, TRAINING), slice(TRAINING, None)
    blocks = measurement(unit(rows[train]), labels[train])
    decided = by_copies(blocks, unit(rows[test]), np.random.default_rng(2))
    print((decided == labels[test]).mean())
    for bits in (1, 2, 8):
        got = quantised(rows, bits)
        print((by_the_best(got[train], labels[train], got[test]) == labels[test]).mean())


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
