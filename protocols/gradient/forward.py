"""One party's part in a whole inference of many samples, as trainings and the parameter-shift rule use it.

An inference takes each sample's register forward through all layers to the last party, which estimates
<Z0> (with contractions: 2Π - 1); shifted inferences (`ketwire.protocols.gradient.shifts`) are nothing else. What makes
|Φ> is in `ketwire.protocols.gradient.features`.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.protocols.gradient.features import NO_PARAMETERS, Share, run_circuit
from ketwire.protocols.node import Kept, Node, Setting, Stock
from ketwire.protocols.stream import Batch
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Estimate, Held
from ketwire.quantum.observables import Projector

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class ForwardStage:
    """One party's part in an inference of many samples, a `Stage` of `run_stream`.

    inputs: at the first party, complex128, shape (samples, 2**n), flags included. With `peek` the last
    party reads expectation values, of what its readout reports, which no laboratory can: for references alone.
    """

    def __init__(self, share: Share, samples: int, inputs: States | None = None, peek: bool = False) -> None:
        self._share, self._samples, self._inputs, self._peek = share, samples, inputs, peek
        self._stocks: list[Stock] = []
        self._laws: Floats | None = None

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._inputs is not None
        return node.prepare(self._inputs[batch.items], batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        segment = self._share.segments.get(visit)
        return copies if segment is None else run_circuit(node, segment.circuit, copies, segment.values)

    def measure(self, node: Node, copies: Copies, groups: Integers, keep: Kept) -> Integers:
        if not self._peek:
            return node.measure(copies, self._share.projector, groups, self._samples, keep)
        if not node.reads_perfectly:
            setting = Setting(Circuit(self._share.qubits, ()), self._share.projector)
            first = np.zeros(self._samples, dtype=np.int64)
            alike = np.broadcast_to(first[:, None], (self._samples, len(copies)))
            (law,) = node.measure_in([setting], NO_PARAMETERS, alike, first, copies, groups, keep, peek=True)
            self._laws = law if self._laws is None else self._laws + law
            return np.zeros((1, 1), dtype=np.int64)
        self._stocks.append(node.collect(copies, groups, keep))
        return np.zeros((1, 1), dtype=np.int64)

    def read(self, node: Node, counts: Integers) -> Floats:
        """At the last party: <2Π - 1> of each sample, estimated from its outcomes; float64, shape (samples,)."""
        told = counts if self._laws is None else self._laws
        if not self._peek or self._laws is not None:
            return np.asarray((told[:, 0] - told[:, 1]) / told.sum(axis=1))
        stocks, self._stocks = self._stocks, []
        procedure = partial(_expected, self._share.projector)
        return node.examine(stocks, self._samples, procedure, peek=True).values[:, 0]


def _expected(projector: Projector, held: Held, rng: np.random.Generator) -> Estimate:
    """<2Π - 1> of the copies held, without sampling."""
    inside = projector.probabilities(held.states)[:, :1]
    return Estimate(held.gather((2 * inside - 1) * held.counts[:, None]) / held.totals[:, None], 0 * held.totals)
