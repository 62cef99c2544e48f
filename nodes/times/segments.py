"""Pieces of a critical path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CAUSES = (
    "preparation",
    "gates",
    "readout",
    "processor queue",
    "emitter queue",
    "emission",
    "flight",
    "pair attempts",
    "distillation",
    "delivery",
    "cut-off",
    "Bell outcome bits",
    "heralds",
    "message processing",
    "classical queue",
    "classical transmission",
    "window",
    "another round",
)
"""All there are, in the order in which tables have them."""


class Moment(NamedTuple):
    """A party at a time, and how many of its notes were made before."""

    party: str
    time_ps: int
    position: int


class Segment(NamedTuple):
    """A stretch of the path.

    cause: one of `CAUSES`
    where: a party, or a direction of a link
    counts: how often each duration of the description is in it: bins, crossings, attempts, bits, ...
    """

    cause: str
    where: str
    from_ps: int
    to_ps: int
    counts: Mapping[str, int]


class Trail:
    """A path as it is found: from its end to its beginning."""

    def __init__(self) -> None:
        self._found: list[Segment] = []

    def add(self, cause: str, where: str, from_ps: int, to_ps: int, counts: Mapping[str, int]) -> None:
        """One stretch before those that were added; nothing where it takes no time."""
        assert cause in CAUSES and from_ps <= to_ps
        if from_ps < to_ps:
            self._found.append(Segment(cause, where, from_ps, to_ps, counts))

    def clear(self) -> None:
        self._found.clear()

    def told(self, end_ps: int) -> list[Segment]:
        """All stretches in the order of time, from 0 to `end_ps`, those of one cause and place that touch as one."""
        path: list[Segment] = []
        for each in reversed(self._found):
            last = path[-1] if path else None
            assert each.from_ps == (0 if last is None else last.to_ps)
            if last is not None and (last.cause, last.where) == (each.cause, each.where):
                counts = {name: last.counts.get(name, 0) + each.counts.get(name, 0)
                          for name in {**last.counts, **each.counts}}  # fmt: skip
                path[-1] = last._replace(to_ps=each.to_ps, counts=counts)
            else:
                path.append(each)
        assert (path[-1].to_ps if path else 0) == end_ps
        return path
