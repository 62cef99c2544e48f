"""The task `promise` of the kind `subspace`: the judge deals a half space and vectors inside or outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.line import Line
from ketwire.channels.streams import derive_key, stream
from ketwire.channels.sums import exact_sum
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.codes import default_plan
from ketwire.protocols.sides import CodeSlice, DescriptionSlice, OwnHalf, OwnVectors, RawSlice, Side
from ketwire.quantum import half_spaces
from ketwire.scenarios.kinds.interface import Judge, Network
from ketwire.scenarios.kinds.margin import retried
from ketwire.scenarios.kinds.subspace.models import PromiseFinding, PromiseReference, PromiseSummary, Size
from ketwire.scenarios.kinds.subspace.spec import PromiseSpec
from ketwire.scenarios.kinds.subspace.tasks import accuracy, bits_of, quantum_figures, session, sides_of, streamed
from ketwire.scenarios.kinds.verdict import Rival, Winner, by_promise, decided, reaches, undecided
from ketwire.scenarios.schema.sources import ASSUMPTION

DENSE_QUBITS = 4
"""Up to here a half space is Haar random and dense; above it is the product form, which is short of
Haar at N = 16 and cannot be told from it at N = 64 and above."""


def _deal(
    network: Network, qubits: int, trials: int
) -> tuple[half_spaces.HalfSpace, NDArray[Any], NDArray[np.int64]]:
    """The judge's hand for one size: the half space, the vectors, and 1 for each that lies in it."""
    key = derive_key(network.workload, "dealer", f"n{qubits}")
    make = half_spaces.haar_half if qubits <= DENSE_QUBITS else half_spaces.product_half
    half: half_spaces.HalfSpace = make(1 << qubits, stream(key, "half space"))
    vectors, inside = half_spaces.deal(half, trials, stream(key, "vectors"))
    return half, vectors, inside.astype(np.int64)


def promise_sessions(task: PromiseSpec, network: Network, line: Line, qubits: int) -> list[Session]:
    half, vectors, _ = _deal(network, qubits, task.trials)
    if isinstance(half, half_spaces.ProductHalf):
        layers, own = len(half.signs), OwnHalf(minus=half.signs < 0)
    else:
        assert isinstance(half, half_spaces.DenseHalf)
        layers, own = 0, OwnHalf(matrix=half.matrix)
    public = Side(task.sender, task.receiver)
    sides = sides_of(task, network, replace(public, own=OwnVectors(dealt=vectors)), replace(public, half=own))
    name = f"n{qubits}"
    # Shared randomness: a key that both sides hold, which is public and independent of the dealer's.
    shared_key = derive_key(network.seed, "shared randomness", name).hex()
    sessions = [session(name, "subspace", sides, streamed(task, line))]
    codes = {}
    if task.block_code:
        plan = default_plan(1 << qubits)
        codes["block"] = (plan.blocks, plan.bits_per_block)
    if task.single_code is not None and qubits <= task.single_code.max_qubits:
        codes["single"] = (1, task.single_code.bits)
    for code, told in codes.items():
        sessions.append(session(f"{name}-{code}-code", "subspace/code", sides, partial(_coded, shared_key, told)))
    for bits in task.raw:
        raw = partial(RawSlice, bits=bits, low=-1.0, high=1.0, relative=True, sparse=False)
        sessions.append(session(f"{name}-raw-{bits}-bit", "subspace/raw", sides, raw))
    if task.description:
        described = partial(DescriptionSlice, bits=1 if layers else task.description_bits, layers=layers)
        sessions.append(session(f"{name}-description", "subspace/description", sides, described))
    return sessions


def _coded(shared_key: str, plan: tuple[int, int], side: Side) -> CodeSlice:
    return CodeSlice(side, shared_key, *plan)


def promise_summary(task: PromiseSpec, results: Sequence[SessionResult], judge: Judge) -> PromiseSummary:
    by_name = {result.name: result for result in results}
    figures: list[dict[str, Any]] = []
    rows: list[Size] = []
    rivals: dict[str, PromiseFinding] = {}
    for qubits in task.qubits:
        name = f"n{qubits}"
        answers = _deal(judge.network, qubits, task.trials)[2]
        figures.append(quantum_figures(by_name[name], task, task.trials))
        told = {
            result.name.removeprefix(f"{name}-"): _promise_rival(task, result, answers)
            for result in results
            if result.name.startswith(f"{name}-")
        }
        rivals |= {f"{name}-{rival}": figure for rival, figure in told.items()}
        row = Size(
            n=qubits,
            N=1 << qubits,
            qubits_per_decision=figures[-1]["qubits_per_decision"],
            bits_per_decision=bits_of(by_name[name]) / task.trials,  # heralds and reports, on lossy fibers
            accuracy=accuracy(by_name[name], task, answers),
            rivals=told,
        )
        rows.append(row)
    return PromiseSummary(
        copies=sum(figure["copies"] for figure in figures),
        **retried(
            sum(figure["attempted_copies"] for figure in figures),
            exact_sum(figure["needed_copies"] for figure in figures),
        ),
        accuracy=float(np.mean([row.accuracy for row in rows])),
        sizes=rows,
        rivals=rivals,
        assumption=ASSUMPTION,  # of the vectors and half spaces that the judge deals
        verdict=_promise_verdict(task, rows),
    )


def _promise_rival(task: PromiseSpec, result: SessionResult, answers: NDArray[np.int64]) -> PromiseFinding:
    told = PromiseFinding(
        accuracy=accuracy(result, task, answers), bits_per_decision=bits_of(result) / task.trials
    )
    if result.name.endswith("-description"):
        # One half space serves all trials here; a single decision pays for it alone.
        return told.with_more(bits_for_one_decision=bits_of(result) - task.trials + 1)
    return told


GOAL = 0.95
"""The promise that runs of the task `promise` keep or not: to be right so often. What the block codes are made for."""


def _promise_verdict(task: PromiseSpec, rows: Sequence[Size]) -> str:
    """Who wins at each size, a line each. Costs are compared among runs that are right often enough."""
    told = [f"cost of one decision, among protocols that are right with a probability of {GOAL:g} or more:"]
    told += [_promise_line(task, row) for row in rows]
    if task.description and task.trials > 1:
        told.append(f"  (one half space serves {task.trials} vectors, which share the bits of its description)")
    return "\n".join(told)


def _promise_line(task: PromiseSpec, row: Size) -> str:
    sent = row.qubits_per_decision + row.bits_per_decision
    qubits = f"{row.qubits_per_decision:.4g} qubits"
    qubits += f" and {row.bits_per_decision:.4g} bits" if row.bits_per_decision else ""
    keeps = reaches(row.accuracy, task.trials, GOAL)
    qubits += "" if keeps else f" (right in {row.accuracy:.3f})"
    able = {name: rival for name, rival in row.rivals.items() if reaches(rival.accuracy, task.trials, GOAL)}
    rivals = [
        Rival(name, rival.bits_per_decision, by_promise(keeps, name in able)) for name, rival in row.rivals.items()
    ]
    winner, rival = decided(sent, rivals)
    won = {
        Winner.QUANTUM: "quantum wins",
        Winner.CLASSICAL: "classical wins",
        Winner.TIE: "a tie",
        Winner.NOBODY: undecided(rival, bool(rivals), "more copies"),
    }[winner]
    costs = ", ".join(f"{name} {rival.bits_per_decision:.4g}" for name, rival in able.items())
    return f"  N = {row.N:>5,}: {qubits:>9} | bits: {costs or 'none'} | {won}"


def promise_exact(task: PromiseSpec, network: Network) -> PromiseReference:
    """Expected accuracy from the exact probabilities of a right outcome; of more copies, as if of one."""
    right = []
    for qubits in task.qubits:
        half, vectors, answers = _deal(network, qubits, task.trials)
        inside = half_spaces.share_inside(half, vectors)
        right.append(float(np.where(answers == 1, inside, 1 - inside).mean()))
    return PromiseReference(exact_accuracy=float(np.mean(right)))
