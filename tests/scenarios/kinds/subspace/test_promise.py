"""Vector in subspace on the wire: exact with one copy, counted to the qubit, and nobody knows too much."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.protocols.codes import default_plan
from ketwire.protocols.typed import Told
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.kinds.subspace.promise import DENSE_QUBITS, _deal
from ketwire.scenarios.load import Loaded, load, validate
from ketwire.scenarios.runs.results import Counted, run_result

LAYERS = 5


def scenario(link: dict[str, Any] | None = None, **protocol: Any) -> Loaded:
    told = {
        "seed": 5,
        "nodes": {"alice": {}, "bob": {}, "carol": {}},
        "links": [{"between": ["bob", "alice"], "fiber": "ideal", "length_km": 1, **(link or {})}],
        "protocol": {"kind": "subspace", "task": "promise", "qubits": [4], "trials": 40, **protocol},
    }
    return validate(told, "test.yaml", "test", ".")


def result(loaded: Loaded) -> dict[str, Any]:
    results = run_inline(loaded.run())
    summary = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network()))
    return run_result(loaded.kind.Result, Counted.of({}, results, 0.0), summary, []).told()


def refused(**protocol: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        run_inline(scenario(**protocol).run())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_copy_decides_on_a_perfect_channel_and_takes_n_qubits() -> None:
    sizes = [2, 3, 4, 5, 6, 8, 10]
    told = result(scenario(qubits=sizes, trials=50, raw=[], block_code=False, description=False))
    assert told["accuracy"] == 1.0
    assert told["qubits_sent"] == told["qubits_delivered"] == 50 * sum(sizes)
    assert told["payload_bits"] == told["control_bits"] == 0
    for row, qubits in zip(told["sizes"], sizes, strict=True):
        assert (row["accuracy"], row["qubits_per_decision"], row["N"]) == (1.0, qubits, 1 << qubits)


def test_rivals_pay_their_closed_forms_and_do_as_well_as_they_should() -> None:
    trials, sizes = 400, (4, 6, 8)
    spec = {"single_code": {"bits": 8, "max_qubits": 4}, "raw": [1, 6], "description_bits": 9}
    told = result(scenario(qubits=list(sizes), trials=trials, **spec))
    for qubits in sizes:
        N = 1 << qubits
        described = N * N // 2 * 9 if qubits <= DENSE_QUBITS else LAYERS * N
        expected = {
            "block-code": trials * default_plan(N).bits,
            "raw-1-bit": trials * N,
            "raw-6-bit": trials * N * 6,
            "description": described + trials,
        }
        if qubits == 4:
            expected["single-code"] = trials * 8
        for name, bits in expected.items():
            rival = told["rivals"][f"n{qubits}-{name}"]
            assert rival["bits"] == rival["payload_bits"] == bits
            # The codes are right in 95% or more; 5 standard deviations below that: error 3e-7 each.
            least = 0.95 - 5 * math.sqrt(0.05 * 0.95 / trials) if "code" in name else 0.99
            assert least <= rival["accuracy"] <= 1.0
    assert "n6-single-code" not in told["rivals"]


def test_quantum_grows_with_the_logarithm_and_the_block_code_with_the_root() -> None:
    told = result(scenario(qubits=[4, 8, 12], trials=10, raw=[], description=False))
    quantum = [row["qubits_per_decision"] for row in told["sizes"]]
    block = [row["rivals"]["block-code"]["bits_per_decision"] for row in told["sizes"]]
    assert quantum == [4, 8, 12]
    assert block == [8, 32, 140]
    assert told["verdict"].count("quantum wins") == 3


def test_a_lossy_link_is_topped_up_until_every_vector_was_measured() -> None:
    link = {"fiber": "telecom-fiber", "length_km": 3}
    loaded = scenario(link, qubits=[6, 8], trials=60, copies=3, raw=[], block_code=False, description=False)
    results = run_inline(loaded.run())
    survival = loaded.network().links[0].forward.survival(1)
    for each, qubits in zip(results, (6, 8), strict=True):
        bob = each.outcomes["bob"]
        assert bob.measured == 60 * 3
        totals = each.directions["alice->bob"]
        assert totals.qubits_sent == bob.attempted * qubits > 60 * 3 * qubits
        # Expected attempts are 180 over the survival; the last round may emit some in vain.
        assert 0.6 < bob.attempted * survival**qubits / 180 < 2.0
    assert result(loaded)["accuracy"] == 1.0


def octets_of(told: Told) -> bytes:
    return repr(told.values).encode() + b"".join(array.tobytes() for array in told.arrays.values())


def test_slices_hold_what_their_party_owns_and_no_more() -> None:
    loaded = scenario(qubits=[4, 6])
    for session, qubits in itertools.product(loaded.run().sessions, (4, 6)):
        half, vectors, answers = _deal(loaded.network(), qubits, 40)
        secret = half.matrix.tobytes() if qubits == 4 else (half.signs < 0).tobytes()  # type: ignore[attr-defined]
        alice, bob, carol = (octets_of(session.told[party]) for party in ("alice", "bob", "carol"))
        mine = session.name.partition("-")[0] == f"n{qubits}"
        assert (vectors.tobytes() in alice) == mine and (secret in bob) == mine
        assert secret not in alice and vectors[0].tobytes() not in bob
        for kind in (np.int64, np.bool_, np.uint8, np.float64):
            assert answers.astype(kind).tobytes() not in alice + bob + carol
        assert session.told["carol"].arrays == {}


def test_both_kinds_of_instance_are_dealt_and_no_size_repeats_another() -> None:
    network = scenario().network()
    hands = [_deal(network, qubits, 400) for qubits in (4, 6)]
    for _, vectors, answers in hands:
        assert 120 < answers.sum() < 280  # 8 standard deviations of a fair coin
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    assert (hands[0][2] != hands[1][2]).any()


def test_who_holds_the_vectors_is_the_scenarios_to_say() -> None:
    told = run_inline(scenario(sender="bob", receiver="alice", raw=[1]).run())
    assert told[0].directions["bob->alice"].qubits_sent == 160
    assert told[0].directions["alice->bob"].qubits_sent == 0
    assert len(told[0].outcomes["alice"].decisions) == 40


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        ({"qubits": [4, 4]}, "protocol.qubits.1: 4 given, expected each value once"),
        ({"qubits": []}, "protocol.qubits: [] given, expected at least 1 entry"),
        ({"qubits": [15]}, "protocol.qubits.0: 15 given, expected at most 14"),
        ({"qubits": list(range(2, 13))}, "at most 32 sessions, sizes times rivals are 44"),
        ({"qubits": [12], "trials": 1_000_000}, "protocol.trials: 1000000 given, expected at most 8192"),
        ({"task": "guess"}, 'protocol.task: "guess" given, expected'),
        ({"components": 3}, "protocol.components: unknown key"),
        ({"receiver": "dora"}, "protocol.receiver: 'dora' given, expected a node: alice, bob, carol"),
        ({"receiver": "alice"}, "expected another node than the sender"),
        ({"receiver": "carol"}, "protocol.receiver: 'carol' given, expected a node with a link to alice"),
    ],
)
def test_impossible_tasks_are_refused_in_one_line(protocol: dict[str, Any], told: str) -> None:
    assert told in refused(**protocol)


def test_a_hopeless_link_is_refused_with_the_number_of_attempts() -> None:
    link = {"fiber": "telecom-fiber", "length_km": 50}
    message = refused(link=link, qubits=[12])
    assert message.startswith("protocol.copies: 40 measured copies need about")
    assert "attempts" in message


def test_the_packaged_scenario_is_valid() -> None:
    sessions = load("subspace").run().sessions
    assert [each.name for each in sessions if each.role == "quantum"] == ["n4", "n6", "n8", "n10", "n12"]
    assert len({each.name for each in sessions}) == len(sessions)
