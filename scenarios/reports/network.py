"""The network of a scenario as a picture: parties, links, lengths, transports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ketwire.scenarios.reports.hover import entitle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ketwire.scenarios.schema.links import Link
    from ketwire.scenarios.schema.model import Scenario

MOST_LABELS = 24
"""Nodes up to which each node and link has a label."""
MOST_BESIDE = 3
"""Nodes of a chain between which there is room for more than lengths."""
Places = dict[str, tuple[float, float]]


def draw_network(axes: Axes, scenario: Scenario) -> None:
    """Nodes as circles, links as lines with length and transport; links that teleport are dashed."""
    places = places_of(scenario)
    labelled = len(places) <= MOST_LABELS
    crowded = len(places) > MOST_BESIDE and len({y for _, y in places.values()}) == 1
    for link in scenario.links:
        xs, ys = _way(places, link)
        dashes = {"direct": "-", "coded": "-.", "teleport": "--"}
        dash = ":" if link.carries == "bits" else dashes.get(link.carried_by, ":")
        drawn = axes.plot(xs, ys, color="0.35", linestyle=dash, zorder=1)
        entitle(drawn, f"{' - '.join(link.between)}: {link_text(link)}, {link.fiber}".replace("\n", ", "))
        if labelled:
            axes.annotate(
                _length_text(link) if crowded and link.via is None else link_text(link),
                (xs[len(xs) // 2], ys[len(ys) // 2]), ha="center", va="center", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
    xs, ys = map(list, zip(*places.values(), strict=True))
    nodes = axes.plot(xs, ys, "o", markersize=13 if labelled else 4, color="#0072B2", zorder=2)
    entitle(nodes, [_node_text(name, scenario).replace("\n", ", ") for name in places])
    if labelled:
        for name, (x, y) in places.items():
            below = y < 0  # outside the circle, where no link is
            axes.annotate(_node_text(name, scenario), (x, y), (0, -11 if below else 11), textcoords="offset points",
                          ha="center", va="top" if below else "bottom", fontsize=8)  # fmt: skip
    axes.margins(0.2)
    axes.set_axis_off()
    axes.set_title(f"{len(places)} nodes, {len(scenario.links)} link{'s' * (len(scenario.links) > 1)}")


def places_of(scenario: Scenario) -> Places:
    """Where each node is drawn; a link over repeaters leads past them, so that its hops stay a chain."""
    return placed({name: _neighbours(name, scenario) for name in scenario.nodes})


def _way(places: Places, link: Link) -> tuple[list[float], list[float]]:
    """The points of a link, the middle one where its label is; one over repeaters, or of bits alone, is an arc."""
    (x1, y1), (x2, y2) = (places[name] for name in link.between)
    bend, steps = (0.25, 20) if link.via is not None or link.carries == "bits" else (0.0, 2)
    parts = [step / steps for step in range(steps + 1)]
    xs = [x1 + (x2 - x1) * part + (y2 - y1) * bend * 4 * part * (1 - part) for part in parts]
    ys = [y1 + (y2 - y1) * part - (x2 - x1) * bend * 4 * part * (1 - part) for part in parts]
    return xs, ys


def link_text(link: Link) -> str:
    """Length and transport of a link."""
    distilled = " (distilled)" if link.distill is not None else ""
    if link.carries == "bits":
        return f"{_length_text(link)}\nbits"
    over = "" if link.via is None else f" over {len(link.via)} repeater{'s' * (len(link.via) > 1)}"
    return f"{_length_text(link)}\n{link.carried_by}{distilled}{over}".lstrip()


def _length_text(link: Link) -> str:
    return "" if link.length_km is None else f"{link.length_km:g} km"


def _node_text(name: str, scenario: Scenario) -> str:
    hardware = getattr(scenario.nodes[name], "hardware", None)
    return f"{name}\n{hardware}" if hardware not in (None, "ideal") else name


def _neighbours(name: str, scenario: Scenario) -> list[str]:
    ends = [link.between for link in scenario.links if name in link.between and link.via is None]
    return [b if a == name else a for a, b in ends]


def placed(neighbours: Mapping[str, list[str]]) -> Places:
    """Where each node is drawn: a chain on a line, a star around its centre, all else on a circle in walking order."""
    names = list(neighbours)
    centre = max(names, key=lambda name: len(neighbours[name]))
    if len(names) > 3 and len(neighbours[centre]) == len(names) - 1 and _edges(neighbours) == len(names) - 1:
        return {centre: (0.0, 0.0), **_circle([name for name in names if name != centre])}
    walked = _walk(neighbours)
    if all(len(found) <= 2 for found in neighbours.values()) and _edges(neighbours) < len(names):
        return {name: (float(at), 0.0) for at, name in enumerate(walked)}
    return _circle(walked)


def _edges(neighbours: Mapping[str, list[str]]) -> int:
    return sum(map(len, neighbours.values())) // 2


def _circle(names: list[str]) -> Places:
    """Clockwise, the first at the top."""
    angles = [2 * math.pi * at / len(names) for at in range(len(names))]
    return {name: (math.sin(angle), math.cos(angle)) for name, angle in zip(names, angles, strict=True)}


def _walk(neighbours: Mapping[str, list[str]]) -> list[str]:
    """All nodes, neighbours one after another where possible; begins at an end of a chain."""
    seen: dict[str, Any] = {}
    for start in sorted(neighbours, key=lambda name: len(neighbours[name]) != 1):
        left = [start]
        while left:
            name = left.pop()
            if name not in seen:
                seen[name] = None
                left += [each for each in reversed(neighbours[name]) if each not in seen]
    return list(seen)
