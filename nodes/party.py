"""The machine under a program, without its input and output: registers, clock, randomness.

Both runtimes drive programs on the same `PartyNode`; they differ only in how they answer its three
effects. Nothing here touches a socket or a wall clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import MAX_MIXED_QUBITS, Copies, States, chosen_rows
from ketwire.channels.entanglement.held import Pairs, Released
from ketwire.channels.hardware import Hardware
from ketwire.channels.messages import Message
from ketwire.channels.streams import stream
from ketwire.channels.transcript import Chain, Transcript
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes import drawing
from ketwire.nodes.checkpoints.archive import check_arrays, check_values
from ketwire.nodes.holdings import Collected, FirstLiving, taken
from ketwire.nodes.models import write_model
from ketwire.protocols.advantage.bases import Bases
from ketwire.protocols.node import Checkpoint, Kept, Observable, Procedure, Receive, Send, Setting, State, Stock
from ketwire.quantum import pauli_bases
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.grid import snap
from ketwire.quantum.noise import mixtures, representations
from ketwire.quantum.sampling import sample
from ketwire.quantum.segments import pieces

if TYPE_CHECKING:
    from ketwire.nodes.processor import Processor
    from ketwire.nodes.settings import Turned
    from ketwire.quantum.gradients.estimation import Estimate

M = TypeVar("M", bound=Message)
MAX_STEP = (1 << 62) - 1
PERFECT = Hardware()
WATCHED = (Copies, Pairs)
"""Messages with times of their own at which a program may look."""


def _run_perfectly(
    circuit: Circuit, states: States, row: NDArray[np.int64], parameters: NDArray[np.float64]
) -> tuple[States, NDArray[np.int64]]:
    for piece in pieces(circuit):
        states = representations.apply_circuit(piece, states, parameters)
    return states, row


class PartyNode:
    """One party's machine in one session. Implements `ketwire.protocols.node.Node`."""

    def __init__(
        self,
        name: str,
        key: bytes,
        public: Mapping[str, int],
        progress: Callable[[int, int, str, int, str], None] | None = None,
        hardware: Hardware = PERFECT,
        model: Path | None = None,
    ) -> None:
        self.name = name
        self._model = model
        self.now_ps = 0
        self.read_ps = 0
        self.public = public
        self.transcript = Transcript(name)
        self._key = key
        self._drawn: Counter[str] = Counter()
        self._progress = progress
        self.restored: Checkpoint | None = None
        self._step = -1
        self._processor = None if hardware.is_perfect else self._build(hardware)
        self._message_ps = hardware.message_ps

    def _build(self, hardware: Hardware) -> Processor:
        # Noise is mathematics that perfect hardware has no use for.
        from ketwire.nodes.processor import Processor  # noqa: PLC0415

        return Processor(self.name, hardware, self.random)

    def advance(self, time_ps: int) -> None:
        """Move the clock to `time_ps`, unless it is later already."""
        self.now_ps = max(self.now_ps, time_ps)

    def _learn(self, known_ps: NDArray[np.int64]) -> None:
        """Outcomes are known when all of these times have passed, and not before the program asks for them."""
        if len(known_ps):
            self.advance(int(known_ps.max()))
            self.read_ps = self.now_ps

    def _watched(self, copies: Copies) -> Copies:
        """A batch in this node's hands: looking at its losses moves this node's clock."""
        copies.watch = self.advance
        return copies

    def random(self, purpose: str) -> np.random.Generator:
        number = self._drawn[purpose]
        self._drawn[purpose] += 1
        return stream(self._key, purpose, number)

    def keep_model(self, model: State) -> None:
        if self._model is not None:
            write_model(self._model, self.name, model)

    def progress(self, done: int, total: int, label: str, found: str = "") -> None:
        if self._progress is not None:
            self._progress(done, total, label, self.now_ps, found)

    def prepare(self, states: States, counts: NDArray[np.int64], *, mixed: bool = False) -> Copies:
        if mixed and states.shape[1] > 1 << MAX_MIXED_QUBITS:
            raise LocalProtocolError(f"{states.shape[1]} amplitudes, mixed states have at most 2^{MAX_MIXED_QUBITS}")
        prepared = mixtures.mixed(states) if mixed else np.array(states, order="C")
        if self._processor is None and len(states) == 1 and counts[0] > 0:
            return self._watched(Copies.in_step(prepared, int(counts[0]), self.now_ps, fresh=True))
        rows = np.repeat(np.arange(len(states), dtype=np.int64), counts)
        ready_ps = np.full(len(rows), self.now_ps, dtype=np.int64)
        copies = Copies(prepared, rows, ready_ps, np.zeros(len(rows), dtype=np.bool_), fresh=True)
        if self._processor is not None:
            copies = self._processor.prepare(states, copies, self.now_ps)
        return self._watched(copies)

    def apply(self, circuit: Circuit, copies: Copies, parameters: NDArray[np.float64]) -> Copies:
        if self._processor is not None:
            return self._watched(self._processor.apply(circuit, copies, parameters, self.now_ps))
        fresh, held = copies.fresh, copies.take_as_held()
        applied = held._replace(states=representations.apply_circuit(circuit, held.states, parameters))
        return self._watched(Copies.of(applied, fresh))

    def contract(self, matrix: NDArray[np.complex128], copies: Copies) -> Copies:
        if self._processor is not None:
            return self._watched(self._processor.contract(matrix, copies, self.now_ps))
        states, row, ready_ps, lost = copies.take()
        shrunk, success = representations.contract(states, matrix)
        draws = self.random("flag").random(len(row))
        dead = lost | (draws >= snap(success)[row])
        # What no living copy is in still travels, and must be a state: zeros, or rounding blown up, are none.
        unused = np.bincount(row[~dead], minlength=len(states)) == 0
        shrunk[unused] = states[unused]
        return self._watched(Copies(shrunk, row, ready_ps, dead, copies.fresh))

    def keep(self, copies: Copies, groups: NDArray[np.int64], most: NDArray[np.int64]) -> FirstLiving:
        return FirstLiving(self, copies, groups, most)

    def measure(
        self,
        copies: Copies,
        observable: Observable,
        groups: NDArray[np.int64],
        count: int,
        keep: Kept | None = None,
    ) -> NDArray[np.int64]:
        mask, decided = (None, None) if keep is None else taken(keep, copies)[:2]
        if self._processor is not None:
            copies = self._processor.read(copies, decided, self.now_ps)
        states, row, ready_ps, lost = copies.take()
        mask = ~lost if mask is None else mask
        chosen = slice(None) if np.count_nonzero(mask) == len(mask) else mask
        # Copies of one item in one state are alike: one multinomial draw serves them all.
        cells, copies_in = drawing.tally(groups[chosen] * len(states) + row[chosen], count * len(states))
        rows, place = drawing.rows_of(cells, len(states))
        counts = np.zeros((count, observable.outcomes), dtype=np.int64)
        if len(cells):
            probabilities = representations.probabilities(observable, chosen_rows(states, rows))
            if self._processor is not None:
                probabilities = self._processor.reported(probabilities)
            items = cells // len(states)
            drawn = self._outcomes(probabilities[place], copies_in, items)
            np.add.at(counts, items, drawn)
        self._learn(ready_ps if decided is None else ready_ps[decided])
        self.transcript.outcomes(self.now_ps, counts)
        return counts

    def _outcomes(
        self, probabilities: NDArray[np.float64], copies: NDArray[np.int64], items: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """What is measured on so many copies of an item that are alike, a row for each; (rows, outcomes)."""
        return sample(probabilities, copies, self.random("outcome"))

    @property
    def reads_perfectly(self) -> bool:
        return self._processor is None or self._processor.hardware.reads_perfectly

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
        mask, decided, rank = taken(keep, copies)
        chosen, count = np.flatnonzero(mask), len(choice)
        mine = groups[chosen]
        setting_of = choice[mine, offset[mine] + rank[chosen]]
        if self._processor is not None:
            found, copies = self._processor.read_in(
                settings, parameters, setting_of, copies, decided, self.now_ps, peek=peek
            )
            ready_ps = copies.take().ready_ps
        else:
            from ketwire.nodes.settings import turned  # noqa: PLC0415

            states, row, ready_ps, _ = copies.take()
            run = partial(_run_perfectly, parameters=parameters)
            found = turned(settings, states, row[chosen], setting_of, run, peek)
        self._learn(ready_ps[decided])
        tallies = [
            self._counted(setting.observable, each, mine, count, peek)
            for setting, each in zip(settings, found, strict=True)
        ]
        if peek:  # probabilities stay out: their last bits move
            self.transcript.outcomes(self.now_ps, np.bincount(mine, minlength=count)[:, None])
        else:
            self.transcript.outcomes(self.now_ps, np.concatenate(tallies, axis=1).astype(np.int64))
        return tallies

    def _counted(
        self, observable: Observable, found: Turned, groups: NDArray[np.int64], count: int, peek: bool
    ) -> NDArray[np.float64]:
        """Outcomes of the copies of one setting, by group; with `peek` how likely each was, summed."""
        tally = np.zeros((count, observable.outcomes))
        rows = len(found.states)
        cells, copies_in = drawing.tally(groups[found.which] * rows + found.row, count * rows)
        if len(cells):
            used, place = drawing.rows_of(cells, rows)
            laws = representations.probabilities(observable, chosen_rows(found.states, used))
            if self._processor is not None:
                laws = self._processor.reported(laws)
            laws = laws[place]
            items = cells // rows
            drawn = laws * copies_in[:, None] if peek else self._outcomes(laws, copies_in, items)
            np.add.at(tally, items, drawn)
        return tally

    def measure_each(
        self, bases: Bases, offset: NDArray[np.int64], copies: Copies, groups: NDArray[np.int64], keep: Kept
    ) -> NDArray[np.int64]:
        mask, decided, rank = taken(keep, copies)
        chosen, spoil = np.flatnonzero(mask), None
        if self._processor is not None:
            copies = self._processor.read_after(bases.gates, copies, decided, self.now_ps)
            spoil = partial(self._processor.spoiled, bases.gates)
        states, row, ready_ps, _ = copies.take()
        items = groups[chosen]
        ranks = offset[items] + rank[chosen]
        outcomes = drawing.in_bases(bases, states, row[chosen], items, ranks, spoil, self.random("outcome"))
        self._learn(ready_ps[decided])
        found = np.stack([items, ranks, outcomes], axis=1)
        self.transcript.outcomes(self.now_ps, found)
        return found

    def swap_tests(self, first: Sequence[Stock], second: Sequence[Stock], items: int) -> NDArray[np.int64]:
        counts = drawing.swap_tests(first, second, items, self.random("outcome"))
        self.transcript.outcomes(self.now_ps, counts)
        return counts

    def attach(self, copies: Copies) -> Copies:
        from ketwire.quantum.gradients.features import open_feature  # noqa: PLC0415

        if copies.mixed:
            raise LocalProtocolError("a qubit was to be attached to mixed states: expected pure ones")
        if self._processor is not None and self._processor.takes_part_in_attaching:
            return self._watched(self._processor.attach(copies, self.now_ps))
        fresh, held = copies.fresh, copies.take_as_held()
        return self._watched(Copies.of(held._replace(states=open_feature(held.states)), fresh))

    def collect(self, copies: Copies, groups: NDArray[np.int64], keep: Kept) -> Collected:
        if copies.mixed:
            raise LocalProtocolError("mixed states were to be collected: expected pure ones")
        mask, decided, _ = taken(keep, copies)
        if self._processor is not None:
            copies = self._processor.read(copies, decided, self.now_ps)
        states, row, ready_ps, _ = copies.take()
        chosen = np.flatnonzero(mask)
        self._learn(ready_ps[decided])
        cells, copies_in = np.unique(groups[chosen] * len(states) + row[chosen], return_counts=True)
        return Collected(states[cells % len(states)], copies_in.astype(np.int64), cells // len(states))

    def examine(
        self, stocks: Sequence[Stock], samples: int, procedure: Procedure, *, peek: bool = False
    ) -> Estimate:
        from ketwire.quantum.gradients.estimation import Held  # noqa: PLC0415

        taken = [stock.take() for stock in stocks if isinstance(stock, Collected)]
        held = Held(*(np.concatenate(parts) for parts in zip(*taken, strict=True)))
        if len(held.totals) != samples:
            raise LocalProtocolError(f"copies of {len(held.totals)} samples, expected {samples}")
        try:
            estimate = procedure(held, self.random("reference" if peek else "examination"))
        except ValueError as error:
            raise ScenarioError(f"protocol.copies: {str(error).removeprefix('counts: ')}") from None
        # Amplitudes and what is computed from them stay out: their last bits move.
        self.transcript.outcomes(self.now_ps, np.concatenate([held.totals, estimate.drawn])[:, None])
        return estimate

    def store(self, copies: Copies) -> Copies:
        states, row, ready_ps, lost = copies.take()
        self.advance(int(ready_ps.max(initial=0)))
        return self._watched(Copies(states, row, ready_ps, lost))

    def measure_bases(self, copies: Copies, bases: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._processor is not None:
            copies = self._processor.read(copies, None, self.now_ps)
        states, row, ready_ps, lost = copies.take()
        if lost.any():
            raise LocalProtocolError(f"{int(lost.sum())} lost copies were to be measured: expected living ones")
        bits = pauli_bases.measure(states, row, bases, self.random("outcome"))
        if self._processor is not None:
            bits = self._processor.reported_bits(bits)
        self._learn(ready_ps)
        self.transcript.outcomes(self.now_ps, bits)
        return bits

    def send(self, peer: str, message: Message) -> Send:
        if self._processor is not None and isinstance(message, Copies):
            self._processor.leave(message, self.now_ps)
        return Send(peer, message)

    def receive(self, peer: str, kind: type[M]) -> Receive[M]:
        return Receive(peer, kind)

    def checkpoint(self, step: int, state: State) -> Checkpoint:
        if type(step) is not int or not self._step < step <= MAX_STEP:
            raise LocalProtocolError(f"{self.name}: checkpoint {step!r} after {self._step}; expected steps that grow")
        if self._processor is not None and not self._processor.is_idle:
            raise LocalProtocolError(f"{self.name}: checkpoint {step}: a register is held, expected none")
        try:
            check_values(state.values)
            check_arrays(state.arrays)
        except ValueError as error:
            raise LocalProtocolError(f"{self.name}: checkpoint {step}: {error}") from None
        self._step = step
        return Checkpoint(step, state)

    def snapshot(self) -> dict[str, Any]:
        """All that this machine remembers, as JSON values: for a checkpoint."""
        free_ps = None if self._processor is None else self._processor.free_ps
        chain = list(self.transcript.end())
        clocks = {"now_ps": self.now_ps, "read_ps": self.read_ps}
        return {**clocks, "drawn": dict(self._drawn), "chain": chain, "processor_free_ps": free_ps}

    def restore(self, saved: Mapping[str, Any], checkpoint: Checkpoint) -> None:
        """Be as `snapshot` found it, and tell the program where to go on."""
        self.now_ps, self.read_ps = saved["now_ps"], saved["read_ps"]
        self._drawn = Counter(saved["drawn"])
        self.transcript.restore(Chain(*saved["chain"]))
        if self._processor is not None:
            self._processor.free_ps = saved["processor_free_ps"]
        self.restored, self._step = checkpoint, checkpoint.step

    def accept(self, effect: Receive[M], message: Message, arrival_ps: int) -> M:
        """The answer to a receive: checks the kind; a classical message moves the clock, and is then processed."""
        if not isinstance(message, effect.kind):
            raise RemoteProtocolError(
                f"{effect.peer} sent {type(message).__name__} where {self.name} expected {effect.kind.__name__}"
            )
        if isinstance(message, WATCHED):
            message.watch = self.advance
        elif not isinstance(message, Released):
            self.advance(arrival_ps)
            self.now_ps += self._message_ps
        return message


def check_drained(name: str, peer: str, unread: int, step: int, mark: int | None) -> None:
    """Raises what a runtime raises where `name` and `peer` do not meet at checkpoint `step` with nothing under way."""
    if mark != step:
        raise RemoteProtocolError(f"{peer} is at checkpoint {mark} where {name} is at {step}")
    if unread:
        raise LocalProtocolError(
            f"{name} has not received {unread} message(s) of {peer} at checkpoint {step}; "
            "expected a program that has received all that was sent before"
        )


def not_restartable(name: str) -> LocalProtocolError:
    """A program awaits a checkpoint that was not announced."""
    return LocalProtocolError(f"{name} awaits a checkpoint in a session that is not restartable")
