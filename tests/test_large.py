"""Large networks: what a run costs grows with the number of nodes, and no faster."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import ketwire
from ketwire.nodes.inline import run_inline
from ketwire.protocols.inference_rivals import DenseStateParty, DenseStateSlice
from ketwire.protocols.layers import Part
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.launch import Options, launch

OURS = str(Path(ketwire.__file__).parent)
NODES, FEW, MOST_TIMES = 1000, 50, 25


def ring(folder: Path, nodes: int, **link: Any) -> str:
    """A register that crosses once around a ring, each node with a layer of its own."""
    layers = [{"at": f"n{(visit + 1) % nodes}", "layer": "hadamards"} for visit in range(nodes)]
    protocol = {"kind": "inference", "qubits": 2, "start": "n0", "layers": layers, "copies": 20}
    topology = {"ring": nodes, "link": {"fiber": "ideal", "length_km": 1, **link}}
    path = folder / f"ring{nodes}.yaml"
    path.write_text(json.dumps({"seed": 1, "topology": topology, "protocol": protocol}))
    return str(path)


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of ketwire are executed."""
    count = 0

    def local(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return local

    def begun(frame: FrameType, event: str, argument: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(OURS) else None

    before = sys.gettrace()
    sys.settrace(begun)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    "link", [pytest.param({}, marks=pytest.mark.long), {"p_init": 1e-4}], ids=["certain", "with reports"]
)
def test_a_run_costs_no_more_than_25_times_for_20_times_the_nodes(tmp_path: Path, link: dict[str, Any]) -> None:
    """Lines at three sizes are a polynomial of second degree in the number of nodes, which says what 1,000 cost."""
    sizes = np.array([10, 20, 40])
    paths = [ring(tmp_path, int(nodes), **link) for nodes in (5, *sizes)]
    _, *found = (lines_of(lambda path=path: launch(load(path), run_inline, Options(progress=False))) for path in paths)
    assert min(found) > 10_000, "the work is seen"
    grows = np.polynomial.Polynomial.fit(sizes, found, 2)
    assert grows(NODES) <= MOST_TIMES * grows(FEW)


@pytest.mark.long
def test_a_register_goes_around_a_thousand_nodes(tmp_path: Path) -> None:
    """Signs alone, at a thousand crossings, leave amplitudes whose squares are no numbers any more."""
    result = launch(load(ring(tmp_path, NODES)), run_inline, Options(progress=False))
    assert result.qubits_delivered == 2 * 20 * NODES and result.estimate == 1.0
    assert result.rivals["dense-state-1-bit"].estimate == pytest.approx(1.0)


def test_tiny_amplitudes_have_a_loss() -> None:
    vector = np.array([3e-250, 4e-250], dtype=np.complex128)
    party = DenseStateParty(DenseStateSlice(Part(("alice",), 1), 1), lambda key, source: {})
    assert party.loss(vector) == pytest.approx(9 / 25)
