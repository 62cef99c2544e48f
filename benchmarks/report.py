"""Rounds, percentiles and the table that all measurements share.

What else the machine does slows all variants of a round equally: a round measures each variant
once, the order turns round every time, and the figure of a variant is the 10th percentile over the
rounds. Only ratios within one run mean anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

LEAST_ROUNDS = 11
SCALES = {"us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass(frozen=True)
class Figure:
    """One measured figure and the bound that it should keep.

    spread: the 10th and 90th percentile over rounds of the ratio in each round, or None.
    """

    what: str
    value: float
    bound: float | None  # None: reported alone
    unit: str
    how: str
    spread: tuple[float, float] | None = None
    at_least: bool = False  # the bound is one from below: a rate, say

    @property
    def kept(self) -> bool:
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound


Measure = Callable[[int], list[Figure]]


@dataclass(frozen=True)
class Rounds:
    """Seconds of each variant in each round."""

    seconds: Mapping[str, list[float]]

    def best(self, name: str) -> float:
        """10th percentile over rounds."""
        return float(np.percentile(self.seconds[name], 10))

    def ratio(self, over: str, under: str) -> float:
        return self.best(over) / self.best(under)

    def spread(self, over: str, under: str) -> tuple[float, float]:
        """10th and 90th percentile of the ratio within a round."""
        ratios = np.array(self.seconds[over]) / np.array(self.seconds[under])
        low, high = np.percentile(ratios, [10, 90])
        return float(low), float(high)

    def told(self, over: str, under: str, unit: str) -> str:
        scale = SCALES[unit]
        return f"{scale * self.best(over):.3g} {unit} over {scale * self.best(under):.3g} {unit}"

    def figure(self, what: str, over: str, under: str, bound: float | None, unit: str) -> Figure:
        """The ratio of two variants; `unit` is that of the seconds shown beside it."""
        told = self.told(over, under, unit)
        return Figure(what, self.ratio(over, under), bound, "x", told, self.spread(over, under))


def seconds(action: Callable[[], object], repeats: int = 1) -> float:
    """Wall time of one call, averaged over `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - start) / repeats


def rounds_of(
    actions: Mapping[str, Callable[[], object]],
    rounds: int,
    repeats: Mapping[str, int] | int = 1,
    measure: Callable[[Callable[[], object], int], float] = seconds,
) -> Rounds:
    """Measure every action once a round, after one call of each to warm up."""
    for action in actions.values():
        action()
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(max(rounds, LEAST_ROUNDS)):
        for name, action in list(actions.items())[:: 1 if number % 2 else -1]:
            times = repeats if isinstance(repeats, int) else repeats[name]
            taken[name].append(measure(action, times))
    return Rounds(taken)


def table(figures: list[Figure]) -> str:
    """All figures with bound and verdict, one a line."""
    width = max(len(figure.what) for figure in figures)
    lines = [f"{'what'.ljust(width)}  measured   bound  verdict  spread         details"]
    for figure in figures:
        spread = "" if figure.spread is None else "{:.2f} - {:.2f}".format(*figure.spread)
        verdict = "" if figure.bound is None else "kept" if figure.kept else "MISSED"
        bound = "" if figure.bound is None else f"{'>' if figure.at_least else ''}{figure.bound:.3g}"
        value = f"{figure.value:>7.3g} {figure.unit:<2}"
        lines.append(
            f"{figure.what.ljust(width)}  {value} {bound:>5}  {verdict:<7}  {spread:<13}  {figure.how}"
        )
    return "\n".join(lines)
