"""A kind and its program for tests, wrong in the ways that a scenario asks for. Both print wherever they can.

Alice sends Bob copies of |+> and a number; Bob measures and answers. Bob and the rival's parties are given no slice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Answers
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader, Node, Outcome, State
from ketwire.quantum.observables import Projector
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.result import Finding, Reference, Rival, RunResult, Summary
from ketwire.scenarios.schema.model import Strict

MENDED = False
"""Whether nothing fails any more."""

print("the module is imported")


@dataclass(frozen=True)
class Mistake:
    """What a party does wrong, and how much it prints."""

    wrong: str | None = None
    printed: int = 0
    kept: bool = False


@dataclass(frozen=True)
class Tossed(Outcome):
    """What Alice or Bob has to tell."""

    heads: int | None = None
    arrived: int | None = None
    given: str | None = None
    many: NDArray[np.float64] | None = None
    few: NDArray[np.int64] | None = None


class Party:
    """Raises, returns or prints what its slice says."""

    Slice, Outcome = Mistake, Tossed

    def __init__(self, slice: Mistake, load: Loader) -> None:
        print("a party is built")
        self.told, self.shapes = slice, {}  # type: ignore[var-annotated]
        if self.told.wrong == "init":
            raise ValueError("built\nwrong")  # in __init__
        if self.told.wrong == "shapes":
            self.shapes = {"tosses": 3}

    async def run(self, node: Node) -> Any:
        print("x" * self.told.printed + f"{node.name} runs")
        if node.name == "bob":
            copies = await node.receive("alice", Copies)
            counts = node.measure(copies, Projector(0), np.zeros(len(copies), dtype=np.int64), 1)
            await node.send("alice", Answers(counts[0, :1], 32))
            return Tossed(arrived=int(counts.sum()), given=repr(self.told))
        copies = node.prepare(np.full((1, 2), 0.5**0.5, dtype=np.complex128), np.array([50]))
        await node.send("bob", copies)
        self._go_wrong(node, copies)
        heads = int((await node.receive("bob", Answers)).values[0])
        if self.told.kept:
            await node.checkpoint(1, State())
        if self.told.wrong == "returned":
            return {"heads": heads}
        if self.told.wrong == "numpy":
            return Tossed(np.int64(heads))
        return Tossed(heads, many=np.zeros(2000), few=np.array([1, 2]))

    def _go_wrong(self, node: Node, copies: Copies) -> None:
        wrong = self.told.wrong
        if wrong == "run":
            {}["nothing"]  # in run
        if wrong == "library":
            json.loads("{")
        if wrong == "exit":
            raise SystemExit(0)
        if wrong == "consumed":
            node.measure(copies, Projector(0), np.zeros(50, dtype=np.int64), 1)  # sent before


class KeptParty(Party):
    """Bob too comes to the checkpoint."""

    async def run(self, node: Node) -> Any:
        told = await super().run(node)
        if node.name == "bob":
            await node.checkpoint(1, State())
        return told


class Quiet(Exception):
    """Says nothing of itself, and cannot."""

    def __str__(self) -> str:
        raise RuntimeError


class MistakenSpec(Strict):
    kind: Literal["mistaken"]
    fails: list[str] = []
    wrong: str | None = None
    printed: int = 0
    kept: bool = False


class MistakenSummary(Summary):
    compared: bool = Field(default=False, description="whether it was")
    text: str = Field(default="", description="of whatever")
    number: int = Field(default=0, description="any")


class Foreign(Summary):
    """Part of no result of this kind."""


class MistakenReference(Reference):
    retraced: bool = Field(default=False, description="whether it was")


class MistakenResult(RunResult, MistakenSummary, MistakenReference):
    def remarks(self) -> list[str]:
        if self.text == "no table":
            raise ValueError(self.text)
        return []


class Mistaken(Kind):
    Spec = MistakenSpec
    Result = MistakenResult

    def sessions(self, spec: MistakenSpec, network: Network) -> Sequence[Session]:
        self._fail(spec, "sessions")
        if spec.wrong == "slice":
            return [Session("tosses", "quantum", f"{__name__}:Party", {"alice": {"wrong": 1}})]  # no dataclass
        if spec.wrong == "field":
            return [Session("tosses", "quantum", f"{__name__}:Party", {"alice": Mistake(printed="x")})]  # no int
        alice = {"alice": Mistake(spec.wrong, spec.printed, spec.kept)}
        program = f"{__name__}:{'KeptParty' if spec.kept else 'Party'}"
        return [
            Session("tosses", "quantum", program, alice, restartable=spec.kept),
            Session("again", "rival", f"{__name__}:Party", {}),
        ]

    def check(self, spec: MistakenSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        self._fail(spec, "check")

    def foreseen(self, spec: MistakenSpec, session: Session) -> Mapping[str, int]:
        self._fail(spec, "foreseen")
        return {}

    def summarise(self, spec: MistakenSpec, results: Sequence[SessionResult], judge: Judge) -> Any:
        self._fail(spec, "summarise")
        told: dict[str, Any] = {"estimate": results[0].outcomes["alice"].heads}
        told["rivals"] = {"again": Finding()}
        if "exits" in spec.fails:
            raise SystemExit(0)
        if "quiet" in spec.fails:
            raise Quiet
        if "interrupted" in spec.fails:
            raise KeyboardInterrupt
        more: dict[str, Any] = {
            "forged": {"qubits_sent": 1}, "unwritable": {"text": "\ud800"}, "ghost": {"rivals": {"nobody": Finding()}},
            "table": {"text": "no table"}, "mistyped": {"accuracy": "none"}, "huge": {"number": 1 << 100_000},
            "figures": {"rivals": {"again": Rival.model_construct(payload_bits=0)}},
        }  # fmt: skip
        for fault in spec.fails:
            told |= more.get(fault, {})
        if "foreign" in spec.fails:
            return Foreign()
        return None if "nothing" in spec.fails else MistakenSummary(**told)

    def exact(self, spec: MistakenSpec, network: Network, loaders: Mapping[str, Loader]) -> Reference:
        self._fail(spec, "exact")
        return Reference(exact=25)

    def witness(self, spec: MistakenSpec, network: Network, session: Session) -> None:
        self._fail(spec, "witness")

    def retraced(
        self, spec: MistakenSpec, network: Network, run: Any, results: Sequence[SessionResult]
    ) -> Reference:
        self._fail(spec, "retraced")
        return MistakenReference(retraced=True)

    def compared(self, spec: MistakenSpec, summary: MistakenSummary, result: RunResult) -> Summary:
        self._fail(spec, "compared")
        if "swindle" in spec.fails:
            return summary.model_copy(update={"rivals": {"again": result.rivals["again"]}})
        return summary.model_copy(update={"compared": True, "payload_bits": 0})

    def _fail(self, spec: MistakenSpec, what: str) -> None:
        print(f"{what} is asked")
        if what in spec.fails and not MENDED:
            raise LookupError(f"{what}\nwent wrong")  # as asked
