"""Quantum fingerprints: Alice and Bob each send some copies of n qubits to a referee, who says whether x = y.

A word x of N/4 bits is encoded by a public random linear code to N = 2^n bits E(x), and its fingerprint is
Σ (-1)^(E(x)_i) |i> / √N. A swap test passes with probability (1 + |<a|b>|²)/2: always where x = y, about half of the
time where not. The referee says "equal" if all tests of an instance pass. With private randomness alone classical
messages to a referee need of the order of √N bits, with shared randomness a constant number (Buhrman, Cleve, Watrous
and de Wolf, PRL 87, 167902, 2001). The words are dealt, as equal ones cannot be drawn by two who share nothing.

Rivals: `square`, in which E(x) is a square, one sends random rows of it, the other random columns, with private
randomness alone; `hash`, in which both send parities of their words with shared random masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.streams import stream
from ketwire.protocols.advantage.hidden_matching import signs_of
from ketwire.protocols.node import Kept, Loader, Node, Outcome, Shape, Stock
from ketwire.protocols.repeaters import Supplies
from ketwire.protocols.rivals import receive_codes, send_codes
from ketwire.protocols.stream import Batch, StreamPlan, run_stream

Bits = NDArray[np.uint8]
Integers = NDArray[np.int64]
Role = Literal["first", "second", "referee", "other"]
BLOCK_AMPLITUDES = 1 << 22
"""Of the copies that the referee keeps of either side at once: 64 MiB."""
ENCODED_ROWS = 1024
CODE_KEY = bytes(32)
"""What the code is drawn from; it is public and no randomness of the parties."""


def word_bits(qubits: int) -> int:
    """How many bits a word has: N/4."""
    return max(1, (1 << qubits) // 4)


def deal(qubits: int, instances: int, rng: np.random.Generator) -> tuple[Bits, Bits, NDArray[np.bool_]]:
    """Words for both, uint8, (instances, bits), and which are equal, each with a fair coin."""
    width = word_bits(qubits)
    first = rng.integers(0, 2, (instances, width), dtype=np.uint8)
    apart = rng.integers(0, 2, (instances, width), dtype=np.uint8)
    apart[~apart.any(axis=1), 0] = 1
    equal = rng.integers(0, 2, instances).astype(np.bool_)
    return first, np.where(equal[:, None], first, first ^ apart), equal


@lru_cache(maxsize=2)
def _generator(qubits: int) -> NDArray[np.float32]:
    """The code's matrix, zeros and ones; (bits of a word, 2**n)."""
    bits = stream(CODE_KEY, "code", qubits).integers(0, 2, (word_bits(qubits), 1 << qubits), dtype=np.uint8)
    return bits.astype(np.float32)


def encoded(words: Bits, qubits: int) -> Bits:
    """E(x) of each row; uint8, (rows, 2**n)."""
    found = np.empty((len(words), 1 << qubits), dtype=np.uint8)
    for first in range(0, len(words), ENCODED_ROWS):
        rows = slice(first, first + ENCODED_ROWS)
        sums = words[rows].astype(np.float32) @ _generator(qubits)  # whole numbers below 2^24: exact
        found[rows] = sums.astype(np.int32) & 1
    return found


def expected(first: Bits, second: Bits, qubits: int, copies: int) -> float:
    """The mean score of decisions on these words without noise: 1 less twice the chance to be wrong."""
    parts = [slice(row, row + ENCODED_ROWS) for row in range(0, len(first), ENCODED_ROWS)]
    codes = ((encoded(first[rows], qubits), encoded(second[rows], qubits)) for rows in parts)
    apart = np.concatenate([(one ^ other).mean(axis=1) for one, other in codes])
    passes = ((1 + (1 - 2 * apart) ** 2) / 2) ** copies
    return float(1 - 2 * np.where((first != second).any(axis=1), passes, 0.0).mean())


@dataclass(frozen=True)
class FingerprintSlice:
    """What a party is given: its role, its words if it has any, and the plan of either side's stream."""

    role: Role
    qubits: int
    instances: int
    copies: int
    plans: tuple[StreamPlan, ...]
    words: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Judged(Outcome):
    """The referee's decisions, 1 for equal, int64, (instances,); copies emitted, and to be emitted in the mean."""

    decisions: NDArray[np.int64]
    attempted: int
    needed: float


class FingerprintParty:
    """Either sender, the referee, a repeater, or a party that only looks on."""

    Slice, Outcome = FingerprintSlice, Judged

    def __init__(self, slice: FingerprintSlice, load: Loader) -> None:
        self._told = slice
        self.shapes = {
            "qubits": Shape(slice.qubits, "protocol.qubits"), "items": Shape(slice.instances, "protocol.instances"),
        }  # fmt: skip

    async def run(self, node: Node) -> Judged | None:
        told, supplies = self._told, Supplies()
        decisions, attempted, needed = np.zeros(told.instances, dtype=np.int64), 0, 0.0
        if not any(plan.has_part(node.name) for plan in told.plans):
            return None
        for items in self._blocks():
            codes = None if told.words is None else encoded(told.words[items], told.qubits)
            sides: list[_Keeping] = []
            for plan in told.plans:
                if not plan.has_part(node.name):
                    continue
                stage = _Sending(codes) if codes is not None else _Keeping()
                tally = await run_stream(node, replace(plan, items=len(items)), stage, supplies)
                attempted, needed = attempted + int(tally.attempted.sum()), needed + tally.needed
                sides += [stage] if isinstance(stage, _Keeping) else []
            if told.role == "referee":
                first, second = (side.stocks for side in sides)
                decisions[items] = node.swap_tests(first, second, len(items))[:, 1] == 0
        return Judged(decisions, attempted, needed, known_ps=node.read_ps) if told.role == "referee" else None

    def _blocks(self) -> Iterator[Integers]:
        step = max(1, BLOCK_AMPLITUDES // (self._told.copies << self._told.qubits))
        for first in range(0, self._told.instances, step):
            yield np.arange(first, min(first + step, self._told.instances))


class _Sending:
    """A sender's stage: codes of the words of a block."""

    def __init__(self, codes: Bits) -> None:
        self._codes = codes

    def prepare(self, node: Node, batch: Batch) -> Copies:
        return node.prepare(signs_of(self._codes[batch.items]), batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        raise AssertionError("a sender is never last")


class _Keeping:
    """The referee's stage on one side: the copies wait for those of the other."""

    def __init__(self) -> None:
        self.stocks: list[Stock] = []

    def prepare(self, node: Node, batch: Batch) -> Copies:
        raise AssertionError("the referee is never first")

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        return copies

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        taken = keep.taken
        self.stocks.append(node.collect(copies, groups, keep))
        return taken[:, None]


# ---------------------------------------------------------------- rivals


@dataclass(frozen=True)
class FingerprintRivalSlice:
    """What a party of a rival is given. rounds: rows and columns, or parities, of an instance."""

    role: Role
    first: str
    second: str
    referee: str
    qubits: int
    instances: int
    rounds: int
    form: Literal["square", "hash"]
    shared_key: str = ""
    words: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Decided(Outcome):
    """The referee's decisions, 1 for equal; int64, (instances,)."""

    decisions: NDArray[np.int64]


class FingerprintRivalParty:
    """Either sender or the referee of a rival."""

    Slice, Outcome = FingerprintRivalSlice, Decided

    def __init__(self, slice: FingerprintRivalSlice, load: Loader) -> None:
        self._told = slice
        self.shapes: dict[str, Shape] = {}

    async def run(self, node: Node) -> Decided | None:
        told, agree = self._told, np.ones(self._told.instances, dtype=np.bool_)
        if told.role == "other":
            return None
        codes = None if told.words is None else encoded(told.words, told.qubits)
        for number in range(told.rounds):
            if told.form == "hash":
                heard = await self._parities(node, number)
                agree &= heard is None or (heard[0] == heard[1]).all(axis=1)
            else:
                agree &= await self._square(node, codes)
        return Decided(agree.astype(np.int64)) if told.role == "referee" else None

    async def _parities(self, node: Node, number: int) -> list[NDArray[np.uint64]] | None:
        told = self._told
        if told.words is not None:
            masks = stream(bytes.fromhex(told.shared_key), "masks", number).integers(
                0, 2, told.words.shape, dtype=np.uint8
            )
            await send_codes(node, told.referee, ((told.words & masks).sum(axis=1) & 1)[:, None], 1)
            return None
        return [await receive_codes(node, peer, told.instances, 1, 1) for peer in (told.first, told.second)]

    async def _square(self, node: Node, codes: Bits | None) -> NDArray[np.bool_]:
        """One row against one column; bool, (instances,), whether they agree where they cross."""
        told, every = self._told, np.arange(self._told.instances)
        column_bits = told.qubits // 2
        row_bits, width = told.qubits - column_bits, 1 << column_bits
        rows = told.role == "first"
        if codes is not None:
            own_bits = row_bits if rows else column_bits
            place = node.random("place").integers(0, 1 << own_bits, told.instances)
            square = codes.reshape(told.instances, -1, width)
            sent = square[every, place] if rows else square[every, :, place]
            await send_codes(node, told.referee, place[:, None], own_bits)
            await send_codes(node, told.referee, sent, 1)
            return np.ones(told.instances, dtype=np.bool_)
        row = (await receive_codes(node, told.first, told.instances, 1, row_bits))[:, 0].astype(np.int64)
        across = await receive_codes(node, told.first, told.instances, width, 1)
        column = (await receive_codes(node, told.second, told.instances, 1, column_bits))[:, 0].astype(np.int64)
        down = await receive_codes(node, told.second, told.instances, 1 << row_bits, 1)
        return np.asarray(across[every, column] == down[every, row])
