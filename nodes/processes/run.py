"""The process runtime: one operating-system process per node and per fiber, under one coordinator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import PartyFailed, ScenarioError, warn
from ketwire.modules import settled
from ketwire.nodes.checkpoints.epochs import is_restartable, journal_of, survive
from ketwire.nodes.checkpoints.folders import socket_folder
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.ledger import read_records
from ketwire.nodes.models import MODELS
from ketwire.nodes.processes.addresses import IPC
from ketwire.nodes.processes.capacity import check_capacity
from ketwire.nodes.processes.children import Children
from ketwire.nodes.processes.control import OVER
from ketwire.nodes.processes.coordinator import Coordinator
from ketwire.nodes.processes.interpreters import check_fibers
from ketwire.nodes.processes.security import KeyPair, new_keys
from ketwire.nodes.processes.sockets import STAYS, bind
from ketwire.nodes.session import COORDINATOR, Progress, Run, SessionResult, with_records

JOIN_S = 120.0  # for processes that are only just born, on a busy machine too
JOIN_EACH_S = 1.0


def run_processes(
    run: Run,
    progress: Progress | None = None,
    ledger: bool = False,
    base: str = ".",
    out: Path | None = None,
    plaintext: bool = False,
    digest: bool = True,
) -> list[SessionResult]:
    """Run every session of `run` with a process per party on this machine; same results as `run_inline`.

    Args:
        progress: called as the parties report how far they are.
        ledger: every fiber writes its messages to `out`; they come back merged in the results.
        base: the folder that relative data paths start from.
        out: an existing folder for ledgers, trained models, the parties' logs (logs/NAME.log) and, where a session is
            restartable, its checkpoints: if it holds some of this very run, it goes on from there.
        plaintext: no CURVE; for benchmarks and for looking at the wire.

    Raises:
        ScenarioError, PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError.
    """
    check_capacity(run)
    with journal_of(run, out) as journal:
        if journal is None:
            results = _epoch(run, progress, ledger, base, out, plaintext, digest, None)
        else:
            epoch = partial(_epoch, run, progress, ledger, base, out, plaintext, digest, journal)
            results = survive(epoch, run, journal)
    if out is None or not ledger:
        return results
    try:
        records = read_records(out, run)
    except ScenarioError as error:
        if is_restartable(run):  # what is done is kept, and told again once the ledger is whole
            raise
        return [replace(result, records_lost=str(error)) for result in results]
    return with_records(results, records)


def _epoch(
    run: Run,
    progress: Progress | None,
    ledger: bool,
    base: str,
    out: Path | None,
    plaintext: bool,
    digest: bool,
    journal: Journal | None,
) -> list[SessionResult]:
    """The run from where its journal says, with processes, keys and a run id of its own, until one of them dies.

    Frames of an epoch before are of another run.
    """
    interpreters = check_fibers(run, inline=False)
    names = (*run.parties, *(link.name for link in run.links))
    folder = str(out) if out is not None and ledger else None
    with socket_folder(len(names)) as place:  # which no other user reaches, so that no process listens on a port
        context = zmq.Context()
        keys: dict[str, KeyPair] = {} if plaintext else {name: new_keys() for name in names}
        own = None if plaintext else new_keys()
        public = {name: pair.public for name, pair in keys.items()}
        patience_s = JOIN_S + JOIN_EACH_S * len(names)
        coordinator = Coordinator(context, run, own, public, progress, folder, digest, None, patience_s, journal, warn)
        children = Children(coordinator.poller)
        coordinator.watch = partial(_watch, children, place)
        try:
            with _told(children, coordinator):
                address = bind(coordinator.socket, _socket(place, 0), COORDINATOR)
                common = {
                    "run": coordinator.run_id.hex(),
                    "coordinator": {"address": address, "public": None if own is None else own.public},
                    "digest": digest,
                    "base": base,
                    "modules": settled(),
                    "out": folder,
                    "checkpoints": None if journal is None else str(journal.folder),
                    "strays": [str(place), *([str(journal.folder)] if journal is not None and out is None else [])],
                }
                for index, name in enumerate(names, start=1):
                    log = _log(out, name)
                    role = "node" if index <= len(run.parties) else "fiber"
                    orders = {**common, **_orders(name, role, keys.get(name), _socket(place, index), log)}
                    orders["model"] = None if out is None else str(out / MODELS / f"{name}.npz")
                    children.start(name, orders, log, interpreters.get(name))
                return coordinator.conduct()
        finally:
            children.end()
            context.destroy(linger=0)


@contextmanager
def _told(children: Children, coordinator: Coordinator) -> Iterator[None]:
    """Tell the parties how the run ended. An error that a dead child caused names that child."""
    try:
        yield
        coordinator.stop(OVER)
    except BaseException as error:
        told = children.explained(error)
        coordinator.stop(f"the run ended early: {str(told) or type(told).__name__}")
        if told is error:
            raise
        raise told from None


def _orders(name: str, role: str, keys: KeyPair | None, where: str, log: Path | None) -> dict[str, Any]:
    """What one child alone is told."""
    return {
        "name": name,
        "role": role,
        "keys": None if keys is None else {"public": keys.public, "secret": keys.secret},
        "where": where,
        "log": None if log is None else str(log),
    }


def _socket(place: Path, index: int) -> str:
    return f"{IPC}{place / str(index)}"


def _watch(children: Children, place: Path, events: Mapping[Any, int]) -> None:
    """Raises:
    PartyFailed: a child has died, or no process can connect any more.
    """
    children.check(events)
    if not place.is_dir():
        raise PartyFailed(COORDINATOR, f"{place}: No such file or directory, {STAYS}")


def _log(out: Path | None, name: str) -> Path | None:
    if out is None:
        return None
    (out / "logs").mkdir(mode=0o700, exist_ok=True)
    return out / "logs" / f"{name}.log"

