"""Every step of a training accounted for: chains of repeaters, costs, memory, and gradients beside exact ones."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ketwire.channels.entanglement.held import Pairs
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.parts import Noise
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Link, SessionResult
from ketwire.protocols import typed
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.result import RunResult
from ketwire.scenarios.kinds.training.models import TrainingResult
from ketwire.scenarios.load import Loaded, validate
from tests.kit import rarely
from tests.nodes.checkpoints.test_epochs import Interrupted, interrupt, killer
from tests.scenarios.kinds.training.test_kind import (
    ANGLES,
    IDEAL,
    KIND,
    LABELS,
    LOSSY,
    ROWS,
    SAMPLED,
    carried_out,
    network,
    outputs,
    parameters,
    run_of,
    slopes_of,
    spec_of,
    whole,
)

ALONE: dict[str, Any] = {"rivals": {"backprop": [], "raw": [], "description": []}}
SMALL = {**SAMPLED, **ALONE, "steps": 3, "copies": 2, "loss_copies": 4, "test_copies": 2,
         "adaptive": {"ratio": 0.3, "most": 6}, "checkpoint_every": 1}  # fmt: skip


def chain(**changed: Any) -> Loaded:
    """a - r - b, two hops of 2 km, and a party that looks on."""
    hop = {"fiber": "telecom-fiber", "length_km": 2.0, "transport": "teleport", "memory_slots": 128}
    links: list[dict[str, Any]] = [{"between": ends, **hop} for ends in (["a", "r"], ["r", "b"])]
    links.append({"between": ["a", "b"], "fiber": "telecom-fiber", "transport": "teleport", "via": ["r"]})
    end = changed.pop("end", {})
    links[-1] |= end
    protocol = spec_of(**{**SMALL, **changed}).model_dump(mode="json", exclude_none=True)
    nodes: dict[str, Any] = {"a": {}, "r": {}, "b": {}, "idle": {}}
    return validate({"seed": 5, "nodes": nodes, "links": links, "protocol": protocol}, "chain.yaml", "chain", ".")


def summed(loaded: Loaded, results: list[SessionResult]) -> dict[str, Any]:
    return loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()


def accounts(per_step: dict[str, list[int]], result: SessionResult) -> list[tuple[int, int]]:
    """Steps and what came after them, beside the wire's totals."""
    ends = [outcome.after for outcome in result.outcomes.values()]
    totals = result.totals
    wire = {"qubits_emitted": totals.qubits_sent, "qubits_delivered": totals.qubits_delivered,
            "ebits": totals.ebits, "bits": totals.payload_bits + totals.control_bits}  # fmt: skip
    return [(sum(per_step[name]) + sum(end[name] for end in ends), of_wire) for name, of_wire in wire.items()]


# ---------------------------------------------------------------- chains of repeaters


@pytest.mark.parametrize("end", [{}, {"distill_spans": [2], "generation": "sequential"}], ids=["plain", "distilled"])
def test_a_training_over_repeaters_goes_on_as_it_was_and_is_accounted_for(
    end: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With copies announced and an early stop looked for, of which the repeater must hear."""
    loaded = chain(end=end)
    run = loaded.run()
    results = run_inline(run)
    per_step = summed(loaded, results)["per_step"]
    assert all(ours == wire for ours, wire in accounts(per_step, results[0]))
    assert min(per_step["ebits"]) > 0 and sum(per_step["ebits"]) < results[0].totals.ebits
    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 2, Interrupted())
        run_inline(run, out=tmp_path)
    assert (tmp_path / "checkpoints" / "r.0.2.npz").exists()
    assert whole(run_inline(run, out=tmp_path)) == whole(results)


@pytest.mark.long
def test_a_chain_gives_processes_the_transcript_of_inline() -> None:
    """Its rivals too, whose bits go from end to end while the repeater looks on."""
    run = chain(steps=2, rivals={"backprop": [16], "raw": [8], "description": []}).run()
    assert whole(run_processes(run)) == whole(run_inline(run))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_kills_at_random_moments_change_nothing_over_a_chain(seed: int, tmp_path: Path) -> None:
    run = chain(steps=12, validation=None).run()
    plain = whole(run_inline(run))
    log: list[str] = []
    with killer(random.Random(seed), 3, log):
        results = run_processes(run, out=tmp_path)
    assert whole(results) == plain and log


def test_a_repeater_hears_of_an_early_stop() -> None:
    validation = {"share": 0.25, "every": 1, "patience": 1, "copies": 1}
    loaded = chain(optimiser={"name": "sgd", "rate": 25.0}, steps=12, validation=validation, adaptive=None, batch=None)
    outcomes = run_inline(loaded.run())[0].outcomes
    steps = {party: outcomes[party].steps for party in ("a", "b", "r")}
    assert len(set(steps.values())) == 1 and steps["r"] < 12


def test_what_a_repeater_holds_is_public() -> None:
    told = json.dumps(chain().run().sessions[0].told["r"].values)
    assert "angles" not in told and "labels" not in told and "values" not in told


def test_no_hop_begins_before_its_far_node_has_freed_its_memories(monkeypatch: pytest.MonkeyPatch) -> None:
    """From stream to stream too. Lane by lane: what was last told to be free, and from when pairs are asked for."""
    freed: dict[str, Any] = {}
    asked: list[bool] = []
    original = Direction.carry

    def carry(self: Direction, message: Any, sent_ps: int) -> Any:
        order = message.order if isinstance(message, Pairs) else None
        delivery = original(self, message, sent_ps)
        if order is not None:
            known = freed.setdefault(self.name, np.zeros(128, dtype=np.int64))
            asked.extend(order.begin_ps >= known[: len(order.begin_ps)])
        if delivery.record.kind == "released":
            known = freed.setdefault("->".join(self.name.split("->")[::-1]), np.zeros(128, dtype=np.int64))
            known[: len(delivery.message.free_ps)] = delivery.message.free_ps
        return delivery

    monkeypatch.setattr(Direction, "carry", carry)
    run_inline(chain(steps=2, adaptive=None).run())
    assert len(asked) > 1000 and all(asked)


# ---------------------------------------------------------------- costs and memory


def test_every_step_is_what_the_wire_counts() -> None:
    """Over a link that loses copies, whose heralds are bits too; and of a rival."""
    on = network(LOSSY)
    spec = spec_of(**{**SAMPLED, "rivals": {"backprop": [16], "raw": [], "description": []}})
    results = carried_out(spec, on)
    summary = KIND.summarise(spec, results, Judge(on)).told()
    assert all(ours == wire for ours, wire in accounts(summary["per_step"], results[0]))
    rival = summary["rivals"]["backprop-16-bit"]["per_step"]
    assert 0 < sum(rival["bits"]) < results[1].totals.payload_bits and rival["ebits"] == [0] * 4
    assert summary["per_step"]["loss"] == summary["losses"]


@pytest.mark.parametrize(("window", "registers"), [(None, 48), (5, 24)])
def test_the_memory_told_is_what_a_party_had_in_its_hands(window: int | None, registers: int) -> None:
    """Six samples: 48 copies for losses, or at most the window's; 24 of |Φ>, of three qubits, kept to be read."""
    spec = spec_of(**{**SAMPLED, **ALONE, "adaptive": None, "validation": None, "window": window})
    results = carried_out(spec, network())
    overhead = KIND.summarise(spec, results, Judge(network())).overhead.told()
    assert overhead["registers_at_once"] == registers and overhead["qubits_at_once"] == max(48 * 2, 24 * 3) - (
        0 if window is None else 48 * 2 - 24 * 3
    )
    assert overhead["backprop_numbers_at_once"] == 3 * 6 * 2 * 4


def test_a_summary_shows_the_first_and_the_last_step() -> None:
    spec = spec_of(**{**SAMPLED, **ALONE, "steps": 9})
    summary = KIND.summarise(spec, carried_out(spec, network(LOSSY)), Judge(network(LOSSY)))
    told = summary.told()
    lines = [line.split() for line in TrainingResult.model_construct(**summary.given()).remarks()]
    numbers = [int(line[0]) for line in lines[1:-1]]
    assert numbers[0] == 1 and numbers[-1] == told["steps"] and len(numbers) <= 6
    for number, line in zip(numbers, lines[1:-1], strict=True):
        shown = [told["per_step"][name][number - 1] for name in ("attempted_copies", "qubits_emitted", "ebits", "bits")]
        assert [int(cell.replace(",", "")) for cell in line[2:6]] == shown
    assert RunResult.model_construct(estimate=1.0).remarks() == []


# ---------------------------------------------------------------- gradients beside the exact ones


def checked(changed: dict[str, Any], physics: Fiber | Line) -> tuple[dict[str, Any], Any, Any]:
    on = network()
    line = physics if isinstance(physics, Line) else Line(physics)
    on = replace(on, links=(Link(("a", "b"), line, line),))
    spec = spec_of(**{**SAMPLED, **ALONE, "adaptive": None, "validation": None, **changed})
    run = run_of(spec, on)
    return KIND.retraced(spec, on, run, run_inline(run)).gradient_error.told(), spec, on


@pytest.mark.parametrize("trainable", rarely(["all", ["b"]], but=["b"]))
def test_errors_are_those_against_the_dense_gradient_at_the_parameters_of_each_step(trainable: Any) -> None:
    """A rate of 1, so that parameters after each step tell the estimate, and runs of 1, 2, 3 steps all of them."""
    changed = {"optimiser": {"name": "sgd", "rate": 1.0}, "trainable": trainable, "steps": 3, "batch": None}
    told, spec, on = checked(changed, LOSSY)
    points = [ANGLES.reshape(-1)]
    points += [parameters(carried_out(spec.model_copy(update={"steps": k}), on, telling=True)[0]) for k in (1, 2, 3)]
    moves = np.repeat([True] * 3 if trainable == "all" else [False, True, False], 4)
    labels = np.where(np.array(LABELS) == 8, 1.0, -1.0)
    for step, (before, after) in enumerate(pairwise(points)):
        exact = (2 * (outputs(before, ROWS) - labels) @ slopes_of(before, ROWS) / 12)[moves]
        error = (before - after)[moves] - exact
        norm = np.linalg.norm(exact)
        cosine = exact @ (before - after)[moves] / norm / np.linalg.norm((before - after)[moves])
        expected = {"norm": norm, "largest": np.abs(error).max(), "relative": np.linalg.norm(error) / norm,
                    "cosine": cosine}  # fmt: skip
        assert {name: told[name][step] for name in expected} == pytest.approx(expected, rel=1e-9)
    # Losses are no noise: what is off is off by shots alone, to the last bit of the derivatives told.
    assert max(told["from_noise"]) < 1e-10 and min(told["relative"]) > 0.01
    assert told["from_shots"] == pytest.approx(told["relative"], rel=1e-6)


def test_exact_gradients_are_off_by_rounding() -> None:
    told, _, _ = checked({"estimator": "exact", "copies": None, "derivative_bits": 64}, IDEAL)
    # Derivatives of losses are rounded to 2^-32.
    assert max(told["largest"]) < 1e-9 and min(told["cosine"]) > 1 - 1e-12


def test_noise_is_told_apart_from_shots() -> None:
    """Depolarised crossings: z shrinks by (1 - 4p/3)^k, copy by copy, so with many copies a known share is missing.

    Two crossings of z, k = 1 each where it is measured; features cross more often. Shots cost less, the more
    there are, and noise does not.
    """
    noisy = Line(Fiber(), (Noise("depolarizing", probability=0.1),))
    few, many = (checked({"steps": 1, "copies": copies, "loss_copies": 2 * copies}, noisy)[0] for copies in (16, 4096))
    assert 0.2 < many["from_noise"][0] < 1.0 and few["from_noise"][0] > 0.1
    assert many["from_shots"][0] < few["from_shots"][0] / 4
    assert many["relative"][0] == pytest.approx(many["from_noise"][0], abs=2 * many["from_shots"][0])


def test_a_run_that_does_not_come_again_is_not_spoken_of() -> None:
    spec = spec_of(**{**SAMPLED, **ALONE})
    run = run_of(spec, network())
    other = run_inline(run_of(spec, replace(network(), seed=6)))
    assert KIND.retraced(spec, network(), run, other).told() == {"gradient_error": None}


def test_nothing_private_is_told_without_check() -> None:
    loaded = chain(steps=1)
    results = run_inline(loaded.run())
    assert "gradient_error" not in summed(loaded, results)
    angles = ANGLES.tobytes()
    for outcome in results[0].outcomes.values():
        assert not any(array.size and array.tobytes() in angles for array in typed.told(outcome).arrays.values())
