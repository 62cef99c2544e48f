"""Where children come from: one process that has imported everything, and forks a party at a word.

Importing numpy and the rest costs each process a fifth of a second; here it is paid once. The nursery
knows nothing of a run: a child's orders come through a pipe of its own, which the coordinator filled.
It starts no thread and opens no ZeroMQ context before it forks, and BLAS is told to do with one thread, so a
fork is safe.

    coordinator to nursery: one octet, with two descriptors: where orders are read, where output goes
    nursery to coordinator: "born PID" in the order asked, and "dead PID STATUS" (as from waitpid)

It leaves when the coordinator's end of their socket closes. Its children leave when their pipes do.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    sys.path[:] = json.loads(sys.argv[2])
    _preload()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    waiting: list[socket.socket | int] = [channel, woken]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if woken in ready:
            os.read(woken, 4096)
            _tell_deaths(channel)
        if channel in ready and not _answer(channel, (woken, waker)):
            os._exit(0)


def _preload() -> None:
    import ketwire.nodes.processes.child  # noqa: PLC0415
    import ketwire.nodes.processes.fiber  # noqa: PLC0415
    import ketwire.nodes.processes.node  # noqa: F401, PLC0415


def _answer(channel: socket.socket, mine: tuple[int, int]) -> bool:
    """Fork one child; False when the coordinator is gone."""
    size = array.array("i").itemsize
    try:
        octets, ancillary, _, _ = channel.recvmsg(1, socket.CMSG_SPACE(2 * size))
    except ConnectionError:
        return False
    if not octets:
        return False
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[: len(data) - len(data) % size])
    orders, output = descriptors
    pid = os.fork()
    if pid == 0:
        _be_born(channel, mine, orders, output)
    os.close(orders)
    os.close(output)
    _tell(channel, f"born {pid}")
    return True


def _be_born(channel: socket.socket, mine: tuple[int, int], orders: int, output: int) -> None:
    """Become a child, with the descriptors of one. Never returns."""
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(orders, 0)
    for standard in (1, 2):
        os.dup2(output, standard)
    channel.close()
    for descriptor in {orders, output, *mine} - {0, 1, 2}:
        os.close(descriptor)
    from ketwire.nodes.processes.child import main as be_child  # noqa: PLC0415

    code = 1
    try:
        be_child()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _tell_deaths(channel: socket.socket) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _tell(channel, f"dead {pid} {status}")


def _tell(channel: socket.socket, line: str) -> None:
    with suppress(OSError):  # The coordinator is gone, which the next turn finds out.
        channel.sendall(line.encode() + b"\n")


if __name__ == "__main__":
    main()
