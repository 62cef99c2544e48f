
"""The fused engine: whole stretches of a circuit in one compiled sweep over the register.

Imported only when `engine="fused"` is asked for, because numba takes about a second to load. What a
`Local` stretch is stands in `plan`; here it runs as follows (the vector steps: `lanes`):

- Diagonals become a table over the high bits of the index and one over the low bits, so that an
  amplitude costs two multiplications for every layer. A pair phase that joins a high bit to
  a low one selects among variants of the low table.
- Rotations go up to three qubits a sweep, the highest first. Each block that fits a cache is rotated in
  memory that is used again for the next, so the register is read and written once for all sweeps over
  a block. The last sweep rotates the two qubits that live inside a vector and multiplies by the tables.
"""

import numpy as np
from numba.core import config

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.engines.compiled import jit
from ketwire.quantum.engines.lanes import LANES, finish_both, finish_low, rotate_1, rotate_2, rotate_3
from ketwire.quantum.engines.plan import Local

COMPILES = not getattr(config, "DISABLE_JIT", 0)
"""Whether numba may compile. The steps of `lanes` exist as machine code alone; otherwise the NumPy engine serves."""
LEAST_QUBITS = 3  # smaller registers do not fill a vector; the NumPy engine serves them
_INNER_BITS = 10  # 2^10 amplitudes, 16 KiB: half of a first-level cache
_TILE_BITS = 5  # bits beyond these that are rotated together
_TILE_SIZE = 12  # 2^12 amplitudes, 64 KiB: what they are rotated in, within a second-level cache
_MOST = 3  # bits that a sweep rotates: eight vectors fit the registers
_LINE = 64  # octets of a cache line


def run_local(local: Local, states: Complexes, parameters: Floats, out: Complexes | None = None) -> Complexes:
    """Apply a stretch of rotations and phases to a (rows, 2**n) batch; the result is `out` or new."""
    target = np.empty_like(states) if out is None else out
    _run(states, target, local.integers, local.base, local.scale, parameters)
    return target


@jit
def _aligned(floats):  # type: ignore[no-untyped-def]
    """An empty array that begins at a cache line. Vectors that straddle two lines take nearly twice as long."""
    room = np.empty(floats + _LINE // 8)
    first = (-room.ctypes.data % _LINE) // 8
    return room[first : first + floats]


@jit
def _low_bits(qubits, rows):  # type: ignore[no-untyped-def]
    """How many bits the low table covers: half of them, or all where many rows share its making."""
    if rows >= 8 and qubits <= _INNER_BITS:
        return qubits
    return min(max((qubits + 1) // 2, 2), _INNER_BITS)


@jit
def _angles(base, scale, targets, slots, parameters):  # type: ignore[no-untyped-def]
    angles = base.copy()
    for term in range(len(targets)):
        angles[targets[term]] += scale[term] * parameters[slots[term]]
    return angles


@jit
def _shears(angles, qubits, shears):  # type: ignore[no-untyped-def]
    """(p, s, c) of each qubit's rotation with c >= 0; returns the sign that this took out."""
    sign = 1.0
    for bit in range(qubits):
        c, s = np.cos(0.5 * angles[bit]), np.sin(0.5 * angles[bit])
        if c < 0.0:  # R_y(θ) = -R_y(θ - 2π)
            c, s, sign = -c, -s, -sign
        shears[bit, 0] = -s / (1.0 + c)
        shears[bit, 1] = s
        shears[bit, 2] = c
    return sign


@jit
def _phase(angle):  # type: ignore[no-untyped-def]
    return complex(np.cos(angle), np.sin(angle))


@jit
def _fill(table, first, last, unary, above, below, factors):  # type: ignore[no-untyped-def]
    """Diagonal over the bits first..last-1, by doubling: bit b repeats what stands, times its factor."""
    for bit in range(first, last):
        size = 1 << (bit - first)
        for i in range(size):
            table[size + i] = table[i] * unary[bit]
        for pair in range(len(above)):
            if above[pair] == bit and below[pair] >= first:
                other = below[pair] - first
                for i in range(size):
                    if (i >> other) & 1:
                        table[size + i] *= factors[pair]


@jit
def _joining_bits(above, below, low):  # type: ignore[no-untyped-def]
    """The high bits that a pair phase joins to a low bit."""
    mask = 0
    for pair in range(len(above)):
        if above[pair] >= low > below[pair]:
            mask |= 1 << above[pair]
    count = 0
    bits = np.empty(64, dtype=np.int64)
    for bit in range(64):
        if (mask >> bit) & 1:
            bits[count] = bit
            count += 1
    return bits[:count]


@jit
def _tables(low, qubits, unary, constant, above, below, factors, high, starts, tables, at):  # type: ignore[no-untyped-def]
    """Write one layer's low variants from `at` on, its high table, and at which float each high index starts."""
    joining = _joining_bits(above, below, low)
    high[0] = constant
    _fill(high, low, qubits, unary, above, below, factors)
    for variant in range(1 << len(joining)):
        shifted = unary.copy()
        for pair in range(len(above)):
            for i in range(len(joining)):
                if above[pair] == joining[i] and below[pair] < low and (variant >> i) & 1:
                    shifted[below[pair]] *= factors[pair]
        table = tables[at : at + (1 << low)]
        table[0] = 1.0
        _fill(table, 0, low, shifted, above, below, factors)
        at += 1 << low
    for index in range(1 << (qubits - low)):
        variant = 0
        for i in range(len(joining)):
            variant |= ((index >> (joining[i] - low)) & 1) << i
        starts[index] = 2 * at - ((1 << len(joining)) - variant) * (2 << low)
    return at


@jit
def _rotate(source, at, row, target, to, to_row, shape, size, turn):  # type: ignore[no-untyped-def]
    """Rotate `size` neighbouring bits of a tile of rows, read `row` and written `to_row` floats apart.

    shape: how many values the row's index has above these bits and below them, and the floats of a row.
    turn: (p, s, c) of each bit, the lowest first.
    """
    uppers, lowers, width = shape
    a, b, c = turn[size - 1], turn[max(size - 2, 0)], turn[max(size - 3, 0)]
    stride, to_stride = lowers * row, lowers * to_row
    for upper in range(uppers):
        for lower in range(lowers):
            first = upper * (lowers << size) + lower
            near, far = at + first * row, to + first * to_row
            if size == 3:
                turn_3 = (a[0], a[1], b[0], b[1], c[0], c[1])
                for i in range(0, width, LANES):
                    rotate_3(source, near + i, stride, target, far + i, to_stride, turn_3)
            elif size == 2:
                turn_2 = (a[0], a[1], b[0], b[1])
                for i in range(0, width, LANES):
                    rotate_2(source, near + i, stride, target, far + i, to_stride, turn_2)
            else:
                turn_1 = (a[0], a[1])
                for i in range(0, width, LANES):
                    rotate_1(source, near + i, stride, target, far + i, to_stride, turn_1)


@jit
def _size(bits, left):  # type: ignore[no-untyped-def]
    """How many of `bits` bits the first of `left` sweeps rotates, which share them evenly."""
    return (bits + left - 1) // left


@jit
def _finish(source, at, target, to, length, low, shears, high, starts, index, tables):  # type: ignore[no-untyped-def]
    """Rotate the bits 1 and 0 and apply the diagonal; `index` is the high index of the first amplitude."""
    span = 2 << low
    c1, s1, c0, s0 = shears[1, 2], shears[1, 1], shears[0, 2], shears[0, 1]
    for block in range(length // span):
        upper = (index + block) & (len(high) - 1)  # each of several registers starts at the beginning
        factor, table = high[upper], starts[upper]
        turn = (c1, s1, c0, s0, factor.real, factor.imag)
        near, far = at + block * span, to + block * span
        if factor == 1.0:
            for i in range(0, span, LANES):
                finish_low(source, near + i, target, far + i, tables, table + i, turn)
        else:
            for i in range(0, span, LANES):
                finish_both(source, near + i, target, far + i, tables, table + i, turn)


@jit
def _all_tables(layers, qubits, low, angles, pair_start, above, below):  # type: ignore[no-untyped-def]
    """Shears, high tables, starts of the low variants and the low variants of every layer."""
    variants = 0
    for layer in range(layers):
        p, q = pair_start[layer], pair_start[layer + 1]
        variants += 1 << len(_joining_bits(above[p:q], below[p:q], low))
    tables = np.empty(variants << low, dtype=np.complex128)
    high = np.empty((layers, 1 << (qubits - low)), dtype=np.complex128)
    starts = np.empty((layers, 1 << (qubits - low)), dtype=np.int64)
    shears = np.empty((layers, qubits, 3))
    unary = np.empty(qubits, dtype=np.complex128)
    unary_at, constant_at = layers * qubits, 2 * layers * qubits
    pair_at = constant_at + layers
    written = 0
    for layer in range(layers):
        sign = _shears(angles[layer * qubits : (layer + 1) * qubits], qubits, shears[layer])
        for bit in range(qubits):
            unary[bit] = _phase(angles[unary_at + layer * qubits + bit])
        p, q = pair_start[layer], pair_start[layer + 1]
        factors = np.empty(q - p, dtype=np.complex128)
        for pair in range(p, q):
            factors[pair - p] = _phase(angles[pair_at + pair])
        constant = sign * _phase(angles[constant_at + layer])
        written = _tables(low, qubits, unary, constant, above[p:q], below[p:q], factors,
                          high[layer], starts[layer], tables, written)
    return shears, high, starts, tables.view(np.float64)


@jit
def _run_tiles(x, out, origin, bottom, top, qubits, rotated, shears, spare):  # type: ignore[no-untyped-def]
    """Rotate the bits bottom..top-1 of one register, tile by tile; returns where the result is.

    A tile is a row of neighbouring amplitudes for each value of these bits. Rows lie powers of two apart and would
    push each other out of the cache, so between sweeps the tile stands in `spare`.
    """
    if not (rotated >> bottom) & ((1 << (top - bottom)) - 1):
        return x
    bits, row = top - bottom, 2 << bottom
    width = min(row, len(spare) >> bits)
    sweeps = (bits + _MOST - 1) // _MOST
    for outer in range(origin, origin + (2 << qubits), row << bits):
        for start in range(outer, outer + row, width):
            source, at, step, high = x, start, row, bits
            for left in range(sweeps, 0, -1):
                size = _size(high, left)
                high -= size
                shape = 1 << (bits - high - size), 1 << high, width
                turn = shears[bottom + high :]
                if left == 1:
                    _rotate(source, at, step, out, start, row, shape, size, turn)
                else:
                    _rotate(source, at, step, spare, 0, width, shape, size, turn)
                source, at, step = spare, 0, width
    return out


@jit
def _run_inner(x, at, length, top, rotated, shears, spare):  # type: ignore[no-untyped-def]
    """Rotate the bits 2..top-1 of a block from `x` into `spare`; returns whether there was one to rotate."""
    sweeps = (top - 2 + _MOST - 1) // _MOST
    source = x
    for left in range(sweeps, 0, -1):
        size = _size(top - 2, left)
        top -= size
        if (rotated >> top) & ((1 << size) - 1):
            row = 2 << top
            _rotate(source, at, row, spare, 0, row, (length // (row << size), 1, row), size, shears[top:])
            source, at = spare, 0
    return source is spare


@jit
def _run_layer(x, out, origin, width, qubits, low, rotated, shears, high, starts, tables, spare):  # type: ignore[no-untyped-def]
    """One layer on `width` floats from `origin`: one register, or several within an inner block."""
    top, inner = qubits, min(qubits, _INNER_BITS)
    tiles = (qubits - inner + _TILE_BITS - 1) // _TILE_BITS
    source = x
    for left in range(tiles, 0, -1):
        bottom = top - _size(top - inner, left)
        source = _run_tiles(source, out, origin, bottom, top, qubits, rotated, shears, spare)
        top = bottom
    length = min(width, 2 << _INNER_BITS)
    for start in range(origin, origin + width, length):
        index = (start - origin) >> (low + 1)
        if _run_inner(source, start, length, inner, rotated, shears, spare):
            _finish(spare, 0, out, start, length, low, shears, high, starts, index, tables)
        else:
            _finish(source, start, out, start, length, low, shears, high, starts, index, tables)


@jit
def _run(states, result, integers, base, scale, parameters):  # type: ignore[no-untyped-def]
    qubits, layers, pairs, terms = integers[0], integers[1], integers[2], integers[3]
    at = 4
    targets, slots = integers[at : at + terms], integers[at + terms : at + 2 * terms]
    at += 2 * terms
    pair_start = integers[at : at + layers + 1]
    at += layers + 1
    above, below = integers[at : at + pairs], integers[at + pairs : at + 2 * pairs]
    rotated = integers[at + 2 * pairs :]

    rows = states.shape[0]
    low = _low_bits(qubits, rows)
    angles = _angles(base, scale, targets, slots, parameters)
    shears, high, starts, tables = _all_tables(layers, qubits, low, angles, pair_start, above, below)
    x, out = states.view(np.float64).reshape(-1), result.view(np.float64).reshape(-1)
    spare = _aligned(2 << (_INNER_BITS if qubits <= _INNER_BITS else _TILE_SIZE))
    together = max(1, (1 << _INNER_BITS) >> qubits)  # small registers share a sweep
    for row in range(0, rows, together):
        origin, width = row * (2 << qubits), min(together, rows - row) * (2 << qubits)
        for layer in range(layers):
            _run_layer(x if layer == 0 else out, out, origin, width, qubits, low, rotated[layer],
                       shears[layer], high[layer], starts[layer], tables, spare)
