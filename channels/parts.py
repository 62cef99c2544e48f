"""What a line is made of, and what it asks of its transport.

Descriptions: frozen, checked when they are made, and cheap to import. The mathematics of noise is imported where it is
needed, so a plain lossy fiber never loads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np

from ketwire.channels.eve import Attack
from ketwire.channels.fiber import Fiber
from ketwire.quantum.noise.lifetimes import Gaussian

if TYPE_CHECKING:
    from ketwire.quantum.noise.kraus import Kraus

IDENTITY = (1.0, 0.0, 0.0, 0.0)
NoiseKind = Literal["depolarizing", "dephasing", "bit-flip", "amplitude-damping", "kraus"]


@dataclass(frozen=True)
class Noise:
    """One channel on each qubit in flight.

    probability or rate_hz: one of them, except for `kraus`
    operators: for `kraus`, rows of entries (real, imaginary), shape (k, 2, 2, 2)

    Raises:
        ValueError: no such channel; the message starts with the field's name.
    """

    kind: NoiseKind
    probability: float | None = None
    rate_hz: float | None = None
    operators: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind == "kraus":
            if self.operators is None or self.probability is not None or self.rate_hz is not None:
                raise ValueError("operators: given, expected Kraus operators, and neither probability nor rate_hz")
        elif self.operators is not None:
            raise ValueError(f"operators: given for {self.kind}, expected them for kraus alone")
        elif (self.probability is None) == (self.rate_hz is None):
            raise ValueError("probability: expected either probability or rate_hz")
        self.channel(0)

    def channel(self, flight_ps: int) -> Kraus:
        """What a qubit meets that flies for `flight_ps`."""
        from ketwire.quantum.noise import kraus  # noqa: PLC0415

        if self.operators is not None:
            parts = np.array(self.operators, dtype=np.float64)
            if parts.ndim != 4 or parts.shape[1:] != (2, 2, 2):
                raise ValueError(
                    f"operators: shape {list(parts.shape)} given, expected a list of 2 x 2 operators, each entry as "
                    "[real, imaginary]"
                )
            return kraus.general(parts[..., 0] + 1j * parts[..., 1])
        p = self.probability if self.rate_hz is None else kraus.probability_from_rate(self.rate_hz, flight_ps)
        assert p is not None
        return {
            "depolarizing": kraus.depolarize,
            "dephasing": kraus.dephase,
            "bit-flip": kraus.bit_flip,
            "amplitude-damping": kraus.amplitude_damp,
        }[self.kind](p)


@dataclass(frozen=True)
class Memory:
    """What holds a register that waits. None: it holds forever.

    gaussian: T2 is that of a Gaussian decay, e^(-(t/T2)²) beside relaxation, from the start in each stretch of waiting
    attempts: after so many attempts to make another pair the coherence of a half that waits for it is 1/e

    Raises:
        ValueError: time constants that no memory has, T2 > 2 T1 among them.
    """

    t1_ps: float | None = None
    t2_ps: float | None = None
    gaussian: bool = False
    attempts: float | None = None

    def __post_init__(self) -> None:
        for name in ("t1_ps", "t2_ps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: {value!r} given, expected a finite number above 0, or none")
        if self.attempts is not None and not 0 < self.attempts < float("inf"):
            raise ValueError(f"t2_attempts: {self.attempts!r} given, expected a finite number above 0, or none")
        if self.gaussian and self.t2_ps is None:
            raise ValueError("t2_shape: gaussian given without a T2, expected t2_s beside it")
        t1, t2 = self.constants
        if t2 > 2 * t1:
            raise ValueError(f"t2_ps: {t2:g} given with t1_ps = {t1:g}, expected at most 2 T1 (decay dephases)")

    @property
    def constants(self) -> tuple[float, float]:
        """(T1, T2) in ps, infinite where nothing decays; T2 says its shape (`quantum.noise.lifetimes`).

        Without a T2 it is 2 T1: no dephasing of its own.
        """
        t1 = float("inf") if self.t1_ps is None else self.t1_ps
        if self.t2_ps is None:
            return t1, 2 * t1
        return t1, Gaussian(self.t2_ps) if self.gaussian else self.t2_ps

    @property
    def is_perfect(self) -> bool:
        """Whether nothing decays with time."""
        return self.t1_ps is None and self.t2_ps is None

    @property
    def keeps_pairs(self) -> bool:
        """Whether halves of pairs do not decay, with time or with attempts."""
        return self.is_perfect and self.attempts is None

    @property
    def per_attempt(self) -> float:
        """x for coherences of halves that shrink by e^-x with each attempt."""
        return 0.0 if self.attempts is None else 1.0 / self.attempts


@dataclass(frozen=True)
class Gates:
    """What a node takes for gates and readouts on halves of pairs, and how these err: see `channels.hardware`.

    p_readout: probability to read 1 where there was 0, and 0 where there was 1
    """

    gate1_ps: int = 0
    gate2_ps: int = 0
    readout_ps: int = 0
    p_gate1: float = 0.0
    p_gate2: float = 0.0
    p_readout: tuple[float, float] = (0.0, 0.0)

    @property
    def are_perfect(self) -> bool:
        """Whether they take no time and make no errors."""
        return self == Gates()

    @cached_property
    def bell_ps(self) -> int:
        """Of the gates of a Bell measurement, before its readout: a controlled NOT and a Hadamard gate."""
        return self.gate2_ps + self.gate1_ps

    @cached_property
    def bell_whole_ps(self) -> int:
        """Of a Bell measurement, until its outcome is known."""
        return self.bell_ps + self.readout_ps


class Medium(Protocol):
    """What a transport may know of the line that it is on; see `channels.line.Line`, which is one."""

    @property
    def fiber(self) -> Fiber: ...
    @property
    def noise(self) -> tuple[Noise, ...]: ...
    @property
    def sender(self) -> Memory: ...
    @property
    def receiver(self) -> Memory: ...
    @property
    def eve(self) -> Attack | None: ...
    @property
    def sender_message_ps(self) -> int: ...
    @property
    def receiver_message_ps(self) -> int: ...
    @property
    def sender_gates(self) -> Gates: ...
    @property
    def receiver_gates(self) -> Gates: ...
    @property
    def ends(self) -> tuple[Gates, Gates]: ...
    @property
    def message_ps(self) -> int: ...
    @property
    def photon_survival(self) -> float: ...
    @property
    def flight(self) -> tuple[float, ...]: ...
    def channel(self) -> Kraus | None: ...


class Transport(Protocol):
    """A way to carry registers over a line.

    teleports: through pairs; nothing of a register is in flight
    """

    teleports: ClassVar[bool]

    @property
    def kind(self) -> str: ...

    def check(self, line: Medium) -> None:
        """Refuse a line that it does not fit.

        Raises:
            ValueError: the message starts with the name of the field.
        """
        ...

    def survival(self, line: Medium, qubits: int) -> float:
        """Probability that a register of `qubits` arrives."""
        ...

    def time_ps(self, line: Medium, qubits: int) -> float:
        """Expected time for which one register of a long stream keeps the emitter or the slots."""
        ...

    def photons(self, line: Medium, qubits: int) -> int | None:
        """Photons of one register, where that is a fixed number."""
        ...

    def latency_ps(self, line: Medium) -> int:
        """What a register takes on top of `time_ps` and its flight, however many follow it."""
        ...
