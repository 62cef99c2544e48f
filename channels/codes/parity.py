"""Quantum parity codes QPC(n, m): what losses they survive, and what is left of noise when they are decoded.

n rows of m photons; see `erasure_codes` for the code and for what its decoder knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.codes.stabilizers import TIE
from ketwire.quantum.gates import Gate

Floats = NDArray[np.float64]

MOST_OUTCOMES = 10_000_000  # different outcomes of a noisy code; 12 x 12 under any Pauli noise has 9.7e6
CHUNK = 1 << 13  # outcomes at a time, so that they stay in the cache


def parity_success(rows: int, columns: int, survival: float) -> float:
    """Probability that a block of QPC(rows, columns) has losses that can be undone (1310.5291)."""
    kept: float = 1.0 - (1.0 - survival) ** columns
    maimed = max(0.0, kept - survival**columns)  # a row keeps a photon, but not all
    return math.pow(kept, rows) - math.pow(maimed, rows)


def parity_encoder(rows: int, columns: int) -> tuple[Gate, ...]:
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


def parity_weights(rows: int, columns: int, survival: float, pauli_weights: Sequence[float]) -> Floats:
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
            # Each syndrome is met twice, once from either complement of b, so half of its weight counts.
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
