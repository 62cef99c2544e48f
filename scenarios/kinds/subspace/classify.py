"""The task `classify` of the kind `subspace`: vectors of the sender, training data of the receiver, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.line import Line
from ketwire.nodes.data import require_labels
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader, Slice
from ketwire.protocols.subspace import Classes, Vectors
from ketwire.scenarios.kinds.interface import Judge, Network
from ketwire.scenarios.kinds.subspace.models import ClassifyFinding, ClassifyReference, ClassifySummary
from ketwire.scenarios.kinds.subspace.spec import ClassifySpec
from ketwire.scenarios.kinds.subspace.tasks import accuracy, bits_of, decisions, quantum_figures, session, stream_values
from ketwire.scenarios.schema.sources import assumption


def classify_sessions(task: ClassifySpec, network: Network, line: Line) -> list[Session]:
    sender, receiver = _owned(task, network)

    def made(name: str, program: str, **common: Any) -> Session:
        return session(
            task,
            network,
            name,
            program,
            common={**_encoding(task), **common},
            sender=sender,
            receiver=receiver,
        )

    sessions = [made("classify", "subspace", **stream_values(task, line))]
    for bits in task.raw:
        raw = {"bits": bits, "sparse": task.sparse, "components": task.components, **task.quantiser.model_dump()}
        sessions.append(made(f"raw-{bits}-bit", "subspace/raw", **raw))
    if task.description_bits is not None:
        described = {"bits": task.description_bits, "components": task.components}
        sessions.append(made("description", "subspace/description", **described))
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


def labels_of_items(task: ClassifySpec, judge: Judge, items: int) -> NDArray[np.int64]:
    key = "protocol.labels"
    return require_labels(judge.load(key, task.labels.located(judge.network.base)), key, items)


def classify_summary(task: ClassifySpec, results: Sequence[SessionResult], judge: Judge) -> ClassifySummary:
    by_name = {result.name: result for result in results}
    quantum = by_name["classify"]
    items = len(decisions(quantum, task))
    answers = labels_of_items(task, judge, items)
    rivals = {
        result.name: ClassifyFinding(
            test_accuracy=accuracy(result, task, answers),
            bits_per_decision=bits_of(result) / items,
            **result.outcomes[task.receiver].values,
        )
        for result in results
        if result.role == "rival"
    }
    return ClassifySummary(
        **quantum_figures(quantum, task, items),
        decisions=items,
        test_accuracy=accuracy(quantum, task, answers),
        baseline_accuracy=rivals[f"raw-{max(task.raw)}-bit"].test_accuracy,
        rivals=rivals,
        **assumption(task),
    )


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
    return vectors, classes, labels_of_items(task, Judge(network), len(vectors.rows))


def classify_exact(task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]) -> ClassifyReference:
    """Accuracy of the measurement with unlimited copies, and of the exact nearest subspace."""
    vectors, classes, answers = classify_holdings(task, network, loaders)
    expected = classes.observable().probabilities(vectors.encoded(np.arange(len(answers))))
    exact = classes.read(expected)
    return ClassifyReference(
        exact_accuracy=float((exact == answers).mean()),
        nearest_subspace_accuracy=float((classes.decide(vectors.rows) == answers).mean()),
    )
