"""Who does the physics of a fiber: engines, and what each must answer.

A direction of a link (`channels.link`) keeps order, ledger and transcript; the machine in it carries the
registers. Which machine that is, a line's `engine` says. `builtin` is this package's own
(`channels.machines`), `netsquid` the adapter of `channels.netsquid_engine`. The conformance suite
tests/channels/test_engines.py asks every engine that can be imported the same questions.

What a machine must hold to (`Machine`), with every engine:

- registers are served in order, one after the other: a register whose sender hands it over while the
  emitter is busy waits, and `busy_until_ps` is when the last one has left;
- it is given living copies alone, and `Passage` has an entry for each of them, in their order;
- a copy that lost a qubit is `lost`, and its arrival is the empty time bin that tells so;
- averaged over many copies of a state, those that arrived are in the state that the channel gives;
- `states` and `row` are the same array objects that came in where nothing touched them;
- all randomness comes from `draw(purpose)`: the same streams give the same passage.
"""

from __future__ import annotations

from typing import Protocol

from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.line import ENGINES, Line
from ketwire.channels.machines import CodedMachine, DirectMachine, Machine
from ketwire.channels.transports import Coded, Direct, Teleport
from ketwire.errors import ScenarioError


class Engine(Protocol):
    """A way to compute what a line does to what crosses it."""

    def lack(self) -> str | None:
        """What keeps it from working in this interpreter, in words; None where it works."""
        ...

    def machine(self, line: Line) -> Machine:
        """What carries registers over one direction of this line."""
        ...


class Builtin:
    """The engine of this package: every transport, every noise, whole batches at once."""

    def lack(self) -> str | None:
        return None

    def machine(self, line: Line) -> Machine:
        transport = line.transport
        if isinstance(transport, Direct):
            return DirectMachine(line)
        if isinstance(transport, Teleport):
            from ketwire.channels.entanglement.teleporting import TeleportMachine  # noqa: PLC0415 (with pairs alone)

            return TeleportMachine(line, transport)
        if isinstance(transport, Coded):
            return CodedMachine(line, transport)
        assert isinstance(transport, Chain)
        from ketwire.channels.entanglement.stock import StockMachine  # noqa: PLC0415 (with chains alone)

        return StockMachine(line)


def engine(name: str) -> Engine:
    """The engine of this name.

    Raises:
        ValueError: there is none.
    """
    if name == "builtin":
        return Builtin()
    if name == "netsquid":
        from ketwire.channels.netsquid_engine import NetSquid  # noqa: PLC0415

        return NetSquid()
    raise ValueError(f"engine: {name!r} given, expected one of {', '.join(ENGINES)}")


def require(name: str) -> None:
    """Make sure that the engine of this name works in this interpreter.

    Raises:
        ScenarioError: it does not, and why.
    """
    if (lack := engine(name).lack()) is not None:
        raise ScenarioError(f"engine: {name!r} given, expected one that works here: {lack}")
