"""Links with `via`: which hops a chain of repeaters has, its lines, and the plan that its parties share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from ketwire.channels.entanglement.chain import MAX_HOPS, Chain
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.sums import exact_sum
from ketwire.channels.timing import PS_PER_S
from ketwire.protocols.repeaters import ChainPlan
from ketwire.scenarios.schema.links import Link
from ketwire.scenarios.schema.nodes import Node
from ketwire.scenarios.schema.strict import some

Ends = frozenset[str]
Complaint = tuple[str, Any, str]
"""A key, below `links` unless said otherwise, what was given there, and what was expected."""


def complaint(nodes: Mapping[str, Node], links: Sequence[Link]) -> Complaint | None:
    """What is wrong with the chains of links that are otherwise well; None where nothing is."""
    return next(_complaints(nodes, links), None)


def _complaints(nodes: Mapping[str, Node], links: Sequence[Link]) -> Iterator[Complaint]:
    serves: dict[frozenset[str], int] = {}
    between = joined(links)
    hardware = {name: Hardware() for name in nodes}
    for index, link in enumerate(links):
        if link.via is None:
            continue
        for place, name in enumerate(link.via):
            if name not in nodes:
                yield f"{index}.via.{place}", name, f"a node: {some(nodes)}"
            if name in (*link.between, *link.via[:place]):
                yield f"{index}.via", list(link.via), "repeaters between the two ends, each once"
        if not 1 <= len(link.via) < MAX_HOPS:
            yield f"{index}.via", list(link.via), f"1 to {MAX_HOPS - 1} repeaters, so at most {MAX_HOPS} hops"
        for a, b in _steps(link):
            hop = between.get(frozenset((a, b)))
            if hop is None or hop.carried_by != "teleport" or hop.via is not None:
                given = "has none" if hop is None else "is none"
                expected = f"a chain of links with transport teleport and pairs of their own; {a} to {b} {given}"
                yield f"{index}.via", list(link.via), expected
            elif hop.deliver is not None:
                expected = f"nothing here for a hop of {'-'.join(link.between)}"
                yield f"{links.index(hop)}.deliver", hop.deliver.model_dump(), expected
            other = serves.setdefault(frozenset((a, b)), index)
            if other != index:
                yield f"{index}.via", list(link.via), f"hops of its own; {a} to {b} serves links.{other}"
        try:
            for ends in (link.between, link.between[::-1]):
                line(between, link, hardware, *ends)
        except ValueError as error:
            name, _, message = str(error).partition(": ")
            yield f"{index}.{name}", getattr(link, name, None), message.partition("expected ")[2] or message


def misplaced(nodes: Mapping[str, Node], links: Sequence[Link]) -> Complaint | None:
    """What a node says of preparation, though no register is ever prepared there, as it only swaps.

    All else of its hardware counts. Only links that serve a chain join such a node.
    """
    hops = {frozenset(step) for link in links if link.via is not None for step in _steps(link)}
    others = (link for link in links if link.carries != "bits" and frozenset(link.between) not in hops)
    visited = {name for link in others for name in link.between}
    for index, link in enumerate(links):
        if (told := _refused_shape(nodes, index, link)) is not None:
            return told
    for name, node in nodes.items():
        if node.physics().memory.attempts is None:
            continue
        if not any(name in (link.via or ()) or (name in link.between and link.distill) for link in links):
            expected = "nothing here: at no repeater, and on no link with distill, a half waits for attempts"
            return f"nodes.{name}.t2_attempts", node.t2_attempts, expected
    for name in dict.fromkeys(name for link in links for name in link.via or ()):
        if name not in visited and (key := nodes[name].prepares_by()) is not None:
            expected = "nothing here: a repeater prepares no register"
            return f"nodes.{name}.{key}", getattr(nodes[name], key), expected
    return None


def _refused_shape(nodes: Mapping[str, Node], index: int, link: Link) -> Complaint | None:
    """A Gaussian decay where halves wait in several stretches: at the ends of a chain, or with several repeaters."""
    places = () if link.via is None else link.between if len(link.via) == 1 else (*link.between, *link.via)
    for name in places:
        if nodes[name].physics().memory.gaussian:
            key = nodes[name].shaped_by()
            expected = "exponential" if key == "t2_shape" else "t2_shape: exponential beside it"
            expected += f" in the chain of links.{index}: halves wait there in several stretches"
            return f"nodes.{name}.{key}", getattr(nodes[name], key), expected
    return None


def joined(links: Sequence[Link]) -> Mapping[Ends, Link]:
    """Links that carry qubits by their two ends."""
    return {frozenset(link.between): link for link in links if link.carries != "bits"}


def line(
    between: Mapping[Ends, Link], link: Link, hardware: Mapping[str, Hardware], sender: str, receiver: str
) -> Line:
    """One direction of any of the links of a scenario, which `between` has by their ends.

    Raises:
        ValueError: values that contradict physics or each other; the message starts with the key.
    """
    if link.via is None:
        return _way(link, hardware, sender, receiver)
    hops = [(between.get(frozenset((a, b))), a, b) for a, b in _steps(link)]
    lines = [_way(hop, hardware, b, a) for hop, a, b in hops if hop is not None]
    fiber = link.physics()
    if link.length_km is None:
        fiber = replace(fiber, length_km=exact_sum(each.fiber.length_km for each in lines))
    via = link.via
    if (sender, receiver) == link.between:
        lines.reverse()  # pairs grow from the receiver
    else:
        lines = [_way(hop, hardware, a, b) for hop, a, b in hops if hop is not None]
        via = via[::-1]
    chosen = {name: getattr(link, name) for name in ("generation", "distill_spans", "distill_protocol")}
    chosen |= {"cutoff_attempts": link.cutoff_attempts}
    chosen |= {"cutoff_ps": None if link.cutoff_s is None else round(link.cutoff_s * PS_PER_S)}
    given = {name: value for name, value in chosen.items() if value is not None}
    a, b = hardware[sender], hardware[receiver]
    return Line(
        fiber, (), a.memory, b.memory, Chain(via=via, hops=tuple(lines), **given),
        sender_message_ps=a.message_ps, receiver_message_ps=b.message_ps, sender_gates=a.gates, receiver_gates=b.gates,
    )  # fmt: skip


def _way(link: Link, hardware: Mapping[str, Hardware], sender: str, receiver: str) -> Line:
    """One direction of a link with pairs of its own."""
    way: Literal["forward", "backward"] = "forward" if (sender, receiver) == link.between else "backward"
    return link.line(hardware[sender], hardware[receiver], way)


def plan_of(physics: Line, sender: str, receiver: str) -> ChainPlan | None:
    """What all parties of a chain are told of it; None for any other line."""
    chain = physics.transport
    if not isinstance(chain, Chain):
        return None
    return ChainPlan(
        nodes=(receiver, *reversed(chain.via), sender),
        lanes=chain.lanes,
        folds=tuple(chain.folds(hop) for hop in range(len(chain.hops))),
        in_turn=chain.generation == "sequential",
        distill=chain.distill_protocol,
        success=chain.planned().success,
        limits=tuple((each.held_ps, each.trying_ps, each.own_ps) for each in chain.limits),
    )


def _steps(link: Link) -> list[tuple[str, str]]:
    assert link.via is not None
    a, b = link.between
    return list(pairwise((a, *link.via, b)))
