"""Checkpoints of the inline runtime: the files that nodes, fibers and coordinator would write, by one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ketwire.channels.link import Direction
from ketwire.channels.records import Record
from ketwire.errors import warn
from ketwire.nodes.checkpoints.archive import Broken, Content
from ketwire.nodes.checkpoints.journal import Commit, Journal
from ketwire.nodes.checkpoints.keeping import Keeper
from ketwire.nodes.ledger import Ledger, Place
from ketwire.nodes.party import PartyNode
from ketwire.nodes.session import Run, SessionResult, Totals
from ketwire.protocols.node import Checkpoint, State


class Lane(Protocol):
    """One direction of the inline runtime, as far as it is saved."""

    direction: Direction
    totals: Totals


Lanes = Mapping[tuple[str, str], Lane]


class Vault:
    """Everybody's checkpoints of a run.

    Args:
        ledger: where the ledgers are written, if they are.
    """

    def __init__(self, run: Run, journal: Journal, ledger: Path | None) -> None:
        self.run = run
        self.journal = journal
        self._begun = len(journal.finished)
        owners = (*run.parties, *(link.name for link in run.links))
        self._keepers = {owner: Keeper(journal.folder, owner, journal.run, True) for owner in owners}
        self._ledgers = {link.name: Ledger(ledger, link.name) for link in run.links} if ledger is not None else {}
        self._links = {(a, b): link.name for link in run.links for a, b, _ in link.directions()}

    def close(self) -> None:
        for ledger in self._ledgers.values():
            ledger.close()

    def begin(self, index: int, nodes: Mapping[str, PartyNode], lanes: Lanes) -> None:
        """Bring a session to the checkpoint that it goes on from, if there is one.

        Raises:
            ScenarioError: there are checkpoints, and none is whole.
        """
        found: dict[int, dict[str, Content]] = {}
        commit = None
        if index == self._begun:
            commit = self.journal.choose(index, lambda each: self._load(each, found), warn)
        parts = found[commit.step] if commit is not None else {}
        for name, ledger in self._ledgers.items():
            place = parts[name].values["ledger"] if parts else None
            ledger.begin(index, None if place is None else Place(*place))
        if commit is None:
            return
        for keeper in self._keepers.values():
            keeper.commit(index, commit.step)
        for party, node in nodes.items():
            values, arrays = parts[party]
            node.restore(values["node"], Checkpoint(commit.step, State(values["state"], arrays)))
        for (sender, receiver), lane in lanes.items():
            side = parts[self._links[sender, receiver]].values["sides"][sender]
            lane.direction.restore(side["direction"])
            lane.totals = Totals(**side["totals"])

    def _load(self, commit: Commit, found: dict[int, dict[str, Content]]) -> list[str]:
        """Read every part of a checkpoint into `found`; answers with what is wrong."""
        parts, faults = found.setdefault(commit.step, {}), []
        for owner, keeper in self._keepers.items():
            try:
                parts[owner] = keeper.load(commit.session, commit.step, commit.parts[owner])
            except Broken as error:
                faults.append(str(error))
        return faults

    def finish(self, index: int, result: SessionResult) -> None:
        """A session is over."""
        for ledger in self._ledgers.values():
            ledger.end(index)
        self.journal.finish(index, result)

    def note(self, sender: str, receiver: str, index: int, record: Record) -> None:
        """One message more in the ledger of its fiber."""
        if self._ledgers:
            self._ledgers[self._links[sender, receiver]].note(index, record)

    def save(
        self, index: int, step: int, nodes: Mapping[str, PartyNode], states: Mapping[str, State], lanes: Lanes
    ) -> None:
        """Write everybody's part, and commit.

        Raises:
            LocalProtocolError: a program's state cannot be saved.
            PartyFailed: a file cannot be written.
        """
        digests = {
            party: self._keepers[party].save(
                index, step, {"node": node.snapshot(), "state": states[party].values}, states[party].arrays
            )
            for party, node in nodes.items()
        }
        for link in self.run.links:
            sides: dict[str, Any] = {}
            for sender, receiver, _ in link.directions():
                lane = lanes[sender, receiver]
                sides[sender] = {"direction": lane.direction.snapshot(), "totals": lane.totals._asdict()}
            ledger = self._ledgers[link.name].mark() if self._ledgers else None
            values = {"sides": sides, "ledger": ledger}
            digests[link.name] = self._keepers[link.name].save(index, step, values, {})
        self.journal.commit(index, step, digests)
        for keeper in self._keepers.values():
            keeper.commit(index, step)
