"""What the coordinator tells each party when it has joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ketwire.channels.hardware import told as told_hardware
from ketwire.channels.line_values import told
from ketwire.channels.wire.frames import Job
from ketwire.nodes.processes.control import slice_arrays
from ketwire.nodes.session import Link, Run, data_key, direction_key, direction_name, party_key


def node_job(
    run: Run, party: str, links: Sequence[tuple[Link, str]], public_keys: Mapping[str, str]
) -> Job:
    """What a node is told: its slices, its keys, and its links with the peer at the other end of each."""
    sessions, arrays = [], {}
    for index, session in enumerate(run.sessions):
        values, own = session.told.get(party, (None, {}))
        arrays.update(slice_arrays(str(index), own))
        key = party_key(run.seed, session.name, party).hex()
        told_of = {"program": session.program, "slice": values, "key": key}
        sessions.append({**told_of, "restartable": session.restartable})
    told_links = [{"link": link.name, "peer": peer, "public": public_keys.get(link.name)} for link, peer in links]
    key = data_key(run.workload, party).hex()
    hardware = told_hardware(run.hardware_of(party))
    return Job({"sessions": sessions, "links": told_links, "data_key": key, "hardware": hardware}, arrays)


def fiber_job(run: Run, link: Link, public_keys: Mapping[str, str], ledger: str | None) -> Job:
    """What a fiber is told: its two lines with a key for each session, and where its ledger goes."""
    keys = [
        {a: direction_key(run.seed, session.name, a, b).hex() for a, b, _ in link.directions()}
        for session in run.sessions
    ]
    job = {
        "ends": {end: public_keys.get(end, "") for end in link.ends},
        "lines": {sender: told(line) for sender, _, line in link.directions()},
        "directions": {sender: direction_name(sender, receiver) for sender, receiver, _ in link.directions()},
        "sessions": [{"keys": each} for each in keys],
        "credit_octets": link.credit_octets,
        "ledger": ledger,
    }
    return Job(job)
