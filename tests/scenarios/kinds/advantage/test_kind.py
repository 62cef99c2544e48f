"""Provable advantages on the wire: scores by their closed forms, costs to the qubit, and nobody's inputs told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Session
from ketwire.protocols.advantage import bounds
from ketwire.protocols.typed import told
from ketwire.scenarios import cli
from ketwire.scenarios.kinds.advantage.judging import cost_of
from ketwire.scenarios.kinds.advantage.models import AdvantageResult
from ketwire.scenarios.kinds.advantage.sessions import dealt, public_of
from ketwire.scenarios.load import Loaded, validate
from ketwire.scenarios.reports.intervals import half_width
from ketwire.scenarios.runs.launch import Options, launch
from tests.kit import Threads, rarely, recording

COPIES_HEAD = b"\xceket\x01\x03"
LINKS = (["alice", "bob"], ["alice", "carol"], ["carol", "bob"])


def scenario(link: dict[str, Any] | None = None, seed: int = 1, **protocol: Any) -> Loaded:
    said = {
        "seed": seed,
        "nodes": {"alice": {}, "bob": {}, "carol": {}},
        "links": [{"between": ends, "fiber": "ideal", "length_km": 1, **(link or {})} for ends in LINKS],
        "protocol": {"kind": "advantage", "task": "xeb", "qubits": 4, "instances": 60, **protocol},
    }
    return validate(said, "test.yaml", "test", ".")


def result(loaded: Loaded, **options: Any) -> AdvantageResult:
    found = launch(loaded, lambda run, *_: run_inline(run), Options(progress=False, **options))
    assert isinstance(found, AdvantageResult) and found.afterwards_failed == []
    return found


# ---------------------------------------------------------------- scores


WAYS: list[tuple[float, dict[str, Any]]] = [
    *((p, {"noise": [{"kind": "depolarizing", "probability": p}]}) for p in (0.02, 0.1)),
    *(
        (4 * (1 - F) / 3, {"transport": "teleport", "scheme": "given", "fidelity": F, "rate_hz": 1e6})
        for F in (0.99, 0.95, 0.85)
    ),
]
"""Depolarizing of each qubit, and the link that has it: noise in flight, or Werner pairs of a fidelity."""
POINTS = [
    (task, qubits, *way) for task in ("xeb", "hidden-matching", "fourier-sampling") for qubits in (3, 5, 7, 9)
    for way in WAYS
]  # fmt: skip


def off(task: str, qubits: int, p: float, link: dict[str, Any], instances: int) -> float:
    """How many standard errors the score is from its closed form."""
    loaded = scenario(link, task=task, qubits=qubits, instances=instances, **(
        {"grid": False} if task == "hidden-matching" else {"random_states": []}))  # fmt: skip
    found = result(loaded)
    assert found.score is not None and found.standard_error is not None
    expected = public_of(loaded.scenario.protocol.root, instances).made().expected(p)
    return abs(found.score - expected) / found.standard_error


@pytest.mark.parametrize(("task", "qubits", "p", "link"), POINTS[::11])
def test_scores_are_their_closed_forms(task: str, qubits: int, p: float, link: dict[str, Any]) -> None:
    assert off(task, qubits, p, link, 1000) < 4.6  # of six points, and of the long test's too: chance 1e-4


@pytest.mark.long
def test_scores_are_their_closed_forms_at_sixty_points() -> None:
    """Two-sided, Bonferroni at 10^-3: 4.3 standard errors at each."""
    assert len(POINTS) == 60
    worst = {point[:3]: off(*point, 4000) for point in POINTS}
    assert max(worst.values()) < 4.3, worst


@pytest.mark.parametrize("task", ["hidden-matching", "consumable"])
def test_matchings_are_always_right_without_noise(task: str) -> None:
    more = {"questions": 5} if task == "consumable" else {"copies": 2}
    found = result(scenario(task=task, qubits=6, instances=300, **more))
    assert found.score == found.right == 1.0
    assert found.standard_error == 2 / 300  # no wrong one among 300 does not mean that none ever is
    assert found.exact is None and result(scenario(task=task, qubits=6, **more), check=True).exact == 1.0


def test_a_score_is_that_of_the_instances_inputs_and_not_of_others() -> None:
    """Scored against another problem's inputs the outcomes are worth nothing."""
    loaded = scenario(qubits=6, instances=2000, random_states=[])
    run = loaded.run()
    outcomes = run_inline(run)[0].outcomes["bob"].outcomes
    task = public_of(loaded.scenario.protocol.root, 2000).made()
    for network, mean in ((loaded.network(), 63 / 65), (replace(loaded.network(), workload_seed=9), 0.0)):
        data = network.loaders()
        scores = task.judged(data["alice"], data["bob"], outcomes)
        assert abs(scores.mean() - mean) < 5 * scores.std() / math.sqrt(2000)


# ---------------------------------------------------------------- costs, bounds, claims


def test_costs_are_the_wires_until_the_copies_have_arrived() -> None:
    quiet = result(scenario(qubits=5, instances=50, random_states=[]))
    assert quiet.cost.whole == quiet.cost.qubits_with_input == quiet.cost.qubits_emitted == 5.0
    lossy = result(scenario({"fiber": "telecom-fiber", "length_km": 3}, qubits=5, instances=50, random_states=[]))
    bits = lossy.control_bits / 50
    assert lossy.cost.qubits_with_input == lossy.qubits_sent / 50 == 5 * lossy.attempted_copies / 50 > 5.0
    assert lossy.cost.whole == pytest.approx(lossy.cost.qubits_with_input + bits) and bits > 0
    pairs = {"transport": "teleport", "scheme": "double-click", "fiber": "telecom-fiber", "length_km": 10}
    sent = result(scenario(pairs, qubits=5, instances=50, random_states=[]))
    assert (sent.cost.ebits, sent.cost.control_bits, sent.cost.qubits_with_input) == (5.0, 10.0, 5.0)
    assert sent.cost.whole == 15.0 < sent.cost.qubits_emitted
    distilled = result(scenario({**pairs, "distill": {"rounds": 1}}, qubits=5, instances=50, random_states=[]))
    assert distilled.cost.ebits >= 10.0 and distilled.cost.whole == distilled.cost.ebits + distilled.cost.control_bits


@pytest.mark.parametrize("link", [
    {"fiber": "telecom-fiber", "length_km": 4},
    {"fiber": "telecom-fiber", "length_km": 2, "transport": "coded", "code": "[[4,2,2]]", "gate_s": 0.0},
], ids=["direct", "coded"])  # fmt: skip
@pytest.mark.parametrize("task", ["xeb", "hidden-matching", "fourier-sampling", "consumable", "fingerprint"])
def test_lost_copies_are_sent_again_until_all_are_measured(task: str, link: dict[str, Any]) -> None:
    more = {"consumable": {"questions": 3}, "fingerprint": {"copies": 3}}.get(task, {"copies": 2})
    found = result(scenario(link, task=task, instances=40, **more))
    assert found.copies == 40 * {"consumable": 3, "fingerprint": 6}.get(task, 2) < found.attempted_copies
    assert found.score is not None and found.score > 0.5


def test_a_claim_is_proved_where_all_that_was_sent_is_below_the_bound() -> None:
    proved = result(scenario(qubits=10, instances=400, random_states=[]))
    assert proved.claim == "proved" and proved.margin_bits == proved.bound.margin_bits
    assert proved.score is not None and proved.standard_error is not None and proved.bound.bits is not None
    assert proved.bound.at_score == proved.score - 5 * proved.standard_error
    assert proved.bound.bits == bounds.xeb_bits(10, proved.bound.at_score)
    assert proved.margin_bits == proved.bound.bits - 10.0 > 0
    assert proved.verdict.startswith("proved: an instance cost 10 qubits against ")
    pairs = {"transport": "teleport", "scheme": "given", "fidelity": 1.0, "rate_hz": 1e6}
    alone = result(scenario(pairs, qubits=9, instances=400, random_states=[]))
    assert alone.claim == "proved for qubits alone" and alone.margin_bits is not None and alone.margin_bits < 0
    assert "9 ebits and 18 bits, 27 in all (9 qubits alone)" in alone.verdict
    assert result(scenario(qubits=4)).claim == "not shown"


@pytest.mark.parametrize("task", ["fourier-sampling", "fingerprint", "consumable"])
def test_tasks_without_a_constant_show_nothing_and_say_so(task: str) -> None:
    found = result(scenario(task=task, **({"questions": 4} if task == "consumable" else {})))
    assert (found.claim, found.margin_bits, found.bound.bits) == ("not shown", None, None)
    assert found.bound.form and found.verdict.startswith("not shown: no explicit constant. ")


# ---------------------------------------------------------------- rivals


def test_rivals_run_on_the_first_instances_and_pay_their_bits() -> None:
    found = result(scenario(task="hidden-matching", qubits=6, instances=1200, subset=[10, 64]))
    grid, some, whole = (found.rivals[name] for name in ("grid", "subset-10-bit", "subset-64-bit"))
    assert (grid.score, grid.bits, grid.instances) == (1.0, 15_000, 1000)
    assert (whole.score, whole.bits) == (1.0, 64_000)
    assert some.bits == 10_000 and some.score is not None and some.standard_error is not None
    # No pair of ten random places is an edge with a chance of (1 - 1/63)^45, about: then it guesses.
    assert abs(some.score - (1 - (1 - 1 / 63) ** 45)) < 0.05 + 4 * some.standard_error


def test_shared_random_states_score_as_their_closed_form() -> None:
    found = result(scenario(qubits=4, instances=1000, random_states=[3, 7], seed=5))
    for bits in (3, 7):
        rival = found.rivals[f"random-states-{bits}-bit"]
        assert rival.bits == 1000 * bits and rival.score is not None and rival.standard_error is not None
        assert rival.expected_score == bounds.random_states_score(4, bits)
        # All instances share the states, whose own spread comes on top.
        assert abs(rival.score - rival.expected_score) < 6 * rival.standard_error


def test_rivals_of_fingerprints() -> None:
    spec = {"task": "fingerprint", "qubits": 6, "instances": 600, "copies": 12, "square": [12], "shared_hash": [12]}
    found = result(scenario(**spec), check=True)
    assert found.exact is not None and found.score is not None
    assert abs(found.score - float(found.exact)) < 0.02  # type: ignore[arg-type]
    square, hashed = found.rivals["square-12"], found.rivals["hash-12"]
    assert square.bits == 600 * 12 * 2 * (8 + 3) and hashed.bits == 600 * 12 * 2
    for rival in (square, hashed):
        assert rival.score is not None and rival.score > 0.98


# ---------------------------------------------------------------- privacy


def secrets_of(loaded: Loaded) -> dict[str, list[bytes]]:
    """What the owners drew, as octets in several forms: nobody else is to be told it."""
    task, data = public_of(loaded.scenario.protocol.root, 60).made(), loaded.network().loaders()
    found: dict[str, list[bytes]] = {}
    for party, inputs in (("alice", task.sender_inputs(data["alice"])), ("bob", task.receiver_inputs(data["bob"]))):
        key = inputs._key
        found[party] = [key, key.hex().encode()]
        for _, part in inputs.of(np.arange(60)):
            for array in part.__dict__.values():
                kinds = () if array.dtype == complex else (np.uint8, np.uint16, np.int32)
                forms = [array, *(array.astype(kind) for kind in kinds)]
                found[party] += [form.tobytes() for form in forms] + [form[0].tobytes() for form in forms]
                if array.dtype == np.uint8:
                    found[party] += [np.packbits(array).tobytes(), np.packbits(array, axis=1).tobytes()]
    return {party: [octets for octets in octets_of if len(octets) >= 12] for party, octets_of in found.items()}


@pytest.mark.parametrize("task", ["xeb", "hidden-matching", "fourier-sampling"])
def test_no_input_leaves_its_owner_in_a_classical_or_control_frame(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = scenario({"fiber": "telecom-fiber", "length_km": 2}, task=task)
    run = loaded.run()
    run = replace(run, sessions=run.sessions[:1])
    secrets = secrets_of(loaded)
    assert all(len(octets_of) >= 4 for octets_of in secrets.values())
    recorded = recording(monkeypatch)
    Threads(run).conduct()
    registers = [any(frame.startswith(COPIES_HEAD) for frame in frames) for _, frames in recorded]
    assert sum(registers) >= 2
    for (sender, frames), register in zip(recorded, registers, strict=True):
        whole = b"\0".join(frames)
        for party, octets_of in secrets.items():
            if not register or party == "bob":  # registers carry the amplitudes of Alice's, as a simulator must
                assert not any(octets in whole for octets in octets_of), (sender, party)


def octets_of(session: Session, party: str) -> bytes:
    slice = told(session.slices[party])
    return repr(slice.values).encode() + b"".join(array.tobytes() for array in slice.arrays.values())


def test_slices_of_fingerprints_have_the_words_of_their_party_alone() -> None:
    loaded = scenario(task="fingerprint", qubits=7, shared_hash=[2])
    first, second, equal = dealt(loaded.scenario.protocol.root, loaded.network())
    for session in loaded.run().sessions:
        alice, bob, carol = (octets_of(session, party) for party in ("alice", "bob", "carol"))
        assert first.tobytes() in alice and second.tobytes() in bob
        assert second.tobytes() not in alice + carol and first.tobytes() not in bob + carol
        assert equal.tobytes() not in alice + bob + carol


def test_slices_of_one_way_tasks_have_no_input_at_all() -> None:
    loaded = scenario(task="hidden-matching", subset=[4])
    for session in loaded.run().sessions:
        for party in ("alice", "bob", "carol"):
            assert told(session.slices[party]).arrays == {}
            said = octets_of(session, party)
            assert not any(secret in said for each in secrets_of(loaded).values() for secret in each)


# ---------------------------------------------------------------- runtimes, and parties started by hand


@pytest.mark.parametrize("task", rarely(["xeb", "fingerprint"], but="fingerprint"))
def test_inline_and_processes_agree(task: str) -> None:
    more = {"random_states": [4]} if task == "xeb" else {"square": [2], "shared_hash": [2], "copies": 3}
    run = scenario({"fiber": "telecom-fiber", "length_km": 2}, task=task, **more).run()
    for inline, apart in zip(run_inline(run), run_processes(run), strict=True):
        assert inline.transcript_sha256 == apart.transcript_sha256
        for party, outcome in inline.outcomes.items():
            for name, value in vars(outcome).items():
                assert np.array_equal(value, getattr(apart.outcomes[party], name))


def test_parties_started_by_hand_are_scored_with_both_data_folders_alone() -> None:
    loaded = scenario()
    whole = result(loaded)
    for data in ({}, {"alice": "."}, {"bob": "."}):
        found = result(loaded, by_hand=True, data=data)
        assert (found.score, found.estimate, found.claim) == (None, None, "not scored")
        assert found.cost == whole.cost and found.bound.bits is None and found.margin_bits is None
        assert found.verdict.startswith("not scored: ")
    found = result(loaded, by_hand=True, data={"alice": ".", "bob": "."})
    assert found.told() == {**whole.told(), "wall_s": found.wall_s}


@pytest.mark.parametrize(("given", "expected"), [
    ("dave=.", "--data: 'dave=.' given, expected NAME=DIR, once for a node: alice, bob"),
    ("alice", "--data: 'alice' given, expected NAME=DIR, once for a node: alice, bob"),
    ("alice=nowhere", "--data: nowhere: no such folder, expected that of alice"),
])  # fmt: skip
def test_a_data_folder_is_that_of_a_node(given: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["coordinator", "xeb-12-qubits", "--keys", "none", "--bind", "127.0.0.1:0", "--data", given]
    assert cli.execute(argv) == 2
    assert capsys.readouterr().err == f"ketwire: {expected}\n"


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(("protocol", "expected"), [
    ({"qubits": 15}, "protocol.qubits: 15 given, expected at most 14"),
    ({"instances": 1}, "protocol.instances: 1 given, expected"),
    ({"random_states": [15]}, "protocol.random_states.0: 15 given, expected"),
    ({"random_states": [3, 3]}, "protocol.random_states.1: 3 given, expected each value once"),
    ({"receiver": "dave"}, "protocol.receiver: 'dave' given, expected a node: alice, bob, carol"),
    ({"receiver": "alice"}, "protocol.receiver: 'alice' given, expected another node than the sender"),
    ({"task": "hidden-matching", "subset": [17]}, "protocol.subset.0: 17 given, expected at most the 16 bits"),
    ({"task": "consumable"}, "protocol.questions: missing required key, expected"),
    ({"task": "consumable", "questions": 2, "copies": 2}, "protocol.copies: 2 given, expected"),
    ({"task": "fingerprint", "second": "alice"}, "protocol.second: 'alice' given, expected another node than the fir"),
    ({"task": "fingerprint", "referee": "bob"}, "protocol.referee: 'bob' given, expected another node than the seco"),
    ({"task": "teleportation"}, "protocol.task: \"teleportation\" given, expected one of"),
])  # fmt: skip
def test_bad_input_is_one_line(protocol: dict[str, Any], expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(**protocol).run()
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_hopeless_distances_and_referees_that_would_err_are_refused() -> None:
    with pytest.raises(ScenarioError, match=r"protocol\.instances: 60 measured copies need about .* teleport"):
        loaded = scenario({"fiber": "telecom-fiber", "length_km": 60}, qubits=8)
        loaded.check_foreseen(loaded.run())
    said = scenario(task="fingerprint").scenario.model_dump(mode="json")
    said["nodes"]["carol"] = {"t2_s": 1.0}
    with pytest.raises(ScenarioError, match=r"protocol\.referee: 'carol' given, a node with hardware or a memory"):
        validate(said, "test.yaml", "test", ".").run()


def test_an_instance_costs_what_all_of_them_do_over_their_number() -> None:
    loaded = scenario(qubits=3, instances=10, random_states=[])
    [found] = run_inline(loaded.run())
    assert cost_of(found, 10).virtual_time_ps == found.virtual_time_ps / 10


def test_chains_of_repeaters_carry_registers_and_are_paid_hop_by_hop() -> None:
    pairs = {"transport": "teleport", "scheme": "given", "rate_hz": 1e6, "fidelity": 0.99}
    hop = {"fiber": "ideal", **pairs, "length_km": 5}
    said = {
        "seed": 3,
        "nodes": {"alice": {}, "middle": {}, "bob": {}},
        "links": [
            {"between": ["alice", "middle"], **hop}, {"between": ["middle", "bob"], **hop},
            {"between": ["alice", "bob"], "fiber": "ideal", "transport": "teleport", "via": ["middle"]},
        ],
        "protocol": {"kind": "advantage", "task": "hidden-matching", "qubits": 4, "instances": 300},
    }  # fmt: skip
    found = result(validate(said, "test.yaml", "test", "."))
    assert found.cost.ebits == 2 * 4 and found.cost.control_bits >= 2 * 4
    assert found.cost.whole == pytest.approx(found.cost.ebits + found.cost.control_bits)
    assert found.score is not None and 0.8 < found.score < 1.0  # two pairs of 0.99 make one of about 0.98


def test_intervals_of_scores_are_their_standard_errors() -> None:
    found = result(scenario(qubits=5))
    assert found.standard_error is not None and half_width(found.told()) == 2 * found.standard_error
