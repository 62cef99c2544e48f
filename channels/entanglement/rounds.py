"""One round of distillation: what two pairs become, with the errors of the gates and readouts at their ends.

A round takes two pairs, a controlled NOT at each end from the kept pair to the other, a measurement of the other at
both ends, and one message each way; where the outcomes are not the wanted ones both pairs are lost.

- `bbpssw` twirls its pairs to Werner states (Bennett et al. 1996), and keeps where the outcomes agree.
- `dejmps` twirls them to Bell-diagonal states and turns each half first, so that the Bell labels are in the order given
  (`order`; Deutsch et al. 1996), and keeps where the outcomes agree.
- `epl` is for pairs of single clicks (Campbell and Benjamin, PRL 101, 130502, 2008; Kalb et al., Science 356, 928,
  2017): nothing is twirled or turned, and it keeps where both ends read bright. No component with two bright memories
  comes through, and phases that both pairs have from their optical paths cancel. In the frame of `heralding`, with an
  X on half b, that is a product of the pairs' elements.

*Errors.* The twirl of `bbpssw` and the turn of `dejmps` are a gate on one qubit for each of the four halves, which
depolarizes it; a controlled NOT depolarizes the kept half and the other half of its end together, whose bit is then
random. For pairs by their Bell diagonals the bits of the other pair are uniform, so only how likely two that agree, or
differ, are reported to agree matters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ketwire.channels.entanglement.pairs import Floats, diagonal, elements_of_bell, werner_twirl
from ketwire.channels.parts import Gates

Method = Literal["bbpssw", "dejmps", "epl"]
Ends = tuple[Gates, Gates]
PERFECT_ENDS: Ends = (Gates(), Gates())

Order = NDArray[np.int64]
AS_THEY_ARE: Order = np.arange(4)
_ORDERS = np.array([[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 2, 1]])
_BETTER = 1e-9  # by which an order must be better than the one before, or rounding would choose
_FRAME = [1, 0, 3, 2, 5, 4]  # elements with an X on half b
_XOR = np.arange(4)[:, None] ^ np.arange(4)


class Round(NamedTuple):
    """What a round does: float64 probability of success (...), and Bell diagonals after it (..., 4)."""

    success: Floats
    bell: Floats


class Errors(NamedTuple):
    """What the two ends do to a round on Bell diagonals.

    turned: depolarizing of each pair by the gates on single halves
    mixed:  probability that a controlled NOT left the kept pair fully mixed
    agree, differ: probability that outcomes are reported to agree that agree, or differ
    """

    turned: float
    mixed: float
    agree: float
    differ: float


NONE = Errors(0.0, 0.0, 1.0, 0.0)


@lru_cache(maxsize=256)
def errors_of(ends: Ends) -> Errors:
    """Those of nodes with these gates and readouts."""
    a, b = ends
    there, here = np.array(a.p_readout), np.array(b.p_readout)
    agree = ((1.0 - there) * (1.0 - here) + there * here).mean()
    differ = (there * (1.0 - here[::-1]) + (1.0 - there) * here[::-1]).mean()
    turned = 1.0 - (1.0 - a.p_gate1) * (1.0 - b.p_gate1)
    mixed = 1.0 - (1.0 - a.p_gate2) * (1.0 - b.p_gate2)
    return Errors(turned, mixed, float(agree), float(differ))


def gates_ps(method: Method, ends: Ends) -> int:
    """From the begin of a round until both ends have done their gates, and can read the other pair."""
    turn = method != "epl"
    return max(each.gate2_ps + (each.gate1_ps if turn else 0) for each in ends)


def bbpssw(first: Floats, second: Floats, errors: Errors = NONE) -> Round:
    """A round on pairs twirled to Werner states; equal ones give F' = (F² + e²) / (F² + 2Fe + 5e²).

    Args:
        first, second: float64, shapes (..., 4) that broadcast: Bell diagonals. e = (1 - F) / 3.
    """
    f_1, f_2 = _turned(first, errors)[..., 0], _turned(second, errors)[..., 0]
    e_1, e_2 = (1.0 - f_1) / 3.0, (1.0 - f_2) / 3.0
    good = f_1 * f_2 + e_1 * e_2
    success: Floats = good + f_1 * e_2 + e_1 * f_2 + 4.0 * e_1 * e_2
    if errors != NONE:
        good = errors.agree * good + errors.differ * (f_1 + e_1) * e_2
        success = errors.agree * success + errors.differ * (1.0 - success)
        good, success = (_mixed(each, errors, share) for each, share in ((good, 0.25), (success, 1.0)))
    kept = np.zeros((*success.shape, 4))
    kept[..., 0] = good / success
    return Round(success, werner_twirl(kept))


def dejmps(first: Floats, second: Floats, errors: Errors = NONE, order: Order = AS_THEY_ARE) -> Round:
    """A round on Bell-diagonal pairs, equal or not.

    Args:
        first, second: float64, shapes (..., 4) that broadcast: Bell diagonals. A success that is
            impossible leaves weights of zero.
        order: int64, shape (4,) or (..., 4): which labels the turn of each half puts in the places of Φ+, Ψ-, Ψ+, Φ-.
    """
    if (order != AS_THEY_ARE).any():
        first, second = (np.take_along_axis(each, np.broadcast_to(order, each.shape), -1) for each in (first, second))
    a_1, b_1, c_1, d_1 = np.moveaxis(_turned(first, errors), -1, 0)
    a_2, b_2, c_2, d_2 = np.moveaxis(_turned(second, errors), -1, 0)
    kept = np.stack(
        [a_1 * a_2 + b_1 * b_2, c_1 * d_2 + d_1 * c_2, c_1 * c_2 + d_1 * d_2, a_1 * b_2 + b_1 * a_2], axis=-1
    )
    if errors != NONE:
        others = np.stack(
            [a_1 * c_2 + b_1 * d_2, c_1 * b_2 + d_1 * a_2, c_1 * a_2 + d_1 * b_2, a_1 * d_2 + b_1 * c_2], axis=-1
        )
        kept = _mixed(errors.agree * kept + errors.differ * others, errors, 0.25)
    success = kept.sum(axis=-1)
    return Round(success, kept / np.where(success > 0.0, success, 1.0)[..., None])


def best_order(first: Floats, second: Floats) -> Order:
    """The order of labels with which a round of `dejmps` on these two Bell diagonals, float64 (4,), is best."""
    best, most = AS_THEY_ARE, float(dejmps(first, second).bell[0])
    for order in _ORDERS[1:]:
        found = float(dejmps(first, second, NONE, order).bell[0])
        if found > most + _BETTER:
            best, most = order, found
    return best


def epl(first: Floats, second: Floats, ends: Ends = PERFECT_ENDS) -> Round:
    """A round on pairs of single clicks.

    Args:
        first, second: float64, shapes (..., 6) that broadcast: `pairs.elements`.

    Returns:
        The success, and `elements`, (..., 6), in the place of Bell diagonals.
    """
    kept, other = first[..., _FRAME], second[..., _FRAME]  # as the memories are, |bright> = |1>
    # Probability that each end reads bright: of its bit 0 or 1.
    reads = [(each.p_readout[0], 1.0 - each.p_readout[1]) for each in ends]
    right = (1.0 - ends[0].p_gate2) * (1.0 - ends[1].p_gate2)
    whole = np.zeros(np.broadcast_shapes(kept.shape, other.shape))
    for bits in range(4):
        chance = right * reads[0][bits >> 1] * reads[1][bits & 1]
        whole[..., :4] += chance * kept[..., :4] * other[..., _XOR[bits]]
        same = bits in (0, 3)
        whole[..., 4] += chance * kept[..., 4] * other[..., 4 if same else 5]
        whole[..., 5] += chance * kept[..., 5] * other[..., 5 if same else 4]
    if right < 1.0:
        whole[..., :4] += _half_mixed(kept, other, ends, reads)
    success = whole[..., :4].sum(axis=-1)
    return Round(success, (whole / np.where(success > 0.0, success, 1.0)[..., None])[..., _FRAME])


def _half_mixed(kept: Floats, other: Floats, ends: Ends, reads: list[tuple[float, float]]) -> Floats:
    """Populations, (..., 4), that an EPL round keeps after the controlled NOT of one end, or of both, erred."""
    p_a, p_b = (each.p_gate2 for each in ends)
    found = np.zeros((*np.broadcast_shapes(kept.shape, other.shape)[:-1], 2, 2))
    kept_2, other_2 = (each[..., :4].reshape(*each.shape[:-1], 2, 2) for each in (kept, other))
    for axis, chance in ((-2, p_a * (1.0 - p_b)), (-1, p_b * (1.0 - p_a))):  # the axis of the end that erred
        mine, its = kept_2.sum(axis=axis), other_2.sum(axis=axis)
        erred, well = (reads[0], reads[1]) if axis == -2 else (reads[1], reads[0])
        left = mine * sum(well[bit] * its[..., [bit, 1 - bit]] for bit in (0, 1))
        found += chance * sum(erred) / 4.0 * np.expand_dims(left, axis)
    found += p_a * p_b * sum(reads[0]) * sum(reads[1]) / 16.0
    return np.asarray(found.reshape(*found.shape[:-2], 4))


def one_round(method: Method, kept: Floats, other: Floats, ends: Ends, order: Order) -> Round:
    """A round of any method on `elements`, (..., 6), with elements after it in the place of Bell diagonals."""
    if method == "epl":
        return epl(kept, other, ends)
    errors = errors_of(ends)
    first, second = diagonal(kept), diagonal(other)
    done = bbpssw(first, second, errors) if method == "bbpssw" else dejmps(first, second, errors, order)
    return done._replace(bell=elements_of_bell(done.bell))


def _turned(bell: Floats, errors: Errors) -> Floats:
    return bell if errors.turned == 0.0 else (1.0 - errors.turned) * bell + errors.turned / 4.0


def _mixed(kept: Floats, errors: Errors, share: float) -> Floats:
    """Where a controlled NOT erred, outcomes are random and the kept pair is mixed: a `share` of all that is kept."""
    return (1.0 - errors.mixed) * kept + errors.mixed * share * (errors.agree + errors.differ) / 2.0
