"""ketwire from Python: scenarios as values, runs in this process or in processes of their own.

`import ketwire` offers these names and loads this module with the first that is used. Nothing here ends the process,
prints on standard output, or leaves a handler, thread or process behind.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds.result import RunResult
from ketwire.scenarios.load import Draft, Loaded, Read, admit, draft, looked
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.schema.changes import Change, as_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ketwire.channels.presets import Preset
    from ketwire.scenarios.linkcost import Answer
    from ketwire.scenarios.runs.launch import Runtime
    from ketwire.scenarios.schema.model import Scenario as Model
    from ketwire.scenarios.studies.outcome import StudyOutcome

Changes = Mapping[str, Any]
"""New values by dotted key: {"links.0.length_km": 10}."""


class Scenario:
    """A checked scenario: a value that does not change. `load` and `of` make one, `replace` another one of it.

    Where its kind is a user's own module (`kind: module:Name`), `protocol` is checked when it runs.
    """

    def __init__(self, draft: Draft, changes: tuple[Change, ...] = ()) -> None:
        self._draft, self._changes = draft, changes
        self._read = looked(*draft.finished(changes))

    @classmethod
    def load(cls, name_or_file: str | Path) -> Scenario:
        """A packaged scenario by its name, or one from a file.

        Raises:
            ScenarioError: there is none, or it is not valid; one line with file, key, value and what was expected.
        """
        return cls(draft(str(name_or_file)))

    @classmethod
    def of(cls, data: Mapping[str, Any], base: str | Path = ".") -> Scenario:
        """A scenario from the values that its YAML would hold; relative paths in it start from `base`.

        Raises:
            ScenarioError: it is not valid.
        """
        return cls(Draft(as_file(data), "scenario", "scenario", str(Path(base).resolve())))

    def replace(self, changes: Changes) -> Scenario:
        """The scenario with other values, by dotted key.

        Raises:
            ScenarioError: a key that the schema does not know, or a value that it refuses.
        """
        origin = self._draft.origin
        told = (Change(key, as_file(value), f"{origin}: {key}") for key, value in changes.items())
        return Scenario(self._draft, (*self._changes, *told))

    @property
    def name(self) -> str:
        return self._read.name

    @property
    def kind(self) -> str:
        """The name of its kind of protocol."""
        return self._read.kind_name

    @property
    def model(self) -> Model:
        """All that it says as typed, frozen values, defaults and presets filled in: seed, nodes, links, protocol."""
        return self._read.scenario

    def to_yaml(self) -> str:
        """As a scenario file, with all defaults filled in. Relative paths in it start from its own folder."""
        return self._read.resolved()

    def plot(self) -> Figure:
        """The network as a figure of matplotlib (the extra `plots`)."""
        from ketwire.scenarios.reports.figures import paneled  # noqa: PLC0415
        from ketwire.scenarios.reports.network import draw_network  # noqa: PLC0415

        return paneled([lambda axes: draw_network(axes, self.model)], self.name)

    def loaded(self) -> Loaded:
        """Ready to run; a user's own kind is executed."""
        return admit(*self._draft.finished(self._changes))

    @cached_property
    def _summary(self) -> str:
        model = self.model
        links = f"{len(model.links)} link{'s' * (len(model.links) > 1)}"
        return f"{self.name}: {self.kind} over {len(model.nodes)} nodes and {links}, seed {model.seed}"

    def __repr__(self) -> str:
        return f"<ketwire.Scenario {self._summary}>"

    def _repr_html_(self) -> str:
        from ketwire.scenarios.reports.html import scenario_html  # noqa: PLC0415

        return scenario_html(self._summary, self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    @cached_property
    def _value(self) -> tuple[str, str]:
        """What it says, and where relative paths start: all that decides what it runs."""
        return self.to_yaml(), self._draft.base

    def warn(self) -> None:
        """Python's own warning for nodes that no link leads to."""
        _warn(self._read, stacklevel=3)


def _warn(found: Read, stacklevel: int) -> None:
    if alone := found.unlinked():
        warnings.warn(f"{found.origin}: nodes without a link: {', '.join(alone)}", stacklevel=stacklevel + 1)


def run(
    scenario: str | Path | Mapping[str, Any] | Scenario,
    changes: Changes | None = None,
    *,
    seed: int | None = None,
    processes: bool = False,
    check: bool = False,
    out: str | Path | None = None,
    progress: bool | None = None,
    latency: bool = False,
) -> RunResult:
    """Run a scenario and answer with its result.

    Args:
        scenario: a packaged name, a file, the values of one, or a Scenario.
        changes: other values, by dotted key.
        seed: instead of the scenario's own.
        processes: a process for each party and fiber, as `ketwire run` has them; else all in this process. The result
            is the same.
        check: compute the exact value too.
        out: write a run folder, new or empty.
        progress: tell how far the run is; None: on a terminal and in a notebook.
        latency: tell where the virtual time went (`result.latency`).

    Raises:
        ScenarioError: the input is wrong, the data that parties load included.
        PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError: the run failed.
    """
    asked = scenario if isinstance(scenario, Scenario) else _made(scenario)
    told = {**(changes or {}), **({} if seed is None else {"seed": seed})}
    asked = asked.replace(told) if told else asked
    asked.warn()
    folder = None if out is None else Path(out)
    if progress is None and "ipykernel" in sys.modules:  # a notebook, whose standard error is no terminal
        progress = True
    with _recording(processes, folder, latency) as runtime:
        return launch(asked.loaded(), runtime, Options(folder, check, progress, ledger=True, latency=latency))


def _made(scenario: str | Path | Mapping[str, Any]) -> Scenario:
    return Scenario.of(scenario) if isinstance(scenario, Mapping) else Scenario.load(scenario)


@contextmanager
def _recording(processes: bool, folder: Path | None, latency: bool) -> Iterator[Runtime]:
    """A runtime that records messages; fibers in processes write theirs to a folder, a temporary one if need be."""
    if not processes and latency:
        from ketwire.nodes.times.timeline import run_timed  # noqa: PLC0415

        yield run_timed
        return
    if not processes:
        from ketwire.nodes.inline import run_inline  # noqa: PLC0415

        yield run_inline
        return
    from ketwire.nodes.processes.run import run_processes  # noqa: PLC0415

    if folder is not None:
        yield run_processes
        return
    with tempfile.TemporaryDirectory(prefix="ketwire-") as made:
        yield lambda run, progress, ledger, base, out: run_processes(run, progress, ledger, base, out or Path(made))


def study(
    study: str | Path | Mapping[str, Any],
    axes: Mapping[str, Any] | None = None,
    *,
    repeats: int | None = None,
    jobs: int = 1,
    engine: Literal["local", "dask"] = "local",
    scheduler: str | None = None,
    out: str | Path | None = None,
    merged: Sequence[str | Path] = (),
    progress: bool | None = None,
) -> StudyOutcome:
    """Run a study, or what its folder lacks of it, and answer with its table.

    Args:
        study: a packaged study, a study file, or the values of one; with `axes` the scenario that they change.
        axes: the values of each axis by dotted key: {"links.0.length_km": [1, 10, 100]}.
        repeats: runs of each point, instead of the study's own.
        jobs: worker processes; 1: all in this process.
        engine: processes of this machine, or dask.distributed. scheduler: the address of a dask scheduler.
        out: the folder of the study, new or to go on with.
        merged: folders of the same study whose results are taken over.
        progress: tell how far it is; None: on a terminal and in a notebook.

    Raises:
        ScenarioError: something is wrong with the study; nothing was run.
        KetwireError: the folder has no room.
    """
    from ketwire.scenarios.studies.outcome import asked, conclude  # noqa: PLC0415
    from ketwire.scenarios.studies.study import Options as StudyOptions  # noqa: PLC0415

    if progress is None and "ipykernel" in sys.modules:
        progress = True
    folder = None if out is None else Path(out)
    if isinstance(merged, str | Path):
        raise ScenarioError(f"merged: {str(merged)!r} given, expected a list of folders")
    options = StudyOptions(jobs, engine, scheduler, folder, tuple(map(Path, merged)), progress)
    return conclude(asked(study if isinstance(study, Mapping) else str(study), axes, repeats), options)


def presets() -> Mapping[str, Preset]:
    """The presets of links by name, each number with its source."""
    from ketwire.channels.presets import PRESETS  # noqa: PLC0415

    return dict(PRESETS)


def link_cost(preset: str, **question: Any) -> Answer:
    """What one register costs on a link, by each transport, and which to take. Nothing is run.

    Args:
        preset: one of `presets()`.
        question: length_km, qubits, copies, crossings, t1_s, t2_s, alpha, slots (`scenarios.linkcost.Question`).

    Raises:
        ScenarioError: no such preset, an unknown argument, or a number out of its range.
    """
    from ketwire.scenarios.linkcost import Question, answer  # noqa: PLC0415

    known = Question.__dataclass_fields__.keys() - {"preset"}
    if unknown := question.keys() - known:
        raise ScenarioError(f"link_cost: {sorted(unknown)[0]!r} given, expected one of {', '.join(sorted(known))}")
    return answer(Question(preset, **question))
