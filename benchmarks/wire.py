"""What the wire costs, against bare ZeroMQ on the same topology in the same run.

    python -m benchmarks wire [--rounds 11]

Three processes: a driver that holds both ends (two DEALERs), a relay (a ROUTER in a process of its
own). Every figure is a ratio inside one interleaved run: each round measures every variant once, the
order alternates, and the 10th percentile over rounds stands for a variant. `RELAYS` names the relays;
a fiber process is one more entry there, as `Relay` describes.

    header     writing and reading prelude and header of a small COPIES (n = 6, 1 row, 100 copies)
    codec      the same with the objects and arrays around it: `encode` and `decode`
    small      one small COPIES from end to end and back, against the bare frames of the same sizes
    small-cpu  the same in processor time of all processes
    large      one way of 2^20 amplitudes (16 MiB), against two memory copies a hop
    curve      the same with CURVE and digests, against bare CURVE plus one SHA-256 of the frame
"""

from __future__ import annotations

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import numpy as np
import zmq

from benchmarks.report import Figure, Measure, rounds_of
from ketwire.channels.copies import Copies
from ketwire.channels.wire import carried, codec
from ketwire.channels.wire.connection import Connection, Role
from ketwire.channels.wire.frames import DEFAULT_LIMITS, Carry, Hello, Welcome
from ketwire.nodes.processes import sockets
from ketwire.nodes.processes.sockets import send

RUN = bytes(range(16))
TIMEOUT_MS = 20_000
START_UP_S = 60
LARGE_QUBITS = 20
SMALL_QUBITS = 6
SMALL_COPIES = 100
HOPS = 2
ALICE, BOB = b"alice", b"bob"
FAR = {ALICE: BOB, BOB: ALICE}


# --- sockets ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Keys:
    """CURVE keys of one run: the relay's and one client's (authentication is not what is measured)."""

    server: tuple[bytes, bytes]
    client: tuple[bytes, bytes]


def make_keys() -> Keys:
    return Keys(zmq.curve_keypair(), zmq.curve_keypair())


def open_socket(context: zmq.Context[Any], kind: int, keys: Keys | None) -> zmq.Socket[Any]:
    socket = context.socket(kind)
    socket.linger = 0
    socket.rcvtimeo = socket.sndtimeo = TIMEOUT_MS
    if keys is not None:
        if kind == zmq.ROUTER:
            socket.curve_server = True
            socket.curve_publickey, socket.curve_secretkey = keys.server
        else:
            socket.curve_serverkey = keys.server[0]
            socket.curve_publickey, socket.curve_secretkey = keys.client
    return socket


def receive(socket: zmq.Socket[Any]) -> list[Any]:
    """Wait for a message: small frames as octets, large ones as views."""
    frames = sockets.receive(socket, 0)
    if not frames:
        raise TimeoutError("no message came")
    return sockets.octets_of(frames)


# --- relays: what stands between the two ends ------------------------------------------------------

Relay = Callable[[zmq.Socket[Any]], None]
# A relay is called in its own process with a bound ROUTER. It serves two peers, `ALICE` and `BOB`
# (their routing ids), passes on all that one sends to the other, and returns on an empty message.


def bare_relay(router: zmq.Socket[Any]) -> None:
    while True:
        peer, *frames = receive(router)
        if frames == [b""]:
            return
        send(router, [FAR[peer], *frames])


def ketwire_relay(router: zmq.Socket[Any], digest: bool = False) -> None:
    """Decodes, gives copies a new time, forwards their states untouched."""
    ends = {peer: Connection(Role.FIBER, RUN, digest=digest, verify_states=False) for peer in FAR}
    while True:
        peer, *octets = receive(router)
        if octets == [b""]:
            return
        frame = ends[peer].receive(octets)
        if isinstance(frame, Hello):
            send(router, [peer, *ends[peer].send(Welcome(1 << 40))])
        elif isinstance(frame, Carry) and isinstance(frame.message, Copies):
            onward = Carry(frame.message.delayed(50_000), frame.time_ps + 50_000, frame.states_digest)
            far = FAR[peer]
            send(router, [far, *ends[far].send(onward)])


def ketwire_relay_digest(router: zmq.Socket[Any]) -> None:
    ketwire_relay(router, digest=True)


RELAYS: dict[str, Relay] = {
    "bare": bare_relay,
    "ketwire": ketwire_relay,
    "ketwire+digest": ketwire_relay_digest,
}


def _serve(name: str, keys: Keys | None, pipe: Pipe) -> None:
    context: zmq.Context[Any] = zmq.Context()
    router = open_socket(context, zmq.ROUTER, keys)
    try:
        pipe.send(router.bind_to_random_port("tcp://127.0.0.1"))
        RELAYS[name](router)
    except TimeoutError:
        return  # the driver is gone
    finally:
        router.close()
        context.term()


@contextmanager
def relay(name: str, keys: Keys | None) -> Iterator[tuple[zmq.Socket[Any], zmq.Socket[Any]]]:
    """Both ends' DEALERs, connected through the relay `name` in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(name, keys, theirs), daemon=True)
    process.start()
    context: zmq.Context[Any] = zmq.Context()
    ends = [open_socket(context, zmq.DEALER, keys) for _ in FAR]
    try:
        if not ours.poll(START_UP_S):
            raise TimeoutError(f"the relay {name} did not start")
        port = ours.recv()
        for end, peer in zip(ends, FAR, strict=True):
            end.routing_id = peer
            end.connect(f"tcp://127.0.0.1:{port}")
        yield ends[0], ends[1]
        ends[0].send(b"")
        process.join(5)
    finally:
        for end in ends:
            end.close()
        context.term()
        if process.is_alive():
            process.kill()
            process.join()


# --- what is timed ---------------------------------------------------------------------------------


def states_of(qubits: int) -> Any:
    states = np.zeros((1, 1 << qubits), np.complex128)
    states[0] = 2.0 ** (-qubits / 2)
    return states


def batch(states: Any) -> Copies:
    """A message to be sent, as a node's `prepare` makes it."""
    return Copies.in_step(states, SMALL_COPIES, 0, 1000)


def bare_ends(alice: zmq.Socket[Any], bob: zmq.Socket[Any], states: Any) -> tuple[Callable[[], None], ...]:
    """(there, back): the frames of a COPIES message, without making or reading any."""
    frames: list[Any] = codec.encode(Carry(batch(states), 0), run=RUN, session=0, sequence=0, digest=False)

    def there() -> None:
        send(alice, frames)
        receive(bob)

    def back() -> None:
        send(bob, frames)
        receive(alice)

    # ROUTER drops what is for a peer that it has not met: let both speak before the first message.
    for near, far in ((alice, bob), (bob, alice)):
        _until_met(near, far)
    return there, back


def _until_met(near: zmq.Socket[Any], far: zmq.Socket[Any]) -> None:
    deadline = time.monotonic() + START_UP_S
    while time.monotonic() < deadline:
        send(near, [b"met"])
        if far.poll(100):
            while far.poll(50):  # what was only late
                receive(far)
            return
    raise TimeoutError("the ends did not meet")


def ketwire_ends(
    alice: zmq.Socket[Any], bob: zmq.Socket[Any], states: Any, digest: bool
) -> tuple[Callable[[], None], ...]:
    """(there, back) between two NODE connections."""
    ends = {ALICE: alice, BOB: bob}
    nodes = {peer: Connection(Role.NODE, RUN, digest=digest) for peer in ends}
    for peer, socket in ends.items():
        send(socket, nodes[peer].send(Hello(peer.decode())))
    for peer, socket in ends.items():
        nodes[peer].receive(receive(socket))

    def pass_on(near: bytes, far: bytes) -> None:
        send(ends[near], nodes[near].send(Carry(batch(states), 0)))
        delivered = nodes[far].receive(receive(ends[far]))
        assert isinstance(delivered, Carry)

    return (lambda: pass_on(ALICE, BOB)), (lambda: pass_on(BOB, ALICE))


# --- the five measurements -------------------------------------------------------------------------


def measure_header(rounds: int) -> list[Figure]:
    """Prelude and header of a small COPIES alone: octets made from numbers, and numbers from octets."""
    states = states_of(SMALL_QUBITS)
    fields = (SMALL_COPIES, 1, SMALL_QUBITS, 0, 0, 0, 0, 1000, 7, 2, *states.shape)
    place: dict[str, Any] = {"run": RUN, "session": 0, "sequence": 0, "digest": False}
    frames = codec.encode(Carry(batch(states), 0), **place)

    def header() -> None:
        prelude = codec._FIXED.pack(codec._HEAD, 3, 0, 1, 0, 0, RUN)
        body = carried._QUIET.pack(*fields)
        codec.read_prelude([prelude, body, frames[2]], limits=DEFAULT_LIMITS)
        carried._QUIET.unpack(body)

    def both() -> None:
        codec.decode(codec.encode(Carry(batch(states), 0), **place))

    def objects() -> None:
        Carry(batch(states), 0)

    taken = rounds_of({"header": header, "codec": both, "objects": objects}, rounds, 2000)
    whole = 1e6 * (taken.best("codec") - taken.best("objects"))
    told = f"with checks and arrays (encode and decode): {whole:.3g} us"
    return [Figure("wire: header encode and decode", 1e6 * taken.best("header"), 5.0, "us", told)]


def measure_small(rounds: int) -> list[Figure]:
    """There and back of a small COPIES, plain TCP, digests off, over bare frames.

    Many short rounds: a round that something else disturbed is then one of many.
    """
    states = states_of(SMALL_QUBITS)
    with relay("bare", None) as bare, relay("ketwire", None) as ours:
        ends = {"bare": bare_ends(*bare, states), "ketwire": ketwire_ends(*ours, states, digest=False)}
        taken = rounds_of({name: _echo(*pair) for name, pair in ends.items()}, 8 * rounds, 50)
    return [taken.figure("wire: small echo over bare echo", "ketwire", "bare", 1.5, "us")]


def measure_small_cpu(rounds: int) -> list[Figure]:
    """The same in processor time of all three processes, which other work on the machine disturbs less. Linux alone."""
    states = states_of(SMALL_QUBITS)
    with relay("bare", None) as bare:
        serving = {"bare": _children()}
        with relay("ketwire", None) as ours:
            serving["ketwire"] = _children() - serving["bare"]
            ends = {"bare": bare_ends(*bare, states), "ketwire": ketwire_ends(*ours, states, digest=False)}
            echoes = {name: _echo(*pair) for name, pair in ends.items()}
            relay_of = {echo: serving[name] for name, echo in echoes.items()}

            def processor_s(echo: Callable[[], object], repeats: int) -> float:
                def spent_s() -> float:
                    # The clock of another process, as clock_getcpuclockid(3) makes it.
                    return time.process_time() + sum(time.clock_gettime(~pid << 3 | 2) for pid in relay_of[echo])

                begun_s = spent_s()
                for _ in range(repeats):
                    echo()
                return (spent_s() - begun_s) / repeats

            taken = rounds_of(echoes, 8 * rounds, 50, measure=processor_s)
    return [taken.figure("wire: small echo over bare echo, CPU", "ketwire", "bare", 1.5, "us")]


def _children() -> set[int]:
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None}


def _echo(there: Callable[[], None], back: Callable[[], None]) -> Callable[[], None]:
    def echo() -> None:
        there()
        back()

    return echo


def measure_large(rounds: int) -> list[Figure]:
    """One way of 16 MiB, plain TCP, digests off, over two memory copies a hop."""
    states = states_of(LARGE_QUBITS)
    target = np.empty_like(states)

    def copies() -> None:
        for _ in range(2 * HOPS):
            np.copyto(target, states)

    with relay("bare", None) as bare, relay("ketwire", None) as ours:
        actions = {
            "copies": copies,
            "bare": bare_ends(*bare, states)[0],
            "ketwire": ketwire_ends(*ours, states, digest=False)[0],
        }
        taken = rounds_of(actions, rounds, 2)
    return [taken.figure("wire: 16 MiB over two copies a hop", "ketwire", "copies", 3.5, "ms")]


def measure_curve(rounds: int) -> list[Figure]:
    """One way of 16 MiB with CURVE and digests, over bare CURVE and one SHA-256 of the frame."""
    states = states_of(LARGE_QUBITS)
    keys = make_keys()
    with relay("bare", keys) as bare, relay("ketwire+digest", keys) as ours:
        there = bare_ends(*bare, states)[0]

        def expected() -> None:
            there()
            hashlib.sha256(states.data).digest()

        actions = {"expected": expected, "ketwire": ketwire_ends(*ours, states, digest=True)[0]}
        taken = rounds_of(actions, rounds)
    return [taken.figure("wire: CURVE, digests over bare CURVE + SHA-256", "ketwire", "expected", 1.5, "ms")]


MEASURES: dict[str, Measure] = {
    "header": measure_header,
    "small": measure_small,
    "small-cpu": measure_small_cpu,
    "large": measure_large,
    "curve": measure_curve,
}
