"""The classical rivals of the kind `graph`: which run, and their sessions."""

from __future__ import annotations

from collections.abc import Mapping

from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session
from ketwire.protocols.graph.rivals import RivalSlice
from ketwire.protocols.graph.sides import Side
from ketwire.scenarios.kinds.graph.frame import Frame
from ketwire.scenarios.kinds.interface import Network

MOST_NUMBERS = 1 << 31
"""That either side of a sketch draws: half a minute."""


def rival_sessions(frame: Frame, network: Network, sides: Mapping[str, Side]) -> list[Session]:
    """The sessions of all rivals that the scenario asks for.

    Raises:
        ScenarioError: a sketch would draw too many numbers.
    """
    spec = frame.spec

    def session(name: str, program: str, bits: int, **more: object) -> Session:
        slices = {party: RivalSlice(side, bits, **more) for party, side in sides.items()}  # type: ignore[arg-type]
        return Session(name, "rival", program, slices)

    sessions = []
    if spec.features is not None:
        sessions.append(session("features", "graph/features", spec.features))
    hops = tuple((each.operator, each.count) for each in frame.model.hops)
    sessions += [session(f"hops-{bits}-bit", "graph/hops", bits, hops=hops) for bits in spec.hops]
    entries = sum(frame.public.sizes) * frame.public.features
    for index, signs in enumerate(spec.sketch):
        if signs * entries > MOST_NUMBERS:
            raise ScenarioError(
                f"protocol.sketch.{index}: {signs} given, expected at most {MOST_NUMBERS // max(entries, 1)}: the "
                f"registers have {entries:,} entries, and either side draws a number for each and each sign"
            )
    for name, bits in (("sketch", spec.sketch), ("code", spec.code)):
        for each in bits:
            told = name if len(bits) == 1 else f"{name}-{each}"
            sessions.append(session(told, f"graph/{name}", each, shared_seed=network.seed))
    return sessions
