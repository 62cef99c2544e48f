"""What --check tells apart: the noisy expectation, which (epsilon, delta) speak of, and its bias.

H on all qubits at bob, H again at alice: without noise every copy reads 0, and a register that met Z on
qubit 0 with probability p on its way reads 0 with 1 - p. So every noise has its closed form.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.witness import expectation
from ketwire.quantum.binomial import accuracy_of, count_for
from ketwire.scenarios.kinds.bias import CONFIDENCE, bias_lines
from ketwire.scenarios.kinds.result import RunResult
from ketwire.scenarios.load import Loaded, load, validate
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.runs.table import table_text

LAYERS = [{"at": "bob", "layer": "hadamards"}, {"at": "alice", "layer": "hadamards"}]
TELECOM = {"fiber": "telecom-fiber", "length_km": 3}
PAIRS = {"fiber": "ideal", "transport": "teleport", "scheme": "given", "rate_hz": 1e4, "memory_slots": 4}


def loaded(
    link: dict[str, Any], nodes: dict[str, Any] | None = None, *more: dict[str, Any], **protocol: Any
) -> Loaded:
    asked = {"kind": "inference", "qubits": 2, "start": "bob", "copies": 300, "layers": LAYERS, "dense_state": None}
    asked = {name: value for name, value in {**asked, **protocol}.items() if value is not None or name == "dense_state"}
    parties = {"alice": {}, "bob": {}, **(nodes or {})}
    data = {"seed": 3, "nodes": parties, "links": [{"between": ["bob", "alice"], **link}, *more], "protocol": asked}
    return validate(copy.deepcopy(data), "test.yaml", "test", ".")


def checked(scenario: Loaded) -> RunResult:
    def inline(run: Any, progress: Any, ledger: bool, base: str, out: Any) -> Any:
        return run_inline(run, progress, ledger, base)

    return launch(scenario, inline, Options(check=True, progress=False))


def noise(kind: str, probability: float) -> dict[str, Any]:
    return {**TELECOM, "noise": [{"kind": kind, "probability": probability}]}


CHAIN = {"between": ["bob", "r"], **PAIRS, "fidelity": 0.9}, {"between": ["r", "alice"], **PAIRS, "fidelity": 0.8}
CLOSED: dict[str, tuple[Loaded, float]] = {
    "nothing": (loaded(TELECOM), 1.0),
    "dephasing": (loaded(noise("dephasing", 0.2)), 0.8),
    "depolarizing": (loaded(noise("depolarizing", 0.2)), 0.9),
    "bit flips, which |+> does not feel": (loaded(noise("bit-flip", 0.2)), 1.0),
    # The coherence shrinks by the root of 1 - gamma.
    "damping": (loaded(noise("amplitude-damping", 0.36)), (1 + 0.8) / 2),
    "Werner pairs": (loaded({**PAIRS, "fidelity": 0.91}), 1 - 2 * 0.09 / 3),
    "a code that saw no error": (loaded({**TELECOM, "transport": "coded", "code": "[[4,2,2]]"}), 1.0),
    "readout": (loaded(noise("dephasing", 0.2), {"alice": {"p_readout": 0.1}}), 0.8 * 0.9 + 0.2 * 0.1),
    # Each gate leaves the qubit maximally mixed with 10%, two of them and the preparation.
    "gates": (
        loaded(TELECOM, {"bob": {"p_gate1": 0.1, "p_prepare": 0.1}, "alice": {"p_gate1": 0.1}}),
        0.5 + 0.9**3 / 2,
    ),
    # F1 F2 + (1 - F1)(1 - F2) / 3 of the swapped pair.
    "a chain": (
        loaded({"via": ["r"], "fiber": "ideal", "transport": "teleport"}, {"r": {}}, *CHAIN),
        1 - 2 * (1 - (0.9 * 0.8 + 0.1 * 0.2 / 3)) / 3,
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_noisy_expectation_is_the_closed_form(name: str) -> None:
    scenario, closed = CLOSED[name]
    result = checked(scenario)
    assert abs(result.exact - 1.0) < 1e-12 and result.noisy is not None
    assert abs(result.noisy.expectation - closed) < 1e-12 and result.noisy.standard_error == 0.0
    assert abs(result.noisy.bias - (closed - 1.0)) < 1e-12
    assert result.error == abs(result.estimate - result.exact)  # as without the witness


def test_where_copies_wait_for_times_of_their_own_the_mean_is_over_these() -> None:
    """Each copy has its own matrix; with errors drawn instead the mean is the same within its standard error."""
    link, nodes = {**PAIRS, "fidelity": 0.95}, {"bob": {"t2_s": 2e-3}, "alice": {"t2_s": 3e-3}}
    found = {}
    for representation in ("auto", "density"):
        scenario = loaded(link, nodes, copies=800, representation=representation)
        run = scenario.run()
        session = run.sessions[0]
        found[representation] = expectation(run, session)
        told = checked(scenario).told()["noisy"]
        assert told["expectation"] == pytest.approx(expectation(run, _density(scenario)).mean, abs=1e-12)
        assert 0.0 < told["standard_error"] < 0.02
    drawn, averaged = found["auto"], found["density"]
    assert drawn.copies == averaged.copies == 800 and 0.55 < averaged.mean < 0.93
    assert abs(drawn.mean - averaged.mean) < 4.5 * np.hypot(drawn.standard_error, averaged.standard_error)
    assert drawn.standard_error > 2 * averaged.standard_error


def _density(scenario: Loaded) -> Any:
    session, exact = scenario.kind.witness(scenario.scenario.protocol, scenario.network(), scenario.run().sessions[0])
    assert not exact and session.slices["bob"].plan.mixed
    return session


def test_too_large_for_matrices_is_drawn_and_says_how_sure_it_is() -> None:
    result = checked(loaded(noise("dephasing", 0.2), qubits=9, copies=1000))
    noisy = result.told()["noisy"]
    assert abs(noisy["expectation"] - 0.8) < 4.5 * noisy["standard_error"]
    assert noisy["standard_error"] == pytest.approx(np.sqrt(0.16 / 1000), rel=0.1)


def test_epsilon_and_delta_are_promised_of_the_noisy_expectation_and_not_of_the_ideal() -> None:
    epsilon, delta, runs = 0.1, 0.2, 80
    scenario = loaded(noise("dephasing", 0.4), epsilon=epsilon, delta=delta, copies=None)
    off_noisy = off_ideal = 0
    for seed in range(runs):
        again = validate({**scenario.scenario.model_dump(mode="json"), "seed": seed}, "test.yaml", "test", ".")
        counts = next(iter(run_inline(again.run())[0].outcomes.values()))
        assert counts.copies == count_for(epsilon, delta)
        estimate = counts.zeros / counts.copies
        off_noisy += abs(estimate - 0.6) > epsilon
        off_ideal += abs(estimate - 1.0) > epsilon
    assert off_noisy <= stats.binom.ppf(1 - 1e-4, runs, delta)
    assert off_ideal == runs


@pytest.mark.parametrize("asked", [{"copies": 400}, {"epsilon": 0.1, "delta": 0.2, "copies": None}])
def test_the_table_tells_them_apart(asked: dict[str, Any]) -> None:
    result = checked(loaded(noise("dephasing", 0.2), **asked))
    lines = {line[:17].strip(): line[17:].strip() for line in bias_lines(result)}
    assert list(lines) == ["estimate", "noisy expectation", "ideal value", "bias"]
    assert lines["noisy expectation"].startswith("0.80000 ") and lines["ideal value"].startswith("1.00000 ")
    assert lines["bias"].startswith("-0.20000 ") and "more copies do not reduce it" in lines["bias"]
    epsilon, delta = (0.1, 0.2) if asked["copies"] is None else (accuracy_of(400, 1 - CONFIDENCE), 1 - CONFIDENCE)
    assert f"at most {epsilon:.3g} with probability {1 - delta:.6g}" in lines["estimate"]
    assert all(line in table_text(result) for line in bias_lines(result))
    assert max(map(len, bias_lines(result))) < 140


def test_where_nothing_disturbs_there_is_no_bias_and_without_check_no_word_of_it() -> None:
    assert bias_lines(checked(loaded(TELECOM)))[-1].endswith("none")

    def inline(run: Any, progress: Any, ledger: bool, base: str, out: Any) -> Any:
        return run_inline(run, progress, ledger, base)

    result = launch(loaded(noise("dephasing", 0.2)), inline, Options(progress=False))
    assert "noisy" not in result.told() and bias_lines(result) == []


def test_a_witness_changes_nothing_of_what_is_measured() -> None:
    """The same losses, times and outcomes with and without --check, inline and as processes."""
    scenario = loaded({**PAIRS, "fidelity": 0.9}, {"bob": {"t2_s": 1e-2}}, copies=50)

    def processes(run: Any, progress: Any, ledger: bool, base: str, out: Any) -> Any:
        return run_processes(run, progress, ledger, base, out)

    both = [launch(scenario, processes, Options(check=True, progress=False)), checked(scenario)]
    assert both[0].transcript_sha256 == both[1].transcript_sha256 and both[0].noisy == both[1].noisy
    assert both[0].transcript_sha256 == run_inline(scenario.run())[0].transcript_sha256


def test_kinds_without_a_witness_are_checked_as_before() -> None:
    small = ["protocol.qubits=[4]", "protocol.trials=20", "protocol.block_code=false", "protocol.single_code=null"]
    result = checked(load("subspace", small))
    assert "noisy" not in result.told() and bias_lines(result) == []


def test_the_table_of_a_gradient_over_noisy_nodes_is_written() -> None:
    """Its result says `noisy: true` where an inference has figures under this key."""
    sets = [
        "protocol.estimators=[{name: commuting, copies: 40}, {name: exact, copies: 10}]",
        "nodes.bob={p_gate2: 0.01}",
    ]
    result = checked(load("gradient-two-parties", ["links.0.fiber=ideal", *sets]))
    assert result.noisy is True and not result.afterwards_failed
    assert "commuting" in table_text(result)
