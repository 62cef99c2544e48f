"""What a child process does. The nursery forks it (`nodes.processes.nursery`), or another interpreter runs this module.

What it must know comes as one JSON line through the pipe that is its standard input: secrets are
never in arguments or the environment, where others could read them. The pipe stays open as long as
the parent lives; when it closes, the child leaves at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from ketwire.errors import KetwireError, PartyFailed
from ketwire.modules import settle
from ketwire.nodes.checkpoints.folders import DYING_S, discard_stray, private
from ketwire.nodes.processes.control import Credentials
from ketwire.nodes.processes.fiber import FiberProcess
from ketwire.nodes.processes.node import NodeProcess
from ketwire.nodes.processes.security import KeyPair
from ketwire.nodes.processes.sockets import Endpoint, bind

EXIT_FAILED = 3


def main() -> None:
    orders = json.loads(_first_line())
    strays = [Path(folder) for folder in orders["strays"]]
    threading.Thread(target=_leave_with_parent, args=(strays,), daemon=True).start()
    sys.exit(serve(orders))


def _first_line() -> bytes:
    """The orders. Read past Python's own buffer, which belonged to the nursery."""
    line = bytearray()
    while not line.endswith(b"\n"):
        octets = os.read(0, 65_536)
        if not octets:
            os._exit(EXIT_FAILED)
        line += octets
    return bytes(line)


def _leave_with_parent(strays: Sequence[Path]) -> None:
    """Leave when the pipe closes; if that is because the coordinator died, its temporary folders go too."""
    while os.read(0, 4096):
        pass
    for stray in strays:
        discard_stray(stray, DYING_S)
    os._exit(EXIT_FAILED)


def serve(orders: dict[str, Any]) -> int:
    """Be the party that `orders` describe until the run is over; the exit code."""
    settle(orders["modules"])
    keys = KeyPair(**orders["keys"]) if orders["keys"] is not None else None
    credentials = Credentials(
        orders["name"], orders["role"], bytes.fromhex(orders["run"]), Endpoint(**orders["coordinator"]), keys,
        orders["digest"], same_owner=True,
    )  # fmt: skip
    context = zmq.Context()
    kept = Path(orders["checkpoints"]) if orders["checkpoints"] is not None else None
    if orders["role"] == "node":
        model = Path(orders["model"]) if orders["model"] is not None else None
        party: Any = NodeProcess(context, credentials, orders["base"], kept, model)
    else:
        out = Path(orders["out"]) if orders["out"] is not None else None
        listen = partial(bind, address=orders["where"], owner=orders["name"])
        party = FiberProcess(context, credentials, listen, out, kept)
    try:
        party.run()
        return 0
    except Exception as error:
        if not isinstance(error, KetwireError):
            traceback.print_exc()
        elif isinstance(error, PartyFailed) and error.__cause__ is not None and orders["log"] is not None:
            _note(error.__cause__, orders["log"])
        party.control.fail(error)
        return EXIT_FAILED
    finally:
        context.destroy(linger=0)


def _note(error: BaseException, log: str) -> None:
    """Where a program raised something, its traceback goes to its party's log; one line is told to the user."""
    with suppress(OSError), open(log, "a", encoding="utf-8", opener=private) as file:
        traceback.print_exception(error, file=file)


if __name__ == "__main__":
    main()
