"""Makes the result of a run, of what the wire counted and what its kind tells.

At the top stand the figures of the quantum session; where a protocol has several, they are sums,
virtual time too (as if run one after another), and the transcript is a hash over theirs. Beside
them stand the classical rivals, each with the figures of its own session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ketwire.errors import LocalProtocolError
from ketwire.scenarios.kinds.result import (
    Direction,
    Figures,
    Finding,
    Intercepted,
    Part,
    Reference,
    RunResult,
    SessionFigures,
    Summary,
    result_types,
)

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult

_SUMMED = ("qubits_sent", "qubits_delivered", "ebits", "payload_bits", "control_bits")


@dataclass(frozen=True)
class Counted:
    """What ketwire counted of a run, by field of `RunResult` and of each rival's `Rival`.

    copies: put on any fiber; a kind that knows how many were measured says so instead.
    """

    fields: Mapping[str, Any]
    rivals: Mapping[str, Mapping[str, Any]]
    copies: int

    @classmethod
    def of(cls, head: Mapping[str, Any], results: Sequence[SessionResult], wall_s: float) -> Counted:
        """
        Args:
            head: scenario, seed and protocol.
            results: what the runtime answered, quantum and rivals.
            wall_s: how long the run took.
        """
        quantum = [result for result in results if result.role == "quantum"]
        fields = {**head, **_figures(quantum), "wall_s": wall_s, "sessions": [_session(result) for result in results]}
        if listened := {result.name: _intercepted(result) for result in results if result.eve}:
            fields["eve"] = listened
        rivals = {result.name: _figures([result]) for result in results if result.role == "rival"}
        for figures in rivals.values():
            figures["bits"] = figures["payload_bits"] + figures["control_bits"]
        return cls(fields, rivals, sum(result.totals.copies for result in quantum))


def run_result(kind: Any, counted: Counted, summary: Summary | None, references: Sequence[Reference]) -> RunResult:
    """The result of a run: see the module's head.

    Args:
        kind: the type of its results, or a union of types (`Kind.Result`).
        counted: what ketwire counted, which nothing that a kind tells replaces.
        summary: what the kind makes of it (`Kind.summarise`); None where that failed.
        references: what --check adds, if asked for.

    Raises:
        LocalProtocolError: the kind gives figures that are the wire's to give, speaks of rivals
            that did not run, or answers with parts of no result of its own.
    """
    told = [*([] if summary is None else [summary]), *references]
    whole = _type_of(kind, told)
    own: dict[str, Any] = {"estimate": None, "exact": None, "verdict": "", "copies": counted.copies}
    for part in told:
        own |= part.given()
    findings = own.pop("rivals", {})
    _refuse_forged(findings, counted.rivals.keys())
    model = whole.rival_type()
    rivals = {
        name: model.model_construct(**_told(findings.get(name), own["exact"]), **figures)
        for name, figures in counted.rivals.items()
    }
    own["error"] = _error(own, own["exact"])
    return whole.model_construct(**{**own, **counted.fields, "rivals": rivals})


def _type_of(kind: Any, told: Sequence[Part]) -> type[RunResult]:
    """The type that has all that was told: the base where a kind needs no other, or its summary failed."""
    types: tuple[type[RunResult], ...] = (RunResult, *result_types(kind))
    for whole in types:
        if all(issubclass(whole, type(part)) and not isinstance(part, Figures) for part in told):
            return whole
    given, known = ", ".join(type(part).__name__ for part in told), ", ".join(whole.__name__ for whole in types)
    raise LocalProtocolError(f"{given} returned, expected parts of one of {known}, without what ketwire counts")


def _refuse_forged(findings: Mapping[str, Finding], rivals: Set[str]) -> None:
    if forged := [name for name, finding in findings.items() if isinstance(finding, Figures)]:
        raise LocalProtocolError(f"a kind may not give figures of {', '.join(forged)}: ketwire counts these")
    if unknown := findings.keys() - rivals:
        raise LocalProtocolError(f"a kind speaks of rivals that did not run: {', '.join(sorted(unknown))}")


def _told(finding: Finding | None, exact: Any) -> dict[str, Any]:
    """What a kind tells of a rival, with its error."""
    own = {"estimate": None, **({} if finding is None else finding.given())}
    return {**own, "error": _error(own, exact)}


def _figures(results: Sequence[SessionResult]) -> dict[str, Any]:
    """The wire's figures of some sessions, summed."""
    totals = [result.totals for result in results]
    figures: dict[str, Any] = {key: sum(getattr(total, key) for total in totals) for key in _SUMMED}
    # One session begins when everything of the one before is done.
    done_ps = sum(result.links_idle_ps for result in results[:-1])
    figures["virtual_time_ps"] = done_ps + results[-1].virtual_time_ps if results else 0
    figures["links_idle_ps"] = sum(result.links_idle_ps for result in results)
    figures["transcript_sha256"] = _transcript(results)
    return figures


def _transcript(results: Sequence[SessionResult]) -> str:
    """The transcript's hash; of several sessions the SHA-256 over "NAME HASH" lines in their order."""
    if len(results) == 1:
        return results[0].transcript_sha256
    lines = "".join(f"{result.name} {result.transcript_sha256}\n" for result in results)
    return hashlib.sha256(lines.encode()).hexdigest()


def _session(result: SessionResult) -> SessionFigures:
    totals = result.totals
    return SessionFigures.model_construct(
        **_figures([result]),
        name=result.name,
        role=result.role,
        messages=totals.messages,
        copies=totals.copies,
        clocks_ps=result.clocks_ps,
        directions={
            name: Direction.model_construct(**carried._asdict()) for name, carried in result.directions.items()
        },
    )


def _intercepted(result: SessionResult) -> dict[str, Intercepted]:
    return {direction: Intercepted.model_construct(**got) for direction, got in result.eve.items()}


def _error(told: Mapping[str, Any], exact: Any) -> float | None:
    """What was told, or how far the estimate is from the exact value, the largest distance where they are lists."""
    estimate, error = told["estimate"], told.get("error")
    if error is not None or estimate is None or exact is None:
        return error
    if isinstance(estimate, list) and isinstance(exact, list):
        pairs = list(zip(estimate, exact, strict=True)) if len(estimate) == len(exact) else []
        known = pairs and all(a is not None and b is not None for a, b in pairs)
        return max(abs(a - b) for a, b in pairs) if known else None
    return None if isinstance(estimate, list) or isinstance(exact, list) else abs(estimate - exact)
