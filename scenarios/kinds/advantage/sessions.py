"""The sessions of the kind `advantage`: who plays which role in the protocol and in its rivals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session
from ketwire.protocols.advantage.fingerprint import FingerprintRivalSlice, FingerprintSlice, deal
from ketwire.protocols.advantage.program import AdvantageSlice, OneMessage
from ketwire.protocols.advantage.rivals import RivalSlice
from ketwire.protocols.stream import StreamPlan
from ketwire.scenarios.kinds.advantage.spec import (
    Common,
    ConsumableSpec,
    FingerprintSpec,
    FourierSpec,
    MatchingSpec,
    OneWaySpec,
    XebSpec,
)
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.kinds.margin import margin_of
from ketwire.scenarios.kinds.paths import passage_of
from ketwire.scenarios.kinds.routes import line_from

Ways = Mapping[tuple[str, str], Line]


def ways_of(spec: OneWaySpec | FingerprintSpec, network: Network) -> Ways:
    """The lines that registers cross, by sender and receiver.

    Raises:
        ScenarioError: a party is no node, or has no such link; or the referee's swap tests would have to err.
    """
    if not isinstance(spec, FingerprintSpec):
        return {(spec.sender, spec.receiver): line_from(network, "sender", spec.sender, "receiver", spec.receiver)}
    if spec.first == spec.second:
        raise ScenarioError(f"protocol.second: {spec.second!r} given, expected another node than the first")
    hardware = network.hardware.get(spec.referee)
    if hardware is not None and not hardware.is_perfect:
        raise ScenarioError(
            f"protocol.referee: {spec.referee!r} given, a node with hardware or a memory; expected one without: swap "
            "tests there are perfect and take no time"
        )
    return {
        (party, spec.referee): line_from(network, key, party, "referee", spec.referee)
        for key, party in (("first", spec.first), ("second", spec.second))
    }


def wanted(spec: Common) -> int:
    """Measured copies of an instance on each way."""
    return spec.questions if isinstance(spec, ConsumableSpec) else spec.copies


def plan_of(spec: Common, path: tuple[str, str], line: Line) -> StreamPlan:
    return StreamPlan(
        path,
        passage_of(path, [Crossing("", line, spec.qubits)]),
        wanted(spec),
        items=spec.instances,
        qubits=spec.qubits,
        max_batch_octets=spec.max_batch_octets,
        margin=margin_of(spec.margin),
        budget_attempts=int(spec.budget_attempts),
        shared=wanted(spec) == 1,
    )


def public_of(spec: OneWaySpec, instances: int) -> OneMessage:
    return OneMessage(spec.task, spec.qubits, instances, wanted(spec))


def one_way_sessions(spec: OneWaySpec, network: Network, ways: Ways) -> list[Session]:
    [(path, line)] = ways.items()
    plan = plan_of(spec, path, line)
    roles: dict[str, Any] = {
        **dict.fromkeys(network.parties, "other"), spec.sender: "sender", spec.receiver: "receiver",
    }  # fmt: skip
    public = public_of(spec, spec.instances)
    slices = {party: AdvantageSlice(role, public, plan) for party, role in roles.items()}
    sessions = [Session(spec.task, "quantum", "advantage", slices)]
    beside = public_of(spec, spec.rival_instances)

    def rival(name: str, program: str, **more: Any) -> None:
        key = derive_key(network.seed, "shared randomness", name).hex()
        told = (beside, spec.sender, spec.receiver, key)
        own = {party: RivalSlice(role, *told, **more) for party, role in roles.items()}
        sessions.append(Session(name, "rival", program, own))

    if isinstance(spec, XebSpec | FourierSpec):
        for bits in spec.random_states:
            rival(f"random-states-{bits}-bit", "advantage/named-state", bits=bits)
    else:
        for bits in spec.subset:
            rival(f"subset-{bits}-bit", "advantage/places", places="subset", bits=bits)
    if isinstance(spec, MatchingSpec) and spec.grid:
        rival("grid", "advantage/places", places="grid")
    if isinstance(spec, ConsumableSpec) and spec.raw:
        rival("raw", "advantage/places", places="all")
    return sessions


def dealt(spec: FingerprintSpec, network: Network) -> Any:
    """The dealer's hand: the words of both, and which are equal."""
    return deal(spec.qubits, spec.instances, stream(derive_key(network.workload, "dealer", "fingerprint"), "words"))


def fingerprint_sessions(spec: FingerprintSpec, network: Network, ways: Ways) -> list[Session]:
    roles: dict[str, Any] = {
        **dict.fromkeys(network.parties, "other"),
        spec.first: "first", spec.second: "second", spec.referee: "referee",
    }  # fmt: skip
    first, second, _ = dealt(spec, network)
    words = {spec.first: first, spec.second: second}
    plans = tuple(plan_of(spec, path, line) for path, line in ways.items())
    slices = {
        party: FingerprintSlice(role, spec.qubits, spec.instances, spec.copies, plans, words.get(party))
        for party, role in roles.items()
    }
    sessions = [Session("fingerprint", "quantum", "advantage/fingerprint", slices)]
    few = spec.rival_instances
    forms: list[tuple[Any, int]] = [("square", rounds) for rounds in spec.square]
    forms += [("hash", rounds) for rounds in spec.shared_hash]
    for form, rounds in forms:
        name = f"{form}-{rounds}"
        key = derive_key(network.seed, "shared randomness", name).hex()
        own = {
            party: FingerprintRivalSlice(
                role, spec.first, spec.second, spec.referee, spec.qubits, few, rounds, form, key,
                None if party not in words else words[party][:few],
            )
            for party, role in roles.items()
        }  # fmt: skip
        sessions.append(Session(name, "rival", "advantage/fingerprint/classical", own))
    return sessions
