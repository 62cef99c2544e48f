"""What runs cost in processor time from the start of their processes to the end: trivial ones, small ones, `digits`.

    python -m benchmarks startup [--rounds 11]

startup: a trivial `ketwire run`, against a bare script of as many processes.

Ours: Alice, Bob, the fiber between them and the coordinator, for one copy of one qubit, with CURVE and
digests as by default. Bare: a script that imports numpy and pyzmq and starts three processes that do
so too, each of which sends it one message. Both have one BLAS thread, and both find compiled modules
as any second start does. User and system time of all processes, from `RUSAGE_CHILDREN`.

api: `ketwire.run`, which keeps the ledger, against `launch`.
launch: the same scenario inline, loaded and launched again in a process that has done so before, against a process
that imports NumPy and ends.
digits: the packaged scenario with all its processes and rivals, against its arithmetic in plain NumPy in one process
that imports NumPy, pyzmq and pydantic (`benchmarks/arithmetic.py`).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import ketwire
from benchmarks.report import Figure, Measure, rounds_of
from ketwire.nodes.datasets import split
from ketwire.nodes.inline import run_inline
from ketwire.scenarios.load import load
from ketwire.scenarios.runs.launch import Options, launch

SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links:
  - {between: [alice, bob], fiber: telecom-fiber, length_km: 1}
protocol:
  kind: inference
  qubits: 1
  start: alice
  layers: [{at: bob, layer: hadamards}]
  copies: 1
  dense_state: null
"""
CHILD = """\
import sys
import numpy, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.connect(sys.argv[1])
socket.send(numpy.zeros(64, numpy.complex128).tobytes())
socket.recv()
"""
PARENT = f"""\
import subprocess, sys
import numpy, zmq
router = zmq.Context().socket(zmq.ROUTER)
port = router.bind_to_random_port("tcp://127.0.0.1")
command = [sys.executable, "-c", {CHILD!r}, f"tcp://127.0.0.1:{{port}}"]
children = [subprocess.Popen(command) for _ in range(3)]
for _ in children:
    peer, message = router.recv_multipart()
    assert len(numpy.frombuffer(message, numpy.complex128)) == 64
    router.send_multipart([peer, b""])
for child in children:
    assert child.wait() == 0
"""
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run_to_end(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def processor_s(action: Callable[[], object], repeats: int) -> float:
    """User and system time of all processes that `action` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(repeats):
        action()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / repeats


@contextmanager
def prepared() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the trivial scenario, and an environment for commands.

    Compiled modules are kept, as in any installation, but in a place of this measurement's own.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "trivial.yaml").write_text(SCENARIO, encoding="utf-8")
        environment = {**os.environ, **ONE_THREAD, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        yield folder, environment


def ketwire_run(scenario: str) -> list[str]:
    return [sys.executable, "-c", "from ketwire.scenarios.cli import main; main()", "run", scenario, "--json"]


def measure(rounds: int) -> list[Figure]:
    with prepared() as (folder, environment):
        ours, bare = ketwire_run(str(folder / "trivial.yaml")), [sys.executable, "-c", PARENT]
        actions = {"ours": lambda: run_to_end(ours, environment), "bare": lambda: run_to_end(bare, environment)}
        taken = rounds_of(actions, rounds, measure=processor_s)
    return [taken.figure("startup: trivial run over bare processes, CPU", "ours", "bare", 1.3, "ms")]


def measure_launch(rounds: int) -> list[Figure]:
    """Loading and launching a small scenario again, in the process that has done so before."""
    with prepared() as (folder, environment):
        scenario, imports = str(folder / "trivial.yaml"), [sys.executable, "-c", "import numpy"]

        def again() -> None:
            launch(load(scenario), lambda run, *_: run_inline(run), Options(progress=False))

        def taken_s(action: Callable[[], object], repeats: int) -> float:
            if action is not again:
                return processor_s(action, 1)
            start = time.process_time()
            for _ in range(repeats):
                action()
            return (time.process_time() - start) / repeats

        actions = {"launch": again, "numpy": lambda: run_to_end(imports, environment)}
        taken = rounds_of(actions, rounds, 20, measure=taken_s)
    return [taken.figure("startup: small launch again over a process that imports NumPy, CPU", "launch", "numpy",
                         0.06, "ms")]


def measure_api(rounds: int) -> list[Figure]:
    """`ketwire.run` over its own `launch`, the same scenario in this process, both from the file to the result."""

    def by_name() -> None:
        ketwire.run("two-layer-inference", progress=False)

    def by_launch() -> None:
        launch(load("two-layer-inference"), lambda run, *_: run_inline(run), Options(progress=False))

    def taken_s(action: Callable[[], object], repeats: int) -> float:
        start = time.process_time()
        for _ in range(repeats):
            action()
        return (time.process_time() - start) / repeats

    taken = rounds_of({"run": by_name, "launch": by_launch}, rounds, 5, measure=taken_s)
    return [taken.figure("startup: ketwire.run over launch, the same scenario, CPU", "run", "launch", 1.2, "ms")]


def measure_digits(rounds: int) -> list[Figure]:
    """The scenario `digits`, all processes, over the same arithmetic in one."""
    with prepared() as (folder, environment):
        parts = split("digits")
        table = {"rows": np.concatenate(parts[:2]), "labels": np.concatenate(parts[2:])}
        np.savez(folder / "digits.npz", **table)
        script = str(Path(__file__).with_name("arithmetic.py"))
        plain, ours = [sys.executable, script, str(folder / "digits.npz")], ketwire_run("digits")
        actions = {"ours": lambda: run_to_end(ours, environment), "plain": lambda: run_to_end(plain, environment)}
        taken = rounds_of(actions, rounds, measure=processor_s)
    return [taken.figure("startup: digits over its arithmetic in NumPy, CPU", "ours", "plain", 2.0, "s")]


MEASURES: dict[str, Measure] = {
    "startup": measure, "launch": measure_launch, "api": measure_api, "digits": measure_digits,
}  # fmt: skip
