"""What is done once, and not for each launch, class, draw or wave: counted, not timed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from ketwire.channels.copies import Copies
from ketwire.channels.line import Line
from ketwire.channels.link import Direction
from ketwire.channels.presets import fiber
from ketwire.channels.streams import stream
from ketwire.channels.transports import Teleport
from ketwire.nodes import threads
from ketwire.nodes.inline import run_inline
from ketwire.protocols.classifiers import Subspaces
from ketwire.quantum import half_spaces
from ketwire.quantum.controlled import controlled
from ketwire.quantum.engines.dispatch import apply
from ketwire.quantum.engines.plan import Local, Multiply, Phases
from ketwire.quantum.layers import entangler, rotations
from ketwire.quantum.sampling import sample, split
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.launch import Options, launch
from ketwire.scenarios.schema import chains

SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 1}]
protocol: {kind: inference, qubits: 1, start: alice, layers: [{at: bob, layer: hadamards}], copies: 1}
"""


def test_a_second_launch_looks_for_no_libraries_and_makes_each_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "small.yaml"
    scenario.write_text(SCENARIO)

    def again() -> None:
        launch(load(str(scenario)), lambda run, *_: run_inline(run), Options(progress=False))

    again()
    looked, lines, make = [], [], chains.line
    controller = threadpoolctl.ThreadpoolController
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: looked.append(1) or controller())
    monkeypatch.setattr(chains, "line", lambda *given: lines.append(given[3:]) or make(*given))
    again()
    assert not looked and lines == [("alice", "bob"), ("bob", "alice")]


def test_libraries_that_came_with_a_module_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    threads.one_thread()
    looked: list[int] = []
    monkeypatch.setattr(threads, "ThreadpoolController", lambda: looked.append(1) or _Nothing())
    monkeypatch.setitem(__import__("sys").modules, "a_module_of_this_test", threads)
    threads.one_thread()
    threads.one_thread()
    assert looked == [1]
    threads._controller.cache_clear()


class _Nothing:
    def limit(self, limits: int) -> None:
        assert limits == 1


def test_a_named_stream_is_the_philox_generator_of_its_key_and_asks_the_system_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = hashlib.sha256(bytes(31) + (3).to_bytes(8, "little") + b"loss").digest()[:16]
    expected = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    monkeypatch.setattr("os.urandom", lambda size: pytest.fail("the system was asked for a seed"))
    monkeypatch.setattr("random.SystemRandom.getrandbits", lambda self, bits: pytest.fail("a seed was asked for"))
    found = stream(bytes(31), "loss", 3)
    assert (found.integers(1 << 62, size=9) == expected.integers(1 << 62, size=9)).all()
    assert (found.normal(size=9) == expected.normal(size=9)).all()


def test_subspaces_of_several_dimensions_come_from_one_decomposition_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, decomposed = np.random.default_rng(1), list[int]()
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda rows, **how: decomposed.append(len(rows)) or svd(rows, **how))
    found = Subspaces.train(rng.standard_normal((60, 12)), np.arange(60) % 3, 3, (1, 2, 4, 8, 16))
    assert decomposed == [20, 20, 20]
    assert [None if bases is None else bases.shape[1] for bases in found.bases] == [1, 2, 4, 8, None]


@pytest.mark.parametrize("qubits", [1, 3, 8])
def test_a_transform_takes_one_pass_a_qubit(qubits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    added, add = list[int](), np.add
    rows = np.random.default_rng(2).standard_normal((5, 1 << qubits))
    expected = rows
    for place in range(qubits):
        pairs = expected.reshape(5, 1 << place, 2, -1)
        expected = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2).reshape(5, -1)
    monkeypatch.setattr(np, "add", lambda a, b, out: added.append(a.size) or add(a, b, out=out))
    found = half_spaces.walsh_hadamard(rows)
    assert added == [5 << (qubits - 1)] * qubits
    assert np.abs(found - expected / 2 ** (qubits / 2)).max() < 1e-13


def test_constant_diagonals_in_a_row_are_one_step_on_a_small_register() -> None:
    layer = controlled(rotations(5, "yz") + entangler(5))
    assert [type(step) for step in layer.steps] == [Local, Multiply]
    states = np.random.default_rng(3).standard_normal((4, 64)) + 0j
    angles = np.linspace(-1.0, 2.0, layer.parameter_count)
    assert np.abs(apply(layer, states, angles) - states @ layer.unitary(angles).T).max() < 1e-12


def test_a_layer_works_its_angles_out_once_however_many_rows_come(monkeypatch: pytest.MonkeyPatch) -> None:
    worked_out, exponentials = list[int](), Phases.exponentials
    monkeypatch.setattr(Phases, "exponentials", lambda self, p: worked_out.append(1) or exponentials(self, p))
    layer = rotations(5, "yz") + entangler(5)
    states = np.random.default_rng(3).standard_normal((9, 32)) + 0j
    for angles in (np.linspace(-1.0, 2.0, 10), np.linspace(-2.0, 1.0, 10)):
        for rows in (9, 1, 2, 3, 4):
            found = apply(layer, states[:rows], angles)
            assert np.abs(found - states[:rows] @ layer.unitary(angles).T).max() < 1e-12
    assert len(worked_out) == 2


def test_outcomes_that_no_copies_can_have_are_passed_over_and_change_no_draw() -> None:
    laws = np.random.default_rng(3).dirichlet(np.ones(16), size=7)
    copies, asked = np.array([3, 0, 1, 2, 0, 5, 1]), list[int]()

    class Counted(np.random.Generator):
        def binomial(self, counts: Any, chances: Any) -> Any:
            asked.append(np.size(counts))
            return super().binomial(counts, chances)

    found = sample(laws, copies, Counted(np.random.Philox(5)))
    rng, left = np.random.Generator(np.random.Philox(5)), copies[:, None]
    for width in (8, 4, 2, 1):
        sums = laws.reshape(7, -1, 2, width).sum(axis=3)
        first = rng.binomial(left, split(sums[..., 0], sums[..., 1]))
        left = np.stack([first, left - first], axis=2).reshape(7, -1)
    assert (found == left).all() and (found.sum(axis=1) == copies).all()
    assert asked[0] == 7 and max(asked[1:]) <= copies.sum()


@pytest.mark.parametrize(("visibility", "drawn"), [(1.0, ["pairs"]), (0.9, ["pairs", "noise"])])
def test_a_perfect_pair_draws_no_errors(visibility: float, drawn: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line, asked = Line(fiber("telecom-fiber", length_km=1.0), transport=Teleport(visibility=visibility)), list[str]()
    direction = Direction("a->b", line, bytes(32))
    draw = direction._draw
    monkeypatch.setattr(direction, "_draw", lambda purpose: asked.append(purpose) or draw(purpose))
    direction.carry(Copies.in_step(np.eye(1, 2, dtype=np.complex128), 3, 0, fresh=True), 0)
    assert asked == drawn
