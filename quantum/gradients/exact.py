"""All derivatives of <Π> exactly, by one sweep forward and one back (THEORY §4).

After the forward sweep the pair (φ, (2Π - 1) φ) is taken back through the gates together. In the frame of
a sub-layer (see `sublayers`) its derivatives are <Y ⊗ D_i> = -Im <ν| D_i |μ>. For rotations on one qubit
that needs the overlaps <ν| P_q |μ> alone: linear functions of the small matrices that are left of |μ><ν|
when all but a window of neighbouring qubits are summed over, one matrix product a window. Nothing is
stored on the way but the two states. Source: Jones and Gacon 2020 (arXiv 2009.02823) for taking states
back instead of storing them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit, joined
from ketwire.quantum.engines.dispatch import EngineName, apply
from ketwire.quantum.gates import PAULI, Gate
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.gradients.sublayers import Sublayer, generators, split
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment, apply_long

P0 = Projector(0)
_WINDOW = 4  # qubits, at most, whose overlaps come from one matrix product


def exact_gradients(
    segments: Sequence[Segment],
    states: Complexes,
    projector: Projector = P0,
    weights: ArrayLike | None = None,
    engine: EngineName = "numpy",
) -> list[Floats]:
    """∂<Π> by every parameter, an array for each segment: (rows, its parameter_count).

    segments: in the order in which they act. states: (rows, 2**n), the inputs, flags as |0>. weights: if
    given, (rows,), the gradient of Σ_r weights_r <Π>_r, and each array is (parameter_count,). ValueError
    where sizes differ.
    """
    batch, share = _checked(segments, states, weights)
    values = np.concatenate([segment.values for segment in segments])
    result = _plan(tuple(segment.circuit for segment in segments)).gradients(batch, values, projector, engine)
    if share is not None:
        result = share @ result
    ends = np.cumsum([segment.circuit.parameter_count for segment in segments])
    return [np.ascontiguousarray(part) for part in np.split(result, ends[:-1], axis=-1)]


def _checked(
    segments: Sequence[Segment], states: Complexes, weights: ArrayLike | None
) -> tuple[Complexes, Floats | None]:
    if not segments:
        raise ValueError("segments: none given, expected one or more")
    if len(sizes := {segment.qubits for segment in segments}) > 1:
        raise ValueError(f"segments: registers of {sorted(sizes)} qubits given, expected one size")
    batch = np.asarray(states, dtype=np.complex128)
    if batch.ndim != 2 or batch.shape[1] != 1 << segments[0].qubits:
        raise ValueError(f"states: shape {list(batch.shape)} given, expected (rows, {1 << segments[0].qubits})")
    share = None if weights is None else np.asarray(weights, dtype=np.float64)
    if share is not None and (share.shape != (len(batch),) or not np.isfinite(share).all()):
        raise ValueError(f"weights: shape {list(share.shape)} given, expected ({len(batch)},), finite")
    return batch, share


@lru_cache(maxsize=32)
def _plan(circuits: tuple[Circuit, ...]) -> _Plan:
    return _Plan(joined(circuits))


class _Plan:
    """What of a sweep does not depend on the parameters' values."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        sublayers, leaving = split(circuit)
        n, count = circuit.qubits, circuit.parameter_count
        self.stages: list[tuple[Circuit, _Overlaps | _Table]] = []
        for sublayer in reversed(sublayers):
            back = Circuit(n, leaving, count).inverse()
            narrow = all(gate.pauli and len(gate.qubits) == 1 for gate in sublayer.gates)
            self.stages.append((back, (_Overlaps if narrow else _Table)(n, sublayer)))
            leaving = sublayer.before + sublayer.gates

    def gradients(self, states: Complexes, values: Floats, projector: Projector, engine: EngineName) -> Floats:
        """(rows, parameter_count)."""
        rows = len(states)
        result = np.zeros((rows, self.circuit.parameter_count))
        if not rows or not self.stages:
            return result
        pair = np.empty((2 * rows, states.shape[1]), dtype=np.complex128)
        pair[:rows] = apply_long(self.circuit, states, values, engine)
        pair[rows:] = reflected(pair[:rows], projector)
        for back, reading in self.stages:
            pair = apply(back, pair, values, engine)
            result[:, reading.at] += reading.read(pair[:rows], pair[rows:])
        return result


def reflected(states: Complexes, projector: Projector) -> Complexes:
    """(2Π - 1) ψ for each row."""
    rows, size = states.shape
    n = size.bit_length() - 1
    touched = (projector.qubit, *projector.flags)
    if max(touched) >= n:
        raise ValueError(f"projector: qubit {max(touched)} given, expected below {n}")
    result = -states
    inside = (slice(None), *(0 if qubit in touched else slice(None) for qubit in range(n)))
    view = result.reshape((rows,) + (2,) * n)
    view[inside] *= -1
    return result


def _places(slots: tuple[int, ...]) -> slice | Integers:
    """An index of these columns; a slice where they are neighbours, which is quicker."""
    neighbours = slots == tuple(range(slots[0], slots[0] + len(slots)))
    return slice(slots[0], slots[-1] + 1) if neighbours else np.array(slots)


class _Table:
    """Reads any sub-layer: both states in its Pauli basis, a product, a sum over what it leaves alone."""

    def __init__(self, qubits: int, sublayer: Sublayer) -> None:
        self.at = _places(sublayer.slots)
        self._values = generators(sublayer)
        self._touched = [qubit for qubit, _ in sublayer.letters]
        self._qubits = qubits
        self._basis = JointPaulis(sublayer.letters).basis(qubits)

    def read(self, mu: Complexes, nu: Complexes) -> Floats:
        """(rows, slots)."""
        rows, n = len(mu), self._qubits
        turned = apply(self._basis, np.concatenate([mu, nu]))
        product = (turned[rows:].conj() * turned[:rows]).imag.reshape((rows,) + (2,) * n)
        rest = tuple(1 + qubit for qubit in range(n) if qubit not in self._touched)
        return np.asarray(-product.sum(axis=rest).reshape(rows, -1) @ self._values)


@dataclass(frozen=True, slots=True)
class _Window:
    """Qubits first..first + width - 1, and where their part of |μ><ν| stands among all overlaps."""

    first: int
    width: int
    part: slice

    def overlaps(self, mu: Complexes, dual: Complexes, out: Complexes) -> None:
        """Σ μ_{a i b} ν*_{a j b} over a and b, written to (rows, 4**width)."""
        rows, size = mu.shape
        side = 1 << self.width
        shape = (rows, 1 << self.first, side, size >> (self.first + self.width))
        target = out.reshape(rows, side, side)  # a view: its last axis is whole
        if shape[3] == 1:
            left, right = mu.reshape(shape[:3]).transpose(0, 2, 1), dual.reshape(shape[:3])
        else:
            left, right = mu.reshape(shape), dual.reshape(shape)
            if self.first:
                left, right = left.swapaxes(1, 2), right.swapaxes(1, 2)
            left, right = left.reshape(rows, side, -1), right.reshape(rows, side, -1).transpose(0, 2, 1)
        np.matmul(left, right, out=target)


class _Overlaps:
    """Reads rotations on one qubit each: -Im <ν| D |μ> = ½ scale Im <ν| P |μ>, linear in the overlaps."""

    def __init__(self, qubits: int, sublayer: Sublayer) -> None:
        self.at = _places(sublayer.slots)
        column = {slot: index for index, slot in enumerate(sublayer.slots)}
        self._windows: list[_Window] = []
        matrices = []
        end = 0
        for first, width in _windows(qubits):
            within = [gate for gate in sublayer.gates if first <= gate.qubits[0] < first + width]
            if within:
                matrix = np.zeros((4**width, 2, len(column)))
                for gate in within:
                    _add_pauli(matrix[:, :, column[gate.slots[0]]], gate, first, width)
                matrices.append(matrix.reshape(2 * 4**width, -1))
                self._windows.append(_Window(first, width, slice(end, end + 4**width)))
                end += 4**width
        self._matrix = np.concatenate(matrices)  # of real and imaginary parts in turn

    def read(self, mu: Complexes, nu: Complexes) -> Floats:
        """(rows, slots)."""
        dual = nu.conj()
        overlaps = np.empty((len(mu), len(self._matrix) // 2), dtype=np.complex128)
        for window in self._windows:
            window.overlaps(mu, dual, overlaps[:, window.part])
        return np.asarray(overlaps.view(np.float64) @ self._matrix)


def _windows(qubits: int) -> list[tuple[int, int]]:
    """(first, width) of near-equal runs of qubits, the widest first."""
    count = -(-qubits // _WINDOW)
    widths = [qubits // count + (index < qubits % count) for index in range(count)]
    return [(sum(widths[:index]), width) for index, width in enumerate(widths)]


def _add_pauli(column: Floats, gate: Gate, first: int, width: int) -> None:
    """Add ½ scale Im Σ_ij P_ji C_ij to a column that multiplies Re C and Im C, shape (4**width, 2)."""
    place = gate.qubits[0] - first
    operator = np.kron(np.kron(np.eye(1 << place), PAULI[gate.pauli]), np.eye(1 << (width - place - 1)))
    entries = gate.scale / 2 * operator.T.reshape(-1)
    column[:, 0] += entries.imag
    column[:, 1] += entries.real
