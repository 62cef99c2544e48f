"""Whether this machine can hold a run's processes: known, or refused in one line, before any of them starts."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ketwire.errors import ScenarioError
from ketwire.nodes.processes.descriptors import for_run, provide
from ketwire.nodes.session import Run

PROCESS_OCTETS = 12 << 20
"""Of memory that a node or fiber has for itself: 9.3 MiB were measured with small registers (64-bit Linux)."""
THREADS = 4
"""Of a node or fiber: its own, and those of ZeroMQ."""
MOST_LINKS = 1000
"""Of one node: ZeroMQ lets a process have 1,023 sockets."""
CGROUPS = Path("/sys/fs/cgroup")


def check_capacity(run: Run) -> None:
    """Raises:
    ScenarioError: this machine has less memory, processes or file descriptors than the run takes.
    """
    count = len(run.parties) + len(run.links)
    party, links = Counter(end for link in run.links for end in link.ends).most_common(1)[0]
    if links > MOST_LINKS:
        raise ScenarioError(f"links: {links} of {party} given, expected at most {MOST_LINKS} of one node, or --inline")
    what = f"nodes: {len(run.parties)} nodes and {len(run.links)} links are {count} processes"
    need, free = count * PROCESS_OCTETS, free_octets()
    if need > free:
        told = f"take {need / 2**30:.3g} GiB of memory, where {free / 2**30:.3g} GiB are free"
        raise ScenarioError(f"{what} and {told}; expected fewer, or --inline")
    threads, most = count * THREADS, free_threads()
    if threads > most:
        raise ScenarioError(f"{what} with {threads} threads, where {most} more may start; expected fewer, or --inline")
    provide(for_run(count), f"{count} processes")


def free_octets() -> int:
    """Memory that new processes can have: the machine's, or what is left of the limit of our control group."""
    found = [size - used + _cached(folder) for folder, size, used in _limits("memory", _MEMORY)]
    for line in _lines(Path("/proc/meminfo")):
        name, _, size = line.partition(":")
        if name == "MemAvailable":
            found.append(int(size.split()[0]) << 10)
    return max(0, min(found, default=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))


def free_threads() -> int:
    """Threads that we may still start: by the limits of the user, the system and our control group."""
    found = [size - used for _, size, used in _limits("pids", (("pids.max", "pids.current"),))]
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if soft != resource.RLIM_INFINITY and os.geteuid() != 0:  # which does not hold for root
        found.append(soft)
    running = next(iter(_lines(Path("/proc/loadavg"))), "0 0 0 0/0").split()[3].partition("/")[2]
    for name in ("pid_max", "threads-max"):
        found += [int(line) - int(running) for line in _lines(Path("/proc/sys/kernel") / name)]
    return max(0, min(found, default=1 << 30))


_MEMORY = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))


def _limits(controller: str, names: tuple[tuple[str, str], ...]) -> Iterator[tuple[Path, int, int]]:
    """Each control group that we are in and that has a limit: its folder, the limit, and what is used of it."""
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", controller):
            continue
        root = CGROUPS / controllers
        here = root / path.strip().lstrip("/")
        for folder in (here, *here.parents):
            for most, used in names:
                sizes = [text.strip() for name in (most, used) for text in _lines(folder / name)]
                if len(sizes) == 2 and all(size.isdigit() for size in sizes):
                    yield folder, int(sizes[0]), int(sizes[1])
            if folder == root:
                break


def _cached(folder: Path) -> int:
    """Octets of files that a group's limit counts and that give way."""
    told = dict(line.split() for line in _lines(folder / "memory.stat"))
    return int(told.get("total_inactive_file", told.get("inactive_file", 0)))


def _lines(path: Path) -> list[str]:
    """The lines of a file of the system; none where there is no such file."""
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
