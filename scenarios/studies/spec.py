"""What a study file says, as types: a base scenario, axes, repeats, what to record, figures and expectations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ketwire.channels.presets import PRESETS
from ketwire.scenarios.schema.strict import Strict, wrong

MAX_VALUES, MAX_REPEATS, MAX_FIELDS = 100_000, 1_000_000, 200
Label = str | int | float | bool | None
"""How a table and a figure call a value of an axis."""
_FORMS = ("values", "linspace", "geomspace", "presets", "zip", "product", "rows")
_OF_A_KEY = ("linspace", "geomspace", "presets")


class Row(Strict):
    """A row of a table that is an axis: what it is called and what is known of it, and what it sets."""

    facts: dict[str, Label] = Field(min_length=1, description="a column each, the same ones in all rows")
    set: dict[str, Any] = Field(min_length=1, description="dotted keys of the scenario and their values")


class Axis(Strict):
    """Values of one key or of several, or other axes side by side (`zip`) or multiplied (`product`).

    `rows` are a zip of their columns, of which the first one sets the values.
    """

    name: str | None = Field(None, min_length=1, max_length=100, description="its column in the table; else its key")
    key: str | None = Field(None, min_length=1, max_length=1000, description="the scenario's dotted key that it sets")
    keys: list[str] | None = Field(None, min_length=1, description="keys that take the same value")
    values: list[Any] | None = Field(
        None, min_length=1, max_length=MAX_VALUES,
        description="values of the key; without a key mappings from dotted keys to values",
    )
    linspace: tuple[float, float, int] | None = Field(None, description="first, last, count: evenly spaced")
    geomspace: tuple[float, float, int] | None = Field(None, description="first, last, count: evenly spaced logarithms")
    presets: list[str] | None = Field(None, min_length=1, description="presets for keys that end in fiber or hardware")
    labels: list[Label] | None = Field(
        None, min_length=1,
        description="how tables and figures call the values; alone they are a column beside the other axes of a zip",
    )
    zip: list[Axis] | None = Field(None, min_length=2, description="axes of equal length, side by side")
    product: list[Axis] | None = Field(None, min_length=2, description="axes, each value of one with each of the other")

    rows: list[Row] | None = Field(
        None, min_length=1, max_length=MAX_VALUES, description="rows of a table: facts, and keys with their values"
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        self._check_rows()
        given = [form for form in _FORMS if getattr(self, form) is not None]
        if not given and self.labels is not None and self.name is not None and not self.all_keys:
            return self  # a column of its own beside the other axes of a zip
        if len(given) != 1:
            raise wrong(given[1] if given else "values", getattr(self, given[1]) if given else None,
                        f"one of {', '.join(_FORMS)}")  # fmt: skip
        if self.key is not None and self.keys is not None:
            raise wrong("keys", self.keys, "key or keys")
        if self.parts is not None:
            for name in ("name", "key", "keys", "labels"):
                if getattr(self, name) is not None:
                    raise wrong(name, getattr(self, name), f"nothing beside {given[0]}")
        elif given[0] in _OF_A_KEY and not self.all_keys:
            raise wrong("key", None, f"the key that {given[0]} is of")
        elif not self.all_keys and self.name is None:
            raise wrong("name", None, "a name, as its values set keys of their own")
        self._check_ranges()
        self._check_presets()
        return self

    def _check_rows(self) -> None:
        for index, row in enumerate(self.rows or ()):
            if [*row.facts] != (names := [*(self.rows or [row])[0].facts]):
                raise wrong(f"rows.{index}.facts", [*row.facts], f"the columns of the first row: {', '.join(names)}")

    def _check_ranges(self) -> None:
        for name, given in (("linspace", self.linspace), ("geomspace", self.geomspace)):
            if given is None:
                continue
            if not 2 <= given[2] <= MAX_VALUES:
                raise wrong(f"{name}.2", given[2], f"a count from 2 to {MAX_VALUES}")
            if given[0] == given[1]:
                raise wrong(f"{name}.1", given[1], "another value than the first")
            if name == "geomspace" and min(given[:2]) <= 0:
                raise wrong(f"{name}.{0 if given[0] <= 0 else 1}", min(given[:2]), "a value above 0")

    def _check_presets(self) -> None:
        for key in self.all_keys if self.presets is not None else ():
            if key.rpartition(".")[2] not in ("fiber", "hardware"):
                raise wrong("presets", self.presets, f"values instead, as {key} is no fiber and no hardware")

    @property
    def all_keys(self) -> tuple[str, ...]:
        """The keys that all of its values set; none where each value names its own."""
        return (self.key,) if self.key is not None else tuple(self.keys or ())

    @property
    def has_values(self) -> bool:
        """Whether it sets anything; otherwise it is a column of labels."""
        return any(getattr(self, form) is not None for form in _FORMS)

    @property
    def zipped(self) -> list[Axis] | None:
        """The axes that it puts side by side, if it does; of rows a column each."""
        if self.rows is None:
            return self.zip
        columns: list[dict[str, Any]] = [
            {"name": name, "labels": [row.facts[name] for row in self.rows]} for name in self.rows[0].facts
        ]
        columns[0]["values"] = [row.set for row in self.rows]
        return [Axis.model_validate(each) for each in columns]

    @property
    def parts(self) -> list[Axis] | None:
        """The axes that it combines, if it does."""
        return self.product if self.zipped is None else self.zipped

    @property
    def combines_by(self) -> str:
        """The key that says how."""
        return "rows" if self.rows is not None else "product" if self.zip is None else "zip"


class Until(Strict):
    """When a point has repeats enough. It is asked after each `repeats` of them, so no order of runs changes it."""

    field: str = Field(description="a number of the result")
    half_width: float = Field(gt=0, description="of the interval of its mean, at most")
    confidence: float = Field(0.95, gt=0, lt=1, description="of the interval (Student's t)")
    at_most: int = Field(ge=2, le=MAX_REPEATS, description="repeats of a point")


class Figure(Strict):
    """A figure: y over x, a series for each hue, a panel for each facet. Each is an axis or a recorded field.

    With z it is a map: z over x and y, all of them numbers.
    """

    x: str = Field(description="an axis or a recorded field")
    y: str = Field(description="an axis or a recorded field; of numbers the mean over repeats, with its interval")
    hue: str | None = Field(None, description="what series differ in")
    facet: str | None = Field(None, description="what panels differ in")
    z: str | None = Field(None, description="what a map over x and y shows: an axis or a recorded field")
    contour: float | None = Field(None, description="of a map: the value of z whose contour is drawn")
    marks: list[str] | None = Field(
        None, description="of a map of pairs' fidelity (y) over length (x): presets of links, marked where they are"
    )
    log: list[Literal["x", "y"]] = Field([], description="axes with a logarithmic scale")
    title: str | None = Field(None, max_length=200)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.z is not None and self.hue is not None:
            raise wrong("hue", self.hue, "none beside z, which the colours of a map show")
        for name in ("contour", "marks"):
            if self.z is None and getattr(self, name) is not None:
                raise wrong(name, getattr(self, name), "z beside it, as it is part of a map")
        for index, preset in enumerate(self.marks or ()):
            if preset not in PRESETS:
                raise wrong(f"marks.{index}", preset, f"a preset of links: {', '.join(PRESETS)}")
        return self


_COMPARISONS = ("equals", "below", "above", "at_most", "at_least")


class Expect(Strict):
    """What must hold of a recorded field at some points: of a number's mean over repeats, of all other values."""

    field: str = Field(description="a recorded field, or status: done, refused, failed")
    at: dict[str, Label] = Field({}, description="values of axes, by their names; all points where none is named")
    together: bool = Field(False, description="of a number's mean over all these points, and not at each of them")
    equals: Label = Field(None, description="exactly this")
    below: float | None = Field(None, description="a number below this")
    above: float | None = Field(None, description="a number above this")
    at_most: float | None = Field(None, description="a number up to this")
    at_least: float | None = Field(None, description="a number from this up")

    @model_validator(mode="after")
    def _one_comparison(self) -> Self:
        given = [name for name in _COMPARISONS if name in self.model_fields_set and getattr(self, name) is not None]
        if len(given) != 1:
            raise wrong(given[1] if given else "equals", getattr(self, given[1]) if given else None,
                        f"one of {', '.join(_COMPARISONS)}")  # fmt: skip
        return self

    @property
    def comparison(self) -> tuple[str, Any]:
        """Its name and the value to compare with."""
        return next((name, getattr(self, name)) for name in _COMPARISONS if getattr(self, name) is not None)


class Study(Strict):
    """A study file."""

    name: str | None = Field(None, max_length=100, description="a short name; else the file's")
    description: str = Field("", max_length=2000, description="what it asks, in a sentence or two")
    base: str | dict[str, Any] = Field(
        description="a packaged scenario, a scenario file beside the study, or what such a file would say"
    )
    axes: list[Axis] = Field([], max_length=20, description="what differs between points; several multiply")
    repeats: int = Field(
        1, ge=1, le=MAX_REPEATS, description="runs of each point, with other draws on the same problem"
    )
    draws: Literal["independent", "common"] = Field(
        "independent", description="whether a repeat has the same seed at all points, for paired comparisons"
    )
    until: Until | None = Field(None, description="go on with a point until an interval is narrow enough")
    check: bool = Field(False, description="compute exact values too, as ketwire run --check")
    record: list[str] | None = Field(
        None, min_length=1, max_length=MAX_FIELDS, description="fields of the result, dotted; null: the kind's list"
    )
    deadlines_s: list[float] = Field([], max_length=20, description="virtual times: which share of runs was done by")
    figures: list[Figure] = Field([], max_length=20, description="how to draw it; none: the time over the first axis")
    table: list[str] | None = Field(
        None, min_length=1, max_length=MAX_FIELDS, description="fields that the text and page show; null: of figures"
    )
    expect: list[Expect] = Field([], max_length=1000, description="what must hold; otherwise the exit code is 1")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.until is not None and (self.repeats < 2 or self.repeats > self.until.at_most):
            raise wrong("repeats", self.repeats, f"2 to {self.until.at_most} with until, which is asked after each")
        for index, each in enumerate(self.deadlines_s):
            if each <= 0 or each in self.deadlines_s[:index]:
                raise wrong(f"deadlines_s.{index}", each, "a new time above 0")
        for index, name in enumerate(self.record or ()):
            if name in (self.record or [])[:index]:
                raise wrong(f"record.{index}", name, "each field once")
        return self


def leaves(axes: Sequence[Axis], where: str = "axes") -> Iterator[tuple[str, Axis]]:
    """Each axis that has values, with the key that says it: axes.1.zip.0."""
    for index, axis in enumerate(axes):
        here = f"{where}.{index}"
        if axis.parts is None:
            yield here, axis
        else:
            yield from leaves(axis.parts, f"{here}.{axis.combines_by}")
