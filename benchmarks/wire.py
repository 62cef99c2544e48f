"""What the wire costs, against bare ZeroMQ on the same topology in the same run.

    python benchmarks/wire.py [--rounds 11] [--json]

Three processes: a driver that holds both ends (two DEALERs), a relay (a ROUTER in a process of its
own). Every figure is a ratio inside one interleaved run: each round measures every variant once, the
order alternates, and the 10th percentile over rounds stands for a variant. `RELAYS` names the relays;
a fiber process is one more entry there, as `Relay` describes.

    header     writing and reading prelude and header of a small COPIES (n = 6, 1 row, 100 copies)
    codec      the same with the objects and arrays around it: `encode` and `decode`
    small      one small COPIES from end to end and back, against the bare frames of the same sizes
    large      one way of 2^20 amplitudes (16 MiB), against two memory copies a hop
    curve      the same with CURVE and digests, against bare CURVE plus one SHA-256 of the frame
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import numpy as np
import zmq

from ketwire.channels import carried, codec
from ketwire.channels.connection import Connection, Role
from ketwire.channels.copies import Copies
from ketwire.channels.frames import DEFAULT_LIMITS, Carry, Hello, Welcome

RUN = bytes(range(16))
TIMEOUT_MS = 20_000
START_UP_S = 60
LARGE_QUBITS = 20
SMALL_QUBITS = 6
SMALL_COPIES = 100
HOPS = 2
VIEW_FROM_OCTETS = 1 << 16  # smaller frames are cheaper to copy than to track
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


def send(socket: zmq.Socket[Any], frames: list[Any]) -> None:
    """Large frames go out without a copy, small ones are cheaper to copy."""
    for number, frame in enumerate(frames):
        flags = zmq.SNDMORE if number < len(frames) - 1 else 0
        socket.send(frame, flags, copy=len(frame) < VIEW_FROM_OCTETS)


def receive(socket: zmq.Socket[Any]) -> list[Any]:
    """Frames as octets where small, as views where large."""
    frames = socket.recv_multipart(copy=False)
    return [frame.buffer if len(frame) >= VIEW_FROM_OCTETS else frame.bytes for frame in frames]


# --- relays: what stands between the two ends ------------------------------------------------------

Relay = Callable[[zmq.Socket[Any]], None]
# A relay is called in its own process with a bound ROUTER. It serves two peers, `ALICE` and `BOB`
# (their routing ids), passes on whatever one sends to the other, and returns on an empty message.


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
            parts = frame.message.take()
            onward = Copies(parts.states, parts.row, parts.ready_ps + 50_000, parts.lost)
            far = FAR[peer]
            send(router, [far, *ends[far].send(Carry(onward, frame.time_ps + 50_000, frame.states_digest))])


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
    except zmq.Again:
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
    count = SMALL_COPIES
    ready_ps = np.arange(0, count * 1000, 1000)
    return Copies(states, np.zeros(count, np.int64), ready_ps, np.zeros(count, np.bool_))


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
    sockets = {ALICE: alice, BOB: bob}
    nodes = {peer: Connection(Role.NODE, RUN, digest=digest) for peer in sockets}
    for peer, socket in sockets.items():
        send(socket, nodes[peer].send(Hello(peer.decode())))
    for peer, socket in sockets.items():
        nodes[peer].receive(receive(socket))

    def pass_on(near: bytes, far: bytes) -> None:
        send(sockets[near], nodes[near].send(Carry(batch(states), 0)))
        delivered = nodes[far].receive(receive(sockets[far]))
        assert isinstance(delivered, Carry)

    return (lambda: pass_on(ALICE, BOB)), (lambda: pass_on(BOB, ALICE))


def seconds(action: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        action()
    return (time.perf_counter() - start) / repeats


def interleaved(actions: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, float]:
    """10th percentile over rounds of each action's seconds; the order turns round every time."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for action, _ in actions.values():
        action()
    for number in range(rounds):
        for name, (action, repeats) in list(actions.items())[:: 1 if number % 2 else -1]:
            taken[name].append(seconds(action, repeats))
    return {name: float(np.percentile(values, 10)) for name, values in taken.items()}


# --- the five measurements -------------------------------------------------------------------------


def measure_codec(rounds: int) -> dict[str, float]:
    """Microseconds for prelude and header of a small COPIES alone, and with all objects around it."""
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

    taken = interleaved({"header": (header, 2000), "codec": (both, 2000), "objects": (objects, 2000)}, rounds)
    return {
        "header_us": 1e6 * taken["header"],
        "codec_us": 1e6 * (taken["codec"] - taken["objects"]),
    }


def measure_small(rounds: int) -> dict[str, float]:
    """There and back of a small COPIES, plain TCP, digests off, over bare frames."""
    states = states_of(SMALL_QUBITS)
    with relay("bare", None) as bare, relay("ketwire", None) as ours:
        actions = {
            "bare": bare_ends(*bare, states),
            "ketwire": ketwire_ends(*ours, states, digest=False),
        }
        taken = interleaved({name: (_echo(*ends), 300) for name, ends in actions.items()}, rounds)
    return {
        "bare_echo_us": 1e6 * taken["bare"],
        "ketwire_echo_us": 1e6 * taken["ketwire"],
        "small_ratio": taken["ketwire"] / taken["bare"],
    }


def _echo(there: Callable[[], None], back: Callable[[], None]) -> Callable[[], None]:
    def echo() -> None:
        there()
        back()

    return echo


def measure_large(rounds: int) -> dict[str, float]:
    """One way of 16 MiB, plain TCP, digests off, over two memory copies a hop."""
    states = states_of(LARGE_QUBITS)
    target = np.empty_like(states)

    def copies() -> None:
        for _ in range(2 * HOPS):
            np.copyto(target, states)

    with relay("bare", None) as bare, relay("ketwire", None) as ours:
        taken = interleaved(
            {
                "copies": (copies, 1),
                "bare": (bare_ends(*bare, states)[0], 2),
                "ketwire": (ketwire_ends(*ours, states, digest=False)[0], 2),
            },
            rounds,
        )
    return {
        "copies_ms": 1e3 * taken["copies"],
        "bare_large_ms": 1e3 * taken["bare"],
        "ketwire_large_ms": 1e3 * taken["ketwire"],
        "large_over_copies": taken["ketwire"] / taken["copies"],
        "large_over_bare": taken["ketwire"] / taken["bare"],
    }


def measure_curve(rounds: int) -> dict[str, float]:
    """One way of 16 MiB with CURVE and digests, over bare CURVE and one SHA-256 of the frame."""
    states = states_of(LARGE_QUBITS)
    keys = make_keys()
    with relay("bare", keys) as bare, relay("ketwire+digest", keys) as ours:
        taken = interleaved(
            {
                "sha256": (lambda: hashlib.sha256(states.data).digest(), 1),
                "bare": (bare_ends(*bare, states)[0], 1),
                "ketwire": (ketwire_ends(*ours, states, digest=True)[0], 1),
            },
            rounds,
        )
    return {
        "sha256_ms": 1e3 * taken["sha256"],
        "bare_curve_ms": 1e3 * taken["bare"],
        "ketwire_curve_ms": 1e3 * taken["ketwire"],
        "curve_ratio": taken["ketwire"] / (taken["bare"] + taken["sha256"]),
    }


BOUNDS = {"header_us": 5.0, "small_ratio": 1.5, "large_over_copies": 3.5, "curve_ratio": 1.5}


def main() -> None:
    parser = argparse.ArgumentParser(description="What the wire costs, against bare ZeroMQ.")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args()
    results: dict[str, float] = {}
    for measure in (measure_codec, measure_small, measure_large, measure_curve):
        results |= measure(options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        bound = f"   (at most {BOUNDS[name]})" if name in BOUNDS else ""
        print(f"{name:>20} {value:10.3f}{bound}")


if __name__ == "__main__":
    main()
