"""Maps of a study: a field over two axes, as colours and numbers, with a contour and presets where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ketwire.channels.hardware import Hardware
from ketwire.channels.planning.making import making
from ketwire.channels.presets import PRESETS
from ketwire.channels.transports import Teleport
from ketwire.scenarios.reports.hover import entitle
from ketwire.scenarios.schema.links import Link

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = "PuOr"
"""A map of matplotlib's with two hues, which colour-blind readers tell apart; its middle is white."""
MOST_NUMBERS = 120
"""Cells up to which each has its number."""


class Spot(NamedTuple):
    """A point of a map: where it is, its value, and its title."""

    x: float
    y: float
    z: float
    title: str


class Mark(NamedTuple):
    """A preset on a map of pairs' fidelity over length."""

    name: str
    length_km: float
    fidelity: float


def place_of(name: str) -> Mark | None:
    """A preset by its length and the fidelity of a pair at its herald; None where it has none of them."""
    if "length_km" not in PRESETS[name].figures:
        return None
    link = Link.model_validate({"between": ["alice", "bob"], "fiber": name})
    line = link.line(Hardware(), Hardware())
    return Mark(name, line.fiber.length_km, making(line).fidelity) if isinstance(line.transport, Teleport) else None


class Look(NamedTuple):
    """How a map is drawn.

    name: of the values. most: the largest of them without its sign, over all panels. log: which axes are logarithmic.
    contour: the value whose line is drawn. marks: presets.
    """

    name: str
    most: float
    log: Sequence[str] = ()
    contour: float | None = None
    marks: Sequence[str] = ()


def draw_map(axes: Axes, spots: Sequence[Spot], look: Look) -> None:
    """Draw the cells around the spots, which lie on a grid or on a part of one."""
    from matplotlib.colors import SymLogNorm  # noqa: PLC0415

    xs, ys = sorted({spot.x for spot in spots}), sorted({spot.y for spot in spots})
    table = [[math.nan] * len(xs) for _ in ys]
    for spot in spots:
        table[ys.index(spot.y)][xs.index(spot.x)] = spot.z
    most = look.most or 1.0
    norm = SymLogNorm(linthresh=most / 10, vmin=-most, vmax=most)
    edges = _edges(xs, "x" in look.log), _edges(ys, "y" in look.log)
    cells = axes.pcolormesh(*edges, table, cmap=COLOURS, norm=norm, edgecolors="white", linewidth=0.3)
    for which, ends in zip("xy", edges, strict=True):
        if which in look.log:
            getattr(axes, f"set_{which}scale")("log")
        getattr(axes, f"set_{which}lim")(ends[0], ends[-1])
    if len(spots) <= MOST_NUMBERS and not look.marks:  # names of presets would lie over them
        for spot in spots:
            colour = "white" if abs(float(norm(spot.z)) - 0.5) > 0.3 else "black"
            axes.text(spot.x, spot.y, f"{spot.z:.3g}", ha="center", va="center", fontsize=6, color=colour)
    seen = axes.plot([spot.x for spot in spots], [spot.y for spot in spots], "o", alpha=0.0, markersize=10)
    entitle(seen, [spot.title for spot in spots])
    if look.contour is not None and len(xs) > 1 and len(ys) > 1:
        _line(axes, xs, ys, table, look.contour)
    _presets(axes, look.marks)
    ticks = [-most, -most / 10, 0.0, most / 10, most]
    bar: Any = axes.figure.colorbar(cells, ax=axes, ticks=ticks, format=lambda value, place: f"{value:,.3g}")
    bar.minorticks_off()
    bar.set_label(look.name)
    axes.tick_params(which="both", length=2)


def _line(axes: Axes, xs: Sequence[float], ys: Sequence[float], table: Sequence[Sequence[float]], level: float) -> None:
    known = [value for row in table for value in row if not math.isnan(value)]
    if min(known) < level < max(known):
        axes.contour(xs, ys, table, levels=[level], colors="black", linewidths=1.8)


def _presets(axes: Axes, names: Sequence[str]) -> None:
    """The presets that lie along the map, each with its name; those above or below it at its edge."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    marks = [mark for mark in map(place_of, names) if mark is not None and left <= mark.length_km <= right]
    beyond = sum(not low <= mark.fidelity <= high for mark in marks)
    for mark in marks:
        within = low <= mark.fidelity <= high
        beyond -= not within  # the names of those at an edge stand one above the other
        y = min(max(mark.fidelity, low + 0.02 * (high - low)), high - 0.02 * (high - low))
        shape = "*" if within else "v" if mark.fidelity < low else "^"
        drawn = axes.plot(
            [mark.length_km], [y], shape, color="#009E73", markersize=9 if within else 6, markeredgecolor="black",
            markeredgewidth=0.5,
        )  # fmt: skip
        entitle(drawn, f"{mark.name}: {mark.length_km:g} km, pair fidelity {mark.fidelity:.3g}")
        axes.annotate(
            mark.name if within else f"{mark.name} ({mark.fidelity:.2g})", (mark.length_km, y), fontsize=6,
            xytext=(5, 3 if within else 3 + 9 * beyond), textcoords="offset points",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        )  # fmt: skip


def _edges(values: Sequence[float], log: bool) -> list[float]:
    """The ends of the cells around ascending values, halfway between them; one more than there are values."""
    places = [math.log(value) for value in values] if log else [*values]
    if len(places) == 1:
        places = [places[0] - 0.5, places[0], places[0] + 0.5]
        ends = [(places[0] + places[1]) / 2, (places[1] + places[2]) / 2]
    else:
        inner = [(a + b) / 2 for a, b in pairwise(places)]
        ends = [2 * places[0] - inner[0], *inner, 2 * places[-1] - inner[-1]]
    return [math.exp(end) for end in ends] if log else ends
