"""For how many copies a measurement should be tuned that K copies of each vector then serve: by cross-validation.

    python -m benchmarks.tuning [SCENARIO ...] [--draws 1] [--served K ...]

SCENARIO is of the kind `subspace`, task `classify` (without any: digits, breast-cancer). Its receiver's training data
are dealt to five folds, each class in proportion, once for each draw. For each fold the measurement is tuned on the
other four, for K times each of SHARES, and judged on that fold by K copies of each vector. Outcomes are drawn from
their exact law, twenty times. Nothing here reads the test part. A table for each scenario: mean accuracy on the fold
left out with one standard error, which is a little too small (benchmarks/choosing_table.py says why). All rows of a
column are of the same folds, so their differences are better known than each of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosing import Rows
from benchmarks.choosing_table import Mean
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.protocols.subspace import Classes
from ketwire.quantum import subspaces
from ketwire.scenarios.kinds.subspace.classify import receiver_holding
from ketwire.scenarios.load import load

FOLDS = 5
DRAWS_OF_OUTCOMES = 20
SHARES = (1.0, 0.5, 1 / 3, 0.2, 0.1)
SERVED = {"digits": (30, 100, 300, 1000), "breast-cancer": (30, 100, 300)}


def accuracies(classes: Classes, components: int, left_out: NDArray[np.int64], served: int, key: bytes) -> list[float]:
    """On one fold, for each share: tuned on all other rows, judged on these."""
    kept = np.setdiff1d(np.arange(len(classes.labels)), left_out)
    rows, labels = classes.rows[kept], classes.labels[kept]
    bases = subspaces.class_subspaces(rows, labels, components)
    units, found = subspaces.unit_rows(classes.rows[left_out]), []
    for share in SHARES:
        tuned = max(1, round(share * served))
        chances = subspaces.probabilities(subspaces.discriminating_blocks(bases, rows, labels, copies=tuned), units)
        chances /= chances.sum(axis=1, keepdims=True)
        counts = stream(key, f"{served} by {tuned}").multinomial(served, chances, size=(DRAWS_OF_OUTCOMES, len(units)))
        found.append(float((subspaces.decide(counts) == classes.labels[left_out]).mean()))
    return found


def table(name: str, served: Sequence[int], draws: int) -> str:
    """Markdown: a row for each share, a column for each number of copies served.

    Raises:
        ScenarioError: there is no such scenario, or its data cannot be read.
    """
    loaded = load(name)
    spec, network = loaded.scenario.protocol.root, loaded.network()
    classes = receiver_holding(spec, network, network.loaders())
    rows = Rows(classes.rows, classes.labels.astype(np.float64))
    lines = [f"| `{name}`, tuned for | {' | '.join(f'{copies:,} copies served' for copies in served)} |"]
    lines.append("|---" * (len(served) + 1) + "|")
    columns = []
    for copies in served:
        folds = []
        for draw in range(draws):
            for fold, left_out in enumerate(rows.dealt(network.seed, FOLDS, draw)):
                key = derive_key(network.seed, "tuning", f"draw {draw}", f"fold {fold}")
                folds.append(accuracies(classes, spec.components, left_out, copies, key))
                print(f"{name}: {copies} copies, draw {draw}, fold {fold}", file=sys.stderr, flush=True)
        columns.append([Mean.of(values).text() for values in zip(*folds, strict=True)])
    for share, cells in zip(SHARES, zip(*columns, strict=True), strict=True):
        lines.append(f"| {share:.2g} K | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=__doc__.split("\n", 1)[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"without any: {', '.join(SERVED)}")
    parser.add_argument("--draws", type=int, default=1, help="how often all rows are dealt out again")
    parser.add_argument("--served", type=int, nargs="+", help="copies of a decision, in place of those of SERVED")
    options = parser.parse_args(arguments)
    try:
        for name in options.scenarios or SERVED:
            print(table(name, options.served or SERVED.get(name, (100,)), options.draws), end="\n\n", flush=True)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
