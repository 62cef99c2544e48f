"""What studies cost beside their own runs, beside commands, and with two workers; and how fast a folder is read.

    python -m benchmarks studies [--rounds 11]

own: 200 points of a small inference (6 qubits, 2 layers, 1,000 copies) as a study in this process, over the same 200
scenarios run one after another by `ketwire.run`. commands: the processor time of that study as a command, over that of
200 times `ketwire run --inline`, of which one is measured each round. workers: the time with one worker over that with
two, both without the start of the workers. load: reading and merging two folders of 50,000 finished points each, over
pandas that reads the same rows from Parquet.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ketwire as kw
from benchmarks.report import Figure, rounds_of, seconds
from benchmarks.startup import prepared, processor_s, run_to_end
from ketwire.scenarios.studies.data import PointKey, StudyData, read_study
from ketwire.scenarios.studies.folder import Owner, Row, merge, read_rows
from ketwire.scenarios.studies.spec import Study
from ketwire.scenarios.studies.tables import points_parquet

POINTS, FEW, FINISHED = 200, 20, 100_000
BASE: dict[str, Any] = {
    "seed": 1,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 1}],
    "protocol": {
        "kind": "inference", "qubits": 6, "start": "bob", "copies": 1000, "dense_state": None, "sketch": False,
        "layers": [{"at": at, "layer": "rotations", "angles": {"random": "angles"}} for at in ("alice", "bob")],
    },
}  # fmt: skip
LENGTHS = [round(1 + 0.01 * index, 4) for index in range(POINTS)]
STUDY: dict[str, Any] = {"base": BASE, "axes": [{"key": "links.0.length_km", "values": LENGTHS}]}


def study(jobs: int, points: int = POINTS) -> None:
    asked = {**STUDY, "axes": [{"key": "links.0.length_km", "values": LENGTHS[:points]}]}
    with tempfile.TemporaryDirectory() as folder:
        kw.study(asked, jobs=jobs, out=Path(folder, "out"), progress=False)


def own_runs() -> None:
    scenario = kw.Scenario.of(BASE)
    for length in LENGTHS:
        kw.run(scenario, {"links.0.length_km": length}, progress=False)


def measure_own(rounds: int) -> list[Figure]:
    """A study in this process over its runs alone."""
    taken = rounds_of({"study": lambda: study(1), "runs": own_runs}, rounds)
    return [taken.figure(f"study of {POINTS} points over its own runs", "study", "runs", 1.2, "s")]


def measure_commands(rounds: int) -> list[Figure]:
    """A study as a command over as many commands, processor time; of those one is measured each round."""
    with prepared() as (folder, environment):
        (folder / "study.json").write_text(json.dumps(STUDY))
        (folder / "base.json").write_text(json.dumps(BASE))
        program = [sys.executable, "-m", "ketwire"]
        one = [*program, "run", str(folder / "base.json"), "--inline", "--json"]
        many = [*program, "study", str(folder / "study.json")]
        actions = {"study": lambda: run_to_end(many, environment), "run": lambda: run_to_end(one, environment)}

        def each(action: Callable[[], object], repeats: int) -> float:
            return processor_s(action, repeats) / (POINTS if action is actions["study"] else 1)

        taken = rounds_of(actions, rounds, measure=each)
    return [taken.figure(f"a point of a study of {POINTS} over a `ketwire run`, CPU", "study", "run", 0.1, "ms")]


def measure_workers(rounds: int) -> list[Figure]:
    """One worker over two, once they have started: how much longer a study takes than one of a few points."""

    def running_s(jobs: int) -> float:
        return seconds(lambda: study(jobs)) - seconds(lambda: study(jobs, FEW))

    actions: dict[str, Callable[[], object]] = {"one": lambda: running_s(1), "two": lambda: running_s(2)}
    taken = rounds_of(actions, rounds, measure=lambda action, repeats: action())  # type: ignore[arg-type, return-value]
    return [replace(taken.figure("a study with one worker over two", "one", "two", 1.7, "s"), at_least=True)]


@contextmanager
def finished() -> Iterator[tuple[Path, Path, Path]]:
    """Two folders with half of the finished points each, and the same rows in Parquet."""
    fields = ["virtual_time_ps", "qubits_sent", "estimate", "winner"]
    points = [PointKey(f"{index:064x}", 1, (index,)) for index in range(FINISHED)]
    rows = {(point.identity, 0): Row(1, "done", "", [10**9 + at, 4 * at, at / FINISHED, "quantum"])
            for at, point in enumerate(points)}  # fmt: skip
    spec = Study(base="digits", axes=[])  # type: ignore[call-arg]
    with tempfile.TemporaryDirectory() as name:
        folders = Path(name, "left"), Path(name, "right")
        for half, folder in enumerate(folders):
            folder.mkdir()
            lines = ({"point": key[0], "repeat": key[1], **row._asdict()} for key, row in [*rows.items()][half::2])
            (folder / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
            (folder / "folder.json").write_text(json.dumps(Owner("key", 1, "finished", fields)._asdict()))
            told = {"axes": ["n"], "points": [[*point] for point in points]}
            (folder / "points.json").write_text(json.dumps(told))
            (folder / "study.yaml").write_text("base: digits\n")
        parquet = Path(name, "points.parquet")
        parquet.write_bytes(points_parquet(StudyData(spec, "finished", ["n"], points, fields, rows)))
        yield *folders, parquet


def measure_load(rounds: int) -> list[Figure]:
    """Reading two folders and merging them to one table, over pandas that reads it."""
    import pandas

    with finished() as (left, right, parquet):

        def load() -> None:
            data = read_study(left)
            merge(data.rows, read_rows(right, len(data.fields)), "left", data.rows.__setitem__)
            assert len(data.columns["estimate"]) == FINISHED

        taken = rounds_of({"ketwire": load, "pandas": lambda: pandas.read_parquet(parquet)}, rounds)
    return [taken.figure(f"{FINISHED:,} points loaded and merged over pandas", "ketwire", "pandas", 40, "ms")]


MEASURES: dict[str, Callable[[int], list[Figure]]] = {
    "own": measure_own, "commands": measure_commands, "workers": measure_workers, "load": measure_load,
}  # fmt: skip
