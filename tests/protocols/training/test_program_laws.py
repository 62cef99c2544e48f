"""Laws of a training step by step: when it stops, how many copies it asks for, what is counted, what is restored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.channels.copies import Copies
from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.protocols.training.data import Data, Samples
from ketwire.protocols.training.holding import Holding
from ketwire.protocols.training.meter import Meter
from ketwire.protocols.training.objectives import Logistic, Squared
from ketwire.protocols.training.program import TrainingParty
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Held, Promise
from ketwire.quantum.gradients.estimators import FROM_FEATURES
from ketwire.quantum.layers import haar_state, hadamards
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt
from tests.scenarios.kinds.training.test_kind import (
    ANGLES,
    KIND,
    LABELS,
    LOSSY,
    ROWS,
    TESTS,
    carried_out,
    inputs,
    network,
    outputs,
    parameters,
    run_of,
    slopes_of,
    spec_of,
    unitary,
    whole,
)

Floats = NDArray[np.float64]
DIVERGING: dict[str, Any] = {"optimiser": {"name": "momentum", "rate": 0.7, "decay": 0.6}, "steps": 12}


# ---------------------------------------------------------------- adaptive copies

ESTIMATORS = {"commuting": 2, "random-coordinate": 2, "direct": 4}  # parts of four rotations on two qubits


def party_of(estimator: str, ratio: float = 0.5, most: int = 1024) -> TrainingParty:
    spec = spec_of(estimator=estimator, copies=4, adaptive={"ratio": ratio, "most": most})
    slice = KIND.sessions(spec, network())[0].slices["a"]
    party = TrainingParty(slice, make_loader("alice", bytes(32), "."))
    party._want = dict.fromkeys(party.held.trained, 16)
    agreed: Any = SimpleNamespace(copies=dict.fromkeys(party.held.trained, 4))
    party._agreed = agreed
    return party


@pytest.mark.parametrize(("estimator", "parts"), ESTIMATORS.items())
def test_copies_follow_the_norm_test(estimator: str, parts: int) -> None:
    """V(K) = 4 parts Σ_p r² Σ_s slope² / (samples² K), four parameters of r = 1/2; K so that V = ratio² signal."""
    party = party_of(estimator)
    slopes = np.array([1.0, -2.0, 0.5])
    one = 4 * parts * 4 * 0.25 * (slopes**2).sum() / 9
    strong = np.array([1.5, 0.0, -1.0, 0.5])
    signal = (strong**2).sum() - one / 16
    assert signal > one / 16
    assert party._next_copies(0, strong, slopes) == max(np.ceil(one / (0.25 * signal)), 4)
    # A gradient that is all noise is taken to be as large as the noise, no smaller.
    assert party._next_copies(0, np.zeros(4), slopes) == 16 / 0.25
    assert party_of(estimator, most=40)._next_copies(0, np.zeros(4), slopes) == 40
    assert party._next_copies(0, np.full(4, 50.0), slopes) == 4


@pytest.mark.parametrize(("estimator", "parts"), ESTIMATORS.items())
def test_the_variance_that_the_rule_reckons_with_is_reached_and_not_passed(estimator: str, parts: int) -> None:
    """The bound of Σ_p Var ĝ_p is parts Σ_p r² / K; states drawn at random, whose derivatives are small, come near."""
    segment = party_of(estimator).held.share.segments[0]
    states = haar_state(3, np.random.default_rng(4), 4)
    truth = FROM_FEATURES["exact"]().estimate(Held.pure(states, 1), segment, Promise(0.5, 0.5, 1), UNUSED).values
    held = Held.pure(np.repeat(states, 2000, axis=0), 16)
    rng = np.random.default_rng(5)
    found = FROM_FEATURES[estimator]().estimate(held, segment, Promise(0.5, 0.5, 1), rng).values.reshape(4, 2000, 4)
    spread = ((found - truth[:, None]) ** 2).mean(axis=1).sum(axis=1)
    assert (spread < 1.05 * parts / 16).all() and spread.max() > 0.75 * parts / 16


UNUSED = np.random.default_rng(0)


# ---------------------------------------------------------------- when it stops


def scripted(monkeypatch: pytest.MonkeyPatch, losses: Sequence[float]) -> None:
    """Validations find these losses, one after the other; what is judged at the end is judged as ever."""
    left, judged = list(losses), TrainingParty._judged

    def judge(self: TrainingParty, part: str, rows: Any, z: Floats) -> tuple[float, float]:
        return (left.pop(0), 0.5) if left else judged(self, part, rows, z)

    monkeypatch.setattr(TrainingParty, "_judged", judge)


@pytest.mark.parametrize(
    ("losses", "patience", "steps", "best"),
    [
        ([3, 2, 1, 1.5, 1.2], 2, 10, 6),  # two in a row that are no better
        ([3, 2, 2.5, 1, 1.5], 2, 11, 8),  # one worse is not enough, and waiting begins anew
        ([3, 1, 1, 1], 2, 8, 4),  # as low as before is no better: the first is kept
        ([3, 2, 2.5], 1, 6, 4),
        ([2, 3, 3, 3], 3, 8, 2),
    ],
)
def test_it_stops_when_patience_ends_and_goes_back_to_the_best(
    losses: list[float], patience: int, steps: int, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation after every second step, eleven at most; `best`: after how many steps the angles are kept."""
    validation = {"share": 0.25, "every": 2, "patience": patience, "copies": 1}
    spec = spec_of(validation=validation, steps=11)
    with monkeypatch.context() as patched:
        scripted(patched, losses)
        stopped = carried_out(spec, telling=True)[0]
    assert stopped.outcomes["a"].steps == steps
    assert stopped.outcomes["a"].validations[:, 0].tolist() == losses[: steps // 2]
    with monkeypatch.context() as patched:
        scripted(patched, sorted(losses, reverse=True))  # ever better, so that the last angles are the best
        kept = carried_out(spec_of(validation={**validation, "patience": 9}, steps=best), telling=True)[0]
    assert (parameters(stopped) == parameters(kept)).all()


@pytest.mark.parametrize("commits", [3, 6, 9])
def test_a_training_interrupted_while_it_waits_stops_where_it_would_have(
    commits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least loss, its angles, how long none was better, and that all is over are kept in checkpoints."""
    validation = {"share": 0.25, "every": 1, "patience": 3, "copies": 1}
    run = run_of(spec_of(validation=validation, **DIVERGING, checkpoint_every=1), network(), telling=True)
    plain = run_inline(run)
    losses = plain[0].outcomes["a"].validations[:, 0]
    # So that it goes on from before the least loss, from where it waits, and from after the end.
    assert losses.argmin() == 4 and len(losses) == 8 and (np.diff(losses[:5]) < 0).all()
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, commits, Interrupted())
        run_inline(run, out=tmp_path)
    assert whole(run_inline(run, out=tmp_path)) == whole(plain)


# ---------------------------------------------------------------- samples


@pytest.mark.parametrize(("standardise", "constant"), [(False, 2.5), (True, 0.3), (False, None)])
def test_rows_are_encoded_as_the_scenario_says(standardise: bool, constant: float | None) -> None:
    data = Data({"values": ROWS.tolist()}, {"values": TESTS.tolist()}, standardise, constant)
    samples = Samples(data, 3, make_loader("alice", bytes(32), "."))
    for part, rows in (("train", ROWS), ("test", TESTS)):
        expected = np.zeros((len(rows), 8))
        expected[:, :3] = (rows - ROWS.mean(axis=0)) / ROWS.std(axis=0) if standardise else rows
        if constant is not None:
            expected[:, 3] = constant
        expected /= np.linalg.norm(expected, axis=1)[:, None]
        made = samples.states(part, np.arange(len(rows)), 1)
        assert np.abs(made[:, ::2] - expected).max() < 1e-12 and (made[:, 1::2] == 0).all()


# ---------------------------------------------------------------- what is counted

COUNTED: dict[str, Any] = {"estimator": "commuting", "copies": 4, "loss_copies": 5, "test_copies": 7, "batch": 6}


def summary(spec: TrainingSpec, on: Any) -> dict[str, Any]:
    return KIND.summarise(spec, carried_out(spec, on), Judge(on)).told()


def test_every_copy_that_is_measured_is_one_that_was_asked_for() -> None:
    outcome = carried_out(spec_of(**COUNTED, steps=3))[0].outcomes["a"]
    of_training = outcome.training.measured
    assert of_training == 3 * 6 * (5 + 3 * 4)
    assert outcome.whole.measured - of_training == 7 * (12 + 5)


def test_overhead_is_counted_by_hand() -> None:
    """Three unitaries; the copies for the one at v go through all three, 2Π - 1, and 2 - v back, and are read once."""
    told = summary(spec_of(**COUNTED, steps=2), network())["overhead"]
    a_sample = 3 * 5 + 4 * sum(3 + 1 + (2 - v) + 1 for v in range(3))
    assert told["circuit_applications"] == 2 * 6 * a_sample
    assert told["backprop_circuit_applications"] == 2 * 6 * 2 * 3
    assert told["operations_factor"] == a_sample / 6
    # Six samples: five registers of two qubits each to infer, or four with an ancilla.
    assert told["registers_at_once"] == max(6 * 5, 6 * 4) and told["qubits_at_once"] == max(6 * 5 * 2, 6 * 4 * 3)
    windowed = summary(spec_of(**COUNTED, steps=2, window=8), network())["overhead"]
    assert windowed["registers_at_once"] == 6 * 4  # eight are under way; an owner keeps what it reads together


def test_qubits_are_counted_one_by_one_as_the_wire_has_them() -> None:
    """A qubit comes through with 0.891, whatever becomes of the rest of its register."""
    told = summary(spec_of(**COUNTED, steps=2), network(LOSSY))["per_step"]
    assert 0.875 < sum(told["qubits_delivered"]) / sum(told["qubits_emitted"]) < 0.907


def test_nothing_is_applied_to_what_is_lost() -> None:
    still = np.zeros(4, dtype=np.int64)
    copies = Copies(np.eye(1, 4, dtype=np.complex128), still, still, np.array([False, True, False, False]))
    inner: Any = SimpleNamespace(apply=lambda circuit, copies, values: copies)
    meter = Meter(inner)
    for circuit in (hadamards(2), Circuit(2, ())):
        meter.apply(circuit, copies, np.zeros(0))
    assert meter.taken().circuits == 3 and meter.taken().circuits == 0


def test_the_slope_of_an_estimate_is_unbiased_for_the_squared_loss() -> None:
    """E 2 (z - y) over all outcomes of K copies is 2 (<Z0> - y), and of the logistic slope it is not."""
    label = np.array([1.0])
    for p in (0.1, 0.4, 0.8):
        law = [math.comb(4, k) * p**k * (1 - p) ** (4 - k) for k in range(5)]
        seen, true = np.arange(5) / 2 - 1, np.array([2 * p - 1])
        off = [law @ each.slopes(seen, label) - each.slopes(true, label)[0] for each in (Squared(), Logistic())]
        assert abs(off[0]) < 1e-12
        assert abs(off[1]) > 1e-3


def test_rivals_are_judged_where_their_batch_is_as_good() -> None:
    """A path of two: back-propagation pays for each step before that, raw data for its rows at once."""
    layers = spec_of().model_dump(mode="json", exclude_none=True)["layers"]
    rivals = {"backprop": [64], "raw": [8], "description": []}
    spec = spec_of(layers=[{**layer, "at": at} for layer, at in zip(layers, "abb", strict=True)],
                   optimiser={"name": "momentum", "rate": 1.0, "decay": 0.8}, steps=9, rivals=rivals)  # fmt: skip
    results = carried_out(spec)
    told = KIND.summarise(spec, results, Judge(network())).told()
    exact, raw = told["rivals"]["backprop-64-bit"], told["rivals"]["raw-data-8-bit"]
    steps = next(step for step, loss in enumerate(exact["losses"]) if loss <= told["train_loss"])
    assert 0 < steps < 8 and exact["steps_to_same_loss"] == steps
    # There and back, the two parts of four amplitudes of twelve samples, 64 bits each.
    assert exact["bits_to_same_loss"] == steps * 2 * 12 * 8 * 64
    assert np.abs(np.subtract(exact["losses"], told["losses"])).max() < 1e-10
    # Rows of both parts, three entries of 8 bits without the constant, and a scale for each part.
    width = 4 - (spec.data.constant is not None)
    assert results[2].totals.payload_bits == 17 * width * 8 + 2 * 64
    assert raw["training_bits"] == 12 * width * 8 + 64  # nobody trains with the five rows of the test part
    assert raw["classifier"] and 0 <= raw["test_accuracy"] <= 1 and "losses" not in raw


def rounded(states: NDArray[np.complex128], bits: int) -> NDArray[np.complex128]:
    """What comes over a crossing: all parts of all amplitudes to 2^bits - 1 levels, up to the largest magnitude."""
    parts = np.ascontiguousarray(states).view(np.float64)
    scale, top = np.abs(parts).max(), 2 ** (bits - 1) - 1
    return (scale * np.rint(parts / scale * top) / top).view(np.complex128)


@pytest.mark.parametrize("bits", [4, 8])
def test_back_propagation_computes_from_what_it_was_sent(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices, a quantiser of our own, finite differences of each unitary: nothing but rounded numbers crossed."""
    spec = spec_of(steps=1, rivals={"backprop": [bits], "raw": [], "description": []})
    run, found, moved = run_of(spec, network()), {}, Holding.move

    def move(self: Holding, visit: int, gradient: Floats) -> None:
        found[visit] = gradient.copy()
        moved(self, visit, gradient)

    monkeypatch.setattr(Holding, "move", move)
    result = run_inline(replace(run, sessions=run.sessions[1:]))[0]
    U, labels, signs = [unitary(part) for part in ANGLES], np.where(np.array(LABELS) == 8, 1.0, -1.0), [1, 1, -1, -1]
    before = [inputs(ROWS)]
    for matrix in U[:2]:
        before.append(rounded(before[-1] @ matrix.T, bits))
    ends = before[2] @ U[2].T
    z = np.abs(ends) ** 2 @ signs / (np.abs(ends) ** 2).sum(axis=1)
    assert abs(result.outcomes["a"].losses[0] - ((z - labels) ** 2).mean()) < 1e-8  # a scale has 30 bits
    back = [(2 * (z - labels) / 12)[:, None] * ends * signs]
    for matrix in (U[2], U[1]):
        back.insert(0, rounded(back[0] @ matrix.conj(), bits))
    for visit, part in enumerate(ANGLES):
        slopes = [(unitary(part + step) - unitary(part - step)) / 2e-6 for step in 1e-6 * np.eye(4)]
        expected = [2 * np.real((back[visit].conj() * (before[visit] @ slope.T)).sum()) for slope in slopes]
        assert np.abs(found[visit] - expected).max() < 1e-8


def test_every_step_draws_anew() -> None:
    """Angles that hardly move: estimates of one and the same differ from step to step, as their variance says."""
    spec = spec_of(estimator="commuting", copies=4, loss_copies=8, test_copies=1, steps=40,
                   optimiser={"name": "sgd", "rate": 1e-9})  # fmt: skip
    result = carried_out(spec, telling=True)[0]
    losses = result.outcomes["a"].losses
    assert len(np.unique(losses)) > 30
    # Were outcomes the same in each step, forty of them would move the angles forty times as far as one.
    z, labels = outputs(ANGLES.reshape(-1), ROWS), np.where(np.array(LABELS) == 8, 1.0, -1.0)
    per_sample = (1 - z**2) / 8
    spread = math.sqrt((4 * (z - labels) ** 2 * per_sample + 2 * per_sample**2).sum()) / 12
    assert 0.6 < losses.std() / spread < 1.5
    moved = (ANGLES.reshape(-1) - parameters(result)) / 1e-9 / 40
    exact = 2 * (z - labels) @ slopes_of(ANGLES.reshape(-1), ROWS) / 12
    one = np.sqrt((4 * (z - labels) ** 2 + 4 * per_sample).mean() * 2 / 4 / 12)
    assert (np.abs(moved - exact) < 4.5 * one / math.sqrt(40)).all()
