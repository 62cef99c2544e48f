"""Programs say what they take and tell, and are built over that alone."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from ketwire.channels.wire.frames import Done
from ketwire.errors import PartyFailed, RemoteProtocolError, ScenarioError
from ketwire.nodes.inline import run_inline
from ketwire.nodes.trampoline import build_program, outcome_of
from ketwire.protocols.node import Outcome
from ketwire.protocols.typed import Told, told
from tests.kit import Threads, receive, scripted, send, shown
from tests.programs import Stepping

ROOT = Path(__file__).resolve().parent.parent.parent / "protocols"
SCRIPT = "tests.programs:ScriptParty"


def programs() -> Iterator[type[Any]]:
    """All of the package."""
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(["ketwire.protocols", *path.relative_to(ROOT).with_suffix("").parts])
        if path.stem in ("__init__", "node"):
            continue
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if found.__module__ == name and {"Slice", "Outcome", "run"} <= set(dir(found)):
                yield found


def test_programs_declare_what_their_signatures_say() -> None:
    found = list(programs())
    assert len(found) > 18
    for program in found:
        taken = next(hint for name, hint in get_type_hints(program.__init__).items() if name != "return")
        # One that adds nothing to what its base takes, or tells, has the base's signature.
        assert issubclass(program.Slice, taken), program
        returned = get_type_hints(program.run)["return"]
        kinds = [kind for kind in get_args(returned) or (returned,) if kind is not NoneType]
        assert all(issubclass(program.Outcome, kind) for kind in (Outcome, *kinds)), program


def test_a_slice_of_another_program_is_refused_by_its_first_name() -> None:
    other = told(Stepping(("a",), 1, True, 1))
    with pytest.raises(RemoteProtocolError, match=r"^slice\.script: missing required key, expected a value"):
        build_program(SCRIPT, other, lambda key, source: {}, "a")


@dataclass(frozen=True)
class Needy:
    """Without defaults."""

    needed: int


class Demanding:
    """Cannot do without a slice."""

    Slice, Outcome = Needy, Outcome
    shapes: dict[str, Any] = {}

    def __init__(self, slice: Needy, load: Any) -> None:
        pass


class Undeclared:
    """Says nothing of what it takes."""

    Outcome = Outcome


class Untold:
    """Tells what is no Outcome."""

    Slice, Outcome = Needy, Needy


def test_who_needs_a_slice_and_has_none_is_named_in_one_line() -> None:
    with pytest.raises(PartyFailed, match=r"TypeError: .*missing 1 required positional argument: 'needed'") as failed:
        build_program(f"{__name__}:Demanding", None, lambda key, source: {}, "a")
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize("name", ["Undeclared", "Untold", "dataclass"])
def test_a_program_without_types_is_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match=rf"program '.*:{name}' given, expected one with Slice, a"):
        build_program(f"{__name__}:{name}", None, lambda key, source: {}, "a")


def test_both_runtimes_give_the_same_values_of_the_same_types() -> None:
    """Lists and arrays too: an outcome has been JSON in either; `facts` of test_runtimes compares many."""
    run = scripted({"alice": [send("bob", "copies")], "bob": [receive("alice", "copies")]})
    inline, threads = run_inline(run)[0].outcomes["bob"], Threads(run).conduct()[0].outcomes["bob"]
    assert shown(inline) == shown(threads) and type(inline) is type(threads)
    assert not inline.again.flags.writeable and not threads.again.flags.writeable
    assert inline.again.dtype == threads.again.dtype


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({}, "sent a bad result: 'outcome'"),
        ({"outcome": {"seen": []}}, "sent a bad result: outcome.known_ps: missing required key, expected a value"),
        ({"outcome": {"known_ps": None, "seen": ["x"], "clock": 0, "again": "0"}}, "outcome.seen.0: str given"),
        ({"outcome": {"known_ps": None, "seen": [], "clock": 0, "again": "0"}}, "outcome.again: str given, expected"),
    ],
)
def test_a_party_that_tells_something_else_is_named(result: Any, words: str) -> None:
    threads = Threads(scripted({"alice": [], "bob": []}))
    member = threads.coordinator.members["bob"]
    try:
        with pytest.raises(PartyFailed, match=words) as failed:
            threads.coordinator._outcome(member, Done(0, 0, result, {}))
        assert failed.value.party == "bob"
        assert threads.coordinator._outcome(member, Done(0, 0, {"outcome": None}, {})) is None
    finally:
        threads.context.destroy(linger=0)


def test_an_outcome_is_of_its_program_s_type() -> None:
    found: Any = outcome_of(SCRIPT, *Told({"known_ps": 3, "seen": [1], "clock": 2, "again": "0"}, {"0": np.array([1])}))
    assert (found.known_ps, found.seen, found.clock, found.again.tolist()) == (3, [1], 2, [1])

