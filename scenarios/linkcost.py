"""What one register costs on a link, by each transport that could carry it, and which to take.

Everything is asked of the descriptions that a run works by: a line's survival and times, a code's
logical channel, a scheme's pairs (`ketwire.channels.planning.fidelity`), and the refusals of a run
(`ketwire.channels.planning.budget`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from ketwire.channels.codes.erasure import best_qpc
from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.entanglement.chain import Chain
from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.parts import Memory
from ketwire.channels.planning.budget import Crossing, refusal
from ketwire.channels.planning.fidelity import arrived, average_fidelity
from ketwire.channels.planning.making import Making, making
from ketwire.channels.presets import Preset
from ketwire.channels.streams import derive_key, stream
from ketwire.channels.sums import exact_sum
from ketwire.channels.timing import PS_PER_S
from ketwire.channels.transports import Teleport
from ketwire.errors import ScenarioError
from ketwire.scenarios.schema.model import Link
from ketwire.scenarios.schema.ownpresets import known_link
from ketwire.scenarios.schema.validation import one_line, preset_named

CODES = ("[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]")
MAX_CROSSINGS = 100
ALIKE = 0.001
"""How far a fidelity may lie below the highest and still be taken for its time."""


@dataclass(frozen=True)
class Question:
    """What is asked of a link.

    length_km: None for the preset's own
    qubits, crossings: of one register; crossings go there and back in turn
    copies: registers that are to arrive, which decides what a run would refuse
    t1_s, t2_s: of the memories at both ends, infinite where they hold forever; None for the preset's
    alpha: bright-state population, where single clicks are compared
    slots: memory slots that make pairs side by side

    Raises:
        ScenarioError: no such preset, or a number out of its range; one line that names the field.
    """

    preset: str
    length_km: float | None = None
    qubits: int = 8
    copies: int = 1000
    crossings: int = 1
    t1_s: float | None = None
    t2_s: float | None = None
    alpha: float = 0.1
    slots: int = 1

    def __post_init__(self) -> None:
        known = known_link(self.preset).links
        if self.preset not in known:
            raise ScenarioError(f"link: {self.preset!r} given, expected {preset_named(self.preset, known)}")
        if self.length_km is None and "length_km" not in self.of.figures:
            raise ScenarioError(f"link: length_km: missing, expected km, as {self.preset} has no length of its own")
        for name, value, most in (
            ("qubits", self.qubits, MAX_QUBITS),
            ("copies", self.copies, 10**9),
            ("crossings", self.crossings, MAX_CROSSINGS),
            ("slots", self.slots, 1_000_000),
        ):
            if not 1 <= value <= most:
                raise ScenarioError(f"link: {name}: {value} given, expected a number from 1 to {most}")
        if not 0.0 < self.alpha < 1.0:
            raise ScenarioError(f"link: alpha: {self.alpha} given, expected a number above 0 and below 1")

    @property
    def of(self) -> Preset:
        return known_link(self.preset).links[self.preset]

    def memory(self) -> Memory:
        """At both ends."""
        figures = self.of.memory
        known = {key: float(figures[key].value) for key in ("t1_s", "t2_s") if key in figures}  # type: ignore[arg-type]
        times = {"t1_s": self.t1_s, "t2_s": self.t2_s}
        chosen = known | {key: value for key, value in times.items() if value is not None}
        held = {f"{key[:2]}_ps": value * PS_PER_S for key, value in chosen.items() if value != math.inf}
        gaussian = "t2_ps" in held and "t2_shape" in figures and figures["t2_shape"].value == "gaussian"
        try:
            return Memory(held.get("t1_ps"), held.get("t2_ps"), gaussian)
        except ValueError as error:
            key, _, message = str(error).partition(": ")
            given = chosen.get(f"{key[:2]}_s")
            told = f"link: {key[:2]}_s: {given} given, expected {message.partition('expected ')[2]}"
            raise ScenarioError(told) from None

    def line(self, **told: Any) -> Line:
        """The link with what a scenario could say of it besides.

        Raises:
            ScenarioError: physics that no link has.
        """
        if self.length_km is not None:
            told["length_km"] = self.length_km
        told = {"between": ("alice", "bob"), "fiber": self.preset, **told}
        memory = self.memory()
        try:
            link = Link.model_validate(told, context=known_link(self.preset).context)
            return link.line(Hardware(memory), Hardware(memory))
        except ValidationError as error:
            raise ScenarioError(f"link: {one_line(error, told, Link)}") from None


@dataclass(frozen=True)
class Cost:
    """The average cost of one register that arrives over all its crossings.

    success:  probability that a register survives its crossings
    attempts: registers to emit for one that arrives; None beyond what floats hold
    photons:  emitted for that, those of failed heralding included; None where that is not known (measured pairs)
    ebits:    heralded pairs for that
    time_ps:  of the stream of copies, divided by their number; None beyond what floats hold
    fidelity: entanglement fidelity of the first register that arrives (`ketwire.channels.planning.fidelity`)
    fidelity_error: its standard error, 0 where it is exact
    average_fidelity: over pure states
    refused:  what a run of the copies would say instead of starting, or None
    pairs:    how the link makes pairs; None for a transport without any
    attempt_ps: how long one attempt to make a pair takes; None for a transport without any
    """

    transport: str
    kind: str
    success: float
    attempts: float | None
    photons: float | None
    ebits: float
    time_ps: float | None
    fidelity: float
    fidelity_error: float
    average_fidelity: float
    refused: str | None
    pairs: Making | None = None
    attempt_ps: int | None = None

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "pairs": None if self.pairs is None else self.pairs._asdict()}


@dataclass(frozen=True)
class Answer:
    """A question's costs, the transport to take of those that a run would carry out, and what to know beside them."""

    question: Question
    length_km: float
    memory: Memory
    costs: tuple[Cost, ...]
    notes: tuple[str, ...]

    @property
    def viable(self) -> list[Cost]:
        return [cost for cost in self.costs if cost.refused is None]

    @property
    def alike(self) -> list[Cost]:
        """Those whose fidelity is the highest, to ALIKE."""
        most = max((cost.fidelity for cost in self.viable), default=0.0)
        return [cost for cost in self.viable if cost.fidelity >= most - ALIKE]

    @property
    def recommended(self) -> Cost | None:
        """The fastest of those alike, with the fewest photons where several are; None where none would be run."""
        return min(self.alike, key=lambda cost: (time_of(cost), _photons(cost)), default=None)

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        question = {key: value for key, value in asdict(self.question).items() if key not in ("t1_s", "t2_s")}
        t1_ps, t2_ps = self.memory.constants
        times = {f"{name}_s": None if math.isinf(t) else t / PS_PER_S for name, t in (("t1", t1_ps), ("t2", t2_ps))}
        take = self.recommended
        return {
            **question,
            "length_km": self.length_km,
            **times,
            "transports": [cost.told() for cost in self.costs],
            "recommended": None if take is None else take.transport,
            "notes": list(self.notes),
        }


def answer(question: Question) -> Answer:
    """Work everything out. Where memories decay, waiting times are drawn, always the same ones.

    Raises:
        ScenarioError: as `Question`.
    """
    lines = list(_lines(question))
    costs = tuple(_costed(question, label, line) for label, line in lines)
    fiber, memory = question.line().fiber, question.memory()
    return Answer(question, fiber.length_km, memory, costs, tuple(_notes(question, fiber, costs)))


def cost(label: str, line: Line, qubits: int, copies: int, crossings: int) -> Cost:
    """What one register costs on a line; its other direction has the same fiber and transport.

    Raises:
        ScenarioError: its pairs cannot be made (`ketwire.channels.planning.fidelity.arrived`).
    """
    assert not isinstance(line.transport, Chain)  # no preset is one
    came = arrived(line, qubits, crossings, stream(derive_key(0, "link cost"), label))
    survival = line.survival(qubits)
    # Registers that begin crossing c, of `crossings`, for one that survives them all.
    begun = [_inverse(survival, crossings - crossing) for crossing in range(crossings)]
    emitted: float | None = line.transport.photons(line, qubits)
    if emitted is None and isinstance(line.transport, Teleport) and line.transport.scheme != "given":
        emitted = 2.0 * came.attempts
    # The first crossing, the third and so on share a machine, and no other machine works longer.
    busy_ps = exact_sum(begun[::2]) * max(came.busy_ps, line.outcomes_ps(qubits))
    time_ps = busy_ps + crossings * line.latency_ps(qubits) / copies
    return Cost(
        label,
        line.transport.kind,
        survival**crossings,
        _finite(begun[0]),
        None if emitted is None else _finite(exact_sum(begun) * emitted),
        crossings * came.pairs,
        _finite(time_ps),
        came.fidelity,
        came.error,
        average_fidelity(came.fidelity, qubits),
        refusal([Crossing("link", line, qubits)] * crossings, copies),
        *_made(line),
    )


def _made(line: Line) -> tuple[Making | None, int | None]:
    """How the link makes pairs, and how long one attempt takes."""
    if not isinstance(line.transport, Teleport):
        return None, None
    return making(line), line.transport.pairs(line).attempt_ps


def _costed(question: Question, label: str, line: Line) -> Cost:
    try:
        return cost(label, line, question.qubits, question.copies, question.crossings)
    except ScenarioError as error:
        # Pairs that cannot be made: nothing arrives, in no time worth naming.
        return Cost(label, line.transport.kind, 0.0, None, None, 0.0, None, 0.0, 0.0, 0.0, str(error), *_made(line))


def _lines(question: Question) -> Iterator[tuple[str, Line]]:
    """All candidates, by what they are called."""
    preset = question.of
    if preset.knows_losses:
        direct = question.line(transport="direct")
        yield "direct", direct
        best = best_qpc(direct.fiber.survival).name
        for code in (*CODES, *(() if best == "qpc(1,1)" else (best,))):  # one photon a block is no code
            yield f"coded {code}", question.line(transport="coded", code=code)
    own = preset.transport(None, None)
    schemes: dict[str, dict[str, Any]] = {"double-click": {}, "single-click": {"alpha": question.alpha}}
    if own["transport"] == "teleport":
        schemes = {str(own["scheme"]): {}}
    if question.line(transport="direct").fiber.length_km == 0.0 and own["transport"] != "teleport":
        return  # an attempt would take no time
    for scheme, more in schemes.items():
        name = "measured" if scheme == "given" else scheme
        told = {"transport": "teleport", "scheme": scheme, "memory_slots": question.slots, **more}
        yield f"teleport, {name}", question.line(**told)
        yield f"teleport, {name}, distilled", question.line(**told, distill={"rounds": 1})


def _notes(question: Question, fiber: Fiber, costs: Sequence[Cost]) -> Iterator[str]:
    preset = question.of
    if not preset.knows_losses:
        yield "direct and coded are left out: the preset's sources do not say what its fiber loses"
    if preset.knows_losses and fiber.emission_rate_hz is None and "attempt_s" not in preset.figures:
        yield "no emission rate is known: photons are emitted in no time, and only flight takes any"
    if preset.left_out:
        yield f"ideal here, as the sources do not say: {preset.left_out}"
    measured = any(cost.transport.startswith("teleport, measured") for cost in costs)
    own = preset.figures.get("length_km")
    if measured and own is not None and fiber.length_km != own.value:
        yield f"its pairs were measured over {own.value:g} km: another length changes their messages' delay alone"


def _inverse(survival: float, power: int) -> float:
    """survival^-power, infinite where no float holds it."""
    try:
        return survival**-power
    except (OverflowError, ZeroDivisionError):
        return math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def time_of(cost: Cost) -> float:
    """In ps; infinite beyond what floats hold."""
    return math.inf if cost.time_ps is None else cost.time_ps


def _photons(cost: Cost) -> float:
    return math.inf if cost.photons is None else cost.photons
