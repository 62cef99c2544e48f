"""Distributed inference: exact against PennyLane, honest statistics, and costs as the theory counts them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ketwire.channels.fiber import Fiber
from ketwire.channels.messages import Packed
from ketwire.errors import LocalProtocolError, RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Link, Run, SessionResult
from ketwire.protocols.numbers import pack_numbers, unpack_numbers
from ketwire.quantum.binomial import count_for
from ketwire.scenarios.kinds.inference.kind import Inference
from ketwire.scenarios.kinds.inference.spec import InferenceSpec
from ketwire.scenarios.kinds.interface import Judge, Network
from tests.kit import IDEAL

Layers = list[dict[str, Any]]
KIND = Inference()
RING4 = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]


def network(
    physics: Fiber = IDEAL, links: Sequence[tuple[str, str]] = (("a", "b"),), seed: int = 5
) -> Network:
    parties = tuple(dict.fromkeys(party for link in links for party in link))
    return Network(seed, (*parties, "idle"), tuple(Link.over(ends, physics) for ends in links), ".")


def spec_of(layers: Layers, qubits: int = 2, start: str = "b", **changed: Any) -> InferenceSpec:
    given = {
        "kind": "inference",
        "qubits": qubits,
        "start": start,
        "layers": layers,
        "copies": 100,
        "dense_state": None,
        "description": [],
        "sketch": False,
    }
    return InferenceSpec.model_validate({**given, **changed})


def carried_out(spec: InferenceSpec, on: Network) -> list[SessionResult]:
    sessions = tuple(KIND.sessions(spec, on))
    run = Run(
        on.seed, on.parties, on.links, sessions, lambda session, public: KIND.check(spec, on, session, public)
    )
    return run_inline(run)


def summary(spec: InferenceSpec, on: Network, results: list[SessionResult]) -> dict[str, Any]:
    return KIND.summarise(spec, results, Judge(on)).told()


def exact(spec: InferenceSpec, on: Network) -> float:
    return float(KIND.exact(spec, on, on.loaders()).exact)


def rotations(at: str, angles: list[float] | None = None) -> dict[str, Any]:
    source = {"random": "angles"} if angles is None else {"values": angles}
    return {"at": at, "layer": "rotations", "angles": source}


def alternating(L: int, first: str = "b", second: str = "a") -> Layers:
    """B_1, A_1, ..., B_L, A_L."""
    return [rotations(party) for _ in range(L) for party in (first, second)]


# ---------------------------------------------------------------- against PennyLane

def random_layer(rng: np.random.Generator, qubits: int, at: str) -> dict[str, Any]:
    size = 1 << qubits
    kinds = ["rotations", "phases", "unitary", "signs", "hadamards", "householder", "contraction"]
    layer: dict[str, Any] = {"at": at, "layer": str(rng.choice(kinds))}
    if layer["layer"] == "rotations":
        entanglers = ["none", "cz-chain", "cz-ring", "cnot-chain", "cnot-ring"]
        axes = rng.choice(["x", "y", "z"], int(rng.integers(1, 4))).tolist()
        sublayers = int(rng.integers(1, 4))
        angles = rng.uniform(0, 7, sublayers * len(axes) * qubits).tolist()
        layer |= {"axes": axes, "sublayers": sublayers, "entangle": str(rng.choice(entanglers))}
        layer["angles"] = {"values": angles}
    elif layer["layer"] == "phases":
        layer["values"] = {"values": rng.normal(size=size).tolist()}
    elif layer["layer"] == "unitary":
        layer["matrix"] = {"values": np.linalg.qr(rng.normal(size=(size, size)))[0].tolist()}
    elif layer["layer"] == "signs":
        layer["signs"] = {"values": rng.choice([-1.0, 1.0], size).tolist()}
    elif layer["layer"] == "householder":
        layer["vector"] = {"values": rng.normal(size=size).tolist()}
    elif layer["layer"] == "contraction":
        matrix = rng.normal(size=(size, size))
        layer["matrix"] = {"values": (matrix / np.linalg.norm(matrix, 2) * 0.95).tolist()}
    return layer


def pairs(qubits: int, ring: bool) -> list[tuple[int, int]]:
    chain = [(q, q + 1) for q in range(qubits - 1)]
    return [*chain, (qubits - 1, 0)] if ring and qubits > 2 else chain


def put(layer: dict[str, Any], qubits: int) -> None:
    """Queue one layer on PennyLane's tape; qubit 0 is its first wire."""
    import pennylane as qml

    wires, kind = range(qubits), layer["layer"]
    if kind == "rotations":
        angles = iter(layer["angles"]["values"])
        for _ in range(layer["sublayers"]):
            for axis in layer["axes"]:
                for wire in wires:
                    {"x": qml.RX, "y": qml.RY, "z": qml.RZ}[axis](next(angles), wires=wire)
            if layer["entangle"] != "none":
                gate, shape = layer["entangle"].split("-")
                for pair in pairs(qubits, shape == "ring"):
                    {"cz": qml.CZ, "cnot": qml.CNOT}[gate](wires=pair)
    elif kind == "phases":
        qml.DiagonalQubitUnitary(np.exp(1j * np.array(layer["values"]["values"])), wires=wires)
    elif kind == "unitary":
        qml.QubitUnitary(np.array(layer["matrix"]["values"]), wires=wires)
    elif kind == "signs":
        qml.DiagonalQubitUnitary(np.array(layer["signs"]["values"], dtype=complex), wires=wires)
    elif kind == "hadamards":
        for wire in wires:
            qml.Hadamard(wires=wire)
    else:
        vector = np.array(layer["vector"]["values"])
        reflection = np.eye(len(vector)) - 2 * np.outer(vector, vector) / (vector @ vector)
        qml.QubitUnitary(reflection, wires=wires)


def by_pennylane(layers: Layers, qubits: int, psi: np.ndarray[Any, Any]) -> float:
    """Unitary layers on default.qubit; a contraction is a matrix product followed by a fresh start."""
    import pennylane as qml  # seconds, for these tests alone

    device = qml.device("default.qubit", wires=qubits)

    @qml.qnode(device)  # type: ignore[untyped-decorator]
    def evolved(state: Any, part: Layers) -> Any:
        qml.StatePrep(state, wires=range(qubits), normalize=True)
        for layer in part:
            put(layer, qubits)
        return qml.state()

    @qml.qnode(device)  # type: ignore[untyped-decorator]
    def zero(state: Any) -> Any:
        qml.StatePrep(state, wires=range(qubits), normalize=True)
        return qml.probs(wires=0)

    for layer in layers:
        if layer["layer"] == "contraction":  # noqa: SIM108
            psi = np.array(layer["matrix"]["values"]) @ psi
        else:
            psi = evolved(psi, [layer])
    return float(zero(psi)[0])


@pytest.mark.parametrize("seed", range(12))
def test_the_exact_value_is_pennylane_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(1, 5))
    layers = [random_layer(rng, qubits, at="ab"[index % 2]) for index in range(8)]
    vector = rng.normal(size=int(rng.integers(1, (1 << qubits) + 1)))
    spec = spec_of(layers, qubits, input={"values": vector.tolist()}, dense_state={"bits": [64]})
    on = network()
    padded = np.zeros(1 << qubits, dtype=complex)
    padded[: len(vector)] = vector
    value = by_pennylane(layers, qubits, padded)
    assert exact(spec, on) == pytest.approx(value, abs=1e-10)
    results = carried_out(spec, on)
    report = summary(spec, on, results)
    assert report["rivals"]["dense-state-64-bit"]["estimate"] == pytest.approx(value, abs=1e-10)
    assert report["copies"] == 100
    assert abs(report["estimate"] - value) <= 5 * math.sqrt(value * (1 - value) / 100) + 1e-9


# ---------------------------------------------------------------- what it costs


@pytest.mark.parametrize("L", [1, 2, 3])
@pytest.mark.parametrize(("start", "extra"), [("b", -1), ("a", 0)])
def test_crossings_are_those_of_the_theory(L: int, start: str, extra: int) -> None:
    """2L - 1 crossings if B prepares, 2L if A does; n qubits each, for each of K copies."""
    crossings, qubits, copies, bits = 2 * L + extra, 3, 50, [5, 64]
    spec = spec_of(alternating(L), qubits, start, copies=copies, dense_state={"bits": bits})
    quantum, *rivals = carried_out(spec, network())
    totals = quantum.totals
    assert totals.qubits_sent == totals.qubits_delivered == crossings * qubits * copies
    assert totals.messages == crossings and totals.copies == crossings * copies
    assert totals.payload_bits == totals.control_bits == 0
    for rival, width in zip(rivals, bits, strict=True):
        scale = 64 if width < 64 else 0
        # A bit for each crossing says whether the state is real, as |000> is that a sends first.
        numbers = 2 * 8 * crossings - (8 if start == "a" else 0)
        assert rival.totals.payload_bits == numbers * width + crossings * (1 + scale)
        assert rival.totals.messages == 2 * crossings and rival.totals.qubits_sent == 0


CIRCUITS = [
    ([("a", "b")], "ab"),
    ([("a", "b"), ("b", "c")], "abc"),
    ([("a", "b"), ("b", "c"), ("c", "a")], "abcabc"),
    ([("a", "b"), ("b", "c"), ("c", "d")], "abcdcba"),
    (RING4, "bcdabcd"),
    (RING4, "dcbaadcb"),
]


@pytest.mark.parametrize(("links", "owners"), CIRCUITS)
@pytest.mark.parametrize("efficiency", [1.0, 0.9])
def test_chains_and_rings_from_any_start(
    links: list[tuple[str, str]], owners: str, efficiency: float
) -> None:
    on = network(Fiber(detector_efficiency=efficiency, length_km=1.0), links)
    layers = [rotations(owner) for owner in owners]
    neighbours = [b if a == owners[0] else a for a, b in links if owners[0] in (a, b)]
    for start in (owners[0], *neighbours):
        spec = spec_of(layers, 2, start, copies=4000)
        (result,) = carried_out(spec, on)
        path = [start, *owners] if start != owners[0] else list(owners)
        crossings = sum(a != b for a, b in pairwise(path))
        value, report = exact(spec, on), summary(spec, on, [result])
        assert report["copies"] == 4000
        assert abs(report["estimate"] - value) <= 5 * math.sqrt(value * (1 - value) / 4000) + 1e-9
        if efficiency == 1.0:
            assert result.totals.qubits_sent == crossings * 2 * 4000 and report["attempted_copies"] == 4000
        else:
            expected = 4000 / efficiency ** (2 * crossings)
            assert expected < report["attempted_copies"] < 1.3 * expected
        assert "idle" not in result.outcomes and result.clocks_ps["idle"] == 0


def test_a_circuit_that_never_leaves_its_party_costs_nothing() -> None:
    (result,) = carried_out(spec_of([rotations("b")]), network())
    assert result.totals.messages == 0 and result.virtual_time_ps == 0


def test_copies_take_the_time_of_light_and_emitter() -> None:
    """K copies in bins, pipelined through three crossings; nothing waits but for emitter and light."""
    physics = Fiber(length_km=2.0, emission_rate_hz=1e9)
    (result,) = carried_out(spec_of(alternating(2), 2, copies=50), network(physics))
    assert result.clocks_ps["a"] == 3 * (10_000_000 + 2 * 1000) + 49 * 2 * 1000


# ---------------------------------------------------------------- the rival's numbers


@pytest.mark.parametrize("window", [1, 3, 7, 20])
def test_a_window_waits_for_word_of_the_copies_before(window: int) -> None:
    """Three crossings of 50 us, and one more for the word that lets the next window begin."""
    spec = spec_of(alternating(2), copies=20, window=window)
    [result] = carried_out(spec, network(Fiber(length_km=10.0)))
    rounds = math.ceil(20 / window)
    assert result.links_idle_ps == (4 * rounds) * 50_000_000
    assert result.virtual_time_ps == (4 * rounds - 1) * 50_000_000  # nobody's result waits for the last word
    # What came of a window is a number of at most as many copies as it has.
    bits = [min(window, 20 - begin).bit_length() for begin in range(0, 20, window)]
    assert result.totals.control_bits == sum(bits) and result.totals.copies == 60
    [free] = carried_out(spec_of(alternating(2), copies=20), network(Fiber(length_km=10.0)))
    assert free.virtual_time_ps == free.links_idle_ps == 3 * 50_000_000 and free.totals.control_bits == 0


def test_more_bits_are_more_accurate_and_sixty_four_are_exact() -> None:
    widths = [3, 6, 10, 16, 24, 64]
    spec = spec_of(alternating(2), 5, dense_state={"bits": widths})
    on = network()
    value, report = exact(spec, on), summary(spec, on, carried_out(spec, on))
    errors = [abs(report["rivals"][f"dense-state-{bits}-bit"]["estimate"] - value) for bits in widths]
    # Each crossing is off by half a level at most in each of 2 N numbers, so by sqrt(2 N) 2^-b in norm;
    # the loss moves by at most twice that, and once more for dividing by the norm.
    assert all(
        error <= 4 * 3 * math.sqrt(64) * 2.0**-bits for error, bits in zip(errors[:-1], widths, strict=False)
    )
    assert errors[4] < errors[2] < errors[0] and errors[5] < 1e-12


@pytest.mark.parametrize("bits", [1, 2, 7, 31, 52])
def test_numbers_come_back_to_half_a_level(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for values in (
        rng.normal(size=33),
        rng.random(33),
        np.zeros(4),
        np.array([1e-300, -1e-300]),
        np.array([1e300]),
    ):
        back = unpack_numbers(pack_numbers(values, bits), len(values))
        signed = bool((values < 0).any())
        span = (2 if signed else 1) * (np.abs(values).max() or 1.0)
        levels = 2**bits - (1 if signed and bits > 1 else 0)
        rounded = 2.0 ** -max(31, bits + 3) + 1e-15  # of the scale
        assert np.abs(back - values).max() <= (0.5 / (levels - 1) + rounded) * span


def test_what_rounding_left_of_zero_makes_no_number_signed() -> None:
    values = np.array([0.5, 0.0, 0.25, 1e-17])
    one, other = pack_numbers(values, 3), pack_numbers(values - 3e-17, 3)
    assert one.scale == other.scale == 0.5 and one.codes.tobytes() == other.codes.tobytes()
    assert unpack_numbers(one, 4)[[1, 3]].tolist() == [0.0, 0.0]


def test_sixty_four_bits_are_the_numbers_themselves() -> None:
    values = np.array([0.1, -1e-310, 1e308, 0.0, -0.0])
    assert unpack_numbers(pack_numbers(values, 64), 5).tobytes() == values.tobytes()
    assert pack_numbers(values, 64).payload_bits == 320 and pack_numbers(values, 8).payload_bits == 40 + 64


@pytest.mark.parametrize(
    "message",
    [
        pack_numbers(np.ones(3), 8),
        Packed(4, 60, 1.0, 4, np.zeros(30, dtype=np.uint8)),
        Packed(4, 8, 0.0, 4, np.zeros(4, dtype=np.uint8)),
        Packed(4, 8, float("inf"), 4, np.zeros(4, dtype=np.uint8)),
        Packed(4, 8, 1.0, 9, np.zeros(4, dtype=np.uint8), np.arange(4, dtype=np.uint32)),
        pack_numbers(np.array([1.0, 2.0, np.nan, 3.0]), 64),
    ],
)
def test_numbers_that_nobody_packed_are_the_sender_s_fault(message: Packed) -> None:
    with pytest.raises(RemoteProtocolError):
        unpack_numbers(message, 4)


def test_no_quantiser_has_53_bits() -> None:
    with pytest.raises(LocalProtocolError):
        pack_numbers(np.ones(3), 53)


# ---------------------------------------------------------------- refusals


def test_copies_follow_from_the_promise() -> None:
    spec = spec_of(alternating(1), copies=None, epsilon=0.02, delta=0.05)
    assert spec.measured_copies == count_for(0.02, 0.05)


def test_a_contraction_that_leaves_nothing_is_told() -> None:
    kills = {"at": "a", "layer": "contraction", "matrix": {"values": [[0.0, 0.0], [0.0, 0.5]]}}
    spec = spec_of(
        [{"at": "a", "layer": "signs", "signs": {"values": [1, 1]}}, kills], 1, "b", budget_attempts=1000
    )
    with pytest.raises(
        ScenarioError, match=r"protocol.budget_attempts: 1000 given, but of \d+ .* 0 came through"
    ):
        carried_out(spec, network())
    with pytest.raises(ScenarioError, match=r"protocol.layers: the contractions leave nothing"):
        exact(spec, network())


def test_hopeless_paths_are_refused_before_they_start() -> None:
    on = network(Fiber(length_km=10.0, loss_db_per_km=0.2))
    spec = spec_of(alternating(2), 8, copies=2000)
    with pytest.raises(
        ScenarioError, match=r"protocol.copies: 2000 measured copies need about 1.3e\+08 attempts"
    ):
        carried_out(spec, on)
