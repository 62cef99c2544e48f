"""What a scenario says of a link: its fiber, noise, transport, repeaters, and who sits in it."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import EngineName, Line
from ketwire.channels.parts import Noise
from ketwire.channels.presets import HAVE_IN_THEM, IN_A_RATE, PRESETS, Preset
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.scenarios.schema.known import known_in
from ketwire.scenarios.schema.laboratories import LABORATORY_KEYS, OF_ATTEMPTS, LaboratoryKeys, laboratory
from ketwire.scenarios.schema.listening import BeamSplitterSpec, InterceptResendSpec
from ketwire.scenarios.schema.strict import NodeName, Strict, lacking, wrong
from ketwire.scenarios.schema.validation import preset_named


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
    protocol: Literal["bbpssw", "dejmps", "epl"] = Field("dejmps", description="epl: one round, for single clicks")
    arrangement: Literal["nested", "pumping"] = "nested"
    cutoff_attempts: int | None = Field(
        None, ge=1, le=10**12, description="one round: give the waiting pair up after so many attempts for the next"
    )

    @model_serializer(mode="wrap")
    def _resolved(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without a cut-off that is not there, as a scenario resolved before there was one."""
        return {name: value for name, value in handler(self).items() if name != "cutoff_attempts" or value is not None}


def _code_name(given: Any) -> Any:
    """[[4,2,2]] without quotation marks is a list of a list to YAML, and still the name of a code."""
    match given:
        case [[int(n), int(k), int(d)]]:
            return f"[[{n},{k},{d}]]"
    return given


EveSpec = Annotated[InterceptResendSpec | BeamSplitterSpec, Field(discriminator="attack")]

TELEPORT_KEYS = LABORATORY_KEYS | {
    "scheme", "alpha", "rate_hz", "fidelity", "dark_count", "visibility", "memory_slots", "distill",
}  # fmt: skip
CODED_KEYS = frozenset({"code", "gate_s"})
_CUTOFF_KEYS = frozenset({"cutoff_s", "cutoff_attempts"})
_CHAIN_KEYS = frozenset({"generation", "distill_spans", "distill_protocol"}) | _CUTOFF_KEYS
_CLASSICAL_KEYS = frozenset({"length_km", "speed_km_per_s", "bandwidth_bps", "classical_delay_s"})


def interpreter(python: str, base: str) -> str:
    """A Python interpreter; a path is taken from the folder `base`. Links stay as they are, or a venv would be lost."""
    if "/" not in python:
        return python
    return os.path.abspath(os.path.join(base, os.path.expanduser(python)))


class _Joined(Strict):
    """What joins what."""

    between: tuple[NodeName, NodeName] = Field(description="the two nodes that this link joins")
    fiber: str = Field(description="a preset (ketwire presets)")


class Link(LaboratoryKeys, _Joined):
    """A fiber between two nodes: a preset, and the physics that differs from it.

    The physics is that of both directions. Fields that are not given are the preset's. Another transport
    or scheme than the preset's drops what the preset says of its own, and refuses it from the user.
    """

    name: NodeName | None = Field(None, description="how it is called; null: by its two nodes, alice-bob")
    carries: Literal["all", "qubits", "bits"] = Field(
        "all", description="what crosses it; two links may join two nodes, one for qubits and one for bits"
    )
    transport: Literal["direct", "teleport", "coded"] | None = Field(
        None, description="how registers cross; null: as the preset's do, which is direct for a plain fiber"
    )
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
    via: tuple[NodeName, ...] | None = Field(
        None, description="teleport: repeaters, first to last, that make this link's pairs over links of their own"
    )
    generation: Literal["parallel", "sequential"] | None = Field(
        None, description="via: do all hops make pairs at once; parallel unless said otherwise"
    )
    distill_spans: tuple[int, ...] | None = Field(
        None, description="via: after how many hops pairs are distilled two by two"
    )
    distill_protocol: Literal["bbpssw", "dejmps"] | None = Field(None, description="via: dejmps unless said otherwise")
    cutoff_s: float | None = Field(
        None, gt=0, le=1e6, description="via: how long a half waits at a repeater before it is given up, s"
    )
    cutoff_attempts: int | None = Field(
        None, ge=1, le=10**12, description="via: for how many attempts of the hop that it waits for; or cutoff_s"
    )
    code: Annotated[str | None, BeforeValidator(_code_name)] = Field(
        None, description="coded: [[4,2,2]], [[5,1,3]], [[7,1,3]] or qpc(n,m)"
    )
    gate_s: float | None = Field(None, ge=0, le=1e6, description="coded: one layer of the encoder's gates, s")
    eve: EveSpec | None = Field(None, description="direct: an eavesdropper in the fiber; null for none")
    length_km: float | None = Field(None, description="km, 0 to 1e6")
    loss_db_per_km: float | None = Field(None, description="attenuation, dB/km")
    p_init: float | None = Field(None, description="probability to lose a qubit on coupling in")
    detector_efficiency: float | None = Field(None, description="efficiency of the heralding detector")
    speed_km_per_s: float | None = Field(None, description="speed of light in the fiber, km/s")
    emission_rate_hz: float | None = Field(None, description="qubits a second; null: emission takes no time")
    bandwidth_bps: float | None = Field(None, description="classical bits a second; null: bits take no time")
    classical_delay_s: float | None = Field(None, description="of every classical bit, on top of its flight, s")
    engine: EngineName = Field("builtin", description="who does the physics (docs/engines.md)")
    python: str | None = Field(
        None, min_length=1, max_length=4096, pattern=r"^[^\x00]+$",
        description="interpreter of the fiber's process: a path, from the scenario's folder, or a name on PATH",
    )

    _preset: Preset = PrivateAttr(default_factory=lambda: PRESETS["ideal"])  # a default would be copied deep each time
    _physics: Fiber | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _physical(self, info: ValidationInfo) -> Self:
        if self.between[0] == self.between[1]:
            raise wrong("between", list(self.between), "two different nodes")
        known = known_in(info).links
        if self.fiber not in known:
            raise wrong("fiber", self.fiber, preset_named(self.fiber, known))
        self._preset = known[self.fiber]
        for name in self._own_physics():
            if getattr(self, name) is None and getattr(PRESETS["ideal"].fiber, name) is not None:
                raise wrong(name, None, "a number")
        for name in self._foreign():
            raise wrong(name, getattr(self, name), f"nothing here with transport {self.carried_by}")
        for name, why in self._held_elsewhere().items():
            if getattr(self, name) not in (None, IN_A_RATE[name]):
                raise wrong(name, getattr(self, name), f"nothing here: {why} has it in it")
        self._check_via()
        if self.carries == "bits":
            self._check_bits()
        try:
            self._physics = self._fiber()
            if self.via is not None:
                if self.eve is not None:
                    raise ValueError("eve: given with via, expected none here: nothing of a register is in flight")
                return self
            self.line(Hardware(), Hardware())
            self.line(Hardware(), Hardware(), "backward")
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            raise self._refusal(name, message.partition("expected ")[2] or message) from None
        return self

    def _refusal(self, name: str, expected: str) -> PydanticCustomError:
        """What is wrong with a value, by the key that says it."""
        if name == "length_km" and self.lacks_length:
            return lacking(name, expected)
        if self.eve is not None and name == "eve":
            return wrong("eve", self.eve.attack, expected)
        if self.distill is not None and name in Distillation.model_fields:
            return wrong(f"distill.{name}", getattr(self.distill, name), expected)
        name = {"gate_ps": "gate_s", "attempt_ps": "attempt_s"}.get(name, name)
        given = self._in_force(name)
        given = given.model_dump(exclude_unset=True) if isinstance(given, Strict) else given
        return wrong(name, given, expected)

    def _check_via(self) -> None:
        """A link with repeaters has no source of its own, and no other physics than that of its classical bits."""
        if self.via is None:
            beside, expected = _CHAIN_KEYS, "nothing here without via"
        else:
            if self.carried_by != "teleport":
                raise wrong("transport", self.carried_by, "teleport, with via")
            physical = frozenset(Fiber.__dataclass_fields__) - _CLASSICAL_KEYS
            beside, expected = TELEPORT_KEYS | physical, "nothing here with via: the hops make the pairs"
            if self.noise:
                raise wrong("noise", [each.kind for each in self.noise], "nothing here with via")
            if self.engine != "builtin":
                raise wrong("engine", self.engine, "builtin, with via")
        for name in sorted(beside):
            if getattr(self, name) is not None:
                raise wrong(name, getattr(self, name), expected)
        if self.distill_protocol is not None and not self.distill_spans:
            raise wrong("distill_protocol", self.distill_protocol, "distill_spans beside it")

    def _check_bits(self) -> None:
        """A link of bits has no physics of qubits."""
        if self.carried_by != "direct":
            raise wrong("fiber", self.fiber, "a fiber without a transport of its own, for bits alone")
        for name in ("via", "eve", *sorted(frozenset(Fiber.__dataclass_fields__) - _CLASSICAL_KEYS)):
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise wrong(name, getattr(self, name), "nothing here, where a link carries bits alone")
        if self.noise:
            raise wrong("noise", [each.kind for each in self.noise], "nothing here, where a link carries bits alone")

    @property
    def lacks_length(self) -> bool:
        """Whether neither the scenario nor the preset says how long it is; a chain is as long as its hops, and the
        ideal fiber has no length unless one is said."""
        figures = self._preset.figures
        return self.via is None and self.length_km is None and bool(figures) and "length_km" not in figures

    def _foreign(self) -> list[str]:
        """Keys that say something and mean nothing for this transport."""
        own = {"teleport": TELEPORT_KEYS, "coded": CODED_KEYS, "direct": frozenset[str]()}[self.carried_by]
        keys = sorted((TELEPORT_KEYS | CODED_KEYS) - own)
        return [name for name in keys if getattr(self, name) is not None]

    def line(
        self, sender: Hardware, receiver: Hardware, direction: Literal["forward", "backward"] = "forward"
    ) -> Line:
        """One direction, between nodes of this hardware; forward is from the first node to the second.

        Raises:
            ValueError: values that contradict physics or each other; the message starts with the key.
        """
        noise, transport = tuple(each.noise() for each in self.noise), self._transport(direction)
        listening = self.eve is not None and self.eve.direction in (direction, "both")
        eve = self.eve.attacking() if self.eve is not None and listening else None
        return Line(
            self.physics(), noise, sender.memory, receiver.memory, transport, eve, self.engine,
            sender.message_ps, receiver.message_ps, sender.gates, receiver.gates,
        )  # fmt: skip

    @property
    def carried_by(self) -> str:
        """The transport in force."""
        return str(self._setting("transport"))

    def _setting(self, name: str) -> Any:
        """What this link says, else what its preset says for the transport and scheme that are in force."""
        told = getattr(self, name)
        if name in self.model_fields_set and (told is not None or name not in ("transport", "scheme")):
            return told
        return self._preset.transport(self.transport, self.scheme).get(name, told)

    def _in_force(self, name: str) -> Any:
        """A setting as `_setting`, of the fiber too, for a message that is to show what was wrong."""
        if name in self.model_fields_set or name not in Fiber.__dataclass_fields__:
            return self._setting(name) if name in type(self).model_fields else None
        return getattr(self._preset.fiber, name)

    def interpreter(self, base: str) -> str | None:
        """`python`, a path in it taken from the folder `base`."""
        return None if self.python is None else interpreter(self.python, base)

    def _transport(self, direction: Literal["forward", "backward"] = "forward") -> Direct | Teleport | Coded:
        if self.carried_by == "direct":
            return Direct()
        if self.carried_by == "coded":
            gate_s = self._setting("gate_s")
            coded = {"code": self._setting("code"), "gate_ps": None if gate_s is None else round(gate_s * PS_PER_S)}
            return Coded(**{name: value for name, value in coded.items() if value is not None})
        given = {name: self._setting(name) for name in TELEPORT_KEYS - LABORATORY_KEYS - {"distill"}}
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        own = laboratory({name: self._setting(name) for name in OF_ATTEMPTS})
        if "attempt_s" not in self.model_fields_set:
            own = own.over(self.physics())
        chosen["laboratory"] = own if direction == "forward" else own.turned(self.physics().length_km)
        if self.deliver is not None:
            chosen["delivery"] = self.deliver.delivery()
        if self.bell is not None:
            chosen["bell"] = self.bell.weights
            if self.fidelity is None:
                chosen.pop("fidelity", None)  # the preset's
        if self.distill is not None:
            from ketwire.channels.entanglement.distill import Schedule  # noqa: PLC0415

            chosen["distillation"] = Schedule(**self.distill.model_dump())
        return Teleport(**chosen)

    def physics(self) -> Fiber:
        """The fiber of one direction, without losses where a measured rate of pairs has them in it."""
        assert self._physics is not None
        return self._physics

    def _fiber(self) -> Fiber:
        without: dict[str, Any] = {name: IN_A_RATE[name] for name in self._held_elsewhere()}
        told = {name: getattr(self, name) for name in self._own_physics() - without.keys()}
        return replace(self._preset.fiber, **told, **without)

    def _held_elsewhere(self) -> dict[str, str]:
        """Keys of the fiber that another key has in it, by name: which one."""
        if self._setting("transport") != "teleport":
            return {}
        if self._setting("scheme") == "given":
            return dict.fromkeys(IN_A_RATE, "the measured rate_hz")
        told = {key: names for key, names in HAVE_IN_THEM.items() if self._setting(key) is not None}
        return {name: key for key, names in told.items() for name in names}

    def _own_physics(self) -> frozenset[str]:
        """The keys of the fiber's physics that the link gives itself. A resolved link of bits has null for qubits'."""
        named = self.model_fields_set & Fiber.__dataclass_fields__.keys()
        return frozenset(named & _CLASSICAL_KEYS if self.carries == "bits" else named)

    @model_serializer(mode="wrap")
    def _resolved(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With all of the physics, so that a resolved scenario outlives a change of the presets."""
        told, physics = handler(self), asdict(self.physics())
        # A scenario without these keys resolves as it did before there were any.
        optional = LABORATORY_KEYS | _CUTOFF_KEYS
        told = {name: each for name, each in told.items() if each is not None or name not in optional}
        if self.carries == "bits":
            of_qubits = frozenset(physics) - _CLASSICAL_KEYS
            return {**told, **{name: None if name in of_qubits else each for name, each in physics.items()}}
        if self.via is not None:
            # What a chain leaves to its hops has no value here, nor its length where theirs are summed.
            kept = _CLASSICAL_KEYS - ({"length_km"} if self.length_km is None else frozenset())
            own = {name: physics.get(name, told[name]) for name in told if name in kept or name not in physics}
            return {**own, "transport": self.carried_by}
        transport = self._transport()
        settings = asdict(transport) if isinstance(transport, Teleport) else {}
        if isinstance(transport, Teleport) and transport.scheme == "given":
            # A measured fidelity has these in it, and the scheme refuses them.
            settings |= {"dark_count": None, "visibility": None}
        if isinstance(transport, Coded):
            settings = {"code": transport.code, "gate_s": transport.gate_ps / PS_PER_S}
        of_transport = {
            name: settings.get(name) for name in (TELEPORT_KEYS | CODED_KEYS) - LABORATORY_KEYS - {"distill"}
        }
        if isinstance(transport, Teleport):
            told |= {name: value for name in OF_ATTEMPTS if (value := self._setting(name)) is not None}
            if transport.laboratory.attempt_ps is None:
                told.pop("attempt_s", None)
        whole = {**told, "transport": transport.kind, **of_transport, **physics}
        return {name: whole[name] for name in type(self).model_fields if name in whole}
