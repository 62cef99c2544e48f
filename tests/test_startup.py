"""What a start loads: no large library that a trivial run has no use for, in any of its processes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ketwire.scenarios.kinds.interface import _BUILT_IN

NEVER = {"torch", "matplotlib", "scipy", "sklearn", "numba", "llvmlite", "rich", "pandas", "asyncio"}
COORDINATOR_ALONE = {"pydantic", "pydantic_core", "typer", "click", "yaml"}
PROJECT = Path(__file__).parents[1]
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
# At the end of every process, its imported packages go to a file of its own.
HOOK = """\
import atexit, os, sys
NURSERY = os.getpid() if "ketwire.nodes.processes.nursery" in getattr(sys, "orig_argv", []) else None
def tell():
    if os.getpid() == NURSERY:
        return
    role = "coordinator" if NURSERY is None else "child"
    names = sorted({name.partition(".")[0] for name in list(sys.modules)} | {
        name for name in list(sys.modules) if name.startswith("ketwire.")})
    with open(os.path.join(os.environ["TELL_MODULES"], f"{role}-{os.getpid()}"), "w") as file:
        file.write(" ".join(names))
atexit.register(tell)
fork = os.fork
def count_and_fork():
    with open(os.environ["TELL_THREADS"], "a") as file:
        print(len(os.listdir("/proc/self/task")), file=file)
    return fork()
if NURSERY is not None:
    os.fork = count_and_fork
leave = os._exit  # how the nursery's children end
def tell_and_leave(code):
    tell()
    leave(code)
os._exit = tell_and_leave
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of a trivial run have told what they are."""
    import os

    folder = tmp_path_factory.mktemp("startup")
    told = folder / "told"
    told.mkdir()
    (folder / "sitecustomize.py").write_text(HOOK)
    (folder / "trivial.yaml").write_text(SCENARIO)
    command = [sys.executable, "-m", "ketwire.scenarios.cli", "run", str(folder / "trivial.yaml"), "--json"]
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "TELL_MODULES": str(told), "TELL_THREADS": str(folder / "threads"),
    }  # fmt: skip
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[str, list[set[str]]]:
    """The modules of each process of a trivial run, by role."""
    found: dict[str, list[set[str]]] = {"coordinator": [], "child": []}
    for path in (folder / "told").iterdir():
        found[path.name.partition("-")[0]].append(set(path.read_text().split()))
    return found


def test_one_coordinator_and_three_children_were_seen(loaded: dict[str, list[set[str]]]) -> None:
    assert {role: len(seen) for role, seen in loaded.items()} == {"coordinator": 1, "child": 3}
    assert all({"numpy", "zmq"} <= seen for role in loaded.values() for seen in role)
    assert all("ketwire.nodes.processes.child" in seen for seen in loaded["child"])


def test_no_process_loads_what_it_does_not_need(loaded: dict[str, list[set[str]]]) -> None:
    for seen in (*loaded["coordinator"], *loaded["child"]):
        assert not seen & NEVER
    for seen in loaded["child"]:
        assert not seen & COORDINATOR_ALONE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_the_nursery_forks_while_it_has_one_thread(folder: Path) -> None:
    """Any thread counts, of BLAS and ZeroMQ too: a lock that it held would stay shut in the child for ever."""
    assert (folder / "threads").read_text().split() == ["1", "1", "1"]


def test_importing_the_engines_compiles_nothing() -> None:
    """Numba is loaded when the fused engine is asked for, and for that alone."""
    code = """if True:
        import sys
        import ketwire.nodes.party
        from ketwire.quantum.engines import blas, dispatch, plan
        from ketwire.quantum.engines.dispatch import choose_engine
        assert choose_engine(0.0) == choose_engine(1.0) == "numpy", "work of a second does not pay for numba"
        assert choose_engine(60.0) == "fused"
        assert not {"numba", "llvmlite"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_built_in_kinds_are_those_of_the_project_file() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["ketwire.protocols"] == _BUILT_IN
