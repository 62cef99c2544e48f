"""Reading copies of |Φ> one by one, at an owner whose gates and readouts take time or err.

Where an owner reads perfectly, its copies are collected and measured together when all are there
(`ketwire.protocols.gradient.features`): nothing tells the difference. Elsewhere each is read when it comes, with the
circuit of its block on the owner's own processor, before the next one gets its turn. Which copy is read how is
drawn before any has come.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.protocols.node import Kept, Node, Setting
from ketwire.quantum.gradients.estimation import Estimate, Estimator
from ketwire.quantum.gradients.readings import readings_of
from ketwire.quantum.segments import Segment

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Reader:
    """Reads `copies` copies of |Φ> of each of `samples` samples, as an estimator does with stated circuits.

    The estimator `exact` peeks: it sums how likely each outcome was to be reported, of all blocks and each copy,
    which takes the time of reading one. Others have a copy for each of their circuits, at the least.
    """

    def __init__(self, node: Node, estimator: Estimator, segment: Segment, samples: int, copies: int) -> None:
        self._segment, self._peek = segment, estimator.name == "exact"
        self._readings = readings_of(estimator, segment.circuit)
        assert self._peek or self._readings.at_random or copies >= len(self._readings.parts)
        self._settings = [Setting(reading.circuit, reading.observable) for reading in self._readings.parts]
        self._choice = self._readings.choose(samples, copies, node.random("choice"))
        self._seen = np.zeros(samples, dtype=np.int64)
        self._counts = [np.zeros((samples, setting.observable.outcomes)) for setting in self._settings]

    def read(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> None:
        """Read the copies in `keep`; groups: the sample of each copy, ascending."""
        counts = node.measure_in(
            self._settings, self._segment.values, self._choice, self._seen, copies, groups, keep, peek=self._peek
        )
        self._seen = self._seen + keep.taken
        self._counts = [before + more for before, more in zip(self._counts, counts, strict=True)]

    def estimate(self) -> Estimate:
        """The derivatives of each sample, from all that was read."""
        used = np.zeros_like(self._seen) if self._peek else self._seen
        return Estimate(self._readings.estimate(self._counts, self._seen).values, used)
