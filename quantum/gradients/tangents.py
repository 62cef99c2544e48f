"""The derivatives of a unitary in one frame: ∂_p U = i U Q_p, with one Hermitian 2^n by 2^n matrix Q_p each.

W = |0><0| ⊗ 1 + |1><1| ⊗ U† takes every operator of `features` to the same form, W O_p W† = Y ⊗ Q_p, for
every block in which p is read. So:

- all O_p together span 4^n real dimensions at most, 4^n - 1 where all gates are rotations (Tr Q_p = 0), and not
  the 2 · 4^n of matrices [[0, A†], [A, 0]];
- Tr O_p ρ = Tr Q_p G with the Hermitian G = i (M - M†), M = ρ_01 U, of which all derivatives are read;
- exp(Σ_p c_p O_p) = W† (1 ⊗ cosh H + Y ⊗ sinh H) W with H = Σ_p c_p Q_p: a hypothesis of n + 1 qubits is
  found from the eigenvectors of one matrix of n.

In the frame F of p's block Q_p = F† D_p F, D_p diagonal (`sublayers.generators`). A Hermitian matrix is kept as
the real numbers R = Re + Im of its entries: Re is symmetric and Im antisymmetric, so Tr A B is the plain product
of the two rows of 4^n numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.gradients.features import Block, blocks_of, contributions, sweep
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.segments import Segment

MOST_OCTETS = 1 << 29  # of all Q_p together


def packed(matrices: Complexes) -> Floats:
    """Hermitian matrices, (..., N, N), as rows of real numbers, (..., N²), whose products are traces."""
    return np.asarray((matrices.real + matrices.imag).reshape(*matrices.shape[:-2], -1))


def unpacked(row: Floats) -> Complexes:
    """One Hermitian matrix, (N, N), from its N² numbers."""
    size = round(len(row) ** 0.5)
    square = row.reshape(size, size)
    return np.asarray((square + square.T) / 2 + 0.5j * (square - square.T))


def unitary(segment: Segment) -> Complexes:
    """U as a matrix, (2**n, 2**n)."""
    return np.asarray(segment.apply(np.eye(1 << segment.qubits, dtype=np.complex128)).T)


def read_by(U: Complexes, matrix: Complexes) -> Floats:
    """The packed G, (4**n,), of a Hermitian matrix of the register and its ancilla."""
    M = matrix[: len(U), len(U) :] @ U
    return packed(1j * (M - M.conj().T))


def frames(segment: Segment) -> Iterator[tuple[Block, Complexes, Floats]]:
    """Each block with its frame's transpose Fᵀ, (2**n, 2**n), and the diagonals of D_p, (slots, 2**n)."""
    size = 1 << segment.qubits
    basis = np.zeros((size, 2 * size), dtype=np.complex128)
    basis[:, :size] = np.eye(size)
    for block, framed in sweep(segment, basis):
        letters = JointPaulis(block.sublayers[block.index].letters)
        table = block.values[: letters.outcomes]  # what it says where the ancilla's Y is +1
        yield block, letters.turn(framed[:, :size]), table[letters.numbers(segment.qubits)].T


def traces(segment: Segment, rows: Floats) -> Floats:
    """Tr Q_p G for every parameter p of U: packed G, (any, 4**n), to (any, parameter_count).

    Where there are few G, each is taken to each frame, of which the diagonal is read; where there are
    more than a block has parameters, the block's Q_p are written out, and thrown away again.
    """
    told = np.zeros((len(rows), segment.circuit.parameter_count))
    for block, framed, diagonals in frames(segment):
        if len(rows) < len(diagonals):
            found = np.stack([_diagonal(unpacked(row), framed) for row in rows]) @ diagonals.T
        else:
            found = rows @ _written_out(framed, diagonals).T
        told[:, block.slots] += found
    return told


def _diagonal(G: Complexes, framed: Complexes) -> Floats:
    """Of F G F†."""
    return np.asarray((framed * (G @ framed.conj())).sum(axis=0).real)


def _written_out(framed: Complexes, diagonals: Floats) -> Floats:
    """The packed Q of each diagonal, (slots, 4**n)."""
    return packed((framed.conj() * diagonals[:, None, :]) @ framed.T)


@dataclass(frozen=True, eq=False)
class Tangents:
    """All Q_p of a unitary. slots: the parameters that are read, ascending. rows: (slots, 4**n), packed."""

    segment: Segment
    slots: Integers
    rows: Floats

    @classmethod
    def of(cls, segment: Segment) -> Tangents:
        """ValueError where they would not fit into memory."""
        slots = np.array(sorted({slot for block in blocks_of(segment.circuit) for slot in block.slots}), dtype=np.int64)
        entries = 4**segment.qubits
        if 8 * len(slots) * entries > MOST_OCTETS:
            raise ValueError(f"parameters: {len(slots)} on {segment.qubits} qubits given, expected at most "
                             f"{MOST_OCTETS // (8 * entries)} for operators in memory")
        rows = np.zeros((len(slots), entries))
        for block, framed, diagonals in frames(segment):
            rows[np.searchsorted(slots, block.slots)] += _written_out(framed, diagonals)
        return cls(segment, slots, rows)


class TangentHypothesis:
    """ω = exp(Σ_p c_p O_p) over its trace, for the O_p of a unitary; c begins at 0."""

    def __init__(self, tangents: Tangents) -> None:
        self._tangents = tangents
        self._exponent = np.zeros(tangents.rows.shape[1])

    def add(self, index: int, amount: float) -> None:
        """c of the parameter at this place among `slots` grows by `amount`."""
        self._exponent += amount * self._tangents.rows[index]

    def means(self) -> Floats:
        """Tr O_p ω, (slots,)."""
        _, sinh = self._parts()
        return np.asarray(self._tangents.rows @ packed(2 * sinh))

    def means_of(self, states: Complexes) -> Floats:
        """<Φ| O_p |Φ> of each row: (rows, 2**(n+1)) to (rows, slots)."""
        return contributions(self._tangents.segment, states)[:, self._tangents.slots]

    def matrix(self) -> Complexes:
        """ω, (2**(n+1), 2**(n+1))."""
        cosh, sinh = self._parts()
        U = unitary(self._tangents.segment)
        lower = 1j * U @ sinh
        return np.block([[cosh, lower.conj().T], [lower, U @ cosh @ U.conj().T]])

    def _parts(self) -> tuple[Complexes, Complexes]:
        """cosh H and sinh H over 2 Tr cosh H."""
        values, vectors = np.linalg.eigh(unpacked(self._exponent))
        top = np.abs(values).max()
        up, down = np.exp(values - top), np.exp(-values - top)
        weights = np.stack([up + down, up - down]) / (2 * (up + down).sum())
        cosh, sinh = (vectors * weights[:, None, :]) @ vectors.conj().T
        return cosh, sinh
