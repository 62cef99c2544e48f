"""Classical rivals of `ketwire.protocols.subspace`, over the same links and on the same data.

- `CodeParty`: the sender names the nearest of shared random directions, block by block
  (`ketwire.protocols.codes`). Shared randomness: both slices hold one key, which is public.
- `RawParty`: the sender sends every entry at b bits, dense or, where that is smaller, without the
  entries that equal zero after rounding. No scale is sent: the range of the quantiser is public. A receiver
  that holds a half space decides exactly on what arrived. One that holds training data uses the best classifier
  that it finds in them (`ketwire.protocols.classifiers`), after rounding them as the vectors are.
- `DescriptionParty`: the receiver sends what it holds, the sender decides and answers. Paid once for
  all vectors, so the more there are, the better it does.

Every bit that the other side needs and cannot know is counted: which form was chosen, where the
entries are, how many there are. Messages are cut to a bounded size, which both sides work out alike.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Answers, Packed
from ketwire.channels.streams import stream
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.codes import (
    BlockPlan,
    bits_for,
    decode_block,
    encode_block,
    pack_bits,
    quantise,
    restore,
    unpack_bits,
)
from ketwire.protocols.node import Loader, Node, Outcome
from ketwire.protocols.sides import CodeSlice, DescriptionSlice, RawSlice, Side
from ketwire.protocols.subspace import (
    Classes,
    Half,
    Holding,
    Owned,
    Real,
    Vectors,
    half_of_signs,
)
from ketwire.quantum import half_spaces, subspaces
from ketwire.quantum.grid import PROBABILITY_BITS, snap

Codes = NDArray[np.uint64]

MESSAGE_CODES = 1 << 18  # a message's codes; packing takes 64 octets for each
FORMS = ("dense", "bitmap", "positions")
FORM_BITS = 2
DESCRIPTION_LOW, DESCRIPTION_HIGH = -1.0, 1.0  # entries of orthonormal rows


# ---------------------------------------------------------------- numbers on the wire


@dataclass(frozen=True)
class Quantiser:
    """A public range of 2^bits levels, both ends included, and zero.

    A range with zero inside has zero among its levels, which are then spaced by the range over 2^bits - 2 and
    go beyond an end by less than that; one bit says on which side of the range's middle an entry is.

    relative: entries are taken in units of their own vector's largest magnitude, which is not sent.
    """

    low: float
    high: float
    relative: bool
    bits: int

    def codes(self, rows: Real) -> Codes:
        """uint64, same shape."""
        if self.relative:
            largest = np.abs(rows).max(axis=1, keepdims=True)
            rows = rows / np.where(largest > 0, largest, 1.0)
        if self._plain:
            return quantise((rows - self.low) / (self.high - self.low), self.bits, 1.0)
        levels = np.rint(snap(np.clip(rows, self.low, self.high) / self._step, max(PROBABILITY_BITS, self.bits + 2)))
        return np.asarray(levels + self.zero, dtype=np.uint64)

    def rows(self, codes: Codes) -> Real:
        """The levels; of relative vectors, the direction alone."""
        if self._plain:
            return np.asarray(self.low + (self.high - self.low) * restore(codes, self.bits, 1.0))
        return np.asarray((codes.astype(np.float64) - self.zero) * self._step)

    @property
    def zero(self) -> int:
        """The code of zero, or of the level nearest to it where there is none."""
        if self._plain:
            return int(quantise(np.array([-self.low / (self.high - self.low)]), self.bits, 1.0)[0])
        return math.ceil(snap(-self.low / self._step))

    @property
    def _plain(self) -> bool:
        """Whether levels are spaced evenly from end to end, as zero is one of them or there are but two."""
        return self.bits == 1 or not self.low < 0 < self.high

    @property
    def _step(self) -> float:
        return (self.high - self.low) / ((1 << self.bits) - 2)


def parts(rows: int, width: int) -> Iterator[slice]:
    """Runs of rows that hold at most MESSAGE_CODES codes each (or one row, if that is more)."""
    step = max(1, MESSAGE_CODES // max(width, 1))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


async def send_codes(node: Node, peer: str, codes: NDArray[Any], bits: int) -> None:
    """Codes of shape (rows, width), without gaps, in as many messages as `parts` says."""
    for part in parts(*codes.shape):
        flat = codes[part].reshape(-1)
        await node.send(peer, Packed(len(flat), bits, 0.0, len(flat), pack_bits(flat, bits)))


async def receive_codes(node: Node, peer: str, rows: int, width: int, bits: int) -> Codes:
    """What `send_codes` sent, uint64, shape (rows, width).

    Raises:
        RemoteProtocolError: other codes came than were agreed on.
    """
    codes = np.empty((rows, width), dtype=np.uint64)
    for part in parts(rows, width):
        message = await node.receive(peer, Packed)
        count = (part.stop - part.start) * width
        if (message.count, message.bits_per_entry) != (count, bits) or message.positions is not None:
            raise RemoteProtocolError(
                f"{peer} sent {message.count} codes of {message.bits_per_entry} bits, "
                f"expected {count} of {bits}"
            )
        codes[part] = unpack_bits(message.codes, bits, count).reshape(-1, width)
    return codes


def form_bits(codes: Codes, quantiser: Quantiser) -> dict[str, int]:
    """What each form of some rows of codes costs, in bits, without the two that name the form."""
    rows, width = codes.shape
    filled = int((codes != quantiser.zero).sum())
    return {
        "dense": rows * width * quantiser.bits,
        "bitmap": rows * width + filled * quantiser.bits,
        "positions": rows * bits_for(width + 1) + filled * (bits_for(width) + quantiser.bits),
    }


async def send_sparse(node: Node, peer: str, codes: Codes, quantiser: Quantiser) -> None:
    """Codes in the cheapest form, named first."""
    costs = form_bits(codes, quantiser)
    form = min(FORMS, key=lambda name: costs[name])
    await node.send(peer, Answers(np.array([FORMS.index(form)]), FORM_BITS))
    filled = codes != quantiser.zero
    if form == "dense":
        await send_codes(node, peer, codes, quantiser.bits)
        return
    if form == "bitmap":
        await send_codes(node, peer, filled.astype(np.uint64), 1)
    else:
        width = codes.shape[1]
        await send_codes(node, peer, filled.sum(axis=1)[:, None], bits_for(width + 1))
        await send_codes(node, peer, np.nonzero(filled)[1][:, None], bits_for(width))
    await send_codes(node, peer, codes[filled][:, None], quantiser.bits)


async def receive_sparse(
    node: Node, peer: str, rows: int, width: int, quantiser: Quantiser
) -> tuple[Codes, str]:
    """What `send_sparse` sent, uint64, shape (rows, width), and its form.

    Raises:
        RemoteProtocolError: an unknown form, or positions that no vector has.
    """
    named = (await node.receive(peer, Answers)).values
    if named.shape != (1,) or not 0 <= named[0] < len(FORMS):
        raise RemoteProtocolError(
            f"{peer} named the form {named.tolist()}, expected one of 0..{len(FORMS) - 1}"
        )
    form = FORMS[named[0]]
    if form == "dense":
        return await receive_codes(node, peer, rows, width, quantiser.bits), form
    if form == "bitmap":
        filled = (await receive_codes(node, peer, rows, width, 1)).astype(np.bool_)
    else:
        filled = await _receive_positions(node, peer, rows, width)
    codes = np.full((rows, width), quantiser.zero, dtype=np.uint64)
    codes[filled] = (await receive_codes(node, peer, int(filled.sum()), 1, quantiser.bits))[:, 0]
    return codes, form


async def _receive_positions(node: Node, peer: str, rows: int, width: int) -> NDArray[np.bool_]:
    counts = (await receive_codes(node, peer, rows, 1, bits_for(width + 1)))[:, 0].astype(np.int64)
    if len(counts) and counts.max() > width:
        raise RemoteProtocolError(f"{peer} sent {counts.max()} entries of a vector of {width}")
    columns = (await receive_codes(node, peer, int(counts.sum()), 1, bits_for(width)))[:, 0].astype(np.int64)
    index = np.repeat(np.arange(rows), counts) * width + columns
    if len(index) and (columns.max() >= width or (np.diff(index) <= 0).any()):
        raise RemoteProtocolError(f"{peer} sent positions out of order or beyond {width} entries")
    filled = np.zeros(rows * width, dtype=np.bool_)
    filled[index] = True
    return filled.reshape(rows, width)


# ---------------------------------------------------------------- the programs


@dataclass(frozen=True)
class Decided(Outcome):
    """The receiver's decision for each vector; of rows their form, and the classifier that was best for them."""

    decisions: NDArray[np.int64]
    form: str | None = None
    classifier: str | None = None
    cross_validation: float | None = None


class RivalParty(ABC):
    """What all rivals share: who holds what, and that the receiver's decisions are its outcome."""

    Outcome = Decided

    def __init__(self, side: Side, load: Loader) -> None:
        self.sender, self.receiver, self.constant = side.sender, side.receiver, side.constant
        self._owned = Owned(side, load)
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> Decided | None:
        await self._owned.standardise(node)
        if self._owned.vectors is not None:
            await self.send(node, self._owned.vectors)
        elif self._owned.holding is not None:
            return await self.receive(node, self._owned.holding)
        return None

    @abstractmethod
    async def send(self, node: Node, vectors: Vectors) -> None:
        """Say what the other side needs to decide."""

    @abstractmethod
    async def receive(self, node: Node, holding: Holding) -> Decided:
        """The decisions, and what else is to be reported."""


class CodeParty(RivalParty):
    """Shared random directions; a plan of one block is the code of one word."""

    Slice = CodeSlice

    def __init__(self, slice: CodeSlice, load: Loader) -> None:
        super().__init__(slice.side, load)
        self._told = slice

    def _plan(self, node: Node) -> tuple[BlockPlan, np.random.Generator]:
        plan = BlockPlan(node.public["entries"], self._told.blocks, self._told.bits_per_block)
        return plan, stream(bytes.fromhex(self._told.shared_key), "directions")

    async def send(self, node: Node, vectors: Vectors) -> None:
        plan, shared = self._plan(node)
        await send_codes(node, self.receiver, encode_block(vectors.rows, plan, shared), plan.bits_per_block)

    async def receive(self, node: Node, holding: Holding) -> Decided:
        plan, shared = self._plan(node)
        codes = await receive_codes(node, self.sender, node.public["items"], plan.blocks, plan.bits_per_block)
        return Decided(holding.decide(decode_block(codes.astype(np.int64), plan, shared)))


class RawParty(RivalParty):
    """Every entry at b bits. A public constant is not sent: the receiver appends it itself."""

    Slice = RawSlice

    def __init__(self, slice: RawSlice, load: Loader) -> None:
        super().__init__(slice.side, load)
        self._sparse, self._components = slice.sparse, slice.components
        self._quantiser = Quantiser(slice.low, slice.high, slice.relative, slice.bits)

    async def send(self, node: Node, vectors: Vectors) -> None:
        rows = vectors.rows if self.constant is None else vectors.rows[:, :-1]
        codes = self._quantiser.codes(rows)
        if self._sparse:
            await send_sparse(node, self.receiver, codes, self._quantiser)
        else:
            await send_codes(node, self.receiver, codes, self._quantiser.bits)

    async def receive(self, node: Node, holding: Holding) -> Decided:
        items, constant = node.public["items"], self.constant
        width = node.public["entries"] - (constant is not None)
        if self._sparse:
            codes, form = await receive_sparse(node, self.sender, items, width, self._quantiser)
        else:
            codes, form = await receive_codes(node, self.sender, items, width, self._quantiser.bits), "dense"
        rows = self._restored(codes)
        if not isinstance(holding, Classes):
            return Decided(holding.decide(rows), form)
        return self._classified(holding, rows, form)

    def _restored(self, codes: Codes) -> Real:
        """The rows that codes stand for, with the constant that was not sent."""
        rows, constant = self._quantiser.rows(codes), self.constant
        return rows if constant is None else np.column_stack([rows, np.full(len(rows), constant)])

    def _classified(self, holding: Classes, rows: Real, form: str) -> Decided:
        """Decisions of the best classifier for rows like these, and which it is."""
        from ketwire.protocols.classifiers import COMPONENTS, chosen  # noqa: PLC0415 (the receiver of rows alone)

        bare = holding.rows if self.constant is None else holding.rows[:, :-1]
        own = self._restored(self._quantiser.codes(bare))
        assert self._components is not None
        best = chosen(own, holding.labels, sorted({self._components, *COMPONENTS}))
        return Decided(holding.names[best.decide(rows)], form, best.name, best.right / best.judged)


class DescriptionParty(RivalParty):
    """The receiver sends its half space or its class subspaces; the sender answers for every vector."""

    Slice = DescriptionSlice

    def __init__(self, slice: DescriptionSlice, load: Loader) -> None:
        super().__init__(slice.side, load)
        self._bits, self._components, self._layers = slice.bits, slice.components, slice.layers

    async def send(self, node: Node, vectors: Vectors) -> None:
        items, entries = node.public["items"], node.public["entries"]
        bits, count = self._bits, self._described(node)
        codes = await receive_codes(node, self.receiver, count, entries, bits)
        answers = np.empty(items, dtype=np.int64)
        decide = self._rule(node, codes)
        for part in parts(items, entries):
            answers[part] = decide(vectors.rows[part])
        for part in parts(items, 1):
            await node.send(self.receiver, Answers(answers[part], self._answer_bits(node)))

    async def receive(self, node: Node, holding: Holding) -> Decided:
        await send_codes(node, self.sender, self._describe(holding), self._bits)
        items, choices = node.public["items"], node.public.get("classes", 2)
        answers = np.empty(items, dtype=np.int64)
        for part in parts(items, 1):
            values = (await node.receive(self.sender, Answers)).values
            if values.shape != (part.stop - part.start,) or not 0 <= values.min() <= values.max() < choices:
                raise RemoteProtocolError(
                    f"{self.sender} answered other than one of {choices} for each vector"
                )
            answers[part] = values
        return Decided(holding.names[answers] if isinstance(holding, Classes) else answers)

    def _answer_bits(self, node: Node) -> int:
        return bits_for(node.public.get("classes", 2))

    def _described(self, node: Node) -> int:
        """Rows of the description: bases of all classes, layers of signs, or half of a dense matrix."""
        if self._components is not None:
            return node.public["classes"] * self._components
        return self._layers or node.public["entries"] // 2

    def _describe(self, holding: Holding) -> Codes:
        if isinstance(holding, Classes):
            return self._quantiser.codes(holding.bases.reshape(-1, holding.bases.shape[2]))
        assert isinstance(holding, Half)
        if isinstance(holding.half, half_spaces.ProductHalf):
            return np.asarray(holding.half.signs < 0, dtype=np.uint64)
        assert isinstance(holding.half, half_spaces.DenseHalf)
        return self._quantiser.codes(holding.half.matrix[: holding.half.dimension // 2])

    def _rule(self, node: Node, codes: Codes) -> Any:
        """How the sender decides for its vectors, given a description."""
        if self._layers:
            half = half_of_signs(codes.astype(np.bool_))
            return lambda rows: half_spaces.share_inside(half, rows) > 0.5
        basis = self._quantiser.rows(codes)
        if self._components is None:
            return lambda rows: ((rows @ basis.T) ** 2).sum(axis=1) > 0.5 * (rows**2).sum(axis=1)
        bases = basis.reshape(node.public["classes"], -1, basis.shape[1])
        return lambda rows: subspaces.decide(subspaces.probabilities(bases, rows))

    @property
    def _quantiser(self) -> Quantiser:
        return Quantiser(DESCRIPTION_LOW, DESCRIPTION_HIGH, False, self._bits)
