"""`workload_seed`: other seeds redraw physics and outcomes on the same problem."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ketwire.nodes.checkpoints.journal import fingerprint_of
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run
from ketwire.scenarios import cli
from ketwire.scenarios.load import Loaded, load
from ketwire.scenarios.schema.yamltext import parse
from tests.kit import rarely

SMALL = {
    "two-layer-inference": ("protocol.dense_state=null", "protocol.epsilon=0.1"),
    "gradient-two-parties": ("protocol.estimators=[commuting]", "protocol.dense_state=null", "protocol.epsilon=0.5"),
    "subspace": ("protocol.qubits=[4,6]", "protocol.trials=20", "links.0.fiber=telecom-fiber", "links.0.length_km=1"),
    "train-breast-cancer": (
        "protocol.steps=2", "protocol.copies=12", "protocol.loss_copies=2", "protocol.test_copies=2",
        "protocol.validation={every: 1, share: 0.25, copies: 2}",
    ),
}  # fmt: skip


def loaded(name: str, seed: int, workload: int | None) -> Loaded:
    return load(name, [*SMALL[name], *([] if workload is None else [f"workload_seed={workload}"])], seed)


def target(of: Loaded) -> Any:
    """What depends on the problem alone: the exact reference, or else what the parties are given of it."""
    network = of.network()
    slices = of.run().sessions[0].slices
    if of.kind_name == "subspace":
        return [own.side for own in slices.values()]
    if of.kind_name == "training":
        angles = network.loaders()["alice"]("angles", {"random": "angles", "shape": [3]})
        return slices["alice"].training.model.schedule_key, angles
    return of.kind.exact(of.scenario.protocol, network, network.loaders())


def transcripts(run: Run) -> list[str]:
    return [result.transcript_sha256 for result in run_inline(run)]


@pytest.mark.parametrize("name", rarely(SMALL, but=("subspace", "two-layer-inference")))
def test_another_seed_redraws_all_but_the_problem(name: str) -> None:
    first, second = loaded(name, 2, 5), loaded(name, 3, 5)
    assert repr(target(first)) == repr(target(second)) != repr(target(loaded(name, 2, 6)))
    assert transcripts(first.run())[0] != transcripts(second.run())[0]


@pytest.mark.long
def test_losses_of_a_training_are_redrawn() -> None:
    outcomes = [run_inline(loaded("train-breast-cancer", seed, 5).run())[0].outcomes["bob"] for seed in (2, 3)]
    losses = [outcome.losses for outcome in outcomes]
    assert losses[0].tolist() != losses[1].tolist()


@pytest.mark.parametrize("name", rarely(["two-layer-inference", "subspace"], but="two-layer-inference"))
def test_processes_draw_the_same_problem(name: str) -> None:
    run = loaded(name, 2, 5).run()
    assert [result.transcript_sha256 for result in run_processes(run)] == transcripts(run)


@pytest.mark.parametrize("name", ["two-layer-inference", "subspace"])
def test_it_is_the_seed_where_the_scenario_has_none(name: str) -> None:
    assert transcripts(loaded(name, 2, None).run()) == transcripts(loaded(name, 2, 2).run())
    assert transcripts(loaded(name, 2, None).run()) != transcripts(loaded(name, 2, 3).run())


def test_checkpoints_of_another_problem_are_those_of_another_run() -> None:
    fingerprints = [fingerprint_of(loaded("two-layer-inference", 2, workload).run()) for workload in (None, 2, 5)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.execute(argv) == 0
    return capsys.readouterr().out


def test_results_have_it_where_the_scenario_does(capsys: pytest.CaptureFixture[str]) -> None:
    run = ("run", "two-layer-inference", "--inline", "--seed", "2")
    assert "workload_seed" not in json.loads(told(capsys, *run, "--json"))
    result = json.loads(told(capsys, *run, "--json", "--set", "workload_seed=5"))
    assert (result["seed"], result["workload_seed"]) == (2, 5)
    assert ": inference, seed 2, workload seed 5, " in told(capsys, *run, "--set", "workload_seed=5")


def test_show_and_schema_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [told(capsys, "show", "two-layer-inference", "--set", f"workload_seed={given}") for given in ("5", "null")]
    assert [parse(text, "shown")["workload_seed"] for text in shown] == [5, None]
    schema = json.loads(told(capsys, "schema"))
    assert schema["properties"]["workload_seed"]["default"] is None and "workload_seed" not in schema["required"]


@pytest.mark.parametrize("given", ["-1", "9223372036854775808", '"many"', "1.5"])
def test_what_is_no_seed_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["validate", "two-layer-inference", "--set", f"workload_seed={given}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"workload_seed: {given} given, expected" in said
