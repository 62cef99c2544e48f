"""Whether a session needs the extra `fast`: told before it starts, and by `ketwire validate`.

Which engine applies a circuit follows from the predicted work of one application (`quantum.engines.dispatch`). Before
anything has run that is known for layers whose gates the scenario tells, and for as many registers at once as one
message holds. What is not known here, a layer of its owner's own, is refused where it is first applied.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session
from ketwire.protocols.layers import Part
from ketwire.quantum.engines.dispatch import choose_engine, predict_work
from ketwire.scenarios.kinds.interface import Network

AMPLITUDE_OCTETS = 16


def check_compiled(spec: Any, network: Network, session: Session, public: Mapping[str, int]) -> None:
    """Refuse a quantum session whose circuits numba would compile, where numba is not installed.

    Args:
        public: the agreed shapes; of a training they say how many rows it has.

    Raises:
        ScenarioError: that is so.
    """
    if session.role != "quantum" or importlib.util.find_spec("numba") is not None:
        return
    if not hasattr(spec, "layers") or not hasattr(spec, "qubits"):
        return  # none of ours that apply circuits
    from ketwire.protocols.gradient.outline import outline  # noqa: PLC0415

    flags = getattr(spec, "flags", 0)
    rows = _rows(spec, network, public, spec.qubits + flags)
    for party, given in session.slices.items():
        for layers in _part(given).visits.values():
            circuit = outline(_flagged(layers), spec.qubits, flags)
            if circuit is None:
                continue
            try:
                choose_engine(predict_work(circuit, rows))
            except ScenarioError as error:
                raise ScenarioError(f"{layers[0]['key']}: {party}: {error}") from None


def _part(given: Any) -> Part:
    """A party's own layers, as the slices of the built-in kinds have them; nothing is known of other slices."""
    training = getattr(given, "training", None)
    found = getattr(given, "part", None) if training is None else training.model.part
    return found if isinstance(found, Part) else Part((), 0)


def _flagged(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers that are unitary as they stand; a contraction is no circuit unless it has a flag."""
    return [layer for layer in layers if layer["layer"] != "contraction" or "flag" in layer]


def _rows(spec: Any, network: Network, public: Mapping[str, int], qubits: int) -> int:
    """How many distinct registers are worked on at once, at most: as many as a message holds.

    Over links that leave states as they are these are the distinct inputs; each copy else.
    """
    held = max(2, spec.max_batch_octets // (AMPLITUDE_OCTETS << qubits))
    if any(line.touches_states for link in network.links for _, _, line in link.directions()):
        return int(held)
    return int(min(held, max(public.get("train rows", 1), public.get("test rows", 1))))
