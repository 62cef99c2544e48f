"""Quantum codes that carry qubits over a lossy, noisy fiber, each as the logical channel that it leaves.

*The physical channel.* Each photon of a block is lost with probability 1 - survival, and its receiver
knows which ones were; independently, each survivor meets I, X, Y, Z with given weights, which may depend on
its place in the block.

*The decoder* is ideal and optimal. A lost photon is replaced by a maximally mixed one, that is by a
uniformly random Pauli on it; then the generators are measured, and of the logical classes of Pauli
strings with this syndrome the likeliest is undone, a tie being decided by a fair die. A block fails,
which its receiver knows, when its losses cannot be undone, and in a code that only detects errors also
when its syndrome is none that the losses alone explain. What is left of a block that arrives is a Pauli
channel on its logical qubits. Encoding and decoding are without noise of their own here; encoding
takes `encode_layers` layers of two-qubit gates.

*How it is computed.* The small codes by summing all 4**n Pauli strings for each set of losses. The
quantum parity code QPC(n, m), n rows of m photons with |±>_L = 2**(-n/2) (|0...0> ± |1...1>)**n (Ralph,
Hayes, Gilchrist, PRL 95, 100501), row by row: see `parity_codes.py`. Its losses can be undone when every
row keeps a photon and one row keeps all, with probability [1 - p**m]**n - [1 - p**m - η**m]**n,
p = 1 - η (Muralidharan et al., 1310.5291).

No code beats what its photons could carry: the capacity k max(0, 1 - 2 failure) of a block is at most
n max(0, 1 - 2 (1 - survival)) (Bennett, DiVincenzo, Smolin 1997); at 3 dB of loss and beyond none helps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.codes.parity import parity_encoder, parity_success, parity_weights
from ketwire.channels.codes.stabilizers import NOISELESS, StabilizerCode, decode, parity_stabilizers, stabilizer_code
from ketwire.channels.sums import exact_sum
from ketwire.quantum.gates import Gate
from ketwire.quantum.grid import significant

Floats = NDArray[np.float64]

# Of I, X, Y, Z on every photon of a block alike; or a tuple of these, one for each photon.
PhotonWeights = tuple[float, ...] | tuple[tuple[float, ...], ...]

MOST_PHOTONS = 256  # of a parity code
MOST_UNLIKE = 9  # photons of a parity code whose noise depends on their place in the block


@dataclass(frozen=True, eq=False)
class LogicalChannel:
    """What a code makes of a fiber: an erasure of whole blocks, then a Pauli channel on what arrives.

    failure: probability that a block is lost, which its receiver knows
    weights: float64, shape (4**qubits_per_block,): the logical Pauli weights given that the block
        arrived, summing to 1; a base-4 digit I, X, Y, Z a logical qubit, the first most significant.
        Where no block ever arrives, the identity. Rounding is some 1e-15; where it cannot tell a tie
        from a narrow majority, up to 1e-6 may move among X, Y and Z, and 1e-9 from the identity.
    """

    failure: float
    weights: Floats
    physical_per_block: int
    qubits_per_block: int
    encode_layers: int

    @property
    def success(self) -> float:
        """Probability that a block arrives."""
        return 1.0 - self.failure

    def marginal(self, logical: int) -> Floats:
        """The Pauli weights of one logical qubit, summed over the errors of the others; shape (4,)."""
        axes = tuple(axis for axis in range(self.qubits_per_block) if axis != logical)
        marginal: Floats = self.weights.reshape((4,) * self.qubits_per_block).sum(axis=axes)
        return marginal


class Sample(NamedTuple):
    """What happened to each of some blocks.

    failed: bool, shape (blocks,)
    logical: int64, shape (blocks, qubits_per_block): which Pauli each logical qubit met, I, X, Y, Z
        = 0, 1, 2, 3; 0 where the block failed
    """

    failed: NDArray[np.bool_]
    logical: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Code:
    """A code with its encoding circuit. Made by `code`, once for each name, and equal only to itself.

    encoder: gates that turn data on the qubits `data`, and |0> on all others, into the encoded state
    detects: whether errors beyond losses are only detected, and end in a heralded failure
    parity: (n, m) of a quantum parity code, else None
    """

    name: str
    stabilizers: StabilizerCode
    encoder: tuple[Gate, ...]
    data: tuple[int, ...]
    detects: bool = False
    parity: tuple[int, int] | None = None

    @property
    def physical_per_block(self) -> int:
        """Photons in a block."""
        return self.stabilizers.qubits

    @property
    def qubits_per_block(self) -> int:
        """Logical qubits in a block."""
        return self.stabilizers.logical_qubits

    @property
    def encode_layers(self) -> int:
        """Layers of two-qubit gates that the encoder takes; gates on one qubit are not counted."""
        depth = [0] * self.physical_per_block
        for gate in self.encoder:
            if len(gate.qubits) == 2:
                first, second = gate.qubits
                depth[first] = depth[second] = max(depth[first], depth[second]) + 1
        return max(depth)

    def logical_channel(
        self, survival: float, pauli_weights: Sequence[float] | Sequence[Sequence[float]] = NOISELESS
    ) -> LogicalChannel:
        """The channel that is left of a fiber; computed once for each set of arguments.

        Args:
            survival: probability that a photon arrives.
            pauli_weights: of I, X, Y, Z on a photon that does; or four for each photon of a block, in order.

        Raises:
            ValueError: no probabilities; or noise on a parity code with more than `parity_codes.MOST_OUTCOMES`
                different outcomes, or that differs among its photons where it has more than `MOST_UNLIKE`.
        """
        if not 0.0 <= survival <= 1.0:
            raise ValueError(f"survival: {survival!r} given, expected a number from 0 to 1")
        if np.ndim(pauli_weights) < 2:
            return _logical_channel(self, float(survival), _distribution(pauli_weights))  # type: ignore[arg-type]
        if len(pauli_weights) != self.physical_per_block:
            raise ValueError(
                f"pauli_weights: given for {len(pauli_weights)} photons, expected {self.physical_per_block}"
            )
        if self.parity is not None and self.physical_per_block > MOST_UNLIKE:
            raise ValueError(
                f"code: {self.name} given, expected the same t1_s and t2_s at both ends, as its photons wait there, or "
                f"at most {MOST_UNLIKE} photons a block"
            )
        return _logical_channel(self, float(survival), tuple(map(_distribution, pauli_weights)))  # type: ignore[arg-type]

    def sample(self, blocks: int, survival: float, weights: PhotonWeights, rng: np.random.Generator) -> Sample:
        """Draw what happens to each of `blocks`, from the exact distribution: one uniform number a block.

        Raises:
            ValueError: as `logical_channel`.
        """
        channel = self.logical_channel(survival, weights)
        edges = np.cumsum(np.concatenate([[channel.failure], channel.success * channel.weights]))
        # Where the last weights are 0 the edges before them are 1 exactly, so rounding draws none of them.
        outcome = np.searchsorted(significant(edges / edges[-1]), rng.random(blocks), side="right")
        failed = outcome == 0
        joint = np.where(failed, 0, outcome - 1)
        shifts = 2 * np.arange(self.qubits_per_block - 1, -1, -1)
        return Sample(failed, joint[:, None] >> shifts & 3)


def _distribution(pauli_weights: Sequence[float]) -> tuple[float, ...]:
    weights = tuple(float(weight) for weight in pauli_weights)
    whole = exact_sum(weights)
    if len(weights) != 4 or not (min(weights) >= 0.0 and abs(whole - 1.0) <= 1e-9):
        raise ValueError(f"pauli_weights: {weights!r} given, expected four probabilities that sum to 1")
    return tuple(weight / whole for weight in weights)


@lru_cache(maxsize=1024)
def _logical_channel(coded: Code, survival: float, pauli_weights: PhotonWeights) -> LogicalChannel:
    if coded.parity is None or isinstance(pauli_weights[0], tuple):
        failure, weights = decode(coded.stabilizers, survival, pauli_weights, coded.detects)
    else:
        failure = 1.0 - parity_success(*coded.parity, survival)
        weights = parity_weights(*coded.parity, survival, pauli_weights)
    total = float(weights.sum())
    weights = weights / total if total > 0.0 else np.eye(1, len(weights))[0]
    weights.flags.writeable = False
    return LogicalChannel(
        min(failure, 1.0), weights, coded.physical_per_block, coded.qubits_per_block, coded.encode_layers
    )


def best_qpc(survival: float, max_n: int = 12, max_m: int = 12) -> Code:
    """The parity code of at most max_n rows and max_m columns that a block survives most often.

    Of codes alike to 1e-12, the one with the fewest photons.

    Raises:
        ValueError: a survival outside [0, 1] or a bound below 1.
    """
    if not 0.0 <= survival <= 1.0:
        raise ValueError(f"survival: {survival!r} given, expected a number from 0 to 1")
    if min(max_n, max_m) < 1 or max_n * max_m > MOST_PHOTONS:
        raise ValueError(f"best_qpc: up to {max_n} x {max_m} asked for, expected 1 to {MOST_PHOTONS} photons")
    sizes = [(n, m) for n in range(1, max_n + 1) for m in range(1, max_m + 1)]
    success = {size: parity_success(*size, survival) for size in sizes}
    most = max(success.values())
    return code(min((size for size in sizes if success[size] >= most - 1e-12), key=math.prod))


def code(name: str | tuple[int, int]) -> Code:
    """The code of this name: "[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]", "qpc(n,m)", or (n, m) for the last.

    Raises:
        ValueError: no such code, or a parity code of more than `MOST_PHOTONS` photons.
    """
    if not isinstance(name, str):
        n, m = name
        return _code(f"qpc({n},{m})")
    return _code("".join(name.split()).lower())


@lru_cache(maxsize=1024)
def _code(name: str) -> Code:
    if name in _SMALL:
        return _SMALL[name]
    size = re.fullmatch(r"qpc\(([1-9]\d{0,3}),([1-9]\d{0,3})\)", name)
    if size is None:
        raise ValueError(f"code: {name!r} given, expected one of {', '.join(sorted(_SMALL))} or qpc(n,m)")
    rows, columns = int(size[1]), int(size[2])
    if rows * columns > MOST_PHOTONS:
        raise ValueError(f"code: {name} given, expected at most {MOST_PHOTONS} photons, it has {rows * columns}")
    return Code(
        name, parity_stabilizers(rows, columns), parity_encoder(rows, columns), (0,), parity=(rows, columns)
    )


def _gates(text: str) -> tuple[Gate, ...]:
    """Gates from text such as "h:0 cnot:0,1"."""
    parts = (word.split(":") for word in text.split())
    return tuple(Gate(name, tuple(int(qubit) for qubit in qubits.split(","))) for name, qubits in parts)


_SMALL = {
    "[[4,2,2]]": Code(
        "[[4,2,2]]",
        stabilizer_code("XXXX ZZZZ", logical_x="XXII XIXI", logical_z="ZIZI ZZII"),
        # With c the |+>: (a+b+c, a+c, b+c, c), which is X1**a X2**b (XXXX)**c on |0000>.
        _gates("h:3 cnot:3,1 cnot:2,0 cnot:1,0 cnot:3,2"),
        data=(1, 2),
        detects=True,
    ),
    "[[5,1,3]]": Code(
        "[[5,1,3]]",
        stabilizer_code("XZZXI IXZZX XIXZZ ZXIXZ", logical_x="XXXXX", logical_z="ZZZZZ"),
        # A cat state in the X basis, then a ring of CZ, is this code except for the names of the letters.
        _gates(
            "h:0 s:0 h:1 h:2 h:3 h:4 cnot:1,0 cnot:2,0 cnot:3,1 cnot:4,0 cz:1,2 cz:4,0 cz:2,3 cz:0,1 cz:3,4 "
            "s:0 s:1 s:2 s:3 s:4 h:0 h:1 h:2 h:3 h:4"
        ),
        data=(0,),
    ),
    "[[7,1,3]]": Code(
        "[[7,1,3]]",
        stabilizer_code(
            "IIIXXXX IXXIIXX XIXIXIX IIIZZZZ IZZIIZZ ZIZIZIZ", logical_x="XXXXXXX", logical_z="ZZZZZZZ"
        ),
        # Found by search: 9 gates, where the generators one by one take 11.
        _gates(
            "h:0 h:2 h:6 cnot:2,3 cnot:0,2 cnot:3,4 cnot:6,5 cnot:4,5 cnot:6,1 cnot:2,6 cnot:5,2 cnot:0,4"
        ),
        data=(4,),
    ),
}
