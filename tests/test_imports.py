"""Imports inside functions: only of what is heavy or optional, or of what most starts have no use for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.test_layout import FOLDERS, ROOT, modules, tree
from tests.test_startup import folder, loaded

__all__ = ["folder", "loaded"]  # fixtures

HEAVY = {
    "dask", "distributed", "joblib", "matplotlib", "netsquid", "networkx", "numba", "openqasm3", "pandas", "pyarrow",
    "pydantic", "pydantic_core", "rich", "scipy", "sklearn", "torch", "typer",
}  # fmt: skip
"""Libraries that are heavy or optional. Modules of ours that import one at their top are found by `heavy`."""

SOME_RUNS = {
    "ketwire.channels.codes.erasure": "a link without a code needs none",
    "ketwire.channels.entanglement.cutoff": "a chain without a cut-off has none",
    "ketwire.channels.entanglement.distill": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.extension": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.generation": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.given": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.heralding": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.local": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.pairs": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.rounds": "a link that sends directly makes no pairs",
    "ketwire.channels.entanglement.stock": "a network without a chain of repeaters has none",
    "ketwire.channels.entanglement.teleporting": "a link that sends directly makes no pairs",
    "ketwire.channels.planning.making": "a network without pairs makes none",
    "ketwire.channels.netsquid_engine": "its library is optional",
    "ketwire.nodes.graphs.folders": "most parties have no graphs",
    "ketwire.nodes.processor": "an ideal node has none",
    "ketwire.nodes.settings": "most programs measure all copies in one setting",
    "ketwire.nodes.tables": "most parties read no table",
    "ketwire.nodes.times.following": "one copy is followed where that is asked for",
    "ketwire.nodes.witness": "runs with --check alone",
    "ketwire.protocols.classifiers": "the receiver of rows alone trains one",
    "ketwire.protocols.openqasm.reader": "a layer that is a program alone",
    "ketwire.protocols.gradient.outline": "what numba would compile is foreseen where it is absent",
    "ketwire.quantum.gradients.estimation": "programs that measure many copies together",
    "ketwire.quantum.gradients.features": "programs of gradients",
    "ketwire.quantum.noise.kraus": "a quiet link has no errors",
    "ketwire.quantum.noise.mixtures": "a quiet link has no errors",
    "ketwire.quantum.noise.representations": "a quiet link has no errors",
    "ketwire.scenarios.reports.figures": "results are drawn where that is asked for",
    "ketwire.scenarios.reports.frames": "data frames are made where they are asked for",
    "ketwire.scenarios.reports.html": "notebooks alone show it",
    "ketwire.scenarios.runs.tracks": "runs with --latency alone",
    "ketwire.nodes.times.timeline": "runs with --latency alone",
    "ketwire.quantum.pauli_bases": "a fiber that somebody listens in to",
}
"""Modules that some runs need, and why not all. The coordinator of a trivial run loads none of them."""

SOME_COMMANDS = {
    "ketwire.nodes.processes.by_hand": "a party started by hand is a node, a fiber or the coordinator",
    "ketwire.nodes.processes.gate": "the gate's own process needs little",
    "ketwire.nodes.processes.nursery": "what may be imported comes with its orders",
    "ketwire.scenarios.api": "each call loads what it needs",
    "ketwire.scenarios.cli": "each command loads what it needs",
    "ketwire.scenarios.doctor": "the doctor looks whether libraries can be loaded",
    "ketwire.scenarios.folder_commands": "each command loads what it needs",
    "ketwire.scenarios.gnn_commands": "each command loads what it needs",
    "ketwire.scenarios.hand_commands": "each command loads what it needs",
    "ketwire.scenarios.kinds.interface": "listing scenarios needs no numpy, and built-in kinds are found by a table",
    "ketwire.scenarios.load": "listing scenarios needs no numpy",
    "ketwire.scenarios.options": "each command loads what it needs",
    "ketwire.scenarios.study_commands": "each command loads what it needs",
    "ketwire.scenarios.schema.ownpresets": "packages are asked only for names that are not built in",
}
"""Modules that import inside functions so that some process or command starts with less, and why."""


def name_of(path: Path) -> str:
    path = path.relative_to(ROOT / "src" / "ketwire" if "src" in path.parts[len(ROOT.parts) :] else ROOT)
    return ".".join(("ketwire", *path.with_suffix("").parts))


@cache
def trees() -> dict[str, ast.Module]:
    """What each module of ours is, by its name."""
    paths = [*modules(*FOLDERS), *sorted((ROOT / "src" / "ketwire").glob("*.py"))]
    return {name_of(path): tree(path) for path in paths if path.name != "__init__.py"}


def imports(tree: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """What a module imports, not for types alone, and whether inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((name if name in trees() else str(node.module), inside) for name in named)
        else:
            yield from imports(node, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


@cache
def heavy() -> set[str]:
    """Modules of ours whose import loads a library of HEAVY."""
    at_top = {name: {of for of, inside in imports(tree) if not inside} for name, tree in trees().items()}
    found: set[str] = set()
    while more := {
        name for name, named in at_top.items()
        if name not in found and any(of in found or of.partition(".")[0] in HEAVY for of in named)
    }:  # fmt: skip
        found |= more
    return found


@cache
def inner() -> dict[str, set[str]]:
    """By module what it imports inside functions, but for what is heavy."""
    weighs = heavy()
    found = {
        name: {of for of, inside in imports(tree) if inside and of.partition(".")[0] not in HEAVY and of not in weighs}
        for name, tree in trees().items()
    }
    return {name: named for name, named in found.items() if named}


@pytest.mark.long
def test_the_net_catches() -> None:
    source = "import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    from c import d\n    class E:\n        import e"
    assert list(imports(ast.parse(source))) == [("a", False), ("c", True), ("e", True)]
    found = heavy()
    assert {"ketwire.quantum.engines.fused", "ketwire.scenarios.schema.model", "ketwire.scenarios.foreign"} <= found
    assert not {"ketwire.nodes.party", "ketwire.kit"} & found


def test_functions_import_what_is_heavy_or_what_few_need() -> None:
    for name, named in inner().items():
        if name not in SOME_COMMANDS:
            assert named <= SOME_RUNS.keys(), f"{name}: import {sorted(named - SOME_RUNS.keys())} at the top"


def test_the_lists_hold_nothing_that_is_not_needed(loaded: dict[str, list[set[str]]]) -> None:
    found = inner()
    named = set().union(*(of for name, of in found.items() if name not in SOME_COMMANDS))
    assert named == SOME_RUNS.keys() and SOME_COMMANDS.keys() <= found.keys()
    assert all((*SOME_RUNS.values(), *SOME_COMMANDS.values()))
    assert not SOME_RUNS.keys() & set().union(*loaded["coordinator"])


@pytest.mark.parametrize("command", ["--help", "list"])
def test_commands_that_run_nothing_load_no_numpy(command: str) -> None:
    code = f"import sys; from ketwire.scenarios import cli; cli.execute([{command!r}]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded_by_it = set(done.stdout.splitlines()[-1].split())
    assert "ketwire.scenarios.cli" in loaded_by_it and not {"numpy", "zmq"} & loaded_by_it
