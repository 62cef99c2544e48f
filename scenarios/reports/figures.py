"""Figures of results: losses and accuracies, estimates with intervals, costs beside rivals, the network.

A figure has a panel for each thing that its result tells of. Series differ in marker or dash as well as in colour, so
that a print in grey tells them apart. Colours are Okabe and Ito's (Color Universal Design, 2008), which colour-blind
readers tell apart.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ketwire.quantum.binomial import wilson_interval
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.reports.hover import entitle, text_of, with_titles
from ketwire.scenarios.reports.intervals import half_width, interval_name, is_number
from ketwire.scenarios.reports.network import draw_network
from ketwire.scenarios.reports.units import time_text, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ketwire.scenarios.schema.model import Scenario

Told = Mapping[str, Any]
"""The JSON view of a result."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
COST_NAMES = {"qubits_sent": "qubits", "ebits": "ebits", "payload_bits": "payload bits", "control_bits": "control bits"}
MOST_TITLES = 400
"""Steps of a series up to which each has a title."""
MOST_BARS = 40
"""Parameters of a gradient whose derivatives are drawn."""
HATCHES = ("", "//", "xx")
FORMATS = (".svg", ".png", ".pdf")
PANEL_INCHES = (4.6, 3.4)
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "ketwire",  # the same figure has the same octets
    "svg.fonttype": "none",
}


def draw(result: Told, scenario: Scenario | None = None) -> Figure:
    """A figure of a result, the network first where its scenario is given.

    Raises:
        ScenarioError: matplotlib is not installed.
    """
    drawn: list[Callable[[Axes], None]] = [_bound(panel, result) for panel in panels_of(result)]
    if scenario is not None:
        drawn.insert(0, lambda axes: draw_network(axes, scenario))
    return paneled(drawn, f"{result['scenario']}, seed {result['seed']}")


def panels_of(result: Told) -> list[Callable[[Axes, Told], None]]:
    """What there is to draw of a result."""
    return [panel for asked, panel in PANELS if asked(result)]


def paneled(
    panels: Sequence[Callable[[Axes], None]], title: str = "", inches: tuple[float, float] = PANEL_INCHES
) -> Figure:
    """A figure of panels, two to a row; inches: width and height of each."""
    matplotlib = extra("matplotlib", "plots", "plot")
    figure_class = _figure_class()
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    with matplotlib.rc_context(STYLE):
        figure: Figure = figure_class(
            figsize=(inches[0] * columns, inches[1] * rows), layout="constrained"
        )
        for place, panel in enumerate(panels, start=1):
            panel(figure.add_subplot(rows, columns, place))
        if title:  # a name, in which a dollar sign begins no formula
            figure.suptitle(title, fontsize=11, x=0.01, ha="left", parse_math=False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure; the suffix names the format (svg, png, pdf). The same figure gives the same octets.

    Raises:
        OSError, ValueError: it cannot be written, or the suffix names no format.
    """
    matplotlib = extra("matplotlib", "plots", "plot")
    suffix = path.suffix.lower()
    if suffix == ".svg":
        path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n{text_of(with_titles(svg(figure)))}\n', "utf-8")
        return
    undated = {"CreationDate": None, "ModDate": None} if suffix == ".pdf" else None
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, dpi=150, metadata=undated)


def svg(figure: Figure, transparent: bool = False) -> bytes:
    """A figure in SVG as matplotlib writes it, its titles still in the ids of its parts."""
    matplotlib = extra("matplotlib", "plots", "plot")
    octets = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(octets, format="svg", metadata={"Date": None}, transparent=transparent)
    return octets.getvalue()


def _figure_class() -> Any:
    """A figure that notebooks show, whether pyplot is loaded or not."""
    base: Any = extra("matplotlib.figure", "plots", "plot").Figure

    class Drawing(base):  # type: ignore[misc]
        def _repr_png_(self) -> bytes:
            octets = io.BytesIO()
            self.savefig(octets, format="png", dpi=100)
            return octets.getvalue()

    return Drawing


def _bound(panel: Callable[[Axes, Told], None], result: Told) -> Callable[[Axes], None]:
    return lambda axes: panel(axes, result)


# ---------------------------------------------------------------- panels


def costs(axes: Axes, result: Told) -> None:
    """What the protocol and each rival sent, one marker for each unit, on a log axis."""
    rows = [("quantum", result), *result["rivals"].items()]
    rows.sort(key=lambda row: sum(row[1][key] for key in COST_NAMES))
    for place, (key, unit) in enumerate(COST_NAMES.items()):
        points = [(told[key], at) for at, (_, told) in enumerate(rows) if told[key]]
        if points:
            drawn = axes.plot(
                *zip(*points, strict=True), MARKERS[place], color=COLOURS[place], label=unit, linestyle="none"
            )
            entitle(drawn, [f"{rows[at][0]}: {count:,} {unit}" for count, at in points])
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("sent in the whole run")
    axes.set_title("Cost beside the classical rivals")
    if axes.lines:  # nothing is sent by networks that were trained in one place
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def estimates(axes: Axes, result: Told) -> None:
    """A number that was estimated, with its interval, beside those of rivals and the exact one."""
    rows = [("quantum", result["estimate"], half_width(result))]
    rows += [(name, told["estimate"], None) for name, told in result["rivals"].items() if is_number(told["estimate"])]
    for place, (name, value, half) in enumerate(rows):
        style: Any = {"color": COLOURS[min(place, 1)], "marker": MARKERS[min(place, 1)]}
        drawn = axes.errorbar([value], [place], xerr=half, linestyle="none", capsize=4, **style)
        entitle(drawn.get_children(), f"{name}: {value:.5g}" + ("" if half is None else f" ± {half:.2g}"))
    if is_number(result.get("exact")):
        axes.axvline(result["exact"], color="0.4", linestyle="--", label="exact")
        axes.legend()
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # from the top, as in the table
    axes.set_xlabel("estimate" if half_width(result) is None else f"estimate ({interval_name(result)})")
    axes.set_title("Estimate")


def gradient(axes: Axes, result: Told) -> None:
    """Each estimator's derivatives, and the exact ones."""
    series = {name: told["estimate"] for name, told in result["estimators"].items()}
    if result["exact"] is not None:
        series = {"exact, by --check": result["exact"], **series}
    shown = min(MOST_BARS, result["parameters"])
    for place, (name, values) in enumerate(series.items()):
        at = [parameter + 0.6 * (place / max(1, len(series) - 1) - 0.5) for parameter in range(shown)]
        drawn = axes.plot(at, values[:shown], linestyle="none", markersize=4, label=name, **_style(place))
        entitle(drawn, [f"{name}: parameter {each}: {value:.5g}" for each, value in enumerate(values[:shown])])
    axes.axhline(0.0, color="0.7", linewidth=0.8)
    axes.set_xlabel("parameter" if shown == result["parameters"] else f"parameter (the first {shown})")
    axes.set_title("Derivatives")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def losses(axes: Axes, result: Told) -> None:
    """The loss of each step, the protocol's and its rivals'."""
    series = {"quantum": result["losses"]}
    series |= {name: told["losses"] for name, told in result["rivals"].items() if told.get("losses")}
    if result.get("exact_losses"):
        series["exact gradients"] = result["exact_losses"]
    for place, (name, values) in enumerate(series.items()):
        dash = DASHES[place % len(DASHES)]
        steps = range(1, len(values) + 1)
        axes.plot(steps, values, color=COLOURS[place % len(COLOURS)], linestyle=dash, label=name)
        told = [(step, value) for step, value in zip(steps, values, strict=True) if is_number(value)]
        if len(told) <= MOST_TITLES:
            seen = axes.plot(*zip(*told, strict=True), "o", alpha=0.0, markersize=8) if told else []
            entitle(seen, [f"{name}: step {step}: {value:.5g}" for step, value in told])
    axes.set_xlabel("step")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("loss of the batch")
    axes.set_title("Losses")
    axes.legend()


def accuracies(axes: Axes, result: Told) -> None:
    """Shares of right decisions with their 95% intervals (Wilson), rivals and the baseline beside."""
    rows = [("quantum", result["test_accuracy"])]
    rows += [(name, told["test_accuracy"]) for name, told in result["rivals"].items() if told.get("test_accuracy")]
    for place, (name, share) in enumerate(rows):
        low, high = wilson_interval(share, result.get("decisions"))
        style: Any = {"color": COLOURS[min(place, 1)], "marker": MARKERS[min(place, 1)]}
        half: Any = [[share - low], [high - share]]
        drawn = axes.errorbar([share], [place], xerr=half, linestyle="none", capsize=4, **style)
        entitle(drawn.get_children(), f"{name}: {share:.4f}, 95% interval {low:.4f} to {high:.4f}")
    if result.get("baseline_accuracy") is not None:
        axes.axvline(result["baseline_accuracy"], color="0.4", linestyle="--", label="baseline")
        axes.legend()
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)  # from the top, as in the table
    axes.set_xlabel("share of right decisions (95% interval)")
    axes.set_title("Accuracy on the test part")


def growth(axes: Axes, result: Told) -> None:
    """Cost of a decision by the size of a vector."""
    sizes = result["sizes"]
    numbers = [size["N"] for size in sizes]
    series = {"qubits": [size["qubits_per_decision"] for size in sizes]}
    for name in sizes[0]["rivals"]:
        series[f"{name}, bits"] = [size["rivals"].get(name, {}).get("bits_per_decision", math.nan) for size in sizes]
    for place, (name, values) in enumerate(series.items()):
        dash = DASHES[place % len(DASHES)]
        drawn = axes.plot(numbers, values, linestyle=dash, markersize=4, label=name, **_style(place))
        if not any(map(math.isnan, values)):
            entitle(drawn, [f"{name}: {value:,.4g} at N = {size}" for size, value in zip(numbers, values, strict=True)])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("entries of a vector, N")
    axes.set_ylabel("sent for a decision")
    axes.set_title("Growth with the size")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def causes(axes: Axes, result: Told) -> None:
    """The virtual time by cause, a bar each, the largest above."""
    times_ps = sorted(result["latency"]["causes"].items(), key=lambda each: each[1])
    size_ps, unit = time_unit(result["virtual_time_ps"])
    bars = axes.barh([cause for cause, _ in times_ps], [ps / size_ps for _, ps in times_ps], color=COLOURS[0])
    for place, (bar, (cause, ps)) in enumerate(zip(bars, times_ps, strict=True)):
        entitle(bar, f"{cause}: {time_text(ps)}")
        axes.text(ps / size_ps, place, f" {100 * ps / max(1, result['virtual_time_ps']):.1f} %", va="center")
    axes.margins(x=0.15)
    axes.set_xlabel(f"virtual time ({unit})")
    axes.set_title("Where the time went")


def critical_path(axes: Axes, result: Told) -> None:
    """The critical path as a Gantt chart: a row for each party and direction, a colour and a hatch for each cause."""
    path, names = result["latency"]["path"], list(result["latency"]["causes"])
    size_ps, unit = time_unit(result["virtual_time_ps"])
    rows = list(dict.fromkeys(each["where"] for each in path))
    for number, cause in enumerate(names):
        for place, where in enumerate(rows):
            own = [each for each in path if (each["cause"], each["where"]) == (cause, where)]
            spans = [(each["from_ps"] / size_ps, (each["to_ps"] - each["from_ps"]) / size_ps) for each in own]
            style: Any = {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number // len(COLOURS)]}
            if spans:
                drawn = axes.broken_barh(spans, (place - 0.4, 0.8), label=cause, **style)
                told = [f"{cause}, {where}: {_span_text(each)}" for each in own]
                entitle(drawn, told if len(path) <= MOST_TITLES else f"{cause}, {where}")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.4, -0.6)  # what came first is above
    axes.set_xlabel(f"virtual time ({unit})")
    axes.set_title("Critical path")
    handles, labels = axes.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    axes.legend(shown.values(), shown.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0))


PANELS: Sequence[tuple[Callable[[Told], bool], Callable[[Axes, Told], None]]] = (
    (lambda result: bool(result.get("losses")), losses),
    (lambda result: result.get("test_accuracy") is not None, accuracies),
    (lambda result: bool(result.get("estimators")), gradient),
    (lambda result: is_number(result.get("estimate")), estimates),
    (lambda result: bool(result.get("sizes")), growth),
    (lambda result: not result.get("sizes"), costs),  # sums over sizes compare with no rival at one size
    (lambda result: bool((result.get("latency") or {}).get("path")), causes),
    (lambda result: bool((result.get("latency") or {}).get("path")), critical_path),
)
"""Which panels a result has: whether it has what a panel shows, and the panel."""


def _span_text(stretch: Mapping[str, Any]) -> str:
    return f"{time_text(stretch['to_ps'] - stretch['from_ps'])} from {time_text(stretch['from_ps'])}"


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
