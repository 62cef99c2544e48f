"""Recorded fields: dotted paths into the JSON view of a result, each kind's own list of them, and checks of both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds.result import result_schema
from ketwire.scenarios.schema.validation import meant

if TYPE_CHECKING:
    from ketwire.scenarios.kinds.interface import Kind

COUNTED = (
    "virtual_time_ps", "links_idle_ps", "copies", "qubits_sent", "qubits_delivered", "ebits", "payload_bits",
    "control_bits",
)  # fmt: skip
FOUND = {
    "advantage": ("score", "standard_error", "margin_bits", "claim"),
    "central": ("accuracy", "deviation", "best_epoch_accuracy", "difference"),
    "inference": ("estimate",),
    "gradient": ("parameters",),
    "graph": ("test_accuracy", "agreement", "decisions", "copies_95", "qubits_per_decision", "bits_per_decision"),
    "subspace": ("accuracy", "test_accuracy", "decisions"),
    "training": ("train_loss", "test_accuracy", "steps"),
}
"""What is recorded of each kind where a study says nothing, beside COUNTED and the winner."""
WINNER = "winner"
"""Who wins by the result's verdict: quantum, classical, tie or nobody; null where a kind words its own verdict."""
OF_THE_MACHINE = "wall_s"


def default_fields(kinds: Iterable[str]) -> list[str]:
    """The fields that are recorded of these kinds where a study says nothing."""
    own = [field for kind in kinds for field in FOUND.get(kind, ("estimate",))]
    return list(dict.fromkeys((*COUNTED, *own, WINNER)))


def found(told: Mapping[str, Any], field: str) -> Any:
    """The value at a dotted path of a result as JSON has it; None where there is none."""
    here: Any = told
    steps = field.split(".")
    while steps:
        if isinstance(here, Mapping):
            # A name may hold dots itself: the longest that there is.
            for length in range(len(steps), 0, -1):
                if (name := ".".join(steps[:length])) in here:
                    here, steps = here[name], steps[length:]
                    break
            else:
                return None
        elif isinstance(here, list) and steps[0].isdigit() and int(steps[0]) < len(here):
            here, steps = here[int(steps[0])], steps[1:]
        else:
            return None
    return here


def flat(field: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The cells of a recorded value by column: a mapping has one for each value in it, a list is JSON text."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from flat(f"{field}.{key}", below)
    elif isinstance(value, list):
        yield field, json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    else:
        yield field, value


def check_fields(fields: Sequence[str], kinds: Mapping[str, Kind], rivals: Iterable[str], where: str) -> None:
    """Whether results have all fields.

    Args:
        where: how errors call their list.

    Raises:
        ScenarioError: a field that no result of these kinds has, or one that differs between machines.
    """
    schemas = [result_schema(kind.Result) for kind in kinds.values()]
    known_rivals = sorted(rivals)
    for index, field in enumerate(fields):
        if field.split(".")[-1] == OF_THE_MACHINE:
            told = "which differs between machines, expected another: times.jsonl has it"
            raise ScenarioError(f"{where}.{index}: {field} given, {told}")
        if field == WINNER:
            continue
        steps = field.split(".")
        if steps[0] == "rivals" and len(steps) > 1 and not any(
            field == f"rivals.{name}" or field.startswith(f"rivals.{name}.") for name in known_rivals
        ):
            raise ScenarioError(f"{where}.{index}: {field} given, expected rivals.NAME of {', '.join(known_rivals)}")
        unknown = [_unknown(steps, schema) for schema in schemas]
        if all(each is not None for each in unknown):
            at, names = next(each for each in unknown if each is not None)
            near = meant(steps[at], names)
            raise ScenarioError(f"{where}.{index}: unknown field {field}, expected one of {', '.join(names)}{near}")


def may_be_number(field: str, kinds: Mapping[str, Kind]) -> bool:
    """Whether a field of a result, as `check_fields` lets it pass, can be a number for any of these kinds."""
    schemas = (result_schema(kind.Result) for kind in kinds.values())
    return field != WINNER and any(_may_be_number(field.split("."), schema) for schema in schemas)


def _may_be_number(steps: Sequence[str], schema: Mapping[str, Any]) -> bool:
    nodes: list[Any] = [schema]
    for step in steps:
        opened = [node for each in nodes for node in _opened(each, schema)]
        nodes = [node["properties"][step] for node in opened if step in node.get("properties", {})]
    ends = [node for each in nodes for node in _opened(each, schema)]
    # Without an end it is a name or a number that only a run knows.
    return not ends or any(node.get("type") in ("number", "integer") or not node.keys() & _TOLD for node in ends)


def _unknown(steps: Sequence[str], schema: Mapping[str, Any]) -> tuple[int, list[str]] | None:
    """Which step leads nowhere, and which names would lead somewhere; None where all may lead to something."""
    nodes = [schema]
    for at, step in enumerate(steps):
        opened = [node for each in nodes for node in _opened(each, schema)]
        nodes, names = [], []
        for node in opened:
            names += node.get("properties", {})
            if step in node.get("properties", {}):
                nodes.append(node["properties"][step])
            elif node.get("additionalProperties") not in (None, False) or "items" in node or not (node.keys() & _TOLD):
                return None  # names or numbers that only a run knows
        if not nodes:
            return at, list(dict.fromkeys((*names, *([WINNER] if at == 0 else ()))))
    return None


_TOLD = {"properties", "type", "additionalProperties", "enum", "const"}


def _opened(node: Any, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A node with references followed and unions opened."""
    if not isinstance(node, Mapping):
        return
    if "$ref" in node:
        yield from _opened(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    branches = [each for key in ("oneOf", "anyOf", "allOf") for each in node.get(key, ())]
    for branch in branches:
        yield from _opened(branch, schema)
    if not branches and "$ref" not in node:
        yield node
