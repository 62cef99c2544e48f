"""What users get wrong with trainings, each told in one line: data, objectives, rates, numbers too large."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ketwire import __version__
from ketwire.errors import ScenarioError
from ketwire.modules import find
from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.protocols.layers import build_layers
from ketwire.protocols.training.data import Data, Judging, Labels, Samples, standardised
from ketwire.protocols.training.objectives import objective
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gates import Gate
from ketwire.scenarios.kinds.training.models import Overhead, PerStep, TrainingFinding, TrainingSummary
from ketwire.scenarios.kinds.training.results import _verdict
from ketwire.scenarios.load import load
from ketwire.scenarios.schema.sources import FileSource
from tests.kit import place
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt
from tests.scenarios.kinds.training.test_kind import SAMPLED, carried_out, network, refused, run_of, spec_of

WIDE = [{"at": at, "layer": "rotations", "angles": {"random": "angles"}} for at in "ab"]
FREE = {**SAMPLED, "adaptive": None, "validation": None, "rivals": {"backprop": [], "raw": []}}


# ---------------------------------------------------------------- objectives


OWN = f"{__name__}:Odd"


class Odd:
    """An objective of a user's own, wrong in the way that its setting says."""

    two_valued = True

    def __init__(self, way: Any = "none") -> None:
        if way == "settings":
            raise KeyError("no such way\nat all")
        self.way = way

    def losses(self, z: Any, labels: Any) -> Any:
        if self.way == "raises":
            raise RuntimeError("two\nlines")
        return {"text": ["a"] * len(z), "short": z[:1], "nan": z * math.nan, "huge": z * 0 + 1e200}.get(self.way, z)

    def slopes(self, z: Any, labels: Any) -> Any:
        return z / 0.0 if self.way == "slopes" else z

    def decide(self, z: Any) -> Any:
        return 1.0 if self.way == "decide" else z


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("raises", f"{OWN!r} raised {place(__file__, 'raise Runtime')}: RuntimeError: two lines, expected losses"),
        ("text", f"protocol.objective: {OWN!r} raised ValueError: "),
        ("short", "answers losses with an array of shape [1], expected [6]: one for each sample"),
        ("nan", "gives losses of nan at <Z0> = "),
        ("huge", "gives losses of 1e+200 at <Z0> = "),
        ("slopes", "gives slopes of "),
        ("decide", "answers decide with an array of shape [], expected ["),
        ("settings", f"protocol.objective.settings: {place(__file__, 'raise Key')}: KeyError: "),
    ],
)
def test_an_objective_that_answers_with_anything_else_is_refused(way: str, told: str) -> None:
    said = refused({**FREE, "objective": {"loss": OWN, "settings": {"way": way}}})
    assert told in said and "\n" not in said


@pytest.mark.parametrize("value", [math.nan, math.inf, [1.0, {"a": -math.inf}], 10**30])
def test_settings_that_no_message_carries_are_refused(value: Any) -> None:
    """NaN would arrive as null."""
    said = refused({**FREE, "objective": {"loss": OWN, "settings": {"way": value}}})
    assert "objective.settings.way" in said and "expected finite numbers" in said


def test_known_objectives_give_numbers_or_a_line() -> None:
    z, labels = np.array([0.5, -0.5]), np.array([1.0, 1.0])
    assert np.allclose(objective({"loss": "squared"}).losses(z, labels), [0.25, 2.25])
    for settings in ({"scale": 1e300}, {"scale": 1e200, "bias": 1e308}):
        with pytest.raises(ScenarioError, match=r"^protocol.objective: 'logistic' gives slopes of .* up to 1e\+100"):
            objective({"loss": "logistic", **settings}).slopes(z, -labels)


# ---------------------------------------------------------------- steps that lead nowhere


@pytest.mark.parametrize("optimiser", [{"name": "sgd", "rate": 1e308}, {"name": "momentum", "rate": 1e300},
                                       {"name": "adam", "rate": 1e10}])  # fmt: skip
def test_a_training_that_diverges_says_so(optimiser: dict[str, Any]) -> None:
    said = refused({**FREE, "optimiser": optimiser})
    assert f"protocol.optimiser.rate: {optimiser['rate']:g} given, which takes an angle to " in said
    assert "in step 1: the training diverges; expected a smaller rate" in said


def test_large_steps_that_stay_within_reason_are_taken() -> None:
    assert carried_out(spec_of(**{**FREE, "optimiser": {"name": "adam", "rate": 1e6}, "steps": 2}))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"adaptive": {"most": 3}, "copies": 4}, "adaptive.most: 3 given, expected the 4 copies that are"),
        ({"adaptive": {"ratio": 1e-300}}, "adaptive.ratio: 1e-300 given, expected at least 1e-06"),
        ({"adaptive": {"ratio": 1e300}}, "adaptive.ratio: 1e+300 given, expected at most 1000000.0"),
        ({"copies": None, "epsilon": 1e-200, "delta": 0.1}, "epsilon: 1e-200 given, expected at least 1e-12"),
        ({"copies": None, "epsilon": 0.1, "delta": 1e-300}, "delta: 1e-300 given, expected at least 1e-100"),
        ({"copies": None, "epsilon": 1e300, "delta": 0.1}, "epsilon: 1e+300 given, expected at most 1000000.0"),
        ({"window": 10**30}, "window: 1000000000000000000000000000000 given, expected at most 1000000000"),
        ({"checkpoint_every": 10**30}, "checkpoint_every: 1000000000000000000000000000000 given, expected at most"),
        ({"budget_attempts": 1e30}, "budget_attempts: 1e+30 given, expected at most 1e+18"),
        ({"qubits": 25, "layers": WIDE, "copies": 64}, "protocol.qubits: 25 given, which takes about "),
    ],
)  # fmt: skip
def test_settings_without_effect_or_beyond_reason_are_refused(changed: dict[str, Any], told: str) -> None:
    said = refused({**FREE, **changed})
    assert told in said and "\n" not in said


# ---------------------------------------------------------------- data


def test_a_column_of_one_number_is_left_out_however_its_mean_is_rounded() -> None:
    """The standard deviation of ten times 0.1 is 1.4e-17; divided by that, a test row would be anything."""
    train = np.column_stack([np.full(10, 0.1), np.arange(10.0)])
    assert train.std(axis=0)[0] > 0
    ours, theirs = standardised(train, np.array([[0.2, 4.5]]))
    assert ours.shape == (10, 1) and theirs.tolist() == [[0.0]]


@pytest.mark.parametrize("train", [[[1e300], [-1e300]], [[1e-5], [2e-5]]])
def test_what_cannot_be_standardised_is_refused(train: list[list[float]]) -> None:
    with pytest.raises(ScenarioError, match=r"^protocol.data.standardise: true given for numbers whose squares"):
        standardised(np.array(train), np.array([[1e308]]))


def test_labels_may_be_a_file_of_one_column(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("class\n2\n7\n7\n")
    squared, source = {"loss": "squared"}, {"path": "labels.csv"}
    load = make_loader("alice", bytes(32), str(tmp_path))
    made = Labels(Judging(squared, source, source), objective(squared), load)
    assert made.of["train"].tolist() == [-1, 1, 1] and made.shapes["test rows"].value == 3


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"path": "x.csv", "array": "a"}, "expected nothing here, or a .npz file"),
        ({"path": "x.npy", "array": "a"}, "expected nothing here, or a .npz file"),
        ({"path": "x.npz", "label_column": 0}, "expected nothing here, or a .csv file"),
    ],
)
def test_no_key_of_a_file_goes_unread(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FileSource.model_validate(given)


def test_rows_do_not_hold_their_own_labels() -> None:
    """A column that is named as that of labels is one of the features elsewhere, if nobody says otherwise."""
    def tables(**rows: Any) -> dict[str, Any]:
        labels = {"path": "x.csv", "label_column": "class"}
        return {"data": {part: {"path": "x.csv", **rows} for part in ("train", "test")},
                "labels": {"train": labels, "test": labels}}  # fmt: skip

    with pytest.raises(ValueError, match=r"expected 'class' as in labels\.train, or the rows would hold their own"):
        spec_of(**tables())
    assert spec_of(**tables(label_column="class")).data.train == spec_of(**tables(label_column="class")).labels.train


def test_rows_are_encoded_when_they_are_needed() -> None:
    """Before, somebody has looked whether there is room for them: 2^25 amplitudes for each of a million rows."""
    rows: Any = {"values": [[1.0, 2.0], [3.0, -1.0]]}
    held = Samples(Data(rows, rows), 25, make_loader("alice", bytes(32), ""))
    assert "encoded" not in vars(held) and held.shapes["train rows"].value == 2


def test_angles_that_have_no_digits_left_are_refused() -> None:
    layer = {"at": "a", "layer": "rotations", "axes": ["y"], "sublayers": 1, "entangle": "none", "key": "k",
             "angles": {"values": [1.0, -1e300]}}  # fmt: skip
    told = r"^k.angles: an angle at \[1\] that is too large given, expected at most 1e\+09 rad"
    with pytest.raises(ScenarioError, match=told):
        build_layers([layer], 2, make_loader("alice", bytes(32), ""))
    layer["angles"] = {"values": [1.0, -1e9]}
    assert len(build_layers([layer], 2, make_loader("alice", bytes(32), ""))) == 1


# ---------------------------------------------------------------- what is said of it


def said_of(steps: int, planned: int, **rivals: dict[str, Any]) -> list[str]:
    """The verdict on a training of 6 qubits and 4 bits a step that was right in 90 of 100 test rows."""
    made = TrainingSummary.model_construct(
        steps=steps, train_loss=0.5, test_accuracy=0.9, decisions=100,
        overhead=Overhead.model_construct(operations_factor=9.0),
        per_step=PerStep.model_construct(qubits_emitted=[6] * steps, bits=[4] * steps),
        rivals={name: TrainingFinding(**told) for name, told in rivals.items()},
    )  # fmt: skip
    totals = SimpleNamespace(qubits_sent=70, payload_bits=20, control_bits=30)
    return _verdict(made, SimpleNamespace(totals=totals, virtual_time_ps=5), planned).splitlines()  # type: ignore[arg-type]


def stepping(steps: int | None, bits: int | None, whole: int, accuracy: float = 0.9) -> dict[str, Any]:
    return {
        "steps_to_same_loss": steps, "bits_to_same_loss": bits, "training_bits": whole, "test_accuracy": accuracy
    }  # fmt: skip


def by_rows(bits: int, accuracy: float | None = 0.9) -> dict[str, Any]:
    return {"classifier": "logistic regression", "training_bits": bits, "test_accuracy": accuracy}


def test_a_training_that_learned_nothing_is_compared_with_nobody() -> None:
    first, *rest = said_of(3, 3, backprop=stepping(0, 0, 400), raw={**by_rows(512), "test_accuracy": 0.9})
    assert first.startswith("after 3 steps the training loss is 0.5: 70 qubits and 50 bits")
    assert rest[0].startswith("  backprop comes to 0.900 with 400 bits; its loss is as low with the angles at the")
    assert rest[-1].startswith("  there is nothing to compare") and not any("wins" in line for line in rest)


def test_who_wins_and_where_a_training_ended() -> None:
    first, second, last = said_of(3, 9, backprop=stepping(1, 9, 29))
    assert first.startswith("after 3 steps of 9, where validation ended it, the training loss")
    assert second == "  backprop comes to 0.900 with 29 bits; its loss gets as low in 1 step with 9 bits."
    assert last == (
        "  classical wins on communication: 30 qubits and bits of the steps against 29 of backprop, at an accuracy of "
        "0.900 and 0.900."
    )
    assert said_of(3, 3, backprop=stepping(2, 20, 31))[-1].startswith("  quantum wins")
    told = said_of(3, 3, backprop=stepping(None, None, 31, 0.6))
    assert told[1].endswith("its loss does not get as low in as many steps.")
    assert told[2].startswith("  nobody wins: no rival that ran was as accurate")


def test_a_more_accurate_rival_wins_where_it_is_cheaper_and_decides_nothing_where_it_is_not() -> None:
    assert said_of(3, 3, raw=by_rows(29, 1.0))[-1].startswith("  classical wins")
    dear = said_of(3, 3, raw=by_rows(31, 1.0))[-1]
    assert dear.startswith("  nobody wins: raw was more accurate and sent more; more steps or copies")
    assert said_of(3, 3, raw=by_rows(31, None))[1:] == [
        "  raw does nothing, as the labels are no classes.",
        "  no classical rival ran: 30 qubits and bits of the steps came to an accuracy of 0.900.",
    ]


# ---------------------------------------------------------------- what changes between two starts


def bending(qubits: int) -> list[Gate]:
    """Layers of Bob's own, by a scale that a test may change."""
    return [Gate("ry", (0,), (0,), SCALE), Gate("cnot", (0, 1)), Gate("rx", (1,), (1,))]


SCALE = 1.0


@pytest.mark.parametrize("changed", ["data", "labels", "layers", "nothing"])
def test_a_training_goes_on_from_a_checkpoint_with_what_it_was_taken_with_alone(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scenario file is as it was; what it names is not."""
    rng = np.random.default_rng(5)
    rows, labels, out = rng.normal(size=(8, 3)), np.array([0, 1] * 4), tmp_path / "out"
    np.savez(tmp_path / "kept.npz", data=rows, labels=labels)
    np.save(tmp_path / "data.npy", rows)
    np.save(tmp_path / "labels.npy", labels)
    own = {"at": "b", "layer": "gates", "callable": f"{__name__}:bending", "angles": {"random": "angles"}}
    kept = str(tmp_path / "kept.npz")
    sources = {
        key: {"train": {"path": str(tmp_path / f"{key}.npy")}, "test": {"path": kept, "array": key}}
        for key in ("data", "labels")
    }
    spec = spec_of(**{**FREE, **sources, "layers": [WIDE[0], own], "trainable": "all", "steps": 4, "batch": 4,
                      "copies": 8, "checkpoint_every": 1})  # fmt: skip
    out.mkdir()
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 2, Interrupted())
        run_inline(run_of(spec, network()), out=out)
    if changed == "layers":
        monkeypatch.setitem(find(f"{__name__}:bending").__globals__, "SCALE", 2.0)
    elif changed != "nothing":
        np.save(tmp_path / f"{changed}.npy", rows[::-1] if changed == "data" else 1 - labels)
    if changed == "nothing":
        assert run_inline(run_of(spec, network()), out=out)
        return
    with pytest.raises(ScenarioError, match=f"protocol.{changed}: something else given than when checkpoint 2 was"):
        run_inline(run_of(spec, network()), out=out)


def test_the_example_of_a_layer_of_ones_own_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The function that docs/your-own-protocol.md shows, as it stands there."""
    text = (Path(__file__).parents[4] / "docs" / "your-own-protocol.md").read_text(encoding="utf-8")
    shown = text[text.index("    from ketwire.kit import Gate") : text.index("A `Gate` turns by")]
    (tmp_path / "breakage_example.py").write_text(textwrap.dedent(shown), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    layer = {"at": "a", "layer": "gates", "key": "k", "callable": "breakage_example:ansatz",
             "angles": {"values": [0.3, 0.4, 0.5]}}  # fmt: skip
    (step,) = build_layers([layer], 3, make_loader("alice", bytes(32), ""))
    names = [gate.name for gate in step.operation.gates] if isinstance(step.operation, Circuit) else []
    assert names == ["ry"] * 3 + ["cz"] * 2


def test_the_package_can_be_run() -> None:
    told = subprocess.run([sys.executable, "-m", "ketwire", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"ketwire {__version__}\n" and not told.stderr


@pytest.mark.parametrize("name", ["two-layer-inference", "gradient-two-parties"])
@pytest.mark.parametrize("promise", [("epsilon", "1e-200"), ("delta", "1e-300")])
def test_promises_for_which_no_copies_can_be_counted_are_refused(name: str, promise: tuple[str, str]) -> None:
    key, value = promise
    with pytest.raises(ScenarioError, match=f"protocol.{key}: {value} given, expected at least 1e-1"):
        load(name, ["protocol.epsilon=0.1", "protocol.delta=0.1", "protocol.copies=null", f"protocol.{key}={value}"])
