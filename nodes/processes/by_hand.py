"""Parties started by hand, on this machine or others: the same pieces, with keys from files.

The folder of keys holds, for a party, its own NAME.key and coordinator.pub; for the coordinator its own
key and everybody's NAME.pub (`ketwire keys` writes them all). Start order does not matter: a process
that connects retries.

With a folder for checkpoints each, they outlive one another. Where a party dies, the coordinator ends the
epoch and waits for it to come back, which its user has to arrange (by a container's restart
policy, say); the others join again by themselves. Where that fails, everybody ends, and the same commands
over the same folders go on from the last commit.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
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
from ketwire.nodes.processes.given import Given
from ketwire.nodes.processes.interpreters import refuse_interpreters
from ketwire.nodes.processes.lookup import Moves, resolved
from ketwire.nodes.processes.security import KeyPair
from ketwire.nodes.processes.sockets import Endpoint, bind
from ketwire.nodes.session import COORDINATOR, Progress, Run, SessionResult

WAIT_S = 60.0
REJOIN_S = 60.0


def serve_node(name: str, given: Given, coordinator: str, base: str = ".", wait_s: float = WAIT_S) -> None:
    """Be the party `name` until the coordinator says that the run is over.

    Args:
        given: its files.
        coordinator: HOST:PORT; a name that does not resolve yet is waited for.
        base: the folder that this party's relative data paths start from.
        wait_s: how long to wait for the first word of a coordinator; inf: forever.

    Raises:
        ScenarioError: what is given cannot serve. PartyFailed: no coordinator came, or the run ended early.
    """
    from ketwire.nodes.processes.node import NodeProcess  # noqa: PLC0415

    provide(PARTY, name)
    place = Place(name, "node", given, coordinator, wait_s)
    asked = given.model is not None
    _serve(place, lambda context, own: NodeProcess(context, own, base, given.checkpoints, given.model, asked=asked))


def serve_fiber(
    link: str,
    given: Given,
    coordinator: str,
    bind_to: str = "127.0.0.1:0",
    advertise: str | None = None,
    wait_s: float = WAIT_S,
) -> None:
    """Be the fiber of `link` ("alice-bob"). The rest is as of `serve_node`.

    Args:
        bind_to: HOST:PORT that it binds.
        advertise: HOST:PORT that nodes are told to connect to, if it is not the one that it binds.
    """
    from ketwire.nodes.processes.fiber import FiberProcess  # noqa: PLC0415

    provide(PARTY, link)
    place = Place(link, "fiber", given, coordinator, wait_s)
    at, told = _listening(bind_to, advertise)
    if told is None and at.is_every:
        raise ScenarioError(f"--bind: {at}: is every address of this machine, expected --advertise HOST:PORT beside it")
    with ExitStack() as stack:

        @cache  # the next epoch finds the gate of the first
        def opened() -> Opened:
            return stack.enter_context(gate(at))

        def listen(socket: Any) -> str:
            bind(socket, opened().inner, link)
            return str(told or opened().address)

        _serve(place, lambda context, own: FiberProcess(context, own, listen, None, given.checkpoints))


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
    given: Given,
    bind_to: str,
    advertise: str | None = None,
    progress: Progress | None = None,
    rejoin_s: float | None = None,
) -> list[SessionResult]:
    """Conduct `run` for parties that join at `bind_to` (HOST:PORT). What happens is told on standard error.

    Args:
        given: its files; if its folder of checkpoints holds some of this very run, that goes on.
        advertise: HOST:PORT to tell users of, if it is not the one that is bound.
        rejoin_s: with checkpoints, how long to wait for a party that died to come back, 60 s unless
            given; 0: a death ends the run.

    Raises:
        ScenarioError: what is given cannot serve.
        PartyFailed, Deadlock, RemoteProtocolError, LocalProtocolError: the run failed.
    """
    refuse_interpreters(run)
    patience_s = _rejoin(rejoin_s, given.checkpoints)
    at, told = _listening(bind_to, advertise)
    names = (*run.parties, *(link.name for link in run.links))
    provide(for_run(len(names)), f"a coordinator of {len(names)} parties and fibers")
    own, public = given.own_keys(COORDINATOR), {name: given.public_key(name) for name in names}
    with _journal(run, given.checkpoints) as journal, gate(at) as held, given.until_over():
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
                context, run, own, public, progress, run_id=run_id_of(own.public), journal=journal, warn=warn,
                patience_s=patience_s if number else math.inf, note=lambda text: warn(f"{COORDINATOR}: {text}"),
            )  # fmt: skip
            with _conducted(coordinator, context, goes_on):
                bind(coordinator.socket, held.inner, COORDINATOR)
                given.set_ready()
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
    """The coordinator's own files; an error that ends the run early is followed by how it can go on."""
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
    """The run's id where no party can be told one before it joins: from the coordinator's public key."""
    return hashlib.sha256(public.encode()).digest()[:16]


@dataclass(frozen=True)
class Place:
    """A party's place in a run: who it is, what it was given, and where it finds its coordinator.

    Raises:
        ScenarioError: what is given cannot serve.
    """

    name: str
    role: str
    given: Given
    coordinator: str
    wait_s: float

    def __post_init__(self) -> None:
        if not self.wait_s > 0:
            raise ScenarioError(f"--wait-s: {self.wait_s:g} given, expected seconds above 0, or inf")
        _ = (self.address, self.public, self.keys)  # which look whether they can serve

    @cached_property
    def address(self) -> Address:
        return _given("--coordinator", self.coordinator)

    @cached_property
    def public(self) -> str:
        return self.given.public_key(COORDINATOR)

    @cached_property
    def keys(self) -> KeyPair:
        return self.given.own_keys(self.name)

    @property
    def patience(self) -> str:
        return "without limit" if self.wait_s == math.inf else f"for {self.wait_s:g} s"

    def credentials(self, until_s: float) -> Credentials:
        """What it joins with, once the coordinator's name resolves.

        Args:
            until_s: how long it waits for a coordinator, by the monotonic clock.

        Raises:
            ScenarioError: the name has not resolved by then.
        """
        def absent(error: AddressError) -> None:
            warn(f"{self.name}: {error}; asking again, {self.patience}")

        try:
            found = resolved(self.address, until_s, absent)
        except AddressError as error:
            raise ScenarioError(f"--coordinator: {error}") from None
        return Credentials(
            self.name, self.role, run_id_of(self.public),
            Endpoint(str(found), self.public, found.needs_ipv6, str(self.address)), self.keys, wait_s=self.wait_s,
            until_s=until_s, registered=self._registered, moved=Moves(self.address, found),
        )  # fmt: skip

    def _registered(self) -> None:
        self.given.set_ready()
        warn(f"{self.name}: registered with the coordinator")


def _given(option: str, text: str, *, binds: bool = False) -> Address:
    """The address that an option was given. It may begin with tcp://, as it once had to."""
    try:
        return Address.parse(text.removeprefix("tcp://"), binds=binds)
    except AddressError as error:
        raise ScenarioError(f"{option}: {error}") from None


def _listening(bind_to: str, advertise: str | None) -> tuple[Address, Address | None]:
    """What to bind, and what to tell instead of it."""
    at = _given("--bind", bind_to, binds=True)
    told = None if advertise is None else _given("--advertise", advertise)
    if told is not None and at.port == 0:
        beside = f"--advertise: {told}: given with --bind {at}, whose port is any free one"
        raise ScenarioError(f"{beside}, expected a --bind HOST:PORT with a fixed port beside it")
    return at, told


def _serve(place: Place, make: Callable[[Any, Credentials], Any]) -> None:
    """Be a party, in one epoch after another where it has a folder for checkpoints.

    Raises:
        PartyFailed: the run ended early, or the coordinator did not answer.
    """
    jobs = 0
    with own_folder(place.given.checkpoints), place.given.until_over():
        until_s = time.monotonic() + place.wait_s
        warn(f"{place.name}: waiting for the coordinator at {place.address}, {place.patience}")
        while True:
            # The patience is for hearing a coordinator at all, however often one comes and goes meanwhile.
            reason, has_job, anew = _epoch(place.credentials(until_s), make)
            place.given.clear_ready()
            if reason == OVER:
                return
            jobs += has_job
            if not anew or (has_job and place.given.checkpoints is None) or jobs > MAX_RESTARTS:
                raise PartyFailed(COORDINATOR, reason)
            if has_job:
                until_s = time.monotonic() + place.wait_s
                warn(f"{place.name}: {reason}; joining again, {place.patience}")


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
