"""Builders of the layers of THEORY §2, each a circuit; parameters are numbered from 0 in each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ketwire.quantum.arrays import Complexes
from ketwire.quantum.circuits import Circuit, joined
from ketwire.quantum.encodings import amplitude_encode, qubits_for
from ketwire.quantum.gates import ROTATIONS, Gate

ENTANGLERS = ("cz-chain", "cz-ring", "cnot-chain", "cnot-ring")


def rotations(qubits: int, axes: Sequence[str] | str = ("y", "z")) -> Circuit:
    """R_axis on every qubit, for each axis in turn; parameter a·n + q turns qubit q about axes[a]."""
    for axis in axes:
        if axis not in ("x", "y", "z"):
            raise ValueError(f"rotations: found axis {axis!r}, expected 'x', 'y' or 'z'")
    gates = [Gate("r" + axis, (q,), (a * qubits + q,)) for a, axis in enumerate(axes) for q in range(qubits)]
    return Circuit(qubits, tuple(gates), len(gates))


def couplings(qubits: int, paulis: str = "zz", ring: bool = False) -> Circuit:
    """R_PQ on neighbouring qubits, one parameter each."""
    if len(paulis) != 2 or "r" + paulis not in ROTATIONS:
        raise ValueError(f"couplings: found {paulis!r}, expected two letters of 'x', 'y', 'z'")
    edges = neighbours(qubits, ring)
    gates = tuple(Gate("r" + paulis, edge, (index,)) for index, edge in enumerate(edges))
    return Circuit(qubits, gates, len(gates))


def neighbours(qubits: int, ring: bool) -> list[tuple[int, int]]:
    """(q, q+1) along a chain; a ring of more than two qubits closes it."""
    chain = [(q, q + 1) for q in range(qubits - 1)]
    return [*chain, (qubits - 1, 0)] if ring and qubits > 2 else chain


def entangler(qubits: int, kind: str = "cz-chain") -> Circuit:
    """CZ or CNOT between neighbours: "cz-chain", "cz-ring", "cnot-chain", "cnot-ring"."""
    if kind not in ENTANGLERS:
        raise ValueError(f"entangler: found {kind!r}, expected one of {', '.join(ENTANGLERS)}")
    name, shape = kind.split("-")
    return Circuit(qubits, tuple(Gate(name, edge) for edge in neighbours(qubits, shape == "ring")))


def givens(qubits: int, sublayers: int, distances: Sequence[int] = (1,)) -> Circuit:
    """A network of Givens rotations: real, orthogonal, and it keeps the number of ones of each basis state.

    Sub-layers rotate pairs of qubits in a brick pattern, one parameter each: at a distance d the pairs (q, q + d) with
    ⌊q/d⌋ even, then in the next sub-layer those with ⌊q/d⌋ odd; each such two have the next of `distances`, in turn. A
    pair's rotation is exp(-i θ/2 (XY - YX)), which takes |01> to cos θ |01> - sin θ |10>. XY and YX commute, and
    between H and CZ gates they are Y on either qubit: so one copy of |Φ> tells of both.

    Neighbours alone (distance 1) are free fermions (Terhal and DiVincenzo 2002, arXiv quant-ph/0108010): any number of
    such rotations is the same as n (n - 1) / 2, and <Z> of a qubit depends on n - 1 numbers.

    ValueError for fewer than two qubits, no sub-layer, or a distance that is not from 1 to n - 1.
    """
    if qubits < 2 or sublayers < 1:
        raise ValueError(f"givens: found {qubits} qubits and {sublayers} sublayers, expected 2 and 1, or more")
    if not distances or not all(1 <= distance < qubits for distance in distances):
        raise ValueError(f"givens: found distances {list(distances)}, expected some from 1 to {qubits - 1}")
    gates: list[Gate] = []
    slots = 0
    for sublayer in range(sublayers):
        d = distances[sublayer // 2 % len(distances)]
        pairs = [(q, q + d) for q in range(qubits - d) if q // d % 2 == sublayer % 2]
        touched = [Gate("h", (q,)) for pair in pairs for q in pair]
        coupled = [Gate("cz", pair) for pair in pairs]
        turned = [
            Gate("ry", (q,), (slots + index,), scale)
            for index, pair in enumerate(pairs) for q, scale in zip(pair, (1.0, -1.0), strict=True)
        ]  # fmt: skip
        gates += [*touched, *coupled, *turned, *coupled, *touched]
        slots += len(pairs)
    return Circuit(qubits, tuple(gates), slots)


def hardware_efficient(
    qubits: int, sublayers: int, axes: Sequence[str] | str = ("y", "z"), entangler: str = "cz-ring"
) -> Circuit:
    """`sublayers` times: rotations about each axis on every qubit, then the entangler."""
    if sublayers < 1:
        raise ValueError(f"hardware_efficient: found {sublayers} sublayers, expected 1 or more")
    one = rotations(qubits, axes) + _ENTANGLER(qubits, entangler)
    return joined([one] * sublayers)


_ENTANGLER = entangler  # the argument of hardware_efficient hides the name


def diagonal_phases(values: ArrayLike, shared: bool = False, scale: float = 1.0) -> Circuit:
    """diag(exp(i scale v_j p_j)): data v with a parameter each, or (`shared`) levels v times one scalar."""
    payload = np.asarray(values, dtype=np.float64)
    qubits = _qubits_of(payload, "diagonal_phases")
    slots = (0,) if shared else tuple(range(len(payload)))
    return Circuit(qubits, (Gate("phases", tuple(range(qubits)), slots, scale, payload=payload),), len(slots))


def diagonal(entries: ArrayLike) -> Circuit:
    """A fixed diagonal of unit modulus."""
    payload = np.asarray(entries, dtype=np.complex128)
    qubits = _qubits_of(payload, "diagonal")
    return Circuit(qubits, (Gate("diagonal", tuple(range(qubits)), payload=payload),))


def sign_diagonal(signs: ArrayLike) -> Circuit:
    """A diagonal of +1 and -1 (THEORY §6)."""
    payload = np.asarray(signs, dtype=np.float64)
    if not np.isin(payload, (-1.0, 1.0)).all():
        raise ValueError("sign_diagonal: found entries other than +1 and -1, expected signs")
    return diagonal(payload)


def random_signs(qubits: int, rng: np.random.Generator) -> Circuit:
    """A sign diagonal of 2**n fair signs."""
    return sign_diagonal(rng.choice(np.array([-1.0, 1.0]), size=2**qubits))


def hadamards(qubits: int) -> Circuit:
    """H on every qubit."""
    return Circuit(qubits, tuple(Gate("h", (q,)) for q in range(qubits)))


def dense(matrix: ArrayLike) -> Circuit:
    """A unitary or orthogonal (2**n, 2**n) matrix."""
    payload = np.asarray(matrix, dtype=np.complex128)
    if payload.ndim != 2:
        raise ValueError(f"dense: found shape {payload.shape}, expected (2**n, 2**n)")
    qubits = _qubits_of(payload[:, 0] if payload.size else payload.ravel(), "dense")
    return Circuit(qubits, (Gate("dense", tuple(range(qubits)), payload=payload),))


def householder(vector: ArrayLike) -> Circuit:
    """1 - 2 v v† for v = vector / ||vector||, padded with zeros."""
    return _from_vector("householder", vector)


def prepare(vector: ArrayLike) -> Circuit:
    """A unitary that takes |0...0> to the amplitude encoding of `vector`."""
    return _from_vector("prepare", vector)


def _from_vector(name: str, vector: ArrayLike) -> Circuit:
    states, _ = amplitude_encode(vector)
    if states.ndim != 1:
        raise ValueError(f"{name}: found shape {np.shape(vector)}, expected one vector")
    qubits = qubits_for(len(states))
    return Circuit(qubits, (Gate(name, tuple(range(qubits)), payload=states),))


def _qubits_of(entries: np.ndarray, what: str) -> int:
    if entries.ndim != 1 or len(entries) < 2 or len(entries) & (len(entries) - 1):
        raise ValueError(f"{what}: found {entries.shape} entries, expected 2**n with n >= 1")
    return len(entries).bit_length() - 1


def random_unitary(qubits: int, rng: np.random.Generator) -> Complexes:
    """A Haar-random (2**n, 2**n) unitary: QR of a Gaussian matrix with the phases of R taken out."""
    size = 2**qubits
    gaussian = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    Q, R = np.linalg.qr(gaussian)
    phases = np.diagonal(R) / np.abs(np.diagonal(R))
    return np.asarray(Q * phases)


def haar_state(qubits: int, rng: np.random.Generator, rows: int = 1) -> Complexes:
    """Haar-random states, shape (rows, 2**n)."""
    gaussian = rng.normal(size=(rows, 2**qubits)) + 1j * rng.normal(size=(rows, 2**qubits))
    return np.asarray(gaussian / np.linalg.norm(gaussian, axis=1)[:, None])


def haar_states(qubits: int, rng: np.random.Generator, rows: int) -> Complexes:
    """The same for thousands of rows, in half of the time: numbers are drawn in the order in which they lie."""
    numbers = rng.standard_normal((rows, 2 * 2**qubits))
    numbers /= np.sqrt(np.einsum("rk,rk->r", numbers, numbers))[:, None]
    return numbers.view(np.complex128)
