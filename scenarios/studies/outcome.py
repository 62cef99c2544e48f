"""A study from Python: which study is asked for, and what `ketwire.study` answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.elements import element
from ketwire.scenarios.schema.changes import as_file
from ketwire.scenarios.schema.validation import shown
from ketwire.scenarios.studies.data import StudyData
from ketwire.scenarios.studies.files import Given, is_study, of_data, of_scenario, read_file, says_study, with_repeats
from ketwire.scenarios.studies.study import Options, carry_out
from ketwire.scenarios.studies.tables import study_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class StudyOutcome:
    """A study whose runs are over. unmet: a line for each expectation that does not hold."""

    data: StudyData
    unmet: tuple[str, ...]

    def frame(self) -> DataFrame:
        """A row for each run, in the order of the grid: axes, repeat, seed, status, reason, recorded fields.

        Raises:
            ScenarioError: the extra `studies` is not installed.
        """
        return self.data.frame()

    def summary(self) -> DataFrame:
        """For each point and number: runs, mean, deviation, its 95 % interval, p50, p95 and p99.

        Raises:
            ScenarioError: the extra `studies` is not installed.
        """
        return self.data.summary_frame()

    def plot(self) -> Figure:
        """A figure of matplotlib, as the study asks to be drawn.

        Raises:
            ScenarioError: the extra `plots` is not installed.
        """
        from ketwire.scenarios.studies.figures import draw  # noqa: PLC0415

        return draw(self.data)

    def command(self, point: int, repeat: int = 0) -> list[str]:
        """The words of the command that runs a repeat of a point alone."""
        return self.data.command(point, repeat)

    def __repr__(self) -> str:
        return f"<ketwire.StudyOutcome {self.data.name}: {len(self.data.points)} points, {len(self.data.runs)} runs>"

    def __str__(self) -> str:
        return study_text(self.data)

    def _repr_html_(self) -> str:
        return element("pre", study_text(self.data))


def asked(study: str | Mapping[str, Any], axes: Mapping[str, Any] | None, repeats: int | None) -> Given:
    """The study that is asked for: one of its own, or a scenario's with these axes.

    Raises:
        ScenarioError: there is none of this name, or it is not valid.
    """
    if axes is not None and not isinstance(axes, Mapping):
        raise ScenarioError(f"axes: {shown(axes)} given, expected a mapping from dotted keys to values")
    its_own = says_study(study) if isinstance(study, Mapping) else is_study(study)
    if not its_own:
        return of_scenario(study, axes or {}, {} if repeats is None else {"repeats": repeats})
    if axes:
        raise ScenarioError(f"axes: {next(iter(axes))} given with a study, expected a scenario beside them")
    if isinstance(study, str):
        return with_repeats(read_file(study), repeats)
    return with_repeats(of_data(as_file(study), "study", "study", str(Path.cwd())), repeats)


def conclude(given: Given, options: Options) -> StudyOutcome:
    """Run what is missing of a study.

    Raises:
        ScenarioError, KetwireError: as `study.carry_out`.
    """
    data, unmet = carry_out(given, options)
    return StudyOutcome(data, tuple(unmet))
