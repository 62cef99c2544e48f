"""A graph network's first layer as a Givens network that is trained over the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ketwire.nodes.graphs.rows import graph_rows, hops_of, part_of
from ketwire.nodes.graphs.shelf import load_set
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import SessionResult
from ketwire.quantum.layers import givens
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.training.spec import TrainingSpec
from ketwire.scenarios.load import load
from tests.datasets import public_set
from tests.kit import Threads, recording, shown
from tests.scenarios.kinds.graph.sets import result, write_molecules
from tests.scenarios.kinds.training.test_kind import ALONE, carried_out, refused, spec_of
from tests.test_packaged import private_numbers

Floats = NDArray[np.float64]
CONSTANT, SCALE, SEED = 2.0, 3.0, 6
LAYER: dict[str, Any] = {"at": "b", "layer": "givens", "first": 3, "sublayers": 3, "distances": [1, 2]}
ANGLES: Floats = np.random.default_rng(SEED).uniform(0, 6, 3)


def source(folder: Path, part: str, fold: int = 4, hops: dict[str, int] | None = None) -> dict[str, Any]:
    return {"graphs": "SMALL", "folder": str(folder), "fold": fold, "part": part, "hops": hops or {"rw": 1}}


def spec_in(folder: Path, **changed: Any) -> TrainingSpec:
    """20 graphs of up to six nodes, three tags, one hop: three qubits of tag and hop, three of nodes."""
    data = {part: source(folder, part) for part in ("train", "test")}
    given: dict[str, Any] = {
        "qubits": 6, "start": "a", "data": {**data, "standardise": False, "constant": CONSTANT}, "labels": data,
        "layers": [{**LAYER, "angles": {"values": ANGLES.tolist()}}],
        "objective": {"loss": "logistic", "scale": SCALE}, "optimiser": {"name": "sgd", "rate": 1.0}, "steps": 1,
        "rivals": ALONE,
    }  # fmt: skip
    return spec_of(**{**given, **changed})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_molecules(tmp_path)
    return tmp_path


def loss(folder: Path, angles: Floats) -> float:
    """Of the graphs that are trained on, by the graph network: Σ_h ±1 Σ_v (G y_v)_h², over what normalises a row."""
    found = load_set(folder, "SMALL")
    chosen = part_of(found, 4, "train")
    rows = graph_rows(found, chosen, hops_of({"rw": 1}))
    G = givens(3, 3, [1, 2]).unitary(angles).real
    signs = np.repeat([1.0, -1.0], 4)
    losses = []
    for row, label in zip(rows, found.labels[chosen], strict=True):
        nodes = np.append(row, 0.0).reshape(8, 8).T  # a row a node
        hidden = sum(signs @ (G @ y) ** 2 for y in nodes) - CONSTANT**2  # of |111> the network turns nothing
        z = hidden / ((row**2).sum() + CONSTANT**2)
        losses.append(np.logaddexp(0.0, -(2 * label - 1) * SCALE * z))
    return float(np.mean(losses))


def moved(results: list[SessionResult]) -> Floats:
    """By how much a step has moved the angles."""
    found = {visit: own for each in results[0].outcomes.values() for visit, own in each.parameters.items()}
    return np.asarray(ANGLES - found[1])


def differences(folder: Path) -> Floats:
    steps = 1e-5 * np.eye(3)
    return np.array([(loss(folder, ANGLES + step) - loss(folder, ANGLES - step)) / 2e-5 for step in steps])


def test_a_step_is_the_gradient_of_the_graph_network(folder: Path) -> None:
    """By exact gradients to rounding, and by copies of |Φ> and by shifted inferences to their shot noise."""
    expected = differences(folder)
    assert np.abs(expected).min() > 0.05
    assert moved(carried_out(spec_in(folder), telling=True)) == pytest.approx(expected, abs=1e-8)
    many = {"copies": 6_000, "loss_copies": 20_000, "test_copies": 1}
    for estimator in ("commuting", "parameter-shift"):
        found = moved(carried_out(spec_in(folder, estimator=estimator, **many), telling=True))
        assert found == pytest.approx(expected, abs=0.025) and np.abs(found - expected).max() > 1e-7


def test_no_step_sees_what_is_tested(folder: Path) -> None:
    """With other graphs in the test part every angle is the same; with others in the training part none is."""
    sampled = {"estimator": "commuting", "copies": 9, "batch": 5, "steps": 3, "loss_copies": 8, "test_copies": 2}

    def trained(train: int, test: int) -> Floats:
        parts = {"train": source(folder, "train", train), "test": source(folder, "test", test)}
        data = {**parts, "standardise": False, "constant": CONSTANT}
        return moved(carried_out(spec_in(folder, data=data, labels=parts, **sampled), telling=True))

    here = trained(4, 4)
    assert np.array_equal(here, trained(4, 9)) and not np.isclose(here, trained(9, 4)).any()


def scenario(folder: Path) -> list[str]:
    """The options that make the packaged scenario one of the small set."""
    keys = [f"protocol.{what}.{part}" for what in ("data", "labels") for part in ("train", "test")]
    sets = [f"{key}.{name}" for key in keys for name in ("graphs=SMALL", f"folder={folder}", "hops={rw: 1}")]
    sets += ["protocol.qubits=6", "protocol.layers.0.first=3", "protocol.layers.0.sublayers=4"]
    sets += ["protocol.copies=96", "protocol.batch=8"]
    return [*sets, "protocol.loss_copies=16", "protocol.test_copies=64", "protocol.steps=4"]


def test_the_rival_that_is_told_all_is_the_same_model_trained_in_one_place(folder: Path) -> None:
    """Its losses are those over the network where gradients are exact there too."""
    told = {"steps": 4, "batch": 8, "optimiser": {"name": "adam"}, "rivals": {**ALONE, "description": [64]}}
    quantum, rival = carried_out(spec_in(folder, estimator="exact", **told))
    losses = rival.outcomes["a"].losses
    assert len(losses) == 4 and losses == pytest.approx(quantum.outcomes["b"].losses, abs=1e-6)
    assert rival.outcomes["b"].test_accuracy == quantum.outcomes["b"].judged["test"][1]


def test_a_rival_tells_how_far_it_is_ahead(folder: Path) -> None:
    told = result(load("gnn-givens-mutag", (*scenario(folder), "seed=3")), check=False)
    rival = told["rivals"]["description-64-bit"]
    assert rival["ahead"] == rival["test_accuracy"] - told["test_accuracy"] and len(rival["losses"]) == 4
    assert told["losses"][0] != rival["losses"][0]  # of finitely many copies


@pytest.mark.long
def test_processes_give_the_same_transcripts(folder: Path) -> None:
    run = load("gnn-givens-mutag", tuple(scenario(folder))).run()
    inline, processes = run_inline(run), run_processes(run)
    assert [each.transcript_sha256 for each in inline] == [each.transcript_sha256 for each in processes]
    assert shown(inline[0].outcomes["bob"]) == shown(processes[0].outcomes["bob"])


def test_no_frame_but_the_states_tells_features_or_angles(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = load("gnn-givens-mutag", tuple(scenario(folder))).run()
    run = replace(run, sessions=run.sessions[:1])
    angles, numbers = private_numbers(run, "bob")[:3], private_numbers(run, "alice")
    secrets = [told for each in angles for told in (each.tobytes(), repr(float(each)).encode())]
    nodes = numbers[: len(numbers) // 16 * 16].reshape(-1, 16)  # single features are 0, 1 and the like
    secrets += [each.tobytes() for each in nodes if np.count_nonzero(each) > 2]
    assert len(secrets) > 20
    recorded = recording(monkeypatch)
    Threads(run).conduct()
    whole = b"\0".join(frame for _, frames in recorded for frame in frames)
    assert len(whole) > 10_000 and [secret for secret in secrets if secret in whole] == []


GRAPHS = {"graphs": "SMALL", "folder": ".", "fold": 0, "part": "train"}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"layers": [{**LAYER, "first": 7, "angles": {"random": "angles"}}]},
     "layers.0.first: 7 given, expected 2 to 6, of a register of two qubits or more"),
    ({"layers": [{**LAYER, "first": 1, "angles": {"random": "angles"}}]},
     "layers.0.first: 1 given, expected at least 2"),
    ({"layers": [{**LAYER, "distances": [1, 3], "angles": {"random": "angles"}}]},
     "layers.0.distances.1: 3 given, expected 1 to 2, on 3 qubits"),
    ({"layers": [{**LAYER, "distances": [], "angles": {"random": "angles"}}]}, "layers.0.distances: [] given"),
    ({"layers": [{**LAYER, "angles": {"values": [1, 2]}}]},
     "protocol.layers.0.angles: shape [2] given, expected [3]"),
    ({"qubits": 5}, "protocol.qubits: 5 given, expected at least 6 for rows of 64 entries"),
    ({"data": {"train": {**GRAPHS, "fold": 10}, "test": GRAPHS}}, "data.train.fold: 10 given, expected at most 9"),
    ({"data": {"train": {**GRAPHS, "part": "all"}, "test": GRAPHS}}, "data.train.part: "),
    ({"data": {"train": {**GRAPHS, "hops": {"sign": 1}}, "test": GRAPHS}}, "data.train.hops"),
    ({"data": {"train": {**GRAPHS, "hops": {"rw": 0}}, "test": GRAPHS}},
     "data.train.hops.rw: 0 given, expected at least 1"),
    ({"data": {"train": {"graphs": "SMALL"}, "test": GRAPHS}}, "data.train.folder: "),
    ({"data": {"train": {}, "test": GRAPHS}},
     "expected a source with one of the keys path, values, random, dataset, graphs"),
    ({"data": {"train": GRAPHS, "test": {**GRAPHS, "folder": "nowhere"}}}, "no such folder, expected one with sets"),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "told"), REFUSALS, ids=range(len(REFUSALS)))
def test_what_is_wrong_is_one_line(
    changed: dict[str, Any], told: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    defaults = spec_in(folder).model_dump(mode="json", exclude_unset=True)
    said = refused({**defaults, **changed})
    assert told in said and "\n" not in said


def test_the_packaged_one_is_refused_in_a_line_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", "gnn-givens-mutag", "--inline"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert "protocol.data.train: " in said.err and "no such folder, expected one with sets of graphs" in said.err


@pytest.mark.gnn
def test_the_packaged_one_learns_what_is_not_its_majority() -> None:
    """Two of three molecules are of one class. Of 169 that are trained on a standard deviation is three points."""
    public_set("MUTAG")
    from tests.datasets import public_folder

    keys = [f"protocol.{what}.{part}.folder" for what in ("data", "labels") for part in ("train", "test")]
    told = result(load("gnn-givens-mutag", tuple(f"{key}={public_folder()}" for key in keys)), check=False)
    assert told["decisions"] == 19 and told["train_accuracy"] > 0.665 + 3 * 0.036
    assert abs(told["rivals"]["description-64-bit"]["ahead"]) <= 3 / 19
