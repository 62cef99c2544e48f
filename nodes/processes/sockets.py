"""ZeroMQ sockets as ketwire uses them: bounded at the end, kept alive by heartbeats, CURVE by default.

Binders are ROUTERs, everybody else is a DEALER that connects and retries, so start order does not
matter. With CURVE, routing ids are the ones that libzmq hands out: no peer chooses its own, so none
can take another's. Without it (plaintext, for benchmarks and debugging) a peer's routing id is its
name, and anyone can claim it. Queues are unbounded at the socket; credits bound them end to end.

A peer whose key is not known yet can make a process hold one ZeroMQ frame, for as long as a handshake may
take. So both are small: `send` cuts large frames into pieces, and `octets_of` joins them (docs/wire.md,
section 3).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zmq
from zmq.backend import Socket as RawSocket

from ketwire.channels.wire.arrays import Octets
from ketwire.channels.wire.refusals import OversizedFrame, TruncatedFrame
from ketwire.errors import PartyFailed, ScenarioError
from ketwire.nodes.processes.addresses import IPC, Address, AddressError
from ketwire.nodes.processes.lookup import resolved
from ketwire.nodes.processes.security import ZAP_DOMAIN, KeyPair

Socket = Any  # zmq.Socket; its stubs are generic over the return types of recv
HEARTBEAT_MS = 5_000
# Silence of a peer ends a connection at its binder before the peer gives up on the binder: when a party comes
# back by another connection, the coordinator knows that the one before is dead.
BINDER_PATIENCE_MS = 15_000
PATIENCE_MS = 30_000
HANDSHAKE_MS = 2_000
PIECE_OCTETS = 65_536
# libzmq closes a connection that announces a larger frame. Encrypted ones are a few octets longer.
LARGEST_OCTETS = PIECE_OCTETS + 1_024
STAYS = "expected the folder of this run's sockets to stay until its end"


@dataclass(frozen=True)
class Endpoint:
    """Where a binder is reached, and its public key (None: plaintext).

    address: HOST:PORT, the host a number; within a run on one machine ipc://PATH.
    is_ipv6: whether by IPv6.
    given: the address as it was given, with a name perhaps; "": like `address`.
    """

    address: str
    public: str | None
    is_ipv6: bool = False
    given: str = ""

    def __str__(self) -> str:
        return self.given or self.address

    @property
    def is_ipc(self) -> bool:
        return self.address.startswith(IPC)


def endpoint_at(address: Address, public: str | None) -> Endpoint:
    """The endpoint at `address`.

    Raises:
        AddressError: the name does not resolve on this machine.
    """
    found = resolved(address)
    return Endpoint(str(found), public, found.needs_ipv6, str(address))


def announced(name: str, fiber: str, told: Any, public: str | None, by_ipc: bool = False) -> Endpoint:
    """The endpoint of `fiber`, which has announced the address `told`; for the party `name`.

    Args:
        by_ipc: the run is on one machine, where fibers announce ipc://PATH.

    Raises:
        ScenarioError: that is no address, or does not resolve on this machine.
    """
    if by_ipc and isinstance(told, str) and told.startswith(IPC):
        return Endpoint(told, public)
    try:
        return endpoint_at(Address.parse(told if isinstance(told, str) else repr(told)), public)
    except AddressError as error:
        raise ScenarioError(f"{name}: {fiber} announced {error}; see --advertise of ketwire fiber") from None


def router(context: Any, keys: KeyPair | None) -> Socket:
    """A ROUTER that tells when a peer is gone. Bind it with `bind`."""
    socket = _socket(context, zmq.ROUTER, BINDER_PATIENCE_MS)
    socket.handshake_ivl = HANDSHAKE_MS
    socket.router_mandatory = 1
    socket.router_handover = 0 if keys is not None else 1
    if keys is not None:
        socket.curve_server = 1
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
        socket.zap_domain = ZAP_DOMAIN
    return socket


def dealer(context: Any, endpoint: Endpoint, keys: KeyPair | None, name: str) -> Socket:
    """A DEALER connected to `endpoint`, for the party `name`."""
    socket = _socket(context, zmq.DEALER, PATIENCE_MS)
    socket.reconnect_ivl = 20
    socket.reconnect_ivl_max = 1_000
    if endpoint.public is not None:
        assert keys is not None
        socket.curve_serverkey = endpoint.public.encode()
        socket.curve_publickey, socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
    else:
        socket.routing_id = name.encode()
    socket.ipv6 = endpoint.is_ipv6
    socket.connect(endpoint.address if endpoint.is_ipc else f"tcp://{endpoint.address}")
    return socket


def bind(socket: Socket, address: str, owner: str) -> str:
    """Bind to `address`, which is ipc://PATH; the answer is the same. `nodes.processes.gate` listens on ports.

    Args:
        owner: the party whose socket it is.

    Raises:
        PartyFailed: it cannot be bound.
    """
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        path, reason = address.removeprefix(IPC), os.strerror(error.errno or 0)
        raise PartyFailed(owner, f"{path}: {reason}, {STAYS}") from None
    return address


# Plain integers, and a send without pyzmq's Python layer above it: flags that are enumerations, and
# that layer, took longer than the small messages that make up most of the traffic.
_LAST = int(zmq.NOBLOCK)
_MORE = int(zmq.NOBLOCK | zmq.SNDMORE)
_send_frame: Any = RawSocket.send


def send(socket: Socket, frames: Sequence[Any]) -> None:
    """Send one multipart message, large frames in pieces.

    A frame of `PIECE_OCTETS` or more goes as pieces of just that many octets and one of fewer, maybe none.
    """
    last = len(frames) - 1
    for index, frame in enumerate(frames):
        size = len(frame) if type(frame) is bytes else memoryview(frame).nbytes
        flags = _MORE if index < last else _LAST
        if size < PIECE_OCTETS:
            _send_frame(socket, frame, flags, True)
        else:
            _send_pieces(socket, memoryview(frame).cast("B"), size, flags)


def _send_pieces(socket: Socket, octets: memoryview, size: int, flags: int) -> None:
    end = size - size % PIECE_OCTETS
    for begin in range(0, end, PIECE_OCTETS):
        _send_frame(socket, octets[begin : begin + PIECE_OCTETS], _MORE, True)
    _send_frame(socket, octets[end:], flags, True)


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


def octets_of(frames: Sequence[Any]) -> list[Octets]:
    """What received frames hold, pieces joined: small ones as bytes, large ones as views that cannot be written.

    Raises:
        OversizedFrame: a piece is larger than pieces are. TruncatedFrame: the last piece of a frame is missing.
    """
    whole: list[Octets] = []
    pieces: list[Any] = []
    for frame in frames:
        size = len(frame)
        if size > PIECE_OCTETS:
            raise OversizedFrame(f"a piece of {size} octets, at most {PIECE_OCTETS} travel")
        if size == PIECE_OCTETS:
            pieces.append(frame.buffer)
        elif pieces:
            whole.append(_joined([*pieces, frame.buffer]))
            pieces = []
        else:
            whole.append(frame.bytes)
    if pieces:
        raise TruncatedFrame("a frame whose last piece is missing")
    return whole


def _joined(pieces: Sequence[Any]) -> memoryview:
    octets = np.empty((len(pieces) - 1) * PIECE_OCTETS + len(pieces[-1]), dtype=np.uint8)
    for index, piece in enumerate(pieces):
        begin = index * PIECE_OCTETS
        octets[begin : begin + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
    octets.setflags(write=False)
    return octets.data


def sender_of(frames: Sequence[Any], secured: bool) -> str:
    """Who sent a message that came out of a ROUTER: the name of its key, or on a plaintext socket of
    its route. "" where there is none."""
    try:
        return str(frames[-1].get("User-Id")) if secured else frames[0].bytes.decode("utf-8", "replace")
    except zmq.ZMQError:
        return ""


def _socket(context: Any, kind: int, patience_ms: int) -> Socket:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = 0
    socket.maxmsgsize = LARGEST_OCTETS
    socket.heartbeat_ivl = HEARTBEAT_MS
    socket.heartbeat_timeout = patience_ms
    return socket
