"""Inference by amplitude estimation: copies that bounce along the path, 1/epsilon uses of it instead of 1/epsilon².

A shot with k Grover steps goes from the start to the end of the path, where 2Π - 1 reflects it, back, every party
undoing what it did, to the start, where 1 - 2|ψ><ψ| reflects it, forward again, and so k times over: (2k+1) times
the crossings of an inference. Then the last party asks for Π, which shots with k steps have with probability
sin²((2k+1)θ), <Π> = sin²θ. It drives the estimation (`quantum.amplitude`) and tells all others, repeaters included,
how many shots with how many steps come next; the first request is public, and one of no shots is the end.

Contractions stay coherent: their flags start in |0>, travel along, and Π asks that they end there; ψ has them in |0>.
Source: Brassard, Høyer, Mosca, Tapp 2002 (arXiv quant-ph/0005055); THEORY of this project, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError
from ketwire.protocols.gradient.features import Share, input_of, run_circuit, share_of
from ketwire.protocols.layers import Part
from ketwire.protocols.node import Kept, Loader, Node, Outcome, Shape
from ketwire.protocols.repeaters import Supplies
from ketwire.protocols.stream import Batch, Passage, StreamPlan, report_hops, run_stream
from ketwire.quantum.amplitude import AmplitudeEstimation, Progress, Shots
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.quantum.layers import householder
from ketwire.quantum.observables import Projector

REQUEST_BITS = 32  # of each of the two numbers of a request
NO_PARAMETERS = np.zeros(0)


def stations(visits: int, power: int) -> tuple[int, ...]:
    """The visit of the circuit at each visit of a shot with `power` Grover steps: there, and to and fro."""
    there = range(visits)
    return (*there, *(station for _ in range(power) for station in (*reversed(there[:-1]), *there[1:])))


def reflection(qubits: int, projector: Projector) -> Circuit:
    """2Π - 1."""
    touched = (projector.qubit, *projector.flags)
    entries = np.full(1 << len(touched), -1.0)
    entries[0] = 1.0
    return Circuit(qubits, (Gate("diagonal", touched, payload=entries),))


class BounceStage:
    """One party's part in shots with `power` Grover steps.

    inputs: at the first party, ψ with its flags, (1, 2**qubits).
    """

    def __init__(self, share: Share, power: int, inputs: States | None) -> None:
        self._share, self._power, self._inputs = share, power, inputs
        self._last = len(share.path) - 1
        self._about_input = None if inputs is None else householder(inputs[0])
        self._about_projector = reflection(share.qubits, share.projector)

    def prepare(self, node: Node, batch: Batch) -> Copies:
        assert self._inputs is not None
        return node.prepare(self._inputs[batch.items], batch.counts)

    def transform(self, node: Node, visit: int, copies: Copies) -> Copies:
        if self._last == 0:  # all of it at one visit of one party
            copies = self._forward(node, 0, copies)
            for _ in range(self._power):
                copies = self._at_start(node, self._at_end(node, copies))
            return copies
        leg, along = divmod(visit, self._last)
        station = self._last - along if leg % 2 else along
        if along == 0 and leg > 0:  # where the last leg ended and this one begins
            if leg % 2 == 0:
                return self._at_start(node, copies)
            copies = self._forward(node, self._last, copies)
            return copies if leg == 2 * self._power + 1 else self._at_end(node, copies)
        return self._back(node, station, copies) if leg % 2 else self._forward(node, station, copies)

    def measure(
        self, node: Node, copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        return node.measure(copies, self._share.projector, groups, 1, keep)

    def _at_end(self, node: Node, copies: Copies) -> Copies:
        return self._back(node, self._last, node.apply(self._about_projector, copies, NO_PARAMETERS))

    def _at_start(self, node: Node, copies: Copies) -> Copies:
        assert self._about_input is not None
        if self._last:
            copies = self._back(node, 0, copies)
        return self._forward(node, 0, node.apply(self._about_input, copies, NO_PARAMETERS))

    def _forward(self, node: Node, station: int, copies: Copies) -> Copies:
        segment = self._share.segments.get(station)
        return copies if segment is None else run_circuit(node, segment.circuit, copies, segment.values)

    def _back(self, node: Node, station: int, copies: Copies) -> Copies:
        segment = self._share.segments.get(station)
        return copies if segment is None else run_circuit(node, segment.circuit.inverse(), copies, segment.values)


@dataclass(frozen=True)
class AmplitudeSlice:
    """A party's part of the circuit, and the plan of the session.

    plan: of shots without a step, as plain sampling has them. back: the way from the end to the start
    most_power: Grover steps of a shot at most; None for no limit
    """

    part: Part
    plan: StreamPlan
    back: Passage
    epsilon: float
    delta: float
    most_power: int | None


@dataclass(frozen=True)
class AmplitudeFound(Outcome):
    """The estimate, its interval, how often the circuit was used, and each request: power, shots, successes."""

    estimate: float
    low: float
    high: float
    uses: int
    attempted: int
    needed: float
    requests: list[list[int]]


@dataclass(frozen=True)
class SampledFound(Outcome):
    """How many of the copies had the outcome that counts, and how many were emitted."""

    zeros: int
    copies: int
    attempted: int


class _Bouncing:
    """What one party holds, and the plan of a stream of shots."""

    Slice: ClassVar[type[AmplitudeSlice]] = AmplitudeSlice

    def __init__(self, slice: AmplitudeSlice, load: Loader) -> None:
        self.told = slice
        self.share = share_of(slice.part, load)
        self.inputs = input_of(slice.part, load)
        self.shapes = {"qubits": Shape(slice.part.qubits, "protocol.qubits")}
        self.supplies = Supplies()

    def plan(self, shots: Shots) -> StreamPlan:
        plan, back, path = self.told.plan, self.told.back, self.share.path
        there = plan.passage
        passage = Passage(
            there.survival ** (shots.power + 1) * back.survival**shots.power,
            there.certain and (back.certain or not shots.power),
            (shots.power + 1) * there.round_copies + shots.power * back.round_copies,
            (*there.chains, *((*back.chains, *there.chains) * shots.power)),
        )
        stops = tuple(path[station] for station in stations(len(path), shots.power))
        return replace(plan, path=stops, passage=passage, want=shots.count)

    async def shoot(self, node: Node, shots: Shots) -> tuple[int, float, int]:
        """Run the shots: how many were emitted, how many had to be, and at the last party how many succeeded."""
        stage = BounceStage(self.share, shots.power, self.inputs) if node.name in self.share.path else None
        tally = await run_stream(node, self.plan(shots), stage, self.supplies)
        hits = 0 if tally.counts is None else int(tally.counts[0, 0])
        return int(tally.attempted[0]), tally.needed, hits


class SampledParty(_Bouncing):
    """Plain sampling beside: shots without a step."""

    Outcome = SampledFound

    async def run(self, node: Node) -> SampledFound | None:
        shots = Shots(0, self.told.plan.want)
        if not self.plan(shots).has_part(node.name):
            return None
        attempted, _, hits = await self.shoot(node, shots)
        if node.name != self.share.path[-1]:
            return None
        return SampledFound(hits, shots.count, attempted, known_ps=node.read_ps)


class AmplitudeParty(_Bouncing):
    """Any party of an estimation; the last of the path drives it."""

    Outcome = AmplitudeFound

    @property
    def _most_power(self) -> int:
        """No shot has more Grover steps: K = 4k + 2 is pi over an interval's width at most, which ends at 2 epsilon."""
        most = self.told.most_power
        return math.ceil(math.pi / (8.0 * self.told.epsilon)) if most is None else most

    async def run(self, node: Node) -> AmplitudeFound | None:
        told, path = self.told, self.share.path
        progress = AmplitudeEstimation(told.epsilon, told.delta, told.most_power).start()
        shots = progress.request
        hops = report_hops(path, (*told.plan.passage.chains, *told.back.chains))
        if not self.plan(Shots(1, 1)).has_part(node.name):
            return None
        attempted, needed, done = 0, 0.0, []
        while shots.count:
            emitted, mean, hits = await self.shoot(node, shots)
            attempted, needed = attempted + emitted, needed + mean
            done.append([shots.power, shots.count, hits])
            if node.name == path[-1]:
                progress = progress.told(hits)
                shots = Shots(0, 0) if progress.done else progress.request
            shots = await self._share_request(node, hops, shots)
        return _found(progress, attempted, needed, done, node.read_ps) if node.name == path[-1] else None

    async def _share_request(self, node: Node, hops: Sequence[tuple[str, str]], shots: Shots) -> Shots:
        """What comes next, from the last party to all."""
        for listener, teller in hops:
            if listener == node.name:
                values = (await node.receive(teller, Answers)).values.tolist()
                if len(values) != 2 or min(values) < 0 or values[0] > self._most_power:
                    raise RemoteProtocolError(f"{teller} asked for shots {values}, expected a power and a count")
                shots = Shots(*values)
            elif teller == node.name:
                await node.send(listener, Answers(np.array([shots.power, shots.count]), REQUEST_BITS))
        return shots


def _found(
    progress: Progress, attempted: int, needed: float, done: list[list[int]], known_ps: int
) -> AmplitudeFound:
    low, high = progress.interval
    return AmplitudeFound(
        progress.estimate, low, high, progress.uses, attempted, needed, done, known_ps=known_ps
    )
