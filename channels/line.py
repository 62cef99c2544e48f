"""One direction of a link in full: the fiber, its noise, the memories at its ends, and the transport.

These are descriptions: frozen, checked when they are made, and cheap to import. What carries registers
by them is in `channels.machines`, and the mathematics of noise, pairs and codes is imported where a
description needs it, so a plain lossy fiber never loads it.

`direct`: a photon a qubit; one that is lost kills the copy. `teleport`: a heralded pair a qubit, so
nothing of a register is ever lost, but pairs take time and are not perfect: teleportation through a
pair is, averaged over its outcomes, the Pauli channel of the pair's Bell diagonal. `coded`: blocks of
photons that survive some losses and errors (`erasure_codes`). `chain`: like `teleport`, through pairs
that repeaters made (`channels.chain`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.chain import Chain
from ketwire.channels.engines import EngineName, engine
from ketwire.channels.eve import Attack, attack_of
from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS, Emission, emission

if TYPE_CHECKING:
    from ketwire.channels.distill import Schedule
    from ketwire.channels.erasure_codes import Code, LogicalChannel, PhotonWeights
    from ketwire.channels.heralding import Scheme
    from ketwire.channels.machines import Machine
    from ketwire.quantum.kraus import Kraus

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
        from ketwire.quantum import kraus  # noqa: PLC0415

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
    """What holds a register that waits. None: it holds for ever.

    Raises:
        ValueError: time constants that no memory has, T2 > 2 T1 among them.
    """

    t1_ps: float | None = None
    t2_ps: float | None = None

    def __post_init__(self) -> None:
        for name in ("t1_ps", "t2_ps"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}: {value!r} given, expected a finite number above 0, or none")
        t1, t2 = self.constants
        if t2 > 2 * t1:
            raise ValueError(f"t2_ps: {t2:g} given with t1_ps = {t1:g}, expected at most 2 T1 (decay dephases)")

    @property
    def constants(self) -> tuple[float, float]:
        """(T1, T2) in ps, infinite where nothing decays. Without a T2 it is 2 T1: no dephasing of its own."""
        t1 = float("inf") if self.t1_ps is None else self.t1_ps
        return t1, 2 * t1 if self.t2_ps is None else self.t2_ps

    @property
    def is_perfect(self) -> bool:
        return self.t1_ps is None and self.t2_ps is None


@dataclass(frozen=True)
class Direct:
    """A photon a qubit."""

    kind: Literal["direct"] = "direct"

    def check(self, line: Line) -> None:
        line.channel()

    def survival(self, line: Line, qubits: int) -> float:
        return float(line.photon_survival**qubits)

    def time_ps(self, line: Line, qubits: int) -> float:
        return float(qubits * line.fiber.bin_ps)

    def photons(self, line: Line, qubits: int) -> int | None:
        """Photons of one register, where that is a fixed number."""
        return qubits

    def latency_ps(self, line: Line) -> int:
        """What a register takes on top of `time_ps` and its flight, however many follow it."""
        return 0

    def emission(self, line: Line, qubits: int) -> Emission:
        """How the qubits of one register leave."""
        return emission(qubits, line.fiber.bin_ps)

    def machine(self, line: Line) -> Machine:
        from ketwire.channels.machines import DirectMachine  # noqa: PLC0415

        return DirectMachine(line)


@dataclass(frozen=True)
class Teleport:
    """A heralded pair a qubit.

    scheme: `single-click` (with the bright-state population alpha), `double-click`, or `given` (a
        measured rate_hz and fidelity); both clicks have a station midway
    memory_slots: pairs made side by side; slot i mod memory_slots serves qubit i of the stream
    """

    kind: Literal["teleport"] = "teleport"
    scheme: Literal["single-click", "double-click", "given"] = "double-click"
    alpha: float | None = None
    rate_hz: float | None = None
    fidelity: float | None = None
    dark_count: float = 0.0
    visibility: float = 1.0
    memory_slots: int = 1
    distillation: Schedule | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.memory_slots <= 1_000_000:
            raise ValueError(f"memory_slots: {self.memory_slots!r} given, expected a number from 1 to 1e6")
        wanted = {"single-click": {"alpha"}, "double-click": set(), "given": {"rate_hz", "fidelity"}}[self.scheme]
        for name in ("alpha", "rate_hz", "fidelity"):
            if (getattr(self, name) is not None) != (name in wanted):
                what = "a number" if name in wanted else "nothing"
                raise ValueError(f"{name}: {getattr(self, name)!r} given, expected {what} for the scheme {self.scheme}")
        if self.fidelity is not None and not 0.25 <= self.fidelity <= 1.0:
            raise ValueError(f"fidelity: {self.fidelity!r} given, expected 1/4 (no entanglement at all) to 1")
        for name, perfect in (("dark_count", 0.0), ("visibility", 1.0)):
            if self.scheme == "given" and getattr(self, name) != perfect:
                raise ValueError(f"{name}: expected nothing here, a measured fidelity has it in it")

    def pairs(self, line: Line) -> Scheme:
        """How pairs are made over this line."""
        from ketwire.channels.heralding import Given, check_fiber, double_click, single_click  # noqa: PLC0415

        if self.scheme == "given":
            check_fiber(line.fiber)
            assert self.rate_hz is not None and self.fidelity is not None
            outcome_ps = line.fiber.classical_ps + self._handling_ps(line)
            return Given(self.rate_hz, self.fidelity, outcome_ps=outcome_ps)
        clicks = self.dark_count, self.visibility, self._handling_ps(line)
        if self.scheme == "single-click":
            assert self.alpha is not None
            return single_click(line.fiber, self.alpha, *clicks)
        return double_click(line.fiber, *clicks)

    def _handling_ps(self, line: Line) -> int:
        """What the outcome of a round of distillation takes beside its way: one bit, and processing at both ends."""
        if self.distillation is None:
            return 0
        bit_ps = line.fiber.sending_ps(1)
        if bit_ps >= CLOCK_END_PS // 2:
            raise ValueError(
                f"bandwidth_bps: {line.fiber.bandwidth_bps!r} given, expected outcomes of distillation that are sent "
                "in less than 2^61 ps (26 days)"
            )
        return bit_ps + max(line.sender_message_ps, line.receiver_message_ps)

    def check(self, line: Line) -> None:
        if line.noise:
            raise ValueError("noise: given for a link that teleports, expected none: no register is in flight")
        if self.pairs(line).attempt_ps <= 0:
            raise ValueError("length_km: an attempt would take no time, expected a length or an emission_rate_hz")

    def survival(self, line: Line, qubits: int) -> float:
        return 1.0

    def time_ps(self, line: Line, qubits: int) -> float:
        from ketwire.channels.distill import plan  # noqa: PLC0415

        scheme = self.pairs(line)
        one = scheme.attempt_ps / scheme.success_probability
        if self.distillation is not None:
            one = plan(scheme, self.distillation).time_ps
        return qubits * one / self.memory_slots

    def photons(self, line: Line, qubits: int) -> int | None:
        """None: by chance, or unknown where pairs are `given`."""
        return None

    def latency_ps(self, line: Line) -> int:
        return 0

    def pair_bell(self, line: Line) -> NDArray[np.float64]:
        """Bell diagonal of a pair that is used when it is heralded, with memories that do not decay."""
        from ketwire.channels.distill import plan  # noqa: PLC0415
        from ketwire.channels.pairs import bell_diagonal  # noqa: PLC0415

        scheme = self.pairs(line)
        diagonal = bell_diagonal(scheme.state()) if self.distillation is None else plan(scheme, self.distillation).bell
        return np.asarray(diagonal)

    def machine(self, line: Line) -> Machine:
        from ketwire.channels.machines import TeleportMachine  # noqa: PLC0415

        return TeleportMachine(line, self)


@dataclass(frozen=True)
class Coded:
    """Registers inside of a code. code: `[[4,2,2]]`, `[[5,1,3]]`, `[[7,1,3]]` or `qpc(n,m)`.

    gate_ps: duration of one layer of two-qubit gates of the encoder
    """

    kind: Literal["coded"] = "coded"
    code: str = "[[5,1,3]]"
    gate_ps: int = 0

    def __post_init__(self) -> None:
        if self.gate_ps < 0:
            raise ValueError(f"gate_ps: {self.gate_ps!r} given, expected 0 or more")
        self.found()

    def found(self) -> Code:
        """The code of this name.

        Raises:
            ValueError: there is none.
        """
        from ketwire.channels.erasure_codes import code  # noqa: PLC0415

        return code(self.code)

    def check(self, line: Line) -> None:
        """Also whether its logical channel can be worked out, which is kept for whoever asks next."""
        if self.photon_weights(line) != IDENTITY:
            self.channel(line)

    def photon_weights(self, line: Line) -> PhotonWeights:
        """Pauli weights of all that befalls a photon which arrives: of I, X, Y, Z; or, by photon, where they differ.

        A photon waits for its bin in the sender's memory, flies, and waits in the receiver's memory until its
        block is whole. Each photon is in a random Pauli frame that both ends know, from the encoder to the
        decoder, so relaxation counts by its Pauli twirl.

        Raises:
            ValueError: the noise in flight is no Pauli noise.
        """
        flight, photons = line.flight, self.found().physical_per_block
        if line.fiber.bin_ps == 0 or photons == 1 or (line.sender.is_perfect and line.receiver.is_perfect):
            return flight
        from ketwire.quantum.kraus import composed, twirled_decay  # noqa: PLC0415

        sender_ps, receiver_ps = (each[0] for each in emission(photons, line.fiber.bin_ps).waits())
        if line.sender.constants == line.receiver.constants:
            # Alike for all photons, to the last digit.
            sender_ps, receiver_ps = sender_ps[-1], receiver_ps[-1]
        there, here = line.sender.constants, line.receiver.constants
        relaxed, dephased = (sender_ps / a + receiver_ps / b for a, b in zip(there, here, strict=True))
        weights = composed(twirled_decay(relaxed, dephased), flight).tolist()
        return tuple(weights if np.ndim(relaxed) == 0 else map(tuple, weights))

    def channel(self, line: Line) -> LogicalChannel:
        """What the code makes of this line, for one block.

        Raises:
            ValueError: see `erasure_codes.Code.logical_channel`.
        """
        return self.found().logical_channel(line.fiber.survival, self.photon_weights(line))

    def emission(self, line: Line, qubits: int) -> Emission:
        """How the blocks of one register leave; its qubits wait bare for the encoder, and until all are decoded."""
        code = self.found()
        return emission(
            qubits, line.fiber.bin_ps, code.qubits_per_block, code.physical_per_block, self.latency_ps(line)
        )

    def survival(self, line: Line, qubits: int) -> float:
        return float(self.channel(line).success ** self.blocks(qubits))

    def blocks(self, qubits: int) -> int:
        return -(-qubits // self.found().qubits_per_block)

    def time_ps(self, line: Line, qubits: int) -> float:
        return float(self.blocks(qubits) * self.found().physical_per_block * line.fiber.bin_ps)

    def photons(self, line: Line, qubits: int) -> int | None:
        return self.blocks(qubits) * self.found().physical_per_block

    def latency_ps(self, line: Line) -> int:
        """The encoder's."""
        return self.found().encode_layers * self.gate_ps

    def machine(self, line: Line) -> Machine:
        from ketwire.channels.machines import CodedMachine  # noqa: PLC0415

        return CodedMachine(line, self)


@dataclass(frozen=True)
class Line:
    """One direction of a link, in full: the fiber, its noise, the memories at its ends, the transport.

    eve: who listens in this direction (`channels.eve`); nobody where it is None
    engine: who does its physics (`channels.engines`)
    sender_message_ps, receiver_message_ps: what each end takes to process a classical message that it gets

    Raises:
        ValueError: parts that do not fit together.
    """

    fiber: Fiber = field(default_factory=Fiber)
    noise: tuple[Noise, ...] = ()
    sender: Memory = field(default_factory=Memory)
    receiver: Memory = field(default_factory=Memory)
    transport: Direct | Teleport | Coded | Chain = field(default_factory=Direct)
    eve: Attack | None = None
    engine: EngineName = "builtin"
    sender_message_ps: int = 0
    receiver_message_ps: int = 0

    def __post_init__(self) -> None:
        if self.eve is not None and not isinstance(self.transport, Direct):
            why = "a code's loss and errors are drawn without her"
            if isinstance(self.transport, Teleport | Chain):
                why = "nothing of a register is in flight, and a pair carries no data"
            raise ValueError(f"eve: given for transport {self.transport.kind}, expected none here: {why}")
        engine(self.engine).check(self)

    def survival(self, qubits: int) -> float:
        """Probability that a register of `qubits` arrives."""
        return self.transport.survival(self, qubits)

    def time_ps(self, qubits: int) -> float:
        """Expected time that one register of a long stream takes: the emitter or the slots, or the lane of its bits."""
        return max(self.transport.time_ps(self, qubits), float(self.outcomes_ps(qubits)))

    def outcomes_ps(self, qubits: int) -> int:
        """How long the outcomes of the Bell measurements of one register keep the classical lane busy."""
        return qubits * self.fiber.sending_ps(2) if isinstance(self.transport, Teleport | Chain) else 0

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
        if isinstance(self.transport, Teleport | Chain):
            return self.message_ps + self.outcomes_ps(qubits)
        return self.fiber.delay_ps + self.transport.latency_ps(self)

    @property
    def message_ps(self) -> int:
        """From when a classical bit has left until the receiver has processed it."""
        return self.fiber.classical_ps + self.receiver_message_ps

    @property
    def photon_survival(self) -> float:
        """Probability that one emitted photon arrives and is heralded, an eavesdropper's share taken out."""
        return self.fiber.survival * (1.0 if self.eve is None else self.eve.passed)

    @property
    def touches_states(self) -> bool:
        """Whether a crossing can change amplitudes: everything but losing and delaying them."""
        perfect = self.sender.is_perfect and self.receiver.is_perfect
        disturbed = self.eve is not None and self.eve.touches_states
        return bool(self.noise) or disturbed or not perfect or not isinstance(self.transport, Direct)


def as_line(physics: Line | Fiber) -> Line:
    """A bare fiber is a line that sends directly, without noise."""
    return physics if isinstance(physics, Line) else Line(physics)


def told(line: Line) -> dict[str, Any]:
    """A line as JSON values, for the process that is to be it."""
    return asdict(line)


def line_of(values: dict[str, Any]) -> Line:
    """The line that `told` told of."""
    from ketwire.channels.distill import Schedule  # noqa: PLC0415

    transport = dict(values["transport"])
    if transport.get("distillation") is not None:
        transport["distillation"] = Schedule(**transport["distillation"])
    if transport["kind"] == "chain":
        transport["hops"] = tuple(line_of(hop) for hop in transport["hops"])
        transport = {name: _tuples(value) for name, value in transport.items()}
    kinds: dict[str, type[Direct | Teleport | Coded | Chain]] = {
        "direct": Direct, "teleport": Teleport, "coded": Coded, "chain": Chain,
    }  # fmt: skip
    noise = [{**each, "operators": _tuples(each["operators"])} for each in values["noise"]]
    return Line(
        Fiber(**values["fiber"]),
        tuple(Noise(**each) for each in noise),
        Memory(**values["sender"]),
        Memory(**values["receiver"]),
        kinds[transport["kind"]](**transport),
        None if values["eve"] is None else attack_of(values["eve"]),
        values["engine"],
        values["sender_message_ps"],
        values["receiver_message_ps"],
    )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
