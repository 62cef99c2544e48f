"""ZeroMQ sockets as ketwire uses them: bounded at the end, kept alive by heartbeats, CURVE by default.

Binders are ROUTERs, everybody else is a DEALER that connects and retries, so start order does not
matter. With CURVE, routing ids are the ones that libzmq hands out: nobody chooses its own, so nobody
can take another's. Without it (plaintext, for benchmarks and debugging) a peer's routing id is its
name, and anyone can claim it. Queues are unbounded at the socket; credits bound them end to end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import zmq
from zmq.backend import Socket as RawSocket

from ketwire.errors import ScenarioError
from ketwire.nodes.addresses import Address, AddressError
from ketwire.nodes.security import ZAP_DOMAIN, KeyPair

Socket = Any  # zmq.Socket; its stubs are generic over the return types of recv
HEARTBEAT_MS = 5_000
DEATH_MS = 30_000
LARGE_OCTETS = 65_536
MAX_MESSAGE_OCTETS = 1 << 31


@dataclass(frozen=True)
class Endpoint:
    """Where a binder is reached (HOST:PORT), and its public key (None: plaintext).

    is_ipv6: whether by IPv6. A socket asks for addresses of one kind alone when it looks up a name.
    """

    address: str
    public: str | None
    is_ipv6: bool = False


def endpoint_at(address: Address, public: str | None) -> Endpoint:
    """The endpoint at `address`. A name stays one: sockets look it up anew whenever they connect.

    Raises:
        AddressError: the name does not resolve on this machine.
    """
    return Endpoint(str(address), public, address.resolved().needs_ipv6)


def announced(name: str, fiber: str, told: Any, public: str | None) -> Endpoint:
    """The endpoint of `fiber`, which has announced the address `told`; for the party `name`.

    Raises:
        ScenarioError: that is no address, or does not resolve on this machine.
    """
    try:
        return endpoint_at(Address.parse(told if isinstance(told, str) else repr(told)), public)
    except AddressError as error:
        raise ScenarioError(f"{name}: {fiber} announced {error}; see --advertise of ketwire fiber") from None


def router(context: Any, keys: KeyPair | None) -> Socket:
    """A ROUTER that tells when a peer is gone. Bind it with `bind`."""
    socket = _socket(context, zmq.ROUTER)
    socket.router_mandatory = 1
    socket.router_handover = 0 if keys is not None else 1
    if keys is not None:
        socket.curve_server = 1
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
        socket.zap_domain = ZAP_DOMAIN
    return socket


def dealer(context: Any, endpoint: Endpoint, keys: KeyPair | None, name: str) -> Socket:
    """A DEALER connected to `endpoint`, for the party `name`."""
    socket = _socket(context, zmq.DEALER)
    socket.reconnect_ivl = 20
    socket.reconnect_ivl_max = 1_000
    if endpoint.public is not None:
        assert keys is not None
        socket.curve_serverkey = endpoint.public.encode()
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
    else:
        socket.routing_id = name.encode()
    socket.ipv6 = endpoint.is_ipv6
    socket.connect(f"tcp://{endpoint.address}")
    return socket


def bind(socket: Socket, address: Address) -> Address:
    """Bind to `address`; the answer is the same, with the port that it has got.

    Raises:
        ScenarioError: it does not resolve, or cannot be bound.
    """
    try:
        place = address.resolved()
        socket.ipv6 = place.needs_ipv6  # for every address of either kind too: such a socket takes IPv4 as well
        host = str(place).rpartition(":")[0]
        socket.bind(f"tcp://{host}:{place.port or '*'}")
    except AddressError as error:
        raise ScenarioError(f"--bind: {error}") from None
    except zmq.ZMQError as error:
        told = f"{address}: {zmq.strerror(error.errno or 0)}, expected a free address of this machine"
        raise ScenarioError(f"--bind: {told}") from None
    port = socket.last_endpoint.decode().rstrip("\0").rpartition(":")[2]
    return replace(address, port=int(port))


# Plain integers, and a send without pyzmq's Python layer above it: flags that are enumerations, and
# that layer, took longer than the small messages that make up most of the traffic.
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_send_frame: Any = RawSocket.send


def send(socket: Socket, frames: Sequence[Any]) -> None:
    """Send one multipart message; large frames go without a copy."""
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        size = len(frame) if type(frame) is bytes else memoryview(frame).nbytes
        _send_frame(socket, frame, _MORE if index < last else _LAST, size < LARGE_OCTETS)


def receive(socket: Socket, flags: int = _LAST) -> list[Any]:
    """The next message as zmq.Frame objects, or an empty list where none waits; flags 0: wait for one."""
    take = socket.recv
    try:
        frame = take(flags, False)
    except zmq.Again:
        return []
    frames = [frame]
    while frame.more:  # a message is there whole or not at all
        frame = take(flags, False)
        frames.append(frame)
    return frames


# A process that sleeps takes some 50 us to be woken and finds its caches cold, which costs more than a
# small message does. So whoever waits asks for a moment before it sleeps, and yields its core meanwhile.
PROMPT_S = 150e-6


def receive_promptly(socket: Socket) -> list[Any]:
    """Wait for the next message; asks for a moment before it sleeps."""
    until = time.perf_counter() + PROMPT_S
    while not (frames := receive(socket)) and time.perf_counter() < until:
        os.sched_yield()
    return frames or receive(socket, 0)


def poll_promptly(poller: zmq.Poller, timeout_ms: int) -> list[tuple[Any, int]]:
    """What `poller.poll` answers; asks for a moment before it sleeps."""
    until = time.perf_counter() + PROMPT_S
    while not (events := poller.poll(0)) and time.perf_counter() < until:
        os.sched_yield()
    return events or poller.poll(timeout_ms)


def octets_of(frames: Sequence[Any]) -> list[Any]:
    """What received frames hold: small ones as bytes, large ones as views of the frame."""
    return [frame.bytes if len(frame) < LARGE_OCTETS else frame.buffer for frame in frames]


def sender_of(frames: Sequence[Any], secured: bool) -> str:
    """Who sent a message that came out of a ROUTER: the name of its key, or on a plaintext socket of
    its route. "" where there is none."""
    try:
        return str(frames[-1].get("User-Id")) if secured else frames[0].bytes.decode("utf-8", "replace")
    except zmq.ZMQError:
        return ""


def _socket(context: Any, kind: int) -> Socket:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = 0
    socket.maxmsgsize = MAX_MESSAGE_OCTETS
    socket.heartbeat_ivl = HEARTBEAT_MS
    socket.heartbeat_timeout = DEATH_MS
    return socket
