"""Crashes survived: a run is one epoch after another, each from the last checkpoint that was committed.

When any process dies, all start again: the living are stopped, all are forked again, and go on from the
last commit, or from the start of the session where there is none. A restart by hand (`--resume`) is the
first epoch of another coordinator over the same folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ketwire.errors import PartyFailed, warn
from ketwire.nodes.checkpoints.folders import mark_temporary, temporary_folder
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.session import Run

MAX_RESTARTS = 3
FOLDER = "checkpoints"
T = TypeVar("T")


def is_restartable(run: Run) -> bool:
    """Whether any of its sessions is."""
    return any(session.restartable for session in run.sessions)


@contextmanager
def journal_of(run: Run, out: Path | None) -> Iterator[Journal | None]:
    """The journal of a run that can be restarted, in `out`, else in a folder that goes when the run is over.

    Raises:
        ScenarioError: the folder cannot serve.
    """
    if not is_restartable(run):
        yield None
        return
    folder = temporary_folder() if out is None else out / FOLDER
    try:
        # What goes with this process anyway need not outlast the machine, and waits for no disk.
        journal = Journal(folder, run, durable=out is not None)
        try:
            if out is None:
                mark_temporary(folder)
            yield journal
        finally:
            journal.close()
    finally:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)


def survive(epoch: Callable[[], T], run: Run, journal: Journal) -> T:
    """Run epochs until one comes to its end.

    Raises:
        PartyFailed: a party died for the fourth time, or in a session that is not restartable; or it gave up.
    """
    for restarts in range(MAX_RESTARTS + 1):
        try:
            return epoch()
        except PartyFailed as error:
            if not is_survivable(error, run, journal):
                raise
            if restarts == MAX_RESTARTS:
                told = f"{error}; {MAX_RESTARTS} deaths were survived before this one, expected no more"
                raise PartyFailed(error.party or "", told) from None
            warn(f"{error.party}: {error}; everybody goes on from {begins(journal, run)}")
    raise AssertionError("the loop ends by itself")


def is_survivable(error: BaseException, run: Run, journal: Journal) -> bool:
    """Whether a party died in a session that can be restarted."""
    index = len(journal.finished)
    restartable = index < len(run.sessions) and run.sessions[index].restartable
    return isinstance(error, PartyFailed) and error.died and restartable


def begins(journal: Journal, run: Run) -> str:
    """Where a run that is not over goes on from, in words."""
    index = len(journal.finished)
    if index == len(run.sessions):
        return "its end"
    commits = journal.commits(index)
    return f"checkpoint {commits[0].step}" if commits else f"the start of {run.sessions[index].name}"
