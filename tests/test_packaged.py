"""The packaged scenarios: the same in one process and in many, and worth running."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from ketwire.errors import ScenarioError
from ketwire.nodes.data import make_loader
from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run, SessionResult, data_key
from ketwire.scenarios.load import load
from tests.kit import Threads, rarely, recording

SHORT = ("protocol.steps=2", "protocol.loss_copies=4", "protocol.test_copies=4", "protocol.rivals.backprop=[8]")
TRAININGS = ["fine-tune-digits", "train-breast-cancer", "train-digits", "train-metro-25km", "train-pipeline-of-four"]
NAMES = [
    "breast-cancer",
    "consumable-data",
    "digits",
    "eavesdropper",
    "fingerprint-referee",
    "fourier-sampling",
    "gradient-two-parties",
    "hidden-matching",
    "metro-10km-coded",
    "metro-25km-teleport",
    "repeater-chain-100km",
    "ring-of-three",
    "subspace",
    "two-layer-inference",
    "xeb-12-qubits",
    "xeb-25km-teleport",
    *TRAININGS,
]
OF_DATA = ["gnn-cora", "gnn-cora-decision", "gnn-mutag"]
"""Those that need data and trained networks of a folder; tests of the kind `graph` run them where these are."""
LEARNT = ["gnn-givens-mutag"]
"""Those that need data of a folder alone; tests of the kind `training` run them where these are."""
REFUSED = ["metro-10km-direct-refused"]
"""Those that say in their name and description that they are meant to be."""
ALL = NAMES + OF_DATA + LEARNT + REFUSED


def run_of(name: str, sets: tuple[str, ...] = (), seed: int | None = None) -> Run:
    return load(name, sets, seed).run()


def hashes(results: list[SessionResult]) -> dict[str, str]:
    return {result.name: result.transcript_sha256 for result in results}


def test_the_list_is_complete() -> None:
    from importlib.resources import files

    packaged = [entry.name for entry in files("ketwire.scenarios.packaged").iterdir()]
    assert sorted(name.removesuffix(".yaml") for name in packaged if name.endswith(".yaml")) == sorted(ALL)
    assert [name for name in ALL if name.endswith("-refused")] == REFUSED


SLOW = (
    "consumable-data", "digits", "fine-tune-digits", "fourier-sampling", "gradient-two-parties", "hidden-matching",
    "repeater-chain-100km", "subspace", "train-breast-cancer", "train-digits", "train-metro-25km",
    "train-pipeline-of-four", "xeb-12-qubits", "xeb-25km-teleport",
)  # fmt: skip


@pytest.mark.parametrize("name", rarely(NAMES, but=("ring-of-three", "metro-25km-teleport")))
def test_inline_and_processes_give_one_transcript_and_another_seed_another(name: str) -> None:
    sets = SHORT if name in TRAININGS else ()
    run = run_of(name, sets)
    inline = run_inline(run)
    assert hashes(run_processes(run)) == hashes(inline)
    other = run_of(name, sets, seed=run.seed + 1)
    first = run_inline(replace(other, sessions=other.sessions[:1]))[0]
    assert first.transcript_sha256 != hashes(inline)[first.name]


@pytest.mark.parametrize("name", ["two-layer-inference", "ring-of-three", "gradient-two-parties"])
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


def refusal_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    from ketwire.scenarios import cli

    assert cli.execute(argv) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_what_is_meant_to_be_refused_says_so_in_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    from ketwire.scenarios import cli

    assert cli.execute(["list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert sorted(lines) == sorted(ALL)
    assert [name for name in ALL if name.endswith("-refused")] == REFUSED
    assert {name for name, line in lines.items() if "Meant to be refused" in line} == set(REFUSED)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("command", [["run"], ["run", "--inline"], ["validate"]])
def test_it_is_refused_with_a_transport_that_would_work(
    name: str, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = refusal_of(capsys, *command, name)
    assert "protocol.copies: 2000 measured copies need about 1.6e+09 attempts" in told
    assert "or transport: teleport, which loses no copy" in told and "shorten the fiber to 5.41 km" in told


@pytest.mark.parametrize("name", [name for name in NAMES if name != "digits"])
def test_validate_refuses_nothing_that_runs(name: str) -> None:
    loaded = load(name)
    unseen = loaded.check_foreseen(loaded.run())
    assert unseen == (["classify"] if name == "breast-cancer" else ["training"] if name in TRAININGS else [])


ADVISED = {
    "transport": r"or transport: (teleport)(?: |,)",
    "length_km": r"shorten the fiber to ([0-9.]+) km",
    "code": r"or transport: coded with code: (\S+) \(",
}


@pytest.mark.parametrize(
    ("advice", "length_km", "more"),
    [("transport", 10, ()), ("length_km", 10, ()), ("code", 7, ()), ("transport", 40, ("memory_slots",))],
)
def test_following_the_advice_works(
    advice: str, length_km: int, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Literally, with --set; a run of two hundred copies stands for the two thousand where these take long."""
    import json

    from ketwire.scenarios import cli

    shown = f"links.0.length_km={length_km}"
    told = refusal_of(capsys, "run", "metro-10km-direct-refused", "--inline", "--set", shown)
    found = re.search(ADVISED[advice], told)
    assert found is not None, told
    sets = [f"links.0.length_km={length_km}", f"links.0.{advice}={yaml_text(found.group(1))}", "protocol.dense_state="]
    sets += ["links.0.transport=coded"] if advice == "code" else []
    sets += [f"links.0.{name}=8" for name in more]
    options = [part for each in sets for part in ("--set", each)]
    assert cli.execute(["validate", "metro-10km-direct-refused", *options]) == 0, "the budget of all copies holds"
    capsys.readouterr()
    fewer = ["--set", "protocol.copies=20"] if advice in ("length_km", "code") else []
    assert cli.execute(["run", "metro-10km-direct-refused", "--inline", "--json", *options, *fewer]) == 0
    assert json.loads(capsys.readouterr().out)["copies"] == (20 if fewer else 2000)


def yaml_text(value: str) -> str:
    return f"'{value}'" if "[" in value else value


def test_advice_is_given_only_where_it_works() -> None:
    """Noise in flight rules out teleportation, and noise that is no Pauli noise rules out codes too."""
    told = {}
    for kind in ("depolarizing", "amplitude-damping"):
        loaded = load(
            "metro-10km-direct-refused", [f"links.0.noise=[{{kind: {kind}, probability: 0.01}}]", "links.0.length_km=7"]
        )
        with pytest.raises(ScenarioError) as caught:
            loaded.check_foreseen(loaded.run())
        told[kind] = str(caught.value)
    assert "teleport" not in "".join(told.values())
    assert "or transport: coded with code: " in told["depolarizing"]
    assert "coded" not in told["amplitude-damping"]


def test_advice_names_the_links_where_there_are_several() -> None:
    loaded = load("ring-of-three", [f"links.{index}.length_km=30" for index in range(3)])
    with pytest.raises(ScenarioError, match=r"or transport: teleport, .* on each of alice-bob, bob-carol, carol-alice"):
        loaded.check_foreseen(loaded.run())


def private_numbers(run: Run, party: str) -> np.ndarray:
    """All that a party's own loader gives it in a session (signs aside, which are too short to search)."""
    taken = []
    load_own = make_loader(party, data_key(run.workload, party), ".")

    def spy(key: str, source: dict) -> dict:  # type: ignore[type-arg]
        loaded = load_own(key, source)
        if source.get("random") != "signs":
            taken.append(loaded["values"].astype(np.float64).ravel())
        return loaded

    from ketwire.nodes.trampoline import build_program

    build_program(run.sessions[0].program, run.sessions[0].told[party], spy, party)
    return np.concatenate(taken)


@pytest.mark.long
def test_what_is_done_on_the_digits() -> None:
    """At 540 images a standard error is 0.7 points at 97%: four of them below."""
    loaded = load("digits", (), None)
    from ketwire.scenarios.kinds.interface import Judge

    results = run_inline(loaded.run())
    told = loaded.kind.summarise(loaded.scenario.protocol, results, Judge(loaded.network())).told()
    assert told["test_accuracy"] > 0.97 - 4 * 0.0073
    assert told["baseline_accuracy"] > 0.97
