"""Dataclasses as JSON values and arrays: every type of field comes back; what does not fit is refused by its path."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ketwire.errors import LocalProtocolError, RemoteProtocolError
from ketwire.protocols.node import Json
from ketwire.protocols.typed import Told, made, told


@dataclass(frozen=True)
class Inner:
    """Nested, and in itself."""

    name: str
    below: Inner | None = None


@dataclass(frozen=True)
class All:
    """A field of every type."""

    count: int
    share: float
    text: str
    flag: bool
    nothing: None
    kind: Literal["a", "b"]
    maybe: float | None
    names: tuple[str, ...]
    pair: tuple[int, str]
    sizes: list[int]
    by_name: dict[str, tuple[float, ...]]
    by_visit: dict[int, Inner]
    inner: Inner
    chain: tuple[Inner | None, ...]
    rows: NDArray[np.float64]
    masks: dict[int, NDArray[np.bool_]]
    some: NDArray[Any] | None
    open: Json


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(1 << 63), (1 << 64) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
INNERS = st.builds(Inner, TEXTS, st.none() | st.builds(Inner, TEXTS))
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)
VALUES = st.builds(
    All, INTEGERS, NUMBERS, TEXTS, st.booleans(), st.none(), st.sampled_from(["a", "b"]), st.none() | NUMBERS,
    st.lists(TEXTS).map(tuple), st.tuples(INTEGERS, TEXTS), st.lists(INTEGERS),
    st.dictionaries(TEXTS, st.lists(NUMBERS).map(tuple)), st.dictionaries(INTEGERS, INNERS),
    INNERS, st.lists(st.none() | INNERS).map(tuple), hnp.arrays(np.float64, SHAPES),
    st.dictionaries(INTEGERS, hnp.arrays(np.bool_, SHAPES), max_size=3), st.none() | hnp.arrays(np.uint8, SHAPES),
    PLAIN,
)  # fmt: skip


def through(value: Told) -> Told:
    """As JSON text, its objects in another order, as on the wire."""
    return Told(json.loads(json.dumps(value.values, allow_nan=False, sort_keys=True)), value.arrays)


def same(a: Any, b: Any) -> bool:
    """Equal, of the same types, in the same order, arrays to the bit."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    return bool(a == b)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(VALUES)
def test_a_field_of_every_type_comes_back(value: All) -> None:
    found = made(All, *through(told(value)))
    assert found.open == value.open  # JSON objects have no order
    assert same(vars(found) | {"open": None}, vars(value) | {"open": None})
    assert told(found).values == told(value).values


@settings(max_examples=50, deadline=None, derandomize=True)
@given(VALUES)
def test_without_a_text_between_the_same_comes_back(value: All) -> None:
    """The inline runtime writes no JSON text."""
    assert same(vars(made(All, *told(value))) | {"open": None}, vars(made(All, *through(told(value)))) | {"open": None})


VALUE = All(
    3, 0.5, "x", True, None, "b", None, ("n", "m"), (1, "one"), [2], {"k": (1.0,)}, {7: Inner("seven")},
    Inner("a", Inner("b")), (None, Inner("c")), np.array([[1.5]]), {2: np.array([True])}, None, {"layer": ["x", None]},
)  # fmt: skip
GOLDEN = {
    "count": 3, "share": 0.5, "text": "x", "flag": True, "nothing": None, "kind": "b", "maybe": None,
    "names": ["n", "m"], "pair": [1, "one"], "sizes": [2], "by_name": [["k", [1.0]]],
    "by_visit": [[7, {"name": "seven", "below": None}]],
    "inner": {"name": "a", "below": {"name": "b", "below": None}}, "chain": [None, {"name": "c", "below": None}],
    "rows": "0", "masks": [[2, "1"]], "some": None, "open": {"layer": ["x", None]},
}  # fmt: skip


def test_an_example() -> None:
    values, arrays = told(VALUE)
    assert values == GOLDEN
    assert {name: array.tolist() for name, array in arrays.items()} == {"0": [[1.5]], "1": [True]}


def test_arrays_come_back_read_only_and_stay_what_they_are() -> None:
    rows = np.array([[1.5]])
    found = made(All, *told(All(**{**vars(VALUE), "rows": rows})))
    with pytest.raises(ValueError, match="read-only"):
        found.rows[0, 0] = 2.0
    rows[0, 0] = 2.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": "3"}, "value.count: str given, expected int"),
        ({"count": True}, "value.count: bool given, expected int"),
        ({"count": 3.0}, "value.count: float given, expected int"),
        ({"share": True}, "value.share: bool given, expected float"),
        ({"share": float("inf")}, "value.share: inf given, expected a finite number"),
        ({"flag": 1}, "value.flag: int given, expected bool"),
        ({"nothing": 0}, "value.nothing: int given, expected NoneType"),
        ({"kind": "c"}, "value.kind: str given, expected one of 'a', 'b'"),
        ({"maybe": "no"}, "value.maybe: str given, expected float"),
        ({"names": {"a": 1}}, "value.names: dict given, expected list"),
        ({"names": ["a", 1]}, "value.names.1: int given, expected str"),
        ({"pair": [1]}, "value.pair: 1 elements given, expected 2"),
        ({"by_name": {"k": [1.0]}}, "value.by_name: dict given, expected pairs of a key and a value"),
        ({"by_name": [["k", [1.0], 2]]}, "value.by_name: list given, expected pairs of a key and a value"),
        ({"by_name": [["k", []], ["k", []]]}, "value.by_name: a key given twice, expected each once"),
        ({"by_name": [["k", ["x"]]]}, "value.by_name.k.0: str given, expected float"),
        ({"by_visit": [["7", {}]]}, "value.by_visit: str given, expected int"),
        ({"by_visit": [[7, {}]]}, "value.by_visit.7.name: missing required key, expected a value"),
        ({"inner": [1]}, "value.inner: list given, expected Inner"),
        ({"inner": {"name": "a"}}, "value.inner.below: missing required key, expected a value"),
        ({"inner": {"name": "a", "below": None, "x": 1}}, "value.inner.x: given, expected one of name, below"),
        ({"chain": [{"name": "a", "below": 3}]}, "value.chain.0.below: int given, expected Inner"),
        ({"rows": [1.5]}, "value.rows: list given, expected the name of an array that no other field has"),
        ({"rows": "9"}, "value.rows: str given, expected the name of an array that no other field has"),
        ({"masks": [[2, "0"]]}, "value.masks.2: str given, expected the name of an array that no other field has"),
        ({"rows": "1", "masks": []}, "value.rows: array of bool given, expected float64"),
        ({"masks": []}, "value: array '1' given, expected those that its fields name"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_path(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        made(All, {**GOLDEN, **changed}, told(VALUE).arrays)
    assert str(refused.value) == words


WITHOUT = {name: value for name, value in GOLDEN.items() if name != "open"}


@pytest.mark.parametrize("values", [None, [], "x", {**GOLDEN, "more": 1}, WITHOUT])
def test_another_object_is_refused(values: Any) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^outcome"):
        made(All, values, told(VALUE).arrays, "outcome")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"count": np.int64(3)}, "value.count: int64 given, expected int"),
        ({"share": "secret"}, "value.share: str given, expected float"),
        ({"share": 1 << 70}, "value.share: int given, expected float"),
        ({"share": float("nan")}, "value.share: nan given, expected a finite number"),
        ({"names": ["a"]}, "value.names: list given, expected tuple"),
        ({"by_visit": {"7": Inner("x")}}, "value.by_visit: str given, expected int"),
        ({"inner": {"name": "a"}}, "value.inner: dict given, expected Inner"),
        ({"rows": [[1.5]]}, "value.rows: list given, expected an array"),
        ({"rows": np.array([1])}, "value.rows: array of int64 given, expected float64"),
        ({"open": {"a": [{1: 2}]}}, "value.open.a.0: dict given, expected what JSON holds, with texts for keys"),
        ({"open": {1, 2}}, "value.open: set given, expected what JSON holds, with texts for keys"),
        ({"open": [float("inf")]}, "value.open.0: inf given, expected a finite number"),
    ],
)
def test_values_of_other_types_are_not_told(changed: dict[str, Any], words: str) -> None:
    """By their path and their type: what they are may be a secret."""
    with pytest.raises(LocalProtocolError) as refused:
        told(All(**{**vars(VALUE), **changed}))
    assert str(refused.value) == words


def test_an_int_for_a_float_and_tuples_in_json_come_back_as_json_has_them() -> None:
    found = made(All, *told(All(**{**vars(VALUE), "share": 1, "maybe": np.float64(2.5), "open": (1, (2,))})))
    assert (type(found.share), type(found.maybe), found.open) == (float, float, [1, [2]])


@dataclass(frozen=True)
class Odd:
    """A type that goes nowhere."""

    things: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Unknown:
    """A type that is not there."""

    thing: Missing  # type: ignore[name-defined]  # noqa: F821


@dataclass(frozen=True)
class Picky:
    """Not of every number."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("count: below 1")


@dataclass
class Loose:
    """Not frozen."""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Odd(), r"Odd.things: type set\[int\] given, expected one that goes into JSON or an array"),
        (Unknown(1), "Unknown: a field's type cannot be found: name 'Missing' is not defined"),
        (Loose(), "value: Loose given, expected a frozen dataclass"),
        ({"a": 1}, "value: dict given, expected a frozen dataclass"),
        (Inner, "value: type given, expected a frozen dataclass"),
    ],
)
def test_types_that_cannot_be_told_are_named(value: Any, words: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^{words}$"):
        told(value)


def test_a_value_that_its_own_type_refuses_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match=r"^value: a Picky that cannot be \(count: below 1\)$"):
        made(Picky, {"count": 0}, {})
