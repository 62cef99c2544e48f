"""What a program may do: the `Node` it runs on, and the three effects it can wait for.

A program is a coroutine. It awaits `node.send(peer, message)`, `node.receive(peer, kind)` and
`node.checkpoint(step, state)`; all else is a plain call. A receive names its peer and the kind of
message, so a set of programs is a Kahn network: what it computes cannot depend on who runs first.
Programs never see a socket, a wall clock or a global random generator, and they cannot tell which
runtime drives them.

Virtual time travels with the messages. Copies carry their own ready times (pairs too), and receiving them does
not move the node's clock. A classical message and a measured outcome do, to the later of the node's own time and
theirs. So does looking at which copies or pairs arrived (`Copies.alive`, `Kept.came`, `Pairs.alive`) or at a herald
(`Receipt.lost`): a loss is known when the lost copy's last time bin has passed. So nothing that a program sends can
leave before what it depends on is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, States
from ketwire.channels.messages import Message, Spent

if TYPE_CHECKING:  # fibers know no circuits
    from ketwire.protocols.advantage.bases import Bases
    from ketwire.quantum.circuits import Circuit
    from ketwire.quantum.gradients.estimation import Estimate, Held

M = TypeVar("M", bound=Message)
Json = Any
"""A value of the JSON data model."""


class Receipt(Protocol):
    """What the fiber answers to a send."""

    @property
    def lost(self) -> NDArray[np.bool_]:
        """Which copies the fiber lost; bool, shape (count,). Looking moves the clock to the herald."""
        ...

    @property
    def done_ps(self) -> NDArray[np.int64]:
        """When this node's memories are free of each pair that it sent; int64, shape (count,).

        Raises:
            LocalProtocolError: it sent something else.
        """
        ...

    @property
    def spent(self) -> Spent:
        """What the message cost, for accounts. No program may decide by it: it is there before any herald."""
        ...


class Observable(Protocol):
    """A measurement: outcome probabilities of pure states."""

    @property
    def outcomes(self) -> int: ...

    def probabilities(self, states: States) -> NDArray[np.float64]:
        """float64, shape (rows, outcomes), each row sums to one."""
        ...


@dataclass(frozen=True, eq=False)
class Send:
    """Effect: hand a message to the link. Answered with a `Receipt`."""

    peer: str
    message: Message

    def __await__(self) -> Generator[Send, Receipt, Receipt]:
        return (yield self)


@dataclass(frozen=True, eq=False)
class Receive(Generic[M]):
    """Effect: wait for the next message of `peer`, which must be of `kind`. Answered with it."""

    peer: str
    kind: type[M]

    def __await__(self) -> Generator[Receive[M], M, M]:
        return (yield self)


@dataclass(frozen=True)
class State:
    """What a program needs to go on from a checkpoint: JSON values and arrays of its own.

    Values must be such that JSON gives back what it was given (no tuples, no keys but text); arrays
    hold numbers. Registers are not among them: no state of a register can be written down.
    """

    values: dict[str, Json] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Effect: save where the program is. Answered once the checkpoint of all parties is committed."""

    step: int
    state: State

    def __await__(self) -> Generator[Checkpoint, None, None]:
        yield self


Effect = Send | Receive[Any] | Checkpoint


class Stock(Protocol):
    """Copies that a node keeps for a measurement of many of them together. Used once."""

    def __len__(self) -> int:
        """How many copies."""
        ...


class Kept(Protocol):
    """A choice of copies to measure: of each group the first so many that live, in emission order.

    The party that measures makes it copy by copy, as they come. So choosing moves no clock. A message about the choice
    moves it to when that is known. Used once, for the batch that it was made of.
    """

    @property
    def taken(self) -> NDArray[np.int64]:
        """How many copies of each group are chosen; int64, shape (groups,).

        Looking moves the clock to when the last of them has arrived; where a group has fewer than were asked for,
        to when that is known.
        """
        ...

    @property
    def came(self) -> NDArray[np.int64]:
        """How many copies of each group arrived, chosen or not; int64, shape (groups,).

        Looking moves the clock to when that is known of the whole batch.
        """
        ...


class Setting(NamedTuple):
    """One way to measure copies: a circuit, then an observable."""

    circuit: Circuit
    observable: Observable


class Procedure(Protocol):
    """A measurement of many copies: `ketwire.quantum.gradients.estimators` has some, with their segment and promise."""

    def __call__(self, held: Held, rng: np.random.Generator) -> Estimate: ...


class Node(Protocol):
    """The machine under a program: registers, links by peer, a virtual clock, its own randomness."""

    @property
    def name(self) -> str: ...

    @property
    def now_ps(self) -> int:
        """The node's virtual clock."""
        ...

    @property
    def read_ps(self) -> int:
        """When the last of all outcomes so far was known, and not before it was asked for; 0 before any measurement.

        The clock may be later, as a party also waits for copies that it does not measure.
        """
        ...

    @property
    def reads_perfectly(self) -> bool:
        """Whether its gates and readouts take no time and never err."""
        ...

    @property
    def public(self) -> Mapping[str, int]:
        """The public shapes of all parties, as agreed before the start."""
        ...

    def prepare(self, states: States, counts: NDArray[np.int64], *, mixed: bool = False) -> Copies:
        """Make counts[i] copies of row i of `states`, row after row, ready at the earliest now.

        states: complex128, shape (rows, 2**n), unit rows; counts: int64, shape (rows,). With `mixed` the
        copies are density matrices from here on, which meet noise exactly and not copy by copy; n <= 8.
        """
        ...

    def apply(self, circuit: Circuit, copies: Copies, parameters: NDArray[np.float64]) -> Copies:
        """Run a circuit on every copy; consumes `copies`."""
        ...

    def contract(self, matrix: NDArray[np.complex128], copies: Copies) -> Copies:
        """Block-encode a contraction and measure its flag at once; consumes `copies`.

        A copy whose flag fires is dead from then on, a heralded failure.
        """
        ...

    def measure(
        self,
        copies: Copies,
        observable: Observable,
        groups: NDArray[np.int64],
        count: int,
        keep: Kept | None = None,
    ) -> NDArray[np.int64]:
        """Measure the living copies (those in `keep`, if given) and count outcomes; consumes `copies`.

        groups: int64, shape (copies,): the item each copy belongs to, below `count`. Returns int64,
        shape (count, outcomes). The clock moves to when the last copy that is measured has been read and all
        losses that the counts depend on are known: without `keep`, those of the whole batch.
        """
        ...

    def keep(self, copies: Copies, groups: NDArray[np.int64], most: NDArray[np.int64]) -> Kept:
        """Choose of each group the first most[g] living copies, in emission order.

        groups: int64, shape (copies,), ascending; most: int64, shape (groups,).
        """
        ...

    def measure_in(
        self,
        settings: Sequence[Setting],
        parameters: NDArray[np.float64],
        choice: NDArray[np.int64],
        offset: NDArray[np.int64],
        copies: Copies,
        groups: NDArray[np.int64],
        keep: Kept,
        *,
        peek: bool = False,
    ) -> list[NDArray[np.float64]]:
        """Measure the copies in `keep`, each in a setting of its own; consumes `copies`.

        choice: int64, shape (count, k), offset: int64, shape (count,): copy r of those kept of group g, from 0 on, is
        measured in setting choice[g, offset[g] + r]. parameters: of all circuits. groups: as for `measure`. Returns
        for each setting how often each outcome came, float64, shape (count, outcomes). The clock moves as for
        `measure`.

        peek: every copy is read in all settings, which no laboratory can, and instead of outcomes the answer sums
        how likely each was to be reported; for references alone.
        """
        ...

    def measure_each(
        self, bases: Bases, offset: NDArray[np.int64], copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        """Measure the copies in `keep`, each in a basis of its own; consumes `copies`. The clock: see `measure`.

        offset: int64, (count,), the copies of each group before. Returns (group, rank, outcome) of each, int64, (k, 3).
        """
        ...

    def swap_tests(self, first: Sequence[Stock], second: Sequence[Stock], items: int) -> NDArray[np.int64]:
        """Swap tests on pairs of copies, one of each side; of each item (passed, failed), int64, (items, 2)."""
        ...

    def attach(self, copies: Copies) -> Copies:
        """Put a fresh qubit in |+> before qubit 0 of every copy; consumes `copies`."""
        ...

    def collect(self, copies: Copies, groups: NDArray[np.int64], keep: Kept) -> Stock:
        """Store the copies in `keep`, to measure many of them together; consumes `copies`.

        groups: int64, shape (copies,): the sample that each copy belongs to. The clock moves as for `measure`.
        """
        ...

    def examine(self, stocks: Sequence[Stock], samples: int, procedure: Procedure, *, peek: bool = False) -> Estimate:
        """Measure all copies of these stocks, of samples 0 to `samples` - 1, by one procedure; consumes them.

        peek: the procedure reads amplitudes, which no laboratory can; for references alone.

        Raises:
            ScenarioError: the procedure needs more copies than there are.
        """
        ...

    def store(self, copies: Copies) -> Copies:
        """Keep copies until each is there or known to be lost; consumes `copies`.

        The clock moves to the last one's ready time. What is kept does not decay.
        """
        ...

    def measure_bases(self, copies: Copies, bases: NDArray[np.int64]) -> NDArray[np.int64]:
        """Measure every qubit of each copy in a Pauli basis of its own; consumes `copies`, none of them lost.

        bases: int64, shape (copies, n), 0, 1, 2 for Z, X, Y. Returns the outcomes as bits, 0 for the
        eigenvalue +1, int64, shape (copies, n). The clock moves to the last copy's ready time.
        """
        ...

    def send(self, peer: str, message: Message) -> Awaitable[Receipt]: ...

    def receive(self, peer: str, kind: type[M]) -> Awaitable[M]:
        """The next message of `peer`; another kind of message raises RemoteProtocolError."""
        ...

    def checkpoint(self, step: int, state: State) -> Awaitable[None]:
        """Save `state` as of `step`, together with all other parties, who do the same.

        Steps grow. All that was sent to this node must have been received by then, and neither
        registers, receipts nor random generators may be carried over: what a restarted program finds
        is `restored` and fresh streams that go on where the last ones began. It takes no virtual time.
        """
        ...

    @property
    def restored(self) -> Checkpoint | None:
        """The last checkpoint that was committed, where the program is to go on; None on a fresh start."""
        ...

    def keep_model(self, model: State) -> None:
        """Write what this party has trained, for itself alone, where the run has a place for models.

        It takes no virtual time, and nothing of it is told to others.
        """
        ...

    def random(self, purpose: str) -> np.random.Generator:
        """The next of this node's own streams for `purpose`."""
        ...

    def progress(self, done: int, total: int, label: str, found: str = "") -> None:
        """Report how far the program is, and in a few words what it has found so far: `estimate 0.43`."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What a program returns to the public: a frozen dataclass of the program's own, with this one as its base.

    known_ps: when its party knew all of that, for a program that goes on afterwards; None: at its end
    """

    known_ps: int | None = field(default=None, kw_only=True)


class Loader(Protocol):
    """How an owner reads its own data: a source, as the slice names it, to named arrays."""

    def __call__(self, key: str, source: dict[str, Json]) -> dict[str, NDArray[Any]]:
        """Load `source`; `key` is where the scenario names it, for errors.

        Raises:
            ScenarioError: the file cannot be read or its content cannot be data.
        """
        ...


class Shape(NamedTuple):
    """One public fact: its value, and which key of the scenario and what in it decided that."""

    value: int
    origin: str


_Outcome = Outcome  # a program has an attribute of that name


class Program(Protocol):
    """One party's part of a protocol. Built before the start, when the owner loads its data.

    `Slice` and `Outcome` are frozen dataclasses (`ketwire.protocols.typed`): what a party is given, its own and public
    values, those of no other party, and what it tells. A party that the kind names no slice for has `Slice()`.

    `shapes` is all that the others learn before the start: public facts by name, such as `qubits`
    or `items`. Parties that give the same name must give the same value.
    """

    Slice: ClassVar[type[Any]]
    Outcome: ClassVar[type[_Outcome]]
    shapes: dict[str, Shape]

    def __init__(self, slice: Any, load: Loader) -> None: ...

    async def run(self, node: Node) -> _Outcome | None:
        """None where the party has nothing to tell."""
        ...
