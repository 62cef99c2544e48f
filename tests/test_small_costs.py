"""What is done once, and not for each launch, class, draw or wave: counted, not timed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from ketwire.channels.streams import stream
from ketwire.nodes import threads
from ketwire.nodes.inline import run_inline
from ketwire.protocols.classifiers import Subspaces
from ketwire.quantum import half_spaces
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
