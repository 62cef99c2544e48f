"""What a scenario file says, as types.

A scenario is a seed, nodes, links between them, and a protocol of some kind. The kind decides what
`protocol` holds, data included; `scenario_model` puts its `Spec` in. All models are frozen, forbid
unknown keys and infinite numbers, and refuse physics that no fiber can have.
"""

from __future__ import annotations

import os
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

from ketwire.channels.engines import EngineName
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Coded, Direct, Line, Memory, Noise, Teleport
from ketwire.channels.presets import PRESETS, fiber
from ketwire.channels.timing import PS_PER_S

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
    """A party's settings: the memory in which its registers and its halves of pairs wait.

    Processors take no time and make no errors.
    """

    t1_s: float | None = Field(None, gt=0, description="relaxation time T1 of the memory, s; null: none")
    t2_s: float | None = Field(None, gt=0, description="coherence time T2, s, at most 2 T1; null: 2 T1")

    @model_validator(mode="after")
    def _physical(self) -> Self:
        try:
            self.memory()
        except ValueError as error:
            name = "t1_s" if str(error).startswith("t1") else "t2_s"
            raise wrong(name, getattr(self, name), str(error).partition("expected ")[2]) from None
        return self

    def memory(self) -> Memory:
        """The memory, its constants in ps."""
        return Memory(*(None if t is None else t * PS_PER_S for t in (self.t1_s, self.t2_s)))


class NoiseSpec(Strict):
    """A channel on each qubit in flight, as a probability or as a rate over the time of flight."""

    kind: Literal["depolarizing", "dephasing", "bit-flip", "amplitude-damping", "kraus"]
    probability: float | None = Field(None, ge=0, le=1)
    rate_hz: float | None = Field(None, ge=0, description="p = 1 - exp(-rate L / v)")
    operators: list[list[list[tuple[float, float]]]] | None = Field(
        None, description="for kraus: 2 x 2 operators, entries as [real, imaginary]"
    )

    @model_validator(mode="after")
    def _physical(self) -> Self:
        try:
            self.noise()
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            raise wrong(name, getattr(self, name, None), message.partition("expected ")[2] or message) from None
        return self

    def noise(self) -> Noise:
        operators = None if self.operators is None else tuple(
            tuple(tuple(tuple(entry) for entry in row) for row in operator) for operator in self.operators
        )
        return Noise(self.kind, self.probability, self.rate_hz, operators)


class Distillation(Strict):
    """Rounds of distillation before a pair is used."""

    rounds: int = Field(1, ge=1, le=8)
    protocol: Literal["bbpssw", "dejmps"] = "dejmps"
    arrangement: Literal["nested", "pumping"] = "nested"


_TELEPORT_KEYS = frozenset(
    {"scheme", "alpha", "rate_hz", "fidelity", "dark_count", "visibility", "memory_slots", "distill"}
)
_CODED_KEYS = frozenset({"code", "gate_s"})


class Link(Strict):
    """A fiber between two nodes: a preset, and whatever physics is to differ from it.

    The physics is that of both directions. Fields that are not given are the preset's.
    """

    between: tuple[NodeName, NodeName] = Field(description="the two nodes that this link joins")
    fiber: str = Field(description="a preset (ketwire presets)")
    transport: Literal["direct", "teleport", "coded"] = Field("direct", description="how registers cross")
    noise: list[NoiseSpec] = Field([], max_length=16, description="of qubits in flight, in order")
    scheme: Literal["single-click", "double-click", "given"] | None = Field(
        None, description="teleport: how pairs are made; double-click unless said otherwise"
    )
    alpha: float | None = Field(None, gt=0, lt=1, description="single-click: bright-state population")
    rate_hz: float | None = Field(None, gt=0, description="given: pairs a second and memory slot")
    fidelity: float | None = Field(None, description="given: of a heralded pair, 1/4 to 1")
    dark_count: float | None = Field(None, ge=0, lt=1, description="clicks: dark counts a detector and window")
    visibility: float | None = Field(None, ge=0, le=1, description="clicks: Hong-Ou-Mandel visibility")
    memory_slots: int | None = Field(None, description="teleport: pairs made side by side, 1 or more")
    distill: Distillation | None = Field(None, description="teleport: purify pairs before they are used")
    code: str | None = Field(None, description="coded: [[4,2,2]], [[5,1,3]], [[7,1,3]] or qpc(n,m)")
    gate_s: float | None = Field(None, ge=0, description="coded: one layer of the encoder's gates, s")
    length_km: float | None = Field(None, description="km, 0 to 1e6")
    loss_db_per_km: float | None = Field(None, description="attenuation, dB/km")
    p_init: float | None = Field(None, description="probability to lose a qubit on coupling in")
    detector_efficiency: float | None = Field(None, description="efficiency of the heralding detector")
    speed_km_per_s: float | None = Field(None, description="speed of light in the fiber, km/s")
    emission_rate_hz: float | None = Field(None, description="qubits a second; null: emission takes no time")
    bandwidth_bps: float | None = Field(None, description="classical bits a second; null: bits take no time")
    engine: EngineName = Field("builtin", description="who does the physics (docs/engines.md)")
    python: str | None = Field(
        None, min_length=1, max_length=4096, pattern=r"^[^\x00]+$",
        description="interpreter of the fiber's process: a path, from the scenario's folder, or a name on PATH",
    )

    @model_validator(mode="after")
    def _physical(self) -> Self:
        if self.between[0] == self.between[1]:
            raise wrong("between", list(self.between), "two different nodes")
        if self.fiber not in PRESETS:
            raise wrong("fiber", self.fiber, f"a preset: {', '.join(PRESETS)}")
        for name, value in self._overrides().items():
            if value is None and getattr(PRESETS["ideal"].fiber, name) is not None:
                raise wrong(name, None, "a number")
        for name in self._foreign():
            raise wrong(name, getattr(self, name), f"nothing here with transport {self.transport}")
        try:
            self.line(Memory(), Memory())
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            name = {"gate_ps": "gate_s"}.get(name, name)
            raise wrong(name, getattr(self, name, None), message.partition("expected ")[2] or message) from None
        return self

    def _foreign(self) -> list[str]:
        """Keys that say something and mean nothing for this transport."""
        own = {"teleport": _TELEPORT_KEYS, "coded": _CODED_KEYS, "direct": frozenset[str]()}[self.transport]
        keys = sorted((_TELEPORT_KEYS | _CODED_KEYS) - own)
        return [name for name in keys if getattr(self, name) is not None]

    def line(self, sender: Memory, receiver: Memory) -> Line:
        """One direction, between these memories.

        Raises:
            ValueError: values that contradict physics or each other; the message starts with the key.
        """
        noise = tuple(each.noise() for each in self.noise)
        return Line(self.physics(), noise, sender, receiver, self._transport(), self.engine)

    def interpreter(self, base: str) -> str | None:
        """`python`, a path in it taken from the folder `base`; links stay as they are, or a venv would be lost."""
        if self.python is None or "/" not in self.python:
            return self.python
        return os.path.abspath(os.path.join(base, os.path.expanduser(self.python)))

    def _transport(self) -> Direct | Teleport | Coded:
        if self.transport == "direct":
            return Direct()
        if self.transport == "coded":
            coded = {"code": self.code, "gate_ps": None if self.gate_s is None else round(self.gate_s * PS_PER_S)}
            return Coded(**{name: value for name, value in coded.items() if value is not None})  # type: ignore[arg-type]
        given = {name: getattr(self, name) for name in _TELEPORT_KEYS - {"distill"}}
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.distill is not None:
            from ketwire.channels.distill import Schedule  # noqa: PLC0415

            chosen["distillation"] = Schedule(**self.distill.model_dump())
        return Teleport(**chosen)

    def physics(self) -> Fiber:
        """The fiber of one direction."""
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
