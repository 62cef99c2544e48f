"""Busy resources in virtual time: integer picoseconds, served in program order.

A resource that serves one customer after another obeys Lindley's recursion,
done_k = max(ready_k, done_{k-1}) + service_k. With cumulative services C_k it unrolls to
done_k = C_k + max(free, max_{j<=k}(ready_j - C_{j-1})): one cumulative maximum, no loop.
"""

from __future__ import annotations

from typing import NamedTuple

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
        begun = np.arange(len(ready_ps), dtype=np.int64)
        begun *= service_ps
    done: NDArray[np.int64] = ready_ps - begun  # all in place: new memory costs more than the sums
    if len(done) and done[0] < free_ps:
        done[0] = free_ps  # and no later one is below it
    np.maximum.accumulate(done, out=done)
    done += begun
    done += service_ps
    return done


def serve_in_step(first_ps: int, step_ps: int, customers: int, service_ps: int, free_ps: int) -> tuple[int, int] | None:
    """The same for customers ready at first_ps, first_ps + step_ps, ...: when the first is done, and the step.

    None where they are not done in step: some wait for the server to be free and later ones do not.
    """
    if first_ps < free_ps and step_ps > service_ps and customers > 1:
        return None
    return max(first_ps, free_ps) + service_ps, max(step_ps, service_ps)


def turns(ready_ps: NDArray[np.int64], dead: NDArray[np.bool_]) -> NDArray[np.int64]:
    """When each customer can have its turn at a server that passes over the dead ones.

    The server passes over one as soon as it is known to be dead. Until then those behind it wait, also where
    they are ready before.

    Args:
        ready_ps: int64, shape (k,): when each customer is ready, or known to be dead, in the order of service.
        dead: bool, shape (k,).

    Returns:
        int64, shape (k,): for a living one, the latest of its ready time and those of the dead before it.
    """
    return np.maximum(ready_ps, np.maximum.accumulate(np.where(dead, ready_ps, 0)))


class Waits(NamedTuple):
    """How long each qubit of a register waits in memory during one crossing, before it leaves and after it arrives.

    sender_ps, receiver_ps: int64, shape (copies, n); or (1, n) where all copies wait alike
    """

    sender_ps: NDArray[np.int64]
    receiver_ps: NDArray[np.int64]


def waits(
    leaves_ps: NDArray[np.int64],
    comes_ps: NDArray[np.int64],
    whole_ps: NDArray[np.int64],
    since_ps: NDArray[np.int64] | None = None,
    lead_ps: int = 0,
) -> Waits:
    """The waits of a crossing, for every kind of link: for the machines of a run, and for estimates without a run.

    Args:
        leaves_ps, comes_ps: int64, shape (copies, n) or (1, n): when each qubit leaves the sender's memory and
            when it is in the receiver's.
        whole_ps: int64, shape (copies, 1) or (1, 1): when the whole register can be used at the receiver.
        since_ps: int64, shape (copies, 1): since when each register exists. None for fresh ones, which
            are prepared just in time: `lead_ps` before the first of their qubits leaves.
        lead_ps: see `since_ps`.
    """
    if since_ps is None:
        since_ps = leaves_ps.min(axis=1, keepdims=True) - lead_ps
    return Waits(leaves_ps - since_ps, whole_ps - comes_ps)


class Emission(NamedTuple):
    """A register's turn at an emitter, in ps from its first time bin on.

    A qubit is in the sender's memory until the bin in which its photon leaves begins, and in the receiver's
    from the end of that bin, L/v later, on. L/v is left out here, as no memory holds it then.

    leaves_ps, comes_ps: int64, shape (1, n)
    whole_ps: the end of the last bin
    lead_ps:  how long before its turn a register must be there at least, to be encoded
    """

    leaves_ps: NDArray[np.int64]
    comes_ps: NDArray[np.int64]
    whole_ps: int
    lead_ps: int = 0

    def waits(self, ahead_ps: NDArray[np.int64] | None = None) -> Waits:
        """See `waits`.

        Args:
            ahead_ps: int64, shape (copies,), how long before its turn each register was there; None for fresh ones.
        """
        since_ps = None if ahead_ps is None else -ahead_ps[:, None]
        return waits(self.leaves_ps, self.comes_ps, np.array([[self.whole_ps]]), since_ps, self.lead_ps)


def emission(qubits: int, bin_ps: int, in_a_block: int = 1, photons: int = 1, lead_ps: int = 0) -> Emission:
    """The turn of a register whose qubits leave in blocks, one after the other, each of so many photons, one a bin."""
    block = np.arange(qubits, dtype=np.int64)[None] // in_a_block
    block_ps = photons * bin_ps
    return Emission(block * block_ps, (block + 1) * block_ps, -(-qubits // in_a_block) * block_ps, lead_ps)
