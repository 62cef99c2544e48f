"""What holds of the tree itself: packages, links, entry points, and what no module may do."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from ketwire.scenarios.kinds.interface import GROUP, find_kind, kind_names
from ketwire.scenarios.schema.validation import constant

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("quantum", "channels", "protocols", "nodes", "scenarios")
PURE = ("quantum", "channels", "protocols")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


# ---------------------------------------------------------------- packaging


def test_the_package_list_is_the_tree() -> None:
    found = {"ketwire"}
    for folder in FOLDERS:
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join(["ketwire", *init.parent.relative_to(ROOT).parts]))
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), f"{module} lies in no package"
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert len(listed) == len(set(listed)) and set(listed) == found


def test_files_beside_modules_are_packaged() -> None:
    """What packages read of themselves: scenarios, studies, the style and script of pages."""
    listed = PYPROJECT["tool"]["setuptools"]["package-data"]
    folders = {package: ROOT.joinpath(*package.split(".")[1:]) for package in listed if package != "ketwire"}
    packaged = {path for package, at in folders.items() for each in listed[package] for path in at.glob(each)}
    found = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()}
    assert {path for path in found if path.suffix != ".py" and path.parent.name != "__pycache__"} == packaged


def test_the_folders_are_linked() -> None:
    for folder in FOLDERS:
        link = ROOT / "src" / "ketwire" / folder
        assert link.is_symlink() and link.resolve() == ROOT / folder
        assert str(link.readlink()) == f"../../{folder}"
    assert (ROOT / "src" / "ketwire" / "py.typed").exists()


@pytest.mark.parametrize("folder", FOLDERS)
def test_bare_imports_are_refused(folder: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and f"ImportError: import ketwire.{folder}" in done.stderr


def test_entry_points_are_the_kinds() -> None:
    declared = PYPROJECT["project"]["entry-points"][GROUP]
    installed = {point.name: point.value for point in entry_points(group=GROUP)}
    assert {name: installed.get(name) for name in declared} == declared
    assert set(declared) <= set(kind_names())
    for name in declared:
        assert constant(find_kind(name).Spec, "kind") == name


# ---------------------------------------------------------------- who imports whom


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("ketwire", *parts))


@cache
def _imports() -> dict[str, set[str]]:
    """Of each module which others it imports: anywhere in it, in functions and for types alone too."""
    known = {_name(path): path for path in modules(*FOLDERS) if path.name != "__init__.py"}
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        named: set[str] = set()
        for part in ast.walk(tree(path)):
            if isinstance(part, ast.ImportFrom) and part.module is not None:
                named |= {part.module, *(f"{part.module}.{each.name}" for each in part.names)}
            elif isinstance(part, ast.Import):
                named |= {each.name for each in part.names}
        found[name] = (named & set(known)) - {name}
    return found


def _circles(imports: dict[str, set[str]]) -> list[str]:
    """Modules that some way of imports leads back to."""
    left = dict(imports)
    while free := [name for name, needs in left.items() if not needs & set(left)]:
        for name in free:
            del left[name]
    return sorted(left)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]
    imports = _imports()
    assert len(imports) > 180 and sum(map(len, imports.values())) > 800
    assert _circles(imports) == []


def test_folders_say_what_is_in_them_and_import_nothing() -> None:
    """Two to four sentences, which name who imports the folder, and a line for each module: the first of its own.

    A check that the folder is in its place is all else.
    """
    for folder in sorted({path.parent for path in modules(*FOLDERS)}):
        own = tree(folder / "__init__.py")
        told, _, listed = (ast.get_docstring(own) or "").partition("\n\n- ")
        stems = {path: ast.get_docstring(tree(path)) or "" for path in sorted(folder.glob("[!_]*.py"))}
        found = [f"`{path.stem}`: {' '.join(text.splitlines()[0].split())}" for path, text in stems.items()]
        assert " ".join(listed.split()) == " - ".join(found), folder
        assert 2 <= len(re.findall(r"[.](?=\s|$)", told)) <= 4 and "import" in told, folder
        assert not [node for node in ast.walk(own) if isinstance(node, ast.Import | ast.ImportFrom)], folder
        guard = [ast.unparse(node.test).partition(" ")[0] for node in own.body[1:] if isinstance(node, ast.If)]
        assert guard == ["__name__"] * (folder.parent == ROOT) and len(own.body) == 1 + len(guard), folder


def test_folders_are_small_and_name_nothing_twice() -> None:
    """At most 22 modules a folder; none is called as its folder, or begins with its name."""
    for folder in sorted({path.parent for path in modules(*FOLDERS)}):
        stems = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(stems) <= 22, folder
        assert not [stem for stem in stems if stem == folder.name or stem.startswith(f"{folder.name}_")], folder
        depth = len(folder.relative_to(ROOT).parts)
        assert depth <= (3 if folder.parent.name == "kinds" else 2), folder
        told = tree(folder / "__init__.py")
        assert folder.parent == ROOT or (ast.get_docstring(told) and len(told.body) == 1), folder  # and imports nothing


def test_sibling_folders_do_not_import_each_other_both_ways() -> None:
    """A folder and those below it may."""
    ways = set()
    for name, others in _imports().items():
        for other in others:
            here, there = name.rpartition(".")[0], other.rpartition(".")[0]
            if here != there and not here.startswith(there) and not there.startswith(here):
                ways.add((here, there))
    assert len(ways) > 20 and not [way for way in ways if way[::-1] in ways]


MOST_LINES = {"module": 400, "function": 50}


def long_parts(path: Path) -> Iterator[str]:
    """A module or its functions that have too many lines."""
    if len(path.read_text().splitlines()) > MOST_LINES["module"]:
        yield f"{path.relative_to(ROOT)}"
    for part in ast.walk(tree(path)):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            assert part.end_lineno is not None
            if part.end_lineno - part.lineno >= MOST_LINES["function"]:
                yield f"{path.relative_to(ROOT)}: {part.name}"


def test_modules_and_functions_are_short() -> None:
    assert [told for path in modules(*FOLDERS) for told in long_parts(path)] == []


# ---------------------------------------------------------------- what pure modules may not do

FORBIDDEN_IMPORTS = {"random", "pickle", "marshal", "shelve", "socket", "asyncio", "zmq", "secrets"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "__import__", "hash", "input", "print", "open",
    "time.time", "time.sleep", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.datetime.now",
    "os.urandom", "uuid.uuid4", "np.load", "np.random.seed", "np.random.default_rng",
    "numpy.random.default_rng",
}  # fmt: skip
ALLOWED_OF_NUMPY_RANDOM = {
    "np.random.Generator", "np.random.Philox", "np.random.bit_generator", "np.random.bit_generator.ISeedSequence",
}


def dotted(node: ast.AST) -> str:
    """`a.b.c` for such an expression, else nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def sins(module: ast.Module) -> Iterator[str]:
    """What a pure module may not do, as far as its syntax shows."""
    for node in ast.walk(module):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in imported:
            if name.split(".")[0] in FORBIDDEN_IMPORTS or name in FORBIDDEN_CALLS or "numpy.random" in name:
                yield f"line {node.lineno}: imports {name}"  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and dotted(node.func) in FORBIDDEN_CALLS:
            yield f"line {node.lineno}: calls {dotted(node.func)}"
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name.startswith(("np.random.", "numpy.random.")) and name not in ALLOWED_OF_NUMPY_RANDOM:
                yield f"line {node.lineno}: uses {name}"


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.time()",
        "import time\ndef f():\n    time.sleep(1)",
        "from time import sleep",
        "import random",
        "from pickle import loads",
        "x = eval('1')",
        "np.random.default_rng()",
        "np.random.seed(1)",
        "np.random.normal()",
        "from numpy.random import default_rng",
    ],
)
def test_the_net_catches(source: str) -> None:
    assert list(sins(ast.parse(source)))


def test_pure_modules_have_no_clock_no_shared_randomness_and_unpickle_nothing() -> None:
    assert {path: found for path in modules(*PURE) if (found := list(sins(tree(path))))} == {}


# ---------------------------------------------------------------- what readers are owed


# The codec's writers and readers come in pairs, one a command; docs/wire.md describes each body.
PAIRS = {f"channels/wire/{name}.py" for name in ("carried", "carried_classical", "control", "signals")}


def undocumented(path: Path) -> Iterator[str]:
    """A public module and its public classes and functions that have no docstring."""
    module = tree(path)
    if ast.get_docstring(module) is None:
        yield "module"
    defined = [n for n in module.body if isinstance(n, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)]
    every, in_pairs = {node.name for node in defined}, path.relative_to(ROOT).as_posix() in PAIRS
    for node in defined:
        verb, _, command = node.name.partition("_")
        if in_pairs and {f"write_{command}", f"read_{command}"} <= every and verb in ("read", "write"):
            continue
        if not node.name.startswith("_") and ast.get_docstring(node) is None:
            yield node.name


def test_public_names_have_docstrings() -> None:
    assert {path: found for path in modules("channels", "protocols") if (found := list(undocumented(path)))} == {}


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip("not a checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name]


def test_no_file_has_conflict_markers() -> None:
    starts = tuple(mark * 7 for mark in (b"<", b">", b"|"))
    for path in tracked():
        if not path.is_file():
            continue
        octets = path.read_bytes()
        if b"\0" in octets:
            continue  # no text
        lines = octets.splitlines()
        assert not any(line.startswith(starts) or line == b"=" * 7 for line in lines), path


def test_every_module_can_be_imported_under_its_full_name() -> None:
    for path in modules("channels", "protocols"):
        if path.name == "__init__.py":
            continue
        module = importlib.import_module(".".join(["ketwire", *path.relative_to(ROOT).with_suffix("").parts]))
        assert module.__name__.startswith("ketwire.")


# ---------------------------------------------------------------- versions of Python


def test_python_has_a_lower_bound_alone() -> None:
    """A version that comes out tomorrow is not refused today, and all places name the same oldest one."""
    from ketwire.nodes.processes.interpreters import OLDEST_PYTHON

    oldest = ".".join(map(str, OLDEST_PYTHON))
    assert PYPROJECT["project"]["requires-python"] == f">={oldest}"
    for name in ("README.md", "HACKING.md", "docs/engines.md"):
        assert f"{oldest} or later" in (ROOT / name).read_text(), name


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 14), (4, 0)])
def test_make_refuses_an_old_python_alone(tmp_path: Path, version: tuple[int, int]) -> None:
    """`make` asks PYTHON for its version; this one says another than its own, and makes no venv."""
    recipe = (ROOT / "Makefile").read_text().partition("$(VENV)/bin/python:\n")[2].splitlines()[0]
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys; sys.version_info = ({version[0]}, {version[1]}, 0, 'final', 0)"
    )
    (tmp_path / "Makefile").write_text(f"asked:\n{recipe}\n")
    done = subprocess.run(
        ["make", "-s", f"PYTHON={sys.executable}"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = f"ketwire needs Python 3.11 or later, and {sys.executable} is {version[0]}.{version[1]}"
    assert (told in done.stderr, done.returncode == 0) == ((version < (3, 11)), version >= (3, 11)), done.stderr


def test_tests_lie_where_the_modules_are() -> None:
    """`tests/A/test_B.py`, or `tests/A/test_B_topic.py`, tests `A/B.py`; what tests many parts lies in `tests`."""
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(found) > 100
    for path in found:
        folder = path.parent.relative_to(ROOT / "tests")
        named = path.stem.removeprefix("test_").split("_")
        modules_of_it = {"_".join(named[:words]) for words in range(1, len(named) + 1)}
        if folder.parts and folder.parts[0] != "compose":  # what runs in containers
            assert any((ROOT / folder / f"{module}.py").exists() for module in modules_of_it), str(path)
