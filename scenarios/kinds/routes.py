"""What the way of a register over a network is made of: its crossings, its flags, and how wide it may become."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.line import Line
from ketwire.channels.planning.budget import Crossing
from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds.interface import Network
from ketwire.scenarios.schema.model import wrong
from ketwire.scenarios.schema.strict import some


def line_between(network: Network, sender: str, receiver: str) -> Line:
    """The direction of a link that leads from one party to another; there is one."""
    link = network.link(sender, receiver)
    assert link is not None
    return next(line for a, b, line in link.directions() if (a, b) == (sender, receiver))


def line_from(network: Network, key: str, sender: str, at: str, receiver: str) -> Line:
    """The physics from one party to another, both named by keys of the protocol.

    Raises:
        ScenarioError: one is no node, both are one, or no link carries registers between them.
    """
    for name, party in ((key, sender), (at, receiver)):
        if party not in network.parties:
            raise ScenarioError(f"protocol.{name}: {party!r} given, expected a node: {some(network.parties)}")
    if sender == receiver:
        raise ScenarioError(f"protocol.{at}: {receiver!r} given, expected another node than the {key}")
    told = f"protocol.{at}: {receiver!r} given, expected a node with a link to {sender}"
    if network.link(sender, receiver) is None:
        raise ScenarioError(told)
    if network.is_hop(sender, receiver):
        raise ScenarioError(f"{told} over which no chain of repeaters makes its pairs")
    return line_between(network, sender, receiver)


def crossings_of(network: Network, parties: Sequence[str], sizes: Sequence[int]) -> list[Crossing]:
    """What a register crosses that goes from party to party, and its qubits on each crossing."""
    found = []
    for (sender, receiver), qubits in zip(pairwise(parties), sizes, strict=True):
        link = network.link(sender, receiver)
        assert link is not None
        found.append(Crossing(link.name, line_between(network, sender, receiver), qubits))
    return found


def flags_of(layers: Sequence[Any], before: int | None = None) -> int:
    """Flag qubits of coherent contractions, one each; of those before a layer, by its index."""
    return sum(layer.layer == "contraction" for layer in layers[:before])


def check_pairs(qubits: int, layers: Sequence[Any]) -> None:
    """Refuse, from a validator, layers of Givens rotations on qubits that are not there."""
    for index, layer in enumerate(layers):
        if layer.layer != "givens":
            continue
        width = layer.first or qubits
        if not 2 <= width <= qubits:
            raise wrong(f"layers.{index}.first", layer.first, f"2 to {qubits}, of a register of two qubits or more")
        for place, distance in enumerate(layer.distances):
            if distance >= width:
                raise wrong(f"layers.{index}.distances.{place}", distance, f"1 to {width - 1}, on {width} qubits")


def check_width(qubits: int, layers: Sequence[Any], ancilla: bool) -> None:
    """Refuse, from a validator, a register that with its flags, and an ancilla, no message carries."""
    flags = flags_of(layers)
    beside = flags + ancilla
    if qubits + beside > MAX_QUBITS:
        with_them = f"flag qubits ({flags})" + (" and the ancilla of |Phi>" if ancilla else "")
        raise wrong("qubits", qubits, f"at most {MAX_QUBITS - beside}: {with_them} go with it")
