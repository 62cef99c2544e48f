"""How an engine will run a circuit: found once per circuit, used for every set of angles.

Most layers of THEORY §2 are made of two things only. A rotation about any axis is a rotation about y
between phases, since R_x(θ) = R_z(-π/2) R_y(θ) R_z(π/2), H = Z R_y(-π/2), X = Z R_y(-π); and
R_z, CZ, S, T and R_zz are diagonal, phases of one index bit or of two:

    diagonal entry of index i = exp i( constant + Σ_a u_a i_a + Σ_ab w_ab i_a i_b ).

So a stretch of such gates is a sequence of layers, each a product of R_y on all qubits and then a
diagonal, and every angle is *linear* in the circuit's parameters. That is a `Local` step. CNOT and
the gates that hold an array (dense, diagonal, reflection) are steps of their own; a run of CNOTs is
one permutation of the indices.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.gates import Gate

_HALF_PI = np.pi / 2
_PHASES = {"z": np.pi, "s": np.pi / 2, "sdg": -np.pi / 2, "t": np.pi / 4, "tdg": -np.pi / 4}


@dataclass(frozen=True)
class Angle:
    """fixed + scale · parameters[slot]; slot -1 where no parameter feeds it."""

    fixed: float = 0.0
    scale: float = 0.0
    slot: int = -1

    def times(self, factor: float) -> "Angle":
        return Angle(self.fixed * factor, self.scale * factor, self.slot)


@dataclass(frozen=True, eq=False)
class Local:
    """A stretch of layers, each R_y on qubits and then a diagonal of one- and two-bit phases.

    Angles live in one vector: [layer, bit] for R_y, [layer, bit] for u, [layer] for the constant, one
    for each pair; bit 0 is the least significant of the index, so qubit n-1. The vector is
    `base` plus, for each term, scale · parameters[slot] added at its target.
    """

    qubits: int
    layers: int
    base: Floats
    scale: Floats
    targets: Integers
    slots: Integers
    pair_start: Integers  # (layers + 1): where each layer's pairs begin
    above: Integers  # the more significant bit of each pair
    below: Integers
    rotated: tuple[int, ...]  # per layer, mask of the bits with a rotation
    weight: float

    def angles(self, parameters: Floats) -> Floats:
        """The whole vector of angles for these parameters."""
        linear = np.bincount(self.targets, self.scale * parameters[self.slots], len(self.base))
        return np.asarray(self.base + linear)

    @cached_property
    def integers(self) -> Integers:
        """Everything whole, in one array for the fused engine: an argument costs it time."""
        head = [self.qubits, self.layers, len(self.above), len(self.targets)]
        parts = [head, self.targets, self.slots, self.pair_start, self.above, self.below, self.rotated]
        return np.concatenate([np.asarray(part, dtype=np.int64) for part in parts])

    @cached_property
    def diagonals(self) -> tuple["Diagonal | None", ...]:
        """Each layer's diagonal for the NumPy engine; None where it is the identity."""
        fed = set(self.targets.tolist()) | set(np.flatnonzero(self.base).tolist())
        return tuple(self._diagonal(layer, fed) for layer in range(self.layers))

    @cached_property
    def phases(self) -> tuple["Phases", ...]:
        """Each layer's angles for the NumPy engine, straight from the parameters."""
        layer_of = self._layer_of(self.targets)
        order = np.argsort(layer_of, kind="stable")
        ends = np.searchsorted(layer_of[order], np.arange(self.layers + 1))
        return tuple(self._phases(layer, order[ends[layer] : ends[layer + 1]]) for layer in range(self.layers))

    def _layer_of(self, places: Integers) -> Integers:
        """Of each place in the vector of angles which layer it belongs to."""
        n, L = self.qubits, self.layers
        pair_layer = np.repeat(np.arange(L), np.diff(self.pair_start))
        layer_of_place = np.concatenate([np.tile(np.repeat(np.arange(L), n), 2), np.arange(L), pair_layer])
        return np.asarray(layer_of_place[places])

    def _phases(self, layer: int, terms: Integers) -> "Phases":
        """terms: which of `targets`, `slots` and `scale` belong to this layer."""
        n, diagonal = self.qubits, self.diagonals[layer]
        turns = np.kron(np.eye(n), [[0.5], [-0.5]])
        sources = np.arange(layer * n, (layer + 1) * n)
        features = np.concatenate([np.zeros((1, n)), turns])
        if diagonal is not None:
            late = np.array([source for _, _, source in diagonal.late], dtype=np.int64)
            blocks = [features, diagonal.features, np.eye(len(late))]
            sources = np.concatenate([sources, diagonal.sources, late])
            features = np.zeros((sum(map(len, blocks)), len(sources)))
            row = column = 0
            for block in blocks:
                rows, columns = block.shape
                features[row : row + rows, column : column + columns] = block
                row, column = row + rows, column + columns
        slots, place = np.unique(self.slots[terms], return_inverse=True)
        linear = np.zeros((len(sources), len(slots)))
        fed, by = np.nonzero(sources[:, None] == self.targets[terms])
        linear[fed, place[by]] = self.scale[terms[by]]  # a target and a slot have one term
        return Phases(features @ self.base[sources], features @ linear, slots)

    def _diagonal(self, layer: int, fed: set[int]) -> "Diagonal | None":
        n, L, low = self.qubits, self.layers, self.qubits // 2
        pairs = [(int(self.above[i]), int(self.below[i]), 2 * L * n + L + i)
                 for i in range(self.pair_start[layer], self.pair_start[layer + 1])]
        first, constant = (L + layer) * n, 2 * L * n + layer
        sources = np.array([constant, *range(first, first + n), *(source for _, _, source in pairs)])
        if not fed.intersection(sources.tolist()):
            return None
        joining, features = _tables(n, tuple(pair[:2] for pair in pairs))
        late = tuple(pair for pair in pairs if pair[0] >= low > pair[1] and pair[0] not in joining)
        return Diagonal(low, n - low, features, sources, joining, late)


@dataclass(eq=False)
class Phases:
    """What one layer takes cosines and sines of: fixed + linear @ parameters[slots].

    In order: 0; half the angle of R_y and its negative, for each bit; then, where the layer has a
    diagonal, the tables' entries and the late pairs.

    kept: what `blas` made of the last parameters; a training applies a layer some six times before they change.
    """

    fixed: Floats
    linear: Floats
    slots: Integers
    kept: dict[Any, Any] = field(default_factory=dict, repr=False)

    def exponentials(self, parameters: Floats) -> Complexes:
        """exp(i phase) of all of them."""
        phases = self.linear @ parameters[self.slots]
        phases += self.fixed
        entries = np.empty(len(phases), dtype=np.complex128)
        np.cos(phases, out=entries.real)
        np.sin(phases, out=entries.imag)
        return entries


MOST_JOINING = 4  # high bits that select a variant of the low table


@dataclass(frozen=True, eq=False)
class Diagonal:
    """One diagonal as a table over the high bits and variants of a table over the low bits.

    All entries are exp(i features @ angles[sources]): first the high table, then the low ones, shape
    (2,) * len(joining) + (2**low,), where `joining` are the high bits that pairs join to low ones, the
    most significant first. `late` are the pairs (above, below, source) left over beyond MOST_JOINING.
    """

    low: int
    high: int
    features: Floats
    sources: Integers
    joining: tuple[int, ...]
    late: tuple[tuple[int, int, int], ...]


@lru_cache(maxsize=64)
def _tables(qubits: int, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], Floats]:
    """`joining` and `features` of a diagonal with these pairs of bits, which all layers of a circuit often have."""
    low = qubits // 2
    crossing = {above for above, below in pairs if above >= low > below}
    joining = tuple(sorted(crossing, reverse=True)[:MOST_JOINING])
    # One row for each entry of the high table, then one for each entry of each low variant. An
    # index of the register stands for a row; its features are the bits, or products of two.
    high = np.arange(2 ** (qubits - low)) << low
    lows = np.add.outer(np.zeros(1, dtype=np.int64), np.arange(2**low))
    for bit in reversed(joining):
        lows = np.concatenate([lows, lows | 1 << bit])
    index = np.concatenate([high, lows.ravel()])
    is_high = np.arange(len(index)) < len(high)
    features = np.zeros((len(index), 1 + qubits + len(pairs)))
    features[:, 0] = is_high
    for bit in range(qubits):
        features[:, 1 + bit] = ((index >> bit) & 1) * (is_high == (bit >= low))
    for column, (above, below) in enumerate(pairs, start=1 + qubits):
        if below >= low or above < low or above in joining:
            features[:, column] = ((index >> above) & (index >> below) & 1) * (is_high == (below >= low))
    features.flags.writeable = False
    return joining, features


class LocalBuilder:
    """Collects gates into layers as early as the order of gates on each qubit allows."""

    def __init__(self, qubits: int) -> None:
        self.qubits = qubits
        self._level = [0] * qubits  # even 2l: the rotations of layer l; odd 2l+1: its diagonal
        self._layers = 1
        self._terms: list[tuple[str, int, tuple[int, ...], Angle]] = []

    def __bool__(self) -> bool:
        return bool(self._terms)

    def rotate(self, qubit: int, angle: Angle) -> None:
        level = self._level[qubit]
        level += level & 1
        self._place("rotate", level, (qubit,), angle)

    def phase(self, qubits: tuple[int, ...], angle: Angle) -> None:
        """exp(i angle) where all of `qubits` (none, one or two) are 1."""
        level = max((self._level[qubit] for qubit in qubits), default=0) | 1
        self._place("phase", level, qubits, angle)

    def _place(self, kind: str, level: int, qubits: tuple[int, ...], angle: Angle) -> None:
        for qubit in qubits:
            self._level[qubit] = level
        self._layers = max(self._layers, level // 2 + 1)
        self._terms.append((kind, level // 2, qubits, angle))

    def rz(self, qubit: int, angle: Angle) -> None:
        self.phase((), angle.times(-0.5))
        self.phase((qubit,), angle)

    def build(self) -> Local:
        n, layers = self.qubits, self._layers
        keys = sorted({(layer, *sorted((n - 1 - q for q in qubits), reverse=True))
                       for kind, layer, qubits, _ in self._terms if kind == "phase" and len(qubits) == 2})
        pair_index = {key: i for i, key in enumerate(keys)}
        base = np.zeros(2 * layers * n + layers + len(keys))
        linear: dict[tuple[int, int], float] = {}
        rotated = [0] * layers
        for kind, layer, qubits, angle in self._terms:
            bits = [n - 1 - q for q in qubits]
            if kind == "rotate":
                target = layer * n + bits[0]
                rotated[layer] |= 1 << bits[0]
            elif len(bits) == 2:
                target = 2 * layers * n + layers + pair_index[(layer, max(bits), min(bits))]
            else:
                target = layers * n + layer * n + bits[0] if bits else 2 * layers * n + layer
            base[target] += angle.fixed
            if angle.slot >= 0:
                linear[target, angle.slot] = linear.get((target, angle.slot), 0.0) + angle.scale
        starts = np.searchsorted([key[0] for key in keys], range(layers + 1))
        return Local(
            n, layers, base, np.array(list(linear.values())),
            np.array([target for target, _ in linear], dtype=np.int64),
            np.array([slot for _, slot in linear], dtype=np.int64),
            starts.astype(np.int64),
            np.array([key[1] for key in keys], dtype=np.int64),
            np.array([key[2] for key in keys], dtype=np.int64),
            tuple(rotated),
            weight=float(sum(0.5 * mask.bit_count() + 2.0 for mask in rotated)),
        )


@dataclass(frozen=True, eq=False)
class Permute:
    """A run of CNOTs: result[i] = state[order[i]]."""

    order: Integers


@dataclass(frozen=True, eq=False)
class Multiply:
    """A run of constant diagonals on a small register: each amplitude times its entry."""

    entries: Complexes


Step = Local | Permute | Multiply | Gate
MOST_WRITTEN_OUT = 10  # qubits of a register whose constant diagonals are written out


def steps_of(qubits: int, gates: tuple[Gate, ...]) -> tuple[Step, ...]:
    """The steps that apply `gates` in order to a register of `qubits`."""
    steps: list[Step] = []
    local = LocalBuilder(qubits)
    order: Integers | None = None
    entries: Complexes | None = None

    def close() -> None:
        nonlocal local, order, entries
        if local:
            steps.append(local.build())
            local = LocalBuilder(qubits)
        if order is not None:
            steps.append(Permute(order))
            order = None
        if entries is not None:
            steps.append(Multiply(entries))
            entries = None

    for gate in gates:
        if gate.name == "cnot":
            if local or entries is not None:
                close()
            order = _after_cnot(qubits, order, gate)
        elif gate.name == "diagonal" and qubits <= MOST_WRITTEN_OUT:
            if local or order is not None:
                close()
            own = gate.data()[spread_index(gate.qubits, qubits)]
            entries = own if entries is None else entries * own
        elif gate.payload is not None:
            close()
            steps.append(gate)
        else:
            if order is not None or entries is not None:
                close()
            lower(gate, local)
    close()
    return tuple(steps)


@lru_cache(maxsize=256)
def spread_index(qubits: tuple[int, ...], n: int) -> Integers:
    """For each index of a register of n qubits, that of some of its qubits, the first of them the most significant."""
    index, found = np.arange(1 << n), np.zeros(1 << n, dtype=np.int64)
    for qubit in qubits:
        found = 2 * found + (index >> (n - 1 - qubit) & 1)
    return found


def _after_cnot(qubits: int, order: Integers | None, gate: Gate) -> Integers:
    control, target = (qubits - 1 - qubit for qubit in gate.qubits)
    index = np.arange(2**qubits, dtype=np.int64)
    read = index ^ (((index >> control) & 1) << target)
    return read if order is None else np.asarray(order[read])


def lower(gate: Gate, local: LocalBuilder) -> None:
    """Write a gate without payload, CNOT apart, as rotations about y and phases."""
    angle = Angle(gate.offset, gate.scale, gate.slots[0]) if gate.slots else Angle(gate.offset)
    if gate.pauli:
        _lower_rotation(gate, angle, local)
    elif gate.name == "phase":
        local.phase(gate.qubits, angle)
    elif gate.name == "cz":
        local.phase(gate.qubits, Angle(np.pi))
    elif gate.name in _PHASES:
        local.phase(gate.qubits, Angle(_PHASES[gate.name]))
    elif gate.name in ("h", "x"):  # Z R_y(-π/2), Z R_y(-π)
        local.rotate(gate.qubits[0], Angle(-_HALF_PI if gate.name == "h" else -np.pi))
        local.phase(gate.qubits, Angle(np.pi))
    else:
        assert gate.name == "y"  # i R_y(π)
        local.rotate(gate.qubits[0], Angle(np.pi))
        local.phase((), Angle(_HALF_PI))


def _lower_rotation(gate: Gate, angle: Angle, local: LocalBuilder) -> None:
    """R_P = V R_Z..Z V† with V = R_y(π/2) where P has X and R_x(-π/2) where it has Y."""
    if gate.name == "ry":
        local.rotate(gate.qubits[0], angle)
        return
    if gate.name == "rx":
        _rx(gate.qubits[0], angle, local)
        return
    for qubit, letter in zip(gate.qubits, gate.pauli, strict=True):
        _turn_axis(qubit, letter, -1.0, local)
    if len(gate.qubits) == 1:
        local.rz(gate.qubits[0], angle)
    else:  # z_a z_b = 1 - 2a - 2b + 4ab
        local.phase((), angle.times(-0.5))
        for qubit in gate.qubits:
            local.phase((qubit,), angle)
        local.phase(gate.qubits, angle.times(-2.0))
    for qubit, letter in zip(gate.qubits, gate.pauli, strict=True):
        _turn_axis(qubit, letter, 1.0, local)


def _turn_axis(qubit: int, letter: str, sign: float, local: LocalBuilder) -> None:
    if letter == "X":
        local.rotate(qubit, Angle(sign * _HALF_PI))
    elif letter == "Y":
        _rx(qubit, Angle(-sign * _HALF_PI), local)


def _rx(qubit: int, angle: Angle, local: LocalBuilder) -> None:
    local.rz(qubit, Angle(_HALF_PI))
    local.rotate(qubit, angle)
    local.rz(qubit, Angle(-_HALF_PI))
