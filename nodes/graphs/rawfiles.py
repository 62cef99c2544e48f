"""Planetoid's raw files, which are pickles of Python 2, read as data: nothing in them is imported, made or called.

A pickle is a list of operations on a stack. Those that such files need are carried out here on plain values alone; a
class or function that they name is its name and no more, and only five names are known. Whatever else a file holds is
refused. What comes of it is written as `ind.NAME.npz`, which `planetoid` reads.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.errors import ScenarioError

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
MAX_OCTETS = 1 << 30
_ARRAY, _DTYPE = "numpy.core.multiarray _reconstruct", "numpy dtype"
_NAMES = {_ARRAY, _DTYPE, "numpy ndarray", "scipy.sparse.csr csr_matrix", "collections defaultdict", "__builtin__ list"}
_TYPES = {"f4", "f8", "i4", "i8"}


@dataclass(eq=False)
class _Named:
    """What a file says to be an object: the name of its class or function, its arguments, and its state or items."""

    name: str
    arguments: Any = ()
    state: Any = None


class _Mark:
    """A place on the stack."""


def converted(folder: Path, name: str) -> dict[str, NDArray[Any]]:
    """The members of `ind.NAME.npz`, of the raw files of a set.

    Raises:
        ScenarioError: one is missing, or holds something else.
    """
    found: dict[str, NDArray[Any]] = {}
    for part in PARTS:
        path = folder / f"ind.{name.lower()}.{part}"
        try:
            if path.stat().st_size > MAX_OCTETS:
                raise ValueError(f"more than {MAX_OCTETS} octets")
            found |= _members(part, path.read_bytes())
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            told = " ".join(str(getattr(error, "strerror", None) or error).split())[:100]
            raise ScenarioError(f"{path}: {told}, expected a raw file of Planetoid") from None
    return found


def _members(part: str, octets: bytes) -> dict[str, NDArray[Any]]:
    if part == "test.index":
        return {"test_index": np.array([int(line) for line in octets.split()], np.int64)}
    value = _value(octets)
    if part == "graph":
        return _graph(value)
    if part in ("y", "ty", "ally"):
        return {part: _array(value)}
    state = value.state
    parts = {f"{part}_{key}": _array(state[key]) for key in ("data", "indices", "indptr")}
    return {**parts, f"{part}_shape": np.array(state["_shape"], np.int64)}


def _graph(value: _Named) -> dict[str, NDArray[Any]]:
    """Lists of neighbours."""
    if value.name != "collections defaultdict":
        raise ValueError("no mapping of nodes to their neighbours")
    lists = [*value.state.values()]
    return {
        "graph_keys": np.array([*value.state], np.int64),
        "graph_indptr": np.cumsum([0, *map(len, lists)]),
        "graph_neighbors": np.array([each for near in lists for each in near], np.int64),
    }


def _array(value: _Named) -> NDArray[Any]:
    """An array of its shape, type and octets."""
    if value.name != _ARRAY:
        raise ValueError("no array")
    _, shape, kind, fortran, octets = value.state
    code, order = kind.arguments[0], kind.state[1]
    if kind.name != _DTYPE or code not in _TYPES or order != "<":
        raise ValueError(f"entries of type {code}")
    dtype = np.dtype(f"<{code}")
    if math.prod(shape) * dtype.itemsize != len(octets):
        raise ValueError("an array that is not as long as it says")
    flat = np.frombuffer(octets.encode("latin-1"), dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _value(octets: bytes) -> Any:
    """The value that a pickle's operations come to, names staying names."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for operation, argument, _ in pickletools.genops(octets):
        name = operation.name
        if name == "STOP":
            break
        if name == "GLOBAL":
            if argument not in _NAMES:
                raise ValueError(f"the name {str(argument)[:40]!r}, which such files do not have")
            stack.append(_Named(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _PUSHED:
            stack.append(_PUSHED[name](argument))
        elif name in _COMBINED:
            _COMBINED[name](stack)
        elif name != "PROTO":
            raise ValueError(f"the operation {name}, which such files do not have")
    return stack.pop()


_PUSHED: dict[str, Callable[[Any], Any]] = {
    "BININT": int, "BININT1": int, "BININT2": int, "SHORT_BINSTRING": str, "BINSTRING": str,
    "NONE": lambda _: None, "NEWFALSE": lambda _: False, "NEWTRUE": lambda _: True,
    "EMPTY_TUPLE": lambda _: (), "EMPTY_LIST": lambda _: [], "EMPTY_DICT": lambda _: {}, "MARK": lambda _: _Mark(),
}  # fmt: skip


def _since_mark(stack: list[Any]) -> list[Any]:
    found: list[Any] = []
    while not isinstance(each := stack.pop(), _Mark):
        found.append(each)
    return found[::-1]


def _tuple(count: int) -> Callable[[list[Any]], None]:
    def combine(stack: list[Any]) -> None:
        parts = tuple(stack.pop() for _ in range(count))
        stack.append(parts[::-1])

    return combine


def _made(stack: list[Any]) -> None:
    """A call, which is not made: its arguments beside the name."""
    arguments, called = stack.pop(), stack.pop()
    # A mapping gets its items later, an array and a matrix their state.
    stack.append(_Named(called.name, arguments, {} if called.name == "collections defaultdict" else None))


def _built(stack: list[Any]) -> None:
    state = stack.pop()
    stack[-1].state = state


def _appended(stack: list[Any]) -> None:
    value = stack.pop()
    stack[-1].append(value)


def _extended(stack: list[Any]) -> None:
    values = _since_mark(stack)
    stack[-1].extend(values)


def _set(stack: list[Any]) -> None:
    values = _since_mark(stack)
    target = stack[-1]
    (target.state if isinstance(target, _Named) else target).update(zip(values[::2], values[1::2], strict=True))


_COMBINED: dict[str, Callable[[list[Any]], None]] = {
    "TUPLE": lambda stack: stack.append(tuple(_since_mark(stack))), "TUPLE1": _tuple(1), "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3), "REDUCE": _made, "NEWOBJ": _made, "BUILD": _built, "APPEND": _appended,
    "APPENDS": _extended, "SETITEMS": _set,
}  # fmt: skip
