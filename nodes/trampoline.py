"""The trampoline: drives a program from effect to effect, with no event loop under it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from typing import Any, NoReturn

from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.messages import Answers, Arrivals, Message, Packed
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError, blamed, quoting
from ketwire.modules import find, shown
from ketwire.nodes.programs import target_of
from ketwire.nodes.session import agree
from ketwire.protocols.node import Checkpoint, Effect, Loader, Node, Outcome, Program, Receive, Send, Shape
from ketwire.protocols.typed import Told, made, told

EFFECTS = (Send, Receive, Checkpoint)
OCTETS_PER_COPY = 21  # row 4, ready time 8, mask, and rounding up; both runtimes count alike
OCTETS_OF_HEADER = 128
OCTETS_PER_PAIR = 73  # six elements, three times, mask


class Task:
    """A running program: the effect it waits for, or, once it is `done`, its outcome; None: it has nothing to tell.

    Raises:
        PartyFailed: the program raised something; the message names the program's file and line.
        LocalProtocolError: it broke the rules.
    """

    def __init__(self, program: Program, node: Node) -> None:
        self._party, self._module = node.name, type(program).__module__
        self._kind = program.Outcome
        self.effect: Effect | None = None
        self.outcome: Outcome | None = None
        try:
            self._coroutine: Coroutine[Any, Any, Outcome | None] = program.run(node)
        except (Exception, SystemExit) as error:
            self._blame(error)
        self.resume(None)

    @property
    def done(self) -> bool:
        return self.effect is None

    def resume(self, answer: Any) -> None:
        """Answer the effect that the program waits for, and run on to the next one or to the end."""
        try:
            effect = self._coroutine.send(answer)
        except StopIteration as end:
            self.effect, self.outcome = None, self._returned(end.value)
            return
        except (Exception, SystemExit) as error:
            self._blame(error)
        if not isinstance(effect, EFFECTS):
            rest = "it may await only its node's send, receive and checkpoint"
            wrong = LocalProtocolError(f"a program awaited {effect!r}; {rest}")
            wrong.abroad = f"a program awaited something of type {type(effect).__name__}; {rest}"
            raise wrong
        self.effect = effect

    def close(self) -> None:
        """Drop a program that will not be finished. Its errors do not count: the run has failed already."""
        with suppress(Exception):
            self._coroutine.close()

    def _returned(self, value: Any) -> Outcome | None:
        """The outcome as every runtime tells it: it has been JSON values and arrays."""
        if value is None:
            return None
        if type(value) is not self._kind:
            told_of = f"{type(value).__name__} returned, expected {self._kind.__name__} or None"
            raise _wrong(self._party, f"{shown(self._module)}: {told_of}")
        try:
            found: Outcome = made(self._kind, *told(value, "outcome"), "outcome")
        except (LocalProtocolError, RemoteProtocolError) as error:
            raise _wrong(self._party, f"{shown(self._module)}: {error}") from None
        return found

    def _blame(self, error: BaseException) -> NoReturn:
        told = blamed(error, self._party, self._module)
        raise told from None if told is error else error


def _found(name: str) -> Any:
    """The program of this id, or `module:Class`.

    Raises:
        ScenarioError: it cannot be imported, or does not say what it takes and tells.
    """
    target = target_of(name)
    try:
        program = find(target)
    except (Exception, SystemExit) as error:

        def refusal(told: str) -> ScenarioError:
            return ScenarioError(f"protocol: program {name!r} cannot be imported ({told}); expected module:Class")

        raise quoting(refusal, error, target.partition(":")[0]) from error
    if not is_dataclass(getattr(program, "Slice", None)) or not _is_outcome(getattr(program, "Outcome", None)):
        raise ScenarioError(
            f"protocol: program {name!r} given, expected one with Slice, a frozen dataclass, and Outcome, a "
            "subclass of ketwire.protocols.node.Outcome"
        )
    return program


def _is_outcome(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Outcome)


def outcome_of(name: str, values: Any, arrays: Mapping[str, NDArray[Any]]) -> Outcome:
    """What a program has returned, as `told` told of it; `name`: its id, or `module:Class`.

    Raises:
        RemoteProtocolError: these are no values of the program's `Outcome`.
        ScenarioError: the program cannot be imported.
    """
    kind: type[Outcome] = _found(name).Outcome
    return made(kind, values, arrays, "outcome")


def build_program(name: str, slice: Told | None, load: Loader, party: str) -> Program:
    """Import a program and build it over the slice of `party`; the owner's data are loaded here.

    Args:
        name: an id of `ketwire.nodes.programs`, or `module:Class`.
        slice: as `told` told of it; None: `Slice()`.

    Raises:
        ScenarioError: it cannot be imported, or the data are wrong.
        PartyFailed: the program raised something; the message names the program's file and line.
        RemoteProtocolError: the slice is not of the program's type.
    """
    module, program = target_of(name).partition(":")[0], _found(name)
    trainings = _Trainings(load)
    try:
        own = program.Slice() if slice is None else made(program.Slice, *slice, "slice")
        built: Program = program(own, trainings)
        shapes: Any = built.shapes
    except (Exception, SystemExit) as error:
        told_of = blamed(error, party, module)
        raise told_of from None if told_of is error else error
    if not isinstance(shapes, Mapping) or not all(isinstance(shape, Shape) for shape in shapes.values()):
        rest = "given, expected a dict of Shape(value, origin)"
        wrong = _wrong(party, f"{name}: shapes: {shapes!r} {rest}")
        wrong.abroad = f"{name}: shapes: {type(shapes).__name__} {rest}"
        raise wrong
    built.shapes = trainings.beside(shapes)
    return built


class _Trainings:
    """A loader that notes of which training its owner's angles are: a public fact, which must be the same everywhere.

    Models of two trainings may fit each other in their shapes, and mean nothing together.
    """

    def __init__(self, load: Loader) -> None:
        self._load = load
        self._found: dict[str, int] = {}

    def __call__(self, key: str, source: dict[str, Any]) -> dict[str, NDArray[Any]]:
        arrays = self._load(key, source)
        if "training" in arrays:
            self._found[key] = int.from_bytes(arrays["training"][:6].tobytes())
        return arrays

    def beside(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Public facts with this one.

        Raises:
            ScenarioError: two layers of the owner are of different trainings.
        """
        facts = {key: {"training": Shape(number, key)} for key, number in self._found.items()}
        agree(facts)
        return {**shapes, **next(iter(facts.values()), {})}


def _wrong(party: str, message: str) -> LocalProtocolError:
    error = LocalProtocolError(message)
    error.party = party
    return error


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
