"""All measurements of docs/performance.md, or some of them.

    python -m benchmarks [NAME ...] [--rounds 11]

A name is that of a module (wire, processes, physics, startup, engine, gradients, steps, teleports, chains,
notes, studies, advantage, peers) or of one of its measurements. One table at the end; exit code 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

MODULES = (
    "wire", "processes", "physics", "startup", "engine", "gradients", "steps", "teleports", "chains", "notes",
    "studies", "advantage", "peers",
)  # fmt: skip


def main() -> int:
    # Before numpy is imported: one BLAS thread, here and in all processes, as in ketwire itself.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    from benchmarks.report import LEAST_ROUNDS, Figure, table
    from ketwire.nodes.memory import keep_freed_memory

    keep_freed_memory()  # as in runs

    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure ketwire.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MODULES)}, or one of their parts")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="interleaved rounds, 11 or more")
    options = parser.parse_args()
    known = {module: importlib.import_module(f"benchmarks.{module}").MEASURES for module in MODULES}
    parts = {name for measures in known.values() for name in measures}
    if unknown := set(options.names) - parts - set(known):
        parser.error(f"{', '.join(sorted(unknown))}: expected {', '.join(sorted(parts | set(known)))}")
    figures: list[Figure] = []
    for module, measures in known.items():
        for name, measure in measures.items():
            if not options.names or name in options.names or module in options.names:
                print(f"measuring {module}: {name} ...", file=sys.stderr, flush=True)
                figures += measure(options.rounds)
    print(table(figures))
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
