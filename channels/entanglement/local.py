"""Operations on halves of pairs at the nodes that hold them: what their errors do to pairs.

*A Bell measurement* is a controlled NOT, a Hadamard gate on its control and the readout of both qubits. Each gate
depolarizes its qubits, as those of registers do (`quantum.noise.noisy`), and each bit is read wrongly with the
probabilities of the node. A depolarized qubit is read as a random bit and leaves the others alone, so every error
makes the reported outcome differ from the true one by a Pauli, and the pair or qubit that is corrected by it has that
Pauli as an error. The outcomes of a pair by its Bell diagonal are uniform, so where a 0 and a 1 are not read alike
their mean counts. `tests/channels/entanglement/test_local.py` has all this as density matrices of the whole chain.

*A correction* is one gate on one qubit, whatever the outcome. Swaps need none: their outcomes go on as a Pauli frame.

All weights are in the order of Bell labels, (I, Y, X, Z) on one half, in which the product of two is the XOR of their
indices (`pairs`).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.pairs import XOR, pauli_of_teleportation
from ketwire.channels.parts import Gates, Medium

Floats = NDArray[np.float64]


@lru_cache(maxsize=256)
def bell_errors(gates: Gates) -> Floats:
    """How likely the reported outcome of a Bell measurement is off by I, Y, X, Z; float64, shape (4,), read-only."""
    flips_x = sum(gates.p_readout) / 2.0  # the target's bit, which tells the X of the correction
    random = gates.p_gate1 / 2.0  # the control's bit is random where its Hadamard gate erred
    flips_z = random + flips_x - 2.0 * random * flips_x
    right_x, right_z = 1.0 - flips_x, 1.0 - flips_z
    read = np.array([right_x * right_z, flips_x * flips_z, flips_x * right_z, right_x * flips_z])
    return _frozen(_depolarized(read, gates.p_gate2))


@lru_cache(maxsize=256)
def teleport_errors(sender: Gates, receiver: Gates) -> Floats:
    """Of a teleportation: the sender's Bell measurement, then the receiver's correction; as `bell_errors`."""
    return _frozen(_depolarized(bell_errors(sender), receiver.p_gate1))


def crossing_weights(bell: Floats, line: Medium) -> Floats:
    """The Pauli channel of a qubit that is teleported over a line through pairs with these Bell diagonals, (..., 4).

    In the order I, X, Y, Z, as `pauli_of_teleportation`, with the errors of the Bell measurement and of the correction.
    """
    return pauli_of_teleportation(disturbed(bell, teleport_errors(*line.ends)))


def disturbed(bell: Floats, errors: Floats) -> Floats:
    """Bell diagonals after a random Pauli on one half, the XOR convolution; float64, shapes (..., 4) and (4,)."""
    if errors[0] == 1.0:
        return bell
    return np.asarray(sum(bell[..., XOR[k]] * errors[k] for k in range(4)))


def _depolarized(weights: Floats, p: float) -> Floats:
    return (1.0 - p) * weights + p / 4.0


def _frozen(weights: Floats) -> Floats:
    weights.flags.writeable = False
    return weights
