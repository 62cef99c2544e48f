
"""The fused engine: whole stretches of a circuit in one compiled sweep over the register.

Imported only when `engine="fused"` is asked for, because numba takes about a second to load. What a
`Local` stretch is stands in `plan`; here it runs as follows (the vector steps: `lanes`):

- Diagonals become a table over the high bits of the index and one over the low bits, so that an
  amplitude costs two multiplications for every layer. A pair phase that joins a high bit to
  a low one selects among variants of the low table.
- Rotations go up to four qubits a sweep, the highest first, over blocks that fit the caches. The
  last sweep over a block rotates the two qubits that live inside a vector and multiplies by the
  tables.
"""

import math
import threading

import numpy as np
from numba.core import config

from ketwire.quantum.arrays import Complexes, Floats
from ketwire.quantum.engines.compiled import jit
from ketwire.quantum.engines.lanes import LANES, finish_both, finish_low, rotate_1, rotate_2, rotate_3, rotate_4
from ketwire.quantum.engines.plan import Local

COMPILES = not getattr(config, "DISABLE_JIT", 0)
"""Whether numba may compile. The steps of `lanes` exist as machine code alone; otherwise the NumPy engine serves."""
LEAST_QUBITS = 3  # smaller registers do not fill a vector; the NumPy engine serves them
_MIDDLE_BITS = 16  # 2^16 amplitudes, 1 MiB: within a second-level cache
_INNER_BITS = 11  # 2^11 amplitudes, 32 KiB: within a first-level cache
_LINE = 64  # octets of a cache line
_MOST_KEPT = 1 << 20  # amplitudes, 16 MiB, of an array kept for the next call of this thread
_KEPT = threading.local()



def run_local(local: Local, states: Complexes, parameters: Floats, out: Complexes | None = None) -> Complexes:
    """Apply a stretch of rotations and phases to a (rows, 2**n) batch; the result is `out` or new."""
    target = aligned(states.shape) if out is None else out
    # A register beyond the first-level cache is swept several times, which pays for one copy at the end.
    if states.shape[1] > 1 << _INNER_BITS and target.ctypes.data % _LINE:
        target = _scratch(states.shape)
    _run(states, target, local.integers, local.base, local.scale, parameters)
    if out is None or target is out:
        return target
    np.copyto(out, target)
    return out


def aligned(shape: tuple[int, ...]) -> Complexes:
    """An empty array that begins at a cache line. Vectors that straddle two lines take nearly twice as long."""
    entries = math.prod(shape)
    room = np.empty(entries + _LINE // 16, dtype=np.complex128)
    first = -room.ctypes.data % _LINE // 16
    return room[first : first + entries].reshape(shape)


def _scratch(shape: tuple[int, ...]) -> Complexes:
    """An aligned array that is used again: a new one would cost its page faults each time."""
    entries = math.prod(shape)
    kept = getattr(_KEPT, "array", None)
    if kept is None or len(kept) < entries:
        kept = aligned((entries,))
        if entries <= _MOST_KEPT:
            _KEPT.array = kept
    return np.asarray(kept[:entries].reshape(shape))


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
def _tables(low, qubits, unary, constant, above, below, factors, high, starts, plain, crossed, at):  # type: ignore[no-untyped-def]
    """Write one layer's tables: `high` and the start of its low variant for each high index."""
    joining = _joining_bits(above, below, low)
    high[0] = constant
    _fill(high, low, qubits, unary, above, below, factors)
    table = np.empty(1 << low, dtype=np.complex128)
    for variant in range(1 << len(joining)):
        shifted = unary.copy()
        for pair in range(len(above)):
            for i in range(len(joining)):
                if above[pair] == joining[i] and below[pair] < low and (variant >> i) & 1:
                    shifted[below[pair]] *= factors[pair]
        table[0] = 1.0
        _fill(table, 0, low, shifted, above, below, factors)
        for i in range(1 << low):
            value = table[i]
            plain[at] = plain[at + 1] = value.real
            crossed[at] = -value.imag
            crossed[at + 1] = value.imag
            at += 2
    for index in range(1 << (qubits - low)):
        variant = 0
        for i in range(len(joining)):
            variant |= ((index >> (joining[i] - low)) & 1) << i
        starts[index] = at - ((1 << len(joining)) - variant) * (2 << low)
    return at


@jit
def _sweep(source, out, start, length, low, size, shears):  # type: ignore[no-untyped-def]
    """Rotate the bits low..low+size-1 in `length` floats from `start`."""
    stride = 2 << low
    a, b = shears[low + size - 1], shears[max(low + size - 2, 0)]
    c, d = shears[max(low + size - 3, 0)], shears[max(low + size - 4, 0)]
    for outer in range(start, start + length, stride << size):
        if size == 4:
            turn_4 = (a[0], a[1], b[0], b[1], c[0], c[1], d[0], d[1])
            for at in range(outer, outer + stride, LANES):
                rotate_4(source, out, at, stride, turn_4)
        elif size == 3:
            turn_3 = (a[0], a[1], b[0], b[1], c[0], c[1])
            for at in range(outer, outer + stride, LANES):
                rotate_3(source, out, at, stride, turn_3)
        elif size == 2:
            turn_2 = (a[0], a[1], b[0], b[1])
            for at in range(outer, outer + stride, LANES):
                rotate_2(source, out, at, stride, turn_2)
        else:
            turn_1 = (a[0], a[1])
            for at in range(outer, outer + stride, LANES):
                rotate_1(source, out, at, stride, turn_1)


@jit
def _finish(source, out, start, length, low, shears, high, starts, index, plain, crossed):  # type: ignore[no-untyped-def]
    """Rotate the bits 1 and 0 and apply the diagonal; `index` is the high index of `start`."""
    span = 2 << low
    c1, s1, c0, s0 = shears[1, 2], shears[1, 1], shears[0, 2], shears[0, 1]
    for block in range(length // span):
        at = (index + block) & (len(high) - 1)  # each of several registers starts at the beginning
        factor, table = high[at], starts[at]
        turn = (c1, s1, c0, s0, factor.real, factor.imag)
        first = start + block * span
        if factor == 1.0:
            for i in range(0, span, LANES):
                finish_low(source, out, first + i, plain, crossed, table + i, turn)
        else:
            for i in range(0, span, LANES):
                finish_both(source, out, first + i, plain, crossed, table + i, turn)


@jit
def _all_tables(layers, qubits, low, angles, pair_start, above, below):  # type: ignore[no-untyped-def]
    """Shears, high tables, starts of the low variants and the low variants of every layer."""
    variants = 0
    for layer in range(layers):
        p, q = pair_start[layer], pair_start[layer + 1]
        variants += 1 << len(_joining_bits(above[p:q], below[p:q], low))
    plain = np.empty(variants * (2 << low))
    crossed = np.empty(variants * (2 << low))
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
                          high[layer], starts[layer], plain, crossed, written)
    return shears, high, starts, plain, crossed


@jit
def _sweep_groups(source, out, start, length, least, most, low, size, active, shears):  # type: ignore[no-untyped-def]
    """Rotate the active groups that reach over more than `least` and at most `most` floats."""
    for group in range(len(low)):
        reach = 2 << (low[group] + size[group])
        if least < reach <= most and active[group]:
            _sweep(source, out, start, length, low[group], size[group], shears)
            source = out  # the first sweep over a block reads the argument
    return source


@jit
def _run_layer(x, out, origin, width, low, groups, active, shears, high, starts, plain, crossed):  # type: ignore[no-untyped-def]
    """One layer on `width` floats from `origin`: one register, or several within an inner block."""
    span = 2 << low
    middle, inner = min(width, 2 << _MIDDLE_BITS), min(width, 2 << _INNER_BITS)
    lows, sizes = groups
    whole = _sweep_groups(x, out, origin, width, middle, width, lows, sizes, active, shears)
    for start in range(origin, origin + width, middle):
        wide = _sweep_groups(whole, out, start, middle, inner, middle, lows, sizes, active, shears)
        for near in range(start, start + middle, inner):
            source = _sweep_groups(wide, out, near, inner, 0, inner, lows, sizes, active, shears)
            index = (near - origin) // span
            _finish(source, out, near, inner, low, shears, high, starts, index, plain, crossed)


@jit
def _run(states, result, integers, base, scale, parameters):  # type: ignore[no-untyped-def]
    qubits, layers, pairs, groups, terms = integers[0], integers[1], integers[2], integers[3], integers[4]
    at = 5
    targets, slots = integers[at : at + terms], integers[at + terms : at + 2 * terms]
    at += 2 * terms
    pair_start = integers[at : at + layers + 1]
    at += layers + 1
    above, below = integers[at : at + pairs], integers[at + pairs : at + 2 * pairs]
    at += 2 * pairs
    reach = integers[at : at + groups], integers[at + groups : at + 2 * groups]
    at += 2 * groups
    active = integers[at : at + layers * groups].reshape(layers, groups)

    rows = states.shape[0]
    low = _low_bits(qubits, rows)
    angles = _angles(base, scale, targets, slots, parameters)
    shears, high, starts, plain, crossed = _all_tables(layers, qubits, low, angles, pair_start, above, below)
    x, out = states.view(np.float64).reshape(-1), result.view(np.float64).reshape(-1)
    together = max(1, (1 << _INNER_BITS) >> qubits)  # small registers share a sweep
    for row in range(0, rows, together):
        origin, width = row * (2 << qubits), min(together, rows - row) * (2 << qubits)
        for layer in range(layers):
            _run_layer(x if layer == 0 else out, out, origin, width, low, reach, active[layer],
                       shears[layer], high[layer], starts[layer], plain, crossed)
