"""A user's own presets: a file beside a scenario (`presets: FILE`), and the entry point group `ketwire.presets`.

Both have one form, and the checks of ketwire's own presets: every number has a source, every key is one of a link or
node, and together they are a link or node that there can be. A name that is taken is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Preset as Kit
from ketwire.channels.presets import Figure, Preset
from ketwire.errors import ScenarioError, one_line
from ketwire.modules import find
from ketwire.scenarios.schema.known import Known
from ketwire.scenarios.schema.links import CODED_KEYS, TELEPORT_KEYS, Link
from ketwire.scenarios.schema.nodes import Node
from ketwire.scenarios.schema.strict import Strict
from ketwire.scenarios.schema.validation import one_line as told_of
from ketwire.scenarios.schema.yamltext import parse, read

GROUP = "ketwire.presets"
LINK_KEYS = (Fiber.__dataclass_fields__.keys() | TELEPORT_KEYS | CODED_KEYS | {"transport"}) - {
    "distill", "bell", "deliver"
}  # fmt: skip
NODE_KEYS = Node.model_fields.keys() - {"hardware"}

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Text = Annotated[str, Field(min_length=1, max_length=300, pattern=r"\S")]


class FigureSpec(Strict):
    """A number, and who says so."""

    value: float | int | bool | str | tuple[float, float] = Field(description="the number, or one for each side")
    source: Text = Field(description="where the number comes from")


class LinkPreset(Strict):
    """A preset of a link (`fiber: NAME`)."""

    summary: Text = Field(description="what it is, in one line")
    source: Text = Field(description="the publication or measurement, in one line")
    figures: dict[str, FigureSpec] = Field({}, description="keys of a link")
    memory: dict[Literal["t1_s", "t2_s", "t2_shape"], FigureSpec] = Field({}, description="of what stood at its ends")
    left_out: str = Field("", max_length=300, description="what the source does not say, and is ideal here")

    def preset(self) -> Preset:
        figures = {key: Figure(each.value, each.source) for key, each in self.figures.items()}
        memory = {str(key): Figure(each.value, each.source) for key, each in self.memory.items()}
        return Preset(self.summary, self.source, figures, memory, self.left_out)


class NodePreset(Strict):
    """A preset of a node (`hardware: NAME`)."""

    source: Text = Field(description="the publication or measurement, in one line")
    figures: dict[str, FigureSpec] = Field({}, description="keys of a node")

    def kit(self) -> Kit:
        return Kit(Node.model_validate(self.said()).physics(), self.source, self.sources())

    def said(self) -> dict[str, Any]:
        """Its numbers as a node of a scenario says them."""
        values = {key: each.value for key, each in self.figures.items()}
        return {key: list(each) if isinstance(each, tuple) else each for key, each in values.items()}

    def sources(self) -> dict[str, str]:
        return {key: each.source for key, each in self.figures.items()}


class Presets(Strict):
    """A file of presets."""

    links: dict[Name, LinkPreset] = Field({}, description="presets of links, by name")
    nodes: dict[Name, NodePreset] = Field({}, description="presets of nodes, by name")


def known_for(links: Any, nodes: Any, file: Any, base: str) -> Known:
    """The presets that a scenario may name; installed packages are asked only where it names others than ketwire's.

    Args:
        links, nodes, file: what the scenario says, unchecked.
        base: its folder.

    Raises:
        ScenarioError: presets that are wrong; one line with file, or entry point, and key.
    """
    known = Known()
    if isinstance(file, str):
        return of_file(file, base, installed())
    fibers = _named("fiber", links if isinstance(links, list) else ())
    hardware = _named("hardware", nodes.values() if isinstance(nodes, dict) else ())
    return known if fibers <= known.links.keys() and hardware <= known.nodes.keys() else installed()


def _named(key: str, parts: Iterable[Any]) -> set[str]:
    """The presets that nodes or links name."""
    names = (each.get(key) for each in parts if isinstance(each, dict))
    return {name for name in names if isinstance(name, str)}


def known_link(name: str) -> Known:
    """The presets among which a link's is looked for."""
    return Known() if name in Known().links else installed()


def of_file(file: str, base: str, known: Known) -> Known:
    """What is known already, and the presets of a file.

    Raises:
        ScenarioError: "presets: FILE: KEY: ...".
    """
    origin = f"presets: {file}"
    text = read(Path(base) / Path(file).expanduser(), origin, "file of presets")
    return _with(known, parse(text, origin), origin, file)


@cache
def installed() -> Known:
    """ketwire's own presets and those of installed packages: mappings of the form of a file, by entry point.

    Raises:
        ScenarioError: one cannot be imported, or is wrong.
    """
    from importlib.metadata import entry_points  # noqa: PLC0415

    known = Known()
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        package = "" if point.dist is None else f" of {point.dist.name} {point.dist.version}"
        origin = f"entry point {point.name}{package}"
        try:
            told = find(point.value)
        except (Exception, SystemExit) as error:
            why = one_line(error, point.value.partition(":")[0])
            told = f"{point.value!r} cannot be imported ({why}), expected a mapping of presets there"
            raise ScenarioError(f"presets: {origin}: {told}") from error
        known = _with(known, told, f"presets: {origin}", origin)
    return known


def _with(known: Known, told: Any, origin: str, name: str) -> Known:
    """What is known already, and what `told` says, checked.

    Args:
        origin: how errors call it. name: how lists call it.
    """
    if not isinstance(told, dict):
        raise ScenarioError(f"{origin}: a {type(told).__name__} given, expected a mapping with links and nodes")
    try:
        found = Presets.model_validate_json(json.dumps(told, default=repr), strict=True)
    except ValidationError as error:
        raise ScenarioError(f"{origin}: {told_of(error, told, Presets)}") from None
    links = {key: _link(each, f"{origin}: links.{key}") for key, each in found.links.items()}
    nodes = {key: _node(each, f"{origin}: nodes.{key}") for key, each in found.nodes.items()}
    for kind, own, taken in (("links", links, known.links), ("nodes", nodes, known.nodes)):
        for key in own:
            if key in taken:
                whose = known.origins.get((kind, key), "ketwire itself")
                expected = f"another name, which {whose} has not taken"
                raise ScenarioError(f"{origin}: {kind}.{key}: {key!r} given, expected {expected}")
    origins = {(kind, key): name for kind, own in (("links", links), ("nodes", nodes)) for key in own}
    return Known({**known.links, **links}, {**known.nodes, **nodes}, {**known.origins, **origins})


def _link(told: LinkPreset, origin: str) -> Preset:
    """A preset of a link, checked as a scenario that says all of it."""
    _check_keys(told.figures, LINK_KEYS, origin)
    preset = told.preset()
    ends = {"between": ("a", "b"), "fiber": "ideal"}
    for figures, beside in ((preset.in_force, {}), (_of_glass(preset), {"transport": "direct"})):
        said = {"length_km": 1.0, **{key: each.value for key, each in figures.items()}, **ends, **beside}
        _validated(Link, said, f"{origin}.figures")
    _validated(Node, {key: each.value for key, each in preset.memory.items()}, f"{origin}.memory")
    return preset


def _of_glass(preset: Preset) -> Mapping[str, Figure]:
    """What counts with another transport than the preset's."""
    return {key: each for key, each in preset.figures.items() if key in Fiber.__dataclass_fields__}


def _node(told: NodePreset, origin: str) -> Kit:
    _check_keys(told.figures, NODE_KEYS, origin)
    _validated(Node, told.said(), f"{origin}.figures")
    return told.kit()


def _check_keys(figures: Mapping[str, FigureSpec], known: Any, origin: str) -> None:
    for key in figures:
        if key not in known:
            raise ScenarioError(f"{origin}.figures.{key}: {key!r} given, expected one of {', '.join(sorted(known))}")


def _validated(model: type[Link] | type[Node], told: Mapping[str, Any], origin: str) -> None:
    try:
        model.model_validate_json(json.dumps(told), strict=True)
    except ValidationError as error:
        raise ScenarioError(f"{origin}.{told_of(error, told, model)}") from None
