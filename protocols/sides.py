"""What the parties of the kind `subspace` are given: each its side, and the plan of its session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.node import Json
from ketwire.protocols.stream import Passage, StreamPlan


@dataclass(frozen=True)
class OwnVectors:
    """The sender's: dealt to it, float64, shape (items, entries), or else their source."""

    dealt: NDArray[np.float64] | None = None
    source: Json = None


@dataclass(frozen=True)
class OwnHalf:
    """The receiver's half space: a dense matrix, or where its signs are -1, bool, shape (layers, N)."""

    matrix: NDArray[np.float64] | None = None
    minus: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class OwnClasses:
    """The receiver's training data, and how it learns from them; copies: that its measurement is made for."""

    training: Json
    training_labels: Json
    components: int
    measurement: str
    copies: int


@dataclass(frozen=True)
class Side:
    """What a party of a session is given: who sends and receives, and what it owns; others than these own nothing.

    constant, standardise: what is done to the vectors of both sides.
    """

    sender: str
    receiver: str
    constant: float | None = None
    standardise: bool = False
    own: OwnVectors | None = None
    half: OwnHalf | None = None
    classes: OwnClasses | None = None


@dataclass(frozen=True)
class SubspaceSlice:
    """A party's side, and the stream; its passage by the number of qubits, from 1 up."""

    side: Side
    plan: StreamPlan
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class CodeSlice:
    """The plan of the code, and the key that both sides draw from, 64 hexadecimal digits."""

    side: Side
    shared_key: str
    blocks: int
    bits_per_block: int


@dataclass(frozen=True)
class RawSlice:
    """Bits of an entry and their range; whether zeros are left out; components that the receiver may keep a class."""

    side: Side
    bits: int
    low: float
    high: float
    relative: bool
    sparse: bool
    components: int | None = None


@dataclass(frozen=True)
class DescriptionSlice:
    """Bits of an entry; what is described: class subspaces of so many components, layers of signs, or a matrix."""

    side: Side
    bits: int
    components: int | None = None
    layers: int | None = None
