"""How coherences fade in a memory: exponentially, or as a Gaussian, as where slow noise shifts a frequency.

A T2 says which: a plain number of an exponential decay, e^(-t/T2) in all; a `Gaussian` of phases that are lost as
e^(-(t/T2)²), beside what relaxation takes, e^(-t/(2 T1)). A Gaussian has a memory of its own: each stretch of waiting
begins from the start.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


class Gaussian(float):
    """The T2 of phases that are lost as a Gaussian, in ps."""


def dephased(times_ps: ArrayLike, t1_ps: float, t2_ps: float) -> Any:
    """x for coherences that shrink by e^-x after waiting `times_ps`, of any shape: relaxation included."""
    times = np.asarray(times_ps, dtype=np.float64)
    if isinstance(t2_ps, Gaussian):
        return times / (2.0 * t1_ps) + (times / t2_ps) ** 2
    return times / t2_ps
