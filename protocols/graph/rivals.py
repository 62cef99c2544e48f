"""Classical rivals of `protocols.graph.program`, over the same links and on the same data.

- `FeatureParty`: owners of nodes send the features of theirs to the owner of the network, which then computes the
  logits itself. Features that are one-hot, or whose entries are alike in each row, are coded by their positions alone
  and arrive exactly; others have b bits an entry.
- `HopParty`, where single nodes are asked for: owners send of each asked node what their nodes add to its hops, R
  vectors of D entries at b bits. They are taken to know the hop operators, for free.
- `SketchParty`: with shared randomness owners send m signs of Gaussian projections of an item's features, and their
  norm. Signs make an unbiased vector y in the place of x; a quadratic form is estimated from pairs of signs.
- `CodeParty`: with shared randomness owners name the nearest of shared random directions, block by block, and tell the
  norm. The direction stands for the features, so that large logits come out small; decisions hardly change.

Each goes along the register's way, from neighbour to neighbour, and every crossing is counted. The owner of the network
is taken to have the head as well, for free.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.messages import Packed
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.announce import announce
from ketwire.protocols.codes import BlockPlan, bits_for, decode_block, encode_block, pack_bits, unpack_bits
from ketwire.protocols.graph.measuring import polynomial
from ketwire.protocols.graph.operators import Hops
from ketwire.protocols.graph.sides import Owned, Side
from ketwire.protocols.graph.transform import Hopping
from ketwire.protocols.node import Loader, Node, Outcome
from ketwire.protocols.numbers import EXACT_BITS, pack_numbers, unpack_numbers
from ketwire.protocols.sketch import signs_of, summed

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FORM_BITS = 3
ONE_HOT, ONES, SHARES, NUMBERS, DENSE = range(5)
"""Rows with a single entry of 1; entries of 1; entries of 1 over their number; entries at some bits; zeros too."""
MESSAGE_CODES = 1 << 18
WORD_BITS = 12
"""Of a block's code: the best of 2,048 directions and their opposites."""
GROUPS = 8
"""Signs are summed in so many groups, and pairs within one are left out: an eighth of all."""


@dataclass(frozen=True)
class RivalSlice:
    """A party's side; bits of an entry, or signs of a sketch; the seed of what owners of a sketch share; the hops."""

    side: Side
    bits: int
    shared_seed: int = 0
    hops: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class LogitsOutcome(Outcome):
    """What the owner of the network works out: shape (items, classes)."""

    logits: NDArray[np.float64]


class _Rival(ABC):
    """What all share: who holds what, and how messages go along the register's way."""

    Slice, Outcome = RivalSlice, LogitsOutcome

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        self._told, self._public, self._bits = slice, slice.side.public, slice.bits
        self._owned = Owned(slice.side, load)
        self.shapes = self._owned.shapes

    async def run(self, node: Node) -> LogitsOutcome | None:
        public = self._public
        if node.name not in public.path:
            return None
        for owner in public.path:
            if owner in public.owners and owner != public.network:
                await self.tell(node, owner)
        if node.name != public.network:
            return None
        return LogitsOutcome(np.array([self.logits(node, item) for item in range(public.items)]))

    @abstractmethod
    async def tell(self, node: Node, owner: str) -> None:
        """What one owner tells the owner of the network; all parties between pass it on."""

    @abstractmethod
    def logits(self, node: Node, item: int) -> Floats:
        """At the owner of the network, when all have told; shape (classes,)."""

    async def _codes(self, node: Node, owner: str, codes: Integers | None, count: int, bits: int) -> Integers:
        """`count` codes from an owner to the network; zeros at parties that do not hear them."""
        parts = []
        for first in range(0, count, MESSAGE_CODES):
            length = min(MESSAGE_CODES, count - first)
            message = None
            if codes is not None:
                packed = pack_bits(codes[first : first + length].astype(np.uint64), bits)
                message = Packed(length, bits, 0.0, length, packed)
            heard = await announce(node, self._public.path, owner, message, Packed, target=self._public.network)
            if heard is None:
                return np.zeros(count, dtype=np.int64)
            if (heard.count, heard.bits_per_entry) != (length, bits) or heard.positions is not None:
                raise RemoteProtocolError(f"{owner} told {heard.count} codes, expected {length} of {bits} bits")
            parts.append(unpack_bits(heard.codes, bits, length).astype(np.int64))
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    async def _numbers(self, node: Node, owner: str, numbers: Floats | None, count: int, bits: int) -> Floats:
        """`count` numbers from an owner to the network."""
        message = None if numbers is None else pack_numbers(numbers, bits)
        heard = await announce(node, self._public.path, owner, message, Packed, target=self._public.network)
        return np.zeros(count) if heard is None else unpack_numbers(heard, count)

    async def _rows(self, node: Node, owner: str, rows: Floats | None, count: int) -> Floats:
        """Rows of D entries from an owner to the network, without their zeros; rows: at the owner; count: how many."""
        width = self._public.features
        form = None if rows is None else np.array([_form(rows, self._bits)])
        told = int((await self._codes(node, owner, form, 1, FORM_BITS))[0])
        if told == DENSE:
            whole = None if rows is None else rows.reshape(-1)
            return (await self._numbers(node, owner, whole, count * width, self._bits)).reshape(count, width)
        where = None if rows is None else np.nonzero(rows)
        if told == ONE_HOT:
            lengths = np.ones(count, dtype=np.int64)
        else:
            own = None if rows is None else np.count_nonzero(rows, axis=1)
            lengths = await self._codes(node, owner, own, count, bits_for(width + 1))
            if len(lengths) and lengths.max() > width:
                raise RemoteProtocolError(f"{owner} told of {lengths.max()} entries of a row of {width}")
        total = int(lengths.sum())
        columns = await self._codes(node, owner, None if where is None else where[1], total, bits_for(width))
        if len(columns) and columns.max() >= width:
            raise RemoteProtocolError(f"{owner} told of entry {columns.max()}, expected entries below {width}")
        values = np.ones(total)
        if told == SHARES:
            values = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
        elif told == NUMBERS:
            own_values = None if rows is None or where is None else rows[where]
            values = await self._numbers(node, owner, own_values, total, self._bits)
        found = np.zeros((count, width))
        if len(columns) == len(values):
            found[np.repeat(np.arange(count), lengths), columns] = values
        return found


def _form(rows: Floats, bits: int) -> int:
    """The shortest form that has these rows, shape (count, D), at some bits an entry."""
    filled = rows != 0
    lengths = filled.sum(axis=1)
    if (rows[filled] == 1.0).all():
        return ONE_HOT if (lengths == 1).all() else ONES
    shares = np.repeat(1.0 / np.maximum(lengths, 1), lengths)
    if (rows[filled] == shares).all():
        return SHARES
    count, width = rows.shape
    sparse = count * bits_for(width + 1) + int(lengths.sum()) * (bits_for(width) + bits)
    return DENSE if count * width * bits <= sparse else NUMBERS


class FeatureParty(_Rival):
    """Owners send the features of their nodes, each node's once."""

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._heard: dict[int, Floats] = {}

    async def tell(self, node: Node, owner: str) -> None:
        numbers = self._nodes_of(owner)
        graphs = self._owned.graphs
        rows = graphs.rows(numbers) if graphs is not None and node.name == owner else None
        found = await self._rows(node, owner, rows, len(numbers))
        if node.name == self._public.network:
            self._heard |= dict(zip(numbers.tolist(), found, strict=True))

    def _nodes_of(self, owner: str) -> Integers:
        """The nodes of the set that an owner has, over all items; every party of the way has the graphs."""
        items = enumerate(self._owned.items)
        return np.unique(np.concatenate([item.inside[self._owned.owned_by(owner, at)] for at, item in items]))

    def logits(self, node: Node, item: int) -> Floats:
        inside = self._owned.items[item].inside.tolist()
        rows = self._owned.own_rows(node.name, item)
        whole = np.zeros((len(inside), self._public.features)) if rows is None else rows
        for place, number in enumerate(inside):
            if number in self._heard:
                whole[place] = self._heard[number]
        return logits_of(self._owned, item, whole.reshape(1, -1))


def logits_of(owned: Owned, item: int, amplitudes: Floats) -> Floats:
    """The logits of an item from its features, float64, shape (1, V·D)."""
    transform, model = owned.readouts.direct(item), owned.model
    assert model is not None
    c0, c1, c2 = polynomial(model, transform.units)
    z = transform.images(amplitudes)[0] + transform.offset
    pooled = ((c2 * z + c1) * z + c0).sum(axis=0) * transform.pool
    return np.asarray(pooled @ model.head + model.head_bias)


class HopParty(_Rival):
    """Owners send what their nodes add to the hops of each asked node."""

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._hops = tuple(Hops(name, count) for name, count in slice.hops)
        planes = 1 + sum(each.count for each in self._hops)
        self._heard = np.zeros((self._public.items, planes, self._public.features))

    async def tell(self, node: Node, owner: str) -> None:
        shape = self._heard.shape
        rows = None
        if node.name == owner:
            rows = np.concatenate([self._aggregated(node, item) for item in range(self._public.items)])
        found = await self._rows(node, owner, rows, shape[0] * shape[1])
        if node.name == self._public.network:
            self._heard += found.reshape(shape)

    def _aggregated(self, node: Node, item: int) -> Floats:
        """Of this party's nodes, shape (planes, D)."""
        graphs, asked = self._owned.graphs, self._owned.items[item]
        rows = self._owned.own_rows(node.name, item)
        if graphs is None or rows is None:
            return np.zeros(self._heard.shape[1:])
        hopping = Hopping(graphs.adjacency, self._hops, asked.inside)
        return np.stack([each[asked.rows[0]] for each in hopping.each(rows)])

    def logits(self, node: Node, item: int) -> Floats:
        model = self._owned.model
        assert model is not None
        planes = self._heard[item] + self._aggregated(node, item)
        z = np.einsum("rd,rdh->rh", planes, model.weights).reshape(-1) + model.shift.reshape(-1)
        c0, c1, c2 = polynomial(model, len(z))
        return np.asarray(((c2 * z + c1) * z + c0) @ model.head + model.head_bias)


class SketchParty(_Rival):
    """Owners send signs of shared Gaussian projections of their nodes' features of an item, and their norm."""

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._each = max(slice.bits // GROUPS, 1)
        self._heard: dict[tuple[str, int], Floats] = {}

    async def tell(self, node: Node, owner: str) -> None:
        for item in range(self._public.items):
            keys = [derive_key(self._told.shared_seed, "sketch", owner, f"{item}", f"{g}") for g in range(GROUPS)]
            signs = norm = None
            places = self._owned.owned_by(owner, item)
            if not len(places):
                continue
            if node.name == owner:
                rows = self._owned.own_rows(owner, item)
                assert rows is not None
                numbers = rows[places].reshape(-1)
                norm = np.array([np.linalg.norm(numbers)])
                signs = np.concatenate([signs_of(numbers, key, self._each) for key in keys]).astype(np.int64)
            size = float((await self._numbers(node, owner, norm, 1, EXACT_BITS))[0])
            heard = await self._codes(node, owner, signs, GROUPS * self._each, 1)
            if node.name == self._public.network:
                width = len(places) * self._public.features
                groups = zip(heard.astype(np.bool_).reshape(GROUPS, -1), keys, strict=True)
                factor = size * math.sqrt(math.pi / 2) / self._each
                self._heard[owner, item] = factor * np.stack([summed(each, key, width) for each, key in groups])

    def logits(self, node: Node, item: int) -> Floats:
        owned, model = self._owned, self._owned.model
        assert model is not None
        transform = owned.readouts.direct(item)
        c0, c1, c2 = polynomial(model, transform.units)
        rows, shape = owned.own_rows(node.name, item), (transform.columns - 1,)
        exact = np.zeros(shape) if rows is None else rows.reshape(-1)
        z = transform.images(exact[None])[0] + transform.offset
        square = np.zeros_like(z)
        for owner in (each for each in self._public.owners if (each, item) in self._heard):
            vectors = np.zeros((GROUPS, len(owned.items[item].inside), self._public.features))
            places = owned.owned_by(owner, item)
            vectors[:, places] = self._heard[owner, item].reshape(GROUPS, len(places), -1)
            images = transform.images(vectors.reshape(GROUPS, -1))
            mean, own = images.mean(axis=0), (images**2).sum(axis=0)
            square += (GROUPS**2 * mean**2 - own) / (GROUPS * (GROUPS - 1)) - mean**2
            z = z + mean
        square += z**2
        pooled = (c2 * square + c1 * z + c0).sum(axis=0) * transform.pool
        return np.asarray(pooled @ model.head + model.head_bias)


class CodeParty(_Rival):
    """Owners name shared random directions near their nodes' features of an item, block by block, and tell the norm."""

    def __init__(self, slice: RivalSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self._heard: dict[tuple[str, int], Floats] = {}

    async def tell(self, node: Node, owner: str) -> None:
        key = derive_key(self._told.shared_seed, "code", owner)
        for item in range(self._public.items):
            places = self._owned.owned_by(owner, item)
            if not len(places):
                continue
            width = len(places) * self._public.features
            plan = BlockPlan(width, min(max(self._bits // WORD_BITS, 1), width), WORD_BITS)
            codes = norm = None
            if node.name == owner:
                rows = self._owned.own_rows(owner, item)
                assert rows is not None
                numbers = rows[places].reshape(1, -1)
                norm = np.array([np.linalg.norm(numbers)])
                codes = encode_block(numbers, plan, stream(key, "directions")).reshape(-1)
            size = float((await self._numbers(node, owner, norm, 1, EXACT_BITS))[0])
            heard = await self._codes(node, owner, codes, plan.blocks, WORD_BITS)
            if node.name == self._public.network:
                decoded = decode_block(heard.reshape(1, -1), plan, stream(key, "directions"))
                self._heard[owner, item] = size * decoded[0]

    def logits(self, node: Node, item: int) -> Floats:
        owned = self._owned
        rows = owned.own_rows(node.name, item)
        whole = np.zeros((len(owned.items[item].inside), self._public.features)) if rows is None else rows
        for owner in (each for each in self._public.owners if (each, item) in self._heard):
            places = owned.owned_by(owner, item)
            whole[places] = self._heard[owner, item].reshape(len(places), -1)
        return logits_of(owned, item, whole.reshape(1, -1))
