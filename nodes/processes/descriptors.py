"""File descriptors: a process has as many as it needs, or says so before it starts anything."""

from __future__ import annotations

import resource

from ketwire.errors import ScenarioError

OWN = 24
"""Of any process: standard streams, those of ZeroMQ itself, and files that are open for a moment."""
PER_NAME = 3
"""Of the coordinator, for each node and fiber: its connection and two pipes."""
PER_LINK = 2
"""Of a node."""
PARTY = OWN + 8
"""Of a party that does not know its links yet."""


def provide(need: int, what: str) -> None:
    """Let this process, and those that it starts, have `need` descriptors; the limit is raised where it may be.

    Args:
        what: for whom, in the error.

    Raises:
        ScenarioError: the system allows fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_enough(soft, need):
        return
    if not _is_enough(hard, need):
        raise ScenarioError(f"ulimit -n: {hard} file descriptors allowed, expected {need} or more for {what}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))


def for_run(count: int) -> int:
    """How many a coordinator needs for so many nodes and fibers; none of these needs more."""
    return OWN + PER_NAME * count


def for_node(links: int) -> int:
    """How many a node with so many links needs."""
    return OWN + PER_LINK * links


def _is_enough(limit: int, need: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= need
