"""What the points of `benchmarks.growth` say, as the tables of docs/estimators.md.

    python -m benchmarks.growth_fits benchmarks/results/growth.jsonl

Exponents are least-squares slopes of ln copies over ln P, or over ln ln P, through all instances. Their 95%
intervals are Student's, from how far instances of the same P scatter about their mean: a curve's bend is not
in them. The misfit is the root mean square distance of these means from the fit, in ln copies, and the scatter
what chance alone would make of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.growth import ESTIMATORS, Point, read

SHADOW = ESTIMATORS[-1]
Scale = Callable[[np.ndarray], np.ndarray]


def ln(P: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(P))


def lnln(P: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.log(P)))


@dataclass(frozen=True)
class Fit:
    """needed ~ exp(b x): b with its interval, nan where no instance has a second. scatter: see the module's text."""

    exponent: float
    low: float
    high: float
    misfit: float
    scatter: float

    def __str__(self) -> str:
        b, low, high = (round(value, 2) + 0.0 for value in (self.exponent, self.low, self.high))  # no -0.00
        return f"{b:.2f} ({low:.2f} to {high:.2f})"


def fit(found: Sequence[Point], scale: Scale = ln, least: float = 0, most: float = np.inf) -> Fit:
    """Through the points with P from `least` to `most`, of two or more different P."""
    from scipy import stats

    used = [point for point in found if least <= point.parameters <= most]
    P = np.array([point.parameters for point in used], dtype=float)
    x, y = scale(P), np.log([point.needed for point in used])
    groups = [y[value == P] for value in np.unique(P)]
    means = np.array([group.mean() for group in groups])
    b, a = np.polyfit(x, y, 1)
    misfit = np.sqrt(np.mean((a + b * scale(np.unique(P)) - means) ** 2))
    freedom = len(y) - len(groups)
    if not freedom:
        return Fit(float(b), np.nan, np.nan, float(misfit), np.nan)
    variance = sum(((group - group.mean()) ** 2).sum() for group in groups) / freedom
    radius = stats.t.ppf(0.975, freedom) * np.sqrt(variance / ((x - x.mean()) ** 2).sum())
    scatter = np.sqrt(variance * np.mean([1 / len(group) for group in groups]))
    return Fit(float(b), float(b - radius), float(b + radius), float(misfit), float(scatter))


def rounded(value: float) -> str:
    """1,590 or 2.4·10^4."""
    if value < 1e4:
        return f"{float(f'{value:.3g}'):,.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}·10^{int(exponent)}"


def times(value: float) -> str:
    """1.7 or 12 or 1,210."""
    return f"{value:.2g}" if value < 99.5 else rounded(value)


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


class Points:
    """All points, by estimator, n and P."""

    def __init__(self, found: Sequence[Point]) -> None:
        self.all = found
        self.qubits = sorted({point.qubits for point in found})
        self.parameters = sorted({point.parameters for point in found})

    def of(self, name: str, qubits: int) -> list[Point]:
        return [point for point in self.all if (point.estimator, point.qubits) == (name, qubits)]

    def at(self, name: str, qubits: int, parameters: int) -> list[Point]:
        return [point for point in self.of(name, qubits) if point.parameters == parameters]

    def needed(self, name: str, qubits: int, parameters: int) -> float:
        """Geometric mean over instances, nan where there are none."""
        same = self.at(name, qubits, parameters)
        return float(np.exp(np.mean(np.log([point.needed for point in same])))) if same else np.nan


def copies(points: Points) -> str:
    """Copies needed, and how many times as many are claimed."""
    rows = []
    for qubits in points.qubits:
        for name in ESTIMATORS:
            over = [point.claimed / point.needed for point in points.of(name, qubits)]
            told = [rounded(points.needed(name, qubits, P)) for P in points.parameters if points.at(name, qubits, P)]
            rows.append([qubits, f"`{name}`", *told, f"{times(min(over))} to {times(max(over))}"])
    return table(["n", "estimator", *(f"P = {P}" for P in points.parameters), "claimed / needed"], rows)


def exponents(points: Points) -> str:
    """Over all P, the first decade and the last one."""
    first, last = points.parameters[0], points.parameters[-1]
    rows = []
    for name in ESTIMATORS:
        for told, least, most in (("all", 0, np.inf), ("first decade", 0, 10 * first), ("last", last / 10, np.inf)):
            fits = [fit(points.of(name, qubits), ln, least, most) for qubits in points.qubits]
            rows.append([f"`{name}`" if told == "all" else "", told, *fits])
    return table(["estimator", "P", *(f"n = {qubits}" for qubits in points.qubits)], rows)


def models(points: Points) -> str:
    """P^b and (ln P)^c side by side."""
    rows = []
    for name in ESTIMATORS[2:]:
        for qubits in points.qubits:
            power, log = fit(points.of(name, qubits)), fit(points.of(name, qubits), lnln)
            rows.append([f"`{name}`", qubits, f"{power.misfit:.2f}", f"{log.misfit:.2f}", f"{power.scatter:.2f}", log])
    return table(["estimator", "n", "misfit of P^b", "of (ln P)^c", "scatter", "c"], rows)


def learning(points: Points) -> str:
    """What shadow tomography did: updates, how many derivatives are large, the ledger."""
    rows = []
    for qubits in points.qubits:
        same = [points.at(SHADOW, qubits, P) for P in points.parameters]
        for told, figure, form in (
            ("updates", "updates", ".0f"), ("large derivatives", "large", ".0f"),
            ("entropy spent", "spent", ".0%"), ("ledger", "ledger", ".2f"),
        ):  # fmt: skip
            means = [format(np.mean([getattr(point, figure) for point in each]), form) for each in same]
            rows.append([qubits if told == "updates" else "", told, *means])
    return table(["n", "mean of", *(f"P = {P}" for P in points.parameters)], rows)


def halfway(points: Points, qubits: int) -> float:
    """P at which shadow tomography makes half of the updates of the largest P, linear in ln P between points."""
    updates = [np.mean([point.updates for point in points.at(SHADOW, qubits, P)]) for P in points.parameters]
    above = int(np.flatnonzero(np.array(updates) > updates[-1] / 2)[0])
    low, high = np.log(points.parameters[above - 1 : above + 1])
    share = (updates[-1] / 2 - updates[above - 1]) / (updates[above] - updates[above - 1])
    return float(np.exp(low + share * (high - low)))


def report(found: Sequence[Point]) -> str:
    points = Points(found)
    parts = [copies(points), learning(points)]
    if len(points.parameters) > 2:
        parts += [exponents(points), models(points)]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(report(read(Path(sys.argv[1]))[1]))
