"""Measurements that go on where they were interrupted: points, kept in a file as lines of JSON.

A job is what is to be measured, and the `key` of the point that it gives. A job whose point a file has is not measured
again. A last line that an interruption cut short does not count.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from ketwire.scenarios.load import find, read
from ketwire.scenarios.schema.yamltext import parse


@dataclass(frozen=True)
class Point(ABC):
    """What was measured, its fields those of its line; a list there is a tuple here."""

    @property
    @abstractmethod
    def key(self) -> Any:
        """The job that it is of."""

    def line(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, line: str) -> Self:
        """Raises: ValueError, TypeError, where the line tells no point."""
        told = json.loads(line)
        if not isinstance(told, dict) or set(told) != {field.name for field in fields(cls)}:
            raise ValueError(f"{line.strip()[:60]} given")
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


P = TypeVar("P", bound=Point)
J = TypeVar("J")


def version(scenario: str, *left_out: str) -> str:
    """Of a scenario: changes with what its file says, but not with how it is described, nor with keys `left_out`.

    Raises:
        ScenarioError: there is no such file.
    """
    told = parse(read(*find(scenario)), scenario)
    if isinstance(told, dict):
        told = {key: value for key, value in told.items() if key not in {"name", "description", *left_out}}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def whole_lines(path: Path) -> list[str]:
    """The lines of a file with their ends, none where it is not there; without a last one that was cut short."""
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


def opened(path: Path, kind: type[P], version_of: Callable[[P], tuple[str, str, str]]) -> list[P]:
    """The points of a file, which is made if it is not there, and ends with a whole line afterwards.

    version_of: the name of a point's scenario, its version then, and its version now.

    Raises:
        ValueError: a line is no point, or of a scenario as it is no longer.
    """
    lines = whole_lines(path)
    try:
        found = [kind.of(line) for line in lines]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}, expected a point on each line") from None
    for name, then, now in map(version_of, found):
        if then != now:
            told = f"points of {name} of version {then} given, expected {now}, as it is now"
            raise ValueError(f"{path}: {told}, or another file")
    path.write_text("".join(lines))
    return found


def measure(jobs: Sequence[J], by: Callable[[J], P], found: list[P], out: Path | None, workers: int = 1) -> None:
    """Measure the jobs that no point of `found` is of, in their order; add their points to it and to the file.

    by: measures one; with several workers a function that other processes can import.
    """
    known = {point.key for point in found}
    left = [job for job in jobs if job not in known]
    begun = time.monotonic()
    for point in _answers(left, by, workers):
        found.append(point)
        if out:
            with out.open("a") as file:
                file.write(point.line() + "\n")
        print(f"{time.monotonic() - begun:7.0f} s  {point.line()}", file=sys.stderr, flush=True)


def _answers(jobs: Sequence[J], by: Callable[[J], P], workers: int) -> Iterator[P]:
    if workers == 1 or len(jobs) < 2:
        yield from map(by, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(jobs))) as pool:
        yield from pool.imap(by, jobs)
