"""Who wins: accuracy first, then what was sent, and no more than what ran.

A run *meets* another if it is as accurate: if both keep the same promise (epsilon, delta), or if its accuracy is not
below the 95 % interval (Wilson's) of the other's. Costs are compared among runs that meet each other alone:

- a rival that meets the quantum run and sent less wins;
- otherwise the quantum run wins if a rival that it meets too, and that meets it, sent more;
- otherwise no winner is named, and the text says what would decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from ketwire.quantum.binomial import wilson_interval


class Standing(Enum):
    """A rival's accuracy beside that of the quantum run."""

    SAME = "as accurate"
    BETTER = "more accurate"
    WORSE = "less accurate"


class Rival(NamedTuple):
    """A rival that ran: what it sent, in bits, and how accurate it was."""

    name: str
    cost: float
    standing: Standing


class Winner(Enum):
    QUANTUM = "quantum"
    CLASSICAL = "classical"
    TIE = "tie"
    NOBODY = "nobody"


class Decision(NamedTuple):
    """Who wins, and beside which rival; None where there is none to compare with."""

    winner: Winner
    rival: Rival | None


def decided(cost: float, rivals: Sequence[Rival]) -> Decision:
    """Who wins, if the quantum run sent `cost` qubits and bits.

    Where neither does, the rival is the cheapest that is more accurate, if any is.
    """
    able = [rival for rival in rivals if rival.standing is not Standing.WORSE]
    cheapest = min(able, key=lambda rival: rival.cost, default=None)
    if cheapest is not None and cheapest.cost < cost:
        return Decision(Winner.CLASSICAL, cheapest)
    alike = [rival for rival in able if rival.standing is Standing.SAME]
    nearest = min(alike, key=lambda rival: rival.cost, default=None)
    if nearest is None:
        return Decision(Winner.NOBODY, cheapest)
    return Decision(Winner.TIE if nearest.cost == cost else Winner.QUANTUM, nearest)


def by_accuracy(quantum: float, rival: float, decisions: int | None) -> Standing:
    """How two accuracies stand that were measured on the same decisions."""
    if rival < wilson_interval(quantum, decisions)[0]:
        return Standing.WORSE
    return Standing.BETTER if quantum < wilson_interval(rival, decisions)[0] else Standing.SAME


def by_promise(quantum_keeps: bool, rival_keeps: bool) -> Standing:
    """How two runs stand that keep a promise or do not."""
    if not rival_keeps:
        return Standing.WORSE
    return Standing.SAME if quantum_keeps else Standing.BETTER


def reaches(accuracy: float, decisions: int, goal: float) -> bool:
    """Whether a share of right decisions is not below the goal, by its interval."""
    return wilson_interval(accuracy, decisions)[1] >= goal


def undecided(rival: Rival | None, ran: bool, more: str) -> str:
    """Why nobody wins, and what would decide.

    rival: of `Decision`. ran: whether any rival did. more: what would make the quantum run more accurate.
    """
    if not ran:
        return "no classical rival ran"
    if rival is None:
        return "nobody wins: no rival that ran was as accurate; rivals with more bits would decide"
    return (
        f"nobody wins: {rival.name} was more accurate and sent more; {more}, or a rival that is no more accurate, "
        "would decide"
    )
