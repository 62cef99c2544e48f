"""Decoys among data: closed forms of error rates, timing and bits; false alarms, power, and what is refused."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ketwire.channels.copies import Copies
from ketwire.channels.line import Line
from ketwire.channels.messages import Answers, Arrivals, Packed
from ketwire.channels.parts import Noise
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import SessionResult
from ketwire.protocols import retries
from ketwire.protocols.decoys import DecoyParty, DecoySlice, Judged
from ketwire.protocols.evidence import Findings, at_least, at_most, clopper_pearson, hoeffding_radius
from ketwire.protocols.node import Loader
from ketwire.scenarios.kinds.decoys import error_rate
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, load, validate
from ketwire.scenarios.runs import table
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.schema.yamltext import parse
from tests.kit import Threads, rarely

BASE: dict[str, Any] = {
    "seed": 1,
    "nodes": {"alice": {}, "bob": {}},
    "links": [{"between": ["alice", "bob"], "fiber": "ideal"}],
    "protocol": {
        "kind": "decoys",
        "qubits": 2,
        "start": "alice",
        "input": {"random": "normal"},
        "copies": 400,
        "decoys": {"share": 0.5, "bases": "zx", "delta": 0.01},
        "layers": [{"at": "bob", "layer": "rotations", "angles": {"random": "angles"}}],
        "dense_state": None,
        "description": [],
        "sketch": False,
    },
}


def loaded(link: dict[str, Any] | None = None, seed: int = 1, decoys: Any = None, **protocol: Any) -> Loaded:
    data = copy.deepcopy(BASE)
    data["seed"] = seed
    data["links"][0].update(link or {})
    data["protocol"].update(protocol)
    data["protocol"]["decoys"].update(decoys or {})
    return validate(data, "test.yaml", "test", ".")


def outcome(scenario: Loaded) -> tuple[dict[str, Any], list[SessionResult]]:
    results = run_inline(scenario.run())
    return scenario.kind.summarise(scenario.scenario.protocol, results, Judge(scenario.network())).told(), results


def over_seeds(scenario: Loaded, runs: int) -> list[Judged]:
    """What Bob tells, seed by seed."""
    run = scenario.run()
    return [run_inline(replace(run, seed=seed))[0].outcomes["bob"] for seed in range(runs)]


def resend(share: float, basis: str = "random", **more: Any) -> dict[str, Any]:
    return {"eve": {"attack": "intercept-resend", "share": share, "basis": basis, **more}}


# ---------------------------------------------------------------- evidence


@pytest.mark.parametrize("trials", [1, 7, 100, 20_000, 10_000_000])
def test_tails_are_those_of_the_binomial_law(trials: int) -> None:
    rng = np.random.default_rng(trials)
    for p in (1e-7, 0.003, 0.1, 0.5, 0.97, *rng.random(5)):
        spread = math.sqrt(trials * p * (1 - p))
        for z in (-4, -1, 0, 1, 4):
            k = int(np.clip(round(trials * p + z * spread), 0, trials))
            assert at_least(k, trials, p) == pytest.approx(stats.binom.sf(k - 1, trials, p), rel=1e-6, abs=1e-13)
            assert at_most(k, trials, p) == pytest.approx(stats.binom.cdf(k, trials, p), rel=1e-6, abs=1e-13)


def test_tails_at_their_ends() -> None:
    assert at_least(0, 5, 0.0) == at_least(5, 5, 1.0) == at_most(5, 5, 0.3) == 1.0
    assert at_least(1, 5, 0.0) == at_least(6, 5, 0.5) == at_most(4, 5, 1.0) == 0.0


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (0, 50), (3, 50), (50, 50), (200, 10_000)])
def test_the_interval_is_that_of_beta_quantiles(successes: int, trials: int) -> None:
    delta = 0.05
    low, high = clopper_pearson(successes, trials, delta)
    expected_low = stats.beta.ppf(delta / 2, successes, trials - successes + 1) if successes else 0.0
    expected_high = stats.beta.ppf(1 - delta / 2, successes + 1, trials - successes) if successes < trials else 1.0
    assert low == pytest.approx(expected_low, abs=1e-9) and high == pytest.approx(expected_high, abs=1e-9)


def test_bounds_that_are_plain() -> None:
    assert clopper_pearson(0, 0, 0.1) == (0.0, 1.0) and hoeffding_radius(0, 0.1) == 1.0
    assert hoeffding_radius(200, 0.02) == pytest.approx(math.sqrt(math.log(100) / 400))


@pytest.mark.parametrize("failure", [0.0, 0.004, 0.1, 0.6])
@pytest.mark.parametrize("decoys", [1, 20, 300])
def test_a_false_alarm_is_no_likelier_than_promised(failure: float, decoys: int) -> None:
    """Exactly, over all counts that can come up; and the rule is not so careful that it never speaks."""
    for delta in (0.3, 0.01):
        alarms = [k for k in range(decoys + 1) if Findings(decoys, k).disturbed(failure, delta)]
        assert stats.binom.pmf(alarms, decoys, failure).sum() <= delta
        assert stats.binom.sf(0, decoys, failure) <= delta or decoys == 1 or alarms
        starved = [k for k in range(decoys + 1) if Findings(emitted=decoys, arrived=k).starved(failure, delta)]
        assert stats.binom.pmf(starved, decoys, failure).sum() <= delta
    assert Findings(decoys, decoys).disturbed(failure, 0.9)


# ---------------------------------------------------------------- what the decoys show


@pytest.mark.parametrize(
    ("bases", "basis", "rate"),
    [("zx", "random", 1 / 4), ("zxy", "random-xyz", 1 / 3), ("zx", "z", 1 / 4), ("zxy", "y", 1 / 3),
     ("zx", "y", 1 / 2)],
)
def test_the_error_rate_is_that_of_the_closed_form(bases: str, basis: str, rate: float) -> None:
    share, n = 0.3, 3
    told, results = outcome(loaded(resend(share, basis), qubits=n, copies=4000, decoys={"bases": bases}))
    mean = share * n * rate
    variance = share * (n * rate * (1 - rate) + (n * rate) ** 2) - mean**2  # qubits of a copy share their fate
    decoys = told["decoys"]
    assert decoys > 3000 and abs(told["error_rate"] * n - mean) <= 4 * math.sqrt(variance / decoys)
    fail = share * (1 - (1 - rate) ** n)
    assert abs(told["decoy_failures"] - decoys * fail) <= 4 * math.sqrt(decoys * fail * (1 - fail))
    assert told["decoy_failure_rate_low"] < fail < told["decoy_failure_rate_high"]
    assert abs(told["error_rate"] - mean / n) < told["error_rate_radius"]
    assert told["eve_detected"] and not told["excess_loss"]
    eve = results[0].eve["alice->bob"]
    emitted = results[0].totals.copies
    assert abs(eve["copies"] - emitted * share) <= 4 * math.sqrt(emitted * share * (1 - share))
    assert eve["bits"] == results[0].directions["alice->bob"].payload_bits


def test_without_her_and_without_noise_no_decoy_fails_and_data_alone_pass_the_layers() -> None:
    """Bob's rotations would spoil any decoy that went through them."""
    told, results = outcome(loaded({"fiber": "telecom-fiber", "length_km": 2.0}, copies=3000))
    assert told["decoys"] > 1000 and told["decoy_failures"] == 0 and not told["eve_detected"]
    exact = loaded().kind.exact(loaded().scenario.protocol, loaded().network(), loaded().network().loaders()).exact
    assert abs(told["estimate"] - exact) <= 4 * math.sqrt(exact * (1 - exact) / 3000)
    assert told["copies"] == 3000 and not told["excess_loss"] and results[0].eve == {}


@pytest.mark.parametrize(
    ("noise", "bases", "rate"),
    [
        (Noise("depolarizing", 0.08), "zx", 0.04),
        (Noise("dephasing", 0.1), "zx", 0.05),
        (Noise("dephasing", 0.1), "zxy", 0.2 / 3),
        (Noise("bit-flip", 0.1), "zx", 0.05),
        # |1> falls with gamma; the coherence of |+-> keeps sqrt(1 - gamma) of itself.
        (Noise("amplitude-damping", 0.2), "zx", (0.2 / 2 + (1 - math.sqrt(0.8)) / 2) / 2),
    ],
)
def test_the_links_own_noise_is_expected_and_found(noise: Noise, bases: str, rate: float) -> None:
    assert error_rate(Line(noise=(noise,)), bases) == pytest.approx(rate)
    link = {"noise": [{"kind": noise.kind, "probability": noise.probability}]}
    told, _ = outcome(loaded(link, copies=3000, qubits=2, decoys={"bases": bases}))
    fail = 1 - (1 - rate) ** 2
    decoys = told["decoys"]
    assert abs(told["decoy_failures"] - decoys * fail) <= 4 * math.sqrt(decoys * fail * (1 - fail))
    assert told["noise_error_rate"] == pytest.approx(rate) and not told["eve_detected"]


@pytest.mark.long
def test_false_alarms_over_many_seeds() -> None:
    """Noise alone: at most delta of the runs, within four standard errors, and some (the bound is used)."""
    runs, delta = 100, 0.2
    link = {"noise": [{"kind": "depolarizing", "probability": 0.1}]}
    told = over_seeds(loaded(link, copies=60, decoys={"delta": delta}), runs)
    assert 0 < sum(each.disturbed for each in told) <= runs * delta + 4 * math.sqrt(runs * delta * (1 - delta))


@pytest.mark.long
def test_she_is_found_as_often_as_the_closed_form_says() -> None:
    """Without noise one failure is enough: 1 - (1 - s (1 - (3/4)^n))^D, each run with its own D."""
    runs, share = 120, 0.02
    told = over_seeds(loaded(resend(share), copies=30), runs)
    power = np.array([1 - (1 - share * (1 - 0.75**2)) ** each.findings.decoys for each in told])
    found = sum(each.disturbed for each in told)
    assert 0.1 < power.mean() < 0.9
    assert abs(found - power.sum()) <= 4 * math.sqrt((power * (1 - power)).sum())


# ---------------------------------------------------------------- the beam splitter

GLASS = {"fiber": "telecom-fiber", "length_km": 4.0}


def test_who_takes_what_the_fiber_loses_is_not_there_for_the_parties() -> None:
    alone, first = outcome(loaded(GLASS, dense_state={"bits": [8]}))
    tapped, second = outcome(
        loaded({**GLASS, "eve": {"attack": "beam-splitter", "in_place_of_loss": True}}, dense_state={"bits": [8]})
    )
    assert [each.transcript_sha256 for each in first] == [each.transcript_sha256 for each in second]
    assert alone == tapped
    assert second[0].eve["alice->bob"]["whole_copies"] > 0 and second[1].eve["alice->bob"]["bits"] > 0


def test_who_takes_more_shows_as_loss_and_never_as_an_error() -> None:
    told, results = outcome(loaded({**GLASS, "eve": {"attack": "beam-splitter", "share": 0.3}}, copies=1000))
    assert told["excess_loss"] and not told["eve_detected"] and told["decoy_failures"] == 0
    assert "more copies were lost" in told["verdict"]
    assert results[0].eve["alice->bob"]["photons"] > 0


def test_the_fibers_own_loss_raises_no_alarm() -> None:
    told = over_seeds(loaded(GLASS, copies=50, decoys={"delta": 0.2}), 60)
    assert 0 < sum(each.starved for each in told) <= 60 * 0.2 + 4 * math.sqrt(60 * 0.16)


# ---------------------------------------------------------------- time and bits


def test_he_holds_until_she_announces_and_both_pay_for_every_message() -> None:
    """Over L/v: copies, how many came, the announcement, the outcomes, how many failed: five crossings."""
    link = {"fiber": "ideal", "length_km": 20.0, "emission_rate_hz": 1e6}
    told, results = outcome(loaded(link, qubits=3, copies=200, margin=4, decoys={"bases": "zxy"}))
    result = results[0]
    delay_ps = 100_000_000
    emission_ps = told["attempted_copies"] * 3 * 1_000_000
    assert result.clocks_ps == {"alice": emission_ps + 4 * delay_ps, "bob": emission_ps + 5 * delay_ps}
    decoys, arrived = told["decoys"], told["attempted_copies"]
    position_bits = math.ceil(math.log2(arrived))
    assert result.directions["alice->bob"].payload_bits == decoys * (3 * 2 + position_bits) + 2 * 32
    assert result.directions["bob->alice"].payload_bits == decoys * 3
    assert result.totals.control_bits == 32  # how many came; nothing can be lost, so nothing is heralded


# ---------------------------------------------------------------- runtimes, rounds, batches

RUNS: dict[str, Loaded] = {
    "lossy": loaded({**GLASS, **resend(0.3, "random-xyz", direction="both")}, decoys={"bases": "zxy", "share": 0.2}),
    "quiet": loaded(resend(0.1, "x"), qubits=1, copies=50, decoys={"share": 0.01}),
    "batches": loaded({**GLASS, "eve": {"attack": "beam-splitter", "share": 0.1}}, max_batch_octets=2048),
}


@pytest.mark.parametrize("name", rarely(RUNS, but=next(iter(RUNS))))
def test_inline_and_processes_give_one_transcript_and_one_result(name: str) -> None:
    run = RUNS[name].run()
    inline = run_inline(run)[0]
    for other in (Threads(run).conduct()[0], *([run_processes(run)[0]] if name == "lossy" else [])):
        assert other.transcript_sha256 == inline.transcript_sha256 and other.eve == inline.eve
        assert other.outcomes == inline.outcomes


def test_another_round_follows_where_too_few_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of two copies each: some bring nothing at all, and only the first one speaks of loss."""
    monkeypatch.setattr(retries, "planned", lambda missing, *_: (np.full(len(missing), 2), []))
    told, results = outcome(loaded({"fiber": "telecom-fiber", "length_km": 5.0}, qubits=3, copies=4))
    assert told["copies"] == 4 and told["attempted_copies"] > 4
    assert results[0].outcomes["alice"].findings.emitted == 2
    messages = results[0].directions["bob->alice"].messages
    rounds = told["attempted_copies"] // 2
    assert rounds < messages < 2 * rounds, "a round in which nothing came ends with saying so"


def test_without_a_decoy_nothing_is_claimed() -> None:
    told, _ = outcome(loaded(resend(1.0), copies=3, decoys={"share": 1e-6}))
    assert told["decoys"] == 0 and told["error_rate"] is None and not told["eve_detected"]
    assert "nothing is known" in told["verdict"]


def test_a_budget_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "planned", lambda missing, *_: (np.full(len(missing), 20), []))
    monkeypatch.setattr(retries.Retries, "came", lambda self, arrived: None)
    with pytest.raises(ScenarioError, match="budget_attempts: 500 given, but of 1000 emitted"):
        outcome(loaded(budget_attempts=500, copies=100))


# ---------------------------------------------------------------- every parameter matters

CHANGES: list[tuple[dict[str, Any] | None, dict[str, Any], dict[str, Any]]] = [
    (resend(0.31), {}, {}),
    (resend(0.3, "z"), {}, {}),
    (resend(0.3, "x"), {}, {}),
    (resend(0.3, "y"), {}, {}),
    (resend(0.3, "random-xyz"), {}, {}),
    (resend(0.3, direction="backward"), {}, {}),
    ({"eve": {"attack": "beam-splitter", "share": 0.3}}, {}, {}),
    ({"eve": {"attack": "beam-splitter", "share": 0.31}}, {}, {}),
    ({"eve": {"attack": "beam-splitter", "in_place_of_loss": True}}, {}, {}),
    (resend(0.3), {"share": 0.4}, {}),
    (resend(0.3), {"bases": "zxy"}, {}),
    (resend(0.3), {"delta": 0.5}, {}),
    (resend(0.3), {}, {"copies": 401}),
    (resend(0.3), {}, {"qubits": 3}),
    (resend(0.3), {}, {"max_batch_octets": 1024}),
    (resend(0.3), {}, {"input": None}),
]


def test_every_parameter_changes_a_result() -> None:
    seen = []
    for link, decoys, protocol in [(resend(0.3), {}, {}), *CHANGES]:
        told, results = outcome(loaded({**GLASS, **(link or {})}, decoys=decoys, **protocol))
        seen.append(repr((sorted(told.items(), key=str), results[0].eve, results[0].totals)))
    assert len(set(seen)) == len(seen)
    both = outcome(loaded({**GLASS, **resend(0.3, direction="both")}))[1]
    assert set(both[0].eve) == {"alice->bob", "bob->alice"}


# ---------------------------------------------------------------- the report


def test_the_packaged_run_says_what_eve_got() -> None:
    scenario = load("eavesdropper")
    result = launch(scenario, lambda run, *_: run_inline(run), Options(progress=False, check=True))
    text = table.table_text(result)
    intercepted = result.eve["decoys"]["alice->bob"].told()
    assert f"measured {intercepted['photons']:,} photons of {intercepted['copies']:,} of" in text
    assert "Eve is detected" in text and "dense-state-8-bit: read all 129 classical bits" in text
    assert result.rivals["dense-state-8-bit"].error < 0.01
    hidden = load("eavesdropper", ["links.0.eve={attack: beam-splitter, in_place_of_loss: true}"])
    text = table.table_text(launch(hidden, lambda run, *_: run_inline(run), Options(progress=False)))
    assert "no decoy shows an eavesdropper" in text and "holds" in text and "never seen" in text


@pytest.mark.parametrize("name", RUNS)
def test_a_resolved_scenario_with_her_runs_the_same(name: str) -> None:
    again = validate(parse(RUNS[name].resolved(), "again.yaml"), "again.yaml", "other", ".")
    first, second = RUNS[name].run(), again.run()
    assert (first.links, first.sessions) == (second.links, second.sessions)


def test_a_run_without_her_says_nothing_of_her() -> None:
    result = launch(load("two-layer-inference", ["protocol.copies=10", "protocol.epsilon=null", "protocol.delta=null"]),
                    lambda run, *_: run_inline(run), Options(progress=False))  # fmt: skip
    assert "eve" not in result.told() and table.intercepted(result) == []


# ---------------------------------------------------------------- refusals

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"link": resend(1.5)}, "links.0.eve.share: 1.5 given, expected a probability, 0 to 1"),
    ({"link": resend(0.1, "w")}, "links.0.eve.basis: "),
    ({"link": resend(0.1, direction="sideways")}, "links.0.eve.direction: "),
    ({"link": {"eve": {"attack": "clone"}}}, 'links.0.eve.attack: "clone" given, expected one of'),
    ({"link": {"eve": {"attack": "beam-splitter"}}}, "links.0.eve.share: null given, expected one of the two"),
    (
        {"link": {"eve": {"attack": "beam-splitter", "share": 0.1, "in_place_of_loss": True}}},
        "links.0.eve.share: 0.1 given, expected one of the two",
    ),
    ({"link": {"eve": {"attack": "beam-splitter", "share": 0.1, "basis": "z"}}}, "links.0.eve.basis: unknown key"),
    (
        {"link": {**GLASS, "transport": "teleport", **resend(0.1)}},
        'links.0.eve: "intercept-resend" given, expected none here: nothing of a register is in flight',
    ),
    (
        {"link": {**GLASS, "transport": "coded", **resend(0.1, direction="backward")}},
        "links.0.eve: .* expected none here: a code's loss",
    ),
    ({"decoys": {"share": 0}}, "protocol.decoys.share: 0 given"),
    ({"decoys": {"delta": 1}}, "protocol.decoys.delta: 1 given"),
    ({"decoys": {"bases": "xy"}}, "protocol.decoys.bases: "),
    (
        {"layers": [{"at": "alice", "layer": "hadamards"}]},
        r"protocol.layers: the register crosses 0 times \(alice\), expected one",
    ),
    (
        {"layers": [{"at": "bob", "layer": "hadamards"}, {"at": "alice", "layer": "hadamards"}]},
        "protocol.layers: the register crosses 2 times",
    ),
    (
        {"layers": [{"at": "bob", "layer": "contraction", "matrix": {"random": "normal"}}]},
        "protocol.layers.0.layer: 'contraction' given",
    ),
    ({"link": {**GLASS, "transport": "teleport"}}, "links.0.transport: 'teleport' given, expected 'direct'"),
    ({"link": {"fiber": "telecom-fiber", "length_km": 150.0}}, "protocol.copies: 800 measured copies need about"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_cannot_be_is_refused_with_its_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=f"test.yaml: {message}"):
        scenario = loaded(**changes)
        launch(scenario, lambda run, *_: run_inline(run), Options(progress=False))


@pytest.mark.parametrize(("party", "key"), [("alice", "t1_s"), ("bob", "t2_s")])
def test_memories_that_decay_are_refused(party: str, key: str) -> None:
    data = copy.deepcopy(BASE)
    data["nodes"][party] = {key: 2.0}
    with pytest.raises(ScenarioError, match=f"nodes.{party}.{key}: 2 given, expected none"):
        validate(data, "test.yaml", "test", ".").run()


# ---------------------------------------------------------------- peers that lie


def party(name: str) -> DecoyParty:
    run = loaded().run()
    return DecoyParty(run.sessions[0].slices[name], _nothing)


def _nothing(key: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"values": np.ones(source["shape"])}


def announced(positions: list[int], width: int = 2, length: int = 9, fill: int = 0) -> Packed:
    count = len(positions)
    codes = np.full(math.ceil(count * width / 8), fill, dtype=np.uint8)
    return Packed(count, width, 0.0, length, codes, np.array(positions, dtype=np.uint32))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Packed(1, 2, 0.0, 1, np.zeros(1, dtype=np.uint8)), "named decoys among"),
        (announced([1], length=8), "named decoys among 8 copies"),
        (announced([1], width=3), "at 3 bits"),
        (announced([3, 2]), "out of order"),
        (announced([2, 9]), "beyond 9"),
    ],
)
def test_an_announcement_that_cannot_be_is_refused(told: Packed, message: str) -> None:
    with pytest.raises(RemoteProtocolError, match=message):
        party("bob")._read(told, 9)


def test_a_basis_that_there_is_not_is_refused() -> None:
    run = loaded(decoys={"bases": "zxy"}).run()
    bob = DecoyParty(run.sessions[0].slices["bob"], _nothing)
    with pytest.raises(RemoteProtocolError, match="a basis that is none of 3"):
        bob._read(announced([1, 2], width=4, fill=0b11110000), 9)


@dataclass(frozen=True)
class LiarSlice(DecoySlice):
    """What a party lies about."""

    lie: str


class Liar(DecoyParty):
    """Says what its slice tells it to in place of what it should; for both roles."""

    Slice = LiarSlice

    def __init__(self, slice: LiarSlice, load: Loader) -> None:
        super().__init__(slice, load)
        self.lie = slice.lie

    async def run(self, node: Any) -> Any:
        lie = self.lie
        path = self._owned.path

        class Lying:
            def __getattr__(self, name: str) -> Any:
                return getattr(node, name)

            def send(self, peer: str, message: Any) -> Any:
                if node.name == path[0] and lie == "too few copies" and isinstance(message, Copies):
                    chosen = np.arange(len(message)) > 0
                    message = message.part(chosen)[0]
                if node.name == path[1] and lie == "too many came" and isinstance(message, Arrivals):
                    message = Arrivals(message.counts + 1)
                if node.name == path[1] and lie == "too few answers" and isinstance(message, Answers):
                    message = Answers(message.values[1:], message.bits_per_entry)
                if node.name == path[0] and lie == "more failed than were there" and isinstance(message, Answers):
                    message = Answers(message.values + 10**6, message.bits_per_entry)
                return node.send(peer, message)

        return await super().run(Lying())


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("too few copies", "were planned"),
        ("too many came", r"bob holds \[\d+\] copies of"),
        ("too few answers", "bob answered other than 2 bits for each decoy"),
        ("more failed than were there", "alice told of"),
    ],
)
def test_a_peer_that_lies_is_named(lie: str, message: str) -> None:
    run = loaded(copies=20).run()
    session = run.sessions[0]
    slices = {name: LiarSlice(**vars(own), lie=lie) for name, own in session.slices.items()}
    lying = replace(session, program=f"{__name__}:Liar", slices=slices)
    with pytest.raises(RemoteProtocolError, match=message):
        run_inline(replace(run, sessions=(lying,)))


def test_parties_that_tell_different_things_are_refused() -> None:
    scenario = loaded(copies=20)
    (result,) = run_inline(scenario.run())
    alice = result.outcomes["alice"]
    other = replace(alice, findings=replace(alice.findings, failed=alice.findings.failed + 1))
    result = replace(result, outcomes={**result.outcomes, "alice": other})
    with pytest.raises(RemoteProtocolError, match="tell of different decoys"):
        scenario.kind.summarise(scenario.scenario.protocol, [result], Judge(scenario.network()))
