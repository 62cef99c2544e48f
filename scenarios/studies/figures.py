"""Figures of a study: lines of means with intervals over an axis, marks for what wins where, or maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.reports.figures import COLOURS, DASHES, MARKERS, paneled
from ketwire.scenarios.reports.hover import entitle
from ketwire.scenarios.studies.axes import plain_label
from ketwire.scenarios.studies.data import StudyData, is_number
from ketwire.scenarios.studies.maps import Look, Spot, draw_map
from ketwire.scenarios.studies.spec import Figure, Label
from ketwire.scenarios.studies.statistics import spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.legend import Legend

UNITS = {"_ps": ("s", 1e12), "_s": ("s", 1.0), "_km": ("km", 1.0), "_hz": ("Hz", 1.0), "_bps": ("bits/s", 1.0)}
"""How axes of a figure name a unit, and what values are divided by, by the end of a field's name."""
MOST_VALUES = 8
"""Values of a logarithmic axis that have a tick each."""
MOST_TICKS, FEW_TICKS = 24, 12
MOST_LETTERS = 40
"""Of all texts along the x axis that fit side by side; more of them are turned."""


def draw(data: StudyData, figures: Sequence[Figure] | None = None) -> Drawing:
    """All figures of a study as one figure of matplotlib, a panel for each facet.

    Raises:
        ScenarioError: matplotlib is not installed, or there is nothing to draw.
    """
    found = panels(data, figures)
    if not found:
        raise ScenarioError(f"{data.name}: nothing to draw, expected a study with an axis or with figures")
    return paneled(found, data.name)


def panels(data: StudyData, figures: Sequence[Figure] | None = None) -> list[Callable[[Axes], None]]:
    """What draws the figures of a study: a panel for each facet of each."""
    asked = data.figures if figures is None else figures
    return [partial(_panel, data, figure, facet) for figure in asked for facet in _facets(data, figure)]


def _facets(data: StudyData, figure: Figure) -> list[str | None]:
    if figure.facet is None:
        return [None]
    found = _of_points(data, figure.facet)
    return [*dict.fromkeys(plain_label(found[index]) for index in range(len(data.points)) if index in found)]


def _of_points(data: StudyData, name: str) -> dict[int, Label]:
    """By point what an axis or a field has there: of numbers the mean, of texts the most frequent one."""
    if name in data.axes:
        at = data.axes.index(name)
        return {index: point.labels[at] for index, point in enumerate(data.points)}
    found: dict[int, Label] = {}
    for index, values in data.of_point(name).items():
        numbers = all(map(is_number, values))
        found[index] = spread([float(each) for each in values]).mean if numbers else max(values, key=values.count)
    return found


def _panel(data: StudyData, figure: Figure, facet: str | None, axes: Axes) -> None:
    if figure.z is not None:
        _map(data, figure, facet, axes)
        return
    xs, ys = _of_points(data, figure.x), _of_points(data, figure.y)
    hues = {} if figure.hue is None else _of_points(data, figure.hue)
    facets = {} if figure.facet is None else _of_points(data, figure.facet)
    shown = [
        index for index in range(len(data.points))
        if index in xs and index in ys and (figure.hue is None or index in hues)
        and (facet is None or (index in facets and plain_label(facets[index]) == facet))
    ]  # fmt: skip
    series: dict[str, list[int]] = {}
    for index in shown:
        series.setdefault(plain_label(hues[index]) if hues else "", []).append(index)
    places = {name: at for at, name in enumerate(dict.fromkeys(plain_label(hue) for hue in hues.values()))} or {"": 0}
    ticks = {name: _ticks(values, shown) for name, values in (("x", xs), ("y", ys))}
    for name, indices in series.items():
        _series(axes, data, figure, indices, (xs, ys), ticks, places.get(name, 0), name)
    _dress(axes, figure, ticks, places if hues else {})
    _title(axes, figure, figure.y, facet)
    if ticks["x"] is None and "x" in figure.log:
        numbers = (each for index in shown if isinstance(each := xs[index], int | float))
        _tick_values(axes, {each / unit_of(figure.x)[1] for each in numbers})
    fills = figure.y in data.axes or len(ticks["x"] or ()) > FEW_TICKS
    if (legend := axes.get_legend()) is not None and (fills or _hides(legend, axes)):
        legend.set_loc("upper left")  # beside a panel that is full
        legend.set_bbox_to_anchor((1.0, 1.0))


def _hides(legend: Legend, axes: Axes) -> bool:
    """Whether a legend lies on a line or an interval."""
    legend.figure.draw_without_rendering()  # type: ignore[union-attr]
    box = legend.get_window_extent()
    drawn = [(line.get_path(), line.get_transform()) for line in axes.lines if line.get_linestyle() != "None"]
    drawn += [(path, bars.get_transform()) for bars in axes.collections for path in bars.get_paths()]
    return any(path.transformed(transform).intersects_bbox(box, filled=False) for path, transform in drawn)


def _tick_values(axes: Axes, values: set[float]) -> None:
    """A tick at each value of a logarithmic axis where these are few: within a decade its own labels overlap.

    Of values that are close to each other the first alone has a label.
    """
    if len(values) > MOST_VALUES or min(values, default=0.0) <= 0.0:
        return
    ordered, labels, last = sorted(values), [], 0.0
    apart = (ordered[-1] / ordered[0]) ** (1 / MOST_VALUES)
    for value in ordered:
        told = value >= last * apart
        labels.append(f"{value:g}" if told else "")
        last = value if told else last
    axes.set_xticks(ordered, labels)
    axes.set_xticks([], minor=True)


def _ticks(values: dict[int, Label], shown: Sequence[int]) -> dict[str, int] | None:
    """The places of texts along an axis; None of numbers."""
    if all(is_number(values[index]) for index in shown):
        return None
    return {text: at for at, text in enumerate(dict.fromkeys(plain_label(values[index]) for index in shown))}


def _series(
    axes: Axes, data: StudyData, figure: Figure, indices: Sequence[int], values: Any, ticks: Any, place: int, name: str
) -> None:
    """One series: a line of means with intervals, or marks alone where y is an axis or texts lie along one."""
    def at(which: int, index: int) -> float:
        found, texts = values[which][index], ticks["xy"[which]]
        return float(found) / unit_of((figure.x, figure.y)[which])[1] if texts is None else texts[plain_label(found)]

    marks = figure.y in data.axes or ticks["x"] is not None or ticks["y"] is not None
    ordered = sorted(indices, key=lambda index: at(0, index))
    style: Any = {
        "color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)],
        "markersize": 7 if marks else 4, "linestyle": "none" if marks else DASHES[place % len(DASHES)],
        "label": name or None,
    }  # fmt: skip
    xs, ys = [at(0, index) for index in ordered], [at(1, index) for index in ordered]
    spreads = {} if figure.y in data.axes or ticks["y"] is not None else data.spreads(figure.y)
    halves = [0.0 if (each := spreads.get(index)) is None or each.low is None else each.mean - each.low
              for index in ordered]  # fmt: skip
    halves = [half / unit_of(figure.y)[1] for half in halves]
    if any(halves):
        # On a logarithmic axis an interval that reaches zero is cut there.
        cut = "y" in figure.log
        below = [min(half, 0.999 * y) if cut and y > 0 else half for half, y in zip(halves, ys, strict=True)]
        drawn = axes.errorbar(xs, ys, yerr=[below, halves], capsize=3, **style).lines[0]
    else:
        [drawn] = axes.plot(xs, ys, **style)
    told = (f" ± {half:.2g}" if half else "" for half in halves)
    entitle(drawn, [f"{data.told(index)}: {y:.5g}{half}" for index, y, half in zip(ordered, ys, told, strict=True)])


def _map(data: StudyData, figure: Figure, facet: str | None, axes: Axes) -> None:
    """A field over two axes. Points without a number of each are left out."""
    values = [_of_points(data, name) for name in (figure.x, figure.y, figure.z or "")]
    facets = {} if figure.facet is None else _of_points(data, figure.facet)
    units = [unit_of(figure.x)[1], unit_of(figure.y)[1], 1.0]
    spots = []
    for index in range(len(data.points)):
        found = [each.get(index) for each in values]
        if all(map(is_number, found)) and (facet is None or plain_label(facets.get(index)) == facet):
            x, y, z = (float(each) / unit for each, unit in zip(found, units, strict=True))  # type: ignore[arg-type]
            spots.append(Spot(x, y, z, f"{data.told(index)}: {z:.5g}"))
    most = max((abs(float(each)) for each in values[2].values() if is_number(each)), default=0.0)  # type: ignore[arg-type]
    if spots:
        draw_map(axes, spots, Look(named(figure.z or ""), most, figure.log, figure.contour, figure.marks or ()))
    axes.set_xlabel(named(figure.x))
    axes.set_ylabel(named(figure.y))
    _title(axes, figure, figure.z or "", facet)


def _title(axes: Axes, figure: Figure, shown: str, facet: str | None) -> None:
    titles = [figure.title or f"{named(shown)} over {named(figure.x)}"]
    titles += [] if facet is None else [f"{named(figure.facet or '')}: {facet}"]
    axes.set_title("\n".join(titles))


def _dress(axes: Axes, figure: Figure, ticks: Any, places: dict[str, int]) -> None:
    """Scales, names of axes and the legend, its names in their order in the study; without `places` there is none."""
    for which, name in (("x", figure.x), ("y", figure.y)):
        if ticks[which] is not None and len(ticks[which]) <= MOST_TICKS:
            long, many = sum(map(len, ticks[which])) > MOST_LETTERS, len(ticks[which]) > FEW_TICKS
            turned = {"rotation": 90, "fontsize": 6} if many else {"rotation": 30, "ha": "right"} if long else {}
            named_ticks: Any = getattr(axes, f"set_{which}ticks")
            named_ticks(range(len(ticks[which])), [*ticks[which]], **(turned if which == "x" else {}))
        elif which in figure.log:
            getattr(axes, f"set_{which}scale")("log")
        getattr(axes, f"set_{which}label")(named(name))
    axes.grid(alpha=0.3)
    handles, names = axes.get_legend_handles_labels()
    if places and names:
        ordered = sorted(zip(names, handles, strict=True), key=lambda each: places[each[0]])
        axes.legend([handle for _, handle in ordered], [name for name, _ in ordered], title=named(figure.hue or ""))


def unit_of(name: str) -> tuple[str, float]:
    """The unit of a field by the end of its name, and what its values are divided by for a figure."""
    return next((found for end, found in UNITS.items() if name.endswith(end)), ("", 1.0))


def named(name: str) -> str:
    """A field or axis in words with its unit: `virtual time (s)`."""
    end = next((end for end in UNITS if name.endswith(end)), "")
    unit, stem = unit_of(name)[0], name.removesuffix(end).rpartition(".")[2] if end else name.rpartition(".")[2]
    return stem.replace("_", " ") + (f" ({unit})" if unit else "")
