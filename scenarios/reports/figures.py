"""Figures of results: losses and accuracies, estimates with intervals, costs beside rivals, the network.

A figure has a panel for each thing that its result tells of. Series differ in marker or dash as well as in colour, so
that a print in grey tells them apart. Colours are Okabe and Ito's (Color Universal Design, 2008), which colour-blind
readers tell apart.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ketwire.quantum.binomial import wilson_interval
from ketwire.scenarios.reports.extras import extra
from ketwire.scenarios.reports.network import draw_network

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
MOST_BARS = 40
"""Parameters of a gradient whose derivatives are drawn."""
HATCHES = ("", "//", "xx")
TIME_UNITS = ((10**12, "s"), (10**9, "ms"), (10**6, "us"), (10**3, "ns"), (1, "ps"))
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
    panels = [panel for asked, panel in PANELS if asked(result)]
    drawn: list[Callable[[Axes], None]] = [_bound(panel, result) for panel in panels]
    if scenario is not None:
        drawn.insert(0, lambda axes: draw_network(axes, scenario))
    return paneled(drawn, f"{result['scenario']}, seed {result['seed']}")


def paneled(panels: Sequence[Callable[[Axes], None]], title: str) -> Figure:
    """A figure of panels, two to a row."""
    matplotlib = extra("matplotlib", "plots", "plot")
    figure_class = _figure_class()
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    with matplotlib.rc_context(STYLE):
        figure: Figure = figure_class(
            figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), layout="constrained"
        )
        for place, panel in enumerate(panels, start=1):
            panel(figure.add_subplot(rows, columns, place))
        figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def save(figure: Figure, path: Any) -> None:
    """Write a figure; the suffix names the format (svg, png, pdf). The same figure gives the same octets.

    Raises:
        OSError, ValueError: it cannot be written, or the suffix names no format.
    """
    matplotlib = extra("matplotlib", "plots", "plot")
    suffix = str(path).rpartition(".")[2].lower()
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(path, dpi=150, metadata=dated.get(suffix))


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
            axes.plot(*zip(*points, strict=True), MARKERS[place], color=COLOURS[place], label=unit, linestyle="none")
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("sent in the whole run")
    axes.set_title("Cost beside the classical rivals")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def estimates(axes: Axes, result: Told) -> None:
    """A number that was estimated, with its interval, beside those of rivals and the exact one."""
    rows = [("quantum", result["estimate"], _half_width(result))]
    rows += [(name, told["estimate"], None) for name, told in result["rivals"].items() if _is_number(told["estimate"])]
    for place, (_, value, half) in enumerate(rows):
        style: Any = {"color": COLOURS[min(place, 1)], "marker": MARKERS[min(place, 1)]}
        axes.errorbar([value], [place], xerr=half, linestyle="none", capsize=4, **style)
    if _is_number(result.get("exact")):
        axes.axvline(result["exact"], color="0.4", linestyle="--", label="exact")
        axes.legend()
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel("estimate" if _half_width(result) is None else f"estimate ({_interval_name(result)})")
    axes.set_title("Estimate")


def gradient(axes: Axes, result: Told) -> None:
    """Each estimator's derivatives, and the exact ones."""
    series = {name: told["estimate"] for name, told in result["estimators"].items()}
    if result["exact"] is not None:
        series = {"exact, by --check": result["exact"], **series}
    shown = min(MOST_BARS, result["parameters"])
    for place, (name, values) in enumerate(series.items()):
        at = [parameter + 0.6 * (place / max(1, len(series) - 1) - 0.5) for parameter in range(shown)]
        axes.plot(at, values[:shown], linestyle="none", markersize=4, label=name, **_style(place))
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
        axes.plot(range(1, len(values) + 1), values, color=COLOURS[place % len(COLOURS)], linestyle=dash, label=name)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", integer=True)
    axes.set_ylabel("loss of the batch")
    axes.set_title("Losses")
    axes.legend()


def accuracies(axes: Axes, result: Told) -> None:
    """Shares of right decisions with their 95% intervals (Wilson), rivals and the baseline beside."""
    rows = [("quantum", result["test_accuracy"])]
    rows += [(name, told["test_accuracy"]) for name, told in result["rivals"].items() if told.get("test_accuracy")]
    for place, (_, share) in enumerate(rows):
        low, high = wilson_interval(share, result.get("decisions"))
        style: Any = {"color": COLOURS[min(place, 1)], "marker": MARKERS[min(place, 1)]}
        axes.errorbar([share], [place], xerr=[[share - low], [high - share]], linestyle="none", capsize=4, **style)
    if result.get("baseline_accuracy") is not None:
        axes.axvline(result["baseline_accuracy"], color="0.4", linestyle="--", label="baseline")
        axes.legend()
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
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
        axes.plot(numbers, values, linestyle=dash, markersize=4, label=name, **_style(place))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("entries of a vector, N")
    axes.set_ylabel("sent for a decision")
    axes.set_title("Growth with the size")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def causes(axes: Axes, result: Told) -> None:
    """The virtual time by cause, a bar each, the largest above."""
    times_ps = sorted(result["latency"]["causes"].items(), key=lambda each: each[1])
    size_ps, unit = _time_unit(result["virtual_time_ps"])
    axes.barh([cause for cause, _ in times_ps], [ps / size_ps for _, ps in times_ps], color=COLOURS[0])
    for place, (_, ps) in enumerate(times_ps):
        axes.text(ps / size_ps, place, f" {100 * ps / max(1, result['virtual_time_ps']):.1f} %", va="center")
    axes.margins(x=0.15)
    axes.set_xlabel(f"virtual time ({unit})")
    axes.set_title("Where the time went")


def critical_path(axes: Axes, result: Told) -> None:
    """The critical path as a Gantt chart: a row for each party and direction, a colour and a hatch for each cause."""
    path, names = result["latency"]["path"], list(result["latency"]["causes"])
    size_ps, unit = _time_unit(result["virtual_time_ps"])
    rows = list(dict.fromkeys(each["where"] for each in path))
    for number, cause in enumerate(names):
        for place, where in enumerate(rows):
            spans = [
                (each["from_ps"] / size_ps, (each["to_ps"] - each["from_ps"]) / size_ps)
                for each in path if (each["cause"], each["where"]) == (cause, where)
            ]  # fmt: skip
            style: Any = {"facecolor": COLOURS[number % len(COLOURS)], "hatch": HATCHES[number // len(COLOURS)]}
            if spans:
                axes.broken_barh(spans, (place - 0.4, 0.8), label=cause, **style)
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
    (lambda result: _is_number(result.get("estimate")), estimates),
    (lambda result: bool(result.get("sizes")), growth),
    (lambda result: not result.get("sizes"), costs),  # sums over sizes compare with no rival at one size
    (lambda result: bool((result.get("latency") or {}).get("path")), causes),
    (lambda result: bool((result.get("latency") or {}).get("path")), critical_path),
)
"""Which panels a result has: whether it has what a panel shows, and the panel."""


def _time_unit(time_ps: int) -> tuple[int, str]:
    """The unit that suits a time: how many ps, and its name."""
    return next((each for each in TIME_UNITS if time_ps >= each[0]), TIME_UNITS[-1])


def _style(place: int) -> dict[str, Any]:
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


def _half_width(result: Told) -> float | None:
    """Of the interval of an estimate: what was promised, or two standard errors where outcomes were counted."""
    if result.get("epsilon") is not None:
        return float(result["epsilon"])
    estimate, copies = result["estimate"], result.get("copies")
    if not copies or not 0.0 <= estimate <= 1.0:
        return None
    return 2.0 * math.sqrt(estimate * (1.0 - estimate) / copies)


def _interval_name(result: Told) -> str:
    if result.get("epsilon") is not None:
        return f"+- epsilon, kept with probability {1 - result['delta']:g}"
    return "+- 2 standard errors"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def series_of(axes: Iterable[Axes]) -> list[tuple[str, str, str]]:
    """(colour, marker, dash) of every line with a name in these axes; a test compares them."""
    return [
        (str(line.get_color()), str(line.get_marker()), str(line.get_linestyle()))
        for each in axes
        for line in each.get_lines()
        if not str(line.get_label()).startswith("_")
    ]
