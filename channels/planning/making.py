"""How a link makes pairs, worked out of its description: how good, how likely and how often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ketwire.channels.entanglement.heralding import fresh_elements, mean_ps
from ketwire.channels.entanglement.pairs import decayed_bell
from ketwire.channels.line import Line
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Teleport


class Making(NamedTuple):
    """What a link makes before any distillation.

    fidelity: of a pair when its herald is there, after the decay in the memories at both ends
    success_probability: of one attempt, false heralds included
    pairs_hz: pairs a second of all memory slots together, where none waits to be used
    """

    fidelity: float
    success_probability: float
    pairs_hz: float


def making(line: Line) -> Making:
    """What a line makes that teleports through pairs of its own."""
    assert isinstance(line.transport, Teleport)
    scheme = line.transport.pairs(line)
    (t1_a, t2_a), (t1_b, t2_b) = line.sender.constants, line.receiver.constants
    constants = {"t1_ps": (t1_a, t1_b), "t2_ps": (t2_a, t2_b)}
    age_ps = np.array([scheme.age_ps], dtype=np.int64)
    bell = decayed_bell(fresh_elements(scheme, **constants), age_ps, age_ps, **constants)[0]
    return Making(
        float(bell[0]), scheme.success_probability, line.transport.memory_slots * PS_PER_S / mean_ps(scheme)
    )
