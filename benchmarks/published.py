"""The accuracies that README.md and docs/ publish: means over seeds, with standard deviations.

    python -m benchmarks.published [NAME ...] [--seeds 10] [--first 1] [--workers 1] [--out FILE]

A name is one of NAMES: a packaged scenario, or `measurements-K`. Without any, all are measured, quick ones first.

- A packaged scenario runs inline as packaged, except for its seed, and without the rivals, which decide no accuracy.
  A seed sets all shot noise; in a training also the angles at the start and the order of the batches. The split of
  the data into training and test part is the same for every seed.
- `measurements-K` compares ways to classify the digits by K copies (docs/subspace.md). Outcomes are drawn from their
  exact law for copies that arrived, so there is no link. `discriminating`, `exclusion` and `pretty good` are those of
  the program, with the settings of the scenario `digits`. `ten of two outcomes` measures {P_c, 1 - P_c} for each of
  the ten classes on a tenth of the copies. `pixel basis` measures pixels, and takes the nearest class subspace to the
  square roots of their frequencies. It is no quantum protocol, as the sender could draw these outcomes herself.

With --out, each (name, seed) is added to FILE as a line of JSON when it is done, and what is there is not measured
again. The mean, the standard deviation over seeds (n - 1 in the denominator) and the extremes are printed at the end;
for a training also logistic regression on the same split, and how many seeds come within two points of it.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import points
from benchmarks.choosing import NO_RIVALS
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.protocols.subspace import MEASUREMENTS, Classes
from ketwire.quantum import subspaces
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.subspace.classify import classify_holdings
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from ketwire.scenarios.load import load

COPIES = (30, 100, 300, 1000, 3000)
SCENARIOS = (
    "breast-cancer",
    "digits",
    "fine-tune-digits",
    "train-breast-cancer",
    "train-pipeline-of-four",
    "train-digits",
    "train-metro-25km",
)
MEASURED_BY = {f"measurements-{copies}": copies for copies in COPIES}
NAMES = (*MEASURED_BY, *SCENARIOS)
REGRESSION = "logistic regression"
POINTS = 0.02  # what is near: two percentage points

Job = tuple[str, int]  # a name and a seed


@dataclass(frozen=True)
class Point(points.Point):
    """What was measured for one name and seed: `accuracies` by what they are of."""

    name: str
    seed: int
    version: str
    accuracies: Mapping[str, float]

    @property
    def key(self) -> Job:
        return self.name, self.seed


def version(name: str) -> str:
    """Of the scenario behind a name, for every seed: see `points.version`.

    Raises:
        ScenarioError: there is no such scenario.
    """
    return points.version("digits" if name in MEASURED_BY else name, "seed")


def measured(job: Job) -> Point:
    """Measure one name with one seed.

    Raises:
        ScenarioError: there is no such scenario, or its summary tells no accuracy.
    """
    name, seed = job
    found = by_measurement(MEASURED_BY[name], seed) if name in MEASURED_BY else of_scenario(name, seed)
    return Point(name, seed, version(name), {of: round(value, 6) for of, value in found.items()})


def of_scenario(name: str, seed: int) -> dict[str, float]:
    """Accuracies of a scenario: on the test part, and of a training also on the training part and of regression."""
    training = isinstance(load(name).scenario.protocol, TrainingSpec)
    sets = [NO_RIVALS] if training else ["protocol.raw=[1]", "protocol.description_bits=null"]
    loaded = load(name, sets, seed)
    results = run_inline(loaded.run(), base=loaded.base)
    told = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()
    keys = {"test part": "test_accuracy"}
    if training:
        keys |= {"training part": "train_accuracy", REGRESSION: "baseline_accuracy"}
    missing = [key for key in keys.values() if told.get(key) is None]
    if missing:
        raise ScenarioError(f"{name}: no {missing[0]}, expected a classification of public data")
    return {of: told[key] for of, key in keys.items()}


class Digits(NamedTuple):
    """What is held in the scenario `digits`, with another number of copies and measurement."""

    classes: Classes  # the receiver's
    units: NDArray[np.float64]  # the sender's images as unit rows, (images, pixels)
    labels: NDArray[np.int64]  # the judge's, one for each image
    chances: NDArray[np.float64]  # of each outcome of the measurement, (images, outcomes)


@functools.lru_cache
def digits_by(copies: int, measurement: str) -> Digits:
    """Read the digits and tune the measurement for these copies."""
    loaded = load("digits", [f"protocol.copies={copies}", f"protocol.measurement={measurement}"])
    network = loaded.network()
    vectors, classes, labels = classify_holdings(loaded.scenario.protocol.root, network, network.loaders())
    chances = classes.observable().probabilities(vectors.encoded(np.arange(len(labels))))
    return Digits(classes, subspaces.unit_rows(vectors.rows), labels, normalised(chances))


def by_measurement(copies: int, seed: int) -> dict[str, float]:
    """Accuracy of each way to classify the test images by so many copies."""
    key = derive_key(seed, "published", f"{copies} copies")
    found = {}
    for name in MEASUREMENTS:
        digits = digits_by(copies, name)
        counts = stream(key, name).multinomial(copies, digits.chances)
        found[name] = right(digits, digits.classes.read(counts))
    digits = digits_by(copies, "pretty-good")
    seen = stream(key, "pixels").multinomial(copies, normalised(digits.units**2))
    inside = np.clip(subspaces.probabilities(digits.classes.bases, digits.units), 0, 1)
    votes = stream(key, "two outcomes").binomial(copies // inside.shape[1], inside)
    return {
        "ten of two outcomes": right(digits, digits.classes.names[subspaces.decide(votes)]),
        **found,
        "pixel basis": right(digits, digits.classes.decide(np.sqrt(seen))),
    }


def right(digits: Digits, decisions: NDArray[np.int64]) -> float:
    return float((decisions == digits.labels).mean())


def normalised(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities whose rows sum to one to rounding, from rows that nearly do."""
    kept = np.clip(chances, 0, None)
    return np.asarray(kept / kept.sum(axis=1, keepdims=True))


def near(tests: Sequence[float], baseline: float) -> int:
    """How many are within two points of the baseline, or above it; a whole count of samples decides, not rounding."""
    return int(np.count_nonzero(np.array(tests) >= baseline - POINTS - 1e-5))


def opened(path: Path) -> list[Point]:
    """See `points.opened`."""
    return points.opened(path, Point, lambda point: (point.name, point.version, version(point.name)))


def report(found: Sequence[Point]) -> str:
    """A line for each name and what its accuracies are of."""
    lines = []
    for name in dict.fromkeys(point.name for point in found):
        mine = sorted((point for point in found if point.name == name), key=lambda point: point.seed)
        for of in mine[0].accuracies:
            values = [point.accuracies[of] for point in mine]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            told = f"mean {statistics.mean(values):.4f}  standard deviation {spread:.4f}"
            lines.append(f"{name:22} {of:20} {len(values):2} seeds  {told}  {min(values):.3f} to {max(values):.3f}")
        if REGRESSION in mine[0].accuracies:
            tests = [point.accuracies["test part"] for point in mine]
            within = near(tests, mine[0].accuracies[REGRESSION])
            lines.append(f"{name:22} within two points of {REGRESSION}: {within} of {len(mine)}")
    return "\n".join(lines)


def asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__.split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"without any all: {', '.join(NAMES)}")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--workers", type=int, default=1, help="how many are measured at once")
    parser.add_argument("--out", type=Path, help="a file of JSON lines to go on with")
    options = parser.parse_args(arguments)
    for name, least in (("seeds", 1), ("first", 0), ("workers", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name}: {getattr(options, name)} given, expected {least} or more")
    for name in options.names:
        if name not in NAMES:
            parser.error(f"NAME: {name!r} given, expected one of {', '.join(NAMES)}")
    try:
        options.found = opened(options.out) if options.out else []
    except (ValueError, ScenarioError) as wrong:
        parser.error(str(wrong))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module."""
    options = asked(arguments)
    names, found = options.names or NAMES, options.found
    jobs = [(name, options.first + seed) for name in names for seed in range(options.seeds)]
    try:
        points.measure(jobs, measured, found, options.out, options.workers)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    print(report([point for point in found if point.name in names]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
