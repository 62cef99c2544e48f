"""A node's processor and memory in virtual time: registers are worked on, one copy after the other, and decay.

A batch that comes to the processor is on a *visit*. What a program asks for while the batch is there (to
prepare, to apply a circuit, to measure) is put down as tasks; when the batch leaves, to a link, by
measurement, or because the program turns to another batch or learns something new, the visit is served: each
copy in turn keeps the processor for all of its tasks, so that a copy is measured when it is done and does not
wait until the rest of its batch is. Visits are served in program order (`channels.timing.serve`).

A register decays while it waits for its turn and while circuits run on it (their decay is taken at their
end). Fresh copies are prepared just in time: their turn comes when the link calls, so they do not wait. What
decays while a register is prepared or read out is in the errors of these. Without durations there are no
turns: copies are worked on when they are there.

A contraction's flag decides whether a copy lives, which programs may look at: it ends the visit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.copies import Copies, Parts, States, chosen_rows
from ketwire.channels.hardware import Hardware
from ketwire.channels.machines import hold
from ketwire.channels.timing import CLOCK_END_PS, PS_PER_S, serve, turns
from ketwire.errors import ScenarioError
from ketwire.nodes.settings import Run, Turned, turned
from ketwire.nodes.visits import Task, Visit
from ketwire.protocols.node import Setting
from ketwire.quantum.circuits import Circuit, Contraction
from ketwire.quantum.controlled import CONTROL
from ketwire.quantum.gradients.features import open_feature
from ketwire.quantum.grid import snap
from ketwire.quantum.noise import representations
from ketwire.quantum.noise.kraus import depolarize
from ketwire.quantum.noise.noisy import depolarize_together, duration_ps, gate_error, gate_ps, noisy
from ketwire.quantum.noise.readout import confusion, misread
from ketwire.quantum.sampling import split
from ketwire.quantum.segments import pieces

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Batch = tuple[States, Integers]

MOST_TABLE = 16  # outcomes of which a table says how each is misread
MOST_CONTRACTIONS = 16  # kept with their dilations, which take a singular value decomposition each


class Processor:
    """The processor and the memory of one party in one session.

    random: the node's next stream for a purpose
    """

    def __init__(self, name: str, hardware: Hardware, random: Callable[[str], np.random.Generator]) -> None:
        self.name = name
        self.hardware = hardware
        self.free_ps = 0
        self._random = random
        self._visit: Visit | None = None
        self._contractions: dict[int, tuple[NDArray[np.complex128], Contraction]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no batch is on a visit; then all that it remembers is when it is free."""
        return self._visit is None

    def prepare(self, states: States, copies: Copies, now_ps: int) -> Copies:
        """Make fresh copies of the rows of `states`. A state that is no basis state is loaded by gates."""
        hardware, qubits = self.hardware, copies.qubits
        copies = self._put_down(copies, now_ps, Task(hardware.prepare_ps, self._prepared, False, None, "preparation"))
        if (np.count_nonzero(states, axis=1) <= 1).all():
            return copies
        lasts_ps = gate_ps("prepare", qubits, hardware.gate1_ps, hardware.gate2_ps)
        return self._put_down(copies, now_ps, Task(lasts_ps, self._loaded, held=True))

    def apply(self, circuit: Circuit, copies: Copies, parameters: Floats, now_ps: int) -> Copies:
        lasts_ps = duration_ps(circuit, self.hardware.gate1_ps, self.hardware.gate2_ps)
        work = partial(self._applied, circuit=circuit, parameters=parameters)
        return self._put_down(copies, now_ps, Task(lasts_ps, work, held=True, circuit=circuit))

    @property
    def takes_part_in_attaching(self) -> bool:
        """Whether a qubit that is attached, or what its visit takes, makes any difference here."""
        return self.hardware.takes_time or self.hardware.p_prepare > 0 or self.hardware.p_gate1 > 0

    def attach(self, copies: Copies, now_ps: int) -> Copies:
        """Prepare a qubit in |0> and turn it to |+>, before qubit 0 of each copy: the registers wait for it."""
        task = Task(self.hardware.prepare_ps, _unchanged, held=True, cause="preparation")
        copies = self._put_down(copies, now_ps, task)
        copies = self._put_down(copies, now_ps, Task(self.hardware.gate1_ps, self._attached, held=True))
        assert self._visit is not None
        copies.owed = None
        states, row, ready_ps, lost = copies.take()
        # Until it is served the new qubit stands there in |0>, so that the register already has its final size.
        wide = np.concatenate([states, np.zeros_like(states)], axis=1)
        self._visit.copies = Copies(wide, row, ready_ps, lost, copies.fresh)
        self._visit.copies.owed = self._serve
        return self._visit.copies

    def contract(self, matrix: NDArray[np.complex128], copies: Copies, now_ps: int) -> Copies:
        """Prepare a flag, apply the dilation, read the flag: what reads 1 is dead from then on."""
        hardware, contraction = self.hardware, self._contraction(matrix)
        lasts_ps = hardware.prepare_ps + hardware.readout_ps
        lasts_ps += gate_ps("dense", contraction.qubits + 1, hardware.gate1_ps, hardware.gate2_ps)
        fired: list[Mask] = []
        work = partial(self._flagged, contraction=contraction, lasts_ps=lasts_ps, fired=fired)
        copies = self._put_down(copies, now_ps, Task(lasts_ps, work, held=False, cause="flag"))
        served = self._serve()
        states, row, ready_ps, lost = copies.take()
        lost = lost.copy()
        lost[served] = fired[0]
        return Copies(states, row, ready_ps, lost, copies.fresh)

    def _contraction(self, matrix: NDArray[np.complex128]) -> Contraction:
        """The contraction of this matrix; found once for one that cannot change."""
        known = self._contractions.get(id(matrix))
        if known is not None:
            return known[1]
        contraction = Contraction(matrix)
        if not matrix.flags.writeable and len(self._contractions) < MOST_CONTRACTIONS:
            self._contractions[id(matrix)] = matrix, contraction  # the matrix too: its id must stay its own
        return contraction

    def read(self, copies: Copies, decided: Mask | None, now_ps: int) -> Copies:
        """Have the living copies (those in `decided`, if given) measured: they are ready when they are read.

        decided: the copies on which it depends which are read, dead ones too. The others are dropped before anything is
            done with them. What is read: see `reported`.
        """
        task = Task(self.hardware.readout_ps, _unchanged, held=False, cause="readout")
        copies = self._put_down(copies, now_ps, task)
        self._serve(decided)
        return copies

    def read_in(
        self,
        settings: Sequence[Setting],
        parameters: Floats,
        choice: Integers,
        copies: Copies,
        decided: Mask,
        now_ps: int,
        *,
        peek: bool,
    ) -> tuple[list[Turned], Copies]:
        """Have the living copies in `decided` measured, each in a setting of its own.

        choice: of each of them, in order. Answers what is measured, and the copies, ready when they are read.
        """
        hardware, found = self.hardware, list[Turned]()
        own_ps = np.array([min(self._lasts_ps(setting.circuit), CLOCK_END_PS) for setting in settings])[choice]

        def run(circuit: Circuit, states: States, row: Integers) -> Batch:
            for piece in pieces(circuit):
                states, row = self._applied(states, row, piece, parameters)
            return self._hold(states, row, np.full_like(row, self._lasts_ps(circuit)))

        def work(states: States, row: Integers) -> Batch:
            found.extend(self._turned(settings, states, row, choice, run, peek))
            return states, row

        copies = self._put_down(copies, now_ps, Task(hardware.readout_ps, work, False, own_ps, "readout"))
        self._serve(decided)
        return found, copies

    def _turned(
        self, settings: Sequence[Setting], states: States, row: Integers, choice: Integers, run: Run, peek: bool
    ) -> list[Turned]:
        """What is measured in each setting, when its copies are served."""
        return turned(settings, states, row, choice, run, peek)

    def _lasts_ps(self, circuit: Circuit) -> int:
        """How long a circuit takes that runs piece by piece."""
        return sum(duration_ps(piece, self.hardware.gate1_ps, self.hardware.gate2_ps) for piece in pieces(circuit))

    def reported(self, probabilities: Floats) -> Floats:
        """Probabilities of what a readout reports, from those of the outcomes; (rows, outcomes)."""
        if self.hardware.p_readout == 0:
            return probabilities
        outcomes = probabilities.shape[1]
        if outcomes > MOST_TABLE and outcomes & (outcomes - 1) == 0:
            return misread(probabilities, self.hardware.p_readout)
        return np.asarray(probabilities @ confusion(probabilities.shape[1], self.hardware.p_readout))

    def reported_bits(self, bits: Integers) -> Integers:
        """What the readout of single qubits reports; bits of any shape."""
        if self.hardware.p_readout == 0:
            return bits
        return np.asarray(bits ^ self._misreads(bits, self._random("readout")))

    def _misreads(self, bits: NDArray[Any], rng: np.random.Generator) -> Mask:
        """Which of these bits are read wrongly; of any shape."""
        chance = np.array(self.hardware.misreads)[np.asarray(bits, dtype=np.int64)]
        return np.asarray(rng.random(bits.shape) < chance)

    def leave(self, copies: Copies, now_ps: int) -> None:
        """What is about to be sent is served, and held until the node's clock."""
        if copies.owed is not None:
            self._serve()
        if self.hardware.memory.is_perfect or copies.fresh:
            return
        states, row, ready_ps, lost = copies.take()
        alive = np.flatnonzero(~lost)
        waits_ps = np.maximum(now_ps - ready_ps[alive], 0)
        states, kept = hold(self.hardware.memory, states, row[alive], waits_ps[:, None], self._random("memory"))
        ready_ps = ready_ps.copy()
        ready_ps[alive] += waits_ps
        copies.restore(Parts(states, _whole(kept, alive, len(row)), ready_ps, lost))

    def _put_down(self, copies: Copies, now_ps: int, task: Task) -> Copies:
        """One more task for a batch; consumes it. It goes on with its visit if nothing came between."""
        visit = self._visit
        if visit is None or visit.copies is not copies or visit.begun_ps != now_ps:
            if visit is not None:
                self._serve()
            visit = self._visit = Visit(copies, now_ps)
        copies.owed = None
        visit.copies = Copies(*copies.take(), copies.fresh)
        visit.copies.owed = self._serve  # taken elsewhere, to part or to store them, they are served first
        visit.tasks.append(task)
        return visit.copies

    def _serve(self, decided: Mask | None = None) -> Integers:
        """Serve the visit; answers which copies were served: the living ones, of those in `decided` if given."""
        visit, self._visit = self._visit, None
        assert visit is not None
        visit.copies.owed = None
        states, row, ready_ps, lost = visit.copies.take()
        if visit.qubits < visit.copies.qubits:  # a qubit is attached on the way
            states = np.ascontiguousarray(states[:, : 1 << visit.qubits])
        served = np.flatnonzero(~lost if decided is None else decided & ~lost)
        come_ps = ready_ps
        dead = lost if decided is None else decided & lost
        passed_ps = int(ready_ps[dead].max(initial=0)) if self.hardware.takes_time and len(served) < len(lost) else 0
        if passed_ps:
            come_ps = turns(ready_ps, dead)
        come_ps = np.maximum(come_ps[served], visit.begun_ps)
        done_ps = self._schedule(come_ps, visit.duration_ps, visit.own_ps)
        self.free_ps = max(self.free_ps, passed_ps)
        kept = row[served]
        if not visit.copies.fresh:
            worked_ps = visit.duration_ps + (0 if visit.own_ps is None else visit.own_ps)
            states, kept = self._hold(states, kept, done_ps - worked_ps - ready_ps[served])
        for task in visit.tasks:
            states, kept = task.work(states, kept)
            if task.held:
                states, kept = self._hold(states, kept, np.full_like(kept, task.duration_ps))
        ready_ps = ready_ps.copy()
        ready_ps[served] = done_ps
        visit.copies.restore(Parts(states, _whole(kept, served, len(row)), ready_ps, lost))
        return served

    def _schedule(self, ready_ps: Integers, service_ps: int, own_ps: Integers | None = None) -> Integers:
        """When each copy is done, in order; without durations there are no turns."""
        if not self.hardware.takes_time or len(ready_ps) == 0:
            return ready_ps
        # Before any array is computed: integers of 64 bits would wrap without a word.
        busy_ps = len(ready_ps) * service_ps
        busy_ps += 0 if own_ps is None else int(own_ps.sum(dtype=np.float64))
        latest_ps = max(self.free_ps, int(ready_ps.max())) + busy_ps
        if latest_ps >= CLOCK_END_PS:
            each_s = busy_ps / len(ready_ps) / PS_PER_S
            raise ScenarioError(
                f"nodes.{self.name}: {len(ready_ps)} copies at {each_s:.1e} s each keep it busy until "
                f"{latest_ps / PS_PER_S:.1e} s of virtual time, expected less than the clock's 2^62 ps (53 days)"
            )
        done_ps = serve(ready_ps, service_ps if own_ps is None else service_ps + own_ps, self.free_ps)
        self.free_ps = int(done_ps[-1])
        return done_ps

    def _hold(self, states: States, row: Integers, waits_ps: Integers) -> Batch:
        if self.hardware.memory.is_perfect:
            return states, row
        return hold(self.hardware.memory, states, row, waits_ps[:, None], self._random("memory"))

    # The tasks' work: new (states, row) from old.

    def _prepared(self, states: States, row: Integers) -> Batch:
        if self.hardware.p_prepare == 0:
            return states, row
        weights = depolarize(self.hardware.p_prepare).pauli_weights
        assert weights is not None
        return representations.apply_paulis(states, row, weights, self._random("preparation"))

    def _loaded(self, states: States, row: Integers) -> Batch:
        """The errors of the gates that load a vector. It is there already: theirs and the preparation's commute."""
        qubits = states.shape[1].bit_length() - 1
        error = gate_error("prepare", qubits, self.hardware.p_gate1, self.hardware.p_gate2)
        return depolarize_together(states, row, error, tuple(range(qubits)), self._random("loading"))

    def _attached(self, states: States, row: Integers) -> Batch:
        """One more qubit, in |+>, with the errors of its preparation and of the gate that turned it there."""
        hardware, states = self.hardware, open_feature(states)
        for p, purpose in ((hardware.p_prepare, "preparation"), (hardware.p_gate1, "gates")):
            if p > 0:
                states, row = depolarize_together(states, row, p, (CONTROL,), self._random(purpose))
        return states, row

    def _applied(self, states: States, row: Integers, circuit: Circuit, parameters: Floats) -> Batch:
        if self.hardware.p_gate1 == 0 and self.hardware.p_gate2 == 0:
            return _run(circuit, states, parameters), row
        gates = noisy(circuit, self.hardware.p_gate1, self.hardware.p_gate2)
        return gates.apply(states, row, parameters, self._random("gates"), _run)

    def _flagged(
        self, states: States, row: Integers, contraction: Contraction, lasts_ps: int, fired: list[Mask]
    ) -> Batch:
        """Puts into `fired` which copies' flags read 1. Survivors alone go on, and decay for `lasts_ps`."""
        states, row, dead = self._contracted(states, row, contraction)
        fired.append(dead)
        survivors = np.flatnonzero(~dead)
        if len(survivors) == 0:  # any state stands for the dead
            return _any_state(states), np.zeros_like(row)
        used, kept = np.unique(row[survivors], return_inverse=True)
        states, kept = self._hold(chosen_rows(states, used), kept, np.full_like(kept, lasts_ps))
        return states, _whole(kept, survivors, len(row))

    def _contracted(
        self, states: States, row: Integers, contraction: Contraction
    ) -> tuple[States, Integers, Mask]:
        """States, rows, and which flags read 1; a row that nothing survives in may be zeros."""
        hardware = self.hardware
        if not (hardware.p_prepare or hardware.p_gate1 or hardware.p_gate2 or hardware.p_readout):
            shrunk, success = representations.contract(states, contraction)
            return shrunk, row, self._random("flag").random(len(row)) >= snap(success)[row]
        size, pure = states.shape[1], states.ndim == 2
        wide = np.zeros((len(states), 2 * size) if pure else (len(states), 2 * size, 2 * size), dtype=np.complex128)
        wide[(..., slice(size)) if pure else (..., slice(size), slice(size))] = states
        wide, row = depolarize_together(wide, row, hardware.p_prepare, (0,), self._random("preparation"))
        wide, row = self._applied(wide, row, _dilation(contraction), np.zeros(0))
        rng = self._random("flag")
        halves, shares = _halves(wide)
        flag = rng.random(len(row)) >= split(shares[::2], shares[1::2])[row]
        used, place = np.unique(2 * row + flag, return_inverse=True)
        scale = np.sqrt(shares[used])[:, None] if pure else shares[used, None, None]
        return halves[used] / scale, place, flag ^ self._misreads(flag, rng)


@lru_cache(maxsize=MOST_CONTRACTIONS)
def _dilation(contraction: Contraction) -> Circuit:
    return contraction.circuit()


def _any_state(states: States) -> States:
    """One row, |0...0>, of the same kind."""
    ground = np.zeros((1, *states.shape[1:]), dtype=np.complex128)
    ground.flat[0] = 1.0
    return ground


def _halves(wide: States) -> tuple[States, Floats]:
    """What either reading of the flag, the most significant qubit, leaves of each row, and with which share.

    Row 2 r: flag 0 of row r; row 2 r + 1: flag 1. None is normalised.
    """
    size = wide.shape[1] // 2
    if wide.ndim == 2:
        halves = wide.reshape(-1, size)
        return halves, np.linalg.norm(halves, axis=1) ** 2
    blocks = np.stack([wide[:, :size, :size], wide[:, size:, size:]], axis=1).reshape(-1, size, size)
    return blocks, np.asarray(np.einsum("rii->r", blocks).real)


def _unchanged(states: States, row: Integers) -> Batch:
    return states, row


def _run(circuit: Circuit, states: States, parameters: Floats) -> States:
    return representations.apply_circuit(circuit, states, parameters)


def _whole(row: Integers, which: Integers, count: int) -> Integers:
    """Rows of all copies from those of `which`; the dead are in no state, row 0 stands for any."""
    rows = np.zeros(count, dtype=np.int64)
    rows[which] = row
    return rows
