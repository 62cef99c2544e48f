"""What `ketwire presets` prints: each preset in a line or two, or one as a piece of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from textwrap import wrap

from ketwire.channels.hardware import ERRORS, HARDWARE, TIMES
from ketwire.channels.hardware import Preset as Kit
from ketwire.channels.presets import PRESETS, Figure, Preset
from ketwire.channels.timing import PS_PER_S
from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.yamltext import dump

WIDTH = 100  # of comments


def listed() -> str:
    """All presets, by kind."""
    return "\n".join((*link_list(), *hardware_list()))


def fragment(name: str) -> str:
    """One preset in YAML, its sources as comments; valid as a part of a scenario.

    Raises:
        ScenarioError: no preset has this name.
    """
    if name not in PRESETS:
        # Every preset of hardware has a link of the same name.
        raise ScenarioError(f"presets: {name!r} given, expected one of {', '.join(PRESETS)}")
    return "\n".join(link_fragment(name)) + "\n"


def link_list() -> Iterator[str]:
    """A line for what each preset of a link is, one for its sources."""
    yield "links (fiber: NAME)"
    width = max(map(len, PRESETS))
    for name, preset in PRESETS.items():
        yield f"  {name.ljust(width)}  {preset.summary}"
        yield f"  {' ' * width}  source: {preset.source}"
    yield ""


def hardware_list() -> Iterator[str]:
    """The same for the presets of nodes."""
    yield "nodes (hardware: NAME)"
    width = max(map(len, PRESETS))
    for name, kit in HARDWARE.items():
        numbers = ", ".join(f"{key}: {value}" for key, value in _hardware_figures(kit).items())
        yield f"  {name.ljust(width)}  {numbers or 'perfect'}"
        yield from (f"  {' ' * width}  {line}" for line in wrap(f"source: {kit.source}", WIDTH - width - 4))
    yield ""


def _hardware_figures(kit: Kit) -> dict[str, str]:
    """The numbers that are not perfect, by their keys in a scenario."""
    hardware = kit.hardware
    times = {**asdict(hardware.memory), **{name: getattr(hardware, name) or None for name in TIMES}}
    told = {key.replace("_ps", "_s"): ps / PS_PER_S for key, ps in times.items() if ps is not None}
    told |= {name: getattr(hardware, name) for name in ERRORS if getattr(hardware, name)}
    return {key: f"{value:g}" for key, value in told.items()}


def link_fragment(name: str) -> Iterator[str]:
    """A preset of a link as it would be written out, line by line."""
    preset = PRESETS[name]
    for text in _comments(name, preset):
        yield from (f"# {line}" for line in wrap(text, WIDTH - 2))
    if name in HARDWARE and not HARDWARE[name].hardware.is_perfect:
        yield "nodes:"
        for node in ("alice", "bob"):
            yield f"  {node}:"
            yield f"    hardware: {name}"
            yield from (f"    # {key}: {value}" for key, value in _hardware_figures(HARDWARE[name]).items())
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


def _comments(name: str, preset: Preset) -> Iterator[str]:
    yield preset.summary
    yield f"Source: {preset.source}"
    if preset.left_out:
        yield f"Not in its sources, and ideal here: {preset.left_out}"
    if "length_km" not in preset.figures:
        yield "It has no length of its own: say length_km."
    if name in HARDWARE and not HARDWARE[name].hardware.is_perfect:
        yield "Hardware belongs to the nodes: naming the fiber does not set it."
        yield f"Source of the hardware: {HARDWARE[name].source}"
    elif preset.memory:
        yield "Memories belong to the nodes: naming the fiber does not set them."


def _figures(figures: Mapping[str, Figure], indent: str) -> Iterator[str]:
    told = {key: f"{indent}{key}: {dump(figure.value).split(chr(10))[0]}" for key, figure in figures.items()}
    width = max(map(len, told.values()), default=0)
    for key, figure in figures.items():
        yield f"{told[key].ljust(width)}  # {figure.source}"
