"""Forward and backward features: the states from which a unitary's owner reads its derivatives.

For U at some place of the circuit, with V everything after it, Π the measured projector, μ the state
before U, φ = V U μ and ν = V† (2Π - 1) φ, THEORY §4 has

    ∂_i <Π> = Re <ν| ∂_i U |μ> = <Φ| O_i |Φ>,    |Φ> = (|0>|μ> + |1>|ν>)/√2,
    O_i = [[0, (∂_i U)†], [∂_i U, 0]].

The ancilla is qubit 0, the register qubits 1..n. |Φ> is made by `open_feature`, U under the ancilla's
control, V, `turn` and V†; each is what one party does with the register when it comes by. A `Block` is a
sub-layer of U read from one copy: its frame takes the |0> branch through the gates before and in the
block and the |1> branch back through those after it, and what is left of O_i is Y ⊗ D_i with D_i diagonal
in the block's Pauli basis: -½ Y ⊗ P for a rotation R_P.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.controlled import CONTROL, beside, controlled
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.gates import Gate
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.gradients.sublayers import Sublayer, generators, split
from ketwire.quantum.grid import product
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment, apply_long

MOST_JOINT = 12  # qubits of the register that one block reads: 2^13 outcomes
P0 = Projector(0)


@dataclass(frozen=True, eq=False)
class Block:
    """Derivatives by all parameters of one sub-layer, read together from one copy of |Φ>.

    circuit: U, on n qubits. sublayers and tail: all of U, this block being sublayers[index]. It does not
    depend on the parameters' values, and its circuits read U's parameters.
    """

    circuit: Circuit
    sublayers: tuple[Sublayer, ...]
    tail: tuple[Gate, ...]
    index: int

    @property
    def qubits(self) -> int:
        """n + 1: the register's and the ancilla."""
        return self.circuit.qubits + 1

    @property
    def slots(self) -> tuple[int, ...]:
        """Parameters of U whose derivatives this block has a part in."""
        return self.sublayers[self.index].slots

    @cached_property
    def frame(self) -> Circuit:
        """On n + 1 qubits, fed by U's parameters: what the owner applies to |Φ> before it measures."""
        n, count = self.circuit.qubits, self.circuit.parameter_count
        through, after = (
            [gate for sublayer in part for gate in (*sublayer.before, *sublayer.gates)]
            for part in (self.sublayers[: self.index + 1], self.sublayers[self.index + 1 :])
        )
        forward = controlled(Circuit(n, tuple(through), count), on=0)
        backward = controlled(Circuit(n, (*after, *self.tail), count).inverse(), on=1)
        return forward.then(backward, share_parameters=True)

    @cached_property
    def observable(self) -> JointPaulis:
        """Y on the ancilla and this block's Pauli letter on each qubit that it touches, together."""
        shifted = ((qubit + 1, letter) for qubit, letter in self.sublayers[self.index].letters)
        return JointPaulis(((CONTROL, "Y"), *shifted))

    @cached_property
    def values(self) -> Floats:
        """What an outcome says of each derivative, shape (outcomes, len(slots)); means are unbiased."""
        table = generators(self.sublayers[self.index])
        return np.concatenate([table, -table])

    @property
    def bounds(self) -> Floats:
        """The largest magnitude of `values` for each slot: ½ for one rotation of scale 1."""
        return np.asarray(np.abs(self.values).max(axis=0))

    def read(self, counts: Integers | Floats) -> Floats:
        """Mean of the values over the outcomes counted: (rows, outcomes) to (rows, len(slots)).

        Where a parameter also feeds other blocks, its derivative is the sum over blocks. ValueError where
        a row has no outcome.
        """
        tally = np.asarray(counts)
        if tally.ndim != 2 or tally.shape[1] != self.observable.outcomes:
            raise ValueError(f"counts: shape {list(tally.shape)} given, expected (rows, {self.observable.outcomes})")
        total = tally.sum(axis=1, keepdims=True)
        if not (total > 0).all():
            raise ValueError("counts: a row of zeros given, expected one outcome or more in each row")
        return np.asarray(product(np.asarray(tally, dtype=np.float64), self.values) / total)


@lru_cache(maxsize=64)
def blocks_of(circuit: Circuit) -> tuple[Block, ...]:
    """The blocks of a unitary, in the order of its gates."""
    sublayers, tail = split(circuit, MOST_JOINT)
    return tuple(Block(circuit, sublayers, tail, index) for index in range(len(sublayers)))


def sweep(segment: Segment, states: Complexes) -> Iterator[tuple[Block, Complexes]]:
    """Each block with the states |Φ> in its frame, both (rows, 2**(n+1)).

    One pass serves all blocks: what leads from a block's frame to the next is the same on either branch,
    because ν at a block is what the gates up to there make of U† ν.
    """
    circuit, rows = segment.circuit, len(checked_phi(segment, states))
    halves = np.array(states, dtype=np.complex128).reshape(rows, 2, -1)
    halves[:, 1] = apply_long(circuit.inverse(), halves[:, 1], segment.values)
    moving = halves.reshape(2 * rows, -1)
    for block, advance in zip(blocks_of(circuit), _advances(circuit), strict=True):
        moving = apply(advance, moving, segment.values)
        yield block, moving.reshape(rows, -1)


@lru_cache(maxsize=64)
def _advances(circuit: Circuit) -> tuple[Circuit, ...]:
    sublayers, _ = split(circuit, MOST_JOINT)
    return tuple(Circuit(circuit.qubits, layer.before + layer.gates, circuit.parameter_count) for layer in sublayers)


def checked_phi(segment: Segment, states: Complexes) -> Complexes:
    """States of the register and its ancilla, (rows, 2**(n+1)), or ValueError."""
    size = 2 << segment.qubits
    if np.ndim(states) != 2 or np.shape(states)[1] != size:
        raise ValueError(f"states: shape {list(np.shape(states))} given, expected (rows, {size})")
    return np.asarray(states, dtype=np.complex128)


def contributions(segment: Segment, states: Complexes) -> Floats:
    """<Φ| O_p |Φ> for every parameter p of U, exactly: (rows, 2**(n+1)) to (rows, parameter_count)."""
    total = np.zeros((len(states), segment.circuit.parameter_count))
    for block, framed in sweep(segment, states):
        total[:, block.slots] += block.observable.probabilities(framed) @ block.values
    return total


# ---------------------------------------------------------------- what each party does to make |Φ>


def open_feature(states: Complexes) -> Complexes:
    """|+> ⊗ ψ for each row: U's owner adds the ancilla; (rows, 2**n) to (rows, 2**(n+1))."""
    batch = np.asarray(states, dtype=np.complex128)
    return np.asarray(np.concatenate([batch, batch], axis=1) / np.sqrt(2))


def turn(qubits: int, projector: Projector = P0) -> Circuit:
    """2Π - 1 under the ancilla's control, on 1 + `qubits` qubits; a CZ where Π has no flags.

    The projector counts its qubits in the register, without the ancilla.
    """
    touched = (projector.qubit, *projector.flags)
    if max(touched) >= qubits:
        raise ValueError(f"projector: qubit {max(touched)} given, expected below {qubits}")
    at = (CONTROL, *(qubit + 1 for qubit in touched))
    if not projector.flags:
        return Circuit(qubits + 1, (Gate("cz", at),))
    half = 1 << len(touched)
    entries = np.concatenate([np.ones(half + 1), -np.ones(half - 1)])
    return Circuit(qubits + 1, (Gate("diagonal", at, payload=entries),))


def phi(states: Complexes, segment: Segment, after: Sequence[Segment], projector: Projector = P0) -> Complexes:
    """|Φ> of `segment` from μ, (rows, 2**n), by the steps of the protocol: (rows, 2**(n+1)).

    after: the segments of V in the order in which they act.
    """
    moving = apply_long(controlled(segment.circuit), open_feature(states), segment.values)
    for later in after:
        moving = apply_long(beside(later.circuit), moving, later.values)
    moving = apply(turn(segment.qubits, projector), moving)
    for later in reversed(after):
        moving = apply_long(beside(later.circuit.inverse()), moving, later.values)
    return moving
