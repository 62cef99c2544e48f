"""How many owners load one register: each the amplitudes of its own nodes, and none hears another's.

The register is x' = (x_1, x_2, .., s) over its norm. The first owner prepares x_1 and leaves the amplitude of all the
rest on one basis state, that of the constant. The next turns that amplitude into its own part and what then is left,
by a reflection in the plane of both; and so on, until the last leaves s. Owners need the norms of parts, no features.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ketwire.quantum.circuits import Circuit
from ketwire.quantum.layers import householder

Floats = NDArray[np.float64]


def first_state(part: Floats, rest: float, place: int) -> NDArray[np.complex128]:
    """What the first owner prepares.

    Args:
        part: its amplitudes over the whole register, zeros where others have theirs, shape (2**n,), before norming.
        rest: the norm of all that is not its own.
        place: of the constant, where the amplitude of the rest stands.

    Returns:
        A unit vector, complex128, shape (2**n,).
    """
    return np.asarray(_with_rest(part, rest, place), dtype=np.complex128)


def turn(part: Floats, rest: float, place: int) -> Circuit | None:
    """What another owner does: it takes the basis state `place` to its part beside what is left; None for no part.

    Arguments as for `first_state`; the norm of its part and the rest is that of the amplitude that it finds.
    """
    if not part.any():
        return None
    wanted = _with_rest(part, rest, place)
    wanted[place] -= 1.0  # the reflection's axis; the wanted vector and the basis state have the same norm
    return householder(wanted)


def _with_rest(part: Floats, rest: float, place: int) -> Floats:
    vector = np.array(part, dtype=np.float64)
    vector[place] = rest
    return vector / math.hypot(float(np.linalg.norm(part)), rest)
