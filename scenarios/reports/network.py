"""The network of a scenario as a picture: parties, links, lengths, transports."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ketwire.scenarios.schema.links import Link
    from ketwire.scenarios.schema.model import Scenario

MOST_LABELS = 24
"""Nodes up to which each node and link has a label."""
Places = dict[str, tuple[float, float]]


def draw_network(axes: Axes, scenario: Scenario) -> None:
    """Nodes as circles, links as lines with length and transport; links that teleport are dashed."""
    places = placed({name: _neighbours(name, scenario) for name in scenario.nodes})
    labelled = len(places) <= MOST_LABELS
    for link in scenario.links:
        (x1, y1), (x2, y2) = (places[name] for name in link.between)
        if link.carries == "bits":  # beside the one that carries qubits
            aside = 0.08 / max(math.hypot(x2 - x1, y2 - y1), 1e-9)
            dx, dy = aside * (y2 - y1), aside * (x1 - x2)
            x1, y1, x2, y2 = x1 + dx, y1 + dy, x2 + dx, y2 + dy
        dashes = {"direct": "-", "coded": "-.", "teleport": "--"}
        dash = ":" if link.carries == "bits" else dashes.get(link.carried_by, ":")
        axes.plot([x1, x2], [y1, y2], color="0.35", linestyle=dash, zorder=1)
        if labelled:
            axes.annotate(
                link_text(link), ((x1 + x2) / 2, (y1 + y2) / 2), ha="center", va="center", fontsize=7,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip
    xs, ys = zip(*places.values(), strict=True)
    axes.scatter(xs, ys, s=160 if labelled else 12, color="#0072B2", zorder=2)
    if labelled:
        for name, (x, y) in places.items():
            below = y < 0  # outside the circle, where no link is
            axes.annotate(_node_text(name, scenario), (x, y), (0, -11 if below else 11), textcoords="offset points",
                          ha="center", va="top" if below else "bottom", fontsize=8)  # fmt: skip
    axes.margins(0.2)
    axes.set_axis_off()
    axes.set_title(f"{len(places)} nodes, {len(scenario.links)} link{'s' * (len(scenario.links) > 1)}")


def link_text(link: Link) -> str:
    """Length and transport of a link."""
    length = "" if link.length_km is None else f"{link.length_km:g} km\n"
    distilled = " (distilled)" if link.distill is not None else ""
    return f"{length}bits" if link.carries == "bits" else f"{length}{link.carried_by}{distilled}"


def _node_text(name: str, scenario: Scenario) -> str:
    hardware = getattr(scenario.nodes[name], "hardware", None)
    return f"{name}\n{hardware}" if hardware not in (None, "ideal") else name


def _neighbours(name: str, scenario: Scenario) -> list[str]:
    ends = [link.between for link in scenario.links if name in link.between]
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
