"""What --check adds for the kind `graph`: the central forward pass, and the copies that its decisions take."""

from __future__ import annotations

import math
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ketwire.protocols.graph.heads import Learning, fitted
from ketwire.protocols.graph.measuring import Law, copies_for_share, polynomial
from ketwire.protocols.graph.model import logits
from ketwire.protocols.graph.sides import Readouts
from ketwire.scenarios.kinds.graph.frame import Frame
from ketwire.scenarios.kinds.graph.models import GraphReference
from ketwire.scenarios.kinds.result import plain

CONFIDENCE, SHARE = 0.95, 0.95
"""Each decision is the central one with this probability, for this share of them."""


def central(frame: Frame) -> NDArray[np.float64]:
    """The logits of the direct forward pass, shape (items, classes)."""
    graphs, question = frame.graphs, frame.question
    if question.form == "graphs":
        asked = [each[0] for each in question.which]
        nodes = np.flatnonzero(np.isin(graphs.member, asked))
        number = np.full(graphs.nodes, -1)
        number[nodes] = np.arange(len(nodes))
        edges = number[graphs.edges]
        inside = edges[(edges >= 0).all(axis=1)]
        found = logits(frame.model, inside, graphs.features[nodes], graphs.member[nodes], max(asked) + 1)
        return np.asarray(found[asked])
    found = logits(frame.model, graphs.edges, graphs.features)
    return np.array([found[each].mean(axis=0) for each in question.which])


def reference(frame: Frame) -> GraphReference:
    """Everything that is to be known in one place."""
    wanted = central(frame)
    if frame.learning is not None:
        wanted = _learnt(frame, frame.learning)
        exact = plain(wanted.reshape(-1))
        answers = plain(frame.answers(wanted))
        return GraphReference(exact=exact, central_accuracy=frame.accuracy(wanted), central_answers=answers)
    centred = frame.spec.measurement == "eigenbasis"
    exact = wanted - wanted.mean(axis=1, keepdims=True) if centred else wanted
    needed: list[float] = []
    alphas, sizes = [], []
    for item in range(frame.public.items):
        law, alpha, size = law_of(frame, item)
        alphas.append(alpha)
        sizes.append(size)
        if frame.pairs is None:
            needed.append(law.copies_for_class(CONFIDENCE))
        else:
            needed += [law.copies_for_pair(i, j, CONFIDENCE) for i, j in frame.pairs]
    enough = copies_for_share(needed, SHARE)
    registers = [frame.public.qubits(item) for item in range(frame.public.items)]
    crossings = max(len(frame.public.path) - 1, 1)
    each = sum(registers) * crossings * enough / len(needed)
    return GraphReference(
        exact=plain(exact.reshape(-1)),
        central_accuracy=frame.accuracy(wanted),
        central_answers=plain(frame.answers(wanted)),
        copies_needed=plain(needed),
        copies_95=enough if math.isfinite(enough) else None,
        copies_median=(half if math.isfinite(half := copies_for_share(needed, 0.5)) else None),
        qubits_95=each if math.isfinite(each) else None,
        alpha_median=median(alphas),
        size_median=median(sizes),
    )


def _learnt(frame: Frame, learning: Learning) -> NDArray[np.float64]:
    """Logits of the decided items by the head that is learnt from the units themselves, without shot noise."""
    items = frame.graphs.items(frame.question)
    readouts = Readouts(frame.model, frame.graphs, items, frame.public)
    units = []
    for number, item in enumerate(items):
        transform = readouts.direct(number)
        c0, c1, c2 = polynomial(frame.model, transform.units)
        z = transform.images(frame.graphs.rows(item.inside).reshape(1, -1))[0] + transform.offset
        units.append(((c2 * z + c1) * z + c0).sum(axis=0) * transform.pool)
    head, bias = fitted(np.array(units[: frame.learnt]), learning)
    return np.array(units[frame.learnt :]) @ head + bias


def law_of(frame: Frame, item: int) -> tuple[Law, float, float]:
    """How one copy of an item's ideal state is measured; with α and ||x'||."""
    public, model = frame.public, frame.model
    items = frame.graphs.items(frame.question)
    readouts = Readouts(model, frame.graphs, items, public)
    rows = frame.graphs.rows(items[item].inside)
    constant, alpha = readouts.choose(item, float(np.linalg.norm(rows)))
    whole = np.append(rows.reshape(-1), constant)
    size = float(np.linalg.norm(whole))
    state = np.zeros((1, 1 << public.qubits(item)), dtype=np.complex128)
    state[0, : len(whole)] = whole / size
    if public.measurement == "eigenbasis":
        return readouts.spectra(item, constant, size).law(state), alpha, size
    return readouts.histogram(item, constant, size, alpha).law(state, model.head, model.head_bias), alpha, size
