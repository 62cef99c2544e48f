"""What a run would cost, told before it starts.

A copy survives a path of c crossings of n qubits with the product of eta^n over its links, so K
copies take about K / p attempts. Runs whose attempts would exceed the budget, or whose clock would
pass 2^62 ps, are refused with the number and with what to change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ketwire.channels.fiber import Fiber
from ketwire.channels.timing import CLOCK_END_PS

DEFAULT_BUDGET_ATTEMPTS = 10_000_000


@dataclass(frozen=True)
class Crossing:
    """One hop of a register: which link, by name, its physics, and how many qubits go over it."""

    link: str
    fiber: Fiber
    qubits: int


def path_survival(crossings: Sequence[Crossing]) -> float:
    """Probability that a copy survives all crossings."""
    return math.prod(crossing.fiber.survival**crossing.qubits for crossing in crossings)


def refusal(crossings: Sequence[Crossing], copies: int, budget_attempts: int = DEFAULT_BUDGET_ATTEMPTS) -> str | None:
    """Why a run of `copies` measured copies over `crossings` is hopeless, or None where it is not."""
    survival = path_survival(crossings)
    if survival == 0.0:
        return "no copy can arrive: a crossing loses every qubit; lower p_init, loss_db_per_km or length_km"
    attempts = copies / survival
    if attempts > budget_attempts:
        return (
            f"{copies} measured copies need about {attempts:.1e} attempts (a copy survives its {len(crossings)} "
            f"crossing(s) with probability {survival:.1e}), above budget_attempts = {budget_attempts:.1e}; "
            f"{_advice(crossings, copies, budget_attempts)}"
        )
    busy_ps = attempts * max(crossing.qubits * crossing.fiber.bin_ps for crossing in crossings)
    busy_ps += sum(crossing.fiber.delay_ps for crossing in crossings)
    if busy_ps > CLOCK_END_PS:
        return f"the run would last {busy_ps / 1e12:.1e} s of virtual time, beyond the clock's 2^62 ps (53 days)"
    return None


def _advice(crossings: Sequence[Crossing], copies: int, budget_attempts: int) -> str:
    """What would bring the run within its budget: shorter fibers, else fewer copies."""
    lossy_db = sum(c.qubits * c.fiber.loss_db_per_km * c.fiber.length_km for c in crossings)
    fixed = path_survival(crossings) * 10 ** (lossy_db / 10)
    allowed_db = 10 * math.log10(budget_attempts * fixed / copies) if budget_attempts * fixed > copies else 0.0
    if lossy_db > 0 and allowed_db > 0:
        share = allowed_db / lossy_db
        longest = max(c.fiber.length_km for c in crossings)
        return f"shorten the fiber to {longest * share:.2g} km or raise protocol.budget_attempts"
    affordable = int(budget_attempts * path_survival(crossings))
    return f"ask for at most {affordable} copies, use fewer qubits, or raise protocol.budget_attempts"
