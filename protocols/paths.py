"""What each party of a path needs to know of it, worked out once for all of them.

Every party has the whole path in its plan. If each walked it to find its own part, a path over n parties would cost
n^2 steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

Hop = tuple[str, str]


def visits_at(path: Sequence[str], party: str) -> tuple[int, ...]:
    """The numbers of the visits of a path at this party, in order."""
    return _visits(tuple(path)).get(party, ())


@lru_cache(maxsize=64)
def _visits(path: tuple[str, ...]) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for visit, party in enumerate(path):
        found.setdefault(party, []).append(visit)
    return {party: tuple(visits) for party, visits in found.items()}


def by_party(hops: Iterable[Hop]) -> Mapping[str, tuple[Hop, ...]]:
    """The hops that each party has a part in, in order."""
    found: dict[str, list[Hop]] = {}
    for hop in hops:
        for party in hop:
            found.setdefault(party, []).append(hop)
    return {party: tuple(own) for party, own in found.items()}
