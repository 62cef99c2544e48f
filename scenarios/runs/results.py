"""What a run came to, as one JSON object.

At the top stand the figures of the quantum session; where a protocol has several, they are sums,
virtual time too (as if run one after another), and the transcript is a hash over theirs. Beside
them stand the classical rivals, each with the figures of its own session.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ketwire.errors import LocalProtocolError

if TYPE_CHECKING:
    from ketwire.nodes.session import SessionResult, Totals

WIRE_KEYS = (
    "qubits_sent",
    "qubits_delivered",
    "ebits",
    "payload_bits",
    "control_bits",
    "virtual_time_ps",
    "links_idle_ps",
    "transcript_sha256",
)
FAILED_KEY = "afterwards_failed"
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_OURS = frozenset(
    {*WIRE_KEYS, "scenario", "seed", "workload_seed", "protocol", "wall_s", "sessions", "bits", "eve", FAILED_KEY}
)


def result_object(
    head: Mapping[str, Any],
    results: Sequence[SessionResult],
    summary: Mapping[str, Any],
    exact: Mapping[str, Any] | None,
    wall_s: float,
) -> dict[str, Any]:
    """One JSON object for a run: see the module's head.

    Args:
        head: scenario, seed, workload_seed if the scenario has one, and protocol.
        results: what the runtime answered, quantum and rivals.
        summary: what the kind makes of it (`Kind.summarise`).
        exact: the reference of --check, if asked for.
        wall_s: how long the run took.

    Raises:
        LocalProtocolError: the kind gives figures that are the wire's to give, or speaks of rivals
            that did not run.
    """
    quantum = [result for result in results if result.role == "quantum"]
    own = {**summary, **(exact or {})}
    told = {name: dict(of) for name, of in own.pop("rivals", {}).items()}
    _refuse_forged(own, told, {result.name for result in results if result.role == "rival"})
    whole = {**head, "estimate": None, "exact": None, "error": None, "copies": _copies(quantum)}
    whole |= {**_figures(quantum), "wall_s": wall_s, **own}
    whole["error"] = _error(whole)
    rivals = [result for result in results if result.role == "rival"]
    whole["rivals"] = {each.name: _rival(each, told.get(each.name, {}), whole["exact"]) for each in rivals}
    whole["sessions"] = [_session(result) for result in results]
    if listened := {result.name: result.eve for result in results if result.eve}:
        whole["eve"] = listened
    made: dict[str, Any] = plain(whole)
    return made


def with_compared(result: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """A result with what the kind has to add to it (`Kind.compared`).

    Raises:
        LocalProtocolError: that changes figures which are the wire's to give.
    """
    made: dict[str, Any] = plain({**result, **told})
    if counted(made) != counted(result):
        raise LocalProtocolError("a kind may not change figures or rivals: ketwire counts these")
    return made


def counted(result: Mapping[str, Any]) -> dict[str, Any]:
    """What ketwire itself counted of a result, in the form of a whole one."""
    told = {key: value for key, value in result.items() if key in _OURS}
    rivals = {name: {key: rival[key] for key in rival if key in _OURS} for name, rival in result["rivals"].items()}
    return {**told, "rivals": rivals}


def failed_steps(result: Mapping[str, Any]) -> list[str]:
    """The steps after the run that failed (`scenarios.runs.afterwards`)."""
    return [failed["step"] for failed in result.get(FAILED_KEY, ())]


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, numbers as Python's, what is not finite as null."""
    kind = type(value)
    if kind in _AS_THEY_ARE:  # most values; the general rule below says the same of them
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): plain(below) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(below) for below in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int) else str(value)


def _refuse_forged(own: Mapping[str, Any], told: Mapping[str, Mapping[str, Any]], rivals: set[str]) -> None:
    for of in (own, *told.values()):
        if forged := _OURS & set(of):
            raise LocalProtocolError(f"a kind may not give {', '.join(sorted(forged))}: ketwire counts these")
    if unknown := set(told) - rivals:
        raise LocalProtocolError(f"a kind speaks of rivals that did not run: {', '.join(sorted(unknown))}")


def _rival(result: SessionResult, told: Mapping[str, Any], exact: Any) -> dict[str, Any]:
    figures = _figures([result])
    made = {"bits": figures["payload_bits"] + figures["control_bits"], **figures, "estimate": None, **told}
    return {**made, "error": _error({"exact": exact, **made})}


def _figures(results: Sequence[SessionResult]) -> dict[str, Any]:
    """The wire's figures of some sessions, summed."""
    totals = [result.totals for result in results]
    figures: dict[str, Any] = {
        key: sum(getattr(total, key) for total in totals)
        for key in ("qubits_sent", "qubits_delivered", "ebits", "payload_bits", "control_bits")
    }
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


def _copies(quantum: Sequence[SessionResult]) -> int:
    """Copies put on any fiber; a kind that knows how many were measured says so instead."""
    return sum(result.totals.copies for result in quantum)


def _session(result: SessionResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "role": result.role,
        **{name: figure for name, figure in _fields(result.totals).items() if name != "idle_ps"},
        "virtual_time_ps": result.virtual_time_ps,
        "links_idle_ps": result.links_idle_ps,
        "transcript_sha256": result.transcript_sha256,
        "clocks_ps": result.clocks_ps,
        "directions": {name: _fields(totals) for name, totals in result.directions.items()},
    }


def _fields(totals: Totals) -> dict[str, int]:
    return {name: getattr(totals, name) for name in totals.__dataclass_fields__}


def _error(of: Mapping[str, Any]) -> Any:
    """How far the estimate is from the exact value, the largest distance where they are lists."""
    if of.get("error") is not None:
        return of["error"]
    estimate, exact = plain(of.get("estimate")), plain(of.get("exact"))
    if _is_number(estimate) and _is_number(exact):
        return abs(estimate - exact)
    if isinstance(estimate, list) and isinstance(exact, list) and len(estimate) == len(exact) > 0:
        pairs = list(zip(estimate, exact, strict=True))
        if all(_is_number(value) for pair in pairs for value in pair):
            return max(abs(a - b) for a, b in pairs)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
