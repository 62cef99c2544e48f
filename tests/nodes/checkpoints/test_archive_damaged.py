"""Ledgers and parts that somebody has touched between two runs: told in a line before anything goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError
from ketwire.nodes.checkpoints.archive import Broken, read
from ketwire.nodes.ledger import Ledger, Place, read_records
from tests.kit import scripted

RECORD = Record(*range(len(Record._fields)))


def noted(folder: Path, lines: int) -> tuple[Path, Place]:
    """A ledger of so many lines, and its end as a checkpoint has it."""
    ledger = Ledger(folder, "a-b")
    ledger.begin(0, None)
    for _ in range(lines):
        ledger.note(0, RECORD)
    place = ledger.mark()
    ledger.close()
    return ledger.path, place


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"', b"'", 1))


def swap(path: Path) -> None:
    path.write_bytes(b"[]\n" + path.read_bytes()[3:])


def count(path: Path) -> None:
    """One figure of a record is another."""
    path.write_bytes(path.read_bytes().replace(b'"copies": 5', b'"copies": 6', 1))


@pytest.mark.parametrize("damage", [Path.unlink, cut, spoil, swap, count])
def test_a_ledger_that_differs_from_what_a_checkpoint_knows_is_not_gone_on_from(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path, place = noted(tmp_path, 4)
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before
    ledger = Ledger(tmp_path, "a-b")
    lacks = damage in (Path.unlink, cut)
    told = rf"\d+ of {place.octets} octets" if lacks else f"{place.octets} octets of another SHA-256"
    with pytest.raises(ScenarioError, match=rf"^ledger: {path}: {told}, expected the file as it was written$"):
        ledger.begin(0, place)
    ledger.close()


def whole(folder: Path, owner: str, sessions: int) -> Path:
    ledger = Ledger(folder, owner)
    for session in range(sessions):
        ledger.begin(session, None)
        ledger.note(session, RECORD)
        ledger.note(session, RECORD)
        ledger.end(session)
    ledger.close()
    return ledger.path


@pytest.mark.long  # thousands of ledgers
def test_each_octet_of_a_ledger_counts(tmp_path: Path) -> None:
    """Where it is read at the end, and where another session is to follow."""
    run = scripted({"alice": [], "bob": []}, sessions=2)
    path = whole(tmp_path, run.links[0].name, 2)
    assert [len(records) for records in read_records(tmp_path, run)] == [2, 2]
    octets = path.read_bytes()
    for index in range(len(octets)):
        path.write_bytes(octets[:index] + bytes([octets[index] ^ 1]) + octets[index + 1 :])
        with pytest.raises(ScenarioError, match=rf"^ledger: {path}: .*, expected the file as it was written$"):
            read_records(tmp_path, run)
        ledger = Ledger(tmp_path, run.links[0].name)
        with pytest.raises(ScenarioError, match=rf"^ledger: {path}: .*, expected the file as it was written$"):
            ledger.begin(2, None)
        ledger.close()
    for end in (0, len(octets) // 2, octets.index(b"\n", len(octets) // 2) + 1, len(octets) - 1):
        path.write_bytes(octets[:end])
        with pytest.raises(ScenarioError, match=rf"^ledger: {path}: .*, expected the file as it was written$"):
            read_records(tmp_path, run)


def test_others_may_not_read_a_ledger(tmp_path: Path) -> None:
    assert whole(tmp_path, "a-b", 1).stat().st_mode & 0o777 == 0o600


def test_what_came_after_a_checkpoint_may_be_torn(tmp_path: Path) -> None:
    path, place = noted(tmp_path, 4)
    path.write_bytes(path.read_bytes() + b'{"session": 0, "tor')
    ledger = Ledger(tmp_path, "a-b")
    ledger.begin(0, place)
    assert ledger.mark() == place and path.stat().st_size == place.octets
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
    for text in ('{"session": 0}\n', "[]\n", "no record\n", '{"session": 0, "sha256": []}\n'):
        path.write_text(text)
        with pytest.raises(ScenarioError, match=rf"^ledger: {path}: .*, expected the file as it was written$"):
            read_records(tmp_path, run)
    path.unlink()
    with pytest.raises(ScenarioError, match=rf"^ledger: {path}: No such file"):
        read_records(tmp_path, run)
