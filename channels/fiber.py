"""One link as a pure object: what is sent, when, and a random stream in; what arrives, when, out.

A link is two directed machines that share nothing: no source, no random stream, no busy time. A
direction has a quantum lane and a classical lane.

*Quantum lane* (transport `direct`). The sender's emitter puts one qubit in each time bin, 1/rate
long; a register of n qubits takes n bins, and the next register waits for them. A qubit survives
with probability (1 - p_init) 10^(-alpha L / 10) times the efficiency of the detector that heralds
it, and arrives L/v after its bin. One lost qubit kills its copy: an empty bin at a known time, so
the receiver knows at once, and one herald bit an emitted copy tells the sender L/v later. A copy
that was dead before is not emitted again and takes no time.

*Classical lane.* Bits leave at the bandwidth, one message after another, and arrive L/v later,
without loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Answers, Classical, Message
from ketwire.channels.streams import stream
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, serve
from ketwire.channels.transcript import Transcript
from ketwire.errors import RemoteProtocolError, ScenarioError


@dataclass(frozen=True)
class Fiber:
    """The physics of one direction of a link. Rates of None mean: takes no time.

    Raises:
        ValueError: a value that no fiber can have; the message starts with the field's name.
    """

    length_km: float = 0.0
    loss_db_per_km: float = 0.0
    p_init: float = 0.0
    detector_efficiency: float = 1.0
    speed_km_per_s: float = 200_000.0
    emission_rate_hz: float | None = None
    bandwidth_bps: float | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("length_km", 0.0, 1e6),
            ("loss_db_per_km", 0.0, 1e6),
            ("p_init", 0.0, 1.0),
            ("detector_efficiency", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: {value!r} given, expected a number from {low:g} to {high:g}")
        for name in ("speed_km_per_s", "emission_rate_hz", "bandwidth_bps"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value!r} given, expected a number above 0")

    @property
    def coupling(self) -> float:
        """Probability that one emitted qubit enters the fiber and, at its end, is heralded."""
        return (1.0 - self.p_init) * self.detector_efficiency

    @property
    def survival(self) -> float:
        """Probability that one emitted qubit arrives and is heralded."""
        fiber: float = 10.0 ** (-self.loss_db_per_km * self.length_km / 10.0)
        return fiber * self.coupling

    @property
    def delay_ps(self) -> int:
        """Propagation, L / v."""
        return round(self.length_km / self.speed_km_per_s * PS_PER_S)

    @property
    def bin_ps(self) -> int:
        """One emission time bin."""
        return 0 if self.emission_rate_hz is None else round(PS_PER_S / self.emission_rate_hz)

    def sending_ps(self, bits: int) -> int:
        """How long `bits` keep the classical lane busy, rounded up."""
        if self.bandwidth_bps is None:
            return 0
        # In integers: a quotient of floats is a picosecond off from 2^53 ps on, and sooner where it is whole.
        above, below = self.bandwidth_bps.as_integer_ratio()
        return -(-bits * PS_PER_S * below // above)


class Record(NamedTuple):
    """One line of the ledger: what one message cost. Times are virtual."""

    direction: str
    number: int
    kind: str
    sent_ps: int
    arrival_ps: int
    copies: int
    qubits_sent: int
    qubits_delivered: int
    payload_bits: int
    control_bits: int


class Delivery(NamedTuple):
    """What the link answers: to the receiver the message and its arrival time, to the sender the herald.

    lost: bool, shape (copies,), empty for a classical message
    herald_ps: when the sender knows `lost`
    """

    message: Message
    arrival_ps: int
    lost: NDArray[np.bool_]
    herald_ps: int
    record: Record


NOTHING_LOST = np.zeros(0, dtype=np.bool_)


class Direction:
    """One directed machine of a link. Its state is when its two lanes are free, and how many it carried."""

    def __init__(self, name: str, fiber: Fiber, key: bytes) -> None:
        self.name = name
        self.fiber = fiber
        self.transcript = Transcript(name)
        self._key = key
        self._number = 0
        self._emitter_free_ps = 0
        self._classical_free_ps = 0

    def carry(self, message: Message, sent_ps: int) -> Delivery:
        """Transmit one message that its sender hands over at `sent_ps`; consumes copies.

        Raises:
            ScenarioError: the message would be under way beyond the end of the clock.
        """
        if isinstance(message, Copies):
            delivery = self._carry_copies(message, sent_ps)
        else:
            delivery = self._carry_classical(message, sent_ps)
        self._number += 1
        return delivery

    def _carry_copies(self, copies: Copies, sent_ps: int) -> Delivery:
        qubits = copies.qubits
        states, row, ready_ps, lost_before = copies.take()
        # Without losses before, all are indexed at once: an index array would cost more than the physics.
        whole = not np.count_nonzero(lost_before)
        alive: slice | NDArray[np.int64] = slice(None) if whole else np.flatnonzero(~lost_before)
        emitted = len(row) - int(np.count_nonzero(lost_before))
        service_ps = qubits * self.fiber.bin_ps
        begin_ps = max(sent_ps, self._emitter_free_ps, int(ready_ps.max(initial=0)))
        # Before any array is computed: integers of 64 bits would wrap without a word.
        self._keep_clock(begin_ps + emitted * service_ps + 2 * self.fiber.delay_ps)
        done_ps = serve(np.maximum(ready_ps[alive], sent_ps), service_ps, self._emitter_free_ps)
        arrived = self._survivors(emitted, qubits)
        if whole:
            lost, arrival_ps = arrived < qubits, done_ps + self.fiber.delay_ps
        else:
            lost, arrival_ps = lost_before.copy(), ready_ps.copy()
            lost[alive], arrival_ps[alive] = arrived < qubits, done_ps + self.fiber.delay_ps
        lost.flags.writeable = False  # sender and receiver are answered with the same array
        if emitted:
            self._emitter_free_ps = int(done_ps[-1])
        last_ps = self._emitter_free_ps + self.fiber.delay_ps if emitted else sent_ps
        lossy = self.fiber.survival < 1.0
        record = Record(
            self.name, self._number, "copies", sent_ps, last_ps, len(row), emitted * qubits,
            int(arrived.sum()), 0, emitted if lossy else 0,
        )  # fmt: skip
        herald_ps = last_ps + self.fiber.delay_ps if lossy else sent_ps
        self.transcript.copies(record, qubits, row if len(states) > 1 else None, arrival_ps, lost)
        return Delivery(Copies(states, row, arrival_ps, lost), last_ps, lost, herald_ps, record)

    def _keep_clock(self, latest_ps: int) -> None:
        if latest_ps >= CLOCK_END_PS:
            raise ScenarioError(
                f"{self.name}: message {self._number} would be under way until {latest_ps / PS_PER_S:.1e} s "
                "of virtual time, expected less than the clock's 2^62 ps (53 days)"
            )

    def _survivors(self, copies: int, qubits: int) -> NDArray[np.int64]:
        """How many qubits of each emitted copy arrive."""
        if self.fiber.survival >= 1.0:
            return np.full(copies, qubits, dtype=np.int64)
        return stream(self._key, "loss", self._number).binomial(qubits, self.fiber.survival, size=copies)

    def _carry_classical(self, message: Classical, sent_ps: int) -> Delivery:
        _check_count(message)
        bits = message.payload_bits + message.control_bits
        self._classical_free_ps = max(self._classical_free_ps, sent_ps) + self.fiber.sending_ps(bits)
        arrival_ps = self._classical_free_ps + self.fiber.delay_ps
        self._keep_clock(arrival_ps)
        kind = type(message).__name__.lower()
        record = Record(
            self.name, self._number, kind, sent_ps, arrival_ps, 0, 0, 0,
            message.payload_bits, message.control_bits,
        )  # fmt: skip
        self.transcript.classical(record, message)
        return Delivery(message, arrival_ps, NOTHING_LOST, sent_ps, record)


def _check_count(message: Classical) -> None:
    """Refuse answers that do not fit the bits they are counted at (at 64, every int64 does)."""
    if isinstance(message, Answers) and message.bits_per_entry < 64 and (message.values >> message.bits_per_entry).any():
        raise RemoteProtocolError(f"an answer does not fit the {message.bits_per_entry} bits it is counted at")
