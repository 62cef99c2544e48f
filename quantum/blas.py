"""The NumPy engine: small matrix products and elementwise phases on batches (rows, 2**n).

The rotations of a layer are real, so their Kronecker product over three or four neighbouring qubits is
multiplied onto the register read as float64 pairs: half the work of a complex product. Diagonals are
products of a table over the high and one over the low bits of the index. `plan` says how a circuit
becomes such layers.
"""

import threading
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.gates import Gate
from ketwire.quantum.plan import Diagonal, Local

_GROUP = 3  # qubits, about, whose rotations make one matrix
_BLOCK_BITS = 14  # 2^14 amplitudes, 256 KiB: a block and what it is multiplied into stay in the caches
_BLOCK = 1 << _BLOCK_BITS
_SHARING_ROWS = 4  # from here on the whole diagonal is written out once for all rows


def run_local(local: Local, states: Complexes, parameters: Floats, out: Complexes | None = None) -> Complexes:
    """Apply a stretch of rotations and phases; the result is `out`, if given, or a new array."""
    spare = out
    angles = local.angles(parameters)
    groups = _rotation_matrices(local, angles)
    size = states.shape[1]
    width = min(size, _BLOCK) * max(1, min(len(states), _BLOCK // size))
    spares = _spare_blocks(2 * width)
    current = states
    for layer in range(local.layers):
        rotated = local.rotated[layer]
        turning = [(low, matrices[layer]) for low, bits, matrices in groups
                   if rotated >> low & ((1 << bits) - 1)]
        while turning and turning[-1][0] >= _BLOCK_BITS:
            low, matrix = turning.pop()
            target = np.empty_like(states) if spare is None else spare
            spare = None
            _multiply(matrix, low, _floats(current), _floats(target))
            current = target
        diagonal = local.diagonals[layer]
        tables = None if diagonal is None else _Tables(diagonal, angles, *states.shape)
        # The argument is only read; what is written is ours.
        own = current is not states
        if own:
            out = current
        else:
            out, spare = np.empty_like(states) if spare is None else spare, None
        source_flat, out_flat, entries = _floats(current), _floats(out), out.reshape(-1)
        for start in range(0, states.size, width):
            part = slice(2 * start, 2 * (start + width))
            _multiply_all(turning, source_flat[part], out_flat[part], spares, own)
            if tables is not None:
                tables.apply(entries[start : start + width], start)
        current = out
    return current


class _Scratch(threading.local):
    """Two blocks that each thread keeps: new ones a call cost page faults, more than the arithmetic."""

    def __init__(self) -> None:
        self.blocks = np.empty((2, 0))


_scratch = _Scratch()


def _spare_blocks(floats: int) -> list[Floats]:
    if _scratch.blocks.shape[1] < floats:
        _scratch.blocks = np.empty((2, floats))
    return [_scratch.blocks[0, :floats], _scratch.blocks[1, :floats]]


def _floats(states: Complexes) -> Floats:
    """The same memory as (re, im, re, im, ...)."""
    return states.view(np.float64).reshape(-1)


def _multiply_all(turning: list[tuple[int, Floats]], source: Floats, out: Floats, spares: list[Floats],
                  in_place: bool) -> None:
    """Multiply a block by each matrix in turn, by way of the spare blocks; in place, out is source."""
    for index, (low, matrix) in enumerate(turning):
        last = index == len(turning) - 1 and (index > 0 or not in_place)
        target = out if last else spares[index % 2][: len(out)]
        _multiply(matrix, low, source, target)
        source, in_place = target, last
    if not in_place:
        out[:] = source


def _rotation_matrices(local: Local, angles: Floats) -> list[tuple[int, int, Floats]]:
    """(lowest bit, bits, matrices of all layers) for each group of neighbouring bits, the lowest first.

    The matrix of bit 0's group acts from the right on (re, im) pairs: kron with 1, then transposed.
    """
    n, L = local.qubits, local.layers
    entries = np.empty((L, 2 + 3 * n))  # 0, 1, cosines, sines, -sines
    entries[:, :2] = 0.0, 1.0
    half = 0.5 * angles[: L * n].reshape(L, n)
    np.cos(half, out=entries[:, 2 : 2 + n])
    np.sin(half, out=entries[:, 2 + n : 2 + 2 * n])
    np.negative(entries[:, 2 + n : 2 + 2 * n], out=entries[:, 2 + 2 * n :])
    groups, levels = _gathers(n)
    for left, right in levels:
        entries = entries.take(left, axis=1) * entries.take(right, axis=1)
    return [(low, bits, entries[:, start : start + size * size].reshape(L, size, size))
            for low, bits, start, size in groups]


def group_sizes(qubits: int) -> list[int]:
    """Bits of each group, the lowest first: about three, and none across the edge of a block."""
    if qubits > _BLOCK_BITS:
        return group_sizes(_BLOCK_BITS) + [4] * ((qubits - _BLOCK_BITS) // 4) + (
            [rest] if (rest := (qubits - _BLOCK_BITS) % 4) else [])
    count = max(1, round(qubits / _GROUP))
    return [(qubits * (i + 1)) // count - (qubits * i) // count for i in range(count)]


@lru_cache(maxsize=64)
def _gathers(qubits: int) -> tuple[list[tuple[int, int, int, int]], list[tuple[Integers, Integers]]]:
    """Which entries to multiply for Kronecker products, first of two bits each, then of two such pairs.

    Small Kronecker products are slow as broadcasts; as two gathers they are not. Returns the groups
    (lowest bit, bits, start of the matrix in the last level, its size) and each level's indices.
    """
    one = np.ones((1, 1), dtype=np.int64)
    sizes = group_sizes(qubits)
    lows = [sum(sizes[:i]) for i in range(len(sizes))]
    # Entry numbers of the factors: for each group its lower two bits, then the others.
    factors = []
    for low, bits in zip(lows, sizes, strict=True):
        turns = [np.array([[2 + bit, 2 + 2 * qubits + bit], [2 + qubits + bit, 2 + bit]])
                 for bit in range(low, low + bits)] + [one] * (4 - bits)
        factors += [(turns[1], turns[0]), (turns[3], turns[2])]
    levels: list[tuple[Integers, Integers]] = []
    for depth in range(2):
        left, right, products = [np.arange(2)], [np.array([0, 1])], []
        at = 2
        for index, (upper, lower) in enumerate(factors):
            rows = [np.kron(upper, np.ones_like(lower)), np.kron(np.ones_like(upper), lower)]
            if depth == 1 and index == 0:  # the lowest group: transposed, and doubled with zeros between
                rows = [np.kron(row.T, np.eye(2, dtype=np.int64)) for row in rows]
            left.append(rows[0].ravel())
            right.append(rows[1].ravel())
            products.append(np.arange(at, at + rows[0].size).reshape(rows[0].shape))
            at += rows[0].size
        levels.append((np.concatenate(left), np.concatenate(right)))
        if depth == 0:
            factors = list(zip(products[1::2], products[0::2], strict=True))
    starts = [int(product[0, 0]) for product in products]
    return list(zip(lows, sizes, starts, map(len, products), strict=True)), levels


def _multiply(matrix: Floats, low: int, source: Floats, out: Floats) -> None:
    size = len(matrix)
    if low == 0:
        np.matmul(source.reshape(-1, size), matrix, out=out.reshape(-1, size))
    else:
        shape = (-1, size, 2 << low)
        np.matmul(matrix, source.reshape(shape), out=out.reshape(shape))


class _Tables:
    """The entries of one diagonal for given angles, ready to multiply blocks of the batch."""

    def __init__(self, diagonal: Diagonal, angles: Floats, rows: int, size: int) -> None:
        phases = diagonal.features @ angles[diagonal.sources]
        entries = np.empty(len(phases), dtype=np.complex128)
        np.cos(phases, out=entries.real)
        np.sin(phases, out=entries.imag)
        self._diagonal, self._size = diagonal, size
        self._high, lows = entries[: 1 << diagonal.high], entries[1 << diagonal.high :]
        self._lows = lows.reshape((2,) * len(diagonal.joining) + (-1,))
        self._late = [(above, below, np.exp(1j * angles[source])) for above, below, source in diagonal.late]
        self._whole: Complexes | None = None
        if rows >= _SHARING_ROWS and size <= _BLOCK:
            whole = np.repeat(self._high, 1 << diagonal.low)
            self._apply_low(whole, 0)
            self._whole = whole

    def apply(self, block: Complexes, start: int) -> None:
        """Multiply in place; `start` is where the flat block begins in the flat batch."""
        if self._whole is not None:
            rows = block.reshape(-1, self._size)
            rows *= self._whole
            return
        for at in range(0, len(block), self._size):
            row = block[at : at + self._size]
            first = start % self._size >> self._diagonal.low
            square = row.reshape(-1, 1 << self._diagonal.low)
            square *= self._high[first : first + len(square), None]
            self._apply_low(row, start % self._size)

    def _apply_low(self, row: Complexes, start: int) -> None:
        """Multiply by the low table, in the variant that the joining bits select."""
        top, lows = len(row).bit_length() - 1, self._lows
        shape, variants = [], []
        for bit in self._diagonal.joining:
            if bit >= top:  # the same for the whole of this block
                lows = lows[(start >> bit) & 1]
                continue
            shape += [1 << (top - bit - 1), 2]
            variants += [1, 2]
            top = bit
        low = 1 << self._diagonal.low
        blocks = row.reshape(*shape, -1, low)
        blocks *= lows.reshape(*variants, 1, low)
        for above, below, factor in self._late:
            self._apply_late(row, start, above, below, factor)

    @staticmethod
    def _apply_late(row: Complexes, start: int, above: int, below: int, factor: complex) -> None:
        if 1 << above < len(row):
            row.reshape(-1, 2, 1 << (above - below - 1), 2, 1 << below)[:, 1, :, 1, :] *= factor
        elif (start >> above) & 1:
            row.reshape(-1, 2, 1 << below)[:, 1] *= factor


def run_gate(gate: Gate, states: Complexes, parameters: Floats) -> Complexes:
    """Apply one gate that holds an array; a new array."""
    if gate.name == "dense":
        return _dense(gate, states)
    if gate.name in ("diagonal", "phases"):
        return _spread(gate, gate.diagonal(parameters), states)
    vector, factor = gate.reflection()
    return _reflect(gate, vector, factor, states)


def _is_whole(gate: Gate, states: Complexes) -> bool:
    return gate.qubits == tuple(range(states.shape[1].bit_length() - 1))


def _dense(gate: Gate, states: Complexes) -> Complexes:
    matrix, k = gate.data(), len(gate.qubits)
    first = gate.qubits[0]
    if gate.qubits != tuple(range(first, first + k)):
        return apply_matrix(matrix, gate.qubits, states)
    # Neighbouring qubits in order need no transposition.
    below = states.shape[1] >> (first + k)
    out = np.empty_like(states)
    if below == 1:
        np.matmul(states.reshape(-1, 2**k), matrix.T, out=out.reshape(-1, 2**k))
    else:
        shape = (-1, 2**k, below)
        np.matmul(matrix, states.reshape(shape), out=out.reshape(shape))
    return out


def _spread(gate: Gate, entries: Complexes, states: Complexes) -> Complexes:
    """Multiply by a diagonal on some of the qubits."""
    if _is_whole(gate, states):
        return states * entries
    rows, size = states.shape
    n, k = size.bit_length() - 1, len(gate.qubits)
    order = np.argsort(gate.qubits)
    shape = [2 if qubit in gate.qubits else 1 for qubit in range(n)]
    factor = entries.reshape((2,) * k).transpose(order).reshape(shape)
    product = states.reshape((rows,) + (2,) * n) * factor
    return np.ascontiguousarray(product).reshape(rows, size)


def _reflect(gate: Gate, vector: Complexes, factor: complex, states: Complexes) -> Complexes:
    """f (1 - 2 v v†) as a rank-one update."""
    if _is_whole(gate, states):
        return factor * (states - np.outer(2 * (states @ vector.conj()), vector))
    rows, size = states.shape
    n, k = size.bit_length() - 1, len(gate.qubits)
    axes = [1 + qubit for qubit in gate.qubits]
    tensor = np.moveaxis(states.reshape((rows,) + (2,) * n), axes, range(1, k + 1))
    front = tensor.reshape(rows, 2**k, -1)
    overlap = np.einsum("i,rij->rj", vector.conj(), front)
    front = factor * (front - 2 * vector[None, :, None] * overlap[:, None, :])
    back = np.moveaxis(front.reshape((rows,) + (2,) * n), range(1, k + 1), axes)
    return np.ascontiguousarray(back).reshape(rows, size)
