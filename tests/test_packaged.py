"""The packaged scenarios: the same in one process and in many, and worth running."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.nodes.process import run_processes
from ketwire.nodes.session import Run, SessionResult, data_key
from ketwire.scenarios.load import load
from tests.kit import Threads, recording

NAMES = [
    "breast-cancer",
    "digits",
    "metro-10km-coded",
    "metro-25km-teleport",
    "repeater-chain-100km",
    "ring-of-three",
    "subspace",
    "two-layer-inference",
]


def run_of(name: str, sets: tuple[str, ...] = (), seed: int | None = None) -> Run:
    return load(name, sets, seed).run()


def hashes(results: list[SessionResult]) -> dict[str, str]:
    return {result.name: result.transcript_sha256 for result in results}


def test_the_list_is_complete() -> None:
    from importlib.resources import files

    packaged = [entry.name for entry in files("ketwire.scenarios.packaged").iterdir()]
    assert sorted(name.removesuffix(".yaml") for name in packaged if name.endswith(".yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_inline_and_processes_give_one_transcript_and_another_seed_another(name: str) -> None:
    run = run_of(name)
    inline = run_inline(run)
    assert hashes(run_processes(run)) == hashes(inline)
    other = run_of(name, seed=run.seed + 1)
    first = run_inline(replace(other, sessions=other.sessions[:1]))[0]
    assert first.transcript_sha256 != hashes(inline)[first.name]


@pytest.mark.parametrize("name", ["two-layer-inference", "ring-of-three"])
def test_no_frame_but_the_states_tells_what_a_party_holds(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Angles, signs and inputs of every party, as octets and as text, against every recorded frame."""
    run = run_of(name)
    run = replace(run, sessions=run.sessions[:1])
    secrets = {party: private_numbers(run, party) for party in run.parties}
    assert all(len(numbers) >= 3 for numbers in secrets.values())
    recorded = recording(monkeypatch)
    Threads(run).conduct()
    assert {sender for sender, _ in recorded} >= {*run.parties, *(link.name for link in run.links)}
    for sender, frames in recorded:
        whole = b"\0".join(frames)
        for party, numbers in secrets.items():
            for number in numbers:
                assert number.tobytes() not in whole, (sender, party, number)
                assert repr(float(number)).encode() not in whole, (sender, party, number)


def private_numbers(run: Run, party: str) -> np.ndarray:
    """All that a party's own loader gives it in a session (signs aside, which are too short to search)."""
    taken = []
    load_own = make_loader(data_key(run.seed, party), ".")

    def spy(key: str, source: dict) -> dict:  # type: ignore[type-arg]
        loaded = load_own(key, source)
        if source.get("random") != "signs":
            taken.append(loaded["values"].astype(np.float64).ravel())
        return loaded

    from ketwire.nodes.trampoline import build_program

    build_program(run.sessions[0].program, run.sessions[0].slices[party], spy)
    return np.concatenate(taken)


def test_what_is_done_on_the_digits() -> None:
    """At 540 images a standard error is 0.7 points at 97%: four of them below."""
    loaded = load("digits", (), None)
    from ketwire.scenarios.kinds import Judge

    results = run_inline(loaded.run())
    told = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network()))
    assert told["test_accuracy"] > 0.97 - 4 * 0.0073
    assert told["baseline_accuracy"] > 0.97
