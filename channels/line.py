"""One direction of a link in full: the fiber, its noise, the memories at its ends, and the transport.

A description: frozen, checked when it is made, and cheap to import. What carries registers by it is in
`channels.machines`; `channels.transports` and `channels.entanglement.chain` say which transports there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Literal

from ketwire.channels import netsquid_limits
from ketwire.channels.eve import Attack
from ketwire.channels.fiber import Fiber
from ketwire.channels.parts import IDENTITY, Gates, Memory, Noise, Transport
from ketwire.channels.transports import Direct

if TYPE_CHECKING:
    from ketwire.quantum.noise.kraus import Kraus

EngineName = Literal["builtin", "netsquid"]
ENGINES: tuple[EngineName, ...] = ("builtin", "netsquid")
"""Who does the physics of a line: see `channels.engines`."""


@dataclass(frozen=True)
class Line:
    """One direction of a link, in full: the fiber, its noise, the memories at its ends, the transport.

    eve: who listens in this direction (`channels.eve`); None: no eavesdropper
    engine: who does its physics (`channels.engines`)
    sender_message_ps, receiver_message_ps: what each end takes to process a classical message that it gets
    sender_gates, receiver_gates: how each end works on halves of pairs

    Raises:
        ValueError: parts that do not fit together.
    """

    fiber: Fiber = field(default_factory=Fiber)
    noise: tuple[Noise, ...] = ()
    sender: Memory = field(default_factory=Memory)
    receiver: Memory = field(default_factory=Memory)
    transport: Transport = field(default_factory=Direct)
    eve: Attack | None = None
    engine: EngineName = "builtin"
    sender_message_ps: int = 0
    receiver_message_ps: int = 0
    sender_gates: Gates = field(default_factory=Gates)
    receiver_gates: Gates = field(default_factory=Gates)

    def __post_init__(self) -> None:
        if self.eve is not None and self.transport.kind != "direct":
            why = "a code's loss and errors are drawn without her"
            if self.transport.teleports:
                why = "nothing of a register is in flight, and a pair carries no data"
            raise ValueError(f"eve: given for transport {self.transport.kind}, expected none here: {why}")
        if self.engine not in ENGINES:
            raise ValueError(f"engine: {self.engine!r} given, expected one of {', '.join(ENGINES)}")
        if self.engine == "netsquid":
            netsquid_limits.refuse(self, self.transport.kind)
        self.transport.check(self)

    def survival(self, qubits: int) -> float:
        """Probability that a register of `qubits` arrives."""
        return self.transport.survival(self, qubits)

    def time_ps(self, qubits: int) -> float:
        """Expected time that one register of a long stream takes: the emitter or the slots, or the lane of its bits."""
        return max(self.transport.time_ps(self, qubits), float(self.outcomes_ps(qubits)))

    def outcomes_ps(self, qubits: int) -> int:
        """How long the outcomes of the Bell measurements of one register keep the classical lane busy."""
        return qubits * self.fiber.sending_ps(2) if self.transport.teleports else 0

    def channel(self) -> Kraus | None:
        """The noise in flight, as one channel; None where there is none."""
        channels = [noise.channel(self.fiber.delay_ps) for noise in self.noise]
        return reduce(type(channels[0]).then, channels) if channels else None

    @property
    def flight(self) -> tuple[float, ...]:
        """Pauli weights of the noise in flight; ValueError where it is no Pauli noise."""
        channel = self.channel()
        if channel is None:
            return IDENTITY
        if channel.pauli_weights is None:
            raise ValueError("noise: expected Pauli noise alone (a code corrects no other)")
        return tuple(float(weight) for weight in channel.pauli_weights)

    def latency_ps(self, qubits: int) -> int:
        """What a register takes on top of `time_ps` until it is whole at the receiver, however many follow it."""
        if self.transport.teleports:
            return self.sender_gates.bell_whole_ps + self.corrected_ps + self.outcomes_ps(qubits)
        return self.fiber.delay_ps + self.transport.latency_ps(self)

    @cached_property
    def message_ps(self) -> int:
        """From when a classical bit has left until the receiver has processed it."""
        return self.fiber.classical_ps + self.receiver_message_ps

    @property
    def ends(self) -> tuple[Gates, Gates]:
        """What works on the halves of a pair at each end, the sender's first."""
        return self.sender_gates, self.receiver_gates

    @property
    def per_attempt(self) -> float:
        """x for coherences of pairs between both ends that shrink by e^-x with each attempt while they wait."""
        return self.sender.per_attempt + self.receiver.per_attempt

    @cached_property
    def corrected_ps(self) -> int:
        """From when the outcome of a Bell measurement has left until the receiver has corrected its qubit."""
        return self.message_ps + self.receiver_gates.gate1_ps

    @property
    def photon_survival(self) -> float:
        """Probability that one emitted photon arrives and is heralded, an eavesdropper's share taken out."""
        return self.fiber.survival * (1.0 if self.eve is None else self.eve.passed)

    @property
    def touches_states(self) -> bool:
        """Whether a crossing can change amplitudes: everything but losing and delaying them."""
        perfect = self.sender.is_perfect and self.receiver.is_perfect
        disturbed = self.eve is not None and self.eve.touches_states
        return bool(self.noise) or disturbed or not perfect or self.transport.kind != "direct"


def as_line(physics: Line | Fiber) -> Line:
    """A bare fiber is a line that sends directly, without noise."""
    return physics if isinstance(physics, Line) else Line(physics)
