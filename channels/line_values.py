"""A line as JSON values and back: how a process is told which line it is to be."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.entanglement.delivery import Delivery
from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.eve import attack_of
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.parts import Gates, Memory, Noise
from ketwire.channels.transports import Coded, Direct, Teleport


def told(line: Line) -> dict[str, Any]:
    """A line as JSON values, for the process that is to be it."""
    return asdict(line)


def line_of(values: dict[str, Any]) -> Line:
    """The line that `told` told of."""
    from ketwire.channels.entanglement.distill import Schedule  # noqa: PLC0415

    transport = dict(values["transport"])
    if transport.get("distillation") is not None:
        transport["distillation"] = Schedule(**transport["distillation"])
    if transport["kind"] == "teleport":
        laboratory = {name: _tuples(value) for name, value in transport["laboratory"].items()}
        transport |= {"laboratory": Laboratory(**laboratory), "bell": _tuples(transport["bell"])}
        if (delivery := transport["delivery"]) is not None:
            transport["delivery"] = Delivery(**{name: _tuples(value) for name, value in delivery.items()})
    if transport["kind"] == "chain":
        transport["hops"] = tuple(line_of(hop) for hop in transport["hops"])
        transport = {name: _tuples(value) for name, value in transport.items()}
    kinds: dict[str, type[Direct | Teleport | Coded | Chain]] = {
        "direct": Direct, "teleport": Teleport, "coded": Coded, "chain": Chain,
    }  # fmt: skip
    noise = [{**each, "operators": _tuples(each["operators"])} for each in values["noise"]]
    return Line(
        Fiber(**values["fiber"]),
        tuple(Noise(**each) for each in noise),
        Memory(**values["sender"]),
        Memory(**values["receiver"]),
        kinds[transport["kind"]](**transport),
        None if values["eve"] is None else attack_of(values["eve"]),
        values["engine"],
        values["sender_message_ps"],
        values["receiver_message_ps"],
        _gates(values["sender_gates"]),
        _gates(values["receiver_gates"]),
    )


def _gates(values: dict[str, Any]) -> Gates:
    return Gates(**{name: _tuples(each) for name, each in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, list | tuple) else value
