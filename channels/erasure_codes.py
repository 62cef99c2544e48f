"""Quantum codes that carry qubits over a lossy, noisy fiber, each as the logical channel that it leaves.

*The physical channel.* Each photon of a block is lost with probability 1 - survival, and its receiver
knows which ones were; independently, each survivor meets I, X, Y, Z with given weights.

*The decoder* is ideal and optimal. A lost photon is replaced by a maximally mixed one, that is by a
uniformly random Pauli on it; then the generators are measured, and of the logical classes of Pauli
strings with this syndrome the likeliest is undone, a tie being decided by a fair die. A block fails,
which its receiver knows, when its losses cannot be undone, and in a code that only detects errors also
when its syndrome is none that the losses alone explain. What is left of a block that arrives is a Pauli
channel on its logical qubits. Encoding and decoding are without noise of their own here; encoding
takes `encode_layers` layers of two-qubit gates.

*How it is computed.* The small codes by summing all 4**n Pauli strings for each set of losses. The
quantum parity code QPC(n, m), n rows of m photons with |±>_L = 2**(-n/2) (|0...0> ± |1...1>)**n (Ralph,
Hayes, Gilchrist, PRL 95, 100501), row by row: see `_parity_weights`. Its losses can be undone when every
row keeps a photon and one row keeps all, with probability [1 - p**m]**n - [1 - p**m - η**m]**n,
p = 1 - η (Muralidharan et al., 1310.5291).

No code beats what its photons could carry: the capacity k max(0, 1 - 2 failure) of a block is at most
n max(0, 1 - 2 (1 - survival)) (Bennett, DiVincenzo, Smolin 1997); at 3 dB of loss and beyond none helps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.stabilizers import (
    NOISELESS,
    TIE,
    StabilizerCode,
    decode,
    parity_stabilizers,
    stabilizer_code,
)
from ketwire.quantum.gates import Gate

Floats = NDArray[np.float64]

MOST_PHOTONS = 256  # of a parity code
MOST_OUTCOMES = 10_000_000  # unlike outcomes of a noisy parity code; 12 x 12 under any Pauli noise has 9.7e6
CHUNK = 1 << 13  # outcomes at a time, so that they stay in the cache


@dataclass(frozen=True, eq=False)
class LogicalChannel:
    """What a code makes of a fiber: an erasure of whole blocks, then a Pauli channel on what arrives.

    failure: probability that a block is lost, which its receiver knows
    weights: float64, shape (4**qubits_per_block,): the logical Pauli weights given that the block
        arrived, summing to 1; a base-4 digit I, X, Y, Z a logical qubit, the first most significant.
        Where no block ever arrives, the identity. Rounding is some 1e-15; where it cannot tell a tie
        from a narrow majority, up to 1e-6 may move among X, Y and Z, and 1e-9 from the identity.
    """

    failure: float
    weights: Floats
    physical_per_block: int
    qubits_per_block: int
    encode_layers: int

    @property
    def success(self) -> float:
        """Probability that a block arrives."""
        return 1.0 - self.failure

    def marginal(self, logical: int) -> Floats:
        """The Pauli weights of one logical qubit, whatever befell the others; shape (4,)."""
        axes = tuple(axis for axis in range(self.qubits_per_block) if axis != logical)
        marginal: Floats = self.weights.reshape((4,) * self.qubits_per_block).sum(axis=axes)
        return marginal


class Sample(NamedTuple):
    """What befell each of some blocks.

    failed: bool, shape (blocks,)
    logical: int64, shape (blocks, qubits_per_block): which Pauli each logical qubit met, I, X, Y, Z
        = 0, 1, 2, 3; 0 where the block failed
    """

    failed: NDArray[np.bool_]
    logical: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Code:
    """A code with its encoding circuit. Made by `code`, once for each name, and equal only to itself.

    encoder: gates that turn data on the qubits `data`, and |0> on all others, into the encoded state
    detects: whether errors beyond losses are only detected, and end in a heralded failure
    parity: (n, m) of a quantum parity code, else None
    """

    name: str
    stabilizers: StabilizerCode
    encoder: tuple[Gate, ...]
    data: tuple[int, ...]
    detects: bool = False
    parity: tuple[int, int] | None = None

    @property
    def physical_per_block(self) -> int:
        """Photons in a block."""
        return self.stabilizers.qubits

    @property
    def qubits_per_block(self) -> int:
        """Logical qubits in a block."""
        return self.stabilizers.logical_qubits

    @property
    def encode_layers(self) -> int:
        """Layers of two-qubit gates that the encoder takes; gates on one qubit are not counted."""
        depth = [0] * self.physical_per_block
        for gate in self.encoder:
            if len(gate.qubits) == 2:
                first, second = gate.qubits
                depth[first] = depth[second] = max(depth[first], depth[second]) + 1
        return max(depth)

    def logical_channel(self, survival: float, pauli_weights: Sequence[float] = NOISELESS) -> LogicalChannel:
        """The channel that is left of a fiber; computed once for each set of arguments.

        Args:
            survival: probability that a photon arrives.
            pauli_weights: of I, X, Y, Z on a photon that does.

        Raises:
            ValueError: no probabilities, or noise on a parity code with more than `MOST_OUTCOMES`
                unlike outcomes.
        """
        if not 0.0 <= survival <= 1.0:
            raise ValueError(f"survival: {survival!r} given, expected a number from 0 to 1")
        weights = tuple(float(weight) for weight in pauli_weights)
        total = sum(weights)
        if len(weights) != 4 or not (min(weights) >= 0.0 and abs(total - 1.0) <= 1e-9):
            raise ValueError(f"pauli_weights: {weights!r} given, expected four probabilities that sum to 1")
        return _logical_channel(self, float(survival), tuple(weight / total for weight in weights))

    def sample(
        self, blocks: int, survival: float, weights: Sequence[float], rng: np.random.Generator
    ) -> Sample:
        """Draw what befalls each of `blocks`, from the exact distribution: one uniform number a block.

        Raises:
            ValueError: as `logical_channel`.
        """
        channel = self.logical_channel(survival, weights)
        edges = np.cumsum(np.concatenate([[channel.failure], channel.success * channel.weights]))
        # Where the last weights are 0 the edges before them are 1 exactly, so rounding draws none of them.
        outcome = np.searchsorted(edges / edges[-1], rng.random(blocks), side="right")
        failed = outcome == 0
        joint = np.where(failed, 0, outcome - 1)
        shifts = 2 * np.arange(self.qubits_per_block - 1, -1, -1)
        return Sample(failed, joint[:, None] >> shifts & 3)


@lru_cache(maxsize=1024)
def _logical_channel(coded: Code, survival: float, pauli_weights: tuple[float, ...]) -> LogicalChannel:
    if coded.parity is None:
        failure, weights = decode(coded.stabilizers, survival, pauli_weights, coded.detects)
    else:
        failure = 1.0 - parity_success(*coded.parity, survival)
        weights = _parity_weights(*coded.parity, survival, pauli_weights)
    total = float(weights.sum())
    weights = weights / total if total > 0.0 else np.eye(1, len(weights))[0]
    weights.flags.writeable = False
    return LogicalChannel(
        min(failure, 1.0), weights, coded.physical_per_block, coded.qubits_per_block, coded.encode_layers
    )


# ---------------------------------------------------------------- quantum parity codes


def parity_success(rows: int, columns: int, survival: float) -> float:
    """Probability that a block of QPC(rows, columns) has losses that can be undone (1310.5291)."""
    kept: float = 1.0 - (1.0 - survival) ** columns
    maimed = max(0.0, kept - survival**columns)  # a row keeps a photon, but not all
    return math.pow(kept, rows) - math.pow(maimed, rows)


def best_qpc(survival: float, max_n: int = 12, max_m: int = 12) -> Code:
    """The parity code of at most max_n rows and max_m columns that a block survives most often.

    Of codes alike to 1e-12, the one with the fewest photons.

    Raises:
        ValueError: a survival outside [0, 1] or a bound below 1.
    """
    if not 0.0 <= survival <= 1.0:
        raise ValueError(f"survival: {survival!r} given, expected a number from 0 to 1")
    if min(max_n, max_m) < 1 or max_n * max_m > MOST_PHOTONS:
        raise ValueError(f"best_qpc: up to {max_n} x {max_m} asked for, expected 1 to {MOST_PHOTONS} photons")
    sizes = [(n, m) for n in range(1, max_n + 1) for m in range(1, max_m + 1)]
    success = {size: parity_success(*size, survival) for size in sizes}
    most = max(success.values())
    return code(min((size for size in sizes if success[size] >= most - 1e-12), key=math.prod))


def _parity_weights(rows: int, columns: int, survival: float, pauli_weights: Sequence[float]) -> Floats:
    """The logical weights that arrived blocks of a parity code leave over, not normalised; shape (4,).

    The generators compare the photons of a row (ZZ) and the rows with each other (X...X X...X). So a
    row tells which of its survivors X flipped, up to all of them, which is logical X: a = 0 or 1. And a
    row that lost nothing tells the parity b of its Z flips, up to the same complement in all rows, which
    is logical Z. A row with losses tells nothing of b. Given the syndromes, rows are independent, so
    with A the parity of all a and B the complement of all b,
    P(A, B) = 1/2 [prod_rows (P(0, b+B) + P(1, b+B)) + (-1)**A prod_rows (P(0, b+B) - P(1, b+B))].
    Rows alike in what they tell are interchangeable, so multisets of rows are what is summed over.
    """
    intact = _merged(_intact_rows(columns, survival, pauli_weights))
    broken = _merged(_broken_rows(columns, survival, pauli_weights))
    for kinds in (len(intact), len(broken)):
        outcomes = math.comb(rows + kinds, kinds)
        if outcomes > MOST_OUTCOMES:
            raise ValueError(
                f"code: qpc({rows},{columns}) given, expected a smaller code for photons with this noise: it has "
                f"{outcomes:.1e} unlike outcomes, and at most {MOST_OUTCOMES:.0e} are worked out"
            )
    left = np.zeros(4)
    if not len(intact):
        return left
    rest = _multisets(broken, rows)
    some = _multisets(intact[:-1], rows)
    for whole in range(1, rows + 1):
        outlook = _outlook(rest[rows - whole])
        for last in range(whole + 1):  # the last kind joins here, so that no list holds all multisets
            # Each syndrome is met twice, once from either complement of b: hence the half.
            weight = 0.5 * math.comb(rows, whole) * math.comb(whole, last) * intact[-1] ** last
            for start in range(0, len(some[whole - last]), CHUNK):
                left += _decide(some[whole - last][start : start + CHUNK] * weight, outlook)
    return np.maximum(left, 0.0)


def _intact_rows(columns: int, survival: float, pauli_weights: Sequence[float]) -> Floats:
    """What a row without losses can tell, shape (kinds, 4).

    A kind is (how many photons are flipped in the lesser of the two sets, parity b). Its numbers are
    P(a=0, b) + P(a=1, b), P(a=0, b) - P(a=1, b), and the same for the other b.
    """
    identity, x, y, z = pauli_weights
    quiet, flip = (identity + z, identity - z), (x + y, x - y)

    def joint(flipped: int, b: int) -> float:
        even, odd = (quiet[i] ** (columns - flipped) * flip[i] ** flipped for i in (0, 1))
        return 0.5 * (even - odd if b else even + odd)

    kinds = []
    for flipped in range(columns // 2 + 1):
        # A half of the photons flipped is as many sets as their complements: count each pair once.
        sets = math.comb(columns, flipped) / (2.0 if 2 * flipped == columns else 1.0)
        for b in (0, 1):
            pairs = [(joint(flipped, c), joint(columns - flipped, c)) for c in (b, 1 - b)]
            kinds.append([sets * number for p, q in pairs for number in (p + q, p - q)])
    return survival**columns * np.array(kinds)


def _broken_rows(columns: int, survival: float, pauli_weights: Sequence[float]) -> Floats:
    """What a row with losses and survivors can tell, shape (kinds, 2): P(a=0) + P(a=1), |P(a=0) - P(a=1)|.

    A kind is by how much one of the two sets of flipped survivors outnumbers the other. The sign is
    left out: it is the same for every b, and undoing the likelier class cancels it.
    """
    flip = pauli_weights[1] + pauli_weights[2]
    quiet = pauli_weights[0] + pauli_weights[3]
    kinds = np.zeros((columns, 2))
    for kept in range(1, columns):
        weight = math.comb(columns, kept) * survival**kept * (1.0 - survival) ** (columns - kept)
        for flipped in range(kept // 2 + 1):
            sets = math.comb(kept, flipped) / (2.0 if 2 * flipped == kept else 1.0)
            p = weight * sets * quiet ** (kept - flipped) * flip**flipped
            q = weight * sets * quiet**flipped * flip ** (kept - flipped)
            kinds[kept - 2 * flipped] += (p + q, abs(p - q))
    return kinds


def _merged(kinds: Floats) -> Floats:
    """Kinds that never happen dropped, and proportional ones, which tell the same, added up."""
    kinds = kinds[kinds[:, 0] > 0.0] if kinds.shape[1] == 2 else kinds[kinds[:, 0] + kinds[:, 2] > 0.0]
    if len(kinds) < 2:
        return kinds
    shapes = np.round(kinds / np.abs(kinds).max(axis=1, keepdims=True), 14)
    _, index = np.unique(shapes, axis=0, return_inverse=True)
    merged = np.zeros((int(index.max()) + 1, kinds.shape[1]))
    np.add.at(merged, index.ravel(), kinds)
    return merged


def _multisets(kinds: Floats, most: int) -> list[Floats]:
    """All multisets of each size from 0 to `most`: (size! / prod count!) prod_kinds kind**count.

    kinds: shape (kinds, width). Returns for each size an array of shape (multisets, width).
    """
    width = kinds.shape[1]
    sizes = [np.ones((1, width))] + [np.zeros((0, width))] * most
    for kind in kinds:
        powers = [kind**count for count in range(most + 1)]
        sizes = [
            np.concatenate(
                [sizes[size - count] * (math.comb(size, count) * powers[count]) for count in range(size + 1)]
            )
            for size in range(most + 1)
        ]
    return sizes


class _Outlook(NamedTuple):
    """The rows with losses, sorted by how well they tell A: ratio = difference / sum, from 0 to 1.

    below, above: shape (2, multisets + 1), sums and differences added up before and from each index.
    """

    ratio: Floats
    below: Floats
    above: Floats


def _outlook(multisets: Floats) -> _Outlook:
    multisets = multisets[multisets[:, 0] > 0.0]  # products of many rare rows underflow
    ratio = multisets[:, 1] / multisets[:, 0]
    order = np.argsort(ratio, kind="stable")
    ordered, nothing = multisets[order].T, np.zeros((2, 1))
    below = np.concatenate([nothing, np.cumsum(ordered, axis=1)], axis=1)
    above = np.concatenate([np.cumsum(ordered[:, ::-1], axis=1)[:, ::-1], nothing], axis=1)
    return _Outlook(ratio[order], below, above)


def _decide(intact: Floats, outlook: _Outlook) -> Floats:
    """Undo the likeliest class for each multiset of intact rows with each of the others; shape (4,).

    With s and d the sum and difference of the rows with losses, r = d / s, and S_B, D_B those of the
    intact rows, the likeliest A for a given B has weight s (S_B + r |D_B|) / 2. In r these are two
    lines, which cross at most once: one B is best for all r below the crossing, the other above.
    """
    S, D, T, E = np.ascontiguousarray(intact.T)  # of B = 0, then of B = 1
    near = TIE * (S + T)
    rise, slope = S - T, np.abs(D) - np.abs(E)
    rise[np.abs(rise) <= near] = 0.0
    slope[np.abs(slope) <= near] = 0.0
    swap = (rise < 0.0) | (rise == 0.0) & (slope < 0.0)
    S, T = np.where(swap, T, S), np.where(swap, S, T)
    D, E = np.where(swap, E, D), np.where(swap, D, E)
    slope[swap] *= -1.0
    rise = np.abs(rise)
    crossing = np.divide(rise, -slope, out=np.full(len(S), np.inf), where=slope < 0.0)
    # The smaller the difference rise, the more of it is rounding.
    blur = TIE + np.divide(1e-6 * near, rise, out=np.zeros(len(S)), where=rise > 0.0)
    first = np.searchsorted(outlook.ratio, crossing * (1.0 - blur), side="left")
    last = np.searchsorted(outlook.ratio, crossing * (1.0 + blur), side="right")
    # Between the two both B are as likely, and where D = 0 both A of the first: two classes to one.
    share = np.where(np.abs(D) <= TIE * S, 2.0 / 3.0, 0.5)
    below = (1.0 - share) * outlook.below[:, first] + share * outlook.below[:, last]
    above = (1.0 - share) * outlook.above[:, first] + share * outlook.above[:, last]
    return _left_over(S, D, T, E, below) + _left_over(T, E, S, D, above)


def _left_over(S: Floats, D: Floats, T: Floats, E: Floats, rest: Floats) -> Floats:
    """The weights of I, X, Y, Z left when the B of S and D, and its likelier A, are undone; shape (4,)."""
    size = np.abs(D)
    sign = np.where(size > TIE * S, np.sign(D), 0.0)  # 0: both A are as likely
    right, wrong = S @ rest[0], T @ rest[0]
    likelier, other = size @ rest[1], (sign * E) @ rest[1]
    return 0.5 * np.array([right + likelier, right - likelier, wrong - other, wrong + other])


# ---------------------------------------------------------------- the codes


def code(name: str | tuple[int, int]) -> Code:
    """The code of this name: "[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]", "qpc(n,m)", or (n, m) for the last.

    Raises:
        ValueError: no such code, or a parity code of more than `MOST_PHOTONS` photons.
    """
    if not isinstance(name, str):
        n, m = name
        return _code(f"qpc({n},{m})")
    return _code("".join(name.split()).lower())


@lru_cache(maxsize=1024)
def _code(name: str) -> Code:
    if name in _SMALL:
        return _SMALL[name]
    size = re.fullmatch(r"qpc\(([1-9]\d{0,3}),([1-9]\d{0,3})\)", name)
    if size is None:
        raise ValueError(f"code: {name!r} given, expected one of {', '.join(sorted(_SMALL))} or qpc(n,m)")
    rows, columns = int(size[1]), int(size[2])
    if rows * columns > MOST_PHOTONS:
        raise ValueError(f"code: {name} given, expected at most {MOST_PHOTONS} photons, it has {rows * columns}")
    return Code(
        name, parity_stabilizers(rows, columns), _parity_encoder(rows, columns), (0,), parity=(rows, columns)
    )


def _parity_encoder(rows: int, columns: int) -> tuple[Gate, ...]:
    """Repeat the data over the rows in the X basis, then over each row in the Z basis, by doubling."""
    gates = []
    for row in range(1, rows):
        control, target = row * columns, (row - _doubled(row)) * columns
        gates += [Gate("h", (control,)), Gate("cnot", (control, target))]
    for row in range(rows):
        for column in range(1, columns):
            gates.append(Gate("cnot", (row * columns + column - _doubled(column), row * columns + column)))
    return tuple(gates)


def _doubled(index: int) -> int:
    """The largest power of two that is at most `index`: how many were there when a doubling made it."""
    return 1 << (index.bit_length() - 1)


def _gates(text: str) -> tuple[Gate, ...]:
    """Gates from text such as "h:0 cnot:0,1"."""
    parts = (word.split(":") for word in text.split())
    return tuple(Gate(name, tuple(int(qubit) for qubit in qubits.split(","))) for name, qubits in parts)


_SMALL = {
    "[[4,2,2]]": Code(
        "[[4,2,2]]",
        stabilizer_code("XXXX ZZZZ", logical_x="XXII XIXI", logical_z="ZIZI ZZII"),
        # With c the |+>: (a+b+c, a+c, b+c, c), which is X1**a X2**b (XXXX)**c on |0000>.
        _gates("h:3 cnot:3,1 cnot:2,0 cnot:1,0 cnot:3,2"),
        data=(1, 2),
        detects=True,
    ),
    "[[5,1,3]]": Code(
        "[[5,1,3]]",
        stabilizer_code("XZZXI IXZZX XIXZZ ZXIXZ", logical_x="XXXXX", logical_z="ZZZZZ"),
        # A cat state in the X basis, then a ring of CZ, is this code but for the same letters' names.
        _gates(
            "h:0 s:0 h:1 h:2 h:3 h:4 cnot:1,0 cnot:2,0 cnot:3,1 cnot:4,0 cz:1,2 cz:4,0 cz:2,3 cz:0,1 cz:3,4 "
            "s:0 s:1 s:2 s:3 s:4 h:0 h:1 h:2 h:3 h:4"
        ),
        data=(0,),
    ),
    "[[7,1,3]]": Code(
        "[[7,1,3]]",
        stabilizer_code(
            "IIIXXXX IXXIIXX XIXIXIX IIIZZZZ IZZIIZZ ZIZIZIZ", logical_x="XXXXXXX", logical_z="ZZZZZZZ"
        ),
        # Found by search: 9 gates, where the generators one by one take 11.
        _gates(
            "h:0 h:2 h:6 cnot:2,3 cnot:0,2 cnot:3,4 cnot:6,5 cnot:4,5 cnot:6,1 cnot:2,6 cnot:5,2 cnot:0,4"
        ),
        data=(4,),
    ),
}
