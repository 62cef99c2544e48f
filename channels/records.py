"""A line of the ledger."""

from __future__ import annotations

from typing import NamedTuple

from ketwire.channels.messages import Spent


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
    ebits: int
    payload_bits: int
    control_bits: int

    @property
    def spent(self) -> Spent:
        return Spent(self.qubits_sent, self.qubits_delivered, self.ebits, self.payload_bits + self.control_bits)
