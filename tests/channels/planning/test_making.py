"""How a link makes pairs: worked out by hand, and the same in results and in `ketwire link`."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from ketwire.channels.entanglement.laboratory import Laboratory
from ketwire.channels.fiber import Fiber
from ketwire.channels.line import Line
from ketwire.channels.parts import Memory
from ketwire.channels.planning.making import making
from ketwire.channels.transports import Teleport
from ketwire.scenarios import cli
from ketwire.scenarios.api import run

ALPHA, ETA = 0.2, 0.1


def test_a_pair_by_hand() -> None:
    """Single clicks: odd parts weigh α(1-α)η each, bright ones α²(2η(1-η) + (1+V)η²/2); coherence decays for 10 km."""
    own = Laboratory(attempt_ps=80_000_000, duty_cycle=0.5)
    transport = Teleport(scheme="single-click", alpha=ALPHA, visibility=0.81, memory_slots=3, laboratory=own)
    memory = Memory(t2_ps=4e8)
    made = making(Line(Fiber(10.0, p_init=1 - ETA), (), memory, memory, transport))
    odd, bright = ALPHA * (1 - ALPHA) * ETA, ALPHA**2 * (2 * ETA * (1 - ETA) + ETA**2 * 1.81 / 2)
    assert made.success_probability == pytest.approx(2 * odd + bright, rel=1e-12)
    kept = 0.9 * math.exp(-2 * 5e7 / 4e8)
    assert made.fidelity == pytest.approx(odd * (1 + kept) / (2 * odd + bright), rel=1e-12)
    assert made.pairs_hz == pytest.approx(3 * made.success_probability / 160e-6, rel=1e-12)


def scenario(**link: Any) -> dict[str, Any]:
    layers = [{"at": "bob", "layer": "hadamards"}]
    return {
        "seed": 1,
        "nodes": {name: {"t2_s": 0.085, "t2_shape": "gaussian"} for name in ("alice", "bob")},
        "links": [{"between": ["alice", "bob"], **link}],
        "protocol": {
            "kind": "inference", "qubits": 1, "start": "alice", "copies": 400, "dense_state": None, "layers": layers,
        },
    }  # fmt: skip


def test_a_result_and_the_command_tell_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(scenario(fiber="trapped-ion", length_km=5))
    assert cli.execute(["link", "trapped-ion", "--length", "5", "--qubits", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["transports"]
    of_pairs = [each["pairs"] for each in told if each["kind"] == "teleport"]
    assert of_pairs == [result.pairs["alice-bob"].told()] * 2
    assert all(each["pairs"] is None for each in told if each["kind"] != "teleport")
    assert cli.execute(["link", "trapped-ion", "--length", "5", "--qubits", "1"]) == 0
    assert f"{result.pairs['alice-bob'].fidelity:.4f} at its herald" in capsys.readouterr().out
    assert "pairs" not in run(scenario(fiber="telecom-fiber", length_km=1)).told()


def test_runs_make_as_many_pairs_a_second() -> None:
    link = {"transport": "teleport", "scheme": "double-click", "p_init": 0.5, "length_km": 5, "attempt_s": 1e-4}
    result = run(scenario(fiber="ideal", **link, duty_cycle=0.25))
    made = result.pairs["alice-bob"]
    took_s = (result.virtual_time_ps - 25_000_000) / 1e12
    assert abs(took_s * made.pairs_hz / 400 - 1) <= 4.5 / math.sqrt(400)
    assert made.success_probability == pytest.approx(0.125) and made.pairs_hz == pytest.approx(312.5)
    assert np.isclose(made.fidelity, (1 + math.exp(-2 * (25e-6 / 0.085) ** 2)) / 2, rtol=1e-12)
