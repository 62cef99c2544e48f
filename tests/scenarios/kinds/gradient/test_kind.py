"""Gradients over the network: exact ones against the dense reference, honest statistics, costs as the theory counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ketwire.channels.messages import Answers
from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.party import PartyNode
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import SessionResult
from ketwire.protocols.gradient.features import Route, refuse_large
from ketwire.protocols.gradient.shifts import share_outcomes
from ketwire.quantum import layers
from ketwire.quantum.circuits import Circuit
from ketwire.quantum.gradients.estimation import Held, Promise
from ketwire.quantum.gradients.estimators import NAMES, Commuting, Direct
from ketwire.quantum.gradients.features import blocks_of, contributions, phi
from ketwire.quantum.gradients.frozen import frozen
from ketwire.quantum.gradients.grouped import Grouped
from ketwire.quantum.gradients.shadow_tomography import ShadowTomography
from ketwire.quantum.gradients.shadows import ClassicalShadows
from ketwire.quantum.segments import Segment
from ketwire.scenarios.kinds.gradient.spec import GradientSpec
from ketwire.scenarios.kinds.interface import Judge
from ketwire.scenarios.load import Loaded, validate
from ketwire.scenarios.runs.results import Counted, run_result

Data = dict[str, Any]
IDEAL = {"fiber": "ideal"}
LOSSY = {"fiber": "telecom-fiber", "length_km": 0.3}
TELEPORT = {**LOSSY, "transport": "teleport", "scheme": "given", "rate_hz": 1e6, "fidelity": 1.0, "memory_slots": 4}
CODED = {**LOSSY, "transport": "coded", "code": "[[4,2,2]]"}


def rotations(at: str, **of: Any) -> Data:
    return {"at": at, "layer": "rotations", "angles": {"random": "angles"}, **of}


def contraction(at: str, qubits: int, seed: int = 1) -> Data:
    matrix = np.random.default_rng(seed).normal(size=(1 << qubits, 1 << qubits))
    return {"at": at, "layer": "contraction", "matrix": {"values": (matrix / np.linalg.norm(matrix, 2)).tolist()}}


def scenario(
    layers: Sequence[Data] | str, links: str = "ab", link: Data = IDEAL, start: str = "b", **protocol: Any
) -> Loaded:
    """A gradient scenario. links: parties in pairs, "abbc"; a string of layers: one of rotations for each owner."""
    listed = [rotations(owner) for owner in layers] if isinstance(layers, str) else list(layers)
    given = {
        "kind": "gradient",
        "qubits": 2,
        "start": start,
        "input": {"random": "normal"},
        "layers": listed,
        "estimators": ["exact"],
        "dense_state": None,
    }
    if "copies" not in protocol:
        given |= {"epsilon": 0.1, "delta": 0.1}
    data: Data = {
        "seed": 5,
        "nodes": {name: {} for name in dict.fromkeys(links)},
        "links": [{"between": list(links[i : i + 2]), **link} for i in range(0, len(links), 2)],
        "protocol": {**given, **protocol},
    }
    return validate(data, "test", "test", ".")


def outcome(loaded: Loaded, results: Sequence[SessionResult] | None = None, check: bool = True) -> Data:
    """The result object, as `ketwire run --json [--check]` prints it."""
    network, spec = loaded.network(), loaded.scenario.protocol
    results = run_inline(loaded.run()) if results is None else results
    summary = loaded.kind.summarise(spec, results, Judge(network))
    exact = [loaded.kind.exact(spec, network, network.loaders())] if check else []
    counted = Counted.of({"scenario": "test", "seed": 5, "protocol": "gradient"}, results, 0.0)
    result = run_result(loaded.kind.Result, counted, summary, exact)
    compared = loaded.kind.compared(spec, summary, result)
    return run_result(loaded.kind.Result, counted, compared, exact).told()


# ---------------------------------------------------------------- exact


CIRCUITS = [
    ("ab", "baba", "b"),
    ("ab", "baba", "a"),
    ("ab", "b", "b"),
    ("abbccd", "abcdcba", "a"),
    ("abbcca", "abcabc", "a"),
    ("abbcca", "cba", "b"),
]


@pytest.mark.parametrize(("links", "owners", "start"), CIRCUITS)
def test_the_exact_estimator_finds_the_exact_gradient(links: str, owners: str, start: str) -> None:
    result = outcome(scenario(owners, links, start=start, dense_state={"bits": [64]}))
    assert result["parameters"] == len(result["exact"]) == 4 * len(owners)
    assert result["error"] < 1e-12 and result["rivals"]["dense-state-64-bit"]["error"] < 1e-12


@pytest.mark.parametrize("link", [LOSSY, TELEPORT, CODED], ids=["direct", "teleport", "coded"])
@pytest.mark.parametrize("window", [None, 3])
def test_so_it_does_over_every_transport(link: Data, window: int | None) -> None:
    estimators = [{"name": "exact", "copies": 7}]
    result = outcome(scenario("baba", link=link, estimators=estimators, window=window))
    assert result["error"] < 1e-12
    assert result["estimators"]["exact"]["copies_per_state"] == dict.fromkeys("0123", 7)


def test_so_it_does_over_a_chain_of_repeaters() -> None:
    loaded = scenario([rotations(owner, axes=["x"]) for owner in "ba"])
    data = loaded.scenario.model_dump(mode="json", exclude_unset=True)
    hop = {**TELEPORT, "memory_slots": 2}
    ends = {"fiber": "telecom-fiber", "transport": "teleport", "via": ["r"]}
    data["nodes"]["r"] = {}
    data["links"] = [{"between": pair, **hop} for pair in (["a", "r"], ["r", "b"])] + [{"between": ["a", "b"], **ends}]
    data["protocol"]["estimators"] = ["exact", {"name": "parameter-shift", "copies": 5}]
    result = outcome(validate(data, "test", "test", "."))
    assert result["error"] < 1e-12 and result["estimators"]["parameter-shift"]["ebits"] == 2 * 2 * 5 * 2 * 2 * 2


MIXED = [
    rotations("b", axes=["x", "y"], sublayers=2, entangle="cnot-chain"),
    contraction("b", 2),
    rotations("a", trainable=False),
    {"at": "a", "layer": "phases", "values": {"random": "angles"}},
    rotations("a", axes=["z"], entangle="none"),
    {"at": "a", "layer": "householder", "vector": {"random": "normal"}},
    rotations("b"),
    contraction("a", 2, 2),
    {"at": "a", "layer": "hadamards"},
    rotations("a", sublayers=2),
    {"at": "b", "layer": "signs", "signs": {"random": "signs"}},
]


@pytest.mark.parametrize("link", [IDEAL, LOSSY], ids=["ideal", "lossy"])
def test_contractions_stay_coherent_and_what_is_frozen_is_not_measured(link: Data) -> None:
    """The rival multiplies by M and its adjoint, and knows no flag and no ancilla."""
    loaded = scenario(MIXED, link=link, dense_state={"bits": [64, 8]})
    result = outcome(loaded)
    assert result["parameters"] == 8 + 2 + 4 + 8
    assert result["error"] < 1e-12 and result["rivals"]["dense-state-64-bit"]["error"] < 1e-12
    assert 1e-6 < result["rivals"]["dense-state-8-bit"]["error"] < 0.1
    if link is IDEAL:
        # Path b a b a b; states at visits 0 to 3, each of 2 qubits, 2 flags and, from its visit on, the ancilla.
        assert result["qubits_sent"] == sum(4 * visit + 2 * (4 - visit) * 5 for visit in range(4))


def test_only_what_may_move_is_derived() -> None:
    everything, last = (outcome(scenario([rotations("b", trainable=moves), rotations("a")])) for moves in (True, False))
    assert last["parameters"] == 4 and last["estimate"] == pytest.approx(everything["estimate"][4:], abs=1e-14)
    assert last["qubits_sent"] < everything["qubits_sent"]


def test_freezing_keeps_the_unitary_and_the_other_derivatives() -> None:
    rng = np.random.default_rng(2)
    circuit = layers.hardware_efficient(3, 2) + layers.couplings(3, "zx")
    circuit = circuit + layers.diagonal_phases(rng.normal(size=8), True)
    whole = Segment(circuit, rng.uniform(0, 7, circuit.parameter_count))
    moves = rng.random(circuit.parameter_count) < 0.5
    part = frozen(whole, moves)
    states = layers.haar_state(3, rng, 2)
    np.testing.assert_allclose(part.apply(states), whole.apply(states), atol=1e-12)
    made = phi(states, whole, [])
    np.testing.assert_allclose(contributions(part, made), contributions(whole, made)[:, moves], atol=1e-12)
    with pytest.raises(ValueError, match=r"^moves: shape"):
        frozen(whole, moves[1:])
    torn = Segment(layers.diagonal_phases(np.ones(4)), np.ones(4))
    with pytest.raises(ValueError, match="expected all or none"):
        frozen(torn, [True, False, True, True])
    np.testing.assert_allclose(frozen(torn, [False] * 4).apply(states[:, :4]), torn.apply(states[:, :4]), atol=1e-12)


# ---------------------------------------------------------------- what it costs


@pytest.mark.parametrize("L", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 3])
def test_qubits_are_those_of_the_theory(L: int, n: int) -> None:
    """One copy of every |Phi>: (p-1) n + 2 (2L-p)(n+1) qubits for the unitary at p, in all L (2L-1)(3n+2)."""
    loaded = scenario("ba" * L, qubits=n, dense_state={"bits": [64]})
    result = outcome(loaded)
    assert result["qubits_sent"] == result["qubits_delivered"] == L * (2 * L - 1) * (3 * n + 2)
    assert result["payload_bits"] == result["control_bits"] == 0
    for p in range(1, 2 * L + 1):
        assert sum(Route(("b", "a") * L, p - 1, n).sizes) == (p - 1) * n + 2 * (2 * L - p) * (n + 1)
    assert result["rivals"]["dense-state-64-bit"]["payload_bits"] == 2 * (2 * L - 1) * 2 * 2**n * 64


def test_parameter_shift_counts_its_runs_and_tells_their_owners() -> None:
    """Three parties: what c counts reaches a by way of b, and passes as bits of its runs alone."""
    loaded = scenario("abc", "abbc", start="a", copies=100, estimators=["parameter-shift"])
    result = outcome(loaded)
    told = result["estimators"]["parameter-shift"]
    assert told["copies"] == 2 * 12 * 100 and result["qubits_sent"] == 24 * 100 * 2 * 2
    assert result["payload_bits"] == 7 * 8 * (2 + 1)  # runs of a and b over one link, of a alone over the other
    assert result["error"] < 0.25


# ---------------------------------------------------------------- promises


ESTIMATORS = [
    "direct",
    "commuting",
    "random-coordinate",
    {"name": "random-coordinate", "unit": "parameter"},
    "classical-shadows",
    "tomography",
    "parameter-shift",
]


@pytest.mark.parametrize("link", [IDEAL, LOSSY], ids=["ideal", "lossy"])
def test_every_estimator_keeps_its_promise(link: Data) -> None:
    result = outcome(scenario("baba", link=link, epsilon=0.12, estimators=ESTIMATORS))
    assert result["verdict"].count("kept by all") == 1
    for told in result["estimators"].values():
        assert told["promise_kept"] and 0 < told["error"] < 0.12
    for name, told in result["estimators"].items():
        assert told["copies_used"] == told["copies"], name
        assert (told["attempted_copies"] == told["copies"]) == (link is IDEAL)


def test_shadow_tomography_keeps_its_promise_and_stops_early() -> None:
    loaded = scenario("ba", epsilon=0.45, estimators=["shadow-tomography"], budget_attempts=1e9)
    told = outcome(loaded)["estimators"]["shadow-tomography"]
    assert told["promise_kept"] and told["copies_used"] < told["copies"] / 10


def test_the_error_falls_with_the_root_of_the_copies() -> None:
    def spread(copies: int) -> float:
        found = [
            outcome(scenario("ba", copies=copies, estimators=["commuting"], input={"values": [1, seed, 2, 3]}))
            for seed in range(1, 6)
        ]
        return math.sqrt(np.mean([np.square(np.subtract(each["estimate"], each["exact"])).mean() for each in found]))

    few, many = spread(80), spread(80 * 64)
    assert 4 < few / many < 16


def test_blocks_of_one_s_own_choice_are_measured_together() -> None:
    alone = [[number] for number in range(8)]
    estimators = [{"name": "commuting", "blocks": blocks} for blocks in (alone, [[1, 0], [2], [3], [6, 7], [5, 4]])]
    result = outcome(scenario("ba", estimators=["commuting", *estimators, "direct"]))
    natural, single, chosen, direct = result["estimators"].values()
    assert single["copies"] == direct["copies"] == 2 * natural["copies"]
    assert 4 * chosen["copies"] == 5 * natural["copies"]
    assert all(each["promise_kept"] for each in (natural, single, chosen, direct))


def test_natural_groups_are_the_commuting_estimator() -> None:
    rng = np.random.default_rng(4)
    circuit = layers.hardware_efficient(3, 2)
    segment = Segment(circuit, rng.uniform(0, 7, circuit.parameter_count))
    held, blocks = Held.pure(phi(layers.haar_state(3, rng), segment, []), 4000), blocks_of(circuit)
    grouped, promise = Grouped(tuple(block.slots for block in blocks)), Promise(0.1, 0.1, 12)
    assert grouped.copies(blocks, promise) == Commuting().copies(blocks, promise)
    found, usual = (tool.estimate(held, segment, promise, np.random.default_rng(1)) for tool in (grouped, Commuting()))
    np.testing.assert_array_equal(found.values, usual.values)
    with pytest.raises(ValueError, match="expected each of the parameters"):
        Grouped(((0, 1),)).estimate(held, segment, promise, rng)
    torn = (tuple(range(12)),)
    with pytest.raises(ValueError, match="parameters 0 and 3 together given"):
        Grouped(torn).estimate(held, segment, promise, rng)


# ---------------------------------------------------------------- noise


def noisy_mean(angles: np.ndarray, p: float) -> np.ndarray:
    """<O_i> for B's two rotations of one qubit, whose |Phi> crosses twice under depolarizing, by density matrices."""
    one, X, Y, Z = np.eye(2), np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])

    def turn(P: np.ndarray, angle: float) -> np.ndarray:
        return np.cos(angle / 2) * one - 1j * np.sin(angle / 2) * P

    def crossed(rho: np.ndarray) -> np.ndarray:
        for place in (0, 1):
            kraus = [np.kron(P, one) if place == 0 else np.kron(one, P) for P in (X, Y, Z)]
            rho = (1 - 3 * p / 4) * rho + p / 4 * sum(P @ rho @ P.conj().T for P in kraus)
        return rho

    def under(rho: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(matrix @ rho @ matrix.conj().T)

    ry, rz, ay, az = turn(Y, angles[0]), turn(Z, angles[1]), turn(Y, angles[2]), turn(Z, angles[3])
    U, V = rz @ ry, np.kron(one, az @ ay)
    plus = np.full((2, 2), 0.5)
    rho = np.kron(plus, np.diag([1.0, 0.0]))
    P0, P1 = np.diag([1, 0]), np.diag([0, 1])
    rho = crossed(under(rho, np.kron(P0, one) + np.kron(P1, U)))
    rho = under(under(under(rho, V), np.kron(P0, one) + np.kron(P1, Z)), V.conj().T)
    rho = crossed(rho)
    found = []
    for change in (rz @ (-0.5j * Y) @ ry, -0.5j * Z @ rz @ ry):
        half = np.kron(np.array([[0, 0], [1, 0]]), change)
        found.append(np.trace(rho @ (half + half.conj().T)).real)
    return np.array(found)


def test_under_noise_the_mean_is_that_of_density_matrices_and_the_bias_is_shown() -> None:
    angles = np.array([0.7, 1.9, 2.2, 0.4])
    own = [
        rotations("b", entangle="none", angles={"values": angles[:2].tolist()}),
        rotations("a", entangle="none", angles={"values": angles[2:].tolist()}, trainable=False),
    ]
    noise = {**LOSSY, "noise": [{"kind": "depolarizing", "probability": 0.2}]}
    estimators = ["commuting", {"name": "exact", "copies": 40_000}]
    result = outcome(scenario(own, link=noise, qubits=1, input=None, estimators=estimators))
    mean, ideal = noisy_mean(angles, 0.2), noisy_mean(angles, 0.0)
    np.testing.assert_allclose(result["exact"], ideal, atol=1e-12)
    np.testing.assert_allclose(result["estimators"]["exact"]["estimate"], mean, atol=5 * 0.5 / 200)
    assert np.abs(np.subtract(result["estimate"], mean)).max() < 0.1  # its own mean, as promised
    assert result["noisy"] and result["bias"] == pytest.approx(np.abs(mean - ideal).max(), abs=0.0125)
    assert result["estimators"]["commuting"]["promise_kept"] is None and "give or take 0.00" in result["verdict"]


def test_a_memory_that_decays_is_noise_too() -> None:
    loaded = scenario("ba", link=TELEPORT, copies=300, estimators=["commuting", "exact"])
    data = loaded.scenario.model_dump(mode="json", exclude_unset=True)
    data["nodes"]["a"] = {"t1_s": 1e-5, "t2_s": 1e-5}
    result = outcome(validate(data, "test", "test", "."))
    assert result["noisy"] and result["estimators"]["exact"]["copies_per_state"]["0"] == 1000
    assert result["bias"] > 1e-3 and result["error"] < 0.5


# ---------------------------------------------------------------- the same everywhere


@pytest.mark.long
@pytest.mark.parametrize(
    ("links", "owners", "link"),
    [pytest.param("ab", "baba", LOSSY, marks=pytest.mark.long), ("abbc", "abc", TELEPORT)],
)
def test_inline_and_processes_give_one_transcript(links: str, owners: str, link: Data) -> None:
    estimators = ["exact", "commuting", "direct", {"name": "parameter-shift", "copies": 20}]
    loaded = scenario(owners, links, link, start=owners[0], copies=50, estimators=estimators, dense_state={"bits": [8]})
    run = loaded.run()
    inline, apart = run_inline(run), run_processes(run)
    assert [each.transcript_sha256 for each in apart] == [each.transcript_sha256 for each in inline]
    first, second = (outcome(loaded, results, check=False) for results in (inline, apart))
    assert first == second and first["error"] is not None  # against the exact session


# ---------------------------------------------------------------- refusals


REFUSED: list[tuple[Data, str]] = [
    ({"estimators": ["foo"]}, r'protocol.estimators.0.name: "foo" given, expected one of .*commuting'),
    ({"estimators": [{"name": "direct", "noise": 1}]}, r"protocol.estimators.0.noise: unknown key"),
    ({"epsilon": 0}, r"protocol.epsilon: 0 given, expected above 0"),
    ({"epsilon": 0.1, "delta": 0.1, "copies": 5}, r"protocol.copies: 5 given, expected either epsilon and delta"),
    ({"copies": 5, "estimators": ["shadow-tomography"]}, r"protocol.copies: 5 given, expected epsilon and delta"),
    ({"qubits": 8, "estimators": ["tomography"]}, r'estimators.0.name: "tomography" given, .* at most 7'),
    ({"qubits": 8, "estimators": ["direct", "shadow-tomography"]}, r'estimators.1.name: "shadow-tomography" .* 7'),
    ({"layers": [{"at": "b", "layer": "hadamards"}]}, r"protocol.layers: no trainable angles given"),
    ({"layers": [rotations("b", trainable=False)]}, r"protocol.layers: no trainable angles given"),
    ({"layers": [rotations("z")]}, r"protocol.layers.0.at: 'z' given, expected a node"),
    (
        {"estimators": [{"name": "commuting", "blocks": [[0, 1], [2]]}]},
        r"estimators.0.blocks: .* given, expected each of the parameters 0 to 15 once",
    ),
    (
        {"estimators": [{"name": "commuting", "blocks": [[0, 2, 1], *([k] for k in range(3, 16))]}]},
        r"estimators.0.blocks.0: parameters 0 and 2 together given, expected parameters that share a frame",
    ),
    (
        {"estimators": [{"name": "commuting", "blocks": [[3, 4], *([k] for k in range(16) if k not in (3, 4))]}]},
        r"estimators.0.blocks.0: parameters 3 and 4 together given",
    ),
    ({"representation": "density"}, r"protocol.representation: \"density\" given, expected 'trajectories'"),
    ({"epsilon": 0.001}, r"protocol.copies: direct: .* need about .* attempts"),
    ({"qubits": 25, "layers": [rotations("b"), contraction("a", 1)]},
     r"protocol.qubits: 25 given, expected at most 24: flag qubits .1. and the ancilla of .Phi> go with it"),
    ({"qubits": 26, "layers": [rotations("b")]}, r"protocol.qubits: 26 given, expected at most 25: flag qubits .0."),
]


@pytest.mark.parametrize(("change", "told"), REFUSED)
def test_what_cannot_work_is_refused_in_one_line(change: Data, told: str) -> None:
    protocol = {"layers": "baba", "link": LOSSY, "estimators": ["direct"], **change}
    with pytest.raises(ScenarioError, match=told) as refused:
        loaded = scenario(**protocol)
        loaded.check_foreseen(loaded.run())
    assert "\n" not in str(refused.value)


def test_all_states_together_must_fit_the_budget() -> None:
    loaded = scenario("bababa", copies=1000, estimators=["direct"], budget_attempts=3000)
    with pytest.raises(ScenarioError, match=r"budget_attempts: 3.0e\+03 given, but direct needs about 6.0e\+03 "):
        loaded.check_foreseen(loaded.run())


def test_more_parameters_than_copies_is_one_line() -> None:
    """Seen before anything runs, with explicit blocks too, and groups of shadows."""
    loaded = scenario("ba", copies=3, estimators=["direct"])
    with pytest.raises(ScenarioError, match=r"^test: protocol.copies: 3 given, expected 4 or more for"):
        loaded.check_foreseen(loaded.run())
    alone = {"name": "commuting", "blocks": [[number] for number in range(8)]}
    for estimator, least in ((alone, 4), ({"name": "classical-shadows", "copies": 3}, 5)):
        promise = {"epsilon": 0.1, "delta": 0.1} if least == 5 else {"copies": 3}
        loaded = scenario("ba", **promise, estimators=[estimator])
        key = "protocol.estimators.0.copies" if least == 5 else "protocol.copies"
        with pytest.raises(ScenarioError, match=rf"^test: {key}: 3 given, expected {least} or more for estimator"):
            loaded.check_foreseen(loaded.run())


def test_editors_know_names_and_settings() -> None:
    entries = GradientSpec.model_json_schema()["properties"]["estimators"]["items"]["anyOf"]
    assert entries[0]["enum"] == list(NAMES) and len(entries[1]["oneOf"]) == len(NAMES)


@pytest.mark.parametrize("values", [[1, 2, 3], [1, 9], [-1, 1]])
def test_outcomes_that_no_run_can_have_are_the_teller_s_fault(values: list[int]) -> None:
    """Two runs of 5 copies each were planned."""
    asked = share_outcomes(PartyNode("a", b"k" * 32, {}), "ab", {0: np.zeros((2, 1), dtype=np.int64)}, {0: 5})
    asked.send(None)
    with pytest.raises(RemoteProtocolError, match="b told other outcomes than copies of each run"):
        asked.send(Answers(np.array(values), 3))


def test_the_owner_refuses_a_unitary_that_a_hypothesis_is_too_large_for() -> None:
    wide = Segment(Circuit(8, ()))
    with pytest.raises(ScenarioError, match="here: shadow-tomography given, expected at most 7 qubits, not 8"):
        refuse_large(ShadowTomography(), wide, "here")
    refuse_large(ClassicalShadows(), wide, "here")
    refuse_large(Direct(), wide, "here")


def test_an_outline_has_the_blocks_of_the_unitary() -> None:
    from ketwire.protocols.gradient.features import share_of
    from ketwire.protocols.gradient.outline import outline

    loaded = scenario(MIXED)
    network = loaded.network()
    run = loaded.run()
    for party in "ab":
        share = share_of(run.sessions[0].slices[party].part, network.loaders()[party])
        for visit, segment in share.segments.items():
            circuit = outline(run.sessions[0].slices[party].part.visits[visit], 2, 2)
            assert circuit is not None
            real = blocks_of(frozen(segment, share.trainable[visit]).circuit)
            assert [block.slots for block in blocks_of(circuit)] == [block.slots for block in real]
