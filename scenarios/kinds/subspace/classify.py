"""The task `classify` of the kind `subspace`: vectors of the sender, training data of the receiver, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.line import Line
from ketwire.nodes.data import require_labels
from ketwire.nodes.session import Session, SessionResult
from ketwire.protocols.node import Loader
from ketwire.protocols.rivals import Decided
from ketwire.protocols.sides import DescriptionSlice, OwnClasses, OwnVectors, RawSlice, Side
from ketwire.protocols.subspace import Classes, Vectors
from ketwire.scenarios.kinds.interface import Judge, Network
from ketwire.scenarios.kinds.subspace.models import ClassifyFinding, ClassifyReference, ClassifySummary
from ketwire.scenarios.kinds.subspace.spec import ClassifySpec
from ketwire.scenarios.kinds.subspace.tasks import (
    accuracy,
    bits_of,
    decisions,
    quantum_figures,
    session,
    sides_of,
    streamed,
)
from ketwire.scenarios.schema.sources import assumption


def classify_sessions(task: ClassifySpec, network: Network, line: Line) -> list[Session]:
    sides = sides_of(task, network, *_owned(task, network))
    sessions = [session("classify", "subspace", sides, streamed(task, line))]
    for bits in task.raw:
        told = {"bits": bits, "sparse": task.sparse, "components": task.components, **task.quantiser.model_dump()}
        sessions.append(session(f"raw-{bits}-bit", "subspace/raw", sides, partial(RawSlice, **told)))
    if task.description_bits is not None:
        described = partial(DescriptionSlice, bits=task.description_bits, components=task.components)
        sessions.append(session("description", "subspace/description", sides, described))
    return sessions


def _owned(task: ClassifySpec, network: Network) -> tuple[Side, Side]:
    """What sender and receiver own: where their data are, and how the receiver learns from its own."""
    training_labels = task.training_labels
    public = Side(task.sender, task.receiver, task.constant, task.standardise)
    classes = OwnClasses(
        task.training.located(network.base),
        None if training_labels is None else training_labels.located(network.base),
        task.components,
        task.measurement,
        task.copies,
    )
    return replace(public, own=OwnVectors(source=task.vectors.located(network.base))), replace(public, classes=classes)


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
            **_beside(result.outcomes[task.receiver]),
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


def _beside(told: Decided) -> dict[str, Any]:
    """What a rival tells beside its decisions."""
    names = ("form", "classifier", "cross_validation")
    return {name: value for name in names if (value := getattr(told, name)) is not None}


def receiver_holding(task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]) -> Classes:
    """What the receiver makes of its training data, before anything is sent.

    Raises:
        ScenarioError: the data cannot be read, or do not fit the scenario.
    """
    return Classes(_owned(task, network)[1], loaders[task.receiver])


def classify_holdings(
    task: ClassifySpec, network: Network, loaders: Mapping[str, Loader]
) -> tuple[Vectors, Classes, NDArray[np.int64]]:
    """What sender and receiver encode and learn from, standardised if asked for, and the judge's labels.

    Raises:
        ScenarioError: as `receiver_holding`.
    """
    vectors = Vectors(_owned(task, network)[0], loaders[task.sender])
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
