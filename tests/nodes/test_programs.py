"""Programs are recorded by ids that outlive the modules they stand for."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from ketwire.errors import ScenarioError
from ketwire.modules import find
from ketwire.nodes.programs import PROGRAMS, target_of
from ketwire.nodes.trampoline import build_program
from ketwire.scenarios.load import load
from tests.test_packaged import NAMES

ROOT = Path(__file__).parents[2]

RECORDED = [
    "advantage", "advantage/fingerprint", "advantage/fingerprint/classical", "advantage/named-state",
    "advantage/places",
    "central", "decoys", "gradient", "gradient/dense-state", "gradient/description", "gradient/parameter-shift",
    "graph", "graph/code", "graph/features", "graph/hops", "graph/sketch", "inference",
    "inference/amplitude", "inference/amplitude/sampling", "inference/dense-state", "inference/description",
    "inference/sketch", "subspace", "subspace/code", "subspace/description", "subspace/raw", "training",
    "training/backprop", "training/description", "training/raw-data",
]  # fmt: skip
"""Ids that run folders may hold: add to them; without a new number of the format none goes or becomes another."""


def strings(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


@pytest.mark.parametrize("program", RECORDED)
def test_every_id_is_a_program(program: str) -> None:
    found = find(target_of(program))
    assert inspect.iscoroutinefunction(found.run) and ":" not in program
    assert not inspect.isabstract(found)


def test_the_table_has_all_programs() -> None:
    """Whatever class in `protocols` is named as one, or takes a slice and a loader and runs."""
    assert sorted(PROGRAMS) == sorted(RECORDED)
    there = set()
    for path in sorted((ROOT / "protocols").rglob("*.py")):
        module = ".".join(["ketwire", *path.relative_to(ROOT).with_suffix("").parts])
        names = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]
        for name in names:
            made = find(f"{module}:{name}")
            if name.endswith("Party") and not name.startswith("_") and not inspect.isabstract(made):
                there.add(f"{module}:{name}")
    assert sorted(there) == sorted(PROGRAMS.values())


def test_kinds_name_programs_by_their_ids() -> None:
    ours = re.compile(r"ketwire\.(protocols|nodes)[\w.]*:\w+")
    assert ours.fullmatch("ketwire.protocols.inference:InferenceParty")
    for path in sorted((ROOT / "scenarios").rglob("*.py")):
        assert [text for text in strings(path) if ours.search(text)] == [], path


@pytest.mark.parametrize("name", NAMES)
def test_packaged_sessions_are_recorded_by_ids(name: str) -> None:
    assert {session.program for session in load(name).run().sessions} <= PROGRAMS.keys()


def test_a_users_own_program_is_named_by_where_it_is() -> None:
    assert target_of("coin:CoinParty") == "coin:CoinParty"


def test_an_unknown_id_is_refused_in_one_line() -> None:
    with pytest.raises(ScenarioError, match=r"^protocol: program 'inferense' given, expected module:Class, or one of "):
        build_program("inferense", None, lambda key, source: {}, "alice")
