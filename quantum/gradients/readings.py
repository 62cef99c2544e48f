"""Reading |Φ> copy by copy with circuits that are stated gate by gate: what an owner with real gates can do.

A copy of |Φ> (see `features`) is read in the frame of a block: the frame's gates, one or two more on each qubit
that take its Pauli letter to Z, then the ancilla and the block's qubits are measured. `direct`, `commuting` and
`random-coordinate` consist of such readings alone. Which one a copy gets is decided before it comes, so each is
read when it is there. On perfect hardware it makes no difference, and `estimators` samples the same laws at once.

What the uniform measurement of `shadows`, or a test of `shadow_tomography`, is made of is stated nowhere: there
is nothing here that could err or take time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Floats, Integers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.controlled import CONTROL
from ketwire.quantum.gradients.estimation import Estimate, Estimator
from ketwire.quantum.gradients.estimators import Commuting, Direct, Exact, RandomCoordinate
from ketwire.quantum.gradients.features import Block, blocks_of
from ketwire.quantum.gradients.grouped import Grouped
from ketwire.quantum.gradients.joint import JointPaulis
from ketwire.quantum.gradients.sublayers import Sublayer, generators
from ketwire.quantum.grid import product

STATED = ("direct", "commuting", "random-coordinate")
"""The estimators that read |Φ> with stated circuits."""


@dataclass(frozen=True, eq=False)
class Reading:
    """One way to measure one copy of |Φ>.

    circuit: on n + 1 qubits, fed by U's parameters. observable: Z on the qubits that are read then.
    values: (outcomes, len(slots)), what each outcome says of the derivative by each of `slots`.
    """

    circuit: Circuit
    observable: JointPaulis
    slots: tuple[int, ...]
    values: Floats


@dataclass(frozen=True, eq=False)
class Readings:
    """All readings by which an estimator reads one unitary.

    at_random: each copy draws one of them; otherwise each sample's copies are dealt to them evenly, at random.
    parameters: of the unitary.
    """

    parts: tuple[Reading, ...]
    at_random: bool
    parameters: int

    def choose(self, samples: int, copies: int, rng: np.random.Generator) -> Integers:
        """Which reading each copy of each sample gets, in the order of their arrival: (samples, copies), int32."""
        if self.at_random:
            return np.asarray(rng.integers(len(self.parts), size=(samples, copies), dtype=np.int32))
        even = np.arange(copies, dtype=np.int32) % len(self.parts)
        return np.asarray(rng.permuted(np.tile(even, (samples, 1)), axis=1))

    def estimate(self, counts: Sequence[Integers | Floats], used: Integers) -> Estimate:
        """Unbiased derivatives from what the readings counted.

        counts: for each reading (samples, outcomes): how often each came, or how likely it was, summed over copies.
        used: (samples,), copies measured.
        """
        result = np.zeros((len(used), self.parameters))
        for reading, tally in zip(self.parts, counts, strict=True):
            over = used / len(self.parts) if self.at_random else tally.sum(axis=1)
            result[:, reading.slots] += product(tally.astype(np.float64), reading.values) / over[:, None]
        return Estimate(result, used)


def readings_of(estimator: Estimator, circuit: Circuit) -> Readings:
    """How an estimator reads the unitary of this circuit; `exact` looks at all blocks, as `commuting` reads them.

    ValueError for an estimator whose measurement has no stated circuit.
    """
    if isinstance(estimator, Grouped):
        parts = _by_group(circuit, estimator.groups)
    elif isinstance(estimator, Direct) or (isinstance(estimator, RandomCoordinate) and estimator.unit == "parameter"):
        parts = _by_slot(circuit)
    elif isinstance(estimator, Commuting | Exact | RandomCoordinate):
        parts = _by_block(circuit)
    else:
        raise ValueError(f"estimator: {estimator.name!r} given, expected one with a circuit: {', '.join(STATED)}")
    return Readings(parts, isinstance(estimator, RandomCoordinate), circuit.parameter_count)


@lru_cache(maxsize=64)
def _by_block(circuit: Circuit) -> tuple[Reading, ...]:
    return tuple(
        Reading(_circuit_of(block), _z_on(qubit for qubit, _ in block.observable.paulis), block.slots, block.values)
        for block in blocks_of(circuit)
    )


@lru_cache(maxsize=64)
def _by_group(circuit: Circuit, groups: tuple[tuple[int, ...], ...]) -> tuple[Reading, ...]:
    """Each group in the frame of its block: what the block says of the others is left alone."""
    made = []
    for group in groups:
        block = next(each for each in _by_block(circuit) if group[0] in each.slots)
        columns = [block.slots.index(slot) for slot in group]
        made.append(Reading(block.circuit, block.observable, group, block.values[:, columns]))
    return tuple(made)


@lru_cache(maxsize=64)
def _by_slot(circuit: Circuit) -> tuple[Reading, ...]:
    """Each parameter in its block's frame, from the ancilla and the qubits of its own gates."""
    made = []
    for block, whole in zip(blocks_of(circuit), _by_block(circuit), strict=True):
        for slot in block.slots:
            own = _restricted(block.sublayers[block.index], slot)
            table = generators(own)[:, [own.slots.index(slot)]]
            observable = _z_on([CONTROL, *(qubit + 1 for qubit, _ in own.letters)])
            made.append(Reading(whole.circuit, observable, (slot,), np.concatenate([table, -table])))
    return tuple(made)


def _restricted(sublayer: Sublayer, slot: int) -> Sublayer:
    gates = tuple(gate for gate in sublayer.gates if slot in gate.slots)
    touched = {qubit for gate in gates for qubit in gate.qubits}
    return Sublayer((), gates, tuple(letter for letter in sublayer.letters if letter[0] in touched))


def _circuit_of(block: Block) -> Circuit:
    """The block's frame, and its Pauli letters taken to Z."""
    return block.frame.then(block.observable.basis(block.qubits))


def _z_on(qubits: Iterable[int]) -> JointPaulis:
    return JointPaulis(tuple((qubit, "Z") for qubit in qubits))
