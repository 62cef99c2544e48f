"""What the folds of benchmarks.choosing say of each setting.

    python -m benchmarks.choosing_table FILE

Accuracies are means over folds, `±` one standard error: the standard deviation of folds over the root of their number.
It has what differs between folds in it: which rows they leave out, angles at the start, batches, shots. As any two
folds train on many of the same rows, and draws split the same rows again, it is a little too small; there is no
unbiased one (Bengio and Grandvalet 2004). Settings are compared fold by fold, on the same rows from the same seed,
so that what is hard about a fold is hard for both.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.choosing import Point

HEAD = ("without", "folds", "accuracy on the fold left out", "less that as packaged", "on the others", "regression")


@dataclass(frozen=True)
class Mean:
    """Of so many folds, with its standard error, which a single fold has not."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        if not values:
            raise ValueError("values: [] given, expected one for each fold")
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return cls(statistics.mean(values), error)

    def text(self, form: str = ".3f") -> str:
        rounded = round(self.value, 3) + 0.0  # a zero without a sign
        return f"{rounded:{form}}" + ("" if math.isnan(self.error) else f" ± {self.error:.3f}")


def settings(found: Sequence[Point], scenario: str, folds: int) -> dict[tuple[str, ...], list[Point]]:
    """The points of each setting of a scenario, as packaged first."""
    of: dict[tuple[str, ...], list[Point]] = {}
    for point in found:
        if (point.scenario, point.folds) == (scenario, folds):
            of.setdefault(point.sets, []).append(point)
    return dict(sorted(of.items(), key=lambda item: item[0] != ()))


def difference(points: Sequence[Point], base: Sequence[Point]) -> Mean | None:
    """By how much the accuracy is above that of another setting, over the folds that both have; None without any."""
    other = {(point.draw, point.fold): point.right / point.rows for point in base}
    pairs = [point for point in points if (point.draw, point.fold) in other]
    above = [point.right / point.rows - other[point.draw, point.fold] for point in pairs]
    return Mean.of(above) if above else None


def report(found: Sequence[Point], scenario: str, folds: int) -> str:
    """A table of all settings of a scenario, in Markdown."""
    of = settings(found, scenario, folds)
    lines = [f"| `{scenario}` {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for sets, points in of.items():
        beside = difference(points, of.get((), [])) if sets else None
        cells = [
            ", ".join(f"`{each.removeprefix('protocol.')}`" for each in sets) or "nothing",
            str(len(points)),
            Mean.of([point.right / point.rows for point in points]).text(),
            beside.text("+.3f") if beside is not None else "",
            f"{Mean.of([point.training for point in points]).value:.3f}",
            Mean.of([point.regression / point.rows for point in points]).text(),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    stored = [Point.of(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    for asked in dict.fromkeys((point.scenario, point.folds) for point in stored):
        print(report(stored, *asked), end="\n\n")
