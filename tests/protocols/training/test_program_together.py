"""Own layers, imperfect nodes, repeaters, windows, shifted inferences, early stops and more copies, two and two.

What each does alone is tested elsewhere. Here all of a run is held against the wire's totals, against the same run
as processes, and against one that was interrupted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.scenarios.load import Loaded, load
from tests.kit import rarely
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt
from tests.protocols.test_layers_own import ALICES, BOBS, LABELS, PROGRAM, ROWS, TURNS, summarised
from tests.protocols.training.test_meter import accounts
from tests.scenarios.kinds.training.test_kind import whole

pytest.importorskip("openqasm3")
Data = dict[str, Any]

OWN: list[Data] = [BOBS, ALICES, TURNS]
TURNED: list[Data] = [{"at": at, "layer": "rotations", "angles": {"random": "angles"}} for at in ("alice", "bob")]
HOP: Data = {"fiber": "telecom-fiber", "length_km": 2.0, "transport": "teleport", "memory_slots": 32}
CHAIN: list[Data] = [
    {"between": ["alice", "r"], **HOP},
    {"between": ["r", "bob"], **HOP},
    {"between": ["alice", "bob"], "fiber": "telecom-fiber", "transport": "teleport", "via": ["r"],
     "generation": "sequential"},
]  # fmt: skip
CODED: list[Data] = [
    {"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 0.5, "transport": "coded", "code": "[[4,2,2]]"}
]
LOSSY: list[Data] = [{"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": 0.5}]
IDEAL: list[Data] = [{"between": ["alice", "bob"], "fiber": "ideal"}]
ERRING: Data = {"p_prepare": 0.01, "p_gate1": 0.005, "p_gate2": 0.01, "p_readout": 0.02}
SLOW: Data = {**ERRING, "gate1_s": 1e-7, "gate2_s": 1e-6, "readout_s": 1e-5, "t2_s": 0.1}
SHIFTED: Data = {"estimator": "parameter-shift", "copies": 2}
EARLY: Data = {"validation": {"share": 0.3, "every": 1, "patience": 1, "copies": 2}, "steps": 3,
               "optimiser": {"name": "sgd", "rate": 20.0}}  # fmt: skip
MORE: Data = {"adaptive": {"ratio": 0.3, "most": 8}}


def scenario(folder: Path, links: list[Data], layers: list[Data], hardware: Data, protocol: Data) -> Loaded:
    (folder / "own.qasm").write_text(PROGRAM, encoding="utf-8")
    nodes: Data = {"alice": hardware, "bob": hardware}
    if len(links) > 1:
        nodes["r"] = {"t2_s": 1.0}
    data = {"seed": 3, "nodes": nodes, "links": links}
    data["protocol"] = {"qubits": 2, "start": "alice", "layers": layers, **protocol}
    (folder / "own.yaml").write_text(json.dumps(data), encoding="utf-8")
    return load(str(folder / "own.yaml"), [])


def training(**changed: Any) -> Data:
    return {
        "kind": "training",
        "data": {part: {"values": ROWS} for part in ("train", "test")} | {"constant": None, "standardise": False},
        "labels": {part: {"values": LABELS} for part in ("train", "test")},
        "estimator": "commuting", "copies": 6, "loss_copies": 3, "test_copies": 1, "steps": 2, "batch": 2,
        "checkpoint_every": 1, "rivals": {"backprop": [], "raw": [], "description": []}, **changed,
    }  # fmt: skip


CASES: dict[str, tuple[list[Data], list[Data], Data, Data]] = {
    "shifts, own layers, repeaters": (CHAIN, OWN, {}, {**SHIFTED, "trainable": [0], "steps": 1}),
    "shifts, repeaters, imperfect, more copies, early stop": (CHAIN, TURNED, SLOW, {**SHIFTED, **MORE, **EARLY}),
    "blocks, own layers, repeaters, imperfect, early stop": (CHAIN, OWN, SLOW, EARLY),
    "drawn, own layers, imperfect, more copies": (
        LOSSY, OWN, ERRING, {"estimator": "random-coordinate", "copies": 1, **MORE}),
    "one by one, imperfect, window": (LOSSY, TURNED, SLOW, {"estimator": "direct", "copies": 9, "window": 20}),
    "shifts, own layers, imperfect, window": (LOSSY, OWN, SLOW, {**SHIFTED, "window": 9, "trainable": [2, 1]}),
    "blocks, codes, imperfect, early stop, more copies": (
        CODED, TURNED, ERRING, {**EARLY, "adaptive": {"ratio": 0.3, "most": 9}}),
    "exact, own layers, repeaters, imperfect": (CHAIN, OWN, ERRING, {"estimator": "exact", "copies": None}),
}  # fmt: skip
APART = ("shifts, repeaters, imperfect, more copies, early stop",)
RESUMED = ("blocks, own layers, repeaters, imperfect, early stop", "drawn, own layers, imperfect, more copies")


QUICK = (
    "shifts, own layers, repeaters",
    "one by one, imperfect, window",
    "blocks, codes, imperfect, early stop, more copies",
)


@pytest.mark.parametrize("name", rarely(CASES, but=QUICK))
def test_together_they_are_counted_and_compared_and_come_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, layers, hardware, protocol = CASES[name]
    loaded = scenario(tmp_path, links, layers, hardware, training(**protocol))
    run = loaded.run()
    results = run_inline(run)
    told = summarised(loaded, results)
    assert all(ours == wire for ours, wire in accounts(told["per_step"], results[0]))
    assert told["overhead"]["circuit_applications"] > sum(told["per_step"]["circuits"]) or "shifts" in name
    compared = loaded.kind.retraced(loaded.scenario.protocol, loaded.network(), run, results).gradient_error.told()
    assert [len(each) for each in compared.values()] == [told["steps"]] * len(compared)
    assert (max(compared["from_noise"]) > 0.01) == bool(hardware)
    assert (max(compared["from_shots"]) > 0.01) == (protocol.get("estimator") != "exact")
    if "early stop" in name:
        assert {each.steps for each in results[0].outcomes.values()} == {told["steps"]}
    if name in APART:
        assert whole(run_processes(run)) == whole(results)
    if name in RESUMED:
        out = tmp_path / "out"
        out.mkdir()
        with monkeypatch.context() as patched, pytest.raises(Interrupted):
            interrupt(patched, 1, Interrupted())
            run_inline(run, out=out)
        assert whole(run_inline(run, out=out)) == whole(results)


@pytest.mark.parametrize(("hardware", "registers"), [({}, 12), (ERRING, 4)], ids=["kept", "read when they come"])
def test_owners_who_err_have_no_more_in_hand_than_a_window(hardware: Data, registers: int, tmp_path: Path) -> None:
    """Two rows of six copies of |Phi>, three qubits each, come four at a time."""
    loaded = scenario(tmp_path, IDEAL, TURNED, hardware, training(window=4))
    overhead = summarised(loaded, run_inline(loaded.run()))["overhead"]
    assert (overhead["registers_at_once"], overhead["qubits_at_once"]) == (registers, 3 * registers)


@pytest.mark.long
def test_a_gradient_of_own_layers_over_repeaters_by_imperfect_owners(tmp_path: Path) -> None:
    """Each estimator a session of its own, inline as in processes; with a window the same copies, and later."""
    estimators = [{"name": "commuting", "copies": 8}, {"name": "parameter-shift", "copies": 2}, "exact"]
    protocol = {"kind": "gradient", "input": {"values": [1, 0.5, -0.2, 0.3]}, "dense_state": None,
                "estimators": estimators, "copies": 4}  # fmt: skip
    layers = [{**BOBS, "trainable": False}, ALICES]
    loaded = scenario(tmp_path, CHAIN, layers, SLOW, protocol)
    results = run_inline(loaded.run())
    found = summarised(loaded, results)
    shapes = {name: len(each["estimate"]) for name, each in found["estimators"].items()}
    assert shapes == dict.fromkeys(("commuting", "parameter-shift", "exact"), 2)
    apart = run_processes(loaded.run())
    assert [each.transcript_sha256 for each in apart] == [each.transcript_sha256 for each in results]
    assert summarised(loaded, apart) == found
    assert all(each.totals.ebits > 0 for each in results)
    narrow = {**protocol, "estimators": estimators[:1], "window": 3}
    [slow] = run_inline(scenario(tmp_path, CHAIN, layers, SLOW, narrow).run())
    assert slow.virtual_time_ps > results[0].virtual_time_ps and slow.totals.ebits == results[0].totals.ebits


@pytest.mark.parametrize("estimator", ["commuting", "parameter-shift"])
def test_where_no_sample_has_a_slope_nobody_asks_for_more_copies(estimator: str, tmp_path: Path) -> None:
    """All samples are where they should be: z = 1 and z = -1, exactly."""
    rows = {part: {"values": [[1, 0, 0, 0], [0, 0, 1, 0]]} for part in ("train", "test")}
    still = [{**layer, "entangle": "none", "angles": {"values": [0.0] * 4}} for layer in TURNED]
    protocol = training(estimator=estimator, adaptive={"most": 50}, labels={part: {"values": [1, 0]} for part in rows},
                        data=rows | {"constant": None, "standardise": False})  # fmt: skip
    loaded = scenario(tmp_path, IDEAL, still, {}, protocol)
    run = loaded.run()
    results = run_inline(run)
    told = summarised(loaded, results)
    assert told["losses"] == [0.0, 0.0] and len(set(told["per_step"]["circuits"])) == 1
    compared = loaded.kind.retraced(loaded.scenario.protocol, loaded.network(), run, results).gradient_error.told()
    assert compared["norm"] == compared["largest"] == [0.0, 0.0] and compared["relative"] == [None, None]
