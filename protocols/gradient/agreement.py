"""What all parties of a session agree on before it starts: the promise, and copies and runs for each visit.

It follows from public values alone: what the scenario says, and the numbers of each unitary that its owner
tells when it has loaded its layers (`protocols.gradient.outline`). Gradients and training work it out in the same
way, and so does the check of a budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ketwire.errors import ScenarioError
from ketwire.protocols.gradient.outline import facts, heard, promise_of
from ketwire.protocols.node import Json, Shape
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Demand, Estimator, Promise
from ketwire.quantum.gradients.estimators import FROM_FEATURES, Commuting, Direct
from ketwire.quantum.gradients.features import Block, blocks_of
from ketwire.quantum.gradients.grouped import Grouped
from ketwire.quantum.gradients.parameter_shift import ParameterShift, Shifts
from ketwire.quantum.gradients.shadows import ClassicalShadows, median_plan

NO_FRAME = -1
"""Told in the place of a block's number: a parameter feeds several blocks."""


def made_estimator(values: Mapping[str, Json], groups: Sequence[Sequence[int]] | None = None) -> Estimator:
    """The estimator of a slice, `name` and settings; `groups` of one unitary's parameters, if it has any."""
    settings = dict(values)
    name = settings.pop("name")
    if groups is not None:
        return Grouped(tuple(map(tuple, groups)))
    return FROM_FEATURES[name](**settings)


@dataclass(frozen=True)
class Terms:
    """What a scenario says of estimates, public in a slice.

    estimator: its `name` and settings. copies: of each visit, or else epsilon and delta. derived: visits whose
    parameters are derived by. blocks: of parameters, where the estimator is told them.
    """

    estimator: Json
    copies: int | None
    epsilon: float | None
    delta: float | None
    derived: tuple[int, ...]
    blocks: list[list[int]] | None = None


@dataclass(frozen=True)
class Agreement:
    """What all parties of a session work out alike from its public values and what owners told.

    copies: by visit, of its |Φ>, or of each of its shifted inferences. groups: explicit blocks, by visit, of its
    own parameters, counted from 0.
    """

    promise: Promise
    numbers: Mapping[int, Demand | Shifts]
    copies: Mapping[int, int]
    groups: Mapping[int, Sequence[Sequence[int]]]

    @classmethod
    def of(cls, terms: Terms, public: Mapping[str, int]) -> Agreement:
        """public: what the owners told."""
        shifted = terms.estimator["name"] == ParameterShift.name
        kind: type[Demand] | type[Shifts] = Shifts if shifted else Demand
        numbers = {visit: heard(kind, public, visit) for visit in terms.derived}
        promise = promise_of(terms.epsilon, terms.delta, numbers)
        groups = _groups(terms.blocks, numbers)
        copies = {}
        for visit, each in numbers.items():
            if terms.copies is not None:
                copies[visit] = terms.copies
            elif isinstance(each, Shifts):
                copies[visit] = ParameterShift().copies([each], promise)
            else:
                copies[visit] = made_estimator(terms.estimator, groups.get(visit)).copies(each, promise)
        return cls(promise, numbers, copies, groups)

    def refuse_few(self, terms: Terms, key: str = "protocol.copies") -> None:
        """Refuse copies that the estimator cannot deal to all that it measures at a visit.

        key: where the scenario gives the copies.

        Raises:
            ScenarioError: there are fewer.
        """
        given, name = terms.copies, terms.estimator["name"]
        for visit, each in self.numbers.items():
            if given is None or isinstance(each, Shifts):
                continue
            least = parts_of(made_estimator(terms.estimator, self.groups.get(visit)), each, self.promise)
            if given < least:
                raise ScenarioError(f"{key}: {given} given, expected {least} or more for estimator {name}")

    @property
    def runs(self) -> dict[int, int]:
        """Of shifted inferences, by visit."""
        return {visit: each.runs for visit, each in self.numbers.items() if isinstance(each, Shifts)}


def starts_of(numbers: Mapping[int, Demand | Shifts]) -> dict[int, int]:
    """The number of each visit's first parameter, counted through the circuit."""
    starts, count = {}, 0
    for visit, each in numbers.items():
        starts[visit] = count
        count += each.parameters
    return starts


def _groups(
    blocks: Sequence[Sequence[int]] | None, numbers: Mapping[int, Demand | Shifts]
) -> dict[int, list[list[int]]]:
    """Blocks of parameters counted through the circuit, as groups of each visit's own; of the visit of the first."""
    starts = starts_of(numbers)
    groups: dict[int, list[list[int]]] = {visit: [] for visit in numbers} if blocks is not None else {}
    for block in blocks or ():
        visit = max(visit for visit, start in starts.items() if start <= block[0])
        groups[visit].append([number - starts[visit] for number in block])
    return groups


def frame_fact(parameter: int, visit: int) -> str:
    """The name of the public fact which block reads a parameter; told where blocks are explicit."""
    return f"frame of parameter {parameter} at visit {visit}"


def frame_facts(blocks: Sequence[Block], visit: int) -> dict[str, Shape]:
    """The block that reads each parameter, by number, or `NO_FRAME` where there are several."""
    frames: dict[int, int] = {}
    for number, block in enumerate(blocks):
        for slot in block.slots:
            frames[slot] = NO_FRAME if slot in frames else number
    return {frame_fact(slot, visit): Shape(number, "protocol.layers") for slot, number in frames.items()}


def parts_of(estimator: Estimator, asked: Demand, promise: Promise) -> int:
    """Into how many parts an estimator deals the copies of a sample: with fewer copies it can tell nothing."""
    if isinstance(estimator, Grouped):
        return len(estimator.groups)
    if isinstance(estimator, ClassicalShadows):
        return median_plan(promise.delta / promise.parameters)[0]
    return {Commuting.name: asked.blocks, Direct.name: asked.readings}.get(estimator.name, 1)


def public_numbers(terms: Terms, circuit: Circuit, visit: int) -> dict[str, Shape]:
    """What the owner of a visit tells of its unitary, for the estimator of the session.

    Raises:
        ScenarioError: numbers too large to be told.
    """
    if terms.estimator["name"] == ParameterShift.name:
        return facts(Shifts.of(circuit), visit)
    blocks = blocks_of(circuit)
    frames = frame_facts(blocks, visit) if terms.blocks is not None else {}
    return {**facts(Demand.of(blocks), visit), **frames}
