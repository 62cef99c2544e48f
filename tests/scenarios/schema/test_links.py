"""What a scenario says of a link that cannot be is refused by its own key, in one line, in its author's words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ketwire.channels.presets import PRESETS
from ketwire.errors import ScenarioError
from ketwire.scenarios.kinds.inference.kind import Inference
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.load import Loaded
from ketwire.scenarios.schema.model import Link, scenario_model
from ketwire.scenarios.schema.validation import one_line

MODEL = scenario_model([InferenceSpec])
CODED = {"between": ["alice", "bob"], "fiber": "telecom-fiber", "transport": "coded"}

LOWERED = [[[[1, 0], [0, 0]], [[0, 0], [0.5, 0]]]]  # one operator, diag(1, 1/2): no channel by itself


def said(nodes: dict[str, Any] | None = None, **link: Any) -> str | None:
    """What a scenario with this link is refused with, its run and its budgets included; None where it is not."""
    fiber = {} if "fiber" in link else {"fiber": "telecom-fiber", "length_km": 0}
    link = {"between": ["alice", "bob"], **fiber, **link}
    layers = [{"at": "bob", "layer": "hadamards"}]
    protocol = {"kind": "inference", "qubits": 2, "start": "alice", "layers": layers, "copies": 5}
    data = {"seed": 1, "nodes": {"alice": {}, "bob": {}, **(nodes or {})}, "links": [link], "protocol": protocol}
    try:
        # As `load.validate` does, with a model that is built once.
        scenario = MODEL.model_validate_json(json.dumps(data), strict=True)
        loaded = Loaded("x", "x", "/", scenario, "inference", Inference())
        loaded.check_foreseen(loaded.run())
    except ValidationError as error:
        return f"x: {one_line(error, data, MODEL)}"
    except ScenarioError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ({"distill": {"rounds": 2}}, 'links.0.distill: {"rounds": 2} given, expected nothing here with transport dir'),
        (
            {"transport": "teleport", "length_km": 5, "noise": [{"kind": "bit-flip", "probability": 0.1}]},
            'links.0.noise: [{"kind": "bit-flip", "probability": 0.1}] given, expected none: no register is in flight',
        ),
        (
            {"transport": "coded", "noise": [{"kind": "amplitude-damping", "probability": 0.1}]},
            'links.0.noise: [{"kind": "amplitude-damping", "probability": 0.1}] given, expected Pauli noise alone',
        ),
        (
            {"transport": "teleport", "length_km": 1e6},
            "links.0.length_km: 1000000.0 given, expected a fiber that a photon can cross half of, at 0.2 dB/km",
        ),
        ({"transport": "teleport", "length_km": 5, "p_init": 1}, "links.0.p_init: 1.0 given, expected less than 1"),
        (
            {"transport": "teleport", "length_km": 5, "detector_efficiency": 0},
            "links.0.detector_efficiency: 0.0 given, expected above 0",
        ),
        (
            {"transport": "teleport", "scheme": "given", "rate_hz": 1e9, "fidelity": 0.9},
            "links.0.rate_hz: 1000000000.0 given, expected pairs a second from 2.2e-10 to 1e+06",
        ),
        (
            {"noise": [{"kind": "kraus", "operators": LOWERED}]},
            "links.0.noise.0.operators: [[[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.5, 0.0]]]] given, expected a "
            "channel, whose K†K sum to the identity to 1e-12 (these miss it by 0.75)",
        ),
        ({"noise": [{"kind": "kraus", "operators": []}]}, "expected a list of 2 x 2 operators, each entry as [real"),
        ({"transport": "coded", "code": "qpc(100,100)"}, 'code: "qpc(100,100)" given, expected at most 256 photons'),
        (
            {"transport": "coded", "code": "qpc(16,16)", "noise": [{"kind": "depolarizing", "probability": 0.1}]},
            'links.0.code: "qpc(16,16)" given, expected a smaller code for photons with this noise',
        ),
        ({"transport": "coded", "gate_s": 1e300}, "links.0.gate_s: 1e+300 given, expected at most 1000000.0"),
        (
            {"fiber": "color-center", "length_km": 1, "emission_rate_hz": 1e-8},
            "links.0.emission_rate_hz: 1e-08 given, expected an attempt of less than 2^62 ps (53 days)",
        ),
        (
            {"fiber": "oxford-2025", "speed_km_per_s": 1e-10},
            "links.0.length_km: 0.002 given, expected a fiber that light crosses in less than 2^62 ps (53 days)",
        ),
        ({"emission_rate_hz": 1e-300}, "links.0.emission_rate_hz: 1e-300 given, expected a number above 0, 1e-12 at"),
    ],
)
def test_key_value_and_expectation(link: dict[str, Any], message: str) -> None:
    told = said(**link)
    assert told is not None and told.startswith("x: ") and message in told


def test_memories_for_ever_are_said_with_null() -> None:
    told = said({"alice": {"t1_s": 1e300}})
    assert told == "x: nodes.alice.t1_s: 1e+300 given, expected a finite number above 0, or none"


NUMBERS = st.sampled_from([0, 1e-300, 1e-12, 1e-6, 0.1, 0.25, 0.5, 0.999, 1, 2, 10, 1e3, 1e5, 1e6, 1e9, 1e20, 1e300])
NOISE = st.fixed_dictionaries(
    {"kind": st.sampled_from(["depolarizing", "dephasing", "bit-flip", "amplitude-damping", "kraus"])},
    optional={"probability": NUMBERS, "rate_hz": NUMBERS, "operators": st.sampled_from([[], LOWERED, [[[[1, 0]]]]])},
)
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "transport": st.sampled_from([None, "direct", "teleport", "coded"]),
    "noise": st.lists(NOISE, max_size=2),
    "scheme": st.sampled_from([None, "single-click", "double-click", "given"]),
    "memory_slots": st.sampled_from([0, 1, 8, 10**6, 10**7]),
    "distill": st.fixed_dictionaries({}, optional={"rounds": st.integers(0, 9)}),
    "code": st.sampled_from(["[[4,2,2]]", "[[5,1,3]]", "qpc(2,2)", "qpc(99,99)", "morse"]),
    **{
        key: st.none() | NUMBERS
        for key in (
            "alpha", "rate_hz", "fidelity", "dark_count", "visibility", "gate_s", "length_km", "loss_db_per_km",
            "p_init", "detector_efficiency", "speed_km_per_s", "emission_rate_hz", "bandwidth_bps",
        )
    },
}  # fmt: skip
LINKS = st.fixed_dictionaries(
    {"fiber": st.sampled_from(sorted(PRESETS))}, optional=OPTIONAL
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(LINKS)
def test_every_refusal_names_a_key_of_the_link_or_the_budget(link: dict[str, Any]) -> None:
    """Nothing else is raised, whatever a link says, and no word of Python is in it."""
    told = said(**link)
    if told is None:
        return
    assert "\n" not in told and not re.search(r"[A-Z][a-z]+\(|None|nan|<", told), told
    named = re.match(r"x: (?:links\.0\.([a-z_0-9]+)|protocol\.copies)", told)
    assert named is not None, told
    assert named[1] is None or named[1] in Link.model_fields, told


def test_the_name_of_a_code_needs_no_quotation_marks() -> None:
    """What YAML makes of [[5,1,3]]; refusals advise codes by their names, and --set takes what they say."""
    for name in ("[[4,2,2]]", "[[5,1,3]]", "[[7,1,3]]"):
        bare = Link.model_validate_json(json.dumps({**CODED, "code": json.loads(name)}), strict=True)
        assert bare == Link.model_validate_json(json.dumps({**CODED, "code": name}), strict=True)
    assert "[[9,1,3]]" in str(said(transport="coded", code=[[9, 1, 3]]))
    assert said(transport="coded", code=[[4, 2]]) == "x: links.0.code: [[4, 2]] given, expected text"
