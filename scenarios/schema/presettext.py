"""What `ketwire presets` prints: each preset in a line or two, or one as a piece of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap

from ketwire.channels.hardware import ERRORS, TIMES
from ketwire.channels.hardware import Preset as Kit
from ketwire.channels.presets import Figure, Preset
from ketwire.channels.timing import PS_PER_S
from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.known import Known
from ketwire.scenarios.schema.ownpresets import installed, known_link, of_file
from ketwire.scenarios.schema.validation import preset_named
from ketwire.scenarios.schema.yamltext import dump

WIDTH = 100  # of comments


def presets_text(name_or_file: str | None = None) -> str:
    """What `ketwire presets` prints: all presets, those of a file (checked), or one as a piece of a scenario.

    Raises:
        ScenarioError: no preset has this name, or a user's own presets are wrong.
    """
    if name_or_file is None:
        return listed(installed())
    if "/" in name_or_file or name_or_file.endswith((".yaml", ".yml", ".json")):
        known = of_file(name_or_file, "", installed())
        links = {name: known.links[name] for kind, name in _of(name_or_file, known) if kind == "links"}
        nodes = {name: known.nodes[name] for kind, name in _of(name_or_file, known) if kind == "nodes"}
        return listed(Known(links, nodes, known.origins))
    return fragment(name_or_file, known_link(name_or_file))


def _of(origin: str, known: Known) -> list[tuple[str, str]]:
    return [preset for preset, each in known.origins.items() if each == origin]


def listed(known: Known) -> str:
    """Presets by kind."""
    return "\n".join((*link_list(known), *hardware_list(known)))


def fragment(name: str, known: Known) -> str:
    """One preset in YAML, its sources as comments; valid as a part of a scenario.

    Raises:
        ScenarioError: no preset has this name.
    """
    if name not in known.links and name not in known.nodes:
        names = tuple(dict.fromkeys((*known.links, *known.nodes)))
        raise ScenarioError(f"presets: {name!r} given, expected {preset_named(name, names)}")
    return "\n".join(link_fragment(name, known) if name in known.links else node_fragment(name, known)) + "\n"


def link_list(known: Known) -> Iterator[str]:
    """A line for what each preset of a link is, one for its sources, one for where it is not ketwire's own."""
    yield "links (fiber: NAME)"
    width = _width(known)
    for name, preset in known.links.items():
        yield f"  {name.ljust(width)}  {preset.summary}"
        yield f"  {' ' * width}  source: {preset.source}"
        yield from _origin("links", name, known)
    yield ""


def _width(known: Known) -> int:
    return max(map(len, (*known.links, *known.nodes)), default=0)


def _origin(kind: str, name: str, known: Known) -> Iterator[str]:
    if (kind, name) in known.origins:
        yield f"  {' ' * _width(known)}  from: {known.origins[kind, name]}"


def hardware_list(known: Known) -> Iterator[str]:
    """The same for the presets of nodes."""
    yield "nodes (hardware: NAME)"
    width = _width(known)
    for name, kit in known.nodes.items():
        numbers = ", ".join(f"{key}: {value}" for key, value in _hardware_figures(kit).items())
        first, *others = wrap(numbers or "perfect", WIDTH - width - 4)
        yield f"  {name.ljust(width)}  {first}"
        yield from (f"  {' ' * width}  {line}" for line in others)
        yield from (f"  {' ' * width}  {line}" for line in wrap(f"source: {kit.source}", WIDTH - width - 4))
        yield from _origin("nodes", name, known)
    yield ""


def _hardware_figures(kit: Kit) -> dict[str, str]:
    """The numbers that are not perfect, by their keys in a scenario."""
    hardware = kit.hardware
    lifetimes = {name: getattr(hardware.memory, name) for name in ("t1_ps", "t2_ps")}
    times = {**lifetimes, **{name: getattr(hardware, name) or None for name in TIMES}}
    told = {key.replace("_ps", "_s"): f"{ps / PS_PER_S:g}" for key, ps in times.items() if ps is not None}
    if hardware.memory.gaussian:
        told["t2_shape"] = "gaussian"
    errors = {name: getattr(hardware, name) for name in ERRORS if getattr(hardware, name)}
    return told | {
        name: f"[{', '.join(f'{each:g}' for each in value)}]" if isinstance(value, tuple) else f"{value:g}"
        for name, value in errors.items()
    }


def node_fragment(name: str, known: Known) -> Iterator[str]:
    """A preset of a node, by name, with what it stands for."""
    for text in _hardware_comments(known.nodes[name]):
        yield from (f"# {line}" for line in wrap(text, WIDTH - 2))
    yield from _hardware(name, known)


def _hardware_comments(kit: Kit) -> Iterator[str]:
    yield f"Source of the hardware: {kit.source}"
    if kit.left_out:
        yield f"Not in it, and ideal here: {kit.left_out}"


def _hardware(name: str, known: Known) -> Iterator[str]:
    kit = known.nodes[name]
    told = {key: f"    # {key}: {value}" for key, value in _hardware_figures(kit).items()}
    width = max(map(len, told.values()), default=0)
    yield "nodes:"
    yield "  alice:"
    yield f"    hardware: {name}"
    for key, text in told.items():
        source = kit.sources.get(key)
        yield text if source is None else f"{text.ljust(width)}  # {source}"
    yield "  bob:"
    yield f"    hardware: {name}"


def link_fragment(name: str, known: Known) -> Iterator[str]:
    """A preset of a link as it would be written out, line by line."""
    preset = known.links[name]
    for text in _comments(name, preset, known):
        yield from (f"# {line}" for line in wrap(text, WIDTH - 2))
    if _has_hardware(name, known):
        yield from _hardware(name, known)
    elif preset.memory:
        yield "nodes:"
        for node in ("alice", "bob"):
            yield f"  {node}:"
            yield from _figures(preset.memory, "    ")
    yield "links:"
    yield "  - between: [alice, bob]"
    yield f"    fiber: {name}"
    yield from _figures(preset.in_force, "    ")
    others = {key: figure for key, figure in preset.figures.items() if key not in preset.in_force}
    if others:
        yield "    # with transport: direct or coded, as the rate has it in it:"
        yield from _figures(others, "    # ")


def _has_hardware(name: str, known: Known) -> bool:
    """Whether nodes have a preset of the same name, which is not perfect."""
    return name in known.nodes and not known.nodes[name].hardware.is_perfect


def _comments(name: str, preset: Preset, known: Known) -> Iterator[str]:
    yield preset.summary
    yield f"Source: {preset.source}"
    if preset.left_out:
        yield f"Not in its sources, and ideal here: {preset.left_out}"
    if "length_km" not in preset.figures:
        yield "It has no length of its own: say length_km."
    if _has_hardware(name, known):
        yield "Hardware belongs to the nodes: naming the fiber does not set it."
        yield from _hardware_comments(known.nodes[name])
    elif preset.memory:
        yield "Memories belong to the nodes: naming the fiber does not set them."


def _value(figure: Figure) -> str:
    """In one line of YAML."""
    if isinstance(figure.value, tuple):
        return f"[{', '.join(map(str, figure.value))}]"
    return dump(figure.value).split("\n")[0]


def _figures(figures: Mapping[str, Figure], indent: str) -> Iterator[str]:
    told = {key: f"{indent}{key}: {_value(figure)}" for key, figure in figures.items()}
    width = max(map(len, told.values()), default=0)
    for key, figure in figures.items():
        yield f"{told[key].ljust(width)}  # {figure.source}"
