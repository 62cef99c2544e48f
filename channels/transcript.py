"""The transcript: what was delivered, as one number that two runs can be compared by.

Each direction keeps h <- SHA256(h || SHA256(facts)) over its deliveries: header, times, loss masks
and classical payloads in full (numbers of 64 bits to 2^-20). Amplitudes stay out, since their last
bits move with batch size, alignment and processor; so do sessions, sequence numbers and wall-clock
times, which are not facts of the simulated world. Measurement outcomes enter through a chain of the
node that measured.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.messages import Answers, Arrivals, Classical, Packed
from ketwire.channels.records import Record
from ketwire.quantum.grid import snap

Octets = bytes | memoryview
NUMBER_BITS = 20  # behind the point, of a number that is sent in full


class Chain(NamedTuple):
    """The end of one chain: whose it is, how many facts it holds, their running hash."""

    name: str
    facts: int
    digest: str


class Transcript:
    """The running hash of one direction, or of one node's measurements."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self._h = bytes(32)

    def copies(
        self,
        record: Record,
        qubits: int,
        row: NDArray[np.int64] | None,
        arrival_ps: NDArray[np.int64],
        lost: NDArray[np.bool_],
        mixed: bool = False,
    ) -> None:
        """Note a delivered batch: header, rows where states differ, times, loss mask, whether states are mixed."""
        rows = b"" if row is None else _octets(row, "<i8")
        facts = [_header(record, qubits), rows, _octets(arrival_ps, "<i8"), np.packbits(lost).tobytes()]
        self._add(*facts, *([b"mixed"] if mixed else []))

    def classical(self, record: Record, message: Classical) -> None:
        """Note a delivered classical message, payload included."""
        if isinstance(message, Packed):
            positions = b"" if message.positions is None else _octets(message.positions, "<u4")
            shape = struct.pack("<QBdQ", message.count, message.bits_per_entry, message.scale, message.length)
            self._add(_header(record, 0), shape, _codes(message), positions)
        elif isinstance(message, Answers):
            self._add(_header(record, 0), bytes([message.bits_per_entry]), _octets(message.values, "<i8"))
        else:
            assert isinstance(message, Arrivals)
            self._add(_header(record, 0), bytes([message.bits]), _octets(message.counts, "<i8"))

    def timed(self, record: Record, message: Pairs | Released) -> None:
        """Note delivered pairs without their states, or notices of free memories."""
        if isinstance(message, Released):
            self._add(_header(record, 0), _octets(message.free_ps, "<i8"))
            return
        held = message.held
        times = (_octets(held.ready_ps, "<i8"), _octets(held.since_ps, "<i8"))
        self._add(_header(record, 0), *times, np.packbits(held.lost).tobytes(), struct.pack("<Q", held.span_ps))

    def outcomes(self, time_ps: int, counts: NDArray[np.int64]) -> None:
        """Note the outcome counts of one measurement."""
        self._add(struct.pack("<Q2Q", time_ps, *counts.shape), _octets(counts, "<i8"))

    def end(self) -> Chain:
        return Chain(self.name, self.count, self._h.hex())

    def restore(self, chain: Chain) -> None:
        """Go on where `chain` ended.

        Raises:
            ValueError: it is the chain of somebody else, or none.
        """
        if chain.name != self.name or len(bytes.fromhex(chain.digest)) != len(self._h):
            raise ValueError(f"chain: {chain} given, expected one of {self.name}")
        self.count, self._h = chain.facts, bytes.fromhex(chain.digest)

    def _add(self, *facts: Octets) -> None:
        inner = hashlib.sha256()
        for fact in facts:
            octets = len(fact) if isinstance(fact, bytes) else fact.nbytes
            inner.update(octets.to_bytes(8, "little"))
            inner.update(fact)
        self._h = hashlib.sha256(self._h + inner.digest()).digest()
        self.count += 1


def transcript_sha256(chains: Iterable[Chain]) -> str:
    """One hash over the ends of all chains, in the order of their names."""
    total = hashlib.sha256()
    for chain in sorted(chains):
        total.update(f"{chain.name}\0{chain.facts}\0{chain.digest}\n".encode())
    return total.hexdigest()


def _header(record: Record, qubits: int) -> bytes:
    times = (record.number, record.sent_ps, record.arrival_ps, record.copies, qubits)
    costs = (record.qubits_sent, record.qubits_delivered, record.ebits, record.payload_bits, record.control_bits)
    return record.kind.encode() + struct.pack("<10Q", *times, *costs)


def _codes(message: Packed) -> Octets:
    """The octets of a message's codes; numbers of 64 bits to 2^-20, like amplitudes they differ in their last bits."""
    if message.bits_per_entry < 64:
        return message.codes.tobytes()
    return _octets(snap(message.codes.view(">f8"), NUMBER_BITS), "<f8")


def _octets(array: NDArray[np.generic], dtype: str) -> Octets:
    """The octets of an array as elements of `dtype`: a view of it where it is laid out like that."""
    return np.ascontiguousarray(array, dtype=dtype).data
