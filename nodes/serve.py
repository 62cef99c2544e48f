"""Parties started by hand, on this machine or others: the same pieces, with keys from files.

The folder of keys holds, for a party, its own NAME.key and coordinator.pub; for the coordinator its own
key and everybody's NAME.pub (`ketwire keys` writes them all). Start order does not matter: whoever
connects retries.
"""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import KetwireError, PartyFailed, ScenarioError
from ketwire.nodes.control import OVER, Credentials
from ketwire.nodes.coordinator import Coordinator
from ketwire.nodes.interpreters import refuse_interpreters
from ketwire.nodes.security import COORDINATOR, read_keys, read_public_key
from ketwire.nodes.session import Progress, Run, SessionResult
from ketwire.nodes.sockets import Endpoint, bind


def serve_node(name: str, keys: Path, coordinator: str, base: str = ".") -> None:
    """Be the party `name` until the coordinator says that the run is over.

    Args:
        keys: folder with NAME.key and coordinator.pub.
        coordinator: tcp://HOST:PORT.
        base: the folder that this party's relative data paths start from.
    """
    from ketwire.nodes.node_process import NodeProcess  # noqa: PLC0415

    context = zmq.Context()
    _serve(context, NodeProcess(context, _credentials(name, "node", keys, coordinator), base))


def serve_fiber(link: str, keys: Path, coordinator: str, host: str = "127.0.0.1", out: Path | None = None) -> None:
    """Be the fiber of `link` ("alice-bob"). `host` is the address of this machine that nodes connect to."""
    from ketwire.nodes.fiber_process import FiberProcess  # noqa: PLC0415

    context = zmq.Context()
    _serve(context, FiberProcess(context, _credentials(link, "fiber", keys, coordinator), host, out))


def serve_coordinator(
    run: Run, keys: Path, address: str, progress: Progress | None = None, ledger: str | None = None
) -> list[SessionResult]:
    """Conduct `run` for parties that join at `address` (tcp://HOST:PORT)."""
    refuse_interpreters(run)
    host, port = _host_and_port(address)
    names = (*run.parties, *(link.name for link in run.links))
    own = read_keys(keys, COORDINATOR)
    public = {name: read_public_key(keys, name) for name in names}
    context = zmq.Context()
    coordinator = Coordinator(context, run, own, public, progress, ledger, run_id=run_id_of(own.public))
    try:
        bind(coordinator.socket, host, port)
        results = coordinator.conduct()
        coordinator.stop(OVER)
        return results
    except zmq.ZMQError as error:
        raise ScenarioError(f"--bind: {address}: {error.strerror}; expected a free address of this machine") from None
    except BaseException as error:
        coordinator.stop(f"the run ended early: {error or type(error).__name__}")
        raise
    finally:
        context.destroy(linger=1000)


def run_id_of(public: str) -> bytes:
    """The run's id where nobody can be told one before it joins: from the coordinator's public key."""
    return hashlib.sha256(public.encode()).digest()[:16]


def _credentials(name: str, role: str, keys: Path, coordinator: str) -> Credentials:
    public = read_public_key(keys, COORDINATOR)
    host, port = _host_and_port(coordinator)
    endpoint = Endpoint(f"tcp://{host}:{port}", public)
    return Credentials(name, role, run_id_of(public), endpoint, read_keys(keys, name))


def _host_and_port(address: str) -> tuple[str, int]:
    match = re.fullmatch(r"tcp://([A-Za-z0-9.\-]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65_536:
        raise ScenarioError(f"{address!r} given, expected an address of the form tcp://HOST:PORT")
    return match[1], int(match[2])


def _serve(context: Any, party: Any) -> None:
    print(f"{party.credentials.name}: waiting for the coordinator at {party.credentials.coordinator.address}",
          file=sys.stderr, flush=True)
    try:
        reason = party.run()
    except KetwireError as error:
        party.control.fail(error)
        raise
    finally:
        context.destroy(linger=0)
    if reason != OVER:
        raise PartyFailed(COORDINATOR, reason)
