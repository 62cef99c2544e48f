"""What a scenario says of a node: a preset of its hardware, and what differs from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from ketwire.channels.hardware import ERRORS, HARDWARE, Hardware
from ketwire.channels.hardware import Preset as Kit
from ketwire.channels.timing import PS_PER_S
from ketwire.scenarios.schema.known import known_in
from ketwire.scenarios.schema.strict import Strict, wrong
from ketwire.scenarios.schema.validation import preset_named

_SECONDS = {
    "prepare_s": "prepare_ps", "gate1_s": "gate1_ps", "gate2_s": "gate2_ps", "readout_s": "readout_ps",
    "message_s": "message_ps",
}  # fmt: skip
_LIFETIMES = {"t1_s": "t1_ps", "t2_s": "t2_ps"}
_OF_PREPARATION = ("prepare_s", "p_prepare")


Probability = Annotated[float, Field(ge=0, le=1)]


def _misread_form(given: Any) -> str:
    return "pair" if isinstance(given, list) else "one"


Misread = Annotated[
    Annotated[Probability, Tag("one")] | Annotated[list[Probability], Field(min_length=2, max_length=2), Tag("pair")],
    Discriminator(_misread_form),
]


class Node(Strict):
    """A party's hardware: a preset, and what differs from it.

    Fields that are not given are the preset's.
    """

    hardware: str = Field("ideal", description="a preset (ketwire presets)")
    t1_s: float | None = Field(None, gt=0, description="relaxation time T1 of the memory, s; null: none")
    t2_s: float | None = Field(None, gt=0, description="coherence time T2, s, at most 2 T1; null: 2 T1")
    t2_shape: Literal["exponential", "gaussian"] | None = Field(
        None, description="how coherences fade: e^(-t/T2), or e^(-(t/T2)^2) beside relaxation"
    )
    t2_attempts: float | None = Field(
        None, gt=0, le=1e15, description="attempts after which the coherence of a half that waits meanwhile is 1/e"
    )
    prepare_s: float | None = Field(None, ge=0, description="to prepare a register in |0...0>, s")
    gate1_s: float | None = Field(None, ge=0, description="a gate on one qubit, s")
    gate2_s: float | None = Field(None, ge=0, description="a gate on two qubits, s")
    readout_s: float | None = Field(None, ge=0, description="to measure a register, s")
    message_s: float | None = Field(
        None, ge=0, le=1e6, description="to process a classical message that is received, s"
    )
    p_prepare: float | None = Field(None, ge=0, le=1, description="depolarizing of each qubit that is prepared")
    p_gate1: float | None = Field(None, ge=0, le=1, description="depolarizing after a gate on one qubit")
    p_gate2: float | None = Field(None, ge=0, le=1, description="depolarizing of both after a gate on two qubits")
    p_readout: Misread | None = Field(
        None, description="probability that a bit is read wrongly; or [p01, p10], a 0 as 1 and a 1 as 0"
    )

    _kit: Kit = PrivateAttr(default_factory=lambda: HARDWARE["ideal"])  # a default would be copied deep each time
    _physics: Hardware | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _physical(self, info: ValidationInfo) -> Self:
        known = known_in(info).nodes
        if self.hardware not in known:
            raise wrong("hardware", self.hardware, preset_named(self.hardware, known))
        self._kit = known[self.hardware]
        for name in self.model_fields_set - {"hardware", "t2_shape", "t2_attempts", *_LIFETIMES}:
            if getattr(self, name) is None:
                raise wrong(name, None, "a number")
        try:
            self._physics = self._told()
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            if name == "t2_shape":
                raise wrong(name, self.t2_shape, message.partition("expected ")[2]) from None
            name = name.removesuffix("_ps") + "_s" if name.endswith("_ps") else name
            raise wrong(name, self._numbers()[name], message.partition("expected ")[2]) from None
        return self

    def physics(self) -> Hardware:
        """The hardware, its times in ps."""
        assert self._physics is not None
        return self._physics

    def _told(self) -> Hardware:
        """The same, from what is said.

        Raises:
            ValueError: values that no hardware has, together with those of the preset.
        """
        chosen = {name: getattr(self, name) for name in self.model_fields_set - {"hardware"}}
        preset = self._kit.hardware
        lifetimes = {
            ps: None if chosen[s] is None else chosen[s] * PS_PER_S for s, ps in _LIFETIMES.items() if s in chosen
        }
        attempts = self.t2_attempts if "t2_attempts" in self.model_fields_set else preset.memory.attempts
        times = {ps: round(chosen[s] * PS_PER_S) for s, ps in _SECONDS.items() if s in chosen}
        errors = {name: chosen[name] for name in ERRORS if name in chosen}
        if isinstance(self.p_readout, list) and "p_readout" in errors:
            errors["p_readout"] = tuple(self.p_readout)
        memory = replace(preset.memory, gaussian=self._shape() == "gaussian", attempts=attempts, **lifetimes)
        return replace(preset, memory=memory, **times, **errors)

    def _shape(self) -> str | None:
        """The shape that is said; else the preset's, where anything dephases."""
        if self.t2_shape is not None:
            return self.t2_shape
        dephases = self.t2_s is not None or "t2_s" not in self.model_fields_set
        return "gaussian" if self._kit.hardware.memory.gaussian and dephases else None

    def shaped_by(self) -> str:
        """The key that says the shape: of T2 or, where it is the preset's, of the hardware."""
        return "hardware" if self.t2_shape is None else "t2_shape"

    def prepares_by(self) -> str | None:
        """The key that says of preparation that it takes time or errs; None where none does.

        What the preset says of it does not count, as a preset is of all kinds of nodes.
        """
        preset = self._preset_numbers()
        said = (name for name in _OF_PREPARATION if name in self.model_fields_set)
        return next((name for name in said if getattr(self, name) and getattr(self, name) != preset[name]), None)

    def _numbers(self) -> dict[str, Any]:
        """Every number in the units of a scenario: as given, else the preset's."""
        numbers = self._preset_numbers()
        return {name: getattr(self, name) if name in self.model_fields_set else numbers[name] for name in numbers}

    def _preset_numbers(self) -> dict[str, Any]:
        preset = self._kit.hardware
        lifetimes = {s: getattr(preset.memory, ps) for s, ps in _LIFETIMES.items()}
        numbers: dict[str, Any] = {s: t and t / PS_PER_S for s, t in lifetimes.items()}
        numbers |= {s: getattr(preset, ps) / PS_PER_S for s, ps in _SECONDS.items()}
        errors = {name: getattr(preset, name) for name in ERRORS}
        return numbers | {name: list(each) if isinstance(each, tuple) else each for name, each in errors.items()}

    @model_serializer(mode="wrap")
    def _resolved(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With all numbers, so that a resolved scenario outlives a change of the presets."""
        told = {**handler(self), **self._numbers(), "t2_shape": self._shape()}
        for name in ("t2_shape", "t2_attempts"):  # a scenario without them resolves as it did before there were any
            if told.get(name) is None:
                told.pop(name, None)
        return told
