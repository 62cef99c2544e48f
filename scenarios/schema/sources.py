"""Where an owner's data comes from: a file, values, its own random numbers, a known data set.

Kinds name these as types of their fields. What a source says is public; what it holds is read by
its owner alone (`ketwire.nodes.data`), for which `located` makes paths absolute.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveInt,
    StrictBool,
    StrictInt,
    Tag,
    model_validator,
)

from ketwire.scenarios.schema.model import Strict, wrong


class _Source(Strict):
    def located(self, base: str) -> dict[str, Any]:
        """This source as a slice carries it, a relative path taken from the folder `base`.

        Without a base a path stays as it is: its owner, on another machine, knows where it starts.
        """
        told: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        for name in ("path", "trained", "folder"):
            if name in told and base:
                told[name] = os.path.abspath(os.path.join(base, os.path.expanduser(told[name])))
        return told


Column = StrictInt | str
"""A column of a table: its number from 0 up, or its name in the header."""


class FileSource(_Source):
    """Numbers in a .npy, .npz or .csv file.

    A .csv file is UTF-8; commas, semicolons or tabs separate its cells, blank lines are skipped, and so is what
    follows a # at the start of a line or after a space. Columns are numbered from 0 up.
    """

    path: str = Field(pattern=r"\.(npy|npz|csv)$", description="relative to the scenario file")
    array: str | None = Field(None, description="which array of an .npz file")
    header: StrictBool | Literal["auto"] = Field(
        "auto",
        description="whether the first row of a .csv file names its columns; auto: if all of it are words, "
        "and an error where that is not certain",
    )
    label_column: Column | None = Field(
        None, description="which column of a .csv file holds labels; number, or name in its header"
    )
    label_names: list[str] | None = Field(
        None, min_length=1, description="of labels in words: the first stands for 0, the next for 1, and so on"
    )
    columns: list[Column] | None = Field(
        None, min_length=1, description="these columns of a .csv file alone, in this order; numbers or names"
    )
    drop: list[Column] | None = Field(
        None, min_length=1, description="all columns of a .csv file but these; numbers or names; they may hold texts"
    )

    @model_validator(mode="after")
    def _read(self) -> Self:
        for name in self.model_fields_set - {"path"}:
            suffix = ".npz" if name == "array" else ".csv"
            # A resolved scenario says the defaults too.
            given = getattr(self, name) != type(self).model_fields[name].default
            if given and not self.path.endswith(suffix):
                raise wrong(name, getattr(self, name), f"nothing here, or a {suffix} file")
        if self.drop is not None and self.columns is not None:
            raise wrong("drop", self.drop, "nothing here, as columns are given")
        if self.label_names is not None and self.label_column is None:
            raise wrong("label_names", self.label_names, "nothing here, or a label_column")
        if self.label_names is not None and len(set(self.label_names)) < len(self.label_names):
            raise wrong("label_names", self.label_names, "each name once")
        if self.header is False:
            for name in ("label_column", "columns", "drop"):
                asked = getattr(self, name)
                if any(isinstance(each, str) for each in (asked if isinstance(asked, list) else [asked])):
                    raise wrong(name, asked, "numbers of columns, as header is false")
        return self

    def reads(self, column: str | int) -> bool:
        """Whether a column may be among the values: a number and a name may be of the same column."""
        if column == self.label_column or column in (self.drop or ()):
            return False
        if self.columns is None:
            return True
        return column in self.columns or any(type(each) is not type(column) for each in self.columns)


class ProgramSource(_Source):
    """A circuit in a .qasm file."""

    path: str = Field(pattern=r"\.qasm$", description="relative to the scenario file")


class ValuesSource(_Source):
    """Numbers in the scenario itself."""

    values: list[Any] = Field(min_length=1, description="numbers, or equally long lists of them")


class RandomSource(_Source):
    """Numbers that the owner draws with its own key."""

    random: Literal["angles", "normal", "signs"] = Field(description="uniform in [0, 2 pi), normal, +-1")
    shape: list[PositiveInt] | None = Field(
        None, min_length=1, max_length=4, description="needed where the key that takes it does not know the shape"
    )


class DatasetSource(_Source):
    """A data set of scikit-learn, split 70:30 with its classes in proportion."""

    dataset: Literal["digits", "breast-cancer"]
    part: Literal["train", "test"]
    classes: list[int] | None = Field(None, min_length=1, description="the rows of these classes alone, split as ever")
    columns: list[int] | None = Field(None, min_length=1, description="these features alone, in this order, from 0 up")


class GraphsSource(_Source):
    """The graphs of one of ten folds, a row each: features of all nodes, hop by hop. Their labels are beside."""

    graphs: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="the name of a set, such as MUTAG")
    folder: str = Field(min_length=1, description="where the set is; relative to the scenario file")
    fold: int = Field(ge=0, le=9, description="as StratifiedKFold(10, shuffle=True, random_state=0) draws them")
    part: Literal["train", "test"] = Field(description="test: the graphs tested in this fold; train: all others")
    hops: dict[Literal["raw", "rw", "gcn", "ppr"], Annotated[int, Field(ge=1, le=100)]] = Field(
        {}, description="hops of each operator beside the plain features"
    )


class TrainedSource(_Source):
    """Angles that its node has trained, in a run that is over. Each node reads its own model alone."""

    trained: str = Field(
        min_length=1, description="the run's folder (--out), or a node's own .npz file (--model); relative to the file"
    )
    layer: NonNegativeInt | None = Field(
        None, description="the number of the layer there, from 0 up; null: that of this layer"
    )


_FORMS: dict[str, type[_Source]] = {
    "path": FileSource, "values": ValuesSource, "random": RandomSource, "dataset": DatasetSource,
    "graphs": GraphsSource, "trained": TrainedSource,
}  # fmt: skip
"""The forms of a source by their leading keys."""


def _tag(form: type[_Source]) -> str:
    """As errors name it on the way to a key; never itself a key."""
    return f"({form.__name__})"


def _form(given: Any) -> str | None:
    """Which form a source has: the one whose leading key is there; None for none or several."""
    if isinstance(given, _Source):
        given = given.model_fields_set
    named = [_tag(form) for key, form in _FORMS.items() if isinstance(given, dict | set) and key in given]
    return named[0] if len(named) == 1 else None


def is_other_source(given: dict[str, Any], key: str) -> bool:
    """Whether `given` is a source whole, and `key` leads another form than it has."""
    form = next((form for leading, form in _FORMS.items() if leading in given), None)
    return key in _FORMS and key not in given and form is not None and given.keys() <= form.model_fields.keys()


def _led_by(keys: str) -> Discriminator:
    """Tells the forms of a source apart; keys: those that may lead one, for the message."""
    told = f"a source with one of the keys {keys}"
    return Discriminator(_form, custom_error_type="source", custom_error_message=told)


Source = Annotated[
    Annotated[FileSource, Tag(_tag(FileSource))]
    | Annotated[ValuesSource, Tag(_tag(ValuesSource))]
    | Annotated[RandomSource, Tag(_tag(RandomSource))]
    | Annotated[DatasetSource, Tag(_tag(DatasetSource))],
    _led_by("path, values, random, dataset"),
]
"""The type of a field that names data."""

Samples = Annotated[
    Annotated[FileSource, Tag(_tag(FileSource))]
    | Annotated[ValuesSource, Tag(_tag(ValuesSource))]
    | Annotated[RandomSource, Tag(_tag(RandomSource))]
    | Annotated[DatasetSource, Tag(_tag(DatasetSource))]
    | Annotated[GraphsSource, Tag(_tag(GraphsSource))],
    _led_by("path, values, random, dataset, graphs"),
]
"""The type of a field that names samples with labels."""

Angles = Annotated[
    Annotated[FileSource, Tag(_tag(FileSource))]
    | Annotated[ValuesSource, Tag(_tag(ValuesSource))]
    | Annotated[RandomSource, Tag(_tag(RandomSource))]
    | Annotated[DatasetSource, Tag(_tag(DatasetSource))]
    | Annotated[TrainedSource, Tag(_tag(TrainedSource))],
    _led_by("path, values, random, dataset, trained"),
]
"""The type of a field that names a layer's angles."""


ASSUMPTION = (
    "random sources stand for data and angles without a description shorter than their numbers; no rival sends a seed"
)


def assumption(spec: BaseModel) -> dict[str, Any]:
    """What the costs of rivals assume of a spec with random sources, for a kind's summary; empty without any."""
    return {"assumption": ASSUMPTION} if _is_random(spec) else {}


def _is_random(value: Any) -> bool:
    if isinstance(value, RandomSource):
        return True
    if isinstance(value, BaseModel):
        return any(_is_random(getattr(value, name)) for name in type(value).model_fields)
    return any(map(_is_random, value)) if isinstance(value, list) else False
