"""What one party can say to another: copies of a register, one of three classical messages, or pairs.

Each message knows its cost in classical bits. Payload bits carry data, control bits only say what
to do next or what arrived; the accounting keeps them apart. Copies cost qubits, not bits; pairs and the
notices that free memories for the next ones are in `channels.entanglement.held`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.errors import LocalProtocolError

MAX_BITS_PER_ENTRY = 64
SCALE_BITS = 64
COUNT_BITS = 32


class Spent(NamedTuple):
    """What one message cost on its link, as the ledger has it: for accounts, and never for decisions.

    qubits_sent, qubits_delivered: photons of failed attempts and of codes are sent too
    ebits: pairs used up. bits: payload and control together, heralds and outcomes included
    """

    qubits_sent: int = 0
    qubits_delivered: int = 0
    ebits: int = 0
    bits: int = 0


NOTHING_SPENT = Spent()


@dataclass(frozen=True, eq=False)
class Packed:
    """Numbers at a chosen width: `count` unsigned codes of `bits_per_entry` bits, packed big-endian.

    Entries of 64 bits are IEEE 754 numbers. A transcript has them to 2^-20, as their last bits may differ
    between processors.

    `scale` is the classical number that turns codes back into values (0.0 where none is needed);
    it costs 64 bits where it is not zero. `positions`, if any, are the sorted indices of the
    entries of a sparse vector of `length` entries, coded at ceil(log2 length) bits each; a dense
    vector has none and `length == count`.
    """

    count: int
    bits_per_entry: int
    scale: float
    length: int
    codes: NDArray[np.uint8]
    positions: NDArray[np.uint32] | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.bits_per_entry <= MAX_BITS_PER_ENTRY:
            raise LocalProtocolError(f"bits_per_entry is {self.bits_per_entry}, expected 1..{MAX_BITS_PER_ENTRY}")
        if self.codes.shape != (math.ceil(self.count * self.bits_per_entry / 8),):
            raise LocalProtocolError("codes do not hold count * bits_per_entry bits")
        if self.positions is not None and self.positions.shape != (self.count,):
            raise LocalProtocolError("a sparse message needs one position per entry")

    @property
    def payload_bits(self) -> int:
        bits = self.count * self.bits_per_entry
        if self.positions is not None:
            bits += self.count * max(1, math.ceil(math.log2(self.length)))
        return bits + (SCALE_BITS if self.scale else 0)

    @property
    def control_bits(self) -> int:
        return 0


@dataclass(frozen=True, eq=False)
class Answers:
    """Small integers that are results (decisions, counts): payload, `bits_per_entry` each."""

    values: NDArray[np.int64]
    bits_per_entry: int

    @property
    def payload_bits(self) -> int:
        return len(self.values) * self.bits_per_entry

    @property
    def control_bits(self) -> int:
        return 0


@dataclass(frozen=True, eq=False)
class Arrivals:
    """What the last party tells of copies that arrived or are missing: control, numbers of `bits` bits each.

    about: for accounts of time, what waits for it: the next window, or another round. It is not sent.
    """

    counts: NDArray[np.int64]
    bits: int = COUNT_BITS
    about: Literal["", "window", "round"] = ""

    @property
    def payload_bits(self) -> int:
        return 0

    @property
    def control_bits(self) -> int:
        return self.bits * len(self.counts)


Classical = Packed | Answers | Arrivals
Timed = Copies | Pairs | Released
"""What carries a time of its own for each of its parts, so that receiving it does not move a clock."""
Message = Timed | Classical
