"""Busy resources in virtual time: integer picoseconds, served in program order.

A resource that serves one customer after another obeys Lindley's recursion,
done_k = max(ready_k, done_{k-1}) + service_k. With cumulative services C_k it unrolls to
done_k = C_k + max(free, max_{j<=k}(ready_j - C_{j-1})): one cumulative maximum, no loop.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PS_PER_S = 1_000_000_000_000
CLOCK_END_PS = 1 << 62  # 53 days; a run that would pass it is refused before it starts


def serve(ready_ps: NDArray[np.int64], service_ps: int | NDArray[np.int64], free_ps: int) -> NDArray[np.int64]:
    """When each customer of a single server is done.

    Args:
        ready_ps: int64, shape (k,): when each customer is ready, in the order of service.
        service_ps: how long each of them keeps the server busy; or int64, shape (k,), each for itself.
        free_ps: when the server is free for the first of them.

    Returns:
        int64, shape (k,): when each is done; the last entry is when the server is free again.
    """
    if isinstance(service_ps, np.ndarray):
        begun: NDArray[np.int64] = np.cumsum(service_ps) - service_ps
    else:
        begun = np.arange(len(ready_ps), dtype=np.int64) * service_ps
    latest = np.maximum.accumulate(np.maximum(ready_ps - begun, free_ps))
    return latest + begun + service_ps


def serve_in_step(first_ps: int, step_ps: int, customers: int, service_ps: int, free_ps: int) -> tuple[int, int] | None:
    """The same for customers ready at first_ps, first_ps + step_ps, ...: when the first is done, and the step.

    None where they are not done in step: some wait for the server to be free and later ones do not.
    """
    if first_ps < free_ps and step_ps > service_ps and customers > 1:
        return None
    return max(first_ps, free_ps) + service_ps, max(step_ps, service_ps)
