"""The messages of a run folder as text: their sequence, one copy's way, and a replay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ketwire.channels.records import Record
from ketwire.errors import ScenarioError
from ketwire.nodes.session import ends_of
from ketwire.scenarios.reports.ledger import Told
from ketwire.scenarios.reports.units import time_text, time_unit

if TYPE_CHECKING:
    from ketwire.nodes.times.following import Hop, Way

PS_PER_S = 10**12
HEAD = ("sent", "arrived", "from", "to", "what", "cost")


def sequence_lines(messages: Sequence[Told]) -> Iterator[str]:
    """A table of each session, a message a line."""
    for session in dict.fromkeys(each.session for each in messages):
        records = [each.record for each in messages if each.session == session]
        size_ps, unit = time_unit(max(record.arrival_ps for record in records))
        rows = [HEAD, *(_row(record, size_ps, unit) for record in records)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
        yield f"session {session}, {len(records):,} message{'s' * (len(records) != 1)}"
        for row in rows:
            cells = [cell.rjust(width) if place < 2 else cell.ljust(width)
                     for place, (cell, width) in enumerate(zip(row, widths, strict=False))]  # fmt: skip
            yield "  ".join(["", *cells, row[-1]]).rstrip()


def _time(time_ps: int, size_ps: int, unit: str) -> str:
    """To the picosecond, if that is six digits behind the point or fewer."""
    return f"{time_ps / size_ps:.{min(6, len(str(size_ps)) - 1)}f} {unit}"


def _row(record: Record, size_ps: int, unit: str) -> tuple[str, ...]:
    sender, receiver = ends_of(record.direction)
    times = (_time(each, size_ps, unit) for each in (record.sent_ps, record.arrival_ps))
    return (*times, sender, receiver, what(record), cost(record))


def what(record: Record) -> str:
    return f"{record.copies:,} {record.kind}" if record.copies else record.kind


def cost(record: Record) -> str:
    told = [(record.qubits_sent, "qubits"), (record.ebits, "ebits"), (record.payload_bits, "payload bits"),
            (record.control_bits, "control bits")]  # fmt: skip
    return ", ".join(f"{number:,} {unit}" for number, unit in told if number) or "nothing"


LONGEST_S = threading.TIMEOUT_MAX
"""The longest wait of a replay, which is years; systems refuse to sleep for longer."""


def replay(
    messages: Sequence[Told], speed: float, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Tell of each message when it is sent and when it has arrived, session by session.

    speed: seconds of virtual time in one second
    """
    for session in dict.fromkeys(each.session for each in messages):
        records = [each.record for each in messages if each.session == session]
        size_ps, unit = time_unit(max(record.arrival_ps for record in records))
        events = [(record.sent_ps, "sends", record) for record in records]
        events += [(record.arrival_ps, "has", record) for record in records]
        now_ps = 0
        say(f"session {session}")
        for time_ps, happens, record in sorted(events, key=lambda each: (each[0], each[1] == "sends", each[2])):
            if time_ps > now_ps:
                sleep(min((time_ps - now_ps) / PS_PER_S / speed, LONGEST_S))
                now_ps = time_ps
            sender, receiver = ends_of(record.direction)
            at, message = _time(time_ps, size_ps, unit), f"{what(record)} (message {record.number})"
            told = f"{sender} sends {message} to {receiver}" if happens == "sends" else (
                f"{receiver} has all of {message} of {sender}"
            )  # fmt: skip
            say(f"  {at}  {told}")


# ---------------------------------------------------------------- one copy


class Target(NamedTuple):
    """A copy: which of those that a party prepared in a session, counted from 0 as they left."""

    party: str
    session: str
    number: int


def target_of(text: str) -> Target:
    """Raises:
    ScenarioError: it is not PARTY:SESSION:NUMBER.
    """
    party, _, rest = text.partition(":")
    session, _, number = rest.rpartition(":")
    if not party or not session or not number.isdecimal():
        raise ScenarioError(f"--follow: {text!r} given, expected PARTY:SESSION:NUMBER, as in alice:inference:0")
    return Target(party, session, int(number))


def way_lines(target: Target, way: Way) -> Iterator[str]:
    """One copy's way, an event a line."""
    times_ps = [hop.there_ps for hop in way.hops] + ([way.end[1]] if way.end else [])
    size_ps, unit = time_unit(max(times_ps))
    yield f"copy {target.number:,} of those that {target.party} prepares in session {target.session}"
    known_ps = way.hops[0].left_ps
    for hop in way.hops:
        for time_ps, told in _events(hop, known_ps):
            yield f"  {_time(time_ps, size_ps, unit)}  {told}"
        known_ps = hop.there_ps
    if way.end is not None and not (way.hops[-1].lost or way.hops[-1].dead):
        party, time_ps, measured = way.end
        told = f"is measured at {party}" if measured else f"is discarded at {party}, as enough copies came before"
        yield f"  {_time(time_ps, size_ps, unit)}  {told}"


def _events(hop: Hop, known_ps: int) -> Iterator[tuple[int, str]]:
    where = f"copy {hop.place:,} of {hop.copies:,} in message {hop.number} of {hop.sender}->{hop.receiver}"
    if hop.dead:
        yield hop.there_ps, f"is known at {hop.receiver} to be dead ({where})"
        return
    waited = f" after a wait of {time_text(hop.left_ps - known_ps)}" if hop.left_ps > known_ps else ""
    yield hop.left_ps, f"leaves {hop.sender}{waited} ({where})"
    took = time_text(hop.there_ps - hop.left_ps)
    yield hop.there_ps, f"is lost, as {hop.receiver} finds {took} later" if hop.lost else (
        f"is whole at {hop.receiver}, {took} later"
    )  # fmt: skip


def follow_copy(run: Path, target: Target) -> Iterator[str]:
    """Run the session of a folder once more in this process, and tell of one copy's way.

    Raises:
        ScenarioError: no such session, party or copy; or the session does not come to the same transcript, as data or
            programs have changed.
    """
    from ketwire.nodes.times.following import follow  # noqa: PLC0415
    from ketwire.scenarios.load import load  # noqa: PLC0415
    from ketwire.scenarios.runs.reading import read_run  # noqa: PLC0415

    known = {each["name"]: each["transcript_sha256"] for each in read_run(run)["sessions"]}
    loaded = load(str(run / "scenario.yaml"))
    asked = loaded.run()
    sessions = {session.name: session for session in asked.sessions}
    for name, given, accepted in (("session", target.session, known), ("party", target.party, asked.parties)):
        if given not in accepted:
            raise ScenarioError(f"--follow: {name} {given!r} given, expected one of {', '.join(accepted)}")
    way, prepared, result = follow(asked, sessions[target.session], target.party, target.number, loaded.base)
    if result.transcript_sha256 != known[target.session]:
        told = "comes to another transcript now, expected the data, programs and version of the run"
        raise ScenarioError(f"--follow: session {target.session} of {run} {told}")
    if not way.hops:
        told = f"numbers from 0 to {prepared - 1}" if prepared else "a party that sends copies of its own"
        raise ScenarioError(f"--follow: copy {target.number} of {target.party} given, expected {told}")
    return way_lines(target, way)
