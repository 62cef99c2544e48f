"""The kind `subspace`: one crossing of log2 N qubits, and the classical messages that would do the same.

Task `promise`: the judge deals a half space to the receiver and vectors inside or outside of it to
the sender, and keeps the answers. Task `classify`: the sender's vectors, the receiver's training
data, the judge's labels. See `ketwire.protocols.subspace` and `ketwire.protocols.rivals`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, RootModel, model_validator

from ketwire.channels.budget import DEFAULT_BUDGET_ATTEMPTS, Crossing, refusal
from ketwire.channels.fiber import Fiber
from ketwire.channels.streams import derive_key, stream
from ketwire.errors import ScenarioError
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.codes import MAX_CODE_BITS, default_plan
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.stream import MAX_BATCH_OCTETS
from ketwire.protocols.subspace import Classes, Vectors
from ketwire.quantum import subspaces
from ketwire.scenarios.kinds import Judge, Network
from ketwire.scenarios.schema import NodeName, Strict, wrong
from ketwire.scenarios.sources import Source

DENSE_QUBITS = 4
"""Up to here a half space is Haar random and dense; above it is the product form, which is short of
Haar at N = 16 and cannot be told from it at N = 64 and above."""
MAX_DEALT_ENTRIES = 1 << 27  # of vectors, over all sessions: 1 GiB that the judge hands out
MAX_SESSIONS = 32  # an array a session and party, and a party's orders hold 32

Bits = Annotated[int, Field(ge=1, le=52)]
PROGRAMS = {
    "quantum": "ketwire.protocols.subspace:SubspaceParty",
    "code": "ketwire.protocols.rivals:CodeParty",
    "raw": "ketwire.protocols.rivals:RawParty",
    "description": "ketwire.protocols.rivals:DescriptionParty",
}


class _Common(Strict):
    kind: Literal["subspace"]
    sender: NodeName = Field("alice", description="the node that holds the vectors")
    receiver: NodeName = Field("bob", description="the node that measures and decides")
    copies: int = Field(1, ge=1, le=10**7, description="measured copies of each vector")
    budget_attempts: float = Field(DEFAULT_BUDGET_ATTEMPTS, ge=1, description="emitted copies that a run may need")
    max_batch_octets: int = Field(MAX_BATCH_OCTETS, ge=1024, le=1 << 30, description="of one message of copies")


class SingleCode(Strict):
    """One code word for the whole vector: the best of 2^bits directions. Work 2^bits N, so for few qubits."""

    bits: int = Field(ge=1, le=MAX_CODE_BITS)
    max_qubits: int = Field(8, ge=2, le=12, description="sizes above are left out")


class PromiseSpec(_Common):
    """Vector in subspace: is the sender's vector in the receiver's half space, or orthogonal to it?"""

    task: Literal["promise"]
    qubits: list[Annotated[int, Field(ge=2, le=14)]] = Field(min_length=1, description="sizes, a session for each")
    trials: int = Field(ge=1, le=10**6, description="vectors for each size; one half space serves them all")
    block_code: bool = Field(True, description="the rival with shared random directions, block by block")
    single_code: SingleCode | None = Field(None, description="the rival with one code word; null for none")
    raw: list[Bits] = Field([1], description="the rival that sends the vector, at these bits an entry")
    description: bool = Field(True, description="the rival in which the receiver sends its half space")
    description_bits: Bits = Field(8, description="an entry of a dense half space; signs take one bit")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        _refuse_twice("qubits", self.qubits)
        _refuse_twice("raw", self.raw)
        rivals = self.block_code + (self.single_code is not None) + len(self.raw) + self.description
        sessions = len(self.qubits) * (1 + rivals)
        if sessions > MAX_SESSIONS:
            raise wrong("qubits", self.qubits, f"at most {MAX_SESSIONS} sessions, sizes times rivals are {sessions}")
        entries = sum(1 << qubits for qubits in self.qubits) * (1 + rivals) * self.trials
        if entries > MAX_DEALT_ENTRIES:
            raise wrong("trials", self.trials, f"at most {self.trials * MAX_DEALT_ENTRIES // entries} at these sizes")
        return self


class QuantiserSpec(Strict):
    """The public range of the raw rival's levels, so that it need not send a scale."""

    low: float = -1.0
    high: float = 1.0
    relative: bool = Field(True, description="in units of a vector's own largest magnitude, else as they are")

    @model_validator(mode="after")
    def _range(self) -> Self:
        if not self.low <= 0 < self.high:
            raise wrong("low", self.low, "a range that holds zero and ends above it")
        return self


class ClassifySpec(_Common):
    """Classify the sender's vectors by the receiver's training data."""

    task: Literal["classify"]
    vectors: Source = Field(description="the sender's, one a row")
    training: Source = Field(description="the receiver's, one a row, with labels as a rule")
    training_labels: Source | None = Field(None, description="where the training source has none")
    labels: Source = Field(description="the judge's, of the sender's vectors")
    components: int = Field(ge=1, description="dimension of each class subspace")
    measurement: Literal["discriminating", "exclusion", "pretty-good"] = "discriminating"
    constant: float | None = Field(None, description="public; appended to each vector of both sides")
    quantiser: QuantiserSpec = QuantiserSpec()  # type: ignore[call-arg]
    raw: list[Bits] = Field([1, 2, 8], min_length=1, description="the rival that sends the vector, at these bits")
    sparse: bool = Field(True, description="let that rival leave out zeros where this is shorter")
    description_bits: Bits | None = Field(
        8, description="the rival in which the receiver sends its class subspaces, bits an entry; null for none"
    )

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        _refuse_twice("raw", self.raw)
        if self.constant == 0:
            raise wrong("constant", 0, "a number other than zero, or null")
        if self.constant is not None and self.quantiser.relative:
            raise wrong("quantiser.relative", True, "false and a range, as the vectors' size counts beside a constant")
        return self


class SubspaceSpec(RootModel[Annotated[PromiseSpec | ClassifySpec, Field(discriminator="task")]]):
    """The kind `subspace`, one of two tasks."""

    model_config = ConfigDict(frozen=True)


def _refuse_twice(key: str, values: Sequence[int]) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise wrong(f"{key}.{index}", value, "each value once")


class Subspace:
    """See `ketwire.scenarios.kinds.Kind`."""

    Spec = SubspaceSpec

    def sessions(self, spec: SubspaceSpec, network: Network) -> Sequence[Session]:
        task = spec.root
        fiber = _crossing_fiber(task, network)
        if isinstance(task, PromiseSpec):
            sessions = [each for qubits in task.qubits for each in _promise_sessions(task, network, fiber, qubits)]
        else:
            sessions = _classify_sessions(task, network, fiber)
        return sorted(sessions, key=lambda session: session.role != "quantum")

    def check(self, spec: SubspaceSpec, network: Network, session: Session, public: Mapping[str, int]) -> None:
        if session.role != "quantum":
            return
        task = spec.root
        crossing = Crossing(f"{task.sender}-{task.receiver}", _crossing_fiber(task, network), public["qubits"])
        reason = refusal([crossing], task.copies * public["items"], int(task.budget_attempts))
        if reason is not None:
            raise ScenarioError(f"protocol.copies: {reason}")
        if isinstance(task, ClassifySpec):
            _labels(task, Judge(network), public["items"])

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


def _crossing_fiber(task: _Common, network: Network) -> Fiber:
    """The physics from sender to receiver."""
    for key, party in (("sender", task.sender), ("receiver", task.receiver)):
        if party not in network.parties:
            raise ScenarioError(f"protocol.{key}: {party!r} given, expected a node: {', '.join(network.parties)}")
    if task.sender == task.receiver:
        raise ScenarioError(f"protocol.receiver: {task.receiver!r} given, expected another node than the sender")
    link = network.link(task.sender, task.receiver)
    if link is None:
        raise ScenarioError(
            f"protocol.receiver: {task.receiver!r} given, expected a node with a link to {task.sender}"
        )
    return next(fiber for a, b, fiber in link.directions() if (a, b) == (task.sender, task.receiver))


def _session(
    task: PromiseSpec | ClassifySpec,
    network: Network,
    name: str,
    program: str,
    common: Mapping[str, Any],
    sender: Slice,
    receiver: Slice,
) -> Session:
    """One session: `common` is public, `sender` and `receiver` add what each owns, others have nothing."""
    public = {"task": task.task, "sender": task.sender, "receiver": task.receiver, **common}
    slices = {party: Slice({"role": "idle", "task": task.task}) for party in network.parties}
    for party, role, own in ((task.sender, "sender", sender), (task.receiver, "receiver", receiver)):
        slices[party] = Slice({"role": role, **public, **own.values}, own.arrays)
    role: Literal["quantum", "rival"] = "quantum" if program == "quantum" else "rival"
    return Session(name, role, PROGRAMS[program], slices)


def _stream_values(task: _Common, fiber: Fiber) -> dict[str, Any]:
    return {
        "copies": task.copies,
        "qubit_survival": fiber.survival,
        "max_batch_octets": task.max_batch_octets,
    }


def _decisions(result: SessionResult, task: _Common) -> NDArray[np.int64]:
    return np.asarray(result.outcomes[task.receiver].arrays["decisions"], dtype=np.int64)


def _accuracy(result: SessionResult, task: _Common, answers: NDArray[np.int64]) -> float:
    return float((_decisions(result, task) == answers).mean())


def _bits(result: SessionResult) -> int:
    return result.totals.payload_bits + result.totals.control_bits


def _quantum_figures(result: SessionResult, task: _Common, items: int) -> dict[str, Any]:
    told = result.outcomes[task.receiver].values
    return {
        "copies": told["measured"],
        "attempted_copies": told["attempted"],
        "qubits_per_decision": result.totals.qubits_sent / items,
        "qubits_delivered_per_decision": result.totals.qubits_delivered / items,
    }


# ---------------------------------------------------------------- promise


def _deal(network: Network, qubits: int, trials: int) -> tuple[subspaces.HalfSpace, NDArray[Any], NDArray[np.int64]]:
    """The judge's hand for one size: the half space, the vectors, and 1 for each that lies in it."""
    key = derive_key(network.seed, "dealer", f"n{qubits}")
    make = subspaces.haar_half if qubits <= DENSE_QUBITS else subspaces.product_half
    half: subspaces.HalfSpace = make(1 << qubits, stream(key, "half space"))
    vectors, inside = subspaces.deal(half, trials, stream(key, "vectors"))
    return half, vectors, inside.astype(np.int64)


def _promise_sessions(task: PromiseSpec, network: Network, fiber: Fiber, qubits: int) -> list[Session]:
    half, vectors, _ = _deal(network, qubits, task.trials)
    if isinstance(half, subspaces.ProductHalf):
        layers, own = len(half.signs), Slice({}, {"minus": half.signs < 0})
    else:
        assert isinstance(half, subspaces.DenseHalf)
        layers, own = 0, Slice({}, {"matrix": half.matrix})

    def made(name: str, program: str, **common: Any) -> Session:
        return _session(task, network, name, program, common, Slice({}, {"vectors": vectors}), own)

    name = f"n{qubits}"
    # Shared randomness: a key that both sides hold, which is public and independent of the dealer's.
    shared_key = derive_key(network.seed, "shared randomness", name).hex()
    sessions = [made(name, "quantum", **_stream_values(task, fiber))]
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
    rows, rivals = [], {}
    figures: list[dict[str, Any]] = []
    for qubits in task.qubits:
        _, _, answers = _deal(judge.network, qubits, task.trials)
        quantum = by_name[f"n{qubits}"]
        figures.append(_quantum_figures(quantum, task, task.trials))
        row: dict[str, Any] = {
            "n": qubits,
            "N": 1 << qubits,
            "qubits_per_decision": figures[-1]["qubits_per_decision"],
            "accuracy": _accuracy(quantum, task, answers),
            "rivals": {},
        }
        for result in results:
            size, dash, rival = result.name.partition("-")
            if dash and size == quantum.name:
                told = {
                    "accuracy": _accuracy(result, task, answers),
                    "bits_per_decision": _bits(result) / task.trials,
                }
                rivals[result.name] = told
                row["rivals"][rival] = {**told}
                if rival == "description":
                    # One half space serves all trials here; whoever asks once pays for it alone.
                    row["rivals"][rival]["bits_for_one_decision"] = _bits(result) - task.trials + 1
        rows.append(row)
    summary: dict[str, Any] = {name: sum(each[name] for each in figures) for name in ("copies", "attempted_copies")}
    return {
        **summary,
        "accuracy": float(np.mean([row["accuracy"] for row in rows])),
        "sizes": rows,
        "rivals": rivals,
        "verdict": _promise_verdict(task, rows),
    }


def _promise_verdict(task: PromiseSpec, rows: Sequence[Mapping[str, Any]]) -> str:
    """Who wins at each size; figures are as counted, and only rivals that did as well take part."""
    told = []
    for row in rows:
        equal = {
            name: rival["bits_per_decision"]
            for name, rival in row["rivals"].items()
            if rival["accuracy"] >= row["accuracy"] - 0.05
        }
        qubits = f"N = {row['N']}: {row['qubits_per_decision']:.4g} qubits a vector"
        if not equal:
            told.append(f"{qubits}, no classical rival did as well")
            continue
        best = min(equal, key=lambda name: equal[name])
        won = "quantum wins" if row["qubits_per_decision"] < equal[best] else "classical wins"
        told.append(f"{qubits} against {equal[best]:.4g} bits of {best}, {won}")
    shared = f" (one half space serves {task.trials} vectors, so its description is shared by them)"
    return "; ".join(told) + (shared if task.description and task.trials > 1 else "") + "."


def _promise_exact(task: PromiseSpec, network: Network) -> dict[str, Any]:
    """Expected accuracy from the exact probabilities of a right outcome; of more copies, as if of one."""
    right = []
    for qubits in task.qubits:
        half, vectors, answers = _deal(network, qubits, task.trials)
        inside = subspaces.share_inside(half, vectors)
        right.append(float(np.where(answers == 1, inside, 1 - inside).mean()))
    return {"exact_accuracy": float(np.mean(right))}


# ---------------------------------------------------------------- classify


def _classify_sessions(task: ClassifySpec, network: Network, fiber: Fiber) -> list[Session]:
    sender, receiver = _owned(task, network)

    def made(name: str, program: str, **common: Any) -> Session:
        return _session(task, network, name, program, {"constant": task.constant, **common}, sender, receiver)

    sessions = [made("classify", "quantum", **_stream_values(task, fiber))]
    for bits in task.raw:
        raw = {"bits": bits, "sparse": task.sparse, **task.quantiser.model_dump()}
        sessions.append(made(f"raw-{bits}-bit", "raw", **raw))
    if task.description_bits is not None:
        described = {"bits": task.description_bits, "components": task.components}
        sessions.append(made("description", "description", **described))
    return sessions


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
    }


def _classify_exact(task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]) -> dict[str, Any]:
    """Accuracy of the measurement with unlimited copies, and of the exact nearest subspace."""
    sender, receiver = _owned(task, network)
    constant = {"constant": task.constant}
    vectors = Vectors(Slice({**sender.values, **constant}), loaders[task.sender])
    classes = Classes(Slice({**receiver.values, **constant}), loaders[task.receiver])
    items = len(vectors.rows)
    answers = _labels(task, Judge(network), items)
    expected = classes.observable().probabilities(vectors.encoded(np.arange(items)))
    # Probabilities go where counts go: decisions ask for the largest alone.
    exact = classes.read(np.asarray(expected))  # type: ignore[arg-type]
    return {
        "exact_accuracy": float((exact == answers).mean()),
        "nearest_subspace_accuracy": float((classes.decide(vectors.rows) == answers).mean()),
    }
