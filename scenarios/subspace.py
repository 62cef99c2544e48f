"""The kind `subspace`: one crossing of log2 N qubits, and the classical messages that would do the same.

Task `promise`: the judge deals a half space to the receiver and vectors inside or outside of it to
the sender, and keeps the answers. Task `classify`: the sender's vectors, the receiver's training
data, the judge's labels. See `ketwire.protocols.subspace` and `ketwire.protocols.rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.budget import Crossing, refusal, round_copies
from ketwire.channels.copies import MAX_QUBITS
from ketwire.channels.line import Line
from ketwire.channels.streams import derive_key, stream
from ketwire.channels.sums import exact_sum
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.codes import default_plan
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.subspace import Classes, Vectors
from ketwire.quantum import half_spaces
from ketwire.scenarios.chains import plan_values
from ketwire.scenarios.kinds import Judge, Network
from ketwire.scenarios.margin import margin_of, retried
from ketwire.scenarios.routes import line_between
from ketwire.scenarios.sources import ASSUMPTION, assumption
from ketwire.scenarios.subspace_spec import ClassifySpec, Common, PromiseSpec, SubspaceSpec
from ketwire.scenarios.verdict import Rival, Winner, by_promise, decided, reaches, undecided

DENSE_QUBITS = 4
"""Up to here a half space is Haar random and dense; above it is the product form, which is short of
Haar at N = 16 and cannot be told from it at N = 64 and above."""

PROGRAMS = {
    "quantum": "ketwire.protocols.subspace:SubspaceParty",
    "code": "ketwire.protocols.rivals:CodeParty",
    "raw": "ketwire.protocols.rivals:RawParty",
    "description": "ketwire.protocols.rivals:DescriptionParty",
}


class Subspace:
    """See `ketwire.scenarios.kinds.Kind`."""

    Spec = SubspaceSpec

    def sessions(self, spec: SubspaceSpec, network: Network) -> Sequence[Session]:
        task = spec.root
        line = _line(task, network)
        if isinstance(task, PromiseSpec):
            sessions = [
                each for qubits in task.qubits for each in _promise_sessions(task, network, line, qubits)
            ]
        else:
            sessions = _classify_sessions(task, network, line)
        return sorted(sessions, key=lambda session: session.role != "quantum")

    def check(
        self, spec: SubspaceSpec, network: Network, session: Session, public: Mapping[str, int]
    ) -> None:
        if session.role != "quantum":
            return
        task = spec.root
        crossing = Crossing(
            f"{task.sender}-{task.receiver}", _line(task, network), public["qubits"]
        )
        reason = refusal([crossing], task.copies * public["items"], int(task.budget_attempts))
        if reason is not None:
            raise ScenarioError(f"protocol.copies: {reason}")
        if isinstance(task, ClassifySpec):
            _labels(task, Judge(network), public["items"])

    def foreseen(self, spec: SubspaceSpec, session: Session) -> Mapping[str, int] | None:
        """The judge's hand is known; how many vectors of how many entries a source holds is not."""
        task = spec.root
        if not isinstance(task, PromiseSpec) or session.role != "quantum":
            return None
        return {"qubits": int(session.name.removeprefix("n")), "items": task.trials}

    def summarise(self, spec: SubspaceSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
        task = spec.root
        if isinstance(task, PromiseSpec):
            return _promise_summary(task, results, judge)
        return _classify_summary(task, results, judge)

    def exact(self, spec: SubspaceSpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
        task = spec.root
        if isinstance(task, PromiseSpec):
            return _promise_exact(task, network)
        return _classify_exact(task, network, loaders)


# ---------------------------------------------------------------- both tasks


def _line(task: Common, network: Network) -> Line:
    """The physics from sender to receiver."""
    for key, party in (("sender", task.sender), ("receiver", task.receiver)):
        if party not in network.parties:
            raise ScenarioError(
                f"protocol.{key}: {party!r} given, expected a node: {', '.join(network.parties)}"
            )
    if task.sender == task.receiver:
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected another node than the sender"
        )
    link = network.link(task.sender, task.receiver)
    if link is None:
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected a node with a link to {task.sender}"
        )
    if network.is_hop(task.sender, task.receiver):
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected a node with a link to {task.sender} over which "
            "no chain of repeaters makes its pairs"
        )
    return line_between(network, task.sender, task.receiver)


def _session(
    task: PromiseSpec | ClassifySpec,
    network: Network,
    name: str,
    program: str,
    *,
    common: Mapping[str, Any],
    sender: Slice,
    receiver: Slice,
) -> Session:
    """One session: `common` is public, `sender` and `receiver` add what each owns, others have nothing."""
    public = {"task": task.task, "sender": task.sender, "receiver": task.receiver, **common}
    beside = public if "chains" in common else {"task": task.task}  # repeaters share the plan
    slices = {party: Slice({**beside, "role": "idle"}) for party in network.parties}
    for party, part, own in ((task.sender, "sender", sender), (task.receiver, "receiver", receiver)):
        slices[party] = Slice({"role": part, **public, **own.values}, own.arrays)
    role: Literal["quantum", "rival"] = "quantum" if program == "quantum" else "rival"
    return Session(name, role, PROGRAMS[program], slices)


def _stream_values(task: Common, line: Line) -> dict[str, Any]:
    return {
        "copies": task.copies,
        "survivals": [line.survival(qubits) for qubits in range(1, MAX_QUBITS + 1)],
        "max_batch_octets": task.max_batch_octets,
        "budget_attempts": int(task.budget_attempts),
        "margin": margin_of(task.margin),
        "round_copies": [round_copies([Crossing("", line, qubits)]) for qubits in range(1, MAX_QUBITS + 1)],
        **({"chains": [chain]} if (chain := plan_values(line, task.sender, task.receiver)) is not None else {}),
    }


def _decisions(result: SessionResult, task: Common) -> NDArray[np.int64]:
    return np.asarray(result.outcomes[task.receiver].arrays["decisions"], dtype=np.int64)


def _accuracy(result: SessionResult, task: Common, answers: NDArray[np.int64]) -> float:
    return float((_decisions(result, task) == answers).mean())


def _bits(result: SessionResult) -> int:
    return result.totals.payload_bits + result.totals.control_bits


def _quantum_figures(result: SessionResult, task: Common, items: int) -> dict[str, Any]:
    told = result.outcomes[task.receiver].values
    return {
        "copies": told["measured"],
        **retried(told["attempted"], told["needed"]),
        "qubits_per_decision": result.totals.qubits_sent / items,
        "qubits_delivered_per_decision": result.totals.qubits_delivered / items,
    }


# ---------------------------------------------------------------- promise


def _deal(
    network: Network, qubits: int, trials: int
) -> tuple[half_spaces.HalfSpace, NDArray[Any], NDArray[np.int64]]:
    """The judge's hand for one size: the half space, the vectors, and 1 for each that lies in it."""
    key = derive_key(network.seed, "dealer", f"n{qubits}")
    make = half_spaces.haar_half if qubits <= DENSE_QUBITS else half_spaces.product_half
    half: half_spaces.HalfSpace = make(1 << qubits, stream(key, "half space"))
    vectors, inside = half_spaces.deal(half, trials, stream(key, "vectors"))
    return half, vectors, inside.astype(np.int64)


def _promise_sessions(task: PromiseSpec, network: Network, line: Line, qubits: int) -> list[Session]:
    half, vectors, _ = _deal(network, qubits, task.trials)
    if isinstance(half, half_spaces.ProductHalf):
        layers, own = len(half.signs), Slice({}, {"minus": half.signs < 0})
    else:
        assert isinstance(half, half_spaces.DenseHalf)
        layers, own = 0, Slice({}, {"matrix": half.matrix})

    def made(name: str, program: str, **common: Any) -> Session:
        return _session(
            task, network, name, program, common=common, sender=Slice({}, {"vectors": vectors}), receiver=own
        )

    name = f"n{qubits}"
    # Shared randomness: a key that both sides hold, which is public and independent of the dealer's.
    shared_key = derive_key(network.seed, "shared randomness", name).hex()
    sessions = [made(name, "quantum", **_stream_values(task, line))]
    if task.block_code:
        plan = default_plan(1 << qubits)
        code = {"blocks": plan.blocks, "bits_per_block": plan.bits_per_block}
        sessions.append(made(f"{name}-block-code", "code", shared_key=shared_key, **code))
    if task.single_code is not None and qubits <= task.single_code.max_qubits:
        code = {"blocks": 1, "bits_per_block": task.single_code.bits}
        sessions.append(made(f"{name}-single-code", "code", shared_key=shared_key, **code))
    for bits in task.raw:
        raw = {"bits": bits, "low": -1.0, "high": 1.0, "relative": True, "sparse": False, "constant": None}
        sessions.append(made(f"{name}-raw-{bits}-bit", "raw", **raw))
    if task.description:
        bits = 1 if layers else task.description_bits
        sessions.append(made(f"{name}-description", "description", bits=bits, layers=layers))
    return sessions


def _promise_summary(task: PromiseSpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
    by_name = {result.name: result for result in results}
    figures: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    rivals: dict[str, dict[str, Any]] = {}
    for qubits in task.qubits:
        name = f"n{qubits}"
        answers = _deal(judge.network, qubits, task.trials)[2]
        figures.append(_quantum_figures(by_name[name], task, task.trials))
        told = {
            result.name.removeprefix(f"{name}-"): _promise_rival(task, result, answers)
            for result in results
            if result.name.startswith(f"{name}-")
        }
        rivals |= {f"{name}-{rival}": figure for rival, figure in told.items()}
        row = {
            "n": qubits,
            "N": 1 << qubits,
            "qubits_per_decision": figures[-1]["qubits_per_decision"],
            "bits_per_decision": _bits(by_name[name]) / task.trials,  # heralds and reports, on lossy fibers
            "accuracy": _accuracy(by_name[name], task, answers),
            "rivals": told,
        }
        rows.append(row)
    return {
        "copies": sum(figure["copies"] for figure in figures),
        **retried(
            sum(figure["attempted_copies"] for figure in figures),
            exact_sum(figure["needed_copies"] for figure in figures),
        ),
        "accuracy": float(np.mean([row["accuracy"] for row in rows])),
        "sizes": rows,
        "rivals": rivals,
        "assumption": ASSUMPTION,  # of the vectors and half spaces that the judge deals
        "verdict": _promise_verdict(task, rows),
    }


def _promise_rival(task: PromiseSpec, result: SessionResult, answers: NDArray[np.int64]) -> dict[str, Any]:
    told = {
        "accuracy": _accuracy(result, task, answers),
        "bits_per_decision": _bits(result) / task.trials,
    }
    if result.name.endswith("-description"):
        # One half space serves all trials here; whoever asks once pays for it alone.
        told["bits_for_one_decision"] = _bits(result) - task.trials + 1
    return told


GOAL = 0.95
"""The promise that runs of the task `promise` keep or not: to be right so often. What the block codes are made for."""


def _promise_verdict(task: PromiseSpec, rows: Sequence[Mapping[str, Any]]) -> str:
    """Who wins at each size, a line each. Costs are compared among runs that are right often enough."""
    told = [f"cost of one decision, among protocols that are right with a probability of {GOAL:g} or more:"]
    told += [_promise_line(task, row) for row in rows]
    if task.description and task.trials > 1:
        told.append(f"  (one half space serves {task.trials} vectors, which share the bits of its description)")
    return "\n".join(told)


def _promise_line(task: PromiseSpec, row: Mapping[str, Any]) -> str:
    sent = row["qubits_per_decision"] + row["bits_per_decision"]
    qubits = f"{row['qubits_per_decision']:.4g} qubits"
    qubits += f" and {row['bits_per_decision']:.4g} bits" if row["bits_per_decision"] else ""
    keeps = reaches(row["accuracy"], task.trials, GOAL)
    qubits += "" if keeps else f" (right in {row['accuracy']:.3f})"
    able = {name: rival for name, rival in row["rivals"].items() if reaches(rival["accuracy"], task.trials, GOAL)}
    rivals = [
        Rival(name, rival["bits_per_decision"], by_promise(keeps, name in able))
        for name, rival in row["rivals"].items()
    ]
    winner, rival = decided(sent, rivals)
    won = {
        Winner.QUANTUM: "quantum wins",
        Winner.CLASSICAL: "classical wins",
        Winner.TIE: "a tie",
        Winner.NOBODY: undecided(rival, bool(rivals), "more copies"),
    }[winner]
    costs = ", ".join(f"{name} {rival['bits_per_decision']:.4g}" for name, rival in able.items())
    return f"  N = {row['N']:>5,}: {qubits:>9} | bits: {costs or 'none'} | {won}"


def _promise_exact(task: PromiseSpec, network: Network) -> dict[str, Any]:
    """Expected accuracy from the exact probabilities of a right outcome; of more copies, as if of one."""
    right = []
    for qubits in task.qubits:
        half, vectors, answers = _deal(network, qubits, task.trials)
        inside = half_spaces.share_inside(half, vectors)
        right.append(float(np.where(answers == 1, inside, 1 - inside).mean()))
    return {"exact_accuracy": float(np.mean(right))}


# ---------------------------------------------------------------- classify


def _classify_sessions(task: ClassifySpec, network: Network, line: Line) -> list[Session]:
    sender, receiver = _owned(task, network)

    def made(name: str, program: str, **common: Any) -> Session:
        return _session(
            task,
            network,
            name,
            program,
            common={**_encoding(task), **common},
            sender=sender,
            receiver=receiver,
        )

    sessions = [made("classify", "quantum", **_stream_values(task, line))]
    for bits in task.raw:
        raw = {"bits": bits, "sparse": task.sparse, "components": task.components, **task.quantiser.model_dump()}
        sessions.append(made(f"raw-{bits}-bit", "raw", **raw))
    if task.description_bits is not None:
        described = {"bits": task.description_bits, "components": task.components}
        sessions.append(made("description", "description", **described))
    return sessions


def _encoding(task: ClassifySpec) -> dict[str, Any]:
    """What is done to the vectors of both sides."""
    return {"constant": task.constant, "standardise": task.standardise}


def _owned(task: ClassifySpec, network: Network) -> tuple[Slice, Slice]:
    """What sender and receiver own: where their data are, and how the receiver learns from its own."""
    training_labels = task.training_labels
    return Slice({"vectors": task.vectors.located(network.base)}), Slice(
        {
            "training": task.training.located(network.base),
            "training_labels": None if training_labels is None else training_labels.located(network.base),
            "components": task.components,
            "measurement": task.measurement,
            "copies": task.copies,
        }
    )


def _labels(task: ClassifySpec, judge: Judge, items: int) -> NDArray[np.int64]:
    from ketwire.nodes.data import require_labels  # noqa: PLC0415

    key = "protocol.labels"
    return require_labels(judge.load(key, task.labels.located(judge.network.base)), key, items)


def _classify_summary(task: ClassifySpec, results: Sequence[SessionResult], judge: Judge) -> dict[str, Any]:
    by_name = {result.name: result for result in results}
    quantum = by_name["classify"]
    items = len(_decisions(quantum, task))
    answers = _labels(task, judge, items)
    rivals = {
        result.name: {
            "test_accuracy": _accuracy(result, task, answers),
            "bits_per_decision": _bits(result) / items,
            **result.outcomes[task.receiver].values,
        }
        for result in results
        if result.role == "rival"
    }
    return {
        **_quantum_figures(quantum, task, items),
        "decisions": items,
        "test_accuracy": _accuracy(quantum, task, answers),
        "baseline_accuracy": rivals[f"raw-{max(task.raw)}-bit"]["test_accuracy"],
        "rivals": rivals,
        **assumption(task),
    }


def receiver_holding(task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]) -> Classes:
    """What the receiver makes of its training data, before anything is sent.

    Raises:
        ScenarioError: the data cannot be read, or do not fit the scenario.
    """
    receiver = _owned(task, network)[1]
    return Classes(Slice({**receiver.values, **_encoding(task)}), loaders[task.receiver])


def classify_holdings(
    task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]
) -> tuple[Vectors, Classes, NDArray[np.int64]]:
    """What sender and receiver encode and learn from, standardised if asked for, and the judge's labels.

    Raises:
        ScenarioError: as `receiver_holding`.
    """
    sender = _owned(task, network)[0]
    vectors = Vectors(Slice({**sender.values, **_encoding(task)}), loaders[task.sender])
    classes = receiver_holding(task, network, loaders)
    if classes.scaling is not None:
        vectors.standardise(classes.scaling)
    return vectors, classes, _labels(task, Judge(network), len(vectors.rows))


def _classify_exact(task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
    """Accuracy of the measurement with unlimited copies, and of the exact nearest subspace."""
    vectors, classes, answers = classify_holdings(task, network, loaders)
    expected = classes.observable().probabilities(vectors.encoded(np.arange(len(answers))))
    exact = classes.read(expected)
    return {
        "exact_accuracy": float((exact == answers).mean()),
        "nearest_subspace_accuracy": float((classes.decide(vectors.rows) == answers).mean()),
    }
