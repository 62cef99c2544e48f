"""How accurate the packaged trainings become, over many seeds: what is skill, and what luck.

    python -m benchmarks.accuracy [--seeds 10] [--first 1] [SCENARIO ...]

Each scenario as packaged, but for its seed, runs inline without rivals, which decide no accuracy. A seed sets where
the angles start, the order of the batches and all shot noise; the split into training and test part is the same.
A line a seed: accuracies on the test and the training part. Then the mean on the test part, how far the seeds
scatter, and the share of seeds within two points of logistic regression on the same split.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np

from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.kinds import Judge
from ketwire.scenarios.load import load
from ketwire.scenarios.training_spec import TrainingSpec

SCENARIOS = ("train-breast-cancer", "train-digits", "train-metro-25km")
POINTS = 0.02  # what is near: two percentage points


def accuracies(name: str, seed: int) -> tuple[float, float, float]:
    """Of the test part, of the training part, and of logistic regression on the test part.

    Raises:
        ScenarioError: there is no such scenario, or it is no training of public data.
    """
    loaded = load(name, ["protocol.rivals={backprop: [], raw: [], description: []}"], seed)
    results = run_inline(loaded.run())
    told = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network()))
    if told["baseline_accuracy"] is None:
        raise ScenarioError(f"{name}: no accuracy of logistic regression, expected a data set of scikit-learn")
    return told["test_accuracy"], told["train_accuracy"], told["baseline_accuracy"]


def near(tests: Sequence[float], baseline: float) -> int:
    """How many are within two points of the baseline, or above it; a whole count of samples decides, not rounding."""
    return int(np.count_nonzero(np.array(tests) >= baseline - POINTS - 1e-9))


def measure(name: str, seeds: range) -> str:
    """Print a line for each seed; the summary."""
    tests: list[float] = []
    for seed in seeds:
        begin = time.process_time()
        test, train, baseline = accuracies(name, seed)
        tests.append(test)
        taken = time.process_time() - begin
        told = f"test {test:.3f}  training {train:.3f}  {taken:6.1f} s of processor"
        print(f"{name:24} seed {seed:3}  {told}", flush=True)
    spread = statistics.stdev(tests) if len(tests) > 1 else 0.0
    within = near(tests, baseline)
    return (
        f"{name:24} mean {statistics.mean(tests):.3f}  standard deviation {spread:.3f}  least {min(tests):.3f}  "
        f"logistic regression {baseline:.3f}  within two points {within} of {len(tests)} ({within / len(tests):.0%})"
    )


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__.split("\n", 1)[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"without any: {', '.join(SCENARIOS)}")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    options = parser.parse_args()
    if options.seeds < 1 or options.first < 0:
        parser.error(f"--seeds {options.seeds} --first {options.first}: expected one or more, from 0 up")
    seeds = range(options.first, options.first + options.seeds)
    try:
        for name in options.scenarios or SCENARIOS:
            if not isinstance(load(name).scenario.protocol, TrainingSpec):
                raise ScenarioError(f"{name}: expected a scenario of the kind training")
            print(measure(name, seeds), flush=True)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
