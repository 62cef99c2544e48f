"""Deaths in the middle of writing a checkpoint: at every operation, of every process, the run ends the same.

tests/faults/sitecustomize.py kills. The operations are those that an undisturbed run was seen to do, so none
is left out. Random moments are in test_epochs.py and scenarios/kinds/training/test_kind.py.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ketwire.nodes.inline import run_inline
from ketwire.nodes.processes.children import Child
from ketwire.nodes.processes.run import run_processes
from ketwire.nodes.session import Run
from ketwire.scenarios import cli
from tests.hands import Hands, hands
from tests.kit import stepping, unannounced
from tests.nodes.checkpoints.test_archive import assert_same, command
from tests.nodes.checkpoints.test_epochs import facts, hasty
from tests.scenarios.kinds.training.test_kind import LOSSY, SAMPLED, network, run_of, spec_of, whole

__all__ = ["hands", "hasty"]
ROOT = Path(__file__).parents[3]
WRITING = ["open", "write", "fsync", "rename", "open folder", "fsync"]
STEPS = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 2}]
protocol: {kind: "tests.scenario_kinds:Steps", steps: 4}
"""


def with_faults(faults: list[dict[str, Any]] = [], log: Path | None = None) -> dict[str, str]:  # noqa: B006
    """The environment of processes that meet these faults."""
    here = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(ROOT / "tests" / "faults"), str(ROOT), *([here] if here else [])])
    told = {"PYTHONPATH": path, "KETWIRE_FAULTS": json.dumps(faults)}
    return {**os.environ, **told, **({} if log is None else {"KETWIRE_FAULTS_LOG": str(log)})}


def fault(folder: Path, file: str, at: int, how: str = "kill") -> dict[str, Any]:
    return {"file": file, "at": at, "how": how, "once": str(folder / f"struck-{file}")}


def struck(faults: list[dict[str, Any]]) -> bool:
    return all(Path(each["once"]).exists() for each in faults)


def trained() -> Run:
    changed = {**SAMPLED, "validation": None, "steps": 4, "rivals": {"backprop": [], "raw": []}}
    return run_of(spec_of(**changed, checkpoint_every=1), network(LOSSY))


pytestmark = pytest.mark.usefixtures("hasty")


# ---------------------------------------------------------------- what there is to be killed at


def test_whoever_writes_does_these_operations_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should one be added, the places below want another look."""
    log = tmp_path / "log"
    (tmp_path / "steps.yaml").write_text(STEPS)
    subprocess.run(
        command("run", "steps.yaml", "--out", "out", "--json"), cwd=tmp_path, env=with_faults(log=log), check=True,
        stdout=subprocess.DEVNULL, timeout=60,
    )  # fmt: skip
    lines = log.read_text().splitlines()

    def done(file: str) -> list[str]:
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == file]

    for owner, end, after in (("alice", "npz", []), ("bob", "npz", []), ("commit", "json", []),
                              ("alice-bob", "npz", ["fsync"])):  # fmt: skip
        for step in (1, 2, 3):
            # From the third on, the one before the last two goes; a fiber syncs its ledger before it writes.
            gone = ["unlink"] if step == 3 else []
            assert done(f"{owner}.0.{step}.{end}") == [*WRITING, *gone, *after], (owner, step)


# ---------------------------------------------------------------- everything by one process


def inline_deaths(folder: Path, first: int, every: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.inline_deaths", str(folder), str(first), str(every)],
        cwd=ROOT, env=with_faults(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_inline_runtime_dies_at_operations_of_all_kinds_and_ends_the_same(tmp_path: Path) -> None:
    told = inline_deaths(tmp_path, 5, 41)  # a prime, so that operations of every kind have their turn
    assert told["bad"] == [] and told["tried"] >= 4


@pytest.mark.long
def test_the_inline_runtime_dies_at_every_operation_and_ends_the_same(tmp_path: Path) -> None:
    told = inline_deaths(tmp_path, 0, 1)
    assert told["bad"] == [] and told["tried"] == told["operations"] > 180


# ---------------------------------------------------------------- processes


def check_deaths(run: Run, plain: Any, told: Any, folder: Path, faults: list[dict[str, Any]]) -> None:
    """Processes that meet three deaths at most come to the end that nobody disturbed."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in with_faults(faults).items():
            patched.setenv(name, value)
        results = run_processes(run, out=folder, ledger=True)
    assert told(results) == plain and struck(faults)


@pytest.mark.long
def test_three_deaths_in_the_middle_of_writing(tmp_path: Path) -> None:
    run = stepping()
    places = [("alice.0.1.npz", 1, "kill"), ("alice-bob.0.2.npz", 3, "kill"), ("bob.0.3.npz", 4, "kill-nursery")]
    (tmp_path / "out").mkdir()
    check_deaths(run, facts(run_inline(run)), facts, tmp_path / "out", [fault(tmp_path, *place) for place in places])


VICTIMS = [("a", "kill"), ("b", "kill"), ("a-b", "kill"), ("a", "kill-nursery")]
PLACES = [
    (at, step, owner, how)
    for at in range(len(WRITING) + 1)
    for step in (1, 2, 3)
    for owner, how in VICTIMS
    if at < len(WRITING) or step == 3 or owner == "a-b"  # nothing more is done elsewhere
]


@pytest.mark.long
@pytest.mark.parametrize(("at", "step", "owner", "how"), PLACES)
def test_a_training_goes_on_from_any_operation(at: int, step: int, owner: str, how: str, tmp_path: Path) -> None:
    run = trained()
    (tmp_path / "out").mkdir()
    faults = [fault(tmp_path, f"{owner}.0.{step}.npz", at, how)]
    check_deaths(run, whole(run_inline(run)), whole, tmp_path / "out", faults)


# ---------------------------------------------------------------- the coordinator, through --resume


def training_scenario() -> str:
    """The training of above, as a file's text."""
    spec = spec_of(**{**SAMPLED, "validation": None, "steps": 4, "rivals": {"backprop": [], "raw": []}})
    told = {
        "seed": 5,
        "nodes": {"a": {}, "b": {}},
        "links": [{"between": ["a", "b"], "fiber": "telecom-fiber", "length_km": 2}],
        "protocol": {**spec.model_dump(mode="json", exclude_none=True), "checkpoint_every": 1},
    }
    return json.dumps(told)  # JSON is YAML


def check_resumed(
    hands: Hands, whole: Path, folder: Path, faults: list[dict[str, Any]], code: int
) -> tuple[str, set[str]]:
    """A run that ended early with `code` goes on, by --resume, to the end of the undisturbed one in `whole`.

    Answers with what it had said, and the commits that it had left.
    """
    run = hands.start(folder, "run", str(whole.parent / "steps.yaml"), "--out", "out", "--json", faults=faults)
    assert run.ended(60) == code and struck(faults), run.err
    commits = {path.name for path in (folder / "out" / "checkpoints").glob("commit.*")}
    # Processes go on just so, as tests/nodes/checkpoints/test_archive.py sees, and take longer.
    assert cli.execute(["run", "--resume", str(folder / "out"), "--inline", "--json"]) == 0
    assert_same(whole, folder / "out")
    return unannounced(run.err), commits


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run's folder; its scenario is beside it."""
    return undisturbed(tmp_path_factory.mktemp("steps"), STEPS)


def undisturbed(folder: Path, scenario: str) -> Path:
    (folder / "steps.yaml").write_text(scenario)
    argv = ["run", str(folder / "steps.yaml"), "--inline", "--out", str(folder / "whole"), "--json"]
    assert cli.execute(argv) == 0
    return folder / "whole"


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "at", "how"),
    [
        pytest.param("commit.0.2.json", 3, "kill", marks=pytest.mark.long),
        ("alice.0.3.npz", 1, "kill-coordinator"),
    ],
)
def test_a_coordinator_that_dies_in_the_middle_goes_on_by_resume(
    file: str, at: int, how: str, hands: Hands, steps: Path, tmp_path: Path
) -> None:
    check_resumed(hands, steps, tmp_path, [fault(tmp_path, file, at, how)], -9)


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "how"),
    [("commit.0.{}.json", "kill"), ("a.0.{}.npz", "kill-coordinator"), ("a-b.0.{}.npz", "kill-coordinator")],
)
def test_a_coordinator_of_a_training_dies_at_any_operation(
    file: str, how: str, hands: Hands, tmp_path: Path
) -> None:
    whole = undisturbed(tmp_path, training_scenario())
    for step in (1, 2, 3):
        for at in range(len(WRITING) + (step == 3)):
            folder = tmp_path / f"{step}-{at}"
            folder.mkdir()
            check_resumed(hands, whole, folder, [fault(folder, file.format(step), at, how)], -9)


# ---------------------------------------------------------------- full disks


@pytest.mark.parametrize(
    ("file", "at", "who", "left"),
    [
        ("alice.0.3.npz", 1, "alice", {1, 2}),
        pytest.param("alice-bob.0.2.npz", 2, "alice-bob", {1}, marks=pytest.mark.long),
        pytest.param("commit.0.3.json", 1, "coordinator", {1, 2}, marks=pytest.mark.long),
    ],
)
def test_a_full_disk_is_told_by_party_and_file_and_the_run_goes_on_later(
    file: str, at: int, who: str, left: set[int], hands: Hands, steps: Path, tmp_path: Path
) -> None:
    said, commits = check_resumed(hands, steps, tmp_path, [fault(tmp_path, file, at, "full")], 3)
    told = f"{who}: checkpoint: out/checkpoints/{file}: No space left on device; the last good checkpoint stays"
    unfinished = "out is unfinished; go on with: ketwire run --resume out"
    assert sorted(said.splitlines()) == sorted([f"ketwire: {told}", f"ketwire: {unfinished}"])
    assert commits == {f"commit.0.{step}.json" for step in left}


@pytest.mark.parametrize(("part", "step"), [("write_trace", "trace"), ("RunDirectory.write_ledger", "ledger")])
def test_a_disk_without_room_for_the_result_is_one_line_and_the_run_goes_on_later(
    part: str,
    step: str,
    steps: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full(*what: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(f"ketwire.scenarios.runs.rundir.{part}", full)
        assert cli.execute(["run", str(steps.parent / "steps.yaml"), "--inline", "--out", "out"]) == 3
    said = unannounced(capfd.readouterr().err).splitlines()
    assert said == [
        "ketwire: out is unfinished; go on with: ketwire run --resume out",
        f"ketwire: the run is over, but {step} failed: coordinator: result: out: No space left on device; expected a "
        "folder with room for ledger and trace",
    ]
    assert cli.execute(["run", "--resume", "out", "--inline", "--json"]) == 0
    assert_same(steps, tmp_path / "out")


def test_a_log_that_cannot_be_kept_ends_with_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    (orders_in, orders_out), (output_in, output_out) = os.pipe(), os.pipe()
    child = Child("alice", orders_out, output_in, Path("/dev/full"))
    for _ in range(2):
        os.write(output_out, b"hello\n")
        assert child.read()
    assert list(child.lines) == ["hello", "hello"]
    told = "ketwire: alice: log: No space left on device; nothing more of what it prints is kept"
    assert unannounced(capfd.readouterr().err).splitlines() == [told, "alice: hello", "alice: hello"]
    os.close(output_out)
    child.close()
    os.close(orders_in)
