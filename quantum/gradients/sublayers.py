"""A circuit as sub-layers: sets of parametrised gates whose derivatives can be read in one frame.

Two gates share a sub-layer where their generators commute qubit by qubit (on a qubit that both touch
they have the same Pauli letter) and nothing that stands between them keeps them apart. So rotations on
distinct qubits share one, and so does a chain of R_ZZ. The order of gates on each qubit is kept, up to
gates that commute; the circuit's parts, put together again, are the circuit.

Every gate with a parameter is exp(i θ D) for a D that is diagonal in the sub-layer's Pauli basis, so that
∂_i U = (what follows) · i D_i · (what precedes, the sub-layer itself included).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Floats
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate

_DIAGONAL = frozenset({"z", "s", "sdg", "t", "tdg", "cz", "phase", "diagonal"})
Letters = tuple[tuple[int, str], ...]


@dataclass(frozen=True, eq=False)
class Sublayer:
    """before: gates without parameters since the previous sub-layer; gates: those with parameters.

    letters: (qubit, Pauli letter) of every qubit that `gates` touch, by qubit.
    """

    before: tuple[Gate, ...]
    gates: tuple[Gate, ...]
    letters: Letters

    @property
    def slots(self) -> tuple[int, ...]:
        """The parameters that feed this sub-layer, each once, in ascending order."""
        return tuple(sorted({slot for gate in self.gates for slot in gate.slots}))


@lru_cache(maxsize=64)
def split(circuit: Circuit, most_qubits: int | None = None) -> tuple[tuple[Sublayer, ...], tuple[Gate, ...]]:
    """The sub-layers of a circuit and the gates that follow the last of them.

    Each takes every gate that the order on the qubits lets through, and touches at most `most_qubits`
    qubits, if given.
    """
    found, rest = [], list(circuit.gates)
    left = sum(bool(gate.slots) for gate in rest)
    while left:
        sublayer, rest = _peel(circuit.qubits, rest, most_qubits or circuit.qubits)
        found.append(sublayer)
        left -= len(sublayer.gates)
    return tuple(found), tuple(rest)


def _peel(qubits: int, gates: list[Gate], most_qubits: int) -> tuple[Sublayer, list[Gate]]:
    """The first sub-layer of these gates, and what it leaves."""
    before: list[Gate] = []
    inside: list[Gate] = []
    later: list[Gate] = []
    basis: dict[int, str] = {}
    blocked: set[int] = set()  # qubits on which something is put off
    for index, gate in enumerate(gates):
        if len(blocked) == qubits:
            later += gates[index:]
            break
        letters = letters_of(gate) if gate.slots else {}
        free = blocked.isdisjoint(gate.qubits)
        if free and not gate.slots and _commutes(gate, basis):
            before.append(gate)
        elif free and gate.slots and _fits(basis, letters, most_qubits):
            inside.append(gate)
            basis.update(letters)
        else:
            later.append(gate)
            blocked.update(gate.qubits)
    return Sublayer(tuple(before), tuple(inside), tuple(sorted(basis.items()))), later


def _commutes(gate: Gate, basis: dict[int, str]) -> bool:
    letters = [basis[qubit] for qubit in gate.qubits if qubit in basis]
    return not letters or (gate.name in _DIAGONAL and set(letters) == {"Z"})


def _fits(basis: dict[int, str], letters: dict[int, str], most_qubits: int) -> bool:
    agrees = all(basis.get(qubit, letter) == letter for qubit, letter in letters.items())
    # One gate alone may be wider than the limit: it cannot be taken apart.
    return agrees and (not basis or len(basis.keys() | letters.keys()) <= most_qubits)


def letters_of(gate: Gate) -> dict[int, str]:
    """The Pauli basis in which the generator of a parametrised gate is diagonal."""
    return dict(zip(gate.qubits, gate.pauli or "Z" * len(gate.qubits), strict=True))


def generators(sublayer: Sublayer) -> Floats:
    """The eigenvalues of D_p = Σ D_i over the gates that parameter p feeds, shape (2**k, slots).

    Row z holds them for the joint eigenstate z of the k touched qubits, the first of `letters` the most
    significant, 0 for +1. Columns follow `slots`. Each is shifted to lie evenly about 0: a multiple of the
    identity turns phases alone, which no expectation value sees.
    """
    place = {qubit: index for index, (qubit, _) in enumerate(sublayer.letters)}
    k, slots = len(place), sublayer.slots
    patterns = np.arange(2**k)
    table = np.zeros((2**k, len(slots)))
    column = {slot: index for index, slot in enumerate(slots)}
    for gate in sublayer.gates:
        bits = np.array([(patterns >> (k - 1 - place[qubit])) & 1 for qubit in gate.qubits])
        if gate.pauli:
            table[:, column[gate.slots[0]]] -= gate.scale / 2 * np.prod(1 - 2 * bits, axis=0)
        elif gate.name == "phase":
            table[:, column[gate.slots[0]]] += gate.scale * np.prod(bits, axis=0)
        else:
            _add_phases(table, gate, bits, column)
    return np.asarray(table - (table.max(axis=0) + table.min(axis=0)) / 2)


def _add_phases(table: Floats, gate: Gate, bits: np.ndarray, column: dict[int, int]) -> None:
    """Entry j of "phases" is exp(i scale payload_j parameters[slot_j])."""
    size = len(gate.data())
    index = np.asarray((1 << np.arange(len(gate.qubits))[::-1]) @ bits)
    slots = gate.slots if len(gate.slots) == size else gate.slots * size
    columns = np.array([column[slot] for slot in slots])
    np.add.at(table, (np.arange(len(table)), columns[index]), gate.scale * gate.data()[index])
