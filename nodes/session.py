"""What a runtime is asked to run, and what it answers: the same types for every runtime.

A run is a network (parties and links) and a list of sessions over it. A session is one program per
party with its own clock, random streams and transcript: the quantum protocol is one, each of its
classical rivals another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from ketwire.channels.fiber import Fiber
from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.messages import Classical
from ketwire.channels.records import Record
from ketwire.channels.streams import derive_key
from ketwire.channels.transcript import Chain, transcript_sha256
from ketwire.errors import ScenarioError
from ketwire.protocols.node import Receive, Send, Shape
from ketwire.protocols.typed import Told, told

if TYPE_CHECKING:
    from ketwire.nodes.times.notes import Timeline

DEFAULT_CREDIT_OCTETS = 256 * 1024 * 1024

COORDINATOR = "coordinator"
"""How the coordinator is called among the parties of a run; no party has this name."""


@dataclass(frozen=True)
class Link:
    """A link between two parties: two lines, one for each direction, that share nothing.

    label: its name, if it is not that of its ends
    carries: of what two parties tell each other. Two links may join them, of which one carries qubits and one bits
    python: the interpreter of the fiber's process, a path or a name on PATH; None: ours
    """

    ends: tuple[str, str]
    forward: Line
    backward: Line
    credit_octets: int = DEFAULT_CREDIT_OCTETS
    python: str | None = None
    label: str | None = None
    carries: Literal["all", "qubits", "bits"] = "all"

    @classmethod
    def over(cls, ends: tuple[str, str], fiber: Fiber, credit_octets: int = DEFAULT_CREDIT_OCTETS) -> Self:
        """A link that sends directly over this fiber, both ways, without noise."""
        return cls(ends, Line(fiber), Line(fiber), credit_octets)

    @property
    def name(self) -> str:
        return self.label or "-".join(self.ends)

    def directions(self) -> tuple[tuple[str, str, Line], tuple[str, str, Line]]:
        """(sender, address of the receiver, physics) of both directions."""
        a, b = self.ends
        return (a, self.address(b), self.forward), (b, self.address(a), self.backward)

    def address(self, end: str) -> str:
        """How the other end tells this link to `end` from another: END@LINK where it carries bits alone, else END."""
        return f"{end}@{self.name}" if self.carries == "bits" else end


@dataclass(frozen=True)
class Session:
    """One program per party; `slices` holds what each party is given, of its type `Slice`.

    A party that `slices` does not name is given `Slice()`.

    program: an id of `ketwire.nodes.programs`, or `module:Class`.
    restartable: the programs await checkpoints, so that a death is survived and the run can go on later.
    told: each slice as JSON values and arrays

    Raises:
        LocalProtocolError: a slice is no frozen dataclass, or a field's value is not of the field's type.
    """

    name: str
    role: Literal["quantum", "rival"]
    program: str
    slices: Mapping[str, Any]
    restartable: bool = False
    told: Mapping[str, Told] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        slices = {party: told(own, f"{self.name}: slice of {party}") for party, own in self.slices.items()}
        object.__setattr__(self, "told", slices)


Shapes = Mapping[str, Mapping[str, Shape]]
"""Per party, its public facts."""


@dataclass(frozen=True)
class Run:
    """A network and the sessions to run over it, one after another.

    `check` is called once per session before it starts, with the shapes that all parties agree on;
    it raises ScenarioError where the run cannot work (too many attempts, say). Parties without
    `hardware` of their own have the perfect one. `workload_seed` is None where the scenario has none.
    """

    seed: int
    parties: tuple[str, ...]
    links: tuple[Link, ...]
    sessions: tuple[Session, ...]
    check: Callable[[Session, Mapping[str, int]], None] = lambda session, public: None
    hardware: Mapping[str, Hardware] = field(default_factory=dict)
    workload_seed: int | None = None

    @property
    def workload(self) -> int:
        """The seed of random data and parameters."""
        return self.seed if self.workload_seed is None else self.workload_seed

    def hardware_of(self, party: str) -> Hardware:
        return self.hardware.get(party, Hardware())


class Totals(NamedTuple):
    """What a direction of a link carried in a session, or all of them together.

    idle_ps: when the last of it had arrived, heralds to the sender included
    """

    messages: int = 0
    copies: int = 0
    qubits_sent: int = 0
    qubits_delivered: int = 0
    ebits: int = 0
    payload_bits: int = 0
    control_bits: int = 0
    idle_ps: int = 0

    def add(self, record: Record, herald_ps: int) -> Totals:
        return Totals(
            self.messages + 1,
            self.copies + record.copies,
            self.qubits_sent + record.qubits_sent,
            self.qubits_delivered + record.qubits_delivered,
            self.ebits + record.ebits,
            self.payload_bits + record.payload_bits,
            self.control_bits + record.control_bits,
            max(self.idle_ps, record.arrival_ps, herald_ps),
        )


@dataclass(frozen=True)
class SessionResult:
    """What came of a session.

    outcomes are per party that has told something, clocks_ps per party, directions maps "alice->bob" to what that
    direction cost, records is the ledger merged by virtual time, direction and number (empty unless asked for),
    records_lost says why there is none,
    timeline: notes of all times, where they were asked for,
    eve maps the directions that somebody listens in to what she got (`channels.eve`); no party sees it.
    """

    name: str
    role: Literal["quantum", "rival"]
    outcomes: Mapping[str, Any]
    clocks_ps: dict[str, int]
    directions: dict[str, Totals]
    chains: tuple[Chain, ...]
    records: tuple[Record, ...] = field(default=(), repr=False)
    eve: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    records_lost: str | None = None
    timeline: Timeline | None = field(default=None, repr=False, compare=False)

    @property
    def virtual_time_ps(self) -> int:
        """When the last party that has a result knew it; without any result, when the last program ended."""
        return max(self.known_ps.values())

    @property
    def known_ps(self) -> dict[str, int]:
        """When each party that has a result knew it; without any result, when each program ended."""
        known_ps = {
            party: self.clocks_ps[party] if outcome.known_ps is None else outcome.known_ps
            for party, outcome in self.outcomes.items()
        }
        return known_ps or self.clocks_ps

    @property
    def links_idle_ps(self) -> int:
        """When the last copy and the last report had arrived, those that no result waits for included."""
        return max(*self.clocks_ps.values(), *(totals.idle_ps for totals in self.directions.values()))

    @cached_property
    def transcript_sha256(self) -> str:
        return transcript_sha256(self.chains)

    @cached_property
    def totals(self) -> Totals:
        parts = self.directions.values()
        names = [name for name in Totals._fields if name != "idle_ps"]
        sums = {name: sum(getattr(part, name) for part in parts) for name in names}
        return Totals(**sums, idle_ps=max((part.idle_ps for part in parts), default=0))


Progress = Callable[[str, str, int, int, str, int, str], None]
"""Called with (session, party, done, total, label, clock_ps, found); found: in words, what it has found so far."""
Tell = Callable[[int, int, str, int, str], None]
"""The same of one party in one session: (done, total, label, clock_ps, found)."""


def party_at(address: str) -> str:
    """The party that an address is of."""
    return address.partition("@")[0]


def addresses_of_bits(addresses: Iterable[str]) -> dict[str, str]:
    """By party the address that classical messages to it go to, where these have a link of their own."""
    return {party_at(address): address for address in addresses if party_at(address) != address}


def is_bits(effect: Send | Receive[Any]) -> bool:
    """Whether a message of this effect is classical."""
    return isinstance(effect.message, Classical) if isinstance(effect, Send) else issubclass(effect.kind, Classical)


def direction_name(sender: str, receiver: str) -> str:
    return f"{sender}->{receiver}"


def ends_of(direction: str) -> tuple[str, str]:
    """The sender and the receiver of a direction by its name."""
    sender, _, address = direction.partition("->")
    return sender, party_at(address)


def party_key(seed: int, session: str, party: str) -> bytes:
    """A party's own key in a session; from it come its outcomes and all its other draws."""
    return derive_key(seed, "party", session, party)


def data_key(workload: int, party: str) -> bytes:
    """A party's own key for random data and parameters, from the seed of the workload. It is the same in every
    session, so that a rival works on the same data of the protocol that it is compared with."""
    return derive_key(workload, "data", party)


def direction_key(seed: int, session: str, sender: str, receiver: str) -> bytes:
    """The key of one direction of a fiber in a session."""
    return derive_key(seed, "fiber", session, sender, receiver)


def agree(shapes: Shapes) -> dict[str, int]:
    """The facts that all parties agree on.

    Raises:
        ScenarioError: two parties give different values for one name.
    """
    agreed: dict[str, Shape] = {}
    for facts in shapes.values():
        for name, shape in facts.items():
            other = agreed.setdefault(name, shape)
            if other.value != shape.value:
                raise ScenarioError(
                    f"{shape.origin}: {name} = {shape.value}, but {other.origin} gives {name} = {other.value}; "
                    "expected the same on both sides"
                )
    return {name: shape.value for name, shape in agreed.items()}


def with_records(results: Sequence[SessionResult], records: Sequence[Sequence[Record]]) -> list[SessionResult]:
    """Each result with the records of its session."""
    return [replace(result, records=merge_records(own)) for result, own in zip(results, records, strict=True)]


def merge_records(records: Sequence[Record]) -> tuple[Record, ...]:
    """One ledger from many: by virtual time, then direction, then number."""
    return tuple(sorted(records, key=lambda record: (record.sent_ps, record.direction, record.number)))
