"""The kind `inference`: a circuit whose layers belong to many parties, its loss estimated on the wire."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ketwire.channels.budget import DEFAULT_BUDGET_ATTEMPTS, Crossing, path_survival, refusal, round_copies
from ketwire.channels.copies import MAX_COPIES, MAX_QUBITS
from ketwire.channels.hardware import Hardware
from ketwire.channels.representation import Representation, chosen, differing
from ketwire.channels.representation import refusal as density_refusal
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.numbers import EXACT_BITS
from ketwire.protocols.stream import MAX_BATCH_OCTETS, OCTETS_PER_COPY
from ketwire.quantum.binomial import count_for
from ketwire.scenarios.chains import plan_values
from ketwire.scenarios.inference_rivals import compared, rival_sessions
from ketwire.scenarios.kinds import Judge, Network
from ketwire.scenarios.margin import Margin, margin_of, retried
from ketwire.scenarios.routes import check_width, crossings_of
from ketwire.scenarios.schema import NodeName, Strict, wrong
from ketwire.scenarios.sources import ProgramSource, Source, assumption

Axis = Literal["x", "y", "z"]
Entangler = Literal["none", "cz-chain", "cz-ring", "cnot-chain", "cnot-ring"]


LEAST_EPSILON, LEAST_DELTA = 1e-12, 1e-100
"""Far below what any budget allows; squares of the one and shares of the other are still numbers."""


def refuse_hopeless(epsilon: float | None, delta: float | None) -> None:
    """For validators: a promise for which no copies can be counted."""
    for name, given, least in (("epsilon", epsilon, LEAST_EPSILON), ("delta", delta, LEAST_DELTA)):
        if given is not None and given < least:
            raise wrong(name, given, f"at least {least:g}")


class _Layer(Strict):
    at: NodeName = Field(description="the node that owns this layer and applies it")


class Rotations(_Layer):
    """Pauli rotations on every qubit, then an entangler; `sublayers` times."""

    layer: Literal["rotations"]
    axes: list[Axis] = Field(["y", "z"], min_length=1, max_length=8, description="rotation axes, in order")
    sublayers: int = Field(1, ge=1, le=1000)
    entangle: Entangler = "cz-ring"
    angles: Source = Field(description="sublayers x axes x qubits angles, in radians")


class Phases(_Layer):
    """The diagonal exp(i values_j) on basis state j: data enter as phases."""

    layer: Literal["phases"]
    values: Source = Field(description="2^qubits phases, in radians")


class Unitary(_Layer):
    """A dense unitary or orthogonal matrix."""

    layer: Literal["unitary"]
    matrix: Source = Field(description="a unitary, 2^qubits rows and columns")


class Signs(_Layer):
    """A diagonal of signs."""

    layer: Literal["signs"]
    signs: Source = Field(description="2^qubits numbers, each 1 or -1")


class Hadamards(_Layer):
    """A Hadamard gate on every qubit."""

    layer: Literal["hadamards"]


class Householder(_Layer):
    """The reflection 1 - 2 v v^T / |v|^2."""

    layer: Literal["householder"]
    vector: Source = Field(description="2^qubits numbers, not all zero")


class Contraction(_Layer):
    """A block-encoded matrix; its flag is measured at once, and a copy whose flag fires is dead."""

    layer: Literal["contraction"]
    matrix: Source = Field(description="2^qubits rows and columns, spectral norm at most 1")


class OpenQasm(_Layer):
    """A circuit in OpenQASM 3; its inputs are the layer's parameters. Needs the extra `qasm`."""

    layer: Literal["openqasm"]
    program: ProgramSource = Field(description="a .qasm file that its owner has")
    angles: Source | None = Field(None, description="a value for each input, in radians, in their order")


class Gates(_Layer):
    """Whatever a Python callable of the layer's owner returns."""

    layer: Literal["gates"]
    callable: str = Field(pattern=r"^[\w.]+:[\w.]+$", description="module:name of a function of the number of qubits")
    angles: Source | None = Field(None, description="a value for each parameter that the gates read, in radians")


Layer = Annotated[
    Rotations | Phases | Unitary | Signs | Hadamards | Householder | Contraction | OpenQasm | Gates,
    Field(discriminator="layer"),
]


class DenseState(Strict):
    """The classical rival that sends the whole state at every crossing."""

    bits: list[Annotated[int, Field(ge=1, le=EXACT_BITS)]] = Field(
        [1, 8, EXACT_BITS],
        description="bits for each of the 2 N real numbers of a state, of a real one N; up to 52, or 64",
    )

    @model_validator(mode="after")
    def _exact(self) -> Self:
        refuse_widths("bits", self.bits, 1)
        return self


def refuse_widths(key: str, widths: Sequence[int], least: int) -> None:
    """For validators: a width that comes twice, or that no rounding has."""
    for index, bits in enumerate(widths):
        if 52 < bits < EXACT_BITS or bits in widths[:index]:
            raise wrong(f"{key}.{index}", bits, f"a new width, {least} to 52 or 64")


class InferenceSpec(Strict):
    """Estimate <phi| P0 |phi> of the layers' product on an input that one node holds."""

    kind: Literal["inference"]
    qubits: int = Field(ge=1, le=MAX_QUBITS, description="of the register, at most 26")
    start: NodeName = Field(description="the node that holds the input and prepares the register")
    input: Source | None = Field(None, description="a vector to amplitude-encode; |0...0> where there is none")
    layers: list[Layer] = Field(min_length=1, max_length=1000, description="in the order of their application")
    epsilon: float | None = Field(None, gt=0, lt=1, description="accuracy of the estimate")
    delta: float | None = Field(None, gt=0, lt=1, description="probability that the estimate is off by more")
    copies: int | None = Field(None, ge=1, le=10**9, description="measured copies, instead of epsilon and delta")
    budget_attempts: float = Field(
        DEFAULT_BUDGET_ATTEMPTS, ge=1, le=1e18, description="emitted copies that a run may need"
    )
    max_batch_octets: int = Field(MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies")
    estimation: Literal["sampling", "amplitude"] = Field(
        "sampling", description="measure every copy, or let copies bounce along the path (amplitude estimation)"
    )
    most_power: int | None = Field(
        None, ge=1, le=10**6, description="amplitude: Grover steps of a copy at most; null for what survival allows"
    )
    representation: Literal["auto", Representation] = Field(
        "auto", description="of noisy states: errors drawn copy by copy, or density matrices (8 qubits at most)"
    )
    window: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="copies under way at once; the next begin when the last party has told of these",
    )
    margin: Margin = "auto"
    dense_state: DenseState | None = Field(DenseState(), description="the rival that sends the state; null for none")  # type: ignore[call-arg]
    description: list[Annotated[int, Field(ge=1, le=EXACT_BITS)]] | None = Field(
        None, description="the rival that sends angles, at these bits each; null for 8 where layers are angles"
    )
    sketch: bool | None = Field(
        None, description="the rival that sends signs of shared random projections; null for where it can run"
    )

    @model_validator(mode="after")
    def _accuracy(self) -> Self:
        given = (self.epsilon is not None, self.delta is not None, self.copies is not None)
        if given not in {(True, True, False), (False, False, True)}:
            raise wrong("copies", self.copies, "either epsilon and delta, or copies alone")
        refuse_hopeless(self.epsilon, self.delta)
        refuse_widths("description", self.description or [], 1)
        if self.estimation == "sampling" and self.most_power is not None:
            raise wrong("most_power", self.most_power, "nothing, or estimation: amplitude")
        if self.estimation == "amplitude":
            if self.epsilon is None or self.epsilon >= 0.5:
                raise wrong("epsilon", self.epsilon, "an accuracy below 1/2, which amplitude estimation works by")
            if self.representation == "density":
                raise wrong("representation", self.representation, "trajectories, or estimation: sampling")
            check_width(self.qubits, self.layers, ancilla=False)
        return self

    @property
    def measured_copies(self) -> int:
        if self.copies is not None:
            return self.copies
        assert self.epsilon is not None and self.delta is not None
        return count_for(self.epsilon, self.delta)


WITNESS_OCTETS = 1 << 26  # of density matrices that no two copies share, beyond which --check draws errors too


class Inference:
    """See `ketwire.scenarios.kinds.Kind`."""

    Spec = InferenceSpec

    def sessions(self, spec: InferenceSpec, network: Network) -> Sequence[Session]:
        if spec.estimation == "amplitude":
            made: Sequence[Session] = _amplitude().sessions(spec, network)
            return made
        path, visits = route_of(spec, network)
        _check_memory(spec, path)
        crossings = _crossings(spec, network, path)
        hardware = {party: network.hardware[party] for party in path if party in network.hardware}
        representation = _representation(spec, crossings, hardware)
        common = {
            "path": path,
            "qubits": spec.qubits,
            "copies": spec.measured_copies,
            "survival": path_survival(crossings),
            "certain": path_survival(crossings) == 1.0 and not any(isinstance(x, Contraction) for x in spec.layers),
            "max_batch_octets": spec.max_batch_octets,
            "budget_attempts": int(spec.budget_attempts),
            "representation": representation,
            "shared_rows": representation == "trajectories" or differing(crossings, hardware) is None,
            "window": spec.window,
            "margin": margin_of(spec.margin),
            "round_copies": round_copies(crossings),
            **chains_of(path, crossings),
        }
        slices = {party: slice_of(spec, network, party, path, visits, common) for party in network.parties}
        sessions = [Session("inference", "quantum", "ketwire.protocols.inference:InferenceParty", slices)]
        return [*sessions, *rival_sessions(spec, network, path, visits, slices)]

    def check(self, spec: InferenceSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if spec.estimation == "amplitude":
            _amplitude().check(spec, network, session)
        elif session.role == "quantum":
            path, _ = route_of(spec, network)
            crossings = _crossings(spec, network, path)
            reason = refusal(crossings, spec.measured_copies, int(spec.budget_attempts)) if crossings else None
            if reason is not None:
                raise ScenarioError(f"protocol.copies: {reason}")

    def foreseen(self, spec: InferenceSpec, session: Session) -> Mapping[str, int]:
        """Nothing that `check` looks at is left to data."""
        return {"qubits": spec.qubits}

    def summarise(self, spec: InferenceSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
        if spec.estimation == "amplitude":
            told: dict[str, Any] = _amplitude().summarise(spec, results, judge.network)
            return told
        quantum, *rivals = results
        counts = next(outcome.values for outcome in quantum.outcomes.values() if outcome.values)
        losses = {
            rival.name: next(outcome.values["loss"] for outcome in rival.outcomes.values() if outcome.values)
            for rival in rivals
        }
        return {
            "estimate": counts["zeros"] / counts["copies"],
            "copies": counts["copies"],
            **retried(counts["attempted"], counts["needed"]),
            "representation": counts["representation"],
            "epsilon": spec.epsilon,
            "delta": spec.delta,
            "rivals": {name: {"estimate": loss} for name, loss in losses.items()},
            **assumption(spec),
        }

    def compared(self, spec: InferenceSpec, result: Mapping[str, Any]) -> dict[str, Any]:
        return {} if spec.estimation == "amplitude" else compared(spec, result)

    def exact(self, spec: InferenceSpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
        from ketwire.protocols.inference_rivals import DenseStateParty  # noqa: PLC0415 (with --check alone)

        path, visits = route_of(spec, network)
        public = {"path": path, "qubits": spec.qubits, "bits": EXACT_BITS, "coherent": spec.estimation == "amplitude"}
        parties = {
            party: DenseStateParty(slice_of(spec, network, party, path, visits, public), loaders[party])
            for party in dict.fromkeys(path)
        }
        vector = parties[path[0]].start()
        for visit, party in enumerate(path):
            vector = parties[party].carry(visit, vector)
        return {"exact": parties[path[-1]].loss(vector)}

    def witness(self, spec: InferenceSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        """The quantum session as --check runs it once more, and whether all its copies end in the same state.

        None for amplitude estimation, whose outcomes are not drawn from the loss. On density matrices where
        they fit and are few, as these average over all errors that copies draw.
        """
        if spec.estimation == "amplitude":
            return None
        path, _ = route_of(spec, network)
        crossings = _crossings(spec, network, path)
        hardware = {party: network.hardware[party] for party in path if party in network.hardware}
        quiet = not hardware and not any(each.line.touches_states for each in crossings)
        alike = differing(crossings, hardware) is None
        octets = 0 if alike else spec.measured_copies * (16 << 2 * spec.qubits)
        if quiet or octets > WITNESS_OCTETS or density_refusal(crossings, spec.qubits, spec.measured_copies, hardware):
            return session, quiet
        told = {"representation": "density", "shared_rows": alike}
        slices = {party: Slice({**slice.values, **told}) for party, slice in session.slices.items()}
        # Flags of a contraction that may be misread leave copies in different states.
        return replace(session, slices=slices), alike and not any(isinstance(x, Contraction) for x in spec.layers)


def _amplitude() -> ModuleType:
    """What is different where copies bounce: see there. It builds on this module."""
    from ketwire.scenarios import amplitude  # noqa: PLC0415

    return amplitude


def route_of(spec: InferenceSpec, network: Network) -> tuple[list[str], list[list[int]]]:
    """The party at each visit, and the indices of the layers that it applies there."""
    path, visits = [spec.start], [[]]  # type: tuple[list[str], list[list[int]]]
    for index, layer in enumerate(spec.layers):
        if layer.at not in network.parties:
            raise ScenarioError(
                f"protocol.layers.{index}.at: {layer.at!r} given, expected a node: {', '.join(network.parties)}"
            )
        if layer.at != path[-1]:
            path.append(layer.at)
            visits.append([])
        visits[-1].append(index)
    if spec.start not in network.parties:
        raise ScenarioError(f"protocol.start: {spec.start!r} given, expected a node: {', '.join(network.parties)}")
    for a, b in pairwise(path):
        if network.link(a, b) is None:
            raise ScenarioError(f"protocol.layers: the register goes from {a} to {b}, expected a link between them")
        if network.is_hop(a, b):
            raise ScenarioError(
                f"protocol.layers: the register goes from {a} to {b}, expected another way: a chain of repeaters "
                "makes its pairs over that link"
            )
    return path, visits


def chains_of(path: Sequence[str], crossings: Sequence[Crossing]) -> dict[str, Any]:
    """The chain of repeaters of each crossing, where any has one."""
    told = [plan_values(each.line, *ends) for each, ends in zip(crossings, pairwise(path), strict=True)]
    return {"chains": told} if any(told) else {}


def _check_memory(spec: InferenceSpec, path: Sequence[str]) -> None:
    """Refuse registers that this machine cannot hold.

    A state is in memory about four times at each party (as it came, as it is worked on, as it goes, and
    in the socket), a dense matrix twice.
    """
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    states = 4 * len(set(path)) * (16 << spec.qubits)
    matrices = sum(isinstance(layer, Unitary | Contraction) for layer in spec.layers) * 2 * (16 << 2 * spec.qubits)
    if states + matrices > installed:
        raise ScenarioError(
            f"protocol.qubits: {spec.qubits} given, which takes about {(states + matrices) / 2**30:.3g} GiB for "
            f"{len(set(path))} parties; expected a register that fits the {installed / 2**30:.3g} GiB of this machine"
        )


def _crossings(spec: InferenceSpec, network: Network, path: Sequence[str]) -> list[Crossing]:
    return crossings_of(network, path, [spec.qubits] * (len(path) - 1))


def _representation(
    spec: InferenceSpec, crossings: Sequence[Crossing], hardware: Mapping[str, Hardware]
) -> Representation:
    """The representation that all parties are told; raises ScenarioError for density that does not fit."""
    if spec.representation == "auto":
        # Rows are shared within a batch alone.
        together = min(spec.measured_copies, MAX_COPIES, spec.max_batch_octets // OCTETS_PER_COPY)
        return chosen(crossings, spec.qubits, together, hardware)
    if spec.representation == "density":
        reason = density_refusal(crossings, spec.qubits, spec.measured_copies, hardware)
        if reason is not None:
            raise ScenarioError(f"protocol.representation: density given for {reason}")
    return spec.representation


def slice_of(
    spec: InferenceSpec,
    network: Network,
    party: str,
    path: Sequence[str],
    visits: Sequence[Sequence[int]],
    common: Mapping[str, Any],
    told: Callable[[int], dict[str, Any]] | None = None,
) -> Slice:
    """What one party is given: the public plan, its own layers, and the input if it starts.

    told: a layer by its number, as its owner is told it; `layer_values` where there is none.
    """
    mine = layers_of(party, path, visits, told or (lambda index: layer_values(spec, network, index)))
    values: dict[str, Any] = {**common, "visits": mine}
    if party == path[0]:
        values["input"] = spec.input.located(network.base) if spec.input is not None else None
    return Slice(values)


def layers_of(
    party: str, path: Sequence[str], visits: Sequence[Sequence[int]], told: Callable[[int], dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """A party's own layers by visit, each as `told` tells it from its index."""
    return {
        str(visit): [told(index) for index in indices]
        for visit, (owner, indices) in enumerate(zip(path, visits, strict=True))
        if owner == party and indices
    }


def layer_values(spec: InferenceSpec, network: Network, index: int) -> dict[str, Any]:
    """One layer for its owner's slice, sources located, with its key in the scenario."""
    layer = spec.layers[index]
    told = {
        name: value.located(network.base) if hasattr(value, "located") else value
        for name, value in ((name, getattr(layer, name)) for name in type(layer).model_fields)
    }
    return {**told, "key": f"protocol.layers.{index}"}
