"""Files of checkpoints: what is damaged is named and never half-loaded; and the command line over them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketwire.channels.link import Record
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.checkpoints import archive
from ketwire.nodes.checkpoints.archive import Broken, load, pack, sha256, unpack, write
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.checkpoints.sealed import seal, unseal
from ketwire.nodes.inline import run_inline
from ketwire.nodes.ledger import Ledger
from ketwire.nodes.processes.run import run_processes
from ketwire.scenarios import cli
from tests.kit import stepping, unannounced
from tests.nodes.checkpoints.test_epochs import Interrupted, facts, hasty, interrupt

__all__ = ["hasty"]
QUICK = settings(derandomize=True, database=None, deadline=None, max_examples=60)
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("hasty")

# ---------------------------------------------------------------- archives

ARRAYS = {
    "parameters": np.linspace(0, 1, 5),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "0-d": np.array(3 + 4j),
    "none": np.empty((0, 3), np.int64),
    "mask/deep": np.array([True, False]),
    "head": np.arange(3, dtype=np.uint8),
}
VALUES = {"x": [1, None, True, 0.1, "é", {"y": []}], "big": 1 << 80}
GOOD = pack(VALUES, ARRAYS)


def test_an_archive_comes_back_as_it_was() -> None:
    values, arrays = unpack(GOOD)
    assert values == VALUES and list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype and arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].flags.f_contiguous == array.flags.f_contiguous
        assert arrays[name].flags.writeable


def test_numpy_opens_an_archive(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(GOOD)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as members:
        assert json.loads(members["head"].tobytes())["arrays"] == list(ARRAYS)
        assert members["0"].tobytes() == ARRAYS["parameters"].tobytes()


@QUICK
@given(place=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_is_named_or_harmless_even_without_a_digest(place: int, bit: int, cut: bool) -> None:
    """Nothing but ValueError comes of any octets; the parts that stand under a checksum stay as they were."""
    octets = bytearray(GOOD)
    octets[place] ^= 1 << bit
    with contextlib.suppress(ValueError):
        assert unpack(bytes(octets[:place] if cut else octets)).values == VALUES


@pytest.mark.parametrize("octets", [b"", b"PK", b"\x93NUMPY", GOOD[:-1], GOOD[1:], GOOD[: len(GOOD) // 2]])
def test_what_is_no_archive_is_refused(octets: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(octets)


def test_an_archive_that_would_unpickle_or_unpack_is_refused(tmp_path: Path) -> None:
    head = np.frombuffer(b"{}", np.uint8)
    np.savez(tmp_path / "pickled.npz", head=head, a=np.array([object()], dtype=object))
    np.savez_compressed(tmp_path / "packed.npz", head=head, a=np.zeros(1 << 20))
    for name in ("pickled", "packed"):
        octets = (tmp_path / f"{name}.npz").read_bytes()
        with pytest.raises(Broken, match=rf"{name}\.npz: .*, expected a file of a checkpoint"):
            load(tmp_path / f"{name}.npz", sha256(octets))


def test_a_file_is_synced_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename = os.rename

    def renamed(old: Path, new: Path) -> None:
        done.append("rename")
        rename(old, new)

    def synced(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        done.append("folder" if path.is_dir() else f"{path.name}: {path.read_bytes().decode()}")

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    write(tmp_path / "x", b"hello")
    assert done == [".x.new: hello", "rename", "folder"]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600
    done.clear()
    write(tmp_path / "x", b"hullo", durable=False)
    assert done == ["rename"] and (tmp_path / "x").read_bytes() == b"hullo"


@QUICK
@given(place=st.integers(0, 200), bit=st.integers(0, 7))
def test_no_flipped_bit_passes_a_seal(place: int, bit: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_bytes(seal({"run": "abc", "step": 3}))
        assert unseal(path, {"run": str, "step": int}) == {"run": "abc", "step": 3}
        octets = bytearray(path.read_bytes())
        octets[place % len(octets)] ^= 1 << bit
        path.write_bytes(octets)
        with pytest.raises(Broken, match=r"x\.json: "):
            unseal(path, {"run": str, "step": int})


# ---------------------------------------------------------------- a folder with two checkpoints, damaged

RUN = stepping(steps=5)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted: the checkpoints of steps 2 and 3 are committed, step 4's parts are there."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 3, Interrupted())
        run_inline(RUN, ledger=True, out=folder)
    names = sorted(path.name for path in (folder / "checkpoints").glob("commit.*"))
    assert names == ["commit.0.2.json", "commit.0.3.json"]
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def older(path: Path) -> None:
    """The file of another step in its place."""
    path.write_bytes(path.with_name(path.name.replace(".3.", ".2.")).read_bytes())


DAMAGES: list[Callable[[Path], None]] = [truncate, empty, flip, older]


@pytest.mark.parametrize("damage", [*DAMAGES, Path.unlink], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["alice.0.3.npz", "bob.0.3.npz", "alice-bob.0.3.npz", "commit.0.3.json"])
def test_a_damaged_file_is_named_and_the_checkpoint_before_serves(
    folder: Path, name: str, damage: Callable[[Path], None], capfd: pytest.CaptureFixture[str]
) -> None:
    damage(folder / "checkpoints" / name)
    results = run_inline(RUN, ledger=True, out=folder)
    assert facts(results, records=True) == facts(run_inline(RUN, ledger=True), records=True)
    said = unannounced(capfd.readouterr().err)
    if (name, damage) == ("commit.0.3.json", Path.unlink):
        assert said == ""  # as if it had not come to be
    else:
        assert said.count("\n") == 1 and f"checkpoints/{name}: " in said
        assert said.endswith("; going on from checkpoint 2\n")


@pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("names", [("alice.0.3.npz", "alice.0.2.npz"), ("commit.0.3.json", "bob.0.2.npz")])
def test_where_none_is_whole_the_run_is_refused(
    folder: Path, names: tuple[str, ...], damage: Callable[[Path], None]
) -> None:
    truncate(folder / "checkpoints" / names[0])
    damage(folder / "checkpoints" / names[1])
    with pytest.raises(ScenarioError, match=rf"{names[0]}: .*; no other checkpoint is whole"):
        run_inline(RUN, ledger=True, out=folder)


@pytest.mark.parametrize("damage", [truncate, empty, flip, Path.unlink], ids=lambda damage: damage.__name__)
def test_without_its_name_a_run_is_not_gone_on_with(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / "checkpoints" / "run.json")
    with pytest.raises(ScenarioError, match=r"run\.json: .*, expected"):
        run_inline(RUN, out=folder)


def test_parts_and_commits_of_another_run_are_foreign(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Interrupted):
        interrupt(patched, 3, Interrupted())
        run_inline(RUN, out=other)
    shutil.copy(other / "checkpoints" / "commit.0.3.json", folder / "checkpoints")
    shutil.copy(other / "checkpoints" / "commit.0.2.json", folder / "checkpoints")
    with pytest.raises(ScenarioError, match=r"commit\.0\.3\.json: of another run or step"):
        run_inline(RUN, out=folder)
    # A foreign part with the digest that it is to have: the journal's own seal is of no use here.
    journal = Journal(folder / "checkpoints", RUN)
    foreign = (other / "checkpoints" / "alice.0.3.npz").read_bytes()
    (folder / "checkpoints" / "alice.0.3.npz").write_bytes(foreign)
    for name in ("commit.0.2.json", "commit.0.3.json"):
        (folder / "checkpoints" / name).unlink()
    parts = {owner: sha256((folder / "checkpoints" / f"{owner}.0.3.npz").read_bytes())
             for owner in ("alice", "bob", "alice-bob")}  # fmt: skip
    journal.commit(0, 3, parts)
    journal.close()
    with pytest.raises(ScenarioError, match=r"alice\.0\.3\.npz: of another run, owner or step"):
        run_inline(RUN, out=folder)


@pytest.mark.parametrize("name", ["result.0.npz", "done.0.json"])
def test_a_damaged_result_is_named(tmp_path: Path, name: str) -> None:
    run_inline(RUN, out=tmp_path)
    flip(tmp_path / "checkpoints" / name)
    with pytest.raises(ScenarioError, match=rf"checkpoints/{name}: "):
        run_inline(RUN, out=tmp_path)


def test_processes_name_what_is_damaged_as_well(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flip(folder / "checkpoints" / "bob.0.3.npz")
    truncate(folder / "checkpoints" / "alice-bob.0.3.npz")
    results = run_processes(RUN, ledger=True, out=folder)
    assert facts(results, records=True) == facts(run_inline(RUN, ledger=True), records=True)
    said = unannounced(capfd.readouterr().err)
    assert said.count("\n") == 2 and said.count("; going on from checkpoint 2\n") == 2
    assert "bob.0.3.npz: " in said and "alice-bob.0.3.npz: " in said


def test_a_ledger_goes_on_after_what_a_checkpoint_knows(tmp_path: Path) -> None:
    path = tmp_path / "ledger-a-b.jsonl"
    record, places = Record(*range(len(Record._fields))), []
    ledger = Ledger(tmp_path, "a-b")
    for session in range(2):
        ledger.begin(session, None)
        for _ in range(3):
            ledger.note(session, record)
            places.append(ledger.mark())
        ledger.end(session)
    ledger.close()
    lines = path.read_text().splitlines(keepends=True)
    for session, place, left in ((0, None, 0), (1, None, 4), (2, None, 8), (1, places[3], 5), (0, places[1], 2)):
        path.write_text("".join(lines) + '{"torn')
        ledger = Ledger(tmp_path, "a-b")
        ledger.begin(session, place)
        assert ledger.mark().octets == len("".join(lines[:left]))
        assert place is None or ledger.mark() == place
        ledger.close()
        assert path.read_text() == "".join(lines[:left])


def test_a_ledger_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ledger = Ledger(tmp_path, "a-b")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PartyFailed, match=r"^ledger: .*/ledger-a-b\.jsonl: No space left on device$") as caught:
        ledger.mark()
    assert caught.value.party == "a-b" and not caught.value.died
    ledger.close()


# ---------------------------------------------------------------- the command line

SCENARIO = """\
seed: 7
nodes: {alice: {}, bob: {}}
links: [{between: [alice, bob], fiber: telecom-fiber, length_km: 2}]
protocol: {kind: "tests.scenario_kinds:Steps", steps: 8}
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "steps.yaml").write_text(SCENARIO)
    return "in/steps.yaml"


def command(*argv: str) -> list[str]:
    return [sys.executable, "-m", "ketwire.scenarios.cli", *argv]


def environment() -> dict[str, str]:
    here = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *([here] if here else [])])}


def result_of(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return {**told, "wall_s": 0}


def assert_same(one: Path, other: Path, name: str = "steps") -> None:
    assert result_of(one) == result_of(other)
    for part in ("ledger.jsonl", "trace.json", "scenario.yaml"):
        assert (one / part).read_bytes() == (other / part).read_bytes()
    assert {path.name for path in other.iterdir()} - {"logs"} == {path.name for path in one.iterdir()} - {"logs"}


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_whose_coordinator_ended_goes_on(
    how: signal.Signals, scenario: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dead = tmp_path / "dead"
    die = {"step": 4, "when": "after", "dead": str(dead), "times": 1, "whom": -1, "signal": int(how)}
    change = f"protocol.die={json.dumps({'alice': die})}"
    dead.write_bytes(b"x")  # nobody dies
    assert cli.execute(["run", scenario, "--inline", "--out", "whole", "--json", "--set", change]) == 0
    dead.unlink()
    first = subprocess.run(
        command("run", scenario, "--out", "out", "--set", change), env=environment(), capture_output=True, timeout=60
    )
    assert first.returncode == (-9 if how is signal.SIGKILL else 130)
    if how is signal.SIGTERM:
        assert b"go on with: ketwire run --resume out" in first.stderr
    assert not (tmp_path / "out" / "result.json").exists()
    assert (tmp_path / "out" / "checkpoints" / "commit.0.4.json").exists()
    done = subprocess.run(command("run", "--resume", "out", "--json"), env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert unannounced(done.stderr.decode()) == ""
    assert {**json.loads(done.stdout), "wall_s": 0} == result_of(tmp_path / "out")
    assert_same(tmp_path / "whole", tmp_path / "out")
    capfd.readouterr()
    assert cli.execute(["run", "--resume", "out"]) == 2
    line = "ketwire: --resume: 'out' given, whose run is over; expected one that is not\n"
    assert unannounced(capfd.readouterr().err) == line


def test_an_interrupted_inline_run_goes_on(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["run", scenario, "--inline", "--out", "whole", "--json"]) == 0
    with monkeypatch.context() as patched:
        interrupt(patched, 3, KeyboardInterrupt())
        assert cli.execute(["run", scenario, "--inline", "--out", "out", "--json"]) == 130
    assert "go on with: ketwire run --resume out" in capfd.readouterr().err
    monkeypatch.chdir("in")  # data paths start where they did, from wherever the run goes on
    assert cli.execute(["run", "--resume", "../out", "--inline", "--json"]) == 0
    assert_same(tmp_path / "whole", tmp_path / "out")


def test_bad_input_leaves_nothing(scenario: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for made in (False, True):
        if made:
            (tmp_path / "out").mkdir()
        code = cli.execute(["run", scenario, "--inline", "--out", "out", "--set", "protocol.fail=true"])
        said = unannounced(capfd.readouterr().err)
        assert code == 2 and said.count("\n") == 1 and "protocol.fail: True given" in said
        assert (tmp_path / "out").exists() == made and not (made and list((tmp_path / "out").iterdir()))


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("run", "--resume", "nowhere"), "--resume: 'nowhere' given, expected the folder of an unfinished run"),
        (("run", "--resume", "in"), "--resume: 'in' given, expected the folder of an unfinished run"),
        (("run", "in/steps.yaml", "--resume", "in"), "--resume: given with a scenario, --set, --seed or --out"),
        (("run", "--resume", "in", "--seed", "1"), "--resume: given with a scenario, --set, --seed or --out"),
        (("run",), "NAME_OR_FILE: not given, expected a scenario, or --resume DIR"),
    ],
)
def test_a_resume_that_cannot_be_is_one_line(
    argv: tuple[str, ...], told: str, scenario: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(argv) == 2
    said = unannounced(capfd.readouterr().err)
    assert said.startswith(f"ketwire: {told}") and said.count("\n") == 1


def test_a_changed_scenario_is_not_gone_on_with(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        interrupt(patched, 2, PartyFailed("alice", "gave up"))
        assert cli.execute(["run", scenario, "--inline", "--out", "out"]) == 3
    assert json.loads((tmp_path / "out" / "result.json").read_text())["error"]["party"] == "alice"
    path = tmp_path / "out" / "scenario.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 8"))
    capfd.readouterr()
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 2
    said = unannounced(capfd.readouterr().err)
    assert "ketwire: --resume: out/scenario.yaml: " in said and "octets of another SHA-256" in said
    assert said.count("\n") == 1
    path.write_text(path.read_text().replace("seed: 8", "seed: 7"))
    assert cli.execute(["run", "--resume", "out", "--inline"]) == 0


@pytest.mark.long
def test_a_full_disk_is_one_line_and_the_run_goes_on_later(scenario: str, tmp_path: Path) -> None:
    """Files of more than 40 KiB cannot be written; the parameters take 80 kB, so not one checkpoint can be."""
    changes = ["--set", "protocol.size=10000", "--set", "protocol.steps=3"]
    limited = ["sh", "-c", 'ulimit -f 80; exec "$@"', "sh", *command("run", scenario, "--out", "out", *changes)]
    done = subprocess.run(limited, env=environment(), capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    first, second = unannounced(done.stderr).splitlines()
    assert "checkpoints/" in second + first and "File too large; the last good checkpoint stays" in second + first
    assert "go on with: ketwire run --resume out" in first + second
    assert cli.execute(["run", "--resume", "out", "--json"]) == 0
    assert cli.execute(["run", scenario, "--inline", "--out", "whole", "--json", *changes]) == 0
    assert_same(tmp_path / "whole", tmp_path / "out")


def test_an_archive_of_another_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = pack({"step": 3}, {})
    assert unpack(octets).values == {"step": 3}
    monkeypatch.setattr(archive, "VERSION", archive.VERSION + 1)
    with pytest.raises(ValueError, match=r"^format ketwire-archive version 2, expected ketwire-archive 3$"):
        unpack(octets)
