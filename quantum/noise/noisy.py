"""Circuits whose gates take time and make errors: how long they last, and one trajectory for each copy.

**What a gate counts as.** A processor has gates on one and on two qubits. A gate on more is made of
gates on two, as many as its standard decomposition has (`two_qubit_gates`); those on one qubit in between
are absorbed in them. They follow each other, as most of them share a qubit with the next.

**Time.** Gates begin as soon as their qubits are free, so gates on disjoint qubits run side by side.

**Errors.** After a gate on one or two qubits these are depolarized together: with probability p their
state is replaced by the maximally mixed one, which is the same as a Pauli string drawn uniformly from all
4^k, the identity among them. A gate made of c gates on two qubits depolarizes all of its qubits together
with 1 - (1 - p)^c: it is without error where all c of them are, and an error in the midst of so many
gates is taken to be scrambled over all qubits (for random circuits that is what happens: Dalzell,
Hunter-Jones and Brandão, arXiv 2111.14907).

**Sharing.** A circuit runs in moments of gates on disjoint qubits, and is cut only after a moment in which
a gate of some copy errs. Copies that met the same errors share a row, those without any the noiseless one.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.noise.events import hits
from ketwire.quantum.noise.mixtures import depolarize_jointly
from ketwire.quantum.noise.representations import is_mixed
from ketwire.quantum.noise.shared_rows import Batch
from ketwire.quantum.noise.trajectories import apply_masks

MOST_SEGMENTS = 1024  # circuits of stretches kept, each with its plan
Run = Callable[[Circuit, Complexes, Floats], Complexes]


def two_qubit_gates(name: str, qubits: int) -> int:
    """How many two-qubit gates (CNOTs) a gate on `qubits` is made of; none on one qubit, one on two.

    dense: (23/48) 4^n - (3/2) 2^n + 4/3, the quantum Shannon decomposition (Shende, Bullock and Markov,
        IEEE Trans. CAD 25, 1000, 2006; at least (4^n - 3n - 1)/4 are needed).
    diagonal, phases: 2^n - 2 (Bullock and Markov, Quantum Inf. Comput. 4, 27, 2004).
    prepare, unprepare: 2^n - n - 1, from or to |0...0> (Bergholm, Vartiainen, Möttönen and Salomaa, Phys.
        Rev. A 71, 052330, 2005).
    householder: those of unpreparing v, the diagonal 1 - 2 |0><0| and preparing v again.
    """
    if qubits <= 2:
        return qubits - 1
    size = 1 << qubits
    loading = size - qubits - 1
    return {
        "dense": (23 * size**2 - 72 * size + 64) // 48,
        "diagonal": size - 2,
        "phases": size - 2,
        "prepare": loading,
        "unprepare": loading,
        "householder": 2 * loading + size - 2,
    }[name]


def gate_ps(name: str, qubits: int, gate1_ps: int, gate2_ps: int) -> int:
    """How long a gate takes, from the durations of those on one and on two qubits."""
    return gate1_ps if qubits == 1 else two_qubit_gates(name, qubits) * gate2_ps


def gate_error(name: str, qubits: int, p_gate1: float, p_gate2: float) -> float:
    """How strongly a gate depolarizes its qubits together, from the errors of those on one and two qubits."""
    if qubits <= 2:
        return p_gate1 if qubits == 1 else p_gate2
    return float(1.0 - (1.0 - p_gate2) ** two_qubit_gates(name, qubits))


@lru_cache(maxsize=256)
def duration_ps(circuit: Circuit, gate1_ps: int, gate2_ps: int) -> int:
    """How long the circuit takes, each gate as soon as its qubits are free."""
    free = [0] * circuit.qubits
    for gate in circuit.gates:
        begun = max(free[qubit] for qubit in gate.qubits)
        done = begun + gate_ps(gate.name, len(gate.qubits), gate1_ps, gate2_ps)
        for qubit in gate.qubits:
            free[qubit] = done
    return max(free)


def depolarize_together(
    states: Complexes, row: Integers, p: float, qubits: tuple[int, ...], rng: np.random.Generator
) -> Batch:
    """Replace `qubits` of each copy by the maximally mixed state with probability p; new (states, row).

    Where nothing happened it returns its own arguments, without rows that no copy is in.
    """
    if is_mixed(states):
        return (depolarize_jointly(states, p, qubits) if p > 0 else states), row
    n = states.shape[1].bit_length() - 1
    masks = _Errors(p, (qubits,)).draw(len(row), n, rng)
    return (states, row) if masks is None else apply_masks(states, row, *masks)


@lru_cache(maxsize=256)
def noisy(circuit: Circuit, p_gate1: float, p_gate2: float) -> "NoisyCircuit":
    """The circuit with its gates' errors, found once."""
    return NoisyCircuit(circuit, p_gate1, p_gate2)


class NoisyCircuit:
    """A circuit in moments, each with the errors of its gates."""

    def __init__(self, circuit: Circuit, p_gate1: float, p_gate2: float) -> None:
        self.circuit = circuit
        self._moments = list(_moments(circuit))
        self._errors = [_errors_of(moment, p_gate1, p_gate2) for moment in self._moments]
        self._segments: dict[tuple[int, int], Circuit] = {(0, len(self._moments)): circuit}

    def apply(
        self, states: Complexes, row: Integers, parameters: Floats, rng: np.random.Generator, run: Run
    ) -> Batch:
        """Run every copy through the circuit and draw its errors; new (states, row).

        run: applies a circuit to states (rows, 2**n), given these and the parameters.
        """
        if is_mixed(states):
            return self._averaged(states, parameters, run), row
        begun, end = 0, len(self._moments)
        for moment, errors in enumerate(self._errors):
            drawn = [masks for each in errors if (masks := each.draw(len(row), self.circuit.qubits, rng))]
            if not drawn:
                continue
            states = run(self._segment(begun, moment + 1), states, parameters)
            # Gates of one moment are on disjoint qubits: so are their errors.
            x, z = (sum(masks[k] for masks in drawn) for k in (0, 1))
            states, row = apply_masks(states, row, np.asarray(x), np.asarray(z))
            begun = moment + 1
        return (run(self._segment(begun, end), states, parameters) if begun < end else states), row

    def _averaged(self, rho: Complexes, parameters: Floats, run: Run) -> Complexes:
        """Density matrices meet the average of all errors."""
        for moment, errors in enumerate(self._errors):
            rho = run(self._segment(moment, moment + 1), rho, parameters)
            for each in errors:
                for qubits in each.qubits:
                    rho = depolarize_jointly(rho, each.p, qubits)
        return rho

    def _segment(self, first: int, end: int) -> Circuit:
        """The moments from `first` to before `end`, as a circuit of its own."""
        if (first, end) not in self._segments:
            if len(self._segments) >= MOST_SEGMENTS:
                self._segments = {(0, len(self._moments)): self.circuit}
            gates = tuple(gate for moment in self._moments[first:end] for gate in moment)
            self._segments[first, end] = Circuit(self.circuit.qubits, gates, self.circuit.parameter_count)
        return self._segments[first, end]


class _Errors:
    """Gates of one moment that err alike: each of them depolarizes its k qubits with probability p.

    qubits: the qubits of each gate, all of the same number
    """

    def __init__(self, p: float, qubits: tuple[tuple[int, ...], ...]) -> None:
        self.p, self.qubits = p, qubits
        self._qubits = np.array(qubits, dtype=np.int64)
        self._paulis = 1 << 2 * len(qubits[0])
        # The identity is one of the strings drawn; only the others change anything.
        self._chance = p * (1.0 - 1.0 / self._paulis)

    def draw(self, copies: int, n: int, rng: np.random.Generator) -> tuple[Integers, Integers] | None:
        """(x, z): for each copy the bits of the index that X and that Z errors hit; None if none did."""
        gates, width = self._qubits.shape
        place = hits(copies * gates, self._chance, rng)
        if len(place) == 0:
            return None
        strings = rng.integers(1, self._paulis, len(place))
        x, z = np.zeros(copies, dtype=np.int64), np.zeros(copies, dtype=np.int64)
        for k in range(width):
            bit = np.int64(1) << (n - 1 - self._qubits[place % gates, k])
            # Of one copy several gates may err, and on disjoint bits: adding marks them all.
            np.add.at(x, place // gates, bit * (strings >> k & 1))
            np.add.at(z, place // gates, bit * (strings >> (width + k) & 1))
        return x, z


def _moments(circuit: Circuit) -> Iterator[list[Gate]]:
    """The gates, each in the first moment after those that share a qubit with it."""
    depth = [0] * circuit.qubits
    moments: list[list[Gate]] = []
    for gate in circuit.gates:
        moment = max(depth[qubit] for qubit in gate.qubits)
        for qubit in gate.qubits:
            depth[qubit] = moment + 1
        if moment == len(moments):
            moments.append([])
        moments[moment].append(gate)
    yield from moments


def _errors_of(moment: list[Gate], p_gate1: float, p_gate2: float) -> list[_Errors]:
    alike: dict[tuple[float, int], list[tuple[int, ...]]] = {}
    for gate in moment:
        p = gate_error(gate.name, len(gate.qubits), p_gate1, p_gate2)
        if p > 0:
            alike.setdefault((p, len(gate.qubits)), []).append(gate.qubits)
    return [_Errors(p, tuple(qubits)) for (p, _), qubits in alike.items()]
