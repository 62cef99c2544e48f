"""Amplitude estimation over the network: its law, its coverage, its cost beside sampling, its refusals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import SessionResult
from ketwire.protocols.amplitude import stations
from ketwire.quantum.amplitude import success_probability
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, validate
from tests.scenarios.kinds.gradient.test_kind import IDEAL, LOSSY, TELEPORT, contraction, rotations

Data = dict[str, Any]
SLIGHT = {"fiber": "ideal", "length_km": 1.0, "p_init": 0.01}
CODED = {**SLIGHT, "transport": "coded", "code": "[[4,2,2]]"}


def scenario(
    layers: Sequence[Data] | str,
    links: str = "ab",
    link: Data = IDEAL,
    start: str = "b",
    seed: int = 5,
    **protocol: Any,
) -> Loaded:
    listed = [rotations(owner) for owner in layers] if isinstance(layers, str) else list(layers)
    given = {
        "kind": "inference",
        "estimation": "amplitude",
        "qubits": 2,
        "start": start,
        "input": {"random": "normal"},
        "layers": listed,
        "epsilon": 0.05,
        "delta": 0.1,
        "dense_state": None,
        "description": [],
        "sketch": False,
    }
    data: Data = {
        "seed": seed,
        "nodes": {name: {} for name in dict.fromkeys(links)},
        "links": [{"between": list(links[i : i + 2]), **link} for i in range(0, len(links), 2)],
        "protocol": {**given, **protocol},
    }
    return validate(data, "test", "test", ".")


def outcome(loaded: Loaded, results: Sequence[SessionResult] | None = None) -> Data:
    network, spec = loaded.network(), loaded.scenario.protocol
    results = run_inline(loaded.run()) if results is None else results
    told = loaded.kind.summarise(spec, results, Judge(network)).told()
    told["exact"] = loaded.kind.exact(spec, network, network.loaders()).exact
    told["qubits"] = {result.name: result.totals.qubits_sent for result in results}
    return told


MIXED = [
    rotations("b"),
    contraction("b", 2),
    rotations("a"),
    {"at": "a", "layer": "phases", "values": {"random": "angles"}},
    rotations("b"),
    {"at": "a", "layer": "unitary", "matrix": {"values": np.eye(4)[[1, 3, 0, 2]].tolist()}},
    contraction("a", 2, 2),
]
CIRCUITS: list[tuple[str, Any, str]] = [
    ("ab", "baba", "b"),
    ("ab", "ba", "a"),
    ("ab", "bbb", "b"),
    ("abbccd", "abcdcb", "a"),
    ("abbcca", "abca", "b"),
    ("ab", MIXED, "b"),
]


@pytest.mark.parametrize(("links", "owners", "start"), CIRCUITS)
@pytest.mark.parametrize("link", [IDEAL, SLIGHT, TELEPORT, CODED], ids=["ideal", "lossy", "teleport", "coded"])
def test_shots_with_k_steps_have_the_law_of_k_steps(links: str, owners: Any, start: str, link: Data) -> None:
    """Every request of the estimation against sin²((2k+1)θ), <Π> = sin²θ exact; qubits as (2k+1) F crossings."""
    most = {} if link in (IDEAL, TELEPORT) else {"most_power": 4}
    result = outcome(scenario(owners, links, link, start, epsilon=0.02, **most))
    theta = math.asin(math.sqrt(result["exact"]))
    for power, count, hits in result["requests"]:
        p = success_probability(theta, power)
        assert abs(hits - count * p) <= 4.5 * math.sqrt(count * p * (1 - p)) + 1e-6
    assert 1 <= result["largest_power"] <= most.get("most_power", 100)
    assert abs(result["estimate"] - result["exact"]) <= 0.02
    crossings = len(scenario(owners, links, link, start).run().sessions[0].slices[start].part.path) - 1
    flags = 2 if owners is MIXED else 0
    if link is IDEAL:
        told = sum(count * (2 * power + 1) for power, count, _ in result["requests"])
        assert result["uses"] == told and result["qubits"]["amplitude"] == told * crossings * (2 + flags)


def test_the_way_of_a_shot() -> None:
    assert stations(3, 0) == (0, 1, 2) and stations(3, 2) == (0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2)
    assert stations(2, 1) == (0, 1, 0, 1) and stations(1, 5) == (0,)


def test_it_covers_as_often_as_it_says() -> None:
    """40 seeds at delta = 0.2: more than 16 misses would come once in 1e3 if it just covered."""
    missed = 0
    for seed in range(40):
        result = outcome(scenario("ba", seed=seed, epsilon=0.1, delta=0.2))
        low, high = result["interval"]
        assert high - low <= 0.2
        missed += not low <= result["exact"] <= high
    assert missed <= 16


def test_qubits_grow_as_one_over_epsilon_and_those_of_sampling_as_its_square() -> None:
    qubits = []
    for epsilon in (0.04, 0.0025):
        found = [outcome(scenario("ba", epsilon=epsilon, seed=seed))["qubits"] for seed in (1, 2, 3)]
        qubits.append({name: sum(each[name] for each in found) for name in ("amplitude", "sampling")})
    grown = {name: qubits[1][name] / qubits[0][name] for name in qubits[0]}
    assert 16 / 2.5 < grown["amplitude"] < 16 * 2.5 and grown["sampling"] == pytest.approx(256, rel=0.01)
    assert qubits[1]["amplitude"] < qubits[1]["sampling"] / 6


def test_survival_caps_the_steps() -> None:
    """The k at which (2k+1) s^k is largest: s = 0.99^(2 · 2) for two qubits over one crossing and back."""
    s = 0.99**4
    best = max(range(200), key=lambda k: (2 * k + 1) * s**k)
    run = scenario("ba", link=SLIGHT).run()
    assert run.sessions[0].slices["a"].most_power == best
    assert scenario("ba").run().sessions[0].slices["a"].most_power is None


def test_a_little_noise_is_taken_out_of_delta_and_more_is_refused() -> None:
    def noisy(p: float, **of: Any) -> Loaded:
        return scenario("ba", link={**IDEAL, "noise": [{"kind": "dephasing", "probability": p}]}, **of)

    result = outcome(noisy(1e-6))
    assert 0 < result["noisy_shots"] <= 0.05 and result["promise_holds"]
    assert noisy(1e-6).run().sessions[0].slices["a"].delta == 0.05
    with pytest.raises(ScenarioError, match=r"meets an error on its way .* expected at most delta/2 = 0.05") as refused:
        noisy(1e-3).run()
    assert "\n" not in str(refused.value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("links", "owners", "link"),
    [pytest.param("ab", "ba", SLIGHT, marks=pytest.mark.long), ("abbc", "abc", TELEPORT)],
)
def test_inline_and_processes_give_one_transcript(links: str, owners: str, link: Data) -> None:
    run = scenario(owners, links, link, start=owners[0], most_power=3, dense_state={"bits": [8]}).run()
    inline, apart = run_inline(run), run_processes(run)
    assert [each.transcript_sha256 for each in apart] == [each.transcript_sha256 for each in inline]
    assert [each.name for each in inline] == ["amplitude", "sampling", "dense-state-8-bit"]


@pytest.mark.long
def test_over_a_chain_of_repeaters() -> None:
    data = scenario("ba", epsilon=0.04, most_power=1).scenario.model_dump(mode="json", exclude_unset=True)
    hop = {**TELEPORT, "memory_slots": 2}
    ends = {"fiber": "telecom-fiber", "transport": "teleport", "via": ["r"]}
    data["nodes"]["r"] = {}
    data["links"] = [{"between": pair, **hop} for pair in (["a", "r"], ["r", "b"])] + [{"between": ["a", "b"], **ends}]
    result = outcome(validate(data, "test", "test", "."))
    assert abs(result["estimate"] - result["exact"]) <= 0.04 and result["largest_power"] == 1


REFUSED: list[tuple[Data, str]] = [
    ({"link": {**LOSSY, "length_km": 5.0}}, r"protocol.estimation: amplitude given, but a copy survives one "),
    ({"epsilon": None, "delta": None, "copies": 9}, r"protocol.epsilon: null given, expected an accuracy below 1/2"),
    ({"epsilon": 0.6}, r"protocol.epsilon: 0.6 given, expected an accuracy below 1/2"),
    ({"representation": "density"}, r'protocol.representation: "density" given, expected trajectories'),
    ({"estimation": "sampling", "most_power": 3}, r"protocol.most_power: 3 given, expected nothing, or estimation"),
    ({"most_power": 0}, r"protocol.most_power: 0 given, expected at least 1"),
    (
        {"link": {**LOSSY, "length_km": 5.0}, "most_power": 30, "epsilon": 0.001},
        r"protocol.most_power: 30 Grover steps: \d+ measured copies need about .* attempts",
    ),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_what_cannot_work_is_refused_in_one_line(change: Data, told: str) -> None:
    with pytest.raises(ScenarioError, match=told) as refused:
        loaded = scenario(**{"layers": "ba", **change})
        loaded.check_foreseen(loaded.run())
    assert "\n" not in str(refused.value)


def test_imperfect_nodes_are_refused() -> None:
    data = scenario("ba").scenario.model_dump(mode="json", exclude_unset=True)
    data["nodes"]["a"] = {"t1_s": 1.0}
    with pytest.raises(ScenarioError, match=r"^test: nodes.a: imperfect hardware given"):
        validate(data, "test", "test", ".").run()


def test_sampling_beside_is_left_out_where_it_would_pass_the_budget() -> None:
    result = outcome(scenario("ba", epsilon=0.001, budget_attempts=1e5))
    assert list(result["qubits"]) == ["amplitude"] and "sampling to the same promise would pass" in result["verdict"]


@pytest.mark.parametrize(
    ("answers", "most_power"), [([1], 3), ([2, -1], 3), ([9, 5], 3), ([1 << 31, 5], None), ([9, 5], None)]
)
def test_requests_that_the_plan_excludes_are_the_teller_s_fault(answers: list[int], most_power: int | None) -> None:
    """Without a cap epsilon sets one: a path for 2^31 Grover steps would have been written down before its first."""
    from ketwire.nodes.party import PartyNode
    from ketwire.protocols.amplitude import AmplitudeParty
    from ketwire.quantum.amplitude import Shots

    run = scenario("ba", most_power=most_power, epsilon=0.05).run()
    party = AmplitudeParty(run.sessions[0].slices["b"], lambda key, source: {"values": np.zeros(source["shape"]) + 1})
    asked = party._share_request(PartyNode("b", b"k" * 32, {}), [("b", "a")], Shots(0, 1))
    asked.send(None)
    with pytest.raises(RemoteProtocolError, match="a asked for shots"):
        asked.send(Answers(np.array(answers), 32))
