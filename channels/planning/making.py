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

    fidelity: of a pair when its herald is there, after the decay in the memories at both ends; where pairs are handed
        over at deadlines, the mean of what is, with the states that take the place of pairs that were not made
    success_probability: of one attempt, false heralds included
    pairs_hz: pairs a second of all memory slots together, where none waits to be used; deliveries, if there are
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
    slots, delivery = line.transport.memory_slots, line.transport.delivery
    if delivery is not None:
        bell = delivery.bell(scheme, **constants, use_ps=line.sender_gates.bell_whole_ps)
        return Making(float(bell[0]), scheme.success_probability, slots * PS_PER_S / delivery.every_ps)
    age_ps = np.array([scheme.age_ps], dtype=np.int64)
    bell = decayed_bell(fresh_elements(scheme, **constants), age_ps, age_ps, **constants)[0]
    return Making(float(bell[0]), scheme.success_probability, slots * PS_PER_S / mean_ps(scheme))
