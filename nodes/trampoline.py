"""The trampoline: drives a program from effect to effect, with no event loop under it."""

from __future__ import annotations

import importlib
from collections.abc import Coroutine
from typing import Any

from ketwire.channels.copies import Copies
from ketwire.channels.entangled import Pairs, Released
from ketwire.channels.messages import Answers, Arrivals, Message, Packed
from ketwire.errors import LocalProtocolError, ScenarioError
from ketwire.protocols.node import Checkpoint, Effect, Loader, Outcome, Program, Receive, Send, Slice

OCTETS_PER_COPY = 21  # row 4, ready time 8, mask, and rounding up; both runtimes count alike
OCTETS_OF_HEADER = 128
OCTETS_PER_PAIR = 73  # six elements, three times, mask


class Task:
    """A running program: the effect it waits for, or its outcome."""

    def __init__(self, coroutine: Coroutine[Effect, Any, Outcome]) -> None:
        self._coroutine = coroutine
        self.effect: Effect | None = None
        self.outcome: Outcome | None = None
        self.resume(None)

    @property
    def done(self) -> bool:
        return self.outcome is not None

    def resume(self, answer: Any) -> None:
        """Answer the effect that the program waits for, and run on to the next one or to the end."""
        try:
            effect = self._coroutine.send(answer)
        except StopIteration as end:
            self.effect, self.outcome = None, end.value if end.value is not None else Outcome()
            return
        if not isinstance(effect, Send | Receive | Checkpoint):
            told = f"a program awaited {effect!r}"
            raise LocalProtocolError(f"{told}; it may await only its node's send, receive and checkpoint")
        self.effect = effect

    def close(self) -> None:
        """Drop a program that will not be finished."""
        self._coroutine.close()


def build_program(name: str, slice: Slice, load: Loader) -> Program:
    """Import `module:Class` and build it over its slice; the owner's data are loaded here."""
    module, _, attribute = name.partition(":")
    try:
        program: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ScenarioError(f"protocol: program {name!r} cannot be imported ({error}); expected module:Class") from None
    built: Program = program(slice, load)
    return built


def octets(message: Message) -> int:
    """What a message weighs against the credit of its direction: a nominal size, alike everywhere.

    A batch is weighed by its qubits and copies and not by its rows, which are syndromes.
    """
    if isinstance(message, Copies):
        state = 16 << message.qubits * (2 if message.mixed else 1)
        return OCTETS_OF_HEADER + state + OCTETS_PER_COPY * len(message)
    if isinstance(message, Pairs):
        return OCTETS_OF_HEADER + OCTETS_PER_PAIR * len(message)
    if isinstance(message, Released):
        return OCTETS_OF_HEADER + message.free_ps.nbytes
    if isinstance(message, Packed):
        positions = 0 if message.positions is None else message.positions.nbytes
        return OCTETS_OF_HEADER + message.codes.nbytes + positions
    if isinstance(message, Answers):
        return OCTETS_OF_HEADER + message.values.nbytes
    assert isinstance(message, Arrivals)
    return OCTETS_OF_HEADER + message.counts.nbytes


def describe(effect: Effect, finished: bool = False) -> str:
    """What a blocked program waits for, in words."""
    if isinstance(effect, Receive):
        ended = ", who has finished" if finished else ""
        return f"{effect.kind.__name__} from {effect.peer}{ended}"
    if isinstance(effect, Checkpoint):
        return f"the others at checkpoint {effect.step}"
    return f"room to send to {effect.peer}, who does not read"
