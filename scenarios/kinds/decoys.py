"""The kind `decoys`: inference over one crossing, with decoy copies that look for an eavesdropper.

The register goes from the party that prepares it to one that measures it. Decoys in the middle of a
longer path would have to pass through its layers and come out with unknown answers, so one crossing it is.
See `ketwire.protocols.decoys`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from ketwire.channels.hardware import ERRORS, TIMES, Hardware
from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.channels.transports import Direct
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.decoys import DecoySlice, Judged
from ketwire.protocols.evidence import clopper_pearson, hoeffding_radius
from ketwire.protocols.node import Loader
from ketwire.quantum.noise.trajectories import density_channel
from ketwire.quantum.pauli_bases import EIGENVECTORS
from ketwire.scenarios.kinds.inference.kind import Inference
from ketwire.scenarios.kinds.inference.rivals import loss_of
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.layer_specs import Contraction
from ketwire.scenarios.kinds.margin import Emitted, retried
from ketwire.scenarios.kinds.result import Finding, Reference, Rival, RunResult, Summary
from ketwire.scenarios.kinds.routes import line_between
from ketwire.scenarios.schema.model import Strict


class DecoyCheck(Strict):
    """Copies with known answers, and how sure their verdict is to be."""

    share: float = Field(0.1, gt=0, lt=1, description="of the emitted copies that are decoys")
    bases: Literal["zx", "zxy"] = Field("zx", description="of a decoy's qubits, drawn again for each")
    delta: float = Field(0.01, gt=0, lt=1, description="probability of a false alarm, at most")


class DecoysSpec(InferenceSpec):
    """Inference over one crossing, watched by decoys."""

    kind: Literal["decoys"]  # type: ignore[assignment]
    decoys: DecoyCheck = DecoyCheck()  # type: ignore[call-arg]
    estimation: Literal["sampling"] = "sampling"
    most_power: None = None


class WatchedFinding(Finding):
    """A classical rival, whose bits an eavesdropper reads."""

    reveals: str = Field(description="what it shows to an eavesdropper")


class DecoysSummary(Emitted, Summary):
    """An estimate, and what decoys say of an eavesdropper."""

    decoys: int = Field(description="decoys that were measured")
    decoy_failures: int = Field(description="decoys with a wrong outcome")
    decoy_failure_rate_low: float = Field(description="lower end of the share that fails, at confidence 1 - delta")
    decoy_failure_rate_high: float = Field(description="upper end of the share that fails, at confidence 1 - delta")
    error_rate: float | None = Field(description="share of wrong qubits of decoys; null without any")
    error_rate_radius: float = Field(description="how far that is from its mean at most, at confidence 1 - delta")
    noise_error_rate: float = Field(description="what the link's own noise makes of it in the mean")
    eve_detected: bool = Field(description="whether decoys fail more often than noise explains")
    excess_loss: bool = Field(description="whether more copies were lost than the fiber loses")
    delta: float = Field(description="probability of a false alarm, at most")
    rivals: Mapping[str, WatchedFinding] = Field(description="the classical rivals, by session")


class WatchedRival(Rival, WatchedFinding):
    """With its session's figures."""


class DecoysResult(RunResult, DecoysSummary):
    """The kind `decoys`."""

    rivals: Mapping[str, WatchedRival] = Field(description="the classical rivals, by session")


class Decoys(Kind):
    """See `ketwire.scenarios.kinds.interface.Kind`."""

    Spec = DecoysSpec
    Result = DecoysResult

    def sessions(self, spec: DecoysSpec, network: Network) -> Sequence[Session]:
        for index, layer in enumerate(spec.layers):
            if isinstance(layer, Contraction):
                raise ScenarioError(
                    f"protocol.layers.{index}.layer: 'contraction' given, expected another: one whose flag fires at "
                    "the sender tells data from decoys"
                )
        quantum, *rivals = Inference().sessions(spec, network)
        plan = quantum.slices[spec.start].plan
        line = _line(spec, network, plan.path)
        failure = 1.0 - (1.0 - error_rate(line, spec.decoys.bases)) ** spec.qubits
        # What the parties know of the fiber is its own loss and noise: they do not know of her.
        plan = replace(plan, passage=replace(plan.passage, survival=replace(line, eve=None).survival(spec.qubits)))
        told = (plan, spec.decoys.share, spec.decoys.bases, spec.decoys.delta, failure)
        slices = {name: DecoySlice(own.part, *told) for name, own in quantum.slices.items()}
        return [Session("decoys", "quantum", "decoys", slices), *rivals]

    def check(self, spec: DecoysSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if session.role != "quantum":
            return
        path = session.slices[spec.start].plan.path
        crossing = Crossing("-".join(path), _line(spec, network, path), spec.qubits)
        copies = math.ceil(spec.measured_copies / (1.0 - spec.decoys.share))
        reason = refusal([crossing], copies, int(spec.budget_attempts))
        if reason is not None:
            raise ScenarioError(f"protocol.copies: {reason}")

    def foreseen(self, spec: DecoysSpec, session: Session) -> Mapping[str, int]:
        """Nothing that `check` looks at is left to data."""
        return {"qubits": spec.qubits}

    def summarise(self, spec: DecoysSpec, results: Sequence[SessionResult], judge: Judge) -> DecoysSummary:
        quantum, *rivals = results
        told = _told(quantum)
        findings, counted = told.findings, told.counted
        assert counted is not None
        delta = spec.decoys.delta
        line = _line(spec, judge.network, _path(quantum))
        low, high = clopper_pearson(findings.failed, findings.decoys, delta)
        checked = findings.decoys * spec.qubits
        summary = DecoysSummary(
            estimate=counted.zeros / counted.copies,
            copies=counted.copies,
            **retried(counted.attempted, counted.needed),
            decoys=findings.decoys,
            decoy_failures=findings.failed,
            decoy_failure_rate_low=low,
            decoy_failure_rate_high=high,
            error_rate=findings.wrong / checked if checked else None,
            error_rate_radius=hoeffding_radius(findings.decoys, delta),
            noise_error_rate=error_rate(line, spec.decoys.bases),
            eve_detected=told.disturbed,
            excess_loss=told.starved,
            delta=delta,
            rivals={
                rival.name: WatchedFinding(
                    estimate=loss_of(rival), reveals="all that it sends, to an eavesdropper"
                )
                for rival in rivals
            },
        )
        return summary.with_more(verdict=_verdict(summary, quantum, rivals, spec.qubits))

    def exact(self, spec: DecoysSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        return Inference().exact(spec, network, loaders)

    def witness(self, spec: DecoysSpec, network: Network, session: Session) -> tuple[Session, bool] | None:
        """As for `inference`; copies that an eavesdropper measured are drawn."""
        return Inference().witness(spec, network, session)


def error_rate(line: Line, bases: str) -> float:
    """Probability that the noise in flight, alone, turns a decoy's qubit to the other eigenvector."""
    channel = line.channel()
    if channel is None:
        return 0.0
    vectors = EIGENVECTORS[: len(bases)].reshape(-1, 2)
    rho = np.einsum("vi,vj->vij", vectors, vectors.conj())
    kept = np.einsum("vi,vij,vj->v", vectors.conj(), density_channel(rho, channel, [0]), vectors).real
    return float(np.clip(1.0 - kept.mean(), 0.0, 1.0))


def _line(spec: DecoysSpec, network: Network, path: Sequence[str]) -> Line:
    """The one direction that the register crosses.

    Raises:
        ScenarioError: it crosses none or several, or one whose copies a decoy cannot stand for.
    """
    if len(path) != 2:
        raise ScenarioError(
            f"protocol.layers: the register crosses {len(path) - 1} times ({', '.join(path)}), expected one crossing: "
            "a decoy passes through no layers"
        )
    sender, receiver = path
    link = network.link(sender, receiver)
    assert link is not None
    index = network.links.index(link)
    line = line_between(network, sender, receiver)
    if not isinstance(line.transport, Direct):
        raise ScenarioError(
            f"links.{index}.transport: {line.transport.kind!r} given, expected 'direct': only there are the "
            "copies themselves in flight"
        )
    for party in (sender, receiver):
        hardware = network.hardware.get(party, Hardware())
        wrong = [name for name in (*TIMES, *ERRORS) if getattr(hardware, name)]
        if wrong:
            raise ScenarioError(
                f"nodes.{party}.{wrong[0].replace('_ps', '_s')}: given, expected perfect hardware: decoys are judged "
                "by the noise in flight alone"
            )
    for party, memory in ((sender, line.sender), (receiver, line.receiver)):
        if not memory.is_perfect:
            key, given = ("t1_s", memory.t1_ps) if memory.t1_ps is not None else ("t2_s", memory.t2_ps)
            assert given is not None
            raise ScenarioError(
                f"nodes.{party}.{key}: {given / 1e12:g} given, expected none: decoys are judged by the noise in "
                "flight alone, and what waits for their announcement does not decay here"
            )
    return line


def _told(quantum: SessionResult) -> Judged:
    """What the receiver tells of its data, and what both tell of the decoys.

    Raises:
        RemoteProtocolError: they tell different things.
    """
    both: list[Judged] = list(quantum.outcomes.values())
    common = [{name: vars(each)[name] for name in ("findings", "disturbed", "starved")} for each in both]
    if len(both) != 2 or common[0] != common[1]:
        raise RemoteProtocolError(f"sender and receiver tell of different decoys: {common}")
    return next(told for told in both if told.counted is not None)


def _path(quantum: SessionResult) -> tuple[str, str]:
    """Sender and receiver: the one tells of decoys alone, the other of data too."""
    sender, receiver = sorted(quantum.outcomes, key=lambda party: quantum.outcomes[party].counted is not None)
    return sender, receiver


def _verdict(
    told: DecoysSummary, quantum: SessionResult, rivals: Sequence[SessionResult], qubits: int
) -> str:
    """What the decoys say, what they cannot say, and what the classical rival would give away."""
    lines = [_of_decoys(told, qubits)]
    if told.excess_loss:
        lines.append("but more copies were lost than the fiber loses: somebody, or something, takes photons.")
    best = min(rivals, key=lambda rival: rival.totals.payload_bits, default=None)
    if best is not None:
        totals = quantum.totals
        lines.append(
            f"the classical {best.name} needs {best.totals.payload_bits:,} bits where this took "
            f"{totals.qubits_sent:,} qubits and {totals.payload_bits + totals.control_bits:,} bits, and shows "
            "what it sends to an undetected eavesdropper."
        )
    return "\n".join(lines)


def _of_decoys(told: DecoysSummary, qubits: int) -> str:
    if told.error_rate is None:
        return "no decoy arrived: nothing is known about an eavesdropper."
    found = (
        f"{told.decoy_failures:,} of {told.decoys:,} decoys failed, {told.error_rate:.2%} of their qubits; "
        f"the link's own noise makes {told.noise_error_rate:.2%}"
    )
    if told.eve_detected:
        return f"Eve is detected: {found} (a false alarm has a probability of at most {told.delta:g})."
    return (
        f"no decoy shows an eavesdropper: {found}. At confidence {1 - told.delta:g} a decoy fails with a "
        f"probability of at most {told.decoy_failure_rate_high:.2%}. Who takes only what the fiber loses is "
        "never seen."
    )
