"""Carrying a study out: prepare, take what there is, run the rest, write the tables, judge the expectations."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.yamltext import dump
from ketwire.scenarios.studies.data import StudyData, data_of, points_told
from ketwire.scenarios.studies.engines import EngineName, engine_of
from ketwire.scenarios.studies.expecting import unmet
from ketwire.scenarios.studies.files import Given
from ketwire.scenarios.studies.folder import POINTS, STUDY, Rows, StudyFolder, check_owner, read_rows
from ketwire.scenarios.studies.prepare import Prepared, prepare
from ketwire.scenarios.studies.progress import watch
from ketwire.scenarios.studies.running import Runs
from ketwire.scenarios.studies.tables import tables

BASE = "base.yaml"

@dataclass(frozen=True)
class Options:
    """What the user asked for beside the study.

    out: the folder that takes the results; None: a temporary one. merged: folders of the same study whose results are
    taken over. progress: whether to tell how far it is; None: on a terminal.
    """

    jobs: int = 1
    engine: EngineName = "local"
    scheduler: str | None = None
    out: Path | None = None
    merged: Sequence[Path] = field(default_factory=tuple)
    progress: bool | None = None

def carry_out(given: Given, options: Options) -> tuple[StudyData, list[str]]:
    """Run what is missing of a study and write its folder; answers with its data and the expectations that failed.

    Raises:
        ScenarioError: something is wrong with the study, with a folder or with an option. Nothing was run.
        KetwireError: the folder has no room.
    """
    opener = engine_of(options.engine, options.jobs, options.scheduler)
    for each in options.merged:
        if not each.is_dir():
            raise ScenarioError(f"--from: {str(each)!r} given, expected the folder of a study")
    with watch(options.progress) as shown:
        prepared = prepare(given, shown.checked)
        merged = [_rows(each, prepared) for each in options.merged]
        with _folder(prepared, options.out) as folder:
            for rows in merged:
                folder.take(rows)
            _describe(folder, prepared)
            runs = Runs(prepared, folder.rows, folder.add, shown.ran)
            shown.begin(prepared, runs)
            runs.carry_out(opener)
            data = data_of(prepared, dict(folder.rows))
            for name, content in tables(data).items():
                folder.write(name, content)
    return data, unmet(data)

def _rows(folder: Path, prepared: Prepared) -> Rows:
    check_owner(folder, prepared.owner, "--from")
    return read_rows(folder, len(prepared.fields))


@contextmanager
def _folder(prepared: Prepared, out: Path | None) -> Iterator[StudyFolder]:
    with tempfile.TemporaryDirectory(prefix="ketwire-") as temporary:
        folder = StudyFolder(Path(temporary, "study") if out is None else out, prepared.owner)
        try:
            yield folder
        finally:
            folder.close()

def _describe(folder: StudyFolder, prepared: Prepared) -> None:
    """Write the study as it was resolved, its points, and its base where that is no scenario with a name."""
    given = prepared.given
    folder.write(STUDY, prepared.resolved())
    points = {"axes": prepared.grid.names, "points": [*points_told(prepared)]}
    folder.write(POINTS, json.dumps(points, separators=(",", ":")))
    if isinstance(given.study.base, dict):
        folder.write(BASE, dump(given.base.data))
