"""How good settings of a training are, by what its training part alone can tell: cross-validation.

    python -m benchmarks.choosing SCENARIO [--set KEY=VALUE ...] [--folds 5] [--draws 1] [--workers 1] [--out FILE]

A draw deals the rows of the training part to folds, each class in proportion. For each fold the scenario is trained
on the rows of all others and judged on those of that one: by its own network, links and sampled estimator, inline,
without rivals, which decide no accuracy. A fold's training reads its rows from a file in a temporary folder, where
there are no others; so nothing here has a way to the scenario's test part. Beside it stands logistic regression on
the same rows, standardised in the same way.

Folds follow from the scenario's seed and the number of the draw; the seed of a fold's training (of its angles at the
start, the order of its batches, its shots) from these and the number of the fold. So settings are compared on the
same folds from the same seeds. With --out every fold is added to FILE as a line of JSON when it is done, and what
stands there is not trained again. `benchmarks.choosing_table` tells what the folds say of each setting.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import points
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.training.results import baseline
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from ketwire.scenarios.load import Loaded, load
from ketwire.scenarios.schema.sources import DatasetSource

NO_RIVALS = "protocol.rivals={backprop: [], raw: [], description: []}"
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Question:
    """How good is a scenario with these settings, by this many folds? Each of `sets` is KEY=VALUE."""

    scenario: str
    sets: tuple[str, ...] = ()
    folds: int = 5

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds: {self.folds} given, expected 2 or more")

    def version(self) -> str:
        """Of the scenario before any setting: see `points.version`.

        Raises:
            ScenarioError: there is no such file.
        """
        return points.version(self.scenario)

    def loaded(self) -> Loaded:
        """The scenario with its settings.

        Raises:
            ScenarioError: it is none, or no training, or asks for a test part to be trained on.
        """
        loaded = load(self.scenario, self.sets)
        spec = loaded.scenario.protocol
        if not isinstance(spec, TrainingSpec):
            raise ScenarioError(f"{loaded.origin}: protocol.kind: {loaded.kind_name} given, expected training")
        for key, source in (("data", spec.data.train), ("labels", spec.labels.train)):
            if isinstance(source, DatasetSource) and source.part != "train":
                raise ScenarioError(f"{loaded.origin}: protocol.{key}.train.part: {source.part} given, expected train")
        return loaded


Job = tuple[Question, int, int]  # the draw and the fold of it that is left out


@dataclass(frozen=True)
class Point(points.Point):
    """One fold of one draw. right, regression: of `rows` left out, those that training and regression get right."""

    scenario: str
    version: str
    sets: tuple[str, ...]
    folds: int
    draw: int
    fold: int
    rows: int
    right: int
    regression: int
    training: float  # accuracy on the rows that were trained on

    def __post_init__(self) -> None:
        for name in ("right", "regression"):
            if not 0 <= getattr(self, name) <= self.rows:
                raise ValueError(f"{name}: {getattr(self, name)} given, expected 0 to the {self.rows} rows of the fold")

    @property
    def key(self) -> Job:
        return Question(self.scenario, self.sets, self.folds), self.draw, self.fold


@dataclass(frozen=True, eq=False)
class Rows:
    """The training part as its owners read it: values, one sample a row, and the label of each."""

    values: NDArray[np.float64]
    labels: NDArray[np.float64]

    @classmethod
    def of(cls, loaded: Loaded) -> Rows:
        """Read through the owner's and the judge's loaders, which are asked for this part only.

        Raises:
            ScenarioError: it cannot be read.
        """
        spec, network = loaded.scenario.protocol, loaded.network()
        data, named = spec.data.train.located(network.base), spec.labels.train.located(network.base)
        values = np.atleast_2d(network.loaders()[spec.start]("protocol.data.train", data)["values"])
        arrays = Judge(network).load("protocol.labels.train", named)
        labels = arrays.get("labels", arrays["values"])
        if labels.shape != values.shape[:1]:
            told = f"shape {list(labels.shape)} given, expected one for each of {len(values)} rows"
            raise ScenarioError(f"{loaded.origin}: protocol.labels.train: {told}")
        return cls(values, labels.astype(np.float64))

    def dealt(self, seed: int, folds: int, draw: int) -> list[Integers]:
        """The rows of each fold, ascending: shuffled, sorted by label, and dealt one by one.

        Folds differ by one row at most, and by one row of each class at most.
        """
        least = int(np.unique(self.labels, return_counts=True)[1].min())
        if folds > least:
            raise ScenarioError(f"folds: {folds} given, expected at most the {least} rows of the smallest class")
        order = stream(derive_key(seed, "choosing"), "folds", draw).permutation(len(self.labels))
        order = order[np.argsort(self.labels[order], kind="stable")]
        return [np.sort(order[fold::folds]) for fold in range(folds)]

    def write(self, path: Path, left_out: Integers) -> list[str]:
        """A file of all rows, `left_out` apart from the others; the settings by which a scenario reads these alone."""
        kept = np.setdiff1d(np.arange(len(self.labels)), left_out)
        arrays: dict[str, Any] = {}
        sets = []
        for part, rows in (("train", kept), ("test", left_out)):
            for key, whole in (("data", self.values), ("labels", self.labels)):
                arrays[f"{key}_{part}"] = whole[rows]
                source = json.dumps({"path": str(path), "array": f"{key}_{part}"})
                sets.append(f"protocol.{key}.{part}={source}")
        np.savez(path, **arrays)
        return sets


def fold_of(question: Question, draw: int, fold: int, folder: Path) -> tuple[Loaded, int]:
    """The scenario that trains on all folds but one and tests on that one, and how many rows that has.

    Both read their rows from a file that is written into `folder`.
    """
    whole = question.loaded()
    rows, seed = Rows.of(whole), whole.scenario.seed
    left_out = rows.dealt(seed, question.folds, draw)[fold]
    sets = rows.write(folder / f"draw-{draw}-fold-{fold}.npz", left_out)
    own = derive_key(seed, "choosing", f"draw {draw}", f"fold {fold}")
    fold_seed = int.from_bytes(own[:4], "little")
    return load(question.scenario, [*question.sets, NO_RIVALS, *sets], fold_seed), len(left_out)


def measured(folder: Path, job: Job) -> Point:
    """Train without one fold of one draw, and judge on it.

    Raises:
        ScenarioError: the training is refused, or tells no accuracy.
    """
    question, draw, fold = job
    loaded, rows = fold_of(question, draw, fold, folder)
    spec, judge = loaded.scenario.protocol, Judge(loaded.network())
    told = loaded.kind.summarise(spec, run_inline(loaded.run(), base=loaded.base), judge).told()
    regression = baseline(spec, judge.load, judge.network)
    if told["test_accuracy"] is None:
        raise ScenarioError(f"{loaded.origin}: protocol.objective: {spec.objective.loss} given, expected one of labels")
    if regression is None:
        raise ScenarioError("scikit-learn: not installed, expected it there (pip install 'ketwire[demo]')")
    right, by_regression = (round(accuracy * rows) for accuracy in (told["test_accuracy"], regression))
    named = (question.scenario, question.version(), question.sets, question.folds, draw, fold)
    return Point(*named, rows, right, by_regression, round(told["train_accuracy"], 4))


def opened(path: Path) -> list[Point]:
    """See `points.opened`."""
    return points.opened(path, Point, lambda point: (point.scenario, point.version, points.version(point.scenario)))


def asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; `question` is what it asks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.choosing", description=__doc__.split("\n", 1)[0])
    parser.add_argument("scenario", metavar="SCENARIO", help="of the kind training: packaged, or a file")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="a change to it")
    parser.add_argument("--folds", type=int, default=5, help="2 or more")
    parser.add_argument("--draws", type=int, default=1, help="how often all rows are dealt out again")
    parser.add_argument("--workers", type=int, default=1, help="folds that are trained at once")
    parser.add_argument("--out", type=Path, help="a file of JSON lines to go on with")
    options = parser.parse_args(arguments)
    for name in ("draws", "workers"):
        if getattr(options, name) < 1:
            parser.error(f"{name}: {getattr(options, name)} given, expected 1 or more")
    try:
        options.question = Question(options.scenario, tuple(options.sets), options.folds)
    except ValueError as wrong:
        parser.error(str(wrong))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    from benchmarks.choosing_table import report

    options = asked(arguments)
    question: Question = options.question
    try:
        question.loaded()
        found = opened(options.out) if options.out else []
        jobs = [(question, draw, fold) for draw in range(options.draws) for fold in range(question.folds)]
        # The folder is this process's, as workers that are stopped in the middle would leave theirs behind.
        with tempfile.TemporaryDirectory(prefix="ketwire-folds-") as folder:
            points.measure(jobs, partial(measured, Path(folder)), found, options.out, options.workers)
    except (ScenarioError, ValueError, OSError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    print(report(found, question.scenario, question.folds))
    return 0


if __name__ == "__main__":
    # A process that is told to end ends its workers too, and removes the folder with the rows.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as nohup has it for SIGHUP
            signal.signal(ending, lambda number, _: sys.exit(128 + number))
    sys.exit(main())
