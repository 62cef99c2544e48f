"""A protocol kind for tests, named by `module:Name`, and a runtime that only pretends.

Echo: the first node tells its neighbour some whole numbers, the neighbour sends their sum back.
The rival does the same and says it twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, RootModel

from ketwire.channels.messages import Answers
from ketwire.channels.records import Record
from ketwire.channels.transcript import Chain
from ketwire.errors import Deadlock, PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.data import make_loader, require_labels
from ketwire.nodes.session import (
    Progress,
    Run,
    Session,
    SessionResult,
    Totals,
    data_key,
    direction_name,
)
from ketwire.protocols.node import Json, Loader, Node, Outcome, Shape
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.result import Finding, Numbers, Reference, RunResult, Summary
from ketwire.scenarios.schema.model import NodeName, Strict
from ketwire.scenarios.schema.sources import Source
from tests.programs import Stepping

PROGRAM = "scenario_kinds:EchoParty"


@dataclass(frozen=True)
class Telling:
    """Whom to speak with, how often, and at the start the numbers."""

    peer: str
    times: int
    numbers: Json = None
    goes_wrong: str = "never"


@dataclass(frozen=True)
class Sum(Outcome):
    """What came back."""

    sum: int


class EchoParty:
    """The program of both sides."""

    Slice, Outcome = Telling, Sum

    def __init__(self, slice: Telling, load: Loader) -> None:
        self.told, self.numbers = slice, np.zeros(0, dtype=np.int64)
        self.shapes: dict[str, Shape] = {}
        if slice.numbers is not None:
            self.numbers = require_labels(
                load("protocol.numbers", slice.numbers), "protocol.numbers"
            )
            self.shapes["numbers"] = Shape(len(self.numbers), "protocol.numbers")

    async def run(self, node: Node) -> Sum | None:
        peer, times = self.told.peer, self.told.times
        if self.told.numbers is None:
            for _ in range(times):
                heard = await node.receive(peer, Answers)
            await node.send(peer, Answers(heard.values.sum(keepdims=True), 32))
            return None
        for _ in range(times):
            await node.send(peer, Answers(self.numbers, 16))
        node.progress(1, 1, "told")
        return Sum(int((await node.receive(peer, Answers)).values[0]))


class Plain(Strict):
    style: Literal["plain"]
    volume: float = Field(1.0, gt=0, description="how loud")


class Fancy(Strict):
    style: Literal["fancy"]
    colours: list[str] = Field(min_length=1)


class EchoSpec(Strict):
    kind: Literal["echo"]
    start: NodeName
    numbers: Source = Field(description="whole numbers to tell")
    limit: int = Field(100, ge=1, le=1000, description="how many numbers at most")
    styles: list[Annotated[Plain | Fancy, Field(discriminator="style")]] = Field([], description="manners")
    goes_wrong: Literal["party", "deadlock", "remote", "interrupt", "bug", "forge", "nan", "never"] = "never"


class Tabled(Summary):
    table: Numbers = Field(description="of whatever")


class EchoResult(RunResult, Tabled):
    pass


class Echo(Kind):
    Spec = EchoSpec
    Result = EchoResult

    def sessions(self, spec: EchoSpec, network: Network) -> Sequence[Session]:
        if spec.start not in network.parties:
            raise ScenarioError(f"protocol.start: {spec.start!r} given, expected a node")
        peer = next(party for party in network.parties if party != spec.start)
        return [
            self._session(spec, network, peer, name, times) for name, times in (("echo", 1), ("shout", 2))
        ]

    def _session(self, spec: EchoSpec, network: Network, peer: str, name: str, times: int) -> Session:
        slices = {party: Telling(spec.start, times) for party in network.parties}
        slices[spec.start] = Telling(peer, times, spec.numbers.located(network.base), spec.goes_wrong)
        return Session(name, "quantum" if times == 1 else "rival", PROGRAM, slices)

    def check(self, spec: EchoSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if public["numbers"] > spec.limit:
            raise ScenarioError(
                f"protocol.numbers: {public['numbers']} of them given, expected at most {spec.limit}"
            )

    def summarise(self, spec: EchoSpec, results: Sequence[SessionResult], judge: Judge) -> Summary:
        if spec.goes_wrong == "forge":
            return Summary(qubits_sent=0)  # type: ignore[call-arg]
        if spec.goes_wrong == "nan":
            return Tabled(estimate=float("nan"), table=np.array([1.0, np.inf]))
        sums = [result.outcomes[spec.start].sum for result in results]
        return Summary(estimate=sums[0], rivals={"shout": Finding(estimate=sums[1] + 1)})

    def exact(self, spec: EchoSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        source = spec.numbers.located(network.base)
        numbers = require_labels(loaders[spec.start]("protocol.numbers", source), "protocol.numbers")
        return Reference(exact=int(numbers.sum()))


class StepsSpec(Strict):
    kind: Literal["steps"]
    steps: int = Field(4, ge=1)
    copies: int = Field(40, ge=1)
    size: int = Field(4, ge=1)
    fail: bool = False
    kept: bool = Field(True, description="whether the first session keeps checkpoints")
    die: dict[str, dict[str, Any]] = Field({}, description="who kills itself at which step")


class StepsSummary(Summary):
    parameters: dict[str, Numbers] = Field(description="by party")


class StepsResult(RunResult, StepsSummary):
    pass


class Steps(Kind):
    """Steps that end in checkpoints, and a rival that takes none (tests/programs.py)."""

    Spec = StepsSpec
    Result = StepsResult

    def sessions(self, spec: StepsSpec, network: Network) -> Sequence[Session]:
        common = {"ring": network.parties, **spec.model_dump(include={"steps", "copies", "size"})}
        made = []
        for name, kept in (("steps", spec.kept), ("straight", False)):
            slices = {
                party: Stepping(**common, checkpoints=kept, die=spec.die.get(party) if kept else None)
                for party in network.parties
            }
            role: Literal["quantum", "rival"] = "quantum" if kept else "rival"
            made.append(Session(name, role, "tests.programs:StepParty", slices, restartable=kept))
        return made

    def check(self, spec: StepsSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if spec.fail:
            raise ScenarioError("protocol.fail: True given, expected False")

    def summarise(self, spec: StepsSpec, results: Sequence[SessionResult], judge: Judge) -> Summary:
        first = results[0].outcomes
        return StepsSummary(
            estimate=first[judge.network.parties[0]].moves,
            parameters={party: outcome.parameters for party, outcome in first.items()},
        )


class OtherSpec(EchoSpec):
    start: Literal["eve"]


class ChoirSpec(RootModel[Annotated[EchoSpec | OtherSpec, Field(union_mode="left_to_right")]]):
    pass


class Choir(Echo):
    Spec = ChoirSpec

    def sessions(self, spec: ChoirSpec, network: Network) -> Sequence[Session]:
        return super().sessions(spec.root, network)


class Lookalike:
    """Has what a kind has, and derives from none."""

    Spec = EchoSpec
    sessions, check, summarise, exact = Echo.sessions, Echo.check, Echo.summarise, Echo.exact


class Halved(Kind):
    """Lacks what a kind must have."""

    Spec = EchoSpec


class Misdeclared(Echo):
    """Its results are no models of ketwire's."""

    Result = dict


class Unspecified(Kind):
    """Lacks a Spec."""

    sessions, summarise = Echo.sessions, Echo.summarise  # type: ignore[assignment]


def pretend(
    run: Run, progress: Progress | None, ledger: bool, base: str, out: Path | None = None
) -> list[SessionResult]:
    """A runtime that runs nothing: it loads the data, and answers with what Echo would cost."""
    if out is not None:
        (out / "logs" / "alice.log").write_text("hello\n")
        (out / "ledger-alice-bob.jsonl").write_text("")
    return [_pretend(run, session, progress, ledger, base) for session in run.sessions]


def _pretend(run: Run, session: Session, progress: Progress | None, ledger: bool, base: str) -> SessionResult:
    starter = next(party for party, own in session.slices.items() if own.numbers is not None)
    own = session.slices[starter]
    program = EchoParty(own, make_loader(starter, data_key(run.workload, starter), base))
    run.check(session, {name: shape.value for name, shape in program.shapes.items()})
    _go_wrong(own.goes_wrong)
    if progress is not None:
        progress(session.name, starter, 1, 1, "told", 0, "")
    there, back = direction_name(starter, own.peer), direction_name(own.peer, starter)
    bits, delay_ps = 16 * len(program.numbers), run.links[0].forward.fiber.delay_ps
    records = [
        Record(there, number, "answers", 0, delay_ps, 0, 0, 0, 0, bits, 0) for number in range(own.times)
    ] + [Record(back, 0, "answers", delay_ps, 2 * delay_ps, 0, 0, 0, 0, 32, 0)]
    if session.role == "quantum":
        records.append(Record(there, 9, "copies", 0, delay_ps, 10, 30, 25, 0, 0, 10))
    totals = {there: Totals(), back: Totals()}
    for record in records:
        totals[record.direction] = totals[record.direction].add(record, record.arrival_ps)
    digest = hashlib.sha256(repr(records).encode()).hexdigest()
    return SessionResult(
        session.name,
        session.role,
        {starter: Sum(int(program.numbers.sum()))},
        dict.fromkeys(run.parties, 2 * delay_ps),
        totals,
        (Chain(there, len(records), digest),),
        tuple(records) if ledger else (),
    )


def _go_wrong(how: str) -> None:
    errors: dict[str, BaseException] = {
        "party": PartyFailed("bob", "exit code 9; last words: none"),
        "deadlock": Deadlock({"alice": "copies of bob", "bob": "copies of alice"}),
        "remote": RemoteProtocolError("bob sent rubbish"),
        "interrupt": KeyboardInterrupt(),
        "bug": ZeroDivisionError("oops"),
    }
    if how in errors:
        raise errors[how]
