"""A program for nodes/checkpoints/test_commits_kills.py: the inline runtime dies at every operation of its
checkpoints, and goes on.

Started with tests/faults on PYTHONPATH. The libraries are imported once; each death is a fork's.

    python -m tests.inline_deaths FOLDER FIRST EVERY     the operations FIRST, FIRST + EVERY, ...

Prints one JSON object: how many operations the run has, and those at which another end came out.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sitecustomize as faults

from ketwire.nodes.inline import run_inline
from tests.kit import stepping
from tests.nodes.checkpoints.test_epochs import facts

RUN = stepping(steps=4, sessions=2)


def outlived(body: Callable[[], Any]) -> bool:
    """Whether a fork of this process outlives `body`."""
    pid = os.fork()
    if pid == 0:
        body()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
    return status == 0


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def operations(folder: Path) -> list[tuple[str, int]]:
    """Every operation of an undisturbed run: (file, number)."""
    faults.LOG = str(folder / "log")
    run_inline(RUN, ledger=True, out=made(folder / "whole"))
    log, faults.LOG = (folder / "log").read_text().splitlines(), None
    files = [line.split()[0] for line in log]
    return [(file, files[:place].count(file)) for place, file in enumerate(files)]


def ends_the_same(place: tuple[str, int], folder: Path, plain: Any) -> bool:
    """Whether a run that dies there ends as it would have."""
    once = folder / "once"
    file, at = place
    faults.FAULTS[:] = [{"file": file, "at": at, "how": "kill", "once": str(once)}]
    died = not outlived(lambda: run_inline(RUN, ledger=True, out=folder))
    faults.FAULTS.clear()
    return died and once.exists() and facts(run_inline(RUN, ledger=True, out=folder), records=True) == plain


def main() -> None:
    folder, first, every = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    faults._fsync = lambda descriptor: None  # no machine falls here
    plain = facts(run_inline(RUN, ledger=True), records=True)
    places = operations(folder)
    assert len(set(places)) == len(places)
    tried = places[first::every]
    bad = [place for number, place in enumerate(tried) if not ends_the_same(place, made(folder / str(number)), plain)]
    print(json.dumps({"operations": len(places), "tried": len(tried), "bad": bad}))


if __name__ == "__main__":
    main()
