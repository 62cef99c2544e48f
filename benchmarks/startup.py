"""What a trivial `ketwire run` costs in processor time, against a bare script of as many processes.

    python -m benchmarks startup [--rounds 11]

Ours: Alice, Bob, the fiber between them and the coordinator, for one copy of one qubit, with CURVE and
digests as by default. Bare: a script that imports numpy and pyzmq and starts three processes that do
so too, each of which sends it one message. Both have one BLAS thread, and both find compiled modules
as any second start does. User and system time of all processes, from `RUSAGE_CHILDREN`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Figure, Measure, rounds_of

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


def measure(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "trivial.yaml"
        scenario.write_text(SCENARIO, encoding="utf-8")
        # Compiled modules are kept, as in any installation, but in a place of this measurement's own.
        environment = {**os.environ, **ONE_THREAD, "PYTHONPYCACHEPREFIX": str(Path(folder) / "compiled")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        ours = [sys.executable, "-c", "from ketwire.scenarios.cli import main; main()", "run", str(scenario), "--json"]
        bare = [sys.executable, "-c", PARENT]
        actions = {"ours": lambda: run_to_end(ours, environment), "bare": lambda: run_to_end(bare, environment)}
        taken = rounds_of(actions, rounds, measure=processor_s)
    return [taken.figure("startup: trivial run over bare processes, CPU", "ours", "bare", 1.5, "ms")]


MEASURES: dict[str, Measure] = {"startup": measure}
