"""What `ketwire presets` prints: each preset in a line or two, or one as a piece of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap

from ketwire.channels.presets import PRESETS, Figure, Preset
from ketwire.errors import ScenarioError
from ketwire.scenarios.yamltext import dump

WIDTH = 100  # of comments


def listed() -> str:
    """All presets, by kind."""
    return "\n".join(link_list())


def fragment(name: str) -> str:
    """One preset in YAML, its sources as comments; valid as a part of a scenario.

    Raises:
        ScenarioError: no preset has this name.
    """
    if name not in PRESETS:
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


def link_fragment(name: str) -> Iterator[str]:
    """A preset of a link as it would be written out, line by line."""
    preset = PRESETS[name]
    for text in _comments(preset):
        yield from (f"# {line}" for line in wrap(text, WIDTH - 2))
    if preset.memory:
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


def _comments(preset: Preset) -> Iterator[str]:
    yield preset.summary
    yield f"Source: {preset.source}"
    if preset.left_out:
        yield f"Not in its sources, and ideal here: {preset.left_out}"
    if "length_km" not in preset.figures:
        yield "It has no length of its own: say length_km."
    if preset.memory:
        yield "Memories belong to the nodes: naming the fiber does not set them."


def _figures(figures: Mapping[str, Figure], indent: str) -> Iterator[str]:
    told = {key: f"{indent}{key}: {dump(figure.value).split(chr(10))[0]}" for key, figure in figures.items()}
    width = max(map(len, told.values()), default=0)
    for key, figure in figures.items():
        yield f"{told[key].ljust(width)}  # {figure.source}"
