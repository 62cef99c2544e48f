"""Copies of a data state among decoys: one crossing, and a test whether they were measured on the way.

The sender mixes into the stream, at positions that she alone knows, copies whose answers she knows: product
states of random Pauli eigenvectors, as in the protocol of Bennett and Brassard (BB84). The receiver keeps
everything in memory and says how much came. Only then does the sender name the decoys and their bases (a
position and a basis for each qubit, counted in bits); he measures them in these and answers with
what he found, she compares and tells how many failed. The data copies pass through the layers and
are measured; decoys pass through none.

    sender                         receiver
      | -- copies, data and decoys --> |   in memory
      | <------- how many came ------- |
      | ---- positions and bases ----> |
      | <----- outcomes of decoys ---- |
      | ------- how many failed -----> |   data are measured

Both then judge alike, from public counts: more decoys failed than the link's own noise explains at
confidence 1 - delta (a binomial tail over copies), or fewer copies arrived than its own loss explains. The
classical channel is taken to be authentic: an eavesdropper reads it, and cannot change it.

Sources: Bennett and Brassard 1984 for the states; trap states among data, there together with
encryption, are those of Broadbent, Gutoski and Stebila, Quantum one-time programs, 2013.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_COPIES, Copies, join
from ketwire.channels.messages import Answers, Arrivals, Packed
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.protocols.codes import pack_bits, unpack_bits
from ketwire.protocols.evidence import Findings
from ketwire.protocols.inference import Owned
from ketwire.protocols.layers import Part
from ketwire.protocols.node import Loader, Node, Outcome
from ketwire.protocols.stream import OCTETS_PER_COPY, StreamPlan
from ketwire.quantum.observables import Projector
from ketwire.quantum.pauli_bases import group, pack, product_states, unpack

COUNT_BITS = 32
BASIS_BITS = {"zx": 1, "zxy": 2}
Integers = NDArray[np.int64]


class Round(NamedTuple):
    """What one party knows after a round: copies that arrived, and of them decoys, failed ones, wrong qubits."""

    arrived: int
    decoys: int
    failed: int
    wrong: int


@dataclass(frozen=True)
class DecoySlice:
    """A party's part of the circuit, the stream, and what both know of decoys.

    share: of the emitted copies. bases: of their qubits. delta: of a false alarm. failure: probability that the link's
    own noise makes a decoy fail
    """

    part: Part
    plan: StreamPlan
    share: float
    bases: str
    delta: float
    failure: float


@dataclass(frozen=True)
class Judged(Outcome):
    """What sender and receiver both know of the decoys; `counted`: the data, at the receiver."""

    findings: Findings
    disturbed: bool
    starved: bool
    counted: Counted | None = None


@dataclass(frozen=True)
class Counted:
    """Data copies: |0> on qubit 0, measured, emitted, to be emitted in the mean."""

    zeros: int
    copies: int
    attempted: int
    needed: float


class DecoyParty:
    """Sender, receiver, or a party that only looks on: roles differ in the slice alone."""

    Slice, Outcome = DecoySlice, Judged

    def __init__(self, slice: DecoySlice, load: Loader) -> None:
        self._owned = Owned(slice.part, load)
        self._told, self._plan = slice, slice.plan
        self.shapes = self._owned.shapes
        self._qubits = self._owned.qubits
        self._sender, self._receiver = self._owned.path
        self._share, self._bases = slice.share, slice.bases
        self._basis_bits = BASIS_BITS[self._bases]
        self._counts = np.zeros((1, 2), dtype=np.int64)

    async def run(self, node: Node) -> Judged | None:
        if node.name not in (self._sender, self._receiver):
            return None
        step = self._emit if node.name == self._sender else self._take
        plan, findings = self._plan, Findings()
        # A copy counts if it crosses and is no decoy.
        passage = replace(plan.passage, survival=plan.passage.survival * (1.0 - self._share))
        retries = replace(plan, passage=passage).retries()
        budget, arrived, attempted, most = plan.budget_attempts, 0, 0, 0
        while not retries.done:
            attempts = int(retries.emit()[0])
            most = most or 2 * max(budget, attempts)
            if attempted + attempts > most:
                raise ScenarioError(
                    f"protocol.budget_attempts: {budget} given, but of {attempted} emitted copies "
                    f"{arrived} with data came through; expected a larger budget"
                )
            seen = await step(node, attempts, arrived)
            findings = _added(findings, attempts, seen)
            retries.came(seen.arrived - seen.decoys)
            arrived += seen.arrived - seen.decoys
            attempted += attempts
            node.progress(attempted, attempted, "copies emitted")
        return self._outcome(node, findings, attempted, retries.needed)

    def _cuts(self, attempts: int) -> Iterator[slice]:
        """Runs of copies whose messages hold about `max_batch_octets`, each decoy a state of its own."""
        state_octets = 16 << self._qubits
        each = OCTETS_PER_COPY + self._share * state_octets
        fit = int((self._plan.max_batch_octets - state_octets) / each)
        step = min(max(fit, 1), MAX_COPIES)
        for start in range(0, attempts, step):
            yield slice(start, min(start + step, attempts))

    # ---------------------------------------------------------------- the sender

    async def _emit(self, node: Node, attempts: int, _: int) -> Round:
        is_decoy = node.random("decoy positions").random(attempts) < self._share
        number: Integers = np.cumsum(is_decoy) - is_decoy
        rng, decoys = node.random("decoy states"), int(is_decoy.sum())
        bases = rng.integers(0, len(self._bases), (decoys, self._qubits))
        bits = rng.integers(0, 2, (decoys, self._qubits))
        receipts = []
        for part in self._cuts(attempts):
            which: Integers = number[part][is_decoy[part]]
            copies = self._woven(node, is_decoy[part], bases[which], bits[which])
            receipts.append(await node.send(self._receiver, copies))
        came = (await node.receive(self._receiver, Arrivals)).counts
        alive = ~np.concatenate([receipt.lost for receipt in receipts])
        if came.tolist() != [int(alive.sum())]:
            raise RemoteProtocolError(f"{self._receiver} holds {came.tolist()} copies of {alive.sum()} that arrived")
        if not alive.any():
            return Round(0, 0, 0, 0)
        bases, bits = bases[alive[is_decoy]], bits[alive[is_decoy]]
        await node.send(self._receiver, self._announcement(is_decoy[alive], bases))
        found = (await node.receive(self._receiver, Answers)).values
        if found.shape != (len(bits),) or (found >> self._qubits).any():
            raise RemoteProtocolError(f"{self._receiver} answered other than {self._qubits} bits for each decoy")
        wrong = unpack(found, self._qubits) != bits
        failed = np.array([wrong.any(axis=1).sum(), wrong.sum()], dtype=np.int64)
        await node.send(self._receiver, Answers(failed, COUNT_BITS))
        return Round(int(alive.sum()), len(bits), *failed.tolist())

    def _woven(self, node: Node, is_decoy: NDArray[np.bool_], bases: Integers, bits: Integers) -> Copies:
        """Data and decoys in emission order; decoys that are alike share a row."""
        assert self._owned.input is not None
        data = node.prepare(self._owned.input, np.array([len(is_decoy) - len(bits)]))
        for step in self._owned.steps.get(0, ()):
            data = step.on_copies(node, data)
        first, place = group(pack(bases, 4), pack(bits, 2))
        decoys = node.prepare(product_states(bases[first], bits[first]), np.bincount(place, minlength=len(first)))
        order = np.empty(len(is_decoy), dtype=np.int64)
        order[~is_decoy] = np.arange(len(data))
        # Prepared state by state, sent in the order of their positions.
        order[np.flatnonzero(is_decoy)[np.argsort(place, kind="stable")]] = len(data) + np.arange(len(bits))
        return join([data, decoys], order)

    def _announcement(self, is_decoy: NDArray[np.bool_], bases: Integers) -> Packed:
        """Where the decoys are among the copies that arrived, and the bases of each."""
        width = self._qubits * self._basis_bits
        codes = pack_bits(pack(bases, 1 << self._basis_bits), width)
        positions = np.flatnonzero(is_decoy).astype(np.uint32)
        return Packed(len(bases), width, 0.0, len(is_decoy), codes, positions)

    # ---------------------------------------------------------------- the receiver

    async def _take(self, node: Node, attempts: int, had: int) -> Round:
        held = []
        for part in self._cuts(attempts):
            copies = await node.receive(self._sender, Copies)
            if (len(copies), copies.qubits) != (part.stop - part.start, self._qubits):
                raise RemoteProtocolError(f"{copies} came where {part.stop - part.start} were planned")
            held.append(node.store(copies))
        whole = join(held, np.arange(attempts))
        copies, _ = whole.part(whole.alive)
        await node.send(self._sender, Arrivals(np.array([len(copies)])))
        if not len(copies):
            return Round(0, 0, 0, 0)
        arrived = len(copies)
        is_decoy, bases = self._read(await node.receive(self._sender, Packed), arrived)
        decoys, data = copies.part(is_decoy)
        bits = node.measure_bases(decoys, bases)
        await node.send(self._sender, Answers(pack(bits, 2), self._qubits))
        failed = (await node.receive(self._sender, Answers)).values
        if failed.shape != (2,) or not 0 <= failed[0] <= failed[1] <= failed[0] * self._qubits <= bits.size:
            raise RemoteProtocolError(f"{self._sender} told of {failed.tolist()} errors of {len(bits)} decoys")
        self._counts += self._measured(node, data, self._plan.want - had)
        return Round(arrived, len(bits), *failed.tolist())

    def _read(self, told: Packed, arrived: int) -> tuple[NDArray[np.bool_], Integers]:
        """Which of the copies that arrived are decoys, and the bases of each.

        Raises:
            RemoteProtocolError: an announcement that speaks of other copies or bases than there are.
        """
        width = self._qubits * self._basis_bits
        if told.positions is None or (told.bits_per_entry, told.length) != (width, arrived):
            raise RemoteProtocolError(
                f"{self._sender} named decoys among {told.length} copies at {told.bits_per_entry} bits, "
                f"expected positions among {arrived} at {width}"
            )
        positions = told.positions.astype(np.int64)
        if told.count and (positions[-1] >= arrived or (np.diff(positions) <= 0).any()):
            raise RemoteProtocolError(f"{self._sender} named decoys out of order or beyond {arrived} copies")
        digits = unpack(unpack_bits(told.codes, width, told.count).astype(np.int64), width)
        bases = pack(digits.reshape(-1, self._basis_bits), 2).reshape(told.count, self._qubits)
        if bases.size and bases.max() >= len(self._bases):
            raise RemoteProtocolError(f"{self._sender} named a basis that is none of {len(self._bases)}")
        is_decoy = np.zeros(arrived, dtype=np.bool_)
        is_decoy[positions] = True
        return is_decoy, bases

    def _measured(self, node: Node, data: Copies, room: int) -> Integers:
        """Outcome counts of the first `room` data copies, shape (1, 2)."""
        for step in self._owned.steps.get(1, ()):
            data = step.on_copies(node, data)
        groups = np.zeros(len(data), dtype=np.int64)
        return node.measure(data, Projector(0), groups, 1, node.keep(data, groups, np.array([max(room, 0)])))

    # ---------------------------------------------------------------- both

    def _outcome(self, node: Node, findings: Findings, attempted: int, needed: float) -> Judged:
        disturbed = findings.disturbed(self._told.failure, self._told.delta)
        starved = findings.starved(self._plan.passage.survival, self._told.delta)
        if node.name != self._receiver:
            return Judged(findings, disturbed, starved)
        zeros, ones = self._counts[0].tolist()
        return Judged(findings, disturbed, starved, Counted(zeros, zeros + ones, attempted, needed))


def _added(findings: Findings, attempts: int, seen: Round) -> Findings:
    """Decoys count in every round, losses in the first alone: whether another follows depends on losses."""
    added = replace(
        findings,
        decoys=findings.decoys + seen.decoys,
        failed=findings.failed + seen.failed,
        wrong=findings.wrong + seen.wrong,
    )
    return added if findings.emitted else replace(added, emitted=attempts, arrived=seen.arrived)
