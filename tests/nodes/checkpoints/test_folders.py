"""Temporary folders of checkpoints: none outlives its run, and none that is not certainly one is touched."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ketwire.nodes.checkpoints.epochs import journal_of
from ketwire.nodes.checkpoints.folders import discard_stray, lock, mark_temporary, own_folder, temporary_folder
from ketwire.nodes.checkpoints.journal import Journal
from tests.kit import stepping
from tests.nodes.checkpoints.test_archive import SCENARIO, command, environment

RUN = stepping()


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which temporary ones are made."""
    (tmp_path / "temp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    return tmp_path / "temp"


def left_behind(parent: Path, name: str = "ketwire-abc") -> Path:
    """What a coordinator that was killed leaves."""
    folder = parent / name
    Journal(folder, RUN, durable=False).close()
    mark_temporary(folder)
    (folder / "alice.0.1.npz").write_bytes(b"x")
    return folder


def test_the_next_run_removes_what_a_killed_one_left(temp: Path) -> None:
    old = left_behind(temp)
    new = temporary_folder()
    assert not old.exists() and list(temp.iterdir()) == [new]


def loosen(folder: Path) -> None:
    folder.chmod(0o755)


def unmark(folder: Path) -> None:
    (folder / "temporary").unlink()


@pytest.mark.parametrize("change", [loosen, unmark])
def test_what_is_not_certainly_ours_stays(change: Callable[[Path], None], temp: Path) -> None:
    """A folder for `--checkpoints`, say, that happens to have such a name."""
    folder = left_behind(temp)
    change(folder)
    before = sorted(folder.iterdir())
    temporary_folder()
    assert sorted(folder.iterdir()) == before


def test_links_others_folders_and_living_ones_stay(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = left_behind(temp.parent, "elsewhere")
    os.symlink(target, temp / "ketwire-link")
    temporary_folder()
    assert (target / "alice.0.1.npz").exists()
    with journal_of(RUN, None) as journal:
        assert journal is not None and (journal.folder / "temporary").exists()
        discard_stray(journal.folder)
        assert (journal.folder / "run.json").exists()
    assert not journal.folder.exists()
    strange = left_behind(temp)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: strange.stat().st_uid + 1)
        discard_stray(strange)
    assert (strange / "alice.0.1.npz").exists()
    discard_stray(strange)
    assert not strange.exists()


def test_a_folder_is_one_owner_s_at_a_time(tmp_path: Path) -> None:
    with own_folder(tmp_path / "own"):
        assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
        assert lock(tmp_path / "own") is None
    held = lock(tmp_path / "own")
    assert held is not None
    os.close(held)


@pytest.mark.long
def test_children_of_a_killed_coordinator_remove_its_folder(temp: Path, tmp_path: Path) -> None:
    die = {"step": 3, "when": "after", "dead": str(tmp_path / "dead"), "times": 1, "whom": -1}
    (tmp_path / "steps.yaml").write_text(SCENARIO)
    done = subprocess.run(
        command("run", "steps.yaml", "--set", f"protocol.die={json.dumps({'alice': die})}"),
        cwd=tmp_path, env={**environment(), "TMPDIR": str(temp)}, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == -9 and (tmp_path / "dead").exists()
    until = time.monotonic() + 5
    while list(temp.iterdir()) and time.monotonic() < until:
        time.sleep(0.02)
    assert list(temp.iterdir()) == []
