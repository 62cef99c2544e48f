"""Checkpoints as the coordinator sees them in one epoch: who holds a part of which, and when one is committed.

Parties say what they hold of the checkpoints that their job named, before they are ready, and what they have saved,
once a session runs. As soon as all hold their part of a step the journal has its commit, and everybody is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from ketwire.channels.wire.frames import Commit, Ready, Saved
from ketwire.errors import PartyFailed
from ketwire.nodes.checkpoints.journal import Commit as Committed
from ketwire.nodes.checkpoints.journal import Journal


class Commits:
    """What is held and committed of a run's checkpoints, for one epoch.

    Args:
        journal: what is kept of the run; None where nothing is.
        warn: is told what is damaged in the journal where the run can still go on.
    """

    def __init__(self, journal: Journal | None, warn: Callable[[str], None]) -> None:
        self._journal, self._warn = journal, warn
        # Those of the first session that is not over; when it is, the others begin at their start.
        self._begun = 0 if journal is None else len(journal.finished)
        self._named = [] if journal is None else journal.commits(self._begun)
        self._held: dict[str, dict[int, Saved]] = {}
        self._saved: dict[str, Saved] = {}
        self.committed = -1
        """The last step of the present session that everybody holds."""

    def begin(self) -> None:
        """A session begins: no process has saved anything of it."""
        self._saved, self.committed = {}, -1

    def told(self, name: str) -> dict[str, Any] | None:
        """What a party must know of its own checkpoints: the run that they are of, and what was committed."""
        if self._journal is None:
            return None
        commits = [[each.session, each.step, each.parts[name]] for each in self._named]
        return {"run": self._journal.run, "durable": self._journal.durable, "commits": commits}

    def choose(self, session: int, owners: Collection[str]) -> Committed | None:
        """The checkpoint that a session goes on from; None: from its start.

        Raises:
            ScenarioError: there are some, and none is whole.
        """
        if self._journal is None or session != self._begun:
            return None

        def faults_of(commit: Committed) -> list[str]:
            found = {name: self._held.get(name, {}).get(commit.step) for name in owners}
            silent = [f"{name} holds no checkpoint {commit.step}" for name, saved in found.items() if saved is None]
            return silent + [f"{name}: {saved.fault}" for name, saved in found.items() if saved and saved.fault]

        return self._journal.choose(session, faults_of, self._warn)

    def save(
        self, name: str, ready: Ready | None, saved: Saved, session: int, owners: Collection[str]
    ) -> Commit | None:
        """`name` holds a part of a checkpoint: what all are to be told once everybody does, None until then.

        Raises:
            PartyFailed: it was not asked for, or the commit cannot be written.
        """
        asked = [each.step for each in self._named if each.parts[name] == saved.sha256]
        if self._journal is None or (ready is None and saved.step not in asked):
            raise PartyFailed(name, f"holds a checkpoint {saved.step} that nobody asked for")
        if ready is None:
            self._held.setdefault(name, {})[saved.step] = saved
            return None
        self._saved[name] = saved
        if any(self.step_of(other) != saved.step for other in owners):
            return None
        self._journal.commit(session, saved.step, {other: self._saved[other].sha256 for other in owners})
        self.committed = saved.step
        return Commit(session, saved.step)

    def step_of(self, name: str) -> int:
        """The last step that a party saved in this session; -1 for none."""
        return self._saved[name].step if name in self._saved else -1
