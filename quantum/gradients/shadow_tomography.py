"""Shadow tomography: a hypothesis state that learns only where it is wrong.

The hypothesis ω starts maximally mixed. A round takes a fresh batch of m copies of |Φ> and asks, for each
parameter p and each sign, in random order: do the copies have more of E_p = (1 ± O_p/R_p)/2 than ω, by 3/4 of
what is allowed? A test counts the outcomes "E_p" among the m copies coherently, adds exponential noise X of
mean s = noise · √m, and looks at one bit alone: count + X >= threshold. Such a test hardly moves the batch where
it says no, so one batch serves all tests until one says yes. Then the batch is spent, ω is updated by matrix
multiplicative weights, and the next round begins; a round without a yes ends it, and Tr O_p ω is the answer.

Sources: Aaronson 2018 (arXiv 1711.01053); Aaronson and Rothblum 2019 (arXiv 1904.08747) for the gentle form;
Bădescu and O'Donnell 2021 (arXiv 2011.10908) for exponential noise and the threshold search.

**Correctness.** Let e = min_p epsilon / (2 R_p), T = ⌈2 (n+1) ln 2 / e²⌉ + 1 rounds at most, P_U parameters, beta =
delta_U / (8 T P_U), a = √(m ln(1/beta) / 2). The threshold is m (h + e) - a where ω has h. By Hoeffding's
inequality no test that should pass (true value >= h + e) fails, and, if m e/2 >= 2 a + s ln(1/beta), none passes
whose true value is below h + e/2, but with probability delta_U / 2 in all. An update with step 4 g, for a lower
estimate g in [e/2, gap] of the gap, lowers the relative entropy of |Φ> to ω by at least 2 g² >= e²/2
(Hoeffding's lemma and Golden-Thompson), and it begins at (n+1) ln 2; T follows. The lower estimate is count + X
- s ln(1/beta) - a over m less h, a number that the test that says yes may show, its batch being spent.

**What is sampled exactly, what is bounded.** The count of one test on an undisturbed batch is drawn from its
exact law, binomial (a sum of binomials where copies differ), and so is X. Nothing else of |Φ> reaches the
algorithm. That tests of one batch are drawn independently ignores how the earlier ones disturbed it. What they
do is bounded: the test that says no acts as √r(count), r the probability of no, which turns the batch by an
angle of sine D = √(Var √r / E r) at most. `Run.disturbance` is the sum of D over all tests that said no, with the
count's law taken as normal; its expectation bounds the total variation distance between the transcripts
sampled here and those of the real measurements (put the batch back to what it was after each test in turn).
The algorithm never sees it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ketwire.quantum.arrays import Complexes, Floats, Integers
from ketwire.quantum.gradients.dealing import draw_copies
from ketwire.quantum.gradients.estimation import Asked, Demand, Estimate, Held, Promise, half_ranges, noted
from ketwire.quantum.gradients.features import blocks_of, sweep
from ketwire.quantum.gradients.tangents import MOST_OCTETS, TangentHypothesis, Tangents
from ketwire.quantum.grid import snap
from ketwire.quantum.segments import Segment

MOST_QUBITS = 8  # n + 1: ω is dense
_GRID = np.linspace(-6.0, 6.0, 61)  # standard deviations


@dataclass(frozen=True)
class Plan:
    """Numbers of a run that follow from the promise: see the module's text."""

    gap: float  # e
    batch: int  # m
    rounds: int  # T
    tail: float  # ln(1/beta)
    scale: float  # s

    @property
    def slack(self) -> float:
        """a: how far a count strays."""
        return math.sqrt(self.batch * self.tail / 2)


@dataclass(frozen=True, eq=False)
class Run:
    """What became of one sample. hypothesis: (D, D). updates: rounds that ended with a yes.

    means: (P_U,), Tr O_p ω. disturbance: the ledger. converged: whether a round without a yes was reached with
    the copies held. drawn: the counts of all tests, search by search.
    """

    hypothesis: Complexes
    means: Floats
    used: int
    updates: int
    disturbance: float
    converged: bool
    drawn: list[Integers]


@dataclass(frozen=True)
class ShadowTomography:
    """Copies by the logarithm of P, in principle: (log P)² log D / epsilon⁴, up to constants.

    noise: mean of the exponential noise over √m. More of it disturbs less and takes more copies.
    For at most 7 qubits and the ancilla.
    """

    noise: float = 2.0
    name: ClassVar[str] = "shadow-tomography"
    most_qubits: ClassVar[int] = MOST_QUBITS - 1

    def __post_init__(self) -> None:
        if not (self.noise > 0 and math.isfinite(self.noise)):
            raise ValueError(f"noise: {self.noise} given, expected a number above 0")

    def plan(self, qubits: int, parameters: int, radius: float, promise: Promise) -> Plan:
        """qubits: n + 1. parameters: of U. radius: the largest R_p."""
        if qubits > MOST_QUBITS:
            raise ValueError(f"qubits: {qubits} with the ancilla given, expected at most {MOST_QUBITS} for {self.name}")
        gap = promise.epsilon / (2 * radius)
        rounds = math.ceil(2 * qubits * math.log(2) / gap**2) + 1
        tail = math.log(8 * rounds * parameters / promise.share(parameters))
        root = 2 / gap * (math.sqrt(2 * tail) + self.noise * tail)
        batch = math.ceil(root**2)
        return Plan(gap, batch, rounds, tail, self.noise * math.sqrt(batch))

    def copies(self, blocks: Asked, promise: Promise) -> int:
        """As many as all rounds together may take; `estimate` stops earlier and says how many it used."""
        asked = Demand.of(blocks)
        if not asked.blocks:
            return 0
        plan = self.plan(asked.qubits, asked.parameters, asked.sums, promise)
        return plan.rounds * plan.batch

    def estimate(self, held: Held, segment: Segment, promise: Promise, rng: np.random.Generator) -> Estimate:
        """Tr O_p ω; where the copies held do not suffice, that of the last hypothesis."""
        values = np.zeros((len(held.totals), segment.circuit.parameter_count))
        used, drawn = np.zeros_like(held.totals), list[Integers]()
        if blocks_of(segment.circuit):
            tangents = Tangents.of(segment)
            for at, rows in enumerate(held.rows_by_sample):
                run = self.learn(tangents, _radii(segment), held.states[rows], held.counts[rows], promise, rng)
                values[at, tangents.slots], used[at] = run.means, run.used
                drawn += run.drawn
        return Estimate(values, used, noted(drawn))

    def learn(self, ops: Tangents | Complexes, radii: Floats, states: Complexes, counts: Integers, promise: Promise,
              rng: np.random.Generator) -> Run:
        """Run it on copies of one sample.

        ops: the O_p of a unitary, or any (P_U, D, D), Hermitian; ||O_p|| <= radii[p]. states, (rows, D), with
        counts[row] copies each.
        """
        size, parameters = states.shape[1], len(radii)
        plan = self.plan(size.bit_length() - 1, parameters, float(radii.max()), promise)
        omega = TangentHypothesis(ops) if isinstance(ops, Tangents) else DenseHypothesis(ops)
        batches = _Batches(0.5 + omega.means_of(states) / (2 * radii), np.array(counts), plan, rng)
        believed, updates, converged = omega.means(), 0, False
        while updates < plan.rounds and batches.left >= plan.batch:
            found = batches.search(0.5 + believed / (2 * radii))
            if found is None:
                converged = True
                break
            index, sign, gap = found
            omega.add(index, 4 * gap * sign / (2 * float(radii[index])))
            believed, updates = omega.means(), updates + 1
        return Run(omega.matrix(), believed, batches.used, updates, batches.disturbance, converged, batches.drawn)


class DenseHypothesis:
    """ω = exp(Σ_p c_p O_p) over its trace, for any Hermitian O_p, (P_U, D, D); c begins at 0."""

    def __init__(self, ops: Complexes) -> None:
        self._ops = ops
        self._exponent = np.zeros(ops.shape[1:], dtype=np.complex128)

    def add(self, index: int, amount: float) -> None:
        """c of this operator grows by `amount`."""
        self._exponent += amount * self._ops[index]

    def means(self) -> Floats:
        """Tr O_p ω, (P_U,)."""
        return np.asarray(means(self._ops, self.matrix()[None])[0])

    def means_of(self, states: Complexes) -> Floats:
        """<Φ| O_p |Φ> of each row: (rows, D) to (rows, P_U)."""
        return means(self._ops, states[:, :, None] * states[:, None, :].conj())

    def matrix(self) -> Complexes:
        """ω, (D, D)."""
        values, vectors = np.linalg.eigh(self._exponent)
        weights = np.exp(values - values.max())
        return np.asarray((vectors * (weights / weights.sum())) @ vectors.conj().T)


class _Batches:
    """The copies, and the tests made on batches of them. `truth`, (rows, P_U), is <E_p> of each state.

    It feeds the counts' laws and the ledger, and nothing else.
    """

    def __init__(self, truth: Floats, counts: Integers, plan: Plan, rng: np.random.Generator) -> None:
        self._truth = np.clip(np.concatenate([truth, 1 - truth], axis=1), 0.0, 1.0)
        self._counts, self._plan, self._rng = counts, plan, rng
        self.used = 0
        self.disturbance = 0.0
        self.drawn: list[Integers] = []

    @property
    def left(self) -> int:
        return int(self._counts.sum())

    def search(self, believed: Floats) -> tuple[int, int, float] | None:
        """Tests a fresh batch against <E_p> of ω, (P_U,): (parameter, sign, lower estimate of the gap) or None."""
        plan, parameters = self._plan, len(believed)
        taken = draw_copies(self._counts, plan.batch, self._rng)
        self._counts = self._counts - taken
        self.used += plan.batch
        order = self._rng.permutation(2 * parameters)
        h = np.concatenate([believed, 1 - believed])[order]
        q = self._truth[:, order]
        drawn = self._rng.binomial(taken[:, None], snap(q)).sum(axis=0)
        self.drawn.append(drawn)
        counted = drawn + self._rng.exponential(plan.scale, len(order))
        threshold = plan.batch * (h + plan.gap) - plan.slack
        yes = np.flatnonzero(counted >= threshold)
        passed = int(yes[0]) if len(yes) else len(order)
        self.disturbance += disturbance(taken, q[:, :passed], threshold[:passed], plan.scale)
        if not len(yes):
            return None
        low = (counted[passed] - plan.scale * plan.tail - plan.slack) / plan.batch - h[passed]
        index = int(order[passed])
        return index % parameters, 1 if index < parameters else -1, max(plan.gap / 2, float(low))


def disturbance(counts: Integers, q: Floats, threshold: Floats, scale: float) -> float:
    """Σ over tests of √(Var √r / E r), r(c) = 1 - min(1, exp(-(threshold - c) / scale)), c taken as normal.

    counts: (rows,), copies of each state in the batch. q: (rows, tests). threshold: (tests,).
    """
    mean = counts @ q
    deviation = np.sqrt(counts @ (q * (1 - q)))
    weights = np.exp(-(_GRID**2) / 2)
    weights /= weights.sum()
    exponent = (mean - threshold)[:, None] + deviation[:, None] * _GRID
    r = -np.expm1(np.minimum(exponent / scale, 0.0))
    root, total = np.sqrt(r), r @ weights
    variance = (root - (root @ weights)[:, None]) ** 2 @ weights
    squared = np.divide(variance, total, out=np.ones_like(total), where=total > 0)
    return float(np.sqrt(np.minimum(squared, 1.0)).sum())


def operators(segment: Segment) -> tuple[Integers, Complexes]:
    """(slots, O): the operators O_p of the parameters that are read, written out, (slots, D, D).

    `Tangents` holds the same in an eighth of the memory. ValueError where they would not fit into memory.
    """
    blocks = blocks_of(segment.circuit)
    slots = np.array(sorted({slot for block in blocks for slot in block.slots}), dtype=np.int64)
    size = 2 << segment.qubits
    if 16 * len(slots) * size**2 > MOST_OCTETS:
        raise ValueError(f"parameters: {len(slots)} on {segment.qubits} qubits given, expected at most "
                         f"{MOST_OCTETS // (16 * size**2)} for operators in memory")
    ops = np.zeros((len(slots), size, size), dtype=np.complex128)
    for block, framed in sweep(segment, np.eye(size, dtype=np.complex128)):
        turned = block.observable.turn(framed)  # row j: what becomes of basis state j
        at = np.searchsorted(slots, block.slots)
        diagonal = block.values[block.observable.numbers(segment.qubits + 1)].T
        ops[at] += (turned.conj() * diagonal[:, None, :]) @ turned.T
    return slots, ops


def means(ops: Complexes, matrices: Complexes) -> Floats:
    """Tr O_p ρ for each Hermitian matrix of (any, D, D): (any, P_U)."""
    flat = np.ascontiguousarray(matrices).reshape(len(matrices), -1).view(np.float64)
    return np.asarray(flat @ ops.reshape(len(ops), -1).view(np.float64).T)


def _radii(segment: Segment) -> Floats:
    sums, _ = half_ranges(blocks_of(segment.circuit))
    return sums
