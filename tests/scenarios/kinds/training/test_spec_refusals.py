"""What a training refuses before its first step: batches without rows, streams beyond the budget, names said twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.channels.hardware import Hardware
from ketwire.channels.parts import Memory
from ketwire.nodes.data import make_loader
from ketwire.nodes.session import agree
from ketwire.protocols.gradient.agreement import Agreement
from ketwire.protocols.training.program import TrainingParty
from ketwire.quantum.gradients.estimation import Promise
from ketwire.scenarios.kinds.training.results import baseline
from tests.scenarios.kinds.training.test_kind import (
    KIND,
    LABELS,
    LOSSY,
    ROWS,
    SAMPLED,
    carried_out,
    network,
    refused,
    spec_of,
)

VALIDATION = {"share": 0.25, "every": 1, "patience": 1, "copies": 20}  # of twelve rows, nine are trained on
BUDGET = {**SAMPLED, "adaptive": None, "validation": None, "copies": 4, "loss_copies": 2, "test_copies": 2}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"batch": 13}, "protocol.batch: 13 given, expected at most the 12 rows that are trained on, or null for all"),
    ({"batch": 10, "validation": VALIDATION}, "protocol.batch: 10 given, expected at most the 9 rows"),
    ({"trainable": "b"}, 'trainable: "b" given, expected all, or a list of nodes and layers'),
    ({"trainable": ["b", "b"]}, "protocol.trainable.1: 'b' given a second time, expected each once"),
    ({"trainable": [0, 1, 0]}, "protocol.trainable.2: 0 given a second time, expected each once"),
    # On an ideal fiber a copy is an attempt; of six samples a batch, three of a validation, twelve rows.
    ({**BUDGET, "loss_copies": 9, "budget_attempts": 50}, "protocol.loss_copies: 54 measured copies need about 5.4"),
    ({**BUDGET, "copies": 9, "budget_attempts": 50}, "protocol.copies: 54 measured copies need about 5.4"),
    ({**BUDGET, "test_copies": 5, "budget_attempts": 50}, "protocol.test_copies: 60 measured copies need about 6.0"),
    ({**BUDGET, "validation": VALIDATION, "budget_attempts": 50},
     "protocol.validation.copies: 60 measured copies need about 6.0e+01"),
    ({**BUDGET, "adaptive": {"ratio": 0.3, "most": 64}, "budget_attempts": 50},
     "protocol.adaptive.most: 384 measured copies need about 3.8e+02"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "told"), REFUSALS, ids=range(len(REFUSALS)))
def test_it_is_refused_in_one_line(changed: dict[str, Any], told: str) -> None:
    said = refused(changed)
    assert told in said and "\n" not in said


def test_what_just_fits_is_run() -> None:
    for changed in ({"batch": 9, "validation": VALIDATION, "steps": 1}, {**BUDGET, "budget_attempts": 24, "steps": 1}):
        assert carried_out(spec_of(**changed))[0].outcomes["a"].steps == 1


def test_loss_on_the_way_counts_in_the_budget_of_the_longest_stream() -> None:
    """24 copies for the first visit of a | b | a: four crossings of three qubits each, 0.891^12 = 0.25 come back."""
    attempts = 24 / (0.891251**12)
    assert "protocol.copies: 24 measured" in refused({**BUDGET, "budget_attempts": attempts - 4}, network(LOSSY))
    alone = {"backprop": [], "raw": [], "description": []}
    changed = {**BUDGET, "budget_attempts": attempts + 4, "steps": 1, "rivals": alone}
    carried_out(spec_of(**changed), network(LOSSY))
    told = KIND.sessions(spec_of(**changed), network(LOSSY))[0].slices["a"].training
    expected = {0: 12, 1: 2 + 6, 2: 4}
    assert all(abs(told.passages[visit].survival - 0.891251**qubits) < 1e-5 for visit, qubits in expected.items())
    assert abs(told.plan.passage.survival - 0.891251**4) < 1e-5


def test_every_plan_has_the_limits_that_were_given() -> None:
    spec = spec_of(budget_attempts=1234.0, window=56, max_batch_octets=7890)
    forgets = network(hardware={"b": Hardware(Memory(t2_ps=10**9), gate1_ps=1000)})
    for on, alike in ((network(), True), (forgets, False)):
        plan = KIND.sessions(spec, on)[0].slices["a"].training.plan
        assert (plan.budget_attempts, plan.window, plan.max_batch_octets) == (1234, 56, 7890)
        assert plan.shared is alike  # copies of a sample that wait for different times forget different amounts


def test_batches_follow_from_the_seed_and_promises_from_what_moves() -> None:
    spec = spec_of(batch=5, trainable=[0, 2], estimator="commuting", epsilon=0.1, delta=0.1)
    ours, theirs = (KIND.sessions(spec, replace(network(), seed=seed))[0].slices["a"].training for seed in (5, 6))
    assert ours.model.schedule_key != theirs.model.schedule_key
    shapes = {party: TrainingParty(slice, make_loader("alice", bytes(32), ".")).shapes
              for party, slice in KIND.sessions(spec, network())[0].slices.items()}  # fmt: skip
    assert Agreement.of(ours.terms, agree(shapes)).promise == Promise(0.1, 0.1, 8)


def test_the_baseline_is_judged_on_the_test_part() -> None:
    """Logistic regression on rows whose first entry tells the label, where the test part's labels are the others."""
    pytest.importorskip("sklearn")
    rows = np.sign(np.array(LABELS) - 5.0)[:, None] * (1 + np.abs(ROWS))
    for flipped in (False, True):
        labels = [11 - label for label in LABELS] if flipped else LABELS
        spec = spec_of(data={"train": {"values": rows.tolist()}, "test": {"values": rows.tolist()}},
                       labels={"train": {"values": LABELS}, "test": {"values": labels}})  # fmt: skip
        assert baseline(spec, make_loader("alice", bytes(32), "."), network()) == (0.0 if flipped else 1.0)
