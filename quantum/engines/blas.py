"""The NumPy engine: small matrix products and elementwise phases on batches (rows, 2**n).

The rotations of a layer are real, so their Kronecker product over three or four neighbouring qubits is
multiplied onto the register read as float64 pairs: half the work of a complex product. Diagonals are
products of a table over the high and one over the low bits of the index. `plan` says how a circuit
becomes such layers.
"""

import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import apply_matrix
from ketwire.quantum.engines.plan import Diagonal, Local, spread_index
from ketwire.quantum.gates import Gate

_GROUP = 3  # qubits, about, whose rotations make one matrix
_BLOCK_BITS = 14  # 2^14 amplitudes, 256 KiB: a block and what it is multiplied into stay in the caches
_BLOCK = 1 << _BLOCK_BITS
_SHARING_ROWS = 4  # from here on the whole diagonal is written out once for all rows; on small registers always
_KEPT = 1 << 10  # amplitudes up to which a layer keeps what it is multiplied by, for the last angles that it was given


def run_local(local: Local, states: Complexes, parameters: Floats, out: Complexes | None = None) -> Complexes:
    """Apply a stretch of rotations and phases; the result is `out`, if given, or a new array."""
    spare = out
    groups, levels = _gathers(local.qubits)
    rows, size = states.shape
    width = min(size, _BLOCK) * max(1, min(rows, _BLOCK // size))
    spares = _scratch.spares(2 * width)
    current, flat = states, None
    for phases, rotated, diagonal in zip(local.phases, local.rotated, local.diagonals, strict=True):
        key = parameters[phases.slots].tobytes() if size <= _KEPT else None
        layer = phases.kept.get(key) if key is not None else None
        if layer is None:
            entries = phases.exponentials(parameters)
            matrices = _turning(groups, levels, rotated, entries.view(np.float64)) if rotated else []
            tables = None if diagonal is None else _Tables(diagonal, entries[1 + 2 * local.qubits :], rows, size)
            layer = matrices, tables
            if key is not None:
                phases.kept = {key: layer}
        turning, tables = [*layer[0]], layer[1]
        while turning and turning[-1][0].low >= _BLOCK_BITS:
            turn = turning.pop()
            target = np.empty_like(states) if spare is None else spare
            spare = None
            _multiply(turn, _floats(current), _floats(target))
            current = target
        # The argument is only read; what is written is ours.
        own = current is not states
        if own:
            out = current
        else:
            out, spare = np.empty_like(states) if spare is None else spare, None
        if out is not flat:  # once for all layers that are worked on in place
            out_flat, amplitudes, flat = _floats(out), out.reshape(-1), out
        source_flat = out_flat if own else _floats(current)
        if width >= states.size:
            _multiply_all(turning, source_flat, out_flat, spares, own)
            if tables is not None:
                tables.apply(amplitudes, 0)
        else:
            for start in range(0, states.size, width):
                part = slice(2 * start, 2 * (start + width))
                _multiply_all(turning, source_flat[part], out_flat[part], spares, own)
                if tables is not None:
                    tables.apply(amplitudes[start : start + width], start)
        current = out
    return current


class _Scratch(threading.local):
    """Two blocks that each thread keeps: new ones a call cost page faults, more than the arithmetic."""

    def __init__(self) -> None:
        self._blocks = np.empty((2, 0))
        self._spares = (self._blocks[0], self._blocks[1])

    def spares(self, floats: int) -> tuple[Floats, Floats]:
        """Two arrays of this many floats, not initialised."""
        if len(self._spares[0]) != floats:
            if self._blocks.shape[1] < floats:
                self._blocks = np.empty((2, floats))
            self._spares = (self._blocks[0, :floats], self._blocks[1, :floats])
        return self._spares


_scratch = _Scratch()


def _floats(states: Complexes) -> Floats:
    """The same memory as (re, im, re, im, ...)."""
    return states.view(np.float64).reshape(-1)


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbouring bits whose rotations make one matrix, and where that stands in the last level."""

    low: int
    mask: int
    entries: slice
    size: int
    shape: tuple[int, ...]  # of the floats of a block, for the product


_Turn = tuple[_Group, Floats]


def _multiply(turn: _Turn, source: Floats, out: Floats) -> None:
    """Multiply by the matrix of one group; that of bit 0's group acts from the right."""
    group, matrix = turn
    shape = group.shape
    if group.low == 0:
        np.matmul(source.reshape(shape), matrix, out.reshape(shape))
    else:
        np.matmul(matrix, source.reshape(shape), out.reshape(shape))


def _multiply_all(turning: list[_Turn], source: Floats, out: Floats, spares: tuple[Floats, Floats],
                  in_place: bool) -> None:
    """Multiply a block by each matrix in turn; in place, out is source.

    It goes back and forth between `out` and one spare block, as few as possible being held in the caches.
    """
    floats, left = len(source), len(turning)
    if floats < len(spares[0]):
        spares = spares[0][:floats], spares[1][:floats]
    for turn in turning:
        left -= 1
        target = spares[0] if left & 1 else spares[1] if in_place else out
        _multiply(turn, source, target)
        source, in_place = target, False
    if source is not out and not in_place:
        out[:] = source


def _turning(groups: list[_Group], levels: list[tuple[Integers, Integers]], rotated: int,
             entries: Floats) -> list[_Turn]:
    """The matrices of the groups that have a rotation, the lowest first."""
    for left, right in levels:
        # Clipping spares the check of each index.
        entries = entries.take(left, mode="clip") * entries.take(right, mode="clip")
    return [(group, entries[group.entries].reshape(group.size, group.size))
            for group in groups if rotated & group.mask]


def group_sizes(qubits: int) -> list[int]:
    """Bits of each group, the lowest first: about three, and none across the edge of a block."""
    if qubits > _BLOCK_BITS:
        return group_sizes(_BLOCK_BITS) + [4] * ((qubits - _BLOCK_BITS) // 4) + (
            [rest] if (rest := (qubits - _BLOCK_BITS) % 4) else [])
    count = max(1, round(qubits / _GROUP))
    return [(qubits * (i + 1)) // count - (qubits * i) // count for i in range(count)]


@lru_cache(maxsize=64)
def _gathers(qubits: int) -> tuple[list[_Group], list[tuple[Integers, Integers]]]:
    """Which entries to multiply for Kronecker products, first of two bits each, then of two such pairs.

    Small Kronecker products are slow as broadcasts; as two gathers they are not. They start
    from (1, 0) and, for each bit, (cosine, sine, cosine, -sine). The matrix of bit 0's group acts on
    (re, im) pairs from the right: kron with 1, transposed. Returns the groups and each level's indices.
    """
    one, zero = np.zeros((1, 1), dtype=np.int64), 1  # the first two entries are 1 and 0
    sizes = group_sizes(qubits)
    lows = [sum(sizes[:i]) for i in range(len(sizes))]
    # Entry numbers of the factors: for each group its lower two bits, then the others.
    factors = []
    for low, bits in zip(lows, sizes, strict=True):
        turns = [np.array([[2 + 4 * bit, 5 + 4 * bit], [3 + 4 * bit, 2 + 4 * bit]])
                 for bit in range(low, low + bits)] + [one] * (4 - bits)
        factors += [(turns[1], turns[0]), (turns[3], turns[2])]
    levels: list[tuple[Integers, Integers]] = []
    for depth in range(2):
        left, right, products = [np.array([0, 1])], [np.array([0, 1])], []
        at = 2
        for index, (upper, lower) in enumerate(factors):
            rows = [np.kron(upper, np.ones_like(lower)), np.kron(np.ones_like(upper), lower)]
            if depth == 1 and index == 0:  # the lowest group: transposed, and doubled with zeros between
                pairs = np.kron(np.ones_like(rows[0]), np.eye(2, dtype=np.int64))
                rows = [np.where(pairs, row.T.repeat(2, axis=0).repeat(2, axis=1), zero) for row in rows]
            left.append(rows[0].ravel())
            right.append(rows[1].ravel())
            products.append(np.arange(at, at + rows[0].size).reshape(rows[0].shape))
            at += rows[0].size
        levels.append((np.concatenate(left), np.concatenate(right)))
        if depth == 0:
            factors = list(zip(products[1::2], products[0::2], strict=True))
    groups = []
    for low, bits, product in zip(lows, sizes, products, strict=True):
        shape = (-1, len(product)) if low == 0 else (-1, len(product), 2 << low)
        start = int(product[0, 0])
        part = slice(start, start + product.size)
        groups.append(_Group(low, ((1 << bits) - 1) << low, part, len(product), shape))
    return groups, levels


class _Tables:
    """The entries of one diagonal for given angles, ready to multiply blocks of the batch."""

    def __init__(self, diagonal: Diagonal, entries: Complexes, rows: int, size: int) -> None:
        self._diagonal, self._size = diagonal, size
        lows = 1 << diagonal.high
        late = lows + (1 << (diagonal.low + len(diagonal.joining)))
        self._high, self._lows = entries[:lows], entries[lows:late]
        self._late = [(above, below, entries[late + index])
                      for index, (above, below, _) in enumerate(diagonal.late)]
        self._whole: Complexes | None = None
        if size <= _KEPT or (rows >= _SHARING_ROWS and size <= _BLOCK):
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
        outer, shape, variants = _variants(self._diagonal.joining, self._diagonal.low, len(row))
        lows = self._lows
        if outer:  # the same variants for the whole of this block
            chosen = 0
            for bit in outer:
                chosen = 2 * chosen + (start >> bit & 1)
            lows = lows.reshape(1 << len(outer), -1)[chosen]
        blocks = row.reshape(shape)
        blocks *= lows.reshape(variants)
        for above, below, factor in self._late:
            self._apply_late(row, start, above, below, factor)

    @staticmethod
    def _apply_late(row: Complexes, start: int, above: int, below: int, factor: complex) -> None:
        if 1 << above < len(row):
            row.reshape(-1, 2, 1 << (above - below - 1), 2, 1 << below)[:, 1, :, 1, :] *= factor
        elif (start >> above) & 1:
            row.reshape(-1, 2, 1 << below)[:, 1] *= factor


@lru_cache(maxsize=256)
def _variants(joining: tuple[int, ...], low: int, length: int) -> tuple[
        tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The joining bits outside a block of this length, and how to shape block and low table."""
    top = length.bit_length() - 1
    outer = tuple(bit for bit in joining if bit >= top)
    shape: list[int] = []
    variants: list[int] = []
    for bit in joining[len(outer):]:
        shape += [1 << (top - bit - 1), 2]
        variants += [1, 2]
        top = bit
    return outer, (*shape, -1, 1 << low), (*variants, 1, 1 << low)


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
    if size <= _KEPT:
        return states * entries[spread_index(gate.qubits, n)]
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
