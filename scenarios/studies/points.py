"""The points of a study: each resolved, checked, and known by its identity and the seeds of its repeats."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ketwire.errors import ScenarioError, warn
from ketwire.modules import settle, settled
from ketwire.scenarios.foreign import foreign
from ketwire.scenarios.load import Draft, Loaded, validate
from ketwire.scenarios.studies.axes import Cell, Grid, plain_label
from ketwire.scenarios.studies.identity import Identities
from ketwire.scenarios.studies.spec import Label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ketwire.scenarios.kinds.interface import Kind
    from ketwire.scenarios.studies.files import Given


@dataclass(frozen=True)
class Point:
    """One cell of the grid, resolved and checked.

    index: from 0 up, in the order of the grid. seed: the scenario's own. scenario: a hash over it alone.
    """

    index: int
    labels: tuple[Label, ...]
    cell: Cell
    identity: str
    scenario: str
    seed: int
    workload_seed: int

    def seed_of(self, repeat: int, draws: Literal["independent", "common"]) -> int:
        """The seed of a repeat.

        Independent draws follow from the point's scenario. Common draws are the same at all points whose scenarios
        have the same seed; the first repeat has that seed itself.
        """
        if draws == "common" and repeat == 0:
            return self.seed
        of = f"{self.seed}" if draws == "common" else self.scenario
        return int.from_bytes(hashlib.sha256(f"ketwire study\n{of}\n{repeat}".encode()).digest()[:8]) >> 1


@dataclass(frozen=True)
class Points:
    """All points of a study in the order of the grid, with what recorded fields may name.

    kinds: of protocol, by name. rivals: the sessions of rivals at any point.
    """

    all: list[Point]
    kinds: dict[str, Kind]
    rivals: frozenset[str]


def resolve(given: Given, grid: Grid, told: Callable[[int, int], None] | None = None) -> Points:
    """Resolve and check all points. A user's own kind is executed; the modules that points name are told before.

    Args:
        told: is called with how many points are done, and of how many.

    Raises:
        ScenarioError: one point is not valid; names axis, value and point.
    """
    identities, found, kinds, rivals = Identities(), [], {}, set()
    before, announced = settled(), set[str]()
    try:
        for index, cell in enumerate(grid.cells):
            with _named(given, grid, index, cell):
                loaded = _loaded(given.base, cell, announced)
                run = loaded.run()
                identity, scenario = identities.of(loaded)
            kinds[loaded.kind_name] = loaded.kind
            rivals |= {session.name for session in run.sessions if session.role == "rival"}
            model = loaded.scenario
            workload = model.seed if model.workload_seed is None else model.workload_seed
            found.append(Point(index, cell.labels, cell, identity, scenario, model.seed, workload))
            if told is not None:
                told(index + 1, len(grid.cells))
    finally:
        settle(before)
    return Points(found, kinds, frozenset(rivals))


def _loaded(base: Draft, cell: Cell, announced: set[str]) -> Loaded:
    finished = replace(base, origin=POINT).finished(cell.changes)
    new = [each for each in foreign(finished[0], base.base) if each not in announced]
    if new:
        warn(f"{base.origin} executes what is not of this installation: {', '.join(new)}")
        announced.update(new)
    settle(base.base)
    return validate(*finished)


POINT = "this point"
"""How scenarios call themselves in errors while points are resolved and run; another name takes its place."""


@contextmanager
def _named(given: Given, grid: Grid, index: int, cell: Cell) -> Iterator[None]:
    """What is wrong with a point, with the axis, its value and the point before it."""
    try:
        yield
    except OSError as error:
        told = f"{error.filename}: {error.strerror or error}, expected a file that can be read"
        raise ScenarioError(f"{given.origin}: {_blamed(grid, index, cell, told)}: {told}") from None
    except ScenarioError as error:
        told = without_point(str(error))
        if told.startswith(f"{given.origin}: "):
            told = told.removeprefix(f"{given.origin}: ")
        if not grid.names:
            raise ScenarioError(f"{given.base.origin}: {told}") from None
        raise ScenarioError(f"{given.origin}: {_blamed(grid, index, cell, told)}: {told}") from None


def without_point(message: str) -> str:
    """A message without the name that scenarios have here."""
    return message.removeprefix(f"{POINT}: ")


def _blamed(grid: Grid, index: int, cell: Cell, message: str) -> str:
    """The axis whose key a message begins with, its value, and the point."""
    point = f"point {index} ({grid.told(cell.labels)})" if grid.names else f"point {index}"
    for said, name, keys, label in zip(grid.said, grid.names, grid.keys, cell.labels, strict=True):
        if any(_concerns(key, message) for key in keys):
            return f"{said} ({name}): value {plain_label(label)} at {point}"
    return point


def _concerns(key: str, message: str) -> bool:
    """Whether a message is about a key, about one below it or about one above it."""
    at = message.partition(": ")[0].rpartition("(")[2].rstrip(")") if message.startswith("axes.") else (
        message.partition(": ")[0]
    )
    return f"{at}.".startswith(f"{key}.") or f"{key}.".startswith(f"{at}.")


def task(given: Given, point: Point, repeat: int, fields: Sequence[str]) -> dict[str, Any]:
    """All that a worker needs for one run, as JSON has it."""
    seed = point.seed_of(repeat, given.study.draws)
    changes = [[change.key, change.value] for change in point.cell.changes]
    return {
        "data": given.base.data, "stem": given.base.stem, "base": given.base.base,
        "changes": [*changes, ["seed", seed], ["workload_seed", point.workload_seed]],
        "check": given.study.check, "fields": [*fields],
    }  # fmt: skip
