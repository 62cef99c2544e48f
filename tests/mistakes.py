"""A kind and its program for tests, wrong in the ways that a scenario asks for. Both print wherever they can.

Alice sends Bob copies of |+> and a number; Bob measures and answers. Bob and the rival's parties are given no slice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from ketwire.channels.copies import Copies
from ketwire.channels.messages import Answers
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader, Node, Outcome, Slice, State
from ketwire.quantum.observables import Projector
from ketwire.scenarios.kinds.interface import Judge, Kind, Network
from ketwire.scenarios.kinds.result import Finding, Reference, Rival, RunResult, Summary
from ketwire.scenarios.schema.model import Strict

MENDED = False
"""Whether nothing fails any more."""

print("the module is imported")


class Party:
    """Raises, returns or prints what its slice says."""

    def __init__(self, slice: Slice, load: Loader) -> None:
        print("a party is built")
        self.values, self.shapes = slice.values, {}  # type: ignore[var-annotated]
        if self.values.get("wrong") == "init":
            raise ValueError("built\nwrong")  # in __init__
        if self.values.get("wrong") == "shapes":
            self.shapes = {"tosses": 3}

    async def run(self, node: Node) -> Any:
        print("x" * self.values.get("printed", 0) + f"{node.name} runs")
        if node.name == "bob":
            copies = await node.receive("alice", Copies)
            counts = node.measure(copies, Projector(0), np.zeros(len(copies), dtype=np.int64), 1)
            await node.send("alice", Answers(counts[0, :1], 32))
            return Outcome({"arrived": int(counts.sum()), "given": len(self.values)})
        copies = node.prepare(np.full((1, 2), 0.5**0.5, dtype=np.complex128), np.array([50]))
        await node.send("bob", copies)
        self._go_wrong(node, copies)
        heads = int((await node.receive("bob", Answers)).values[0])
        if self.values.get("kept"):
            await node.checkpoint(1, State())
        if self.values.get("wrong") == "returned":
            return {"heads": heads}
        return Outcome({"heads": heads}, {"many": np.zeros(2000), "few": np.array([1, 2])})

    def _go_wrong(self, node: Node, copies: Copies) -> None:
        wrong = self.values.get("wrong")
        if wrong == "run":
            self.values["nothing"]  # in run
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
        alice = {"alice": Slice({"wrong": spec.wrong, "printed": spec.printed, "kept": spec.kept})}
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
        told: dict[str, Any] = {"estimate": results[0].outcomes["alice"].values["heads"]}
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
