"""What a training's author can get wrong in an objective, an optimiser, labels or limits: one line, and no figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.traced import Collector, retrace
from ketwire.protocols.training.data import standardised
from ketwire.quantum.gradients.parameter_shift import _Rule
from ketwire.scenarios.kinds.training.results import baseline
from tests.scenarios.kinds.training.test_kind import (
    LABELS,
    SAMPLED,
    TEST_LABELS,
    carried_out,
    network,
    refused,
    run_of,
    spec_of,
)

Floats = NDArray[np.float64]
CONTINUOUS: dict[str, Any] = {
    "train": {"values": np.linspace(-1, 1, len(LABELS)).tolist()},
    "test": {"values": np.linspace(-1, 1, len(TEST_LABELS)).tolist()},
}


class Regression:
    """(z - y)² of any label."""

    two_valued = False

    def losses(self, z: Floats, labels: Floats) -> Any:
        return (z - labels) ** 2

    def slopes(self, z: Floats, labels: Floats) -> Any:
        return 2 * (z - labels)

    def decide(self, z: Floats) -> Any:
        return np.round(z)


class NoNumber(Regression):
    def slopes(self, z: Floats, labels: Floats) -> Any:
        return np.full(len(z), np.nan)


class OneSlope(Regression):
    def slopes(self, z: Floats, labels: Floats) -> Any:
        return 1.0


class MeanLoss(Regression):
    def losses(self, z: Floats, labels: Floats) -> Any:
        return ((z - labels) ** 2).mean()


class Undecided(Regression):
    def decide(self, z: Floats) -> Any:
        return None


class Fails(Regression):
    def losses(self, z: Floats, labels: Floats) -> Any:
        raise RuntimeError("no such loss\nhere")


MISTAKES = {
    "NoNumber": r"gives slopes of nan at <Z0> = [-.\d]+, expected numbers up to 1e\+100",
    "OneSlope": r"answers slopes with an array of shape \[\], expected \[12\]",
    "MeanLoss": r"answers losses with an array of shape \[\], expected \[12\]",
    "Undecided": r"answers decide with an array of shape \[\], expected",
    "Fails": r"raised \S+test_spec_mistakes.py:\d+: RuntimeError: no such loss here, expected losses",
}


@pytest.mark.parametrize(("name", "told"), MISTAKES.items())
def test_an_objective_of_one_s_own_that_is_wrong_is_named(name: str, told: str) -> None:
    """It was blamed on a peer, broadcast, or shown as a traceback."""
    loss = f"{__name__}:{name}"
    with pytest.raises(ScenarioError, match=f"^protocol.objective: '{loss}' {told}") as caught:
        carried_out(spec_of(objective={"loss": loss}, labels=CONTINUOUS, steps=1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("optimiser", "objective"),
    [
        ({"name": "momentum", "rate": 1e308}, {"loss": "squared"}),
        ({"name": "adam", "rate": 1e308, "floor": 1e-300}, {"loss": "squared"}),
        ({"name": "sgd", "rate": 1.0}, {"loss": "logistic", "scale": 1e90}),
    ],
)
def test_parameters_beyond_all_bounds_are_the_rate_s_fault(optimiser: Any, objective: Any) -> None:
    with pytest.raises(
        ScenarioError, match=r"^protocol.optimiser.rate: 1.* given, .*: the training diverges; expected a smaller rate"
    ):
        carried_out(spec_of(optimiser=optimiser, objective=objective, steps=6))


def test_the_baseline_of_labels_that_are_no_classes_is_none() -> None:
    """Logistic regression cannot be fitted to them: it ended --check with a traceback."""
    pytest.importorskip("sklearn")
    loader = make_loader("alice", bytes(32), ".")
    own = {"loss": f"{__name__}:Regression"}
    assert baseline(spec_of(objective=own, labels=CONTINUOUS), loader, network()) is None
    one_class: Any = {"train": {"values": [1] * len(LABELS)}, "test": {"values": [1] * len(TEST_LABELS)}}
    assert baseline(spec_of(objective=own, labels=one_class), loader, network()) is None


def test_the_baseline_of_two_labels_is_that_of_their_classes() -> None:
    """0.5 and 1.5 tell two classes apart as well as 2 and 8 do."""
    pytest.importorskip("sklearn")
    loader, names = make_loader("alice", bytes(32), "."), dict(zip(np.unique(LABELS), (0.5, 1.5), strict=True))
    halves: Any = {
        part: {"values": [names[label] for label in labels]}
        for part, labels in (("train", LABELS), ("test", TEST_LABELS))
    }
    assert baseline(spec_of(labels=halves), loader, network()) == baseline(spec_of(), loader, network())


def test_a_column_of_one_number_is_blank_whatever_its_mean_rounds_to() -> None:
    """The mean of six times 0.1 is not 0.1, and so the column's spread is not 0: it became a column of ones."""
    train = np.column_stack([np.full(6, 0.1), np.arange(6.0)])
    assert train.std(axis=0)[0] > 0
    ours, theirs = standardised(train, np.array([[0.3, 2.5]]))
    assert ours.shape == (6, 1) and theirs == pytest.approx(np.zeros((1, 1)))


def test_copies_that_are_more_than_adaptive_ever_takes_are_refused() -> None:
    """`most` was raised to `copies` without a word, so that nothing was adaptive."""
    adaptive = {"ratio": 0.3, "most": 64}
    said = refused({**SAMPLED, "copies": 65, "adaptive": adaptive})
    assert "adaptive.most: 64 given, expected the 65 copies that are the least, or more" in said
    carried_out(spec_of(**{**SAMPLED, "copies": 64, "adaptive": adaptive, "validation": None, "steps": 1}))
    promised = {"copies": None, "epsilon": 0.2, "delta": 0.1, "validation": None, "adaptive": adaptive}
    assert "protocol.adaptive.most: 64 given, expected at least" in refused({**SAMPLED, **promised})


def test_registers_that_no_message_carries_with_their_flags_are_refused() -> None:
    """26 qubits are a gibibyte; what came with a flag and an ancilla failed when it was first sent."""
    halved: Any = {"at": "b", "layer": "contraction", "matrix": {"random": "normal"}}
    layers = [*spec_of().model_dump(mode="json", exclude_none=True)["layers"], halved]
    assert "qubits: 25 given, expected at most 24: flag qubits (1) and the ancilla of |Phi> go" in refused(
        {"qubits": 25, "layers": layers}
    )
    shifts: Any = {"estimator": "parameter-shift", "copies": 4}
    assert spec_of(qubits=25, layers=layers, **shifts).qubits == 25


def test_a_file_of_labels_alone_serves(tmp_path: Path) -> None:
    """Read as a table of one column it was no flat list; and with its column called that of labels it was empty."""
    for part, labels in (("train", LABELS), ("test", TEST_LABELS)):
        (tmp_path / f"{part}.csv").write_text("\n".join(map(str, labels)) + "\n")
    told: Any = {part: {"path": str(tmp_path / f"{part}.csv")} for part in ("train", "test")}
    ours, theirs = (carried_out(each)[0].outcomes for each in (spec_of(labels=told), spec_of()))
    assert ours["a"].judged == theirs["a"].judged and ours["a"].parameters_sha256 == theirs["a"].parameters_sha256
    table: Any = {"train": {"values": [[1, 2]] * 12}, "test": {"values": TEST_LABELS}}
    assert "labels of shape [12, 2] given, expected a flat list of them, or label_column" in refused({"labels": table})


def test_who_puts_nothing_down_leaves_nothing_behind_with_check() -> None:
    """b, with no angle that moves, came to each step when it was told already, and kept it for ever."""
    spec = spec_of(trainable=["a"], steps=3)
    run = run_of(spec, network())
    steps: list[Any] = []
    collector = Collector(2, lambda step: steps.append(step.rows))
    retrace(run, run.sessions[0], collector)
    assert len(steps) == 3 and collector.pending == 0


@pytest.mark.parametrize("trainable", ["all", [0, 3]])
def test_a_shifted_circuit_is_made_once_and_not_at_every_step(trainable: Any) -> None:
    """Circuits equal themselves alone: one made anew at each step had its rule and its plan made anew as well."""
    layers = spec_of().model_dump(mode="json", exclude_none=True)["layers"]
    changed: Any = {"layers": [*layers, layers[2]], "estimator": "parameter-shift", "copies": 2, "trainable": trainable}
    made = []
    for steps in (1, 4):
        before = _Rule.of.cache_info().misses
        carried_out(spec_of(**changed, loss_copies=2, test_copies=1, steps=steps))
        made.append(_Rule.of.cache_info().misses - before)
    assert made[0] == made[1] > 0
