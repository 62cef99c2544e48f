"""Forward and backward features over the network: |Φ> for any unitary of any party (THEORY §4).

The circuit's layers belong to many parties; what one party applies at one visit of the path is a unitary.
For the one at visit v the register goes from the start to v as in inference; v's owner adds an ancilla in
|+> and applies its unitary under the ancilla's control; the register and the ancilla go on to the end of
the path, where 2Π - 1 acts under the ancilla's control, and back to v, every party undoing what it did.
What is there then is |Φ>, from which the owner reads all derivatives by its own parameters. Every crossing
counts: v of n qubits, and 2 (last - v) of n + 1.

Contractions stay coherent: each has a flag qubit, all of which join the register at its start, in |0>, and
Π asks that they end there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.errors import ScenarioError
from ketwire.protocols.gradient.outline import derivable
from ketwire.protocols.gradient.reading import Reader
from ketwire.protocols.inference import input_state
from ketwire.protocols.layers import Part, Step, build_layers
from ketwire.protocols.node import Json, Kept, Loader, Node, Procedure, Stock
from ketwire.protocols.stream import Batch
from ketwire.quantum.circuits import Circuit, Contraction, joined
from ketwire.quantum.controlled import beside, controlled
from ketwire.quantum.gradients import features
from ketwire.quantum.gradients.estimation import Estimate, Estimator, Held, Promise
from ketwire.quantum.gradients.exact import exact_gradients
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.observables import Projector
from ketwire.quantum.segments import Segment, pieces

Floats = NDArray[np.float64]
NO_PARAMETERS = np.zeros(0)


@dataclass(frozen=True)
class Route:
    """Where the register of |Φ> goes, for the unitary at one visit of a path of parties."""

    path: tuple[str, ...]
    visit: int
    qubits: int

    @cached_property
    def stations(self) -> tuple[int, ...]:
        """The visit of the circuit at each visit of the register: there, and back to the owner."""
        last = len(self.path) - 1
        return (*range(last + 1), *range(last - 1, self.visit - 1, -1))

    @property
    def parties(self) -> tuple[str, ...]:
        """The party at each visit of the register."""
        return tuple(self.path[station] for station in self.stations)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Qubits on each crossing."""
        return tuple(self.qubits + (place >= self.visit) for place in range(len(self.stations) - 1))


@dataclass
class Share:
    """What one party holds of the circuit: a unitary for each of its visits, with its parameters.

    qubits: of the register, flags included. trainable: which parameters of a visit may move. counts: how many
        parameters each layer of a visit has
    """

    path: tuple[str, ...]
    qubits: int
    projector: Projector
    segments: dict[int, Segment]
    trainable: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    counts: dict[int, list[int]] = field(default_factory=dict)

    def with_parameters(self, visit: int, parameters: Floats) -> None:
        """Move this party's own parameters."""
        self.segments[visit] = Segment(self.segments[visit].circuit, parameters)


def share_of(part: Part, load: Loader) -> Share:
    """A party's share of the circuit, from what its slice tells of it.

    Each layer says by `flag` which flag qubit a contraction has, and by `trainable` whether its angles move.

    Raises:
        ScenarioError: what a layer holds does not fit the register.
    """
    bare, total = part.qubits, part.qubits + part.flags
    segments, trainable, counts = {}, {}, {}
    for visit, specs in part.visits.items():
        parts, parameters = [Circuit(total, ())], [NO_PARAMETERS]
        moves = [np.zeros(0, dtype=np.bool_)]
        steps = [derivable(spec, build_layers([spec], bare, load)[0]) for spec in specs]
        for spec, step in zip(specs, steps, strict=True):
            parts.append(_coherent(step, bare, total, spec))
            parameters.append(step.parameters)
            moves.append(np.full(len(step.parameters), bool(spec.get("trainable", True))))
        counts[visit] = [len(step.parameters) for step in steps]
        segments[visit] = Segment(joined(parts), np.concatenate(parameters))
        trainable[visit] = np.concatenate(moves)
    projector = Projector(0, flags=tuple(range(bare, total)))
    return Share(part.path, total, projector, segments, trainable, counts)


def _coherent(step: Step, bare: int, total: int, spec: dict[str, Json]) -> Circuit:
    """A step on the register with its flags, which follow it."""
    if isinstance(step.operation, Contraction):
        return Circuit(total, (step.operation.gate(bare + int(spec["flag"]), range(bare)),))
    return step.operation.on(total, range(bare))


def exact_derivatives(shares: Sequence[Share], inputs: States) -> dict[int, Floats]:
    """∂<Π> by all angles that may move, by visit, float64, shape (angles,), from the shares of all parties together.

    inputs: the state that the path starts with, complex128, shape (1, 2**n), flags included.
    """
    segments = {
        visit: frozen(segment, share.trainable[visit]) for share in shares for visit, segment in share.segments.items()
    }
    visits = sorted(segments)
    found = exact_gradients([segments[visit] for visit in visits], inputs, shares[0].projector)
    return {visit: part[0] for visit, part in zip(visits, found, strict=True)}


def input_of(part: Part, load: Loader) -> States | None:
    """At the party that starts: the input's state with its flags in |0>, shape (1, 2**n); None elsewhere."""
    return with_flags(input_state(part.input, part.qubits, load), part.flags) if part.starts else None


def with_flags(states: States, flags: int) -> States:
    """Each row with `flags` qubits in |0> after its own."""
    wide = np.zeros((len(states), states.shape[1] << flags), dtype=np.complex128)
    wide[:, :: 1 << flags] = states
    return wide


_controlled = lru_cache(maxsize=256)(controlled)
_beside = lru_cache(maxsize=256)(beside)
_turn = lru_cache(maxsize=16)(features.turn)


def run_circuit(node: Node, circuit: Circuit, copies: Copies, parameters: Floats) -> Copies:
    """Apply a circuit, a long one piece by piece; consumes `copies`."""
    for piece in pieces(circuit):
        copies = node.apply(piece, copies, parameters)
    return copies


class FeatureStage:
    """One party's part in making |Φ> of the unitary at `route.visit`, a `Stage` of `run_stream`.

    inputs: at the first party, the states of all items, complex128, shape (items, 2**n), flags included.
    At the owner `stocks` has the copies in the end; or its `reader` has read them when they came.
    """

    def __init__(self, share: Share, route: Route, inputs: States | None = None, reader: Reader | None = None) -> None:
        self._share, self._route, self._inputs, self._reader = share, route, inputs, reader
        self.stocks: list[Stock] = []

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._inputs is not None
        return node.prepare(self._inputs[batch.items], batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        route, turning = self._route, len(self._share.path) - 1
        station = route.stations[visit]
        segment = self._share.segments.get(station)
        circuit, values = (segment.circuit, segment.values) if segment is not None else (None, NO_PARAMETERS)
        if visit < route.visit:
            return copies if circuit is None else run_circuit(node, circuit, copies, values)
        if visit == route.visit:
            copies = node.attach(copies)
            if circuit is not None:
                copies = run_circuit(node, _controlled(circuit), copies, values)
        elif visit <= turning and circuit is not None:
            copies = run_circuit(node, _beside(circuit), copies, values)
        if visit == turning:
            copies = node.apply(_turn(self._share.qubits, self._share.projector), copies, NO_PARAMETERS)
        undoing = visit >= turning and station > route.visit
        return run_circuit(node, _beside(circuit).inverse(), copies, values) if undoing and circuit else copies

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        """Keep the copies: they are measured together when all are there. Nothing is counted here."""
        if self._reader is not None:
            self._reader.read(node, copies, groups, keep)
            return np.zeros((1, 1), dtype=np.int64)
        self.stocks.append(node.collect(copies, groups, keep))
        return np.zeros((1, 1), dtype=np.int64)

    def read(self, node: Node, samples: int, estimator: Estimator, promise: Promise) -> Estimate:
        """The owner's derivatives for each sample, from all copies that came.

        Raises:
            ScenarioError: the estimator needs more copies than there are.
        """
        if self._reader is not None:
            return self._reader.estimate()
        segment = self._share.segments[self._route.visit]
        procedure: Procedure = partial(_estimated, estimator, segment, promise)
        stocks, self.stocks = self.stocks, []
        return node.examine(stocks, samples, procedure, peek=estimator.name == "exact")


def reader_at(
    node: Node, share: Share, route: Route, estimator: Estimator, samples: int, copies: int
) -> Reader | None:
    """What reads the copies of a stream when they come, where `node` is their owner and reads imperfectly."""
    if route.path[route.visit] != node.name or node.reads_perfectly:
        return None
    return Reader(node, estimator, share.segments[route.visit], samples, copies)


def _estimated(
    estimator: Estimator, segment: Segment, promise: Promise, held: Held, rng: np.random.Generator
) -> Estimate:
    return estimator.estimate(held, segment, promise, rng)


def refuse_large(estimator: Estimator, segment: Segment, key: str) -> None:
    """Refuse a unitary that an estimator's hypothesis is too large for."""
    most = getattr(estimator, "most_qubits", None)
    if most is not None and segment.qubits > most:
        raise ScenarioError(f"{key}: {estimator.name} given, expected at most {most} qubits, not {segment.qubits}")


def parties_with_parameters(share: Share) -> Sequence[int]:
    """Visits of this share whose unitaries have parameters that may move."""
    return [visit for visit, moves in share.trainable.items() if moves.any()]
