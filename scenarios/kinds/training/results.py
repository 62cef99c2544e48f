"""What a training came to: losses, accuracies, costs by step, overhead, and how its rivals did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ketwire.nodes.session import SessionResult
from ketwire.protocols.loaded import labels_of, rows_of
from ketwire.protocols.training.data import are_classes, standardised
from ketwire.protocols.training.description import Described
from ketwire.protocols.training.meter import COLUMNS, HELD, SUMMED
from ketwire.protocols.training.program import Trained
from ketwire.protocols.training.rivals import RawDataTold
from ketwire.scenarios.kinds.interface import Judge, Network
from ketwire.scenarios.kinds.margin import retried
from ketwire.scenarios.kinds.routes import flags_of
from ketwire.scenarios.kinds.training.models import Overhead, PerStep, TrainingFinding, TrainingSummary
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from ketwire.scenarios.kinds.verdict import Rival, Winner, by_accuracy, decided, undecided
from ketwire.scenarios.reports.units import time_text
from ketwire.scenarios.schema.sources import DatasetSource, assumption

Load = Callable[[str, dict[str, Any]], dict[str, NDArray[Any]]]
PS_COLUMN, COPIES_COLUMN = COLUMNS.index("clock_ps"), COLUMNS.index("copies")


def summary(
    spec: TrainingSpec, path: Sequence[str], segments: int, results: Sequence[SessionResult], judge: Judge
) -> TrainingSummary:
    """See `ketwire.scenarios.kinds.interface.Kind.summarise`; `segments`: visits at which something is applied."""
    quantum, *others = results
    told: Trained = quantum.outcomes[path[-1]]
    assert told.losses is not None and told.validations is not None
    steps = _by_step(quantum, path)
    judged: dict[str, Any] = {}
    for part in ("train", "validation", "test"):
        judged[f"{part}_loss"], judged[f"{part}_accuracy"] = told.judged.get(part, (None, None))
    public = all(isinstance(getattr(spec.data, part), DatasetSource) for part in ("train", "test"))
    found = {rival.name: _rival(rival, path, judged["train_loss"]) for rival in others}
    rivals = {name: _beside(each, judged["test_accuracy"]) for name, each in found.items()}
    made = TrainingSummary(
        **judged,
        baseline_accuracy=baseline(spec, judge.load, judge.network) if public else None,
        decisions=told.decisions,
        copies=told.whole.measured,
        **retried(told.whole.emitted, told.whole.needed),
        steps=told.steps,
        losses=told.losses.tolist(),
        validations=told.validations.tolist(),
        per_step=steps,
        parameters_sha256={
            party: quantum.outcomes[party].parameters_sha256 for party in dict.fromkeys(path)
        },
        overhead=_overhead(spec, path, segments, quantum),
        rivals=rivals,
        **assumption(spec),
    )
    return made.with_more(verdict=_verdict(made, quantum, spec.steps))


def baseline(spec: TrainingSpec, load: Load, network: Network) -> float | None:
    """Logistic regression on the same split: its accuracy on the test part.

    None without scikit-learn, and for labels of which it can make nothing: one class, or no classes at all.
    """
    try:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError:
        return None
    rows, labels = [], []
    for part in ("train", "test"):
        data, named = f"protocol.data.{part}", f"protocol.labels.{part}"
        rows.append(rows_of(data, load(data, getattr(spec.data, part).located(network.base))["values"]))
        labels.append(labels_of(named, load(named, getattr(spec.labels, part).located(network.base))))
    if spec.data.standardise:
        rows = standardised(rows[0], rows[1])
    classes, trained_on = np.unique(labels[0], return_inverse=True)
    if not are_classes(classes):
        return None
    model = LogisticRegression(max_iter=10_000).fit(rows[0], trained_on)
    return float((classes[model.predict(rows[1])] == labels[1]).mean())


def _tables(result: SessionResult) -> list[NDArray[np.int64]]:
    """What each party noted of its steps; a party that noted nothing took no part."""
    noted = [outcome.costs for outcome in result.outcomes.values()]
    assert len({len(table) for table in noted}) == 1
    return noted


def _by_step(result: SessionResult, path: Sequence[str]) -> PerStep:
    """Loss and costs of each step, summed over parties, repeaters included, and how much later each step ended.

    Qubits, ebits and bits are those of the wire's totals, which also have what comes after the last step.
    """
    tables = _tables(result)
    told: dict[str, Any] = {name: sum(table[:, COLUMNS.index(name)] for table in tables) for name in SUMMED}
    told |= {name: np.maximum.reduce([table[:, COLUMNS.index(name)] for table in tables]) for name in HELD}
    clocks = np.maximum.reduce([table[:, PS_COLUMN] for table in tables])
    told["virtual_time_ps"] = np.diff(clocks, prepend=0)
    emitted = result.outcomes[path[0]].costs[:, COPIES_COLUMN]
    told["attempted_copies"] = np.diff(emitted, prepend=0)
    told["loss"] = result.outcomes[path[-1]].losses
    return PerStep(**told)


def _overhead(spec: TrainingSpec, path: Sequence[str], segments: int, result: SessionResult) -> Overhead:
    """Operations and memory beside ordinary back-propagation of the same model, in one place.

    Back-propagation applies each party's circuit once forward and once back to every sample of a batch, and
    keeps the state before each layer. What an owner applies to read its copies counts as one application a
    copy. What a party holds at once is what was counted while it ran: see `protocols.training.meter.Cost`.
    """
    told = result.outcomes[path[-1]].training
    tables = _tables(result)
    applied = sum(int(table[:, COLUMNS.index("circuits")].sum()) for table in tables)
    read = told.readings
    usual = 2 * segments * told.samples
    registers, qubits = (max(int(table[:, COLUMNS.index(name)].max(initial=0)) for table in tables) for name in HELD)
    batch = -(-told.samples // max(result.outcomes[path[-1]].steps, 1))
    usual_qubits = spec.qubits + flags_of(spec.layers)
    numbers = len(spec.layers) * batch * 2 * (1 << usual_qubits)
    return Overhead(
        circuit_applications=applied + read,
        backprop_circuit_applications=usual,
        operations_factor=(applied + read) / usual,
        registers_at_once=registers,
        qubits_at_once=qubits,
        qubits_of_a_register=usual_qubits + (spec.estimator != "parameter-shift"),  # an ancilla, if there is |Φ>
        backprop_numbers_at_once=numbers,
    )


def _rival(rival: SessionResult, path: Sequence[str], loss: float | None) -> TrainingFinding:
    """A rival's accuracy and what it had sent by then: `training_bits`, without what classifies the test part.

    Of one that takes steps also when its loss was as low as the quantum protocol's final one.
    """
    outcomes = list(rival.outcomes.values())
    shipped = [outcome.bits for outcome in outcomes if isinstance(outcome, RawDataTold | Described)]
    if (classified := next((found for each in outcomes if (found := getattr(each, "classified", None))), None)):
        told: dict[str, Any] = {"classifier": classified.classifier, "test_accuracy": classified.test_accuracy}
        if classified.cross_validation is not None:
            told["cross_validation"] = classified.cross_validation
        return TrainingFinding(**told, training_bits=sum(shipped))
    told = {"test_accuracy": next(each.test_accuracy for each in outcomes if each.test_accuracy is not None)}
    steps = [outcome.losses for outcome in outcomes if outcome.losses is not None]
    losses = steps[0]
    reached = np.flatnonzero(losses <= loss) if loss is not None else np.zeros(0, dtype=np.int64)
    taken = int(reached[0]) if len(reached) else None  # updates made before this loss was seen
    told |= {"losses": losses, "steps_to_same_loss": taken}
    if shipped:  # before the first step
        bits = sum(shipped)
        return TrainingFinding(**told, bits_to_same_loss=None if taken is None else bits, training_bits=bits)
    by_step = _by_step(rival, path)
    bits_to_same_loss = None if taken is None else sum(by_step.bits[:taken])
    return TrainingFinding(
        **told, bits_to_same_loss=bits_to_same_loss, training_bits=sum(by_step.bits), per_step=by_step
    )


def _beside(told: TrainingFinding, accuracy: float | None) -> TrainingFinding:
    """With how far it is ahead of the protocol, where both have an accuracy."""
    if told.test_accuracy is None or accuracy is None:
        return told
    return told.with_more(ahead=told.test_accuracy - accuracy)


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _verdict(made: TrainingSummary, quantum: SessionResult, planned: int) -> str:
    """Who came to the same accuracy with the least on the wire; only figures that were counted."""
    totals = quantum.totals
    bits = totals.payload_bits + totals.control_bits
    ended = f" of {planned}, where validation ended it," if made.steps < planned else ""
    lines = [
        f"after {_steps(made.steps)}{ended} the training loss is {made.train_loss:.4g}: "
        f"{totals.qubits_sent:,} qubits and {bits:,} bits, {time_text(quantum.virtual_time_ps)} of virtual time, "
        f"{made.overhead.operations_factor:,.0f} times the circuits of back-propagation in one place."
    ]
    lines += [f"  {name} {_told_of(told)}" for name, told in made.rivals.items()]
    if any(told.steps_to_same_loss == 0 for told in made.rivals.values()):
        lines.append("  there is nothing to compare: the loss is no lower than the first batch's was at the start.")
    elif made.rivals:
        lines.append(f"  {_winner(made)}")
    return "\n".join(lines)


def _told_of(told: TrainingFinding) -> str:
    """What a rival came to, and when its loss was as low."""
    if told.test_accuracy is None:
        return "does nothing, as the labels are no classes."
    at = f"comes to {told.test_accuracy:.3f} with {told.training_bits:,} bits"
    if "steps_to_same_loss" not in told.model_fields_set:  # it takes no steps
        return f"{at}, by {told.classifier}."
    steps = told.steps_to_same_loss
    if steps is None:
        return f"{at}; its loss does not get as low in as many steps."
    if steps == 0:
        return f"{at}; its loss is as low with the angles at the start, before its first step."
    return f"{at}; its loss gets as low in {_steps(steps)} with {told.bits_to_same_loss:,} bits."


def _winner(made: TrainingSummary) -> str:
    """Accuracy on the test part first, then the bits of training; the quantum side pays for its steps alone.

    What comes after the last step judges the angles, and rivals are not asked for it either.
    """
    ours = sum(made.per_step.qubits_emitted) + sum(made.per_step.bits)
    accuracy: Any = made.test_accuracy  # that of rivals is none where this is
    able = {name: told.test_accuracy for name, told in made.rivals.items() if told.test_accuracy is not None}
    rivals = [
        Rival(name, made.rivals[name].training_bits, by_accuracy(accuracy, right, made.decisions))
        for name, right in able.items()
    ]
    winner, rival = decided(ours, rivals)
    if winner is Winner.NOBODY or rival is None:
        why = undecided(rival, bool(rivals), "more steps or copies")
        return f"{why}: {ours:,} qubits and bits of the steps came to an accuracy of {accuracy:.3f}."
    who = {Winner.CLASSICAL: "classical wins", Winner.QUANTUM: "quantum wins"}.get(winner, "neither wins")
    beside = f"{rival.cost:,} of {rival.name}"
    return (
        f"{who} on communication: {ours:,} qubits and bits of the steps against {beside}, at an accuracy of "
        f"{accuracy:.3f} and {able[rival.name]:.3f}."
    )
