"""What --check says of a training's gradients, whoever errs and however they are estimated: noise apart from shots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ketwire.channels.hardware import Hardware
from ketwire.channels.line import Line
from ketwire.channels.parts import Noise
from ketwire.nodes.inline import run_inline
from ketwire.nodes.session import Link
from tests.kit import IDEAL
from tests.scenarios.kinds.training.test_kind import (
    ANGLES,
    KIND,
    LABELS,
    LOSSY,
    ROWS,
    network,
    outputs,
    run_of,
    slopes_of,
    spec_of,
)

SHIFT = "parameter-shift"
SAMPLED = ("commuting", "direct", "random-coordinate", SHIFT)
ERRING = {  # without times: copies that wait for a processor in memories that forget tell less, the more there are
    "a": Hardware(p_prepare=0.01, p_gate1=0.005, p_gate2=0.01, p_readout=0.02),
    "b": Hardware(p_gate2=0.03),
}
SHORT: dict[str, Any] = {"steps": 1, "test_copies": 1, "batch": 4}


def errors(hardware: Mapping[str, Hardware], line: Line | None = None, **changed: Any) -> dict[str, list[float]]:
    """`gradient_error` of a training of a | b | a."""
    line = line or Line(IDEAL)
    on = replace(network(), hardware=dict(hardware), links=(Link(("a", "b"), line, line),))
    spec = spec_of(**{**SHORT, **changed})
    run = replace(run_of(spec, on), hardware=dict(hardware))
    told = KIND.retraced(spec, on, run, run_inline(run)).gradient_error
    assert told is not None
    return told.told()


def sampled(estimator: str, copies: int) -> dict[str, Any]:
    return {"estimator": estimator, "copies": copies, "loss_copies": copies}


@pytest.mark.parametrize("estimator", SAMPLED)
@pytest.mark.parametrize("line", [LOSSY, pytest.param(IDEAL, marks=pytest.mark.long)], ids=["lossy", "ideal"])
def test_perfect_nodes_make_no_noise(estimator: str, line: Any) -> None:
    """Losses are none, and which copy is read how, drawn or dealt, counts as shots: 9 copies do not come out even."""
    told = errors({}, Line(line), **sampled(estimator, 9), steps=2, batch=4)
    assert max(told["from_noise"]) < 1e-12
    assert told["from_shots"] == pytest.approx(told["relative"], rel=1e-9) and min(told["relative"]) > 0.01


@pytest.mark.parametrize(("estimator", "window"), [*((name, None) for name in ("exact", *SAMPLED)), ("direct", 7)])
def test_misread_bits_shrink_by_known_factors(estimator: str, window: int | None) -> None:
    """z and each shifted run are one bit, read by a: 1 - 2p. A derivative from |Phi> is a parity of its owner's two.

    No copy differs from another, so nothing of this depends on how many there are.
    """
    a, b = 0.1, 0.2
    copies = {"estimator": "exact"} if estimator == "exact" else sampled(estimator, 9)
    hardware = {"a": Hardware(p_readout=a, readout_ps=5), "b": Hardware(p_readout=b)}
    told = errors(hardware, **copies, window=window, batch=None)
    angles, labels = ANGLES.reshape(-1), np.where(np.array(LABELS) == 8, 1.0, -1.0)
    z, slopes = outputs(angles, ROWS), slopes_of(angles, ROWS)
    shrunk = (1 - 2 * a) * z
    factors = np.full(12, 1 - 2 * a) if estimator == SHIFT else np.repeat([1 - 2 * a, 1 - 2 * b, 1 - 2 * a], 4) ** 2
    exact = 2 * (z - labels) @ slopes / 12
    noisy = 2 * (shrunk - labels) @ slopes / 12 * factors
    expected = np.linalg.norm(noisy - exact) / np.linalg.norm(exact)
    assert told["from_noise"] == pytest.approx([expected], abs=1e-12) and expected > 0.1
    assert told["norm"] == pytest.approx([np.linalg.norm(exact)], rel=1e-12)
    if estimator == "exact":
        assert max(told["from_shots"]) < 1e-10  # outcomes are read by products with the same bits everywhere


@pytest.mark.parametrize(
    "estimator", [pytest.param(each, marks=() if each == SHIFT else pytest.mark.long) for each in SAMPLED]
)
def test_shots_shrink_as_the_root_of_copies_and_noise_does_not(estimator: str) -> None:
    noisy = Line(IDEAL, (Noise("dephasing", probability=0.05),))
    few, many = (errors(ERRING, noisy, **sampled(estimator, copies)) for copies in (9, 900))
    assert 3 < few["from_shots"][0] / many["from_shots"][0] < 30  # about 10
    assert many["from_noise"][0] > 0.2 and 0.6 < few["from_noise"][0] / many["from_noise"][0] < 1.6


def test_who_reads_blocks_dealt_or_drawn_has_the_same_mean() -> None:
    """Up to the errors that so many copies happened to meet."""
    told = [errors(ERRING, **sampled(name, 600))["from_noise"][0] for name in ("commuting", "random-coordinate")]
    assert told[0] == pytest.approx(told[1], rel=0.1) and min(told) > 0.1
