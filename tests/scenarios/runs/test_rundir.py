"""Run folders: one run at a time, its owner's alone, and nothing in them that is gone on from unseen when damaged."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.checkpoints.archive import VERSION, sha256
from ketwire.nodes.checkpoints.epochs import journal_of
from ketwire.nodes.checkpoints.folders import own_folder
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.checkpoints.keeping import Keeper
from ketwire.nodes.inline import run_inline
from ketwire.scenarios import cli
from ketwire.scenarios.runs import resumable, rundir
from ketwire.scenarios.runs.resumable import ResumableDirectory
from ketwire.scenarios.runs.rundir import Claim
from tests import mistakes
from tests.kit import rarely, stepping, unannounced
from tests.nodes.checkpoints.test_archive import SCENARIO, command, environment
from tests.nodes.checkpoints.test_epochs import interrupt

PLAIN = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 2}]
protocol: {kind: "tests.mistakes:Mistaken"}
"""
SCENARIOS = {"steps.yaml": SCENARIO, "plain.yaml": PLAIN}
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a scenario that has checkpoints and one that has none."""
    for name, text in SCENARIOS.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unfinished(monkeypatch: pytest.MonkeyPatch, out: str = "out", step: int = 3) -> Path:
    """A run with checkpoints that failed."""
    with monkeypatch.context() as patched:
        interrupt(patched, step, PartyFailed("alice", "gave up"))
        assert cli.execute(["run", "steps.yaml", "--inline", "--out", out, "--json"]) == 3
    return Path(out)


# ---------------------------------------------------------------- one run at a time


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_of_two_runs_into_one_folder_one_wins(
    scenario: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second begins and ends while the first runs."""
    codes: list[int] = []
    argv = ["run", scenario, "--inline", "--json", "--out", "out"]

    def busy(*given: Any) -> Any:
        capfd.readouterr()
        codes.append(cli.execute(argv))
        assert unannounced(capfd.readouterr().err).splitlines()[-1] == (
            "ketwire: --out: 'out' given, which another run uses; expected a folder of its own"
        )
        return run_inline(*given)

    monkeypatch.setattr(cli, "runtime_of", lambda inline, plaintext, latency: busy)
    assert cli.execute(argv) == 0 and codes == [2]
    assert json.loads((here / "out" / "result.json").read_text()) == json.loads(capfd.readouterr().out)
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


def test_one_unfinished_run_is_gone_on_with_once_at_a_time(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, _ = ResumableDirectory.reopen(unfinished(monkeypatch))
    capfd.readouterr()
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 2
    line = "ketwire: --resume: 'out' given, which another run uses; expected one that is not\n"
    assert capfd.readouterr().err == line
    folder.discard()
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 0


def test_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from ketwire.scenarios.runs.rundir import Claim\n"
        "claim = Claim.of_new(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], timeout=60)
    assert done.returncode == -signal.SIGKILL and (tmp_path / "out").exists()
    claim = Claim.of_new(tmp_path / "out")
    with pytest.raises(ScenarioError, match="which another run uses"):
        Claim.of_new(tmp_path / "out")
    claim.release()


def test_a_folder_that_is_replaced_meanwhile_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run puts its finished folder in the place of the empty one that we have just opened."""
    target, lock = tmp_path / "out", rundir.lock
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "result.json").write_text("{}")

    def late(folder: Path) -> int | None:
        held = lock(folder)
        if (tmp_path / "other").exists():
            (tmp_path / "other").rename(target)
        return held

    monkeypatch.setattr(rundir, "lock", late)
    with pytest.raises(ScenarioError, match="expected a new or an empty folder"):
        Claim.of_new(target)
    assert (target / "result.json").read_text() == "{}"


# ---------------------------------------------------------------- nobody else's


@pytest.fixture
def careless() -> Iterator[None]:
    """A umask that gives everything to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, set[str]]:
    """The modes of all files and of all folders."""
    found: dict[str, set[str]] = {"files": set(), "folders": {oct(folder.stat().st_mode & 0o777)}}
    for path in folder.rglob("*"):
        found["folders" if path.is_dir() else "files"].add(oct(path.stat().st_mode & 0o777))
    return found


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("scenario", rarely(SCENARIOS, but="steps.yaml"))
def test_a_run_folder_is_its_owner_s_alone(scenario: str, made: bool, here: Path, careless: None) -> None:
    if made:
        (here / "out").mkdir(mode=0o777)
    assert cli.execute(["run", scenario, "--plaintext", "--out", "out"]) == 0
    names = {path.name for path in (here / "out").rglob("*")}
    assert {"scenario.yaml", "result.json", "ledger.jsonl", "trace.json"} <= names
    assert "alice.log" in names or scenario == "steps.yaml"
    assert modes(here / "out") == {"files": {"0o600"}, "folders": {"0o700"}}


def test_an_unfinished_one_too(here: Path, careless: None, monkeypatch: pytest.MonkeyPatch) -> None:
    out = unfinished(monkeypatch)
    assert (out / "ledger-alice-bob.jsonl").exists() and (out / "checkpoints" / "run.json").exists()
    assert modes(out) == {"files": {"0o600"}, "folders": {"0o700"}}


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_folders_that_are_open_to_others_are_refused(
    mode: int, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "open").mkdir()
    (here / "open").chmod(mode)
    told = r"open is open to other users; expected mode 0700 \(chmod 700 .*open\)$"
    with pytest.raises(ScenarioError, match=f"^--checkpoints: {told}"), own_folder(Path("open")):
        pass
    with pytest.raises(ScenarioError, match=f"^checkpoints: {told}"):
        Journal(Path("open"), stepping())
    out = unfinished(monkeypatch)
    out.chmod(mode)
    capfd.readouterr()
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 2
    line = "ketwire: --resume: out is open to other users; expected mode 0700 (chmod 700 out)\n"
    assert capfd.readouterr().err == line
    out.chmod(0o700)
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 0


# ---------------------------------------------------------------- folders that go, disks that are full


def test_a_folder_of_checkpoints_that_goes_is_one_line(tmp_path: Path) -> None:
    with journal_of(stepping(), tmp_path) as journal:
        assert journal is not None
        keeper = Keeper(journal.folder, "alice", journal.run, False)
        shutil.rmtree(journal.folder)
        told = r"No such file or directory; expected a folder that stays there while the run lasts$"
        for asked in (
            lambda: journal.commits(0), lambda: journal.commit(0, 1, {}), lambda: keeper.save(0, 1, {}, {}),
            keeper.clear,
        ):  # fmt: skip
            with pytest.raises(PartyFailed, match=rf"^checkpoint: {journal.folder}.*: {told}") as caught:
                asked()
            assert not caught.value.died


@pytest.mark.parametrize("runtime", ["--inline", "--plaintext"])
def test_a_run_whose_folder_goes_fails_in_one_line(
    runtime: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    commit = Journal.commit

    def and_gone(self: Journal, session: int, step: int, parts: Any) -> None:
        commit(self, session, step, parts)
        shutil.rmtree(self.folder, ignore_errors=True)

    monkeypatch.setattr(Journal, "commit", and_gone)
    assert cli.execute(["run", "steps.yaml", runtime, "--json", "--out", "out"]) == 3
    *warned, last = unannounced(capfd.readouterr().err).splitlines()
    assert "out/checkpoints" in last and last.endswith("expected a folder that stays there while the run lasts")
    assert warned == ["ketwire: out is unfinished; go on with: ketwire run --resume out"]


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_disk_that_is_full_from_the_start_leaves_no_folder(
    scenario: str, made: bool, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if made:
        (here / "out").mkdir()
    before = sorted(here.iterdir())

    def full(path: Path, *given: Any, **named: Any) -> None:
        if path.name in ("launch.json", "logs"):
            raise FULL

    mkdir = Path.mkdir
    with monkeypatch.context() as patched:
        if scenario == "plain.yaml":
            patched.setattr(Path, "mkdir", lambda self, **named: full(self) or mkdir(self, **named))
        else:
            patched.setattr(resumable, "write", full)
        assert cli.execute(["run", scenario, "--inline", "--out", "out"]) == 2
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("ketwire: --out")]
    assert told == ["ketwire: --out: 'out' given: No space left on device, expected a folder that can be written"]
    assert sorted(here.iterdir()) == before and not (made and list((here / "out").iterdir()))
    assert cli.execute(["run", scenario, "--inline", "--out", "out"]) == 0


@pytest.mark.long  # processes by command
def test_a_finished_run_without_room_for_its_folder_is_printed(here: Path) -> None:
    """No file may have more than 512 octets: neither the fiber's ledger nor anything of the folder has room."""
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command("run", "plain.yaml", "--out", "out", "--json")]
    done = subprocess.run(limited, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    told = json.loads(done.stdout)
    assert told["estimate"] is not None and told["qubits_sent"] > 0
    assert [each["step"] for each in told["afterwards_failed"]] == ["ledger", "trace", "out"]
    assert "ledger-alice-bob.jsonl: File too large; nothing more of it is written" in done.stderr
    assert not (here / "out").exists()


# ---------------------------------------------------------------- damage


def flip(octets: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(octets))
    return octets[:at] + bytes([octets[at] ^ 1 << draw.randrange(8)]) + octets[at + 1 :]


def cut(octets: bytes, draw: random.Random) -> bytes:
    return octets[: draw.randrange(len(octets))]


def zero(octets: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(octets))
    return octets[:at] + bytes(len(octets) - at)


def grow(octets: bytes, draw: random.Random) -> bytes:
    return octets + octets[-draw.randrange(1, 40) :]


def swap(octets: bytes, draw: random.Random) -> bytes:
    """One line is where another was."""
    lines = octets.splitlines(keepends=True)
    draw.shuffle(lines)
    return b"".join(lines)


DAMAGES: list[Callable[[bytes, random.Random], bytes] | None] = [flip, flip, flip, cut, zero, grow, swap, None]


def damage(folder: Path, draw: random.Random) -> str:
    """Damage one file that is read where the run goes on, or remove it (None); answers with what was done."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.parent.name != "logs")
    while True:
        path, how = draw.choice(files), draw.choice(DAMAGES)
        before = path.read_bytes()
        if how is None:
            path.unlink()
            return f"{path.name} removed"
        if before and (after := how(before, draw)) != before:
            path.write_bytes(after)
            return f"{path.name} {how.__name__}"


def kept(folder: Path) -> tuple[Any, ...]:
    """What a finished folder tells."""
    result = {**json.loads((folder / "result.json").read_text()), "wall_s": 0}
    return result, *((folder / part).read_bytes() for part in ("ledger.jsonl", "trace.json", "scenario.yaml"))


@pytest.mark.parametrize(
    "name", rarely(["scenario.yaml", "launch.json", "result.json", "ledger-alice-bob.jsonl"], but="launch.json")
)
def test_a_damaged_file_is_named(
    name: str, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = unfinished(monkeypatch) / name
    octets = path.read_bytes()
    half = len(octets) // 2  # the end of a ledger may have come after the last checkpoint
    for number in range(12):
        path.write_bytes(flip(octets[:half], random.Random(number)) + octets[half:])
        capfd.readouterr()
        code = cli.execute(["run", "--resume", "out", "--inline"])
        line = unannounced(capfd.readouterr().err)
        assert code == 2 and line.count("\n") == 1 and f"out/{name}: " in line
    path.write_bytes(octets)
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 0


@pytest.fixture
def folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two unfinished runs, one between its steps and one whose sessions are over; the same, finished."""
    found = {"steps": unfinished(monkeypatch, "steps"), "over": Path("over")}
    changed = ["--set", "protocol.kept=true", "--set", "protocol.fails=[summarise]"]
    assert cli.execute(["run", "plain.yaml", "--inline", "--out", "over", "--json", *changed]) == 3
    monkeypatch.setattr(mistakes, "MENDED", True)
    for name in tuple(found):
        found[f"{name}, finished"] = Path(f"whole-{name}")
        shutil.copytree(name, f"whole-{name}")
        assert cli.execute(["run", "--resume", f"whole-{name}", "--inline", "--json"]) == 0
    return found


def resumed(folder: Path, whole: Path, code: int, err: str) -> str:
    """How a damaged folder was met: refused in one line, or gone on from with the very same result."""
    assert "Traceback" not in err, err
    if code == 0:
        assert kept(folder) == kept(whole)
        return "went on to the same result"
    said = [line for line in unannounced(err).splitlines() if line.startswith("ketwire: ")]  # a kind may print
    assert code == 2 and len(said) == 1, (code, err)
    return "refused in one line"


@pytest.mark.long
@pytest.mark.parametrize(("how", "cases"), [("in this process", 500), ("by the command", 20)])
def test_damaged_folders_are_refused_or_come_to_the_same_result(
    how: str, cases: int, folders: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    counts: Counter[str] = Counter()
    for number in range(cases):
        draw = random.Random(f"{how} {number}")
        name = "over" if number % 2 and how == "in this process" else "steps"  # where the kind is mended
        copy = Path(shutil.copytree(folders[name], f"case-{number}"))
        done = damage(copy, draw)
        argv = ["run", "--resume", str(copy), "--json"]
        capfd.readouterr()
        if how == "in this process":
            code, err = cli.execute([*argv, "--inline"]), capfd.readouterr().err
        else:
            ended = subprocess.run(command(*argv), env=environment(), capture_output=True, text=True)
            code, err = ended.returncode, ended.stderr
        try:
            counts[resumed(copy, folders[f"{name}, finished"], code, err)] += 1
        except AssertionError as error:
            raise AssertionError(f"case {number}: {name}: {done}") from error
        shutil.rmtree(copy, ignore_errors=True)
    assert counts["refused in one line"] >= cases // 3 and counts.total() == cases
    with capfd.disabled():
        print(f"\n{cases} damaged run folders, {how}: {dict(counts)}")


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize("number", [1, 3, "2", None])
@pytest.mark.parametrize("name", rarely(["launch.json", "checkpoints/run.json"], but="launch.json"))
def test_a_folder_of_another_format_is_refused(
    name: str, number: Any, here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With a seal that is right, as another ketwire would have written it."""
    path = unfinished(monkeypatch) / name
    value = json.loads(path.read_text())
    assert value.pop("version") == VERSION and value.pop("seal")
    whole = {"version": number, **value}
    digest = sha256(json.dumps(whole, sort_keys=True).encode())
    path.write_text(json.dumps({**whole, "seal": digest}, sort_keys=True) + "\n")
    before = {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()}
    capfd.readouterr()
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 2
    told = [line for line in unannounced(capfd.readouterr().err).splitlines() if "format" in line]
    assert len(told) == 1
    assert told[0].endswith(
        f"out/{name}: format {number!r} given, expected {VERSION}; "
        "go on with the ketwire that wrote it, or run the scenario again into a new folder"
    )
    assert {each: each.read_bytes() for each in path.parent.rglob("*") if each.is_file()} == before
