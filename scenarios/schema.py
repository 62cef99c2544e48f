"""What a scenario file says, as types.

A scenario is a seed, nodes, links between them, and a protocol of some kind. The kind decides what
`protocol` holds, data included; `scenario_model` puts its `Spec` in. All models are frozen, forbid
unknown keys and infinite numbers, and refuse physics that no fiber can have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ketwire.channels.fiber import Fiber
from ketwire.channels.presets import PRESETS, fiber

NodeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
RESERVED_NAMES = frozenset({"coordinator", "judge"})
MAX_SEED = 2**63 - 1


def wrong(key: str, given: Any, expected: str) -> PydanticCustomError:
    """A validator's complaint about the value at `key`, a dotted path below the model it is raised in.

    Raised from a validator, it becomes "FILE: PATH.KEY: GIVEN given, expected EXPECTED".
    """
    context = {"key": key, "given": given, "expected": expected}
    return PydanticCustomError("wrong", "expected {expected}", context)


class Strict(BaseModel):
    """Base of every model in a scenario: frozen, no unknown keys, finite numbers."""

    # Models are built when first used: as parts of a scenario they would be built twice else, and
    # starting the program takes long enough.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class Node(Strict):
    """A party's settings. There are none yet: processors take no time."""


class Link(Strict):
    """A fiber between two nodes: a preset, and whatever physics is to differ from it.

    The physics is that of both directions. Fields that are not given are the preset's.
    """

    between: tuple[NodeName, NodeName] = Field(description="the two nodes that this link joins")
    fiber: str = Field(description="a preset (ketwire presets)")
    transport: Literal["direct"] = Field("direct", description="how registers cross: sent as they are")
    length_km: float | None = Field(None, description="km, 0 to 1e6")
    loss_db_per_km: float | None = Field(None, description="attenuation, dB/km")
    p_init: float | None = Field(None, description="probability to lose a qubit on coupling in")
    detector_efficiency: float | None = Field(None, description="efficiency of the heralding detector")
    speed_km_per_s: float | None = Field(None, description="speed of light in the fiber, km/s")
    emission_rate_hz: float | None = Field(None, description="qubits a second; null: emission takes no time")
    bandwidth_bps: float | None = Field(None, description="classical bits a second; null: bits take no time")

    @model_validator(mode="after")
    def _physical(self) -> Self:
        if self.between[0] == self.between[1]:
            raise wrong("between", list(self.between), "two different nodes")
        if self.fiber not in PRESETS:
            raise wrong("fiber", self.fiber, f"a preset: {', '.join(PRESETS)}")
        for name, value in self._overrides().items():
            if value is None and getattr(PRESETS["ideal"].fiber, name) is not None:
                raise wrong(name, None, "a number")
        try:
            self.physics()
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            raise wrong(name, getattr(self, name), message.partition("expected ")[2] or message) from None
        return self

    def physics(self) -> Fiber:
        """The physics of one direction."""
        return fiber(self.fiber, **self._overrides())

    def _overrides(self) -> dict[str, Any]:
        physical = Fiber.__dataclass_fields__
        return {name: getattr(self, name) for name in self.model_fields_set if name in physical}

    @model_serializer(mode="wrap")
    def _resolved(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With all of the physics, so that a resolved scenario outlives a change of the presets."""
        return {**handler(self), **asdict(self.physics())}


def _known_nodes(nodes: Any) -> Any:
    if isinstance(nodes, dict):
        for name in nodes:
            if name in RESERVED_NAMES:
                raise wrong(name, name, "another name, this one is reserved")
    return nodes


class Scenario(Strict):
    """A scenario file, without what its kind adds: see `scenario_model`."""

    name: str | None = Field(None, max_length=100, description="a short name; else the file's")
    description: str = Field("", max_length=2000, description="what it shows, in a sentence or two")
    seed: int = Field(ge=0, le=MAX_SEED, description="everything random follows from it")
    nodes: Annotated[dict[NodeName, Node], BeforeValidator(_known_nodes)] = Field(
        min_length=2, max_length=64, description="the parties, by name"
    )
    links: tuple[Link, ...] = Field(min_length=1, max_length=256, description="the fibers between them")
    protocol: Any

    @model_validator(mode="after")
    def _joined(self) -> Self:
        joined: set[frozenset[str]] = set()
        for index, link in enumerate(self.links):
            for end, name in enumerate(link.between):
                if name not in self.nodes:
                    raise wrong(f"links.{index}.between.{end}", name, f"a node: {', '.join(self.nodes)}")
            ends = frozenset(link.between)
            if ends in joined:
                raise wrong(f"links.{index}.between", list(link.between), "one link between two nodes")
            joined.add(ends)
        return self


def scenario_model(specs: Sequence[type[BaseModel]]) -> type[Scenario]:
    """The model of scenarios whose protocol is one of `specs`, told apart by their `kind`."""
    assert specs, "a scenario needs a protocol of some kind"
    union: Any = reduce(or_, specs)
    if len(specs) > 1:
        union = Annotated[union, Field(discriminator="kind")]
    protocol = Field(description="what is run: its kind, and what that kind needs")
    model: type[Scenario] = create_model(
        "Scenario", __base__=Scenario, __doc__="A ketwire scenario.", protocol=(union, protocol)
    )
    return model
