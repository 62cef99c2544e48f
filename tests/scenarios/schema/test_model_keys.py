"""Every key of links and nodes, under every transport, changes a result or is refused by its own path.

The keys come from the models, so a new one without an entry here fails. Each is changed in a small scenario that has
a use for it: copies that wait for slow processors, registers of two qubits that go there and back.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from copy import deepcopy
from functools import cache, reduce
from operator import getitem
from typing import Any

import pytest
from pydantic import ValidationError

from ketwire.channels.hardware import HARDWARE
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.kinds.inference.kind import Inference
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.load import Loaded
from ketwire.scenarios.schema.laboratories import Bell, Deliver
from ketwire.scenarios.schema.links import Distillation, Link, NoiseSpec
from ketwire.scenarios.schema.listening import BeamSplitterSpec, InterceptResendSpec
from ketwire.scenarios.schema.model import scenario_model
from ketwire.scenarios.schema.nodes import Node
from ketwire.scenarios.schema.validation import one_line
from tests.kit import rarely

Data = dict[str, Any]
MODEL = scenario_model([InferenceSpec])
SEEDS = range(3, 11)
SLOW = {"gate1_s": 1e-6, "gate2_s": 1e-6}
TURN = {"layer": "rotations", "angles": {"random": "angles"}}
TELEPORT = {"transport": "teleport", "memory_slots": 8}
SCHEMES: dict[str, Data] = {
    "double-click": {**TELEPORT, "visibility": 0.9},
    "single-click": {**TELEPORT, "scheme": "single-click", "alpha": 0.3},
    "given": {**TELEPORT, "scheme": "given", "rate_hz": 1e4, "fidelity": 0.9},
}
LINKS: dict[str, Data] = {
    "direct": {},
    "coded": {"transport": "coded", "code": "[[5,1,3]]"},
    **SCHEMES,
    **{f"{name}, distilled": {**link, "distill": {"rounds": 2}} for name, link in SCHEMES.items()},
}
CHAIN = {"transport": "teleport", "via": ["r"], "distill_spans": [2]}
TRANSPORTS = [*LINKS, "hop", "chain"]

# Names, what the scenarios here differ by, and who computes instead of what: nothing to change one by one.
NO_NUMBERS = {"between", "name", "transport", "scheme", "via", "engine", "python"}

VALUES: Data = {
    "fiber": "ideal",
    "carries": "qubits",
    "noise": [{"kind": "depolarizing", "probability": 0.3}],
    "alpha": 0.2,
    "rate_hz": 2e4,
    "fidelity": 0.6,
    "dark_count": 0.05,
    "visibility": 0.5,
    "memory_slots": 4,
    "distill": {"rounds": 1},
    "attempt_s": 5e-5,
    "wait_for_herald": False,
    "duty_cycle": 0.5,
    "station_km": 0.4,
    "side_loss_db": [1.0, 2.0],
    "side_efficiency": [0.3, 0.4],
    "emission_fidelity": 0.6,
    "phase_noise_deg": 60.0,
    "double_excitation": 0.4,
    "bell": {"phi_plus": 0.7, "psi_minus": 0.3},
    "deliver": {"every_s": 2e-3},
    "generation": "sequential",
    "distill_spans": None,
    "distill_protocol": "bbpssw",
    "cutoff_s": 2e-5,
    "cutoff_attempts": 2,
    "code": "[[4,2,2]]",
    "gate_s": 1e-6,
    "eve": {"attack": "intercept-resend", "share": 0.5},
    "length_km": 3.0,
    "loss_db_per_km": 1.0,
    "p_init": 0.3,
    "detector_efficiency": 0.5,
    "speed_km_per_s": 1.5e5,
    "emission_rate_hz": 1e4,
    "bandwidth_bps": 1e4,
    "classical_delay_s": 1e-3,
}
OF_FIBER = {"fiber", "length_km", "speed_km_per_s", "bandwidth_bps", "classical_delay_s"}
OF_PHOTONS = {"loss_db_per_km", "p_init", "detector_efficiency", "emission_rate_hz"}
OF_PAIRS = {"memory_slots", "distill"}
OF_CLICKS = OF_FIBER | OF_PHOTONS | OF_PAIRS | {
    "dark_count", "visibility", "attempt_s", "duty_cycle", "station_km", "side_loss_db", "side_efficiency",
    "emission_fidelity", "double_excitation",
}  # fmt: skip
CHANGES: dict[str, set[str]] = {
    "direct": OF_FIBER | OF_PHOTONS | {"noise", "eve"},
    "coded": OF_FIBER | OF_PHOTONS | {"noise", "code", "gate_s"},
    "double-click": OF_CLICKS,
    "single-click": OF_CLICKS | {"alpha", "phase_noise_deg"},
    "given": OF_FIBER | OF_PAIRS | {"rate_hz", "fidelity", "attempt_s"},
    "hop": OF_CLICKS,
    "chain": OF_FIBER | {"generation", "distill_spans", "distill_protocol", "cutoff_s", "cutoff_attempts"},
}

NODE_VALUES: Data = {
    "hardware": "color-center",
    "t1_s": 1e-4,
    "t2_s": 1e-4,
    "t2_shape": "gaussian",
    "t2_attempts": 2.0,
    "prepare_s": 1e-2,
    "gate1_s": 5e-6,
    "gate2_s": 5e-6,
    "readout_s": 1e-5,
    "message_s": 1e-3,
    "p_prepare": 0.5,
    "p_gate1": 0.5,
    "p_gate2": 0.5,
    "p_readout": 0.5,
}
OF_PREPARATION = {"prepare_s", "p_prepare"}  # refused at a repeater, where no register is prepared

# What stands in a key that holds more keys: a link before, and after.
DEPOLARIZING = {"kind": "depolarizing", "probability": 0.3}
PASSING = [[[[1, 0], [0, 0]], [[0, 0], [1, 0]]]]
DAMPING = [[[[1, 0], [0, 0]], [[0, 0], [0.6, 0]]], [[[0, 0], [0.8, 0]], [[0, 0], [0, 0]]]]
RESENT, SPLIT = {"attack": "intercept-resend", "share": 0.4}, {"attack": "beam-splitter", "share": 0.4}
WITHIN: dict[str, tuple[str, Any, Any]] = {
    "noise.kind": ("direct", [DEPOLARIZING], [{**DEPOLARIZING, "kind": "bit-flip"}]),
    "noise.probability": ("direct", [DEPOLARIZING], [{**DEPOLARIZING, "probability": 0.7}]),
    "noise.rate_hz": ("direct", [{"kind": "dephasing", "rate_hz": 0}], [{"kind": "dephasing", "rate_hz": 1e5}]),
    "noise.operators": (
        "direct", [{"kind": "kraus", "operators": PASSING}], [{"kind": "kraus", "operators": DAMPING}]
    ),
    "bell.phi_plus": ("given", {"phi_plus": 1.0}, {"phi_plus": 0.5, "phi_minus": 0.5}),
    "bell.phi_minus": ("given", {"psi_plus": 1.0}, {"psi_plus": 0.5, "phi_minus": 0.5}),
    "bell.psi_plus": ("given", {"phi_plus": 1.0}, {"phi_plus": 0.5, "psi_plus": 0.5}),
    "bell.psi_minus": ("given", {"phi_plus": 1.0}, {"phi_plus": 0.5, "psi_minus": 0.5}),
    "deliver.every_s": ("double-click", {"every_s": 1e-3}, {"every_s": 2e-3}),
    "deliver.fallback": ("double-click", {"every_s": 1.3e-5}, {"every_s": 1.3e-5, "fallback": {"phi_plus": 1.0}}),
    "distill.rounds": ("single-click", {"rounds": 1}, {"rounds": 2}),
    "distill.protocol": ("single-click", {"protocol": "dejmps"}, {"protocol": "bbpssw"}),
    "distill.arrangement": (
        "single-click", {"rounds": 3, "arrangement": "nested"}, {"rounds": 3, "arrangement": "pumping"}
    ),
    "distill.cutoff_attempts": ("single-click", {"rounds": 1}, {"rounds": 1, "cutoff_attempts": 2}),
    "eve.attack": ("direct", SPLIT, RESENT),
    "eve.share": ("direct", RESENT, {**RESENT, "share": 0.8}),
    "eve.basis": ("direct", {**RESENT, "basis": "z"}, {**RESENT, "basis": "x"}),
    "eve.direction": ("direct", RESENT, {**RESENT, "direction": "backward"}),
    "eve.in_place_of_loss": ("direct", SPLIT, {"attack": "beam-splitter", "in_place_of_loss": True}),
}  # fmt: skip


def scenario(transport: str, seed: int = SEEDS[0]) -> Data:
    """There and back; of a chain, the link that is changed comes first."""
    base = {"fiber": "telecom-fiber", "length_km": 2.0}
    nodes = {"alice": dict(SLOW), "bob": dict(SLOW)}
    if transport in LINKS:
        links = [{"between": ["alice", "bob"], **base, **LINKS[transport]}]
    else:
        hops = [{"between": [end, "r"], **base, **SCHEMES["double-click"], "memory_slots": 32} for end in nodes]
        end = {"between": ["alice", "bob"], "fiber": "telecom-fiber", **CHAIN}
        links = [*hops, end] if transport == "hop" else [end, *hops]
        nodes["r"] = {}
    layers = [{"at": at, **TURN} for at in ("bob", "alice")]
    protocol = {"kind": "inference", "qubits": 2, "start": "alice", "copies": 24, "layers": layers}
    return {"seed": seed, "nodes": nodes, "links": links, "protocol": {**protocol, "dense_state": None}}


def outcome(data: Data) -> Any:
    """All that a run comes to; or, as text, what it is refused with."""
    try:
        model = MODEL.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        return one_line(error, data, MODEL)
    result = run_inline(Loaded("x", "x", "/", model, "inference", Inference()).run())[0]
    return result.transcript_sha256, result.clocks_ps, result.directions


@cache
def before(transport: str, seed: int = SEEDS[0]) -> Any:
    return outcome(scenario(transport, seed))


def check(transport: str, path: str, value: Any, changes: bool) -> None:
    """That a value there changes a result of some seed, as few outcomes may well come out alike; or is refused."""
    *way, key = (int(step) if step.isdigit() else step for step in path.split("."))
    for seed in SEEDS:
        data = scenario(transport, seed)
        reduce(getitem, way, data)[key] = deepcopy(value)
        found = outcome(data)
        if not changes:
            assert isinstance(found, str) and found.startswith(f"{path}: "), f"{path}: {found}"
            return
        assert not isinstance(found, str) and not isinstance(before(transport, seed), str), found
        if found != before(transport, seed):
            return
    raise AssertionError(f"{path} changes nothing")


def nested(prefix: str, *models: Any) -> Iterator[str]:
    yield from (f"{prefix}.{name}" for model in models for name in model.model_fields)


def test_every_key_has_an_entry() -> None:
    assert set(Link.model_fields) == set(VALUES) | NO_NUMBERS
    assert set(Node.model_fields) == set(NODE_VALUES)
    inner = {*nested("noise", NoiseSpec), *nested("distill", Distillation)}
    inner |= {*nested("bell", Bell), *nested("deliver", Deliver)}
    assert inner | {*nested("eve", InterceptResendSpec, BeamSplitterSpec)} == set(WITHIN)


def test_transports_differ() -> None:
    for one, other in itertools.combinations(LINKS, 2):
        assert before(one) != before(other), (one, other)


QUICK = tuple(name for name in TRANSPORTS if "distilled" not in name or name.startswith("single"))


@pytest.mark.parametrize("transport", rarely(TRANSPORTS, but=QUICK))
def test_every_key_of_a_link_changes_a_result_or_is_refused(transport: str) -> None:
    for key, value in VALUES.items():
        changes = key in CHANGES[transport.removesuffix(", distilled")]
        changes |= key == "deliver" and transport in SCHEMES
        changes |= key == "wait_for_herald" and transport in ("single-click", "double-click", "hop")
        check(transport, f"links.0.{key}", [2] if value is None and not changes else value, changes)


@pytest.mark.parametrize("key", WITHIN)
def test_every_key_within_a_key_of_a_link_changes_a_result(key: str) -> None:
    transport, one, other = WITHIN[key]
    outer = key.partition(".")[0]
    results: list[list[Any]] = [[], []]
    for value, found in zip((one, other), results, strict=True):
        for seed in SEEDS[:3]:
            data = scenario(transport, seed)
            data["links"][0][outer] = value
            if outer == "bell":
                del data["links"][0]["fidelity"]
            found.append(outcome(data))
    assert not any(isinstance(result, str) for result in itertools.chain(*results)), results
    assert results[0] != results[1]


@pytest.mark.parametrize("transport", [*SCHEMES, "direct", "coded", "chain"])
def test_every_key_of_a_node_changes_a_result(transport: str) -> None:
    for key, value in NODE_VALUES.items():
        # Alice prepares, works and measures; of what arrived it is bob who hears.
        if key == "t2_attempts":  # no half waits there for attempts
            check(transport, f"nodes.alice.{key}", value, changes=False)
        elif key != "t2_shape":  # which needs a T2
            check(transport, f"nodes.{'bob' if key == 'message_s' else 'alice'}.{key}", value, changes=True)


def test_every_key_of_a_repeater_changes_a_result_or_is_refused() -> None:
    for key, value in NODE_VALUES.items():
        if key != "t2_shape":
            check("chain", f"nodes.r.{key}", value, key not in OF_PREPARATION)


@pytest.mark.parametrize("transport", [*SCHEMES, "direct", "coded", "chain"])
def test_a_gaussian_decay_changes_a_result(transport: str) -> None:
    name = "r" if transport == "chain" else "alice"
    for seed in SEEDS:
        found = []
        for shape in ("exponential", "gaussian"):
            data = scenario(transport, seed)
            data["links"][0].pop("distill_spans", None)
            data["nodes"][name] |= {"t2_s": 1e-5, "t2_shape": shape}
            found.append(outcome(data))
        assert not any(isinstance(each, str) for each in found), found
        if found[0] != found[1]:
            return
    raise AssertionError("the shape changes nothing")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("alice", 'nodes.alice.t2_shape: "gaussian" given, expected exponential in the chain of links.0: halves w'),
        ("r", 'nodes.r.t2_shape: "gaussian" given, expected exponential in the chain of links.0: halves wait'),
    ],
)
def test_a_gaussian_decay_is_refused_where_halves_wait_in_several_stretches(name: str, told: str) -> None:
    """At an end of a chain, and at a repeater that is not the only one."""
    data = scenario("chain")
    data["nodes"][name] |= {"t2_s": 1e-5, "t2_shape": "gaussian"}
    if name == "r":
        data["nodes"]["s"] = {}
        data["links"][0]["via"] = ["r", "s"]
        data["links"] += [{**data["links"][2], "between": ["r", "s"]}, {**data["links"][2], "between": ["s", "bob"]}]
        del data["links"][2]
    assert outcome(data).startswith(told), outcome(data)


def test_attempts_change_pairs_that_wait_for_distillation() -> None:
    for name in ("alice", "bob"):
        check("single-click, distilled", f"nodes.{name}.t2_attempts", 1.5, changes=True)


@pytest.mark.parametrize(
    ("transport", "distill", "told"),
    [
        ("single-click", {"protocol": "epl", "rounds": 2}, "links.0.distill.rounds: 2 given, expected 1 wi"),
        ("single-click", {"rounds": 2, "cutoff_attempts": 5}, "links.0.distill.cutoff_attempts: 5 given, ex"),
        ("double-click", {"protocol": "epl"}, 'links.0.distill: {"protocol": "epl"} given, expected single-cl'),
    ],
)
def test_what_distillation_cannot_be_is_refused_in_one_line(transport: str, distill: Data, told: str) -> None:
    data = scenario(transport)
    data["links"][0]["distill"] = distill
    assert outcome(data).startswith(told), outcome(data)


def test_a_gaussian_decay_needs_a_t2() -> None:
    data = scenario("direct")
    data["nodes"]["alice"]["t2_shape"] = "gaussian"
    assert outcome(data).startswith('nodes.alice.t2_shape: "gaussian" given, expected t2_s beside it')


def test_the_gates_of_a_node_are_those_of_the_lines_that_end_there() -> None:
    """So that they act on pairs: in every direction, of hops and of a chain alike."""
    data = scenario("chain")
    data["nodes"]["r"] = {"hardware": "trapped-ion", "p_readout": [0.01, 0.02]}
    data["nodes"]["bob"] = {"p_gate1": 0.25}
    model = MODEL.model_validate_json(json.dumps(data), strict=True)
    run = Loaded("x", "x", "/", model, "inference", Inference()).run()
    gates = {name: run.hardware_of(name).gates for name in ("alice", "bob", "r")}
    assert gates["r"].p_readout == (0.01, 0.02) and gates["r"].p_gate2 == 0.1 and gates["bob"].p_gate1 == 0.25
    lines = [each for link in run.links for each in link.directions()]
    assert len(lines) == 6
    for sender, receiver, line in lines:
        assert (line.sender_gates, line.receiver_gates) == (gates[sender], gates[receiver])
        hops = getattr(line.transport, "hops", ())
        assert [hop.sender_gates for hop in hops] == ([gates[receiver], gates["r"]] if hops else [])


def test_a_preset_with_preparation_and_a_gaussian_decay_serves_a_repeater() -> None:
    """A repeater prepares nothing, which is refused only where the scenario itself says it; halves wait there once."""
    data = scenario("chain")
    data["nodes"]["r"] = {"hardware": "trapped-ion"}
    once = MODEL.model_validate_json(json.dumps(data), strict=True)
    again = MODEL.model_validate_json(once.model_dump_json(), strict=True)
    assert again.nodes["r"].physics() == once.nodes["r"].physics() == HARDWARE["trapped-ion"].hardware
    data["nodes"]["r"] = {"hardware": "trapped-ion", "prepare_s": 1e-3}
    assert outcome(data).startswith("nodes.r.prepare_s: 0.001 given, expected nothing here")
    data["nodes"]["r"] = {}
    data["nodes"]["bob"] = {"hardware": "trapped-ion"}
    wanted = 'nodes.bob.hardware: "trapped-ion" given, expected t2_shape: exponential beside it in the chain of links.'
    assert outcome(data).startswith(wanted)
    data["nodes"]["bob"]["t2_shape"] = "exponential"
    assert isinstance(outcome(data), tuple), "it runs"


def test_readout_errors_that_are_alike_may_be_said_twice() -> None:
    one, two = (Node.model_validate_json(json.dumps({"p_readout": given})) for given in (0.1, [0.1, 0.1]))
    assert one.physics() == two.physics()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([0.1], "nodes.alice.p_readout: [0.1] given, expected at least 2 entries"),
        ([0.1, 1.5], "nodes.alice.p_readout.1: 1.5 given, expected at most 1"),
        ("often", 'nodes.alice.p_readout: "often" given, expected a number'),
    ],
)
def test_what_is_no_readout_error_is_refused_in_one_line(given: Any, told: str) -> None:
    data = scenario("direct")
    data["nodes"]["alice"]["p_readout"] = given
    assert outcome(data).startswith(told), outcome(data)
