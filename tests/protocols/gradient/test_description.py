"""The rival of gradients that sends angles: what it costs, how accurate it is, and where it cannot run."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Session
from ketwire.quantum.gates import Gate
from ketwire.scenarios.load import Loaded
from tests.scenarios.kinds.gradient.test_kind import CIRCUITS, LOSSY, contraction, outcome, rotations, scenario

Data = dict[str, Any]
PHASES = {"at": "a", "layer": "phases", "values": {"random": "angles"}}
OWN = {"at": "a", "layer": "gates", "callable": f"{__name__}:steep", "angles": {"values": [0.3]}}


def steep(qubits: int) -> list[Gate]:
    """A rotation by three times its angle."""
    return [Gate("ry", (0,), (0,), 3.0)]


def sessions(loaded: Loaded) -> list[Session]:
    return [each for each in loaded.run().sessions if each.name.startswith("description")]


# ---------------------------------------------------------------- the same derivatives


@pytest.mark.parametrize(("links", "owners", "start"), [case for case in CIRCUITS if len(set(case[1] + case[2])) > 1])
@pytest.mark.parametrize("source", [{"random": "normal"}, None], ids=["input", "no input"])
def test_at_full_width_it_finds_the_exact_gradient(links: str, owners: str, start: str, source: Data | None) -> None:
    """Whoever collects, over however many links; angles that stay are sent, and nobody wants their derivatives."""
    layers = [rotations(at, sublayers=1 + (at == "b"), trainable=place != 1) for place, at in enumerate(owners)]
    result = outcome(scenario(layers, links, start=start, input=source, description=[64]))
    assert result["rivals"]["description-64-bit"]["error"] < 1e-12
    assert result["parameters"] == len(result["rivals"]["description-64-bit"]["estimate"])


@pytest.mark.parametrize(
    "layers",
    [
        [rotations("b"), contraction("a", 2), rotations("a"), rotations("b"), contraction("a", 2, 2), rotations("b")],
        [rotations("b"), PHASES, rotations("a", entangle="none"), {"at": "b", "layer": "hadamards"}, rotations("b")],
    ],
    ids=["contractions", "phases"],
)
def test_one_node_may_hold_more_than_angles(layers: list[Data]) -> None:
    """Alice has all she does herself, flags of contractions too, whatever Bob has."""
    result = outcome(scenario(layers, input=None, description=[64]))
    assert result["rivals"]["description-64-bit"]["error"] < 1e-12
    (session,) = sessions(scenario(layers, input=None))
    assert session.slices["a"].collector == "a"


def test_derivatives_by_gates_of_one_s_own_stay_with_their_owner() -> None:
    """They may be larger than those by rotations are: P0 = cos^2(3 θ / 2) here, and Bob's angles are zero."""
    layers = [OWN, rotations("b", axes=["y"], angles={"values": [0.0, 0.0]})]
    rival = outcome(scenario(layers, start="a", input=None, description=[8]))["rivals"]["description-8-bit"]
    assert rival["estimate"][0] == pytest.approx(-1.5 * math.sin(0.9), abs=1e-12)
    assert rival["bits"] == 2 * 8 + 2 * 16 and rival["error"] < 2.0**-16


def test_derivatives_by_givens_angles_are_told_beyond_those_of_rotations() -> None:
    """Of |01> P0 = cos² θ. At 8 bits the angle is off by π/256 at most, and the derivative by twice that."""
    layers = [{"at": "b", "layer": "givens", "angles": {"values": [2.2]}}]
    sides = {"start": "a", "input": {"values": [0, 1, 0, 0]}, "estimators": ["exact", "parameter-shift"]}
    result = outcome(scenario(layers, **sides, description=[8], copies=40_000))
    assert result["exact"] == pytest.approx([-math.sin(4.4)], abs=1e-12) and -math.sin(4.4) > 0.9
    assert result["estimators"]["parameter-shift"]["copies"] == 4 * 40_000
    rival = result["rivals"]["description-8-bit"]
    assert rival["bits"] == 8 + 16 and abs(rival["estimate"][0] + math.sin(4.4)) < 2 * math.pi / 256
    assert result["estimators"]["parameter-shift"]["error"] < 5 * math.sqrt(4 / 40_000) / 4


# ---------------------------------------------------------------- what it costs


def test_each_link_counts_angles_there_and_derivatives_back() -> None:
    """Alice has 24 angles and collects: Bob's four cross one link, Carol's 2 + 6 cross two, and two of hers stay."""
    layers = [
        rotations("a", sublayers=6),
        rotations("b"),
        rotations("c", axes=["x"], trainable=False),
        rotations("c", axes=["x", "y", "z"]),
    ]
    loaded = scenario(layers, "abbc", start="a", input=None, description=[8, 5, 50, 64])
    rivals = outcome(loaded)["rivals"]
    for bits, answer in ((8, 16), (5, 13), (50, 52), (64, 64)):
        rival = rivals[f"description-{bits}-bit"]
        assert rival["bits"] == rival["payload_bits"] == (4 + 2 * 8) * bits + (4 + 2 * 6) * answer


def test_a_gradient_of_few_angles_on_many_qubits_is_won_by_angles() -> None:
    """Ten qubits and a rotation of each at either: ten angles there, ten derivatives back, and not 2^11 numbers."""
    layers = [rotations(at, axes=["y"]) for at in "ba"]
    loaded = scenario(layers, qubits=10, input=None, estimators=["commuting"], copies=20, dense_state={"bits": [4]})
    result = outcome(loaded)
    rival = result["rivals"]["description-8-bit"]
    assert rival["bits"] == 10 * 8 + 10 * 16 < result["qubits_sent"] < result["rivals"]["dense-state-4-bit"]["bits"]
    assert "the classical rival description-8-bit wins on communication" in result["verdict"]
    assert "no rival sends a seed" in result["assumption"]


# ---------------------------------------------------------------- how accurate it is


@pytest.mark.parametrize("bits", [1, 4, 8, 12])
def test_it_is_the_gradient_at_the_rounded_angles(bits: int) -> None:
    """Exactly so at Alice, who collects and has her own angles as they are; to half a step of the answer at Bob."""
    rng = np.random.default_rng(bits)
    alice, bob = rng.uniform(-9.0, 9.0, 8), rng.uniform(-9.0, 9.0, 4)

    def circuit(bobs: np.ndarray) -> list[Data]:
        first = rotations("a", sublayers=2, angles={"values": alice.tolist()})
        return [first, rotations("b", angles={"values": bobs.tolist()}), rotations("a", axes=["x"])]

    found = outcome(scenario(circuit(bob), start="a", description=[bits]))
    step = 2 * math.pi / 2**bits
    rounded = np.rint(np.mod(bob, 2 * math.pi) / step) * step
    exact = np.array(outcome(scenario(circuit(rounded), start="a", description=[]))["exact"])
    off = np.abs(np.array(found["rivals"][f"description-{bits}-bit"]["estimate"]) - exact)
    assert off[:8].max() < 1e-12 and off[12:].max() < 1e-12
    assert 1e-12 < off[8:12].max() <= 0.5 / (2 ** (bits + 8) - 2) * (1 + 1e-9)


@pytest.mark.parametrize("bits", [6, 8, 10])
def test_errors_stay_below_what_rounded_angles_are_worth(bits: int) -> None:
    """Alice's 12 angles are off by half a step at most each, and a second derivative is 1/2 at most."""
    step = 2 * math.pi / 2**bits
    errors = []
    for seed in range(4):
        loaded = scenario("baba", qubits=3, input={"values": [1, seed, 2, 3, 0, 5, 1, 2]}, description=[bits])
        errors.append(outcome(loaded)["rivals"][f"description-{bits}-bit"]["error"])
    assert max(errors) < 12 * step / 2 / 2 + 2.0 ** -(bits + 9)
    # They are off by step / √12 rms, so twelve of them are worth half a step; answers are off by step / 3000 at most.
    assert step / 100 < max(errors) < 4 * step / 2


# ---------------------------------------------------------------- where it cannot run


SIGNS = {"at": "b", "layer": "signs", "signs": {"values": [1, 1, -1, 1]}}


@pytest.mark.parametrize(
    ("layers", "start", "told"),
    [
        ([rotations("b"), PHASES, SIGNS], "b", "b and a hold more than angles, and one node alone can have all"),
        ([rotations("b"), PHASES], "b", "b and a hold more than angles"),  # Bob's input is no angle
        ([rotations("b")], "b", "the register never leaves its node"),
    ],
)
def test_it_is_refused_where_it_is_asked_for_and_cannot_be(layers: list[Data], start: str, told: str) -> None:
    with pytest.raises(ScenarioError, match=rf"protocol.description: \[8\] given, expected \[\] or null, as {told}"):
        scenario(layers, start=start, description=[8]).run()
    assert not sessions(scenario(layers, start=start))


@pytest.mark.parametrize("widths", [[0], [8, 8], [53]])
def test_widths_that_no_rounding_has_are_refused(widths: list[int]) -> None:
    with pytest.raises(ScenarioError, match=r"protocol.description"):
        scenario("ba", description=widths)


def test_an_empty_list_leaves_it_out() -> None:
    assert not sessions(scenario("ba", description=[]))
    assert [each.name for each in sessions(scenario("ba"))] == ["description-8-bit"]


# ---------------------------------------------------------------- the same everywhere, and nothing in advance


@pytest.mark.long
def test_inline_and_processes_give_one_transcript() -> None:
    loaded = scenario([*map(rotations, "abc"), contraction("b", 2), rotations("a")], "abbc", LOSSY, "a",
                      copies=5, input=None, description=[8, 64])  # fmt: skip
    run = loaded.run()
    inline, apart = run_inline(run), run_processes(run)
    assert [each.name for each in inline] == ["exact", "description-8-bit", "description-64-bit"]
    assert [each.transcript_sha256 for each in apart] == [each.transcript_sha256 for each in inline]
    assert outcome(loaded, inline, check=False) == outcome(loaded, apart, check=False)


def test_no_party_is_told_what_another_holds() -> None:
    """The collector is told how the layers of others look, and not one angle, before they send them."""
    angles = [0.123, 4.567, 1.891, 2.345]
    layers = [rotations("b", angles={"values": angles}), rotations("a", sublayers=2)]
    (session,) = sessions(scenario(layers, input=None))
    alice, bob = (session.slices[party] for party in "ab")
    assert alice.collector == "a" and "protocol.layers.0" in repr(alice.others)
    assert not any(str(angle) in repr(alice) for angle in angles) and all(str(angle) in repr(bob) for angle in angles)
    assert bob.others is None
