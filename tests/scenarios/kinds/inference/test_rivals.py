"""Rivals of inference: the state, its description, a sketch of it; what they cost and how accurate they are."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ketwire.errors import RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.protocols import sketch
from ketwire.protocols.descriptions import pack_angles, pack_answers, unpack_angles, unpack_answers
from ketwire.protocols.inference_rivals import pack_signs
from ketwire.protocols.numbers import unpack_numbers
from ketwire.scenarios.kinds.inference.rivals import as_accurate, promise_of
from ketwire.scenarios.kinds.result import RunResult
from ketwire.scenarios.load import Loaded, validate
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.runs.table import table_text

Data = dict[str, Any]


def rotations(at: str, **changed: Any) -> Data:
    return {"at": at, "layer": "rotations", "angles": {"random": "angles"}, **changed}


def scenario(layers: list[Data], links: str = "ab", seed: int = 1, **protocol: Any) -> Loaded:
    given = {"kind": "inference", "qubits": 3, "start": layers[0]["at"], "layers": layers, "dense_state": None}
    if "epsilon" not in protocol:
        given["copies"] = 100
    data: Data = {
        "seed": seed,
        "nodes": {name: {} for name in links},
        "links": [{"between": list(pair), "fiber": "ideal", "length_km": 1} for pair in pairwise(links)],
        "protocol": {**given, **protocol},
    }
    return validate(data, "test", "test", ".")


def launched(loaded: Loaded, check: bool = True) -> RunResult:
    return launch(loaded, lambda run, *_: run_inline(run), Options(progress=False, check=check))


def outcome(loaded: Loaded, check: bool = True) -> Data:
    return launched(loaded, check).told()


# ---------------------------------------------------------------- description


def test_angles_at_eight_bits_beat_registers_and_states() -> None:
    """Fourteen qubits and three crossings: 56 angles, and the answer is off by some thousandths."""
    layers = [rotations(at) for at in "baba"]
    errors = []
    for seed in range(6):
        loaded = scenario(layers, seed=seed, qubits=14, dense_state={"bits": [8]}, start="b")
        result = launched(loaded)
        told = result.told()
        assert told["rivals"]["description-8-bit"]["bits"] == 56 * 8 == 448
        assert told["qubits_sent"] == 4200 and told["rivals"]["dense-state-8-bit"]["bits"] > 700_000
        won = "the classical rival description-8-bit wins on communication by a factor of 9.38"
        assert told["verdict"].startswith(won)
        assert "no rival sends a seed" in told["assumption"] and told["assumption"] in table_text(result)
        errors.append(told["rivals"]["description-8-bit"]["error"])
    # Each angle is off by 2π/2^8/√12 = 0.007 rms, each derivative is 1/2 at most: far less than √56 of these.
    assert 1e-5 < max(errors) < 4 * math.sqrt(56) * 0.007 / 2


@pytest.mark.parametrize(
    ("owners", "start"),  # over the links a-b and b-c
    [("abcba", "a"), ("abcba", "b"), ("cbabc", "b"), ("cbabc", "c"), ("bcbab", "a"), ("bcbab", "b"), ("bcbab", "c")],
)
def test_at_full_width_a_description_is_exact(owners: str, start: str) -> None:
    """Whoever collects, over however many links, and whoever is last."""
    sublayers = {"a": 3, "b": 1, "c": 2}
    layers = [rotations(at, sublayers=sublayers[at]) for at in owners]
    told = outcome(scenario(layers, "abc", start=start, description=[64, 12], qubits=2))
    assert told["rivals"]["description-64-bit"]["error"] < 1e-12
    assert told["rivals"]["description-12-bit"]["error"] < 0.02


def test_who_holds_most_collects_and_each_link_is_counted() -> None:
    """Alice's 24 angles stay; Carol's 4 cross two links, Bob's 4 one, and the answer goes on to Carol over two."""
    layers = [rotations("a", sublayers=6), rotations("b"), rotations("c")]
    rivals = outcome(scenario(layers, "abc", qubits=2, description=[8, 3, 50, 64]))["rivals"]
    for bits, answer in ((8, 16), (3, 11), (50, 52), (64, 64)):
        assert rivals[f"description-{bits}-bit"]["bits"] == (4 * 2 + 4) * bits + 2 * answer


def test_one_node_may_hold_more_than_angles() -> None:
    matrix = {"at": "a", "layer": "phases", "values": {"random": "normal"}}
    layers = [rotations("a"), matrix, rotations("b"), rotations("a")]
    told = outcome(scenario(layers, input={"random": "normal"}, description=[9]))
    rival = told["rivals"]["description-9-bit"]
    assert rival["bits"] == 6 * 9 and rival["error"] < 0.05  # Bob's; Alice has the answer herself


@pytest.mark.parametrize(
    ("layers", "change", "told"),
    [
        ([{"at": "b", "layer": "signs", "signs": {"values": [1] * 8}}, rotations("a")], {"start": "a",
          "input": {"random": "normal"}}, "a and b hold more than angles"),
        ([rotations("a")], {}, "the register never leaves its node"),
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_is_refused_where_it_is_asked_for(
    layers: list[Data], change: Data, told: str
) -> None:
    with pytest.raises(ScenarioError, match=rf"protocol.description: \[8\] given, expected \[\] or null, as {told}"):
        scenario(layers, description=[8], **change).run()
    names = [each.name for each in scenario(layers, **change).run().sessions]
    assert not any("description" in name for name in names)


@pytest.mark.parametrize("bits", [1, 5, 8, 52])
def test_angles_come_back_to_half_a_step_of_a_turn(bits: int) -> None:
    angles = np.random.default_rng(bits).uniform(-30, 30, 200)
    message = pack_angles(angles, bits)
    assert message.payload_bits == 200 * bits
    off = np.abs(np.mod(unpack_angles(message, bits, 200) - angles + math.pi, 2 * math.pi) - math.pi)
    assert off.max() <= math.pi / 2**bits + 1e-12
    assert unpack_angles(pack_angles(angles, 64), 64, 200).tobytes() == angles.tobytes()
    with pytest.raises(RemoteProtocolError, match="expected 199"):
        unpack_angles(message, bits, 199)


@pytest.mark.parametrize("bits", [1, 8, 44, 52])
@pytest.mark.parametrize("signed", [False, True])
def test_answers_are_off_by_a_256th_of_a_step_of_angles(bits: int, signed: bool) -> None:
    values = np.random.default_rng(bits).uniform(-0.5 if signed else 0.0, 0.5, 200)
    width = min(bits + 8, 52)
    message = pack_answers(values, bits, 0.5, signed)
    assert message.payload_bits == 200 * width and message.scale == 0.0
    off = np.abs(unpack_answers(message, bits, 200, 0.5, signed) - values)
    assert off.max() <= 2.0**-width * (1.01 if signed else 0.51)
    exact = unpack_answers(pack_answers(values, 64, 0.5, signed), 64, 200, 0.5, signed)
    assert exact.tobytes() == values.tobytes()
    with pytest.raises(RemoteProtocolError, match=f"200 numbers of {width} bits came as an answer, expected 199 of"):
        unpack_answers(message, bits, 199, 0.5, signed)
    with pytest.raises(RemoteProtocolError, match="came as an answer, expected 200 of 64"):
        unpack_answers(message, 64, 200, 0.5, signed)


# ---------------------------------------------------------------- dense states


def test_real_states_cost_half_and_one_bit_is_a_sign() -> None:
    """Real rotations of a real input keep it real: eight numbers; a phase makes it complex: sixteen."""
    real = [rotations("a", axes=["y"]), rotations("b")]
    widths = {"bits": [1, 8, 64]}
    told = outcome(scenario(real, dense_state=widths, input={"random": "normal"}))["rivals"]
    assert [told[f"dense-state-{b}-bit"]["bits"] for b in (1, 8, 64)] == [1 + 8 + 64, 1 + 64 + 64, 1 + 512]
    assert told["dense-state-64-bit"]["error"] < 1e-12 and told["dense-state-8-bit"]["error"] < 0.02
    told = outcome(scenario([rotations("a"), rotations("b")], dense_state=widths, input={"random": "normal"}))["rivals"]
    assert [told[f"dense-state-{b}-bit"]["bits"] for b in (1, 8, 64)] == [1 + 16 + 64, 1 + 128 + 64, 1 + 1024]
    assert told["dense-state-64-bit"]["error"] < 1e-12


def test_signs_keep_the_direction_as_well_as_one_bit_can() -> None:
    """The cosine of Gaussian numbers and their signs is sqrt(2/π); the scale is the least squares one."""
    numbers = np.random.default_rng(1).standard_normal(100_000)
    back = unpack_numbers(pack_signs(numbers, 1), len(numbers))
    assert set(np.sign(back) * np.sign(numbers)) == {1.0}
    cosine = back @ numbers / np.linalg.norm(back) / np.linalg.norm(numbers)
    assert abs(cosine - math.sqrt(2 / math.pi)) < 0.01
    best = (np.abs(back[0]) * np.sign(numbers) @ numbers) / (back @ back)
    assert best == pytest.approx(1.0, abs=1e-6)


# ---------------------------------------------------------------- sketch


def test_as_many_signs_as_the_variance_asks_for() -> None:
    for epsilon, delta, dimension in ((0.1, 0.05, 4096), (0.1, 0.05, 64), (0.03, 0.01, 1024)):
        m = sketch.signs_for(epsilon, delta, dimension)
        z = {0.05: 1.959964, 0.01: 2.575829}[delta]
        off = [z * math.sqrt(math.pi**2 / 8 * dimension / k**2 + math.pi / 2 / k) for k in (m, m - 1)]
        assert off[0] <= epsilon < off[1]
    # Nearly twenty times fewer bits than a dense state at 4 bits has, and fewer than 12 qubits of 185 copies.
    assert 1_578 < sketch.signs_for(0.1, 0.05, 4096) < 2_220


def sketched(x: np.ndarray, unitary: np.ndarray, count: int, trials: int) -> np.ndarray:
    """Estimates from as many keys; x complex or real."""
    real = not np.iscomplexobj(x)
    numbers = x if real else np.concatenate([x.real, x.imag])
    found = []
    for trial in range(trials):
        key = trial.to_bytes(32, "little")
        y = sketch.summed(sketch.signs_of(numbers, key, count), key, len(numbers))
        whole = y.astype(np.complex128) if real else y[: len(x)] + 1j * y[len(x) :]
        found.append(sketch.estimated(unitary @ whole, count))
    return np.array(found)


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("share", [0.5, 0.85])
def test_a_sketch_has_no_bias_and_the_variance_of_its_formula(kind: str, share: float) -> None:
    """Real vectors under a complex unitary too. 5 standard errors of the mean, of the variance and of a share."""
    rng = np.random.default_rng(3)
    N, trials, epsilon, delta = 16, 600, 0.15, 0.05
    unitary = np.linalg.qr(rng.standard_normal((N, N)) + 1j * rng.standard_normal((N, N)))[0]
    if kind == "real":
        # The extremes of a real vector are those of the real part of M.
        values, vectors = np.linalg.eigh((unitary[: N // 2].conj().T @ unitary[: N // 2]).real)
        top, bottom = vectors[:, -1], vectors[:, 0]
        mix = (share - values[0]) / (values[-1] - values[0])
        x = math.sqrt(mix) * top + math.sqrt(1 - mix) * bottom
        dimension = N
    else:
        inside = unitary.conj().T @ np.repeat([math.sqrt(share), math.sqrt(1 - share)], N // 2)
        x = inside / np.linalg.norm(inside)
        dimension = 2 * N
    count = sketch.signs_for(epsilon, delta, dimension)
    found = sketched(x, unitary, count, trials)
    variance = math.pi**2 / 8 * dimension / count**2 + (math.pi / 2 - 4 * (share - 0.5) ** 2) / count
    if kind == "real":  # |Re(M) x|² is less than 1/4
        assert found.var() < variance * (1 + 5 * math.sqrt(2 / trials))
    else:
        assert abs(found.var() / variance - 1) < 5 * math.sqrt(2 / trials) + 2 / math.sqrt(count)
    assert abs(found.mean() - share) < 5 * math.sqrt(variance / trials)
    missed = (np.abs(found - share) > epsilon).mean()
    assert missed < delta + 5 * math.sqrt(delta * (1 - delta) / trials)


def test_blocks_of_projections_change_nothing_but_their_rounding() -> None:
    key, numbers = bytes(32), np.random.default_rng(2).standard_normal(64)
    rows = np.concatenate([rows for _, rows in sketch.projections(key, 40_000, 64)])
    assert len(rows) == 40_000 and np.abs(np.cov(rows.T) - np.eye(64)).max() < 0.05
    positive = sketch.signs_of(numbers, key, 40_000)
    assert (positive == (rows @ numbers >= 0)).all()
    np.testing.assert_allclose(sketch.summed(positive, key, 64), (2.0 * positive - 1) @ rows, atol=1e-9)


@pytest.mark.parametrize("complex_too", [False, True])
def test_a_sketch_runs_over_the_wire_at_its_price(complex_too: bool) -> None:
    """Both sides work out how many signs from what the sender says of its state in one bit."""
    layers = [rotations("a", axes=["y", "z"] if complex_too else ["y"]), rotations("b")]
    loaded = scenario(layers, qubits=6, epsilon=0.1, delta=0.05, input={"random": "normal"})
    told = outcome(loaded)
    rival = told["rivals"]["sketch"]
    assert rival["bits"] == 1 + sketch.signs_for(0.1, 0.05, 128 if complex_too else 64)
    assert rival["error"] < 0.2 and rival["comparable"]
    run = loaded.run()
    apart, inline = run_processes(run), run_inline(run)
    assert [each.transcript_sha256 for each in apart] == [each.transcript_sha256 for each in inline]


@pytest.mark.parametrize(
    ("layers", "change", "told"),
    [
        ([rotations(at) for at in "aba"], {}, "the register crosses 2 times"),
        ([rotations("a"), {"at": "b", "layer": "contraction", "matrix": {"values": np.eye(8).tolist()}}], {},
         "a layer is a contraction"),
        ([rotations("a"), rotations("b")], {"copies": 10**9}, "either side would draw more than"),
    ],
)  # fmt: skip
def test_a_sketch_that_cannot_be_is_refused_where_it_is_asked_for(layers: list[Data], change: Data, told: str) -> None:
    with pytest.raises(ScenarioError, match=f"protocol.sketch: true given, expected false or null, as {told}"):
        scenario(layers, sketch=True, **change).run()
    assert "sketch" not in [each.name for each in scenario(layers, **change).run().sessions]


# ---------------------------------------------------------------- who was as accurate


def test_rivals_are_sized_and_judged_by_the_promise_of_the_copies() -> None:
    spec = scenario([rotations("a"), rotations("b")], copies=None, epsilon=0.1, delta=0.05).scenario.protocol
    assert promise_of(spec) == (0.1, 0.05)
    spec = scenario([rotations("a"), rotations("b")], copies=96).scenario.protocol
    assert promise_of(spec) == (pytest.approx(0.1, abs=1e-3), 0.05)
    estimates = {"dense-state-1-bit": 0.7, "dense-state-64-bit": 0.5, "sketch": 0.9}
    assert as_accurate(estimates, 0.69, 0.1, None) == {
        "dense-state-1-bit": False, "dense-state-64-bit": True, "sketch": True,
    }  # fmt: skip
    del estimates["dense-state-64-bit"]
    assert as_accurate(estimates, 0.69, 0.1, None)["dense-state-1-bit"]
    assert not as_accurate(estimates, 0.69, 0.1, 0.5)["dense-state-1-bit"]


def test_a_rival_that_is_off_by_more_does_not_win() -> None:
    """Signs of a state whose amplitudes are two, and six almost none."""
    vector = {"values": [1.0, 1.0, 0.01, 0.01, -0.01, 0.01, 0.01, -0.01]}
    layers = [{"at": "b", "layer": "signs", "signs": {"values": [1] * 8}}]
    told = outcome(scenario(layers, start="a", input=vector, description=[], sketch=False, dense_state={"bits": [1]}))
    assert told["rivals"]["dense-state-1-bit"]["comparable"] is False
    assert re.match(r"nobody wins: no rival that ran was as accurate", told["verdict"])
