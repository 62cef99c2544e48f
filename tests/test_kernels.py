"""The same transcripts and the same figures on every kernel: `make test-kernels`.

OpenBLAS, NumPy and numba choose their code by the processor. Variables of the environment, set for child
processes alone, make them choose otherwise; ten digits of every figure and every transcript must stay.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.test_packaged import NAMES, SHORT, TRAININGS

pytestmark = pytest.mark.kernels

ROOT = Path(__file__).parents[1]
BLAS = ("Haswell", "Prescott", "Sandybridge")
RANDOM = 20
GROUP = 3
Case = tuple[str, list[str]]

skip_where_chosen = pytest.mark.skipif(
    "OPENBLAS_CORETYPE" in os.environ, reason=f"OPENBLAS_CORETYPE={os.environ.get('OPENBLAS_CORETYPE')} is set here"
)


def numpy_features(only: str = "") -> str:
    """What NumPy was built to use beyond its baseline and this machine has, of names that begin so."""
    try:
        from numpy._core import _multiarray_umath as core
    except ImportError:  # before NumPy 2
        from numpy.core import _multiarray_umath as core  # type: ignore[no-redef]
    has = core.__cpu_features__
    avx512 = ("AVX512", "X86_V4")
    names = [name for name in core.__cpu_dispatch__ if has.get(name)]
    return " ".join(name for name in names if not only or name.startswith(avx512))


def outcome(cases: list[Case], fused: bool = False, **environment: str) -> list[dict[str, Any]]:
    """What the child says of each case under these variables."""
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernel_child"], input=json.dumps({"fused": fused, "cases": cases}), text=True,
        capture_output=True, cwd=ROOT, env={**os.environ, **one, **environment}, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, (cases, done.stderr[-2000:])
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(one: Any, other: Any) -> bool:
    """To ten digits, of what is larger than 1e-10 at all."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-10, abs_tol=1e-10) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def compare(cases: list[Case], wanted: list[dict[str, Any]], found: list[dict[str, Any]], where: str) -> None:
    assert len(wanted) == len(found) == len(cases)
    for case, one, other in zip(cases, wanted, found, strict=True):
        torn = [name for name, digest in one["hashes"].items() if other["hashes"].get(name) != digest]
        assert not torn, f"{where}: {case[0]}: other transcripts of {torn}"
        assert same(one["figures"], other["figures"]), f"{where}: {case[0]}: {one['figures']} {other['figures']}"


def variations() -> Iterator[tuple[str, dict[str, str]]]:
    for name in BLAS:
        yield name, {"OPENBLAS_CORETYPE": name}
    if features := numpy_features("AVX512"):
        yield "no AVX512", {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": features}
    if features := numpy_features():
        yield "NumPy's baseline", {"NPY_DISABLE_CPU_FEATURES": features}


# ---------------------------------------------------------------- scenarios at random


def scenario(number: int) -> dict[str, Any]:
    """One of the random scenarios: every kind, transport, representation and sort of estimator among them."""
    rng = np.random.default_rng(number)
    kind = (inference, gradient, promise, training, decoys)[number % 5]
    memory = {"t1_s": 0.004, "t2_s": 0.003} if number >= 15 and kind not in (training, decoys) else {}
    made: dict[str, Any] = {"seed": number, "nodes": {"alice": memory, "bob": memory}}
    return {**made, **kind(rng, number // 5)}


def link(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    """Between alice and bob: quiet, noisy, coded, or by pairs; short enough for few attempts."""
    ends = {"between": ["alice", "bob"], "fiber": "telecom-fiber", "length_km": round(float(rng.uniform(0.1, 0.4)), 2)}
    noise = [{"kind": str(rng.choice(["depolarizing", "dephasing", "amplitude-damping"])), "probability": 0.02}]
    return [
        ends,
        {**ends, "noise": noise},
        {**ends, "transport": "coded", "code": "[[4,2,2]]"},
        {**ends, "transport": "teleport", "scheme": "double-click", "memory_slots": 4},
    ][turn % 4]


def layer(rng: np.random.Generator, qubits: int, contractions: bool) -> dict[str, Any]:
    """One layer of either party, with angles that are random or multiples of pi / 2."""
    count = 2 * qubits
    angles: dict[str, Any] = {"random": "angles"}
    if rng.integers(2):
        angles = {"values": (np.pi / 2 * rng.integers(0, 4, count)).tolist()}
    turn = {"layer": "rotations", "axes": ["y", "z"], "entangle": str(rng.choice(["cz-ring", "cnot-chain", "none"]))}
    matrix = np.linalg.qr(rng.standard_normal((1 << qubits, 1 << qubits)))[0] * rng.uniform(0.8, 1.0, 1 << qubits)
    return [
        {**turn, "angles": angles},
        {"layer": "hadamards"},
        {"layer": "householder", "vector": {"random": "normal"}},
        {"layer": "signs", "signs": {"random": "signs"}},
        {"layer": "contraction", "matrix": {"values": np.round(matrix, 6).tolist()}},
    ][int(rng.integers(5 if contractions and qubits < 4 else 4))]


def layers(rng: np.random.Generator, qubits: int, count: int, contractions: bool) -> list[dict[str, Any]]:
    return [{"at": ("alice", "bob")[place % 2], **layer(rng, qubits, contractions)} for place in range(count)]


def inference(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    qubits = int(rng.integers(2, 6))
    protocol = {
        "kind": "inference", "qubits": qubits, "start": "alice", "copies": 300, "input": {"random": "normal"},
        "layers": layers(rng, qubits, 4, True), "dense_state": {"bits": [2, 3, 8, 64]},
        "representation": ("auto", "density", "trajectories")[turn % 3],
    }  # fmt: skip
    return {"links": [link(rng, turn)], "protocol": protocol}


def gradient(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    qubits = int(rng.integers(2, 4))
    names = ("direct", "commuting", "random-coordinate", "classical-shadows", "tomography", "parameter-shift")
    told = [{"at": party, "layer": "rotations", "angles": {"random": "angles"}} for party in ("bob", "alice")]
    chosen = [str(name) for name in rng.permutation(names)[:3]]
    protocol = {"kind": "gradient", "qubits": qubits, "start": "bob", "epsilon": 0.4, "delta": 0.2, "layers": told,
                "estimators": chosen, "dense_state": {"bits": [3, 64]}}  # fmt: skip
    return {"links": [link(rng, turn % 2)], "protocol": protocol}


def promise(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    protocol = {"kind": "subspace", "task": "promise", "qubits": [3, 4, 5 + turn % 2], "trials": 40, "copies": 3,
                "block_code": True, "raw": [1, 2, 4], "description": True}  # fmt: skip
    return {"links": [link(rng, turn)], "protocol": protocol}


def training(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    data = {"dataset": "breast-cancer", "columns": [20, 21, 24]}
    parts = {part: {**data, "part": part} for part in ("train", "test")}
    estimator = ("commuting", "parameter-shift", "direct", "exact")[turn % 4]
    turns = {"layer": "rotations", "sublayers": 2, "angles": {"random": "angles"}}
    protocol: dict[str, Any] = {
        "kind": "training", "qubits": 2, "start": "alice", "data": {**parts, "constant": 2}, "labels": parts,
        "layers": [{"at": party, **turns} for party in ("alice", "bob")], "steps": 3, "batch": 16, "test_copies": 8,
        "objective": {"loss": str(rng.choice(["logistic", "squared"]))}, "estimator": estimator,
        "optimiser": {"name": str(rng.choice(["adam", "sgd", "momentum"])), "rate": 0.1, "schedule": "cosine"},
        "loss_copies": 16, "rivals": {"backprop": [6, 64], "raw": [4]},
    }  # fmt: skip
    if estimator != "exact":
        protocol["copies"] = 12
    return {"links": [{**link(rng, 0), "detector_efficiency": 0.98}], "protocol": protocol}


def decoys(rng: np.random.Generator, turn: int) -> dict[str, Any]:
    resent = {"attack": "intercept-resend", "share": 0.3, "basis": "random"}
    eve = [None, resent, {"attack": "beam-splitter", "share": 0.2}]
    protocol = {"kind": "decoys", "qubits": 2, "start": "alice", "input": {"random": "normal"}, "copies": 300,
                "decoys": {"share": 0.2, "bases": "zx", "delta": 0.001}, "layers": layers(rng, 2, 2, False)[1:],
                "dense_state": {"bits": [3, 8]}}  # fmt: skip
    return {"links": [{**link(rng, turn % 2), "eve": eve[turn % 3]}], "protocol": protocol}


# ---------------------------------------------------------------- the tests


HALF = """
# <P0> is 1/2 exactly: qubit 0 is on the equator, and only CZ and RZ follow.
seed: 5
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: ideal}]
protocol:
  kind: inference
  qubits: 4
  start: alice
  copies: 1000
  dense_state: null
  layers:
    - at: alice
      layer: rotations
      axes: [y, z]
      entangle: none
      angles: {values: [1.5707963267948966, 1.6721779142058721, 2.6827399294462397, 0.3435515802944924,
                        5.338369731057284, 1.1709571295819174, 2.050051104710044, 5.568680526087443]}
    - at: bob
      layer: rotations
      axes: [y, z]
      entangle: cz-ring
      angles: {values: [0.0, 2.7285589114954876, 4.001958263123284, 5.152529414759124,
                        2.023785034492194, 4.761927166551937, 2.393923518528263, 3.564323294326244]}
"""

ZEROS = """
# Amplitudes that are 0 or 1 but for rounding: the loss is 0, and at any bits.
seed: 5
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 0.3}]
protocol:
  kind: inference
  qubits: 5
  start: alice
  copies: 300
  layers:
    - {at: bob, layer: hadamards}
    - {at: alice, layer: hadamards}
    - at: bob
      layer: rotations
      axes: [y, z]
      entangle: cz-ring
      angles: {values: [1.5707963267948966, 1.5707963267948966, 0, 3.141592653589793, 1.5707963267948966,
                        0, 1.5707963267948966, 3.141592653589793, 0, 1.5707963267948966]}
    - at: alice
      layer: rotations
      axes: [x]
      entangle: cnot-ring
      angles: {values: [3.141592653589793, 1.5707963267948966, 0, 3.141592653589793, 1.5707963267948966]}
    - {at: bob, layer: hadamards}
    - {at: alice, layer: hadamards}
  dense_state: {bits: [2, 3, 8, 16]}
"""


class Unshared(yaml.SafeDumper):
    """Writes what is there twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def written(folder: Path, name: str, text: str) -> Case:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path), []


def groups() -> list[list[str]]:
    names = [*NAMES, *map(str, range(RANDOM))]
    # Long ones first, and beside short ones: two workers have as much to do.
    return [names[start :: -(-len(names) // GROUP)] for start in range(-(-len(names) // GROUP))]


@skip_where_chosen
@pytest.mark.parametrize("names", groups(), ids="+".join)
def test_scenarios_have_one_transcript_on_every_kernel(names: list[str], tmp_path: Path) -> None:
    cases: list[Case] = [
        written(tmp_path, name, yaml.dump(scenario(int(name)), Dumper=Unshared)) if name.isdigit()
        else (name, list(SHORT) if name in TRAININGS else [])
        for name in names
    ]  # fmt: skip
    wanted = outcome(cases)
    for where, environment in variations():
        compare(cases, wanted, outcome(cases, **environment), where)


@skip_where_chosen
def test_what_lies_on_a_boundary_has_one_transcript_on_every_kernel(tmp_path: Path) -> None:
    cases = [written(tmp_path, "half", HALF), written(tmp_path, "zeros", ZEROS)]
    wanted = outcome(cases)
    for where, environment in variations():
        compare(cases, wanted, outcome(cases, **environment), where)
    rivals = wanted[1]["figures"]["rivals"]
    assert {name: round(rival["estimate"], 12) for name, rival in rivals.items()} == {
        "description-8-bit": 0.0, **{f"dense-state-{bits}-bit": 0.0 for bits in (2, 3, 8, 16)}
    }  # fmt: skip
    assert abs(wanted[0]["figures"]["estimate"] - 0.5) < 4.5 * 0.5 / 1000**0.5


@skip_where_chosen
def test_compiled_circuits_have_the_transcripts_of_the_others(tmp_path: Path) -> None:
    """By numba for this processor, and for one without AVX and fused multiply-adds."""
    cases: list[Case] = [written(tmp_path, "half", HALF), ("two-layer-inference", []), ("gradient-two-parties", [])]
    wanted = outcome(cases)
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    compare(cases, wanted, outcome(cases, fused=True, **kept), "fused")
    plain = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}
    if os.uname().machine == "x86_64":
        compare(cases, wanted, outcome(cases, fused=True, **kept, **plain), "fused for x86-64")


def test_numpy_s_avx512_code_is_switched_off_where_there_is_any() -> None:
    if not numpy_features("AVX512"):
        pytest.skip("this processor, or this NumPy, has no AVX512")
    read = "from numpy._core import _multiarray_umath as core; print(*core.__cpu_features__.items(), sep='\\n')"
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": numpy_features("AVX512")}
    told = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=True, env=environment)
    for name in numpy_features("AVX512").split():
        assert f"('{name}', False)" in told.stdout
