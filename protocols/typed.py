"""Frozen dataclasses as JSON values and arrays, and back: what a kind gives a party, and what a party tells.

A field is of type int, float, str, bool, None, a Literal of texts, `T | None`, `tuple[T, ...]`, `tuple[S, T]`,
`list[T]`, `dict[str, T]`, `dict[int, T]`, another frozen dataclass, `NDArray[...]`, or `Json`, a value of the JSON
data model.

    int, str, bool, None, Literal    as they are
    float                            a JSON number, always a float when it comes back
    tuple, list                      a list
    dict                             a list of pairs, in the order of the dict
    dataclass                        an object with every field by its name
    array                            the array's name; the arrays are beside, "0", "1", ... in the order of the fields
    Json                             itself, tuples as lists

Both directions are strict. An array comes back read-only, as it does from the wire.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property, partial
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import KetwireError, LocalProtocolError, RemoteProtocolError

T = TypeVar("T")
Arrays = dict[str, NDArray[Any]]


class Told(NamedTuple):
    """A value of a dataclass as JSON values and named arrays."""

    values: dict[str, Any]
    arrays: Arrays


def told(value: Any, name: str = "value") -> Told:
    """A frozen dataclass as JSON values and arrays.

    Args:
        name: of the value, for errors.

    Raises:
        LocalProtocolError: a field's value is not of the field's type, or no field may have that type.
    """
    arrays: Arrays = {}
    return Told(_record(type(value), name).told(value, name, arrays), arrays)


def made(kind: type[T], values: Any, arrays: Mapping[str, NDArray[Any]], name: str = "value") -> T:
    """The value of type `kind` that `told` told of.

    Raises:
        RemoteProtocolError: a name is missing or unknown, or a value is of another type; says which.
        LocalProtocolError: no field may have the type that one of `kind` has.
    """
    left = dict(arrays)
    found: T = _record(kind, name).made(values, name, left)
    if left:
        raise RemoteProtocolError(f"{name}: array {next(iter(left))!r} given, expected those that its fields name")
    return found


def _record(kind: Any, name: str) -> _Record:
    form = _form(kind) if is_dataclass(kind) and isinstance(kind, type) else None
    if not isinstance(form, _Record) or not form.kind.__dataclass_params__.frozen:
        raise LocalProtocolError(f"{name}: {_named(kind)} given, expected a frozen dataclass")
    return form


# ---------------------------------------------------------------- a form for each type


def _refuse(fault: type[KetwireError], place: str, value: Any, expected: str) -> NoReturn:
    """Says of which type a value is and not what it is, which may be its owner's secret."""
    raise fault(f"{place}: {type(value).__name__} given, expected {expected}")


@dataclass(frozen=True)
class _Leaf:
    """A value that JSON has: `checked` takes it as it is or refuses it, and knows no direction."""

    checked: Callable[[Any, str, type[KetwireError]], Any]
    only: type[Any] | None = None
    """The one type that it takes, and takes any value of."""

    def told(self, value: Any, place: str, arrays: Arrays) -> Any:
        return self.checked(value, place, LocalProtocolError)

    def made(self, value: Any, place: str, arrays: Arrays) -> Any:
        return self.checked(value, place, RemoteProtocolError)


def _scalar(kind: type[Any], value: Any, place: str, fault: type[KetwireError]) -> Any:
    return value if type(value) is kind else _refuse(fault, place, value, _named(kind))


def _number(value: Any, place: str, fault: type[KetwireError]) -> float:
    if not (isinstance(value, float) or (type(value) is int and abs(value) < 1 << 64)):
        _refuse(fault, place, value, "float")
    if not math.isfinite(value):
        raise fault(f"{place}: {value} given, expected a finite number")
    return float(value)


def _choice(texts: tuple[Any, ...], value: Any, place: str, fault: type[KetwireError]) -> Any:
    fits = type(value) is str and value in texts
    return value if fits else _refuse(fault, place, value, f"one of {', '.join(map(repr, texts))}")


@dataclass(frozen=True)
class _Optional:
    inner: _Form

    def told(self, value: Any, place: str, arrays: Arrays) -> Any:
        return None if value is None else self.inner.told(value, place, arrays)

    def made(self, value: Any, place: str, arrays: Arrays) -> Any:
        return None if value is None else self.inner.made(value, place, arrays)


def _plain(inner: _Form | tuple[_Form, ...], values: Iterable[Any]) -> bool:
    """Whether all are as they should be, without a step of Python for each: every party has the whole path."""
    form = inner.inner if isinstance(inner, _Optional) else inner
    if not isinstance(form, _Leaf) or form.only is None:
        return False
    return {*map(type, values)} <= {form.only, NoneType if form is not inner else form.only}


@dataclass(frozen=True)
class _Row:
    """A tuple or a list; `inner`: of each element, or of the one at each place."""

    kind: type[Any]
    inner: _Form | tuple[_Form, ...]

    def told(self, value: Any, place: str, arrays: Arrays) -> list[Any]:
        if type(value) is self.kind and _plain(self.inner, value):
            return list(value)
        return [
            form.told(each, f"{place}.{index}", arrays)
            for index, (form, each) in enumerate(self._parts(value, self.kind, place, LocalProtocolError))
        ]

    def made(self, value: Any, place: str, arrays: Arrays) -> Any:
        if type(value) is list and _plain(self.inner, value):
            return self.kind(value)
        return self.kind(
            form.made(each, f"{place}.{index}", arrays)
            for index, (form, each) in enumerate(self._parts(value, list, place, RemoteProtocolError))
        )

    def _parts(self, value: Any, kind: type[Any], place: str, fault: type[KetwireError]) -> list[tuple[_Form, Any]]:
        if type(value) is not kind:
            _refuse(fault, place, value, kind.__name__)
        forms = self.inner if isinstance(self.inner, tuple) else (self.inner,) * len(value)
        if len(forms) != len(value):
            raise fault(f"{place}: {len(value)} elements given, expected {len(forms)}")
        return list(zip(forms, value, strict=True))


@dataclass(frozen=True)
class _Table:
    key: _Leaf
    inner: _Form

    def told(self, value: Any, place: str, arrays: Arrays) -> list[Any]:
        if type(value) is not dict:
            _refuse(LocalProtocolError, place, value, "dict")
        if _plain(self.key, value) and _plain(self.inner, value.values()):
            return [*map(list, value.items())]
        return [
            [self.key.told(key, place, arrays), self.inner.told(each, f"{place}.{key}", arrays)]
            for key, each in value.items()
        ]

    def made(self, value: Any, place: str, arrays: Arrays) -> dict[Any, Any]:
        if type(value) is not list or not ({*map(type, value)} <= {list} and {*map(len, value)} <= {2}):
            _refuse(RemoteProtocolError, place, value, "pairs of a key and a value")
        found: dict[Any, Any]
        if all(_plain(form, map(itemgetter(at), value)) for at, form in enumerate((self.key, self.inner))):
            found = dict(value)
        else:
            found = {
                self.key.made(key, place, arrays): self.inner.made(each, f"{place}.{key}", arrays)
                for key, each in value
            }
        if len(found) != len(value):
            raise RemoteProtocolError(f"{place}: a key given twice, expected each once")
        return found


@dataclass(frozen=True)
class _Array:
    scalar: Any

    def told(self, value: Any, place: str, arrays: Arrays) -> str:
        arrays[name := str(len(arrays))] = self._checked(value, place, LocalProtocolError)
        return name

    def made(self, value: Any, place: str, arrays: Arrays) -> NDArray[Any]:
        if type(value) is not str or value not in arrays:
            _refuse(RemoteProtocolError, place, value, "the name of an array that no other field has")
        array = self._checked(arrays.pop(value), place, RemoteProtocolError).view()
        array.flags.writeable = False
        return array

    def _checked(self, value: Any, place: str, fault: type[KetwireError]) -> NDArray[Any]:
        if type(value) is not np.ndarray:
            _refuse(fault, place, value, "an array")
        if self.scalar is not Any and not np.issubdtype(value.dtype, self.scalar):
            raise fault(f"{place}: array of {value.dtype} given, expected {self.scalar.__name__}")
        found: NDArray[Any] = value
        return found


class _Plain:
    def told(self, value: Any, place: str, arrays: Arrays) -> Any:
        if value is None or type(value) in (str, int, bool):
            return value
        if isinstance(value, float):
            return _number(value, place, LocalProtocolError)
        if isinstance(value, list | tuple):
            return [self.told(each, f"{place}.{index}", arrays) for index, each in enumerate(value)]
        if not isinstance(value, dict) or not all(type(key) is str for key in value):
            _refuse(LocalProtocolError, place, value, "what JSON holds, with texts for keys")
        return {key: self.told(each, f"{place}.{key}", arrays) for key, each in value.items()}

    def made(self, value: Any, place: str, arrays: Arrays) -> Any:
        return value


@dataclass(frozen=True)
class _Record:
    kind: type[Any]

    @cached_property
    def forms(self) -> dict[str, _Form]:
        """Of each field; found when first asked for, as a type may hold itself."""
        try:
            hints = get_type_hints(self.kind)
        except Exception as error:
            raise LocalProtocolError(f"{_named(self.kind)}: a field's type cannot be found: {error}") from error
        found = {}
        for field in fields(self.kind):
            try:
                found[field.name] = _form(hints[field.name])
            except TypeError:
                told_of = f"{_named(self.kind)}.{field.name}: type {_named(hints[field.name])} given"
                raise LocalProtocolError(f"{told_of}, expected one that goes into JSON or an array") from None
        return found

    def told(self, value: Any, place: str, arrays: Arrays) -> dict[str, Any]:
        if type(value) is not self.kind:
            _refuse(LocalProtocolError, place, value, _named(self.kind))
        return {name: form.told(getattr(value, name), f"{place}.{name}", arrays) for name, form in self.forms.items()}

    def made(self, value: Any, place: str, arrays: Arrays) -> Any:
        if type(value) is not dict:
            _refuse(RemoteProtocolError, place, value, _named(self.kind))
        if missing := [name for name in self.forms if name not in value]:
            raise RemoteProtocolError(f"{place}.{missing[0]}: missing required key, expected a value")
        if unknown := [name for name in value if name not in self.forms]:
            raise RemoteProtocolError(f"{place}.{unknown[0]}: given, expected one of {', '.join(self.forms) or 'none'}")
        held = {name: form.made(value[name], f"{place}.{name}", arrays) for name, form in self.forms.items()}
        try:
            return self.kind(**held)
        except (AssertionError, ValueError) as error:
            raise RemoteProtocolError(f"{place}: a {_named(self.kind)} that cannot be ({error})") from error


_Form = _Leaf | _Optional | _Row | _Table | _Array | _Plain | _Record

_LEAVES: dict[Any, _Leaf] = {
    **{kind: _Leaf(partial(_scalar, kind), kind) for kind in (int, str, bool, NoneType)},
    float: _Leaf(_number),
}


@cache
def _form(kind: Any) -> _Form:
    """Raises TypeError for a type that no field may have."""
    if kind in _LEAVES:
        return _LEAVES[kind]
    if kind is Any:
        return _Plain()
    if is_dataclass(kind) and isinstance(kind, type):
        return _Record(kind)
    origin, inner = get_origin(kind), get_args(kind)
    of_origin: dict[Any, Callable[[tuple[Any, ...]], _Form]] = {
        Union: _optional,
        UnionType: _optional,
        Literal: lambda texts: _Leaf(partial(_choice, texts)),
        tuple: _tuple,
        list: lambda inner: _Row(list, _form(*inner)),
        dict: _table,
        np.ndarray: lambda inner: _Array((get_args(inner[1]) or (Any,))[0]),
    }
    if origin not in of_origin:
        raise TypeError
    return of_origin[origin](inner)


def _optional(inner: tuple[Any, ...]) -> _Form:
    rest = [each for each in inner if each is not NoneType]
    if len(rest) != 1:
        raise TypeError
    return _Optional(_form(rest[0]))


def _tuple(inner: tuple[Any, ...]) -> _Form:
    alike = len(inner) == 2 and inner[1] is Ellipsis
    return _Row(tuple, _form(inner[0]) if alike else tuple(map(_form, inner)))


def _table(inner: tuple[Any, ...]) -> _Form:
    if inner[0] not in (int, str):
        raise TypeError
    return _Table(_LEAVES[inner[0]], _form(inner[1]))


def _named(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
