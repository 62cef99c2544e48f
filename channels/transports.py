"""The transports that need no repeater, as descriptions: what each asks of a line and what a register takes on it.

`direct`: a photon a qubit; one that is lost kills the copy. `teleport`: a heralded pair a qubit, so
nothing of a register is ever lost, but pairs take time and are not perfect: teleportation through a
pair is, averaged over its outcomes, the Pauli channel of the pair's Bell diagonal. `coded`: blocks of
photons that survive some losses and errors (`erasure_codes`). Another one, `chain`, is in
`channels.entanglement.chain`.

The mathematics of pairs and codes is imported where a description needs it. What carries registers is in
`channels.machines`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.delivery import Delivery
from ketwire.channels.entanglement.laboratory import IDEAL, Laboratory, check_fiber
from ketwire.channels.parts import IDENTITY, Medium
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, Emission, emission
from ketwire.quantum.noise.lifetimes import dephased

if TYPE_CHECKING:
    from ketwire.channels.codes.erasure import Code, LogicalChannel, PhotonWeights
    from ketwire.channels.entanglement.distill import Schedule
    from ketwire.channels.entanglement.heralding import Scheme


@dataclass(frozen=True)
class Direct:
    """A photon a qubit."""

    teleports: ClassVar[bool] = False
    kind: Literal["direct"] = "direct"

    def check(self, line: Medium) -> None:
        line.channel()

    def survival(self, line: Medium, qubits: int) -> float:
        return float(line.photon_survival**qubits)

    def time_ps(self, line: Medium, qubits: int) -> float:
        return float(qubits * line.fiber.bin_ps)

    def photons(self, line: Medium, qubits: int) -> int | None:
        """Photons of one register, where that is a fixed number."""
        return qubits

    def latency_ps(self, line: Medium) -> int:
        """What a register takes on top of `time_ps` and its flight, however many follow it."""
        return 0

    def emission(self, line: Medium, qubits: int) -> Emission:
        """How the qubits of one register leave."""
        return emission(qubits, line.fiber.bin_ps)


@dataclass(frozen=True)
class Teleport:
    """A heralded pair a qubit.

    scheme: `single-click` (with the bright-state population alpha), `double-click`, or `given` (a
        measured rate_hz, and fidelity or bell); both clicks have a station between the ends
    bell: of a given pair in place of its fidelity: weights of Φ+, Ψ-, Ψ+, Φ-, which sum to 1
    laboratory: how attempts are made and what emitters do; of a given pair its attempt_ps alone
    delivery: when pairs are handed over, made or not; None: when they are made
    memory_slots: pairs made side by side; slot i mod memory_slots serves qubit i of the stream
    """

    teleports: ClassVar[bool] = True
    kind: Literal["teleport"] = "teleport"
    scheme: Literal["single-click", "double-click", "given"] = "double-click"
    alpha: float | None = None
    rate_hz: float | None = None
    fidelity: float | None = None
    dark_count: float = 0.0
    visibility: float = 1.0
    memory_slots: int = 1
    distillation: Schedule | None = None
    bell: tuple[float, float, float, float] | None = None
    laboratory: Laboratory = IDEAL
    delivery: Delivery | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.memory_slots <= 1_000_000:
            raise ValueError(f"memory_slots: {self.memory_slots!r} given, expected a number from 1 to 1e6")
        if self.fidelity is not None and self.bell is not None:
            raise ValueError(f"bell: {list(self.bell)} given, expected nothing beside fidelity")
        state = "fidelity" if self.bell is None else "bell"
        wanted = {"single-click": {"alpha"}, "double-click": set(), "given": {"rate_hz", state}}[self.scheme]
        for name in ("alpha", "rate_hz", "fidelity", "bell"):
            if (getattr(self, name) is not None) != (name in wanted):
                what = "a number" if name in wanted else "nothing"
                raise ValueError(f"{name}: {getattr(self, name)!r} given, expected {what} for the scheme {self.scheme}")
        if self.bell is not None and (min(self.bell) < 0.0 or abs(sum(self.bell) - 1.0) > 1e-9):
            raise ValueError(f"bell: {list(self.bell)} given, expected four weights from 0 that sum to 1")
        self._check_laboratory()
        if self.fidelity is not None and not 0.25 <= self.fidelity <= 1.0:
            raise ValueError(f"fidelity: {self.fidelity!r} given, expected 1/4 (no entanglement at all) to 1")
        for name, perfect in (("dark_count", 0.0), ("visibility", 1.0)):
            if self.scheme == "given" and getattr(self, name) != perfect:
                raise ValueError(f"{name}: expected nothing here, a measured fidelity has it in it")

    def _check_laboratory(self) -> None:
        if self.scheme == "given":
            for name in Laboratory.__dataclass_fields__.keys() - {"attempt_ps"}:
                if (value := getattr(self.laboratory, name)) != getattr(IDEAL, name):
                    raise ValueError(f"{name}: {value!r} given, expected nothing here, what was measured has it in it")
        if self.distillation is not None and not self.laboratory.wait_for_herald:
            raise ValueError("wait_for_herald: false given, expected true with distill")
        if self.distillation is not None and self.delivery is not None:
            raise ValueError("deliver: expected nothing here with distill")

    def turned(self, line: Medium) -> Self:
        """The same in the other direction of a link."""
        return replace(self, laboratory=self.laboratory.turned(line.fiber.length_km))

    def pairs(self, line: Medium) -> Scheme:
        """How pairs are made over this line."""
        from ketwire.channels.entanglement.given import Given  # noqa: PLC0415
        from ketwire.channels.entanglement.heralding import double_click, single_click  # noqa: PLC0415

        if self.scheme == "given":
            check_fiber(line.fiber)
            assert self.rate_hz is not None
            outcome_ps = line.fiber.classical_ps + self._handling_ps(line)
            attempt_ps, chance = self.laboratory.attempt_ps, {}
            if attempt_ps is not None:
                chance = {"success_probability": self.rate_hz * attempt_ps / PS_PER_S}
                if chance["success_probability"] > 1.0:
                    raise ValueError(f"attempt_ps: {attempt_ps} given, expected at most a second by rate_hz")
            return Given(self.rate_hz, self.fidelity, outcome_ps=outcome_ps, bell=self.bell, **chance)
        clicks = self.dark_count, self.visibility, self._handling_ps(line), self.laboratory
        if self.scheme == "single-click":
            assert self.alpha is not None
            return single_click(line.fiber, self.alpha, *clicks)
        return double_click(line.fiber, *clicks)

    def round_ps(self, line: Medium) -> int:
        """Of a round of distillation, until its outcome is known at both ends."""
        from ketwire.channels.entanglement.rounds import gates_ps  # noqa: PLC0415

        assert self.distillation is not None
        return gates_ps(self.distillation.protocol, line.ends) + self.pairs(line).outcome_ps

    def _handling_ps(self, line: Medium) -> int:
        """What the outcome of a round takes beside its way: readout at either end, one bit, processing at the other."""
        if self.distillation is None:
            return 0
        bit_ps = line.fiber.sending_ps(1)
        if bit_ps >= CLOCK_END_PS // 2:
            raise ValueError(
                f"bandwidth_bps: {line.fiber.bandwidth_bps!r} given, expected outcomes of distillation that are sent "
                "in less than 2^61 ps (26 days)"
            )
        there_ps = line.receiver_gates.readout_ps + line.sender_message_ps
        back_ps = line.sender_gates.readout_ps + line.receiver_message_ps
        if max(there_ps, back_ps) >= CLOCK_END_PS // 2:
            raise ValueError("distill: readouts and messages take too long, expected less than 2^61 ps (26 days)")
        return bit_ps + max(there_ps, back_ps)

    def check(self, line: Medium) -> None:
        if line.noise:
            raise ValueError("noise: given for a link that teleports, expected none: no register is in flight")
        schedule = self.distillation
        if schedule is not None and schedule.protocol == "epl" and self.scheme != "single-click":
            raise ValueError(f"distill: epl given for {self.scheme}, expected single-click or another protocol")
        if self.pairs(line).attempt_ps <= 0:
            raise ValueError(
                "length_km: an attempt would take no time, expected a length, an emission_rate_hz or an attempt_s"
            )
        if self.delivery is not None:
            self.delivery.tries(self.pairs(line), line.sender_gates.bell_whole_ps)

    def survival(self, line: Medium, qubits: int) -> float:
        return 1.0

    def time_ps(self, line: Medium, qubits: int) -> float:
        from ketwire.channels.entanglement.distill import plan  # noqa: PLC0415
        from ketwire.channels.entanglement.heralding import mean_ps  # noqa: PLC0415

        scheme = self.pairs(line)
        one = mean_ps(scheme)
        if self.distillation is not None:
            one = plan(scheme, self.distillation, line.ends).time_ps
        if self.delivery is not None:
            return float(qubits * self.delivery.every_ps / self.memory_slots)
        return qubits * (one + line.sender_gates.bell_whole_ps) / self.memory_slots

    def photons(self, line: Medium, qubits: int) -> int | None:
        """None: by chance, or unknown where pairs are `given`."""
        return None

    def latency_ps(self, line: Medium) -> int:
        return 0

    def pair_bell(self, line: Medium) -> NDArray[np.float64]:
        """Bell diagonal of a pair that is used when it is there, with memories that do not decay."""
        from ketwire.channels.entanglement.distill import plan  # noqa: PLC0415
        from ketwire.channels.entanglement.pairs import bell_diagonal  # noqa: PLC0415

        scheme = self.pairs(line)
        if self.delivery is not None:
            return self.delivery.bell(scheme, math.inf, math.inf, line.sender_gates.bell_whole_ps)
        if self.distillation is None:
            return bell_diagonal(scheme.state())
        return plan(scheme, self.distillation, line.ends).bell


@dataclass(frozen=True)
class Coded:
    """Registers inside of a code. code: `[[4,2,2]]`, `[[5,1,3]]`, `[[7,1,3]]` or `qpc(n,m)`.

    gate_ps: duration of one layer of two-qubit gates of the encoder
    """

    teleports: ClassVar[bool] = False
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
        from ketwire.channels.codes.erasure import code  # noqa: PLC0415

        return code(self.code)

    def check(self, line: Medium) -> None:
        """Check the noise, and that the logical channel of the code exists. The channel is cached."""
        if self.photon_weights(line) != IDENTITY:
            self.channel(line)

    def photon_weights(self, line: Medium) -> PhotonWeights:
        """Pauli weights of all errors of a photon that arrives: of I, X, Y, Z; or, by photon, where they differ.

        A photon waits for its bin in the sender's memory, flies, and waits in the receiver's memory until its
        block is whole. Each photon is in a random Pauli frame that both ends know, from the encoder to the
        decoder, so relaxation counts by its Pauli twirl.

        Raises:
            ValueError: the noise in flight is no Pauli noise.
        """
        flight, photons = line.flight, self.found().physical_per_block
        if line.fiber.bin_ps == 0 or photons == 1 or (line.sender.is_perfect and line.receiver.is_perfect):
            return flight
        from ketwire.quantum.noise.kraus import composed, twirled_decay  # noqa: PLC0415

        sender_ps, receiver_ps = (each[0] for each in emission(photons, line.fiber.bin_ps).waits())
        gaussian = line.sender.gaussian or line.receiver.gaussian
        if line.sender.constants == line.receiver.constants and not gaussian:
            # Alike for all photons, to the last digit.
            sender_ps, receiver_ps = sender_ps[-1], receiver_ps[-1]
        there, here = line.sender.constants, line.receiver.constants
        relaxed = sender_ps / there[0] + receiver_ps / here[0]
        dimmed = dephased(sender_ps, *there) + dephased(receiver_ps, *here)
        weights = composed(twirled_decay(relaxed, dimmed), flight).tolist()
        return tuple(weights if np.ndim(relaxed) == 0 else map(tuple, weights))

    def channel(self, line: Medium) -> LogicalChannel:
        """What the code makes of this line, for one block.

        Raises:
            ValueError: see `erasure_codes.Code.logical_channel`.
        """
        return self.found().logical_channel(line.fiber.survival, self.photon_weights(line))

    def emission(self, line: Medium, qubits: int) -> Emission:
        """How the blocks of one register leave; its qubits wait bare for the encoder, and until all are decoded."""
        code = self.found()
        return emission(
            qubits, line.fiber.bin_ps, code.qubits_per_block, code.physical_per_block, self.latency_ps(line)
        )

    def survival(self, line: Medium, qubits: int) -> float:
        return float(self.channel(line).success ** self.blocks(qubits))

    def blocks(self, qubits: int) -> int:
        return -(-qubits // self.found().qubits_per_block)

    def time_ps(self, line: Medium, qubits: int) -> float:
        return float(self.blocks(qubits) * self.found().physical_per_block * line.fiber.bin_ps)

    def photons(self, line: Medium, qubits: int) -> int | None:
        return self.blocks(qubits) * self.found().physical_per_block

    def latency_ps(self, line: Medium) -> int:
        """The encoder's."""
        return self.found().encode_layers * self.gate_ps
