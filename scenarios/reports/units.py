"""Virtual times in words."""

from __future__ import annotations

UNITS = ((10**12, "s"), (10**9, "ms"), (10**6, "us"), (10**3, "ns"), (1, "ps"))


def time_text(time_ps: int) -> str:
    """A virtual time in the unit that suits it."""
    size, unit = time_unit(time_ps)
    return f"{time_ps / size:.4g} {unit}" if time_ps else "0 s"


def time_unit(time_ps: int) -> tuple[int, str]:
    """The unit that suits a virtual time: how many picoseconds it has, and its name."""
    return next(((size, unit) for size, unit in UNITS if abs(time_ps) >= size), (1, "ps"))
