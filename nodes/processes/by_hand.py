"""Parties started by hand, on this machine or others: the same pieces, with keys from files.

The folder of keys holds, for a party, its own NAME.key and coordinator.pub; for the coordinator its own
key and everybody's NAME.pub (`ketwire keys` writes them all). Start order does not matter: whoever
connects retries.

With a folder for checkpoints each, they outlive one another. Where a party dies, the coordinator ends the
epoch and waits for it to come back, which is for whoever started it to see to (a container's restart
policy, say); the others join again by themselves. Where that fails, everybody ends, and the same commands
over the same folders go on from the last commit.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import PartyFailed, ScenarioError, warn
from ketwire.nodes.checkpoints.epochs import MAX_RESTARTS, begins, is_restartable, is_survivable, survive
from ketwire.nodes.checkpoints.folders import own_folder
from ketwire.nodes.checkpoints.journal import Journal
from ketwire.nodes.processes.addresses import Address, AddressError
from ketwire.nodes.processes.control import AGAIN, OVER, Credentials, Taken, Unanswered
from ketwire.nodes.processes.coordinator import Coordinator
from ketwire.nodes.processes.descriptors import PARTY, for_run, provide
from ketwire.nodes.processes.gate import Opened, gate
from ketwire.nodes.processes.interpreters import refuse_interpreters
from ketwire.nodes.processes.security import KeyPair, read_keys, read_public_key
from ketwire.nodes.processes.sockets import bind, endpoint_at
from ketwire.nodes.session import COORDINATOR, Progress, Run, SessionResult

WAIT_S = 60.0
REJOIN_S = 60.0


def serve_node(
    name: str,
    keys: Path,
    coordinator: str,
    base: str = ".",
    checkpoints: Path | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Be the party `name` until the coordinator says that the run is over.

    Args:
        keys: folder with NAME.key and coordinator.pub.
        coordinator: HOST:PORT.
        base: the folder that this party's relative data paths start from.
        checkpoints: this party's own folder for its checkpoints, if the run is to have any.
        wait_s: how long to wait for the first word of a coordinator; inf: for ever.

    Raises:
        ScenarioError: what is given cannot serve. PartyFailed: no coordinator came, or the run ended early.
    """
    from ketwire.nodes.processes.node import NodeProcess  # noqa: PLC0415

    provide(PARTY, name)
    credentials = _credentials(name, "node", keys, coordinator, wait_s)
    _serve(credentials, checkpoints, lambda context, own: NodeProcess(context, own, base, checkpoints))


def serve_fiber(
    link: str,
    keys: Path,
    coordinator: str,
    place: str = "127.0.0.1:0",
    advertise: str | None = None,
    out: Path | None = None,
    checkpoints: Path | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Be the fiber of `link` ("alice-bob"). The rest is as of `serve_node`.

    Args:
        place: HOST:PORT that it binds.
        advertise: HOST:PORT that nodes are told to connect to, if it is not the one that it binds.
    """
    from ketwire.nodes.processes.fiber import FiberProcess  # noqa: PLC0415

    provide(PARTY, link)
    credentials = _credentials(link, "fiber", keys, coordinator, wait_s)
    at, told = _place(place, advertise)
    if told is None and at.is_every:
        raise ScenarioError(f"--bind: {at}: is every address of this machine, expected --advertise HOST:PORT beside it")
    with ExitStack() as stack:

        @cache  # the next epoch finds the gate of the first
        def opened() -> Opened:
            return stack.enter_context(gate(at))

        def listen(socket: Any) -> str:
            bind(socket, opened().inner, link)
            return str(told or opened().address)

        _serve(credentials, checkpoints, lambda context, own: FiberProcess(context, own, listen, out, checkpoints))


def _rejoin(rejoin_s: float | None, checkpoints: Path | None) -> float:
    """How long to wait for a party that died, in seconds.

    Raises:
        ScenarioError: no such time, or there is nothing to go on from.
    """
    if rejoin_s is not None and checkpoints is None:
        raise ScenarioError(f"--rejoin-s: {rejoin_s:g} given without --checkpoints, expected both")
    patience_s = REJOIN_S if rejoin_s is None else rejoin_s
    if not patience_s >= 0:
        raise ScenarioError(f"--rejoin-s: {patience_s:g} given, expected seconds, or 0 for not at all")
    return patience_s


def serve_coordinator(
    run: Run,
    keys: Path,
    place: str,
    advertise: str | None = None,
    progress: Progress | None = None,
    ledger: str | None = None,
    checkpoints: Path | None = None,
    rejoin_s: float | None = None,
) -> list[SessionResult]:
    """Conduct `run` for parties that join at `place` (HOST:PORT).

    Args:
        advertise: HOST:PORT to tell users of, if it is not the one that is bound.
        checkpoints: the coordinator's own folder; if it holds some of this very run, that goes on.
        rejoin_s: with checkpoints, how long to wait for a party that died to come back, 60 s unless
            given; 0: a death ends the run.

    Raises:
        ScenarioError: what is given cannot serve.
        PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError: the run failed.
    """
    refuse_interpreters(run)
    patience_s = _rejoin(rejoin_s, checkpoints)
    at, told = _place(place, advertise)
    names = (*run.parties, *(link.name for link in run.links))
    provide(for_run(len(names)), f"a coordinator of {len(names)} parties and fibers")
    own, public = read_keys(keys, COORDINATOR), {name: read_public_key(keys, name) for name in names}
    with _journal(run, checkpoints) as journal, gate(at) as held:
        warn(f"{COORDINATOR}: waiting for parties at {told or held.address}")
        restarts = count()

        def epoch() -> list[SessionResult]:
            number = next(restarts)

            def goes_on(error: BaseException) -> bool:
                if journal is None or patience_s == 0 or number == MAX_RESTARTS:
                    return False
                return is_survivable(error, run, journal)

            context = zmq.Context()
            coordinator = Coordinator(
                context, run, own, public, progress, ledger, run_id=run_id_of(own.public), journal=journal, warn=warn,
                patience_s=patience_s if number else math.inf,
            )  # fmt: skip
            with _conducted(coordinator, context, goes_on):
                bind(coordinator.socket, held.inner, COORDINATOR)
                return coordinator.conduct()

        return epoch() if journal is None or patience_s == 0 else survive(epoch, run, journal)


@contextmanager
def _conducted(coordinator: Coordinator, context: Any, goes_on: Callable[[BaseException], bool]) -> Iterator[None]:
    """One epoch; parties are told whether another follows where it ends early."""
    try:
        yield
        coordinator.stop(OVER)
    except BaseException as error:
        head = AGAIN if goes_on(error) else "the run ended early"
        coordinator.stop(f"{head}: {str(error) or type(error).__name__}")
        raise
    finally:
        context.destroy(linger=1000)


@contextmanager
def _journal(run: Run, folder: Path | None) -> Iterator[Journal | None]:
    """The coordinator's own files; whatever ends the run early is followed by how it can go on."""
    if folder is None:
        yield None
        return
    if not is_restartable(run):
        raise ScenarioError(f"--checkpoints: {folder} given, expected none: no session of this scenario has any")
    journal = Journal(folder, run)
    try:
        if len(journal.finished) == len(run.sessions):
            warn(f"{folder}: of a run that is over, whose results are told again; another needs an empty folder")
        yield journal
    except ScenarioError:
        raise
    except BaseException:
        where = begins(journal, run)
        warn(f"{folder}: an unfinished run; the same commands over the same folders go on from {where}")
        raise
    finally:
        journal.close()


def run_id_of(public: str) -> bytes:
    """The run's id where nobody can be told one before it joins: from the coordinator's public key."""
    return hashlib.sha256(public.encode()).digest()[:16]


def _credentials(name: str, role: str, keys: Path, coordinator: str, wait_s: float) -> Credentials:
    if not wait_s > 0:
        raise ScenarioError(f"--wait-s: {wait_s:g} given, expected seconds above 0, or inf")
    public = read_public_key(keys, COORDINATOR)
    try:
        endpoint = endpoint_at(_given("--coordinator", coordinator), public)
    except AddressError as error:
        raise ScenarioError(f"--coordinator: {error}") from None
    own: KeyPair = read_keys(keys, name)
    return Credentials(name, role, run_id_of(public), endpoint, own, wait_s=wait_s)


def _given(option: str, text: str, *, binds: bool = False) -> Address:
    """The address that an option was given. It may begin with tcp://, as it once had to."""
    try:
        return Address.parse(text.removeprefix("tcp://"), binds=binds)
    except AddressError as error:
        raise ScenarioError(f"{option}: {error}") from None


def _place(place: str, advertise: str | None) -> tuple[Address, Address | None]:
    """What to bind, and what to tell instead of it."""
    at = _given("--bind", place, binds=True)
    told = None if advertise is None else _given("--advertise", advertise)
    if told is not None and at.port == 0:
        beside = f"--advertise: {told}: given with --bind {at}, whose port is any free one"
        raise ScenarioError(f"{beside}, expected a --bind HOST:PORT with a fixed port beside it")
    return at, told


def _serve(credentials: Credentials, checkpoints: Path | None, make: Callable[[Any, Credentials], Any]) -> None:
    """Be a party, in one epoch after another where it has a folder for checkpoints.

    Raises:
        PartyFailed: the run ended early, or nobody answered.
    """
    name, jobs = credentials.name, 0
    with own_folder(checkpoints):
        until_s = time.monotonic() + credentials.wait_s
        warn(f"{name}: waiting for the coordinator at {credentials.coordinator.address}, {_patience(credentials)}")
        while True:
            # The patience is for hearing a coordinator at all, however often one comes and goes meanwhile.
            reason, has_job, anew = _epoch(replace(credentials, until_s=until_s), make)
            if reason == OVER:
                return
            jobs += has_job
            if checkpoints is None or not anew or jobs > MAX_RESTARTS:
                raise PartyFailed(COORDINATOR, reason)
            if has_job:
                until_s = time.monotonic() + credentials.wait_s
                warn(f"{name}: {reason}; joining again, {_patience(credentials)}")


def _patience(credentials: Credentials) -> str:
    return "for ever" if credentials.wait_s == math.inf else f"for {credentials.wait_s:g} s"


def _epoch(credentials: Credentials, make: Callable[[Any, Credentials], Any]) -> tuple[str, bool, bool]:
    """Join once: why it ended, whether there was a job, whether there may be another epoch."""
    context = zmq.Context()
    party = make(context, credentials)
    try:
        reason = party.run()
        if reason == OVER and party.keeper is not None:
            party.keeper.clear()
        return reason, party.control.has_job, party.control.anew
    except (Taken, Unanswered):
        raise
    except Exception as error:
        party.control.fail(error)
        raise
    finally:
        context.destroy(linger=0)
