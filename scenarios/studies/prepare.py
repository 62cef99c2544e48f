"""A study that is ready to run: its grid, its points, the fields that are recorded, and whose folder takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.strict import some
from ketwire.scenarios.schema.yamltext import dump
from ketwire.scenarios.studies.axes import RESERVED, Grid, grid, plain_label
from ketwire.scenarios.studies.files import Given
from ketwire.scenarios.studies.folder import Owner
from ketwire.scenarios.studies.identity import PHYSICS_REVISION, digest
from ketwire.scenarios.studies.points import Points, resolve
from ketwire.scenarios.studies.record import check_fields, default_fields, may_be_number
from ketwire.scenarios.studies.spec import Study


@dataclass(frozen=True)
class Prepared:
    """All points are checked. fields: that are recorded, in the order of the table."""

    given: Given
    grid: Grid
    points: Points
    fields: list[str]

    @property
    def owner(self) -> Owner:
        """Whose results its folder holds."""
        return Owner(study_key(self.given, self.grid, self.fields), PHYSICS_REVISION, self.given.name, self.fields)

    def resolved(self) -> str:
        """The study as YAML with all defaults filled in."""
        told = self.given.study.model_dump(mode="json")
        axes = [_said(axis) for axis in told.pop("axes")]
        figures = [_said(figure) for figure in told.pop("figures")]
        expect = [_said(each) for each in told.pop("expect")]
        if (base := self.given.base_named) is not None:
            told["base"] = base
        more = {"record": self.fields, "axes": axes, "figures": figures, "expect": expect}
        return dump({**told, "name": self.given.name, **more})


def _said(told: dict[str, Any]) -> dict[str, Any]:
    """A part of a study without the keys that say nothing."""
    parts = {key: [_said(each) for each in told[key]] for key in ("zip", "product") if told.get(key) is not None}
    return {key: value for key, value in {**told, **parts}.items() if value is not None}


def study_key(given: Given, of: Grid, fields: Sequence[str]) -> str:
    """Of what decides which results a folder may hold: base, keys of axes, draws, --check and fields.

    More values of an axis, more repeats, another stop rule, figures or expectations make no other study of it.
    """
    base = {key: value for key, value in given.base.data.items() if key not in ("name", "description")}
    study = given.study
    return digest([base, [list(of.names), [list(keys) for keys in of.keys]], study.draws, study.check, [*fields]])


def prepare(given: Given, told: Callable[[int, int], None] | None = None) -> Prepared:
    """Resolve and check all of a study. Nothing is run; a user's own kind is executed.

    Raises:
        ScenarioError: something is wrong; one line that names it.
    """
    study, origin = given.study, given.origin
    spanned = grid(study.axes, origin)
    points = resolve(given, spanned, told)
    fields = _fields(study, points)
    check_fields(fields, points.kinds, points.rivals, f"{origin}: record")
    if study.until is not None and not may_be_number(study.until.field, points.kinds):
        raise ScenarioError(f"{origin}: until.field: {study.until.field!r} given, expected a number of the result")
    for at, name in enumerate(spanned.names):
        if name in fields:
            raise ScenarioError(f"{origin}: {spanned.said[at]}: name {name!r} given, which a recorded field has; "
                                "expected another")  # fmt: skip
    _check_names(study, spanned, fields, origin)
    _check_expectations(study, spanned, fields, origin)
    return Prepared(given, spanned, points, fields)


def _fields(study: Study, points: Points) -> list[str]:
    """What is recorded: as asked for, else the kinds' own lists; with what the study itself needs."""
    fields = list(study.record) if study.record is not None else default_fields(points.kinds)
    if study.until is not None:
        fields.append(study.until.field)
    if study.deadlines_s:
        fields.append("virtual_time_ps")
    return list(dict.fromkeys(fields))


def _check_names(study: Study, of: Grid, fields: Sequence[str], origin: str) -> None:
    """Whether figures name axes or fields, and the table fields."""
    known = (*of.names, *fields)
    for index, name in enumerate(study.table or ()):
        if not _is_known(name, fields):
            told = f"{origin}: table.{index}: {name!r} given, expected a recorded field"
            raise ScenarioError(f"{told}: {', '.join(fields)}")
    for index, figure in enumerate(study.figures):
        for key in ("x", "y", "z", "hue", "facet"):
            name = getattr(figure, key)
            if name is not None and not _is_known(name, known):
                told = f"{origin}: figures.{index}.{key}: {name!r} given, expected an axis or a recorded field"
                raise ScenarioError(f"{told}: {', '.join(known)}")


def _is_known(name: str, known: Sequence[str]) -> bool:
    """Whether a name is known, or is of a value in a field that is a mapping."""
    return any(name == each or name.startswith(f"{each}.") for each in known)


def _check_expectations(study: Study, of: Grid, fields: Sequence[str], origin: str) -> None:
    for index, expect in enumerate(study.expect):
        where = f"{origin}: expect.{index}"
        if not _is_known(expect.field, (*fields, *RESERVED[3:4])):
            raise ScenarioError(f"{where}.field: {expect.field!r} given, expected status or one of {', '.join(fields)}")
        for name, value in expect.at.items():
            if name not in of.names:
                names = ", ".join(of.names) or "no axis, there is none"
                raise ScenarioError(f"{where}.at: axis {name!r} given, expected one of {names}")
            at = of.names.index(name)
            labels = dict.fromkeys(plain_label(cell.labels[at]) for cell in of.cells)
            if plain_label(value) not in labels:
                told = f"{where}.at.{name}: {plain_label(value)} given, expected a value of the axis"
                raise ScenarioError(f"{told}: {some(labels)}")
