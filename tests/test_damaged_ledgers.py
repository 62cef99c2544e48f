"""Ledgers and parts that somebody has touched between two runs: told in a line before anything goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError
from ketwire.nodes.archive import Broken, read
from ketwire.nodes.ledger import Ledger, read_records
from tests.kit import scripted

RECORD = Record(*range(len(Record._fields)))


def noted(folder: Path, lines: int) -> tuple[Path, int]:
    """A ledger of so many lines, and its length as a checkpoint has it."""
    ledger = Ledger(folder, "a-b")
    ledger.begin(0, None)
    for _ in range(lines):
        ledger.note(0, RECORD)
    octets = ledger.mark()
    ledger.close()
    return ledger.path, octets


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"', b"'", 1))


def swap(path: Path) -> None:
    path.write_bytes(b"[]\n" + path.read_bytes()[3:])


@pytest.mark.parametrize("damage", [Path.unlink, cut, spoil, swap])
def test_a_ledger_that_lacks_what_a_checkpoint_counts_is_not_gone_on_from(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path, octets = noted(tmp_path, 4)
    damage(path)
    ledger = Ledger(tmp_path, "a-b")
    with pytest.raises(ScenarioError, match=rf"^ledger: {path}: whole lines for \d+ of {octets} octets, expected the"):
        ledger.begin(0, octets)
    ledger.close()


def test_what_came_after_a_checkpoint_may_be_torn(tmp_path: Path) -> None:
    path, octets = noted(tmp_path, 4)
    path.write_bytes(path.read_bytes() + b'{"session": 0, "tor')
    ledger = Ledger(tmp_path, "a-b")
    ledger.begin(0, octets)
    assert ledger.mark() == octets and path.stat().st_size == octets
    ledger.close()


@pytest.mark.parametrize("made", [os.mkfifo, os.mkdir])
def test_neither_a_pipe_nor_a_folder_is_waited_for(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path / "ledger-a-b.jsonl")
    with pytest.raises(ScenarioError, match="expected a file that can be written"):
        Ledger(tmp_path, "a-b")
    with pytest.raises(Broken, match="expected a file of a checkpoint"):
        read(tmp_path / "ledger-a-b.jsonl")


def test_a_device_is_no_part(tmp_path: Path) -> None:
    """It would be read for as long as a part may be."""
    (tmp_path / "part").symlink_to("/dev/zero")
    with pytest.raises(Broken, match="no regular file"):
        read(tmp_path / "part")


def test_a_ledger_that_was_touched_is_named_when_it_is_read(tmp_path: Path) -> None:
    run = scripted({"alice": [], "bob": []})
    path = tmp_path / f"ledger-{run.links[0].name}.jsonl"
    for text in ('{"session": 0}\n', "[]\n", "no record\n"):
        path.write_text(text)
        with pytest.raises(ScenarioError, match=rf"^ledger: {path}: a line that is no record, expected the file"):
            read_records(tmp_path, run, 0)
    path.unlink()
    with pytest.raises(ScenarioError, match=rf"^ledger: {path}: No such file"):
        read_records(tmp_path, run, 0)
